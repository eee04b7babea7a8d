package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/events"
)

// Visit implements booking.FactReader. It takes two round trips: one for the person's institutions
// and visits, one for the visit.
func (s *Store) Visit(ctx context.Context, person, appointment uuid.UUID) (*booking.BookedVisit, error) {
	return read(ctx, s, func(known *reference) (visit *booking.BookedVisit, err error) {
		var found booking.PersonRows
		t := newTx(ctx, s.pool)
		t.personRows(person, &found)
		if err := t.send(); err != nil || !slices.Contains(found.Visits, appointment) {
			return nil, err
		}
		query := db.New(s.pool).AppointmentFind(ctx, []db.AppointmentFindParams{{
			LpuGuids: found.Lpus, PersonGuid: person, Guid: appointment,
		}})
		query.QueryRow(func(_ int, row db.AppointmentFindRow, rowErr error) {
			if errors.Is(rowErr, pgx.ErrNoRows) {
				rowErr = errVisitMoving
			}
			if err = rowErr; err == nil {
				visit, err = known.visit(row, found)
			}
		})
		return visit, err
	})
}

// errVisitMoving is a transient error. Another request has just moved the visit into an institution
// that was not searched. On a distributed database that can last until every node sees the move.
var errVisitMoving = booking.Reject(booking.DatabaseUnavailable).Because(errors.New("the visit is being moved"))

// Limits on the rows that are read for one person. They are far above what any person has.
const (
	maxLpus   = 1000
	maxVisits = 10_000
)

// personRows queues the statements that read a person's visits and institutions into found. Visits
// are read first, so that a visit booked in between is never found without its institution.
func (t *tx) personRows(person uuid.UUID, found *booking.PersonRows) {
	rows(t, t.PersonAppointmentList(t.ctx, []db.PersonAppointmentListParams{{
		PersonGuid: person, Most: maxVisits,
	}}).Query, func(visits []uuid.UUID) error {
		found.Visits = visits
		return nil
	})
	t.personLpus(person, &found.Lpus)
}

// personLpus queues the statement that reads the institutions in which a person has cards.
func (t *tx) personLpus(person uuid.UUID, lpus *[]uuid.UUID) {
	rows(t, t.PersonLpuList(t.ctx, []db.PersonLpuListParams{{
		PersonGuid: person, Most: maxLpus,
	}}).Query, func(found []uuid.UUID) error {
		*lpus = found
		return nil
	})
}

// personLpus returns the institutions in which a person has cards.
func personLpus(ctx context.Context, conn db.DBTX, person uuid.UUID) (lpus []uuid.UUID, err error) {
	t := newTx(ctx, conn)
	t.personLpus(person, &lpus)
	return lpus, t.send()
}

// visit returns the visit in a row, with the setting that decides whether it can be changed after
// its start. person lists the institutions and visits of its patient.
func (r *reference) visit(row db.AppointmentFindRow, person booking.PersonRows) (*booking.BookedVisit, error) {
	settings, err := r.settings(row.LpuGuid, uuid.Nil) // a client application cannot have the setting
	if err != nil {
		return nil, err
	}
	zone, err := r.zone(row.LpuGuid)
	return &booking.BookedVisit{
		Guid:            row.Guid,
		Lpu:             row.LpuGuid,
		Direction:       row.DirectionGuid,
		DirectionLpu:    row.DirectionLpuGuid,
		Type:            booking.DirectionType(row.Type),
		SpecialityCode:  row.SpecialityCode,
		Start:           row.StartAt,
		End:             row.EndAt,
		OutOfSchedule:   row.OutOfSchedule,
		Slots:           row.SlotGuids,
		Comment:         row.Comment,
		IsCito:          row.IsCito,
		CreatedAt:       row.CreatedAt,
		Version:         row.Version,
		Cancelled:       row.Cancelled,
		Attendance:      booking.Attendance(row.Attendance),
		AttendanceSince: row.AttendanceSince,
		Person:          person,
		AfterStart:      settings.AfterStart,
		BookedBy:        booking.Booker{Initiator: booking.Initiator(row.BookedBy), Client: row.BookedClientGuid},
		Zone:            zone,
	}, err
}

