package booking

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// RuleInForce is a rule, and whether it can reject anything.
type RuleInForce struct {
	Rule

	Setting string // the code of the setting that switches the rule; empty where none does
	Enabled bool
}

// Rules returns the rules that use cases decide, in the order of the catalogue, as they are in force in an institution through the patient's
// client application. For the zero guid a rule is enabled that is on in any institution of the region. It returns the refusal LpuAbsent for
// an institution that does not exist.
func (s *Service) Rules(ctx context.Context, patient Patient, lpu uuid.UUID) ([]RuleInForce, error) {
	settings, err := s.store.Settings(ctx, patient, lpu)
	if err != nil {
		return nil, fmt.Errorf("load the settings: %w", err)
	}
	inForce := make([]RuleInForce, 0, len(Rules))
	for _, rule := range Rules {
		entry := RuleInForce{Rule: rule, Enabled: slices.ContainsFunc(settings, func(s Settings) bool { return s.enables(rule.Name) })}
		if setting := settingOf[rule.Name]; setting != nil {
			entry.Setting = setting.Code
		}
		inForce = append(inForce, entry)
	}
	return inForce, nil
}
