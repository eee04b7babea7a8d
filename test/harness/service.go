// Package harness runs the whole service for tests. Each service has a database of its own, and
// every response is validated against the contract.
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
	"net/url"
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

// Moment is the time at which the clock of the tests starts. The source's own example was booked
// then.
var Moment = time.Date(2019, 8, 20, 17, 52, 14, 0, time.FixedZone("MSK", 3*60*60))

// ContractDoc returns the parsed contract. Every response of every test is validated against it.
// The contract is open for clients, which must accept new fields and values. Here it is closed: the
// service itself must return nothing that the contract does not know.
var ContractDoc = sync.OnceValue(func() *openapi3.T {
	doc, err := talon.Document()
	if err != nil {
		panic(err)
	}
	for _, schema := range doc.Components.Schemas {
		closeSchema(doc, schema.Value)
	}
	return doc
})

func closeSchema(doc *openapi3.T, schema *openapi3.Schema) {
	extensions := schema.Extensions
	if name, ok := extensions["x-values-of"].(string); ok {
		extensions = doc.Components.Schemas[name].Value.Extensions
	}
	if values, ok := extensions["x-extensible-enum"].([]any); ok {
		schema.Enum = values
		if schema.Nullable {
			schema.Enum = append(slices.Clone(values), nil)
		}
	}
	if schema.Type.Is("object") && schema.AdditionalProperties.Has == nil && schema.AdditionalProperties.Schema == nil {
		schema.AdditionalProperties.Has = new(false)
	}
	for _, property := range schema.Properties {
		closeSchema(doc, property.Value)
	}
}

// MustZone loads a time zone of the tz database. It panics if there is none of that name.
func MustZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return zone
}

// Service is a running Talon with a database of its own.
type Service struct {
	T           testing.TB
	URL         string
	DB          *pgxpool.Pool
	Config      app.Config
	Logs        *Logs
	Key         *auth.SigningKey
	ClockOffset *atomic.Int64 // nanoseconds from Moment to the service's current time
	Stop        func()
	Check       func(send func() Answer) Answer // sends the check before each booking; nil skips the check

	hasScene bool // whether the database has the rows of Scene
}

// Logs collects what the service logs. It is safe for concurrent use.
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

// end returns the last lines, at most 16 KiB.
func (l *Logs) end() string {
	text := l.String()
	return text[max(0, len(text)-16<<10):]
}

// Start runs the service on a new database with the newest schema and the scene that Scene returns.
// Each configure function changes the configuration before the start. The service stops when the
// test ends.
func Start(t testing.TB, configure ...func(*app.Config)) *Service {
	t.Helper()
	s := StartOn(t, sceneTemplate.New(t), slices.Insert(configure, 0, migrated)...)
	s.hasScene = true
	return s
}

// StartEmpty is Start without a scene.
func StartEmpty(t testing.TB, configure ...func(*app.Config)) *Service {
	t.Helper()
	return StartOn(t, testdb.New(t), slices.Insert(configure, 0, migrated)...)
}

// migrated is the configuration for a database that has the newest schema.
func migrated(c *app.Config) { c.MigrateAtStart = false }

// StartOn runs the service on the database with the given URL.
func StartOn(t testing.TB, database string, configure ...func(*app.Config)) *Service {
	t.Helper()
	return StartWrapped(t, database, func(*Service) app.Wrappers { return app.Wrappers{} }, configure...)
}

// StartWrapped runs the service with parts of it wrapped, as the sandbox does.
func StartWrapped(t testing.TB, database string, wrap func(*Service) app.Wrappers,
	configure ...func(*app.Config)) *Service {
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
		"TALON_WEBHOOK_ADDRESSES":  "loopback",
		// Tests send many requests as one patient.
		"TALON_PERSON_RATE":          "0",
		"TALON_PERSON_MAX_IN_FLIGHT": "0",
		"TALON_CLIENT_RATE":          "0",
	})
	require.NoError(t, err)
	if testdb.Distributed() {
		config.Timeout = 20 * time.Second // its statements take longer
	}
	config.TokenMaxLife = 30 * 24 * time.Hour // stories of the model take weeks
	for _, change := range configure {
		change(&config)
	}
	s := &Service{T: t, Config: config, Logs: new(Logs), Key: key, ClockOffset: new(atomic.Int64)}
	if _, checked := CheckedTests.Load(t.Name()); checked {
		s.Check = s.RequireReadOnly
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the service's log:\n%s", s.Logs.end())
		}
	})
	log := slog.New(slog.NewJSONHandler(s.Logs, nil))
	talon, err := app.New(t.Context(), config, log, s.Now, withStore(t, database, wrap(s)))
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

	poolConfig, err := pgxpool.ParseConfig(database)
	require.NoError(t, err)
	poolConfig.ConnConfig.Tracer = changes{database}
	testdb.Permit(poolConfig.ConnConfig)
	s.DB, err = pgxpool.NewWithConfig(t.Context(), poolConfig)
	require.NoError(t, err)
	t.Cleanup(s.DB.Close)
	return s
}

