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
func (s *Store) TakeKey(ctx context.Context, patient booking.Patient, key booking.Key, now time.Time) (*booking.TakenKey, *booking.HeldDirection, error) {
	taken := &booking.TakenKey{Key: key, Patient: patient, By: uuid.New()}
	answer, err := retry(ctx, s.pool.Reset, func() ([]byte, error) { return s.takeKey(ctx, taken, now) })
	if err != nil {
		return nil, nil, err
	}
	if answer == nil {
		return taken, nil, nil
	}
	var held *booking.HeldDirection
	if err := json.Unmarshal(answer, &held); err != nil { //nolint:musttag // nobody else reads it, and for a day
		return nil, nil, fmt.Errorf("read the answer that was kept: %w", err)
	}
	return nil, held, nil
}

// takeKey answers what an earlier request was answered, or nil where the key is taken.
func (s *Store) takeKey(ctx context.Context, key *booking.TakenKey, now time.Time) (answer []byte, err error) {
	queries := db.New(s.pool)
	_, err = queries.IdempotencyKeyTake(ctx, db.IdempotencyKeyTakeParams{
		PersonGuid: key.Patient.Person, ClientGuid: key.Patient.Client, Key: key.Text, RequestHash: key.Request[:],
		TakenBy: key.By, TakenAt: now, RunningUntil: now.Add(booking.KeyLease), Forgotten: now.Add(-booking.KeyLife),
	})
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	known, err := queries.IdempotencyKeyGet(ctx, key.Patient.Person, key.Patient.Client, key.Text)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // it has just been released
		return nil, booking.Refuse(booking.KeyInUse)
	case err != nil:
		return nil, err
	case [32]byte(known.RequestHash) != key.Request:
		return nil, booking.Refuse(booking.KeyReused)
	case known.Answer == nil:
		return nil, booking.Refuse(booking.KeyInUse)
	default:
		return known.Answer, nil
	}
}

// KeepAnswer implements booking.Keys.
func (s *Store) KeepAnswer(ctx context.Context, key *booking.TakenKey, held *booking.HeldDirection) error {
	return refused(keepAnswer(ctx, s.pool, key, held))
}

// keepAnswer writes the answer to the key, if there is one, in the transaction that does the work: one is there exactly where the other is. A cancel's
// answer is nil, which is kept as null.
func keepAnswer(ctx context.Context, conn db.DBTX, key *booking.TakenKey, held *booking.HeldDirection) error {
	if key == nil {
		return nil
	}
	answer, err := json.Marshal(held) //nolint:musttag // nobody else reads it, and for a day
	if err != nil {
		return fmt.Errorf("write the answer to keep: %w", err)
	}
	kept, err := db.New(conn).IdempotencyKeyAnswer(ctx, db.IdempotencyKeyAnswerParams{
		Answer: answer, PersonGuid: key.Patient.Person, ClientGuid: key.Patient.Client, Key: key.Text, TakenBy: key.By,
	})
	if err != nil {
		return fmt.Errorf("keep the answer: %w", err)
	}
	if kept == 0 {
		return booking.Refuse(booking.KeyInUse).Because(errors.New("another request has taken the key over"))
	}
	return nil
}

// ReleaseKey implements booking.Keys.
func (s *Store) ReleaseKey(ctx context.Context, key *booking.TakenKey) error {
	return refused(db.New(s.pool).IdempotencyKeyRelease(ctx, db.IdempotencyKeyReleaseParams{
		PersonGuid: key.Patient.Person, ClientGuid: key.Patient.Client, Key: key.Text, TakenBy: key.By,
	}))
}

// SweepKeys implements booking.Keys.
func (s *Store) SweepKeys(ctx context.Context, now time.Time, most int) (int, error) {
	swept, err := db.New(s.pool).IdempotencyKeySweep(ctx, now.Add(-booking.KeyLife), int32(most))
	return int(swept), refused(err)
}
