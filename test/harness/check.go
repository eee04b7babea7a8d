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

// PlainCheck sends the check of a booking.
func PlainCheck(send func() Answer) Answer { return send() }

// RequireReadOnly sends the check of a booking and requires that it changes no table.
func (s *Service) RequireReadOnly(send func() Answer) Answer {
	s.T.Helper()
	if s.DB.Ping(s.T.Context()) != nil {
		return send() // the database is down: nothing can be written
	}
	before := s.Snapshot()
	checked := send()
	require.Equal(s.T, before, s.Snapshot(), "a check writes nothing")
	return checked
}

// CheckedTests holds the names of the tests in which every booking is checked first.
var CheckedTests sync.Map

// bookingRules returns the names of the rules that a booking evaluates, in their order.
func bookingRules() []string {
	var names []string
	for _, rule := range server.Catalogue {
		names = append(names, string(rule.Name))
		if rule.Name == booking.AppointmentNotLinked {
			break
		}
	}
	return names
}

// unpredictable are the rules that no check can predict: only the write decides them, or something
// fails in it.
var unpredictable = []string{
	"mkab_policy_link_failed", "slot_taken", "appointment_not_created", "appointment_not_found",
	"appointment_not_linked", "internal_error", "overloaded",
}

// RequireCheckMatches requires that a check predicted the response to the booking that followed it.
func RequireCheckMatches(t testing.TB, checked, booked Answer) {
	t.Helper()
	if checked.StatusCode != http.StatusOK {
		checked.Refusal.RequestID = booked.Refusal.RequestID
		require.Equal(t, booked.Refusal, checked.Refusal, "the booking is rejected like its check")
		return
	}
	check := Decode[api.AppointmentCheck](t, checked)
	var names []string
	var failed *api.RuleCheck
	for _, verdict := range check.Checks {
		names = append(names, verdict.Rule)
		require.Equal(t, verdict.Result == api.RuleCheckResultFailed, verdict.Message != nil, "%+v", verdict)
		if verdict.Result == api.RuleCheckResultFailed && failed == nil {
			failed = &verdict
		}
		if slices.Contains(unpredictable, verdict.Rule) {
			require.Equal(t, api.RuleCheckResultNotEvaluated, verdict.Result, verdict.Rule)
		}
	}
	require.Equal(t, bookingRules(), names)
	require.Equal(t, failed == nil, check.Allowed)
	switch {
	case booked.StatusCode == http.StatusOK || slices.Contains(unpredictable, booked.Refusal.Rule):
		require.Nil(t, failed, "%s", booked.Raw)
		for _, verdict := range check.Checks {
			require.Equal(t, slices.Contains(unpredictable, verdict.Rule),
				verdict.Result == api.RuleCheckResultNotEvaluated, "%+v", verdict)
		}
	default:
		require.NotNil(t, failed, "%s", booked.Raw)
		require.Equal(t, booked.Refusal.Rule, failed.Rule)
		require.Equal(t, booked.Refusal.Message, *failed.Message)
		require.Equal(t, booked.Refusal.Details, failed.Details, "the same remedies")
	}
}

// CheckBooking checks a booking with the token of a person.
func (s *Service) CheckBooking(person uuid.UUID, body any) Answer {
	s.T.Helper()
	return s.Send("/appointments/check", body, "Bearer "+s.Token(person))
}
