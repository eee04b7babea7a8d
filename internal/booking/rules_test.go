package booking

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

var moscow = zone("Europe/Moscow")

func zone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return zone
}

// day returns a date as the database returns it.
func day(text string) time.Time {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return day
}

// allowedFacts returns facts that every rule allows: an adult, three adjacent free cells of which
// the visit takes two, and a card. They also contain the person's data from the master patient
// index, so that its rules can be broken.
func allowedFacts() *Facts {
	entity, person := uuid.New(), uuid.New()
	request := Request{
		Direction: uuid.New(), Type: Consult, LpuFrom: uuid.New(), LpuTo: uuid.New(), Place: Place{SlotID: 1},
		Difficulty: 2,
	}
	facts := &Facts{
		Now:     time.Date(2019, 8, 20, 17, 52, 14, 0, moscow),
		Patient: Patient{Person: person, Client: uuid.New()},
		Request: request,
		Direction: &IssuedDirection{
			Direction: Direction{
				Guid: request.Direction, Type: Consult, SpecialityCode: "92", LpuFrom: request.LpuFrom,
				LpuTo: &request.LpuTo,
			},
			Person: person, BirthDate: day("1980-02-29"),
			HolderZone: moscow, HolderLegalEntity: entity, FromLegalEntity: entity, ToLegalEntity: &entity,
		},
		Target: &Lpu{
			LegalEntity: entity, Zone: moscow, Settings: Settings{OneActivePerSpeciality: true, CreatesMkab: true},
			PolyclinicCodeIsOwn: true,
			Rights:              Rights{SameLpu: AccessInternet, OtherLpu: AccessInternet, OutOfSchedule: true},
		},
		Resource: &Resource{Guid: uuid.New(), Kind: Doctor, Name: "Врач Терапевт", SpecialityCode: "92", Active: true},
		Mkab:     &Mkab{Guid: uuid.New()},
		Active: []ActiveAppointment{{
			SpecialityCode: "7", ResourceName: "Кабинет 7", ExistingAppointment: existingAppointment(),
		}},
		Person: &Person{
			Guid: person, Surname: "Пациент", Name: "Первый", BirthDate: day("1980-02-29"), Sex: Male,
			PolicyNumber: "1234567890123456",
		},
	}
	for i := range 3 {
		start := time.Date(2019, 8, 21, 5, 45+15*i, 0, 0, time.UTC)
		facts.Slots = append(facts.Slots, Slot{
			Guid: uuid.New(), Start: start, End: start.Add(15 * time.Minute), Capacity: 1,
			Access: AccessInternet | AccessRegistry, Reception: true,
			Restriction: Unrestricted,
		})
	}
	return facts
}

// allowedFactsOutOfSchedule returns facts of a visit out of schedule that every rule allows.
func allowedFactsOutOfSchedule() *Facts {
	facts := allowedFacts()
	facts.Slots = nil
	facts.Request.Difficulty = 1
	facts.Request.Place = Place{OutOfSchedule: &OutOfSchedule{
		Resource: facts.Resource.Guid, Date: VisitDate{reading: time.Date(2019, 8, 21, 9, 0, 0, 0, moscow)},
	}}
	return facts
}

// breaker breaks one rule that depends on the facts, and no other if that is possible.
type breaker struct {
	rule          Name
	cell          func(*Facts) // for a visit to a cell
	outOfSchedule func(*Facts) // for a visit out of schedule; either is nil if the rule does not apply
}

// breakerOfBoth breaks a rule of visits in a cell and out of schedule.
func breakerOfBoth(rule Name, breaks func(*Facts)) breaker { return breaker{rule, breaks, breaks} }

// restrictCell restricts the cell and sets the birth date of the patient.
func restrictCell(restriction Restriction, birthDate string) func(*Facts) {
	return func(f *Facts) {
		f.Slots[0].Restriction = restriction
		f.Direction.BirthDate = day(birthDate)
	}
}

