package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// defaultSlots is how many cells a page has where the client does not say.
const defaultSlots = 50

// ListDirectionSlots lists the cells that can be booked with a referral, or that a visit can be moved to.
func (s *server) ListDirectionSlots(ctx context.Context, request api.ListDirectionSlotsRequestObject) (api.ListDirectionSlotsResponseObject, error) {
	search, refusal := slotSearch(request, s.now())
	if refusal != nil {
		return nil, refusal
	}
	page, err := s.booking.Slots(ctx, patient(ctx), search)
	if err != nil {
		return nil, err
	}
	body := api.SlotPage{
		DirectionGUID: request.DirectionGUID,
		DirectionType: api.SlotPageDirectionType(page.Type),
		HolderLpuGUID: page.Holder,
		Items:         make([]api.Slot, len(page.Slots)),
		Next:          slotCursorText(page.Next),
	}
	for i := range page.Slots {
		body.Items[i] = slot(&page.Slots[i])
	}
	if page.BlockedBy != nil {
		body.BlockedBy = &api.SlotRefusal{Rule: api.Rule(page.BlockedBy.Rule), Message: page.BlockedBy.Message}
	}
	if page.NextAvailable != nil {
		start := page.NextAvailable.Truncate(time.Second)
		body.NextAvailable = &start
	}
	return api.ListDirectionSlots200JSONResponse{
		Body:    body,
		Headers: api.ListDirectionSlots200ResponseHeaders{XRequestID: requestID(ctx).String()},
	}, nil
}

// slotSearch reads what the contract alone cannot decide: dates and the cursor.
func slotSearch(request api.ListDirectionSlotsRequestObject, now time.Time) (booking.SlotSearch, *booking.Refusal) {
	params := request.Params
	search := booking.SlotSearch{
		Direction:   request.DirectionGUID,
		Appointment: params.AppointmentGUID,
		Lpu:         params.LpuGUID,
		Resource:    params.ResourceGUID,
		Difficulty:  int(orDefault(params.Difficulty, 0)),
		Explain:     orDefault(params.Explain, false),
		Limit:       int(orDefault(params.Limit, defaultSlots)),
	}
	for _, given := range []struct {
		field string
		text  *string
		date  **booking.VisitDate
	}{{"dateFrom", params.DateFrom, &search.From}, {"dateTo", params.DateTo, &search.To}} {
		if given.text == nil {
			continue
		}
		date, refusal := booking.ParseDate(given.field, *given.text, now)
		if refusal != nil {
			return search, refusal
		}
		*given.date = &date
	}
	if params.Cursor == nil {
		return search, nil
	}
	var refusal *booking.Refusal
	search.After, refusal = readSlotCursor(*params.Cursor, now)
	return search, refusal
}

// slotCursor is booking.SlotCursor on the wire, opaque to clients; times are in microseconds, as the database has them.
type slotCursor struct {
	Began int64  `json:"b"`
	Start int64  `json:"s"`
	Lpu   string `json:"l"`
	Slot  string `json:"c"`
}

func slotCursorText(cursor *booking.SlotCursor) *string {
	if cursor == nil {
		return nil
	}
	written := slotCursor{cursor.Began.UnixMicro(), cursor.Start.UnixMicro(), cursor.Lpu.String(), cursor.Slot.String()}
	encoded, _ := json.Marshal(written) //nolint:errchkjson // numbers and texts cannot fail
	text := base64.RawURLEncoding.EncodeToString(encoded)
	return &text
}

// readSlotCursor reads what slotCursorText has written; what it cannot have written is refused.
func readSlotCursor(text string, now time.Time) (*booking.SlotCursor, *booking.Refusal) {
	var read slotCursor
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(decoded, &read)
	}
	lpu, lpuErr := uuid.Parse(read.Lpu)
	slot, slotErr := uuid.Parse(read.Slot)
	cursor := &booking.SlotCursor{Began: time.UnixMicro(read.Began), Start: time.UnixMicro(read.Start), Lpu: lpu, Slot: slot}
	if err := errors.Join(err, lpuErr, slotErr); err != nil || *slotCursorText(cursor) != text || cursor.Began.Sub(now).Abs() > booking.VisitDateHorizon {
		return nil, booking.InvalidField("cursor", "ожидается значение next предыдущей страницы").Because(err)
	}
	return cursor, nil
}

func slot(o *booking.OfferedSlot) api.Slot {
	first := o.Cells[0]
	slot := api.Slot{
		ID:              o.ID,
		GUID:            first.Guid,
		Start:           o.Start().Truncate(time.Second),
		End:             o.End().Truncate(time.Second),
		Lpu:             api.LpuPlace{GUID: o.Lpu.Guid, Name: o.Lpu.Name, TimeZone: o.Lpu.Zone.String()},
		Resource:        resource(o.Resource),
		Capacity:        o.Capacity(),
		Left:            o.Left(),
		Restriction:     api.SlotRestriction(first.Restriction),
		RestrictionText: restrictionTexts[first.Restriction],
		Status:          slotStatus(o.Refusal),
	}
	if o.Refusal != nil {
		rule := api.Rule(o.Refusal.Rule)
		slot.Rule, slot.Message = &rule, &o.Refusal.Message
	}
	return slot
}

func resource(r *booking.Resource) api.Resource {
	return api.Resource{GUID: r.Guid, Kind: api.ResourceKind(r.Kind), Name: r.Name, SpecialityCode: r.SpecialityCode}
}

var restrictionTexts = map[booking.Restriction]string{
	booking.Unrestricted:        "Без ограничений",
	booking.AdultsOnly:          "Только для взрослых (с 18 лет)",
	booking.ChildrenOnly:        "Только для детей (до 18 лет)",
	booking.InfantsOnly:         "Только для детей до 1 года",
	booking.DisabledOnly:        "Только для пациентов с ограниченными возможностями",
	booking.PregnantOnly:        "Только для беременных",
	booking.HealthyChildrenOnly: "Только для здоровых детей (до 18 лет, без открытого случая лечения)",
}

// slotStatus tells in one word what the rule tells in full.
func slotStatus(refusal *booking.Refusal) api.SlotStatus {
	if refusal == nil {
		return api.SlotStatusAvailable
	}
	switch refusal.Rule {
	case booking.SlotFull:
		return api.SlotStatusBooked
	case booking.SlotTimePassed:
		return api.SlotStatusExpired
	case booking.SlotAccessDenied:
		return api.SlotStatusUnauthorized
	default:
		return api.SlotStatusUnavailable
	}
}
