package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"talon.example/gen/db"
	"talon.example/internal/booking"
)

// Settings implements booking.Store.
func (s *Store) Settings(ctx context.Context, patient booking.Patient, lpu uuid.UUID) ([]booking.Settings, error) {
	return retry(ctx, s.pool.Reset, func() ([]booking.Settings, error) {
		rows, err := db.New(s.pool).LpuSettings(ctx, lpu, patient.Client)
		switch {
		case err != nil:
			return nil, err
		case len(rows) == 0:
			return nil, booking.Refuse(booking.LpuAbsent)
		}
		settings := make([]booking.Settings, len(rows))
		for i, row := range rows {
			if settings[i], err = readSettings(row); err != nil {
				return nil, err
			}
		}
		return settings, nil
	})
}

// readSettings reads the object that the queries make of the settings in force.
func readSettings(object []byte) (booking.Settings, error) {
	var values map[string]string
	if err := json.Unmarshal(object, &values); err != nil {
		return booking.Settings{}, fmt.Errorf("read the settings: %w", err)
	}
	return booking.NewSettings(values)
}
