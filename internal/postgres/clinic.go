package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/clinic"
)

// The bounds of the days of a list without dateFrom or dateTo.
var (
	firstMoment = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	lastMoment  = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Visits implements clinic.VisitStore. It takes one round trip.
func (s *Store) Visits(
	ctx context.Context, filter clinic.VisitFilter, page booking.Page, now time.Time,
) ([]clinic.Visit, error) {
	return listSnapshot(ctx, s, func(t *tx, visits *[]clinic.Visit) {
		place, err := t.reference.registered(filter.Lpu)
		if err != nil {
			t.fail(err)
			return
		}
		from, to := period(filter, place.Zone)
		if filter.UpdatedSince != nil {
			t.visitsByUpdate(filter, page, from, to, now, func(row db.VisitGetRow) {
				*visits = append(*visits, visitOf(&row, place.Zone))
			})
			return
		}
		params := db.VisitsByStartParams{
			LpuGuid: filter.Lpu, FromAt: from, ToAt: to, ResourceGuid: filter.Resource,
			Statuses: toStrings(filter.Statuses), At: now, Most: int32(page.Limit),
		}
		if page.After != nil && !page.After.At.Before(from) {
			params.FromAt, params.AfterGuid = page.After.At, page.After.Guid
		}
		rows(t, t.VisitsByStart(t.ctx, []db.VisitsByStartParams{params}).Query, func(rows []db.VisitsByStartRow) error {
			for _, row := range rows {
				*visits = append(*visits, visitOf((*db.VisitGetRow)(&row), place.Zone))
			}
			return nil
		})
	})
}

// visitsByUpdate queues the statement that reads visits in order of their last change, and calls
// add for each.
func (t *tx) visitsByUpdate(
	filter clinic.VisitFilter, page booking.Page, from, to, now time.Time, add func(db.VisitGetRow),
) {
	params := db.VisitsByUpdateParams{
		LpuGuid: filter.Lpu, SinceAt: *filter.UpdatedSince, FromAt: from, ToAt: to, ResourceGuid: filter.Resource,
		Statuses: toStrings(filter.Statuses), At: now, Most: int32(page.Limit),
	}
	if page.After != nil && !page.After.At.Before(params.SinceAt) {
		params.SinceAt, params.AfterGuid = page.After.At, page.After.Guid
	}
	rows(t, t.VisitsByUpdate(t.ctx, []db.VisitsByUpdateParams{params}).Query, func(rows []db.VisitsByUpdateRow) error {
		for _, row := range rows {
			add(db.VisitGetRow(row))
		}
		return nil
	})
}

// period returns the period of the days of a filter: from its first moment until before the last.
func period(filter clinic.VisitFilter, zone *time.Location) (from, to time.Time) {
	from, to = firstMoment, lastMoment
	if filter.DateFrom != nil {
		from = booking.StartOfDay(*filter.DateFrom, zone)
	}
	if filter.DateTo != nil {
		to = booking.StartOfDay(filter.DateTo.AddDate(0, 0, 1), zone)
	}
	return from, to
}

// InstitutionVisit implements clinic.VisitStore.
func (s *Store) InstitutionVisit(
	ctx context.Context, lpu, guid uuid.UUID, now time.Time,
) (clinic.Visit, error) {
	return listSnapshot(ctx, s, func(t *tx, visit *clinic.Visit) { t.institutionVisit(lpu, guid, now, visit) })
}

// institutionVisit queues the statement that reads a visit of an institution into visit. It loses
// with AppointmentAbsent.
func (t *tx) institutionVisit(lpu, guid uuid.UUID, now time.Time, visit *clinic.Visit) {
	row(t, t.VisitGet(t.ctx, []db.VisitGetParams{{LpuGuid: lpu, Guid: guid, At: now}}).QueryRow,
		func(row db.VisitGetRow, err error) error {
			if err != nil {
				return rejectIfAbsent(err, booking.AppointmentAbsent)
			}
			zone, err := t.reference.zone(lpu)
			if err == nil {
				*visit = visitOf(&row, zone)
			}
			return err
		})
}

func visitOf(row *db.VisitGetRow, zone *time.Location) clinic.Visit {
	visit := clinic.Visit{
		Guid: row.Guid, Lpu: row.LpuGuid, Version: row.Version, Status: booking.AppointmentStatus(row.Status),
		Start: row.StartAt.In(zone), End: row.EndAt.In(zone), Person: row.PersonGuid, Mkab: row.MkabGuid,
		Direction: clinic.Direction{
			Guid: row.DirectionGuid, Holder: row.DirectionLpuGuid, Type: booking.DirectionType(row.DirectionType),
			Number: row.DirectionNumber,
		},
		Resource: clinic.Resource{Guid: row.ResourceGuid, Name: row.ResourceName}, Slots: row.SlotGuids,
		OutOfSchedule: row.OutOfSchedule, IsCito: row.IsCito, Comment: row.Comment, Client: row.ClientGuid,
		CreatedAt: row.CreatedAt.In(zone), UpdatedAt: row.UpdatedAt.In(zone),
		Attendance: booking.Attendance(row.Attendance),
		BookedBy:   booking.Booker{Initiator: booking.Initiator(row.BookedBy), Client: row.BookedClientGuid},
		Move:       lastMove(row.MovedAt, row.MovedBy, row.MoveCause, row.MoveReason, zone),
	}
	if row.CancelledAt != nil {
		visit.Cancellation = &booking.Cancellation{
			At:           row.CancelledAt.In(zone),
			CancelReason: booking.CancelReason{Code: row.CancelReasonCode, Text: row.CancelReason},
			Initiator:    (*booking.Initiator)(row.CancelInitiator), Cause: (*booking.CancelCause)(row.CancelCause),
			Client: row.CancelClientGuid,
		}
	}
	receipt := receiptOf(row.ReceiptStatus, row.ReceiptVersion, row.ReceiptReason, row.ReceiptNumber)
	if receipt != nil {
		visit.Receipt = &clinic.StoredReceipt{Receipt: *receipt, At: row.ReceiptAt.In(zone)}
	}
	if row.AttendanceAt != nil {
		visit.AttendanceAt = new(row.AttendanceAt.In(zone))
	}
	return visit
}

// receiptOf returns the receipt in the columns of a visit, nil if there is none.
func receiptOf(status *string, version *int64, reason, number string) *clinic.Receipt {
	if status == nil {
		return nil
	}
	return &clinic.Receipt{Version: *version, Status: clinic.ReceiptStatus(*status), Reason: reason, Number: number}
}
