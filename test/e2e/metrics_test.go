package e2e_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/migrations"
	"talon.example/test/harness"
)

// withAdmin opens an admin port.
func withAdmin(c *app.Config) { c.AdminAddr = "127.0.0.1:0" }

var adminAddress = regexp.MustCompile(`"msg":"serving metrics","addr":"([^"]+)"`)

// adminURL returns the address of a service's admin port.
func adminURL(t *testing.T, s *harness.Service) string {
	t.Helper()
	var found []string
	require.Eventually(t, func() bool {
		found = adminAddress.FindStringSubmatch(s.Logs.String())
		return found != nil
	}, 10*time.Second, 10*time.Millisecond, "the admin port is opened")
	return "http://" + found[1]
}

// getAdmin returns the body of a page of the admin port.
func getAdmin(t *testing.T, s *harness.Service, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, adminURL(t, s)+path, nil)
	require.NoError(t, err)
	response, err := harness.HTTPClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", body)
	return string(body)
}

// scrape returns the metrics of a service by name and labels, as they are written.
func scrape(t *testing.T, s *harness.Service) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for line := range strings.Lines(getAdmin(t, s, "/metrics")) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		require.NoError(t, err, line)
		values[line[:i]] = value
	}
	return values
}

// scrapeUntil scrapes until a metric exists.
func scrapeUntil(t *testing.T, s *harness.Service, name string) (values map[string]float64) {
	t.Helper()
	require.Eventually(t, func() bool {
		values = scrape(t, s)
		_, ok := values[name]
		return ok
	}, 10*time.Second, 20*time.Millisecond, name)
	return values
}

// scrapeIdle scrapes until no request is in flight and no caller waits for a connection. The sweeps
// use the same pool, and may wait for one for a moment.
func scrapeIdle(t *testing.T, s *harness.Service) (values map[string]float64) {
	t.Helper()
	require.Eventually(t, func() bool {
		values = scrape(t, s)
		return values["talon_requests_in_flight"] == 0 && values[poolWaiting] == 0
	}, 10*time.Second, 5*time.Millisecond, "a request stays in flight, or a caller waiting")
	require.Contains(t, values, "talon_requests_in_flight")
	require.Contains(t, values, poolWaiting)
	return values
}

const poolWaiting = `talon_database_pool_waiting{pool="requests"}`

// Promise: a scrape shows what the service does: requests by operation and status, refusals by
// rule, replays, statements, pools, keys, sweeps, waiting events, the build and the schema.
func TestMetrics(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, withAdmin).Scene()
	key := uuid.NewString()
	first := sc.BookWithKey(key, sc.Person, harness.ClientGuid)
	replayed := sc.BookWithKey(key, sc.Person, harness.ClientGuid)
	require.Equal(t, http.StatusOK, first.StatusCode)
	require.Equal(t, "true", replayed.Header.Get("Idempotency-Replayed"))
	sc.TryBook().RequireRefusal(t, "direction_already_booked")
	sc.Send("/appointments", sc.BookingBody()).RequireRefusal(t, "token_missing")
	scrapeUntil(t, sc.Service, `talon_sweep_last_success_timestamp_seconds{sweep="webhook_attempts"}`)
	values := scrapeIdle(t, sc.Service)
	needed, err := migrations.Latest()
	require.NoError(t, err)
	for name, want := range map[string]float64{
		`talon_requests_total{operation="createAppointment",status="200"}`:        2,
		`talon_requests_total{operation="createAppointment",status="400"}`:        1,
		`talon_requests_total{operation="createAppointment",status="403"}`:        1,
		`talon_request_duration_seconds_count{operation="createAppointment"}`:     4,
		`talon_refusals_total{rule="direction_already_booked"}`:                   1,
		`talon_refusals_total{rule="token_missing"}`:                              1,
		`talon_idempotent_replays_total`:                                          1,
		`talon_requests_in_flight_max`:                                            256,
		`talon_database_pool_max{pool="requests"}`:                                4,
		`talon_database_rows_total{query="AppointmentCreate"}`:                    1,
		`talon_token_signatures_verified_total{kid=""}`:                           3,
		`talon_schema_version`:                                                    float64(needed),
		`talon_schema_version_needed`:                                             float64(needed),
		`talon_webhooks_failing`:                                                  0,
		`talon_imports_waiting`:                                                   0,
		`talon_imports_oldest_waiting_seconds`:                                    0,
		`talon_source_institutions`:                                               0,
		`talon_database_query_duration_seconds_count{query="IdempotencyKeyTake"}`: 2,
	} {
		got, ok := values[name]
		require.True(t, ok, name)
		require.InDelta(t, want, got, 0, name)
	}
	require.InDelta(t, 1, values[`talon_client_persons_total{client="`+harness.ClientGuid.String()+`"}`], 0)
	for name, value := range values {
		require.NotContains(t, name, sc.Person.String())
		require.NotContains(t, name, sc.Direction.String())
		if strings.HasPrefix(name, "talon_sweep_last_success") || strings.HasPrefix(name, "talon_backlog_read") ||
			strings.HasPrefix(name, "talon_token_keys_read") {
			require.InDelta(t, float64(time.Now().Unix()), value, 60, name)
		}
	}
	require.Positive(t, values[`talon_database_pool_wait_seconds_count{pool="requests"}`])
	require.Contains(t, values, `talon_database_retries_total`)
	require.Positive(t, values[`go_goroutines`])
	require.Contains(t, getAdmin(t, sc.Service, "/debug/build"), "talon.example")
	require.Contains(t, getAdmin(t, sc.Service, "/debug/pprof/goroutine?debug=1"), "goroutine profile")
}

