package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Result is how a rule judges a booking.
type Result string

// The results. A rule that does not concern the booking has passed. A rule whose facts are unknown, or that only the write decides, is not
// evaluated.
const (
	Passed       Result = "passed"
	Failed       Result = "failed"
	NotEvaluated Result = "not_evaluated"
)

// Verdict is the judgement of one rule on a booking.
type Verdict struct {
	Order   int // of the rule in the catalogue
	Rule    Name
	Result  Result
	Message string   // with its placeholders filled; empty unless the rule failed
	Details *Details // what the patient can do next, where the rule failed and something can be done
	Field   string   // of this request; empty where the rule is about none
	Mender  Mender
}

// Check returns the verdict of every rule of a booking, in the order of the catalogue, and writes nothing. None has failed where Book would
// succeed at the same moment; otherwise Book would reject with the first that has. It returns an error where Book would fail without a
// rule of that order.
func (s *Service) Check(ctx context.Context, patient Patient, request Request) ([]Verdict, error) {
	facts, err := s.store.Facts(ctx, patient, request, s.now())
	if err != nil {
		return nil, fmt.Errorf("load the facts: %w", err)
	}
	var unknownPerson *Refusal
	if facts.Mkab == nil && facts.Target != nil && facts.Target.CreatesMkab {
		facts.Person, err = s.index.Person(ctx, patient.Person)
		decided := err == nil || errors.As(err, &unknownPerson) && rulesByName[unknownPerson.Rule].Group == GroupMip
		switch {
		case decided:
		case Check(facts) != nil:
			unknownPerson = nil // a booking would have been rejected before it reached the index
		default:
			return nil, fmt.Errorf("ask the master patient index: %w", err)
		}
	}
	verdicts := judge(facts, unknownPerson)
	first := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Result == Failed })
	if first >= 0 && verdicts[first].Rule == SlotFull { // the same remedies as a booking's
		withoutPerson := *facts
		withoutPerson.Person = nil // a booking reaches the index only after this rule
		verdicts[first].Details = s.offerNearest(ctx, &withoutPerson, Reject(SlotFull)).Details
	}
	return verdicts, nil
}

// judge returns the verdict of each rule by itself. A card that can be made counts as made. unknownPerson is why the master patient index
// returned no person, or nil.
func judge(f *Facts, unknownPerson *Refusal) []Verdict {
	known, irrelevant := f.known()|aMkab, f.irrelevant()
	verdicts := make([]Verdict, 0, len(bookingRules))
	for i := range bookingRules {
		rule := &bookingRules[i]
		verdict := Verdict{Order: rule.Order, Rule: rule.Name, Result: Passed, Field: rule.fieldOf(f.Request.Place), Mender: rule.Mender}
		missing := rule.needs &^ known
		refusal := rule.apply(f, known)
		if unknownPerson != nil && rule.needs == aPerson && rule.rejects == nil {
			// The index decides these rules in their order: those before its refusal passed, and the rest need no person.
			refusal, missing = nil, 0
			if rule.Name == unknownPerson.Rule {
				refusal, unknownPerson = unknownPerson, nil
			}
		}
		switch {
		case refusal != nil:
			verdict.Result, verdict.Message, verdict.Details = Failed, refusal.Message, refusal.Details
		case missing != 0 && missing&irrelevant == 0:
			verdict.Result = NotEvaluated
		}
		verdicts = append(verdicts, verdict)
	}
	return verdicts
}

// irrelevant returns the facts that do not concern this booking, whether they are known or not.
func (f *Facts) irrelevant() need {
	irrelevant := aVisitOutOfSchedule
	if f.Request.Place.OutOfSchedule != nil {
		irrelevant = aSlot
	}
	if f.Mkab != nil && !f.Mkab.Closed {
		irrelevant |= aPerson
	}
	return irrelevant
}

const slotID = "SlotId"

// fieldOf returns the field of the request that the rule is about, as the request names the place; empty where it is about none.
func (r *Rule) fieldOf(place Place) string {
	switch {
	case place.OutOfSchedule != nil && r.FieldOutOfSchedule != "":
		return r.FieldOutOfSchedule
	case place.OutOfSchedule != nil && r.Field == slotID:
		return "" // there is no cell
	case place.OutOfSchedule == nil && place.SlotID == 0 && r.Field == slotID:
		return "SlotGuid"
	default:
		return r.Field
	}
}
