package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// logLine is the log line of a request.
type logLine struct {
	Level     string    `json:"level"`
	Msg       string    `json:"msg"`
	RequestID uuid.UUID `json:"request_id"`
	Method    string    `json:"method"`
	Route     *string   `json:"route"`
	Status    int       `json:"status"`
	Duration  *float64  `json:"duration_ms"`
	Client    string    `json:"client"`
	Rule      string    `json:"rule"`
	Cause     string    `json:"cause"`
	Gone      bool      `json:"client_gone"`
}

// newServer returns a server with all operations, without a database and without token keys. Pages
// of the given origins may call it.
func newServer(
	t *testing.T, ready func(context.Context) error, log *slog.Logger, origins ...string,
) *server.Server {
	t.Helper()
	expected := auth.Expected{Issuer: "issuer", Audience: "talon", MaxLife: 24 * time.Hour}
	chain, err := server.New(server.Config{
		Verifier: auth.NewVerifier(nil, expected, time.Now), Log: log, RequestTimeout: time.Minute, MaxInFlight: 1,
		CORSOrigins: origins,
	})
	require.NoError(t, err)
	Register(chain, Config{Ready: whole(ready), Now: time.Now, Docs: true})
	return chain
}

// whole returns a readiness check of an instance that is never degraded.
func whole(ready func(context.Context) error) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) { return false, ready(ctx) }
}

// serve sends one request without a body to a server with the given readiness check. It returns the
// response and the only line of the log.
func serve(
	t *testing.T, ctx context.Context, ready func(context.Context) error, method, path string,
) (*httptest.ResponseRecorder, logLine) {
	t.Helper()
	var log bytes.Buffer
	handler := newServer(t, ready, slog.New(slog.NewJSONHandler(&log, nil)))
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequest(method, path, nil).WithContext(ctx))
	var fields map[string]any
	var written logLine
	require.NoError(t, json.Unmarshal(log.Bytes(), &fields), "exactly one line: %s", log.String())
	delete(fields, "time")
	text, err := json.Marshal(fields)
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // the line has no other fields
	require.NoError(t, decoder.Decode(&written))
	require.Equal(t, "request", written.Msg)
	require.Equal(t, method, written.Method)
	require.Equal(t, response.Code, written.Status)
	require.Equal(t, response.Header().Get("X-Request-ID"), written.RequestID.String())
	require.Equal(t, "nosniff", response.Header().Get("X-Content-Type-Options"))
	require.NotNil(t, written.Route)
	require.NotNil(t, written.Duration)
	require.Positive(t, *written.Duration)
	return response, written
}

// requireError requires that a response is the error of a rule, with the documented shape.
func requireError(t *testing.T, response *httptest.ResponseRecorder, name booking.Name) {
	t.Helper()
	rule := server.Reject(name)
	require.Equal(t, "application/json", response.Header().Get("Content-Type"))
	decoder := json.NewDecoder(response.Body)
	decoder.DisallowUnknownFields()
	var body api.Error
	require.NoError(t, decoder.Decode(&body))
	id, err := uuid.Parse(response.Header().Get("X-Request-ID"))
	require.NoError(t, err)
	require.Equal(t, api.Error{
		Code: int32(rule.Status), Message: rule.Message, MessageCode: rule.Code, Type: string(rule.Type),
		Rule: string(name), RequestID: id,
	}, body)
	require.Equal(t, rule.Status, response.Code)
	require.Equal(t, rule.Status == http.StatusServiceUnavailable, response.Header().Get("Retry-After") != "")
}

// Promise: a panic gets the internal error, whose response contains nothing of it. The log contains
// its value and stack, at level ERROR.
func TestPanic(t *testing.T) {
	t.Parallel()
	response, logged := serve(t, t.Context(), func(context.Context) error {
		panic("a secret value")
	}, http.MethodGet, "/health/ready")
	require.NotContains(t, response.Body.String(), "secret")
	requireError(t, response, server.InternalError)
	require.Equal(t, "ERROR", logged.Level)
	require.Equal(t, "internal_error", logged.Rule)
	require.Contains(t, logged.Cause, "a secret value")
	require.Contains(t, logged.Cause, "handlers_test.go", "the stack contains the place of the panic")
	require.Equal(t, "/health/ready", *logged.Route)
}

// Promise: a panic ends one request and not the service, also if its value looks like a closed
// connection.
func TestPanicEndsOneRequest(t *testing.T) {
	t.Parallel()
	for _, value := range []any{http.ErrAbortHandler, errors.New("bug"), context.Canceled} {
		response, logged := serve(t, t.Context(), func(context.Context) error {
			panic(value)
		}, http.MethodGet, "/health/ready")
		requireError(t, response, server.InternalError)
		require.Equal(t, "ERROR", logged.Level)
	}
}

