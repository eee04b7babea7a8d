package e2e_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/test/harness"
)

// region is the system of the region, which may write everything.
type region struct{ *registrar }

func startRegion(t testing.TB) *region {
	t.Helper()
	r := startRegistrar(t)
	r.client = r.AddSystemClient(booking.Scopes)
	r.token = r.SystemToken(r.client, booking.Scopes)
	return &region{r}
}

// ask sends a request to any path of the registry.
func (r *region) ask(method, path string, body any) harness.Answer {
	r.T.Helper()
	return r.AskAs(r.token, method, path, body)
}

// object is a kind of object in a test.
type object struct {
	path            string
	content, others harness.Fields // of a write, without the version
	absent          string         // rule of a read where there is none
}

// objects returns new objects of all kinds that have versions and a life of their own.
func (r *region) objects() map[string]object {
	entity := r.legalEntity()
	return map[string]object{
		"legal entity": {
			"/registry/legal-entities/" + uuid.NewString(), harness.Fields{"Name": "Новое"}, harness.Fields{"Name": "Другое"},
			"object_absent",
		},
		"institution": {
			"/registry/lpus/" + uuid.NewString(),
			harness.Fields{"LegalEntityGuid": entity, "Code": "77", "Name": "Новая", "TimeZone": "Asia/Omsk"},
			harness.Fields{"LegalEntityGuid": entity, "Code": "78", "Name": "Другая", "TimeZone": "Asia/Omsk"},
			"lpu_absent",
		},
		"resource": {
			"/registry/lpus/" + r.To.String() + "/resources/" + uuid.NewString(),
			harness.Fields{"Kind": "doctor", "Name": "Новый", "SpecialityCode": "92", "Room": "1"},
			harness.Fields{"Kind": "room", "Name": "Другой", "SpecialityCode": "92", "Active": false},
			"resource_absent",
		},
	}
}

func (r *region) legalEntity() uuid.UUID {
	r.T.Helper()
	var guid uuid.UUID
	require.NoError(r.T, r.DB.QueryRow(r.T.Context(), `SELECT guid FROM legal_entity LIMIT 1`).Scan(&guid))
	return guid
}

func withVersion(version int, content harness.Fields) harness.Fields {
	body := harness.Fields{"Version": version}
	maps.Copy(body, content)
	return body
}

// Promise: the write with the highest version decides, whatever the order in which writes arrive. A
// repetition changes nothing. A deleted object stays deleted until a newer write.
func TestObjects(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	for name, o := range r.objects() {
		t.Run(name, func(t *testing.T) {
			put := func(version int, content harness.Fields) harness.Answer {
				return r.ask(http.MethodPut, o.path, withVersion(version, content))
			}
			remove := func(version string) harness.Answer {
				return r.ask(http.MethodDelete, o.path+"?version="+version, nil)
			}
			changed := func(a harness.Answer) bool { return harness.Decode[api.ObjectResult](t, a).Changed }
			version := func() int64 {
				read := harness.Decode[struct{ Version int64 }](t, r.ask(http.MethodGet, o.path, nil))
				return read.Version
			}
			r.ask(http.MethodGet, o.path, nil).RequireRefusal(t, o.absent)
			require.True(t, changed(put(3, o.content)))
			require.Equal(t, int64(3), version())
			require.False(t, changed(put(3, o.content)))
			put(3, o.others).RequireRefusal(t, "version_conflict")
			put(2, o.others).RequireRefusal(t, "version_stale")
			require.True(t, changed(put(4, o.others)))
			remove("3").RequireRefusal(t, "version_stale")
			remove("4").RequireRefusal(t, "version_conflict")
			require.Equal(t, int64(4), version())
			require.True(t, changed(remove("5")))
			require.False(t, changed(remove("5")))
			r.ask(http.MethodGet, o.path, nil).RequireRefusal(t, o.absent)
			put(4, o.others).RequireRefusal(t, "version_stale")
			require.True(t, changed(put(6, o.content)))
			require.Equal(t, int64(6), version())

			r.ask(http.MethodPut, o.path, o.content).RequireRefusal(t, "field_invalid")
			remove("x").RequireRefusal(t, "field_invalid")
			zero := o.path[:len(o.path)-36] + uuid.Nil.String()
			r.ask(http.MethodPut, zero, withVersion(1, o.content)).RequireRefusal(t, "field_invalid")
		})
	}
}

