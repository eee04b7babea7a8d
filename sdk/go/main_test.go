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

// What make run starts, as it starts it: the examples have no test to start it for them.
var (
	server   string
	token    func(context.Context) (string, error) // of the demo's patient
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
	address, shown, stop, err := serve()
	if err != nil {
		return 0, err
	}
	defer stop()
	server = address
	token = func(context.Context) (string, error) { return shown, nil }
	defer http.DefaultClient.CloseIdleConnections()
	return m.Run(), nil
}

// serve runs talon-sandbox until it has said where it is and has shown the token of its patient; stop ends it.
func serve(settings ...string) (address, shown string, stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	environ := []string{"DATABASE_URL=" + database, "TALON_ADDR=127.0.0.1:0", "TALON_SANDBOX_KEY_FILE=" + keyFile, "TALON_DATABASE_MAX_CONNS=4"}
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
	var read bytes.Buffer
	buffer := make([]byte, 4096)
	for !strings.Contains(read.String(), "Ctrl-C") {
		n, err := out.Read(buffer)
		read.Write(buffer[:n])
		if err != nil {
			stop()
			return "", "", nil, fmt.Errorf("talon-sandbox has ended: %s", stderr.String())
		}
	}
	address = regexp.MustCompile(`http://[^/\s]+`).FindString(read.String())
	shown = regexp.MustCompile(`Bearer ([^']+)'`).FindStringSubmatch(read.String())[1]
	return address, shown, stop, nil
}

// tokenOf signs a token for a patient of the demo, by number, that was issued at a time, for an hour.
func tokenOf(t testing.TB, patient int, issued time.Time) string {
	t.Helper()
	signed, err := key.Sign(auth.Token{Person: numbered("0005", patient), Client: sandbox.Client}, "talon-demo", "talon", issued, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// numbered gives a guid as docs/demo.md describes it.
func numbered(kind string, number int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("de300000-%s-4000-8000-%012d", kind, number))
}
