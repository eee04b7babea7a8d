// Package server is the chain that every request passes before its handler, and the one renderer of every response that is not 2xx.
//
// The order is: observe, recover, route, authenticate, read the body, limit, authenticate the client application, validate against the contract.
// Then the generated code binds the request and calls the handler.
package server

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
)

// Config is what the chain needs from the rest of the service.
type Config struct {
	Verifier       *auth.Verifier
	Clients        Clients
	Log            *slog.Logger
	RequestTimeout time.Duration // from the moment that the body has been read until the response
	MaxInFlight    int           // requests that run at once; more are rejected with overloaded
}

// Clients are the client applications.
type Clients interface {
	// ClientActive reports whether a client application exists and is active. It is called for each request.
	ClientActive(ctx context.Context, client uuid.UUID) (bool, error)
	// AuthenticateClient returns nil where the client application is active and the secret is its own, else a *booking.Refusal.
	AuthenticateClient(ctx context.Context, client uuid.UUID, secret string) error
}

// Server routes requests and runs the chain. It is an http.Handler.
type Server struct {
	engine     *gin.Engine
	operations gin.IRouter

	verifier *auth.Verifier
	clients  Clients
	log      *slog.Logger
	timeout  time.Duration
	contract *contract
	inFlight chan struct{}
}

// releaseMode keeps gin from writing its routes to standard output. The mode is global, and servers may be made at the same time.
var releaseMode = sync.OnceFunc(func() { gin.SetMode(gin.ReleaseMode) })

// New returns a server without routes.
func New(config Config) (*Server, error) {
	contract, err := loadContract()
	if err != nil {
		return nil, err
	}
	s := &Server{
		verifier: config.Verifier,
		clients:  config.Clients,
		log:      config.Log,
		timeout:  config.RequestTimeout,
		contract: contract,
		inFlight: make(chan struct{}, config.MaxInFlight),
	}
	s.engine = s.newEngine()
	s.engine.HandleMethodNotAllowed = true
	// A path is right or unknown: the contract has no redirects.
	s.engine.RedirectTrailingSlash = false
	// A slash within a number is no separator. validate unescapes the parameters: gin would take a plus for a space.
	s.engine.UseEscapedPath = true
	s.engine.UnescapePathValues = false
	s.engine.NoRoute(func(c *gin.Context) { s.RenderError(c, Reject(RouteNotFound)) })
	s.engine.NoMethod(s.rejectMethod)
	s.operations = s.engine.Group("/", s.literalFirst, s.authenticate, s.readBody, s.limit, s.authenticateClient, s.validate)
	return s, nil
}

// newEngine returns a router whose requests are logged and survive a panic.
func (s *Server) newEngine() *gin.Engine {
	releaseMode()
	engine := gin.New()
	engine.ContextWithFallback = true
	engine.Use(s.observe, s.recover)
	return engine
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

// Pages routes what is not in the contract, such as the documentation. Its requests are logged, and nothing else is done with them.
func (s *Server) Pages() gin.IRouter { return s.engine }

// Operations routes the operations of the contract. Their requests pass the whole chain.
func (s *Server) Operations() gin.IRouter { return s.operations }

// Rejecting returns a handler that responds to every request with the error.
func (s *Server) Rejecting(err error) http.Handler {
	engine := s.newEngine()
	engine.NoRoute(func(c *gin.Context) { s.RenderError(c, err) })
	return engine
}

// literalFirst keeps a path without parameters from being taken for another with them: gin matches each method by itself, and of
// GET /appointments/check would make an appointment with the guid check.
func (s *Server) literalFirst(c *gin.Context) {
	if path := c.Request.URL.EscapedPath(); s.contract.literal[path] != nil && path != c.FullPath() {
		s.rejectMethod(c)
	}
}

func (s *Server) rejectMethod(c *gin.Context) {
	if methods := s.contract.literal[c.Request.URL.EscapedPath()]; methods != nil {
		c.Header("Allow", strings.Join(methods, ", ")) // gin names those of the paths with parameters, too
	}
	s.RenderError(c, Reject(MethodNotAllowed))
}

// Detach is a middleware of the strict server. It passes the handler a copy of gin's context: the original goes back to a pool when
// the request ends, while a database or HTTP call that was cancelled may still use its context.
func Detach[H ~func(*gin.Context, any) (any, error)](next H, _ string) H {
	return func(c *gin.Context, request any) (any, error) { return next(c.Copy(), request) }
}

type contextKey int

const (
	requestIDKey contextKey = iota
	callerKey
)

// RequestID returns the id of the request that the context belongs to.
func RequestID(ctx context.Context) uuid.UUID {
	id, _ := ctx.Value(requestIDKey).(uuid.UUID)
	return id
}

// Caller returns who makes the request: as the verified token names it, or the client application that has shown its secret.
func Caller(ctx context.Context) auth.Caller {
	caller, _ := ctx.Value(callerKey).(auth.Caller)
	return caller
}

// Patient returns the patient of the caller, and the client application that acts for the patient.
func Patient(ctx context.Context) booking.Patient {
	caller := Caller(ctx)
	return booking.Patient{Person: caller.Person, Client: caller.Client}
}

// keep puts a value into the request's context.
func keep(c *gin.Context, key contextKey, value any) {
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), key, value))
}
