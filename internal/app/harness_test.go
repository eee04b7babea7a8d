package app_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	talon "talon.example"
	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/auth"
	"talon.example/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// moment is the clock of the tests: the source's own example was booked then.
var moment = time.Date(2019, 8, 20, 17, 52, 14, 0, time.FixedZone("MSK", 3*60*60))

// contractDoc is the contract that every response of every test is held against.
var contractDoc = sync.OnceValue(func() *openapi3.T {
	doc, err := talon.Document()
	if err != nil {
		panic(err)
	}
	return doc
})

// service is a running Talon with a database of its own.
type service struct {
	t      testing.TB
	url    string
	db     *pgxpool.Pool
	config app.Config
	logs   *logs
	key    *auth.SigningKey
	passed *atomic.Int64 // how much later than moment it is
	stop   func()
	check  func(ask func() answer) answer // where given, each booking is checked first, through this, and the two must agree
}

// logs keeps what the service logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs the service on a fresh database. configure, if given, changes the settings first.
func start(t testing.TB, configure ...func(*app.Config)) *service {
	t.Helper()
	migrated := func(c *app.Config) { c.MigrateAtStart = false } // the database is a clone at the newest schema
	return startOn(t, testdb.New(t), slices.Insert(configure, 0, migrated)...)
}

func startOn(t testing.TB, database string, configure ...func(*app.Config)) *service {
	t.Helper()
	return startWrapped(t, database, func(*service) app.Wrappers { return app.Wrappers{} }, configure...)
}

// startWrapped runs the service with parts of it wrapped.
func startWrapped(t testing.TB, database string, wrap func(*service) app.Wrappers, configure ...func(*app.Config)) *service {
	t.Helper()
	key, publicKey := signingKey(t)
	config, err := app.ReadConfig(map[string]string{
		"DATABASE_URL":             database,
		"TALON_ADDR":               "127.0.0.1:0",
		"TALON_TOKEN_ISSUER":       "issuer",
		"TALON_TOKEN_AUDIENCE":     "talon",
		"TALON_PEM_FILE":           publicKey,
		"TALON_DATABASE_MAX_CONNS": "4",
		"TALON_SHUTDOWN_DELAY":     "0s",
	})
	require.NoError(t, err)
	config.ReferenceAge = 0
	for _, change := range configure {
		change(&config)
	}
	s := &service{t: t, config: config, logs: new(logs), key: key, passed: new(atomic.Int64)}
	if _, checked := checkedTests.Load(t.Name()); checked {
		s.check = s.leavingNothing
	}
	talon, err := app.New(t.Context(), config, slog.New(slog.NewJSONHandler(s.logs, nil)), s.now, wrap(s))
	require.NoError(t, err)
	listener, err := net.Listen("tcp", config.Addr)
	require.NoError(t, err)
	s.url = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- talon.Serve(ctx, listener) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-served)
		talon.Close()
	})
	t.Cleanup(s.stop)

	s.db, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(s.db.Close)
	return s
}

