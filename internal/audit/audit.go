// Package audit keeps one record of every request that touches a patient's data (аудит): who, when,
// which operation, which patient and objects, and the outcome. A record has ids, codes, numbers and
// times, and nothing personal.
package audit

import (
	"context"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Record says what one request did to the data of one patient.
type Record struct {
	Guid      uuid.UUID
	At        time.Time // when the response was ready
	Request   uuid.UUID // id of the request
	Client    uuid.UUID // the client application that sent it
	User      string    // of the client application, as it names them; empty if not given
	Operation string    // operationId of the contract
	Person    uuid.UUID // the patient; the zero guid if the request did not reach one
	Objects   []Object
	Status    int                // of the response
	Rule      booking.Name       // that rejected the request; empty if none did
	Compared  []booking.Compared // by the rule
}

// Object is an object that a request or its response names.
type Object struct {
	Kind string `json:"kind"` // the name of the field without Guid, such as direction or lpuTo
	ID   string `json:"id"`   // a guid, or the number of a cell
}

// Object returns the guid of the first object of a kind, or the zero guid.
func (r *Record) Object(kind string) uuid.UUID {
	for _, o := range r.Objects {
		if guid, err := uuid.Parse(o.ID); o.Kind == kind && err == nil {
			return guid
		}
	}
	return uuid.Nil
}

// SlotID is the kind of an object that is a cell's number.
const SlotID = "slotId"

// Filter selects records. Zero fields select all.
type Filter struct {
	Person, Client, Request uuid.UUID
	From, To                time.Time // From is included, To is not
}

// Place is a place in the list of records, which begins with the newest.
type Place struct {
	At   time.Time
	Guid uuid.UUID
}

// Store keeps the records.
type Store interface {
	// FindPersons sets the persons of records that name only an object of theirs. If it fails, it
	// sets none.
	FindPersons(ctx context.Context, records []Record) error
	// AddRecords commits all records or none. It can be repeated if its outcome is unknown, unless
	// the records have changed: their persons are part of their keys.
	AddRecords(ctx context.Context, records []Record) error
	// Records returns at most the given number of records after a place, the newest first.
	Records(ctx context.Context, filter Filter, after Place, most int) ([]Record, error)
	// SweepRecords prepares the storage for the month of now and the next one. Unless keptDays is
	// 0, it deletes the records of months that ended more than keptDays ago.
	SweepRecords(ctx context.Context, now time.Time, keptDays int) error
}
