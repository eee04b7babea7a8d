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

// Visit implements booking.Store.
func (s *Store) Visit(ctx context.Context, person, appointment uuid.UUID) (*booking.BookedVisit, error) {
	return retry(ctx, s.pool.Reset, func() (visit *booking.BookedVisit, err error) {
		finding := db.New(s.pool).AppointmentFind(ctx, []db.AppointmentFindParams{{PersonGuid: person, Guid: appointment}})
		finding.QueryRow(func(_ int, row db.AppointmentFindRow, rowErr error) {
			err = unlessAbsent(rowErr)
			if rowErr == nil {
				visit = foundVisit(row)
			}
		})
		return visit, err
	})
}

func foundVisit(row db.AppointmentFindRow) *booking.BookedVisit {
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
		AfterStart:     row.AfterStart,
	}
}

// Cancel implements booking.Store: one transaction in three round trips. The first locks and reads, the second changes, the third commits.
func (s *Store) Cancel(ctx context.Context, c booking.NewCancellation) error {
	_, err := retry(ctx, s.pool.Reset, func() (struct{}, error) { return struct{}{}, s.cancel(ctx, c) })
	return err
}

func (s *Store) cancel(ctx context.Context, c booking.NewCancellation) error {
	locked, err := s.lock(ctx, c.Person, c.Visit, c.At)
	defer func() { rollback(ctx, locked.tx) }()
	if err != nil {
		return err
	}
	if locked.visit != nil { // else somebody was faster
		if err := locked.cancel(ctx, c); err != nil {
			return err
		}
	}
	if err := keepAnswer(ctx, locked.tx, c.Key, nil); err != nil {
		return err
	}
	return commit(ctx, locked.tx)
}

// cancel gives back what the visit has, and marks it.
func (l *lockedVisit) cancel(ctx context.Context, c booking.NewCancellation) error {
	write := newPipeline(ctx, l.tx)
	defer func() { _ = write.close() }()
	queries := db.New(write)
	released := l.release(ctx, queries)
	cancelling := queries.AppointmentCancel(ctx, []db.AppointmentCancelParams{
		{LpuGuid: l.visit.Lpu, Guid: l.visit.Guid, CancelledAt: c.At, ReasonCode: c.Reason.Code, Reason: c.Reason.Text},
	})
	err := released()
	cancelling.QueryRow(func(_ int, _ db.AppointmentCancelRow, rowErr error) { err = firstOf(err, rowErr) })
	return firstOf(err, write.close())
}

// lockedVisit is an appointment that nobody else can change until the transaction ends, as it is then.
type lockedVisit struct {
	tx     pgx.Tx
	person uuid.UUID
	visit  *booking.BookedVisit   // nil where it was cancelled meanwhile
	holder uuid.UUID              // whose the claim on the speciality is; the zero guid where it is nobody's
	heir   *db.AppointmentHeirRow // whose it is next
}

// lock begins a transaction, which is the caller's to end, also after an error, and in one round trip locks the referral and the speciality, in the order in
// which bookings do. Only then it reads: what was known of the visit before may have changed.
func (s *Store) lock(ctx context.Context, person uuid.UUID, visit *booking.BookedVisit, now time.Time) (locked lockedVisit, err error) {
	send := newPipeline(ctx, s.pool)
	send.begin()
	queries := db.New(send)
	direction := queries.DirectionLock(ctx, []db.DirectionLockParams{{LpuGuid: visit.DirectionLpu, Guid: visit.Direction}})
	claim := queries.SpecialityClaimLock(ctx, []db.SpecialityClaimLockParams{{PersonGuid: person, SpecialityCode: visit.SpecialityCode}})
	finding := queries.AppointmentFind(ctx, []db.AppointmentFindParams{{PersonGuid: person, Guid: visit.Guid}})
	inheriting := queries.AppointmentHeir(ctx, []db.AppointmentHeirParams{
		{PersonGuid: person, Guid: visit.Guid, At: now, SpecialityCode: visit.SpecialityCode},
	})

	locked.person = person
	locked.tx, err = send.begun()
	defer func() { err = firstOf(err, send.close()) }()
	direction.QueryRow(func(_ int, _ uuid.UUID, rowErr error) { err = firstOf(err, unlessAbsent(rowErr)) })
	claim.QueryRow(func(_ int, holder uuid.UUID, rowErr error) {
		locked.holder = holder
		err = firstOf(err, unlessAbsent(rowErr))
	})
	finding.QueryRow(func(_ int, row db.AppointmentFindRow, rowErr error) {
		if rowErr == nil && !row.Cancelled {
			locked.visit = foundVisit(row)
		}
		err = firstOf(err, unlessAbsent(rowErr))
	})
	inheriting.QueryRow(func(_ int, row db.AppointmentHeirRow, rowErr error) {
		if rowErr == nil {
			locked.heir = &row
		}
		err = firstOf(err, unlessAbsent(rowErr))
	})
	return locked, err
}

// release gathers the statements that give back the referral, its claim on the original and the link on a copy, and the speciality. The function that it
// answers reads whether they were done.
func (l *lockedVisit) release(ctx context.Context, queries *db.Queries) func() error {
	v := l.visit
	directions := []db.DirectionReleaseParams{{LpuGuid: v.DirectionLpu, Guid: v.Direction, AppointmentGuid: v.Guid}}
	if v.Lpu != v.DirectionLpu {
		directions = append(directions, db.DirectionReleaseParams{LpuGuid: v.Lpu, Guid: v.Direction, AppointmentGuid: v.Guid})
	}
	statements := []interface{ Exec(f func(int, error)) }{queries.DirectionRelease(ctx, directions)}
	switch {
	case l.holder != v.Guid:
	case l.heir != nil:
		statements = append(statements, queries.SpecialityClaimGive(ctx, []db.SpecialityClaimGiveParams{{
			PersonGuid: l.person, SpecialityCode: v.SpecialityCode, AppointmentGuid: l.heir.Guid, LpuGuid: l.heir.LpuGuid,
			ResourceName: l.heir.ResourceName, StartAt: l.heir.StartAt, EndAt: l.heir.EndAt,
		}}))
	default:
		statements = append(statements, queries.SpecialityClaimRelease(ctx, []db.SpecialityClaimReleaseParams{
			{PersonGuid: l.person, SpecialityCode: v.SpecialityCode, AppointmentGuid: v.Guid},
		}))
	}
	return func() (err error) {
		for _, statement := range statements {
			statement.Exec(func(_ int, execErr error) { err = firstOf(err, execErr) })
		}
		return err
	}
}

// unlessAbsent takes the absence of a row for no error.
func unlessAbsent(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}
