package booking

import "slices"

// Name is the stable name of a rule, as sent to clients in `rule` of an error.
type Name string

// Group is the stable name of a part of the catalogue.
type Group string

// Mender is who can fix what a rule rejects: the patient with another choice, the registry by
// correcting the patient's data or a right, the referring doctor with another referral, the client
// application with another request, or the operator of the service.
type Mender string

// Rule is one row of the catalogue in openapi.yaml: a rule and the response to a request that
// breaks it.
type Rule struct {
	check

	Order              int // position in the catalogue, from 0
	Name               Name
	Group              Group
	Status             int    // HTTP status
	Code               string // message_code (Код сообщения)
	Type               Type
	Message            string // in Russian, with the {placeholders} of the source
	Title              string // in English
	Field              string // field of the booking's body; empty if none or any. SlotId includes SlotGuid
	FieldOutOfSchedule string // replaces Field for a visit out of schedule
	Mender             Mender
	Retryable          bool // the same request may succeed later without a change by anybody
	Ours               bool // not in the vendor's table «Возможные ошибки»
}

// Rules are the rules that use cases decide, in the order of the catalogue. The first rule that
// rejects a request determines the response.
var Rules = withChecks(checks, cellChecks)

// bookingRules are the rules of a booking.
var bookingRules = Rules[:1+slices.IndexFunc(Rules, func(r Rule) bool {
	return r.Name == AppointmentNotLinked
})]

var rulesByName = func() map[Name]*Rule {
	byName := make(map[Name]*Rule, len(Rules))
	for i := range Rules {
		byName[Rules[i].Name] = &Rules[i]
	}
	return byName
}()

// Rules that are applied separately.
var (
	slotRules        = rulesOf(GroupSlot, cellChecks)
	restrictionRules = rulesOf(GroupRestriction, cellChecks)
	mipRules         = rulesOf(GroupMip)
)

// withChecks returns a copy of the catalogue with the checks filled in.
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

// Check returns the refusal of the first rule that rejects the facts, or nil. For a move, it first
// checks whether the visit can be moved.
func Check(f *Facts) *Refusal {
	if f.Moved != nil {
		if refusal := f.Moved.rejectMove(f.Patient, f.Now); refusal != nil {
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
func (r *Rule) forbids(f *Facts, known factSet) bool {
	return r.rejects != nil && r.needs&^known == 0 && r.rejects(f)
}

// apply returns the refusal of this rule alone, or nil if the rule accepts the facts or does not
// apply.
func (r *Rule) apply(f *Facts, known factSet) *Refusal {
	if !r.forbids(f, known) {
		return nil
	}
	var values []string
	if r.values != nil {
		values = r.values(f)
	}
	refusal := r.Reject(values...)
	if r.remedies != nil {
		refusal.Remedies = r.remedies(f)
	}
	return refusal
}

// known returns the set of facts that are loaded.
func (f *Facts) known() factSet {
	var known factSet
	for _, fact := range []struct {
		found bool
		facts factSet
	}{
		{f.Request.Type != "", factType},
		{f.Direction != nil, factDirection},
		{f.Direction != nil && f.Direction.Person == f.Patient.Person, factOwnDirection},
		{f.Target != nil, factTarget},
		{len(f.Slots) > 0, factSlot | factPlace},
		{f.Request.Place.OutOfSchedule != nil, factOutOfSchedule | factPlace},
		{f.Resource != nil, factResource},
		{f.Person != nil, factPerson},
		{f.Mkab != nil, factMkab},
	} {
		if fact.found {
			known |= fact.facts
		}
	}
	return known
}
