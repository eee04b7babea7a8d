package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// ClientSecret implements booking.Identities.
func (s *Store) ClientSecret(ctx context.Context, client uuid.UUID) (hash [sha256.Size]byte, err error) {
	stored, err := retry(ctx, s.pool.Reset, func() ([]byte, error) { return db.New(s.pool).ClientSecretGet(ctx, client) })
	copy(hash[:], stored)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return hash, err
}

// SetClientSecret implements booking.Identities.
func (s *Store) SetClientSecret(ctx context.Context, client uuid.UUID, hash [sha256.Size]byte) error {
	set, err := db.New(s.pool).ClientSecretSet(ctx, hash[:], client)
	if err == nil && set == 0 {
		return booking.ErrNoClient
	}
	return refused(err)
}

// Identify implements booking.Identities: one transaction in two round trips, the same whatever was shown. The first counts a failure before it is known
// to be one, and looks; the second keeps the count or takes it back. In between the counts are locked, the client application's first.
func (s *Store) Identify(ctx context.Context, client uuid.UUID, shown booking.Evidence, now time.Time) (uuid.UUID, error) {
	// To repeat it does no harm: a failure may count twice.
	return retry(ctx, s.pool.Reset, func() (uuid.UUID, error) { return s.identify(ctx, client, shown, now) })
}

func (s *Store) identify(ctx context.Context, client uuid.UUID, shown booking.Evidence, now time.Time) (uuid.UUID, error) {
	send := newPipeline(ctx, s.pool)
	send.begin()
	queries := db.New(send)
	subject := shown.Subject()
	limits := []booking.Limit{booking.ClientLimit, booking.PatientLimit}
	counting := queries.FailedIdentificationCount(ctx, []db.FailedIdentificationCountParams{
		{Subject: client[:], Now: now, Forgotten: now.Add(-booking.ClientLimit.Within)},
		{Subject: subject[:], Now: now, Forgotten: now.Add(-booking.PatientLimit.Within)},
	})
	found := candidates(ctx, queries, shown)

	tx, err := send.begun()
	defer func() {
		_ = send.close()
		rollback(ctx, tx)
	}()
	var wait time.Duration
	counting.QueryRow(func(i int, row db.FailedIdentificationCountRow, rowErr error) {
		err = firstOf(err, rowErr)
		if int(row.Failures) > limits[i].Failures {
			wait = max(wait, row.Since.Add(limits[i].Within).Sub(now))
		}
	})
	persons, findErr := found()
	if err := firstOf(err, findErr, send.close()); err != nil {
		return uuid.Nil, err
	}
	switch {
	case wait > 0:
		refusal := booking.Refuse(booking.TooManyAttempts)
		refusal.RetryAfter = wait
		return uuid.Nil, refusal
	case len(persons) == 1:
		return persons[0], nil
	}
	if err := tx.Commit(ctx); err != nil {
		return uuid.Nil, fmt.Errorf("commit: %w", err)
	}
	return uuid.Nil, booking.Refuse(booking.PatientNotIdentified)
}

// mostOfSnils bounds the cards that are read for one number. One that is on more of them stands for nobody.
const mostOfSnils = 100

// candidates gathers the statement that looks for whom the evidence shows. The function that it answers reads them, each once.
func candidates(ctx context.Context, queries *db.Queries, shown booking.Evidence) func() ([]uuid.UUID, error) {
	var (
		persons []uuid.UUID
		err     error
	)
	keep := func(_ int, found []uuid.UUID, findErr error) { persons, err = found, findErr }
	var read func()
	switch {
	case shown.Policy != nil:
		p := shown.Policy
		batch := queries.MkabFindByPolicy(ctx, []db.MkabFindByPolicyParams{{Number: p.Number, Series: p.Series, BirthDate: p.BirthDate}})
		read = func() { batch.Query(keep) }
	case shown.Snils != nil:
		batch := queries.MkabFindBySnils(ctx, []db.MkabFindBySnilsParams{{Snils: shown.Snils.Digits, Most: mostOfSnils + 1}})
		read = func() {
			batch.Query(func(_ int, rows []db.MkabFindBySnilsRow, findErr error) {
				persons, err = namesakes(rows, shown.Snils.Names), findErr
			})
		}
	case shown.Mkab != uuid.Nil:
		batch := queries.MkabFindByGuid(ctx, []uuid.UUID{shown.Mkab})
		read = func() { batch.Query(keep) }
	default:
		batch := queries.MkabFindByPerson(ctx, []uuid.UUID{shown.Person})
		read = func() { batch.Query(keep) }
	}
	return func() ([]uuid.UUID, error) {
		read()
		return persons, err
	}
}

// namesakes are the persons of those names, each once; nobody where there may be more than were read.
func namesakes(rows []db.MkabFindBySnilsRow, names booking.Names) (persons []uuid.UUID) {
	if len(rows) > mostOfSnils {
		return nil
	}
	for _, row := range rows {
		written := booking.Names{Surname: row.Surname, Name: row.Name, Patronymic: row.Patronymic}
		if written.Same(names) && !slices.Contains(persons, row.PersonGuid) {
			persons = append(persons, row.PersonGuid)
		}
	}
	return persons
}

// SweepFailures implements booking.Identities.
func (s *Store) SweepFailures(ctx context.Context, now time.Time, most int) (int, error) {
	swept, err := db.New(s.pool).FailedIdentificationSweep(ctx, now.Add(-booking.PatientLimit.Within), int32(most))
	return int(swept), refused(err)
}
