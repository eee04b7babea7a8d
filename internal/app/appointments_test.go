package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
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
	"pgregory.net/rapid"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/testdb"
)

// appointments reads all pages of the person's appointments.
func (s *service) appointments(person uuid.UUID, query string) []api.PatientAppointment {
	s.t.Helper()
	var all []api.PatientAppointment
	for cursor := ""; ; {
		page := as[api.AppointmentPage](s.t, s.get(person, "/appointments?"+query+cursor))
		all = append(all, page.Items...)
		if page.Next == nil {
			return all
		}
		cursor = "&cursor=" + *page.Next
	}
}

// booked is the guid of the appointment that an answer tells of.
func (a answer) booked(t testing.TB) uuid.UUID {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.raw)
	if a.body.LaboratoryDirection != nil {
		return a.body.LaboratoryDirection.Appointment.GUID
	}
	return a.body.ConsultDirection.Appointment.GUID
}

// Promise: an appointment is shown with its referral, place and resource, in the zone of its institution, cancelled too; list and guid show the same.
func TestAppointment(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`UPDATE lpu SET time_zone = 'Asia/Vladivostok' WHERE guid = $1`, sc.to)
	guid := sc.attempt(fields{"Difficulty": 2, "IsCito": true, "VisitComment": "после обеда"}).booked(t)
	shown := func(status, update, cancellation string) string {
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
			"lpu": {"guid": "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9", "name": "Цель", "timeZone": "Asia/Vladivostok"},
			"resource": {"guid": "d0c70000-0000-4000-8000-000000000001", "kind": "doctor", "name": "Врач Терапевт", "specialityCode": "92"},
			"direction": {
				"guid": "e714e964-d8a0-4776-b163-c708371c39a5",
				"holderLpuGuid": "e66e8056-f0bd-4ec3-85f7-28ff5b22db4f",
				"type": "Consult",
				"number": "47010157096",
				"speciality": {"code": "92", "name": ""}
			},
			"cancellation": %s
		}`, guid, status, update, cancellation)
	}
	requireShown := func(wants string) {
		t.Helper()
		require.JSONEq(t, `{"items": [`+wants+`], "next": null}`, sc.get(sc.person, "/appointments").raw)
		require.JSONEq(t, wants, sc.get(sc.person, "/appointments/"+strings.ToUpper(guid.String())).raw)
	}
	requireShown(shown("Booked", "2019-08-21T00:52:14+10:00", "null"))
	sc.exec(`UPDATE appointment SET cancelled_at = '2019-08-20T18:00:00.9+03', updated_at = '2019-08-20T18:00:00.9+03', cancel_reason_code = 6, cancel_reason = 'Заболел'`)
	requireShown(shown("Cancelled", "2019-08-21T01:00:00+10:00", `{"time": "2019-08-21T01:00:00+10:00", "reasonCode": 6, "reason": "Заболел"}`))
	sc.exec(`UPDATE appointment SET cancel_reason_code = NULL, cancel_reason = NULL`)
	requireShown(shown("Cancelled", "2019-08-21T01:00:00+10:00", `{"time": "2019-08-21T01:00:00+10:00", "reasonCode": null, "reason": null}`))
}

// Promise: the status is that of the moment; ETag changes with all that is shown, also with what the clock changes, and says so only then.
func TestAppointmentETag(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	path := "/appointments/" + sc.attempt().booked(t).String()
	ask := func(headers ...string) answer {
		t.Helper()
		request := sc.service.request(http.MethodGet, path, nil)
		request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
		request.Header["If-None-Match"] = headers
		return sc.do(request)
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
		{`UPDATE appointment SET updated_at = updated_at + interval '1 second'`, "Completed"},
		{`UPDATE appointment SET cancelled_at = updated_at`, "Cancelled"},
		{`UPDATE appointment SET cancel_reason_code = 1`, "Cancelled"},
	} {
		sc.run(change.sql)
		a := ask()
		require.EqualValues(t, change.status, as[api.PatientAppointment](t, a).Status)
		tag := a.Header.Get("ETag")
		require.Empty(t, seen[tag], "%s changes nothing", change.sql)
		for old := range seen {
			require.Equal(t, http.StatusOK, ask(old).StatusCode)
		}
		seen[tag] = change.sql
		for _, header := range []string{tag, "W/" + tag, "*", `"x", ` + tag, `"x",` + tag + `,"y"`} {
			unchanged := ask(header)
			require.Equal(t, http.StatusNotModified, unchanged.StatusCode, header)
			require.Empty(t, unchanged.raw)
			require.Equal(t, tag, unchanged.Header.Get("ETag"))
			require.NotEmpty(t, unchanged.Header.Get("X-Request-ID"))
		}
		for _, header := range []string{strings.Trim(tag, `"`), `"x"`, "x"} {
			require.Equal(t, http.StatusOK, ask(header).StatusCode, header)
		}
	}
	for header, message := range map[string]string{
		"":                        "Поле If-None-Match: значение не указано",
		strings.Repeat("x", 1001): "Поле If-None-Match: длина должна быть не больше 1000 символов",
	} {
		a := ask(header)
		a.requireRefusal(t, "field_invalid")
		require.Equal(t, message, a.error.Message)
	}
	require.Equal(t, "Поле If-None-Match: значение указано больше одного раза", ask(`"x"`, `"y"`).error.Message)
}

