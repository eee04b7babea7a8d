package webhook_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/internal/events"
	"talon.example/internal/webhook"
)

// Promise: the log of a webhook says why there is no response. A receiver that ends the connection
// was not reached. A sender for this machine does not look up other names.
func TestOutcomesWithoutResponse(t *testing.T) {
	t.Parallel()
	breaks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(breaks.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	sender := webhook.NewSender(webhook.Config{
		Addresses: webhook.Loopback,
		Encode:    func(*events.Event) ([]byte, error) { return []byte("{}"), nil },
	})
	t.Cleanup(sender.Close)
	key, err := events.NewSigningKey()
	require.NoError(t, err)
	for url, want := range map[string]events.Outcome{
		breaks.URL:               events.Unreachable,
		closed.URL:               events.Unreachable,
		"http://unknown.invalid": events.Forbidden,
	} {
		outcome, status, err := sender.Send(t.Context(), url, &events.Event{}, []events.SigningKey{key})
		require.NoError(t, err)
		require.Equal(t, want, outcome, url)
		require.Zero(t, status)
	}
}
