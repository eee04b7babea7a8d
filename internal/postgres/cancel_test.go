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

// mustBook books the given number of cells and returns the visit.
func (w *world) mustBook(difficulty int) *booking.BookedVisit {
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

// Promise: a visit is found for its person only, with everything that decides whether it can be
// cancelled.
func TestVisit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.mustBook(2)
	require.Equal(t, w.firstStart, visit.Start.UTC())
	require.Equal(t, &booking.BookedVisit{
		Guid: visit.Guid, Lpu: w.to, Direction: w.direction, DirectionLpu: w.from, Type: booking.Consult,
		SpecialityCode: "92", Start: visit.Start, End: visit.End,
		Slots: w.slots[:2], Comment: "к врачу", IsCito: true, CreatedAt: visit.CreatedAt, Version: 1,
		Attendance: booking.AttendanceNone,
		Person:     booking.PersonRows{Lpus: sortedByBytes(w.from, w.to), Visits: []uuid.UUID{visit.Guid}},
		BookedBy:   booking.Booker{Initiator: booking.ByPatient, Client: w.patient.Client}, Zone: visit.Zone,
	}, visit)
	require.Equal(t, "Asia/Vladivostok", visit.Zone.String())
	other, err := w.store().Visit(t.Context(), uuid.New(), visit.Guid)
	require.NoError(t, err)
	require.Nil(t, other)
	require.Nil(t, w.visit(uuid.New()))
}

// sortedByBytes sorts guids as PostgreSQL does.
func sortedByBytes(guids ...uuid.UUID) []uuid.UUID {
	slices.SortFunc(guids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return guids
}

// Promise: a visit that was moved to another institution since it was read is cancelled there. The
// claim on the speciality passes to a visit in an institution in which the patient got a card
// meanwhile.
func TestCancelOfAMovedVisit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.mustBook(2)
	next := uuid.New()
	w.exec(`INSERT INTO direction SELECT (d).* FROM (SELECT jsonb_populate_record(d, jsonb_build_object('guid', $1::uuid, 'id', 1)) d FROM direction d WHERE lpu_guid = $2) d`, next, w.to)
	w.exec(`INSERT INTO appointment SELECT (a).* FROM (SELECT jsonb_populate_record(a, jsonb_build_object('guid', $1::uuid, 'direction_guid', $1::uuid)) a FROM appointment a) a`, next)
	w.exec(`INSERT INTO person_appointment SELECT person_guid, guid FROM appointment WHERE guid = $1`, next)
	before := *visit
	before.Lpu, before.Person.Lpus = w.from, []uuid.UUID{w.from} // as before the move, which created the card
	require.NoError(t, w.store().Cancel(t.Context(), booking.NewCancellation{
		Patient: w.patient, Visit: &before, At: moment,
	}))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM appointment WHERE guid = $1 AND cancelled_at IS NOT NULL`, visit.Guid))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM speciality_claim WHERE appointment_guid = $1`, next))
	require.Equal(t, 0, w.count(`SELECT sum(taken) FROM slot`))
}

// Promise: with prepared statements a visit is read in two round trips and cancelled in three. A
// cancel of a visit that was cancelled meanwhile takes two.
func TestCancelRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var count roundTrips
	store := w.store(count.countOn)
	cancel := func(visit *booking.BookedVisit) {
		require.NoError(t, store.Cancel(t.Context(), booking.NewCancellation{
			Patient: w.patient, Visit: visit, At: moment,
		}))
	}
	cancel(w.mustBook(3)) // prepares the statements
	visit := w.mustBook(3)
	find := func() {
		_, err := store.Visit(t.Context(), w.patient.Person, visit.Guid)
		require.NoError(t, err)
	}
	find()
	require.Equal(t, 2, count.during(find))
	require.Equal(t, 3, count.during(func() { cancel(visit) }))
	require.Equal(t, 2, count.during(func() { cancel(visit) }))
	requireConnectionsReleased(t, store)
}

