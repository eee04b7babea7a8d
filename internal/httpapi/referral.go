package httpapi

import (
	"context"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/wire"
	"talon.example/internal/registry"
)

// PutReferral writes a referral.
func (h *handlers) PutReferral(
	ctx context.Context, request api.PutReferralRequestObject,
) (api.PutReferralResponseObject, error) {
	body := request.Body
	if refusal := rejectZero(guidField{"directionGuid", request.DirectionGUID}); refusal != nil {
		return nil, refusal
	}
	referral := registry.Referral{
		ID: orDefault(body.ID, 0), Card: body.CardGUID, Type: booking.DirectionType(body.Type), Number: body.Number,
		AccessionNumber: orDefault(body.AccessionNumber, ""), Date: body.Date.Time, DateEnd: body.DateEnd.Time,
		CreatedAt: body.DateCreate, Sender: body.DocPrvdSenderGUID, Reason: orDefault(body.Reason, ""),
		Comment: orDefault(body.Comment, ""), Urgent: orDefault(body.Urgent, false), Flags: orDefault(body.Flags, 0),
		SpecialityCode: orDefault(body.SpecialityCode, ""), SpecialityName: orDefault(body.SpecialityName, ""),
		MkbCode: orDefault(body.MkbCode, ""), MkbName: orDefault(body.MkbName, ""), LpuTo: body.LpuToGUID,
	}
	result, err := h.registry.WriteReferral(ctx, request.LpuGUID, request.DirectionGUID, body.Version, referral)
	if err != nil {
		return nil, err
	}
	return api.PutReferral200JSONResponse(objectResult(request.DirectionGUID, body.Version, result)), nil
}

// WithdrawReferral withdraws a referral.
func (h *handlers) WithdrawReferral(
	ctx context.Context, request api.WithdrawReferralRequestObject,
) (api.WithdrawReferralResponseObject, error) {
	if refusal := rejectZero(guidField{"directionGuid", request.DirectionGUID}); refusal != nil {
		return nil, refusal
	}
	params := request.Params
	result, err := h.registry.WithdrawReferral(
		ctx, request.LpuGUID, request.DirectionGUID, params.Version, onBooked(params.OnBooked),
	)
	if err != nil {
		return nil, err
	}
	return api.WithdrawReferral200JSONResponse(objectResult(request.DirectionGUID, params.Version, result)), nil
}

// GetReferral returns a referral.
func (h *handlers) GetReferral(
	ctx context.Context, request api.GetReferralRequestObject,
) (api.GetReferralResponseObject, error) {
	r, err := h.registry.Referral(ctx, request.LpuGUID, request.DirectionGUID)
	if err != nil {
		return nil, err
	}
	return api.GetReferral200JSONResponse(api.Referral{
		GUID: request.DirectionGUID, Version: wire.NilIfZero(r.Version), ID: r.ID, CardGUID: r.Card,
		Type:   string(r.Type),
		Number: r.Number, AccessionNumber: r.AccessionNumber, Date: openapi_types.Date{Time: r.Date},
		DateEnd: openapi_types.Date{Time: r.DateEnd}, DateCreate: r.CreatedAt, DocPrvdSenderGUID: r.Sender,
		Reason: r.Reason, Comment: r.Comment, Urgent: r.Urgent, Flags: r.Flags, SpecialityCode: r.SpecialityCode,
		SpecialityName: r.SpecialityName, MkbCode: r.MkbCode, MkbName: r.MkbName, LpuToGUID: r.LpuTo,
		Withdrawn: r.Withdrawn,
	}), nil
}
