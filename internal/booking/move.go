package booking

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// MoveStore moves booked visits.
type MoveStore interface {
	// Move rewrites a visit in one transaction under its guid and releases what it held before. It
	// returns ErrDirectionChanged like BookStore.Create, and ErrVisitChanged if another request has
	// cancelled the visit or changed it, so that wanted now means a different booking, or its
	// version is not wanted.Version.
	Move(
		ctx context.Context, appointment NewAppointment, wanted MoveRequest, visit *BookedVisit,
	) (*HeldDirection, error)
}

// MoveRequest requests another cell for a visit. Nil fields keep their values.
type MoveRequest struct {
	LpuTo      *uuid.UUID
	Place      Place // a cell, never out of schedule
	Difficulty int   // number of adjacent cells; 0: as many as now
	Comment    *string
	IsCito     *bool

	Version int64      // the version that the visit must have; 0: any
	Cause   *MoveCause // of an institution's move; nil for that of the patient
	Reason  *string    // as in LastMove
}

// Move moves an appointment of the patient to another cell. The appointment keeps its guid; if the
// move fails, it stays unchanged. Move applies the rules of a booking and ignores the visit's own
// claims. A move to the cells that the visit already has changes nothing. key and patient.Desk are
// as for Book.
func (s *Service) Move(
	ctx context.Context, patient Patient, appointment uuid.UUID, wanted MoveRequest, key *Key,
) (held *HeldDirection, replayed bool, err error) {
	return s.withKey(ctx, patient, key, func(taken *TakenKey) (*HeldDirection, error) {
		held, err := repeatIfChanged(func() (*HeldDirection, error) {
			return s.move(ctx, patient, appointment, wanted, taken)
		})
		return held, patient.withhold(err)
	})
}

func (s *Service) move(
	ctx context.Context, patient Patient, appointment uuid.UUID, wanted MoveRequest, key *TakenKey,
) (*HeldDirection, error) {
	now := s.now()
	visit, err := s.ports.Reader.Visit(ctx, patient.Person, appointment)
	if err != nil {
		return nil, fmt.Errorf("find the appointment: %w", err)
	}
	if refusal := visit.rejectRepetition(patient, now); refusal != nil {
		return nil, refusal
	}
	facts, err := s.ports.Reader.MoveFacts(ctx, patient, visit.Request(wanted), visit, now)
	if err != nil {
		return nil, fmt.Errorf("load the facts: %w", err)
	}
	visit = facts.Moved
	if refusal := visit.rejectRepetition(patient, now); refusal != nil {
		return nil, refusal
	}
	if visit.Request(wanted) != facts.Request {
		return nil, ErrVisitChanged
	}
	if facts.changesNothing() {
		return facts.Held, s.keepResponse(ctx, key, facts.Held)
	}
	if wanted.Version != 0 && wanted.Version != visit.Version {
		return nil, Reject(AppointmentVersionMismatch)
	}
	if refusal := Check(facts); refusal != nil {
		return nil, s.addNearest(ctx, facts, refusal)
	}
	if facts.Mkab == nil {
		if err := s.createMkab(ctx, facts); err != nil {
			return nil, err
		}
	}
	moved := facts.appointment(visit.Guid)
	moved.BookedBy, moved.Key = visit.BookedBy, key
	moved.LastMove = &LastMove{now, patient.initiator(), wanted.Cause, wanted.Reason}
	held, err := s.ports.Moves.Move(ctx, moved, wanted, visit)
	if err != nil {
		return nil, fmt.Errorf("move the appointment: %w", s.addRemedies(ctx, facts, err))
	}
	return held, nil
}

// rejectMove returns the refusal of any move of the visit, or nil if it can be moved. v may be nil.
func (v *BookedVisit) rejectMove(patient Patient, now time.Time) *Refusal {
	if refusal := v.rejectInactive(patient); refusal != nil {
		return refusal
	}
	tooLate := v.begun(now)
	if patient.atDesk() {
		tooLate = v.dayOver(now)
	}
	switch {
	case tooLate && !v.AfterStart:
		return Reject(AppointmentStarted)
	case v.Attendance != AttendanceNone:
		return Reject(AppointmentAttended)
	default:
		return nil
	}
}

// rejectRepetition returns the refusal of a move into the cells that the visit already has. An
// institution may repeat a move as long as the visit is active. v may be nil.
func (v *BookedVisit) rejectRepetition(patient Patient, now time.Time) *Refusal {
	if patient.atDesk() {
		return v.rejectInactive(patient)
	}
	return v.rejectMove(patient, now)
}

// rejectInactive returns the refusal of a move of a visit that does not exist or is cancelled. A
// visit in another institution does not exist for an institution. v may be nil.
func (v *BookedVisit) rejectInactive(patient Patient) *Refusal {
	switch {
	case v == nil || patient.atDesk() && v.Lpu != patient.Desk:
		return Reject(AppointmentAbsent)
	case v.Cancelled && patient.atDesk():
		return Reject(AppointmentNotActive)
	case v.Cancelled:
		return Reject(AppointmentCancelled)
	default:
		return nil
	}
}

// Request returns the booking that is equivalent to a move of the visit.
func (v *BookedVisit) Request(wanted MoveRequest) Request {
	request := Request{
		Direction: v.Direction, Type: v.Type, LpuFrom: v.DirectionLpu, LpuTo: v.Lpu,
		Place: wanted.Place, Difficulty: v.cells(wanted.Difficulty),
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

// changesNothing reports whether the move would change nothing.
func (f *Facts) changesNothing() bool {
	return f.Held != nil && f.Moved.Comment == f.Request.Comment && f.Moved.IsCito == f.Request.IsCito && f.keepsCells()
}

// keepsCells reports whether the facts are of a move of a visit into the cells that it already has.
func (f *Facts) keepsCells() bool {
	return len(f.Slots) > 0 && len(f.Slots) == f.Request.Difficulty &&
		slices.EqualFunc(f.Slots, f.Moved.OwnCells(f.Request.LpuTo), func(slot Slot, guid uuid.UUID) bool {
			return slot.Guid == guid
		})
}

// OwnCells returns the visit's cells in an institution. v may be nil.
func (v *BookedVisit) OwnCells(lpu uuid.UUID) []uuid.UUID {
	if v == nil || v.Cancelled || v.Lpu != lpu {
		return nil
	}
	return v.Slots
}

// findVisit returns an appointment of the patient. It returns nil if there is none, or for a nil
// guid.
func (s *Service) findVisit(ctx context.Context, patient Patient, appointment *uuid.UUID) (*BookedVisit, error) {
	if appointment == nil {
		return nil, nil //nolint:nilnil // no visit is requested
	}
	visit, err := s.ports.Reader.Visit(ctx, patient.Person, *appointment)
	if err != nil {
		return nil, fmt.Errorf("find the appointment: %w", err)
	}
	return visit, nil
}

// checkMoved checks that the visit to move, as it is in the facts, is booked with the referral of
// the request, and that a move with the difficulty takes as many cells as the request. It returns
// ErrVisitChanged if only the number of cells differs, else AppointmentAbsent.
func (f *Facts) checkMoved(difficulty int) error {
	visit := f.Moved
	switch {
	case visit == nil || visit.Direction != f.Request.Direction || visit.DirectionLpu != f.Request.LpuFrom:
		return Reject(AppointmentAbsent)
	case visit.cells(difficulty) != f.Request.Difficulty:
		return ErrVisitChanged
	default:
		return nil
	}
}

// cells returns the number of cells to take: difficulty if it is given, else the number of the
// moved visit, else 1. v may be nil.
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
