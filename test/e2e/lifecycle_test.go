package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	talon "talon.example"
	"talon.example/gen/client"
	"talon.example/internal/app"
	"talon.example/internal/sandbox"
	"talon.example/internal/testdb"
	"talon.example/migrations"
	"talon.example/test/harness"
)

// Promise: a stop is orderly: readiness goes false, the running request gets its answer, then the service ends.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, func(c *app.Config) { c.ShutdownDelay = time.Second }).Scene()
	tx, err := sc.DB.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM slot FOR UPDATE`)
	require.NoError(t, err)
	answers := make(chan harness.Answer, 1)
	go func() { answers <- sc.TryBook() }()
	sc.WaitForBlocked(tx)
	stopped := make(chan struct{})
	go func() {
		sc.Stop()
		close(stopped)
	}()

	require.Eventually(t, func() bool {
		a := sc.Do(sc.NewRequest(http.MethodGet, "/health/ready", nil))
		return a.StatusCode == http.StatusServiceUnavailable && a.Refusal.Rule == "not_ready"
	}, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, 200, sc.Do(sc.NewRequest(http.MethodGet, "/health/live", nil)).StatusCode)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, 200, (<-answers).StatusCode)
	<-stopped
	sc.RequireInvariants()
}

// Promise: where the database takes no writes the instance is alive and not ready: it would refuse every booking.
func TestReadOnlyDatabaseIsNotReady(t *testing.T) {
	t.Parallel()
	s := harness.Start(t) // its first check of readiness connects, and finds the default changed
	s.Exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	s.Do(s.NewRequest(http.MethodGet, "/health/ready", nil)).RequireRefusal(t, "not_ready")
	require.Equal(t, 200, s.Do(s.NewRequest(http.MethodGet, "/health/live", nil)).StatusCode)
}

// Promise: ten instances may start at once on an empty database; one migrates, all serve.
func TestInstancesStartAtOnce(t *testing.T) {
	t.Parallel()
	database := testdb.Fresh(t)
	var group errgroup.Group
	for range 10 {
		group.Go(func() error {
			config, err := app.ReadConfig(minimalSettings(map[string]string{"DATABASE_URL": database, "TALON_DATABASE_MAX_CONNS": "2"}))
			if err != nil {
				return err
			}
			instance, err := app.New(context.WithoutCancel(t.Context()), config, slog.New(slog.DiscardHandler), time.Now, app.Wrappers{})
			if err != nil {
				return err
			}
			instance.Close()
			return nil
		})
	}
	require.NoError(t, group.Wait())
	current, err := migrations.Current(t.Context(), database)
	require.NoError(t, err)
	latest, err := migrations.Latest()
	require.NoError(t, err)
	require.Equal(t, latest, current)
}

// Promise: without migrations at start an older database is refused and a newer one only warned of, so that instances can be replaced one by one.
func TestSchemaVersions(t *testing.T) {
	t.Parallel()
	config, err := app.ReadConfig(minimalSettings(map[string]string{"DATABASE_URL": testdb.Fresh(t), "TALON_MIGRATE": "false"}))
	require.NoError(t, err)
	_, err = app.New(t.Context(), config, slog.New(slog.DiscardHandler), time.Now, app.Wrappers{})
	require.ErrorContains(t, err, "talon migrate")

	s := harness.Start(t)
	s.Exec(`INSERT INTO talon_schema_version (version_id, is_applied) VALUES (99999, true)`)
	newer := harness.StartOn(t, string(s.Config.DatabaseURL), func(c *app.Config) { c.MigrateAtStart = false })
	require.Contains(t, newer.Logs.String(), "newer than this build")
	require.Equal(t, 200, newer.Do(newer.NewRequest(http.MethodGet, "/health/ready", nil)).StatusCode)
}

// settings are the least that a service needs, with others.
func minimalSettings(others map[string]string) map[string]string {
	all := map[string]string{
		"DATABASE_URL":         "postgres://nobody:pa55word@127.0.0.1:1/none",
		"TALON_TOKEN_ISSUER":   "issuer",
		"TALON_TOKEN_AUDIENCE": "talon",
		"TALON_HS256_SECRET":   "a secret of at least thirty-two bytes",
	}
	maps.Copy(all, others)
	return all
}

// environ is settings as the operating system gives them.
func toEnviron(settings map[string]string) []string {
	var environ []string
	for name, value := range settings {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// run runs a command to its end.
func run(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = app.Program.Run(t.Context(), args, environ, &out, &errs)
	return code, out.String(), errs.String()
}

// runSandbox runs a command of talon-sandbox to its end.
func runSandbox(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = sandbox.Program.Run(t.Context(), args, environ, &out, &errs)
	return code, out.String(), errs.String()
}

// Promise: what is wrong with the settings is told at once, by the names of the variables, without their values.
func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	code, _, stderr := run(t, []string{
		"TALON_REQUEST_TIMEOUT=quick", "TALON_MAX_IN_FLIGHT=0", "TALON_ADDR=nowhere", "TALON_HS256_SECRET=short", "TALON_MIP_URL=ftp://x",
		"TALON_PEM_FILE=/no/such/file", "TALON_AUTH_KEY_FILE=/no/such/key", "TALON_AUTH_TOKEN_LIFE=25h",
	}, "serve", "--check")
	require.Equal(t, 1, code)
	for _, name := range []string{
		"TALON_REQUEST_TIMEOUT", "TALON_MAX_IN_FLIGHT", "TALON_ADDR", "TALON_HS256_SECRET", "TALON_MIP_URL", "TALON_PEM_FILE", "DATABASE_URL",
		"TALON_TOKEN_ISSUER", "TALON_TOKEN_AUDIENCE", "TALON_AUTH_KEY_FILE", "TALON_AUTH_TOKEN_LIFE",
	} {
		require.Equal(t, 1, strings.Count(stderr, name+":"), "%s in %s", name, stderr)
	}
	require.NotContains(t, stderr, "quick")
	require.NotContains(t, stderr, "short")
}

// Promise: serve --check shows every setting in force, and no secret; docs/configuration.md lists the same settings with the same defaults.
func TestServeCheckHidesSecrets(t *testing.T) {
	t.Parallel()
	given := minimalSettings(map[string]string{"TALON_MIP_CLIENT_SECRET": "pa55word", "TALON_MIP_URL": "https://user:pa55word@mip.example"})
	code, stdout, stderr := run(t, toEnviron(given), "serve", "--check")
	require.Zero(t, code, stderr)
	require.NotContains(t, stdout, "pa55word")
	require.NotContains(t, stdout, "thirty-two")
	documented, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	for line := range strings.SplitSeq(strings.TrimSpace(stdout), "\n") {
		name, value, found := strings.Cut(line, "=")
		require.True(t, found, line)
		row := "| `" + name + "` |"
		if _, given := given[name]; !given && value != "" && value != "[]" {
			row += " `" + strings.ToLower(value) + "` |"
		}
		require.Contains(t, string(documented), row)
	}
}

// Promise: the command line is explained, and a wrong one ends with code 2.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, attempt := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 0, "talon serve"},
		{[]string{"help"}, 0, "talon-sandbox"},
		{[]string{"book"}, 2, `no command "book"`},
		{[]string{"serve", "now"}, 2, `"now" is not understood`},
		{[]string{"serve", "--fast"}, 2, "-fast"},
		{[]string{"serve", "-h"}, 0, "-check"},
		{[]string{"migrate"}, 1, "DATABASE_URL"},
		{[]string{"client-secret"}, 2, "--client must be a guid"},
		{[]string{"client-secret", uuid.NewString()}, 2, "is not understood"},
		{[]string{"client-secret", "--client", uuid.NewString()}, 1, "DATABASE_URL"},
	} {
		code, stdout, stderr := run(t, nil, attempt.args...)
		require.Equal(t, attempt.code, code, "%v: %s", attempt.args, stderr)
		require.Contains(t, stdout+stderr, attempt.says, "%v", attempt.args)
	}
}

// Promise: so is the command line of talon-sandbox.
func TestSandboxCommandLine(t *testing.T) {
	t.Parallel()
	env := []string{"TALON_SANDBOX_KEY_FILE=" + filepath.Join(t.TempDir(), "key.pem")}
	for _, attempt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"help"}, 0, "talon-sandbox reset"},
		{[]string{"--help"}, 0, "talon-sandbox reset"},
		{[]string{"book"}, 2, `no command "book"`},
		{[]string{"--fast"}, 2, "-fast"},
		{[]string{"reset", "now"}, 2, `"now" is not understood`},
		{[]string{"token"}, 2, "--person must be a guid"},
		{[]string{"token", "--person", uuid.Nil.String()}, 2, "--person must be a guid"},
		{[]string{"token", "--person", uuid.NewString(), "--client", "me"}, 2, "--client must be a guid"},
		{[]string{"token", "--person", uuid.NewString(), "--ttl", "-1s"}, 2, "--ttl"},
		{[]string{"token", "--person", uuid.NewString()}, 0, "eyJ"},
	} {
		code, stdout, stderr := runSandbox(t, env, attempt.args...)
		require.Equal(t, attempt.code, code, "%v: %s", attempt.args, stderr)
		require.Contains(t, stdout+stderr, attempt.says, "%v", attempt.args)
	}
}

// Promise: talon migrate brings a database to the newest schema.
func TestMigrateCommand(t *testing.T) {
	t.Parallel()
	database := testdb.Fresh(t)
	for range 2 {
		code, stdout, stderr := run(t, []string{"DATABASE_URL=" + database}, "migrate")
		require.Zero(t, code, stderr)
		require.Regexp(t, `schema version [1-9]`, stdout)
	}
}

// Promise: talon-sandbox ends with a page to click and a line to paste, which books; run again it finds its data; reset puts them back.
func TestDemoCommand(t *testing.T) {
	t.Parallel()
	env := []string{
		"DATABASE_URL=" + testdb.Fresh(t), "TALON_ADDR=127.0.0.1:0", "TALON_SANDBOX_KEY_FILE=" + filepath.Join(t.TempDir(), "key.pem"),
		"TALON_DATABASE_MAX_CONNS=2",
	}
	for _, expected := range []int{200, 400} {
		text, stop := runDemo(t, env)
		base := regexp.MustCompile(`http://\S+/docs/`).FindString(text)
		token := regexp.MustCompile(`Bearer ([^']+)'`).FindStringSubmatch(text)[1]
		body := regexp.MustCompile(`(?s)-d '(\{.*?\})'`).FindStringSubmatch(text)[1]
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.Replace(base, "/docs/", "/appointments", 1), strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := harness.HTTPClient.Do(request)
		require.NoError(t, err)
		raw, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, expected, response.StatusCode, "%s", raw)
		if expected == 200 {
			require.Contains(t, string(raw), `"id":"58384"`)
			require.Contains(t, string(raw), `"mkabGuid":"183209fc-1277-4896-aa7f-72dfcd8f03b1"`)
		}
		require.Equal(t, expected != 200, strings.Contains(text, "booked already"))
		stop()
	}
	code, stdout, stderr := runSandbox(t, env, "reset")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "first day")
	text, stop := runDemo(t, env)
	defer stop()
	require.NotContains(t, text, "booked already")
}

