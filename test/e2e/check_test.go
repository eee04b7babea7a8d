package e2e_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/test/harness"
)

// Promise: a check and a booking of a full cell suggest the same free cells, also where only the
// check queries the master patient index and finds the person's data incomplete.
func TestCheckOfAFullCellWithoutMkab(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Check = sc.RequireReadOnly
	sc.AllowMkabCreation()
	sc.Exec(`UPDATE mip_person_data SET name = ''`)
	sc.Exec(`UPDATE slot SET taken = capacity WHERE id = $1`, harness.FirstSlotID)
	a := sc.TryBook()
	a.RequireRefusal(t, "slot_full")
	require.Len(t, *a.Refusal.Details.Slots, 3)
}

// Promise: a check predicts the response to the booking that follows it, with the same message, and
// changes no table.
func TestCheckPredictsBooking(t *testing.T) {
	t.Parallel()
	for name, run := range ruleScenarios {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			harness.CheckedTests.Store(t.Name(), nil)
			run(t)
		})
	}
}

// checkResults returns the result of each rule in a check's response.
func checkResults(t testing.TB, a harness.Answer) map[string]string {
	t.Helper()
	byRule := map[string]string{}
	for _, check := range harness.Decode[api.AppointmentCheck](t, a).Checks {
		byRule[check.Rule] = check.Result
	}
	return byRule
}

// rulesWithResult returns the rules with the given result, sorted by name.
func rulesWithResult(t testing.TB, a harness.Answer, result string) []string {
	t.Helper()
	byRule := checkResults(t, a)
	maps.DeleteFunc(byRule, func(_, other string) bool { return other != result })
	return slices.Sorted(maps.Keys(byRule))
}

// Promise: a check reports every rule independently of the others. A failed rule has the field of
// this request and the party that can remedy it.
func TestCheckReportsAllRules(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	require.True(t, harness.Decode[api.AppointmentCheck](t, sc.CheckBooking(sc.Person, sc.BookingBody())).Allowed)

	sc.Exec(`UPDATE slot SET taken = capacity, blocked = true, restriction = 'pregnant'`)
	sc.Exec(`UPDATE resource SET kind = 'equipment', speciality_code = '93'`)
	sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, harness.Moment, sc.To)
	checked := sc.CheckBooking(sc.Person, sc.BookingBody(harness.Fields{"Difficulty": 2}))
	require.Equal(t, []string{
		"complex_slot_failed", "mkab_closed", "resource_kind_mismatch", "slot_full", "slot_pregnant_only",
		"slot_unavailable", "speciality_mismatch",
	}, rulesWithResult(t, checked, "failed"))
	byRule := map[string]api.RuleCheck{}
	for _, check := range harness.Decode[api.AppointmentCheck](t, checked).Checks {
		byRule[check.Rule] = check
	}
	require.Equal(t, "SlotId", *byRule["slot_full"].Field)
	require.Equal(t, "patient", byRule["slot_full"].Mender)
	require.Equal(t, "Difficulty", *byRule["complex_slot_failed"].Field)
	require.Equal(t, "registry", byRule["mkab_closed"].Mender)
	require.Nil(t, byRule["token_missing"].Field)

	byGuid := harness.Decode[api.AppointmentCheck](t,
		sc.CheckBooking(sc.Person, sc.BookingBody(harness.Fields{"SlotId": nil, "SlotGuid": sc.Slots[0]})))
	for _, check := range byGuid.Checks {
		if check.Field != nil {
			require.NotEqual(t, "SlotId", *check.Field, "the request has a SlotGuid")
		}
	}
	sc.Exec(`UPDATE client_application SET out_of_schedule = false`)
	out := harness.Decode[api.AppointmentCheck](t,
		sc.CheckBooking(sc.Person, sc.BookingBody(sc.OutOfSchedule("2019-08-19"))))
	failedFields := map[string]string{}
	for _, check := range out.Checks {
		if check.Result == api.RuleCheckResultFailed {
			failedFields[check.Rule] = *check.Field
		}
	}
	require.Equal(t, map[string]string{
		"slot_time_passed":       "Date",
		"slot_access_denied":     "OutOfSchedule",
		"resource_kind_mismatch": "DocPrvdGuid",
		"speciality_mismatch":    "DocPrvdGuid",
		"mkab_closed":            "LpuToGuid",
	}, failedFields)
}

