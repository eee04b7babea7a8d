package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// guidsOf returns the guids of referrals.
func guidsOf(directions []api.PatientDirection) []uuid.UUID {
	guids := make([]uuid.UUID, len(directions))
	for i := range directions {
		guids[i] = directions[i].GUID
	}
	return guids
}

// Promise: a referral is returned as stored. Once booked it includes its appointment, in the zone
// of the visit's institution. The list and the reads by guid and number return the same.
func TestDirection(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE lpu SET time_zone = 'Asia/Vladivostok' WHERE guid = $1`, sc.To)
	sc.Exec(`UPDATE direction SET created_at = '2019-08-13 09:00:00.999+03', speciality_name = 'Терапия', urgent = true`)
	document := func(status, appointment string) string {
		return fmt.Sprintf(`{
			"guid": "e714e964-d8a0-4776-b163-c708371c39a5",
			"type": "Consult",
			"number": "47010157096",
			"status": %q,
			"date": "2019-08-13T00:00:00+03:00",
			"dateCreate": "2019-08-13T09:00:00+03:00",
			"dateEnd": "2019-09-12T00:00:00+03:00",
			"urgent": true,
			"holderLpuGuid": "e66e8056-f0bd-4ec3-85f7-28ff5b22db4f",
			"lpuFrom": {"guid": "e66e8056-f0bd-4ec3-85f7-28ff5b22db4f", "name": "Источник"},
			"lpuTo": {"guid": "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9", "name": "Цель"},
			"speciality": {"code": "92", "name": "Терапия"},
			"diagnosis": {"code": "A01.1", "name": "A"},
			"appointment": %s
		}`, status, appointment)
	}
	requireReturned := func(want string) {
		t.Helper()
		require.JSONEq(t, `{"items": [`+want+`], "next": null}`, sc.Get(sc.Person, "/directions").Raw)
		require.JSONEq(t, want, sc.Get(sc.Person, "/directions/"+strings.ToUpper(sc.Direction.String())).Raw)
		require.JSONEq(t, want, sc.Get(sc.Person, "/directions/by-number/47010157096").Raw)
	}
	requireReturned(document("NotBooked", "null"))

	booked := sc.TryBook(harness.Fields{"Difficulty": 2})
	require.Equal(t, 200, booked.StatusCode, "%s", booked.Raw)
	requireReturned(document("Booked", fmt.Sprintf(`{
		"guid": %q,
		"lpuGuid": "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9",
		"start": "2019-08-21T15:45:00+10:00",
		"end": "2019-08-21T16:15:00+10:00"
	}`, booked.Result.ConsultDirection.Appointment.GUID)))

	sc.Exec(`UPDATE direction SET lpu_to_guid = NULL`)
	var direction api.PatientDirection
	sc.GetInto(sc.Person, "/directions/"+sc.Direction.String(), &direction)
	require.Nil(t, direction.LpuTo)
}

// Promise: the status is the first one that applies at the time of the request, in the zone of the
// institution that holds the referral.
func TestDirectionStatus(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene() // it is 17:52:14 on the 20th in Moscow
	visit := `appointment_guid = guid, appointment_lpu_guid = lpu_to_guid, ` +
		`appointment_start_at = '2019-08-20T17:00+03', appointment_end_at = `
	cases := map[uuid.UUID]struct{ change, zone, want string }{}
	for _, c := range []struct{ change, zone, want string }{
		{`date_end = '2019-08-20'`, "Europe/Moscow", "NotBooked"},
		{`date_end = '2019-08-19'`, "Europe/Moscow", "Expired"},
		{`date_end = '2019-08-20'`, "Pacific/Auckland", "Expired"}, // it is the 21st there
		{`date_end = '2019-08-20'`, "Pacific/Midway", "NotBooked"},
		{`date_end = '2019-08-19'`, "Pacific/Midway", "Expired"},
		{visit + `'2019-08-20T17:52:15+03', date_end = '2019-08-19'`, "Europe/Moscow", "Booked"},
		{visit + `'2019-08-20T17:52:14+03', date_end = '2019-08-19'`, "Europe/Moscow", "Completed"},
		{visit + `'2019-08-20T17:52:15+03', cancelled_at = '2019-08-20'`, "Europe/Moscow", "Booked"},
		{visit + `'2019-08-20T17:52:14+03', cancelled_at = '2019-08-20'`, "Europe/Moscow", "Completed"},
		{`date_end = '2019-08-19', cancelled_at = '2019-08-20'`, "Europe/Moscow", "Cancelled"},
		// An instance of the previous release leaves such rows.
		{`appointment_guid = guid`, "Europe/Moscow", "Booked"},
	} {
		another := *sc
		another.From, another.MkabFrom = uuid.New(), uuid.New()
		sc.Exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, $1::uuid::text, 'Ещё', $3 FROM lpu WHERE guid = $2`, another.From, sc.From, c.zone)
		another.AddMkab(another.From, another.MkabFrom, sc.Person)
		guid := uuid.New()
		another.AddDirection(guid, "Consult")
		sc.Exec(`UPDATE direction SET `+c.change+` WHERE guid = $1`, guid)
		cases[guid] = c
	}
	found := sc.ListDirections(sc.Person, "limit=3")
	require.Len(t, found, len(cases)+1)
	for _, direction := range found {
		c, ok := cases[direction.GUID]
		require.True(t, ok || direction.GUID == sc.Direction)
		if !ok {
			continue
		}
		require.Equal(t, c.want, direction.Status, "%+v", c)
		var one api.PatientDirection
		sc.GetInto(sc.Person, "/directions/"+direction.GUID.String(), &one)
		require.Equal(t, direction, one)
		listed := sc.ListDirections(sc.Person, "status="+c.want)
		require.Contains(t, guidsOf(listed), direction.GUID)
		for _, other := range listed {
			require.Equal(t, c.want, other.Status)
		}
	}
}

