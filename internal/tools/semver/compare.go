package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	"github.com/oasdiff/oasdiff/load"
	"go.yaml.in/yaml/v3"
)

// change is a difference between two contracts, with all the places where it shows.
type change struct {
	level  level
	id     string // oasdiff's, or one of ours
	text   string
	places []string // operations or places in the document
}

func (c change) String() string {
	const shown = 3
	places := strings.Join(c.places[:min(shown, len(c.places))], ", ")
	if more := len(c.places) - shown; more > 0 {
		places += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s: %s [%s] at %s", c.level, c.text, c.id, places)
}

// stricter are changes that oasdiff lets pass and that break a client of ours all the same.
var stricter = map[string]string{
	"response-optional-property-removed":                  "a client shows it",
	"response-property-enum-value-removed":                "a client branches on it",
	"response-mediatype-enum-value-removed":               "a client branches on it",
	"response-non-success-status-removed":                 "a client branches on it",
	"optional-response-header-removed":                    "a client reads it, such as Idempotency-Replayed",
	"api-operation-id-removed":                            "generated clients name their functions after it",
	"api-schema-removed":                                  "generated clients name their types after it",
	"request-parameter-default-value-changed":             "a client that leaves it out is answered otherwise",
	"request-parameter-default-value-removed":             "a client that leaves it out is answered otherwise",
	"request-property-default-value-changed":              "a client that leaves it out is answered otherwise",
	"request-property-default-value-removed":              "a client that leaves it out is answered otherwise",
	"api-path-removed-with-deprecation":                   "to have been told does not help a client that still asks",
	"api-removed-with-deprecation":                        "to have been told does not help a client that still asks",
	"request-parameter-removed-with-deprecation":          "to have been told does not help a client that still sends it",
	"request-property-removed-with-deprecation":           "to have been told does not help a client that still sends it",
	"response-required-property-removed-with-deprecation": "to have been told does not help a client that still shows it",
}

// compare tells what has changed from one contract to another. oasdiff judges: what it calls an error or a warning is major, anything else minor. Besides,
//
//   - what stands in stricter is major;
//   - a rule that is gone from components.schemas.Rule, or has another name, is major, for clients branch on it; a new one is minor, for the contract says
//     that there may be new ones;
//   - what oasdiff has no check for is major, for nobody has judged it;
//   - words (descriptions, examples, titles, tags, info) and extensions (x-…) ask for nothing.
func compare(before, after []byte) ([]change, error) {
	old, err := read(before)
	if err != nil {
		return nil, fmt.Errorf("read the released contract: %w", err)
	}
	current, err := read(after)
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	changes := compareRules(old, current)
	old, current = essence(old, false), essence(current, false)
	judged, err := judgedByOasdiff(old, current)
	if err != nil {
		return nil, err
	}
	changes = append(changes, judged...)
	for _, place := range differences(old, current, "") {
		if len(judged) == 0 || isBlind(place) {
			changes = append(changes, change{level: major, id: "not-judged", text: "differs where oasdiff has no check", places: []string{place}})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(b.level, a.level) })
	return changes, nil
}

func read(text []byte) (map[string]any, error) {
	var document map[string]any
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	return document, nil
}

// compareRules compares the names of the rules, and has both documents name them all: oasdiff would take a new name for a break, at hundreds of answers.
func compareRules(old, current map[string]any) []change {
	const place = "#/components/schemas/Rule"
	names, newNames := ruleNames(old), ruleNames(current)
	if names == nil || newNames == nil {
		return nil // oasdiff tells of a schema that is gone
	}
	var changes []change
	for _, name := range names {
		if !slices.Contains(newNames, name) {
			changes = append(changes, change{level: major, id: "rule-removed", text: fmt.Sprintf("there is no rule `%v` any more", name), places: []string{place}})
		}
	}
	for _, name := range newNames {
		if !slices.Contains(names, name) {
			changes = append(changes, change{level: minor, id: "rule-added", text: fmt.Sprintf("there is a rule `%v`", name), places: []string{place}})
		}
	}
	ruleSchema(old)["enum"] = newNames
	return changes
}

func ruleSchema(document map[string]any) map[string]any {
	components, _ := document["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	rule, _ := schemas["Rule"].(map[string]any)
	return rule
}

func ruleNames(document map[string]any) []any {
	names, _ := ruleSchema(document)["enum"].([]any)
	return names
}

// essence leaves out words and extensions. named says that the keys are names that the contract gives, so that a property may be called description.
func essence(document map[string]any, named bool) map[string]any {
	kept := map[string]any{}
	for key, value := range document {
		if named || !isWords(key) {
			kept[key] = essenceOf(value, !named && holdsNames(key))
		}
	}
	return kept
}

func essenceOf(value any, named bool) any {
	switch value := value.(type) {
	case map[string]any:
		return essence(value, named)
	case []any:
		kept := make([]any, len(value))
		for i, one := range value {
			kept[i] = essenceOf(one, false)
		}
		slices.SortStableFunc(kept, byName)
		return kept
	default:
		return value
	}
}

// byName sorts names, whose order means nothing, as in required and enum. What is no name stays where it is.
func byName(a, b any) int {
	one, isName := a.(string)
	other, isNameToo := b.(string)
	if !isName || !isNameToo {
		return 0
	}
	return strings.Compare(one, other)
}

func isWords(key string) bool {
	switch key {
	case "info", "description", "summary", "title", "example", "examples", "tags", "externalDocs":
		return true
	default:
		return strings.HasPrefix(key, "x-")
	}
}

func holdsNames(key string) bool {
	switch key {
	case "paths", "properties", "schemas", "responses", "parameters", "requestBodies", "headers", "securitySchemes", "content":
		return true
	default:
		return false
	}
}

// judgedByOasdiff asks oasdiff twice: with each allOf merged, which names properties as clients know them and judges in full; and without, which alone sees
// what stands beside an allOf, such as nullable.
func judgedByOasdiff(old, current map[string]any) ([]change, error) {
	merged, err := ask(old, current, load.WithFlattenAllOf())
	if err != nil {
		return nil, err
	}
	plain, err := ask(old, current)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range merged {
		seen[c.GetId()+at(c)] = true
	}
	found := merged
	for _, c := range plain {
		if !seen[c.GetId()+at(c)] {
			found = append(found, c)
		}
	}
	words := checker.NewDefaultLocalizer()
	grouped := map[string]*change{}
	for _, c := range found {
		text := c.GetUncolorizedText(words)
		one, known := grouped[c.GetId()+text]
		if !known {
			one = &change{level: minor, id: c.GetId(), text: text}
			grouped[c.GetId()+text] = one
		}
		if _, strict := stricter[c.GetId()]; strict || c.GetLevel() >= checker.WARN {
			one.level = major
		}
		one.places = append(one.places, at(c))
	}
	changes := make([]change, 0, len(grouped))
	for _, key := range slices.Sorted(maps.Keys(grouped)) {
		changes = append(changes, *grouped[key])
	}
	return changes, nil
}

// at is the operation that a change is of, or its part of the document.
func at(c checker.Change) string {
	if c.GetPath() == "" {
		return c.GetSection()
	}
	return c.GetOperation() + " " + c.GetPath()
}

func ask(old, current map[string]any, options ...load.Option) (checker.Changes, error) {
	before, err := specification(old, options)
	if err != nil {
		return nil, fmt.Errorf("load the released contract: %w", err)
	}
	after, err := specification(current, options)
	if err != nil {
		return nil, fmt.Errorf("load the contract: %w", err)
	}
	report, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), before, after)
	if err != nil {
		return nil, fmt.Errorf("compare the contracts: %w", err)
	}
	return checker.CheckBackwardCompatibilityUntilLevel(checker.NewConfig(checker.GetAllChecks()), report, sources, checker.INFO), nil
}

