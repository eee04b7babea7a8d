package booking

import "slices"

// Name is the stable name of a rule, as clients see it in an error's `rule`.
type Name string

// Group is the stable name of the part of the catalogue that a rule is in.
type Group string

// Mender is who can mend what a rule rejects: the patient by another choice, the registry by the patient's data or a right, the referring
// doctor by another referral, the client application by another request, the operator of the service.
type Mender string

// Rule is one row of the catalogue in openapi.yaml: a rule and the response of a request that breaks it.
type Rule struct {
	check

	Order              int // in the whole catalogue, from 0
	Name               Name
	Group              Group
	Status             int    // of HTTP
	Code               string // message_code (Код сообщения)
	Type               Type
	Message            string // in Russian, with {placeholders}, as the source writes them
	Field              string // of the booking's body; empty where the rule is about none or any. SlotId means SlotGuid, too
	FieldOutOfSchedule string // instead of Field, where the visit is out of schedule
	Mender             Mender
	Retryable          bool // the same request may succeed later although nobody changes anything
	Ours               bool // the vendor's table «Возможные ошибки» does not have it
}

// Rules are the rules that use cases decide, in the order of the catalogue: the first that rejects a request makes the response.
var Rules = withChecks(checks, cellChecks)

// bookingRules are those that a booking passes.
var bookingRules = Rules[:1+slices.IndexFunc(Rules, func(r Rule) bool { return r.Name == AppointmentNotLinked })]

var rulesByName = func() map[Name]*Rule {
	byName := make(map[Name]*Rule, len(Rules))
	for i := range Rules {
		byName[Rules[i].Name] = &Rules[i]
	}
	return byName
}()

// The rules that are applied apart from the others.
var (
	slotRules        = rulesOf(GroupSlot, cellChecks)
	restrictionRules = rulesOf(GroupRestriction, cellChecks)
	mipRules         = rulesOf(GroupMip)
)

// withChecks returns the catalogue with checks.
func withChecks(all ...map[Name]check) []Rule {
	rules := slices.Clone(catalogue)
	for i := range rules {
		for _, checks := range all {
			if check, ok := checks[rules[i].Name]; ok {
				rules[i].check = check
			}
		}
	}
	return rules
}

func rulesOf(group Group, checks ...map[Name]check) []Rule {
	return slices.DeleteFunc(withChecks(checks...), func(r Rule) bool { return r.Group != group })
}

// Check returns the refusal of the first rule that rejects the facts, or nil. Of a move it first returns why its visit cannot be moved.
func Check(f *Facts) *Refusal {
	if f.Moved != nil {
		if refusal := f.Moved.refuseMove(f.Now); refusal != nil {
			return refusal
		}
	}
	return firstRefusal(bookingRules, f)
}

func firstRefusal(rules []Rule, f *Facts) *Refusal {
	known := f.known()
	for i := range rules {
		if refusal := rules[i].apply(f, known); refusal != nil {
			return refusal
		}
	}
	return nil
}

// forbids reports whether the rule applies to the facts and rejects them.
func (r *Rule) forbids(f *Facts, known need) bool {
	return r.rejects != nil && r.needs&^known == 0 && r.rejects(f)
}

// apply returns the refusal of this rule alone, or nil where it accepts the facts or does not apply to them.
func (r *Rule) apply(f *Facts, known need) *Refusal {
	if !r.forbids(f, known) {
		return nil
	}
	var values []string
	if r.values != nil {
		values = r.values(f)
	}
	refusal := r.Reject(values...)
	if r.remedies != nil {
		refusal.Details = r.remedies(f)
	}
	return refusal
}

// known returns which facts were found.
func (f *Facts) known() need {
	var known need
	for _, fact := range []struct {
		found bool
		needs need
	}{
		{f.Request.Type != "", aType},
		{f.Direction != nil, aDirection},
		{f.Direction != nil && f.Direction.Person == f.Patient.Person, anOwnDirection},
		{f.Target != nil, aTarget},
		{len(f.Slots) > 0, aSlot | aPlace},
		{f.Request.Place.OutOfSchedule != nil, aVisitOutOfSchedule | aPlace},
		{f.Resource != nil, aResource},
		{f.Person != nil, aPerson},
		{f.Mkab != nil, aMkab},
	} {
		if fact.found {
			known |= fact.needs
		}
	}
	return known
}
