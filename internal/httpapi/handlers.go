// Package httpapi implements the operations of the contract, one file each. A handler reads the
// request, calls the use case in package booking, and returns the response. Package server contains
// the steps common to all requests.
package httpapi

import (
	"context"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"talon.example/gen/api"
	"talon.example/internal/audit"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/clinic"
	"talon.example/internal/events"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/registry"
	"talon.example/internal/telemetry"
)

// Config is what the handlers need from the rest of the service.
type Config struct {
	Booking    *booking.Service
	Registry   *registry.Service
	Clinic     *clinic.Service
	Audit      *audit.Log
	Imports    *registry.Imports
	Feed       *events.Feed
	Webhooks   *events.Webhooks
	Issuer     *auth.Issuer // nil if the authorisation service is off
	Assertions *auth.AssertionVerifier
	Metrics    *telemetry.Metrics                               // nil: nothing is counted
	Ready      func(context.Context) (degraded bool, err error) // returns nil if the instance can serve requests
	Now        func() time.Time

	Docs       bool // serve the documentation, not only the contract
	KeepTokens bool // the documentation stores its user's tokens in the browser
}

// handlers implements the generated api.StrictServerInterface.
type handlers struct {
	booking  *booking.Service
	registry *registry.Service
	clinic   *clinic.Service
	audit    *audit.Log
	// auditAction returns the action of an audited operation.
	auditAction func(operation string) string
	imports     *registry.Imports
	feed        *events.Feed
	webhooks    *events.Webhooks
	issuer      *auth.Issuer
	assertions  *auth.AssertionVerifier
	metrics     *telemetry.Metrics
	ready       func(context.Context) (degraded bool, err error)
	now         func() time.Time
}

// Register adds all operations, the contract and, if configured, the documentation to the server.
func Register(s *server.Server, config Config) {
	h := newHandlers(config)
	h.auditAction = s.AuditAction
	routes := s.Operations()
	if h.issuer == nil {
		routes = withoutPaths{routes, []string{tokenPath, systemTokenPath, keysPath}}
	}
	registerOperations(routes, s, h)
	registerContract(s)
	if config.Docs {
		registerDocs(s, config.KeepTokens)
	}
}

func newHandlers(config Config) *handlers {
	return &handlers{
		booking: config.Booking, registry: config.Registry, clinic: config.Clinic, audit: config.Audit,
		imports: config.Imports, feed: config.Feed, webhooks: config.Webhooks,
		issuer: config.Issuer, assertions: config.Assertions, metrics: config.Metrics,
		ready: config.Ready, now: config.Now,
	}
}

// registerOperations adds the operations of the contract to a router of the server.
func registerOperations(routes gin.IRouter, s *server.Server, h *handlers) {
	middlewares := []api.StrictMiddlewareFunc{server.Detach[api.StrictHandlerFunc]}
	strict := api.NewStrictHandlerWithOptions(h, middlewares, api.StrictGinServerOptions{
		RequestErrorHandlerFunc:  s.RenderUnbound,
		HandlerErrorFunc:         s.RenderError,
		ResponseErrorHandlerFunc: s.RenderError,
	})
	api.RegisterHandlersWithOptions(routes, strict, api.GinServerOptions{
		ErrorHandler: func(c *gin.Context, err error, _ int) { s.RenderUnbound(c, err) },
	})
}

// withoutPaths is a router that ignores the registration of some paths.
type withoutPaths struct {
	gin.IRouter

	paths []string
}

// GET implements gin.IRouter.
func (w withoutPaths) GET(path string, handlers ...gin.HandlerFunc) gin.IRoutes {
	if slices.Contains(w.paths, path) {
		return w.IRouter
	}
	return w.IRouter.GET(path, handlers...)
}

// POST implements gin.IRouter.
func (w withoutPaths) POST(path string, handlers ...gin.HandlerFunc) gin.IRoutes {
	if slices.Contains(w.paths, path) {
		return w.IRouter
	}
	return w.IRouter.POST(path, handlers...)
}
