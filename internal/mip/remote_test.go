package mip

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

func TestRemoteReadsThePerson(t *testing.T) {
	t.Parallel()
	stranger := object{"identifier": []object{id("urn:other", guid.String())}, "birthDate": "1901-01-01"}
	merged := object{"active": false, "birthDate": "1901-01-01"}
	warning := object{"resourceType": "OperationOutcome", "issue": []object{{"code": "informational"}}}
	clinic := object{"resourceType": "Organization", "name": "Clinic"}
	former := object{"use": "old", "system": DefaultPolicySystem, "value": "111"}
	for name, c := range map[string]struct {
		found  []object
		change func(*booking.Person)
	}{
		"all fields": {[]object{inna}, func(*booking.Person) {}},
		"no active flag": {
			[]object{inna.with(object{"active": nil})}, func(*booking.Person) {},
		},
		"other identifiers": {
			[]object{inna.with(object{"identifier": []object{
				id("urn:other", "9"), former, id(DefaultPolicySystem, " 222 "), id(system, "nonsense"), identity,
			}})},
			func(p *booking.Person) { p.Snils, p.PolicyNumber = "", "222" },
		},
		"the guid in upper case": {
			[]object{inna.with(object{"identifier": []object{id(system, strings.ToUpper(guid.String()))}})},
			func(p *booking.Person) { p.Snils, p.PolicyNumber = "", "" },
		},
		"a policy with a series": {
			[]object{inna.with(object{"identifier": []object{identity, id(DefaultPolicySystem, "78 АБ:744233")}})},
			func(p *booking.Person) { p.Snils, p.PolicySeries, p.PolicyNumber = "", "78 АБ", "744233" },
		},
		"the official name among others": {
			[]object{inna.with(object{"name": []object{
				{"use": "maiden", "family": "М"},
				{"family": "Н"},
				{"use": "official", "family": "О", "given": []string{"А", "Б", "В"}},
			}})},
			func(p *booking.Person) { p.Surname, p.Name, p.Patronymic = "О", "А", "Б В" },
		},
		"a name without a use": {
			[]object{inna.with(object{"name": []object{
				{"use": "nickname", "family": "М"},
				{"family": "Н", "given": []string{"А"}},
			}})},
			func(p *booking.Person) { p.Surname, p.Name, p.Patronymic = "Н", "А", "" },
		},
		"only a former name": {
			[]object{inna.with(object{"name": []object{{"use": "old", "family": "М", "given": []string{"А"}}}})},
			func(p *booking.Person) { p.Surname, p.Name, p.Patronymic = "", "", "" },
		},
		"names of 200 characters": {
			[]object{inna.with(object{"name": []object{{"use": "official", "family": strings.Repeat("Ё", 200)}}})},
			func(p *booking.Person) { p.Surname, p.Name, p.Patronymic = strings.Repeat("Ё", 200), "", "" },
		},
		"a SNILS with signs": {
			[]object{inna.with(object{"identifier": []object{identity, id(DefaultSnilsSystem, "174-003-542 29")}})},
			func(p *booking.Person) { p.Snils, p.PolicyNumber = "174-003-542 29", "" },
		},
		"no names at all": {
			[]object{inna.with(object{"name": nil})},
			func(p *booking.Person) { p.Surname, p.Name, p.Patronymic = "", "", "" },
		},
		"a man": {
			[]object{inna.with(object{"gender": "male"})}, func(p *booking.Person) { p.Sex = booking.Male },
		},
		"another gender":  {[]object{inna.with(object{"gender": "other"})}, func(p *booking.Person) { p.Sex = "" }},
		"no gender":       {[]object{inna.with(object{"gender": nil})}, func(p *booking.Person) { p.Sex = "" }},
		"and a warning":   {[]object{warning, inna}, func(*booking.Person) {}},
		"and her clinic":  {[]object{clinic, inna}, func(*booking.Person) {}},
		"twice the same":  {[]object{inna, inna.with(object{"id": "43"})}, func(*booking.Person) {}},
		"and others":      {[]object{inna.with(stranger), inna}, func(*booking.Person) {}},
		"and merged ones": {[]object{inna.with(merged), inna}, func(*booking.Person) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := serve(t, index(t, 200, results(c.found...)))
			remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, service.URL, testTiming)
			person, err := remote.Person(t.Context(), guid)
			require.NoError(t, err)
			want := innaPerson
			c.change(&want)
			require.Equal(t, &want, person)
		})
	}
}

