package e2e_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// desk is the system of the scene's target institution, which reads and changes its visits.
type desk struct {
	*registrar
}

func startDesk(t testing.TB) *desk {
	t.Helper()
	sc := harness.Start(t).Scene()
	return &desk{&registrar{sc, sc.AddSystemClient([]string{"visit:read", "visit:write"}, sc.To), ""}}
}

// ask sends a request to the institution's visits. path begins after them.
func (c *desk) ask(method, path string, body any) harness.Answer {
	c.T.Helper()
	return c.askIn(c.To, method, path, body)
}

// askIn is ask for any institution.
func (c *desk) askIn(lpu uuid.UUID, method, path string, body any) harness.Answer {
	c.T.Helper()
	token := c.SystemToken(c.client, []string{"visit:read", "visit:write"}, c.To)
	return c.AskAs(token, method, "/clinic/lpus/"+lpu.String()+"/appointments"+path, body)
}

// list returns the guids of the visits in a page, and the page.
func (c *desk) list(query string) ([]uuid.UUID, api.VisitPage) {
	c.T.Helper()
	page := harness.Decode[api.VisitPage](c.T, c.ask(http.MethodGet, "?"+query, nil))
	guids := []uuid.UUID{}
	for i := range page.Items {
		guids = append(guids, page.Items[i].GUID)
	}
	return guids, page
}

func (c *desk) visit(guid uuid.UUID) api.Visit {
	c.T.Helper()
	return harness.Decode[api.Visit](c.T, c.ask(http.MethodGet, "/"+guid.String(), nil))
}

func (c *desk) confirm(guid uuid.UUID, version int64, status string, more ...harness.Fields) harness.Answer {
	c.T.Helper()
	body := harness.Fields{"Version": version, "Status": status}
	for _, fields := range more {
		maps.Copy(body, fields)
	}
	return c.ask(http.MethodPut, "/"+guid.String()+"/receipt", body)
}

func (c *desk) attend(guid uuid.UUID, attendance string) harness.Answer {
	c.T.Helper()
	return c.ask(http.MethodPut, "/"+guid.String()+"/attendance", harness.Fields{"Attendance": attendance})
}

// mustAttend requires that the attendance is set.
func (c *desk) mustAttend(guid uuid.UUID, attendance string) api.Visit {
	c.T.Helper()
	visit := harness.Decode[api.Visit](c.T, c.attend(guid, attendance))
	require.Equal(c.T, attendance, visit.Attendance.Value)
	return visit
}

// kinds returns the kinds of the items of the work list, in order.
func (c *desk) kinds() []string {
	c.T.Helper()
	c.token = c.SystemToken(c.client, []string{"visit:read"}, c.To)
	return c.registrar.kinds()
}

// direction returns the status of the scene's referral.
func (c *desk) direction() string {
	c.T.Helper()
	found := harness.Decode[api.PatientDirection](c.T, c.Get(c.Person, "/directions/"+c.Direction.String()))
	return found.Status
}

// firstStart is when the scene's first cell begins.
var firstStart = time.Date(2019, 8, 21, 8, 45, 0, 0, harness.Moment.Location())

// atVisit moves the clock to a time after the start of the first cell.
func (c *desk) atVisit(after time.Duration) { c.AdvanceClock(firstStart.Add(after).Sub(c.Now())) }

// startAt makes all visits start at a time.
func (c *desk) startAt(start time.Time) {
	end := start.Add(15 * time.Minute)
	c.Exec(`UPDATE appointment SET start_at = $1, end_at = $2`, start, end)
	c.Exec(`UPDATE direction SET appointment_start_at = $1, appointment_end_at = $2 WHERE appointment_guid IS NOT NULL`,
		start, end)
	c.Exec(`UPDATE speciality_claim SET start_at = $1, end_at = $2`, start, end)
}

