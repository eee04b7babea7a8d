package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// goodAssertion returns an assertion of testClient that every key of allKeys may sign.
func goodAssertion(kid string) draft {
	d := draft{
		header: map[string]any{},
		claims: map[string]any{
			"iss": testClient.String(), "sub": testClient.String(), "aud": testIssuer, "jti": "1",
			"exp": noon.Add(maxAssertionLife).Unix(),
		},
	}
	if kid != "" {
		d.header["kid"] = kid
	}
	return d
}

// verifyAssertion verifies an assertion at noon. testClient has the keys.
func verifyAssertion(raw string, keys []byte) (Assertion, error) {
	verifier := NewAssertionVerifier([]string{testIssuer, "https://cod.example/auth/token"}, newClock(noon).now)
	return verifier.Verify(context.Background(), raw, func(_ context.Context, client uuid.UUID) ([]byte, error) {
		if client != testClient {
			return nil, nil
		}
		return keys, nil
	})
}

// Promise: an assertion authenticates the client application whose key has signed it, with every
// accepted algorithm.
func TestAssertions(t *testing.T) {
	t.Parallel()
	good := goodAssertion("")
	for name, raw := range map[string]string{
		"ES256":                goodAssertion("ec").signES256(ecKey()),
		"EdDSA":                goodAssertion("ed").sign(jwt.SigningMethodEdDSA, edKey()),
		"RS256":                goodAssertion("rsa").sign(jwt.SigningMethodRS256, rsaKey()),
		"PS256":                goodAssertion("rsa").sign(jwt.SigningMethodPS256, rsaKey()),
		"without a kid":        good.signES256(ecKey()),
		"several audiences":    good.with("aud", []string{"x", testIssuer}).signES256(ecKey()),
		"the endpoint":         good.with("aud", "https://cod.example/auth/token").signES256(ecKey()),
		"dates":                good.with("iat", noon.Unix()).with("nbf", noon.Unix()).signES256(ecKey()),
		"within the leeway":    good.with("iat", noon.Add(leeway).Unix()).signES256(ecKey()),
		"expired by a little":  good.with("exp", noon.Add(-leeway+time.Second).Unix()).signES256(ecKey()),
		"the longest jti":      good.with("jti", strings.Repeat("x", maxAssertionID)).signES256(ecKey()),
		"a type in the header": good.withHeader("typ", "client-authentication+jwt").signES256(ecKey()),
	} {
		assertion, err := verifyAssertion(raw, allKeys())
		require.NoError(t, err, name)
		require.Equal(t, testClient, assertion.Client, name)
		require.NotEmpty(t, assertion.ID, name)
		require.False(t, assertion.Until.Before(noon.Add(time.Second)), name)
	}
}

// Promise: an assertion that is not the client application's, not for this service, too old, or
// valid for too long is rejected. The error contains nothing of it.
func TestRejectedAssertions(t *testing.T) {
	t.Parallel()
	good := goodAssertion("ec")
	for name, raw := range map[string]string{
		"nothing":                   "",
		"garbage":                   "secret",
		"three parts":               "secret.secret.secret",
		"a line break":              good.signES256(ecKey()) + "\n",
		"too long":                  good.with("x", strings.Repeat("x", maxTokenBytes)).signES256(ecKey()),
		"alg none":                  good.sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"HS256 with the public key": goodAssertion("rsa").sign(jwt.SigningMethodHS256, publicPEM(&rsaKey().PublicKey)),
		"HS256 with the JWK set":    good.sign(jwt.SigningMethodHS256, allKeys()),
		"RS512":                     goodAssertion("rsa").sign(jwt.SigningMethodRS512, rsaKey()),
		"another algorithm's header": goodAssertion("rsa").withHeader("alg", "PS256").
			sign(jwt.SigningMethodRS256, rsaKey()),
		"a stranger's key":     good.signES256(newEC()),
		"an unknown kid":       goodAssertion("unknown").signES256(ecKey()),
		"a critical extension": good.withHeader("crit", []string{"x"}).signES256(ecKey()),
		"another client":       good.with("iss", uuid.NewString()).signES256(ecKey()),
		"another subject":      good.with("sub", uuid.NewString()).signES256(ecKey()),
		"no issuer":            good.with("iss", nil).signES256(ecKey()),
		"no subject":           good.with("sub", nil).signES256(ecKey()),
		"a client without keys": good.with("iss", testPerson.String()).with("sub", testPerson.String()).
			signES256(ecKey()),
		"another audience":     good.with("aud", "https://other.example").signES256(ecKey()),
		"the path alone":       good.with("aud", "/auth/token").signES256(ecKey()),
		"a part of the issuer": good.with("aud", testIssuer+"/").signES256(ecKey()),
		"no audience":          good.with("aud", nil).signES256(ecKey()),
		"no jti":               good.with("jti", nil).signES256(ecKey()),
		"an empty jti":         good.with("jti", "").signES256(ecKey()),
		"a long jti":           good.with("jti", strings.Repeat("x", maxAssertionID+1)).signES256(ecKey()),
		"a number as jti":      good.with("jti", 1).signES256(ecKey()),
		"no exp":               good.with("exp", nil).signES256(ecKey()),
		"expired":              good.with("exp", noon.Add(-leeway).Unix()).signES256(ecKey()),
		"valid for too long": good.with("exp", noon.Add(maxAssertionLife+leeway+time.Second).Unix()).
			signES256(ecKey()),
		"not valid yet": good.with("nbf", noon.Add(leeway+time.Second).Unix()).signES256(ecKey()),
		"issued later":  good.with("iat", noon.Add(leeway+time.Second).Unix()).signES256(ecKey()),
		"iat is a text": good.with("iat", "now").signES256(ecKey()),
	} {
		assertion, err := verifyAssertion(raw, allKeys())
		require.ErrorIs(t, err, ErrAssertion, name)
		require.Zero(t, assertion, name)
		require.NotContains(t, err.Error(), "secret", name)
		require.NotContains(t, err.Error(), testClient.String(), name)
	}

	failure := errors.New("the database is down")
	verifier := NewAssertionVerifier([]string{testIssuer}, newClock(noon).now)
	_, err := verifier.Verify(t.Context(), good.signES256(ecKey()), func(context.Context, uuid.UUID) ([]byte, error) {
		return nil, failure
	})
	require.Equal(t, failure, err, "a failure is not a rejection")
}

// Promise: only a JWK set of public keys that can verify assertions is accepted for a client
// application.
func TestCheckKeys(t *testing.T) {
	t.Parallel()
	require.NoError(t, CheckKeys(allKeys()))
	otherCurve := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	for name, document := range map[string][]byte{
		"nothing":       nil,
		"no keys":       jwks(),
		"a PEM":         publicPEM(&ecKey().PublicKey),
		"a private key": jwks(privateJWK("ec", ecKey())),
		"a secret":      jwks(privateJWK("", testSecret)),
		"a weak key":    jwks(jwk("", &weakRSA().PublicKey)),
		"another curve": jwks(jwk("", &otherCurve.PublicKey)),
	} {
		require.Error(t, CheckKeys(document), name)
	}
}
