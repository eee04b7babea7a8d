package httpapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"talon.example/internal/httpapi/server"
)

const portalOrigin = "https://portal.example"

// send sends a request without a body, with pairs of a header's name and its value. It returns the
// response. The readiness check of the server fails.
func send(t *testing.T, origins []string, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	handler := newServer(t, nil, slog.New(slog.DiscardHandler), origins...)
	request := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	return response
}

// listed returns the elements of a header with a list, in lower case.
func listed(header http.Header, name string) map[string]bool {
	elements := map[string]bool{}
	for element := range strings.SplitSeq(strings.Join(header.Values(name), ","), ",") {
		elements[strings.ToLower(strings.TrimSpace(element))] = true
	}
	return elements
}

// corsHeaders returns the names of the response's headers of CORS.
func corsHeaders(header http.Header) (names []string) {
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	return names
}

// Promise: a page of an allowed origin can call every operation of the contract: its preflight
// needs no token and allows the method and every header of the operation. The page can read the
// response, also an error, with every documented header. The browser's own credentials are not
// allowed.
func TestAllowedOrigin(t *testing.T) {
	t.Parallel()
	doc := contractDoc(t)
	for allowed, origins := range map[string][]string{
		portalOrigin:     {"http://127.0.0.1:3000", portalOrigin},
		server.AnyOrigin: {server.AnyOrigin},
	} {
		for path, item := range doc.Paths.Map() {
			for method, operation := range item.Operations() {
				name := method + " " + path
				preflight := send(t, origins, http.MethodOptions, path,
					"Origin", portalOrigin, "Access-Control-Request-Method", method)
				require.Equal(t, http.StatusNoContent, preflight.Code, name)
				require.Empty(t, preflight.Body.String(), name)
				require.Equal(t, allowed, preflight.Header().Get("Access-Control-Allow-Origin"), name)
				require.Empty(t, preflight.Header().Get("Access-Control-Allow-Credentials"), name)
				require.Equal(t, "7200", preflight.Header().Get("Access-Control-Max-Age"), name)
				methods := listed(preflight.Header(), "Access-Control-Allow-Methods")
				require.Contains(t, methods, strings.ToLower(method), name)
				readable := listed(preflight.Header(), "Access-Control-Allow-Headers")
				for _, header := range []string{"authorization", "content-type", "x-request-id", "traceparent"} {
					require.Contains(t, readable, header, name)
				}
				for _, parameter := range operation.Parameters {
					if parameter.Value.In == openapi3.ParameterInHeader {
						require.Contains(t, readable, strings.ToLower(parameter.Value.Name), name)
					}
				}

				response := send(t, origins, method, path, "Origin", portalOrigin)
				require.Equal(t, allowed, response.Header().Get("Access-Control-Allow-Origin"), name)
				require.Empty(t, response.Header().Get("Access-Control-Allow-Credentials"), name)
				require.Equal(t, allowed != server.AnyOrigin, listed(response.Header(), "Vary")["origin"], name)
				exposed := listed(response.Header(), "Access-Control-Expose-Headers")
				for _, documented := range operation.Responses.Map() {
					for header := range documented.Value.Headers {
						require.Contains(t, exposed, strings.ToLower(header), name)
					}
				}
			}
		}
	}
}

// Promise: a request of an origin that is not allowed gets the response that it would get without
// CORS, and no header of CORS. So does every request if no origin is allowed, and an OPTIONS
// request that is no preflight.
func TestOriginsThatAreNotAllowed(t *testing.T) {
	t.Parallel()
	const evilOrigin = "https://evil.example"
	some, every := []string{portalOrigin}, []string{server.AnyOrigin}
	for name, c := range map[string]struct {
		origins []string // the allowed ones
		method  string
		origin  string // of the request
		asks    bool   // has Access-Control-Request-Method
		rule    string
	}{
		"request, another origin":         {some, http.MethodGet, evilOrigin, false, "token_missing"},
		"request, another port":           {some, http.MethodGet, portalOrigin + ":8443", false, "token_missing"},
		"request, another scheme":         {some, http.MethodGet, "http://portal.example", false, "token_missing"},
		"request, a longer host":          {some, http.MethodGet, portalOrigin + ".evil.ex", false, "token_missing"},
		"request, an opaque origin":       {some, http.MethodGet, "null", false, "token_missing"},
		"request, no origin":              {some, http.MethodGet, "", false, "token_missing"},
		"request, off":                    {nil, http.MethodGet, portalOrigin, false, "token_missing"},
		"preflight, another origin":       {some, http.MethodOptions, evilOrigin, true, "method_not_allowed"},
		"preflight, off":                  {nil, http.MethodOptions, portalOrigin, true, "method_not_allowed"},
		"OPTIONS, no preflight":           {some, http.MethodOptions, portalOrigin, false, "method_not_allowed"},
		"OPTIONS, no preflight, any":      {every, http.MethodOptions, portalOrigin, false, "method_not_allowed"},
		"OPTIONS, no origin, any":         {every, http.MethodOptions, "", true, "method_not_allowed"},
		"OPTIONS, neither, and no origin": {every, http.MethodOptions, "", false, "method_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var headers []string
			if c.origin != "" {
				headers = append(headers, "Origin", c.origin)
			}
			if c.asks {
				headers = append(headers, "Access-Control-Request-Method", http.MethodGet)
			}
			response := send(t, c.origins, c.method, "/appointments", headers...)
			require.Contains(t, response.Body.String(), `"rule":"`+c.rule+`"`)
			require.Empty(t, corsHeaders(response.Header()))
			require.Equal(t, len(c.origins) > 0 && c.origins[0] != server.AnyOrigin,
				listed(response.Header(), "Vary")["origin"], "a cache must not return it to the page of another origin")
		})
	}
}
