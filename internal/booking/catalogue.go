package booking

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Settings switch rules on and off.
type Settings struct {
	OneActivePerSpeciality bool // of the region
	CreatesMkab            bool // of an institution
}

// RuleInForce is a rule, and whether it can refuse anything.
type RuleInForce struct {
	Rule

	Enabled bool
}

// Rules answers the whole table, in its order, as it is in force in an institution; for the zero guid in the region, where a rule is on unless it is off
// in all institutions. It refuses an institution that does not exist with LpuAbsent.
func (s *Service) Rules(ctx context.Context, lpu uuid.UUID) ([]RuleInForce, error) {
	settings, err := s.store.Settings(ctx, lpu)
	if err != nil {
		return nil, fmt.Errorf("load the settings: %w", err)
	}
	inForce := make([]RuleInForce, 0, len(Rules))
	for _, rule := range Rules {
		enabled := true
		switch {
		case rule.Name == SpecialityAlreadyBooked:
			enabled = settings.OneActivePerSpeciality
		case lpu == uuid.Nil: // making cards is for each institution to allow
		case rule.Name == MkabAbsent:
			enabled = !settings.CreatesMkab
		case rule.Group == GroupMip:
			enabled = settings.CreatesMkab
		}
		inForce = append(inForce, RuleInForce{rule, enabled})
	}
	return inForce, nil
}
