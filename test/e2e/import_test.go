package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// line returns a line of an NDJSON file. path begins after the institution.
func (r *registrar) line(method, path string, body any) string {
	r.T.Helper()
	encoded, err := json.Marshal(map[string]any{
		"Method": method, "Path": "/registry/lpus/" + r.To.String() + path, "Body": body,
	})
	require.NoError(r.T, err)
	return string(encoded) + "\n"
}

// dayLine returns the line that replaces the doctor's day.
func (r *registrar) dayLine(version int, cells ...harness.Fields) string {
	r.T.Helper()
	if cells == nil {
		cells = []harness.Fields{}
	}
	return r.line(http.MethodPut, r.day(), harness.Fields{"Version": version, "Cells": cells})
}

// upload sends a file. query begins with a question mark, or is empty.
func (r *registrar) upload(query, mediaType, encoding string, file []byte) harness.Answer {
	r.T.Helper()
	request := r.NewRequest(http.MethodPost, "/registry/imports"+query, bytes.NewReader(file))
	request.Header.Set("Authorization", "Bearer "+r.token)
	request.Header.Set("Content-Type", mediaType)
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	return r.Do(request)
}

// get sends a request about an import.
func (r *registrar) importRequest(method, path string) harness.Answer {
	r.T.Helper()
	request := r.NewRequest(method, "/registry/imports/"+path, http.NoBody)
	request.Header.Set("Authorization", "Bearer "+r.token)
	return r.Do(request)
}

// finish waits for the end of an import that was accepted.
func (r *registrar) finish(accepted harness.Answer) api.Import {
	r.T.Helper()
	require.Equal(r.T, http.StatusAccepted, accepted.StatusCode, "%s", accepted.Raw)
	var started api.Import
	require.NoError(r.T, json.Unmarshal([]byte(accepted.Raw), &started))
	require.Equal(r.T, "/registry/imports/"+started.GUID.String(), accepted.Header.Get("Location"))
	var state api.Import
	require.Eventually(r.T, func() bool {
		state = harness.Decode[api.Import](r.T, r.importRequest(http.MethodGet, started.GUID.String()))
		return state.FinishedAt != nil
	}, 20*time.Second, 10*time.Millisecond)
	return state
}

func (r *registrar) importLines(query string, lines ...string) api.Import {
	r.T.Helper()
	return r.finish(r.upload(query, "application/x-ndjson", "", []byte(strings.Join(lines, ""))))
}

func (r *registrar) errors(i api.Import) []api.ImportError {
	r.T.Helper()
	return harness.Decode[api.ImportErrorPage](r.T, r.importRequest(http.MethodGet, i.GUID.String()+"/errors")).Items
}

// Promise: the lines of a file have the effects and the errors of the requests that they describe,
// and the same file again changes nothing.
func TestImport(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	other := uuid.New()
	file := []string{
		r.dayLine(1, r.cell(0), r.cell(6)),
		"\n",
		"nonsense\n",
		r.line(http.MethodPut,
			"/resources/"+other.String()+"/schedule?from=2019-08-21T00:00:00Z&to=2019-08-22T00:00:00Z",
			harness.Fields{"Version": 1, "Cells": []any{}}),
		strings.Replace(r.dayLine(1), r.To.String(), r.From.String(), 1),
		r.line(http.MethodPut, r.day(), harness.Fields{"Version": 2}),
		`{"Method":"GET","Path":"/directions"}` + "\n",
		`{"Method":"PUT","Path":"/x","Extra":1}` + "\n",
		r.line(http.MethodPost, r.resource()+"/absences", harness.Fields{
			"AbsenceGuid": uuid.New(), "From": "2019-08-23T00:00:00Z", "To": "2019-08-24T00:00:00Z",
		}),
	}
	state := r.importLines("", file...)
	require.Equal(t, "completed", state.State)
	require.Equal(t, api.ImportLines{Total: 8, Done: 8, Changed: 1, Failed: 6}, state.Lines)
	require.Equal(t, api.ImportCells{Added: 1, Changed: 1, Withdrawn: 3}, state.Cells)
	rules := map[int64]string{}
	for _, one := range r.errors(state) {
		rules[one.Line] = one.Error.Rule
		require.Equal(t, state.GUID, one.Error.RequestID)
	}
	require.Equal(t, map[int64]string{
		3: "body_malformed", 4: "resource_absent", 5: "institution_foreign", 6: "field_invalid", 7: "route_not_found",
		8: "field_invalid",
	}, rules)
	r.MustBook(harness.Fields{"SlotId": harness.FirstSlotID + 6})

	again := r.importLines("", file...)
	require.Equal(t, api.ImportLines{Total: 8, Done: 8, Changed: 0, Failed: 6}, again.Lines)
	require.Equal(t, api.ImportCells{Unchanged: 2}, again.Cells)
}

