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
	pool, err := a.openPool(ctx, "imports", messagePool)
	if err != nil {
		return nil, err
	}
	return newImports(handler, api, store, pool, now), nil
}

// messagePool are the connections for the messages of imports. Their commits do not wait for the
// disk: the progress of an import is stored after them by a commit that does, and messages without
// stored progress are applied again. They have no lock_timeout: those of one institution wait for
// each other, and a window of many cells takes longer than one. They block nobody while they wait.
var messagePool = postgres.Options{
	MaxConns: httpapi.ParallelMessages, StatementTimeout: messageTimeout, AsynchronousCommit: true,
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
	pool, err := openDatabase(ctx, database, adminConns)
	if err != nil {
		return nil, nil, err
	}
	options := messagePool
	options.URL = database
	messages, err := postgres.Open(ctx, options)
	if err != nil {
		pool.Close()
		return nil, nil, fmt.Errorf("open the database for imports: %w", err)
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
