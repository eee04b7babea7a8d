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

// office is a scene with the authorisation service, whose client application has a secret, and whose patient's card in the target institution bears all
// that a patient can be shown by.
func startWithAuthService(t testing.TB, configure ...func(*app.Config)) *harness.Scene {
	t.Helper()
	sc := harness.Start(t, append([]func(*app.Config){harness.WithAuthService}, configure...)...).Scene()
	sc.SetClientSecret()
	sc.Exec(`UPDATE mkab SET surname = 'Семёнова-Ёлкина', name = 'Алёна', patronymic = 'Петровна', snils = '112-233-445 95' WHERE guid = $1`, sc.MkabTo)
	sc.Exec(`INSERT INTO mkab_policy VALUES ($1, $2, '', '1234567890123456'), ($1, $2, '46 05', '777')`, sc.To, sc.MkabTo)
	sc.Exec(testdb.IndexRows)
	return sc
}

// The ways to show the patient of the office.
func policyQuery(birthDate string) string {
	return harness.EncodeQuery("n_pol", "1234567890123456", "Birthday", birthDate)
}

func snilsQuery(changes ...string) string {
	values := url.Values{"epgu": {"true"}, "snils": {"11223344595"}, "f": {"Семёнова-Ёлкина"}, "n": {"Алёна"}, "p": {"Петровна"}}
	for i := 0; i < len(changes); i += 2 {
		values.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			values.Del(changes[i])
		}
	}
	return values.Encode()
}

const sceneBirthDate = "1980-02-29" // the patient of a scene

// issued is the token that was answered.
func requireToken(t testing.TB, a harness.Answer) api.CodToken {
	t.Helper()
	return harness.Decode[api.CodToken](t, a)
}