// Promise: a cancel locks in the order of a booking: the referral, the speciality, then the cells
// by their guid.
func TestCancelLocksInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reverseSlots()
	visit := w.mustBook(3)
	for _, wait := range []struct {
		lock string
		free []string
	}{
		{`SELECT FROM direction WHERE lpu_guid = @from FOR UPDATE`, []string{"speciality", "cell 101", "cell 102", "cell 103"}},
		{`SELECT FROM speciality_claim WHERE person_guid = @person FOR UPDATE`, []string{"cell 101", "cell 102", "cell 103"}},
		{`SELECT FROM slot WHERE lpu_guid = @to AND id = 103 FOR UPDATE`, []string{"cell 101", "cell 102"}},
		{`SELECT FROM slot WHERE lpu_guid = @to AND id = 102 FOR UPDATE`, []string{"cell 101"}},
		{`SELECT FROM slot WHERE lpu_guid = @to AND id = 101 FOR UPDATE`, nil},
	} {
		for _, plan := range []string{"enable_nestloop", "enable_hashjoin"} { // with two plans
			ctx, cancel := context.WithCancel(t.Context())
			store := w.store(runtimeParam(plan, "off"))
			err := w.whileBlocked(func() error {
				return store.Cancel(ctx, booking.NewCancellation{Patient: w.patient, Visit: visit, At: moment})
			}, wait.lock, func(pgx.Tx, int) {
				require.Equal(t, wait.free, w.unlocked(), wait.lock)
				cancel()
			})
			require.ErrorIs(t, err, context.Canceled)
			requireConnectionsReleased(t, store)
			require.False(t, w.visit(visit.Guid).Cancelled)
		}
	}
}

// Promise: a cancel checks the visit again after it has its locks. If another request cancelled it
// first, nothing changes and a later booking stays.
func TestCancelIsTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.mustBook(2)
	require.NoError(t, w.store().Cancel(t.Context(),
		booking.NewCancellation{
			Patient: w.patient, Visit: visit,
			Reason: booking.CancelReason{Code: new(int32(6)), Text: new("первая")}, At: moment,
		}))
	again := w.mustBook(2)
	written := w.countWritten()
	require.False(t, visit.Cancelled, "as the visit was read")
	require.NoError(t, w.store().Cancel(t.Context(),
		booking.NewCancellation{
			Patient: w.patient, Visit: visit, Reason: booking.CancelReason{Code: new(int32(1))}, At: moment,
		}))
	require.Equal(t, written, w.countWritten())
	require.False(t, w.visit(again.Guid).Cancelled)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM appointment WHERE guid = $1 AND cancel_reason_code = 6 AND cancel_reason = 'первая'`, visit.Guid))
}

// Promise: a cancel is retried after a transient failure of the database.
func TestCancelIsRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.mustBook(1)
	var failed bool
	store := w.store(beforeCommit(func(conn *pgx.Conn) {
		failed = true
		_, err := w.db.Exec(t.Context(), `SELECT pg_terminate_backend($1::int, 10000)`, conn.PgConn().PID())
		require.NoError(t, err)
	}))
	err := store.Cancel(t.Context(), booking.NewCancellation{Patient: w.patient, Visit: visit, At: moment})
	require.True(t, failed)
	requireRefusal(t, err, booking.DatabaseUnavailable) // the response to the commit was lost
	require.NoError(t, store.Cancel(t.Context(), booking.NewCancellation{
		Patient: w.patient, Visit: visit, At: moment,
	}), "a repeated cancel succeeds")
	require.True(t, w.visit(visit.Guid).Cancelled)
	requireConnectionsReleased(t, store)

	visit = w.mustBook(1)
	readOnly := w.store(onFirstConnections(1, "default_transaction_read_only", "on"))
	require.NoError(t, readOnly.Cancel(t.Context(), booking.NewCancellation{
		Patient: w.patient, Visit: visit, At: moment,
	}))
	require.True(t, w.visit(visit.Guid).Cancelled)
}