func TestRemoteRefusesByTheResponse(t *testing.T) {
	t.Parallel()
	outcome := func(code string) string {
		return text(object{"resourceType": "OperationOutcome", "issue": []object{{"severity": "error", "code": code}}})
	}
	other := object{"identifier": []object{id(system, "11111111-1111-1111-1111-111111111111")}}
	long := strings.Repeat(" ", 10<<20)
	const (
		notFound    = booking.MipPersonNotFound
		dataMissing = booking.MipPersonDataMissing
		unavailable = booking.MipUnavailable
	)
	without := func(key string) string { return results(inna.with(object{key: nil})) }
	inTwoDays := time.Now().AddDate(0, 0, 2).Format(time.DateOnly)
	born := func(date any) string { return results(inna.with(object{"birthDate": date})) }
	named := func(family string, given ...string) string {
		return results(inna.with(object{"name": []object{{"use": "official", "family": family, "given": given}}}))
	}
	insured := func(snils, policy string) string {
		return results(inna.with(object{
			"identifier": []object{identity, id(DefaultSnilsSystem, snils), id(DefaultPolicySystem, policy)},
		}))
	}
	for name, c := range map[string]struct {
		status   int
		body     string
		refusal  booking.Name
		requests int64
	}{
		"nobody found":                   {200, results(), notFound, 1},
		"nobody found, without entries":  {200, `{"resourceType": "Bundle", "type": "searchset"}`, notFound, 1},
		"nobody found, with a warning":   {200, results(object{"resourceType": "OperationOutcome"}), notFound, 1},
		"404 with the outcome not-found": {404, outcome("not-found"), notFound, 1},
		"404 with another outcome":       {404, outcome("not-supported"), unavailable, 1},
		"404 of a web server":            {404, "<html>Not Found</html>", unavailable, 1},
		"no date of birth":               {200, without("birthDate"), dataMissing, 1},
		"a year of birth":                {200, born("1999"), dataMissing, 1},
		"a month of birth":               {200, born("1999-03"), dataMissing, 1},
		"a day that does not exist":      {200, born("1999-02-29"), dataMissing, 1},
		"born before 1900":               {200, born("1899-12-31"), dataMissing, 1},
		"born in the year 1":             {200, born("0001-01-01"), dataMissing, 1},
		"born in two days":               {200, born(inTwoDays), dataMissing, 1},
		"a date with a NUL":              {200, born("1999-03-20\x00"), dataMissing, 1},
		"a surname with a NUL":           {200, named("Хох\x00лова", "Инна"), dataMissing, 1},
		"a name with a NUL":              {200, named("Хохлова", "\x00"), dataMissing, 1},
		"a patronymic with a NUL":        {200, named("Хохлова", "Инна", "\x00"), dataMissing, 1},
		"a surname of 201 characters":    {200, named(strings.Repeat("Ё", 201), "Инна"), dataMissing, 1},
		"a long patronymic":              {200, named("Хохлова", "Инна", strings.Repeat("я ", 101)+"я"), dataMissing, 1},
		"a SNILS of letters":             {200, insured("abc", "1"), dataMissing, 1},
		"a SNILS of ten digits":          {200, insured("1740035422", "1"), dataMissing, 1},
		"a SNILS with a line break":      {200, insured("174-003-542\n29", "1"), dataMissing, 1},
		"a SNILS with a NUL":             {200, insured("17400354229\x00", "1"), dataMissing, 1},
		"a policy with a NUL":            {200, insured("17400354229", "1\x00"), dataMissing, 1},
		"a series with a NUL":            {200, insured("17400354229", "\x00:1"), dataMissing, 1},
		"a policy of 101 characters":     {200, insured("17400354229", strings.Repeat("1", 101)), dataMissing, 1},
		"an inactive patient":            {200, results(inna.with(object{"active": false})), dataMissing, 1},
		"two who differ":                 {200, results(inna, inna.with(object{"gender": "male"})), dataMissing, 1},
		"two, one without data":          {200, results(inna, inna.with(object{"birthDate": nil})), dataMissing, 1},
		"another patient":                {200, results(inna.with(other)), unavailable, 1},
		"a patient without identifiers":  {200, without("identifier"), unavailable, 1},
		"no JSON":                        {200, "<html>Хохлова</html>", unavailable, 1},
		"half of the JSON":               {200, results(inna)[:200], unavailable, 1},
		"an empty body":                  {200, "", unavailable, 1},
		"an array":                       {200, "[]", unavailable, 1},
		"another resource":               {200, text(inna), unavailable, 1},
		"another bundle":                 {200, `{"resourceType": "Bundle", "type": "history"}`, unavailable, 1},
		"an entry without a resource": {
			200, `{"resourceType": "Bundle", "type": "searchset", "entry": [{}]}`, unavailable, 1,
		},
		"a patient of other types":          {200, born(19990320), unavailable, 1},
		"10 MiB":                            {200, long, unavailable, 1},
		"10 MiB with a bad status":          {503, long, unavailable, 1},
		"a success without content":         {204, "", unavailable, 1},
		"a bad request":                     {400, outcome("invalid"), unavailable, 1},
		"gone":                              {410, outcome("not-found"), unavailable, 1},
		"an internal error":                 {500, text(inna), unavailable, 1},
		"too many requests, three tries":    {429, "", unavailable, 3},
		"a bad gateway, three tries":        {502, "Хохлова", unavailable, 3},
		"unavailable, three tries":          {503, "Хохлова", unavailable, 3},
		"a gateway timeout, three tries":    {504, "Хохлова", unavailable, 3},
		"a redirect, which is not followed": {307, "", unavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			elsewhere := serve(t, index(t, 200, results(inna)))
			service := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", elsewhere.URL+r.URL.RequestURI())
				index(t, c.status, c.body)(w, r)
			})
			if c.status == http.StatusNoContent {
				service.setHandler(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) })
			}
			remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, service.URL, testTiming)
			requireRefused(t, remote, c.refusal)
			require.Equal(t, c.requests, service.requests.Load())
			require.Zero(t, elsewhere.requests.Load())
		})
	}
}

