package events

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// WebhookStatus is whether events are sent to a webhook.
type WebhookStatus string

// The statuses of a webhook.
const (
	WebhookActive WebhookStatus = "active"
	WebhookPaused WebhookStatus = "paused" // by its client application
	WebhookGone   WebhookStatus = "gone"   // the receiver wants no more events
	WebhookFailed WebhookStatus = "failed" // GiveUp without success
)

// Webhook is an address to which events are sent (подписка на события).
type Webhook struct {
	Guid   uuid.UUID
	Client uuid.UUID // the client application, whose institutions' events are sent
	URL    string
	Types  []Type     // none: all
	Lpu    *uuid.UUID // nil: all institutions of the client application
	Status WebhookStatus

	Failures     int        // failed attempts in a row
	FailingSince *time.Time // the first of them
	NextAt       *time.Time // nothing is sent before; nil: events are sent at once
	Waiting      int        // events that have to be sent again
	CreatedAt    time.Time
	UpdatedAt    time.Time // by the client application
}

// sameSettings reports whether a client application has written both alike.
func (w *Webhook) sameSettings(other *Webhook) bool {
	sameLpu := w.Lpu == other.Lpu || w.Lpu != nil && other.Lpu != nil && *w.Lpu == *other.Lpu
	return w.URL == other.URL && w.Status == other.Status && sameLpu && slices.Equal(w.Types, other.Types)
}

// Replace decides what a write does to a stored webhook. The same settings change nothing, unless
// the webhook waits after failures: then it is tried at once. Replace rejects with WebhookAbsent if
// the webhook is another client application's.
func (w *Webhook) Replace(written *Webhook) (changed bool, _ error) {
	if w.Client != written.Client {
		return false, booking.Reject(booking.WebhookAbsent)
	}
	return !w.sameSettings(written) || w.NextAt != nil, nil
}

// WebhookKey is a key of a webhook, with the time from which on it does not sign any more, nil if
// it has not been replaced.
type WebhookKey struct {
	SigningKey

	CreatedAt time.Time
	ExpiresAt *time.Time
}

// Outcome is the result of an attempt to send an event.
type Outcome string

// The outcomes.
const (
	Delivered   Outcome = "delivered"   // the receiver has responded with 2xx
	Rejected    Outcome = "rejected"    // it has responded with another status
	TimedOut    Outcome = "timeout"     // it has not responded in time
	Unreachable Outcome = "unreachable" // there is no connection, or it ended before a response
	Forbidden   Outcome = "forbidden"   // events are not sent to such addresses
)

// Attempt is an attempt to send an event, as the log has it (журнал доставки).
type Attempt struct {
	Number     int64 // orders the log; 0 before it is stored
	Event      Place
	Type       Type
	Attempt    int // from 1
	At         time.Time
	Outcome    Outcome
	HTTPStatus int // 0 for no response
	Took       time.Duration
}

// The limits of webhooks.
const (
	MaxWebhooks = 20                 // of a client application
	MaxKeys     = 3                  // that sign at the same time
	KeyOverlap  = 24 * time.Hour     // during which a replaced key still signs
	LogKept     = 7 * 24 * time.Hour // how long attempts are kept
)

// WebhookStore stores webhooks. Its methods return a *booking.Refusal with WebhookAbsent if the
// client application has no such webhook, and then change nothing.
type WebhookStore interface {
	// PutWebhook adds a webhook with a key, or changes it if Webhook.Replace says so, and returns
	// it. A changed webhook has no failures, and its waiting events are sent at once. It returns a
	// *booking.Refusal with TooManyWebhooks if there are already most.
	PutWebhook(ctx context.Context, written Webhook, key SigningKey, now time.Time, most int) (Webhook, error)
	// Webhooks returns at most the given number of webhooks of a client application, the oldest
	// first.
	Webhooks(ctx context.Context, client uuid.UUID, most int) ([]Webhook, error)
	Webhook(ctx context.Context, client, guid uuid.UUID) (Webhook, error)
	// DeleteWebhook deletes a webhook with its keys and its log. It does nothing if the client
	// application has no such webhook.
	DeleteWebhook(ctx context.Context, client, guid uuid.UUID) error
	// WebhookKeys returns at most the given number of keys that sign at a time, the newest first.
	WebhookKeys(ctx context.Context, client, guid uuid.UUID, now time.Time, most int) ([]WebhookKey, error)
	// AddWebhookKey adds a key, lets the others end at overlap unless they end before, and keeps at
	// most the given number. It returns the keys as WebhookKeys does.
	AddWebhookKey(
		ctx context.Context, client, guid uuid.UUID, key SigningKey, now, overlap time.Time, most int,
	) ([]WebhookKey, error)
	// Attempts returns at most the given number of attempts before a number, the newest first.
	Attempts(ctx context.Context, client, guid uuid.UUID, failed bool, before int64, most int) ([]Attempt, error)
	// Redeliver lets events be sent again that are in the log, and returns the webhook and which
	// of the positions are not.
	Redeliver(
		ctx context.Context, client, guid uuid.UUID, positions []int64, now time.Time,
	) (_ Webhook, unknown []int64, _ error)
	// Rewind lets all events be sent again that were recorded at a time or later, and returns the
	// webhook.
	Rewind(ctx context.Context, client, guid uuid.UUID, since time.Time) (Webhook, error)
	// SweepAttempts deletes the oldest attempts that are older than a time: up to the given number,
	// and any with the same time as the last of them. It returns how many.
	SweepAttempts(ctx context.Context, before time.Time, most int) (int, error)
}

// Webhooks contains the use cases of client applications. It is safe for concurrent use.
type Webhooks struct {
	store      WebhookStore
	acceptable func(url string) bool
	now        func() time.Time
}

