package booking

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// RuleInForce is a rule and whether it is enabled.
type RuleInForce struct {
	Rule

	Setting string // code of the setting that enables or disables the rule; empty if there is none
	Enabled bool
}

// Rules returns the rules that use cases decide, in the order of the catalogue, with their state in
// the institution lpu for the patient's client application. For the zero guid, a rule is enabled if
// any institution of the region has it enabled. Rules returns the refusal LpuAbsent for an
// institution that does not exist.
func (s *Service) Rules(ctx context.Context, patient Patient, lpu uuid.UUID) ([]RuleInForce, error) {
	settings, err := s.ports.Settings.Settings(ctx, patient, lpu)
	if err != nil {
		return nil, fmt.Errorf("load the settings: %w", err)
	}
	inForce := make([]RuleInForce, 0, len(Rules))
	for _, rule := range Rules {
		enabled := slices.ContainsFunc(settings, func(s Settings) bool { return s.enables(rule.Name) })
		entry := RuleInForce{Rule: rule, Enabled: enabled}
		if setting := settingOf[rule.Name]; setting != nil {
			entry.Setting = setting.Code
		}
		inForce = append(inForce, entry)
	}
	return inForce, nil
}
