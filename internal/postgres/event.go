package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/events"
)

// tell queues the statements that write events of the transaction. They must follow the statements
// that lock what has changed, so that the events of an object are in the order of its changes.
func (t *tx) tell(all ...events.Event) {
	if len(all) == 0 {
		return
	}
	added := make([]db.EventAddParams, len(all))
	for i := range all {
		e := &all[i]
		added[i] = db.EventAddParams{
			LpuGuid: e.Lpu, Type: string(e.Type), At: e.At, AppointmentGuid: nilIfZero(e.Appointment),
			DirectionGuid: nilIfZero(e.Direction), ResourceGuid: nilIfZero(e.Resource), FromAt: nilIfZero(e.From),
			ToAt: nilIfZero(e.To), Version: e.Version,
		}
	}
	exec(t, t.EventAdd(t.ctx, added).Exec)
}

// tellVisit is tell for the event of a visit and that of its referral. The latter is for the
// institution that holds the original.
func (t *tx) tellVisit(visit events.Event, holder uuid.UUID, referral events.Type) {
	exec(t, t.VisitEventsAdd(t.ctx, []db.VisitEventsAddParams{{
		LpuGuid: visit.Lpu, Type: string(visit.Type), At: visit.At, AppointmentGuid: visit.Appointment,
		DirectionGuid: visit.Direction, ResourceGuid: nilIfZero(visit.Resource), Version: visit.Version,
		DirectionLpuGuid: holder, DirectionType: string(referral),
	}}).Exec)
}

// zeroIfNil returns the value of a pointer, or the zero value for nil.
func zeroIfNil[T any](value *T) (zero T) {
	if value == nil {
		return zero
	}
	return *value
}

// keptDays is how many days before today have events, in UTC.
const keptDays = int32(events.Kept / (24 * time.Hour))

// Record implements events.Store. Places are given by one transaction at a time, the recorder,
// which sees only events of transactions that have ended. So no event appears before one that
// somebody has read.
func (s *Store) Record(ctx context.Context, now time.Time, most int) (recorded int, err error) {
	if _, err := db.New(s.pool).EventWaits(ctx); err != nil {
		return 0, interpretError(ignoreAbsent(err))
	}
	var day time.Time
	err = transact(ctx, s.pool, func(tx pgx.Tx) error {
		queries := db.New(tx)
		last, err := queries.EventRecorderLock(ctx)
		if err != nil {
			return ignoreAbsent(err) // another instance is the recorder
		}
		numbers, err := queries.EventOutboxNumbers(ctx, int32(most))
		if err != nil || len(numbers) == 0 {
			return err
		}
		at := last.RecordedAt // the clock of an instance may be behind that of another
		if now.After(at) {
			at = now
		}
		day = at.UTC().Truncate(24 * time.Hour)
		if err := s.ensurePartitions(ctx, queries, day); err != nil {
			return err
		}
		recorded = len(numbers)
		// Places are numbered by the clock, so that a database that was restored from a backup does
		// not give the numbers of events again that it has lost.
		before := max(last.Position, at.UnixMicro())
		return errors.Join(
			queries.EventRecord(ctx, at, before, numbers),
			queries.EventSequenceAdvance(ctx, numbers),
			queries.EventOutboxDelete(ctx, numbers),
			queries.EventRecorderAdvance(ctx, before+int64(recorded), at),
		)
	})
	if err != nil {
		return 0, interpretError(err)
	}
	if recorded > 0 {
		s.partitions.Store(&day)
	}
	return recorded, nil
}

// ensurePartitions creates the partition of a day and drops those that are too old, once a day.
func (s *Store) ensurePartitions(ctx context.Context, queries *db.Queries, day time.Time) error {
	if known := s.partitions.Load(); known != nil && known.Equal(day) {
		return nil
	}
	return queries.EventPartitions(ctx, day, keptDays)
}

// Ends implements events.Store.
func (s *Store) Ends(ctx context.Context) (events.Ends, error) {
	row, err := db.New(s.pool).EventEnds(ctx)
	return events.Ends{
		Last: events.Place{RecordedAt: row.RecordedAt, Position: row.Position}, Dropped: row.Dropped,
	}, interpretError(err)
}

// IsPlace implements events.Store.
func (s *Store) IsPlace(ctx context.Context, place events.Place) (bool, error) {
	found, err := db.New(s.pool).EventIsPlace(ctx, place.RecordedAt, place.Position)
	return found, interpretError(err)
}

// Events implements events.Store.
func (s *Store) Events(
	ctx context.Context, rights booking.SystemRights, after events.Place, most int,
) ([]events.Event, error) {
	found, err := s.eventRows(ctx, rights, after, int32(most))
	if err != nil {
		return nil, interpretError(err)
	}
	list := make([]events.Event, len(found))
	for i := range found {
		list[i] = storedEvent(&found[i])
	}
	return list, nil
}

func storedEvent(row *db.Event) events.Event {
	return events.Event{
		Place: events.Place{RecordedAt: row.RecordedAt, Position: row.Position},
		Lpu:   row.LpuGuid, Sequence: row.Sequence, Type: events.Type(row.Type), At: row.At,
		Appointment: zeroIfNil(row.AppointmentGuid), Direction: zeroIfNil(row.DirectionGuid),
		Resource: zeroIfNil(row.ResourceGuid), From: zeroIfNil(row.FromAt), To: zeroIfNil(row.ToAt),
		Version: row.Version,
	}
}

func (s *Store) eventRows(
	ctx context.Context, rights booking.SystemRights, after events.Place, most int32,
) ([]db.Event, error) {
	queries := db.New(s.pool)
	if rights.EveryLpu {
		return queries.EventList(ctx, after.RecordedAt, after.Position, most)
	}
	return queries.EventListOfLpus(ctx, db.EventListOfLpusParams{
		LpuGuids: rights.Lpus, AfterAt: after.RecordedAt, AfterPosition: after.Position, Most: most,
	})
}
