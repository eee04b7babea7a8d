package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

// moveTo returns a move of a visit to the cells from slotID on, ready to be written.
func (w *world) moveTo(visit *booking.BookedVisit, slotID int64, difficulty int) booking.NewAppointment {
	w.t.Helper()
	request := w.request(difficulty)
	request.Place = booking.Place{SlotID: slotID}
	facts, err := w.store().MoveFacts(w.t.Context(), w.patient, request, visit, moment)
	require.NoError(w.t, err)
	require.Nil(w.t, booking.Check(facts))
	return booking.NewAppointment{
		Guid: visit.Guid, CreatedAt: moment, Patient: w.patient, Request: facts.Request,
		Direction: &facts.Direction.Direction, SourceMkab: facts.Direction.Mkab, Resource: facts.Resource,
		Slots: facts.Slots, Access: facts.Target.Rights.OtherLpu, Mkab: facts.Mkab.Guid,
		Start: facts.Slots[0].Start, End: facts.Slots[len(facts.Slots)-1].End,
		OneActivePerSpeciality: facts.Target.OneActivePerSpeciality, Zone: facts.Target.Zone,
		BookedBy: visit.BookedBy, LastMove: &booking.LastMove{At: moment, Initiator: booking.ByPatient},
	}
}

// moveRequest returns a request with all fields of a move.
func moveRequest(a booking.NewAppointment) booking.MoveRequest {
	r := a.Request
	return booking.MoveRequest{
		LpuTo: &r.LpuTo, Place: r.Place, Difficulty: r.Difficulty, Comment: &r.Comment, IsCito: &r.IsCito,
	}
}

// Promise: with prepared statements the facts of a move take one round trip, and the move three.
func TestMoveRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var count roundTrips
	store := w.store(count.countOn)
	visit := w.mustBook(2)
	move := func(slotID int64) func() {
		a := w.moveTo(visit, slotID, 2)
		return func() {
			_, err := store.Move(t.Context(), a, moveRequest(a), visit)
			require.NoError(t, err)
		}
	}
	facts := func() {
		_, err := store.MoveFacts(t.Context(), w.patient, w.request(2), visit, moment)
		require.NoError(t, err)
	}
	facts() // prepares the statements
	require.Equal(t, 1, count.during(facts))
	move(firstSlot + 1)()
	require.Equal(t, 3, count.during(move(firstSlot)))
	requireConnectionsReleased(t, store)
}

// Promise: concurrent moves of one visit do not undo each other: the later one keeps what it does
// not change.
func TestConcurrentMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.mustBook(1)
	service := booking.NewService(w.store().Ports(), func() time.Time { return moment })
	comment := "с выпиской"
	moved := make(chan error, 2)
	move := func(wanted booking.MoveRequest) {
		_, _, err := service.Move(t.Context(), w.patient, visit.Guid, wanted, nil)
		moved <- err
	}
	_, end := w.holdLocks(`SELECT FROM direction WHERE lpu_guid = @from FOR UPDATE`)
	go move(booking.MoveRequest{Place: booking.Place{SlotID: firstSlot}, Difficulty: 2, Comment: &comment})
	testdb.WaitForBlocked(w.t, w.db, 0)
	go move(booking.MoveRequest{Place: booking.Place{SlotID: firstSlot + 1}})
	require.Eventually(t, func() bool {
		return len(testdb.Blocked(t, w.db)) == 2
	}, 20*time.Second, 5*time.Millisecond, "both have read the old visit and wait")
	end()
	require.NoError(t, <-moved)
	require.NoError(t, <-moved)
	now := w.visit(visit.Guid)
	require.Equal(t, comment, now.Comment)
	require.Len(t, now.Slots, 2)
}

