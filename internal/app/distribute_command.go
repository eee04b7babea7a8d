package app

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"talon.example/internal/command"
	"talon.example/internal/distribution"
	"talon.example/internal/postgres"
)

// coordinatorTimeout bounds the attempt to connect, unless the address has connect_timeout.
const coordinatorTimeout = 10 * time.Second

// distribute runs talon distribute.
func distribute(ctx context.Context, env *command.Env, args []string) error {
	flags := flag.NewFlagSet("distribute", flag.ContinueOnError)
	check := flags.Bool("check", false, "show what is missing in a distributed database, and end")
	dryRun := flags.Bool("dry-run", false, "print the statements instead of executing them")
	shards := flags.Int("shards", 0, fmt.Sprintf("shards of each group of tables, of which each node has one at least "+
		"(default: as the declared groups have, or %d)", distribution.DefaultShards))
	if err := env.Parse(flags, args); err != nil {
		return err
	}
	switch {
	case *shards < 0 || *shards > distribution.MaxShards:
		return env.UsageError(flags, "--shards must be at most %d", distribution.MaxShards)
	case *check && *dryRun:
		return env.UsageError(flags, "--check and --dry-run exclude each other")
	}
	database := env.Variables["DATABASE_URL"]
	if database == "" {
		return errNoDatabase
	}
	config, err := pgxpool.ParseConfig(database)
	if err != nil {
		return fmt.Errorf("parse the database's address: %w", err)
	}
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = "talon distribute"
	params["statement_timeout"] = "0" // a large table takes its time
	postgres.SetDefaults(params)
	config.ConnConfig.ConnectTimeout = cmp.Or(config.ConnConfig.ConnectTimeout, coordinatorTimeout)
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := checkDatabase(ctx, conn); err != nil {
		return err
	}
	if *check {
		return checkDistribution(ctx, env, conn)
	}
	err = distribution.Distribute(ctx, conn, distribution.Options{
		Shards: *shards, DryRun: *dryRun, Progress: env.Stdout,
	})
	if err != nil || *dryRun {
		return err
	}
	return checkDistribution(ctx, env, conn)
}

// checkDistribution prints what is wrong with a distributed database, and returns an error if there
// is something.
func checkDistribution(ctx context.Context, env *command.Env, conn *pgx.Conn) error {
	problems, err := distribution.Check(ctx, conn)
	if err != nil {
		return err
	}
	for _, problem := range problems {
		fmt.Fprintln(env.Stdout, "- "+problem)
	}
	if len(problems) > 0 {
		return errors.New("the database cannot serve yet")
	}
	fmt.Fprintln(env.Stdout, "the database is distributed, and its settings are right")
	return nil
}
