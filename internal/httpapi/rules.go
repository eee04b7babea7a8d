package httpapi

import (
	"context"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// ListRules answers the rule table as it is in force.
func (h *handlers) ListRules(ctx context.Context, request api.ListRulesRequestObject) (api.ListRulesResponseObject, error) {
	if refusal := rejectZero(guidField{"lpuGuid", orDefault(request.Params.LpuGUID, notZero)}); refusal != nil {
		return nil, refusal
	}
	rules, err := h.booking.Rules(ctx, server.Patient(ctx), orDefault(request.Params.LpuGUID, uuid.Nil))
	if err != nil {
		return nil, err
	}
	items := make([]api.RuleEntry, 0, len(rules))
	for _, rule := range rules {
		items = append(items, api.RuleEntry{
			Rule:        api.Rule(rule.Name),
			Group:       api.RuleEntryGroup(rule.Group),
			Status:      int32(rule.Status),
			MessageCode: rule.Code,
			Type:        api.RuleEntryType(rule.Type),
			Message:     rule.Message,
			Retryable:   rule.Retryable,
			Mender:      api.Mender(rule.Mender),
			Field:       orNull(rule.Field),
			Enabled:     rule.Enabled && (rule.Group != booking.GroupIdentity || h.issuer != nil),
			Setting:     orNull(rule.Setting),
		})
	}
	return api.ListRules200JSONResponse{
		Body:    api.RuleList{Items: items},
		Headers: api.ListRules200ResponseHeaders{XRequestID: server.RequestID(ctx).String()},
	}, nil
}

// orNull writes an empty text as null.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
