package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// logAt writes a line at a time.
func logAt(t *testing.T, handler slog.Handler, at time.Time, level slog.Level, message string, attrs ...slog.Attr) {
	t.Helper()
	record := slog.NewRecord(at, level, message, 0)
	record.AddAttrs(attrs...)
	require.NoError(t, handler.Handle(context.Background(), record))
}

// linesOf counts the lines of a log by message and rule.
func linesOf(t *testing.T, log *bytes.Buffer) (count map[string]int, leftOut map[string]int) {
	t.Helper()
	count, leftOut = map[string]int{}, map[string]int{}
	for line := range strings.Lines(log.String()) {
		var read struct {
			Msg   string `json:"msg"`
			Rule  string `json:"rule"`
			Of    string `json:"of"`
			Lines int    `json:"lines"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &read))
		count[read.Msg+" "+read.Rule]++
		if read.Lines > 0 {
			leftOut[read.Of+" "+read.Rule] += read.Lines
		}
	}
	return count, leftOut
}

// Promise: an overload writes at most 20 lines a second of one rule, and each line that was left
// out is counted. Other rules, errors and requests that were served are logged meanwhile.
func TestBoundLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	omitted := 0
	handler := BoundLog(slog.NewJSONHandler(&out, nil), func() { omitted++ })
	second := time.Unix(1_700_000_000, 0)
	for i := range 28_000 {
		at := second.Add(time.Duration(i) * 10 * time.Second / 28_000) // ten seconds
		logAt(t, handler, at, slog.LevelWarn, "request", slog.String(RuleKey, "overloaded"))
		if i%1000 == 0 {
			logAt(t, handler, at, slog.LevelError, "request", slog.String(RuleKey, "internal_error"))
			logAt(t, handler, at, slog.LevelInfo, "request")
		}
	}
	logAt(t, handler, second.Add(10*time.Second), slog.LevelInfo, "stopped")
	count, leftOut := linesOf(t, &out)
	require.Equal(t, map[string]int{
		"request overloaded": 200, "log lines left out overloaded": 10, "request internal_error": 28, "request ": 28,
		"stopped ": 1,
	}, count)
	require.Equal(t, map[string]int{"request overloaded": 27_800}, leftOut)
	require.Equal(t, 27_800, omitted)
}

// Promise: lines of ever new messages neither take memory without a bound nor escape the bound.
func TestBoundLogOfManyMessages(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	handler := BoundLog(slog.NewJSONHandler(&out, nil), nil)
	second := time.Unix(1_700_000_000, 0)
	for i := range 5000 {
		logAt(t, handler, second, slog.LevelWarn, fmt.Sprintf("message %d", i))
	}
	require.Equal(t, maxKinds+maxLines, strings.Count(out.String(), "\n"))
	require.Len(t, handler.(*boundedLog).state.lines, maxKinds+1)
	logAt(t, handler, second.Add(time.Second), slog.LevelInfo, "stopped")
	_, leftOut := linesOf(t, &out)
	require.Equal(t, map[string]int{"other lines ": 5000 - maxKinds - maxLines}, leftOut)
}
