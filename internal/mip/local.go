// Package mip asks the region's master patient index (МИП) for a person: a table of Talon's own, or a FHIR server in other hands. Both answer the
// documented refusals of rule group 7, and neither puts anything about a patient into an error.
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

// Querier reads the local table; *db.Queries is one. It answers pgx.ErrNoRows for a person who is not there.
type Querier interface {
	MipPersonGet(ctx context.Context, guid uuid.UUID) (db.MipPersonGetRow, error)
}

// Local is the index that Talon keeps itself. It is safe for concurrent use where its Querier is.
type Local struct {
	queries Querier
}

// NewLocal reads the table through queries.
func NewLocal(queries Querier) *Local {
	return &Local{queries}
}

// Person implements booking.MasterIndex. It refuses with booking.MipPersonNotFound and booking.MipPersonDataMissing; an error of the database is
// returned wrapped.
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

// value is what a nullable column holds, or the zero value.
func value[T any](column *T) T {
	if column == nil {
		var zero T
		return zero
	}
	return *column
}
