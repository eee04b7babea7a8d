package booking

import (
	"errors"
	"log/slog"
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
