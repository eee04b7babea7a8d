package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/clinic"
	"talon.example/internal/events"
)

// WriteAttendance implements clinic.AttendanceStore. It finds the visit in three round trips and
// runs one transaction in three: lock and read, change, commit. To undo a no-show takes up to two
// more. It locks as a cancel does, the referral and the speciality, and changes no cells: a visit
// that has begun keeps its places.
func (s *Store) WriteAttendance(
	ctx context.Context, lpu, guid uuid.UUID, wanted booking.Attendance, now time.Time,
) (clinic.Visit, error) {
	person, known, err := s.ownedVisit(ctx, lpu, guid)
	if err != nil {
		return clinic.Visit{}, err
	}
	return write(ctx, s, func(t *tx) (visit clinic.Visit, err error) {
		locked, err := t.lockVisit(person, known, now)
		if err != nil {
			return visit, err
		}
		current := locked.visit
		if current == nil { // cancelled, here or where it was moved
			t.institutionVisit(lpu, guid, now, &visit)
			return visit, firstError(t.send(), booking.Reject(booking.AppointmentNotActive))
		}
		if current.Lpu != lpu {
			return visit, booking.Reject(booking.AppointmentAbsent)
		}
		place, err := t.reference.registered(lpu)
		if err != nil {
			return visit, err
		}
		if refusal := current.RejectAttendance(wanted, now, place.Zone); refusal != nil {
			return visit, refusal
		}
		if current.Attendance != wanted {
			if err := t.attend(person, locked, wanted, now); err != nil {
				return visit, err
			}
		}
		t.institutionVisit(lpu, guid, now, &visit)
		return visit, t.send()
	})
}

// ownedVisit returns a visit of an institution and its person, in three round trips. It rejects
// with AppointmentAbsent.
func (s *Store) ownedVisit(
	ctx context.Context, lpu, guid uuid.UUID,
) (person uuid.UUID, visit *booking.BookedVisit, err error) {
	if person, err = s.VisitPerson(ctx, lpu, guid); err != nil {
		return person, nil, err
	}
	visit, err = s.Visit(ctx, person, guid)
	if err == nil && (visit == nil || visit.Lpu != lpu) { // moved meanwhile
		err = booking.Reject(booking.AppointmentAbsent)
	}
	return person, visit, err
}

// VisitPerson implements booking.FactReader.
func (s *Store) VisitPerson(ctx context.Context, lpu, appointment uuid.UUID) (person uuid.UUID, err error) {
	err = s.snapshot(ctx, func(t *tx) {
		row(t, t.VisitPerson(ctx, []db.VisitPersonParams{{LpuGuid: lpu, Guid: appointment}}).QueryRow,
			func(row db.VisitPersonRow, err error) error {
				person = row.PersonGuid
				return rejectIfAbsent(err, booking.AppointmentAbsent)
			})
	})
	return person, interpretError(err)
}

// attend changes the attendance of a locked visit and its claims. It sends the statements of an
// undone no-show, whose claims may be lost, and queues the others.
func (t *tx) attend(person uuid.UUID, locked lockedVisit, wanted booking.Attendance, now time.Time) error {
	v := locked.visit
	settings, err := t.reference.settings(v.Lpu, uuid.Nil)
	if err != nil {
		return err
	}
	if v.Attendance == booking.AttendanceNoShow {
		if err := t.reclaim(v, settings.OneActivePerSpeciality, now); err != nil {
			return err
		}
	}
	if v.Attendance == booking.AttendanceFulfilled {
		t.completeDirections(v, nil)
	}
	switch wanted {
	case booking.AttendanceNoShow:
		t.releaseSpeciality(person, locked)
		if settings.NoShowReturnsReferral {
			t.releaseDirections(v)
		}
	case booking.AttendanceFulfilled:
		t.completeDirections(v, &v.Guid)
	case booking.AttendanceNone, booking.AttendanceArrived: // the claims stay
	}
	attended := db.VisitAttendParams{
		LpuGuid: v.Lpu, Guid: v.Guid, Version: v.Version, UpdatedAt: now, Attendance: string(wanted),
	}
	if wanted != booking.AttendanceNone {
		attended.AttendanceAt, attended.AttendanceSince = &now, &now
		if v.AttendanceSince != nil {
			attended.AttendanceSince = v.AttendanceSince
		}
	}
	t.tellAttended(v, wanted, settings.NoShowReturnsReferral, now)
	row(t, t.VisitAttend(t.ctx, []db.VisitAttendParams{attended}).QueryRow, retryIfMoving)
	return nil
}

