package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestSigningKeyIsCreatedOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "key.pem")
	_, err := LoadSigningKey(path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	// Concurrent calls simulate processes that start at the same time.
	keys := make([]*SigningKey, 8)
	var group sync.WaitGroup
	for i := range keys {
		group.Go(func() {
			var err error
			if keys[i], err = EnsureSigningKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.False(t, t.Failed())
	for _, k := range keys {
		require.True(t, keys[0].private.Equal(k.private))
		require.Equal(t, keys[0].public.ID, k.public.ID)
	}

	file, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), file.Mode().Perm())
	parent, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), parent.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestSignedTokenVerifies(t *testing.T) {
	t.Parallel()
	signing, err := EnsureSigningKey(filepath.Join(t.TempDir(), "key.pem"))
	require.NoError(t, err)
	keys, err := LoadKeys(t.Context(), Sources{Signing: []*SigningKey{signing, signing}}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(keys.Close)

	now := time.Now()
	expected := Expected{Issuer: testIssuer, Audience: testAudience, MaxLife: 24 * time.Hour}
	verifier := NewVerifier(keys, expected, time.Now)
	expiresAt := now.Add(time.Minute).Truncate(time.Second).UTC()
	lpus := make([]uuid.UUID, maxLpus)
	for i := range lpus {
		lpus[i] = uuid.New()
	}
	for _, token := range []Caller{
		{Person: testPerson, Client: testClient, ExpiresAt: expiresAt},
		{Client: testClient, Scopes: []string{"admin", "visit:read"}, Lpus: lpus, ExpiresAt: expiresAt},
		{Client: testClient, Scopes: []string{"admin"}, EveryLpu: true, ExpiresAt: expiresAt},
	} {
		raw, err := signing.Sign(token, testIssuer, testAudience, now, time.Minute)
		require.NoError(t, err)
		require.LessOrEqual(t, len(raw), maxTokenBytes)
		verified, err := verifier.VerifyHeader(context.Background(), []string{"Bearer " + raw})
		require.NoError(t, err)
		require.Equal(t, token, verified)
	}
}

func TestSigningKeyIDIsItsThumbprint(t *testing.T) {
	t.Parallel()
	signing, err := EnsureSigningKey(filepath.Join(t.TempDir(), "key.pem"))
	require.NoError(t, err)
	public := jwk("", &signing.private.PublicKey)
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, public.X, public.Y))
	require.Equal(t, base64.RawURLEncoding.EncodeToString(sum[:]), signing.public.ID)
}

func TestUnusableSigningKeys(t *testing.T) {
	t.Parallel()
	otherCurve := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	for name, document := range map[string][]byte{
		"empty":         nil,
		"public":        publicPEM(&ecKey().PublicKey),
		"damaged":       block(pemPrivateKey, []byte("x")),
		"RSA":           block(pemPrivateKey, must(x509.MarshalPKCS8PrivateKey(rsaKey()))),
		"another curve": block(pemPrivateKey, must(x509.MarshalPKCS8PrivateKey(otherCurve))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := tempFile(t, document)
			_, err := EnsureSigningKey(path)
			require.ErrorContains(t, err, path)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, document, append([]byte(nil), after...), "the file is not changed")
		})
	}
}
