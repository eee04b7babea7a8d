package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// StatusClientGone is the status under which a request is counted whose client disconnected before
// the response. It is no refusal of the service.
const StatusClientGone = 499

// Metrics are the metrics of an instance. Every label has few values: operations, rules, statements
// and pools of the code, keys of the configuration, client applications of the database. It is safe
// for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	refusals  *prometheus.CounterVec
	replays   prometheus.Counter

	statements *prometheus.HistogramVec
	rows       *prometheus.CounterVec
	waits      *prometheus.HistogramVec
	waiting    *prometheus.GaugeVec

	mipRequests *prometheus.CounterVec
	mipSeconds  *prometheus.HistogramVec

	sweeps   *prometheus.GaugeVec
	logLines prometheus.Counter
	backlog  backlogMetrics
	persons  *persons

	throttled *prometheus.CounterVec
}

// Bounds of the histograms, in seconds. Statements have few, because there are many statements.
var (
	requestSeconds   = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	statementSeconds = []float64{.001, .005, .025, .1, .5, 2.5}
	waitSeconds      = []float64{.001, .01, .1, .5, 1, 5}
	mipSeconds       = []float64{.025, .1, .25, .5, 1, 3}
)

// NewMetrics returns the metrics of an instance. The version and the commit are those of its build.
func NewMetrics(version, commit string) *Metrics {
	registry := prometheus.NewRegistry()
	m := &Metrics{registry: registry}
	m.requests = m.counters("talon_requests_total",
		"Requests by operation and status. Status 499: the client disconnected before the response.",
		"operation", "status")
	m.durations = m.histograms("talon_request_duration_seconds",
		"Time from the headers of a request to the end of its response, without reading a body that is no stream.",
		requestSeconds, "operation")
	m.refusals = m.counters("talon_refusals_total", "Requests that a rule has rejected.", "rule")
	m.replays = m.counters("talon_idempotent_replays_total",
		"Requests that got the stored response of an earlier request with their Idempotency-Key.").WithLabelValues()
	m.statements = m.histograms("talon_database_query_duration_seconds",
		"Time of a round trip to the database, by its first named statement.", statementSeconds, "query")
	m.rows = m.counters("talon_database_rows_total", "Rows that a statement has returned or changed.", "query")
	m.waits = m.histograms("talon_database_pool_wait_seconds",
		"Time to get a connection of a pool, or before it, one of the places of writes.", waitSeconds, "pool")
	m.waiting = m.gauges("talon_database_pool_waiting",
		"Callers that wait for a connection of a pool, or before it, for one of the places of writes.", "pool")
	m.mipRequests = m.counters("talon_mip_requests_total",
		"Requests to the remote master patient index, by purpose and status. Status error: no response.",
		"purpose", "status")
	m.mipSeconds = m.histograms("talon_mip_request_duration_seconds",
		"Time of a request to the remote master patient index, until the headers of its response.", mipSeconds,
		"purpose")
	m.sweeps = m.gauges("talon_sweep_last_success_timestamp_seconds", "When a sweep last succeeded; 0: never.", "sweep")
	m.logLines = m.counters("talon_log_lines_omitted_total",
		"Lines that were not logged because there were too many of their kind.").WithLabelValues()
	m.backlog = newBacklogMetrics(m)
	m.persons = newPersons(m)
	m.throttled = m.counters("talon_client_throttled_total",
		"Requests of a client application that were rejected because it or a patient sends too many.", "client")
	m.gauges("talon_build_info", "1 for the build that runs.", "version", "commit").
		WithLabelValues(version, commit).Set(1)
	registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histograms(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, labels)
	m.registry.MustRegister(v)
	return v
}

// GaugeFunc adds a metric whose value is read at each scrape.
func (m *Metrics) GaugeFunc(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// CounterFunc adds a metric that only grows, and whose value is read at each scrape.
func (m *Metrics) CounterFunc(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}

// Lists adds the lists of a service with a standby: those that are read from it, and those that are
// read from the primary for one of the reasons. It returns the function that counts a list. An
// empty reason means that it was read from the standby.
func Lists[R ~string](m *Metrics, reasons []R) func(reason R) {
	lists := m.counters("talon_list_reads_total",
		"Reads of lists and searches by target: the standby, or the primary, with the reason.", "target", "reason")
	standby := lists.WithLabelValues("standby", "")
	for _, reason := range reasons {
		lists.WithLabelValues("primary", string(reason))
	}
	return func(reason R) {
		if reason == "" {
			standby.Inc()
			return
		}
		lists.WithLabelValues("primary", string(reason)).Inc()
	}
}

// Request is a request that has ended.
type Request struct {
	Operation string // of the contract, or a fixed word for other requests
	Status    int
	Rule      string        // that has rejected it, or empty
	Replayed  bool          // it got the response of an earlier request
	Duration  time.Duration // without reading the body
}

// Count counts a request. Nil metrics count nothing.
func (m *Metrics) Count(r *Request) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(r.Operation, strconv.Itoa(r.Status)).Inc()
	m.durations.WithLabelValues(r.Operation).Observe(r.Duration.Seconds())
	if r.Rule != "" {
		m.refusals.WithLabelValues(r.Rule).Inc()
	}
	if r.Replayed {
		m.replays.Inc()
	}
}

// Swept records the end of a sweep. One that has never succeeded shows 0.
func (m *Metrics) Swept(sweep string, err error) {
	last := m.sweeps.WithLabelValues(sweep)
	if err == nil {
		last.SetToCurrentTime()
	}
}

// Expect lets the rules be counted from 0, so that the first refusal of a rule is an increase.
func (m *Metrics) Expect(rules ...string) {
	for _, rule := range rules {
		m.refusals.WithLabelValues(rule)
	}
}

// LineOmitted counts a line that was not logged.
func (m *Metrics) LineOmitted() { m.logLines.Inc() }

// Key is a key that verifies tokens.
type Key struct {
	ID       string // kid, or empty
	Verified uint64 // signatures
}

// KeySource is a place from which keys are read.
type KeySource struct {
	Name   string
	ReadAt time.Time // when it was last read successfully; zero: never
}

// Keys adds the keys that verify tokens, and their sources. read is called at each scrape.
func (m *Metrics) Keys(read func() ([]Key, []KeySource)) {
	m.registry.MustRegister(&keyCollector{read})
}

type keyCollector struct {
	read func() ([]Key, []KeySource)
}

var (
	keyVerified = prometheus.NewDesc("talon_token_signatures_verified_total",
		"Tokens whose signature a key has verified, without those that are cached.", []string{"kid"}, nil)
	keysReadAt = prometheus.NewDesc("talon_token_keys_read_timestamp_seconds",
		"When a source of keys was last read successfully; 0: never.", []string{"source"}, nil)
)

// Describe implements prometheus.Collector.
func (c *keyCollector) Describe(to chan<- *prometheus.Desc) {
	to <- keyVerified
	to <- keysReadAt
}

// Collect implements prometheus.Collector.
func (c *keyCollector) Collect(to chan<- prometheus.Metric) {
	keys, sources := c.read()
	verified := map[string]uint64{} // several keys may have no id
	for _, key := range keys {
		verified[key.ID] += key.Verified
	}
	for id, count := range verified {
		to <- prometheus.MustNewConstMetric(keyVerified, prometheus.CounterValue, float64(count), id)
	}
	for _, source := range sources {
		var at float64
		if !source.ReadAt.IsZero() {
			at = float64(source.ReadAt.UnixMilli()) / 1000
		}
		to <- prometheus.MustNewConstMetric(keysReadAt, prometheus.GaugeValue, at, source.Name)
	}
}