// signingKey creates a key that signs tokens. It returns the key and the path of its public half.
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
	encoded := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	require.NoError(t, os.WriteFile(publicKey, encoded, 0o600))
	return key, publicKey
}

// PrivateKeyFile returns the path of the private key that StartWrapped created.
func PrivateKeyFile(c *app.Config) string { return filepath.Join(filepath.Dir(c.PEMFile), "key.pem") }

// Now returns the current time of the service's clock.
func (s *Service) Now() time.Time { return Moment.Add(time.Duration(s.ClockOffset.Load())) }

// AdvanceClock moves the service's clock forward.
func (s *Service) AdvanceClock(d time.Duration) { s.ClockOffset.Add(int64(d)) }

// Exec runs one statement directly in the database, without the service.
func (s *Service) Exec(sql string, args ...any) {
	s.T.Helper()
	_, err := s.DB.Exec(s.T.Context(), sql, args...)
	require.NoError(s.T, err)
}

// Count returns the integer that a query selects.
func (s *Service) Count(sql string, args ...any) int {
	s.T.Helper()
	var n int
	require.NoError(s.T, s.DB.QueryRow(s.T.Context(), sql, args...).Scan(&n))
	return n
}

// Token signs a token of a person for the scene's client application. It is valid for one hour from
// Moment.
func (s *Service) Token(person uuid.UUID) string {
	s.T.Helper()
	signed, err := s.Key.Sign(auth.Caller{Person: person, Client: ClientGuid}, "issuer", "talon", s.Now(), time.Hour)
	require.NoError(s.T, err)
	return signed
}

// Answer is a response whose body has been read and validated against the contract.
type Answer struct {
	*http.Response

	Raw     string
	Result  api.AppointmentResult // of a booking or a move, where the status is 200
	Refusal api.Error             // where it is not
}

// Book sends a booking with the token of a person. A string body is sent unchanged, any other as
// JSON.
func (s *Service) Book(person uuid.UUID, body any) Answer {
	s.T.Helper()
	return s.Post(body, "Bearer "+s.Token(person))
}

// Post sends a booking with the given Authorization headers. Where Check is set, it checks the
// booking first and requires that the two responses agree.
func (s *Service) Post(body any, authorization ...string) Answer {
	s.T.Helper()
	if s.Check == nil {
		return s.Send("/appointments", body, authorization...)
	}
	checked := s.Check(func() Answer { return s.Send("/appointments/check", body, authorization...) })
	booked := s.Send("/appointments", body, authorization...)
	RequireCheckMatches(s.T, checked, booked)
	return booked
}

// Send sends a POST request. A string body is sent unchanged, any other as JSON.
func (s *Service) Send(path string, body any, authorization ...string) Answer {
	s.T.Helper()
	text, isText := body.(string)
	if !isText {
		encoded, err := json.Marshal(body)
		require.NoError(s.T, err)
		text = string(encoded)
	}
	request := s.NewRequest(http.MethodPost, path, strings.NewReader(text))
	request.Header.Set("Content-Type", "application/json")
	request.Header["Authorization"] = authorization
	return s.Do(request)
}

// Get sends a GET request with the token of a person.
func (s *Service) Get(person uuid.UUID, path string) Answer {
	s.T.Helper()
	request := s.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer "+s.Token(person))
	return s.Do(request)
}

// Cancel cancels an appointment with the token of a person. At most one body may be given, which is
// sent as JSON.
func (s *Service) Cancel(person, appointment uuid.UUID, body ...any) Answer {
	s.T.Helper()
	var text string
	for _, body := range body {
		encoded, err := json.Marshal(body)
		require.NoError(s.T, err)
		text = string(encoded)
	}
	request := s.NewRequest(http.MethodDelete, "/appointments/"+appointment.String(), strings.NewReader(text))
	if text != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+s.Token(person))
	return s.Do(request)
}

// NewRequest returns a request to the service.
func (s *Service) NewRequest(method, path string, body io.Reader) *http.Request {
	s.T.Helper()
	request, err := http.NewRequestWithContext(s.T.Context(), method, s.URL+path, body)
	require.NoError(s.T, err)
	return request
}

// HTTPClient keeps no idle connections. An idle connection would be a leaked goroutine, and the
// service would wait for it when it stops. It follows no redirects.
var HTTPClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Do sends a request and validates the response against the contract.
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

