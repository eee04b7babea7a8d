package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"talon.example/internal/booking"
	"talon.example/internal/telemetry"
)

// outcomeKey is the key in gin's context under which RenderError stores the *booking.Refusal for
// the log line.
const outcomeKey = "outcome"

// observe sets the request id and logs the request after its end. The line contains no token, no
// body and no person.
func (s *Server) observe(c *gin.Context) {
	started := time.Now()
	id := requestID(c.Request.Header)
	setContext(c, requestIDKey, id)
	telemetry.StartRequest(c.Request.Context(), s.operation(c), c.FullPath(), id.String())
	c.Header("X-Request-Id", id.String())

	c.Next()

	duration := time.Since(started)
	s.count(c, duration)
	s.logRequest(c, id, duration)
}

// Operations of requests that the contract does not have.
const (
	noOperation   = "none" // an unknown path or method
	pageOperation = "page" // the documentation
)

// operation returns the id of the request's operation.
func (s *Server) operation(c *gin.Context) string {
	switch route := s.contract.route(c); {
	case route != nil:
		return route.Operation.OperationID
	case c.FullPath() != "":
		return pageOperation
	default:
		return noOperation
	}
}

// count counts the request in the metrics, without the time of reading its body, in which the
// service waits for the client. A client that has disconnected has its own status, because nothing
// has rejected it.
func (s *Server) count(c *gin.Context, duration time.Duration) {
	request := telemetry.Request{
		Operation: s.operation(c), Status: c.Writer.Status(),
		Duration: duration - c.GetDuration(bodyTimeKey),
		Replayed: c.Writer.Header().Get("Idempotency-Replayed") == "true",
	}
	outcome, _ := c.Get(outcomeKey)
	if refusal, ok := outcome.(*booking.Refusal); ok && isGone(refusal) {
		request.Status = telemetry.StatusClientGone
	} else if ok {
		request.Rule = string(refusal.Rule)
		telemetry.Reject(c.Request.Context(), request.Rule)
	}
	client := Caller(c.Request.Context()).Client
	if client != uuid.Nil && request.Rule == string(booking.TooManyRequests) {
		s.metrics.CountThrottled(client)
	}
	s.metrics.Count(&request)
}

// logRequest writes the log line of a request. A health check is logged only if its status differs
// from that of the one before, because platforms send one every second.
func (s *Server) logRequest(c *gin.Context, id uuid.UUID, duration time.Duration) {
	status := c.Writer.Status()
	if route := s.contract.route(c); route != nil && route.isHealth() {
		if before, known := s.health.Swap(route.Path, status); known && before == status {
			return
		}
	}
	attributes := []slog.Attr{
		slog.String("request_id", id.String()),
		slog.String("method", c.Request.Method),
		slog.String("route", c.FullPath()),
		slog.Int("status", status),
		slog.Float64("duration_ms", float64(duration.Microseconds())/1000),
	}
	if trace := telemetry.TraceID(c.Request.Context()); trace != "" {
		attributes = append(attributes, slog.String("trace_id", trace))
	}
	if client := Caller(c.Request.Context()).Client; client != uuid.Nil {
		attributes = append(attributes, slog.String("client", client.String()))
	}
	level := slog.LevelInfo
	outcome, _ := c.Get(outcomeKey)
	if refusal, ok := outcome.(*booking.Refusal); ok {
		level = levelOf(refusal)
		attributes = append(attributes, slog.String(telemetry.RuleKey, string(refusal.Rule)))
		if cause := refusal.Unwrap(); cause != nil {
			attributes = append(attributes, slog.String("cause", cause.Error()))
		}
		if isGone(refusal) {
			attributes = append(attributes, slog.Bool("client_gone", true))
		}
	}
	s.log.LogAttrs(c.Request.Context(), level, "request", attributes...)
}

// isGone reports whether a request has failed because its client has disconnected, also in the
// middle of its body, or does not read the response.
func isGone(refusal *booking.Refusal) bool {
	return errors.Is(refusal, context.Canceled) || errors.Is(refusal, errClientGone)
}

// levelOf returns the level of a refusal's log line, by its rule and not by its status: the source
// gives the status 500 to rules that a patient or a registry can mend. WARN are rules that only an
// operator can mend, ERROR those that must not happen.
func levelOf(refusal *booking.Refusal) slog.Level {
	rule := ruleNamed(refusal.Rule)
	switch {
	case isGone(refusal), rule.Mender != booking.MenderService:
		return slog.LevelInfo
	case rule.Name == InternalError, rule.Group == booking.GroupWrite:
		return slog.LevelError
	default:
		return slog.LevelWarn
	}
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
