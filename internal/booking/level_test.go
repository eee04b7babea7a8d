package booking_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"talon.example/internal/booking"
)

// An outage of the database is no ERROR in the log: those are for developers.
func TestOutagesAreWarnings(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for _, rule := range []booking.Name{booking.DatabaseUnavailable, booking.Overloaded} {
		err := fmt.Errorf("become the deliverer: %w", booking.Reject(rule).Because(cause))
		if level := booking.OutageLevel(err); level != slog.LevelWarn {
			t.Errorf("%s is logged as %s", rule, level)
		}
	}
	for _, err := range []error{cause, booking.Reject(booking.AppointmentAbsent)} {
		if level := booking.OutageLevel(err); level != slog.LevelError {
			t.Errorf("%v is logged as %s", err, level)
		}
	}
}
