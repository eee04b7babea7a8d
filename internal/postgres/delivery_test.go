package postgres

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/events"
	"talon.example/internal/testdb"
)

// delivery is a webhook of an institution with its receiver, and a clock. It is the events.Sender
// of its deliverers.
type delivery struct {
	*world

	webhook events.Webhook
	store   *Store

	mu      sync.Mutex
	now     time.Time
	respond func(*events.Event) events.Outcome // nil: delivered
	hangs   bool                               // the receiver does not respond
	got     []int64                            // sequences of the events that were sent, with whatever outcome
	urls    []string                           // to which
}

func newDelivery(t *testing.T) *delivery {
	t.Helper()
	w := newWorld(t)
	d := &delivery{world: w, now: moment}
	d.webhook = events.Webhook{
		Guid: uuid.New(), Client: w.patient.Client, URL: "https://clinic.example/", Status: events.WebhookActive,
	}
	w.exec(`UPDATE client_application SET scopes = '{events:read}', every_lpu = true`)
	d.store = w.store()
	d.put()
	return d
}

// put writes the webhook.
func (d *delivery) put() {
	d.t.Helper()
	key, err := events.NewSigningKey()
	require.NoError(d.t, err)
	_, err = d.store.PutWebhook(d.t.Context(), d.webhook, key, d.clock(), events.MaxWebhooks)
	require.NoError(d.t, err)
}

// deliver runs a deliverer until stop is called, or the test ends. stop waits for its end.
func (d *delivery) deliver(store events.DeliveryStore) (stop func()) {
	ctx, cancel := context.WithCancel(d.t.Context())
	var running sync.WaitGroup
	running.Go(func() { events.NewDeliverer(store, d, d.clock).Run(ctx, slog.New(slog.DiscardHandler)) })
	stop = func() {
		cancel()
		running.Wait()
	}
	d.t.Cleanup(stop)
	return stop
}

// Send implements events.Sender.
func (d *delivery) Send(
	ctx context.Context, url string, event *events.Event, _ []events.SigningKey,
) (events.Outcome, int, error) {
	d.mu.Lock()
	d.got, d.urls = append(d.got, event.Sequence), append(d.urls, url)
	respond, hangs := d.respond, d.hangs
	d.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return events.Unreachable, 0, nil
	}
	if respond == nil {
		return events.Delivered, 200, nil
	}
	return respond(event), 0, nil
}

func (d *delivery) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *delivery) advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

// respondAs decides the outcomes from now on.
func (d *delivery) respondAs(respond func(*events.Event) events.Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.respond = respond
}

// happen records events of different visits, or those that wait already.
func (d *delivery) happen(count int) {
	d.t.Helper()
	for range count {
		d.exec(addEvent, d.to, d.clock(), uuid.New(), 1)
	}
	_, err := d.store.Record(d.t.Context(), d.clock(), max(count, 1))
	require.NoError(d.t, err)
}

// sent returns the sequences of the events that were sent, in order.
func (d *delivery) sent() []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(slices.Values(d.got))
}

// waitFor waits until exactly these events were sent.
func (d *delivery) waitFor(sequences ...int64) {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		return slices.Equal(sequences, d.sent())
	}, time.Minute, 5*time.Millisecond, "not %v", sequences)
}

// waitUntil waits until the stored webhook is as ready says.
func (d *delivery) waitUntil(ready func(*events.Webhook) bool) {
	d.t.Helper()
	var stored events.Webhook
	require.Eventually(d.t, func() bool {
		var err error
		stored, err = d.store.Webhook(d.t.Context(), d.webhook.Client, d.webhook.Guid)
		return err == nil && ready(&stored)
	}, time.Minute, 5*time.Millisecond, "%+v", &stored)
}

func failAll(*events.Event) events.Outcome { return events.Rejected }

