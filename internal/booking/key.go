package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Key makes a request repeatable (Idempotency-Key): whoever lost the answer asks again with the same key and is answered the same, while the work is
// done once. It is bound to the patient, and through it to the client application.
type Key struct {
	Text    string   // as the client wrote it
	Request [32]byte // the SHA-256 of the operation and what it is asked, which tells another request
}

// Keys are the keys that requests have come with. Its methods answer a *Refusal where the key decides.
type Keys interface {
	// TakeKey takes the key for a request that begins now and runs for at most lease: without a response by then, another may take the key. Where an earlier one has been answered it takes nothing, and gives that answer, which is nil
	// where it was a cancel. It refuses a key of another request with IdempotencyKeyReused, and one whose request still runs with IdempotencyKeyInUse.
	TakeKey(ctx context.Context, patient Patient, key Key, now time.Time, lease time.Duration) (*TakenKey, *HeldDirection, error)
	// KeepAnswer keeps the answer to a request that had nothing to do; one that does something keeps its answer in the transaction that does it.
	KeepAnswer(ctx context.Context, key *TakenKey, held *HeldDirection) error
	// ReleaseKey gives a key back whose request was refused.
	ReleaseKey(ctx context.Context, key *TakenKey) error
	// SweepKeys forgets keys that are older than KeyLife, at most so many, and tells how many it forgot.
	SweepKeys(ctx context.Context, now time.Time, most int) (int, error)
}

// TakenKey is a key that a running request holds. The transaction that does the work writes the answer to it.
type TakenKey struct {
	Key

	Patient Patient
	By      uuid.UUID // this very request
}

// KeyLife is how long a key is remembered, by the documentation of the operations.
const KeyLife = 24 * time.Hour

// KeyGrace is how long a request may go on after its deadline, to roll back and to release its key. A request that dies leaves its key in use until its
// deadline and this; should a request outlive both, the key that it has lost stops its transaction.
const KeyGrace = 2 * time.Second

// longestRequest is the time that a request without a deadline of its own may take.
const longestRequest = time.Minute

// once does what a request asks for, which with a key is done once: replayed tells that the answer is that of an earlier request. do keeps its answer
// under the key, where there is one.
func (s *Service) once(
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
		// A commit whose answer was lost may have kept the answer; then there is nothing to release.
		return nil, false, errors.Join(err, s.release(ctx, taken))
	}
	return held, false, nil
}

// releaseTimeout bounds the release, which goes on where the request's own time is over.
const releaseTimeout = time.Second

// takeKey takes the key also where the client hangs up meanwhile: broken off on its way, nobody could tell whether it was taken and must be given back.
func (s *Service) takeKey(ctx context.Context, patient Patient, key Key) (*TakenKey, *HeldDirection, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(longestRequest)
	}
	steady, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	return s.store.TakeKey(steady, patient, key, s.now(), time.Until(deadline)+KeyGrace)
}

// keep keeps the answer to a request that had nothing to do.
func (s *Service) keep(ctx context.Context, key *TakenKey, held *HeldDirection) error {
	if key == nil {
		return nil
	}
	if err := s.store.KeepAnswer(ctx, key, held); err != nil {
		return fmt.Errorf("keep the answer: %w", err)
	}
	return nil
}

// release lets the client try again at once. A key that could not be given back is free when its lease ends.
func (s *Service) release(ctx context.Context, key *TakenKey) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := s.store.ReleaseKey(ctx, key); err != nil {
		return fmt.Errorf("release the idempotency key: %w", err)
	}
	return nil
}

// A sweep forgets keys in steps, each short, and at most so many at a time.
const (
	sweepStep  = 1_000
	sweepSteps = 100
)

// SweepKeys forgets the keys that are older than KeyLife.
func (s *Service) SweepKeys(ctx context.Context) error {
	for range sweepSteps {
		swept, err := s.store.SweepKeys(ctx, s.now(), sweepStep)
		if err != nil {
			return fmt.Errorf("sweep the idempotency keys: %w", err)
		}
		if swept < sweepStep {
			return nil
		}
	}
	return nil
}
