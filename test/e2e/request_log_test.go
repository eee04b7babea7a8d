package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/test/harness"
)

// Promise: a patient's data in an error message of the database are not logged.
func TestDatabaseMessagesAreNotLogged(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.AddTrigger(`TRIGGER fault BEFORE INSERT ON appointment`, `RAISE 'the patient is %', NEW.person_guid;`)
	sc.TryBook().RequireRefusal(t, "internal_error")
	require.Contains(t, sc.Logs.String(), "P0001")
	sc.RequireNoSecretsInLog()
}

// Promise: a request whose client disconnected is logged at level INFO and marked as such.
func TestDisconnectedClientInLog(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.HangUpAndStop()
	var lines []map[string]any
	for line := range strings.Lines(sc.Logs.String()) {
		var logged map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &logged))
		if logged["msg"] == "request" {
			lines = append(lines, logged)
		}
	}
	require.Len(t, lines, 1)
	require.Equal(t, true, lines[0]["client_gone"])
	require.Equal(t, "INFO", lines[0]["level"])
	require.Equal(t, "overloaded", lines[0]["rule"])
	require.EqualValues(t, http.StatusServiceUnavailable, lines[0]["status"])
}

// Promise: each request is one line of the log with its id, status and rule.
func TestLogLines(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	booked, refused := sc.TryBook(), sc.TryBook()
	sc.Stop()
	lines := map[string]map[string]any{}
	for text := range strings.SplitSeq(strings.TrimSpace(sc.Logs.String()), "\n") {
		var line map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &line))
		if line["msg"] == "request" {
			lines[line["request_id"].(string)] = line
		}
	}
	require.Len(t, lines, 2)
	line := lines[booked.Header.Get("X-Request-ID")]
	require.EqualValues(t, 200, line["status"])
	require.IsType(t, 0.0, line["duration_ms"])
	require.Equal(t, "/appointments", line["route"])
	require.Equal(t, harness.ClientGuid.String(), line["client"])
	line = lines[refused.Refusal.RequestID.String()]
	require.EqualValues(t, 400, line["status"])
	require.Equal(t, "direction_already_booked", line["rule"])
	sc.RequireNoSecretsInLog()
}
