package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// waitingImport is a store with one import, which has one chunk.
type waitingImport struct {
	ImportStore // the other methods are not called

	content []byte // of the chunk

	mu       sync.Mutex // of the rest
	i        Import
	reserved time.Time
}

func (w *waitingImport) WaitingImports(_ context.Context, now time.Time) ([]Import, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.i.State.Final() || w.reserved.After(now) {
		return nil, nil
	}
	return []Import{w.i}, nil
}

func (w *waitingImport) ClaimImport(_ context.Context, _, _ uuid.UUID, now, until time.Time) (*Import, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.i.State.Final() || w.reserved.After(now) {
		return nil, nil //nolint:nilnil // as the interface says
	}
	w.reserved = until
	return new(w.i), nil
}

func (w *waitingImport) RenewImport(_ context.Context, _, _ uuid.UUID, until time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reserved = until
	return nil
}

func (w *waitingImport) Chunk(context.Context, uuid.UUID, int) ([]byte, time.Time, error) {
	return w.content, time.Time{}, nil
}

func (w *waitingImport) SaveProgress(
	_ context.Context, i *Import, _ []LineError, _ uuid.UUID, until time.Time, _ *time.Time,
) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.i, w.reserved = *i, until
	return true, nil
}

func (w *waitingImport) SetState(
	_ context.Context, _, _ uuid.UUID, state ImportState, problem ImportProblem, now time.Time,
) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
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
	for _, err := range readChunk(content) { // outside of the bubbles, which cannot share a decoder made in one
		require.NoError(t, err)
	}
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
	worker := NewImports(cancelledStore{}, noMessages{}, time.Now).newWorker()
	_, err := worker.runNext(ctx, &heldImport{Import: Import{State: ImportWaiting, Chunks: 1}})
	require.ErrorIs(t, err, errLost)
}

// uploadStore counts the messages of the chunks of an upload.
type uploadStore struct {
	ImportStore

	messages []int64
}

func (u *uploadStore) AddImport(context.Context, *Import, int) (bool, error) { return true, nil }

func (u *uploadStore) AddChunk(_ context.Context, _ uuid.UUID, _ int, messages int64, _ []byte, _ time.Time) error {
	u.messages = append(u.messages, messages)
	return nil
}

func (u *uploadStore) SetState(
	context.Context, uuid.UUID, uuid.UUID, ImportState, ImportProblem, time.Time,
) (bool, error) {
	return true, nil
}

// Promise: a chunk has at most 10,000 messages, however short they are: memory is used for each.
func TestChunksOfShortLines(t *testing.T) {
	t.Parallel()
	store := new(uploadStore)
	file := strings.NewReader(strings.Repeat("{}\n", 25_000))
	_, err := NewImports(store, nil, time.Now).Upload(t.Context(), ImportOwner{}, ImportOptions{}, Lines(file))
	require.NoError(t, err)
	require.Equal(t, []int64{10_000, 10_000, 5_000}, store.messages)
}

// partRunner fails every message, and keeps the numbers of the messages that it has got at once.
type partRunner struct{ parts []int }

func (p *partRunner) Start(*Import, bool) MessagePass { return p }

func (p *partRunner) Run(_ context.Context, messages []Message) (ImportResult, error) {
	p.parts = append(p.parts, len(messages))
	lines := int64(len(messages))
	result := ImportResult{ImportCounts: ImportCounts{Lines: lines, Failed: lines}}
	for i := range messages {
		result.Errors = append(result.Errors, LineError{Line: messages[i].Line})
	}
	return result, nil
}

// keptErrors is a store that keeps the errors of a chunk.
type keptErrors struct {
	waitingImport

	errors []LineError
}

func (k *keptErrors) SaveProgress(
	_ context.Context, i *Import, errors []LineError, _ uuid.UUID, _ time.Time, _ *time.Time,
) (bool, error) {
	k.i, k.errors = *i, append(k.errors, errors...)
	return true, nil
}

