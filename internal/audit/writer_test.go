package audit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/audit"
	"talon.example/internal/booking"
)

// memory is a store that takes a second for each transaction, and fails while err is set.
type memory struct {
	audit.Store

	mu      sync.Mutex
	err     error
	batches [][]audit.Record
	find    func(context.Context, []audit.Record) error // nil: there are no persons to find
}

func (m *memory) FindPersons(ctx context.Context, records []audit.Record) error {
	if m.find == nil {
		return nil
	}
	return m.find(ctx, records)
}

func (m *memory) AddRecords(ctx context.Context, records []audit.Record) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.batches = append(m.batches, records)
	}
	return m.err
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func newWriter(m *memory) *audit.Writer {
	return audit.NewWriter(m, slog.New(slog.DiscardHandler), 100)
}

func records(n int) []audit.Record { return make([]audit.Record, n) }

// requireUnavailable requires that an error lets the client repeat the request.
func requireUnavailable(t *testing.T, err error) {
	t.Helper()
	var refusal *booking.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, booking.DatabaseUnavailable, refusal.Rule)
}

// Promise: the records that arrive during a transaction share the next one, and each request waits
// for its own.
func TestRequestsShareATransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		w := newWriter(store)
		defer w.Close()
		start := time.Now()
		var group sync.WaitGroup
		group.Go(func() { require.NoError(t, w.Write(t.Context(), records(1))) })
		synctest.Wait()
		for range 20 {
			group.Go(func() { require.NoError(t, w.Write(t.Context(), records(2))) })
		}
		synctest.Wait()
		require.Equal(t, 21, w.Waiting())
		group.Wait()
		require.Equal(t, 2*time.Second, time.Since(start))
		require.Len(t, store.batches, 2)
		require.Len(t, store.batches[1], 40)
		synctest.Wait()
		require.Zero(t, w.Waiting())
		require.Zero(t, w.Oldest(time.Now()))
	})
}

// Promise: whatever the failure, requests are rejected at once until the records are written, and
// the age of what waits grows.
func TestFailedRecordsAreRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memory{err: errors.New("permission denied")}
		w := newWriter(store)
		defer w.Close()
		requireUnavailable(t, w.Write(t.Context(), records(1)))
		requireUnavailable(t, w.Available())
		require.ErrorContains(t, w.Available(), "audit records cannot be written now: permission denied")
		start := time.Now()
		requireUnavailable(t, w.Write(t.Context(), records(1)))
		require.Zero(t, time.Since(start))
		store.fail(context.Canceled) // of the writer, not of a request
		time.Sleep(time.Minute)
		require.ErrorContains(t, w.Available(), "cannot be written now: context canceled")
		require.NotErrorIs(t, w.Available(), context.Canceled)
		require.Equal(t, time.Minute+time.Second, w.Oldest(time.Now()))
		store.fail(nil)
		time.Sleep(3 * time.Second)
		require.NoError(t, w.Available())
		require.Len(t, store.batches, 2)
	})
}

// Promise: while a batch is repeated, another cause of the failure is logged, too, at its own
// level. The same one is logged once, and causes that alternate every ten seconds at most.
func TestCausesAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		away := booking.Reject(booking.DatabaseUnavailable).Because(errors.New("connection refused"))
		denied := errors.New("permission denied")
		store := &memory{err: away}
		w := audit.NewWriter(store, slog.New(slog.NewTextHandler(&lines, nil)), 1)
		count := func(text string) int {
			synctest.Wait()
			return strings.Count(lines.String(), text)
		}
		requireUnavailable(t, w.Write(t.Context(), records(1)))
		require.Equal(t, 1, count("level=WARN"))
		store.fail(denied)
		time.Sleep(time.Minute)
		require.Equal(t, 1, count("level=WARN"))
		require.Equal(t, 1, count("level=ERROR"))
		for range 25 { // for a minute
			store.fail(away)
			time.Sleep(1200 * time.Millisecond)
			store.fail(denied)
			time.Sleep(1200 * time.Millisecond)
		}
		require.Greater(t, count("write the audit:"), 2)
		require.LessOrEqual(t, count("write the audit:"), 2+7)
		store.fail(nil)
		w.Close()
		require.Equal(t, 1, count("wrote the audit again"))
	})
}

// Promise: persons are found before the first try only. They are part of the keys of records,
// which would be there twice if a later try, after a commit that was not confirmed, found more of
// them.
func TestPersonsAreFoundOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		searches := 0
		store := &memory{err: errors.New("not confirmed")}
		store.find = func(_ context.Context, records []audit.Record) error {
			if searches++; searches > 1 {
				records[0].Person = uuid.New()
			}
			return nil
		}
		w := newWriter(store)
		defer w.Close()
		requireUnavailable(t, w.Write(t.Context(), records(1)))
		store.fail(nil)
		time.Sleep(3 * time.Second)
		require.NoError(t, w.Available())
		require.Equal(t, 1, searches)
		require.Zero(t, store.batches[0][0].Person)
	})
}

// Promise: a search for persons that takes long, or fails, delays a batch by 200 milliseconds at
// most. Its records are written without their persons, which is logged once.
func TestPersonsAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		store := &memory{find: func(ctx context.Context, _ []audit.Record) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		w := audit.NewWriter(store, slog.New(slog.NewTextHandler(&lines, nil)), 1)
		start := time.Now()
		require.NoError(t, w.Write(t.Context(), records(2)))
		require.Equal(t, 1200*time.Millisecond, time.Since(start))
		w.Close()
		require.Len(t, store.batches[0], 2)
		require.Equal(t, 1, strings.Count(lines.String(), "level=WARN"), lines.String())
	})
}

// Promise: the wait of a request ends with its context, and its record is still written.
func TestWaitForARecordIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		w := newWriter(store)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		requireUnavailable(t, w.Write(ctx, records(1)))
		require.Equal(t, 100*time.Millisecond, time.Since(start))
		w.Close()
		require.Len(t, store.batches, 1)
	})
}

// Promise: Close writes what is left, ends after five seconds, and leaves nobody waiting.
func TestCloseOfTheWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memory{err: errors.New("the disk is full")}
		w := newWriter(store)
		requireUnavailable(t, w.Write(t.Context(), records(1)))
		start := time.Now()
		w.Close()
		require.Equal(t, 5*time.Second, time.Since(start))
		requireUnavailable(t, w.Write(t.Context(), records(1)))
	})
}

// Promise: a record that finds no place is counted and logged.
func TestRecordWithoutAPlaceIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		w := audit.NewWriter(&memory{}, slog.New(slog.NewTextHandler(&lines, nil)), 1)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		for range 3 { // one is being written, and one waits
			group.Go(func() { requireUnavailable(t, w.Write(ctx, records(1))) })
			synctest.Wait()
		}
		group.Wait()
		require.Equal(t, 1, strings.Count(lines.String(), "records are lost"))
		require.EqualValues(t, 1, w.Lost())
		w.Close()
	})
}
