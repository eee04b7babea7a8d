package events

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

const (
	// recordEvery is the interval at which an instance looks for events without a place, and for
	// new ones that its readers wait for. It is most of the delay of an event.
	recordEvery = 100 * time.Millisecond
	// databaseTimeout bounds the work with a database that does not respond.
	databaseTimeout = 10 * time.Second
	// recordAgain is the pause after an error.
	recordAgain = time.Second
	// recordAtOnce bounds the events of one transaction of the recorder.
	recordAtOnce = 1000
	// maxNews bounds the events that are read to learn who must be woken. If there are more,
	// everybody is.
	maxNews = 1000
)

// Feed is the feed of events. It is safe for concurrent use.
type Feed struct {
	store Store
	now   func() time.Time

	mu      sync.Mutex
	readers map[*reader]struct{} // those that wait
	stopped chan struct{}
}

// reader waits for events.
type reader struct {
	rights booking.SystemRights
	news   chan struct{} // capacity 1
}

// NewFeed returns the feed of the events in store.
func NewFeed(store Store, now func() time.Time) *Feed {
	return &Feed{store: store, now: now, readers: map[*reader]struct{}{}, stopped: make(chan struct{})}
}

// Request asks for events.
type Request struct {
	Rights booking.SystemRights // whose institutions' events
	After  *Place               // nil: from the first one that is kept
	Types  []Type               // none: all
	Limit  int
	Wait   time.Duration // for an event, if there is none
}

// Page is a part of the feed.
type Page struct {
	Events []Event
	Next   Place // after which the next part begins
	More   bool  // there are more events already
}

// Read returns the next events, in order. If there are none it waits for one. A page with fewer
// events than the limit may be followed by more: Types select among the events of a page. It
// rejects with EventsExpired if events after the place are not kept any more, or the place is of
// events that the database has lost because it was restored from a backup.
func (f *Feed) Read(ctx context.Context, request Request) (Page, error) {
	waiting := &reader{rights: request.Rights, news: make(chan struct{}, 1)}
	if request.Wait > 0 {
		f.add(waiting) // before the first look, so that no event is missed in between
		defer f.remove(waiting)
	}
	end := time.NewTimer(request.Wait)
	defer end.Stop()
	for {
		page, err := f.read(ctx, request)
		if err != nil || len(page.Events) > 0 || page.More || request.Wait == 0 {
			return page, err
		}
		select {
		case <-waiting.news: // read again from the caller's place: that of the page may be lost by now
		case <-end.C:
			return page, nil
		case <-f.stopped:
			return page, nil
		case <-ctx.Done():
			return page, fmt.Errorf("wait for events: %w", ctx.Err())
		}
	}
}

// End returns the last place in the feed.
func (f *Feed) End(ctx context.Context) (Place, error) {
	ends, err := f.store.Ends(ctx)
	if err != nil {
		return Place{}, fmt.Errorf("read the end of the feed: %w", err)
	}
	return ends.Last, nil
}

func (f *Feed) read(ctx context.Context, request Request) (Page, error) {
	// Every event before this end is visible, so that a reader without new events can go on there.
	ends, err := f.store.Ends(ctx)
	if err != nil {
		return Page{}, fmt.Errorf("read the ends of the feed: %w", err)
	}
	var after Place
	if request.After != nil {
		after = *request.After
		known, err := isKnown(ctx, f.store, after, ends)
		if err != nil {
			return Page{}, err
		}
		if !known {
			return Page{}, booking.Reject(booking.EventsExpired)
		}
	}
	found, err := f.store.Events(ctx, request.Rights, after, request.Limit)
	if err != nil {
		return Page{}, fmt.Errorf("read the events: %w", err)
	}
	page := newPage(found, after, ends.Last, request.Limit)
	if len(request.Types) > 0 {
		page.Events = slices.DeleteFunc(found, func(e Event) bool { return !slices.Contains(request.Types, e.Type) })
	}
	return page, nil
}

// isKnown reports whether a reader who has read up to a place misses nothing if it goes on there.
// All places that it can have are those of events. One that is none any more is from before the
// first kept event, or the database that gave it was replaced by an older one.
func isKnown(ctx context.Context, store Store, after Place, ends Ends) (bool, error) {
	switch {
	case after.Position < ends.Dropped:
		return false, nil
	case after.Position == ends.Dropped, after.equal(ends.Last):
		return true, nil
	}
	known, err := store.IsPlace(ctx, after)
	if err != nil {
		return false, fmt.Errorf("look for a place in the feed: %w", err)
	}
	return known, nil
}

// newPage returns the page of the events that were found after a place. Without events it ends
// where the feed did when it was read.
func newPage(found []Event, after, last Place, limit int) Page {
	page := Page{Events: found, Next: after, More: len(found) == limit}
	switch {
	case len(found) > 0:
		page.Next = found[len(found)-1].Place
	case last.after(after):
		page.Next = last
	}
	return page
}

func (f *Feed) add(r *reader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers[r] = struct{}{}
}

func (f *Feed) remove(r *reader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, r)
}

// Run records events and wakes readers until ctx is done. Then it ends all waiting.
func (f *Feed) Run(ctx context.Context, log *slog.Logger) {
	defer close(f.stopped)
	var last *Place // up to which readers have been woken; nil if nobody waited
	var outage booking.Outage
	for {
		pause := recordEvery
		err := f.record(ctx)
		if err == nil {
			limited, cancel := context.WithTimeout(ctx, databaseTimeout)
			last, err = f.wake(limited, last)
			cancel()
		}
		switch {
		case err == nil:
			outage.Succeeded(log, "events are recorded again")
		case ctx.Err() == nil:
			outage.Failed(log, "record events", err)
			pause = recordAgain
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// record gives all waiting events their places.
func (f *Feed) record(ctx context.Context) error {
	for {
		limited, cancel := context.WithTimeout(ctx, databaseTimeout)
		recorded, err := f.store.Record(limited, f.now(), recordAtOnce)
		cancel()
		if err != nil || recorded < recordAtOnce {
			return err //nolint:wrapcheck // Run logs it
		}
	}
}

// wake wakes the readers whose institutions have events after a place, and returns the place up to
// which it has looked. Without a place, or if the database has lost it, it wakes all.
func (f *Feed) wake(ctx context.Context, after *Place) (*Place, error) {
	f.mu.Lock()
	waiting := len(f.readers)
	f.mu.Unlock()
	if waiting == 0 {
		return nil, nil //nolint:nilnil // nobody waits
	}
	ends, err := f.store.Ends(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // Run logs it
	}
	if after != nil && ends.Last.equal(*after) {
		return after, nil
	}
	everybody := after == nil
	var news []Event
	if after != nil {
		if news, err = f.store.Events(ctx, booking.SystemRights{EveryLpu: true}, *after, maxNews); err != nil {
			return nil, err //nolint:wrapcheck // Run logs it
		}
		known, err := isKnown(ctx, f.store, *after, ends)
		if err != nil {
			return nil, err
		}
		everybody = !known || len(news) == maxNews
	}
	lpus := map[uuid.UUID]bool{}
	for i := range news {
		lpus[news[i].Lpu] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	concerned := func(r *reader) bool {
		return everybody || r.rights.EveryLpu ||
			slices.ContainsFunc(r.rights.Lpus, func(lpu uuid.UUID) bool { return lpus[lpu] })
	}
	for r := range f.readers {
		if concerned(r) {
			select {
			case r.news <- struct{}{}:
			default: // it has not looked since the last time
			}
		}
	}
	return &ends.Last, nil
}
