package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	talon "talon.example"
	"talon.example/test/harness"
)

// Promise: the API documentation needs no internet access. The service serves the pages, their
// files, and the contract as written.
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
	for _, path := range []string{"/docs/", "/docs/reference/"} {
		response, page := fetch(path)
		require.Equal(t, 200, response.StatusCode)
		files := regexp.MustCompile(`(?:src|href|spec-url)="([^"]+)"`).FindAllStringSubmatch(page, -1)
		require.NotEmpty(t, files)
		for _, file := range files {
			require.Regexp(t, `^/(docs/|openapi\.|arazzo\.)`, file[1], "not served by the service")
			response, _ := fetch(file[1])
			require.Equal(t, 200, response.StatusCode, file[1])
		}
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
