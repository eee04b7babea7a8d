package httpapi

import (
	"context"

	"github.com/gin-gonic/gin"

	"talon.example/internal/booking"
)

// limit bounds how many requests run at once and how long each may take. Nothing waits in a queue: whoever finds the service full is told so at once.
// The health checks pass: a busy instance is still alive.
func (s *server) limit(c *gin.Context) {
	if !needsToken(s.contract.route(c)) {
		return
	}
	select {
	case s.inFlight <- struct{}{}:
		defer func() { <-s.inFlight }()
	default:
		s.refuse(c, booking.Refuse(booking.Overloaded))
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.timeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}