// Promise: what has happened while a receiver failed is sent when it is back, also if only one
// event was waiting and nothing else happens.
func TestReceiverIsBack(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.respondAs(failAll)
	d.deliver(d.store)
	d.happen(1)
	for failures := 1; failures <= 5; failures++ {
		d.waitUntil(func(w *events.Webhook) bool { return w.Failures == failures })
		d.advance(2 * time.Minute)
	}
	d.waitUntil(func(w *events.Webhook) bool { return w.Failures == 6 && w.Waiting == 1 })
	d.happen(2)
	d.respondAs(nil)
	d.advance(2 * time.Minute)
	d.waitFor(1, 1, 1, 1, 1, 1, 1, 2, 3)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 0 && w.Failures == 0 })
}

// Promise: an event that fails for three days is given up, while others are delivered.
func TestEventIsGivenUp(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.respondAs(func(e *events.Event) events.Outcome {
		if e.Sequence == 1 {
			return events.Rejected
		}
		return events.Delivered
	})
	d.deliver(d.store)
	d.happen(1)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 1 })
	d.happen(1)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 1 && w.Failures == 0 })
	d.advance(events.GiveUp - time.Minute)
	d.waitFor(1, 1, 2)
	d.waitUntil(func(w *events.Webhook) bool { return w.Failures == 1 })
	d.happen(1)
	d.waitUntil(func(w *events.Webhook) bool { return w.Failures == 0 })
	d.advance(8 * time.Hour)
	d.waitFor(1, 1, 1, 2, 3)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 0 && w.Status == events.WebhookActive })
}

// manyWaiting is the number of waiting events from which on no new ones are sent.
const manyWaiting = 1000

// Promise: while too many events wait, no new ones are taken from the feed. They are sent when
// fewer wait, also if nothing else happens.
func TestManyEventsWait(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.happen(manyWaiting + 11)
	d.exec(`INSERT INTO webhook_retry SELECT $1, position, recorded_at, 1, $2, $2::timestamptz + interval '1 hour' * sequence
		FROM event WHERE sequence <= $3`, d.webhook.Guid, moment, manyWaiting+10)
	d.exec(`UPDATE webhook SET position = e.position, recorded_at = e.recorded_at FROM event e WHERE e.sequence = $1`,
		manyWaiting+10)
	d.advance(10 * time.Hour)
	d.deliver(d.store)
	d.waitFor(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == manyWaiting })
	d.advance(time.Hour)
	d.waitFor(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, manyWaiting+11)
}

// Promise: events that wait, but that the feed does not keep any more, do not keep others waiting,
// whether or not their receiver has failed before.
func TestWaitingEventsAreDropped(t *testing.T) {
	t.Parallel()
	for failures, waiting := range map[int]int{0: manyWaiting + 10, 6: 10} {
		d := newDelivery(t)
		d.exec(`INSERT INTO webhook_retry SELECT $1, -n, '2019-01-01Z', 1, $2, $2 FROM generate_series(1, $3) n`,
			d.webhook.Guid, moment, waiting)
		d.exec(`UPDATE webhook SET failures = $1, failing_since = $2, next_at = $2`, failures, moment)
		d.happen(1)
		d.deliver(d.store)
		d.waitFor(1)
		d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 0 && w.Failures == 0 })
	}
}

// Promise: events are sent also if the database was restored from a backup, so that the feed ended
// before events that were sent already.
func TestFeedIsRestored(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.deliver(d.store)
	d.happen(3)
	d.waitFor(1, 2, 3)
	d.waitForPlace(3)
	d.exec(restoreFeed)
	d.advance(time.Minute)
	d.happen(1)
	d.waitFor(1, 2, 2, 3)
}

