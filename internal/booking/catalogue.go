package booking

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// RuleInForce is a rule, the code of the setting that switches it, if any, and whether it can refuse anything.
type RuleInForce struct {
	Rule

	Setting string
	Enabled bool
}

// Rules answers the whole table, in its order, as it is in force in an institution through the patient's client application; for the zero guid in the region,
// where a rule is on that is on in any institution. It refuses an institution that does not exist with LpuAbsent.
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
