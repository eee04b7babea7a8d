package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"talon.example/gen/db"
)

// tx is one transaction. Its generated queries only queue their statements. row, rows and exec
// queue, for each statement, the function that reads its result. send sends all queued statements
// in one round trip and reads the results in order. A tx is not safe for concurrent use.
//
// A guarded statement that loses a race returns no row. The statements after it still run, and the
// rollback undoes them.
type tx struct {
	*db.Queries

	ctx           context.Context //nolint:containedctx // a transaction lives within one call
	conn          db.DBTX         // a pool or a connection
	reference     *reference
	open          pgx.Tx // nil before the first send, and in a snapshot
	batch         *pgx.Batch
	results       pgx.BatchResults
	reads         []func() error
	databaseError error // the first error of the database, which has aborted the transaction
	abandoned     bool  // write rolls back although do did not fail
}

// newTx returns a tx that has not begun.
func newTx(ctx context.Context, conn db.DBTX) *tx {
	t := &tx{ctx: ctx, conn: conn, batch: new(pgx.Batch)}
	t.Queries = db.New(queue{tx: t})
	return t
}

// write runs do in a transaction, sends the statements that do left queued, and commits. It rolls
// back if do returns an error or abandons the transaction. It retries transient failures, so that
// do may run several times.
func write[T any](ctx context.Context, s *Store, do func(*tx) (T, error)) (T, error) {
	return retry(ctx, s.pool.Reset, func() (result T, err error) {
		t := newTx(ctx, s.pool)
		if t.reference, err = s.reference.get(ctx); err != nil {
			return result, err
		}
		end, err := s.beginWriting(ctx)
		if err != nil {
			return result, err
		}
		defer end()
		t.batch.BeginTx(pgx.TxOptions{})
		t.reads = append(t.reads, func() error {
			_, err := t.results.Exec()
			t.open = t.results.Tx()
			return err
		})
		defer t.rollback() // no effect after a commit
		var none T
		if result, err = do(t); err != nil {
			return none, err
		}
		if err := t.send(); err != nil {
			return none, err
		}
		if t.abandoned || s.dryRun {
			return result, nil
		}
		if err := t.commit(); err != nil {
			return none, err
		}
		return result, nil
	})
}

// read calls do, which reads outside of a transaction, with the reference data. It retries
// transient failures, so that do may run several times.
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

// snapshot runs the statements that do queues in one round trip and one snapshot. The reference
// data may be older than the snapshot by up to ReferenceAge.
func (s *Store) snapshot(ctx context.Context, do func(*tx)) error {
	known, err := s.reference.get(ctx)
	if err != nil {
		return err
	}
	return snapshot(ctx, s.pool, known, do)
}

// snapshot runs the statements that do queues in one read-only transaction, in one round trip and
// one snapshot. known are the reference data of the transaction; nil: it needs none.
func snapshot(ctx context.Context, conn db.DBTX, known *reference, do func(*tx)) error {
	t := newTx(ctx, conn)
	t.reference = known
	t.statement("begin isolation level repeatable read read only")
	do(t)
	t.statement("commit")
	return t.send()
}

// fail makes the next send return an error that was found while statements were being queued.
func (t *tx) fail(err error) {
	t.reads = append(t.reads, func() error { return err })
}

// statement queues a statement without parameters or rows.
func (t *tx) statement(sql string) {
	t.batch.Queue(sql)
	t.reads = append(t.reads, func() error {
		_, err := t.results.Exec()
		return err
	})
}

// row queues the reading of a statement's single row. read receives pgx.ErrNoRows if there is none.
func row[R any](t *tx, query func(func(int, R, error)), read func(R, error) error) {
	rowAt(t, query, func(_ int, row R, err error) error { return read(row, err) })
}

// rowAt is row for a query with several sets of parameters. read receives their index.
func rowAt[R any](t *tx, query func(func(int, R, error)), read func(int, R, error) error) {
	t.reads = append(t.reads, func() (err error) {
		query(func(i int, row R, rowErr error) { err = firstError(err, read(i, row, rowErr)) })
		return err
	})
}

// rows queues the reading of a statement's rows.
func rows[R any](t *tx, query func(func(int, []R, error)), read func([]R) error) {
	rowsAt(t, query, func(_ int, rows []R) error { return read(rows) })
}

// rowsAt is rows for a query with several sets of parameters. read receives their index.
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

// exec queues the reading of a statement that returns no rows.
func exec(t *tx, query func(func(int, error))) {
	t.reads = append(t.reads, func() (err error) {
		query(func(_ int, execErr error) { err = firstError(err, execErr) })
		return err
	})
}

// send sends the queued statements in one round trip and reads their results. It returns the first
// error, because later statements fail or lose only as a consequence of it.
func (t *tx) send() (err error) {
	if len(t.reads) == 0 {
		return nil
	}
	batch, reads := t.batch, t.reads
	t.batch, t.reads = new(pgx.Batch), nil
	if t.open != nil {
		t.results = t.open.SendBatch(t.ctx, batch)
	} else {
		t.results = t.conn.SendBatch(t.ctx, batch)
	}
	defer func() { err = firstError(err, t.results.Close()) }() // also after a panic
	for _, read := range reads {
		readErr := read()
		if pgErr := new(pgconn.PgError); errors.As(readErr, &pgErr) {
			t.databaseError = firstError(t.databaseError, readErr)
		}
		err = firstError(err, readErr)
	}
	return err
}

// commit commits the transaction. If the database did not respond in time, ended the session
// (FATAL), or lost a node while it committed there, the outcome is unknown, or not visible yet, and
// the error wraps errCommitUnknown.
func (t *tx) commit() error {
	half := startCommit(t.open.Conn())
	err := t.open.Commit(t.ctx)
	var pgErr *pgconn.PgError
	switch {
	case err == nil && half.Load():
		return errHalfCommitted
	case err == nil:
		return nil
	case errors.As(err, &pgErr) && pgErr.SeverityUnlocalized == "ERROR" && !lostNode(pgErr),
		errors.Is(err, pgx.ErrTxCommitRollback):
		return fmt.Errorf("commit: %w", err)
	default:
		return fmt.Errorf("%w: %w", errCommitUnknown, err)
	}
}

// rollback ends a transaction that was not committed. If the request has no time left or the
// rollback fails, it closes the connection, and the database rolls back.
func (t *tx) rollback() {
	if t.open != nil {
		_ = t.open.Rollback(t.ctx)
	}
}

// firstError returns the first non-nil error.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// ignoreAbsent returns nil for pgx.ErrNoRows, and other errors unchanged.
func ignoreAbsent(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// queue is the db.DBTX of a transaction's generated queries. It stores their statements for send.
type queue struct {
	db.DBTX

	tx *tx
}

// SendBatch stores the statements of one query. The returned results can be read once send has sent
// them.
func (q queue) SendBatch(_ context.Context, batch *pgx.Batch) pgx.BatchResults {
	q.tx.batch.QueuedQueries = append(q.tx.batch.QueuedQueries, batch.QueuedQueries...)
	return queued{q.tx}
}

// queued reads the results of one query. Generated code closes it after each query, so that Close
// does nothing; send closes the results of all queries.
type queued struct{ tx *tx }

func (q queued) Exec() (pgconn.CommandTag, error) { return q.tx.results.Exec() }
func (q queued) Query() (pgx.Rows, error)         { return q.tx.results.Query() }
func (q queued) QueryRow() pgx.Row                { return q.tx.results.QueryRow() }
func (q queued) Close() error                     { return nil }
func (q queued) Tx() pgx.Tx                       { return nil }
