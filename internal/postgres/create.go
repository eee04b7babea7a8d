package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Create implements booking.Store: one transaction in two round trips. The first begins it and sends all statements; the second ends it, by a commit
// where each statement did what it should.
//
// The statements lock in one order (referral, speciality, cells by their time), so that bookings wait for each other but do not deadlock. After a
// statement that lost a race the others still run; the rollback undoes them.
func (s *Store) Create(ctx context.Context, a booking.NewAppointment) (*booking.HeldDirection, error) {
	send := newPipeline(ctx, s.pool)
	send.begin()
	queries := db.New(send)
	directionClaim := queries.DirectionClaim(ctx, []db.DirectionClaimParams{
		{LpuGuid: a.Request.LpuFrom, Guid: a.Direction.Guid, AppointmentGuid: a.Guid},
	})
	var specialityClaim *db.SpecialityClaimTakeBatchResults
	if a.Request.Type == booking.Consult {
		specialityClaim = queries.SpecialityClaimTake(ctx, []db.SpecialityClaimTakeParams{specialityClaimParams(a)})
	}
	creation := queries.AppointmentCreate(ctx, []db.AppointmentCreateParams{appointmentCreateParams(a)})
	reading := queries.AppointmentGet(ctx, []db.AppointmentGetParams{{LpuGuid: a.Request.LpuTo, Guid: a.Guid}})

	var (
		held           *booking.HeldDirection
		specialityLost bool
	)
	tx, err := send.begun()
	directionClaim.QueryRow(func(_ int, _ uuid.UUID, rowErr error) {
		err = firstOf(err, orRefuse(rowErr, booking.DirectionAlreadyBooked))
	})
	if specialityClaim != nil {
		specialityClaim.QueryRow(func(_ int, _ uuid.UUID, rowErr error) {
			specialityLost = err == nil && errors.Is(rowErr, pgx.ErrNoRows)
			err = firstOf(err, orRefuse(rowErr, booking.SpecialityAlreadyBooked))
		})
	}
	creation.QueryRow(func(_ int, row db.AppointmentCreateRow, rowErr error) {
		err = firstOf(err, rowErr)
		if err == nil {
			err = refuseCreation(a, row)
		}
	})
	reading.QueryRow(func(_ int, row db.AppointmentGetRow, rowErr error) {
		err = firstOf(err, orRefuse(rowErr, booking.AppointmentNotFound))
		if err == nil {
			held, err = heldDirection(row, a.Zone)
		}
	})
	err = firstOf(err, send.close())
	if tx == nil {
		return nil, refused(err)
	}
	defer rollback(ctx, tx)
	if specialityLost {
		err = s.refuseSpeciality(ctx, tx, a)
	}
	if err != nil {
		return nil, refused(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, refused(fmt.Errorf("commit: %w", err))
	}
	return held, nil
}

// rollbackTimeout bounds the rollback, which goes on where the request's own time is over: the connection is wanted again.
const rollbackTimeout = 5 * time.Second

// rollback ends a transaction that was not committed. Where even that fails the pool closes the connection, and the database rolls back by itself.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// firstOf gives the first error, which is the one of the earliest statement: those after it fail because of it.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// orRefuse turns the absence of a row into a refusal.
func orRefuse(err error, name booking.Name) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return booking.Refuse(name)
	}
	return err
}

// refuseCreation judges what the target institution's statement did.
func refuseCreation(a booking.NewAppointment, row db.AppointmentCreateRow) error {
	if len(row.TakenSlotGuids) < len(a.Slots) {
		if slices.Contains(row.TakenSlotGuids, a.Slots[0].Guid) {
			return booking.Refuse(booking.ComplexSlotFailed)
		}
		return booking.Refuse(booking.SlotTaken)
	}
	if !row.Created {
		return booking.Refuse(booking.AppointmentNotCreated)
	}
	return nil
}

// refuseSpeciality reads the claim that the booking lost against, in the same transaction.
func (s *Store) refuseSpeciality(ctx context.Context, tx pgx.Tx, a booking.NewAppointment) error {
	row, err := db.New(tx).SpecialityClaimGet(ctx, a.Patient.Person, a.Direction.SpecialityCode)
	if err != nil {
		return fmt.Errorf("read the claim of the speciality: %w", err)
	}
	active, err := activeAppointment(&s.zones, a.Direction.SpecialityCode, row.ResourceName, row.TimeZone, row.StartAt)
	if err != nil {
		return err
	}
	return booking.RefuseSpeciality(active)
}

