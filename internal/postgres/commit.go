package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"

	"talon.example/internal/booking"
)

// No commit is cut. A commit that waits for the synchronous standby is invisible to others. If it
// was cancelled, PostgreSQL would keep it and show it, although a failover can still lose it. So at
// the deadline of the request the connection is closed without a cancel request: its session waits
// on, with its locks. statement_timeout does not end such a wait.

// transact runs do in a transaction and commits it.
func transact(ctx context.Context, pool *pgxpool.Pool, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		startCommit(tx.Conn())
		return nil
	})
}

// uncancellable is the key of the mark of a connection, an *atomic.Bool in its custom data: while
// it is true, closing the connection sends no cancel request.
const uncancellable = "talon.uncancellable"

// startCommit marks a connection that is about to commit. The mark ends when the pool hands the
// connection out again. The caller may ask the returned value after the commit whether it was half
// done.
func startCommit(conn *pgx.Conn) (half *atomic.Bool) {
	mark(conn, true)
	half = new(atomic.Bool)
	conn.PgConn().CustomData()[halfCommitted] = half
	return half
}

// halfCommitted is the key of an *atomic.Bool in the custom data of a connection: whether its last
// commit was half done.
const halfCommitted = "talon.half_committed"

// noteHalfCommit notes that a distributed database has committed, but has lost a node before that
// node has. The coordinator only warns. What is prepared on the node is committed when the node is
// back, and until then nobody sees it.
func noteHalfCommit(conn *pgconn.PgConn, notice *pgconn.Notice) {
	half, ok := conn.CustomData()[halfCommitted].(*atomic.Bool)
	if ok && notice.Routine == "FinishRemoteTransactionCommit" {
		half.Store(true)
	}
}

// errHalfCommitted is transient: a repetition waits for the locks of what is prepared.
var errHalfCommitted = booking.Reject(booking.DatabaseUnavailable).Because(
	fmt.Errorf("%w: a node was lost that had prepared it", errCommitUnknown))

// mark changes the mark of a connection. Connections of pools without markConnections have none.
func mark(conn *pgx.Conn, value bool) {
	if marked, ok := conn.PgConn().CustomData()[uncancellable].(*atomic.Bool); ok {
		marked.Store(value)
	}
}

// errCommitting is why a cancel request is not sent.
var errCommitting = errors.New("the connection is committing")

// markConnections gives the connections of a pool their mark. pgx sends a cancel request whenever a
// connection breaks while it is used, over a connection of its own, which is not opened then.
func markConnections(config *pgxpool.Config) {
	config.BeforeConnect = func(_ context.Context, conn *pgx.ConnConfig) error {
		marked, dial := new(atomic.Bool), conn.DialFunc
		conn.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			if marked.Load() {
				return nil, errCommitting
			}
			return dial(ctx, network, address)
		}
		conn.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
			conn.CustomData()[uncancellable] = marked
			return nil
		}
		return nil
	}
	config.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) {
		mark(conn, false)
		return true, nil
	}
}

// commitMessage is a statement that changes nothing, and whose commit is safe like that of a
// booking, also on a synchronous standby.
const commitMessage = `SELECT pg_logical_emit_message(true, 'talon_ready', '')`

// commitTimeout bounds the commit of a message.
const commitTimeout = time.Second

// commitCheck rejects writes at once while commits hang. Each of them would keep a session of the
// database and its locks, and nobody would know its outcome. After a write that has reached its
// deadline, the next one first commits a message, which may be cancelled. It is safe for concurrent
// use.
type commitCheck struct {
	pool     *pgxpool.Pool
	doubtful atomic.Bool
	tries    singleflight.Group
	breaker  *gobreaker.CircuitBreaker[struct{}]
}

func newCommitCheck(pool *pgxpool.Pool) *commitCheck {
	return &commitCheck{pool: pool, breaker: newAwayBreaker(1)}
}

// check returns a *booking.Refusal if commits hang.
func (c *commitCheck) check(ctx context.Context) error {
	if !c.doubtful.Load() {
		return nil
	}
	_, err := c.breaker.Execute(func() (struct{}, error) { return struct{}{}, waitFor(ctx, c.try()) })
	if err == nil || errors.Is(err, errNoTime) {
		return err
	}
	return booking.Reject(booking.DatabaseUnavailable).Because(fmt.Errorf("%w: commits hang: %w", errAway, err))
}

// try starts the commit of a message, or joins the running one.
func (c *commitCheck) try() <-chan singleflight.Result {
	return c.tries.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
		defer cancel()
		_, err := c.pool.Exec(ctx, commitMessage)
		if err == nil {
			c.doubtful.Store(false)
		}
		return nil, err
	})
}
