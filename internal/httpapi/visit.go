package httpapi

import (
	"context"
	"time"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/clinic"
)

// The lists of visits. A cursor of one order is none of the other.
const (
	visitsByStart  = "visits"
	visitsByUpdate = "visit-changes"
)

// ListVisits lists the visits to an institution.
func (h *handlers) ListVisits(
	ctx context.Context, request api.ListVisitsRequestObject,
) (api.ListVisitsResponseObject, error) {
	params := request.Params
	if params.ResourceGUID != nil {
		if refusal := rejectZero(guidField{"resourceGuid", *params.ResourceGUID}); refusal != nil {
			return nil, refusal
		}
	}
	list := visitsByStart
	if params.UpdatedSince != nil {
		list = visitsByUpdate
	}
	wanted, refusal := page(list, params.Limit, params.Cursor)
	if refusal != nil {
		return nil, refusal
	}
	filter := clinic.VisitFilter{
		Lpu: request.LpuGUID, Resource: params.ResourceGUID, UpdatedSince: params.UpdatedSince,
	}
	filter.DateFrom, filter.DateTo, refusal = dayRange(params.DateFrom, params.DateTo)
	if refusal != nil {
		return nil, refusal
	}
	for _, status := range orDefault(params.Status, nil) {
		filter.Statuses = append(filter.Statuses, booking.AppointmentStatus(status))
	}
	found, position, err := h.clinic.Visits(ctx, filter, wanted)
	if err != nil {
		return nil, err
	}
	body := api.VisitPage{Items: make([]api.Visit, len(found))}
	for i := range found {
		body.Items[i] = visit(&found[i])
	}
	if body.Next, err = next(list, position); err != nil {
		return nil, err
	}
	return api.ListVisits200JSONResponse(body), nil
}

// GetVisit returns a visit to an institution.
func (h *handlers) GetVisit(
	ctx context.Context, request api.GetVisitRequestObject,
) (api.GetVisitResponseObject, error) {
	found, err := h.clinic.Visit(ctx, request.LpuGUID, request.AppointmentGUID)
	if err != nil {
		return nil, err
	}
	return api.GetVisit200JSONResponse(visit(&found)), nil
}

// visit returns a visit in the type of the contract, with times in whole seconds.
func visit(v *clinic.Visit) api.Visit {
	written := api.Visit{
		GUID: v.Guid, LpuGUID: v.Lpu, Version: v.Version, Status: string(v.Status),
		Start: v.Start.Truncate(time.Second), End: v.End.Truncate(time.Second), PersonGUID: v.Person, MkabGUID: v.Mkab,
		Direction: api.VisitDirection{
			GUID: v.Direction.Guid, HolderLpuGUID: v.Direction.Holder, Type: string(v.Direction.Type),
			Number: v.Direction.Number,
		},
		Resource:  api.VisitResource{GUID: v.Resource.Guid, Name: v.Resource.Name},
		SlotGuids: v.Slots, OutOfSchedule: v.OutOfSchedule, IsCito: v.IsCito, Comment: v.Comment, ClientGUID: v.Client,
		CreatedAt: v.CreatedAt.Truncate(time.Second), UpdatedAt: v.UpdatedAt.Truncate(time.Second),
		Attendance: api.Attendance{Value: string(v.Attendance), At: seconds(v.AttendanceAt)},
		BookedBy:   api.Booker{Initiator: string(v.BookedBy.Initiator), ClientGUID: v.BookedBy.Client},
		Move:       lastMove(v.Move),
	}
	if c := v.Cancellation; c != nil {
		written.Cancellation = &api.VisitCancellation{
			Time: c.At.Truncate(time.Second), ReasonCode: c.Code, Reason: c.Text,
			Initiator: (*string)(c.Initiator), Cause: (*string)(c.Cause), ClientGUID: c.Client,
		}
	}
	if r := v.Receipt; r != nil {
		written.Receipt = &api.Receipt{
			Version: r.Version, Status: string(r.Status), Reason: r.Reason, Number: r.Number,
			At: r.At.Truncate(time.Second),
		}
	}
	return written
}
