package httpapi

import (
	"context"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/wire"
	"talon.example/internal/registry"
)

// PutResource creates or replaces a resource.
func (h *handlers) PutResource(
	ctx context.Context, request api.PutResourceRequestObject,
) (api.PutResourceResponseObject, error) {
	if refusal := rejectZeroResource(request.LpuGUID, request.ResourceGUID); refusal != nil {
		return nil, refusal
	}
	body := request.Body
	resource := registry.Resource{
		Kind: booking.ResourceKind(body.Kind), Name: body.Name, SpecialityCode: body.SpecialityCode,
		Room: orDefault(body.Room, ""), Preparation: orDefault(body.Preparation, ""),
		Active: orDefault(body.Active, true),
	}
	result, err := h.registry.WriteResource(ctx, request.LpuGUID, request.ResourceGUID, body.Version, resource)
	if err != nil {
		return nil, err
	}
	return api.PutResource200JSONResponse(objectResult(request.ResourceGUID, body.Version, result)), nil
}

func rejectZeroResource(lpu, resource uuid.UUID) *booking.Refusal {
	return rejectZero(guidField{"lpuGuid", lpu}, guidField{"resourceGuid", resource})
}

// GetResource returns a resource.
func (h *handlers) GetResource(
	ctx context.Context, request api.GetResourceRequestObject,
) (api.GetResourceResponseObject, error) {
	resource, err := h.registry.Resource(ctx, request.LpuGUID, request.ResourceGUID)
	if err != nil {
		return nil, err
	}
	return api.GetResource200JSONResponse(registeredResource(request.ResourceGUID, &resource)), nil
}

// DeleteResource makes a resource not active.
func (h *handlers) DeleteResource(
	ctx context.Context, request api.DeleteResourceRequestObject,
) (api.DeleteResourceResponseObject, error) {
	if refusal := rejectZeroResource(request.LpuGUID, request.ResourceGUID); refusal != nil {
		return nil, refusal
	}
	version := request.Params.Version
	result, err := h.registry.DeleteResource(ctx, request.LpuGUID, request.ResourceGUID, version)
	if err != nil {
		return nil, err
	}
	return api.DeleteResource200JSONResponse(objectResult(request.ResourceGUID, version, result)), nil
}

// resourceCursor is the encoded form of the last resource of a page.
type resourceCursor struct {
	Resource uuid.UUID `json:"resource"`
}

// ListResources lists the resources of an institution.
func (h *handlers) ListResources(
	ctx context.Context, request api.ListResourcesRequestObject,
) (api.ListResourcesResponseObject, error) {
	position, err := readCursor[resourceCursor](request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	limit := int(orDefault(request.Params.Limit, defaultLimit))
	found, err := h.registry.Resources(ctx, request.LpuGUID, position.Resource, limit+1)
	if err != nil {
		return nil, err
	}
	var body api.ResourcePage
	if len(found) > limit {
		text, err := encodeCursor(resourceCursor{found[limit-1].Guid})
		if err != nil {
			return nil, err
		}
		found, body.Next = found[:limit], &text
	}
	body.Items = make([]api.RegisteredResource, len(found))
	for i := range found {
		body.Items[i] = registeredResource(found[i].Guid, &found[i].Versioned)
	}
	return api.ListResources200JSONResponse(body), nil
}

func registeredResource(guid uuid.UUID, r *registry.Versioned[registry.Resource]) api.RegisteredResource {
	return api.RegisteredResource{
		GUID: guid, Version: wire.NilIfZero(r.Version), Kind: string(r.Object.Kind), Name: r.Object.Name,
		SpecialityCode: r.Object.SpecialityCode, Room: r.Object.Room, Preparation: r.Object.Preparation,
		Active: r.Object.Active,
	}
}
