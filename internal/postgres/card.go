package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// WriteCard implements registry.Store. It runs one transaction in two round trips and the commit.
// It locks the card after its source, and then only what belongs to the card alone. A booking that
// names the card waits for it, and holds nothing that a write of a card needs.
func (s *Store) WriteCard(
	ctx context.Context, w registry.Write, card registry.Card, now time.Time,
) (registry.ObjectResult, error) {
	return write(ctx, s, func(t *tx) (registry.ObjectResult, error) {
		var (
			changes  bool
			known    *db.MkabLockRow
			policies []registry.Policy
		)
		t.recordWrite(&w, &changes)
		t.lockCard(w.Owner, w.Guid, &known)
		t.readPolicies(w.Owner, w.Guid, &policies)
		if card.Closed == nil {
			t.rejectOtherOpenCard(w.Owner, w.Guid, card.Person)
		}
		if err := t.send(); err != nil || !changes {
			return registry.ObjectResult{}, err
		}
		switch {
		case known == nil:
			t.addCard(&w, &card, now)
		case known.PersonGuid != card.Person:
			return registry.ObjectResult{}, booking.InvalidField("PersonGuid", booking.ProblemPersonFixed)
		default:
			t.changeCard(&w, &card)
			t.removeCardKeys(&w, known.Snils, policies, &card)
		}
		t.replacePolicies(&w, policies, card.Policies)
		exec(t, t.PersonLpuAdd(ctx, []db.PersonLpuAddParams{{PersonGuid: card.Person, LpuGuid: w.Owner}}).Exec)
		exec(t, t.CardKeyAdd(ctx, cardKeys(w.Owner, w.Guid, card.Snils, card.Policies)).Exec)
		return registry.ObjectResult{Changed: true}, nil
	})
}

// lockCard queues the statement that locks a card and reads it into known, which stays nil if there
// is none. send rejects with GuidForeign if it was merged into another.
func (t *tx) lockCard(lpu, guid uuid.UUID, known **db.MkabLockRow) {
	row(t, t.MkabLock(t.ctx, []db.MkabLockParams{{LpuGuid: lpu, Guid: guid}}).QueryRow,
		func(found db.MkabLockRow, err error) error {
			switch {
			case err != nil:
				return ignoreAbsent(err)
			case found.MergedIntoGuid != nil:
				return booking.Reject(booking.GuidForeign)
			}
			*known = &found
			return nil
		})
}

// readPolicies queues the statement that reads the policies of a card.
func (t *tx) readPolicies(lpu, guid uuid.UUID, policies *[]registry.Policy) {
	rows(t, t.MkabPolicies(t.ctx, []db.MkabPoliciesParams{{LpuGuid: lpu, MkabGuid: guid}}).Query,
		func(found []db.MkabPoliciesRow) error {
			for _, policy := range found {
				*policies = append(*policies, registry.Policy(policy))
			}
			return nil
		})
}

// rejectOtherOpenCard queues the statement that looks for another open card of the person. send
// then rejects with MkabOpen if there is one.
func (t *tx) rejectOtherOpenCard(lpu, guid, person uuid.UUID) {
	row(t, t.MkabOtherOpen(t.ctx, []db.MkabOtherOpenParams{{LpuGuid: lpu, PersonGuid: person, Guid: guid}}).QueryRow,
		func(other uuid.UUID, err error) error {
			if err == nil {
				return booking.Reject(booking.MkabOpen, "MkabGuid", other.String())
			}
			return ignoreAbsent(err)
		})
}

func (t *tx) addCard(w *registry.Write, card *registry.Card, now time.Time) {
	execReferring(t, t.MkabAdd(t.ctx, []db.MkabAddParams{{
		LpuGuid: w.Owner, Guid: w.Guid, PersonGuid: card.Person, Surname: card.Surname, Name: card.Name,
		Patronymic: card.Patronymic, BirthDate: card.BirthDate, Sex: db.Sex(card.Sex), Snils: card.Snils,
		Disabled: card.Disabled, Pregnant: card.Pregnant, CreatedAt: now, ClosedAt: card.Closed,
	}}).Exec, "mkab_lpu_guid_fkey", booking.Reject(booking.LpuAbsent))
}

