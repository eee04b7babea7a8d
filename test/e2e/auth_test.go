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

	"talon.example/test/harness"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

// office is a scene with the authorisation service, whose client application has a secret, and whose patient's card in the target institution bears all
// that a patient can be shown by.
func office(t testing.TB, configure ...func(*app.Config)) *harness.Scene {
	t.Helper()
	sc := harness.Start(t, append([]func(*app.Config){harness.WithTokens}, configure...)...).Scene()
	sc.GiveSecret()
	sc.Exec(`UPDATE mkab SET surname = 'Семёнова-Ёлкина', name = 'Алёна', patronymic = 'Петровна', snils = '112-233-445 95' WHERE guid = $1`, sc.MkabTo)
	sc.Exec(`INSERT INTO mkab_policy VALUES ($1, $2, '', '1234567890123456'), ($1, $2, '46 05', '777')`, sc.To, sc.MkabTo)
	sc.Exec(testdb.IndexRows)
	return sc
}

// The ways to show the patient of the office.
func policyWay(birthDate string) string {
	return harness.Query("n_pol", "1234567890123456", "Birthday", birthDate)
}

func snilsWay(changes ...string) string {
	values := url.Values{"epgu": {"true"}, "snils": {"11223344595"}, "f": {"Семёнова-Ёлкина"}, "n": {"Алёна"}, "p": {"Петровна"}}
	for i := 0; i < len(changes); i += 2 {
		values.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			values.Del(changes[i])
		}
	}
	return values.Encode()
}

const born = "1980-02-29" // the patient of a scene

// issued is the token that was answered.
func issued(t testing.TB, a harness.Answer) api.CodToken {
	t.Helper()
	return harness.As[api.CodToken](t, a)
}

// Promise: whichever way a patient is shown, the token is the patient's, through the client application that asked, for as long as it says; it books.
func TestTokenOfEachWay(t *testing.T) {
	t.Parallel()
	own := filepath.Join(t.TempDir(), "key.pem")
	_, err := auth.EnsureSigningKey(own)
	require.NoError(t, err)
	// Nothing but its own public half verifies what the service has signed.
	sc := office(t, func(c *app.Config) { c.AuthKeyFile, c.PEMFile, c.AuthTokenLife = own, "", 90*time.Minute })
	for name, way := range map[string]string{
		"policy": policyWay(born), "policy with a series": harness.Query("n_pol", "777", "s_pol", "46 05", "Birthday", born), "person": sc.PersonWay(), "card": sc.MkabWay(), "СНИЛС": snilsWay(),
	} {
		a := sc.Identify(way)
		token := issued(t, a)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"), name)
		require.Equal(t, sc.Person, token.PersonGUID, name)
		require.Equal(t, harness.Moment.Add(90*time.Minute).UTC(), token.ExpiresAt, name)
		request := sc.Service.Request(http.MethodGet, "/directions", nil)
		request.Header.Set("Authorization", "Bearer "+token.Token)
		require.Len(t, harness.As[api.DirectionPage](t, sc.Do(request)).Items, 1, name)
	}
	a := sc.Post(sc.Request(), "Bearer "+issued(t, sc.Identify(sc.PersonWay())).Token)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.Raw)
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE person_guid = $1 AND client_guid = $2`, sc.Person, harness.ClientGuid))
	require.Zero(t, sc.Count(`SELECT count(*) FROM failed_identification`), "who is identified leaves nothing behind")
}

// Promise: the same data in another spelling show the same patient.
func TestSpellings(t *testing.T) {
	t.Parallel()
	sc := office(t)
	for name, way := range map[string]string{
		"СНИЛС as it is printed":      snilsWay("snils", "112-233-445 95"),
		"СНИЛС with dashes":           snilsWay("snils", "112-233-445-95"),
		"another case":                snilsWay("f", "СЕМЁНОВА-ЁЛКИНА", "n", "алёна", "p", "ПЕТРОВНА"),
		"е for ё":                     snilsWay("f", "Семенова-Елкина", "n", "АЛЕНА"),
		"spaces around":               snilsWay("f", " Семёнова-Ёлкина ", "p", "\tПетровна"),
		"a policy with spaces around": harness.Query("n_pol", " 777 ", "s_pol", " 46 05 ", "Birthday", born),
		"a guid in capitals":          harness.Query("personguid", strings.ToUpper(sc.Person.String())),
		"a card in capitals":          harness.Query("mkab", strings.ToUpper(sc.MkabTo.String())),
		"epgu that is off":            sc.PersonWay() + "&epgu=false",
		"an unknown parameter":        sc.PersonWay() + "&userLpu=1&login=",
	} {
		require.Equal(t, sc.Person, issued(t, sc.Identify(way)).PersonGUID, name)
	}
	sc.Exec(`UPDATE mkab SET patronymic = ''`)
	require.Equal(t, sc.Person, issued(t, sc.Identify(snilsWay("p", ""))).PersonGUID, "who has no patronymic")
	// The card in the other institution is as good.
	sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE guid = $2`, harness.Moment, sc.MkabTo)
	require.Equal(t, sc.Person, issued(t, sc.Identify(sc.PersonWay())).PersonGUID)
	require.Equal(t, sc.Person, issued(t, sc.Identify(harness.Query("mkab", sc.MkabFrom.String()))).PersonGUID)
}