// Promise: whatever the size of the pages, all of them together are the list, once and in order, also while others are booked; the filters choose from it.
func TestAppointmentPages(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.attempt().booked(t)
	// Many at the same times, and the same guids in both institutions.
	sc.exec(`INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
			out_of_schedule, is_cito, comment, created_at, updated_at, cancelled_at)
		SELECT lpu_guid, gen_random_uuid(), direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid,
			start_at - n / 5 * interval '12 hours', end_at - n / 5 * interval '12 hours', true, false, '', created_at, updated_at + n * interval '1 second', updated_at
		FROM appointment, generate_series(1, 40) n`)
	other := *sc
	other.from, other.to = sc.to, sc.from
	sc.exec(`INSERT INTO resource SELECT $1, guid, kind, name, speciality_code FROM resource`, sc.from)
	sc.exec(`INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at,
			out_of_schedule, is_cito, comment, created_at, updated_at, cancelled_at)
		SELECT $1, guid, direction_guid, direction_lpu_guid, $2, person_guid, resource_guid, client_guid, start_at, end_at, true, false, '', created_at, updated_at,
			CASE WHEN guid::text < '8' THEN updated_at END
		FROM appointment WHERE cancelled_at IS NOT NULL AND guid::text < '8'`, sc.from, sc.mkabFrom)
	sc.exec(testdb.IndexRows)
	all := sc.appointments(sc.person, "limit=100")
	require.Len(t, all, sc.count(`SELECT count(*) FROM appointment`))
	type key struct{ lpu, guid uuid.UUID }
	seen := map[key]bool{}
	for i, a := range all {
		require.False(t, seen[key{a.Lpu.GUID, a.GUID}])
		seen[key{a.Lpu.GUID, a.GUID}] = true
		if i > 0 {
			require.False(t, a.Start.After(all[i-1].Start), "the newest start first")
		}
	}
	for _, limit := range []int{1, 7, len(all)} {
		require.Equal(t, all, sc.appointments(sc.person, fmt.Sprintf("limit=%d", limit)), "%d", limit)
	}
	require.Equal(t, all[:20], as[api.AppointmentPage](t, sc.get(sc.person, "/appointments")).Items)

	since := moment.Add(20 * time.Second)
	for query, wants := range map[string]func(api.PatientAppointment) bool{
		"status=Booked":                                               func(a api.PatientAppointment) bool { return a.Cancellation == nil },
		"status=Cancelled&status=Booked":                              func(api.PatientAppointment) bool { return true },
		"status=Completed":                                            func(api.PatientAppointment) bool { return false },
		"directionGuid=" + sc.direction.String():                      func(api.PatientAppointment) bool { return true },
		"directionGuid=" + uuid.NewString():                           func(api.PatientAppointment) bool { return false },
		"updatedSince=" + url.QueryEscape(since.Format(time.RFC3339)): func(a api.PatientAppointment) bool { return !a.UpdateTime.Before(since) },
		"updatedSince=" + since.UTC().Format(time.RFC3339):            func(a api.PatientAppointment) bool { return !a.UpdateTime.Before(since) },
	} {
		var want []api.PatientAppointment
		for _, a := range all {
			if wants(a) {
				want = append(want, a)
			}
		}
		require.Equal(t, want, sc.appointments(sc.person, query+"&limit=9"), query)
	}

	// One is booked after the first page, for later than all of them.
	first := as[api.AppointmentPage](t, sc.get(sc.person, "/appointments?limit=3"))
	sc.addSlots(1)
	examination := uuid.New()
	sc.addDirection(examination, "Laboratory")
	sc.attempt(fields{"DirectionGuid": examination, "DirectionType": "laboratory", "SlotId": 1}).booked(t)
	require.Equal(t, all[3:], sc.appointments(sc.person, "limit=100&cursor="+*first.Next))
	require.Len(t, sc.appointments(sc.person, ""), len(all)+1)
}

