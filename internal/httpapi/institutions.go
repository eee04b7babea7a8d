package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

// ListDirectionInstitutions lists the institutions that have cells for a referral.
func (h *handlers) ListDirectionInstitutions(
	ctx context.Context, request api.ListDirectionInstitutionsRequestObject,
) (api.ListDirectionInstitutionsResponseObject, error) {
	position, err := readCursor[institutionCursor](request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	limit := int(orDefault(request.Params.Limit, defaultLimit))
	found, next, err := h.booking.Institutions(
		ctx, server.Patient(ctx), request.DirectionGUID, limit, position.Institution)
	if err != nil {
		return nil, err
	}
	body := api.InstitutionPage{Items: make([]api.ServingInstitution, len(found))}
	for i := range found {
		body.Items[i] = servingInstitution(&found[i])
	}
	if next != nil {
		text, err := encodeCursor(institutionCursor{*next})
		if err != nil {
			return nil, err
		}
		body.Next = &text
	}
	return api.ListDirectionInstitutions200JSONResponse(body), nil
}

// institutionCursor is the encoded form of the last institution of a page.
type institutionCursor struct {
	Institution uuid.UUID `json:"institution"`
}

func servingInstitution(s *booking.ServingLpu) api.ServingInstitution {
	institution := api.ServingInstitution{Lpu: wire.LpuPlace(&s.LpuPlace), BlockedBy: slotRefusal(s.BlockedBy)}
	if s.NextAvailable != nil {
		institution.NextAvailable = new(s.NextAvailable.Truncate(time.Second))
	}
	return institution
}
