package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// defaultLimit is the page size if the client sends none.
const defaultLimit = 50

// encodeCursor encodes a position in a list as text that is opaque to clients.
func encodeCursor[T any](position T) (string, error) {
	encoded, err := json.Marshal(position)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(encoded), nil
}

var errNotEncoded = errors.New("the cursor was not encoded by this service")

// decodeCursor decodes a text of encodeCursor. It returns an error for any other text.
func decodeCursor[T any](text string) (T, error) {
	var position T
	encoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return position, err
	}
	if err := json.Unmarshal(encoded, &position); err != nil {
		return position, err
	}
	if again, err := encodeCursor(position); err != nil || again != text {
		return position, errors.Join(errNotEncoded, err)
	}
	return position, nil
}

// readCursor decodes an optional cursor. Without one, it returns the zero position, before the
// first item. It rejects a text that is no cursor.
func readCursor[T any](text *string) (position T, _ error) {
	if text == nil {
		return position, nil
	}
	position, err := decodeCursor[T](*text)
	if err != nil {
		return position, invalidCursor(err)
	}
	return position, nil
}

func invalidCursor(err error) *booking.Refusal {
	return booking.InvalidField("cursor", booking.ProblemNotCursor).Because(err)
}

// pageCursor is the encoded form of a booking.Position. It contains the list but not the patient,
// who is known only from the token.
type pageCursor struct {
	List string    `json:"list"`
	At   time.Time `json:"at"` // in UTC
	Guid uuid.UUID `json:"guid"`
	Lpu  uuid.UUID `json:"lpu"`
}

// page reads the page parameters of a list.
func page(list string, limit *int32, text *string) (booking.Page, *booking.Refusal) {
	wanted := booking.Page{Limit: int(orDefault(limit, defaultLimit))}
	if text == nil {
		return wanted, nil
	}
	cursor, err := decodeCursor[pageCursor](*text)
	if err == nil && cursor.List != list {
		err = errors.New("the cursor belongs to another list")
	}
	if err != nil {
		return booking.Page{}, invalidCursor(err)
	}
	wanted.After = &booking.Position{At: cursor.At, Guid: cursor.Guid, Lpu: cursor.Lpu}
	return wanted, nil
}

// next returns the cursor of the next page, or nil if there is none.
func next(list string, position *booking.Position) (*string, error) {
	if position == nil {
		return nil, nil //nolint:nilnil // null on the wire
	}
	text, err := encodeCursor(pageCursor{list, position.At.UTC(), position.Guid, position.Lpu})
	return &text, err
}
