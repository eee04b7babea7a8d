package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/httpapi/server"
	"talon.example/test/harness"
)

// disabledRules returns the disabled rules of a catalogue.
func disabledRules(t *testing.T, a harness.Answer) []string {
	t.Helper()
	var names []string
	for _, item := range harness.Decode[api.RuleList](t, a).Items {
		if !item.Enabled {
			names = append(names, item.Rule)
		}
	}
	return names
}

// Promise: the catalogue is the rule table in its order. It marks the rules that settings of the
// region or of the institution disable.
func TestRules(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, harness.WithAuthService).Scene()
	catalogue := harness.Decode[api.RuleList](t, sc.Get(sc.Person, "/rules"))
	require.Len(t, catalogue.Items, len(server.Catalogue))
	for i, item := range catalogue.Items {
		rule := server.Catalogue[i]
		require.EqualValues(t, rule.Name, item.Rule)
		require.EqualValues(t, rule.Group, item.Group)
		require.EqualValues(t, rule.Status, item.Status)
		require.Equal(t, rule.Code, item.MessageCode)
		require.EqualValues(t, rule.Type, item.Type)
		require.Equal(t, rule.Message, item.Message)
		require.EqualValues(t, rule.Mender, item.Mender)
		require.Equal(t, rule.Retryable, item.Retryable)
		require.Equal(t, rule.Field == "", item.Field == nil, rule.Name)
		if item.Field != nil {
			require.Equal(t, rule.Field, *item.Field)
		}
	}

	offByDefault := []string{"direction_expired", "schedule_stale", "slot_beyond_horizon"}
	cardRules := []string{
		"mip_auth_url_empty", "mip_auth_url_unreachable", "mip_person_not_found", "mip_person_data_missing",
		"mkab_policy_number_empty",
		"mkab_sex_empty", "mkab_surname_empty", "mkab_name_empty", "mkab_lpu_not_found", "mkab_policy_link_failed",
	}
	to, from := "/rules?lpuGuid="+strings.ToUpper(sc.To.String()), "/rules?lpuGuid="+sc.From.String()
	for _, path := range []string{to, "/rules"} {
		require.Equal(t, slices.Concat(offByDefault, cardRules), disabledRules(t, sc.Get(sc.Person, path)),
			"by default no institution creates cards")
	}
	sc.Exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true'), ($2, '2dr_RecordWithoutMkab', 'false')`, sc.To, sc.From)
	require.Equal(t, append(offByDefault, "mkab_absent"), disabledRules(t, sc.Get(sc.Person, to)))
	require.Equal(t, slices.Concat(offByDefault, cardRules), disabledRules(t, sc.Get(sc.Person, from)))
	require.Equal(t, offByDefault, disabledRules(t, sc.Get(sc.Person, "/rules")),
		"one of the two institutions creates cards")
	sc.SetSetting(uuid.Nil, "OneActiveAppointmentPerSpeciality", "false")
	require.Equal(t, append(offByDefault, "speciality_already_booked", "mkab_absent"),
		disabledRules(t, sc.Get(sc.Person, to)))
	require.Equal(t, append(offByDefault, "speciality_already_booked"), disabledRules(t, sc.Get(sc.Person, "/rules")))
	sc.SetSetting(uuid.Nil, "OneActiveAppointmentPerSpeciality", "true")
	require.Equal(t, offByDefault, disabledRules(t, sc.Get(sc.Person, "/rules")))

	sc.SetSetting(sc.From, "DirectionExpires", "true")
	require.Equal(t, []string{"schedule_stale", "slot_beyond_horizon"}, disabledRules(t, sc.Get(sc.Person, "/rules")),
		"enabled in one institution")
	require.Equal(t, append(offByDefault, "mkab_absent"), disabledRules(t, sc.Get(sc.Person, to)))
	sc.SetSetting(uuid.Nil, "DirectionExpires", "true")
	require.Equal(t, []string{"schedule_stale", "slot_beyond_horizon", "mkab_absent"},
		disabledRules(t, sc.Get(sc.Person, to)))
	sc.SetSetting(sc.To, "DirectionExpires", "false")
	require.Equal(t, append(offByDefault, "mkab_absent"), disabledRules(t, sc.Get(sc.Person, to)))
	other := uuid.New()
	sc.Exec(`INSERT INTO client_application VALUES ($1, 'Другое')`, other)
	sc.SetSetting(other, "scheduleDays", "14")
	require.Equal(t, append(offByDefault, "mkab_absent"), disabledRules(t, sc.Get(sc.Person, to)),
		"the setting of another client application does not apply")
	sc.SetSetting(harness.ClientGuid, "scheduleDays", "14")
	sc.SetSetting(sc.To, "ScheduleFreshHours", "24")
	require.Equal(t, []string{"direction_expired", "mkab_absent"}, disabledRules(t, sc.Get(sc.Person, to)))
	sc.SetSetting(sc.To, "DeleteOldTime", "true")
	require.Equal(t, []string{"direction_expired", "mkab_absent", "appointment_started"},
		disabledRules(t, sc.Get(sc.Person, to)))
	require.Empty(t, disabledRules(t, sc.Get(sc.Person, "/rules")))

	settings := map[string]string{}
	for _, item := range harness.Decode[api.RuleList](t, sc.Get(sc.Person, to)).Items {
		if item.Setting != nil {
			settings[item.Rule] = *item.Setting
		}
	}
	for _, rule := range append(cardRules, "mkab_absent") {
		require.Equal(t, "2dr_RecordWithoutMkab", settings[rule])
		delete(settings, rule)
	}
	require.Equal(t, map[string]string{
		"direction_expired":         "DirectionExpires",
		"schedule_stale":            "ScheduleFreshHours",
		"slot_beyond_horizon":       "scheduleDays",
		"appointment_started":       "DeleteOldTime",
		"speciality_already_booked": "OneActiveAppointmentPerSpeciality",
	}, settings)
	require.Len(t, harness.Decode[api.RuleList](t, sc.Get(sc.Person, "/rules?unknown=1&unknown=2&&%zz&=")).Items,
		len(server.Catalogue), "unknown parameters are ignored")
}

