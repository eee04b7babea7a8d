package talon_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
)

var (
	lpuA = uuid.MustParse("e66e8056-f0bd-4ec3-85f7-28ff5b22db4f")
	lpuB = uuid.MustParse("4cb4f1c8-386d-410d-ac5d-fa232bd2afb9")
)

// Promise: the SDK depends on no module of the service: no web framework, no database driver and no
// migrations.
func TestModuleGraph(t *testing.T) {
	t.Parallel()
	modules, err := exec.CommandContext(t.Context(), "go", "list", "-m", "all").Output()
	require.NoError(t, err)
	for _, unwanted := range []string{"github.com/gin-gonic/gin", "github.com/jackc/pgx", "github.com/pressly/goose"} {
		require.NotContains(t, string(modules), unwanted)
	}
	require.NotContains(t, strings.Fields(string(modules)), "talon.example")
}

// Promise: the client recognises the operations that take an Idempotency-Key, also if a gateway
// adds a prefix to their paths.
func TestKeyedOperations(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/talon/v1"} {
		require.Regexp(t, talon.Keyed, "POST "+path+"/appointments")
		require.Regexp(t, talon.Keyed, "POST "+path+"/appointments/x/move")
		require.Regexp(t, talon.Keyed, "DELETE "+path+"/appointments/x")
		require.NotRegexp(t, talon.Keyed, "GET "+path+"/appointments")
		require.NotRegexp(t, talon.Keyed, "POST "+path+"/appointments/check")
	}
}

// Promise: after a lost response the client retries, the service processes the request once, and
// Replayed reports it.
func TestLostResponses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	direct, _ := newClient(t, server, 3, talon.Options{})
	before, err := talon.Answer(direct.ListAppointmentsWithResponse(ctx, nil))
	require.NoError(t, err)
	lossy := newProxy(t, server, loseFirst)
	api, _ := newClient(t, lossy.url, 3, talon.Options{})
	cell, next := int64(10801), int64(10803)

	booked, err := api.CreateAppointmentWithResponse(ctx, nil, consultation(3, &cell))
	result, err := talon.Answer(booked, err)
	require.NoError(t, err)
	require.True(t, talon.Replayed(booked.HTTPResponse))
	visit := result.ConsultDirection.Appointment.GUID

	moved, err := api.MoveAppointmentWithResponse(ctx, visit, nil, client.MoveRequest{SlotID: &next})
	result, err = talon.Answer(moved, err)
	require.NoError(t, err)
	require.True(t, talon.Replayed(moved.HTTPResponse))
	require.Equal(t, visit, result.ConsultDirection.Appointment.GUID)

	cancelled, err := api.CancelAppointmentWithResponse(ctx, visit, nil, client.CancelRequest{})
	_, err = talon.Answer(cancelled, err)
	require.NoError(t, err)
	require.True(t, talon.Replayed(cancelled.HTTPResponse))

	visits, err := talon.Answer(api.ListAppointmentsWithResponse(ctx, nil)) // its first response is lost, too
	require.NoError(t, err)
	require.Len(t, visits.Items, len(before.Items)+1)
	require.Equal(t, visit, visits.Items[0].GUID)
	require.Equal(t, client.AppointmentStatusCancelled, visits.Items[0].Status)

	var keys []string
	for _, header := range lossy.requests() {
		keys = append(keys, header.Get("Idempotency-Key"))
	}
	require.Len(t, keys, 8)
	first, second := []string{keys[0], keys[2], keys[4], ""}, []string{keys[1], keys[3], keys[5], keys[7]}
	require.Equal(t, first, second, "the tries of a request have the same key")
	require.Len(t, slices.Compact(keys), 4, "different requests have different keys")
}

// Promise: the client does not replace a key of the caller.
func TestCallersKey(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t, server, pass)
	api, _ := newClient(t, proxy.url, 2, talon.Options{})
	cell, key := int64(20815), "the-caller-s"
	params := &client.CreateAppointmentParams{IdempotencyKey: &key}
	_, err := api.CreateAppointmentWithResponse(t.Context(), params, consultation(2, &cell))
	requireRefusal(t, err, client.RuleDirectionAlreadyBooked)
	require.Equal(t, key, proxy.requests()[0].Get("Idempotency-Key"))
}

