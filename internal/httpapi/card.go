package httpapi

import (
	"context"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/wire"
	"talon.example/internal/registry"
)

// PutCard writes a medical card.
func (h *handlers) PutCard(ctx context.Context, request api.PutCardRequestObject) (api.PutCardResponseObject, error) {
	body := request.Body
	if refusal := rejectZero(
		guidField{"cardGuid", request.CardGUID}, guidField{"PersonGuid", body.PersonGUID},
	); refusal != nil {
		return nil, refusal
	}
	card := registry.Card{
		Person: body.PersonGUID, Surname: body.Surname, Name: body.Name, Patronymic: orDefault(body.Patronymic, ""),
		BirthDate: body.BirthDate.Time, Sex: booking.Sex(body.Sex), Snils: orDefault(body.Snils, ""),
		Disabled: orDefault(body.Disabled, false), Pregnant: orDefault(body.Pregnant, false), Closed: body.Closed,
	}
	for _, policy := range orDefault(body.Policies, nil) {
		card.Policies = append(card.Policies, registry.Policy{
			Series: orDefault(policy.Series, ""), Number: policy.Number,
		})
	}
	result, err := h.registry.WriteCard(ctx, request.LpuGUID, request.CardGUID, body.Version, card)
	if err != nil {
		return nil, err
	}
	return api.PutCard200JSONResponse(objectResult(request.CardGUID, body.Version, result)), nil
}

// MergeCard merges a medical card into another one.
func (h *handlers) MergeCard(
	ctx context.Context, request api.MergeCardRequestObject,
) (api.MergeCardResponseObject, error) {
	body := request.Body
	result, err := h.registry.MergeCard(ctx, request.LpuGUID, request.CardGUID, body.Version, body.IntoCardGUID)
	if err != nil {
		return nil, err
	}
	return api.MergeCard200JSONResponse(objectResult(request.CardGUID, body.Version, result)), nil
}

// GetCard returns a medical card.
func (h *handlers) GetCard(ctx context.Context, request api.GetCardRequestObject) (api.GetCardResponseObject, error) {
	card, err := h.registry.Card(ctx, request.LpuGUID, request.CardGUID)
	if err != nil {
		return nil, err
	}
	policies := make([]api.CardPolicy, len(card.Policies))
	for i, policy := range card.Policies {
		policies[i] = api.CardPolicy{Series: policy.Series, Number: policy.Number}
	}
	return api.GetCard200JSONResponse(api.Card{
		GUID: request.CardGUID, Version: wire.NilIfZero(card.Version), PersonGUID: card.Person, Surname: card.Surname,
		Name: card.Name, Patronymic: card.Patronymic, BirthDate: openapi_types.Date{Time: card.BirthDate},
		Sex: string(card.Sex), Snils: card.Snils, Disabled: card.Disabled, Pregnant: card.Pregnant,
		Policies: policies, Closed: card.Closed, MergedInto: card.MergedInto,
	}), nil
}

// day returns an optional day of a response, timeOf one of a request.
func day(of *time.Time) *openapi_types.Date {
	if of == nil {
		return nil
	}
	return &openapi_types.Date{Time: *of}
}

func timeOf(day *openapi_types.Date) *time.Time {
	if day == nil {
		return nil
	}
	return &day.Time
}
