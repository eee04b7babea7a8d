package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// MipTransport measures requests to the remote master patient index. purpose names a request by its
// target.
func (m *Metrics) MipTransport(next http.RoundTripper, purpose func(*http.Request) string) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		begun, name, status := time.Now(), purpose(request), "error"
		response, err := next.RoundTrip(request)
		if err == nil {
			status = strconv.Itoa(response.StatusCode)
		}
		m.mipRequests.WithLabelValues(name, status).Inc()
		m.mipSeconds.WithLabelValues(name).Observe(time.Since(begun).Seconds())
		return response, err //nolint:wrapcheck // a transport returns the error of the next one
	})
}

// Breakers adds the states of circuit breakers. At each scrape, states returns them by the purpose
// of their requests.
func (m *Metrics) Breakers(states func() map[string]int) {
	m.registry.MustRegister(breakerCollector(states))
}

type breakerCollector func() map[string]int

var breakerState = prometheus.NewDesc("talon_mip_breaker_state",
	"State of a circuit breaker: 0 closed, 1 half open, 2 open.", []string{"purpose"}, nil)

// Describe implements prometheus.Collector.
func (b breakerCollector) Describe(to chan<- *prometheus.Desc) { to <- breakerState }

// Collect implements prometheus.Collector.
func (b breakerCollector) Collect(to chan<- prometheus.Metric) {
	for purpose, state := range b() {
		to <- prometheus.MustNewConstMetric(breakerState, prometheus.GaugeValue, float64(state), purpose)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }
