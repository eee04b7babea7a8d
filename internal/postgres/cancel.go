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
		finding.QueryRow(func(_ int, row db.AppointmentFindRow, rowErr error) { visit, err = foundVisit(row, rowErr) })
		return visit, err
	})
}

// foundVisit gives nil where there was no row.
func foundVisit(row db.AppointmentFindRow, err error) (*booking.BookedVisit, error) {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil //nolint:nilnil // there is none
	case err != nil:
		return nil, err
	}
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
		Cancelled:      row.Cancelled,
		AfterStart:     row.AfterStart,
	}, nil
}

// Cancel implements booking.Store: one transaction in three round trips. The first locks the referral and the speciality, in the order in which bookings
// do, and reads what stands there from then on; the second changes it; the third commits.
func (s *Store) Cancel(ctx context.Context, person uuid.UUID, visit *booking.BookedVisit, reason booking.CancelReason, now time.Time) error {
	_, err := retry(ctx, s.pool.Reset, func() (struct{}, error) { return struct{}{}, s.cancel(ctx, person, visit, reason, now) })
	return err
}

func (s *Store) cancel(ctx context.Context, person uuid.UUID, visit *booking.BookedVisit, reason booking.CancelReason, now time.Time) error {
	send := newPipeline(ctx, s.pool)
	send.begin()
	queries := db.New(send)
	direction := queries.DirectionLock(ctx, []db.DirectionLockParams{{LpuGuid: visit.DirectionLpu, Guid: visit.Direction}})
	claim := queries.SpecialityClaimLock(ctx, []db.SpecialityClaimLockParams{{PersonGuid: person, SpecialityCode: visit.SpecialityCode}})
	finding := queries.AppointmentFind(ctx, []db.AppointmentFindParams{{PersonGuid: person, Guid: visit.Guid}})
	inheriting := queries.AppointmentHeir(ctx, []db.AppointmentHeirParams{
		{PersonGuid: person, Guid: visit.Guid, At: now, SpecialityCode: visit.SpecialityCode},
	})

	tx, err := send.begun()
	defer func() {
		_ = send.close()
		rollback(ctx, tx)
	}()
	var (
		holder uuid.UUID
		found  *booking.BookedVisit
		heir   *db.AppointmentHeirRow
	)
	direction.QueryRow(func(_ int, _ uuid.UUID, rowErr error) { err = firstOf(err, unlessAbsent(rowErr)) })
	claim.QueryRow(func(_ int, appointment uuid.UUID, rowErr error) {
		holder = appointment
		err = firstOf(err, unlessAbsent(rowErr))
	})
	finding.QueryRow(func(_ int, row db.AppointmentFindRow, rowErr error) {
		var foundErr error
		found, foundErr = foundVisit(row, rowErr)
		err = firstOf(err, foundErr)
	})
	inheriting.QueryRow(func(_ int, row db.AppointmentHeirRow, rowErr error) {
		if rowErr == nil {
			heir = &row
		}
		err = firstOf(err, unlessAbsent(rowErr))
	})
	if err := firstOf(err, send.close()); err != nil {
		return err
	}
	if found == nil || found.Cancelled {
		return nil // somebody was faster
	}

	write := newPipeline(ctx, tx)
	defer func() { _ = write.close() }()
	queries = db.New(write)
	// The referral's claim on the original, and the link on a copy.
	releases := []db.DirectionReleaseParams{{LpuGuid: found.DirectionLpu, Guid: found.Direction, AppointmentGuid: found.Guid}}
	if found.Lpu != found.DirectionLpu {
		releases = append(releases, db.DirectionReleaseParams{LpuGuid: found.Lpu, Guid: found.Direction, AppointmentGuid: found.Guid})
	}
	releasing := queries.DirectionRelease(ctx, releases)
	var claiming interface{ Exec(f func(int, error)) }
	switch {
	case holder != found.Guid:
	case heir != nil:
		claiming = queries.SpecialityClaimGive(ctx, []db.SpecialityClaimGiveParams{{
			PersonGuid: person, SpecialityCode: found.SpecialityCode, AppointmentGuid: heir.Guid, LpuGuid: heir.LpuGuid,
			ResourceName: heir.ResourceName, StartAt: heir.StartAt, EndAt: heir.EndAt,
		}})
	default:
		claiming = queries.SpecialityClaimRelease(ctx, []db.SpecialityClaimReleaseParams{
			{PersonGuid: person, SpecialityCode: found.SpecialityCode, AppointmentGuid: found.Guid},
		})
	}
	cancelling := queries.AppointmentCancel(ctx, []db.AppointmentCancelParams{
		{LpuGuid: found.Lpu, Guid: found.Guid, CancelledAt: now, ReasonCode: reason.Code, Reason: reason.Text},
	})
	releasing.Exec(func(_ int, execErr error) { err = firstOf(err, execErr) })
	if claiming != nil {
		claiming.Exec(func(_ int, execErr error) { err = firstOf(err, execErr) })
	}
	cancelling.QueryRow(func(_ int, _ db.AppointmentCancelRow, rowErr error) { err = firstOf(err, rowErr) })
	if err := firstOf(err, write.close()); err != nil {
		return err
	}
	return commit(ctx, tx)
}

// unlessAbsent takes the absence of a row for no error.
func unlessAbsent(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}
