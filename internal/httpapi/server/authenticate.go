package server

import (
	"errors"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
)

// authenticate verifies the COD token before the body is read, so that an anonymous client cannot
// make the server read it.
func (s *Server) authenticate(c *gin.Context) {
	if !needs(s.contract.route(c), codToken) {
		return
	}
	caller, err := s.verifier.VerifyHeader(c.Request.Context(), c.Request.Header.Values("Authorization"))
	if err != nil {
		// Otherwise net/http would read the rest of the request to reuse the connection.
		c.Header("Connection", "close")
		s.RenderError(c, rejectToken(err))
		return
	}
	if caller.Person == uuid.Nil {
		s.RenderError(c, Reject(TokenInvalid).Because(errNoPatient))
		return
	}
	setContext(c, callerKey, caller)
}

var (
	errNoPatient   = errors.New("the token names no patient")
	errInactive    = errors.New("the client application does not exist or is not active")
	errNoBasicAuth = errors.New("expected exactly one header Authorization: Basic with a guid as the name")
)

// authenticateClient checks that the client application of the token is active, or that the secret
// of Basic authentication is correct. It may read the database and therefore runs after limit.
func (s *Server) authenticateClient(c *gin.Context) {
	route := s.contract.route(c)
	switch {
	case needs(route, codToken):
		active, err := s.clients.ClientActive(c.Request.Context(), Caller(c.Request.Context()).Client)
		switch {
		case err != nil:
			s.RenderError(c, err)
		case !active:
			s.RenderError(c, Reject(TokenInvalid).Because(errInactive))
		}
	case needs(route, clientSecret):
		name, secret, given := c.Request.BasicAuth()
		client, err := uuid.Parse(name)
		if !given || err != nil || len(c.Request.Header.Values("Authorization")) != 1 {
			s.RenderError(c, booking.Reject(booking.ClientUnauthenticated).Because(errNoBasicAuth))
			return
		}
		if err := s.clients.AuthenticateClient(c.Request.Context(), client, secret); err != nil {
			s.RenderError(c, err)
			return
		}
		setContext(c, callerKey, auth.Caller{Client: client})
	}
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
