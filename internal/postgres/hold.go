package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Holds implements booking.HoldStore.
func (s *Store) Holds(ctx context.Context, person uuid.UUID, now time.Time) ([]booking.Hold, error) {
	return retry(ctx, s.pool.Reset, func() ([]booking.Hold, error) { return s.holds(ctx, person, now) })
}

func (s *Store) holds(ctx context.Context, person uuid.UUID, now time.Time) (holds []booking.Hold, err error) {
	db.New(s.pool).HoldList(ctx, []db.HoldListParams{{PersonGuid: person, At: now}}).Query(func(_ int, rows []db.HoldListRow, rowsErr error) {
		holds, err = s.holdsOf(rows, rowsErr)
	})
	return holds, err
}

func (s *Store) holdsOf(rows []db.HoldListRow, err error) ([]booking.Hold, error) {
	if err != nil {
		return nil, err
	}
	holds := make([]booking.Hold, len(rows))
	for i, row := range rows {
		zone, err := s.zones.load(row.TimeZone)
		if err != nil {
			return nil, err
		}
		holds[i] = booking.Hold{
			Guid: row.Guid, Lpu: row.LpuGuid, Slots: row.SlotGuids, Direction: row.DirectionGuid,
			Start: row.StartAt.In(zone), End: row.EndAt.In(zone), Until: row.Until.In(zone),
		}
	}
	return holds, nil
}

// Hold implements booking.HoldStore: one transaction in two round trips, as Create. The cells are held first, then one of the person's places is taken: so of
// two requests for one cell the second sees what the first did, and of any number of requests of one person two get a place.
//
// For a move there is a round trip before these, which locks the visit as the move does: its places are counted as free, and must not be given back meanwhile.
func (s *Store) Hold(ctx context.Context, a booking.NewAppointment, visit *booking.BookedVisit, until time.Time) (*booking.Hold, error) {
	return retry(ctx, s.pool.Reset, func() (*booking.Hold, error) {
		if visit == nil {
			return s.hold(ctx, a, until)
		}
		return s.holdForMove(ctx, a, visit, until)
	})
}

func (s *Store) hold(ctx context.Context, a booking.NewAppointment, until time.Time) (*booking.Hold, error) {
	send := newPipeline(ctx, s.pool)
	send.begin()
	held := s.holding(ctx, db.New(send), a, nil, until)

	tx, err := send.begun()
	defer func() {
		_ = send.close()
		rollback(ctx, tx)
	}()
	hold, isNew, err := held(err)
	if err := firstOf(err, send.close()); err != nil || !isNew {
		return hold, err
	}
	return hold, commit(ctx, tx)
}

func (s *Store) holdForMove(ctx context.Context, a booking.NewAppointment, visit *booking.BookedVisit, until time.Time) (*booking.Hold, error) {
	locked, err := s.lock(ctx, a.Patient.Person, visit, a.CreatedAt)
	defer func() { rollback(ctx, locked.tx) }()
	switch {
	case err != nil:
		return nil, err
	case locked.visit == nil:
		return nil, booking.Refuse(booking.AppointmentIsCancelled)
	}
	send := newPipeline(ctx, locked.tx)
	defer func() { _ = send.close() }()
	hold, isNew, err := s.holding(ctx, db.New(send), a, locked.visit.OwnCells(a.Request.LpuTo), until)(nil)
	if err := firstOf(err, send.close()); err != nil || !isNew {
		return hold, err
	}
	return hold, commit(ctx, locked.tx)
}

