package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/booking"
)

// snapshot is the content of every table, to see that a refusal changed nothing.
func (s *service) snapshot() map[string]string {
	s.t.Helper()
	rows, err := s.db.Query(s.t.Context(), `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`)
	require.NoError(s.t, err)
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var table string
		require.NoError(s.t, rows.Scan(&table))
		tables = append(tables, table)
	}
	require.NoError(s.t, rows.Err())
	content := map[string]string{}
	for _, table := range tables {
		var text string
		require.NoError(s.t, s.db.QueryRow(s.t.Context(),
			`SELECT coalesce(string_agg(t::text, E'\n' ORDER BY t::text), '') FROM `+table+` t`).Scan(&text))
		content[table] = text
	}
	return content
}

// requireInvariants holds the tables against the promises, by looking at the data alone.
func (s *service) requireInvariants() {
	s.t.Helper()
	require.Zero(s.t, s.count(`SELECT count(*) FROM slot s WHERE taken <> (SELECT count(*) FROM appointment a
		WHERE a.lpu_guid = s.lpu_guid AND s.guid = ANY(a.slot_guids) AND a.cancelled_at IS NULL) OR taken > capacity`), "promise 1: cells and their visits")
	require.Zero(s.t, s.count(`SELECT count(*) FROM (SELECT direction_guid FROM appointment WHERE cancelled_at IS NULL
		GROUP BY direction_guid HAVING count(*) > 1) twice`), "promise 2: one visit a referral")
	require.Zero(s.t, s.count(`SELECT count(*) FROM appointment a WHERE cancelled_at IS NULL AND NOT EXISTS (SELECT FROM direction d
		WHERE d.lpu_guid = a.direction_lpu_guid AND d.guid = a.direction_guid AND d.appointment_guid = a.guid)`), "promise 5: the referral names its visit")
	require.Zero(s.t, s.count(`SELECT count(*) FROM direction d WHERE appointment_guid IS NOT NULL AND NOT EXISTS (SELECT FROM appointment a
		WHERE a.lpu_guid = d.appointment_lpu_guid AND a.guid = d.appointment_guid AND a.direction_guid = d.guid AND a.cancelled_at IS NULL
		AND a.start_at = d.appointment_start_at AND a.end_at = d.appointment_end_at)`), "promise 5: what a referral names is an active visit, as it is")
	require.Zero(s.t, s.count(`SELECT count(*) FROM speciality_claim c JOIN appointment a ON a.guid = c.appointment_guid
		WHERE a.cancelled_at IS NOT NULL OR (a.lpu_guid, a.start_at, a.end_at) <> (c.lpu_guid, c.start_at, c.end_at)`), "promise 3: a claim is an active visit's")
	require.Zero(s.t, s.count(`SELECT count(*) FROM appointment a JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
		WHERE a.cancelled_at IS NULL AND a.end_at > $1 AND d.type = 'Consult' AND NOT EXISTS (SELECT FROM speciality_claim c
		WHERE c.person_guid = a.person_guid AND c.speciality_code = d.speciality_code AND c.end_at >= a.end_at)`, s.now()), "promise 3: no consultation without a claim")
	require.Zero(s.t, s.count(`SELECT count(*) FROM (SELECT FROM mkab WHERE closed_at IS NULL GROUP BY lpu_guid, person_guid HAVING count(*) > 1) twice`),
		"promise 4: one open card")
	require.Zero(s.t, s.count(`SELECT count(*) FROM slot s WHERE taken + (SELECT count(*) FROM unnest(slot_holds(holds, $1)) h WHERE NOT EXISTS (
			SELECT FROM appointment a WHERE a.lpu_guid = s.lpu_guid AND s.guid = ANY(a.slot_guids) AND a.cancelled_at IS NULL AND a.person_guid = h.person_guid)) > capacity`, s.now()),
		"promise 11: held places are there, or are those that the holder's visit has")
	require.Zero(s.t, s.count(`WITH held AS (
			SELECT hold.lpu_guid, cell, hold.guid, hold.person_guid, hold.until FROM hold, unnest(hold.slot_guids) cell WHERE hold.until > $1
		), noted AS (
			SELECT slot.lpu_guid, slot.guid, h.guid, h.person_guid, h.until FROM slot, unnest(slot.holds) h WHERE h.until > $1
		) SELECT count(*) FROM ((TABLE held EXCEPT ALL TABLE noted) UNION ALL (TABLE noted EXCEPT ALL TABLE held)) differing`, s.now()),
		"promise 11: a hold has its cells, and a cell its holds")
}

