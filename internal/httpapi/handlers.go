// Package httpapi handles the operations of the contract, one file each: it reads the request, calls the use case of booking, and writes
// the response. What all requests have in common is in package server.
package httpapi

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// Config is what the handlers need from the rest of the service.
type Config struct {
	Booking *booking.Service
	Issuer  *auth.Issuer                // of the authorisation service; nil where that is off
	Ready   func(context.Context) error // returns nil while the instance can serve
	Now     func() time.Time
}

// handlers implements the generated api.StrictServerInterface.
type handlers struct {
	booking *booking.Service
	issuer  *auth.Issuer
	ready   func(context.Context) error
	now     func() time.Time
}

// Register adds all operations and the documentation to the server.
func Register(s *server.Server, config Config) {
	h := &handlers{booking: config.Booking, issuer: config.Issuer, ready: config.Ready, now: config.Now}
	routes := s.Operations()
	if h.issuer == nil {
		routes = without{routes, tokenPath}
	}
	strict := api.NewStrictHandlerWithOptions(h, []api.StrictMiddlewareFunc{server.Detach[api.StrictHandlerFunc]}, api.StrictGinServerOptions{
		RequestErrorHandlerFunc:  s.RenderUnbound,
		HandlerErrorFunc:         s.RenderError,
		ResponseErrorHandlerFunc: s.RenderError,
	})
	api.RegisterHandlersWithOptions(routes, strict, api.GinServerOptions{
		ErrorHandler: func(c *gin.Context, err error, _ int) { s.RenderUnbound(c, err) },
	})
	registerDocs(s)
}

// without is a router that leaves a path out.
type without struct {
	gin.IRouter

	path string
}

// GET implements gin.IRouter.
func (w without) GET(path string, handlers ...gin.HandlerFunc) gin.IRoutes {
	if path == w.path {
		return w.IRouter
	}
	return w.IRouter.GET(path, handlers...)
}
