package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// maxClosedCells bounds the closed cells of an institution among which conflicts are counted.
const maxClosedCells = 50_000

// RecordRejection implements registry.Store. It runs one statement of its own.
func (s *Store) RecordRejection(ctx context.Context, rejected registry.Rejection) (err error) {
	if s.dryRun {
		return nil
	}
	db.New(s.pool).ScheduleRejectionAdd(ctx, []db.ScheduleRejectionAddParams{{
		LpuGuid: rejected.Lpu, ResourceGuid: rejected.Resource, SlotGuid: rejected.Slot, Rule: string(rejected.Rule),
		At: rejected.At,
	}}).Exec(func(_ int, execErr error) { err = execErr })
	return err
}

// Sources implements registry.Store. It takes one round trip.
func (s *Store) Sources(
	ctx context.Context, lpu, after uuid.UUID, most int, now time.Time,
) (sources []registry.Source, summary registry.SourceSummary, err error) {
	err = s.snapshot(ctx, func(t *tx) {
		place, err := t.reference.registered(lpu)
		if err != nil {
			t.fail(err)
			return
		}
		rows(t, t.ScheduleSourceList(ctx, []db.ScheduleSourceListParams{{
			LpuGuid: lpu, AfterGuid: after, Most: int32(most),
		}}).Query, func(rows []db.ScheduleSourceListRow) error {
			for _, row := range rows {
				source := registry.Source{
					Resource: row.ResourceGuid, Version: row.Version, ConfirmedAt: row.ConfirmedAt.In(place.Zone),
					Lag: max(0, now.Sub(row.ConfirmedAt)), // another instance's clock may be ahead
				}
				if row.LastErrorAt != nil {
					source.LastError = &registry.SourceError{
						At: row.LastErrorAt.In(place.Zone), Rule: booking.Name(value(row.LastErrorRule)),
					}
				}
				sources = append(sources, source)
			}
			return nil
		})
		rows(t, t.ScheduleConflictCounts(ctx, []db.ScheduleConflictCountsParams{{
			LpuGuid: lpu, At: now, Most: maxClosedCells,
		}}).Query, func(rows []db.ScheduleConflictCountsRow) error {
			for _, row := range rows {
				for i := range sources {
					if sources[i].Resource == row.ResourceGuid {
						sources[i].OpenConflicts = int(row.Conflicts)
					}
				}
			}
			return nil
		})
		row(t, t.ScheduleSourceSummary(ctx, []db.ScheduleSourceSummaryParams{{LpuGuid: lpu, At: now}}).QueryRow,
			func(row db.ScheduleSourceSummaryRow, err error) error {
				summary.Resources = int(row.Resources)
				if row.Resources > 0 {
					summary.OldestConfirmedAt = new(row.OldestConfirmedAt.In(place.Zone))
				}
				return err
			})
	})
	return sources, summary, interpretError(err)
}
