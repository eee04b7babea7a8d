package e2e_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// source returns the state of the only schedule of the institution.
func (r *registrar) source() api.SourceStatus {
	r.T.Helper()
	page := harness.Decode[api.SourcePage](r.T, r.send(http.MethodGet, "/sources", nil))
	require.Len(r.T, page.Items, 1)
	require.EqualValues(r.T, 1, page.Summary.Resources)
	require.Equal(r.T, page.Items[0].ConfirmedAt, *page.Summary.OldestConfirmedAt)
	return page.Items[0]
}

// allCells are the four cells of the scene, as a message.
func (r *registrar) allCells() []harness.Fields {
	return []harness.Fields{r.cell(0), r.cell(1), r.cell(2), r.cell(3)}
}

// Promise: `displace` is rejected by its name on each of the three operations, and changes nothing.
func TestDisplaceIsNotSupported(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	before := r.Snapshot()
	for _, a := range []harness.Answer{
		r.putDay(1, "displace"),
		r.send(http.MethodPatch, "/slots/"+r.Slots[0].String(), harness.Fields{"Version": 1, "OnBooked": "displace"}),
		r.send(http.MethodPost, r.resource()+"/absences", harness.Fields{
			"AbsenceGuid": uuid.New(), "From": "2019-08-21T00:00:00+03:00", "To": "2019-08-22T00:00:00+03:00",
			"OnBooked": "displace",
		}),
	} {
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, "Поле OnBooked: вытеснение записей (displace) в этой версии еще не поддерживается", a.Refusal.Message)
		require.Equal(t, "not_supported", (*a.Refusal.Details.Fields)[0].Problem)
	}
	require.Equal(t, before, r.Snapshot())
}

// Promise: a message without OnBooked does what the institution's setting says, else the region's,
// else it keeps the visits. What the message says wins.
func TestOnBookedHasADefault(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	r.MustBook()
	without := func(version int) harness.Answer {
		return r.send(http.MethodPut, r.day(), harness.Fields{"Version": version, "Cells": []any{}})
	}
	absence := harness.Fields{
		"AbsenceGuid": uuid.New(), "From": "2019-08-21T00:00:00+03:00", "To": "2019-08-22T00:00:00+03:00",
	}
	change := harness.Fields{"Version": 9, "Capacity": 1, "Blocked": true}
	r.SetSetting(uuid.Nil, "OnBooked", "refuse")
	without(1).RequireRefusal(t, "cell_booked")
	r.send(http.MethodPost, r.resource()+"/absences", absence).RequireRefusal(t, "cell_booked")
	r.SetSetting(r.To, "OnBooked", "keep")
	without(1).RequireRefusal(t, "")
	r.SetSetting(r.To, "OnBooked", "refuse")
	without(2).RequireRefusal(t, "cell_booked")
	r.putDay(2, "keep").RequireRefusal(t, "")
	r.DeleteSetting("OnBooked")
	without(3).RequireRefusal(t, "")
	r.send(http.MethodPost, r.resource()+"/absences", absence).RequireRefusal(t, "")
	r.send(http.MethodPatch, "/slots/"+r.Slots[0].String(), change).RequireRefusal(t, "")
	r.RequireInvariants()
}

