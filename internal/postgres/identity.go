package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// ClientActive implements booking.Identities. It reads no database where the reference data are fresh.
func (s *Store) ClientActive(ctx context.Context, client uuid.UUID) (bool, error) {
	reference, err := s.reference.get(ctx)
	if err != nil {
		return false, refused(err)
	}
	_, active := reference.rights[client]
	return active, nil
}

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

// Identify implements booking.Identities: one transaction in three round trips, the same whatever the evidence. The first counts a failure before it is known
// to be one, and finds where the cards are; the second reads the cards; the third keeps the count or takes it back. Until then the counts are locked, the
// client application's first.
func (s *Store) Identify(ctx context.Context, client uuid.UUID, shown booking.Evidence, now time.Time) (uuid.UUID, error) {
	person, err := write(ctx, s, func(t *tx) (uuid.UUID, error) {
		subject := shown.Subject()
		limits := []booking.Limit{booking.ClientLimit, booking.PatientLimit}
		var wait time.Duration
		rowAt(t, t.FailedIdentificationCount(ctx, []db.FailedIdentificationCountParams{
			{Subject: client[:], Now: now, Forgotten: now.Add(-booking.ClientLimit.Within)},
			{Subject: subject[:], Now: now, Forgotten: now.Add(-booking.PatientLimit.Within)},
		}).QueryRow, func(i int, row db.FailedIdentificationCountRow, err error) error {
			if int(row.Failures) > limits[i].Failures {
				wait = max(wait, row.Since.Add(limits[i].Within).Sub(now))
			}
			return err
		})
		cards := t.findCards(shown)
		if err := t.send(); err != nil {
			return uuid.Nil, err
		}
		persons := t.findPersons(shown, cards)
		if err := t.send(); err != nil {
			return uuid.Nil, err
		}
		switch {
		case wait > 0:
			refusal := booking.Reject(booking.TooManyAttempts)
			refusal.RetryAfter = wait
			return uuid.Nil, refusal
		case len(*persons) == 1:
			t.abandoned = true // it was no failure
			return (*persons)[0], nil
		default:
			return uuid.Nil, nil
		}
	})
	if err == nil && person == uuid.Nil {
		err = booking.Reject(booking.PatientNotIdentified)
	}
	return person, err
}

// mostCards bounds the cards that are read for one key. A key of more cards than that identifies nobody.
const mostCards = 100

// candidates are the cards that may be meant: their institutions and, unless only the person is known, their guids.
type candidates struct{ lpus, guids []uuid.UUID }

// findCards queues the statement that looks up the candidates of the evidence.
func (t *tx) findCards(shown booking.Evidence) *candidates {
	found := new(candidates)
	if shown.Person != uuid.Nil {
		t.personLpus(shown.Person, &found.lpus)
		return found
	}
	key := db.CardKeyFindParams{Kind: db.CardKeyKindGuid, Value: shown.Mkab.String(), Most: mostCards + 1}
	switch {
	case shown.Policy != nil:
		key.Kind, key.Value = db.CardKeyKindPolicy, policyKey(shown.Policy.Series, shown.Policy.Number)
	case shown.Snils != nil:
		key.Kind, key.Value = db.CardKeyKindSnils, shown.Snils.Digits
	}
	rows(t, t.CardKeyFind(t.ctx, []db.CardKeyFindParams{key}).Query, func(rows []db.CardKeyFindRow) error {
		if len(rows) > mostCards {
			return nil
		}
		for _, row := range rows {
			found.lpus, found.guids = append(found.lpus, row.LpuGuid), append(found.guids, row.MkabGuid)
		}
		return nil
	})
	return found
}

// policyKey is the value of card_key for a policy.
func policyKey(series, number string) string { return series + " " + number }

// findPersons queues the statement that reads whose candidates bear the evidence, each person once.
func (t *tx) findPersons(shown booking.Evidence, cards *candidates) *[]uuid.UUID {
	persons := new([]uuid.UUID)
	keep := func(found []uuid.UUID) error {
		*persons = found
		return nil
	}
	switch {
	case shown.Policy != nil:
		p := shown.Policy
		rows(t, t.MkabFindByPolicy(t.ctx, []db.MkabFindByPolicyParams{
			{LpuGuids: cards.lpus, Guids: cards.guids, Number: p.Number, Series: p.Series, BirthDate: p.BirthDate},
		}).Query, keep)
	case shown.Snils != nil:
		rows(t, t.MkabFindBySnils(t.ctx, []db.MkabFindBySnilsParams{
			{LpuGuids: cards.lpus, Guids: cards.guids, Snils: shown.Snils.Digits, Most: mostCards},
		}).Query, func(found []db.MkabFindBySnilsRow) error {
			*persons = namesakes(found, shown.Snils.Names)
			return nil
		})
	case shown.Mkab != uuid.Nil:
		rows(t, t.MkabFindByGuid(t.ctx, []db.MkabFindByGuidParams{{LpuGuids: cards.lpus, Guid: shown.Mkab}}).Query, keep)
	default:
		rows(t, t.MkabFindByPerson(t.ctx, []db.MkabFindByPersonParams{{LpuGuids: cards.lpus, PersonGuid: shown.Person}}).Query, keep)
	}
	return persons
}

// namesakes are the persons of those names, each once.
func namesakes(rows []db.MkabFindBySnilsRow, names booking.Names) (persons []uuid.UUID) {
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
