package mip

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

const (
	clientID = "talon"
	secret   = "a secret:no error may quote"
	system   = "urn:oid:1.2.3"

	testTimeout = 10 * time.Second // bounds every wait of a test
)

var guid = uuid.MustParse("0F25B4D0-69C5-4D66-A5DB-5C6B1B1D37E4")

// service is an HTTP server on loopback that counts its requests and open connections. Its handler
// can be replaced.
type service struct {
	*httptest.Server

	requests atomic.Int64
	open     atomic.Int64
	handler  atomic.Pointer[http.HandlerFunc]
}

func serve(t *testing.T, handler http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	s.handler.Store(&handler)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		(*s.handler.Load())(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.open.Add(1)
		}
		if state == http.StateClosed {
			s.open.Add(-1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *service) setHandler(handler http.HandlerFunc) { s.handler.Store(&handler) }

// ticketsFor returns a handler that issues ticket-1, ticket-2 and so on, each valid for the given
// seconds. The test fails if a request is not a valid request for a ticket.
func ticketsFor(t *testing.T, seconds int) http.HandlerFunc {
	var issued atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		id, password, _ := r.BasicAuth()
		// RFC 6749, 2.3.1: the id and the secret are form-encoded before they are sent in the
		// header.
		if r.Method != http.MethodPost || r.FormValue("grant_type") != "client_credentials" ||
			r.FormValue("scope") != "mip.read" || id != clientID || password != "a+secret%3Ano+error+may+quote" {
			t.Errorf("not a request for a ticket: %s %s, as %q with %q", r.Method, r.Form, id, password)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token": "ticket-%d", "token_type": "bearer", "expires_in": %d}`, issued.Add(1),
			seconds)
	}
}

// index returns a handler that responds to each search with the status and body. The test fails if
// a request is not a search for the person.
func index(t *testing.T, status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/fhir/Patient" ||
			r.URL.RawQuery != "identifier=urn%3Aoid%3A1.2.3%7C"+guid.String() {
			t.Errorf("not a search for the person: %s %s", r.Method, r.URL)
		}
		if r.Header.Get("Accept") != "application/fhir+json" ||
			!strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ticket-") {
			t.Errorf("wrong headers: %v", r.Header)
		}
		w.Header().Set("Content-Type", "application/fhir+json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// accepting returns an index handler that finds the person for the given ticket, and denies all
// other tickets with the status.
func accepting(t *testing.T, ticket string, status int) http.HandlerFunc {
	find, deny := index(t, 200, results(inna)), index(t, status, "")
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+ticket {
			find(w, r)
			return
		}
		deny(w, r)
	}
}

// hang never responds. It reads the body because the server detects a closed connection only after
// that.
func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// drop closes the connection without a response.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// dropMidBody closes the connection in the middle of a valid response.
func dropMidBody(w http.ResponseWriter, _ *http.Request) {
	body := results(inna)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	io.WriteString(w, body[:len(body)/2])
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// closedAddress returns the URL of a port that no server listens on.
func closedAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return "http://" + listener.Addr().String()
}

// object is a JSON object.
type object map[string]any

// results returns a FHIR bundle of search results.
func results(resources ...object) string {
	entries := make([]object, 0, len(resources))
	for _, resource := range resources {
		entries = append(entries, object{"resource": resource, "search": object{"mode": "match"}})
	}
	return text(object{"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries})
}

func text(o object) string {
	document, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(document)
}

// with returns a copy of the object with the changes applied; a nil value removes its key.
func (o object) with(changes object) object {
	changed := object{}
	for _, values := range []object{o, changes} {
		for key, value := range values {
			changed[key] = value
			if value == nil {
				delete(changed, key)
			}
		}
	}
	return changed
}

func id(system, value string) object { return object{"system": system, "value": value} }

// inna is the person searched for, as a FHIR resource of the index; innaPerson is the same person
// as Talon reads her.
var (
	identity = id(system, guid.String())
	inna     = object{
		"resourceType": "Patient",
		"id":           "42",
		"active":       true,
		"identifier": []object{
			identity, id(DefaultSnilsSystem, "17400354229"), id(DefaultPolicySystem, "5598718357093420"),
		},
		"name":      []object{{"use": "official", "family": "Хохлова", "given": []string{"Инна", "Андреевна"}}},
		"gender":    "female",
		"birthDate": "1999-03-20",
	}
	innaPerson = booking.Person{
		Guid:         guid,
		Surname:      "Хохлова",
		Name:         "Инна",
		Patronymic:   "Андреевна",
		BirthDate:    day(1999, 3, 20),
		Sex:          booking.Female,
		Snils:        "17400354229",
		PolicyNumber: "5598718357093420",
	}
)

// testTiming makes retries fast and keeps an open breaker open.
var testTiming = timing{retryPause: time.Millisecond, breakerOpen: time.Hour}

// connect returns a Remote that uses the services at the two URLs, and closes it when the test
// ends.
func connect(t *testing.T, auth, index string, timing timing) *Remote {
	t.Helper()
	remote, err := newRemote(RemoteConfig{
		URL: index + "/fhir", IdentifierSystem: system,
		AuthURL: auth, ClientID: clientID, ClientSecret: secret, Scopes: []string{"mip.read"},
		Timeout: testTimeout, Now: time.Now,
	}, timing)
	require.NoError(t, err)
	t.Cleanup(remote.Close)
	return remote
}

// requireDiscreet fails the test if the error contains a secret or data of the patient.
func requireDiscreet(t *testing.T, err error) {
	t.Helper()
	message := strings.ToLower(err.Error())
	for _, word := range []string{
		guid.String(), "secret", "ticket-", "password", "identifier=",
		"хохлова", "инна", "1999", "03-20", "174003", "559871",
	} {
		require.NotContains(t, message, word)
	}
}

// requireRefused fails the test unless the lookup returns the refusal, without secrets or data of
// the patient.
func requireRefused(t *testing.T, remote *Remote, name booking.Name) *booking.Refusal {
	t.Helper()
	_, err := remote.Person(t.Context(), guid)
	refusal := requireRefusal(t, err, name)
	requireDiscreet(t, err)
	return refusal
}

func requireInna(t *testing.T, remote *Remote) {
	t.Helper()
	person, err := remote.Person(t.Context(), guid)
	require.NoError(t, err)
	require.Equal(t, &innaPerson, person)
}

func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func requireRefusal(t *testing.T, err error, name booking.Name) *booking.Refusal {
	t.Helper()
	var refusal *booking.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, name, refusal.Rule, "%v", err)
	return refusal
}
