// Package migrations contains the database schema as goose migrations and applies them.
package migrations

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"talon.example/internal/pooler"
)

// FS contains the migrations: files NNNNN_name.sql, each with its Up and Down.
//
//go:embed *.sql
var FS embed.FS

// versionTable records the applied migrations. Goose's default name may belong to another
// application in the same database.
const versionTable = "talon_schema_version"

// baseline is the version of the first migration. Builds before the first release used lower
// versions.
const baseline = 20

// ErrBeforeBaseline is returned for a database created by a build before the first release. Its
// data cannot be migrated.
var ErrBeforeBaseline = errors.New("the database was created by a build before the first release: create an empty one")

// ErrBuildTooOld is returned for a database whose schema does not allow builds as old as this one,
// because they would break its guarantees.
var ErrBuildTooOld = errors.New("this build is too old for the database")

// ErrPooler is returned by Up for the address of a pooler such as PgBouncer, which would give its
// statements and its session lock to different sessions.
var ErrPooler = errors.New("migrations cannot run through a pooler such as PgBouncer: set TALON_MIGRATE=false, " +
	"and run talon migrate with the address of the database itself")

// A migration that waits for a lock blocks all later requests for the lock. Therefore it fails
// after lockTimeout, which is shorter than the service waits for locks, and Up retries it after
// lockPause, at most lockTries times in total.
const (
	lockTimeout      = "500ms"
	lockPause        = 2 * time.Second
	lockTries        = 30
	lockNotAvailable = "55P03"
)

// Up migrates the database to the newest schema. It holds a session lock, so that several instances
// may call it at once: one migrates, and the others wait for at most five minutes and then find an
// up-to-date schema. For a database older than the baseline, the error wraps ErrBeforeBaseline, for
// one that does not allow this build ErrBuildTooOld, and for the address of a pooler ErrPooler.
func Up(ctx context.Context, databaseURL string) error {
	current, err := startOf(ctx, databaseURL)
	if err != nil {
		return err
	}
	if current > 0 && current < baseline {
		return fmt.Errorf("schema version %d: %w", current, ErrBeforeBaseline)
	}
	return withProvider(databaseURL, func(p *goose.Provider) error {
		pauses := backoff.NewConstantBackOff(lockPause)
		_, err := backoff.Retry(ctx, func() (struct{}, error) {
			_, err := p.Up(ctx)
			var pgErr *pgconn.PgError
			if err != nil && (!errors.As(err, &pgErr) || pgErr.Code != lockNotAvailable) {
				err = backoff.Permanent(err)
			}
			return struct{}{}, err
		}, backoff.WithBackOff(pauses), backoff.WithMaxTries(lockTries))
		if err != nil {
			return fmt.Errorf("apply migrations: %w", err)
		}
		return nil
	})
}

// Down reverts the newest applied migration. It returns an error if no migration is applied.
func Down(ctx context.Context, databaseURL string) error {
	return withProvider(databaseURL, func(p *goose.Provider) error {
		if _, err := p.Down(ctx); err != nil {
			return fmt.Errorf("revert a migration: %w", err)
		}
		return nil
	})
}

// Latest returns the newest schema version of this build.
func Latest() (int64, error) {
	names, err := FS.ReadDir(".")
	if err != nil {
		return 0, fmt.Errorf("read the embedded migrations: %w", err)
	}
	var latest int64
	for _, name := range names {
		version, err := goose.NumericComponent(name.Name())
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", name.Name(), err)
		}
		latest = max(latest, version)
	}
	return latest, nil
}

// Current returns the schema version of the database, or 0 if it was never migrated. It only reads.
func Current(ctx context.Context, databaseURL string) (int64, error) {
	conn, err := Connect(ctx, databaseURL)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return CurrentOf(ctx, conn)
}

// startOf is Current for a database that is going to be migrated. The error wraps ErrPooler if the
// address is that of a pooler, and ErrBuildTooOld if the database does not allow this build.
func startOf(ctx context.Context, databaseURL string) (int64, error) {
	conn, err := Connect(ctx, databaseURL)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	behind, err := pooler.Behind(ctx, conn)
	if err != nil {
		return 0, fmt.Errorf("connect to the database: %w", err)
	}
	if behind {
		return 0, ErrPooler
	}
	if err := CheckBuild(ctx, conn); err != nil {
		return 0, err
	}
	return CurrentOf(ctx, conn)
}

// Connect opens a connection to a database that may have no schema yet. Unless the address has
// connect_timeout, it waits two seconds for each host.
func Connect(ctx context.Context, databaseURL string) (*pgx.Conn, error) {
	config, err := connConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return conn, nil
}

// Database is an open database.
type Database interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// CheckBuild returns an error that wraps ErrBuildTooOld if the schema of the database does not
// allow builds as old as this one. It only reads.
func CheckBuild(ctx context.Context, db Database) error {
	latest, err := Latest()
	if err != nil {
		return err
	}
	var stored bool
	if err := db.QueryRow(ctx, "SELECT to_regproc('oldest_build') IS NOT NULL").Scan(&stored); err != nil {
		return fmt.Errorf("find the oldest build: %w", err)
	}
	if !stored {
		return nil // the schema is older than the check
	}
	var oldest int64
	if err := db.QueryRow(ctx, "SELECT oldest_build()").Scan(&oldest); err != nil {
		return fmt.Errorf("read the oldest build: %w", err)
	}
	if latest < oldest {
		return fmt.Errorf("%w: it knows the schema up to version %d, and must know version %d: install a newer release",
			ErrBuildTooOld, latest, oldest)
	}
	return nil
}

// CurrentOf is Current for a database that is already open.
func CurrentOf(ctx context.Context, db Database) (int64, error) {
	var migrated bool
	if err := db.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", versionTable).Scan(&migrated); err != nil {
		return 0, fmt.Errorf("find the version table: %w", err)
	}
	if !migrated {
		return 0, nil
	}
	var version int64
	row := db.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+versionTable+" WHERE is_applied")
	if err := row.Scan(&version); err != nil {
		return 0, fmt.Errorf("read the schema version: %w", err)
	}
	return version, nil
}

// withProvider calls do with a goose provider and closes its connection afterwards.
func withProvider(databaseURL string, do func(*goose.Provider) error) (err error) {
	config, err := connConfig(databaseURL)
	if err != nil {
		return err
	}
	config.RuntimeParams["lock_timeout"] = lockTimeout
	config.RuntimeParams["statement_timeout"] = "0" // the role may have that of requests
	conn := stdlib.OpenDB(*config)
	defer func() {
		if closeErr := conn.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close the database: %w", closeErr)
		}
	}()
	// Try to take the lock every second. With the default of five seconds, ten instances that start
	// at once would need most of a minute.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return fmt.Errorf("create the session lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, FS,
		goose.WithSessionLocker(locker), goose.WithTableName(versionTable))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	return do(provider)
}

// connectTimeout bounds the attempt to connect to one host, unless the address has connect_timeout.
const connectTimeout = 2 * time.Second

// connConfig parses the database URL as the service does. It also accepts the parameters of the
// pool.
func connConfig(databaseURL string) (*pgx.ConnConfig, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("parse the database's address: %w", err)
	}
	config.ConnConfig.ConnectTimeout = cmp.Or(config.ConnConfig.ConnectTimeout, connectTimeout)
	return config.ConnConfig, nil
}
