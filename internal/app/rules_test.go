package app_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// off are the rules of a catalogue that are not on.
func off(t *testing.T, a answer) []string {
	t.Helper()
	var names []string
	for _, item := range as[api.RuleList](t, a).Items {
		if !item.Enabled {
			names = append(names, string(item.Rule))
		}
	}
	return names
}

// Promise: the catalogue is the rule table itself, in its order, and shows what the settings switch off in the region and in an institution.
func TestRules(t *testing.T) {
	t.Parallel()
	sc := start(t, withTokens).scene()
	all := as[api.RuleList](t, sc.get(sc.person, "/rules"))
	require.Len(t, all.Items, len(booking.Rules))
	for i, item := range all.Items {
		rule := booking.Rules[i]
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

	switched := []string{"direction_expired", "slot_beyond_horizon"}
	making := []string{
		"mip_auth_url_empty", "mip_auth_url_unreachable", "mip_person_not_found", "mip_person_data_missing", "mkab_policy_number_empty",
		"mkab_sex_empty", "mkab_surname_empty", "mkab_name_empty", "mkab_lpu_not_found", "mkab_policy_link_failed",
	}
	to, from := "/rules?lpuGuid="+strings.ToUpper(sc.to.String()), "/rules?lpuGuid="+sc.from.String()
	for _, path := range []string{to, "/rules"} {
		require.Equal(t, slices.Concat(switched, making), off(t, sc.get(sc.person, path)), "by default no institution makes cards")
	}
	sc.exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true'), ($2, '2dr_RecordWithoutMkab', 'false')`, sc.to, sc.from)
	require.Equal(t, append(switched, "mkab_absent"), off(t, sc.get(sc.person, to)))
	require.Equal(t, slices.Concat(switched, making), off(t, sc.get(sc.person, from)))
	require.Equal(t, switched, off(t, sc.get(sc.person, "/rules")), "one institution makes them, and one does not")
	sc.set(uuid.Nil, "OneActiveAppointmentPerSpeciality", "false")
	require.Equal(t, append(switched, "speciality_already_booked", "mkab_absent"), off(t, sc.get(sc.person, to)))
	require.Equal(t, append(switched, "speciality_already_booked"), off(t, sc.get(sc.person, "/rules")))
	sc.set(uuid.Nil, "OneActiveAppointmentPerSpeciality", "true")
	require.Equal(t, switched, off(t, sc.get(sc.person, "/rules")))

	sc.set(sc.from, "DirectionExpires", "true")
	require.Equal(t, []string{"slot_beyond_horizon"}, off(t, sc.get(sc.person, "/rules")), "it is on in one of them")
	require.Equal(t, append(switched, "mkab_absent"), off(t, sc.get(sc.person, to)))
	sc.set(uuid.Nil, "DirectionExpires", "true")
	require.Equal(t, []string{"slot_beyond_horizon", "mkab_absent"}, off(t, sc.get(sc.person, to)))
	sc.set(sc.to, "DirectionExpires", "false")
	require.Equal(t, append(switched, "mkab_absent"), off(t, sc.get(sc.person, to)))
	other := uuid.New()
	sc.exec(`INSERT INTO client_application VALUES ($1, 'Другое')`, other)
	sc.set(other, "scheduleDays", "14")
	require.Equal(t, append(switched, "mkab_absent"), off(t, sc.get(sc.person, to)), "of another client application")
	sc.set(clientGuid, "scheduleDays", "14")
	require.Equal(t, []string{"direction_expired", "mkab_absent"}, off(t, sc.get(sc.person, to)))
	sc.set(sc.to, "DeleteOldTime", "true")
	require.Equal(t, []string{"direction_expired", "mkab_absent", "appointment_started"}, off(t, sc.get(sc.person, to)))
	require.Empty(t, off(t, sc.get(sc.person, "/rules")))

	settings := map[string]string{}
	for _, item := range as[api.RuleList](t, sc.get(sc.person, to)).Items {
		if item.Setting != nil {
			settings[string(item.Rule)] = *item.Setting
		}
	}
	for _, rule := range append(making, "mkab_absent") {
		require.Equal(t, "2dr_RecordWithoutMkab", settings[rule])
		delete(settings, rule)
	}
	require.Equal(t, map[string]string{
		"direction_expired": "DirectionExpires", "slot_beyond_horizon": "scheduleDays", "appointment_started": "DeleteOldTime",
		"speciality_already_booked": "OneActiveAppointmentPerSpeciality",
	}, settings)
	require.Len(t, as[api.RuleList](t, sc.get(sc.person, "/rules?nobodys=1&nobodys=2&&%zz&=")).Items, len(booking.Rules), "unknown parameters are ignored")
}

// Promise: a parameter that breaks the contract is refused in Russian, by its name, and so is one that cannot be read; the token comes first.
func TestBadParameters(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	const notAGuid = "Поле lpuGuid: ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	const bad = "Поле lpuGuid: недопустимые символы"
	to := sc.to.String()
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
		a := sc.get(sc.person, "/rules?"+query)
		a.requireRefusal(t, "field_invalid")
		require.Equal(t, message, a.error.Message, query)
		sc.do(sc.service.request("GET", "/rules?"+query, nil)).requireRefusal(t, "token_missing")
	}
	sc.do(sc.service.request("POST", "/rules", nil)).requireRefusal(t, "method_not_allowed")
}
