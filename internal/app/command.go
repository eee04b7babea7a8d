package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"time"

	"talon.example/internal/booking"
	"talon.example/internal/command"
	"talon.example/internal/postgres"
	"talon.example/migrations"
)

// Program is the command talon: the service and its administration commands.
var Program = command.Program{
	Name: "talon",
	Usage: `talon books medical appointments by electronic referral.

  talon serve              answer requests (--check: show the settings in force and end)
  talon migrate            bring the database to the newest schema
  talon client-secret --client G
                           give a client application a new secret for the authorisation service, and show it once

Settings are environment variables; docs/configuration.md lists them. For demo data see talon-sandbox.
`,
	Commands: map[string]func(context.Context, *command.Env, []string) error{
		"serve": serve, "migrate": migrate, "client-secret": clientSecret,
	},
}

var errNoDatabase = errors.New("DATABASE_URL: must be given")

// commandTimeout limits each statement of a command.
const commandTimeout = 10 * time.Second

func serve(ctx context.Context, env *command.Env, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	check := flags.Bool("check", false, "show the settings in force, secrets hidden, and end")
	if err := env.Parse(flags, args); err != nil {
		return err
	}
	config, err := ReadConfig(env.Variables)
	if err != nil {
		return err
	}
	if *check {
		return config.Print(env.Stdout)
	}
	log := slog.New(slog.NewJSONHandler(env.Stderr, &slog.HandlerOptions{Level: config.LogLevel}))
	service, err := New(ctx, config, log, time.Now, Wrappers{})
	if err != nil {
		return err
	}
	defer service.Close()
	return service.ListenAndServe(ctx, func(net.Addr) {})
}

func migrate(ctx context.Context, env *command.Env, args []string) error {
	if err := env.Parse(flag.NewFlagSet("migrate", flag.ContinueOnError), args); err != nil {
		return err
	}
	database := env.Variables["DATABASE_URL"]
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
	fmt.Fprintf(env.Stdout, "the database is at schema version %d\n", version)
	return nil
}

// clientSecret prints the new secret to standard output only, so that it can be piped into a secret
// store.
func clientSecret(ctx context.Context, env *command.Env, args []string) error {
	flags := flag.NewFlagSet("client-secret", flag.ContinueOnError)
	text := flags.String("client", "", "guid of the client application (required); its old secret ends at once")
	if err := env.Parse(flags, args); err != nil {
		return err
	}
	client, err := env.Guid(flags, "client", *text)
	if err != nil {
		return err
	}
	database := env.Variables["DATABASE_URL"]
	if database == "" {
		return errNoDatabase
	}
	pool, err := postgres.Open(ctx, postgres.Options{URL: database, MaxConns: 1, StatementTimeout: commandTimeout})
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	service := booking.NewService(postgres.NewStore(pool, postgres.ReferenceAge).Ports(), time.Now)
	secret, err := service.RenewClientSecret(ctx, client)
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout, secret)
	return nil
}
