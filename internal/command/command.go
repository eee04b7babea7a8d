// Package command runs the subcommands of a program.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/google/uuid"
)

// Program is a program with subcommands.
type Program struct {
	Name     string
	Usage    string // the text of help
	Default  string // the command that runs if the arguments contain none
	Commands map[string]func(ctx context.Context, env *Env, args []string) error
}

// Env is the environment of a subcommand: the variables and outputs of its process.
type Env struct {
	Variables      map[string]string
	Stdout, Stderr io.Writer

	program string
}

// errUsage is returned for an invalid command line. The caller has printed the problem before.
var errUsage = errors.New("usage")

// Main runs the program with the arguments and the environment of the process, and exits. SIGINT
// and SIGTERM cancel the context of the subcommand; a second signal terminates the process at once.
func (p *Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(p.Run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// interrupted is the exit code of a command that SIGINT or SIGTERM has ended before its work was
// done, as shells report it.
const interrupted = 130

// Service returns a command that serves until it is cancelled: that is no failure, also during the
// start.
func Service(serve func(context.Context, *Env, []string) error) func(context.Context, *Env, []string) error {
	return func(ctx context.Context, env *Env, args []string) error {
		err := serve(ctx, env, args)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
}

// Run runs the subcommand named by args[0], or Default, and returns the exit code: 0 after success,
// 1 after a failure, 2 for an invalid command line, 130 if ctx is cancelled before the command has
// succeeded. environ has the format of os.Environ. Run prints the error of a failed command to
// stderr.
func (p *Program) Run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	env := &Env{Variables: variables(environ), Stdout: stdout, Stderr: stderr, program: p.Name}
	if len(args) > 0 && args[0] == "--version" { // where other programs have it
		args = append([]string{"version"}, args[1:]...)
	}
	name, rest := p.Default, args
	if len(args) > 0 && (p.Default == "" || !strings.HasPrefix(args[0], "-") || IsHelp(args[0])) {
		name, rest = args[0], args[1:]
	}
	if name == "" || IsHelp(name) {
		fmt.Fprint(stdout, p.Usage)
		return 0
	}
	run, known := p.Commands[name]
	if !known {
		fmt.Fprintf(stderr, "%s: unknown command %q\n\n%s", p.Name, name, p.Usage)
		return 2
	}
	err := run(ctx, env, rest)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(stderr, "%s %s: %v\n", p.Name, name, err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return interrupted
	}
	return 1
}

// IsHelp reports whether the name of a subcommand asks for the usage.
func IsHelp(name string) bool { return name == "help" || name == "-h" || name == "--help" }

func variables(environ []string) map[string]string {
	variables := make(map[string]string, len(environ))
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	return variables
}

// Parse parses the flags of a command that has no other arguments. The name of flags must be the
// name of the command. Parse prints the problem of an invalid command line before it returns an
// error. For the flag -h it prints the usage and returns flag.ErrHelp.
func (e *Env) Parse(flags *flag.FlagSet, args []string) error { return e.ParseUpTo(flags, args, 0) }

// ParseUpTo is Parse for a command that has up to most other arguments, after its flags.
func (e *Env) ParseUpTo(flags *flag.FlagSet, args []string, most int) error {
	flags.SetOutput(e.Stderr)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage
	case flags.NArg() > most:
		return e.UsageError(flags, "unexpected argument %q", flags.Arg(most))
	}
	return nil
}

// Guid parses text, the value of the flag name. The value must be a guid other than the zero guid.
// Otherwise Guid prints the problem and returns an error.
func (e *Env) Guid(flags *flag.FlagSet, name, text string) (uuid.UUID, error) {
	guid, err := uuid.Parse(text)
	if err != nil || guid == uuid.Nil {
		return uuid.Nil, e.UsageError(flags, "--%s must be a guid", name)
	}
	return guid, nil
}

// UsageError prints a problem of the command line. It returns an error for which Run returns 2.
func (e *Env) UsageError(flags *flag.FlagSet, format string, values ...any) error {
	fmt.Fprintf(e.Stderr, "%s %s: %s\n", e.program, flags.Name(), fmt.Sprintf(format, values...))
	return errUsage
}

// Variable returns the value of an environment variable, or fallback if it is unset or empty.
func (e *Env) Variable(name, fallback string) string {
	if value := e.Variables[name]; value != "" {
		return value
	}
	return fallback
}
