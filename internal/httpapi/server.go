// Package httpapi is the service on the wire: the generated strict server, the COD token, validation against the contract, and the one renderer of
// every answer that is not 2xx.
//
// A request goes: observe → recover → (a path without parameters first) → authenticate → read the body → limit → (authenticate the client) → validate → the generated binding → a method of server → booking.
package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
)

// Config is what the server needs from the rest of the service.
type Config struct {
	Booking        *booking.Service
	Verifier       *auth.Verifier
	Issuer         *auth.Issuer                // of the authorisation service; nil where that is off
	Sandbox        *Sandbox                    // nil outside the sandbox
	Ready          func(context.Context) error // nil while the instance can serve
	Now            func() time.Time
	Log            *slog.Logger
	RequestTimeout time.Duration // until a request has its answer
	MaxInFlight    int           // requests at once; more are refused at once
}

// server implements the generated api.StrictServerInterface.
type server struct {
	booking  *booking.Service
	verifier *auth.Verifier
	issuer   *auth.Issuer
	sandbox  *Sandbox
	ready    func(context.Context) error
	now      func() time.Time
	log      *slog.Logger
	timeout  time.Duration
	contract *contract
	inFlight chan struct{}
}

// quiet keeps gin from writing its routes to standard output. The mode is global, and servers may be made at the same time.
var quiet = sync.OnceFunc(func() { gin.SetMode(gin.ReleaseMode) })

// New builds the handler of all paths.
func New(config Config) (http.Handler, error) {
	contract, err := loadContract()
	if err != nil {
		return nil, fmt.Errorf("load the contract: %w", err)
	}
	s := &server{
		booking:  config.Booking,
		verifier: config.Verifier,
		issuer:   config.Issuer,
		sandbox:  config.Sandbox,
		ready:    config.Ready,
		now:      config.Now,
		log:      config.Log,
		timeout:  config.RequestTimeout,
		contract: contract,
		inFlight: make(chan struct{}, config.MaxInFlight),
	}

	quiet()
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	// A path is right or unknown: a redirect would be an answer that the contract does not have.
	engine.RedirectTrailingSlash = false
	// A slash within a number is no separator. validate unescapes the parameters: gin would take a plus for a space.
	engine.UseEscapedPath = true
	engine.UnescapePathValues = false
	engine.ContextWithFallback = true
	engine.Use(s.observe, s.recover)
	engine.NoRoute(func(c *gin.Context) { s.refuse(c, booking.Refuse(booking.RouteNotFound)) })
	engine.NoMethod(s.refuseMethod)
	s.serveDocs(engine)
	s.servePortal(engine)

	operations := without{engine.Group("/", s.literalFirst, s.authenticate, s.trouble, s.readBody, s.limit, s.authenticateClient, s.validate), s.switchedOff()}
	strict := api.NewStrictHandlerWithOptions(s, []api.StrictMiddlewareFunc{detach}, api.StrictGinServerOptions{
		RequestErrorHandlerFunc:  s.refuseUnbound,
		HandlerErrorFunc:         s.refuse,
		ResponseErrorHandlerFunc: s.refuse,
	})
	api.RegisterHandlersWithOptions(operations, strict, api.GinServerOptions{
		ErrorHandler: func(c *gin.Context, err error, _ int) { s.refuseUnbound(c, err) },
	})
	return engine, nil
}

// literalFirst keeps a path without parameters from being taken for another with them: gin matches each method by itself, and of GET /appointments/check would
// make an appointment with the guid check.
func (s *server) literalFirst(c *gin.Context) {
	if path := c.Request.URL.EscapedPath(); s.contract.literal[path] != nil && path != c.FullPath() {
		s.refuseMethod(c)
	}
}

// refuseMethod answers what a path does not take.
func (s *server) refuseMethod(c *gin.Context) {
	if methods := s.contract.literal[c.Request.URL.EscapedPath()]; methods != nil {
		c.Header("Allow", strings.Join(methods, ", ")) // gin names those of the paths with parameters, too
	}
	s.refuse(c, booking.Refuse(booking.MethodNotAllowed))
}

// detach gives the handler a copy of gin's context. The original goes back to a pool when the request ends, while a database or HTTP call that was
// cancelled may still look at its context.
func detach(next api.StrictHandlerFunc, _ string) api.StrictHandlerFunc {
	return func(c *gin.Context, request any) (any, error) { return next(c.Copy(), request) }
}
