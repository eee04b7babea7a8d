package postgres

import (
	"context"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Settings implements booking.Store.
func (s *Store) Settings(ctx context.Context, patient booking.Patient, lpu uuid.UUID) ([]booking.Settings, error) {
	return read(ctx, s, func(known *reference) ([]booking.Settings, error) {
		places := []uuid.UUID{lpu}
		if lpu == uuid.Nil {
			for place := range known.lpus {
				places = append(places, place)
			}
		} else if _, ok := known.lpus[lpu]; !ok {
			return nil, booking.Reject(booking.LpuAbsent)
		}
		type value struct { // of settings, so that equal ones are found
			booking.Settings

			days int
		}
		seen := map[value]bool{}
		var all []booking.Settings
		for _, place := range places {
			settings, err := known.settings(place, patient.Client)
			if err != nil {
				return nil, err
			}
			settings.PolyclinicCode = "" // it switches nothing
			same := value{settings, -1}
			if settings.ScheduleDays != nil {
				same.ScheduleDays, same.days = nil, *settings.ScheduleDays
			}
			if !seen[same] {
				seen[same] = true
				all = append(all, settings)
			}
		}
		return all, nil
	})
}
