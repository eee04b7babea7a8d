package httpapi

import (
	"context"
	"net/http"
	"strings"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// CancelAppointment cancels an appointment.
func (s *server) CancelAppointment(ctx context.Context, request api.CancelAppointmentRequestObject) (api.CancelAppointmentResponseObject, error) {
	reason, refusal := cancelReason(request.Body)
	if refusal != nil {
		return nil, refusal
	}
	if err := s.booking.Cancel(ctx, patient(ctx), request.AppointmentGUID, reason); err != nil {
		return nil, err
	}
	return api.CancelAppointment200JSONResponse{
		Body:    api.CancelResult{Code: http.StatusOK, Message: "Запись на прием отменена", MessageCode: "2000"},
		Headers: api.CancelAppointment200ResponseHeaders{XRequestID: requestID(ctx).String()},
	}, nil
}

// cancelReason reads why, where there is a body: the words belong to one code alone.
func cancelReason(body *api.CancelRequest) (booking.CancelReason, *booking.Refusal) {
	if body == nil || body.ReasonCode == nil {
		return booking.CancelReason{}, nil
	}
	reason := booking.CancelReason{Code: body.ReasonCode}
	if *reason.Code == booking.OtherReason {
		if strings.TrimSpace(orDefault(body.Reason, "")) == "" {
			return reason, booking.InvalidField("Reason", "обязательное поле не указано")
		}
		reason.Text = body.Reason
	}
	return reason, nil
}
