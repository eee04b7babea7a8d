package postgres

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

const (
	goldenResponse     = "testdata/stored_response.json"
	goldenDeskResponse = "testdata/stored_desk_response.json"
)

// exampleDeskResponse returns the response to an institution, with a value in every field.
func exampleDeskResponse() *booking.HeldDirection {
	held := exampleResponse()
	cause, reason := booking.MoveOther, "ремонт"
	held.Visit = &booking.HeldVisit{
		Version: 2, UpdatedAt: held.Appointment.CreatedAt, Person: uuid.UUID{15: 8}, Client: uuid.UUID{15: 9},
		DirectionLpu: uuid.UUID{15: 10}, Resource: uuid.UUID{15: 11}, ResourceName: "Врач Терапевт",
		Slots: []uuid.UUID{{15: 12}, {15: 13}}, OutOfSchedule: true, IsCito: true, Comment: "комментарий",
		BookedBy: booking.Booker{Initiator: booking.ByInstitution, Client: uuid.UUID{15: 14}},
		Move: &booking.LastMove{
			At: held.Appointment.Start, Initiator: booking.ByInstitution, Cause: &cause, Reason: &reason,
		},
	}
	return held
}

// exampleResponse returns a response with a value in every field that patients see.
func exampleResponse() *booking.HeldDirection {
	guid := func(n byte) uuid.UUID { return uuid.UUID{15: n} }
	at := func(hour int) time.Time { return time.Date(2019, 8, 21, hour, 0, 0, 0, time.FixedZone("", 3*60*60)) }
	sender, to := guid(3), guid(4)
	return &booking.HeldDirection{
		ID: 58384, Mkab: guid(1), LpuTo: guid(2),
		Direction: booking.Direction{
			Guid: guid(5), Type: booking.Consult, Number: "47010157096", AccessionNumber: "A-1", Date: at(0),
			DateEnd: at(1), CreatedAt: at(2), Sender: &sender,
			Reason: "причина", Comment: "комментарий", Urgent: true, Flags: 5, SpecialityCode: "92",
			SpecialityName: "Терапия", MkbCode: "A01.1", MkbName: "Тиф",
			LpuFrom: guid(6), LpuTo: &to,
		},
		Appointment: booking.Appointment{Guid: guid(7), Start: at(8), End: at(9), CreatedAt: at(10)},
	}
}

// Promise: a stored response equals the golden document, whatever the Go fields are called, and is
// read back unchanged.
func TestStoredResponseFormat(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]*booking.HeldDirection{
		goldenResponse: exampleResponse(), goldenDeskResponse: exampleDeskResponse(),
	} {
		golden, err := os.ReadFile(name)
		require.NoError(t, err)
		document, err := json.MarshalIndent(newStoredResponse(response), "", "  ")
		require.NoError(t, err)
		require.Equal(t, string(bytes.TrimSpace(golden)), string(document),
			"a renamed field or another format requires another storedVersion")

		read, err := new(Store).replay(t.Context(), booking.Patient{}, golden)
		require.NoError(t, err)
		again, err := json.MarshalIndent(newStoredResponse(read), "", "  ")
		require.NoError(t, err)
		require.Equal(t, string(document), string(again))
		require.True(t, read.Appointment.Start.Equal(response.Appointment.Start))
	}

	cancelled, err := json.Marshal(newStoredResponse(nil))
	require.NoError(t, err)
	read, err := new(Store).replay(t.Context(), booking.Patient{}, cancelled)
	require.NoError(t, err)
	require.Nil(t, read)
}

// Promise: for a document of another version, or with other fields, the visit is read from the
// tables. A document without a visit of the patient is an error.
func TestStoredResponseOfAnotherRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	a := w.appointment(2)
	held, err := store.Create(t.Context(), a)
	require.NoError(t, err)
	written, err := json.Marshal(newStoredResponse(held))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		document string
		err      string
	}{
		"as written":      {document: string(written)},
		"another version": {document: strings.Replace(string(written), `"version":1`, `"version":2`, 1)},
		"other types": {
			document: strings.Replace(string(written), `"version":1`, `"version":"2026-12"`, 1),
		},
		"a field renamed":    {document: strings.Replace(string(written), `"start"`, `"starts"`, 1)},
		"a further field":    {document: strings.Replace(string(written), `"start"`, `"new":1,"start"`, 1)},
		"only the reference": {document: `{"version": 7, "appointment_guid": "` + a.Guid.String() + `"}`},
		"null":               {document: `null`, err: "stored response"},
		"no reference":       {document: `{"version": 1}`, err: "stored response"},
		"unknown visit": {
			document: `{"version": 2, "appointment_guid": "` + uuid.NewString() + `"}`, err: "stored response",
		},
		"not an object":               {document: `[]`, err: "stored response"},
		"a cancel of another version": {document: `{"version": 2, "cancelled": true}`, err: "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read, err := store.replay(t.Context(), w.patient, []byte(c.document))
			switch c.err {
			case "":
				require.NoError(t, err)
				require.Equal(t, held.Appointment.Start.UTC(), read.Appointment.Start.UTC())
				again, err := json.Marshal(newStoredResponse(read))
				require.NoError(t, err)
				require.Equal(t, string(written), string(again))
			case "none":
				require.NoError(t, err)
				require.Nil(t, read)
			default:
				require.ErrorContains(t, err, c.err)
				require.Nil(t, read)
			}
		})
	}
}
