package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/registry"
)

// Sweep implements registry.RetentionStore. It runs one transaction. Where none of the known
// institutions is due, it adds those that are new.
func (s *Store) Sweep(
	ctx context.Context, past registry.Past, now time.Time, most int,
) (deleted int, found bool, err error) {
	err = transact(ctx, s.pool, func(tx pgx.Tx) error {
		queries := db.New(tx)
		claimed, err := queries.RetentionClaim(ctx, past.Due)
		if errors.Is(err, pgx.ErrNoRows) {
			added, err := queries.RetentionAdd(ctx, time.Time{})
			found = added > 0
			return err
		}
		if err != nil {
			return err
		}
		found = true
		sweep := sweep{queries: queries, lpu: claimed.LpuGuid, most: int32(most)}
		until, err := sweep.freeCells(ctx, claimed.FreeBefore, past.FreeCells)
		if err = errors.Join(err, sweep.visits(ctx, past.Visits), sweep.referrals(ctx, past.Referrals)); err != nil {
			return err
		}
		deleted = sweep.deleted
		var sweptAt *time.Time
		if !sweep.more {
			sweptAt = &now
		}
		return queries.RetentionAdvance(ctx, sweptAt, until, claimed.LpuGuid)
	})
	if err != nil {
		return 0, false, interpretError(err)
	}
	return deleted, found, nil
}

// sweep deletes the past of an institution in one transaction.
type sweep struct {
	queries *db.Queries
	lpu     uuid.UUID
	most    int32 // rows of each kind

	deleted int
	more    bool // there may be more rows to delete
}

// count notes how many rows were deleted.
func (s *sweep) count(rows int) {
	s.deleted += rows
	s.more = s.more || rows >= int(s.most)
}

// freeCells deletes free cells that begin between two times, and returns up to which time none is
// left.
func (s *sweep) freeCells(ctx context.Context, since, until time.Time) (time.Time, error) {
	if until.IsZero() {
		return since, nil
	}
	began, err := s.queries.FreeCellsDelete(ctx, db.FreeCellsDeleteParams{
		LpuGuid: s.lpu, Since: since, Until: until, Most: s.most,
	})
	if err != nil {
		return since, err
	}
	s.count(len(began))
	windows, err := s.queries.WindowsDelete(ctx, s.lpu, until, s.most)
	s.count(int(windows))
	if len(began) == int(s.most) {
		return slices.MaxFunc(began, time.Time.Compare), err
	}
	return until, err
}

// visits deletes visits that ended before a time, with all that exists only for them.
func (s *sweep) visits(ctx context.Context, until time.Time) error {
	if until.IsZero() {
		return nil
	}
	visits, err := s.queries.PastVisitList(ctx, s.lpu, until, s.most)
	if err != nil || len(visits) == 0 {
		return err
	}
	s.count(len(visits))
	var guids, persons, directions, cells []uuid.UUID
	for _, visit := range visits {
		guids, persons = append(guids, visit.Guid), append(persons, visit.PersonGuid)
		directions, cells = append(directions, visit.DirectionGuid), append(cells, visit.SlotGuids...)
	}
	return errors.Join(
		s.queries.VisitsDelete(ctx, s.lpu, guids),
		s.queries.VisitsOfPersonsDelete(ctx, persons, guids),
		s.queries.ClaimsOfVisitsDelete(ctx, persons, guids),
		s.queries.CellsDelete(ctx, s.lpu, cells),
		s.queries.CopiesDelete(ctx, s.lpu, directions),
	)
}

// referrals deletes referrals that ended before a time, with their versions.
func (s *sweep) referrals(ctx context.Context, until time.Time) error {
	if until.IsZero() {
		return nil
	}
	guids, err := s.queries.PastReferralsDelete(ctx, db.PastReferralsDeleteParams{
		LpuGuid: s.lpu, UntilDay: until.UTC(), Until: until, Most: s.most,
	})
	if err != nil {
		return err
	}
	s.count(len(guids))
	return s.queries.ReferralVersionsDelete(ctx, s.lpu, guids)
}
