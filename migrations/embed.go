// Package migrations holds the database schema as goose migrations and applies them.
package migrations

import (
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
)

// FS holds the migrations, NNNNN_name.sql each with its Up and Down.
//
//go:embed *.sql
var FS embed.FS

// versionTable holds which migrations have been applied. Goose's own name for it may be another application's in the same database.
const versionTable = "talon_schema_version"

// baseline is the version of the first migration. The lower numbers were those of builds before the first release.
const baseline = 20

// ErrBeforeBaseline is returned for a database that was made by a build before the first release. Its data cannot be taken over.
var ErrBeforeBaseline = errors.New("the database was made by a build before the first release: create an empty one")

// A migration that waits for a lock has everybody behind it wait, too. So it gives up soon, lets them pass, and tries again.
const (
	lockTimeout      = "1s"
	lockPause        = 2 * time.Second
	lockTries        = 30
	lockNotAvailable = "55P03"
)

// Up brings the database to the newest schema. A session lock lets any number of instances call it at once:
// one migrates, the others wait for it (five minutes at most) and find nothing to do.
func Up(ctx context.Context, databaseURL string) error {
	current, err := Current(ctx, databaseURL)
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
			var refused *pgconn.PgError
			if err != nil && (!errors.As(err, &refused) || refused.Code != lockNotAvailable) {
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

// Down takes the schema back by one migration.
func Down(ctx context.Context, databaseURL string) error {
	return withProvider(databaseURL, func(p *goose.Provider) error {
		if _, err := p.Down(ctx); err != nil {
			return fmt.Errorf("take back a migration: %w", err)
		}
		return nil
	})
}

// Latest is the newest schema version that this build carries.
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

// Current is the schema version that the database is at; 0 where it has never been migrated. It only reads.
func Current(ctx context.Context, databaseURL string) (int64, error) {
	config, err := connConfig(databaseURL)
	if err != nil {
		return 0, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return 0, fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var migrated bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", versionTable).Scan(&migrated); err != nil {
		return 0, fmt.Errorf("look for the table of versions: %w", err)
	}
	if !migrated {
		return 0, nil
	}
	var version int64
	if err := conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+versionTable+" WHERE is_applied").Scan(&version); err != nil {
		return 0, fmt.Errorf("read the schema version: %w", err)
	}
	return version, nil
}

// withProvider runs do with a goose provider over a connection that is closed afterwards.
func withProvider(databaseURL string, do func(*goose.Provider) error) (err error) {
	config, err := connConfig(databaseURL)
	if err != nil {
		return err
	}
	config.RuntimeParams["lock_timeout"] = lockTimeout
	conn := stdlib.OpenDB(*config)
	defer func() {
		if closeErr := conn.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close the database: %w", closeErr)
		}
	}()
	// The default asks again every five seconds: ten instances that start at once would take most of a minute.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return fmt.Errorf("make the session lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, FS, goose.WithSessionLocker(locker), goose.WithTableName(versionTable))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	return do(provider)
}

// connConfig reads the database's address as the service does, with the words about the pool in it.
func connConfig(databaseURL string) (*pgx.ConnConfig, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("parse the database's address: %w", err)
	}
	return config.ConnConfig, nil
}
