package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// CheckAppointment says what each rule says of a booking, and books nothing.
func (s *server) CheckAppointment(ctx context.Context, request api.CheckAppointmentRequestObject) (api.CheckAppointmentResponseObject, error) {
	wanted, refusal := bookingRequest(request.Body, s.now())
	if refusal != nil {
		return nil, refusal
	}
	verdicts, err := s.booking.Check(ctx, patient(ctx), wanted)
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
			Details: errorDetails(verdict.Details),
		})
	}
	return api.CheckAppointment200JSONResponse{
		Body:    answer,
		Headers: api.CheckAppointment200ResponseHeaders{XRequestID: requestID(ctx).String()},
	}, nil
}