// Promise: objects that refer to another one, or are unique, are rejected by the name of the field.
func TestObjectReferences(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	lpu := "/registry/lpus/" + uuid.NewString()
	fields := func(changes harness.Fields) harness.Fields {
		body := withVersion(1, r.objects()["institution"].content)
		maps.Copy(body, changes)
		return body
	}
	for field, value := range map[string]any{
		"LegalEntityGuid": uuid.New(), "TimeZone": "Europe/Atlantis", "Code": r.codeOf(r.To), "Version": 0, "Name": "",
	} {
		a := r.ask(http.MethodPut, lpu, fields(harness.Fields{field: value}))
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, field, (*a.Refusal.Details.Fields)[0].Name)
	}
	r.ask(http.MethodDelete, "/registry/lpus/"+r.To.String()+"?version=1", nil).RequireRefusal(t, "object_in_use")
	entity := "/registry/legal-entities/" + r.legalEntity().String()
	r.ask(http.MethodDelete, entity+"?version=1", nil).RequireRefusal(t, "object_in_use")
	resource := withVersion(1, r.objects()["resource"].content)
	r.ask(http.MethodPut, lpu+"/resources/"+uuid.NewString(), resource).RequireRefusal(t, "lpu_absent")
	r.ask(http.MethodGet, lpu+"/resources", nil).RequireRefusal(t, "lpu_absent")
}

func (r *region) codeOf(lpu uuid.UUID) string {
	r.T.Helper()
	var code string
	require.NoError(r.T, r.DB.QueryRow(r.T.Context(), `SELECT code FROM lpu WHERE guid = $1`, lpu).Scan(&code))
	return code
}

// Promise: an institution, a resource and a cell that have just been written can be used at once.
func TestNewInstitutionIsUsable(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	lpu := "/registry/lpus/" + uuid.NewString()
	resource := lpu + "/resources/" + uuid.NewString()
	start := r.Now().Add(24 * time.Hour).Truncate(time.Hour)
	body := withVersion(1, r.objects()["institution"].content)
	for _, step := range []harness.Answer{
		r.ask(http.MethodPut, lpu, body),
		r.ask(http.MethodPut, resource, withVersion(1, r.objects()["resource"].content)),
		r.ask(http.MethodPut, resource+"/schedule?from="+start.UTC().Format(time.RFC3339)+"&to="+
			start.Add(time.Hour).UTC().Format(time.RFC3339), harness.Fields{"Version": 1, "Cells": []harness.Fields{{
			"Guid": uuid.New(), "Start": start, "End": start.Add(15 * time.Minute), "Capacity": 1, "FlagAccess": 4,
			"BusyType": 1,
		}}}),
	} {
		require.Equal(t, http.StatusOK, step.StatusCode, step.Raw)
	}
	page := harness.Decode[api.ResourcePage](t, r.ask(http.MethodGet, lpu+"/resources", nil))
	require.Len(t, page.Items, 1)
	require.Equal(t, "Новый", page.Items[0].Name)
	require.True(t, page.Items[0].Active)
	require.Nil(t, page.Next)
}

