package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ServingLpu is an institution that has cells for a referral.
type ServingLpu struct {
	LpuPlace

	// NextAvailable is the start of the first cell that the patient can book, in the institution's
	// zone; nil if there is none as far ahead as a search looks for its own NextAvailable.
	NextAvailable *time.Time
	// BlockedBy is the refusal that applies to every cell of the institution, or nil.
	BlockedBy *Refusal
}

// Limits of a page of institutions.
const (
	// mostExamined is the number of institutions that a page examines. Most institutions of a
	// region have no cells for a referral.
	mostExamined = 500
	// leastScannedOfEach is the number of cells in the first batch. It is small because the store
	// returns few cells that the rules reject.
	leastScannedOfEach = 4
)

// Institutions returns a page of the institutions that have future cells for the patient's
// referral, ordered by guid, and the guid after which the next page begins, nil if there is none.
// A page may have fewer institutions than limit, even none, although another page follows.
// Institutions rejects with DirectionAbsent if the patient has no such referral.
func (s *Service) Institutions(
	ctx context.Context, patient Patient, direction uuid.UUID, limit int, after uuid.UUID,
) ([]ServingLpu, *uuid.UUID, error) {
	now := s.now()
	request := Request{Direction: direction, Difficulty: 1}
	wanted := TargetFilter{Page: true, After: after, Most: mostExamined + 1}
	targets, facts, err := s.ports.Slots.SearchFacts(ctx, patient, request, wanted, nil, now)
	if err != nil {
		return nil, nil, fmt.Errorf("find the referral: %w", err)
	}
	if targets == nil {
		return nil, nil, Reject(DirectionAbsent)
	}
	periods := make([]slotPeriod, len(targets.Lpus))
	for i, lpu := range targets.Lpus {
		from := now.In(lpu.Zone)
		to := from.AddDate(0, 0, searchDays).AddDate(0, 0, nextAvailableDays)
		periods[i] = slotPeriod{lpu: lpu, facts: facts[i], from: from, to: to}
		periods[i].facts.assumeMkab()
	}
	var next *uuid.UUID
	if len(periods) > mostExamined {
		periods = periods[:mostExamined]
		next = &periods[mostExamined-1].lpu.Guid
	}
	resources, err := s.resourcesWithSlots(ctx, targets, periods, nil)
	if err != nil {
		return nil, nil, err
	}
	var serving []ServingLpu
	var open []lpuSearch
	for i := range periods {
		if resources[i] == nil {
			continue
		}
		if len(serving) == limit {
			next = &serving[limit-1].Guid
			break
		}
		period := &periods[i]
		found := ServingLpu{LpuPlace: period.lpu.LpuPlace, BlockedBy: period.facts.refusalForAll(resources[i])}
		if found.BlockedBy == nil {
			open = append(open, lpuSearch{slotScanner{targets: targets, periods: periods[i : i+1]}, len(serving)})
		}
		serving = append(serving, found)
	}
	return serving, next, s.addNextAvailable(ctx, serving, open)
}

// lpuSearch looks for the first bookable cell of an institution.
type lpuSearch struct {
	slotScanner

	item int // index of the institution in the page
}

// addNextAvailable sets NextAvailable of the institutions of a page that have searches. It reads
// the cells of all of them together, in batches that grow.
func (s *Service) addNextAvailable(ctx context.Context, serving []ServingLpu, searches []lpuSearch) error {
	for batch := leastScannedOfEach; len(searches) > 0; batch = min(2*batch, mostScanned) {
		var scans []SlotScan
		var scanned []lpuSearch
		for _, search := range searches {
			if scan, _ := search.scans(batch); len(scan) > 0 {
				scans, scanned = append(scans, scan...), append(scanned, search)
			}
		}
		if len(scans) == 0 {
			return nil
		}
		found, err := s.ports.Slots.ScanSlots(ctx, scans)
		if err != nil {
			return fmt.Errorf("search the cells: %w", err)
		}
		searches = nil
		for i, search := range scanned {
			cells := search.periods[0].cells(found[i])
			if first := firstBookable(cells); first != nil {
				serving[search.item].NextAvailable = new(first.Start())
			} else if len(cells) == batch {
				search.after = cells[batch-1].cursor()
				searches = append(searches, search)
			}
		}
	}
	return nil
}

// firstBookable returns the first of the cells that can be booked, or nil.
func firstBookable(cells []slotInPeriod) *OfferedSlot {
	for _, cell := range cells {
		if offer := cell.offer(); offer != nil && offer.Refusal == nil {
			return offer
		}
	}
	return nil
}
