package model_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"talon.example/test/harness"
)

// Promise: in random worlds a person never sees data of another person: not in a list with any
// filter or cursor, and not by a guid or a number.
func TestPatientsSeeOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	s := harness.StartEmpty(t)
	s.Exec(`INSERT INTO client_application VALUES ($1, 'Тест', 95, 95, true)`, harness.ClientGuid)
	s.Exec(`INSERT INTO busy_type VALUES (1, 'Прием', true)`)
	s.Exec(`INSERT INTO setting VALUES ($1, 'OneActiveAppointmentPerSpeciality', 'false')`, uuid.Nil)
	require.NoError(t, errModelChecks)
	worlds := 0
	rapid.Check(t, func(rt *rapid.T) {
		if worlds++; worlds > 15 { // each world is as large as a scenario of the model
			return
		}
		sc := s.AnotherScene()
		sc.AddSlots(8)
		people := []uuid.UUID{sc.Person, uuid.New()}
		sc.AddPerson(people[1], "1990-05-05")
		number := rapid.SampledFrom([]string{"1", "A/1", "№ 7"})
		cell := 0
		for _, person := range people {
			mine := *sc
			mine.Person, mine.MkabFrom, mine.MkabTo = person, uuid.New(), uuid.New()
			sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE person_guid = $2`, harness.Moment, person)
			mine.AddMkab(mine.From, mine.MkabFrom, person)
			mine.AddMkab(mine.To, mine.MkabTo, person)
			for range rapid.IntRange(0, 4).Draw(rt, "referrals") {
				direction := uuid.New()
				mine.AddDirection(direction, "Consult")
				sc.Exec(`UPDATE direction SET number = $1, `+harness.Shift("created_at", "$2 * interval '-1 second'")+` WHERE guid = $3`,
					number.Draw(rt, "number"), rapid.IntRange(0, 3).Draw(rt, "age"), direction)
				if !rapid.Bool().Draw(rt, "booked") {
					continue
				}
				cell++
				appointment := mine.MustBook(harness.Fields{"DirectionGuid": direction, "SlotId": cell})
				if rapid.Bool().Draw(rt, "cancelled") {
					require.Equal(t, http.StatusOK, sc.Cancel(person, appointment).StatusCode)
				}
			}
		}
		for i, person := range people {
			other := people[1-i]
			foreign := append(guidsOf(sc, other), other)
			var seen strings.Builder
			read := func(path string) harness.Answer {
				a := s.Get(person, path)
				seen.WriteString(a.Raw)
				return a
			}
			for _, list := range []string{"/directions", "/appointments"} {
				otherCursor := harness.Decode[struct{ Next *string }](t, s.Get(other, list+"?limit=1")).Next
				read(list + "?limit=100")
				if otherCursor != nil {
					read(list + "?cursor=" + *otherCursor)
				}
				for _, guid := range foreign {
					a := read(list + "/" + guid.String())
					require.Equal(t, 404, a.StatusCode, "%s", a.Raw)
				}
			}
			for _, guid := range foreign {
				read("/appointments?directionGuid=" + guid.String())
			}
			for _, n := range []string{"1", "A/1", "№ 7", "47010157096"} {
				a := read("/directions/by-number/" + url.PathEscape(n))
				mine := s.Count(`SELECT count(*) FROM direction d JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid
					WHERE d.number = $1 AND m.person_guid = $2`, n, person)
				require.Equal(t, mine > 0, a.StatusCode == http.StatusOK, "%s", a.Raw)
			}
			for _, guid := range foreign {
				require.NotContains(t, seen.String(), guid.String())
			}
			require.Len(t, s.ListDirections(person, "limit=2"), s.Count(`SELECT count(*) FROM direction d JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid
				WHERE copied_from_lpu_guid IS NULL AND m.person_guid = $1`, person))
			require.Len(t, s.ListAppointments(person, "limit=2"), s.Count(`SELECT count(*) FROM appointment WHERE person_guid = $1`, person))
		}
	})
}

// guidsOf returns the guids of a person's data.
func guidsOf(sc *harness.Scene, person uuid.UUID) []uuid.UUID {
	sc.T.Helper()
	rows, err := sc.DB.Query(sc.T.Context(), `
		SELECT guid FROM mkab WHERE person_guid = $1
		UNION SELECT d.guid FROM direction d JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid WHERE person_guid = $1
		UNION SELECT guid FROM appointment WHERE person_guid = $1`, person)
	require.NoError(sc.T, err)
	defer rows.Close()
	var guids []uuid.UUID
	for rows.Next() {
		var guid uuid.UUID
		require.NoError(sc.T, rows.Scan(&guid))
		guids = append(guids, guid)
	}
	require.NoError(sc.T, rows.Err())
	return guids
}
