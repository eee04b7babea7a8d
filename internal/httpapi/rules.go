package httpapi

import (
	"context"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// ListRules answers the rule table as it is in force.
func (s *server) ListRules(ctx context.Context, request api.ListRulesRequestObject) (api.ListRulesResponseObject, error) {
	lpu := orDefault(request.Params.LpuGUID, uuid.Nil)
	if request.Params.LpuGUID != nil && lpu == uuid.Nil {
		return nil, booking.InvalidField("lpuGuid", zeroGuid)
	}
	rules, err := s.booking.Rules(ctx, patient(ctx), lpu)
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
			Enabled:     rule.Enabled && (rule.Group != booking.GroupIdentity || s.issuer != nil),
			Setting:     orNull(rule.Setting),
		})
	}
	return api.ListRules200JSONResponse{
		Body:    api.RuleList{Items: items},
		Headers: api.ListRules200ResponseHeaders{XRequestID: requestID(ctx).String()},
	}, nil
}

// orNull writes an empty text as null.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
