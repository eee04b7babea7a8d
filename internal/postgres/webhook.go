package postgres

import (
	"context"
	"crypto/ed25519"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/events"
)

// PutWebhook implements events.WebhookStore.
func (s *Store) PutWebhook(
	ctx context.Context, written events.Webhook, key events.SigningKey, now time.Time, most int,
) (events.Webhook, error) {
	err := s.changeWebhook(ctx, written.Guid, func(t *tx, stored *db.Webhook) error {
		types := toStrings(written.Types)
		if stored == nil {
			// One at a time, so that they do not exceed the limit together.
			exec(t, t.ClientLock(ctx, []uuid.UUID{written.Client}).Exec)
			row(t, t.WebhookAdd(ctx, []db.WebhookAddParams{{
				Guid: written.Guid, ClientGuid: written.Client, Url: written.URL, Types: types, LpuGuid: written.Lpu,
				Status: string(written.Status), At: now, Most: int64(most),
				// So that the deliverer does not take it for one of the same guid that was deleted.
				Revision: 1 + rand.Int64N(1<<62), //nolint:gosec,mnd // no secret
			}}).QueryRow, func(_ uuid.UUID, err error) error {
				if errors.Is(err, pgx.ErrNoRows) {
					return booking.Reject(booking.TooManyWebhooks)
				}
				return err
			})
			t.addWebhookKey(written.Guid, key, now)
			return nil
		}
		before := storedWebhook(stored, 0)
		if changed, err := before.Replace(&written); err != nil || !changed {
			return err
		}
		exec(t, t.WebhookChange(ctx, []db.WebhookChangeParams{{
			Guid: written.Guid, Url: written.URL, Types: types, LpuGuid: written.Lpu,
			Status: string(written.Status), At: now,
		}}).Exec)
		exec(t, t.WebhookRetriesRestart(ctx, []db.WebhookRetriesRestartParams{{
			WebhookGuid: written.Guid, At: now,
		}}).Exec)
		return nil
	})
	if err != nil {
		return events.Webhook{}, err
	}
	return s.Webhook(ctx, written.Client, written.Guid)
}

// changeWebhook locks a webhook and changes it. do gets nil if there is none.
func (s *Store) changeWebhook(ctx context.Context, guid uuid.UUID, do func(t *tx, stored *db.Webhook) error) error {
	_, err := write(ctx, s, func(t *tx) (struct{}, error) {
		var stored *db.Webhook
		row(t, t.WebhookLock(ctx, []uuid.UUID{guid}).QueryRow, func(row db.Webhook, err error) error {
			if err == nil {
				stored = &row
			}
			return ignoreAbsent(err)
		})
		if err := t.send(); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, do(t, stored)
	})
	return err
}

// changeOwnWebhook is changeWebhook for a webhook that must be a client application's.
func (s *Store) changeOwnWebhook(ctx context.Context, client, guid uuid.UUID, do func(t *tx) error) error {
	return s.changeWebhook(ctx, guid, func(t *tx, stored *db.Webhook) error {
		if stored == nil || stored.ClientGuid != client {
			return booking.Reject(booking.WebhookAbsent)
		}
		return do(t)
	})
}

// addWebhookKey queues the statement that adds a key.
func (t *tx) addWebhookKey(webhook uuid.UUID, key events.SigningKey, now time.Time) {
	exec(t, t.WebhookKeyAdd(t.ctx, []db.WebhookKeyAddParams{{
		WebhookGuid: webhook, CreatedAt: now, Secret: key.Secret, Seed: key.Private.Seed(),
	}}).Exec)
}

