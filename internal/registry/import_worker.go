package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"

	"talon.example/internal/booking"
)

const (
	// importLease is how long an import is reserved for a worker, which renews it after
	// importRenewal. If the worker dies, another one then takes the import.
	importLease   = 30 * time.Second
	importRenewal = 10 * time.Second
	// importPoll is the pause between two looks for imports of other instances.
	importPoll = time.Second
	// importPatience is how long a worker waits for a service that is not available, and
	// importPause is the longest pause between two attempts. A worker then goes on when the
	// reservation ends, and the import fails when it is older than importEndurance: the file of the
	// next night has the same lines.
	importPatience  = time.Minute
	importPause     = 2 * time.Second
	importEndurance = 24 * time.Hour
)

// errLost means that the import was cancelled, or is reserved by another worker.
var errLost = errors.New("the import is no longer this worker's")

// maxChecks bounds the checks of several chunks that a worker has begun. A check must stay with its
// worker, which remembers what the lines have brought in: up to 60 MB.
const maxChecks = 2

// importWorker applies imports. It is not safe for concurrent use.
type importWorker struct {
	*Imports

	guid uuid.UUID
	// held are the imports that are reserved for the worker: unfinished checks, and the last one
	// that it has worked on.
	held []*heldImport
	// turns has the number of the last turn of each client application.
	turns map[uuid.UUID]int
	turn  int
}

// heldImport is an import that is reserved for a worker.
type heldImport struct {
	Import

	pass         MessagePass // nil until the worker has begun it
	stopRenewing func()      // returns when the reservation is not renewed any more
}

func (s *Imports) newWorker() *importWorker {
	return &importWorker{Imports: s, guid: uuid.New(), turns: map[uuid.UUID]int{}}
}

// Work applies imports until ctx is done, one chunk at a time. The next chunk is of the client
// application that was served longest ago, so that nobody waits for the end of another one's file.
// Several instances may work at once. An import of an instance that has died goes on after its last
// stored chunk; the messages of that chunk are applied again, which changes nothing.
func (s *Imports) Work(ctx context.Context, log *slog.Logger) {
	w := s.newWorker()
	defer w.keepOnly(ctx, nil)
	var outage booking.Outage
	for {
		found, err := w.workOnce(ctx)
		switch {
		case err == nil:
			outage.Succeeded(log, "imports are applied again")
		case ctx.Err() == nil:
			outage.Failed(log, "import", err)
		}
		if found && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-time.After(importPoll):
		}
	}
}

// Finish applies one import of the administrator, or waits until another worker has done so, and
// returns it when it has ended. It calls progress after each chunk. It rejects with ImportAbsent.
func (s *Imports) Finish(ctx context.Context, guid uuid.UUID, progress func(*Import)) (Import, error) {
	w := s.newWorker()
	defer w.keepOnly(ctx, nil)
	for {
		found, err := s.Import(ctx, uuid.Nil, guid)
		if err != nil || found.State.Final() {
			return found, err
		}
		progress(&found)
		held, err := w.claim(ctx, guid)
		for err == nil && held != nil && slices.Contains(w.held, held) {
			err = w.advance(ctx, held)
			progress(&held.Import)
		}
		if err != nil {
			return found, err
		}
		if held != nil {
			continue
		}
		select {
		case <-ctx.Done():
			return found, ctx.Err()
		case <-time.After(importPoll):
		}
	}
}

// workOnce runs the next chunk. found is false if no import waits.
func (w *importWorker) workOnce(ctx context.Context) (found bool, err error) {
	next, err := w.next(ctx)
	if err != nil || next == nil {
		return false, err
	}
	w.turn++
	w.turns[next.Client] = w.turn
	w.keepOnly(ctx, next)
	return true, w.advance(ctx, next)
}

