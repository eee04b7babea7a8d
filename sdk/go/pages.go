package talon

import (
	"errors"
	"iter"
)

// errSamePage means that the service, or a proxy that ignores the query, would return the same page
// for ever.
var errSamePage = errors.New("talon: the next page has the cursor of this page")

// allItems returns an iterator over the items of all pages, from the page at the cursor first. read
// requests the page at a cursor, and returns its items and the cursor of the next page, which is
// nil on the last page.
func allItems[T any](
	first *string, read func(cursor *string) (items []T, next *string, err error),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for cursor := first; ; {
			items, next, err := read(cursor)
			if err != nil {
				yield(none, err)
				return
			}
			if cursor != nil && next != nil && *next == *cursor {
				yield(none, errSamePage)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			cursor = next
		}
	}
}
