package e2e_test

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
	"talon.example/test/harness"
)

// Promise: the source's first example succeeds unchanged, though its SlotGuid is no guid. The
// response has the source's values.
func TestFirstExampleOfTheSource(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	// An earlier booking that was cancelled left a copy of the referral, which is reused.
	sc.Exec(`INSERT INTO direction (lpu_guid, guid, id, copied_from_lpu_guid, type, number, date, date_end, created_at, mkab_guid, speciality_code, mkb_code,
		mkb_name, lpu_from_guid, lpu_to_guid) SELECT $1, guid, 58384, lpu_guid, type, number, date, date_end, created_at, $2, speciality_code, mkb_code,
		mkb_name, lpu_from_guid, lpu_to_guid FROM direction`, sc.To, sc.MkabTo)

	a := sc.Book(sc.Person, `{
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
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
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
				"guid": "`+a.Result.ConsultDirection.Appointment.GUID.String()+`",
				"start": "2019-08-21T08:45:00+03:00",
				"end": "2019-08-21T09:15:00+03:00",
				"createTime": "2019-08-20T17:52:14+03:00"
			}
		},
		"laboratoryDirection": null
	}`, a.Raw)
	require.Equal(t, 2, sc.Count(`SELECT sum(taken) FROM slot`))
	require.Equal(t, 2, sc.Count(`SELECT cardinality(slot_guids) FROM appointment`))
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE is_cito AND NOT out_of_schedule AND client_guid = $1`, harness.ClientGuid))
	sc.RequireInvariants()
}

// Promise: booking into another institution writes a copy there with its own id, and claims the
// original.
func TestDirectionIsCopied(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	a := sc.TryBook()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	appointment := a.Result.ConsultDirection.Appointment.GUID
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM direction WHERE lpu_guid = $1 AND appointment_guid = $2 AND copied_from_lpu_guid IS NULL`, sc.From, appointment))
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM direction WHERE lpu_guid = $1 AND appointment_guid = $2 AND copied_from_lpu_guid = $3
		AND mkab_guid = $4 AND id::text = $5`, sc.To, appointment, sc.From, sc.MkabTo, a.Result.ConsultDirection.ID))
	sc.RequireInvariants()
}

// Promise: a copy cannot be booked as a referral of the institution that holds it, so that a
// referral has no second visit.
func TestCopyCannotBeBooked(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	require.Equal(t, 200, sc.TryBook().StatusCode)
	sc.TryBook(harness.Fields{
		"LpuFromGuid": sc.To, "SlotId": harness.FirstSlotID + 1,
	}).RequireRefusal(t, "direction_not_found")
}

// Promise: within one institution nothing is copied, and only the appointment of the referral
// changes. The response names the institution and card of the visit.
func TestBookingWithinOneLpu(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	anywhere, elsewhere := s.Scene(), s.AnotherScene()
	for sc, target := range map[*harness.Scene]any{anywhere: nil, elsewhere: elsewhere.From} {
		sc.IssueInTarget()
		sc.Exec(`UPDATE direction SET lpu_to_guid = $1 WHERE lpu_guid = $2`, target, sc.To)
		a := sc.TryBook(harness.Fields{"LpuFromGuid": sc.To})
		require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
		require.Equal(t, sc.To, a.Result.ConsultDirection.LpuToGUID)
		require.Equal(t, sc.MkabTo, a.Result.ConsultDirection.MkabGUID)
		require.Equal(t, 1, sc.Count(`SELECT count(*) FROM direction WHERE lpu_to_guid IS NOT DISTINCT FROM $1 AND mkab_guid = $2`, target, sc.MkabTo))
		sc.RequireInvariants()
	}
}

// Promise: a reused copy is updated from the original and keeps its id. A referral of the target
// institution with the same guid is not overwritten.
func TestReusedCopyIsUpdated(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	first := sc.TryBook()
	require.Equal(t, 200, first.StatusCode, "%s", first.Raw)
	sc.Exec(`DELETE FROM appointment; DELETE FROM speciality_claim; UPDATE slot SET taken = 0; UPDATE direction SET appointment_guid = NULL`)
	sc.Exec(`UPDATE direction SET number = 'N-2', mkb_code = 'B02' WHERE lpu_guid = $1`, sc.From)
	again := sc.TryBook()
	require.Equal(t, 200, again.StatusCode, "%s", again.Raw)
	require.Equal(t, first.Result.ConsultDirection.ID, again.Result.ConsultDirection.ID)
	require.Equal(t, "N-2", again.Result.ConsultDirection.Number)
	require.Equal(t, "B02", again.Result.ConsultDirection.MkbCode)

	sc.Exec(`DELETE FROM appointment; DELETE FROM speciality_claim; UPDATE slot SET taken = 0;
		UPDATE direction SET appointment_guid = NULL, copied_from_lpu_guid = NULL`)
	before := sc.Snapshot()
	sc.TryBook().RequireRefusal(t, "appointment_not_created")
	require.Equal(t, before, sc.Snapshot())
}

// Promise: imported ids of referrals do not conflict with the ids of copies.
func TestCopyIDs(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`INSERT INTO direction (lpu_guid, guid, id, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
		SELECT $1, gen_random_uuid(), i, 'Consult', i::text, '2019-08-13', '2019-09-12', $2, $3, $1 FROM generate_series(1, 100) i`, sc.To, harness.Moment, sc.MkabTo)
	// One has the very id that the sequence returns next.
	sc.Exec(`INSERT INTO direction (lpu_guid, guid, id, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
		SELECT $1, gen_random_uuid(), last_value + 1, 'Consult', '', '2019-08-13', '2019-09-12', $2, $3, $1 FROM direction_id_seq`, sc.To, harness.Moment, sc.MkabTo)
	a := sc.TryBook()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
}

// Promise: a booking fails if the database drops one of its rows without an error. Nothing of it is
// left.
func TestNothingIsHalfDone(t *testing.T) {
	t.Parallel()
	t.Run("appointment row", func(t *testing.T) {
		t.Parallel()
		sc := harness.Start(t).Scene()
		sc.AddTrigger(discardInserts("appointment"))
		before := sc.Snapshot()
		sc.TryBook().RequireRefusal(t, "appointment_not_created")
		require.Equal(t, before, sc.Snapshot())
	})
	t.Run("policy row of a card", func(t *testing.T) {
		t.Parallel()
		sc := harness.Start(t).Scene()
		sc.AllowMkabCreation()
		sc.AddTrigger(discardInserts("mkab_policy"))
		before := sc.Snapshot()
		sc.TryBook().RequireRefusal(t, "mkab_policy_link_failed")
		require.Equal(t, before, sc.Snapshot())
	})
}

// Promise: where the setting is off, the claim of a speciality belongs to the visit that ends last.
// That visit counts when the setting is turned on.
func TestSpecialityClaimIsTheLast(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`INSERT INTO setting VALUES ('00000000-0000-0000-0000-000000000000', 'OneActiveAppointmentPerSpeciality', 'false')`)
	require.Equal(t, 200, sc.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + 3}).StatusCode)
	earlier, third := uuid.New(), uuid.New()
	sc.AddDirection(earlier, "Consult")
	sc.AddDirection(third, "Consult")
	require.Equal(t, 200, sc.TryBook(harness.Fields{"DirectionGuid": earlier}).StatusCode)
	sc.Exec(`UPDATE setting SET value = 'true'`)
	a := sc.TryBook(harness.Fields{"DirectionGuid": third, "SlotId": harness.FirstSlotID + 1})
	a.RequireRefusal(t, "speciality_already_booked")
	require.Contains(t, a.Refusal.Message, "21.08.2019 09:30")
}

// Promise: a complex slot among overlapping cells takes adjacent cells that have a free place.
func TestComplexSlotAmongOverlappingCells(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	for i := range 4 {
		sc.AddSlot(sc.Doctor, 100+i, time.Date(2019, 8, 21, 8, 45+15*i, 0, 0, harness.Moment.Location()), 1)
	}
	sc.Exec(`UPDATE slot SET taken = 1 WHERE id IN (14527456, 102)`)
	a := sc.TryBook(harness.Fields{"Difficulty": 4})
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.Equal(t, "2019-08-21T09:45:00+03:00", a.Result.ConsultDirection.Appointment.End.Format(time.RFC3339))
}

// Promise: whether source and target institution differ decides which access mask of the client
// application applies.
func TestRightsDependOnTarget(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE client_application SET visit_direction = 4, visit_direction_other_lpu = 8`)
	sc.Exec(`UPDATE slot SET flag_access = 4`)
	sc.TryBook().RequireRefusal(t, "slot_access_denied")
	sc.IssueInTarget()
	require.Equal(t, 200, sc.TryBook(harness.Fields{"LpuFromGuid": sc.To}).StatusCode)
}

