package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"talon.example/gen/api"
	"talon.example/gen/sandboxapi"
	"talon.example/internal/app"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/sandbox"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// startSandbox runs the service with the sandbox on the demo data, as talon-sandbox does.
func startSandbox(t testing.TB) *harness.Service {
	t.Helper()
	database := testdb.New(t)
	s := harness.StartWrapped(t, database, func(s *harness.Service) app.Wrappers {
		return sandbox.New(database, sandbox.Signer(s.Key, "issuer", "talon"), s.Now).Wrappers()
	}, func(c *app.Config) { c.AuthKeyFile = harness.PrivateKeyFile(c) })
	require.NoError(t, sandbox.Load(t.Context(), s.DB.Config().ConnString(), s.Now()))
	return s
}

// Promise: each example response of the contract has a scenario of its name, and each scenario has
// an example. Repeated, a scenario always gets the same response.
func TestSandboxScenarios(t *testing.T) {
	t.Parallel()
	s := startSandbox(t)
	listed := s.Scenarios()
	found := map[string]bool{}
	for _, scenario := range listed.Scenarios {
		found[scenario.Name] = true
		for range 7 { // more often than the limit of failed identifications
			a := s.SendScenario(scenario)
			require.EqualValues(t, scenario.Status, a.StatusCode, "%s: %s", scenario.Name, a.Raw)
			requireMatchesExample(t, scenario, a)
		}
	}
	for name := range exampleNames() {
		require.True(t, found[name], "the example %s has no scenario", name)
		delete(found, name)
	}
	require.Empty(t, found, "scenarios without an example")
	s.RequireInvariants()
}

// requireMatchesExample requires that the contract lists the scenario under the response's status.
// It requires that a refusal equals the example, apart from the placeholders of its message.
func requireMatchesExample(t *testing.T, scenario sandboxapi.Scenario, a harness.Answer) {
	t.Helper()
	if scenario.Operation != nil {
		require.Contains(t, exampleNamesOf(t, *scenario.Operation, a.StatusCode), scenario.Name)
	}
	if scenario.Rule == nil {
		return
	}
	require.Equal(t, scenario.Name, *scenario.Rule)
	a.RequireRefusal(t, scenario.Name)
	example := harness.ContractDoc().Components.Examples[scenario.Name].Value.Value.(map[string]any)
	require.Equal(t, example["message_code"], a.Refusal.MessageCode)
	require.EqualValues(t, example["type"], a.Refusal.Type)
	require.Equal(t, example["details"] != nil, a.Refusal.Details != nil, "%s: %s", scenario.Name, a.Raw)
	template := regexp.QuoteMeta(server.Reject(booking.Name(scenario.Name)).Message)
	require.Regexp(t, "^"+regexp.MustCompile(`\\\{[A-Za-z.]+[^}]*\\\}`).ReplaceAllString(template, ".+")+"$",
		a.Refusal.Message)
}