// breakers has the order in which the rules are evaluated.
var breakers = []breaker{
	{FieldInvalid, nil, func(f *Facts) {
		f.Request.Place.OutOfSchedule.Date.reading = f.Now.Add(VisitDateHorizon + time.Microsecond)
	}},
	breakerOfBoth(DirectionTypeUnsupported, func(f *Facts) { f.Request.Type = "" }),
	breakerOfBoth(DirectionNotFound, func(f *Facts) { f.Direction = nil }),
	breakerOfBoth(DirectionNotPatients, func(f *Facts) { f.Patient.Person = uuid.New() }),
	breakerOfBoth(DirectionLpuMismatch, func(f *Facts) { f.Direction.HolderLegalEntity = uuid.New() }),
	breakerOfBoth(DirectionAlreadyBooked, func(f *Facts) { f.Direction.Appointment = new(existingAppointment()) }),
	breakerOfBoth(DirectionExpired, func(f *Facts) {
		f.Target.DirectionExpires, f.Direction.DateEnd = true, day("2019-08-19")
	}),

	{SlotNotFound, func(f *Facts) { f.Slots = nil }, nil},
	breakerOfBoth(SlotResourceNotFound, func(f *Facts) { f.Resource.Active = false }),
	{ScheduleStale, func(f *Facts) { f.Target.ScheduleFreshHours, f.Resource.Stale = 24, true }, nil},
	{SlotNotForReception, func(f *Facts) { f.Slots[0].Reception = false }, nil},
	{SlotUnavailable, func(f *Facts) { f.Slots[0].Blocked = true }, nil},
	{
		SlotTimePassed,
		func(f *Facts) { f.Slots[0].Start = f.Now.Add(-time.Microsecond) },
		func(f *Facts) { f.Request.Place.OutOfSchedule.Date.reading = f.Now.Add(-time.Microsecond) },
	},
	breakerOfBoth(SlotBeyondHorizon, func(f *Facts) { f.Target.ScheduleDays = new(0) }),
	{
		SlotAccessDenied,
		func(f *Facts) {
			f.Target.Rights = Rights{SameLpu: ^AccessInternet, OtherLpu: AccessCallCenter, OutOfSchedule: true}
		},
		func(f *Facts) { f.Target.Rights.OutOfSchedule = false },
	},
	{SlotFull, func(f *Facts) { f.Slots[0].Taken = f.Slots[0].Capacity }, nil},

	breakerOfBoth(ResourceKindMismatch, func(f *Facts) { f.Resource.Kind = Equipment }),
	breakerOfBoth(SpecialityMismatch, func(f *Facts) { f.Resource.SpecialityCode = "93" }),

	{SlotAdultsOnly, restrictCell(AdultsOnly, "2010-01-01"), nil},
	{SlotChildrenOnly, restrictCell(ChildrenOnly, "1980-02-29"), nil},
	{SlotInfantsOnly, restrictCell(InfantsOnly, "1980-02-29"), nil},
	{SlotDisabledOnly, restrictCell(DisabledOnly, "1980-02-29"), nil},
	{SlotPregnantOnly, restrictCell(PregnantOnly, "1980-02-29"), nil},
	{SlotHealthyChildrenOnly, func(f *Facts) {
		restrictCell(HealthyChildrenOnly, "2010-01-01")(f)
		f.TapOpened = new(day("2019-08-13"))
	}, nil},

	breakerOfBoth(SpecialityAlreadyBooked, func(f *Facts) { f.Active[0].SpecialityCode = "92" }),

	breakerOfBoth(MkabClosed, func(f *Facts) { f.Mkab.Closed = true }),
	breakerOfBoth(MkabAbsent, func(f *Facts) { f.Mkab, f.Target.CreatesMkab = nil, false }),
	breakerOfBoth(MkabPolicyNumberEmpty, func(f *Facts) { f.Person.PolicyNumber = "" }),
	breakerOfBoth(MkabSexEmpty, func(f *Facts) { f.Person.Sex = "" }),
	breakerOfBoth(MkabSurnameEmpty, func(f *Facts) { f.Person.Surname = "" }),
	breakerOfBoth(MkabNameEmpty, func(f *Facts) { f.Person.Name = "" }),
	breakerOfBoth(MkabLpuNotFound, func(f *Facts) { f.Target.PolyclinicCodeIsOwn = false }),

	{ComplexSlotFailed, func(f *Facts) { f.Slots[1].Blocked = true }, nil},
}

var (
	rulesOfConsultations = []Name{ResourceKindMismatch, SpecialityMismatch, SpecialityAlreadyBooked}
	rulesOfRestrictions  = []Name{
		SlotAdultsOnly, SlotChildrenOnly, SlotInfantsOnly, SlotDisabledOnly, SlotPregnantOnly, SlotHealthyChildrenOnly,
	}
	rulesOfTheReferral = []Name{
		DirectionNotPatients, DirectionLpuMismatch, DirectionAlreadyBooked, DirectionExpired, SpecialityMismatch,
		SpecialityAlreadyBooked, ComplexSlotFailed,
	}
	rulesOfTheCell = []Name{
		ScheduleStale, SlotNotForReception, SlotUnavailable, SlotTimePassed, SlotBeyondHorizon, SlotAccessDenied,
		SlotFull, ComplexSlotFailed,
	}
)

func isAmong(name Name, names ...[]Name) bool {
	return slices.Contains(slices.Concat(names...), name)
}

