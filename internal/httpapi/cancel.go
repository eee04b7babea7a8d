package httpapi

import (
	"context"
	"net/http"
	"strings"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// CancelAppointment cancels an appointment.
func (h *handlers) CancelAppointment(
	ctx context.Context, request api.CancelAppointmentRequestObject,
) (api.CancelAppointmentResponseObject, error) {
	body := orDefault(request.Body, api.CancelRequest{}) // an absent body is equal to an empty one
	reason, refusal := cancelReason(body)
	if refusal != nil {
		return nil, refusal
	}
	key, err := idempotencyKey(request.Params.IdempotencyKey, "cancelAppointment", request.AppointmentGUID, body)
	if err != nil {
		return nil, err
	}
	replayed, err := h.booking.Cancel(ctx, server.Patient(ctx), request.AppointmentGUID, reason, key)
	if err != nil {
		return nil, err
	}
	return api.CancelAppointment200JSONResponse{
		Body:    api.CancelResult{Code: http.StatusOK, Message: "Запись на прием отменена", MessageCode: "2000"},
		Headers: api.CancelAppointment200ResponseHeaders{IdempotencyReplayed: idempotencyReplayed(replayed)},
	}, nil
}

// cancelReason reads the optional reason. Its text is read only with the code OtherReason.
func cancelReason(body api.CancelRequest) (booking.CancelReason, *booking.Refusal) {
	if body.ReasonCode == nil {
		return booking.CancelReason{}, nil
	}
	reason := booking.CancelReason{Code: body.ReasonCode}
	if *reason.Code == booking.OtherReason {
		if strings.TrimSpace(orDefault(body.Reason, "")) == "" {
			return reason, booking.InvalidField("Reason", booking.ProblemMissing)
		}
		reason.Text = body.Reason
	}
	return reason, nil
}
