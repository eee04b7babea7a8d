package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/testdb"
	"talon.example/migrations"
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
		3: "body_malformed", 4: "resource_absent", 5: "institution_foreign", 6: "field_invalid", 7: "field_invalid",
		8: "field_invalid",
	}, rules)
	r.MustBook(harness.Fields{"SlotId": harness.FirstSlotID + 6})

	again := r.importLines("", file...)
	require.Equal(t, api.ImportLines{Total: 8, Done: 8, Changed: 0, Failed: 6}, again.Lines)
	require.Equal(t, api.ImportCells{Unchanged: 2}, again.Cells)
}

// Promise: the cursor of a page of errors continues that import, and is rejected for another one.
func TestCursorOfImportErrors(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	first := r.importLines("", "nonsense\n", "nonsense\n")
	second := r.importLines("", "nonsense\n", "nonsense\n")
	errors := func(i api.Import, query string) harness.Answer {
		return r.importRequest(http.MethodGet, i.GUID.String()+"/errors?"+query)
	}
	page := harness.Decode[api.ImportErrorPage](t, errors(first, "limit=1"))
	require.Equal(t, int64(1), page.Items[0].Line)
	cursor := "cursor=" + url.QueryEscape(*page.Next)
	page = harness.Decode[api.ImportErrorPage](t, errors(first, cursor))
	require.Equal(t, int64(2), page.Items[0].Line)
	require.Nil(t, page.Next)
	errors(second, cursor).RequireRefusal(t, "field_invalid")
}

// fieldErrors returns the first invalid field of each rejected line, as "name problem".
func (r *registrar) fieldErrors(i api.Import) map[int64]string {
	r.T.Helper()
	found := map[int64]string{}
	for _, one := range r.errors(i) {
		require.Equal(r.T, "field_invalid", one.Error.Rule, "line %d: %s", one.Line, one.Error.Message)
		field := (*one.Error.Details.Fields)[0]
		found[one.Line] = field.Name + " " + field.Problem
	}
	return found
}