// Promise: a wrong word, nobody, a card that is closed, and two persons are one answer.
func TestNobodyIsIdentified(t *testing.T) {
	t.Parallel()
	sc := office(t)
	other, _ := sc.Patient()
	sc.Exec(`INSERT INTO mkab_policy SELECT lpu_guid, guid, '', 'shared' FROM mkab`)
	sc.Exec(`UPDATE mkab SET birth_date = $1, snils = '000-000-000 00' WHERE person_guid = $2`, born, other)
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
		"another birth date":           policyWay("1980-02-28"),
		"an unknown policy":            harness.Query("n_pol", "1", "Birthday", born),
		"a series where there is none": policyWay(born) + "&s_pol=46",
		"no series where there is one": harness.Query("n_pol", "777", "Birthday", born),
		"two persons of one policy":    harness.Query("n_pol", "shared", "Birthday", born),
		"a policy of a closed card":    harness.Query("n_pol", "closed", "Birthday", "2000-01-01"),
		"an unknown person":            harness.Query("personguid", uuid.NewString()),
		"a person with a closed card":  harness.Query("personguid", closed.String()),
		"a card for a person":          harness.Query("personguid", sc.MkabTo.String()),
		"an unknown card":              harness.Query("mkab", uuid.NewString()),
		"a closed card":                harness.Query("mkab", closed.String()),
		"a person for a card":          harness.Query("mkab", sc.Person.String()),
		"an unknown СНИЛС":             snilsWay("snils", "11223344596"),
		"another surname":              snilsWay("f", "Семёнова"),
		"another name":                 snilsWay("n", "Елена"),
		"another patronymic":           snilsWay("p", "Павловна"),
		"no patronymic":                snilsWay("p", ""),
		"names in another order":       snilsWay("f", "Алёна", "n", "Семёнова-Ёлкина"),
		"a pattern for a name":         snilsWay("f", "%", "n", "_"),
		"a СНИЛС of a closed card":     snilsWay("snils", "00000000002", "f", "Закрытый", "n", "Первый", "p", ""),
		"a СНИЛС of everybody":         snilsWay("snils", "00000000001", "f", "Единственный", "n", "Первый", "p", ""),
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
	require.Equal(t, sc.Person, issued(t, sc.Identify(harness.Query("n_pol", "shared", "Birthday", born))).PersonGUID)
	sc.Exec(`INSERT INTO mkab SELECT $1, guid, gen_random_uuid(), surname, name, patronymic, birth_date, sex, snils, false, false, created_at FROM mkab WHERE guid = $2`,
		sc.From, sc.MkabTo)
	sc.Exec(testdb.IndexRows)
	sc.Identify(sc.MkabWay()).RequireRefusal(t, "patient_not_identified")
	sc.Identify(snilsWay()).RequireRefusal(t, "patient_not_identified")
}