// Promise: an institution sees all of its visits, in order of start, and no others. The filters
// select by day in its zone, resource, status and change.
func TestVisits(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	second, later := c.bookAnother(harness.Fields{"SlotId": harness.FirstSlotID + 1})
	first := c.MustBook(harness.Fields{"VisitComment": "После обеда"})
	elsewhere := c.AddTargetLpu()
	elsewhere.Person, elsewhere.Direction = c.AddPatient()
	elsewhere.AddMkab(elsewhere.To, uuid.New(), elsewhere.Person)
	foreign := elsewhere.MustBook()

	guids, page := c.list("")
	require.Equal(t, []uuid.UUID{first, later}, guids)
	require.Equal(t, c.visit(first), page.Items[0])
	seen := page.Items[0]
	require.Equal(t, c.To, seen.LpuGUID)
	require.Equal(t, []uuid.UUID{c.Slots[0]}, seen.SlotGuids)
	require.Equal(t, []uuid.UUID{c.Person, c.MkabTo, harness.ClientGuid, c.Doctor, c.Direction, c.From}, []uuid.UUID{
		seen.PersonGUID, seen.MkabGUID, seen.ClientGUID, seen.Resource.GUID, seen.Direction.GUID,
		seen.Direction.HolderLpuGUID,
	})
	require.Equal(t, "2019-08-21T08:45:00+03:00", seen.Start.Format(time.RFC3339))
	require.Equal(t, "После обеда", seen.Comment)
	require.Equal(t, int64(1), seen.Version)
	require.Nil(t, seen.Receipt)
	require.Nil(t, seen.Cancellation)
	require.Equal(t, api.Attendance{Value: "none"}, seen.Attendance)
	c.ask(http.MethodGet, "/"+foreign.String(), nil).RequireRefusal(t, "appointment_absent")
	c.ask(http.MethodGet, "/"+uuid.NewString(), nil).RequireRefusal(t, "appointment_absent")

	c.AdvanceClock(time.Minute)
	c.Cancel(second.Person, later, harness.Fields{"ReasonCode": 1}).RequireCancelled(t)
	require.Equal(t, int32(1), *c.visit(later).Cancellation.ReasonCode)
	for query, want := range map[string][]uuid.UUID{
		"dateFrom=2019-08-21&dateTo=2019-08-21": {first, later},
		"dateFrom=2019-08-22":                   {},
		"dateTo=2019-08-20":                     {},
		"status=Booked":                         {first},
		"status=Cancelled":                      {later},
		"status=Completed&status=Cancelled":     {later},
		"resourceGuid=" + c.Doctor.String():     {first, later},
		"resourceGuid=" + uuid.NewString():      {},
		"updatedSince=" + url.QueryEscape(c.Now().Add(2*time.Minute).Format(time.RFC3339)): {later},
		"updatedSince=2019-08-20T00:00:00Z":                                                {first, later},
		"updatedSince=2019-08-20T00:00:00Z&status=Booked":                                  {first},
		"updatedSince=2019-08-20T00:00:00Z&dateFrom=2019-08-22":                            {},
		"updatedSince=" + url.QueryEscape(c.Now().Add(time.Hour).Format(time.RFC3339)):     {},
	} {
		got, _ := c.list(query)
		require.Equal(t, want, got, query)
	}
}

// Promise: the pages of both orders have each visit once, and a cursor of one order is rejected by
// the other. A visit that changes while a reader follows the changes comes again.
func TestVisitPages(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	c.Exec(`UPDATE slot SET capacity = 9`)
	var booked []uuid.UUID
	var persons []*harness.Scene
	for i := range 5 {
		c.AdvanceClock(time.Second)
		person, visit := c.bookAnother(harness.Fields{"SlotId": harness.FirstSlotID + (5-i)%2})
		booked, persons = append(booked, visit), append(persons, person)
	}
	pages := func(query string, between func()) (guids []uuid.UUID) {
		next := query + "limit=2"
		for {
			page, body := c.list(next)
			guids = append(guids, page...)
			if body.Next == nil {
				return guids
			}
			between()
			next = query + "limit=2&cursor=" + url.QueryEscape(*body.Next)
		}
	}
	all := pages("", func() {})
	require.ElementsMatch(t, booked, all)
	require.Equal(t, all, pages("dateFrom=2019-08-21&dateTo=2019-08-21&", func() {}))
	const since = "updatedSince=2019-08-20T00:00:00Z&"
	require.Equal(t, booked, pages(since, func() {}), "in order of change")
	cancelled := false
	require.Equal(t, append(slices.Clone(booked), booked[0]), pages(since, func() {
		if !cancelled {
			c.AdvanceClock(time.Second)
			c.Cancel(persons[0].Person, booked[0]).RequireCancelled(t)
			cancelled = true
		}
	}))
	_, page := c.list("limit=2")
	c.ask(http.MethodGet, "?"+since+"cursor="+url.QueryEscape(*page.Next), nil).RequireRefusal(t, "field_invalid")
}

