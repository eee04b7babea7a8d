package e2e_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/internal/booking"
	"talon.example/test/harness"
)

// Promise: a patient who sends more than the configured number of requests gets too_many_requests
// with the time to wait, and the headers tell beforehand. Other patients, also of the same client
// application, are not concerned. The request works again after that time.
func TestRateOfAPatient(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, func(c *app.Config) { c.PersonRate, c.ClientRate = 1, 100 }).Scene()
	list := func(person uuid.UUID) harness.Answer { return sc.Get(person, "/directions") }
	first := list(sc.Person)
	require.Equal(t, `"person";q=5;w=5, "client";q=500;w=5`, first.Header.Get("Ratelimit-Policy"))
	require.Equal(t, `"person";r=4;t=1, "client";r=499;t=1`, first.Header.Get("Ratelimit"))
	for range 4 {
		require.Equal(t, 200, list(sc.Person).StatusCode)
	}
	refused := list(sc.Person)
	refused.RequireRefusal(t, "too_many_requests")
	require.Contains(t, []string{"1", "2"}, refused.Header.Get("Retry-After"))
	left := refused.Header.Get("Ratelimit")
	require.True(t, strings.HasPrefix(left, `"person";r=0;t=5, `), left)
	require.Equal(t, 200, list(uuid.New()).StatusCode)
	sc.AdvanceClock(time.Second)
	require.Equal(t, 200, list(sc.Person).StatusCode)
}

// Promise: the requests of all patients of a client application, and those of its own, count for
// the application, and not for another one.
func TestRateOfAClient(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, withAdmin, func(c *app.Config) { c.ClientRate = 1 }).Scene()
	for range 5 {
		require.Equal(t, 200, sc.Get(uuid.New(), "/directions").StatusCode)
	}
	sc.Get(sc.Person, "/directions").RequireRefusal(t, "too_many_requests")
	throttled := `talon_client_throttled_total{client="` + harness.ClientGuid.String() + `"}`
	require.InDelta(t, 1, scrape(t, sc.Service)[throttled], 0)
}

// Promise: a search with explain=true counts as ten requests.
func TestExplainIsDearer(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, func(c *app.Config) { c.PersonRate = 5 }).Scene()
	search := "/directions/" + sc.Direction.String() + "/slots"
	cheap := sc.Get(sc.Person, search)
	require.Equal(t, `"person";r=24;t=1`, cheap.Header.Get("Ratelimit"))
	dear := sc.Get(sc.Person, search+"?explain=true")
	require.Equal(t, `"person";r=14;t=3`, dear.Header.Get("Ratelimit"))
	require.Equal(t, 200, sc.Get(sc.Person, search+"?explain=true").StatusCode)
	sc.Get(sc.Person, search+"?explain=true").RequireRefusal(t, "too_many_requests")
}

// Promise: where the rate of a patient is so low that it never allows ten requests at once, a
// search with explain=true takes all of them, and is not rejected forever.
func TestExplainWithALowRate(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, func(c *app.Config) { c.PersonRate = 1 }).Scene()
	search := "/directions/" + sc.Direction.String() + "/slots?explain=true"
	require.Equal(t, 200, sc.Get(sc.Person, search).StatusCode)
	refused := sc.Get(sc.Person, search)
	refused.RequireRefusal(t, "too_many_requests")
	require.Contains(t, []string{"5", "6"}, refused.Header.Get("Retry-After"))
}

// Promise: a patient has a limited number of requests at once. Some more wait instead of failing,
// so that a page may send several.
func TestRequestsOfAPatientAtOnce(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, harness.WaitForLocks, func(c *app.Config) { c.PersonInFlight = 1 }).Scene()
	unlock := sc.LockCells()
	answers := make(chan harness.Answer, 1)
	go func() { answers <- sc.TryBook() }()
	sc.WaitForBlocked()

	refused := sc.Get(sc.Person, "/directions")
	refused.RequireRefusal(t, "too_many_requests")
	require.Equal(t, 200, sc.Get(uuid.New(), "/directions").StatusCode, "of another patient")
	unlock()
	require.Equal(t, 200, (<-answers).StatusCode)

	var all sync.WaitGroup
	for range 6 {
		all.Go(func() { require.Equal(t, 200, sc.Get(sc.Person, "/directions").StatusCode) })
	}
	all.Wait()
}

