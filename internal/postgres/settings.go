package postgres

import (
	"context"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Settings implements booking.Store.
func (s *Store) Settings(ctx context.Context, lpu uuid.UUID) (*booking.Settings, error) {
	row, err := retry(ctx, s.pool.Reset, func() (db.LpuSettingsRow, error) { return db.New(s.pool).LpuSettings(ctx, lpu) })
	switch {
	case err != nil:
		return nil, err
	case lpu != uuid.Nil && !row.Known:
		return nil, booking.Refuse(booking.LpuAbsent)
	}
	return &booking.Settings{OneActivePerSpeciality: row.OneActivePerSpeciality, CreatesMkab: row.CreatesMkab}, nil
}
