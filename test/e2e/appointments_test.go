package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// Promise: an appointment is returned with its referral, place and resource, in the zone of its
// institution, also when it is cancelled. The list and the single read return the same.
func TestAppointment(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE lpu SET time_zone = 'Asia/Vladivostok' WHERE guid = $1`, sc.To)
	sc.Exec(`UPDATE resource SET preparation = 'Приходите натощак.'`)
	guid := sc.MustBook(harness.Fields{"Difficulty": 2, "IsCito": true, "VisitComment": "после обеда"})
	document := func(status, update, cancellation string) string {
		return fmt.Sprintf(`{
			"guid": %q,
			"status": %q,
			"start": "2019-08-21T15:45:00+10:00",
			"end": "2019-08-21T16:15:00+10:00",
			"createTime": "2019-08-21T00:52:14+10:00",
			"updateTime": %q,
			"outOfSchedule": false,
			"isCito": true,
			"comment": "после обеда",
			"lpu": {
				"guid": "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9",
				"name": "Цель",
				"address": "г. Талонск, ул. Садовая, д. 7",
				"phone": "+7 000 555-01-02",
				"timeZone": "Asia/Vladivostok"
			},
			"resource": {
				"guid": "d0c70000-0000-4000-8000-000000000001",
				"kind": "doctor",
				"name": "Врач Терапевт",
				"room": "214",
				"specialityCode": "92"
			},
			"preparation": "Приходите натощак.",
			"direction": {
				"guid": "e714e964-d8a0-4776-b163-c708371c39a5",
				"holderLpuGuid": "e66e8056-f0bd-4ec3-85f7-28ff5b22db4f",
				"type": "Consult",
				"number": "47010157096",
				"speciality": {"code": "92", "name": ""}
			},
			"cancellation": %s,
			"move": null
		}`, guid, status, update, cancellation)
	}
	requireReturned := func(want string) {
		t.Helper()
		require.JSONEq(t, `{"items": [`+want+`], "next": null}`, sc.Get(sc.Person, "/appointments").Raw)
		require.JSONEq(t, want, sc.Get(sc.Person, "/appointments/"+strings.ToUpper(guid.String())).Raw)
	}
	requireReturned(document("Booked", "2019-08-21T00:52:14+10:00", "null"))
	sc.Exec(`UPDATE appointment SET cancelled_at = '2019-08-20T18:00:00.9+03', updated_at = '2019-08-20T18:00:00.9+03', cancel_reason_code = 6, cancel_reason = 'Заболел'`)
	requireReturned(document("Cancelled", "2019-08-21T01:00:00+10:00",
		`{"time": "2019-08-21T01:00:00+10:00", "reasonCode": 6, "reason": "Заболел", "initiator": null, "cause": null}`))
	sc.Exec(`UPDATE appointment SET cancel_reason_code = NULL, cancel_reason = NULL`)
	requireReturned(document("Cancelled", "2019-08-21T01:00:00+10:00",
		`{"time": "2019-08-21T01:00:00+10:00", "reasonCode": null, "reason": null, "initiator": null, "cause": null}`))
}

// Promise: the status is the one at the time of the request. The ETag changes with every field of
// the response, including those that change with time, and with nothing else.
func TestAppointmentETag(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	path := "/appointments/" + sc.MustBook().String()
	get := func(headers ...string) harness.Answer {
		t.Helper()
		request := sc.NewRequest(http.MethodGet, path, nil)
		request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		request.Header["If-None-Match"] = headers
		return sc.Do(request)
	}
	seen := map[string]string{}
	for _, change := range []struct{ sql, status string }{
		{`SELECT`, "Booked"},
		{`UPDATE appointment SET end_at = '2019-08-20T17:52:15+03', start_at = '2019-08-20T17:52+03'`, "Booked"},
		{`UPDATE appointment SET end_at = '2019-08-20T17:52:14+03'`, "Completed"},
		{`UPDATE appointment SET comment = 'x'`, "Completed"},
		{`UPDATE appointment SET is_cito = true`, "Completed"},
		{`UPDATE lpu SET name = 'Другое название'`, "Completed"},
		{`UPDATE lpu SET time_zone = 'Asia/Vladivostok'`, "Completed"},
		{`UPDATE resource SET name = 'Другой врач'`, "Completed"},
		{`UPDATE direction SET number = 'N-2'`, "Completed"},
		{`UPDATE appointment SET ` + harness.Shift("updated_at", "interval '1 second'"), "Completed"},
		{`UPDATE appointment SET cancelled_at = updated_at`, "Cancelled"},
		{`UPDATE appointment SET cancel_reason_code = 1`, "Cancelled"},
	} {
		sc.Exec(change.sql)
		a := get()
		require.Equal(t, change.status, harness.Decode[api.PatientAppointment](t, a).Status)
		tag := a.Header.Get("ETag")
		require.Empty(t, seen[tag], "%s does not change the ETag", change.sql)
		for old := range seen {
			require.Equal(t, http.StatusOK, get(old).StatusCode)
		}
		seen[tag] = change.sql
		for _, header := range []string{tag, "W/" + tag, "*", `"x", ` + tag, `"x",` + tag + `,"y"`} {
			unchanged := get(header)
			require.Equal(t, http.StatusNotModified, unchanged.StatusCode, header)
			require.Empty(t, unchanged.Raw)
			require.Equal(t, tag, unchanged.Header.Get("ETag"))
			require.NotEmpty(t, unchanged.Header.Get("X-Request-ID"))
		}
		for _, header := range []string{strings.Trim(tag, `"`), `"x"`, "x"} {
			require.Equal(t, http.StatusOK, get(header).StatusCode, header)
		}
	}
	for header, message := range map[string]string{
		"":                        "Поле If-None-Match: значение не указано",
		strings.Repeat("x", 1001): "Поле If-None-Match: длина должна быть не больше 1000 символов",
	} {
		a := get(header)
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, message, a.Refusal.Message)
	}
	require.Equal(t, "Поле If-None-Match: значение указано больше одного раза", get(`"x"`, `"y"`).Refusal.Message)
}

