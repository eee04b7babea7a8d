package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Targets implements booking.SlotFinder.
func (s *Store) Targets(ctx context.Context, person, direction uuid.UUID, lpu *uuid.UUID, most int) (*booking.Targets, error) {
	return read(ctx, s, func(known *reference) (*booking.Targets, error) {
		rows, err := db.New(s.pool).DirectionTargets(ctx, db.DirectionTargetsParams{PersonGuid: person, Guid: direction, LpuGuid: lpu, Most: int32(most)})
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		first := rows[0]
		targets := &booking.Targets{
			Holder:         first.HolderGuid,
			Type:           booking.DirectionType(first.Type),
			SpecialityCode: first.SpecialityCode,
			LpuTo:          first.LpuToGuid,
			LegalEntity:    first.ToLegalEntityGuid,
		}
		for _, row := range rows {
			if row.TargetGuid == nil {
				continue
			}
			zone, err := known.zone(*row.TargetGuid)
			if err != nil {
				return nil, err
			}
			targets.Lpus = append(targets.Lpus, booking.TargetLpu{
				Guid: *row.TargetGuid, LegalEntity: *row.TargetLegalEntityGuid, Name: *row.TargetName, Zone: zone,
			})
		}
		return targets, nil
	})
}

// TargetFacts implements booking.SlotFinder. It reads what Facts does, for several institutions.
func (s *Store) TargetFacts(
	ctx context.Context, patient booking.Patient, request booking.Request, visit *booking.BookedVisit, lpus []uuid.UUID, now time.Time,
) ([]*booking.Facts, error) {
	return retry(ctx, s.pool.Reset, func() ([]*booking.Facts, error) { return s.targetFacts(ctx, patient, request, visit, lpus, now) })
}