// Promise: whichever way a patient is shown, the token is the patient's, through the client application that asked, for as long as it says; it books.
func TestTokenForEachIdentification(t *testing.T) {
	t.Parallel()
	own := filepath.Join(t.TempDir(), "key.pem")
	_, err := auth.EnsureSigningKey(own)
	require.NoError(t, err)
	// Nothing but its own public half verifies what the service has signed.
	sc := startWithAuthService(t, func(c *app.Config) { c.AuthKeyFile, c.PEMFile, c.AuthTokenLife = own, "", 90*time.Minute })
	for name, way := range map[string]string{
		"policy": policyQuery(sceneBirthDate), "policy with a series": harness.EncodeQuery("n_pol", "777", "s_pol", "46 05", "Birthday", sceneBirthDate), "person": sc.PersonQuery(), "card": sc.MkabQuery(), "СНИЛС": snilsQuery(),
	} {
		a := sc.Identify(way)
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
	require.Zero(t, sc.Count(`SELECT count(*) FROM failed_identification`), "who is identified leaves nothing behind")
}

// Promise: the same data in another spelling show the same patient.
func TestIdentificationSpellings(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	for name, way := range map[string]string{
		"СНИЛС as it is printed":      snilsQuery("snils", "112-233-445 95"),
		"СНИЛС with dashes":           snilsQuery("snils", "112-233-445-95"),
		"another case":                snilsQuery("f", "СЕМЁНОВА-ЁЛКИНА", "n", "алёна", "p", "ПЕТРОВНА"),
		"е for ё":                     snilsQuery("f", "Семенова-Елкина", "n", "АЛЕНА"),
		"spaces around":               snilsQuery("f", " Семёнова-Ёлкина ", "p", "\tПетровна"),
		"a policy with spaces around": harness.EncodeQuery("n_pol", " 777 ", "s_pol", " 46 05 ", "Birthday", sceneBirthDate),
		"a guid in capitals":          harness.EncodeQuery("personguid", strings.ToUpper(sc.Person.String())),
		"a card in capitals":          harness.EncodeQuery("mkab", strings.ToUpper(sc.MkabTo.String())),
		"epgu that is off":            sc.PersonQuery() + "&epgu=false",
		"an unknown parameter":        sc.PersonQuery() + "&userLpu=1&login=",
	} {
		require.Equal(t, sc.Person, requireToken(t, sc.Identify(way)).PersonGUID, name)
	}
	sc.Exec(`UPDATE mkab SET patronymic = ''`)
	require.Equal(t, sc.Person, requireToken(t, sc.Identify(snilsQuery("p", ""))).PersonGUID, "who has no patronymic")
	// The card in the other institution is as good.
	sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE guid = $2`, harness.Moment, sc.MkabTo)
	require.Equal(t, sc.Person, requireToken(t, sc.Identify(sc.PersonQuery())).PersonGUID)
	require.Equal(t, sc.Person, requireToken(t, sc.Identify(harness.EncodeQuery("mkab", sc.MkabFrom.String()))).PersonGUID)
}

// Promise: a wrong word, nobody, a card that is closed, and two persons are one answer.
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
	unread := uuid.New() // whose number is on more cards than are read
	sc.Exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, snils, created_at)
		VALUES ($1, $2, $2, 'Единственный', 'Первый', '2000-01-01', 'male', '00000000001', $3)`, sc.To, unread, harness.Moment)
	sc.Exec(testdb.IndexRows)

	var first *api.Error
	for name, way := range map[string]string{
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
		"a pattern for a name":         snilsQuery("f", "%", "n", "_"),
		"a СНИЛС of a closed card":     snilsQuery("snils", "00000000002", "f", "Закрытый", "n", "Первый", "p", ""),
		"a СНИЛС of everybody":         snilsQuery("snils", "00000000001", "f", "Единственный", "n", "Первый", "p", ""),
	} {
		a := sc.Identify(way)
		a.RequireRefusal(t, "patient_not_identified")
		a.Refusal.RequestID = uuid.Nil
		if first == nil {
			first = &a.Refusal
		}
		require.Equal(t, *first, a.Refusal, name)
		sc.Exec(`DELETE FROM failed_identification`)
	}

	// Two cards of one person are one person; two persons of one card's guid are two.
	sc.Exec(`DELETE FROM mkab_policy WHERE number = 'shared' AND mkab_guid NOT IN ($1, $2)`, sc.MkabTo, sc.MkabFrom)
	require.Equal(t, sc.Person, requireToken(t, sc.Identify(harness.EncodeQuery("n_pol", "shared", "Birthday", sceneBirthDate))).PersonGUID)
	sc.Exec(`INSERT INTO mkab SELECT $1, guid, gen_random_uuid(), surname, name, patronymic, birth_date, sex, snils, false, false, created_at FROM mkab WHERE guid = $2`,
		sc.From, sc.MkabTo)
	sc.Exec(testdb.IndexRows)
	sc.Identify(sc.MkabQuery()).RequireRefusal(t, "patient_not_identified")
	sc.Identify(snilsQuery()).RequireRefusal(t, "patient_not_identified")
}

