package clinic

import (
	"context"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Written returns the visit that booking.Service.Book or booking.Service.Reassign has returned for
// an institution, as it was then. If it has no booking.HeldVisit, because nothing was changed, it
// returns the visit as it is now. It rejects with AppointmentAbsent if it is in another institution
// by then.
func (s *Service) Written(ctx context.Context, lpu uuid.UUID, held *booking.HeldDirection) (Visit, error) {
	v := held.Visit
	if v == nil {
		return s.Visit(ctx, lpu, held.Appointment.Guid)
	}
	zone := held.Appointment.Start.Location()
	visit := Visit{
		Guid: held.Appointment.Guid, Lpu: held.LpuTo, Version: v.Version, Status: booking.AppointmentStatusBooked,
		Start: held.Appointment.Start, End: held.Appointment.End, Person: v.Person, Mkab: held.Mkab,
		Direction: Direction{
			Guid: held.Direction.Guid, Holder: v.DirectionLpu, Type: held.Direction.Type, Number: held.Direction.Number,
		},
		Resource: Resource{Guid: v.Resource, Name: v.ResourceName}, Slots: v.Slots, OutOfSchedule: v.OutOfSchedule,
		IsCito: v.IsCito, Comment: v.Comment, Client: v.Client, CreatedAt: held.Appointment.CreatedAt,
		UpdatedAt: v.UpdatedAt.In(zone), Attendance: booking.AttendanceNone, BookedBy: v.BookedBy,
	}
	if !visit.End.After(v.UpdatedAt) { // out of schedule, at this moment
		visit.Status = booking.AppointmentStatusCompleted
	}
	if v.Move != nil {
		move := *v.Move
		move.At = move.At.In(zone)
		visit.Move = &move
	}
	return visit, nil
}
