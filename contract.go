// Package talon is the root package of the module. It contains the contract and its workflows.
package talon

import (
	_ "embed" // for the contract
	"errors"
	"fmt"
	"regexp"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3conv"
)

// Contract is the content of openapi.yaml, which defines the HTTP interface and every documented
// response.
//
//go:embed openapi.yaml
var Contract []byte

// Workflows is the content of arazzo.yaml, which describes in Arazzo 1.0 how the operations of the
// contract work together.
//
//go:embed arazzo.yaml
var Workflows []byte

// versionLine is the line of info.version, the first one with this name.
var versionLine = regexp.MustCompile(`(?m)^  version: (\S+)$`)

// Version returns the version of Contract, such as 2.0.0. Everything made from it has this version.
// It reads the line alone, because a start would wait for the whole contract to be parsed.
func Version() (string, error) {
	found := versionLine.FindSubmatch(Contract)
	if found == nil {
		return "", errors.New("openapi.yaml has no version")
	}
	return string(found[1]), nil
}

// Document parses Contract and resolves its references. Each call returns a new document, which the
// caller may change.
func Document() (*openapi3.T, error) {
	document, err := openapi3.NewLoader().LoadFromData(Contract)
	if err != nil {
		return nil, fmt.Errorf("parse openapi.yaml: %w", err)
	}
	return document, nil
}

// Document31 returns Document in OpenAPI 3.1, whose schemas are JSON Schema 2020-12: for tools that
// read only that. Both documents accept the same requests and responses. What is a callback in
// Document is a webhook, which 3.0 does not have.
func Document31() (*openapi3.T, error) {
	document, err := Document()
	if err != nil {
		return nil, err
	}
	openapi3conv.Upgrade(document)
	document.Webhooks = map[string]*openapi3.PathItem{}
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			for name, callback := range operation.Callbacks {
				for _, received := range callback.Value.Map() {
					document.Webhooks[name] = received
				}
			}
			operation.Callbacks = nil
		}
	}
	// Upgrade writes the latest version. It adds to 3.1 only what the contract does not use.
	document.OpenAPI = "3.1.1"
	return document, nil
}
