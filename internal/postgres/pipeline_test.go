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

// trips counts round trips: how often the client writes after it has read.
type trips struct{ n atomic.Int64 }

// through counts on every connection of a pool. None is pinged, however slow the machine.
func (c *trips) through(config *pgxpool.Config) {
	config.MaxConns = 1
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &countingConn{Conn: conn, trips: c}, err
	}
}

type countingConn struct {
	net.Conn

	trips *trips
	wrote atomic.Bool
}

// Write implements net.Conn.
func (c *countingConn) Write(data []byte) (int, error) {
	if !c.wrote.Swap(true) {
		c.trips.n.Add(1)
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

// of counts the round trips of a call.
func (c *trips) of(call func()) int {
	before := c.n.Load()
	call()
	return int(c.n.Load() - before)
}

// Promise: on a connection that knows the statements the facts are one round trip and a booking is two, whether it succeeds or not.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var count trips
	store := w.store(count.through)
	require.NoError(t, store.pool.Ping(t.Context())) // it connects
	require.Equal(t, 2, count.of(func() {
		for range 2 {
			_, err := store.pool.Exec(t.Context(), `SELECT 1`, pgx.QueryExecModeExec)
			require.NoError(t, err)
		}
	}), "the count counts")

	outOfSchedule := w.request(1)
	date, refusal := booking.ParseVisitDate("2019-08-21", moment)
	require.Nil(t, refusal)
	outOfSchedule.Place = booking.Place{OutOfSchedule: &booking.OutOfSchedule{Resource: w.doctor, Date: date}}
	for name, request := range map[string]booking.Request{"a cell": w.request(1), "a complex slot": w.request(3), "out of schedule": outOfSchedule} {
		facts := func() {
			_, err := store.Facts(t.Context(), w.patient, request, moment)
			require.NoError(t, err)
		}
		facts() // the connection learns the statements
		require.Equal(t, 1, count.of(facts), name)
	}

	a := w.appointment(3)
	taken := a
	taken.Guid, taken.Access = uuid.New(), 64
	requireRefused(t, create(t, store, taken), booking.SlotTaken)
	require.Equal(t, 2, count.of(func() { requireRefused(t, create(t, store, taken), booking.SlotTaken) }), "and a rollback")
	require.Equal(t, 2, count.of(func() { require.NoError(t, create(t, store, a)) }), "and a commit")
	w.exec(`UPDATE direction SET appointment_guid = NULL`)
	again := a
	again.Guid = uuid.New()
	requireRefused(t, create(t, store, again), booking.SpecialityAlreadyBooked)
	require.Equal(t, 2, count.of(func() { requireRefused(t, create(t, store, again), booking.SpecialityAlreadyBooked) }), "and a rollback")
	requireFree(t, store)
}

// onePool is a pool of one connection, which a pipeline that kept it would block.
func onePool(t testing.TB, w *world) *pgxpool.Pool {
	t.Helper()
	return w.store(func(config *pgxpool.Config) { config.MaxConns = 1 }).pool
}

// Promise: results that nobody reads are read by close, so that the connection is good for the next; statements are sent once.
func TestPipelineReadsWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool := onePool(t, w)
	p := newPipeline(t.Context(), pool)
	queries := db.New(p)
	lpu := queries.LpuFacts(t.Context(), []db.LpuFactsParams{{LpuGuid: w.to}, {LpuGuid: w.from}, {LpuGuid: uuid.New()}})
	queries.MkabFacts(t.Context(), []db.MkabFactsParams{{LpuGuid: w.to, PersonGuid: w.patient.Person}})
	queries.SlotFacts(t.Context(), []db.SlotFactsParams{{LpuGuid: w.to, ID: new(int64(firstSlot)), Most: 3}})
	require.Zero(t, pool.Stat().AcquireCount(), "nothing is sent before a result is wanted")
	var zones []string
	lpu.QueryRow(func(_ int, row db.LpuFactsRow, err error) {
		if err == nil {
			zones = append(zones, row.TimeZone)
			return
		}
		require.ErrorIs(t, err, pgx.ErrNoRows)
		zones = append(zones, "none")
	})
	require.Equal(t, []string{"Asia/Vladivostok", "Europe/Moscow", "none"}, zones)
	require.EqualValues(t, 1, pool.Stat().AcquiredConns())
	require.NoError(t, p.close())
	require.NoError(t, p.close(), "twice does no harm")
	require.Zero(t, pool.Stat().AcquiredConns())
	require.EqualValues(t, 1, pool.Stat().AcquireCount())
	require.NoError(t, pool.Ping(t.Context()))
	require.EqualValues(t, 1, pool.Stat().NewConnsCount(), "the connection was good")
}

