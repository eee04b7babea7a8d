//go:build chaos

package chaos_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/testdb"
	"talon.example/migrations"
	"talon.example/test/harness"
)

// The parameters of the test. Everything is bounded: the load ends when the patients are used up.
const (
	chaosPatients      = 100_000
	patientsPerClient  = 100             // a client application may hold 64 cells of a doctor in 15 minutes
	chaosClients       = 256             // most wait for their key, the index or the service
	chaosMaxInFlight   = 16              // concurrent requests
	chaosTimeout       = 2 * time.Second // TALON_REQUEST_TIMEOUT, also for readiness checks
	chaosRelease       = time.Second     // for a failed request to free its key
	chaosSlack         = 2 * time.Second // beyond the deadline, for a busy machine
	chaosOutage        = 4 * chaosTimeout
	chaosPause         = 1500 * time.Millisecond // load between two faults
	chaosClientTimeout = 3 * time.Minute         // for one request and its retries
)

// Promises 5, 6, 8, 9, 11, 13, 14, 21 to 23 and 27: under load and with faults, every booking,
// move, cancel, receipt and attendance that got a 200 response is in the database in its last
// confirmed state, whether the patient has sent it or the institution. A held cell stays its
// patient's until the hold ends. A request with a key is done once, and a repetition gets the same
// response. Nothing is half done. A confirmed schedule message is in force, unless a newer one is,
// and every accepted import is completed. A reader that follows the feed and is killed as well ends
// with a copy of the visits, and so does the receiver of a webhook, which also hangs and fails.
// Every response is documented and within its deadline, and the service becomes ready again by
// itself.
func TestChaos(t *testing.T) {
	c := newChaos(t)
	load, systems, reading, receiving := c.startLoad(), c.registry.start(), c.reader.start(), c.subscriber.start()
	for _, fault := range []struct {
		name   string
		inject func()
	}{
		{"no fault", func() {}},
		{"kill -9 all during an import, losing commits", c.killDuringImport},
		{"the ticket service hangs", c.failIndex("hang", "")},
		{"kill -9 the service", c.killService},
		{"the index hangs", c.failIndex("", "hang")},
		{"PostgreSQL hangs", c.hangPostgres},
		{"the ticket service returns 500", c.failIndex("500", "")},
		{"kill -9 a backend of PostgreSQL", c.killBackend},
		{"the index returns 500", c.failIndex("", "500")},
		{"PostgreSQL is read-only", c.makeReadOnly},
		{"the ticket service returns garbage", c.failIndex("garbage", "")},
		{"stop PostgreSQL (immediate) and start it", c.crashPostgres},
		{"lock the cells, until the pool is full", c.lockCells},
		{"kill -9 the service, again", c.killService},
		{"stop PostgreSQL (immediate), again", c.crashPostgres},
		// From here on no request loses its key, so that the load ends soon after.
		{"cut all connections", c.cutConnections},
		{"the index returns garbage", c.failIndex("", "garbage")},
		{"stop the service in order", c.restartService},
		{"the ticket service drops mid-body", c.failIndex("drop", "")},
		{"the index drops mid-body", c.failIndex("", "drop")},
		{"recovery", c.waitIndex},
	} {
		before, injected := c.confirmed(), time.Now()
		fault.inject()
		c.waitReady()
		recovered := time.Since(injected)
		c.pause(chaosPause)
		t.Logf("%-45s ready again after %6s, %5d confirmed in %s", fault.name, recovered.Round(time.Millisecond),
			c.confirmed()-before, time.Since(injected).Round(time.Millisecond))
	}
	close(c.stopLoad)
	stopped := time.Now()
	load.Wait()
	systems.Wait()
	close(c.reader.stop)
	reading.Wait()
	close(c.subscriber.stop)
	receiving.Wait()
	t.Logf("the load ended after %s", time.Since(stopped).Round(time.Millisecond))
	c.check()
	c.registry.check()
	c.reader.check()
	c.subscriber.check()
}