func TestRemoteSearchesByURNWithoutAConfiguredSystem(t *testing.T) {
	t.Parallel()
	service := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("identifier"); got != "urn:ietf:rfc:3986|urn:uuid:"+guid.String() {
			t.Errorf("searched for %s", got)
		}
		io.WriteString(w, results(inna.with(object{"identifier": []object{id("urn:ietf:rfc:3986", guid.URN())}})))
	})
	tickets := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token": "ticket"}`)
	})
	remote, err := NewRemote(RemoteConfig{URL: service.URL, AuthURL: tickets.URL, Timeout: testTimeout, Now: time.Now})
	require.NoError(t, err)
	t.Cleanup(remote.Close)
	person, err := remote.Person(t.Context(), guid)
	require.NoError(t, err)
	require.Equal(t, "Хохлова", person.Surname)
}

func TestRemoteRefusesWithoutAuthURLAndSendsNoRequest(t *testing.T) {
	t.Parallel()
	service := serve(t, index(t, 200, results(inna)))
	refusal := requireRefused(t, connect(t, "", service.URL, testTiming), booking.MipAuthURLEmpty)
	require.Equal(t, "Не удалось получить Ticket. Значение сервиса авторизации AuthUrl - пустое.", refusal.Message)
	require.Zero(t, service.requests.Load())
}

func TestRemoteRefusesWithoutATicket(t *testing.T) {
	t.Parallel()
	respond := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"client denied":          respond(401, `{"error": "invalid_client", "error_description": "`+secret+`"}`),
		"client denied with 200": respond(200, `{"error": "invalid_client", "error_description": "`+secret+`"}`),
		"error in plain text":    respond(500, "no "+secret),
		"garbage":                respond(200, secret),
		"no ticket in it":        respond(200, `{"token_type": "`+secret+`"}`),
		"wrong types":            respond(200, `{"access_token": "ticket-1", "expires_in": "`+secret+`"}`),
		"10 MiB":                 respond(200, `{"x": "`+strings.Repeat("x", 10<<20)+`", "access_token": "ticket-1"}`),
		"redirect":               respond(307, ""),
		"drop":                   drop,
		"drop in mid-body":       dropMidBody,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, tickets := serve(t, index(t, 200, results(inna))), serve(t, handler)
			remote := connect(t, tickets.URL, service.URL, testTiming)
			refusal := requireRefused(t, remote, booking.MipAuthURLUnreachable)
			require.Equal(
				t,
				`Не удалось получить Ticket. Адрес сервиса авторизации недоступен "`+tickets.URL+`" - значение настройки "AuthUrl"`,
				refusal.Message,
			)
			require.Zero(t, service.requests.Load())
			require.LessOrEqual(t, tickets.requests.Load(), int64(2),
				"the secret is sent in the header, then in the form, and not again")
		})
	}
	t.Run("a closed port, and a password in the URL", func(t *testing.T) {
		t.Parallel()
		url := strings.Replace(closedAddress(t), "http://", "http://talon:password@", 1)
		refusal := requireRefused(t, connect(t, url, closedAddress(t), testTiming), booking.MipAuthURLUnreachable)
		require.Contains(t, refusal.Message, `"http://talon:xxxxx@127.0.0.1:`)
	})
}

