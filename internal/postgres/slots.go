package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// SearchFacts implements booking.SlotFinder. It takes two round trips: one for the person's
// institutions, one for the referral and the facts.
func (s *Store) SearchFacts(
	ctx context.Context, patient booking.Patient, request booking.Request, wanted booking.TargetFilter,
	visit *booking.BookedVisit, now time.Time,
) (*booking.Targets, []*booking.Facts, error) {
	type found struct {
		targets *booking.Targets
		facts   []*booking.Facts
	}
	all, err := list(ctx, s, func(ctx context.Context, conn db.DBTX, known *reference) (all found, err error) {
		lpus, err := personLpus(ctx, conn, patient.Person)
		if err != nil {
			return all, err
		}
		source := &reader{facts: &booking.Facts{Now: now, Patient: patient, Request: request}, known: known}
		cards := make([]db.MkabFactsParams, len(lpus))
		cardsAt := make([][]db.MkabFactsRow, len(lpus))
		for i, lpu := range lpus {
			cards[i] = db.MkabFactsParams{LpuGuid: lpu, PersonGuid: patient.Person}
		}
		err = snapshot(ctx, conn, known, func(t *tx) {
			if visit != nil {
				found := *visit
				found.Person.Lpus = lpus
				source.queueMoved(t, &found)
			}
			row(t, t.DirectionFind(ctx, []db.DirectionFindParams{{
				LpuGuids: lpus, Guid: request.Direction, PersonGuid: patient.Person,
			}}).QueryRow,
				func(row db.DirectionFindRow, err error) error {
					if err == nil {
						all.targets, err = source.original(row, wanted)
					}
					return ignoreAbsent(err)
				})
			rows(t, t.SpecialityClaimFacts(ctx, []db.SpecialityClaimFactsParams{{
				PersonGuid: patient.Person, At: now,
			}}).Query, source.active)
			rowsAt(t, t.MkabFacts(ctx, cards).Query, func(i int, rows []db.MkabFactsRow) error {
				cardsAt[i] = rows
				return nil
			})
		})
		if err == nil && visit != nil && source.facts.Moved == nil {
			var again *booking.BookedVisit // nil if retention has removed the visit
			if again, err = s.Visit(ctx, patient.Person, visit.Guid); err == nil && again != nil {
				err = errVisitMoving
			}
		}
		if err != nil || all.targets == nil {
			return found{}, err
		}
		for _, target := range all.targets.Lpus {
			candidate := *source.facts
			candidate.Request.LpuTo = target.Guid
			read := &reader{facts: &candidate}
			if err := read.useReference(known); err != nil {
				return found{}, err
			}
			if i := slices.Index(lpus, target.Guid); i >= 0 {
				err = read.mkabs(cardsAt[i])
			}
			all.facts = append(all.facts, &candidate)
		}
		return all, err
	})
	return all.targets, all.facts, err
}

// original reads the original of the referral, unless it is withdrawn, and returns the institutions
// that may serve it.
func (r *reader) original(row db.DirectionFindRow, wanted booking.TargetFilter) (*booking.Targets, error) {
	request, d := &r.facts.Request, row.Direction
	request.Type, request.LpuFrom = booking.DirectionType(d.Type), d.LpuGuid
	targets := &booking.Targets{
		Holder: d.LpuGuid, Type: request.Type, SpecialityCode: d.SpecialityCode, LpuTo: d.LpuToGuid,
	}
	if d.LpuToGuid != nil {
		if to, ok := r.known.lpus[*d.LpuToGuid]; ok {
			targets.LegalEntity = &to.LegalEntity
		}
	}
	var err error
	if targets.Lpus, err = r.known.targets(targets, wanted); err == nil && d.CancelledAt == nil {
		err = r.direction(db.DirectionFactsRow(row), nil)
	}
	return targets, err
}

// ScanSlots implements booking.SlotFinder. It takes one round trip, and a second one for complex
// slots.
func (s *Store) ScanSlots(ctx context.Context, scans []booking.SlotScan) ([][]booking.FoundSlot, error) {
	return list(ctx, s, func(ctx context.Context, conn db.DBTX, known *reference) ([][]booking.FoundSlot, error) {
		found, err := scanSlots(ctx, conn, known, scans)
		if err != nil || scans[0].Difficulty == 1 {
			return found, err
		}
		return found, addFollowers(ctx, conn, known, scans, found)
	})
}

