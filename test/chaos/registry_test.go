//go:build chaos

package chaos_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/httpapi"
	"talon.example/test/harness"
)

// The load of the institution's systems.
const (
	windowSenders = 4  // each sends a window every 300 ms
	fileSenders   = 2  // each has an import in progress most of the time
	fileLines     = 50 // of an ordinary file
	bookedHours   = 5  // in which the patients are booking, of which a message is chosen
	minutes       = 60 // of the hour, with a cell each

	ownResources  = 8 // that no patient books
	ownDays       = 60
	mostOwnCells  = 12   // of a day
	lostResources = 40   // of the file that is applied when the database loses commits
	lostLines     = 1200 // of that file, in one chunk
)

// versionShift is the bit of FlagAccess from which on it contains the version of the message. The
// bits below allow every client.
const versionShift = 8

// registry is the systems of the target institution, which send its schedules.
type registry struct {
	c       *chaos
	clients []uuid.UUID // one for each sender of files: unfinished imports of a client are limited
	base    time.Time   // the start of the cell 0, a full minute

	version atomic.Int64 // of the last message
	mu      sync.Mutex
	periods map[periodKey]*period
	imports map[uuid.UUID]*acceptedImport

	windows, stale, retries, abandoned atomic.Int64
	visibleLines, lost                 int
}

// periodKey is a period that each message about it covers as a whole: an hour of the doctor whom
// patients book (resource 0), or a day of another resource.
type periodKey struct{ resource, number int }

// period is what is known of the messages about a period.
type period struct {
	attempted map[int64]struct{}
	least     int64 // a message of this version or a newer one is in force; 0: perhaps none
}

// acceptedImport is a file that was accepted.
type acceptedImport struct {
	client   uuid.UUID
	lines    map[periodKey]int64 // the version of each line
	finished bool
}

// sentCell is a cell of a message, and as it is stored.
type sentCell struct {
	guid       uuid.UUID
	id         int64
	start, end time.Time
	capacity   int
	flags      int64
}

func newRegistry(c *chaos) *registry {
	r := &registry{c: c, periods: map[periodKey]*period{}, imports: map[uuid.UUID]*acceptedImport{}}
	require.NoError(c.t, c.service.DB.QueryRow(c.t.Context(),
		`SELECT start_at - interval '1 minute' FROM slot WHERE lpu_guid = $1 AND id = 1`, chaosTo).Scan(&r.base))
	c.service.Exec(fmt.Sprintf(`INSERT INTO resource SELECT '%s', ('c4a05000-0004-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'doctor', 'Врач', '92'
		FROM generate_series(1, %d) i`, chaosTo, ownResources+lostResources))
	for range fileSenders + 1 {
		r.clients = append(r.clients, c.service.AddSystemClient([]string{"schedule:write"}, chaosTo))
	}
	return r
}

func (r *registry) resource(key periodKey) uuid.UUID {
	if key.resource == 0 {
		return chaosTo
	}
	return chaosGuid(4, key.resource)
}

// bounds returns the period of a key.
func (r *registry) bounds(key periodKey) (from, to time.Time) {
	if key.resource == 0 {
		from = r.base.Add(time.Duration(key.number*minutes+1) * time.Minute)
		return from, from.Add(time.Hour)
	}
	from = r.base.Add(time.Duration(key.number) * 24 * time.Hour)
	return from, from.Add(24 * time.Hour)
}

// cells returns all cells of a version of a period, in order of time. The doctor's have the same
// guids and times in all versions, because patients book them. Other days have another number of
// cells and other times in each version.
func (r *registry) cells(key periodKey, version int64) []sentCell {
	from, _ := r.bounds(key)
	flags := version<<versionShift | 127
	var cells []sentCell
	if key.resource == 0 {
		for n := range minutes {
			id, start := key.number*minutes+1+n, from.Add(time.Duration(n)*time.Minute)
			cells = append(cells, sentCell{
				chaosGuid(3, id), int64(id), start, start.Add(time.Minute), int(1 + version%3), flags,
			})
		}
		return cells
	}
	for n := range mostOwnCells - int(version%5) {
		id := (key.resource*1000+key.number)*100 + n
		start := from.Add(time.Duration(n*60)*time.Minute + time.Duration(version%30)*time.Minute)
		cells = append(cells, sentCell{
			chaosGuid(5, id), int64(10_000_000 + id), start, start.Add(20 * time.Minute), int(1 + version%7), flags,
		})
	}
	return cells
}