// Promise: a compressed file is the same as a plain one, and anything else is rejected by name.
func TestImportCompressed(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	plain := []byte(r.dayLine(1, r.cell(0)))
	var zipped bytes.Buffer
	writer := gzip.NewWriter(&zipped)
	_, err := writer.Write(plain)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	require.Equal(t, int64(3), r.finish(r.upload("", "application/x-ndjson", "gzip", zipped.Bytes())).Cells.Withdrawn)
	state := r.finish(r.upload("", "application/x-ndjson", "zstd", encoder.EncodeAll(plain, nil)))
	require.Equal(t, api.ImportCells{Unchanged: 1}, state.Cells)

	r.upload("", "application/x-ndjson", "br", plain).RequireRefusal(t, "media_type_unsupported")
	r.upload("", "application/json", "", plain).RequireRefusal(t, "media_type_unsupported")
	r.upload("", "application/x-ndjson", "gzip", plain).RequireRefusal(t, "body_malformed")
	r.upload("", "application/x-ndjson", "gzip", zipped.Bytes()[:zipped.Len()-4]).RequireRefusal(t, "body_malformed")
	r.upload("", "application/x-ndjson", "", bytes.Repeat([]byte("x"), 2<<20)).RequireRefusal(t, "field_invalid")
	r.upload("", "text/csv", "", nil).RequireRefusal(t, "field_invalid")
}

// Promise: a dry run and a rejected import change nothing, and report what would happen.
func TestImportDryRun(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	bad := r.line(http.MethodPut,
		"/resources/"+uuid.NewString()+"/schedule?from=2019-08-21T00:00:00Z&to=2019-08-22T00:00:00Z",
		harness.Fields{"Version": 1, "Cells": []any{}})
	before := r.send(http.MethodGet, r.day(), nil).Raw

	state := r.importLines("?dryRun=true", r.dayLine(1, r.cell(0)), bad)
	require.Equal(t, "completed", state.State)
	require.Equal(t, api.ImportLines{Total: 2, Done: 2, Changed: 1, Failed: 1}, state.Lines)
	require.Equal(t, int64(3), state.Cells.Withdrawn)
	require.Len(t, r.errors(state), 1)
	require.Equal(t, before, r.send(http.MethodGet, r.day(), nil).Raw)

	state = r.importLines("?onError=reject", r.dayLine(1, r.cell(0)), bad)
	require.Equal(t, "rejected", state.State)
	require.Equal(t, int64(2), r.errors(state)[0].Line)
	require.Equal(t, before, r.send(http.MethodGet, r.day(), nil).Raw)

	state = r.importLines("?onError=reject", r.dayLine(1, r.cell(0)))
	require.Equal(t, "completed", state.State)
	require.Equal(t, api.ImportLines{Total: 1, Done: 1, Changed: 1}, state.Lines)
	require.NotEqual(t, before, r.send(http.MethodGet, r.day(), nil).Raw)
}

