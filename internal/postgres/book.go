package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/events"
)

// Create implements booking.BookStore. It runs one transaction in two round trips: the statements,
// then the commit. An idempotency key adds one round trip, and so do the patient's own holds on the
// cells.
func (s *Store) Create(ctx context.Context, a booking.NewAppointment) (*booking.HeldDirection, error) {
	return write(ctx, s, func(t *tx) (*booking.HeldDirection, error) {
		holds, err := s.consumedHolds(ctx, t.reference, a)
		if err != nil {
			return nil, err
		}
		return t.book(a, holds, a.CreatedAt, 1)
	})
}

// book claims the referral and the speciality, takes the cells, copies the referral, writes the
// visit and reads it back. createdAt is when the visit was first booked, and version the number of
// this change. Each of these statements returns a row only if what the rules checked is still true.
// Otherwise book returns a *booking.Refusal.
//
// All transactions lock in one order: referral, speciality, cells by their guid, the patient's
// holds, copy, resource and card, key. So bookings wait for each other but do not deadlock. The
// patient's own holds on the cells are released first, so that their places are free for this
// booking.
func (t *tx) book(
	a booking.NewAppointment, holds []booking.Hold, createdAt time.Time, version int64,
) (held *booking.HeldDirection, err error) {
	t.claimDirection(a)
	if a.Request.Type == booking.Consult {
		t.claimSpeciality(a)
	}
	t.lockSlots(a.Request.LpuTo, changedCells(a, holds))
	t.releaseHolds(a.Patient.Person, a.Request.LpuTo, holds, a.CreatedAt)
	t.takeSlots(a)
	if a.Request.LpuTo != a.Request.LpuFrom {
		t.copyDirection(a)
	}
	t.createAppointment(a, createdAt, version)
	exec(t, t.PersonAppointmentAdd(t.ctx, []db.PersonAppointmentAddParams{{
		PersonGuid: a.Patient.Person, Guid: a.Guid,
	}}).Exec)
	row(t, t.AppointmentWritten(t.ctx, []db.AppointmentWrittenParams{{
		LpuGuid: a.Request.LpuTo, Guid: a.Guid,
	}}).QueryRow, func(row db.AppointmentWrittenRow, err error) error {
		if err != nil {
			return rejectIfAbsent(err, booking.AppointmentNotFound)
		}
		if !row.Linked {
			return booking.Reject(booking.AppointmentNotLinked)
		}
		held = writtenDirection(a, row.ID, createdAt, version)
		return nil
	})
	t.tellBooked(a, version)
	if err := t.send(); err != nil {
		return nil, t.explainLoss(a, err)
	}
	t.storeResponse(a.Key, held)
	return held, nil
}

// tellBooked queues the events of a visit that was booked, or moved if the version is above 1.
func (t *tx) tellBooked(a booking.NewAppointment, version int64) {
	visit := events.Event{
		Lpu: a.Request.LpuTo, Type: events.AppointmentBooked, At: a.CreatedAt, Appointment: a.Guid,
		Direction: a.Direction.Guid, Resource: a.Resource.Guid, Version: version,
	}
	if version > 1 {
		visit.Type = events.AppointmentMoved
	}
	t.tellVisit(visit, a.Request.LpuFrom, events.ReferralBooked)
}

// claimDirection queues the claim on the referral. It loses with DirectionAlreadyBooked, also if
// the referral was withdrawn, and with booking.ErrDirectionChanged if it is not the one that the
// rules have checked.
func (t *tx) claimDirection(a booking.NewAppointment) {
	row(t, t.DirectionClaim(t.ctx, []db.DirectionClaimParams{{
		LpuGuid: a.Request.LpuFrom, Guid: a.Direction.Guid,
		AppointmentGuid: a.Guid, AppointmentLpuGuid: a.Request.LpuTo,
		AppointmentStartAt: a.Start, AppointmentEndAt: a.End,
	}}).QueryRow, func(claimed db.Direction, err error) error {
		if err != nil {
			return rejectIfAbsent(err, booking.DirectionAlreadyBooked)
		}
		if now := direction(&claimed); claimed.MkabGuid != a.SourceMkab || !now.Equal(a.Direction) {
			return booking.ErrDirectionChanged
		}
		return nil
	})
}

