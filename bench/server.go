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

// server is the PostgreSQL that is measured: the one of DATABASE_URL, else one of the benchmark's own, which keeps its data from run to run.
type server struct {
	url  func(database string) string
	stop func() error
	bin  string // the folder with pgbench
	own  bool
}

const stopTimeout = 2 * time.Minute

// startServer starts the server, or finds the one given.
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
		return nil, fmt.Errorf("start the benchmark's own PostgreSQL: %w", err)
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
		return nil, errors.Join(fmt.Errorf("set up the benchmark's own PostgreSQL: %w", err), stop())
	}
	return &server{url: cluster.URL, stop: stop, bin: binaries.Dir, own: true}, nil
}

// maintenance is the database that every server has.
const maintenance = "postgres"

// configure gives the server what an administrator would give a machine of its own: a quarter of the memory, a log whose files are there before they
// are needed and whose whole pages are compressed, and checkpoints so rare that none falls into a measurement. What makes a commit durable stays as
// PostgreSQL has it. It tells whether the server must be started anew.
func configure(ctx context.Context, url string) (restart bool, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// PostgreSQL 14 knows but one way to compress.
	var compression string
	err = conn.QueryRow(ctx, "SELECT CASE WHEN 'lz4' = ANY(enumvals) THEN 'lz4' ELSE 'on' END FROM pg_settings WHERE name = 'wal_compression'").Scan(&compression)
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
		if _, err := conn.Exec(ctx, fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", setting.name, setting.value)); err != nil {
			return false, err
		}
	}
	if _, err := conn.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		return false, err
	}
	// What only a start can change is an error of the file until then.
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_file_settings WHERE error IS NOT NULL)").Scan(&restart)
	return restart, err
}

// recreate makes an empty database in the place of the one there is.
func (s *server) recreate(ctx context.Context, database string) error {
	conn, err := pgx.Connect(ctx, s.url(maintenance))
	if err != nil {
		return fmt.Errorf("open the server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	name := pgx.Identifier{database}.Sanitize()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + name, "CREATE DATABASE " + name} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// databaseName is the database that holds the region of a scale.
func databaseName(scale float64) string {
	return "talon_bench_" + strings.ReplaceAll(strconv.FormatFloat(scale, 'f', -1, 64), ".", "_")
}

// cacheDir is where the benchmark keeps its server and its files: a folder beside the demo's, in a place that the server's account can enter.
func cacheDir() (string, error) {
	demo, err := localpg.DefaultDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(filepath.Dir(demo)), "talon-bench")
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // PostgreSQL's account must be able to enter
}
