// Package testdb gives every test a PostgreSQL database of its own, cloned in milliseconds from a template at the
// newest schema. A package that uses it says so once:
//
//	func TestMain(m *testing.M) { testdb.Main(m) }
package testdb

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"talon.example/internal/localpg"
)

// URLVariable names a server to use instead of a private one: the URL of any database of it, for a role that may
// create others.
const URLVariable = "TALON_TEST_DATABASE_URL"

// No wait is longer than these.
const (
	prepareTimeout  = 3 * time.Minute
	databaseTimeout = time.Minute
	stopTimeout     = time.Minute
)

// shared is the server that the tests of this process share.
var shared = &server{given: os.Getenv(URLVariable), now: time.Now}

// Main runs the tests of a package and ends the process. The first test that asks for a database starts a private
// PostgreSQL, unless a server is given; Main stops it. Without either the test fails: no test is ever skipped for the
// lack of a database. After tests that passed, a goroutine that is left over is a failure.
func Main(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	shared.open()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	finished := make(chan struct{})
	go func() {
		select {
		case <-interrupted:
			signal.Stop(interrupted) // whoever asks again is not kept waiting
			shutDown()
			os.Exit(130)
		case <-finished:
		}
	}()
	code := m.Run()
	if !shutDown() && code == 0 {
		code = 1
	}
	signal.Stop(interrupted)
	close(finished)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "testdb: the tests passed but left goroutines:", err)
			code = 1
		}
	}
	return code
}

// shutDown stops the private server, if there is one.
func shutDown() bool {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := shared.close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "testdb:", err)
		return false
	}
	return true
}

// IndexRows makes the rows that lead to all medical cards and visits, for tests that write these by SQL of their own.
const IndexRows = `
	INSERT INTO person_lpu (person_guid, lpu_guid)
	SELECT DISTINCT m.person_guid, m.lpu_guid FROM mkab m
	ON CONFLICT DO NOTHING;
	INSERT INTO card_key (kind, value, lpu_guid, mkab_guid)
	SELECT 'guid'::card_key_kind, m.guid::text, m.lpu_guid, m.guid FROM mkab m
	UNION ALL SELECT 'snils', translate(m.snils, '- ', ''), m.lpu_guid, m.guid FROM mkab m WHERE m.snils <> ''
	UNION ALL SELECT 'policy', p.series || ' ' || p.number, p.lpu_guid, p.mkab_guid FROM mkab_policy p
	ON CONFLICT DO NOTHING;
	INSERT INTO person_appointment (person_guid, guid)
	SELECT DISTINCT a.person_guid, a.guid FROM appointment a
	ON CONFLICT DO NOTHING`

// RequireIndexed fails the test unless every medical card and visit has the rows that lead to it.
func RequireIndexed(tb testing.TB, db interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
},
) {
	tb.Helper()
	count := func() (rows int) {
		const all = `SELECT (SELECT count(*) FROM person_lpu) + (SELECT count(*) FROM card_key) + (SELECT count(*) FROM person_appointment)`
		if err := db.QueryRow(tb.Context(), all).Scan(&rows); err != nil {
			tb.Fatal(err)
		}
		return rows
	}
	before := count()
	if _, err := db.Exec(tb.Context(), IndexRows); err != nil {
		tb.Fatal(err)
	}
	if missing := count() - before; missing > 0 {
		tb.Fatalf("%d rows that lead to cards and visits are missing", missing)
	}
}

// New makes a database at the newest schema for one test, and drops it when the test ends. It returns the URL.
func New(tb testing.TB) string {
	tb.Helper()
	shared.require(tb)
	return shared.give(tb, shared.template)
}

// Fresh makes a database without a schema for one test of the migrations, say. The rest is as with New.
func Fresh(tb testing.TB) string {
	tb.Helper()
	shared.require(tb)
	return shared.give(tb, "template0")
}

// Cluster starts a private PostgreSQL for one test, which may stop and kill it, and stops it when the test ends.
func Cluster(tb testing.TB) *localpg.Cluster {
	tb.Helper()
	c, err := localpg.Start(tb.Context(), localpg.Options{})
	if err != nil {
		tb.Fatalf("testdb: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), stopTimeout)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			tb.Errorf("testdb: %v", err)
		}
	})
	return c
}

// require ends the test if there is no server for it.
func (s *server) require(tb testing.TB) {
	tb.Helper()
	if err := s.ready(); err != nil {
		tb.Fatalf("testdb: %v", err)
	}
}

// give makes a database for as long as the test lasts.
func (s *server) give(tb testing.TB, template string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), databaseTimeout)
	defer cancel()
	name, err := s.create(ctx, template)
	if err != nil {
		tb.Fatalf("testdb: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), databaseTimeout)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			tb.Errorf("testdb: %v", err)
		}
	})
	return s.url(name)
}
