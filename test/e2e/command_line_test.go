package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/internal/sandbox"
	"talon.example/internal/testdb"
	"talon.example/migrations"
	"talon.example/test/harness"
)

// minimalSettings returns the settings that a service requires, with others.
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

// toEnviron formats settings as the environment of a process.
func toEnviron(settings map[string]string) []string {
	var environ []string
	for name, value := range settings {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// run runs a command of talon until it exits.
func run(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = app.Program.Run(t.Context(), args, environ, &out, &errs)
	return code, out.String(), errs.String()
}

// runSandbox runs a command of talon-sandbox until it exits.
func runSandbox(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = sandbox.Program.Run(t.Context(), args, environ, &out, &errs)
	return code, out.String(), errs.String()
}

// Promise: all invalid settings are reported at once, by variable name and without their values.
func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	code, _, stderr := run(t, []string{
		"TALON_REQUEST_TIMEOUT=quick", "TALON_MAX_IN_FLIGHT=0", "TALON_ADDR=nowhere", "TALON_HS256_SECRET=short",
		"TALON_MIP_URL=ftp://x", "TALON_MAX_CONNS=0",
		"TALON_PERSON_RATE=-1", "TALON_PERSON_MAX_IN_FLIGHT=-1", "TALON_CLIENT_RATE=1000001",
		"TALON_PEM_FILE=/no/such/file", "TALON_AUTH_KEY_FILE=/no/such/key", "TALON_AUTH_TOKEN_LIFE=25h",
	}, "serve", "--check")
	require.Equal(t, 1, code)
	for _, name := range []string{
		"TALON_REQUEST_TIMEOUT", "TALON_MAX_IN_FLIGHT", "TALON_ADDR", "TALON_HS256_SECRET", "TALON_MIP_URL",
		"TALON_PEM_FILE", "DATABASE_URL", "TALON_MAX_CONNS", "TALON_PERSON_RATE",
		"TALON_PERSON_MAX_IN_FLIGHT", "TALON_CLIENT_RATE",
		"TALON_TOKEN_ISSUER", "TALON_TOKEN_AUDIENCE", "TALON_AUTH_KEY_FILE", "TALON_AUTH_TOKEN_LIFE",
	} {
		require.Equal(t, 1, strings.Count(stderr, name+":"), "%s in %s", name, stderr)
	}
	require.NotContains(t, stderr, "quick")
	require.NotContains(t, stderr, "short")
}

// Promise: serve --check rejects a value with which the start or the requests would fail, and says
// what is valid.
func TestSettingsThatCannotWork(t *testing.T) {
	t.Parallel()
	const (
		keyURL     = "TALON_JWKS_URL: must be an https address"
		origins    = "TALON_CORS_ORIGINS: must be * or origins"
		mipTimeout = "TALON_MIP_TIMEOUT: must be above 0 and at most "
		keptDays   = "TALON_KEEP_VISITS_DAYS: must be 0, or from 7 to 36525"
		auditDays  = "TALON_KEEP_AUDIT_DAYS: must be 0, or from 7 to 36525"
		standby    = "TALON_READ_DATABASE_URL: must be an address or words of PostgreSQL"
		referrals  = "TALON_KEEP_REFERRALS_DAYS: must be 0 or at least TALON_KEEP_VISITS_DAYS"
	)
	for _, c := range []struct{ name, value, timeout, problem string }{
		{"TALON_JWKS_URL", "http://auth.example/jwks.json", "0s", keyURL},
		{"TALON_JWKS_URL", "ftp://127.0.0.1/jwks.json", "0s", keyURL},
		{"TALON_JWKS_URL", "https:///jwks.json", "0s", keyURL},
		{"TALON_JWKS_URL", "https://auth.example/jwks.json", "0s", ""},
		{"TALON_JWKS_URL", "http://127.0.0.1:8081/jwks.json", "0s", ""},
		{"TALON_CORS_ORIGINS", "*,https://portal.example", "0s", origins},
		{"TALON_CORS_ORIGINS", "https://*.example", "0s", origins},
		{"TALON_CORS_ORIGINS", "portal.example", "0s", origins},
		{"TALON_CORS_ORIGINS", "https://portal.example/", "0s", origins},
		{"TALON_CORS_ORIGINS", "https://Portal.example", "0s", origins},
		{"TALON_CORS_ORIGINS", "https://portal.example:443", "0s", origins},
		{"TALON_CORS_ORIGINS", "/https://.*/", "0s", origins},
		{"TALON_CORS_ORIGINS", "null", "0s", origins},
		{"TALON_CORS_ORIGINS", "", "0s", ""},
		{"TALON_CORS_ORIGINS", "*", "0s", ""},
		{"TALON_CORS_ORIGINS", "https://portal.example,http://127.0.0.1:3000,http://[::1]:3000", "0s", ""},
		{"TALON_READ_DATABASE_URL", "postgres://reader@127.0.0.1:x/talon", "0s", standby},
		{"TALON_READ_DATABASE_URL", "host=10.0.0.2 user=reader dbname=talon", "0s", ""},
		{"TALON_MIP_TIMEOUT", "11s", "0s", mipTimeout + "10s"},
		{"TALON_MIP_TIMEOUT", "10s", "0s", ""},
		{"TALON_MIP_TIMEOUT", "3s", "2s", mipTimeout + "2s"},
		{"TALON_MIP_TIMEOUT", "30s", "1m", ""},
		{"TALON_KEEP_VISITS_DAYS", "6", "0s", keptDays},
		{"TALON_KEEP_VISITS_DAYS", "-1", "0s", keptDays},
		{"TALON_KEEP_VISITS_DAYS", "40000", "0s", keptDays},
		{"TALON_KEEP_VISITS_DAYS", "7", "0s", ""},
		{"TALON_KEEP_AUDIT_DAYS", "6", "0s", auditDays},
		{"TALON_KEEP_AUDIT_DAYS", "-1", "0s", auditDays},
		{"TALON_KEEP_AUDIT_DAYS", "40000", "0s", auditDays},
		{"TALON_KEEP_AUDIT_DAYS", "0", "0s", ""},
		{"TALON_KEEP_AUDIT_DAYS", "7", "0s", ""},
		{"TALON_KEEP_REFERRALS_DAYS", "30", "0s", referrals}, // visits are kept forever
	} {
		settings := minimalSettings(map[string]string{c.name: c.value, "TALON_REQUEST_TIMEOUT": c.timeout})
		code, _, stderr := run(t, toEnviron(settings), "serve", "--check")
		require.Contains(t, stderr, c.problem, "%+v", c)
		require.Equal(t, c.problem != "", code == 1, "%+v: %s", c, stderr)
	}
}

// Promise: serve --check opens the files that the settings name, so that the start does not fail
// with one that the service's account cannot read.
func TestFilesOfSettingsAreOpened(t *testing.T) {
	t.Parallel()
	folder := t.TempDir() // root may read every file, so that one that is no file replaces it
	for _, name := range []string{"TALON_JWKS_FILE", "TALON_PEM_FILE", "TALON_AUTH_KEY_FILE"} {
		for path, problem := range map[string]string{
			folder: "is a directory", folder + "/none": "no such file or directory",
		} {
			settings := minimalSettings(map[string]string{name: path})
			code, _, stderr := run(t, toEnviron(settings), "serve", "--check")
			require.Equal(t, 1, code)
			require.Contains(t, stderr, name+": cannot be read: "+problem)
			require.NotContains(t, stderr, folder)
		}
	}
}

// Promise: a variable that looks like a setting and is none, such as a misspelt one, is named at
// the start and by serve --check, also if the setting that is meant is then missing. Those of other
// commands, and those that Kubernetes sets for a Service with the name talon, are not.
func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	settings := minimalSettings(map[string]string{
		"TALON_MIGRATION": "false", "TALON_PORT": "8080", "TALON_URL": "http://127.0.0.1:8080", "TALON_TOKEN": "x",
		"TALON_SANDBOX_KEY_FILE": "x", "TALON_TEST_DATABASE_URL": "x", "TALON_SERVICE_HOST": "10.0.0.1",
		"TALON_PORT_8080_TCP_PROTO": "tcp",
	})
	code, stdout, stderr := run(t, toEnviron(settings), "serve", "--check")
	require.Zero(t, code)
	require.NotContains(t, stdout, "TALON_MIGRATION")
	require.Equal(t, "TALON_MIGRATION: no such setting, ignored\nTALON_PORT: no such setting, ignored\n", stderr)

	settings["TALON_PORT"] = "tcp://10.0.0.1:8080"
	code, _, stderr = run(t, toEnviron(settings), "serve") // there is no database
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `"msg":"variables that are no settings are ignored","names":["TALON_MIGRATION"]}`)

	settings["TALON_TOKEN_ISSUR"], settings["TALON_TOKEN_ISSUER"] = "issuer", ""
	for _, args := range [][]string{{"serve"}, {"serve", "--check"}} {
		code, _, stderr = run(t, toEnviron(settings), args...)
		require.Equal(t, 1, code)
		require.Equal(t, "TALON_MIGRATION: no such setting, ignored\nTALON_TOKEN_ISSUR: no such setting, ignored\n"+
			"talon serve: TALON_TOKEN_ISSUER: must be given\n", stderr)
	}
}