// Promise: a receipt confirms exactly the version that it names. The same receipt changes nothing,
// a move removes it, and a cancelled visit takes no new one.
func TestReceipt(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	visit := c.MustBook()
	before := c.visit(visit)
	c.AdvanceClock(time.Minute)
	accepted := harness.Decode[api.Visit](t, c.confirm(visit, 1, "accepted", harness.Fields{"Number": "А-104"}))
	require.Equal(t, &api.Receipt{Version: 1, Status: "accepted", Number: "А-104", At: accepted.Receipt.At}, accepted.Receipt)
	require.True(t, accepted.Receipt.At.Equal(c.Now().Truncate(time.Second)))
	require.Equal(t, before.UpdatedAt, accepted.UpdatedAt)
	require.Equal(t, before.Version, accepted.Version)
	c.AdvanceClock(time.Minute)
	require.Equal(t, accepted,
		harness.Decode[api.Visit](t, c.confirm(visit, 1, "accepted", harness.Fields{"Number": "А-104"})), "repeated")
	c.confirm(visit, 2, "accepted").RequireRefusal(t, "appointment_version_mismatch")
	rejected := harness.Decode[api.Visit](t, c.confirm(visit, 1, "rejected", harness.Fields{"Reason": "Карта закрыта"}))
	require.Equal(t, "rejected", rejected.Receipt.Status)
	require.Equal(t, "Карта закрыта", rejected.Receipt.Reason)

	require.Equal(t, 200, c.Move(c.Person, visit, harness.Fields{"SlotId": harness.FirstSlotID + 1}).StatusCode)
	require.Nil(t, c.visit(visit).Receipt)
	require.Equal(t, int64(2), c.visit(visit).Version)
	c.confirm(visit, 1, "accepted").RequireRefusal(t, "appointment_version_mismatch")
	c.confirm(visit, 2, "accepted").RequireRefusal(t, "")
	c.Cancel(c.Person, visit).RequireCancelled(t)
	c.confirm(visit, 3, "accepted").RequireRefusal(t, "appointment_not_active")
	c.confirm(visit, 2, "accepted").RequireRefusal(t, "") // was stored before the cancel
	require.Equal(t, "Cancelled", c.visit(visit).Status)
}

// Promise: with the setting, a visit without a receipt is in the work list, from so many minutes
// after it was booked or moved until it has one. A rejected visit is in it at once.
func TestReceiptsInWorkList(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	visit := c.MustBook()
	c.AdvanceClock(time.Hour)
	require.Empty(t, c.kinds(), "the institution gives no receipts")
	c.SetSetting(c.To, "ReceiptMinutes", "61")
	require.Empty(t, c.kinds())
	c.AdvanceClock(time.Minute)
	require.Equal(t, []string{"receipt_missing"}, c.kinds())
	c.confirm(visit, 1, "rejected", harness.Fields{"Reason": "Карта закрыта"}).RequireRefusal(t, "")
	require.Equal(t, []string{"receipt_rejected"}, c.kinds())
	c.SetSetting(c.To, "ReceiptMinutes", "0")
	require.Equal(t, []string{"receipt_rejected"}, c.kinds())
	c.confirm(visit, 1, "accepted").RequireRefusal(t, "")
	require.Empty(t, c.kinds())

	c.SetSetting(c.To, "ReceiptMinutes", "61")
	require.Equal(t, 200, c.Move(c.Person, visit, harness.Fields{"SlotId": harness.FirstSlotID + 1}).StatusCode)
	require.Empty(t, c.kinds())
	c.AdvanceClock(61 * time.Minute)
	require.Equal(t, []string{"receipt_missing"}, c.kinds())
	c.Exec(`UPDATE resource SET active = false`)
	require.Equal(t, []string{"resource_inactive"}, c.kinds(), "it comes before the receipt")
	c.Cancel(c.Person, visit).RequireCancelled(t)
	require.Empty(t, c.kinds())
}