// Promise: a pipeline that nobody read anything of is sent by close.
func TestPipelineIsSentByClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool := onePool(t, w)
	p := newPipeline(t.Context(), pool)
	db.New(p).DirectionClaim(t.Context(), []db.DirectionClaimParams{{LpuGuid: w.from, Guid: w.direction, AppointmentGuid: uuid.New()}})
	require.NoError(t, p.close())
	require.Equal(t, 1, w.written())
	require.Zero(t, pool.Stat().AcquiredConns())
}

// Promise: an error in the middle is the result of its statement and of those after it, and of close; those before it have theirs; nothing is kept, and
// the connection is good.
func TestPipelineWithAnErrorInTheMiddle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool := onePool(t, w)
	p := newPipeline(t.Context(), pool)
	queries := db.New(p)
	claim := queries.DirectionClaim(t.Context(), []db.DirectionClaimParams{{LpuGuid: w.from, Guid: w.direction, AppointmentGuid: uuid.New()}})
	broken := new(pgx.Batch)
	broken.Queue(`SELECT 1 / (SELECT count(*) FROM legal_entity WHERE name = $1)`, "nobody")
	divided := p.SendBatch(t.Context(), broken)
	lpu := queries.LpuFacts(t.Context(), []db.LpuFactsParams{{LpuGuid: w.to}})
	claim.QueryRow(func(_ int, guid uuid.UUID, err error) {
		require.NoError(t, err)
		require.Equal(t, w.direction, guid)
	})
	const division = "SQLSTATE 22012"
	_, err := divided.Exec()
	require.ErrorContains(t, err, division)
	lpu.QueryRow(func(_ int, _ db.LpuFactsRow, err error) { require.ErrorContains(t, err, division) })
	require.ErrorContains(t, p.close(), division)
	requireFree(t, &Store{pool: pool})
	require.Zero(t, w.written(), "one pipeline is one transaction")
	require.NoError(t, pool.Ping(t.Context()))
	require.EqualValues(t, 1, pool.Stat().NewConnsCount(), "the connection was good")
}

// Promise: a transaction that a pipeline begins is open after close, with what the pipeline did, for the caller to end.
func TestPipelineBegins(t *testing.T) {
	t.Parallel()
	for _, commit := range []bool{true, false} {
		w := newWorld(t)
		pool := onePool(t, w)
		p := newPipeline(t.Context(), pool)
		p.begin()
		claim := db.New(p).DirectionClaim(t.Context(), []db.DirectionClaimParams{{LpuGuid: w.from, Guid: w.direction, AppointmentGuid: uuid.New()}})
		tx, err := p.begun()
		require.NoError(t, err)
		claim.QueryRow(func(_ int, _ uuid.UUID, err error) { require.NoError(t, err) })
		require.NoError(t, p.close())
		require.Zero(t, w.written(), "nobody sees it yet")
		require.EqualValues(t, 1, pool.Stat().AcquiredConns())
		if commit {
			require.NoError(t, tx.Commit(t.Context()))
			require.Equal(t, 1, w.written())
		} else {
			rollback(t.Context(), tx)
			require.Zero(t, w.written())
		}
		require.Zero(t, pool.Stat().AcquiredConns())
	}
}

// Promise: a rollback happens though the request's time is over.
func TestRollbackOutlivesTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool := onePool(t, w)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE slot SET taken = 1`)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rollback(ctx, tx)
	require.Zero(t, pool.Stat().AcquiredConns())
	require.NoError(t, pool.Ping(t.Context()))
	require.EqualValues(t, 1, pool.Stat().NewConnsCount(), "the connection was good")
	require.Zero(t, w.written())
}