// Promise: a deleted resource keeps its visits and accepts no new ones. It can be neither read nor
// listed, until a newer write brings it back.
func TestDeletedResource(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	visit := r.MustBook()
	person, direction := r.AddPatient()
	book := func() harness.Answer {
		body := r.BookingBody(harness.Fields{"DirectionGuid": direction, "SlotId": harness.FirstSlotID + 1})
		return r.Book(person, body)
	}
	path := "/registry/lpus/" + r.To.String() + r.resource()
	listed := func() int {
		page := r.ask(http.MethodGet, "/registry/lpus/"+r.To.String()+"/resources", nil)
		return len(harness.Decode[api.ResourcePage](t, page).Items)
	}
	require.Equal(t, 1, listed())
	harness.Decode[api.ObjectResult](t, r.ask(http.MethodDelete, path+"?version=1", nil))
	require.Equal(t, visit, r.ListAppointments(r.Person, "")[0].GUID)
	book().RequireRefusal(t, "slot_resource_not_found")
	r.ask(http.MethodGet, path, nil).RequireRefusal(t, "resource_absent")
	require.Zero(t, listed())

	doctor := harness.Fields{"Version": 2, "Kind": "doctor", "Name": "Врач Терапевт", "SpecialityCode": "92"}
	harness.Decode[api.ObjectResult](t, r.ask(http.MethodPut, path, doctor))
	require.Equal(t, 1, listed())
	require.Equal(t, http.StatusOK, book().StatusCode)
}

// Promise: the pages of a list have each resource of the institution once, in order of the guids,
// also those that are not active and those that no source has written.
func TestResourcePages(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	list := "/registry/lpus/" + r.To.String() + "/resources"
	want := []string{r.Doctor.String()}
	for range 6 {
		guid := uuid.NewString()
		body := harness.Fields{"Version": 7, "Kind": "room", "Name": "Кабинет", "SpecialityCode": "92", "Active": false}
		harness.Decode[api.ObjectResult](t, r.ask(http.MethodPut, list+"/"+guid, body))
		want = append(want, guid)
	}
	slices.Sort(want)
	var got []string
	for query := "?limit=3"; query != ""; {
		page := harness.Decode[api.ResourcePage](t, r.ask(http.MethodGet, list+query, nil))
		require.LessOrEqual(t, len(page.Items), 3)
		for _, resource := range page.Items {
			got = append(got, resource.GUID.String())
			require.Equal(t, resource.GUID == r.Doctor, resource.Version == nil)
			require.Equal(t, resource.GUID == r.Doctor, resource.Active)
		}
		query = ""
		if page.Next != nil {
			query = "?limit=3&cursor=" + *page.Next
		}
	}
	require.Equal(t, want, got)
	r.ask(http.MethodGet, list+"?cursor=x", nil).RequireRefusal(t, "field_invalid")
}

// Promise: an object that no source has written has no version, and any version overwrites it.
func TestObjectsWithoutVersion(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	lpu, client := "/registry/lpus/"+r.To.String(), "/registry/clients/"+r.client.String()
	entity := r.legalEntity()
	none := harness.Fields{"Settings": []any{}}
	for path, content := range map[string]harness.Fields{
		"/registry/legal-entities/" + entity.String(): {"Name": "Новое"},
		lpu:                  {"LegalEntityGuid": entity, "Code": "2", "Name": "Новая", "TimeZone": "Asia/Omsk"},
		lpu + r.resource():   {"Kind": "doctor", "Name": "Новый", "SpecialityCode": "92"},
		lpu + "/settings":    none,
		"/registry/settings": none,
		client + "/settings": none,
		client + "/rights":   {"VisitDirection": 1, "VisitDirectionOtherLpu": 2, "OutOfSchedule": false},
	} {
		type versioned struct{ Version *int64 }
		require.Nil(t, harness.Decode[versioned](t, r.ask(http.MethodGet, path, nil)).Version, path)
		written := harness.Decode[api.ObjectResult](t, r.ask(http.MethodPut, path, withVersion(1, content)))
		require.True(t, written.Changed, path)
		require.Equal(t, int64(1), *harness.Decode[versioned](t, r.ask(http.MethodGet, path, nil)).Version, path)
	}
	read := harness.Decode[api.Lpu](t, r.ask(http.MethodGet, lpu, nil))
	require.Equal(t, "Asia/Omsk", read.TimeZone)
	require.Empty(t, read.Address, "a field that the write omits has its default")
}

