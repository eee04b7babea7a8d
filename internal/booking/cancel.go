package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// BookedVisit is a patient's appointment as it stands, with what decides whether it can still be cancelled.
type BookedVisit struct {
	Guid           uuid.UUID
	Lpu            uuid.UUID // where the visit is
	Direction      uuid.UUID
	DirectionLpu   uuid.UUID // where the original of the referral is held
	Type           DirectionType
	SpecialityCode string
	Start, End     time.Time
	OutOfSchedule  bool
	Cancelled      bool
	AfterStart     bool // the setting DeleteOldTime: it can be cancelled also after the visit has begun
}

// begun tells whether the visit has begun, by what a booking goes by: one on a day without a time has when the day is over.
func (v *BookedVisit) begun(now time.Time) bool {
	if v.OutOfSchedule && v.End.After(v.Start) {
		return !v.End.After(now)
	}
	return v.Start.Before(now)
}

// CancelReason is why an appointment is cancelled, as far as the client says.
type CancelReason struct {
	Code *int32
	Text *string // kept where the code is OtherReason
}

// OtherReason is the code of a reason that is told in words.
const OtherReason = 6

// Cancel cancels an appointment of the patient: its cells, its referral and its speciality are free again. To cancel it again changes nothing. It answers
// a *Refusal where the patient has no such appointment, or its visit has begun.
func (s *Service) Cancel(ctx context.Context, patient Patient, appointment uuid.UUID, reason CancelReason) error {
	now := s.now()
	visit, err := s.store.Visit(ctx, patient.Person, appointment)
	switch {
	case err != nil:
		return fmt.Errorf("find the appointment: %w", err)
	case visit == nil:
		return Refuse(AppointmentAbsent)
	case visit.Cancelled:
		return nil
	case visit.begun(now) && !visit.AfterStart:
		return Refuse(AppointmentStarted)
	}
	if err := s.store.Cancel(ctx, patient.Person, visit, reason, now); err != nil {
		return fmt.Errorf("cancel the appointment: %w", err)
	}
	return nil
}
