package httpapi

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	talon "talon.example"
)

func contractDoc(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := talon.Document()
	require.NoError(t, err)
	return doc
}

// Promise: the contract and its examples are valid OpenAPI 3.0.3. (With 3.1 its schemas would be
// compiled for each request.)
func TestContractIsValid(t *testing.T) {
	t.Parallel()
	doc := contractDoc(t)
	require.Equal(t, "3.0.3", doc.OpenAPI)
	require.NoError(t, doc.Validate(t.Context(), openapi3.EnableExamplesValidation()))
}

// Promise: every operation documents what it does, who may call it, and all responses with
// examples, a request id and that they must not be stored. A rejected authentication documents its
// challenge.
func TestContractIsComplete(t *testing.T) {
	t.Parallel()
	doc := contractDoc(t)
	require.NotEmpty(t, doc.Info.Description)
	ids := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			name := method + " " + path
			require.NotEmpty(t, operation.OperationID, name)
			require.False(t, ids[operation.OperationID], "%s: its operationId is not unique", name)
			ids[operation.OperationID] = true
			require.NotEmpty(t, operation.Summary, name)
			require.NotEmpty(t, operation.Description, name)
			require.Len(t, operation.Tags, 1, name)
			require.True(t, operation.Security != nil || len(doc.Security) > 0, "%s: no security", name)
			require.Nil(t, operation.Responses.Default(), "%s: a default response", name)
			for _, parameter := range operation.Parameters {
				require.NotEmpty(t, parameter.Value.Description, "%s: %s", name, parameter.Value.Name)
			}
			for status, response := range operation.Responses.Map() {
				where := name + " " + status
				for _, header := range []string{"X-Request-Id", "Cache-Control"} {
					require.NotNil(t, response.Value.Headers[header], "%s: %s", where, header)
					require.True(t, response.Value.Headers[header].Value.Required, "%s: %s", where, header)
				}
				challenged := response.Value.Headers["WWW-Authenticate"] != nil
				require.NotEmpty(t, *response.Value.Description, where)
				require.True(t, response.Ref == "" || status >= "400", "%s: a referenced success, whose body %s", where,
					"swagger-typescript-api does not parse")
				for mediaType, content := range response.Value.Content {
					if operation.OperationID != "exportAudit" || status >= "400" { // FHIR has a type of its own
						require.Equal(t, "application/json", mediaType, where)
					}
					require.NotEmpty(t, content.Examples, where)
					token, client := content.Examples["token_invalid"], content.Examples["client_unauthenticated"]
					require.Equal(t, token != nil || client != nil, challenged, where)
					require.Equal(t, status >= "400", strings.HasSuffix(content.Schema.Ref, "/Error"), where)
				}
			}
			if operation.RequestBody != nil {
				require.Empty(t, operation.RequestBody.Ref, "%s: a referenced body, without its media type in %s", name,
					"swagger-typescript-api")
				body := operation.RequestBody.Value
				require.Equal(t, method != http.MethodDelete, body.Required, name)
				for mediaType, content := range body.Content {
					require.NotEmpty(t, content.Examples, name)
					if operation.OperationID == "createImport" {
						continue // a file of any of its types
					}
					require.Len(t, body.Content, 1, name)
					schema := content.Schema.Value
					if mediaType == "application/x-www-form-urlencoded" {
						require.Nil(t, schema.AdditionalProperties.Has, "%s: RFC 6749 ignores unknown fields", name)
						continue
					}
					require.NotNil(t, schema.AdditionalProperties.Has, "%s: unknown keys", name)
					require.False(t, *schema.AdditionalProperties.Has, "%s: unknown keys", name)
				}
			}
		}
	}
}

// Promise: every schema has a description, and every value of variable size has a bound.
func TestContractIsBounded(t *testing.T) {
	t.Parallel()
	doc := contractDoc(t)
	var check func(where string, ref *openapi3.SchemaRef)
	check = func(where string, ref *openapi3.SchemaRef) {
		schema := ref.Value
		switch {
		case schema.Type.Is("string"):
			require.True(t, schema.MaxLength != nil || len(schema.Enum) > 0, "%s: a string without a bound", where)
		case schema.Type.Is("integer"), schema.Type.Is("number"):
			// The derived JSON documents round numbers: the maximum of int64 would exceed it.
			require.True(t, schema.Min != nil && (schema.Max != nil || schema.Format == "int64"),
				"%s: a number without bounds", where)
			require.NotEmpty(t, schema.Format, "%s: a number without a format", where)
		case schema.Type.Is("array"):
			require.NotNil(t, schema.MaxItems, "%s: an array without a bound", where)
			check(where+"[]", schema.Items)
		}
		for _, part := range schema.AllOf {
			check(where, part)
		}
		if values := schema.AdditionalProperties.Schema; values != nil {
			check(where+".*", values)
		}
		for name, property := range schema.Properties {
			require.NotEmpty(t, property.Value.Description, "%s.%s: no description", where, name)
			check(where+"."+name, property)
		}
	}
	for name, schema := range doc.Components.Schemas {
		require.NotEmpty(t, schema.Value.Description, name)
		check(name, schema)
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for _, parameter := range operation.Parameters {
				check(method+" "+path+" "+parameter.Value.Name, parameter.Value.Schema)
			}
		}
	}
	for name, header := range doc.Components.Headers {
		require.NotEmpty(t, header.Value.Description, name)
		check(name, header.Value.Schema)
	}
}

