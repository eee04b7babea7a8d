package postgres

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/events"
)

// Move implements booking.MoveStore. It cancels and books in one transaction of three round trips.
// The row of the visit is deleted and inserted again, under its guid, in the target institution.
//
// All cells are locked before any is changed, those of the institution with the lower guid first.
// Bookings and cancels lock cells of one institution only, so that transactions do not deadlock.
func (s *Store) Move(
	ctx context.Context, a booking.NewAppointment, request booking.MoveRequest, visit *booking.BookedVisit,
) (*booking.HeldDirection, error) {
	return write(ctx, s, func(t *tx) (*booking.HeldDirection, error) {
		holds, err := s.consumedHolds(ctx, t.reference, a)
		if err != nil {
			return nil, err
		}
		locked, err := t.lockVisit(a.Patient.Person, visit, a.CreatedAt)
		if err != nil {
			return nil, err
		}
		current := locked.visit
		if current == nil {
			return nil, booking.ErrVisitChanged // it was cancelled
		}
		if current.Request(request) != a.Request || request.Version != 0 && request.Version != current.Version {
			return nil, booking.ErrVisitChanged
		}
		if current.Attendance != booking.AttendanceNone {
			return nil, booking.Reject(booking.AppointmentAttended)
		}
		for _, cells := range cellsToLock(current, changedCells(a, holds), a.Request.LpuTo) {
			t.lockEachSlot(cells.LpuGuid, cells.Guids)
		}
		t.releaseClaims(a.Patient.Person, locked)
		row(t, t.AppointmentDelete(ctx, []db.AppointmentDeleteParams{{
			LpuGuid: current.Lpu, Guid: current.Guid, Version: current.Version,
		}}).QueryRow, retryIfMoving)
		t.freeSlots(current)
		if current.Lpu != a.Request.LpuTo {
			t.tell(events.Event{
				Lpu: current.Lpu, Type: events.AppointmentMoved, At: a.CreatedAt, Appointment: current.Guid,
				Direction: current.Direction, Version: current.Version + 1,
			})
		}
		return t.book(a, holds, current.CreatedAt, current.Version+1)
	})
}

// cellsToLock returns the cells of a visit and the wanted cells of an institution, by institution,
// in the order in which they must be locked.
func cellsToLock(current *booking.BookedVisit, wanted []uuid.UUID, lpu uuid.UUID) []db.SlotLockParams {
	if lpu == current.Lpu {
		return []db.SlotLockParams{{LpuGuid: lpu, Guids: append(wanted, current.Slots...)}}
	}
	params := []db.SlotLockParams{{LpuGuid: current.Lpu, Guids: current.Slots}, {LpuGuid: lpu, Guids: wanted}}
	slices.SortFunc(params, func(a, b db.SlotLockParams) int { return bytes.Compare(a.LpuGuid[:], b.LpuGuid[:]) })
	return params
}