// Promise: a chunk of an earlier release, with more messages than chunks have now, is run in parts.
// All its messages are counted, and the first 10,000 errors of the import are kept, in order.
func TestChunkOfManyMessages(t *testing.T) {
	t.Parallel()
	var writer chunkWriter
	for i := range int64(25_001) {
		require.NoError(t, writer.add(Message{Line: i + 1, Content: []byte("{}")}))
	}
	store, runner := new(keptErrors), new(partRunner)
	store.content, _ = writer.take()
	held := &heldImport{Import: Import{State: ImportWaiting, Chunks: 1}}
	ended, err := NewImports(store, runner, time.Now).newWorker().runNext(t.Context(), held)
	require.NoError(t, err)
	require.True(t, ended)
	require.Equal(t, []int{10_000, 10_000, 5_001}, runner.parts)
	require.Equal(t, ImportCounts{Lines: 25_001, Failed: 25_001}, store.i.Done)
	require.Len(t, store.errors, 10_000)
	require.Equal(t, int64(10_000), store.errors[9_999].Line)
}

// Promise: chunks of the client applications run in turn. A check goes on with what it knows, and
// at most two checks of several chunks are open; one of a single chunk does not wait for them.
func TestTurnsOfClients(t *testing.T) {
	t.Parallel()
	var writer chunkWriter
	require.NoError(t, writer.add(Message{Line: 1, Content: []byte("{}")}))
	content, _ := writer.take()
	store := &manyImports{content: content}
	add := func(name string, client byte, chunks int, dryRun bool) {
		store.imports = append(store.imports, &Import{
			Guid: uuid.NewSHA1(uuid.Nil, []byte(name)), ImportOwner: ImportOwner{Client: uuid.UUID{client}},
			ImportOptions: ImportOptions{DryRun: dryRun}, State: ImportWaiting, Chunks: chunks,
		})
		store.names = append(store.names, name)
	}
	add("large", 1, 4, false)
	add("second", 1, 1, false)
	add("check", 2, 3, true)
	add("other check", 3, 2, true)
	add("third check", 4, 2, true)
	add("short check", 5, 1, true)
	worker := NewImports(store, store, time.Now).newWorker()
	for {
		found, err := worker.workOnce(t.Context())
		require.NoError(t, err)
		if !found {
			break
		}
	}
	require.Equal(t, []string{
		"large", "check 0", "other check 1", "short check 2",
		"large", "check 0", "other check 1", "third check 3",
		"large", "check 0", "third check 3", "large", "second",
	}, store.runs)
	require.Empty(t, worker.held)
}

// manyImports is a store and a runner that records which import a chunk is of. Checks have the
// number of their pass.
type manyImports struct {
	ImportStore

	content  []byte
	imports  []*Import
	names    []string
	reserved []*Import
	passes   int
	runs     []string
}

func (m *manyImports) WaitingImports(context.Context, time.Time) ([]Import, error) {
	var waiting []Import
	for _, i := range m.imports {
		known := slices.ContainsFunc(waiting, func(one Import) bool { return one.Client == i.Client })
		if !known && !i.State.Final() && !slices.Contains(m.reserved, i) {
			waiting = append(waiting, *i)
		}
	}
	return waiting, nil
}

func (m *manyImports) find(guid uuid.UUID) *Import {
	return m.imports[slices.IndexFunc(m.imports, func(i *Import) bool { return i.Guid == guid })]
}

func (m *manyImports) ClaimImport(_ context.Context, guid, _ uuid.UUID, _, _ time.Time) (*Import, error) {
	i := m.find(guid)
	m.reserved = append(m.reserved, i)
	return new(*i), nil
}

func (m *manyImports) Chunk(context.Context, uuid.UUID, int) ([]byte, time.Time, error) {
	return m.content, time.Time{}, nil
}

func (m *manyImports) SaveProgress(
	_ context.Context, i *Import, _ []LineError, _ uuid.UUID, _ time.Time, _ *time.Time,
) (bool, error) {
	*m.find(i.Guid) = *i
	return true, nil
}

func (m *manyImports) SetState(
	_ context.Context, guid, _ uuid.UUID, state ImportState, _ ImportProblem, _ time.Time,
) (bool, error) {
	i := m.find(guid)
	i.State = state
	m.reserved = slices.DeleteFunc(m.reserved, func(one *Import) bool { return one == i })
	return true, nil
}

func (m *manyImports) Start(i *Import, check bool) MessagePass {
	name := m.names[slices.Index(m.imports, m.find(i.Guid))]
	if check {
		name = fmt.Sprint(name, " ", m.passes)
		m.passes++
	}
	return recordedPass{m, name}
}

type recordedPass struct {
	*manyImports

	name string
}

func (r recordedPass) Run(context.Context, []Message) (ImportResult, error) {
	r.runs = append(r.runs, r.name)
	return ImportResult{ImportCounts: ImportCounts{Lines: 1}}, nil
}
