package booking

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// OutageLevel returns the level of the log line of background work that failed: WARN if the
// database is away or overloaded, because the work is repeated until an operator has helped, and
// ERROR otherwise.
func OutageLevel(err error) slog.Level {
	var refusal *Refusal
	if errors.As(err, &refusal) && (refusal.Rule == DatabaseUnavailable || refusal.Rule == Overloaded) {
		return slog.LevelWarn
	}
	return slog.LevelError
}

// outageInterval is the time between two lines of the log about why the same work fails.
const outageInterval = 10 * time.Second

// Outage logs the failures of background work that is repeated until it succeeds, without a line
// for each try. The zero value is work that has not failed. It is not safe for concurrent use.
type Outage struct {
	cause string // that was logged last; empty: none since the work has succeeded
	at    time.Time
}

// Failed logs why the work has failed, at the level of OutageLevel: the first cause, and later
// another one than was logged last, but at most one every 10 seconds, because causes can alternate.
func (o *Outage) Failed(log *slog.Logger, message string, err error, attributes ...any) {
	cause := err.Error()
	if cause == o.cause || time.Since(o.at) < outageInterval {
		return
	}
	o.cause, o.at = cause, time.Now()
	log.Log(context.Background(), OutageLevel(err), message, append(attributes, "error", err)...)
}

// Succeeded logs that the work has succeeded again, if a failure was logged.
func (o *Outage) Succeeded(log *slog.Logger, message string, attributes ...any) {
	if o.cause == "" {
		return
	}
	o.cause = ""
	log.Info(message, attributes...)
}
