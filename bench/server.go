package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"talon.example/internal/localpg"
)

// server is the PostgreSQL server to measure: the one of DATABASE_URL, or else a private one, which
// keeps its data between runs.
type server struct {
	url  func(database string) string
	stop func() error
	bin  string // the directory with pgbench
	own  bool   // the server is private
}

const stopTimeout = 2 * time.Minute

// startServer returns the server of DATABASE_URL, or starts the private one. The caller must call
// stop.
func startServer(ctx context.Context, progress io.Writer) (*server, error) {
	binaries, err := localpg.FindOrInstall(ctx, progress)
	if err != nil {
		return nil, fmt.Errorf("find PostgreSQL: %w", err)
	}
	if given := os.Getenv("DATABASE_URL"); given != "" {
		address, err := url.Parse(given)
		if err != nil {
			return nil, errors.New("DATABASE_URL: must be of the form postgres://…")
		}
		return &server{
			url: func(database string) string {
				other := *address
				other.Path = "/" + database
				return other.String()
			},
			stop: func() error { return nil },
			bin:  binaries.Dir,
		}, nil
	}
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	options := localpg.Options{Dir: filepath.Join(dir, "postgres"), Durable: true}
	cluster, err := localpg.Start(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("start the private PostgreSQL of the benchmark: %w", err)
	}
	stop := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return cluster.Stop(ctx)
	}
	restart, err := configure(ctx, cluster.URL(maintenance))
	if err == nil && restart {
		if err = stop(); err == nil {
			cluster, err = localpg.Start(ctx, options)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("configure the private PostgreSQL of the benchmark: %w", err), stop())
	}
	return &server{url: cluster.URL, stop: stop, bin: binaries.Dir, own: true}, nil
}

// maintenance is the database that every server has.
const maintenance = "postgres"

// configure applies settings that an administrator would use on a dedicated machine: a quarter of
// the memory, preallocated WAL files with compressed full pages, and checkpoints so rare that none
// occurs during a measurement. The settings for durability keep their defaults. It reports whether
// the server must be restarted.
func configure(ctx context.Context, url string) (restart bool, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// PostgreSQL 14 has no choice of the compression method.
	var compression string
	err = conn.QueryRow(ctx, `
		SELECT CASE WHEN 'lz4' = ANY(enumvals) THEN 'lz4' ELSE 'on' END
		FROM pg_settings
		WHERE name = 'wal_compression'`).Scan(&compression)
	if err != nil {
		return false, err
	}
	for _, setting := range []struct{ name, value string }{
		{"shared_buffers", strconv.FormatInt(totalMemory()>>20/4, 10) + "MB"},
		{"max_wal_size", "16GB"},
		{"min_wal_size", "2GB"},
		{"wal_compression", compression},
		{"checkpoint_timeout", "1h"},
	} {
		if _, err := conn.Exec(ctx,
			fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", setting.name, setting.value)); err != nil {
			return false, err
		}
	}
	if _, err := conn.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		return false, err
	}
	// A setting that needs a restart is reported as an error of the configuration file.
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_file_settings WHERE error IS NOT NULL)").Scan(&restart)
	return restart, err
}

// recreate drops a database if it exists, and creates it empty.
func (s *server) recreate(ctx context.Context, database string) error {
	return s.copyDatabase(ctx, "template1", database)
}

// copyDatabase drops a database if it exists, and creates it as a copy of another one, which must
// have no connections.
func (s *server) copyDatabase(ctx context.Context, original, database string) error {
	conn, err := pgx.Connect(ctx, s.url(maintenance))
	if err != nil {
		return fmt.Errorf("open the server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	name := pgx.Identifier{database}.Sanitize()
	create := "CREATE DATABASE " + name + " TEMPLATE " + pgx.Identifier{original}.Sanitize()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", create} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// databaseName returns the name of the database of a scale.
func databaseName(scale float64) string {
	return "talon_bench_" + strings.ReplaceAll(strconv.FormatFloat(scale, 'f', -1, 64), ".", "_")
}

// cacheDir returns the directory of the benchmark's server and files, and creates it. It is beside
// the sandbox's directory, where the server's account can enter.
func cacheDir() (string, error) {
	demo, err := localpg.DefaultDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(filepath.Dir(demo)), "talon-bench")
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // PostgreSQL's account must be able to enter
}
