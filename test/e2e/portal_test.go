package e2e_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/test/harness"
)

// Promise: the booking page exists in the sandbox only.
func TestPortal(t *testing.T) {
	t.Parallel()
	page := func(s *harness.Service) (int, string) {
		response, err := harness.HTTPClient.Do(s.NewRequest(http.MethodGet, "/portal/", nil))
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body)
	}
	status, body := page(startSandbox(t))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `<html lang="ru">`)
	status, body = page(harness.Start(t))
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, `"rule":"route_not_found"`)
}
