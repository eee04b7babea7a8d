package export_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/sandbox"
	"talon.example/test/harness"
)

// Promise: everything that the registry has brought in can be read with its GET operations, and an
// import of what was read into an empty database gives every patient the same search results. In
// the first database the same file changes nothing, and the second exports the same file.
//
// Visits, holds, client applications and kinds of cells are not in the registry. Visits and holds
// are removed first, by the operations of the patients, so that the comparison leaves no search
// result out. Client applications and kinds of cells are inserted. Not in the file are memories of
// the past: deleted objects, lifted absences, and when a schedule was confirmed.
func TestExport(t *testing.T) {
	t.Parallel()
	one, two := startExporter(t), startExporter(t)
	require.NoError(t, sandbox.Load(t.Context(), one.DB.Config().ConnString(), one.Now()))
	before, err := os.ReadFile("../../internal/sandbox/demo/before.sql")
	require.NoError(t, err)
	two.Exec(string(before))
	one.addPatients()
	two.addPatients()

	person, card := uuid.New(), uuid.NewString()
	all := statements(person, card)
	requireEveryField(t, all)
	lines := make([]string, len(all))
	for i, one := range all {
		lines[i] = fileLine(t, one.method, one.path, one.body)
	}
	require.Empty(t, one.importLines(lines))
	one.changeState(person, card)
	one.removeVisits()

	exported := one.export()
	for _, line := range lines {
		require.True(t, slices.Contains(exported, line), "no GET returns what was written: %s", line)
	}
	// The source confirms all schedules, and cells go that were withdrawn and kept by visits.
	for _, rejected := range one.importLines(exported) {
		require.Regexp(t, "^version_(stale|conflict): ", rejected, "a part of a message, or what has an end since")
	}
	require.Equal(t, exported, one.export())

	require.Empty(t, two.importLines(exported))
	require.Equal(t, exported, two.export())
	want, got := one.searchAll(), two.searchAll()
	statuses := map[string]int{}
	for path, items := range want {
		for i, item := range items[:min(len(items), len(got[path]))] {
			require.Equal(t, item, got[path][i], path)
			for _, status := range []string{"Available", "Unavailable", "NotBooked", "Cancelled"} {
				statuses[status] += strings.Count(item, `"status":"`+status+`"`)
			}
		}
		require.Len(t, got[path], len(items), path)
	}
	require.Len(t, got, len(want))
	for status, found := range statuses {
		require.Positive(t, found, status)
	}
	one.RequireInvariants()
	two.RequireInvariants()
}

// exporter is the region's system, which reads everything that the registry has brought in.
type exporter struct {
	*harness.Service

	token string
}

func startExporter(t testing.TB) *exporter {
	t.Helper()
	s := harness.StartEmpty(t)
	scopes := []string{"admin", "schedule:write", "patient:write", "referral:write"}
	return &exporter{s, s.SystemToken(sandbox.RegionClient, scopes)}
}

// addPatients adds the client application of the patients' tokens, without rights.
func (e *exporter) addPatients() {
	e.T.Helper()
	e.Exec(`INSERT INTO client_application (guid, name) VALUES ($1, 'Тест')`, harness.ClientGuid)
}

// read returns the body of a GET.
func (e *exporter) read(path string) harness.Fields {
	e.T.Helper()
	a := e.GetAs(e.token, path)
	require.Equal(e.T, http.StatusOK, a.StatusCode, "%s: %s", path, a.Raw)
	decoder := json.NewDecoder(strings.NewReader(a.Raw))
	decoder.UseNumber()
	var body harness.Fields
	require.NoError(e.T, decoder.Decode(&body))
	return body
}

// rows returns the single text column that a query selects.
func (e *exporter) rows(sql string) []string {
	e.T.Helper()
	var texts []string
	require.NoError(e.T, e.DB.QueryRow(e.T.Context(),
		`SELECT coalesce(array_agg(found.text ORDER BY found.text), '{}') FROM (`+sql+`) found (text)`).Scan(&texts))
	return texts
}

// asWritten returns a part of a response in the shape of a schema of requests: the fields of the
// schema, with its names. A number above its maximum is one that the service has assigned, and is
// left out.
func asWritten(schema *openapi3.Schema, value any) any {
	switch given := value.(type) {
	case map[string]any:
		body := map[string]any{}
		for name, property := range schema.Properties {
			field := given[strings.ToLower(name[:1])+name[1:]]
			if number, isNumber := field.(json.Number); isNumber && property.Value.Max != nil {
				if n, err := number.Float64(); err != nil || n > *property.Value.Max {
					continue
				}
			}
			if field != nil {
				body[name] = asWritten(property.Value, field)
			}
		}
		return body
	case []any:
		items := make([]any, len(given))
		for i := range given {
			items[i] = asWritten(schema.Items.Value, given[i])
		}
		return items
	default:
		return value
	}
}

