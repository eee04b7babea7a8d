package testdb

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"talon.example/internal/distribution"
	"talon.example/migrations"
)

// CitusVariable is the environment variable with the URL of a database on the coordinator of a
// distributed PostgreSQL (Citus) with the extension and its workers. If it is set, each test has a
// database that is distributed over these nodes.
const CitusVariable = "TALON_CITUS_URL"

// Distributed reports whether the databases of the tests are distributed.
func Distributed() bool { return os.Getenv(CitusVariable) != "" }

// Permit lets the connections of a test do what Citus refuses by default in a distributed database:
// create triggers, which inject faults, and join rows of different nodes. PostgreSQL ignores it.
func Permit(config *pgx.ConnConfig) {
	config.RuntimeParams["citus.enable_unsafe_triggers"] = "on"
	config.RuntimeParams["citus.enable_repartition_joins"] = "on"
}

// SetOnWorkers changes a setting of the workers for the new sessions of a distributed database. The
// settings of a session apply on the coordinator alone. It does nothing on one PostgreSQL.
func SetOnWorkers(tb testing.TB, db Querier, setting, value string) {
	tb.Helper()
	if !Distributed() {
		return
	}
	var done bool
	row := db.QueryRow(tb.Context(), `SELECT bool_and(success) FROM run_command_on_workers(
		format('ALTER DATABASE %I SET %I = %L', current_database(), $1::text, $2::text))`, setting, value)
	if err := row.Scan(&done); err != nil || !done {
		tb.Fatalf("testdb: set %s on the workers: %v", setting, err)
	}
}

// CopyTables hides tables behind temporary copies until a transaction ends, so that its queries may
// join rows that are on different nodes of a distributed database. The copies are not one snapshot.
// It does nothing on one PostgreSQL.
func CopyTables(tb testing.TB, tx pgx.Tx, tables ...string) {
	tb.Helper()
	if !Distributed() {
		return
	}
	for _, table := range tables {
		copied := "CREATE TEMPORARY TABLE IF NOT EXISTS " + table + " ON COMMIT DROP AS TABLE public." + table
		if _, err := tx.Exec(tb.Context(), copied); err != nil {
			tb.Fatalf("testdb: %s: %v", copied, err)
		}
	}
}

// testShards is the number of shards of a group of tables: each node has several.
const testShards = 4

// spreadSuffix returns the end of the name of the distributed template, which depends on how the
// tables are declared.
func spreadSuffix() string {
	sum := sha256.Sum256(fmt.Append(nil, distribution.Tables()))
	return fmt.Sprintf("_spread_%x", sum[:4])
}

// everywhere executes a statement about databases on all nodes. It cannot be in a transaction.
func (s *server) everywhere(ctx context.Context, conn *pgx.Conn, sql string) error {
	if err := execute(ctx, conn, sql); err != nil || !s.distributed {
		return err
	}
	rows, err := conn.Query(ctx, "SELECT nodeport, success, result FROM run_command_on_workers($1)", sql)
	if err != nil {
		return fmt.Errorf("%s on the workers: %w", sql, err)
	}
	var port int
	var success bool
	var result string
	_, err = pgx.ForEachRow(rows, []any{&port, &success, &result}, func() error {
		if !success {
			return fmt.Errorf("port %d: %s", port, result)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s on the workers: %w", sql, err)
	}
	return nil
}

// seal forbids new connections to a database, which may be gone, and ends the others: Citus has a
// process of its own in each database. PostgreSQL cannot clone a database that has connections, and
// the process does not end while it waits for a connection to a database that is being dropped.
func (s *server) seal(ctx context.Context, conn *pgx.Conn, name string) error {
	if !s.distributed {
		return execute(ctx, conn, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	}
	if err := s.everywhere(ctx, conn, "UPDATE pg_database SET datallowconn = false WHERE datname = '"+name+"'"); err != nil {
		return err
	}
	return s.everywhere(ctx, conn,
		"SELECT count(pg_catalog.pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = '"+name+"'")
}

// awaitCommits waits two seconds at most for what the sessions of a database still do after their
// clients have gone. A session that is terminated while it commits leaves its transaction prepared
// on the workers, which cannot drop the database then.
func awaitCommits(ctx context.Context, conn *pgx.Conn, name string) error {
	return execute(ctx, conn, `DO $$ BEGIN
		FOR i IN 1..200 LOOP
			EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity
				WHERE datname = '`+name+`' AND backend_type = 'client backend' AND state = 'active');
			PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
		END LOOP;
	END $$`)
}

// distribute makes the databases of this name on all nodes one distributed database, and declares
// its tables. The schema is the newest.
func (s *server) distribute(ctx context.Context, base *pgx.Conn, name string) error {
	nodes, err := distribution.Nodes(ctx, base)
	if err != nil {
		return err
	}
	if err := distribution.Join(ctx, nodes, s.url(name)); err != nil {
		return err
	}
	if err := migrations.Up(ctx, s.url(name)); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.url(name))
	if err != nil {
		return fmt.Errorf("connect to the template: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return distribution.Distribute(ctx, conn, distribution.Options{Shards: testShards, Progress: io.Discard})
}
