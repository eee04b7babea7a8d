// Package auth verifies and signs tokens, which are JWTs. A COD token (COD-токен, токен ЦОД) has a
// patient and the client application (клиентское приложение) that acts for the patient. A system
// token has a client application that acts for itself, with its scopes and institutions. The
// package also verifies the assertions by which client applications authenticate.
//
// The call chain is VerifyHeader → bearer → readClaims → KeySet.verify. No claim leaves the package
// before the signature has been verified.
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

const (
	leeway        = 60 * time.Second // on exp, nbf and iat, for clock skew
	maxTokenBytes = 8 << 10
)

// The errors of VerifyHeader. The first four belong to rule group 1 of the contract; the numbers
// are its message codes. They are returned wrapped with details for the log, which never contain
// the token or its claims.
var (
	// ErrMissing (5010): the request does not have exactly one Authorization header with the scheme
	// Bearer and a token.
	ErrMissing = errors.New("auth: token missing")
	// ErrInvalid (5008): the token is not a JWT or longer than 8 KiB, its algorithm is not
	// accepted, a claim is missing or malformed, the issuer or the audience is wrong, or the token
	// is not valid yet or valid for too long.
	ErrInvalid = errors.New("auth: token invalid")
	// ErrExpired (5007): the token's exp has passed.
	ErrExpired = errors.New("auth: token expired")
	// ErrSignature (5009): no key verifies the signature.
	ErrSignature = errors.New("auth: token signature wrong")
	// ErrKeysUnavailable: the token's key may be in a source that could not be read, or is being
	// read for too many tokens. The same request may succeed later.
	ErrKeysUnavailable = errors.New("auth: keys unavailable")
)

// Caller is the content of a verified token: the client application that sends the request, and the
// patient or the institutions that it acts for.
type Caller struct {
	// Client is the guid of the client application (claim client_application).
	Client uuid.UUID
	// Person is the patient's guid in the master patient index (МИП; claim sub). It is the zero
	// guid if the token has no patient.
	Person uuid.UUID
	// Scopes are the permissions of the client application itself, without a patient (claim scope,
	// separated by spaces; RFC 8693, 4.2).
	Scopes []string
	// Lpus are the institutions (ЛПУ) that Scopes apply to (claim lpus). A token without a patient
	// must have at least one, or EveryLpu.
	Lpus []uuid.UUID
	// EveryLpu means that Scopes apply to all institutions (claim lpus is *). Lpus is then empty.
	EveryLpu bool
	// ExpiresAt is the time of expiry (claim exp) in UTC, in whole seconds, without leeway.
	ExpiresAt time.Time
}

// IsSystem reports whether the client application acts for itself, not for a patient.
func (c *Caller) IsSystem() bool { return c.Person == uuid.Nil }

// HasScopes reports whether the caller has all the scopes.
func (c *Caller) HasScopes(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(c.Scopes, scope) })
}

// ActsFor reports whether the caller's scopes apply to the institution.
func (c *Caller) ActsFor(lpu uuid.UUID) bool { return c.EveryLpu || slices.Contains(c.Lpus, lpu) }

// Expected are the conditions that the claims of every token must meet.
type Expected struct {
	Issuer   string        // claim iss
	Audience string        // one of claim aud
	MaxLife  time.Duration // the longest time from iat to exp
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	keys     *KeySet
	expected Expected
	now      func() time.Time
	parser   *jwt.Parser
	cache    cache
}

// NewVerifier returns a verifier of tokens. If the issuer or the audience in expected is empty, the
// verifier rejects every token. now returns the current time.
func NewVerifier(keys *KeySet, expected Expected, now func() time.Time) *Verifier {
	return &Verifier{
		keys:     keys,
		expected: expected,
		now:      now,
		parser:   jwt.NewParser(jwt.WithStrictDecoding()),
	}
}

// VerifyHeader verifies the token of a request. values are the values of all its Authorization
// headers. The checks run in this order, and the first that fails determines the error:
//
//  1. the header: ErrMissing
//  2. the token's form, algorithm, claims, issuer, audience and start of validity: ErrInvalid
//  3. the expiry: ErrExpired
//  4. the key and the signature: ErrSignature, or ErrKeysUnavailable
//
// The most expensive check is the last one. The expiry is checked before the key, so that an
// expired token whose key has been withdrawn fails with ErrExpired. Only step 4 may wait: for keys
// that are being read again, until ctx is done at the latest.
func (v *Verifier) VerifyHeader(ctx context.Context, values []string) (Caller, error) {
	raw, err := bearer(values)
	if err != nil {
		return Caller{}, err
	}
	// Line breaks are rejected here because base64 decoding skips them, even in strict mode.
	if len(raw) > maxTokenBytes || strings.ContainsAny(raw, "\r\n") {
		return Caller{}, fmt.Errorf("%w: too long, or contains a line break", ErrInvalid)
	}

	sum := sha256.Sum256([]byte(raw))
	if known, ok := v.cache.get(v.keys.ring.Load(), sum); ok {
		if err := known.checkTime(v.now()); err != nil {
			return Caller{}, err
		}
		return known.caller, nil
	}

	payload := jwt.MapClaims{}
	envelope, _, err := v.parser.ParseUnverified(raw, payload)
	if err != nil {
		// The library's error may quote the token, such as a number out of range.
		return Caller{}, fmt.Errorf("%w: not a JWT, or an unknown algorithm", ErrInvalid)
	}
	alg, kid, err := readHeader(envelope.Header, v.keys.accepts)
	if err != nil {
		return Caller{}, err
	}
	claims, err := v.readClaims(payload)
	if err != nil {
		return Caller{}, err
	}
	if err := claims.checkTime(v.now()); err != nil {
		return Caller{}, err
	}
	signed := raw[:strings.LastIndexByte(raw, '.')]
	ring, err := v.keys.verify(ctx, signed, envelope.Signature, alg, kid)
	if err != nil {
		return Caller{}, err
	}
	v.cache.put(ring, sum, claims)
	return claims.caller, nil
}

// bearer returns the token that follows the scheme Bearer. The scheme is case-insensitive and
// followed by one or more spaces (RFC 7235).
func bearer(values []string) (string, error) {
	if len(values) != 1 {
		return "", fmt.Errorf("%w: %d Authorization headers", ErrMissing, len(values))
	}
	scheme, raw, _ := strings.Cut(values[0], " ")
	raw = strings.TrimLeft(raw, " ")
	if !strings.EqualFold(scheme, "Bearer") || raw == "" {
		return "", fmt.Errorf("%w: not the scheme Bearer, or no token after it", ErrMissing)
	}
	return raw, nil
}

// readHeader returns the algorithm of a JWT, which must be accepted, and its key id, which may be
// empty. Every error wraps ErrInvalid.
func readHeader(header map[string]any, accepts func(alg string) bool) (alg, kid string, err error) {
	alg, _ = header["alg"].(string)
	if !accepts(alg) {
		return "", "", fmt.Errorf("%w: algorithm not accepted", ErrInvalid)
	}
	// RFC 7515, 4.1.11: a token with unknown critical extensions must be rejected. The service
	// knows none.
	if _, critical := header["crit"]; critical {
		return "", "", fmt.Errorf("%w: critical extensions in the header", ErrInvalid)
	}
	if value, present := header["kid"]; present {
		var isString bool
		if kid, isString = value.(string); !isString {
			return "", "", fmt.Errorf("%w: kid is not a string", ErrInvalid)
		}
	}
	return alg, kid, nil
}
