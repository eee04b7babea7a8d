package events

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// How events are sent.
const (
	// deliverEvery is the interval at which the deliverer looks for events.
	deliverEvery = 100 * time.Millisecond
	// refreshEvery is the interval at which it looks for new and changed webhooks.
	refreshEvery = time.Second
	// holdFor is how long an instance is the deliverer without prolonging it, which it does every
	// holdEvery. So another instance follows one that was killed.
	holdFor   = 10 * time.Second
	holdEvery = 2 * time.Second
	// batchSize bounds the events that are sent to a webhook before the result is stored, and
	// atOnce those that are sent at the same time.
	batchSize = 32
	atOnce    = 8
	// maxServed bounds the webhooks that are served at the same time. Each of those that do not
	// respond takes one place for as long as an attempt lasts.
	maxServed = 256
	// breakAt is the number of failures in a row after which only one event is tried at a time.
	breakAt = 5
	// maxWaiting bounds the events of a webhook that wait for being sent again. Above it no new
	// ones are taken from the feed.
	maxWaiting = 1000
	// The waits between attempts grow from firstWait to maxEventWait for an event, and to
	// maxWebhookWait for a webhook of which nothing succeeds.
	firstWait      = 5 * time.Second
	maxEventWait   = 6 * time.Hour
	maxWebhookWait = time.Hour
	// GiveUp is how long an event is tried, and a webhook of which nothing succeeds.
	GiveUp = 3 * 24 * time.Hour
	// AttemptTimeout is how long a receiver may take to respond.
	AttemptTimeout = 10 * time.Second
	// stopTimeout is how long it may take when the instance stops: most respond within it, and
	// another instance waits to become the deliverer.
	stopTimeout = time.Second
)

// httpGone is the status with which a receiver ends a webhook.
const httpGone = 410

// Sender sends an event to an address.
type Sender interface {
	// Send sends an event that the keys sign, and returns the outcome and the status of the
	// response, 0 for none. It returns an error if there is nothing that can be sent.
	Send(ctx context.Context, url string, event *Event, keys []SigningKey) (Outcome, int, error)
}

// Served is a webhook as the deliverer knows it.
type Served struct {
	Webhook

	Revision int64 // counts the changes by the client application; 0 if the rest may differ from what is stored
	Sent     Place // up to which events of the feed were sent, or wait
	Stored   Place // Sent as it is stored
	Keys     []WebhookKey
	NextDue  *time.Time // when the next waiting event is sent again; nil if none waits
}

// WaitingEvent is an event that has to be sent again.
type WaitingEvent struct {
	Event    Event
	Attempts int       // since Since
	Since    time.Time // first attempt, or request to send it again
}

// Settlement is the result of serving a webhook.
type Settlement struct {
	Served // Sent, Failures, FailingSince, NextAt and Status are written

	Attempts []Attempt
	Later    []Later // events that have to be sent again
	Done     []Done  // events that need not be sent again
	AllDue   *time.Time
}

// Done is an event that has waited since a time, and need not be sent again unless this was
// requested later.
type Done struct {
	Position int64
	Since    time.Time
}

// Later is an event that is sent again at a time, unless it was requested to be sent before.
type Later struct {
	Event    Place
	Attempts int
	Since    time.Time
	At       time.Time
}

// DeliveryStore stores what was sent.
type DeliveryStore interface {
	Store
	// SystemRights returns the rights of a client application, or nil if it does not exist or is
	// not active.
	SystemRights(ctx context.Context, client uuid.UUID) (*booking.SystemRights, error)
	// HoldDelivery makes an instance the deliverer until a time, or prolongs it. It returns false
	// if another instance is the deliverer.
	HoldDelivery(ctx context.Context, instance uuid.UUID, now, until time.Time) (bool, error)
	// ReleaseDelivery lets another instance become the deliverer.
	ReleaseDelivery(ctx context.Context, instance uuid.UUID, now time.Time) error
	// ActiveWebhooks returns the revisions of the webhooks to which events are sent.
	ActiveWebhooks(ctx context.Context) (map[uuid.UUID]int64, error)
	// ServedWebhook returns a webhook, or nil if it was deleted.
	ServedWebhook(ctx context.Context, guid uuid.UUID, now time.Time) (*Served, error)
	// WaitingEvents returns at most the given number of events that are due at a time, in the order
	// of the feed. Those that the feed does not keep any more are returned as done.
	WaitingEvents(
		ctx context.Context, webhook uuid.UUID, due time.Time, most int,
	) ([]WaitingEvent, []Done, error)
	// IsWebhookPlace reports whether a webhook can go on at a place: the feed has an event there,
	// or it is the one that is stored for the webhook.
	IsWebhookPlace(ctx context.Context, webhook uuid.UUID, place Place) (bool, error)
	// Settle writes results, and sets Waiting and NextDue of each. With AllDue all events that wait
	// are due at that time. Of a webhook that was changed meanwhile only the place is written, and
	// of one that was deleted nothing. The place is not written, and Revision set to 0, if Stored
	// is not what is stored, or the feed has no event at Sent.
	Settle(ctx context.Context, results []*Settlement) error
}

