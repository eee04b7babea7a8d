package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// storedVersion is the version of the documents that this build stores. It goes up when the meaning of a field changes; a field more needs no new version.
const storedVersion = 1

// storedResponse is the document that idempotency_key.answer holds: what was done, and the response to it. Instances of two releases read each other's, so
// its names are written down here (testdata/stored_response.json) and do not follow those of the Go code. A document of another version, or one that lacks a
// field of this one, is not read; the response is made from the tables instead.
type storedResponse struct {
	Version         int             `json:"version"`
	Cancelled       bool            `json:"cancelled"`        // a cancel, which has no more to tell
	AppointmentGuid uuid.UUID       `json:"appointment_guid"` // the same in every version: with it the visit is found in the tables
	Held            storedDirection `json:"held"`
}

// storedDirection is booking.HeldDirection. Times are RFC 3339 with the institution's offset.
type storedDirection struct {
	ID              int64      `json:"id"`
	LpuToHeld       uuid.UUID  `json:"held_lpu_guid"`
	Mkab            uuid.UUID  `json:"mkab_guid"`
	Guid            uuid.UUID  `json:"guid"`
	Type            string     `json:"type"`
	Number          string     `json:"number"`
	AccessionNumber string     `json:"accession_number"`
	Date            time.Time  `json:"date"`
	DateEnd         time.Time  `json:"date_end"`
	CreatedAt       time.Time  `json:"created_at"`
	Sender          *uuid.UUID `json:"sender_guid"`
	Reason          string     `json:"reason"`
	Comment         string     `json:"comment"`
	Urgent          bool       `json:"urgent"`
	Flags           int32      `json:"flags"`
	SpecialityCode  string     `json:"speciality_code"`
	SpecialityName  string     `json:"speciality_name"`
	MkbCode         string     `json:"mkb_code"`
	MkbName         string     `json:"mkb_name"`
	LpuFrom         uuid.UUID  `json:"lpu_from_guid"`
	LpuTo           *uuid.UUID `json:"lpu_to_guid"`
	Start           time.Time  `json:"visit_start"`
	End             time.Time  `json:"visit_end"`
	BookedAt        time.Time  `json:"visit_created_at"`
}

// newStoredResponse returns the document of a response; nil is that of a cancel.
func newStoredResponse(held *booking.HeldDirection) storedResponse {
	if held == nil {
		return storedResponse{Version: storedVersion, Cancelled: true}
	}
	d, a := held.Direction, held.Appointment
	return storedResponse{Version: storedVersion, AppointmentGuid: a.Guid, Held: storedDirection{
		ID: held.ID, LpuToHeld: held.LpuTo, Mkab: held.Mkab, Guid: d.Guid, Type: string(d.Type), Number: d.Number, AccessionNumber: d.AccessionNumber,
		Date: d.Date, DateEnd: d.DateEnd, CreatedAt: d.CreatedAt, Sender: d.Sender, Reason: d.Reason, Comment: d.Comment, Urgent: d.Urgent, Flags: d.Flags,
		SpecialityCode: d.SpecialityCode, SpecialityName: d.SpecialityName, MkbCode: d.MkbCode, MkbName: d.MkbName, LpuFrom: d.LpuFrom, LpuTo: d.LpuTo,
		Start: a.Start, End: a.End, BookedAt: a.CreatedAt,
	}}
}

// heldDirection is the response that was stored.
func (r *storedResponse) heldDirection() *booking.HeldDirection {
	d := r.Held
	return &booking.HeldDirection{
		ID: d.ID, LpuTo: d.LpuToHeld, Mkab: d.Mkab,
		Direction: booking.Direction{
			Guid: d.Guid, Type: booking.DirectionType(d.Type), Number: d.Number, AccessionNumber: d.AccessionNumber, Date: d.Date, DateEnd: d.DateEnd,
			CreatedAt: d.CreatedAt, Sender: d.Sender, Reason: d.Reason, Comment: d.Comment, Urgent: d.Urgent, Flags: d.Flags, SpecialityCode: d.SpecialityCode,
			SpecialityName: d.SpecialityName, MkbCode: d.MkbCode, MkbName: d.MkbName, LpuFrom: d.LpuFrom, LpuTo: d.LpuTo,
		},
		Appointment: booking.Appointment{Guid: r.AppointmentGuid, Start: d.Start, End: d.End, CreatedAt: d.BookedAt},
	}
}

// replay returns the response in a stored document, nil for that of a cancel. Where this build cannot read the document the response is made from the visit as
// it is in the tables now.
func (s *Store) replay(ctx context.Context, patient booking.Patient, document []byte) (*booking.HeldDirection, error) {
	var done struct { // what every version says
		Cancelled       bool      `json:"cancelled"`
		AppointmentGuid uuid.UUID `json:"appointment_guid"`
	}
	if err := json.Unmarshal(document, &done); err != nil {
		return nil, fmt.Errorf("read a stored response: %w", err)
	}
	if done.Cancelled {
		return nil, nil //nolint:nilnil // a cancel has no more to tell
	}
	var stored storedResponse
	if err := json.Unmarshal(document, &stored); err == nil && stored.Version == storedVersion && isComplete(document) {
		return stored.heldDirection(), nil
	}
	return read(ctx, s, func(known *reference) (*booking.HeldDirection, error) {
		return s.visitNow(ctx, known, patient, done.AppointmentGuid)
	})
}

// storedFields are the names of the fields of a storedDirection.
var storedFields = func() map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	empty, err := json.Marshal(storedDirection{})
	if err := errors.Join(err, json.Unmarshal(empty, &fields)); err != nil {
		panic(err) // a struct of texts, numbers and times can be encoded
	}
	return fields
}()

// isComplete tells whether a document has every field of this build's.
func isComplete(document []byte) bool {
	var stored struct {
		Held map[string]json.RawMessage `json:"held"`
	}
	if err := json.Unmarshal(document, &stored); err != nil {
		return false
	}
	for name := range storedFields {
		if _, ok := stored.Held[name]; !ok {
			return false
		}
	}
	return true
}

// visitNow reads a visit of a patient as its institution holds it now.
func (s *Store) visitNow(ctx context.Context, known *reference, patient booking.Patient, appointment uuid.UUID) (held *booking.HeldDirection, err error) {
	visit, err := s.Visit(ctx, patient.Person, appointment)
	if err != nil {
		return nil, err
	}
	if visit == nil {
		return nil, fmt.Errorf("the visit %s of a stored response: %w", appointment, pgx.ErrNoRows)
	}
	zone, err := known.zone(visit.Lpu)
	if err != nil {
		return nil, err
	}
	db.New(s.pool).AppointmentGet(ctx, []db.AppointmentGetParams{{LpuGuid: visit.Lpu, Guid: visit.Guid}}).QueryRow(
		func(_ int, row db.AppointmentGetRow, rowErr error) {
			if err = rowErr; err == nil {
				held = heldDirection(row, zone)
			}
		})
	return held, err
}
