package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// served is a store that reads its reference data itself, through connections that are counted.
func served(w *world, maxAge time.Duration) (*Store, *trips) {
	count := new(trips)
	store := w.store(count.through)
	store.reference.current.Store(nil)
	store.reference.maxAge = maxAge
	return store, count
}

// Promise: reference data are read when they are needed first, and then from memory: no statement for them while they are young.
func TestReferenceIsKeptInMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, count := served(w, time.Hour)
	settings := func() {
		_, err := store.Settings(t.Context(), w.patient, w.to)
		require.NoError(t, err)
	}
	settings()
	require.Zero(t, count.of(settings))
}

// Promise: a change takes effect no later than the age that reference data may have.
func TestReferenceChangesInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const age = 200 * time.Millisecond
	store, _ := served(w, age)
	horizon := func() *int {
		settings, err := store.Settings(t.Context(), w.patient, w.to)
		require.NoError(t, err)
		require.Len(t, settings, 1)
		return settings[0].ScheduleDays
	}
	require.Nil(t, horizon())
	for days, change := range []string{
		`INSERT INTO setting SELECT '00000000-0000-0000-0000-000000000000', 'scheduleDays', '0' FROM lpu LIMIT 1`,
		`INSERT INTO setting SELECT guid, 'scheduleDays', '1' FROM lpu WHERE code = '2'`,
		`INSERT INTO setting SELECT guid, 'scheduleDays', '2', true FROM client_application`,
	} {
		w.exec(change)
		changed := time.Now()
		for {
			asked := time.Now()
			if now := horizon(); now != nil && *now == days {
				break
			}
			require.Less(t, asked.Sub(changed), age, "the %d. owner's setting is not in force yet", days)
		}
	}
}

// Promise: a request that needs data as of now gets them, also when a read that began before it is under way: it waits for the next one.
func TestReferenceAsOfNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, _ := served(w, 0)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 25 {
				_, _ = store.reference.get(t.Context())
			}
		})
	}
	for range 25 {
		entity, lpu := uuid.New(), uuid.New()
		w.exec(`INSERT INTO legal_entity VALUES ($1, '')`, entity)
		w.exec(`INSERT INTO lpu VALUES ($1, $2, $3, '', 'UTC')`, lpu, entity, lpu.String())
		known, err := store.reference.get(t.Context())
		require.NoError(t, err)
		require.Contains(t, known.lpus, lpu)
	}
	group.Wait()
}

// Promise: reference data that cannot be read are used until they are too old, and then the service refuses for now, as when the database is away.
func TestReferenceCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, _ := served(w, time.Hour)
	_, err := store.Settings(t.Context(), w.patient, w.to)
	require.NoError(t, err)
	_, end := w.hold(`LOCK TABLE setting IN ACCESS EXCLUSIVE MODE`)
	_, err = store.Settings(t.Context(), w.patient, w.to)
	require.NoError(t, err, "they are young")

	store.reference.maxAge = 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = store.Settings(ctx, w.patient, w.to)
	requireRefused(t, err, booking.Overloaded) // the lock is waited for longer than the request may take
	end()
	_, err = store.Settings(t.Context(), w.patient, w.to)
	require.NoError(t, err, "the data can be read again")

	store.pool.Close()
	_, err = store.Settings(t.Context(), w.patient, w.to)
	require.Error(t, err)
}

// Promise: an institution that came with the last second is not told with a wrong zone: the data are read again, and the request is answered.
func TestReferenceOfANewInstitution(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	lpu := uuid.New()
	w.exec(`INSERT INTO lpu SELECT $1, guid, '3', '', 'Asia/Omsk' FROM legal_entity`, lpu)
	w.exec(`INSERT INTO speciality_claim VALUES ($1, '27', gen_random_uuid(), $2, 'Врач', $3, $4)`, w.patient.Person, lpu, moment, moment.Add(time.Hour))
	facts, err := store.Facts(t.Context(), w.patient, w.request(1), moment)
	require.NoError(t, err)
	require.Equal(t, "20:52:14", facts.Active[0].Start.Format(time.TimeOnly))
}