// Promise: every operation rejects the token of a client application that does not exist or is not
// active.
func TestClientMustBeActive(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	visit := sc.MustBook()
	for _, change := range []string{`UPDATE client_application SET active = false`, `DELETE FROM client_application`} {
		sc.Exec(change)
		before := sc.Snapshot()
		for path, item := range harness.ContractDoc().Paths.Map() {
			for method, operation := range item.Operations() {
				if operation.Security != nil {
					continue // it takes no token of a patient
				}
				path := strings.NewReplacer(
					"{appointmentGuid}", visit.String(), "{directionGuid}", sc.Direction.String(),
					"{slotGuid}", sc.Slots[0].String(), "{number}", "1",
				).Replace(path)
				request := sc.NewRequest(method, path, strings.NewReader("{}"))
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
				sc.Do(request).RequireRefusal(t, "token_invalid")
			}
		}
		require.Equal(t, before, sc.Snapshot())
	}
}

// Promise: a cell is also found by its guid. A cell of another institution is not found.
func TestSlotByGuid(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.TryBook(harness.Fields{"SlotId": nil, "SlotGuid": uuid.New()}).RequireRefusal(t, "slot_not_found")
	other := uuid.New()
	sc.Exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, '3', 'Третья', time_zone FROM lpu WHERE guid = $2`, other, sc.To)
	sc.TryBook(harness.Fields{
		"SlotId": nil, "SlotGuid": sc.Slots[3], "LpuToGuid": other,
	}).RequireRefusal(t, "slot_not_found")
	a := sc.TryBook(harness.Fields{"SlotId": nil, "SlotGuid": strings.ToUpper(sc.Slots[3].String())})
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.Equal(t, "2019-08-21T09:30:00+03:00", a.Result.ConsultDirection.Appointment.Start.Format(time.RFC3339))
}

// Promise: an optional field that is null counts as absent.
func TestNullCountsAsAbsent(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	body := fmt.Sprintf(`{"DirectionGuid":%q,"DirectionType":"Consult","LpuFromGuid":%q,"LpuToGuid":%q,`+
		`"SlotGuid":null,"SlotId":%d,
		"Difficulty":null,"VisitComment":null,"IsCito":null,"OutOfSchedule":null,"DocPrvdGuid":null,"Date":null}`,
		sc.Direction, sc.From, sc.To, harness.FirstSlotID)
	a := sc.Book(sc.Person, body)
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
}

// Promise: out of schedule, a date is read in the zone of the target institution. A visit on a bare
// day lasts until midnight, and today is accepted.
func TestOutOfSchedule(t *testing.T) {
	t.Parallel()
	for _, visit := range []struct{ date, zone, start, end string }{
		{"2019-08-20", "Europe/Moscow", "2019-08-20T00:00:00+03:00", "2019-08-21T00:00:00+03:00"},
		{"2019-08-20", "Asia/Vladivostok", "", ""}, // it is the 21st there
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
			sc := harness.Start(t).Scene()
			sc.Exec(`UPDATE lpu SET time_zone = $1 WHERE guid = $2`, visit.zone, sc.To)
			// With OutOfSchedule the ids of the cell are not read, and Difficulty has no effect.
			a := sc.TryBook(sc.OutOfSchedule(visit.date),
				harness.Fields{"SlotId": 1, "SlotGuid": "no guid", "Difficulty": 3})
			if visit.start == "" {
				a.RequireRefusal(t, "slot_time_passed")
				return
			}
			require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
			require.Equal(t, visit.start, a.Result.ConsultDirection.Appointment.Start.Format(time.RFC3339))
			require.Equal(t, visit.end, a.Result.ConsultDirection.Appointment.End.Format(time.RFC3339))
			require.Equal(t, 0, sc.Count(`SELECT sum(taken) FROM slot`))
			require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE out_of_schedule`))
			sc.RequireInvariants()
		})
	}
}

