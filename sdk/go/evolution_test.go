package talon_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
)

// Promise: the client reads the responses of a newer service, with a rule, values and fields that
// it does not know. A refusal by an unknown rule has its message and details, and is not retried.
func TestNewerService(t *testing.T) {
	t.Parallel()
	newer := strings.NewReplacer(
		`"direction_already_booked"`, `"direction_suspended"`, `"Validation"`, `"Warning"`, `"Booked"`, `"Suspended"`,
		`"doctor"`, `"nurse"`, `{`, `{"newField":{},`,
	)
	proxy := newProxy(t, server, func(_ int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
		r.Header.Del("Accept-Encoding")
		recorded := httptest.NewRecorder()
		forward.ServeHTTP(recorded, r)
		body := newer.Replace(recorded.Body.String())
		if !json.Valid([]byte(body)) {
			t.Errorf("not JSON: %s", body)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(recorded.Code)
		_, _ = w.Write([]byte(body))
	})
	api, waits := newClient(t, proxy.url, 2, talon.Options{})

	_, err := talon.Answer(api.CreateAppointmentWithResponse(t.Context(), nil, consultation(2, new(int64(20815)))))
	refusal := requireRefusal(t, err, "direction_suspended")
	require.False(t, talon.KnownRule(refusal.Rule))
	require.True(t, talon.KnownRule(client.RuleDirectionAlreadyBooked))
	require.Equal(t, "Warning", refusal.Type)
	require.Equal(t, "У выбранного направления уже есть запись на прием", refusal.Message)
	require.Equal(t, lpuB, refusal.Details.Appointment.LpuGUID)
	require.False(t, refusal.Retryable())
	require.Empty(t, *waits)

	directions, err := collect(talon.AllDirections(t.Context(), api, nil))
	require.NoError(t, err)
	var statuses []string
	for _, direction := range directions {
		statuses = append(statuses, direction.Status)
	}
	require.Contains(t, statuses, "Suspended")
	require.NotContains(t, statuses, client.DirectionStatusBooked)

	cells, err := talon.Answer(api.ListDirectionSlotsWithResponse(t.Context(), numbered("0007", 200000002), nil))
	require.NoError(t, err)
	require.Equal(t, "nurse", cells.Items[0].Resource.Kind)
}