// Promise: no event is skipped if the database was restored, or has failed over and lost commits,
// and the clock of who records events then is behind. New events then have places before those that
// were sent already. This holds also for a webhook that is served meanwhile.
func TestFeedIsRestoredAndClockIsBehind(t *testing.T) {
	t.Parallel()
	for _, serving := range []bool{false, true} {
		d := newDelivery(t)
		store := &gated{Store: d.store}
		d.deliver(store)
		d.happen(1)
		d.waitFor(1)
		d.waitForPlace(1)
		served := make(chan struct{})
		if serving {
			d.respondAs(func(*events.Event) events.Outcome {
				<-served
				return events.Delivered
			})
		}
		d.advance(10 * time.Second)
		d.happen(1)
		d.waitFor(1, 2)
		if !serving {
			d.waitForPlace(2)
		}
		store.Lock()
		d.respondAs(nil)
		d.exec(restoreFeed)
		d.exec(`UPDATE webhook w SET recorded_at = r.recorded_at, position = r.position FROM event_recorder r`)
		d.advance(-5 * time.Second)
		d.happen(1) // before the place that was seen
		d.advance(10 * time.Second)
		d.happen(1) // after it
		store.Unlock()
		close(served)
		d.waitFor(1, 2, 2, 3)
		d.waitForPlace(3)
	}
}

// halted is a store that halts a courier that is to send events again, before it reads new ones.
type halted struct {
	*gated

	reached chan struct{} // closed when a courier has halted
	resume  chan struct{}
	once    sync.Once
}

func (h *halted) WaitingEvents(
	ctx context.Context, webhook uuid.UUID, due time.Time, most int,
) ([]events.WaitingEvent, []events.Done, error) {
	waiting, dropped, err := h.Store.WaitingEvents(ctx, webhook, due, most)
	h.once.Do(func() {
		close(h.reached)
		<-h.resume
	})
	return waiting, dropped, err
}

// Promise: the same for a webhook that is about to read the feed after a place that is not stored.
func TestFeedIsRestoredBeforeItIsRead(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.webhook.Types = []events.Type{events.AppointmentBooked}
	d.put()
	store := &halted{gated: &gated{Store: d.store}, reached: make(chan struct{}), resume: make(chan struct{})}
	d.respondAs(failAll)
	d.deliver(store)
	d.happen(1)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 1 })
	d.advance(2 * time.Second)
	d.exec(`INSERT INTO event_outbox (lpu_guid, type, at, version) VALUES ($1, 'schedule.changed', $2, 1)`, d.to, moment)
	d.happen(0)
	store.waitForLook(t)
	d.respondAs(nil)
	d.advance(8 * time.Second) // the first event is due
	<-store.reached
	d.exec(restoreFeed)
	d.advance(-9 * time.Second)
	d.happen(1) // before the place that was seen
	d.advance(10 * time.Second)
	d.happen(1) // after it
	close(store.resume)
	d.waitFor(1, 1, 2, 3)
	d.waitForPlace(3)
}

// Promise: no place is stored whose event the database has lost, and the webhook is read again.
func TestPlaceOfLostEventIsNotStored(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.happen(1)
	served, err := d.store.ServedWebhook(t.Context(), d.webhook.Guid, d.clock())
	require.NoError(t, err)
	lost := events.Settlement{Served: *served}
	lost.Sent.RecordedAt, lost.Sent.Position = moment, moment.UnixMicro()+2
	require.NoError(t, d.store.Settle(t.Context(), []*events.Settlement{&lost}))
	require.Zero(t, lost.Revision)
	found, err := d.store.ServedWebhook(t.Context(), d.webhook.Guid, d.clock())
	require.NoError(t, err)
	require.Equal(t, served, found)
}

// Promise: if the database has lost what was stored last, which a crash can do as these commits do
// not wait for the disk, the deliverer goes on from what is stored.
func TestSettlementIsLost(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.deliver(d.store)
	d.happen(1)
	d.waitForPlace(1)
	d.happen(1)
	d.waitForPlace(2)
	d.exec(`UPDATE webhook w SET recorded_at = e.recorded_at, position = e.position FROM event e WHERE e.sequence = 1`)
	d.happen(1)
	d.waitFor(1, 2, 2, 3, 3)
	d.waitForPlace(3)
}

