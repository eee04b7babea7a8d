package httpapi

import (
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"talon.example/internal/booking"
)

// dayRange returns the days of the parameters dateFrom and dateTo, nil for one that is not given.
// It rejects a dateFrom after dateTo.
func dayRange(dateFrom, dateTo *openapi_types.Date) (from, to *time.Time, refusal *booking.Refusal) {
	if dateFrom != nil {
		from = &dateFrom.Time
	}
	if dateTo != nil {
		to = &dateTo.Time
	}
	if from != nil && to != nil && from.After(*to) {
		return nil, nil, booking.InvalidField("dateFrom", booking.ProblemAfterDateTo)
	}
	return from, to, nil
}
