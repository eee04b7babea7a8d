package server

import (
	"errors"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
)

// authenticate verifies the COD token before anything of the body is read: an anonymous client must not make us read it.
func (s *Server) authenticate(c *gin.Context) {
	if !needs(s.contract.route(c), codToken) {
		return
	}
	token, err := s.verifier.VerifyHeader(c.Request.Context(), c.Request.Header.Values("Authorization"))
	if err != nil {
		// The rest of the request is not wanted; without this, the server would read on to reuse the connection.
		c.Header("Connection", "close")
		s.RenderError(c, rejectToken(err))
		return
	}
	keep(c, clientKey, token.Client)
	keep(c, patientKey, booking.Patient{Person: token.Person, Client: token.Client})
}

// authenticateClient makes sure that the client application is the one that it says it is. It asks the database, and so stands within the limit.
func (s *Server) authenticateClient(c *gin.Context) {
	if !needs(s.contract.route(c), clientSecret) {
		return
	}
	name, secret, given := c.Request.BasicAuth()
	client, err := uuid.Parse(name)
	if !given || err != nil || len(c.Request.Header.Values("Authorization")) != 1 {
		s.RenderError(c, booking.Reject(booking.ClientUnauthenticated).Because(errors.New("not one header Authorization: Basic with a guid")))
		return
	}
	if err := s.clients.AuthenticateClient(c.Request.Context(), client, secret); err != nil {
		s.RenderError(c, err)
		return
	}
	keep(c, clientKey, client)
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