// Promise: what is not exactly one way, complete, is refused by the name of a parameter, and counts as no failure.
func TestWaysAreWhole(t *testing.T) {
	t.Parallel()
	sc := office(t)
	const notAGuid = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	const several = "указано больше одного способа определить пациента"
	const absent = "обязательное поле не указано"
	const unreadable = "недопустимые символы"
	const whole = "вместе с snils, f, n и p ожидается true"
	for query, message := range map[string]string{
		"":                                      "personguid: обязательно указание personguid, или mkab, или n_pol и Birthday, или epgu, snils, f и n",
		"epgu=false":                            "personguid: обязательно указание personguid, или mkab, или n_pol и Birthday, или epgu, snils, f и n",
		"n_pol=1":                               "Birthday: " + absent,
		"Birthday=" + born:                      "n_pol: " + absent,
		"s_pol=1":                               "n_pol: " + absent,
		"s_pol=1&Birthday=" + born:              "n_pol: " + absent,
		"n_pol=%20&Birthday=" + born:            "n_pol: значение не указано",
		"n_pol=&Birthday=" + born:               "n_pol: значение не указано",
		"n_pol=1&n_pol=2&Birthday=" + born:      "n_pol: значение указано больше одного раза",
		"n_pol=%00&Birthday=" + born:            "n_pol: " + unreadable,
		"n_pol=%FF&Birthday=" + born:            "n_pol: " + unreadable,
		"n_pol=1;2&Birthday=" + born:            "n_pol: " + unreadable,
		"n_pol=" + strings.Repeat("1", 101):     "n_pol: длина должна быть не больше 100 символов",
		"s_pol=" + strings.Repeat("1", 101):     "s_pol: длина должна быть не больше 100 символов",
		"s_pol=&n_pol=1&Birthday=" + born:       "s_pol: значение не указано",
		"n_pol=1&Birthday=29.02.1980":           "Birthday: ожидается дата (2006-01-02)",
		"n_pol=1&Birthday=1981-02-29":           "Birthday: ожидается дата (2006-01-02)",
		"n_pol=1&Birthday=":                     "Birthday: значение не указано",
		"personguid=x":                          "personguid: " + notAGuid,
		"personguid=" + uuid.Nil.String():       "personguid: нулевой guid недопустим",
		"mkab=x":                                "mkab: " + notAGuid,
		"mkab=" + uuid.Nil.String():             "mkab: нулевой guid недопустим",
		"epgu=x":                                "epgu: ожидается true или false",
		snilsWay("epgu", "1"):                   "epgu: ожидается true или false",
		snilsWay("epgu", "TRUE"):                "epgu: ожидается true или false",
		snilsWay("epgu", "F"):                   "epgu: ожидается true или false",
		"epgu=true":                             "snils: " + absent,
		snilsWay("epgu", ""):                    "epgu: " + whole,
		snilsWay("epgu", "false"):               "epgu: " + whole,
		snilsWay("snils", ""):                   "snils: " + absent,
		snilsWay("f", ""):                       "f: " + absent,
		snilsWay("n", ""):                       "n: " + absent,
		snilsWay("f", " "):                      "f: значение не указано",
		snilsWay("p", "") + "&p=":               "p: значение не указано",
		snilsWay("snils", "112233445-95x"):      "snils: " + unreadable,
		snilsWay("snils", "1122334459"):         "snils: недопустимое значение",
		snilsWay("snils", "112-233-445--95"):    "snils: длина должна быть не больше 14 символов",
		snilsWay("f", strings.Repeat("ж", 201)): "f: длина должна быть не больше 200 символов",
		"f=1":                                   "epgu: " + whole,
		"p=1":                                   "epgu: " + whole,
		sc.PersonWay() + "&" + sc.MkabWay():     "mkab: " + several,
		sc.PersonWay() + "&n_pol=1":             "personguid: " + several,
		sc.PersonWay() + "&Birthday=" + born:    "personguid: " + several,
		sc.MkabWay() + "&epgu=true":             "epgu: " + several,
		sc.MkabWay() + "&snils=11223344595":     "epgu: " + several,
		policyWay(born) + "&" + snilsWay():      "epgu: " + several,
	} {
		a := sc.Identify(query)
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, "Поле "+message, a.Refusal.Message, query)
	}
	require.Zero(t, sc.Count(`SELECT count(*) FROM failed_identification`))
}

