package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"golang.org/x/sync/semaphore"

	"talon.example/gen/sandboxapi"
	"talon.example/internal/app"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

// Sandbox adds the sandbox's operations to a service: the scenarios, the reset, the portal, and the
// injected faults. It is safe for concurrent use.
type Sandbox struct {
	database string // the URL of the database
	sign     Sign
	now      func() time.Time
	running  *semaphore.Weighted // one place for each request, all for a reset
}

// maxRunning is more than the number of requests that run at once.
const maxRunning = 1 << 20

// New returns the sandbox of a database with the demo data. sign signs tokens that the service
// accepts.
func New(database string, sign Sign, now func() time.Time) *Sandbox {
	return &Sandbox{database: database, sign: sign, now: now, running: semaphore.NewWeighted(maxRunning)}
}

// Wrappers returns the wrappers that make a service a sandbox.
func (s *Sandbox) Wrappers() app.Wrappers {
	return app.Wrappers{
		Ports:   injectFaults,
		Handler: s.handler,
	}
}

// handler adds the routes of the sandbox to the chain, and injects the faults of whole requests
// before it. Requests wait while the data are being reset.
func (s *Sandbox) handler(chain *server.Server, verifier *auth.Verifier) http.Handler {
	strict := sandboxapi.NewStrictHandlerWithOptions(
		s,
		[]sandboxapi.StrictMiddlewareFunc{server.Detach[sandboxapi.StrictHandlerFunc]},
		sandboxapi.StrictGinServerOptions{
			RequestErrorHandlerFunc:  chain.RenderUnbound,
			HandlerErrorFunc:         chain.RenderError,
			ResponseErrorHandlerFunc: chain.RenderError,
		},
	)
	sandboxapi.RegisterHandlersWithOptions(chain.Operations(), strict, sandboxapi.GinServerOptions{
		ErrorHandler: func(c *gin.Context, err error, _ int) { chain.RenderUnbound(c, err) },
	})
	registerPortal(chain)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := requestFault(verifier, r); err != nil {
			chain.Rejecting(err).ServeHTTP(w, r)
			return
		}
		if r.URL.Path != resetPath {
			if err := s.running.Acquire(r.Context(), 1); err != nil {
				return // the client has gone
			}
			defer s.running.Release(1)
		}
		chain.ServeHTTP(w, r)
	})
}

// requestFault returns the refusal to inject for every request of a patient, or nil. It also
// applies to operations that need no token, so that a failing health check can be demonstrated.
func requestFault(verifier *auth.Verifier, r *http.Request) error {
	token, err := verifier.VerifyHeader(r.Context(), r.Header.Values("Authorization"))
	if err != nil {
		return nil //nolint:nilerr // the chain rejects the token if the operation needs one
	}
	return injectFault(token.Person, atRequest)
}

// ListScenarios implements sandboxapi.StrictServerInterface.
func (s *Sandbox) ListScenarios(
	_ context.Context, _ sandboxapi.ListScenariosRequestObject,
) (sandboxapi.ListScenariosResponseObject, error) {
	list, err := s.scenarioList()
	if err != nil {
		return nil, err
	}
	return sandboxapi.ListScenarios200JSONResponse(list), nil
}

// ResetSandbox implements sandboxapi.StrictServerInterface.
func (s *Sandbox) ResetSandbox(
	ctx context.Context, _ sandboxapi.ResetSandboxRequestObject,
) (sandboxapi.ResetSandboxResponseObject, error) {
	if err := s.reset(ctx); err != nil {
		return nil, booking.Reject(booking.DatabaseUnavailable).Because(err)
	}
	return sandboxapi.ResetSandbox204Response{}, nil
}

const resetPath = "/sandbox/reset"

// reset resets the data when the requests that run have ended.
func (s *Sandbox) reset(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	if err := s.running.Acquire(waiting, maxRunning); err != nil {
		return fmt.Errorf("wait for running requests: %w", err)
	}
	defer s.running.Release(maxRunning)
	return Reset(ctx, s.database, s.now())
}

// scenarioList returns the patients and the scenarios, with new tokens.
func (s *Sandbox) scenarioList() (sandboxapi.Sandbox, error) {
	var list sandboxapi.Sandbox
	now := s.now()
	for _, patient := range Patients {
		token, err := s.sign(auth.Caller{Person: patient.Guid, Client: Client}, now)
		if err != nil {
			return sandboxapi.Sandbox{}, fmt.Errorf("sign a token: %w", err)
		}
		list.Patients = append(list.Patients, sandboxapi.SandboxPatient{
			GUID: patient.Guid, Name: patient.Name, Group: patient.Group, Description: patient.Try, Token: token,
		})
	}
	scenarios, err := Scenarios(now, s.sign)
	if err != nil {
		return sandboxapi.Sandbox{}, fmt.Errorf("make the scenarios: %w", err)
	}
	for i := range scenarios {
		list.Scenarios = append(list.Scenarios, scenarios[i].wire())
	}
	return list, nil
}

// wire converts the scenario to the type of the contract.
func (s *Scenario) wire() sandboxapi.Scenario {
	scenario := sandboxapi.Scenario{
		Name: s.Name, Operation: wire.NilIfZero(s.Operation), Status: int32(s.Status),
		PatientGUID: wire.NilIfZero(s.Patient),
		Request: sandboxapi.ScenarioCall{
			Method: s.Method, Path: s.Path, Headers: s.Headers,
		},
	}
	err := json.Unmarshal([]byte(s.Body), &scenario.Request.Body)
	if err != nil || s.Headers["Content-Type"] != "application/json" {
		scenario.Request.Body, scenario.Request.RawBody = nil, wire.NilIfZero(s.Body) // malformed on purpose, or empty
	}
	if s.Refusal() {
		scenario.Rule = &s.Name
	}
	return scenario
}

// Signer returns a function that signs tokens, valid for TokenLife.
func Signer(key *auth.SigningKey, issuer, audience string) Sign {
	return func(caller auth.Caller, issued time.Time) (string, error) {
		return key.Sign(caller, issuer, audience, issued, TokenLife)
	}
}
