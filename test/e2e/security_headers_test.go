package e2e_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/test/harness"
)

// Promise: every response limits what a browser may do with it: those of operations, of pages, of
// the contract, and errors of every step of the chain.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *app.Config) { c.Docs = true })
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/health/live", 200},
		{http.MethodGet, "/directions", 403},
		{http.MethodPost, "/health/live", 405},
		{http.MethodGet, "/unknown", 404},
		{http.MethodGet, "/openapi.yaml", 200},
		{http.MethodGet, "/docs/", 200},
		{http.MethodGet, "/docs/reference/", 200},
		{http.MethodGet, "/docs/unknown.js", 404},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, s.URL+c.path, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, c.status, response.StatusCode, c.path)
		for name, value := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			require.Equal(t, []string{value}, response.Header[name], "%s of %s", name, c.path)
		}
		policies := response.Header["Content-Security-Policy"]
		require.Len(t, policies, 1, c.path)
		require.Contains(t, policies[0], "default-src 'none'")
		require.Contains(t, policies[0], "frame-ancestors 'none'")
		require.NotContains(t, policies[0], "unsafe")
		require.Empty(t, response.Header["Strict-Transport-Security"], "the proxy's decision")
	}
}