// Cancel implements booking.CancelStore. It runs one transaction in three round trips: lock and
// read, change, commit.
func (s *Store) Cancel(ctx context.Context, c booking.NewCancellation) error {
	_, err := write(ctx, s, func(t *tx) (struct{}, error) {
		locked, err := t.lockVisit(c.Patient.Person, c.Visit, c.At)
		if err != nil {
			return struct{}{}, err
		}
		if v := locked.visit; v != nil { // nil if it was cancelled meanwhile
			if v.Attendance != booking.AttendanceNone {
				return struct{}{}, booking.Reject(booking.AppointmentAttended)
			}
			t.cancel(c.Patient.Person, locked, booking.Cancellation{
				At: c.At, CancelReason: c.Reason, Initiator: new(booking.ByPatient), Client: &c.Patient.Client,
			})
		}
		t.storeResponse(c.Key, nil)
		return struct{}{}, nil
	})
	return err
}

// cancel queues the statements that cancel a locked visit, free all that it has, and tell of it.
func (t *tx) cancel(person uuid.UUID, locked lockedVisit, c booking.Cancellation) {
	v := locked.visit
	t.releaseClaims(person, locked)
	row(t, t.AppointmentCancel(t.ctx, []db.AppointmentCancelParams{{
		LpuGuid: v.Lpu, Guid: v.Guid, Version: v.Version, CancelledAt: c.At, ReasonCode: c.Code, Reason: c.Text,
		Initiator: string(*c.Initiator), Cause: (*string)(c.Cause), ClientGuid: *c.Client,
	}}).QueryRow, retryIfMoving)
	t.lockSlots(v.Lpu, v.Slots)
	t.freeSlots(v)
	t.tellCancelled(v, c.At)
}

// tellCancelled queues the events of a visit that was cancelled.
func (t *tx) tellCancelled(v *booking.BookedVisit, at time.Time) {
	t.tellVisit(events.Event{
		Lpu: v.Lpu, Type: events.AppointmentCancelled, At: at, Appointment: v.Guid, Direction: v.Direction,
		Version: v.Version + 1,
	}, v.DirectionLpu, events.ReferralReleased)
}

// retryIfMoving returns errVisitMoving if a visit no longer has the version that was read. Its
// referral is locked, but a merge of cards does not lock the referral of a visit without a claim
// that another institution holds, and a distributed database may show what a transaction has
// written on one node before what it has written on another.
func retryIfMoving(_ uuid.UUID, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errVisitMoving
	}
	return err
}

// lockedVisit is a visit that no other transaction can change until this one ends.
type lockedVisit struct {
	visit *booking.BookedVisit   // nil if it was cancelled meanwhile
	heir  *db.AppointmentHeirRow // inherits the claim; nil if there is none
}

// lockVisit locks the referral and the speciality of a visit, in the order in which bookings lock
// them, and then reads the visit again, because it may have changed since it was first read. A
// locked referral that names the visit proves that it is active, and in which institution. It
// returns errVisitMoving if the visit was not found there.
//
// lockVisit takes one round trip. It takes a second one if the patient meanwhile got a card in
// another institution, or another visit.
func (t *tx) lockVisit(person uuid.UUID, visit *booking.BookedVisit, now time.Time) (locked lockedVisit, err error) {
	var lpu *uuid.UUID // the institution of the visit, by the locked referral
	found := visit.Person
	row(t, t.DirectionLock(t.ctx, []db.DirectionLockParams{{
		LpuGuid: visit.DirectionLpu, Guid: visit.Direction,
	}}).QueryRow, func(row db.DirectionLockRow, err error) error {
		if row.AppointmentGuid != nil && *row.AppointmentGuid == visit.Guid {
			lpu = row.AppointmentLpuGuid
		}
		return ignoreAbsent(err)
	})
	row(t, t.SpecialityClaimLock(t.ctx, []db.SpecialityClaimLockParams{{
		PersonGuid: person, SpecialityCode: visit.SpecialityCode,
	}}).QueryRow,
		func(_ uuid.UUID, err error) error { return ignoreAbsent(err) })
	t.personRows(person, &found)
	t.readVisit(person, visit, visit.Person, now, &locked)
	if err := t.send(); err != nil {
		return locked, err
	}
	if !slices.Equal(found.Lpus, visit.Person.Lpus) || !slices.Equal(found.Visits, visit.Person.Visits) {
		t.readVisit(person, visit, found, now, &locked)
		if err := t.send(); err != nil {
			return locked, err
		}
	}
	if lpu != nil && (locked.visit == nil || locked.visit.Lpu != *lpu) {
		return locked, errVisitMoving
	}
	return locked, nil
}