func specification(document map[string]any, options []load.Option) (*load.SpecInfo, error) {
	text, err := yaml.Marshal(document)
	if err != nil {
		return nil, err
	}
	return load.NewSpecInfoFromData(openapi3.NewLoader(), text, "contract", options...)
}

// isBlind tells that a difference is of a keyword that oasdiff has no check for. A test changes every keyword of the contract to find such.
func isBlind(place string) bool {
	parts := strings.Split(place, "/")
	keyword, parent := parts[len(parts)-1], parts[len(parts)-2]
	switch keyword {
	case "additionalProperties", "items", "openapi", "schema", "servers":
		return parent != "properties" // where it is a property's name
	case "enum", "pattern":
		return slices.Contains(parts, "headers")
	default:
		return false
	}
}

// differences are the places where two documents differ, each as high up as it is there on one side only.
func differences(old, current any, place string) []string {
	oldMap, isMap := old.(map[string]any)
	currentMap, isMapToo := current.(map[string]any)
	if !isMap || !isMapToo {
		if reflect.DeepEqual(old, current) {
			return nil
		}
		return []string{"#" + place}
	}
	var places []string
	for _, key := range slices.Sorted(maps.Keys(union(oldMap, currentMap))) {
		before, wasThere := oldMap[key]
		after, isThere := currentMap[key]
		below := place + "/" + strings.ReplaceAll(key, "/", "~1")
		if wasThere != isThere {
			places = append(places, "#"+below)
			continue
		}
		places = append(places, differences(before, after, below)...)
	}
	return places
}

func union(a, b map[string]any) map[string]any {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// errVersion says that the version is too low for the changes.
var errVersion = errors.New("the version is too low")

// judge holds a version to the changes since the released one.
func judge(released, current version, changes []change) error {
	needed := released.next(highest(changes))
	if current.less(needed) {
		return fmt.Errorf("%w: openapi.yaml says %s, and these changes since %s (%s) need %s at least", errVersion, current, released, summary(changes), needed)
	}
	return nil
}

func highest(changes []change) level {
	l := words
	for _, c := range changes {
		l = max(l, c.level)
	}
	return l
}

func summary(changes []change) string {
	var count [major + 1]int
	for _, c := range changes {
		count[c.level]++
	}
	if len(changes) == 0 {
		return "nothing but words, if anything"
	}
	return fmt.Sprintf("%d major, %d minor", count[major], count[minor])
}
