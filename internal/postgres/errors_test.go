package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

// Promise: every failure of the database during a booking has its rule, and its cause for the log.
// Nothing is left of the booking, no connection leaks, and the next booking succeeds. Transient
// failures are tried three times, all others once.
func TestFailuresOfCreate(t *testing.T) {
	t.Parallel()
	const soon = time.Second // long enough to reach the lock, even on a busy machine
	for name, failure := range map[string]struct {
		rule  booking.Name
		state string // the provoked SQLSTATE; empty if the client reports the error
		tries int64
		fail  func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error)
	}{
		"statement time-out": {booking.Overloaded, "57014", 1,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				store := w.storeAt(w.url, soon, count)
				_, end := w.holdLocks(lockCells)
				defer end()
				return store, create(w.t, store, a)
			}},
		"lock time-out": {booking.Overloaded, "55P03", 1,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				testdb.SetOnWorkers(w.t, w.db, "lock_timeout", "300ms")
				store := w.store(count, runtimeParam("lock_timeout", "300ms"))
				_, end := w.holdLocks(lockCells)
				defer end()
				return store, create(w.t, store, a)
			}},
		"idle in transaction": {booking.Overloaded, "25P03", 1,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				store := w.store(count, runtimeParam("idle_in_transaction_session_timeout", "300ms"), writesLikeTCP,
					beforeCommit(func(conn *pgx.Conn) {
						w.waitForEnd(conn)
					}))
				return store, create(w.t, store, a)
			}},
		"no time left": {booking.Overloaded, "", 1,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				store := w.store(count)
				_, end := w.holdLocks(lockCells)
				defer end()
				ctx, cancel := context.WithTimeout(w.t.Context(), soon)
				defer cancel()
				_, err := store.Create(ctx, a)
				require.ErrorIs(w.t, err, context.DeadlineExceeded)
				return store, err
			}},
		"no connection left": {booking.Overloaded, "", 0,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				store := w.store(count)
				for range 2 {
					conn, err := store.pool.Acquire(w.t.Context())
					require.NoError(w.t, err)
					defer conn.Release()
				}
				ctx, cancel := context.WithTimeout(w.t.Context(), soon)
				defer cancel()
				_, err := store.Create(ctx, a)
				return store, err
			}},
		"terminated three times": {booking.DatabaseUnavailable, "57P01", 3,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				store := w.store(count)
				return store, w.whileBlocked(func() error {
					return create(w.t, store, a)
				}, lockCells, func(_ pgx.Tx, pid int) {
					for range 2 {
						w.terminate(uint32(pid))
						pid = testdb.WaitForBlocked(w.t, w.db, pid)
					}
					w.terminate(uint32(pid))
				})
			}},
		"terminated before the commit": {booking.DatabaseUnavailable, "57P01", 1,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				store := w.store(count, writesLikeTCP, beforeCommit(func(conn *pgx.Conn) {
					w.terminate(conn.PgConn().PID())
					w.waitForEnd(conn)
				}))
				return store, create(w.t, store, a)
			}},
		"connection lost before the commit": {booking.DatabaseUnavailable, "", 1,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				store := w.store(count, beforeCommit(func(conn *pgx.Conn) {
					_ = conn.PgConn().Conn().Close()
					w.waitForEnd(conn)
				}))
				return store, create(w.t, store, a)
			}},
		"read-only": {booking.DatabaseUnavailable, "25006", 3,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				store := w.store(count, runtimeParam("default_transaction_read_only", "on"))
				return store, create(w.t, store, a)
			}},
		"constraint: one visit a referral": {booking.DirectionAlreadyBooked, "23505", 1,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				// The target institution has a visit that the original does not refer to.
				other := uuid.New()
				w.exec(`INSERT INTO direction (lpu_guid, guid, copied_from_lpu_guid, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
				SELECT $1, guid, lpu_guid, type, number, date, date_end, created_at, $2, lpu_from_guid FROM direction`, w.to, w.mkabTo)
				w.exec(`INSERT INTO appointment SELECT $1, $2, $3, $4, $5, $6, $7, $6, $8, $8, true, false, '', $8, NULL, $8`,
					w.to, other, w.direction, w.from, w.mkabTo, w.patient.Person, w.doctor, moment)
				defer func() {
					w.exec(`DELETE FROM appointment`)
					w.exec(`DELETE FROM direction WHERE lpu_guid = $1`, w.to)
				}()
				store := w.store(count)
				err := create(w.t, store, a)
				require.Equal(w.t, 2, w.countWritten(), "the other visit and the copy of the referral are unchanged")
				return store, err
			}},
		"constraint: capacity": {booking.SlotTaken, "23514", 1,
			func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) (*Store, error) {
				w.exec(`CREATE FUNCTION overfill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.taken := NEW.capacity + 1; RETURN NEW; END'`)
				w.exec(`CREATE TRIGGER overfill BEFORE UPDATE ON slot FOR EACH ROW EXECUTE FUNCTION overfill()`)
				defer w.exec(`DROP TRIGGER overfill ON slot`)
				store := w.store(count)
				return store, create(w.t, store, a)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.appointment(2)
			var tries batches
			store, err := failure.fail(w, a, tries.countOn)
			refusal := requireRefusal(t, err, failure.rule)
			require.Error(t, refusal.Unwrap(), "the error has a cause for the log")
			if failure.state != "" {
				requireSQLState(t, err, failure.state)
			}
			require.Equal(t, failure.tries, tries.n.Load())
			requireConnectionsReleased(t, store)
			require.Zero(t, w.countWritten())
			require.NoError(t, w.store().Ready(t.Context(), time.Now))
			require.NoError(t, create(t, w.store(), w.appointment(2)), "the next booking succeeds")
		})
	}
}