func scanSlots(
	ctx context.Context, conn db.DBTX, known *reference, scans []booking.SlotScan,
) (found [][]booking.FoundSlot, err error) {
	found = make([][]booking.FoundSlot, len(scans))
	if scans[0].Resource == nil && scans[0].Speciality == nil {
		params := make([]db.SlotSearchAllParams, len(scans))
		for i, scan := range scans {
			params[i] = db.SlotSearchAllParams{
				LpuGuid: scan.Lpu, FromAt: scan.From, ToAt: scan.To, AfterGuid: scan.After,
				Most: int32(scan.Most), AllOfThem: scan.All, Access: int32(scan.Access),
				Restrictions: toStrings(scan.Restrictions), PersonGuid: scan.Person, At: scan.Now, OwnGuids: scan.Own,
				Receptions: known.receptions, FreshSince: scan.FreshSince,
			}
		}
		db.New(conn).SlotSearchAll(ctx, params).Query(func(i int, rows []db.SlotSearchAllRow, rowsErr error) {
			err = firstError(err, rowsErr)
			found[i] = foundSlots(rows)
		})
		return found, err
	}
	params := make([]db.SlotSearchParams, len(scans))
	for i, scan := range scans {
		params[i] = db.SlotSearchParams{
			LpuGuid: scan.Lpu, SpecialityCode: scan.Speciality, ResourceGuid: scan.Resource, FromAt: scan.From,
			ToAt: scan.To, AfterGuid: scan.After,
			Most: int32(scan.Most), AllOfThem: scan.All, Access: int32(scan.Access),
			Restrictions: toStrings(scan.Restrictions), PersonGuid: scan.Person, At: scan.Now, OwnGuids: scan.Own,
			Receptions: known.receptions, FreshSince: scan.FreshSince,
		}
	}
	db.New(conn).SlotSearch(ctx, params).Query(func(i int, rows []db.SlotSearchRow, rowsErr error) {
		err = firstError(err, rowsErr)
		found[i] = foundSlots(rows)
	})
	return found, err
}

func foundSlots[R db.SlotSearchRow | db.SlotSearchAllRow](rows []R) []booking.FoundSlot {
	found := make([]booking.FoundSlot, len(rows))
	cells := make([]booking.Slot, len(rows))
	for n := range rows {
		row := db.SlotSearchRow(rows[n])
		cells[n] = booking.Slot{
			Guid: row.Guid, Start: row.StartAt, End: row.EndAt, Capacity: row.Capacity, Taken: row.Taken,
			Access: booking.Access(row.FlagAccess), Reception: row.Reception, Blocked: row.Blocked,
			Restriction: booking.Restriction(row.Restriction),
		}
		found[n] = booking.FoundSlot{
			ID: row.ID,
			Resource: booking.Resource{
				Guid: row.ResourceGuid, Kind: booking.ResourceKind(row.ResourceKind), Name: row.ResourceName,
				Room: row.ResourceRoom, SpecialityCode: row.ResourceSpecialityCode, Active: row.ResourceActive,
				Stale: row.ResourceStale,
			},
			Cells: cells[n : n+1 : n+1],
		}
	}
	return found
}

// ResourcesWithSlots implements booking.SlotFinder. It takes one round trip, and a second one if
// there may be stale resources.
func (s *Store) ResourcesWithSlots(ctx context.Context, scans []booking.SlotScan) ([]*booking.Resource, error) {
	found, err := s.resourcesWithSlots(ctx, scans)
	if err != nil {
		return nil, err
	}
	var again []booking.SlotScan // of institutions without a fresh resource
	var at []int
	for i, scan := range scans {
		if found[i] == nil && scan.FreshSince != nil {
			scan.FreshSince = nil
			again, at = append(again, scan), append(at, i)
		}
	}
	if len(again) == 0 {
		return found, nil
	}
	stale, err := s.resourcesWithSlots(ctx, again)
	if err != nil {
		return nil, err
	}
	for i, resource := range stale {
		if resource != nil {
			resource.Stale = true
			found[at[i]] = resource
		}
	}
	return found, nil
}

