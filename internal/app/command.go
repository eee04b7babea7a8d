package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/jackc/pgx/v5/pgxpool"

	"talon.example/internal/command"
	"talon.example/internal/distribution"
	"talon.example/internal/postgres"
	"talon.example/internal/telemetry"
	"talon.example/migrations"
)

// Program is the command talon: the service and its administration commands.
var Program = command.Program{
	Name: "talon",
	Usage: `talon books medical appointments by electronic referral.

  talon serve              answer requests (--check: show the settings in force and end)
  talon migrate            bring the database to the newest schema
  talon distribute         spread the tables over the nodes of a distributed PostgreSQL (Citus; --check, --dry-run)
  talon import FILE|-      load schedules, referrals and patients from a file
  talon listen             print the events of a service, and forward them to a receiver that is developed
  talon client             create, list, enable and disable client applications, and rotate their secrets
  talon busy-type          list and put the kinds of cells that schedules can have
  talon version            print the version, the commit and the newest schema of this build

Settings are environment variables; docs/configuration.md lists them. For demo data see talon-sandbox.
`,
	Commands: map[string]func(context.Context, *command.Env, []string) error{
		"serve": command.Service(serve), "migrate": migrate, "distribute": distribute, "client": client,
		"import": importFile, "listen": listen, "busy-type": busyType, "version": Version("talon"),
	},
}

var errNoDatabase = errors.New("DATABASE_URL: must be given")

func serve(ctx context.Context, env *command.Env, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	check := flags.Bool("check", false, "show the settings in force, secrets hidden, and end")
	if err := env.Parse(flags, args); err != nil {
		return err
	}
	config, err := ReadConfig(env.Variables)
	unknown := unknownVariables(env.Variables)
	if *check || err != nil { // one that is misspelt explains one that is missing
		for _, name := range unknown {
			fmt.Fprintf(env.Stderr, "%s: no such setting, ignored\n", name)
		}
	}
	if err != nil {
		return err
	}
	if *check {
		return config.Print(env.Stdout)
	}
	log := slog.New(slog.NewJSONHandler(env.Stderr, &slog.HandlerOptions{Level: config.LogLevel}))
	if len(unknown) > 0 {
		log.Warn("variables that are no settings are ignored", "names", unknown)
	}
	telemetry.LogTraceErrors(log)
	limitMemory(log)
	service, err := New(ctx, config, log, time.Now, Wrappers{})
	if err != nil {
		return err
	}
	defer service.Close()
	return service.ListenAndServe(ctx, func(net.Addr) {})
}

// limitMemory sets the memory limit of the Go runtime to 90% of that of the cgroup, unless
// GOMEMLIMIT is set. Where there is no such limit, it changes nothing.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set()
	if err != nil {
		log.Info("no memory limit is known", "cause", err)
		return
	}
	if limit == math.MaxInt64 { // the runtime's word for none
		log.Info("no memory limit is set")
		return
	}
	log.Info("memory limit", "bytes", limit)
}

func migrate(ctx context.Context, env *command.Env, args []string) error {
	if err := env.Parse(flag.NewFlagSet("migrate", flag.ContinueOnError), args); err != nil {
		return err
	}
	database := env.Variables["DATABASE_URL"]
	if database == "" {
		return errNoDatabase
	}
	if err := checkCoordinator(ctx, database); err != nil {
		return err
	}
	if err := migrations.Up(ctx, database); err != nil {
		return err
	}
	version, err := migrations.Current(ctx, database)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "the database is at schema version %d\n", version)
	known, err := migrations.Latest()
	if err == nil && version > known {
		fmt.Fprintf(env.Stdout, "this build knows version %d and may run beside it; nothing was migrated\n", known)
	}
	return err
}

// checkCoordinator returns an error if DATABASE_URL leads to a worker of a distributed database.
// Citus creates some tables there, which are then in the way of the coordinator's.
func checkCoordinator(ctx context.Context, database string) error {
	conn, err := migrations.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = distribution.CheckCoordinator(ctx, conn)
	return err
}

// commandTimeout limits each statement of a command.
const commandTimeout = 10 * time.Second

// openDatabase opens the database of DATABASE_URL for a command, and checks it with
// checkDatabase.
func openDatabase(ctx context.Context, database string, conns int32) (*pgxpool.Pool, error) {
	if database == "" {
		return nil, errNoDatabase
	}
	pool, err := postgres.Open(ctx, postgres.Options{
		URL: database, MaxConns: conns, StatementTimeout: commandTimeout, LockTimeout: lockTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := checkDatabase(ctx, pool); err != nil {
		pool.Close()
		return nil, fmt.Errorf("check the database of DATABASE_URL: %w", err)
	}
	return pool, nil
}

// checkDatabase returns an error if a command cannot or must not use the database: a worker of a
// distributed one, or a schema that is too old or too new for this build.
func checkDatabase(ctx context.Context, database migrations.Database) error {
	if _, err := distribution.CheckCoordinator(ctx, database); err != nil {
		return err
	}
	_, _, err := checkSchema(ctx, database)
	return err
}