// Promise: a log line contains the request, the response, the reason of a refusal and a matching
// level. It does not contain an unknown path, which may hold any data.
func TestLogLine(t *testing.T) {
	t.Parallel()
	fine := func(context.Context) error { return nil }
	for _, c := range []struct {
		method, path, route string
		ready               func(context.Context) error
		status              int
		level, rule, cause  string
	}{
		{http.MethodGet, "/health/live", "/health/live", fine, 200, "INFO", "", ""},
		{http.MethodGet, "/health/ready", "/health/ready", fine, 200, "INFO", "", ""},
		{
			http.MethodGet, "/health/ready", "/health/ready", func(context.Context) error {
				return errors.New("the database is down")
			},
			503, "WARN", "not_ready", "the database is down",
		},
		{http.MethodGet, "/secret", "", fine, 404, "INFO", "route_not_found", ""},
		{http.MethodPut, "/appointments", "", fine, 405, "INFO", "method_not_allowed", ""},
		{http.MethodGet, "/docs/secret", "/docs/*file", fine, 404, "INFO", "route_not_found", ""},
	} {
		response, logged := serve(t, t.Context(), c.ready, c.method, c.path)
		require.Equal(t, c.status, response.Code, c.path)
		if c.rule != "" {
			requireError(t, response, booking.Name(c.rule))
		}
		logged.RequestID, logged.Duration = uuid.Nil, nil
		require.Equal(t, logLine{
			Level: c.level, Msg: "request", Method: c.method, Route: &c.route, Status: c.status, Rule: c.rule,
			Cause: c.cause,
		}, logged, c.path)
	}
}

// Promise: health checks are logged when their result changes, and not once a second.
func TestHealthChecksAreQuiet(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var unready error
	handler := newServer(t, func(context.Context) error { return unready }, slog.New(slog.NewJSONHandler(&log, nil)))
	for i := range 60 {
		switch i % 20 {
		case 0:
			unready = nil
		case 10:
			unready = errors.New("down")
		}
		for _, path := range []string{"/health/live", "/health/ready"} {
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		}
	}
	require.Equal(t, 1, strings.Count(log.String(), "/health/live"), log.String())
	require.Equal(t, 6, strings.Count(log.String(), "/health/ready"), log.String())
	require.Equal(t, 3, strings.Count(log.String(), "not_ready"))
}

// Promise: a valid X-Request-Id of the caller is the id of the request, in the response and in the
// log; without one, the trace id of a valid traceparent is. Any other header is ignored, and its
// text is not logged.
func TestRequestIDOfTheCaller(t *testing.T) {
	t.Parallel()
	const (
		guid        = "5f1b7f5e-0a3c-4a57-8d2e-6a1f0b9f4c11"
		trace       = "4bf92f3577b34da6a3ce929d0e0e4736"
		traceAsGuid = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
		parent      = "00f067aa0ba902b7"
		valid       = "00-" + trace + "-" + parent + "-01"
	)
	for name, c := range map[string]struct {
		ids, traces []string
		adopted     string // empty: a new id
	}{
		"none":                            {},
		"a guid":                          {ids: []string{guid}, adopted: guid},
		"a guid in upper case":            {ids: []string{strings.ToUpper(guid)}, adopted: guid},
		"a guid and a trace":              {[]string{guid}, []string{valid}, guid},
		"a trace":                         {traces: []string{valid}, adopted: traceAsGuid},
		"a trace after an invalid id":     {[]string{"42"}, []string{valid}, traceAsGuid},
		"a trace of a later version":      {traces: []string{"cc" + valid[2:] + "-x"}, adopted: traceAsGuid},
		"two guids":                       {ids: []string{guid, guid}},
		"a zero guid":                     {ids: []string{uuid.Nil.String()}},
		"a guid without hyphens":          {ids: []string{strings.ReplaceAll(guid, "-", "")}},
		"a guid in braces":                {ids: []string{"{" + guid + "}"}},
		"a guid as a URN":                 {ids: []string{"urn:uuid:" + guid}},
		"a text of a guid's length":       {ids: []string{strings.Repeat("z", len(guid))}},
		"an empty id":                     {ids: []string{""}},
		"a long id":                       {ids: []string{strings.Repeat(guid, 1000)}},
		"an id with a line break":         {ids: []string{guid[:35] + "\n"}},
		"two traces":                      {traces: []string{valid, valid}},
		"a zero trace":                    {traces: []string{"00-00000000000000000000000000000000-" + parent + "-01"}},
		"a zero parent":                   {traces: []string{"00-" + trace + "-0000000000000000-01"}},
		"a trace in upper case":           {traces: []string{strings.ToUpper(valid)}},
		"a trace of the invalid version":  {traces: []string{"ff" + valid[2:]}},
		"a trace of version 00 with more": {traces: []string{valid + "-x"}},
		"a trace that is cut off":         {traces: []string{"00-" + trace + "-" + parent}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			handler := newServer(t, nil, slog.New(slog.NewJSONHandler(&log, nil)))
			request := httptest.NewRequest(http.MethodGet, "/appointments", nil)
			request.Header["X-Request-Id"], request.Header["Traceparent"] = c.ids, c.traces
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, request)
			var logged logLine
			require.NoError(t, json.Unmarshal(log.Bytes(), &logged))
			require.Equal(t, response.Header().Get("X-Request-ID"), logged.RequestID.String())
			requireError(t, response, server.TokenMissing)
			if c.adopted != "" {
				require.Equal(t, c.adopted, logged.RequestID.String())
				return
			}
			for _, text := range slices.Concat(c.ids, c.traces) {
				require.NotEqual(t, strings.ToLower(text), logged.RequestID.String())
				require.True(t, text == "" || !strings.Contains(log.String(), text), log.String())
			}
			require.EqualValues(t, 7, logged.RequestID.Version(), "a new id")
		})
	}
}

