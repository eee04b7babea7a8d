package telemetry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// scrape returns what a scrape returns.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	response := httptest.NewRecorder()
	m.Admin().ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, response.Code, response.Body.String())
	return response.Body.String()
}

// Promise: a statement has the name of its query, and a statement without one never makes a name of
// its own.
func TestQueryName(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"-- name: SlotTake :batchone\nUPDATE slot": "SlotTake",
		"begin isolation level repeatable read":    "begin",
		"commit":                                   "commit",
		"SELECT 'a secret'":                        "other",
		"":                                         "other",
	} {
		require.Equal(t, want, QueryName(sql), sql)
	}
}

// Promise: requests to the master patient index are counted by purpose and status, also those
// without a response, and the states of the circuit breakers are shown.
func TestMipMetrics(t *testing.T) {
	t.Parallel()
	m := NewMetrics("1.2.3", "")
	unreachable := errors.New("unreachable")
	transport := m.MipTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/down" {
			return nil, unreachable
		}
		return &http.Response{StatusCode: http.StatusBadGateway, Body: io.NopCloser(http.NoBody)}, nil
	}), func(r *http.Request) string { return r.Method })
	for _, path := range []string{"/up", "/down"} {
		response, err := transport.RoundTrip(httptest.NewRequest(http.MethodGet, path, nil))
		if err == nil {
			require.NoError(t, response.Body.Close())
		} else {
			require.Equal(t, unreachable, err)
		}
	}
	m.Breakers(func() map[string]int { return map[string]int{"search": 2, "ticket": 0} })
	text := scrape(t, m)
	for _, line := range []string{
		`talon_mip_requests_total{purpose="GET",status="502"} 1`,
		`talon_mip_requests_total{purpose="GET",status="error"} 1`,
		`talon_mip_request_duration_seconds_count{purpose="GET"} 2`, `talon_mip_breaker_state{purpose="search"} 2`,
		`talon_mip_breaker_state{purpose="ticket"} 0`, `version="1.2.3"} 1`,
	} {
		require.Contains(t, text, line)
	}
}

// Promise: several keys without an id are one series, and a source that was never read shows 0.
func TestKeyMetrics(t *testing.T) {
	t.Parallel()
	m := NewMetrics("", "")
	m.Keys(func() ([]Key, []KeySource) {
		return []Key{{"", 2}, {"", 3}, {"a", 1}}, []KeySource{{"file", time.Unix(1000, 0)}, {"url", time.Time{}}}
	})
	text := scrape(t, m)
	for _, line := range []string{
		`talon_token_signatures_verified_total{kid=""} 5`, `talon_token_signatures_verified_total{kid="a"} 1`,
		`talon_token_keys_read_timestamp_seconds{source="file"} 1000`,
		`talon_token_keys_read_timestamp_seconds{source="url"} 0`,
	} {
		require.Contains(t, text, line)
	}
}

// Promise: a person counts once an hour for each client application, and only the number is shown.
func TestPersonsOfClients(t *testing.T) {
	t.Parallel()
	m := NewMetrics("", "")
	one, other, person, now := uuid.New(), uuid.New(), uuid.New(), time.Now()
	m.CountPerson(one, person, now)
	m.CountPerson(one, person, now.Add(personRepeats-1))
	m.CountPerson(one, uuid.New(), now)
	m.CountPerson(other, person, now)
	m.CountPerson(other, person, now.Add(personRepeats))
	m.CountPerson(other, person, now.Add(personRepeats+1))
	for range 2 * maxPersons {
		m.CountPerson(one, uuid.New(), now)
	}
	require.Equal(t, maxPersons, m.persons.recent.Len())
	text := scrape(t, m)
	require.Contains(t, text, fmt.Sprintf("talon_client_persons_total{client=%q} %d\n", one, 2*maxPersons+2))
	require.Contains(t, text, fmt.Sprintf("talon_client_persons_total{client=%q} 2\n", other))
	require.NotContains(t, text, person.String())
}