// Promise: what is not exactly one way, complete, is refused by the name of a parameter, and counts as no failure.
func TestIncompleteIdentification(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	const notAGuid = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	const several = "указано больше одного способа определить пациента"
	const absent = "обязательное поле не указано"
	const unreadable = "недопустимые символы"
	const whole = "вместе с snils, f, n и p ожидается true"
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
		snilsQuery("epgu", ""):                       "epgu: " + whole,
		snilsQuery("epgu", "false"):                  "epgu: " + whole,
		snilsQuery("snils", ""):                      "snils: " + absent,
		snilsQuery("f", ""):                          "f: " + absent,
		snilsQuery("n", ""):                          "n: " + absent,
		snilsQuery("f", " "):                         "f: значение не указано",
		snilsQuery("p", "") + "&p=":                  "p: значение не указано",
		snilsQuery("snils", "112233445-95x"):         "snils: " + unreadable,
		snilsQuery("snils", "1122334459"):            "snils: недопустимое значение",
		snilsQuery("snils", "112-233-445--95"):       "snils: длина должна быть не больше 14 символов",
		snilsQuery("f", strings.Repeat("ж", 201)):    "f: длина должна быть не больше 200 символов",
		"f=1":                                   "epgu: " + whole,
		"p=1":                                   "epgu: " + whole,
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

// Promise: whatever stands in a parameter, it identifies, or is refused, and never is a failure.
func TestUnusualIdentificationValues(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	whole := map[string]url.Values{}
	for _, way := range []string{policyQuery(sceneBirthDate) + "&s_pol=1", sc.PersonQuery(), sc.MkabQuery(), snilsQuery()} {
		values, err := url.ParseQuery(way)
		require.NoError(t, err)
		for name := range values {
			whole[name] = values
		}
	}
	parameters := harness.ContractDoc().Paths.Find("/auth/cod/token").Get.Parameters
	require.Len(t, whole, len(parameters), "every parameter is in a way")
	for _, parameter := range parameters {
		name := parameter.Value.Name
		for _, value := range oddValues(sc) {
			changed := maps.Clone(whole[name])
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

// Promise: whoever does not prove to be a client application gets one answer, whatever is wrong and whatever is asked, and cannot use up anybody's attempts.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	mute := uuid.New()
	sc.Exec(`INSERT INTO client_application VALUES ($1, 'Без секрета')`, mute)
	ask := func(query string, change func(*http.Request)) harness.Answer {
		request := sc.NewRequest(http.MethodGet, "/auth/cod/token?"+query, nil)
		change(request)
		return sc.Do(request)
	}
	as := func(client, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(client, secret) }
	}
	for name, change := range map[string]func(*http.Request){
		"nobody":             func(*http.Request) {},
		"a patient":          func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person)) },
		"no scheme":          func(r *http.Request) { r.Header.Set("Authorization", harness.ClientSecret) },
		"nothing":            func(r *http.Request) { r.Header.Set("Authorization", "Basic ") },
		"no base64":          func(r *http.Request) { r.Header.Set("Authorization", "Basic "+harness.ClientSecret) },
		"no secret":          as(harness.ClientGuid.String(), ""),
		"a wrong secret":     as(harness.ClientGuid.String(), harness.ClientSecret+"x"),
		"a part of it":       as(harness.ClientGuid.String(), harness.ClientSecret[1:]),
		"its hash":           as(harness.ClientGuid.String(), "\x00"),
		"an unknown client":  as(uuid.NewString(), harness.ClientSecret),
		"the zero guid":      as(uuid.Nil.String(), harness.ClientSecret),
		"no guid":            as("portal", harness.ClientSecret),
		"without a secret":   as(mute.String(), ""),
		"with another's":     as(mute.String(), harness.ClientSecret),
		"zeros for a secret": as(mute.String(), strings.Repeat("\x00", 32)),
		"two headers": func(r *http.Request) {
			r.SetBasicAuth(harness.ClientGuid.String(), harness.ClientSecret)
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
		},
	} {
		for _, query := range []string{sc.PersonQuery(), policyQuery("1980-01-01"), "personguid=x", ""} {
			a := ask(query, change)
			a.RequireRefusal(t, "client_unauthenticated")
			require.Equal(t, "5403", a.Refusal.MessageCode, name)
		}
	}
	require.Zero(t, sc.Count(`SELECT count(*) FROM failed_identification`))
	requireToken(t, ask(sc.PersonQuery(), as(strings.ToUpper(harness.ClientGuid.String()), harness.ClientSecret)))
}

// Promise: where it is not configured the authorisation service is not there, for any method, and the catalogue says so.
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
	require.Subset(t, disabledRules(t, sc.Get(sc.Person, "/rules")), []string{"client_unauthenticated", "patient_not_identified", "too_many_attempts"})
}

