package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Create implements booking.Store: one transaction in two round trips, its statements and the commit; with a key, or with
// holds of the patient's that it uses up, one more.
func (s *Store) Create(ctx context.Context, a booking.NewAppointment) (*booking.HeldDirection, error) {
	return write(ctx, s, func(t *tx) (*booking.HeldDirection, error) {
		holds, err := s.consumedHolds(ctx, t.reference, a)
		if err != nil {
			return nil, err
		}
		return t.book(a, holds, a.CreatedAt)
	})
}

// book claims the referral and the speciality, takes the cells, copies the referral, writes the visit, and reads it back. Each of these statements returns
// a row only while what the rules saw is still so.
//
// They lock in one order (referral, speciality, cells by their time, the patient's holds, the copy, resource and card, key), so that bookings wait for each other but do not deadlock.
// The patient's own holds on the cells are given back first, so that the cells are free for this booking as for any other.
func (t *tx) book(a booking.NewAppointment, holds []booking.Hold, createdAt time.Time) (held *booking.HeldDirection, err error) {
	t.claimDirection(a)
	if a.Request.Type == booking.Consult {
		t.claimSpeciality(a)
	}
	t.lockSlots(a.Request.LpuTo, cellsOf(a, holds))
	t.giveBack(a.Patient.Person, a.Request.LpuTo, holds, a.CreatedAt)
	t.takeSlots(a)
	if a.Request.LpuTo != a.Request.LpuFrom {
		t.copyDirection(a)
	}
	t.createAppointment(a, createdAt)
	exec(t, t.PersonAppointmentAdd(t.ctx, []db.PersonAppointmentAddParams{{PersonGuid: a.Patient.Person, Guid: a.Guid}}).Exec)
	row(t, t.AppointmentWritten(t.ctx, []db.AppointmentWrittenParams{{LpuGuid: a.Request.LpuTo, Guid: a.Guid}}).QueryRow,
		func(row db.AppointmentWrittenRow, err error) error {
			if err != nil {
				return refuseAbsent(err, booking.AppointmentNotFound)
			}
			if !row.Linked {
				return booking.Reject(booking.AppointmentNotLinked)
			}
			held = writtenDirection(a, row.ID, createdAt)
			return nil
		})
	if err := t.send(); err != nil {
		return nil, t.explainLoss(a, err)
	}
	t.keepAnswer(a.Key, held)
	return held, nil
}

func (t *tx) claimDirection(a booking.NewAppointment) {
	row(t, t.DirectionClaim(t.ctx, []db.DirectionClaimParams{{
		LpuGuid: a.Request.LpuFrom, Guid: a.Direction.Guid,
		AppointmentGuid: a.Guid, AppointmentLpuGuid: a.Request.LpuTo, AppointmentStartAt: a.Start, AppointmentEndAt: a.End,
	}}).QueryRow, func(_ uuid.UUID, err error) error { return refuseAbsent(err, booking.DirectionAlreadyBooked) })
}

// claimSpeciality claims the speciality of a consultation. Where the region allows several active ones, a claim that stays another's is no loss.
func (t *tx) claimSpeciality(a booking.NewAppointment) {
	row(t, t.SpecialityClaimTake(t.ctx, []db.SpecialityClaimTakeParams{{
		PersonGuid:      a.Patient.Person,
		SpecialityCode:  a.Direction.SpecialityCode,
		AppointmentGuid: a.Guid,
		LpuGuid:         a.Request.LpuTo,
		ResourceName:    a.Resource.Name,
		StartAt:         a.Start,
		EndAt:           a.End,
		At:              a.CreatedAt,
		OnlyOne:         a.OneActivePerSpeciality,
	}}).QueryRow, func(_ uuid.UUID, err error) error {
		if !a.OneActivePerSpeciality {
			return unlessAbsent(err)
		}
		return refuseAbsent(err, booking.SpecialityAlreadyBooked)
	})
}

// takeSlots takes a place in each cell of the visit. Out of schedule there are none. Several cells must be locked before, by lockSlots.
func (t *tx) takeSlots(a booking.NewAppointment) {
	if len(a.Slots) == 0 {
		return
	}
	rows(t, t.SlotTake(t.ctx, []db.SlotTakeParams{{
		LpuGuid: a.Request.LpuTo, Guids: guids(a.Slots), ResourceGuid: a.Resource.Guid, Access: int32(a.Access), Restrictions: restrictions(a.Slots),
		At: a.CreatedAt, StartAt: a.Start, EndAt: a.End, Receptions: t.reference.receptions,
	}}).Query, func(got []db.SlotTakeRow) error { return refuseUnlessAll(a, got) })
}

