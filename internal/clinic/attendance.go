package clinic

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// AttendanceStore stores what became of visits.
type AttendanceStore interface {
	// WriteAttendance locks a visit as a cancel does and stores its attendance, if
	// booking.BookedVisit.RejectAttendance allows it. A visit that took place completes its
	// referral. A no-show releases its speciality and, by the setting NoShowReturnsReferral, its
	// referral, and claims them again if it is undone. It returns the visit. It returns a
	// *booking.Refusal if the institution has no such visit, or if the claims are lost.
	WriteAttendance(
		ctx context.Context, lpu, visit uuid.UUID, attendance booking.Attendance, now time.Time,
	) (Visit, error)
}

// Attend says what became of a visit and returns the visit. The same attendance changes nothing. It
// rejects with AppointmentAbsent, with AppointmentNotActive, with AttendanceEarly and
// AttendanceFinal, and, where a no-show is undone, with DirectionAlreadyBooked and
// SpecialityAlreadyBooked, which do not tell of visits in other institutions.
func (s *Service) Attend(ctx context.Context, lpu, visit uuid.UUID, attendance booking.Attendance) (Visit, error) {
	attended, err := s.store.WriteAttendance(ctx, lpu, visit, attendance, s.now())
	if err != nil {
		return Visit{}, fmt.Errorf("write the attendance: %w", booking.Withhold(lpu, err))
	}
	return attended, nil
}
