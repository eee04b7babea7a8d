package booking

import (
	"time"

	"github.com/google/uuid"
)

// Position is a place in a list that is ordered by a time, newest first, and by two guids where times are equal.
type Position struct {
	At   time.Time
	Guid uuid.UUID
	Lpu  uuid.UUID
}

// Page asks for a part of such a list: at most so many items, those behind a position or the first.
type Page struct {
	After *Position
	Limit int
}

// oneMore asks for an item more than the page has, which tells whether there is a next page.
func (p Page) oneMore() Page {
	p.Limit++
	return p
}

// cut takes the item too many off again. It gives the position that the next page is behind, nil where there is none.
func cut[T interface{ position() Position }](items []T, limit int) ([]T, *Position) {
	if len(items) <= limit {
		return items, nil
	}
	last := items[limit-1].position()
	return items[:limit], &last
}
