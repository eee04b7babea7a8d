package e2e_test

import (
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// startWithAuthService runs the service with the authorisation service. Its scene has a client
// application with a secret, and the card of its patient has every attribute that identifies a
// patient.
func startWithAuthService(t testing.TB, configure ...func(*app.Config)) *harness.Scene {
	t.Helper()
	sc := harness.Start(t, append([]func(*app.Config){harness.WithAuthService}, configure...)...).Scene()
	sc.SetClientSecret()
	sc.Exec(`UPDATE mkab SET surname = 'Семёнова-Ёлкина', name = 'Алёна', patronymic = 'Петровна', snils = '112-233-445 95' WHERE guid = $1`, sc.MkabTo)
	sc.Exec(`INSERT INTO mkab_policy VALUES ($1, $2, '', '1234567890123456'), ($1, $2, '46 05', '777')`, sc.To, sc.MkabTo)
	sc.Exec(testdb.IndexRows)
	return sc
}

// policyQuery returns the parameters that identify the scene's patient by the number of the policy.
func policyQuery(birthDate string) string {
	return harness.EncodeQuery("n_pol", "1234567890123456", "Birthday", birthDate)
}

// snilsQuery returns the parameters that identify the scene's patient by СНИЛС and name. changes
// are pairs of a parameter and its value. An empty value removes the parameter.
func snilsQuery(changes ...string) string {
	values := url.Values{
		"epgu": {"true"}, "snils": {"11223344595"}, "f": {"Семёнова-Ёлкина"}, "n": {"Алёна"}, "p": {"Петровна"},
	}
	for i := 0; i < len(changes); i += 2 {
		values.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			values.Del(changes[i])
		}
	}
	return values.Encode()
}

// sceneBirthDate is the birth date of the patient of every scene.
const sceneBirthDate = "1980-02-29"

// requireToken requires a 200 response and returns the token.
func requireToken(t testing.TB, a harness.Answer) api.IssuedToken {
	t.Helper()
	return harness.Decode[api.IssuedToken](t, a)
}

// Promise: for each kind of identification the token is that of the patient and the requesting
// client application. It is valid until the stated time, and books.
func TestTokenForEachIdentification(t *testing.T) {
	t.Parallel()
	own := filepath.Join(t.TempDir(), "key.pem")
	_, err := auth.EnsureSigningKey(own)
	require.NoError(t, err)
	// Only the public half of the service's own key verifies its tokens.
	sc := startWithAuthService(t, func(c *app.Config) {
		c.AuthKeyFile, c.PEMFile, c.AuthTokenLife = own, "", 90*time.Minute
	})
	for name, query := range map[string]string{
		"policy":               policyQuery(sceneBirthDate),
		"policy with a series": harness.EncodeQuery("n_pol", "777", "s_pol", "46 05", "Birthday", sceneBirthDate),
		"person":               sc.PersonQuery(),
		"card":                 sc.MkabQuery(),
		"СНИЛС":                snilsQuery(),
	} {
		a := sc.Identify(query)
		token := requireToken(t, a)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"), name)
		require.Equal(t, sc.Person, token.PersonGUID, name)
		require.Equal(t, harness.Moment.Add(90*time.Minute).UTC(), token.ExpiresAt, name)
		request := sc.NewRequest(http.MethodGet, "/directions", nil)
		request.Header.Set("Authorization", "Bearer "+token.Token)
		require.Len(t, harness.Decode[api.DirectionPage](t, sc.Do(request)).Items, 1, name)
	}
	a := sc.Post(sc.BookingBody(), "Bearer "+requireToken(t, sc.Identify(sc.PersonQuery())).Token)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.Raw)
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE person_guid = $1 AND client_guid = $2`, sc.Person, harness.ClientGuid))
	require.Zero(t, sc.Count(`SELECT count(*) FROM failed_identification`), "a successful identification stores no failure")
}

// Promise: the same data in other spellings identify the same patient.
func TestIdentificationSpellings(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	for name, query := range map[string]string{
		"СНИЛС as printed":  snilsQuery("snils", "112-233-445 95"),
		"СНИЛС with dashes": snilsQuery("snils", "112-233-445-95"),
		"another case":      snilsQuery("f", "СЕМЁНОВА-ЁЛКИНА", "n", "алёна", "p", "ПЕТРОВНА"),
		"е for ё":           snilsQuery("f", "Семенова-Елкина", "n", "АЛЕНА"),
		"spaces around":     snilsQuery("f", " Семёнова-Ёлкина ", "p", "\tПетровна"),
		"a policy with spaces around": harness.EncodeQuery("n_pol", " 777 ", "s_pol", " 46 05 ", "Birthday",
			sceneBirthDate),
		"a guid in capitals":   harness.EncodeQuery("personguid", strings.ToUpper(sc.Person.String())),
		"a card in capitals":   harness.EncodeQuery("mkab", strings.ToUpper(sc.MkabTo.String())),
		"epgu false":           sc.PersonQuery() + "&epgu=false",
		"an unknown parameter": sc.PersonQuery() + "&userLpu=1&login=",
	} {
		require.Equal(t, sc.Person, requireToken(t, sc.Identify(query)).PersonGUID, name)
	}
	sc.Exec(`UPDATE mkab SET patronymic = ''`)
	require.Equal(t, sc.Person, requireToken(t, sc.Identify(snilsQuery("p", ""))).PersonGUID,
		"a patient without patronymic")
	// A card in another institution identifies the patient as well.
	sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE guid = $2`, harness.Moment, sc.MkabTo)
	require.Equal(t, sc.Person, requireToken(t, sc.Identify(sc.PersonQuery())).PersonGUID)
	require.Equal(t, sc.Person,
		requireToken(t, sc.Identify(harness.EncodeQuery("mkab", sc.MkabFrom.String()))).PersonGUID)
}