// lockSlots locks several cells in order of time, so that two complex slots that overlap wait for each other instead of deadlocking. One cell is locked by
// the statement that changes it.
func (t *tx) lockSlots(lpu uuid.UUID, cells []uuid.UUID) {
	if len(cells) > 1 {
		rows(t, t.SlotLock(t.ctx, []db.SlotLockParams{{LpuGuid: lpu, Guids: cells}}).Query, func([]uuid.UUID) error { return nil })
	}
}

// copyDirection copies the referral into the target institution.
func (t *tx) copyDirection(a booking.NewAppointment) {
	row(t, t.DirectionCopy(t.ctx, []db.DirectionCopyParams{{
		LpuGuid:           a.Request.LpuTo,
		Guid:              a.Direction.Guid,
		CopiedFromLpuGuid: a.Request.LpuFrom,
		Type:              db.DirectionType(a.Direction.Type),
		Number:            a.Direction.Number,
		AccessionNumber:   a.Direction.AccessionNumber,
		Date:              a.Direction.Date,
		DateEnd:           a.Direction.DateEnd,
		CreatedAt:         a.Direction.CreatedAt,
		DocPrvdSenderGuid: a.Direction.Sender,
		MkabGuid:          a.Mkab,
		Reason:            a.Direction.Reason,
		Comment:           a.Direction.Comment,
		Urgent:            a.Direction.Urgent,
		Flags:             a.Direction.Flags,
		SpecialityCode:    a.Direction.SpecialityCode,
		SpecialityName:    a.Direction.SpecialityName,
		MkbCode:           a.Direction.MkbCode,
		MkbName:           a.Direction.MkbName,
		LpuFromGuid:       a.Direction.LpuFrom,
		AppointmentGuid:   a.Guid,
		StartAt:           a.Start,
		EndAt:             a.End,
	}}).QueryRow, func(linked *uuid.UUID, err error) error {
		if err == nil && (linked == nil || *linked != a.Guid) {
			return booking.Reject(booking.AppointmentNotLinked)
		}
		return refuseAbsent(err, booking.AppointmentNotCreated)
	})
}

func (t *tx) createAppointment(a booking.NewAppointment, createdAt time.Time) {
	row(t, t.AppointmentCreate(t.ctx, []db.AppointmentCreateParams{{
		LpuGuid:          a.Request.LpuTo,
		Guid:             a.Guid,
		DirectionGuid:    a.Direction.Guid,
		DirectionLpuGuid: a.Request.LpuFrom,
		MkabGuid:         a.Mkab,
		PersonGuid:       a.Patient.Person,
		ResourceGuid:     a.Resource.Guid,
		ClientGuid:       a.Patient.Client,
		StartAt:          a.Start,
		EndAt:            a.End,
		IsCito:           a.Request.IsCito,
		Comment:          a.Request.Comment,
		CreatedAt:        createdAt,
		UpdatedAt:        a.CreatedAt,
		SlotGuids:        guids(a.Slots),
	}}).QueryRow, func(_ uuid.UUID, err error) error { return refuseAbsent(err, booking.AppointmentNotCreated) })
}

