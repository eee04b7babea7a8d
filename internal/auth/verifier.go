// Package auth verifies COD tokens (COD-токен, токен ЦОД: the patient's bearer token, a JWT that names the person and the
// client application, клиентское приложение) and signs such tokens.
//
// The way through: VerifyHeader → bearer → readClaims → KeySet.verify. Nothing that a token says leaves this package before
// its signature has been checked.
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

const (
	leeway        = 60 * time.Second // for the clocks of others, on exp, nbf and iat
	maxTokenBytes = 8 << 10
)

// The ways in which a token is refused; group 1 of the contract gives their answers. They come wrapped with a detail that is
// for the log and never holds the token or a claim of it.
var (
	// ErrMissing (5010): not exactly one Authorization header with the scheme Bearer and something after it.
	ErrMissing = errors.New("auth: token missing")
	// ErrInvalid (5008): not a JWT, an algorithm we do not take, a claim missing or malformed, a wrong issuer or audience, not
	// valid yet, valid for too long, or longer than 8 KiB.
	ErrInvalid = errors.New("auth: token invalid")
	// ErrExpired (5007): past exp.
	ErrExpired = errors.New("auth: token expired")
	// ErrSignature (5009): no key of ours has made the signature.
	ErrSignature = errors.New("auth: token signature wrong")
	// ErrKeysUnavailable is no fault of the token: the key that it names may be at the JWKS URL, which we could not read, so we
	// cannot tell. The same request may succeed later.
	ErrKeysUnavailable = errors.New("auth: keys unavailable")
)

// Caller is who makes a request, as a verified COD token names it: a client application for a patient, or for institutions of its own.
type Caller struct {
	Client    uuid.UUID   // the client application's guid; claim client_application
	Person    uuid.UUID   // the patient's guid in the master patient index (МИП); claim sub. Zero where there is no patient
	Scopes    []string    // what the client application may do for itself; claim scope, separated by spaces (RFC 8693, 4.2)
	Lpus      []uuid.UUID // the institutions (ЛПУ) that it may do this for; claim lpus. A token without a patient needs one
	ExpiresAt time.Time   // UTC, in whole seconds, without leeway; claim exp
}

// Expected is what every token must say.
type Expected struct {
	Issuer   string        // claim iss
	Audience string        // among claim aud
	MaxLife  time.Duration // the longest time from iat to exp
}

// Verifier verifies COD tokens. It is safe for concurrent use.
type Verifier struct {
	keys     *KeySet
	expected Expected
	now      func() time.Time
	parser   *jwt.Parser
	cache    cache
}

// NewVerifier returns a verifier of tokens. With a field of expected empty, every token is invalid.
func NewVerifier(keys *KeySet, expected Expected, now func() time.Time) *Verifier {
	return &Verifier{
		keys:     keys,
		expected: expected,
		now:      now,
		parser:   jwt.NewParser(jwt.WithStrictDecoding()),
	}
}

// VerifyHeader verifies the token in the values of all Authorization headers of a request. It checks in this order, and the
// first failure answers:
//
//  1. the header: ErrMissing
//  2. the token's form, algorithm, claims, issuer, audience, and that it is valid already: ErrInvalid
//  3. that it has not expired: ErrExpired
//  4. its key and signature: ErrSignature, or ErrKeysUnavailable
//
// The costly check comes last, and a token that outlived its key is told that it has expired. Only step 4 may wait, for keys
// that are being read again, and not longer than ctx allows.
func (v *Verifier) VerifyHeader(ctx context.Context, values []string) (Caller, error) {
	raw, err := bearer(values)
	if err != nil {
		return Caller{}, err
	}
	// Line breaks are refused here since base64 decoding would skip them, even in its strict mode.
	if len(raw) > maxTokenBytes || strings.ContainsAny(raw, "\r\n") {
		return Caller{}, fmt.Errorf("%w: too long, or with line breaks in it", ErrInvalid)
	}

	sum := sha256.Sum256([]byte(raw))
	if known, ok := v.cache.get(v.keys.ring.Load(), sum); ok {
		if err := known.checkTime(v.now()); err != nil {
			return Caller{}, err
		}
		return known.caller, nil
	}

	claims := jwt.MapClaims{}
	envelope, _, err := v.parser.ParseUnverified(raw, claims)
	if err != nil {
		// The library's error may quote the token, such as a number out of range.
		return Caller{}, fmt.Errorf("%w: not a JWT, or of an unknown algorithm", ErrInvalid)
	}
	alg, kid, err := v.readHeader(envelope.Header)
	if err != nil {
		return Caller{}, err
	}
	said, err := v.readClaims(claims)
	if err != nil {
		return Caller{}, err
	}
	if err := said.checkTime(v.now()); err != nil {
		return Caller{}, err
	}
	signed := raw[:strings.LastIndexByte(raw, '.')]
	ring, err := v.keys.verify(ctx, signed, envelope.Signature, alg, kid)
	if err != nil {
		return Caller{}, err
	}
	v.cache.put(ring, sum, said)
	return said.caller, nil
}

// bearer returns what follows the scheme Bearer (RFC 7235: the scheme in any case, then one space or more).
func bearer(values []string) (string, error) {
	if len(values) != 1 {
		return "", fmt.Errorf("%w: %d Authorization headers", ErrMissing, len(values))
	}
	scheme, raw, _ := strings.Cut(values[0], " ")
	raw = strings.TrimLeft(raw, " ")
	if !strings.EqualFold(scheme, "Bearer") || raw == "" {
		return "", fmt.Errorf("%w: not Bearer, or nothing after it", ErrMissing)
	}
	return raw, nil
}

// readHeader returns the token's algorithm, one that our keys take, and its key id, empty where it has none.
func (v *Verifier) readHeader(header map[string]any) (alg, kid string, err error) {
	alg, _ = header["alg"].(string)
	if !v.keys.accepts(alg) {
		return "", "", fmt.Errorf("%w: algorithm not accepted", ErrInvalid)
	}
	// RFC 7515, 4.1.11: a token whose critical extensions are not understood must be refused, and we know of none.
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
