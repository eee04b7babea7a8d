package postgres

import (
	"context"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// Settings implements booking.SettingReader.
func (s *Store) Settings(ctx context.Context, patient booking.Patient, lpu uuid.UUID) ([]booking.Settings, error) {
	return read(ctx, s, func(known *reference) ([]booking.Settings, error) {
		lpus := []uuid.UUID{lpu}
		if lpu == uuid.Nil {
			for guid := range known.lpus {
				lpus = append(lpus, guid)
			}
		} else if _, ok := known.lpus[lpu]; !ok {
			return nil, booking.Reject(booking.LpuAbsent)
		}
		type value struct { // comparable settings, to find duplicates
			booking.Settings

			days int
		}
		seen := map[value]bool{}
		var all []booking.Settings
		for _, guid := range lpus {
			settings, err := known.settings(guid, patient.Client)
			if err != nil {
				return nil, err
			}
			settings.PolyclinicCode, settings.OnBooked = "", "" // these enable no rule
			settings.ReceiptMinutes, settings.NoShowReturnsReferral = 0, false
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