// Promise: out of schedule, the documented rules about the resource and the rights apply, and a
// local time that the clocks skip is rejected.
func TestOutOfScheduleRejections(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.TryBook(sc.OutOfSchedule("2019-08-21"),
		harness.Fields{"DocPrvdGuid": uuid.New()}).RequireRefusal(t, "slot_resource_not_found")
	sc.Exec(`UPDATE client_application SET out_of_schedule = false`)
	sc.TryBook(sc.OutOfSchedule("2019-08-21")).RequireRefusal(t, "slot_access_denied")
	sc.Exec(`UPDATE lpu SET time_zone = 'Europe/Berlin' WHERE guid = $1`, sc.To)
	skipped := sc.TryBook(sc.OutOfSchedule("2020-03-29T02:30"))
	skipped.RequireRefusal(t, "field_invalid")
	require.Equal(t, "Поле Date: "+booking.ProblemSkippedTime.Text, skipped.Refusal.Message)
}

// Promise: an examination is booked on equipment of any speciality. The response has a laboratory
// referral.
func TestLaboratory(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	examination := uuid.New()
	sc.AddDirection(examination, "Laboratory")
	sc.Exec(`UPDATE resource SET kind = 'equipment', speciality_code = '1'`)
	sc.Exec(`UPDATE direction SET urgent = true, flags = 5, comment = 'натощак', accession_number = 'A-1' WHERE guid = $1`, examination)
	a := sc.TryBook(harness.Fields{"DirectionGuid": examination, "DirectionType": "laboratory"})
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.Nil(t, a.Result.ConsultDirection)
	d := a.Result.LaboratoryDirection
	require.Equal(t, api.DirectionTypeLaboratory, d.Type)
	require.Equal(t, "2019-09-12T00:00:00+03:00", d.DateEnd.Format(time.RFC3339))
	require.Equal(t, "2019-08-20T17:52:14+03:00", d.DateCreate.Format(time.RFC3339))
	require.True(t, d.Urgent)
	require.EqualValues(t, 5, d.Flags)
	require.Equal(t, "натощак", d.Comment)
	require.Equal(t, "A-1", d.AccessionNumber)
	// The limit of one active appointment a speciality applies to consultations only.
	require.Equal(t, 0, sc.Count(`SELECT count(*) FROM speciality_claim`))
}