// Promise: a line that is no request of the registry says what is wrong with it, and not only that
// there is no such resource or media type.
func TestImportNamesWhatALineLacks(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	path := "/registry/lpus/" + r.To.String() + r.day()
	state := r.importLines("",
		`{"Method":"POST","Path":"/appointments","Body":{}}`+"\n",
		`{"Method":"PUT","Path":"https://talon.example`+path+`","Body":{}}`+"\n",
		`{"Method":"GET","Path":"`+path+`"}`+"\n",
		`{"Method":"POST","Path":"/registry/imports","Body":{}}`+"\n",
		`{"Method":"PUT","Path":"`+path+`"}`+"\n",
		`{"Method":"PUT","Path":"/registry/%zz","Body":{}}`+"\n",
	)
	require.Equal(t, map[int64]string{
		1: "Path format", 2: "Path format", 3: "Path not_supported", 4: "Path not_supported", 5: "Body required",
		6: "Path characters",
	}, r.fieldErrors(state))
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

	refused := r.upload("", "application/x-ndjson", "br", plain)
	refused.RequireRefusal(t, "media_type_unsupported")
	require.Equal(t, "Тело запроса должно быть в формате application/x-ndjson или text/csv, "+
		"без сжатия или со сжатием gzip или zstd", refused.Refusal.Message)
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

// Promise: a check counts a line as good that needs a cell or an absence of an earlier line, and
// only such a line.
func TestImportCheckKnowsCellsAndAbsences(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	cell := r.cell(0)
	cell["Guid"], cell["Start"], cell["End"] = uuid.New(), "2019-08-21T18:00:00+03:00", "2019-08-21T18:15:00+03:00"
	delete(cell, "Id")
	absence := uuid.New()
	block := func(cell any) string {
		return r.line(http.MethodPatch, fmt.Sprint("/slots/", cell), harness.Fields{"Version": 2, "Blocked": true})
	}
	file := []string{
		r.dayLine(1, r.cell(0), cell),
		block(cell["Guid"]),
		r.line(http.MethodPost, r.resource()+"/absences", harness.Fields{
			"AbsenceGuid": absence, "From": "2019-08-23T00:00:00Z", "To": "2019-08-24T00:00:00Z",
		}),
		r.line(http.MethodDelete, r.resource()+"/absences/"+absence.String(), nil),
	}
	for _, unknown := range []string{
		block(uuid.New()), r.line(http.MethodDelete, r.resource()+"/absences/"+uuid.NewString(), nil),
	} {
		rejected := r.importLines("?onError=reject", append(slices.Clone(file), unknown)...)
		require.Equal(t, "rejected", rejected.State)
		require.Len(t, r.errors(rejected), 1)
		require.Equal(t, int64(5), r.errors(rejected)[0].Line)
	}
	applied := r.importLines("?onError=reject", file...)
	require.Empty(t, r.errors(applied))
	require.Equal(t, "completed", applied.State)
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
		fmt.Sprintf("%s;%s;;2019-08-23T00:00:00+03:00;;;;\n", r.To, r.Doctor) +
		row(uuid.New(), "yesterday", "2019-08-22T09:15:00+03:00") +
		row(uuid.New(), "2019-08-24T09:00:00+03:00", "2019-08-24T09:15:00+03:00") + "too;many;columns;;;;;;;;;;x\n"
	state := r.finish(r.upload("?of=cells&version=7", "text/csv", "", []byte(file)))
	require.Equal(t, api.ImportLines{Total: 6, Done: 6, Changed: 3, Failed: 2}, state.Lines)
	found := r.errors(state)
	require.Len(t, found, 2)
	require.Equal(t, int64(6), found[0].Line)
	require.Equal(t, "Start", (*found[0].Error.Details.Fields)[0].Name)
	require.Equal(t, int64(8), found[1].Line)

	again := r.finish(r.upload("?of=cells&version=7", "text/csv", "", []byte(file)))
	require.Equal(t, int64(0), again.Lines.Changed)
	r.upload("", "text/csv", "", []byte(file)).RequireRefusal(t, "field_invalid")
	r.upload("?of=cells", "text/csv", "", []byte(header+`"open`)).RequireRefusal(t, "field_invalid")
}

// Promise: a CSV file of cells that is not understood as a whole changes nothing: neither one whose
// guids are not found, nor one whose rows of a day are scattered.
func TestImportCSVKeepsTheSchedule(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	before := r.send(http.MethodGet, r.day(), nil).Raw
	const header = "LpuGuid,ResourceGuid,Version,Guid,Start,End,Capacity,FlagAccess,BusyType\n"
	row := func(day int, version string) string {
		return fmt.Sprintf("%s,%s,%s,%s,2019-08-%dT09:00:00+03:00,2019-08-%dT09:15:00+03:00,1,12,1\n",
			r.To, r.Doctor, version, uuid.New(), day, day)
	}
	for _, other := range []string{",guid", ",Id"} {
		file := strings.Replace(header, ",Guid", other, 1) + row(21, "1")
		a := r.upload("?of=cells", "text/csv", "", []byte(file))
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, "Поле Guid: в заголовке CSV нет такой колонки", a.Refusal.Message)
	}
	scattered := r.upload("?of=cells", "text/csv", "", []byte(header+row(21, "1")+row(22, "1")+row(21, "2")))
	require.Equal(t, []string{"body line 4 unsorted"}, invalidFields(scattered))

	state := r.finish(r.upload("?of=cells", "text/csv", "", []byte(header+row(21, "1")+row(21, "2")+
		fmt.Sprintf("%s,%s,,,2019-08-22T00:00:00+03:00,2019-08-22T00:15:00+03:00,,,\n", r.To, r.Doctor))))
	require.Equal(t, map[int64]string{3: "Version conflict", 4: "Guid required"}, r.fieldErrors(state))
	require.Equal(t, before, r.send(http.MethodGet, r.day(), nil).Raw)
}

