package harness

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"

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
	var body io.Reader
	if sent := scenario.Request; sent.RawBody != nil {
		body = strings.NewReader(*sent.RawBody)
	} else if sent.Body != nil {
		encoded, err := json.Marshal(sent.Body)
		require.NoError(s.T, err)
		body = bytes.NewReader(encoded)
	}
	request := s.NewRequest(scenario.Request.Method, scenario.Request.Path, body)
	for name, value := range scenario.Request.Headers {
		request.Header.Set(name, value)
	}
	return s.Do(request)
}