func (t *tx) changeCard(w *registry.Write, card *registry.Card) {
	exec(t, t.MkabChange(t.ctx, []db.MkabChangeParams{{
		LpuGuid: w.Owner, Guid: w.Guid, Surname: card.Surname, Name: card.Name, Patronymic: card.Patronymic,
		BirthDate: card.BirthDate, Sex: db.Sex(card.Sex), Snils: card.Snils, Disabled: card.Disabled,
		Pregnant: card.Pregnant, ClosedAt: card.Closed,
	}}).Exec)
}

// removeCardKeys queues the statement that deletes the keys that a card no longer has.
func (t *tx) removeCardKeys(w *registry.Write, snils string, policies []registry.Policy, card *registry.Card) {
	var obsolete []db.CardKeyDeleteParams
	current := cardKeys(w.Owner, w.Guid, card.Snils, card.Policies)
	for _, key := range cardKeys(w.Owner, w.Guid, snils, policies) {
		if !slices.Contains(current, key) {
			obsolete = append(obsolete, db.CardKeyDeleteParams(key))
		}
	}
	if len(obsolete) > 0 {
		exec(t, t.CardKeyDelete(t.ctx, obsolete).Exec)
	}
}

// replacePolicies queues the statements that turn the policies of a card into the given ones.
func (t *tx) replacePolicies(w *registry.Write, known, wanted []registry.Policy) {
	var added []db.MkabPolicyAddParams
	var deleted []db.MkabPolicyDeleteParams
	for _, policy := range wanted {
		if !slices.Contains(known, policy) {
			added = append(added, db.MkabPolicyAddParams{
				LpuGuid: w.Owner, MkabGuid: w.Guid, Series: policy.Series, Number: policy.Number,
			})
		}
	}
	for _, policy := range known {
		if !slices.Contains(wanted, policy) {
			deleted = append(deleted, db.MkabPolicyDeleteParams{
				LpuGuid: w.Owner, MkabGuid: w.Guid, Series: policy.Series, Number: policy.Number,
			})
		}
	}
	if len(deleted) > 0 {
		exec(t, t.MkabPolicyDelete(t.ctx, deleted).Exec)
	}
	if len(added) > 0 {
		exec(t, t.MkabPolicyAdd(t.ctx, added).Exec)
	}
}

// Card implements registry.Store. It takes one round trip.
func (s *Store) Card(ctx context.Context, lpu, guid uuid.UUID) (card registry.StoredCard, err error) {
	err = s.snapshot(ctx, func(t *tx) {
		row(t, t.MkabGet(ctx, []db.MkabGetParams{{LpuGuid: lpu, Guid: guid}}).QueryRow,
			func(found db.MkabGetRow, err error) error {
				card.Card = registry.Card{
					Person: found.PersonGuid, Surname: found.Surname, Name: found.Name, Patronymic: found.Patronymic,
					BirthDate: found.BirthDate, Sex: booking.Sex(found.Sex), Snils: found.Snils,
					Disabled: found.Disabled, Pregnant: found.Pregnant,
				}
				card.MergedInto = found.MergedIntoGuid
				if err == nil {
					card.Closed, err = t.inZoneOf(lpu, found.ClosedAt)
				}
				return rejectIfAbsent(err, booking.ObjectAbsent)
			})
		t.readPolicies(lpu, guid, &card.Policies)
		t.readVersion(registry.Object{Owner: lpu, Kind: registry.KindCard, Guid: guid}, &card.Version)
	})
	return card, interpretError(err)
}

// inZoneOf returns a moment in the zone of an institution, or nil for nil.
func (t *tx) inZoneOf(lpu uuid.UUID, moment *time.Time) (*time.Time, error) {
	if moment == nil {
		return nil, nil //nolint:nilnil // no moment
	}
	zone, err := t.reference.zone(lpu)
	if err != nil {
		return nil, err
	}
	return new(moment.In(zone)), nil
}

// resolveCard queues the statement that reads which card of an institution a guid means, and keeps
// that card from being merged. send rejects the field CardGuid if there is none.
func (t *tx) resolveCard(lpu uuid.UUID, card *uuid.UUID) {
	row(t, t.MkabResolve(t.ctx, []db.MkabResolveParams{{LpuGuid: lpu, Guid: *card}}).QueryRow,
		func(found uuid.UUID, err error) error {
			if errors.Is(err, pgx.ErrNoRows) {
				return booking.InvalidField("CardGuid", booking.ProblemCardUnknown)
			}
			*card = found
			return err
		})
}
