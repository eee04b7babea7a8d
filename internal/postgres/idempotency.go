package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// TakeKey implements booking.Keys.
func (s *Store) TakeKey(
	ctx context.Context, patient booking.Patient, key booking.Key, now time.Time, lease time.Duration,
) (*booking.TakenKey, *booking.HeldDirection, error) {
	taken := &booking.TakenKey{Key: key, Patient: patient, By: uuid.New()}
	response, err := retry(ctx, s.pool.Reset, func() ([]byte, error) { return s.takeKey(ctx, taken, now, lease) })
	if err != nil {
		return nil, nil, err
	}
	if response == nil {
		return taken, nil, nil
	}
	held, err := s.replay(ctx, patient, response)
	return nil, held, err
}

// takeKey returns the stored response of an earlier request, or nil if this request has taken the
// key. It returns a *booking.Refusal if another request has the key.
func (s *Store) takeKey(
	ctx context.Context, key *booking.TakenKey, now time.Time, lease time.Duration,
) (response []byte, err error) {
	end, err := s.beginWriting(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	queries := db.New(s.pool)
	_, err = queries.IdempotencyKeyTake(ctx, db.IdempotencyKeyTakeParams{
		PersonGuid: key.Patient.Person, ClientGuid: key.Patient.Client, Key: key.Text, RequestHash: key.Request[:],
		TakenBy: key.By, TakenAt: now, RunningUntil: now.Add(lease), Forgotten: now.Add(-booking.KeyLife),
	})
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	known, err := queries.IdempotencyKeyGet(ctx, key.Patient.Person, key.Patient.Client, key.Text)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // the key has just been released
		return nil, booking.Reject(booking.IdempotencyKeyInUse)
	case err != nil:
		return nil, err
	case [32]byte(known.RequestHash) != key.Request:
		return nil, booking.Reject(booking.IdempotencyKeyReused)
	case known.Answer == nil:
		return nil, booking.Reject(booking.IdempotencyKeyInUse)
	default:
		return known.Answer, nil
	}
}

// KeepAnswer implements booking.Keys.
func (s *Store) KeepAnswer(ctx context.Context, key *booking.TakenKey, held *booking.HeldDirection) error {
	_, err := write(ctx, s, func(t *tx) (struct{}, error) {
		t.storeResponse(key, held)
		return struct{}{}, nil
	})
	return err
}

// storeResponse queues the statement that stores the response under the key, in the transaction
// that does the work, so that both are committed or neither. It does nothing if key is nil. The
// response to a cancel is nil.
func (t *tx) storeResponse(key *booking.TakenKey, held *booking.HeldDirection) {
	if key == nil {
		return
	}
	response, err := json.Marshal(newStoredResponse(held))
	row(t, t.IdempotencyKeyAnswer(t.ctx, []db.IdempotencyKeyAnswerParams{{
		Answer: response, PersonGuid: key.Patient.Person, ClientGuid: key.Patient.Client, Key: key.Text,
		TakenBy: key.By,
	}}).QueryRow, func(_ string, rowErr error) error {
		switch {
		case err != nil:
			return fmt.Errorf("encode the response to store: %w", err)
		case errors.Is(rowErr, pgx.ErrNoRows):
			return booking.Reject(booking.IdempotencyKeyInUse).
				Because(errors.New("another request has taken the key over"))
		case rowErr != nil:
			return fmt.Errorf("store the response: %w", rowErr)
		}
		return nil
	})
}

// ReleaseKey implements booking.Keys.
func (s *Store) ReleaseKey(ctx context.Context, key *booking.TakenKey) error {
	return interpretError(db.New(s.pool).IdempotencyKeyRelease(ctx, db.IdempotencyKeyReleaseParams{
		PersonGuid: key.Patient.Person, ClientGuid: key.Patient.Client, Key: key.Text, TakenBy: key.By,
	}))
}

// SweepKeys implements booking.Keys.
func (s *Store) SweepKeys(ctx context.Context, now time.Time, limit int) (int, error) {
	swept, err := db.New(s.pool).IdempotencyKeySweep(ctx, now.Add(-booking.KeyLife), int32(limit))
	return int(swept), interpretError(err)
}
