package server

import (
	"cmp"
	"slices"

	"talon.example/internal/booking"
)

// Catalogue lists all rules, in the order of the catalogue in openapi.yaml.
var Catalogue = func() []booking.Rule {
	all := slices.Concat(TransportRules, booking.Rules)
	slices.SortFunc(all, func(a, b booking.Rule) int { return cmp.Compare(a.Order, b.Order) })
	return all
}()

// Reject returns the refusal of any rule. values are pairs of a placeholder's name and its text. It
// panics on a name that is not in the catalogue, which no input can cause.
func Reject(name booking.Name, values ...string) *booking.Refusal {
	return ruleNamed(name).Reject(values...)
}

// ruleNamed returns a rule of the catalogue, and panics on another name.
func ruleNamed(name booking.Name) *booking.Rule {
	i := slices.IndexFunc(Catalogue, func(r booking.Rule) bool { return r.Name == name })
	if i < 0 {
		panic("server: no rule is named " + name)
	}
	return &Catalogue[i]
}
