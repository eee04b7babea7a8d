package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// longestDay bounds how long a visit for a day has lasted when the day ends.
const longestDay = 25 * time.Hour

// WorkList implements registry.Store. It takes two round trips: one for the resources that may have
// such visits, unless the filter names one, and one for the visits.
func (s *Store) WorkList(
	ctx context.Context, filter registry.WorkFilter, page booking.Page, now time.Time,
) ([]registry.WorkItem, error) {
	visits := db.WorkListVisitsParams{
		LpuGuid: filter.Lpu, At: now, FromAt: now.Add(-longestDay), Most: int32(page.Limit),
	}
	if page.After != nil {
		visits.FromAt, visits.AfterGuid = page.After.At, page.After.Guid
	}
	if filter.Resource != nil {
		visits.ResourceGuids = []uuid.UUID{*filter.Resource}
	} else {
		var err error
		if visits.ResourceGuids, err = s.workResources(ctx, filter.Lpu, visits.FromAt, now); err != nil {
			return nil, err
		}
	}
	return listSnapshot(ctx, s, func(t *tx, items *[]registry.WorkItem) {
		place, err := t.reference.registered(filter.Lpu)
		if err != nil {
			t.fail(err)
			return
		}
		if visits.UnconfirmedAt, err = t.reference.unconfirmedAt(filter.Lpu, now); err != nil {
			t.fail(err)
			return
		}
		found := t.WorkListVisits(t.ctx, []db.WorkListVisitsParams{visits})
		rows(t, found.Query, func(rows []db.WorkListVisitsRow) error {
			for _, row := range rows {
				*items = append(*items, registry.WorkItem{
					Kind: workKind(row), Appointment: row.Guid,
					Start: row.StartAt.In(place.Zone), End: row.EndAt.In(place.Zone),
					Resource: row.ResourceGuid, Slots: row.SlotGuids, Direction: row.DirectionGuid, Mkab: row.MkabGuid,
				})
			}
			return nil
		})
	})
}

// workResources returns the resources that may have visits of the work list from a moment on.
func (s *Store) workResources(ctx context.Context, lpu uuid.UUID, from, now time.Time) ([]uuid.UUID, error) {
	return listSnapshot(ctx, s, func(t *tx, guids *[]uuid.UUID) {
		unconfirmed, err := t.reference.unconfirmedAt(lpu, now)
		if err != nil {
			t.fail(err)
			return
		}
		rows(t, t.WorkListResources(t.ctx, []db.WorkListResourcesParams{{
			LpuGuid: lpu, FromAt: from, UnconfirmedAt: unconfirmed,
		}}).Query,
			func(rows []uuid.UUID) error {
				*guids = rows
				return nil
			})
	})
}

// unconfirmedAt returns the moment before which a visit without a receipt must have been booked or
// moved to be in the work list of an institution; nil if no visit needs a receipt.
func (r *reference) unconfirmedAt(lpu uuid.UUID, now time.Time) (*time.Time, error) {
	settings, err := r.settings(lpu, uuid.Nil)
	if err != nil || settings.ReceiptMinutes == 0 {
		return nil, err
	}
	return new(now.Add(-time.Duration(settings.ReceiptMinutes) * time.Minute)), nil
}

// workKind returns why a visit is in the work list. Without another reason its receipt is missing.
func workKind(row db.WorkListVisitsRow) registry.WorkKind {
	switch {
	case !row.ResourceActive:
		return registry.WorkResourceInactive
	case row.Withdrawn:
		return registry.WorkWithdrawn
	case row.Absent:
		return registry.WorkAbsence
	case row.Rejected:
		return registry.WorkReceiptRejected
	default:
		return registry.WorkReceiptMissing
	}
}
