package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// MoveRequest asks for another cell for a visit. What is not given stays as it is.
type MoveRequest struct {
	LpuTo      *uuid.UUID
	Place      Place // a cell
	Difficulty int   // how many adjacent cells; 0 where it is not given
	Comment    *string
	IsCito     *bool
}

// moveTries is how often a move is judged anew where its visit was moved by another meanwhile.
const moveTries = 5

// Move moves an appointment of the patient to another cell: either it is moved, keeping its guid, or it stands untouched. It goes by the rules of a booking,
// its own claims taken out; a visit never blocks its own move. Into the cells that it has nothing changes. key is that of Book.
func (s *Service) Move(
	ctx context.Context, patient Patient, appointment uuid.UUID, wanted MoveRequest, key *Key,
) (held *HeldDirection, replayed bool, err error) {
	return s.once(ctx, patient, key, func(taken *TakenKey) (*HeldDirection, error) { return s.move(ctx, patient, appointment, wanted, taken) })
}

func (s *Service) move(ctx context.Context, patient Patient, appointment uuid.UUID, wanted MoveRequest, key *TakenKey) (*HeldDirection, error) {
	now := s.now()
	visit, err := s.store.Visit(ctx, patient.Person, appointment)
	if err != nil {
		return nil, fmt.Errorf("find the appointment: %w", err)
	}
	for range moveTries {
		if refusal := visit.refuseMove(now); refusal != nil {
			return nil, refusal
		}
		facts, err := s.store.MoveFacts(ctx, patient, visit.Request(wanted), visit, now)
		if err != nil {
			return nil, fmt.Errorf("load the facts: %w", err)
		}
		visit = facts.Moved
		if visit.refuseMove(now) != nil || visit.Request(wanted) != facts.Request {
			continue // what the request leaves as it is, is not as it was
		}
		if facts.stays() {
			return facts.Held, s.keep(ctx, key, facts.Held)
		}
		if refusal := Check(facts); refusal != nil {
			return nil, s.offerNearest(ctx, facts, refusal)
		}
		if facts.Mkab == nil {
			if err := s.createMkab(ctx, facts); err != nil {
				return nil, err
			}
		}
		moved := facts.appointment(visit.Guid)
		moved.Key = key
		held, err := s.store.Move(ctx, moved, wanted, visit)
		if errors.Is(err, ErrVisitChanged) {
			if visit, err = s.store.Visit(ctx, patient.Person, appointment); err != nil {
				return nil, fmt.Errorf("find the appointment again: %w", err)
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("move the appointment: %w", s.explain(ctx, facts, err))
		}
		return held, nil
	}
	return nil, Reject(Overloaded).Because(errors.New("the appointment is being moved all the time"))
}

// ErrVisitChanged is returned by VisitStore.Move if another request has changed, after the rules were checked, what the move leaves unchanged. The caller must
// check the rules again.
var ErrVisitChanged = errors.New("the visit was changed meanwhile")

// refuseMove tells why the visit, if there is one, cannot be moved anywhere.
func (v *BookedVisit) refuseMove(now time.Time) *Refusal {
	switch {
	case v == nil:
		return Reject(AppointmentAbsent)
	case v.Cancelled:
		return Reject(AppointmentCancelled)
	case v.begun(now) && !v.AfterStart:
		return Reject(AppointmentStarted)
	default:
		return nil
	}
}

// Request is the booking that a move of the visit amounts to.
func (v *BookedVisit) Request(wanted MoveRequest) Request {
	request := Request{
		Direction: v.Direction, Type: v.Type, LpuFrom: v.DirectionLpu, LpuTo: v.Lpu, Place: wanted.Place, Difficulty: v.cells(wanted.Difficulty),
		Comment: v.Comment, IsCito: v.IsCito,
	}
	if wanted.LpuTo != nil {
		request.LpuTo = *wanted.LpuTo
	}
	if wanted.Comment != nil {
		request.Comment = *wanted.Comment
	}
	if wanted.IsCito != nil {
		request.IsCito = *wanted.IsCito
	}
	return request
}

// stays tells whether the move would change nothing.
func (f *Facts) stays() bool {
	return f.Held != nil && f.Moved.Comment == f.Request.Comment && f.Moved.IsCito == f.Request.IsCito && f.staysPut()
}

// staysPut tells whether this is the move of a visit into the very cells that it has.
func (f *Facts) staysPut() bool {
	return len(f.Slots) > 0 && len(f.Slots) == f.Request.Difficulty &&
		slices.EqualFunc(f.Slots, f.Moved.OwnCells(f.Request.LpuTo), func(slot Slot, guid uuid.UUID) bool { return slot.Guid == guid })
}

// OwnCells are the cells in an institution where the visit that is to be moved, if there is one, has a place.
func (v *BookedVisit) OwnCells(lpu uuid.UUID) []uuid.UUID {
	if v == nil || v.Cancelled || v.Lpu != lpu {
		return nil
	}
	return v.Slots
}

// visitOf finds an appointment of the patient's that is booked with a referral. A nil guid is that of none.
func (s *Service) visitOf(ctx context.Context, patient Patient, appointment *uuid.UUID, direction, holder uuid.UUID) (*BookedVisit, error) {
	visit, err := s.findVisit(ctx, patient, appointment)
	if err == nil && appointment != nil && !visit.isOf(direction, holder) {
		return nil, Reject(AppointmentAbsent)
	}
	return visit, err
}

// findVisit finds an appointment of the patient's; nil: there is none, or a nil guid is asked for.
func (s *Service) findVisit(ctx context.Context, patient Patient, appointment *uuid.UUID) (*BookedVisit, error) {
	if appointment == nil {
		return nil, nil //nolint:nilnil // a new visit is wanted
	}
	visit, err := s.store.Visit(ctx, patient.Person, *appointment)
	if err != nil {
		return nil, fmt.Errorf("find the appointment: %w", err)
	}
	return visit, nil
}

// isOf tells whether a visit is booked with a referral.
func (v *BookedVisit) isOf(direction, holder uuid.UUID) bool {
	return v != nil && v.Direction == direction && v.DirectionLpu == holder
}

// cells is how many cells a visit is to take: so many, or where that is not given as many as the one to be moved has, if there is one.
func (v *BookedVisit) cells(difficulty int) int {
	switch {
	case difficulty > 0:
		return difficulty
	case v == nil:
		return 1
	default:
		return max(len(v.Slots), 1)
	}
}
