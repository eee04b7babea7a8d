package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Check says of each rule of a booking, in their order, how it stands towards this one, and writes nothing. No rule has failed where Book would succeed
// at the same moment; else Book would answer the first that has. It answers an error where Book would fail without a rule of that order.
func (s *Service) Check(ctx context.Context, patient Patient, request Request) ([]Verdict, error) {
	facts, err := s.store.Facts(ctx, patient, request, s.now())
	if err != nil {
		return nil, fmt.Errorf("load the facts: %w", err)
	}
	var unknown *Refusal
	if facts.Mkab == nil && facts.Target != nil && facts.Target.CreatesMkab {
		facts.Person, err = s.index.Person(ctx, patient.Person)
		known := err == nil || errors.As(err, &unknown) && rulesByName[unknown.Rule].Group == GroupMip
		switch {
		case known:
		case Check(facts) != nil:
			unknown = nil // a booking would not have come to ask
		default:
			return nil, fmt.Errorf("ask the master patient index: %w", err)
		}
	}
	said := verdicts(facts, unknown)
	first := slices.IndexFunc(said, func(v Verdict) bool { return v.Result == Failed })
	if first >= 0 && said[first].Rule == SlotFull { // what a booking would answer, with the same way out
		asked := *facts
		asked.Person = nil // a booking would not have asked the index before this rule
		said[first].Details = s.offerNearest(ctx, &asked, Refuse(SlotFull)).Details
	}
	return said, nil
}
