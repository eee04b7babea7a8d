// Package mip looks up persons in the region's master patient index (МИП): in a table of Talon's
// own, or on a remote FHIR server. Both return the documented refusals of rule group 7. No error
// contains data of a patient.
package mip

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

var (
	_ booking.MasterIndex = (*Local)(nil)
	_ booking.MasterIndex = (*Remote)(nil)
)

// Querier reads the local table, as *db.Queries does. It returns pgx.ErrNoRows for an unknown
// person.
type Querier interface {
	MipPersonGet(ctx context.Context, guid uuid.UUID) (db.MipPersonGetRow, error)
}

// Local is a master patient index in Talon's own database. It is safe for concurrent use if its
// Querier is.
type Local struct {
	queries Querier
}

// NewLocal returns an index that reads its table through queries.
func NewLocal(queries Querier) *Local {
	return &Local{queries}
}

// Person implements booking.MasterIndex. It returns the refusals booking.MipPersonNotFound and
// booking.MipPersonDataMissing, and wraps errors of the database.
func (l *Local) Person(ctx context.Context, guid uuid.UUID) (*booking.Person, error) {
	row, err := l.queries.MipPersonGet(ctx, guid)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, booking.Reject(booking.MipPersonNotFound)
	case err != nil:
		return nil, fmt.Errorf("read the person: %w", err)
	case row.DataGuid == nil || row.BirthDate == nil:
		return nil, booking.Reject(booking.MipPersonDataMissing)
	}
	return &booking.Person{
		Guid:         guid,
		Surname:      value(row.Surname),
		Name:         value(row.Name),
		Patronymic:   value(row.Patronymic),
		BirthDate:    *row.BirthDate,
		Sex:          booking.Sex(value(row.Sex)),
		Snils:        value(row.Snils),
		PolicySeries: value(row.PolicySeries),
		PolicyNumber: value(row.PolicyNumber),
	}, nil
}

// value returns the value of a nullable column, or the zero value for NULL.
func value[T any](column *T) T {
	if column == nil {
		var zero T
		return zero
	}
	return *column
}
