//go:build drills

// Package drills_test practises what operators do rarely: the restore of a backup, an upgrade, and
// the use of PgBouncer. It runs the service as a process. make drills runs it.
package drills_test

import (
	"bytes"
	"encoding/json"
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

	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// The source and the target institution of all patients.
var (
	from = guid(9, 1)
	to   = guid(9, 2)
)

func guid(kind, number int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("d4111000-%04d-4000-8000-%012d", kind, number))
}

func person(n int) uuid.UUID { return guid(1, n) }

// region is a database of patients, each with a referral and a cell of the same number, from 1.
type region struct {
	*harness.Service // for its database, its tokens and the validation of responses

	address string // of the database
	keyFile string
}

// newRegion fills a database, which has a schema.
func newRegion(t *testing.T, database string, patients int) *region {
	t.Helper()
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	key, err := auth.EnsureSigningKey(keyFile)
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	r := &region{address: database, keyFile: keyFile, Service: &harness.Service{
		T: t, DB: pool, Key: key, Logs: new(harness.Logs), ClockOffset: new(atomic.Int64),
	}}
	r.AdvanceClock(time.Since(harness.Moment)) // the process uses the real clock
	for _, sql := range []string{
		`INSERT INTO legal_entity VALUES ('` + guid(9, 0).String() + `', 'Юридическое лицо')`,
		fmt.Sprintf(`INSERT INTO lpu VALUES ('%[1]s', '%[3]s', '1', 'Источник', 'Europe/Moscow'), ('%[2]s', '%[3]s', '2', 'Цель', 'Europe/Moscow')`,
			from, to, guid(9, 0)),
		`INSERT INTO client_application VALUES ('` + harness.ClientGuid.String() + `', 'Тест', 95, 95, true)`,
		`INSERT INTO busy_type VALUES (1, 'Прием', true)`,
		fmt.Sprintf(`INSERT INTO resource VALUES ('%[1]s', '%[1]s', 'doctor', 'Врач', '92')`, to),
		fmt.Sprintf(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, created_at)
			SELECT lpu, ('d4111000-0001-4000-8000-' || lpad(i::text, 12, '0'))::uuid, ('d4111000-0001-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'П', 'П', '1980-01-01', 'male', now()
			FROM generate_series(1, %d) i, unnest(ARRAY['%s', '%s']::uuid[]) lpu`, patients, from, to),
		fmt.Sprintf(`INSERT INTO direction (lpu_guid, guid, type, number, date, date_end, created_at, mkab_guid, speciality_code, lpu_from_guid, lpu_to_guid)
			SELECT '%s', ('d4111000-0002-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'Consult', i::text, now(), now() + interval '90 days', now(),
			('d4111000-0001-4000-8000-' || lpad(i::text, 12, '0'))::uuid, '92', '%[1]s', '%[2]s' FROM generate_series(1, %[3]d) i`, from, to, patients),
		fmt.Sprintf(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type)
			SELECT '%[1]s', ('d4111000-0003-4000-8000-' || lpad(i::text, 12, '0'))::uuid, i, '%[1]s', date_trunc('hour', now()) + interval '1 day' + i * interval '1 minute',
			date_trunc('hour', now()) + interval '1 day' + (i + 1) * interval '1 minute', 127, 1 FROM generate_series(1, %[2]d) i`, to, patients),
		testdb.IndexRows,
		`ANALYZE`,
	} {
		r.Exec(sql)
	}
	return r
}

// build compiles the command in a folder of sources, and returns its path.
func build(t *testing.T, sources string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "talon")
	compile := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/talon")
	compile.Dir, compile.Env = sources, append(os.Environ(), "GOFLAGS=-buildvcs=false")
	output, err := compile.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return binary
}

// instance is a running service.
type instance struct {
	*region

	url     string
	process *exec.Cmd
	logs    *harness.Logs
	ended   chan struct{}
}

// start starts a service on a database without waiting for it. It is killed when the test ends.
func (r *region) start(binary, database string, environ ...string) *instance {
	r.T.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r.T, err)
	address := listener.Addr().String()
	require.NoError(r.T, listener.Close())
	i := &instance{region: r, url: "http://" + address, logs: new(harness.Logs), ended: make(chan struct{})}
	i.process = exec.Command(binary, "serve")
	i.process.Stderr = i.logs
	i.process.Env = append([]string{
		"DATABASE_URL=" + database, "TALON_ADDR=" + address, "TALON_TOKEN_ISSUER=issuer", "TALON_TOKEN_AUDIENCE=talon",
		"TALON_AUTH_KEY_FILE=" + r.keyFile, "TALON_SHUTDOWN_DELAY=0s",
	}, environ...)
	require.NoError(r.T, i.process.Start())
	go func() { defer close(i.ended); _ = i.process.Wait() }()
	r.T.Cleanup(i.kill)
	return i
}

// startReady is start, and waits until the service is ready.
func (r *region) startReady(binary, database string, environ ...string) *instance {
	r.T.Helper()
	i := r.start(binary, database, environ...)
	require.Eventually(r.T, i.ready, time.Minute, 20*time.Millisecond, "%s", i.logs)
	return i
}