// Promise: a complex slot takes adjacent cells of one resource, all or none.
func TestComplexSlot(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"a cell is full":                 `UPDATE slot SET taken = capacity WHERE id = 14527457`,
		"a cell is blocked":              `UPDATE slot SET blocked = true WHERE id = 14527457`,
		"a cell takes no visits":         `UPDATE slot SET busy_type = 2 WHERE id = 14527457`,
		"a cell is closed to the client": `UPDATE slot SET flag_access = 0 WHERE id = 14527457`,
		"a cell is restricted to others": `UPDATE slot SET restriction = 'pregnant' WHERE id = 14527457`,
		"there is a gap":                 `DELETE FROM slot WHERE id = 14527456`,
		"the schedule ends":              `DELETE FROM slot WHERE id > 14527456`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := harness.Start(t).Scene()
			sc.Exec(change)
			before := sc.Snapshot()
			sc.TryBook(harness.Fields{"Difficulty": 3}).RequireRefusal(t, "complex_slot_failed")
			require.Equal(t, before, sc.Snapshot())
		})
	}
	t.Run("all cells are free", func(t *testing.T) {
		t.Parallel()
		sc := harness.Start(t).Scene()
		a := sc.TryBook(harness.Fields{"Difficulty": 4})
		require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
		require.Equal(t, "2019-08-21T09:45:00+03:00", a.Result.ConsultDirection.Appointment.End.Format(time.RFC3339))
		sc.RequireInvariants()
	})
}