// Promise: where facts are missing, the rules that need them are not evaluated. All other rules
// are.
func TestCheckWithoutFacts(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	writeRules := []string{
		"appointment_not_created", "appointment_not_found", "appointment_not_linked", "mkab_policy_link_failed",
		"slot_taken",
	}
	directionRules := []string{
		"complex_slot_failed", "direction_already_booked", "direction_expired", "direction_lpu_mismatch",
		"slot_adults_only", "slot_children_only", "slot_disabled_only",
		"slot_infants_only", "slot_pregnant_only", "speciality_already_booked", "speciality_mismatch",
	}
	sorted := func(lists ...[]string) []string { return slices.Sorted(slices.Values(slices.Concat(lists...))) }

	for name, c := range map[string]struct {
		changes              harness.Fields
		failed, notEvaluated []string
	}{
		"all facts": {nil, nil, writeRules},
		"no referral": {
			harness.Fields{"DirectionGuid": uuid.New()}, []string{"direction_not_found"},
			sorted(writeRules, directionRules, []string{"direction_not_patients"}),
		},
		"no type": {
			harness.Fields{"DirectionType": "x"}, []string{"direction_type_unsupported"},
			sorted(writeRules, directionRules,
				[]string{"direction_not_found", "direction_not_patients", "resource_kind_mismatch"}),
		},
		"no cell": {harness.Fields{"SlotId": 1}, []string{"slot_not_found"}, sorted(writeRules, []string{
			"complex_slot_failed", "resource_kind_mismatch", "schedule_stale", "slot_access_denied", "slot_adults_only",
			"slot_beyond_horizon", "slot_children_only", "slot_disabled_only", "slot_full",
			"slot_healthy_children_only", "slot_infants_only", "slot_not_for_reception", "slot_pregnant_only",
			"slot_resource_not_found", "slot_time_passed",
			"slot_unavailable", "speciality_mismatch",
		})},
		"out of schedule": {sc.OutOfSchedule("2019-08-21"), nil, writeRules},
		"no resource": {
			maps.Collect(maps.All(sc.OutOfSchedule("2019-08-21"))), []string{"slot_resource_not_found"},
			sorted(writeRules, []string{"resource_kind_mismatch", "speciality_mismatch"}),
		},
		"too far ahead": {sc.OutOfSchedule("2020-08-21"), []string{"field_invalid"}, writeRules},
	} {
		if name == "no resource" {
			c.changes["DocPrvdGuid"] = uuid.New()
		}
		checked := sc.CheckBooking(sc.Person, sc.BookingBody(c.changes))
		require.Equal(t, c.failed, rulesWithResult(t, checked, "failed"), name)
		require.Equal(t, c.notEvaluated, rulesWithResult(t, checked, "not_evaluated"), name)
	}
}

