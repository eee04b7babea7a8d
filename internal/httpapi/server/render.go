package server

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/wire"
)

// retryAfter is what clients are told to wait, in seconds, where a later try can help and nobody
// knows when.
const retryAfter = "1"

// RenderError writes every non-2xx response. Routing, authentication, validation, binding and the
// hooks of the strict server all end here. An error that is no *booking.Refusal becomes the
// internal error: the log has its text, the client does not.
func (s *Server) RenderError(c *gin.Context, err error) {
	var refusal *booking.Refusal
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, context.Canceled): // the client has gone, and nobody reads this
		refusal = booking.Reject(booking.Overloaded).Because(err)
	default:
		refusal = Reject(InternalError).Because(err)
	}
	c.Set(outcomeKey, refusal)
	if c.Writer.Written() {
		c.Abort()
		return
	}
	c.Header("Content-Type", "application/json") // as the generated answers have it
	switch {
	case refusal.RetryAfter > 0:
		c.Header("Retry-After", strconv.FormatFloat(math.Ceil(refusal.RetryAfter.Seconds()), 'f', 0, 64))
	case refusal.Status == http.StatusServiceUnavailable, refusal.Status == http.StatusConflict:
		c.Header("Retry-After", retryAfter)
	}
	c.AbortWithStatusJSON(refusal.Status, api.Error{
		Code:        int32(refusal.Status),
		Message:     refusal.Message,
		MessageCode: refusal.Code,
		Type:        api.ErrorType(refusal.Type),
		Rule:        api.Rule(refusal.Rule),
		RequestID:   RequestID(c),
		Details:     wire.ErrorDetails(refusal.Remedies),
	})
}

// RenderUnbound responds to a request that passed the validation and still does not fit the
// generated type: a whole number written as a fraction, such as 1.0.
func (s *Server) RenderUnbound(c *gin.Context, err error) {
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		s.RenderError(c, booking.InvalidField(mismatch.Field, booking.ProblemNotInteger))
		return
	}
	s.RenderError(c, Reject(BodyMalformed, "Problem", booking.ProblemBodyOther).Because(err))
}
