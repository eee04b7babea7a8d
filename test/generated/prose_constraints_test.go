package generated_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// This file holds the constraints that the contract states in prose, and its schemas do not.

// syntaxRules reject requests that break the contract, and no others.
var syntaxRules = []string{
	"token_missing", "token_invalid", "token_expired", "token_signature_invalid", "client_unauthenticated",
	"body_too_large", "media_type_unsupported",
	"body_malformed", "route_not_found", "method_not_allowed",
}

// proseConstraint is a field that the contract rejects though its schema allows the value.
type proseConstraint struct {
	operations []string // empty is all
	fields     []string
	quote      string // the contract's prose
	when       func(d *draft) bool
}

// rejectedByProse reports whether the contract's prose explains why a field of a request is
// rejected.
func (g *generator) rejectedByProse(d *draft, field string) bool {
	return slices.ContainsFunc(g.proseConstraints(), func(e proseConstraint) bool {
		return (e.operations == nil || slices.Contains(e.operations, d.OperationID)) &&
			slices.Contains(e.fields, field) && e.when(d)
	})
}

func (g *generator) proseConstraints() []proseConstraint {
	booking := []string{"createAppointment", "checkAppointment", "bookVisit"}
	cell := append([]string{"moveAppointment", "putVisitSlot"}, booking...)
	slots := []string{"listDirectionSlots"}
	zero := func(field string) func(d *draft) bool {
		return func(d *draft) bool { return d.value(field) == uuid.Nil.String() }
	}
	outOfSchedule := func(d *draft) bool { return d.value("OutOfSchedule") == true }
	var all []proseConstraint
	for _, field := range []string{
		"DirectionGuid", "LpuFromGuid", "LpuToGuid", "AppointmentGuid", "slotGuid", "lpuGuid", "resourceGuid",
		"personguid", "mkab", "AbsenceGuid", "cardGuid", "PersonGuid", "caseGuid", "directionGuid", "personGuid",
		"legalEntityGuid", "clientGuid", "webhookGuid", "requestId",
	} {
		all = append(all, proseConstraint{nil, []string{field}, "Not the zero guid.", zero(field)})
	}
	return append(all,
		proseConstraint{cell, []string{"SlotId"}, "`SlotId` or `SlotGuid` is required", func(d *draft) bool {
			return !outOfSchedule(d) && d.value("SlotId") == nil && d.value("SlotGuid") == nil
		}},
		proseConstraint{
			cell, []string{"SlotGuid"},
			"Read only where `SlotId` is not given, and must then be a guid, not the zero one.",
			func(d *draft) bool {
				return !outOfSchedule(d) && d.value("SlotId") == nil && !isGuid(d.value("SlotGuid"))
			},
		},
		proseConstraint{
			booking, []string{"DocPrvdGuid"},
			"Required, and read, only with `OutOfSchedule`; must then be a guid, not the zero one.",
			func(d *draft) bool {
				return outOfSchedule(d) && !isGuid(d.value("DocPrvdGuid"))
			},
		},
		proseConstraint{
			booking, []string{"Date"},
			"Required, and read, only with `OutOfSchedule`. A date-time …, or a date. At most 366 days ahead.",
			func(d *draft) bool {
				date, ok := parseDate(d.value("Date"))
				return outOfSchedule(d) && (!ok || date.After(g.Now().AddDate(1, 0, 0)))
			},
		},
		proseConstraint{
			[]string{"cancelAppointment"}, []string{"Reason"},
			"`Reason` is required where `ReasonCode` is 6.",
			func(d *draft) bool {
				reason, _ := d.value("Reason").(string)
				return fmt.Sprint(d.value("ReasonCode")) == "6" && strings.TrimSpace(reason) == ""
			},
		},
		proseConstraint{[]string{"listDirections", "listAppointments", "listVisits", slots[0]}, []string{"dateFrom"}, "`dateTo`: not before `dateFrom`.",
			func(d *draft) bool {
				from, fromOK := parseDate(d.value("dateFrom"))
				to, toOK := parseDate(d.value("dateTo"))
				return fromOK && toOK && to.Before(from)
			}},
		proseConstraint{[]string{"listAudit", "exportAudit"}, []string{"to"}, "Must be after `from`.",
			func(d *draft) bool {
				from, fromErr := time.Parse(time.RFC3339, fmt.Sprint(d.value("from")))
				to, toErr := time.Parse(time.RFC3339, fmt.Sprint(d.value("to")))
				return fromErr == nil && toErr == nil && !to.After(from)
			}},
		proseConstraint{nil, []string{"cursor"}, "The `next` of the page before", func(d *draft) bool {
			return g.cursors[fmt.Sprint(d.value("cursor"))] != d.list()
		}},
		proseConstraint{[]string{"putCancellation"}, []string{"Reason"}, "It must suit `Initiator`, see the table.",
			func(d *draft) bool {
				reason := fmt.Sprint(d.value("Reason"))
				if d.value("Initiator") == "institution" {
					return reason == "patient_request"
				}
				return slices.Contains([]string{
					"doctor_absent", "equipment_failed", "schedule_changed", "institution_closed",
				}, reason)
			}},
		proseConstraint{[]string{"putWebhook"}, []string{"Url"}, "`https` and absolute, without a user or a fragment.",
			func(d *draft) bool {
				address, err := url.Parse(fmt.Sprint(d.value("Url")))
				return err != nil || address.Scheme != "https" || address.Host == "" || address.User != nil ||
					address.Fragment != ""
			}},
		proseConstraint{[]string{"putWebhook"}, []string{"LpuGuid"}, "Not the zero guid.", func(d *draft) bool {
			return d.value("LpuGuid") != nil && !isGuid(d.value("LpuGuid"))
		}},
		proseConstraint{[]string{"redeliver"}, []string{"EventIds", "Since"},
			"Events in the log, or a time of the feed. Exactly one of the two is given.",
			func(*draft) bool { return true }},
		proseConstraint{[]string{"listEvents"}, []string{"after"}, "`next` of the previous response, or `latest`",
			func(d *draft) bool {
				after := fmt.Sprint(d.value("after"))
				return after != "latest" && g.cursors[after] != d.OperationID
			}},
		proseConstraint{
			slots, []string{"lpuGuid"},
			"An institution that may not serve the referral, or that there is not, is `field_invalid`.",
			func(*draft) bool { return true },
		},
		proseConstraint{
			slots, []string{"dateFrom", "dateTo"},
			"At most 366 days ahead; at most 14 days a request.",
			func(d *draft) bool {
				from, to, ok := g.Now(), g.Now().AddDate(0, 0, 13), true
				if given := d.value("dateFrom"); given != nil {
					from, ok = parseDate(given)
					to = from.AddDate(0, 0, 13)
				}
				if given := d.value("dateTo"); ok && given != nil {
					to, ok = parseDate(given)
				}
				day := 24 * time.Hour // the institution's day may start at another time
				return !ok || from.After(g.Now().Add(365*day)) || to.Sub(from) < day || to.Sub(from) > 13*day
			},
		},
		proseConstraint{
			nil, yearsOf, "In the years 1900 to 2199.",
			func(d *draft) bool {
				return slices.ContainsFunc(yearsOf, func(name string) bool {
					at, ok := parseDate(d.value(name))
					return ok && (at.UTC().Year() < 1900 || at.UTC().Year() > 2199)
				})
			},
		},
		proseConstraint{
			[]string{"putSchedule", "getSchedule", "listAbsences"}, []string{"to"}, "A period has at most 31 days",
			func(d *draft) bool { return !isPeriod(d.value("from"), d.value("to"), 31) },
		},
		proseConstraint{
			[]string{"addAbsence"}, []string{"To"}, "An absence has at most 366 days.",
			func(d *draft) bool { return !isPeriod(d.value("From"), d.value("To"), 366) },
		},
		proseConstraint{
			[]string{"putSchedule"}, []string{"Cells"}, "Cells that begin in `[from, to)`, of known kinds, with guids of their own",
			func(*draft) bool { return true },
		},
		proseConstraint{
			[]string{"putLpu"}, []string{"LegalEntityGuid", "TimeZone", "Code"},
			"`legal_entity_unknown`, `time_zone_unknown`, `code_taken`", func(*draft) bool { return true },
		},
		proseConstraint{
			[]string{"putRegionSettings", "putLpuSettings", "putClientSettings"}, []string{"Settings"},
			"`setting_unknown`, and the values of each setting", func(*draft) bool { return true },
		},
		proseConstraint{
			[]string{"putCard"}, []string{"PersonGuid"}, "The person of a card never changes (`person_fixed`).",
			func(*draft) bool { return true },
		},
		proseConstraint{
			[]string{"putCard"}, []string{"Policies"}, "All policies (полисы) of the card, each once.",
			func(*draft) bool { return true },
		},
		proseConstraint{
			[]string{"putCase", "putReferral"}, []string{"CardGuid"}, "`card_unknown`", func(*draft) bool { return true },
		},
		proseConstraint{
			[]string{"mergeCard"}, []string{"IntoCardGuid"}, "`card_unknown`, `card_closed`, `card_same`, `person_other`",
			func(*draft) bool { return true },
		},
		proseConstraint{
			[]string{"putReferral"}, []string{"LpuToGuid"}, "`lpu_unknown`", func(*draft) bool { return true },
		},
		proseConstraint{
			[]string{"putReferral"}, []string{"DateEnd"}, "Last day of validity, not before `Date`.",
			func(d *draft) bool { return isBefore(d.value("DateEnd"), d.value("Date")) },
		},
		proseConstraint{
			[]string{"putCase"}, []string{"ClosedOn"}, "Day on which it was closed, not before `OpenedOn`.",
			func(d *draft) bool { return isBefore(d.value("ClosedOn"), d.value("OpenedOn")) },
		},
		proseConstraint{
			[]string{"putSchedule", "patchSlot", "addAbsence"}, []string{"OnBooked"}, "`displace` is not supported yet.",
			func(d *draft) bool { return d.value("OnBooked") == "displace" },
		},
		proseConstraint{
			[]string{"withdrawReferral"}, []string{"onBooked"}, "`displace` is not supported yet.",
			func(d *draft) bool { return d.value("onBooked") == "displace" },
		},
		proseConstraint{
			[]string{"putReceipt", "putAttendance", "putVisitSlot", "putCancellation"}, []string{"appointmentGuid"}, "Not the zero guid.",
			zero("appointmentGuid"),
		},
		proseConstraint{
			[]string{"putReceipt"}, []string{"Reason"}, "Required for `rejected`, empty for `accepted`.",
			func(d *draft) bool {
				reason, _ := d.value("Reason").(string)
				if d.value("Status") == "rejected" {
					return strings.TrimSpace(reason) == ""
				}
				return reason != ""
			},
		},
		proseConstraint{
			[]string{"putCancellation", "putVisitSlot"}, []string{"Text"}, "Required for `other`.",
			func(d *draft) bool {
				text, _ := d.value("Text").(string)
				return d.value("Reason") == "other" && strings.TrimSpace(text) == ""
			},
		},
		proseConstraint{
			[]string{"patchSlot"}, []string{"BusyType"}, "`busy_type_unknown`", func(*draft) bool { return true },
		},
		proseConstraint{
			[]string{"getCodToken"}, []string{
				"personguid", "mkab", "n_pol", "s_pol", "Birthday", "epgu", "snils", "f", "n", "p",
			},
			"Exactly one way to identify the patient, complete",
			func(d *draft) bool { return !hasOneIdentification(d) },
		},
	)
}