// Promise: the source's first example succeeds byte for byte, though its SlotGuid is no guid, and is answered with the source's values.
func TestFirstExampleOfTheSource(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	// A copy of the referral was left by an earlier booking that was cancelled; it is used again.
	sc.exec(`INSERT INTO direction (lpu_guid, guid, id, copied_from_lpu_guid, type, number, date, date_end, created_at, mkab_guid, speciality_code, mkb_code,
		mkb_name, lpu_from_guid, lpu_to_guid) SELECT $1, guid, 58384, lpu_guid, type, number, date, date_end, created_at, $2, speciality_code, mkb_code,
		mkb_name, lpu_from_guid, lpu_to_guid FROM direction`, sc.to, sc.mkabTo)

	a := sc.book(sc.person, `{
  "DirectionGuid": "e714e964-d8a0-4776-b163-c708371c39a5",
  "DirectionType": "consult",
  "LpuFromGuid": "e66e8056-f0bd-4ec3-85f7-28ff5b22db4f",
  "LpuToGuid": "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9",
  "SlotGuid": "c2ab84d4-bfal-4965-a4a9-48c8306a0a84",
  "SlotId": 14527455,
  "Difficulty" : 2,
  "VisitComment": "",
  "IsCito":true
}`)
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.JSONEq(t, `{
		"type": "Consult",
		"consultDirection": {
			"id": "58384",
			"guid": "e714e964-d8a0-4776-b163-c708371c39a5",
			"number": "47010157096",
			"date": "2019-08-13T00:00:00+03:00",
			"docPrvdSenderGuid": "00000000-0000-0000-0000-000000000000",
			"mkabGuid": "183209fc-1277-4896-aa7f-72dfcd8f03b1",
			"reason": "",
			"specialityCode": "92",
			"specialityName": "",
			"mkbCode": "A01.1",
			"mkbName": "A",
			"lpuFromGuid": "e66e8056-f0bd-4ec3-85f7-28ff5b22db4f",
			"lpuToGuid": "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9",
			"appointment": {
				"guid": "`+a.body.ConsultDirection.Appointment.GUID.String()+`",
				"start": "2019-08-21T08:45:00+03:00",
				"end": "2019-08-21T09:15:00+03:00",
				"createTime": "2019-08-20T17:52:14+03:00"
			}
		},
		"laboratoryDirection": null
	}`, a.raw)
	require.Equal(t, 2, sc.count(`SELECT sum(taken) FROM slot`))
	require.Equal(t, 2, sc.count(`SELECT cardinality(slot_guids) FROM appointment`))
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment WHERE is_cito AND NOT out_of_schedule AND client_guid = $1`, clientGuid))
	sc.requireInvariants()
}

// Promise: booking into another institution writes a copy there with an id of its own, and claims the original.
func TestDirectionIsCopied(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	a := sc.attempt()
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	appointment := a.body.ConsultDirection.Appointment.GUID
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM direction WHERE lpu_guid = $1 AND appointment_guid = $2 AND copied_from_lpu_guid IS NULL`, sc.from, appointment))
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM direction WHERE lpu_guid = $1 AND appointment_guid = $2 AND copied_from_lpu_guid = $3
		AND mkab_guid = $4 AND id::text = $5`, sc.to, appointment, sc.from, sc.mkabTo, a.body.ConsultDirection.ID))
	sc.requireInvariants()
}

// Promise: a copy is no referral of the institution that holds it; a second visit cannot be had through it.
func TestCopyCannotBeBooked(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	require.Equal(t, 200, sc.attempt().StatusCode)
	sc.attempt(fields{"LpuFromGuid": sc.to, "SlotId": firstSlotID + 1}).requireRefusal(t, "direction_not_found")
}

// Promise: within one institution nothing is copied, and of the referral nothing changes but its appointment; the answer tells where the visit is.
func TestBookingWithinOneLpu(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	for _, target := range []any{nil, sc.from} {
		sc.exec(`UPDATE direction SET lpu_guid = $1, mkab_guid = $2, lpu_to_guid = $3, appointment_guid = NULL`, sc.to, sc.mkabTo, target)
		sc.run(`DELETE FROM appointment; DELETE FROM speciality_claim; UPDATE slot SET taken = 0`)
		a := sc.attempt(fields{"LpuFromGuid": sc.to})
		require.Equal(t, 200, a.StatusCode, "%s", a.raw)
		require.Equal(t, sc.to, a.body.ConsultDirection.LpuToGUID)
		require.Equal(t, sc.mkabTo, a.body.ConsultDirection.MkabGUID)
		require.Equal(t, 1, sc.count(`SELECT count(*) FROM direction WHERE lpu_to_guid IS NOT DISTINCT FROM $1 AND mkab_guid = $2`, target, sc.mkabTo))
		sc.requireInvariants()
	}
}

// Promise: a copy that is used again is brought up to date, and keeps its id; another original of the same guid is left alone.
func TestCopyIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	first := sc.attempt()
	require.Equal(t, 200, first.StatusCode, "%s", first.raw)
	sc.run(`DELETE FROM appointment; DELETE FROM speciality_claim; UPDATE slot SET taken = 0; UPDATE direction SET appointment_guid = NULL`)
	sc.exec(`UPDATE direction SET number = 'N-2', mkb_code = 'B02' WHERE lpu_guid = $1`, sc.from)
	again := sc.attempt()
	require.Equal(t, 200, again.StatusCode, "%s", again.raw)
	require.Equal(t, first.body.ConsultDirection.ID, again.body.ConsultDirection.ID)
	require.Equal(t, "N-2", again.body.ConsultDirection.Number)
	require.Equal(t, "B02", again.body.ConsultDirection.MkbCode)

	sc.run(`DELETE FROM appointment; DELETE FROM speciality_claim; UPDATE slot SET taken = 0;
		UPDATE direction SET appointment_guid = NULL, copied_from_lpu_guid = NULL`)
	before := sc.snapshot()
	sc.attempt().requireRefusal(t, "appointment_not_created")
	require.Equal(t, before, sc.snapshot())
}

// Promise: numbers of referrals that were brought in do not get in the way of the numbers of copies.
func TestIdsOfCopies(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`INSERT INTO direction (lpu_guid, guid, id, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
		SELECT $1, gen_random_uuid(), i, 'Consult', i::text, '2019-08-13', '2019-09-12', $2, $3, $1 FROM generate_series(1, 100) i`, sc.to, moment, sc.mkabTo)
	// Even where one was brought in with the very number that comes next.
	sc.exec(`INSERT INTO direction (lpu_guid, guid, id, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
		SELECT $1, gen_random_uuid(), last_value + 1, 'Consult', '', '2019-08-13', '2019-09-12', $2, $3, $1 FROM direction_id_seq`, sc.to, moment, sc.mkabTo)
	a := sc.attempt()
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
}

// Promise: what the database loses without an error is noticed, and nothing is left half done.
func TestNothingIsHalfDone(t *testing.T) {
	t.Parallel()
	t.Run("the visit", func(t *testing.T) {
		t.Parallel()
		sc := start(t).scene()
		sc.run(swallow("appointment"))
		before := sc.snapshot()
		sc.attempt().requireRefusal(t, "appointment_not_created")
		require.Equal(t, before, sc.snapshot())
	})
	t.Run("policy of a card", func(t *testing.T) {
		t.Parallel()
		sc := start(t).scene()
		sc.allowMkab()
		sc.run(swallow("mkab_policy"))
		before := sc.snapshot()
		sc.attempt().requireRefusal(t, "mkab_policy_link_failed")
		require.Equal(t, before, sc.snapshot())
	})
}

// Promise: with the setting off the claim of a speciality is kept by the visit that ends last, so that switching it on counts that one.
func TestSpecialityClaimIsTheLast(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`INSERT INTO setting VALUES ('00000000-0000-0000-0000-000000000000', 'OneActiveAppointmentPerSpeciality', 'false')`)
	require.Equal(t, 200, sc.attempt(fields{"SlotId": firstSlotID + 3}).StatusCode)
	sooner, third := uuid.New(), uuid.New()
	sc.addDirection(sooner, "Consult")
	sc.addDirection(third, "Consult")
	require.Equal(t, 200, sc.attempt(fields{"DirectionGuid": sooner}).StatusCode)
	sc.exec(`UPDATE setting SET value = 'true'`)
	a := sc.attempt(fields{"DirectionGuid": third, "SlotId": firstSlotID + 1})
	a.requireRefusal(t, "speciality_already_booked")
	require.Contains(t, a.error.Message, "21.08.2019 09:30")
}

// Promise: where cells of a resource overlap, a complex slot is made of those that follow each other and have a place.
func TestComplexSlotAmongOverlappingCells(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	for i := range 4 {
		sc.addSlot(sc.doctor, 100+i, time.Date(2019, 8, 21, 8, 45+15*i, 0, 0, moment.Location()), 1)
	}
	sc.exec(`UPDATE slot SET taken = 1 WHERE id IN (14527456, 102)`)
	a := sc.attempt(fields{"Difficulty": 4})
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.Equal(t, "2019-08-21T09:45:00+03:00", a.body.ConsultDirection.Appointment.End.Format(time.RFC3339))
}

// Promise: which mask of a client counts depends on whether the referral leaves the institution.
func TestRightsDependOnTheTarget(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`UPDATE client_application SET visit_direction = 4, visit_direction_other_lpu = 8`)
	sc.exec(`UPDATE slot SET flag_access = 4`)
	sc.attempt().requireRefusal(t, "slot_access_denied")
	sc.exec(`UPDATE direction SET lpu_guid = $1, mkab_guid = $2`, sc.to, sc.mkabTo)
	require.Equal(t, 200, sc.attempt(fields{"LpuFromGuid": sc.to}).StatusCode)
}

// Promise: a client application that nobody has registered has no rights.
func TestUnknownClientHasNoRights(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`DELETE FROM client_application`)
	sc.attempt().requireRefusal(t, "slot_access_denied")
	sc.attempt(sc.outOfSchedule("2019-08-21")).requireRefusal(t, "slot_access_denied")
}

// Promise: a cell is found by its guid, too; of another institution it is not found.
func TestSlotByGuid(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.attempt(fields{"SlotId": nil, "SlotGuid": uuid.New()}).requireRefusal(t, "slot_not_found")
	other := uuid.New()
	sc.exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, '3', 'Третья', time_zone FROM lpu WHERE guid = $2`, other, sc.to)
	sc.attempt(fields{"SlotId": nil, "SlotGuid": sc.slots[3], "LpuToGuid": other}).requireRefusal(t, "slot_not_found")
	a := sc.attempt(fields{"SlotId": nil, "SlotGuid": strings.ToUpper(sc.slots[3].String())})
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.Equal(t, "2019-08-21T09:30:00+03:00", a.body.ConsultDirection.Appointment.Start.Format(time.RFC3339))
}