// runDemo runs talon-sandbox until it has said all it has to say; stop ends it as Ctrl-C does.
func runDemo(t *testing.T, environ []string) (text string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		ended <- sandbox.Program.Run(ctx, nil, environ, in, &stderr)
		_ = in.Close()
	}()
	var read bytes.Buffer
	buffer := make([]byte, 4096)
	for !strings.Contains(read.String(), "Ctrl-C") {
		n, err := out.Read(buffer)
		read.Write(buffer[:n])
		if err != nil {
			t.Fatalf("talon-sandbox ended with %d: %s", <-ended, stderr.String())
		}
	}
	return read.String(), func() {
		cancel()
		require.Zero(t, <-ended, stderr.String())
	}
}

// Promise: the demo stays out of a database that is somebody else's, and changes nothing there.
func TestDemoRejectsForeignDatabase(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"another application's": `CREATE TABLE customers (id int)`,
		"a real one of ours":    "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := testdb.Fresh(t)
			if sql == "" {
				require.NoError(t, migrations.Up(t.Context(), database))
				sql = `INSERT INTO legal_entity VALUES (gen_random_uuid(), 'Настоящее')`
			}
			conn, err := pgx.Connect(t.Context(), database)
			require.NoError(t, err)
			defer conn.Close(context.WithoutCancel(t.Context()))
			_, err = conn.Exec(t.Context(), sql)
			require.NoError(t, err)
			count := func() (n int) {
				// Not from the statistics, which come late.
				require.NoError(t, conn.QueryRow(t.Context(), `SELECT sum(1 + (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) n FROM %I', tablename),
					false, true, '')))[1]::text::int) FROM pg_tables WHERE schemaname = 'public'`).Scan(&n))
				return n
			}
			before := count()
			code, _, stderr := runSandbox(t, []string{"DATABASE_URL=" + database, "TALON_SANDBOX_KEY_FILE=" + filepath.Join(t.TempDir(), "key.pem")})
			require.Equal(t, 1, code, stderr)
			require.Contains(t, stderr, "not")
			require.Equal(t, before, count())
		})
	}
}

