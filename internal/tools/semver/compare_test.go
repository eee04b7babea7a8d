package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// node is an object of a document.
type node map[string]any

// in returns the object at the path.
func in(t *testing.T, document map[string]any, keys ...string) node {
	t.Helper()
	object := document
	for _, key := range keys {
		child, ok := object[key].(map[string]any)
		require.True(t, ok, "%v has no %s", keys, key)
		object = child
	}
	return object
}

// without returns a copy of the list without the value, which must be in it.
func without(t *testing.T, list any, value string) []any {
	t.Helper()
	values := list.([]any)
	require.Contains(t, values, value)
	return slices.DeleteFunc(slices.Clone(values), func(v any) bool { return v == value })
}

// Promise: a change that breaks a client needs a new major version, an addition needs a new minor
// version, and an editorial change needs no new version.
func TestChanges(t *testing.T) {
	t.Parallel()
	type doc = map[string]any
	const values = "x-extensible-enum"
	schema := func(t *testing.T, d doc, name string) node { return in(t, d, "components", "schemas", name) }
	property := func(t *testing.T, d doc, name, property string) node {
		return in(t, d, "components", "schemas", name, "properties", property)
	}
	for name, test := range map[string]struct {
		level  level
		output string
		change func(*testing.T, doc)
	}{
		"nothing": {editorial, "", func(*testing.T, doc) {}},

		"a removed property": {major, "response-required-property-removed", func(t *testing.T, d doc) {
			delete(in(t, d, "components", "schemas", "Slot", "properties"), "left")
			slot := schema(t, d, "Slot")
			slot["required"] = without(t, slot["required"], "left")
		}},
		"a removed optional property": {major, "response-optional-property-removed", func(t *testing.T, d doc) {
			delete(in(t, d, "components", "schemas", "ErrorDetails", "properties"), "holds")
		}},
		"a property no longer required": {major, "response-property-became-optional", func(t *testing.T, d doc) {
			slot := schema(t, d, "Slot")
			slot["required"] = without(t, slot["required"], "left")
		}},
		"a renamed path": {major, "api-path-removed-without-deprecation", func(t *testing.T, d doc) {
			paths := in(t, d, "paths")
			paths["/regulations"] = paths["/rules"]
			delete(paths, "/rules")
		}},
		"a removed operation": {major, "api-removed-without-deprecation", func(t *testing.T, d doc) {
			delete(in(t, d, "paths", "/slots/{slotGuid}/hold"), "delete")
		}},
		"a removed operation that was deprecated": {major, "api-removed-with-deprecation", func(t *testing.T, d doc) {
			delete(in(t, d, "paths", "/appointments"), "get") // the test deprecates it in the old contract
		}},
		"a newly required field of a request": {major, "new-required-request-property", func(t *testing.T, d doc) {
			hold := schema(t, d, "HoldRequest")
			in(t, d, "components", "schemas", "HoldRequest", "properties")["Why"] = node{"type": "string"}
			hold["required"] = append(hold["required"].([]any), "Why")
		}},
		"a request field that becomes required": {major, "request-property-became-required", func(t *testing.T, d doc) {
			hold := schema(t, d, "HoldRequest")
			hold["required"] = append(hold["required"].([]any), "Difficulty")
		}},
		"a removed field of a request": {major, "request-property-removed", func(t *testing.T, d doc) {
			delete(in(t, d, "components", "schemas", "MoveRequest", "properties"), "IsCito")
		}},
		"a removed value of a response": {major, "removed the value `Expired`", func(t *testing.T, d doc) {
			status := property(t, d, "Slot", "status")
			status[values] = without(t, status[values], "Expired")
		}},
		"a renamed rule": {major, "removed the value `slot_taken`", func(t *testing.T, d doc) {
			rule := schema(t, d, "Rule")
			rule[values] = append(without(t, rule[values], "slot_taken"), "cell_taken")
		}},
		"a removed rule": {major, "removed the value `slot_taken`", func(t *testing.T, d doc) {
			rule := schema(t, d, "Rule")
			rule[values] = without(t, rule[values], "slot_taken")
		}},
		"a list of values that becomes closed": {major, "value-removed", func(t *testing.T, d doc) {
			kind := property(t, d, "Resource", "kind")
			kind["enum"] = kind[values]
			delete(kind, values)
		}},
		"an operation without its token": {major, "api-security", func(t *testing.T, d doc) {
			in(t, d, "paths", "/rules", "get")["security"] = []any{}
		}},
		"an operation with an optional token": {major, "api-security", func(t *testing.T, d doc) {
			in(t, d, "paths", "/rules", "get")["security"] = []any{node{}, node{"codToken": []any{}}}
		}},
		"a contract without tokens": {major, "anonymous access", func(_ *testing.T, d doc) {
			delete(d, "security")
		}},
		"a changed status": {major, "non-success response with the status `409`", func(t *testing.T, d doc) {
			responses := in(t, d, "paths", "/appointments", "post", "responses")
			responses["410"] = responses["409"]
			delete(responses, "409")
		}},
		"a changed status of success": {major, "response-success-status-removed", func(t *testing.T, d doc) {
			responses := in(t, d, "paths", "/appointments", "post", "responses")
			responses["201"] = responses["200"]
			delete(responses, "200")
		}},
		"a changed type": {major, "response-property-type-changed", func(t *testing.T, d doc) {
			property(t, d, "Slot", "left")["type"] = "string"
		}},
		"a property that may be null": {major, "response-property-became-nullable", func(t *testing.T, d doc) {
			property(t, d, "Error", "rule")["nullable"] = true // beside an allOf
		}},
		"a renamed operation": {major, "api-operation-id-removed", func(t *testing.T, d doc) {
			in(t, d, "paths", "/rules", "get")["operationId"] = "listRegulations"
		}},
		"a removed header": {major, "response-header-removed", func(t *testing.T, d doc) {
			delete(in(t, d, "paths", "/appointments", "post", "responses", "200", "headers"), "Idempotency-Replayed")
		}},
		"another default": {major, "default-value-changed", func(t *testing.T, d doc) {
			in(t, d, "components", "parameters", "Limit", "schema")["default"] = 30
		}},
		"a keyword that oasdiff does not check": {major, "not-checked", func(t *testing.T, d doc) {
			property(t, d, "LpuName", "name")["additionalProperties"] = false
		}},

		"a new operation": {minor, "endpoint-added", func(t *testing.T, d doc) {
			in(t, d, "paths")["/departments"] = listDepartments
		}},
		"a new property": {minor, "response-optional-property-added", func(t *testing.T, d doc) {
			in(t, d, "components", "schemas", "Slot", "properties")["room"] = node{"type": "string", "maxLength": 10}
		}},
		"a new optional field of a request": {minor, "new-optional-request-property", func(t *testing.T, d doc) {
			in(t, d, "components", "schemas", "HoldRequest", "properties")["Why"] = node{"type": "string"}
		}},
		"a new optional parameter": {minor, "new-optional-request-parameter", func(t *testing.T, d doc) {
			operation := in(t, d, "paths", "/rules", "get")
			group := node{"name": "group", "in": "query", "schema": node{"type": "string"}}
			operation["parameters"] = append(operation["parameters"].([]any), group)
		}},
		"a new rule": {minor, "added the value `slot_haunted`", func(t *testing.T, d doc) {
			rule := schema(t, d, "Rule")
			rule[values] = append(rule[values].([]any), "slot_haunted")
		}},
		"a new value of a response": {minor, "added the value `Elsewhere`", func(t *testing.T, d doc) {
			status := property(t, d, "Slot", "status")
			status[values] = append(status[values].([]any), "Elsewhere")
		}},

		"prose": {editorial, "", func(t *testing.T, d doc) {
			in(t, d, "info")["description"] = "In other words."
			operation := in(t, d, "paths", "/rules", "get")
			operation["description"], operation["summary"] = "In other words.", "Regulations"
			property(t, d, "Slot", "left")["description"] = "In other words."
			delete(in(t, d, "paths", "/rules", "get", "responses", "200", "content", "application/json"), "examples")
		}},
		"extensions": {editorial, "", func(t *testing.T, d doc) {
			delete(schema(t, d, "Rule"), "x-catalogue")
			property(t, d, "Slot", "left")["x-order"] = 1
		}},
		"another order of names": {editorial, "", func(t *testing.T, d doc) {
			for _, name := range []string{"Rule", "Mender"} {
				slices.Reverse(schema(t, d, name)[values].([]any))
			}
			slices.Reverse(schema(t, d, "Slot")["required"].([]any))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := contractDocument(t), contractDocument(t)
			if strings.HasSuffix(name, "that was deprecated") {
				in(t, before, "paths", "/appointments", "get")["deprecated"] = true
			}
			test.change(t, after)
			changes, err := compare(text(t, before), text(t, after))
			require.NoError(t, err)

			var lines []string
			for _, c := range changes {
				require.NotEmpty(t, c.places)
				lines = append(lines, c.String())
			}
			output := strings.Join(lines, "\n")
			require.Equal(t, test.level, highest(changes), "%s", output)
			require.Contains(t, output, test.output)

			released := version{1, 4, 2}
			for current, allowed := range map[version]level{
				{1, 4, 2}: editorial, {1, 4, 3}: editorial, {1, 5, 0}: minor, {2, 0, 0}: major,
			} {
				err := checkVersion(released, current, changes)
				if allowed >= test.level {
					require.NoError(t, err, "%s", current)
				} else {
					require.ErrorIs(t, err, errVersion, "%s", current)
					require.ErrorContains(t, err, released.next(test.level).String())
				}
			}
			err = checkVersion(released, version{1, 4, 1}, changes)
			require.ErrorIs(t, err, errVersion, "a version lower than the released one is too low")
		})
	}
}

