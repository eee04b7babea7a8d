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
	// zone; nil if there is none within the period of a search and its nextAvailable.
	NextAvailable *time.Time
	// BlockedBy is the refusal that applies to every cell of the institution, or nil.
	BlockedBy *Refusal
}

// mostLooked is the number of institutions that a page of the directory looks at. Most of a
// region's institutions have no cells for a referral.
const mostLooked = 500

// Institutions returns a page of the institutions that have future cells for the patient's
// referral, ordered by guid, and the guid after which the next page begins, nil if there is none.
// A page may have fewer institutions than limit, even none, although another page follows.
// Institutions rejects with DirectionAbsent if the patient has no such referral.
func (s *Service) Institutions(
	ctx context.Context, patient Patient, direction uuid.UUID, limit int, after uuid.UUID,
) ([]ServingLpu, *uuid.UUID, error) {
	now := s.now()
	request := Request{Direction: direction, Difficulty: 1}
	wanted := TargetFilter{Page: true, After: after, Most: mostLooked + 1}
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
		to := from.AddDate(0, 0, searchDays+nextAvailableDays)
		periods[i] = slotPeriod{lpu: lpu, facts: facts[i], from: from, to: to}
		periods[i].facts.assumeMkab()
	}
	var next *uuid.UUID
	if len(periods) > mostLooked {
		periods = periods[:mostLooked]
		next = &periods[mostLooked-1].lpu.Guid
	}
	resources, err := s.resourcesWithSlots(ctx, targets, periods, nil)
	if err != nil {
		return nil, nil, err
	}
	var serving []ServingLpu
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
			found.NextAvailable, err = s.nextAvailable(ctx, SlotSearch{}, targets, periods[i:i+1])
			if err != nil {
				return nil, nil, err
			}
		}
		serving = append(serving, found)
	}
	return serving, next, nil
}