// Promise: the rows of a resource and a day are one message, and a bad row is named.
func TestImportCSV(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	row := func(guid any, start, end string) string {
		return fmt.Sprintf("%s;%s;%v;%s;%s;1;12;1\n", r.To, r.Doctor, guid, start, end)
	}
	header := "\ufeffLpuGuid;ResourceGuid;Guid;Start;End;Capacity;FlagAccess;BusyType\n"
	file := header +
		row(r.Slots[0], "2019-08-21T08:45:00+03:00", "2019-08-21T09:00:00+03:00") +
		row(uuid.New(), "2019-08-21T09:00:00+03:00", "2019-08-21T09:15:00+03:00") +
		row(uuid.New(), "2019-08-22T09:00:00+03:00", "2019-08-22T09:15:00+03:00") +
		row("", "2019-08-23T00:00:00+03:00", "") +
		row(uuid.New(), "yesterday", "2019-08-22T09:15:00+03:00") +
		row(uuid.New(), "2019-08-24T09:00:00+03:00", "2019-08-24T09:15:00+03:00") + "too;many;columns;;;;;;;;;;x\n"
	state := r.finish(r.upload("?of=cells&version=7", "text/csv", "", []byte(file)))
	require.Equal(t, api.ImportLines{Total: 6, Done: 6, Changed: 3, Failed: 2}, state.Lines)
	found := r.errors(state)
	require.Len(t, found, 2)
	require.Equal(t, int64(6), found[0].Line)
	require.Equal(t, "Cells.0.Start", (*found[0].Error.Details.Fields)[0].Name)
	require.Equal(t, int64(8), found[1].Line)

	again := r.finish(r.upload("?of=cells&version=7", "text/csv", "", []byte(file)))
	require.Equal(t, int64(0), again.Lines.Changed)
	r.upload("", "text/csv", "", []byte(file)).RequireRefusal(t, "field_invalid")
	r.upload("?of=cells", "text/csv", "", []byte(header+`"open`)).RequireRefusal(t, "field_invalid")
}

// Promise: an import belongs to the client application that has sent it.
func TestImportIsItsClients(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	state := r.importLines("", r.dayLine(1, r.cell(0)))
	scopes := []string{"schedule:write"}
	r.token = r.SystemToken(r.AddSystemClient(scopes, r.To), scopes, r.To)
	for _, path := range []string{"", "/errors"} {
		r.importRequest(http.MethodGet, state.GUID.String()+path).RequireRefusal(t, "import_absent")
	}
	r.importRequest(http.MethodDelete, state.GUID.String()).RequireRefusal(t, "import_absent")
}

// Promise: an import that has finished stays as it is when it is cancelled.
func TestCancelFinishedImport(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	state := r.importLines("", r.dayLine(1, r.cell(0)))
	require.Equal(t, state, harness.Decode[api.Import](t, r.importRequest(http.MethodDelete, state.GUID.String())))
}

// lockSchedule keeps the doctor's schedule locked until the returned function is called.
func (r *registrar) lockSchedule() (unlock func()) {
	r.T.Helper()
	r.Exec(`INSERT INTO schedule_source (lpu_guid, resource_guid, version, confirmed_at) VALUES ($1, $2, 0, 'epoch')`, r.To, r.Doctor)
	tx, err := r.DB.Begin(r.T.Context())
	require.NoError(r.T, err)
	_, err = tx.Exec(r.T.Context(), `SELECT FROM schedule_source FOR UPDATE`)
	require.NoError(r.T, err)
	return func() { require.NoError(r.T, tx.Rollback(r.T.Context())) }
}

// twoChunks returns a file whose last line, for another day, is in a chunk of its own.
func (r *registrar) twoChunks() []byte {
	filler := strings.Repeat(strings.Repeat("x", 1<<20)+"\n", 4)
	nextDay := strings.NewReplacer("2019-08-21", "2019-08-22", "2019-08-22", "2019-08-23").Replace(r.dayLine(1))
	return []byte(r.dayLine(1, r.cell(0)) + filler + nextDay)
}

// start uploads a file, and waits until its import is running.
func (r *registrar) start(file []byte) uuid.UUID {
	r.T.Helper()
	accepted := r.upload("", "application/x-ndjson", "", file)
	require.Equal(r.T, http.StatusAccepted, accepted.StatusCode, accepted.Raw)
	var started api.Import
	require.NoError(r.T, json.Unmarshal([]byte(accepted.Raw), &started))
	require.Eventually(r.T, func() bool {
		state := harness.Decode[api.Import](r.T, r.importRequest(http.MethodGet, started.GUID.String())).State
		return state == "running"
	}, 20*time.Second, 10*time.Millisecond)
	return started.GUID
}