// Promise: a file that cannot be read is rejected with the line at which its bad record begins, and
// one without lines says so.
func TestImportNamesTheUnreadableLine(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	const csv = "LegalEntityGuid,Name\n" + "7a000000-0001-4000-8000-000000000001,a\n"
	const row = "7a000000-0001-4000-8000-000000000002,"
	many := strings.Repeat(row+"b\n", 100_000)
	const empty, open = "Строка 1: в файле нет строк для загрузки", "запись длиннее 1 МиБ; возможно, не закрыта кавычка"
	for name, test := range map[string]struct{ query, mediaType, file, message string }{
		"an open quote":                     {"?of=legal_entities", "text/csv", csv + row + "\"b\n" + row, "Строка 3: ошибка разбора CSV"},
		"an open quote before many lines":   {"?of=legal_entities", "text/csv", csv + row + "\"b\n" + many, "Строка 3: " + open},
		"a long line":                       {"?of=legal_entities", "text/csv", csv + row + strings.Repeat("b", 2<<20), "Строка 3: " + open},
		"an open quote in the header":       {"?of=legal_entities", "text/csv", "\"" + csv + many, "Строка 1: " + open},
		"an empty CSV file":                 {"?of=legal_entities", "text/csv", "", empty},
		"a CSV file with nothing but a BOM": {"?of=legal_entities", "text/csv", "\ufeff", empty},
		"a CSV file with only a header":     {"?of=legal_entities", "text/csv", "LegalEntityGuid,Name\n", empty},
		"an empty NDJSON file":              {"", "application/x-ndjson", "", empty},
		"an NDJSON file of empty lines":     {"", "application/x-ndjson", "\n\n", empty},
		"a long NDJSON line": {
			"", "application/x-ndjson", "{}\n" + strings.Repeat("x", 2<<20),
			"Строка 2: длина должна быть не больше 1048576 символов",
		},
	} {
		a := r.upload(test.query, test.mediaType, "", []byte(test.file))
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, test.message, a.Refusal.Message, name)
	}
	require.Equal(t, 0, r.Count(`SELECT count(*) FROM import WHERE state <> 'failed'`))
}

