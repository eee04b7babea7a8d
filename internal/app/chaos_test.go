//go:build chaos

package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
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
	"talon.example/internal/testdb"
	"talon.example/migrations"
)

// How the chaos runs. Everything is bounded: when the patients are used up, the load ends.
const (
	chaosPatients = 200_000
	chaosWorkers  = 16
	chaosTimeout  = 2 * time.Second // TALON_REQUEST_TIMEOUT; the probe of readiness has as long
	chaosSlack    = 2 * time.Second // for a busy machine, beyond the deadline
	chaosMargin   = time.Second     // the same while the database hangs: nobody works then
	chaosOutage   = 4 * chaosTimeout
	chaosCalm     = 2 * time.Second // load between two blows
	chaosMoments  = 300             // tries of one request, each after a pause of up to 200 ms
)

// Promise 6, and 5: whatever is killed, cut or hung under load, every booking that was answered 200 is in the database, nothing is half done, every answer
// is documented and within its deadline, and the service is ready again by itself.
func TestChaos(t *testing.T) {
	c := newChaos(t)
	load := c.load()
	for _, blow := range []struct {
		name   string
		strike func()
	}{
		{"calm", func() {}},
		{"the ticket service hangs", c.mip("hang", "")},
		{"kill -9 the service", c.killService},
		{"the index hangs", c.mip("", "hang")},
		{"stop the service in order", c.restartService},
		{"the ticket service answers 500", c.mip("500", "")},
		{"kill -9 a backend of PostgreSQL", c.killBackend},
		{"the index answers 500", c.mip("", "500")},
		{"stop PostgreSQL (immediate) and start it", c.crashPostgres},
		{"the ticket service answers garbage", c.mip("garbage", "")},
		{"cut all connections", c.cutConnections},
		{"the index answers garbage", c.mip("", "garbage")},
		{"lock the cells, until the pool is full", c.lockCells},
		{"the ticket service drops mid-body", c.mip("drop", "")},
		{"PostgreSQL hangs", c.hangPostgres},
		{"the index drops mid-body", c.mip("", "drop")},
		{"PostgreSQL is read-only", c.failOver},
		{"kill -9 the service, again", c.killService},
		{"stop PostgreSQL (immediate), again", c.crashPostgres},
		{"all is well again", c.waitIndex},
	} {
		before, blown := c.confirmed.Load(), time.Now()
		blow.strike()
		c.waitReady()
		recovered := time.Since(blown)
		c.wait(chaosCalm)
		t.Logf("%-40s ready again after %6s, %5d bookings confirmed in %s", blow.name, recovered.Round(time.Millisecond),
			c.confirmed.Load()-before, time.Since(blown).Round(time.Millisecond))
	}
	close(c.over)
	load.Wait()
	c.check()
}

// chaos is a service as a process of its own, on a PostgreSQL of its own, with a master patient index that can be made to fail.
type chaos struct {
	t       *testing.T
	service *service // for its database and the contract's checks
	cluster interface {
		Crash(ctx context.Context) error
		Resume(ctx context.Context) error
		Hang(ctx context.Context) error
		Continue() error
	}
	binary  string
	environ []string
	process *exec.Cmd
	index   *failingIndex
	over    chan struct{}
	outage  atomic.Pointer[outage] // nil while the database can take bookings

	next, sent, unanswered, unavailable, refused, confirmed, repeated atomic.Int64

	mu     sync.Mutex
	booked map[int]uuid.UUID // by patient: the appointment that was answered
	byRule map[string]int
}

// outage is a time in which the database cannot take bookings. A request that lies within it gets one of the answers allowed, within its deadline.
type outage struct {
	allowed func(answer) bool

	mu      sync.Mutex
	answers int
	longest time.Duration
}

// Where the patients of the chaos are from and go to.
var (
	chaosFrom = uuid.MustParse("c4a05000-0000-4000-8000-0000000000f0")
	chaosTo   = uuid.MustParse("c4a05000-0000-4000-8000-000000000070")
)

func chaosGuid(kind, number int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("c4a05000-%04d-4000-8000-%012d", kind, number))
}