// Promise: at one patient nobody guesses more than a few times; then the right data are refused, too, until the time that was told has passed. Other
// patients, and the same one shown in another way, are not concerned.
func TestGuessesAtAPatient(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	another := uuid.New()
	sc.Exec(`INSERT INTO client_application (guid, name, secret_hash) VALUES ($1, 'Другое', sha256('another'))`, another)
	for i := range booking.PatientLimit.Failures {
		requireToken(t, sc.Identify(policyQuery(sceneBirthDate)))
		sc.Identify(policyQuery("1980-01-0"+strconv.Itoa(i+1))).RequireRefusal(t, "patient_not_identified")
	}
	locked := func(seconds string, a harness.Answer) {
		t.Helper()
		a.RequireRefusal(t, "too_many_attempts")
		require.Equal(t, seconds, a.Header.Get("Retry-After"))
	}
	locked("900", sc.Identify(policyQuery("1980-01-09")))
	locked("900", sc.Identify(policyQuery(sceneBirthDate)))
	locked("900", sc.Identify(policyQuery(sceneBirthDate)+"&s_pol=46"))
	locked("900", sc.IdentifyAs(another.String(), "another", policyQuery(sceneBirthDate)))
	requireToken(t, sc.Identify(harness.EncodeQuery("n_pol", "777", "s_pol", "46 05", "Birthday", sceneBirthDate)))
	requireToken(t, sc.Identify(sc.PersonQuery()))
	requireToken(t, sc.Identify(snilsQuery()))

	sc.AgeFailures(10*time.Minute + 500*time.Millisecond)
	locked("300", sc.Identify(policyQuery(sceneBirthDate)))
	sc.AgeFailures(5*time.Minute - 500*time.Millisecond)
	for range booking.PatientLimit.Failures {
		requireToken(t, sc.Identify(policyQuery(sceneBirthDate)))
		sc.Identify(policyQuery("1980-01-01")).RequireRefusal(t, "patient_not_identified")
	}
	locked("900", sc.Identify(policyQuery(sceneBirthDate)))
}

// Promise: one client application cannot try many patients either; others go on.
func TestGuessesOfAClient(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	another := uuid.New()
	sc.Exec(`INSERT INTO client_application (guid, name, secret_hash) VALUES ($1, 'Другое', sha256('another'))`, another)
	for range booking.ClientLimit.Failures {
		sc.Identify(harness.EncodeQuery("personguid", uuid.NewString())).RequireRefusal(t, "patient_not_identified")
	}
	for _, way := range []string{harness.EncodeQuery("personguid", uuid.NewString()), sc.PersonQuery(), policyQuery(sceneBirthDate)} {
		a := sc.Identify(way)
		a.RequireRefusal(t, "too_many_attempts")
		require.Equal(t, "60", a.Header.Get("Retry-After"))
	}
	requireToken(t, sc.IdentifyAs(another.String(), "another", sc.PersonQuery()))
	sc.AgeFailures(booking.ClientLimit.Within)
	requireToken(t, sc.Identify(sc.PersonQuery()))
}

