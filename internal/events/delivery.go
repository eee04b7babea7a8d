package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"talon.example/internal/booking"
)

// item is an event that is sent to a webhook.
type item struct {
	WaitingEvent

	again   bool // it has waited for being sent again
	sent    bool // with whatever outcome
	attempt Attempt
}

// serve sends events to a webhook: those that are due again, and new ones of the feed. fresh are
// the new ones if they were read already. serve reports whether there may be more.
func (d *Deliverer) serve(
	ctx context.Context, w *Served, rights booking.SystemRights, fresh *Page,
) (more bool, _ error) {
	broken := w.Failures >= breakAt
	result := Settlement{Served: *w}
	limited, cancel := context.WithTimeout(ctx, databaseTimeout)
	items, more, err := d.choose(limited, &result, rights, fresh)
	cancel()
	if errors.Is(err, errOutdated) {
		w.Revision = 0
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := d.send(ctx, &result, items); err != nil {
		return false, err
	}
	// A quiet webhook stores its place now and then, so that the feed does not leave it behind.
	if len(items) == 0 && len(result.Done) == 0 && result.Sent.RecordedAt.Sub(w.Stored.RecordedAt) < storeEvery {
		w.Sent, w.NextAt = result.Sent, nil
		return more, nil
	}
	d.conclude(&result, items, broken)
	done := make(chan error, 1)
	d.results <- settling{&result, done}
	if err := <-done; err != nil {
		return false, fmt.Errorf("store what was sent: %w", err)
	}
	*w = result.Served
	w.Stored = w.Sent
	return more && w.NextAt == nil && w.Revision != 0, nil
}

// storeEvery is how far the stored place of a quiet webhook may be behind, in time of the feed.
const storeEvery = time.Hour

// choose returns the events to send. It moves the place in the feed, and notes those that need not
// be sent again. While nothing succeeds it returns only one. It returns errOutdated if the place or
// the events that wait are not those that are stored.
func (d *Deliverer) choose(
	ctx context.Context, result *Settlement, rights booking.SystemRights, fresh *Page,
) (items []item, more bool, err error) {
	limit, due := batchSize, d.now()
	if result.Failures >= breakAt {
		limit, due = 1, due.Add(GiveUp)
	}
	var waiting []WaitingEvent
	if result.NextDue != nil && !due.Before(*result.NextDue) {
		if waiting, result.Done, err = d.store.WaitingEvents(ctx, result.Guid, due, limit); err != nil {
			return nil, false, fmt.Errorf("read the events that wait: %w", err)
		}
		if len(waiting) == 0 && len(result.Done) == 0 {
			return nil, false, errOutdated
		}
	}
	found := len(waiting) + len(result.Done)
	for _, event := range waiting {
		// It was chosen by the types of its time, or was requested by its id.
		if reads(rights, event.Event.Lpu) {
			items = append(items, item{WaitingEvent: event, again: true})
		} else {
			result.Done = append(result.Done, Done{event.Event.Position, event.Since})
		}
	}
	if found == limit || result.Waiting >= maxWaiting {
		return items, found > 0, nil // then the feed, which was not read
	}
	page := fresh
	if page == nil || len(page.Events) > limit-found {
		if page, err = d.page(ctx, &result.Served, rights, limit-found); err != nil {
			return nil, false, err
		}
	}
	now := d.now()
	for i := range page.Events {
		if e := &page.Events[i]; result.sends(e, rights) {
			items = append(items, item{WaitingEvent: WaitingEvent{Event: *e, Since: now}})
		}
	}
	result.Sent = page.Next
	return items, page.More, nil
}

// errOutdated means that the database has lost what is known of a webhook.
var errOutdated = errors.New("the webhook has to be read again")

// page returns the next events of a webhook. Events that the feed does not keep any more are
// skipped: the receiver sees it by their sequence. It returns errOutdated if the database does not
// know the place of the webhook.
func (d *Deliverer) page(ctx context.Context, w *Served, rights booking.SystemRights, limit int) (*Page, error) {
	ends, err := d.store.Ends(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the ends of the feed: %w", err)
	}
	found, err := d.store.Events(ctx, rights, w.Sent, limit)
	if err != nil {
		return nil, fmt.Errorf("read the events: %w", err)
	}
	// After the events are read, as look does.
	known, err := d.store.IsWebhookPlace(ctx, w.Guid, w.Sent)
	if err != nil {
		return nil, fmt.Errorf("look for the place of a webhook: %w", err)
	}
	if !known {
		return nil, errOutdated
	}
	page := newPage(found, w.Sent, ends.Last, limit)
	return &page, nil
}

// sends reports whether an event is one of those that the webhook is for.
func (w *Webhook) sends(e *Event, rights booking.SystemRights) bool {
	return reads(rights, e.Lpu) && (len(w.Types) == 0 || slices.Contains(w.Types, e.Type))
}

// reads reports whether the rights hold for an institution.
func reads(rights booking.SystemRights, lpu uuid.UUID) bool {
	return rights.EveryLpu || slices.Contains(rights.Lpus, lpu)
}

// send sends the events: those of one object one after the other, others at the same time. It stops
// when too many have failed in a row, and when the receiver wants no more.
func (d *Deliverer) send(ctx context.Context, result *Settlement, items []item) error {
	var (
		mu    sync.Mutex
		first = true
		group errgroup.Group
		keys  []SigningKey
	)
	for _, key := range result.Keys {
		if key.ExpiresAt == nil || d.now().Before(*key.ExpiresAt) {
			keys = append(keys, key.SigningKey)
		}
	}
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		stop := ctx.Err() != nil || result.Status != WebhookActive || !first && result.Failures >= breakAt
		first = false
		return stop
	}
	group.SetLimit(atOnce)
	for _, events := range bySubject(items) {
		group.Go(func() error {
			for _, one := range events {
				if enough() {
					return nil
				}
				if err := d.attempt(ctx, result.URL, one, keys); err != nil {
					return err
				}
				if !one.sent {
					return nil // the instance stops
				}
				mu.Lock()
				result.count(&one.attempt)
				mu.Unlock()
			}
			return nil
		})
	}
	return group.Wait() //nolint:wrapcheck // attempt has
}

