package generated_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"talon.example/test/harness"
)

// This file generates values that a schema allows, and values that it does not allow. The
// validation is independent of the library that validates in the service, so that a bug of the
// library is not also a bug of the test.

// values generates values from schemas.
type values struct {
	*rand.Rand

	clock func() time.Time
}

// object is a JSON object that keeps the order of its members.
type object struct{ members []member }

type member struct {
	name  string
	value any
}

func (o *object) get(name string) (any, bool) {
	for _, m := range o.members {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// flattened returns a schema merged with the schemas of its allOf.
func flattened(ref *openapi3.SchemaRef) *openapi3.Schema {
	schema := ref.Value
	if len(schema.AllOf) == 0 {
		return schema
	}
	merged := *flattened(schema.AllOf[0])
	for _, part := range schema.AllOf[1:] {
		merged.Properties = mergedProperties(merged.Properties, flattened(part).Properties)
		merged.Required = slices.Concat(merged.Required, part.Value.Required)
	}
	merged.Properties = mergedProperties(merged.Properties, schema.Properties)
	merged.Nullable = schema.Nullable
	return &merged
}

func mergedProperties(sets ...openapi3.Schemas) openapi3.Schemas {
	all := openapi3.Schemas{}
	for _, set := range sets {
		for name, property := range set {
			all[name] = property
		}
	}
	return all
}

// hasType reports whether a schema has a type. An object schema may omit it.
func hasType(schema *openapi3.Schema, kind string) bool {
	return schema.Type.Is(kind) || kind == "object" && schema.Type == nil && len(schema.Properties) > 0
}

// conforms reports whether a schema that is not an object allows a value.
func conforms(schema *openapi3.Schema, value any) bool { return violation(schema, value) == "" }

// violation returns the keyword of a schema that a value violates, or an empty string. The schema
// must not be an object.
func violation(schema *openapi3.Schema, value any) string {
	if value == nil {
		if schema.Nullable {
			return ""
		}
		return "nullable"
	}
	if len(schema.Enum) > 0 && !slices.ContainsFunc(schema.Enum, func(one any) bool {
		return fmt.Sprint(one) == fmt.Sprint(value)
	}) {
		return "enum"
	}
	switch v := value.(type) {
	case string:
		if hasType(schema, "string") {
			return textViolation(schema, v)
		}
	case json.Number:
		if hasType(schema, "integer") || hasType(schema, "number") {
			return numberViolation(schema, string(v))
		}
	case bool:
		if hasType(schema, "boolean") {
			return ""
		}
	case []any:
		if hasType(schema, "array") {
			return arrayViolation(schema, v)
		}
	}
	return "type"
}

func arrayViolation(schema *openapi3.Schema, items []any) string {
	for _, item := range items {
		if broken := violation(flattened(schema.Items), item); broken != "" {
			return broken
		}
	}
	return boundsViolation(schema, len(items))
}

func boundsViolation(schema *openapi3.Schema, items int) string {
	switch {
	case uint64(items) < schema.MinItems:
		return "minItems"
	case schema.MaxItems != nil && uint64(items) > *schema.MaxItems:
		return "maxItems"
	default:
		return ""
	}
}

func textViolation(schema *openapi3.Schema, text string) string {
	switch length := uint64(utf8.RuneCountInString(text)); {
	case !utf8.ValidString(text):
		return "type"
	case length < schema.MinLength:
		return "minLength"
	case schema.MaxLength != nil && length > *schema.MaxLength:
		return "maxLength"
	case schema.Pattern != "" && !pattern(schema.Pattern).MatchString(text):
		return "pattern"
	}
	var err error
	switch schema.Format {
	case "uuid":
		_, err = uuid.Parse(text)
	case "date":
		_, err = time.Parse(time.DateOnly, text)
	case "date-time":
		_, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		return "format"
	}
	return ""
}

// mismatch returns where and how a response differs from its schema, or an empty string. A member
// that the schema does not name is a difference.
func mismatch(ref *openapi3.SchemaRef, value any) string {
	schema := flattened(ref)
	switch v := value.(type) {
	case map[string]any:
		if !hasType(schema, "object") {
			return "type"
		}
		for _, name := range schema.Required {
			if _, ok := v[name]; !ok {
				return name + ": required"
			}
		}
		for _, name := range sortedKeys(v) {
			property := schema.Properties[name]
			if property == nil {
				return name + ": unknown"
			}
			if difference := mismatch(property, v[name]); difference != "" {
				return name + "." + difference
			}
		}
		return ""
	case []any:
		for i, item := range v {
			if difference := mismatch(schema.Items, item); difference != "" {
				return fmt.Sprint(i, ".", difference)
			}
		}
		return boundsViolation(schema, len(v))
	default:
		return violation(schema, v)
	}
}

var patterns sync.Map

func pattern(text string) *regexp.Regexp {
	known, ok := patterns.Load(text)
	if !ok {
		known, _ = patterns.LoadOrStore(text, regexp.MustCompile(text))
	}
	return known.(*regexp.Regexp)
}

var wholeNumbers = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// numberViolation checks a JSON number. In OpenAPI 3.0 an integer has neither fraction nor
// exponent.
func numberViolation(schema *openapi3.Schema, text string) string {
	if hasType(schema, "integer") {
		if !wholeNumbers.MatchString(text) {
			return "type"
		}
		bits := 64
		if schema.Format == "int32" {
			bits = 32
		}
		if _, err := strconv.ParseInt(text, 10, bits); err != nil {
			return "format"
		}
	}
	switch n, err := strconv.ParseFloat(text, 64); {
	case err != nil:
		return "type"
	case schema.Min != nil && n < *schema.Min:
		return "minimum"
	case schema.Max != nil && n > *schema.Max:
		return "maximum"
	default:
		return ""
	}
}

// recallNothing knows no value. wantAll wants every optional member.
func recallNothing(string) (any, bool) { return nil, false }
func wantAll(string) bool              { return true }

// generate generates a value. recall may return a known value for a name. fields decides which
// optional members an object gets.
func (g values) generate(ref *openapi3.SchemaRef, name string, recall func(name string) (any, bool),
	fields func(name string) bool) any {
	schema := flattened(ref)
	if hasType(schema, "object") {
		generated := &object{}
		for _, key := range g.shuffled(sortedKeys(schema.Properties)) {
			property := schema.Properties[key]
			switch required := slices.Contains(schema.Required, key); {
			case !required && !fields(key):
			case !required && flattened(property).Nullable && g.chance(0.03):
				generated.members = append(generated.members, member{key, nil})
			default:
				generated.members = append(generated.members, member{key, g.generate(property, key, recall, fields)})
			}
		}
		return generated
	}
	if hasType(schema, "array") {
		return g.array(schema, name, recall, fields)
	}
	if known, ok := recall(name); ok {
		if known = g.convert(schema, known); conforms(schema, known) {
			return known
		}
	}
	return g.scalar(schema)
}

func (g values) array(schema *openapi3.Schema, name string, recall func(string) (any, bool),
	fields func(string) bool) any {
	items := []any{}
	most := schema.MinItems + 3
	if schema.MaxItems != nil {
		most = min(most, *schema.MaxItems)
	}
	for range schema.MinItems + g.Uint64N(most-schema.MinItems+1) {
		items = append(items, g.generate(schema.Items, name, recall, fields))
	}
	return items
}

// convert converts a known value to the type of the schema, such as a time to a date.
func (g values) convert(schema *openapi3.Schema, known any) any {
	text := fmt.Sprint(known)
	switch {
	case hasType(schema, "integer"), hasType(schema, "number"):
		return json.Number(text)
	case !hasType(schema, "string"):
		return known
	}
	if _, err := time.Parse(time.RFC3339, text); err == nil && schema.Format != "date-time" {
		switch {
		case schema.Format == "date" || g.chance(0.3):
			return text[:len(time.DateOnly)]
		case g.chance(0.3):
			return text[:len("2006-01-02T15:04:05")]
		}
	}
	if _, err := uuid.Parse(text); err == nil && g.chance(0.05) {
		return strings.ToUpper(text)
	}
	return text
}

func (g values) scalar(schema *openapi3.Schema) any {
	switch {
	case len(schema.Enum) > 0:
		return schema.Enum[g.IntN(len(schema.Enum))]
	case schema.Default != nil && g.chance(0.3):
		if number, ok := schema.Default.(float64); ok {
			return json.Number(strconv.FormatFloat(number, 'f', -1, 64))
		}
		return schema.Default
	case hasType(schema, "boolean"):
		return g.chance(0.5)
	case hasType(schema, "integer"), hasType(schema, "number"):
		return g.number(schema)
	case hasType(schema, "string"):
		return g.text(schema)
	default:
		panic(fmt.Sprintf("the generator does not support the type %v", schema.Type))
	}
}

// number returns mostly small numbers, and often a bound.
func (g values) number(schema *openapi3.Schema) any {
	low, high := int64(-1<<31), int64(1<<31-1)
	if schema.Min != nil {
		low = int64(*schema.Min)
	}
	if schema.Max != nil {
		high = int64(min(*schema.Max, 1<<62))
	}
	n := low
	switch g.IntN(5) {
	case 0:
		n = high
	case 1:
		n += int64(g.Uint64N(uint64(high-low) + 1))
	case 2, 3:
		n += int64(g.Uint64N(min(uint64(high-low), 3) + 1))
	}
	return json.Number(strconv.FormatInt(n, 10))
}

// marker is part of the texts that the generator invents, so that tests recognise them where they
// must not appear.
const marker = "zheton"

// texts are texts as people and programs write them.
var texts = []string{
	"", " ", marker, marker + " по талону", "Жетон " + marker + " — «ёлка»", marker + " 😀👩‍👩‍👧‍👦",
	marker + "\u202eзадом наперёд", "'; DROP TABLE slot; -- " + marker,
	marker + " <b>&amp;\"'\\</b>", marker + "\t\n\r", marker + "\u0001\u001f\u007f\u0085", marker + "\x00",
	"\ufeff" + marker, marker + "\u2028\u2029", marker + "a\u0301",
	marker + "%00%zz{{.}}${x}", "../../" + marker, "null", "undefined", "0", "-1", "true", "consult", "Laboratory",
	"2019-08-21", "2019-02-30", "9999-12-31T23:59:59Z",
	"*", `W/"` + marker + `"`, "00000000-0000-0000-0000-000000000000", "e714e964-d8a0-4776-b163-c708371c39a5",
}

// text returns a text that the schema allows.
func (g values) text(schema *openapi3.Schema) any {
	switch schema.Format {
	case "date":
		return g.moment().Format(time.DateOnly)
	case "date-time":
		return g.moment().Format(time.RFC3339)
	case "uuid":
		if g.chance(0.05) {
			return uuid.Nil.String()
		}
		guid, _ := uuid.NewRandomFromReader(g) // never fails
		return guid.String()
	}
	for range 5 {
		text := texts[g.IntN(len(texts))]
		if g.chance(0.1) { // the longest allowed text, within reason
			longest := uint64(3000)
			if schema.MaxLength != nil {
				longest = min(longest, *schema.MaxLength)
			}
			text = strings.Repeat([]string{"z", "ж", "😀"}[g.IntN(3)], int(longest))
		}
		if textViolation(schema, text) == "" {
			return text
		}
	}
	if schema.Pattern == "" {
		return strings.Repeat("z", int(max(schema.MinLength, 1)))
	}
	for {
		if text := rapid.StringMatching(schema.Pattern).Example(int(g.Uint32())); textViolation(schema, text) == "" {
			return text
		}
	}
}

// Read fills p with random bytes. It is the source of guids.
func (g values) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(g.Uint32())
	}
	return len(p), nil
}

