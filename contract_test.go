package talon_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	talon "talon.example"
)

// Promise: the contract in OpenAPI 3.1 is valid, and has the same operations, responses, examples
// and extensions as the contract itself. Only the schemas are written differently, and its
// callbacks are webhooks.
func TestContract31HasTheSameOperations(t *testing.T) {
	t.Parallel()
	original, derived := documents(t)
	require.NoError(t, derived.Validate(t.Context()))
	require.Equal(t, "3.1.1", derived.OpenAPI)
	derived.OpenAPI = original.OpenAPI
	put := original.Paths.Find("/webhooks/{webhookGuid}").Put
	require.Equal(t, put.Callbacks["event"].Value.Value("{$request.body#/Url}").Post.OperationID,
		derived.Webhooks["event"].Post.OperationID)
	put.Callbacks, derived.Webhooks = nil, nil
	require.Equal(t, withoutSchemas(tree(t, original)), withoutSchemas(tree(t, derived)))
}

// documents returns the contract, and the contract in OpenAPI 3.1.
func documents(t *testing.T) (original, derived *openapi3.T) {
	t.Helper()
	original, err := talon.Document()
	require.NoError(t, err)
	derived, err = talon.Document31()
	require.NoError(t, err)
	return original, derived
}

// tree returns a document as decoded JSON.
func tree(t *testing.T, document *openapi3.T) any {
	t.Helper()
	encoded, err := document.MarshalJSON()
	require.NoError(t, err)
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	require.NoError(t, err)
	return decoded
}

// withoutSchemas returns a document with the names of its schemas and without their content.
func withoutSchemas(node any) any {
	switch node := node.(type) {
	case map[string]any:
		copied := map[string]any{}
		for key, value := range node {
			switch key {
			case "schema":
				copied[key] = value.(map[string]any)["$ref"]
			case "schemas":
				copied[key] = slices.Sorted(maps.Keys(value.(map[string]any)))
			default:
				copied[key] = withoutSchemas(value)
			}
		}
		return copied
	case []any:
		copied := make([]any, len(node))
		for i, value := range node {
			copied[i] = withoutSchemas(value)
		}
		return copied
	default:
		return node
	}
}

// Promise: the contract and the contract in OpenAPI 3.1 accept the same values. Two implementations
// judge an instance of each schema, and changes of each value in it.
func TestContract31AcceptsTheSameValues(t *testing.T) {
	t.Parallel()
	original, derived := documents(t)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("contract.json", tree(t, derived)))
	// By default kin-openapi ignores this format.
	uuids := openapi3.WithStringFormatValidator("uuid", openapi3.NewCallbackValidator(uuid.Validate))
	for pointer, schema := range schemas(original) {
		schema31, err := compiler.Compile("contract.json#" + pointer)
		require.NoError(t, err)
		valid := instance(t, schema)
		require.NoError(t, schema.VisitJSON(valid, uuids), "%s: %v", pointer, valid)
		require.NoError(t, schema31.Validate(valid), "%s: %v", pointer, valid)
		rejected := 0
		for value := range changed(valid) {
			err, err31 := schema.VisitJSON(value, uuids), schema31.Validate(value)
			require.Equal(t, err == nil, err31 == nil, "%s: %v\n3.0: %v\n3.1: %v", pointer, value, err, err31)
			if err != nil {
				rejected++
			}
		}
		require.Positive(t, rejected, pointer)
	}
}

// schemas returns the schemas of a document by JSON pointer: the components, and those in
// parameters and headers. Bodies refer to components.
func schemas(document *openapi3.T) map[string]*openapi3.Schema {
	found := map[string]*openapi3.Schema{}
	for name, ref := range document.Components.Schemas {
		found["/components/schemas/"+name] = ref.Value
	}
	add := func(pointer string, parameter *openapi3.Parameter) {
		schema := *parameter.Schema.Value
		schema.Example = cmp.Or(parameter.Example, schema.Example)
		found[pointer+"/schema"] = &schema
	}
	for name, ref := range document.Components.Parameters {
		add("/components/parameters/"+name, ref.Value)
	}
	for name, ref := range document.Components.Headers {
		add("/components/headers/"+name, &ref.Value.Parameter)
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			parameters := fmt.Sprintf("/paths/%s/%s/parameters", escape.Replace(path), strings.ToLower(method))
			for i, ref := range operation.Parameters {
				if ref.Ref == "" {
					add(fmt.Sprintf("%s/%d", parameters, i), ref.Value)
				}
			}
		}
	}
	return found
}

// instance returns a valid value, made from the examples of the schema.
func instance(t *testing.T, schema *openapi3.Schema) any {
	t.Helper()
	switch {
	case schema.Example != nil:
		return decoded(t, schema.Example)
	case len(schema.AllOf) > 0:
		return instance(t, schema.AllOf[0].Value)
	case schema.Type.Is("array"):
		return []any{instance(t, schema.Items.Value)}
	case schema.Type.Is("object"):
		object := map[string]any{}
		for name, property := range schema.Properties {
			object[name] = instance(t, property.Value)
		}
		return object
	default:
		require.True(t, schema.Nullable, "an example is missing")
		return nil // the example is null
	}
}

// decoded returns a value as it is decoded from JSON.
func decoded(t *testing.T, value any) (decoded any) {
	t.Helper()
	encoded, err := json.Marshal(value)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	return decoded
}

// changed returns values that differ from a value in one place: of another type, too long, too
// many, missing or surplus.
func changed(value any) iter.Seq[any] {
	return func(yield func(any) bool) {
		others := []any{
			nil, true, -1.0, 0.5, 0.0, 1e9, 1e18, "", "x", "2019-02-30", "2019-08-20T17:52:14",
			[]any{}, []any{1.0}, map[string]any{},
		}
		switch value := value.(type) {
		case string:
			others = append(others, value+"x", value+"\x00", strings.ToUpper(value),
				strings.Repeat("я", 1001), strings.Repeat("x", 5000), strings.TrimRight(value, value[max(0, len(value)-1):]))
		case float64:
			others = append(others, value+1, -value)
		case []any:
			others = append(others, slices.Repeat(value, 20), slices.Repeat(value, 101))
			for i, item := range value {
				for other := range changed(item) {
					copied := slices.Clone(value)
					copied[i] = other
					others = append(others, copied)
				}
			}
		case map[string]any:
			surplus := maps.Clone(value)
			surplus["surplus"] = true
			others = append(others, surplus)
			for key, item := range value {
				missing := maps.Clone(value)
				delete(missing, key)
				others = append(others, missing)
				for other := range changed(item) {
					copied := maps.Clone(value)
					copied[key] = other
					others = append(others, copied)
				}
			}
		}
		for _, other := range others {
			if !yield(other) {
				return
			}
		}
	}
}
