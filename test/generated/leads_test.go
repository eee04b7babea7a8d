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

// lead is what was said in one place: by the demo data of a patient, or by an answer of one thing. Its values belong together, so that a request made of
// them leads on: a referral with the institutions that it names, a free cell for it, an appointment.
type lead struct {
	person, client uuid.UUID

	said  map[string]any     // by plain names, as it was told
	told  map[string]any     // by the plain names of what operations ask for
	worth map[*operation]int // how much of what an operation asks for is told
}

// alike are the names by which a value is asked for, and those by which it is told: what the contract says in words, the best first.
var alike = map[string][]string{
	"lpufromguid":  {"holderlpuguid"},
	"lputoguid":    {"lputoguid", "lpuguid"},
	"docprvdguid":  {"resourceguid"},
	"date":         {"start", "slotstart"},
	"datefrom":     {"start", "slotstart"},
	"dateto":       {"end", "slotend"},
	"updatedsince": {"updatetime"},
	"cursor":       {"next"},
	"ifnonematch":  {"etag"},
	"mkab":         {"mkabguid"},
}

// plain is a name without its case and what divides its words.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// read finds what of it operations ask for: said by a name that is alike, by that name, or by a longer one that ends with it.
func (l *lead) read(operations []*operation) *lead {
	l.told, l.worth = map[string]any{}, map[*operation]int{}
	names := sortedKeys(l.said)
	for _, o := range operations {
		for name, weight := range o.weights {
			if _, done := l.told[name]; !done {
				if value, ok := l.find(names, name); ok {
					l.told[name] = value
				}
			}
			if _, ok := l.told[name]; ok {
				l.worth[o] += weight
			}
		}
	}
	return l
}

func (l *lead) find(names []string, name string) (any, bool) {
	for _, known := range append(slices.Clone(alike[name]), name) {
		if value, ok := l.said[known]; ok {
			return value, true
		}
	}
	for _, known := range names {
		if endsWith(known, name) {
			return l.said[known], true
		}
	}
	return nil, false
}

// recall gives what is told by a name.
func (l *lead) recall(name string) (any, bool) {
	value, ok := l.told[plain(name)]
	return value, ok
}

// serves tells whether all that the operation requires is told.
func (l *lead) serves(o *operation) bool {
	for name, weight := range o.weights {
		if _, told := l.told[name]; weight == required && !told {
			return false
		}
	}
	return true
}

// on is the lead with what another tells, but for what the operation requires.
func (l *lead) on(other *lead, o *operation) *lead {
	told := maps.Clone(l.told)
	for name, value := range other.told {
		if _, mine := told[name]; !mine || o.weights[name] != required {
			told[name] = value
		}
	}
	return &lead{person: l.person, client: l.client, told: told}
}

// endsWith tells whether a name is another's last words; names of few letters are so by chance.
func endsWith(name, words string) bool {
	return len(words) >= len("slotid") && strings.HasSuffix(name, words)
}

// follow takes leads from what was said to a request that this lead was in: one from the object, and one from each of those in its lists that pick picks.
func (l *lead) follow(ref *openapi3.SchemaRef, said any, pick func(list []any) []any) []*lead {
	body, ok := said.(map[string]any)
	if !ok {
		return nil
	}
	here := &lead{person: l.person, client: l.client, said: maps.Clone(l.said)}
	here.note(sortedKeys(l.said), "", ref, body)
	leads := []*lead{here}
	lists(ref, body, func(items *openapi3.SchemaRef, list []any) {
		for _, item := range pick(list) {
			leads = append(leads, here.follow(items, item, pick)...)
		}
	})
	return leads
}

// note keeps what an object of this name says, each by its own name and by the name of its object or of its schema in front. It is nearer than what was known
// before by a part of such a name.
func (l *lead) note(before []string, name string, ref *openapi3.SchemaRef, said map[string]any) {
	properties := whole(ref).Properties
	for _, key := range sortedKeys(said) {
		property := properties[key]
		if property == nil {
			continue
		}
		switch value := said[key].(type) {
		case map[string]any:
			l.note(before, key, property, value)
		case string, bool, json.Number:
			for _, prefix := range []string{name, nameOf(ref)} {
				told := plain(prefix + key)
				l.said[told] = value
				for _, known := range before {
					if endsWith(told, known) {
						l.said[known] = value
					}
				}
			}
		}
	}
}

// nameOf is the name of the schema that is referred to, or none.
func nameOf(ref *openapi3.SchemaRef) string {
	if ref.Ref == "" && len(ref.Value.AllOf) > 0 {
		ref = ref.Value.AllOf[0]
	}
	return ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:]
}

// lists finds the lists of an object and of the objects within it.
func lists(ref *openapi3.SchemaRef, body map[string]any, found func(items *openapi3.SchemaRef, list []any)) {
	properties := whole(ref).Properties
	for _, key := range sortedKeys(body) {
		property := properties[key]
		if property == nil {
			continue
		}
		switch value := body[key].(type) {
		case map[string]any:
			lists(property, value, found)
		case []any:
			found(whole(property).Items, value)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