// Promise: the same for an event that waits for being sent again.
func TestWaitingEventIsLost(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.respondAs(failAll)
	d.deliver(d.store)
	d.happen(1)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 1 })
	d.exec(`WITH lost AS (DELETE FROM webhook_retry) UPDATE webhook SET recorded_at = '1970-01-01Z', position = 0`)
	d.respondAs(nil)
	d.advance(time.Minute)
	d.waitFor(1, 1)
	d.waitForPlace(1)
}

// waitForPlace waits until the stored place of the webhook is that of an event.
func (d *delivery) waitForPlace(sequence int64) {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		return d.count(`SELECT count(*) FROM webhook JOIN event USING (recorded_at, position) WHERE sequence = $1`,
			sequence) == 1
	}, 15*time.Second, 5*time.Millisecond)
}

// Promise: a webhook that is deleted and added again at once is a new one.
func TestWebhookIsAddedAgain(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.deliver(d.store)
	d.happen(1)
	d.waitFor(1)
	require.NoError(t, d.store.DeleteWebhook(t.Context(), d.webhook.Client, d.webhook.Guid))
	d.webhook.URL = "https://new.example/"
	d.put()
	d.happen(1)
	d.waitFor(1, 2)
	require.Equal(t, []string{"https://clinic.example/", "https://new.example/"}, d.urls)
}

// lossy is a store that loses the connection after commits.
type lossy struct {
	*Store

	mu   sync.Mutex
	lose int // commits that are still lost
}

func (l *lossy) Settle(ctx context.Context, results []*events.Settlement) error {
	err := l.Store.Settle(ctx, results)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lose--; err == nil && l.lose >= 0 {
		return errors.New("lost")
	}
	return err
}

// Promise: after a commit whose outcome is unknown, the deliverer goes on from what is stored.
func TestCommitOfDeliveryIsUnknown(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.respondAs(failAll)
	d.deliver(&lossy{Store: d.store, lose: 1})
	d.happen(1)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 1 })
	d.waitFor(1)
	d.respondAs(nil)
	d.advance(time.Minute)
	d.waitFor(1, 1)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 0 })
}

// absent is a store of an instance that cannot prolong for a while that it is the deliverer.
type absent struct {
	*Store

	until time.Time
}

func (a *absent) HoldDelivery(ctx context.Context, instance uuid.UUID, now, until time.Time) (bool, error) {
	if now.After(a.until.Add(-deliveryLost)) && now.Before(a.until) {
		return false, errors.New("no connection")
	}
	return a.Store.HoldDelivery(ctx, instance, now, until)
}

// deliveryLost is a little longer than an instance is the deliverer without prolonging it.
const deliveryLost = 11 * time.Second

// Promise: an instance that has lost its place as the deliverer sends nothing within seconds. If it
// becomes the deliverer again it goes on from what is stored.
func TestAnotherInstanceWasTheDeliverer(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.deliver(d.store)
	d.happen(1)
	d.waitFor(1)
	d.exec(`UPDATE webhook_deliverer SET instance = $1, until = now() + interval '1 hour'`, uuid.New())
	happened := 1
	require.Eventually(t, func() bool {
		if len(d.sent()) < happened {
			return true // it has not sent the last one within a second
		}
		d.happen(1)
		happened++
		return false
	}, 6*time.Second, time.Second)
	d.otherDeliver()
}

// Promise: the same for an instance that has lost the database for so long that another one could
// have become the deliverer.
func TestDelivererWasAway(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.deliver(&absent{Store: d.store, until: time.Now().Add(deliveryLost + time.Second)})
	d.happen(1)
	d.waitFor(1)
	d.otherDeliver()
}