func TestRemoteRefusesAClosedPort(t *testing.T) {
	t.Parallel()
	remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, closedAddress(t), testTiming)
	requireRefused(t, remote, booking.MipUnavailable)
}

func TestRemoteRefusesAResponseThatIsNotHTTP(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			http.ReadRequest(bufio.NewReader(connection))
			io.WriteString(connection, "Хохлова "+guid.String()+"\r\n\r\n")
			connection.Close()
		}
	})
	t.Cleanup(func() { listener.Close(); served.Wait() })
	remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, "http://"+listener.Addr().String(), testTiming)
	requireRefused(t, remote, booking.MipUnavailable)
}

func TestRemoteRefusesAnUntrustedCertificate(t *testing.T) {
	t.Parallel()
	service := httptest.NewUnstartedServer(index(t, 200, results(inna)))
	service.Config.ErrorLog = log.New(io.Discard, "", 0)
	service.StartTLS()
	t.Cleanup(service.Close)
	remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, service.URL, testTiming)
	require.ErrorContains(t, requireRefused(t, remote, booking.MipUnavailable), "certificate")
}

func TestRemoteUsesOneTicketForManyCalls(t *testing.T) {
	t.Parallel()
	tickets, service := serve(t, ticketsFor(t, 3600)), serve(t, accepting(t, "ticket-1", 401))
	remote := connect(t, tickets.URL, service.URL, testTiming)
	concurrently(32, func() { requirePerson(t, remote) })
	require.EqualValues(t, 1, tickets.requests.Load())
	require.EqualValues(t, 32, service.requests.Load())
}

func TestRemoteDoesNotUseATicketThatIsAboutToExpire(t *testing.T) {
	t.Parallel()
	tickets := serve(t, ticketsFor(t, 1))
	remote := connect(t, tickets.URL, serve(t, index(t, 200, results(inna))).URL, testTiming)
	requireInna(t, remote)
	requireInna(t, remote)
	require.EqualValues(t, 2, tickets.requests.Load())
}

func TestConcurrentCallsRenewADeniedTicketOnce(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			tickets, service := serve(t, ticketsFor(t, 3600)), serve(t, accepting(t, "ticket-1", status))
			remote := connect(t, tickets.URL, service.URL, testTiming)
			requireInna(t, remote)
			service.setHandler(accepting(t, "ticket-2", status))
			concurrently(32, func() { requirePerson(t, remote) })
			require.EqualValues(t, 2, tickets.requests.Load())
		})
	}
}

func TestRemoteRefusesAfterASecondDeniedTicket(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			tickets, service := serve(t, ticketsFor(t, 3600)), serve(t, index(t, status, "Хохлова"))
			requireRefused(t, connect(t, tickets.URL, service.URL, testTiming), booking.MipUnavailable)
			require.EqualValues(t, 2, tickets.requests.Load())
			require.EqualValues(t, 2, service.requests.Load())
		})
	}
}

func TestRemoteRefusesIfADeniedTicketCannotBeRenewed(t *testing.T) {
	t.Parallel()
	tickets, service := serve(t, ticketsFor(t, 3600)), serve(t, index(t, 200, results(inna)))
	remote := connect(t, tickets.URL, service.URL, testTiming)
	requireInna(t, remote)
	tickets.setHandler(drop)
	service.setHandler(index(t, 401, ""))
	requireRefused(t, remote, booking.MipAuthURLUnreachable)
}

