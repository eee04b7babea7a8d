// Command rulegen generates files from the catalogue of rules in openapi.yaml: the Go tables of
// booking and of the transport, the rules and iterators of the Go SDK, and docs/answers.md. Run it
// in the root of the repository.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	talon "talon.example"
)

// rule is a row of x-catalogue. GET /rules returns the same fields under the names of the schema
// RuleEntry.
type rule struct {
	Rule               string `json:"rule"`
	Group              string `json:"group"`
	Status             int    `json:"status"`
	MessageCode        string `json:"message_code"`
	Type               string `json:"type"`
	Title              string `json:"title"`
	Message            string `json:"message"`
	Field              string `json:"field"`
	FieldOutOfSchedule string `json:"field_out_of_schedule"`
	Mender             string `json:"mender"`
	Retryable          bool   `json:"retryable"`
	Layer              string `json:"layer"`
	Ours               bool   `json:"ours"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rulegen:", err)
		os.Exit(1)
	}
}

func run() error {
	contract, err := talon.Document()
	if err != nil {
		return err
	}
	rules, err := readCatalogue(contract)
	if err != nil {
		return fmt.Errorf("x-catalogue of the schema Rule: %w", err)
	}
	groups, err := extensibleEnum(contract.Components.Schemas["RuleEntry"].Value.Properties["group"].Value)
	if err != nil {
		return err
	}
	menders, err := extensibleEnum(contract.Components.Schemas["Mender"].Value)
	if err != nil {
		return err
	}
	if err := check(contract, rules, groups, menders); err != nil {
		return err
	}
	values, err := valuesOf(contract)
	if err != nil {
		return err
	}
	pages, err := pagesFile(contract)
	if err != nil {
		return err
	}
	for path, page := range map[string]string{
		"gen/api/values.gen.go":                    valuesFile("api", values),
		"sdk/go/client/values.gen.go":              valuesFile("client", values),
		"internal/booking/catalogue.gen.go":        bookingFile(rules, groups, menders),
		"internal/httpapi/server/catalogue.gen.go": transportFile(rules),
		"sdk/go/rules.gen.go":                      sdkFile(contract, rules),
		"sdk/go/pages.gen.go":                      pages,
	} {
		source, err := format.Source([]byte(page))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := os.WriteFile(path, source, 0o644); err != nil { //nolint:gosec // source code
			return err
		}
	}
	return os.WriteFile("docs/answers.md", []byte(answersPage(rules)), 0o644) //nolint:gosec // a page
}

// readCatalogue returns the rows of x-catalogue, in their order. It returns an error for an unknown
// field.
func readCatalogue(contract *openapi3.T) ([]rule, error) {
	encoded, err := json.Marshal(contract.Components.Schemas["Rule"].Value.Extensions["x-catalogue"])
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	var rules []rule
	return rules, decoder.Decode(&rules)
}

// check returns an error that lists every contradiction between the catalogue and the rest of the
// contract.
func check(contract *openapi3.T, rules []rule, groups, menders []string) error {
	var problems []error
	var names, seen []string
	for _, r := range rules {
		names, seen = append(names, r.Rule), append(seen, r.Group)
		if !slices.Contains(menders, r.Mender) {
			problems = append(problems, fmt.Errorf("%s: unknown mender %q", r.Rule, r.Mender))
		}
		if r.Layer != "" && r.Layer != "transport" {
			problems = append(problems, fmt.Errorf("%s: unknown layer %q", r.Rule, r.Layer))
		}
		example := contract.Components.Examples[r.Rule]
		if example == nil {
			problems = append(problems, fmt.Errorf("%s: the contract has no example with this name", r.Rule))
			continue
		}
		shown, err := json.Marshal(example.Value.Value)
		if err != nil {
			return err
		}
		var response struct {
			Rule        string `json:"rule"`
			Code        int    `json:"code"`
			MessageCode string `json:"message_code"`
			Type        string `json:"type"`
		}
		if err := json.Unmarshal(shown, &response); err != nil {
			return err
		}
		if response.Rule != r.Rule || response.Code != r.Status ||
			response.MessageCode != r.MessageCode || response.Type != r.Type ||
			example.Value.Summary != r.Rule+": "+r.Title {
			problems = append(problems, fmt.Errorf("%s: its example differs from the catalogue", r.Rule))
		}
	}
	listed, err := extensibleEnum(contract.Components.Schemas["Rule"].Value)
	if err != nil {
		return err
	}
	if !slices.Equal(names, listed) {
		problems = append(problems, errors.New("the values of Rule and x-catalogue differ in their rules or order"))
	}
	if seen = slices.Compact(seen); !slices.Equal(seen, groups) {
		problems = append(problems, errors.New("the groups of x-catalogue and RuleEntry differ in names or order"))
	}
	return errors.Join(problems...)
}

// extensibleEnum returns the x-extensible-enum of a schema: the values that this version of the
// contract knows. It returns nil if the schema has none.
func extensibleEnum(schema *openapi3.Schema) ([]string, error) {
	encoded, err := json.Marshal(schema.Extensions["x-extensible-enum"])
	if err != nil {
		return nil, err
	}
	var values []string
	if err := json.Unmarshal(encoded, &values); err != nil {
		return nil, fmt.Errorf("x-extensible-enum: %w", err)
	}
	return values, nil
}

// enumeration is an extensible enum of the contract with the name of its Go constants.
type enumeration struct {
	name   string
	values []string
}

// valuesOf returns the extensible enums of the schemas and their properties, sorted by name.
func valuesOf(contract *openapi3.T) ([]enumeration, error) {
	var found []enumeration
	add := func(name string, schema *openapi3.SchemaRef) error {
		values, err := extensibleEnum(schema.Value)
		if schema.Ref == "" && values != nil {
			found = append(found, enumeration{name, values})
		}
		return err
	}
	for name, schema := range contract.Components.Schemas {
		if err := add(name, schema); err != nil {
			return nil, err
		}
		for property, schema := range schema.Value.Properties {
			if err := add(name+goName(property), schema); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(found, func(a, b enumeration) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

const generated = "// Code generated by rulegen from openapi.yaml. DO NOT EDIT.\n\n"

// valuesFile returns constants for the extensible enums. oapi-codegen generates only their type,
// which is string.
func valuesFile(pkg string, enumerations []enumeration) string {
	var page strings.Builder
	page.WriteString(generated + "package " + pkg + "\n")
	for _, e := range enumerations {
		fmt.Fprintf(&page, "\n// The values of %s. A newer version of the contract may have more.\nconst (\n", e.name)
		for _, value := range e.values {
			fmt.Fprintf(&page, "\t%s%s = %q\n", e.name, goName(value), value)
		}
		page.WriteString(")\n")
	}
	return page.String()
}

func bookingFile(rules []rule, groups, menders []string) string {
	var page strings.Builder
	page.WriteString(generated + "package booking\n\n")
	page.WriteString("// The rules that use cases check, in the order of the catalogue.\nconst (\n")
	writeNames(&page, rules, "", "Name")
	page.WriteString(")\n\n// The groups, in the order of the catalogue.\nconst (\n")
	for _, group := range groups {
		fmt.Fprintf(&page, "\tGroup%s Group = %q\n", goName(group), group)
	}
	page.WriteString(")\n\n// The values of Mender, in the order of the contract.\nconst (\n")
	for _, mender := range menders {
		fmt.Fprintf(&page, "\tMender%s Mender = %q\n", goName(mender), mender)
	}
	page.WriteString(")\n\nvar catalogue = []Rule{\n")
	writeRows(&page, rules, "", "")
	page.WriteString("}\n")
	return page.String()
}

func transportFile(rules []rule) string {
	var page strings.Builder
	page.WriteString(generated + "package server\n\nimport \"talon.example/internal/booking\"\n\n")
	page.WriteString("// The rules that are checked before a use case runs, in the order of the catalogue.\nconst (\n")
	writeNames(&page, rules, "transport", "booking.Name")
	page.WriteString(")\n\n// TransportRules are the rules that are checked before a use case runs, in the order of " +
		"the\n// catalogue.\nvar TransportRules = []booking.Rule{\n")
	writeRows(&page, rules, "transport", "booking.")
	page.WriteString("}\n")
	return page.String()
}

func writeNames(page *strings.Builder, rules []rule, layer, nameType string) {
	for _, r := range rules {
		if r.Layer == layer {
			fmt.Fprintf(page, "\t%s %s = %q\n", goName(r.Rule), nameType, r.Rule)
		}
	}
}

func writeRows(page *strings.Builder, rules []rule, layer, pkg string) {
	for i, r := range rules {
		if r.Layer != layer {
			continue
		}
		fmt.Fprintf(page, "\t{\n\t\tOrder: %d, Name: %s, Group: %sGroup%s, Status: %d, Code: %q, ",
			i, goName(r.Rule), pkg, goName(r.Group), r.Status, r.MessageCode)
		fmt.Fprintf(page, "Type: %sType%s, Mender: %sMender%s,\n", pkg, r.Type, pkg, goName(r.Mender))
		if r.Field != "" {
			fmt.Fprintf(page, "\t\tField: %q,\n", r.Field)
		}
		if r.FieldOutOfSchedule != "" {
			fmt.Fprintf(page, "\t\tFieldOutOfSchedule: %q,\n", r.FieldOutOfSchedule)
		}
		if r.Retryable {
			page.WriteString("\t\tRetryable: true,\n")
		}
		if r.Ours {
			page.WriteString("\t\tOurs: true,\n")
		}
		fmt.Fprintf(page, "\t\tMessage: %q,\n\t\tTitle: %q,\n\t},\n", r.Message, r.Title)
	}
}

// goName converts a snake_case name to CamelCase.
func goName(name string) string {
	var camel strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '.' }) {
		if word == "url" {
			camel.WriteString("URL")
			continue
		}
		camel.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return camel.String()
}

func sdkFile(contract *openapi3.T, rules []rule) string {
	var page strings.Builder
	page.WriteString(generated + "package talon\n\nimport (\n\"regexp\"\n\n\"talon.example/sdk/go/v2/client\"\n)\n\n")
	page.WriteString("// retryable are the rules after which the same request may succeed later.\n")
	page.WriteString("var retryable = []client.Rule{\n")
	for _, r := range rules {
		if r.Retryable {
			fmt.Fprintf(&page, "\tclient.Rule%s,\n", goName(r.Rule))
		}
	}
	var keyed, streamed []string
	for path, item := range contract.Paths.Map() {
		for method, operation := range item.Operations() {
			pattern := method + " .*" + regexp.MustCompile(`\{[^}]+\}`).ReplaceAllString(path, "[^/]+")
			if operation.Parameters.GetByInAndName(openapi3.ParameterInHeader, "Idempotency-Key") != nil {
				keyed = append(keyed, pattern)
			}
			if limits, _ := operation.Extensions["x-limits"].(map[string]any); limits["stream"] == true {
				streamed = append(streamed, pattern)
			}
		}
	}
	slices.Sort(keyed)
	slices.Sort(streamed)
	page.WriteString("}\n\n// KnownRule reports whether this version of the client knows the rule. A newer service may " +
		"return\n// others.\nfunc KnownRule(rule client.Rule) bool {\n\tswitch rule {\n\tcase ")
	for i, r := range rules {
		if i > 0 {
			page.WriteString(",\n\t\t")
		}
		page.WriteString("client.Rule" + goName(r.Rule))
	}
	page.WriteString(":\n\t\treturn true\n\tdefault:\n\t\treturn false\n\t}\n}\n")
	page.WriteString("\n// keyed matches the method and the path of the operations that take an Idempotency-Key.\n")
	fmt.Fprintf(&page, "var keyed = regexp.MustCompile(`^(%s)$`)\n", strings.Join(keyed, "|"))
	page.WriteString("\n// streamed matches the method and the path of the operations whose body is a stream.\n")
	fmt.Fprintf(&page, "var streamed = regexp.MustCompile(`^(%s)$`)\n", strings.Join(streamed, "|"))
	return page.String()
}

func answersPage(rules []rule) string {
	var page strings.Builder
	page.WriteString(`# Every response that is not 2xx