// ValidateResponse requires that a response is one that the contract declares for its operation,
// and that an independent JSON Schema library accepts it, too. Where the request has no operation,
// only the shape of the error is checked.
func ValidateResponse(t testing.TB, request *http.Request, response *http.Response, raw []byte) {
	t.Helper()
	if response.StatusCode >= 400 {
		var shape map[string]any
		require.NoError(t, json.Unmarshal(raw, &shape), "%s", raw)
		require.NoError(t, ContractDoc().Components.Schemas["Error"].Value.VisitJSON(shape), "%s", raw)
		requireSchema31(t, "Error", raw)
		require.EqualValues(t, response.StatusCode, shape["code"])
		require.Equal(t, response.Header.Get("X-Request-ID"), shape["request_id"])
		retryable := slices.Contains(
			[]int{http.StatusServiceUnavailable, http.StatusConflict, http.StatusTooManyRequests}, response.StatusCode)
		require.Equal(t, retryable, response.Header.Get("Retry-After") != "")
		require.Equal(t, "no-store", response.Header.Get("Cache-Control"), "an error may be a patient's")
		require.Equal(t, challenge(shape["rule"].(string)), response.Header.Get("WWW-Authenticate"))
	}
	path, item := contractPath(request)
	if item == nil || item.GetOperation(request.Method) == nil {
		return
	}
	route := &routers.Route{Spec: ContractDoc(), Path: path, PathItem: item, Method: request.Method,
		Operation: item.GetOperation(request.Method)}
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, Route: route},
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Body:                   io.NopCloser(bytes.NewReader(raw)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	})
	require.NoError(t, err, "%s", raw)
	cached := cacheControl(item.GetOperation(request.Method), response.StatusCode)
	require.Equal(t, cached, response.Header.Get("Cache-Control"))
	for _, content := range item.GetOperation(request.Method).Responses.Status(response.StatusCode).Value.Content {
		requireSchema31(t, strings.TrimPrefix(content.Schema.Ref, "#/components/schemas/"), raw)
	}
}

// cacheControl returns the Cache-Control that a response of the operation must have: the example of
// the contract. A response may be a patient's.
func cacheControl(operation *openapi3.Operation, status int) any {
	return operation.Responses.Status(status).Value.Headers["Cache-Control"].Value.Example
}

// challenge returns the WWW-Authenticate that an error of the rule must have. Clients learn from it
// which authentication they lack.
func challenge(rule string) string {
	switch rule {
	case "token_missing":
		return `Bearer realm="talon"`
	case "token_invalid", "token_expired", "token_signature_invalid":
		return `Bearer realm="talon", error="invalid_token"`
	case "scope_missing":
		return `Bearer realm="talon", error="insufficient_scope"`
	case "client_unauthenticated":
		return `Basic realm="talon", charset="UTF-8"`
	default:
		return ""
	}
}

// contractPath returns the path of the contract that a request matches, and its item. Of several it
// returns the one with the fewest parameters. The item is nil where none matches.
func contractPath(request *http.Request) (string, *openapi3.PathItem) {
	requested := strings.Split(request.URL.EscapedPath(), "/")
	fewest, found := len(requested)+1, ""
	for path := range ContractDoc().Paths.Map() {
		segments := strings.Split(path, "/")
		parameters := strings.Count(path, "{")
		matches := len(segments) == len(requested) && parameters < fewest
		for i := 0; matches && i < len(segments); i++ {
			matches = segments[i] == requested[i] || strings.HasPrefix(segments[i], "{") && requested[i] != ""
		}
		if matches {
			fewest, found = parameters, path
		}
	}
	return found, ContractDoc().Paths.Value(found)
}

// Decode requires a 200 response and decodes its body.
func Decode[T any](t testing.TB, a Answer) T {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.Raw)
	var body T
	require.NoError(t, json.Unmarshal([]byte(a.Raw), &body), "%s", a.Raw)
	return body
}

// RequireRefusal requires that the service rejected the request by this rule.
func (a Answer) RequireRefusal(t testing.TB, rule string) {
	t.Helper()
	require.Equal(t, rule, a.Refusal.Rule, "%s", a.Raw)
}

// RequireAnyRefusal requires that the service rejected the request by one of these rules. An empty
// name stands for a success.
func (a Answer) RequireAnyRefusal(t testing.TB, rules ...string) {
	t.Helper()
	require.Contains(t, rules, a.Refusal.Rule, "%s", a.Raw)
}

// HTTPServer serves a handler on a loopback address until the test ends. It returns the URL.
func HTTPServer(t testing.TB, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// StartWithMaxInFlight runs the service with a scene. It serves at most n requests at a time.
func StartWithMaxInFlight(t testing.TB, n int) *Scene {
	t.Helper()
	return Start(t, func(c *app.Config) { c.MaxInFlight = n }).Scene()
}

// WaitForLocks makes the service wait for locks until the deadline of the request, for tests that
// keep locks for longer than lock_timeout.
func WaitForLocks(c *app.Config) {
	address, err := url.Parse(string(c.DatabaseURL))
	if err != nil {
		panic(err) // of a database that was just created
	}
	query := address.Query()
	query.Set("lock_timeout", "0")
	address.RawQuery = query.Encode()
	c.DatabaseURL = app.Secret(address.String())
}