// claimSpeciality queues the claim on the speciality of a consultation. It loses with
// SpecialityAlreadyBooked if another active appointment has the claim, unless the region allows
// several active ones.
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
			return ignoreAbsent(err)
		}
		return rejectIfAbsent(err, booking.SpecialityAlreadyBooked)
	})
}

// takeSlots queues the statement that takes a place in each cell of the visit. A visit out of
// schedule has no cells. Several cells must be locked by lockSlots first.
func (t *tx) takeSlots(a booking.NewAppointment) {
	if len(a.Slots) == 0 {
		return
	}
	rows(t, t.SlotTake(t.ctx, []db.SlotTakeParams{{
		LpuGuid: a.Request.LpuTo, Guids: guids(a.Slots), ResourceGuid: a.Resource.Guid, Access: int32(a.Access),
		Restrictions: restrictions(a.Slots), At: a.CreatedAt, StartAt: a.Start, EndAt: a.End,
		Receptions: t.reference.receptions,
	}}).Query, func(got []db.SlotTakeRow) error { return checkTakenCells(a, got) })
}

// lockSlots queues the statement that locks several cells in order of guid, so that two complex
// slots that overlap wait for each other and do not deadlock. A single cell needs no lock of its
// own: the statement that updates it locks it.
func (t *tx) lockSlots(lpu uuid.UUID, cells []uuid.UUID) {
	if len(cells) > 1 {
		t.lockEachSlot(lpu, cells)
	}
}

// lockEachSlot is lockSlots that also locks a single cell.
func (t *tx) lockEachSlot(lpu uuid.UUID, cells []uuid.UUID) {
	locks := []db.SlotLockParams{{LpuGuid: lpu, Guids: cells}}
	rows(t, t.SlotLock(t.ctx, locks).Query, func([]uuid.UUID) error { return nil })
}

// copyDirection queues the statement that copies the referral into the target institution.
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
		return rejectIfAbsent(err, booking.AppointmentNotCreated)
	})
}

// createAppointment queues the statement that writes the visit. It loses with
// AppointmentNotCreated.
func (t *tx) createAppointment(a booking.NewAppointment, createdAt time.Time, version int64) {
	created := db.AppointmentCreateParams{
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
		Version:          version,
		BookedBy:         string(a.BookedBy.Initiator),
		BookedClientGuid: a.BookedBy.Client,
	}
	if m := a.LastMove; m != nil {
		created.MovedAt, created.MovedBy = &m.At, (*string)(&m.Initiator)
		created.MoveCause, created.MoveReason = (*string)(m.Cause), m.Reason
	}
	row(t, t.AppointmentCreate(t.ctx, []db.AppointmentCreateParams{created}).QueryRow,
		func(_ uuid.UUID, err error) error { return rejectIfAbsent(err, booking.AppointmentNotCreated) })
}

// explainLoss returns a more precise error than err if a missing row does not show the cause: what
// has become of the referral, the appointment that has the speciality, or whether the resource or
// the card prevented the visit.
// Reading it takes one more round trip. Other errors are returned unchanged.
func (t *tx) explainLoss(a booking.NewAppointment, err error) error {
	var lost *booking.Refusal
	if !errors.As(err, &lost) {
		return err
	}
	// The database has aborted the transaction, so that nothing more can be read. A retry, if any,
	// loses again.
	if t.databaseError != nil {
		return t.databaseError
	}
	if lost.Rule == booking.DirectionAlreadyBooked {
		row(t, t.DirectionState(t.ctx, []db.DirectionStateParams{
			{LpuGuid: a.Request.LpuFrom, Guid: a.Direction.Guid},
		}).QueryRow, func(row db.DirectionStateRow, rowErr error) error {
			switch {
			case errors.Is(rowErr, pgx.ErrNoRows), rowErr == nil && row.Withdrawn:
				err = booking.Reject(booking.DirectionNotFound)
			case rowErr == nil && !row.Booked:
				err = booking.ErrDirectionChanged
			}
			return ignoreAbsent(rowErr)
		})
	}
	if lost.Rule == booking.SpecialityAlreadyBooked {
		t.explainSpeciality(a.Patient.Person, a.Direction.SpecialityCode, &err)
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

// explainSpeciality queues the statement that reads which appointment has a person's claim on a
// speciality. It replaces *lost by the refusal of another consultation.
func (t *tx) explainSpeciality(person uuid.UUID, speciality string, lost *error) {
	row(t, t.SpecialityClaimGet(t.ctx, []db.SpecialityClaimGetParams{
		{PersonGuid: person, SpecialityCode: speciality},
	}).QueryRow, func(row db.SpecialityClaimGetRow, err error) error {
		if err != nil {
			return err
		}
		existing, err := t.reference.existingAppointment(row.AppointmentGuid, row.LpuGuid, row.StartAt, row.EndAt)
		if err != nil {
			return err
		}
		*lost = booking.RejectSpeciality(booking.ActiveAppointment{
			ExistingAppointment: existing, SpecialityCode: speciality, ResourceName: row.ResourceName,
		})
		return nil
	})
}

// rejectIfAbsent turns pgx.ErrNoRows into a refusal by the named rule. Other errors are returned
// unchanged.
func rejectIfAbsent(err error, name booking.Name) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return booking.Reject(name)
	}
	return err
}

