package app_test

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
)

// withTokens switches the authorisation service on.
func withTokens(c *app.Config) { c.AuthKeyFile = privateKeyOf(c) }

const secretOfClient = "the secret of the scene's client"

// office is a scene with the authorisation service, whose client application has a secret, and whose patient's card in the target institution bears all
// that a patient can be shown by.
func office(t testing.TB, configure ...func(*app.Config)) *scene {
	t.Helper()
	sc := start(t, append([]func(*app.Config){withTokens}, configure...)...).scene()
	sc.giveSecret()
	sc.exec(`UPDATE mkab SET surname = 'Семёнова-Ёлкина', name = 'Алёна', patronymic = 'Петровна', snils = '112-233-445 95' WHERE guid = $1`, sc.mkabTo)
	sc.exec(`INSERT INTO mkab_policy VALUES ($1, $2, '', '1234567890123456'), ($1, $2, '46 05', '777')`, sc.to, sc.mkabTo)
	sc.exec(testdb.IndexRows)
	return sc
}

func (s *service) giveSecret() {
	s.t.Helper()
	s.exec(`UPDATE client_application SET secret_hash = sha256($1)`, []byte(secretOfClient))
}

// query writes parameters, pairs of a name and a value.
func query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// The ways to show the patient of the office.
func policyWay(birthDate string) string {
	return query("n_pol", "1234567890123456", "Birthday", birthDate)
}

func (sc *scene) personWay() string { return query("personguid", sc.person.String()) }
func (sc *scene) mkabWay() string   { return query("mkab", sc.mkabTo.String()) }

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

// identify asks for a token through the client application of the scene.
func (s *service) identify(query string) answer {
	s.t.Helper()
	return s.identifyAs(clientGuid.String(), secretOfClient, query)
}

func (s *service) identifyAs(client, secret, query string) answer {
	s.t.Helper()
	request := s.request(http.MethodGet, "/auth/cod/token?"+query, nil)
	request.SetBasicAuth(client, secret)
	return s.do(request)
}

// issued is the token that was answered.
func issued(t testing.TB, a answer) api.CodToken {
	t.Helper()
	return as[api.CodToken](t, a)
}