// otherDeliver does what another deliverer would that sends all events but the first, at which it
// fails, and ends. It requires that only that event is sent then.
func (d *delivery) otherDeliver() {
	d.t.Helper()
	d.exec(`UPDATE webhook SET position = e.position, recorded_at = e.recorded_at FROM event_recorder e`)
	d.exec(`INSERT INTO webhook_retry SELECT $1, position, recorded_at, 1, $2, $2 FROM event WHERE sequence = 1`,
		d.webhook.Guid, moment)
	before := d.sent()
	d.exec(`UPDATE webhook_deliverer SET until = '1970-01-01Z'`)
	d.waitFor(append([]int64{1}, before...)...)
}

// Promise: an instance that stops does not wait for a receiver that does not respond. The event is
// sent again by the next deliverer, which can follow at once, and is not counted as failed.
func TestDelivererStopsWhileReceiverHangs(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.hangs = true
	stop := d.deliver(d.store)
	d.happen(1)
	d.waitFor(1)
	began := time.Now()
	stop()
	require.Less(t, time.Since(began), events.AttemptTimeout/2)
	require.Zero(t, d.count(`SELECT count(*) FROM webhook_deliverer WHERE until > $1`, time.Now()))
	require.Zero(t, d.count(`SELECT count(*) FROM webhook_attempt`))
	d.waitUntil(func(w *events.Webhook) bool { return w.Failures == 0 && w.Waiting == 1 })
	d.hangs = false
	d.deliver(d.store)
	d.waitFor(1, 1)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 0 })
}

// Promise: an instance that stops waits for a receiver that responds in time, so that the event is
// not sent again.
func TestDelivererStopsWhileReceiverResponds(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	respond := make(chan struct{})
	d.respondAs(func(*events.Event) events.Outcome {
		<-respond
		return events.Delivered
	})
	stop := d.deliver(d.store)
	d.happen(1)
	d.waitFor(1)
	go close(respond)
	stop()
	require.Equal(t, 1, d.count(`SELECT count(*) FROM webhook_attempt WHERE outcome = 'delivered'`))
	d.waitForPlace(1)
}

// mute is a store that gets no response when a webhook is about to read the feed, once.
type mute struct {
	*Store

	hangs atomic.Bool
}

