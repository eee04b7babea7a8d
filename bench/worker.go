//go:build comparison

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"talon.example/migrations"
)

// This file is copied into the benchmark of the commit that a run is compared with, and built there
// with the tag comparison, so that the commit's own code makes the measurements. It must use only
// functions that the benchmark of every commit since ceac2b7 has.

// init runs the worker instead of main if the first argument is "worker".
//
//nolint:gochecknoinits // the main function of an earlier commit cannot start the worker
func init() {
	const arguments = 6
	if len(os.Args) != arguments || os.Args[1] != "worker" {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := work(ctx, os.Args[2], os.Args[3], os.Args[4], os.Args[5] == "own")
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// work starts the program as the service, with data of the scale in a database of this commit. Then
// it makes the measurements that it reads from standard input: each line has a name and a number of
// requests. It writes a JSON object to standard output when it is ready, and one with the sample
// after each measurement. DATABASE_URL is the server; own means that the server is private to the
// benchmark.
func work(ctx context.Context, commit, program, scaleText string, own bool) (err error) {
	scale, err := strconv.ParseFloat(scaleText, 64)
	if err != nil {
		return fmt.Errorf("read the scale: %w", err)
	}
	server, err := startServer(ctx, os.Stderr)
	if err != nil {
		return err
	}
	url := server.url
	server.own = own
	server.url = func(database string) string {
		if database == maintenance {
			return url(database)
		}
		return url(database + "_base")
	}
	region, err := workerData(ctx, server, commit, scale)
	if err != nil {
		return err
	}
	s, err := openSite(ctx, server, program, region)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if _, err := s.closed(ctx, 16, warmUpRequests, s.take(warmUpRequests)); err != nil {
		return err
	}
	output := json.NewEncoder(os.Stdout)
	if err := output.Encode(struct{}{}); err != nil {
		return err
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		var name string
		var n int64
		if _, err := fmt.Sscan(commands.Text(), &name, &n); err != nil {
			return fmt.Errorf("parse the command %q: %w", commands.Text(), err)
		}
		var sample Sample
		switch name {
		case "limit":
			sample, err = s.limit(ctx, 0, n)
		case "booking":
			sample, err = s.closed(ctx, 16, n, s.take(n))
		case "search":
			sample, err = s.search(ctx, 16, n)
		default:
			err = fmt.Errorf("unknown measurement %q", name)
		}
		if err != nil {
			return err
		}
		if err := output.Encode(map[string]Sample{"sample": sample}); err != nil {
			return err
		}
	}
	return commands.Err()
}

// workerData returns the region of the scale. It creates the data unless they are of this commit
// and have not expired. The comment on the database is the commit.
func workerData(ctx context.Context, server *server, commit string, scale float64) (Region, error) {
	database := databaseName(scale) + "_base"
	conn, err := pgx.Connect(ctx, server.url(maintenance))
	if err != nil {
		return Region{}, fmt.Errorf("open the server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var current bool
	err = conn.QueryRow(ctx,
		"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND shobj_description(oid, 'pg_database') = $2)",
		database, commit).Scan(&current)
	if err != nil {
		return Region{}, fmt.Errorf("read the commit of the data: %w", err)
	}
	if current {
		region, err := readRegion(ctx, server, scale)
		if err == nil && time.Until(region.Expires()) > time.Hour {
			return region, nil
		}
	}
	region := NewRegion(scale, time.Now())
	fmt.Fprintf(os.Stderr, "creating the data of scale %g with commit %s\n", scale, commit)
	if err := server.recreate(ctx, database); err != nil {
		return Region{}, err
	}
	url := server.url(databaseName(scale))
	if err := migrations.Up(ctx, url); err != nil {
		return Region{}, err
	}
	if err := fill(ctx, url, region, os.Stderr); err != nil {
		return Region{}, err
	}
	comment := fmt.Sprintf("COMMENT ON DATABASE %s IS '%s'", pgx.Identifier{database}.Sanitize(),
		strings.ReplaceAll(commit, "'", "''"))
	if _, err := conn.Exec(ctx, comment); err != nil {
		return Region{}, fmt.Errorf("record the commit of the data: %w", err)
	}
	return region, nil
}
