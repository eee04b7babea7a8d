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

// outcomeKey is where RenderError leaves the *booking.Refusal for the log line, in gin's own store.
const outcomeKey = "outcome"

// observe gives the request an id and writes one log line when it has ended. The line holds no token, no body and no person.
func (s *Server) observe(c *gin.Context) {
	started := time.Now()
	id := uuid.Must(uuid.NewV7())
	keep(c, requestIDKey, id)
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
		case errors.Is(refusal, context.Canceled): // the client has gone; nobody read the answer
			attributes = append(attributes, slog.Bool("client_gone", true))
		case status == http.StatusServiceUnavailable:
			level = slog.LevelWarn
		case status >= http.StatusInternalServerError:
			level = slog.LevelError
		}
	}
	s.log.LogAttrs(c.Request.Context(), level, "request", attributes...)
}

// recover turns a panic into the internal error, with the stack as its cause in the log.
func (s *Server) recover(c *gin.Context) {
	defer func() {
		if recovered := recover(); recovered != nil {
			s.RenderError(c, fmt.Errorf("panic: %v\n%s", recovered, debug.Stack()))
		}
	}()
	c.Next()
}