// Promise: one client application never takes more than half of the places, so that another one
// finds some.
func TestPlacesOfAClient(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, harness.WaitForLocks, func(c *app.Config) { c.MaxInFlight = 2 }).Scene()
	unlock := sc.LockCells()
	answers := make(chan harness.Answer, 1)
	go func() { answers <- sc.TryBook() }()
	sc.WaitForBlocked()

	sc.Get(uuid.New(), "/directions").RequireRefusal(t, "too_many_requests")
	scopes := []string{booking.ScopeEventsRead}
	other := sc.AddSystemClient(scopes)
	require.Equal(t, 200, sc.GetAs(sc.SystemToken(other, scopes), "/webhooks").StatusCode)
	unlock()
	require.Equal(t, 200, (<-answers).StatusCode)
}

// Promise: requests without a token, whose secrets anybody may guess, never take more than half of
// the places, so that patients with a token find some.
func TestPlacesWithoutAToken(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t, harness.WaitForLocks, func(c *app.Config) { c.MaxInFlight = 2 })
	tx := sc.Begin()
	_, err := tx.Exec(t.Context(), `LOCK TABLE failed_identification`)
	require.NoError(t, err)
	answers := make(chan harness.Answer, 2)
	for range cap(answers) {
		go func() { answers <- sc.Identify(harness.EncodeQuery("personguid", uuid.NewString())) }()
	}
	(<-answers).RequireRefusal(t, "overloaded")
	require.Equal(t, 200, sc.Get(sc.Person, "/directions").StatusCode)
	require.NoError(t, tx.Rollback(t.Context()))
	(<-answers).RequireRefusal(t, "patient_not_identified")
}

// Promise: a client application can upload ten files at once. One more is rejected as one import
// too many, and another client application can still upload.
func TestUploadsOfAClientAtOnce(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	const imports = 10
	var (
		uploads sync.WaitGroup
		rests   []io.WriteCloser
	)
	defer func() {
		for _, rest := range rests {
			_, err := rest.Write([]byte(r.dayLine(1)))
			require.NoError(t, errors.Join(err, rest.Close()))
		}
		uploads.Wait()
	}()
	for range imports {
		body, rest := io.Pipe()
		rests = append(rests, rest)
		request := r.NewRequest(http.MethodPost, "/registry/imports", body)
		request.Header.Set("Authorization", "Bearer "+r.token)
		request.Header.Set("Content-Type", "application/x-ndjson")
		uploads.Go(func() { require.Equal(t, http.StatusAccepted, r.Do(request).StatusCode) })
	}
	require.Eventually(t, func() bool {
		return r.Count(`SELECT count(*) FROM import WHERE client_guid = $1`, r.client) == imports
	}, 20*time.Second, 10*time.Millisecond)

	r.upload("", "application/x-ndjson", "", []byte(r.dayLine(1))).RequireRefusal(t, "too_many_imports")
	scopes := []string{"schedule:write"}
	other := *r
	other.client = r.AddSystemClient(scopes, r.To)
	other.token = r.SystemToken(other.client, scopes, r.To)
	require.Equal(t, http.StatusAccepted, other.upload("", "application/x-ndjson", "", []byte(r.dayLine(1))).StatusCode)
}

// Promise: one patient with 400 connections that search without a pause costs another patient of
// the same client application no failure. bench/crowd.go measures the time.
func TestOneTokenDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	const connections, reads = 400, 66
	sc := harness.Start(t, func(c *app.Config) { c.PersonRate, c.PersonInFlight, c.ClientRate = 10, 4, 1000 }).Scene()
	token := "Bearer " + sc.Token(sc.Person)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var (
		attack  sync.WaitGroup
		stopped atomic.Bool
		refused atomic.Int64
	)
	for range connections {
		attack.Go(func() {
			for !stopped.Load() {
				request := sc.NewRequest(http.MethodGet, "/directions/"+sc.Direction.String()+"/slots", nil)
				request.Header.Set("Authorization", token)
				response, err := client.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				if response.StatusCode == http.StatusTooManyRequests {
					refused.Add(1)
				}
				response.Body.Close()
			}
		})
	}
	require.Eventually(t, func() bool { return refused.Load() > connections }, time.Minute, time.Millisecond)
	for range reads {
		a := sc.Get(uuid.New(), "/directions")
		require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	}
	stopped.Store(true)
	attack.Wait()
}
