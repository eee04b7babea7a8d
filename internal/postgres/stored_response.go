package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// storedVersion is the version of the documents that this build stores. It goes up when the meaning of a field changes; a field more needs no new version.
const storedVersion = 1

// storedResponse is the document that idempotency_key.answer holds: what was done, and the response to it. Instances of two releases read each other's, so
// its names are written down in tags (testdata/stored_response.json) and do not follow those of the Go code. A document of another version, or one that lacks a
// field of this one, is not read; the response is made from the tables instead.
type storedResponse struct {
	Version         int                    `json:"version"`
	Cancelled       bool                   `json:"cancelled"`        // a cancel, which has no more to tell
	AppointmentGuid uuid.UUID              `json:"appointment_guid"` // the same in every version: with it the visit is found in the tables
	Held            *booking.HeldDirection `json:"held"`             // times are RFC 3339 with the institution's offset
}

// newStoredResponse returns the document of a response; nil is that of a cancel.
func newStoredResponse(held *booking.HeldDirection) storedResponse {
	if held == nil {
		return storedResponse{Version: storedVersion, Cancelled: true}
	}
	return storedResponse{Version: storedVersion, AppointmentGuid: held.Appointment.Guid, Held: held}
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
		return stored.Held, nil
	}
	return read(ctx, s, func(known *reference) (*booking.HeldDirection, error) {
		return s.visitNow(ctx, known, patient, done.AppointmentGuid)
	})
}

// isComplete tells whether a document has every field of this build's.
func isComplete(document []byte) bool {
	var got, want any
	ours, err := json.Marshal(newStoredResponse(&booking.HeldDirection{}))
	return errors.Join(err, json.Unmarshal(ours, &want), json.Unmarshal(document, &got)) == nil && hasFields(got, want)
}

// hasFields tells whether a JSON value has the fields of another one, at every depth.
func hasFields(got, want any) bool {
	fields, _ := want.(map[string]any)
	values, _ := got.(map[string]any)
	for name, field := range fields {
		if value, ok := values[name]; !ok || !hasFields(value, field) {
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
