package talon_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"talon.example/internal/auth"
	"talon.example/internal/localpg"
	"talon.example/internal/sandbox"
)

// The sandbox that all tests and examples share. TestMain starts it, because examples have no
// set-up of their own.
var (
	server   string
	token    func(context.Context) (string, error) // of the first demo patient
	database string
	keyFile  string
	key      *auth.SigningKey
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err == nil && code == 0 {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "talon-sdk-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	keyFile = filepath.Join(dir, "key.pem")
	if key, err = auth.EnsureSigningKey(keyFile); err != nil {
		return 0, err
	}
	ctx := context.Background()
	cluster, err := localpg.Start(ctx, localpg.Options{})
	if err != nil {
		return 0, err
	}
	defer cluster.Stop(ctx)
	database = cluster.URL("postgres")
	address, patientToken, stop, err := serve()
	if err != nil {
		return 0, err
	}
	defer stop()
	server = address
	token = func(context.Context) (string, error) { return patientToken, nil }
	defer http.DefaultClient.CloseIdleConnections()
	return m.Run(), nil
}

// serve starts talon-sandbox with additional environment variables, and returns the URL and the
// patient's token that it prints. stop stops it and waits for its end.
func serve(settings ...string) (address, patientToken string, stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	environ := []string{
		"DATABASE_URL=" + database,
		"TALON_ADDR=127.0.0.1:0",
		"TALON_SANDBOX_KEY_FILE=" + keyFile,
		"TALON_DATABASE_MAX_CONNS=4",
	}
	out, in := io.Pipe()
	ended := make(chan struct{})
	var stderr bytes.Buffer
	go func() {
		defer close(ended)
		sandbox.Program.Run(ctx, nil, slices.Concat(environ, settings), in, &stderr)
		_ = in.Close()
	}()
	stop = func() {
		cancel()
		<-ended
	}
	var output bytes.Buffer
	buffer := make([]byte, 4096)
	for !strings.Contains(output.String(), "Ctrl-C") {
		n, err := out.Read(buffer)
		output.Write(buffer[:n])
		if err != nil {
			stop()
			return "", "", nil, fmt.Errorf("talon-sandbox has ended: %s", stderr.String())
		}
	}
	address = regexp.MustCompile(`http://[^/\s]+`).FindString(output.String())
	patientToken = regexp.MustCompile(`Bearer ([^']+)'`).FindStringSubmatch(output.String())[1]
	return address, patientToken, stop, nil
}

// tokenOf returns a token of the numbered demo patient, valid for an hour from issued.
func tokenOf(t testing.TB, patient int, issued time.Time) string {
	t.Helper()
	claims := auth.Token{Person: numbered("0005", patient), Client: sandbox.Client}
	signed, err := key.Sign(claims, "talon-demo", "talon", issued, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// numbered returns a guid of the demo data, in the form that docs/demo.md describes.
func numbered(kind string, number int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("de300000-%s-4000-8000-%012d", kind, number))
}
