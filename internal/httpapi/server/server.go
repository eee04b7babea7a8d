// Package server runs the steps that every request passes before its handler, and writes every
// non-2xx response.
//
// The order is: compress, shed the load, observe, recover, CORS, route, authenticate, limit the
// rate, check the rights, read the body, limit the requests at once, audit, authenticate the client
// application, validate against the contract. Then the generated code binds the request and calls
// the handler.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/klauspost/compress/gzhttp"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/telemetry"
)

// Config is what the chain needs from the rest of the service.
type Config struct {
	Verifier       *auth.Verifier
	Clients        Clients
	Auditor        Auditor
	Now            func() time.Time
	Log            *slog.Logger
	Metrics        *telemetry.Metrics // nil: nothing is counted
	RequestTimeout time.Duration      // from the end of the body to the response; 0: the operation's own
	MaxInFlight    int                // concurrent requests; more are rejected with overloaded
	CallerLimits   CallerLimits
	CORSOrigins    []string // origins whose pages may call the operations: AnyOrigin, or scheme://host[:port]
}

// Clients authenticates client applications.
type Clients interface {
	// SystemRights returns the rights that a client application has for itself, or nil if it does
	// not exist or is not active. It is called for each request.
	SystemRights(ctx context.Context, client uuid.UUID) (*booking.SystemRights, error)
	// AuthenticateClient returns nil if the client application is active and the secret is correct,
	// else a *booking.Refusal.
	AuthenticateClient(ctx context.Context, client uuid.UUID, secret string) error
}

// Server routes requests and runs the chain. It is an http.Handler.
type Server struct {
	engine     *gin.Engine
	handler    http.Handler // the engine, with its responses compressed
	operations gin.IRouter

	verifier *auth.Verifier
	clients  Clients
	auditor  Auditor
	now      func() time.Time
	log      *slog.Logger
	metrics  *telemetry.Metrics
	timeout  time.Duration
	contract *contract
	inFlight chan struct{}
	streams  chan struct{} // bodies that are being read by handlers
	waiting  chan struct{} // requests that may wait for something to happen
	health   sync.Map      // the last status of each health check, by path
	shares   *shares
	shedder  *shedder
	cors     gin.HandlerFunc
}

// releaseMode keeps gin from printing its routes to standard output. The mode is global, and
// servers may be created concurrently.
var releaseMode = sync.OnceFunc(func() { gin.SetMode(gin.ReleaseMode) })

// maxWaiting is the maximum number of requests that wait for something to happen. Each costs some
// memory and a connection of its client, and nothing else.
const maxWaiting = 1024

// New returns a server without routes.
func New(config Config) (*Server, error) {
	contract, err := loadContract()
	if err != nil {
		return nil, err
	}
	shares, err := newShares(config.CallerLimits)
	if err != nil {
		return nil, err
	}
	shedder, err := newShedder(config.Log)
	if err != nil {
		return nil, err
	}
	s := &Server{
		verifier: config.Verifier,
		clients:  config.Clients,
		auditor:  config.Auditor,
		now:      config.Now,
		log:      config.Log,
		metrics:  config.Metrics,
		timeout:  config.RequestTimeout,
		contract: contract,
		inFlight: make(chan struct{}, config.MaxInFlight),
		streams:  make(chan struct{}, maxStreams),
		waiting:  make(chan struct{}, maxWaiting),
		shares:   shares,
		shedder:  shedder,
		cors:     crossOrigin(config.CORSOrigins, contract),
	}
	s.engine = s.newRouter(secure, s.shed, s.observe, s.recover, s.cors)
	s.operations = s.engine.Group("/",
		s.literalFirst, s.protect, s.authenticate, s.throttle, s.checkRights, s.readBody, s.limit, s.audit,
		s.recover, s.authenticateClient, s.validate)
	compress, err := gzhttp.NewWrapper(gzhttp.EnableZstd(false)) // every client that accepts zstd accepts gzip
	if err != nil {
		return nil, fmt.Errorf("set up the compression: %w", err)
	}
	s.handler = compress(s.engine)
	return s, nil
}