// Promise: a visit is attended on its day, not before. An attendance can be corrected for a day;
// the step from arrived to fulfilled is allowed for 30 days. The same attendance changes nothing.
func TestAttendance(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	visit := c.MustBook()
	midnight := firstStart.Truncate(24 * time.Hour).Add(-3 * time.Hour) // of the day, in Moscow
	c.AdvanceClock(midnight.Sub(c.Now()) - time.Second)
	for _, attendance := range []string{"arrived", "fulfilled", "no_show"} {
		c.attend(visit, attendance).RequireRefusal(t, "attendance_early")
	}
	require.Equal(t, int64(1), c.mustAttend(visit, "none").Version, "nothing changes")
	c.AdvanceClock(time.Second)
	arrived := c.mustAttend(visit, "arrived")
	require.Equal(t, int64(2), arrived.Version)
	require.Equal(t, "Booked", arrived.Status)
	require.True(t, arrived.UpdatedAt.Equal(c.Now()) && arrived.Attendance.At.Equal(c.Now()))
	c.attend(visit, "no_show").RequireRefusal(t, "attendance_early")
	c.Cancel(c.Person, visit).RequireRefusal(t, "appointment_attended")
	c.Move(c.Person, visit, harness.Fields{"SlotId": harness.FirstSlotID + 1}).RequireRefusal(t, "appointment_attended")
	c.AdvanceClock(time.Hour)
	require.Equal(t, arrived, c.mustAttend(visit, "arrived"), "repeated")

	fulfilled := c.mustAttend(visit, "fulfilled")
	require.Equal(t, "Completed", fulfilled.Status)
	require.Equal(t, "Completed", c.direction(), "before the end of the visit")
	require.Equal(t, "Booked", c.mustAttend(visit, "arrived").Status)
	require.Equal(t, "Booked", c.direction())
	require.Equal(t, int64(5), c.mustAttend(visit, "none").Version)
	c.mustAttend(visit, "arrived") // a day from now on
	c.AdvanceClock(24*time.Hour + time.Second)
	c.attend(visit, "none").RequireRefusal(t, "attendance_final")
	c.attend(visit, "no_show").RequireRefusal(t, "attendance_final")
	c.mustAttend(visit, "fulfilled")
	c.attend(visit, "arrived").RequireRefusal(t, "attendance_final")

	_, untold := c.bookAnother(c.OutOfSchedule("2019-08-25T10:00:00+03:00"))
	c.AdvanceClock(time.Date(2019, 9, 24, 10, 0, 0, 0, firstStart.Location()).Sub(c.Now()))
	c.mustAttend(untold, "arrived")
	c.AdvanceClock(time.Second)
	c.attend(untold, "fulfilled").RequireRefusal(t, "attendance_final")
}

// Promise: a cancelled visit takes no attendance, and a visit for a day is missed when the day is
// over.
func TestAttendanceOfOtherVisits(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	cancelled := c.MustBook()
	c.Cancel(c.Person, cancelled).RequireCancelled(t)
	today := c.MustBook(c.OutOfSchedule("2019-08-20"))
	c.attend(today, "no_show").RequireRefusal(t, "attendance_early")
	c.mustAttend(today, "arrived")
	c.AdvanceClock(7 * time.Hour)
	c.mustAttend(today, "no_show")
	c.AdvanceClock(12 * time.Hour)
	c.attend(cancelled, "arrived").RequireRefusal(t, "appointment_not_active")
}

