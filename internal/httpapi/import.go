package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/registry"
)

// CreateImport stores a file of messages, which is applied in the background.
func (h *handlers) CreateImport(
	ctx context.Context, request api.CreateImportRequestObject,
) (api.CreateImportResponseObject, error) {
	source := registry.Lines(request.Body)
	if server.MediaType(ctx) == csvType {
		of := orDefault(request.Params.Of, "")
		if of == "" {
			return nil, booking.InvalidField("of", booking.ProblemMissing)
		}
		version := orDefault(request.Params.Version, h.now().UnixMilli())
		var err error
		if source, err = NewCSV(request.Body, of, version); err != nil {
			return nil, err
		}
	}
	caller := server.Caller(ctx)
	owner := registry.ImportOwner{Client: caller.Client, Rights: booking.SystemRights{
		Scopes: caller.Scopes, Lpus: caller.Lpus, EveryLpu: caller.EveryLpu,
	}}
	options := registry.ImportOptions{
		DryRun:  orDefault(request.Params.DryRun, false),
		OnError: registry.OnError(orDefault(request.Params.OnError, api.CreateImportParamsOnError(registry.SkipBad))),
	}
	accepted, err := h.imports.Upload(ctx, owner, options, source)
	if err != nil {
		return nil, err
	}
	return api.CreateImport202JSONResponse{
		Body:    importState(&accepted),
		Headers: api.CreateImport202ResponseHeaders{Location: "/registry/imports/" + accepted.Guid.String()},
	}, nil
}

const csvType = "text/csv"

// GetImport returns the state of an import.
func (h *handlers) GetImport(
	ctx context.Context, request api.GetImportRequestObject,
) (api.GetImportResponseObject, error) {
	found, err := h.imports.Import(ctx, server.Caller(ctx).Client, request.ImportGUID)
	if err != nil {
		return nil, err
	}
	return api.GetImport200JSONResponse(importState(&found)), nil
}

// CancelImport stops an import.
func (h *handlers) CancelImport(
	ctx context.Context, request api.CancelImportRequestObject,
) (api.CancelImportResponseObject, error) {
	found, err := h.imports.Cancel(ctx, server.Caller(ctx).Client, request.ImportGUID)
	if err != nil {
		return nil, err
	}
	return api.CancelImport200JSONResponse(importState(&found)), nil
}

// importCursor is the encoded form of the last line of a page of errors.
type importCursor struct {
	Import uuid.UUID `json:"import"`
	Line   int64     `json:"line"`
}

// ListImportErrors lists the rejected lines of an import.
func (h *handlers) ListImportErrors(
	ctx context.Context, request api.ListImportErrorsRequestObject,
) (api.ListImportErrorsResponseObject, error) {
	position, err := readCursor[importCursor](request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	if request.Params.Cursor != nil && position.Import != request.ImportGUID {
		return nil, invalidCursor(errors.New("the cursor belongs to another import"))
	}
	limit := int(orDefault(request.Params.Limit, defaultLimit))
	found, err := h.imports.Errors(ctx, server.Caller(ctx).Client, request.ImportGUID, position.Line, limit+1)
	if err != nil {
		return nil, err
	}
	var body api.ImportErrorPage
	if len(found) > limit {
		text, err := encodeCursor(importCursor{request.ImportGUID, found[limit-1].Line})
		if err != nil {
			return nil, err
		}
		found, body.Next = found[:limit], &text
	}
	body.Items = make([]api.ImportError, len(found))
	for i := range found {
		body.Items[i].Line = found[i].Line
		if err := json.Unmarshal(found[i].Error, &body.Items[i].Error); err != nil {
			return nil, fmt.Errorf("read the stored error of a line: %w", err)
		}
	}
	return api.ListImportErrors200JSONResponse(body), nil
}

func importState(i *registry.Import) api.Import {
	state := api.Import{
		GUID: i.Guid, State: string(i.State), DryRun: i.DryRun, OnError: string(i.OnError),
		CreatedAt: i.CreatedAt.UTC().Truncate(time.Second),
		Lines: api.ImportLines{
			Total: i.Total, Done: i.Done.Lines, Changed: i.Done.Changed, Failed: i.Done.Failed,
		},
		Cells: api.ImportCells{
			Added: i.Done.CellsAdded, Changed: i.Done.CellsChanged, Withdrawn: i.Done.CellsWithdrawn,
			Unchanged: i.Done.CellsUnchanged, Superseded: i.Done.CellsSuperseded, Conflicts: i.Done.Conflicts,
		},
	}
	if i.FinishedAt != nil {
		state.FinishedAt = new(i.FinishedAt.UTC().Truncate(time.Second))
	}
	if i.Problem != "" {
		state.Problem = new(string(i.Problem))
	}
	return state
}