// Promise: every property, parameter and header has a valid example. TestContractIsValid validates
// all but those of headers.
func TestContractHasExamples(t *testing.T) {
	t.Parallel()
	var contract map[string]any // kin-openapi does not tell the example null from none
	require.NoError(t, yaml.Unmarshal(talon.Contract, &contract))
	checked := 0
	var check func(where string, node any)
	check = func(where string, node any) {
		switch node := node.(type) {
		case []any:
			for i, item := range node {
				check(fmt.Sprintf("%s/%d", where, i), item)
			}
		case map[string]any:
			for key, value := range node {
				where := where + "/" + key
				switch {
				case key == "example", key == "examples", strings.HasPrefix(key, "x-"):
				case key == "properties", key == "parameters", key == "headers":
					for name, part := range members(value) {
						require.True(t, hasExample(contract, part), "%s/%s: no example", where, name)
						checked++
						check(where+"/"+name, part)
					}
				default:
					check(where, value)
				}
			}
		}
	}
	check("#", contract)
	require.Greater(t, checked, 300, "the contract is walked")
	for name, header := range contractDoc(t).Components.Headers {
		require.NoError(t, header.Value.Schema.Value.VisitJSON(header.Value.Example), name)
	}
}

// members returns the values of an object or a list by their keys or positions.
func members(node any) map[string]any {
	if object, ok := node.(map[string]any); ok {
		return object
	}
	all := map[string]any{}
	for i, item := range node.([]any) {
		all[strconv.Itoa(i)] = item
	}
	return all
}

// hasExample reports whether a parameter, a header or a schema has an example, or its schema or its
// items have one. The properties of an object are checked on their own.
func hasExample(contract map[string]any, part any) bool {
	node := part.(map[string]any)
	if reference, ok := node["$ref"].(string); ok {
		var target any = contract
		for key := range strings.SplitSeq(strings.TrimPrefix(reference, "#/"), "/") {
			target = target.(map[string]any)[key]
		}
		return hasExample(contract, target)
	}
	if _, ok := node["example"]; ok {
		return true
	}
	for _, key := range []string{"schema", "items"} {
		if schema, ok := node[key]; ok {
			return hasExample(contract, schema)
		}
	}
	if all, ok := node["allOf"].([]any); ok {
		return hasExample(contract, all[0])
	}
	return node["properties"] != nil
}

// Promise: a later version can add fields and values to responses without breaking a client.
// Requests are closed, so that a misspelt field is noticed.
func TestContractIsExtensible(t *testing.T) {
	t.Parallel()
	var check func(where string, ref *openapi3.SchemaRef)
	check = func(where string, ref *openapi3.SchemaRef) {
		schema := ref.Value
		require.Empty(t, schema.Enum, "%s: a closed enum in a response", where)
		open := schema.AdditionalProperties.Has == nil || *schema.AdditionalProperties.Has
		require.True(t, open, "%s: closed for new fields", where)
		require.False(t, schema.Nullable && schema.Type == nil, "%s: nullable without a type", where)
		if schema.Items != nil {
			check(where+"[]", schema.Items)
		}
		for _, part := range schema.AllOf {
			check(where, part)
		}
		if values := schema.AdditionalProperties.Schema; values != nil {
			check(where+".*", values)
		}
		for name, property := range schema.Properties {
			check(where+"."+name, property)
		}
	}
	for path, item := range contractDoc(t).Paths.Map() {
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				for _, content := range response.Value.Content {
					check(method+" "+path+" "+status, content.Schema)
				}
			}
		}
	}
}

// Promise: names are PascalCase in requests, and camelCase in responses and parameters. The
// vendor's own names are the exception: the error, the response to a cancel and the identification
// of a patient. Those of OAuth are another.
func TestContractNames(t *testing.T) {
	t.Parallel()
	pascal := regexp.MustCompile(`^[A-Z][A-Za-z]*$`)
	camel := regexp.MustCompile(`^[a-z][A-Za-z]*$`)
	lower := regexp.MustCompile(`^[a-z_]+$`)
	for name, schema := range contractDoc(t).Components.Schemas {
		convention := camel
		switch {
		case strings.HasSuffix(name, "Request"):
			convention = pascal
		case name == "Error", name == "CancelResult", name == "TokenForm", name == "AccessToken":
			convention = lower
		}
		for property := range schema.Value.Properties {
			require.Regexp(t, convention, property, name)
		}
	}
	for path, item := range contractDoc(t).Paths.Map() {
		for _, operation := range item.Operations() {
			for _, parameter := range operation.Parameters {
				if parameter.Value.In != openapi3.ParameterInHeader && path != tokenPath {
					require.Regexp(t, camel, parameter.Value.Name, path)
				}
			}
		}
	}
}
