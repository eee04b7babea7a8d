package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// pemPrivateKey is the type of the PEM block in a signing key's file (PKCS #8).
const pemPrivateKey = "PRIVATE KEY"

// SigningKey signs tokens with ES256, for the authorisation service and for sandboxes. Every reader
// of its file can sign in as any patient of a service that has the key among its Sources.
type SigningKey struct {
	private *ecdsa.PrivateKey
	id      string // kid: the key's thumbprint, see RFC 7638
}

// EnsureSigningKey loads the key at path, or creates it if the file does not exist. Only the owner
// can read the new file and the directories created for it. Processes that call it at the same time
// load the same key.
func EnsureSigningKey(path string) (*SigningKey, error) {
	k, err := LoadSigningKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := createSigningKey(path); err != nil {
		return nil, fmt.Errorf("create signing key %s: %w", path, err)
	}
	return LoadSigningKey(path)
}

// LoadSigningKey loads the key at path: PEM, PKCS #8, on the curve P-256. The error wraps
// fs.ErrNotExist if the file does not exist.
func LoadSigningKey(path string) (*SigningKey, error) {
	document, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	block, _ := pem.Decode(document)
	if block == nil || block.Type != pemPrivateKey {
		return nil, fmt.Errorf("signing key %s: no PEM block %q", path, pemPrivateKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("signing key %s: not an EC key on P-256", path)
	}
	id, err := thumbprint(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	return &SigningKey{private: private, id: id}, nil
}

// Sign returns a signed token for t.Person and t.Client. The token expires ttl after issuedAt,
// rounded down to whole seconds. t.ExpiresAt is ignored.
func (k *SigningKey) Sign(t Caller, issuer, audience string, issuedAt time.Time, ttl time.Duration) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss":                issuer,
		"aud":                audience,
		"iat":                jwt.NewNumericDate(issuedAt),
		"exp":                jwt.NewNumericDate(issuedAt.Add(ttl)),
		"sub":                t.Person.String(),
		"client_application": t.Client.String(),
	})
	token.Header["kid"] = k.id
	signed, err := token.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// createSigningKey creates the file path with a new key, atomically. It changes nothing if another
// process has created the file in the meantime.
func createSigningKey(path string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, ".key-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	err = errors.Join(pem.Encode(draft, &pem.Block{Type: pemPrivateKey, Bytes: der}), draft.Sync(), draft.Close())
	if err != nil {
		return err
	}
	// Unlike a rename, a link never replaces a key that another process has just created.
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// thumbprint returns the RFC 7638 thumbprint of a P-256 key. The RFC prescribes the order of the
// struct's members.
func thumbprint(public *ecdsa.PublicKey) (string, error) {
	point, err := public.Bytes() // 4, x, y, both coordinates in full length, as RFC 7518 requires
	if err != nil {
		return "", err
	}
	x, y := point[1:33], point[33:65]
	document, err := json.Marshal(struct {
		Curve string `json:"crv"`
		Type  string `json:"kty"`
		X     string `json:"x"`
		Y     string `json:"y"`
	}{"P-256", "EC", base64.RawURLEncoding.EncodeToString(x), base64.RawURLEncoding.EncodeToString(y)})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(document)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
