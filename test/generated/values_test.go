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

// The generator's values: what a schema allows, and what it does not. Which of both a value is, fits tells: a judge of our own, so that a mistake of the
// library that the service validates with is not a mistake of the test as well.

// values makes values from schemas.
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

// whole is a schema with what it says by allOf.
func whole(ref *openapi3.SchemaRef) *openapi3.Schema {
	schema := ref.Value
	if len(schema.AllOf) == 0 {
		return schema
	}
	merged := *whole(schema.AllOf[0])
	for _, part := range schema.AllOf[1:] {
		merged.Properties = mergedProperties(merged.Properties, whole(part).Properties)
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

// is tells whether a schema is of this type, by which an object may leave it out.
func is(schema *openapi3.Schema, kind string) bool {
	return schema.Type.Is(kind) || kind == "object" && schema.Type == nil && len(schema.Properties) > 0
}

// fits tells whether a value is one that a schema of no object allows.
func fits(schema *openapi3.Schema, value any) bool { return breach(schema, value) == "" }

// breach is the word of a schema of no object that a value breaks, or none.
func breach(schema *openapi3.Schema, value any) string {
	if value == nil {
		if schema.Nullable {
			return ""
		}
		return "nullable"
	}
	if len(schema.Enum) > 0 && !slices.ContainsFunc(schema.Enum, func(one any) bool { return fmt.Sprint(one) == fmt.Sprint(value) }) {
		return "enum"
	}
	switch v := value.(type) {
	case string:
		if is(schema, "string") {
			return textBreach(schema, v)
		}
	case json.Number:
		if is(schema, "integer") || is(schema, "number") {
			return numberBreach(schema, string(v))
		}
	case bool:
		if is(schema, "boolean") {
			return ""
		}
	case []any:
		if is(schema, "array") {
			return arrayBreach(schema, v)
		}
	}
	return "type"
}

func arrayBreach(schema *openapi3.Schema, items []any) string {
	for _, item := range items {
		if broken := breach(whole(schema.Items), item); broken != "" {
			return broken
		}
	}
	return boundsBreach(schema, len(items))
}

func boundsBreach(schema *openapi3.Schema, items int) string {
	switch {
	case uint64(items) < schema.MinItems:
		return "minItems"
	case schema.MaxItems != nil && uint64(items) > *schema.MaxItems:
		return "maxItems"
	default:
		return ""
	}
}

func textBreach(schema *openapi3.Schema, text string) string {
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

// departure tells where what was answered is not as its schema has it, and how; nothing where it is. A member that the schema does not name is one.
func departure(ref *openapi3.SchemaRef, said any) string {
	schema := whole(ref)
	switch said := said.(type) {
	case map[string]any:
		if !is(schema, "object") {
			return "type"
		}
		for _, name := range schema.Required {
			if _, ok := said[name]; !ok {
				return name + ": required"
			}
		}
		for _, name := range sortedKeys(said) {
			property := schema.Properties[name]
			if property == nil {
				return name + ": unknown"
			}
			if wrong := departure(property, said[name]); wrong != "" {
				return name + "." + wrong
			}
		}
		return ""
	case []any:
		for i, item := range said {
			if wrong := departure(schema.Items, item); wrong != "" {
				return fmt.Sprint(i, ".", wrong)
			}
		}
		return boundsBreach(schema, len(said))
	default:
		return breach(schema, said)
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

// numberBreach reads a number as JSON has it. In OpenAPI 3.0 an integer has neither fraction nor exponent.
func numberBreach(schema *openapi3.Schema, text string) string {
	if is(schema, "integer") {
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

// nothing is known; everything is wanted.
func nothing(string) (any, bool) { return nil, false }
func everything(string) bool     { return true }

// make makes a value. recall may know a good one for what has this name; fields says which optional members an object gets.
func (g values) make(ref *openapi3.SchemaRef, name string, recall func(name string) (any, bool), fields func(name string) bool) any {
	schema := whole(ref)
	if is(schema, "object") {
		made := &object{}
		for _, key := range g.shuffled(sortedKeys(schema.Properties)) {
			property := schema.Properties[key]
			switch required := slices.Contains(schema.Required, key); {
			case !required && !fields(key):
			case !required && whole(property).Nullable && g.chance(0.03):
				made.members = append(made.members, member{key, nil})
			default:
				made.members = append(made.members, member{key, g.make(property, key, recall, fields)})
			}
		}
		return made
	}
	if is(schema, "array") {
		return g.array(schema, name, recall, fields)
	}
	if known, ok := recall(name); ok {
		if known = g.cast(schema, known); fits(schema, known) {
			return known
		}
	}
	return g.scalar(schema)
}

func (g values) array(schema *openapi3.Schema, name string, recall func(string) (any, bool), fields func(string) bool) any {
	items := []any{}
	most := schema.MinItems + 3
	if schema.MaxItems != nil {
		most = min(most, *schema.MaxItems)
	}
	for range schema.MinItems + g.Uint64N(most-schema.MinItems+1) {
		items = append(items, g.make(schema.Items, name, recall, fields))
	}
	return items
}

// cast writes a value that is known from elsewhere as the schema wants it: a time, say, as a day.
func (g values) cast(schema *openapi3.Schema, known any) any {
	text := fmt.Sprint(known)
	switch {
	case is(schema, "integer"), is(schema, "number"):
		return json.Number(text)
	case !is(schema, "string"):
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
	case is(schema, "boolean"):
		return g.chance(0.5)
	case is(schema, "integer"), is(schema, "number"):
		return g.number(schema)
	case is(schema, "string"):
		return g.text(schema)
	default:
		panic(fmt.Sprintf("the generator makes no values of type %v: teach it", schema.Type))
	}
}

// number is mostly small, as most are that make sense, and often a bound.
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

// mark stands in the texts that the generator makes up, so that they are known where they must not be.
const mark = "zheton"

// texts are what people and programs write.
var texts = []string{
	"", " ", mark, mark + " по талону", "Жетон " + mark + " — «ёлка»", mark + " 😀👩‍👩‍👧‍👦", mark + "\u202eзадом наперёд", "'; DROP TABLE slot; -- " + mark,
	mark + " <b>&amp;\"'\\</b>", mark + "\t\n\r", mark + "\u0001\u001f\u007f\u0085", mark + "\x00", "\ufeff" + mark, mark + "\u2028\u2029", mark + "a\u0301",
	mark + "%00%zz{{.}}${x}", "../../" + mark, "null", "undefined", "0", "-1", "true", "consult", "Laboratory", "2019-08-21", "2019-02-30", "9999-12-31T23:59:59Z",
	"*", `W/"` + mark + `"`, "00000000-0000-0000-0000-000000000000", "e714e964-d8a0-4776-b163-c708371c39a5",
}

// text is a text within all that the schema says of it.
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
		made, _ := uuid.NewRandomFromReader(g) // it never fails
		return made.String()
	}
	for range 5 {
		text := texts[g.IntN(len(texts))]
		if g.chance(0.1) { // as long as may be, and no longer than what is sensible
			longest := uint64(3000)
			if schema.MaxLength != nil {
				longest = min(longest, *schema.MaxLength)
			}
			text = strings.Repeat([]string{"z", "ж", "😀"}[g.IntN(3)], int(longest))
		}
		if textBreach(schema, text) == "" {
			return text
		}
	}
	if schema.Pattern == "" {
		return strings.Repeat("z", int(max(schema.MinLength, 1)))
	}
	for {
		if text := rapid.StringMatching(schema.Pattern).Example(int(g.Uint32())); textBreach(schema, text) == "" {
			return text
		}
	}
}

// Read fills p, for guids.
func (g values) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(g.Uint32())
	}
	return len(p), nil
}

// moment is a time that is near, or one at the ends of the calendar.
func (g values) moment() time.Time {
	zone := time.FixedZone("", (g.IntN(27)-12)*60*60)
	if g.chance(0.1) {
		return []time.Time{
			time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, zone), time.Date(9999, 12, 31, 23, 59, 59, 0, zone),
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

// raw is JSON, or what shall look like it, as it is.
type raw string

// misfit is a value that a schema does not allow.
type misfit struct {
	what   string
	value  any
	breaks string // the word of the schema
}

// misfits are values that break one thing that a schema says.
func (g values) misfits(schema *openapi3.Schema) []misfit {
	var found []misfit
	consider := func(what string, value any) {
		if broken := breach(schema, value); broken != "" {
			found = append(found, misfit{what, value, broken})
		}
	}
	consider("null", nil)
	consider("a text", mark)
	consider("an empty text", "")
	consider("a boolean", true)
	consider("a number", json.Number("1"))
	consider("a fraction", json.Number("1.5"))
	consider("an exponent", json.Number("1e0"))
	consider("an array", []any{})
	if !is(schema, "object") { // whose members objectFlaws spoils
		consider("an object", &object{})
	}
	switch {
	case is(schema, "integer"), is(schema, "number"):
		consider("a number as a text", "1")
		consider("more than 64 bits", json.Number("9223372036854775808"))
		consider("more than 32 bits", json.Number("2147483648"))
		consider("a great negative number", json.Number("-9223372036854775809"))
		consider("400 digits", json.Number(strings.Repeat("9", 400)))
		if schema.Min != nil {
			consider("below the minimum", json.Number(strconv.FormatFloat(*schema.Min-1, 'f', -1, 64)))
		}
		if schema.Max != nil {
			consider("above the maximum", json.Number(strconv.FormatFloat(*schema.Max+1, 'f', -1, 64)))
		}
	case is(schema, "boolean"):
		consider("a boolean as a text", "true")
		consider("zero", json.Number("0"))
	case is(schema, "string"):
		for _, text := range textMisfits(schema) {
			consider(fmt.Sprintf("%.20q", text), text)
		}
	case is(schema, "array"):
		for _, item := range g.misfits(whole(schema.Items)) {
			consider("an array with "+item.what, []any{item.value})
		}
		if schema.MaxItems != nil {
			consider("too many items", slices.Repeat([]any{g.make(schema.Items, "", nothing, everything)}, int(*schema.MaxItems)+1))
		}
	}
	return found
}

func textMisfits(schema *openapi3.Schema) []string {
	const guid = "e714e964-d8a0-4776-b163-c708371c39a5"
	candidates := []string{
		"x", " ", "ж", mark + " ж", "\x00", mark + "\x00",
		guid + " ", guid + "\n", "{" + guid + "}", "urn:uuid:" + guid, strings.ReplaceAll(guid, "-", ""), guid[:35] + "g", guid[:35] + "\x00",
		"2019-02-30", "2019-13-01", "2019-8-1", "20190821", "2019-08-21T08:45:00+03:00", "2019-08-21T08:45:00", "2019-08-21T24:00:00Z", "2019-08-21T08:45:60Z",
		"2019-08-21t08:45:00z", "2019-02-30T08:45:00Z", "2019-08-21T08:45:00+99:99", "2019-08-21T08:45:00,5Z",
	}
	if len(schema.Enum) > 0 {
		first := fmt.Sprint(schema.Enum[0])
		candidates = append(candidates, strings.ToUpper(first), strings.ToLower(first), first+" ", first+"\x00")
	}
	if schema.MaxLength != nil && *schema.MaxLength < 10_000 { // else the body is too large
		candidates = append(candidates, strings.Repeat("z", int(*schema.MaxLength)+1), strings.Repeat("1", int(*schema.MaxLength)+1))
	}
	if schema.MinLength > 1 {
		candidates = append(candidates, strings.Repeat("1", int(schema.MinLength)-1))
	}
	return candidates
}

// valueOf is a parameter's text as a value, where its type has one.
func valueOf(schema *openapi3.Schema, text string) any {
	switch {
	case is(schema, "integer"), is(schema, "number"):
		return json.Number(text)
	case is(schema, "boolean") && (text == "true" || text == "false"):
		return text == "true"
	default:
		return text
	}
}

// parameterMisfits are texts that break one thing that the schema of a parameter, or of one of its items, says. (Whether 01 and +1 are whole numbers in an
// address nobody has written down.)
func parameterMisfits(schema *openapi3.Schema) []misfit {
	candidates := slices.Concat(textMisfits(schema), []string{
		mark, "-1", "0", "1.5", "1e0", "0x10", "1_0", "2147483648", "9223372036854775808", strings.Repeat("9", 400), "NaN", "null", "TRUE", "yes", "1 ",
	})
	for _, bound := range []*float64{schema.Min, schema.Max} {
		if bound != nil {
			candidates = append(candidates, strconv.FormatFloat(*bound-1, 'f', -1, 64), strconv.FormatFloat(*bound+1, 'f', -1, 64))
		}
	}
	var found []misfit
	for _, text := range candidates {
		if broken := breach(schema, valueOf(schema, text)); broken != "" {
			found = append(found, misfit{fmt.Sprintf("%.20q", text), text, broken})
		}
	}
	return found
}

// notJSON are values that no JSON has.
var notJSON = []struct {
	what  string
	value raw
}{
	{"an unpaired surrogate", `"\ud800"`},
	{"no UTF-8", "\"" + mark + "\xff\""},
	{"an overlong NUL", "\"\xc0\x80\""},
	{"a raw NUL", "\"\x00\""},
	{"a raw line break", "\"" + mark + "\n\""},
	{"an unknown escape", `"\x41"`},
	{"NaN", `NaN`},
	{"a plus", `+1`},
	{"a leading zero", `01`},
	{"a hexadecimal number", `0x1`},
	{"nothing", ``},
	{"a word", `undefined`},
	{"a text in single quotes", `'x'`},
	{"deep nesting", raw(strings.Repeat("[", 12_000) + strings.Repeat("]", 12_000))},
}

// node is a value within a body, or the place for one that is not given.
type node struct {
	at     string // as a refusal names it
	schema *openapi3.Schema
	value  any
	set    func(any)
}

// nodes are all the values within a value: it comes first.
func nodes(at string, schema *openapi3.Schema, value any, set func(any)) []node {
	found := []node{{at, schema, value, set}}
	switch v := value.(type) {
	case *object:
		within := func(name string) string { return strings.TrimPrefix(at+"."+name, ".") }
		for i, m := range v.members {
			if property := schema.Properties[m.name]; property != nil {
				found = append(found, nodes(within(m.name), whole(property), m.value, func(other any) { v.members[i].value = other })...)
			}
		}
		for _, name := range sortedKeys(schema.Properties) {
			if _, given := v.get(name); !given {
				found = append(found, node{within(name), whole(schema.Properties[name]), nil, func(other any) { v.members = append(v.members, member{name, other}) }})
			}
		}
	case []any:
		for i := range v {
			found = append(found, nodes(fmt.Sprint(at, ".", i), whole(schema.Items), v[i], func(other any) { v[i] = other })...)
		}
	}
	return found
}

// written is a value as JSON, the members of its objects in their order; space may put white space between them.
func written(value any, space func() string) string {
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

func unspaced() string { return "" }

// Promise: of every schema of the contract, those of answers too, the generator makes values that another judge lets pass; what it spoils he does not.
func TestGeneratedValues(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Log("seed", seed)
	g := values{rand.New(rand.NewPCG(seed, 0)), func() time.Time { return harness.Moment }}
	judge := func(ref *openapi3.SchemaRef, value any) (text string, err error) {
		text = written(value, unspaced)
		var read any
		if err := json.Unmarshal([]byte(text), &read); err != nil {
			return text, err // 400 digits, say
		}
		return text, ref.Value.VisitJSON(read)
	}
	schemas := harness.ContractDoc().Components.Schemas
	for _, name := range sortedKeys(schemas) {
		ref := schemas[name]
		for range 20 {
			value := g.make(ref, "", nothing, func(string) bool { return g.chance(0.7) })
			text, err := judge(ref, value)
			require.NoError(t, err, "%s: %s", name, text)
			within := nodes("", whole(ref), value, func(any) {})
			n := within[g.IntN(len(within))]
			misfits := g.misfits(n.schema)
			if n.at == "" || len(misfits) == 0 {
				continue
			}
			m := misfits[g.IntN(len(misfits))]
			n.set(m.value)
			text, err = judge(ref, value)
			// To the other 1e0 is 1 and 2^63 is 2^63-1; a guid's form and a leap second do not matter.
			lenient := m.what == "an exponent" || m.breaks == "format"
			require.True(t, err != nil || lenient, "%s: %s: %s passes: %s", name, n.at, m.what, text)
		}
	}
}