// NewWebhooks returns the use cases on the store. acceptable reports whether events may be sent to
// an address, as far as can be told without resolving its name.
func NewWebhooks(store WebhookStore, acceptable func(url string) bool, now func() time.Time) *Webhooks {
	return &Webhooks{store, acceptable, now}
}

// Put adds or changes a webhook and returns it. The same webhook changes nothing. It rejects with
// WebhookAbsent if the guid is another client application's, with TooManyWebhooks, and with
// FieldInvalid if events are not sent to the address.
func (w *Webhooks) Put(ctx context.Context, written Webhook) (Webhook, error) {
	if !w.acceptable(written.URL) {
		return Webhook{}, booking.InvalidField("Url", booking.ProblemNotWebhookURL)
	}
	key, err := NewSigningKey()
	if err != nil {
		return Webhook{}, err
	}
	stored, err := w.store.PutWebhook(ctx, written, key, w.now(), MaxWebhooks)
	if err != nil {
		return Webhook{}, fmt.Errorf("write the webhook: %w", err)
	}
	return stored, nil
}

// List returns the webhooks of a client application, the oldest first.
func (w *Webhooks) List(ctx context.Context, client uuid.UUID) ([]Webhook, error) {
	found, err := w.store.Webhooks(ctx, client, MaxWebhooks)
	if err != nil {
		return nil, fmt.Errorf("list the webhooks: %w", err)
	}
	return found, nil
}

// Get returns a webhook. It rejects with WebhookAbsent.
func (w *Webhooks) Get(ctx context.Context, client, guid uuid.UUID) (Webhook, error) {
	found, err := w.store.Webhook(ctx, client, guid)
	if err != nil {
		return Webhook{}, fmt.Errorf("read the webhook: %w", err)
	}
	return found, nil
}

// Delete deletes a webhook, if the client application has it.
func (w *Webhooks) Delete(ctx context.Context, client, guid uuid.UUID) error {
	if err := w.store.DeleteWebhook(ctx, client, guid); err != nil {
		return fmt.Errorf("delete the webhook: %w", err)
	}
	return nil
}

// Keys returns the keys with which events are signed, the newest first. It rejects with
// WebhookAbsent.
func (w *Webhooks) Keys(ctx context.Context, client, guid uuid.UUID) ([]WebhookKey, error) {
	keys, err := w.store.WebhookKeys(ctx, client, guid, w.now(), MaxKeys)
	if err != nil {
		return nil, fmt.Errorf("read the keys of the webhook: %w", err)
	}
	return keys, nil
}

// ReplaceKey adds a key, and lets the one before it end after KeyOverlap. It returns the keys as
// Keys does. It rejects with WebhookAbsent.
func (w *Webhooks) ReplaceKey(ctx context.Context, client, guid uuid.UUID) ([]WebhookKey, error) {
	key, err := NewSigningKey()
	if err != nil {
		return nil, err
	}
	now := w.now()
	keys, err := w.store.AddWebhookKey(ctx, client, guid, key, now, now.Add(KeyOverlap), MaxKeys)
	if err != nil {
		return nil, fmt.Errorf("replace the key of the webhook: %w", err)
	}
	return keys, nil
}

// Attempts returns a page of the log of a webhook, the newest attempts first, and the number before
// which the next page begins, 0 if there is none. It rejects with WebhookAbsent.
func (w *Webhooks) Attempts(
	ctx context.Context, client, guid uuid.UUID, failed bool, before int64, limit int,
) ([]Attempt, int64, error) {
	found, err := w.store.Attempts(ctx, client, guid, failed, before, limit+1)
	if err != nil {
		return nil, 0, fmt.Errorf("read the log of the webhook: %w", err)
	}
	if len(found) <= limit {
		return found, 0, nil
	}
	return found[:limit], found[limit-1].Number, nil
}

// Redeliver lets events be sent again, by their positions, and returns the webhook. It rejects with
// WebhookAbsent, and with FieldInvalid for an event that is not in the log.
func (w *Webhooks) Redeliver(ctx context.Context, client, guid uuid.UUID, positions []int64) (Webhook, error) {
	webhook, unknown, err := w.store.Redeliver(ctx, client, guid, positions, w.now())
	if err != nil {
		return Webhook{}, fmt.Errorf("send events again: %w", err)
	}
	if len(unknown) > 0 {
		field := fmt.Sprintf("EventIds.%d", slices.Index(positions, unknown[0]))
		return Webhook{}, booking.InvalidField(field, booking.ProblemNotDelivered)
	}
	return webhook, nil
}

// Rewind lets all events be sent again that were recorded at a time or later, and returns the
// webhook. It rejects with WebhookAbsent, and with FieldInvalid for a time in the future or before
// the first event.
func (w *Webhooks) Rewind(ctx context.Context, client, guid uuid.UUID, since time.Time) (Webhook, error) {
	now := w.now()
	if since.After(now) || since.Before(now.Add(-Kept)) {
		return Webhook{}, booking.InvalidField("Since", booking.ProblemNotKept)
	}
	webhook, err := w.store.Rewind(ctx, client, guid, since)
	if err != nil {
		return Webhook{}, fmt.Errorf("send events again: %w", err)
	}
	return webhook, nil
}

// sweepAtOnce bounds the attempts that one sweep deletes.
const sweepAtOnce = 10_000

// Sweep deletes attempts that are older than LogKept.
func (w *Webhooks) Sweep(ctx context.Context) error {
	if _, err := w.store.SweepAttempts(ctx, w.now().Add(-LogKept), sweepAtOnce); err != nil {
		return fmt.Errorf("sweep the log of webhooks: %w", err)
	}
	return nil
}