func TestRemoteRetriesATransientFailure(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]http.HandlerFunc{
		"429":              index(t, 429, ""),
		"502":              index(t, 502, ""),
		"503":              index(t, 503, ""),
		"504":              index(t, 504, ""),
		"drop":             drop,
		"drop in mid-body": dropMidBody,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failures atomic.Int64
			service := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if failures.Add(1) < maxTries {
					failure(w, r)
					return
				}
				index(t, 200, results(inna))(w, r)
			})
			tickets := serve(t, ticketsFor(t, 3600))
			requireInna(t, connect(t, tickets.URL, service.URL, testTiming))
			require.EqualValues(t, maxTries, service.requests.Load())
			require.EqualValues(t, 1, tickets.requests.Load())
		})
	}
}

func TestRemoteGivesUpAfterThreeBrokenConnections(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{"drop": drop, "drop in mid-body": dropMidBody} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := serve(t, handler)
			remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, service.URL, testTiming)
			requireRefused(t, remote, booking.MipUnavailable)
			require.EqualValues(t, maxTries, service.requests.Load())
		})
	}
}

func TestRemoteDoesNotStartAPauseThatExceedsTheDeadline(t *testing.T) {
	t.Parallel()
	service := serve(t, index(t, 503, ""))
	slow := timing{retryPause: time.Hour, breakerOpen: time.Hour}
	remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, service.URL, slow)
	start := time.Now()
	requireRefused(t, remote, booking.MipUnavailable)
	require.Less(t, time.Since(start), testTimeout)
	require.EqualValues(t, 1, service.requests.Load())
}

func TestRemoteReturnsWithinItsTimeout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tickets, index http.HandlerFunc
		refusal        booking.Name
	}{
		"the index hangs":          {ticketsFor(t, 3600), hang, booking.MipUnavailable},
		"the ticket service hangs": {hang, index(t, 200, results(inna)), booking.MipAuthURLUnreachable},
		"the index hangs in mid-body": {ticketsFor(t, 3600), func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, results(inna)[:100])
			http.NewResponseController(w).Flush()
			hang(w, r)
		}, booking.MipUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remote := connect(t, serve(t, c.tickets).URL, serve(t, c.index).URL, testTiming)
			remote.config.Timeout = 200 * time.Millisecond
			start := time.Now()
			concurrently(tripAfter-1, func() {
				_, err := remote.Person(t.Context(), guid)
				var refusal *booking.Refusal
				if !errors.As(err, &refusal) || refusal.Rule != c.refusal || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("returned %v", err)
				}
			})
			require.Less(t, time.Since(start), testTimeout/2)
		})
	}
}

func TestRemoteReturnsWithinTheCallersDeadline(t *testing.T) {
	t.Parallel()
	remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, serve(t, hang).URL, testTiming)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := remote.Person(ctx, guid)
	requireRefusal(t, err, booking.MipUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestCancelledCallsDoNotOpenABreaker(t *testing.T) {
	t.Parallel()
	for name, ticketsHang := range map[string]bool{"of the index": false, "of the ticket service": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cancel context.CancelCauseFunc
			cancelAndHang := func(w http.ResponseWriter, r *http.Request) {
				cancel(errors.New("the caller's cause"))
				hang(w, r)
			}
			tickets, service := serve(t, ticketsFor(t, 3600)), serve(t, index(t, 200, results(inna)))
			first := service
			if ticketsHang {
				first = tickets
			}
			working := *first.handler.Load()
			first.setHandler(cancelAndHang)
			remote := connect(t, tickets.URL, service.URL, testTiming)
			for range 2 * tripAfter {
				var ctx context.Context
				ctx, cancel = context.WithCancelCause(t.Context())
				_, err := remote.Person(ctx, guid)
				cancel(nil)
				require.ErrorIs(t, err, context.Canceled)
				var refusal *booking.Refusal
				require.NotErrorAs(t, err, &refusal)
				requireDiscreet(t, err)
			}
			first.setHandler(working)
			requireInna(t, remote)
		})
	}
}

func TestConsecutiveFailuresOpenTheBreakerOfTheIndex(t *testing.T) {
	t.Parallel()
	service := serve(t, index(t, 500, ""))
	remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, service.URL, testTiming)
	require.Equal(t, map[string]int{PurposeSearch: 0, PurposeTicket: 0}, remote.Breakers())
	for range 2 * tripAfter {
		requireRefused(t, remote, booking.MipUnavailable)
	}
	require.Equal(t, map[string]int{PurposeSearch: 2, PurposeTicket: 0}, remote.Breakers())
	require.EqualValues(t, tripAfter, service.requests.Load(), "the open breaker sends no requests")
}

