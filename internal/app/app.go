// Package app assembles the service and runs it, for the command and for the end-to-end tests.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/net/netutil"

	"talon.example/internal/audit"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/clinic"
	"talon.example/internal/distribution"
	"talon.example/internal/events"
	"talon.example/internal/httpapi"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/mip"
	"talon.example/internal/pooler"
	"talon.example/internal/postgres"
	"talon.example/internal/registry"
	"talon.example/internal/telemetry"
	"talon.example/internal/webhook"
	"talon.example/migrations"
)

// App is the assembled service.
type App struct {
	config    Config
	longest   time.Duration // of a request, from the end of its body to the response
	build     Build
	log       *slog.Logger
	metrics   *telemetry.Metrics
	traces    *telemetry.Traces // nil if they are off
	imports   *registry.Imports
	feed      *events.Feed
	webhooks  *events.Webhooks
	deliverer *events.Deliverer
	booking   *booking.Service
	retention *registry.Retention
	backlog   func(context.Context) (*telemetry.Backlog, error)
	audit     *audit.Log
	auditor   *audit.Writer
	database  *readiness
	handler   http.Handler
	close     []func()
	stopping  atomic.Bool

	connections atomic.Int64
}

// Limits of a connection. The deadline of a request starts when its body has been read; the rest is
// for slow clients.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second // headers and body
	idleTimeout       = 2 * time.Minute
	slowClient        = 10 * time.Second
	// Twice the longest token and more, so that a client with an oversized token usually receives
	// our error and not the plain text of net/http.
	maxHeaderBytes = 32 << 10
)

// lockTimeout is how long a statement waits for a lock. Transactions last milliseconds, so that a
// longer wait is that of a migration, a backup or a fault. It is longer than migrations wait, which
// block the statements behind them. So does the recorder of events when it drops a partition.
const lockTimeout = time.Second

// Wrappers wrap parts of the service. The zero value wraps nothing.
type Wrappers struct {
	Ports   func(booking.Ports) booking.Ports
	Handler func(*server.Server, *auth.Verifier) http.Handler // may add routes
}

