package booking

import (
	"context"
	"fmt"
	"time"
)

// What counts as near: how many cells are told, and how far before and after the wanted one they may begin. Little is read: a refusal must stay cheap where
// many ask for one cell. Of what is read some may not be for this patient, which the store does not know as well as the rules do.
const (
	mostNearest     = 3
	nearestBefore   = 2 * time.Hour
	nearestAfter    = searchDays * 24 * time.Hour
	mostNearestRead = 8
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
	found, err := s.near(ctx, period, wanted, SlotScan{Resource: &facts.Resource.Guid})
	if err != nil || len(found) == mostNearest || facts.Request.Type != Consult {
		return found, err
	}
	others, err := s.near(ctx, period, wanted, SlotScan{Speciality: &facts.Direction.SpecialityCode})
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
func (s *Service) near(ctx context.Context, period *slotPeriod, wanted time.Time, scan SlotScan) ([]OfferedSlot, error) {
	facts := period.facts
	scan.Lpu, scan.Difficulty, scan.Most, scan.Access = period.lpu.Guid, facts.Request.Difficulty, mostNearestRead, facts.access()
	scan.Person, scan.Now, scan.Own = facts.Patient.Person, facts.Now, facts.Moved.OwnCells(period.lpu.Guid)
	scan.From, scan.To = facts.bookable(wanted.Add(-nearestBefore), wanted.Add(nearestAfter))
	if wanted.Before(facts.Now) {
		wanted = facts.Now
	}
	scan.Restrictions = facts.restrictions(scan.From, scan.To)
	found, err := s.store.NearestSlots(ctx, scan, wanted)
	if err != nil {
		return nil, fmt.Errorf("search the nearest cells: %w", err)
	}
	var offered []OfferedSlot
	for i := range found {
		if offer := (slotInPeriod{period, &found[i]}).offer(); offer != nil && offer.Refusal == nil {
			offered = append(offered, *offer)
		}
		if len(offered) == mostNearest {
			break
		}
	}
	return offered, nil
}
