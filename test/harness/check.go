package harness

import (
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// AsItIs checks a booking without a further look.
func AsItIs(ask func() Answer) Answer { return ask() }

// LeavingNothing checks a booking and sees that no table is changed by it.
func (s *Service) LeavingNothing(ask func() Answer) Answer {
	s.T.Helper()
	if s.DB.Ping(s.T.Context()) != nil {
		return ask() // nobody can write anything
	}
	before := s.Snapshot()
	checked := ask()
	require.Equal(s.T, before, s.Snapshot(), "a check writes nothing")
	return checked
}

// CheckedTests are the names of tests all of whose bookings are checked first.
var CheckedTests sync.Map

// bookingOrder are the rules that a booking goes through.
func bookingOrder() []string {
	var names []string
	for _, rule := range server.Catalogue {
		names = append(names, string(rule.Name))
		if rule.Name == booking.AppointmentNotLinked {
			break
		}
	}
	return names
}

// afterTheCheck are the answers that no check can foretell: the write finds them out, or something fails in it.
var afterTheCheck = []string{
	"mkab_policy_link_failed", "slot_taken", "appointment_not_created", "appointment_not_found", "appointment_not_linked", "internal_error", "overloaded",
}

// RequireAgreement holds a check against the booking that was sent right after it: it foretells its answer.
func RequireAgreement(t testing.TB, checked, booked Answer) {
	t.Helper()
	if checked.StatusCode != http.StatusOK {
		checked.Refusal.RequestID = booked.Refusal.RequestID
		require.Equal(t, booked.Refusal, checked.Refusal, "refused, and so is the booking")
		return
	}
	check := As[api.AppointmentCheck](t, checked)
	var names []string
	var failed *api.RuleCheck
	for _, said := range check.Checks {
		names = append(names, string(said.Rule))
		require.Equal(t, said.Result == api.RuleCheckResultFailed, said.Message != nil, "%+v", said)
		if said.Result == api.RuleCheckResultFailed && failed == nil {
			failed = &said
		}
		if slices.Contains(afterTheCheck, string(said.Rule)) {
			require.Equal(t, api.RuleCheckResultNotEvaluated, said.Result, said.Rule)
		}
	}
	require.Equal(t, bookingOrder(), names)
	require.Equal(t, failed == nil, check.Allowed)
	switch {
	case booked.StatusCode == http.StatusOK || slices.Contains(afterTheCheck, string(booked.Refusal.Rule)):
		require.Nil(t, failed, "%s", booked.Raw)
		for _, said := range check.Checks {
			require.Equal(t, slices.Contains(afterTheCheck, string(said.Rule)), said.Result == api.RuleCheckResultNotEvaluated, "%+v", said)
		}
	default:
		require.NotNil(t, failed, "%s", booked.Raw)
		require.Equal(t, booked.Refusal.Rule, failed.Rule)
		require.Equal(t, booked.Refusal.Message, *failed.Message)
		require.Equal(t, booked.Refusal.Details, failed.Details, "the same way out")
	}
}

// AskCheck asks for the verdicts of a booking, with the token of a person.
func (s *Service) AskCheck(person uuid.UUID, body any) Answer {
	s.T.Helper()
	return s.Send("/appointments/check", body, "Bearer "+s.Token(person))
}
