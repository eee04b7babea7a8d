package postgres

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// roundTrips counts round trips: how often the client writes after it has read.
type roundTrips struct{ n atomic.Int64 }

// countOn counts on every connection of a pool. It disables pings, so that a slow machine does not
// change the count.
func (c *roundTrips) countOn(config *pgxpool.Config) {
	config.MaxConns = 1
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &countingConn{Conn: conn, count: c}, err
	}
}

type countingConn struct {
	net.Conn

	count *roundTrips
	wrote atomic.Bool
}

// Write implements net.Conn.
func (c *countingConn) Write(data []byte) (int, error) {
	if !c.wrote.Swap(true) {
		c.count.n.Add(1)
	}
	return c.Conn.Write(data)
}

// Read implements net.Conn.
func (c *countingConn) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	if n > 0 {
		c.wrote.Store(false)
	}
	return n, err
}

// during returns the number of round trips of a call.
func (c *roundTrips) during(call func()) int {
	before := c.n.Load()
	call()
	return int(c.n.Load() - before)
}

// Promise: with prepared statements the facts take one round trip and a booking two, whether or not
// it succeeds.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var count roundTrips
	store := w.store(count.countOn)
	require.NoError(t, store.pool.Ping(t.Context())) // connects
	require.Equal(t, 2, count.during(func() {
		for range 2 {
			_, err := store.pool.Exec(t.Context(), `SELECT 1`, pgx.QueryExecModeExec)
			require.NoError(t, err)
		}
	}), "the counter works")

	outOfSchedule := w.request(1)
	date, refusal := booking.ParseVisitDate("2019-08-21", moment)
	require.Nil(t, refusal)
	outOfSchedule.Place = booking.Place{OutOfSchedule: &booking.OutOfSchedule{Resource: w.doctor, Date: date}}
	for name, request := range map[string]booking.Request{
		"a cell": w.request(1), "a complex slot": w.request(3), "out of schedule": outOfSchedule,
	} {
		facts := func() {
			_, err := store.Facts(t.Context(), w.patient, request, moment)
			require.NoError(t, err)
		}
		facts() // prepares the statements
		require.Equal(t, 1, count.during(facts), name)
	}

	a := w.appointment(3)
	taken := a
	taken.Guid, taken.Access = uuid.New(), 64
	requireRefusal(t, create(t, store, taken), booking.SlotTaken)
	require.Equal(t, 2, count.during(func() {
		requireRefusal(t, create(t, store, taken), booking.SlotTaken)
	}), "with the rollback")
	require.Equal(t, 2, count.during(func() { require.NoError(t, create(t, store, a)) }), "with the commit")
	w.exec(`UPDATE direction SET appointment_guid = NULL`)
	w.exec(`UPDATE appointment SET cancelled_at = updated_at`)
	again := a
	again.Guid = uuid.New()
	requireRefusal(t, create(t, store, again), booking.SpecialityAlreadyBooked)
	require.Equal(t, 3, count.during(func() {
		requireRefusal(t, create(t, store, again), booking.SpecialityAlreadyBooked)
	}), "with the read of the claim and the rollback")
	requireConnectionsReleased(t, store)
}

// newStoreWithOneConnection returns a store whose pool has one connection. A transaction that leaks
// it blocks the next call.
func newStoreWithOneConnection(t testing.TB, w *world) *Store {
	t.Helper()
	return w.store(func(config *pgxpool.Config) { config.MaxConns = 1 })
}

// queueClaim queues a claim of the world's referral.
func (w *world) queueClaim(t *tx, read func(uuid.UUID, error) error) {
	row(t, t.DirectionClaim(t.ctx, []db.DirectionClaimParams{
		{LpuGuid: w.from, Guid: w.direction, AppointmentGuid: uuid.New()},
	}).QueryRow, func(claimed db.Direction, err error) error { return read(claimed.Guid, err) })
}

