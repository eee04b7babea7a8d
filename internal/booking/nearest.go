package booking

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// What counts as near: how many cells are told, and how far before and after the wanted one they may begin. Other resources are searched closely only, as
// there may be many.
const (
	mostNearest       = 3
	nearestAfter      = searchDays * 24 * time.Hour
	nearestBefore     = 24 * time.Hour
	nearestElsewhere  = 2 * time.Hour
	mostNearestJudged = 128
)

// offerNearest adds the nearest free cells to the refusal of one that is not free. Where they cannot be read it is the answer also without them.
func (s *Service) offerNearest(ctx context.Context, facts *Facts, refusal *Refusal) *Refusal {
	if refusal.Rule != SlotFull && refusal.Rule != SlotTaken {
		return refusal
	}
	slots, err := s.nearest(ctx, facts)
	if err != nil {
		return refusal.Because(err)
	}
	if len(slots) > 0 {
		refusal.Details = &Details{Slots: slots}
	}
	return refusal
}

// nearest finds the free cells nearest to the one that the facts are about, which this booking could take instead: of the same resource, then of the same
// speciality in the same institution.
func (s *Service) nearest(ctx context.Context, facts *Facts) ([]OfferedSlot, error) {
	judged := *facts // with another place for each cell
	judged.assumeMkab()
	period := &slotPeriod{lpu: TargetLpu{Guid: facts.Request.LpuTo, Zone: facts.Target.Zone}, facts: &judged}
	wanted := facts.Slots[0].Start
	found, err := s.near(ctx, period, wanted, SlotScan{Resource: &facts.Resource.Guid}, nearestBefore)
	if err != nil || len(found) == mostNearest || facts.Request.Type != Consult {
		return found, err
	}
	others, err := s.near(ctx, period, wanted, SlotScan{Speciality: &facts.Direction.SpecialityCode}, nearestElsewhere)
	if err != nil {
		return nil, err
	}
	for _, other := range others {
		if len(found) < mostNearest && other.Resource.Guid != facts.Resource.Guid {
			found = append(found, other)
		}
	}
	return found, nil
}

// near finds cells around the wanted one, the nearest first.
func (s *Service) near(ctx context.Context, period *slotPeriod, wanted time.Time, scan SlotScan, before time.Duration) ([]OfferedSlot, error) {
	scan.Lpu, scan.Difficulty, scan.Most, scan.Access = period.lpu.Guid, period.facts.Request.Difficulty, mostNearestJudged, period.facts.access()
	earlier, later := scan, scan
	earlier.From, earlier.To = wanted.Add(-before), wanted
	if earlier.From.Before(period.facts.Now) {
		earlier.From = period.facts.Now
	}
	later.From, later.To = wanted, wanted.Add(nearestAfter)
	later.Most = 4 * mostNearest // the store does not know all that the rules do
	var scans []SlotScan
	for _, scan := range []SlotScan{earlier, later} {
		if scan.From.Before(scan.To) {
			scan.Restrictions = period.facts.restrictions(scan.From, scan.To)
			scans = append(scans, scan)
		}
	}
	cells, err := s.store.ScanSlots(ctx, scans)
	if err != nil {
		return nil, fmt.Errorf("search the nearest cells: %w", err)
	}
	var offered []OfferedSlot
	for _, scanned := range cells {
		for i := range scanned {
			if offer := (slotInPeriod{period, &scanned[i]}).offer(); offer.Refusal == nil {
				offered = append(offered, offer)
			}
		}
	}
	slices.SortStableFunc(offered, func(a, b OfferedSlot) int {
		return cmp.Compare(a.Cells[0].Start.Sub(wanted).Abs(), b.Cells[0].Start.Sub(wanted).Abs())
	})
	return offered[:min(len(offered), mostNearest)], nil
}
