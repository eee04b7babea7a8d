package e2e_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// work returns the first page of the work list.
func (r *registrar) work(query string) []api.WorkItem {
	r.T.Helper()
	page := harness.Decode[api.WorkPage](r.T, r.send(http.MethodGet, "/work-list?"+query, nil))
	require.Nil(r.T, page.Next)
	return page.Items
}

// kinds returns the kinds of the items of the work list, in order.
func (r *registrar) kinds() []string {
	r.T.Helper()
	kinds := []string{}
	for _, item := range r.work("") {
		kinds = append(kinds, item.Kind)
	}
	return kinds
}

// bookAnother books a visit of a new patient, who is then that of the returned scene.
func (r *registrar) bookAnother(changes ...harness.Fields) (*harness.Scene, uuid.UUID) {
	r.T.Helper()
	other := *r.Scene
	other.Person, other.Direction = r.AddPatient()
	return &other, other.MustBook(changes...)
}

// Promise: a visit is in the work list as long as its cell is withdrawn, its resource is absent or
// its resource is not active. It leaves the list when the patient cancels or moves it, the absence
// is lifted, the cell is offered again, the resource is active again, or the visit begins.
func TestWorkList(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	visit := r.MustBook()
	second, moved := r.bookAnother(harness.Fields{"SlotId": harness.FirstSlotID + 1})
	_, complexVisit := r.bookAnother(harness.Fields{"SlotId": harness.FirstSlotID + 2, "Difficulty": 2})
	require.Empty(t, r.work(""))

	added := r.cell(6)
	r.mustPutDay(1, "keep", r.cell(2), added) // withdraws the cells 0, 1 and the second of the complex visit
	items := r.work("")
	require.Len(t, items, 3)
	require.Equal(t, api.WorkItem{
		Kind: "withdrawn", AppointmentGUID: visit, Start: items[0].Start, End: items[0].End, ResourceGUID: r.Doctor,
		SlotGuids: []uuid.UUID{r.Slots[0]}, DirectionGUID: r.Direction, MkabGUID: r.MkabTo,
	}, items[0])
	require.Equal(t, "2019-08-21T08:45:00+03:00", items[0].Start.Format(time.RFC3339))
	require.Equal(t, "2019-08-21T09:00:00+03:00", items[0].End.Format(time.RFC3339))
	require.Equal(t, moved, items[1].AppointmentGUID)
	require.Equal(t, complexVisit, items[2].AppointmentGUID)
	require.Len(t, items[2].SlotGuids, 2)
	require.Len(t, r.work("resourceGuid="+r.Doctor.String()), 3)
	require.Empty(t, r.work("resourceGuid="+uuid.NewString()))

	r.Cancel(r.Person, visit).RequireCancelled(t)
	require.Equal(t, 200, r.Move(second.Person, moved, harness.Fields{"SlotId": harness.FirstSlotID + 6}).StatusCode)
	require.Len(t, r.work(""), 1, "cancelled and moved")
	r.mustPutDay(2, "keep", r.cell(2), r.cell(3), added)
	require.Empty(t, r.work(""), "offered again")

	absence := uuid.New()
	r.putAbsence(absence, "2019-08-21T09:00:00+03:00", "2019-08-21T10:00:00+03:00").RequireRefusal(t, "")
	require.Equal(t, []string{"absence"}, r.kinds())
	r.Exec(`UPDATE resource SET active = false`)
	require.Equal(t, []string{"resource_inactive", "resource_inactive"}, r.kinds(), "it comes before the absence")
	r.Exec(`UPDATE resource SET active = true`)
	r.mustPutDay(3, "keep")
	require.Equal(t, []string{"withdrawn", "withdrawn"}, r.kinds(), "it comes before the absence")
	r.mustPutDay(4, "keep", r.cell(2), r.cell(3), added)
	r.send(http.MethodDelete, r.resource()+"/absences/"+absence.String(), nil).RequireRefusal(t, "")
	require.Empty(t, r.work(""), "lifted")

	r.Exec(`UPDATE resource SET active = false`)
	require.Len(t, r.work(""), 2)
	r.Exec(`UPDATE appointment SET start_at = $1 WHERE guid = $2`, harness.Moment.Add(-time.Second), complexVisit)
	require.Len(t, r.work(""), 1, "begun")
}

// Promise: a visit out of schedule is in the work list while its resource is absent at its time. A
// visit for a day is, while its resource is absent on that day, until that absence or the day is
// over.
func TestWorkListOutOfSchedule(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	_, timed := r.bookAnother(r.OutOfSchedule("2019-08-22T10:00:00+03:00"))
	_, today := r.bookAnother(r.OutOfSchedule("2019-08-20"))
	listed := func() (guids []uuid.UUID) {
		for _, item := range r.work("") {
			require.Equal(t, "absence", item.Kind)
			require.Empty(t, item.SlotGuids)
			guids = append(guids, item.AppointmentGUID)
		}
		return guids
	}
	for _, c := range []struct {
		from, to string
		want     []uuid.UUID
	}{
		{"2019-08-22T10:00:00+03:00", "2019-08-22T10:00:01+03:00", []uuid.UUID{timed}},
		{"2019-08-22T09:00:00+03:00", "2019-08-22T10:00:00+03:00", nil},
		{"2019-08-22T10:00:01+03:00", "2019-08-22T11:00:00+03:00", nil},
		{"2019-08-20T23:00:00+03:00", "2019-08-22T12:00:00+03:00", []uuid.UUID{today, timed}},
		{"2019-08-21T00:00:00+03:00", "2019-08-22T00:00:00+03:00", nil},
		{"2019-08-20T00:00:00+03:00", "2019-08-20T12:00:00+03:00", nil}, // it is over
	} {
		guid := uuid.New()
		r.putAbsence(guid, c.from, c.to).RequireRefusal(t, "")
		require.Equal(t, c.want, listed(), c.from)
		r.send(http.MethodDelete, r.resource()+"/absences/"+guid.String(), nil).RequireRefusal(t, "")
		require.Empty(t, listed())
	}
}

// Promise: the pages of the work list have each visit once, in the order of start and guid, also if
// many visits begin at the same time.
func TestWorkListPages(t *testing.T) {
	t.Parallel()
	r := startRegistrar(t)
	r.Exec(`UPDATE slot SET capacity = 9`)
	for i := range 7 {
		r.bookAnother(harness.Fields{"SlotId": harness.FirstSlotID + i%2})
	}
	r.mustPutDay(1, "keep")
	var keys []string
	query := "limit=2"
	for range 4 {
		page := harness.Decode[api.WorkPage](t, r.send(http.MethodGet, "/work-list?"+query, nil))
		for _, item := range page.Items {
			keys = append(keys, item.Start.Format(time.RFC3339)+item.AppointmentGUID.String())
		}
		if page.Next == nil {
			break
		}
		query = "limit=2&cursor=" + url.QueryEscape(*page.Next)
	}
	require.Len(t, keys, 7)
	require.IsIncreasing(t, keys)
	for _, query := range []string{"cursor=x", "limit=101", "resourceGuid=x", "resourceGuid=" + uuid.Nil.String()} {
		r.send(http.MethodGet, "/work-list?"+query, nil).RequireRefusal(t, "field_invalid")
	}
}