func (s *Store) targetFacts(
	ctx context.Context, patient booking.Patient, request booking.Request, visit *booking.BookedVisit, lpus []uuid.UUID, now time.Time,
) ([]*booking.Facts, error) {
	facts := make([]*booking.Facts, len(lpus))
	readers := make([]*reader, len(lpus))
	cards := make([]db.MkabFactsParams, 0, len(lpus)+1)
	for i, lpu := range lpus {
		facts[i] = &booking.Facts{Now: now, Patient: patient, Request: request}
		facts[i].Request.LpuTo = lpu
		readers[i] = &reader{facts: facts[i]}
		cards = append(cards, db.MkabFactsParams{LpuGuid: lpu, PersonGuid: patient.Person})
	}
	// The last is the source institution's, whose cases of treatment count for every target.
	cards = append(cards, db.MkabFactsParams{LpuGuid: request.LpuFrom, PersonGuid: patient.Person})
	err := s.snapshot(ctx, func(t *tx) {
		for _, read := range readers {
			if err := read.use(t.reference); err != nil {
				t.fail(err)
				return
			}
		}
		if visit != nil {
			readers[0].queueMoved(t, visit)
		}
		readers[0].queueDirection(t)
		rows(t, t.SpecialityClaimFacts(ctx, []db.SpecialityClaimFactsParams{{PersonGuid: patient.Person, At: now}}).Query, readers[0].active)
		rowsAt(t, t.MkabFacts(ctx, cards).Query, func(i int, rows []db.MkabFactsRow) error {
			if i < len(readers) {
				return readers[i].mkabs(rows)
			}
			for _, read := range readers {
				read.taps(rows)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	for i := range facts {
		facts[i].Direction, facts[i].Active, facts[i].Moved = facts[0].Direction, facts[0].Active, facts[0].Moved
	}
	return facts, nil
}

// ScanSlots implements booking.SlotFinder: one round trip, and a second one where cells that follow are wanted.
func (s *Store) ScanSlots(ctx context.Context, scans []booking.SlotScan) ([][]booking.FoundSlot, error) {
	return read(ctx, s, func(known *reference) ([][]booking.FoundSlot, error) {
		found, err := s.scanSlots(ctx, known, scans)
		if err != nil || scans[0].Difficulty == 1 {
			return found, err
		}
		return found, s.addFollowers(ctx, known, scans, found)
	})
}

func (s *Store) scanSlots(ctx context.Context, known *reference, scans []booking.SlotScan) (found [][]booking.FoundSlot, err error) {
	params := make([]db.SlotSearchParams, len(scans))
	for i, scan := range scans {
		params[i] = db.SlotSearchParams{
			LpuGuid: scan.Lpu, SpecialityCode: scan.Speciality, ResourceGuid: scan.Resource, FromAt: scan.From, ToAt: scan.To, AfterGuid: scan.After,
			Most: int32(scan.Most), AllOfThem: scan.All, Access: int32(scan.Access), Restrictions: texts(scan.Restrictions),
			PersonGuid: scan.Person, At: scan.Now, OwnGuids: scan.Own, Receptions: known.receptions,
		}
	}
	found = make([][]booking.FoundSlot, len(scans))
	db.New(s.pool).SlotSearch(ctx, params).Query(func(i int, rows []db.SlotSearchRow, rowsErr error) {
		err = firstError(err, rowsErr)
		found[i] = make([]booking.FoundSlot, len(rows))
		cells := make([]booking.Slot, len(rows))
		for n, row := range rows {
			cells[n] = booking.Slot{
				Guid: row.Guid, Start: row.StartAt, End: row.EndAt, Capacity: row.Capacity, Taken: row.Taken, Access: booking.Access(row.FlagAccess),
				Reception: row.Reception, Blocked: row.Blocked, Restriction: booking.Restriction(row.Restriction),
			}
			found[i][n] = booking.FoundSlot{
				ID: row.ID,
				Resource: booking.Resource{
					Guid: row.ResourceGuid, Kind: booking.ResourceKind(row.ResourceKind), Name: row.ResourceName,
					SpecialityCode: row.ResourceSpecialityCode, Active: row.ResourceActive,
				},
				Cells: cells[n : n+1 : n+1],
			}
		}
	})
	return found, err
}

// ResourcesWithSlots implements booking.SlotFinder.
func (s *Store) ResourcesWithSlots(ctx context.Context, scans []booking.SlotScan) ([]*booking.Resource, error) {
	params := make([]db.ResourceWithSlotsParams, len(scans))
	for i, scan := range scans {
		params[i] = db.ResourceWithSlotsParams{LpuGuid: scan.Lpu, ResourceGuid: scan.Resource, SpecialityCode: scan.Speciality, FromAt: scan.From}
	}
	return retry(ctx, s.pool.Reset, func() ([]*booking.Resource, error) {
		found := make([]*booking.Resource, len(scans))
		var err error
		db.New(s.pool).ResourceWithSlots(ctx, params).QueryRow(func(i int, row db.ResourceWithSlotsRow, rowErr error) {
			if errors.Is(rowErr, pgx.ErrNoRows) {
				return
			}
			err = firstError(err, rowErr)
			found[i] = &booking.Resource{Kind: booking.ResourceKind(row.Kind), SpecialityCode: row.SpecialityCode, Active: row.Active}
		})
		return found, err
	})
}

// NearestSlots implements booking.SlotFinder: one round trip, and a second one where cells that follow are wanted.
func (s *Store) NearestSlots(ctx context.Context, scan booking.SlotScan, wanted time.Time) ([]booking.FoundSlot, error) {
	return read(ctx, s, func(known *reference) ([]booking.FoundSlot, error) {
		rows, err := db.New(s.pool).SlotNearest(ctx, db.SlotNearestParams{
			LpuGuid: scan.Lpu, SpecialityCode: scan.Speciality, ResourceGuid: scan.Resource, FromAt: scan.From, WantedAt: wanted, ToAt: scan.To,
			Most: int32(scan.Most), Access: int32(scan.Access), Restrictions: texts(scan.Restrictions), PersonGuid: scan.Person, At: scan.Now,
			OwnGuids: scan.Own, Receptions: known.receptions,
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
					SpecialityCode: row.ResourceSpecialityCode, Active: true,
				},
				Cells: []booking.Slot{{
					Guid: row.Guid, Start: row.StartAt, End: row.EndAt, Capacity: row.Capacity, Taken: row.Taken, Access: booking.Access(row.FlagAccess),
					Reception: true, Restriction: booking.Restriction(row.Restriction),
				}},
			}
		}
		if scan.Difficulty > 1 {
			err = s.addFollowers(ctx, known, []booking.SlotScan{scan}, [][]booking.FoundSlot{found})
		}
		return found, err
	})
}

// addFollowers adds to each cell those that Facts would read after it.
func (s *Store) addFollowers(ctx context.Context, known *reference, scans []booking.SlotScan, found [][]booking.FoundSlot) (err error) {
	params := make([]db.SlotFollowersParams, len(scans))
	cells := make([]map[uuid.UUID]*booking.FoundSlot, len(scans))
	for i, scan := range scans {
		cells[i] = make(map[uuid.UUID]*booking.FoundSlot, len(found[i]))
		guids := make([]uuid.UUID, len(found[i]))
		for n, chosen := range found[i] {
			guids[n] = chosen.Cells[0].Guid
			cells[i][guids[n]] = &found[i][n] //nolint:gosec // n is within it
		}
		params[i] = db.SlotFollowersParams{
			LpuGuid: scan.Lpu, Guids: guids, Most: int32(scan.Difficulty*mostOverlapping - 1), PersonGuid: scan.Person, At: scan.Now,
			OwnGuids: scan.Own, Receptions: known.receptions,
		}
	}
	db.New(s.pool).SlotFollowers(ctx, params).Query(func(i int, rows []db.SlotFollowersRow, rowsErr error) {
		err = firstError(err, rowsErr)
		for _, row := range rows {
			cell := cells[i][row.ChosenGuid]
			cell.Cells = append(cell.Cells, booking.Slot{
				Guid: row.Guid, Start: row.StartAt, End: row.EndAt, Capacity: row.Capacity, Taken: row.Taken, Access: booking.Access(row.FlagAccess),
				Reception: row.Reception, Blocked: row.Blocked, Restriction: booking.Restriction(row.Restriction),
			})
		}
	})
	return err
}
