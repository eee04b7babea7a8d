// Package harness runs the whole service for tests: on a database of its own, with every response held against the contract.
package harness

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

// Moment is the clock of the tests: the source's own example was booked then.
var Moment = time.Date(2019, 8, 20, 17, 52, 14, 0, time.FixedZone("MSK", 3*60*60))

// ContractDoc is the contract that every response of every test is held against.
var ContractDoc = sync.OnceValue(func() *openapi3.T {
	doc, err := talon.Document()
	if err != nil {
		panic(err)
	}
	return doc
})

// MustZone returns a time zone of the tz database.
func MustZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return zone
}

// Service is a running Talon with a database of its own.
type Service struct {
	T      testing.TB
	URL    string
	DB     *pgxpool.Pool
	Config app.Config
	Logs   *Logs
	Key    *auth.SigningKey
	Passed *atomic.Int64 // how much later than moment it is
	Stop   func()
	Check  func(ask func() Answer) Answer // where given, each booking is checked first, through this, and the two must agree
}

// Logs keeps what the service logged.
type Logs struct {
	Mu   sync.Mutex
	Text bytes.Buffer
}

func (l *Logs) Write(line []byte) (int, error) {
	l.Mu.Lock()
	defer l.Mu.Unlock()
	return l.Text.Write(line)
}

func (l *Logs) String() string {
	l.Mu.Lock()
	defer l.Mu.Unlock()
	return l.Text.String()
}

// Start runs the service on a fresh database. configure, if given, changes the settings first.
func Start(t testing.TB, configure ...func(*app.Config)) *Service {
	t.Helper()
	migrated := func(c *app.Config) { c.MigrateAtStart = false } // the database is a clone at the newest schema
	return StartOn(t, testdb.New(t), slices.Insert(configure, 0, migrated)...)
}

// StartOn runs the service on a database.
func StartOn(t testing.TB, database string, configure ...func(*app.Config)) *Service {
	t.Helper()
	return StartWrapped(t, database, func(*Service) app.Wrappers { return app.Wrappers{} }, configure...)
}

// StartWrapped runs the service with parts of it wrapped.
func StartWrapped(t testing.TB, database string, wrap func(*Service) app.Wrappers, configure ...func(*app.Config)) *Service {
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
	s := &Service{T: t, Config: config, Logs: new(Logs), Key: key, Passed: new(atomic.Int64)}
	if _, checked := CheckedTests.Load(t.Name()); checked {
		s.Check = s.LeavingNothing
	}
	talon, err := app.New(t.Context(), config, slog.New(slog.NewJSONHandler(s.Logs, nil)), s.Now, wrap(s))
	require.NoError(t, err)
	listener, err := net.Listen("tcp", config.Addr)
	require.NoError(t, err)
	s.URL = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- talon.Serve(ctx, listener) }()
	s.Stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-served)
		talon.Close()
	})
	t.Cleanup(s.Stop)

	s.DB, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(s.DB.Close)
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

// PrivateKeyOf is the file of the key that startWrapped has made.
func PrivateKeyOf(c *app.Config) string { return filepath.Join(filepath.Dir(c.PEMFile), "key.pem") }

// Now is the clock of the service.
func (s *Service) Now() time.Time { return Moment.Add(time.Duration(s.Passed.Load())) }

// Pass lets time pass.
func (s *Service) Pass(d time.Duration) { s.Passed.Add(int64(d)) }

// Exec changes the database behind the service's back.
func (s *Service) Exec(sql string, args ...any) {
	s.T.Helper()
	_, err := s.DB.Exec(s.T.Context(), sql, args...)
	require.NoError(s.T, err)
}

// Count counts rows.
func (s *Service) Count(sql string, args ...any) int {
	s.T.Helper()
	var n int
	require.NoError(s.T, s.DB.QueryRow(s.T.Context(), sql, args...).Scan(&n))
	return n
}

// Token signs a token for a person through the client application of the scene.
func (s *Service) Token(person uuid.UUID) string {
	s.T.Helper()
	signed, err := s.Key.Sign(auth.Token{Person: person, Client: ClientGuid}, "issuer", "talon", Moment, time.Hour)
	require.NoError(s.T, err)
	return signed
}

// Answer is a response whose body has been read and held against the contract.
type Answer struct {
	*http.Response

	Raw     string
	Result  api.AppointmentResult // of a booking or a move, where the status is 200
	Refusal api.Error             // where it is not
}

// Book posts a body with the token of a person.
func (s *Service) Book(person uuid.UUID, body any) Answer {
	s.T.Helper()
	return s.Post(body, "Bearer "+s.Token(person))
}

// Post posts a booking, with the Authorization headers given.
func (s *Service) Post(body any, authorization ...string) Answer {
	s.T.Helper()
	if s.Check == nil {
		return s.Send("/appointments", body, authorization...)
	}
	checked := s.Check(func() Answer { return s.Send("/appointments/check", body, authorization...) })
	booked := s.Send("/appointments", body, authorization...)
	RequireAgreement(s.T, checked, booked)
	return booked
}

