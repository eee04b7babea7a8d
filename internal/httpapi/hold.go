package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

// defaultMinutes is the length of a hold, in minutes, if the client sends none.
const defaultMinutes = 5

// HoldSlot holds a cell for the patient.
func (h *handlers) HoldSlot(
	ctx context.Context, request api.HoldSlotRequestObject,
) (api.HoldSlotResponseObject, error) {
	wanted, refusal := holdRequest(request.SlotGUID, request.Body)
	if refusal != nil {
		return nil, refusal
	}
	held, err := h.booking.Hold(ctx, server.Patient(ctx), wanted)
	if err != nil {
		return nil, err
	}
	return api.HoldSlot200JSONResponse(wire.Hold(held)), nil
}

// holdRequest reads the booking or the move that the cell is held for.
func holdRequest(slot uuid.UUID, body *api.HoldRequest) (booking.HoldRequest, *booking.Refusal) {
	given := []guidField{
		{"slotGuid", slot},
		{"AppointmentGuid", orDefault(body.AppointmentGUID, notZero)},
		{"DirectionGuid", body.DirectionGUID},
		{"LpuFromGuid", body.LpuFromGUID},
		{"LpuToGuid", body.LpuToGUID},
	}
	if refusal := rejectZero(given...); refusal != nil {
		return booking.HoldRequest{}, refusal
	}
	return booking.HoldRequest{
		Request: booking.Request{
			Direction:  body.DirectionGUID,
			Type:       booking.ParseDirectionType(body.DirectionType),
			LpuFrom:    body.LpuFromGUID,
			LpuTo:      body.LpuToGUID,
			Place:      booking.Place{SlotGuid: slot},
			Difficulty: int(orDefault(body.Difficulty, 0)),
		},
		Appointment: body.AppointmentGUID,
		Length:      time.Duration(orDefault(body.Minutes, defaultMinutes)) * time.Minute,
	}, nil
}

// ReleaseSlot releases a cell that the patient holds.
func (h *handlers) ReleaseSlot(
	ctx context.Context, request api.ReleaseSlotRequestObject,
) (api.ReleaseSlotResponseObject, error) {
	refusal := rejectZero(guidField{"slotGuid", request.SlotGUID}, guidField{"lpuGuid", request.Params.LpuGUID})
	if refusal != nil {
		return nil, refusal
	}
	if err := h.booking.Release(ctx, server.Patient(ctx), request.Params.LpuGUID, request.SlotGUID); err != nil {
		return nil, err
	}
	return api.ReleaseSlot200JSONResponse{Code: http.StatusOK, Message: "Удержание ячейки снято", MessageCode: "2000"}, nil
}