// Promise: a refusal contains the rule, the details and the request id, and its text contains no
// data of the patient. A refusal that is not retryable is not retried.
func TestRefusal(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t, server, pass)
	api, waits := newClient(t, proxy.url, 2, talon.Options{})
	cell := int64(20815)
	response, err := api.CreateAppointmentWithResponse(t.Context(), nil, consultation(2, &cell))
	require.Nil(t, response)

	refusal := requireRefusal(t, err, client.RuleDirectionAlreadyBooked)
	require.Equal(t, http.StatusBadRequest, refusal.Status)
	require.Equal(t, "У выбранного направления уже есть запись на прием", refusal.Message)
	require.Equal(t, "4000", refusal.MessageCode)
	require.Equal(t, client.ErrorTypeValidation, refusal.Type)
	require.Equal(t, lpuB, refusal.Details.Appointment.LpuGUID)
	require.NotZero(t, refusal.RequestID)
	require.Zero(t, refusal.RetryAfter)
	require.False(t, refusal.Retryable())
	text := "talon: refused by direction_already_booked (400, request " + refusal.RequestID.String() + ")"
	require.EqualError(t, err, text)
	require.Len(t, proxy.requests(), 1)
	require.Empty(t, *waits)
}

// Promise: a refusal for which a retry may succeed only days later is retryable, but the client
// does not retry it.
func TestRefusalForDays(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t, server, pass)
	api, _ := newClient(t, proxy.url, 1, talon.Options{})
	cell := int64(83001)
	request := consultation(1, &cell)
	request.DirectionGUID, request.LpuToGUID = numbered("0007", 100000004), lpuA
	_, err := api.CreateAppointmentWithResponse(t.Context(), nil, request)
	require.True(t, requireRefusal(t, err, client.RuleSlotBeyondHorizon).Retryable())
	require.Len(t, proxy.requests(), 1)
}

// Promise: after token_expired the client gets a new token once and sends the request again. If
// that token has expired too, the client returns the refusal.
func TestTokenExpired(t *testing.T) {
	t.Parallel()
	fresh, old := tokenOf(t, 4, time.Now()), tokenOf(t, 4, time.Now().Add(-2*time.Hour))
	for _, test := range []struct {
		tokens []string // in the order in which Token returns them
		rule   client.Rule
	}{
		{tokens: []string{fresh}},
		{tokens: []string{old, fresh}},
		{tokens: []string{old, old}, rule: client.RuleTokenExpired},
		{tokens: []string{"no token"}, rule: client.RuleTokenInvalid},
	} {
		proxy := newProxy(t, server, pass)
		calls := 0
		api, err := talon.New(proxy.url, talon.Options{Tries: 1, Token: func(context.Context) (string, error) {
			calls++
			return test.tokens[calls-1], nil
		}})
		require.NoError(t, err)
		_, err = talon.Answer(api.HoldSlotWithResponse(t.Context(), numbered("0009", 20805), client.HoldRequest{
			DirectionGUID: numbered("0007", 400000001), DirectionType: "consult", LpuFromGUID: lpuA, LpuToGUID: lpuB,
		}))
		if test.rule == "" {
			require.NoError(t, err)
		} else {
			requireRefusal(t, err, test.rule)
		}
		require.Equal(t, len(test.tokens), calls)
		require.Len(t, proxy.requests(), len(test.tokens))
	}
}

// Promise: if Token fails, the client returns its error and sends no request.
func TestTokenFails(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t, server, pass)
	unavailable := errors.New("the authorisation service is unavailable")
	token := func(context.Context) (string, error) { return "", unavailable }
	api, err := talon.New(proxy.url, talon.Options{Token: token})
	require.NoError(t, err)
	_, err = talon.Answer(api.ListDirectionsWithResponse(t.Context(), nil))
	require.ErrorIs(t, err, unavailable)
	require.Empty(t, proxy.requests())
}

