package app_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/booking"
)

// asItIs checks a booking without a further look.
func asItIs(ask func() answer) answer { return ask() }

// leavingNothing checks a booking and sees that no table is changed by it.
func (s *service) leavingNothing(ask func() answer) answer {
	s.t.Helper()
	if s.db.Ping(s.t.Context()) != nil {
		return ask() // nobody can write anything
	}
	before := s.snapshot()
	checked := ask()
	require.Equal(s.t, before, s.snapshot(), "a check writes nothing")
	return checked
}

// checkedTests are the names of tests all of whose bookings are checked first.
var checkedTests sync.Map

// bookingOrder are the rules that a booking goes through.
func bookingOrder() []string {
	var names []string
	for _, rule := range booking.Rules {
		names = append(names, string(rule.Name))
		if rule.Name == booking.AppointmentNotLinked {
			break
		}
	}
	return names
}

// afterTheCheck are the answers that no check can foretell: the write finds them out, or something fails in it.
var afterTheCheck = []string{
	"mkab_policy_link_failed", "slot_taken", "appointment_not_created", "appointment_not_found", "appointment_not_linked", "internal_error", "overloaded",
}

// requireAgreement holds a check against the booking that was sent right after it: it foretells its answer.
func requireAgreement(t testing.TB, checked, booked answer) {
	t.Helper()
	if checked.StatusCode != http.StatusOK {
		checked.error.RequestID = booked.error.RequestID
		require.Equal(t, booked.error, checked.error, "refused, and so is the booking")
		return
	}
	check := as[api.AppointmentCheck](t, checked)
	var names []string
	var failed *api.RuleCheck
	for _, said := range check.Checks {
		names = append(names, string(said.Rule))
		require.Equal(t, said.Result == api.RuleCheckResultFailed, said.Message != nil, "%+v", said)
		if said.Result == api.RuleCheckResultFailed && failed == nil {
			failed = &said
		}
		if slices.Contains(afterTheCheck, string(said.Rule)) {
			require.Equal(t, api.RuleCheckResultNotEvaluated, said.Result, said.Rule)
		}
	}
	require.Equal(t, bookingOrder(), names)
	require.Equal(t, failed == nil, check.Allowed)
	switch {
	case booked.StatusCode == http.StatusOK || slices.Contains(afterTheCheck, string(booked.error.Rule)):
		require.Nil(t, failed, "%s", booked.raw)
		for _, said := range check.Checks {
			require.Equal(t, slices.Contains(afterTheCheck, string(said.Rule)), said.Result == api.RuleCheckResultNotEvaluated, "%+v", said)
		}
	default:
		require.NotNil(t, failed, "%s", booked.raw)
		require.Equal(t, booked.error.Rule, failed.Rule)
		require.Equal(t, booked.error.Message, *failed.Message)
		require.Equal(t, booked.error.Details, failed.Details, "the same way out")
	}
}

// Promise: a full cell's way out is the same in a check as in a booking, also where the master patient index lacks what a card needs: only the check has asked.
func TestCheckOfAFullCellWithoutMkab(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.check = sc.leavingNothing
	sc.allowMkab()
	sc.exec(`UPDATE mip_person_data SET name = ''`)
	sc.exec(`UPDATE slot SET taken = capacity WHERE id = $1`, firstSlotID)
	a := sc.attempt()
	a.requireRefusal(t, "slot_full")
	require.Len(t, *a.error.Details.Slots, 3)
}

// Promise: whatever a booking is answered, a check before it has foretold it, with the same message, and has changed no table.
func TestCheckForetellsDocumentedAnswers(t *testing.T) {
	t.Parallel()
	for name, run := range scenarios {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			checkedTests.Store(t.Name(), nil)
			run(t)
		})
	}
}

// results are what a check says of each rule.
func results(t testing.TB, a answer) map[string]string {
	t.Helper()
	said := map[string]string{}
	for _, check := range as[api.AppointmentCheck](t, a).Checks {
		said[string(check.Rule)] = string(check.Result)
	}
	return said
}

// ofResult are the rules with a result, in alphabetical order.
func ofResult(t testing.TB, a answer, result string) []string {
	t.Helper()
	said := results(t, a)
	maps.DeleteFunc(said, func(_, is string) bool { return is != result })
	return slices.Sorted(maps.Keys(said))
}

func (s *service) askCheck(person uuid.UUID, body any) answer {
	s.t.Helper()
	return s.send("/appointments/check", body, "Bearer "+s.token(person))
}