// next returns the import of the client application that was served longest ago, reserved for the
// worker. It returns nil if no import waits.
func (w *importWorker) next(ctx context.Context) (*heldImport, error) {
	waiting, err := w.store.WaitingImports(ctx, w.now())
	if err != nil {
		return nil, fmt.Errorf("find the imports that wait: %w", err)
	}
	var candidates []Import
	checks := 0
	for _, held := range w.held {
		candidates = append(candidates, held.Import)
		if held.needsCheck() {
			checks++
		}
	}
	for _, i := range waiting {
		isHeld := slices.ContainsFunc(w.held, func(held *heldImport) bool { return held.Client == i.Client })
		if !isHeld && (checks < maxChecks || i.Chunks == 1 || !i.needsCheck()) {
			candidates = append(candidates, i)
		}
	}
	slices.SortStableFunc(candidates, func(a, b Import) int { return w.turns[a.Client] - w.turns[b.Client] })
	for _, i := range candidates {
		at := slices.IndexFunc(w.held, func(held *heldImport) bool { return held.Guid == i.Guid })
		if at >= 0 {
			return w.held[at], nil
		}
		claimed, err := w.claim(ctx, i.Guid)
		if err != nil || claimed != nil {
			return claimed, err
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// claim reserves an import for the worker until drop is called. It returns nil if the import does
// not wait.
func (w *importWorker) claim(ctx context.Context, guid uuid.UUID) (*heldImport, error) {
	now := w.now()
	claimed, err := w.store.ClaimImport(ctx, guid, w.guid, now, now.Add(importLease))
	if err != nil || claimed == nil {
		return nil, err //nolint:wrapcheck // the store has
	}
	renewing, stop := context.WithCancel(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() { w.keepReserved(renewing, guid) })
	held := &heldImport{Import: *claimed, stopRenewing: func() {
		stop()
		renewal.Wait()
	}}
	w.held = append(w.held, held)
	return held, nil
}

// drop ends the renewal of a reservation.
func (w *importWorker) drop(held *heldImport) {
	held.stopRenewing()
	w.held = slices.DeleteFunc(w.held, func(one *heldImport) bool { return one == held })
}

// keepOnly releases all imports but next, which may be nil, so that any worker can go on. Checks
// that have begun are kept, too, unless the worker stops.
func (w *importWorker) keepOnly(ctx context.Context, next *heldImport) {
	for _, held := range slices.Clone(w.held) {
		if held == next || ctx.Err() == nil && held.needsCheck() {
			continue
		}
		w.drop(held)
		released, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		// Otherwise another worker goes on when the reservation ends.
		_, _ = w.store.SetState(released, held.Guid, w.guid, held.State, "", w.now())
		cancel()
	}
}

// advance runs the next chunk of an import. It ends the import after its last one, and drops it
// then, or if it fails.
func (w *importWorker) advance(ctx context.Context, held *heldImport) error {
	ended, err := w.runNext(ctx, held)
	switch {
	case err == nil && !ended, ctx.Err() != nil: // a worker that stops releases it
		return err
	case errors.Is(err, errLost):
		err = nil
	case err != nil:
		err = fmt.Errorf("apply the import %s: %w", held.Guid, err)
		if w.now().Sub(held.CreatedAt) > importEndurance {
			_, failure := w.store.SetState(ctx, held.Guid, w.guid, ImportFailed, ProblemUnavailable, w.now())
			err = errors.Join(err, failure)
		}
	}
	w.drop(held)
	return err
}

// runNext runs the next chunk of an import, within a check, if its options need one, or to apply
// the messages. ended is true after the last one.
func (w *importWorker) runNext(ctx context.Context, held *heldImport) (ended bool, err error) {
	if held.pass == nil {
		if err := w.begin(ctx, held); err != nil {
			return false, err
		}
	}
	if held.NextChunk < held.Chunks {
		next, err := patiently(ctx, func() (Import, error) { return w.runChunk(ctx, held) })
		if err != nil {
			return false, err
		}
		held.Import = next
	}
	switch {
	case held.NextChunk < held.Chunks:
		return false, nil
	case held.State == ImportRunning || held.DryRun:
		return true, w.end(ctx, &held.Import, ImportCompleted)
	case held.Done.Failed > 0:
		return true, w.end(ctx, &held.Import, ImportRejected)
	}
	held.State, held.NextChunk, held.Done = ImportRunning, 0, ImportCounts{}
	return false, w.begin(ctx, held)
}

// begin begins a pass, or goes on with one that applies the messages. A check begins with the first
// chunk: what earlier messages would have brought in is known only within a pass.
func (w *importWorker) begin(ctx context.Context, held *heldImport) error {
	check := held.needsCheck()
	switch {
	case check:
		held.State, held.NextChunk, held.Done = ImportChecking, 0, ImportCounts{}
	default:
		held.State = ImportRunning
	}
	if held.NextChunk == 0 {
		if err := w.save(ctx, &held.Import, nil, nil); err != nil {
			return err
		}
	}
	held.pass = w.runner.Start(&held.Import, check)
	return nil
}

// needsCheck reports whether the next pass over the messages is a check.
func (i *Import) needsCheck() bool {
	return i.State != ImportRunning && (i.DryRun || i.OnError == RejectBad)
}

// runChunk runs the messages of the next chunk, and returns the import with their results, which
// are stored. It returns ErrCommitsLost if the messages must be run again.
func (w *importWorker) runChunk(ctx context.Context, held *heldImport) (Import, error) {
	content, recovery, err := w.store.Chunk(ctx, held.Guid, held.NextChunk)
	if err != nil {
		return Import{}, fmt.Errorf("read a part of the import: %w", err)
	}
	if content == nil { // it was cancelled
		return Import{}, errLost
	}
	next := held.Import
	next.NextChunk++
	var lineErrors []LineError
	for messages, err := range readChunk(content) {
		if err != nil {
			return Import{}, err
		}
		result, err := held.pass.Run(ctx, messages)
		if err != nil {
			return Import{}, err //nolint:wrapcheck // the runner has
		}
		left := max(0, maxImportErrors-next.Done.Failed)
		lineErrors = append(lineErrors, result.Errors[:min(int64(len(result.Errors)), left)]...)
		next.Done.Add(result.ImportCounts)
	}
	return next, w.save(ctx, &next, lineErrors, &recovery)
}

// keepReserved renews the reservation of an import until ctx is done. If it fails, the worker
// learns from the next progress that the import is no longer its own.
func (w *importWorker) keepReserved(ctx context.Context, guid uuid.UUID) {
	ticker := time.NewTicker(importRenewal)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = w.store.RenewImport(ctx, guid, w.guid, w.now().Add(importLease))
		}
	}
}

// save stores the progress. A repetition after a commit of unknown outcome changes nothing.
// recovery is the last recovery of the database before the chunk was run, or nil if none was.
func (w *importWorker) save(
	ctx context.Context, i *Import, lineErrors []LineError, recovery *time.Time,
) error {
	_, err := patiently(ctx, func() (struct{}, error) {
		kept, err := w.store.SaveProgress(ctx, i, lineErrors, w.guid, w.now().Add(importLease), recovery)
		switch {
		case err == nil && !kept:
			err = errLost
		case errors.Is(err, ErrCommitsLost):
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("store the progress of the import: %w", err)
	}
	return nil
}

// end stores the final state of an import. A repetition after a commit of unknown outcome finds the
// import ended, and returns errLost.
func (w *importWorker) end(ctx context.Context, i *Import, state ImportState) error {
	_, err := patiently(ctx, func() (struct{}, error) {
		kept, err := w.store.SetState(ctx, i.Guid, w.guid, state, "", w.now())
		if err == nil && !kept {
			err = errLost
		}
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("end the import: %w", err)
	}
	return nil
}

// patiently repeats do while the service is not available, but not after errLost.
func patiently[T any](ctx context.Context, do func() (T, error)) (T, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.MaxInterval = importPause
	//nolint:wrapcheck // the error of do
	return backoff.Retry(ctx, func() (T, error) {
		result, err := do()
		if errors.Is(err, errLost) {
			err = backoff.Permanent(err)
		}
		return result, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(importPatience))
}
