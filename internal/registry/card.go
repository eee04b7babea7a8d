package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Card is a patient's medical card in an institution (МКАБ) as its source describes it.
type Card struct {
	Person             uuid.UUID
	Surname, Name      string
	Patronymic         string
	BirthDate          time.Time // a day
	Sex                booking.Sex
	Snils              string
	Disabled, Pregnant bool
	Policies           []Policy // each once
	Closed             *time.Time
}

// Policy is an insurance policy (полис) of a card.
type Policy struct{ Series, Number string }

// StoredCard is a card as it is stored. Policies are in the order of series and number.
type StoredCard struct {
	Card

	Version    int64 // 0 if no source has written the card
	MergedInto *uuid.UUID
}

// CardStore writes cards, each write in one transaction under the lock of its source. A write
// returns a *booking.Refusal if it is rejected, and then changes nothing.
type CardStore interface {
	WriteCard(ctx context.Context, w Write, card Card, now time.Time) (ObjectResult, error)
	// MergeCard gives the referrals, open cases and visits of a card to another one, and closes it.
	MergeCard(ctx context.Context, w Write, into uuid.UUID, now time.Time) (ObjectResult, error)
	Card(ctx context.Context, lpu, guid uuid.UUID) (StoredCard, error)
}

// WriteCard creates or replaces a card. It rejects with VersionStale and VersionConflict, with
// MkabOpen if the card is open and the person has another open one in the institution, with
// GuidForeign if the card was merged into another, with LpuAbsent, and with FieldInvalid if a field
// is wrong or the card belongs to another person.
func (s *Service) WriteCard(ctx context.Context, lpu, guid uuid.UUID, version int64, card Card) (ObjectResult, error) {
	if refusal := card.check(); refusal != nil {
		return ObjectResult{}, refusal
	}
	card = card.normalized()
	w, err := newWrite(Object{lpu, KindCard, guid}, version, card)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.WriteCard(ctx, w, card, s.now())
	if err != nil {
		return ObjectResult{}, fmt.Errorf("write the card: %w", err)
	}
	return result, nil
}

// check rejects a card with impossible times or a repeated policy.
func (c *Card) check() *booking.Refusal {
	refusal := booking.CheckYear("BirthDate", c.BirthDate)
	if refusal == nil && c.Closed != nil {
		refusal = booking.CheckYear("Closed", *c.Closed)
	}
	known := make(map[Policy]bool, len(c.Policies))
	for i, policy := range c.Policies {
		if refusal == nil && known[policy] {
			refusal = booking.InvalidField(fmt.Sprintf("Policies.%d.Number", i), booking.ProblemRepeated)
		}
		known[policy] = true
	}
	return refusal
}

// normalized returns the card in the one form that equal cards have: with the policies in order,
// and the time in UTC.
func (c *Card) normalized() Card {
	card := *c
	card.Policies = slices.SortedFunc(slices.Values(c.Policies), func(a, b Policy) int {
		return cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(a.Number, b.Number))
	})
	if c.Closed != nil {
		card.Closed = new(c.Closed.UTC())
	}
	return card
}

// Card returns a card. It rejects with ObjectAbsent.
func (s *Service) Card(ctx context.Context, lpu, guid uuid.UUID) (StoredCard, error) {
	card, err := s.store.Card(ctx, lpu, guid)
	if err != nil {
		return StoredCard{}, fmt.Errorf("read the card: %w", err)
	}
	return card, nil
}

// MergeCard merges a duplicate card into an open card of the same person: its referrals, cases and
// visits become those of the other card, and it is closed for good. The version is one of the
// duplicate. MergeCard rejects with VersionStale and VersionConflict, with ObjectAbsent if there is
// no such card, with GuidForeign if it was merged before, and with FieldInvalid if the other card
// does not exist, is closed, is the same, or belongs to another person.
func (s *Service) MergeCard(
	ctx context.Context, lpu, guid uuid.UUID, version int64, into uuid.UUID,
) (ObjectResult, error) {
	if guid == into {
		return ObjectResult{}, booking.InvalidField("IntoCardGuid", booking.ProblemCardSame)
	}
	w, err := newWrite(Object{lpu, KindCard, guid}, version, struct{ MergedInto uuid.UUID }{into})
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.MergeCard(ctx, w, into, s.now())
	if err != nil {
		return ObjectResult{}, fmt.Errorf("merge the card: %w", err)
	}
	return result, nil
}
