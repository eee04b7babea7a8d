package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/events"
)

var everywhere = booking.SystemRights{EveryLpu: true}

// addEvent inserts an event that waits for a place.
const addEvent = `INSERT INTO event_outbox (lpu_guid, type, at, appointment_guid, version) VALUES ($1, 'appointment.booked', $2, $3, $4)`

// Promise: an event never appears before a place that was already read, even if its transaction
// began first and ended last.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	late, err := w.db.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = late.Rollback(t.Context()) }()
	slow, fast := uuid.New(), uuid.New()
	_, err = late.Exec(t.Context(), addEvent, w.to, moment, slow, 1)
	require.NoError(t, err)
	w.exec(addEvent, w.to, moment, fast, 1)

	recorded, err := store.Record(t.Context(), moment, 10)
	require.NoError(t, err)
	require.Equal(t, 1, recorded, "the late one is not visible")
	first, err := store.Events(t.Context(), everywhere, events.Place{}, 10)
	require.NoError(t, err)
	require.Len(t, first, 1)
	require.Equal(t, fast, first[0].Appointment)

	require.NoError(t, late.Commit(t.Context()))
	recorded, err = store.Record(t.Context(), moment.Add(-time.Hour), 10) // by an instance whose clock is behind
	require.NoError(t, err)
	require.Equal(t, 1, recorded)
	second, err := store.Events(t.Context(), everywhere, first[0].Place, 10)
	require.NoError(t, err)
	require.Len(t, second, 1)
	require.Equal(t, slow, second[0].Appointment)
	require.Equal(t, first[0].Position+1, second[0].Position)
	require.EqualValues(t, 2, second[0].Sequence)
	require.True(t, second[0].RecordedAt.Equal(first[0].RecordedAt))
}

// Promise: a recorder that finds the partition of a day waits for the transaction that creates it.
// Until that has ended on all nodes of a distributed database, the partition may accept no events.
func TestEventPartitionsAreAwaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	w.exec(`SELECT event_partitions($1, 30)`, moment)
	w.exec(addEvent, w.to, moment, uuid.New(), 1)
	err := w.whileBlocked(func() error {
		_, err := store.Record(t.Context(), moment, 10)
		return err
	}, `LOCK TABLE event IN SHARE UPDATE EXCLUSIVE MODE`, func(creator pgx.Tx, _ int) { // as ATTACH PARTITION does
		require.NoError(t, creator.Commit(t.Context()))
	})
	require.NoError(t, err)
}

