package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/httpapi/server"
)

// GetLiveness returns 200 while the process runs.
func (h *handlers) GetLiveness(
	_ context.Context, _ api.GetLivenessRequestObject,
) (api.GetLivenessResponseObject, error) {
	return api.GetLiveness200JSONResponse{Status: api.HealthStatusOk}, nil
}

// GetReadiness returns whether the instance can serve requests. It can while a node of a
// distributed database is away, because the others serve their institutions and patients.
func (h *handlers) GetReadiness(
	ctx context.Context, _ api.GetReadinessRequestObject,
) (api.GetReadinessResponseObject, error) {
	degraded, err := h.ready(ctx)
	switch {
	case err != nil:
		return nil, server.Reject(server.NotReady).Because(err)
	case degraded:
		return api.GetReadiness200JSONResponse{Status: api.HealthStatusDegraded}, nil
	}
	return api.GetReadiness200JSONResponse{Status: api.HealthStatusOk}, nil
}
