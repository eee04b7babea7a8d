// Package talon is the root of the module; it carries the contract.
package talon

import _ "embed"

// Contract is openapi.yaml as it was written: the one source of the HTTP surface and of every documented answer.
//
//go:embed openapi.yaml
var Contract []byte