func specialityClaimParams(a booking.NewAppointment) db.SpecialityClaimTakeParams {
	return db.SpecialityClaimTakeParams{
		PersonGuid:      a.Patient.Person,
		SpecialityCode:  a.Direction.SpecialityCode,
		AppointmentGuid: a.Guid,
		LpuGuid:         a.Request.LpuTo,
		ResourceName:    a.Resource.Name,
		StartAt:         a.Start,
		EndAt:           a.End,
		At:              a.CreatedAt,
		OnlyOne:         a.OneActivePerSpeciality,
	}
}

func appointmentCreateParams(a booking.NewAppointment) db.AppointmentCreateParams {
	return db.AppointmentCreateParams{
		LpuGuid:            a.Request.LpuTo,
		Guid:               a.Guid,
		SlotGuids:          guids(a.Slots),
		Access:             int32(a.Access),
		DirectionGuid:      a.Direction.Guid,
		DirectionLpuGuid:   a.Request.LpuFrom,
		Type:               db.DirectionType(a.Direction.Type),
		Number:             a.Direction.Number,
		AccessionNumber:    a.Direction.AccessionNumber,
		Date:               a.Direction.Date,
		DateEnd:            a.Direction.DateEnd,
		DirectionCreatedAt: a.Direction.CreatedAt,
		DocPrvdSenderGuid:  a.Direction.Sender,
		MkabGuid:           a.Mkab,
		Reason:             a.Direction.Reason,
		DirectionComment:   a.Direction.Comment,
		Urgent:             a.Direction.Urgent,
		Flags:              a.Direction.Flags,
		SpecialityCode:     a.Direction.SpecialityCode,
		SpecialityName:     a.Direction.SpecialityName,
		MkbCode:            a.Direction.MkbCode,
		MkbName:            a.Direction.MkbName,
		LpuFromGuid:        a.Direction.LpuFrom,
		PersonGuid:         a.Patient.Person,
		ResourceGuid:       a.Resource.Guid,
		ClientGuid:         a.Patient.Client,
		StartAt:            a.Start,
		EndAt:              a.End,
		IsCito:             a.Request.IsCito,
		Comment:            a.Request.Comment,
		CreatedAt:          a.CreatedAt,
	}
}

// heldDirection gives the referral and its appointment as the target institution holds them, in its zone.
func heldDirection(row db.AppointmentGetRow, zone *time.Location) (*booking.HeldDirection, error) {
	if !row.Linked {
		return nil, booking.Refuse(booking.AppointmentNotLinked)
	}
	d := row.Direction
	if d.LpuToGuid == nil {
		return nil, errors.New("the referral in the target institution names no target")
	}
	return &booking.HeldDirection{
		ID:    d.ID,
		Mkab:  d.MkabGuid,
		LpuTo: *d.LpuToGuid,
		Direction: booking.Direction{
			Guid:            d.Guid,
			Type:            booking.DirectionType(d.Type),
			Number:          d.Number,
			AccessionNumber: d.AccessionNumber,
			Date:            midnight(d.Date, zone),
			DateEnd:         midnight(d.DateEnd, zone),
			CreatedAt:       d.CreatedAt.In(zone),
			Sender:          d.DocPrvdSenderGuid,
			Reason:          d.Reason,
			Comment:         d.Comment,
			Urgent:          d.Urgent,
			Flags:           d.Flags,
			SpecialityCode:  d.SpecialityCode,
			SpecialityName:  d.SpecialityName,
			MkbCode:         d.MkbCode,
			MkbName:         d.MkbName,
			LpuFrom:         d.LpuFromGuid,
			LpuTo:           d.LpuToGuid,
			Appointment:     d.AppointmentGuid,
		},
		Appointment: booking.Appointment{Guid: row.Guid, Start: row.StartAt.In(zone), End: row.EndAt.In(zone), CreatedAt: row.CreatedAt.In(zone)},
	}, nil
}

// midnight is the beginning of a day in a zone.
func midnight(day time.Time, zone *time.Location) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, zone)
}

// guids gives the guids of cells.
func guids(slots []booking.Slot) []uuid.UUID {
	guids := make([]uuid.UUID, len(slots))
	for i, slot := range slots {
		guids[i] = slot.Guid
	}
	return guids
}
