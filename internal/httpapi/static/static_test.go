package static

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

const text = "the same line again and again\n"

// get returns the response of a file to a request, with pairs of a header's name and its value.
func get(file http.Handler, method string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, "/", nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response := httptest.NewRecorder()
	file.ServeHTTP(response, request)
	return response
}

// Promise: a client gets the compressed form exactly if it accepts gzip, and the same content
// either way. Each form has an entity tag of its own, with which the client can revalidate it.
func TestForms(t *testing.T) {
	t.Parallel()
	content := []byte(strings.Repeat(text, 1000))
	var compressed bytes.Buffer
	writer := gzip.NewWriter(&compressed)
	_, err := writer.Write(content)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	files := MustLoad(fstest.MapFS{
		"page.html":       {Data: content},
		"assets/a.js.gz":  {Data: compressed.Bytes()},
		"assets/icon.png": {Data: []byte("small")},
	})
	require.Len(t, files, 3)
	for _, name := range []string{"page.html", "assets/a.js"} {
		tags := map[string]bool{}
		for _, c := range []struct {
			accept  []string
			gzipped bool
		}{
			{nil, false},
			{[]string{""}, false},
			{[]string{"gzip"}, true},
			{[]string{"br;q=1.0, GZIP;q=0.8, *;q=0.1"}, true},
			{[]string{"deflate", "gzip"}, true},
			{[]string{"gzip;q=0"}, false},
			{[]string{"gzip; q=0.0, deflate"}, false},
			{[]string{"identity"}, false},
			{[]string{"x-gzip, br"}, false},
			{[]string{"gzip;q=much"}, false},
		} {
			var headers []string
			for _, value := range c.accept {
				headers = append(headers, "Accept-Encoding", value)
			}
			response := get(files[name], http.MethodGet, headers...)
			require.Equal(t, http.StatusOK, response.Code)
			require.Equal(t, c.gzipped, response.Header().Get("Content-Encoding") == "gzip", "%s: %v", name, c.accept)
			body := response.Body.Bytes()
			require.Equal(t, response.Header().Get("Content-Length"), strconv.Itoa(len(body)))
			if c.gzipped {
				require.Less(t, len(body), len(content))
				reader, err := gzip.NewReader(bytes.NewReader(body))
				require.NoError(t, err)
				body, err = io.ReadAll(reader)
				require.NoError(t, err)
			}
			require.Equal(t, content, body)

			head := get(files[name], http.MethodHead, headers...)
			require.Equal(t, response.Header(), head.Header(), "HEAD has the headers of GET")
			require.Empty(t, head.Body.Bytes())

			tag := response.Header().Get("ETag")
			require.Regexp(t, `^"[!-~]+"$`, tag, "a strong entity tag")
			tags[tag] = true
			unchanged := get(files[name], http.MethodGet, append(headers, "If-None-Match", tag)...)
			require.Equal(t, http.StatusNotModified, unchanged.Code)
			require.Equal(t, tag, unchanged.Header().Get("ETag"))
			require.Empty(t, unchanged.Body.Bytes())
			part := get(files[name], http.MethodGet, append(headers, "Range", "bytes=2-5")...)
			require.Equal(t, http.StatusPartialContent, part.Code)
			require.Equal(t, response.Body.Bytes()[2:6], part.Body.Bytes(), "a range of the form")
			require.Equal(t, "4", part.Header().Get("Content-Length"))
		}
		require.Len(t, tags, 2)
	}
	icon := get(files["assets/icon.png"], http.MethodGet, "Accept-Encoding", "gzip")
	require.Equal(t, "small", icon.Body.String(), "compression gains nothing")
	require.Equal(t, "image/png", icon.Header().Get("Content-Type"))
}

// Promise: a file whose media type nobody has named cannot be released.
func TestUnknownMediaType(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{"a.exe": {Data: []byte("x")}}
	require.PanicsWithError(t, "a.exe: unknown media type", func() { MustLoad(tree) })
}
