package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// registrar is the system of the scene's target institution, which writes schedules.
type registrar struct {
	*harness.Scene

	client uuid.UUID
	token  string
}

func startRegistrar(t testing.TB) *registrar {
	t.Helper()
	sc := harness.Start(t).Scene()
	scopes := []string{"schedule:write"}
	client := sc.AddSystemClient(scopes, sc.To)
	return &registrar{sc, client, sc.SystemToken(client, scopes, sc.To)}
}

// send sends a request to the institution of the registrar. path begins after it.
func (r *registrar) send(method, path string, body any) harness.Answer {
	r.T.Helper()
	return r.sendAs(r.token, method, path, body)
}

func (r *registrar) sendAs(token, method, path string, body any) harness.Answer {
	r.T.Helper()
	return r.AskAs(token, method, "/registry/lpus/"+r.To.String()+path, body)
}

// resource is the path of the doctor.
func (r *registrar) resource() string { return "/resources/" + r.Doctor.String() }

// day is the path of the doctor's schedule on the day of the scene's cells.
func (r *registrar) day() string {
	return r.resource() + "/schedule?" + url.Values{
		"from": {"2019-08-21T00:00:00+03:00"}, "to": {"2019-08-22T00:00:00+03:00"},
	}.Encode()
}

// absences is the path of the doctor's absences on that day.
func (r *registrar) absences() string { return strings.Replace(r.day(), "schedule", "absences", 1) }

// putAbsence closes the doctor for a period.
func (r *registrar) putAbsence(guid uuid.UUID, from, to string) harness.Answer {
	r.T.Helper()
	absence := harness.Fields{"AbsenceGuid": guid, "From": from, "To": to}
	return r.send(http.MethodPost, r.resource()+"/absences", absence)
}

// cell returns the fields of a cell: the scene's by its number, else a new one after them.
func (r *registrar) cell(n int) harness.Fields {
	guid := uuid.New()
	if n < len(r.Slots) {
		guid = r.Slots[n]
	}
	start := time.Date(2019, 8, 21, 5, 45, 0, 0, time.UTC).Add(time.Duration(n) * 15 * time.Minute)
	return harness.Fields{
		"Guid": guid, "Id": harness.FirstSlotID + n, "Start": start, "End": start.Add(15 * time.Minute), "Capacity": 1,
		"FlagAccess": 12, "BusyType": 1,
	}
}

// putDay replaces the doctor's day.
func (r *registrar) putDay(version int, onBooked string, cells ...harness.Fields) harness.Answer {
	r.T.Helper()
	if cells == nil {
		cells = []harness.Fields{}
	}
	return r.send(http.MethodPut, r.day(), harness.Fields{"Version": version, "OnBooked": onBooked, "Cells": cells})
}

func (r *registrar) mustPutDay(version int, onBooked string, cells ...harness.Fields) api.ScheduleResult {
	r.T.Helper()
	return harness.Decode[api.ScheduleResult](r.T, r.putDay(version, onBooked, cells...))
}

// Promise: a patient can book a cell as soon as the institution's system has brought it in, and
// nobody can once it is withdrawn. The visit stays, the cell is shown with it, and a cancel frees
// it.
func TestScheduleOverHTTP(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	added := r.cell(6)
	none := []api.CellConflict{}
	require.Equal(t, api.ScheduleResult{Added: 1, Withdrawn: 4, Conflicts: none}, r.mustPutDay(1, "refuse", added))
	visit := r.MustBook(harness.Fields{"SlotId": harness.FirstSlotID + 6})

	a := r.putDay(2, "refuse")
	a.RequireRefusal(t, "cell_booked")
	conflicts := *a.Refusal.Details.Conflicts
	require.Len(t, conflicts, 1)
	require.Equal(t, added["Guid"], conflicts[0].SlotGUID)
	require.Equal(t, visit, conflicts[0].Appointments[0].GUID)

	result := r.mustPutDay(2, "keep")
	require.Equal(t, api.ScheduleResult{Withdrawn: 1, Conflicts: conflicts}, result)
	schedule := harness.Decode[api.Schedule](t, r.send(http.MethodGet, r.day(), nil))
	require.Len(t, schedule.Cells, 1)
	require.Equal(t, []string{"withdrawn"}, schedule.Cells[0].Closed)
	require.EqualValues(t, 1, schedule.Cells[0].Taken)
	require.EqualValues(t, 2, schedule.Windows[0].Version)
	require.Equal(t, "2019-08-21T00:00:00+03:00", schedule.Windows[0].From.Format(time.RFC3339))
	require.Equal(t, "2019-08-21T10:15:00+03:00", schedule.Cells[0].Start.Format(time.RFC3339))

	other, direction := r.AddPatient()
	r.Book(other, r.BookingBody(harness.Fields{
		"DirectionGuid": direction, "SlotId": harness.FirstSlotID + 6,
	})).RequireRefusal(t, "slot_unavailable")
	r.Cancel(r.Person, visit).RequireCancelled(t)
	require.Equal(t, api.ScheduleResult{Withdrawn: 1, Conflicts: none}, r.mustPutDay(2, "keep"))
}