// Promise: a move locks in the order of a booking: the referral, the speciality, then the cells
// that it leaves and takes, by their guid.
func TestMoveLocksInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reverseSlots()
	visit := w.mustBook(1)
	last := w.moveTo(visit, firstSlot+2, 1)
	_, err := w.store().Move(t.Context(), last, moveRequest(last), visit)
	require.NoError(t, err)
	visit = w.visit(visit.Guid)
	a := w.moveTo(visit, firstSlot, 2) // from the third cell to the first two
	for _, wait := range []struct {
		lock string
		free []string
	}{
		{`SELECT FROM direction WHERE lpu_guid = @from FOR UPDATE`, []string{"speciality", "cell 101", "cell 102", "cell 103"}},
		{`SELECT FROM speciality_claim WHERE person_guid = @person FOR UPDATE`, []string{"cell 101", "cell 102", "cell 103"}},
		{`SELECT FROM slot WHERE lpu_guid = @to AND id = 103 FOR UPDATE`, []string{"cell 101", "cell 102"}},
		{`SELECT FROM slot WHERE lpu_guid = @to AND id = 102 FOR UPDATE`, []string{"cell 101"}},
		{`SELECT FROM slot WHERE lpu_guid = @to AND id = 101 FOR UPDATE`, nil},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		store := w.store()
		err := w.whileBlocked(func() error {
			_, err := store.Move(ctx, a, moveRequest(a), visit)
			return err
		}, wait.lock, func(pgx.Tx, int) {
			require.Equal(t, wait.free, w.unlocked(), wait.lock)
			cancel()
		})
		require.ErrorIs(t, err, context.Canceled)
		requireConnectionsReleased(t, store)
		require.Equal(t, visit, w.visit(visit.Guid), "the visit is unchanged")
	}
}

// Promise: a move checks the visit again after it has its locks. A visit that was cancelled
// meanwhile is not moved. If the referral was withdrawn meanwhile, the visit stays unchanged.
func TestMoveIsTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.mustBook(1)
	a := w.moveTo(visit, firstSlot+1, 1)
	w.exec(`UPDATE direction SET cancelled_at = $1`, moment)
	_, err := w.store().Move(t.Context(), a, moveRequest(a), visit)
	requireRefusal(t, err, booking.DirectionNotFound)
	require.Equal(t, visit, w.visit(visit.Guid))
	w.exec(`UPDATE direction SET cancelled_at = NULL`)
	require.NoError(t, w.store().Cancel(t.Context(), booking.NewCancellation{
		Patient: w.patient, Visit: visit, At: moment,
	}))
	written := w.countWritten()
	_, err = w.store().Move(t.Context(), a, moveRequest(a), visit)
	require.ErrorIs(t, err, booking.ErrVisitChanged)
	require.Equal(t, written, w.countWritten())
}

// Promise: the version of a visit is 1 when it is booked, and 1 more after a move and its cancel.
// What changes nothing does not count.
func TestVersionOfAVisit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	requireVersion := func(version int) {
		t.Helper()
		require.Equal(t, version, w.count(`SELECT version FROM appointment`))
	}
	visit := w.mustBook(1)
	requireVersion(1)
	for i := range 2 {
		a := w.moveTo(visit, firstSlot+int64(i)+1, 1)
		_, err := w.store().Move(t.Context(), a, moveRequest(a), visit)
		require.NoError(t, err)
		requireVersion(i + 2)
	}
	for range 2 {
		cancellation := booking.NewCancellation{Patient: w.patient, Visit: visit, At: moment}
		require.NoError(t, w.store().Cancel(t.Context(), cancellation))
		requireVersion(4)
	}
}

// moveWithin returns the statements that move the only visit within its institution, with more
// changes of its columns.
func moveWithin(changes string) []string {
	return []string{
		`CREATE TEMPORARY TABLE moved (LIKE appointment) ON COMMIT DROP`,
		`INSERT INTO moved TABLE appointment`,
		`DELETE FROM appointment`,
		`UPDATE moved SET version = version + 1` + changes,
		`INSERT INTO appointment TABLE moved`,
	}
}