// Promise: a request with a rejected token closes its connection, because the server would
// otherwise have to read the rest of the request.
func TestRejectedTokenClosesTheConnection(t *testing.T) {
	t.Parallel()
	response, _ := serve(t, t.Context(), nil, http.MethodPost, "/appointments")
	requireError(t, response, server.TokenMissing)
	require.Equal(t, "close", response.Header().Get("Connection"))
}

// Promise: work that continues after a response, such as a cancelled call, keeps that request's
// context and does not see the next one's.
func TestContextIsNotReused(t *testing.T) {
	t.Parallel()
	contexts := make(chan context.Context, 1)
	handler := newServer(t, func(ctx context.Context) error {
		contexts <- ctx
		return nil
	}, slog.New(slog.DiscardHandler))
	for range 50 { // the pool of gin may return another context than the last one
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/health/ready", nil))
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/health/live", nil))
		require.Equal(t, response.Header().Get("X-Request-ID"), server.RequestID(<-contexts).String())
	}
}

// Promise: out of schedule, Difficulty is ignored, because there are no cells.
func TestDifficultyOutOfSchedule(t *testing.T) {
	t.Parallel()
	guid := uuid.New()
	body := &api.AppointmentRequest{
		DirectionGUID: guid, DirectionType: "consult", LpuFromGUID: guid, LpuToGUID: guid,
		OutOfSchedule: new(true), DocPrvdGUID: new(guid.String()), Date: new("2019-08-21"), Difficulty: new(int32(3)),
	}
	now := time.Date(2019, 8, 20, 12, 0, 0, 0, time.UTC)
	wanted, refusal := bookingRequest(body, now)
	require.Nil(t, refusal)
	require.Equal(t, 1, wanted.Difficulty)
	body.OutOfSchedule, body.SlotID = nil, new(int64(1))
	wanted, refusal = bookingRequest(body, now)
	require.Nil(t, refusal)
	require.Equal(t, 3, wanted.Difficulty)
}

// Promise: times are returned in whole seconds, as in the source. Dates are returned unchanged.
func TestTimesInWholeSeconds(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time {
		return time.Date(2019, 8, 21, 8, 45, second, 999_999_000, time.FixedZone("", 3*60*60))
	}
	held := &booking.HeldDirection{
		Direction:   booking.Direction{Type: booking.Laboratory, CreatedAt: at(1)},
		Appointment: booking.Appointment{Start: at(2), End: at(3), CreatedAt: at(4)},
	}
	laboratory := appointmentResult(held).LaboratoryDirection
	held.Direction.Type = booking.Consult
	consult := appointmentResult(held).ConsultDirection
	for _, appointment := range []api.DirectionAppointment{laboratory.Appointment, consult.Appointment} {
		for want, got := range map[string]time.Time{
			`"2019-08-21T08:45:02+03:00"`: appointment.Start,
			`"2019-08-21T08:45:03+03:00"`: appointment.End,
			`"2019-08-21T08:45:04+03:00"`: appointment.CreateTime,
			`"2019-08-21T08:45:01+03:00"`: laboratory.DateCreate,
		} {
			text, err := json.Marshal(got)
			require.NoError(t, err)
			require.Equal(t, want, string(text))
		}
	}
}

// Promise: a disconnected client is no failure of the service: it is logged at level INFO.
func TestDisconnectedClient(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	response, logged := serve(t, ctx, func(ctx context.Context) error {
		cancel()
		<-ctx.Done() // the check notices
		return ctx.Err()
	}, http.MethodGet, "/health/ready")
	requireError(t, response, server.NotReady)
	require.Equal(t, "context canceled", logged.Cause)
	require.True(t, logged.Gone)
	require.Equal(t, "INFO", logged.Level)
}
