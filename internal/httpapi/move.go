package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// MoveAppointment moves an appointment to another cell.
func (s *server) MoveAppointment(ctx context.Context, request api.MoveAppointmentRequestObject) (api.MoveAppointmentResponseObject, error) {
	wanted, refusal := moveRequest(request.Body, s.now())
	if refusal != nil {
		return nil, refusal
	}
	key, err := idempotencyKey(request.Params.IdempotencyKey, "moveAppointment", request.AppointmentGUID, request.Body)
	if err != nil {
		return nil, err
	}
	held, replayed, err := s.booking.Move(ctx, patient(ctx), request.AppointmentGUID, wanted, key)
	if err != nil {
		return nil, err
	}
	return api.MoveAppointment200JSONResponse{
		Body: appointmentResult(held),
		Headers: api.MoveAppointment200ResponseHeaders{
			XRequestID: requestID(ctx).String(), IdempotencyReplayed: idempotencyReplayed(replayed),
		},
	}, nil
}

// moveRequest reads what the contract alone cannot decide.
func moveRequest(body *api.MoveRequest, now time.Time) (booking.MoveRequest, *booking.Refusal) {
	if body.LpuToGUID != nil && *body.LpuToGUID == uuid.Nil {
		return booking.MoveRequest{}, booking.InvalidField("LpuToGuid", zeroGuid)
	}
	place, refusal := placeOf(&api.AppointmentRequest{SlotID: body.SlotID, SlotGUID: body.SlotGUID}, now)
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