// New assembles the service: it migrates the database if configured, loads the keys and opens the
// pool. now is the clock of rules and tokens. The caller must call Close.
func New(
	ctx context.Context, config Config, log *slog.Logger, now func() time.Time, wrap Wrappers,
) (_ *App, err error) {
	build, err := ReadBuild()
	if err != nil {
		return nil, err
	}
	metrics := telemetry.NewMetrics(build.Version, build.Commit)
	log = slog.New(telemetry.BoundLog(log.Handler(), metrics.LineOmitted))
	a := &App{config: config, build: build, log: log, metrics: metrics}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if url := config.tracesURL(); url != "" {
		if a.traces, err = telemetry.OpenTraces(ctx, url, build.Version); err != nil {
			return nil, err
		}
		a.close = append(a.close, a.traces.Close)
	}
	if a.longest, err = config.longestRequest(); err != nil {
		return nil, err
	}
	pool, err := a.openPool(ctx, "requests", postgres.Options{
		MaxConns: config.DatabaseConns, StatementTimeout: a.longest, LockTimeout: lockTimeout,
	})
	if err != nil {
		return nil, err
	}
	if err := prepareDatabase(ctx, config, pool, log); err != nil {
		return nil, err
	}
	// The keys are refreshed until Close, because requests are still processed after ctx is done.
	keys, own, err := loadKeys(context.WithoutCancel(ctx), config, log)
	if err != nil {
		return nil, fmt.Errorf("load the keys of tokens: %w", err)
	}
	a.close = append(a.close, keys.Close)

	// Separate connections: an instance whose bookings wait for locks is busy but ready, and its
	// reference data stay fresh. A commit that hangs delays neither.
	single := postgres.Options{MaxConns: 1, StatementTimeout: probeTimeout}
	if err := a.openProbe(ctx, pool, single); err != nil {
		return nil, err
	}
	facts, err := a.openPool(ctx, "reference", single)
	if err != nil {
		return nil, err
	}
	store := postgres.NewStore(pool, postgres.ReferenceAge)
	store.ReadReferenceWith(facts)
	if config.ReadURL != "" {
		if err := a.openStandby(ctx, store); err != nil {
			return nil, err
		}
	}
	ports := store.Ports()
	if config.MipURL != "" {
		if ports.Index, err = a.remoteIndex(now); err != nil {
			return nil, err
		}
	}
	if wrap.Ports != nil {
		ports = wrap.Ports(ports)
	}
	a.booking = booking.NewService(ports, now)
	a.retention = registry.NewRetention(store, registry.RetentionDays{
		FreeCells: config.KeepFreeCellsDays, Visits: config.KeepVisitsDays, Referrals: config.KeepReferralsDays,
	}, now)
	var issuer *auth.Issuer
	if own != nil {
		issuer = auth.NewIssuer(own, config.TokenIssuer, config.TokenAudience, config.AuthTokenLife, now)
	}
	expected := auth.Expected{Issuer: config.TokenIssuer, Audience: config.TokenAudience, MaxLife: config.TokenMaxLife}
	verifier := auth.NewVerifier(keys, expected, now)
	a.audit = audit.NewLog(store, now, config.KeepAuditDays)
	if a.auditor, err = a.openAudit(ctx, store); err != nil {
		return nil, err
	}
	handler, err := server.New(server.Config{
		Verifier:       verifier,
		Clients:        a.booking,
		Auditor:        a.auditor,
		Now:            now,
		Log:            log,
		Metrics:        metrics,
		RequestTimeout: config.Timeout,
		MaxInFlight:    config.MaxInFlight,
		CallerLimits: server.CallerLimits{
			PersonRate: config.PersonRate, PersonInFlight: config.PersonInFlight, ClientRate: config.ClientRate,
		},
		CORSOrigins: config.CORSOrigins,
	})
	if err != nil {
		return nil, fmt.Errorf("create the server: %w", err)
	}
	api := httpapi.Config{
		Booking:    a.booking,
		Registry:   registry.NewService(store, now),
		Clinic:     clinic.NewService(store, now),
		Audit:      a.audit,
		Issuer:     issuer,
		Assertions: auth.NewAssertionVerifier(audiences(config), now),
		Ready:      a.ready,
		Metrics:    metrics,
		Now:        now,
		Docs:       config.Docs,
		KeepTokens: config.KeepTokens,
	}
	if a.imports, err = a.newImports(ctx, handler, api, store, now); err != nil {
		return nil, err
	}
	api.Imports = a.imports
	if a.feed, err = a.newFeed(ctx, store, now); err != nil {
		return nil, err
	}
	api.Feed = a.feed
	if err := a.openWebhooks(ctx, store, now); err != nil {
		return nil, err
	}
	api.Webhooks = a.webhooks
	httpapi.Register(handler, api)
	a.handler = handler
	a.measure(handler, keys)
	if wrap.Handler != nil {
		a.handler = wrap.Handler(handler, verifier)
	}
	a.handler = a.traces.Handler(a.handler)
	return a, nil
}

// openProbe opens the connection that finds out whether the database can serve requests.
func (a *App) openProbe(ctx context.Context, pool *pgxpool.Pool, options postgres.Options) error {
	probe, err := a.openPool(ctx, "probe", options)
	if err != nil {
		return err
	}
	a.database = &readiness{check: func(ctx context.Context) error {
		if err := postgres.NewStore(probe, postgres.ReferenceAge).Ready(ctx, time.Now); err != nil {
			return err
		}
		return migrations.CheckBuild(ctx, probe)
	}}
	// Tables are declared while services are stopped, so that the answer does not change.
	distributed, err := distribution.IsDistributed(ctx, pool)
	if err != nil {
		return err
	}
	if distributed {
		a.database.nodes = func(ctx context.Context) (int, error) { return distribution.NodesAway(ctx, probe) }
	}
	return nil
}

// openStandby makes the store read lists from the standby. The positions of the primary are read
// over a connection of their own: bookings that wait for locks must not delay lists.
func (a *App) openStandby(ctx context.Context, store *postgres.Store) error {
	standby, err := a.openPool(ctx, "standby", postgres.Options{
		URL: string(a.config.ReadURL), MaxConns: a.config.DatabaseConns, StatementTimeout: a.longest,
		LockTimeout: lockTimeout,
	})
	if err != nil {
		return err
	}
	positions, err := a.openPool(ctx, "positions", postgres.Options{MaxConns: 1, StatementTimeout: a.longest})
	if err != nil {
		return err
	}
	count := telemetry.Lists(a.metrics, postgres.Reasons())
	store.ReadListsFrom(postgres.NewStandby(standby, positions, a.log, count))
	return nil
}

