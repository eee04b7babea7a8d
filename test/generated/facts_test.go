package generated_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// facts are values known from one place: the demo data of a patient, or one object of a response.
// They belong together, so that a request made from them can succeed: a referral with its
// institutions, a free cell for it, an appointment.
type facts struct {
	person, client uuid.UUID

	// ofSystem tells that a client application has read them for itself: they need not be the
	// person's, so that the person's operations do not use them.
	ofSystem bool

	values    map[string]any     // by normalized names
	matched   map[string]any     // by the normalized names of the values that operations use
	relevance map[*operation]int // the weight of an operation's values that are known
}

// synonyms maps the name of a request's value to the names under which responses contain it, the
// best first. The contract says so in prose.
var synonyms = map[string][]string{
	"lpufromguid":     {"holderlpuguid"},
	"lputoguid":       {"lputoguid", "lpuguid"},
	"docprvdguid":     {"resourceguid"},
	"date":            {"start", "slotstart"},
	"datefrom":        {"start", "slotstart"},
	"dateto":          {"end", "slotend"},
	"updatedsince":    {"updatetime"},
	"cursor":          {"next"},
	"after":           {"next"},
	"ifnonematch":     {"etag"},
	"mkab":            {"mkabguid"},
	"appointmentguid": {"visitguid"},
	"eventids":        {"eventid"},
}

// normalize returns a name in lower case, without the characters between its words.
func normalize(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// match finds the values that operations use: by a synonym, by the same name, or by a longer name
// that ends with it.
func (f *facts) match(operations []*operation) *facts {
	f.matched, f.relevance = map[string]any{}, map[*operation]int{}
	names := sortedKeys(f.values)
	for _, o := range operations {
		for name, weight := range o.weights {
			if _, done := f.matched[name]; !done {
				if value, ok := f.find(names, name); ok {
					f.matched[name] = value
				}
			}
			if _, ok := f.matched[name]; ok {
				f.relevance[o] += weight
			}
		}
	}
	return f
}

func (f *facts) find(names []string, name string) (any, bool) {
	for _, known := range append(slices.Clone(synonyms[name]), name) {
		if value, ok := f.values[known]; ok {
			return value, true
		}
	}
	for _, known := range names {
		if endsWith(known, name) {
			return f.values[known], true
		}
	}
	return nil, false
}

// lookup returns the value for a name.
func (f *facts) lookup(name string) (any, bool) {
	value, ok := f.matched[normalize(name)]
	return value, ok
}

// suffices reports whether the facts have every value that an operation requires.
func (f *facts) suffices(o *operation) bool {
	for name, weight := range o.weights {
		if _, known := f.matched[name]; weight == required && !known {
			return false
		}
	}
	return true
}

// mayServe reports whether a request of an operation may be made from the facts.
func (f *facts) mayServe(o *operation) bool { return !f.ofSystem || o.security == systemToken }

// combine returns these facts with the values of others, except those that the operation requires
// and these facts have.
func (f *facts) combine(other *facts, o *operation) *facts {
	matched := maps.Clone(f.matched)
	for name, value := range other.matched {
		if _, own := matched[name]; !own || o.weights[name] != required {
			matched[name] = value
		}
	}
	return &facts{person: f.person, client: f.client, matched: matched}
}

// endsWith reports whether a name ends with other words. Short names are ignored, because they
// match by chance.
func endsWith(name, words string) bool {
	return len(words) >= len("slotid") && strings.HasSuffix(name, words)
}

// extract returns the facts of a response: those of the object, and those of each item of its lists
// that pick selects. They include the values of these facts.
func (f *facts) extract(ref *openapi3.SchemaRef, response any, pick func(list []any) []any) []*facts {
	body, ok := response.(map[string]any)
	if !ok {
		return nil
	}
	here := &facts{person: f.person, client: f.client, ofSystem: f.ofSystem, values: maps.Clone(f.values)}
	here.record(sortedKeys(f.values), "", ref, body)
	found := []*facts{here}
	forEachList(ref, body, func(items *openapi3.SchemaRef, list []any) {
		for _, item := range pick(list) {
			found = append(found, here.extract(items, item, pick)...)
		}
	})
	return found
}

// record stores the values of an object by name, prefixed by the name of the object or of its
// schema. A value overrides an earlier one whose name is a suffix of its own.
func (f *facts) record(before []string, name string, ref *openapi3.SchemaRef, object map[string]any) {
	properties := flattened(ref).Properties
	for _, key := range sortedKeys(object) {
		property := properties[key]
		if property == nil {
			continue
		}
		switch value := object[key].(type) {
		case map[string]any:
			f.record(before, key, property, value)
		case string, bool, json.Number:
			for _, prefix := range []string{name, schemaName(ref)} {
				full := normalize(prefix + key)
				f.values[full] = value
				for _, known := range before {
					if endsWith(full, known) {
						f.values[known] = value
					}
				}
			}
		}
	}
}

// schemaName returns the name of a referenced schema, or an empty string.
func schemaName(ref *openapi3.SchemaRef) string {
	if ref.Ref == "" && len(ref.Value.AllOf) > 0 {
		ref = ref.Value.AllOf[0]
	}
	return ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:]
}

// forEachList calls found for each list of an object and of the objects within it.
func forEachList(ref *openapi3.SchemaRef, body map[string]any, found func(items *openapi3.SchemaRef, list []any)) {
	properties := flattened(ref).Properties
	for _, key := range sortedKeys(body) {
		property := properties[key]
		if property == nil {
			continue
		}
		switch value := body[key].(type) {
		case map[string]any:
			forEachList(property, value, found)
		case []any:
			found(flattened(property).Items, value)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