// Promise: an optional field that is null counts as absent.
func TestNullCountsAsAbsent(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	a := sc.book(sc.person, fmt.Sprintf(`{"DirectionGuid":%q,"DirectionType":"Consult","LpuFromGuid":%q,"LpuToGuid":%q,"SlotGuid":null,"SlotId":%d,
		"Difficulty":null,"VisitComment":null,"IsCito":null,"OutOfSchedule":null,"DocPrvdGuid":null,"Date":null}`, sc.direction, sc.from, sc.to, firstSlotID))
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
}

// Promise: out of schedule a date is read in the target institution's zone; a bare day lasts until its midnight, and today is fine.
func TestOutOfSchedule(t *testing.T) {
	t.Parallel()
	for _, visit := range []struct{ date, zone, start, end string }{
		{"2019-08-20", "Europe/Moscow", "2019-08-20T00:00:00+03:00", "2019-08-21T00:00:00+03:00"},
		{"2019-08-20", "Asia/Vladivostok", "", ""}, // there it is the 21st by now
		{"2019-08-21", "Asia/Vladivostok", "2019-08-21T00:00:00+10:00", "2019-08-22T00:00:00+10:00"},
		{"2019-08-20T17:53:00", "Europe/Moscow", "2019-08-20T17:53:00+03:00", "2019-08-20T17:53:00+03:00"},
		{"2019-08-20T17:52:13", "Europe/Moscow", "", ""},
		{"2019-08-21T10:30", "Asia/Vladivostok", "2019-08-21T10:30:00+10:00", "2019-08-21T10:30:00+10:00"},
		{"2019-08-21T10:30:00+03:00", "Asia/Vladivostok", "2019-08-21T17:30:00+10:00", "2019-08-21T17:30:00+10:00"},
		{"2019-08-20T14:52:13Z", "Asia/Vladivostok", "", ""},
		{"2018-01-01", "Europe/Moscow", "", ""},
	} {
		t.Run(visit.date+" "+visit.zone, func(t *testing.T) {
			t.Parallel()
			sc := start(t).scene()
			sc.exec(`UPDATE lpu SET time_zone = $1 WHERE guid = $2`, visit.zone, sc.to)
			// With OutOfSchedule the ids of the cell are not read, and Difficulty has no effect.
			a := sc.attempt(sc.outOfSchedule(visit.date), fields{"SlotId": 1, "SlotGuid": "no guid", "Difficulty": 3})
			if visit.start == "" {
				a.requireRefusal(t, "slot_time_passed")
				return
			}
			require.Equal(t, 200, a.StatusCode, "%s", a.raw)
			require.Equal(t, visit.start, a.body.ConsultDirection.Appointment.Start.Format(time.RFC3339))
			require.Equal(t, visit.end, a.body.ConsultDirection.Appointment.End.Format(time.RFC3339))
			require.Equal(t, 0, sc.count(`SELECT sum(taken) FROM slot`))
			require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment WHERE out_of_schedule`))
			sc.requireInvariants()
		})
	}
}

// Promise: out of schedule the documented rules about the resource and the rights hold.
func TestOutOfScheduleIsRefused(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.attempt(sc.outOfSchedule("2019-08-21"), fields{"DocPrvdGuid": uuid.New()}).requireRefusal(t, "slot_resource_not_found")
	sc.exec(`UPDATE client_application SET out_of_schedule = false`)
	sc.attempt(sc.outOfSchedule("2019-08-21")).requireRefusal(t, "slot_access_denied")
}

// Promise: an examination is booked on equipment, whatever its speciality, and is answered as a laboratory referral.
func TestLaboratory(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	examination := uuid.New()
	sc.addDirection(examination, "Laboratory")
	sc.exec(`UPDATE resource SET kind = 'equipment', speciality_code = '1'`)
	sc.exec(`UPDATE direction SET urgent = true, flags = 5, comment = 'натощак', accession_number = 'A-1' WHERE guid = $1`, examination)
	a := sc.attempt(fields{"DirectionGuid": examination, "DirectionType": "laboratory"})
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.Nil(t, a.body.ConsultDirection)
	d := a.body.LaboratoryDirection
	require.Equal(t, api.LaboratoryDirectionTypeLaboratory, d.Type)
	require.Equal(t, "2019-09-12T00:00:00+03:00", d.DateEnd.Format(time.RFC3339))
	require.Equal(t, "2019-08-20T17:52:14+03:00", d.DateCreate.Format(time.RFC3339))
	require.True(t, d.Urgent)
	require.EqualValues(t, 5, d.Flags)
	require.Equal(t, "натощак", d.Comment)
	require.Equal(t, "A-1", d.AccessionNumber)
	// One active appointment a speciality is asked of consultations only.
	require.Equal(t, 0, sc.count(`SELECT count(*) FROM speciality_claim`))
}

// Promise: a complex slot takes adjacent cells of one resource, all or none.
func TestComplexSlot(t *testing.T) {
	t.Parallel()
	for name, breakUp := range map[string]string{
		"a cell is full":             `UPDATE slot SET taken = capacity WHERE id = 14527457`,
		"a cell is blocked":          `UPDATE slot SET blocked = true WHERE id = 14527457`,
		"a cell takes no visits":     `UPDATE slot SET busy_type = 2 WHERE id = 14527457`,
		"a cell is closed to us":     `UPDATE slot SET flag_access = 0 WHERE id = 14527457`,
		"a cell is kept for others":  `UPDATE slot SET restriction = 'pregnant' WHERE id = 14527457`,
		"there is a gap":             `DELETE FROM slot WHERE id = 14527456`,
		"the schedule ends too soon": `DELETE FROM slot WHERE id > 14527456`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := start(t).scene()
			sc.run(breakUp)
			before := sc.snapshot()
			sc.attempt(fields{"Difficulty": 3}).requireRefusal(t, "complex_slot_failed")
			require.Equal(t, before, sc.snapshot())
		})
	}
	t.Run("all are free", func(t *testing.T) {
		t.Parallel()
		sc := start(t).scene()
		a := sc.attempt(fields{"Difficulty": 4})
		require.Equal(t, 200, a.StatusCode, "%s", a.raw)
		require.Equal(t, "2019-08-21T09:45:00+03:00", a.body.ConsultDirection.Appointment.End.Format(time.RFC3339))
		sc.requireInvariants()
	})
}

// Promise: the card is made from the master patient index, its policy is linked, and it stays where the booking after it fails.
func TestMkabIsMade(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.allowMkab()
	sc.exec(`UPDATE slot SET taken = 1 WHERE guid = $1`, sc.slots[1])
	sc.attempt(fields{"Difficulty": 2}).requireRefusal(t, "complex_slot_failed")
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM mkab JOIN mkab_policy p ON p.lpu_guid = mkab.lpu_guid AND p.mkab_guid = mkab.guid
		WHERE mkab.lpu_guid = $1 AND person_guid = $2 AND p.number = '1234567890123456'`, sc.to, sc.person))

	a := sc.attempt()
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM mkab WHERE lpu_guid = $1 AND guid = $2`, sc.to, a.body.ConsultDirection.MkabGUID))
}

// Promise: the card is made from a FHIR server, too, which is asked with a ticket.
func TestMkabIsMadeFromARemoteIndex(t *testing.T) {
	t.Parallel()
	address := httptestServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token":"ticket","token_type":"Bearer","expires_in":3600}`))
			return
		}
		if r.URL.Path != "/fhir/Patient" || r.Header.Get("Authorization") != "Bearer ticket" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, value, _ := strings.Cut(r.URL.Query().Get("identifier"), "|")
		w.Header().Set("Content-Type", "application/fhir+json")
		_, _ = fmt.Fprintf(w, `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient",
			"identifier":[{"system":"urn:ietf:rfc:3986","value":%q},{"system":"urn:oid:1.2.643.2.69.1.1.1.6.228","value":"7700000000000001"}],
			"name":[{"family":"Удаленный","given":["Пациент","Второй"]}],"gender":"female","birthDate":"1980-02-29"}}]}`, value)
	}))
	sc := start(t, func(c *app.Config) {
		c.MipURL, c.MipAuthURL = app.Address(address+"/fhir"), app.Address(address+"/token")
	}).scene()
	sc.allowMkab()
	a := sc.attempt()
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM mkab JOIN mkab_policy p ON p.mkab_guid = mkab.guid WHERE mkab.lpu_guid = $1
		AND surname = 'Удаленный' AND name = 'Пациент' AND patronymic = 'Второй' AND sex = 'female' AND p.number = '7700000000000001'`, sc.to))
}

// Promise: a closed card does not hide an open one.
func TestOpenMkabCounts(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, moment, sc.to)
	open := uuid.New()
	sc.addMkab(sc.to, open, sc.person)
	a := sc.attempt()
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.Equal(t, open, a.body.ConsultDirection.MkabGUID)
}

// Promise: one active appointment a speciality is a setting of the region; a visit that has ended, or of another speciality, does not count.
func TestOneActiveAppointmentASpeciality(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"the setting is off":        `INSERT INTO setting VALUES ('00000000-0000-0000-0000-000000000000', 'OneActiveAppointmentPerSpeciality', 'false')`,
		"the other visit has ended": `UPDATE speciality_claim SET start_at = '2019-08-20T17:00+03', end_at = '2019-08-20T17:52:14+03'`,
		"another speciality":        `UPDATE direction SET speciality_code = '7' WHERE appointment_guid IS NULL; UPDATE resource SET speciality_code = '7'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := start(t).scene()
			require.Equal(t, 200, sc.attempt().StatusCode)
			another := uuid.New()
			sc.addDirection(another, "Consult")
			sc.run(change)
			a := sc.attempt(fields{"DirectionGuid": another, "SlotId": firstSlotID + 1})
			require.Equal(t, 200, a.StatusCode, "%s", a.raw)
			sc.requireInvariants()
		})
	}
}