// chaos is the service as a process, on its own PostgreSQL, with a master patient index that can
// fail.
type chaos struct {
	t       *testing.T
	service *harness.Service // for its database and the validation of responses
	cluster interface {
		Crash(ctx context.Context) error
		Resume(ctx context.Context) error
		Hang(ctx context.Context) error
		Continue() error
	}
	binary     string
	environ    []string
	process    *exec.Cmd
	index      *failingIndex
	registry   *registry
	reader     *reader
	subscriber *subscriber
	system     uuid.UUID // the client application of the target institution's system
	stopLoad   chan struct{}
	outage     atomic.Pointer[outage] // nil while the database is writable

	inFlight chan struct{} // limits concurrent requests
	gate     sync.RWMutex  // locked while no request may be sent

	nextPatient, sent, unanswered, retryable, refused          atomic.Int64
	bookings, foundBooked, moves, cancels, replayed, recovered atomic.Int64
	held, used, released                                       atomic.Int64
	receipts, attended, deskBookings, deskMoves, deskCancels   atomic.Int64

	mu      sync.Mutex
	tasks   []*task // of patients with a visit
	holders []*task // of patients that held a cell
	byRule  map[string]int
}

// confirmed returns the number of changes that got a first 200 response.
func (c *chaos) confirmed() int64 {
	return c.bookings.Load() + c.moves.Load() + c.cancels.Load() + c.receipts.Load() + c.attended.Load() +
		c.deskBookings.Load() + c.deskMoves.Load() + c.deskCancels.Load()
}

// outage is a period in which the database cannot be written. Every request within it gets an
// allowed response by its deadline.
type outage struct {
	allowed func(*taskRequest, harness.Answer) bool

	mu      sync.Mutex
	answers int
	longest time.Duration
}

// The source and the target institution of all patients.
var (
	chaosFrom = harness.CrowdFrom
	chaosTo   = harness.CrowdTo
)

func chaosGuid(kind, number int) uuid.UUID { return harness.CrowdGuid(kind, number) }

func newChaos(t *testing.T) *chaos {
	cluster := testdb.Cluster(t)
	database := cluster.URL("postgres")
	require.NoError(t, migrations.Up(t.Context(), database))
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	dir := t.TempDir()
	binary := harness.BuildTalon(t, "-race")
	key, err := auth.EnsureSigningKey(filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	index := new(failingIndex)
	address := harness.HTTPServer(t, index)

	// The service listens on the same address after each start.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	c := &chaos{
		t: t, cluster: cluster, binary: binary, index: index, stopLoad: make(chan struct{}),
		inFlight: make(chan struct{}, chaosMaxInFlight), byRule: map[string]int{},
		service: &harness.Service{
			T: t, URL: "http://" + addr, DB: pool, Key: key, Logs: new(harness.Logs), ClockOffset: new(atomic.Int64),
		},
		environ: []string{
			"DATABASE_URL=" + database, "TALON_ADDR=" + addr, "TALON_TOKEN_ISSUER=issuer", "TALON_TOKEN_AUDIENCE=talon",
			"TALON_AUTH_KEY_FILE=" + filepath.Join(dir, "key.pem"), "TALON_REQUEST_TIMEOUT=" + chaosTimeout.String(),
			"TALON_MIP_TIMEOUT=1s", "TALON_PERSON_RATE=0", "TALON_PERSON_MAX_IN_FLIGHT=0", "TALON_CLIENT_RATE=0",
			"TALON_DATABASE_MAX_CONNS=8", "TALON_SHUTDOWN_DELAY=0s", "TALON_MIP_URL=" + address + "/fhir",
			"TALON_MIP_AUTH_URL=" + address + "/token",
			"TALON_LOG_LEVEL=error", "TALON_WEBHOOK_ADDRESSES=loopback",
		},
	}
	c.service.AdvanceClock(time.Since(harness.Moment)) // the process uses the real clock
	c.service.AddCrowd(chaosPatients)
	c.service.Exec(fmt.Sprintf(`INSERT INTO client_application SELECT ('c4a05000-0006-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'Тест', 95, 95, true
		FROM generate_series(0, %d) i`, (chaosPatients-1)/patientsPerClient))
	c.registry = newRegistry(c)
	c.reader = newReader(c)
	c.system = c.service.AddSystemClient([]string{booking.ScopeVisitWrite}, chaosTo)
	c.service.Exec(`UPDATE client_application SET visit_direction = 95, visit_direction_other_lpu = 95, out_of_schedule = true WHERE guid = $1`, c.system)
	c.startService()
	t.Cleanup(func() { _ = c.process.Process.Kill(); _ = c.process.Wait() })
	c.waitReady()
	c.subscriber = newSubscriber(c)
	return c
}

func (c *chaos) startService() {
	c.process = exec.Command(c.binary, "serve")
	c.process.Env = c.environ
	c.process.Stderr = c.service.Logs
	require.NoError(c.t, c.process.Start())
}

// waitReady waits until the service is ready by itself.
func (c *chaos) waitReady() {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		return c.health("ready") == http.StatusOK
	}, 60*time.Second, 10*time.Millisecond, "the service is not ready again")
}