// openAudit creates the writer of the audit, which has a connection of its own: bookings that wait
// for locks must not delay the responses of others.
func (a *App) openAudit(ctx context.Context, store *postgres.Store) (*audit.Writer, error) {
	pool, err := a.openPool(ctx, "audit", postgres.Options{MaxConns: 1, StatementTimeout: a.longest})
	if err != nil {
		return nil, err
	}
	writer := audit.NewWriter(store.Over(pool), a.log, a.config.MaxConns)
	a.close = append(a.close, writer.Close)
	a.metrics.GaugeFunc("talon_audit_waiting", "Requests whose records of the audit are not written yet.",
		func() float64 { return float64(writer.Waiting()) })
	a.metrics.GaugeFunc("talon_audit_oldest_waiting_seconds",
		"Age of the oldest record of the audit that is not written yet; 0: all are written.",
		func() float64 { return writer.Oldest(time.Now()).Seconds() })
	a.metrics.CounterFunc("talon_audit_lost_total",
		"Records of the audit that were lost. Their requests were rejected.",
		func() float64 { return float64(writer.Lost()) })
	return writer, nil
}

// recorderConns are the connections for giving events their places and for reading them. Bookings
// that wait for locks must not delay the feed.
const recorderConns = 4

// newFeed returns the feed of events.
func (a *App) newFeed(ctx context.Context, store *postgres.Store, now func() time.Time) (*events.Feed, error) {
	pool, err := a.openPool(ctx, "events", postgres.Options{
		MaxConns: recorderConns, StatementTimeout: a.longest, LockTimeout: lockTimeout,
	})
	if err != nil {
		return nil, err
	}
	over := store.Over(pool)
	a.backlog = func(ctx context.Context) (*telemetry.Backlog, error) { return over.Backlog(ctx, now()) }
	return events.NewFeed(over, now), nil
}

// delivererConns are the connections for sending events to webhooks.
const delivererConns = 4

// openWebhooks creates the use cases of webhooks, and the deliverer.
func (a *App) openWebhooks(ctx context.Context, store *postgres.Store, now func() time.Time) error {
	pool, err := a.openPool(ctx, "webhooks", postgres.Options{
		MaxConns: delivererConns, StatementTimeout: a.longest, LockTimeout: lockTimeout,
		AsynchronousCommit: true, // what is lost is sent again
	})
	if err != nil {
		return err
	}
	sender := webhook.NewSender(webhook.Config{
		Addresses: a.config.WebhookAddresses, Encode: httpapi.EncodeEvent,
	})
	a.close = append(a.close, sender.Close)
	a.webhooks = events.NewWebhooks(store, sender.Acceptable, now)
	a.deliverer = events.NewDeliverer(store.Over(pool), sender, now)
	return nil
}

// audiences returns the audiences of the assertions that authenticate client applications.
func audiences(config Config) []string {
	audiences := []string{config.TokenIssuer}
	if config.AuthTokenURL != "" {
		audiences = append(audiences, string(config.AuthTokenURL))
	}
	return audiences
}