// exclusive reports whether a visit cannot break both rules. A date is not both past and beyond a
// horizon. Rules about absent facts do not fail. A referral of unknown type is no consultation. A
// cell has one restriction.
func exclusive(first, second Name) bool {
	switch first {
	case FieldInvalid:
		return second == SlotTimePassed
	case DirectionTypeUnsupported:
		return isAmong(second, rulesOfConsultations)
	case DirectionNotFound:
		return isAmong(second, rulesOfTheReferral, rulesOfRestrictions)
	case SlotTimePassed:
		return second == SlotBeyondHorizon
	case SlotNotFound:
		return isAmong(second, rulesOfTheCell, rulesOfRestrictions)
	case MkabClosed:
		return second == MkabAbsent
	default:
		return isAmong(first, rulesOfRestrictions) && isAmong(second, rulesOfRestrictions)
	}
}

// Promise: of several broken rules the first in the domain's order rejects the booking.
func TestOrderOfRules(t *testing.T) {
	t.Parallel()
	var decided []Name
	for _, rule := range Rules {
		if rule.rejects != nil {
			decided = append(decided, rule.Name)
		}
	}
	var known []Name
	for _, b := range breakers {
		known = append(known, b.rule)
	}
	require.Equal(t, known, decided, "each rule that depends on facts has a breaker, in the domain's order")

	for _, base := range []struct {
		name           string
		facts          func() *Facts
		breaks         func(breaker) func(*Facts)
		exclusivePairs int
	}{
		{"cell", allowedFacts, func(b breaker) func(*Facts) { return b.cell }, 47},
		{"out of schedule", allowedFactsOutOfSchedule, func(b breaker) func(*Facts) { return b.outOfSchedule }, 12},
	} {
		require.Nil(t, Check(base.facts()), base.name)
		exclusivePairs := 0
		for i, first := range breakers {
			breakFirst := base.breaks(first)
			if breakFirst == nil {
				continue
			}
			alone := base.facts()
			breakFirst(alone)
			requireRefusal(t, alone, first.rule, base.name)
			for _, second := range breakers[i+1:] {
				breakSecond := base.breaks(second)
				if breakSecond == nil {
					continue
				}
				if exclusive(first.rule, second.rule) {
					exclusivePairs++
					continue
				}
				where := base.name + ": " + string(first.rule) + " before " + string(second.rule)
				both := base.facts()
				breakSecond(both) // first, because the other breaker may remove what it changes
				breakFirst(both)
				requireRefusal(t, both, first.rule, where)
				require.True(t, rulesByName[second.rule].rejects(both), "%s: the second rule is broken as well", where)
			}
		}
		require.Equal(t, base.exclusivePairs, exclusivePairs, "%s: all other pairs are tried", base.name)
	}
}

// Promise: each rule can be evaluated by itself, whatever facts are missing and whatever other
// rules are broken.
func TestEachRuleWithoutFacts(t *testing.T) {
	t.Parallel()
	missing := []func(*Facts){
		func(f *Facts) { f.Direction = nil },
		func(f *Facts) { f.Target = nil },
		func(f *Facts) { f.Slots = nil },
		func(f *Facts) { f.Resource = nil },
		func(f *Facts) { f.Mkab = nil },
		func(f *Facts) { f.TapOpened = nil },
		func(f *Facts) { f.Active = nil },
		func(f *Facts) { f.Person = nil },
	}
	rejecting := map[Name]bool{}
	evaluate := func(base func() *Facts, breaks func(*Facts), without int, where string) {
		facts := base()
		facts.TapOpened = new(day("2019-08-13"))
		breaks(facts)
		for i, remove := range missing {
			if without&(1<<i) != 0 {
				remove(facts)
			}
		}
		var row Name
		defer func() {
			require.Nil(t, recover(), "%s, without %08b: %s", where, without, row)
		}()
		for i := range Rules {
			row = Rules[i].Name
			if refusal := Rules[i].apply(facts, facts.known()); refusal != nil {
				require.Equal(t, row, refusal.Rule)
				rejecting[row] = true
			}
		}
		row = "all of them"
		requireVerdictsMatch(t, facts)
	}
	for _, b := range breakers {
		for without := range 1 << len(missing) {
			if b.cell != nil {
				evaluate(allowedFacts, b.cell, without, "cell: "+string(b.rule))
			}
			if b.outOfSchedule != nil {
				evaluate(allowedFactsOutOfSchedule, b.outOfSchedule, without, "out of schedule: "+string(b.rule))
			}
		}
	}
	require.Len(t, rejecting, len(breakers), "each rule has rejected a booking")
}

