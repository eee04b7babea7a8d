package server

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
)

// authenticate verifies the token before the body is read, so that an anonymous client cannot make
// the server read it.
func (s *Server) authenticate(c *gin.Context) {
	route := s.contract.route(c)
	system := needs(route, systemToken)
	if !system && !needs(route, codToken) {
		return
	}
	caller, err := s.verifier.VerifyHeader(c.Request.Context(), c.Request.Header.Values("Authorization"))
	if err != nil {
		// Otherwise net/http would read the rest of the request to reuse the connection.
		c.Header("Connection", "close")
		s.RenderError(c, rejectToken(err))
		return
	}
	switch {
	case system && !caller.IsSystem():
		err = Reject(TokenInvalid).Because(errPatient)
	case !system && caller.IsSystem():
		err = Reject(TokenInvalid).Because(errNoPatient)
	}
	if err != nil {
		s.RenderError(c, err)
		return
	}
	setContext(c, callerKey, caller)
}

// checkRights rejects a system token that does not allow the operation, before the body is read. It
// runs after throttle, because the rejection leaves a record of the audit.
func (s *Server) checkRights(c *gin.Context) {
	route := s.contract.route(c)
	if !needs(route, systemToken) {
		return
	}
	err := authorize(c, route, Caller(c))
	switch {
	case err == nil:
	case route.audit.Action == notAudited:
		s.RenderError(c, err)
	default:
		s.audited(c, func() { s.RenderError(c, err) })
	}
}

// authorize rejects a caller without the scopes of the operation, or that does not act for the
// institution in the path, or for every institution where the operation needs it. A malformed guid
// is left to validate.
func authorize(c *gin.Context, route *route, caller auth.Caller) error {
	if !slices.ContainsFunc(route.scopes, caller.HasScopes) {
		alternatives := make([]string, len(route.scopes))
		for i, scopes := range route.scopes {
			alternatives[i] = strings.Join(scopes, " + ")
		}
		return Reject(ScopeMissing, "Scopes", strings.Join(alternatives, ", "))
	}
	if route.everyLpu && !caller.EveryLpu {
		return Reject(InstitutionForeign)
	}
	escaped, inPath := c.Params.Get(lpuParameter)
	text, err := url.PathUnescape(escaped)
	if lpu, parseErr := uuid.Parse(text); inPath && err == nil && parseErr == nil && !caller.ActsFor(lpu) {
		return Reject(InstitutionForeign)
	}
	return nil
}

// lpuParameter is the path parameter with the guid of the institution that a request concerns.
const lpuParameter = "lpuGuid"

var (
	errNoPatient   = errors.New("the token names no patient")
	errPatient     = errors.New("the token is a patient's")
	errInactive    = errors.New("the client application does not exist or is not active")
	errNoBasicAuth = errors.New("expected exactly one header Authorization: Basic with a guid as the name")
)

// authenticateClient checks that the client application of the token is active and still has the
// rights that the token names, or that the secret of Basic authentication is correct. It may read
// the database and therefore runs after limit.
func (s *Server) authenticateClient(c *gin.Context) {
	route := s.contract.route(c)
	ctx := c.Request.Context()
	switch {
	case needs(route, codToken), needs(route, systemToken):
		caller := Caller(ctx)
		rights, err := s.clients.SystemRights(ctx, caller.Client)
		switch {
		case err != nil:
		case rights == nil:
			err = Reject(TokenInvalid).Because(errInactive)
		case caller.IsSystem():
			caller = restrict(caller, *rights)
			err = authorize(c, route, caller)
			setContext(c, callerKey, caller)
		default:
			s.metrics.CountPerson(caller.Client, caller.Person, time.Now())
		}
		if err != nil {
			s.RenderError(c, err)
		}
	case needs(route, clientSecret), accepts(route, clientSecret) && c.GetHeader("Authorization") != "":
		client, err := s.authenticateBasic(c, route)
		if err != nil {
			s.RenderError(c, err)
			return
		}
		setContext(c, callerKey, auth.Caller{Client: client})
	}
}

// restrict returns the caller with the rights that both the token and its client application have.
func restrict(caller auth.Caller, now booking.SystemRights) auth.Caller {
	both := booking.SystemRights{Scopes: caller.Scopes, Lpus: caller.Lpus, EveryLpu: caller.EveryLpu}.Within(now)
	caller.Scopes, caller.Lpus, caller.EveryLpu = both.Scopes, both.Lpus, both.EveryLpu
	return caller
}

// authenticateBasic returns the client application whose guid and secret the request has as Basic
// authentication.
func (s *Server) authenticateBasic(c *gin.Context, route *route) (uuid.UUID, error) {
	name, secret, given := c.Request.BasicAuth()
	if route.form {
		// OAuth encodes both, unlike RFC 7617: see RFC 6749, 2.3.1.
		var nameErr, secretErr error
		name, nameErr = url.QueryUnescape(name)
		secret, secretErr = url.QueryUnescape(secret)
		given = given && nameErr == nil && secretErr == nil
	}
	client, err := uuid.Parse(name)
	if !given || err != nil || len(c.Request.Header.Values("Authorization")) != 1 {
		return uuid.Nil, booking.Reject(booking.ClientUnauthenticated).Because(errNoBasicAuth)
	}
	return client, s.clients.AuthenticateClient(c.Request.Context(), client, secret)
}

func rejectToken(err error) error {
	for _, known := range []struct {
		err  error
		name booking.Name
	}{
		{auth.ErrMissing, TokenMissing},
		{auth.ErrInvalid, TokenInvalid},
		{auth.ErrExpired, TokenExpired},
		{auth.ErrSignature, TokenSignatureInvalid},
		{auth.ErrKeysUnavailable, KeysUnavailable},
	} {
		if errors.Is(err, known.err) {
			return Reject(known.name).Because(err)
		}
	}
	return err
}