// remoteIndex returns the remote master patient index.
func (a *App) remoteIndex(now func() time.Time) (*mip.Remote, error) {
	remote, err := mip.NewRemote(mip.RemoteConfig{
		URL:              string(a.config.MipURL),
		IdentifierSystem: a.config.MipIdentifierSystem,
		SnilsSystem:      a.config.MipSnilsSystem,
		PolicySystem:     a.config.MipPolicySystem,
		AuthURL:          string(a.config.MipAuthURL),
		ClientID:         a.config.MipClientID,
		ClientSecret:     string(a.config.MipClientSecret),
		Scopes:           a.config.MipScopes,
		Timeout:          a.config.MipTimeout,
		Now:              now,
		Observe: func(next http.RoundTripper, purpose func(*http.Request) string) http.RoundTripper {
			return a.traces.MipTransport(a.metrics.MipTransport(next, purpose), purpose)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("set up the remote master patient index: %w", err)
	}
	a.close = append(a.close, remote.Close)
	a.metrics.Breakers(remote.Breakers)
	return remote, nil
}

// loadKeys loads the keys that verify tokens, and the authorisation service's own key, which is nil
// if the service is off.
func loadKeys(
	ctx context.Context, config Config, log *slog.Logger,
) (keys *auth.KeySet, own *auth.SigningKey, err error) {
	sources := auth.Sources{
		JWKSURL: string(config.JWKSURL), JWKSFile: config.JWKSFile, PEMFile: config.PEMFile,
		HS256Secret: []byte(config.HS256Secret),
	}
	if config.AuthKeyFile != "" {
		if own, err = auth.LoadSigningKey(config.AuthKeyFile); err != nil {
			return nil, nil, fmt.Errorf("TALON_AUTH_KEY_FILE: %w", err)
		}
		sources.Signing = append(sources.Signing, own)
	}
	keys, err = auth.LoadKeys(ctx, sources, log)
	return keys, own, err
}

// prepareDatabase migrates the database if configured, and returns an error if the service cannot
// work with it.
func prepareDatabase(ctx context.Context, config Config, pool *pgxpool.Pool, log *slog.Logger) error {
	if err := pooler.Check(ctx, pool); err != nil {
		return err
	}
	if err := distribution.CheckService(ctx, pool, config.ReadURL != ""); err != nil {
		return err
	}
	if err := prepareSchema(ctx, config, pool, log); err != nil {
		return err
	}
	return postgres.NewStore(pool, postgres.ReferenceAge).CheckClock(ctx, time.Now)
}

// prepareSchema migrates the database if configured, and checks the schema. A newer one only logs a
// warning, because a rolling upgrade has one.
func prepareSchema(ctx context.Context, config Config, pool *pgxpool.Pool, log *slog.Logger) error {
	if config.MigrateAtStart {
		if err := migrations.Up(ctx, string(config.DatabaseURL)); err != nil {
			return err
		}
	}
	current, needed, err := checkSchema(ctx, pool)
	if err != nil {
		return err
	}
	if current > needed {
		log.Warn("the database is newer than this build", "schema", current, "needed", needed)
	}
	return nil
}

// checkSchema returns the schema version of the database and that of this build. It returns an
// error if the database is older, or does not allow this build any more.
func checkSchema(ctx context.Context, database migrations.Database) (current, needed int64, err error) {
	if err := migrations.CheckBuild(ctx, database); err != nil {
		return 0, 0, err
	}
	if needed, err = migrations.Latest(); err != nil {
		return 0, 0, err
	}
	if current, err = migrations.CurrentOf(ctx, database); err != nil {
		return 0, 0, err
	}
	if current < needed {
		return 0, 0, fmt.Errorf("the database is at schema version %d and this build needs %d: "+
			"run talon migrate, or start the service with TALON_MIGRATE=true", current, needed)
	}
	return current, needed, nil
}

// Handler returns the handler of all requests.
func (a *App) Handler() http.Handler { return a.handler }

// ListenAndServe listens on the configured address, calls listening with the actual address, and
// serves until ctx is done.
func (a *App) ListenAndServe(ctx context.Context, listening func(net.Addr)) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", a.config.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	listening(listener.Addr())
	return a.Serve(ctx, listener)
}

// connState counts the connections, and lets one that waits for its next request begin a header.
func (a *App) connState(conn net.Conn, state http.ConnState) {
	switch state { //nolint:exhaustive // none is hijacked, and an active one stays the same
	case http.StateNew:
		a.connections.Add(1)
	case http.StateIdle:
		if limited, ok := conn.(*headerConn); ok {
			limited.begin()
		}
	case http.StateClosed:
		a.connections.Add(-1)
	}
}

// Serve serves requests on the listener until ctx is done. Then it reports not ready, waits
// ShutdownDelay for the load balancer, waits for running requests, and returns.
func (a *App) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           a.handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + a.longest + slowClient,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         a.connState,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	limited := &headerLimiter{Listener: netutil.LimitListener(listener, a.config.MaxConns)}
	go func() { served <- server.Serve(limited) }()
	defer a.background(ctx, a.sweep)()
	defer a.background(ctx, a.sweepPast)()
	defer a.background(ctx, func(ctx context.Context) { a.imports.Work(ctx, a.log) })()
	defer a.background(ctx, func(ctx context.Context) { a.feed.Run(ctx, a.log) })()
	defer a.background(ctx, func(ctx context.Context) { a.deliverer.Run(ctx, a.log) })()
	if a.config.AdminAddr != "" {
		stop, err := a.serveAdmin(ctx)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		defer stop()
	}
	a.log.Info("serving", "addr", listener.Addr().String(), "build", a.build)

	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	a.stopping.Store(true)
	a.log.Info("stopping")
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-time.After(a.config.ShutdownDelay):
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout+a.longest+slowClient)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return fmt.Errorf("wait for running requests: %w", err)
	}
	a.log.Info("stopped")
	return nil
}

// Close releases what New has opened. Call it after Serve has returned.
func (a *App) Close() {
	for _, v := range slices.Backward(a.close) {
		v()
	}
}