// Promise: a cancelled import stays cancelled, and no line after the chunk that is being applied is
// tried.
func TestCancelImport(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	unlock := r.lockSchedule()
	guid := r.start(r.twoChunks())
	state := harness.Decode[api.Import](t, r.importRequest(http.MethodDelete, guid.String()))
	require.Equal(t, "cancelled", state.State)
	unlock()
	r.importLines("", r.dayLine(2, r.cell(0))) // the worker has left the cancelled import
	require.Equal(t, state, harness.Decode[api.Import](t, r.importRequest(http.MethodGet, guid.String())))
	require.Equal(t, 0, r.Count(`SELECT count(*) FROM schedule_window WHERE from_at = '2019-08-22T00:00:00+03:00'`))
	require.Equal(t, 0, r.Count(`SELECT count(*) FROM import_chunk`))
}

// Promise: an import whose worker has died goes on with the first chunk without a result.
func TestImportGoesOnAfterCrash(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	unlock := r.lockSchedule()
	guid := r.start(r.twoChunks())
	// The first worker loses the import, as if it had stopped to work, and another has stored the
	// first chunk before it died.
	r.Exec(`UPDATE import SET worker = gen_random_uuid(), next_chunk = 1, total = 6, done = 5, failed = 4, reserved_until = $2
		WHERE guid = $1`, guid, r.Now().Add(-time.Second))
	unlock()
	var state api.Import
	require.Eventually(t, func() bool {
		state = harness.Decode[api.Import](t, r.importRequest(http.MethodGet, guid.String()))
		return state.FinishedAt != nil
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, "completed", state.State)
	require.Equal(t, api.ImportLines{Total: 6, Done: 6, Failed: 4}, state.Lines)
	require.Equal(t, 1, r.Count(`SELECT count(*) FROM schedule_window WHERE from_at = '2019-08-22T00:00:00+03:00'`))
}

// Promise: talon import applies the lines of a file, lists the bad ones, and ends with 1 if there
// are any. It reads what its name says.
func TestImportCommand(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	environ := []string{"DATABASE_URL=" + r.DB.Config().ConnString()}
	write := func(name string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	good := []byte(r.dayLine(1, r.cell(0)))
	bad := append([]byte("nonsense\n"), good...)

	code, stdout, stderr := run(t, environ, "import", "--dry-run", write("day.ndjson", good))
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "completed: 1 of 1 lines, 1 have changed something, 0 are bad\n")
	require.Zero(t, r.Count(`SELECT count(*) FROM schedule_window`))

	code, stdout, _ = run(t, environ, "import", "--all-or-nothing", write("day.jsonl", bad))
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "line 1: body_malformed: ")
	require.Contains(t, stdout, "rejected: 2 of 2 lines")
	require.Zero(t, r.Count(`SELECT count(*) FROM schedule_window`))

	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	code, stdout, stderr = run(t, environ, "import", write("day.ndjson.zst", encoder.EncodeAll(good, nil)))
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "cells: 0 added, 1 changed, 3 withdrawn")
	require.Equal(t, 1, r.Count(`SELECT count(*) FROM schedule_window`))

	csv := fmt.Sprintf("LpuGuid,ResourceGuid,Start\n%s,%s,2019-08-22T00:00:00+03:00\n", r.To, r.Doctor)
	code, _, stderr = run(t, environ, "import", "--of", "cells", "--version", "2", write("day.csv", []byte(csv)))
	require.Equal(t, 0, code, stderr)
	require.Equal(t, 2, r.Count(`SELECT count(*) FROM schedule_window`))

	for _, args := range [][]string{
		{write("day.csv", nil)}, {"--resume", "x"}, {"--resume", uuid.NewString(), "file"}, {"a", "b"}, {"--dry-run"},
	} {
		code, _, _ = run(t, environ, append([]string{"import"}, args...)...)
		require.Equal(t, 2, code, args)
	}
	code, _, stderr = run(t, environ, "import", "absent.ndjson")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "absent.ndjson")
	code, _, stderr = run(t, environ, "import", write("long.ndjson", bytes.Repeat([]byte("x"), 2<<20)))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "line 1")
	code, _, stderr = run(t, environ, "import", "--resume", uuid.NewString())
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "import_absent")
}