// Promise: a booking creates the card from the master patient index and links its policy. The card
// stays even if the booking then fails.
func TestMkabIsCreated(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.AllowMkabCreation()
	sc.Exec(`UPDATE slot SET taken = 1 WHERE guid = $1`, sc.Slots[1])
	sc.TryBook(harness.Fields{"Difficulty": 2}).RequireRefusal(t, "complex_slot_failed")
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM mkab JOIN mkab_policy p ON p.lpu_guid = mkab.lpu_guid AND p.mkab_guid = mkab.guid
		WHERE mkab.lpu_guid = $1 AND person_guid = $2 AND p.number = '1234567890123456'`, sc.To, sc.Person))

	a := sc.TryBook()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM mkab WHERE lpu_guid = $1 AND guid = $2`, sc.To, a.Result.ConsultDirection.MkabGUID))
}

// withRemoteIndex starts a FHIR server that requires a ticket and knows each patient by a surname
// and a birth date, both JSON strings, and lets the service use it.
func withRemoteIndex(t *testing.T, surname, birthDate string) func(*app.Config) {
	t.Helper()
	address := harness.HTTPServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
		_, _ = fmt.Fprintf(w, `{"resourceType":"Bundle","type":"searchset",`+
			`"entry":[{"resource":{"resourceType":"Patient",
			"identifier":[{"system":"urn:ietf:rfc:3986","value":%q},`+
			`{"system":"urn:oid:1.2.643.2.69.1.1.1.6.228","value":"7700000000000001"}],
			"name":[{"family":%s,"given":["Пациент","Второй"]}],"gender":"female","birthDate":%s}}]}`, value, surname, birthDate)
	}))
	return func(c *app.Config) {
		c.MipURL, c.MipAuthURL = app.Address(address+"/fhir"), app.Address(address+"/token")
	}
}

// Promise: a booking also creates the card from a FHIR server, which it queries with a ticket.
func TestMkabIsCreatedFromRemoteMip(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, withRemoteIndex(t, `"Удаленный"`, `"1980-02-29"`)).Scene()
	sc.AllowMkabCreation()
	a := sc.TryBook()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM mkab JOIN mkab_policy p ON p.mkab_guid = mkab.guid WHERE mkab.lpu_guid = $1
		AND surname = 'Удаленный' AND name = 'Пациент' AND patronymic = 'Второй' AND sex = 'female' AND p.number = '7700000000000001'`, sc.To))
}

// Promise: data of the remote index that no card can have are rejected with the documented error,
// however often. Nothing is stored, and no other patient is affected.
func TestBadDataOfRemoteMip(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][2]string{
		"NUL":            {`"Удален\u0000ный"`, `"1980-02-29"`},
		"far too long":   {`"` + strings.Repeat("Я", 500_000) + `"`, `"1980-02-29"`},
		"born in year 1": {`"Удаленный"`, `"0001-01-01"`},
		"not born yet":   {`"Удаленный"`, `"9999-12-31"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := harness.Start(t, withRemoteIndex(t, data[0], data[1])).Scene()
			sc.AllowMkabCreation()
			before := sc.Snapshot()
			for range 6 { // more than open the circuit breaker
				sc.TryBook().RequireRefusal(t, "mip_person_data_missing")
			}
			require.Equal(t, before, sc.Snapshot())
		})
	}
}

// Promise: an open card is used even if the patient has a closed one.
func TestOpenMkabIsPreferred(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, harness.Moment, sc.To)
	open := uuid.New()
	sc.AddMkab(sc.To, open, sc.Person)
	a := sc.TryBook()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.Equal(t, open, a.Result.ConsultDirection.MkabGUID)
}

