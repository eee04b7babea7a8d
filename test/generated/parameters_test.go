package generated_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/test/harness"
)

// Promise: every value of every parameter of a read operation, given once or twice, gets a response
// or a rejection that names the parameter. None causes an internal error.
func TestOddParameters(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	system := sc.SystemToken(sc.AddSystemClient(booking.Scopes), booking.Scopes)
	sent := 0
	for path, item := range harness.ContractDoc().Paths.Map() {
		operation := item.Get
		if operation == nil {
			continue
		}
		fixed := strings.NewReplacer("{directionGuid}", sc.Direction.String(),
			"{appointmentGuid}", sc.Direction.String(), "{number}", "47010157096",
			"{lpuGuid}", sc.To.String(), "{resourceGuid}", sc.Doctor.String(), "{importGuid}", sc.Doctor.String(),
			"{webhookGuid}", sc.Doctor.String(),
			"{clientGuid}", sc.Doctor.String())
		for _, ref := range operation.Parameters {
			parameter := ref.Value
			for _, value := range sc.OddValues() {
				target := strings.ReplaceAll(path, "{"+parameter.Name+"}", url.PathEscape(value))
				target = fixed.Replace(target)
				target += "?" + requiredQuery(operation, parameter)
				targets := []string{target}
				if parameter.In == "query" {
					name := parameter.Name + "="
					targets = []string{
						target + name + url.QueryEscape(value),
						target + name + url.QueryEscape(value) + "&" + name + "x",
					}
					if !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
						targets = append(targets, target+name+value) // unescaped: HTTP allows no other characters
					}
				}
				for _, target := range targets {
					_, err := url.Parse(sc.URL + target)
					if err != nil || strings.Contains(target, "{") && !strings.Contains(value, "{") {
						continue // not a valid URL, or the path has another parameter
					}
					token := sc.Token(sc.Person)
					if needed := operation.Security; needed != nil && (*needed)[0]["systemToken"] != nil {
						token = system
					}
					a := sc.GetAs(token, target)
					sent++
					require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusNotFound}, a.StatusCode,
						"GET %s: %s", target, a.Raw)
					if a.StatusCode == http.StatusBadRequest {
						a.RequireRefusal(t, "field_invalid")
						// A period whose beginning is odd has a wrong end.
						name := strings.Replace(parameter.Name, "from", "(from|to)", 1)
						require.Regexp(t, "^Поле "+name+":", a.Refusal.Message, "GET %s", target)
					}
				}
			}
		}
	}
	require.Greater(t, sent, 100)
	require.NotContains(t, sc.Logs.String(), `"level":"ERROR"`)
}

// requiredQuery returns the required query parameters of an operation with their examples, except
// one, each followed by &.
func requiredQuery(operation *openapi3.Operation, except *openapi3.Parameter) string {
	query := ""
	for _, ref := range operation.Parameters {
		if p := ref.Value; p.In == "query" && p.Required && p.Name != except.Name {
			query += p.Name + "=" + url.QueryEscape(fmt.Sprint(p.Example)) + "&"
		}
	}
	return query
}
