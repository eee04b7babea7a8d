package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// maxAssertionLife is the longest time until an assertion expires. maxAssertionID is the maximum
// length of its id in bytes.
const (
	maxAssertionLife = 5 * time.Minute
	maxAssertionID   = 255
)

// ErrAssertion is returned for an assertion that does not authenticate a client application. It is
// wrapped with details for the log, which never contain the assertion or its claims.
var ErrAssertion = errors.New("auth: assertion rejected")

// Assertion is the content of a verified assertion (private_key_jwt; RFC 7523, 3): a JWT by which a
// client application authenticates.
type Assertion struct {
	Client uuid.UUID // guid of the client application (claims iss and sub)
	ID     string    // claim jti; the caller must accept each once
	Until  time.Time // when the assertion expires, with the leeway
}

// AssertionVerifier verifies assertions. It is safe for concurrent use.
type AssertionVerifier struct {
	audiences []string
	now       func() time.Time
	parser    *jwt.Parser
}

// NewAssertionVerifier returns a verifier of assertions for one of the audiences. now returns the
// current time.
func NewAssertionVerifier(audiences []string, now func() time.Time) *AssertionVerifier {
	return &AssertionVerifier{audiences, now, jwt.NewParser(jwt.WithStrictDecoding())}
}

// Verify verifies an assertion. keys returns the JWK set of a client application, or nil if it has
// none or does not exist; its error is returned unchanged. Every other error wraps ErrAssertion.
func (v *AssertionVerifier) Verify(
	ctx context.Context, raw string, keys func(ctx context.Context, client uuid.UUID) ([]byte, error),
) (Assertion, error) {
	// Line breaks are rejected here because base64 decoding skips them, even in strict mode.
	if len(raw) > maxTokenBytes || strings.ContainsAny(raw, "\r\n") {
		return Assertion{}, fmt.Errorf("%w: too long, or contains a line break", ErrAssertion)
	}
	payload := jwt.MapClaims{}
	envelope, _, err := v.parser.ParseUnverified(raw, payload)
	if err != nil {
		// The library's error may quote the assertion.
		return Assertion{}, fmt.Errorf("%w: not a JWT, or an unknown algorithm", ErrAssertion)
	}
	isAsymmetric := func(alg string) bool { return methods[alg] != nil && alg != algHS256 }
	alg, kid, err := readHeader(envelope.Header, isAsymmetric)
	if err != nil {
		return Assertion{}, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	assertion, err := v.readClaims(payload)
	if err != nil {
		return Assertion{}, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	document, err := keys(ctx, assertion.Client)
	if err != nil {
		return Assertion{}, err
	}
	if document == nil {
		return Assertion{}, fmt.Errorf("%w: the client application has no keys", ErrAssertion)
	}
	public, _, err := parseJWKS(document)
	if err != nil {
		return Assertion{}, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	signed := raw[:strings.LastIndexByte(raw, '.')]
	if verified, _ := (&ring{keys: public}).verify(signed, envelope.Signature, alg, kid); !verified {
		return Assertion{}, fmt.Errorf("%w: %w", ErrAssertion, signatureError(verified, alg, kid))
	}
	return assertion, nil
}

// readClaims checks the claims and their dates. Every error wraps ErrInvalid or ErrExpired.
func (v *AssertionVerifier) readClaims(payload jwt.MapClaims) (Assertion, error) {
	client, err := readGUID(payload, "iss")
	if err != nil {
		return Assertion{}, err
	}
	if subject, err := readGUID(payload, "sub"); err != nil || subject != client {
		return Assertion{}, invalidClaim("sub")
	}
	audience, err := payload.GetAudience()
	isOurs := func(one string) bool { return slices.Contains(v.audiences, one) }
	if err != nil || !slices.ContainsFunc(audience, isOurs) {
		return Assertion{}, invalidClaim("aud")
	}
	id, _ := payload["jti"].(string)
	if id == "" || len(id) > maxAssertionID {
		return Assertion{}, invalidClaim("jti")
	}
	expiresAt, err := readDate("exp", payload.GetExpirationTime)
	if err != nil {
		return Assertion{}, err
	}
	now := v.now()
	assertion := Assertion{Client: client, ID: id, Until: expiresAt.Add(leeway)}
	switch {
	case !now.Before(assertion.Until):
		return Assertion{}, ErrExpired
	case expiresAt.Sub(now) > maxAssertionLife+leeway:
		return Assertion{}, fmt.Errorf("%w: valid for longer than %s", ErrInvalid, maxAssertionLife)
	}
	for _, start := range []struct {
		name string
		get  func() (*jwt.NumericDate, error)
	}{{"iat", payload.GetIssuedAt}, {"nbf", payload.GetNotBefore}} {
		if _, given := payload[start.name]; !given {
			continue
		}
		date, err := readDate(start.name, start.get)
		if err != nil {
			return Assertion{}, err
		}
		if now.Before(date.Add(-leeway)) {
			return Assertion{}, fmt.Errorf("%w: not valid yet", ErrInvalid)
		}
	}
	return assertion, nil
}

// CheckKeys returns an error unless the document is a JWK set with at least one key that verifies
// assertions, and without private or unsafe keys.
func CheckKeys(document []byte) error {
	keys, rejected, err := parseJWKS(document)
	if err := errors.Join(append(rejected, err)...); err != nil {
		return err
	}
	if len(keys) == 0 {
		return errors.New("the JWK set has no key for EdDSA, ES256, RS256 or PS256")
	}
	return nil
}
