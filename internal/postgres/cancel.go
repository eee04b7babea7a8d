package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Visit implements booking.Store.
func (s *Store) Visit(ctx context.Context, person, appointment uuid.UUID) (*booking.BookedVisit, error) {
	return read(ctx, s, func(known *reference) (visit *booking.BookedVisit, err error) {
		finding := db.New(s.pool).AppointmentFind(ctx, []db.AppointmentFindParams{{PersonGuid: person, Guid: appointment}})
		finding.QueryRow(func(_ int, row db.AppointmentFindRow, rowErr error) {
			if err = unlessAbsent(rowErr); rowErr == nil {
				visit, err = known.visit(row)
			}
		})
		return visit, err
	})
}

// visit is a visit that was found, with the setting that decides whether it can be changed after its start.
func (r *reference) visit(row db.AppointmentFindRow) (*booking.BookedVisit, error) {
	settings, err := r.settings(row.LpuGuid, uuid.Nil) // a client application cannot have the setting
	return &booking.BookedVisit{
		Guid:           row.Guid,
		Lpu:            row.LpuGuid,
		Direction:      row.DirectionGuid,
		DirectionLpu:   row.DirectionLpuGuid,
		Type:           booking.DirectionType(row.Type),
		SpecialityCode: row.SpecialityCode,
		Start:          row.StartAt,
		End:            row.EndAt,
		OutOfSchedule:  row.OutOfSchedule,
		Slots:          row.SlotGuids,
		Comment:        row.Comment,
		IsCito:         row.IsCito,
		CreatedAt:      row.CreatedAt,
		Cancelled:      row.Cancelled,
		AfterStart:     settings.AfterStart,
	}, err
}

// Cancel implements booking.Store: one transaction in three round trips. The first locks and reads, the second changes, the third commits.
func (s *Store) Cancel(ctx context.Context, c booking.NewCancellation) error {
	_, err := write(ctx, s, func(t *tx) (struct{}, error) {
		locked, err := t.lockVisit(c.Person, c.Visit, c.At)
		if err != nil {
			return struct{}{}, err
		}
		if v := locked.visit; v != nil { // else it was cancelled meanwhile
			t.release(c.Person, locked)
			row(t, t.AppointmentCancel(ctx, []db.AppointmentCancelParams{
				{LpuGuid: v.Lpu, Guid: v.Guid, CancelledAt: c.At, ReasonCode: c.Reason.Code, Reason: c.Reason.Text},
			}).QueryRow, func(_ uuid.UUID, err error) error { return err })
			t.lockSlots(v.Lpu, v.Slots)
			t.freeSlots(v)
		}
		t.keepAnswer(c.Key, nil)
		return struct{}{}, nil
	})
	return err
}

// lockedVisit is a visit that nobody else can change until the transaction ends.
type lockedVisit struct {
	visit  *booking.BookedVisit   // nil: it was cancelled meanwhile
	holder uuid.UUID              // the appointment that has the claim on the speciality; the zero guid: none has
	heir   *db.AppointmentHeirRow // the consultation that inherits the claim; nil: none does
}

// lockVisit locks the referral and the speciality of a visit in one round trip, in the order in which bookings do, and then reads the visit: what was read of
// it before may have changed.
func (t *tx) lockVisit(person uuid.UUID, visit *booking.BookedVisit, now time.Time) (locked lockedVisit, err error) {
	row(t, t.DirectionLock(t.ctx, []db.DirectionLockParams{{LpuGuid: visit.DirectionLpu, Guid: visit.Direction}}).QueryRow,
		func(_ uuid.UUID, err error) error { return unlessAbsent(err) })
	row(t, t.SpecialityClaimLock(t.ctx, []db.SpecialityClaimLockParams{{PersonGuid: person, SpecialityCode: visit.SpecialityCode}}).QueryRow,
		func(holder uuid.UUID, err error) error {
			locked.holder = holder
			return unlessAbsent(err)
		})
	row(t, t.AppointmentFind(t.ctx, []db.AppointmentFindParams{{PersonGuid: person, Guid: visit.Guid}}).QueryRow,
		func(row db.AppointmentFindRow, err error) error {
			if err == nil && !row.Cancelled {
				locked.visit, err = t.reference.visit(row)
			}
			return unlessAbsent(err)
		})
	row(t, t.AppointmentHeir(t.ctx, []db.AppointmentHeirParams{
		{PersonGuid: person, Guid: visit.Guid, At: now, SpecialityCode: visit.SpecialityCode},
	}).QueryRow, func(row db.AppointmentHeirRow, err error) error {
		if err == nil {
			locked.heir = &row
		}
		return unlessAbsent(err)
	})
	return locked, t.send()
}

// release queues the statements that give back a visit's referral, the claim on the original and the link on the copy, and its speciality.
func (t *tx) release(person uuid.UUID, locked lockedVisit) {
	v := locked.visit
	directions := []db.DirectionReleaseParams{{LpuGuid: v.DirectionLpu, Guid: v.Direction, AppointmentGuid: v.Guid}}
	if v.Lpu != v.DirectionLpu {
		directions = append(directions, db.DirectionReleaseParams{LpuGuid: v.Lpu, Guid: v.Direction, AppointmentGuid: v.Guid})
	}
	exec(t, t.DirectionRelease(t.ctx, directions).Exec)
	switch heir := locked.heir; {
	case locked.holder != v.Guid:
	case heir != nil:
		exec(t, t.SpecialityClaimGive(t.ctx, []db.SpecialityClaimGiveParams{{
			PersonGuid: person, SpecialityCode: v.SpecialityCode, AppointmentGuid: heir.Guid, LpuGuid: heir.LpuGuid,
			ResourceName: heir.ResourceName, StartAt: heir.StartAt, EndAt: heir.EndAt,
		}}).Exec)
	default:
		exec(t, t.SpecialityClaimRelease(t.ctx, []db.SpecialityClaimReleaseParams{
			{PersonGuid: person, SpecialityCode: v.SpecialityCode, AppointmentGuid: v.Guid},
		}).Exec)
	}
}

// freeSlots queues the statement that gives back a visit's places. Several cells must be locked before.
func (t *tx) freeSlots(v *booking.BookedVisit) {
	if len(v.Slots) > 0 {
		exec(t, t.SlotFree(t.ctx, []db.SlotFreeParams{{LpuGuid: v.Lpu, Guids: v.Slots}}).Exec)
	}
}
