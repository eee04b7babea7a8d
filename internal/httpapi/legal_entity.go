package httpapi

import (
	"context"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/httpapi/wire"
	"talon.example/internal/registry"
)

// PutLegalEntity creates or replaces a legal entity.
func (h *handlers) PutLegalEntity(
	ctx context.Context, request api.PutLegalEntityRequestObject,
) (api.PutLegalEntityResponseObject, error) {
	if refusal := rejectZero(guidField{"legalEntityGuid", request.LegalEntityGUID}); refusal != nil {
		return nil, refusal
	}
	version, entity := request.Body.Version, registry.LegalEntity{Name: request.Body.Name}
	result, err := h.registry.WriteLegalEntity(ctx, request.LegalEntityGUID, version, entity)
	if err != nil {
		return nil, err
	}
	return api.PutLegalEntity200JSONResponse(objectResult(request.LegalEntityGUID, version, result)), nil
}

// GetLegalEntity returns a legal entity.
func (h *handlers) GetLegalEntity(
	ctx context.Context, request api.GetLegalEntityRequestObject,
) (api.GetLegalEntityResponseObject, error) {
	entity, err := h.registry.LegalEntity(ctx, request.LegalEntityGUID)
	if err != nil {
		return nil, err
	}
	return api.GetLegalEntity200JSONResponse{
		GUID: request.LegalEntityGUID, Version: wire.NilIfZero(entity.Version), Name: entity.Object.Name,
	}, nil
}

// DeleteLegalEntity deletes a legal entity.
func (h *handlers) DeleteLegalEntity(
	ctx context.Context, request api.DeleteLegalEntityRequestObject,
) (api.DeleteLegalEntityResponseObject, error) {
	if refusal := rejectZero(guidField{"legalEntityGuid", request.LegalEntityGUID}); refusal != nil {
		return nil, refusal
	}
	version := request.Params.Version
	result, err := h.registry.DeleteLegalEntity(ctx, request.LegalEntityGUID, version)
	if err != nil {
		return nil, err
	}
	return api.DeleteLegalEntity200JSONResponse(objectResult(request.LegalEntityGUID, version, result)), nil
}

func objectResult(guid uuid.UUID, version int64, result registry.ObjectResult) api.ObjectResult {
	return api.ObjectResult{GUID: guid, Version: version, Changed: result.Changed}
}