// requestSchema returns a schema of the contract.
func requestSchema(name string) *openapi3.Schema {
	return harness.ContractDoc().Components.Schemas[name].Value
}

// fileLine returns a line of an import, without the line feed.
func fileLine(t testing.TB, method, path string, body any) string {
	t.Helper()
	message := harness.Fields{"Method": method, "Path": path}
	if body != nil {
		message["Body"] = body
	}
	encoded, err := json.Marshal(message)
	require.NoError(t, err)
	return string(encoded)
}

// export is a file in progress.
type export struct {
	*exporter

	lines []string
	ends  []string // of what other lines bring in
}

// export returns the lines of a file that brings in everything that the GET operations return. The
// guids of objects that no operation lists, and the months of the schedules, come from the tables.
// The content comes only from responses.
func (e *exporter) export() []string {
	e.T.Helper()
	x := &export{exporter: e}
	x.objects("LegalEntityRequest", `SELECT '/registry/legal-entities/' || guid FROM legal_entity`)
	x.objects("LpuRequest", `SELECT '/registry/lpus/' || guid FROM lpu`)
	x.objects("SettingsRequest", `SELECT '/registry/settings'`)
	x.objects("SettingsRequest", `SELECT '/registry/lpus/' || guid || '/settings' FROM lpu`)
	x.resources()
	x.objects("PersonRequest", `SELECT '/registry/persons/' || person_guid FROM mip_person_data`)
	x.objects("CardRequest", `SELECT format('/registry/lpus/%s/cards/%s', lpu_guid, guid) FROM mkab`)
	x.objects("CaseRequest", `SELECT format('/registry/lpus/%s/cases/%s', lpu_guid, guid) FROM tap`)
	x.objects("ReferralRequest", `SELECT format('/registry/lpus/%s/referrals/%s', lpu_guid, guid) FROM direction
		WHERE copied_from_lpu_guid IS NULL`)
	x.objects("SettingsRequest", `SELECT format('/registry/clients/%s/settings', guid) FROM client_application`)
	x.objects("ClientRightsRequest", `SELECT format('/registry/clients/%s/rights', guid) FROM client_application`)
	return append(x.lines, x.ends...)
}

func (x *export) add(method, path, schema string, object any) {
	x.T.Helper()
	x.lines = append(x.lines, fileLine(x.T, method, path, asWritten(requestSchema(schema), object)))
}

// objects exports the objects whose paths a query selects.
func (x *export) objects(schema, paths string) {
	x.T.Helper()
	for _, path := range x.rows(paths) {
		x.object(schema, path, x.read(path))
	}
}

// object exports an object. One that no source has written gets the version 1. What has ended a
// referral or a card is a second message, which has the version.
func (x *export) object(schema, path string, object harness.Fields) {
	x.T.Helper()
	version := int64(1)
	if object["version"] != nil {
		var err error
		version, err = object["version"].(json.Number).Int64()
		require.NoError(x.T, err)
	}
	switch {
	case object["withdrawn"] != nil:
		x.ends = append(x.ends,
			fileLine(x.T, http.MethodDelete, path+"?version="+strconv.FormatInt(version, 10), nil))
		version--
	case object["mergedInto"] != nil:
		x.ends = append(x.ends, fileLine(x.T, http.MethodPost, path+"/merge",
			harness.Fields{"Version": version, "IntoCardGuid": object["mergedInto"]}))
		version--
	}
	object["version"] = version
	x.add(http.MethodPut, path, schema, map[string]any(object))
}

// resources exports the resources of all institutions, then their schedules and absences.
func (x *export) resources() {
	x.T.Helper()
	var paths []string
	for _, lpu := range x.rows(`SELECT '/registry/lpus/' || guid FROM lpu`) {
		for cursor := ""; ; {
			page := x.read(lpu + "/resources?limit=5" + cursor)
			for _, item := range page["items"].([]any) {
				resource := item.(map[string]any)
				path := lpu + "/resources/" + resource["guid"].(string)
				paths = append(paths, path)
				x.object("ResourceRequest", path, resource)
			}
			if page["next"] == nil {
				break
			}
			cursor = "&cursor=" + page["next"].(string)
		}
	}
	months := x.rows(`SELECT DISTINCT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM') FROM (
		SELECT from_at FROM schedule_window UNION SELECT start_at FROM slot UNION SELECT from_at FROM absence) x (at)`)
	for _, path := range paths {
		x.schedule(path+"/schedule?", months)
	}
	for _, path := range paths {
		x.absences(path+"/absences", months)
	}
}