func newChaos(t *testing.T) *chaos {
	cluster := testdb.Cluster(t)
	database := cluster.URL("postgres")
	require.NoError(t, migrations.Up(t.Context(), database))
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	dir := t.TempDir()
	binary := filepath.Join(dir, "talon")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-race", "-o", binary, "talon.example/cmd/talon").CombinedOutput()
	require.NoError(t, err, "%s", output)
	key, err := auth.EnsureSigningKey(filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	index := new(failingIndex)
	address := httptestServer(t, index)

	// The same address each time the service starts.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	c := &chaos{
		t: t, cluster: cluster, binary: binary, index: index, over: make(chan struct{}), booked: map[int]uuid.UUID{}, byRule: map[string]int{},
		service: &service{t: t, url: "http://" + addr, db: pool, key: key, logs: new(logs)},
		environ: []string{
			"DATABASE_URL=" + database, "TALON_ADDR=" + addr, "TALON_TOKEN_ISSUER=issuer", "TALON_TOKEN_AUDIENCE=talon",
			"TALON_DEMO_KEY_FILE=" + filepath.Join(dir, "key.pem"), "TALON_REQUEST_TIMEOUT=" + chaosTimeout.String(), "TALON_MIP_TIMEOUT=1s",
			"TALON_DATABASE_MAX_CONNS=8", "TALON_SHUTDOWN_DELAY=0s", "TALON_MIP_URL=" + address + "/fhir", "TALON_MIP_AUTH_URL=" + address + "/token",
			"TALON_LOG_LEVEL=error",
		},
	}
	c.populate()
	c.startService()
	t.Cleanup(func() { _ = c.process.Process.Kill(); _ = c.process.Wait() })
	c.waitReady()
	return c
}

// populate makes patients with a referral each, and a cell for every two of them. Every fourth has no card in the target institution yet.
func (c *chaos) populate() {
	for _, sql := range []string{
		`INSERT INTO legal_entity VALUES ('c4a05000-0000-4000-8000-000000000001', 'Юридическое лицо')`,
		`INSERT INTO lpu VALUES ('` + chaosFrom.String() + `', 'c4a05000-0000-4000-8000-000000000001', '1', 'Источник', 'Europe/Moscow'),
			('` + chaosTo.String() + `', 'c4a05000-0000-4000-8000-000000000001', '2', 'Цель', 'Europe/Moscow')`,
		`INSERT INTO setting VALUES ('` + chaosTo.String() + `', '2dr_RecordWithoutMkab', 'true'), ('` + chaosTo.String() + `', 'PolyclinicCode', '2')`,
		`INSERT INTO client_application VALUES ('` + clientGuid.String() + `', 'Тест', 95, 95, true)`,
		`INSERT INTO busy_type VALUES (1, 'Прием', true)`,
		`INSERT INTO resource VALUES ('` + chaosTo.String() + `', '` + chaosTo.String() + `', 'doctor', 'Врач', '92')`,
		fmt.Sprintf(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, created_at)
			SELECT lpu, ('c4a05000-0001-4000-8000-' || lpad(i::text, 12, '0'))::uuid, ('c4a05000-0001-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'П', 'П', '1980-01-01', 'male', now()
			FROM generate_series(0, %d) i, unnest(ARRAY['%s', '%s']::uuid[]) lpu WHERE lpu = '%s' OR i %% 4 <> 0`, chaosPatients-1, chaosFrom, chaosTo, chaosFrom),
		fmt.Sprintf(`INSERT INTO direction (lpu_guid, guid, type, number, date, date_end, created_at, mkab_guid, speciality_code, lpu_from_guid, lpu_to_guid)
			SELECT '%s', ('c4a05000-0002-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'Consult', i::text, now(), now() + interval '30 days', now(),
			('c4a05000-0001-4000-8000-' || lpad(i::text, 12, '0'))::uuid, '92', '%[1]s', '%[2]s' FROM generate_series(0, %[3]d) i`, chaosFrom, chaosTo, chaosPatients-1),
		fmt.Sprintf(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type)
			SELECT '%[1]s', gen_random_uuid(), i, '%[1]s', now() + interval '1 day' + i * interval '1 minute', now() + interval '1 day' + (i + 1) * interval '1 minute', 127, 1
			FROM generate_series(1, %[2]d) i`, chaosTo, chaosPatients/2),
		`ANALYZE`,
	} {
		c.service.exec(sql)
	}
}

func (c *chaos) startService() {
	c.process = exec.Command(c.binary, "serve")
	c.process.Env = c.environ
	c.process.Stderr = c.service.logs
	require.NoError(c.t, c.process.Start())
}

// waitReady returns when the service is ready, for which nobody helps it.
func (c *chaos) waitReady() {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.health("ready") == http.StatusOK }, 60*time.Second, 10*time.Millisecond, "the service is not ready again")
}

// waitUnready returns when the service says that it is not ready, having noticed by itself.
func (c *chaos) waitUnready() {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.health("ready") == http.StatusServiceUnavailable }, 10*time.Second, 10*time.Millisecond, "the service is ready")
}

