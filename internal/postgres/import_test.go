package postgres

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/registry"
)

// Promise: a worker that has lost its reservation changes nothing of the import, which another
// worker applies.
func TestWorkerThatLostItsImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	added := registry.Import{
		Guid: uuid.New(), State: registry.ImportUploading, CreatedAt: moment,
		ImportOptions: registry.ImportOptions{OnError: registry.SkipBad},
	}
	stored, err := store.AddImport(t.Context(), &added, 1)
	require.NoError(t, err)
	require.True(t, stored)
	require.NoError(t, store.AddChunk(t.Context(), added.Guid, 0, 1, []byte("x"), moment))
	setState := func(worker uuid.UUID, state registry.ImportState) bool {
		changed, err := store.SetState(t.Context(), added.Guid, worker, state, "", moment)
		require.NoError(t, err)
		return changed
	}
	require.True(t, setState(uuid.Nil, registry.ImportWaiting))
	first, second := uuid.New(), uuid.New()
	for i, worker := range []uuid.UUID{first, second} {
		now := moment.Add(time.Duration(i) * time.Minute)
		claimed, err := store.ClaimImport(t.Context(), added.Guid, worker, now, now.Add(time.Minute))
		require.NoError(t, err)
		require.NotNil(t, claimed)
	}

	for _, state := range []registry.ImportState{
		registry.ImportFailed, registry.ImportRunning, registry.ImportCompleted,
	} {
		require.False(t, setState(first, state), state)
	}
	require.Equal(t, 1, w.count(`SELECT count(*) FROM import_chunk`))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM import WHERE finished_at IS NULL AND state = 'waiting' AND reserved_until > $1`, moment.Add(time.Minute)))
	require.True(t, setState(second, registry.ImportCompleted))
	require.Zero(t, w.count(`SELECT count(*) FROM import_chunk`))
	require.False(t, setState(uuid.Nil, registry.ImportCancelled))
}

// Promise: the backlog has the imports that no worker works on, and how long the oldest has waited.
func TestBacklogOfImports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	var guids []uuid.UUID
	for i := range 3 {
		guids = append(guids, uuid.New())
		added := registry.Import{
			Guid: guids[i], State: registry.ImportUploading, CreatedAt: moment.Add(time.Duration(i) * time.Second),
			ImportOptions: registry.ImportOptions{OnError: registry.SkipBad},
		}
		_, err := store.AddImport(t.Context(), &added, 3)
		require.NoError(t, err)
	}
	for i, guid := range guids[:2] {
		uploaded := moment.Add(time.Duration(i) * time.Minute)
		_, err := store.SetState(t.Context(), guid, uuid.Nil, registry.ImportWaiting, "", uploaded)
		require.NoError(t, err)
	}
	now := moment.Add(time.Hour)
	for i, oldest := range []time.Duration{time.Hour, 59 * time.Minute, 0} {
		backlog, err := store.Backlog(t.Context(), now)
		require.NoError(t, err)
		require.Equal(t, 2-i, backlog.Imports)
		require.Equal(t, oldest, backlog.OldestImport)
		waiting, err := store.WaitingImports(t.Context(), now)
		require.NoError(t, err)
		if i == 2 {
			require.Empty(t, waiting)
			break
		}
		require.Len(t, waiting, 1) // of the client application
		require.Equal(t, guids[i], waiting[0].Guid)
		_, err = store.ClaimImport(t.Context(), guids[i], uuid.New(), now, now.Add(time.Minute))
		require.NoError(t, err)
	}
}