// Promise: an absence closes the doctor's cells, and its end opens them again. One cell can be
// closed by itself.
func TestAbsenceOverHTTP(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	absence := harness.Fields{
		"AbsenceGuid": uuid.New(), "From": "2019-08-21T00:00:00+03:00", "To": "2019-08-22T00:00:00+03:00", "Reason": "Больничный",
	}
	added := harness.Decode[api.AbsenceResult](t, r.send(http.MethodPost, r.resource()+"/absences", absence))
	require.EqualValues(t, 4, added.Changed)
	r.TryBook().RequireRefusal(t, "slot_unavailable")
	listed := harness.Decode[api.AbsenceList](t, r.send(http.MethodGet, r.absences(), nil))
	require.Len(t, listed.Items, 1)
	require.Equal(t, "Больничный", listed.Items[0].Reason)
	path := r.resource() + "/absences/" + absence["AbsenceGuid"].(uuid.UUID).String()
	require.EqualValues(t, 4, harness.Decode[api.AbsenceResult](t, r.send(http.MethodDelete, path, nil)).Changed)
	require.Zero(t, harness.Decode[api.AbsenceResult](t, r.send(http.MethodDelete, path, nil)).Changed)

	slot := "/slots/" + r.Slots[0].String()
	closing := harness.Fields{"Version": 1, "Blocked": true}
	changed := harness.Decode[api.ScheduleResult](t, r.send(http.MethodPatch, slot, closing))
	require.EqualValues(t, 1, changed.Changed)
	r.TryBook().RequireRefusal(t, "slot_unavailable")
	r.send(http.MethodPatch, slot, harness.Fields{"Version": 2, "Blocked": false}).RequireRefusal(t, "")
	r.MustBook()
}

// Promise: the times of a cell are returned as they were sent, with their fractions of a second.
func TestFractionsOfCells(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	cell := r.cell(0)
	cell["Start"], cell["End"] = "2019-08-21T08:45:00.5+03:00", "2019-08-21T09:00:00.000001+03:00"
	r.mustPutDay(1, "keep", cell)
	require.Contains(t, r.send(http.MethodGet, r.day(), nil).Raw,
		`"start":"2019-08-21T08:45:00.5+03:00","end":"2019-08-21T09:00:00.000001+03:00"`)
}