// signingKey makes a key for tokens, and the file of its public half.
func signingKey(t testing.TB) (key *auth.SigningKey, publicKey string) {
	t.Helper()
	dir := t.TempDir()
	key, err := auth.EnsureSigningKey(filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	private, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	block, _ := pem.Decode(private)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(parsed.(*ecdsa.PrivateKey).Public())
	require.NoError(t, err)
	publicKey = filepath.Join(dir, "public.pem")
	require.NoError(t, os.WriteFile(publicKey, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	return key, publicKey
}

// privateKeyOf is the file of the key that startWrapped has made.
func privateKeyOf(c *app.Config) string { return filepath.Join(filepath.Dir(c.PEMFile), "key.pem") }

// now is the clock of the service.
func (s *service) now() time.Time { return moment.Add(time.Duration(s.passed.Load())) }

// pass lets time pass.
func (s *service) pass(d time.Duration) { s.passed.Add(int64(d)) }

// exec changes the database behind the service's back.
func (s *service) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.db.Exec(s.t.Context(), sql, args...)
	require.NoError(s.t, err)
}

// count counts rows.
func (s *service) count(sql string, args ...any) int {
	s.t.Helper()
	var n int
	require.NoError(s.t, s.db.QueryRow(s.t.Context(), sql, args...).Scan(&n))
	return n
}

// token signs a token for a person through the client application of the scene.
func (s *service) token(person uuid.UUID) string {
	s.t.Helper()
	signed, err := s.key.Sign(auth.Token{Person: person, Client: clientGuid}, "issuer", "talon", moment, time.Hour)
	require.NoError(s.t, err)
	return signed
}

// answer is a response whose body has been read and held against the contract.
type answer struct {
	*http.Response

	raw   string
	body  api.AppointmentResult // of a booking or a move, where the status is 200
	error api.Error             // where it is not
}

// book posts a body with the token of a person.
func (s *service) book(person uuid.UUID, body any) answer {
	s.t.Helper()
	return s.post(body, "Bearer "+s.token(person))
}

// post posts a booking, with the Authorization headers given.
func (s *service) post(body any, authorization ...string) answer {
	s.t.Helper()
	if s.check == nil {
		return s.send("/appointments", body, authorization...)
	}
	checked := s.check(func() answer { return s.send("/appointments/check", body, authorization...) })
	booked := s.send("/appointments", body, authorization...)
	requireAgreement(s.t, checked, booked)
	return booked
}

// send posts a body to a path, a string as it is and anything else as JSON.
func (s *service) send(path string, body any, authorization ...string) answer {
	s.t.Helper()
	text, isText := body.(string)
	if !isText {
		encoded, err := json.Marshal(body)
		require.NoError(s.t, err)
		text = string(encoded)
	}
	request := s.request(http.MethodPost, path, strings.NewReader(text))
	request.Header.Set("Content-Type", "application/json")
	request.Header["Authorization"] = authorization
	return s.do(request)
}

// get asks for a path with the token of a person.
func (s *service) get(person uuid.UUID, path string) answer {
	s.t.Helper()
	request := s.request(http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer "+s.token(person))
	return s.do(request)
}

// cancel cancels an appointment with the token of a person; a body is sent as JSON where one is given.
func (s *service) cancel(person, appointment uuid.UUID, body ...any) answer {
	s.t.Helper()
	var text string
	for _, body := range body {
		encoded, err := json.Marshal(body)
		require.NoError(s.t, err)
		text = string(encoded)
	}
	request := s.request(http.MethodDelete, "/appointments/"+appointment.String(), strings.NewReader(text))
	if text != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+s.token(person))
	return s.do(request)
}

func (s *service) request(method, path string, body io.Reader) *http.Request {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	require.NoError(s.t, err)
	return request
}

// httpClient keeps no connections: an idle one would be a goroutine left over, and a stopped service must not be waited for.
var httpClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do sends a request and holds the response against the contract.
func (s *service) do(request *http.Request) answer {
	s.t.Helper()
	response, err := httpClient.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	validateResponse(s.t, request, response, raw)

	a := answer{Response: response, raw: string(raw)}
	switch {
	case response.StatusCode >= 400:
		require.NoError(s.t, json.Unmarshal(raw, &a.error), "%s", raw)
	case request.URL.Path == "/appointments" || strings.HasSuffix(request.URL.Path, "/move"):
		require.NoError(s.t, json.Unmarshal(raw, &a.body), "%s", raw)
	}
	return a
}

// validateResponse holds a response against the contract: its operation's, or, where there is no operation, the one shape of an error.
func validateResponse(t testing.TB, request *http.Request, response *http.Response, raw []byte) {
	t.Helper()
	if response.StatusCode >= 400 {
		var shape map[string]any
		require.NoError(t, json.Unmarshal(raw, &shape), "%s", raw)
		require.NoError(t, contractDoc().Components.Schemas["Error"].Value.VisitJSON(shape), "%s", raw)
		require.EqualValues(t, response.StatusCode, shape["code"])
		require.Equal(t, response.Header.Get("X-Request-ID"), shape["request_id"])
		later := slices.Contains([]int{http.StatusServiceUnavailable, http.StatusConflict, http.StatusTooManyRequests}, response.StatusCode)
		require.Equal(t, later, response.Header.Get("Retry-After") != "")
	}
	path, item := pathOf(request)
	if item == nil || item.GetOperation(request.Method) == nil {
		return
	}
	route := &routers.Route{Spec: contractDoc(), Path: path, PathItem: item, Method: request.Method, Operation: item.GetOperation(request.Method)}
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, Route: route},
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Body:                   io.NopCloser(bytes.NewReader(raw)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	})
	require.NoError(t, err, "%s", raw)
}

// pathOf finds the contract's path that a request asks for, or none: the one with the fewest parameters.
func pathOf(request *http.Request) (string, *openapi3.PathItem) {
	asked := strings.Split(request.URL.EscapedPath(), "/")
	fewest, found := len(asked)+1, ""
	for path := range contractDoc().Paths.Map() {
		segments := strings.Split(path, "/")
		parameters := strings.Count(path, "{")
		matches := len(segments) == len(asked) && parameters < fewest
		for i := 0; matches && i < len(segments); i++ {
			matches = segments[i] == asked[i] || strings.HasPrefix(segments[i], "{") && asked[i] != ""
		}
		if matches {
			fewest, found = parameters, path
		}
	}
	return found, contractDoc().Paths.Value(found)
}

// as reads the body of an answer of 200.
func as[T any](t testing.TB, a answer) T {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.raw)
	var body T
	require.NoError(t, json.Unmarshal([]byte(a.raw), &body), "%s", a.raw)
	return body
}

// requireRefusal holds an answer against a rule's name.
func (a answer) requireRefusal(t testing.TB, rule string) {
	t.Helper()
	require.Equal(t, rule, string(a.error.Rule), "%s", a.raw)
}

// requireRefusalOf holds an answer against the names of several rules.
func (a answer) requireRefusalOf(t testing.TB, rules ...string) {
	t.Helper()
	require.Contains(t, rules, string(a.error.Rule), "%s", a.raw)
}

// httptestServer serves a handler on loopback until the test ends; it gives the address.
func httptestServer(t testing.TB, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// startWithInFlight runs the service with room for so many requests at once, and a scene.
func startWithInFlight(t testing.TB, n int) *scene {
	t.Helper()
	return start(t, func(c *app.Config) { c.MaxInFlight = n }).scene()
}