// monthQuery returns the period of a month in UTC.
func monthQuery(t testing.TB, month string) string {
	t.Helper()
	from, err := time.Parse("2006-01", month)
	require.NoError(t, err)
	return periodQuery(from.Format(time.RFC3339), from.AddDate(0, 1, 0).Format(time.RFC3339))
}

func periodQuery(from, to any) string {
	return harness.EncodeQuery("from", from.(string), "to", to.(string))
}

// schedule exports a schedule: a message for each period that one message decides. Cells that a
// message has withdrawn, and that only a visit or a hold keeps, are in no message. Every other cell
// is in one.
func (x *export) schedule(path string, months []string) {
	x.T.Helper()
	exported := map[string]bool{}
	var read, sent []string // guids of cells
	stated := func(schedule harness.Fields) (cells []any) {
		return slices.DeleteFunc(schedule["cells"].([]any), func(cell any) bool {
			return slices.Contains(cell.(map[string]any)["closed"].([]any), any(api.ClosedReasonWithdrawn))
		})
	}
	for _, month := range months {
		schedule := x.read(path + monthQuery(x.T, month))
		for _, cell := range stated(schedule) {
			read = append(read, cell.(map[string]any)["guid"].(string))
		}
		for _, window := range schedule["windows"].([]any) {
			window := window.(map[string]any)
			query := periodQuery(window["from"], window["to"])
			if exported[query] {
				continue
			}
			exported[query] = true
			exact := x.read(path + query)
			require.Equal(x.T, []any{window}, exact["windows"])
			cells := stated(exact)
			for _, cell := range cells {
				sent = append(sent, cell.(map[string]any)["guid"].(string))
			}
			x.add(http.MethodPut, path+query, "ScheduleRequest", map[string]any{
				"version": window["version"], "cells": cells,
			})
		}
	}
	require.ElementsMatch(x.T, read, sent, "every cell is in one message")
}

// absences exports the absences that are not lifted.
func (x *export) absences(path string, months []string) {
	x.T.Helper()
	exported := map[any]bool{}
	for _, month := range months {
		for _, item := range x.read(path + "?" + monthQuery(x.T, month))["items"].([]any) {
			absence := item.(map[string]any)
			if guid := absence["absenceGuid"]; !exported[guid] {
				exported[guid] = true
				x.add(http.MethodPost, path, "AbsenceRequest", absence)
			}
		}
	}
}

// importLines imports lines over HTTP. It returns the first rejected ones, each after its rule.
func (e *exporter) importLines(lines []string) (problems []string) {
	e.T.Helper()
	file := strings.NewReader(strings.Join(lines, "\n"))
	request := e.NewRequest(http.MethodPost, "/registry/imports", file)
	request.Header.Set("Authorization", "Bearer "+e.token)
	request.Header.Set("Content-Type", "application/x-ndjson")
	accepted := e.Do(request)
	require.Equal(e.T, http.StatusAccepted, accepted.StatusCode, "%s", accepted.Raw)
	path := accepted.Header.Get("Location")
	var state api.Import
	require.Eventually(e.T, func() bool {
		state = harness.Decode[api.Import](e.T, e.GetAs(e.token, path))
		return state.FinishedAt != nil
	}, time.Minute, 10*time.Millisecond)
	require.Equal(e.T, "completed", state.State)
	require.EqualValues(e.T, len(lines), state.Lines.Done)
	rejected := harness.Decode[api.ImportErrorPage](e.T, e.GetAs(e.token, path+"/errors?limit=100"))
	for _, bad := range rejected.Items {
		line := lines[bad.Line-1]
		path := line[strings.LastIndex(line, `"Path"`):]
		problems = append(problems, fmt.Sprintf("%s: %.200s … %s", bad.Error.Rule, line, path))
	}
	return problems
}

