package clinic

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Visit is a visit (запись на прием) as its institution sees it. Times are in the institution's
// zone.
type Visit struct {
	Guid          uuid.UUID
	Lpu           uuid.UUID
	Version       int64 // 1 when it was booked, 1 more with each change
	Status        booking.AppointmentStatus
	Start, End    time.Time
	Person        uuid.UUID
	Mkab          uuid.UUID // the patient's card in the institution
	Direction     Direction
	Resource      Resource
	Slots         []uuid.UUID // in order of time; none for a visit out of schedule
	OutOfSchedule bool
	IsCito        bool
	Comment       string
	Client        uuid.UUID // the client application that has booked or last moved it
	CreatedAt     time.Time
	UpdatedAt     time.Time // time of the last booking, move, cancel or change of the attendance
	Cancellation  *booking.Cancellation
	Receipt       *StoredReceipt // nil if there is none
	Attendance    booking.Attendance
	AttendanceAt  *time.Time // when it was set; nil for booking.AttendanceNone
	BookedBy      booking.Booker
	Move          *booking.LastMove // nil if it was never moved
}

// Direction is the referral of a visit.
type Direction struct {
	Guid   uuid.UUID
	Holder uuid.UUID // the institution that holds the original
	Type   booking.DirectionType
	Number string
}

// Resource is the resource of a visit.
type Resource struct {
	Guid uuid.UUID
	Name string
}

// VisitStore reads visits.
type VisitStore interface {
	// Visits returns visits of an institution, in order of start and guid, with
	// VisitFilter.UpdatedSince in order of the last change and guid. now decides their status. It
	// returns a *booking.Refusal if there is no such institution.
	Visits(ctx context.Context, filter VisitFilter, page booking.Page, now time.Time) ([]Visit, error)
	// InstitutionVisit returns a visit of an institution. It returns a *booking.Refusal if the
	// institution has no such visit.
	InstitutionVisit(ctx context.Context, lpu, guid uuid.UUID, now time.Time) (Visit, error)
}

// VisitFilter selects visits of an institution. Zero fields other than the institution are ignored.
type VisitFilter struct {
	Lpu              uuid.UUID
	Resource         *uuid.UUID
	Statuses         []booking.AppointmentStatus
	DateFrom, DateTo *time.Time // days of the start in the institution's zone, both inclusive
	UpdatedSince     *time.Time // or at most booking.LateChange before it
}

// Visits returns a page of the visits of an institution, in order of start and guid, and the
// position after which the next page begins, nil if there is none. With filter.UpdatedSince the
// order is that of the last change. It rejects with LpuAbsent.
func (s *Service) Visits(
	ctx context.Context, filter VisitFilter, page booking.Page,
) ([]Visit, *booking.Position, error) {
	if filter.UpdatedSince != nil {
		filter.UpdatedSince = new(filter.UpdatedSince.Add(-booking.LateChange))
	}
	found, err := s.store.Visits(ctx, filter, page.PlusOne(), s.now())
	if err != nil {
		return nil, nil, fmt.Errorf("list the visits: %w", err)
	}
	visits, next := booking.SplitPage(found, page.Limit, func(v *Visit) booking.Position {
		if filter.UpdatedSince != nil {
			return booking.Position{At: v.UpdatedAt, Guid: v.Guid, Lpu: filter.Lpu}
		}
		return booking.Position{At: v.Start, Guid: v.Guid, Lpu: filter.Lpu}
	})
	return visits, next, nil
}

// Visit returns a visit of an institution. It rejects with AppointmentAbsent if it does not exist
// or is in another institution.
func (s *Service) Visit(ctx context.Context, lpu, guid uuid.UUID) (Visit, error) {
	visit, err := s.store.InstitutionVisit(ctx, lpu, guid, s.now())
	if err != nil {
		return Visit{}, fmt.Errorf("read the visit: %w", err)
	}
	return visit, nil
}