// Promise: a transient failure is not reported to the client. The booking is retried and stored
// once.
func TestTransientFailuresOfCreate(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) error{
		"terminated while it waits": func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) error {
			store := w.store(count)
			return w.whileBlocked(func() error { return create(w.t, store, a) }, lockCells, func(tx pgx.Tx, pid int) {
				w.terminate(uint32(pid))
				require.NoError(w.t, tx.Rollback(w.t.Context()))
			})
		},
		"the network is cut": func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) error {
			var network cuttableNetwork
			store := w.store(count, network.connectThrough)
			return w.whileBlocked(func() error { return create(w.t, store, a) }, lockCells, func(tx pgx.Tx, pid int) {
				network.cut()
				w.terminate(uint32(pid)) // otherwise the session would keep its lock, and the retry would wait for it
				require.NoError(w.t, tx.Rollback(w.t.Context()))
			})
		},
		"failover": func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) error {
			const old = 2 * tries
			store := w.store(count, func(config *pgxpool.Config) {
				config.MaxConns = old
			}, onFirstConnections(old, "default_transaction_read_only", "on"))
			conns := make([]*pgxpool.Conn, old)
			for i := range conns {
				var err error
				conns[i], err = store.pool.Acquire(w.t.Context())
				require.NoError(w.t, err)
			}
			for _, conn := range conns {
				conn.Release()
			}
			return create(w.t, store, a)
		},
		"serialization": func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) error {
			store := w.store(count, runtimeParam("default_transaction_isolation", "repeatable read"))
			return w.whileBlocked(func() error { return create(w.t, store, a) }, `UPDATE direction SET comment = comment`, func(tx pgx.Tx, _ int) {
				require.NoError(w.t, tx.Commit(w.t.Context()))
			})
		},
		"the id of the copy is in use": func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) error {
			w.exec(`INSERT INTO direction (lpu_guid, guid, id, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
				SELECT $1, gen_random_uuid(), nextval('direction_id_seq') + 1, type, number, date, date_end, created_at, $2, $1 FROM direction`, w.to, w.mkabTo)
			return create(w.t, w.store(count), a)
		},
		"deadlock": func(w *world, a booking.NewAppointment, count func(*pgxpool.Config)) error {
			store := w.store(count)
			// The session whose deadlock check runs first is the victim. The other's check is
			// delayed.
			return w.whileBlocked(func() error { return create(w.t, store, a) }, `SET LOCAL deadlock_timeout = '30s'; SELECT FROM slot WHERE lpu_guid = @to FOR UPDATE`,
				func(tx pgx.Tx, _ int) {
					_, err := tx.Exec(w.t.Context(), `UPDATE direction SET comment = comment`)
					require.NoError(w.t, err)
					require.NoError(w.t, tx.Commit(w.t.Context()))
				})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.appointment(2)
			var tries batches
			require.NoError(t, fail(w, a, tries.countOn))
			// A second deadlock is possible if the retry is faster than the transaction that it
			// waits for.
			require.Greater(t, tries.n.Load(), int64(1), "it failed at least once")
			w.requireBooked(a)
		})
	}
}

