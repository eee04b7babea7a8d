package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// Promise: a rejection lists all invalid fields of the request, each with a stable problem: the
// parameters in the order of the contract, then the fields of the body by name. The message names
// the first.
func TestInvalidFields(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	zero := uuid.Nil.String()
	long := strings.Repeat("я", 60)
	for name, test := range map[string]struct {
		method, path, body string
		want               []string
	}{
		"a body": {http.MethodPost, "/appointments", `{
			"DirectionGuid": "x", "DirectionType": 1, "LpuFromGuid": null, "SlotId": 0, "Difficulty": 17,
			"IsCito": "yes",
			"VisitComment": "` + strings.Repeat("x", 1001) + `", "Foo": 1, "` + long + `": 2}`, []string{
			"body Difficulty too_large", "body DirectionGuid format", "body DirectionType type", "body Foo unknown",
			"body IsCito type", "body LpuFromGuid null", "body LpuToGuid required", "body SlotId too_small",
			"body VisitComment too_long", "body " + strings.Repeat("я", 50) + "… unknown",
		}},
		"zero guids": {http.MethodPost, "/appointments", `{"DirectionGuid": "` + zero + `", "DirectionType": "consult",
			"LpuFromGuid": "` + zero + `", "LpuToGuid": "` + zero + `", "SlotId": 1}`, []string{
			"body DirectionGuid zero_guid", "body LpuFromGuid zero_guid", "body LpuToGuid zero_guid",
		}},
		"a path, a header and a body": {http.MethodPost, "/appointments/x/move", `{"SlotId": "1"}`, []string{
			"path appointmentGuid format", "header Idempotency-Key characters", "body SlotId type",
		}},
		"a query": {
			http.MethodGet,
			"/appointments?limit=0&status=Lost&directionGuid=x&directionGuid=y&updatedSince=&dateFrom=today", "",
			[]string{
				"query directionGuid repeated", "query dateFrom format", "query status enum",
				"query updatedSince empty", "query limit too_small",
			},
		},
		"a period": {
			http.MethodGet, "/appointments?dateFrom=2019-08-22&dateTo=2019-08-21", "",
			[]string{"query dateFrom period"},
		},
		"a cursor": {http.MethodGet, "/appointments?cursor=x", "", []string{"query cursor cursor"}},
		"too many values": {
			http.MethodGet, "/directions?" + strings.Repeat("status=Booked&", 6), "", []string{"query status too_many"},
		},
	} {
		request := sc.NewRequest(test.method, test.path, strings.NewReader(test.body))
		request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		request.Header.Set("Content-Type", "application/json")
		if strings.Contains(name, "header") {
			request.Header.Set("Idempotency-Key", "a key")
		}
		a := sc.Do(request)
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, test.want, invalidFields(a), name)
		first := (*a.Refusal.Details.Fields)[0]
		require.True(t, strings.HasPrefix(a.Refusal.Message, "Поле "+first.Name+": "), "%s: %s", name, a.Refusal.Message)
	}
}

// Promise: a text or a list of the body that must not be empty is named as empty.
func TestEmptyFields(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	token := sc.SystemToken(sc.AddSystemClient(eventScopes, sc.To), eventScopes, sc.To)
	webhook := "/webhooks/" + uuid.NewString()
	for _, test := range []struct {
		method, path string
		body         harness.Fields
		want         string
	}{
		{http.MethodPut, webhook, harness.Fields{"Url": ""}, "body Url empty"},
		{http.MethodPost, webhook + "/redelivery", harness.Fields{"EventIds": []string{}}, "body EventIds empty"},
		{http.MethodPost, webhook + "/redelivery", harness.Fields{"EventIds": []string{""}}, "body EventIds.0 empty"},
	} {
		refused := sc.AskAs(token, test.method, test.path, test.body)
		refused.RequireRefusal(t, "field_invalid")
		require.Equal(t, []string{test.want}, invalidFields(refused))
	}
}

// Promise: at most 20 fields are listed, and the check lists the problem of a date, too.
func TestInvalidFieldsAreBounded(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	many := harness.Fields{}
	for range 40 {
		many[uuid.NewString()] = 1
	}
	refused := sc.TryBook(many)
	refused.RequireRefusal(t, "field_invalid")
	require.Len(t, invalidFields(refused), 20)
	late := sc.TryBook(sc.OutOfSchedule("2020-08-30"))
	late.RequireRefusal(t, "field_invalid")
	require.Equal(t, []string{"body Date too_far_ahead"}, invalidFields(late))
	harness.RequireCheckMatches(t, sc.CheckBooking(sc.Person, sc.BookingBody(sc.OutOfSchedule("2020-08-30"))), late)
}

// Promise: the contract says what each problem means.
func TestProblemsAreDocumented(t *testing.T) {
	t.Parallel()
	problem := harness.ContractDoc().Components.Schemas["FieldProblem"].Value.Properties["problem"].Value
	for _, name := range problem.Enum {
		require.Contains(t, problem.Description, "`"+name.(string)+"`")
	}
}

// Promise: an error has the English title of its rule if the client prefers English to Russian. The
// message for the patient is Russian in any case.
func TestEnglishTitles(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	for header, english := range map[string]bool{
		"": false, "en": true, "en-GB,en;q=0.9": true, "ru,en;q=0.8": false, "en;q=0.5, ru;q=0.9": false,
		"fr, en;q=0.3": true,
		"fr":           false, "*": false, "en;q=0": false, "no language;;": false,
	} {
		request := sc.NewRequest(http.MethodGet, "/directions/"+uuid.NewString(), nil)
		request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		request.Header.Set("Accept-Language", header)
		a := sc.Do(request)
		a.RequireRefusal(t, "direction_absent")
		require.Equal(t, "Направление не найдено", a.Refusal.Message)
		require.Equal(t, english, a.Refusal.Title != nil, "%q", header)
		if english {
			require.Equal(t, "The patient has no such referral, or it belongs to another patient", *a.Refusal.Title)
		}
		require.Contains(t, a.Header.Values("Vary"), "Accept-Language")
	}
	rules := harness.Decode[api.RuleList](t, sc.Get(sc.Person, "/rules"))
	for _, rule := range rules.Items {
		require.NotEmpty(t, rule.Title, rule.Rule)
	}
}

// invalidFields returns the invalid fields of a rejection as «in name problem».
func invalidFields(a harness.Answer) []string {
	var fields []string
	for _, field := range *a.Refusal.Details.Fields {
		fields = append(fields, field.In+" "+field.Name+" "+field.Problem)
	}
	return fields
}
