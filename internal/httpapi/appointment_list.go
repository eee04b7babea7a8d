package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

const appointmentList = "appointments"

// ListAppointments lists the patient's appointments.
func (h *handlers) ListAppointments(
	ctx context.Context, request api.ListAppointmentsRequestObject,
) (api.ListAppointmentsResponseObject, error) {
	wanted, refusal := page(appointmentList, request.Params.Limit, request.Params.Cursor)
	if refusal != nil {
		return nil, refusal
	}
	filter := booking.AppointmentFilter{
		Direction: request.Params.DirectionGUID, Lpu: request.Params.LpuGUID, UpdatedSince: request.Params.UpdatedSince,
	}
	filter.DateFrom, filter.DateTo, refusal = dayRange(request.Params.DateFrom, request.Params.DateTo)
	if refusal != nil {
		return nil, refusal
	}
	for _, status := range orDefault(request.Params.Status, nil) {
		filter.Statuses = append(filter.Statuses, booking.AppointmentStatus(status))
	}
	found, position, err := h.booking.Appointments(ctx, server.Patient(ctx), filter, wanted)
	if err != nil {
		return nil, err
	}
	body := api.AppointmentPage{Items: make([]api.PatientAppointment, len(found))}
	for i := range found {
		body.Items[i] = patientAppointment(&found[i])
	}
	if body.Next, err = next(appointmentList, position); err != nil {
		return nil, err
	}
	return api.ListAppointments200JSONResponse(body), nil
}

// GetAppointment returns one appointment, or 304 if the client's If-None-Match has its entity tag.
func (h *handlers) GetAppointment(
	ctx context.Context, request api.GetAppointmentRequestObject,
) (api.GetAppointmentResponseObject, error) {
	found, err := h.booking.Appointment(ctx, server.Patient(ctx), request.AppointmentGUID)
	if err != nil {
		return nil, err
	}
	body := patientAppointment(found)
	tag, err := entityTag(body)
	if err != nil {
		return nil, err
	}
	if matches(orDefault(request.Params.IfNoneMatch, ""), tag) {
		headers := api.GetAppointment304ResponseHeaders{ETag: tag}
		return api.GetAppointment304Response{Headers: headers}, nil
	}
	return api.GetAppointment200JSONResponse{
		Body: body, Headers: api.GetAppointment200ResponseHeaders{ETag: tag},
	}, nil
}

// entityTag returns the entity tag of a body: a hash of its whole JSON, so that it also changes
// with the clock.
func entityTag(body any) (string, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("encode the body of the entity tag: %w", err)
	}
	sum := sha256.Sum256(text)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`, nil
}

// matches reports whether If-None-Match contains the tag. Weak tags match, too, as HTTP defines for
// this header.
func matches(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
			return true
		}
	}
	return false
}

// patientAppointment returns an appointment in the type of the contract, with times in whole
// seconds.
func patientAppointment(a *booking.PatientAppointment) api.PatientAppointment {
	return api.PatientAppointment{
		GUID:          a.Guid,
		Status:        string(a.Status),
		Start:         a.Start.Truncate(time.Second),
		End:           a.End.Truncate(time.Second),
		CreateTime:    a.CreatedAt.Truncate(time.Second),
		UpdateTime:    a.UpdatedAt.Truncate(time.Second),
		OutOfSchedule: a.OutOfSchedule,
		IsCito:        a.IsCito,
		Comment:       a.Comment,
		Lpu:           wire.LpuPlace(&a.Lpu),
		Preparation:   a.Preparation,
		Resource:      wire.Resource(&a.Resource),
		Direction: api.AppointmentDirection{
			GUID:          a.Direction.Guid,
			HolderLpuGUID: a.Direction.Holder,
			Type:          string(a.Direction.Type),
			Number:        a.Direction.Number,
			Speciality:    api.Speciality{Code: a.Direction.SpecialityCode, Name: a.Direction.SpecialityName},
		},
		Cancellation: cancellation(a.Cancellation),
		Move:         lastMove(a.Move),
	}
}

// lastMove returns the last move of a visit in the type of the contract, nil if there is none.
func lastMove(m *booking.LastMove) *api.Move {
	if m == nil {
		return nil
	}
	return &api.Move{
		Time: m.At.Truncate(time.Second), Initiator: string(m.Initiator), Cause: (*string)(m.Cause), Reason: m.Reason,
	}
}

// cancellation returns the cancellation of a visit as its patient sees it, nil if there is none.
func cancellation(c *booking.Cancellation) *api.Cancellation {
	if c == nil {
		return nil
	}
	return &api.Cancellation{
		Time: c.At.Truncate(time.Second), ReasonCode: c.Code, Reason: c.Text,
		Initiator: (*string)(c.Initiator), Cause: (*string)(c.Cause),
	}
}