// Promise: a check of another person's referral reports only that it is not the patient's. The
// response does not depend on any other property of that referral.
func TestCheckOfAnothersReferral(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	stranger, own := sc.AddPatient()
	require.True(t, harness.Decode[api.AppointmentCheck](t,
		sc.CheckBooking(stranger, sc.BookingBody(harness.Fields{"DirectionGuid": own}))).Allowed)
	// This referral breaks rules that the scene's does not, and its patient differs in every
	// respect.
	other, odd := sc.AddPatient()
	entity := uuid.New()
	sc.Exec(`INSERT INTO legal_entity VALUES ($1, 'Другое')`, entity)
	sc.Exec(`INSERT INTO lpu VALUES ($1, $1, '3', 'Другая', 'Europe/Moscow')`, entity)
	sc.Exec(`UPDATE mkab SET birth_date = '2019-01-01', disabled = true, pregnant = true, closed_at = $2 WHERE person_guid = $1`, other, harness.Moment)
	sc.Exec(`UPDATE direction SET speciality_code = '93', lpu_to_guid = $1, lpu_from_guid = $1, appointment_guid = guid, date_end = '2019-08-13' WHERE guid = $2`,
		entity, odd)
	sc.SetSetting(uuid.Nil, "DirectionExpires", "true")
	for _, restriction := range []string{
		"none", "adults", "children", "infants", "disabled", "pregnant", "healthy_children",
	} {
		sc.Exec(`UPDATE slot SET restriction = $1::text::slot_restriction`, restriction)
		ordinary := sc.CheckBooking(stranger, sc.BookingBody(harness.Fields{"Difficulty": 2}))
		require.Equal(t, []string{"direction_not_patients"}, rulesWithResult(t, ordinary, "failed"))
		unusual := sc.CheckBooking(stranger, sc.BookingBody(harness.Fields{"Difficulty": 2, "DirectionGuid": odd}))
		require.Equal(t, ordinary.Raw, strings.ReplaceAll(unusual.Raw, odd.String(), sc.Direction.String()),
			restriction)
	}
	absent := sc.CheckBooking(stranger, sc.BookingBody(harness.Fields{"DirectionGuid": uuid.New()}))
	foreign := sc.CheckBooking(stranger, sc.BookingBody())
	differ := []string{}
	for rule, result := range checkResults(t, absent) {
		if checkResults(t, foreign)[rule] != result {
			differ = append(differ, rule)
		}
	}
	require.ElementsMatch(t, []string{"direction_not_found", "direction_not_patients"}, differ,
		"only these rules tell the two apart")
}

// Promise: where booking would create a card, the check queries the master patient index. What the
// index lacks is a failed rule. A rule that rejects the booking earlier is reported even if the
// index does not respond.
func TestCheckQueriesMip(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token":"ticket","token_type":"Bearer","expires_in":3600}`))
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(broken.Close)
	sc := harness.Start(t, func(c *app.Config) {
		c.MipURL, c.MipAuthURL = app.Address(broken.URL), app.Address(broken.URL+"/token")
	}).Scene()
	sc.Check = sc.RequireReadOnly
	sc.AllowMkabCreation()
	sc.TryBook().RequireRefusal(t, "mip_unavailable")
	sc.TryBook(harness.Fields{"SlotId": 1}).RequireRefusal(t, "slot_not_found")
	checked := sc.CheckBooking(sc.Person, sc.BookingBody(harness.Fields{"SlotId": 1}))
	for rule, result := range checkResults(t, checked) {
		if strings.HasPrefix(rule, "mip_") || strings.HasPrefix(rule, "mkab_") && strings.HasSuffix(rule, "_empty") {
			require.Equal(t, "not_evaluated", result, rule)
		}
	}

	sc = harness.Start(t).Scene()
	sc.Check = sc.RequireReadOnly
	sc.AllowMkabCreation()
	sc.Exec(`UPDATE slot SET taken = capacity`)
	sc.Exec(`UPDATE mip_person_data SET policy_number = '', name = ''`)
	sc.Exec(`UPDATE setting SET value = '?' WHERE code = 'PolyclinicCode'`)
	checked = sc.CheckBooking(sc.Person, sc.BookingBody(harness.Fields{"Difficulty": 2}))
	require.Equal(t, []string{
		"complex_slot_failed", "mkab_lpu_not_found", "mkab_name_empty", "mkab_policy_number_empty", "slot_full",
	}, rulesWithResult(t, checked, "failed"))
	sc.Exec(`DELETE FROM mip_person_data`)
	checked = sc.CheckBooking(sc.Person, sc.BookingBody())
	require.Equal(t, []string{"mip_person_data_missing", "slot_full"}, rulesWithResult(t, checked, "failed"))
	require.Equal(t, "passed", checkResults(t, checked)["mip_person_not_found"])
	require.Equal(t, "not_evaluated", checkResults(t, checked)["mkab_sex_empty"])
}