// Promise: a booking is not retried if the response to its commit was lost: it would be rejected
// because of itself. The client receives a retryable error and then finds the booking. This also
// holds if a pooler reports that the session has ended, and if the coordinator of a distributed
// database warns that a node will show the booking later.
func TestLostCommitResponse(t *testing.T) {
	t.Parallel()
	for name, replacement := range map[string][]byte{
		"nothing": nil,
		"another error": encode(t,
			&pgproto3.ErrorResponse{
				Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "08P01", Message: "server conn crashed?",
			}),
		"end of the session": encode(t,
			&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P01", Message: "terminating connection"}),
		"a node was lost that had prepared the transaction": encode(t,
			&pgproto3.NoticeResponse{
				Severity: "WARNING", Code: "01000", Message: "failed to commit transaction on 10.0.0.2:5432",
				Routine: "FinishRemoteTransactionCommit",
			}, &pgproto3.CommandComplete{CommandTag: []byte("COMMIT")}, &pgproto3.ReadyForQuery{TxStatus: 'I'}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.appointment(2)
			var tries batches
			store := w.store(tries.countOn, func(config *pgxpool.Config) {
				config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
					return &commitLosingConn{Conn: conn, replacement: replacement}, err
				}
			})
			err := create(t, store, a)
			requireRefusal(t, err, booking.DatabaseUnavailable)
			require.ErrorIs(t, err, errCommitUnknown, "the cause for the log")
			require.EqualValues(t, 1, tries.n.Load())
			requireConnectionsReleased(t, store)
			w.requireBooked(a)
		})
	}
}

func encode(t *testing.T, messages ...pgproto3.BackendMessage) (encoded []byte) {
	t.Helper()
	for _, message := range messages {
		var err error
		encoded, err = message.Encode(encoded)
		require.NoError(t, err)
	}
	return encoded
}

// commitLosingConn is a connection that breaks when the response to a commit has arrived. It may
// return a replacement of that response.
type commitLosingConn struct {
	net.Conn

	mu          sync.Mutex // pgx reads in the background during a slow Write
	replacement []byte
	committing  bool
	lost        bool
}

// Write implements net.Conn.
func (c *commitLosingConn) Write(data []byte) (int, error) {
	if data[0] == 'Q' && bytes.HasSuffix(data, []byte("commit\x00")) {
		c.mu.Lock()
		c.committing = true
		c.mu.Unlock()
	}
	return c.Conn.Write(data)
}

// Read implements net.Conn.
func (c *commitLosingConn) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.committing:
		return n, err
	case !c.lost:
		c.lost = true
		_ = c.Close()
	}
	if len(c.replacement) > 0 {
		n := copy(data, c.replacement)
		c.replacement = c.replacement[n:]
		return n, nil
	}
	return c.Conn.Read(data) // the error of a closed connection
}

// Promise: a migration that changes a type does not disturb a running service, however many of its
// connections have prepared the statements.
func TestTypeChangeWhileServing(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(w *world, store *Store, a booking.NewAppointment) error{
		"facts": func(w *world, store *Store, _ booking.NewAppointment) error {
			_, err := store.Facts(w.t.Context(), w.patient, w.request(1), moment)
			return err
		},
		"booking": func(w *world, store *Store, a booking.NewAppointment) error { return create(w.t, store, a) },
		"person": func(w *world, store *Store, _ booking.NewAppointment) error {
			_, err := store.Person(w.t.Context(), w.patient.Person)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(`INSERT INTO mip_person VALUES ($1)`, w.patient.Person)
			w.exec(`INSERT INTO mip_person_data (person_guid, birth_date) VALUES ($1, '1980-02-29')`, w.patient.Person)
			store := w.store(func(config *pgxpool.Config) { config.MaxConns = 2 * tries })
			conns := make([]*pgxpool.Conn, 2*tries)
			for i := range conns {
				require.NoError(t, call(w, store, w.appointment(1)))
				w.cancelAll()
				var err error
				conns[i], err = store.pool.Acquire(t.Context()) // so that the next call opens another
				require.NoError(t, err)
			}
			require.EqualValues(t, len(conns), store.pool.Stat().NewConnsCount())
			for _, conn := range conns {
				conn.Release()
			}
			w.exec(`ALTER TABLE direction ALTER reason TYPE varchar`)
			w.exec(`ALTER TABLE mip_person_data ALTER surname TYPE varchar`)
			require.NoError(t, call(w, store, w.appointment(1)))
		})
	}
}