// Promise: serve --check prints every setting in force and no secret. docs/configuration.md lists
// the same settings with the same defaults.
func TestServeCheckHidesSecrets(t *testing.T) {
	t.Parallel()
	given := minimalSettings(map[string]string{
		"TALON_MIP_CLIENT_SECRET": "pa55word", "TALON_MIP_URL": "https://user:pa55word@mip.example",
		"TALON_READ_DATABASE_URL": "postgres://reader:pa55word@127.0.0.1/talon",
	})
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

// Promise: talon explains its command line, and rejects a wrong one with exit code 2.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, attempt := range []struct {
		args   []string
		code   int
		output string
	}{
		{nil, 0, "talon serve"},
		{[]string{"help"}, 0, "talon-sandbox"},
		{[]string{"book"}, 2, `unknown command "book"`},
		{[]string{"serve", "now"}, 2, `unexpected argument "now"`},
		{[]string{"serve", "--fast"}, 2, "-fast"},
		{[]string{"serve", "-h"}, 0, "-check"},
		{[]string{"migrate"}, 1, "DATABASE_URL"},
		{[]string{"client"}, 0, "talon client create"},
		{[]string{"client", "-h"}, 0, "talon client create"},
		{[]string{"client", "remove"}, 2, "client remove: unknown command"},
		{[]string{"client", "create", "--name", "a\x1b[31mb"}, 2, "--name must be UTF-8 without control characters"},
		{[]string{"client", "create", "--name", "a\nb"}, 2, "--name must be UTF-8 without control characters"},
		{[]string{"client", "create", "--name", "a\xff"}, 2, "--name must be UTF-8 without control characters"},
		{[]string{"busy-type", "put", "--code", "1", "--name", "a\tb"}, 2, "without control characters"},
		{[]string{"client", "rotate"}, 2, "client rotate: --client must be a guid"},
		{[]string{"client", "rotate", uuid.NewString()}, 2, "unexpected argument"},
		{[]string{"client", "rotate", "--client", uuid.NewString()}, 1, "DATABASE_URL"},
		{[]string{"client", "disable", "--client", "me"}, 2, "--client must be a guid"},
		{[]string{"client", "enable", "--client", uuid.Nil.String()}, 2, "--client must be a guid"},
		{[]string{"client", "list", "all"}, 2, "unexpected argument"},
		{[]string{"client", "list"}, 1, "DATABASE_URL"},
		{[]string{"busy-type"}, 0, "talon busy-type put"},
		{[]string{"busy-type", "delete"}, 2, "busy-type delete: unknown command"},
		{[]string{"busy-type", "put", "--name", "x"}, 2, "--code must be an integer of 32 bits"},
		{[]string{"busy-type", "put", "--code", "2147483648", "--name", "x"}, 2, "--code must be"},
		{[]string{"busy-type", "put", "--code", "1"}, 2, "--name must be given"},
		{[]string{"busy-type", "put", "--code", "1", "--name", "\xff"}, 2, "--name must be UTF-8"},
		{[]string{"busy-type", "list"}, 1, "DATABASE_URL"},
		{[]string{"client", "create"}, 2, "--name must be given"},
		{[]string{"client", "create", "--name", "x", "--scopes", "admin"}, 2, "--scopes needs --lpus or --every-lpu"},
		{[]string{"client", "create", "--name", "x", "--scopes", "root", "--every-lpu"}, 2, `unknown scope "root"`},
		{[]string{"client", "create", "--name", "x", "--lpus", "1"}, 2, "--lpus must be a guid"},
		{[]string{"client", "create", "--name", "x", "--lpus", uuid.NewString(), "--every-lpu"}, 2, "given together"},
		{[]string{"client", "create", "--name", "x", "--visit-direction", "3000"}, 2, "-direction must be a sum of"},
		{[]string{"client", "create", "--name", "x", "--visit-direction-other-lpu", "32"}, 2, "-other-lpu must be"},
		{[]string{"client", "create", "--name", "x", "--visit-direction", "95"}, 1, "DATABASE_URL"},
		{[]string{"client", "create", "--name", "x", "--visit-direction", "-1"}, 2, "visit-direction"},
		{[]string{"client", "create", "--name", "x", "--public-keys", "absent.json"}, 1, "absent.json"},
		{[]string{"client", "create", "--name", "x"}, 1, "DATABASE_URL"},
		{[]string{"listen", "-h"}, 0, "talon listen --forward URL"},
		{[]string{"listen"}, 2, "TALON_TOKEN, or CLIENT_ID and CLIENT_SECRET must be given"},
		{[]string{"listen", "--url", "127.0.0.1:8080"}, 2, "--url must be an http or https address"},
		{[]string{"listen", "--forward", "/events"}, 2, "--forward must be an http or https address"},
		{[]string{"listen", "--lpu", "me"}, 2, "--lpu must be a guid"},
		{[]string{"listen", "--secret", "whsec_AAAA"}, 2, "--secret must be whsec_ and 32 bytes in base64"},
		{[]string{"listen", "events"}, 2, "unexpected argument"},
	} {
		code, stdout, stderr := run(t, nil, attempt.args...)
		require.Equal(t, attempt.code, code, "%v: %s", attempt.args, stderr)
		require.Contains(t, stdout+stderr, attempt.output, "%v", attempt.args)
	}
}

