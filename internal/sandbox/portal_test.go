package sandbox

import (
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/auth"
	"talon.example/internal/httpapi/server"
	"talon.example/portal"
)

// get returns the response of a server with the portal to a GET request with a header Accept.
func get(t *testing.T, path, accept string) *httptest.ResponseRecorder {
	t.Helper()
	expected := auth.Expected{Issuer: "issuer", Audience: "talon", MaxLife: 24 * time.Hour}
	chain, err := server.New(server.Config{
		Verifier:       auth.NewVerifier(nil, expected, time.Now),
		Log:            slog.New(slog.DiscardHandler),
		RequestTimeout: time.Minute,
		MaxInFlight:    1,
	})
	require.NoError(t, err)
	registerPortal(chain)
	response := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Accept", accept)
	chain.ServeHTTP(response, request)
	return response
}

// browserAccepts is what Chromium accepts for a page.
const browserAccepts = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

// Promise: every file of the portal is served with its media type, and with a policy that allows
// only the portal's own files. Clients may cache a file that is named after its content for ever,
// and must revalidate any other.
func TestPortal(t *testing.T) {
	t.Parallel()
	types := map[string]string{
		"html": "text/html; charset=utf-8",
		"css":  "text/css; charset=utf-8",
		"js":   "text/javascript; charset=utf-8",
		"svg":  "image/svg+xml",
	}
	index, err := fs.ReadFile(portal.Files(), "index.html")
	require.NoError(t, err)
	users := string(index) + scripts(t)
	seen := map[string]bool{}
	require.NoError(t, fs.WalkDir(portal.Files(), ".", func(name string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		if entry.IsDir() {
			return nil
		}
		response := get(t, "/portal/"+name, "*/*")
		require.Equal(t, http.StatusOK, response.Code, name)
		extension := name[strings.LastIndex(name, ".")+1:]
		seen[extension] = true
		require.Equal(t, types[extension], response.Header().Get("Content-Type"), name)
		require.Equal(t, "nosniff", response.Header().Get("X-Content-Type-Options"))
		require.Equal(t, portalPolicy, response.Header().Get("Content-Security-Policy"))
		require.NotContains(t, portalPolicy, "unsafe")
		if strings.HasPrefix(name, "assets/") {
			require.Equal(t, "public, max-age=31536000, immutable", response.Header().Get("Cache-Control"))
			require.Contains(t, users, path.Base(name), "the file is left from an earlier build")
		} else {
			require.Equal(t, "no-cache", response.Header().Get("Cache-Control"))
		}
		content, err := fs.ReadFile(portal.Files(), name)
		require.NoError(t, err)
		require.Equal(t, content, response.Body.Bytes())
		return nil
	}))
	require.Len(t, seen, len(types))

	page := get(t, "/portal/", browserAccepts)
	require.Equal(t, index, page.Body.Bytes())
	require.Equal(t, "no-cache", page.Header().Get("Cache-Control"))
	require.NotRegexp(t, `<script[^>]*>[^<]`, page.Body.String(), "the page has no inline script")
	redirect := get(t, "/portal", browserAccepts)
	require.Equal(t, http.StatusFound, redirect.Code)
	require.Equal(t, "/portal/", redirect.Header().Get("Location"))
}

// scripts returns the scripts of the portal. They load some of the other files.
func scripts(t *testing.T) string {
	t.Helper()
	names, err := fs.Glob(portal.Files(), "assets/*.js")
	require.NoError(t, err)
	var all strings.Builder
	for _, name := range names {
		content, err := fs.ReadFile(portal.Files(), name)
		require.NoError(t, err)
		all.Write(content)
	}
	return all.String()
}

// Promise: a path that the portal does not have is refused like any unknown path. A browser gets
// the page that shows this, with all its files.
func TestPortalAbsent(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"/portal/secret", "/portal/assets/", "/portal/assets", "/portal/no/such/page",
		"/portal/../server.go", "/portal/%2e%2e/embed.go", "/portal//index.html",
	} {
		for _, accept := range []string{"*/*", "application/json", ""} {
			response := get(t, path, accept)
			require.Equal(t, http.StatusNotFound, response.Code)
			require.Contains(t, response.Body.String(), `"rule":"route_not_found"`)
			require.Subset(t, response.Header().Values("Vary"), []string{"Accept-Encoding", "Accept"})
		}
		page := get(t, path, browserAccepts)
		require.Equal(t, http.StatusNotFound, page.Code)
		require.Equal(t, "text/html; charset=utf-8", page.Header().Get("Content-Type"))
		require.Equal(t, portalPolicy, page.Header().Get("Content-Security-Policy"))
		files := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
		require.NotEmpty(t, files)
		for _, file := range files {
			require.Equal(t, http.StatusOK, get(t, file[1], "*/*").Code, file[1])
		}
	}
}
