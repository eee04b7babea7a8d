package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/audit"
	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

// newRecord returns a record that names no object.
func newRecord() audit.Record {
	return audit.Record{
		Guid: audit.NewGuid(), At: moment, Request: uuid.New(), Client: uuid.New(), Operation: "listDirections",
		Status: 200,
	}
}

// Promise: a transient failure costs no request its response: the records are written over another
// connection, once.
func TestAuditIsRetried(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*pgxpool.Config){
		"the server was demoted":  onFirstConnections(1, "default_transaction_read_only", "on"),
		"the connection was lost": writesLikeTCP,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			store := w.store(change)
			conn, err := store.pool.Acquire(t.Context())
			require.NoError(t, err)
			stale := conn.Conn()
			conn.Release()
			if name == "the connection was lost" {
				w.terminate(stale.PgConn().PID())
				w.waitForEnd(stale)
			}
			require.NoError(t, store.AddRecords(t.Context(), []audit.Record{newRecord(), newRecord()}))
			require.Equal(t, 2, w.count(`SELECT count(*) FROM audit_record`))
		})
	}
}

// Promise: records whose commit was not confirmed can be written again, and are there once.
func TestAuditIsRepeatable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	records := []audit.Record{newRecord(), newRecord()}
	for range 2 {
		require.NoError(t, w.store().AddRecords(t.Context(), records))
	}
	require.Equal(t, 2, w.count(`SELECT count(*) FROM audit_record`))
}

// Promise: records whose commit was cut while it waited for the synchronous standby count as
// written only when the standby has them: until then a failover could lose them.
func TestAuditIsOnTheStandby(t *testing.T) {
	t.Parallel()
	w := newWorldIn(t, testdb.Cluster(t).URL("postgres"))
	store, records := w.store(), []audit.Record{newRecord()}
	require.NoError(t, store.AddRecords(t.Context(), []audit.Record{newRecord()})) // creates the partition
	w.setStandby("nobody")
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		requireRefusal(t, store.AddRecords(ctx, records), booking.Overloaded)
		cancel()
	}
	require.Equal(t, 2, w.count(`SELECT count(*) FROM audit_record`), "the first primary has them")
	w.setStandby("")
	require.NoError(t, store.AddRecords(t.Context(), records))
	require.Equal(t, 2, w.count(`SELECT count(*) FROM audit_record`))
}

// Promise: when the audit cannot be written, the reference data are read, although no request needs
// them: both find out at the same time whether the database is away, and that it is back.
func TestAuditReadsTheReferenceData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, _ := newStoreWithReference(w, time.Hour)
	w.holdLocks(`LOCK TABLE audit_record IN EXCLUSIVE MODE`)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	requireRefusal(t, store.AddRecords(ctx, []audit.Record{newRecord()}), booking.Overloaded)
	require.Eventually(t, func() bool { return store.reference.current.Load() != nil },
		20*time.Second, time.Millisecond)
}
