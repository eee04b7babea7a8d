// Package talon is the root of the module. It holds the contract.
package talon

import (
	_ "embed" // for the contract
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
)

// Contract is openapi.yaml, byte for byte: the one source of the HTTP surface and of every documented answer.
//
//go:embed openapi.yaml
var Contract []byte

// Document parses Contract and resolves its references. Each call returns a document of its own, which the caller may change.
func Document() (*openapi3.T, error) {
	document, err := openapi3.NewLoader().LoadFromData(Contract)
	if err != nil {
		return nil, fmt.Errorf("parse openapi.yaml: %w", err)
	}
	return document, nil
}