// Promise: for every page size, the pages together contain each appointment of the list once and in
// order, also while others are booked. Filters select from that list.
func TestAppointmentPages(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.MustBook()
	// Many have the same times, and some have the same guid in both institutions.
	sc.Exec(`INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
			out_of_schedule, is_cito, comment, created_at, updated_at, cancelled_at)
		SELECT lpu_guid, gen_random_uuid(), direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid,
			start_at - n / 5 * interval '12 hours', end_at - n / 5 * interval '12 hours', true, false, '',
			created_at, updated_at + n * interval '1 second', updated_at
		FROM appointment, generate_series(1, 40) n`)
	other := *sc
	other.From, other.To = sc.To, sc.From
	sc.Exec(`INSERT INTO resource SELECT $1, guid, kind, name, speciality_code FROM resource`, sc.From)
	sc.Exec(`INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
			out_of_schedule, is_cito, comment, created_at, updated_at, cancelled_at)
		SELECT $1, guid, direction_guid, direction_lpu_guid, $2, person_guid, resource_guid, client_guid, start_at, end_at, true, false, '', created_at, updated_at,
			CASE WHEN guid::text < '8' THEN updated_at END
		FROM appointment WHERE cancelled_at IS NOT NULL AND guid::text < '8'`, sc.From, sc.MkabFrom)
	sc.Exec(`UPDATE lpu SET time_zone = 'Asia/Kamchatka' WHERE guid = $1`, sc.From) // its evening visits are on the next day
	sc.Exec(testdb.IndexRows)
	all := sc.ListAppointments(sc.Person, "limit=100")
	require.Len(t, all, sc.Count(`SELECT count(*) FROM appointment`))
	type key struct{ lpu, guid uuid.UUID }
	seen := map[key]bool{}
	for i, a := range all {
		require.False(t, seen[key{a.Lpu.GUID, a.GUID}])
		seen[key{a.Lpu.GUID, a.GUID}] = true
		if i > 0 {
			require.False(t, a.Start.After(all[i-1].Start), "sorted by start, newest first")
		}
	}
	for _, limit := range []int{1, 7, len(all)} {
		require.Equal(t, all, sc.ListAppointments(sc.Person, fmt.Sprintf("limit=%d", limit)), "%d", limit)
	}
	require.Equal(t, all[:50], harness.Decode[api.AppointmentPage](t, sc.Get(sc.Person, "/appointments")).Items)

	// Changes of the two minutes before are found, too: their transactions may have ended later.
	changed := harness.Moment.Add(20 * time.Second)
	since := changed.Add(2 * time.Minute)
	for query, matches := range map[string]func(api.PatientAppointment) bool{
		"status=Booked": func(a api.PatientAppointment) bool {
			return a.Cancellation == nil
		},
		"status=Cancelled&status=Booked": func(api.PatientAppointment) bool {
			return true
		},
		"status=Completed": func(api.PatientAppointment) bool {
			return false
		},
		"directionGuid=" + sc.Direction.String(): func(api.PatientAppointment) bool {
			return true
		},
		"directionGuid=" + uuid.NewString(): func(api.PatientAppointment) bool {
			return false
		},
		"updatedSince=" + url.QueryEscape(since.Format(time.RFC3339)): func(a api.PatientAppointment) bool {
			return !a.UpdateTime.Before(changed)
		},
		"lpuGuid=" + sc.From.String(): func(a api.PatientAppointment) bool {
			return a.Lpu.GUID == sc.From
		},
		"dateFrom=2019-08-21": func(a api.PatientAppointment) bool {
			return a.Start.Format(time.DateOnly) >= "2019-08-21"
		},
		"dateTo=2019-08-20&lpuGuid=" + sc.To.String(): func(a api.PatientAppointment) bool {
			return a.Start.Format(time.DateOnly) <= "2019-08-20" && a.Lpu.GUID == sc.To
		},
		"dateFrom=2019-08-20&dateTo=2019-08-20": func(a api.PatientAppointment) bool {
			return a.Start.Format(time.DateOnly) == "2019-08-20"
		},
		"updatedSince=" + since.UTC().Format(time.RFC3339): func(a api.PatientAppointment) bool {
			return !a.UpdateTime.Before(changed)
		},
	} {
		var want []api.PatientAppointment
		for _, a := range all {
			if matches(a) {
				want = append(want, a)
			}
		}
		require.Equal(t, want, sc.ListAppointments(sc.Person, query+"&limit=9"), query)
	}

	// One is booked after the first page. It starts later than all others.
	first := harness.Decode[api.AppointmentPage](t, sc.Get(sc.Person, "/appointments?limit=3"))
	sc.AddSlots(1)
	examination := uuid.New()
	sc.AddDirection(examination, "Laboratory")
	sc.MustBook(harness.Fields{"DirectionGuid": examination, "DirectionType": "laboratory", "SlotId": 1})
	require.Equal(t, all[3:], sc.ListAppointments(sc.Person, "limit=100&cursor="+*first.Next))
	require.Len(t, sc.ListAppointments(sc.Person, ""), len(all)+1)
}

