package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/events"
)

// HoldDelivery implements events.DeliveryStore.
func (s *Store) HoldDelivery(ctx context.Context, instance uuid.UUID, now, until time.Time) (bool, error) {
	_, err := db.New(s.pool).WebhookDelivererHold(ctx, &instance, until, now)
	return err == nil, interpretError(ignoreAbsent(err))
}

// ReleaseDelivery implements events.DeliveryStore.
func (s *Store) ReleaseDelivery(ctx context.Context, instance uuid.UUID, now time.Time) error {
	return interpretError(db.New(s.pool).WebhookDelivererRelease(ctx, now, &instance))
}

// ActiveWebhooks implements events.DeliveryStore.
func (s *Store) ActiveWebhooks(ctx context.Context) (map[uuid.UUID]int64, error) {
	found, err := db.New(s.pool).WebhookRevisions(ctx)
	revisions := make(map[uuid.UUID]int64, len(found))
	for _, row := range found {
		revisions[row.Guid] = row.Revision
	}
	return revisions, interpretError(err)
}

// WebhookRevision implements events.DeliveryStore.
func (s *Store) WebhookRevision(ctx context.Context, guid uuid.UUID) (int64, error) {
	revision, err := db.New(s.pool).WebhookRevision(ctx, guid)
	return revision, interpretError(ignoreAbsent(err))
}

// ServedWebhook implements events.DeliveryStore.
func (s *Store) ServedWebhook(ctx context.Context, guid uuid.UUID, now time.Time) (*events.Served, error) {
	queries := db.New(s.pool)
	found, err := queries.WebhookFind(ctx, guid)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // it was deleted
	}
	if err != nil {
		return nil, interpretError(err)
	}
	keys, err := s.signingKeys(ctx, guid, now, events.MaxKeys)
	if err != nil {
		return nil, err
	}
	waiting, err := queries.WebhookRetryState(ctx, guid)
	return &events.Served{
		Webhook: storedWebhook(&found, waiting.Waiting), Revision: found.Revision,
		Sent:   events.Place{RecordedAt: found.RecordedAt, Position: found.Position},
		Stored: found.RecordedAt, Keys: keys, NextDue: nextDue(waiting),
	}, interpretError(err)
}

func nextDue(state db.WebhookRetryStateRow) *time.Time {
	if state.Waiting == 0 {
		return nil
	}
	return &state.NextAt
}

// WaitingEvents implements events.DeliveryStore.
func (s *Store) WaitingEvents(
	ctx context.Context, webhook uuid.UUID, due time.Time, most int,
) ([]events.WaitingEvent, error) {
	queries := db.New(s.pool)
	again, err := queries.WebhookRetryList(ctx, webhook, due, int32(most))
	if err != nil || len(again) == 0 {
		return nil, interpretError(err)
	}
	times, positions := make([]time.Time, len(again)), make([]int64, len(again))
	for i, row := range again {
		times[i], positions[i] = row.RecordedAt, row.Position
	}
	found, err := queries.EventsAt(ctx, times, positions)
	if err != nil {
		return nil, interpretError(err)
	}
	kept := make(map[int64]events.Event, len(found))
	for i := range found {
		kept[found[i].Position] = storedEvent(&found[i])
	}
	waiting := make([]events.WaitingEvent, 0, len(again))
	var gone []db.WebhookRetryDeleteParams
	for _, row := range again {
		if event, ok := kept[row.Position]; ok {
			waiting = append(waiting, events.WaitingEvent{Event: event, Attempts: int(row.Attempts), Since: row.Since})
		} else {
			gone = append(gone, db.WebhookRetryDeleteParams{WebhookGuid: webhook, Position: row.Position})
		}
	}
	if len(gone) > 0 {
		queries.WebhookRetryDelete(ctx, gone).Exec(func(_ int, deleteErr error) { err = firstError(err, deleteErr) })
	}
	return waiting, interpretError(err)
}

// Settle implements events.DeliveryStore.
func (s *Store) Settle(ctx context.Context, result *events.Settlement) (waiting int, next *time.Time, _ error) {
	err := s.changeWebhook(ctx, result.Guid, func(t *tx, stored *db.Webhook) error {
		if stored == nil {
			return nil // it was deleted
		}
		t.settle(result, stored.Revision == result.Revision)
		return t.send()
	})
	if err != nil {
		return 0, nil, err
	}
	state, err := db.New(s.pool).WebhookRetryState(ctx, result.Guid)
	return int(state.Waiting), nextDue(state), interpretError(err)
}

// settle queues the statements that write the result of serving a webhook, and the webhook itself
// if it has not changed.
func (t *tx) settle(result *events.Settlement, unchanged bool) {
	if unchanged {
		exec(t, t.WebhookSettle(t.ctx, []db.WebhookSettleParams{{
			Guid: result.Guid, RecordedAt: result.Sent.RecordedAt, Position: result.Sent.Position,
			Failures: int32(result.Failures), FailingSince: result.FailingSince, NextAt: result.NextAt,
			Status: string(result.Status),
		}}).Exec)
	}
	if result.AllDue != nil {
		exec(t, t.WebhookRetriesDue(t.ctx, []db.WebhookRetriesDueParams{{
			WebhookGuid: result.Guid, At: *result.AllDue,
		}}).Exec)
	}
	done := make([]db.WebhookRetryDeleteParams, len(result.Done))
	for i, position := range result.Done {
		done[i] = db.WebhookRetryDeleteParams{WebhookGuid: result.Guid, Position: position}
	}
	exec(t, t.WebhookRetryDelete(t.ctx, done).Exec)
	later := make([]db.WebhookRetryPutParams, len(result.Later))
	for i, event := range result.Later {
		later[i] = db.WebhookRetryPutParams{
			WebhookGuid: result.Guid, Position: event.Event.Position, RecordedAt: event.Event.RecordedAt,
			Attempts: int32(event.Attempts), Since: event.Since, NextAt: event.At,
		}
	}
	exec(t, t.WebhookRetryPut(t.ctx, later).Exec)
	attempts := make([]db.WebhookAttemptAddParams, len(result.Attempts))
	for i := range result.Attempts {
		a := &result.Attempts[i]
		attempts[i] = db.WebhookAttemptAddParams{
			WebhookGuid: result.Guid, At: a.At, Position: a.Event.Position, RecordedAt: a.Event.RecordedAt,
			Type: string(a.Type), Attempt: int32(a.Attempt), Outcome: string(a.Outcome),
			HttpStatus: nilIfZero(int32(a.HTTPStatus)), Milliseconds: int32(a.Took.Milliseconds()),
		}
	}
	exec(t, t.WebhookAttemptAdd(t.ctx, attempts).Exec)
}
