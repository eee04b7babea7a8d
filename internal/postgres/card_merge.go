package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/events"
	"talon.example/internal/registry"
)

// MergeCard implements registry.Store. It runs one transaction in six round trips and the commit.
//
// It locks in the order of bookings: originals, specialities, copies, cards. A referral or a visit
// that the card gets before the cards are locked is not locked, so that the merge is tried again.
// After that the card gets no more, because whatever names a card locks it.
func (s *Store) MergeCard(
	ctx context.Context, w registry.Write, into uuid.UUID, now time.Time,
) (registry.ObjectResult, error) {
	return write(ctx, s, func(t *tx) (registry.ObjectResult, error) {
		changes, person, err := t.beginMerge(&w)
		if err != nil || !changes {
			return registry.ObjectResult{}, err
		}
		contents, err := t.cardContents(w.Owner, w.Guid, person)
		if err != nil {
			return registry.ObjectResult{}, err
		}
		t.lockReferrals(w.Owner, contents.originals)
		rows(t, t.SpecialityClaimsLock(ctx, []uuid.UUID{person}).Query, func([]string) error { return nil })
		t.lockReferrals(w.Owner, contents.copies)
		if err := t.lockMergedCards(&w, into); err != nil {
			return registry.ObjectResult{}, err
		}
		again, err := t.cardContents(w.Owner, w.Guid, person)
		if err != nil {
			return registry.ObjectResult{}, err
		}
		if !again.equal(contents) {
			return registry.ObjectResult{}, errCardChanging
		}
		t.transfer(&w, into, contents, now)
		exec(t, t.MkabMergeEarlier(ctx, []db.MkabMergeEarlierParams{{
			LpuGuid: w.Owner, PersonGuid: person, Guid: w.Guid, IntoGuid: into,
		}}).Exec)
		exec(t, t.MkabMerge(ctx, []db.MkabMergeParams{{
			LpuGuid: w.Owner, Guid: w.Guid, IntoGuid: into, At: now,
		}}).Exec)
		return registry.ObjectResult{Changed: true}, t.send() // which queues the events
	})
}

// errCardChanging is a transient error: the card has got a referral or a visit meanwhile.
var errCardChanging = booking.Reject(booking.DatabaseUnavailable).Because(errors.New("the card is being changed"))

// beginMerge records the write and returns the person of the card. changes is false if the card was
// merged by the same write before.
func (t *tx) beginMerge(w *registry.Write) (changes bool, person uuid.UUID, err error) {
	t.recordWrite(w, &changes)
	row(t, t.MkabGet(t.ctx, []db.MkabGetParams{{LpuGuid: w.Owner, Guid: w.Guid}}).QueryRow,
		func(found db.MkabGetRow, err error) error {
			person = found.PersonGuid
			if err == nil && changes && found.MergedIntoGuid != nil {
				return booking.Reject(booking.GuidForeign)
			}
			return rejectIfAbsent(err, booking.ObjectAbsent)
		})
	err = t.send()
	return changes, person, err
}

// cardContents are the visits of a card, and the originals and copies of referrals that are its own
// or those of its visits. Each list is in the order of the guids.
type cardContents struct{ visits, originals, copies []uuid.UUID }

// equal reports whether two contents are the same.
func (c cardContents) equal(other cardContents) bool {
	return slices.Equal(c.visits, other.visits) && slices.Equal(c.originals, other.originals) &&
		slices.Equal(c.copies, other.copies)
}

// lockReferrals queues the statement that locks referrals, in the order of their guids.
func (t *tx) lockReferrals(lpu uuid.UUID, referrals []uuid.UUID) {
	locks := []db.ReferralsLockParams{{LpuGuid: lpu, Guids: referrals}}
	rows(t, t.ReferralsLock(t.ctx, locks).Query, func([]uuid.UUID) error { return nil })
}