// explainLoss finds out, in one more round trip, what the statement that returned no row could not tell: who has the speciality, and whether the resource
// or the card is the reason that the visit was not written.
func (t *tx) explainLoss(a booking.NewAppointment, err error) error {
	var lost *booking.Refusal
	if !errors.As(err, &lost) {
		return err
	}
	if t.raised != nil { // a later statement of the pipeline: nothing more can be read, and the next try, if there is one, loses the same way
		return t.raised
	}
	if lost.Rule == booking.SpecialityAlreadyBooked {
		row(t, t.SpecialityClaimGet(t.ctx, []db.SpecialityClaimGetParams{
			{PersonGuid: a.Patient.Person, SpecialityCode: a.Direction.SpecialityCode},
		}).QueryRow, func(row db.SpecialityClaimGetRow, rowErr error) error {
			if rowErr != nil {
				return rowErr
			}
			existing, rowErr := t.reference.existing(row.AppointmentGuid, row.LpuGuid, row.StartAt, row.EndAt)
			if rowErr != nil {
				return rowErr
			}
			err = booking.RejectSpeciality(booking.ActiveAppointment{
				ExistingAppointment: existing, SpecialityCode: a.Direction.SpecialityCode, ResourceName: row.ResourceName,
			})
			return nil
		})
	}
	if lost.Rule == booking.AppointmentNotCreated {
		row(t, t.AppointmentTarget(t.ctx, []db.AppointmentTargetParams{
			{LpuGuid: a.Request.LpuTo, ResourceGuid: a.Resource.Guid, MkabGuid: a.Mkab},
		}).QueryRow, func(row db.AppointmentTargetRow, rowErr error) error {
			switch {
			case rowErr != nil:
				return rowErr
			case !row.ResourceActive:
				err = booking.Reject(booking.SlotResourceNotFound)
			case !row.MkabOpen:
				err = booking.Reject(booking.MkabClosed)
			}
			return nil
		})
	}
	return firstError(t.send(), err)
}

// refuseAbsent turns the absence of a row into a refusal.
func refuseAbsent(err error, name booking.Name) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return booking.Reject(name)
	}
	return err
}

// refuseUnlessAll refuses unless a statement got all cells, and they are still the whole visit.
func refuseUnlessAll(a booking.NewAppointment, got []db.SlotTakeRow) error {
	var (
		start, end = a.End, a.Start
		first      bool
	)
	for _, cell := range got {
		first = first || cell.Guid == a.Slots[0].Guid
		if cell.StartAt.Before(start) {
			start = cell.StartAt
		}
		if cell.EndAt.After(end) {
			end = cell.EndAt
		}
	}
	switch {
	case first && len(got) < len(a.Slots):
		return booking.Reject(booking.ComplexSlotFailed)
	case len(got) < len(a.Slots), !start.Equal(a.Start), !end.Equal(a.End):
		return booking.Reject(booking.SlotTaken)
	default:
		return nil
	}
}

// writtenDirection is the referral and its appointment as a booking has written them.
func writtenDirection(a booking.NewAppointment, id int64, createdAt time.Time) *booking.HeldDirection {
	held := &booking.HeldDirection{
		ID: id, Mkab: a.Mkab, LpuTo: a.Request.LpuTo, Direction: *a.Direction,
		Appointment: booking.Appointment{Guid: a.Guid, Start: a.Start, End: a.End, CreatedAt: createdAt.Truncate(time.Microsecond)},
	}
	if a.Request.LpuTo != a.Request.LpuFrom {
		held.Direction.LpuTo = &held.LpuTo // of a copy
	}
	return inZone(held, a.Zone)
}

// heldDirection is the referral and its appointment as the target institution holds them, in its zone. The visit is where the referral is held, whatever an
// original says of its target.
func heldDirection(row db.AppointmentGetRow, zone *time.Location) *booking.HeldDirection {
	return inZone(&booking.HeldDirection{
		ID: row.Direction.ID, Mkab: row.MkabGuid, LpuTo: row.Direction.LpuGuid, Direction: direction(&row.Direction),
		Appointment: booking.Appointment{Guid: row.Guid, Start: row.StartAt, End: row.EndAt, CreatedAt: row.CreatedAt},
	}, zone)
}

func inZone(held *booking.HeldDirection, zone *time.Location) *booking.HeldDirection {
	d, a := &held.Direction, &held.Appointment
	d.Date, d.DateEnd, d.CreatedAt = booking.StartOfDay(d.Date, zone), booking.StartOfDay(d.DateEnd, zone), d.CreatedAt.In(zone)
	a.Start, a.End, a.CreatedAt = a.Start.In(zone), a.End.In(zone), a.CreatedAt.In(zone)
	return held
}

// guids returns the guids of cells.
func guids(slots []booking.Slot) []uuid.UUID {
	guids := make([]uuid.UUID, len(slots))
	for i, slot := range slots {
		guids[i] = slot.Guid
	}
	return guids
}

// restrictions returns whom the cells were kept for when the rules allowed the booking.
func restrictions(slots []booking.Slot) []string {
	restrictions := make([]string, len(slots))
	for i, slot := range slots {
		restrictions[i] = string(slot.Restriction)
	}
	return restrictions
}
