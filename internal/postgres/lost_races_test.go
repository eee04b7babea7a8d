package postgres

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

// Promise: the loser of a race is rejected by a statement that returns no row. No statement fails,
// so that PostgreSQL logs no error.
func TestLostRacesRaiseNoErrors(t *testing.T) {
	t.Parallel()
	const contenders = 8
	for name, c := range map[string]struct {
		prepare func(w *world)
		change  func(w *world, a *booking.NewAppointment)
		rule    booking.Name
	}{
		"one referral": {rule: booking.DirectionAlreadyBooked},
		"one referral, within an institution": {
			prepare: (*world).referWithin,
			rule:    booking.DirectionAlreadyBooked,
		},
		"one speciality": {
			prepare: func(w *world) { w.exec(`UPDATE slot SET capacity = $1`, contenders) },
			change:  (*world).addReferral,
			rule:    booking.SpecialityAlreadyBooked,
		},
		"one cell": {
			change: func(w *world, a *booking.NewAppointment) {
				w.addReferral(a)
				a.OneActivePerSpeciality = false
			},
			rule: booking.SlotTaken,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.prepare != nil {
				c.prepare(w)
			}
			var lock sync.Mutex
			var failed []string
			store := w.store(func(config *pgxpool.Config) {
				config.MaxConns = contenders
				config.ConnConfig.OnPgError = func(_ *pgconn.PgConn, err *pgconn.PgError) bool {
					lock.Lock()
					defer lock.Unlock()
					failed = append(failed, err.Code+" "+err.Message)
					return true
				}
			})
			first := w.appointment(1)
			appointments := make([]booking.NewAppointment, contenders)
			for i := range appointments {
				a := first
				a.Guid = uuid.New()
				if c.change != nil {
					c.change(w, &a)
				}
				appointments[i] = a
			}
			errs := make([]error, contenders)
			var group sync.WaitGroup
			for i, a := range appointments {
				group.Go(func() { errs[i] = create(t, store, a) })
			}
			group.Wait()
			booked := 0
			for _, err := range errs {
				if err == nil {
					booked++
				} else {
					requireRefusal(t, err, c.rule)
				}
			}
			require.Equal(t, 1, booked)
			require.Empty(t, failed)
		})
	}
}

// addReferral gives a booking its own referral.
func (w *world) addReferral(a *booking.NewAppointment) {
	w.t.Helper()
	direction := *a.Direction
	direction.Guid = uuid.New()
	direction.Sender = &direction.Guid // as addDirection writes it
	w.addDirection(direction.Guid, w.mkabFrom)
	a.Direction = &direction
}

// Promise: cells can be deleted. A visit in them is found and cancelled like any other.
func TestCellsCanBeDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.mustBook(2)
	w.exec(`DELETE FROM slot`)
	require.Equal(t, visit, w.visit(visit.Guid))
	found, err := w.store().Appointments(t.Context(), w.patient.Person, booking.AppointmentFilter{},
		booking.Page{Limit: 10}, moment)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, w.store().Cancel(t.Context(), booking.NewCancellation{
		Patient: w.patient, Visit: visit, At: moment,
	}))
	require.True(t, w.visit(visit.Guid).Cancelled)
	require.Equal(t, 0, w.count(`SELECT count(*) FROM direction WHERE appointment_guid IS NOT NULL`))
}

// Promise: if a statement fails after a lost race, its error is returned, and not the error of the
// aborted transaction.
func TestLostRaceThenError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.appointment(1)
	w.exec(`INSERT INTO speciality_claim VALUES ($1, '92', $2, $3, 'Врач', $4, $5)`, w.patient.Person, uuid.New(), w.to, w.firstStart, w.firstStart.Add(time.Hour))
	_, end := w.holdLocks(`SELECT FROM slot WHERE lpu_guid = @to FOR UPDATE`)
	defer end()
	testdb.SetOnWorkers(t, w.db, "lock_timeout", "200ms")
	requireRefusal(t, create(t, w.store(runtimeParam("lock_timeout", "200ms")), a), booking.Overloaded)
}

// Promise: a hold succeeds if the person's other holds are used up while it is requested.
func TestHoldWhileHoldsAreUsedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.appointment(1)
	until := moment.Add(5 * time.Minute)
	for i := range 2 {
		w.exec(`INSERT INTO hold VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)`,
			w.patient.Person, i+1, uuid.New(), w.to, []uuid.UUID{w.slots[i+1]}, w.direction, w.firstStart, until)
	}
	// The second search for a place waits after it has found none.
	w.exec(`CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF set_config('test.searched', concat(current_setting('test.searched', true), 'x'), false) = 'xx' THEN
				PERFORM pg_advisory_xact_lock(7);
			END IF;
			RETURN NULL;
		END $$`)
	w.exec(`CREATE TRIGGER wait AFTER INSERT ON hold FOR EACH STATEMENT EXECUTE FUNCTION wait()`)
	_, end := w.holdLocks(`SELECT pg_advisory_xact_lock(7) FROM hold WHERE person_guid = @person`) // on the node of the trigger
	store := w.store()
	held := make(chan error, 1)
	go func() {
		_, err := store.Hold(t.Context(), a, nil, until)
		held <- err
	}()
	testdb.WaitForBlocked(w.t, w.db, 0)
	w.exec(`DELETE FROM hold`)
	end()
	require.NoError(t, <-held)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM hold`))
}

// Promise: a repeated hold returns the hold that the person has, also while that is released.
func TestHoldWhileItIsReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	until := moment.Add(5 * time.Minute)
	first, err := w.store().Hold(t.Context(), w.appointment(1), nil, until)
	require.NoError(t, err)
	again := w.appointment(1)
	// The second hold waits between the cell and the list of the person's holds: there it deletes
	// those that have expired.
	w.exec(`INSERT INTO hold VALUES ($1, 2, $2, $3, $4, $5, $6, $6, $7)`,
		w.patient.Person, uuid.New(), w.to, []uuid.UUID{w.slots[2]}, w.direction, w.firstStart,
		moment.Add(-time.Minute))
	_, end := w.holdLocks(`SELECT FROM hold WHERE person_guid = @person AND place = 2 FOR UPDATE`)
	store := w.store()
	held, released := make(chan error, 1), make(chan error, 1)
	go func() {
		hold, err := store.Hold(t.Context(), again, nil, until)
		if err == nil && hold.Guid != first.Guid {
			err = errors.New("another hold")
		}
		held <- err
	}()
	testdb.WaitForBlocked(t, w.db, 0)
	go func() { released <- store.Release(t.Context(), w.patient.Person, *first, moment) }()
	require.Eventually(t, func() bool { return len(released) == 1 || len(testdb.Blocked(t, w.db)) == 2 },
		20*time.Second, 5*time.Millisecond, "the release neither ends nor waits")
	end()
	require.NoError(t, <-held)
	require.NoError(t, <-released)
}
