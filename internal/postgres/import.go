package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// uploadPatience is how long an import counts as arriving after its last stored chunk.
const uploadPatience = 5 * time.Minute

// AddImport implements registry.ImportStore. Imports that are added at the same time may exceed the
// limit.
func (s *Store) AddImport(ctx context.Context, added *registry.Import, most int) (bool, error) {
	queries := db.New(s.pool)
	unfinished, err := queries.ImportCountUnfinished(ctx, added.Client, int32(most))
	if err != nil || int(unfinished) >= most {
		return false, interpretError(err)
	}
	err = queries.ImportAdd(ctx, db.ImportAddParams{
		Guid: added.Guid, ClientGuid: added.Client, Scopes: notNil(added.Rights.Scopes),
		LpuGuids: notNil(added.Rights.Lpus), EveryLpu: added.Rights.EveryLpu, DryRun: added.DryRun,
		OnError: string(added.OnError), State: string(added.State), CreatedAt: added.CreatedAt,
		ReservedUntil: added.CreatedAt.Add(uploadPatience),
	})
	return err == nil, interpretError(err)
}

// notNil returns an empty slice for nil, because the column is not null.
func notNil[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

// errNotUploading means that an import was cancelled, or counts as cut off.
var errNotUploading = errors.New("the import has ended while its file arrived")

// AddChunk implements registry.ImportStore.
func (s *Store) AddChunk(
	ctx context.Context, guid uuid.UUID, number int, messages int64, content []byte, now time.Time,
) error {
	_, err := write(ctx, s, func(t *tx) (struct{}, error) {
		row(t, t.ImportUploaded(ctx, []db.ImportUploadedParams{{
			Guid: guid, Messages: messages, Number: int32(number), ReservedUntil: now.Add(uploadPatience),
		}}).QueryRow, func(_ uuid.UUID, err error) error {
			if errors.Is(err, pgx.ErrNoRows) {
				return booking.Reject(booking.ImportAbsent).Because(errNotUploading)
			}
			return err
		})
		exec(t, t.ImportChunkAdd(ctx, []db.ImportChunkAddParams{{
			ImportGuid: guid, Number: int32(number), Content: content,
		}}).Exec)
		return struct{}{}, nil
	})
	return err
}

// SetState implements registry.ImportStore.
func (s *Store) SetState(
	ctx context.Context, guid, worker uuid.UUID, state registry.ImportState, problem registry.ImportProblem,
	now time.Time,
) (bool, error) {
	return write(ctx, s, func(t *tx) (changed bool, err error) {
		change := db.ImportSetStateParams{Guid: guid, State: string(state), Problem: string(problem), At: now}
		if worker != uuid.Nil {
			change.Worker = &worker
		}
		if state.Final() {
			change.FinishedAt = &now
		}
		row(t, t.ImportSetState(ctx, []db.ImportSetStateParams{change}).QueryRow, func(_ uuid.UUID, err error) error {
			changed = err == nil
			return ignoreAbsent(err)
		})
		if err := t.send(); err != nil || !changed {
			return false, err
		}
		if state.Final() {
			exec(t, t.ImportChunksDelete(ctx, []uuid.UUID{guid}).Exec)
		}
		return true, nil
	})
}

// Import implements registry.ImportStore.
func (s *Store) Import(ctx context.Context, client, guid uuid.UUID) (registry.Import, error) {
	found, err := db.New(s.pool).ImportGet(ctx, guid, client)
	if errors.Is(err, pgx.ErrNoRows) {
		return registry.Import{}, booking.Reject(booking.ImportAbsent)
	}
	return storedImport(&found), interpretError(err)
}

func storedImport(row *db.Import) registry.Import {
	return registry.Import{
		ImportOwner: registry.ImportOwner{Client: row.ClientGuid, Rights: booking.SystemRights{
			Scopes: row.Scopes, Lpus: row.LpuGuids, EveryLpu: row.EveryLpu,
		}},
		ImportOptions: registry.ImportOptions{DryRun: row.DryRun, OnError: registry.OnError(row.OnError)},
		Guid:          row.Guid, State: registry.ImportState(row.State), CreatedAt: row.CreatedAt,
		FinishedAt: row.FinishedAt, Total: row.Total, Chunks: int(row.Chunks), NextChunk: int(row.NextChunk),
		Done: registry.ImportCounts{
			Lines: row.Done, Changed: row.Changed, Failed: row.Failed, CellsAdded: row.CellsAdded,
			CellsChanged: row.CellsChanged, CellsWithdrawn: row.CellsWithdrawn, CellsUnchanged: row.CellsUnchanged,
			CellsSuperseded: row.CellsSuperseded, Conflicts: row.Conflicts,
		},
		Problem: registry.ImportProblem(row.Problem),
	}
}

// ImportErrors implements registry.ImportStore.
func (s *Store) ImportErrors(
	ctx context.Context, guid uuid.UUID, after int64, limit int,
) ([]registry.LineError, error) {
	found, err := db.New(s.pool).ImportErrorList(ctx, guid, after, int32(limit))
	lineErrors := make([]registry.LineError, len(found))
	for i := range found {
		lineErrors[i] = registry.LineError{Line: found[i].Line, Error: found[i].Error}
	}
	return lineErrors, interpretError(err)
}

// maxWaiting bounds the client applications whose imports are considered.
const maxWaiting = 1000

// WaitingImports implements registry.ImportStore.
func (s *Store) WaitingImports(ctx context.Context, now time.Time) ([]registry.Import, error) {
	found, err := db.New(s.pool).ImportsWaiting(ctx, now, maxWaiting)
	waiting := make([]registry.Import, len(found))
	for i := range found {
		waiting[i] = registry.Import{
			ImportOwner:   registry.ImportOwner{Client: found[i].ClientGuid},
			ImportOptions: registry.ImportOptions{DryRun: found[i].DryRun, OnError: registry.OnError(found[i].OnError)},
			Guid:          found[i].Guid, State: registry.ImportState(found[i].State), Chunks: int(found[i].Chunks),
		}
	}
	return waiting, interpretError(err)
}

// ClaimImport implements registry.ImportStore.
func (s *Store) ClaimImport(
	ctx context.Context, guid, worker uuid.UUID, now, until time.Time,
) (*registry.Import, error) {
	claimed, err := db.New(s.pool).ImportClaim(ctx, db.ImportClaimParams{
		Guid: guid, Worker: &worker, At: now, ReservedUntil: until,
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil //nolint:nilnil // it does not wait
	case err != nil:
		return nil, fmt.Errorf("claim an import: %w", interpretError(err))
	}
	return new(storedImport(&claimed)), nil
}

// RenewImport implements registry.ImportStore.
func (s *Store) RenewImport(ctx context.Context, guid, worker uuid.UUID, until time.Time) error {
	return interpretError(db.New(s.pool).ImportRenew(ctx, until, guid, &worker))
}

// Chunk implements registry.ImportStore.
func (s *Store) Chunk(ctx context.Context, guid uuid.UUID, number int) ([]byte, time.Time, error) {
	found, err := db.New(s.pool).ImportChunkGet(ctx, guid, int32(number))
	return found.Content, found.RecoveredAt, interpretError(ignoreAbsent(err))
}

// SaveProgress implements registry.ImportStore.
func (s *Store) SaveProgress(
	ctx context.Context, i *registry.Import, lineErrors []registry.LineError, worker uuid.UUID, until time.Time,
	recovery *time.Time,
) (bool, error) {
	return write(ctx, s, func(t *tx) (kept bool, err error) {
		row(t, t.ImportLock(ctx, []db.ImportLockParams{{Guid: i.Guid, Worker: &worker}}).QueryRow,
			func(recoveredAt time.Time, err error) error {
				kept = err == nil
				if kept && recovery != nil && !recoveredAt.Equal(*recovery) {
					return registry.ErrCommitsLost
				}
				return ignoreAbsent(err)
			})
		if err := t.send(); err != nil || !kept {
			return false, err
		}
		if i.NextChunk == 0 { // a pass begins
			exec(t, t.ImportErrorsDelete(ctx, []uuid.UUID{i.Guid}).Exec)
		}
		if len(lineErrors) > 0 {
			added := db.ImportErrorsAddParams{ImportGuid: i.Guid}
			for _, one := range lineErrors {
				added.Lines, added.Errors = append(added.Lines, one.Line), append(added.Errors, one.Error)
			}
			exec(t, t.ImportErrorsAdd(ctx, []db.ImportErrorsAddParams{added}).Exec)
		}
		exec(t, t.ImportSaveProgress(ctx, []db.ImportSaveProgressParams{{
			Guid: i.Guid, State: string(i.State), NextChunk: int32(i.NextChunk), Done: i.Done.Lines,
			Changed: i.Done.Changed, Failed: i.Done.Failed, CellsAdded: i.Done.CellsAdded,
			CellsChanged: i.Done.CellsChanged, CellsWithdrawn: i.Done.CellsWithdrawn,
			CellsUnchanged: i.Done.CellsUnchanged, CellsSuperseded: i.Done.CellsSuperseded,
			Conflicts: i.Done.Conflicts, ReservedUntil: until,
		}}).Exec)
		return true, nil
	})
}

// EndCutOffImports implements registry.ImportStore.
func (s *Store) EndCutOffImports(ctx context.Context, now time.Time, limit int) (int, error) {
	cutOff, err := db.New(s.pool).ImportsCutOff(ctx, now, int32(limit))
	for _, guid := range cutOff {
		_, failure := s.SetState(ctx, guid, uuid.Nil, registry.ImportFailed, registry.ProblemUpload, now)
		err = firstError(err, failure)
	}
	return len(cutOff), interpretError(err)
}

// DeleteImports implements registry.ImportStore.
func (s *Store) DeleteImports(ctx context.Context, before time.Time, limit int) (int, error) {
	ended, err := db.New(s.pool).ImportsEnded(ctx, before, int32(limit))
	if err != nil {
		return 0, interpretError(err)
	}
	for _, guid := range ended {
		_, err := write(ctx, s, func(t *tx) (struct{}, error) {
			exec(t, t.ImportErrorsDelete(ctx, []uuid.UUID{guid}).Exec)
			exec(t, t.ImportDelete(ctx, []uuid.UUID{guid}).Exec)
			return struct{}{}, nil
		})
		if err != nil {
			return 0, err
		}
	}
	return len(ended), nil
}
