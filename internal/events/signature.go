package events

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Headers of a delivery, of Standard Webhooks 1.0.
const (
	WebhookID        = "Webhook-Id"        // the id of the event, the same for each attempt
	WebhookTimestamp = "Webhook-Timestamp" // seconds since 1970 of the attempt
	WebhookSignature = "Webhook-Signature" // see Sign
)

// SigningKey signs deliveries of events. The receiver checks one of the two signatures: with the
// secret, which it shares with the service, or with the public key.
type SigningKey struct {
	Secret  []byte             // 32 bytes, for HMAC-SHA256
	Private ed25519.PrivateKey // for ed25519
}

// secretSize is the size of a secret in bytes.
const secretSize = 32

// NewSigningKey returns a random key. It fails only if the system has no randomness.
func NewSigningKey() (SigningKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return SigningKey{}, fmt.Errorf("generate a signing key: %w", err)
	}
	secret := make([]byte, secretSize)
	if _, err := rand.Read(secret); err != nil {
		return SigningKey{}, fmt.Errorf("generate a signing secret: %w", err)
	}
	return SigningKey{Secret: secret, Private: private}, nil
}

// HMACSecret returns the secret as receivers store it: whsec_ and base64. It must not be logged.
func (k SigningKey) HMACSecret() string {
	return "whsec_" + base64.StdEncoding.EncodeToString(k.Secret)
}

// PublicKey returns the public key as receivers store it: whpk_ and base64.
func (k SigningKey) PublicKey() string {
	public, _ := k.Private.Public().(ed25519.PublicKey)
	return "whpk_" + base64.StdEncoding.EncodeToString(public)
}

// Sign returns the value of WebhookSignature for an attempt to deliver body, the event with the
// id: two signatures by each key, separated by spaces. While a key is replaced there are several.
// WebhookTimestamp must be at.Unix().
func Sign(id string, at time.Time, body []byte, keys ...SigningKey) string {
	signed := append([]byte(id+"."+strconv.FormatInt(at.Unix(), 10)+"."), body...)
	signatures := make([]string, 0, 2*len(keys))
	for _, key := range keys {
		mac := hmac.New(sha256.New, key.Secret)
		mac.Write(signed)
		signatures = append(signatures,
			"v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)),
			"v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(key.Private, signed)))
	}
	return strings.Join(signatures, " ")
}