// Promise: wrong data, an unknown patient, a closed card and an ambiguous match get the same
// response.
func TestFailedIdentificationsLookAlike(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	other, _ := sc.AddPatient()
	sc.Exec(`INSERT INTO mkab_policy SELECT lpu_guid, guid, '', 'shared' FROM mkab`)
	sc.Exec(`UPDATE mkab SET birth_date = $1, snils = '000-000-000 00' WHERE person_guid = $2`, sceneBirthDate, other)
	sc.Exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, snils, created_at)
		SELECT $1, gen_random_uuid(), gen_random_uuid(), 'Пациент ' || n % 2, 'Первый', '2000-01-01', 'male', '00000000001', $2 FROM generate_series(1, 101) n`, sc.To, harness.Moment)
	closed := uuid.New()
	sc.Exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, snils, created_at, closed_at)
		VALUES ($1, $2, $2, 'Закрытый', 'Первый', '2000-01-01', 'male', '00000000002', $3, $3)`, sc.To, closed, harness.Moment)
	sc.Exec(`INSERT INTO mkab_policy VALUES ($1, $2, '', 'closed')`, sc.To, closed)
	unread := uuid.New() // the number is on more cards than the service reads
	sc.Exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, snils, created_at)
		VALUES ($1, $2, $2, 'Единственный', 'Первый', '2000-01-01', 'male', '00000000001', $3)`, sc.To, unread, harness.Moment)
	sc.Exec(testdb.IndexRows)

	var first *api.Error
	for name, query := range map[string]string{
		"another birth date":           policyQuery("1980-02-28"),
		"an unknown policy":            harness.EncodeQuery("n_pol", "1", "Birthday", sceneBirthDate),
		"a series where there is none": policyQuery(sceneBirthDate) + "&s_pol=46",
		"no series where there is one": harness.EncodeQuery("n_pol", "777", "Birthday", sceneBirthDate),
		"two persons of one policy":    harness.EncodeQuery("n_pol", "shared", "Birthday", sceneBirthDate),
		"a policy of a closed card":    harness.EncodeQuery("n_pol", "closed", "Birthday", "2000-01-01"),
		"an unknown person":            harness.EncodeQuery("personguid", uuid.NewString()),
		"a person with a closed card":  harness.EncodeQuery("personguid", closed.String()),
		"a card for a person":          harness.EncodeQuery("personguid", sc.MkabTo.String()),
		"an unknown card":              harness.EncodeQuery("mkab", uuid.NewString()),
		"a closed card":                harness.EncodeQuery("mkab", closed.String()),
		"a person for a card":          harness.EncodeQuery("mkab", sc.Person.String()),
		"an unknown СНИЛС":             snilsQuery("snils", "11223344596"),
		"another surname":              snilsQuery("f", "Семёнова"),
		"another name":                 snilsQuery("n", "Елена"),
		"another patronymic":           snilsQuery("p", "Павловна"),
		"no patronymic":                snilsQuery("p", ""),
		"names in another order":       snilsQuery("f", "Алёна", "n", "Семёнова-Ёлкина"),
		"SQL patterns as names":        snilsQuery("f", "%", "n", "_"),
		"a СНИЛС of a closed card":     snilsQuery("snils", "00000000002", "f", "Закрытый", "n", "Первый", "p", ""),
		"a СНИЛС of too many cards":    snilsQuery("snils", "00000000001", "f", "Единственный", "n", "Первый", "p", ""),
	} {
		a := sc.Identify(query)
		a.RequireRefusal(t, "patient_not_identified")
		a.Refusal.RequestID = uuid.Nil
		if first == nil {
			first = &a.Refusal
		}
		require.Equal(t, *first, a.Refusal, name)
		sc.Exec(`DELETE FROM failed_identification`)
	}

	// Two cards of one person identify that person. Two persons with one card guid are ambiguous.
	sc.Exec(`DELETE FROM mkab_policy WHERE number = 'shared' AND mkab_guid NOT IN ($1, $2)`, sc.MkabTo, sc.MkabFrom)
	require.Equal(t, sc.Person,
		requireToken(t, sc.Identify(harness.EncodeQuery("n_pol", "shared", "Birthday", sceneBirthDate))).PersonGUID)
	sc.Exec(`INSERT INTO mkab SELECT $1, guid, gen_random_uuid(), surname, name, patronymic, birth_date, sex, snils, false, false, created_at FROM mkab WHERE guid = $2`,
		sc.From, sc.MkabTo)
	sc.Exec(testdb.IndexRows)
	sc.Identify(sc.MkabQuery()).RequireRefusal(t, "patient_not_identified")
	sc.Identify(snilsQuery()).RequireRefusal(t, "patient_not_identified")
}

// Promise: a request without exactly one complete identification is rejected with a message that
// names a parameter. It does not count as a failed identification.
func TestIncompleteIdentification(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	const notAGuid = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	const several = "указано больше одного способа определить пациента"
	const absent = "обязательное поле не указано"
	const unreadable = "недопустимые символы"
	const incomplete = "вместе с snils, f, n и p ожидается true"
	for query, message := range map[string]string{
		"":                                     "personguid: обязательно указание personguid, или mkab, или n_pol и Birthday, или epgu, snils, f и n",
		"epgu=false":                           "personguid: обязательно указание personguid, или mkab, или n_pol и Birthday, или epgu, snils, f и n",
		"n_pol=1":                              "Birthday: " + absent,
		"Birthday=" + sceneBirthDate:           "n_pol: " + absent,
		"s_pol=1":                              "n_pol: " + absent,
		"s_pol=1&Birthday=" + sceneBirthDate:   "n_pol: " + absent,
		"n_pol=%20&Birthday=" + sceneBirthDate: "n_pol: значение не указано",
		"n_pol=&Birthday=" + sceneBirthDate:    "n_pol: значение не указано",
		"n_pol=1&n_pol=2&Birthday=" + sceneBirthDate: "n_pol: значение указано больше одного раза",
		"n_pol=%00&Birthday=" + sceneBirthDate:       "n_pol: " + unreadable,
		"n_pol=%FF&Birthday=" + sceneBirthDate:       "n_pol: " + unreadable,
		"n_pol=1;2&Birthday=" + sceneBirthDate:       "n_pol: " + unreadable,
		"n_pol=" + strings.Repeat("1", 101):          "n_pol: длина должна быть не больше 100 символов",
		"s_pol=" + strings.Repeat("1", 101):          "s_pol: длина должна быть не больше 100 символов",
		"s_pol=&n_pol=1&Birthday=" + sceneBirthDate:  "s_pol: значение не указано",
		"n_pol=1&Birthday=29.02.1980":                "Birthday: ожидается дата (2006-01-02)",
		"n_pol=1&Birthday=1981-02-29":                "Birthday: ожидается дата (2006-01-02)",
		"n_pol=1&Birthday=":                          "Birthday: значение не указано",
		"personguid=x":                               "personguid: " + notAGuid,
		"personguid=" + uuid.Nil.String():            "personguid: нулевой guid недопустим",
		"mkab=x":                                     "mkab: " + notAGuid,
		"mkab=" + uuid.Nil.String():                  "mkab: нулевой guid недопустим",
		"epgu=x":                                     "epgu: ожидается true или false",
		snilsQuery("epgu", "1"):                      "epgu: ожидается true или false",
		snilsQuery("epgu", "TRUE"):                   "epgu: ожидается true или false",
		snilsQuery("epgu", "F"):                      "epgu: ожидается true или false",
		"epgu=true":                                  "snils: " + absent,
		snilsQuery("epgu", ""):                       "epgu: " + incomplete,
		snilsQuery("epgu", "false"):                  "epgu: " + incomplete,
		snilsQuery("snils", ""):                      "snils: " + absent,
		snilsQuery("f", ""):                          "f: " + absent,
		snilsQuery("n", ""):                          "n: " + absent,
		snilsQuery("f", " "):                         "f: значение не указано",
		snilsQuery("p", "") + "&p=":                  "p: значение не указано",
		snilsQuery("snils", "112233445-95x"):         "snils: " + unreadable,
		snilsQuery("snils", "1122334459"):            "snils: недопустимое значение",
		snilsQuery("snils", "112-233-445--95"):       "snils: длина должна быть не больше 14 символов",
		snilsQuery("f", strings.Repeat("ж", 201)):    "f: длина должна быть не больше 200 символов",
		"f=1":                                   "epgu: " + incomplete,
		"p=1":                                   "epgu: " + incomplete,
		sc.PersonQuery() + "&" + sc.MkabQuery(): "mkab: " + several,
		sc.PersonQuery() + "&n_pol=1":           "personguid: " + several,
		sc.PersonQuery() + "&Birthday=" + sceneBirthDate: "personguid: " + several,
		sc.MkabQuery() + "&epgu=true":                    "epgu: " + several,
		sc.MkabQuery() + "&snils=11223344595":            "epgu: " + several,
		policyQuery(sceneBirthDate) + "&" + snilsQuery(): "epgu: " + several,
	} {
		a := sc.Identify(query)
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, "Поле "+message, a.Refusal.Message, query)
	}
	require.Zero(t, sc.Count(`SELECT count(*) FROM failed_identification`))
}

// Promise: for every value of a parameter the request identifies a patient or is rejected. It never
// causes an internal error.
func TestUnusualIdentificationValues(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	validQueries := map[string]url.Values{}
	for _, query := range []string{
		policyQuery(sceneBirthDate) + "&s_pol=1", sc.PersonQuery(), sc.MkabQuery(), snilsQuery(),
	} {
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		for name := range values {
			validQueries[name] = values
		}
	}
	parameters := harness.ContractDoc().Paths.Find("/auth/cod/token").Get.Parameters
	require.Len(t, validQueries, len(parameters), "every parameter belongs to a kind of identification")
	for _, parameter := range parameters {
		name := parameter.Value.Name
		for _, value := range sc.OddValues() {
			changed := maps.Clone(validQueries[name])
			changed.Set(name, value)
			a := sc.Identify(changed.Encode())
			a.RequireAnyRefusal(t, "", "field_invalid", "patient_not_identified")
			if a.Refusal.Rule == "field_invalid" {
				require.Regexp(t, "^Поле ("+name+"|epgu): ", a.Refusal.Message, "%s", value)
			}
			sc.Exec(`DELETE FROM failed_identification`)
		}
	}
	require.NotContains(t, sc.Logs.String(), `"level":"ERROR"`)
}

// Promise: an unauthenticated client gets one response, whatever is wrong and whatever it requests.
// It cannot use up the attempts of others.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	secretless := uuid.New()
	sc.Exec(`INSERT INTO client_application VALUES ($1, 'Без секрета')`, secretless)
	identify := func(query string, change func(*http.Request)) harness.Answer {
		request := sc.NewRequest(http.MethodGet, "/auth/cod/token?"+query, nil)
		change(request)
		return sc.Do(request)
	}
	as := func(client, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(client, secret) }
	}
	for name, change := range map[string]func(*http.Request){
		"no header": func(*http.Request) {},
		"a patient's token": func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		},
		"no scheme":         func(r *http.Request) { r.Header.Set("Authorization", harness.ClientSecret) },
		"empty credentials": func(r *http.Request) { r.Header.Set("Authorization", "Basic ") },
		"not base64": func(r *http.Request) {
			r.Header.Set("Authorization", "Basic "+harness.ClientSecret)
		},
		"no secret":               as(harness.ClientGuid.String(), ""),
		"a wrong secret":          as(harness.ClientGuid.String(), harness.ClientSecret+"x"),
		"a part of the secret":    as(harness.ClientGuid.String(), harness.ClientSecret[1:]),
		"a zero byte":             as(harness.ClientGuid.String(), "\x00"),
		"an unknown client":       as(uuid.NewString(), harness.ClientSecret),
		"the zero guid":           as(uuid.Nil.String(), harness.ClientSecret),
		"not a guid":              as("portal", harness.ClientSecret),
		"a client without secret": as(secretless.String(), ""),
		"another client's secret": as(secretless.String(), harness.ClientSecret),
		"zeros for a secret":      as(secretless.String(), strings.Repeat("\x00", 32)),
		"two headers": func(r *http.Request) {
			r.SetBasicAuth(harness.ClientGuid.String(), harness.ClientSecret)
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
		},
	} {
		for _, query := range []string{sc.PersonQuery(), policyQuery("1980-01-01"), "personguid=x", ""} {
			a := identify(query, change)
			a.RequireRefusal(t, "client_unauthenticated")
			require.Equal(t, "5403", a.Refusal.MessageCode, name)
		}
	}
	require.Zero(t, sc.Count(`SELECT count(*) FROM failed_identification`))
	requireToken(t, identify(sc.PersonQuery(), as(strings.ToUpper(harness.ClientGuid.String()), harness.ClientSecret)))
}

// Promise: without configuration the authorisation service does not exist for any method, and the
// rule catalogue lists its rules as disabled.
func TestAuthServiceDisabled(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.SetClientSecret()
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		request := sc.NewRequest(method, "/auth/cod/token?"+sc.PersonQuery(), nil)
		request.SetBasicAuth(harness.ClientGuid.String(), harness.ClientSecret)
		a := sc.Do(request)
		a.RequireRefusal(t, "route_not_found")
		require.Empty(t, a.Header.Get("Allow"))
	}
	require.Subset(t, disabledRules(t, sc.Get(sc.Person, "/rules")), []string{
		"client_unauthenticated", "patient_not_identified", "too_many_attempts",
	})
}

// Promise: after a few failures for one patient, correct data are rejected as well until the stated
// time has passed. Other patients, and other identifications of the same patient, are not affected.
func TestGuessesAtAPatient(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	another := uuid.New()
	sc.Exec(`INSERT INTO client_application (guid, name, secret_hash) VALUES ($1, 'Другое', sha256('another'))`, another)
	for i := range booking.PatientLimit.Failures {
		requireToken(t, sc.Identify(policyQuery(sceneBirthDate)))
		sc.Identify(policyQuery("1980-01-0"+strconv.Itoa(i+1))).RequireRefusal(t, "patient_not_identified")
	}
	requireLocked := func(seconds string, a harness.Answer) {
		t.Helper()
		a.RequireRefusal(t, "too_many_attempts")
		require.Equal(t, seconds, a.Header.Get("Retry-After"))
	}
	requireLocked("900", sc.Identify(policyQuery("1980-01-09")))
	requireLocked("900", sc.Identify(policyQuery(sceneBirthDate)))
	requireLocked("900", sc.Identify(policyQuery(sceneBirthDate)+"&s_pol=46"))
	requireLocked("900", sc.IdentifyAs(another.String(), "another", policyQuery(sceneBirthDate)))
	requireToken(t, sc.Identify(harness.EncodeQuery("n_pol", "777", "s_pol", "46 05", "Birthday", sceneBirthDate)))
	requireToken(t, sc.Identify(sc.PersonQuery()))
	requireToken(t, sc.Identify(snilsQuery()))

	sc.AgeFailures(10*time.Minute + 500*time.Millisecond)
	requireLocked("300", sc.Identify(policyQuery(sceneBirthDate)))
	sc.AgeFailures(5*time.Minute - 500*time.Millisecond)
	for range booking.PatientLimit.Failures {
		requireToken(t, sc.Identify(policyQuery(sceneBirthDate)))
		sc.Identify(policyQuery("1980-01-01")).RequireRefusal(t, "patient_not_identified")
	}
	requireLocked("900", sc.Identify(policyQuery(sceneBirthDate)))
}

// Promise: one client application cannot try many patients. Other client applications are not
// affected.
func TestGuessesOfAClient(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	another := uuid.New()
	sc.Exec(`INSERT INTO client_application (guid, name, secret_hash) VALUES ($1, 'Другое', sha256('another'))`, another)
	for range booking.ClientLimit.Failures {
		sc.Identify(harness.EncodeQuery("personguid", uuid.NewString())).RequireRefusal(t, "patient_not_identified")
	}
	for _, query := range []string{
		harness.EncodeQuery("personguid", uuid.NewString()), sc.PersonQuery(), policyQuery(sceneBirthDate),
	} {
		a := sc.Identify(query)
		a.RequireRefusal(t, "too_many_attempts")
		require.Equal(t, "60", a.Header.Get("Retry-After"))
	}
	requireToken(t, sc.IdentifyAs(another.String(), "another", sc.PersonQuery()))
	sc.AgeFailures(booking.ClientLimit.Within)
	requireToken(t, sc.Identify(sc.PersonQuery()))
}

// Promise: concurrent guesses are limited like sequential ones. Concurrent requests with correct
// data all succeed.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t, func(c *app.Config) { c.DatabaseConns, c.Timeout = 16, time.Minute })
	countRules := func(query func(i int) string) map[string]int {
		t.Helper()
		requests := make([]func() harness.Answer, harness.Contenders)
		for i := range requests {
			requests[i] = func() harness.Answer { return sc.Identify(query(i)) }
		}
		answers := map[string]int{}
		for _, a := range sendAll(requests) {
			answers[a.Refusal.Rule]++
		}
		return answers
	}
	require.Equal(t, map[string]int{"": harness.Contenders}, countRules(func(int) string {
		return policyQuery(sceneBirthDate)
	}))

	withBirthDate := func(daysLater int) string {
		return policyQuery(time.Date(1980, 2, 29+daysLater, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
	}
	const notIdentified = "patient_not_identified"
	require.Equal(t, map[string]int{
		notIdentified:       booking.PatientLimit.Failures,
		"too_many_attempts": harness.Contenders - booking.PatientLimit.Failures,
	}, countRules(func(i int) string { return withBirthDate(i + 1) }))
	sc.AgeFailures(booking.PatientLimit.Within)
	// The correct data are accepted only before the last counted failure.
	answers := countRules(func(i int) string { return withBirthDate(i - 20) })
	require.Equal(t, booking.PatientLimit.Failures, answers[notIdentified])
	require.LessOrEqual(t, answers[""], 1)

	sc.AgeFailures(booking.PatientLimit.Within)
	sc.Exec(`INSERT INTO failed_identification VALUES ($1, 95, $2) ON CONFLICT (subject) DO UPDATE SET failures = 95, since = $2`, harness.ClientGuid[:], harness.Moment)
	require.Equal(t, map[string]int{notIdentified: 5, "too_many_attempts": harness.Contenders - 5},
		countRules(func(int) string { return harness.EncodeQuery("personguid", uuid.NewString()) }))
	require.Equal(t, booking.ClientLimit.Failures, sc.Count(`SELECT failures FROM failed_identification WHERE subject = $1`, harness.ClientGuid[:]))
	require.Zero(t, sc.Count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
}

// Promise: failures that no longer count are deleted. Others are not.
func TestOldFailuresAreDeleted(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	sc.Exec(`INSERT INTO failed_identification SELECT sha256(n::text::bytea), 1, $1::timestamptz FROM generate_series(1, 2500) n`, harness.Moment.Add(-booking.PatientLimit.Within))
	sc.Identify(policyQuery("1980-01-01")).RequireRefusal(t, "patient_not_identified")
	sc.Stop()
	started := harness.StartOn(t, string(sc.Config.DatabaseURL))
	require.Eventually(t, func() bool { return started.Count(`SELECT count(*) FROM failed_identification`) == 2 }, 20*time.Second, 5*time.Millisecond)
}

// Promise: the log contains none of the identifying data, the secret and the token, whatever the
// response.
func TestIdentificationLogHasNoSecrets(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	secrets := []string{
		"1234567890123456", sceneBirthDate, "1980-02-28", sc.Person.String(), sc.MkabTo.String(), "112233", "112-233",
		"Сем", "Алёна", "Петровна", harness.ClientSecret, "eyJ", "Basic ",
		url.QueryEscape("Семёнова"),
	}
	for _, query := range []string{
		policyQuery(sceneBirthDate), policyQuery("1980-02-28"), policyQuery(sceneBirthDate) + "x", sc.PersonQuery(),
		sc.MkabQuery(), snilsQuery(), snilsQuery("f", "Семёнов"), snilsQuery("epgu", ""),
	} {
		sc.Identify(query)
		sc.IdentifyAs(harness.ClientGuid.String(), harness.ClientSecret+"x", query)
	}
	sc.Exec(`ALTER TABLE mkab RENAME COLUMN snils TO number`)
	sc.Identify(snilsQuery()).RequireRefusal(t, "internal_error")
	log := sc.Logs.String()
	require.Contains(t, log, "/auth/cod/token")
	require.Contains(t, log, harness.ClientGuid.String())
	for _, secret := range secrets {
		require.NotContains(t, log, secret)
	}
}
