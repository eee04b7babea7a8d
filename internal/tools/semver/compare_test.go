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

// node is a part of a document; in gives the part below it.
type node map[string]any

func in(t *testing.T, document map[string]any, keys ...string) node {
	t.Helper()
	part := document
	for _, key := range keys {
		below, found := part[key].(map[string]any)
		require.True(t, found, "%v has no %s", keys, key)
		part = below
	}
	return part
}

// without gives a list without a value that is in it.
func without(t *testing.T, list any, value string) []any {
	t.Helper()
	values := list.([]any)
	require.Contains(t, values, value)
	return slices.DeleteFunc(slices.Clone(values), func(v any) bool { return v == value })
}

// Promise: each kind of change asks for its version: what breaks a client for a major one, an addition for a minor one, words for none.
func TestChanges(t *testing.T) {
	t.Parallel()
	type document = map[string]any
	schema := func(t *testing.T, d document, name string) node { return in(t, d, "components", "schemas", name) }
	property := func(t *testing.T, d document, name, property string) node {
		return in(t, d, "components", "schemas", name, "properties", property)
	}
	for name, test := range map[string]struct {
		level  level
		told   string
		change func(*testing.T, document)
	}{
		"nothing": {words, "", func(*testing.T, document) {}},

		"a removed property": {major, "response-required-property-removed", func(t *testing.T, d document) {
			delete(in(t, d, "components", "schemas", "Slot", "properties"), "left")
			slot := schema(t, d, "Slot")
			slot["required"] = without(t, slot["required"], "left")
		}},
		"a removed optional property": {major, "response-optional-property-removed", func(t *testing.T, d document) {
			delete(in(t, d, "components", "schemas", "ErrorDetails", "properties"), "holds")
		}},
		"a property that is required no more": {major, "response-property-became-optional", func(t *testing.T, d document) {
			slot := schema(t, d, "Slot")
			slot["required"] = without(t, slot["required"], "left")
		}},
		"a renamed path": {major, "api-path-removed-without-deprecation", func(t *testing.T, d document) {
			paths := in(t, d, "paths")
			paths["/regulations"] = paths["/rules"]
			delete(paths, "/rules")
		}},
		"a removed operation": {major, "api-removed-without-deprecation", func(t *testing.T, d document) {
			delete(in(t, d, "paths", "/slots/{slotGuid}/hold"), "delete")
		}},
		"a removed operation that was deprecated": {major, "api-removed-with-deprecation", func(t *testing.T, d document) {
			delete(in(t, d, "paths", "/appointments"), "get") // the test deprecates it in the contract before
		}},
		"a newly required field of a request": {major, "new-required-request-property", func(t *testing.T, d document) {
			hold := schema(t, d, "HoldRequest")
			in(t, d, "components", "schemas", "HoldRequest", "properties")["Why"] = node{"type": "string"}
			hold["required"] = append(hold["required"].([]any), "Why")
		}},
		"a field of a request that becomes required": {major, "request-property-became-required", func(t *testing.T, d document) {
			hold := schema(t, d, "HoldRequest")
			hold["required"] = append(hold["required"].([]any), "Difficulty")
		}},
		"a removed field of a request": {major, "request-property-removed", func(t *testing.T, d document) {
			delete(in(t, d, "components", "schemas", "MoveRequest", "properties"), "IsCito")
		}},
		"a removed enum value of a response": {major, "response-property-enum-value-removed", func(t *testing.T, d document) {
			status := property(t, d, "Slot", "status")
			status["enum"] = without(t, status["enum"], "Expired")
		}},
		"a new enum value of a response": {major, "response-property-enum-value-added", func(t *testing.T, d document) {
			status := property(t, d, "Slot", "status")
			status["enum"] = append(status["enum"].([]any), "Elsewhere")
		}},
		"a renamed rule": {major, "there is no rule `slot_taken` any more", func(t *testing.T, d document) {
			rule := schema(t, d, "Rule")
			rule["enum"] = append(without(t, rule["enum"], "slot_taken"), "cell_taken")
		}},
		"a removed rule": {major, "there is no rule `slot_taken` any more", func(t *testing.T, d document) {
			rule := schema(t, d, "Rule")
			rule["enum"] = without(t, rule["enum"], "slot_taken")
		}},
		"a changed status": {major, "removed the non-success response with the status `409`", func(t *testing.T, d document) {
			responses := in(t, d, "paths", "/appointments", "post", "responses")
			responses["410"] = responses["409"]
			delete(responses, "409")
		}},
		"a changed status of success": {major, "response-success-status-removed", func(t *testing.T, d document) {
			responses := in(t, d, "paths", "/appointments", "post", "responses")
			responses["201"] = responses["200"]
			delete(responses, "200")
		}},
		"a changed type": {major, "response-property-type-changed", func(t *testing.T, d document) { property(t, d, "Slot", "left")["type"] = "string" }},
		"a property that may be null": {major, "response-property-became-nullable", func(t *testing.T, d document) {
			property(t, d, "Error", "rule")["nullable"] = true // beside an allOf
		}},
		"a renamed operation": {major, "api-operation-id-removed", func(t *testing.T, d document) { in(t, d, "paths", "/rules", "get")["operationId"] = "listRegulations" }},
		"a removed header": {major, "response-header-removed", func(t *testing.T, d document) {
			delete(in(t, d, "paths", "/appointments", "post", "responses", "200", "headers"), "Idempotency-Replayed")
		}},
		"another default":       {major, "default-value-changed", func(t *testing.T, d document) { property(t, d, "HoldRequest", "Minutes")["default"] = 3 }},
		"a field more is wrong": {major, "not-judged", func(t *testing.T, d document) { property(t, d, "LpuName", "name")["additionalProperties"] = false }},

		"a new operation": {minor, "endpoint-added", func(t *testing.T, d document) {
			in(t, d, "paths")["/departments"] = node{"get": node{"operationId": "listDepartments", "responses": node{"200": node{"description": "All."}}}}
		}},
		"a new property": {minor, "response-optional-property-added", func(t *testing.T, d document) {
			in(t, d, "components", "schemas", "Slot", "properties")["room"] = node{"type": "string", "maxLength": 10}
		}},
		"a new optional field of a request": {minor, "new-optional-request-property", func(t *testing.T, d document) {
			in(t, d, "components", "schemas", "HoldRequest", "properties")["Why"] = node{"type": "string"}
		}},
		"a new optional parameter": {minor, "new-optional-request-parameter", func(t *testing.T, d document) {
			operation := in(t, d, "paths", "/rules", "get")
			operation["parameters"] = append(operation["parameters"].([]any), node{"name": "group", "in": "query", "schema": node{"type": "string"}})
		}},
		"a new rule": {minor, "there is a rule `slot_haunted`", func(t *testing.T, d document) {
			rule := schema(t, d, "Rule")
			rule["enum"] = append(rule["enum"].([]any), "slot_haunted")
		}},

		"words": {words, "", func(t *testing.T, d document) {
			in(t, d, "info")["description"] = "In other words."
			operation := in(t, d, "paths", "/rules", "get")
			operation["description"], operation["summary"] = "In other words.", "Regulations"
			property(t, d, "Slot", "left")["description"] = "In other words."
			delete(in(t, d, "paths", "/rules", "get", "responses", "200", "content", "application/json"), "examples")
		}},
		"extensions": {words, "", func(t *testing.T, d document) {
			delete(schema(t, d, "Rule"), "x-catalogue")
			property(t, d, "Slot", "left")["x-order"] = 1
		}},
		"another order of names": {words, "", func(t *testing.T, d document) {
			for _, name := range []string{"Rule", "Mender"} {
				slices.Reverse(schema(t, d, name)["enum"].([]any))
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

			var told []string
			for _, c := range changes {
				require.NotEmpty(t, c.places)
				told = append(told, c.String())
			}
			require.Equal(t, test.level, highest(changes), "%s", strings.Join(told, "\n"))
			require.Contains(t, strings.Join(told, "\n"), test.told)

			released := version{1, 4, 2}
			for allowed, current := range map[version]level{{1, 4, 2}: words, {1, 4, 3}: words, {1, 5, 0}: minor, {2, 0, 0}: major} {
				err := judge(released, allowed, changes)
				if current >= test.level {
					require.NoError(t, err, "%s", allowed)
				} else {
					require.ErrorIs(t, err, errVersion, "%s", allowed)
					require.ErrorContains(t, err, released.next(test.level).String())
				}
			}
			require.ErrorIs(t, judge(released, version{1, 4, 1}, changes), errVersion, "a lower version never does")
		})
	}
}

// Promise: whatever keyword of the contract is changed, it is told, also behind another change: nothing is ignored silently.
func TestNothingIsIgnored(t *testing.T) {
	t.Parallel()
	document := essence(contractDocument(t), false)
	before := text(t, document)
	in(t, document, "paths")["/departments"] = node{"get": node{"operationId": "listDepartments", "responses": node{"200": node{"description": "All."}}}}
	tried := map[string]bool{}
	try := func(part map[string]any, key, place string) {
		value := part[key]
		for _, other := range others(value) {
			if part[key] = other; other == nil {
				delete(part, key)
			}
			changes, err := compare(before, text(t, document))
			require.NoError(t, err, "%s: %v", place, other)
			require.Greater(t, len(changes), 1, "%s: %v instead of %.100v", place, other, value)
		}
		part[key] = value
	}
	var walk func(part any, place string, named bool)
	walk = func(part any, place string, named bool) {
		switch part := part.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(part)) {
				below := place + "/" + key
				// Each keyword once, in headers and elsewhere; not all paths at once, nor the components, without which what refers to them cannot be.
				keyword := fmt.Sprint(key, strings.Contains(place, "/headers"))
				whole := key == "paths" || key == "components" || place == "/components"
				if !named && !whole && !tried[keyword] {
					tried[keyword] = true
					try(part, key, below)
				}
				walk(part[key], below, !named && holdsNames(key))
			}
		case []any:
			for _, one := range part {
				walk(one, place, false)
			}
		}
	}
	walk(document, "", false)
	require.Greater(t, len(tried), 40)
}

// others are what to put in the place of a value: nothing, and something else of its kind.
func others(value any) []any {
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

// Promise: a person sees what has changed, how much it matters, and where.
func TestWhatIsTold(t *testing.T) {
	t.Parallel()
	c := change{level: major, id: "some-id", text: "something is gone", places: []string{"GET /a", "GET /b", "GET /c", "GET /d", "GET /e"}}
	require.Equal(t, "major: something is gone [some-id] at GET /a, GET /b, GET /c and 2 more", c.String())
	err := judge(version{1, 1, 0}, version{1, 2, 0}, []change{c, {level: minor}})
	require.EqualError(t, err, "the version is too low: openapi.yaml says 1.2.0, and these changes since 1.1.0 (1 major, 1 minor) need 2.0.0 at least")
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	v, err := parseVersion("1.20.3")
	require.NoError(t, err)
	require.Equal(t, version{1, 20, 3}, v)
	require.True(t, version{1, 9, 9}.less(version{1, 10, 0}))
	for _, text := range []string{"", "1", "1.2", "v1.2.3", "1.2.3-rc1", "01.2.3", "1.2.3.4", "1.2.99999999999999999999"} {
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
