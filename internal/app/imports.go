package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"talon.example/internal/booking"
	"talon.example/internal/httpapi"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/postgres"
	"talon.example/internal/registry"
)

// messageTimeout limits each statement of a message of an import.
const messageTimeout = 10 * time.Second

// newImports returns the use cases of imports. Their messages run on connections of their own, so
// that they do not use up those of bookings.
func (a *App) newImports(
	ctx context.Context, handler *server.Server, api httpapi.Config, store *postgres.Store, now func() time.Time,
) (*registry.Imports, error) {
	pool, err := openMessagePool(ctx, string(a.config.DatabaseURL))
	if err != nil {
		return nil, err
	}
	a.close = append(a.close, pool.Close)
	return newImports(handler, api, store, pool, now), nil
}

// openMessagePool opens the connections for the messages of imports. Their commits do not wait for
// the disk: the progress of an import is stored after them by a commit that does, and messages
// without stored progress are applied again.
func openMessagePool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	pool, err := postgres.Open(ctx, postgres.Options{
		URL: url, MaxConns: httpapi.ParallelMessages, StatementTimeout: messageTimeout, AsynchronousCommit: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the database for imports: %w", err)
	}
	return pool, nil
}

// Administrator owns the imports that are made next to the database. It has all rights.
var Administrator = registry.ImportOwner{Rights: booking.SystemRights{Scopes: booking.Scopes, EveryLpu: true}}

// adminConns are the connections for an administrator's import itself; its messages have others.
const adminConns = 2

// OpenImports returns the use cases of imports on a database without a service, and a function that
// closes its connections.
func OpenImports(
	ctx context.Context, database string, log *slog.Logger, now func() time.Time,
) (_ *registry.Imports, closeAll func(), err error) {
	pool, err := postgres.Open(ctx, postgres.Options{
		URL: database, MaxConns: adminConns, StatementTimeout: commandTimeout,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open the database: %w", err)
	}
	messages, err := openMessagePool(ctx, database)
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	closeAll = func() {
		messages.Close()
		pool.Close()
	}
	handler, err := server.New(server.Config{Log: log})
	if err != nil {
		closeAll()
		return nil, nil, fmt.Errorf("create the server of the messages: %w", err)
	}
	store := postgres.NewStore(pool, postgres.ReferenceAge)
	config := httpapi.Config{Booking: booking.NewService(store.Ports(), now), Now: now}
	return newImports(handler, config, store, messages, now), closeAll, nil
}

// newImports returns the use cases of imports with messages on the connections of pool. store has
// the imports themselves.
func newImports(
	handler *server.Server, api httpapi.Config, store *postgres.Store, pool *pgxpool.Pool, now func() time.Time,
) *registry.Imports {
	messages := store.Over(pool)
	applying, checking := registry.NewService(messages, now), registry.NewService(messages.DryRun(), now)
	runner := httpapi.NewMessageRunner(handler, api, applying, checking, api.Booking)
	return registry.NewImports(store, runner, now)
}
