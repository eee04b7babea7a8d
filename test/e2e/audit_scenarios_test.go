package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/gen/sandboxapi"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/sandbox"
	"talon.example/test/harness"
)

// unrecorded are the rules that reject a request before its record: its caller is not known, or the
// request was not admitted or not read. It has reached no data.
var unrecorded = map[booking.Name]bool{
	server.TokenMissing: true, server.TokenInvalid: true, server.TokenExpired: true,
	server.TokenSignatureInvalid: true, server.KeysUnavailable: true, booking.ClientUnauthenticated: true,
	booking.TooManyRequests: true, booking.Overloaded: true,
	server.BodyTooLarge: true, server.BodyMalformed: true, server.MediaTypeUnsupported: true,
	server.RouteNotFound: true, server.MethodNotAllowed: true,
	// The sandbox injects these before the service has the request.
	server.InternalError: true, booking.DatabaseUnavailable: true,
}

// personless are the operations whose records may have no person: they are about many, or what they
// have deleted is gone.
var personless = map[string]bool{
	"listWork": true, "createImport": true, "listAudit": true, "exportAudit": true,
	"deleteCase": true, "withdrawReferral": true,
}

// auditedRow is a record of the audit in the database.
type auditedRow struct {
	Operation, Rule, ActingUser string
	Status                      int32
	PersonGuid, ClientGuid      uuid.UUID
	Objects                     string
}

func auditedRows(t *testing.T, s *harness.Service, request string) []auditedRow {
	t.Helper()
	rows, err := s.DB.Query(t.Context(), `SELECT operation, rule, acting_user, status, person_guid, client_guid, objects::text FROM audit_record WHERE request_id = $1`, request)
	require.NoError(t, err)
	records, err := pgx.CollectRows(rows, pgx.RowToStructByPos[auditedRow])
	require.NoError(t, err)
	return records
}

// Promise: every request that touches a patient's data leaves one record, which says of it what the
// request and its response do: the caller, the person, the institution, the operation, the status
// and the rule. Other requests leave none. The scenarios have every operation and every rule.
func TestAuditOfEveryOperation(t *testing.T) {
	t.Parallel()
	s := startSandbox(t)
	missing := map[string]bool{}
	for _, operation := range operations() {
		if isAudited(operation) {
			missing[operation.OperationID] = true
		}
	}
	for _, scenario := range s.Scenarios().Scenarios {
		id := uuid.NewString()
		scenario.Request.Headers["X-Request-Id"] = id
		scenario.Request.Headers["X-Acting-User"] = "operator-17"
		a := s.SendScenario(scenario)
		where := scenario.Name + " of " + id
		require.Equal(t, id, a.Header.Get("X-Request-ID"), where)
		require.EqualValues(t, scenario.Status, a.StatusCode, "%s: %s", where, a.Raw)
		records := auditedRows(t, s, id)
		rule := booking.Name("")
		if scenario.Rule != nil {
			rule = booking.Name(*scenario.Rule)
		}
		if scenario.Operation == nil || unrecorded[rule] || !isAudited(operations()[*scenario.Operation]) {
			require.Empty(t, records, where)
			continue
		}
		delete(missing, *scenario.Operation)
		if *scenario.Operation == "listVisits" {
			require.Len(t, records, len(harness.Decode[struct{ Items []struct{} }](t, a).Items), where)
		} else {
			require.Len(t, records, 1, where)
		}
		for _, record := range records {
			require.Equal(t, *scenario.Operation, record.Operation, where)
			require.Equal(t, scenario.Status, record.Status, where)
			require.EqualValues(t, rule, record.Rule, where)
			require.Equal(t, "operator-17", record.ActingUser, where)
			require.NotEqual(t, uuid.Nil, record.ClientGuid, where)
			if scenario.PatientGUID != nil {
				require.Equal(t, *scenario.PatientGUID, record.PersonGuid, where)
				require.Equal(t, sandbox.Client, record.ClientGuid, where)
			}
			if scenario.Status < http.StatusBadRequest && !personless[*scenario.Operation] {
				require.NotEqual(t, uuid.Nil, record.PersonGuid, where)
			}
			for _, guid := range guidsOfPath(scenario) {
				require.Contains(t, record.Objects+record.PersonGuid.String(), guid, where)
			}
		}
	}
	require.Empty(t, missing, "operations without a scenario")
}

// operations returns the operations of the contract by operationId.
func operations() map[string]*openapi3.Operation {
	found := map[string]*openapi3.Operation{}
	for _, item := range harness.ContractDoc().Paths.Map() {
		for _, operation := range item.Operations() {
			found[operation.OperationID] = operation
		}
	}
	return found
}

func isAudited(operation *openapi3.Operation) bool {
	return operation.Extensions["x-audit"].(map[string]any)["action"] != "none"
}

// guidsOfPath returns the guids in the path of a scenario: the institution and the objects.
func guidsOfPath(scenario sandboxapi.Scenario) (guids []string) {
	path, _, _ := strings.Cut(scenario.Request.Path, "?")
	for part := range strings.SplitSeq(path, "/") {
		if guid, err := uuid.Parse(part); err == nil && guid != uuid.Nil && scenario.Status != http.StatusBadRequest {
			guids = append(guids, guid.String())
		}
	}
	return guids
}