// exampleNamesOf returns the names of the examples of an operation's response.
func exampleNamesOf(t *testing.T, operation string, status int) (names []string) {
	t.Helper()
	for _, item := range harness.ContractDoc().Paths.Map() {
		for _, o := range item.Operations() {
			if o.OperationID != operation {
				continue
			}
			response := o.Responses.Status(status)
			require.NotNil(t, response, "%s does not show %d", operation, status)
			for _, content := range response.Value.Content {
				for name := range content.Examples {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// exampleNames returns the names of all example responses of the contract.
func exampleNames() map[string]bool {
	names := map[string]bool{}
	for _, item := range harness.ContractDoc().Paths.Map() {
		for _, operation := range item.Operations() {
			for _, response := range operation.Responses.Map() {
				for _, content := range response.Value.Content {
					for name := range content.Examples {
						names[name] = true
					}
				}
			}
		}
	}
	return names
}

// Promise: a reset restores the demo data. Guids do not change, and issued tokens stay valid.
func TestSandboxReset(t *testing.T) {
	t.Parallel()
	s := startSandbox(t)
	before := s.Snapshot()
	listed := s.Scenarios()
	for _, scenario := range listed.Scenarios {
		if scenario.Rule == nil {
			s.SendScenario(scenario)
		}
	}
	require.NotEqual(t, before, s.Snapshot())
	require.Equal(t, http.StatusNoContent, s.Do(s.NewRequest(http.MethodPost, "/sandbox/reset", nil)).StatusCode)
	require.Equal(t, before, s.Snapshot())
	for _, scenario := range listed.Scenarios {
		if scenario.Name == "consult" {
			require.Empty(t, s.SendScenario(scenario).Header.Get("Idempotency-Replayed"),
				"the reset deleted the stored response")
			require.Equal(t, "true", s.SendScenario(scenario).Header.Get("Idempotency-Replayed"))
		}
	}
}

// Promise: requests during a reset wait for it. They meet either the old or the new data.
func TestSandboxResetDuringRequests(t *testing.T) {
	t.Parallel()
	s := startSandbox(t)
	before := s.Snapshot()
	var senders errgroup.Group
	for _, scenario := range s.Scenarios().Scenarios {
		if !slices.Contains([]string{"consult", "held", "directions", "lpu"}, scenario.Name) {
			continue
		}
		senders.Go(func() error {
			for range 8 {
				if a := s.SendScenario(scenario); a.StatusCode >= http.StatusInternalServerError {
					return fmt.Errorf("%s: %s", scenario.Name, a.Raw)
				}
			}
			return nil
		})
	}
	done := make(chan error)
	go func() { done <- senders.Wait() }()
	reset := func() {
		a := s.Do(s.NewRequest(http.MethodPost, "/sandbox/reset", nil))
		require.Equal(t, http.StatusNoContent, a.StatusCode, "%s", s.Logs)
	}
	for running := true; running; {
		reset()
		select {
		case err := <-done:
			require.NoError(t, err)
			running = false
		default:
		}
	}
	s.RequireInvariants()
	reset()
	require.Equal(t, before, s.Snapshot())
}

// Promise: a reset changes no data that are not the demo's. Its response contains no details.
func TestSandboxResetKeepsForeignData(t *testing.T) {
	t.Parallel()
	s := startSandbox(t)
	s.Exec(`INSERT INTO mip_person VALUES (gen_random_uuid())`)
	before := s.Snapshot()
	s.Do(s.NewRequest(http.MethodPost, "/sandbox/reset", nil)).RequireRefusal(t, "database_unavailable")
	require.Equal(t, before, s.Snapshot())
}

// Promise: the service has no sandbox: no scenarios, no reset and no injected faults.
func TestServiceHasNoSandbox(t *testing.T) {
	t.Parallel()
	s := harness.StartEmpty(t)
	require.NoError(t, sandbox.Load(t.Context(), s.DB.Config().ConnString(), s.Now()))
	s.Exec(`INSERT INTO client_application VALUES ($1, 'Тест')`, harness.ClientGuid)
	before := s.Snapshot()
	s.Do(s.NewRequest(http.MethodGet, "/sandbox/scenarios", nil)).RequireRefusal(t, "route_not_found")
	s.Do(s.NewRequest(http.MethodPost, "/sandbox/reset", nil)).RequireRefusal(t, "route_not_found")
	require.Equal(t, before, s.Snapshot())
	require.Equal(t, http.StatusOK,
		s.Get(uuid.MustParse("de300000-0005-4000-8000-000000000033"), "/directions").StatusCode)
}

// Promise: every listed patient has a token for their own guid, the name of their medical cards,
// and a group. Those who can book, and only they, have ordinary names.
func TestSandboxPatients(t *testing.T) {
	t.Parallel()
	s := startSandbox(t)
	patients := s.Scenarios().Patients
	require.Len(t, patients, s.Count(`SELECT count(DISTINCT person_guid) FROM mkab`))
	groups := map[string]int{}
	for _, patient := range patients {
		require.Equal(t, 1, s.Count(`SELECT count(DISTINCT concat_ws(' ', surname, name, nullif(patronymic, ''))) FROM mkab
			WHERE person_guid = $1 AND concat_ws(' ', surname, name, nullif(patronymic, '')) = $2`, patient.GUID, patient.Name), patient.Name)
		groups[patient.Group]++
		isBookable := patient.Group == api.SandboxPatientGroupBookable
		require.Equal(t, !isBookable, strings.HasPrefix(patient.Name, "Пациент "), patient.Name)
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(patient.Token, ".")[1])
		require.NoError(t, err)
		require.Contains(t, string(payload), `"sub":"`+patient.GUID.String()+`"`)
	}
	require.GreaterOrEqual(t, groups[api.SandboxPatientGroupBookable], 4)
	for _, group := range []string{
		api.SandboxPatientGroupBookable, api.SandboxPatientGroupRefused, api.SandboxPatientGroupRace,
		api.SandboxPatientGroupFailure,
	} {
		require.NotZero(t, groups[group], group)
		delete(groups, group)
	}
	require.Empty(t, groups, "the contract names all groups")
}
