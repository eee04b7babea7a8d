package postgres

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Move implements booking.Store: a cancel and a booking in one transaction of three round trips. The row of the visit is deleted and written again under its
// guid, where the visit will be. All cells are locked before any is changed, those of the institution with the lower guid first: a booking or a cancel locks
// cells of one institution only, so that no circle of waiters can form.
func (s *Store) Move(ctx context.Context, a booking.NewAppointment, wanted booking.MoveRequest, visit *booking.BookedVisit) (*booking.HeldDirection, error) {
	return write(ctx, s, func(t *tx) (*booking.HeldDirection, error) {
		holds, err := s.consumedHolds(ctx, t.reference, a)
		if err != nil {
			return nil, err
		}
		locked, err := t.lockVisit(a.Patient.Person, visit, a.CreatedAt)
		if err != nil {
			return nil, err
		}
		was := locked.visit
		if was == nil {
			return nil, booking.Reject(booking.AppointmentCancelled)
		}
		if was.Request(wanted) != a.Request {
			return nil, booking.ErrVisitChanged
		}
		for _, cells := range lockedCells(was, cellsOf(a, holds), a.Request.LpuTo) {
			rows(t, t.SlotLock(ctx, []db.SlotLockParams{cells}).Query, func([]uuid.UUID) error { return nil })
		}
		t.release(a.Patient.Person, locked)
		exec(t, t.AppointmentDelete(ctx, []db.AppointmentDeleteParams{{LpuGuid: was.Lpu, Guid: was.Guid}}).Exec)
		t.freeSlots(was)
		held, err := t.book(a, holds, was.CreatedAt)
		var refusal *booking.Refusal
		if errors.As(err, &refusal) && refusal.Rule == booking.DirectionAlreadyBooked {
			err = booking.Reject(booking.DirectionNotFound) // the visit that is moved had it: the referral was withdrawn
		}
		return held, err
	})
}

// lockedCells are the cells that a visit has and those of an institution that a booking changes, by institution, in the order in which they are locked.
func lockedCells(was *booking.BookedVisit, wanted []uuid.UUID, lpu uuid.UUID) []db.SlotLockParams {
	if lpu == was.Lpu {
		return []db.SlotLockParams{{LpuGuid: lpu, Guids: append(wanted, was.Slots...)}}
	}
	params := []db.SlotLockParams{{LpuGuid: was.Lpu, Guids: was.Slots}, {LpuGuid: lpu, Guids: wanted}}
	slices.SortFunc(params, func(a, b db.SlotLockParams) int { return bytes.Compare(a.LpuGuid[:], b.LpuGuid[:]) })
	return params
}
