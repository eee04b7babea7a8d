package httpapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	talon "talon.example"
	"talon.example/internal/httpapi/server"
)

// getPage returns the response of a server with the given configuration to a GET request.
func getPage(t *testing.T, config Config, path string) *httptest.ResponseRecorder {
	t.Helper()
	chain, err := server.New(server.Config{
		Log: slog.New(slog.DiscardHandler), RequestTimeout: time.Minute, MaxInFlight: 1,
	})
	require.NoError(t, err)
	Register(chain, config)
	response := httptest.NewRecorder()
	chain.ServeHTTP(response, httptest.NewRequest(http.MethodGet, path, nil))
	return response
}

// Promise: the pages of the documentation load and call only this service, and contain no inline
// script or style. Each has a link to the other.
func TestDocsPolicy(t *testing.T) {
	t.Parallel()
	for path, policy := range map[string]string{
		"/docs/":                                 swaggerPolicy,
		"/docs/index.html":                       swaggerPolicy,
		"/docs/start.js":                         swaggerPolicy,
		"/docs/swagger-ui-bundle.js":             swaggerPolicy,
		"/docs/reference/":                       referencePolicy,
		"/docs/reference/redoc.standalone.js":    referencePolicy,
		"/docs/reference/LICENSE.txt":            referencePolicy,
		"/docs/reference/redoc.standalone.js?v=": referencePolicy,
	} {
		response := getPage(t, Config{Docs: true}, path)
		require.Equal(t, http.StatusOK, response.Code, path)
		require.Equal(t, policy, response.Header().Get("Content-Security-Policy"), path)
		require.Equal(t, "no-referrer", response.Header().Get("Referrer-Policy"), path)
		require.Equal(t, "no-cache", response.Header().Get("Cache-Control"), path)
		require.NotContains(t, policy, "unsafe")
		require.NotContains(t, policy, "http")
	}
	for path, other := range map[string]string{"/docs/": "/docs/reference/", "/docs/reference/": "/docs/"} {
		page := getPage(t, Config{Docs: true}, path).Body.String()
		require.Contains(t, page, `<a href="`+other+`">`)
		require.NotRegexp(t, `<script[^>]*>[^<]`, page)
		require.NotRegexp(t, `<style| style=| on\w+=`, page)
	}
}

// Promise: a cache asks whether the contract and its workflows are current.
func TestContractIsRevalidated(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/openapi.json", "/openapi-3.1.json", "/openapi.yaml", "/arazzo.yaml"} {
		response := getPage(t, Config{}, path)
		require.Equal(t, http.StatusOK, response.Code, path)
		require.Equal(t, "no-cache", response.Header().Get("Cache-Control"), path)
		require.NotEmpty(t, response.Header().Get("ETag"), path)
	}
}

// Promise: the service's documentation stores no tokens in the browser. Only the sandbox sets
// KeepTokens, which has no variable.
func TestDocsKeepNoTokens(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/docs/", "/docs/index.html"} {
		require.NotContains(t, getPage(t, Config{Docs: true}, path).Body.String(), "keep-tokens", path)
	}
	require.Contains(t, getPage(t, Config{Docs: true, KeepTokens: true}, "/docs/").Body.String(), " data-keep-tokens>")
}

// Promise: without the documentation its paths are unknown. The contract is still served, because
// clients read it.
func TestDocsOff(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"/", "/docs", "/docs/", "/docs/start.js", "/docs/swagger-ui.css", "/docs/reference", "/docs/reference/",
	} {
		requireError(t, getPage(t, Config{}, path), server.RouteNotFound)
	}
	require.Equal(t, talon.Contract, getPage(t, Config{}, "/openapi.yaml").Body.Bytes())
	require.Equal(t, talon.Workflows, getPage(t, Config{}, "/arazzo.yaml").Body.Bytes())
	require.Equal(t, http.StatusOK, getPage(t, Config{}, "/openapi.json").Code)
	require.Equal(t, http.StatusOK, getPage(t, Config{}, "/openapi-3.1.json").Code)
}
