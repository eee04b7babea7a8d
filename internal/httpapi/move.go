package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// MoveAppointment moves an appointment to another cell.
func (h *handlers) MoveAppointment(
	ctx context.Context, request api.MoveAppointmentRequestObject,
) (api.MoveAppointmentResponseObject, error) {
	wanted, refusal := moveRequest(request.Body)
	if refusal != nil {
		return nil, refusal
	}
	key, err := idempotencyKey(request.Params.IdempotencyKey, "moveAppointment", request.AppointmentGUID, request.Body)
	if err != nil {
		return nil, err
	}
	held, replayed, err := h.booking.Move(ctx, server.Patient(ctx), request.AppointmentGUID, wanted, key)
	if err != nil {
		return nil, err
	}
	return api.MoveAppointment200JSONResponse{
		Body:    appointmentResult(held),
		Headers: api.MoveAppointment200ResponseHeaders{IdempotencyReplayed: idempotencyReplayed(replayed)},
	}, nil
}

// moveRequest reads the fields that the contract alone cannot validate.
func moveRequest(body *api.MoveRequest) (booking.MoveRequest, *booking.Refusal) {
	if refusal := rejectZero(guidField{"LpuToGuid", orDefault(body.LpuToGUID, notZero)}); refusal != nil {
		return booking.MoveRequest{}, refusal
	}
	place, refusal := slotPlace(body.SlotID, body.SlotGUID)
	if refusal != nil {
		return booking.MoveRequest{}, refusal
	}
	return booking.MoveRequest{
		LpuTo:      body.LpuToGUID,
		Place:      place,
		Difficulty: int(orDefault(body.Difficulty, 0)),
		Comment:    body.VisitComment,
		IsCito:     body.IsCito,
	}, nil
}
