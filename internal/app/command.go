package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/demo"
	"talon.example/internal/postgres"
	"talon.example/migrations"
)

const usage = `talon books medical appointments by electronic referral.

  talon serve              answer requests (--check: show the settings in force and end)
  talon migrate            bring the database to the newest schema
  talon token --person G   sign a COD token with the demo key (--client, --ttl)
  talon client-secret --client G
                           give a client application a new secret for the authorisation service, and show it once
  talon demo               serve demo data, on a private PostgreSQL where DATABASE_URL is not set (--reset: put the data back and end)

Settings are environment variables; docs/configuration.md lists them.
`

var errNoDatabase = errors.New("DATABASE_URL: must be given")

// errUsage says that the command line was not understood; what is wrong has been printed.
var errUsage = errors.New("usage")

// Run runs a command and returns the exit code: 0, 1 after a failure, 2 where the command line was wrong. It ends in order when the context is done.
func Run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	c := command{environment: environment(environ), stdout: stdout, stderr: stderr}
	name, rest := "help", args
	if len(args) > 0 {
		name, rest = args[0], args[1:]
	}
	var err error
	switch name {
	case "serve":
		err = c.serve(ctx, rest)
	case "migrate":
		err = c.migrate(ctx, rest)
	case "token":
		err = c.token(rest)
	case "client-secret":
		err = c.clientSecret(ctx, rest)
	case "demo":
		err = c.demo(ctx, rest)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
	default:
		fmt.Fprintf(stderr, "talon: there is no command %q\n\n%s", name, usage)
		err = errUsage
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return 0 // stopped on the way up
	default:
		fmt.Fprintf(stderr, "talon %s: %v\n", name, err)
		return 1
	}
}

// command is what the commands share.
type command struct {
	environment    map[string]string
	stdout, stderr io.Writer
}

func environment(environ []string) map[string]string {
	variables := make(map[string]string, len(environ))
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	return variables
}

// parse reads the flags of a command, which takes nothing else.
func (c *command) parse(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(c.stderr)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage
	case flags.NArg() > 0:
		fmt.Fprintf(c.stderr, "talon %s: %q is not understood\n", flags.Name(), flags.Arg(0))
		return errUsage
	}
	return nil
}

func (c *command) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(c.stderr, &slog.HandlerOptions{Level: level}))
}

func (c *command) serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	check := flags.Bool("check", false, "show the settings in force, secrets hidden, and end")
	if err := c.parse(flags, args); err != nil {
		return err
	}
	config, err := ReadConfig(c.environment)
	if err != nil {
		return err
	}
	if *check {
		return config.Print(c.stdout)
	}
	return serve(ctx, config, c.logger(config.LogLevel), nil)
}

// serve runs the service until the context is done. It calls announce when requests are taken.
func serve(ctx context.Context, config Config, log *slog.Logger, announce func(net.Addr)) error {
	app, err := New(ctx, config, log, time.Now)
	if err != nil {
		return err
	}
	defer app.Close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", config.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if announce != nil {
		announce(listener.Addr())
	}
	return app.Serve(ctx, listener)
}

func (c *command) migrate(ctx context.Context, args []string) error {
	if err := c.parse(flag.NewFlagSet("migrate", flag.ContinueOnError), args); err != nil {
		return err
	}
	database := c.environment["DATABASE_URL"]
	if database == "" {
		return errNoDatabase
	}
	if err := migrations.Up(ctx, database); err != nil {
		return err
	}
	version, err := migrations.Current(ctx, database)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "the database is at schema version %d\n", version)
	return nil
}

func (c *command) token(args []string) error {
	flags := flag.NewFlagSet("token", flag.ContinueOnError)
	person := flags.String("person", "", "guid of the person in the master patient index (required)")
	client := flags.String("client", demo.Client.String(), "guid of the client application")
	ttl := flags.Duration("ttl", demo.TokenLife, "how long the token is valid")
	if err := c.parse(flags, args); err != nil {
		return err
	}
	token := auth.Token{}
	for _, given := range []struct {
		flag, text string
		guid       *uuid.UUID
	}{{"person", *person, &token.Person}, {"client", *client, &token.Client}} {
		if err := c.guid(flags, given.flag, given.text, given.guid); err != nil {
			return err
		}
	}
	if *ttl <= 0 {
		fmt.Fprintln(c.stderr, "talon token: --ttl must be above 0")
		return errUsage
	}
	path := c.environment["TALON_DEMO_KEY_FILE"]
	if path == "" {
		return errors.New("TALON_DEMO_KEY_FILE is not set: tokens are signed with the demo key alone")
	}
	key, err := auth.LoadSigningKey(path)
	if err != nil {
		return fmt.Errorf("load the demo key: %w", err)
	}
	signed, err := key.Sign(token, c.environmentOr("TALON_TOKEN_ISSUER", demoIssuer), c.environmentOr("TALON_TOKEN_AUDIENCE", demoAudience), time.Now(), *ttl)
	if err != nil {
		return fmt.Errorf("sign the token: %w", err)
	}
	fmt.Fprintln(c.stdout, signed)
	return nil
}

// guid reads a flag that must be a guid.
func (c *command) guid(flags *flag.FlagSet, name, text string, to *uuid.UUID) error {
	guid, err := uuid.Parse(text)
	if err != nil || guid == uuid.Nil {
		fmt.Fprintf(c.stderr, "talon %s: --%s must be a guid\n", flags.Name(), name)
		return errUsage
	}
	*to = guid
	return nil
}

// clientSecret shows the new secret on standard output alone, where it can be piped to wherever secrets are kept.
func (c *command) clientSecret(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("client-secret", flag.ContinueOnError)
	text := flags.String("client", "", "guid of the client application (required); its old secret ends at once")
	if err := c.parse(flags, args); err != nil {
		return err
	}
	var client uuid.UUID
	if err := c.guid(flags, "client", *text, &client); err != nil {
		return err
	}
	database := c.environment["DATABASE_URL"]
	if database == "" {
		return errNoDatabase
	}
	pool, err := postgres.Open(ctx, postgres.Options{URL: database, MaxConns: 1, StatementTimeout: commandTimeout})
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	secret, err := booking.NewService(postgres.NewStore(pool, postgres.ReferenceAge), nil, time.Now).RenewClientSecret(ctx, client)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.stdout, secret)
	return nil
}

// commandTimeout bounds what a command asks of the database.
const commandTimeout = 10 * time.Second

func (c *command) environmentOr(name, otherwise string) string {
	if value := c.environment[name]; value != "" {
		return value
	}
	return otherwise
}
