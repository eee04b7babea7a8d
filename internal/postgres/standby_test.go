package postgres

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/gen/db"
	"talon.example/internal/testdb"
)

// lists is a store of a primary that reads lists from a standby, and counts them.
type lists struct {
	*world

	store   *Store
	standby *pgxpool.Pool // the test's own
	pool    *pgxpool.Pool // of the store, with two connections

	mu    sync.Mutex
	reads map[Reason]int
}

func newLists(t *testing.T) *lists {
	t.Helper()
	primary := testdb.Cluster(t)
	standby := testdb.Standby(t, primary).URL("postgres")
	l := &lists{world: newWorldIn(t, primary.URL("postgres")), reads: map[Reason]int{}}
	l.store = l.storeAt(l.url, time.Minute)
	open := func(url string, conns int32) *pgxpool.Pool {
		pool, err := Open(t.Context(), Options{URL: url, MaxConns: conns, StatementTimeout: time.Minute})
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		return pool
	}
	l.standby, l.pool = open(standby, 1), open(standby, 2)
	l.store.ReadListsFrom(NewStandby(l.pool, open(l.url, 1), slog.New(slog.DiscardHandler), func(reason Reason) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.reads[reason]++
	}))
	return l
}

// cards counts the medical cards by list.
func (l *lists) cards() (cards int) {
	l.t.Helper()
	ctx := l.t.Context()
	cards, err := list(ctx, l.store, func(ctx context.Context, conn db.DBTX, _ *reference) (n int, err error) {
		err = conn.QueryRow(ctx, `SELECT count(*) FROM mkab`).Scan(&n)
		return n, err
	})
	require.NoError(l.t, err)
	return cards
}

// connect opens all connections to the standby, and returns the function that gives them back.
func (l *lists) connect() (release func()) {
	l.t.Helper()
	var conns []*pgxpool.Conn
	for range l.pool.Config().MaxConns {
		conn, err := l.pool.Acquire(l.t.Context())
		require.NoError(l.t, err)
		conns = append(conns, conn)
	}
	return func() {
		for _, conn := range conns {
			conn.Release()
		}
	}
}

// fromStandby waits until lists are read from the standby.
func (l *lists) fromStandby() {
	l.t.Helper()
	before := l.reads[""]
	require.Eventually(l.t, func() bool {
		l.cards()
		return l.reads[""] > before
	}, 20*time.Second, 10*time.Millisecond)
}

// Promise: a list that the recovery of the standby cancels is read from the primary, and the next
// one from the standby.
func TestListIsCancelledByRecovery(t *testing.T) {
	t.Parallel()
	l := newLists(t)
	for _, sql := range []string{`ALTER SYSTEM SET max_standby_streaming_delay = 0`, `SELECT pg_reload_conf()`} {
		_, err := l.standby.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	l.fromStandby()
	l.connect()()
	ctx := t.Context() // on a busy machine a conflict may take longer than a list may
	cards := l.count(`SELECT count(*) FROM mkab`)
	require.Eventually(t, func() bool { // a busy machine may be too late for the standby
		read, err := list(ctx, l.store, func(_ context.Context, conn db.DBTX, _ *reference) (n int, err error) {
			if conn == db.DBTX(l.store.pool) {
				err = conn.QueryRow(ctx, `SELECT count(*) FROM mkab`).Scan(&n)
				return n, err
			}
			if _, err := conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ`); err != nil {
				return 0, err
			}
			if err := conn.QueryRow(ctx, `SELECT count(*) FROM person_lpu`).Scan(&n); err != nil {
				return 0, err
			}
			l.exec(`UPDATE person_lpu SET lpu_guid = lpu_guid`)
			l.exec(`VACUUM person_lpu`) // the snapshot on the standby needs the rows
			_, err = conn.Exec(ctx, `SELECT pg_sleep(10)`)
			return n, err
		})
		require.NoError(t, err)
		require.Equal(t, cards, read)
		return l.reads[reasonConflict] > 0
	}, time.Minute, time.Millisecond)
	l.fromStandby()
}

// Promise: a list that gets no connection to the standby in time is read from the primary, and the
// next one from the standby: more load than the standby can bear must not switch it off.
func TestStandbyIsBusy(t *testing.T) {
	t.Parallel()
	l := newLists(t)
	l.fromStandby()
	release := l.connect()
	require.Eventually(t, func() bool {
		l.cards()
		return l.reads[reasonBusy] > 0
	}, 20*time.Second, time.Millisecond)
	release()
	l.fromStandby()
}