// Promise: rules are told independently of each other, each with the field of this request and who can mend it.
func TestCheckTellsAllRules(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	require.True(t, as[api.AppointmentCheck](t, sc.askCheck(sc.person, sc.request())).Allowed)

	sc.exec(`UPDATE slot SET taken = capacity, blocked = true, restriction = 'pregnant'`)
	sc.exec(`UPDATE resource SET kind = 'equipment', speciality_code = '93'`)
	sc.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, moment, sc.to)
	checked := sc.askCheck(sc.person, sc.request(fields{"Difficulty": 2}))
	require.Equal(t, []string{
		"complex_slot_failed", "mkab_closed", "resource_kind_mismatch", "slot_full", "slot_pregnant_only", "slot_unavailable", "speciality_mismatch",
	}, ofResult(t, checked, "failed"))
	said := map[string]api.RuleCheck{}
	for _, check := range as[api.AppointmentCheck](t, checked).Checks {
		said[string(check.Rule)] = check
	}
	require.Equal(t, "SlotId", *said["slot_full"].Field)
	require.EqualValues(t, "patient", said["slot_full"].Mender)
	require.Equal(t, "Difficulty", *said["complex_slot_failed"].Field)
	require.EqualValues(t, "registry", said["mkab_closed"].Mender)
	require.Nil(t, said["token_missing"].Field)

	byGuid := as[api.AppointmentCheck](t, sc.askCheck(sc.person, sc.request(fields{"SlotId": nil, "SlotGuid": sc.slots[0]})))
	for _, check := range byGuid.Checks {
		if check.Field != nil {
			require.NotEqual(t, "SlotId", *check.Field, "the request gives SlotGuid")
		}
	}
	sc.exec(`UPDATE client_application SET out_of_schedule = false`)
	out := as[api.AppointmentCheck](t, sc.askCheck(sc.person, sc.request(sc.outOfSchedule("2019-08-19"))))
	told := map[string]string{}
	for _, check := range out.Checks {
		if check.Result == api.RuleCheckResultFailed {
			told[string(check.Rule)] = *check.Field
		}
	}
	require.Equal(t, map[string]string{
		"slot_time_passed": "Date", "slot_access_denied": "OutOfSchedule", "resource_kind_mismatch": "DocPrvdGuid", "speciality_mismatch": "DocPrvdGuid",
		"mkab_closed": "LpuToGuid",
	}, told)
}

// Promise: where facts are missing, the rules that need them are not evaluated, and the others are.
func TestCheckWithoutFacts(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	onlyTheWrite := []string{"appointment_not_created", "appointment_not_found", "appointment_not_linked", "mkab_policy_link_failed", "slot_taken"}
	aboutTheReferral := []string{
		"complex_slot_failed", "direction_already_booked", "direction_expired", "direction_lpu_mismatch", "slot_adults_only", "slot_children_only", "slot_disabled_only",
		"slot_infants_only", "slot_pregnant_only", "speciality_already_booked", "speciality_mismatch",
	}
	sorted := func(lists ...[]string) []string { return slices.Sorted(slices.Values(slices.Concat(lists...))) }

	for name, c := range map[string]struct {
		changes              fields
		failed, notEvaluated []string
	}{
		"all there":   {nil, nil, onlyTheWrite},
		"no referral": {fields{"DirectionGuid": uuid.New()}, []string{"direction_not_found"}, sorted(onlyTheWrite, aboutTheReferral, []string{"direction_not_patients"})},
		"no type":     {fields{"DirectionType": "x"}, []string{"direction_type_unsupported"}, sorted(onlyTheWrite, aboutTheReferral, []string{"direction_not_found", "direction_not_patients", "resource_kind_mismatch"})},
		"no cell": {fields{"SlotId": 1}, []string{"slot_not_found"}, sorted(onlyTheWrite, []string{
			"complex_slot_failed", "resource_kind_mismatch", "slot_access_denied", "slot_adults_only", "slot_beyond_horizon", "slot_children_only", "slot_disabled_only", "slot_full",
			"slot_healthy_children_only", "slot_infants_only", "slot_not_for_reception", "slot_pregnant_only", "slot_resource_not_found", "slot_time_passed",
			"slot_unavailable", "speciality_mismatch",
		})},
		"out of schedule": {sc.outOfSchedule("2019-08-21"), nil, onlyTheWrite},
		"no resource":     {maps.Collect(maps.All(sc.outOfSchedule("2019-08-21"))), []string{"slot_resource_not_found"}, sorted(onlyTheWrite, []string{"resource_kind_mismatch", "speciality_mismatch"})},
		"too far ahead":   {sc.outOfSchedule("2020-08-21"), []string{"field_invalid"}, onlyTheWrite},
	} {
		if name == "no resource" {
			c.changes["DocPrvdGuid"] = uuid.New()
		}
		checked := sc.askCheck(sc.person, sc.request(c.changes))
		require.Equal(t, c.failed, ofResult(t, checked, "failed"), name)
		require.Equal(t, c.notEvaluated, ofResult(t, checked, "not_evaluated"), name)
	}
}

