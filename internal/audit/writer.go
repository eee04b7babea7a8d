package audit

import (
	"context"
	"errors"
	"fmt"
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
	// writeTimeout limits one try to write a batch, and findTimeout the search for its persons
	// before the first try: a lock of the cards must not delay the responses of patients.
	writeTimeout = 3 * time.Second
	findTimeout  = 200 * time.Millisecond
	// writeInterval is the time from the begin of one transaction to the next, at least. Under load
	// each transaction has so many records that its commit costs a request little. A request alone
	// does not wait.
	writeInterval = 4 * time.Millisecond
	// writePause is the pause before a failed batch is written again, and stopTimeout is how long
	// Close waits for the records that are left.
	writePause  = 200 * time.Millisecond
	stopTimeout = 5 * time.Second
)

// Writer writes the records of all requests of an instance. The records that arrive while one
// transaction commits share the next one, so that an instance commits the faster, the more requests
// it has. It is safe for concurrent use.
type Writer struct {
	store   Store
	log     *slog.Logger
	queue   chan *entry
	cause   atomic.Pointer[string] // why the last transaction failed; nil: it has not
	writing atomic.Int64           // requests whose records the current transaction writes
	oldest  atomic.Int64           // when the first of them came, in nanoseconds since 1970; 0: there is none
	lost    atomic.Int64           // records

	// Only run uses these.
	began  time.Time // of the last transaction
	outage booking.Outage

	closing sync.Once
	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed when nothing is written any more
	cancel  context.CancelFunc
}

// entry is the records of one request. done receives the result of the first try to write them.
type entry struct {
	records []Record
	came    time.Time
	done    chan error // of capacity 1
}

// NewWriter returns a writer. places is the number of requests that can wait for it. The caller
// must call Close.
func NewWriter(store Store, log *slog.Logger, places int) *Writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{
		store: store, log: log, queue: make(chan *entry, places),
		stop: make(chan struct{}), stopped: make(chan struct{}), cancel: cancel,
	}
	go w.run(ctx)
	return w
}

var (
	errNotWritten = errors.New("the audit record is not written")
	errNotNow     = errors.New("audit records cannot be written now")
	errStopped    = errors.New("the writer of the audit has stopped")
)

// Available returns nil, or a *booking.Refusal with the reason while records cannot be written.
// Then a request should be rejected before it changes something.
func (w *Writer) Available() error {
	cause := w.cause.Load()
	if cause == nil {
		return nil
	}
	// Only the text: a context that has ended was not that of this request.
	return booking.Reject(booking.DatabaseUnavailable).Because(fmt.Errorf("%w: %s", errNotNow, *cause))
}

// Waiting returns the number of requests whose records are not written yet.
func (w *Writer) Waiting() int { return len(w.queue) + int(w.writing.Load()) }

// Lost returns the number of records that were lost since the writer was created.
func (w *Writer) Lost() int64 { return w.lost.Load() }

// Oldest returns how long the oldest record has waited that is not written yet, or 0.
func (w *Writer) Oldest(now time.Time) time.Duration {
	came := w.oldest.Load()
	if came == 0 {
		return 0
	}
	return now.Sub(time.Unix(0, came))
}

// Write returns nil after the records of a request are committed. It returns a *booking.Refusal if
// that fails, or has not happened when ctx is done. The records are then written later, unless the
// process ends before. They are lost, and logged, if no place became free for them.
func (w *Writer) Write(ctx context.Context, records []Record) error {
	e := &entry{records, time.Now(), make(chan error, 1)}
	select {
	case w.queue <- e:
	case <-ctx.Done():
		return w.lose(records, ctx.Err())
	case <-w.stopped:
		return w.lose(records, errStopped)
	}
	if err := w.Available(); err != nil {
		return err // it may take long
	}
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		return rejectBecause(ctx.Err())
	case <-w.stopped:
		return rejectBecause(errStopped)
	}
}

// lose counts and logs records that are not written, and returns the refusal of their requests.
func (w *Writer) lose(records []Record, err error) error {
	w.lost.Add(int64(len(records)))
	w.log.Error("write the audit: records are lost, their requests were rejected",
		"records", len(records), "error", err)
	return rejectBecause(err)
}

func rejectBecause(err error) error {
	return booking.Reject(booking.DatabaseUnavailable).Because(errors.Join(errNotWritten, err))
}

// Close writes the records that are left, for at most five seconds, and stops the writer. Write
// then returns an error.
func (w *Writer) Close() {
	w.closing.Do(func() {
		close(w.stop)
		timer := time.AfterFunc(stopTimeout, w.cancel)
		<-w.stopped
		timer.Stop()
		w.cancel()
	})
}

// run writes batches until Close is called and the queue is empty.
func (w *Writer) run(ctx context.Context) {
	defer close(w.stopped)
	for {
		select {
		case first := <-w.queue:
			w.write(ctx, first)
			continue
		case <-w.stop:
		}
		select {
		case first := <-w.queue:
			w.write(ctx, first)
		default:
			return
		}
	}
}

// write writes the records of the requests that wait, from the first one on. It repeats that until
// it succeeds or ctx is done, because the requests may have changed something. Their results are
// sent after the first try.
func (w *Writer) write(ctx context.Context, first *entry) {
	time.Sleep(time.Until(w.began.Add(writeInterval)))
	w.began = time.Now()
	batch, records := w.collect(first)
	w.writing.Store(int64(len(batch)))
	w.oldest.Store(first.came.UnixNano())
	w.findPersons(ctx, records)
	err := w.try(ctx, records)
	for _, e := range batch {
		if err == nil {
			e.done <- nil
		} else {
			e.done <- rejectBecause(err)
		}
	}
	for err != nil && ctx.Err() == nil {
		w.outage.Failed(w.log, "write the audit: requests for patients' data are rejected meanwhile", err,
			"records", len(records))
		select {
		case <-ctx.Done():
		case <-time.After(writePause):
			err = w.try(ctx, records)
		}
	}
	if err != nil {
		_ = w.lose(records, err) // their requests have been rejected
	} else {
		w.outage.Succeeded(w.log, "wrote the audit again", "records", len(records))
	}
	w.oldest.Store(0)
	w.writing.Store(0)
}

// collect returns the requests that wait, from the first one on, and their records.
func (w *Writer) collect(first *entry) (batch []*entry, records []Record) {
	batch, records = []*entry{first}, slices.Clone(first.records)
	for len(records) < maxBatch {
		select {
		case e := <-w.queue:
			batch, records = append(batch, e), append(records, e.records...)
		default:
			return batch, records
		}
	}
	return batch, records
}

// findPersons sets the persons of records that name only an object of theirs, or logs why it
// cannot. It is called once for a batch, whose tries must all write the same keys: otherwise a
// record whose first commit was not confirmed would be there twice.
func (w *Writer) findPersons(ctx context.Context, records []Record) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	if err := w.store.FindPersons(ctx, records); err != nil {
		w.log.Warn("find the persons of audit records: some are written without their person",
			"records", len(records), "error", err)
	}
}

// try commits records, and keeps why that fails for Available.
func (w *Writer) try(ctx context.Context, records []Record) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := w.store.AddRecords(ctx, records)
	if err == nil {
		w.cause.Store(nil)
	} else {
		w.cause.Store(new(err.Error()))
	}
	return err //nolint:wrapcheck // the caller logs it
}