// Promise: by default an expired referral can be booked, because no documented rule forbids it. A
// withdrawn one cannot.
func TestExpiredDirectionCanBeBooked(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE direction SET date_end = '2019-08-14', cancelled_at = $1`, harness.Moment)
	sc.TryBook().RequireRefusal(t, "direction_not_found")
	sc.Exec(`UPDATE direction SET cancelled_at = NULL`)
	require.Equal(t, "Expired", sc.ListDirections(sc.Person, "")[0].Status)
	require.Equal(t, 200, sc.TryBook().StatusCode)
}

// Promise: a copy is neither listed nor found. The original is listed once, wherever it is booked
// and however many cards the patient has.
func TestCopiesAreNotListed(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	require.Equal(t, 200, sc.TryBook().StatusCode)
	sc.Exec(`UPDATE mkab SET closed_at = $1`, harness.Moment)
	sc.AddMkab(sc.From, uuid.New(), sc.Person)
	sc.AddMkab(sc.To, uuid.New(), sc.Person)
	require.Equal(t, 2, sc.Count(`SELECT count(*) FROM direction`))
	require.Len(t, sc.ListDirections(sc.Person, "limit=1"), 1)
	sc.Exec(`DELETE FROM direction WHERE lpu_guid = $1`, sc.From)
	require.Empty(t, sc.ListDirections(sc.Person, ""))
	sc.Get(sc.Person, "/directions/"+sc.Direction.String()).RequireRefusal(t, "direction_absent")
	sc.Get(sc.Person, "/directions/by-number/47010157096").RequireRefusal(t, "direction_absent")
}

// Promise: of several referrals with one number the newest is returned. A number is matched
// exactly, whatever characters it contains.
func TestDirectionByNumber(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	newer := uuid.New()
	sc.AddDirection(newer, "Laboratory")
	sc.Exec(`UPDATE direction SET `+harness.Shift("created_at", "interval '1 microsecond'")+` WHERE guid = $1`, newer)
	for _, number := range []string{
		"47010157096", "12/7", "а/б №7", "50%", "%41", "a+b", "a b", "..", ".", "?", "#", "by-number", "a;b",
		strings.Repeat("ж", 100), "😀", `"`, "\\", "%2F",
	} {
		sc.Exec(`UPDATE direction SET number = $1`, number)
		var found api.PatientDirection
		path := url.PathEscape(number)
		if strings.Trim(number, ".") == "" {
			path = strings.ReplaceAll(number, ".", "%2E")
		}
		a := sc.GetInto(sc.Person, "/directions/by-number/"+path, &found)
		require.Equal(t, 200, a.StatusCode, "%s: %s", number, a.Raw)
		require.Equal(t, newer, found.GUID)
		require.Equal(t, number, found.Number)
		sc.Get(uuid.New(), "/directions/by-number/"+path).RequireRefusal(t, "direction_absent")
	}
	sc.Get(sc.Person, "/directions/by-number/2f").RequireRefusal(t, "direction_absent")
}

