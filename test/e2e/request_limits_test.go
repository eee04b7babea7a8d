package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/test/harness"
)

// Promise: the service does not read the body of an anonymous client, and reads little of a body
// that is too large.
func TestLargeBodiesAreNotRead(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	for name, attempt := range map[string]struct {
		authorization string
		announced     bool
		rule          string
	}{
		"anonymous, announced":      {"", true, "token_missing"},
		"anonymous, in chunks":      {"", false, "token_missing"},
		"with token, announced":     {"Bearer " + sc.Token(sc.Person), true, "body_too_large"},
		"with token, in chunks":     {"Bearer " + sc.Token(sc.Person), false, "body_too_large"},
		"with bad token, in chunks": {"Bearer x", false, "token_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			size := int64(10 << 20)
			if attempt.rule == "body_too_large" && !attempt.announced {
				size = 200 << 10 // with more, the client may still be writing when the response arrives
			}
			var sent atomic.Int64
			body := io.TeeReader(io.LimitReader(zeroReader{}, size), byteCounter{&sent})
			request := sc.NewRequest(http.MethodPost, "/appointments", body)
			if attempt.announced {
				request.ContentLength = size
			}
			request.Header.Set("Content-Type", "application/json")
			if attempt.authorization != "" {
				request.Header.Set("Authorization", attempt.authorization)
			}
			// The client waits for 100 Continue before it sends the body, as curl does with a body
			// of this size.
			request.Header.Set("Expect", "100-continue")
			client := &http.Client{Transport: &http.Transport{
				DisableKeepAlives: true, ExpectContinueTimeout: 10 * time.Second,
			}}
			response, err := client.Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			raw, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			harness.ValidateResponse(t, request, response, raw)
			require.Contains(t, string(raw), attempt.rule)
			// The socket buffers may hold data that was sent but not read.
			require.Less(t, sent.Load(), int64(4<<20))
			if attempt.rule != "body_too_large" {
				require.Zero(t, sent.Load(), "the service did not request the body")
			}
		})
	}
}

type byteCounter struct{ n *atomic.Int64 }

func (c byteCounter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// Promise: a body of exactly the operation's limit is accepted, and one byte more is rejected with
// body_too_large. A client that sends its whole body before it reads receives the response.
func TestBodyLimits(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	none := uuid.NewString()
	for path, attempt := range map[string]struct {
		method string
		limit  int
		rule   string // the response to a body of the limit
	}{
		"/appointments":                        {http.MethodPost, 65536, "field_invalid"},
		"/appointments/check":                  {http.MethodPost, 65536, "field_invalid"},
		"/appointments/" + none:                {http.MethodDelete, 16384, "appointment_absent"},
		"/appointments/" + none + "/move":      {http.MethodPost, 16384, "field_invalid"},
		"/slots/" + uuid.NewString() + "/hold": {http.MethodPost, 65536, "field_invalid"},
	} {
		t.Run(attempt.method+" "+path, func(t *testing.T) {
			send := func(size int) harness.Answer {
				request := sc.NewRequest(attempt.method, path, strings.NewReader("{"+strings.Repeat(" ", size-2)+"}"))
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
				return sc.Do(request)
			}
			send(attempt.limit).RequireRefusal(t, attempt.rule)
			for _, size := range []int{attempt.limit + 1, attempt.limit + 200<<10} {
				a := send(size)
				a.RequireRefusal(t, "body_too_large")
				require.Contains(t, a.Refusal.Message, strconv.Itoa(attempt.limit))
			}
		})
	}
}

// Promise: requests above the limit are rejected within a second, before their token is verified,
// with the texts of any other error, and they are counted in the log and in the metrics. The health
// checks still respond.
func TestRequestsInFlightAreBounded(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, withAdmin, harness.WaitForLocks, func(c *app.Config) { c.MaxInFlight = 1 }).Scene()
	unlock := sc.LockCells()
	answers := make(chan harness.Answer, 1)
	go func() { answers <- sc.TryBook() }()
	sc.WaitForBlocked()

	sc.TryBook().RequireRefusal(t, "overloaded")
	anonymous := sc.NewRequest(http.MethodGet, "/directions", nil)
	anonymous.Header.Set("Accept-Language", "en")
	refused := sc.Do(anonymous)
	refused.RequireRefusal(t, "overloaded")
	require.NotNil(t, refused.Refusal.Title)
	require.Eventually(t, func() bool { return strings.Contains(sc.Logs.String(), "requests rejected") },
		10*time.Second, time.Millisecond)
	require.NotContains(t, sc.Logs.String(), `"rule":"overloaded"`)
	counted := scrape(t, sc.Service)
	require.InDelta(t, 2, counted[`talon_refusals_total{rule="overloaded"}`], 0)
	require.InDelta(t, 1, counted[`talon_requests_total{operation="listDirections",status="503"}`], 0)
	require.InDelta(t, 1, counted[`talon_requests_total{operation="createAppointment",status="503"}`], 0)
	require.Equal(t, 200, sc.Do(sc.NewRequest(http.MethodGet, "/health/live", nil)).StatusCode)
	require.Equal(t, 200, sc.Do(sc.NewRequest(http.MethodGet, "/health/ready", nil)).StatusCode)
	unlock()
	require.Equal(t, 200, (<-answers).StatusCode)
}

