package postgres

import (
	"context"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// WriteCase implements registry.Store. It runs one transaction in two round trips and the commit.
// It locks the card before the case, as a merge of cards does.
func (s *Store) WriteCase(ctx context.Context, w registry.Write, c registry.Case) (registry.ObjectResult, error) {
	return write(ctx, s, func(t *tx) (result registry.ObjectResult, err error) {
		card := c.Card
		t.recordWrite(&w, &result.Changed)
		t.resolveCard(w.Owner, &card)
		if err := t.send(); err != nil || !result.Changed {
			return result, err
		}
		exec(t, t.TapWrite(ctx, []db.TapWriteParams{{
			LpuGuid: w.Owner, Guid: w.Guid, MkabGuid: card, OpenedOn: c.OpenedOn, ClosedOn: c.ClosedOn,
		}}).Exec)
		return result, nil
	})
}

// DeleteCase implements registry.Store. It runs one transaction in two round trips and the commit.
func (s *Store) DeleteCase(ctx context.Context, w registry.Write) (registry.ObjectResult, error) {
	return writeObject(ctx, s, &w, func(t *tx) error {
		exec(t, t.TapDelete(ctx, []db.TapDeleteParams{{LpuGuid: w.Owner, Guid: w.Guid}}).Exec)
		return nil
	})
}

// Case implements registry.Store. It takes one round trip.
func (s *Store) Case(ctx context.Context, lpu, guid uuid.UUID) (c registry.StoredCase, err error) {
	err = s.snapshot(ctx, func(t *tx) {
		row(t, t.TapGet(ctx, []db.TapGetParams{{LpuGuid: lpu, Guid: guid}}).QueryRow,
			func(found db.TapGetRow, err error) error {
				c.Case = registry.Case{Card: found.MkabGuid, OpenedOn: found.OpenedOn, ClosedOn: found.ClosedOn}
				return rejectIfAbsent(err, booking.ObjectAbsent)
			})
		t.readVersion(registry.Object{Owner: lpu, Kind: registry.KindCase, Guid: guid}, &c.Version)
	})
	return c, interpretError(err)
}
