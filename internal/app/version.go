package app

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	talon "talon.example"
	"talon.example/internal/command"
	"talon.example/migrations"
)

// Build describes the running binary.
type Build struct {
	Version  string // of the contract, which is also that of the release
	Commit   string // empty if the binary was built without version control
	Time     string // of the commit, RFC 3339 in UTC; empty like Commit
	Modified bool   // the files differed from the commit
	Go       string // version of Go, operating system and architecture
	Schema   int64  // the newest schema version that the binary knows
}

// ReadBuild returns the description of the running binary.
func ReadBuild() (Build, error) {
	version, err := talon.Version()
	if err != nil {
		return Build{}, err
	}
	schema, err := migrations.Latest()
	if err != nil {
		return Build{}, err
	}
	build := Build{
		Version: version, Schema: schema,
		Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build, nil
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			build.Commit = setting.Value
		case "vcs.time":
			build.Time = setting.Value
		case "vcs.modified":
			build.Modified = setting.Value == "true"
		}
	}
	return build, nil
}

// LogValue returns the fields as a group.
func (b Build) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("version", b.Version), slog.String("commit", b.Commit), slog.Bool("modified", b.Modified),
		slog.String("go", b.Go), slog.Int64("schema", b.Schema),
	)
}

// Version returns a command that prints the build of the program, one property per line.
func Version(program string) func(context.Context, *command.Env, []string) error {
	return func(_ context.Context, env *command.Env, args []string) error {
		if err := env.Parse(flag.NewFlagSet("version", flag.ContinueOnError), args); err != nil {
			return err
		}
		build, err := ReadBuild()
		if err != nil {
			return err
		}
		commit := "unknown"
		if build.Commit != "" {
			commit = build.Commit + " of " + build.Time
		}
		if build.Modified {
			commit += ", modified"
		}
		_, err = fmt.Fprintf(env.Stdout, "%s %s\ncommit %s\n%s\nschema %d\n",
			program, build.Version, commit, build.Go, build.Schema)
		return err
	}
}