// Promise: for every page size, the pages together contain each referral of the list once and in
// order. This holds while others are inserted, and for many with the same creation time. Filters
// select from that list.
func TestDirectionPages(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`DELETE FROM direction`)
	sc.Exec(`INSERT INTO direction (lpu_guid, guid, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
		SELECT lpu_guid, gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 'Laboratory' ELSE 'Consult' END::direction_type, n::text, '2019-08-01'::date + n % 20, '2019-09-30',
			$1::timestamptz - n / 7 * interval '1 microsecond', guid, lpu_guid
		FROM generate_series(1, 60) n, mkab`, harness.Moment)
	// One guid exists in two institutions, with the same creation time.
	sc.Exec(`UPDATE direction SET guid = '11111111-1111-4111-8111-111111111111' WHERE number = '1'`)
	all := sc.ListDirections(sc.Person, "limit=100")
	require.Len(t, all, 120)
	require.Equal(t, 120, sc.Count(`SELECT count(DISTINCT (lpu_guid, guid)) FROM direction`))
	require.True(t, slices.IsSortedFunc(all, func(a, b api.PatientDirection) int {
		return strings.Compare(fmt.Sprint(b.DateCreate.Unix(), b.GUID, b.HolderLpuGUID),
			fmt.Sprint(a.DateCreate.Unix(), a.GUID, a.HolderLpuGUID))
	}) || all[0].DateCreate.After(all[119].DateCreate))
	for _, limit := range []int{1, 2, 7, 59, 100} {
		require.Equal(t, all, sc.ListDirections(sc.Person, fmt.Sprintf("limit=%d", limit)), "%d", limit)
	}
	var first api.DirectionPage
	sc.GetInto(sc.Person, "/directions", &first)
	require.Equal(t, all[:50], first.Items)

	for query, matches := range map[string]func(api.PatientDirection) bool{
		"type=Laboratory": func(d api.PatientDirection) bool {
			return d.Type == "Laboratory"
		},
		"type=Consult": func(d api.PatientDirection) bool {
			return d.Type == "Consult"
		},
		"dateFrom=2019-08-05": func(d api.PatientDirection) bool {
			return d.Date.Day() >= 5
		},
		"dateTo=2019-08-05": func(d api.PatientDirection) bool {
			return d.Date.Day() <= 5
		},
		"dateFrom=2019-08-05&dateTo=2019-08-05": func(d api.PatientDirection) bool {
			return d.Date.Day() == 5
		},
		"type=Consult&dateTo=2019-08-02&unknown=1": func(d api.PatientDirection) bool {
			return d.Type == "Consult" && d.Date.Day() <= 2
		},
		"status=Expired&status=Booked":          func(api.PatientDirection) bool { return false },
		"status=Cancelled&status=NotBooked":     func(api.PatientDirection) bool { return true },
		"dateFrom=0001-01-01&dateTo=9999-12-31": func(api.PatientDirection) bool { return true },
		"status=NotBooked&status=NotBooked&type=Consult": func(d api.PatientDirection) bool {
			return d.Type == "Consult"
		},
	} {
		var want []api.PatientDirection
		for _, direction := range all {
			if matches(direction) {
				want = append(want, direction)
			}
		}
		require.Equal(t, want, sc.ListDirections(sc.Person, query+"&limit=7"), query)
	}

	// A newer referral is inserted after each page.
	var seen []api.PatientDirection
	for cursor := ""; ; {
		var page api.DirectionPage
		sc.GetInto(sc.Person, "/directions?limit=11"+cursor, &page)
		seen = append(seen, page.Items...)
		newcomer := uuid.New()
		sc.AddDirection(newcomer, "Consult")
		sc.Exec(`UPDATE direction SET created_at = $1 WHERE guid = $2`, harness.Moment.Add(time.Hour), newcomer)
		if page.Next == nil {
			break
		}
		require.Len(t, page.Items, 11)
		cursor = "&cursor=" + *page.Next
	}
	require.Equal(t, all, seen)
}