// Promise: of the bad lines of a file, the first 10,000 are kept, and all are counted.
func TestImportKeepsTheFirstErrors(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	state := r.importLines("", strings.Repeat("x\n", 10_001))
	require.Equal(t, api.ImportLines{Total: 10_001, Done: 10_001, Failed: 10_001}, state.Lines)
	require.Equal(t, 10_000, r.Count(`SELECT max(line) FROM import_error`))
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
	tx := r.Begin()
	_, err := tx.Exec(r.T.Context(), `SELECT FROM schedule_source WHERE lpu_guid = $1 FOR UPDATE`, r.To)
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

// lockObject keeps an object of a source locked until the returned function is called.
func (r *region) lockObject(guid uuid.UUID) (unlock func()) {
	r.T.Helper()
	tx := r.Begin()
	var owner uuid.UUID // a distributed database locks rows of one institution
	row := tx.QueryRow(r.T.Context(), `SELECT owner_guid FROM source_object WHERE guid = $1`, guid)
	require.NoError(r.T, row.Scan(&owner))
	locked, err := tx.Exec(r.T.Context(),
		`SELECT FROM source_object WHERE owner_guid = $1 AND guid = $2 FOR UPDATE`, owner, guid)
	require.NoError(r.T, err)
	require.Equal(r.T, int64(1), locked.RowsAffected())
	return func() { require.NoError(r.T, tx.Rollback(r.T.Context())) }
}

// Promise: an import does not wait for the end of those of another client application, whatever
// their size, with one instance or two of them. Those end, too.
func TestImportDoesNotWaitForLargeOnes(t *testing.T) {
	t.Parallel()
	for instances := 1; instances <= 2; instances++ {
		r := startRegion(t)
		if instances == 2 {
			harness.StartOn(t, string(r.Config.DatabaseURL))
		}
		first, last := uuid.New(), uuid.New()
		put := func(guid uuid.UUID, version int) string {
			return r.line(http.MethodPut, "/resources/"+guid.String(), harness.Fields{
				"Version": version, "Kind": "doctor", "Name": fmt.Sprint("Врач ", version), "SpecialityCode": "92",
			})
		}
		r.importLines("", put(first, 1), put(last, 1))
		unlockFirst, unlockLast := r.lockObject(first), r.lockObject(last)
		large := make([]uuid.UUID, instances)
		for i := range large { // each instance is at work on the first chunk of one
			filler := strings.Repeat(strings.Repeat("x", 1<<20)+"\n", 4)
			large[i] = r.start([]byte(put(first, i+2) + filler + put(last, i+2)))
		}
		client := r.AddSystemClient(booking.Scopes)
		other := &registrar{r.Scene, client, r.SystemToken(client, booking.Scopes)}
		small := other.upload("", "application/x-ndjson", "", []byte(put(uuid.New(), 1)))
		unlockFirst() // the large ones cannot end yet
		require.Equal(t, api.ImportLines{Total: 1, Done: 1, Changed: 1}, other.finish(small).Lines)
		state := func(guid uuid.UUID) api.Import {
			return harness.Decode[api.Import](t, r.importRequest(http.MethodGet, guid.String()))
		}
		for _, guid := range large {
			require.Equal(t, "running", state(guid).State)
		}
		unlockLast()
		for _, guid := range large {
			require.Eventually(t, func() bool { return state(guid).State == "completed" }, 20*time.Second,
				10*time.Millisecond)
			require.Equal(t, int64(6), state(guid).Lines.Done)
		}
	}
}

// Promise: the memory of an import does not depend on the number of its lines, however short they
// are.
func TestMemoryOfShortLines(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	const few, many = 40_000, 160_000 // both are several chunks
	ofFew := r.importPeak(t, bytes.Repeat([]byte("{}\n"), few))
	ofMany := r.importPeak(t, bytes.Repeat([]byte("{}\n"), many))
	require.Equal(t, 1, r.Count(`SELECT count(*) FROM import WHERE done = $1 AND failed = $1`, many))
	t.Logf("peak of few lines: %d MiB, of many: %d MiB", ofFew, ofMany)
	require.Less(t, ofMany, 2*ofFew)
}

// importPeak returns how much memory talon import takes for a file with bad lines, in MiB.
func (r *registrar) importPeak(t *testing.T, content []byte) int {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bad.ndjson")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	// The garbage collector runs often, so that the peak is that of what is in use.
	process := newProcess(t, "talon", []string{"DATABASE_URL=" + r.DB.Config().ConnString(), "GOGC=25"}, "import", file)
	require.NoError(t, process.Start())
	status, peak := fmt.Sprintf("/proc/%d/status", process.Process.Pid), 0
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(status) // of an ended process there is none
		if found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text); found != nil {
			peak, _ = strconv.Atoi(string(found[1]))
		}
		return len(ended) > 0
	}, 2*time.Minute, 20*time.Millisecond)
	<-ended
	require.Equal(t, 1, process.ProcessState.ExitCode()) // lines are bad
	return peak >> 10
}

