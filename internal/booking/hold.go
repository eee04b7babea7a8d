package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// HoldStore stores holds of cells for patients (удержание).
type HoldStore interface {
	// Holds returns the active holds of a person over all institutions, ordered by their end.
	Holds(ctx context.Context, person uuid.UUID, now time.Time) ([]Hold, error)
	// Hold holds the cells of a booking until the given moment, in one transaction. If the person
	// already has a hold that begins with the same cell, Hold returns that hold and changes
	// nothing. It rejects a person with two other holds with TooManyHolds. When a visit is moved,
	// its own places in the cells count as free, and Hold returns ErrVisitChanged if another
	// request has changed the visit's number of cells.
	Hold(ctx context.Context, appointment NewAppointment, visit *BookedVisit, until time.Time) (*Hold, error)
	// Release deletes a hold of a person in one transaction. It does nothing if the hold no longer
	// exists.
	Release(ctx context.Context, person uuid.UUID, hold Hold, now time.Time) error
}

// Hold is a set of adjacent cells held for a patient until a moment. Until then the held places are
// taken for all other patients. Times are in the institution's zone.
type Hold struct {
	Guid       uuid.UUID
	Lpu        uuid.UUID
	Slots      []uuid.UUID // in order of time
	Direction  uuid.UUID   // the referral of the request; the patient may book with another one
	Start, End time.Time
	Until      time.Time
}

// BeginsWith reports whether the hold begins with a cell of an institution. A person has at most
// one such hold.
func (h Hold) BeginsWith(lpu, slot uuid.UUID) bool { return h.Lpu == lpu && h.Slots[0] == slot }

// HoldRequest requests a hold of the cells of a booking, or of the move of a visit booked with the
// referral.
type HoldRequest struct {
	Request // Difficulty is 0 if not given

	Appointment *uuid.UUID // the visit to move; nil for a booking
	Length      time.Duration
}

// Hold holds the cells of a booking or a move for wanted.Length. It applies the same rules: cells
// can be held only if the booking or the move would succeed now. It does not query the master
// patient index, and assumes that a missing card can be created.
func (s *Service) Hold(ctx context.Context, patient Patient, wanted HoldRequest) (*Hold, error) {
	return repeatIfChanged(func() (*Hold, error) { return s.hold(ctx, patient, wanted) })
}

func (s *Service) hold(ctx context.Context, patient Patient, wanted HoldRequest) (*Hold, error) {
	now := s.now()
	facts, err := s.holdFacts(ctx, patient, wanted, now)
	if err != nil {
		return nil, err
	}
	if facts.Target != nil {
		facts.assumeMkab()
	}
	if refusal := Check(facts); refusal != nil {
		return nil, s.addNearest(ctx, facts, refusal)
	}
	until := now.Add(wanted.Length).Truncate(time.Second) // never longer than requested
	hold, err := s.ports.Holds.Hold(ctx, facts.appointment(uuid.Must(uuid.NewV7())), facts.Moved, until)
	if err != nil {
		return nil, fmt.Errorf("hold the cells: %w", s.addRemedies(ctx, facts, err))
	}
	return hold, nil
}

func (s *Service) holdFacts(ctx context.Context, patient Patient, wanted HoldRequest, now time.Time) (*Facts, error) {
	visit, err := s.findVisit(ctx, patient, wanted.Appointment)
	if err != nil {
		return nil, err
	}
	request := wanted.Request
	request.Difficulty = visit.cells(wanted.Difficulty)
	if wanted.Appointment == nil {
		facts, err := s.ports.Reader.Facts(ctx, patient, request, now)
		if err != nil {
			return nil, fmt.Errorf("load the facts: %w", err)
		}
		return facts, nil
	}
	if visit == nil {
		return nil, Reject(AppointmentAbsent)
	}
	facts, err := s.ports.Reader.MoveFacts(ctx, patient, request, visit, now)
	if err != nil {
		return nil, fmt.Errorf("load the facts of the move: %w", err)
	}
	return facts, facts.checkMoved(wanted.Difficulty)
}

// Release releases the patient's hold that begins with a cell. It does nothing if there is none.
func (s *Service) Release(ctx context.Context, patient Patient, lpu, slot uuid.UUID) error {
	now := s.now()
	holds, err := s.ports.Holds.Holds(ctx, patient.Person, now)
	if err != nil {
		return fmt.Errorf("find the hold: %w", err)
	}
	for _, hold := range holds {
		if !hold.BeginsWith(lpu, slot) {
			continue
		}
		if err := s.ports.Holds.Release(ctx, patient.Person, hold, now); err != nil {
			return fmt.Errorf("release the hold: %w", err)
		}
	}
	return nil
}
