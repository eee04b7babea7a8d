package postgres

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// booked books what the world allows and gives the visit.
func (w *world) booked(difficulty int) *booking.BookedVisit {
	w.t.Helper()
	a := w.appointment(difficulty)
	require.NoError(w.t, create(w.t, w.store(), a))
	return w.visit(a.Guid)
}

func (w *world) visit(appointment uuid.UUID) *booking.BookedVisit {
	w.t.Helper()
	visit, err := w.store().Visit(w.t.Context(), w.patient.Person, appointment)
	require.NoError(w.t, err)
	return visit
}

// Promise: a visit is found by its person alone, with what decides whether it can be cancelled.
func TestVisit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.booked(2)
	require.Equal(t, w.firstStart, visit.Start.UTC())
	require.Equal(t, &booking.BookedVisit{
		Guid: visit.Guid, Lpu: w.to, Direction: w.direction, DirectionLpu: w.from, Type: booking.Consult, SpecialityCode: "92", Start: visit.Start, End: visit.End,
		Slots: w.slots[:2], Comment: "к врачу", IsCito: true, CreatedAt: visit.CreatedAt,
		Person: booking.PersonRows{Lpus: inOrder(w.from, w.to), Visits: []uuid.UUID{visit.Guid}},
	}, visit)
	other, err := w.store().Visit(t.Context(), uuid.New(), visit.Guid)
	require.NoError(t, err)
	require.Nil(t, other)
	require.Nil(t, w.visit(uuid.New()))
}

func inOrder(guids ...uuid.UUID) []uuid.UUID {
	slices.SortFunc(guids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return guids
}

// Promise: a visit that was moved into another institution between the look at it and the cancel is cancelled where it is; the claim on the speciality goes
// to a visit in an institution where the patient got a card meanwhile.
func TestCancelOfAMovedVisit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.booked(2)
	heir := uuid.New()
	w.exec(`INSERT INTO direction SELECT (d).* FROM (SELECT jsonb_populate_record(d, jsonb_build_object('guid', $1::uuid, 'id', 1)) d FROM direction d WHERE lpu_guid = $2) d`, heir, w.to)
	w.exec(`INSERT INTO appointment SELECT (a).* FROM (SELECT jsonb_populate_record(a, jsonb_build_object('guid', $1::uuid, 'direction_guid', $1::uuid)) a FROM appointment a) a`, heir)
	w.exec(`INSERT INTO person_appointment SELECT person_guid, guid FROM appointment WHERE guid = $1`, heir)
	before := *visit
	before.Lpu, before.Person.Lpus = w.from, []uuid.UUID{w.from} // as it was before the move, which made the card
	require.NoError(t, w.store().Cancel(t.Context(), booking.NewCancellation{Person: w.patient.Person, Visit: &before, At: moment}))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM appointment WHERE guid = $1 AND cancelled_at IS NOT NULL`, visit.Guid))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM speciality_claim WHERE appointment_guid = $1`, heir))
	require.Equal(t, 0, w.count(`SELECT sum(taken) FROM slot`))
}

// Promise: on a connection that knows the statements a visit is found in two round trips and cancelled in three; where it was cancelled meanwhile nothing
// changes, in two.
func TestCancelRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var count trips
	store := w.store(count.through)
	cancel := func(visit *booking.BookedVisit) {
		require.NoError(t, store.Cancel(t.Context(), booking.NewCancellation{Person: w.patient.Person, Visit: visit, At: moment}))
	}
	cancel(w.booked(3)) // the connection learns the statements
	visit := w.booked(3)
	find := func() {
		_, err := store.Visit(t.Context(), w.patient.Person, visit.Guid)
		require.NoError(t, err)
	}
	find()
	require.Equal(t, 2, count.of(find))
	require.Equal(t, 3, count.of(func() { cancel(visit) }))
	require.Equal(t, 2, count.of(func() { cancel(visit) }))
	requireFree(t, store)
}

// Promise: a cancel locks in the order in which a booking does: the referral, then the speciality, then the cells by their time.
func TestCancelLocksInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mixSlots()
	visit := w.booked(3)
	for _, wait := range []struct {
		lock string
		free []string
	}{
		{`SELECT FROM direction WHERE copied_from_lpu_guid IS NULL FOR UPDATE`, []string{"speciality", "cell 101", "cell 102", "cell 103"}},
		{`SELECT FROM speciality_claim FOR UPDATE`, []string{"cell 101", "cell 102", "cell 103"}},
		{`SELECT FROM slot WHERE id = 101 FOR UPDATE`, []string{"cell 102", "cell 103"}},
		{`SELECT FROM slot WHERE id = 102 FOR UPDATE`, []string{"cell 103"}},
		{`SELECT FROM slot WHERE id = 103 FOR UPDATE`, nil},
	} {
		for _, plan := range []string{"enable_nestloop", "enable_hashjoin"} { // whatever the planner prefers
			ctx, cancel := context.WithCancel(t.Context())
			store := w.store(runtime(plan, "off"))
			err := w.whileBlocked(func() error {
				return store.Cancel(ctx, booking.NewCancellation{Person: w.patient.Person, Visit: visit, At: moment})
			}, wait.lock, func(pgx.Tx, int) {
				require.Equal(t, wait.free, w.free(), wait.lock)
				cancel()
			})
			require.ErrorIs(t, err, context.Canceled)
			requireFree(t, store)
			require.False(t, w.visit(visit.Guid).Cancelled)
		}
	}
}

// Promise: what a cancel found before it had its locks does not count: whoever was faster leaves it nothing to do, the other's booking stays.
func TestCancelIsTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.booked(2)
	require.NoError(t, w.store().Cancel(t.Context(), booking.NewCancellation{Person: w.patient.Person, Visit: visit, Reason: booking.CancelReason{Code: new(int32(6)), Text: new("первая")}, At: moment}))
	again := w.booked(2)
	written := w.written()
	require.False(t, visit.Cancelled, "as it was found")
	require.NoError(t, w.store().Cancel(t.Context(), booking.NewCancellation{Person: w.patient.Person, Visit: visit, Reason: booking.CancelReason{Code: new(int32(1))}, At: moment}))
	require.Equal(t, written, w.written())
	require.False(t, w.visit(again.Guid).Cancelled)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM appointment WHERE guid = $1 AND cancel_reason_code = 6 AND cancel_reason = 'первая'`, visit.Guid))
}

// Promise: a cancel that the database could not do just now is tried again.
func TestCancelIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.booked(1)
	var failed bool
	store := w.store(beforeCommit(func(conn *pgx.Conn) {
		failed = true
		_, err := w.db.Exec(t.Context(), `SELECT pg_terminate_backend($1, 10000)`, conn.PgConn().PID())
		require.NoError(t, err)
	}))
	err := store.Cancel(t.Context(), booking.NewCancellation{Person: w.patient.Person, Visit: visit, At: moment})
	require.True(t, failed)
	requireRefused(t, err, booking.DatabaseUnavailable) // the commit's answer was lost
	require.NoError(t, store.Cancel(t.Context(), booking.NewCancellation{Person: w.patient.Person, Visit: visit, At: moment}), "to repeat it does no harm")
	require.True(t, w.visit(visit.Guid).Cancelled)
	requireFree(t, store)

	visit = w.booked(1)
	readOnly := w.store(atFirst(1, "default_transaction_read_only", "on"))
	require.NoError(t, readOnly.Cancel(t.Context(), booking.NewCancellation{Person: w.patient.Person, Visit: visit, At: moment}))
	require.True(t, w.visit(visit.Guid).Cancelled)
}
