package httpapi

import (
	"context"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/registry"
)

// PutPerson writes a person of the local master patient index.
func (h *handlers) PutPerson(
	ctx context.Context, request api.PutPersonRequestObject,
) (api.PutPersonResponseObject, error) {
	body := request.Body
	if refusal := rejectZero(guidField{"personGuid", request.PersonGUID}); refusal != nil {
		return nil, refusal
	}
	result, err := h.registry.WritePerson(ctx, request.PersonGUID, body.Version, registry.Person{
		Surname: orDefault(body.Surname, ""), Name: orDefault(body.Name, ""),
		Patronymic: orDefault(body.Patronymic, ""), BirthDate: body.BirthDate.Time,
		Sex:          booking.Sex(orDefault(body.Sex, "")),
		Snils:        orDefault(body.Snils, ""),
		PolicySeries: orDefault(body.PolicySeries, ""), PolicyNumber: orDefault(body.PolicyNumber, ""),
	})
	if err != nil {
		return nil, err
	}
	return api.PutPerson200JSONResponse(objectResult(request.PersonGUID, body.Version, result)), nil
}

// DeletePerson deletes a person of the local master patient index.
func (h *handlers) DeletePerson(
	ctx context.Context, request api.DeletePersonRequestObject,
) (api.DeletePersonResponseObject, error) {
	if refusal := rejectZero(guidField{"personGuid", request.PersonGUID}); refusal != nil {
		return nil, refusal
	}
	result, err := h.registry.DeletePerson(ctx, request.PersonGUID, request.Params.Version)
	if err != nil {
		return nil, err
	}
	return api.DeletePerson200JSONResponse(objectResult(request.PersonGUID, request.Params.Version, result)), nil
}

// GetPerson returns a person of the local master patient index.
func (h *handlers) GetPerson(
	ctx context.Context, request api.GetPersonRequestObject,
) (api.GetPersonResponseObject, error) {
	person, err := h.registry.Person(ctx, request.PersonGUID)
	if err != nil {
		return nil, err
	}
	body := api.Person{
		GUID: request.PersonGUID, Version: version(person.Version), Surname: person.Surname, Name: person.Name,
		Patronymic: person.Patronymic, BirthDate: openapi_types.Date{Time: person.BirthDate}, Snils: person.Snils,
		PolicySeries: person.PolicySeries, PolicyNumber: person.PolicyNumber,
	}
	if person.Sex != "" {
		body.Sex = new(string(person.Sex))
	}
	return api.GetPerson200JSONResponse(body), nil
}