func (i *instance) ready() bool {
	response, err := harness.HTTPClient.Get(i.url + "/health/ready")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (i *instance) kill() {
	_ = i.process.Process.Kill()
	<-i.ended
}

// stop stops the service in order.
func (i *instance) stop() {
	require.NoError(i.T, i.process.Process.Signal(syscall.SIGTERM))
	<-i.ended
	require.Zero(i.T, i.process.ProcessState.ExitCode(), "%s", i.logs)
}

// refuses waits until the service has ended, and requires that its last line names the reason.
func (i *instance) refuses(reason string) {
	i.T.Helper()
	select {
	case <-i.ended:
	case <-time.After(30 * time.Second):
		require.Fail(i.T, "the service has not ended", "%s", i.logs)
	}
	require.NotZero(i.T, i.process.ProcessState.ExitCode())
	lines := strings.Split(strings.TrimSpace(i.logs.String()), "\n")
	require.Contains(i.T, lines[len(lines)-1], reason)
}

// send sends a request, validates the response against the contract, and returns it with its time.
func (i *instance) send(method, path, token, key string, body any) (harness.Answer, time.Duration, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return harness.Answer{}, 0, err
		}
	}
	request, err := http.NewRequestWithContext(i.T.Context(), method, i.url+path, bytes.NewReader(text))
	if err != nil {
		return harness.Answer{}, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	began := time.Now()
	response, err := harness.HTTPClient.Do(request)
	if err != nil {
		return harness.Answer{}, 0, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	took := time.Since(began)
	if err != nil {
		return harness.Answer{}, took, err
	}
	harness.ValidateResponse(i.T, request, response, raw)
	a := harness.Answer{Response: response, Raw: string(raw)}
	switch {
	case response.StatusCode >= http.StatusBadRequest:
		err = json.Unmarshal(raw, &a.Refusal)
	case path == "/appointments":
		err = json.Unmarshal(raw, &a.Result)
	}
	return a, took, err
}

// must is send for a request that gets a response.
func (i *instance) must(method, path, token, key string, body any) harness.Answer {
	i.T.Helper()
	a, _, err := i.send(method, path, token, key, body)
	require.NoError(i.T, err)
	return a
}

// body is the booking of a patient in a cell.
func body(patient, cell int) harness.Fields {
	return harness.Fields{
		"DirectionGuid": guid(2, patient), "DirectionType": "consult", "LpuFromGuid": from, "LpuToGuid": to,
		"SlotId": cell,
	}
}

// keyOf is the Idempotency-Key of a patient.
func keyOf(patient int) string { return guid(4, patient).String() }

// book books the patient's own cell, and returns the visit.
func (i *instance) book(patient int) uuid.UUID {
	i.T.Helper()
	a := i.must(http.MethodPost, "/appointments", i.Token(person(patient)), keyOf(patient), body(patient, patient))
	require.Equal(i.T, http.StatusOK, a.StatusCode, "%s", a.Raw)
	return harness.AppointmentOf(a).GUID
}

// tally counts what happened to bookings. It is safe for concurrent use.
type tally struct {
	mu      sync.Mutex
	visits  map[int]uuid.UUID // by patient
	wrong   []string
	longest time.Duration
}

func (c *tally) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.visits)
}

// load books for patients from first on until stop is closed, each of the clients at its instance,
// with a pause after each booking.
func load(
	first, clients int, pause time.Duration, stop <-chan struct{}, instances ...*instance,
) (*tally, *sync.WaitGroup) {
	c := &tally{visits: map[int]uuid.UUID{}}
	var next atomic.Int64
	next.Store(int64(first))
	var running sync.WaitGroup
	for n := range clients {
		running.Go(func() {
			at := instances[n%len(instances)]
			for ticker := time.NewTicker(pause); ; {
				select {
				case <-stop:
					ticker.Stop()
					return
				case <-ticker.C:
				}
				patient := int(next.Add(1) - 1)
				token := at.Token(person(patient))
				a, took, err := at.send(http.MethodPost, "/appointments", token, keyOf(patient), body(patient, patient))
				c.mu.Lock()
				switch c.longest = max(c.longest, took); {
				case err != nil:
					c.wrong = append(c.wrong, err.Error())
				case a.StatusCode != http.StatusOK:
					c.wrong = append(c.wrong, a.Raw)
				default:
					c.visits[patient] = harness.AppointmentOf(a).GUID
				}
				c.mu.Unlock()
			}
		})
	}
	return c, &running
}

// requireStored requires that the visits of the database are these.
func (r *region) requireStored(visits ...map[int]uuid.UUID) {
	r.T.Helper()
	confirmed := map[uuid.UUID]bool{}
	for _, some := range visits {
		for _, visit := range some {
			confirmed[visit] = true
		}
	}
	require.Equal(r.T, len(confirmed), r.Count(`SELECT count(*) FROM appointment`))
	for visit := range confirmed {
		require.Equal(r.T, 1, r.Count(`SELECT count(*) FROM appointment WHERE guid = $1`, visit))
	}
	r.RequireInvariants()
}

// follower is a system that follows the feed of events.
type follower struct {
	*instance

	token string
	next  string
	ids   map[string]bool
}

func (i *instance) follower() *follower {
	i.T.Helper()
	scopes := []string{booking.ScopeEventsRead}
	token := i.SystemToken(i.AddSystemClient(scopes), scopes)
	return &follower{instance: i, token: token, ids: map[string]bool{}}
}