// Promise: bad messages are rejected with the field, and change nothing. Tokens of patients, of
// other institutions and without the scope are rejected on every operation.
func TestRegistryRejections(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	before := r.Snapshot()
	change := func(name string, value any) harness.Fields {
		cell := r.cell(5)
		cell[name] = value
		if value == nil {
			delete(cell, name)
		}
		return cell
	}
	for field, cell := range map[string]harness.Fields{
		"Cells.0.Guid":        change("Guid", "x"),
		"Cells.0.Guid:":       change("Guid", uuid.Nil),
		"Cells.0.Id":          change("Id", 0),
		"Cells.0.Start":       change("Start", "2019-08-23T00:00:00+03:00"),
		"Cells.0.End":         change("End", "2019-08-21T00:00:00+03:00"),
		"Cells.0.Capacity":    change("Capacity", 0),
		"Cells.0.FlagAccess":  change("FlagAccess", nil),
		"Cells.0.BusyType":    change("BusyType", 99),
		"Cells.0.Restriction": change("Restriction", "left-handed"),
		"Cells.0.Colour":      change("Colour", "red"),
	} {
		a := r.putDay(1, "keep", cell)
		a.RequireRefusal(t, "field_invalid")
		require.Contains(t, a.Refusal.Message, field)
	}
	good, same := r.cell(7), r.cell(5)
	bad := r.cell(4)
	bad["BusyType"] = 99
	a := r.putDay(1, "keep", good, same, bad)
	require.Contains(t, a.Refusal.Message, "Cells.2.BusyType", "the index is that of the message")
	none := harness.Fields{"Version": 1, "Cells": []any{}}
	const from, to = "2019-08-21T00:00:00+03:00", "2019-08-22T00:00:00+03:00"
	for _, a := range []harness.Answer{
		r.putDay(0, "keep"),
		r.putDay(1, "displace"),
		r.putDay(1, "keep", same, same),
		r.send(http.MethodPut, r.resource()+"/schedule", none),
		r.send(http.MethodPut, strings.Replace(r.day(), "21T", "23T", 1), none),
		r.send(http.MethodGet, strings.Replace(r.day(), "2019", "2018", 1), nil),
		r.send(http.MethodPatch, "/slots/"+r.Slots[0].String(), harness.Fields{"Version": 1, "Start": from}),
		r.send(http.MethodPatch, "/slots/"+r.Slots[0].String(), harness.Fields{"Version": 1, "BusyType": 99}),
		r.putAbsence(uuid.Nil, from, to),
		r.putAbsence(uuid.New(), from, from),
		r.putAbsence(uuid.New(), "1899-12-01T00:00:00Z", to),
	} {
		a.RequireRefusal(t, "field_invalid")
	}
	scopes := []string{"schedule:write"}
	client := r.AddSystemClient(scopes, r.From)
	reading := []string{"visit:read"}
	for rule, token := range map[string]string{
		"token_invalid":       r.Token(r.Person),
		"institution_foreign": r.SystemToken(client, scopes, r.From),
		"scope_missing":       r.SystemToken(r.AddSystemClient(reading, r.To), reading, r.To),
	} {
		for _, request := range []struct{ method, path string }{
			{http.MethodPut, r.day()},
			{http.MethodGet, r.day()},
			{http.MethodPost, r.resource() + "/absences"},
			{http.MethodGet, r.absences()},
			{http.MethodDelete, r.resource() + "/absences/" + uuid.NewString()},
			{http.MethodPatch, "/slots/" + r.Slots[0].String()},
		} {
			var body any
			if request.method != http.MethodGet && request.method != http.MethodDelete {
				body = harness.Fields{"Version": 1}
			}
			r.sendAs(token, request.method, request.path, body).RequireRefusal(t, rule)
		}
	}
	after := r.Snapshot()
	delete(after, "client_application")
	delete(before, "client_application")
	require.Equal(t, before, after)
}

// Promise: a new kind of cells is added by the command line, and schedules with such cells are
// accepted within a second.
func TestBusyTypeOfTheRegion(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	environ := []string{"DATABASE_URL=" + string(r.Config.DatabaseURL)}
	cell := r.cell(1)
	cell["BusyType"] = -7
	r.putDay(1, "keep", cell).RequireRefusal(t, "field_invalid")
	for _, name := range []string{"Приём", "Лечение"} { // the second time it is replaced
		code, _, errs := run(t, environ, "busy-type", "put", "--code", "-7", "--name", name, "--reception")
		require.Zero(t, code, errs)
	}
	require.Eventually(t, func() bool { return r.putDay(1, "keep", cell).StatusCode == 200 },
		20*time.Second, 50*time.Millisecond)
	code, list, errs := run(t, environ, "busy-type", "list")
	require.Zero(t, code, errs)
	require.Regexp(t, `(?m)^-7 +true +Лечение$`, list)
}

// Promise: of a large body one invalid field is named. Hundreds of thousands are not looked for.
func TestLargeInvalidBody(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	cells := func(count int) json.RawMessage {
		return json.RawMessage(`{"Version": 1, "Cells": [` + strings.Repeat(`{},`, count-1) + `{}]}`)
	}
	small := r.send(http.MethodPut, r.day(), cells(100))
	small.RequireRefusal(t, "field_invalid")
	require.Len(t, *small.Refusal.Details.Fields, 20)
	large := r.send(http.MethodPut, r.day(), cells(300_000))
	large.RequireRefusal(t, "field_invalid")
	require.Len(t, *large.Refusal.Details.Fields, 1)
	require.Equal(t, "Cells", (*large.Refusal.Details.Fields)[0].Name)
}
