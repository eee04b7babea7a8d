package booking

import (
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// rulesWithResult returns the rules with the given result, in their order.
func rulesWithResult(verdicts []Verdict, result Result) []Name {
	var names []Name
	for _, verdict := range verdicts {
		if verdict.Result == result {
			names = append(names, verdict.Rule)
		}
	}
	return names
}

var (
	rulesOfTheWrite = []Name{
		MkabPolicyLinkFailed, SlotTaken, AppointmentNotCreated, AppointmentNotFound, AppointmentNotLinked,
	}
	rulesOfTheIndex  = []Name{MipAuthURLEmpty, MipAuthURLUnreachable, MipPersonNotFound, MipPersonDataMissing}
	rulesOfThePerson = []Name{MkabPolicyNumberEmpty, MkabSexEmpty, MkabSurnameEmpty, MkabNameEmpty, MkabLpuNotFound}
)

// Promise: whether the card is open, closed, absent or still to be created decides which rules are
// not evaluated. All other rules are evaluated.
func TestVerdictsAboutTheMkab(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change               func(*Facts)
		failed, notEvaluated []Name
	}{
		"open": {func(f *Facts) { f.Person = nil }, nil, rulesOfTheWrite},
		"closed": {
			func(f *Facts) { f.Person, f.Mkab.Closed = nil, true }, []Name{MkabClosed},
			slices.Concat(rulesOfTheIndex, rulesOfThePerson, rulesOfTheWrite),
		},
		"to be created": {func(f *Facts) { f.Mkab = nil }, nil, rulesOfTheWrite},
		"not to be created": {
			func(f *Facts) { f.Person, f.Mkab, f.Target.CreatesMkab = nil, nil, false }, []Name{MkabAbsent},
			slices.Concat(rulesOfTheIndex, rulesOfThePerson, rulesOfTheWrite),
		},
		"person not fetched": {
			func(f *Facts) { f.Person, f.Mkab = nil, nil }, nil,
			slices.Concat(rulesOfTheIndex, rulesOfThePerson, rulesOfTheWrite),
		},
		"no target institution": {
			func(f *Facts) {
				f.Target, f.Resource, f.Person, f.Mkab, f.Slots = nil, nil, nil, nil, nil
			},
			[]Name{DirectionLpuMismatch, SlotNotFound},
			slices.Concat(
				[]Name{DirectionExpired, SlotResourceNotFound}, rulesOfTheCell[:7],
				[]Name{ResourceKindMismatch, SpecialityMismatch}, rulesOfRestrictions,
				[]Name{SpecialityAlreadyBooked, MkabClosed, MkabAbsent}, rulesOfTheIndex, rulesOfThePerson,
				rulesOfTheWrite, []Name{ComplexSlotFailed},
			),
		},
	} {
		facts := allowedFacts()
		c.change(facts)
		got := evaluate(facts, nil)
		require.Equal(t, c.failed, rulesWithResult(got, Failed), name)
		require.ElementsMatch(t, c.notEvaluated, rulesWithResult(got, NotEvaluated), name)
	}
}

// Promise: of the rules of the index, those before its refusal pass and those after it are not
// evaluated.
func TestVerdictsOfTheIndex(t *testing.T) {
	t.Parallel()
	for i, name := range rulesOfTheIndex {
		facts := allowedFacts()
		facts.Mkab, facts.Person = nil, nil
		refusal := Reject(name, "AuthUrl", "https://auth.example")
		got := evaluate(facts, refusal)
		require.Equal(t, []Name{name}, rulesWithResult(got, Failed))
		require.ElementsMatch(t, slices.Concat(rulesOfTheIndex[i+1:], rulesOfThePerson, rulesOfTheWrite),
			rulesWithResult(got, NotEvaluated), name)
		require.Equal(t, refusal.Message, got[slices.IndexFunc(got, func(v Verdict) bool {
			return v.Rule == name
		})].Message)
	}
}

// Promise: for another person's referral only the rule direction_not_patients fails. The rules that
// depend on the referral are not evaluated.
func TestVerdictsOfAnothersReferral(t *testing.T) {
	t.Parallel()
	facts := allowedFacts()
	facts.Patient.Person = uuid.New()
	got := evaluate(facts, nil)
	require.Equal(t, []Name{DirectionNotPatients}, rulesWithResult(got, Failed))
	require.ElementsMatch(t, slices.Concat(
		[]Name{
			DirectionLpuMismatch, DirectionAlreadyBooked, DirectionExpired, SpecialityMismatch,
			SpecialityAlreadyBooked, ComplexSlotFailed,
		}, rulesOfRestrictions[:5], rulesOfTheWrite,
	), rulesWithResult(got, NotEvaluated))
}