// Promise: who guesses with many requests at once is told no more than who guesses one by one; who is right is not hindered by being asked for at once.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t, func(c *app.Config) { c.DatabaseConns, c.Timeout = 16, time.Minute })
	ask := func(way func(i int) string) map[string]int {
		t.Helper()
		asks := make([]func() harness.Answer, harness.Contenders)
		for i := range asks {
			asks[i] = func() harness.Answer { return sc.Identify(way(i)) }
		}
		answers := map[string]int{}
		for _, a := range sendAll(asks) {
			answers[string(a.Refusal.Rule)]++
		}
		return answers
	}
	require.Equal(t, map[string]int{"": harness.Contenders}, ask(func(int) string { return policyQuery(sceneBirthDate) }))

	day := func(after int) string {
		return policyQuery(time.Date(1980, 2, 29+after, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
	}
	const told = "patient_not_identified"
	require.Equal(t, map[string]int{told: booking.PatientLimit.Failures, "too_many_attempts": harness.Contenders - booking.PatientLimit.Failures},
		ask(func(i int) string { return day(i + 1) }))
	sc.AgeFailures(booking.PatientLimit.Within)
	// The right one among them, too, has to come before the last that is told.
	answers := ask(func(i int) string { return day(i - 20) })
	require.Equal(t, booking.PatientLimit.Failures, answers[told])
	require.LessOrEqual(t, answers[""], 1)

	sc.AgeFailures(booking.PatientLimit.Within)
	sc.Exec(`INSERT INTO failed_identification VALUES ($1, 95, $2) ON CONFLICT (subject) DO UPDATE SET failures = 95, since = $2`, harness.ClientGuid[:], harness.Moment)
	require.Equal(t, map[string]int{told: 5, "too_many_attempts": harness.Contenders - 5}, ask(func(int) string { return harness.EncodeQuery("personguid", uuid.NewString()) }))
	require.Equal(t, booking.ClientLimit.Failures, sc.Count(`SELECT failures FROM failed_identification WHERE subject = $1`, harness.ClientGuid[:]))
	require.Zero(t, sc.Count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
}

// Promise: failures that count no more are forgotten; those that do are not.
func TestOldFailuresAreDeleted(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	sc.Exec(`INSERT INTO failed_identification SELECT sha256(n::text::bytea), 1, $1::timestamptz FROM generate_series(1, 2500) n`, harness.Moment.Add(-booking.PatientLimit.Within))
	sc.Identify(policyQuery("1980-01-01")).RequireRefusal(t, "patient_not_identified")
	sc.Stop()
	started := harness.StartOn(t, string(sc.Config.DatabaseURL))
	require.Eventually(t, func() bool { return started.Count(`SELECT count(*) FROM failed_identification`) == 2 }, 20*time.Second, 5*time.Millisecond)
}

// Promise: the log holds nothing of what was shown, of the secret and of the token, whatever was answered.
func TestIdentificationLogHasNoSecrets(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	shown := []string{
		"1234567890123456", sceneBirthDate, "1980-02-28", sc.Person.String(), sc.MkabTo.String(), "112233", "112-233", "Сем", "Алёна", "Петровна", harness.ClientSecret, "eyJ", "Basic ",
		url.QueryEscape("Семёнова"),
	}
	for _, way := range []string{
		policyQuery(sceneBirthDate), policyQuery("1980-02-28"), policyQuery(sceneBirthDate) + "x", sc.PersonQuery(), sc.MkabQuery(), snilsQuery(), snilsQuery("f", "Семёнов"), snilsQuery("epgu", ""),
	} {
		sc.Identify(way)
		sc.IdentifyAs(harness.ClientGuid.String(), harness.ClientSecret+"x", way)
	}
	sc.Exec(`ALTER TABLE mkab RENAME COLUMN snils TO number`)
	sc.Identify(snilsQuery()).RequireRefusal(t, "internal_error")
	log := sc.Logs.String()
	require.Contains(t, log, "/auth/cod/token")
	require.Contains(t, log, harness.ClientGuid.String())
	for _, secret := range shown {
		require.NotContains(t, log, secret)
	}
}

// Promise: talon client-secret makes a secret that is long and random, shows it once and keeps its hash alone; the one before ends.
func TestClientSecretCommand(t *testing.T) {
	t.Parallel()
	sc := startWithAuthService(t)
	database := []string{"DATABASE_URL=" + string(sc.Config.DatabaseURL)}
	requireToken(t, sc.Identify(sc.PersonQuery()))
	var secrets []string
	for range 2 {
		code, stdout, stderr := run(t, database, "client-secret", "--client", harness.ClientGuid.String())
		require.Zero(t, code, stderr)
		secret := strings.TrimSuffix(stdout, "\n")
		require.Regexp(t, `^\S{26,}$`, secret)
		secrets = append(secrets, secret)
		requireToken(t, sc.IdentifyAs(harness.ClientGuid.String(), secret, sc.PersonQuery()))
		sc.Identify(sc.PersonQuery()).RequireRefusal(t, "client_unauthenticated")
		require.NotContains(t, sc.Snapshot()["client_application"], secret)
	}
	require.NotEqual(t, secrets[0], secrets[1])
	sc.IdentifyAs(harness.ClientGuid.String(), secrets[0], sc.PersonQuery()).RequireRefusal(t, "client_unauthenticated")

	code, stdout, stderr := run(t, database, "client-secret", "--client", uuid.NewString())
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "no such client application")
}