// listDepartments is a new path with one operation.
var listDepartments = node{"get": node{
	"operationId": "listDepartments", "responses": node{"200": node{"description": "All."}},
}}

// Promise: compare reports a change of any keyword of the contract, also together with another
// change.
func TestNothingIsIgnored(t *testing.T) {
	t.Parallel()
	document := withoutProse(contractDocument(t), false)
	before := text(t, document)
	in(t, document, "paths")["/departments"] = listDepartments
	tried := map[string]bool{}
	try := func(object map[string]any, key, place string) {
		value := object[key]
		for _, other := range replacements(value) {
			if object[key] = other; other == nil {
				delete(object, key)
			}
			after := text(t, document)
			t.Run(fmt.Sprintf("%s: %v", place, other), func(t *testing.T) {
				t.Parallel()
				changes, err := compare(before, after)
				require.NoError(t, err)
				require.Greater(t, len(changes), 1, "instead of %.100v", value)
			})
		}
		object[key] = value
	}
	var walk func(value any, place string, named bool)
	walk = func(value any, place string, named bool) {
		switch value := value.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(value)) {
				child := place + "/" + key
				// Each keyword is changed once in headers and once elsewhere. The keywords paths
				// and components are not changed as a whole, because a document with dangling
				// references is invalid.
				keyword := fmt.Sprint(key, strings.Contains(place, "/headers"))
				whole := key == "paths" || key == "components" || place == "/components"
				if !named && !whole && !tried[keyword] {
					tried[keyword] = true
					try(value, key, child)
				}
				walk(value[key], child, !named && hasNames(key))
			}
		case []any:
			for _, element := range value {
				walk(element, place, false)
			}
		}
	}
	walk(document, "", false)
	require.Greater(t, len(tried), 40)
}

