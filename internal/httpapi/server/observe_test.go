package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/telemetry"
)

// slowReader takes ten seconds for each read.
type slowReader struct{ io.Reader }

func (r slowReader) Read(to []byte) (int, error) {
	time.Sleep(10 * time.Second)
	return r.Reader.Read(to)
}

// Promise: a client that sends its body slowly does not make the service look slow, whether the
// request succeeds or is rejected. The log has the whole time.
func TestSlowBodyIsNotCounted(t *testing.T) {
	t.Parallel()
	metrics := telemetry.NewMetrics("", "")
	var lines strings.Builder
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Log: slog.New(slog.NewTextHandler(&lines, nil)), Metrics: metrics})
		require.NoError(t, err)
		engine := newEngine(s.observe)
		engine.POST("/appointments", s.readBody, func(*gin.Context) { time.Sleep(2 * time.Second) })
		for body, status := range map[string]int{"{}": http.StatusOK, "{": http.StatusBadRequest} {
			request := httptest.NewRequest(http.MethodPost, "/appointments", slowReader{strings.NewReader(body)})
			request.Header.Set("Content-Type", "application/json")
			response := httptest.NewRecorder()
			engine.ServeHTTP(response, request)
			require.Equal(t, status, response.Code)
		}
	})
	require.Contains(t, lines.String(), "duration_ms=22000")
	scraped := httptest.NewRecorder()
	metrics.Admin().ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := scraped.Body.String()
	require.Contains(t, text, `talon_request_duration_seconds_sum{operation="createAppointment"} 2`+"\n")
	require.Contains(t, text, `talon_request_duration_seconds_count{operation="createAppointment"} 2`)
}

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
