package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Promise: a token contains a patient, or the institutions for which its client application acts.
func TestCallers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	lpu := uuid.New()
	own := goodDraft("ec").with("sub", nil).with("lpus", []string{lpu.String()}).with("scope", "slots.write slots.read")
	caller, err := f.verify(own.signES256(ecKey()))
	require.NoError(t, err)
	require.Equal(t, uuid.Nil, caller.Person)
	require.Equal(t, testClient, caller.Client)
	require.Equal(t, []uuid.UUID{lpu}, caller.Lpus)
	require.Equal(t, []string{"slots.write", "slots.read"}, caller.Scopes)

	require.True(t, caller.IsSystem())
	require.True(t, caller.HasScopes([]string{"slots.read", "slots.write"}))
	require.False(t, caller.HasScopes([]string{"slots.read", "slots"}))
	require.True(t, caller.ActsFor(lpu))
	require.False(t, caller.ActsFor(uuid.New()))

	caller, err = f.verify(own.with("lpus", "*").signES256(ecKey()))
	require.NoError(t, err)
	require.Empty(t, caller.Lpus)
	require.True(t, caller.ActsFor(uuid.New()))

	caller, err = f.verify(own.with("sub", testPerson.String()).signES256(ecKey()))
	require.NoError(t, err)
	require.Equal(t, testPerson, caller.Person)

	many := make([]string, maxLpus+1)
	for i := range many {
		many[i] = uuid.NewString()
	}
	for claim, value := range map[string]any{"lpus": many, "scope": 1} {
		f.requireRejected(t, own.with(claim, value).signES256(ecKey()), ErrInvalid)
	}
	for _, lpus := range []any{
		[]string{}, []string{uuid.Nil.String()}, []any{1}, lpu.String(), strings.Repeat("x", guidLength),
		[]string{"*"}, "**",
	} {
		f.requireRejected(t, own.with("lpus", lpus).signES256(ecKey()), ErrInvalid)
	}
}

// Promise: a token that is valid for longer than MaxLife is rejected.
func TestMaxLife(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Sources{JWKSFile: tempFile(t, allKeys())})
	longest := goodDraft("ec").with("exp", noon.Add(24*time.Hour).Unix())
	_, err := f.verify(longest.signES256(ecKey()))
	require.NoError(t, err)
	f.requireRejected(t, longest.with("exp", noon.Add(24*time.Hour).Unix()+1).signES256(ecKey()), ErrInvalid)
}