// checkTakenCells returns a refusal unless a statement took all cells of the visit and they still
// begin and end when the visit does.
func checkTakenCells(a booking.NewAppointment, got []db.SlotTakeRow) error {
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

// writtenDirection returns the referral with its appointment as the transaction has written them,
// in the target institution's zone. version is that of the visit.
func writtenDirection(
	a booking.NewAppointment, id int64, createdAt time.Time, version int64,
) *booking.HeldDirection {
	held := &booking.HeldDirection{
		ID: id, Mkab: a.Mkab, LpuTo: a.Request.LpuTo, Direction: *a.Direction,
		Appointment: booking.Appointment{
			Guid: a.Guid, Start: a.Start, End: a.End, CreatedAt: createdAt.Truncate(time.Microsecond),
		},
	}
	if a.Request.LpuTo != a.Request.LpuFrom {
		held.Direction.LpuTo = &held.LpuTo // a copy names its own institution as the target
	}
	if a.Patient.Desk != uuid.Nil {
		held.Visit = &booking.HeldVisit{
			Version: version, UpdatedAt: a.CreatedAt.In(a.Zone), Person: a.Patient.Person, Client: a.Patient.Client,
			DirectionLpu: a.Request.LpuFrom, Resource: a.Resource.Guid, ResourceName: a.Resource.Name,
			Slots: guids(a.Slots), OutOfSchedule: len(a.Slots) == 0, IsCito: a.Request.IsCito,
			Comment: a.Request.Comment, BookedBy: a.BookedBy, Move: a.LastMove,
		}
	}
	return inZone(held, a.Zone)
}

// heldDirection returns the referral with its appointment as the target institution stores them, in
// the given zone. The institution of the visit is the one that stores the referral, even if the
// original names another target.
func heldDirection(row db.AppointmentGetRow, zone *time.Location) *booking.HeldDirection {
	return inZone(&booking.HeldDirection{
		ID: row.Direction.ID, Mkab: row.MkabGuid, LpuTo: row.Direction.LpuGuid, Direction: direction(&row.Direction),
		Appointment: booking.Appointment{Guid: row.Guid, Start: row.StartAt, End: row.EndAt, CreatedAt: row.CreatedAt},
	}, zone)
}

// inZone converts the times of a referral and its appointment to a zone, in place. Days become
// their first moment in that zone.
func inZone(held *booking.HeldDirection, zone *time.Location) *booking.HeldDirection {
	d, a := &held.Direction, &held.Appointment
	d.Date, d.DateEnd = booking.StartOfDay(d.Date, zone), booking.StartOfDay(d.DateEnd, zone)
	d.CreatedAt = d.CreatedAt.In(zone)
	a.Start, a.End, a.CreatedAt = a.Start.In(zone), a.End.In(zone), a.CreatedAt.In(zone)
	return held
}

func guids(slots []booking.Slot) []uuid.UUID {
	guids := make([]uuid.UUID, len(slots))
	for i, slot := range slots {
		guids[i] = slot.Guid
	}
	return guids
}

// restrictions returns the restriction that each cell had when the rules allowed the booking.
func restrictions(slots []booking.Slot) []string {
	restrictions := make([]string, len(slots))
	for i, slot := range slots {
		restrictions[i] = string(slot.Restriction)
	}
	return restrictions
}