// health is what a health check answers, in time; 0 where there is no service.
func (c *chaos) health(check string) int {
	request := c.service.request(http.MethodGet, "/health/"+check, nil)
	began := time.Now()
	response, err := httpClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return 0
	}
	validateResponse(c.t, request, response, raw)
	require.Less(c.t, time.Since(began), chaosTimeout+chaosSlack)
	return response.StatusCode
}

// wait lets the load go on for a while.
func (c *chaos) wait(d time.Duration) {
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
	require.NoError(c.t, c.process.Wait(), "%s", c.service.logs)
	c.startService()
}

func (c *chaos) killBackend() {
	var pid int
	require.NoError(c.t, c.service.db.QueryRow(c.t.Context(), `SELECT pid FROM pg_stat_activity WHERE application_name = 'talon' LIMIT 1`).Scan(&pid))
	require.NoError(c.t, syscall.Kill(pid, syscall.SIGKILL))
}

func (c *chaos) crashPostgres() {
	require.NoError(c.t, c.cluster.Crash(c.t.Context()))
	c.wait(time.Second)
	require.NoError(c.t, c.cluster.Resume(c.t.Context()))
}

func (c *chaos) cutConnections() {
	_, err := c.service.db.Exec(c.t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'talon'`)
	require.NoError(c.t, err)
}

func (c *chaos) lockCells() {
	tx, err := c.service.db.Begin(c.t.Context())
	require.NoError(c.t, err)
	_, err = tx.Exec(c.t.Context(), `LOCK TABLE slot IN ACCESS EXCLUSIVE MODE`)
	require.NoError(c.t, err)
	c.wait(chaosTimeout + time.Second)
	require.NoError(c.t, tx.Rollback(c.t.Context()))
}

// hangPostgres stops PostgreSQL where it stands for longer than a request may take: nothing is refused or reset, nothing answers.
func (c *chaos) hangPostgres() {
	require.NoError(c.t, c.cluster.Hang(c.t.Context()))
	c.endure(func(a answer) bool { return a.StatusCode == http.StatusServiceUnavailable })
	require.NoError(c.t, c.cluster.Continue())
}

// failOver makes PostgreSQL read-only under the service's connections, as a failover or a full disk does. What needs no writing is answered as ever.
func (c *chaos) failOver() {
	c.service.exec(`ALTER SYSTEM SET default_transaction_read_only = on`)
	c.service.exec(`SELECT pg_reload_conf()`)
	c.waitUnready()
	c.endure(func(a answer) bool { return a.StatusCode != http.StatusOK })
	c.service.exec(`ALTER SYSTEM RESET default_transaction_read_only`)
	c.service.exec(`SELECT pg_reload_conf()`)
}

// endure lets the load go on through an outage.
func (c *chaos) endure(allowed func(answer) bool) {
	now := &outage{allowed: allowed}
	c.outage.Store(now)
	began := time.Now()
	c.waitUnready()
	for time.Since(began) < chaosOutage {
		require.Equal(c.t, http.StatusServiceUnavailable, c.health("ready"))
		require.Equal(c.t, http.StatusOK, c.health("live"))
		c.wait(50 * time.Millisecond)
	}
	c.outage.Store(nil)
	now.mu.Lock()
	defer now.mu.Unlock()
	require.GreaterOrEqual(c.t, now.answers, chaosWorkers)
	c.t.Logf("an outage of %s: %d requests within it, the longest %s", time.Since(began).Round(time.Millisecond), now.answers, now.longest.Round(time.Millisecond))
}

// met holds a request that lies within the outage against what is allowed.
func (o *outage) met(t *testing.T, a answer, took time.Duration, err error) {
	switch {
	case err != nil:
		t.Errorf("no answer during an outage: %v", err)
	case !o.allowed(a):
		t.Errorf("during an outage: %s", a.raw)
	case took > chaosTimeout+chaosMargin:
		t.Errorf("%s during an outage for %s", took, a.raw)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers++
	o.longest = max(o.longest, took)
}

// mip has the ticket service or the index fail, once they are asked again after their last failure: one that nobody meets shows nothing.
func (c *chaos) mip(ticket, search string) func() {
	return func() {
		c.waitIndex()
		c.index.set(ticket, search)
		c.wait(2 * time.Second)
		require.Positive(c.t, c.index.count())
		c.index.set("", "")
	}
}

// waitIndex returns when the service asks the index again, for which nobody helps it: after failures it stops asking for a while.
func (c *chaos) waitIndex() {
	c.t.Helper()
	c.index.set("", "")
	require.Eventually(c.t, func() bool { return c.index.count() > 0 }, 60*time.Second, 10*time.Millisecond, "the index is not asked again")
}

// load books for one patient after the other until the chaos is over.
func (c *chaos) load() *sync.WaitGroup {
	var workers sync.WaitGroup
	for range chaosWorkers {
		workers.Go(func() {
			for {
				select {
				case <-c.over:
					return
				default:
				}
				patient := int(c.next.Add(1) - 1)
				if patient >= chaosPatients {
					return
				}
				c.bookFor(patient)
			}
		})
	}
	return &workers
}

// bookFor repeats the request of a patient until it has an answer that is final.
func (c *chaos) bookFor(patient int) {
	doubtful := false // an earlier try may have been done
	for range chaosMoments {
		outage := c.outage.Load()
		a, took, err := c.send(patient)
		c.sent.Add(1)
		if outage != nil && outage == c.outage.Load() { // it lasted for all of the request's time
			outage.met(c.t, a, took, err)
		}
		if took > chaosTimeout+chaosSlack {
			c.t.Errorf("patient %d waited %s: %s %v", patient, took, a.raw, err)
		}
		switch {
		case err != nil:
			c.unanswered.Add(1)
			doubtful = true
		case a.StatusCode == http.StatusOK:
			c.confirmed.Add(1)
			c.keep(patient, a.body.ConsultDirection.Appointment.GUID)
			return
		case a.StatusCode == http.StatusServiceUnavailable, a.error.Rule == api.RuleMipAuthURLUnreachable:
			c.unavailable.Add(1)
			c.note(string(a.error.Rule))
			doubtful = true
		case a.StatusCode == http.StatusBadRequest && a.error.Rule == api.RuleDirectionAlreadyBooked && doubtful:
			c.repeated.Add(1)
			c.keep(patient, uuid.Nil)
			return
		case a.error.Rule == api.RuleSlotFull, a.error.Rule == api.RuleSlotTaken:
			c.refused.Add(1)
			return
		default:
			c.t.Errorf("patient %d: unexpected answer %s", patient, a.raw)
			return
		}
		c.wait(time.Duration(rand.IntN(200)) * time.Millisecond)
	}
	c.t.Errorf("patient %d has no answer", patient)
}

// keep remembers a booking; the zero guid stands for one whose answer was lost.
func (c *chaos) keep(patient int, appointment uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.booked[patient] = appointment
}

func (c *chaos) note(rule string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byRule[rule]++
}

func (c *chaos) send(patient int) (answer, time.Duration, error) {
	token, err := c.service.key.Sign(auth.Token{Person: chaosGuid(1, patient), Client: clientGuid}, "issuer", "talon", time.Now(), time.Hour)
	if err != nil {
		return answer{}, 0, err
	}
	text, err := json.Marshal(fields{
		"DirectionGuid": chaosGuid(2, patient), "DirectionType": "consult", "LpuFromGuid": chaosFrom, "LpuToGuid": chaosTo, "SlotId": patient/2 + 1,
	})
	if err != nil {
		return answer{}, 0, err
	}
	request, err := http.NewRequest(http.MethodPost, c.service.url+"/appointments", strings.NewReader(string(text)))
	if err != nil {
		return answer{}, 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	began := time.Now()
	response, err := httpClient.Do(request)
	if err != nil {
		return answer{}, time.Since(began), err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, time.Since(began), err
	}
	validateResponse(c.t, request, response, raw)
	a := answer{Response: response, raw: string(raw)}
	if response.StatusCode == http.StatusOK {
		err = json.Unmarshal(raw, &a.body)
	} else {
		err = json.Unmarshal(raw, &a.error)
	}
	return a, time.Since(began), err
}

// check looks for every booking that was answered.
func (c *chaos) check() {
	c.service.requireInvariants()
	for _, half := range []string{
		// A visit without its one cell, its copy of the referral or its claim; and each of these without its visit.
		`SELECT count(*) FROM appointment a WHERE
			(SELECT count(*) FROM appointment_slot o WHERE o.lpu_guid = a.lpu_guid AND o.appointment_guid = a.guid) <> 1
			OR NOT EXISTS (SELECT FROM direction d WHERE d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid AND d.appointment_guid = a.guid)
			OR NOT EXISTS (SELECT FROM speciality_claim s WHERE s.person_guid = a.person_guid AND s.appointment_guid = a.guid)`,
		`SELECT count(*) FROM direction d WHERE (appointment_guid IS NOT NULL OR copied_from_lpu_guid IS NOT NULL)
			AND NOT EXISTS (SELECT FROM appointment a WHERE a.guid = d.appointment_guid AND a.direction_guid = d.guid)`,
		`SELECT count(*) FROM speciality_claim s WHERE NOT EXISTS (SELECT FROM appointment a WHERE a.guid = s.appointment_guid)`,
		// A card that the service made, without its policy.
		`SELECT count(*) FROM mkab m WHERE guid <> person_guid
			AND NOT EXISTS (SELECT FROM mkab_policy p WHERE p.lpu_guid = m.lpu_guid AND p.mkab_guid = m.guid)`,
	} {
		require.Zero(c.t, c.service.count(half), half)
	}
	require.NotContains(c.t, c.service.logs.String(), "DATA RACE")

	rows, err := c.service.db.Query(c.t.Context(), `SELECT direction_guid, guid FROM appointment`)
	require.NoError(c.t, err)
	defer rows.Close()
	stored := map[uuid.UUID]uuid.UUID{}
	for rows.Next() {
		var direction, appointment uuid.UUID
		require.NoError(c.t, rows.Scan(&direction, &appointment))
		stored[direction] = appointment
	}
	require.NoError(c.t, rows.Err())
	found := 0
	for patient, appointment := range c.booked {
		guid, ok := stored[chaosGuid(2, patient)]
		if !ok || appointment != uuid.Nil && guid != appointment {
			c.t.Errorf("the visit of patient %d is lost", patient)
			continue
		}
		found++
		// Whoever has lost the answer is told by the list, and some of the others.
		if appointment == uuid.Nil || patient%50 == 0 {
			require.Equal(c.t, []uuid.UUID{guid}, c.list(patient), "patient %d is told", patient)
		}
	}
	c.t.Logf("answers that said «later»: %v", c.byRule)
	fmt.Fprintf(os.Stdout, "\nrequests: sent %d, answered %d («later» %d, refused %d); bookings: confirmed %d (%d by repetition), found %d, lost %d\n\n",
		c.sent.Load(), c.sent.Load()-c.unanswered.Load(), c.unavailable.Load(), c.refused.Load(), len(c.booked), c.repeated.Load(), found, len(c.booked)-found)
	require.Positive(c.t, c.confirmed.Load())
	require.Len(c.t, stored, found, "visits that nobody was told of")
}

// list asks what the patient has booked.
func (c *chaos) list(patient int) []uuid.UUID {
	c.t.Helper()
	token, err := c.service.key.Sign(auth.Token{Person: chaosGuid(1, patient), Client: clientGuid}, "issuer", "talon", time.Now(), time.Hour)
	require.NoError(c.t, err)
	request := c.service.request(http.MethodGet, "/appointments?status=Booked&directionGuid="+chaosGuid(2, patient).String(), nil)
	request.Header.Set("Authorization", "Bearer "+token)
	var guids []uuid.UUID
	for _, item := range as[api.AppointmentPage](c.t, c.service.do(request)).Items {
		guids = append(guids, item.GUID)
	}
	return guids
}

// failingIndex is a master patient index with its ticket service, both of which can be made to fail.
type failingIndex struct {
	mu             sync.Mutex
	ticket, search string // how each fails; empty: not
	asked          int    // since then: requests that failed so, or, where nothing fails, searches answered
}

func (f *failingIndex) set(ticket, search string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ticket, f.search, f.asked = ticket, search, 0
}

func (f *failingIndex) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *failingIndex) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	failure := f.search
	if r.URL.Path == "/token" {
		failure = f.ticket
	}
	if failure != "" || r.URL.Path != "/token" && f.ticket == "" {
		f.asked++
	}
	f.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body) // until then the server does not notice that the client has gone
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
		// Short, so that tickets are fetched all the time.
		_, _ = w.Write([]byte(`{"access_token":"ticket","token_type":"Bearer","expires_in":11}`))
		return
	}
	_, value, _ := strings.Cut(r.URL.Query().Get("identifier"), "|")
	w.Header().Set("Content-Type", "application/fhir+json")
	_, _ = fmt.Fprintf(w, `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient",
		"identifier":[{"system":"urn:ietf:rfc:3986","value":%q},{"system":"urn:oid:1.2.643.2.69.1.1.1.6.228","value":"7700000000000001"}],
		"name":[{"family":"П","given":["П"]}],"gender":"male","birthDate":"1980-01-01"}}]}`, value)
}
