package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Directions implements booking.DirectionLister.
func (s *Store) Directions(
	ctx context.Context, person uuid.UUID, filter booking.DirectionFilter, page booking.Page, now time.Time,
) ([]booking.PatientDirection, error) {
	params := db.DirectionListParams{
		At: now, PersonGuid: person, Guid: filter.Guid, Number: filter.Number,
		Type: nilIfZero(db.DirectionType(filter.Type)), Statuses: toStrings(filter.Statuses),
		DateFrom: filter.DateFrom, DateTo: filter.DateTo, Most: int32(page.Limit),
	}
	if after := page.After; after != nil {
		params.AfterAt, params.AfterGuid, params.AfterLpuGuid = &after.At, &after.Guid, &after.Lpu
	}
	return list(ctx, s, func(ctx context.Context, conn db.DBTX, known *reference) ([]booking.PatientDirection, error) {
		var err error
		if params.LpuGuids, err = personLpus(ctx, conn, person); err != nil {
			return nil, err
		}
		rows, err := db.New(conn).DirectionList(ctx, params)
		if err != nil {
			return nil, err
		}
		directions := make([]booking.PatientDirection, len(rows))
		for i := range rows {
			if directions[i], err = known.patientDirection(&rows[i]); err != nil {
				return nil, err
			}
		}
		return directions, nil
	})
}

func (r *reference) patientDirection(row *db.DirectionListRow) (booking.PatientDirection, error) {
	zone, err := r.zone(row.LpuGuid)
	if err != nil {
		return booking.PatientDirection{}, err
	}
	visit, err := r.visitOf(row)
	if err != nil {
		return booking.PatientDirection{}, err
	}
	direction := booking.PatientDirection{
		Guid:           row.Guid,
		Holder:         row.LpuGuid,
		Type:           booking.DirectionType(row.Type),
		Number:         row.Number,
		Status:         booking.DirectionStatus(row.Status),
		Date:           booking.StartOfDay(row.Date, zone),
		DateEnd:        booking.StartOfDay(row.DateEnd, zone),
		CreatedAt:      row.CreatedAt.In(zone),
		Urgent:         row.Urgent,
		From:           booking.LpuName{Guid: row.LpuFromGuid, Name: row.LpuFromName},
		SpecialityCode: row.SpecialityCode,
		SpecialityName: row.SpecialityName,
		MkbCode:        row.MkbCode,
		MkbName:        row.MkbName,
		Visit:          visit,
	}
	if row.LpuToGuid != nil && row.LpuToName != nil {
		direction.To = &booking.LpuName{Guid: *row.LpuToGuid, Name: *row.LpuToName}
	}
	return direction, nil
}

// visitOf returns the visit that a referral names, or nil if it names none.
func (r *reference) visitOf(row *db.DirectionListRow) (*booking.ExistingAppointment, error) {
	if row.AppointmentGuid == nil || row.AppointmentLpuGuid == nil ||
		row.AppointmentStartAt == nil || row.AppointmentEndAt == nil {
		return nil, nil //nolint:nilnil // a referral without a visit
	}
	visit, err := r.existingAppointment(
		*row.AppointmentGuid, *row.AppointmentLpuGuid, *row.AppointmentStartAt, *row.AppointmentEndAt,
	)
	return &visit, err
}

// nilIfZero returns a pointer to a value, or nil for the zero value.
func nilIfZero[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// toStrings converts values to strings. The result is never nil, because the statements expect an
// empty array and not NULL.
func toStrings[T ~string](values []T) []string {
	converted := make([]string, len(values))
	for i, value := range values {
		converted[i] = string(value)
	}
	return converted
}
