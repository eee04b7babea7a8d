package httpapi

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// CreateAppointment books an appointment by referral.
func (h *handlers) CreateAppointment(
	ctx context.Context, request api.CreateAppointmentRequestObject,
) (api.CreateAppointmentResponseObject, error) {
	wanted, refusal := bookingRequest(request.Body, h.now())
	if refusal != nil {
		return nil, refusal
	}
	key, err := idempotencyKey(request.Params.IdempotencyKey, "createAppointment", request.Body)
	if err != nil {
		return nil, err
	}
	held, replayed, err := h.booking.Book(ctx, server.Patient(ctx), wanted, key)
	if err != nil {
		return nil, err
	}
	return api.CreateAppointment200JSONResponse{
		Body:    appointmentResult(held),
		Headers: api.CreateAppointment200ResponseHeaders{IdempotencyReplayed: idempotencyReplayed(replayed)},
	}, nil
}

// bookingRequest reads the fields that the contract alone cannot validate: dates, and guids that
// are read only in some requests.
func bookingRequest(body *api.AppointmentRequest, now time.Time) (booking.Request, *booking.Refusal) {
	given := []guidField{
		{"DirectionGuid", body.DirectionGUID}, {"LpuFromGuid", body.LpuFromGUID}, {"LpuToGuid", body.LpuToGUID},
	}
	if refusal := rejectZero(given...); refusal != nil {
		return booking.Request{}, refusal
	}
	place, refusal := placeOf(body, now)
	if refusal != nil {
		return booking.Request{}, refusal
	}
	difficulty := int(orDefault(body.Difficulty, 1))
	if place.OutOfSchedule != nil {
		difficulty = 1 // there are no cells
	}
	return booking.Request{
		Direction:  body.DirectionGUID,
		Type:       booking.ParseDirectionType(body.DirectionType),
		LpuFrom:    body.LpuFromGUID,
		LpuTo:      body.LpuToGUID,
		Place:      place,
		Difficulty: difficulty,
		Comment:    orDefault(body.VisitComment, ""),
		IsCito:     orDefault(body.IsCito, false),
	}, nil
}

// placeOf reads the place of the visit: out of schedule the resource and the date, else the cell's
// id, else its guid. It does not read the other fields.
func placeOf(body *api.AppointmentRequest, now time.Time) (booking.Place, *booking.Refusal) {
	if orDefault(body.OutOfSchedule, false) {
		resource, refusal := readGuid("DocPrvdGuid", body.DocPrvdGUID)
		if refusal != nil {
			return booking.Place{}, refusal
		}
		if body.Date == nil {
			return booking.Place{}, booking.InvalidField("Date", booking.ProblemMissing)
		}
		date, refusal := booking.ParseVisitDate(*body.Date, now)
		if refusal != nil {
			return booking.Place{}, refusal
		}
		return booking.Place{OutOfSchedule: &booking.OutOfSchedule{Resource: resource, Date: date}}, nil
	}
	return slotPlace(body.SlotID, body.SlotGUID)
}

// slotPlace reads the cell to book: its id, else its guid.
func slotPlace(id *int64, guid *string) (booking.Place, *booking.Refusal) {
	if id != nil {
		return booking.Place{SlotID: *id}, nil
	}
	if guid == nil {
		return booking.Place{}, booking.InvalidField("SlotId", booking.ProblemNoSlot)
	}
	slot, refusal := readGuid("SlotGuid", guid)
	return booking.Place{SlotGuid: slot}, refusal
}

// guidField is a guid of the request with the name of its field or parameter.
type guidField struct {
	name string
	guid uuid.UUID
}

// notZero replaces an optional guid that is not given.
var notZero = uuid.Max

// rejectZero rejects the guids that are zero.
func rejectZero(given ...guidField) *booking.Refusal {
	var zero []booking.FieldProblem
	for _, field := range given {
		if field.guid == uuid.Nil {
			zero = append(zero, booking.FieldProblem{Name: field.name, Problem: booking.ProblemZeroGuid})
		}
	}
	if len(zero) == 0 {
		return nil
	}
	return booking.InvalidFields(zero)
}

// readGuid parses a guid that is a plain string in the contract because it is not always read.
func readGuid(field string, text *string) (uuid.UUID, *booking.Refusal) {
	if text == nil {
		return uuid.Nil, booking.InvalidField(field, booking.ProblemMissing)
	}
	guid, err := uuid.Parse(*text)
	// The length excludes other forms that the library accepts, such as urn:uuid:….
	if err != nil || len(*text) != len(uuid.Nil.String()) {
		return uuid.Nil, booking.InvalidField(field, booking.ProblemNotGuid)
	}
	if guid == uuid.Nil {
		return uuid.Nil, booking.InvalidField(field, booking.ProblemZeroGuid)
	}
	return guid, nil
}

func orDefault[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

// appointmentResult returns a booked referral in the type of the contract. Its type decides which
// of the two referral fields is set.
func appointmentResult(held *booking.HeldDirection) api.AppointmentResult {
	if held.Direction.Type == booking.Laboratory {
		return api.AppointmentResult{
			Type: api.DirectionTypeLaboratory, LaboratoryDirection: laboratoryDirection(held),
		}
	}
	return api.AppointmentResult{Type: api.DirectionTypeConsult, ConsultDirection: consultDirection(held)}
}

func consultDirection(held *booking.HeldDirection) *api.ConsultDirection {
	d := held.Direction
	return &api.ConsultDirection{
		ID:                strconv.FormatInt(held.ID, 10),
		GUID:              d.Guid,
		Number:            d.Number,
		Date:              d.Date,
		DocPrvdSenderGUID: orDefault(d.Sender, uuid.Nil),
		MkabGUID:          held.Mkab,
		Reason:            d.Reason,
		SpecialityCode:    d.SpecialityCode,
		SpecialityName:    d.SpecialityName,
		MkbCode:           d.MkbCode,
		MkbName:           d.MkbName,
		LpuFromGUID:       d.LpuFrom,
		LpuToGUID:         held.LpuTo,
		Appointment:       directionAppointment(held.Appointment),
	}
}

func laboratoryDirection(held *booking.HeldDirection) *api.LaboratoryDirection {
	d := held.Direction
	return &api.LaboratoryDirection{
		ID:                strconv.FormatInt(held.ID, 10),
		GUID:              d.Guid,
		Number:            d.Number,
		Type:              api.DirectionTypeLaboratory,
		AccessionNumber:   d.AccessionNumber,
		Date:              d.Date,
		DateCreate:        d.CreatedAt.Truncate(time.Second),
		DateEnd:           d.DateEnd,
		Flags:             d.Flags,
		Urgent:            d.Urgent,
		Comment:           d.Comment,
		DocPrvdSenderGUID: orDefault(d.Sender, uuid.Nil),
		MkabGUID:          held.Mkab,
		LpuFromGUID:       d.LpuFrom,
		LpuToGUID:         held.LpuTo,
		Appointment:       directionAppointment(held.Appointment),
	}
}

// directionAppointment returns times in whole seconds, as the source does.
func directionAppointment(a booking.Appointment) api.DirectionAppointment {
	return api.DirectionAppointment{
		GUID:       a.Guid,
		Start:      a.Start.Truncate(time.Second),
		End:        a.End.Truncate(time.Second),
		CreateTime: a.CreatedAt.Truncate(time.Second),
	}
}
