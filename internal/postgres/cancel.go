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
)

// Visit implements booking.Store: two round trips, one to the person's rows and one to the visit.
func (s *Store) Visit(ctx context.Context, person, appointment uuid.UUID) (*booking.BookedVisit, error) {
	return read(ctx, s, func(known *reference) (visit *booking.BookedVisit, err error) {
		var found booking.PersonRows
		own := newTx(ctx, s.pool)
		own.personRows(person, &found)
		if err := own.send(); err != nil || !slices.Contains(found.Visits, appointment) {
			return nil, err
		}
		finding := db.New(s.pool).AppointmentFind(ctx, []db.AppointmentFindParams{{LpuGuids: found.Lpus, PersonGuid: person, Guid: appointment}})
		finding.QueryRow(func(_ int, row db.AppointmentFindRow, rowErr error) {
			if errors.Is(rowErr, pgx.ErrNoRows) {
				rowErr = errMoving
			}
			if err = rowErr; err == nil {
				visit, err = known.visit(row, found)
			}
		})
		return visit, err
	})
}

// errMoving refuses for now: a visit is not in the institutions where it was looked for, as another request has just moved it into a new one. On a distributed
// database that is so until the move is seen everywhere.
var errMoving = booking.Reject(booking.DatabaseUnavailable).Because(errors.New("the visit is being moved"))

// What is read of one person has a bound: the institutions with cards, and the visits, far above what anybody has.
const (
	mostLpus   = 1000
	mostVisits = 10_000
)

// personRows queues the statements that read where a person's rows are: the visits first, so that a visit that is booked in between is not found without
// its institution.
func (t *tx) personRows(person uuid.UUID, found *booking.PersonRows) {
	rows(t, t.PersonAppointmentList(t.ctx, []db.PersonAppointmentListParams{{PersonGuid: person, Most: mostVisits}}).Query, func(visits []uuid.UUID) error {
		found.Visits = visits
		return nil
	})
	t.personLpus(person, &found.Lpus)
}

// personLpus queues the statement that reads where a person has cards.
func (t *tx) personLpus(person uuid.UUID, lpus *[]uuid.UUID) {
	rows(t, t.PersonLpuList(t.ctx, []db.PersonLpuListParams{{PersonGuid: person, Most: mostLpus}}).Query, func(found []uuid.UUID) error {
		*lpus = found
		return nil
	})
}

// personLpus reads where a person has cards.
func (s *Store) personLpus(ctx context.Context, person uuid.UUID) (lpus []uuid.UUID, err error) {
	t := newTx(ctx, s.pool)
	t.personLpus(person, &lpus)
	return lpus, t.send()
}

// visit is a visit that was found, with the setting that decides whether it can be changed after its start.
// person is where its patient's rows are.
func (r *reference) visit(row db.AppointmentFindRow, person booking.PersonRows) (*booking.BookedVisit, error) {
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
		Person:         person,
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

// lockVisit locks the referral and the speciality of a visit, in the order in which bookings do, and then reads the visit: what was read of it before may
// have changed. A locked referral that names the visit proves that it is active, and tells where. It takes one round trip, and a second one where the patient got a card in another institution, or another visit, meanwhile.
func (t *tx) lockVisit(person uuid.UUID, visit *booking.BookedVisit, now time.Time) (locked lockedVisit, err error) {
	var lpu *uuid.UUID // where the locked referral has the visit
	found := visit.Person
	row(t, t.DirectionLock(t.ctx, []db.DirectionLockParams{{LpuGuid: visit.DirectionLpu, Guid: visit.Direction}}).QueryRow,
		func(row db.DirectionLockRow, err error) error {
			if row.AppointmentGuid != nil && *row.AppointmentGuid == visit.Guid {
				lpu = row.AppointmentLpuGuid
			}
			return unlessAbsent(err)
		})
	row(t, t.SpecialityClaimLock(t.ctx, []db.SpecialityClaimLockParams{{PersonGuid: person, SpecialityCode: visit.SpecialityCode}}).QueryRow,
		func(holder uuid.UUID, err error) error {
			locked.holder = holder
			return unlessAbsent(err)
		})
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
		return locked, errMoving
	}
	return locked, nil
}

// readVisit queues the statements that read a visit and its heir where the patient's rows are.
func (t *tx) readVisit(person uuid.UUID, visit *booking.BookedVisit, at booking.PersonRows, now time.Time, locked *lockedVisit) {
	row(t, t.AppointmentFind(t.ctx, []db.AppointmentFindParams{{LpuGuids: at.Lpus, PersonGuid: person, Guid: visit.Guid}}).QueryRow,
		func(row db.AppointmentFindRow, err error) error {
			if err == nil && !row.Cancelled {
				locked.visit, err = t.reference.visit(row, at)
			}
			return unlessAbsent(err)
		})
	row(t, t.AppointmentHeir(t.ctx, []db.AppointmentHeirParams{
		{LpuGuids: at.Lpus, Visits: at.Visits, PersonGuid: person, Guid: visit.Guid, At: now, SpecialityCode: visit.SpecialityCode},
	}).QueryRow, func(row db.AppointmentHeirRow, err error) error {
		if err == nil {
			locked.heir = &row
		}
		return unlessAbsent(err)
	})
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
