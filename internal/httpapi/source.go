package httpapi

import (
	"context"
	"time"

	"talon.example/gen/api"
	"talon.example/internal/registry"
)

// ListSources lists the state of an institution's schedules.
func (h *handlers) ListSources(
	ctx context.Context, request api.ListSourcesRequestObject,
) (api.ListSourcesResponseObject, error) {
	position, err := readCursor[resourceCursor](request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	limit := int(orDefault(request.Params.Limit, defaultLimit))
	found, summary, next, err := h.registry.Sources(ctx, request.LpuGUID, position.Resource, limit)
	if err != nil {
		return nil, err
	}
	body := api.SourcePage{Items: make([]api.SourceStatus, len(found)), Summary: api.SourceSummary{
		Resources: int32(summary.Resources), OldestConfirmedAt: seconds(summary.OldestConfirmedAt),
	}}
	for i := range found {
		body.Items[i] = sourceStatus(&found[i])
	}
	if next != nil {
		text, err := encodeCursor(resourceCursor{*next})
		if err != nil {
			return nil, err
		}
		body.Next = &text
	}
	return api.ListSources200JSONResponse(body), nil
}

func sourceStatus(source *registry.Source) api.SourceStatus {
	status := api.SourceStatus{
		ResourceGUID: source.Resource, Version: source.Version, ConfirmedAt: source.ConfirmedAt.Truncate(time.Second),
		LagSeconds: int64(source.Lag / time.Second), OpenConflicts: int32(source.OpenConflicts),
	}
	if last := source.LastError; last != nil {
		status.LastError = &api.SourceError{At: last.At.Truncate(time.Second), Rule: string(last.Rule)}
	}
	return status
}

// seconds returns the moment in whole seconds, or nil.
func seconds(moment *time.Time) *time.Time {
	if moment == nil {
		return nil
	}
	return new(moment.Truncate(time.Second))
}
