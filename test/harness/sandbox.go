package harness

import (
	"net/http"
	"strings"

	"talon.example/gen/sandboxapi"
)

// Scenarios asks for the scenarios.
func (s *Service) Scenarios() sandboxapi.Sandbox {
	s.T.Helper()
	return As[sandboxapi.Sandbox](s.T, s.Do(s.Request(http.MethodGet, "/sandbox/scenarios", nil)))
}

// Act sends a scenario's request as it stands.
func (s *Service) Act(scenario sandboxapi.Scenario) Answer {
	s.T.Helper()
	var body *strings.Reader
	request := s.Request(scenario.Request.Method, scenario.Request.Path, nil)
	if scenario.Request.Body != nil {
		body = strings.NewReader(*scenario.Request.Body)
		request = s.Request(scenario.Request.Method, scenario.Request.Path, body)
	}
	for name, value := range scenario.Request.Headers {
		request.Header.Set(name, value)
	}
	return s.Do(request)
}