// Promise: where the setting is on, a schedule that was not confirmed for so many hours is closed.
// A booking, a check, a hold and a move are rejected by schedule_stale, the search does not offer
// its cells and says why. The same message again opens it. An absence confirms nothing. A schedule
// without a source and a visit out of schedule are not affected, nor is anything without the
// setting.
func TestStaleSchedule(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	r.SetSetting(r.To, "ScheduleFreshHours", "2")
	require.Len(t, r.Search(r.Person, "").IDs(t), 4, "without a source")
	r.putAbsence(uuid.New(), "2019-09-21T00:00:00+03:00", "2019-09-22T00:00:00+03:00").RequireRefusal(t, "")
	require.Len(t, r.Search(r.Person, "").IDs(t), 4, "an absence is no schedule")

	r.mustPutDay(1, "keep", r.allCells()...)
	r.Exec(`UPDATE schedule_source SET ` + harness.Shift("confirmed_at", "-interval '2 hours'"))
	visit := r.MustBook()
	require.Len(t, r.Search(r.Person, "appointmentGuid="+visit.String()).IDs(t), 3)

	r.Exec(`UPDATE schedule_source SET ` + harness.Shift("confirmed_at", "-interval '1 microsecond'"))
	other := *r.Scene
	other.Person, other.Direction = r.AddPatient()
	cell := harness.Fields{"SlotId": harness.FirstSlotID + 1}
	closed := func() {
		t.Helper()
		other.TryBook(cell).RequireRefusal(t, "schedule_stale")
		other.TryBook(cell, harness.Fields{"Difficulty": 2}).RequireRefusal(t, "schedule_stale")
		other.Hold(other.Person, r.Slots[1], other.HoldBody()).RequireRefusal(t, "schedule_stale")
		r.Move(r.Person, visit, cell).RequireRefusal(t, "schedule_stale")
		for _, query := range []string{"", "resourceGuid=" + r.Doctor.String(), "difficulty=2"} {
			a := other.Search(other.Person, query)
			require.Equal(t, "schedule_stale", a.RequireBlocked(t), query)
			require.Nil(t, a.Page.NextAvailable)
		}
		require.Equal(t, "schedule_stale", r.SearchForMove(visit, "").RequireBlocked(t))
		require.Equal(t, []string{
			"14527455 Unavailable schedule_stale", "14527456 Unavailable schedule_stale",
			"14527457 Unavailable schedule_stale", "14527458 Unavailable schedule_stale",
		}, other.Search(other.Person, "explain=true").Summaries(t))
		serving := r.Institutions(other.Direction, "Bearer "+r.Token(other.Person), "")
		require.Len(t, serving, 1)
		require.Equal(t, "schedule_stale", serving[0].BlockedBy.Rule)
	}
	closed()
	r.putAbsence(uuid.New(), "2019-10-21T00:00:00+03:00", "2019-10-22T00:00:00+03:00").RequireRefusal(t, "")
	r.putDay(1, "keep").RequireRefusal(t, "version_conflict")
	closed()
	r.SetSetting(r.To, "ScheduleFreshHours", "0")
	require.Len(t, other.Search(other.Person, "").IDs(t), 3)
	r.SetSetting(r.To, "ScheduleFreshHours", "2")

	out := *r.Scene
	out.Person, out.Direction = r.AddPatient()
	out.MustBook(out.OutOfSchedule("2019-08-22"))

	fresh := r.AddResourceLike("Врач Второй")
	r.AddSlot(fresh, 100, harness.Moment.AddDate(0, 0, 1), 1)
	require.Equal(t, []int{100}, other.Search(other.Person, "").IDs(t), "other schedules stay open")
	taken := *r.Scene
	taken.Person, taken.Direction = r.AddPatient()
	taken.MustBook(harness.Fields{"SlotId": 100})
	full := other.TryBook(harness.Fields{"SlotId": 100})
	full.RequireRefusal(t, "slot_full")
	require.Nil(t, full.Refusal.Details, "the nearest free cells are not in a stale schedule")

	unchanged := api.ScheduleResult{Unchanged: 4, Conflicts: []api.CellConflict{}}
	require.Equal(t, unchanged, r.mustPutDay(1, "keep", r.allCells()...))
	other.MustBook(cell)
	r.RequireInvariants()
}