// Promise: another person's referral gets the same response as one that does not exist. A cursor
// returns only the caller's own list.
func TestDirectionsOfOthers(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.AddDirection(uuid.New(), "Consult")
	stranger := uuid.New()
	var page api.DirectionPage
	sc.GetInto(sc.Person, "/directions?limit=1", &page)
	require.NotNil(t, page.Next)
	require.Empty(t, sc.ListDirections(stranger, ""))
	require.Empty(t, sc.ListDirections(stranger, "cursor="+*page.Next))

	responseBody := func(path string) string {
		a := sc.Get(stranger, path)
		a.RequireRefusal(t, "direction_absent")
		require.Equal(t, 404, a.StatusCode)
		return strings.ReplaceAll(a.Raw, a.Refusal.RequestID.String(), "")
	}
	require.Equal(t, responseBody("/directions/"+uuid.NewString()), responseBody("/directions/"+sc.Direction.String()))
	require.Equal(t, responseBody("/directions/by-number/none"), responseBody("/directions/by-number/47010157096"))
	require.NotContains(t, sc.Logs.String(), "47010157096")
	require.NotContains(t, sc.Logs.String(), sc.Direction.String())
}

// Promise: a parameter that breaks the contract is rejected with a Russian message that names it.
func TestBadParametersOfDirections(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	const notADate, notACursor = "ожидается дата (2006-01-02)", "ожидается значение next предыдущей страницы"
	for path, message := range map[string]string{
		"?limit=0":                            "Поле limit: значение должно быть не меньше 1",
		"?limit=101":                          "Поле limit: значение должно быть не больше 100",
		"?limit=-1":                           "Поле limit: значение должно быть не меньше 1",
		"?limit=x":                            "Поле limit: ожидается целое число",
		"?limit=1.0":                          "Поле limit: ожидается целое число",
		"?limit=1e1":                          "Поле limit: ожидается целое число",
		"?limit=99999999999":                  "Поле limit: ожидается целое число от 1 до 100",
		"?limit=":                             "Поле limit: значение не указано",
		"?limit":                              "Поле limit: значение не указано",
		"?limit=1&limit=2":                    "Поле limit: значение указано больше одного раза",
		"?limit=%ff":                          "Поле limit: недопустимые символы",
		"?limit=%zz":                          "Поле limit: недопустимые символы",
		"?limit=1;type=Consult":               "Поле limit: недопустимые символы",
		"?cursor=":                            "Поле cursor: значение не указано",
		"?cursor=x":                           "Поле cursor: " + notACursor,
		"?cursor=%00x":                        "Поле cursor: недопустимые символы",
		"?cursor=e30":                         "Поле cursor: " + notACursor, // {}
		"?cursor=e30&cursor=e30":              "Поле cursor: значение указано больше одного раза",
		"?cursor=bnVsbA":                      "Поле cursor: " + notACursor, // null
		"?cursor=" + strings.Repeat("A", 201): "Поле cursor: длина должна быть не больше 200 символов",
		"?type=consult":                       "Поле type: ожидается одно из значений: Consult, Laboratory",
		"?type=Consult&type=Consult":          "Поле type: значение указано больше одного раза",
		"?status=booked":                      "Поле status: ожидается одно из значений: NotBooked, Booked, Expired, Completed, Cancelled",
		"?status=Booked,Expired":              "Поле status: ожидается одно из значений: NotBooked, Booked, Expired, Completed, Cancelled",
		"?status=":                            "Поле status: значение не указано",
		"?status=Booked&status=":              "Поле status: значение не указано",
		"?" + strings.Repeat("status=Booked&", 6): "Поле status: значений должно быть не больше 5",
		"?dateFrom=x":                            "Поле dateFrom: " + notADate,
		"?dateFrom=20190801":                     "Поле dateFrom: " + notADate,
		"?dateFrom=2019-02-30":                   "Поле dateFrom: " + notADate,
		"?dateFrom=2019-13-01":                   "Поле dateFrom: " + notADate,
		"?dateTo=2019-08-01T00:00:00Z":           "Поле dateTo: " + notADate,
		"?dateTo=":                               "Поле dateTo: значение не указано",
		"?dateFrom=2019-08-02&dateTo=2019-08-01": "Поле dateFrom: дата должна быть не позже dateTo",
		// The first parameter of the contract.
		"?limit=x&type=x": "Поле type: ожидается одно из значений: Consult, Laboratory",
		"/x":              "Поле directionGuid: ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef",
		"/{e714e964-d8a0-4776-b163-c708371c39a5}": "Поле directionGuid: ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef",
		"/e714e964d8a04776b163c708371c39a5":       "Поле directionGuid: ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef",
		"/%ff":                                    "Поле directionGuid: недопустимые символы",
		"/by-number":                              "Поле directionGuid: ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef",
		"/by-number/a%00":                         "Поле number: недопустимые символы",
		"/by-number/%ff":                          "Поле number: недопустимые символы",
		"/by-number/" + strings.Repeat("1", 101):  "Поле number: длина должна быть не больше 100 символов",
	} {
		t.Run(path, func(t *testing.T) {
			a := sc.Get(sc.Person, "/directions"+path)
			require.Equal(t, 400, a.StatusCode, "%s", a.Raw)
			a.RequireRefusal(t, "field_invalid")
			require.Equal(t, message, a.Refusal.Message)
		})
	}
	sc.RequireNoSecretsInLog()
	for _, path := range []string{
		"/directions/", "/directions/by-number/", "/directions/by-number/1/2", "/Directions",
	} {
		sc.Get(sc.Person, path).RequireRefusal(t, "route_not_found")
	}
	for _, path := range []string{"/directions", "/directions/" + sc.Direction.String(), "/directions/by-number/1"} {
		a := sc.Do(sc.NewRequest(http.MethodPut, path, strings.NewReader("{}")))
		a.RequireRefusal(t, "method_not_allowed")
		require.Equal(t, "GET", a.Header.Get("Allow"))
		sc.Do(sc.NewRequest(http.MethodGet, path, nil)).RequireRefusal(t, "token_missing")
	}
	// A forged cursor neither returns another patient's referrals nor causes an internal error.
	forge := func(at string) string {
		position := `{"list":"directions","at":"` + at + `","guid":"` + uuid.Nil.String() +
			`","lpu":"` + uuid.Nil.String() + `"}`
		return "cursor=" + base64.RawURLEncoding.EncodeToString([]byte(position))
	}
	require.Len(t, sc.ListDirections(sc.Person, forge("9999-12-31T23:59:59Z")), 1)
	require.Empty(t, sc.ListDirections(sc.Person, forge("0000-01-01T00:00:00Z")))
	incomplete := base64.RawURLEncoding.EncodeToString([]byte(`{"list":"directions","at":"9999-12-31T23:59:59Z"}`))
	sc.Get(sc.Person, "/directions?cursor="+incomplete).RequireRefusal(t, "field_invalid")
}
