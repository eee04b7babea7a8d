package harness

import (
	"bytes"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	talon "talon.example"
)

// schemas31 compiles the schemas of the contract in OpenAPI 3.1, as it is for clients: open for new
// fields and values.
var schemas31 = sync.OnceValue(func() map[string]*jsonschema.Schema {
	doc, err := talon.Document31()
	if err != nil {
		panic(err)
	}
	encoded, err := doc.MarshalJSON()
	if err != nil {
		panic(err)
	}
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi-3.1.json", resource); err != nil {
		panic(err)
	}
	compiled := map[string]*jsonschema.Schema{}
	for name := range doc.Components.Schemas {
		compiled[name] = compiler.MustCompile("openapi-3.1.json#/components/schemas/" + name)
	}
	return compiled
})

// requireSchema31 requires that a body is valid by a schema of the contract in OpenAPI 3.1.
func requireSchema31(t testing.TB, name string, raw []byte) {
	t.Helper()
	schema := schemas31()[name]
	require.NotNil(t, schema, "no schema %q", name)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err, "%s", raw)
	require.NoError(t, schema.Validate(value), "%s", raw)
}
