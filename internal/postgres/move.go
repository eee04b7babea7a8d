package postgres

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Move implements booking.Store: a cancel and a booking in one transaction, but that the row is taken out rather than marked, and written anew under its
// guid, where the visit will be. All cells are locked before any is changed, those of the institution with the lower guid first: a booking or a cancel holds
// cells of one institution alone, so that nobody waits in a circle.
func (s *Store) Move(ctx context.Context, a booking.NewAppointment, visit *booking.BookedVisit) (*booking.HeldDirection, error) {
	return retry(ctx, s.pool.Reset, func() (*booking.HeldDirection, error) { return s.move(ctx, a, visit) })
}

func (s *Store) move(ctx context.Context, a booking.NewAppointment, visit *booking.BookedVisit) (*booking.HeldDirection, error) {
	holds, err := s.consumed(ctx, a)
	if err != nil {
		return nil, err
	}
	locked, err := s.lock(ctx, a.Patient.Person, visit, a.CreatedAt)
	defer func() { rollback(ctx, locked.tx) }()
	switch {
	case err != nil:
		return nil, err
	case locked.visit == nil:
		return nil, booking.Refuse(booking.AppointmentIsCancelled)
	}
	was := locked.visit
	write := newPipeline(ctx, locked.tx)
	defer func() { _ = write.close() }()
	queries := db.New(write)
	cells := queries.SlotLock(ctx, cellsOf(was, a, holds))
	released := locked.release(ctx, queries)
	removing := queries.AppointmentRemove(ctx, []db.AppointmentRemoveParams{{LpuGuid: was.Lpu, Guid: was.Guid}})
	created := s.creation(ctx, queries, a, holds, func() interface{ Exec(f func(int, error)) } {
		return queries.AppointmentDate(ctx, []db.AppointmentDateParams{{CreatedAt: was.CreatedAt, LpuGuid: a.Request.LpuTo, Guid: a.Guid}})
	})

	cells.Query(func(_ int, _ []uuid.UUID, rowsErr error) { err = firstOf(err, rowsErr) })
	err = firstOf(err, released())
	removing.QueryRow(func(_ int, _ uuid.UUID, rowErr error) { err = firstOf(err, rowErr) })
	held, err := created(err)
	var refusal *booking.Refusal
	if errors.As(err, &refusal) && refusal.Rule == booking.DirectionAlreadyBooked {
		err = booking.Refuse(booking.DirectionNotFound) // it is not booked: it was withdrawn
	}
	if err := firstOf(err, write.close()); err != nil {
		return nil, err
	}
	if err := keepAnswer(ctx, locked.tx, a.Key, held); err != nil {
		return nil, err
	}
	if err := commit(ctx, locked.tx); err != nil {
		return nil, err
	}
	return held, nil
}

// cellsOf are the cells that a visit has, those that it is to have, and those of the holds that it uses up, by institution, in the order in which they are locked.
func cellsOf(was *booking.BookedVisit, a booking.NewAppointment, holds []booking.Hold) []db.SlotLockParams {
	wanted := guids(a.Slots)
	for _, hold := range holds {
		wanted = append(wanted, hold.Slots...)
	}
	if a.Request.LpuTo == was.Lpu {
		return []db.SlotLockParams{{LpuGuid: was.Lpu, Guids: append(wanted, was.Slots...)}}
	}
	params := []db.SlotLockParams{{LpuGuid: was.Lpu, Guids: was.Slots}, {LpuGuid: a.Request.LpuTo, Guids: wanted}}
	slices.SortFunc(params, func(a, b db.SlotLockParams) int { return bytes.Compare(a.LpuGuid[:], b.LpuGuid[:]) })
	return params
}