func TestConsecutiveFailuresOpenTheBreakerOfTheTicketService(t *testing.T) {
	t.Parallel()
	tickets, service := serve(t, drop), serve(t, index(t, 200, results(inna)))
	remote := connect(t, tickets.URL, service.URL, testTiming)
	for range 2 * tripAfter {
		requireRefused(t, remote, booking.MipAuthURLUnreachable)
	}
	require.Equal(t, map[string]int{PurposeSearch: 0, PurposeTicket: 2}, remote.Breakers())
	require.EqualValues(t, 2*tripAfter, tickets.requests.Load(),
		"two ways to send the secret in each try, until the breaker opened")
	require.Zero(t, service.requests.Load())
}

func TestRemoteRecoversWithTheService(t *testing.T) {
	t.Parallel()
	for name, ticketsFail := range map[string]bool{"the index": false, "the ticket service": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tickets, service := serve(t, ticketsFor(t, 3600)), serve(t, index(t, 200, results(inna)))
			failing, refusal := service, booking.MipUnavailable
			if ticketsFail {
				failing, refusal = tickets, booking.MipAuthURLUnreachable
			}
			working := *failing.handler.Load()
			failing.setHandler(drop)
			fast := timing{retryPause: time.Millisecond, breakerOpen: 20 * time.Millisecond}
			remote := connect(t, tickets.URL, service.URL, fast)
			for range 2 * tripAfter {
				requireRefused(t, remote, refusal)
			}
			failing.setHandler(working)
			require.Eventually(t, func() bool {
				_, err := remote.Person(t.Context(), guid)
				return err == nil
			}, testTimeout, time.Millisecond)
			requireInna(t, remote)
		})
	}
}

func TestRefusalsDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body    string
		refusal booking.Name
	}{
		"not found":    {results(), booking.MipPersonNotFound},
		"data missing": {results(inna.with(object{"birthDate": nil})), booking.MipPersonDataMissing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := serve(t, index(t, 200, c.body))
			remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, service.URL, testTiming)
			for range 2 * tripAfter {
				requireRefused(t, remote, c.refusal)
			}
			require.EqualValues(t, 2*tripAfter, service.requests.Load())
		})
	}
}

func TestRemoteClosesItsIdleConnections(t *testing.T) {
	t.Parallel()
	service := serve(t, index(t, 200, results(inna)))
	remote := connect(t, serve(t, ticketsFor(t, 3600)).URL, service.URL, testTiming)
	requireInna(t, remote)
	requireInna(t, remote)
	require.EqualValues(t, 1, service.open.Load(), "the connection is reused")
	remote.Close()
	require.Eventually(t, func() bool { return service.open.Load() == 0 }, testTimeout, time.Millisecond)
}

func TestNewRemoteRejectsAWrongConfigurationWithoutQuotingIt(t *testing.T) {
	t.Parallel()
	good := RemoteConfig{URL: "https://mip.example/fhir", AuthURL: "https://auth.example/token", Timeout: time.Second}
	for name, change := range map[string]func(*RemoteConfig){
		"no URL":              func(c *RemoteConfig) { c.URL = "" },
		"a URL without host":  func(c *RemoteConfig) { c.URL = "https:///password" },
		"another scheme":      func(c *RemoteConfig) { c.URL = "ftp://u:password@mip.example" },
		"a malformed URL":     func(c *RemoteConfig) { c.URL = "http://u:password@mip.example:x" },
		"a malformed AuthURL": func(c *RemoteConfig) { c.AuthURL = "http://u:password@auth.example/%zz" },
		"no timeout":          func(c *RemoteConfig) { c.Timeout = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := good
			change(&config)
			_, err := NewRemote(config)
			require.Error(t, err)
			requireDiscreet(t, err)
		})
	}
	_, err := NewRemote(good)
	require.NoError(t, err)
}

// concurrently runs the given number of calls concurrently and waits for all of them.
func concurrently(calls int, call func()) {
	var all sync.WaitGroup
	for range calls {
		all.Go(call)
	}
	all.Wait()
}

// requirePerson is requireInna for use outside the test's goroutine.
func requirePerson(t *testing.T, remote *Remote) {
	person, err := remote.Person(t.Context(), guid)
	if err != nil || *person != innaPerson {
		t.Errorf("returned %v, %v", person, err)
	}
}