// Promise: whatever stands in a parameter, it identifies, or is refused, and never is a failure.
func TestOddIdentification(t *testing.T) {
	t.Parallel()
	sc := office(t)
	whole := map[string]url.Values{}
	for _, way := range []string{policyWay(born) + "&s_pol=1", sc.PersonWay(), sc.MkabWay(), snilsWay()} {
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
			a.RequireRefusalOf(t, "", "field_invalid", "patient_not_identified")
			if a.Refusal.Rule == "field_invalid" {
				require.Regexp(t, "^Поле ("+name+"|epgu): ", a.Refusal.Message, "%s", value)
			}
			sc.Exec(`DELETE FROM failed_identification`)
		}
	}
	require.NotContains(t, sc.Logs.String(), `"level":"ERROR"`)
}

// Promise: whoever does not prove to be a client application gets one answer, whatever is wrong and whatever is asked, and cannot use up anybody's attempts.
func TestClientProvesItself(t *testing.T) {
	t.Parallel()
	sc := office(t)
	mute := uuid.New()
	sc.Exec(`INSERT INTO client_application VALUES ($1, 'Без секрета')`, mute)
	ask := func(query string, change func(*http.Request)) harness.Answer {
		request := sc.Service.Request(http.MethodGet, "/auth/cod/token?"+query, nil)
		change(request)
		return sc.Do(request)
	}
	as := func(client, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(client, secret) }
	}
	for name, change := range map[string]func(*http.Request){
		"nobody":             func(*http.Request) {},
		"a patient":          func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person)) },
		"no scheme":          func(r *http.Request) { r.Header.Set("Authorization", harness.SecretOfClient) },
		"nothing":            func(r *http.Request) { r.Header.Set("Authorization", "Basic ") },
		"no base64":          func(r *http.Request) { r.Header.Set("Authorization", "Basic "+harness.SecretOfClient) },
		"no secret":          as(harness.ClientGuid.String(), ""),
		"a wrong secret":     as(harness.ClientGuid.String(), harness.SecretOfClient+"x"),
		"a part of it":       as(harness.ClientGuid.String(), harness.SecretOfClient[1:]),
		"its hash":           as(harness.ClientGuid.String(), "\x00"),
		"an unknown client":  as(uuid.NewString(), harness.SecretOfClient),
		"the zero guid":      as(uuid.Nil.String(), harness.SecretOfClient),
		"no guid":            as("portal", harness.SecretOfClient),
		"without a secret":   as(mute.String(), ""),
		"with another's":     as(mute.String(), harness.SecretOfClient),
		"zeros for a secret": as(mute.String(), strings.Repeat("\x00", 32)),
		"two headers": func(r *http.Request) {
			r.SetBasicAuth(harness.ClientGuid.String(), harness.SecretOfClient)
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
		},
	} {
		for _, query := range []string{sc.PersonWay(), policyWay("1980-01-01"), "personguid=x", ""} {
			a := ask(query, change)
			a.RequireRefusal(t, "client_unauthenticated")
			require.Equal(t, "5403", a.Refusal.MessageCode, name)
		}
	}
	require.Zero(t, sc.Count(`SELECT count(*) FROM failed_identification`))
	issued(t, ask(sc.PersonWay(), as(strings.ToUpper(harness.ClientGuid.String()), harness.SecretOfClient)))
}

// Promise: where it is not configured the authorisation service is not there, for any method, and the catalogue says so.
func TestAuthorisationServiceIsOff(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.GiveSecret()
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		request := sc.Service.Request(method, "/auth/cod/token?"+sc.PersonWay(), nil)
		request.SetBasicAuth(harness.ClientGuid.String(), harness.SecretOfClient)
		a := sc.Do(request)
		a.RequireRefusal(t, "route_not_found")
		require.Empty(t, a.Header.Get("Allow"))
	}
	require.Subset(t, off(t, sc.Get(sc.Person, "/rules")), []string{"client_unauthenticated", "patient_not_identified", "too_many_attempts"})
}