// lapse lets time pass for the failures that were counted.
func (s *service) lapse(by time.Duration) {
	s.t.Helper()
	s.exec(`UPDATE failed_identification SET since = since - make_interval(secs => $1)`, by.Seconds())
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
		"policy": policyWay(born), "policy with a series": query("n_pol", "777", "s_pol", "46 05", "Birthday", born), "person": sc.personWay(), "card": sc.mkabWay(), "СНИЛС": snilsWay(),
	} {
		a := sc.identify(way)
		token := issued(t, a)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"), name)
		require.Equal(t, sc.person, token.PersonGUID, name)
		require.Equal(t, moment.Add(90*time.Minute).UTC(), token.ExpiresAt, name)
		request := sc.service.request(http.MethodGet, "/directions", nil)
		request.Header.Set("Authorization", "Bearer "+token.Token)
		require.Len(t, as[api.DirectionPage](t, sc.do(request)).Items, 1, name)
	}
	a := sc.post(sc.request(), "Bearer "+issued(t, sc.identify(sc.personWay())).Token)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.raw)
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment WHERE person_guid = $1 AND client_guid = $2`, sc.person, clientGuid))
	require.Zero(t, sc.count(`SELECT count(*) FROM failed_identification`), "who is identified leaves nothing behind")
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
		"a policy with spaces around": query("n_pol", " 777 ", "s_pol", " 46 05 ", "Birthday", born),
		"a guid in capitals":          query("personguid", strings.ToUpper(sc.person.String())),
		"a card in capitals":          query("mkab", strings.ToUpper(sc.mkabTo.String())),
		"epgu that is off":            sc.personWay() + "&epgu=false",
		"an unknown parameter":        sc.personWay() + "&userLpu=1&login=",
	} {
		require.Equal(t, sc.person, issued(t, sc.identify(way)).PersonGUID, name)
	}
	sc.exec(`UPDATE mkab SET patronymic = ''`)
	require.Equal(t, sc.person, issued(t, sc.identify(snilsWay("p", ""))).PersonGUID, "who has no patronymic")
	// The card in the other institution is as good.
	sc.exec(`UPDATE mkab SET closed_at = $1 WHERE guid = $2`, moment, sc.mkabTo)
	require.Equal(t, sc.person, issued(t, sc.identify(sc.personWay())).PersonGUID)
	require.Equal(t, sc.person, issued(t, sc.identify(query("mkab", sc.mkabFrom.String()))).PersonGUID)
}

// Promise: a wrong word, nobody, a card that is closed, and two persons are one answer.
func TestNobodyIsIdentified(t *testing.T) {
	t.Parallel()
	sc := office(t)
	other, _ := sc.patient()
	sc.exec(`INSERT INTO mkab_policy SELECT lpu_guid, guid, '', 'shared' FROM mkab`)
	sc.exec(`UPDATE mkab SET birth_date = $1, snils = '000-000-000 00' WHERE person_guid = $2`, born, other)
	sc.exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, snils, created_at)
		SELECT $1, gen_random_uuid(), gen_random_uuid(), 'Пациент ' || n % 2, 'Первый', '2000-01-01', 'male', '00000000001', $2 FROM generate_series(1, 101) n`, sc.to, moment)
	closed := uuid.New()
	sc.exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, snils, created_at, closed_at)
		VALUES ($1, $2, $2, 'Закрытый', 'Первый', '2000-01-01', 'male', '00000000002', $3, $3)`, sc.to, closed, moment)
	sc.exec(`INSERT INTO mkab_policy VALUES ($1, $2, '', 'closed')`, sc.to, closed)
	unread := uuid.New() // whose number is on more cards than are read
	sc.exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, snils, created_at)
		VALUES ($1, $2, $2, 'Единственный', 'Первый', '2000-01-01', 'male', '00000000001', $3)`, sc.to, unread, moment)
	sc.exec(testdb.IndexRows)

	var first *api.Error
	for name, way := range map[string]string{
		"another birth date":           policyWay("1980-02-28"),
		"an unknown policy":            query("n_pol", "1", "Birthday", born),
		"a series where there is none": policyWay(born) + "&s_pol=46",
		"no series where there is one": query("n_pol", "777", "Birthday", born),
		"two persons of one policy":    query("n_pol", "shared", "Birthday", born),
		"a policy of a closed card":    query("n_pol", "closed", "Birthday", "2000-01-01"),
		"an unknown person":            query("personguid", uuid.NewString()),
		"a person with a closed card":  query("personguid", closed.String()),
		"a card for a person":          query("personguid", sc.mkabTo.String()),
		"an unknown card":              query("mkab", uuid.NewString()),
		"a closed card":                query("mkab", closed.String()),
		"a person for a card":          query("mkab", sc.person.String()),
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
		a := sc.identify(way)
		a.requireRefusal(t, "patient_not_identified")
		a.error.RequestID = uuid.Nil
		if first == nil {
			first = &a.error
		}
		require.Equal(t, *first, a.error, name)
		sc.exec(`DELETE FROM failed_identification`)
	}

	// Two cards of one person are one person; two persons of one card's guid are two.
	sc.exec(`DELETE FROM mkab_policy WHERE number = 'shared' AND mkab_guid NOT IN ($1, $2)`, sc.mkabTo, sc.mkabFrom)
	require.Equal(t, sc.person, issued(t, sc.identify(query("n_pol", "shared", "Birthday", born))).PersonGUID)
	sc.exec(`INSERT INTO mkab SELECT $1, guid, gen_random_uuid(), surname, name, patronymic, birth_date, sex, snils, false, false, created_at FROM mkab WHERE guid = $2`,
		sc.from, sc.mkabTo)
	sc.exec(testdb.IndexRows)
	sc.identify(sc.mkabWay()).requireRefusal(t, "patient_not_identified")
	sc.identify(snilsWay()).requireRefusal(t, "patient_not_identified")
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
		sc.personWay() + "&" + sc.mkabWay():     "mkab: " + several,
		sc.personWay() + "&n_pol=1":             "personguid: " + several,
		sc.personWay() + "&Birthday=" + born:    "personguid: " + several,
		sc.mkabWay() + "&epgu=true":             "epgu: " + several,
		sc.mkabWay() + "&snils=11223344595":     "epgu: " + several,
		policyWay(born) + "&" + snilsWay():      "epgu: " + several,
	} {
		a := sc.identify(query)
		a.requireRefusal(t, "field_invalid")
		require.Equal(t, "Поле "+message, a.error.Message, query)
	}
	require.Zero(t, sc.count(`SELECT count(*) FROM failed_identification`))
}

