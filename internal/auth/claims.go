package auth

import (
	"fmt"
	"slices"
	"strings"
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
	caller    Caller
	notBefore time.Time // the later of iat and nbf, without leeway
}

// checkTime compares the token's dates with now, with the leeway. It returns ErrInvalid before the
// token becomes valid, and ErrExpired after it has expired.
func (c claims) checkTime(now time.Time) error {
	if now.Before(c.notBefore.Add(-leeway)) {
		return fmt.Errorf("%w: not valid yet", ErrInvalid)
	}
	if !now.Before(c.caller.ExpiresAt.Add(leeway)) {
		return ErrExpired
	}
	return nil
}

// readClaims reads the claims of the payload and checks the issuer, the audience and the lifetime.
// Every error wraps ErrInvalid.
func (v *Verifier) readClaims(payload jwt.MapClaims) (claims, error) {
	issuer, err := payload.GetIssuer()
	if err != nil || issuer == "" || issuer != v.expected.Issuer {
		return claims{}, invalidClaim("iss")
	}
	audience, err := payload.GetAudience()
	if err != nil || v.expected.Audience == "" || !slices.Contains(audience, v.expected.Audience) {
		return claims{}, invalidClaim("aud")
	}
	client, err := readGUID(payload, "client_application")
	if err != nil {
		return claims{}, err
	}
	everyLpu := payload["lpus"] == everyLpuClaim
	var lpus []uuid.UUID
	if !everyLpu {
		if lpus, err = readGUIDs(payload, "lpus"); err != nil {
			return claims{}, err
		}
	}
	var person uuid.UUID
	if _, given := payload["sub"]; given || !everyLpu && len(lpus) == 0 {
		if person, err = readGUID(payload, "sub"); err != nil {
			return claims{}, err
		}
	}
	scope, isText := payload["scope"].(string)
	if _, given := payload["scope"]; given && !isText {
		return claims{}, invalidClaim("scope")
	}
	expiresAt, err := readDate("exp", payload.GetExpirationTime)
	if err != nil {
		return claims{}, err
	}
	notBefore, err := readDate("iat", payload.GetIssuedAt)
	if err != nil {
		return claims{}, err
	}
	if expiresAt.Sub(notBefore) > v.expected.MaxLife {
		return claims{}, fmt.Errorf("%w: valid for longer than %s", ErrInvalid, v.expected.MaxLife)
	}
	// Some issuers write 0 instead of omitting nbf.
	if date, present := payload["nbf"]; present && date != 0.0 {
		date, err := readDate("nbf", payload.GetNotBefore)
		if err != nil {
			return claims{}, err
		}
		if date.After(notBefore) {
			notBefore = date
		}
	}
	caller := Caller{Client: client, Person: person, Lpus: lpus, EveryLpu: everyLpu, ExpiresAt: expiresAt}
	if scope != "" {
		caller.Scopes = strings.Fields(scope)
	}
	return claims{
		caller:    caller,
		notBefore: notBefore,
	}, nil
}

// readGUID reads a claim that must be a guid in canonical form, other than the zero guid. Every
// error wraps ErrInvalid.
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

// everyLpuClaim is the claim lpus of a token for all institutions.
const everyLpuClaim = "*"

// maxLpus is the largest number of institutions in one token.
const maxLpus = 100

// readGUIDs reads an optional claim that must be a list of at most maxLpus guids. It returns nil if
// the token does not have the claim. Every error wraps ErrInvalid.
func readGUIDs(payload jwt.MapClaims, name string) ([]uuid.UUID, error) {
	value, given := payload[name]
	if !given {
		return nil, nil
	}
	list, isList := value.([]any)
	if !isList || len(list) > maxLpus {
		return nil, invalidClaim(name)
	}
	guids := make([]uuid.UUID, len(list))
	for i, element := range list {
		var err error
		if guids[i], err = readGUID(jwt.MapClaims{name: element}, name); err != nil {
			return nil, err
		}
	}
	return guids, nil
}

// readDate reads a claim that must be a number of seconds since 1970, between 1 and maxUnix. It
// returns the date in UTC. Every error wraps ErrInvalid.
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
