package events_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/events"
)

// Promise: the HMAC signature is that of Standard Webhooks 1.0. The expected value is the example
// of its specification.
func TestSignAsTheStandard(t *testing.T) {
	t.Parallel()
	key, err := events.NewSigningKey()
	require.NoError(t, err)
	key.Secret, err = base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", key.HMACSecret())

	at := time.Unix(1614265330, 999_999_999)
	header := events.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`), key)
	hmac, _, _ := strings.Cut(header, " ")
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", hmac)
}

// Promise: a delivery has a signature of each kind by each key, and the receiver can check the
// second kind with the public key.
func TestSignWithSeveralKeys(t *testing.T) {
	t.Parallel()
	first, err := events.NewSigningKey()
	require.NoError(t, err)
	second, err := events.NewSigningKey()
	require.NoError(t, err)
	require.NotEqual(t, first.HMACSecret(), second.HMACSecret())
	require.NotEqual(t, first.PublicKey(), second.PublicKey())
	require.Len(t, first.Secret, 32)

	signatures := strings.Split(events.Sign("7", time.Unix(1, 0), []byte("{}"), first, second), " ")
	require.Len(t, signatures, 4)
	for i, key := range []events.SigningKey{first, second} {
		require.True(t, strings.HasPrefix(signatures[2*i], "v1,"))
		signature, isEd25519 := strings.CutPrefix(signatures[2*i+1], "v1a,")
		require.True(t, isEd25519)
		require.True(t, ed25519.Verify(
			decode(t, strings.TrimPrefix(key.PublicKey(), "whpk_")), []byte("7.1.{}"), decode(t, signature)))
	}
}

func decode(t *testing.T, text string) []byte {
	t.Helper()
	decoded, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return decoded
}
