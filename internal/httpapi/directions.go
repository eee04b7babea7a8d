package httpapi

import (
	"context"
	"time"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

const directionList = "directions"

// ListDirections lists the patient's referrals.
func (h *handlers) ListDirections(
	ctx context.Context, request api.ListDirectionsRequestObject,
) (api.ListDirectionsResponseObject, error) {
	wanted, refusal := page(directionList, request.Params.Limit, request.Params.Cursor)
	if refusal != nil {
		return nil, refusal
	}
	filter, refusal := directionFilter(request.Params)
	if refusal != nil {
		return nil, refusal
	}
	found, position, err := h.booking.Directions(ctx, server.Patient(ctx), filter, wanted)
	if err != nil {
		return nil, err
	}
	body := api.DirectionPage{Items: make([]api.PatientDirection, len(found))}
	for i := range found {
		body.Items[i] = patientDirection(&found[i])
	}
	if body.Next, err = next(directionList, position); err != nil {
		return nil, err
	}
	return api.ListDirections200JSONResponse(body), nil
}

// GetDirection returns one referral by its guid.
func (h *handlers) GetDirection(
	ctx context.Context, request api.GetDirectionRequestObject,
) (api.GetDirectionResponseObject, error) {
	found, err := h.booking.Direction(ctx, server.Patient(ctx), booking.DirectionFilter{Guid: &request.DirectionGUID})
	if err != nil {
		return nil, err
	}
	return api.GetDirection200JSONResponse(patientDirection(found)), nil
}

// GetDirectionByNumber returns one referral by its number.
func (h *handlers) GetDirectionByNumber(
	ctx context.Context, request api.GetDirectionByNumberRequestObject,
) (api.GetDirectionByNumberResponseObject, error) {
	found, err := h.booking.Direction(ctx, server.Patient(ctx), booking.DirectionFilter{Number: &request.Number})
	if err != nil {
		return nil, err
	}
	return api.GetDirectionByNumber200JSONResponse(patientDirection(found)), nil
}

func directionFilter(params api.ListDirectionsParams) (booking.DirectionFilter, *booking.Refusal) {
	filter := booking.DirectionFilter{Type: booking.DirectionType(orDefault(params.Type, ""))}
	for _, status := range orDefault(params.Status, nil) {
		filter.Statuses = append(filter.Statuses, booking.DirectionStatus(status))
	}
	var refusal *booking.Refusal
	filter.DateFrom, filter.DateTo, refusal = dayRange(params.DateFrom, params.DateTo)
	return filter, refusal
}

// patientDirection returns a referral in the type of the contract, with times in whole seconds.
func patientDirection(d *booking.PatientDirection) api.PatientDirection {
	written := api.PatientDirection{
		GUID:          d.Guid,
		Type:          string(d.Type),
		Number:        d.Number,
		Status:        string(d.Status),
		Date:          d.Date,
		DateCreate:    d.CreatedAt.Truncate(time.Second),
		DateEnd:       d.DateEnd,
		Urgent:        d.Urgent,
		HolderLpuGUID: d.Holder,
		LpuFrom:       api.LpuName{GUID: d.From.Guid, Name: d.From.Name},
		Speciality:    api.Speciality{Code: d.SpecialityCode, Name: d.SpecialityName},
		Diagnosis:     api.Diagnosis{Code: d.MkbCode, Name: d.MkbName},
		Appointment:   wire.ExistingAppointment(d.Visit),
	}
	if d.To != nil {
		written.LpuTo = &api.LpuTo{GUID: d.To.Guid, Name: d.To.Name}
	}
	return written
}