const (
	clinicA = "/registry/lpus/e66e8056-f0bd-4ec3-85f7-28ff5b22db4f"
	clinicB = "/registry/lpus/4cb4f1c8-386d-410d-ac5d-fa232bd2afb9"
	absent  = "de300000-0004-4000-8000-000000000005" // a doctor of clinic B
)

// statement is a message that an export must return as it was sent.
type statement struct {
	schema, method, path string
	body                 harness.Fields
}

// statements have every field of every message at least once, with another value than the default.
func statements(person uuid.UUID, card string) []statement {
	entity, lpu, room := uuid.NewString(), uuid.NewString(), uuid.NewString()
	client := "/registry/clients/" + harness.ClientGuid.String()
	settings := func(code, value string) []harness.Fields { return []harness.Fields{{"Code": code, "Value": value}} }
	cell := harness.Fields{
		"Guid": uuid.New(), "Id": 777001, "Start": "2019-08-21T19:00:00.5+03:00", "End": "2019-08-21T19:20:00.25+03:00",
		"Capacity": 4, "FlagAccess": 5, "BusyType": 2, "Blocked": true, "Restriction": "pregnant",
	}
	patient := harness.Fields{
		"Version": 4, "PersonGuid": person, "Surname": "Волкова", "Name": "Ольга",
		"Patronymic": "Игоревна", "BirthDate": "1991-02-28", "Sex": "female", "Snils": "112-233-445 95",
		"Disabled": true, "Pregnant": true, "Policies": []harness.Fields{{"Series": "77", "Number": "1234"}},
	}
	closed := maps.Clone(patient)
	closed["Closed"] = "2019-08-19T10:00:00+03:00"
	return []statement{
		{"LegalEntityRequest", http.MethodPut, "/registry/legal-entities/" + entity, harness.Fields{
			"Version": 3, "Name": "Юридическое лицо <4>",
		}},
		{"LpuRequest", http.MethodPut, "/registry/lpus/" + lpu, harness.Fields{
			"Version": 3, "LegalEntityGuid": entity, "Code": "1007", "Name": "Поликлиника Ж", "TimeZone": "Asia/Omsk",
			"Address": "ул. Новая, д. 1", "Phone": "+7 000 555-01-07",
		}},
		{"SettingsRequest", http.MethodPut, "/registry/lpus/" + lpu + "/settings", harness.Fields{
			"Version": 3, "Settings": settings("2dr_RecordWithoutMkab", "true"),
		}},
		{"ResourceRequest", http.MethodPut, clinicB + "/resources/" + room, harness.Fields{
			"Version": 5, "Kind": "room", "Name": "Кабинет 7", "SpecialityCode": "92", "Room": "7",
			"Preparation": "Натощак", "Active": false,
		}},
		{
			"ScheduleRequest", http.MethodPut,
			clinicB + "/resources/" + room + "/schedule?" +
				periodQuery("2019-08-21T00:00:00+03:00", "2019-08-22T00:00:00+03:00"),
			harness.Fields{"Version": 6, "Cells": []harness.Fields{cell}},
		},
		{"AbsenceRequest", http.MethodPost, clinicB + "/resources/" + absent + "/absences", harness.Fields{
			"AbsenceGuid": uuid.New(), "From": "2019-08-22T09:00:00+03:00", "To": "2019-08-23T10:00:00+03:00",
			"Reason": "Болезнь",
		}},
		{"PersonRequest", http.MethodPut, "/registry/persons/" + person.String(), harness.Fields{
			"Version": 4, "Surname": "Волкова", "Name": "Ольга", "Patronymic": "Игоревна", "BirthDate": "1991-02-28",
			"Sex": "female", "Snils": "112-233-445 95", "PolicySeries": "77", "PolicyNumber": "1234",
		}},
		{"CardRequest", http.MethodPut, clinicB + "/cards/" + card, patient},
		{"CardRequest", http.MethodPut, clinicA + "/cards/" + uuid.NewString(), closed},
		{"CaseRequest", http.MethodPut, clinicB + "/cases/" + uuid.NewString(), harness.Fields{
			"Version": 4, "CardGuid": card, "OpenedOn": "2019-08-01", "ClosedOn": "2019-08-05",
		}},
		{"ReferralRequest", http.MethodPut, clinicB + "/referrals/" + uuid.NewString(), harness.Fields{
			"Version": 4, "Id": 777, "CardGuid": card, "Type": "Consult", "Number": "777", "AccessionNumber": "A-777",
			"Date": "2019-08-13", "DateEnd": "2019-09-12", "DateCreate": "2019-08-13T09:00:00+03:00",
			"DocPrvdSenderGuid": uuid.New(), "Reason": "Обоснование", "Comment": "После обеда", "Urgent": true,
			"Flags": 3, "SpecialityCode": "92", "SpecialityName": "Терапия", "MkbCode": "A01.1", "MkbName": "Паратиф A",
			"LpuToGuid": "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9",
		}},
		{"SettingsRequest", http.MethodPut, client + "/settings", harness.Fields{
			"Version": 3, "Settings": settings("scheduleDays", "60"),
		}},
		{"ClientRightsRequest", http.MethodPut, client + "/rights", harness.Fields{
			"Version": 3, "VisitDirection": 85, "VisitDirectionOtherLpu": 93, "OutOfSchedule": true,
		}},
	}
}

