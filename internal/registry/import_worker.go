package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// Work applies imports, one after the other, until ctx is done. Several instances may work at once.
// An import of an instance that has died goes on after its last stored chunk; the messages of that
// chunk are applied again, which changes nothing.
func (s *Imports) Work(ctx context.Context, log *slog.Logger) {
	worker := uuid.New()
	var outage booking.Outage
	for {
		found, err := s.workOnce(ctx, uuid.Nil, worker, func(*Import) {})
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
	worker := uuid.New()
	for {
		found, err := s.Import(ctx, uuid.Nil, guid)
		if err != nil || found.State.Final() {
			return found, err
		}
		progress(&found)
		worked, err := s.workOnce(ctx, guid, worker, progress)
		if err != nil {
			return found, err
		}
		if worked {
			continue
		}
		select {
		case <-ctx.Done():
			return found, ctx.Err()
		case <-time.After(importPoll):
		}
	}
}

// workOnce claims an import and applies it. found is false if none waits.
func (s *Imports) workOnce(
	ctx context.Context, only, worker uuid.UUID, progress func(*Import),
) (found bool, err error) {
	now := s.now()
	claimed, err := s.store.ClaimImport(ctx, only, worker, now, now.Add(importLease))
	if err != nil || claimed == nil {
		return false, err
	}
	err = s.apply(ctx, claimed, worker, progress)
	switch {
	case errors.Is(err, errLost):
		return true, nil
	case ctx.Err() != nil:
		// The worker stops. Another one can go on at once.
		released, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, failure := s.store.SetState(released, claimed.Guid, worker, claimed.State, "", s.now())
		return true, errors.Join(err, failure)
	case err == nil:
		return true, nil
	}
	err = fmt.Errorf("apply the import %s: %w", claimed.Guid, err)
	if s.now().Sub(claimed.CreatedAt) > importEndurance {
		_, failure := s.store.SetState(ctx, claimed.Guid, worker, ImportFailed, ProblemUnavailable, s.now())
		err = errors.Join(err, failure)
	}
	return true, err
}

// apply runs the passes of an import: a check, if its options need one, and then the messages.
func (s *Imports) apply(ctx context.Context, i *Import, worker uuid.UUID, progress func(*Import)) error {
	check := i.State != ImportRunning && (i.DryRun || i.OnError == RejectBad)
	if check {
		// What earlier messages would have brought in is known only within a pass.
		i.State, i.NextChunk, i.Done = ImportChecking, 0, ImportCounts{}
		if err := s.pass(ctx, i, worker, true, progress); err != nil {
			return err
		}
		if i.DryRun {
			return s.end(ctx, i, worker, ImportCompleted)
		}
		if i.Done.Failed > 0 {
			return s.end(ctx, i, worker, ImportRejected)
		}
		i.NextChunk, i.Done = 0, ImportCounts{}
	}
	i.State = ImportRunning
	if err := s.pass(ctx, i, worker, false, progress); err != nil {
		return err
	}
	return s.end(ctx, i, worker, ImportCompleted)
}

// pass runs the chunks without a result.
func (s *Imports) pass(ctx context.Context, i *Import, worker uuid.UUID, check bool, progress func(*Import)) error {
	if err := s.save(ctx, i, nil, worker, nil); err != nil {
		return err
	}
	pass := s.runner.Start(i, check)
	for i.NextChunk < i.Chunks {
		next, err := patiently(ctx, func() (Import, error) { return s.runChunk(ctx, pass, i, worker) })
		if err != nil {
			return err
		}
		*i = next
		progress(i)
	}
	return nil
}

// runChunk runs the messages of the next chunk, and returns the import with their results, which
// are stored. It returns ErrCommitsLost if the messages must be run again.
func (s *Imports) runChunk(ctx context.Context, pass MessagePass, i *Import, worker uuid.UUID) (Import, error) {
	content, recovery, err := s.store.Chunk(ctx, i.Guid, i.NextChunk)
	if err != nil {
		return Import{}, fmt.Errorf("read a part of the import: %w", err)
	}
	if content == nil { // it was cancelled
		return Import{}, errLost
	}
	messages, err := readChunk(content)
	if err != nil {
		return Import{}, err
	}
	result, err := s.runMessages(ctx, pass, messages, i, worker)
	if err != nil {
		return Import{}, err
	}
	next := *i
	next.NextChunk++
	next.Done.Add(result.ImportCounts)
	left := max(0, maxImportErrors-i.Done.Failed)
	return next, s.save(ctx, &next, result.Errors[:min(int64(len(result.Errors)), left)], worker, &recovery)
}

// runMessages runs the messages of a chunk. Meanwhile the import stays reserved.
func (s *Imports) runMessages(
	ctx context.Context, pass MessagePass, messages []Message, i *Import, worker uuid.UUID,
) (ImportResult, error) {
	var renewal sync.WaitGroup
	defer renewal.Wait() // a late renewal would overwrite newer progress
	running, stop := context.WithCancel(ctx)
	defer stop()
	renewal.Go(func() { s.keepReserved(running, i, worker) })
	return pass.Run(ctx, messages)
}

// keepReserved renews the reservation of an import until ctx is done. If it fails, the worker
// learns from the next progress that the import is no longer its own.
func (s *Imports) keepReserved(ctx context.Context, i *Import, worker uuid.UUID) {
	ticker := time.NewTicker(importRenewal)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_, _ = s.store.SaveProgress(ctx, i, nil, worker, s.now().Add(importLease), nil)
		}
	}
}

// save stores the progress. A repetition after a commit of unknown outcome changes nothing.
// recovery is the last recovery of the database before the chunk was run, or nil if none was.
func (s *Imports) save(
	ctx context.Context, i *Import, lineErrors []LineError, worker uuid.UUID, recovery *time.Time,
) error {
	_, err := patiently(ctx, func() (struct{}, error) {
		kept, err := s.store.SaveProgress(ctx, i, lineErrors, worker, s.now().Add(importLease), recovery)
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
func (s *Imports) end(ctx context.Context, i *Import, worker uuid.UUID, state ImportState) error {
	_, err := patiently(ctx, func() (struct{}, error) {
		kept, err := s.store.SetState(ctx, i.Guid, worker, state, "", s.now())
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
