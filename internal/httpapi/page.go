package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// defaultLimit is how many items a page has where the client does not say.
const defaultLimit = 20

// cursor is a position in a list on the wire, opaque to clients. It says where to go on, never whose list it is: that the token says alone.
type cursor struct {
	List string    `json:"list"`
	At   time.Time `json:"at"`
	Guid uuid.UUID `json:"guid"`
	Lpu  uuid.UUID `json:"lpu"`
}

// page reads the parameters of a page of a list.
func page(list string, limit *int32, text *string) (booking.Page, *booking.Refusal) {
	wanted := booking.Page{Limit: int(orDefault(limit, defaultLimit))}
	if text == nil {
		return wanted, nil
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(*text)
	if err == nil {
		var after cursor
		decoder := json.NewDecoder(bytes.NewReader(decoded))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&after)
		if _, rest := decoder.Token(); err == nil && (after.List != list || !errors.Is(rest, io.EOF)) {
			err = errors.New("it is of another list")
		}
		wanted.After = &booking.Position{At: after.At, Guid: after.Guid, Lpu: after.Lpu}
	}
	if err != nil {
		return booking.Page{}, booking.InvalidField("cursor", "ожидается значение next предыдущей страницы").Because(err)
	}
	return wanted, nil
}

// next writes the cursor of the next page, nil where there is none.
func next(list string, position *booking.Position) (*string, error) {
	if position == nil {
		return nil, nil //nolint:nilnil // null on the wire
	}
	encoded, err := json.Marshal(cursor{list, position.At.UTC(), position.Guid, position.Lpu})
	if err != nil {
		return nil, err
	}
	text := base64.RawURLEncoding.EncodeToString(encoded)
	return &text, nil
}
