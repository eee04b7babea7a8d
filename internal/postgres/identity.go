package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Identify implements booking.Identities. It runs one transaction in three round trips, whatever
// the evidence. The first counts the attempt as a failure and finds the institutions of the cards.
// The second reads the cards. The third commits the count after a failure, or rolls it back after a
// success. Until then the counts are locked, the client application's before the patient's.
func (s *Store) Identify(
	ctx context.Context, client uuid.UUID, evidence booking.Evidence, now time.Time,
) (uuid.UUID, error) {
	person, err := write(ctx, s, func(t *tx) (uuid.UUID, error) {
		subject := evidence.Subject()
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
		cards := t.findCards(evidence)
		if err := t.send(); err != nil {
			return uuid.Nil, err
		}
		persons := t.findPersons(evidence, cards)
		if err := t.send(); err != nil {
			return uuid.Nil, err
		}
		switch {
		case wait > 0:
			refusal := booking.Reject(booking.TooManyAttempts)
			refusal.RetryAfter = wait
			return uuid.Nil, refusal
		case len(*persons) == 1:
			t.abandoned = true // the attempt did not fail, so that it is not counted
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

// maxCards bounds the cards that are read for one key. A key with more cards identifies nobody.
const maxCards = 100

// candidates are the cards that may match the evidence: their institutions and their guids.
// Evidence that names the person has no guids.
type candidates struct{ lpus, guids []uuid.UUID }

// findCards queues the statement that finds the candidates for the evidence. The result is filled
// by the next send.
func (t *tx) findCards(evidence booking.Evidence) *candidates {
	found := new(candidates)
	if evidence.Person != uuid.Nil {
		t.personLpus(evidence.Person, &found.lpus)
		return found
	}
	key := db.CardKeyFindParams{Kind: db.CardKeyKindGuid, Value: evidence.Mkab.String(), Most: maxCards + 1}
	switch {
	case evidence.Policy != nil:
		key.Kind, key.Value = db.CardKeyKindPolicy, policyKey(evidence.Policy.Series, evidence.Policy.Number)
	case evidence.Snils != nil:
		key.Kind, key.Value = db.CardKeyKindSnils, evidence.Snils.Digits
	}
	rows(t, t.CardKeyFind(t.ctx, []db.CardKeyFindParams{key}).Query, func(rows []db.CardKeyFindRow) error {
		if len(rows) > maxCards {
			return nil
		}
		for _, row := range rows {
			found.lpus, found.guids = append(found.lpus, row.LpuGuid), append(found.guids, row.MkabGuid)
		}
		return nil
	})
	return found
}

// policyKey returns the value of card_key for a policy.
func policyKey(series, number string) string { return series + " " + number }

// findPersons queues the statement that reads the persons whose cards match the evidence, each
// person once. The result is filled by the next send.
func (t *tx) findPersons(evidence booking.Evidence, cards *candidates) *[]uuid.UUID {
	persons := new([]uuid.UUID)
	store := func(found []uuid.UUID) error {
		*persons = found
		return nil
	}
	switch {
	case evidence.Policy != nil:
		p := evidence.Policy
		rows(t, t.MkabFindByPolicy(t.ctx, []db.MkabFindByPolicyParams{
			{LpuGuids: cards.lpus, Guids: cards.guids, Number: p.Number, Series: p.Series, BirthDate: p.BirthDate},
		}).Query, store)
	case evidence.Snils != nil:
		rows(t, t.MkabFindBySnils(t.ctx, []db.MkabFindBySnilsParams{
			{LpuGuids: cards.lpus, Guids: cards.guids, Snils: evidence.Snils.Digits, Most: maxCards},
		}).Query, func(found []db.MkabFindBySnilsRow) error {
			*persons = personsNamed(found, evidence.Snils.Names)
			return nil
		})
	case evidence.Mkab != uuid.Nil:
		rows(t, t.MkabFindByGuid(t.ctx, []db.MkabFindByGuidParams{{
			LpuGuids: cards.lpus, Guid: evidence.Mkab,
		}}).Query, store)
	default:
		rows(t, t.MkabFindByPerson(t.ctx, []db.MkabFindByPersonParams{{
			LpuGuids: cards.lpus, PersonGuid: evidence.Person,
		}}).Query, store)
	}
	return persons
}

// personsNamed returns the persons with those names, each once.
func personsNamed(rows []db.MkabFindBySnilsRow, names booking.Names) (persons []uuid.UUID) {
	for _, row := range rows {
		written := booking.Names{Surname: row.Surname, Name: row.Name, Patronymic: row.Patronymic}
		if written.Same(names) && !slices.Contains(persons, row.PersonGuid) {
			persons = append(persons, row.PersonGuid)
		}
	}
	return persons
}

// SweepFailures implements booking.Identities.
func (s *Store) SweepFailures(ctx context.Context, now time.Time, limit int) (int, error) {
	swept, err := db.New(s.pool).FailedIdentificationSweep(ctx, now.Add(-booking.PatientLimit.Within), int32(limit))
	return int(swept), interpretError(err)
}
