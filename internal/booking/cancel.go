package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// CancelStore cancels booked visits.
type CancelStore interface {
	// Cancel cancels a person's appointment in one transaction and releases all that it holds. It
	// does nothing if the appointment is cancelled already.
	Cancel(ctx context.Context, cancellation NewCancellation) error
}

// BookedVisit is a patient's appointment with all that decides whether it can be cancelled or
// moved.
type BookedVisit struct {
	Guid           uuid.UUID
	Lpu            uuid.UUID // where the visit is
	Direction      uuid.UUID
	DirectionLpu   uuid.UUID // the institution that holds the original of the referral
	Type           DirectionType
	SpecialityCode string
	Start, End     time.Time
	OutOfSchedule  bool
	Slots          []uuid.UUID // in order of time
	Comment        string
	IsCito         bool
	CreatedAt      time.Time
	Version        int64 // 1 when it was booked, 1 more with each change
	Cancelled      bool
	Attendance     Attendance
	// AttendanceSince is when the attendance was first set, nil for AttendanceNone.
	AttendanceSince *time.Time
	Person          PersonRows
	AfterStart      bool // the setting DeleteOldTime: cancel and move are allowed after the start
	BookedBy        Booker
	Zone            *time.Location // of Lpu
}

// PersonRows locates the rows of a person.
type PersonRows struct {
	Lpus   []uuid.UUID // institutions with a medical card of the person, in order
	Visits []uuid.UUID // guids of all visits, also cancelled ones, newest first
}

// begun reports whether the visit has begun. A visit on a day without a time begins when the day is
// over.
func (v *BookedVisit) begun(now time.Time) bool {
	if v.OutOfSchedule && v.End.After(v.Start) {
		return !v.End.After(now)
	}
	return v.Start.Before(now)
}

// dayOver reports whether the day on which the visit starts is over, in the zone of its
// institution.
func (v *BookedVisit) dayOver(now time.Time) bool {
	return !now.Before(StartOfDay(v.Start.In(v.Zone).AddDate(0, 0, 1), v.Zone))
}

// NewCancellation is a patient's cancel that all rules accept.
type NewCancellation struct {
	Patient Patient
	Visit   *BookedVisit
	Reason  CancelReason
	At      time.Time
	Key     *TakenKey // nil without an idempotency key; Cancel stores the success under it
}

// CancelReason is the reason that the client sent, if any.
type CancelReason struct {
	Code *int32  // nil for a cancel by the institution
	Text *string // shown to the patient; in a patient's cancel set only if the code is OtherReason
}

// CancelCause is why an institution has cancelled a visit.
type CancelCause string

// RejectCancellation returns the refusal of a cancel by the visit's institution, or nil if it can
// be cancelled. The visit is active.
func (v *BookedVisit) RejectCancellation(now time.Time) *Refusal {
	switch {
	case v.Attendance != AttendanceNone:
		return Reject(AppointmentAttended)
	case now.After(v.End.Add(attendanceLimit)):
		return Reject(AttendanceFinal)
	}
	return nil
}

// The causes. CauseOther is explained only by text.
const (
	CauseDoctorAbsent      CancelCause = "doctor_absent"
	CauseEquipmentFailed   CancelCause = "equipment_failed"
	CauseScheduleChanged   CancelCause = "schedule_changed"
	CauseInstitutionClosed CancelCause = "institution_closed"
	CausePatientRequest    CancelCause = "patient_request"
	CausePatientDied       CancelCause = "patient_died"
	CauseBookedByMistake   CancelCause = "booked_by_mistake"
	CauseOther             CancelCause = "other"
)

// AllowedFor reports whether the initiator of a cancel can have this cause. The patient is told
// both, and they must not contradict each other.
func (c CancelCause) AllowedFor(initiator Initiator) bool {
	switch c {
	case CauseDoctorAbsent, CauseEquipmentFailed, CauseScheduleChanged, CauseInstitutionClosed:
		return initiator == ByInstitution
	case CausePatientRequest:
		return initiator == ByPatient
	default: // the desk learns of the others from either
		return true
	}
}

// OtherReason is the code of a reason given as text.
const OtherReason = 6

// Cancel cancels an appointment of the patient and frees its cells, its referral and its
// speciality. Cancelling again changes nothing. It returns a *Refusal if the patient has no such
// appointment, its visit has begun or its attendance is set. key is as for Book.
func (s *Service) Cancel(
	ctx context.Context, patient Patient, appointment uuid.UUID, reason CancelReason, key *Key,
) (replayed bool, err error) {
	_, replayed, err = s.withKey(ctx, patient, key, func(taken *TakenKey) (*HeldDirection, error) {
		return nil, s.cancel(ctx, patient, appointment, reason, taken)
	})
	return replayed, err
}

func (s *Service) cancel(
	ctx context.Context, patient Patient, appointment uuid.UUID, reason CancelReason, key *TakenKey,
) error {
	now := s.now()
	visit, err := s.ports.Reader.Visit(ctx, patient.Person, appointment)
	switch {
	case err != nil:
		return fmt.Errorf("find the appointment: %w", err)
	case visit == nil:
		return Reject(AppointmentAbsent)
	case visit.Cancelled:
		return s.keepResponse(ctx, key, nil)
	case visit.begun(now) && !visit.AfterStart:
		return Reject(AppointmentStarted)
	case visit.Attendance != AttendanceNone:
		return Reject(AppointmentAttended)
	}
	if err := s.ports.Cancels.Cancel(ctx, NewCancellation{patient, visit, reason, now, key}); err != nil {
		return fmt.Errorf("cancel the appointment: %w", err)
	}
	return nil
}