// Promise: readers that follow the feed while many transactions write and several instances record
// get every event once, those of an institution without gaps and those of a visit in the order of
// its changes.
func TestReadersFollowConcurrentWriters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	const writers, changes, recorders = 6, 40, 3
	lpus := []uuid.UUID{w.from, w.to}

	var writing, recording sync.WaitGroup
	for n := range writers {
		visit := uuid.New()
		writing.Go(func() {
			for version := range changes {
				_, err := w.db.Exec(t.Context(), addEvent, lpus[n%2], moment, visit, version+1)
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{}) // closed when all events have a place
	for range recorders {
		recording.Go(func() {
			for {
				if _, err := store.Record(t.Context(), moment, 7); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	// read follows the feed until it has read an empty page although all events had a place.
	read := func(rights booking.SystemRights) (all []events.Event) {
		var after events.Place
		for {
			var complete bool
			select {
			case <-done:
				complete = true
			default:
			}
			found, err := store.Events(t.Context(), rights, after, 5)
			if err != nil {
				t.Error(err)
				return all
			}
			if len(found) == 0 && complete {
				return all
			}
			if len(found) > 0 {
				after = found[len(found)-1].Place
				all = append(all, found...)
			}
		}
	}
	var readers sync.WaitGroup
	results := make([][]events.Event, 3)
	for i, rights := range []booking.SystemRights{everywhere, {Lpus: lpus}, {Lpus: lpus[:1]}} {
		readers.Go(func() { results[i] = read(rights) })
	}
	writing.Wait()
	for w.count("SELECT count(*) FROM event_outbox") > 0 && !t.Failed() {
		_, err := store.Record(t.Context(), moment, 100)
		require.NoError(t, err)
	}
	close(done)
	recording.Wait()
	readers.Wait()

	require.Len(t, results[0], writers*changes)
	require.Equal(t, results[0], results[1])
	require.Len(t, results[2], writers*changes/2)
	for _, list := range results {
		sequences, versions := map[uuid.UUID]int64{}, map[uuid.UUID]int64{}
		for _, e := range list {
			sequences[e.Lpu]++
			require.Equal(t, sequences[e.Lpu], e.Sequence)
			versions[e.Appointment]++
			require.Equal(t, versions[e.Appointment], e.Version, "the changes of a visit are in order")
		}
	}
}

// Promise: events are kept for 30 days, in partitions of a day. Who asks for older ones learns that
// they are gone, and never misses one without being told.
func TestOldEventsAreDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	now := moment
	feed := events.NewFeed(store, func() time.Time { return now })
	for day := range 33 {
		now = moment.AddDate(0, 0, day)
		w.exec(addEvent, w.to, now, uuid.New(), 1)
		_, err := store.Record(t.Context(), now, 10)
		require.NoError(t, err)
	}
	require.Equal(t, 31+2, w.count(`SELECT count(*) FROM pg_inherits WHERE inhparent = 'event'::regclass`),
		"today, 30 days before and two after")
	page, err := feed.Read(t.Context(), events.Request{Rights: everywhere, Limit: 100})
	require.NoError(t, err)
	require.Len(t, page.Events, 31)
	require.EqualValues(t, 3, page.Events[0].Sequence)

	first := page.Events[0].Place
	page, err = feed.Read(t.Context(), events.Request{Rights: everywhere, Limit: 100, After: &first})
	require.NoError(t, err)
	require.Len(t, page.Events, 30)
	dropped := int64(w.count(`SELECT dropped FROM event_recorder`))
	for _, position := range []int64{0, dropped - 1, dropped + 1, first.Position + 1, math.MaxInt64} {
		after := events.Place{RecordedAt: first.RecordedAt, Position: position}
		_, err = feed.Read(t.Context(), events.Request{Rights: everywhere, Limit: 100, After: &after})
		requireRefusal(t, err, booking.EventsExpired)
	}
	after := events.Place{RecordedAt: moment.AddDate(0, 0, 1), Position: dropped}
	page, err = feed.Read(t.Context(), events.Request{Rights: everywhere, Limit: 1, After: &after})
	require.NoError(t, err, "the event after it is kept")
	require.Equal(t, first, page.Events[0].Place)
}

// restoreFeed does to a feed of one institution what
// the restore of a backup does that was made after its first event.
const restoreFeed = `WITH lost AS (DELETE FROM event WHERE sequence > 1), kept AS (UPDATE event_sequence SET sequence = 1)
	UPDATE event_recorder r SET position = e.position, recorded_at = e.recorded_at FROM event e WHERE e.sequence = 1`

// Promise: a database that was restored from a backup gives no number of an event again. A reader
// that has read events that are lost is told so, at any time. Others go on.
func TestReaderOfLostEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	feed := events.NewFeed(store, func() time.Time { return moment })
	now := moment
	happen := func() {
		now = now.Add(time.Second)
		w.exec(addEvent, w.to, now, uuid.New(), 1)
		_, err := store.Record(t.Context(), now, 10)
		require.NoError(t, err)
	}
	read := func(after *events.Place) (events.Page, error) {
		return feed.Read(t.Context(), events.Request{Rights: everywhere, Limit: 10, After: after})
	}
	for range 3 {
		happen()
	}
	before, err := read(nil)
	require.NoError(t, err)
	require.Len(t, before.Events, 3)
	kept, lost := before.Events[0].Place, before.Events[1:]

	w.exec(restoreFeed)
	for range 4 {
		for _, e := range lost {
			_, err := read(&e.Place)
			requireRefusal(t, err, booking.EventsExpired)
		}
		page, err := read(&kept)
		require.NoError(t, err)
		for _, e := range page.Events {
			require.Greater(t, e.Position, before.Next.Position, "the number of a lost event is given again")
		}
		happen()
	}
}

// gated is a store whose feed cannot be read while it is locked.
type gated struct {
	*Store

	sync.RWMutex

	looks atomic.Int64 // at the end of the feed
	hangs atomic.Bool  // the next look gets no response
}

func (g *gated) Ends(ctx context.Context) (events.Ends, error) {
	g.RLock()
	defer g.RUnlock()
	g.looks.Add(1)
	if g.hangs.CompareAndSwap(true, false) {
		<-ctx.Done()
		return events.Ends{}, ctx.Err()
	}
	return g.Store.Ends(ctx)
}

// waitForLook waits until the one who looks for events has done so again, even if a reader that
// began meanwhile looks as well, and once more when it is woken.
func (g *gated) waitForLook(t *testing.T) {
	t.Helper()
	looks := g.looks.Load()
	require.Eventually(t, func() bool { return g.looks.Load() >= looks+5 }, 15*time.Second, 5*time.Millisecond)
}

// Promise: a reader that waits is woken also by an event whose place is before those of events that
// were seen, and that the database has lost: it was restored, and the clock is behind. If the place
// that it has asked for is not lost, it goes on there.
func TestReaderWaitsWhileFeedIsRestored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &gated{Store: w.store()}
	for i := range 2 {
		w.exec(addEvent, w.to, moment, uuid.New(), 1)
		_, err := store.Record(t.Context(), moment.Add(time.Duration(i)*10*time.Second), 10)
		require.NoError(t, err)
	}
	first, err := store.Events(t.Context(), everywhere, events.Place{}, 1)
	require.NoError(t, err)
	feed := events.NewFeed(store, func() time.Time { return moment.Add(5 * time.Second) })
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { feed.Run(ctx, slog.New(slog.DiscardHandler)) })
	defer running.Wait()
	defer cancel()

	var page events.Page
	var readErr error
	read := make(chan struct{})
	running.Go(func() {
		defer close(read)
		page, readErr = feed.Read(ctx, events.Request{
			Rights: booking.SystemRights{Lpus: []uuid.UUID{w.from}}, After: &first[0].Place, Limit: 10,
			Wait: 20 * time.Second,
		})
	})
	store.waitForLook(t)
	store.Lock()
	w.exec(restoreFeed)
	w.exec(addEvent, w.from, moment, uuid.New(), 1)
	require.Eventually(t, func() bool { // the feed records it, too, unless it waits for the lock
		_, err := store.Record(t.Context(), moment.Add(5*time.Second), 10)
		return err == nil && w.count(`SELECT count(*) FROM event_outbox`) == 0
	}, 15*time.Second, 5*time.Millisecond)
	store.Unlock()
	<-read
	require.NoError(t, readErr)
	require.Len(t, page.Events, 1)
}

// Promise: a database that does not respond, because its machine is frozen or gone, holds up the
// recorder only for seconds.
func TestDatabaseHangsWhileFeedWakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &gated{Store: w.store()}
	feed := events.NewFeed(store, func() time.Time { return moment })
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { feed.Run(ctx, slog.New(slog.DiscardHandler)) })
	running.Go(func() { _, _ = feed.Read(ctx, events.Request{Rights: everywhere, Wait: time.Minute, Limit: 1}) })
	defer running.Wait()
	defer cancel()
	store.waitForLook(t)
	store.hangs.Store(true)
	require.Eventually(t, func() bool { return !store.hangs.Load() }, 15*time.Second, 5*time.Millisecond)
	w.exec(addEvent, w.to, moment, uuid.New(), 1)
	require.Eventually(t, func() bool { return w.count(`SELECT count(*) FROM event`) == 1 },
		30*time.Second, 5*time.Millisecond)
}

