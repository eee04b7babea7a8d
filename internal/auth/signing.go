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

// pemPrivateKey is the type of the one block in the file of a signing key (PKCS #8).
const pemPrivateKey = "PRIVATE KEY"

// SigningKey signs tokens with ES256: those of the authorisation service, and those of demonstrations and sandboxes. Whoever
// can read its file can be any patient wherever the key is among the Sources.
type SigningKey struct {
	private *ecdsa.PrivateKey
	id      string // kid: the key's thumbprint of RFC 7638
}

// EnsureSigningKey loads the key at path, and creates it first where there is none: readable by its owner only, as are the
// directories that had to be created for it. Processes that do so at once end up with the same key.
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

// LoadSigningKey loads the key at path: PEM, PKCS #8, on the curve P-256. The error wraps fs.ErrNotExist where there is none.
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

// Sign returns a token for t.Person and t.Client, which expires ttl after issuedAt (whole seconds); t.ExpiresAt is not used.
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

// createSigningKey writes a new key to path, all at once, unless there is a file by then.
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
	draft, err := os.CreateTemp(dir, ".key-*") // with the mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	err = errors.Join(pem.Encode(draft, &pem.Block{Type: pemPrivateKey, Bytes: der}), draft.Sync(), draft.Close())
	if err != nil {
		return err
	}
	// Unlike a rename, a link never replaces the key that another process has just created.
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// thumbprint is the SHA-256 of a key on P-256, as RFC 7638 writes it: these members, in this order, without spaces.
func thumbprint(public *ecdsa.PublicKey) (string, error) {
	point, err := public.Bytes() // 4, x, y; RFC 7518 wants both coordinates in full length, as they are here
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
