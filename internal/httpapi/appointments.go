package httpapi

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// CreateAppointment books an appointment by referral.
func (s *server) CreateAppointment(ctx context.Context, request api.CreateAppointmentRequestObject) (api.CreateAppointmentResponseObject, error) {
	wanted, refusal := bookingRequest(request.Body, s.now())
	if refusal != nil {
		return nil, refusal
	}
	key, err := idempotencyKey(request.Params.IdempotencyKey, "createAppointment", request.Body)
	if err != nil {
		return nil, err
	}
	held, replayed, err := s.booking.Book(ctx, patient(ctx), wanted, key)
	if err != nil {
		return nil, err
	}
	return api.CreateAppointment200JSONResponse{
		Body: appointmentResult(held),
		Headers: api.CreateAppointment200ResponseHeaders{
			XRequestID: requestID(ctx).String(), IdempotencyReplayed: idempotencyReplayed(replayed),
		},
	}, nil
}

// bookingRequest reads what the contract alone cannot decide: guids that are only read sometimes, and dates.
func bookingRequest(body *api.AppointmentRequest, now time.Time) (booking.Request, *booking.Refusal) {
	for _, given := range []struct {
		field string
		guid  uuid.UUID
	}{{"DirectionGuid", body.DirectionGUID}, {"LpuFromGuid", body.LpuFromGUID}, {"LpuToGuid", body.LpuToGUID}} {
		if given.guid == uuid.Nil {
			return booking.Request{}, booking.InvalidField(given.field, zeroGuid)
		}
	}
	place, refusal := placeOf(body, now)
	if refusal != nil {
		return booking.Request{}, refusal
	}
	difficulty := int(orDefault(body.Difficulty, 1))
	if place.OutOfSchedule != nil {
		difficulty = 1 // there are no cells to be adjacent
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

// placeOf reads where to book: out of schedule the resource and the date, else the cell's id, else its guid. What it does not need it does not read.
func placeOf(body *api.AppointmentRequest, now time.Time) (booking.Place, *booking.Refusal) {
	if orDefault(body.OutOfSchedule, false) {
		resource, refusal := readGuid("DocPrvdGuid", body.DocPrvdGUID)
		if refusal != nil {
			return booking.Place{}, refusal
		}
		if body.Date == nil {
			return booking.Place{}, booking.InvalidField("Date", "обязательное поле не указано")
		}
		date, refusal := booking.ParseVisitDate(*body.Date, now)
		if refusal != nil {
			return booking.Place{}, refusal
		}
		return booking.Place{OutOfSchedule: &booking.OutOfSchedule{Resource: resource, Date: date}}, nil
	}
	if body.SlotID != nil {
		return booking.Place{SlotID: *body.SlotID}, nil
	}
	if body.SlotGUID == nil {
		return booking.Place{}, booking.InvalidField("SlotId", "обязательно указание одного из идентификаторов ячейки расписания: SlotId или SlotGuid")
	}
	slot, refusal := readGuid("SlotGuid", body.SlotGUID)
	return booking.Place{SlotGuid: slot}, refusal
}

const zeroGuid = "нулевой guid недопустим"

// readGuid reads a guid that the contract leaves a plain string, because it is not always read.
func readGuid(field string, text *string) (uuid.UUID, *booking.Refusal) {
	if text == nil {
		return uuid.Nil, booking.InvalidField(field, "обязательное поле не указано")
	}
	guid, err := uuid.Parse(*text)
	// The length rules out the other forms that the library reads, such as urn:uuid:….
	if err != nil || len(*text) != len(uuid.Nil.String()) {
		return uuid.Nil, booking.InvalidField(field, "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef")
	}
	if guid == uuid.Nil {
		return uuid.Nil, booking.InvalidField(field, zeroGuid)
	}
	return guid, nil
}

func orDefault[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

// appointmentResult writes a booked referral as the contract has it: of the two referral fields one is filled, by its type.
func appointmentResult(held *booking.HeldDirection) api.AppointmentResult {
	if held.Direction.Type == booking.Laboratory {
		return api.AppointmentResult{Type: api.AppointmentResultTypeLaboratory, LaboratoryDirection: laboratoryDirection(held)}
	}
	return api.AppointmentResult{Type: api.AppointmentResultTypeConsult, ConsultDirection: consultDirection(held)}
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
		Type:              api.LaboratoryDirectionTypeLaboratory,
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

// directionAppointment writes times in whole seconds, as the source does.
func directionAppointment(a booking.Appointment) api.DirectionAppointment {
	return api.DirectionAppointment{
		GUID:       a.Guid,
		Start:      a.Start.Truncate(time.Second),
		End:        a.End.Truncate(time.Second),
		CreateTime: a.CreatedAt.Truncate(time.Second),
	}
}
