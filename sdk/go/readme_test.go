package talon_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
)

// Promise: the programs of README.md and docs/tour.md compile and work, in an empty module that has
// downloaded the released module, and with a new sandbox.
func TestDocuments(t *testing.T) {
	t.Parallel()
	module := newModule(t)
	programs := map[string]string{}
	for _, page := range []string{"README.md", "../../docs/tour.md"} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, code := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			name := regexp.MustCompile(`^// Command (\w+) `).FindStringSubmatch(code[1])
			require.NotNil(t, name, "%s: not a program:\n%s", page, code[1])
			programs[name[1]] = code[1]
		}
	}
	for name, code := range programs {
		require.NoError(t, os.Mkdir(filepath.Join(module.dir, name), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(module.dir, name, "main.go"), []byte(code), 0o600))
	}
	module.run(t, "go", "vet", "./...")
	module.run(t, "go", "build", "-o", "bin/", "./...")
	formatted := module.run(t, "gofmt", "-l", ".")
	require.Empty(t, formatted)

	address, shown, stop, err := serve(uuid.NewString())
	require.NoError(t, err)
	t.Cleanup(stop)
	module.env = append(module.env, "TALON_URL="+address, "TOKEN="+shown)
	for _, run := range []struct{ name, output string }{
		{"book", `^Booked: \d{4}-\d\d-\d\d \d\d:\d\d:00 \S+.*\n$`},
		{"cancel", `^Запись на прием отменена\n$`},
		{"cancel", `^There is no appointment\.\n$`},
		{"tour", `^Booked for 08:45:00\n$`},
		{"load", `^Cells of the first day: 1\n(Lines: \d+ of 60\n)*Lines: 60 of 60\ncompleted cells added: 30\n` +
			`(Line \d+: .+ \(resource_absent\)\n){30}$`},
		{"follow", `^([a-z]+\.[a-z]+ [0-9a-f-]{36}\n)+$`},
	} {
		require.Contains(t, programs, run.name)
		require.Regexp(t, run.output, module.run(t, filepath.Join("bin", run.name)))
	}
	require.Contains(t, programs, "receive")
	receiveEvents(t, module)
	require.Len(t, programs, 6, "each program is run above")
}

// receiveEvents runs the receiver of webhooks twice. It accepts signed deliveries only, and prints
// each event once, also after a restart, unless it is stale. A third one cannot store events: it
// logs that, and the service has to repeat the delivery.
func receiveEvents(t *testing.T, module *userModule) {
	t.Helper()
	original := readDeliveries(t)[0].Body
	moved := func(id, version string) string {
		return strings.NewReplacer(
			`"`+deliveryID+`"`, `"`+id+`"`, ".booked", ".moved", `"version":1`, `"version":`+version).Replace(original)
	}
	newest, stale := moved("1566291600087417", "3"), moved("1566291600087418", "2")
	visit := "df554d5b-40d4-4946-bb99-b8db15c87b70"

	for _, run := range []struct{ signed, forged, printed []string }{
		{[]string{original, original, newest, stale}, []string{newest}, []string{
			"appointment.booked " + visit, "appointment.moved " + visit,
		}},
		{[]string{original, newest, stale}, nil, nil},
	} {
		receiver := startReceiver(t, module, filepath.Join("bin", "receive"))
		for _, body := range run.forged {
			require.Equal(t, http.StatusBadRequest, receiver.send(body, original))
		}
		for _, body := range run.signed {
			require.Equal(t, http.StatusNoContent, receiver.send(body, body))
		}
		printed, _ := receiver.end()
		require.Equal(t, run.printed, printed)
	}

	// It may write no file, as if the disk was full.
	full := startReceiver(t, module, "sh", "-c", "ulimit -f 0; exec bin/receive")
	lost := moved("1566291600087419", "4")
	require.Equal(t, http.StatusInternalServerError, full.send(lost, lost))
	printed, logged := full.end()
	require.Empty(t, printed)
	require.Regexp(t, `store event 1566291600087419: write received\.ndjson: .+`, logged)
}

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// webhookReceiver is the receiver of webhooks as a running process.
type webhookReceiver struct {
	t       *testing.T
	process *exec.Cmd
	lines   *bufio.Scanner // of its output
	errors  *bytes.Buffer
	address string
}

