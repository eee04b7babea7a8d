package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

func TestPersonOfTheLocalIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	full, bare, empty, unknown := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	w.exec(`INSERT INTO mip_person (guid) VALUES ($1), ($2), ($3)`, full, bare, empty)
	w.exec(`INSERT INTO mip_person_data VALUES
		($1, 'Хохлова', 'Инна', 'Андреевна', '1999-03-20', 'female', '17400354229', '78', '5598718357093420')`, full)
	w.exec(`INSERT INTO mip_person_data (person_guid, birth_date) VALUES ($1, '1955-12-31')`, bare)
	day := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}

	t.Run("a person with all data", func(t *testing.T) {
		t.Parallel()
		person, err := store.Person(t.Context(), full)
		require.NoError(t, err)
		require.Equal(t, &booking.Person{
			Guid:         full,
			Surname:      "Хохлова",
			Name:         "Инна",
			Patronymic:   "Андреевна",
			BirthDate:    day(1999, 3, 20),
			Sex:          booking.Female,
			Snils:        "17400354229",
			PolicySeries: "78",
			PolicyNumber: "5598718357093420",
		}, person)
	})
	t.Run("empty columns stay empty", func(t *testing.T) {
		t.Parallel()
		person, err := store.Person(t.Context(), bare)
		require.NoError(t, err)
		require.Equal(t, &booking.Person{Guid: bare, BirthDate: day(1955, 12, 31)}, person)
	})
	t.Run("a person without data", func(t *testing.T) {
		t.Parallel()
		_, err := store.Person(t.Context(), empty)
		requireRefusal(t, err, booking.MipPersonDataMissing)
	})
	t.Run("an unknown person", func(t *testing.T) {
		t.Parallel()
		_, err := store.Person(t.Context(), unknown)
		requireRefusal(t, err, booking.MipPersonNotFound)
	})
	t.Run("a cancelled request", func(t *testing.T) {
		t.Parallel()
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := store.Person(cancelled, full)
		require.ErrorIs(t, err, context.Canceled)
	})
}