// requireVerdictsMatch requires that the first failed verdict is the rule of the refusal. A card
// that can be created counts as existing.
func requireVerdictsMatch(t *testing.T, f *Facts) {
	t.Helper()
	refusal := Check(f)
	for i, verdict := range evaluate(f, nil) {
		require.Equal(t, bookingRules[i].Name, verdict.Rule)
		if verdict.Result != Failed {
			require.Empty(t, verdict.Message)
			continue
		}
		if refusal == nil && f.Mkab == nil && verdict.Rule == ComplexSlotFailed {
			return
		}
		require.NotNil(t, refusal, verdict.Rule)
		require.Equal(t, refusal.Rule, verdict.Rule)
		require.Equal(t, refusal.Message, verdict.Message)
		return
	}
	require.Nil(t, refusal)
}

func requireRefusal(t *testing.T, f *Facts, rule Name, where ...any) {
	t.Helper()
	refusal := Check(f)
	require.NotNil(t, refusal, where...)
	require.Equal(t, rule, refusal.Rule, where...)
	require.NotContains(t, refusal.Message, "{", "a placeholder was not filled")
}

// Promise: the rules about the cell do not apply to a visit out of schedule.
func TestOutOfScheduleHasNoCell(t *testing.T) {
	t.Parallel()
	facts := allowedFactsOutOfSchedule()
	facts.TapOpened = new(day("2019-08-13"))
	facts.Target.Rights.SameLpu, facts.Target.Rights.OtherLpu = 0, 0
	require.Nil(t, Check(facts))
	facts.Resource = nil
	requireRefusal(t, facts, SlotResourceNotFound)
	// The right to take every cell does not include booking out of schedule.
	facts = allowedFactsOutOfSchedule()
	facts.Target.Rights = Rights{SameLpu: -1, OtherLpu: -1}
	requireRefusal(t, facts, SlotAccessDenied)
}

// Promise: without a card the rules before it are evaluated first. Then follow whether it may be
// created, what the master patient index lacks and, once the card exists, the complex slot.
func TestRulesWithoutMkab(t *testing.T) {
	t.Parallel()
	facts := allowedFacts()
	facts.Mkab, facts.Person = nil, nil
	facts.Slots[1].Blocked = true
	require.Nil(t, Check(facts), "it may be created")
	facts.Person = &Person{}
	facts.Target.PolyclinicCodeIsOwn = false
	requireRefusal(t, facts, MkabPolicyNumberEmpty)
	facts.Person.PolicyNumber = "1"
	requireRefusal(t, facts, MkabSexEmpty)
	facts.Person.Sex = Female
	requireRefusal(t, facts, MkabSurnameEmpty)
	facts.Person.Surname = "Ж"
	requireRefusal(t, facts, MkabNameEmpty)
	facts.Person.Name = "Ж"
	requireRefusal(t, facts, MkabLpuNotFound)
	facts.Target.PolyclinicCodeIsOwn = true
	require.Nil(t, Check(facts))
	facts.Mkab = &Mkab{Guid: uuid.New()}
	requireRefusal(t, facts, ComplexSlotFailed)
}

// Promise: the institutions of the referral and of the request belong to one legal entity: the
// sources to one, and the targets to one if the referral names a target.
func TestLegalEntities(t *testing.T) {
	t.Parallel()
	one, other := uuid.New(), uuid.New()
	for _, c := range []struct {
		holder, from, target uuid.UUID
		to                   *uuid.UUID
		refused              bool
	}{
		{one, one, one, &one, false},
		{one, one, other, &other, false}, // source and target may differ
		{one, other, one, &one, true},
		{one, one, one, &other, true},
		{one, one, other, &one, true},
		{one, one, other, nil, false},
		{one, other, other, nil, true},
	} {
		facts := allowedFacts()
		facts.Direction.HolderLegalEntity = c.holder
		facts.Direction.FromLegalEntity, facts.Direction.ToLegalEntity = c.from, c.to
		facts.Target.LegalEntity = c.target
		if c.refused {
			requireRefusal(t, facts, DirectionLpuMismatch)
		} else {
			require.Nil(t, Check(facts), "%+v", c)
		}
	}
	facts := allowedFacts()
	facts.Target, facts.Slots, facts.Resource = nil, nil, nil
	requireRefusal(t, facts, DirectionLpuMismatch, "the target does not exist")
	facts.Direction.ToLegalEntity = nil
	requireRefusal(t, facts, SlotNotFound, "an institution that does not exist has no cells")
}

// Promise: a consultation requires a doctor or a cabinet of the referral's speciality. An
// examination accepts every resource.
func TestResourceOfADirection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind       DirectionType
		resource   ResourceKind
		speciality string
		rule       Name
	}{
		{Consult, Doctor, "92", ""},
		{Consult, Room, "92", ""},
		{Consult, Equipment, "92", ResourceKindMismatch},
		{Consult, Doctor, "092", SpecialityMismatch},
		{Consult, Room, "", SpecialityMismatch},
		{Laboratory, Doctor, "", ""},
		{Laboratory, Room, "7", ""},
		{Laboratory, Equipment, "7", ""},
	} {
		facts := allowedFacts()
		facts.Request.Type, facts.Direction.Type = c.kind, c.kind
		facts.Resource.Kind, facts.Resource.SpecialityCode = c.resource, c.speciality
		requireRule(t, facts, c.rule)
	}
}