// Promise: talon-sandbox explains its command line, and rejects a wrong one with exit code 2.
func TestSandboxCommandLine(t *testing.T) {
	t.Parallel()
	env := []string{"TALON_SANDBOX_KEY_FILE=" + filepath.Join(t.TempDir(), "key.pem")}
	for _, attempt := range []struct {
		args   []string
		code   int
		output string
	}{
		{[]string{"help"}, 0, "talon-sandbox reset"},
		{[]string{"--help"}, 0, "talon-sandbox reset"},
		{[]string{"book"}, 2, `unknown command "book"`},
		{[]string{"--fast"}, 2, "-fast"},
		{[]string{"reset", "now"}, 2, `unexpected argument "now"`},
		{[]string{"token"}, 2, "--person must be a guid"},
		{[]string{"token", "--person", uuid.Nil.String()}, 2, "--person must be a guid"},
		{[]string{"token", "--person", uuid.NewString(), "--client", "me"}, 2, "--client must be a guid"},
		{[]string{"token", "--person", uuid.NewString(), "--ttl", "-1s"}, 2, "--ttl"},
		{[]string{"token", "--person", uuid.NewString()}, 0, "eyJ"},
	} {
		code, stdout, stderr := runSandbox(t, env, attempt.args...)
		require.Equal(t, attempt.code, code, "%v: %s", attempt.args, stderr)
		require.Contains(t, stdout+stderr, attempt.output, "%v", attempt.args)
	}
}