// Deliverer sends events to webhooks. One instance of the service does it at a time, so that it can
// keep in memory what each webhook waits for. If two do, because one was late to notice the other,
// events are sent twice.
type Deliverer struct {
	store    DeliveryStore
	sender   Sender
	now      func() time.Time
	instance uuid.UUID

	// Of the goroutine of Run.
	webhooks  map[uuid.UUID]*courier
	ended     chan ended
	results   chan settling
	running   int
	heldUntil time.Time // by the machine's clock, as are the next two
	holdAt    time.Time
	refreshAt time.Time
	seen      *Place // up to which it has looked for events
}

// courier is a webhook that is served. While it is busy, Served is its goroutine's, and otherwise
// that of Run, as the rest always is.
type courier struct {
	Served

	busy    bool
	stale   bool      // it has to be read again when it is not busy any more
	fresh   *Page     // the events after Sent, if they were read already
	news    bool      // there may be events after Sent that were not read
	resting time.Time // when it is read again after an error of the database, by the machine's clock
}

// settling is a result that waits for being stored.
type settling struct {
	result *Settlement
	done   chan<- error
}

// ended tells that a courier is not busy any more.
type ended struct {
	courier *courier
	more    bool // there may be more events already
	failed  bool // an error of the database
}

// NewDeliverer returns a deliverer of the events in store.
func NewDeliverer(store DeliveryStore, sender Sender, now func() time.Time) *Deliverer {
	return &Deliverer{
		store: store, sender: sender, now: now, instance: uuid.New(),
		webhooks: map[uuid.UUID]*courier{}, ended: make(chan ended, maxServed), results: make(chan settling, maxServed),
	}
}

