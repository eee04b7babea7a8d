package httpapi

import (
	"context"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// GetLiveness answers as long as the process can.
func (s *server) GetLiveness(ctx context.Context, _ api.GetLivenessRequestObject) (api.GetLivenessResponseObject, error) {
	return api.GetLiveness200JSONResponse{
		Body:    api.Health{Status: api.HealthStatusOk},
		Headers: api.GetLiveness200ResponseHeaders{XRequestID: requestID(ctx).String()},
	}, nil
}

// GetReadiness tells whether requests should be sent here.
func (s *server) GetReadiness(ctx context.Context, _ api.GetReadinessRequestObject) (api.GetReadinessResponseObject, error) {
	if err := s.ready(ctx); err != nil {
		return nil, booking.Refuse(booking.NotReady).Because(err)
	}
	return api.GetReadiness200JSONResponse{
		Body:    api.Health{Status: api.HealthStatusOk},
		Headers: api.GetReadiness200ResponseHeaders{XRequestID: requestID(ctx).String()},
	}, nil
}
