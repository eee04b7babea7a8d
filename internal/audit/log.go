package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Log reads the records.
type Log struct {
	store    Store
	now      func() time.Time
	keptDays int
}

// NewLog returns the log of the records in store, which are kept for keptDays, or forever if it is
// 0.
func NewLog(store Store, now func() time.Time, keptDays int) *Log {
	return &Log{store, now, keptDays}
}

// Page is a part of the list of records.
type Page struct {
	Records []Record
	Next    *Place // after which the next part begins; nil if there is none
}

// endOfTime is later than any record.
var endOfTime = time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC)

// Read returns the records that a filter selects, the newest first, after a place or from the
// newest on. Records whose months were deleted are not among them.
func (l *Log) Read(ctx context.Context, filter Filter, after *Place, limit int) (Page, error) {
	place := Place{At: endOfTime}
	if !filter.To.IsZero() {
		place.At = filter.To
	}
	if after != nil && after.At.Before(place.At) {
		place = *after
	}
	// One more, to know whether there is a next page.
	found, err := l.store.Records(ctx, filter, place, limit+1)
	if err != nil {
		return Page{}, fmt.Errorf("read the audit: %w", err)
	}
	if len(found) <= limit {
		return Page{Records: found}, nil
	}
	last := &found[limit-1]
	return Page{Records: found[:limit], Next: &Place{At: last.At, Guid: last.Guid}}, nil
}

// Sweep deletes the records that need not be kept any more, by month, and prepares the storage for
// the next month.
func (l *Log) Sweep(ctx context.Context) error {
	if err := l.store.SweepRecords(ctx, l.now(), l.keptDays); err != nil {
		return fmt.Errorf("sweep the audit: %w", err)
	}
	return nil
}

// NewGuid returns the guid of a new record.
func NewGuid() uuid.UUID { return uuid.Must(uuid.NewV7()) }
