package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// receiver is the receiver of webhooks of the Go SDK's README, as a process of its own.
type receiver struct {
	t       *testing.T
	folder  string
	keys    string
	port    string
	process *exec.Cmd
}

// buildReceiver builds the program of the README.
func buildReceiver(t *testing.T) *receiver {
	t.Helper()
	readme, err := os.ReadFile("../../sdk/go/README.md")
	require.NoError(t, err)
	program := regexp.MustCompile("(?s)```go\n(// Command receive .*?)```").FindSubmatch(readme)
	require.NotNil(t, program)
	r := &receiver{t: t, folder: t.TempDir(), port: freePort(t)}
	source := filepath.Join(r.folder, "main.go")
	require.NoError(t, os.WriteFile(source, program[1], 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(r.folder, "receive"), source)
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return r
}

// start starts the receiver, and returns when it listens.
func (r *receiver) start() {
	r.t.Helper()
	r.process = exec.CommandContext(r.t.Context(), filepath.Join(r.folder, "receive"))
	r.process.Dir = r.folder
	r.process.Env = append(os.Environ(), "PORT="+r.port, "WEBHOOK_KEYS="+r.keys)
	out, err := r.process.StdoutPipe()
	require.NoError(r.t, err)
	require.NoError(r.t, r.process.Start())
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	require.NoError(r.t, err)
	require.Contains(r.t, line, "Listening on ")
	go func() { _, _ = lines.WriteTo(new(bytes.Buffer)) }() // until the process ends
}

// kill kills the receiver, so that a delivery may be lost after it was stored.
func (r *receiver) kill() {
	r.t.Helper()
	require.NoError(r.t, r.process.Process.Kill())
	_ = r.process.Wait()
}

// copiedVisit is a visit as far as events tell of it.
type copiedVisit struct {
	Version int64
	Became  string // cancelled, or the attendance
}

// visits returns the visits that the receiver knows: of each what the newest version says.
func (r *receiver) visits() map[uuid.UUID]copiedVisit {
	r.t.Helper()
	file, err := os.ReadFile(filepath.Join(r.folder, "received.ndjson"))
	require.NoError(r.t, err)
	found := map[uuid.UUID]copiedVisit{}
	for line := range bytes.Lines(file) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var event api.Event
		require.NoError(r.t, json.Unmarshal(line, &event))
		became, isVisit := strings.CutPrefix(event.Type, "appointment.")
		if !isVisit || *event.Data.Version < found[*event.Data.AppointmentGUID].Version {
			continue
		}
		switch became {
		case "booked", "moved", "unattended":
			became = "none"
		}
		found[*event.Data.AppointmentGUID] = copiedVisit{*event.Data.Version, became}
	}
	return found
}

// storedVisits returns the visits of the institution in the tables.
func (s *subscriber) storedVisits() map[uuid.UUID]copiedVisit {
	s.T.Helper()
	rows, err := s.DB.Query(s.T.Context(), `SELECT guid, version,
		CASE WHEN cancelled_at IS NULL THEN attendance ELSE 'cancelled' END FROM appointment WHERE lpu_guid = $1`, s.To)
	require.NoError(s.T, err)
	defer rows.Close()
	found := map[uuid.UUID]copiedVisit{}
	for rows.Next() {
		var guid uuid.UUID
		var visit copiedVisit
		require.NoError(s.T, rows.Scan(&guid, &visit.Version, &visit.Became))
		found[guid] = visit
	}
	require.NoError(s.T, rows.Err())
	return found
}

// Promise: the receiver of the Go SDK's README knows every visit as the tables have it, although it
// is killed between bookings, moves, cancels and attendances of patients and the institution, and
// its key is replaced.
func TestReceiverKeepsACopy(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	program := buildReceiver(t)
	s := &subscriber{
		registrar: c.registrar, client: c.AddSystemClient(eventScopes, c.To), guid: uuid.New(),
		url: "http://127.0.0.1:" + program.port,
	}
	s.mustPut()
	program.keys = s.readKeys().Items[0].PublicKey
	program.start()
	defer func() { program.kill() }()

	persons, directions := c.AddPatients(12)
	cells := c.AddSlots(2 * len(persons))
	visits := make([]uuid.UUID, len(persons))
	book := func(i int) {
		fields := harness.Fields{"DirectionGuid": directions[i], "SlotId": nil, "SlotGuid": cells[i]}
		if i%2 == 0 {
			visits[i] = c.mustBookFor(persons[i], fields).GUID
			return
		}
		booked := c.Book(persons[i], c.BookingBody(fields))
		require.Equal(t, http.StatusOK, booked.StatusCode, "%s", booked.Raw)
		visits[i] = harness.AppointmentOf(booked).GUID
	}
	for i := range persons {
		book(i)
	}
	steps := []func(i int){
		func(i int) { // a move
			target := harness.Fields{"SlotId": nil, "SlotGuid": cells[len(persons)+i]}
			if i%2 == 0 {
				c.mustReassign(visits[i], 1, 0, target)
				return
			}
			require.Equal(t, http.StatusOK, c.Move(persons[i], visits[i], target).StatusCode)
		},
		func(i int) { require.Equal(t, http.StatusOK, c.confirm(visits[i], 2, "accepted").StatusCode) },
		func(i int) { // a cancel, and another booking
			switch i % 3 {
			case 0:
				c.mustCancelVisit(visits[i], "institution", "doctor_absent")
				book(i)
			case 1:
				c.Cancel(persons[i], visits[i]).RequireCancelled(t)
			}
		},
	}
	for round, step := range steps {
		for i := range persons {
			if i == 6 {
				program.kill()
			}
			step(i)
		}
		if round == 1 {
			program.keys = harness.Decode[api.WebhookKeys](t, s.ask(http.MethodPost, "/keys", nil)).Items[0].Secret
		}
		program.start()
	}
	program.kill()
	c.atVisit(24 * time.Hour)
	c.startAt(c.Now().Add(-time.Hour))
	for i := range persons {
		if c.visit(visits[i]).Status != "Cancelled" {
			c.mustAttend(visits[i], []string{"arrived", "fulfilled", "no_show"}[i%3])
		}
	}
	c.mustAttend(visits[2], "none")
	s.waitUntil(func(w *api.Webhook) bool { return w.Failures > 0 })
	program.start()
	s.AdvanceClock(time.Hour)

	s.waitUntil(func(w *api.Webhook) bool { return w.Waiting == 0 && w.Failures == 0 })
	stored := s.storedVisits()
	require.Len(t, stored, len(persons)+4)
	require.Eventually(t, func() bool { return maps.Equal(stored, program.visits()) }, 20*time.Second,
		10*time.Millisecond)
	c.RequireInvariants()
}