// startReceiver starts the receiver by a command in the folder of the module, and returns when it
// listens.
func startReceiver(t *testing.T, module *userModule, command string, arguments ...string) *webhookReceiver {
	t.Helper()
	r := &webhookReceiver{t: t, errors: new(bytes.Buffer)}
	r.process = exec.CommandContext(t.Context(), command, arguments...)
	otherSecret := "whsec_" + strings.Repeat("A", 43) + "="
	r.process.Dir = module.dir
	r.process.Env = slices.Concat(module.env, []string{"PORT=0", "WEBHOOK_KEYS=" + otherSecret + " " + webhookSecret})
	r.process.Stderr = r.errors
	out, err := r.process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, r.process.Start())
	r.lines = bufio.NewScanner(out)
	require.True(t, r.lines.Scan())
	address, listens := strings.CutPrefix(r.lines.Text(), "Listening on ")
	require.True(t, listens, r.lines.Text())
	r.address = address
	return r
}

// send sends a body with the signature of another one, and returns the status of the response.
func (r *webhookReceiver) send(body, signed string) int {
	r.t.Helper()
	library, err := standardwebhooks.NewWebhook(webhookSecret)
	require.NoError(r.t, err)
	id := regexp.MustCompile(`"id":"(\d+)"`).FindStringSubmatch(body)[1]
	now := time.Now()
	signature, err := library.Sign(id, now, []byte(signed))
	require.NoError(r.t, err)
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.address,
		strings.NewReader(body))
	require.NoError(r.t, err)
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Webhook-Signature", signature)
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	require.NoError(r.t, response.Body.Close())
	return response.StatusCode
}

// end kills the receiver, and returns the lines that it has printed, and what it has logged.
func (r *webhookReceiver) end() (printed []string, logged string) {
	r.t.Helper()
	require.NoError(r.t, r.process.Process.Kill())
	for r.lines.Scan() {
		printed = append(printed, r.lines.Text())
	}
	require.Error(r.t, r.process.Wait(), "it was killed")
	return printed, r.errors.String()
}

// userModule is an empty module that requires the released SDK.
type userModule struct {
	dir string
	env []string
}

// newModule writes the artefact of the SDK and downloads it into an empty module, with a cache of
// its own. The other modules come from the cache of this test.
func newModule(t *testing.T) *userModule {
	t.Helper()
	contract, err := os.ReadFile("../../openapi.yaml")
	require.NoError(t, err)
	version := "v" + regexp.MustCompile(`(?m)^  version: (\S+)$`).FindStringSubmatch(string(contract))[1]
	sdk, err := os.Getwd()
	require.NoError(t, err)
	artefact := t.TempDir()
	tools := &userModule{dir: "../../internal/tools", env: os.Environ()}
	tools.run(t, "go", "run", "./moduleproxy", sdk, version, artefact)

	inherited := strings.Split(strings.TrimSpace(tools.run(t, "go", "env", "GOMODCACHE", "GOPROXY")), "\n")
	module := &userModule{dir: t.TempDir(), env: append(os.Environ(),
		"GOMODCACHE="+t.TempDir(),
		fmt.Sprintf("GOPROXY=file://%s,file://%s/cache/download,%s", artefact, inherited[0], inherited[1]),
		"GOSUMDB=off", "GOWORK=off", "GOFLAGS="+os.Getenv("GOFLAGS")+" -modcacherw",
	)}
	module.run(t, "go", "mod", "init", "user.example")
	module.run(t, "go", "get", "talon.example/sdk/go/v2@"+version)
	return module
}

// run runs a command in the module and returns its standard output.
func (m *userModule) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	command.Dir, command.Env = m.dir, m.env
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	require.NoError(t, err, "%s %v\n%s%s", name, args, output, stderr.String())
	return string(output)
}
