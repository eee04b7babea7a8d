package httpapi

import (
	"context"
	"io/fs"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// Sandbox is what the service offers on the demo data alone (песочница).
type Sandbox struct {
	List    func() (api.Sandbox, error)  // the patients and the scenarios, with fresh tokens
	Reset   func(context.Context) error  // puts the demo data back
	Trouble func(person uuid.UUID) error // the refusal of a patient who is answered nothing else, or nil
	Portal  fs.FS                        // the page that books
}

// switchedOff are the paths that this installation does not have.
func (s *server) switchedOff() []string {
	var paths []string
	if s.issuer == nil {
		paths = append(paths, authorisationPath)
	}
	if s.sandbox == nil {
		paths = append(paths, "/sandbox/scenarios", "/sandbox/reset")
	}
	return paths
}

// without is a router that leaves paths out, so that they are answered like any that is not known.
type without struct {
	gin.IRouter

	paths []string
}

// GET implements gin.IRouter.
func (w without) GET(path string, handlers ...gin.HandlerFunc) gin.IRoutes {
	if slices.Contains(w.paths, path) {
		return w.IRouter
	}
	return w.IRouter.GET(path, handlers...)
}

// POST implements gin.IRouter.
func (w without) POST(path string, handlers ...gin.HandlerFunc) gin.IRoutes {
	if slices.Contains(w.paths, path) {
		return w.IRouter
	}
	return w.IRouter.POST(path, handlers...)
}

// trouble refuses what a patient of the sandbox is always refused, also where no token is asked for but one is shown: so a health check can be seen to fail.
func (s *server) trouble(c *gin.Context) {
	if s.sandbox == nil {
		return
	}
	token, err := s.verifier.VerifyHeader(c.Request.Context(), c.Request.Header.Values("Authorization"))
	if err != nil {
		return // authenticate refuses it, where one is needed
	}
	if err := s.sandbox.Trouble(token.Person); err != nil {
		s.refuse(c, err)
	}
}

// ListScenarios answers what to try in the sandbox.
func (s *server) ListScenarios(ctx context.Context, _ api.ListScenariosRequestObject) (api.ListScenariosResponseObject, error) {
	list, err := s.sandbox.List()
	if err != nil {
		return nil, err
	}
	return api.ListScenarios200JSONResponse{
		Body:    list,
		Headers: api.ListScenarios200ResponseHeaders{CacheControl: "no-store", XRequestID: requestID(ctx).String()},
	}, nil
}

// ResetSandbox puts the demo data back.
func (s *server) ResetSandbox(ctx context.Context, _ api.ResetSandboxRequestObject) (api.ResetSandboxResponseObject, error) {
	if err := s.sandbox.Reset(ctx); err != nil {
		return nil, booking.Refuse(booking.DatabaseUnavailable).Because(err)
	}
	return api.ResetSandbox204Response{Headers: api.ResetSandbox204ResponseHeaders{XRequestID: requestID(ctx).String()}}, nil
}
