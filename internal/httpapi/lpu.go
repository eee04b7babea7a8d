package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/httpapi/wire"
	"talon.example/internal/registry"
)

// PutLpu creates or replaces an institution.
func (h *handlers) PutLpu(ctx context.Context, request api.PutLpuRequestObject) (api.PutLpuResponseObject, error) {
	if refusal := rejectZero(guidField{"lpuGuid", request.LpuGUID}); refusal != nil {
		return nil, refusal
	}
	body := request.Body
	lpu := registry.Lpu{
		LegalEntity: body.LegalEntityGUID, Code: body.Code, Name: body.Name, TimeZone: body.TimeZone,
		Address: orDefault(body.Address, ""), Phone: orDefault(body.Phone, ""),
	}
	result, err := h.registry.WriteLpu(ctx, request.LpuGUID, body.Version, lpu)
	if err != nil {
		return nil, err
	}
	return api.PutLpu200JSONResponse(objectResult(request.LpuGUID, body.Version, result)), nil
}

// GetLpu returns an institution of the caller.
func (h *handlers) GetLpu(ctx context.Context, request api.GetLpuRequestObject) (api.GetLpuResponseObject, error) {
	if refusal := rejectZero(guidField{"lpuGuid", request.LpuGUID}); refusal != nil {
		return nil, refusal
	}
	lpu, err := h.registry.Lpu(ctx, request.LpuGUID)
	if err != nil {
		return nil, err
	}
	return api.GetLpu200JSONResponse{
		GUID: request.LpuGUID, Version: wire.NilIfZero(lpu.Version), LegalEntityGUID: lpu.Object.LegalEntity,
		Code: lpu.Object.Code, Name: lpu.Object.Name, TimeZone: lpu.Object.TimeZone, Address: lpu.Object.Address,
		Phone: lpu.Object.Phone,
	}, nil
}

// DeleteLpu deletes an institution.
func (h *handlers) DeleteLpu(
	ctx context.Context, request api.DeleteLpuRequestObject,
) (api.DeleteLpuResponseObject, error) {
	if refusal := rejectZero(guidField{"lpuGuid", request.LpuGUID}); refusal != nil {
		return nil, refusal
	}
	result, err := h.registry.DeleteLpu(ctx, request.LpuGUID, request.Params.Version)
	if err != nil {
		return nil, err
	}
	return api.DeleteLpu200JSONResponse(objectResult(request.LpuGUID, request.Params.Version, result)), nil
}