// yearsOf are the fields and parameters whose year is bounded.
var yearsOf = []string{
	"from", "to", "From", "BirthDate", "Closed", "OpenedOn", "ClosedOn", "Date", "DateEnd", "DateCreate",
}

// isPeriod reports whether two times are a period of at most some days.
func isPeriod(from, to any, days int) bool {
	start, startOK := parseDate(from)
	end, endOK := parseDate(to)
	return startOK && endOK && start.Before(end) && !end.After(start.AddDate(0, 0, days))
}

// isBefore reports whether a time is before another one.
func isBefore(at, other any) bool {
	first, ok := parseDate(at)
	second, otherOK := parseDate(other)
	return ok && otherOK && first.Before(second)
}

func isGuid(value any) bool {
	text, _ := value.(string)
	guid, err := uuid.Parse(text)
	return err == nil && guid != uuid.Nil && len(text) == len(uuid.Nil.String())
}

// parseDate parses a date, a local date-time or a date-time with an offset.
func parseDate(value any) (time.Time, bool) {
	text, _ := value.(string)
	for _, layout := range []string{
		time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", time.RFC3339,
	} {
		if read, err := time.Parse(layout, text); err == nil {
			return read, true
		}
	}
	return time.Time{}, false
}

// hasOneIdentification reports whether the request has exactly one complete identification of a
// patient.
func hasOneIdentification(d *draft) bool {
	partial, complete := 0, 0
	for _, identification := range []struct{ required, optional []string }{
		{[]string{"n_pol", "Birthday"}, []string{"s_pol"}}, {[]string{"personguid"}, nil}, {[]string{"mkab"}, nil},
		{[]string{"epgu", "snils", "f", "n"}, []string{"p"}},
	} {
		given := func(name string) bool { value := d.value(name); return value != nil && value != false }
		missing := func(name string) bool { return !given(name) || strings.TrimSpace(fmt.Sprint(d.value(name))) == "" }
		if slices.ContainsFunc(slices.Concat(identification.required, identification.optional), given) {
			partial++
		}
		if !slices.ContainsFunc(identification.required, missing) {
			complete++
		}
	}
	return partial == 1 && complete == 1
}

// expectedFailures are the 5xx responses that the demo data provoke (docs/demo.md), with their
// conditions. Any other is a failure of the service.
var expectedFailures = map[string]func(d *draft) bool{
	"mip_person_not_found":     anyPatient,
	"mip_person_data_missing":  anyPatient,
	"mkab_policy_number_empty": anyPatient,
	"mkab_sex_empty":           anyPatient,
	"mkab_surname_empty":       anyPatient,
	"mkab_name_empty":          anyPatient,
	"mkab_lpu_not_found":       anyPatient, // an earlier request may have changed the code of the institution
	"appointment_not_created": func(d *draft) bool {
		// putReferral may write an original into the target institution with the guid of another
		// institution's referral.
		return fmt.Sprint(d.value("LpuToGuid")) != fmt.Sprint(d.value("LpuFromGuid"))
	},
	"complex_slot_failed": func(d *draft) bool {
		// A move keeps the number of the visit's cells.
		return d.OperationID == "moveAppointment" || d.OperationID == "putVisitSlot" || d.value("Difficulty") != nil || d.value("AppointmentGuid") != nil
	},
}

// anyPatient is true: putPerson and deletePerson leave any patient without data in the index.
func anyPatient(*draft) bool { return true }