// requireRule requires that the rule rejects the facts. An empty name requires that no rule does.
func requireRule(t *testing.T, f *Facts, rule Name, where ...any) {
	t.Helper()
	if rule == "" {
		require.Nil(t, Check(f), where...)
		return
	}
	requireRefusal(t, f, rule, where...)
}

// Promise: a cell can be taken until the moment at which it starts.
func TestCellThatStartsNow(t *testing.T) {
	t.Parallel()
	facts := allowedFacts()
	facts.Now = facts.Slots[0].Start
	require.Nil(t, Check(facts))
	facts.Now = facts.Now.Add(1)
	requireRefusal(t, facts, SlotTimePassed)
}

// Promise: a cell takes as many visits as its capacity.
func TestCapacity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		taken, capacity int32
		rule            Name
	}{{0, 1, ""}, {1, 1, SlotFull}, {2, 3, ""}, {3, 3, SlotFull}, {0, 0, SlotFull}} {
		facts := allowedFacts()
		facts.Slots[0].Taken, facts.Slots[0].Capacity = c.taken, c.capacity
		requireRule(t, facts, c.rule, "%+v", c)
	}
}

// Promise: a client can take a cell if their access masks share a bit. Whether source and target
// institution differ decides which mask of the client applies. Nobody can take a cell without bits.
func TestRights(t *testing.T) {
	t.Parallel()
	bits := map[Access]int{
		AccessRegistry: 1, AccessDoctor: 2, AccessInternet: 4, AccessDoctorOtherLpu: 8, AccessInfomat: 16,
		AccessCallCenter: 64,
	}
	require.Len(t, bits, 6)
	for cell, documented := range bits {
		require.EqualValues(t, documented, cell)
		for client := range bits {
			for _, same := range []bool{true, false} {
				facts := allowedFacts()
				facts.Slots[0].Access, facts.Slots[1].Access, facts.Slots[2].Access = cell, cell, cell
				if same {
					facts.Request.LpuTo = facts.Request.LpuFrom
					facts.Target.Rights = Rights{SameLpu: client, OtherLpu: ^client}
				} else {
					facts.Target.Rights = Rights{SameLpu: ^client, OtherLpu: client}
				}
				rule := SlotAccessDenied
				if cell == client {
					rule = ""
				}
				requireRule(t, facts, rule, "cell %d, client %d, same LPU %t", cell, client, same)
			}
		}
	}
	facts := allowedFacts()
	facts.Slots[0].Access, facts.Target.Rights.OtherLpu = 0, -1
	requireRefusal(t, facts, SlotUnavailable)
}

// Promise: age is counted in whole years on the day of the visit, in the zone of the target
// institution. A person born on 29 February comes of age on 1 March of a common year.
func TestAge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		born, visit, zone string
		age               int
	}{
		{"2001-08-22", "2019-08-21T08:45:00+03:00", "Europe/Moscow", 17}, // 17 years and 364 days
		{"2001-08-21", "2019-08-21T08:45:00+03:00", "Europe/Moscow", 18}, // the 18th birthday
		{"2001-08-20", "2019-08-21T08:45:00+03:00", "Europe/Moscow", 18},
		{"2001-09-01", "2019-08-31T08:45:00+03:00", "Europe/Moscow", 17},
		{"2001-07-31", "2019-08-01T08:45:00+03:00", "Europe/Moscow", 18},
		{"2001-12-31", "2020-01-01T08:45:00+03:00", "Europe/Moscow", 18},
		{"2002-01-01", "2019-12-31T08:45:00+03:00", "Europe/Moscow", 17},
		{"2004-02-29", "2022-02-28T23:59:59+03:00", "Europe/Moscow", 17},
		{"2004-02-29", "2022-03-01T00:00:00+03:00", "Europe/Moscow", 18},
		{"2002-02-28", "2020-02-28T08:45:00+03:00", "Europe/Moscow", 18},
		{"2002-03-01", "2020-02-29T08:45:00+03:00", "Europe/Moscow", 17},
		{"2018-08-22", "2019-08-21T08:45:00+03:00", "Europe/Moscow", 0},
		{"2018-08-21", "2019-08-21T08:45:00+03:00", "Europe/Moscow", 1}, // the first birthday
		{"2020-02-29", "2021-02-28T08:45:00+03:00", "Europe/Moscow", 0},
		{"2020-02-29", "2021-03-01T08:45:00+03:00", "Europe/Moscow", 1},
		{"2019-08-21", "2019-08-21T08:45:00+03:00", "Europe/Moscow", 0},
		// It is the 21st in Moscow, and the 20th in UTC and in Kaliningrad.
		{"2001-08-21", "2019-08-20T21:30:00Z", "Europe/Moscow", 18},
		{"2001-08-21", "2019-08-20T21:30:00Z", "Europe/Kaliningrad", 17},
		{"2001-08-21", "2019-08-20T13:00:00Z", "Asia/Kamchatka", 18},
		{"2001-08-21", "2019-08-21T00:30:00Z", "America/New_York", 17},
		{"2001-08-21", "2019-08-21T04:00:00Z", "America/New_York", 18},
	} {
		facts := allowedFacts()
		facts.Now = day("2019-01-01")
		facts.Request.Difficulty = 1
		facts.Direction.BirthDate = day(c.born)
		facts.Target.Zone = zone(c.zone)
		start, err := time.Parse(time.RFC3339, c.visit)
		require.NoError(t, err)
		facts.Slots = facts.Slots[:1]
		facts.Slots[0].Start, facts.Slots[0].End = start.UTC(), start.UTC().Add(time.Hour)
		require.Equal(t, c.age, facts.age(), "%+v", c)

		for restriction, refused := range map[Restriction]map[bool]Name{
			AdultsOnly:          {c.age < 18: SlotAdultsOnly},
			ChildrenOnly:        {c.age >= 18: SlotChildrenOnly},
			HealthyChildrenOnly: {c.age >= 18: SlotChildrenOnly},
			InfantsOnly:         {c.age >= 1: SlotInfantsOnly},
		} {
			facts.Slots[0].Restriction = restriction
			requireRule(t, facts, refused[true], "%s: %+v", restriction, c)
		}
	}
}