// Promise: the client retries a request after a refusal for which a retry may soon succeed, not
// before RetryAfter. It sends the request at most Tries times and for no longer than Within.
func TestBounds(t *testing.T) {
	t.Parallel()
	ticket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token": "ticket", "token_type": "Bearer"}`))
	}))
	t.Cleanup(ticket.Close)
	const unreachable = "http://127.0.0.1:1"
	withoutIndex := serveFor(t, "TALON_MIP_URL="+unreachable, "TALON_MIP_AUTH_URL="+ticket.URL)
	withoutTicket := serveFor(t, "TALON_MIP_URL="+unreachable, "TALON_MIP_AUTH_URL="+unreachable)

	// With a Retry-After of an hour, no second try fits into Within, even on a slow machine.
	inAnHour := newProxy(t, withoutIndex, func(_ int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
		forward.ServeHTTP(retryInAnHour{w}, r)
	}).url

	const unavailable = client.RuleMipUnavailable
	// The patient has no card in the target institution, so the service uses the master patient
	// index.
	request := consultation(10, new(int64(100801)))
	request.LpuFromGUID = uuid.MustParse("1dadf64c-f34a-4023-98a6-3e7b7be4f243")
	request.LpuToGUID = uuid.MustParse("12ab9992-9875-4fb6-a9c0-8504170c1429")
	for name, test := range map[string]struct {
		service string
		options talon.Options
		rule    client.Rule
		after   time.Duration
		tries   int
	}{
		"three tries by default":       {withoutIndex, talon.Options{}, unavailable, time.Second, 3},
		"five tries":                   {withoutIndex, talon.Options{Tries: 5}, unavailable, time.Second, 5},
		"one try":                      {withoutIndex, talon.Options{Tries: 1}, unavailable, time.Second, 1},
		"no time for a second try":     {inAnHour, talon.Options{Within: time.Hour}, unavailable, time.Hour, 1},
		"a refusal without RetryAfter": {withoutTicket, talon.Options{}, client.RuleMipAuthURLUnreachable, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := newProxy(t, test.service, passWithoutKey)
			api, waits := newClient(t, proxy.url, 10, test.options)
			_, err := api.CreateAppointmentWithResponse(t.Context(), nil, request)
			refusal := requireRefusal(t, err, test.rule)
			require.True(t, refusal.Retryable())
			require.Equal(t, test.after, refusal.RetryAfter)
			require.Len(t, proxy.requests(), test.tries)
			require.Len(t, *waits, test.tries-1)
			for i, wait := range *waits {
				require.GreaterOrEqual(t, wait, test.after)
				require.Less(t, wait, test.after+500*time.Millisecond<<i)
			}
		})
	}
}

// Promise: a booking that is rejected because of too many requests is retried with its key, not
// before RetryAfter.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t, server, pass)
	api, waits := newClient(t, proxy.url, 38, talon.Options{})
	_, err := api.CreateAppointmentWithResponse(t.Context(), nil, consultation(38, new(int64(10801))))
	require.Equal(t, time.Second, requireRefusal(t, err, client.RuleTooManyRequests).RetryAfter)
	require.Len(t, *waits, 2)
	for _, wait := range *waits {
		require.GreaterOrEqual(t, wait, time.Second)
	}
	sent := proxy.requests()
	require.Len(t, sent, 3)
	for _, header := range sent {
		require.NotEmpty(t, header.Get("Idempotency-Key"))
		require.Equal(t, sent[0].Get("Idempotency-Key"), header.Get("Idempotency-Key"))
	}
}