func storedWebhook(row *db.Webhook, waiting int64) events.Webhook {
	webhook := events.Webhook{
		Guid: row.Guid, Client: row.ClientGuid, URL: row.Url, Lpu: row.LpuGuid,
		Status: events.WebhookStatus(row.Status), Failures: int(row.Failures), FailingSince: row.FailingSince,
		NextAt: row.NextAt, Waiting: int(waiting), CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
	for _, name := range row.Types {
		webhook.Types = append(webhook.Types, events.Type(name))
	}
	return webhook
}

// Webhook implements events.WebhookStore.
func (s *Store) Webhook(ctx context.Context, client, guid uuid.UUID) (events.Webhook, error) {
	found, err := db.New(s.pool).WebhookGet(ctx, guid, client)
	if errors.Is(err, pgx.ErrNoRows) {
		return events.Webhook{}, booking.Reject(booking.WebhookAbsent)
	}
	if err != nil {
		return events.Webhook{}, interpretError(err)
	}
	webhooks, err := s.withWaiting(ctx, []db.Webhook{found})
	if err != nil {
		return events.Webhook{}, err
	}
	return webhooks[0], nil
}

// Webhooks implements events.WebhookStore.
func (s *Store) Webhooks(ctx context.Context, client uuid.UUID, most int) ([]events.Webhook, error) {
	found, err := db.New(s.pool).WebhookList(ctx, client, int32(most))
	if err != nil {
		return nil, interpretError(err)
	}
	return s.withWaiting(ctx, found)
}

// withWaiting returns webhooks with the number of their events that wait.
func (s *Store) withWaiting(ctx context.Context, found []db.Webhook) ([]events.Webhook, error) {
	guids := make([]uuid.UUID, len(found))
	for i := range found {
		guids[i] = found[i].Guid
	}
	var waiting map[uuid.UUID]db.WebhookWaitingRow
	var err error
	db.New(s.pool).WebhookWaiting(ctx, [][]uuid.UUID{guids}).Query(
		func(_ int, rows []db.WebhookWaitingRow, rowsErr error) { waiting, err = byWebhook(rows), rowsErr })
	webhooks := make([]events.Webhook, len(found))
	for i := range found {
		webhooks[i] = storedWebhook(&found[i], waiting[found[i].Guid].Waiting)
	}
	return webhooks, interpretError(err)
}

// byWebhook returns the waiting events of webhooks by their guids.
func byWebhook(found []db.WebhookWaitingRow) map[uuid.UUID]db.WebhookWaitingRow {
	waiting := make(map[uuid.UUID]db.WebhookWaitingRow, len(found))
	for _, row := range found {
		waiting[row.WebhookGuid] = row
	}
	return waiting
}

// deleteAtOnce bounds the attempts that one transaction deletes with a webhook.
const deleteAtOnce = 10_000

// DeleteWebhook implements events.WebhookStore. A log of a week can have a million attempts, so it
// is deleted before, in steps. If the time of the request ends, a repetition goes on.
func (s *Store) DeleteWebhook(ctx context.Context, client, guid uuid.UUID) error {
	_, err := db.New(s.pool).WebhookGet(ctx, guid, client)
	if err != nil {
		return interpretError(ignoreAbsent(err))
	}
	for deleted := int64(deleteAtOnce); deleted == deleteAtOnce; {
		if deleted, err = db.New(s.pool).WebhookAttemptsShorten(ctx, guid, deleteAtOnce); err != nil {
			return interpretError(err)
		}
	}
	return s.changeWebhook(ctx, guid, func(t *tx, stored *db.Webhook) error {
		if stored == nil || stored.ClientGuid != client {
			return nil
		}
		webhook := []uuid.UUID{guid}
		exec(t, t.WebhookDelete(ctx, webhook).Exec)
		exec(t, t.WebhookKeysDelete(ctx, webhook).Exec)
		exec(t, t.WebhookRetriesDelete(ctx, webhook).Exec)
		exec(t, t.WebhookAttemptsDelete(ctx, webhook).Exec)
		return nil
	})
}

// WebhookKeys implements events.WebhookStore.
func (s *Store) WebhookKeys(
	ctx context.Context, client, guid uuid.UUID, now time.Time, most int,
) ([]events.WebhookKey, error) {
	if _, err := s.Webhook(ctx, client, guid); err != nil {
		return nil, err
	}
	return s.signingKeys(ctx, guid, now, most)
}

// signingKeys returns at most the given number of keys of a webhook that sign at a time, the newest
// first.
func (s *Store) signingKeys(
	ctx context.Context, webhook uuid.UUID, now time.Time, most int,
) ([]events.WebhookKey, error) {
	found, err := db.New(s.pool).WebhookKeyList(ctx, webhook, now, int32(most))
	keys := make([]events.WebhookKey, len(found))
	for i := range found {
		keys[i] = events.WebhookKey{
			SigningKey: events.SigningKey{Secret: found[i].Secret, Private: ed25519.NewKeyFromSeed(found[i].Seed)},
			CreatedAt:  found[i].CreatedAt, ExpiresAt: found[i].ExpiresAt,
		}
	}
	return keys, interpretError(err)
}

// AddWebhookKey implements events.WebhookStore.
func (s *Store) AddWebhookKey(
	ctx context.Context, client, guid uuid.UUID, key events.SigningKey, now, overlap time.Time, most int,
) ([]events.WebhookKey, error) {
	err := s.changeOwnWebhook(ctx, client, guid, func(t *tx) error {
		exec(t, t.WebhookKeysExpire(ctx, []db.WebhookKeysExpireParams{{WebhookGuid: guid, ExpiresAt: &overlap}}).Exec)
		t.addWebhookKey(guid, key, now)
		exec(t, t.WebhookKeysSweep(ctx, []db.WebhookKeysSweepParams{{
			WebhookGuid: guid, At: &now, Most: int32(most),
		}}).Exec)
		exec(t, t.WebhookTouch(ctx, []uuid.UUID{guid}).Exec)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.signingKeys(ctx, guid, now, most)
}

// Attempts implements events.WebhookStore.
func (s *Store) Attempts(
	ctx context.Context, client, guid uuid.UUID, failed bool, before int64, most int,
) ([]events.Attempt, error) {
	if _, err := s.Webhook(ctx, client, guid); err != nil {
		return nil, err
	}
	if before == 0 {
		before = math.MaxInt64
	}
	found, err := db.New(s.pool).WebhookAttemptList(ctx, db.WebhookAttemptListParams{
		WebhookGuid: guid, Before: before, Failed: failed, Most: int32(most),
	})
	attempts := make([]events.Attempt, len(found))
	for i := range found {
		row := &found[i]
		attempts[i] = events.Attempt{
			Number: row.Number, Event: events.Place{Position: row.Position}, Type: events.Type(row.Type),
			Attempt: int(row.Attempt), At: row.At, Outcome: events.Outcome(row.Outcome),
			HTTPStatus: int(zeroIfNil(row.HttpStatus)), Took: time.Duration(row.Milliseconds) * time.Millisecond,
		}
	}
	return attempts, interpretError(err)
}

// Redeliver implements events.WebhookStore.
func (s *Store) Redeliver(
	ctx context.Context, client, guid uuid.UUID, positions []int64, now time.Time,
) (_ events.Webhook, unknown []int64, _ error) {
	err := s.changeOwnWebhook(ctx, client, guid, func(t *tx) error {
		var known []db.WebhookAttemptEventsRow
		rows(t, t.WebhookAttemptEvents(ctx, []db.WebhookAttemptEventsParams{{
			WebhookGuid: guid, Positions: positions,
		}}).Query, func(found []db.WebhookAttemptEventsRow) error {
			known = found
			return nil
		})
		if err := t.send(); err != nil {
			return err
		}
		var again []db.WebhookRetryPutParams
		unknown = slices.Clone(positions)
		for _, event := range known {
			unknown = slices.DeleteFunc(unknown, func(position int64) bool { return position == event.Position })
			again = append(again, db.WebhookRetryPutParams{
				WebhookGuid: guid, Position: event.Position, RecordedAt: event.RecordedAt, Since: now, NextAt: now,
			})
		}
		if len(unknown) > 0 {
			t.abandoned = true
			return nil
		}
		exec(t, t.WebhookRetryPut(ctx, again).Exec)
		exec(t, t.WebhookTouch(ctx, []uuid.UUID{guid}).Exec)
		return nil
	})
	if err != nil || len(unknown) > 0 {
		return events.Webhook{}, unknown, err
	}
	webhook, err := s.Webhook(ctx, client, guid)
	return webhook, nil, err
}

// Rewind implements events.WebhookStore.
func (s *Store) Rewind(ctx context.Context, client, guid uuid.UUID, since time.Time) (events.Webhook, error) {
	err := s.changeOwnWebhook(ctx, client, guid, func(t *tx) error {
		exec(t, t.WebhookRewind(ctx, []db.WebhookRewindParams{{Guid: guid, RecordedAt: since}}).Exec)
		return nil
	})
	if err != nil {
		return events.Webhook{}, err
	}
	return s.Webhook(ctx, client, guid)
}

// SweepAttempts implements events.WebhookStore.
func (s *Store) SweepAttempts(ctx context.Context, before time.Time, most int) (int, error) {
	deleted, err := db.New(s.pool).WebhookAttemptSweep(ctx, before, int32(most))
	return int(deleted), interpretError(err)
}
