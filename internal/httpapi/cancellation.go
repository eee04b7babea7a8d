package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/clinic"
	"talon.example/internal/httpapi/server"
)

// PutCancellation cancels a visit for its institution.
func (h *handlers) PutCancellation(
	ctx context.Context, request api.PutCancellationRequestObject,
) (api.PutCancellationResponseObject, error) {
	if refusal := rejectZero(guidField{"appointmentGuid", request.AppointmentGUID}); refusal != nil {
		return nil, refusal
	}
	cancelled, err := h.clinic.Cancel(ctx, request.LpuGUID, request.AppointmentGUID, clinic.Cancellation{
		Initiator: booking.Initiator(request.Body.Initiator), Cause: booking.CancelCause(request.Body.Reason),
		Text: orDefault(request.Body.Text, ""), Client: server.Caller(ctx).Client,
	})
	if err != nil {
		return nil, err
	}
	return api.PutCancellation200JSONResponse(visit(&cancelled)), nil
}