// Promise: the appointment of another person gets the same response as one that does not exist. A
// cursor returns only the caller's own list, and is rejected by the other list.
func TestAppointmentsOfOthers(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	guid := sc.MustBook()
	examination := uuid.New()
	sc.AddDirection(examination, "Laboratory")
	sc.MustBook(harness.Fields{
		"DirectionGuid": examination, "DirectionType": "laboratory", "SlotId": harness.FirstSlotID + 1,
	})
	page := harness.Decode[api.AppointmentPage](t, sc.Get(sc.Person, "/appointments?limit=1"))
	require.NotNil(t, page.Next)
	stranger := uuid.New()
	require.Empty(t, sc.ListAppointments(stranger, ""))
	require.Empty(t, sc.ListAppointments(stranger, "cursor="+*page.Next))
	require.Empty(t, sc.ListAppointments(stranger, "directionGuid="+sc.Direction.String()))
	sc.Get(sc.Person, "/directions?cursor="+*page.Next).RequireRefusal(t, "field_invalid")

	mine := sc.Get(sc.Person, "/appointments/"+guid.String())
	require.Equal(t, 200, mine.StatusCode, "%s", mine.Raw)
	responseBody := func(guid uuid.UUID) string {
		request := sc.NewRequest(http.MethodGet, "/appointments/"+guid.String(), nil)
		request.Header.Set("Authorization", "Bearer "+sc.Token(stranger))
		request.Header.Set("If-None-Match", mine.Header.Get("ETag")+", *")
		a := sc.Do(request)
		a.RequireRefusal(t, "appointment_absent")
		require.Equal(t, 404, a.StatusCode)
		require.Empty(t, a.Header.Get("ETag"))
		return strings.ReplaceAll(a.Raw, a.Refusal.RequestID.String(), "")
	}
	require.Equal(t, responseBody(uuid.New()), responseBody(guid))
}

