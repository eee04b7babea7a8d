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

// This file is copied into the benchmark of the commit that a run is compared with, and built there with the tag comparison: the measurements are made by
// that commit's own code. It uses only functions that the benchmark of every commit since ceac2b7 has.

// init runs the worker instead of a command if the first argument is "worker".
//
//nolint:gochecknoinits // the main function of an earlier commit does not know the worker
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

// work starts the program as the service on data of the scale in a database of this commit, and then makes the measurements that the lines of the standard
// input name, each as a name and a number of requests. It writes a line of JSON for each: an object without a sample as soon as it is ready, and
// then the samples. DATABASE_URL is the server; own means that nobody else uses it.
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
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		var name string
		var n int64
		if _, err := fmt.Sscan(orders.Text(), &name, &n); err != nil {
			return fmt.Errorf("read the measurement %q: %w", orders.Text(), err)
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
			err = fmt.Errorf("there is no measurement %q", name)
		}
		if err != nil {
			return err
		}
		if err := output.Encode(map[string]Sample{"sample": sample}); err != nil {
			return err
		}
	}
	return orders.Err()
}

// workerData returns the region of the scale. It makes the data unless they are this commit's and still serve: the database's comment is the commit.
func workerData(ctx context.Context, server *server, commit string, scale float64) (Region, error) {
	database := databaseName(scale) + "_base"
	conn, err := pgx.Connect(ctx, server.url(maintenance))
	if err != nil {
		return Region{}, fmt.Errorf("open the server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var current bool
	err = conn.QueryRow(ctx,
		"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND shobj_description(oid, 'pg_database') = $2)", database, commit).Scan(&current)
	if err != nil {
		return Region{}, fmt.Errorf("read whose data they are: %w", err)
	}
	if current {
		region, err := readRegion(ctx, server, scale)
		if err == nil && time.Until(region.Expires()) > time.Hour {
			return region, nil
		}
	}
	region := NewRegion(scale, time.Now())
	fmt.Fprintf(os.Stderr, "making the data of scale %g as commit %s does\n", scale, commit)
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
	comment := fmt.Sprintf("COMMENT ON DATABASE %s IS '%s'", pgx.Identifier{database}.Sanitize(), strings.ReplaceAll(commit, "'", "''"))
	if _, err := conn.Exec(ctx, comment); err != nil {
		return Region{}, fmt.Errorf("note whose data they are: %w", err)
	}
	return region, nil
}
