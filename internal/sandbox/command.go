package sandbox

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"talon.example/internal/app"
	"talon.example/internal/auth"
	"talon.example/internal/command"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/localpg"
	"talon.example/internal/webhook"
	"talon.example/migrations"
)

// Program is the command-line program talon-sandbox.
var Program = command.Program{
	Name: "talon-sandbox",
	Usage: `talon-sandbox serves Talon with demo data, for evaluation. Never use it with data of real patients.

  talon-sandbox            serve the demo data, on a private PostgreSQL unless DATABASE_URL is set
  talon-sandbox reset      reset the demo data to their initial state
  talon-sandbox token --person G
                           sign a token for a patient (--client, --ttl)
  talon-sandbox version    print the version, the commit and the newest schema of this build

TALON_SANDBOX_KEY_FILE is the file of the key that signs the tokens; it is created if it does not
exist. The other settings are those of talon.
`,
	Default: "serve",
	Commands: map[string]func(context.Context, *command.Env, []string) error{
		"serve": command.Service(serve), "reset": reset, "token": token,
		"version": app.Version("talon-sandbox"),
	},
}

// The default issuer and audience of the tokens.
const (
	defaultIssuer   = "talon-demo"
	defaultAudience = "talon"
)

// stopTimeout bounds the shutdown of the private PostgreSQL, which begins when the context is done.
const stopTimeout = 30 * time.Second

// serve runs the service with the demo data until the context is done.
func serve(ctx context.Context, env *command.Env, args []string) (err error) {
	if err := env.Parse(flag.NewFlagSet("serve", flag.ContinueOnError), args); err != nil {
		return err
	}
	database, stop, err := startDatabase(ctx, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := prepareSchema(ctx, env, database); err != nil {
		return err
	}
	state, err := Ensure(ctx, database, time.Now())
	if err != nil {
		return err
	}
	key, keyFile, err := signingKey(env)
	if err != nil {
		return err
	}
	config, err := readConfig(env, database, keyFile)
	if err != nil {
		return err
	}
	sign := Signer(key, config.TokenIssuer, config.TokenAudience)
	token, err := sign(auth.Caller{Person: Patient, Client: Client}, time.Now())
	if err != nil {
		return fmt.Errorf("sign the first patient's token: %w", err)
	}
	log := slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: config.LogLevel}))
	service, err := app.New(ctx, config, log, time.Now, New(database, sign, time.Now).Wrappers())
	if err != nil {
		return err
	}
	defer service.Close()
	return service.ListenAndServe(ctx, func(addr net.Addr) {
		fmt.Fprint(env.Stdout, welcome(addr, token, keyFile, state))
		if env.Variables["DATABASE_URL"] == "" { // the private one, which has no password
			fmt.Fprintf(env.Stdout, administration, database)
		}
		fmt.Fprint(env.Stdout, "Ctrl-C stops the sandbox.\n\n")
	})
}

// reset resets the demo data. It uses the private PostgreSQL of a running serve, or starts it.
func reset(ctx context.Context, env *command.Env, args []string) (err error) {
	if err := env.Parse(flag.NewFlagSet("reset", flag.ContinueOnError), args); err != nil {
		return err
	}
	database, stop, err := startDatabase(ctx, env)
	if running, ok := errors.AsType[*localpg.RunningError](err); ok {
		database, stop, err = running.URL("postgres"), func() error { return nil }, nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := prepareSchema(ctx, env, database); err != nil {
		return err
	}
	if err := Reset(ctx, database, time.Now()); err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout, "The demo data are reset to the first day.")
	return nil
}

// token prints a token of a patient for a client application.
func token(_ context.Context, env *command.Env, args []string) error {
	flags := flag.NewFlagSet("token", flag.ContinueOnError)
	person := flags.String("person", "", "guid of the person in the master patient index (required)")
	client := flags.String("client", Client.String(), "guid of the client application")
	ttl := flags.Duration("ttl", TokenLife, "how long the token is valid")
	if err := env.Parse(flags, args); err != nil {
		return err
	}
	var claims auth.Caller
	var err error
	if claims.Person, err = env.Guid(flags, "person", *person); err != nil {
		return err
	}
	if claims.Client, err = env.Guid(flags, "client", *client); err != nil {
		return err
	}
	if *ttl <= 0 {
		return env.UsageError(flags, "--ttl must be above 0")
	}
	key, _, err := signingKey(env)
	if err != nil {
		return err
	}
	issuer := env.Variable("TALON_TOKEN_ISSUER", defaultIssuer)
	audience := env.Variable("TALON_TOKEN_AUDIENCE", defaultAudience)
	signed, err := key.Sign(claims, issuer, audience, time.Now(), *ttl)
	if err != nil {
		return fmt.Errorf("sign the token: %w", err)
	}
	fmt.Fprintln(env.Stdout, signed)
	return nil
}

// startDatabase returns the URL of the database, and a function that stops it: the one of
// DATABASE_URL, or else a private PostgreSQL that it starts. It returns a *localpg.RunningError if
// another process runs the private one.
func startDatabase(ctx context.Context, env *command.Env) (url string, stop func() error, err error) {
	if given := env.Variables["DATABASE_URL"]; given != "" {
		return given, func() error { return nil }, nil
	}
	dir, err := localpg.DefaultDir()
	if err != nil {
		return "", nil, err
	}
	if _, err := localpg.FindOrInstall(ctx, env.Stderr); err != nil {
		return "", nil, err
	}
	cluster, err := localpg.Start(ctx, localpg.Options{Dir: dir, Durable: true})
	if err != nil {
		return "", nil, fmt.Errorf("start the private PostgreSQL: %w", err)
	}
	return cluster.URL("postgres"), func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return cluster.Stop(ctx)
	}, nil
}

