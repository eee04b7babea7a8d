package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// The minimal booking is the fixed reference: one plpgsql function that reads the referral, copies
// it, takes the cell and inserts the appointment, without rules and without a service. It does not
// change with the service's statements, so ratios to it can be compared over the project's history.

//go:embed minimal.sql
var minimalSchema string

//go:embed minimal.pgbench
var minimalScript []byte

const (
	minimalDatabase = "talon_bench_minimal"
	minimalClients  = 16
	minimalRows     = 1_000_000 // cells and referrals that minimal.sql creates
)

// minimal is the database of the minimal booking.
type minimal struct {
	site *site // without a service
	next int64 // number of bookings so far, each of another cell and referral
}

// openMinimal recreates the database, so that all rows are unbooked.
func openMinimal(ctx context.Context, server *server) (_ *minimal, err error) {
	if err := server.recreate(ctx, minimalDatabase); err != nil {
		return nil, err
	}
	m := &minimal{site: &site{server: server, url: server.url(minimalDatabase)}}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close(ctx))
		}
	}()
	if m.site.conn, err = pgx.Connect(ctx, m.site.url); err != nil {
		return nil, fmt.Errorf("open the database of the minimal booking: %w", err)
	}
	m.site.postmaster = clusterProcess(ctx, m.site.conn)
	// The simple protocol allows several statements in one text.
	if _, err := m.site.conn.PgConn().Exec(ctx, minimalSchema).ReadAll(); err != nil {
		return nil, fmt.Errorf("create the tables of the minimal booking: %w", err)
	}
	if _, err := m.site.conn.Exec(ctx, "VACUUM (FREEZE, ANALYZE)"); err != nil {
		return nil, fmt.Errorf("vacuum and analyze the tables of the minimal booking: %w", err)
	}
	return m, nil
}

func (m *minimal) close(ctx context.Context) error { return m.site.close(ctx) }

// measure makes n minimal bookings with pgbench. n is rounded down to a multiple of minimalClients.
// The sample has no latencies, because pgbench writes no log here.
func (m *minimal) measure(ctx context.Context, n int64) (Sample, error) {
	n -= n % minimalClients
	if m.next+n > minimalRows {
		return Sample{}, fmt.Errorf("all %d rows of the minimal booking are booked: use fewer rounds or requests",
			minimalRows)
	}
	if _, err := m.site.conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return Sample{}, fmt.Errorf("write a checkpoint: %w", err)
	}
	before, err := m.site.meter(ctx)
	if err != nil {
		return Sample{}, err
	}
	load, err := m.run(ctx, n)
	if err != nil {
		return Sample{}, err
	}
	after, err := m.site.meter(ctx)
	if err != nil {
		return Sample{}, err
	}
	m.next += n
	var found int64
	if err := m.site.conn.QueryRow(ctx, "SELECT count(*) FROM appt").Scan(&found); err != nil {
		return Sample{}, fmt.Errorf("count the minimal bookings: %w", err)
	}
	if found != m.next || load.Requests != n {
		return Sample{}, fmt.Errorf("pgbench made %d of %d minimal bookings, and the table has %d rows, want %d",
			load.Requests, n, found, m.next)
	}
	return newSample(load, before, after), nil
}

// run makes n bookings of unbooked rows with pgbench.
func (m *minimal) run(ctx context.Context, n int64) (Load, error) {
	dir, err := os.MkdirTemp("", "talon-bench-")
	if err != nil {
		return Load{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "minimal.pgbench")
	if err := os.WriteFile(file, minimalScript, 0o600); err != nil {
		return Load{}, err
	}
	clients := strconv.Itoa(minimalClients)
	return runPgbench(ctx, m.site.server, nil,
		"-n", "-M", "prepared", "-c", clients, "-j", "1", "-t", strconv.FormatInt(n/minimalClients, 10),
		"-f", file, "--define=turn=-1", "--define=base="+strconv.FormatInt(m.next, 10), m.site.url)
}
