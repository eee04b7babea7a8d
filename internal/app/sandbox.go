package app

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/demo"
	"talon.example/internal/httpapi"
	"talon.example/portal"
)

// sandbox is what the service offers on the demo data, whose tokens are signed with the demo key.
func sandbox(config Config, pool *pgxpool.Pool, now func() time.Time) (*httpapi.Sandbox, error) {
	key, err := auth.LoadSigningKey(config.DemoKeyFile)
	if err != nil {
		return nil, fmt.Errorf("TALON_DEMO_KEY_FILE: %w", err)
	}
	sign := func(person uuid.UUID, issued time.Time) (string, error) {
		return key.Sign(auth.Token{Person: person, Client: demo.Client}, config.TokenIssuer, config.TokenAudience, issued, demo.TokenLife)
	}
	return &httpapi.Sandbox{
		List:    func() (api.Sandbox, error) { return scenarios(now(), sign) },
		Reset:   func(ctx context.Context) error { return demo.Reset(ctx, pool, now()) },
		Trouble: demo.Trouble,
		Portal:  portal.Files(),
	}, nil
}

// scenarios writes the demo's patients and scenarios as the contract has them.
func scenarios(now time.Time, sign demo.Sign) (api.Sandbox, error) {
	var list api.Sandbox
	for _, patient := range demo.Patients {
		token, err := sign(patient.Guid, now)
		if err != nil {
			return api.Sandbox{}, fmt.Errorf("sign a token: %w", err)
		}
		list.Patients = append(list.Patients, api.SandboxPatient{GUID: patient.Guid, Name: patient.Name, Description: patient.Try, Token: token})
	}
	made, err := demo.Scenarios(now, sign)
	if err != nil {
		return api.Sandbox{}, fmt.Errorf("make the scenarios: %w", err)
	}
	for i := range made {
		s := &made[i]
		scenario := api.Scenario{
			Name: s.Name, Operation: unlessEmpty(s.Operation), Status: int32(s.Status), PatientGUID: unlessEmpty(s.Patient),
			Request: api.ScenarioCall{Method: s.Method, Path: s.Path, Headers: s.Headers, Body: unlessEmpty(s.Body)},
		}
		if s.Refusal() {
			scenario.Rule = &s.Name
		}
		list.Scenarios = append(list.Scenarios, scenario)
	}
	return list, nil
}

// unlessEmpty writes the zero value as null.
func unlessEmpty[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}
