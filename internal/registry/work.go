package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// WorkKind is why a visit cannot take place as it is booked, or is not in the institution's books.
type WorkKind string

// The kinds. If several apply, the first does.
const (
	WorkResourceInactive WorkKind = "resource_inactive" // its resource is not active
	WorkWithdrawn        WorkKind = "withdrawn"         // its source has withdrawn the cell or moved it in time
	WorkAbsence          WorkKind = "absence"           // its resource is absent
	WorkReceiptRejected  WorkKind = "receipt_rejected"  // the institution's system has rejected it
	WorkReceiptMissing   WorkKind = "receipt_missing"   // it has no receipt in time
)

// WorkItem is a visit that the institution has to solve (рабочий список). Times are in the
// institution's zone.
type WorkItem struct {
	Kind        WorkKind
	Appointment uuid.UUID
	Start, End  time.Time
	Resource    uuid.UUID
	Slots       []uuid.UUID // in order of time; none for a visit out of schedule
	Direction   uuid.UUID
	Mkab        uuid.UUID
}

// WorkFilter selects visits of an institution.
type WorkFilter struct {
	Lpu      uuid.UUID
	Resource *uuid.UUID // only visits to this resource; nil: all
}

// WorkList returns a page of the active visits of an institution that have not begun and cannot
// take place as they are booked, or are not in its books, in order of start and guid, and the
// position after which the next page begins, nil if there is none. The list is computed from the
// visits and the schedule. It rejects with LpuAbsent.
func (s *Service) WorkList(
	ctx context.Context, filter WorkFilter, page booking.Page,
) ([]WorkItem, *booking.Position, error) {
	found, err := s.store.WorkList(ctx, filter, page.PlusOne(), s.now())
	if err != nil {
		return nil, nil, fmt.Errorf("read the work list: %w", err)
	}
	items, next := booking.SplitPage(found, page.Limit, func(item *WorkItem) booking.Position {
		return booking.Position{At: item.Start, Guid: item.Appointment, Lpu: filter.Lpu}
	})
	return items, next, nil
}
