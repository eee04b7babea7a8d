package httpapi

import (
	"context"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"talon.example/gen/api"
	"talon.example/internal/httpapi/wire"
	"talon.example/internal/registry"
)

// PutCase writes a case of treatment.
func (h *handlers) PutCase(ctx context.Context, request api.PutCaseRequestObject) (api.PutCaseResponseObject, error) {
	body := request.Body
	if refusal := rejectZero(guidField{"caseGuid", request.CaseGUID}); refusal != nil {
		return nil, refusal
	}
	result, err := h.registry.WriteCase(ctx, request.LpuGUID, request.CaseGUID, body.Version, registry.Case{
		Card: body.CardGUID, OpenedOn: body.OpenedOn.Time, ClosedOn: timeOf(body.ClosedOn),
	})
	if err != nil {
		return nil, err
	}
	return api.PutCase200JSONResponse(objectResult(request.CaseGUID, body.Version, result)), nil
}

// DeleteCase deletes a case of treatment.
func (h *handlers) DeleteCase(
	ctx context.Context, request api.DeleteCaseRequestObject,
) (api.DeleteCaseResponseObject, error) {
	if refusal := rejectZero(guidField{"caseGuid", request.CaseGUID}); refusal != nil {
		return nil, refusal
	}
	result, err := h.registry.DeleteCase(ctx, request.LpuGUID, request.CaseGUID, request.Params.Version)
	if err != nil {
		return nil, err
	}
	return api.DeleteCase200JSONResponse(objectResult(request.CaseGUID, request.Params.Version, result)), nil
}

// GetCase returns a case of treatment.
func (h *handlers) GetCase(ctx context.Context, request api.GetCaseRequestObject) (api.GetCaseResponseObject, error) {
	found, err := h.registry.Case(ctx, request.LpuGUID, request.CaseGUID)
	if err != nil {
		return nil, err
	}
	return api.GetCase200JSONResponse(api.Case{
		GUID: request.CaseGUID, Version: wire.NilIfZero(found.Version), CardGUID: found.Card,
		OpenedOn: openapi_types.Date{Time: found.OpenedOn}, ClosedOn: day(found.ClosedOn),
	}), nil
}
