package postgres

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/registry"
)

// pastDays are different for each kind, so that a sweep shows which kind it deletes.
var pastDays = registry.RetentionDays{FreeCells: 30, Visits: 365, Referrals: 400}

// sweepAt sweeps as an instance does a number of days after moment, and returns how many rows it
// has deleted.
func (w *world) sweepAt(days int, kept registry.RetentionDays) int {
	w.t.Helper()
	now := func() time.Time { return moment.AddDate(0, 0, days) }
	deleted, err := registry.NewRetention(w.store(), kept, now).Sweep(w.t.Context())
	require.NoError(w.t, err)
	return deleted
}

// Promise: free cells, visits and referrals are deleted when they are as old as configured, and no
// sooner. With a visit goes all that exists only for it: its cell, the copy of its referral, its
// speciality and the row of its person.
func TestPastIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	booked := w.appointment(1)
	require.NoError(t, create(t, w.store(), booked))
	later := w.addSlot(w.doctor, firstSlot+10, moment.AddDate(2, 0, 0))
	w.exec(`INSERT INTO source_object (owner_guid, kind, guid, version, content, deleted) VALUES ($1, 'referral', $2, 1, sha256(''), false)`,
		w.from, w.direction)
	w.exec(`INSERT INTO schedule_window (lpu_guid, resource_guid, from_at, to_at, version, content, settled) VALUES ($1, $2, $3, $4, 1, sha256(''), true)`,
		w.to, w.doctor, moment, moment.AddDate(0, 0, 1))
	rows := func() (found [7]int) {
		for i, table := range []string{
			"slot", "schedule_window", "appointment", "person_appointment", "speciality_claim",
			"direction", "source_object",
		} {
			found[i] = w.count("SELECT count(*) FROM " + table)
		}
		return found
	}
	all := [7]int{4, 1, 1, 1, 1, 2, 1}
	require.Equal(t, all, rows())

	require.Equal(t, 0, w.sweepAt(1000, registry.RetentionDays{}))
	require.Equal(t, 0, w.sweepAt(30, pastDays))
	require.Equal(t, all, rows())

	require.Equal(t, 3, w.sweepAt(32, pastDays), "two free cells and the message")
	require.Equal(t, [7]int{2, 0, 1, 1, 1, 2, 1}, rows())
	require.Equal(t, 0, w.sweepAt(365, pastDays))

	require.Equal(t, 1, w.sweepAt(367, pastDays), "the visit")
	require.Equal(t, [7]int{1, 0, 0, 0, 0, 1, 1}, rows())
	require.Equal(t, 1, w.count("SELECT count(*) FROM slot WHERE guid = $1", later))
	require.Equal(t, 1, w.count("SELECT count(*) FROM direction WHERE appointment_guid = $1", booked.Guid),
		"the referral is still known to have been used")

	require.Equal(t, 0, w.sweepAt(422, pastDays), "its last day was 23 days after the first moment")
	require.Equal(t, 1, w.sweepAt(425, pastDays))
	require.Equal(t, [7]int{1, 0, 0, 0, 0, 0, 0}, rows())
}

// Promise: a referral is kept as long as something in use needs it: a visit after its last day, or
// a visit of the same institution that is still kept. So is a copy with a later visit.
func TestReferralInUseIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	booked := w.appointment(1)
	require.NoError(t, create(t, w.store(), booked))
	// An earlier visit with the same copy, which was cancelled.
	w.exec(`INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at, out_of_schedule, is_cito,
			comment, created_at, updated_at, slot_guids, cancelled_at)
		SELECT lpu_guid, $1, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, $2, $2, true, false, '', created_at, created_at, '{}', created_at
		FROM appointment`, uuid.New(), moment.AddDate(0, 0, -100))
	w.exec(`UPDATE direction SET date_end = '2019-08-22', appointment_end_at = $1 WHERE copied_from_lpu_guid IS NULL`, moment.AddDate(0, 0, 50))
	kept := registry.RetentionDays{Visits: 10, Referrals: 10}
	visits := `SELECT count(*) FROM appointment`
	copies := `SELECT count(*) FROM direction WHERE copied_from_lpu_guid IS NOT NULL`
	originals := `SELECT count(*) FROM direction WHERE copied_from_lpu_guid IS NULL`

	require.Equal(t, 1, w.sweepAt(5, kept), "the cancelled visit")
	require.Equal(t, 1, w.count(visits))
	require.Equal(t, 1, w.count(copies))
	require.Equal(t, 1, w.sweepAt(20, kept), "the visit")
	require.Equal(t, 0, w.count(copies))
	require.Equal(t, 1, w.count(originals), "its visit ended later than its last day")
	require.Equal(t, 1, w.sweepAt(61, kept))
	require.Equal(t, 0, w.count(originals))

	own := newWorld(t) // a visit in the institution of the referral
	own.exec(`UPDATE direction SET date_end = '2019-08-22'`)
	own.exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач', '92')`, own.from, own.doctor)
	own.exec(`INSERT INTO appointment (lpu_guid, guid, direction_guid, direction_lpu_guid, mkab_guid, person_guid, resource_guid, client_guid, start_at, end_at, out_of_schedule, is_cito,
			comment, created_at, updated_at, slot_guids)
		VALUES ($1, gen_random_uuid(), $2, $1, $3, $4, $5, $4, $6, $6, true, false, '', $6, $6, '{}')`,
		own.from, own.direction, own.mkabFrom, own.patient.Person, own.doctor, moment.AddDate(0, 0, 100))
	require.Equal(t, 0, own.sweepAt(50, kept))
	require.Equal(t, 2, own.sweepAt(150, kept), "the visit, and in the same sweep the referral")
}

// Promise: several instances share the institutions. Each row is deleted once, however many there
// are, and bookings go on meanwhile.
func TestSweepsShareInstitutions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const cells = 1_700 // more than one transaction deletes, many with the same beginning
	w.exec(`DELETE FROM slot`)
	w.exec(`INSERT INTO resource SELECT $1, $2, 'doctor', 'Врач', '92'`, w.from, w.doctor)
	w.exec(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type)
		SELECT lpu, gen_random_uuid(), 1000 + n, $3, $4::timestamptz + n / 900 * interval '1 hour', $4::timestamptz + (n / 900 + 1) * interval '1 hour', 12, 1
		FROM unnest(ARRAY[$1, $2]::uuid[]) lpu, generate_series(1, $5) n`, w.from, w.to, w.doctor, moment.AddDate(0, 0, -50), cells)
	w.addSlot(w.doctor, firstSlot, w.firstStart)
	booked := w.appointment(1)

	var deleted atomic.Int64
	var sweeps sync.WaitGroup
	for range 3 {
		store := w.store()
		sweeps.Go(func() {
			sweep := registry.NewRetention(store, pastDays, func() time.Time { return moment })
			rows, err := sweep.Sweep(t.Context())
			deleted.Add(int64(rows))
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, create(t, w.store(), booked))
	sweeps.Wait()
	require.EqualValues(t, 2*cells, deleted.Load())
	require.Equal(t, 1, w.count(`SELECT count(*) FROM slot`))
	require.Equal(t, 0, w.sweepAt(0, pastDays), "all were swept today")
}