// Promise: settings and rights decide the next booking. Without a setting, its default is in force.
func TestSettingsDecideBookings(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	put := func(path string, content harness.Fields) {
		harness.Decode[api.ObjectResult](t, r.ask(http.MethodPut, path, content))
	}
	client := "/registry/clients/" + harness.ClientGuid.String()
	rights := func(version, mask int) harness.Fields {
		return harness.Fields{
			"Version": version, "VisitDirection": 95, "VisitDirectionOtherLpu": mask, "OutOfSchedule": true,
		}
	}
	put(client+"/rights", rights(1, 0))
	r.TryBook().RequireRefusal(t, "slot_access_denied")
	put(client+"/rights", rights(2, 95))
	lpu := "/registry/lpus/" + r.To.String()
	for _, path := range []string{"/registry/settings", lpu + "/settings", client + "/settings"} {
		put(path, harness.Fields{"Version": 1, "Settings": []harness.Fields{{"Code": "scheduleDays", "Value": "0"}}})
		r.TryBook().RequireRefusal(t, "slot_beyond_horizon")
		put(path, harness.Fields{"Version": 2, "Settings": []any{}})
	}
	r.MustBook()
}

// Promise: settings and rights take effect at once in the instance that writes them, and what an
// owner cannot have is rejected by name.
func TestSettingsOverHTTP(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	settings := func(version int, pairs ...string) harness.Fields {
		list := []harness.Fields{}
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, harness.Fields{"Code": pairs[i], "Value": pairs[i+1]})
		}
		return harness.Fields{"Version": version, "Settings": list}
	}
	lpu := "/registry/lpus/" + r.To.String() + "/settings"
	client := "/registry/clients/" + r.client.String()
	const code = "scheduleDays"
	for _, path := range []string{lpu, "/registry/settings", client + "/settings"} {
		require.True(t, harness.Decode[api.ObjectResult](t, r.ask(http.MethodPut, path, settings(1, code,
			"0"))).Changed)
		again := harness.Decode[api.ObjectResult](t, r.ask(http.MethodPut, path, settings(1, code, "0")))
		require.False(t, again.Changed)
		r.ask(http.MethodPut, path, settings(1)).RequireRefusal(t, "version_conflict")
		read := harness.Decode[api.Settings](t, r.ask(http.MethodGet, path, nil))
		require.Equal(t, []api.Setting{{Code: code, Value: "0"}}, read.Settings)
		require.Equal(t, int64(1), *read.Version)
		for _, bad := range []harness.Fields{
			settings(2, "nonsense", "1"), settings(2, code, "1000"), settings(2, code, "01"),
			settings(2, code, "1", code, "2"),
		} {
			r.ask(http.MethodPut, path, bad).RequireRefusal(t, "field_invalid")
		}
	}
	ofRegion := settings(2, "OneActiveAppointmentPerSpeciality", "true")
	r.ask(http.MethodPut, lpu, ofRegion).RequireRefusal(t, "field_invalid")
	for _, unknown := range []string{"/registry/lpus/" + uuid.NewString() + "/settings"} {
		r.ask(http.MethodPut, unknown, settings(1)).RequireRefusal(t, "lpu_absent")
		r.ask(http.MethodGet, unknown, nil).RequireRefusal(t, "lpu_absent")
	}

	rights := harness.Fields{"Version": 1, "VisitDirection": 4, "VisitDirectionOtherLpu": 12, "OutOfSchedule": true}
	require.True(t, harness.Decode[api.ObjectResult](t, r.ask(http.MethodPut, client+"/rights", rights)).Changed)
	read := harness.Decode[api.ClientRights](t, r.ask(http.MethodGet, client+"/rights", nil))
	require.Equal(t, int32(12), read.VisitDirectionOtherLpu)
	for _, suffix := range []string{"/rights", "/settings"} {
		r.ask(http.MethodGet, "/registry/clients/"+uuid.NewString()+suffix, nil).RequireRefusal(t, "object_absent")
	}
}

