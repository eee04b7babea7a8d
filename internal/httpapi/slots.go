package httpapi

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

// ListDirectionSlots lists the cells that can be booked with a referral, or that a visit can be
// moved to.
func (h *handlers) ListDirectionSlots(
	ctx context.Context, request api.ListDirectionSlotsRequestObject,
) (api.ListDirectionSlotsResponseObject, error) {
	search, refusal := slotSearch(request, h.now())
	if refusal != nil {
		return nil, refusal
	}
	page, err := h.booking.Slots(ctx, server.Patient(ctx), search)
	if err != nil {
		return nil, err
	}
	body := api.SlotPage{
		DirectionGUID: request.DirectionGUID,
		DirectionType: string(page.Type),
		HolderLpuGUID: page.Holder,
		Items:         make([]api.Slot, len(page.Slots)),
		BlockedBy:     slotRefusal(page.BlockedBy),
	}
	for i := range page.Slots {
		body.Items[i] = slot(&page.Slots[i])
	}
	if body.Next, err = nextSlots(page.Next); err != nil {
		return nil, err
	}
	if page.NextAvailable != nil {
		start := page.NextAvailable.Truncate(time.Second)
		body.NextAvailable = &start
	}
	return api.ListDirectionSlots200JSONResponse(body), nil
}

// slotSearch reads the parameters. It rejects those that the contract alone cannot validate: days
// and the cursor.
func slotSearch(request api.ListDirectionSlotsRequestObject, now time.Time) (booking.SlotSearch, *booking.Refusal) {
	params := request.Params
	search := booking.SlotSearch{
		Direction:   request.DirectionGUID,
		Appointment: params.AppointmentGUID,
		Lpu:         params.LpuGUID,
		Resource:    params.ResourceGUID,
		Difficulty:  int(orDefault(params.Difficulty, 0)),
		Explain:     orDefault(params.Explain, false),
		Limit:       int(orDefault(params.Limit, defaultLimit)),
	}
	var refusal *booking.Refusal
	search.From, search.To, refusal = dayRange(params.DateFrom, params.DateTo)
	if refusal != nil || params.Cursor == nil {
		return search, refusal
	}
	search.After, refusal = readSlotCursor(*params.Cursor, now)
	return search, refusal
}

// slotCursor is the encoded form of a booking.SlotCursor. Times are in microseconds, the precision
// of the database.
type slotCursor struct {
	Began int64     `json:"b"`
	Start int64     `json:"s"`
	Lpu   uuid.UUID `json:"l"`
	Slot  uuid.UUID `json:"c"`
}

// nextSlots returns the cursor of the next page, or nil if there is none.
func nextSlots(cursor *booking.SlotCursor) (*string, error) {
	if cursor == nil {
		return nil, nil //nolint:nilnil // null on the wire
	}
	text, err := encodeCursor(slotCursor{cursor.Began.UnixMicro(), cursor.Start.UnixMicro(), cursor.Lpu, cursor.Slot})
	return &text, err
}

// readSlotCursor decodes a cursor of nextSlots. It rejects a cursor whose search began further from
// now than booking.VisitDateHorizon.
func readSlotCursor(text string, now time.Time) (*booking.SlotCursor, *booking.Refusal) {
	read, err := decodeCursor[slotCursor](text)
	if err != nil {
		return nil, invalidCursor(err)
	}
	began := time.UnixMicro(read.Began)
	if began.Sub(now).Abs() > booking.VisitDateHorizon {
		return nil, invalidCursor(errors.New("the start of the search is out of range"))
	}
	return &booking.SlotCursor{Began: began, Start: time.UnixMicro(read.Start), Lpu: read.Lpu, Slot: read.Slot}, nil
}

// slotRefusal returns a refusal of every cell in the type of the contract, nil for nil.
func slotRefusal(refusal *booking.Refusal) *api.SlotRefusal {
	if refusal == nil {
		return nil
	}
	return &api.SlotRefusal{Rule: string(refusal.Rule), Message: refusal.Message}
}

func slot(o *booking.OfferedSlot) api.Slot {
	first := o.Cells[0]
	slot := api.Slot{
		ID:              o.ID,
		GUID:            first.Guid,
		Start:           o.Start().Truncate(time.Second),
		End:             o.End().Truncate(time.Second),
		Lpu:             wire.LpuPlace(&o.Lpu.LpuPlace),
		Resource:        wire.Resource(o.Resource),
		Capacity:        o.Capacity(),
		Left:            o.Left(),
		Restriction:     string(first.Restriction),
		RestrictionText: restrictionTexts[first.Restriction],
		Status:          slotStatus(o.Refusal),
	}
	if o.Refusal != nil {
		rule := string(o.Refusal.Rule)
		slot.Rule, slot.Message = &rule, &o.Refusal.Message
	}
	return slot
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

// slotStatus returns the short form of the rule that rejects the cell.
func slotStatus(refusal *booking.Refusal) string {
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
