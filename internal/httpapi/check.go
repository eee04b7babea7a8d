package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

// CheckAppointment says what each rule says of a booking, and books nothing.
func (h *handlers) CheckAppointment(ctx context.Context, request api.CheckAppointmentRequestObject) (api.CheckAppointmentResponseObject, error) {
	wanted, refusal := bookingRequest(request.Body, h.now())
	if refusal != nil {
		return nil, refusal
	}
	verdicts, err := h.booking.Check(ctx, server.Patient(ctx), wanted)
	if err != nil {
		return nil, err
	}
	answer := api.AppointmentCheck{Allowed: true, Checks: make([]api.RuleCheck, 0, len(verdicts))}
	for _, verdict := range verdicts {
		if verdict.Result == booking.Failed {
			answer.Allowed = false
		}
		answer.Checks = append(answer.Checks, api.RuleCheck{
			Rule:    api.Rule(verdict.Rule),
			Result:  api.RuleCheckResult(verdict.Result),
			Message: orNull(verdict.Message),
			Field:   orNull(verdict.Field),
			Mender:  api.Mender(verdict.Mender),
			Details: wire.ErrorDetails(verdict.Details),
		})
	}
	return api.CheckAppointment200JSONResponse{
		Body:    answer,
		Headers: api.CheckAppointment200ResponseHeaders{XRequestID: server.RequestID(ctx).String()},
	}, nil
}
