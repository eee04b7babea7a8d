package harness

import (
	"net/http"
	"strings"

	"talon.example/gen/sandboxapi"
)

// Scenarios returns the sandbox's list of scenarios.
func (s *Service) Scenarios() sandboxapi.Sandbox {
	s.T.Helper()
	return Decode[sandboxapi.Sandbox](s.T, s.Do(s.NewRequest(http.MethodGet, "/sandbox/scenarios", nil)))
}

// SendScenario sends a scenario's request unchanged.
func (s *Service) SendScenario(scenario sandboxapi.Scenario) Answer {
	s.T.Helper()
	var body *strings.Reader
	request := s.NewRequest(scenario.Request.Method, scenario.Request.Path, nil)
	if scenario.Request.Body != nil {
		body = strings.NewReader(*scenario.Request.Body)
		request = s.NewRequest(scenario.Request.Method, scenario.Request.Path, body)
	}
	for name, value := range scenario.Request.Headers {
		request.Header.Set(name, value)
	}
	return s.Do(request)
}