// Promise: bookings that a forgotten transaction blocks are shown as waiting, as long as it lasts:
// those that have a place among the writes wait for the lock, and all others for such a place.
func TestBlockedBookingsAreShown(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, withAdmin).Scene()
	unlock, group := blockBookings(t, sc)
	require.Eventually(t, func() bool { return scrape(t, sc.Service)[poolWaiting] > 1 }, 10*time.Second,
		5*time.Millisecond)
	group.Wait()
	unlock()
	values := scrapeIdle(t, sc.Service)
	require.Greater(t, values[`talon_database_pool_wait_seconds_count{pool="requests"}`]-
		values[`talon_database_pool_wait_seconds_bucket{pool="requests",le="0.5"}`], 0.)
}

// Promise: without TALON_ADMIN_ADDR there is no admin port, and the service's own port has none of
// its pages.
func TestNoMetricsOnTheServicePort(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, withAdmin)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/build"} {
		s.Do(s.NewRequest(http.MethodGet, path, nil)).RequireRefusal(t, "route_not_found")
	}
	without := harness.Start(t)
	without.Stop()
	require.NotContains(t, without.Logs.String(), "serving metrics")
}

// Promise: no label of a metric grows with what strangers send: unknown paths, methods and keys.
func TestMetricsAreBounded(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, withAdmin)
	s.Do(s.NewRequest(http.MethodGet, "/unknown", nil))
	s.Do(s.NewRequest(http.MethodGet, "/appointments/"+uuid.NewString(), nil))
	scrapeUntil(t, s, `talon_sweep_last_success_timestamp_seconds{sweep="webhook_attempts"}`)
	scrapeUntil(t, s, `talon_backlog_read_timestamp_seconds`)
	names := func() (names []string) {
		for name := range scrape(t, s) {
			if regexp.MustCompile("(operation|rule|kid)=").MatchString(name) {
				names = append(names, name)
			}
		}
		return names
	}
	before := names()
	for range 20 {
		s.Do(s.NewRequest(http.MethodGet, "/"+uuid.NewString(), nil))
		s.Do(s.NewRequest(http.MethodGet, "/appointments/"+uuid.NewString(), nil))
	}
	require.ElementsMatch(t, before, names())
}

// metricName matches the name of a metric in a rule or a dashboard.
var metricName = regexp.MustCompile(`\b(?:talon|process|go)_[a-z_]+`)

