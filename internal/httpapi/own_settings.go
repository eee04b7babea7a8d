package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/wire"
	"talon.example/internal/registry"
)

// PutRegionSettings replaces the settings of the region.
func (h *handlers) PutRegionSettings(
	ctx context.Context, request api.PutRegionSettingsRequestObject,
) (api.PutRegionSettingsResponseObject, error) {
	result, err := h.putSettings(ctx, registry.SettingsOwner{Kind: booking.OwnerRegion}, request.Body)
	if err != nil {
		return nil, err
	}
	return api.PutRegionSettings200JSONResponse(result), nil
}

// GetRegionSettings returns the settings of the region.
func (h *handlers) GetRegionSettings(
	ctx context.Context, _ api.GetRegionSettingsRequestObject,
) (api.GetRegionSettingsResponseObject, error) {
	settings, err := h.getSettings(ctx, registry.SettingsOwner{Kind: booking.OwnerRegion})
	if err != nil {
		return nil, err
	}
	return api.GetRegionSettings200JSONResponse(settings), nil
}

// PutLpuSettings replaces the settings of an institution.
func (h *handlers) PutLpuSettings(
	ctx context.Context, request api.PutLpuSettingsRequestObject,
) (api.PutLpuSettingsResponseObject, error) {
	if refusal := rejectZero(guidField{"lpuGuid", request.LpuGUID}); refusal != nil {
		return nil, refusal
	}
	owner := registry.SettingsOwner{Kind: booking.OwnerLpu, Guid: request.LpuGUID}
	result, err := h.putSettings(ctx, owner, request.Body)
	if err != nil {
		return nil, err
	}
	return api.PutLpuSettings200JSONResponse(result), nil
}

// GetLpuSettings returns the settings of an institution.
func (h *handlers) GetLpuSettings(
	ctx context.Context, request api.GetLpuSettingsRequestObject,
) (api.GetLpuSettingsResponseObject, error) {
	if refusal := rejectZero(guidField{"lpuGuid", request.LpuGUID}); refusal != nil {
		return nil, refusal
	}
	owner := registry.SettingsOwner{Kind: booking.OwnerLpu, Guid: request.LpuGUID}
	settings, err := h.getSettings(ctx, owner)
	if err != nil {
		return nil, err
	}
	return api.GetLpuSettings200JSONResponse(settings), nil
}

// PutClientSettings replaces the settings of a client application.
func (h *handlers) PutClientSettings(
	ctx context.Context, request api.PutClientSettingsRequestObject,
) (api.PutClientSettingsResponseObject, error) {
	if refusal := rejectZero(guidField{"clientGuid", request.ClientGUID}); refusal != nil {
		return nil, refusal
	}
	owner := registry.SettingsOwner{Kind: booking.OwnerClient, Guid: request.ClientGUID}
	result, err := h.putSettings(ctx, owner, request.Body)
	if err != nil {
		return nil, err
	}
	return api.PutClientSettings200JSONResponse(result), nil
}

// GetClientSettings returns the settings of a client application.
func (h *handlers) GetClientSettings(
	ctx context.Context, request api.GetClientSettingsRequestObject,
) (api.GetClientSettingsResponseObject, error) {
	if refusal := rejectZero(guidField{"clientGuid", request.ClientGUID}); refusal != nil {
		return nil, refusal
	}
	owner := registry.SettingsOwner{Kind: booking.OwnerClient, Guid: request.ClientGUID}
	settings, err := h.getSettings(ctx, owner)
	if err != nil {
		return nil, err
	}
	return api.GetClientSettings200JSONResponse(settings), nil
}

func (h *handlers) putSettings(
	ctx context.Context, owner registry.SettingsOwner, body *api.SettingsRequest,
) (api.ObjectResult, error) {
	settings := make([]registry.Setting, len(body.Settings))
	for i, setting := range body.Settings {
		settings[i] = registry.Setting{Code: setting.Code, Value: setting.Value}
	}
	result, err := h.registry.WriteSettings(ctx, owner, body.Version, settings)
	return objectResult(owner.Guid, body.Version, result), err
}

func (h *handlers) getSettings(ctx context.Context, owner registry.SettingsOwner) (api.Settings, error) {
	found, err := h.registry.Settings(ctx, owner)
	settings := api.Settings{
		GUID: owner.Guid, Version: wire.NilIfZero(found.Version), Settings: make([]api.Setting, len(found.Object)),
	}
	for i, setting := range found.Object {
		settings.Settings[i] = api.Setting{Code: setting.Code, Value: setting.Value}
	}
	return settings, err
}

// PutClientRights sets which cells a client application may take for patients.
func (h *handlers) PutClientRights(
	ctx context.Context, request api.PutClientRightsRequestObject,
) (api.PutClientRightsResponseObject, error) {
	body := request.Body
	rights := booking.Rights{
		SameLpu: booking.Access(body.VisitDirection), OtherLpu: booking.Access(body.VisitDirectionOtherLpu),
		OutOfSchedule: body.OutOfSchedule,
	}
	result, err := h.registry.WriteClientRights(ctx, request.ClientGUID, body.Version, rights)
	if err != nil {
		return nil, err
	}
	return api.PutClientRights200JSONResponse(objectResult(request.ClientGUID, body.Version, result)), nil
}

// GetClientRights returns which cells a client application may take for patients.
func (h *handlers) GetClientRights(
	ctx context.Context, request api.GetClientRightsRequestObject,
) (api.GetClientRightsResponseObject, error) {
	rights, err := h.registry.ClientRights(ctx, request.ClientGUID)
	if err != nil {
		return nil, err
	}
	return api.GetClientRights200JSONResponse{
		GUID: request.ClientGUID, Version: wire.NilIfZero(rights.Version),
		VisitDirection:         int32(rights.Object.SameLpu),
		VisitDirectionOtherLpu: int32(rights.Object.OtherLpu), OutOfSchedule: rights.Object.OutOfSchedule,
	}, nil
}