// newRouter returns a router without routes for the paths of the contract, with middlewares.
func (s *Server) newRouter(middlewares ...gin.HandlerFunc) *gin.Engine {
	engine := newEngine(middlewares...)
	engine.HandleMethodNotAllowed = true
	// The contract has no redirects.
	engine.RedirectTrailingSlash = false
	// A referral number may contain an escaped slash. validate unescapes the parameters, because
	// gin would turn a plus into a space.
	engine.UseEscapedPath = true
	engine.UnescapePathValues = false
	engine.NoRoute(func(c *gin.Context) { s.RenderError(c, Reject(RouteNotFound)) })
	engine.NoMethod(s.rejectMethod)
	return engine
}

func newEngine(middlewares ...gin.HandlerFunc) *gin.Engine {
	releaseMode()
	engine := gin.New()
	engine.ContextWithFallback = true
	engine.Use(middlewares...)
	return engine
}

// InFlight returns how many requests are being processed, without streams and requests that wait
// for something to happen, and how many may be.
func (s *Server) InFlight() (used, bound int) { return len(s.inFlight), cap(s.inFlight) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Pages returns the router for pages outside the contract, such as the documentation. Their
// requests are only logged.
func (s *Server) Pages() gin.IRouter { return s.engine }

// Operations returns the router for the operations of the contract. Their requests pass all steps.
func (s *Server) Operations() gin.IRouter { return s.operations }

// Rejecting returns a handler that responds to every request with err.
func (s *Server) Rejecting(err error) http.Handler {
	engine := newEngine(secure, s.observe, s.recover, s.cors)
	engine.NoRoute(func(c *gin.Context) { s.RenderError(c, err) })
	return engine
}

// protect tells caches what they may do with the response: nothing, if it may be a patient's. It
// keeps those responses uncompressed that must not be compressed.
func (s *Server) protect(c *gin.Context) {
	route := s.contract.route(c)
	c.Header("Cache-Control", route.cacheControl)
	if route.uncompressed {
		c.Header(gzhttp.HeaderNoCompression, "true") // a mark for gzhttp, which removes it
	}
}

// literalFirst rejects a wrong method on a path without parameters. gin matches each method
// separately and would route GET /appointments/check to an appointment with the guid check.
func (s *Server) literalFirst(c *gin.Context) {
	if path := c.Request.URL.EscapedPath(); s.contract.literal[path] != nil && path != c.FullPath() {
		s.rejectMethod(c)
	}
}

func (s *Server) rejectMethod(c *gin.Context) {
	if methods := s.contract.literal[c.Request.URL.EscapedPath()]; methods != nil {
		c.Header("Allow", strings.Join(methods, ", ")) // gin would add those of paths with parameters
	}
	s.RenderError(c, Reject(MethodNotAllowed))
}

// Detach is a middleware of the strict server. It passes a copy of gin's context to the handler:
// gin reuses the original after the request, while a cancelled database or HTTP call may still use
// its context.
func Detach[H ~func(*gin.Context, any) (any, error)](next H, _ string) H {
	return func(c *gin.Context, request any) (any, error) { return next(c.Copy(), request) }
}

type contextKey int

const (
	requestIDKey contextKey = iota
	callerKey
	mediaTypeKey
)

// RequestID returns the id of the context's request.
func RequestID(ctx context.Context) uuid.UUID {
	id, _ := ctx.Value(requestIDKey).(uuid.UUID)
	return id
}

// Caller returns the caller of the request: that of the verified token, with the rights in force
// now, or the client application that has authenticated by Basic authentication.
func Caller(ctx context.Context) auth.Caller {
	caller, _ := ctx.Value(callerKey).(auth.Caller)
	return caller
}

// Patient returns the patient of the caller with the client application.
func Patient(ctx context.Context) booking.Patient {
	caller := Caller(ctx)
	return booking.Patient{Person: caller.Person, Client: caller.Client}
}

// MediaType returns the media type of a body that is a stream.
func MediaType(ctx context.Context) string {
	mediaType, _ := ctx.Value(mediaTypeKey).(string)
	return mediaType
}

// setContext stores a value in the context of the request.
func setContext(c *gin.Context, key contextKey, value any) {
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), key, value))
}
