package mip

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/gen/db"
	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

func TestLocalReadsThePersonOfTheTable(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), testdb.New(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	local := NewLocal(db.New(pool))

	full, bare, empty, unknown := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	execute := func(sql string, arguments ...any) {
		_, err := pool.Exec(t.Context(), sql, arguments...)
		require.NoError(t, err)
	}
	execute(`INSERT INTO mip_person (guid) VALUES ($1), ($2), ($3)`, full, bare, empty)
	execute(`INSERT INTO mip_person_data VALUES
		($1, 'Хохлова', 'Инна', 'Андреевна', '1999-03-20', 'female', '17400354229', '78', '5598718357093420')`, full)
	execute(`INSERT INTO mip_person_data (person_guid, birth_date) VALUES ($1, '1955-12-31')`, bare)

	t.Run("a person with all data", func(t *testing.T) {
		t.Parallel()
		person, err := local.Person(t.Context(), full)
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
		person, err := local.Person(t.Context(), bare)
		require.NoError(t, err)
		require.Equal(t, &booking.Person{Guid: bare, BirthDate: day(1955, 12, 31)}, person)
	})
	t.Run("a person without data", func(t *testing.T) {
		t.Parallel()
		_, err := local.Person(t.Context(), empty)
		requireRefusal(t, err, booking.MipPersonDataMissing)
	})
	t.Run("an unknown person", func(t *testing.T) {
		t.Parallel()
		_, err := local.Person(t.Context(), unknown)
		requireRefusal(t, err, booking.MipPersonNotFound)
	})
}

// failingQuerier returns err from every query.
type failingQuerier struct{ err error }

func (f failingQuerier) MipPersonGet(context.Context, uuid.UUID) (db.MipPersonGetRow, error) {
	return db.MipPersonGetRow{}, f.err
}

func TestLocalWrapsDatabaseErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := NewLocal(failingQuerier{broken}).Person(t.Context(), uuid.New())
	require.ErrorIs(t, err, broken)
	var refusal *booking.Refusal
	require.NotErrorAs(t, err, &refusal)
}

func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func requireRefusal(t *testing.T, err error, name booking.Name) *booking.Refusal {
	t.Helper()
	var refusal *booking.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, name, refusal.Rule, "%v", err)
	return refusal
}
