package e2e_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"talon.example/internal/app"
	"talon.example/test/harness"
)

// traceReceiver is an OTLP receiver on loopback.
type traceReceiver struct {
	mu    sync.Mutex
	path  string
	raw   strings.Builder
	spans []*tracepb.Span
}

func (r *traceReceiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	var sent collector.ExportTraceServiceRequest
	r.mu.Lock()
	defer r.mu.Unlock()
	r.path = request.URL.Path
	if err := proto.Unmarshal(body, &sent); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.raw.WriteString(sent.String())
	for _, resource := range sent.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// named returns the spans with a name.
func (r *traceReceiver) named(name string) (found []*tracepb.Span) {
	for _, span := range r.spans {
		if span.GetName() == name {
			found = append(found, span)
		}
	}
	return found
}

// traced starts a service that sends its traces to a receiver.
func traced(t *testing.T) (*harness.Scene, *traceReceiver) {
	t.Helper()
	received := new(traceReceiver)
	server := httptest.NewServer(received)
	t.Cleanup(server.Close)
	return harness.Start(t, func(c *app.Config) { c.OtelEndpoint = app.Address(server.URL) }).Scene(), received
}

// attributes returns the attributes of a span.
func attributes(span *tracepb.Span) map[string]any {
	values := map[string]any{}
	for _, one := range span.GetAttributes() {
		if one.GetValue().GetStringValue() != "" {
			values[one.GetKey()] = one.GetValue().GetStringValue()
		} else {
			values[one.GetKey()] = one.GetValue().GetIntValue()
		}
	}
	return values
}

// Promise: a booking is a trace that continues the client's: a span named after the operation,
// below it the batches and statements by their names. The log line has the trace's id.
func TestTrace(t *testing.T) {
	t.Parallel()
	sc, received := traced(t)
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	body, err := json.Marshal(sc.BookingBody())
	require.NoError(t, err)
	request := sc.NewRequest(http.MethodPost, "/appointments", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
	request.Header.Set("Traceparent", "00-"+traceID+"-"+parent+"-01")
	booked := sc.Do(request)
	require.Equal(t, http.StatusOK, booked.StatusCode, booked.Raw)
	sc.TryBook().RequireRefusal(t, "direction_already_booked")
	sc.Do(sc.NewRequest(http.MethodGet, "/health/ready", nil))
	sc.Stop()
	require.Equal(t, "/v1/traces", received.path)
	spans := received.named("createAppointment")
	require.Len(t, spans, 2)
	first := spans[0]
	require.Equal(t, traceID, hex.EncodeToString(first.GetTraceId()))
	require.Equal(t, parent, hex.EncodeToString(first.GetParentSpanId()))
	require.Equal(t, map[string]any{
		"http.request.method": "POST", "http.response.status_code": int64(200), "http.route": "/appointments",
		"talon.request_id": booked.Header.Get("X-Request-ID"),
	}, attributes(first))
	require.Equal(t, "direction_already_booked", attributes(spans[1])["talon.rule"])
	require.NotEqual(t, traceID, hex.EncodeToString(spans[1].GetTraceId()))
	taken := received.named("SlotTake")
	require.NotEmpty(t, taken)
	require.Equal(t, traceID, hex.EncodeToString(taken[0].GetTraceId()))
	require.Equal(t, map[string]any{"db.system.name": "postgresql"}, attributes(taken[0]))
	require.Empty(t, received.named("getReadiness"), "health checks are not traced")
	require.Contains(t, sc.Logs.String(), `"trace_id":"`+traceID+`"`)
}

// Promise: no span has a patient's data, a path with guids, a token or the text of an error of the
// database.
func TestTracesAreDiscreet(t *testing.T) {
	t.Parallel()
	sc, received := traced(t)
	sc.AddTrigger(`TRIGGER fault BEFORE INSERT ON appointment`, `RAISE 'the patient is %', NEW.person_guid;`)
	sc.TryBook().RequireRefusal(t, "internal_error")
	sc.Get(sc.Person, "/directions/"+sc.Direction.String()+"/slots")
	sc.Do(sc.NewRequest(http.MethodGet, "/auth/cod/token?snils=17400354229&surname=%D0%A5", nil))
	sc.Stop()
	require.NotEmpty(t, received.named("createAppointment"))
	require.NotEmpty(t, received.named("listDirectionSlots"))
	require.NotEmpty(t, received.named("AppointmentCreate"))
	for _, secret := range []string{
		sc.Person.String(), sc.Direction.String(), "17400354229", "surname", "the patient is", "127.0.0.1", "Bearer",
	} {
		require.NotContains(t, received.raw.String(), secret)
	}
}
