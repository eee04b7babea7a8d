package httpapi

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

// ListRules returns the catalogue of rules with their state in an institution.
func (h *handlers) ListRules(
	ctx context.Context, request api.ListRulesRequestObject,
) (api.ListRulesResponseObject, error) {
	if refusal := rejectZero(guidField{"lpuGuid", orDefault(request.Params.LpuGUID, notZero)}); refusal != nil {
		return nil, refusal
	}
	rules, err := h.booking.Rules(ctx, server.Patient(ctx), orDefault(request.Params.LpuGUID, uuid.Nil))
	if err != nil {
		return nil, err
	}
	items := make([]api.RuleEntry, 0, len(rules))
	for _, rule := range withTransport(rules) {
		items = append(items, api.RuleEntry{
			Rule:        string(rule.Name),
			Group:       string(rule.Group),
			Status:      int32(rule.Status),
			MessageCode: rule.Code,
			Type:        string(rule.Type),
			Message:     rule.Message,
			Title:       rule.Title,
			Retryable:   rule.Retryable,
			Mender:      string(rule.Mender),
			Field:       wire.NilIfZero(rule.Field),
			Enabled:     rule.Enabled && (rule.Group != booking.GroupIdentity || h.issuer != nil),
			Setting:     wire.NilIfZero(rule.Setting),
		})
	}
	return api.ListRules200JSONResponse{Items: items}, nil
}

// withTransport adds the transport rules, which are always enabled, in the order of the catalogue.
func withTransport(rules []booking.RuleInForce) []booking.RuleInForce {
	for _, rule := range server.TransportRules {
		rules = append(rules, booking.RuleInForce{Rule: rule, Enabled: true})
	}
	slices.SortFunc(rules, func(a, b booking.RuleInForce) int { return cmp.Compare(a.Order, b.Order) })
	return rules
}
