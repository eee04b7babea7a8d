package generated_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// What the contract says in words, and its schemas do not.

// formRules refuse what breaks the contract, and so nothing that keeps it.
var formRules = []string{
	"token_missing", "token_invalid", "token_expired", "token_signature_invalid", "client_unauthenticated", "body_too_large", "media_type_unsupported",
	"body_malformed", "route_not_found", "method_not_allowed",
}

// excuse is a field that the contract refuses though its schema allows the value.
type excuse struct {
	operations []string // none is all
	fields     []string
	why        string // the contract's words
	when       func(d *draft) bool
}

// excused tells whether the contract's words explain that a field of a request is refused.
func (g *generator) excused(d *draft, field string) bool {
	return slices.ContainsFunc(g.excuses(), func(e excuse) bool {
		return (e.operations == nil || slices.Contains(e.operations, d.OperationID)) && slices.Contains(e.fields, field) && e.when(d)
	})
}

func (g *generator) excuses() []excuse {
	booking := []string{"createAppointment", "checkAppointment"}
	cell := append([]string{"moveAppointment"}, booking...)
	slots := []string{"listDirectionSlots"}
	zero := func(field string) func(d *draft) bool {
		return func(d *draft) bool { return d.given(field) == uuid.Nil.String() }
	}
	outOfSchedule := func(d *draft) bool { return d.given("OutOfSchedule") == true }
	var all []excuse
	for _, field := range []string{"DirectionGuid", "LpuFromGuid", "LpuToGuid", "AppointmentGuid", "slotGuid", "lpuGuid", "personguid", "mkab"} {
		all = append(all, excuse{nil, []string{field}, "Not the zero guid.", zero(field)})
	}
	return append(all,
		excuse{cell, []string{"SlotId"}, "`SlotId` or `SlotGuid` is required", func(d *draft) bool {
			return !outOfSchedule(d) && d.given("SlotId") == nil && d.given("SlotGuid") == nil
		}},
		excuse{cell, []string{"SlotGuid"}, "Read only where `SlotId` is not given, and must then be a guid, not the zero one.", func(d *draft) bool {
			return !outOfSchedule(d) && d.given("SlotId") == nil && !isGuid(d.given("SlotGuid"))
		}},
		excuse{booking, []string{"DocPrvdGuid"}, "Required, and read, only with `OutOfSchedule`; must then be a guid, not the zero one.", func(d *draft) bool {
			return outOfSchedule(d) && !isGuid(d.given("DocPrvdGuid"))
		}},
		excuse{booking, []string{"Date"}, "Required, and read, only with `OutOfSchedule`. A date-time …, or a date. At most 366 days ahead.", func(d *draft) bool {
			date, ok := date(d.given("Date"))
			return outOfSchedule(d) && (!ok || date.After(g.Now().AddDate(1, 0, 0)))
		}},
		excuse{[]string{"cancelAppointment"}, []string{"Reason"}, "`Reason` is required where `ReasonCode` is 6.", func(d *draft) bool {
			reason, _ := d.given("Reason").(string)
			return fmt.Sprint(d.given("ReasonCode")) == "6" && strings.TrimSpace(reason) == ""
		}},
		excuse{[]string{"listDirections"}, []string{"dateFrom"}, "`dateTo`: not before `dateFrom`.", func(d *draft) bool {
			from, fromOK := date(d.given("dateFrom"))
			to, toOK := date(d.given("dateTo"))
			return fromOK && toOK && to.Before(from)
		}},
		excuse{nil, []string{"cursor"}, "The `next` of the page before", func(d *draft) bool { return g.cursors[fmt.Sprint(d.given("cursor"))] != d.OperationID }},
		excuse{slots, []string{"lpuGuid"}, "An institution that may not serve the referral, or that there is not, is `field_invalid`.", func(*draft) bool { return true }},
		excuse{slots, []string{"dateFrom", "dateTo"}, "A date or a date-time; at most 366 days ahead; at most 14 days a call.", func(d *draft) bool {
			from, to, ok := g.Now(), g.Now().AddDate(0, 0, 13), true
			if given := d.given("dateFrom"); given != nil {
				from, ok = date(given)
				to = from.AddDate(0, 0, 13)
			}
			if given := d.given("dateTo"); ok && given != nil {
				to, ok = date(given)
			}
			day := 24 * time.Hour // the institution's, which may begin elsewhere
			return !ok || from.After(g.Now().Add(365*day)) || to.Sub(from) < day || to.Sub(from) > 13*day
		}},
		excuse{
			[]string{"getCodToken"}, []string{"personguid", "mkab", "n_pol", "s_pol", "Birthday", "epgu", "snils", "f", "n", "p"},
			"Exactly one way to identify the patient, complete", func(d *draft) bool { return !oneWay(d) },
		},
	)
}

func isGuid(value any) bool {
	text, _ := value.(string)
	guid, err := uuid.Parse(text)
	return err == nil && guid != uuid.Nil && len(text) == len(uuid.Nil.String())
}

// date reads a date, a local date-time or one with an offset.
func date(value any) (time.Time, bool) {
	text, _ := value.(string)
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", time.RFC3339} {
		if read, err := time.Parse(layout, text); err == nil {
			return read, true
		}
	}
	return time.Time{}, false
}

// oneWay tells whether a patient is shown in exactly one way, completely.
func oneWay(d *draft) bool {
	begun, complete := 0, 0
	for _, way := range []struct{ needs, may []string }{
		{[]string{"n_pol", "Birthday"}, []string{"s_pol"}}, {[]string{"personguid"}, nil}, {[]string{"mkab"}, nil},
		{[]string{"epgu", "snils", "f", "n"}, []string{"p"}},
	} {
		given := func(name string) bool { value := d.given(name); return value != nil && value != false }
		missing := func(name string) bool { return !given(name) || strings.TrimSpace(fmt.Sprint(d.given(name))) == "" }
		if slices.ContainsFunc(slices.Concat(way.needs, way.may), given) {
			begun++
		}
		if !slices.ContainsFunc(way.needs, missing) {
			complete++
		}
	}
	return begun == 1 && complete == 1
}

// provoked are the answers of 5xx that the demo data are there to provoke (docs/demo.md), and when. Any other is a failure of the service.
var provoked = map[string]func(d *draft) bool{
	"mip_person_not_found":     patientIs(16),
	"mip_person_data_missing":  patientIs(15),
	"mkab_policy_number_empty": patientIs(11),
	"mkab_sex_empty":           patientIs(12),
	"mkab_surname_empty":       patientIs(13),
	"mkab_name_empty":          patientIs(14),
	"mkab_lpu_not_found": func(d *draft) bool {
		return strings.EqualFold(fmt.Sprint(d.given("LpuToGuid")), "de300000-0002-4000-8000-000000001005")
	},
	"complex_slot_failed": func(d *draft) bool {
		// Of a move the visit has as many cells as it had.
		return d.OperationID == "moveAppointment" || d.given("Difficulty") != nil || d.given("AppointmentGuid") != nil
	},
}

// patientIs tells whether the request is that of the demo's patient of this number.
func patientIs(number int) func(d *draft) bool {
	guid := uuid.MustParse(fmt.Sprintf("de300000-0005-4000-8000-%012d", number))
	return func(d *draft) bool { return d.lead.person == guid }
}