// prepareSchema migrates a database that is empty or holds the demo data. It rejects any other
// database without writing to it.
func prepareSchema(ctx context.Context, env *command.Env, database string) error {
	if err := rejectForeign(ctx, database); err != nil {
		return err
	}
	err := migrations.Up(ctx, database)
	if errors.Is(err, migrations.ErrBeforeBaseline) && env.Variables["DATABASE_URL"] == "" {
		return renewSchema(ctx, database)
	}
	return err
}

// readConfig reads the settings of talon, with the sandbox's defaults.
func readConfig(env *command.Env, database, keyFile string) (app.Config, error) {
	settings := maps.Clone(env.Variables)
	settings["DATABASE_URL"] = database
	settings["TALON_AUTH_KEY_FILE"] = keyFile
	settings["TALON_TOKEN_ISSUER"] = env.Variable("TALON_TOKEN_ISSUER", defaultIssuer)
	settings["TALON_TOKEN_AUDIENCE"] = env.Variable("TALON_TOKEN_AUDIENCE", defaultAudience)
	settings["TALON_CORS_ORIGINS"] = env.Variable("TALON_CORS_ORIGINS", server.AnyOrigin)
	settings["TALON_SHUTDOWN_DELAY"] = env.Variable("TALON_SHUTDOWN_DELAY", "0s") // there is no load balancer
	// Tools send all their requests with the token of one patient.
	settings["TALON_PERSON_RATE"] = env.Variable("TALON_PERSON_RATE", "0")
	settings["TALON_PERSON_MAX_IN_FLIGHT"] = env.Variable("TALON_PERSON_MAX_IN_FLIGHT", "0")
	settings["TALON_WEBHOOK_ADDRESSES"] = env.Variable("TALON_WEBHOOK_ADDRESSES", string(webhook.Loopback))
	config, err := app.ReadConfig(settings)
	config.KeepTokens = true // they open the demo data only
	return config, err
}

// signingKey returns the key that signs the sandbox's tokens, and its file: TALON_SANDBOX_KEY_FILE,
// or else a file beside the directory of the private PostgreSQL. It creates the file if it does not
// exist.
func signingKey(env *command.Env) (*auth.SigningKey, string, error) {
	path := env.Variables["TALON_SANDBOX_KEY_FILE"]
	if path == "" {
		dir, err := localpg.DefaultDir()
		if err != nil {
			return nil, "", err
		}
		path = filepath.Join(filepath.Dir(dir), "sandbox-key.pem")
	}
	key, err := auth.EnsureSigningKey(path)
	if err != nil {
		return nil, "", fmt.Errorf("load the signing key: %w", err)
	}
	return key, path, nil
}

// rejectForeign returns an error if the database holds anything but the demo data.
func rejectForeign(ctx context.Context, database string) error {
	current, err := migrations.Current(ctx, database)
	if err != nil {
		return err
	}
	return withConnection(ctx, database, func(conn *pgx.Conn) error {
		if current > 0 {
			return Check(ctx, conn)
		}
		var tables int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").
			Scan(&tables); err != nil {
			return fmt.Errorf("count the tables: %w", err)
		}
		if tables > 0 {
			return errors.New("the database has tables that are not Talon's: use an empty database")
		}
		return nil
	})
}

// renewSchema drops the schema of a private database that a build before the first release created,
// and creates the current one.
func renewSchema(ctx context.Context, database string) error {
	err := withConnection(ctx, database, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
		return err
	})
	if err != nil {
		return fmt.Errorf("drop the schema of an earlier build: %w", err)
	}
	return migrations.Up(ctx, database)
}

// withConnection calls do with a connection to the database, and closes it afterwards.
func withConnection(ctx context.Context, database string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return do(conn)
}

// welcome returns the text that serve prints after the start: links, a token, and requests to
// paste.
func welcome(addr net.Addr, token, keyFile string, state State) string {
	base, booked := "http://"+addr.String(), ""
	if !state.FirstExampleFree {
		booked = "Its referral is booked already, so the request is refused: make demo-reset resets the demo data.\n"
	}
	text := fmt.Sprintf(`
Talon is ready. Book as a patient, in the browser:

  %s/portal/

Or try each operation: Authorize with the token, then Try it out.

  %s/docs/

The token of the first example's patient, valid for 12 hours:

%s

Book the source's first example:
%s
curl -s %s/appointments -H 'Content-Type: application/json' \
  -H 'Authorization: Bearer %s' \
  -d '%s'

`, base, base, token, booked, base, token, FirstExample)
	text += fmt.Sprintf(`Have a token made for a patient, as a client application does, with its guid and its secret:

curl -sG %s/auth/cod/token -u %s:%s \
  -d personguid=%s

Have a system token made for a clinic's system (МИС), and read its institution:

curl -s %s/auth/token -u %s:%s \
  -d grant_type=client_credentials

curl -s %s/registry/lpus/%s -H 'Authorization: Bearer …'

`, base, Client, ClientSecret, Patient, base, SystemClient, ClientSecret, base, exampleTarget)
	if state.Action == Renewed {
		text += "The demo data were outdated and have been loaded anew.\n"
	}
	return text + fmt.Sprintf(
		"Tokens of other patients: TALON_SANDBOX_KEY_FILE=%s bin/talon-sandbox token --person GUID\n\n", keyFile,
	)
}

// administration is the text that serve prints after welcome, with the address of the database.
const administration = `Load files and add client applications in another shell (docs/integrate.md):

export DATABASE_URL='%s'
bin/talon client list

`