// bySubject returns the events grouped by their objects, both in the given order.
func bySubject(items []item) [][]*item {
	var groups [][]*item
	place := map[uuid.UUID]int{}
	for i := range items {
		e := &items[i].Event
		subject := e.Appointment
		if subject == uuid.Nil {
			subject = e.Direction
		}
		if subject == uuid.Nil {
			subject = e.Resource
		}
		at, known := place[subject]
		if !known {
			at = len(groups)
			place[subject] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], &items[i])
	}
	return groups
}

// attempt sends an event. If the instance stops and the receiver does not respond soon, it gives
// up, and the event counts as not sent.
func (d *Deliverer) attempt(ctx context.Context, url string, one *item, keys []SigningKey) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), AttemptTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopTimeout, cancel) })()
	at, began := d.now(), time.Now()
	outcome, status, err := d.sender.Send(limited, url, &one.Event, keys)
	if err != nil {
		return fmt.Errorf("send event %d: %w", one.Event.Position, err)
	}
	if outcome != Delivered && errors.Is(limited.Err(), context.Canceled) {
		return nil
	}
	one.sent = true
	one.attempt = Attempt{
		Event: one.Event.Place, Type: one.Event.Type, Attempt: one.Attempts + 1, At: at, Outcome: outcome,
		HTTPStatus: status, Took: time.Since(began),
	}
	return nil
}

// count takes note of the outcome of an attempt.
func (w *Webhook) count(attempt *Attempt) {
	if attempt.Outcome == Delivered {
		w.Failures, w.FailingSince = 0, nil
		return
	}
	w.Failures++
	if w.FailingSince == nil {
		w.FailingSince = &attempt.At
	}
	if attempt.HTTPStatus == httpGone {
		w.Status = WebhookGone
	}
}

// conclude decides what becomes of the events, and of the webhook. broken tells that nothing has
// succeeded before.
func (d *Deliverer) conclude(result *Settlement, items []item, broken bool) {
	now := d.now()
	for i := range items {
		one := &items[i]
		later := Later{Event: one.Event.Place, Attempts: one.Attempts, Since: one.Since, At: now}
		switch {
		case !one.sent && one.again:
			continue // it waits as before
		case !one.sent:
			result.Later = append(result.Later, later)
			continue
		case one.attempt.Outcome == Delivered, result.Failures < breakAt && !now.Before(one.Since.Add(GiveUp)):
			if one.again {
				result.Done = append(result.Done, Done{one.Event.Position, one.Since})
			}
		default:
			later.Attempts++
			later.At = now.Add(wait(one.Attempts, maxEventWait))
			result.Later = append(result.Later, later)
		}
		result.Attempts = append(result.Attempts, one.attempt)
	}
	result.NextAt = nil
	if !broken {
		result.Failures = min(result.Failures, breakAt) // several were under way
	}
	switch {
	case len(items) == 0: // nothing was tried
	case result.Failures >= breakAt:
		result.NextAt = new(now.Add(wait(result.Failures-breakAt, maxWebhookWait)))
	case broken && result.Failures == 0:
		result.AllDue = &now // the receiver is back
	}
	if result.Status == WebhookActive && result.FailingSince != nil && !now.Before(result.FailingSince.Add(GiveUp)) {
		result.Status = WebhookFailed
	}
}