// Promise: a no-show frees the speciality, and by the setting the referral. Undone, it claims them
// again, unless another appointment has them.
func TestNoShow(t *testing.T) {
	t.Parallel()
	t.Run("uses up the referral", func(t *testing.T) {
		t.Parallel()
		c := startDesk(t)
		visit := c.MustBook()
		c.atVisit(time.Minute)
		require.Equal(t, "Completed", c.mustAttend(visit, "no_show").Status)
		require.Zero(t, c.Count(`SELECT count(*) FROM speciality_claim`))
		again := harness.Fields{"SlotId": harness.FirstSlotID + 2}
		c.TryBook(again).RequireRefusal(t, "direction_already_booked")
		c.mustAttend(visit, "none")
		require.Equal(t, 1, c.Count(`SELECT count(*) FROM speciality_claim WHERE appointment_guid = $1`, visit))
		c.mustAttend(visit, "no_show")
		require.Equal(t, "Booked", c.direction())
		c.AdvanceClock(15 * time.Minute)
		require.Equal(t, "Completed", c.direction(), "after the end of the visit")
	})
	t.Run("returns the referral", func(t *testing.T) {
		t.Parallel()
		c := startDesk(t)
		c.SetSetting(c.To, "NoShowReturnsReferral", "true")
		visit := c.MustBook()
		c.atVisit(time.Minute)
		c.mustAttend(visit, "no_show")
		require.Equal(t, "NotBooked", c.direction())
		c.mustAttend(visit, "fulfilled")
		require.Equal(t, "Completed", c.direction())
		require.Equal(t, 2, c.Count(`SELECT count(*) FROM direction WHERE appointment_guid = $1 AND completed_by_guid = $1`, visit))
		c.mustAttend(visit, "no_show")
		second := c.MustBook(harness.Fields{"SlotId": harness.FirstSlotID + 2})
		taken := c.attend(visit, "none")
		taken.RequireRefusal(t, "direction_already_booked")
		require.Equal(t, second, taken.Refusal.Details.Appointment.GUID)
		require.Equal(t, "no_show", c.visit(visit).Attendance.Value)
		c.Cancel(c.Person, second).RequireCancelled(t)
		c.mustAttend(visit, "arrived")
		require.Equal(t, "Booked", c.direction())
	})
	t.Run("has lost the speciality", func(t *testing.T) {
		t.Parallel()
		c := startDesk(t)
		visit := c.MustBook()
		c.atVisit(time.Minute)
		c.mustAttend(visit, "no_show")
		other := uuid.New()
		c.AddDirection(other, "Consult")
		second := c.MustBook(harness.Fields{"DirectionGuid": other, "SlotId": harness.FirstSlotID + 2})
		lost := c.attend(visit, "none")
		lost.RequireRefusal(t, "speciality_already_booked")
		require.Equal(t, second, lost.Refusal.Details.Appointment.GUID)
		c.AdvanceClock(15 * time.Minute)
		c.mustAttend(visit, "none") // it has ended
	})
	t.Run("transfers the speciality", func(t *testing.T) {
		t.Parallel()
		c := startDesk(t)
		visit := c.MustBook()
		c.SetSetting(uuid.Nil, "OneActiveAppointmentPerSpeciality", "false")
		other := uuid.New()
		c.AddDirection(other, "Consult")
		second := c.MustBook(harness.Fields{"DirectionGuid": other, "SlotId": harness.FirstSlotID + 1})
		c.atVisit(16 * time.Minute)
		c.mustAttend(second, "no_show")
		require.Zero(t, c.Count(`SELECT count(*) FROM speciality_claim WHERE appointment_guid = $1`, second))
		c.mustAttend(visit, "fulfilled")
	})
}

