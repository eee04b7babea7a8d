package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Create implements booking.Store: one transaction in two round trips. The first begins it and sends all statements; the second ends it, by a commit
// where each statement did what it should.
//
// The statements lock in one order (referral, speciality, cells by their time, the patient's holds), so that bookings wait for each other but do not deadlock.
// After a statement that lost a race the others still run; the rollback undoes them.
//
// Holds of the patient's own on the cells are used up: given back first, whole, so that the cells are then free for the booking as for any other.
func (s *Store) Create(ctx context.Context, a booking.NewAppointment) (*booking.HeldDirection, error) {
	return retry(ctx, s.pool.Reset, func() (*booking.HeldDirection, error) { return s.create(ctx, a) })
}

func (s *Store) create(ctx context.Context, a booking.NewAppointment) (*booking.HeldDirection, error) {
	holds, err := s.consumed(ctx, a)
	if err != nil {
		return nil, err
	}
	send := newPipeline(ctx, s.pool)
	send.begin()
	created := s.creation(ctx, db.New(send), a, holds, nil)

	tx, err := send.begun()
	// Whatever happens, a panic too: the pool gets its connection back, and nothing is left open on it.
	defer func() {
		_ = send.close()
		rollback(ctx, tx)
	}()
	held, err := created(err)
	if err := firstOf(err, send.close()); err != nil {
		return nil, err
	}
	if err := keepAnswer(ctx, tx, a.Key, held); err != nil {
		return nil, err
	}
	if err := commit(ctx, tx); err != nil {
		return nil, err
	}
	return held, nil
}

// creation gathers the statements of a booking, with the holds that it uses up, and one that comes before its answer is read, if any. The function that it
// answers reads what they did, unless there was an error before.
func (s *Store) creation(
	ctx context.Context, queries *db.Queries, a booking.NewAppointment, holds []booking.Hold, last func() interface{ Exec(f func(int, error)) },
) func(error) (*booking.HeldDirection, error) {
	directionClaim := queries.DirectionClaim(ctx, []db.DirectionClaimParams{
		{
			LpuGuid: a.Request.LpuFrom, Guid: a.Direction.Guid,
			AppointmentGuid: a.Guid, AppointmentLpuGuid: a.Request.LpuTo, AppointmentStartAt: a.Start, AppointmentEndAt: a.End,
		},
	})
	var specialityClaim *db.SpecialityClaimTakeBatchResults
	if a.Request.Type == booking.Consult {
		specialityClaim = queries.SpecialityClaimTake(ctx, []db.SpecialityClaimTakeParams{specialityClaimParams(a)})
	}
	givenBack := giveBack(ctx, queries, a.Patient.Person, a.Request.LpuTo, guids(a.Slots), holds, a.CreatedAt)
	creation := queries.AppointmentCreate(ctx, []db.AppointmentCreateParams{appointmentCreateParams(a)})
	var finishing interface{ Exec(f func(int, error)) }
	if last != nil {
		finishing = last()
	}
	reading := queries.AppointmentGet(ctx, []db.AppointmentGetParams{{LpuGuid: a.Request.LpuTo, Guid: a.Guid}})

	return func(err error) (held *booking.HeldDirection, _ error) {
		directionClaim.QueryRow(func(_ int, _ uuid.UUID, rowErr error) {
			err = firstOf(err, orRefuse(rowErr, booking.DirectionAlreadyBooked))
		})
		if specialityClaim != nil {
			specialityClaim.QueryRow(func(_ int, row db.SpecialityClaimTakeRow, rowErr error) {
				err = firstOf(err, rowErr)
				if err == nil {
					err = s.refuseSpeciality(a, row)
				}
			})
		}
		err = givenBack(err)
		creation.QueryRow(func(_ int, row db.AppointmentCreateRow, rowErr error) {
			err = firstOf(err, rowErr)
			if err == nil {
				err = refuseCreation(a, row)
			}
		})
		if finishing != nil {
			finishing.Exec(func(_ int, execErr error) { err = firstOf(err, execErr) })
		}
		reading.QueryRow(func(_ int, row db.AppointmentGetRow, rowErr error) {
			err = firstOf(err, orRefuse(rowErr, booking.AppointmentNotFound))
			if err == nil {
				held, err = heldDirection(row, a.Zone)
			}
		})
		return held, err
	}
}