// requireEveryField requires that the statements have every field of their schemas, apart from
// OnBooked, which says what to do.
func requireEveryField(t testing.TB, all []statement) {
	t.Helper()
	given := map[string]map[string]bool{}
	var collect func(name string, schema *openapi3.Schema, body any)
	collect = func(name string, schema *openapi3.Schema, body any) {
		if items, isArray := body.([]harness.Fields); isArray {
			for _, item := range items {
				collect(name, schema.Items.Value, item)
			}
			return
		}
		object, isObject := body.(harness.Fields)
		if !isObject {
			return
		}
		for field, property := range schema.Properties {
			of := name + "." + field
			if given[name] == nil {
				given[name] = map[string]bool{}
			}
			given[name][of] = given[name][of] || object[field] != nil
			collect(of, property.Value, object[field])
		}
	}
	for _, one := range all {
		collect(one.schema, requestSchema(one.schema), one.body)
	}
	for _, fields := range given {
		for field, isGiven := range fields {
			require.True(t, isGiven || strings.HasSuffix(field, ".OnBooked"), "no statement has %s", field)
		}
	}
}

// changeState leaves what is in no single message: a changed cell, a lifted absence, a merged card,
// a withdrawn referral, and a referral whose number the service has assigned.
func (e *exporter) changeState(person uuid.UUID, card string) {
	e.T.Helper()
	duplicate, absence := uuid.NewString(), uuid.NewString()
	resource := clinicB + "/resources/de300000-0004-4000-8000-000000000006"
	merged := harness.Fields{
		"Version": 1, "PersonGuid": person, "Surname": "Волкова", "Name": "Ольга", "BirthDate": "1991-02-28",
		"Sex": "female", "Closed": "2019-08-19T10:00:00+03:00",
	}
	referral := harness.Fields{
		"Version": 1, "CardGuid": duplicate, "Type": "Consult", "Number": "778", "Date": "2019-08-13",
		"DateEnd": "2019-09-12", "DateCreate": "2019-08-14T09:00:00+03:00", "SpecialityCode": "27",
	}
	withdrawn := clinicB + "/referrals/" + uuid.NewString()
	require.Empty(e.T, e.importLines([]string{
		fileLine(e.T, http.MethodPatch, clinicB+"/slots/de300000-0009-4000-8000-000000040201", harness.Fields{
			"Version": 2, "Capacity": 2, "FlagAccess": 21, "Restriction": "adults",
		}),
		fileLine(e.T, http.MethodPost, resource+"/absences", harness.Fields{
			"AbsenceGuid": absence, "From": "2019-08-22T09:00:00+03:00", "To": "2019-08-23T10:00:00+03:00",
		}),
		fileLine(e.T, http.MethodDelete, resource+"/absences/"+absence, nil),
		fileLine(e.T, http.MethodPut, clinicB+"/cards/"+duplicate, merged),
		fileLine(e.T, http.MethodPut, clinicB+"/referrals/"+uuid.NewString(), referral),
		fileLine(e.T, http.MethodPut, withdrawn, referral),
		fileLine(e.T, http.MethodDelete, withdrawn+"?version=2", nil),
		fileLine(e.T, http.MethodPost, clinicB+"/cards/"+duplicate+"/merge", harness.Fields{
			"Version": 2, "IntoCardGuid": card,
		}),
	}))
}

