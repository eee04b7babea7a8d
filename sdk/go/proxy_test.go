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

// proxy stands between the client and the service, on loopback.
type proxy struct {
	url string

	mu    sync.Mutex
	heads []http.Header // of the requests that came, in their order
}

// came gives the headers of the requests that have come.
func (p *proxy) came() []http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heads
}

// between starts a proxy. meddle is asked what to do with each request, by its number from 1 on; forward lets the service answer it.
func between(t *testing.T, service string, meddle func(number int, w http.ResponseWriter, r *http.Request, forward http.Handler)) *proxy {
	t.Helper()
	address, err := url.Parse(service)
	require.NoError(t, err)
	forward := httputil.NewSingleHostReverseProxy(address)
	forward.Transport = &http.Transport{DisableKeepAlives: true}
	p := &proxy{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.heads = append(p.heads, r.Header.Clone())
		number := len(p.heads)
		p.mu.Unlock()
		meddle(number, w, r, forward)
	}))
	server.Config.SetKeepAlivesEnabled(false) // net/http itself tries again on a connection that was used before
	server.Start()
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// pass lets the service answer.
func pass(_ int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
	forward.ServeHTTP(w, r)
}

// passWithoutKey lets the service answer as if the request had no Idempotency-Key. On a slow machine the service may not
// give the key of a refused request back in time, and then refuses the next try with idempotency_key_in_use.
func passWithoutKey(_ int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
	r.Header.Del("Idempotency-Key")
	forward.ServeHTTP(w, r)
}

// loseFirst has the service answer everything, and loses every other answer, the first one too.
func loseFirst(number int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
	if number%2 == 0 {
		forward.ServeHTTP(w, r)
		return
	}
	forward.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}