` + "`make gen`" + ` writes this page from the catalogue in openapi.yaml. The rules are in the order of the
checks: the service responds with the first rule that rejects the request. Branch on the name of the
rule, because it is stable and many rules share a code. The messages are for the patient, in the
wording of the source; the service replaces the parts in braces. ` + "`GET /rules`" + ` returns the same table
and also which rules are enabled in an institution.

- *group*: the part of the table. ` + "`write`" + ` is the last group that a booking checks.
- *field*: the field of the booking's body that the rule concerns. ` + "`SlotId`" + ` also means ` + "`SlotGuid`" + `.
- *mender*: who can correct the cause: the patient with another choice, the registry by correcting
  the patient's data or a right, the referring doctor with another referral, the client with another
  request, or the operator of the service.
- *retry*: the same request may succeed later even if nobody changes anything.

| rule | title | group | HTTP | message_code | type | message | field | mender | retry |
|---|---|---|---|---|---|---|---|---|---|
`)
	for _, r := range rules {
		retry := ""
		if r.Retryable {
			retry = "yes"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %d | %s | %s | %s | %s | %s | %s |\n",
			r.Rule, r.Title, r.Group, r.Status, r.MessageCode, r.Type, r.Message, r.Field, r.Mender, retry)
	}
	return page.String()
}