// Promise: each operation rejects a token without its scope, a foreign institution, a visit of
// another institution and bad input, and changes nothing.
func TestClinicRejections(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	visit := c.MustBook()
	elsewhere := c.AddTargetLpu()
	elsewhere.Person, elsewhere.Direction = c.AddPatient()
	elsewhere.AddMkab(elsewhere.To, uuid.New(), elsewhere.Person)
	foreign := elsewhere.MustBook()
	receipt := harness.Fields{"Version": 1, "Status": "accepted"}
	attendance := harness.Fields{"Attendance": "arrived"}
	cancellation := harness.Fields{"Initiator": "institution", "Reason": "doctor_absent"}
	one := func(guid uuid.UUID, path string) string { return "/" + guid.String() + path }
	for _, o := range []struct {
		method, path, foreign, scope, other string
		body                                any
	}{
		{http.MethodGet, "", "", "visit:read", "visit:write", nil},
		{http.MethodGet, one(visit, ""), one(foreign, ""), "visit:read", "visit:write", nil},
		{http.MethodPut, one(visit, "/receipt"), one(foreign, "/receipt"), "visit:write", "visit:read", receipt},
		{
			http.MethodPut, one(visit, "/attendance"), one(foreign, "/attendance"), "visit:write", "visit:read",
			attendance,
		},
		{
			http.MethodPut, one(visit, "/cancellation"), one(foreign, "/cancellation"), "visit:write", "visit:read",
			cancellation,
		},
	} {
		path := "/clinic/lpus/" + c.To.String() + "/appointments" + o.path
		without := c.SystemToken(c.client, []string{o.other}, c.To)
		c.AskAs(without, o.method, path, o.body).RequireRefusal(t, "scope_missing")
		c.AskAs(c.Token(c.Person), o.method, path, o.body).RequireRefusal(t, "token_invalid")
		c.askIn(elsewhere.To, o.method, o.foreign, o.body).RequireRefusal(t, "institution_foreign")
		if o.foreign != "" {
			c.ask(o.method, o.foreign, o.body).RequireRefusal(t, "appointment_absent")
		}
	}
	for _, query := range []string{
		"cursor=x", "limit=101", "limit=0", "resourceGuid=x", "resourceGuid=" + uuid.Nil.String(), "status=Unknown",
		"dateFrom=x", "dateFrom=2019-08-22&dateTo=2019-08-21", "updatedSince=2019-08-21", "updatedSince=x",
	} {
		c.ask(http.MethodGet, "?"+query, nil).RequireRefusal(t, "field_invalid")
	}
	for _, body := range []harness.Fields{
		{"Version": 0, "Status": "accepted"},
		{"Version": 1},
		{"Status": "accepted"},
		{"Version": 1, "Status": "unknown"},
		{"Version": 1, "Status": "rejected"},
		{"Version": 1, "Status": "rejected", "Reason": " \t\n"},
		{"Version": 1, "Status": "accepted", "Reason": "x"},
		{"Version": 1, "Status": "accepted", "Number": 104},
		{"Version": 1, "Status": "accepted", "Unknown": 1},
	} {
		c.ask(http.MethodPut, one(visit, "/receipt"), body).RequireRefusal(t, "field_invalid")
	}
	for _, body := range []harness.Fields{{}, {"Attendance": "came"}, {"Attendance": "arrived", "Unknown": 1}} {
		c.ask(http.MethodPut, one(visit, "/attendance"), body).RequireRefusal(t, "field_invalid")
	}
	for _, body := range []harness.Fields{
		{"Initiator": "institution"},
		{"Reason": "doctor_absent"},
		{"Initiator": "doctor", "Reason": "doctor_absent"},
		{"Initiator": "institution", "Reason": "unknown"},
		{"Initiator": "institution", "Reason": "patient_request"},
		{"Initiator": "patient", "Reason": "doctor_absent"},
		{"Initiator": "patient", "Reason": "equipment_failed"},
		{"Initiator": "patient", "Reason": "schedule_changed"},
		{"Initiator": "patient", "Reason": "institution_closed"},
		{"Initiator": "institution", "Reason": "other"},
		{"Initiator": "institution", "Reason": "other", "Text": " "},
		{"Initiator": "institution", "Reason": "other", "Text": strings.Repeat("я", 1001)},
		{"Initiator": "institution", "Reason": "doctor_absent", "Text": "\x00"},
		{"Initiator": "institution", "Reason": "doctor_absent", "Unknown": 1},
	} {
		c.ask(http.MethodPut, one(visit, "/cancellation"), body).RequireRefusal(t, "field_invalid")
	}
	c.ask(http.MethodGet, "/x", nil).RequireRefusal(t, "field_invalid")
	for path, body := range map[string]any{
		"/receipt": receipt, "/attendance": attendance, "/cancellation": cancellation,
	} {
		c.ask(http.MethodPut, one(uuid.Nil, path), body).RequireRefusal(t, "field_invalid")
	}
	require.Equal(t, int64(1), c.visit(visit).Version)
	require.Nil(t, c.visit(visit).Receipt)
}

