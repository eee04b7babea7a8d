package booking

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Promise: an outage of ten minutes, with a try each second, is one line when it begins, one for
// another cause, and one when it is over. Causes that alternate, and work that fails every other
// time, are a line every ten seconds at most.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		log := slog.New(slog.NewTextHandler(&lines, nil))
		away := Reject(DatabaseUnavailable).Because(errors.New("connection refused"))
		var outage Outage
		count := func(text string) int { return strings.Count(lines.String(), text) }

		outage.Succeeded(log, "send again")
		require.Empty(t, lines.String())
		for range 600 {
			outage.Failed(log, "send", away)
			time.Sleep(time.Second)
		}
		require.Equal(t, 1, count("\n"))
		require.Equal(t, 1, count("level=WARN msg=send error=\"database_unavailable: connection refused\""))
		for range 600 {
			outage.Failed(log, "send", errors.New("permission denied"), "events", 3)
			time.Sleep(time.Second)
		}
		require.Equal(t, 2, count("\n"))
		require.Equal(t, 1, count("level=ERROR msg=send events=3 error=\"permission denied\""))
		outage.Succeeded(log, "send again")
		outage.Succeeded(log, "send again")
		require.Equal(t, 3, count("\n"))
		require.Equal(t, 1, count("level=INFO msg=\"send again\""))

		lines.Reset()
		for range 30 { // for a minute
			outage.Failed(log, "send", away)
			time.Sleep(time.Second)
			outage.Failed(log, "send", errors.New("permission denied"))
			time.Sleep(time.Second)
		}
		require.Equal(t, 6, count("\n"), lines.String())
		time.Sleep(time.Minute)
		lines.Reset()
		for range 30 {
			outage.Failed(log, "send", away)
			time.Sleep(time.Second)
			outage.Succeeded(log, "send again")
			time.Sleep(time.Second)
		}
		require.Equal(t, 6, count("msg=send error"), lines.String())
		require.LessOrEqual(t, count("\n"), 13)
	})
}

// Promise: an outage of the database is no ERROR in the log: those are for developers.
func TestOutagesAreWarnings(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for _, rule := range []Name{DatabaseUnavailable, Overloaded} {
		err := fmt.Errorf("become the deliverer: %w", Reject(rule).Because(cause))
		require.Equal(t, slog.LevelWarn, OutageLevel(err), rule)
	}
	for _, err := range []error{cause, Reject(AppointmentAbsent)} {
		require.Equal(t, slog.LevelError, OutageLevel(err), err)
	}
}
