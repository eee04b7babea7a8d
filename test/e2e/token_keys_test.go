package e2e_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/test/harness"
)

// Promise: token keys come from a JWKS URL, a JWKS file, a PEM file or a shared secret.
func TestKeySources(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	jwks, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA", "use": "sig",
		"x": base64.RawURLEncoding.EncodeToString(edPublic),
	}}})
	require.NoError(t, err)
	keys := harness.HTTPServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(jwks)
	}))
	file := func(content []byte) string {
		path := filepath.Join(t.TempDir(), "keys")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	pemFile := func(key any) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		require.NoError(t, err)
		return file(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	const secret = "a secret of at least thirty-two bytes"
	for name, source := range map[string]struct {
		configure func(*app.Config)
		method    jwt.SigningMethod
		key       any
		kid       string
	}{
		"JWKS URL":  {func(c *app.Config) { c.JWKSURL = app.Address(keys) }, jwt.SigningMethodEdDSA, edKey, "ed"},
		"JWKS file": {func(c *app.Config) { c.JWKSFile = file(jwks) }, jwt.SigningMethodEdDSA, edKey, "ed"},
		"PEM file RS256": {func(c *app.Config) {
			c.PEMFile = pemFile(rsaKey.Public())
		}, jwt.SigningMethodRS256, rsaKey, ""},
		"PEM file PS256": {func(c *app.Config) {
			c.PEMFile = pemFile(rsaKey.Public())
		}, jwt.SigningMethodPS256, rsaKey, ""},
		"PEM file ES256": {func(c *app.Config) {
			c.PEMFile = pemFile(ecKey.Public())
		}, jwt.SigningMethodES256, ecKey, ""},
		"HS256 secret": {func(c *app.Config) { c.HS256Secret = secret }, jwt.SigningMethodHS256, []byte(secret), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := harness.Start(t, func(c *app.Config) { c.PEMFile = "" }, source.configure).Scene()
			token := jwt.NewWithClaims(source.method, jwt.MapClaims{
				"iss": "issuer", "aud": "talon", "sub": sc.Person.String(),
				"client_application": harness.ClientGuid.String(),
				"iat":                harness.Moment.Unix(), "exp": harness.Moment.Add(time.Hour).Unix(),
			})
			if source.kid != "" {
				token.Header["kid"] = source.kid
			}
			text, err := token.SignedString(source.key)
			require.NoError(t, err)
			a := sc.Post(sc.BookingBody(), "Bearer "+text)
			require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
			// The key of the harness is not configured here, so that its tokens are rejected.
			sc.Post(sc.BookingBody(), "Bearer "+sc.Token(
				sc.Person)).RequireAnyRefusal(t, "token_signature_invalid", "token_invalid")
		})
	}
}

// Promise: while the keys cannot be read, a token with an unknown key gets a 503 that invites a
// retry, not a 403: the key may be a new one. Tokens with known keys are accepted.
func TestKeysCannotBeRead(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	jwks, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "OKP", "crv": "Ed25519", "kid": "known", "x": base64.RawURLEncoding.EncodeToString(public),
	}}})
	require.NoError(t, err)
	var away atomic.Bool
	keys := harness.HTTPServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write(jwks)
	}))
	sc := harness.Start(t, func(c *app.Config) { c.PEMFile, c.JWKSURL = "", app.Address(keys) }).Scene()
	list := func(kid string) harness.Answer {
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
			"iss": "issuer", "aud": "talon", "sub": sc.Person.String(),
			"client_application": harness.ClientGuid.String(),
			"iat":                harness.Moment.Unix(), "exp": harness.Moment.Add(time.Hour).Unix(),
		})
		token.Header["kid"] = kid
		text, err := token.SignedString(private)
		require.NoError(t, err)
		request := sc.NewRequest(http.MethodGet, "/directions", nil)
		request.Header.Set("Authorization", "Bearer "+text)
		return sc.Do(request)
	}
	away.Store(true)
	for range 3 {
		answer := list("new")
		answer.RequireRefusal(t, "keys_unavailable")
		require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
		require.NotEmpty(t, answer.Header.Get("Retry-After"))
	}
	require.Equal(t, http.StatusOK, list("known").StatusCode)
}
