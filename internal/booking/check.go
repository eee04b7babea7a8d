package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Result is the result of a rule for a booking.
type Result string

// The results. A rule that does not concern the booking has passed. A rule is not evaluated if its
// facts are unknown or only the write decides it.
const (
	Passed       Result = "passed"
	Failed       Result = "failed"
	NotEvaluated Result = "not_evaluated"
)

// Verdict is the result of one rule for a booking.
type Verdict struct {
	Order    int // position of the rule in the catalogue
	Rule     Name
	Result   Result
	Message  string    // with its placeholders filled; empty unless the rule failed
	Remedies *Remedies // nil if the rule passed or there are none
	Field    string    // field of this request; empty if none
	Mender   Mender
}

// Check returns the verdict of every rule of a booking, in the order of the catalogue, and writes
// nothing. If no rule fails, Book would succeed at the same moment. Otherwise Book would return the
// first failed rule. Check returns an error if Book would fail without a rule of that order.
func (s *Service) Check(ctx context.Context, patient Patient, request Request) ([]Verdict, error) {
	facts, err := s.ports.Reader.Facts(ctx, patient, request, s.now())
	if err != nil {
		return nil, fmt.Errorf("load the facts: %w", err)
	}
	var unknownPerson *Refusal
	if facts.Mkab == nil && facts.Target != nil && facts.Target.CreatesMkab {
		facts.Person, err = s.ports.Index.Person(ctx, patient.Person)
		decided := err == nil || errors.As(err, &unknownPerson) && rulesByName[unknownPerson.Rule].Group == GroupMip
		switch {
		case decided:
		case Check(facts) != nil:
			unknownPerson = nil // a booking would have been rejected before it reached the index
		default:
			return nil, fmt.Errorf("query the master patient index: %w", err)
		}
	}
	verdicts := evaluate(facts, unknownPerson)
	first := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Result == Failed })
	if first >= 0 && verdicts[first].Rule == SlotFull { // the same remedies as a booking's
		withoutPerson := *facts
		withoutPerson.Person = nil // a booking reaches the index only after this rule
		verdicts[first].Remedies = s.addNearest(ctx, &withoutPerson, Reject(SlotFull)).Remedies
	}
	return verdicts, nil
}

// evaluate returns the verdict of each rule separately. It assumes that a missing card can be
// created. unknownPerson is the refusal of the master patient index, or nil.
func evaluate(f *Facts, unknownPerson *Refusal) []Verdict {
	known, irrelevant := f.known()|factMkab, f.irrelevant()
	verdicts := make([]Verdict, 0, len(bookingRules))
	for i := range bookingRules {
		rule := &bookingRules[i]
		verdict := Verdict{
			Order: rule.Order, Rule: rule.Name, Result: Passed,
			Field: rule.fieldOf(f.Request.Place), Mender: rule.Mender,
		}
		missing := rule.needs &^ known
		refusal := rule.apply(f, known)
		if unknownPerson != nil && rule.needs == factPerson && rule.rejects == nil {
			// The index decides these rules in their order: those before its refusal passed, and
			// the rest need no person.
			refusal, missing = nil, 0
			if rule.Name == unknownPerson.Rule {
				refusal, unknownPerson = unknownPerson, nil
			}
		}
		switch {
		case refusal != nil:
			verdict.Result, verdict.Message, verdict.Remedies = Failed, refusal.Message, refusal.Remedies
		case missing != 0 && missing&irrelevant == 0:
			verdict.Result = NotEvaluated
		}
		verdicts = append(verdicts, verdict)
	}
	return verdicts
}

// irrelevant returns the facts that do not concern this booking, whether they are known or not.
func (f *Facts) irrelevant() factSet {
	irrelevant := factOutOfSchedule
	if f.Request.Place.OutOfSchedule != nil {
		irrelevant = factSlot
	}
	if f.Mkab != nil && !f.Mkab.Closed {
		irrelevant |= factPerson
	}
	return irrelevant
}

const slotID = "SlotId"

// fieldOf returns the field that the rule is about, by the name that this request uses for the
// place. It is empty if there is none.
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