// Promise: if it receives no response, the client retries only idempotent requests.
func TestNoResponse(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(http.ResponseWriter){
		"the connection breaks": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"a gateway responds": func(w http.ResponseWriter) {
			http.Error(w, "<h1>Bad Gateway</h1>", http.StatusBadGateway)
		},
		"the response is cut off": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"items":`))
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cell := int64(10815)
			for _, test := range []struct {
				operation string
				tries     int
				call      func(*client.ClientWithResponses) error
			}{
				{"get", 3, func(api *client.ClientWithResponses) error {
					_, err := talon.Answer(api.GetDirectionByNumberWithResponse(t.Context(), "00000008001"))
					return err
				}},
				{"book", 3, func(api *client.ClientWithResponses) error {
					_, err := talon.Answer(api.CreateAppointmentWithResponse(t.Context(), nil, consultation(8, &cell)))
					return err
				}},
				{"release", 3, func(api *client.ClientWithResponses) error {
					params := &client.ReleaseSlotParams{LpuGUID: lpuB}
					_, err := talon.Answer(api.ReleaseSlotWithResponse(t.Context(), uuid.New(), params))
					return err
				}},
				{"check", 1, func(api *client.ClientWithResponses) error {
					_, err := talon.Answer(api.CheckAppointmentWithResponse(t.Context(), consultation(8, &cell)))
					return err
				}},
			} {
				lost := newProxy(t, server,
					func(_ int, w http.ResponseWriter, _ *http.Request, _ http.Handler) { lose(w) })
				api, _ := newClient(t, lost.url, 8, talon.Options{})
				err := test.call(api)
				require.ErrorContains(t, err, "talon: no response", test.operation)
				require.NotContains(t, err.Error(), "00000008001")
				require.Len(t, lost.requests(), test.tries, test.operation)
			}
		})
	}
}

// Promise: cancelling the context ends the request at once, also between two tries. In that case
// the error contains the cancellation and the failure of the last try.
func TestCancellation(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	hanging := newProxy(t, server, func(_ int, _ http.ResponseWriter, r *http.Request, _ http.Handler) {
		cancel()
		<-r.Context().Done()
	})
	api, _ := newClient(t, hanging.url, 8, talon.Options{})
	_, err := talon.Answer(api.ListDirectionsWithResponse(ctx, nil))
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, hanging.requests(), 1)

	ctx, cancel = context.WithCancel(t.Context())
	broken := newProxy(t, server, func(int, http.ResponseWriter, *http.Request, http.Handler) {
		panic(http.ErrAbortHandler)
	})
	cancelAfterTry := doer(func(request *http.Request) (*http.Response, error) {
		response, err := http.DefaultClient.Do(request)
		cancel()
		return response, err
	})
	api, err = talon.New(broken.url, talon.Options{Tries: 1000, Within: time.Hour, HTTP: cancelAfterTry})
	require.NoError(t, err)
	_, err = talon.Answer(api.ListDirectionsWithResponse(ctx, nil))
	require.ErrorContains(t, err, "talon: no response")
	require.NotContains(t, err.Error(), "waiting")
	require.Len(t, broken.requests(), 1)

	ctx, cancel = context.WithCancel(t.Context())
	api, _ = newClient(t, broken.url, 8, talon.Options{})
	talon.OnWait(api, func(ctx context.Context, _ time.Duration) error {
		cancel()
		return talon.Wait(ctx, time.Hour)
	})
	_, err = talon.Answer(api.ListDirectionsWithResponse(ctx, nil))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "talon: no response")
}

// Promise: a 304 response is neither a document nor a failure.
func TestNotModified(t *testing.T) {
	t.Parallel()
	api, _ := newClient(t, server, 2, talon.Options{})
	visit := numbered("000a", 2)
	first, err := api.GetAppointmentWithResponse(t.Context(), visit, nil)
	appointment, err := talon.Answer(first, err)
	require.NoError(t, err)
	require.Equal(t, visit, appointment.GUID)
	params := &client.GetAppointmentParams{IfNoneMatch: &first.Headers200.ETag}
	_, err = talon.Answer(api.GetAppointmentWithResponse(t.Context(), visit, params))
	require.ErrorIs(t, err, talon.ErrNotModified)
}

// Promise: the client returns a page of an intermediary as an error that is not a Refusal.
func TestForeignPage(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusOK, http.StatusNotFound} {
		foreign := newProxy(t, server, func(_ int, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
		})
		api, _ := newClient(t, foreign.url, 8, talon.Options{})
		_, err := talon.Answer(api.ListDirectionsWithResponse(t.Context(), nil))
		require.ErrorContains(t, err, "talon: ")
		_, refused := errors.AsType[*talon.Refusal](err)
		require.False(t, refused)
		require.Len(t, foreign.requests(), 1)
	}
}

// retryInAnHour sets Retry-After to an hour.
type retryInAnHour struct{ http.ResponseWriter }

func (w retryInAnHour) WriteHeader(status int) {
	w.Header().Set("Retry-After", "3600")
	w.ResponseWriter.WriteHeader(status)
}

// serveFor starts a sandbox with the settings and stops it when the test ends. It returns the
// sandbox's URL.
func serveFor(t *testing.T, settings ...string) (address string) {
	t.Helper()
	address, _, stop, err := serve(uuid.NewString(), settings...)
	require.NoError(t, err)
	t.Cleanup(stop)
	return address
}

// newClient returns a client for the numbered demo patient. The client does not wait between tries.
// It appends each pause to the returned slice instead.
func newClient(
	t *testing.T, address string, patient int, options talon.Options,
) (*client.ClientWithResponses, *[]time.Duration) {
	t.Helper()
	signed := tokenOf(t, patient, time.Now())
	options.Token = func(context.Context) (string, error) { return signed, nil }
	api, err := talon.New(address, options)
	require.NoError(t, err)
	waits := &[]time.Duration{}
	talon.OnWait(api, func(_ context.Context, wait time.Duration) error {
		*waits = append(*waits, wait)
		return nil
	})
	return api, waits
}

// consultation returns a request to book the cell with the first referral of the numbered demo
// patient.
func consultation(patient int, cell *int64) client.AppointmentRequest {
	return client.AppointmentRequest{
		DirectionGUID: numbered("0007", patient*100000000+1), DirectionType: "consult",
		LpuFromGUID: lpuA, LpuToGUID: lpuB, SlotID: cell,
	}
}

func requireRefusal(t *testing.T, err error, rule client.Rule) *talon.Refusal {
	t.Helper()
	refusal, refused := errors.AsType[*talon.Refusal](err)
	require.True(t, refused, "%v", err)
	require.Equal(t, rule, refusal.Rule)
	return refusal
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(request *http.Request) (*http.Response, error) { return d(request) }