// moveAway returns the statements that move the only visit to the institution @from, which has one
// resource, with more changes of its columns.
func moveAway(changes string) []string {
	return append(moveWithin(`, lpu_guid = @from, mkab_guid = (SELECT guid FROM mkab WHERE lpu_guid = @from),
			resource_guid = (SELECT guid FROM resource WHERE lpu_guid = @from)`+changes),
		`UPDATE direction SET appointment_guid = NULL, appointment_lpu_guid = NULL WHERE lpu_guid = @to`,
		`UPDATE direction SET appointment_lpu_guid = @from WHERE lpu_guid = @from`,
	)
}

// run runs statements in a transaction.
func (w *world) run(tx pgx.Tx, statements []string) {
	w.t.Helper()
	for _, sql := range statements {
		_, err := tx.Exec(w.t.Context(), w.sql(sql))
		require.NoError(w.t, err, sql)
	}
}

// Promise: an institution's move that waits for other requests decides by what they leave: first
// whether the visit is still the one that it names, and then by its attendance.
func TestInstitutionMoveWaitsForOthers(t *testing.T) {
	t.Parallel()
	attended := `, attendance = 'arrived', attendance_at = updated_at, attendance_since = updated_at`
	for name, c := range map[string]struct {
		meanwhile []string
		rule      booking.Name // empty if the move succeeds
	}{
		"an attendance": {[]string{`UPDATE appointment SET version = 2` + attended}, booking.AppointmentVersionMismatch},
		"the same move, and an attendance": {
			moveWithin(`, slot_guids = (SELECT array_agg(guid) FROM slot WHERE lpu_guid = @to AND id = 102)` + attended), "",
		},
		"a move to another institution, and an attendance there": {moveAway(attended), booking.AppointmentAbsent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач', '92')`, w.from, uuid.New())
			visit := w.mustBook(1)
			service := booking.NewService(w.store().Ports(), func() time.Time { return moment })
			err := w.whileBlocked(func() error {
				_, err := service.Reassign(t.Context(), w.to, w.patient.Client, visit.Guid, booking.Reassignment{
					Version: 1, Place: booking.Place{SlotID: firstSlot + 1}, Cause: "doctor_absent",
				})
				return err
			}, `SELECT FROM direction WHERE lpu_guid = @from FOR UPDATE`, func(tx pgx.Tx, _ int) {
				w.run(tx, c.meanwhile)
				require.NoError(t, tx.Commit(t.Context()))
			})
			if c.rule == "" {
				require.NoError(t, err)
			} else {
				requireRefusal(t, err, c.rule)
			}
		})
	}
}

// Promise: a hold or a search for a move uses the visit's current number of cells, also if another
// request changes it after the visit was read, or before it is locked.
func TestNumberOfCellsIsChangedBeforeMove(t *testing.T) {
	t.Parallel()
	hold := func(w *world, service *booking.Service, visit *booking.BookedVisit) error {
		request := w.request(0)
		request.Place = booking.Place{SlotID: firstSlot + 2}
		_, err := service.Hold(t.Context(), w.patient, booking.HoldRequest{
			Request: request, Appointment: &visit.Guid, Length: time.Minute,
		})
		return err
	}
	for name, c := range map[string]struct {
		pause *pause
		call  func(w *world, service *booking.Service, visit *booking.BookedVisit) error
	}{
		"hold, before the rules are checked": {pauseBefore("AppointmentFind", 1), hold},
		"hold, after the rules were checked": {pauseBefore("DirectionLock", 0), hold},
		"search": {
			pause: pauseBefore("AppointmentFind", 1),
			call: func(w *world, service *booking.Service, visit *booking.BookedVisit) error {
				page, err := service.Slots(t.Context(), w.patient, booking.SlotSearch{
					Direction: visit.Direction, Appointment: &visit.Guid, Resource: &w.doctor,
					Limit: 10, Explain: true,
				})
				if err != nil || len(page.Slots) == 0 || page.Slots[len(page.Slots)-1].Refusal == nil {
					return err
				}
				return page.Slots[len(page.Slots)-1].Refusal
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			visit := w.mustBook(1)
			clock := func() time.Time { return moment }
			err := c.pause.during(t, func() error {
				return c.call(w, booking.NewService(w.store(c.pause.addTo).Ports(), clock), visit)
			}, func() {
				_, _, err := booking.NewService(w.store().Ports(), clock).Move(t.Context(), w.patient, visit.Guid,
					booking.MoveRequest{Place: booking.Place{SlotID: firstSlot}, Difficulty: 2}, nil)
				require.NoError(t, err)
			})
			requireRefusal(t, err, booking.ComplexSlotFailed) // two cells, and there is one
		})
	}
}