// Promise: talon migrate upgrades a database to the newest schema.
func TestMigrateCommand(t *testing.T) {
	t.Parallel()
	database := testdb.Fresh(t)
	for range 2 {
		code, stdout, stderr := run(t, []string{"DATABASE_URL=" + database}, "migrate")
		require.Zero(t, code, stderr)
		require.Regexp(t, `schema version [1-9]`, stdout)
	}
}

// Promise: talon-sandbox prints the address of a page and a curl command that books, and that a
// page of any origin may send. Started again it finds its data, and reset restores them.
func TestDemoCommand(t *testing.T) {
	t.Parallel()
	env := []string{
		"DATABASE_URL=" + testdb.Fresh(t), "TALON_ADDR=127.0.0.1:0",
		"TALON_SANDBOX_KEY_FILE=" + filepath.Join(t.TempDir(), "key.pem"),
		"TALON_DATABASE_MAX_CONNS=2",
	}
	for _, expected := range []int{200, 400} {
		text, stop := runDemo(t, env)
		base := regexp.MustCompile(`http://\S+/docs/`).FindString(text)
		token := regexp.MustCompile(`Bearer ([^']+)'`).FindStringSubmatch(text)[1]
		body := regexp.MustCompile(`(?s)-d '(\{.*?\})'`).FindStringSubmatch(text)[1]
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			strings.Replace(base, "/docs/", "/appointments", 1), strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Origin", "http://localhost:3000")
		response, err := harness.HTTPClient.Do(request)
		require.NoError(t, err)
		require.Equal(t, "*", response.Header.Get("Access-Control-Allow-Origin"))
		raw, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, expected, response.StatusCode, "%s", raw)
		if expected == 200 {
			require.Contains(t, string(raw), `"id":"58384"`)
			require.Contains(t, string(raw), `"mkabGuid":"183209fc-1277-4896-aa7f-72dfcd8f03b1"`)
		}
		before, _, _ := strings.Cut(text, "curl")
		require.Equal(t, expected != 200, strings.Contains(before, "booked already"))
		stop()
	}
	code, stdout, stderr := runSandbox(t, env, "reset")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "first day")
	text, stop := runDemo(t, env)
	defer stop()
	require.NotContains(t, text, "booked already")
}