// inParallel sends requests at the same time and returns their responses.
func inParallel(requests ...func() harness.Answer) []harness.Answer {
	answers := make([]harness.Answer, len(requests))
	var done sync.WaitGroup
	start := make(chan struct{})
	for i, send := range requests {
		done.Go(func() {
			<-start
			answers[i] = send()
		})
	}
	close(start)
	done.Wait()
	return answers
}

// succeeded returns whether the response has the status 200. Otherwise it must be a refusal by one
// of the rules.
func succeeded(t *testing.T, a harness.Answer, rules ...string) bool {
	t.Helper()
	if a.StatusCode != http.StatusOK {
		require.Contains(t, rules, a.Refusal.Rule, "%s", a.Raw)
	}
	return a.StatusCode == http.StatusOK
}

// Promise: of an attendance and the cancel or move of the same visit, which come at the same time,
// exactly one succeeds. Nothing deadlocks, and the tables satisfy the invariants.
func TestAttendanceRaces(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	c.SetSetting(c.To, "DeleteOldTime", "true")
	c.SetSetting(c.To, "NoShowReturnsReferral", "true")
	persons, directions := c.AddPatients(24)
	cells := c.AddSlots(len(persons))
	visits := make([]uuid.UUID, len(persons))
	for i, person := range persons {
		booked := c.Book(person, c.BookingBody(harness.Fields{
			"DirectionGuid": directions[i], "SlotId": nil, "SlotGuid": cells[i],
		}))
		require.Equal(t, 200, booked.StatusCode, "%s", booked.Raw)
		visits[i] = harness.AppointmentOf(booked).GUID
	}
	c.Exec(`UPDATE slot SET capacity = 50 WHERE guid = $1`, c.Slots[3])
	c.startAt(c.Now().Add(-time.Minute))
	wins := map[string]int{}
	for i, person := range persons {
		attendance := []string{"arrived", "fulfilled", "no_show"}[i%3]
		other, send := "cancel", func() harness.Answer { return c.Cancel(person, visits[i]) }
		if i%2 == 0 {
			other, send = "move", func() harness.Answer {
				return c.Move(person, visits[i], harness.Fields{"SlotId": harness.FirstSlotID + 3})
			}
		}
		answers := inParallel(func() harness.Answer { return c.attend(visits[i], attendance) }, send)
		attended := succeeded(t, answers[0], "appointment_not_active", "attendance_early")
		changed := succeeded(t, answers[1], "appointment_attended")
		require.NotEqual(t, attended, changed, "exactly one succeeds")
		if attended {
			require.Equal(t, attendance, c.visit(visits[i]).Attendance.Value)
			wins["attendance"]++
		} else {
			require.Equal(t, "none", c.visit(visits[i]).Attendance.Value)
			wins[other]++
		}
	}
	t.Log(wins)
	c.RequireInvariants()
}

