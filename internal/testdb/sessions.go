package testdb

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// waitTimeout limits how long a test waits for something to happen in the database.
const waitTimeout = 20 * time.Second

// Querier executes a query that returns one row. Pools and connections are queriers.
type Querier interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

// Blocked returns the process ids of the sessions of the database that wait for a lock. A session
// of a distributed database waits in a process on a worker. Its own process is returned.
func Blocked(tb testing.TB, db Querier) []int32 {
	tb.Helper()
	query := `SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`
	var distributed bool
	row := db.QueryRow(tb.Context(), `SELECT to_regclass('citus_stat_activity') IS NOT NULL`)
	require.NoError(tb, row.Scan(&distributed))
	if distributed {
		// A global process id is that of the session, after the number of its node. The view lacks
		// sessions that wait before they have one.
		query = `SELECT coalesce(array_agg(pid), '{}') FROM (
				SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
					AND application_name NOT LIKE 'citus_internal%'
				UNION SELECT (global_pid % 10000000000)::int FROM citus_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'
			) waiting`
	}
	var pids []int32
	require.NoError(tb, db.QueryRow(tb.Context(), query).Scan(&pids))
	return pids
}

// WaitForBlocked waits until a session of the database other than the given one, or 0, waits for a
// lock. It returns its process id.
func WaitForBlocked(tb testing.TB, db Querier, other int) int {
	tb.Helper()
	var found int
	require.Eventually(tb, func() bool {
		for _, pid := range Blocked(tb, db) {
			if int(pid) != other {
				found = int(pid)
			}
		}
		return found != 0
	}, waitTimeout, 5*time.Millisecond, "no session waits for a lock")
	return found
}
