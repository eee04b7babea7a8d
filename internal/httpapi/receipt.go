package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/clinic"
)

// PutReceipt stores whether a visit is in the books of its institution.
func (h *handlers) PutReceipt(
	ctx context.Context, request api.PutReceiptRequestObject,
) (api.PutReceiptResponseObject, error) {
	if refusal := rejectZero(guidField{"appointmentGuid", request.AppointmentGUID}); refusal != nil {
		return nil, refusal
	}
	confirmed, err := h.clinic.Confirm(ctx, request.LpuGUID, request.AppointmentGUID, clinic.Receipt{
		Version: request.Body.Version, Status: clinic.ReceiptStatus(request.Body.Status),
		Reason: orDefault(request.Body.Reason, ""), Number: orDefault(request.Body.Number, ""),
	})
	if err != nil {
		return nil, err
	}
	return api.PutReceipt200JSONResponse(visit(&confirmed)), nil
}