// Promise: the docs need no internet: the page and what it loads come from the service, and the contract is served as it was written.
func TestDocs(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	fetch := func(path string) (*http.Response, string) {
		response, err := harness.HTTPClient.Do(s.NewRequest(http.MethodGet, path, nil))
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, string(body)
	}
	for _, path := range []string{"/", "/docs"} {
		response, _ := fetch(path)
		require.Equal(t, "/docs/", response.Header.Get("Location"))
	}
	response, page := fetch("/docs/")
	require.Equal(t, 200, response.StatusCode)
	assets := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, assets)
	for _, asset := range assets {
		require.True(t, strings.HasPrefix(asset[1], "/docs/"), "%s is not ours", asset[1])
		response, _ := fetch(asset[1])
		require.Equal(t, 200, response.StatusCode, asset[1])
	}
	_, yaml := fetch("/openapi.yaml")
	require.Equal(t, string(talon.Contract), yaml)
	_, text := fetch("/openapi.json")
	var document map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &document))
	require.Equal(t, "3.0.3", document["openapi"])
}

// Promise: keys may come from a JWKS URL, a JWKS file, a PEM file, or be a shared secret.
func TestKeySources(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	jwks, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA", "use": "sig", "x": base64.RawURLEncoding.EncodeToString(edPublic),
	}}})
	require.NoError(t, err)
	keys := harness.HTTPServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jwks) }))
	file := func(content []byte) string {
		path := filepath.Join(t.TempDir(), "keys")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	pemFile := func(key any) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		require.NoError(t, err)
		return file(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	const secret = "a secret of at least thirty-two bytes"
	for name, source := range map[string]struct {
		configure func(*app.Config)
		method    jwt.SigningMethod
		key       any
		kid       string
	}{
		"JWKS URL":       {func(c *app.Config) { c.JWKSURL = app.Address(keys) }, jwt.SigningMethodEdDSA, edKey, "ed"},
		"JWKS file":      {func(c *app.Config) { c.JWKSFile = file(jwks) }, jwt.SigningMethodEdDSA, edKey, "ed"},
		"PEM file RS256": {func(c *app.Config) { c.PEMFile = pemFile(rsaKey.Public()) }, jwt.SigningMethodRS256, rsaKey, ""},
		"PEM file PS256": {func(c *app.Config) { c.PEMFile = pemFile(rsaKey.Public()) }, jwt.SigningMethodPS256, rsaKey, ""},
		"PEM file ES256": {func(c *app.Config) { c.PEMFile = pemFile(ecKey.Public()) }, jwt.SigningMethodES256, ecKey, ""},
		"HS256 secret":   {func(c *app.Config) { c.HS256Secret = secret }, jwt.SigningMethodHS256, []byte(secret), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := harness.Start(t, func(c *app.Config) { c.PEMFile = "" }, source.configure).Scene()
			token := jwt.NewWithClaims(source.method, jwt.MapClaims{
				"iss": "issuer", "aud": "talon", "sub": sc.Person.String(), "client_application": harness.ClientGuid.String(),
				"iat": harness.Moment.Unix(), "exp": harness.Moment.Add(time.Hour).Unix(),
			})
			if source.kid != "" {
				token.Header["kid"] = source.kid
			}
			text, err := token.SignedString(source.key)
			require.NoError(t, err)
			a := sc.Post(sc.BookingBody(), "Bearer "+text)
			require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
			// The demo key is not configured: its tokens are a stranger's.
			sc.Post(sc.BookingBody(), "Bearer "+sc.Token(sc.Person)).RequireAnyRefusal(t, "token_signature_invalid", "token_invalid")
		})
	}
}