// Promise: each operation needs its scope and its institution. Those of the region need all
// institutions.
func TestObjectsOfOthers(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	only := func(scope string, lpus ...uuid.UUID) string {
		scopes := []string{scope}
		return r.SystemToken(r.AddSystemClient(scopes, lpus...), scopes, lpus...)
	}
	inOther, inTarget, schedule := only("admin", r.From), only("admin", r.To), only("schedule:write", r.To)
	lpu := "/registry/lpus/" + r.To.String()
	for _, path := range []string{lpu, lpu + "/settings", lpu + "/resources", lpu + r.resource()} {
		r.AskAs(inOther, http.MethodGet, path, nil).RequireRefusal(t, "institution_foreign")
	}
	empty := harness.Fields{"Version": 1}
	for _, path := range []string{lpu, lpu + "/settings", lpu + r.resource()} {
		r.AskAs(inOther, http.MethodPut, path, empty).RequireRefusal(t, "institution_foreign")
		r.AskAs(r.Token(r.Person), http.MethodPut, path, empty).RequireRefusal(t, "token_invalid")
	}
	for _, path := range []string{lpu, lpu + r.resource()} {
		r.AskAs(inOther, http.MethodDelete, path+"?version=1", nil).RequireRefusal(t, "institution_foreign")
	}
	r.AskAs(schedule, http.MethodPut, lpu, empty).RequireRefusal(t, "scope_missing")
	r.AskAs(only("visit:read", r.To), http.MethodPut, lpu+r.resource(), empty).RequireRefusal(t, "scope_missing")
	for path, body := range map[string]harness.Fields{
		lpu + r.resource(): {"Version": 1, "Kind": "doctor", "Name": "Новый", "SpecialityCode": "92"},
		lpu + "/settings":  {"Version": 1, "Settings": []any{}},
	} {
		require.Equal(t, http.StatusOK, r.AskAs(inTarget, http.MethodPut, path, body).StatusCode)
	}
	require.Equal(t, http.StatusOK, r.AskAs(schedule, http.MethodDelete, lpu+r.resource()+"?version=2", nil).StatusCode)
	r.AskAs(schedule, http.MethodGet, lpu+"/settings", nil).RequireRefusal(t, "scope_missing")
	r.AskAs(schedule, http.MethodDelete, lpu+"?version=1", nil).RequireRefusal(t, "scope_missing")
	for _, path := range []string{
		"/registry/legal-entities/" + uuid.NewString(), "/registry/settings",
		"/registry/clients/" + r.client.String() + "/rights",
		"/registry/clients/" + r.client.String() + "/settings",
	} {
		r.AskAs(inTarget, http.MethodGet, path, nil).RequireRefusal(t, "institution_foreign")
		r.AskAs(inTarget, http.MethodPut, path, empty).RequireRefusal(t, "institution_foreign")
		r.AskAs(schedule, http.MethodGet, path, nil).RequireRefusal(t, "scope_missing")
	}
}

// Promise: a system that may act for an institution can bring it in itself.
func TestInstitutionBringsItselfIn(t *testing.T) {
	t.Parallel()
	r := startRegion(t)
	lpu, scopes := uuid.New(), []string{"admin"}
	own := r.SystemToken(r.AddSystemClient(scopes, lpu), scopes, lpu)
	path := "/registry/lpus/" + lpu.String()
	r.AskAs(own, http.MethodGet, path, nil).RequireRefusal(t, "lpu_absent")
	body := withVersion(1, r.objects()["institution"].content)
	require.True(t, harness.Decode[api.ObjectResult](t, r.AskAs(own, http.MethodPut, path, body)).Changed)
	require.Equal(t, "Новая", harness.Decode[api.Lpu](t, r.AskAs(own, http.MethodGet, path, nil)).Name)
	require.True(t, harness.Decode[api.ObjectResult](t, r.AskAs(own, http.MethodDelete, path+"?version=2",
		nil)).Changed)
	r.AskAs(own, http.MethodGet, path, nil).RequireRefusal(t, "lpu_absent")
}