// Promise: another person's appointment is answered exactly as one that does not exist; a cursor shows nobody's list but one's own, and serves one list only.
func TestAppointmentsOfOthers(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	guid := sc.attempt().booked(t)
	examination := uuid.New()
	sc.addDirection(examination, "Laboratory")
	sc.attempt(fields{"DirectionGuid": examination, "DirectionType": "laboratory", "SlotId": firstSlotID + 1}).booked(t)
	page := as[api.AppointmentPage](t, sc.get(sc.person, "/appointments?limit=1"))
	require.NotNil(t, page.Next)
	stranger := uuid.New()
	require.Empty(t, sc.appointments(stranger, ""))
	require.Empty(t, sc.appointments(stranger, "cursor="+*page.Next))
	require.Empty(t, sc.appointments(stranger, "directionGuid="+sc.direction.String()))
	sc.get(sc.person, "/directions?cursor="+*page.Next).requireRefusal(t, "field_invalid")

	mine := sc.get(sc.person, "/appointments/"+guid.String())
	require.Equal(t, 200, mine.StatusCode, "%s", mine.raw)
	body := func(guid uuid.UUID) string {
		request := sc.service.request(http.MethodGet, "/appointments/"+guid.String(), nil)
		request.Header.Set("Authorization", "Bearer "+sc.token(stranger))
		request.Header.Set("If-None-Match", mine.Header.Get("ETag")+", *")
		a := sc.do(request)
		a.requireRefusal(t, "appointment_absent")
		require.Equal(t, 404, a.StatusCode)
		require.Empty(t, a.Header.Get("ETag"))
		return strings.ReplaceAll(a.raw, a.error.RequestID.String(), "")
	}
	require.Equal(t, body(uuid.New()), body(guid))
}

// Promise: a parameter that breaks the contract is refused in Russian, by its name.
func TestBadParametersOfAppointments(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	const notAGuid = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	const notATime = "ожидается дата и время со смещением (2006-01-02T15:04:05+03:00)"
	for path, message := range map[string]string{
		"?limit=0":          "Поле limit: значение должно быть не меньше 1",
		"?limit=101":        "Поле limit: значение должно быть не больше 100",
		"?cursor=x":         "Поле cursor: ожидается значение next предыдущей страницы",
		"?status=NotBooked": "Поле status: ожидается одно из значений: Booked, Completed, Cancelled",
		"?status=":          "Поле status: значение не указано",
		"?" + strings.Repeat("status=Booked&", 4):                              "Поле status: значений должно быть не больше 3",
		"?directionGuid=x":                                                     "Поле directionGuid: " + notAGuid,
		"?directionGuid=":                                                      "Поле directionGuid: значение не указано",
		"?updatedSince=":                                                       "Поле updatedSince: значение не указано",
		"?updatedSince=2019-08-20":                                             "Поле updatedSince: " + notATime,
		"?updatedSince=2019-08-20T10:00:00":                                    "Поле updatedSince: " + notATime,
		"?updatedSince=2019-08-20T10:00:00+03:00":                              "Поле updatedSince: " + notATime, // the plus is a space
		"?updatedSince=2019-02-30T10:00:00Z":                                   "Поле updatedSince: " + notATime,
		"?updatedSince=2019-08-20T25:00:00Z":                                   "Поле updatedSince: " + notATime,
		"?updatedSince=2019-08-20T23:59:60Z":                                   "Поле updatedSince: " + notATime,
		"?updatedSince=2019-08-20T10:00:00Z&updatedSince=2019-08-20T10:00:00Z": "Поле updatedSince: значение указано больше одного раза",
		"/x":   "Поле appointmentGuid: " + notAGuid,
		"/%00": "Поле appointmentGuid: недопустимые символы",
	} {
		t.Run(path, func(t *testing.T) {
			a := sc.get(sc.person, "/appointments"+path)
			require.Equal(t, 400, a.StatusCode, "%s", a.raw)
			a.requireRefusal(t, "field_invalid")
			require.Equal(t, message, a.error.Message)
		})
	}
	for _, since := range []string{"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999-23:59"} {
		require.Empty(t, sc.appointments(sc.person, "updatedSince="+since))
	}
	for _, path := range []string{"/appointments", "/appointments/" + uuid.NewString()} {
		sc.do(sc.service.request(http.MethodGet, path, nil)).requireRefusal(t, "token_missing")
	}
}

