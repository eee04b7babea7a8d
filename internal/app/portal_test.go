package app_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise: the page that books is there in the sandbox, and nowhere else.
func TestPortal(t *testing.T) {
	t.Parallel()
	page := func(s *service) (int, string) {
		response, err := httpClient.Do(s.request(http.MethodGet, "/portal/", nil))
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body)
	}
	status, body := page(startSandbox(t))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `<html lang="ru">`)
	status, body = page(start(t))
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, `"rule":"route_not_found"`)
}