// commit commits. Where the database did not answer, or ended the session (FATAL), the booking may have been done.
func commit(ctx context.Context, tx pgx.Tx) error {
	err := tx.Commit(ctx)
	var answer *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer) && answer.SeverityUnlocalized == "ERROR", errors.Is(err, pgx.ErrTxCommitRollback):
		return fmt.Errorf("commit: %w", err)
	default:
		return fmt.Errorf("%w: %w", errMaybeDone, err)
	}
}

// rollbackTimeout bounds the rollback, which goes on where the request's own time is over: the connection is wanted again. The answer waits for it.
const rollbackTimeout = time.Second

// rollback ends a transaction that was not committed. Where even that fails the pool closes the connection, and the database rolls back by itself.
func rollback(ctx context.Context, tx pgx.Tx) {
	if tx == nil {
		return
	}
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

// refuseSpeciality refuses where the speciality is another appointment's after the claim.
func (s *Store) refuseSpeciality(a booking.NewAppointment, row db.SpecialityClaimTakeRow) error {
	if !a.OneActivePerSpeciality || row.AppointmentGuid == a.Guid {
		return nil
	}
	existing, err := existingAppointment(&s.zones, row.AppointmentGuid, row.LpuGuid, row.TimeZone, row.StartAt, row.EndAt)
	if err != nil {
		return err
	}
	return booking.RefuseSpeciality(booking.ActiveAppointment{
		ExistingAppointment: existing, SpecialityCode: a.Direction.SpecialityCode, ResourceName: row.ResourceName,
	})
}

// refuseCreation judges what the target institution's statement did, in the order of the rules.
func refuseCreation(a booking.NewAppointment, row db.AppointmentCreateRow) error {
	switch {
	case !row.ResourceActive:
		return booking.Refuse(booking.SlotResourceNotFound)
	case !row.MkabOpen:
		return booking.Refuse(booking.MkabClosed)
	case !row.SlotsTaken:
		return refuseCells(a, row.TakenSlotGuids)
	case !row.Created:
		return booking.Refuse(booking.AppointmentNotCreated)
	default:
		return nil
	}
}

// refuseCells judges which of the cells were got.
func refuseCells(a booking.NewAppointment, got []uuid.UUID) error {
	if slices.Contains(got, a.Slots[0].Guid) && len(got) < len(a.Slots) {
		return booking.Refuse(booking.ComplexSlotFailed)
	}
	return booking.Refuse(booking.SlotTaken)
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
		Restrictions:       restrictions(a.Slots),
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
	return &booking.HeldDirection{
		ID:    d.ID,
		Mkab:  row.MkabGuid,
		LpuTo: d.LpuGuid, // the visit is where this is held, whatever an original says of its target
		Direction: booking.Direction{
			Guid:            d.Guid,
			Type:            booking.DirectionType(d.Type),
			Number:          d.Number,
			AccessionNumber: d.AccessionNumber,
			Date:            booking.StartOfDay(d.Date, zone),
			DateEnd:         booking.StartOfDay(d.DateEnd, zone),
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
		},
		Appointment: booking.Appointment{Guid: row.Guid, Start: row.StartAt.In(zone), End: row.EndAt.In(zone), CreatedAt: row.CreatedAt.In(zone)},
	}, nil
}

// guids gives the guids of cells.
func guids(slots []booking.Slot) []uuid.UUID {
	guids := make([]uuid.UUID, len(slots))
	for i, slot := range slots {
		guids[i] = slot.Guid
	}
	return guids
}

// restrictions gives whom the cells were kept for when the rules allowed the booking.
func restrictions(slots []booking.Slot) []string {
	restrictions := make([]string, len(slots))
	for i, slot := range slots {
		restrictions[i] = string(slot.Restriction)
	}
	return restrictions
}