// Promise: the first send sends all queued statements once, in one round trip. Their results are
// read in the order of the statements.
func TestTxReadsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := newStoreWithOneConnection(t, w)
	before := store.pool.Stat().AcquireCount()
	var cards []uuid.UUID
	require.NoError(t, store.snapshot(t.Context(), func(tx *tx) {
		rowsAt(tx, tx.MkabFacts(t.Context(), []db.MkabFactsParams{
			{LpuGuid: w.to, PersonGuid: w.patient.Person}, {LpuGuid: w.from, PersonGuid: w.patient.Person},
			{LpuGuid: uuid.New(), PersonGuid: w.patient.Person},
		}).Query, func(i int, rows []db.MkabFactsRow) error {
			require.Len(t, cards, i)
			cards = append(cards, uuid.Nil)
			for _, row := range rows {
				cards[i] = row.Guid
			}
			return nil
		})
		rows(tx, tx.SlotFacts(t.Context(), []db.SlotFactsParams{
			{LpuGuid: w.to, ID: new(int64(firstSlot)), Receptions: []int32{1}, Most: 3},
		}).Query, func(cells []db.SlotFactsRow) error {
			require.Len(t, cells, 3)
			require.Len(t, cards, 3)
			return nil
		})
		require.Equal(t, before, store.pool.Stat().AcquireCount(), "no connection is acquired before send")
	}))
	require.Equal(t, []uuid.UUID{w.mkabTo, w.mkabFrom, uuid.Nil}, cards)
	require.Zero(t, store.pool.Stat().AcquiredConns())
	require.Equal(t, before+1, store.pool.Stat().AcquireCount())
	require.NoError(t, store.pool.Ping(t.Context()))
	require.EqualValues(t, 1, store.pool.Stat().NewConnsCount(), "the connection is still usable")
}

// Promise: an error of a statement is returned. Earlier statements have their results, nothing is
// stored, and the connection stays usable.
func TestTxWithAnErrorInTheMiddle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := newStoreWithOneConnection(t, w)
	claimed, later := false, 0
	_, err := write(t.Context(), store, func(tx *tx) (bool, error) {
		w.queueClaim(tx, func(_ uuid.UUID, err error) error {
			claimed = err == nil
			return err
		})
		tx.statement(`SELECT 1 / (SELECT count(*) FROM legal_entity WHERE name = 'nobody')`)
		w.queueClaim(tx, func(_ uuid.UUID, err error) error {
			later++
			return err
		})
		return true, tx.send()
	})
	requireSQLState(t, err, "22012")
	require.True(t, claimed)
	require.Equal(t, 1, later, "the later statement gets the error once")
	requireConnectionsReleased(t, store)
	require.Zero(t, w.countWritten())
	require.NoError(t, store.pool.Ping(t.Context()))
	require.EqualValues(t, 1, store.pool.Stat().NewConnsCount(), "the connection is still usable")
}

// Promise: of several errors the first is returned.
func TestTxReturnsTheFirstError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := newStoreWithOneConnection(t, w)
	_, err := write(t.Context(), store, func(tx *tx) (bool, error) {
		for _, rule := range []booking.Name{booking.SlotTaken, booking.MkabClosed} {
			w.queueClaim(tx, func(uuid.UUID, error) error { return booking.Reject(rule) })
		}
		return true, nil
	})
	requireRefusal(t, err, booking.SlotTaken)
	require.Zero(t, w.countWritten())
	requireConnectionsReleased(t, store)
}

// Promise: a transaction is committed unless it fails, is abandoned or panics. Queued statements
// are sent before the commit.
func TestTxCommits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end     func(*tx) error
		written int
	}{
		"sent":        {func(tx *tx) error { return tx.send() }, 1},
		"left queued": {func(*tx) error { return nil }, 1},
		"abandoned": {func(tx *tx) error {
			tx.abandoned = true
			return nil
		}, 0},
		"refused": {func(tx *tx) error { return firstError(tx.send(), booking.Reject(booking.SlotTaken)) }, 0},
		"a panic": {func(tx *tx) error { panic(tx.send()) }, 0},
		"no time": {func(tx *tx) error {
			ctx, cancel := context.WithCancel(tx.ctx)
			err := tx.send()
			tx.ctx = ctx
			cancel()
			return firstError(err, ctx.Err())
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			store := newStoreWithOneConnection(t, w)
			func() {
				defer func() { _ = recover() }()
				_, _ = write(t.Context(), store, func(tx *tx) (bool, error) {
					w.queueClaim(tx, func(_ uuid.UUID, err error) error { return err })
					return true, c.end(tx)
				})
			}()
			requireConnectionsReleased(t, store)
			require.Equal(t, c.written, w.countWritten())
			require.NoError(t, store.pool.Ping(t.Context()))
			if name != "no time" { // there is none for a rollback
				require.EqualValues(t, 1, store.pool.Stat().NewConnsCount(), "the connection is still usable")
			}
		})
	}
}
