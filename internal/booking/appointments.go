package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// AppointmentStatus is the status of an appointment.
type AppointmentStatus string

// The statuses of an appointment. If several apply, the last of this list wins.
const (
	AppointmentStatusBooked    AppointmentStatus = "Booked"
	AppointmentStatusCompleted AppointmentStatus = "Completed" // the visit has ended, took place or was missed
	AppointmentStatusCancelled AppointmentStatus = "Cancelled"
)

// PatientAppointment is an appointment as returned to its patient. Times are in the zone of its
// institution.
type PatientAppointment struct {
	Appointment

	Status        AppointmentStatus
	UpdatedAt     time.Time // time of the last booking, move, cancel or change of the attendance
	OutOfSchedule bool
	IsCito        bool
	Comment       string
	Lpu           LpuPlace
	Resource      Resource
	Preparation   string // how to prepare for the visit; empty if unknown
	Direction     AppointmentDirection
	Cancellation  *Cancellation
	Move          *LastMove // nil if it was never moved
}

// AppointmentDirection is the referral of an appointment, as stored in the institution of the
// visit.
type AppointmentDirection struct {
	Guid           uuid.UUID
	Holder         uuid.UUID // the institution that holds the original
	Type           DirectionType
	Number         string
	SpecialityCode string
	SpecialityName string
}

// Cancellation is the time of a cancel, who wanted it, and why.
type Cancellation struct {
	CancelReason

	At        time.Time
	Initiator *Initiator   // nil if unknown: an earlier release has cancelled the visit
	Cause     *CancelCause // why the institution has cancelled; nil if the patient has
	Client    *uuid.UUID   // the client application that has cancelled; not for patients; nil as Initiator
}

func (a *PatientAppointment) position() Position { return Position{a.Start, a.Guid, a.Lpu.Guid} }

// AppointmentLister lists appointments.
type AppointmentLister interface {
	// Appointments reads a page of a person's appointments, the newest start first. now decides
	// which are completed.
	Appointments(
		ctx context.Context, person uuid.UUID, filter AppointmentFilter, page Page, now time.Time,
	) ([]PatientAppointment, error)
}

// AppointmentFilter selects appointments. Zero fields are ignored.
type AppointmentFilter struct {
	Guid             *uuid.UUID
	Direction        *uuid.UUID
	Lpu              *uuid.UUID // the institution of the visit
	Statuses         []AppointmentStatus
	DateFrom, DateTo *time.Time // days of the visit in its institution's zone, both inclusive
	UpdatedSince     *time.Time // or at most LateChange before it
}

// LateChange is the longest time from that of a change, which is taken when the request begins,
// until others can see it: twice the longest time of a request, for its statements and its commit.
const LateChange = 2 * time.Minute

// Appointments returns a page of the patient's appointments over all institutions, the newest start
// first, and the position of the next page, or nil if there is none.
func (s *Service) Appointments(
	ctx context.Context, patient Patient, filter AppointmentFilter, page Page,
) ([]PatientAppointment, *Position, error) {
	if filter.UpdatedSince != nil {
		filter.UpdatedSince = new(filter.UpdatedSince.Add(-LateChange))
	}
	found, err := s.ports.Appointments.Appointments(ctx, patient.Person, filter, page.PlusOne(), s.now())
	if err != nil {
		return nil, nil, fmt.Errorf("list the appointments: %w", err)
	}
	items, next := SplitPage(found, page.Limit, (*PatientAppointment).position)
	return items, next, nil
}

// Appointment returns one of the patient's appointments. It rejects with AppointmentAbsent if it
// does not exist or belongs to another patient.
func (s *Service) Appointment(ctx context.Context, patient Patient, guid uuid.UUID) (*PatientAppointment, error) {
	filter := AppointmentFilter{Guid: &guid}
	found, err := s.ports.Appointments.Appointments(ctx, patient.Person, filter, Page{Limit: 1}, s.now())
	if err != nil {
		return nil, fmt.Errorf("read the appointment: %w", err)
	}
	if len(found) == 0 {
		return nil, Reject(AppointmentAbsent)
	}
	return &found[0], nil
}