// resourcesWithSlots returns for each scan a resource that is not stale, or nil.
func (s *Store) resourcesWithSlots(ctx context.Context, scans []booking.SlotScan) ([]*booking.Resource, error) {
	params := make([]db.ResourceWithSlotsParams, len(scans))
	for i, scan := range scans {
		params[i] = db.ResourceWithSlotsParams{
			LpuGuid: scan.Lpu, ResourceGuid: scan.Resource, SpecialityCode: scan.Speciality, FromAt: scan.From,
			FreshSince: scan.FreshSince,
		}
	}
	return list(ctx, s, func(ctx context.Context, conn db.DBTX, _ *reference) ([]*booking.Resource, error) {
		found := make([]*booking.Resource, len(scans))
		var err error
		db.New(conn).ResourceWithSlots(ctx, params).QueryRow(func(i int, row db.ResourceWithSlotsRow, rowErr error) {
			if errors.Is(rowErr, pgx.ErrNoRows) {
				return
			}
			err = firstError(err, rowErr)
			found[i] = &booking.Resource{
				Kind: booking.ResourceKind(row.Kind), SpecialityCode: row.SpecialityCode, Active: row.Active,
			}
		})
		return found, err
	})
}

// NearestSlots implements booking.SlotFinder. It takes one round trip, and a second one for complex
// slots.
func (s *Store) NearestSlots(
	ctx context.Context, scan booking.SlotScan, wanted time.Time,
) ([]booking.FoundSlot, error) {
	return read(ctx, s, func(known *reference) ([]booking.FoundSlot, error) {
		rows, err := db.New(s.pool).SlotNearest(ctx, db.SlotNearestParams{
			LpuGuid: scan.Lpu, SpecialityCode: scan.Speciality, ResourceGuid: scan.Resource, FromAt: scan.From,
			WantedAt: wanted, ToAt: scan.To,
			Most: int32(scan.Most), Access: int32(scan.Access), Restrictions: toStrings(scan.Restrictions),
			PersonGuid: scan.Person, At: scan.Now, OwnGuids: scan.Own, Receptions: known.receptions,
			FreshSince: scan.FreshSince,
		})
		if err != nil {
			return nil, err
		}
		found := make([]booking.FoundSlot, len(rows))
		for i, row := range rows {
			found[i] = booking.FoundSlot{
				ID: row.ID,
				Resource: booking.Resource{
					Guid: row.ResourceGuid, Kind: booking.ResourceKind(row.ResourceKind), Name: row.ResourceName,
					Room: row.ResourceRoom, SpecialityCode: row.ResourceSpecialityCode, Active: true,
				},
				Cells: []booking.Slot{{
					Guid: row.Guid, Start: row.StartAt, End: row.EndAt, Capacity: row.Capacity, Taken: row.Taken,
					Access: booking.Access(row.FlagAccess), Reception: true,
					Restriction: booking.Restriction(row.Restriction),
				}},
			}
		}
		if scan.Difficulty > 1 {
			err = addFollowers(ctx, s.pool, known, []booking.SlotScan{scan}, [][]booking.FoundSlot{found})
		}
		return found, err
	})
}

// addFollowers appends to each found cell the following cells that Facts would read.
func addFollowers(
	ctx context.Context, conn db.DBTX, known *reference, scans []booking.SlotScan, found [][]booking.FoundSlot,
) (err error) {
	params := make([]db.SlotFollowersParams, len(scans))
	cells := make([]map[uuid.UUID]*booking.FoundSlot, len(scans))
	for i, scan := range scans {
		cells[i] = make(map[uuid.UUID]*booking.FoundSlot, len(found[i]))
		guids := make([]uuid.UUID, len(found[i]))
		for n, chosen := range found[i] {
			guids[n] = chosen.Cells[0].Guid
			cells[i][guids[n]] = &found[i][n] //nolint:gosec // n is in range
		}
		params[i] = db.SlotFollowersParams{
			LpuGuid: scan.Lpu, Guids: guids, Most: int32(scan.Difficulty*maxOverlapping - 1), PersonGuid: scan.Person,
			At: scan.Now, OwnGuids: scan.Own, Receptions: known.receptions,
		}
	}
	db.New(conn).SlotFollowers(ctx, params).Query(func(i int, rows []db.SlotFollowersRow, rowsErr error) {
		err = firstError(err, rowsErr)
		for _, row := range rows {
			cell := cells[i][row.ChosenGuid]
			cell.Cells = append(cell.Cells, booking.Slot{
				Guid: row.Guid, Start: row.StartAt, End: row.EndAt, Capacity: row.Capacity, Taken: row.Taken,
				Access: booking.Access(row.FlagAccess), Reception: row.Reception, Blocked: row.Blocked,
				Restriction: booking.Restriction(row.Restriction),
			})
		}
	})
	return err
}