// Promise: the alerts and the dashboard use only metrics that a scrape has, with the labels that it
// has. An alert on a metric that was renamed would never fire.
func TestMonitoringUsesExistingMetrics(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, withAdmin, func(c *app.Config) {
		c.MipURL, c.MipAuthURL = "http://127.0.0.1:9/fhir", "http://127.0.0.1:9/token"
		c.ClientRate = 1
		c.ReadURL = c.DatabaseURL
	}).Scene()
	sc.AllowMkabCreation()
	sc.TryBook().RequireRefusal(t, "mip_auth_url_unreachable")
	require.Eventually(t, func() bool {
		return sc.Get(sc.Person, "/directions").Refusal.Rule == "too_many_requests"
	}, 20*time.Second, time.Millisecond)
	scrapeUntil(t, sc.Service, `talon_sweep_last_success_timestamp_seconds{sweep="webhook_attempts"}`)
	exist := map[string]bool{}
	for name := range scrapeUntil(t, sc.Service, `talon_sweep_last_success_timestamp_seconds{sweep="past"}`) {
		metric, _, _ := strings.Cut(name, "{")
		exist[metric] = true
	}
	for _, file := range []string{"alerts.yml", "dashboard.json"} {
		text, err := os.ReadFile("../../deploy/monitoring/" + file)
		require.NoError(t, err)
		used := metricName.FindAllString(string(text), -1)
		require.Greater(t, len(used), 20, file)
		for _, name := range used {
			require.True(t, exist[name], "%s in %s", name, file)
		}
	}
}

// Promise: the metrics show how many connections there are, also those that send nothing, and how
// many there may be.
func TestConnectionsAreShown(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, withAdmin, func(c *app.Config) { c.MaxConns = 3 })
	show := func(want float64) func() bool {
		return func() bool { return scrape(t, s)["talon_connections"] == want }
	}
	require.Eventually(t, show(0), 10*time.Second, 5*time.Millisecond)
	require.InDelta(t, 3, scrape(t, s)["talon_connections_max"], 0)
	var silent []net.Conn
	for range 4 { // the last one waits to be accepted
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		require.NoError(t, err)
		silent = append(silent, conn)
	}
	require.Eventually(t, show(3), 10*time.Second, 5*time.Millisecond)
	for _, conn := range silent {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, show(0), 10*time.Second, 5*time.Millisecond)
}

// Promise: docs/operate.md has a section for each alert, to which the alert refers, and for no
// other.
func TestEveryAlertIsExplained(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile("../../deploy/monitoring/alerts.yml")
	require.NoError(t, err)
	page, err := os.ReadFile("../../docs/operate.md")
	require.NoError(t, err)
	var alerts, references, sections []string
	for _, found := range regexp.MustCompile(`(?m)- alert: (\w+)$`).FindAllStringSubmatch(string(rules), -1) {
		alerts = append(alerts, found[1])
	}
	reference := regexp.MustCompile(`runbook: docs/operate\.md#(\w+)`)
	for _, found := range reference.FindAllStringSubmatch(string(rules), -1) {
		references = append(references, found[1])
	}
	for _, found := range regexp.MustCompile(`(?m)^### (Talon\w+)$`).FindAllStringSubmatch(string(page), -1) {
		sections = append(sections, found[1])
	}
	require.ElementsMatch(t, alerts, sections)
	require.Equal(t, strings.ToLower(strings.Join(alerts, " ")), strings.Join(references, " "))
}

// Promise: a patient whom a client application identifies counts as a person that it asks for,
// without any further request. One whom it does not identify does not count.
func TestIdentifiedPersonsAreCounted(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t, withAdmin)
	persons := `talon_client_persons_total{client="` + harness.ClientGuid.String() + `"}`
	sc.Identify(policyQuery("1980-01-01")).RequireRefusal(t, "patient_not_identified")
	require.NotContains(t, scrape(t, sc.Service), persons)
	requireToken(t, sc.Identify(policyQuery(sceneBirthDate)))
	requireToken(t, sc.Identify(policyQuery(sceneBirthDate)))
	require.InDelta(t, 1, scrape(t, sc.Service)[persons], 0)
}
