package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"talon.example/internal/auth"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/postgres"
	"talon.example/internal/telemetry"
	"talon.example/migrations"
)

const (
	// backlogEvery is the interval at which the metrics are read that are in the database, and
	// backlogTimeout bounds one read.
	backlogEvery   = 30 * time.Second
	backlogTimeout = 10 * time.Second
	// adminWriteTimeout is longer than a profile of pprof may take.
	adminWriteTimeout = 2 * time.Minute
)

// openPool opens a pool of connections whose statements are measured, and closes it at the end. It
// is one of the primary, unless the options have another address.
func (a *App) openPool(ctx context.Context, name string, options postgres.Options) (*pgxpool.Pool, error) {
	options.URL = cmp.Or(options.URL, string(a.config.DatabaseURL))
	options.Tracer = a.traces.Tracer(a.metrics.Tracer(name))
	pool, err := postgres.Open(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("open the database for %s: %w", name, err)
	}
	a.close = append(a.close, pool.Close)
	a.metrics.Pool(name, pool.Stat)
	return pool, nil
}

// measure adds the metrics that are read from parts of the service.
func (a *App) measure(handler *server.Server, keys *auth.KeySet) {
	for _, rule := range server.Catalogue {
		a.metrics.Expect(string(rule.Name))
	}
	a.metrics.GaugeFunc("talon_requests_in_flight", "Requests that are being processed.", func() float64 {
		used, _ := handler.InFlight()
		return float64(used)
	})
	a.metrics.GaugeFunc("talon_requests_in_flight_max", "Requests that may be processed at once.", func() float64 {
		_, bound := handler.InFlight()
		return float64(bound)
	})
	a.metrics.GaugeFunc("talon_connections", "Connections of clients, also those without a request.",
		func() float64 { return float64(a.connections.Load()) })
	a.metrics.GaugeFunc("talon_connections_max", "Most connections of clients at once. More wait to be accepted.",
		func() float64 { return float64(a.config.MaxConns) })
	// A scrape runs the check, too: the load balancer may ask another instance.
	a.metrics.GaugeFunc("talon_ready", "1 if the instance can serve requests, as /health/ready shows it; 0 if not.",
		func() float64 {
			_, err := a.ready(context.Background())
			return oneIf(err == nil)
		})
	a.metrics.GaugeFunc("talon_database_ready",
		"1 if the database can serve the instance: it commits, and its clock and schema are right; 0 if not.",
		func() float64 {
			_, err := a.database.cached(context.Background())
			return oneIf(err == nil)
		})
	a.metrics.GaugeFunc("talon_database_nodes_away",
		"Nodes of a distributed database that do not respond. The others serve their institutions and patients.",
		func() float64 {
			away, _ := a.database.cached(context.Background())
			return float64(away)
		})
	a.metrics.CounterFunc("talon_database_retries_total",
		"Reads and transactions that were repeated after a transient failure.",
		func() float64 { return float64(postgres.Retries()) })
	a.metrics.GaugeFunc("talon_schema_version_needed", "Version of the schema that the build needs.", func() float64 {
		needed, _ := migrations.Latest() // it is embedded: New has read it
		return float64(needed)
	})
	a.metrics.Keys(func() (used []telemetry.Key, sources []telemetry.KeySource) {
		for _, key := range keys.Uses() {
			used = append(used, telemetry.Key{ID: key.ID, Verified: key.Signatures})
		}
		for name, at := range keys.ReadAt() {
			sources = append(sources, telemetry.KeySource{Name: name, ReadAt: at})
		}
		return used, sources
	})
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Admin returns the handler of the admin port.
func (a *App) Admin() http.Handler { return a.metrics.Admin() }

// serveAdmin serves the admin port, and reads the metrics of the database, until stop is called.
func (a *App) serveAdmin(ctx context.Context) (stop func(), err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", a.config.AdminAddr)
	if err != nil {
		return nil, fmt.Errorf("listen on TALON_ADMIN_ADDR: %w", err)
	}
	admin := &http.Server{
		Handler:           a.Admin(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      adminWriteTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	stopServing := a.background(ctx, func(context.Context) { _ = admin.Serve(listener) })
	stopReading := a.background(ctx, func(ctx context.Context) { every(ctx, backlogEvery, a.readBacklog) })
	a.log.Info("serving metrics", "addr", listener.Addr().String())
	return func() {
		stopReading()
		_ = admin.Close() // before the goroutine is waited for, which ends by it
		stopServing()
	}, nil
}

// readBacklog reads the metrics that are in the database.
func (a *App) readBacklog(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	backlog, err := a.backlog(limited)
	if err != nil {
		if ctx.Err() == nil {
			a.log.Warn("read the metrics of the database", "error", err)
		}
		return
	}
	a.metrics.SetBacklog(backlog)
}