// attendanceEvents are the events of the institution of a visit.
var attendanceEvents = map[booking.Attendance]events.Type{
	booking.AttendanceNone:      events.AppointmentUnattended,
	booking.AttendanceArrived:   events.AppointmentArrived,
	booking.AttendanceFulfilled: events.AppointmentFulfilled,
	booking.AttendanceNoShow:    events.AppointmentNoShow,
}

// tellAttended queues the events of a visit whose attendance changes, and of its referral if that
// changes, too. returned is whether a no-show returns its referral.
func (t *tx) tellAttended(v *booking.BookedVisit, wanted booking.Attendance, returned bool, at time.Time) {
	visit := events.Event{
		Lpu: v.Lpu, Type: attendanceEvents[wanted], At: at, Appointment: v.Guid, Direction: v.Direction,
		Version: v.Version + 1,
	}
	switch {
	case wanted == booking.AttendanceFulfilled:
		t.tellVisit(visit, v.DirectionLpu, events.ReferralCompleted)
	case wanted == booking.AttendanceNoShow && returned:
		t.tellVisit(visit, v.DirectionLpu, events.ReferralReleased)
	case v.Attendance == booking.AttendanceFulfilled, v.Attendance == booking.AttendanceNoShow:
		t.tellVisit(visit, v.DirectionLpu, events.ReferralBooked)
	default:
		t.tell(visit)
	}
}

// completeDirections queues the statement that marks the referral of a visit and its copy as
// completed by a visit, or not completed if the guid is nil.
func (t *tx) completeDirections(v *booking.BookedVisit, by *uuid.UUID) {
	var completed []db.DirectionCompleteParams
	for _, lpu := range directionLpus(v) {
		completed = append(completed, db.DirectionCompleteParams{
			LpuGuid: lpu, Guid: v.Direction, AppointmentGuid: v.Guid, CompletedByGuid: by,
		})
	}
	exec(t, t.DirectionComplete(t.ctx, completed).Exec)
}

// reclaim claims the referral and the speciality of a no-show again. It loses with
// DirectionAlreadyBooked and SpecialityAlreadyBooked if another appointment has them, and with
// AttendanceFinal if the referral is not the one any more that the visit was booked with. A visit
// that has ended needs no speciality.
func (t *tx) reclaim(v *booking.BookedVisit, onlyOne bool, now time.Time) error {
	var claims []db.DirectionReclaimParams
	for _, lpu := range directionLpus(v) {
		claims = append(claims, db.DirectionReclaimParams{
			LpuGuid: lpu, Guid: v.Direction, AppointmentGuid: v.Guid, AppointmentLpuGuid: v.Lpu,
			AppointmentStartAt: v.Start, AppointmentEndAt: v.End,
			Type: db.DirectionType(v.Type), SpecialityCode: v.SpecialityCode,
		})
	}
	var lost error
	var owner db.VisitPersonRow
	row(t, t.VisitPerson(t.ctx, []db.VisitPersonParams{{LpuGuid: v.Lpu, Guid: v.Guid}}).QueryRow,
		func(row db.VisitPersonRow, err error) error {
			owner = row
			return retryIfMoving(row.PersonGuid, err)
		})
	rowAt(t, t.DirectionReclaim(t.ctx, claims).QueryRow, func(_ int, _ uuid.UUID, err error) error {
		if errors.Is(err, pgx.ErrNoRows) {
			lost = booking.Reject(booking.AttendanceFinal)
			return nil
		}
		return err
	})
	row(t, t.ReferralLock(t.ctx, []db.ReferralLockParams{{LpuGuid: v.DirectionLpu, Guid: v.Direction}}).QueryRow,
		func(original db.Direction, err error) error {
			if err == nil && lost != nil && original.AppointmentGuid != nil {
				lost = t.rejectBooked(booking.DirectionAlreadyBooked, &original)
			}
			return err
		}) // it is locked already
	if err := firstError(t.send(), lost); err != nil || v.Type != booking.Consult || !v.End.After(now) {
		return err
	}
	row(t, t.SpecialityClaimTake(t.ctx, []db.SpecialityClaimTakeParams{{
		PersonGuid: owner.PersonGuid, SpecialityCode: v.SpecialityCode, AppointmentGuid: v.Guid, LpuGuid: v.Lpu,
		ResourceName: owner.ResourceName, StartAt: v.Start, EndAt: v.End, At: now, OnlyOne: onlyOne,
	}}).QueryRow, func(_ uuid.UUID, err error) error {
		if errors.Is(err, pgx.ErrNoRows) && onlyOne {
			lost = booking.Reject(booking.SpecialityAlreadyBooked)
		}
		return ignoreAbsent(err)
	})
	if err := t.send(); err != nil || lost == nil {
		return err
	}
	t.explainSpeciality(owner.PersonGuid, v.SpecialityCode, &lost)
	return firstError(t.send(), lost)
}