// Promise: each restriction of a cell accepts its group only. A cell for healthy children rejects
// every adult because of age, and a child with an open case of treatment. An open case has no other
// effect.
func TestRestrictions(t *testing.T) {
	t.Parallel()
	const adult, child, infant = "1980-02-29", "2010-01-01", "2019-01-01"
	ill := new(day("2019-08-03"))
	type patient struct {
		born               string
		disabled, pregnant bool
		tap                *time.Time
	}
	patients := map[string]patient{
		"adult": {born: adult}, "child": {born: child}, "infant": {born: infant},
		"disabled adult": {born: adult, disabled: true}, "disabled child": {born: child, disabled: true},
		"pregnant": {born: adult, pregnant: true}, "ill adult": {born: adult, tap: ill},
		"ill child": {born: child, tap: ill}, "ill infant": {born: infant, tap: ill},
	}
	adults := []string{"adult", "disabled adult", "pregnant", "ill adult"}
	children := []string{"child", "disabled child", "ill child"}
	infants := []string{"infant", "ill infant"}
	refusals := map[Restriction]map[Name][]string{
		Unrestricted: {},
		AdultsOnly:   {SlotAdultsOnly: append(children, infants...)},
		ChildrenOnly: {SlotChildrenOnly: adults},
		InfantsOnly:  {SlotInfantsOnly: append(children, adults...)},
		DisabledOnly: {SlotDisabledOnly: {
			"adult", "child", "infant", "pregnant", "ill adult", "ill child", "ill infant",
		}},
		PregnantOnly: {SlotPregnantOnly: {
			"adult", "child", "infant", "disabled adult", "disabled child", "ill adult", "ill child", "ill infant",
		}},
		HealthyChildrenOnly: {SlotChildrenOnly: adults, SlotHealthyChildrenOnly: {"ill child", "ill infant"}},
	}
	for restriction, refused := range refusals {
		for name, who := range patients {
			facts := allowedFacts()
			facts.Slots[0].Restriction = restriction
			facts.Direction.BirthDate, facts.Direction.Disabled, facts.Direction.Pregnant = day(
				who.born), who.disabled, who.pregnant
			facts.TapOpened = who.tap
			var rule Name
			for rejecting, names := range refused {
				if slices.Contains(names, name) {
					rule = rejecting
				}
			}
			requireRule(t, facts, rule, "%s, %s", restriction, name)
		}
	}
}

