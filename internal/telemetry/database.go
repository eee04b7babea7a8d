package telemetry

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Pool adds a pool of connections. stat is called at each scrape.
func (m *Metrics) Pool(name string, stat func() *pgxpool.Stat) {
	m.registry.MustRegister(&poolCollector{name, stat})
}

type poolCollector struct {
	name string
	stat func() *pgxpool.Stat
}

var (
	poolInUse = prometheus.NewDesc("talon_database_pool_in_use", "Connections in use.", []string{"pool"}, nil)
	poolIdle  = prometheus.NewDesc("talon_database_pool_idle", "Idle connections.", []string{"pool"}, nil)
	poolMax   = prometheus.NewDesc("talon_database_pool_max", "Most connections of a pool.", []string{"pool"}, nil)
)

// Describe implements prometheus.Collector. The metrics of several pools differ in their label
// only, so that the collector is unchecked.
func (c *poolCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *poolCollector) Collect(to chan<- prometheus.Metric) {
	stat := c.stat()
	for _, one := range []struct {
		desc  *prometheus.Desc
		value int32
	}{{poolInUse, stat.AcquiredConns()}, {poolIdle, stat.IdleConns()}, {poolMax, stat.MaxConns()}} {
		to <- prometheus.MustNewConstMetric(one.desc, prometheus.GaugeValue, float64(one.value), c.name)
	}
}

// Tracer measures the statements of a pool, and how long its callers wait for a connection. It is a
// pgx.QueryTracer, pgx.BatchTracer and pgxpool.AcquireTracer.
type Tracer struct {
	metrics *Metrics
	waits   prometheus.Observer
	waiting prometheus.Gauge
}

// Tracer returns a tracer of a pool.
func (m *Metrics) Tracer(pool string) *Tracer {
	return &Tracer{metrics: m, waits: m.waits.WithLabelValues(pool), waiting: m.waiting.WithLabelValues(pool)}
}

type tracerKey int

const (
	roundTripKey tracerKey = iota
	acquireKey
)

// roundTrip is a statement or a batch of them that was sent to the database.
type roundTrip struct {
	query string
	begun time.Time
}

func (t *Tracer) start(ctx context.Context, query string) context.Context {
	return context.WithValue(ctx, roundTripKey, &roundTrip{query, time.Now()})
}

func (t *Tracer) end(ctx context.Context) *roundTrip {
	trip, ok := ctx.Value(roundTripKey).(*roundTrip)
	if !ok {
		return &roundTrip{query: unnamed}
	}
	t.metrics.statements.WithLabelValues(trip.query).Observe(time.Since(trip.begun).Seconds())
	return trip
}

func (t *Tracer) count(query string, rows int64) {
	if rows > 0 {
		t.metrics.rows.WithLabelValues(query).Add(float64(rows))
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (t *Tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return t.start(ctx, QueryName(data.SQL))
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t *Tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.count(t.end(ctx).query, data.CommandTag.RowsAffected())
}

// TraceBatchStart implements pgx.BatchTracer. A batch is one round trip: how long each of its
// statements takes cannot be seen from outside.
func (t *Tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	name := unnamed
	for _, query := range data.Batch.QueuedQueries {
		if name = QueryName(query.SQL); strings.HasPrefix(query.SQL, namePrefix) {
			break
		}
	}
	return t.start(ctx, name)
}

// TraceBatchQuery implements pgx.BatchTracer.
func (t *Tracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	t.count(QueryName(data.SQL), data.CommandTag.RowsAffected())
}

// TraceBatchEnd implements pgx.BatchTracer.
func (t *Tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) { t.end(ctx) }

// TraceAcquireStart implements pgxpool.AcquireTracer.
func (t *Tracer) TraceAcquireStart(
	ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData,
) context.Context {
	t.waiting.Inc()
	return context.WithValue(ctx, acquireKey, time.Now())
}

// TraceAcquireEnd implements pgxpool.AcquireTracer.
func (t *Tracer) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireEndData) {
	t.waiting.Dec()
	if begun, ok := ctx.Value(acquireKey).(time.Time); ok {
		t.waits.Observe(time.Since(begun).Seconds())
	}
}

const (
	namePrefix = "-- name: " // of the statements that sqlc generates
	unnamed    = "other"
)

// QueryName returns the name of a statement, or its first word if it begins or ends a transaction,
// or "other".
func QueryName(sql string) string {
	if rest, named := strings.CutPrefix(sql, namePrefix); named {
		name, _, _ := strings.Cut(rest, " ")
		return name
	}
	word, _, _ := strings.Cut(sql, " ")
	switch word {
	case "begin", "commit", "rollback":
		return word
	default:
		return unnamed
	}
}
