package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// AppointmentStatus is what has become of an appointment.
type AppointmentStatus string

// The statuses of an appointment; the first that applies, from the last to the first of these.
const (
	AppointmentStatusBooked    AppointmentStatus = "Booked"
	AppointmentStatusCompleted AppointmentStatus = "Completed" // the visit has ended
	AppointmentStatusCancelled AppointmentStatus = "Cancelled"
)

// PatientAppointment is an appointment as its patient sees it. Times are in the zone of its institution.
type PatientAppointment struct {
	Appointment

	Status        AppointmentStatus
	UpdatedAt     time.Time // when it was booked, moved or cancelled last
	OutOfSchedule bool
	IsCito        bool
	Comment       string
	Lpu           LpuName
	TimeZone      string // the IANA name
	Resource      Resource
	Direction     AppointmentDirection
	Cancellation  *Cancellation
}

// AppointmentDirection is the referral of an appointment, as the institution of the visit holds it.
type AppointmentDirection struct {
	Guid           uuid.UUID
	Holder         uuid.UUID // where the original is held
	Type           DirectionType
	Number         string
	SpecialityCode string
	SpecialityName string
}

// Cancellation says when an appointment was cancelled, and why where the client said so.
type Cancellation struct {
	At         time.Time
	ReasonCode *int32
	Reason     *string
}

func (a PatientAppointment) position() Position { return Position{a.Start, a.Guid, a.Lpu.Guid} }

// AppointmentFilter says which appointments are wanted; what is not given does not matter.
type AppointmentFilter struct {
	Guid         *uuid.UUID
	Direction    *uuid.UUID
	Statuses     []AppointmentStatus
	UpdatedSince *time.Time
}

// Appointments lists the patient's own appointments over all institutions, the newest start first, and where the next page begins, if there is one.
func (s *Service) Appointments(ctx context.Context, patient Patient, filter AppointmentFilter, page Page) ([]PatientAppointment, *Position, error) {
	found, err := s.store.Appointments(ctx, patient.Person, filter, page.oneMore(), s.now())
	if err != nil {
		return nil, nil, fmt.Errorf("list the appointments: %w", err)
	}
	items, next := cut(found, page.Limit)
	return items, next, nil
}

// Appointment gives one of the patient's own appointments. Another person's is absent.
func (s *Service) Appointment(ctx context.Context, patient Patient, guid uuid.UUID) (*PatientAppointment, error) {
	found, err := s.store.Appointments(ctx, patient.Person, AppointmentFilter{Guid: &guid}, Page{Limit: 1}, s.now())
	if err != nil {
		return nil, fmt.Errorf("read the appointment: %w", err)
	}
	if len(found) == 0 {
		return nil, Reject(AppointmentAbsent)
	}
	return &found[0], nil
}
