package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// PatchSlot changes one cell of a schedule.
func (h *handlers) PatchSlot(
	ctx context.Context, request api.PatchSlotRequestObject,
) (api.PatchSlotResponseObject, error) {
	body := request.Body
	result, err := h.registry.ChangeCell(ctx, registry.CellChange{
		Lpu: request.LpuGUID, Slot: request.SlotGUID, Version: body.Version, OnBooked: onBooked(body.OnBooked),
		Capacity: body.Capacity, Access: (*booking.Access)(body.FlagAccess), BusyType: body.BusyType,
		Blocked: body.Blocked, Restriction: (*booking.Restriction)(body.Restriction),
	})
	if err != nil {
		return nil, err
	}
	return api.PatchSlot200JSONResponse(scheduleResult(result)), nil
}
