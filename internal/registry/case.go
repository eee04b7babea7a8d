package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Case is a case of treatment (ТАП) as its source describes it.
type Case struct {
	Card     uuid.UUID
	OpenedOn time.Time  // a day
	ClosedOn *time.Time // a day; nil while it is open
}

// StoredCase is a case as it is stored.
type StoredCase struct {
	Case

	Version int64 // 0 if no source has written the case
}

// CaseStore writes cases as CardStore writes cards.
type CaseStore interface {
	WriteCase(ctx context.Context, w Write, c Case) (ObjectResult, error)
	DeleteCase(ctx context.Context, w Write) (ObjectResult, error)
	Case(ctx context.Context, lpu, guid uuid.UUID) (StoredCase, error)
}

// WriteCase creates or replaces a case. It rejects with VersionStale and VersionConflict, and with
// FieldInvalid if a day is wrong or the institution has no such card.
func (s *Service) WriteCase(ctx context.Context, lpu, guid uuid.UUID, version int64, c Case) (ObjectResult, error) {
	if refusal := c.check(); refusal != nil {
		return ObjectResult{}, refusal
	}
	w, err := newWrite(Object{lpu, KindCase, guid}, version, c)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.WriteCase(ctx, w, c)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("write the case: %w", err)
	}
	return result, nil
}

// check rejects a case with impossible days.
func (c *Case) check() *booking.Refusal {
	refusal := booking.CheckYear("OpenedOn", c.OpenedOn)
	if refusal != nil || c.ClosedOn == nil {
		return refusal
	}
	if c.ClosedOn.Before(c.OpenedOn) {
		return booking.InvalidField("ClosedOn", booking.ProblemBeforeOpened)
	}
	return booking.CheckYear("ClosedOn", *c.ClosedOn)
}

// DeleteCase deletes a case. The deletion is recorded even if there is none. It rejects with
// VersionStale and VersionConflict.
func (s *Service) DeleteCase(ctx context.Context, lpu, guid uuid.UUID, version int64) (ObjectResult, error) {
	w, err := newDeletion(Object{lpu, KindCase, guid}, version)
	if err != nil {
		return ObjectResult{}, err
	}
	result, err := s.store.DeleteCase(ctx, w)
	if err != nil {
		return ObjectResult{}, fmt.Errorf("delete the case: %w", err)
	}
	return result, nil
}

// Case returns a case. It rejects with ObjectAbsent.
func (s *Service) Case(ctx context.Context, lpu, guid uuid.UUID) (StoredCase, error) {
	c, err := s.store.Case(ctx, lpu, guid)
	if err != nil {
		return StoredCase{}, fmt.Errorf("read the case: %w", err)
	}
	return c, nil
}
