package harness

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"talon.example/internal/app"
	"talon.example/internal/booking"
	"talon.example/internal/postgres"
)

// stores are the stores of the running services, by the URL of their database.
var stores = struct {
	sync.Mutex

	of map[string][]*postgres.Store
}{of: map[string][]*postgres.Store{}}

// withStore registers the store of a service until the test ends.
func withStore(t testing.TB, database string, wrap app.Wrappers) app.Wrappers {
	inner := wrap.Ports
	wrap.Ports = func(ports booking.Ports) booking.Ports {
		stores.Lock()
		stores.of[database] = append(stores.of[database], ports.Reader.(*postgres.Store))
		stores.Unlock()
		if inner != nil {
			ports = inner(ports)
		}
		return ports
	}
	t.Cleanup(func() {
		stores.Lock()
		defer stores.Unlock()
		delete(stores.of, database)
	})
	return wrap
}

// forgetReference makes the services of a database read the reference data again.
func forgetReference(database string) {
	stores.Lock()
	defer stores.Unlock()
	for _, store := range stores.of[database] {
		store.ForgetReference()
	}
}

// changes traces the statements of a test in a database. After each that may change reference data,
// the services read them again, so that a test need not wait until the cached data are too old.
type changes struct{ database string }

type sqlKey struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (c changes) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, sqlKey{}, data.SQL)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (c changes) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if sql, _ := ctx.Value(sqlKey{}).(string); !strings.HasPrefix(strings.TrimSpace(sql), "SELECT") {
		forgetReference(c.database)
	}
}

// TraceBatchStart implements pgx.BatchTracer.
func (c changes) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (c changes) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (c changes) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {
	forgetReference(c.database)
}

// TraceCopyFromStart implements pgx.CopyFromTracer.
func (c changes) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	return ctx
}

// TraceCopyFromEnd implements pgx.CopyFromTracer.
func (c changes) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {
	forgetReference(c.database)
}