// Promise: a parameter that breaks the contract is rejected with a Russian message that names it.
func TestBadParametersOfAppointments(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	const notAGuid = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	const notATime = "ожидается дата и время со смещением (2006-01-02T15:04:05+03:00)"
	for path, message := range map[string]string{
		"?limit=0":          "Поле limit: значение должно быть не меньше 1",
		"?limit=101":        "Поле limit: значение должно быть не больше 100",
		"?cursor=x":         "Поле cursor: ожидается значение next предыдущей страницы",
		"?status=NotBooked": "Поле status: ожидается одно из значений: Booked, Completed, Cancelled",
		"?status=":          "Поле status: значение не указано",
		"?" + strings.Repeat("status=Booked&", 4): "Поле status: значений должно быть не больше 3",
		"?directionGuid=x":                        "Поле directionGuid: " + notAGuid,
		"?directionGuid=":                         "Поле directionGuid: значение не указано",
		"?dateFrom=2019-08-22&dateTo=2019-08-21":  "Поле dateFrom: дата должна быть не позже dateTo",
		"?updatedSince=":                          "Поле updatedSince: значение не указано",
		"?updatedSince=2019-08-20":                "Поле updatedSince: " + notATime,
		"?updatedSince=2019-08-20T10:00:00":       "Поле updatedSince: " + notATime,
		// An unescaped plus is a space.
		"?updatedSince=2019-08-20T10:00:00+03:00":                              "Поле updatedSince: " + notATime,
		"?updatedSince=2019-02-30T10:00:00Z":                                   "Поле updatedSince: " + notATime,
		"?updatedSince=2019-08-20T25:00:00Z":                                   "Поле updatedSince: " + notATime,
		"?updatedSince=2019-08-20T23:59:60Z":                                   "Поле updatedSince: " + notATime,
		"?updatedSince=2019-08-20T10:00:00Z&updatedSince=2019-08-20T10:00:00Z": "Поле updatedSince: значение указано больше одного раза",
		"/x":   "Поле appointmentGuid: " + notAGuid,
		"/%00": "Поле appointmentGuid: недопустимые символы",
	} {
		t.Run(path, func(t *testing.T) {
			a := sc.Get(sc.Person, "/appointments"+path)
			require.Equal(t, 400, a.StatusCode, "%s", a.Raw)
			a.RequireRefusal(t, "field_invalid")
			require.Equal(t, message, a.Refusal.Message)
		})
	}
	for _, since := range []string{"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999-23:59"} {
		require.Empty(t, sc.ListAppointments(sc.Person, "updatedSince="+since))
	}
	for _, path := range []string{"/appointments", "/appointments/" + uuid.NewString()} {
		sc.Do(sc.NewRequest(http.MethodGet, path, nil)).RequireRefusal(t, "token_missing")
	}
}

