package registry

import (
	"context"
	"fmt"
	"time"
)

// RetentionDays is how many days after their end the rows of the past are kept. 0: forever.
type RetentionDays struct {
	FreeCells int // cells that nobody has booked, and what is known of the messages about them
	Visits    int // with their cells, copies of referrals and claims
	Referrals int // counted from the last day of the referral, or from its visit if that ends later
}

// Past is what a step of the sweep deletes. A zero time deletes nothing.
type Past struct {
	Due       time.Time // only institutions that were last swept before it
	FreeCells time.Time // free cells that begin before it
	Visits    time.Time // visits that ended before it
	Referrals time.Time
}

// RetentionStore deletes the past.
type RetentionStore interface {
	// Sweep deletes at most the given number of rows of each kind in one institution, and returns
	// how many. It returns false if no institution is due.
	Sweep(ctx context.Context, past Past, now time.Time, most int) (deleted int, found bool, err error)
}

const (
	// sweptEvery is how often an institution is swept.
	sweptEvery = 24 * time.Hour
	// sweptAtOnce bounds the rows of each kind that one transaction deletes.
	sweptAtOnce = 500
)

// Retention deletes what is older than it is to be kept.
type Retention struct {
	store RetentionStore
	days  RetentionDays
	now   func() time.Time
}

// NewRetention returns the use case.
func NewRetention(store RetentionStore, days RetentionDays, now func() time.Time) *Retention {
	return &Retention{store: store, days: days, now: now}
}

// Sweep deletes the past of institutions, one after the other, until none is due or ctx is done.
// Several instances sweep different institutions. After each transaction it rests for as long as
// that took, so that requests have the database, too. It returns the number of deleted rows.
func (r *Retention) Sweep(ctx context.Context) (deleted int, err error) {
	if r.days == (RetentionDays{}) {
		return 0, nil
	}
	for ctx.Err() == nil {
		began, now := time.Now(), r.now()
		rows, found, err := r.store.Sweep(ctx, r.past(now), now, sweptAtOnce)
		deleted += rows
		switch {
		case ctx.Err() != nil:
			return deleted, nil //nolint:nilerr // the next sweep goes on
		case err != nil:
			return deleted, fmt.Errorf("delete the past: %w", err)
		case !found:
			return deleted, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Since(began)):
		}
	}
	return deleted, nil
}

// past returns what is deleted at a time.
func (r *Retention) past(now time.Time) Past {
	before := func(days int) (until time.Time) {
		if days > 0 {
			until = now.AddDate(0, 0, -days)
		}
		return until
	}
	return Past{
		Due: now.Add(-sweptEvery), FreeCells: before(r.days.FreeCells), Visits: before(r.days.Visits),
		Referrals: before(r.days.Referrals),
	}
}
