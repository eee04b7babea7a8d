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
	var stored storedResponse
	if err := json.Unmarshal(document, &stored); err == nil && stored.Version == storedVersion {
		switch complete, err := isComplete(document); {
		case err != nil:
			return nil, err
		case stored.Cancelled:
			return nil, nil //nolint:nilnil // a cancel has no more to tell
		case complete:
			return stored.heldDirection(), nil
		}
	}
	var reference struct {
		Cancelled       bool      `json:"cancelled"`
		AppointmentGuid uuid.UUID `json:"appointment_guid"`
	}
	switch err := json.Unmarshal(document, &reference); {
	case err != nil:
		return nil, fmt.Errorf("read a stored response: %w", err)
	case reference.Cancelled:
		return nil, nil //nolint:nilnil // a cancel has no more to tell
	}
	return s.visitNow(ctx, patient, reference.AppointmentGuid)
}

// isComplete tells whether a document has every field of this build's.
func isComplete(document []byte) (bool, error) {
	ours, err := json.Marshal(storedResponse{})
	if err != nil {
		return false, fmt.Errorf("encode an empty response: %w", err)
	}
	var wanted, stored struct {
		Held map[string]json.RawMessage `json:"held"`
	}
	if err := errors.Join(json.Unmarshal(ours, &wanted), json.Unmarshal(document, &stored)); err != nil {
		return false, fmt.Errorf("read the fields of a stored response: %w", err)
	}
	for name := range wanted.Held {
		if _, ok := stored.Held[name]; !ok {
			return false, nil
		}
	}
	return true, nil
}

// visitNow reads a visit of a patient as its institution holds it now.
func (s *Store) visitNow(ctx context.Context, patient booking.Patient, appointment uuid.UUID) (held *booking.HeldDirection, err error) {
	visit, err := s.Visit(ctx, patient.Person, appointment)
	if err != nil {
		return nil, err
	}
	if visit == nil {
		return nil, fmt.Errorf("the visit %s of a stored response: %w", appointment, pgx.ErrNoRows)
	}
	err = s.snapshot(ctx, func(t *tx) {
		row(t, t.AppointmentGet(ctx, []db.AppointmentGetParams{{LpuGuid: visit.Lpu, Guid: visit.Guid}}).QueryRow,
			func(row db.AppointmentGetRow, err error) error {
				if err != nil {
					return err
				}
				zone, err := t.reference.zone(visit.Lpu)
				if err == nil {
					held = heldDirection(row, zone)
				}
				return err
			})
	})
	return held, err
}
