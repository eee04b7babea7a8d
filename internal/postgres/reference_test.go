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

// newStoreWithReference returns a store that reads its reference data itself, and counts its round
// trips.
func newStoreWithReference(w *world, maxAge time.Duration) (*Store, *roundTrips) {
	count := new(roundTrips)
	store := w.store(count.countOn)
	store.reference.current.Store(nil)
	store.reference.maxAge = maxAge
	return store, count
}

// Promise: reference data are read when they are first needed. Until they reach their maximum age
// they are used from memory, without a statement.
func TestReferenceIsKeptInMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, count := newStoreWithReference(w, time.Hour)
	settings := func() {
		_, err := store.Settings(t.Context(), w.patient, w.to)
		require.NoError(t, err)
	}
	settings()
	require.Zero(t, count.during(settings))
}

// Promise: a change of reference data takes effect within their maximum age.
func TestReferenceChangesInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const age = 200 * time.Millisecond
	store, _ := newStoreWithReference(w, age)
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
			requested := time.Now()
			if now := horizon(); now != nil && *now == days {
				break
			}
			require.Less(t, requested.Sub(changed), age, "the setting of owner %d is not in force yet", days)
		}
	}
}

// Promise: a request that requires current data gets them also while an earlier read is running: it
// waits for the next read.
func TestReferenceAsOfNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, _ := newStoreWithReference(w, 0)
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

// Promise: reference data that cannot be read again are used until they are too old. Then requests
// are rejected, as without a database.
func TestReferenceCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, _ := newStoreWithReference(w, time.Hour)
	_, err := store.Settings(t.Context(), w.patient, w.to)
	require.NoError(t, err)
	_, end := w.holdLocks(`LOCK TABLE setting IN ACCESS EXCLUSIVE MODE`)
	_, err = store.Settings(t.Context(), w.patient, w.to)
	require.NoError(t, err, "the data are not too old")

	store.reference.maxAge = 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = store.Settings(ctx, w.patient, w.to)
	requireRefusal(t, err, booking.Overloaded) // the lock is held for longer than the request may take
	end()
	_, err = store.Settings(t.Context(), w.patient, w.to)
	require.NoError(t, err, "the data can be read again")

	store.pool.Close()
	_, err = store.Settings(t.Context(), w.patient, w.to)
	require.Error(t, err)
}

// Promise: for an institution that was just added the data are read again, so that times are in its
// zone.
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