// lockCells locks all cells.
const lockCells = `SELECT FROM slot WHERE lpu_guid = @to FOR UPDATE`

// requireBooked requires that the booking of two cells is stored once and completely.
func (w *world) requireBooked(a booking.NewAppointment) {
	w.t.Helper()
	require.Equal(w.t, 1, w.count(`SELECT count(*) FROM appointment WHERE guid = $1`, a.Guid))
	require.Equal(w.t, 2+1+2+1+2, w.countWritten(),
		"two taken cells, the visit with two cells, the claim, the referral and its copy")
}

// batches counts how often a batch is sent.
type batches struct{ n atomic.Int64 }

// countOn counts on every connection of a pool.
func (b *batches) countOn(config *pgxpool.Config) { addTracer(config, b) }

// addTracer adds a tracer to a pool's configuration.
func addTracer(config *pgxpool.Config, tracer pgx.QueryTracer) {
	tracers, _ := config.ConnConfig.Tracer.(*multitracer.Tracer)
	if tracers == nil {
		config.ConnConfig.Tracer = multitracer.New(tracer)
		return
	}
	config.ConnConfig.Tracer = multitracer.New(append(tracers.QueryTracers, tracer)...)
}

// TraceQueryStart implements pgx.QueryTracer.
func (*batches) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*batches) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (b *batches) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	b.n.Add(1)
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (*batches) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (*batches) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// waitForEnd waits until a session has ended.
func (w *world) waitForEnd(conn *pgx.Conn) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_activity WHERE pid = $1`, conn.PgConn().PID()) == 0
	}, 20*time.Second, 5*time.Millisecond, "the session does not end")
}

// terminate terminates a session.
func (w *world) terminate(pid uint32) {
	w.t.Helper()
	w.exec(`SELECT pg_terminate_backend($1::int)`, pid)
}

// cuttableNetwork is a network that can be cut.
type cuttableNetwork struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cuttableNetwork) connectThrough(config *pgxpool.Config) {
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conns = append(c.conns, conn)
		return conn, err
	}
}

func (c *cuttableNetwork) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// writesLikeTCP makes a write to a closed connection succeed, as it does over TCP. The client then
// reads the server's last message. A write to a Unix socket, which the tests' server may use, would
// fail.
func writesLikeTCP(config *pgxpool.Config) {
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return tcpLikeConn{conn}, err
	}
}

type tcpLikeConn struct{ net.Conn }

// Write implements net.Conn.
func (c tcpLikeConn) Write(data []byte) (int, error) {
	n, err := c.Conn.Write(data)
	if errors.Is(err, syscall.EPIPE) {
		return len(data), nil
	}
	return n, err
}

// Promise: failures while the facts are read have the same rules.
func TestFailuresOfFacts(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]struct {
		rule booking.Name
		fail func(w *world, store *Store) error
	}{
		"statement time-out": {booking.Overloaded, func(w *world, store *Store) error {
			_, end := w.holdLocks(`LOCK TABLE slot`)
			defer end()
			_, err := store.Facts(w.t.Context(), w.patient, w.request(1), moment)
			requireSQLState(w.t, err, "57014")
			return err
		}},
		"terminated three times": {booking.DatabaseUnavailable, func(w *world, store *Store) error {
			return w.whileBlocked(func() error {
				_, err := store.Facts(w.t.Context(), w.patient, w.request(1), moment)
				return err
			}, `LOCK TABLE mkab`, func(_ pgx.Tx, pid int) {
				for range 2 {
					w.terminate(uint32(pid))
					pid = testdb.WaitForBlocked(w.t, w.db, pid)
				}
				w.terminate(uint32(pid))
			})
		}},
		"no time left": {booking.Overloaded, func(w *world, store *Store) error {
			ctx, cancel := context.WithDeadline(w.t.Context(), time.Now())
			defer cancel()
			_, err := store.Facts(ctx, w.patient, w.request(1), moment)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			store := w.storeAt(w.url, 2*time.Second)
			requireRefusal(t, failure.fail(w, store), failure.rule)
			requireConnectionsReleased(t, store)
			facts, err := store.Facts(t.Context(), w.patient, w.request(1), moment)
			require.NoError(t, err)
			require.NotNil(t, facts.Direction)
		})
	}
}

// Promise: an error that is neither load nor connection becomes an internal error, and its cause is
// logged. Messages of the database that may contain a patient's data are omitted.
func TestUnknownErrorsAreNoRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	var refusal *booking.Refusal
	const trigger = `CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS `
	for _, failure := range []struct {
		state, text string
		changes     []string
		comment     string
	}{
		{"22021", "message withheld", nil, "тайна\x00"},
		{"23514", `constraint "secret"`, []string{`ALTER TABLE appointment ADD CONSTRAINT secret CHECK (comment <> 'тайна')`}, "тайна"},
		{"42703", `column "tap"`, []string{
			`ALTER TABLE appointment DROP CONSTRAINT secret`, trigger + `'BEGIN PERFORM tap FROM mkab; RETURN NEW; END'`,
			`CREATE TRIGGER fail BEFORE INSERT ON appointment FOR EACH ROW EXECUTE FUNCTION fail()`,
		}, "тайна"},
		{"0A000", "cached plan must not change result type", []string{
			trigger + `'BEGIN RAISE feature_not_supported ` +
				`USING MESSAGE = ''cached plan must not change result type''; END'`,
		}, "тайна"},
		{"P0001", "message withheld", []string{trigger + `'BEGIN RAISE EXCEPTION ''no room for %'', NEW.comment; END'`}, "тайна"},
	} {
		for _, change := range failure.changes {
			w.exec(change)
		}
		a := w.appointment(1)
		a.Request.Comment = failure.comment
		var tries batches
		store := w.store(tries.countOn)
		err := create(t, store, a)
		requireSQLState(t, err, failure.state)
		require.ErrorContains(t, err, failure.text)
		require.NotContains(t, err.Error(), "тайна")
		require.NotErrorAs(t, err, &refusal)
		require.EqualValues(t, 1, tries.n.Load(), "a retry would fail as well")
		requireConnectionsReleased(t, store)
		require.Zero(t, w.countWritten())
	}
	w.exec(`ALTER TABLE lpu DROP CONSTRAINT lpu_time_zone`)
	w.exec(`UPDATE lpu SET time_zone = 'Europe/Nowhere' WHERE guid = $1`, w.to)
	store.reference.maxAge = 0
	_, err := store.Facts(t.Context(), w.patient, w.request(1), moment)
	require.ErrorContains(t, err, "Europe/Nowhere")
	require.NotErrorAs(t, err, &refusal)
	requireConnectionsReleased(t, store)
}