// Promise: whatever stands in a parameter, it identifies, or is refused, and never is a failure.
func TestOddIdentification(t *testing.T) {
	t.Parallel()
	sc := office(t)
	whole := map[string]url.Values{}
	for _, way := range []string{policyWay(born) + "&s_pol=1", sc.personWay(), sc.mkabWay(), snilsWay()} {
		values, err := url.ParseQuery(way)
		require.NoError(t, err)
		for name := range values {
			whole[name] = values
		}
	}
	parameters := contractDoc().Paths.Find("/auth/cod/token").Get.Parameters
	require.Len(t, whole, len(parameters), "every parameter is in a way")
	for _, parameter := range parameters {
		name := parameter.Value.Name
		for _, value := range oddValues(sc) {
			changed := maps.Clone(whole[name])
			changed.Set(name, value)
			a := sc.identify(changed.Encode())
			a.requireRefusalOf(t, "", "field_invalid", "patient_not_identified")
			if a.error.Rule == "field_invalid" {
				require.Regexp(t, "^Поле ("+name+"|epgu): ", a.error.Message, "%s", value)
			}
			sc.exec(`DELETE FROM failed_identification`)
		}
	}
	require.NotContains(t, sc.logs.String(), `"level":"ERROR"`)
}

// Promise: whoever does not prove to be a client application gets one answer, whatever is wrong and whatever is asked, and cannot use up anybody's attempts.
func TestClientProvesItself(t *testing.T) {
	t.Parallel()
	sc := office(t)
	mute := uuid.New()
	sc.exec(`INSERT INTO client_application VALUES ($1, 'Без секрета')`, mute)
	ask := func(query string, change func(*http.Request)) answer {
		request := sc.service.request(http.MethodGet, "/auth/cod/token?"+query, nil)
		change(request)
		return sc.do(request)
	}
	as := func(client, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(client, secret) }
	}
	for name, change := range map[string]func(*http.Request){
		"nobody":             func(*http.Request) {},
		"a patient":          func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+sc.token(sc.person)) },
		"no scheme":          func(r *http.Request) { r.Header.Set("Authorization", secretOfClient) },
		"nothing":            func(r *http.Request) { r.Header.Set("Authorization", "Basic ") },
		"no base64":          func(r *http.Request) { r.Header.Set("Authorization", "Basic "+secretOfClient) },
		"no secret":          as(clientGuid.String(), ""),
		"a wrong secret":     as(clientGuid.String(), secretOfClient+"x"),
		"a part of it":       as(clientGuid.String(), secretOfClient[1:]),
		"its hash":           as(clientGuid.String(), "\x00"),
		"an unknown client":  as(uuid.NewString(), secretOfClient),
		"the zero guid":      as(uuid.Nil.String(), secretOfClient),
		"no guid":            as("portal", secretOfClient),
		"without a secret":   as(mute.String(), ""),
		"with another's":     as(mute.String(), secretOfClient),
		"zeros for a secret": as(mute.String(), strings.Repeat("\x00", 32)),
		"two headers": func(r *http.Request) {
			r.SetBasicAuth(clientGuid.String(), secretOfClient)
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
		},
	} {
		for _, query := range []string{sc.personWay(), policyWay("1980-01-01"), "personguid=x", ""} {
			a := ask(query, change)
			a.requireRefusal(t, "client_unauthenticated")
			require.Equal(t, "5403", a.error.MessageCode, name)
		}
	}
	require.Zero(t, sc.count(`SELECT count(*) FROM failed_identification`))
	issued(t, ask(sc.personWay(), as(strings.ToUpper(clientGuid.String()), secretOfClient)))
}

