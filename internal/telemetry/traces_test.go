package telemetry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Promise: a request to the master patient index is a span of the request that needs it, without
// its address, which has the guid of the person. The index is told the trace.
func TestMipSpan(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	traces := &Traces{
		provider:    sdktrace.NewTracerProvider(sdktrace.WithSyncer(discreet{spans})),
		propagators: propagation.TraceContext{},
	}
	var told string
	index := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		told = r.Header.Get("Traceparent")
	}))
	t.Cleanup(index.Close)
	transport := traces.MipTransport(http.DefaultTransport, func(*http.Request) string { return "search" })
	handler := traces.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, index.URL+"/Patient?id=guid", nil)
		require.NoError(t, err)
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Empty(t, request.Header, "the request of the caller is unchanged")
		require.NoError(t, http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute)),
			"streams set their deadlines")
	}))
	service := httptest.NewServer(handler)
	t.Cleanup(service.Close)
	response, err := http.Post(service.URL, "text/plain", strings.NewReader(""))
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	require.NoError(t, response.Body.Close())
	require.Eventually(t, func() bool { return len(spans.GetSpans()) == 2 }, 10*time.Second, time.Millisecond)
	called, request := spans.GetSpans()[0], spans.GetSpans()[1]
	require.Equal(t, "mip search", called.Name)
	require.Equal(t, request.SpanContext.SpanID(), called.Parent.SpanID())
	require.Contains(t, told, called.SpanContext.TraceID().String()+"-"+called.SpanContext.SpanID().String())
	for _, one := range called.Attributes {
		require.Contains(t, []string{"GET", "200"}, one.Value.String())
	}
}