// Promise: the placeholders of messages are filled in the documented form. The text of the error
// for the log contains none of these values.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	facts := allowedFacts()
	facts.Patient.Person = uuid.New()
	refusal := Check(facts)
	require.Equal(t, "Направление "+facts.Request.Direction.String()+" не принадлежит пациенту", refusal.Message)
	require.Equal(t, "direction_not_patients", refusal.Error())

	facts = allowedFacts()
	restrictCell(HealthyChildrenOnly, "2010-01-01")(facts)
	facts.TapOpened = new(day("2019-08-03"))
	require.Equal(t, "Это время доступно для записи на прием только здоровых детей. У выбранного пациента имеется открытый случай лечения. Открыт 03.08.2019",
		Check(facts).Message)

	facts = allowedFacts()
	const name = `Иванова {tapDate} {actualAppointment.Start.ToString("dd.MM.yyyy HH:mm")}`
	facts.Active = append(facts.Active, ActiveAppointment{
		SpecialityCode: "92", ResourceName: name,
		ExistingAppointment: ExistingAppointment{Start: time.Date(2019, 9, 2, 7, 5, 59, 0, zone("Asia/Vladivostok"))},
	})
	refusal = Check(facts)
	require.Equal(t, "Вы уже записаны "+name+" на 02.09.2019 07:05. Запрещено иметь более одной активной записи на прием на одну специальность.",
		refusal.Message, "in the zone of that institution; a placeholder's value is not expanded")
	require.Equal(t, refusal, RejectSpeciality(facts.Active[1]), "the loser of a race receives the same")

	require.Equal(t, `Не удалось получить Ticket. Адрес сервиса авторизации недоступен "https://auth.example" - значение настройки "AuthUrl"`,
		Reject(MipAuthURLUnreachable, "AuthUrl", "https://auth.example").Message)
	require.Equal(t, "Поле Date: плохо", InvalidField("Date", Problem{"invalid", "плохо"}).Message)
}

// Promise: the cause of a refusal belongs to that refusal only, and appears in its error text but
// not in its message.
func TestRefusalsAreIndependent(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk on fire")
	refusal := Reject(DatabaseUnavailable).Because(cause)
	require.ErrorIs(t, refusal, cause)
	require.Equal(t, "database_unavailable: disk on fire", refusal.Error())
	require.NotContains(t, refusal.Message, "fire")
	require.NoError(t, Reject(DatabaseUnavailable).Unwrap())
	require.PanicsWithValue(t, Name("booking: no rule is named no_such_rule"), func() { Reject("no_such_rule") })
}

// Promise: the limit of one active appointment a speciality applies to consultations only, and only
// if the region's setting is on.
func TestOneActiveASpeciality(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind    DirectionType
		setting bool
		active  []string
		rule    Name
	}{
		{Consult, true, nil, ""},
		{Consult, true, []string{"7", "092"}, ""},
		{Consult, true, []string{"7", "92"}, SpecialityAlreadyBooked},
		{Consult, false, []string{"92"}, ""},
		{Laboratory, true, []string{"92"}, ""},
	} {
		facts := allowedFacts()
		facts.Request.Type, facts.Target.OneActivePerSpeciality, facts.Active = c.kind, c.setting, nil
		for _, speciality := range c.active {
			facts.Active = append(facts.Active, ActiveAppointment{SpecialityCode: speciality})
		}
		requireRule(t, facts, c.rule, "%+v", c)
	}
}

// Promise: a complex slot requires as many adjacent cells as requested, each of which the patient
// can take through this client.
func TestComplexSlots(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		difficulty int
		change     func(*Facts)
		refused    bool
	}{
		"all":                   {3, func(*Facts) {}, false},
		"more cells than exist": {4, func(*Facts) {}, true},
		"a gap": {3, func(f *Facts) {
			f.Slots[2].Start = f.Slots[2].Start.Add(time.Second)
		}, true},
		"an overlap": {3, func(f *Facts) {
			f.Slots[2].Start = f.Slots[2].Start.Add(-time.Second)
		}, true},
		"a gap after the cells": {2, func(f *Facts) {
			f.Slots[2].Start = f.Slots[2].Start.Add(time.Second)
		}, false},
		"another zone": {3, func(f *Facts) {
			f.Slots[2].Start = f.Slots[2].Start.In(moscow)
		}, false},
		"the second is full":                  {3, func(f *Facts) { f.Slots[1].Taken = 1 }, true},
		"the last is full":                    {3, func(f *Facts) { f.Slots[2].Taken = 1 }, true},
		"the last is blocked":                 {3, func(f *Facts) { f.Slots[2].Blocked = true }, true},
		"the last has no access bits":         {3, func(f *Facts) { f.Slots[2].Access = 0 }, true},
		"the last is closed to the client":    {3, func(f *Facts) { f.Slots[2].Access = AccessRegistry }, true},
		"the last is no reception":            {3, func(f *Facts) { f.Slots[2].Reception = false }, true},
		"the last is for another group":       {3, func(f *Facts) { f.Slots[2].Restriction = PregnantOnly }, true},
		"the last is for the patient's group": {3, func(f *Facts) { f.Slots[2].Restriction = AdultsOnly }, false},
		"each is for the patient's group": {2, func(f *Facts) {
			f.Slots[0].Restriction, f.Slots[1].Restriction = AdultsOnly, AdultsOnly
		}, false},
		"a single cell needs no second": {1, func(f *Facts) { f.Slots[1].Blocked = true }, false},
	} {
		facts := allowedFacts()
		facts.Request.Difficulty = c.difficulty
		c.change(facts)
		facts.Slots = Adjacent(facts.Slots, c.difficulty)
		var rule Name
		if c.refused {
			rule = ComplexSlotFailed
		}
		requireRule(t, facts, rule, name)
	}
}

