package server

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// Promise: the level of a log line follows from the rule, not from its status. Of the rules with
// the status 500 only those are ERROR that must not happen. What an operator has to look after is
// WARN, and what others can mend is INFO.
func TestLevelByRule(t *testing.T) {
	t.Parallel()
	byLevel := map[slog.Level][]booking.Name{}
	for _, rule := range Catalogue {
		level := levelOf(rule.Reject())
		byLevel[level] = append(byLevel[level], rule.Name)
		require.Equal(t, slog.LevelInfo, levelOf(rule.Reject().Because(context.Canceled)), "the client is gone")
	}
	require.Equal(t, []booking.Name{
		booking.AppointmentNotCreated, booking.AppointmentNotFound, booking.AppointmentNotLinked, InternalError,
	}, byLevel[slog.LevelError])
	require.Equal(t, []booking.Name{
		booking.MipAuthURLEmpty, booking.MipAuthURLUnreachable, booking.MkabLpuNotFound, booking.MkabPolicyLinkFailed,
		booking.DatabaseUnavailable, booking.MipUnavailable, KeysUnavailable, booking.Overloaded, NotReady,
	}, byLevel[slog.LevelWarn])
	for _, ordinary := range []booking.Name{
		booking.ComplexSlotFailed, booking.MipPersonNotFound, booking.MkabSexEmpty, booking.SlotTaken, TokenExpired,
	} {
		require.Contains(t, byLevel[slog.LevelInfo], ordinary)
	}
}