// Promise: of another's referral a check tells that it is another's, and nothing more: its answer is the same whatever the referral is like.
func TestCheckOfAnothersReferral(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	stranger, own := sc.patient()
	require.True(t, as[api.AppointmentCheck](t, sc.askCheck(stranger, sc.request(fields{"DirectionGuid": own}))).Allowed)
	// A referral that breaks what the scene's does not, of a patient of whom all is different.
	other, odd := sc.patient()
	entity := uuid.New()
	sc.exec(`INSERT INTO legal_entity VALUES ($1, 'Другое')`, entity)
	sc.exec(`INSERT INTO lpu VALUES ($1, $1, '3', 'Другая', 'Europe/Moscow')`, entity)
	sc.exec(`UPDATE mkab SET birth_date = '2019-01-01', disabled = true, pregnant = true, closed_at = $2 WHERE person_guid = $1`, other, moment)
	sc.exec(`UPDATE direction SET speciality_code = '93', lpu_to_guid = $1, lpu_from_guid = $1, appointment_guid = gen_random_uuid(), date_end = '2019-08-13' WHERE guid = $2`,
		entity, odd)
	sc.set(uuid.Nil, "DirectionExpires", "true")
	for _, restriction := range []string{"none", "adults", "children", "infants", "disabled", "pregnant", "healthy_children"} {
		sc.exec(`UPDATE slot SET restriction = $1::text::slot_restriction`, restriction)
		plain := sc.askCheck(stranger, sc.request(fields{"Difficulty": 2}))
		require.Equal(t, []string{"direction_not_patients"}, ofResult(t, plain, "failed"))
		strange := sc.askCheck(stranger, sc.request(fields{"Difficulty": 2, "DirectionGuid": odd}))
		require.Equal(t, plain.raw, strings.ReplaceAll(strange.raw, odd.String(), sc.direction.String()), restriction)
	}
	absent := sc.askCheck(stranger, sc.request(fields{"DirectionGuid": uuid.New()}))
	there := sc.askCheck(stranger, sc.request())
	differ := []string{}
	for rule, result := range results(t, absent) {
		if results(t, there)[rule] != result {
			differ = append(differ, rule)
		}
	}
	require.ElementsMatch(t, []string{"direction_not_found", "direction_not_patients"}, differ, "but for this, it might as well not exist")
}

// Promise: where booking would make a card, the master patient index is asked; what it refuses is a rule that failed, and a rule that a booking would
// not have come past is told even if the index does not answer.
func TestCheckAsksTheIndex(t *testing.T) {
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
	sc := start(t, func(c *app.Config) {
		c.MipURL, c.MipAuthURL = app.Address(broken.URL), app.Address(broken.URL+"/token")
	}).scene()
	sc.check = sc.leavingNothing
	sc.allowMkab()
	sc.attempt().requireRefusal(t, "mip_unavailable")
	sc.attempt(fields{"SlotId": 1}).requireRefusal(t, "slot_not_found")
	asked := sc.askCheck(sc.person, sc.request(fields{"SlotId": 1}))
	for rule, result := range results(t, asked) {
		if strings.HasPrefix(rule, "mip_") || strings.HasPrefix(rule, "mkab_") && strings.HasSuffix(rule, "_empty") {
			require.Equal(t, "not_evaluated", result, rule)
		}
	}

	sc = start(t).scene()
	sc.check = sc.leavingNothing
	sc.allowMkab()
	sc.exec(`UPDATE slot SET taken = capacity`)
	sc.exec(`UPDATE mip_person_data SET policy_number = '', name = ''`)
	sc.exec(`UPDATE setting SET value = '?' WHERE code = 'PolyclinicCode'`)
	asked = sc.askCheck(sc.person, sc.request(fields{"Difficulty": 2}))
	require.Equal(t, []string{"complex_slot_failed", "mkab_lpu_not_found", "mkab_name_empty", "mkab_policy_number_empty", "slot_full"}, ofResult(t, asked, "failed"))
	sc.exec(`DELETE FROM mip_person_data`)
	asked = sc.askCheck(sc.person, sc.request())
	require.Equal(t, []string{"mip_person_data_missing", "slot_full"}, ofResult(t, asked, "failed"))
	require.Equal(t, "passed", results(t, asked)["mip_person_not_found"])
	require.Equal(t, "not_evaluated", results(t, asked)["mkab_sex_empty"])
}