// Promise: the limit of one active appointment a speciality is a setting of the region. A visit
// that has ended, or of another speciality, does not count.
func TestOneActiveAppointmentASpeciality(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"the setting is off":        `INSERT INTO setting VALUES ('00000000-0000-0000-0000-000000000000', 'OneActiveAppointmentPerSpeciality', 'false')`,
		"the other visit has ended": `UPDATE speciality_claim SET start_at = '2019-08-20T17:00+03', end_at = '2019-08-20T17:52:14+03'`,
		"another speciality":        `UPDATE direction SET speciality_code = '7' WHERE appointment_guid IS NULL; UPDATE resource SET speciality_code = '7'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := harness.Start(t).Scene()
			require.Equal(t, 200, sc.TryBook().StatusCode)
			another := uuid.New()
			sc.AddDirection(another, "Consult")
			sc.Exec(change)
			a := sc.TryBook(harness.Fields{"DirectionGuid": another, "SlotId": harness.FirstSlotID + 1})
			require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
			sc.RequireInvariants()
		})
	}
}

// Promise: the loser of a race for the referral, the speciality or the cell receives the documented
// error. Nothing of its booking is left.
func TestLostRaces(t *testing.T) {
	t.Parallel()
	t.Run("referral", func(t *testing.T) {
		t.Parallel()
		sc := harness.Start(t).Scene()
		sc.TryBookDuring(`UPDATE direction SET appointment_guid = guid`).RequireRefusal(t, "direction_already_booked")
		require.Equal(t, 0, sc.Count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM appointment) + (SELECT count(*) FROM speciality_claim)`))
	})
	t.Run("speciality", func(t *testing.T) {
		t.Parallel()
		sc := harness.Start(t).Scene()
		a := sc.TryBookDuring(`INSERT INTO speciality_claim VALUES ($1, '92', gen_random_uuid(), $2, 'Кабинет 5', '2019-08-22T09:00+03', '2019-08-22T09:15+03')`,
			sc.Person, sc.To)
		a.RequireRefusal(t, "speciality_already_booked")
		require.Equal(t, "Вы уже записаны Кабинет 5 на 22.08.2019 09:00. Запрещено иметь более одной активной записи на прием на одну специальность.", a.Refusal.Message)
		require.Equal(t, 0, sc.Count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM appointment)`))
	})
	for name, change := range map[string]struct{ sql, rule string }{
		"the cell is moved in time":        {`UPDATE slot SET ` + harness.Shift("start_at", "interval '1 day'") + `, ` + harness.Shift("end_at", "interval '1 day'"), "slot_taken"},
		"the cell is extended":             {`UPDATE slot SET ` + harness.Shift("end_at", "interval '5 minutes'"), "slot_taken"},
		"the cell is restricted":           {`UPDATE slot SET restriction = 'pregnant'`, "slot_taken"},
		"the cell is blocked":              {`UPDATE slot SET blocked = true`, "slot_taken"},
		"the cell takes no visits":         {`UPDATE slot SET busy_type = 2`, "slot_taken"},
		"the cell is closed to the client": {`UPDATE slot SET flag_access = 0`, "slot_taken"},
		"the resource is deactivated":      {`UPDATE resource SET active = false`, "slot_resource_not_found"},
		"the card is closed":               {`UPDATE mkab SET closed_at = now()`, "mkab_closed"},
		"the cell gets another resource":   {`UPDATE slot SET resource_guid = 'd0c70000-0000-4000-8000-000000000002'`, "slot_taken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := harness.Start(t).Scene()
			sc.Exec(`INSERT INTO resource VALUES ($1, 'd0c70000-0000-4000-8000-000000000002', 'doctor', 'Другой', '92')`, sc.To)
			sc.TryBookDuring(change.sql).RequireRefusal(t, change.rule)
			require.Equal(t, 0, sc.Count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM appointment) + (SELECT count(*) FROM speciality_claim)`))
		})
	}
	t.Run("second cell of a complex slot", func(t *testing.T) {
		t.Parallel()
		sc := harness.Start(t).Scene()
		tx := sc.Begin()
		_, err := tx.Exec(t.Context(), `UPDATE slot SET taken = capacity WHERE guid = $1`, sc.Slots[1])
		require.NoError(t, err)
		answers := make(chan harness.Answer, 1)
		go func() { answers <- sc.TryBook(harness.Fields{"Difficulty": 2}) }()
		sc.WaitForBlocked()
		require.NoError(t, tx.Commit(t.Context()))
		(<-answers).RequireRefusal(t, string(booking.ComplexSlotFailed))
		require.Equal(t, 1, sc.Count(`SELECT sum(taken) FROM slot`))
	})
}