// Promise: clients that send their bodies slowly do not block other clients.
func TestSlowBodiesDoNotBlockOthers(t *testing.T) {
	t.Parallel()
	sc := harness.StartWithMaxInFlight(t, 1)
	for range 4 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(sc.URL, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "POST /appointments HTTP/1.1\r\n"+
			"Host: x\r\n"+
			"Content-Type: application/json\r\n"+
			"Authorization: Bearer %s\r\n"+
			"Content-Length: 100\r\n"+
			"\r\n{", sc.Token(sc.Person))
		require.NoError(t, err)
	}
	require.Equal(t, 200, sc.TryBook().StatusCode)
}

// Promise: a finished request frees its place for the next one, whatever its response.
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

// Promise: a request ends by its deadline, also when an external service does not respond.
func TestRequestDeadline(t *testing.T) {
	t.Parallel()
	requests := make(chan struct{}, 10)
	silent := harness.HTTPServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then the server does not notice that the client is gone
		requests <- struct{}{}
		<-r.Context().Done()
	}))
	sc := harness.Start(t, func(c *app.Config) {
		c.MipURL, c.MipAuthURL = app.Address(silent+"/fhir"), app.Address(silent+"/token")
		c.Timeout, c.MipTimeout = 3*time.Second, 40*time.Second
	}).Scene()
	sc.AllowMkabCreation()
	started := time.Now()
	a := sc.TryBook()
	require.Less(t, time.Since(started), 20*time.Second)
	require.Len(t, requests, 1)
	require.GreaterOrEqual(t, a.StatusCode, 500, "%s", a.Raw)
	require.Zero(t, sc.Count(`SELECT count(*) FROM mkab WHERE lpu_guid = $1`, sc.To))
}

// Promise: a header has at most 100 lines. Those longer than 4 KiB share 4 MiB with all others
// while they arrive. Shorter ones are accepted whatever others send.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t)
	live := func(lines, bytes int) int {
		request := sc.NewRequest(http.MethodGet, "/health/live", nil)
		for i := range lines {
			request.Header.Set(fmt.Sprintf("X-Line-%d", i), strings.Repeat("x", bytes/lines))
		}
		response, err := harness.HTTPClient.Do(request) // net/http renders the 400
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	const fewer = 90 // the client adds some lines of its own
	require.Equal(t, 200, live(fewer, 16<<10))
	require.Equal(t, 200, live(fewer, 16<<10))
	require.Equal(t, 400, live(120, 120))

	unfinished := "GET /health/live HTTP/1.1\r\nX-Long: " + strings.Repeat("x", 30<<10)
	conns := make([]net.Conn, 200) // more than 4 MiB
	for i := range conns {
		conn, err := net.Dial("tcp", strings.TrimPrefix(sc.URL, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, unfinished)
		require.NoError(t, err)
		conns[i] = conn
	}
	require.Eventually(t, func() bool { return live(1, 16<<10) == 400 }, 4*time.Second, 10*time.Millisecond)
	require.Equal(t, 200, live(1, 1000))
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return live(1, 16<<10) == 200 }, 20*time.Second, 10*time.Millisecond)
}