// Promise: the generated Go client books.
func TestGeneratedClient(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	c, err := client.NewClientWithResponses(sc.URL, client.WithHTTPClient(harness.HTTPClient),
		client.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
			request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
			return nil
		}))
	require.NoError(t, err)
	slot := int64(harness.FirstSlotID)
	body := client.CreateAppointmentJSONRequestBody{
		DirectionGUID: sc.Direction, DirectionType: "Consult", LpuFromGUID: sc.From, LpuToGUID: sc.To, SlotID: &slot,
	}
	booked, err := c.CreateAppointmentWithResponse(t.Context(), nil, body)
	require.NoError(t, err)
	require.NotNil(t, booked.JSON200, "%s", booked.Body)
	require.Equal(t, sc.Direction, booked.JSON200.ConsultDirection.GUID)
	refused, err := c.CreateAppointmentWithResponse(t.Context(), nil, body)
	require.NoError(t, err)
	require.Equal(t, client.RuleDirectionAlreadyBooked, refused.JSON400.Rule)
}

// Promise: each request is one line of the log, with its id, its outcome and its rule.
func TestLogLines(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	booked, refused := sc.TryBook(), sc.TryBook()
	sc.Stop()
	lines := map[string]map[string]any{}
	for text := range strings.SplitSeq(strings.TrimSpace(sc.Logs.String()), "\n") {
		var line map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &line))
		if line["msg"] == "request" {
			lines[line["request_id"].(string)] = line
		}
	}
	require.Len(t, lines, 2)
	line := lines[booked.Header.Get("X-Request-ID")]
	require.EqualValues(t, 200, line["status"])
	require.Equal(t, "/appointments", line["route"])
	require.Equal(t, harness.ClientGuid.String(), line["client"])
	line = lines[refused.Refusal.RequestID.String()]
	require.EqualValues(t, 400, line["status"])
	require.Equal(t, "direction_already_booked", line["rule"])
	sc.RequireNoSecretsInLog()
}