// Promise: a refusal because of an existing appointment names that appointment to its patient, also
// in a race. Nobody else receives details.
func TestRefusalsNameTheAppointment(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	answers := make([]harness.Answer, 16)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i] = sc.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + i%4}) })
	}
	group.Wait()
	winner := slices.IndexFunc(answers, func(a harness.Answer) bool { return a.StatusCode == 200 })
	require.NotEqual(t, -1, winner)
	booked := harness.AppointmentOf(answers[winner])
	want := &api.ExistingAppointment{GUID: booked.GUID, LpuGUID: sc.To, Start: booked.Start, End: booked.End}
	another := uuid.New()
	sc.AddDirection(another, "Consult")
	answers = append(slices.Delete(answers, winner, winner+1),
		sc.TryBook(harness.Fields{"DirectionGuid": another, "SlotId": harness.FirstSlotID + (winner+1)%4}))
	for _, a := range answers {
		require.Equal(t, 400, a.StatusCode, a.Raw)
		require.NotNil(t, a.Refusal.Details, a.Raw)
		require.Equal(t, want, a.Refusal.Details.Appointment)
	}
	stranger, _ := sc.AddPatient()
	refused := sc.Book(stranger, sc.BookingBody())
	refused.RequireRefusal(t, "direction_not_patients")
	require.Nil(t, refused.Refusal.Details)
}

// nearestSlots returns the free cells that a refusal suggests.
func nearestSlots(t testing.TB, a harness.Answer) []api.NearestSlot {
	t.Helper()
	if a.Refusal.Details == nil || a.Refusal.Details.Slots == nil {
		return nil
	}
	return *a.Refusal.Details.Slots
}

// Promise: the refusal of a full cell lists the nearest free cells that the same booking can take:
// first of the resource, then of its speciality.
func TestNearestSlots(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	another := uuid.New()
	sc.Exec(`INSERT INTO resource VALUES ($1, $2, 'room', 'Кабинет', '92')`, sc.To, another)
	stranger := uuid.New()
	sc.Exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач другой специальности', '7')`, sc.To, stranger)
	at := func(clock string) time.Time {
		t.Helper()
		start, err := time.Parse(time.RFC3339, "2019-08-21T"+clock+":00+03:00")
		require.NoError(t, err)
		return start
	}
	sc.Exec(`UPDATE slot SET taken = 1 WHERE id IN ($1, $2)`, harness.FirstSlotID, harness.FirstSlotID+1)
	sc.Exec(`UPDATE slot SET blocked = true WHERE id = $1`, harness.FirstSlotID+2)
	before := sc.AddSlot(sc.Doctor, 1, at("08:00"), 1)
	sc.AddSlot(another, 2, at("08:45"), 1)
	near := sc.AddSlot(another, 3, at("09:00"), 2)
	sc.AddSlot(stranger, 4, at("08:45"), 1)
	sc.Exec(`UPDATE slot SET restriction = 'pregnant' WHERE id = 2`)

	refused := sc.TryBook()
	refused.RequireRefusal(t, "slot_full")
	slots := nearestSlots(t, refused)
	require.Len(t, slots, 3)
	require.Equal(t, []uuid.UUID{before, sc.Slots[3], near}, []uuid.UUID{slots[0].GUID, slots[1].GUID, slots[2].GUID})
	require.Equal(t, another, slots[2].Resource.GUID)
	harness.RequireCheckMatches(t, sc.CheckBooking(sc.Person, sc.BookingBody()), refused)
	require.Equal(t, 200, sc.TryBook(harness.Fields{"SlotId": slots[2].ID}).StatusCode)

	sc.Exec(`UPDATE slot SET taken = capacity`)
	person, direction := sc.AddPatient()
	none := sc.Book(person, sc.BookingBody(harness.Fields{"DirectionGuid": direction}))
	none.RequireRefusal(t, "slot_full")
	require.Nil(t, none.Refusal.Details)
}

