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

// GetReadiness returns whether the instance can serve requests.
func (h *handlers) GetReadiness(
	ctx context.Context, _ api.GetReadinessRequestObject,
) (api.GetReadinessResponseObject, error) {
	if err := h.ready(ctx); err != nil {
		return nil, server.Reject(server.NotReady).Because(err)
	}
	return api.GetReadiness200JSONResponse{Status: api.HealthStatusOk}, nil
}
