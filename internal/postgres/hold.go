package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Holds implements booking.HoldStore.
func (s *Store) Holds(ctx context.Context, person uuid.UUID, now time.Time) ([]booking.Hold, error) {
	return read(ctx, s, func(known *reference) ([]booking.Hold, error) { return s.holds(ctx, known, person, now) })
}

func (s *Store) holds(
	ctx context.Context, known *reference, person uuid.UUID, now time.Time,
) (holds []booking.Hold, err error) {
	db.New(s.pool).HoldList(ctx, []db.HoldListParams{{
		PersonGuid: person, At: now,
	}}).Query(func(_ int, rows []db.HoldListRow, rowsErr error) {
		if err = rowsErr; err == nil {
			holds, err = known.holds(rows)
		}
	})
	return holds, err
}

func (r *reference) holds(rows []db.HoldListRow) ([]booking.Hold, error) {
	holds := make([]booking.Hold, len(rows))
	for i, row := range rows {
		zone, err := r.zone(row.LpuGuid)
		if err != nil {
			return nil, err
		}
		holds[i] = booking.Hold{
			Guid: row.Guid, Lpu: row.LpuGuid, Slots: row.SlotGuids, Direction: row.DirectionGuid,
			Start: row.StartAt.In(zone), End: row.EndAt.In(zone), Until: row.Until.In(zone),
		}
	}
	return holds, nil
}

// Hold implements booking.HoldStore. Like Create, it runs one transaction in two round trips. It
// first holds the cells and then takes one of the person's places for holds. So the second of two
// requests for one cell sees the hold of the first, and of all requests of one person at most
// maxHolds succeed.
//
// For a move, one more round trip first locks the visit, as the move does. The visit's own places
// count as free, so they must not be freed meanwhile. The number of its cells must still be that
// with which the rules were checked.
func (s *Store) Hold(
	ctx context.Context, a booking.NewAppointment, visit *booking.BookedVisit, until time.Time,
) (*booking.Hold, error) {
	return write(ctx, s, func(t *tx) (*booking.Hold, error) {
		var own []uuid.UUID
		if visit != nil {
			locked, err := t.lockVisit(a.Patient.Person, visit, a.CreatedAt)
			if err != nil {
				return nil, err
			}
			if locked.visit == nil {
				return nil, booking.Reject(booking.AppointmentCancelled)
			}
			if locked.visit.Attendance != booking.AttendanceNone {
				return nil, booking.Reject(booking.AppointmentAttended)
			}
			if len(locked.visit.Slots) != len(visit.Slots) {
				return nil, booking.ErrVisitChanged
			}
			own = locked.visit.OwnCells(a.Request.LpuTo)
		}
		return t.hold(a, own, until)
	})
}

// hold holds the cells of a visit until a moment. own are the cells in which the person's own visit
// has a place, which counts as free. If the person already has a hold in force that begins with the
// same cell, hold returns it and rolls back.
func (t *tx) hold(a booking.NewAppointment, own []uuid.UUID, until time.Time) (*booking.Hold, error) {
	var (
		lost  error
		wait  time.Duration // until more cells of the resource may be held
		taken bool
		holds []booking.Hold
	)
	// Also a single cell: SlotHold does not lock a cell without a free place, and the person's own
	// hold on it must not end before HoldList.
	t.lockEachSlot(a.Request.LpuTo, guids(a.Slots))
	rows(t, t.SlotHold(t.ctx, []db.SlotHoldParams{{
		LpuGuid: a.Request.LpuTo, Guids: guids(a.Slots), Restrictions: restrictions(a.Slots), Access: int32(a.Access),
		ResourceGuid: a.Resource.Guid, StartAt: a.Start, EndAt: a.End, At: a.CreatedAt, Guid: a.Guid,
		PersonGuid: a.Patient.Person, Until: until, OwnGuids: own, Receptions: t.reference.receptions,
	}}).Query, func(rows []db.SlotHoldRow) error {
		got := make([]db.SlotTakeRow, len(rows))
		for i, row := range rows {
			got[i] = db.SlotTakeRow(row)
		}
		lost = checkTakenCells(a, got)
		return nil
	})
	place := db.HoldTakeParams{
		PersonGuid: a.Patient.Person, Place: 1, Guid: a.Guid, LpuGuid: a.Request.LpuTo, SlotGuids: guids(a.Slots),
		DirectionGuid: a.Direction.Guid, StartAt: a.Start, EndAt: a.End, Until: until,
	}
	other := place
	other.Place = maxHolds
	exec(t, t.HoldExpire(t.ctx, []db.HoldExpireParams{{PersonGuid: a.Patient.Person, At: a.CreatedAt}}).Exec)
	row(t, t.HoldTake(t.ctx, []db.HoldTakeParams{place, other}).QueryRow, func(_ int16, err error) error {
		taken = taken || err == nil
		return ignoreAbsent(err)
	})
	rows(t, t.HoldList(t.ctx, []db.HoldListParams{{
		PersonGuid: a.Patient.Person, At: a.CreatedAt,
	}}).Query, func(rows []db.HoldListRow) (err error) {
		holds, err = t.reference.holds(rows)
		return err
	})
	for _, holder := range []struct {
		guid  uuid.UUID
		limit int
	}{{a.Patient.Person, maxHeldByPerson}, {a.Patient.Client, maxHeldByClient}} {
		row(t, t.HeldCellsCount(t.ctx, []db.HeldCellsCountParams{{
			LpuGuid: a.Request.LpuTo, ResourceGuid: a.Resource.Guid, HolderGuid: holder.guid,
			Cells: int32(len(a.Slots)), At: a.CreatedAt, Forgotten: a.CreatedAt.Add(-heldWithin),
		}}).QueryRow, func(held db.HeldCellsCountRow, err error) error {
			if err == nil && int(held.Cells) > holder.limit {
				wait = max(wait, held.Since.Add(heldWithin).Sub(a.CreatedAt))
			}
			return err
		})
	}
	exec(t, t.HeldCellsForget(t.ctx, []db.HeldCellsForgetParams{{
		LpuGuid: a.Request.LpuTo, ResourceGuid: a.Resource.Guid, Forgotten: a.CreatedAt.Add(-heldWithin),
	}}).Exec)
	if err := t.send(); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(holds, func(h booking.Hold) bool { return h.BeginsWith(a.Request.LpuTo, a.Slots[0].Guid) })
	switch {
	case at >= 0 && holds[at].Guid != a.Guid:
		t.abandoned = true
		return &holds[at], nil
	case lost != nil:
		return nil, lost
	case !taken && len(holds) < maxHolds:
		return nil, errHoldsChanging
	case !taken:
		refusal := booking.Reject(booking.TooManyHolds)
		refusal.Remedies = &booking.Remedies{Holds: holds}
		refusal.RetryAfter = holds[0].Until.Sub(a.CreatedAt)
		return nil, refusal
	case wait > 0:
		refusal := booking.Reject(booking.TooManyRequests)
		refusal.RetryAfter = wait
		return nil, refusal
	default:
		return &holds[at], nil
	}
}

