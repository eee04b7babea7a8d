package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
)

const (
	maxKeys    = 100 // in one source
	maxSameKey = 8   // with the same id, or without one: a token may be tried against each of them
)

// parseJWKS parses a JWK set (RFC 7517). It skips keys of another use or algorithm, as the RFC
// requires. rejected contains one error for each key that must not be published or is unsafe to
// accept. err is not nil if the document is not a JWK set or has too many keys.
func parseJWKS(document []byte) (keys []key, rejected []error, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, nil, fmt.Errorf("not a JWK set: %w", err)
	}
	if set.Keys == nil {
		return nil, nil, errors.New("not a JWK set: it has no keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("the JWK set has more than %d keys", maxKeys)
	}
	for i, raw := range set.Keys {
		k, err := parseJWK(raw)
		switch {
		case err == nil:
			keys = append(keys, k)
		case !errors.Is(err, errUnsupported) && !errors.Is(err, jwkset.ErrUnsupportedKey):
			rejected = append(rejected, fmt.Errorf("key %d of the JWK set rejected: %w", i+1, err))
		}
	}
	return keys, rejected, checkAmbiguity(keys)
}

// parseJWK parses one key of a JWK set. It returns errUnsupported, or an error of jwkset, for a key
// to skip.
func parseJWK(raw json.RawMessage) (key, error) {
	var jwk jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &jwk); err != nil {
		return key{}, fmt.Errorf("not a JWK: %w", err)
	}
	// A published secret is reported before the checks that skip a key.
	if jwk.KTY == jwkset.KtyOct || jwk.K != "" {
		return key{}, errors.New("the JWK set publishes a shared secret: replace it")
	}
	if jwk.D != "" || jwk.P != "" || jwk.Q != "" || jwk.DP != "" || jwk.DQ != "" || jwk.QI != "" || len(jwk.OTH) > 0 {
		return key{}, errors.New("the JWK set publishes a private key: replace it")
	}
	if jwk.USE != "" && jwk.USE != jwkset.UseSig {
		return key{}, errUnsupported
	}
	if len(jwk.KEYOPS) > 0 && !slices.Contains(jwk.KEYOPS, jwkset.KeyOpsVerify) {
		return key{}, errUnsupported
	}
	parsed, err := jwkset.NewJWKFromMarshal(jwk, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return key{}, err
	}
	return newKey(jwk.KID, jwk.ALG.String(), parsed.Key())
}

// parsePEM parses 1 to maxKeys public keys and certificates. The returned keys have no id. parsePEM
// uses only the key of a certificate and does not check its chain or its dates, because the file
// itself is trusted.
func parsePEM(document []byte) ([]key, error) {
	// pem.Decode skips a damaged block without an error, so the blocks are counted first.
	blocks := bytes.Count(document, []byte("-----BEGIN "))
	if blocks == 0 || blocks > maxKeys {
		return nil, fmt.Errorf("%d PEM blocks, want 1 to %d", blocks, maxKeys)
	}
	keys := make([]key, 0, blocks)
	for i := range blocks {
		block, rest := pem.Decode(document)
		if block == nil {
			return nil, fmt.Errorf("one of the %d PEM blocks is damaged", blocks)
		}
		document = rest
		public, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", i+1, err)
		}
		k, err := newKey("", "", public)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", i+1, err)
		}
		keys = append(keys, k)
	}
	return keys, checkAmbiguity(keys)
}

// parseBlock returns the public key of one PEM block, or an error for a private key, an unknown
// type of block or damaged data.
func parseBlock(block *pem.Block) (any, error) {
	switch {
	case block.Type == "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		return certificate.PublicKey, nil
	case block.Type == "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("the block is a private key: use the public one")
	default:
		return nil, fmt.Errorf("block type %.32q is neither a public key nor a certificate", block.Type)
	}
}

// checkAmbiguity returns an error if more than maxSameKey keys have the same id, or no id. This
// limits the number of signatures that the service computes for one token.
func checkAmbiguity(keys []key) error {
	same := make(map[string]int, len(keys))
	for _, k := range keys {
		if same[k.id]++; same[k.id] > maxSameKey {
			return fmt.Errorf("more than %d keys with the id %.64q (empty: without an id)", maxSameKey, k.id)
		}
	}
	return nil
}