// removeVisits removes what no message brings in: visits and holds, by the operations of the
// patients, and the referring institution that the demo has changed in the table.
func (e *exporter) removeVisits() {
	e.T.Helper()
	settings := harness.Fields{"Version": 2, "Settings": []harness.Fields{
		{"Code": "DirectionExpires", "Value": "true"}, {"Code": "ScheduleFreshHours", "Value": "720"},
		{"Code": "DeleteOldTime", "Value": "true"}, // one visit is in the past
	}}
	referral := clinicA + "/referrals/de300000-0007-4000-8000-000100000006"
	written := e.read(referral)
	written["version"] = 2
	require.Empty(e.T, e.importLines([]string{
		fileLine(e.T, http.MethodPut, clinicB+"/settings", settings),
		fileLine(e.T, http.MethodPut, referral,
			asWritten(requestSchema("ReferralRequest"), map[string]any(written))),
	}))
	// Attended visits cannot be cancelled, and their attendance cannot be undone after a day.
	e.Exec(`UPDATE appointment SET attendance = 'none', attendance_at = NULL, attendance_since = NULL`)
	e.Exec(`UPDATE direction SET completed_by_guid = NULL`)
	visits := e.guids(`SELECT person_guid, guid FROM appointment WHERE cancelled_at IS NULL`)
	require.Len(e.T, visits, 6)
	for _, visit := range visits {
		e.Cancel(visit[0], visit[1]).RequireCancelled(e.T)
	}
	holds := e.guids(`SELECT person_guid, lpu_guid, slot_guids[1] FROM hold`)
	require.Len(e.T, holds, 2)
	for _, hold := range holds {
		e.Release(hold[0], hold[1], hold[2]).RequireReleased(e.T)
	}
}

// guids returns the guids of each row that a query selects.
func (e *exporter) guids(sql string) [][]uuid.UUID {
	e.T.Helper()
	rows, err := e.DB.Query(e.T.Context(), sql+` ORDER BY 1, 2`)
	require.NoError(e.T, err)
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]uuid.UUID, error) {
		guids := make([]uuid.UUID, len(row.FieldDescriptions()))
		targets := make([]any, len(guids))
		for i := range guids {
			targets[i] = &guids[i]
		}
		return guids, row.Scan(targets...)
	})
	require.NoError(e.T, err)
	return found
}

// searches are the results of searches: the pages of each path, in pieces that begin with a cell.
type searches map[string][]string

// search adds all pages of a search. It reports whether the search was accepted. A refusal is added
// without the guid of the request. There are too many pages to validate them against the contract.
func (found searches) search(e *exporter, person uuid.UUID, path string) bool {
	e.T.Helper()
	for cursor := ""; ; {
		request := e.NewRequest(http.MethodGet, path+cursor, nil)
		request.Header.Set("Authorization", "Bearer "+e.Token(person))
		response, err := harness.HTTPClient.Do(request)
		require.NoError(e.T, err)
		raw, err := io.ReadAll(response.Body)
		require.NoError(e.T, errors.Join(err, response.Body.Close()))
		text := strings.Replace(string(raw), response.Header.Get("X-Request-ID"), "", 1)
		found[person.String()+path+cursor] = strings.Split(text, `{"id"`)
		var page struct {
			Next *string `json:"next"`
		}
		require.NoError(e.T, json.Unmarshal(raw, &page))
		if page.Next == nil {
			return response.StatusCode == http.StatusOK
		}
		cursor = "&cursor=" + *page.Next
	}
}

// searchAll returns what every patient finds, alone and with each referral. The days of a search
// are those on which the schedules of the demo have something that they do not have on others.
func (e *exporter) searchAll() searches {
	e.T.Helper()
	found := searches{}
	for _, person := range e.guids(`SELECT DISTINCT person_guid, person_guid FROM mkab`) {
		found.search(e, person[0], "/directions?limit=100")
	}
	lpus := e.rows(`SELECT '&lpuGuid=' || guid FROM lpu`)
	for _, direction := range e.guids(`SELECT m.person_guid, d.guid FROM direction d
		JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid WHERE d.copied_from_lpu_guid IS NULL`) {
		person, path := direction[0], "/directions/"+direction[1].String()
		found.search(e, person, path+"/institutions?limit=100")
		for _, days := range []string{
			"&explain=true&dateTo=2019-08-23", "&difficulty=2&dateFrom=2019-08-22&dateTo=2019-08-22",
			"&explain=true&dateFrom=2019-08-29&dateTo=2019-09-02", "&explain=true&dateFrom=2019-09-15",
		} {
			if found.search(e, person, path+"/slots?limit=100"+days) {
				continue
			}
			for _, lpu := range lpus { // one is required
				found.search(e, person, path+"/slots?limit=100"+days+lpu)
			}
		}
	}
	return found
}
