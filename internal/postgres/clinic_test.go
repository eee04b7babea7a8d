package postgres

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/clinic"
	"talon.example/internal/registry"
	"talon.example/internal/testdb"
)

// Promise: with prepared statements a list of visits takes one round trip, a receipt three, and an
// attendance six.
func TestClinicRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var count roundTrips
	store := w.store(count.countOn)
	visit := w.mustBook(2)
	read := func() {
		_, err := store.Visits(t.Context(), clinic.VisitFilter{Lpu: w.to}, booking.Page{Limit: 2}, moment)
		require.NoError(t, err)
	}
	confirm := func(number string) func() {
		return func() {
			receipt := clinic.Receipt{Version: 1, Status: clinic.ReceiptAccepted, Number: number}
			_, err := store.WriteReceipt(t.Context(), w.to, visit.Guid, receipt, moment)
			require.NoError(t, err)
		}
	}
	attend := func(attendance booking.Attendance) func() {
		return func() {
			now := w.firstStart.Add(time.Minute)
			_, err := store.WriteAttendance(t.Context(), w.to, visit.Guid, attendance, now)
			require.NoError(t, err)
		}
	}
	read() // prepares the statements
	require.Equal(t, 1, count.during(read))
	confirm("1")()
	require.Equal(t, 3, count.during(confirm("2")))
	attend(booking.AttendanceFulfilled)()
	attend(booking.AttendanceArrived)()
	require.Equal(t, 6, count.during(attend(booking.AttendanceFulfilled)))
	requireConnectionsReleased(t, store)
}

// Promise: a receipt that waits for moves, which insert the visit again, finds the visit, and is
// rejected because it names the version before.
func TestReceiptWaitsForMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.mustBook(1)
	again := pauseBefore("VisitLock", 1)
	store := w.store(again.addTo)
	receipt := clinic.Receipt{Version: 1, Status: clinic.ReceiptAccepted}
	err := w.whileBlocked(func() error {
		_, err := store.WriteReceipt(t.Context(), w.to, visit.Guid, receipt, moment)
		return err
	}, `SELECT FROM appointment WHERE lpu_guid = @to FOR UPDATE`, func(first pgx.Tx, _ int) {
		w.run(first, moveWithin(""))
		require.NoError(t, first.Commit(t.Context()))
		again.wait(t)
		second, end := w.holdLocks(`SELECT 1`)
		defer end()
		w.run(second, moveWithin(""))
		close(again.over)
		testdb.WaitForBlocked(t, w.db, 0)
		require.NoError(t, second.Commit(t.Context()))
	})
	requireRefusal(t, err, booking.AppointmentVersionMismatch)
	require.Equal(t, 3, w.count(`SELECT version FROM appointment WHERE receipt_status IS NULL`))
}

// Promise: an attendance that waits for a move or a cancel of the visit decides by what they leave.
func TestAttendanceWaitsForOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile string
		cancelled bool
		rule      booking.Name
	}{
		"cancel": {`UPDATE appointment SET cancelled_at = updated_at`, true, booking.AppointmentNotActive},
		"move": {
			`UPDATE appointment SET start_at = '2019-08-22 05:45Z', end_at = '2019-08-22 06:00Z'`, false,
			booking.AttendanceEarly,
		},
		"move to another institution, and cancel": {`DELETE FROM appointment`, true, booking.AppointmentAbsent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			visit := w.mustBook(1)
			err := w.whileBlocked(func() error {
				_, err := w.store().WriteAttendance(t.Context(), w.to, visit.Guid, booking.AttendanceNoShow,
					w.firstStart.Add(time.Minute))
				return err
			}, `SELECT FROM direction WHERE lpu_guid = @from FOR UPDATE`, func(tx pgx.Tx, _ int) {
				_, err := tx.Exec(t.Context(), c.meanwhile)
				require.NoError(t, err)
				if c.cancelled {
					_, err := tx.Exec(t.Context(), `UPDATE direction SET appointment_guid = NULL`)
					require.NoError(t, err)
				}
				require.NoError(t, tx.Commit(t.Context()))
			})
			requireRefusal(t, err, c.rule)
			require.Zero(t, w.count(`SELECT count(*) FROM appointment WHERE attendance <> 'none'`))
		})
	}
}

// Promise: a no-show that is undone claims the speciality with the resource that the visit then
// has.
func TestUndoneNoShowWaitsForMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.mustBook(1)
	other := uuid.New()
	w.exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Второй врач', '92')`, w.to, other)
	require.NoError(t, w.whileBlocked(func() error {
		_, err := w.store().WriteAttendance(t.Context(), w.to, visit.Guid, booking.AttendanceArrived,
			w.firstStart.Add(time.Minute))
		return err
	}, `SELECT FROM direction WHERE lpu_guid = @from FOR UPDATE`, func(tx pgx.Tx, _ int) {
		_, err := tx.Exec(t.Context(), `UPDATE appointment SET resource_guid = $1, version = 3, attendance = 'no_show', attendance_at = $2, attendance_since = $2`,
			other, w.firstStart)
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), `DELETE FROM speciality_claim`)
		require.NoError(t, err)
		require.NoError(t, tx.Commit(t.Context()))
	}))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM speciality_claim WHERE resource_name = 'Второй врач'`))
}

// Promise: the events of an attendance have the version of the visit, also beside a merge of cards.
func TestAttendanceDuringMergeOfCards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visit := w.mustBook(1)
	w.exec(`DELETE FROM speciality_claim`) // an examination has none
	w.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = @to`, moment)
	into := uuid.New()
	w.addMkab(w.to, into, w.patient.Person)
	attend := pauseBefore("VisitAttend", 0)
	store := w.store(attend.addTo)
	require.NoError(t, attend.during(t, func() error {
		_, err := store.WriteAttendance(t.Context(), w.to, visit.Guid, booking.AttendanceArrived,
			w.firstStart.Add(time.Minute))
		return err
	}, func() {
		card := registry.Object{Owner: w.to, Kind: registry.KindCard, Guid: w.mkabTo}
		_, err := w.store().MergeCard(t.Context(), registry.Write{Object: card, Version: 1}, into, moment)
		require.NoError(t, err)
	}))
	require.Equal(t, 3, w.count(`SELECT version FROM appointment WHERE attendance = 'arrived'`))
	require.Equal(t, 3, w.count(`SELECT version FROM event_outbox WHERE type = 'appointment.arrived'`))
}