// Promise: a parameter that breaks the contract or cannot be decoded is rejected with a Russian
// message that names it. The token is checked first.
func TestBadRuleParameters(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	const notAGuid = "Поле lpuGuid: ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	const bad = "Поле lpuGuid: недопустимые символы"
	to := sc.To.String()
	for query, message := range map[string]string{
		"lpuGuid=":                                   "Поле lpuGuid: значение не указано",
		"lpuGuid":                                    "Поле lpuGuid: значение не указано",
		"lpuGuid=" + to + "&lpuGuid=" + to:           "Поле lpuGuid: значение указано больше одного раза",
		"lpuGuid=" + to + "&x=1&lpu%47uid=" + to:     "Поле lpuGuid: значение указано больше одного раза",
		"lpuGuid=" + to + "&lpuGuid=":                "Поле lpuGuid: значение не указано",
		"lpuGuid=x":                                  notAGuid,
		"lpuGuid=" + to + "0":                        notAGuid,
		"lpuGuid=%7B" + to + "%7D":                   notAGuid,
		"lpuGuid=" + strings.ReplaceAll(to, "-", ""): notAGuid,
		"lpuGuid=" + uuid.Nil.String():               "Поле lpuGuid: нулевой guid недопустим",
		"lpuGuid=%zz":                                bad,
		"lpuGuid=" + to + ";x":                       bad,
		"lpuGuid=%FF":                                bad,
		"lpuGuid=%00":                                bad,
	} {
		a := sc.Get(sc.Person, "/rules?"+query)
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, message, a.Refusal.Message, query)
		sc.Do(sc.NewRequest("GET", "/rules?"+query, nil)).RequireRefusal(t, "token_missing")
	}
	sc.Do(sc.NewRequest("POST", "/rules", nil)).RequireRefusal(t, "method_not_allowed")
}
