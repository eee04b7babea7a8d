package postgres

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pause stops a pool before it sends a statement, so that a test can change what the statement will
// find.
type pause struct {
	batches

	query    string       // the name of the generated query
	passes   atomic.Int32 // how often it is sent before the pause
	at, over chan struct{}
}

// pauseTimeout is far above what a statement takes to be sent, also on a busy machine.
const pauseTimeout = time.Minute

// pauseBefore returns a pause before a generated query, after it was sent a number of times.
func pauseBefore(query string, passes int32) *pause {
	p := &pause{query: "-- name: " + query + " ", at: make(chan struct{}), over: make(chan struct{})}
	p.passes.Store(passes)
	return p
}

// addTo adds the pause to a pool.
func (p *pause) addTo(config *pgxpool.Config) { addTracer(config, p) }

// during calls do while a call waits before the statement, and returns the error of the call.
func (p *pause) during(t *testing.T, call func() error, do func()) error {
	t.Helper()
	failed := make(chan error, 1)
	go func() { failed <- call() }()
	p.wait(t)
	do()
	close(p.over)
	return <-failed
}

// wait returns when the pool waits before the statement.
func (p *pause) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.at:
	case <-time.After(pauseTimeout):
		t.Fatal("the statement is not sent: ", p.query)
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (p *pause) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	p.stop(ctx, data.SQL)
	return ctx
}

// TraceBatchStart implements pgx.BatchTracer.
func (p *pause) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, queued := range data.Batch.QueuedQueries {
		p.stop(ctx, queued.SQL)
	}
	return ctx
}

func (p *pause) stop(ctx context.Context, sql string) {
	if !strings.HasPrefix(sql, p.query) || p.passes.Add(-1) != -1 {
		return
	}
	close(p.at)
	select {
	case <-p.over:
	case <-ctx.Done():
	case <-time.After(pauseTimeout): // the test has failed meanwhile
	}
}
