package e2e_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/test/harness"
)

// Promise: patients of one client application cannot hold the whole schedule of a doctor together,
// not even if all of them hold at the same moment: at most 64 cells within 15 minutes. After that
// time they can hold some again.
func TestPatientsCannotHoldAWholeSchedule(t *testing.T) {
	t.Parallel()
	const patients, longest, held = 5, 16, 64
	sc := harness.Start(t).Scene()
	cells := sc.AddSlots(2 * patients * longest)
	persons, directions := sc.AddPatients(patients)
	var all sync.WaitGroup
	for i := range cells {
		if i%longest != 0 {
			continue
		}
		all.Go(func() {
			patient := i / longest % patients
			a := sc.Hold(persons[patient], cells[i],
				sc.HoldBody(harness.Fields{"DirectionGuid": directions[patient], "Difficulty": longest}))
			if a.StatusCode != http.StatusOK {
				a.RequireRefusal(t, "too_many_requests")
				require.Equal(t, "900", a.Header.Get("Retry-After"))
			}
		})
	}
	all.Wait()
	sc.RequireInvariants()
	require.Equal(t, held, sc.Count(`SELECT count(*) FROM slot WHERE holds IS NOT NULL`))
	sc.AdvanceClock(15 * time.Minute)
	a := sc.Hold(persons[0], cells[0], sc.HoldBody(harness.Fields{"DirectionGuid": directions[0]}))
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.Raw)
	require.Equal(t, 2, sc.Count(`SELECT count(*) FROM held_cells`), "of the patient and the application; the old ones are deleted")
}

// Promise: a patient who holds, releases and holds again has to pause after 32 cells of a doctor.
// A repeated request does not count, and the patient can still book.
func TestHoldingAgainNeedsAPause(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	path := "/slots/" + sc.Slots[0].String() + "/hold?lpuGuid=" + sc.To.String()
	for range 32 {
		sc.MustHold(0)
		sc.MustHold(0)
		release := sc.NewRequest(http.MethodDelete, path, nil)
		release.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		require.Equal(t, http.StatusOK, sc.Do(release).StatusCode)
	}
	sc.Hold(sc.Person, sc.Slots[0], sc.HoldBody()).RequireRefusal(t, "too_many_requests")
	require.Zero(t, sc.Count(`SELECT count(*) FROM hold`))
	require.Equal(t, http.StatusOK, sc.TryBook().StatusCode)
}
