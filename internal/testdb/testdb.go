// Package testdb creates a PostgreSQL database for each test, cloned in milliseconds from a
// template with the newest schema. A package that uses it needs this function:
//
//	func TestMain(m *testing.M) { testdb.Main(m) }
package testdb

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"talon.example/internal/localpg"
)

// URLVariable is the environment variable that selects a server instead of a private one. Its value
// is the URL of any database of the server, with a role that may create databases.
const URLVariable = "TALON_TEST_DATABASE_URL"

const (
	prepareTimeout  = 3 * time.Minute
	databaseTimeout = time.Minute
	stopTimeout     = time.Minute
)

// shared is the server that all tests of this process share.
var shared = &server{
	address: cmp.Or(os.Getenv(CitusVariable), os.Getenv(URLVariable)), now: time.Now, distributed: Distributed(),
}

// Main runs the tests of a package and exits the process. The first test that needs a database
// starts a private PostgreSQL, unless URLVariable is set, and Main stops it. If no server is
// available, the tests that need one fail; they are never skipped. If the tests pass but leave
// goroutines, the exit code is 1.
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
			signal.Stop(interrupted) // a second signal terminates the process at once
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

// shutDown closes the shared server and reports whether that succeeded. It prints the error.
func shutDown() bool {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := shared.close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "testdb:", err)
		return false
	}
	return true
}

// IndexRows inserts the missing lookup rows of all medical cards and visits (person_lpu, card_key,
// person_appointment), for tests that insert cards and visits with SQL of their own.
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

// RequireIndexed fails the test unless every medical card and visit has its lookup rows.
func RequireIndexed(tb testing.TB, db interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
},
) {
	tb.Helper()
	count := func() (rows int) {
		const all = `SELECT (SELECT count(*) FROM person_lpu) + (SELECT count(*) FROM card_key) +
			(SELECT count(*) FROM person_appointment)`
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
		tb.Fatalf("%d lookup rows of cards and visits are missing", missing)
	}
}

// New creates a database with the newest schema for a test and returns its URL. It drops the
// database when the test ends. It fails the test if no server is available.
func New(tb testing.TB) string {
	tb.Helper()
	shared.require(tb)
	return shared.newDatabase(tb, shared.template)
}

// Fresh creates an empty database without a schema for a test, for example of the migrations, and
// returns its URL. It drops the database when the test ends. It fails the test if no server is
// available.
func Fresh(tb testing.TB) string {
	tb.Helper()
	shared.require(tb)
	return shared.newDatabase(tb, "template0")
}

// Template is a database with the newest schema and data of its own, which the first test that
// needs it creates. It is safe for concurrent use.
type Template struct {
	fill   func(tb testing.TB, url string)
	create sync.Once
	name   string // empty if the creation failed
}

// NewTemplate returns a template that fill fills. fill must close its connections.
func NewTemplate(fill func(tb testing.TB, url string)) *Template { return &Template{fill: fill} }

// New clones a database from the template for a test and returns its URL. It drops the database
// when the test ends. It fails the test if no server is available or the template was not created.
func (t *Template) New(tb testing.TB) string {
	tb.Helper()
	shared.require(tb)
	t.create.Do(func() {
		name, err := shared.createForAll(tb.Context())
		if err != nil {
			tb.Fatalf("testdb: %v", err)
		}
		t.fill(tb, shared.url(name))
		if err := shared.withIdleConn(tb.Context(), func(conn *pgx.Conn) error {
			return shared.seal(tb.Context(), conn, name)
		}); err != nil {
			tb.Fatalf("testdb: %v", err)
		}
		t.name = name
	})
	if t.name == "" {
		tb.Fatal("testdb: the template was not created")
	}
	return shared.newDatabase(tb, t.name)
}

// Cluster starts a private PostgreSQL for one test and stops it when the test ends. The test may
// stop or crash it.
func Cluster(tb testing.TB) *localpg.Cluster {
	tb.Helper()
	c, err := localpg.Start(tb.Context(), localpg.Options{})
	if err != nil {
		tb.Fatalf("testdb: %v", err)
	}
	stopAtTheEnd(tb, c)
	return c
}

// Standby starts a hot standby of a cluster that Cluster has started, and stops it when the test
// ends. It breaks the sessions of the cluster.
func Standby(tb testing.TB, primary *localpg.Cluster) *localpg.Cluster {
	tb.Helper()
	c, err := primary.Standby(tb.Context())
	if err != nil {
		tb.Fatalf("testdb: %v", err)
	}
	stopAtTheEnd(tb, c)
	return c
}

// stopAtTheEnd stops a cluster when the test ends.
func stopAtTheEnd(tb testing.TB, c *localpg.Cluster) {
	tb.Helper()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), stopTimeout)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			tb.Errorf("testdb: %v", err)
		}
	})
}

// require fails the test if the server cannot be prepared.
func (s *server) require(tb testing.TB) {
	tb.Helper()
	if err := s.ensurePrepared(); err != nil {
		tb.Fatalf("testdb: %v", err)
	}
}

// newDatabase clones a database from the template and returns its URL. It drops the database when
// the test ends.
func (s *server) newDatabase(tb testing.TB, template string) string {
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
