package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Appointments implements booking.AppointmentLister.
func (s *Store) Appointments(
	ctx context.Context, person uuid.UUID, filter booking.AppointmentFilter, page booking.Page, now time.Time,
) ([]booking.PatientAppointment, error) {
	params := db.AppointmentListParams{
		At: now, PersonGuid: person, Guid: filter.Guid, DirectionGuid: filter.Direction,
		Statuses: toStrings(filter.Statuses), UpdatedSince: filter.UpdatedSince,
		LpuGuid: filter.Lpu, DateFrom: filter.DateFrom, DateTo: filter.DateTo,
		Most: int32(page.Limit),
	}
	if after := page.After; after != nil {
		params.AfterAt, params.AfterGuid, params.AfterLpuGuid = &after.At, &after.Guid, &after.Lpu
	}
	return list(ctx, s, func(
		ctx context.Context, conn db.DBTX, known *reference,
	) ([]booking.PatientAppointment, error) {
		var found booking.PersonRows
		t := newTx(ctx, conn)
		t.personRows(person, &found)
		if err := t.send(); err != nil {
			return nil, err
		}
		params.LpuGuids, params.Visits = found.Lpus, found.Visits
		rows, err := db.New(conn).AppointmentList(ctx, params)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 && filter.Guid != nil && slices.Contains(found.Visits, *filter.Guid) {
			return nil, errVisitMoving
		}
		appointments := make([]booking.PatientAppointment, len(rows))
		for i := range rows {
			lpu, err := known.place(rows[i].LpuGuid)
			if err != nil {
				return nil, err
			}
			appointments[i] = patientAppointment(&rows[i], lpu)
		}
		return appointments, nil
	})
}

func patientAppointment(row *db.AppointmentListRow, lpu booking.LpuPlace) booking.PatientAppointment {
	zone := lpu.Zone
	appointment := booking.PatientAppointment{
		Appointment: booking.Appointment{
			Guid: row.Guid, Start: row.StartAt.In(zone), End: row.EndAt.In(zone), CreatedAt: row.CreatedAt.In(zone),
		},
		Status:        booking.AppointmentStatus(row.Status),
		UpdatedAt:     row.UpdatedAt.In(zone),
		OutOfSchedule: row.OutOfSchedule,
		IsCito:        row.IsCito,
		Comment:       row.Comment,
		Lpu:           lpu,
		Resource: booking.Resource{
			Guid: row.ResourceGuid, Kind: booking.ResourceKind(row.ResourceKind), Name: row.ResourceName,
			Room: row.ResourceRoom, SpecialityCode: row.ResourceSpecialityCode,
		},
		Preparation: row.Preparation,
		Direction: booking.AppointmentDirection{
			Guid: row.DirectionGuid, Holder: row.DirectionLpuGuid, Type: booking.DirectionType(row.DirectionType),
			Number: row.DirectionNumber, SpecialityCode: row.SpecialityCode, SpecialityName: row.SpecialityName,
		},
	}
	if row.CancelledAt != nil {
		appointment.Cancellation = &booking.Cancellation{
			At:           row.CancelledAt.In(zone),
			CancelReason: booking.CancelReason{Code: row.CancelReasonCode, Text: row.CancelReason},
			Initiator:    (*booking.Initiator)(row.CancelInitiator), Cause: (*booking.CancelCause)(row.CancelCause),
		}
	}
	appointment.Move = lastMove(row.MovedAt, row.MovedBy, row.MoveCause, row.MoveReason, zone)
	return appointment
}

// lastMove returns the last move in the columns of a visit, nil if there is none.
func lastMove(at *time.Time, by, cause, reason *string, zone *time.Location) *booking.LastMove {
	if by == nil {
		return nil
	}
	return &booking.LastMove{
		At: at.In(zone), Initiator: booking.Initiator(*by), Cause: (*booking.MoveCause)(cause), Reason: reason,
	}
}