// Promise: at one patient nobody guesses more than a few times; then the right data are refused, too, until the time that was told has passed. Other
// patients, and the same one shown in another way, are not concerned.
func TestGuessesAtAPatient(t *testing.T) {
	t.Parallel()
	sc := office(t)
	another := uuid.New()
	sc.Exec(`INSERT INTO client_application (guid, name, secret_hash) VALUES ($1, 'Другое', sha256('another'))`, another)
	for i := range booking.PatientLimit.Failures {
		issued(t, sc.Identify(policyWay(born)))
		sc.Identify(policyWay("1980-01-0"+strconv.Itoa(i+1))).RequireRefusal(t, "patient_not_identified")
	}
	locked := func(seconds string, a harness.Answer) {
		t.Helper()
		a.RequireRefusal(t, "too_many_attempts")
		require.Equal(t, seconds, a.Header.Get("Retry-After"))
	}
	locked("900", sc.Identify(policyWay("1980-01-09")))
	locked("900", sc.Identify(policyWay(born)))
	locked("900", sc.Identify(policyWay(born)+"&s_pol=46"))
	locked("900", sc.IdentifyAs(another.String(), "another", policyWay(born)))
	issued(t, sc.Identify(harness.Query("n_pol", "777", "s_pol", "46 05", "Birthday", born)))
	issued(t, sc.Identify(sc.PersonWay()))
	issued(t, sc.Identify(snilsWay()))

	sc.Lapse(10*time.Minute + 500*time.Millisecond)
	locked("300", sc.Identify(policyWay(born)))
	sc.Lapse(5*time.Minute - 500*time.Millisecond)
	for range booking.PatientLimit.Failures {
		issued(t, sc.Identify(policyWay(born)))
		sc.Identify(policyWay("1980-01-01")).RequireRefusal(t, "patient_not_identified")
	}
	locked("900", sc.Identify(policyWay(born)))
}

// Promise: one client application cannot try many patients either; others go on.
func TestGuessesOfAClient(t *testing.T) {
	t.Parallel()
	sc := office(t)
	another := uuid.New()
	sc.Exec(`INSERT INTO client_application (guid, name, secret_hash) VALUES ($1, 'Другое', sha256('another'))`, another)
	for range booking.ClientLimit.Failures {
		sc.Identify(harness.Query("personguid", uuid.NewString())).RequireRefusal(t, "patient_not_identified")
	}
	for _, way := range []string{harness.Query("personguid", uuid.NewString()), sc.PersonWay(), policyWay(born)} {
		a := sc.Identify(way)
		a.RequireRefusal(t, "too_many_attempts")
		require.Equal(t, "60", a.Header.Get("Retry-After"))
	}
	issued(t, sc.IdentifyAs(another.String(), "another", sc.PersonWay()))
	sc.Lapse(booking.ClientLimit.Within)
	issued(t, sc.Identify(sc.PersonWay()))
}