// Promise: a database that cannot be reached or rejects the service is unavailable for every call,
// which is retried. A database without free connections is overloaded, and the call is not retried.
// No error contains the password.
func TestDatabaseCannotBeReached(t *testing.T) {
	t.Parallel()
	cluster := testdb.Cluster(t)
	w := newWorldIn(t, cluster.URL("postgres"))
	a := w.appointment(1)
	w.exec(`CREATE ROLE patient LOGIN PASSWORD 'right'`)
	w.exec(`CREATE ROLE crowd LOGIN CONNECTION LIMIT 0`)
	w.requirePassword("patient")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	address := func(change func(*url.URL, url.Values)) string {
		u, err := url.Parse(w.url)
		require.NoError(t, err)
		query := u.Query()
		change(u, query)
		u.RawQuery = query.Encode()
		return u.String()
	}
	for name, c := range map[string]struct {
		rule     booking.Name
		connects int
		database string
	}{
		"no listener": {
			booking.DatabaseUnavailable, tries, "postgres://talon:pa55word@" + listener.Addr().String() + "/postgres",
		},
		"no such socket": {booking.DatabaseUnavailable, tries, address(func(_ *url.URL, query url.Values) {
			query.Set("host", t.TempDir())
		})},
		"no such role": {booking.DatabaseUnavailable, tries, address(func(u *url.URL, _ url.Values) {
			u.User = url.UserPassword("nobody", "pa55word")
		})},
		"no such database": {booking.DatabaseUnavailable, tries, address(func(u *url.URL, _ url.Values) {
			u.Path = "/none"
		})},
		"a wrong password": {booking.DatabaseUnavailable, tries, address(func(u *url.URL, _ url.Values) {
			u.User = url.UserPassword("patient", "pa55word")
		})},
		"no connection left": {booking.Overloaded, 1, address(func(u *url.URL, _ url.Values) {
			u.User = url.UserPassword("crowd", "pa55word")
		})},
	} {
		connects := 0
		store := w.storeAt(c.database, time.Second, func(config *pgxpool.Config) {
			config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
				connects++
				return nil
			}
		})
		for _, err := range store.callAll(t, w, a) {
			requireRefusal(t, err, c.rule)
			require.NotContains(t, err.Error(), "pa55word", name)
			if c.rule == booking.Overloaded { // docs/operate.md names it
				require.ErrorContains(t, err, "SQLSTATE 53300")
			}
		}
		require.Equal(t, 4*c.connects+1, connects, "%s: every call but the health check is retried", name)
		requireConnectionsReleased(t, store)
	}
	require.Zero(t, w.countWritten())
}