// Promise: if retention removes a visit after it was first read, a search, a hold and a move are
// rejected with appointment_absent.
func TestVisitIsRemovedBeforeMove(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(s *booking.Service, w *world, visit *booking.BookedVisit) error{
		"search": func(s *booking.Service, w *world, visit *booking.BookedVisit) error {
			_, err := s.Slots(t.Context(), w.patient, booking.SlotSearch{
				Direction: visit.Direction, Appointment: &visit.Guid, Limit: 1,
			})
			return err
		},
		"hold": func(s *booking.Service, w *world, visit *booking.BookedVisit) error {
			_, err := s.Hold(t.Context(), w.patient, booking.HoldRequest{
				Request: w.request(0), Appointment: &visit.Guid, Length: time.Minute,
			})
			return err
		},
		"move": func(s *booking.Service, w *world, visit *booking.BookedVisit) error {
			_, _, err := s.Move(t.Context(), w.patient, visit.Guid, booking.MoveRequest{
				Place: booking.Place{SlotID: firstSlot + 1},
			}, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			visit := w.mustBook(1)
			facts := pauseBefore("AppointmentFind", 1)
			service := booking.NewService(w.store(facts.addTo).Ports(), func() time.Time { return moment })
			requireRefusal(t, facts.during(t, func() error { return call(service, w, visit) }, func() {
				w.exec(`DELETE FROM appointment`)
				w.exec(`DELETE FROM person_appointment`)
			}), booking.AppointmentAbsent)
		})
	}
}

// Promise: a patient finds a visit, and cells to move it to, while it is moved to an institution
// where the patient was not known before.
func TestReadsOfVisitWhileItIsMoved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pause *pause
		read  func(service *booking.Service, patient booking.Patient, visit *booking.BookedVisit) error
	}{
		"visit": {
			pause: pauseBefore("AppointmentList", 0),
			read: func(service *booking.Service, patient booking.Patient, visit *booking.BookedVisit) error {
				_, err := service.Appointment(t.Context(), patient, visit.Guid)
				return err
			},
		},
		"search": {
			pause: pauseBefore("AppointmentFind", 1),
			read: func(service *booking.Service, patient booking.Patient, visit *booking.BookedVisit) error {
				page, err := service.Slots(t.Context(), patient, booking.SlotSearch{
					Direction: visit.Direction, Appointment: &visit.Guid, Limit: 10,
				})
				if err == nil && len(page.Slots) == 0 {
					err = fmt.Errorf("no cell is found: %w", page.BlockedBy)
				}
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			visit := w.mustBook(1)
			w.exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач', '92')`, w.from, uuid.New())
			w.exec(`DELETE FROM person_lpu WHERE lpu_guid = @from`)
			service := booking.NewService(w.store(c.pause.addTo).Ports(), func() time.Time { return moment })
			require.NoError(t, c.pause.during(t, func() error {
				return c.read(service, w.patient, visit)
			}, func() {
				tx, end := w.holdLocks(`INSERT INTO person_lpu VALUES (@person, @from)`)
				defer end()
				w.run(tx, moveAway(""))
				require.NoError(t, tx.Commit(t.Context()))
			}))
		})
	}
}