// Promise: an import whose worker has died goes on with the first chunk without a result.
func TestImportGoesOnAfterCrash(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	unlock := r.lockSchedule()
	guid := r.start(r.twoChunks())
	// The first worker loses the import, as if it had stopped to work, and another has stored the
	// first chunk before it died.
	r.Exec(`UPDATE import SET worker = guid, next_chunk = 1, total = 6, done = 5, failed = 4, reserved_until = $2
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

// Promise: a line that was applied, and whose commit the database has lost before the progress of
// its chunk was stored, is applied again, although the worker has only lost its connections.
func TestImportWhoseCommitsAreLost(t *testing.T) {
	t.Parallel()
	database := testdb.Cluster(t).URL("postgres")
	require.NoError(t, migrations.Up(t.Context(), database))
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	// Without a service only the import itself writes.
	r := &registrar{(&harness.Service{T: t, DB: pool}).Scene(), uuid.Nil, ""}
	r.Exec(`ALTER SYSTEM SET autovacuum = off`)
	r.Exec(`SELECT pg_reload_conf()`)
	path := filepath.Join(t.TempDir(), "day.ndjson")
	require.NoError(t, os.WriteFile(path, []byte(r.dayLine(1, r.cell(0))), 0o600))

	unlock := r.lockSchedule()
	ended := make(chan int, 1)
	go func() {
		code, _, _ := run(t, []string{"DATABASE_URL=" + database}, "import", path)
		ended <- code
	}()
	require.Eventually(t, func() bool { return r.Count(`SELECT count(*) FROM import WHERE state = 'running'`) == 1 },
		20*time.Second, time.Millisecond)
	progress := r.Begin()
	_, err = progress.Exec(t.Context(), `SELECT FROM import FOR UPDATE`)
	require.NoError(t, err)
	var walWriter int // flushes the log in the background
	var end string    // of the log
	require.NoError(t, r.DB.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'`).Scan(&walWriter))
	require.NoError(t, syscall.Kill(walWriter, syscall.SIGSTOP))
	require.NoError(t, r.DB.QueryRow(t.Context(), `SELECT pg_current_wal_insert_lsn()::text`).Scan(&end))
	unlock()
	require.Eventually(t, func() bool {
		return r.Count(`SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))`,
			progress.Conn().PgConn().PID()) > 0
	}, 20*time.Second, time.Millisecond, "its progress is not stored")
	applied := func() int { return r.Count(`SELECT count(*) FROM schedule_window`) }
	require.Equal(t, 1, applied())
	require.Equal(t, 1, r.Count(`SELECT count(*) WHERE pg_current_wal_flush_lsn() <= $1::text::pg_lsn`, end), "the line is on disk")
	require.NoError(t, syscall.Kill(walWriter, syscall.SIGKILL)) // PostgreSQL restarts itself
	require.Eventually(t, func() bool {
		var pid int
		err := r.DB.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'`).Scan(&pid)
		return err == nil && pid != walWriter
	}, 60*time.Second, 10*time.Millisecond)
	_ = progress.Rollback(t.Context()) // PostgreSQL has closed its connection

	require.Equal(t, 0, <-ended)
	require.Equal(t, 1, applied(), "the line is lost")
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
	require.Contains(t, stdout, "completed: 1 of 1 messages, 1 would change something, 0 are bad\n")
	require.Zero(t, r.Count(`SELECT count(*) FROM schedule_window`))

	code, stdout, _ = run(t, environ, "import", "--all-or-nothing", write("day.jsonl", bad))
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "line 1: body_malformed: ")
	require.Contains(t, stdout, "rejected: 2 of 2 messages, 1 would change something")
	require.Zero(t, r.Count(`SELECT count(*) FROM schedule_window`))

	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	code, stdout, stderr = run(t, environ, "import", write("day.ndjson.ZST", encoder.EncodeAll(good, nil)))
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "1 have changed something")
	require.Contains(t, stdout, "cells: 0 added, 1 changed, 3 withdrawn")
	require.Equal(t, 1, r.Count(`SELECT count(*) FROM schedule_window`))

	csv := fmt.Sprintf("LpuGuid,ResourceGuid,Guid,Start\n%s,%s,,2019-08-22T00:00:00+03:00\n", r.To, r.Doctor)
	for _, name := range []string{"DAY.CSV", "day.txt"} {
		code, _, stderr = run(t, environ, "import", "--of", "cells", "--version", "2", write(name, []byte(csv)))
		require.Equal(t, 0, code, stderr)
		require.Equal(t, 2, r.Count(`SELECT count(*) FROM schedule_window`))
	}

	code, _, stderr = run(t, environ, "import", "--of", "cells", write("day.csv", []byte(strings.ToLower(csv))))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "LpuGuid")

	for _, args := range [][]string{
		nil, {write("day.csv", nil)}, {write("DAY.CSV.GZ", nil)}, {"a", "b"}, {"--dry-run"}, {"--of", "x", "day.csv"},
		{"--resume", "x"}, {"--resume", ""}, {"--resume", uuid.NewString(), "file"},
		{"--dry-run", "--resume", uuid.NewString()}, {"--version", "1", "--resume", uuid.NewString()},
		{"--of", "cells", "--version", "0", "day.csv"}, {"--version", "1", "day.ndjson"},
	} {
		code, _, _ = run(t, environ, append([]string{"import"}, args...)...)
		require.Equal(t, 2, code, args)
	}
	code, _, stderr = run(t, environ, "import", "absent.ndjson")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "absent.ndjson")
	code, _, stderr = run(t, environ, "import", write("long.ndjson", bytes.Repeat([]byte("x"), 2<<20)))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "Строка 1: ")
	var zipped bytes.Buffer
	writer := gzip.NewWriter(&zipped)
	_, err = writer.Write([]byte(csv))
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	cut := write("cut.csv.gz", zipped.Bytes()[:zipped.Len()-4])
	code, _, stderr = run(t, environ, "import", "--of", "cells", cut)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "unexpected EOF")
	for _, name := range []string{"day.ndjson.gz", "day.ndjson.zst"} {
		code, _, stderr = run(t, environ, "import", write(name, nil))
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "no content")
	}
	code, stdout, _ = run(t, environ, "import", write("bad.ndjson", bytes.Repeat([]byte("x\n"), 25)))
	require.Equal(t, 1, code)
	require.Regexp(t, `(?m)^and 5 more: .*import_guid = '[-0-9a-f]{36}'$`, stdout)
}

