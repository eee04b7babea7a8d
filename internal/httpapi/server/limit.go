package server

import (
	"cmp"
	"context"

	"github.com/gin-gonic/gin"

	"talon.example/internal/booking"
)

// limit limits how many requests run at once, of a caller and of all, and how long each may take,
// including the wait for a database connection. It rejects a request immediately if the service is
// full. It runs after the body has been read, so that slow clients occupy no place. Operations
// without security, such as the health checks, are not limited.
func (s *Server) limit(c *gin.Context) {
	route := s.contract.route(c)
	if len(security(route)) == 0 {
		return
	}
	leave, err := s.takePlaces(c.Request.Context(), Caller(c), route)
	if err != nil {
		s.RenderError(c, err)
		return
	}
	defer leave()
	timeout := cmp.Or(s.timeout, route.timeout())
	if route.Stream {
		timeout = maxStreamTime
	}
	if route.Wait {
		timeout = route.timeout()
	}
	places := s.places(route)
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		s.RenderError(c, booking.Reject(booking.Overloaded))
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), timeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}

// places returns the places that the requests of an operation take. Streams and requests that wait
// for something to happen have places of their own, because they take long.
func (s *Server) places(route *route) chan struct{} {
	switch {
	case route.Stream:
		return s.streams
	case route.Wait:
		return s.waiting
	default:
		return s.inFlight
	}
}