// Run sends events until ctx is done. Then it waits a second for the attempts that run. The events
// of those that it gives up are sent again by the next deliverer.
func (d *Deliverer) Run(ctx context.Context, log *slog.Logger) {
	var settled sync.WaitGroup
	settled.Go(func() { d.settle(context.WithoutCancel(ctx)) })
	var outage booking.Outage
	for ctx.Err() == nil {
		pause := deliverEvery
		switch err := d.step(ctx, log); {
		case err == nil:
			outage.Succeeded(log, "events can be sent again")
		case ctx.Err() == nil:
			outage.Failed(log, "send events", err)
			pause = recordAgain
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	for ; d.running > 0; d.running-- {
		<-d.ended
	}
	close(d.results)
	settled.Wait()
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseTimeout)
	defer cancel()
	if err := d.store.ReleaseDelivery(release, d.instance, time.Now()); err != nil {
		log.Warn("let another instance send events", "error", err)
	}
}

// step starts to serve the webhooks for which there is something to do.
func (d *Deliverer) step(ctx context.Context, log *slog.Logger) error {
	d.collect()
	limited, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	if err := d.hold(limited); err != nil {
		return err
	}
	if !time.Now().Before(d.heldUntil) {
		return nil // another instance serves them
	}
	news, err := d.look(limited)
	if err != nil {
		return err
	}
	// After the news are read, so that nothing that happened after a change is sent as before it.
	if news || !time.Now().Before(d.refreshAt) {
		if err := d.refresh(limited); err != nil {
			return err
		}
	}
	now := d.now()
	for _, c := range d.webhooks {
		if d.running == maxServed || !c.due(now) {
			continue
		}
		rights, err := d.rights(limited, &c.Served)
		if err != nil {
			return err
		}
		if none(rights) {
			continue // its events wait until its client application may read them again
		}
		d.start(ctx, c, rights, log)
	}
	return nil
}

// forget lets all webhooks be read again, those that are busy when they have ended.
func (d *Deliverer) forget() {
	for guid, c := range d.webhooks {
		if c.stale = true; !c.busy {
			delete(d.webhooks, guid)
		}
	}
	d.seen, d.refreshAt = nil, time.Time{}
}

// collect takes note of the webhooks that were served.
func (d *Deliverer) collect() {
	for {
		select {
		case end := <-d.ended:
			c := end.courier
			c.busy = false
			d.running--
			if end.more || end.failed {
				c.news = true
			}
			if end.failed {
				c.resting = time.Now().Add(recordAgain)
			}
			if end.failed || c.stale {
				c.Revision = 0
			}
		default:
			return
		}
	}
}

// hold becomes the deliverer, or stays it. If it was not for a while, another instance may have
// been.
func (d *Deliverer) hold(ctx context.Context) error {
	now := time.Now()
	if !now.Before(d.heldUntil) {
		d.forget()
	}
	if now.Before(d.holdAt) {
		return nil
	}
	held, err := d.store.HoldDelivery(ctx, d.instance, now, now.Add(holdFor))
	if err != nil {
		return fmt.Errorf("become the deliverer: %w", err)
	}
	d.holdAt, d.heldUntil = now.Add(holdEvery), time.Time{}
	if held {
		d.heldUntil = now.Add(holdFor)
	}
	return nil
}

// refresh reads the webhooks that are new or were changed, and forgets those that are gone.
func (d *Deliverer) refresh(ctx context.Context) error {
	active, err := d.store.ActiveWebhooks(ctx)
	if err != nil {
		return fmt.Errorf("read the webhooks: %w", err)
	}
	for guid := range d.webhooks {
		if _, ok := active[guid]; !ok {
			delete(d.webhooks, guid)
		}
	}
	for guid, revision := range active {
		if known := d.webhooks[guid]; known != nil &&
			(known.busy || known.Revision == revision || time.Now().Before(known.resting)) {
			continue
		}
		found, err := d.store.ServedWebhook(ctx, guid, d.now())
		if err != nil {
			return fmt.Errorf("read a webhook: %w", err)
		}
		if found != nil {
			d.webhooks[guid] = &courier{Served: *found, news: true}
		}
	}
	d.refreshAt = time.Now().Add(refreshEvery)
	return nil
}

// look reads the new events, once for all webhooks, and reports whether there are any.
func (d *Deliverer) look(ctx context.Context) (bool, error) {
	ends, err := d.store.Ends(ctx)
	if err != nil {
		return false, fmt.Errorf("read the end of the feed: %w", err)
	}
	switch {
	case d.seen != nil && d.seen.equal(ends.Last):
		return false, nil
	case d.seen == nil || len(d.webhooks) == 0:
		d.seen = &ends.Last
		return true, nil
	}
	found, err := d.store.Events(ctx, booking.SystemRights{EveryLpu: true}, *d.seen, maxNews)
	if err != nil {
		return false, fmt.Errorf("read the news: %w", err)
	}
	// After the news are read: a lost place never comes back, so that they followed it.
	known, err := isKnown(ctx, d.store, *d.seen, ends)
	if err != nil {
		return false, err
	}
	if !known { // the database has lost events that were seen
		d.forget()
		d.seen = &ends.Last
		return true, nil
	}
	news := newPage(found, *d.seen, ends.Last, maxNews)
	for _, c := range d.webhooks {
		if err := d.share(ctx, c, &news); err != nil {
			return false, err
		}
	}
	d.seen = &news.Next
	return true, nil
}

// share gives a webhook its part of the news, if it was up to date. Otherwise it has to read the
// feed.
func (d *Deliverer) share(ctx context.Context, c *courier, news *Page) error {
	readsFeed := news.More || c.busy || c.news || c.fresh != nil
	var after []Event
	if !readsFeed {
		var upToDate bool
		after, upToDate = eventsAfter(news.Events, *d.seen, c.Sent)
		readsFeed = !upToDate
	}
	if readsFeed {
		c.news, c.fresh = true, nil
		return nil
	}
	rights, err := d.rights(ctx, &c.Served)
	if err != nil {
		return err
	}
	if none(rights) {
		c.news = true
		return nil
	}
	own := Page{Next: news.Next}
	for i := range after {
		if c.sends(&after[i], rights) {
			own.Events = append(own.Events, after[i])
		}
	}
	if len(own.Events) > 0 || own.Next.RecordedAt.Sub(c.Stored.RecordedAt) >= storeEvery {
		c.fresh = &own
	} else {
		c.Sent = own.Next
	}
	return nil
}

// eventsAfter returns which of the events, the next ones after begin, are after a place. It returns
// false if the place is neither begin nor that of one of them.
func eventsAfter(events []Event, begin, place Place) ([]Event, bool) {
	if place.equal(begin) {
		return events, true
	}
	at := slices.IndexFunc(events, func(e Event) bool { return e.equal(place) })
	return events[at+1:], at >= 0
}

// rights returns the institutions of whose events a webhook gets. They have no institution if its
// client application may not read events any more.
func (d *Deliverer) rights(ctx context.Context, w *Served) (booking.SystemRights, error) {
	known, err := d.store.SystemRights(ctx, w.Client)
	switch {
	case err != nil:
		return booking.SystemRights{}, fmt.Errorf("read the rights of a webhook's client application: %w", err)
	case known == nil || !slices.Contains(known.Scopes, booking.ScopeEventsRead):
		return booking.SystemRights{}, nil
	case w.Lpu == nil:
		return booking.SystemRights{Lpus: known.Lpus, EveryLpu: known.EveryLpu}, nil
	case reads(*known, *w.Lpu):
		return booking.SystemRights{Lpus: []uuid.UUID{*w.Lpu}}, nil
	default:
		return booking.SystemRights{}, nil
	}
}

// none reports whether rights are those for no institution.
func none(rights booking.SystemRights) bool { return !rights.EveryLpu && len(rights.Lpus) == 0 }

// due reports whether there is something to send.
func (c *courier) due(now time.Time) bool {
	switch {
	case c.busy, c.Revision == 0, c.Status != WebhookActive, c.NextAt != nil && now.Before(*c.NextAt):
		return false
	default:
		return c.news || c.fresh != nil || c.NextAt != nil || c.NextDue != nil && !now.Before(*c.NextDue)
	}
}

// start serves a webhook in a goroutine.
func (d *Deliverer) start(ctx context.Context, c *courier, rights booking.SystemRights, log *slog.Logger) {
	fresh := c.fresh
	c.busy, c.news, c.fresh = true, false, nil
	d.running++
	go func() {
		end := ended{courier: c, more: true}
		until := time.Now().Add(refreshEvery) // then it may have to be read again
		var err error
		for end.more && err == nil && ctx.Err() == nil && time.Now().Before(until) {
			end.more, err = d.serve(ctx, &c.Served, rights, fresh)
			fresh = nil
		}
		if end.failed = err != nil; end.failed && ctx.Err() == nil {
			log.Log(ctx, booking.OutageLevel(err), "send events to a webhook", "webhook", c.Guid, "error", err)
		}
		d.ended <- end
	}()
}

// settle stores results until there are no more: together those that have come while it stored the
// ones before.
func (d *Deliverer) settle(ctx context.Context) {
	for first := range d.results {
		waiting := []settling{first}
		for len(waiting) < maxServed && len(d.results) > 0 {
			waiting = append(waiting, <-d.results)
		}
		results := make([]*Settlement, len(waiting))
		for i := range waiting {
			results[i] = waiting[i].result
		}
		limited, cancel := context.WithTimeout(ctx, databaseTimeout)
		err := d.store.Settle(limited, results)
		cancel()
		for i := range waiting {
			waiting[i].done <- err
		}
	}
}

// wait returns how long to wait after a number of failures: firstWait, doubled after each, at most
// most, and up to a fifth more or less, so that receivers do not get everything at once.
func wait(failures int, most time.Duration) time.Duration {
	doubled := most
	if failures < 16 { //nolint:mnd // firstWait doubled so often is more than any most
		doubled = min(most, firstWait<<max(0, failures))
	}
	return time.Duration(float64(doubled) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // no secret
}