// Promise: the errors of talon import name what is wrong: the flags that are missing, the import
// that does not exist, or the database.
func TestImportCommandNamesTheProblem(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	database := r.DB.Config().ConnString()
	code, stdout, stderr := run(t, nil, "import")
	require.Equal(t, 2, code)
	require.Empty(t, stdout)
	for _, text := range []string{"FILE or --resume must be given\n", "-all-or-nothing", "milliseconds since 1970)\n"} {
		require.Contains(t, stderr, text)
	}

	others := r.importLines("", r.dayLine(1, r.cell(0)))
	for _, guid := range []string{uuid.NewString(), others.GUID.String()} {
		code, _, stderr = run(t, []string{"DATABASE_URL=" + database}, "import", "--resume", guid)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "no such import")
		require.NotContains(t, stderr, "has not ended")
	}

	wrong := regexp.MustCompile(`//[^:@/]*`).ReplaceAllString(database, "//nobody")
	require.NotEqual(t, database, wrong)
	file := filepath.Join(t.TempDir(), "day.ndjson")
	require.NoError(t, os.WriteFile(file, []byte(r.dayLine(1)), 0o600))
	code, _, stderr = run(t, []string{"DATABASE_URL=" + wrong}, "import", file)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "DATABASE_URL")
	require.NotContains(t, stderr, file)
}

