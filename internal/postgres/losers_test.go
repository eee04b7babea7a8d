package postgres

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// Promise: the loser of a race is refused by a statement that returns no row. No statement fails, so PostgreSQL logs no error.
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
			prepare: func(w *world) {
				w.exec(`UPDATE direction SET lpu_guid = $1, mkab_guid = $2`, w.to, w.mkabTo)
				w.from = w.to
			},
			rule: booking.DirectionAlreadyBooked,
		},
		"one speciality": {
			prepare: func(w *world) { w.exec(`UPDATE slot SET capacity = $1`, contenders) },
			change:  (*world).referral,
			rule:    booking.SpecialityAlreadyBooked,
		},
		"one cell": {
			change: func(w *world, a *booking.NewAppointment) {
				w.referral(a)
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
			var all sync.WaitGroup
			for i, a := range appointments {
				all.Go(func() { errs[i] = create(t, store, a) })
			}
			all.Wait()
			booked := 0
			for _, err := range errs {
				if err == nil {
					booked++
				} else {
					requireRefused(t, err, c.rule)
				}
			}
			require.Equal(t, 1, booked)
			require.Empty(t, failed)
		})
	}
}

// referral gives a booking a referral of its own.
func (w *world) referral(a *booking.NewAppointment) {
	w.t.Helper()
	direction := *a.Direction
	direction.Guid = uuid.New()
	w.addDirection(direction.Guid, w.mkabFrom)
	a.Direction = &direction
}

// Promise: cells can be deleted. A visit that had them is found and cancelled like any other.
func TestCellsCanBeDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.booked(2)
	w.exec(`DELETE FROM slot`)
	require.Equal(t, visit, w.visit(visit.Guid))
	found, err := w.store().Appointments(t.Context(), w.patient.Person, booking.AppointmentFilter{}, booking.Page{Limit: 10}, moment)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, w.store().Cancel(t.Context(), booking.NewCancellation{Person: w.patient.Person, Visit: visit, At: moment}))
	require.True(t, w.visit(visit.Guid).Cancelled)
	require.Equal(t, 0, w.count(`SELECT count(*) FROM direction WHERE appointment_guid IS NOT NULL`))
}

// Promise: where the database raises an error behind a lost race, the error is told, not what the aborted transaction says to the look for the winner.
func TestLostRaceThenError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.appointment(1)
	w.exec(`INSERT INTO speciality_claim VALUES ($1, '92', $2, $3, 'Врач', $4, $5)`, w.patient.Person, uuid.New(), w.to, w.firstStart, w.firstStart.Add(time.Hour))
	_, end := w.hold(`SELECT FROM slot FOR UPDATE`)
	defer end()
	requireRefused(t, create(t, w.store(runtime("lock_timeout", "200ms")), a), booking.Overloaded)
}

// Promise: a person whose holds are used up while another one is asked for gets it.
func TestHoldWhileHoldsAreUsedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.appointment(1)
	until := moment.Add(5 * time.Minute)
	for i := range 2 {
		w.exec(`INSERT INTO hold VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)`,
			w.patient.Person, i+1, uuid.New(), w.to, []uuid.UUID{w.slots[i+1]}, w.direction, w.firstStart, until)
	}
	// The second look for a place waits after it has found none.
	w.exec(`CREATE SEQUENCE fired`)
	w.exec(`CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN IF nextval('fired') = 2 THEN PERFORM pg_advisory_xact_lock(7); END IF; RETURN NULL; END $$`)
	w.exec(`CREATE TRIGGER wait AFTER INSERT ON hold FOR EACH STATEMENT EXECUTE FUNCTION wait()`)
	tx, end := w.hold(`SELECT pg_advisory_xact_lock(7)`)
	store := w.store()
	held := make(chan error, 1)
	go func() {
		_, err := store.Hold(t.Context(), a, nil, until)
		held <- err
	}()
	w.blocked(tx, 0)
	w.exec(`DELETE FROM hold`)
	end()
	require.NoError(t, <-held)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM hold`))
}
