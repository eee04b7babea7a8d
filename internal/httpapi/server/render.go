package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"golang.org/x/text/language"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/wire"
)

// retryAfter is the Retry-After, in seconds, if a retry may succeed at an unknown time.
const retryAfter = "1"

// noStore is the Cache-Control of every operation and of every error.
const noStore = "no-store"

// challenge returns the WWW-Authenticate of a rule that rejects the caller's authentication (RFC
// 6750, RFC 7617), or an empty text. Browsers show a password dialog for such a header only with
// the status 401, which the contract does not have.
func challenge(rule booking.Name) string {
	switch rule {
	case TokenMissing:
		return `Bearer realm="talon"`
	case TokenInvalid, TokenExpired, TokenSignatureInvalid:
		return `Bearer realm="talon", error="invalid_token"`
	case ScopeMissing:
		return `Bearer realm="talon", error="insufficient_scope"`
	case booking.ClientUnauthenticated:
		return `Basic realm="talon", charset="UTF-8"`
	default:
		return ""
	}
}

// RenderError writes every non-2xx response. Routing, authentication, validation, binding and the
// strict server's hooks all end here. An error that is not a *booking.Refusal becomes the internal
// error; its text is logged and not sent to the client. It replaces what the handler has written of
// a response that is still held back.
func (s *Server) RenderError(c *gin.Context, err error) {
	if held, ok := c.Writer.(*heldResponse); ok {
		held.discard()
	}
	begun := c.Writer.Written()
	if begun && isWriteError(err) {
		err = fmt.Errorf("%w: %w", errClientGone, err)
	}
	refusal := refusalOf(err)
	c.Set(outcomeKey, refusal)
	if begun {
		c.Abort()
		return
	}
	c.Header("Content-Type", jsonType) // as in the generated responses
	c.Header("Cache-Control", noStore) // also where no operation has set it
	switch {
	case refusal.RetryAfter > 0:
		c.Header("Retry-After", strconv.FormatFloat(math.Ceil(refusal.RetryAfter.Seconds()), 'f', 0, 64))
	case refusal.Status == http.StatusServiceUnavailable, refusal.Status == http.StatusConflict:
		c.Header("Retry-After", retryAfter)
	}
	if challenge := challenge(refusal.Rule); challenge != "" {
		c.Header("WWW-Authenticate", challenge)
	}
	body := errorBody(refusal, RequestID(c))
	if body.Details != nil && body.Details.Fields != nil {
		s.placeFields(c, *body.Details.Fields)
	}
	if route := s.contract.route(c); route != nil && route.form {
		body.Error = wire.NilIfZero(oauthError(refusal))
	}
	c.Writer.Header().Add("Vary", "Accept-Language")
	if prefersEnglish(c.GetHeader("Accept-Language")) {
		body.Title = &refusal.Title
	}
	c.AbortWithStatusJSON(refusal.Status, body)
}

// errClientGone is the error of a request whose client has ended the connection in its body, and of
// a response whose client has reset it, or reads nothing.
var errClientGone = errors.New("the client is gone")

// isWriteError reports whether err is that of a write to a connection of the network. After the
// first byte of a response, that is the client's connection.
func isWriteError(err error) bool {
	operation, ok := errors.AsType[*net.OpError](err)
	return ok && operation.Op == "write"
}

// refusalOf returns err as a refusal. A client that is gone gets one that nobody reads. An error
// that is not a *booking.Refusal becomes the internal error.
func refusalOf(err error) *booking.Refusal {
	var refusal *booking.Refusal
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, context.Canceled), errors.Is(err, errClientGone):
		return booking.Reject(booking.Overloaded).Because(err)
	default:
		return Reject(InternalError).Because(err)
	}
}

func errorBody(refusal *booking.Refusal, requestID uuid.UUID) api.Error {
	return api.Error{
		Code:        int32(refusal.Status),
		Message:     refusal.Message,
		MessageCode: refusal.Code,
		Type:        string(refusal.Type),
		Rule:        string(refusal.Rule),
		RequestID:   requestID,
		Details:     wire.ErrorDetails(refusal.Remedies),
	}
}

// oauthError returns the error code of RFC 6749, 5.2, or an empty text if the RFC has none for the
// refusal.
func oauthError(refusal *booking.Refusal) string {
	switch refusal.Rule {
	case booking.ClientUnauthenticated:
		return api.ErrorErrorInvalidClient
	case booking.ScopeInvalid:
		return api.ErrorErrorInvalidScope
	case booking.GrantTypeUnsupported:
		return api.ErrorErrorUnsupportedGrantType
	case booking.FieldInvalid, BodyMalformed, BodyTooLarge, MediaTypeUnsupported:
		return api.ErrorErrorInvalidRequest
	default:
		return ""
	}
}

// placeFields sets where each invalid field is: in the parameter of its name, else in the body.
func (s *Server) placeFields(c *gin.Context, fields []api.FieldProblem) {
	route := s.contract.route(c)
	if route == nil {
		return
	}
	for i := range fields {
		if fields[i].Name == actingUser {
			fields[i].In = openapi3.ParameterInHeader
		}
	}
	for _, parameter := range route.Operation.Parameters {
		for i := range fields {
			if fields[i].Name == parameter.Value.Name {
				fields[i].In = parameter.Value.In
			}
		}
	}
}

// languages are those of an error's texts. The first is the default.
var languages = language.NewMatcher([]language.Tag{language.Russian, language.English})

// prefersEnglish reports whether an Accept-Language prefers English to Russian.
func prefersEnglish(header string) bool {
	if header == "" {
		return false
	}
	accepted, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return false
	}
	_, index, confidence := languages.Match(accepted...)
	return index == 1 && confidence > language.No
}

// RenderUnbound rejects a request that passed the validation but does not fit the generated type,
// such as a whole number written as 1.0.
func (s *Server) RenderUnbound(c *gin.Context, err error) {
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		s.RenderError(c, booking.InvalidField(mismatch.Field, booking.ProblemNotInteger))
		return
	}
	s.RenderError(c, Malformed(booking.ProblemBodyOther).Because(err))
}