// waitUnready waits until the service notices by itself that it is not ready.
func (c *chaos) waitUnready() {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		return c.health("ready") == http.StatusServiceUnavailable
	}, 10*time.Second, 10*time.Millisecond, "the service stays ready")
}

// health returns the status of a health check, or 0 if the service does not run.
func (c *chaos) health(check string) int {
	request := c.service.NewRequest(http.MethodGet, "/health/"+check, nil)
	began := time.Now()
	response, err := harness.HTTPClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return 0
	}
	harness.ValidateResponse(c.t, request, response, raw)
	require.Less(c.t, time.Since(began), chaosTimeout+chaosSlack)
	return response.StatusCode
}

// pause lets the load continue for a while.
func (c *chaos) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

func (c *chaos) killService() {
	require.NoError(c.t, c.process.Process.Kill())
	_ = c.process.Wait()
	c.startService()
}

func (c *chaos) restartService() {
	require.NoError(c.t, c.process.Process.Signal(syscall.SIGTERM))
	require.NoError(c.t, c.process.Wait(), "%s", c.service.Logs)
	c.startService()
}

func (c *chaos) killBackend() {
	var pid int
	require.NoError(c.t, c.service.DB.QueryRow(c.t.Context(), `SELECT pid FROM pg_stat_activity WHERE application_name = 'talon' LIMIT 1`).Scan(&pid))
	require.NoError(c.t, syscall.Kill(pid, syscall.SIGKILL))
}

func (c *chaos) crashPostgres() {
	require.NoError(c.t, c.cluster.Crash(c.t.Context()))
	c.pause(time.Second)
	require.NoError(c.t, c.cluster.Resume(c.t.Context()))
}

