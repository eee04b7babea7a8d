package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

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
	maxRSABits = 8192 // the cost of a signature grows with the key
)

// methods are the algorithms we take; `none` is not among them. golang-jwt's own registry is open to everybody in the
// process, hence this list.
var methods = map[string]jwt.SigningMethod{
	algEdDSA: jwt.SigningMethodEdDSA,
	algES256: jwt.SigningMethodES256,
	algRS256: jwt.SigningMethodRS256,
	algPS256: jwt.SigningMethodPS256,
	algHS256: jwt.SigningMethodHS256,
}

// errUnsupported marks a key that is sound but of a kind that signs nothing we accept.
var errUnsupported = errors.New("not a key of an algorithm we accept")

// key verifies signatures of the algorithms in algs, all of one family, and of no others: which algorithm applies is never
// the token's choice alone.
type key struct {
	id       string // kid; empty where the source names no keys
	algs     []string
	material any // what golang-jwt wants for these algorithms
}

// newKey returns the public key as one of ours. An alg that is not empty narrows the family to that algorithm. The error is
// errUnsupported, or says why the key is refused.
func newKey(id, alg string, public any) (key, error) {
	var algs []string
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return key{}, fmt.Errorf("RSA key of %d bits, where %d to %d are accepted", bits, minRSABits, maxRSABits)
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
	return key{id: id, algs: algs, material: public}, nil
}

// ring is all keys of one moment. It never changes: other keys are another ring.
type ring struct {
	keys   []key
	absent error // why a source has given no keys so far; nil where all have
}

// verify looks for a key that has made the signature; named says that the token's kid is the id of a key we hold.
func (r *ring) verify(signed string, signature []byte, alg, kid string) (verified, named bool) {
	keys, named := r.candidates(alg, kid)
	for _, k := range keys {
		if methods[alg].Verify(signed, signature, k.material) == nil {
			return true, named
		}
	}
	return false, named
}

// candidates returns the keys that may have made the signature: those of the token's algorithm that bear its kid or no id at
// all. A token without a kid may also mean a key that has an id, where it is the only one of its algorithm. They are few:
// see checkAmbiguity.
func (r *ring) candidates(alg, kid string) (keys []key, named bool) {
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
