package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// HoldStore is where cells are held for patients (удержание).
type HoldStore interface {
	// Holds reads the holds of a person that stand, over all institutions, the first to end first.
	Holds(ctx context.Context, person uuid.UUID, now time.Time) ([]Hold, error)
	// Hold holds the cells of a booking until a moment, in one transaction. Where the person has a hold that begins with the same cell, that is the answer and
	// nothing changes. It refuses whoever has two others with TooManyHolds. Of the move of a visit, its own places in the cells do not stand in the way.
	Hold(ctx context.Context, appointment NewAppointment, visit *BookedVisit, until time.Time) (*Hold, error)
	// Release gives back a hold of a person in one transaction. Where it is gone nothing changes.
	Release(ctx context.Context, person uuid.UUID, hold Hold, now time.Time) error
}

// Hold is a visit's cells, held for a patient until a moment. Until then they are full for everybody else. Times are in the institution's zone.
type Hold struct {
	Guid       uuid.UUID
	Lpu        uuid.UUID
	Slots      []uuid.UUID // in order of time
	Direction  uuid.UUID   // that it was asked for with; the patient may book with another
	Start, End time.Time
	Until      time.Time
}

// BeginsWith tells whether the hold begins with a cell of an institution: no two of a person do.
func (h Hold) BeginsWith(lpu, slot uuid.UUID) bool { return h.Lpu == lpu && h.Slots[0] == slot }

// HoldRequest asks for the cells of a booking to be held, or of the move of a visit that is booked with the referral.
type HoldRequest struct {
	Request // its Difficulty is 0 where it is not given

	Appointment *uuid.UUID // the visit
	Length      time.Duration
}

// Hold holds the cells of a booking or a move for some time. It goes by the rules of that: what is held could be booked right now, or moved to. The master
// patient index is not asked, so that a card that booking would make counts as made.
func (s *Service) Hold(ctx context.Context, patient Patient, wanted HoldRequest) (*Hold, error) {
	now := s.now()
	facts, err := s.holdFacts(ctx, patient, wanted, now)
	if err != nil {
		return nil, err
	}
	if facts.Target != nil {
		facts.assumeMkab()
	}
	if refusal := Check(facts); refusal != nil {
		return nil, s.offerNearest(ctx, facts, refusal)
	}
	until := now.Add(wanted.Length).Truncate(time.Second) // it stands for no longer than it is told to
	hold, err := s.store.Hold(ctx, facts.appointment(uuid.Must(uuid.NewV7())), facts.Moved, until)
	if err != nil {
		return nil, fmt.Errorf("hold the cells: %w", s.explain(ctx, facts, err))
	}
	return hold, nil
}

func (s *Service) holdFacts(ctx context.Context, patient Patient, wanted HoldRequest, now time.Time) (facts *Facts, err error) {
	visit, err := s.visitOf(ctx, patient, wanted.Appointment, wanted.Direction, wanted.LpuFrom)
	if err != nil {
		return nil, err
	}
	wanted.Difficulty = visit.cells(wanted.Difficulty)
	if visit == nil {
		facts, err = s.store.Facts(ctx, patient, wanted.Request, now)
	} else {
		facts, err = s.store.MoveFacts(ctx, patient, wanted.Request, visit, now)
	}
	if err != nil {
		return nil, fmt.Errorf("load the facts: %w", err)
	}
	return facts, nil
}

// Release gives back the patient's hold that begins with a cell. Where there is none nothing changes.
func (s *Service) Release(ctx context.Context, patient Patient, lpu, slot uuid.UUID) error {
	now := s.now()
	holds, err := s.store.Holds(ctx, patient.Person, now)
	if err != nil {
		return fmt.Errorf("find the hold: %w", err)
	}
	for _, hold := range holds {
		if !hold.BeginsWith(lpu, slot) {
			continue
		}
		if err := s.store.Release(ctx, patient.Person, hold, now); err != nil {
			return fmt.Errorf("release the hold: %w", err)
		}
	}
	return nil
}