// Promise: when a no-show is undone while its referral is booked again, exactly one of both has the
// referral. Attendances at the same time leave the claims of one of them.
func TestUndoneNoShowRaces(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	c.SetSetting(c.To, "NoShowReturnsReferral", "true")
	persons, directions := c.AddPatients(16)
	c.Exec(`UPDATE slot SET capacity = 50`)
	book := func(i, cell int) harness.Answer {
		return c.Book(persons[i], c.BookingBody(harness.Fields{
			"DirectionGuid": directions[i], "SlotId": harness.FirstSlotID + cell,
		}))
	}
	visits := make([]uuid.UUID, len(persons))
	for i := range persons {
		visits[i] = harness.AppointmentOf(book(i, 0)).GUID
	}
	c.atVisit(time.Minute)
	wins := map[bool]int{}
	for i := range persons {
		c.mustAttend(visits[i], "no_show")
		answers := inParallel(
			func() harness.Answer { return c.attend(visits[i], "none") },
			func() harness.Answer { return book(i, 2) },
		)
		undone := succeeded(t, answers[0], "direction_already_booked", "speciality_already_booked")
		booked := succeeded(t, answers[1], "direction_already_booked", "speciality_already_booked")
		require.NotEqual(t, undone, booked, "exactly one has the referral")
		wins[undone]++
		if undone {
			answers = inParallel(
				func() harness.Answer { return c.attend(visits[i], "fulfilled") },
				func() harness.Answer { return c.attend(visits[i], "no_show") },
				func() harness.Answer { return c.attend(visits[i], "arrived") },
			)
			for _, answer := range answers {
				require.True(t, succeeded(t, answer))
			}
		}
	}
	t.Log(wins)
	c.RequireInvariants()
	require.Zero(t, c.Count(`SELECT count(*) FROM direction d JOIN appointment a ON a.guid = d.appointment_guid
		WHERE (a.attendance = 'fulfilled') <> (d.completed_by_guid IS NOT DISTINCT FROM a.guid)`))
}

// Promise: of a receipt and a move of the same visit at the same time, the receipt is stored for
// the version before the move, which removes it, or rejected. It never belongs to another version.
func TestReceiptRaces(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	visit := c.MustBook()
	c.Exec(`UPDATE slot SET capacity = 50`)
	for i := range 16 {
		version := c.visit(visit).Version
		answers := inParallel(
			func() harness.Answer { return c.confirm(visit, version, "accepted") },
			func() harness.Answer {
				return c.Move(c.Person, visit, harness.Fields{"SlotId": harness.FirstSlotID + (i+1)%2})
			},
		)
		succeeded(t, answers[0], "appointment_version_mismatch")
		require.True(t, succeeded(t, answers[1]))
		now := c.visit(visit)
		require.Equal(t, version+1, now.Version)
		require.Nil(t, now.Receipt)
	}
	c.RequireInvariants()
}

// typesOf returns the types of events.
func typesOf(list []api.Event) (names []string) {
	for _, e := range list {
		names = append(names, e.Type)
	}
	return names
}

// Promise: each change of an attendance writes an event of the visit, and one of the referral if
// that changes. A repetition and a receipt write none.
func TestEventsOfAnAttendance(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	c.SetSetting(c.To, "NoShowReturnsReferral", "true")
	toBegin, fromBegin := c.startFollower(c.To).next, c.startFollower(c.From).next
	visit := c.MustBook()
	c.confirm(visit, 1, "accepted").RequireRefusal(t, "")
	c.atVisit(time.Minute)
	to, from := c.startFollower(c.To), c.startFollower(c.From) // the tokens from before have expired
	to.next, from.next = toBegin, fromBegin
	for _, attendance := range []string{"arrived", "fulfilled", "fulfilled", "arrived", "no_show", "none"} {
		c.mustAttend(visit, attendance)
	}
	list := to.follow(6)[1:] // without the booking
	require.Equal(t, []string{
		"appointment.arrived", "appointment.fulfilled", "appointment.arrived", "appointment.no_show",
		"appointment.unattended",
	}, typesOf(list))
	for i := range list {
		require.EqualValues(t, i+2, *list[i].Data.Version)
		require.Equal(t, visit.String(), list[i].Subject)
	}
	require.Equal(t, []string{
		"referral.booked", "referral.completed", "referral.booked", "referral.released", "referral.booked",
	}, typesOf(from.follow(5)))
	c.RequireInvariants()
}
