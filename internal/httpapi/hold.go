package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// defaultMinutes is for how long a cell is held where the client does not say.
const defaultMinutes = 5

// HoldSlot holds a cell for the patient.
func (s *server) HoldSlot(ctx context.Context, request api.HoldSlotRequestObject) (api.HoldSlotResponseObject, error) {
	wanted, refusal := holdRequest(request.SlotGUID, request.Body, s.now())
	if refusal != nil {
		return nil, refusal
	}
	held, err := s.booking.Hold(ctx, patient(ctx), wanted)
	if err != nil {
		return nil, err
	}
	return api.HoldSlot200JSONResponse{Body: hold(held), Headers: api.HoldSlot200ResponseHeaders{XRequestID: requestID(ctx).String()}}, nil
}

// holdRequest is the booking, or the move, that the cell is held for.
func holdRequest(slot uuid.UUID, body *api.HoldRequest, now time.Time) (booking.HoldRequest, *booking.Refusal) {
	for _, given := range []struct {
		name string
		guid *uuid.UUID
	}{{"slotGuid", &slot}, {"AppointmentGuid", body.AppointmentGUID}} {
		if given.guid != nil && *given.guid == uuid.Nil {
			return booking.HoldRequest{}, booking.InvalidField(given.name, zeroGuid)
		}
	}
	request, refusal := bookingRequest(&api.AppointmentRequest{
		DirectionGUID: body.DirectionGUID,
		DirectionType: body.DirectionType,
		LpuFromGUID:   body.LpuFromGUID,
		LpuToGUID:     body.LpuToGUID,
		SlotGUID:      new(slot.String()),
	}, now)
	request.Difficulty = int(orDefault(body.Difficulty, 0))
	return booking.HoldRequest{
		Request: request, Appointment: body.AppointmentGUID, Length: time.Duration(orDefault(body.Minutes, defaultMinutes)) * time.Minute,
	}, refusal
}

// ReleaseSlot gives back a cell that the patient holds.
func (s *server) ReleaseSlot(ctx context.Context, request api.ReleaseSlotRequestObject) (api.ReleaseSlotResponseObject, error) {
	for _, given := range []struct {
		name string
		guid uuid.UUID
	}{{"slotGuid", request.SlotGUID}, {"lpuGuid", request.Params.LpuGUID}} {
		if given.guid == uuid.Nil {
			return nil, booking.InvalidField(given.name, zeroGuid)
		}
	}
	if err := s.booking.Release(ctx, patient(ctx), request.Params.LpuGUID, request.SlotGUID); err != nil {
		return nil, err
	}
	return api.ReleaseSlot200JSONResponse{
		Body:    api.CancelResult{Code: http.StatusOK, Message: "Удержание ячейки снято", MessageCode: "2000"},
		Headers: api.ReleaseSlot200ResponseHeaders{XRequestID: requestID(ctx).String()},
	}, nil
}

func hold(h *booking.Hold) api.Hold {
	return api.Hold{
		SlotGUID:      h.Slots[0],
		LpuToGUID:     h.Lpu,
		DirectionGUID: h.Direction,
		Start:         h.Start.Truncate(time.Second),
		End:           h.End.Truncate(time.Second),
		SlotGuids:     h.Slots,
		HeldUntil:     h.Until,
	}
}

func holds(standing []booking.Hold) *[]api.Hold {
	if len(standing) == 0 {
		return nil
	}
	holds := make([]api.Hold, len(standing))
	for i := range standing {
		holds[i] = hold(&standing[i])
	}
	return &holds
}
