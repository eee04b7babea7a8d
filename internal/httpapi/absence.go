package httpapi

import (
	"context"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/httpapi/wire"
	"talon.example/internal/registry"
)

// AddAbsence closes a resource for a period.
func (h *handlers) AddAbsence(
	ctx context.Context, request api.AddAbsenceRequestObject,
) (api.AddAbsenceResponseObject, error) {
	if refusal := rejectZero(guidField{"AbsenceGuid", request.Body.AbsenceGUID}); refusal != nil {
		return nil, refusal
	}
	absence := registry.Absence{
		Period: registry.Period{From: request.Body.From, To: request.Body.To},
		Lpu:    request.LpuGUID, Resource: request.ResourceGUID, Guid: request.Body.AbsenceGUID,
		Reason: orDefault(request.Body.Reason, ""),
	}
	result, err := h.registry.WriteAbsence(ctx, absence, onBooked(request.Body.OnBooked))
	if err != nil {
		return nil, err
	}
	return api.AddAbsence200JSONResponse(absenceResult(absence.Guid, result)), nil
}

// LiftAbsence ends an absence.
func (h *handlers) LiftAbsence(
	ctx context.Context, request api.LiftAbsenceRequestObject,
) (api.LiftAbsenceResponseObject, error) {
	result, err := h.registry.LiftAbsence(ctx, request.LpuGUID, request.ResourceGUID, request.AbsenceGUID)
	if err != nil {
		return nil, err
	}
	return api.LiftAbsence200JSONResponse(absenceResult(request.AbsenceGUID, result)), nil
}

// ListAbsences lists the absences of a resource.
func (h *handlers) ListAbsences(
	ctx context.Context, request api.ListAbsencesRequestObject,
) (api.ListAbsencesResponseObject, error) {
	period := registry.Period{From: request.Params.From, To: request.Params.To}
	absences, err := h.registry.Absences(ctx, request.LpuGUID, request.ResourceGUID, period)
	if err != nil {
		return nil, err
	}
	items := make([]api.Absence, len(absences))
	for i, absence := range absences {
		items[i] = api.Absence{AbsenceGUID: absence.Guid, From: absence.From, To: absence.To, Reason: absence.Reason}
	}
	return api.ListAbsences200JSONResponse{Items: items}, nil
}

func absenceResult(absence uuid.UUID, result registry.AbsenceResult) api.AbsenceResult {
	return api.AbsenceResult{
		AbsenceGUID: absence, Changed: int32(result.Changed), Conflicts: wire.CellConflicts(result.Conflicts),
	}
}

// onBooked returns the policy of a message, or "" if it has none.
func onBooked[P ~string](given *P) registry.OnBooked { return registry.OnBooked(orDefault(given, "")) }
