package server

import (
	"context"

	"github.com/gin-gonic/gin"

	"talon.example/internal/booking"
)

// limit bounds how many requests work at once and how long each may take, with its wait for a connection to the database. Whoever finds the service
// full is told so at once. It comes when the body has been read: a slow client holds no place. The health checks pass: a busy instance is still alive.
func (s *Server) limit(c *gin.Context) {
	if len(security(s.contract.route(c))) == 0 {
		return
	}
	select {
	case s.inFlight <- struct{}{}:
		defer func() { <-s.inFlight }()
	default:
		s.RenderError(c, booking.Reject(booking.Overloaded))
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.timeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}