// replacements returns other values of the same type, and nil to remove the value.
func replacements(value any) []any {
	switch value := value.(type) {
	case bool:
		return []any{nil, !value}
	case int:
		return []any{nil, value + 1, value - 1}
	case string:
		if strings.HasPrefix(value, "#/") {
			return []any{nil}
		}
		return []any{nil, value + "x"}
	default:
		return []any{nil}
	}
}

// Promise: the output contains the level of a change, its text and its places.
func TestOutput(t *testing.T) {
	t.Parallel()
	c := change{
		level: major, id: "some-id", text: "something is gone",
		places: []string{"GET /a", "GET /b", "GET /c", "GET /d", "GET /e"},
	}
	require.Equal(t, "major: something is gone [some-id] at GET /a, GET /b, GET /c and 2 more", c.String())
	err := checkVersion(version{1, 1, 0}, version{1, 2, 0}, []change{c, {level: minor}})
	require.EqualError(t, err, "the version is too low: openapi.yaml has 1.2.0, "+
		"and the changes since 1.1.0 (1 major, 1 minor) need at least 2.0.0")
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	v, err := parseVersion("1.20.3")
	require.NoError(t, err)
	require.Equal(t, version{1, 20, 3}, v)
	require.True(t, version{1, 9, 9}.less(version{1, 10, 0}))
	for _, text := range []string{
		"", "1", "1.2", "v1.2.3", "1.2.3-rc1", "01.2.3", "1.2.3.4", "1.2.99999999999999999999",
	} {
		_, err := parseVersion(text)
		require.Error(t, err, text)
	}
}

func contractDocument(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile("../../../openapi.yaml")
	require.NoError(t, err)
	document, err := read(raw)
	require.NoError(t, err)
	return document
}

func text(t *testing.T, document map[string]any) []byte {
	t.Helper()
	raw, err := yaml.Marshal(document)
	require.NoError(t, err)
	return raw
}