// Promise: a signal ends talon import with 130, and with the command that goes on. While the file
// is read, nothing is imported. Neither is logged as a failure.
func TestImportCommandIsInterrupted(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	environ := []string{"DATABASE_URL=" + r.DB.Config().ConnString()}
	interrupt := func(process *exec.Cmd, signal os.Signal, state string) string {
		var stdout, stderr bytes.Buffer
		process.Stdout, process.Stderr = &stdout, &stderr
		require.NoError(t, process.Start())
		require.Eventually(t, func() bool {
			return r.Count(`SELECT count(*) FROM import WHERE state = $1`, state) == 1
		}, 20*time.Second, 10*time.Millisecond, state)
		require.NoError(t, process.Process.Signal(signal))
		_ = process.Wait() // an error for each code but 0
		require.Equal(t, 130, process.ProcessState.ExitCode(), stderr.String())
		require.Empty(t, stdout.String())
		require.NotContains(t, stderr.String(), "level=")
		return stderr.String()
	}

	waiting := newProcess(t, "talon", environ, "import", "-")
	_, err := waiting.StdinPipe() // stays open
	require.NoError(t, err)
	stderr := interrupt(waiting, syscall.SIGTERM, "uploading")
	require.Contains(t, stderr, "nothing is imported")
	require.Equal(t, 1, r.Count(`SELECT count(*) FROM import WHERE state = 'failed'`))

	file := filepath.Join(t.TempDir(), "two.ndjson")
	require.NoError(t, os.WriteFile(file, r.twoChunks(), 0o600))
	unlock := r.lockSchedule()
	stderr = interrupt(newProcess(t, "talon", environ, "import", file), os.Interrupt, "running")
	unlock()
	resume := regexp.MustCompile(`talon (import --resume \S+)`).FindStringSubmatch(stderr)
	require.NotNil(t, resume, stderr)
	code, stdout, _ := run(t, environ, strings.Fields(resume[1])...)
	require.Equal(t, 1, code) // lines are bad
	require.Contains(t, stdout, "completed: 6 of 6 ")
}

// institution is a new institution as messages of a file: everything that its first visit needs.
type institution struct {
	entity, lpu, resource, cell, person, card, direction uuid.UUID

	lines []string
}

// newInstitution returns an institution whose doctor has one cell, tomorrow.
func (r *region) newInstitution() *institution {
	r.T.Helper()
	i := &institution{
		uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), nil,
	}
	day := r.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	start := day.Add(10 * time.Hour)
	lpu := "/registry/lpus/" + i.lpu.String()
	add := func(path string, body harness.Fields) {
		encoded, err := json.Marshal(harness.Fields{"Method": http.MethodPut, "Path": path, "Body": withVersion(1,
			body)})
		require.NoError(r.T, err)
		i.lines = append(i.lines, string(encoded)+"\n")
	}
	add("/registry/legal-entities/"+i.entity.String(), harness.Fields{"Name": "ГБУЗ"})
	add(lpu, harness.Fields{
		"LegalEntityGuid": i.entity, "Code": "77", "Name": "Новая поликлиника", "TimeZone": "Asia/Omsk",
	})
	add(lpu+"/resources/"+i.resource.String(), harness.Fields{
		"Kind": "doctor", "Name": "Врач Терапевт", "SpecialityCode": "92",
	})
	period := url.Values{"from": {day.Format(time.RFC3339)}, "to": {day.AddDate(0, 0, 1).Format(time.RFC3339)}}
	add(lpu+"/resources/"+i.resource.String()+"/schedule?"+period.Encode(), harness.Fields{"Cells": []harness.Fields{{
		"Guid": i.cell, "Start": start, "End": start.Add(15 * time.Minute), "Capacity": 1, "FlagAccess": 12,
		"BusyType": 1,
	}}})
	add(lpu+"/cards/"+i.card.String(), harness.Fields{
		"PersonGuid": i.person, "Surname": "Новиков", "Name": "Петр", "BirthDate": "1985-04-12", "Sex": "male",
		"Policies": []harness.Fields{{"Number": "7700000000000001"}},
	})
	add(lpu+"/referrals/"+i.direction.String(), harness.Fields{
		"CardGuid": i.card, "Type": "Consult", "Number": "77-1", "Date": "2019-08-13", "DateEnd": "2019-09-12",
		"DateCreate": "2019-08-13T09:00:00+03:00", "SpecialityCode": "92", "LpuToGuid": i.lpu,
	})
	return i
}

