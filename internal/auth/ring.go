package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"
)

const (
	algEdDSA = "EdDSA"
	algES256 = "ES256"
	algRS256 = "RS256"
	algPS256 = "PS256"
	algHS256 = "HS256"
)

const (
	minRSABits = 2048
	maxRSABits = 8192 // verifying a signature costs more with a longer key
)

// methods are the accepted algorithms; `none` is never accepted. The package does not use the
// registry of golang-jwt, because any package of the process can add to it.
var methods = map[string]jwt.SigningMethod{
	algEdDSA: jwt.SigningMethodEdDSA,
	algES256: jwt.SigningMethodES256,
	algRS256: jwt.SigningMethodRS256,
	algPS256: jwt.SigningMethodPS256,
	algHS256: jwt.SigningMethodHS256,
}

// errUnsupported is returned for a valid key of an algorithm that is not accepted.
var errUnsupported = errors.New("not a key of an accepted algorithm")

// key verifies signatures of the algorithms in algs only. All of them are of one family, so that a
// token cannot choose an algorithm that does not fit the key.
type key struct {
	id       string // kid; empty if the source has no key ids
	algs     []string
	material any            // the key in the type that golang-jwt needs for these algorithms
	verified *atomic.Uint64 // signatures
}

// newKey returns a key for the public key. A non-empty alg restricts the key to that one algorithm
// of its family. It returns errUnsupported for a key of another algorithm, and another error for an
// unsafe key.
func newKey(id, alg string, public any) (key, error) {
	var algs []string
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return key{}, fmt.Errorf("RSA key of %d bits, want %d to %d", bits, minRSABits, maxRSABits)
		}
		algs = []string{algRS256, algPS256}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return key{}, errUnsupported
		}
		algs = []string{algES256}
	case ed25519.PublicKey:
		algs = []string{algEdDSA}
	default:
		return key{}, errUnsupported
	}
	if alg != "" {
		if !slices.Contains(algs, alg) {
			return key{}, errUnsupported
		}
		algs = []string{alg}
	}
	return key{id: id, algs: algs, material: public, verified: new(atomic.Uint64)}, nil
}

// ring is an immutable snapshot of all keys.
type ring struct{ keys []key }

// verify reports whether a key of the ring verifies the signature, and whether the ring has a key
// with the token's kid.
func (r *ring) verify(signed string, signature []byte, alg, kid string) (verified, kidKnown bool) {
	keys, kidKnown := r.candidates(alg, kid)
	for _, k := range keys {
		if methods[alg].Verify(signed, signature, k.material) == nil {
			k.verified.Add(1)
			return true, kidKnown
		}
	}
	return false, kidKnown
}

// candidates returns the keys to verify a token with, and whether the ring has a key with the
// token's kid. The candidates are the keys of the token's algorithm that have its kid or no id. For
// a token without a kid these are the keys without an id, or else the only key of its algorithm.
// checkAmbiguity limits their number.
func (r *ring) candidates(alg, kid string) (keys []key, kidKnown bool) {
	var withID, withoutID []key
	for _, k := range r.keys {
		switch {
		case !slices.Contains(k.algs, alg):
		case k.id == "":
			withoutID = append(withoutID, k)
		case kid == "" || kid == k.id:
			withID = append(withID, k)
		}
	}
	if kid != "" {
		return append(withID, withoutID...), len(withID) > 0
	}
	if len(withoutID) == 0 && len(withID) == 1 {
		return withID, false
	}
	return withoutID, false
}
