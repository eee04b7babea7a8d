package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

// CheckAppointment returns the verdict of each rule on a booking, and books nothing.
func (h *handlers) CheckAppointment(
	ctx context.Context, request api.CheckAppointmentRequestObject,
) (api.CheckAppointmentResponseObject, error) {
	wanted, refusal := bookingRequest(request.Body, h.now())
	if refusal != nil {
		return nil, refusal
	}
	verdicts, err := h.booking.Check(ctx, server.Patient(ctx), wanted)
	if err != nil {
		return nil, err
	}
	body := api.AppointmentCheck{Allowed: true, Checks: passedTransport(verdicts)}
	for _, verdict := range verdicts {
		if verdict.Result == booking.Failed {
			body.Allowed = false
		}
		body.Checks = append(body.Checks, api.RuleCheck{
			Rule:    string(verdict.Rule),
			Result:  string(verdict.Result),
			Message: wire.NilIfZero(verdict.Message),
			Field:   wire.NilIfZero(verdict.Field),
			Mender:  string(verdict.Mender),
			Details: wire.ErrorDetails(verdict.Remedies),
		})
	}
	return api.CheckAppointment200JSONResponse(body), nil
}

// passedTransport returns the transport rules that precede the rules of a booking. A request that
// reaches the handler has passed them.
func passedTransport(verdicts []booking.Verdict) []api.RuleCheck {
	checks := make([]api.RuleCheck, 0, len(server.TransportRules)+len(verdicts))
	for _, rule := range server.TransportRules {
		if rule.Order < verdicts[0].Order {
			checks = append(checks, api.RuleCheck{
				Rule: string(rule.Name), Result: api.RuleCheckResultPassed, Mender: string(rule.Mender),
			})
		}
	}
	return checks
}