// Promise: whoever loses a race for the referral or the speciality gets its documented answer, and leaves nothing behind.
func TestLostRaces(t *testing.T) {
	t.Parallel()
	t.Run("referral", func(t *testing.T) {
		t.Parallel()
		sc := start(t).scene()
		sc.attemptWhile(`UPDATE direction SET appointment_guid = gen_random_uuid()`).requireRefusal(t, "direction_already_booked")
		require.Equal(t, 0, sc.count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM appointment) + (SELECT count(*) FROM speciality_claim)`))
	})
	t.Run("speciality", func(t *testing.T) {
		t.Parallel()
		sc := start(t).scene()
		a := sc.attemptWhile(`INSERT INTO speciality_claim VALUES ($1, '92', gen_random_uuid(), $2, 'Кабинет 5', '2019-08-22T09:00+03', '2019-08-22T09:15+03')`,
			sc.person, sc.to)
		a.requireRefusal(t, "speciality_already_booked")
		require.Equal(t, "Вы уже записаны Кабинет 5 на 22.08.2019 09:00. Запрещено иметь более одной активной записи на прием на одну специальность.", a.error.Message)
		require.Equal(t, 0, sc.count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM appointment)`))
	})
	for name, change := range map[string]struct{ sql, rule string }{
		"the cell is moved":            {`UPDATE slot SET start_at = start_at + interval '1 day', end_at = end_at + interval '1 day'`, "slot_taken"},
		"the cell is made longer":      {`UPDATE slot SET end_at = end_at + interval '5 minutes'`, "slot_taken"},
		"the cell is kept for others":  {`UPDATE slot SET restriction = 'pregnant'`, "slot_taken"},
		"the cell is blocked":          {`UPDATE slot SET blocked = true`, "slot_taken"},
		"the cell takes no visits":     {`UPDATE slot SET busy_type = 2`, "slot_taken"},
		"the cell is closed to us":     {`UPDATE slot SET flag_access = 0`, "slot_taken"},
		"the resource leaves":          {`UPDATE resource SET active = false`, "slot_resource_not_found"},
		"the card is closed":           {`UPDATE mkab SET closed_at = now()`, "mkab_closed"},
		"the cell goes to another one": {`UPDATE slot SET resource_guid = (SELECT guid FROM resource WHERE name = 'Другой')`, "slot_taken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := start(t).scene()
			sc.exec(`INSERT INTO resource VALUES ($1, gen_random_uuid(), 'doctor', 'Другой', '92')`, sc.to)
			sc.attemptWhile(change.sql).requireRefusal(t, change.rule)
			require.Equal(t, 0, sc.count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM appointment) + (SELECT count(*) FROM speciality_claim)`))
		})
	}
	t.Run("later cell of a complex slot", func(t *testing.T) {
		t.Parallel()
		sc := start(t).scene()
		tx, err := sc.db.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), `UPDATE slot SET taken = capacity WHERE guid = $1`, sc.slots[1])
		require.NoError(t, err)
		answers := make(chan answer, 1)
		go func() { answers <- sc.attempt(fields{"Difficulty": 2}) }()
		sc.waitForBlocked(tx)
		require.NoError(t, tx.Commit(t.Context()))
		(<-answers).requireRefusal(t, string(booking.ComplexSlotFailed))
		require.Equal(t, 1, sc.count(`SELECT sum(taken) FROM slot`))
	})
}

// Promise: whoever is refused for an appointment that the patient has is told which, also the losers of a race; nobody else is told anything.
func TestRefusalsNameTheAppointment(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	answers := make([]answer, 16)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i] = sc.attempt(fields{"SlotId": firstSlotID + i%4}) })
	}
	group.Wait()
	winner := slices.IndexFunc(answers, func(a answer) bool { return a.StatusCode == 200 })
	require.NotEqual(t, -1, winner)
	booked := appointmentOf(answers[winner])
	want := &api.ExistingAppointment{GUID: booked.GUID, LpuGUID: sc.to, Start: booked.Start, End: booked.End}
	another := uuid.New()
	sc.addDirection(another, "Consult")
	answers = append(slices.Delete(answers, winner, winner+1), sc.attempt(fields{"DirectionGuid": another, "SlotId": firstSlotID + (winner+1)%4}))
	for _, a := range answers {
		require.Equal(t, 400, a.StatusCode, a.raw)
		require.NotNil(t, a.error.Details, a.raw)
		require.Equal(t, want, a.error.Details.Appointment)
	}
	stranger, _ := sc.patient()
	refused := sc.book(stranger, sc.request())
	refused.requireRefusal(t, "direction_not_patients")
	require.Nil(t, refused.error.Details)
}

// offered are the cells that a refusal shows as the way out.
func offered(t testing.TB, a answer) []api.NearestSlot {
	t.Helper()
	if a.error.Details == nil || a.error.Details.Slots == nil {
		return nil
	}
	return *a.error.Details.Slots
}

// Promise: whoever finds a cell full is shown the nearest free ones that this very booking can have: of the resource first, then of its speciality.
func TestNearestSlots(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	another := uuid.New()
	sc.exec(`INSERT INTO resource VALUES ($1, $2, 'room', 'Кабинет', '92')`, sc.to, another)
	stranger := uuid.New()
	sc.exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач другой специальности', '7')`, sc.to, stranger)
	at := func(clock string) time.Time {
		t.Helper()
		start, err := time.Parse(time.RFC3339, "2019-08-21T"+clock+":00+03:00")
		require.NoError(t, err)
		return start
	}
	sc.exec(`UPDATE slot SET taken = 1 WHERE id IN ($1, $2)`, firstSlotID, firstSlotID+1)
	sc.exec(`UPDATE slot SET blocked = true WHERE id = $1`, firstSlotID+2)
	before := sc.addSlot(sc.doctor, 1, at("08:00"), 1)
	sc.addSlot(another, 2, at("08:45"), 1)
	near := sc.addSlot(another, 3, at("09:00"), 2)
	sc.addSlot(stranger, 4, at("08:45"), 1)
	sc.exec(`UPDATE slot SET restriction = 'pregnant' WHERE id = 2`)

	refused := sc.attempt()
	refused.requireRefusal(t, "slot_full")
	slots := offered(t, refused)
	require.Len(t, slots, 3)
	require.Equal(t, []uuid.UUID{before, sc.slots[3], near}, []uuid.UUID{slots[0].GUID, slots[1].GUID, slots[2].GUID})
	require.Equal(t, another, slots[2].Resource.GUID)
	requireAgreement(t, sc.askCheck(sc.person, sc.request()), refused)
	require.Equal(t, 200, sc.attempt(fields{"SlotId": slots[2].ID}).StatusCode)

	sc.exec(`UPDATE slot SET taken = capacity`)
	person, direction := sc.patient()
	none := sc.book(person, sc.request(fields{"DirectionGuid": direction}))
	none.requireRefusal(t, "slot_full")
	require.Nil(t, none.error.Details)
}

