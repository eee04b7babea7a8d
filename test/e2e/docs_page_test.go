package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	talon "talon.example"
	"talon.example/test/harness"
)

// Promise: the API documentation needs no internet access. The service serves the page and its
// assets, and the contract as written.
func TestDocs(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	fetch := func(path string) (*http.Response, string) {
		response, err := harness.HTTPClient.Do(s.NewRequest(http.MethodGet, path, nil))
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, string(body)
	}
	for _, path := range []string{"/", "/docs"} {
		response, _ := fetch(path)
		require.Equal(t, "/docs/", response.Header.Get("Location"))
	}
	response, page := fetch("/docs/")
	require.Equal(t, 200, response.StatusCode)
	assets := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, assets)
	for _, asset := range assets {
		require.True(t, strings.HasPrefix(asset[1], "/docs/"), "%s is not served by the service", asset[1])
		response, _ := fetch(asset[1])
		require.Equal(t, 200, response.StatusCode, asset[1])
	}
	_, yaml := fetch("/openapi.yaml")
	require.Equal(t, string(talon.Contract), yaml)
	_, text := fetch("/openapi.json")
	var document map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &document))
	require.Equal(t, "3.0.3", document["openapi"])
	_, text = fetch("/openapi-3.1.json")
	document31, err := talon.Document31()
	require.NoError(t, err)
	encoded, err := document31.MarshalJSON()
	require.NoError(t, err)
	require.JSONEq(t, string(encoded), text)
}
