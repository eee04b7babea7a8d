package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/telemetry"
)

// Messages runs messages that do not come as requests, but as lines of a file. They are authorised,
// validated and rendered like requests, and neither limited nor logged, unless they fail. It is
// safe for concurrent use.
type Messages struct {
	server     *Server
	engine     *gin.Engine
	operations gin.IRouter
}

// NewMessages returns Messages without operations.
func (s *Server) NewMessages() *Messages {
	m := &Messages{server: s}
	m.engine = s.newRouter(m.logFailure, s.recover)
	m.operations = m.engine.Group("/", s.literalFirst, m.authorize, m.requireBody, s.readBody, s.validate)
	return m
}

// Operations returns the router for the operations.
func (m *Messages) Operations() gin.IRouter { return m.operations }

// Message is one message of a file: a request of the contract.
type Message struct {
	Import uuid.UUID // its request id
	Caller auth.Caller
	Method string
	URL    *url.URL // path and query
	Body   []byte
}

// Run runs a message. It returns the status and the JSON body of the response.
func (m *Messages) Run(ctx context.Context, message Message) (int, []byte) {
	ctx = context.WithValue(ctx, requestIDKey, message.Import)
	ctx = context.WithValue(ctx, callerKey, message.Caller)
	request := (&http.Request{
		Method: message.Method, URL: message.URL, Header: http.Header{}, Body: http.NoBody,
		ContentLength: int64(len(message.Body)),
	}).WithContext(ctx)
	if len(message.Body) > 0 {
		request.Header.Set("Content-Type", jsonType)
		request.Body = io.NopCloser(bytes.NewReader(message.Body))
	}
	response := &responseBuffer{header: http.Header{}}
	m.engine.ServeHTTP(response, request)
	return response.status, response.body.Bytes()
}

// Busy reports whether the instance is processing requests, which messages should not slow down.
func (m *Messages) Busy() bool { return len(m.server.inFlight) > 0 }

// Reject returns what Run returns for a message that is not one.
func (m *Messages) Reject(id uuid.UUID, refusal *booking.Refusal) (int, []byte) {
	body, err := json.Marshal(errorBody(refusal, id))
	if err != nil { // no error has such a value
		return http.StatusInternalServerError, nil
	}
	return refusal.Status, body
}

const importsPath = "/registry/imports"

// Operation returns the path and the description of an operation of the contract.
func Operation(id string) (string, *openapi3.Operation, error) {
	contract, err := loadContract()
	if err != nil {
		return "", nil, err
	}
	for _, r := range contract.routes {
		if r.Operation.OperationID == id {
			return r.Path, r.Operation, nil
		}
	}
	return "", nil, fmt.Errorf("the contract has no operation %q", id)
}

// importable reports whether the operation can be a line of an import: it writes in the registry.
func (r *route) importable() bool {
	return slices.Contains(r.Operation.Tags, "registry") && r.Method != http.MethodGet &&
		!strings.HasPrefix(r.Path, importsPath)
}

// authorize rejects operations that cannot be imported, and callers without the rights.
func (m *Messages) authorize(c *gin.Context) {
	route := m.server.contract.route(c)
	var err error = booking.InvalidField("Path", booking.ProblemNotImportable)
	if route.importable() {
		err = authorize(c, route, Caller(c.Request.Context()))
	}
	if err != nil {
		m.server.RenderError(c, err)
	}
}

// requireBody rejects messages without the body that their operation needs. A request without one
// would be rejected for its media type, which a message does not have.
func (m *Messages) requireBody(c *gin.Context) {
	body := requestBody(m.server.contract.route(c))
	if body != nil && body.Required && c.Request.ContentLength == 0 {
		m.server.RenderError(c, booking.InvalidField("Body", booking.ProblemMissing))
	}
}

// logFailure logs the cause of a failure of the service. A cancelled message has not failed: it is
// run again.
func (m *Messages) logFailure(c *gin.Context) {
	c.Next()
	outcome, _ := c.Get(outcomeKey)
	if errors.Is(c.Request.Context().Err(), context.Canceled) {
		return
	}
	if refusal, ok := outcome.(*booking.Refusal); ok && levelOf(refusal) > slog.LevelInfo {
		m.server.log.LogAttrs(c.Request.Context(), levelOf(refusal), "message of an import",
			slog.String("import", RequestID(c.Request.Context()).String()), slog.String("route", c.FullPath()),
			slog.String(telemetry.RuleKey, string(refusal.Rule)), slog.Any("cause", refusal.Unwrap()))
	}
}

// responseBuffer keeps a response in memory.
type responseBuffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *responseBuffer) Header() http.Header { return r.header }

func (r *responseBuffer) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *responseBuffer) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}