// maxHolds is the number of holds that a person can have.
const maxHolds = 2

// The numbers of cells of one resource that can be held within heldWithin, for one person and
// through one client application, over all instances. Cells of holds that have ended count, too, so
// that nobody holds the same cells again and again. heldWithin is the longest time of a hold.
const (
	maxHeldByPerson = 32 // two holds of the longest visit
	maxHeldByClient = 64
	heldWithin      = 15 * time.Minute
)

// errHoldsChanging is a transient error. The person had no free place for a hold, and then another
// request of the person ended one.
var errHoldsChanging = booking.Reject(booking.DatabaseUnavailable).Because(errors.New("the holds are being changed"))

// Release implements booking.HoldStore. It runs one transaction in two round trips.
func (s *Store) Release(ctx context.Context, person uuid.UUID, hold booking.Hold, now time.Time) error {
	_, err := write(ctx, s, func(t *tx) (struct{}, error) {
		t.lockSlots(hold.Lpu, hold.Slots)
		t.releaseHolds(person, hold.Lpu, []booking.Hold{hold}, now)
		return struct{}{}, nil
	})
	return err
}

// consumedHolds returns the holds that a booking uses up: the patient's own holds on its cells that
// are still in force. A hold made after the facts were read counts like another person's.
func (s *Store) consumedHolds(
	ctx context.Context, reference *reference, a booking.NewAppointment,
) ([]booking.Hold, error) {
	var known []uuid.UUID
	for _, slot := range a.Slots {
		known = append(known, slot.Holds...)
	}
	if known == nil {
		return nil, nil
	}
	holds, err := s.holds(ctx, reference, a.Patient.Person, a.CreatedAt)
	return slices.DeleteFunc(holds, func(h booking.Hold) bool { return !slices.Contains(known, h.Guid) }), err
}

// changedCells returns the cells that a booking changes: those of the visit and those of the holds
// that it uses up.
func changedCells(a booking.NewAppointment, holds []booking.Hold) []uuid.UUID {
	cells := guids(a.Slots)
	for _, hold := range holds {
		cells = append(cells, hold.Slots...)
	}
	return cells
}

// releaseHolds queues the statements that release a person's holds in an institution: their places
// in the cells and their rows. Several cells must be locked by lockSlots first.
func (t *tx) releaseHolds(person, lpu uuid.UUID, holds []booking.Hold, now time.Time) {
	if len(holds) == 0 {
		return
	}
	releases, deletions := make([]db.SlotReleaseParams, len(holds)), make([]db.HoldDeleteParams, len(holds))
	for i, hold := range holds {
		releases[i] = db.SlotReleaseParams{
			LpuGuid: lpu, Guids: hold.Slots, Guid: hold.Guid, PersonGuid: person, Until: hold.Until, At: now,
		}
		deletions[i] = db.HoldDeleteParams{PersonGuid: person, Guid: hold.Guid}
	}
	exec(t, t.SlotRelease(t.ctx, releases).Exec)
	exec(t, t.HoldDelete(t.ctx, deletions).Exec)
}