// cardContents reads the contents of a card in two round trips.
func (t *tx) cardContents(lpu, card, person uuid.UUID) (found cardContents, err error) {
	var all booking.PersonRows
	t.personRows(person, &all)
	rows(t, t.ReferralsOfCard(t.ctx, []db.ReferralsOfCardParams{{
		LpuGuid: lpu, MkabGuid: card, Most: maxVisits,
	}}).Query, func(guids []uuid.UUID) error {
		found.originals = guids
		return nil
	})
	if err := t.send(); err != nil {
		return found, err
	}
	rows(t, t.AppointmentsOfCard(t.ctx, []db.AppointmentsOfCardParams{{
		LpuGuid: lpu, MkabGuid: card, Visits: all.Visits, Most: maxVisits,
	}}).Query, func(visits []db.AppointmentsOfCardRow) error {
		for _, visit := range visits {
			found.visits = append(found.visits, visit.Guid)
			if visit.DirectionLpuGuid == lpu {
				found.originals = append(found.originals, visit.DirectionGuid)
			} else {
				found.copies = append(found.copies, visit.DirectionGuid)
			}
		}
		return nil
	})
	if err := t.send(); err != nil {
		return found, err
	}
	if len(found.originals)+len(found.copies) >= maxVisits {
		return found, fmt.Errorf("the card has more than %d referrals and visits", maxVisits)
	}
	found.originals, found.copies = inOrder(found.originals), inOrder(found.copies)
	return found, nil
}

// inOrder returns the guids in order, each once.
func inOrder(guids []uuid.UUID) []uuid.UUID {
	slices.SortFunc(guids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(guids)
}

// lockMergedCards locks both cards of a merge. It rejects the field IntoCardGuid unless the other
// card is open and of the same person.
func (t *tx) lockMergedCards(w *registry.Write, into uuid.UUID) error {
	var cards []db.MkabPairLockRow
	rows(t, t.MkabPairLock(t.ctx, []db.MkabPairLockParams{{
		LpuGuid: w.Owner, Guids: []uuid.UUID{w.Guid, into},
	}}).Query, func(found []db.MkabPairLockRow) error {
		cards = found
		return nil
	})
	if err := t.send(); err != nil {
		return err
	}
	if len(cards) < 2 { // the duplicate exists, because cards are never deleted
		return booking.InvalidField("IntoCardGuid", booking.ProblemCardUnknown)
	}
	target := cards[slices.IndexFunc(cards, func(card db.MkabPairLockRow) bool { return card.Guid == into })]
	switch {
	case cards[0].PersonGuid != cards[1].PersonGuid:
		return booking.InvalidField("IntoCardGuid", booking.ProblemPersonOther)
	case target.ClosedAt != nil:
		return booking.InvalidField("IntoCardGuid", booking.ProblemCardClosed)
	}
	return nil
}

// transfer queues the statements that give the contents of a card to another one. When they have
// been sent, it queues the events of the visits.
func (t *tx) transfer(w *registry.Write, into uuid.UUID, contents cardContents, now time.Time) {
	exec(t, t.ReferralTransfer(t.ctx, []db.ReferralTransferParams{{
		LpuGuid: w.Owner, Guids: slices.Concat(contents.originals, contents.copies), MkabGuid: w.Guid, IntoGuid: into,
	}}).Exec)
	rows(t, t.AppointmentTransfer(t.ctx, []db.AppointmentTransferParams{{
		LpuGuid: w.Owner, Visits: contents.visits, MkabGuid: w.Guid, IntoGuid: into,
	}}).Query, func(visits []db.AppointmentTransferRow) error {
		changed := make([]events.Event, len(visits))
		for i, visit := range visits {
			changed[i] = events.Event{
				Lpu: w.Owner, Type: events.AppointmentChanged, At: now, Appointment: visit.Guid,
				Direction: visit.DirectionGuid, Resource: visit.ResourceGuid, Version: visit.Version,
			}
		}
		t.tell(changed...)
		return nil
	})
	exec(t, t.TapTransfer(t.ctx, []db.TapTransferParams{{
		LpuGuid: w.Owner, MkabGuid: w.Guid, IntoGuid: into,
	}}).Exec)
}
