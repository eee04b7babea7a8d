package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"talon.example/internal/auth"
	"talon.example/internal/demo"
	"talon.example/internal/localpg"
	"talon.example/migrations"
)

// The issuer and audience of demo tokens, where the settings name none.
const (
	demoIssuer   = "talon-demo"
	demoAudience = "talon"
)

// stopTimeout bounds the stop of the private PostgreSQL, which comes after the context is done.
const stopTimeout = 30 * time.Second

// demo serves the demo data: on the database given, else on a private PostgreSQL that it starts and stops.
func (c *command) demo(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	reset := flags.Bool("reset", false, "put the demo data back as on the first day, and end")
	if err := c.parse(flags, args); err != nil {
		return err
	}
	database, stop, err := c.demoDatabase(ctx, *reset)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := refuseStranger(ctx, database); err != nil {
		return err
	}
	err = migrations.Up(ctx, database)
	if errors.Is(err, migrations.ErrBeforeBaseline) && c.environment["DATABASE_URL"] == "" {
		err = renewSchema(ctx, database)
	}
	if err != nil {
		return err
	}
	state, err := loadDemo(ctx, database, *reset)
	if err != nil {
		return err
	}
	if *reset {
		fmt.Fprintln(c.stdout, "The demo data are as on the first day.")
		return nil
	}

	key, keyFile, err := c.demoKey()
	if err != nil {
		return err
	}
	settings := maps.Clone(c.environment)
	settings["DATABASE_URL"] = database
	settings["TALON_DEMO_KEY_FILE"] = keyFile
	settings["TALON_AUTH_KEY_FILE"] = c.environmentOr("TALON_AUTH_KEY_FILE", keyFile)
	settings["TALON_TOKEN_ISSUER"] = c.environmentOr("TALON_TOKEN_ISSUER", demoIssuer)
	settings["TALON_TOKEN_AUDIENCE"] = c.environmentOr("TALON_TOKEN_AUDIENCE", demoAudience)
	settings["TALON_SHUTDOWN_DELAY"] = c.environmentOr("TALON_SHUTDOWN_DELAY", "0s") // no load balancer waits here
	config, err := ReadConfig(settings)
	if err != nil {
		return err
	}
	config.Sandbox = true
	token, err := key.Sign(auth.Token{Person: demo.Patient, Client: demo.Client}, config.TokenIssuer, config.TokenAudience, time.Now(), demo.TokenLife)
	if err != nil {
		return fmt.Errorf("sign the demo token: %w", err)
	}
	log := slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: config.LogLevel}))
	return serve(ctx, config, log, func(addr net.Addr) { c.welcome(addr, token, keyFile, state) })
}

// demoDatabase gives the database to use and what ends it: the one given, else a private one, which a reset may find running already.
func (c *command) demoDatabase(ctx context.Context, reset bool) (url string, stop func() error, err error) {
	if given := c.environment["DATABASE_URL"]; given != "" {
		return given, func() error { return nil }, nil
	}
	dir, err := localpg.DefaultDir()
	if err != nil {
		return "", nil, err
	}
	if _, err := localpg.FindOrInstall(ctx, c.stderr); err != nil {
		return "", nil, err
	}
	cluster, err := localpg.Start(ctx, localpg.Options{Dir: dir, Durable: true})
	var running *localpg.RunningError
	switch {
	case errors.As(err, &running) && reset:
		return running.URL("postgres"), func() error { return nil }, nil
	case err != nil:
		return "", nil, fmt.Errorf("start the private PostgreSQL: %w", err)
	}
	return cluster.URL("postgres"), func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return cluster.Stop(ctx)
	}, nil
}

// demoKey is the key given, else one that is kept beside the private PostgreSQL.
func (c *command) demoKey() (*auth.SigningKey, string, error) {
	path := c.environment["TALON_DEMO_KEY_FILE"]
	if path == "" {
		dir, err := localpg.DefaultDir()
		if err != nil {
			return nil, "", err
		}
		path = filepath.Join(filepath.Dir(dir), "demo-key.pem")
	}
	key, err := auth.EnsureSigningKey(path)
	if err != nil {
		return nil, "", fmt.Errorf("make the demo key: %w", err)
	}
	return key, path, nil
}

// refuseStranger keeps the demo out of a database that is somebody else's, before anything is written there.
func refuseStranger(ctx context.Context, database string) error {
	current, err := migrations.Current(ctx, database)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if current > 0 {
		return demo.Check(ctx, conn)
	}
	var tables int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").Scan(&tables); err != nil {
		return fmt.Errorf("look for tables: %w", err)
	}
	if tables > 0 {
		return errors.New("the database has tables that are not Talon's: give the demo an empty one")
	}
	return nil
}

// renewSchema makes the schema anew in the private database that a build before the first release has left.
func renewSchema(ctx context.Context, database string) error {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"); err != nil {
		return fmt.Errorf("drop the schema of an earlier build: %w", err)
	}
	return migrations.Up(ctx, database)
}

func loadDemo(ctx context.Context, database string, reset bool) (demo.State, error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return demo.State{}, fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if reset {
		return demo.State{}, demo.Reset(ctx, conn, time.Now())
	}
	return demo.Ensure(ctx, conn, time.Now())
}

// welcome ends the first minutes with something to click and something to paste.
func (c *command) welcome(addr net.Addr, token, keyFile string, state demo.State) {
	base := "http://" + addr.String()
	var text strings.Builder
	fmt.Fprintf(&text, `
Talon is ready. Book as a patient, in the browser:

  %s/portal/

Or try each operation: Authorize with the token, then Try it out.

  %s/docs/

The token of the first example's patient, valid for 12 hours:

%s

Book the source's first example:

curl -s %s/appointments -H 'Content-Type: application/json' \
  -H 'Authorization: Bearer %s' \
  -d '%s'

`, base, base, token, base, token, demo.FirstExample)
	fmt.Fprintf(&text, `Have a token made for a patient, as a client application does, with its guid and its secret:

curl -sG %s/auth/cod/token -u %s:%s \
  -d personguid=%s

`, base, demo.Client, demo.ClientSecret, demo.Patient)
	if state.Action == demo.Renewed {
		text.WriteString("The demo data were of an earlier week or an earlier version: they were loaded anew.\n")
	}
	if !state.FirstExampleFree {
		text.WriteString("That referral is booked already, which it will answer; make demo-reset puts the demo data back.\n")
	}
	fmt.Fprintf(&text, "Tokens of other patients: TALON_DEMO_KEY_FILE=%s bin/talon token --person GUID\nCtrl-C stops all of it.\n\n", keyFile)
	fmt.Fprint(c.stdout, text.String())
}