func (c *chaos) cutConnections() {
	_, err := c.service.DB.Exec(c.t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'talon'`)
	require.NoError(c.t, err)
}

func (c *chaos) lockCells() {
	tx, err := c.service.DB.Begin(c.t.Context())
	require.NoError(c.t, err)
	_, err = tx.Exec(c.t.Context(), `LOCK TABLE slot IN ACCESS EXCLUSIVE MODE`)
	require.NoError(c.t, err)
	c.pause(chaosTimeout + time.Second)
	require.NoError(c.t, tx.Rollback(c.t.Context()))
}

// hangPostgres suspends PostgreSQL for longer than a request may take. It neither rejects nor
// resets connections, and does not respond.
func (c *chaos) hangPostgres() {
	require.NoError(c.t, c.cluster.Hang(c.t.Context()))
	c.runOutage(func(_ *taskRequest, a harness.Answer) bool { return a.StatusCode == http.StatusServiceUnavailable })
	require.NoError(c.t, c.cluster.Continue())
}

// makeReadOnly makes PostgreSQL read-only under open connections, as a failover or a full disk
// does. Requests that write nothing get their usual response.
func (c *chaos) makeReadOnly() {
	c.service.Exec(`ALTER SYSTEM SET default_transaction_read_only = on`)
	c.service.Exec(`SELECT pg_reload_conf()`)
	c.waitUnready()
	c.runOutage(func(request *taskRequest, a harness.Answer) bool {
		return a.StatusCode != http.StatusOK || request.repeatable() && request.maybeDone
	})
	c.service.Exec(`ALTER SYSTEM RESET default_transaction_read_only`)
	c.service.Exec(`SELECT pg_reload_conf()`)
}

// runOutage lets the load continue through an outage.
func (c *chaos) runOutage(allowed func(*taskRequest, harness.Answer) bool) {
	now := &outage{allowed: allowed}
	c.outage.Store(now)
	began := time.Now()
	c.waitUnready()
	for time.Since(began) < chaosOutage {
		require.Equal(c.t, http.StatusServiceUnavailable, c.health("ready"))
		require.Equal(c.t, http.StatusOK, c.health("live"))
		c.pause(50 * time.Millisecond)
	}
	c.outage.Store(nil)
	now.mu.Lock()
	defer now.mu.Unlock()
	require.GreaterOrEqual(c.t, now.answers, chaosMaxInFlight)
	c.t.Logf("an outage of %s: %d requests within it, the longest took %s",
		time.Since(began).Round(time.Millisecond), now.answers, now.longest.Round(time.Millisecond))
}

// record checks a request within the outage.
func (o *outage) record(t *testing.T, request *taskRequest, a harness.Answer, took time.Duration, err error) {
	switch {
	case err != nil:
		t.Errorf("no response during an outage: %v", err)
	case !o.allowed(request, a):
		t.Errorf("%s during an outage: %s", request, a.Raw)
	case took > chaosTimeout+chaosSlack:
		t.Errorf("%s waited %s during an outage: %s", request, took, a.Raw)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers++
	o.longest = max(o.longest, took)
}

// failIndex makes the ticket service or the index fail after the service has recovered from the
// last failure. It requires that a request meets the failure.
func (c *chaos) failIndex(ticket, search string) func() {
	return func() {
		c.waitIndex()
		c.index.set(ticket, search)
		c.pause(2 * time.Second)
		require.Eventually(c.t, func() bool {
			return c.index.count() > 0
		}, 60*time.Second, 10*time.Millisecond, "no request met the failure")
		c.index.set("", "")
	}
}

// waitIndex waits until the service queries the index again by itself. After failures it stops for
// a while.
func (c *chaos) waitIndex() {
	c.t.Helper()
	c.index.set("", "")
	require.Eventually(c.t, func() bool { return c.index.count() > 0 }, 60*time.Second, 10*time.Millisecond,
		"the service does not query the index again")
}

// check requires that every visit is stored in its last confirmed state.
func (c *chaos) check() {
	c.service.AdvanceClock(time.Since(c.service.Now()))
	c.service.RequireInvariants()
	c.service.RequireNothingHalfDone()
	require.NotContains(c.t, c.service.Logs.String(), "DATA RACE")

	rows, err := c.service.DB.Query(c.t.Context(), `SELECT a.direction_guid, a.guid, coalesce(s.id, 0), a.cancelled_at IS NOT NULL,
			a.version, coalesce(a.receipt_version, 0), a.attendance, a.booked_by = 'institution',
			coalesce(a.moved_by = 'institution', false), coalesce(a.cancel_initiator = 'institution', false) FROM appointment a
		LEFT JOIN slot s ON s.lpu_guid = a.lpu_guid AND s.guid = ANY(a.slot_guids)`)
	require.NoError(c.t, err)
	defer rows.Close()
	stored := map[uuid.UUID]chaosVisit{}
	for rows.Next() {
		var direction uuid.UUID
		var v chaosVisit
		require.NoError(c.t, rows.Scan(&direction, &v.guid, &v.cell, &v.cancelled,
			&v.version, &v.receipt, &v.attendance, &v.bookedAtDesk, &v.movedAtDesk, &v.cancelledAtDesk))
		stored[direction] = v
	}
	require.NoError(c.t, rows.Err())
	found := 0
	for _, e := range c.tasks {
		is, ok := stored[chaosGuid(2, e.patient)]
		if e.visit.guid == uuid.Nil {
			e.visit.guid = is.guid // the client only learned that the referral is booked
		}
		if !ok || is != e.visit {
			c.t.Errorf("patient %d: confirmed %+v, stored %+v", e.patient, e.visit, is)
			continue
		}
		found++
		c.verifyTask(e)
	}
	current := c.checkHolds()
	c.t.Logf("retryable responses: %v", c.byRule)
	fmt.Fprintf(os.Stdout,
		"\nrequests: sent %d, answered %d («later» %d, refused %d, replayed %d, which told %d first)\n"+
			"holds: %d confirmed, %d booked, %d given back, %d that still stand\n"+
			"confirmed: %d bookings (%d by a refusal), %d moves, %d cancels, %d receipts, %d attendances; "+
			"at the desk: %d bookings, %d moves, %d cancels; visits: confirmed %d, found %d, lost %d\n\n",
		c.sent.Load(), c.sent.Load()-c.unanswered.Load(), c.retryable.Load(), c.refused.Load(), c.replayed.Load(),
		c.recovered.Load(), c.held.Load(), c.used.Load(), c.released.Load(), current,
		c.bookings.Load(), c.foundBooked.Load(), c.moves.Load(), c.cancels.Load(),
		c.receipts.Load(), c.attended.Load(), c.deskBookings.Load(), c.deskMoves.Load(), c.deskCancels.Load(),
		len(c.tasks), found, len(c.tasks)-found)
	for name, n := range map[string]*atomic.Int64{
		"bookings": &c.bookings, "moves": &c.moves, "cancels": &c.cancels, "repetitions": &c.replayed,
		"receipts": &c.receipts, "attendances": &c.attended, "bookings at the desk": &c.deskBookings,
		"moves at the desk": &c.deskMoves, "cancels at the desk": &c.deskCancels,
		"holds": &c.held, "holds booked": &c.used, "holds given back": &c.released,
	} {
		require.Positive(c.t, n.Load(), name)
	}
	require.Len(c.t, stored, found, "visits that no client knows of")
}

// checkHolds requires that every hold is stored as last confirmed, and returns the number of those
// that have not ended. RequireInvariants has checked that nobody else has their places.
func (c *chaos) checkHolds() (current int) {
	now := time.Now()
	rows, err := c.service.DB.Query(c.t.Context(), `SELECT person_guid, slot_guids[1], until FROM hold WHERE until > $1`, now)
	require.NoError(c.t, err)
	defer rows.Close()
	type hold struct {
		cell  uuid.UUID
		until time.Time
	}
	stored := map[uuid.UUID]hold{}
	for rows.Next() {
		var person uuid.UUID
		var h hold
		require.NoError(c.t, rows.Scan(&person, &h.cell, &h.until))
		stored[person] = h
	}
	require.NoError(c.t, rows.Err())
	for _, e := range c.holders {
		is, exists := stored[chaosGuid(1, e.patient)]
		switch expected := e.held != nil && e.held.HeldUntil.After(now); {
		case exists != expected:
			c.t.Errorf("patient %d: the hold exists: %v, expected: %v", e.patient, exists, expected)
		case exists && (is.cell != e.held.SlotGUID || !is.until.Equal(e.held.HeldUntil)):
			c.t.Errorf("patient %d: held %+v, stored %+v", e.patient, e.held, is)
		case exists:
			current++
		}
	}
	require.Positive(c.t, current)
	return current
}

// verifyTask reads the list of a patient who lost a response, and of some others. It repeats their
// requests with keys.
func (c *chaos) verifyTask(e *task) {
	selected := e.patient%50 == 0
	for _, request := range e.requests {
		selected = selected || request.responseLost
	}
	if !selected {
		return
	}
	status := api.AppointmentStatusBooked
	switch {
	case e.visit.cancelled:
		status = api.AppointmentStatusCancelled
	case e.visit.attendance == "fulfilled", !e.ends.IsZero() && time.Now().After(e.ends):
		status = api.AppointmentStatusCompleted
	}
	list := c.service.NewRequest(http.MethodGet, "/appointments?directionGuid="+chaosGuid(2, e.patient).String(), nil)
	list.Header.Set("Authorization", "Bearer "+e.token)
	items := harness.Decode[api.AppointmentPage](c.t, c.service.Do(list)).Items
	require.Len(c.t, items, 1, "list of patient %d", e.patient)
	require.Equal(c.t, e.visit.guid, items[0].GUID, "list of patient %d", e.patient)
	require.Equal(c.t, status, items[0].Status, "list of patient %d", e.patient)
	for _, request := range e.requests {
		if request.key != "" && request.response != "" {
			c.retryUntilFinal(request)
		}
	}
}

// failingIndex is a master patient index and its ticket service. Both can be made to fail.
type failingIndex struct {
	mu             sync.Mutex
	ticket, search string // the kind of failure; empty is none
	requests       int    // since set: failed requests, or successful searches if nothing fails
}

func (f *failingIndex) set(ticket, search string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ticket, f.search, f.requests = ticket, search, 0
}

func (f *failingIndex) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func (f *failingIndex) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	failure := f.search
	if r.URL.Path == "/token" {
		failure = f.ticket
	}
	if failure != "" || r.URL.Path != "/token" && f.ticket == "" {
		f.requests++
	}
	f.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body) // until then the server does not notice that the client is gone
	switch failure {
	case "hang":
		<-r.Context().Done()
		return
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
		return
	case "garbage":
		_, _ = w.Write([]byte("<html>"))
		return
	case "drop":
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	if r.URL.Path == "/token" {
		w.Header().Set("Content-Type", "application/json")
		// The tickets expire soon, so that the service fetches them all the time.
		_, _ = w.Write([]byte(`{"access_token":"ticket","token_type":"Bearer","expires_in":11}`))
		return
	}
	_, value, _ := strings.Cut(r.URL.Query().Get("identifier"), "|")
	w.Header().Set("Content-Type", "application/fhir+json")
	_, _ = fmt.Fprintf(w, `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient",
		"identifier":[{"system":"urn:ietf:rfc:3986","value":%q},`+
		`{"system":"urn:oid:1.2.643.2.69.1.1.1.6.228","value":"7700000000000001"}],
		"name":[{"family":"П","given":["П"]}],"gender":"male","birthDate":"1980-01-01"}}]}`, value)
}
