package booking

import (
	"context"
	"fmt"
	"time"
)

// Limits of the search for the nearest cells: how many are returned, how far before and after the
// requested cell they may begin, and how many are read. Few cells are read so that a refusal stays
// cheap when many clients request the same cell. More are read than returned because the rules may
// reject some of them.
const (
	mostNearest     = 3
	nearestBefore   = 2 * time.Hour
	nearestAfter    = searchDays * 24 * time.Hour
	mostNearestRead = 8
)

// addNearest adds the nearest free cells to a refusal of a full or taken cell. If they cannot be
// read, it returns the refusal without them. It explains every refusal for the audit.
func (s *Service) addNearest(ctx context.Context, facts *Facts, refusal *Refusal) *Refusal {
	refusal = facts.explain(refusal)
	if refusal.Rule != SlotFull && refusal.Rule != SlotTaken {
		return refusal
	}
	slots, err := s.nearest(ctx, facts)
	if err != nil {
		return refusal.Because(err)
	}
	if len(slots) > 0 {
		refusal.Remedies = &Remedies{Slots: slots}
	}
	return refusal
}

// nearest returns free cells near the requested one that this booking could take: first of the same
// resource, then of the same speciality in the same institution.
func (s *Service) nearest(ctx context.Context, facts *Facts) ([]OfferedSlot, error) {
	copied := *facts // offer sets another place for each cell
	copied.assumeMkab()
	lpu := TargetLpu{LpuPlace: LpuPlace{Guid: facts.Request.LpuTo, Zone: facts.Target.Zone}}
	period := &slotPeriod{lpu: lpu, facts: &copied}
	wanted := facts.Slots[0].Start
	found, err := s.searchNear(ctx, period, wanted, SlotScan{Resource: &facts.Resource.Guid})
	if err != nil || len(found) == mostNearest || facts.Request.Type != Consult {
		return found, err
	}
	others, err := s.searchNear(ctx, period, wanted, SlotScan{Speciality: &facts.Direction.SpecialityCode})
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

// searchNear returns bookable cells around the moment wanted, the nearest first.
func (s *Service) searchNear(
	ctx context.Context, period *slotPeriod, wanted time.Time, scan SlotScan,
) ([]OfferedSlot, error) {
	facts := period.facts
	scan.Lpu, scan.Difficulty, scan.Most = period.lpu.Guid, facts.Request.Difficulty, mostNearestRead
	scan.Access = facts.access()
	scan.FreshSince = facts.Target.FreshSince(facts.Now)
	scan.Person, scan.Now, scan.Own = facts.Patient.Person, facts.Now, facts.Moved.OwnCells(period.lpu.Guid)
	scan.From, scan.To = facts.bookable(wanted.Add(-nearestBefore), wanted.Add(nearestAfter))
	if wanted.Before(facts.Now) {
		wanted = facts.Now
	}
	scan.Restrictions = facts.restrictions(scan.From, scan.To)
	found, err := s.ports.Slots.NearestSlots(ctx, scan, wanted)
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
