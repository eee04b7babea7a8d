package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Person implements booking.MasterIndex by Talon's own table of persons. It returns the refusals
// booking.MipPersonNotFound and booking.MipPersonDataMissing.
func (s *Store) Person(ctx context.Context, guid uuid.UUID) (*booking.Person, error) {
	row, err := retry(ctx, s.pool.Reset, func() (db.MipPersonGetRow, error) {
		return db.New(s.pool).MipPersonGet(ctx, guid)
	})
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
