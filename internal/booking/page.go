package booking

import (
	"time"

	"github.com/google/uuid"
)

// Position is a place in a list. Lists are ordered by a time and then by two guids.
type Position struct {
	At   time.Time
	Guid uuid.UUID
	Lpu  uuid.UUID
}

// Page selects a part of a list: at most Limit items after a position, or the first items if After
// is nil.
type Page struct {
	After *Position
	Limit int
}

// PlusOne returns the page with one more item. The extra item shows that there is a next page.
func (p Page) PlusOne() Page {
	p.Limit++
	return p
}

// SplitPage removes the extra item. It returns the position after which the next page begins, or
// nil if there is none. position returns that of an item.
func SplitPage[T any](items []T, limit int, position func(*T) Position) ([]T, *Position) {
	if len(items) <= limit {
		return items, nil
	}
	last := position(&items[limit-1])
	return items[:limit], &last
}
