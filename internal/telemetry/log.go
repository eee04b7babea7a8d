package telemetry

import (
	"context"
	"log/slog"
	"maps"
	"sync"
)

const (
	// RuleKey is the key of the attribute with the rule that rejected a request.
	RuleKey = "rule"

	// maxLines is how many lines a second may have the same level, message and rule.
	maxLines = 20
	// maxKinds bounds the levels, messages and rules that are counted apart in a second. All others
	// are counted as one.
	maxKinds = 1000
)

// BoundLog returns a handler that writes to next at most maxLines lines a second of each level,
// message and rule, so that an overload or a stranger cannot make the log the bottleneck. The lines
// of INFO and below without a rule are all written: what the service has done is bounded by what it
// can do. The first line of a later second is preceded by a line for each kind that was cut, with
// the number of lines that were left out. omitted is called for each of them, and may be nil.
func BoundLog(next slog.Handler, omitted func()) slog.Handler {
	if omitted == nil {
		omitted = func() {}
	}
	return &boundedLog{next: next, omitted: omitted, state: new(boundedState)}
}

type boundedLog struct {
	next    slog.Handler
	omitted func()
	state   *boundedState // shared by the handlers that WithAttrs and WithGroup return
}

// boundedState counts the lines of the current second.
type boundedState struct {
	mu     sync.Mutex
	second int64
	lines  map[lineKind]int
}

type lineKind struct {
	level   slog.Level
	message string
	rule    string
}

// Enabled implements slog.Handler.
func (b *boundedLog) Enabled(ctx context.Context, level slog.Level) bool {
	return b.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (b *boundedLog) Handle(ctx context.Context, record slog.Record) error {
	kind := lineKind{record.Level, record.Message, ruleOf(&record)}
	write, cut := b.state.count(kind, record.Time.Unix())
	for kind, lines := range cut {
		summary := slog.NewRecord(record.Time, kind.level, "log lines left out", 0)
		summary.AddAttrs(slog.Int("lines", lines-maxLines), slog.String("of", kind.message))
		if kind.rule != "" {
			summary.AddAttrs(slog.String(RuleKey, kind.rule))
		}
		if err := b.next.Handle(ctx, summary); err != nil {
			return err //nolint:wrapcheck // slog ignores it
		}
	}
	if !write {
		b.omitted()
		return nil
	}
	return b.next.Handle(ctx, record) //nolint:wrapcheck // slog ignores it
}

// ruleOf returns the rule of a log line, or an empty text.
func ruleOf(record *slog.Record) (rule string) {
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == RuleKey {
			rule = a.Value.String()
		}
		return rule == ""
	})
	return rule
}

// count counts a line and reports whether it is to be written. In a new second it also returns the
// kinds of which lines were left out before, each with all its lines.
func (s *boundedState) count(kind lineKind, second int64) (write bool, cut map[lineKind]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second > s.second {
		cut = s.lines
		maps.DeleteFunc(cut, func(_ lineKind, lines int) bool { return lines <= maxLines })
		s.second, s.lines = second, map[lineKind]int{}
	}
	if kind.rule == "" && kind.level <= slog.LevelInfo {
		return true, cut
	}
	if _, known := s.lines[kind]; !known && len(s.lines) >= maxKinds {
		kind = lineKind{level: kind.level, message: "other lines"}
	}
	s.lines[kind]++
	return s.lines[kind] <= maxLines, cut
}

// WithAttrs implements slog.Handler.
func (b *boundedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &boundedLog{b.next.WithAttrs(attrs), b.omitted, b.state}
}

// WithGroup implements slog.Handler.
func (b *boundedLog) WithGroup(name string) slog.Handler {
	return &boundedLog{b.next.WithGroup(name), b.omitted, b.state}
}