// Promise: a host that accepts connections and never responds costs two seconds, unless the address
// has connect_timeout. Then the next host of the address is tried.
func TestSilentHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	_, port, err := net.SplitHostPort(silent.Addr().String())
	require.NoError(t, err)
	u, err := url.Parse(w.url)
	require.NoError(t, err)
	server, err := pgconn.ParseConfig(w.url)
	require.NoError(t, err)
	query := u.Query()
	query.Set("host", "127.0.0.1,"+server.Host)
	query.Set("port", fmt.Sprintf("%s,%d", port, server.Port))
	u.Host, u.RawQuery = "", query.Encode()
	for address, most := range map[string]time.Duration{
		u.String(): 4 * time.Second, u.String() + "&connect_timeout=1": 3 * time.Second,
	} {
		began := time.Now()
		require.NoError(t, w.storeAt(address, time.Minute).Ready(t.Context(), time.Now))
		require.Less(t, time.Since(began), most)
	}
}

// Promise: a clock that differs from the database's by more than five seconds is reported.
func TestClockDiffers(t *testing.T) {
	t.Parallel()
	store := newWorld(t).store()
	for offset, ok := range map[time.Duration]bool{
		0: true, 3 * time.Second: true, -3 * time.Second: true, time.Minute: false, -time.Minute: false,
	} {
		clock := func() time.Time { return time.Now().Add(offset) }
		for _, err := range []error{store.CheckClock(t.Context(), clock), store.Ready(t.Context(), clock)} {
			if ok {
				require.NoError(t, err)
				continue
			}
			require.ErrorContains(t, err, "the clocks of the service and of the database differ by 1m0s")
		}
	}
}

// callAll calls every method and returns the errors.
func (s *Store) callAll(t testing.TB, w *world, a booking.NewAppointment) []error {
	t.Helper()
	_, facts := s.Facts(t.Context(), w.patient, w.request(1), moment)
	_, mkab := s.CreateMkab(t.Context(), w.to,
		&booking.Person{Guid: uuid.New(), Sex: booking.Male, BirthDate: moment, PolicyNumber: "1"}, moment)
	_, person := s.Person(t.Context(), w.patient.Person)
	return []error{facts, create(t, s, a), mkab, person, s.Ready(t.Context(), time.Now)}
}

// requirePassword makes the server require a role's password, and waits until it does.
func (w *world) requirePassword(role string) {
	w.t.Helper()
	var path string
	require.NoError(w.t, w.db.QueryRow(w.t.Context(), `SHOW hba_file`).Scan(&path))
	rest, err := os.ReadFile(path)
	require.NoError(w.t, err)
	require.NoError(w.t, os.WriteFile(path, append([]byte("local all "+role+" scram-sha-256\n"), rest...), 0o600))
	w.exec(`SELECT pg_reload_conf()`)
	require.Eventually(w.t, func() bool {
		return w.count(`SELECT count(*) FROM pg_hba_file_rules WHERE $1 = ANY(user_name)`, role) == 1 && w.needsPassword(role)
	}, 20*time.Second, 5*time.Millisecond, "the server does not require a password")
}

// needsPassword reports whether a role cannot connect without a password.
func (w *world) needsPassword(role string) bool {
	config, err := pgx.ParseConfig(w.url)
	require.NoError(w.t, err)
	config.User, config.Password = role, ""
	conn, err := pgx.ConnectConfig(w.t.Context(), config)
	if err != nil {
		return true
	}
	_ = conn.Close(w.t.Context())
	return false
}

