package httpapi

import (
	"context"
	"time"

	"talon.example/gen/api"
	"talon.example/internal/registry"
)

const workList = "work"

// ListWork lists the visits that an institution has to solve.
func (h *handlers) ListWork(
	ctx context.Context, request api.ListWorkRequestObject,
) (api.ListWorkResponseObject, error) {
	if resource := request.Params.ResourceGUID; resource != nil {
		if refusal := rejectZero(guidField{"resourceGuid", *resource}); refusal != nil {
			return nil, refusal
		}
	}
	wanted, refusal := page(workList, request.Params.Limit, request.Params.Cursor)
	if refusal != nil {
		return nil, refusal
	}
	filter := registry.WorkFilter{Lpu: request.LpuGUID, Resource: request.Params.ResourceGUID}
	found, position, err := h.registry.WorkList(ctx, filter, wanted)
	if err != nil {
		return nil, err
	}
	body := api.WorkPage{Items: make([]api.WorkItem, len(found))}
	for i, item := range found {
		body.Items[i] = api.WorkItem{
			Kind: string(item.Kind), AppointmentGUID: item.Appointment, Start: item.Start.Truncate(time.Second),
			End: item.End.Truncate(time.Second), ResourceGUID: item.Resource, SlotGuids: item.Slots,
			DirectionGUID: item.Direction, MkabGUID: item.Mkab,
		}
	}
	if body.Next, err = next(workList, position); err != nil {
		return nil, err
	}
	return api.ListWork200JSONResponse(body), nil
}