// moment returns a near time, or one at the ends of the calendar.
func (g values) moment() time.Time {
	zone := time.FixedZone("", (g.IntN(27)-12)*60*60)
	if g.chance(0.1) {
		return []time.Time{
			time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, zone),
			time.Date(9999, 12, 31, 23, 59, 59, 0, zone),
			time.Date(2000, 2, 29, 12, 0, 0, 0, zone), time.Date(1582, 10, 10, 0, 0, 0, 0, zone),
		}[g.IntN(5)]
	}
	return g.clock().Add(time.Duration(g.IntN(40*24)-20*24) * time.Hour).In(zone)
}

func (g values) chance(p float64) bool { return g.Float64() < p }

func (g values) shuffled(names []string) []string {
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// raw is text that is written unchanged where JSON is expected.
type raw string

// invalidValue is a value that a schema does not allow.
type invalidValue struct {
	what     string
	value    any
	violates string // the keyword of the schema
}

// invalidValues returns values that violate one keyword of a schema.
func (g values) invalidValues(schema *openapi3.Schema) []invalidValue {
	var found []invalidValue
	add := func(what string, value any) {
		if broken := violation(schema, value); broken != "" {
			found = append(found, invalidValue{what, value, broken})
		}
	}
	add("null", nil)
	add("a text", marker)
	add("an empty text", "")
	add("a boolean", true)
	add("a number", json.Number("1"))
	add("a fraction", json.Number("1.5"))
	add("an exponent", json.Number("1e0"))
	add("an array", []any{})
	if !hasType(schema, "object") { // objectFlaws breaks its members
		add("an object", &object{})
	}
	switch {
	case hasType(schema, "integer"), hasType(schema, "number"):
		add("a number as a text", "1")
		add("more than 64 bits", json.Number("9223372036854775808"))
		add("more than 32 bits", json.Number("2147483648"))
		add("a great negative number", json.Number("-9223372036854775809"))
		add("400 digits", json.Number(strings.Repeat("9", 400)))
		if schema.Min != nil {
			add("below the minimum", json.Number(strconv.FormatFloat(*schema.Min-1, 'f', -1, 64)))
		}
		if schema.Max != nil {
			add("above the maximum", json.Number(strconv.FormatFloat(*schema.Max+1, 'f', -1, 64)))
		}
	case hasType(schema, "boolean"):
		add("a boolean as a text", "true")
		add("zero", json.Number("0"))
	case hasType(schema, "string"):
		for _, text := range invalidTexts(schema) {
			add(fmt.Sprintf("%.20q", text), text)
		}
	case hasType(schema, "array"):
		for _, item := range g.invalidValues(flattened(schema.Items)) {
			add("an array with "+item.what, []any{item.value})
		}
		if schema.MaxItems != nil {
			add("too many items", slices.Repeat([]any{g.generate(schema.Items, "", recallNothing, wantAll)},
				int(*schema.MaxItems)+1))
		}
	}
	return found
}

func invalidTexts(schema *openapi3.Schema) []string {
	const guid = "e714e964-d8a0-4776-b163-c708371c39a5"
	candidates := []string{
		"x", " ", "ж", marker + " ж", "\x00", marker + "\x00",
		guid + " ", guid + "\n", "{" + guid + "}", "urn:uuid:" + guid, strings.ReplaceAll(guid, "-", ""),
		guid[:35] + "g", guid[:35] + "\x00",
		"2019-02-30", "2019-13-01", "2019-8-1", "20190821", "2019-08-21T08:45:00+03:00", "2019-08-21T08:45:00",
		"2019-08-21T24:00:00Z", "2019-08-21T08:45:60Z",
		"2019-08-21t08:45:00z", "2019-02-30T08:45:00Z", "2019-08-21T08:45:00+99:99", "2019-08-21T08:45:00,5Z",
	}
	if len(schema.Enum) > 0 {
		first := fmt.Sprint(schema.Enum[0])
		candidates = append(candidates, strings.ToUpper(first), strings.ToLower(first), first+" ", first+"\x00")
	}
	if schema.MaxLength != nil && *schema.MaxLength < 10_000 { // a longer text would exceed the limit of the body
		candidates = append(candidates, strings.Repeat("z", int(*schema.MaxLength)+1),
			strings.Repeat("1", int(*schema.MaxLength)+1))
	}
	if schema.MinLength > 1 {
		candidates = append(candidates, strings.Repeat("1", int(schema.MinLength)-1))
	}
	return candidates
}

// valueOf returns a parameter's text as a value of its type, or as text.
func valueOf(schema *openapi3.Schema, text string) any {
	switch {
	case hasType(schema, "integer"), hasType(schema, "number"):
		return json.Number(text)
	case hasType(schema, "boolean") && (text == "true" || text == "false"):
		return text == "true"
	default:
		return text
	}
}

// invalidParameterTexts returns texts that violate one keyword of the schema of a parameter or of
// its items. The contract does not define whether 01 and +1 are integers in a URL.
func invalidParameterTexts(schema *openapi3.Schema) []invalidValue {
	candidates := slices.Concat(invalidTexts(schema), []string{
		marker, "-1", "0", "1.5", "1e0", "0x10", "1_0", "2147483648", "9223372036854775808", strings.Repeat("9", 400),
		"NaN", "null", "TRUE", "yes", "1 ",
	})
	for _, bound := range []*float64{schema.Min, schema.Max} {
		if bound != nil {
			candidates = append(candidates, strconv.FormatFloat(*bound-1, 'f', -1, 64),
				strconv.FormatFloat(*bound+1, 'f', -1, 64))
		}
	}
	var found []invalidValue
	for _, text := range candidates {
		if broken := violation(schema, valueOf(schema, text)); broken != "" {
			found = append(found, invalidValue{fmt.Sprintf("%.20q", text), text, broken})
		}
	}
	return found
}

// notJSON are values that are no valid JSON.
var notJSON = []struct {
	what  string
	value raw
}{
	{"an unpaired surrogate", `"\ud800"`},
	{"not UTF-8", "\"" + marker + "\xff\""},
	{"an overlong NUL", "\"\xc0\x80\""},
	{"a raw NUL", "\"\x00\""},
	{"a raw line break", "\"" + marker + "\n\""},
	{"an unknown escape", `"\x41"`},
	{"NaN", `NaN`},
	{"a plus sign", `+1`},
	{"a leading zero", `01`},
	{"a hexadecimal number", `0x1`},
	{"no value", ``},
	{"an identifier", `undefined`},
	{"a text in single quotes", `'x'`},
	{"deep nesting", raw(strings.Repeat("[", 12_000) + strings.Repeat("]", 12_000))},
}

// node is a value within a body, or a member that is not set.
type node struct {
	at     string // the path that a message names
	schema *openapi3.Schema
	value  any
	set    func(any)
}

// nodes returns the value and all values within it. The value itself comes first.
func nodes(at string, schema *openapi3.Schema, value any, set func(any)) []node {
	found := []node{{at, schema, value, set}}
	switch v := value.(type) {
	case *object:
		within := func(name string) string { return strings.TrimPrefix(at+"."+name, ".") }
		for i, m := range v.members {
			if property := schema.Properties[m.name]; property != nil {
				found = append(found, nodes(within(m.name), flattened(property), m.value, func(other any) {
					v.members[i].value = other
				})...)
			}
		}
		for _, name := range sortedKeys(schema.Properties) {
			if _, given := v.get(name); !given {
				found = append(found, node{within(name), flattened(schema.Properties[name]), nil, func(other any) {
					v.members = append(v.members, member{name, other})
				}})
			}
		}
	case []any:
		for i := range v {
			found = append(found, nodes(fmt.Sprint(at, ".", i), flattened(schema.Items), v[i], func(other any) {
				if v[i] = other; other == raw("") {
					v[i] = raw(",") // a list without the value would be valid
				}
			})...)
		}
	}
	return found
}

// encode returns a value as JSON with the members of objects in their order. space returns optional
// white space.
func encode(value any, space func() string) string {
	var text strings.Builder
	var write func(value any)
	list := func(open, end string, n int, item func(i int)) {
		text.WriteString(open)
		for i := range n {
			if i > 0 {
				text.WriteString(",")
			}
			text.WriteString(space())
			item(i)
		}
		text.WriteString(space() + end)
	}
	write = func(value any) {
		switch v := value.(type) {
		case *object:
			list("{", "}", len(v.members), func(i int) {
				write(v.members[i].name)
				text.WriteString(space() + ":" + space())
				write(v.members[i].value)
			})
		case []any:
			list("[", "]", len(v), func(i int) { write(v[i]) })
		case raw:
			text.WriteString(string(v))
		default:
			encoded, err := json.Marshal(v)
			if err != nil {
				panic(err)
			}
			text.Write(encoded)
		}
	}
	write(value)
	return text.String()
}

func noSpace() string { return "" }

// Promise: for every schema of the contract the generated values are valid, and the invalid ones
// invalid, according to another validator.
func TestGeneratedValues(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Log("seed", seed)
	g := values{rand.New(rand.NewPCG(seed, 0)), func() time.Time { return harness.Moment }}
	validate := func(ref *openapi3.SchemaRef, value any) (text string, err error) {
		text = encode(value, noSpace)
		var read any
		if err := json.Unmarshal([]byte(text), &read); err != nil {
			return text, err // such as a number of 400 digits
		}
		return text, ref.Value.VisitJSON(read)
	}
	schemas := harness.ContractDoc().Components.Schemas
	for _, name := range sortedKeys(schemas) {
		ref := schemas[name]
		for range 20 {
			value := g.generate(ref, "", recallNothing, func(string) bool { return g.chance(0.7) })
			text, err := validate(ref, value)
			require.NoError(t, err, "%s: %s", name, text)
			within := nodes("", flattened(ref), value, func(any) {})
			n := within[g.IntN(len(within))]
			misfits := g.invalidValues(n.schema)
			if n.at == "" || len(misfits) == 0 {
				continue
			}
			m := misfits[g.IntN(len(misfits))]
			n.set(m.value)
			text, err = validate(ref, value)
			// The other validator accepts 1e0 as 1 and 2^63 as 2^63-1. It ignores the form of a
			// guid and leap seconds.
			lenient := m.what == "an exponent" || m.violates == "format"
			require.True(t, err != nil || lenient, "%s: %s: %s is accepted: %s", name, n.at, m.what, text)
		}
	}
}
