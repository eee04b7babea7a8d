package httpapi

import (
	"context"

	"talon.example/gen/api"
)

// GetLpu returns an institution of the caller.
func (h *handlers) GetLpu(ctx context.Context, request api.GetLpuRequestObject) (api.GetLpuResponseObject, error) {
	if refusal := rejectZero(guidField{"lpuGuid", request.LpuGUID}); refusal != nil {
		return nil, refusal
	}
	lpu, err := h.booking.RegisteredLpu(ctx, request.LpuGUID)
	if err != nil {
		return nil, err
	}
	return api.GetLpu200JSONResponse{
		GUID: lpu.Guid, LegalEntityGUID: lpu.LegalEntity, Code: lpu.Code, Name: lpu.Name,
		TimeZone: lpu.Zone.String(), Address: lpu.Address, Phone: lpu.Phone,
	}, nil
}