// Promise: the feed is read in the order of an index, from the day of the place on, so that a
// request reads little more than it returns.
func TestFeedReadsLittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	for day := range 4 {
		w.exec(`INSERT INTO event_outbox (lpu_guid, type, at, version)
			SELECT CASE WHEN n % 2 = 0 THEN $1 ELSE $2 END::uuid, 'schedule.changed', $3, 1
			FROM generate_series(1, 1000) n`, w.to, w.from, moment)
		_, err := store.Record(t.Context(), moment.AddDate(0, 0, day), 1000)
		require.NoError(t, err)
	}
	w.exec(`ANALYZE event`)
	second := moment.AddDate(0, 0, 1)
	const after = "recorded_at >= $1 AND (recorded_at, position) > ($1, 2000)"
	for name, query := range map[string]string{
		"all": "SELECT position FROM event WHERE " + after + " ORDER BY recorded_at, position LIMIT 10",
		"some": fmt.Sprintf(`SELECT e.position FROM unnest(ARRAY['%s'::uuid]) l (guid) CROSS JOIN LATERAL (
			SELECT position, recorded_at FROM event WHERE lpu_guid = l.guid AND %s ORDER BY recorded_at, position LIMIT 10) e`, w.to, after),
	} {
		rows, err := w.db.Query(t.Context(), "EXPLAIN (ANALYZE, TIMING off, SUMMARY off, COSTS off) "+query, second)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		plan := strings.Join(lines, "\n")
		require.NotContains(t, plan, "Sort", "%s: %s", name, plan)
		require.NotContains(t, plan, "event_"+moment.Format("20060102"), "%s: an older day is read: %s", name, plan)
	}
}