// readVisit queues the statements that read a visit and the heir of its claim in the person's
// institutions.
func (t *tx) readVisit(
	person uuid.UUID, visit *booking.BookedVisit, at booking.PersonRows, now time.Time, locked *lockedVisit,
) {
	row(t, t.AppointmentFind(t.ctx, []db.AppointmentFindParams{{
		LpuGuids: at.Lpus, PersonGuid: person, Guid: visit.Guid,
	}}).QueryRow,
		func(row db.AppointmentFindRow, err error) error {
			if err == nil && !row.Cancelled {
				locked.visit, err = t.reference.visit(row, at)
			}
			return ignoreAbsent(err)
		})
	row(t, t.AppointmentHeir(t.ctx, []db.AppointmentHeirParams{{
		LpuGuids: at.Lpus, Visits: at.Visits, PersonGuid: person, Guid: visit.Guid, At: now,
		SpecialityCode: visit.SpecialityCode,
	}}).QueryRow, func(row db.AppointmentHeirRow, err error) error {
		if err == nil {
			locked.heir = &row
		}
		return ignoreAbsent(err)
	})
}

// releaseClaims queues the statements that release the claims of a visit: the claim on the original
// of its referral, the link on the copy, and the claim on its speciality. If another consultation
// inherits the speciality, the claim is transferred to it.
func (t *tx) releaseClaims(person uuid.UUID, locked lockedVisit) {
	t.releaseDirections(locked.visit)
	t.releaseSpeciality(person, locked)
}

// directionLpus returns the institutions that store the referral of a visit: that of the original,
// and that of the copy if there is one.
func directionLpus(v *booking.BookedVisit) []uuid.UUID {
	if v.Lpu == v.DirectionLpu {
		return []uuid.UUID{v.Lpu}
	}
	return []uuid.UUID{v.DirectionLpu, v.Lpu}
}

// releaseDirections queues the statement that releases the referral of a visit and its copy.
func (t *tx) releaseDirections(v *booking.BookedVisit) {
	var directions []db.DirectionReleaseParams
	for _, lpu := range directionLpus(v) {
		directions = append(directions, db.DirectionReleaseParams{
			LpuGuid: lpu, Guid: v.Direction, AppointmentGuid: v.Guid,
		})
	}
	exec(t, t.DirectionRelease(t.ctx, directions).Exec)
}

// releaseSpeciality queues the statement that releases the claim of a visit on its speciality, or
// transfers it to the visit that inherits it. It changes nothing if another visit has the claim.
func (t *tx) releaseSpeciality(person uuid.UUID, locked lockedVisit) {
	v, heir := locked.visit, locked.heir
	if heir == nil {
		exec(t, t.SpecialityClaimRelease(t.ctx, []db.SpecialityClaimReleaseParams{
			{PersonGuid: person, SpecialityCode: v.SpecialityCode, AppointmentGuid: v.Guid},
		}).Exec)
		return
	}
	exec(t, t.SpecialityClaimGive(t.ctx, []db.SpecialityClaimGiveParams{{
		PersonGuid: person, SpecialityCode: v.SpecialityCode, HolderGuid: v.Guid, AppointmentGuid: heir.Guid,
		LpuGuid: heir.LpuGuid, ResourceName: heir.ResourceName, StartAt: heir.StartAt, EndAt: heir.EndAt,
	}}).Exec)
}

// freeSlots queues the statement that frees the places of a visit. Several cells must be locked by
// lockSlots first.
func (t *tx) freeSlots(v *booking.BookedVisit) {
	if len(v.Slots) > 0 {
		exec(t, t.SlotFree(t.ctx, []db.SlotFreeParams{{LpuGuid: v.Lpu, Guids: v.Slots}}).Exec)
	}
}
