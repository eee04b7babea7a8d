package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Schedule is a period of a resource's schedule.
type Schedule struct {
	Windows []AppliedWindow
	Cells   []StoredCell // in order of time
}

// Schedule returns the cells of a resource that begin within a period, and the messages that decide
// it. It rejects with ResourceAbsent, and with FieldInvalid if the period is empty or longer than
// MaxWindow.
func (s *Service) Schedule(ctx context.Context, lpu, resource uuid.UUID, period Period) (Schedule, error) {
	if refusal := period.check(); refusal != nil {
		return Schedule{}, refusal
	}
	schedule, err := s.store.Schedule(ctx, lpu, resource, period, s.now())
	if err != nil {
		return Schedule{}, fmt.Errorf("read the schedule: %w", err)
	}
	return schedule, nil
}

// check rejects a period that is empty, longer than MaxWindow, or outside the possible years.
func (p Period) check() *booking.Refusal { return p.checkLength("from", "to", maxWindowDays) }

// checkLength rejects a period that is empty, longer than some days, or outside the possible years.
// from and to are the names of its fields.
func (p Period) checkLength(from, to string, days int) *booking.Refusal {
	if refusal := booking.CheckYear(from, p.From); refusal != nil {
		return refusal
	}
	switch length := p.To.Sub(p.From); {
	case length <= 0:
		return booking.InvalidField(to, booking.ProblemEmptyPeriod)
	case length > time.Duration(days)*24*time.Hour:
		return booking.InvalidField(to, booking.ProblemPeriod(days))
	default:
		return nil
	}
}
