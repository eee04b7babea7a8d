package app

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/events"
)

// Promise: an event that the receiver does not accept is given up after the last try, so that the
// next one follows. A redirect is not followed, and a receiver that is not there is named as such.
func TestReceiverGivesUp(t *testing.T) {
	t.Parallel()
	key, err := events.NewSigningKey()
	require.NoError(t, err)
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	var out strings.Builder
	receiver := newReceiver(&out, &listenFlags{forward: server.URL, key: key})
	require.Len(t, receiver.pauses, 4)
	receiver.pauses = []time.Duration{1, 2}
	event := []byte(`{"id":"7","type":"appointment.booked","time":"2019-08-20T09:00:00Z","subject":"s"}`)
	require.NoError(t, receiver.receive(t.Context(), event))
	require.Equal(t, 3, requests)
	require.Regexp(t, `^2019-08-20T09:00:00Z appointment.booked s 307 \d+ ms, again in 1ns
2019-08-20T09:00:00Z appointment.booked s 307 \d+ ms, again in 2ns
2019-08-20T09:00:00Z appointment.booked s 307 \d+ ms, given up
$`, out.String())

	server.Close()
	out.Reset()
	require.NoError(t, receiver.receive(t.Context(), event))
	require.Regexp(t, `booked s failed \d+ ms: dial tcp .*: connect: connection refused, given up\n$`, out.String())
}

// Promise: the same secret makes the same key pair.
func TestListenKey(t *testing.T) {
	t.Parallel()
	const secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	first, err := listenKey(secret)
	require.NoError(t, err)
	again, err := listenKey(secret)
	require.NoError(t, err)
	require.Equal(t, secret, first.HMACSecret())
	require.Equal(t, first.PublicKey(), again.PublicKey())
}

// Promise: a shell reads the flags that talon listen prints as they were given.
func TestShellWord(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"http://127.0.0.1:8090/events", "http://localhost/?a=1&b=$HOME", "it's", ""} {
		output, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shellWord(text)).Output()
		require.NoError(t, err)
		require.Equal(t, text, string(output))
	}
	require.Equal(t, "http://127.0.0.1:8090/events", shellWord("http://127.0.0.1:8090/events"))
}
