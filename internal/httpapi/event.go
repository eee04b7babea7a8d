package httpapi

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/events"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

const (
	defaultEvents = 100
	endOfFeed     = "latest"
)

// latestPlace is the last time of a place that the database can store, in microseconds since 1970.
const latestPlace = 7_258_118_400_000_000 // the year 2200

// eventCursor is the encoded form of a place in the feed.
type eventCursor struct {
	At       int64 `json:"at"` // microseconds since 1970
	Position int64 `json:"n"`
}

// ListEvents returns the events of the caller's institutions after a place.
func (h *handlers) ListEvents(
	ctx context.Context, request api.ListEventsRequestObject,
) (api.ListEventsResponseObject, error) {
	params := request.Params
	wanted := events.Request{
		Limit: int(orDefault(params.Limit, defaultEvents)),
		Wait:  time.Duration(orDefault(params.Wait, 0)) * time.Second,
	}
	caller := server.Caller(ctx)
	wanted.Rights = booking.SystemRights{Lpus: caller.Lpus, EveryLpu: caller.EveryLpu}
	if lpu := params.LpuGUID; lpu != nil {
		if err := h.rejectLpu(ctx, guidField{"lpuGuid", *lpu}); err != nil {
			return nil, err
		}
		wanted.Rights = booking.SystemRights{Lpus: []uuid.UUID{*lpu}}
	}
	wanted.Types = eventTypes(params.Type)
	switch after := params.After; {
	case after == nil:
	case *after == endOfFeed:
		end, err := h.feed.End(ctx)
		if err != nil {
			return nil, err
		}
		return eventPage(events.Page{Next: end})
	default:
		cursor, err := decodeCursor[eventCursor](*after)
		if err == nil && (cursor.At < 0 || cursor.At > latestPlace || cursor.Position < 0) {
			err = errNotEncoded
		}
		if err != nil {
			return nil, booking.InvalidField("after", booking.ProblemNotCursor).Because(err)
		}
		wanted.After = &events.Place{RecordedAt: time.UnixMicro(cursor.At), Position: cursor.Position}
	}
	page, err := h.feed.Read(ctx, wanted)
	if err != nil {
		return nil, err
	}
	return eventPage(page)
}

// rejectLpu returns an error unless the caller acts for an institution, which it has chosen by a
// parameter or a field, and the institution exists.
func (h *handlers) rejectLpu(ctx context.Context, lpu guidField) error {
	if refusal := rejectZero(lpu); refusal != nil {
		return refusal
	}
	if caller := server.Caller(ctx); !caller.ActsFor(lpu.guid) {
		return server.Reject(server.InstitutionForeign)
	}
	_, err := h.registry.Lpu(ctx, lpu.guid)
	return err
}

// eventTypes returns the types of the events that a client application wants, each once, none for
// all.
func eventTypes[T ~string](names *[]T) (types []events.Type) {
	for _, name := range orDefault(names, nil) {
		if known := events.Type(name); !slices.Contains(types, known) {
			types = append(types, known)
		}
	}
	return types
}

func eventPage(page events.Page) (api.ListEventsResponseObject, error) {
	body := api.EventPage{Items: make([]api.Event, len(page.Events)), More: page.More}
	for i := range page.Events {
		body.Items[i] = event(&page.Events[i])
	}
	var err error
	body.Next, err = encodeCursor(eventCursor{page.Next.RecordedAt.UnixMicro(), page.Next.Position})
	return api.ListEvents200JSONResponse(body), err
}

// event returns an event as a CloudEvent. Its subject is the object of its type.
func event(e *events.Event) api.Event {
	var subject uuid.UUID
	switch kind, _, _ := strings.Cut(string(e.Type), "."); kind {
	case "appointment":
		subject = e.Appointment
	case "referral":
		subject = e.Direction
	default:
		subject = e.Resource
	}
	return api.Event{
		Specversion: "1.0", ID: strconv.FormatInt(e.Position, 10), Source: "/lpus/" + e.Lpu.String(),
		Type: string(e.Type),
		Time: e.At.UTC(), Subject: subject.String(), Sequence: fmt.Sprintf("%020d", e.Sequence),
		Datacontenttype: "application/json",
		Data: api.EventData{
			LpuGUID: e.Lpu, AppointmentGUID: wire.NilIfZero(e.Appointment), DirectionGUID: wire.NilIfZero(e.Direction),
			ResourceGUID: wire.NilIfZero(e.Resource), From: utc(e.From), To: utc(e.To),
			Version: wire.NilIfZero(e.Version),
		},
	}
}

// utc returns a moment in UTC, or nil for the zero time.
func utc(moment time.Time) *time.Time {
	if moment.IsZero() {
		return nil
	}
	return new(moment.UTC())
}
