package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// outcomeKey is the key in gin's context under which RenderError stores the *booking.Refusal for
// the log line.
const outcomeKey = "outcome"

// observe sets the request id and writes one log line after the request. The line contains no
// token, no body and no person.
func (s *Server) observe(c *gin.Context) {
	started := time.Now()
	id := requestID(c.Request.Header)
	setContext(c, requestIDKey, id)
	c.Header("X-Request-Id", id.String())
	c.Header("X-Content-Type-Options", "nosniff")

	c.Next()

	status := c.Writer.Status()
	attributes := []slog.Attr{
		slog.String("request_id", id.String()),
		slog.String("method", c.Request.Method),
		slog.String("route", c.FullPath()),
		slog.Int("status", status),
		slog.Duration("duration", time.Since(started)),
	}
	if client := Caller(c.Request.Context()).Client; client != uuid.Nil {
		attributes = append(attributes, slog.String("client", client.String()))
	}
	level := slog.LevelInfo
	outcome, _ := c.Get(outcomeKey)
	if refusal, ok := outcome.(*booking.Refusal); ok {
		attributes = append(attributes, slog.String("rule", string(refusal.Rule)))
		if cause := refusal.Unwrap(); cause != nil {
			attributes = append(attributes, slog.String("cause", cause.Error()))
		}
		switch {
		case errors.Is(refusal, context.Canceled): // the client disconnected
			attributes = append(attributes, slog.Bool("client_gone", true))
		case status == http.StatusServiceUnavailable:
			level = slog.LevelWarn
		case status >= http.StatusInternalServerError:
			level = slog.LevelError
		}
	}
	s.log.LogAttrs(c.Request.Context(), level, "request", attributes...)
}

// recover turns a panic into the internal error and logs the stack as its cause.
func (s *Server) recover(c *gin.Context) {
	defer func() {
		if recovered := recover(); recovered != nil {
			s.RenderError(c, fmt.Errorf("panic: %v\n%s", recovered, debug.Stack()))
		}
	}()
	c.Next()
}