// Promise: whoever loses the race for a cell is shown others, each of which can be had.
func TestNearestSlotsAfterARace(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	type contender struct{ person, direction uuid.UUID }
	contenders := make([]contender, 16)
	for i := range contenders {
		contenders[i].person, contenders[i].direction = sc.patient()
	}
	answers := make([]answer, len(contenders))
	var group sync.WaitGroup
	for i, c := range contenders {
		group.Go(func() { answers[i] = sc.book(c.person, sc.request(fields{"DirectionGuid": c.direction})) })
	}
	group.Wait()
	losers := 0
	for i, a := range answers {
		if a.StatusCode == 200 {
			continue
		}
		require.Contains(t, []api.Rule{api.RuleSlotFull, api.RuleSlotTaken}, a.error.Rule)
		slots := offered(t, a)
		require.Len(t, slots, 3, a.raw)
		losers++
		if losers <= len(slots) { // each takes another one
			again := sc.book(contenders[i].person, sc.request(fields{"DirectionGuid": contenders[i].direction, "SlotId": slots[losers-1].ID}))
			require.Equal(t, 200, again.StatusCode, again.raw)
		}
	}
	require.Equal(t, len(contenders)-1, losers)
}

// Promise: a complex slot is offered others that are as long.
func TestNearestComplexSlots(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`UPDATE slot SET taken = 1 WHERE id = $1`, firstSlotID)
	refused := sc.attempt(fields{"Difficulty": 2})
	refused.requireRefusal(t, "slot_full")
	slots := offered(t, refused)
	require.Len(t, slots, 2)
	for i, slot := range slots {
		require.Equal(t, sc.slots[1+i], slot.GUID)
		require.Equal(t, 30*time.Minute, slot.End.Sub(slot.Start))
	}
}

// Promise: whoever cannot move to a cell that is full is shown others, too.
func TestNearestSlotsOfAMove(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	booked := sc.attempt()
	require.Equal(t, 200, booked.StatusCode)
	sc.exec(`UPDATE slot SET taken = 1 WHERE id = $1`, firstSlotID+1)
	refused := sc.move(sc.person, appointmentOf(booked).GUID, fields{"SlotId": firstSlotID + 1})
	refused.requireRefusal(t, "slot_full")
	slots := offered(t, refused)
	require.Len(t, slots, 2)
	require.Equal(t, sc.slots[2], slots[0].GUID)
	require.Equal(t, 200, sc.move(sc.person, appointmentOf(booked).GUID, fields{"SlotId": slots[0].ID}).StatusCode)
}
