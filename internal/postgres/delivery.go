package postgres

import (
	"context"
	"errors"
	"slices"
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
	served := &events.Served{
		Webhook: storedWebhook(&found, 0), Revision: found.Revision,
		Keys: keys, Sent: events.Place{RecordedAt: found.RecordedAt, Position: found.Position},
	}
	served.Stored = served.Sent
	queries.WebhookWaiting(ctx, [][]uuid.UUID{{guid}}).Query(
		func(_ int, rows []db.WebhookWaitingRow, rowsErr error) {
			err = rowsErr
			for _, row := range rows {
				served.Waiting, served.NextDue = int(row.Waiting), &row.NextAt
			}
		})
	return served, interpretError(err)
}

// WaitingEvents implements events.DeliveryStore.
func (s *Store) WaitingEvents(
	ctx context.Context, webhook uuid.UUID, due time.Time, most int,
) (waiting []events.WaitingEvent, dropped []events.Done, _ error) {
	queries := db.New(s.pool)
	again, err := queries.WebhookRetryList(ctx, webhook, due, int32(most))
	if err != nil || len(again) == 0 {
		return nil, nil, interpretError(err)
	}
	times, positions := make([]time.Time, len(again)), make([]int64, len(again))
	for i, row := range again {
		times[i], positions[i] = row.RecordedAt, row.Position
	}
	found, err := queries.EventsAt(ctx, times, positions)
	if err != nil {
		return nil, nil, interpretError(err)
	}
	kept := make(map[int64]events.Event, len(found))
	for i := range found {
		kept[found[i].Position] = storedEvent(&found[i])
	}
	for _, row := range again {
		if event, ok := kept[row.Position]; ok {
			waiting = append(waiting, events.WaitingEvent{Event: event, Attempts: int(row.Attempts), Since: row.Since})
		} else {
			dropped = append(dropped, events.Done{Position: row.Position, Since: row.Since})
		}
	}
	return waiting, dropped, nil
}

// IsWebhookPlace implements events.DeliveryStore.
func (s *Store) IsWebhookPlace(ctx context.Context, webhook uuid.UUID, place events.Place) (bool, error) {
	found, err := db.New(s.pool).WebhookIsPlace(ctx, place.RecordedAt, place.Position, webhook)
	return found, interpretError(err)
}

// Settle implements events.DeliveryStore.
func (s *Store) Settle(ctx context.Context, results []*events.Settlement) error {
	_, err := write(ctx, s, func(t *tx) (struct{}, error) {
		guids := make([]uuid.UUID, len(results))
		var changed []uuid.UUID // the webhooks whose waiting events have changed
		for i, result := range results {
			guids[i] = result.Guid
			if len(result.Later) > 0 || len(result.Done) > 0 || result.AllDue != nil {
				changed = append(changed, result.Guid)
			}
		}
		// Locked, none of them is deleted or changed by its client application meanwhile.
		rows(t, t.WebhooksLock(ctx, [][]uuid.UUID{guids}).Query, func([]uuid.UUID) error { return nil })
		var advanced []uuid.UUID
		t.settle(results, &advanced)
		var waiting map[uuid.UUID]db.WebhookWaitingRow
		if len(changed) > 0 {
			rows(t, t.WebhookWaiting(ctx, [][]uuid.UUID{changed}).Query, func(found []db.WebhookWaitingRow) error {
				waiting = byWebhook(found)
				return nil
			})
		}
		if err := t.send(); err != nil {
			return struct{}{}, err
		}
		for _, result := range results {
			if !slices.Contains(advanced, result.Guid) {
				result.Revision = 0
			}
			if slices.Contains(changed, result.Guid) {
				state := waiting[result.Guid]
				result.Waiting, result.NextDue = int(state.Waiting), nilIfZero(state.NextAt)
			}
		}
		return struct{}{}, nil
	})
	return err
}

// settle queues the statements that write the results of serving webhooks. advanced gets those
// whose places are written.
func (t *tx) settle(results []*events.Settlement, advanced *[]uuid.UUID) {
	var (
		settled  db.WebhooksSettleParams
		places   db.WebhooksAdvanceParams
		due      []db.WebhookRetriesDueParams
		done     []db.WebhookRetryDeleteParams
		later    []db.WebhookRetryPutParams
		attempts db.WebhookAttemptsAddParams
	)
	for _, result := range results {
		settled.Guids = append(settled.Guids, result.Guid)
		settled.Revisions = append(settled.Revisions, result.Revision)
		places.StoredAt = append(places.StoredAt, result.Stored.RecordedAt)
		places.StoredPositions = append(places.StoredPositions, result.Stored.Position)
		places.RecordedAt = append(places.RecordedAt, result.Sent.RecordedAt)
		places.Positions = append(places.Positions, result.Sent.Position)
		settled.Failures = append(settled.Failures, int32(result.Failures))
		settled.FailingSince = append(settled.FailingSince, zeroIfNil(result.FailingSince))
		settled.NextAt = append(settled.NextAt, zeroIfNil(result.NextAt))
		settled.Statuses = append(settled.Statuses, string(result.Status))
		if result.AllDue != nil {
			due = append(due, db.WebhookRetriesDueParams{WebhookGuid: result.Guid, At: *result.AllDue})
		}
		for _, event := range result.Done {
			done = append(done, db.WebhookRetryDeleteParams{
				WebhookGuid: result.Guid, Position: event.Position, Since: event.Since,
			})
		}
		for _, event := range result.Later {
			later = append(later, db.WebhookRetryPutParams{
				WebhookGuid: result.Guid, Position: event.Event.Position, RecordedAt: event.Event.RecordedAt,
				Attempts: int32(event.Attempts), Since: event.Since, NextAt: event.At,
			})
		}
		for i := range result.Attempts {
			a := &result.Attempts[i]
			attempts.WebhookGuids = append(attempts.WebhookGuids, result.Guid)
			attempts.At = append(attempts.At, a.At)
			attempts.Positions = append(attempts.Positions, a.Event.Position)
			attempts.RecordedAt = append(attempts.RecordedAt, a.Event.RecordedAt)
			attempts.Types = append(attempts.Types, string(a.Type))
			attempts.Attempts = append(attempts.Attempts, int32(a.Attempt))
			attempts.Outcomes = append(attempts.Outcomes, string(a.Outcome))
			attempts.HttpStatuses = append(attempts.HttpStatuses, int32(a.HTTPStatus))
			attempts.Milliseconds = append(attempts.Milliseconds, int32(a.Took.Milliseconds()))
		}
	}
	places.Guids = settled.Guids
	exec(t, t.WebhooksSettle(t.ctx, []db.WebhooksSettleParams{settled}).Exec)
	rows(t, t.WebhooksAdvance(t.ctx, []db.WebhooksAdvanceParams{places}).Query, func(found []uuid.UUID) error {
		*advanced = found
		return nil
	})
	exec(t, t.WebhookRetriesDue(t.ctx, due).Exec)
	exec(t, t.WebhookRetryDelete(t.ctx, done).Exec)
	exec(t, t.WebhookRetryPut(t.ctx, later).Exec)
	exec(t, t.WebhookAttemptsAdd(t.ctx, []db.WebhookAttemptsAddParams{attempts}).Exec)
}
