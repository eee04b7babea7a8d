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
	maxSameKey = 8   // with one and the same id, or with none: a token may have to be tried against each of them
)

// parseJWKS reads a JWK set (RFC 7517). Keys that are not for us (another use, another algorithm) are passed over, as the
// RFC asks. Keys that nobody should hand out or take come back as refused, one error each. err says that this is no JWK set.
func parseJWKS(document []byte) (keys []key, refused []error, err error) {
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
		return nil, nil, fmt.Errorf("more than %d keys in the JWK set", maxKeys)
	}
	for i, raw := range set.Keys {
		k, err := parseJWK(raw)
		switch {
		case err == nil:
			keys = append(keys, k)
		case !errors.Is(err, errUnsupported) && !errors.Is(err, jwkset.ErrUnsupportedKey):
			refused = append(refused, fmt.Errorf("key %d of the JWK set refused: %w", i+1, err))
		}
	}
	return keys, refused, checkAmbiguity(keys)
}

// parseJWK reads one key of a JWK set.
func parseJWK(raw json.RawMessage) (key, error) {
	var jwk jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &jwk); err != nil {
		return key{}, fmt.Errorf("not a JWK: %w", err)
	}
	// Secrets come first: one that is published is a mishap to be told of, whatever else is wrong with the key.
	if jwk.KTY == jwkset.KtyOct || jwk.K != "" {
		return key{}, errors.New("it is a shared secret, which a JWK set must not publish")
	}
	if jwk.D != "" || jwk.P != "" || jwk.Q != "" || jwk.DP != "" || jwk.DQ != "" || jwk.QI != "" || len(jwk.OTH) > 0 {
		return key{}, errors.New("it is a private key, and it is being published: replace it")
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

// parsePEM reads public keys and certificates, at least one. Every block's key is taken, none has an id. Of a certificate
// only the key counts: the file itself is what is trusted, so neither a chain nor dates are checked.
func parsePEM(document []byte) ([]key, error) {
	// pem.Decode passes over a damaged block in silence.
	blocks := bytes.Count(document, []byte("-----BEGIN "))
	if blocks == 0 || blocks > maxKeys {
		return nil, fmt.Errorf("%d PEM blocks, where 1 to %d are accepted", blocks, maxKeys)
	}
	keys := make([]key, 0, blocks)
	for i := range blocks {
		block, rest := pem.Decode(document)
		if block == nil {
			return nil, fmt.Errorf("one of %d PEM blocks is damaged", blocks)
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

// parseBlock reads the public key of one PEM block.
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
		return nil, errors.New("it is a private key, where the public one is enough")
	default:
		return nil, fmt.Errorf("neither a public key nor a certificate, but %.32q", block.Type)
	}
}

// checkAmbiguity bounds the keys that one token can mean, and so the signatures that it can make us compute.
func checkAmbiguity(keys []key) error {
	same := make(map[string]int, len(keys))
	for _, k := range keys {
		if same[k.id]++; same[k.id] > maxSameKey {
			return fmt.Errorf("more than %d keys with the id %.64q (or, if empty, without one)", maxSameKey, k.id)
		}
	}
	return nil
}
