package talon_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy is a reverse proxy between the client and the service, on loopback. It records the
// requests.
type proxy struct {
	url string

	mu      sync.Mutex
	headers []http.Header // of the requests, in order of arrival
}

// requests returns the headers of the requests so far.
func (p *proxy) requests() []http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.headers
}

// proxyHandler handles a request at a proxy. number counts requests from 1; forward passes the
// request to the service.
type proxyHandler func(number int, w http.ResponseWriter, r *http.Request, forward http.Handler)

// newProxy starts a proxy for the service and stops it when the test ends.
func newProxy(t *testing.T, service string, handle proxyHandler) *proxy {
	t.Helper()
	address, err := url.Parse(service)
	require.NoError(t, err)
	forward := httputil.NewSingleHostReverseProxy(address)
	forward.Transport = &http.Transport{DisableKeepAlives: true}
	p := &proxy{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.headers = append(p.headers, r.Header.Clone())
		number := len(p.headers)
		p.mu.Unlock()
		handle(number, w, r, forward)
	}))
	server.Config.SetKeepAlivesEnabled(false) // net/http retries by itself on a reused connection
	server.Start()
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// pass forwards the request.
func pass(_ int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
	forward.ServeHTTP(w, r)
}

// passWithoutKey forwards the request without its Idempotency-Key. On a slow machine the service
// may not release the key of a rejected request in time, and would reject the next try with
// idempotency_key_in_use.
func passWithoutKey(_ int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
	r.Header.Del("Idempotency-Key")
	forward.ServeHTTP(w, r)
}

// loseFirst forwards every request, and drops the responses to the requests with odd numbers.
func loseFirst(number int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
	if number%2 == 0 {
		forward.ServeHTTP(w, r)
		return
	}
	forward.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}
