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

// change is one kind of difference between two contracts, with all places where it occurs.
type change struct {
	level  level
	id     string // of oasdiff's check, or one of this command
	text   string
	places []string // operations, or JSON pointers into the document
}

func (c change) String() string {
	const shown = 3
	places := strings.Join(c.places[:min(shown, len(c.places))], ", ")
	if more := len(c.places) - shown; more > 0 {
		places += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s: %s [%s] at %s", c.level, c.text, c.id, places)
}

// stricter contains the ids of changes that break a client of Talon although oasdiff does not
// report them as breaking, each with the reason.
var stricter = map[string]string{
	"response-optional-property-removed":                  "a client displays it",
	"response-property-enum-value-removed":                "a client branches on it",
	"response-mediatype-enum-value-removed":               "a client branches on it",
	"response-non-success-status-removed":                 "a client branches on it",
	"optional-response-header-removed":                    "a client reads it, such as Idempotency-Replayed",
	"api-operation-id-removed":                            "generated clients name their functions after it",
	"api-schema-removed":                                  "generated clients name their types after it",
	"request-parameter-default-value-changed":             "a client that omits it gets another response",
	"request-parameter-default-value-removed":             "a client that omits it gets another response",
	"request-property-default-value-changed":              "a client that omits it gets another response",
	"request-property-default-value-removed":              "a client that omits it gets another response",
	"api-security-removed":                                "a client sends a token that nobody checks any more",
	"api-security-anonymous-access-added":                 "a client sends a token that nobody checks any more",
	"api-security-component-removed":                      "generated clients name their option after it",
	"api-path-removed-with-deprecation":                   "a client may still call it despite the notice",
	"api-removed-with-deprecation":                        "a client may still call it despite the notice",
	"request-parameter-removed-with-deprecation":          "a client may still send it despite the notice",
	"request-property-removed-with-deprecation":           "a client may still send it despite the notice",
	"response-required-property-removed-with-deprecation": "a client may still display it despite the notice",
}

// compare returns the changes from one contract to another, major ones first. Both are YAML
// documents. An error or a warning of oasdiff is a major change, any other finding of oasdiff is
// minor. In addition:
//
//   - A change listed in stricter is major.
//   - A value removed from an x-extensible-enum, or renamed, is major: clients branch on it.
//     A new value is minor, because the contract announces that values may be added.
//   - A difference that oasdiff has no check for is major.
//   - Changes of prose (descriptions, examples, titles, tags, info) and of extensions (x-…) are not
//     returned.
func compare(before, after []byte) ([]change, error) {
	old, err := read(before)
	if err != nil {
		return nil, fmt.Errorf("read the released contract: %w", err)
	}
	current, err := read(after)
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	changes := compareValues(old, current, "#")
	old, current = withoutProse(old, false), withoutProse(current, false)
	checked, err := checkWithOasdiff(old, current)
	if err != nil {
		return nil, err
	}
	changes = append(changes, checked...)
	for _, place := range differences(old, current, "") {
		if len(checked) == 0 || isUnchecked(place) {
			changes = append(changes, change{
				level: major, id: "not-checked", text: "oasdiff does not check this", places: []string{place},
			})
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

// compareValues returns the changes of the extensible enums (x-extensible-enum) in one place of two
// documents and below.
func compareValues(old, current any, place string) []change {
	var changes []change
	switch old := old.(type) {
	case map[string]any:
		currentMap, _ := current.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(old)) {
			if key == "x-extensible-enum" {
				changes = append(changes, valueChanges(old[key], currentMap[key], place)...)
				continue
			}
			child := place + "/" + strings.ReplaceAll(key, "/", "~1")
			changes = append(changes, compareValues(old[key], currentMap[key], child)...)
		}
	case []any:
		currentList, _ := current.([]any)
		for i := range min(len(old), len(currentList)) {
			changes = append(changes, compareValues(old[i], currentList[i], fmt.Sprintf("%s/%d", place, i))...)
		}
	}
	return changes
}

func valueChanges(old, current any, place string) []change {
	values, _ := old.([]any)
	newValues, _ := current.([]any)
	var changes []change
	for _, value := range values {
		if !slices.Contains(newValues, value) {
			text := fmt.Sprintf("removed the value `%v`", value)
			changes = append(changes, change{level: major, id: "value-removed", text: text, places: []string{place}})
		}
	}
	for _, value := range newValues {
		if !slices.Contains(values, value) {
			text := fmt.Sprintf("added the value `%v`", value)
			changes = append(changes, change{level: minor, id: "value-added", text: text, places: []string{place}})
		}
	}
	return changes
}

// withoutProse returns a copy of the document without prose and extensions. named means that the
// keys are names that the contract defines, such as a property called description, and not keywords
// of OpenAPI.
func withoutProse(document map[string]any, named bool) map[string]any {
	kept := map[string]any{}
	for key, value := range document {
		if named || !isProse(key) {
			kept[key] = valueWithoutProse(value, !named && hasNames(key))
		}
	}
	return kept
}

func valueWithoutProse(value any, named bool) any {
	switch value := value.(type) {
	case map[string]any:
		return withoutProse(value, named)
	case []any:
		kept := make([]any, len(value))
		for i, element := range value {
			kept[i] = valueWithoutProse(element, false)
		}
		slices.SortStableFunc(kept, byName)
		return kept
	default:
		return value
	}
}

// byName compares strings alphabetically, for lists such as required and enum, whose order has no
// meaning. It reports other values as equal, so that a stable sort keeps their order.
func byName(a, b any) int {
	one, isName := a.(string)
	other, isNameToo := b.(string)
	if !isName || !isNameToo {
		return 0
	}
	return strings.Compare(one, other)
}

// isProse reports whether a keyword holds prose or is an extension.
func isProse(key string) bool {
	switch key {
	case "info", "description", "summary", "title", "example", "examples", "tags", "externalDocs":
		return true
	default:
		return strings.HasPrefix(key, "x-")
	}
}

// hasNames reports whether the keys below a keyword are names that the contract defines.
func hasNames(key string) bool {
	switch key {
	case "paths",
		"properties",
		"schemas",
		"responses",
		"parameters",
		"requestBodies",
		"headers",
		"securitySchemes",
		"content":
		return true
	default:
		return false
	}
}

// checkWithOasdiff runs oasdiff twice and groups its findings. With every allOf merged, oasdiff
// names properties as clients know them and runs all checks. Without merging, it also sees keywords
// beside an allOf, such as nullable.
func checkWithOasdiff(old, current map[string]any) ([]change, error) {
	merged, err := runOasdiff(old, current, load.WithFlattenAllOf())
	if err != nil {
		return nil, err
	}
	plain, err := runOasdiff(old, current)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range merged {
		seen[c.GetId()+placeOf(c)] = true
	}
	findings := merged
	for _, c := range plain {
		if !seen[c.GetId()+placeOf(c)] {
			findings = append(findings, c)
		}
	}
	localizer := checker.NewDefaultLocalizer()
	grouped := map[string]*change{}
	for _, c := range findings {
		text := c.GetUncolorizedText(localizer)
		group, known := grouped[c.GetId()+text]
		if !known {
			group = &change{level: minor, id: c.GetId(), text: text}
			grouped[c.GetId()+text] = group
		}
		if _, strict := stricter[c.GetId()]; strict || c.GetLevel() >= checker.WARN {
			group.level = major
		}
		group.places = append(group.places, placeOf(c))
	}
	changes := make([]change, 0, len(grouped))
	for _, key := range slices.Sorted(maps.Keys(grouped)) {
		changes = append(changes, *grouped[key])
	}
	return changes, nil
}

// placeOf returns the operation of a change, or else its section of the document.
func placeOf(c checker.Change) string {
	if c.GetPath() == "" {
		return c.GetSection()
	}
	return c.GetOperation() + " " + c.GetPath()
}

// runOasdiff returns all findings of oasdiff.
func runOasdiff(old, current map[string]any, options ...load.Option) (checker.Changes, error) {
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
	checks := checker.NewConfig(checker.GetAllChecks())
	return checker.CheckBackwardCompatibilityUntilLevel(checks, report, sources, checker.INFO), nil
}

func specification(document map[string]any, options []load.Option) (*load.SpecInfo, error) {
	text, err := yaml.Marshal(document)
	if err != nil {
		return nil, err
	}
	return load.NewSpecInfoFromData(openapi3.NewLoader(), text, "contract", options...)
}

// isUnchecked reports whether oasdiff has no check for the keyword at the place.
// TestNothingIsIgnored changes every keyword of the contract to find such keywords.
func isUnchecked(place string) bool {
	parts := strings.Split(place, "/")
	keyword, parent := parts[len(parts)-1], parts[len(parts)-2]
	if slices.Contains(parts, "flows") || slices.Contains(parts, "callbacks") {
		return true // how client applications get tokens, and what they receive
	}
	switch keyword {
	case "additionalProperties", "items", "openapi", "schema", "servers":
		return parent != "properties" // below properties, the keyword is the name of a property
	case "enum", "pattern":
		return slices.Contains(parts, "headers")
	default:
		return false
	}
}

// differences returns the places where two documents differ, as JSON pointers. A subtree that only
// one document has is one place.
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
		before, inOld := oldMap[key]
		after, inCurrent := currentMap[key]
		child := place + "/" + strings.ReplaceAll(key, "/", "~1")
		if inOld != inCurrent {
			places = append(places, "#"+child)
			continue
		}
		places = append(places, differences(before, after, child)...)
	}
	return places
}

func union(a, b map[string]any) map[string]any {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// errVersion is returned if the version is too low for the changes.
var errVersion = errors.New("the version is too low")

// checkVersion returns an error that wraps errVersion if the current version is too low for the
// changes since the released version.
func checkVersion(released, current version, changes []change) error {
	needed := released.next(highest(changes))
	if current.less(needed) {
		return fmt.Errorf("%w: openapi.yaml has %s, and the changes since %s (%s) need at least %s",
			errVersion, current, released, summary(changes), needed)
	}
	return nil
}

func highest(changes []change) level {
	l := editorial
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
		return "no changes, or only editorial ones"
	}
	return fmt.Sprintf("%d major, %d minor", count[major], count[minor])
}