// Promise: where it is not configured the authorisation service is not there, for any method, and the catalogue says so.
func TestAuthorisationServiceIsOff(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.giveSecret()
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		request := sc.service.request(method, "/auth/cod/token?"+sc.personWay(), nil)
		request.SetBasicAuth(clientGuid.String(), secretOfClient)
		a := sc.do(request)
		a.requireRefusal(t, "route_not_found")
		require.Empty(t, a.Header.Get("Allow"))
	}
	require.Subset(t, off(t, sc.get(sc.person, "/rules")), []string{"client_unauthenticated", "patient_not_identified", "too_many_attempts"})
}

// Promise: at one patient nobody guesses more than a few times; then the right data are refused, too, until the time that was told has passed. Other
// patients, and the same one shown in another way, are not concerned.
func TestGuessesAtAPatient(t *testing.T) {
	t.Parallel()
	sc := office(t)
	another := uuid.New()
	sc.exec(`INSERT INTO client_application (guid, name, secret_hash) VALUES ($1, 'Другое', sha256('another'))`, another)
	for i := range booking.PatientLimit.Failures {
		issued(t, sc.identify(policyWay(born)))
		sc.identify(policyWay("1980-01-0"+strconv.Itoa(i+1))).requireRefusal(t, "patient_not_identified")
	}
	locked := func(seconds string, a answer) {
		t.Helper()
		a.requireRefusal(t, "too_many_attempts")
		require.Equal(t, seconds, a.Header.Get("Retry-After"))
	}
	locked("900", sc.identify(policyWay("1980-01-09")))
	locked("900", sc.identify(policyWay(born)))
	locked("900", sc.identify(policyWay(born)+"&s_pol=46"))
	locked("900", sc.identifyAs(another.String(), "another", policyWay(born)))
	issued(t, sc.identify(query("n_pol", "777", "s_pol", "46 05", "Birthday", born)))
	issued(t, sc.identify(sc.personWay()))
	issued(t, sc.identify(snilsWay()))

	sc.lapse(10*time.Minute + 500*time.Millisecond)
	locked("300", sc.identify(policyWay(born)))
	sc.lapse(5*time.Minute - 500*time.Millisecond)
	for range booking.PatientLimit.Failures {
		issued(t, sc.identify(policyWay(born)))
		sc.identify(policyWay("1980-01-01")).requireRefusal(t, "patient_not_identified")
	}
	locked("900", sc.identify(policyWay(born)))
}

// Promise: one client application cannot try many patients either; others go on.
func TestGuessesOfAClient(t *testing.T) {
	t.Parallel()
	sc := office(t)
	another := uuid.New()
	sc.exec(`INSERT INTO client_application (guid, name, secret_hash) VALUES ($1, 'Другое', sha256('another'))`, another)
	for range booking.ClientLimit.Failures {
		sc.identify(query("personguid", uuid.NewString())).requireRefusal(t, "patient_not_identified")
	}
	for _, way := range []string{query("personguid", uuid.NewString()), sc.personWay(), policyWay(born)} {
		a := sc.identify(way)
		a.requireRefusal(t, "too_many_attempts")
		require.Equal(t, "60", a.Header.Get("Retry-After"))
	}
	issued(t, sc.identifyAs(another.String(), "another", sc.personWay()))
	sc.lapse(booking.ClientLimit.Within)
	issued(t, sc.identify(sc.personWay()))
}

