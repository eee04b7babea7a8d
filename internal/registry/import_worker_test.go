package registry

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// waitingImport is a store with one import, which has one chunk.
type waitingImport struct {
	ImportStore // the other methods are not called

	content  []byte // of the chunk
	i        Import
	reserved time.Time
}

func (w *waitingImport) ClaimImport(_ context.Context, _, _ uuid.UUID, now, until time.Time) (*Import, error) {
	if w.i.State.Final() || w.reserved.After(now) {
		return nil, nil //nolint:nilnil // as the interface says
	}
	w.reserved = until
	return new(w.i), nil
}

func (w *waitingImport) Chunk(context.Context, uuid.UUID, int) ([]byte, time.Time, error) {
	return w.content, time.Time{}, nil
}

func (w *waitingImport) SaveProgress(
	_ context.Context, i *Import, _ []LineError, _ uuid.UUID, until time.Time, _ *time.Time,
) (bool, error) {
	w.i, w.reserved = *i, until
	return true, nil
}

func (w *waitingImport) SetState(
	_ context.Context, _, _ uuid.UUID, state ImportState, problem ImportProblem, now time.Time,
) (bool, error) {
	w.i.State, w.i.Problem, w.reserved = state, problem, now
	return true, nil
}

// unavailableUntil runs messages from a time on.
type unavailableUntil time.Time

func (u unavailableUntil) Start(*Import, bool) MessagePass { return u }

func (u unavailableUntil) Run(context.Context, []Message) (ImportResult, error) {
	if time.Now().Before(time.Time(u)) {
		return ImportResult{}, errors.New("not available")
	}
	return ImportResult{ImportCounts: ImportCounts{Lines: 1}}, nil
}

// Promise: an import is applied when a service that was not available for hours is available again,
// and fails after a day.
func TestImportWaitsForTheService(t *testing.T) {
	t.Parallel()
	writer := newChunkWriter()
	writer.add(Message{Line: 1, Content: []byte("{}")})
	content, _ := writer.take()
	_, err := readChunk(content) // outside of the bubbles, which cannot share a decoder made in one
	require.NoError(t, err)
	for outage, state := range map[time.Duration]ImportState{
		5 * time.Second: ImportCompleted, 3 * time.Hour: ImportCompleted, 25 * time.Hour: ImportFailed,
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			store := &waitingImport{content: content, i: Import{
				Guid: uuid.New(), State: ImportWaiting, CreatedAt: began, Total: 1, Chunks: 1,
			}}
			ctx, cancel := context.WithCancel(t.Context())
			imports := NewImports(store, unavailableUntil(began.Add(outage)), time.Now)
			go imports.Work(ctx, slog.New(slog.DiscardHandler))
			time.Sleep(26 * time.Hour)
			cancel()
			synctest.Wait()
			require.Equal(t, state, store.i.State, outage)
			require.Equal(t, state == ImportFailed, store.i.Problem == ProblemUnavailable)
		})
	}
}

// cancelledStore has an import that is cancelled after its worker has stored that it is running.
type cancelledStore struct{ ImportStore }

func (cancelledStore) SaveProgress(
	context.Context, *Import, []LineError, uuid.UUID, time.Time, *time.Time,
) (bool, error) {
	return true, nil
}

func (cancelledStore) Chunk(context.Context, uuid.UUID, int) ([]byte, time.Time, error) {
	return nil, time.Time{}, nil
}

type noMessages struct{ MessageRunner }

func (noMessages) Start(*Import, bool) MessagePass { return nil }

// Promise: a worker leaves an import that was cancelled before its next chunk was read. It does not
// try again for a minute, while other imports wait.
func TestWorkerLeavesCancelledImport(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	imports := NewImports(cancelledStore{}, noMessages{}, time.Now)
	err := imports.apply(ctx, &Import{State: ImportWaiting, Chunks: 1}, uuid.New(), func(*Import) {})
	require.ErrorIs(t, err, errLost)
}