// Promise: who guesses with many requests at once is told no more than who guesses one by one; who is right is not hindered by being asked for at once.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	sc := office(t, func(c *app.Config) { c.DatabaseConns, c.Timeout = 16, time.Minute })
	ask := func(way func(i int) string) map[string]int {
		t.Helper()
		asks := make([]func() harness.Answer, harness.Contenders)
		for i := range asks {
			asks[i] = func() harness.Answer { return sc.Identify(way(i)) }
		}
		answers := map[string]int{}
		for _, a := range all(asks) {
			answers[string(a.Refusal.Rule)]++
		}
		return answers
	}
	require.Equal(t, map[string]int{"": harness.Contenders}, ask(func(int) string { return policyWay(born) }))

	day := func(after int) string {
		return policyWay(time.Date(1980, 2, 29+after, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
	}
	const told = "patient_not_identified"
	require.Equal(t, map[string]int{told: booking.PatientLimit.Failures, "too_many_attempts": harness.Contenders - booking.PatientLimit.Failures},
		ask(func(i int) string { return day(i + 1) }))
	sc.Lapse(booking.PatientLimit.Within)
	// The right one among them, too, has to come before the last that is told.
	answers := ask(func(i int) string { return day(i - 20) })
	require.Equal(t, booking.PatientLimit.Failures, answers[told])
	require.LessOrEqual(t, answers[""], 1)

	sc.Lapse(booking.PatientLimit.Within)
	sc.Exec(`INSERT INTO failed_identification VALUES ($1, 95, $2) ON CONFLICT (subject) DO UPDATE SET failures = 95, since = $2`, harness.ClientGuid[:], harness.Moment)
	require.Equal(t, map[string]int{told: 5, "too_many_attempts": harness.Contenders - 5}, ask(func(int) string { return harness.Query("personguid", uuid.NewString()) }))
	require.Equal(t, booking.ClientLimit.Failures, sc.Count(`SELECT failures FROM failed_identification WHERE subject = $1`, harness.ClientGuid[:]))
	require.Zero(t, sc.Count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
}

// Promise: failures that count no more are forgotten; those that do are not.
func TestFailuresAreSwept(t *testing.T) {
	t.Parallel()
	sc := office(t)
	sc.Exec(`INSERT INTO failed_identification SELECT sha256(n::text::bytea), 1, $1::timestamptz FROM generate_series(1, 2500) n`, harness.Moment.Add(-booking.PatientLimit.Within))
	sc.Identify(policyWay("1980-01-01")).RequireRefusal(t, "patient_not_identified")
	sc.Stop()
	started := harness.StartOn(t, string(sc.Config.DatabaseURL))
	require.Eventually(t, func() bool { return started.Count(`SELECT count(*) FROM failed_identification`) == 2 }, 20*time.Second, 5*time.Millisecond)
}

// Promise: the log holds nothing of what was shown, of the secret and of the token, whatever was answered.
func TestIdentificationInTheLog(t *testing.T) {
	t.Parallel()
	sc := office(t)
	shown := []string{
		"1234567890123456", born, "1980-02-28", sc.Person.String(), sc.MkabTo.String(), "112233", "112-233", "Сем", "Алёна", "Петровна", harness.SecretOfClient, "eyJ", "Basic ",
		url.QueryEscape("Семёнова"),
	}
	for _, way := range []string{
		policyWay(born), policyWay("1980-02-28"), policyWay(born) + "x", sc.PersonWay(), sc.MkabWay(), snilsWay(), snilsWay("f", "Семёнов"), snilsWay("epgu", ""),
	} {
		sc.Identify(way)
		sc.IdentifyAs(harness.ClientGuid.String(), harness.SecretOfClient+"x", way)
	}
	sc.Exec(`ALTER TABLE mkab RENAME COLUMN snils TO number`)
	sc.Identify(snilsWay()).RequireRefusal(t, "internal_error")
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
	sc := office(t)
	database := []string{"DATABASE_URL=" + string(sc.Config.DatabaseURL)}
	issued(t, sc.Identify(sc.PersonWay()))
	var secrets []string
	for range 2 {
		code, stdout, stderr := run(t, database, "client-secret", "--client", harness.ClientGuid.String())
		require.Zero(t, code, stderr)
		secret := strings.TrimSuffix(stdout, "\n")
		require.Regexp(t, `^\S{26,}$`, secret)
		secrets = append(secrets, secret)
		issued(t, sc.IdentifyAs(harness.ClientGuid.String(), secret, sc.PersonWay()))
		sc.Identify(sc.PersonWay()).RequireRefusal(t, "client_unauthenticated")
		require.NotContains(t, sc.Snapshot()["client_application"], secret)
	}
	require.NotEqual(t, secrets[0], secrets[1])
	sc.IdentifyAs(harness.ClientGuid.String(), secrets[0], sc.PersonWay()).RequireRefusal(t, "client_unauthenticated")

	code, stdout, stderr := run(t, database, "client-secret", "--client", uuid.NewString())
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "no such client application")
}