// Send posts a body to a path, a string as it is and anything else as JSON.
func (s *Service) Send(path string, body any, authorization ...string) Answer {
	s.T.Helper()
	text, isText := body.(string)
	if !isText {
		encoded, err := json.Marshal(body)
		require.NoError(s.T, err)
		text = string(encoded)
	}
	request := s.Request(http.MethodPost, path, strings.NewReader(text))
	request.Header.Set("Content-Type", "application/json")
	request.Header["Authorization"] = authorization
	return s.Do(request)
}

// Get asks for a path with the token of a person.
func (s *Service) Get(person uuid.UUID, path string) Answer {
	s.T.Helper()
	request := s.Request(http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer "+s.Token(person))
	return s.Do(request)
}

// Cancel cancels an appointment with the token of a person; a body is sent as JSON where one is given.
func (s *Service) Cancel(person, appointment uuid.UUID, body ...any) Answer {
	s.T.Helper()
	var text string
	for _, body := range body {
		encoded, err := json.Marshal(body)
		require.NoError(s.T, err)
		text = string(encoded)
	}
	request := s.Request(http.MethodDelete, "/appointments/"+appointment.String(), strings.NewReader(text))
	if text != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+s.Token(person))
	return s.Do(request)
}

// Request returns a request to the service.
func (s *Service) Request(method, path string, body io.Reader) *http.Request {
	s.T.Helper()
	request, err := http.NewRequestWithContext(s.T.Context(), method, s.URL+path, body)
	require.NoError(s.T, err)
	return request
}

// HTTPClient keeps no connections: an idle one would be a goroutine left over, and a stopped service must not be waited for.
var HTTPClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Do sends a request and holds the response against the contract.
func (s *Service) Do(request *http.Request) Answer {
	s.T.Helper()
	response, err := HTTPClient.Do(request)
	require.NoError(s.T, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(s.T, err)
	ValidateResponse(s.T, request, response, raw)

	a := Answer{Response: response, Raw: string(raw)}
	switch {
	case response.StatusCode >= 400:
		require.NoError(s.T, json.Unmarshal(raw, &a.Refusal), "%s", raw)
	case request.URL.Path == "/appointments" || strings.HasSuffix(request.URL.Path, "/move"):
		require.NoError(s.T, json.Unmarshal(raw, &a.Result), "%s", raw)
	}
	return a
}

// ValidateResponse holds a response against the contract: its operation's, or, where there is no operation, the one shape of an error.
func ValidateResponse(t testing.TB, request *http.Request, response *http.Response, raw []byte) {
	t.Helper()
	if response.StatusCode >= 400 {
		var shape map[string]any
		require.NoError(t, json.Unmarshal(raw, &shape), "%s", raw)
		require.NoError(t, ContractDoc().Components.Schemas["Error"].Value.VisitJSON(shape), "%s", raw)
		require.EqualValues(t, response.StatusCode, shape["code"])
		require.Equal(t, response.Header.Get("X-Request-ID"), shape["request_id"])
		later := slices.Contains([]int{http.StatusServiceUnavailable, http.StatusConflict, http.StatusTooManyRequests}, response.StatusCode)
		require.Equal(t, later, response.Header.Get("Retry-After") != "")
	}
	path, item := pathOf(request)
	if item == nil || item.GetOperation(request.Method) == nil {
		return
	}
	route := &routers.Route{Spec: ContractDoc(), Path: path, PathItem: item, Method: request.Method, Operation: item.GetOperation(request.Method)}
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
	for path := range ContractDoc().Paths.Map() {
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
	return found, ContractDoc().Paths.Value(found)
}

// As reads the body of an answer of 200.
func As[T any](t testing.TB, a Answer) T {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.Raw)
	var body T
	require.NoError(t, json.Unmarshal([]byte(a.Raw), &body), "%s", a.Raw)
	return body
}

// RequireRefusal holds an answer against a rule's name.
func (a Answer) RequireRefusal(t testing.TB, rule string) {
	t.Helper()
	require.Equal(t, rule, string(a.Refusal.Rule), "%s", a.Raw)
}

// RequireRefusalOf holds an answer against the names of several rules.
func (a Answer) RequireRefusalOf(t testing.TB, rules ...string) {
	t.Helper()
	require.Contains(t, rules, string(a.Refusal.Rule), "%s", a.Raw)
}

// HTTPServer serves a handler on loopback until the test ends; it gives the address.
func HTTPServer(t testing.TB, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// StartWithInFlight runs the service with room for so many requests at once, and a scene.
func StartWithInFlight(t testing.TB, n int) *Scene {
	t.Helper()
	return Start(t, func(c *app.Config) { c.MaxInFlight = n }).Scene()
}
