package talon_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The sandbox that the tests share. It runs as a separate program, because this module does not
// depend on the service.
var (
	server  string                                // its URL
	token   func(context.Context) (string, error) // of the first patient of the demo data
	signed  string                                // a token that the sandbox has signed
	folder  string                                // holds the key and the databases
	program string                                // talon-sandbox; TALON_BINARY names another build of it
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
	if folder, err = os.MkdirTemp("", "talon-sdk-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	// If this process runs as root, PostgreSQL runs under another account, which must be able to
	// enter the folder.
	if err := os.Chmod(folder, 0o711); err != nil {
		return 0, err
	}
	if program = os.Getenv("TALON_BINARY"); program == "" {
		program = filepath.Join(folder, "talon-sandbox")
		build := exec.Command("go", "build", "-o", program, "./cmd/talon-sandbox")
		build.Dir = filepath.Join("..", "..")
		if output, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build the sandbox: %w\n%s", err, output)
		}
	}
	address, shown, stop, err := serve("first")
	if err != nil {
		return 0, err
	}
	defer stop()
	server, signed = address, shown
	token = func(context.Context) (string, error) { return shown, nil }
	defer http.DefaultClient.CloseIdleConnections()
	return m.Run(), nil
}

// serve starts a sandbox with its own private PostgreSQL. name must be unique: it is the name of
// the sandbox's cache directory. settings are environment variables in the form NAME=value. serve
// returns the sandbox's URL, the token that it prints, and a function that stops it.
func serve(name string, settings ...string) (address, shown string, stop func(), err error) {
	cache := filepath.Join(folder, name)
	if err := os.Mkdir(cache, 0o711); err != nil {
		return "", "", nil, err
	}
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "TALON_") || strings.HasPrefix(v, "DATABASE_URL=")
	})
	command := exec.Command(program)
	command.Env = slices.Concat(environ, []string{
		"XDG_CACHE_HOME=" + cache, "TALON_ADDR=127.0.0.1:0", "TALON_DATABASE_MAX_CONNS=4",
		"TALON_SANDBOX_KEY_FILE=" + filepath.Join(folder, "key.pem"),
	}, settings)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return "", "", nil, err
	}
	if err := command.Start(); err != nil {
		return "", "", nil, err
	}
	stop = func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, out)
		_ = command.Wait()
	}
	var output bytes.Buffer
	buffer := make([]byte, 4096)
	for !strings.Contains(output.String(), "Ctrl-C") {
		n, err := out.Read(buffer)
		output.Write(buffer[:n])
		if err != nil {
			stop()
			return "", "", nil, fmt.Errorf("talon-sandbox exited: %s", stderr.String())
		}
	}
	address = regexp.MustCompile(`http://[^/\s]+`).FindString(output.String())
	shown = regexp.MustCompile(`Bearer ([^']+)'`).FindStringSubmatch(output.String())[1]
	return address, shown, stop, nil
}

// tokenOf returns a token for the numbered patient of the demo data, signed with the sandbox's key.
// It is valid for an hour from issued.
func tokenOf(t testing.TB, patient int, issued time.Time) string {
	t.Helper()
	parts := strings.Split(signed, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims map[string]any
	require.NoError(t, json.Unmarshal(decoded, &claims))
	claims["sub"], claims["iat"], claims["exp"] = numbered("0005", patient), issued.Unix(), issued.Add(time.Hour).Unix()
	encoded, err := json.Marshal(claims)
	require.NoError(t, err)
	text := parts[0] + "." + base64.RawURLEncoding.EncodeToString(encoded)

	file, err := os.ReadFile(filepath.Join(folder, "key.pem"))
	require.NoError(t, err)
	block, _ := pem.Decode(file)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
	require.NoError(t, err)
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// numbered returns the guid of the object of the demo data with the kind and the number
// (docs/demo.md).
func numbered(kind string, number int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("de300000-%s-4000-8000-%012d", kind, number))
}
