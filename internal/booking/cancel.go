package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// VisitStore is where booked visits are moved and cancelled, and cells are held for visits to come.
type VisitStore interface {
	HoldStore

	// Visit reads a person's appointment, in whatever institution; nil where the person has none such.
	Visit(ctx context.Context, person, appointment uuid.UUID) (*BookedVisit, error)
	// MoveFacts reads what Facts does, in one snapshot with the visit that is to be moved, whose own claims are taken out.
	MoveFacts(ctx context.Context, patient Patient, request Request, visit *BookedVisit, now time.Time) (*Facts, error)
	// Move writes a visit anew in one transaction, under its guid, and gives back what it held before. It returns ErrVisitChanged
	// if another request has changed the visit meanwhile, so that wanted now means a different booking.
	Move(ctx context.Context, appointment NewAppointment, wanted MoveRequest, visit *BookedVisit) (*HeldDirection, error)
	// Cancel cancels a person's appointment in one transaction, and gives back all that it holds. Where it has been cancelled meanwhile nothing changes.
	Cancel(ctx context.Context, cancellation NewCancellation) error
}

// BookedVisit is a patient's appointment as it stands, with what decides whether it can still be cancelled or moved.
type BookedVisit struct {
	Guid           uuid.UUID
	Lpu            uuid.UUID // where the visit is
	Direction      uuid.UUID
	DirectionLpu   uuid.UUID // where the original of the referral is held
	Type           DirectionType
	SpecialityCode string
	Start, End     time.Time
	OutOfSchedule  bool
	Slots          []uuid.UUID // in order of time
	Comment        string
	IsCito         bool
	CreatedAt      time.Time
	Cancelled      bool
	Person         PersonRows
	AfterStart     bool // the setting DeleteOldTime: that is so also after the visit has begun
}

// PersonRows says where a person's rows are.
type PersonRows struct {
	Lpus   []uuid.UUID // where the person has medical cards, in order
	Visits []uuid.UUID // the guids of the person's visits, cancelled or not, the newest first
}

// begun tells whether the visit has begun, by what a booking goes by: one on a day without a time has when the day is over.
func (v *BookedVisit) begun(now time.Time) bool {
	if v.OutOfSchedule && v.End.After(v.Start) {
		return !v.End.After(now)
	}
	return v.Start.Before(now)
}

// NewCancellation is a cancel that the rules allow.
type NewCancellation struct {
	Person uuid.UUID
	Visit  *BookedVisit
	Reason CancelReason
	At     time.Time
	Key    *TakenKey // where the request has one; that it was done is written to it
}

// CancelReason is why an appointment is cancelled, as far as the client says.
type CancelReason struct {
	Code *int32
	Text *string // kept where the code is OtherReason
}

// OtherReason is the code of a reason that is told in words.
const OtherReason = 6

// Cancel cancels an appointment of the patient: its cells, its referral and its speciality are free again. To cancel it again changes nothing. It answers
// a *Refusal where the patient has no such appointment, or its visit has begun. key is that of Book.
func (s *Service) Cancel(ctx context.Context, patient Patient, appointment uuid.UUID, reason CancelReason, key *Key) (replayed bool, err error) {
	_, replayed, err = s.once(ctx, patient, key, func(taken *TakenKey) (*HeldDirection, error) {
		return nil, s.cancel(ctx, patient, appointment, reason, taken)
	})
	return replayed, err
}

func (s *Service) cancel(ctx context.Context, patient Patient, appointment uuid.UUID, reason CancelReason, key *TakenKey) error {
	now := s.now()
	visit, err := s.store.Visit(ctx, patient.Person, appointment)
	switch {
	case err != nil:
		return fmt.Errorf("find the appointment: %w", err)
	case visit == nil:
		return Reject(AppointmentAbsent)
	case visit.Cancelled:
		return s.keep(ctx, key, nil)
	case visit.begun(now) && !visit.AfterStart:
		return Reject(AppointmentStarted)
	}
	if err := s.store.Cancel(ctx, NewCancellation{patient.Person, visit, reason, now, key}); err != nil {
		return fmt.Errorf("cancel the appointment: %w", err)
	}
	return nil
}
