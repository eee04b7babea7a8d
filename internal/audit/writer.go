package audit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"talon.example/internal/booking"
)

const (
	// maxBatch bounds the records of one transaction. A request has at most some hundred.
	maxBatch = 1000
	// writeTimeout limits one try to write a batch.
	writeTimeout = 3 * time.Second
	// writePause is the pause before a failed batch is written again, and stopTimeout is how long
	// Close waits for the records that are left.
	writePause  = 200 * time.Millisecond
	stopTimeout = 5 * time.Second
)

// Writer writes the records of all requests of an instance. The records that arrive while one
// transaction commits share the next one, so that an instance commits the faster, the more requests
// it has. It is safe for concurrent use.
type Writer struct {
	store  Store
	log    *slog.Logger
	queue  chan *entry
	failed atomic.Bool // the last transaction failed

	stop    context.CancelFunc
	stopped chan struct{}
	closing sync.Once
}

// entry is the records of one request. done receives one result: nil after the commit, or the error
// of the first try.
type entry struct {
	records []Record
	done    chan error // of capacity 1
}

// NewWriter returns a writer. places is the number of requests that can wait for it. The caller
// must call Close.
func NewWriter(store Store, log *slog.Logger, places int) *Writer {
	ctx, stop := context.WithCancel(context.Background())
	w := &Writer{store: store, log: log, queue: make(chan *entry, places), stop: stop, stopped: make(chan struct{})}
	go w.run(ctx)
	return w
}

var (
	errNotWritten = errors.New("the audit record is not written")
	errNotNow     = errors.New("audit records cannot be written now")
)

// Available returns nil, or a *booking.Refusal while records cannot be written. Then a request
// should be rejected before it changes something.
func (w *Writer) Available() error {
	if w.failed.Load() {
		return booking.Reject(booking.DatabaseUnavailable).Because(errNotNow)
	}
	return nil
}

// Write returns nil after the records of a request are committed. It returns an error if that
// fails, or has not happened when ctx is done: a *booking.Refusal if the same request may succeed later.
// The records are then written later, unless the process ends before.
func (w *Writer) Write(ctx context.Context, records []Record) error {
	e := &entry{records, make(chan error, 1)}
	select {
	case w.queue <- e:
	case <-ctx.Done():
		return booking.Reject(booking.DatabaseUnavailable).Because(errors.Join(errNotWritten, ctx.Err()))
	}
	if err := w.Available(); err != nil {
		return err // it may take long
	}
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		return booking.Reject(booking.DatabaseUnavailable).Because(errors.Join(errNotWritten, ctx.Err()))
	}
}

// Close writes the records that are left, for at most five seconds, and stops the writer. No
// request may be running.
func (w *Writer) Close() {
	w.closing.Do(func() {
		close(w.queue)
		timer := time.AfterFunc(stopTimeout, w.stop)
		<-w.stopped
		timer.Stop()
		w.stop()
	})
}

// run writes batches until the queue is closed and empty.
func (w *Writer) run(ctx context.Context) {
	defer close(w.stopped)
	for first := range w.queue {
		batch, records := w.collect(first)
		err := w.try(ctx, records)
		rejection := err
		if passes := new(booking.Refusal); errors.As(err, &passes) {
			rejection = booking.Reject(booking.DatabaseUnavailable).Because(errors.Join(errNotWritten, err))
		}
		for _, e := range batch {
			e.done <- rejection
		}
		if err != nil {
			w.repeat(ctx, records, err)
		}
	}
}

// collect returns the requests that wait, from the first one on, and their records.
func (w *Writer) collect(first *entry) (batch []*entry, records []Record) {
	batch, records = []*entry{first}, slices.Clone(first.records)
	for len(records) < maxBatch {
		select {
		case e, open := <-w.queue:
			if !open {
				return batch, records
			}
			batch, records = append(batch, e), append(records, e.records...)
		default:
			return batch, records
		}
	}
	return batch, records
}

// try commits records.
func (w *Writer) try(ctx context.Context, records []Record) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return w.store.AddRecords(ctx, records) //nolint:wrapcheck // the caller logs it
}

// repeat writes records whose requests have been rejected until it succeeds, because the requests
// may have changed something. It gives up if the failure is none that passes, or when ctx is done.
func (w *Writer) repeat(ctx context.Context, records []Record, err error) {
	w.failed.Store(true)
	defer w.failed.Store(false)
	w.log.Error("write the audit: requests for patients' data are rejected meanwhile",
		"records", len(records), "error", err)
	for passes := new(booking.Refusal); err != nil; err = w.try(ctx, records) {
		if !errors.As(err, &passes) || ctx.Err() != nil {
			w.log.Error("write the audit: records are lost, their requests were rejected",
				"records", len(records), "error", err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(writePause):
		}
	}
}
