package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"talon.example/gen/db"
)

// tx is one transaction. Its queries only queue their statements; row, rows and exec queue with each the function that reads its result. send sends
// what is queued in one round trip and reads the results in order.
//
// A statement that lost a race returns no row. Those after it still run, and the rollback undoes them.
type tx struct {
	*db.Queries

	ctx       context.Context //nolint:containedctx // a transaction lives within one call
	pool      *pgxpool.Pool
	reference *reference
	open      pgx.Tx // nil before the first send, and in a snapshot
	batch     *pgx.Batch
	results   pgx.BatchResults
	reads     []func() error
	raised    error // what the database raised, which has aborted the transaction
	abandoned bool  // the work is to be rolled back though it did not fail
}

func newTx(ctx context.Context, pool *pgxpool.Pool) *tx {
	t := &tx{ctx: ctx, pool: pool, batch: new(pgx.Batch)}
	t.Queries = db.New(queue{tx: t})
	return t
}

// write runs do in a transaction of its own, sends what do left queued, and commits unless do returns an error or abandons the transaction. What the
// database could not do for a passing reason is done again, so that do can run several times.
func write[T any](ctx context.Context, s *Store, do func(*tx) (T, error)) (T, error) {
	return retry(ctx, s.pool.Reset, func() (result T, err error) {
		t := newTx(ctx, s.pool)
		if t.reference, err = s.reference.get(ctx); err != nil {
			return result, err
		}
		t.batch.BeginTx(pgx.TxOptions{})
		t.reads = append(t.reads, func() error {
			_, err := t.results.Exec()
			t.open = t.results.Tx()
			return err
		})
		defer t.rollback() // after a commit it does nothing
		var none T
		if result, err = do(t); err != nil {
			return none, err
		}
		if err := t.send(); err != nil {
			return none, err
		}
		if t.abandoned {
			return result, nil
		}
		if err := t.commit(); err != nil {
			return none, err
		}
		return result, nil
	})
}

// read runs do, which reads outside of a transaction, with the reference data. What the database could not do for a passing reason is done again.
func read[T any](ctx context.Context, s *Store, do func(*reference) (T, error)) (T, error) {
	return retry(ctx, s.pool.Reset, func() (T, error) {
		known, err := s.reference.get(ctx)
		if err != nil {
			var none T
			return none, err
		}
		return do(known)
	})
}

// snapshot reads what do queues in one round trip, all of it as it is at one moment. The reference data may be ReferenceAge older.
func (s *Store) snapshot(ctx context.Context, do func(*tx)) error {
	known, err := s.reference.get(ctx)
	if err != nil {
		return err
	}
	return snapshot(ctx, s.pool, func(t *tx) {
		t.reference = known
		do(t)
	})
}

func snapshot(ctx context.Context, pool *pgxpool.Pool, do func(*tx)) error {
	t := newTx(ctx, pool)
	t.statement("begin isolation level repeatable read read only")
	do(t)
	t.statement("commit")
	return t.send()
}

// fail queues an error that was found before the statements were sent.
func (t *tx) fail(err error) {
	t.reads = append(t.reads, func() error { return err })
}

// statement queues a statement that has neither parameters nor rows.
func (t *tx) statement(sql string) {
	t.batch.Queue(sql)
	t.reads = append(t.reads, func() error {
		_, err := t.results.Exec()
		return err
	})
}

// row queues how the result of a statement of at most one row is read. Without a row, read gets pgx.ErrNoRows.
func row[R any](t *tx, query func(func(int, R, error)), read func(R, error) error) {
	rowAt(t, query, func(_ int, row R, err error) error { return read(row, err) })
}

// rowAt is row for a query with several sets of parameters, which are numbered from 0.
func rowAt[R any](t *tx, query func(func(int, R, error)), read func(int, R, error) error) {
	t.reads = append(t.reads, func() (err error) {
		query(func(i int, row R, rowErr error) { err = firstError(err, read(i, row, rowErr)) })
		return err
	})
}

// rows queues how the rows of a statement are read.
func rows[R any](t *tx, query func(func(int, []R, error)), read func([]R) error) {
	rowsAt(t, query, func(_ int, rows []R) error { return read(rows) })
}

// rowsAt is rows for a query with several sets of parameters, which are numbered from 0.
func rowsAt[R any](t *tx, query func(func(int, []R, error)), read func(int, []R) error) {
	t.reads = append(t.reads, func() (err error) {
		query(func(i int, rows []R, rowsErr error) {
			if rowsErr == nil {
				rowsErr = read(i, rows)
			}
			err = firstError(err, rowsErr)
		})
		return err
	})
}

// exec queues a statement whose result is only that it ran.
func exec(t *tx, query func(func(int, error))) {
	t.reads = append(t.reads, func() (err error) {
		query(func(_ int, execErr error) { err = firstError(err, execErr) })
		return err
	})
}

// send sends what is queued and reads the results. It returns the first error: a later statement fails, or loses, because an earlier one did.
func (t *tx) send() (err error) {
	if len(t.reads) == 0 {
		return nil
	}
	batch, reads := t.batch, t.reads
	t.batch, t.reads = new(pgx.Batch), nil
	if t.open != nil {
		t.results = t.open.SendBatch(t.ctx, batch)
	} else {
		t.results = t.pool.SendBatch(t.ctx, batch)
	}
	defer func() { err = firstError(err, t.results.Close()) }() // after a panic, too
	for _, read := range reads {
		readErr := read()
		if raised := new(pgconn.PgError); errors.As(readErr, &raised) {
			t.raised = firstError(t.raised, readErr)
		}
		err = firstError(err, readErr)
	}
	return err
}

// commit commits. Where the database did not answer, or ended the session (FATAL), the outcome is unknown.
func (t *tx) commit() error {
	err := t.open.Commit(t.ctx)
	var answer *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer) && answer.SeverityUnlocalized == "ERROR", errors.Is(err, pgx.ErrTxCommitRollback):
		return fmt.Errorf("commit: %w", err)
	default:
		return fmt.Errorf("%w: %w", errMaybeDone, err)
	}
}

// rollbackTimeout bounds the rollback, for which the response waits.
const rollbackTimeout = time.Second

// rollback ends a transaction that was not committed, also when the request's own time is over: the pool needs the connection. Where even that fails
// the pool closes the connection, and the database rolls back by itself.
func (t *tx) rollback() {
	if t.open == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), rollbackTimeout)
	defer cancel()
	_ = t.open.Rollback(ctx)
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// unlessAbsent returns nil for the absence of a row.
func unlessAbsent(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// queue is the connection of a transaction's generated queries: it keeps their statements for send.
type queue struct {
	db.DBTX

	tx *tx
}

// SendBatch keeps the statements of one query, and returns where their results will be read.
func (q queue) SendBatch(_ context.Context, batch *pgx.Batch) pgx.BatchResults {
	q.tx.batch.QueuedQueries = append(q.tx.batch.QueuedQueries, batch.QueuedQueries...)
	return queued{q.tx}
}

// queued are the results of one query. Generated code closes it after each query; send closes the results of all.
type queued struct{ tx *tx }

func (q queued) Exec() (pgconn.CommandTag, error) { return q.tx.results.Exec() }
func (q queued) Query() (pgx.Rows, error)         { return q.tx.results.Query() }
func (q queued) QueryRow() pgx.Row                { return q.tx.results.QueryRow() }
func (q queued) Close() error                     { return nil }
func (q queued) Tx() pgx.Tx                       { return nil }