// Promise: the state of a schedule has its version, when it was last confirmed, its open conflicts
// and its last rejected message, whatever kind of message that was. A resource without a schedule
// message has none.
func TestSourceStatus(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	page := harness.Decode[api.SourcePage](t, r.send(http.MethodGet, "/sources", nil))
	require.Equal(t, api.SourcePage{Items: []api.SourceStatus{}}, page)
	r.putDay(1, "refuse", r.cell(0), r.cell(0)).RequireRefusal(t, "field_invalid")
	require.Zero(t, r.Count(`SELECT count(*) FROM schedule_source`), "a rejected message makes no source")
	r.putAbsence(uuid.New(), "2019-09-21T00:00:00+03:00", "2019-09-22T00:00:00+03:00").RequireRefusal(t, "")
	page = harness.Decode[api.SourcePage](t, r.send(http.MethodGet, "/sources", nil))
	require.Empty(t, page.Items)

	r.mustPutDay(5, "refuse", r.allCells()...)
	r.AdvanceClock(90e9)
	status := r.source()
	require.Equal(t, r.Doctor, status.ResourceGUID)
	require.EqualValues(t, 5, status.Version)
	require.EqualValues(t, 90, status.LagSeconds)
	require.True(t, harness.Moment.Equal(status.ConfirmedAt))
	require.Zero(t, status.OpenConflicts)
	require.Nil(t, status.LastError)

	visit := r.MustBook()
	slot := "/slots/" + r.Slots[0].String()
	absence := harness.Fields{
		"AbsenceGuid": uuid.New(), "From": "2019-08-21T00:00:00+03:00", "To": "2019-08-22T00:00:00+03:00",
		"OnBooked": "refuse",
	}
	for _, c := range []struct {
		rule string
		a    func() harness.Answer
	}{
		{"version_stale", func() harness.Answer { return r.putDay(4, "refuse") }},
		{"version_conflict", func() harness.Answer { return r.putDay(5, "refuse") }},
		{"cell_booked", func() harness.Answer { return r.putDay(6, "refuse") }},
		{"field_invalid", func() harness.Answer { return r.putDay(6, "displace") }},
		{"version_stale", func() harness.Answer {
			return r.send(http.MethodPatch, slot, harness.Fields{"Version": 2, "Blocked": true})
		}},
		{"cell_booked", func() harness.Answer { return r.send(http.MethodPost, r.resource()+"/absences", absence) }},
	} {
		r.AdvanceClock(1e9)
		c.a().RequireRefusal(t, c.rule)
		status = r.source()
		require.Equal(t, c.rule, status.LastError.Rule)
		require.True(t, r.Now().Equal(status.LastError.At), c.rule)
		require.EqualValues(t, 5, status.Version)
		require.True(t, harness.Moment.Equal(status.ConfirmedAt), "a rejected message confirms nothing")
	}

	r.mustPutDay(6, "keep")
	status = r.source()
	require.EqualValues(t, 6, status.Version)
	require.EqualValues(t, 0, status.LagSeconds)
	require.EqualValues(t, 1, status.OpenConflicts)
	require.Equal(t, "cell_booked", status.LastError.Rule, "it stays until the next one")
	r.Cancel(r.Person, visit).RequireCancelled(t)
	require.Zero(t, r.source().OpenConflicts)
}

// Promise: the list of schedules has pages in the order of the resources' guids, and the summary of
// all on each.
func TestSourcePages(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	for i := range 5 {
		resource := r.AddResourceLike("Врач")
		r.Exec(`INSERT INTO schedule_source (lpu_guid, resource_guid, version, confirmed_at) VALUES ($1, $2, $3, $4)`,
			r.To, resource, i+1, harness.Moment.AddDate(0, 0, -i))
	}
	var guids []string
	cursor := ""
	for pages := 1; ; pages++ {
		page := harness.Decode[api.SourcePage](t, r.send(http.MethodGet, "/sources?limit=2"+cursor, nil))
		require.EqualValues(t, 5, page.Summary.Resources)
		require.True(t, harness.Moment.AddDate(0, 0, -4).Equal(*page.Summary.OldestConfirmedAt))
		for _, item := range page.Items {
			guids = append(guids, item.ResourceGUID.String())
		}
		if page.Next == nil {
			require.Equal(t, 3, pages)
			break
		}
		cursor = "&cursor=" + url.QueryEscape(*page.Next)
	}
	require.Len(t, guids, 5)
	require.IsIncreasing(t, guids)
	r.send(http.MethodGet, "/sources?cursor=x", nil).RequireRefusal(t, "field_invalid")
	r.send(http.MethodGet, "/sources?limit=0", nil).RequireRefusal(t, "field_invalid")
}

// Promise: both lists are open to the scopes that the contract names, in the institutions of the
// caller, and to no patient.
func TestStatusRights(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	token := func(scope string, lpus ...uuid.UUID) string {
		scopes := []string{scope}
		return r.SystemToken(r.AddSystemClient(scopes, lpus...), scopes, lpus...)
	}
	for path, scopes := range map[string]map[string]string{
		"/sources":   {"schedule:write": "", "admin": "", "visit:read": "scope_missing"},
		"/work-list": {"schedule:write": "", "visit:read": "", "admin": "scope_missing"},
	} {
		for scope, rule := range scopes {
			r.sendAs(token(scope, r.To), http.MethodGet, path, nil).RequireRefusal(t, rule)
			r.sendAs(token(scope, r.From, r.To), http.MethodGet, path, nil).RequireRefusal(t, rule)
		}
		r.sendAs(token("schedule:write", r.From), http.MethodGet, path, nil).RequireRefusal(t, "institution_foreign")
		r.sendAs(r.Token(r.Person), http.MethodGet, path, nil).RequireRefusal(t, "token_invalid")
		unknown := uuid.New()
		all := r.GetAs(token("schedule:write"), "/registry/lpus/"+unknown.String()+path)
		all.RequireRefusal(t, "lpu_absent")
	}
}
