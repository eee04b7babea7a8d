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
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// pemPrivateKey is the type of the PEM block in a signing key's file (PKCS #8).
const pemPrivateKey = "PRIVATE KEY"

// SigningKey signs tokens with ES256, for the authorisation service and for sandboxes. Every reader
// of its file can sign in as any patient of a service that has the key among its Sources.
type SigningKey struct {
	private *ecdsa.PrivateKey
	public  PublicKey
}

// Public returns the public half of the key.
func (k *SigningKey) Public() PublicKey { return k.public }

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
	public, err := newPublicKey(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	return &SigningKey{private, public}, nil
}

// Sign returns a signed token for t.Client: of the patient t.Person, or a system token if that is
// the zero guid. The token expires ttl after issuedAt, rounded down to whole seconds. t.ExpiresAt
// is ignored, and for a patient also the scopes and institutions.
func (k *SigningKey) Sign(t Caller, issuer, audience string, issuedAt time.Time, ttl time.Duration) (string, error) {
	claims := jwt.MapClaims{
		"iss":                issuer,
		"aud":                audience,
		"iat":                jwt.NewNumericDate(issuedAt),
		"exp":                jwt.NewNumericDate(issuedAt.Add(ttl)),
		"client_application": t.Client.String(),
	}
	if t.IsSystem() {
		claims["jti"], claims["scope"], claims["lpus"] = uuid.NewString(), strings.Join(t.Scopes, " "), t.Lpus
		if t.EveryLpu {
			claims["lpus"] = everyLpuClaim
		}
	} else {
		claims["sub"] = t.Person.String()
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = k.public.ID
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

// PublicKey is the public half of a SigningKey in the form of a JWK (RFC 7518, 6.2).
type PublicKey struct {
	X, Y string // coordinates on P-256, in base64url
	ID   string // kid
}

// newPublicKey returns the public key with its id, the thumbprint of RFC 7638. The RFC prescribes
// the order of the struct's members.
func newPublicKey(public *ecdsa.PublicKey) (PublicKey, error) {
	point, err := public.Bytes() // 4, x, y, both coordinates in full length, as RFC 7518 requires
	if err != nil {
		return PublicKey{}, err
	}
	key := PublicKey{
		X: base64.RawURLEncoding.EncodeToString(point[1:33]), Y: base64.RawURLEncoding.EncodeToString(point[33:65]),
	}
	document, err := json.Marshal(struct {
		Curve string `json:"crv"`
		Type  string `json:"kty"`
		X     string `json:"x"`
		Y     string `json:"y"`
	}{"P-256", "EC", key.X, key.Y})
	if err != nil {
		return PublicKey{}, err
	}
	sum := sha256.Sum256(document)
	key.ID = base64.RawURLEncoding.EncodeToString(sum[:])
	return key, nil
}
