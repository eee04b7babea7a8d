package booking

import (
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// said are the rules with a result, in their order.
func said(verdicts []Verdict, result Result) []Name {
	var names []Name
	for _, verdict := range verdicts {
		if verdict.Result == result {
			names = append(names, verdict.Rule)
		}
	}
	return names
}

var (
	onlyTheWrite = []Name{MkabPolicyLinkFailed, SlotTaken, AppointmentNotCreated, AppointmentNotFound, AppointmentNotLinked}
	fromTheIndex = []Name{MipAuthURLEmpty, MipAuthURLUnreachable, MipPersonNotFound, MipPersonDataMissing}
	ofThePerson  = []Name{MkabPolicyNumberEmpty, MkabSexEmpty, MkabSurnameEmpty, MkabNameEmpty, MkabLpuNotFound}
)

// Promise: a card that is open, closed, absent or still to be made leaves those rules open that are then not known, and no others.
func TestVerdictsAboutTheMkab(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change               func(*Facts)
		failed, notEvaluated []Name
	}{
		"open":                {func(f *Facts) { f.Person = nil }, nil, onlyTheWrite},
		"closed":              {func(f *Facts) { f.Person, f.Mkab.Closed = nil, true }, []Name{MkabClosed}, slices.Concat(fromTheIndex, ofThePerson, onlyTheWrite)},
		"to be made":          {func(f *Facts) { f.Mkab = nil }, nil, onlyTheWrite},
		"not to be made":      {func(f *Facts) { f.Person, f.Mkab, f.Target.CreatesMkab = nil, nil, false }, []Name{MkabAbsent}, slices.Concat(fromTheIndex, ofThePerson, onlyTheWrite)},
		"of a person unknown": {func(f *Facts) { f.Person, f.Mkab = nil, nil }, nil, slices.Concat(fromTheIndex, ofThePerson, onlyTheWrite)},
		"where there is no lpu": {
			func(f *Facts) {
				f.Target, f.Resource, f.Person, f.Mkab, f.Slots = nil, nil, nil, nil, nil
			},
			[]Name{DirectionLpuMismatch, SlotNotFound},
			slices.Concat(
				[]Name{DirectionExpired, SlotResourceNotFound}, aboutCells[:6], []Name{ResourceKindMismatch, SpecialityMismatch}, restrictions,
				[]Name{SpecialityAlreadyBooked, MkabClosed, MkabAbsent}, fromTheIndex, ofThePerson, onlyTheWrite, []Name{ComplexSlotFailed},
			),
		},
	} {
		facts := allowed()
		c.change(facts)
		got := judge(facts, nil)
		require.Equal(t, c.failed, said(got, Failed), name)
		require.ElementsMatch(t, c.notEvaluated, said(got, NotEvaluated), name)
	}
}

// Promise: of what the index decides, what comes before its refusal holds, and what comes after is not known.
func TestVerdictsOfTheIndex(t *testing.T) {
	t.Parallel()
	for i, name := range fromTheIndex {
		facts := allowed()
		facts.Mkab, facts.Person = nil, nil
		refusal := Reject(name, "AuthUrl", "https://auth.example")
		got := judge(facts, refusal)
		require.Equal(t, []Name{name}, said(got, Failed))
		require.ElementsMatch(t, slices.Concat(fromTheIndex[i+1:], ofThePerson, onlyTheWrite), said(got, NotEvaluated), name)
		require.Equal(t, refusal.Message, got[slices.IndexFunc(got, func(v Verdict) bool { return v.Rule == name })].Message)
	}
}

// Promise: another's referral is nothing but another's.
func TestVerdictsOfAnothersReferral(t *testing.T) {
	t.Parallel()
	facts := allowed()
	facts.Patient.Person = uuid.New()
	got := judge(facts, nil)
	require.Equal(t, []Name{DirectionNotPatients}, said(got, Failed))
	require.ElementsMatch(t, slices.Concat(
		[]Name{DirectionLpuMismatch, DirectionAlreadyBooked, DirectionExpired, SpecialityMismatch, SpecialityAlreadyBooked, ComplexSlotFailed}, restrictions[:5], onlyTheWrite,
	), said(got, NotEvaluated))
}