// Promise: whoever has lost the answer to a booking is told whether it happened.
func TestDidItHappen(t *testing.T) {
	t.Parallel()
	t.Run("the answer is lost after the commit", func(t *testing.T) {
		t.Parallel()
		sc := start(t).scene()
		target, err := url.Parse(sc.url)
		require.NoError(t, err)
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.ModifyResponse = func(*http.Response) error { panic(http.ErrAbortHandler) } // it hangs up on the client instead of answering
		lossy := httptest.NewServer(proxy)
		t.Cleanup(lossy.Close)
		body, err := json.Marshal(sc.request())
		require.NoError(t, err)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, lossy.URL+"/appointments", strings.NewReader(string(body)))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
		_, err = httpClient.Do(request)
		require.Error(t, err)

		found := sc.appointments(sc.person, "status=Booked&directionGuid="+sc.direction.String())
		require.Len(t, found, 1)
		require.Equal(t, sc.slots[0], sc.slotOf(found[0].GUID))
		sc.attempt().requireRefusal(t, "direction_already_booked")
	})
	t.Run("the client hangs up and the service ends before the commit", func(t *testing.T) {
		t.Parallel()
		sc := start(t).scene()
		sc.goAway()
		sc.service = startOn(t, string(sc.config.DatabaseURL))
		require.Empty(t, sc.appointments(sc.person, "directionGuid="+sc.direction.String()))
		guid := sc.attempt().booked(t)
		require.Equal(t, guid, sc.appointments(sc.person, "directionGuid="+sc.direction.String())[0].GUID)
	})
	t.Run("the connection dies in the commit", func(t *testing.T) {
		t.Parallel()
		sc := start(t).scene()
		sc.run(`CREATE FUNCTION dally() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM legal_entity FOR UPDATE; RETURN NULL; END $$;
			CREATE CONSTRAINT TRIGGER dally AFTER INSERT ON appointment DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dally()`)
		tx, err := sc.db.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), `SELECT FROM legal_entity FOR UPDATE`)
		require.NoError(t, err)
		answers := make(chan answer, 1)
		go func() { answers <- sc.attempt() }()
		sc.waitForBlocked(tx)
		sc.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))`, tx.Conn().PgConn().PID())
		(<-answers).requireRefusal(t, "database_unavailable")
		require.NoError(t, tx.Rollback(t.Context()))
		require.Empty(t, sc.appointments(sc.person, "directionGuid="+sc.direction.String()))
		sc.attempt().booked(t)
		require.Len(t, sc.appointments(sc.person, "directionGuid="+sc.direction.String()), 1)
	})
	t.Run("many clients lose patience", func(t *testing.T) {
		t.Parallel()
		sc := start(t, func(c *app.Config) { c.Timeout = time.Minute }).scene()
		sc.addSlots(contenders)
		var clients sync.WaitGroup
		for i := range contenders {
			person, direction := sc.patient()
			clients.Go(func() {
				ask := "status=Booked&directionGuid=" + direction.String()
				sc.impatient(person, direction, i+1)
				before := sc.appointments(person, ask)
				a := sc.book(person, sc.request(fields{"DirectionGuid": direction, "SlotId": i + 1}))
				switch {
				case a.StatusCode == http.StatusOK:
					require.Empty(t, before, "what was told had not happened")
				case len(before) == 0: // it was still under way when asked about, and took the cell or the referral
					a.requireRefusalOf(t, "direction_already_booked", "slot_full", "slot_taken")
				default:
					a.requireRefusal(t, "direction_already_booked")
				}
				require.Eventually(t, func() bool {
					after := sc.appointments(person, ask)
					return len(after) == 1 && (len(before) == 0 || before[0].GUID == after[0].GUID)
				}, time.Minute, 10*time.Millisecond)
			})
		}
		clients.Wait()
		require.Equal(t, contenders, sc.count(`SELECT count(*) FROM appointment`))
		sc.requireInvariants()
	})
}

// slotOf is the cell that an appointment takes.
func (s *service) slotOf(appointment uuid.UUID) uuid.UUID {
	s.t.Helper()
	var slot uuid.UUID
	require.NoError(s.t, s.db.QueryRow(s.t.Context(), `SELECT slot_guids[1] FROM appointment WHERE guid = $1`, appointment).Scan(&slot))
	return slot
}

// impatient books, and hangs up after a while that may be too short.
func (sc *scene) impatient(person, direction uuid.UUID, slot int) {
	sc.t.Helper()
	body, err := json.Marshal(sc.request(fields{"DirectionGuid": direction, "SlotId": slot}))
	require.NoError(sc.t, err)
	ctx, cancel := context.WithTimeout(sc.t.Context(), time.Duration(rand.IntN(200))*time.Millisecond)
	defer cancel()
	request := sc.service.request(http.MethodPost, "/appointments", strings.NewReader(string(body))).WithContext(ctx)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+sc.token(person))
	if response, err := httpClient.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

// Promise: in whatever world, nobody sees anything of another person: not in a list, whatever the filters and cursors, and not by a guid or a number.
func TestNobodySeesAnother(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.exec(`INSERT INTO client_application VALUES ($1, 'Тест', 95, 95, true)`, clientGuid)
	s.exec(`INSERT INTO busy_type VALUES (1, 'Прием', true)`)
	s.exec(`INSERT INTO setting VALUES ($1, 'OneActiveAppointmentPerSpeciality', 'false')`, uuid.Nil)
	require.NoError(t, errModelChecks)
	worlds := 0
	rapid.Check(t, func(rt *rapid.T) {
		if worlds++; worlds > 15 { // one is as large as a story of the model
			return
		}
		sc := s.another()
		sc.addSlots(8)
		people := []uuid.UUID{sc.person, uuid.New()}
		sc.addPerson(people[1], "1990-05-05")
		number := rapid.SampledFrom([]string{"1", "A/1", "№ 7"})
		cell := 0
		for _, person := range people {
			mine := *sc
			mine.person, mine.mkabFrom, mine.mkabTo = person, uuid.New(), uuid.New()
			sc.exec(`UPDATE mkab SET closed_at = $1 WHERE person_guid = $2`, moment, person)
			mine.addMkab(mine.from, mine.mkabFrom, person)
			mine.addMkab(mine.to, mine.mkabTo, person)
			for range rapid.IntRange(0, 4).Draw(rt, "referrals") {
				direction := uuid.New()
				mine.addDirection(direction, "Consult")
				sc.exec(`UPDATE direction SET number = $1, created_at = created_at - $2 * interval '1 second' WHERE guid = $3`,
					number.Draw(rt, "number"), rapid.IntRange(0, 3).Draw(rt, "age"), direction)
				if !rapid.Bool().Draw(rt, "booked") {
					continue
				}
				cell++
				appointment := mine.attempt(fields{"DirectionGuid": direction, "SlotId": cell}).booked(t)
				if rapid.Bool().Draw(rt, "cancelled") {
					require.Equal(t, http.StatusOK, sc.cancel(person, appointment).StatusCode)
				}
			}
		}
		for i, person := range people {
			other := people[1-i]
			theirs := append(ownOf(sc, other), other)
			var seen strings.Builder
			read := func(path string) answer {
				a := s.get(person, path)
				seen.WriteString(a.raw)
				return a
			}
			for _, list := range []string{"/directions", "/appointments"} {
				foreign := as[struct{ Next *string }](t, s.get(other, list+"?limit=1")).Next
				read(list + "?limit=100")
				if foreign != nil {
					read(list + "?cursor=" + *foreign)
				}
				for _, guid := range theirs {
					a := read(list + "/" + guid.String())
					require.Equal(t, 404, a.StatusCode, "%s", a.raw)
				}
			}
			for _, guid := range theirs {
				read("/appointments?directionGuid=" + guid.String())
			}
			for _, n := range []string{"1", "A/1", "№ 7", "47010157096"} {
				a := read("/directions/by-number/" + url.PathEscape(n))
				mine := s.count(`SELECT count(*) FROM direction d JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid
					WHERE d.number = $1 AND m.person_guid = $2`, n, person)
				require.Equal(t, mine > 0, a.StatusCode == http.StatusOK, "%s", a.raw)
			}
			for _, guid := range theirs {
				require.NotContains(t, seen.String(), guid.String())
			}
			require.Len(t, s.directions(person, "limit=2"), s.count(`SELECT count(*) FROM direction d JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid
				WHERE copied_from_lpu_guid IS NULL AND m.person_guid = $1`, person))
			require.Len(t, s.appointments(person, "limit=2"), s.count(`SELECT count(*) FROM appointment WHERE person_guid = $1`, person))
		}
	})
}

// ownOf are the guids of what a person has, from the tables.
func ownOf(sc *scene, person uuid.UUID) []uuid.UUID {
	sc.t.Helper()
	rows, err := sc.db.Query(sc.t.Context(), `
		SELECT guid FROM mkab WHERE person_guid = $1
		UNION SELECT d.guid FROM direction d JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid WHERE person_guid = $1
		UNION SELECT guid FROM appointment WHERE person_guid = $1`, person)
	require.NoError(sc.t, err)
	defer rows.Close()
	var guids []uuid.UUID
	for rows.Next() {
		var guid uuid.UUID
		require.NoError(sc.t, rows.Scan(&guid))
		guids = append(guids, guid)
	}
	require.NoError(sc.t, rows.Err())
	return guids
}