// Promise: a server that stops during a booking makes the booking and every later call unavailable.
func TestServerStops(t *testing.T) {
	t.Parallel()
	cluster := testdb.Cluster(t)
	w := newWorldIn(t, cluster.URL("postgres"))
	a := w.appointment(2)
	store := w.store()
	err := w.whileBlocked(func() error { return create(t, store, a) }, lockCells, func(pgx.Tx, int) {
		require.NoError(t, cluster.Stop(t.Context()))
	})
	requireRefusal(t, err, booking.DatabaseUnavailable)
	requireConnectionsReleased(t, store)
	for _, err := range store.callAll(t, w, a) {
		requireRefusal(t, err, booking.DatabaseUnavailable)
	}
	requireConnectionsReleased(t, store)
}

// Promise: a crash of the server makes bookings unavailable only until it has recovered. The pool
// then works again, and the booking is stored completely or not at all.
func TestServerCrashes(t *testing.T) {
	t.Parallel()
	cluster := testdb.Cluster(t)
	w := newWorldIn(t, cluster.URL("postgres"))
	a := w.appointment(2)
	store := w.store()
	err := w.whileBlocked(func() error { return create(t, store, a) }, lockCells, func(_ pgx.Tx, pid int) {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	})
	requireConnectionsReleased(t, store)
	require.Eventually(t, func() bool {
		err := store.Ready(t.Context(), time.Now)
		if err != nil {
			requireRefusal(t, err, booking.DatabaseUnavailable)
		}
		return err == nil
	}, 20*time.Second, 5*time.Millisecond, "the server does not recover")
	w.db.Reset()    // its idle connections are dead
	if err != nil { // nil if the server recovered during the retries
		requireRefusal(t, err, booking.DatabaseUnavailable)
		require.Zero(t, w.countWritten())
		require.NoError(t, create(t, store, a))
	}
	w.requireBooked(a)
}

// Promise: a standby is not ready, because it would reject every booking. The next check connects
// to the server at the address by then.
func TestStandbyIsNotReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.store().Ready(t.Context(), time.Now))
	w.exec(`CREATE SCHEMA standby`)
	w.exec(`CREATE FUNCTION standby.pg_is_in_recovery() RETURNS boolean RETURN true`)
	store := w.store(onFirstConnections(1, "search_path", "standby, pg_catalog, public"))
	requireRefusal(t, store.Ready(t.Context(), time.Now), booking.DatabaseUnavailable)
	requireConnectionsReleased(t, store)
	require.NoError(t, store.Ready(t.Context(), time.Now))
}

// Promise: a cancelled booking is no failure of the service. Nothing is written, the connection is
// released, and the error is the cancellation.
func TestCancelledCreate(t *testing.T) {
	t.Parallel()
	t.Run("before it begins", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		a, store := w.appointment(2), w.store()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := store.Create(ctx, a)
		w.requireCancelled(store, a, err)
	})
	for name, lock := range map[string]string{
		"while it waits for the referral":   `SELECT FROM direction WHERE lpu_guid = @from FOR UPDATE`,
		"while it waits for the speciality": `INSERT INTO speciality_claim SELECT person_guid, '92', gen_random_uuid(), lpu_guid, '', now(), now() FROM mkab LIMIT 1`,
		"while it waits for the cell":       `SELECT FROM slot WHERE lpu_guid = @to AND id = 102 FOR UPDATE`,
		"while it waits for the copy":       `LOCK TABLE appointment`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, store := w.appointment(2), w.store()
			ctx, cancel := context.WithCancel(t.Context())
			err := w.whileBlocked(func() error {
				_, err := store.Create(ctx, a)
				return err
			}, lock, func(pgx.Tx, int) { cancel() })
			w.requireCancelled(store, a, err)
		})
	}
	t.Run("before the commit", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		a := w.appointment(2)
		ctx, cancel := context.WithCancel(t.Context())
		store := w.store(beforeCommit(func(*pgx.Conn) { cancel() }))
		_, err := store.Create(ctx, a)
		w.requireCancelled(store, a, err)
	})
}

func (w *world) requireCancelled(store *Store, a booking.NewAppointment, err error) {
	w.t.Helper()
	w.requireAbandoned(store, err)
	require.Zero(w.t, w.countWritten())
	require.NoError(w.t, create(w.t, store, a), "the next booking succeeds")
}

// requireAbandoned requires that a cancelled call has ended, also in the database.
func (w *world) requireAbandoned(store *Store, err error) {
	w.t.Helper()
	require.ErrorIs(w.t, err, context.Canceled)
	requireConnectionsReleased(w.t, store)
	// The session may end a little later than the call.
	require.Eventually(w.t, func() bool {
		return w.count(`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'talon' AND datname = current_database() AND state <> 'idle'`) == 0
	}, 20*time.Second, 5*time.Millisecond, "a session is still active")
}

