// Package migrations holds the database schema as goose migrations and applies them.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver of database/sql, which goose works through
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// FS holds the migrations, NNNNN_name.sql each with its Up and Down.
//
//go:embed *.sql
var FS embed.FS

// Up brings the database to the newest schema. A session lock lets any number of instances call it at once:
// one migrates, the others wait for it (five minutes at most) and find nothing to do.
func Up(ctx context.Context, databaseURL string) error {
	return withProvider(databaseURL, func(p *goose.Provider) error {
		if _, err := p.Up(ctx); err != nil {
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
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return 0, fmt.Errorf("open the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var migrated bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&migrated); err != nil {
		return 0, fmt.Errorf("look for the table of versions: %w", err)
	}
	if !migrated {
		return 0, nil
	}
	var version int64
	if err := conn.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version); err != nil {
		return 0, fmt.Errorf("read the schema version: %w", err)
	}
	return version, nil
}

// withProvider runs do with a goose provider over a connection that is closed afterwards.
func withProvider(databaseURL string, do func(*goose.Provider) error) (err error) {
	conn, err := sql.Open("pgx", databaseURL)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
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
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, FS, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	return do(provider)
}
