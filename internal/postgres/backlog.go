package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/telemetry"
	"talon.example/migrations"
)

const (
	// maxBacklog bounds what is counted.
	maxBacklog = 10_000
	// sourcesAtOnce is the number of institutions that are read in one round trip.
	sourcesAtOnce = 200
	// silentAfter is the time without a confirmed schedule after which an institution is silent.
	silentAfter = 24 * time.Hour
)

// Backlog returns what waits in the database, and how old the institutions' schedules are. It reads
// them one statement after the other, so that the numbers are of slightly different moments.
func (s *Store) Backlog(ctx context.Context, now time.Time) (*telemetry.Backlog, error) {
	queries := db.New(s.pool)
	now = now.Truncate(time.Microsecond) // the precision of the database: what does not wait has the age 0
	waiting, err := queries.EventBacklog(ctx, now, maxBacklog)
	if err != nil {
		return nil, fmt.Errorf("read the waiting events: %w", interpretError(err))
	}
	webhooks, err := queries.WebhookBacklog(ctx, now, maxBacklog)
	if err != nil {
		return nil, fmt.Errorf("read the backlog of webhooks: %w", interpretError(err))
	}
	imports, err := queries.ImportBacklog(ctx, now, maxBacklog)
	if err != nil {
		return nil, fmt.Errorf("read the waiting imports: %w", interpretError(err))
	}
	backlog := &telemetry.Backlog{
		Events: int(waiting.Waiting), OldestEvent: max(0, now.Sub(waiting.Oldest)),
		Deliveries: int(webhooks.Waiting), OldestDelayed: max(0, now.Sub(webhooks.Oldest)),
		Imports: int(imports.Waiting), OldestImport: max(0, now.Sub(imports.Oldest)),
		Failing: int(webhooks.Failing), Disabled: int(webhooks.Disabled),
	}
	if backlog.Schema, err = migrations.CurrentOf(ctx, s.pool); err != nil {
		return nil, interpretError(err)
	}
	known, err := s.reference.get(ctx)
	if err != nil {
		return nil, interpretError(err)
	}
	for lpus := range slices.Chunk(known.ordered, sourcesAtOnce) {
		if err := addSources(ctx, queries, backlog, lpus, now); err != nil {
			return nil, fmt.Errorf("read the confirmations of schedules: %w", interpretError(err))
		}
	}
	return backlog, nil
}

// addSources adds the sources of some institutions to the backlog, in one round trip.
func addSources(
	ctx context.Context, queries *db.Queries, backlog *telemetry.Backlog, lpus []uuid.UUID, now time.Time,
) (err error) {
	params := make([]db.ScheduleSourceConfirmedParams, len(lpus))
	for i, lpu := range lpus {
		params[i] = db.ScheduleSourceConfirmedParams{LpuGuid: lpu, At: now}
	}
	queries.ScheduleSourceConfirmed(ctx, params).QueryRow(
		func(_ int, confirmed db.ScheduleSourceConfirmedRow, rowErr error) {
			err = firstError(err, rowErr)
			if confirmed.Schedules == 0 {
				return
			}
			backlog.Institutions++
			if now.Sub(confirmed.Newest) > silentAfter {
				backlog.Silent++
			}
			backlog.ScheduleLag = max(backlog.ScheduleLag, now.Sub(confirmed.Oldest))
		})
	return err
}
