package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// moveTo is a move of the world's visit to the cells from one on, ready to be written.
func (w *world) moveTo(visit *booking.BookedVisit, slotID int64, difficulty int) booking.NewAppointment {
	w.t.Helper()
	request := w.request(difficulty)
	request.Place = booking.Place{SlotID: slotID}
	facts, err := w.store().MoveFacts(w.t.Context(), w.patient, request, visit, moment)
	require.NoError(w.t, err)
	require.Nil(w.t, booking.Check(facts))
	return booking.NewAppointment{
		Guid: visit.Guid, CreatedAt: moment, Patient: w.patient, Request: facts.Request, Direction: &facts.Direction.Direction, Resource: facts.Resource,
		Slots: facts.Slots, Access: facts.Target.Rights.OtherLpu, Mkab: facts.Mkab.Guid,
		Start: facts.Slots[0].Start, End: facts.Slots[len(facts.Slots)-1].End,
		OneActivePerSpeciality: facts.Target.OneActivePerSpeciality, Zone: facts.Target.Zone,
	}
}

// wanted asks for all of the move that is ready to be written.
func wanted(a booking.NewAppointment) booking.MoveRequest {
	r := a.Request
	return booking.MoveRequest{LpuTo: &r.LpuTo, Place: r.Place, Difficulty: r.Difficulty, Comment: &r.Comment, IsCito: &r.IsCito}
}

// Promise: on a connection that knows the statements the facts of a move are one round trip, and the move is three.
func TestMoveRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var count trips
	store := w.store(count.through)
	visit := w.booked(2)
	move := func(slotID int64) func() {
		a := w.moveTo(visit, slotID, 2)
		return func() {
			_, err := store.Move(t.Context(), a, wanted(a), visit)
			require.NoError(t, err)
		}
	}
	facts := func() {
		_, err := store.MoveFacts(t.Context(), w.patient, w.request(2), visit, moment)
		require.NoError(t, err)
	}
	facts() // the connection learns the statements
	require.Equal(t, 1, count.of(facts))
	move(firstSlot + 1)()
	require.Equal(t, 3, count.of(move(firstSlot)))
	requireFree(t, store)
}

// Promise: two moves of one visit at the same time do not undo each other: what the later one leaves as it is, is as the earlier one has made it.
func TestMovesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.booked(1)
	service := booking.NewService(w.store(), nil, func() time.Time { return moment })
	comment := "с выпиской"
	moved := make(chan error, 2)
	move := func(wanted booking.MoveRequest) {
		_, _, err := service.Move(t.Context(), w.patient, visit.Guid, wanted, nil)
		moved <- err
	}
	tx, end := w.hold(`SELECT FROM direction WHERE copied_from_lpu_guid IS NULL FOR UPDATE`)
	go move(booking.MoveRequest{Place: booking.Place{SlotID: firstSlot}, Difficulty: 2, Comment: &comment})
	w.blocked(tx, 0)
	go move(booking.MoveRequest{Place: booking.Place{SlotID: firstSlot + 1}})
	require.Eventually(t, func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 2
	}, 20*time.Second, 5*time.Millisecond, "both have judged what was before, and wait")
	end()
	require.NoError(t, <-moved)
	require.NoError(t, <-moved)
	now := w.visit(visit.Guid)
	require.Equal(t, comment, now.Comment)
	require.Len(t, now.Slots, 2)
}

// Promise: a move locks in the order in which a booking does: the referral, the speciality, then all cells, those it leaves and those it takes, by their time.
func TestMoveLocksInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mixSlots()
	visit := w.booked(1)
	last := w.moveTo(visit, firstSlot+2, 1)
	_, err := w.store().Move(t.Context(), last, wanted(last), visit)
	require.NoError(t, err)
	visit = w.visit(visit.Guid)
	a := w.moveTo(visit, firstSlot, 2) // from the third to the first two
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
		ctx, cancel := context.WithCancel(t.Context())
		store := w.store()
		err := w.whileBlocked(func() error {
			_, err := store.Move(ctx, a, wanted(a), visit)
			return err
		}, wait.lock, func(pgx.Tx, int) {
			require.Equal(t, wait.free, w.free(), wait.lock)
			cancel()
		})
		require.ErrorIs(t, err, context.Canceled)
		requireFree(t, store)
		require.Equal(t, visit, w.visit(visit.Guid), "it stands untouched")
	}
}

// Promise: what a move found before it had its locks does not count: cancelled meanwhile the visit is not moved; the referral withdrawn meanwhile, it stands.
func TestMoveIsTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.booked(1)
	a := w.moveTo(visit, firstSlot+1, 1)
	w.exec(`UPDATE direction SET cancelled_at = $1`, moment)
	_, err := w.store().Move(t.Context(), a, wanted(a), visit)
	requireRefused(t, err, booking.DirectionNotFound)
	require.Equal(t, visit, w.visit(visit.Guid))
	w.exec(`UPDATE direction SET cancelled_at = NULL`)
	require.NoError(t, w.store().Cancel(t.Context(), booking.NewCancellation{Person: w.patient.Person, Visit: visit, At: moment}))
	written := w.written()
	_, err = w.store().Move(t.Context(), a, wanted(a), visit)
	requireRefused(t, err, booking.AppointmentCancelled)
	require.Equal(t, written, w.written())
}