// message returns a new message about a period.
func (r *registry) message(key periodKey) (version int64, path string, body harness.Fields) {
	version = r.version.Add(1)
	cells := []harness.Fields{}
	for _, cell := range r.cells(key, version) {
		cells = append(cells, harness.Fields{
			"Guid": cell.guid, "Id": cell.id, "Start": cell.start, "End": cell.end, "Capacity": cell.capacity,
			"FlagAccess": cell.flags, "BusyType": 1,
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.periods[key] == nil {
		r.periods[key] = &period{attempted: map[int64]struct{}{}}
	}
	r.periods[key].attempted[version] = struct{}{}
	from, to := r.bounds(key)
	path = "/registry/lpus/" + chaosTo.String() + "/resources/" + r.resource(key).String() + "/schedule?" +
		url.Values{"from": {from.Format(time.RFC3339)}, "to": {to.Format(time.RFC3339)}}.Encode()
	return version, path, harness.Fields{"Version": version, "OnBooked": "keep", "Cells": cells}
}

// inForce records that a message of this version or a newer one is in force.
func (r *registry) inForce(key periodKey, least int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.periods[key].least = max(r.periods[key].least, least)
}

// start starts the systems. They send until the load is stopped, and then finish what they have
// begun.
func (r *registry) start() *sync.WaitGroup {
	var senders sync.WaitGroup
	until := func(send func()) func() {
		return func() {
			for {
				select {
				case <-r.c.stopLoad:
					return
				default:
					send()
				}
			}
		}
	}
	for range windowSenders {
		senders.Go(until(func() { r.sendWindow(); r.pause() }))
	}
	for n := range fileSenders {
		senders.Go(until(func() { r.sendFile(r.clients[n], r.anyPeriods(fileLines)) }))
	}
	return &senders
}

// bookedHour is an hour in which patients are booking, or to which they move.
func (r *registry) bookedHour() periodKey {
	cell := int(r.c.nextPatient.Load())/2 + rand.IntN(2)*chaosPatients/2
	return periodKey{0, max(0, cell/minutes-rand.IntN(bookedHours)+1)}
}

func anyOwnDay() periodKey { return periodKey{1 + rand.IntN(ownResources), rand.IntN(ownDays)} }

// anyPeriods returns different periods. Some are hours in which patients are booking.
func (r *registry) anyPeriods(n int) []periodKey {
	chosen := map[periodKey]struct{}{r.bookedHour(): {}, r.bookedHour(): {}}
	for len(chosen) < n {
		chosen[anyOwnDay()] = struct{}{}
	}
	return slices.Collect(maps.Keys(chosen))
}

// sendWindow sends a window and repeats it until its response is final, or sometimes gives up.
func (r *registry) sendWindow() {
	key := anyOwnDay()
	if rand.IntN(2) == 0 {
		key = r.bookedHour()
	}
	version, path, body := r.message(key)
	content, err := json.Marshal(body)
	require.NoError(r.c.t, err)
	r.windows.Add(1)
	for began := time.Now(); ; r.pause() {
		a, err := r.send(r.clients[0], http.MethodPut, path, "application/json", content)
		switch {
		case err == nil && a.StatusCode == http.StatusOK:
			r.inForce(key, version)
			return
		case err == nil && a.Refusal.Rule == api.RuleVersionStale:
			r.stale.Add(1)
			r.inForce(key, version+1)
			return
		case err == nil && a.StatusCode != http.StatusServiceUnavailable:
			r.c.t.Errorf("window %d: unexpected response %s", version, a.Raw)
			return
		case rand.IntN(4) == 0 || time.Since(began) > chaosClientTimeout:
			r.abandoned.Add(1)
			return
		}
		r.retries.Add(1)
	}
}

// sendFile sends a file with a message for each period, repeats it until it is accepted, and waits
// for the end of its import.
func (r *registry) sendFile(client uuid.UUID, keys []periodKey) {
	guid, ok := r.upload(client, keys, r.send)
	for began := time.Now(); ok && time.Since(began) < chaosClientTimeout; r.pause() {
		if r.finished(guid) {
			return
		}
	}
	if ok {
		r.c.t.Errorf("the import %s does not end", guid)
	}
}

// upload sends a file, and returns its import if it is accepted.
func (r *registry) upload(client uuid.UUID, keys []periodKey, send sender) (uuid.UUID, bool) {
	accepted := &acceptedImport{client: client, lines: map[periodKey]int64{}}
	var file bytes.Buffer
	for _, key := range keys {
		version, path, body := r.message(key)
		accepted.lines[key] = version
		line := harness.Fields{"Method": http.MethodPut, "Path": path, "Body": body}
		require.NoError(r.c.t, json.NewEncoder(&file).Encode(line))
	}
	for began := time.Now(); time.Since(began) < chaosClientTimeout; r.pause() {
		a, err := send(client, http.MethodPost, "/registry/imports", "application/x-ndjson", file.Bytes())
		switch {
		case err != nil, a.StatusCode == http.StatusServiceUnavailable, a.Refusal.Rule == api.RuleTooManyImports:
			r.retries.Add(1)
		case a.StatusCode == http.StatusAccepted:
			var state api.Import
			require.NoError(r.c.t, json.Unmarshal([]byte(a.Raw), &state))
			r.mu.Lock()
			r.imports[state.GUID] = accepted
			r.mu.Unlock()
			return state.GUID, true
		default:
			r.c.t.Errorf("file: unexpected response %s", a.Raw)
			return uuid.Nil, false
		}
	}
	r.c.t.Error("a file has no final response")
	return uuid.Nil, false
}

// finished reports whether an import has ended. Then it must be completed, and each of its lines is
// in force, unless a newer one is.
func (r *registry) finished(guid uuid.UUID) bool {
	r.mu.Lock()
	i := r.imports[guid]
	r.mu.Unlock()
	a, err := r.send(i.client, http.MethodGet, "/registry/imports/"+guid.String(), "", nil)
	if err != nil || a.StatusCode != http.StatusOK {
		r.retries.Add(1)
		return false
	}
	var state api.Import
	require.NoError(r.c.t, json.Unmarshal([]byte(a.Raw), &state))
	if state.FinishedAt == nil {
		return false
	}
	lines := int64(len(i.lines))
	if state.State != "completed" || state.Lines.Total != lines || state.Lines.Done != lines {
		r.c.t.Errorf("an import of %d lines: %s", lines, a.Raw)
	}
	for key, version := range i.lines {
		r.inForce(key, version)
	}
	r.mu.Lock()
	i.finished = true
	r.mu.Unlock()
	return true
}

func (r *registry) pause() { r.c.pause(time.Duration(100+rand.IntN(400)) * time.Millisecond) }

// sender is send or sendNow.
type sender func(client uuid.UUID, method, path, mediaType string, body []byte) (harness.Answer, error)

// send sends a request when requests may be sent. It does not wait for the patients' requests.
func (r *registry) send(client uuid.UUID, method, path, mediaType string, body []byte) (harness.Answer, error) {
	r.c.gate.RLock()
	defer r.c.gate.RUnlock()
	return r.sendNow(client, method, path, mediaType, body)
}

func (r *registry) sendNow(client uuid.UUID, method, path, mediaType string, body []byte) (harness.Answer, error) {
	caller := auth.Caller{Client: client, Scopes: []string{"schedule:write"}, Lpus: []uuid.UUID{chaosTo}}
	token, err := r.c.service.Key.Sign(caller, "issuer", "talon", time.Now(), time.Hour)
	require.NoError(r.c.t, err)
	request, err := http.NewRequestWithContext(r.c.t.Context(), method, r.c.service.URL+path, bytes.NewReader(body))
	if err != nil {
		return harness.Answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	began := time.Now()
	response, err := harness.HTTPClient.Do(request)
	if err != nil {
		return harness.Answer{}, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return harness.Answer{}, err
	}
	harness.ValidateResponse(r.c.t, request, response, raw)
	if took := time.Since(began); method == http.MethodPut && took > chaosTimeout+chaosSlack {
		r.c.t.Errorf("a window waited %s: %s", took, raw)
	}
	a := harness.Answer{Response: response, Raw: string(raw)}
	if response.StatusCode >= http.StatusBadRequest {
		err = json.Unmarshal(raw, &a.Refusal)
	}
	return a, err
}

// killDuringImport kills the database and the service while an import runs alone, so that the
// database loses commits that did not wait for the disk. It requires that lines of the import that
// were visible are lost. The check at the end requires that they are applied again.
func (c *chaos) killDuringImport() {
	r := c.registry
	c.gate.Lock() // no other requests
	defer c.gate.Unlock()
	// As many resources as possible: lines of one resource are applied one after the other.
	var keys []periodKey
	for day := range ownDays {
		for n := range lostResources {
			keys = append(keys, periodKey{ownResources + 1 + n, day})
		}
	}
	require.Eventually(c.t, func() bool {
		return c.service.Count(`SELECT count(*) FROM import WHERE finished_at IS NULL AND state <> 'uploading'`) == 0
	}, 60*time.Second, 10*time.Millisecond, "the imports before do not end")
	_, ok := r.upload(r.clients[fileSenders], keys[:lostLines], r.sendNow)
	require.True(c.t, ok)

	const durableLines = 50 // at least
	require.Eventually(c.t, func() bool { return r.visible() >= durableLines }, 60*time.Second, time.Millisecond)
	var walWriter int
	require.NoError(c.t, c.service.DB.QueryRow(c.t.Context(),
		`SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'`).Scan(&walWriter))
	require.NoError(c.t, syscall.Kill(walWriter, syscall.SIGSTOP))
	r.suspendWithLinesInMemory()
	r.visibleLines = r.visible()
	// PostgreSQL restarts itself. It is the first: without the service its sessions would end in
	// order, and drop their temporary tables with commits that flush the log.
	require.NoError(c.t, syscall.Kill(walWriter, syscall.SIGKILL))
	require.NoError(c.t, c.process.Process.Kill())
	_ = c.process.Wait()
	require.Eventually(c.t, func() bool {
		var pid int
		err := c.service.DB.QueryRow(c.t.Context(), `SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'`).Scan(&pid)
		return err == nil && pid != walWriter
	}, 60*time.Second, 10*time.Millisecond, "PostgreSQL does not restart")
	r.lost = r.visibleLines - r.visible()
	require.Positive(c.t, r.lost, "the database has lost no commit")
	c.startService()
}

// suspendWithLinesInMemory suspends the service when lines of the running import are visible whose
// commits are not flushed. The process that flushes the log in the background must be suspended.
// The service also does it, with each commit that waits for the disk: it records the events of the
// lines. So this may need several attempts. Their number is bounded by the lines of the import.
func (r *registry) suspendWithLinesInMemory() {
	c := r.c
	for {
		var end string // of the log, before the commits of the next lines, but for those in progress
		require.NoError(c.t, c.service.DB.QueryRow(c.t.Context(), `SELECT pg_current_wal_insert_lsn()::text`).Scan(&end))
		enough := r.visible() + httpapi.ParallelMessages + 1
		require.Less(c.t, enough, lostLines, "at each attempt the service has flushed the log")
		require.Eventually(c.t, func() bool { return r.visible() >= enough }, 60*time.Second, time.Millisecond)
		c.suspendService()
		var flushed bool
		require.NoError(c.t, c.service.DB.QueryRow(c.t.Context(),
			`SELECT pg_current_wal_flush_lsn() > $1::text::pg_lsn`, end).Scan(&flushed))
		if !flushed {
			return
		}
		require.NoError(c.t, c.process.Process.Signal(syscall.SIGCONT))
	}
}

// visible returns the number of applied lines of the file that is applied when the database loses
// commits.
func (r *registry) visible() int {
	return r.c.service.Count(`SELECT count(*) FROM schedule_window WHERE resource_guid >= $1 AND resource_guid <= $2`,
		chaosGuid(4, ownResources+1), chaosGuid(4, ownResources+lostResources))
}

// suspendService suspends the service, and waits until the database has done what it was told
// before.
func (c *chaos) suspendService() {
	require.NoError(c.t, c.process.Process.Signal(syscall.SIGSTOP))
	var status syscall.WaitStatus
	_, err := syscall.Wait4(c.process.Process.Pid, &status, syscall.WUNTRACED, nil)
	require.NoError(c.t, err)
	require.True(c.t, status.Stopped())
	require.Eventually(c.t, func() bool {
		return c.service.Count(`SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'talon' AND coalesce(wait_event_type, '') NOT IN ('Client', 'Lock')`) == 0
	}, 60*time.Second, time.Millisecond)
}

// check requires that every accepted import is completed, that every acknowledged window and line
// is in force unless a newer one is, and that the cells of each period are exactly those of one
// message.
func (r *registry) check() {
	c := r.c
	for guid := range r.imports {
		require.Eventually(c.t, func() bool { return r.finished(guid) }, 60*time.Second, 50*time.Millisecond,
			"the import %s does not end", guid)
	}
	// Imports whose response was lost end as well.
	require.Eventually(c.t, func() bool {
		return c.service.Count(`SELECT count(*) FROM import WHERE finished_at IS NULL AND state <> 'uploading'`) == 0
	}, 60*time.Second, 50*time.Millisecond)
	require.Zero(c.t, c.service.Count(`SELECT count(*) FROM import WHERE state NOT IN ('completed', 'uploading') AND problem <> 'Файл получен не полностью.'`))
	require.Zero(c.t, c.service.Count(`SELECT count(*) FROM import_error WHERE error->>'rule' <> 'version_stale'`), "lines that were rejected")

	stored := r.storedCells()
	windows := r.storedWindows()
	acknowledged, partial := 0, 0
	for key, p := range r.periods {
		window, exists := windows[key]
		delete(windows, key)
		_, attempted := p.attempted[window.version]
		if p.least > 0 {
			acknowledged++
		}
		switch {
		case !exists && p.least == 0:
			if key.resource > 0 && len(stored[key]) > 0 {
				partial++
				c.t.Errorf("%+v has cells without a window", key)
			}
		case !exists || !attempted || window.version < p.least:
			c.t.Errorf("%+v: version %d is in force, at least %d was confirmed", key, window.version, p.least)
		case !r.sameCells(r.cells(key, window.version), stored[key], window.settled):
			partial++
			c.t.Errorf("%+v: the cells are not those of version %d: %+v", key, window.version, stored[key])
		}
	}
	require.Empty(c.t, windows, "windows that nobody has sent")
	lines, again := 0, c.service.Count(`SELECT count(*) FROM import_error`)
	for _, i := range r.imports {
		lines += len(i.lines)
	}
	fmt.Fprintf(os.Stdout,
		"windows: sent %d, superseded %d, given up %d; "+
			"periods: %d with a confirmed message, %d with cells of several\n"+
			"imports: accepted %d of %d lines (%d superseded), completed all; repeated requests %d\n"+
			"lines visible when the database was killed: %d, lost %d, applied again %d\n\n",
		r.windows.Load(), r.stale.Load(), r.abandoned.Load(), acknowledged, partial, len(r.imports), lines, again,
		r.retries.Load(), r.visibleLines, r.lost, r.lost)
	require.Positive(c.t, acknowledged)
	require.Greater(c.t, len(r.imports), fileSenders)
}

// sameCells compares the cells of a version with the stored ones. Where visits prevented it, a
// capacity may be higher than that of the version, in a window that is not settled.
func (r *registry) sameCells(expected, stored []sentCell, settled bool) bool {
	return slices.EqualFunc(expected, stored, func(a, b sentCell) bool {
		sameTimes := a.start.Equal(b.start) && a.end.Equal(b.end)
		sameCapacity := a.capacity == b.capacity || !settled && b.capacity > a.capacity
		return a.guid == b.guid && a.id == b.id && a.flags == b.flags && sameTimes && sameCapacity
	})
}

type storedWindow struct {
	version int64
	settled bool
}

// key returns the period of a resource that contains a moment.
func (r *registry) key(resource uuid.UUID, moment time.Time) periodKey {
	if resource == chaosTo {
		return periodKey{0, (int(moment.Sub(r.base)/time.Minute) - 1) / minutes}
	}
	for n := 1; n <= ownResources+lostResources; n++ {
		if chaosGuid(4, n) == resource {
			return periodKey{n, int(moment.Sub(r.base) / (24 * time.Hour))}
		}
	}
	return periodKey{-1, 0}
}

func (r *registry) storedWindows() map[periodKey]storedWindow {
	rows, err := r.c.service.DB.Query(r.c.t.Context(), `SELECT resource_guid, from_at, to_at, version, settled FROM schedule_window`)
	require.NoError(r.c.t, err)
	defer rows.Close()
	windows := map[periodKey]storedWindow{}
	for rows.Next() {
		var resource uuid.UUID
		var from, to time.Time
		var window storedWindow
		require.NoError(r.c.t, rows.Scan(&resource, &from, &to, &window.version, &window.settled))
		key := r.key(resource, from)
		expectedFrom, expectedTo := r.bounds(key)
		require.True(r.c.t, from.Equal(expectedFrom) && to.Equal(expectedTo), "a window is cut: %+v", key)
		windows[key] = window
	}
	require.NoError(r.c.t, rows.Err())
	return windows
}

func (r *registry) storedCells() map[periodKey][]sentCell {
	rows, err := r.c.service.DB.Query(r.c.t.Context(), `SELECT resource_guid, guid, id, start_at, end_at, capacity, flag_access FROM slot ORDER BY start_at`)
	require.NoError(r.c.t, err)
	defer rows.Close()
	cells := map[periodKey][]sentCell{}
	for rows.Next() {
		var resource uuid.UUID
		var cell sentCell
		require.NoError(r.c.t, rows.Scan(&resource, &cell.guid, &cell.id, &cell.start, &cell.end, &cell.capacity,
			&cell.flags))
		key := r.key(resource, cell.start)
		cells[key] = append(cells[key], cell)
	}
	require.NoError(r.c.t, rows.Err())
	return cells
}