// book books the cell of the institution by its referral.
func (r *region) book(i *institution) harness.Answer {
	r.T.Helper()
	return r.Book(i.person, harness.Fields{
		"DirectionGuid": i.direction, "DirectionType": "consult", "LpuFromGuid": i.lpu, "LpuToGuid": i.lpu,
		"SlotGuid": i.cell,
	})
}

// Promise: one file brings in an institution with its doctor, schedule, patient and referral, and
// the patient can book. A check of the file finds nothing wrong with lines that need those before
// them.
func TestImportInstitution(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	i := r.newInstitution()
	checked := r.importLines("?dryRun=true", i.lines...)
	require.Empty(t, r.errors(checked))
	require.Equal(t, api.ImportLines{Total: 6, Done: 6, Changed: 6}, checked.Lines)
	r.ask(http.MethodGet, "/registry/lpus/"+i.lpu.String(), nil).RequireRefusal(t, "lpu_absent")

	nowhere := strings.ReplaceAll(i.lines[4], i.lpu.String(), uuid.NewString())
	rejected := r.importLines("?onError=reject", append(slices.Clone(i.lines), nowhere)...)
	require.Equal(t, "rejected", rejected.State)
	require.Equal(t, int64(7), r.errors(rejected)[0].Line)

	applied := r.importLines("?onError=reject", i.lines...)
	require.Empty(t, r.errors(applied))
	require.Equal(t, api.ImportLines{Total: 6, Done: 6, Changed: 6}, applied.Lines)
	a := r.book(i)
	require.Equal(t, http.StatusOK, a.StatusCode, a.Raw)

	again := r.importLines("", i.lines...)
	require.Equal(t, api.ImportLines{Total: 6, Done: 6}, again.Lines)
}

// Promise: CSV files of each kind of object do the same.
func TestImportInstitutionAsCSV(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	i := r.newInstitution()
	day := r.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	for _, file := range []struct{ of, columns, row string }{
		{"legal_entities", "LegalEntityGuid,Name", fmt.Sprint(i.entity, ",ГБУЗ")},
		{"institutions", "LpuGuid,LegalEntityGuid,Code,Name,TimeZone", fmt.Sprint(i.lpu, ",", i.entity, `,77,"Новая, первая",Asia/Omsk`)},
		{"resources", "LpuGuid,ResourceGuid,Kind,Name,SpecialityCode,Active", fmt.Sprint(i.lpu, ",", i.resource, ",doctor,Врач,92,true")},
		{"cells", "LpuGuid,ResourceGuid,Guid,Start,End,Capacity,FlagAccess,BusyType", fmt.Sprintf(
			"%s,%s,%s,%sT10:00:00+06:00,%sT10:15:00+06:00,1,12,1", i.lpu, i.resource, i.cell, day, day)},
		{"cards", "LpuGuid,CardGuid,PersonGuid,Surname,Name,BirthDate,Sex,Policies.0.Number,Version", fmt.Sprint(
			i.lpu, ",", i.card, ",", i.person, ",Новиков,Петр,1985-04-12,male,7700000000000001,5")},
		{"referrals", "LpuGuid,DirectionGuid,CardGuid,Type,Number,Date,DateEnd,DateCreate,SpecialityCode,LpuToGuid",
			fmt.Sprintf("%s,%s,%s,Consult,77-1,2019-08-13,2019-09-12,2019-08-13T09:00:00+03:00,92,%s",
				i.lpu, i.direction, i.card, i.lpu)},
	} {
		state := r.finish(r.upload("?of="+file.of, "text/csv", "", []byte(file.columns+"\r\n"+file.row+"\r\n")))
		require.Empty(t, r.errors(state), file.of)
		require.Equal(t, api.ImportLines{Total: 1, Done: 1, Changed: 1}, state.Lines, file.of)
	}
	a := r.book(i)
	require.Equal(t, http.StatusOK, a.StatusCode, a.Raw)
}
