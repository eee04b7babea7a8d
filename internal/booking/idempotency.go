package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Key is an idempotency key (Idempotency-Key). A client that lost the response repeats the request
// with the same key: the work is done once, and both requests receive the same response. A key
// belongs to the patient and the client application.
type Key struct {
	Text    string   // as the client sent it
	Request [32]byte // SHA-256 of the operation and its parameters; detects reuse for another request
}

// Keys stores idempotency keys. Its methods return a *Refusal if the key decides the outcome.
type Keys interface {
	// TakeKey reserves the key for a request that starts at now. After lease, another request may
	// take over a key that has no response yet. If an earlier request with the key has a response,
	// TakeKey reserves nothing and returns a nil *TakenKey and that response, which is nil for a
	// cancel. It rejects a key of another request with IdempotencyKeyReused, and a key whose
	// request is still running with IdempotencyKeyInUse.
	TakeKey(
		ctx context.Context, patient Patient, key Key, now time.Time, lease time.Duration,
	) (*TakenKey, *HeldDirection, error)
	// KeepAnswer stores the response of a request that changed nothing. A request that changes
	// something stores its response in the same transaction.
	KeepAnswer(ctx context.Context, key *TakenKey, held *HeldDirection) error
	// ReleaseKey releases the key of a request that failed.
	ReleaseKey(ctx context.Context, key *TakenKey) error
	// SweepKeys deletes at most most keys that are older than KeyLife at now, and returns their
	// number.
	SweepKeys(ctx context.Context, now time.Time, most int) (int, error)
}

// TakenKey is a key reserved by a running request. The transaction that does the work stores the
// response under it.
type TakenKey struct {
	Key

	Patient Patient
	By      uuid.UUID // id of the running request
}

// KeyLife is how long a key is stored, as the contract documents it.
const KeyLife = 24 * time.Hour

// KeyGrace is the time a request has after its deadline to roll back and release its key. The key
// of a request that dies stays reserved until its deadline plus KeyGrace. If a request runs even
// longer, its transaction fails because it no longer owns the key.
const KeyGrace = 2 * time.Second

// longestRequest is the time limit of a request whose context has no deadline.
const longestRequest = time.Minute

// withKey runs do once for a key. do stores its response under the key that it receives, which is
// nil for a nil key. replayed reports that the response is that of an earlier request. If do fails,
// withKey releases the key.
func (s *Service) withKey(
	ctx context.Context, patient Patient, key *Key, do func(*TakenKey) (*HeldDirection, error),
) (held *HeldDirection, replayed bool, err error) {
	if key == nil {
		held, err = do(nil)
		return held, false, err
	}
	taken, held, err := s.takeKey(ctx, patient, *key)
	if err != nil {
		return nil, false, fmt.Errorf("take the idempotency key: %w", err)
	}
	if taken == nil {
		return held, true, nil
	}
	held, err = do(taken)
	if err != nil {
		// If the commit succeeded but its acknowledgement was lost, the response is stored and the
		// release does nothing.
		return nil, false, errors.Join(err, s.release(ctx, taken))
	}
	return held, false, nil
}

// releaseTimeout limits the release of a key, which does not stop at the deadline of the request.
const releaseTimeout = time.Second

// takeKey reserves the key. It continues if the client disconnects: after a cancelled call it would
// be unknown whether the key has to be released.
func (s *Service) takeKey(ctx context.Context, patient Patient, key Key) (*TakenKey, *HeldDirection, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(longestRequest)
	}
	detached, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	return s.ports.Keys.TakeKey(detached, patient, key, s.now(), time.Until(deadline)+KeyGrace)
}

// keepResponse stores the response of a request that changed nothing. It does nothing for a nil
// key.
func (s *Service) keepResponse(ctx context.Context, key *TakenKey, held *HeldDirection) error {
	if key == nil {
		return nil
	}
	if err := s.ports.Keys.KeepAnswer(ctx, key, held); err != nil {
		return fmt.Errorf("store the response: %w", err)
	}
	return nil
}

// release releases the key, so that the client can retry at once. If that fails, the key becomes
// free when its lease ends. At the request's deadline, when the lease ends soon, it does nothing,
// so that the response does not come late.
func (s *Service) release(ctx context.Context, key *TakenKey) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := s.ports.Keys.ReleaseKey(ctx, key); err != nil {
		return fmt.Errorf("release the idempotency key: %w", err)
	}
	return nil
}

// A sweep deletes at most sweepStep rows per statement and runs at most sweepSteps statements, so
// that each transaction is short.
const (
	sweepStep  = 1_000
	sweepSteps = 100
)

// SweepKeys deletes the keys that are older than KeyLife.
func (s *Service) SweepKeys(ctx context.Context) error {
	if err := s.sweep(ctx, s.ports.Keys.SweepKeys); err != nil {
		return fmt.Errorf("sweep the idempotency keys: %w", err)
	}
	return nil
}

// sweep calls step until it deletes fewer rows than it may, at most sweepSteps times.
func (s *Service) sweep(
	ctx context.Context, step func(ctx context.Context, now time.Time, most int) (int, error),
) error {
	for range sweepSteps {
		swept, err := step(ctx, s.now(), sweepStep)
		if err != nil || swept < sweepStep {
			return err
		}
	}
	return nil
}
