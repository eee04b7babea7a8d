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

// storedVersion is the version of the documents that this build stores. It is raised when the
// meaning of a field changes. A new field needs no new version.
const storedVersion = 1

// storedResponse is the document in idempotency_key.answer: what was done, and the response.
// Instances of two releases read each other's documents, so that the JSON names are fixed by tags
// (testdata/stored_response.json) and do not follow the Go names. If a document has another
// version, or lacks a field of this build, the response is built from the tables instead.
type storedResponse struct {
	Version         int                    `json:"version"`
	Cancelled       bool                   `json:"cancelled"`        // a cancel, whose response has no body
	AppointmentGuid uuid.UUID              `json:"appointment_guid"` // in every version: it finds the visit
	Held            *booking.HeldDirection `json:"held"`             // times are RFC 3339 with the institution's offset
}

// newStoredResponse returns the document for a response. The response to a cancel is nil.
func newStoredResponse(held *booking.HeldDirection) storedResponse {
	if held == nil {
		return storedResponse{Version: storedVersion, Cancelled: true}
	}
	return storedResponse{Version: storedVersion, AppointmentGuid: held.Appointment.Guid, Held: held}
}

// replay returns the response in a stored document. The response to a cancel is nil. If this build
// cannot read the document, replay builds the response from the current state of the visit.
func (s *Store) replay(ctx context.Context, patient booking.Patient, document []byte) (*booking.HeldDirection, error) {
	var done struct { // the fields of every version
		Cancelled       bool      `json:"cancelled"`
		AppointmentGuid uuid.UUID `json:"appointment_guid"`
	}
	if err := json.Unmarshal(document, &done); err != nil {
		return nil, fmt.Errorf("read a stored response: %w", err)
	}
	if done.Cancelled {
		return nil, nil //nolint:nilnil // the response to a cancel has no body
	}
	var stored storedResponse
	if err := json.Unmarshal(document, &stored); err == nil && stored.Version == storedVersion && isComplete(document) {
		return stored.Held, nil
	}
	return read(ctx, s, func(known *reference) (*booking.HeldDirection, error) {
		return s.currentReferral(ctx, known, patient, done.AppointmentGuid)
	})
}

// isComplete reports whether a document has every field that this build writes.
func isComplete(document []byte) bool {
	var got, want any
	ours, err := json.Marshal(newStoredResponse(&booking.HeldDirection{}))
	return errors.Join(err, json.Unmarshal(ours, &want), json.Unmarshal(document, &got)) == nil && hasFields(got, want)
}

// hasFields reports whether a JSON value has all fields of another one, at every depth.
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

// currentReferral returns a patient's referral and visit as its institution stores them now. It
// returns pgx.ErrNoRows if the patient has no such visit.
func (s *Store) currentReferral(
	ctx context.Context, known *reference, patient booking.Patient, appointment uuid.UUID,
) (held *booking.HeldDirection, err error) {
	visit, err := s.Visit(ctx, patient.Person, appointment)
	if err != nil {
		return nil, err
	}
	if visit == nil {
		return nil, fmt.Errorf("find the visit %s of a stored response: %w", appointment, pgx.ErrNoRows)
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
