package httpapi

import (
	"context"
	"errors"

	"github.com/gin-gonic/gin"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
)

// authenticate verifies the COD token before anything of the body is read: an anonymous client must not make us read it.
func (s *server) authenticate(c *gin.Context) {
	if !needs(s.contract.route(c), codToken) {
		return
	}
	token, err := s.verifier.VerifyHeader(c.Request.Context(), c.Request.Header.Values("Authorization"))
	if err != nil {
		// The rest of the request is not wanted; without this, the server would read on to reuse the connection.
		c.Header("Connection", "close")
		s.refuse(c, refuseToken(err))
		return
	}
	c.Set(clientKey, token.Client)
	patient := booking.Patient{Person: token.Person, Client: token.Client}
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), patientKey, patient))
}

// patient is whom the verified token names.
func patient(ctx context.Context) booking.Patient {
	patient, _ := ctx.Value(patientKey).(booking.Patient)
	return patient
}

func refuseToken(err error) error {
	for _, known := range []struct {
		err  error
		name booking.Name
	}{
		{auth.ErrMissing, booking.TokenMissing},
		{auth.ErrInvalid, booking.TokenInvalid},
		{auth.ErrExpired, booking.TokenExpired},
		{auth.ErrSignature, booking.TokenSignatureInvalid},
		{auth.ErrKeysUnavailable, booking.KeysUnavailable},
	} {
		if errors.Is(err, known.err) {
			return booking.Refuse(known.name).Because(err)
		}
	}
	return err
}
