package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// BookVisit books a visit for a patient of an institution.
func (h *handlers) BookVisit(
	ctx context.Context, request api.BookVisitRequestObject,
) (api.BookVisitResponseObject, error) {
	body := request.Body
	given := []guidField{{"lpuGuid", request.LpuGUID}, {"PersonGuid", body.PersonGUID}}
	if refusal := rejectZero(given...); refusal != nil {
		return nil, refusal
	}
	wanted, refusal := bookingRequest(&api.AppointmentRequest{
		DirectionGUID: body.DirectionGUID, DirectionType: body.DirectionType, LpuFromGUID: body.LpuFromGUID,
		LpuToGUID: request.LpuGUID, SlotGUID: body.SlotGUID, SlotID: body.SlotID, Difficulty: body.Difficulty,
		VisitComment: body.VisitComment, IsCito: body.IsCito, OutOfSchedule: body.OutOfSchedule,
		DocPrvdGUID: body.DocPrvdGUID, Date: body.Date,
	}, h.now())
	if refusal != nil {
		return nil, refusal
	}
	key, err := idempotencyKey(request.Params.IdempotencyKey, "bookVisit", request.LpuGUID, body)
	if err != nil {
		return nil, err
	}
	desk := booking.Patient{Person: body.PersonGUID, Client: server.Caller(ctx).Client, Desk: request.LpuGUID}
	held, replayed, err := h.booking.Book(ctx, desk, wanted, key)
	if err != nil {
		return nil, err
	}
	booked, err := h.clinic.Written(ctx, request.LpuGUID, held)
	if err != nil {
		return nil, err
	}
	return api.BookVisit200JSONResponse{
		Body:    visit(&booked),
		Headers: api.BookVisit200ResponseHeaders{IdempotencyReplayed: idempotencyReplayed(replayed)},
	}, nil
}

// PutVisitSlot moves a visit to another cell of its institution.
func (h *handlers) PutVisitSlot(
	ctx context.Context, request api.PutVisitSlotRequestObject,
) (api.PutVisitSlotResponseObject, error) {
	if refusal := rejectZero(guidField{"appointmentGuid", request.AppointmentGUID}); refusal != nil {
		return nil, refusal
	}
	place, refusal := slotPlace(request.Body.SlotID, request.Body.SlotGUID)
	if refusal != nil {
		return nil, refusal
	}
	held, err := h.booking.Reassign(
		ctx, request.LpuGUID, server.Caller(ctx).Client, request.AppointmentGUID, booking.Reassignment{
			Version: request.Body.Version, Place: place, Cause: booking.MoveCause(request.Body.Reason),
			Text: orDefault(request.Body.Text, ""),
		},
	)
	if err != nil {
		return nil, err
	}
	moved, err := h.clinic.Written(ctx, request.LpuGUID, held)
	if err != nil {
		return nil, err
	}
	return api.PutVisitSlot200JSONResponse(visit(&moved)), nil
}