// holding gathers the statements of a hold; own are cells where the person has a place that counts as free. The function that it answers reads what they did,
// unless there was an error before: the hold, and whether it is new. One that stood before is answered, and nothing is to be committed.
func (s *Store) holding(
	ctx context.Context, queries *db.Queries, a booking.NewAppointment, own []uuid.UUID, until time.Time,
) func(error) (hold *booking.Hold, isNew bool, _ error) {
	holding := queries.SlotHold(ctx, []db.SlotHoldParams{{
		LpuGuid: a.Request.LpuTo, SlotGuids: guids(a.Slots), Restrictions: restrictions(a.Slots), Access: int32(a.Access), ResourceGuid: a.Resource.Guid,
		StartAt: a.Start, EndAt: a.End, At: a.CreatedAt, Guid: a.Guid, PersonGuid: a.Patient.Person, Until: until, OwnGuids: own,
	}})
	place := db.HoldTakeParams{
		PersonGuid: a.Patient.Person, Place: 1, Guid: a.Guid, LpuGuid: a.Request.LpuTo, SlotGuids: guids(a.Slots), DirectionGuid: a.Direction.Guid,
		StartAt: a.Start, EndAt: a.End, Until: until, At: a.CreatedAt,
	}
	other := place
	other.Place = 2
	taking := queries.HoldTake(ctx, []db.HoldTakeParams{place, other})
	listing := queries.HoldList(ctx, []db.HoldListParams{{PersonGuid: a.Patient.Person, At: a.CreatedAt}})

	return func(err error) (*booking.Hold, bool, error) {
		var (
			cells db.SlotHoldRow
			taken bool
			holds []booking.Hold
		)
		holding.QueryRow(func(_ int, row db.SlotHoldRow, rowErr error) {
			cells, err = row, firstOf(err, rowErr)
		})
		taking.QueryRow(func(_ int, _ int16, rowErr error) {
			taken = taken || rowErr == nil
			err = firstOf(err, unlessAbsent(rowErr))
		})
		listing.Query(func(_ int, rows []db.HoldListRow, rowsErr error) {
			var listErr error
			holds, listErr = s.holdsOf(rows, rowsErr)
			err = firstOf(err, listErr)
		})
		if err != nil {
			return nil, false, err
		}
		at := slices.IndexFunc(holds, func(h booking.Hold) bool { return h.BeginsWith(a.Request.LpuTo, a.Slots[0].Guid) })
		switch {
		case at >= 0 && holds[at].Guid != a.Guid:
			return &holds[at], false, nil
		case !cells.SlotsHeld:
			return nil, false, refuseCells(a, cells.HeldSlotGuids)
		case !taken:
			refusal := booking.Refuse(booking.TooManyHolds)
			refusal.Details = &booking.Details{Holds: holds}
			refusal.RetryAfter = holds[0].Until.Sub(a.CreatedAt)
			return nil, false, refusal
		default:
			return &holds[at], true, nil
		}
	}
}

// Release implements booking.HoldStore: one transaction in two round trips.
func (s *Store) Release(ctx context.Context, person uuid.UUID, hold booking.Hold, now time.Time) error {
	_, err := retry(ctx, s.pool.Reset, func() (struct{}, error) { return struct{}{}, s.release(ctx, person, hold, now) })
	return err
}

func (s *Store) release(ctx context.Context, person uuid.UUID, hold booking.Hold, now time.Time) error {
	send := newPipeline(ctx, s.pool)
	send.begin()
	given := giveBack(ctx, db.New(send), person, hold.Lpu, nil, []booking.Hold{hold}, now)
	tx, err := send.begun()
	defer func() {
		_ = send.close()
		rollback(ctx, tx)
	}()
	if err := firstOf(given(err), send.close()); err != nil {
		return err
	}
	return commit(ctx, tx)
}

// consumed reads the holds that a booking uses up: those that its facts saw on its cells, if they have not gone since. Of one that was made since the booking
// knows as little as of anybody else's.
func (s *Store) consumed(ctx context.Context, a booking.NewAppointment) ([]booking.Hold, error) {
	var known []uuid.UUID
	for _, slot := range a.Slots {
		known = append(known, slot.Holds...)
	}
	if known == nil {
		return nil, nil
	}
	holds, err := s.holds(ctx, a.Patient.Person, a.CreatedAt)
	return slices.DeleteFunc(holds, func(h booking.Hold) bool { return !slices.Contains(known, h.Guid) }), err
}

// giveBack gathers the statements that give back holds in an institution, their places in the cells and the person's. All their cells and those given, which the
// transaction is going to change, are locked first, in the order in which a booking does. The function that it answers reads whether they were done, unless there
// was an error before.
func giveBack(
	ctx context.Context, queries *db.Queries, person, lpu uuid.UUID, cells []uuid.UUID, holds []booking.Hold, now time.Time,
) func(error) error {
	if len(holds) == 0 {
		return func(err error) error { return err }
	}
	releases, deletions := make([]db.SlotReleaseParams, len(holds)), make([]db.HoldDeleteParams, len(holds))
	for i, hold := range holds {
		cells = append(cells, hold.Slots...)
		releases[i] = db.SlotReleaseParams{LpuGuid: lpu, Guids: hold.Slots, Guid: hold.Guid, PersonGuid: person, Until: hold.Until, At: now}
		deletions[i] = db.HoldDeleteParams{PersonGuid: person, Guid: hold.Guid}
	}
	locking := queries.SlotLock(ctx, []db.SlotLockParams{{LpuGuid: lpu, Guids: cells}})
	releasing := queries.SlotRelease(ctx, releases)
	deleting := queries.HoldDelete(ctx, deletions)
	return func(err error) error {
		locking.Query(func(_ int, _ []uuid.UUID, rowsErr error) { err = firstOf(err, rowsErr) })
		releasing.Exec(func(_ int, execErr error) { err = firstOf(err, execErr) })
		deleting.Exec(func(_ int, execErr error) { err = firstOf(err, execErr) })
		return err
	}
}