// Promise: a client that lost the response to a booking can find out whether the booking was made.
func TestLostResponseCanBeLookedUp(t *testing.T) {
	t.Parallel()
	t.Run("response lost after the commit", func(t *testing.T) {
		t.Parallel()
		sc := harness.Start(t).Scene()
		target, err := url.Parse(sc.URL)
		require.NoError(t, err)
		proxy := httputil.NewSingleHostReverseProxy(target)
		// Closes the connection instead of sending the response.
		proxy.ModifyResponse = func(*http.Response) error { panic(http.ErrAbortHandler) }
		lossy := httptest.NewServer(proxy)
		t.Cleanup(lossy.Close)
		body, err := json.Marshal(sc.BookingBody())
		require.NoError(t, err)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, lossy.URL+"/appointments",
			strings.NewReader(string(body)))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		_, err = harness.HTTPClient.Do(request)
		require.Error(t, err)

		found := sc.ListAppointments(sc.Person, "status=Booked&directionGuid="+sc.Direction.String())
		require.Len(t, found, 1)
		require.Equal(t, sc.Slots[0], sc.SlotOf(found[0].GUID))
		sc.TryBook().RequireRefusal(t, "direction_already_booked")
	})
	t.Run("client hangs up and service stops before the commit", func(t *testing.T) {
		t.Parallel()
		sc := harness.Start(t).Scene()
		sc.HangUpAndStop()
		sc.Service = harness.StartOn(t, string(sc.Config.DatabaseURL))
		require.Empty(t, sc.ListAppointments(sc.Person, "directionGuid="+sc.Direction.String()))
		guid := sc.MustBook()
		require.Equal(t, guid, sc.ListAppointments(sc.Person, "directionGuid="+sc.Direction.String())[0].GUID)
	})
	t.Run("connection lost during the commit", func(t *testing.T) {
		t.Parallel()
		sc := harness.Start(t).Scene()
		sc.AddTrigger(`CONSTRAINT TRIGGER fault AFTER INSERT ON appointment DEFERRABLE INITIALLY DEFERRED`, `PERFORM FROM legal_entity FOR UPDATE; RETURN NULL;`)
		tx := sc.Begin()
		_, err := tx.Exec(t.Context(), `SELECT FROM legal_entity FOR UPDATE`)
		require.NoError(t, err)
		answers := make(chan harness.Answer, 1)
		go func() { answers <- sc.TryBook() }()
		sc.WaitForBlocked()
		sc.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name = 'talon' AND datname = current_database() AND state = 'active' AND query = 'commit'`)
		(<-answers).RequireRefusal(t, "database_unavailable")
		require.NoError(t, tx.Rollback(t.Context()))
		require.Empty(t, sc.ListAppointments(sc.Person, "directionGuid="+sc.Direction.String()))
		sc.MustBook()
		require.Len(t, sc.ListAppointments(sc.Person, "directionGuid="+sc.Direction.String()), 1)
	})
	t.Run("many clients hang up", func(t *testing.T) {
		t.Parallel()
		sc := harness.Start(t, func(c *app.Config) { c.Timeout = time.Minute }).Scene()
		sc.AddSlots(harness.Contenders)
		var clients sync.WaitGroup
		persons, directions := sc.AddPatients(harness.Contenders)
		for i, person := range persons {
			direction := directions[i]
			clients.Go(func() {
				query := "status=Booked&directionGuid=" + direction.String()
				sc.BookWithRandomTimeout(person, direction, i+1)
				before := sc.ListAppointments(person, query)
				a := sc.Book(person, sc.BookingBody(harness.Fields{"DirectionGuid": direction, "SlotId": i + 1}))
				switch {
				case a.StatusCode == http.StatusOK:
					require.Empty(t, before, "no visit before the booking that succeeded")
				case len(before) == 0: // the first booking was still running and took the cell or the referral
					a.RequireAnyRefusal(t, "direction_already_booked", "slot_full", "slot_taken")
				default:
					a.RequireRefusal(t, "direction_already_booked")
				}
				require.Eventually(t, func() bool {
					after := sc.ListAppointments(person, query)
					return len(after) == 1 && (len(before) == 0 || before[0].GUID == after[0].GUID)
				}, time.Minute, 10*time.Millisecond)
			})
		}
		clients.Wait()
		require.Equal(t, harness.Contenders, sc.Count(`SELECT count(*) FROM appointment`))
		sc.RequireInvariants()
	})
}