// Promise: every connection error of the library counts as database_unavailable.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, pgconn.ErrConnClosed,
	} {
		var network net.Error
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, pgconn.ErrConnClosed) &&
			!errors.As(err, &network) {
			err = &net.OpError{Op: "read", Net: "tcp", Err: err}
		}
		requireRefusal(t, interpretError(errors.Join(errors.New("read"), err)), booking.DatabaseUnavailable)
	}
	for _, err := range []error{nil, errors.New("bug"), context.Canceled, pgx.ErrNoRows} {
		require.Equal(t, err, interpretError(err))
	}
	requireRefusal(t, interpretError(context.DeadlineExceeded), booking.Overloaded)
	refusal := booking.Reject(booking.SlotTaken)
	require.Equal(t, refusal, interpretError(refusal))
}

// Promise: the server's session list shows the service's name. No statement or idle transaction
// lasts longer than a request may.
func TestConnectionSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, err := url.Parse(w.url)
	require.NoError(t, err)
	query := address.Query()
	query.Del("plan_cache_mode") // of a distributed database
	address.RawQuery = query.Encode()
	store := w.storeAt(address.String(), 1500*time.Millisecond)
	for setting, want := range map[string]string{
		"application_name": "talon", "statement_timeout": "1500ms", "idle_in_transaction_session_timeout": "1500ms",
		"synchronous_commit": "on",
		"random_page_cost":   "1.1", "plan_cache_mode": "force_generic_plan",
	} {
		var got string
		require.NoError(t, store.pool.QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&got))
		require.Equal(t, want, got, setting)
	}
	require.EqualValues(t, 2, store.pool.Config().MaxConns)
	query.Set("synchronous_commit", "remote_apply")
	query.Set("random_page_cost", "2")
	address.RawQuery = query.Encode()
	var commit, pageCost string
	require.NoError(t, w.storeAt(address.String(), time.Second).pool.QueryRow(t.Context(),
		`SELECT current_setting('synchronous_commit'), current_setting('random_page_cost')`).Scan(&commit, &pageCost))
	require.Equal(t, "remote_apply", commit, "DATABASE_URL may require more")
	require.Equal(t, "2", pageCost, "DATABASE_URL may set another cost")
	_, err = Open(t.Context(), Options{URL: "postgres://talon:pa55word@host:port/x", MaxConns: 1})
	require.ErrorContains(t, err, "parse the database's address")
	require.NotContains(t, err.Error(), "pa55word")
}

// Promise: a constraint is recognised by its name, also where a distributed database reports it
// only in the message, with the number of a shard.
func TestConstraintOfAMessage(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		`duplicate key value violates unique constraint "direction_id_102173"`:         "direction_id",
		`new row for relation "slot_102040" violates check constraint "slot_capacity"`: "slot_capacity",

		`повторяющееся значение ключа нарушает ограничение уникальности «appointment_one_in_force_102233»`: "appointment_one_in_force",

		`duplicate key value violates unique constraint "direction_id_of_another"`: "direction_id_of_another",

		`a row of "direction" violates foreign key constraint "direction_mkab_102173"`: "direction_mkab",
	} {
		require.Equal(t, want, constraintOf(&pgconn.PgError{Code: "23505", Message: message}), message)
	}
	require.Empty(t, constraintOf(&pgconn.PgError{Code: "42601", Message: `syntax error at "direction_id"`}))
	require.Equal(t, "setting_value", constraintOf(&pgconn.PgError{
		Code: "23514", ConstraintName: "setting_value", Message: `"direction_id"`,
	}))
}

// Promise: an error that ends the session counts as a lost connection, whatever its code.
func TestFatalIsALostConnection(t *testing.T) {
	t.Parallel()
	fatal := &pgconn.PgError{
		Severity: "ВАЖНО", SeverityUnlocalized: "FATAL", Code: "XX000", Message: "postmaster was shut down, exiting",
	}
	requireRefusal(t, interpretError(fatal), booking.DatabaseUnavailable)
	same := *fatal
	same.SeverityUnlocalized = "ERROR"
	var refusal *booking.Refusal
	require.NotErrorAs(t, interpretError(&same), &refusal)
}