func (m *mute) IsWebhookPlace(ctx context.Context, webhook uuid.UUID, place events.Place) (bool, error) {
	if m.hangs.CompareAndSwap(true, false) {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return m.Store.IsWebhookPlace(ctx, webhook, place)
}

// Promise: a database that does not respond, because its machine is frozen or gone, holds up the
// deliverer only for seconds, whether it looks for events or reads those of a webhook.
func TestDatabaseHangsWhileEventsAreSent(t *testing.T) {
	t.Parallel()
	looking, reading := newDelivery(t), newDelivery(t)
	gate, mute := &gated{Store: looking.store}, &mute{Store: reading.store}
	gate.hangs.Store(true)
	mute.hangs.Store(true)
	looking.deliver(gate)
	reading.deliver(mute)
	for _, d := range []*delivery{looking, reading} {
		d.happen(1)
		require.Eventually(t, func() bool { return len(d.sent()) > 0 }, 30*time.Second, 5*time.Millisecond)
	}
}

// Promise: webhooks that are added at the same time do not exceed the limit.
func TestWebhooksAreLimitedTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	key, err := events.NewSigningKey()
	require.NoError(t, err)
	_, end := w.holdLocks(`LOCK TABLE webhook_key IN SHARE MODE`) // so that none of them ends
	results := make(chan error, 2)
	for range cap(results) {
		go func() {
			_, err := store.PutWebhook(t.Context(), events.Webhook{
				Guid: uuid.New(), Client: w.patient.Client, Status: events.WebhookActive,
			}, key, moment, 1)
			results <- err
		}()
	}
	require.Eventually(t, func() bool {
		return len(testdb.Blocked(t, w.db)) == cap(results)
	}, 20*time.Second, 5*time.Millisecond)
	end()
	one, other := <-results, <-results
	if one == nil {
		one, other = other, one
	}
	requireRefusal(t, one, booking.TooManyWebhooks)
	require.NoError(t, other)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM webhook`))
}

// Promise: a request to send an event again is not lost if the event is being sent at that moment.
func TestRedeliveryDuringDelivery(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.respondAs(failAll)
	d.deliver(d.store)
	d.happen(1)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 1 })
	release := make(chan struct{})
	d.respondAs(func(*events.Event) events.Outcome {
		<-release
		return events.Delivered
	})
	d.advance(time.Minute)
	d.waitFor(1, 1)
	d.advance(time.Second)
	again := []int64{int64(d.count(`SELECT position FROM event`))}
	_, unknown, err := d.store.Redeliver(t.Context(), d.webhook.Client, d.webhook.Guid, again, d.clock())
	require.NoError(t, err)
	require.Empty(t, unknown)
	close(release)
	d.waitFor(1, 1, 1)
	d.waitUntil(func(w *events.Webhook) bool { return w.Waiting == 0 })
}

// Promise: no transaction deletes more than 10,000 attempts with a webhook, however long its log.
func TestWebhookWithALongLogIsDeleted(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	const attempts = 25_000
	d.exec(`INSERT INTO webhook_attempt (webhook_guid, at, position, recorded_at, type, attempt, outcome, milliseconds)
		SELECT CASE WHEN n = 0 THEN $4 ELSE $1::uuid END, $2, n, $2, 'appointment.booked', 1, 'rejected', 1
		FROM generate_series(0, $3::integer) n`,
		d.webhook.Guid, moment, attempts, uuid.New())
	var deleted deletions
	store := d.world.store(func(config *pgxpool.Config) { addTracer(config, &deleted) })
	require.NoError(t, store.DeleteWebhook(t.Context(), uuid.New(), d.webhook.Guid))
	require.Equal(t, attempts+1, d.count(`SELECT count(*) FROM webhook_attempt`), "another client application's")
	require.NoError(t, store.DeleteWebhook(t.Context(), d.webhook.Client, d.webhook.Guid))
	require.Equal(t, 1, d.count(`SELECT count(*) FROM webhook_attempt`), "that of another webhook")
	require.Zero(t, d.count(`SELECT count(*) FROM webhook`))
	require.EqualValues(t, 10_000, deleted.most)
}

// deletions counts the rows that the transactions of a store delete, one after the other.
type deletions struct {
	batches

	rows int64 // of the current transaction
	most int64 // of a transaction
}

// TraceQueryEnd implements pgx.QueryTracer.
func (d *deletions) TraceQueryEnd(_ context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	d.add(data.CommandTag)
	if conn.PgConn().TxStatus() == 'I' { // idle, after a commit or a statement without a transaction
		d.rows = 0
	}
}

// TraceBatchQuery implements pgx.BatchTracer.
func (d *deletions) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	d.add(data.CommandTag)
}

func (d *deletions) add(tag pgconn.CommandTag) {
	if tag.Delete() {
		d.rows += tag.RowsAffected()
		d.most = max(d.most, d.rows)
	}
}

// Promise: attempts leave the log when they are too old, the oldest first, and no others.
func TestOldAttemptsLeaveTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`INSERT INTO webhook_attempt (webhook_guid, at, position, recorded_at, type, attempt, outcome, milliseconds)
		SELECT gen_random_uuid(), $1::timestamptz - n * interval '1 day', n, $1, 'appointment.booked', 1, 'delivered', 1
		FROM generate_series(0, 3) n`, moment)
	swept, err := w.store().SweepAttempts(t.Context(), moment.Add(-time.Hour), 2)
	require.NoError(t, err)
	require.Equal(t, 2, swept)
	var kept []int64
	require.NoError(t, w.db.QueryRow(t.Context(),
		`SELECT array_agg(position ORDER BY position) FROM webhook_attempt`).Scan(&kept))
	require.Equal(t, []int64{0, 1}, kept)
}
