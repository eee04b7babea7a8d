package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/test/harness"
)

// Promise: a cell that was closed to this client between the check and the write is lost, though it is open to others.
func TestCellClosedDuringBooking(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene() // its client may take what shares a bit with 95
	sc.TryBookDuring(`UPDATE slot SET flag_access = 32`).RequireRefusal(t, "slot_taken")
	sc.Exec(`UPDATE slot SET flag_access = 32 + 16`)
	a := sc.TryBook()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
}

// Promise: a request that has been answered, whatever the answer, makes room for the next.
func TestFinishedRequestsFreeTheirPlace(t *testing.T) {
	t.Parallel()
	sc := harness.StartWithMaxInFlight(t, 1)
	for range 3 {
		sc.TryBook(harness.Fields{"SlotId": 1}).RequireRefusal(t, "slot_not_found")
		sc.TryBook(harness.Fields{"Difficulty": 0}).RequireRefusal(t, "field_invalid")
	}
	a := sc.TryBook()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
}

// Promise: a request is answered in its time, whoever does not answer us.
func TestRequestDeadline(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 10)
	silent := harness.HTTPServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then it is seen that the caller has gone
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	sc := harness.Start(t, func(c *app.Config) {
		c.MipURL, c.MipAuthURL = app.Address(silent+"/fhir"), app.Address(silent+"/token")
		c.Timeout, c.MipTimeout = 500*time.Millisecond, 40*time.Second
	}).Scene()
	sc.AllowMkabCreation()
	started := time.Now()
	a := sc.TryBook()
	require.Less(t, time.Since(started), 20*time.Second)
	require.Len(t, asked, 1)
	require.GreaterOrEqual(t, a.StatusCode, 500, "%s", a.Raw)
	require.Zero(t, sc.Count(`SELECT count(*) FROM mkab WHERE lpu_guid = $1`, sc.To))
}

// Promise: of several unknown keys the first in the alphabet is named, so that the same request gets the same answer; a long one is cut short.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	for range 20 {
		a := sc.TryBook(harness.Fields{"H": 1, "G": 1, "F": 1, "E": 1, "D": 1, "C": 1, "B": 1, "Aa": 1})
		require.Equal(t, "Поле Aa: неизвестное поле", a.Refusal.Message)
	}
	long := strings.Repeat("ж", 10_000)
	a := sc.TryBook(harness.Fields{long: 1})
	require.Equal(t, "Поле "+strings.Repeat("ж", 50)+"…: неизвестное поле", a.Refusal.Message)
	a = sc.Book(sc.Person, `{"`+long+`":1,"`+long+`":1}`)
	require.Equal(t, "Тело запроса должно быть корректным объектом JSON: ключ "+strings.Repeat("ж", 50)+"… указан дважды", a.Refusal.Message)
}

// Promise: a client that goes away is in the log as one that has gone: neither a warning nor an error, and no failure of ours.
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
