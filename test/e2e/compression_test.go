package e2e_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/test/harness"
)

// body is the body of a response as sent, and decompressed.
type body struct{ sent, plain []byte }

// accepting returns the response to a request with the given Accept-Encoding. The HTTP client
// decompresses nothing.
func accepting(t *testing.T, request *http.Request, encoding string) (*http.Response, body) {
	t.Helper()
	request.Header.Set("Accept-Encoding", encoding)
	response, err := harness.HTTPClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	sent, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	plain := sent
	if response.Header.Get("Content-Encoding") == "gzip" && request.Method != http.MethodHead {
		reader, err := gzip.NewReader(bytes.NewReader(sent))
		require.NoError(t, err)
		plain, err = io.ReadAll(reader)
		require.NoError(t, err)
	}
	harness.ValidateResponse(t, request, response, plain)
	require.Contains(t, response.Header.Values("Vary"), "Accept-Encoding")
	require.Empty(t, response.Header.Get("No-Gzip-Compression"), "the mark for the compression is not sent")
	return response, body{sent, plain}
}

// Promise: a response of 1 KiB and more is compressed exactly if the client accepts gzip; a shorter
// one never is. The content is the same either way.
func TestCompression(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	get := func(path, encoding string) (*http.Response, body) {
		request := sc.NewRequest(http.MethodGet, path, nil)
		request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		return accepting(t, request, encoding)
	}
	_, plain := get("/rules", "identity")
	for encoding, compressed := range map[string]bool{
		"gzip": true, "br;q=1, gzip;q=0.5": true, "zstd, gzip": true,
		"identity": false, "br": false, "gzip;q=0": false, "gzip;q=0, *": false,
	} {
		response, rules := get("/rules", encoding)
		require.Equal(t, compressed, response.Header.Get("Content-Encoding") == "gzip", encoding)
		require.JSONEq(t, string(plain.plain), string(rules.plain))
		if compressed {
			require.Less(t, len(rules.sent), len(plain.sent)/2)
			require.NotEqual(t, int64(len(rules.plain)), response.ContentLength)
		}
	}
	for _, path := range []string{"/appointments", "/appointments/" + sc.Person.String(), "/health/ready"} {
		response, short := get(path, "gzip")
		require.Less(t, len(short.sent), 1024)
		require.Empty(t, response.Header.Get("Content-Encoding"), path)
	}
}

// Promise: a response with a token is never compressed: its size could disclose the token. A
// response with a strong ETag is not compressed either, so that the ETag identifies its bytes.
func TestResponsesThatAreNeverCompressed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	sc := startWithAuthService(t, func(c *app.Config) { c.TokenIssuer = "https://" + long + ".example" })
	request := sc.NewRequest(http.MethodGet, "/auth/cod/token?"+sc.PersonQuery(), nil)
	request.SetBasicAuth(harness.ClientGuid.String(), harness.ClientSecret)
	response, token := accepting(t, request, "gzip")
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", token.sent)
	require.Greater(t, len(token.sent), 1024)
	require.Empty(t, response.Header.Get("Content-Encoding"))

	sc = harness.Start(t).Scene()
	path := "/appointments/" + sc.MustBook().String()
	sc.Exec(`UPDATE lpu SET name = $1`, long)
	request = sc.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
	response, visit := accepting(t, request, "gzip")
	require.Greater(t, len(visit.sent), 1024)
	require.Empty(t, response.Header.Get("Content-Encoding"))
	require.Regexp(t, `^"`, response.Header.Get("ETag"))
}

// Promise: the contract and the documentation are sent in a form that is compressed once, and HEAD
// has the headers of GET. An unchanged file is not sent again.
func TestCompressedFiles(t *testing.T) {
	t.Parallel()
	s := startSandbox(t)
	_, page := accepting(t, s.NewRequest(http.MethodGet, "/portal/", nil), "identity")
	script := "/portal/" + regexp.MustCompile(`assets/[^"]+\.js`).FindString(string(page.plain))
	for _, path := range []string{
		"/openapi.json", "/openapi.yaml", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", script,
	} {
		for _, encoding := range []string{"gzip", "identity"} {
			response, content := accepting(t, s.NewRequest(http.MethodGet, path, nil), encoding)
			require.Equal(t, http.StatusOK, response.StatusCode, path)
			require.Equal(t, encoding == "gzip", response.Header.Get("Content-Encoding") == "gzip", path)
			require.Equal(t, int64(len(content.sent)), response.ContentLength, path)

			head, none := accepting(t, s.NewRequest(http.MethodHead, path, nil), encoding)
			require.Equal(t, http.StatusOK, head.StatusCode)
			require.Empty(t, none.sent)
			for _, name := range []string{
				"Content-Type", "Content-Encoding", "Content-Length", "ETag", "Cache-Control", "Vary",
			} {
				require.Equal(t, response.Header.Get(name), head.Header.Get(name), "%s of %s", name, path)
			}

			request := s.NewRequest(http.MethodGet, path, nil)
			request.Header.Set("If-None-Match", response.Header.Get("ETag"))
			unchanged, _ := accepting(t, request, encoding)
			require.Equal(t, http.StatusNotModified, unchanged.StatusCode, path)
		}
	}
}