// Promise: who guesses with many requests at once is told no more than who guesses one by one; who is right is not hindered by being asked for at once.
func TestParallelGuesses(t *testing.T) {
	t.Parallel()
	sc := office(t, func(c *app.Config) { c.DatabaseConns, c.Timeout = 16, time.Minute })
	ask := func(way func(i int) string) map[string]int {
		t.Helper()
		asks := make([]func() answer, contenders)
		for i := range asks {
			asks[i] = func() answer { return sc.identify(way(i)) }
		}
		answers := map[string]int{}
		for _, a := range all(asks) {
			answers[string(a.error.Rule)]++
		}
		return answers
	}
	require.Equal(t, map[string]int{"": contenders}, ask(func(int) string { return policyWay(born) }))

	day := func(after int) string {
		return policyWay(time.Date(1980, 2, 29+after, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
	}
	const told = "patient_not_identified"
	require.Equal(t, map[string]int{told: booking.PatientLimit.Failures, "too_many_attempts": contenders - booking.PatientLimit.Failures},
		ask(func(i int) string { return day(i + 1) }))
	sc.lapse(booking.PatientLimit.Within)
	// The right one among them, too, has to come before the last that is told.
	answers := ask(func(i int) string { return day(i - 20) })
	require.Equal(t, booking.PatientLimit.Failures, answers[told])
	require.LessOrEqual(t, answers[""], 1)

	sc.lapse(booking.PatientLimit.Within)
	sc.exec(`INSERT INTO failed_identification VALUES ($1, 95, $2) ON CONFLICT (subject) DO UPDATE SET failures = 95, since = $2`, clientGuid[:], moment)
	require.Equal(t, map[string]int{told: 5, "too_many_attempts": contenders - 5}, ask(func(int) string { return query("personguid", uuid.NewString()) }))
	require.Equal(t, booking.ClientLimit.Failures, sc.count(`SELECT failures FROM failed_identification WHERE subject = $1`, clientGuid[:]))
	require.Zero(t, sc.count(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`))
}

// Promise: failures that count no more are forgotten; those that do are not.
func TestFailuresAreSwept(t *testing.T) {
	t.Parallel()
	sc := office(t)
	sc.exec(`INSERT INTO failed_identification SELECT sha256(n::text::bytea), 1, $1::timestamptz FROM generate_series(1, 2500) n`, moment.Add(-booking.PatientLimit.Within))
	sc.identify(policyWay("1980-01-01")).requireRefusal(t, "patient_not_identified")
	sc.stop()
	started := startOn(t, string(sc.config.DatabaseURL))
	require.Eventually(t, func() bool { return started.count(`SELECT count(*) FROM failed_identification`) == 2 }, 20*time.Second, 5*time.Millisecond)
}

// Promise: the log holds nothing of what was shown, of the secret and of the token, whatever was answered.
func TestIdentificationInTheLog(t *testing.T) {
	t.Parallel()
	sc := office(t)
	shown := []string{
		"1234567890123456", born, "1980-02-28", sc.person.String(), sc.mkabTo.String(), "112233", "112-233", "Сем", "Алёна", "Петровна", secretOfClient, "eyJ", "Basic ",
		url.QueryEscape("Семёнова"),
	}
	for _, way := range []string{
		policyWay(born), policyWay("1980-02-28"), policyWay(born) + "x", sc.personWay(), sc.mkabWay(), snilsWay(), snilsWay("f", "Семёнов"), snilsWay("epgu", ""),
	} {
		sc.identify(way)
		sc.identifyAs(clientGuid.String(), secretOfClient+"x", way)
	}
	sc.exec(`ALTER TABLE mkab RENAME COLUMN snils TO number`)
	sc.identify(snilsWay()).requireRefusal(t, "internal_error")
	log := sc.logs.String()
	require.Contains(t, log, "/auth/cod/token")
	require.Contains(t, log, clientGuid.String())
	for _, secret := range shown {
		require.NotContains(t, log, secret)
	}
}

// Promise: talon client-secret makes a secret that is long and random, shows it once and keeps its hash alone; the one before ends.
func TestClientSecretCommand(t *testing.T) {
	t.Parallel()
	sc := office(t)
	database := []string{"DATABASE_URL=" + string(sc.config.DatabaseURL)}
	issued(t, sc.identify(sc.personWay()))
	var secrets []string
	for range 2 {
		code, stdout, stderr := run(t, database, "client-secret", "--client", clientGuid.String())
		require.Zero(t, code, stderr)
		secret := strings.TrimSuffix(stdout, "\n")
		require.Regexp(t, `^\S{26,}$`, secret)
		secrets = append(secrets, secret)
		issued(t, sc.identifyAs(clientGuid.String(), secret, sc.personWay()))
		sc.identify(sc.personWay()).requireRefusal(t, "client_unauthenticated")
		require.NotContains(t, sc.snapshot()["client_application"], secret)
	}
	require.NotEqual(t, secrets[0], secrets[1])
	sc.identifyAs(clientGuid.String(), secrets[0], sc.personWay()).requireRefusal(t, "client_unauthenticated")

	code, stdout, stderr := run(t, database, "client-secret", "--client", uuid.NewString())
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "no such client application")
}