// runDemo runs talon-sandbox until its output is complete. stop ends it as Ctrl-C does.
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

// Promise: with the address that talon-sandbox prints for its private PostgreSQL, talon works next
// to it.
func TestDemoPrintsItsDatabase(t *testing.T) {
	t.Parallel()
	cache, err := os.MkdirTemp("", "talon-demo-") // the server's account may enter its parent
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(cache)) })
	require.NoError(t, os.Chmod(cache, 0o755))
	demo := newProcess(t, "talon-sandbox", append(os.Environ(), "DATABASE_URL=", "TALON_ADDR=127.0.0.1:0",
		"XDG_CACHE_HOME="+cache, "TALON_DATABASE_MAX_CONNS=2"))
	out, err := demo.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	demo.Stderr = &stderr
	require.NoError(t, demo.Start())
	var text strings.Builder
	for lines := bufio.NewScanner(out); !strings.Contains(text.String(), "Ctrl-C"); {
		require.True(t, lines.Scan(), "%s", &stderr)
		text.WriteString(lines.Text() + "\n")
	}
	database := regexp.MustCompile(`(?m)^export (DATABASE_URL=)'(.*)'$`).FindStringSubmatch(text.String())
	require.NotNil(t, database, text.String())
	code, stdout, errs := run(t, []string{database[1] + database[2]}, "client", "list")
	require.Zero(t, code, errs)
	require.Contains(t, stdout, sandbox.SystemClient.String())
	require.NoError(t, demo.Process.Signal(os.Interrupt))
	_, err = io.Copy(io.Discard, out)
	require.NoError(t, err)
	require.NoError(t, demo.Wait(), "%s", &stderr)
}

// Promise: talon-sandbox rejects a database with foreign data and changes nothing there.
func TestDemoRejectsForeignDatabase(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"another application": `CREATE TABLE customers (id int)`,
		"a real installation": "",
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
				// The statistics are not current enough.
				require.NoError(t, conn.QueryRow(t.Context(), `SELECT sum(1 + (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) n FROM %I', tablename),
					false, true, '')))[1]::text::int) FROM pg_tables WHERE schemaname = 'public'`).Scan(&n))
				return n
			}
			before := count()
			code, _, stderr := runSandbox(t, []string{
				"DATABASE_URL=" + database, "TALON_SANDBOX_KEY_FILE=" + filepath.Join(t.TempDir(), "key.pem"),
			})
			require.Equal(t, 1, code, stderr)
			require.Contains(t, stderr, "not")
			require.Equal(t, before, count())
		})
	}
}
