package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/wire"
	"talon.example/internal/registry"
)

// PutSchedule replaces a period of a resource's schedule.
func (h *handlers) PutSchedule(
	ctx context.Context, request api.PutScheduleRequestObject,
) (api.PutScheduleResponseObject, error) {
	window, refusal := window(&request)
	if refusal != nil {
		return nil, refusal
	}
	result, err := h.registry.WriteWindow(ctx, window)
	if err != nil {
		return nil, err
	}
	return api.PutSchedule200JSONResponse(scheduleResult(result)), nil
}

func scheduleResult(result registry.WindowResult) api.ScheduleResult {
	return api.ScheduleResult{
		Added: int32(result.Added), Changed: int32(result.Changed), Withdrawn: int32(result.Withdrawn),
		Unchanged: int32(result.Unchanged), Superseded: int32(result.Superseded),
		Conflicts: wire.CellConflicts(result.Conflicts),
	}
}

// window reads a message. It rejects zero guids.
func window(request *api.PutScheduleRequestObject) (registry.Window, *booking.Refusal) {
	if refusal := rejectZero(
		guidField{"lpuGuid", request.LpuGUID}, guidField{"resourceGuid", request.ResourceGUID},
	); refusal != nil {
		return registry.Window{}, refusal
	}
	cells := make([]registry.Cell, len(request.Body.Cells))
	unrestricted := api.ScheduleCellRequestRestriction(booking.Unrestricted)
	for i, cell := range request.Body.Cells {
		cells[i] = registry.Cell{
			Guid: cell.GUID, ID: orDefault(cell.ID, 0), Start: cell.Start, End: cell.End, Capacity: cell.Capacity,
			Access: booking.Access(cell.FlagAccess), BusyType: cell.BusyType, Blocked: orDefault(cell.Blocked, false),
			Restriction: booking.Restriction(orDefault(cell.Restriction, unrestricted)),
		}
	}
	return registry.Window{
		Period: registry.Period{From: request.Params.From, To: request.Params.To},
		Lpu:    request.LpuGUID, Resource: request.ResourceGUID, Version: request.Body.Version, Cells: cells,
		OnBooked: onBooked(request.Body.OnBooked),
	}, nil
}

// GetSchedule returns a period of a resource's schedule.
func (h *handlers) GetSchedule(
	ctx context.Context, request api.GetScheduleRequestObject,
) (api.GetScheduleResponseObject, error) {
	period := registry.Period{From: request.Params.From, To: request.Params.To}
	schedule, err := h.registry.Schedule(ctx, request.LpuGUID, request.ResourceGUID, period)
	if err != nil {
		return nil, err
	}
	body := api.Schedule{
		Windows: make([]api.ScheduleWindow, len(schedule.Windows)), Cells: make([]api.StoredCell, len(schedule.Cells)),
	}
	for i, window := range schedule.Windows {
		body.Windows[i] = api.ScheduleWindow{From: window.From, To: window.To, Version: window.Version}
	}
	for i := range schedule.Cells {
		body.Cells[i] = storedSlot(&schedule.Cells[i])
	}
	return api.GetSchedule200JSONResponse(body), nil
}

// closedReasons are the reasons for which a cell is closed, with their names on the wire.
var closedReasons = []struct {
	bit  registry.Closed
	name string
}{
	{registry.ClosedBySource, api.ClosedReasonSource},
	{registry.ClosedWithdrawn, api.ClosedReasonWithdrawn},
	{registry.ClosedByAbsence, api.ClosedReasonAbsence},
}

func storedSlot(cell *registry.StoredCell) api.StoredCell {
	closed := []string{}
	for _, reason := range closedReasons {
		if cell.Closed&reason.bit != 0 {
			closed = append(closed, reason.name)
		}
	}
	return api.StoredCell{
		GUID: cell.Guid, ID: cell.ID, Start: cell.Start, End: cell.End, Capacity: cell.Capacity,
		FlagAccess: int32(cell.Access), BusyType: cell.BusyType, Blocked: cell.Blocked,
		Restriction: string(cell.Restriction), Taken: cell.Taken, Closed: closed,
	}
}
