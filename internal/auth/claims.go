package auth

import (
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// guidLength is the length of a guid's canonical form, xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.
// uuid.Parse also accepts other forms.
const guidLength = 36

// maxUnix is the last second of the year 9999, in Unix time. Later dates could overflow in other
// code.
const maxUnix = 253402300799

// claims are the claims of a token that the service uses. They must not be trusted before the
// signature has been verified.
type claims struct {
	token     Token
	notBefore time.Time // the later of iat and nbf, without leeway
}

// checkTime compares the token's dates with now, with the leeway. It returns ErrInvalid before the
// token becomes valid, and ErrExpired after it has expired.
func (c claims) checkTime(now time.Time) error {
	if now.Before(c.notBefore.Add(-leeway)) {
		return fmt.Errorf("%w: not valid yet", ErrInvalid)
	}
	if !now.Before(c.token.ExpiresAt.Add(leeway)) {
		return ErrExpired
	}
	return nil
}

// readClaims reads the claims of the payload and checks its issuer and audience. Every error wraps
// ErrInvalid.
func (v *Verifier) readClaims(payload jwt.MapClaims) (claims, error) {
	issuer, err := payload.GetIssuer()
	if err != nil || issuer == "" || issuer != v.issuer {
		return claims{}, invalidClaim("iss")
	}
	audience, err := payload.GetAudience()
	if err != nil || v.audience == "" || !slices.Contains(audience, v.audience) {
		return claims{}, invalidClaim("aud")
	}
	person, err := readGUID(payload, "sub")
	if err != nil {
		return claims{}, err
	}
	client, err := readGUID(payload, "client_application")
	if err != nil {
		return claims{}, err
	}
	expiresAt, err := readDate("exp", payload.GetExpirationTime)
	if err != nil {
		return claims{}, err
	}
	notBefore, err := readDate("iat", payload.GetIssuedAt)
	if err != nil {
		return claims{}, err
	}
	if date, present := payload["nbf"]; present && date != 0.0 { // some issuers write 0 for no nbf
		date, err := readDate("nbf", payload.GetNotBefore)
		if err != nil {
			return claims{}, err
		}
		if date.After(notBefore) {
			notBefore = date
		}
	}
	return claims{
		token:     Token{Person: person, Client: client, ExpiresAt: expiresAt},
		notBefore: notBefore,
	}, nil
}

// readGUID reads a claim that must be a guid in canonical form, other than the zero guid.
func readGUID(payload jwt.MapClaims, name string) (uuid.UUID, error) {
	text, _ := payload[name].(string)
	if len(text) != guidLength {
		return uuid.Nil, invalidClaim(name)
	}
	guid, err := uuid.Parse(text)
	if err != nil || guid == uuid.Nil {
		return uuid.Nil, invalidClaim(name)
	}
	return guid, nil
}

// readDate reads a claim that must be a Unix time in seconds, between 1 and maxUnix. It returns the
// time in UTC.
func readDate(name string, get func() (*jwt.NumericDate, error)) (time.Time, error) {
	date, err := get()
	if err != nil || date == nil || date.Unix() <= 0 || date.Unix() > maxUnix {
		return time.Time{}, invalidClaim(name)
	}
	return date.UTC(), nil
}

// invalidClaim returns ErrInvalid with the name of a claim that is missing, malformed or
// unexpected. The error does not contain the claim's value, so it may be logged.
func invalidClaim(name string) error {
	return fmt.Errorf("%w: claim %s", ErrInvalid, name)
}