// Promise: the cells of a complex slot are adjacent. Of two with the same start, one with a free
// place is chosen. The given cells are not changed.
func TestAdjacent(t *testing.T) {
	t.Parallel()
	at := func(minutes, taken int) Slot {
		start := time.Date(2019, 8, 21, 9, minutes, 0, 0, time.UTC)
		return Slot{Guid: uuid.New(), Start: start, End: start.Add(15 * time.Minute), Capacity: 1, Taken: int32(taken)}
	}
	first, second, full, third, between, late := at(0, 0), at(15, 0), at(15, 1), at(30, 0), at(20, 0), at(60, 0)
	long := at(15, 0)
	long.End = long.Start.Add(30 * time.Minute)
	for name, c := range map[string]struct {
		cells      []Slot
		difficulty int
		want       []Slot
	}{
		"one":                   {[]Slot{first}, 1, []Slot{first}},
		"one of many":           {[]Slot{first, second}, 1, []Slot{first}},
		"all":                   {[]Slot{first, second, third}, 3, []Slot{first, second, third}},
		"fewer than exist":      {[]Slot{first, second, third}, 2, []Slot{first, second}},
		"more than exist":       {[]Slot{first, second}, 16, []Slot{first, second}},
		"a gap":                 {[]Slot{first, third}, 2, []Slot{first}},
		"a gap later":           {[]Slot{first, second, late}, 3, []Slot{first, second}},
		"an overlap is skipped": {[]Slot{first, second, between, third}, 3, []Slot{first, second, third}},
		"a full one first":      {[]Slot{first, full, second, third}, 3, []Slot{first, second, third}},
		"a full one last":       {[]Slot{first, second, full, third}, 3, []Slot{first, second, third}},
		"only a full one":       {[]Slot{first, full, third}, 3, []Slot{first, full, third}},
		"the first of two":      {[]Slot{first, second, long, third}, 3, []Slot{first, second, third}},
		"a second first cell":   {[]Slot{first, at(0, 0), second}, 2, []Slot{first, second}},
	} {
		cells := slices.Clone(c.cells)
		got := Adjacent(cells, c.difficulty)
		require.Equal(t, c.want, got, name)
		_ = append(got, late)
		require.Equal(t, c.cells, cells, name)
	}
}

// Promise: a visit lasts from its first cell's start to its last cell's end, in the zone of the
// target institution.
func TestVisit(t *testing.T) {
	t.Parallel()
	facts := allowedFacts()
	facts.Slots = facts.Slots[:2]
	facts.Target.Zone = zone("Asia/Vladivostok")
	start, end := facts.visit()
	require.Equal(t, "2019-08-21T15:45:00+10:00", start.Format(time.RFC3339))
	require.Equal(t, "2019-08-21T16:15:00+10:00", end.Format(time.RFC3339))
	facts = allowedFactsOutOfSchedule()
	facts.Target.Zone = zone("Asia/Vladivostok")
	start, end = facts.visit()
	require.Equal(t, "2019-08-21T16:00:00+10:00", start.Format(time.RFC3339))
	require.Equal(t, start, end)
}

// existingAppointment returns a visit of the patient on the next day.
func existingAppointment() ExistingAppointment {
	start := time.Date(2019, 8, 22, 9, 0, 0, 0, time.FixedZone("MSK", 3*60*60))
	return ExistingAppointment{Guid: uuid.New(), Lpu: uuid.New(), Start: start, End: start.Add(15 * time.Minute)}
}

// Promise: a refusal because of an existing appointment of the patient names it.
func TestRefusalsNameTheAppointment(t *testing.T) {
	t.Parallel()
	facts := allowedFacts()
	facts.Direction.Appointment = new(existingAppointment())
	require.Equal(t, &Remedies{Appointment: facts.Direction.Appointment}, Check(facts).Remedies)
	facts.Direction.Appointment = &ExistingAppointment{Guid: uuid.New()} // as written by the previous release
	require.Nil(t, Check(facts).Remedies)
	facts.Direction.Appointment = nil
	facts.Active = append(facts.Active, ActiveAppointment{
		SpecialityCode: "92", ResourceName: "Врач", ExistingAppointment: existingAppointment(),
	})
	require.Equal(t, &Remedies{Appointment: &facts.Active[1].ExistingAppointment}, Check(facts).Remedies)
}