// Promise: the loser of a race for a cell receives other cells, each of which it can book.
func TestNearestSlotsAfterARace(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	type contender struct{ person, direction uuid.UUID }
	contenders := make([]contender, 16)
	for i := range contenders {
		contenders[i].person, contenders[i].direction = sc.AddPatient()
	}
	answers := make([]harness.Answer, len(contenders))
	var group sync.WaitGroup
	for i, c := range contenders {
		group.Go(func() {
			answers[i] = sc.Book(c.person, sc.BookingBody(harness.Fields{"DirectionGuid": c.direction}))
		})
	}
	group.Wait()
	losers := 0
	for i, a := range answers {
		if a.StatusCode == 200 {
			continue
		}
		require.Contains(t, []api.Rule{api.RuleSlotFull, api.RuleSlotTaken}, a.Refusal.Rule)
		slots := nearestSlots(t, a)
		require.Len(t, slots, 3, a.Raw)
		losers++
		if losers <= len(slots) { // each loser takes another cell
			again := sc.Book(contenders[i].person,
				sc.BookingBody(harness.Fields{"DirectionGuid": contenders[i].direction, "SlotId": slots[losers-1].ID}))
			require.Equal(t, 200, again.StatusCode, again.Raw)
		}
	}
	require.Equal(t, len(contenders)-1, losers)
}

// Promise: the refusal of a complex slot lists other complex slots of the same length.
func TestNearestComplexSlots(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE slot SET taken = 1 WHERE id = $1`, harness.FirstSlotID)
	refused := sc.TryBook(harness.Fields{"Difficulty": 2})
	refused.RequireRefusal(t, "slot_full")
	slots := nearestSlots(t, refused)
	require.Len(t, slots, 2)
	for i, slot := range slots {
		require.Equal(t, sc.Slots[1+i], slot.GUID)
		require.Equal(t, 30*time.Minute, slot.End.Sub(slot.Start))
	}
}

// Promise: the refusal of a move into a full cell also lists the nearest free cells.
func TestNearestSlotsOfAMove(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	booked := sc.TryBook()
	require.Equal(t, 200, booked.StatusCode)
	sc.Exec(`UPDATE slot SET taken = 1 WHERE id = $1`, harness.FirstSlotID+1)
	refused := sc.Move(sc.Person, harness.AppointmentOf(booked).GUID, harness.Fields{"SlotId": harness.FirstSlotID + 1})
	refused.RequireRefusal(t, "slot_full")
	slots := nearestSlots(t, refused)
	require.Len(t, slots, 2)
	require.Equal(t, sc.Slots[2], slots[0].GUID)
	moved := sc.Move(sc.Person, harness.AppointmentOf(booked).GUID, harness.Fields{"SlotId": slots[0].ID})
	require.Equal(t, 200, moved.StatusCode, "%s", moved.Raw)
}

// Promise: a cell that was closed to this client between the check and the write is not booked,
// even if other clients may take it.
func TestCellClosedDuringBooking(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene() // the mask of its client is 95
	sc.TryBookDuring(`UPDATE slot SET flag_access = 32`).RequireRefusal(t, "slot_taken")
	sc.Exec(`UPDATE slot SET flag_access = 32 + 16`)
	a := sc.TryBook()
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
}

// Promise: a client that disconnects leaves no partial booking and no goroutine.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.HangUpAndStop()
	require.Equal(t, 0, sc.Count(`SELECT (SELECT sum(taken) FROM slot) + (SELECT count(*) FROM appointment) + (SELECT count(*) FROM speciality_claim)
		+ (SELECT count(*) FROM direction WHERE appointment_guid IS NOT NULL)`))
}
