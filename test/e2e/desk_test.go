package e2e_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// startBookingDesk starts the service with a scene and returns its bookingDesk.
func startBookingDesk(t testing.TB) *desk {
	t.Helper()
	return bookingDesk(harness.Start(t).Scene())
}

// bookingDesk returns a desk whose client application may take the cells of registries.
func bookingDesk(sc *harness.Scene) *desk {
	sc.T.Helper()
	c := &desk{&registrar{sc, sc.AddSystemClient([]string{"visit:read", "visit:write"}, sc.To), ""}}
	c.Exec(`UPDATE client_application SET visit_direction = 3, visit_direction_other_lpu = 11, out_of_schedule = true WHERE guid = $1`, c.client)
	return c
}

// bookFor sends a booking of the institution for a person.
func (c *desk) bookFor(person uuid.UUID, changes ...harness.Fields) harness.Answer {
	c.T.Helper()
	return c.ask(http.MethodPost, "", c.deskBody(person, changes...))
}

// deskBody returns the body of the scene's booking by the institution for a person.
func (c *desk) deskBody(person uuid.UUID, changes ...harness.Fields) harness.Fields {
	return c.BookingBody(append([]harness.Fields{{"LpuToGuid": nil, "PersonGuid": person}}, changes...)...)
}

// bookWithKey is bookFor the scene's patient with an Idempotency-Key.
func (c *desk) bookWithKey(key string, changes ...harness.Fields) harness.Answer {
	c.T.Helper()
	body, err := json.Marshal(c.deskBody(c.Person, changes...))
	require.NoError(c.T, err)
	request := c.NewRequest(http.MethodPost, "/clinic/lpus/"+c.To.String()+"/appointments", bytes.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+c.SystemToken(c.client, []string{"visit:write"}, c.To))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	return c.Do(request)
}

func (c *desk) mustBookFor(person uuid.UUID, changes ...harness.Fields) api.Visit {
	c.T.Helper()
	return harness.Decode[api.Visit](c.T, c.bookFor(person, changes...))
}

// reassign moves a visit to the n-th cell of the scene, because the doctor is absent.
func (c *desk) reassign(visit uuid.UUID, version int64, n int, changes ...harness.Fields) harness.Answer {
	c.T.Helper()
	body := harness.Fields{"Version": version, "SlotId": harness.FirstSlotID + n, "Reason": "doctor_absent"}
	for _, change := range changes {
		maps.Copy(body, change)
	}
	return c.ask(http.MethodPut, "/"+visit.String()+"/slot", body)
}

func (c *desk) mustReassign(visit uuid.UUID, version int64, n int, changes ...harness.Fields) api.Visit {
	c.T.Helper()
	return harness.Decode[api.Visit](c.T, c.reassign(visit, version, n, changes...))
}

// appointment returns an appointment as its patient sees it.
func (c *desk) appointment(person, guid uuid.UUID) api.PatientAppointment {
	c.T.Helper()
	return harness.Decode[api.PatientAppointment](c.T, c.Get(person, "/appointments/"+guid.String()))
}

// Promise: an institution books for a patient what the patient could book, in one step, and sees
// the visit as its list has it. The patient sees the visit, too, and can cancel it.
func TestBookVisit(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	booked := c.mustBookFor(c.Person, harness.Fields{"Difficulty": 2, "VisitComment": "По звонку", "IsCito": true})
	require.Equal(t, c.visit(booked.GUID), booked)
	require.Equal(t, api.Booker{Initiator: "institution", ClientGUID: c.client}, booked.BookedBy)
	require.Equal(t, c.Slots[:2], booked.SlotGuids)
	require.Equal(t, "По звонку", booked.Comment)
	require.True(t, booked.IsCito)
	require.Equal(t, c.client, booked.ClientGUID)
	require.Equal(t, int64(1), booked.Version)
	require.Nil(t, booked.Move)
	require.Equal(t, "Booked", c.appointment(c.Person, booked.GUID).Status)
	require.Nil(t, c.appointment(c.Person, booked.GUID).Move)
	c.bookFor(c.Person).RequireRefusal(t, "direction_already_booked")
	c.Cancel(c.Person, booked.GUID).RequireCancelled(t)

	out := c.mustBookFor(c.Person, c.OutOfSchedule("2019-08-25T10:00:00+03:00"))
	require.Equal(t, c.visit(out.GUID), out)
	require.True(t, out.OutOfSchedule)
	require.Empty(t, out.SlotGuids)
	c.Cancel(c.Person, out.GUID).RequireCancelled(t)
	now := c.mustBookFor(c.Person, c.OutOfSchedule(c.Now().Format(time.RFC3339)))
	require.Equal(t, c.visit(now.GUID), now)
	require.Equal(t, "Completed", now.Status)

	byPatient, visit := c.bookAnother(harness.Fields{"SlotId": harness.FirstSlotID + 2})
	require.Equal(t, api.Booker{Initiator: "patient", ClientGUID: harness.ClientGuid}, c.visit(visit).BookedBy)
	require.Equal(t, byPatient.Person, c.visit(visit).PersonGUID)
	c.RequireInvariants()
}

// Promise: the rights of the client application decide at the desk as they do for patients, and a
// card is created as for them.
func TestBookVisitRights(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	c.Exec(`UPDATE slot SET flag_access = 4 WHERE guid = $1`, c.Slots[0])
	c.bookFor(c.Person).RequireRefusal(t, "slot_access_denied")
	c.Exec(`UPDATE client_application SET out_of_schedule = false WHERE guid = $1`, c.client)
	c.AdvanceClock(2 * time.Second) // the rights are read again
	c.SetSetting(uuid.Nil, "DirectionExpires", "false")
	c.Exec(`DELETE FROM mkab WHERE guid = $1`, c.MkabTo)
	second := harness.Fields{"SlotId": harness.FirstSlotID + 1}
	c.bookFor(c.Person, second).RequireRefusal(t, "mkab_absent")
	c.AllowMkabCreation()
	booked := c.mustBookFor(c.Person, second)
	require.Equal(t, 1, c.Count(`SELECT count(*) FROM mkab WHERE guid = $1 AND person_guid = $2`, booked.MkabGUID, c.Person))
	c.RequireInvariants()
}

// Promise: a booking with a key is made once, and its repetition returns the first response, also
// if the visit was moved or cancelled since. Another person's request has another key.
func TestBookVisitKey(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	first := c.bookWithKey("k-1")
	first.RequireNotReplayed(t)
	visit := harness.Decode[api.Visit](t, first)
	c.bookWithKey("k-1").RequireReplayed(t, first)
	c.bookWithKey("k-1", harness.Fields{"IsCito": true}).RequireRefusal(t, "idempotency_key_reused")
	c.mustReassign(visit.GUID, 1, 1)
	elsewhere := c.AddTargetLpu()
	c.Exec(`UPDATE direction SET lpu_to_guid = NULL WHERE lpu_guid = $1`, c.From)
	moved := c.Move(c.Person, visit.GUID, harness.Fields{"LpuToGuid": elsewhere.To, "SlotId": harness.FirstSlotID})
	require.Equal(t, 200, moved.StatusCode, moved.Raw)
	c.bookWithKey("k-1").RequireReplayed(t, first)
	c.Cancel(c.Person, visit.GUID).RequireCancelled(t)
	c.bookWithKey("k-1").RequireReplayed(t, first)
	c.bookWithKey("k-2").RequireNotReplayed(t)
	person, direction := c.AddPatient()
	other := harness.Fields{"PersonGuid": person, "DirectionGuid": direction, "SlotId": harness.FirstSlotID + 2}
	c.bookWithKey("k-1", other).RequireNotReplayed(t)
	c.RequireInvariants()
}

// Promise: an institution learns nothing about a person without the guid of one of the person's
// referrals, and nothing of the time and place of visits to other institutions.
func TestDeskLearnsNothingOfOtherInstitutions(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	stranger, _ := c.AddPatient()
	before := c.Snapshot()
	c.bookFor(stranger).RequireRefusal(t, "direction_not_patients")
	c.bookFor(uuid.New()).RequireRefusal(t, "direction_not_patients")
	c.bookFor(c.Person, harness.Fields{"DirectionGuid": uuid.New()}).RequireRefusal(t, "direction_not_found")
	require.Equal(t, before, c.Snapshot())

	elsewhere := c.AddTargetLpu()
	c.Exec(`UPDATE direction SET lpu_to_guid = NULL WHERE lpu_guid = $1`, c.From)
	c.Exec(`UPDATE resource SET name = 'Врач Тайный' WHERE guid = $1`, elsewhere.Doctor)
	foreign := elsewhere.MustBook()
	hidden := c.bookFor(c.Person)
	hidden.RequireRefusal(t, "direction_already_booked")
	require.NotContains(t, hidden.Raw, foreign.String())
	require.NotContains(t, hidden.Raw, "details")
	second := uuid.New()
	c.AddDirection(second, "Consult")
	again := harness.Fields{"DirectionGuid": second}
	hidden = c.bookFor(c.Person, again)
	hidden.RequireRefusal(t, "speciality_already_booked")
	require.Equal(t, "Вы уже записаны в другую медицинскую организацию на другое время. "+
		"Запрещено иметь более одной активной записи на прием на одну специальность.", hidden.Refusal.Message)
	require.NotContains(t, hidden.Raw, "details")
	require.Contains(t, c.TryBook(again).Raw, "Врач Тайный", "the patient sees it")

	c.Cancel(c.Person, foreign).RequireCancelled(t)
	c.SetSetting(c.To, "NoShowReturnsReferral", "true")
	missed := c.MustBook(c.OutOfSchedule("2019-08-20T17:53:00+03:00"))
	c.AdvanceClock(2 * time.Minute)
	c.mustAttend(missed, "no_show")
	foreign = elsewhere.MustBook()
	hidden = c.attend(missed, "none")
	hidden.RequireRefusal(t, "direction_already_booked")
	require.NotContains(t, hidden.Raw, "details")
	c.Cancel(c.Person, foreign).RequireCancelled(t)
	own := c.mustBookFor(c.Person)
	again["SlotId"] = harness.FirstSlotID + 1
	for _, known := range []harness.Answer{c.bookFor(c.Person), c.bookFor(c.Person, again)} {
		require.NotNil(t, known.Refusal.Details, known.Raw)
		require.Equal(t, own.GUID, known.Refusal.Details.Appointment.GUID)
	}
}

// Promise: an institution moves a visit to another cell, also of another doctor, and patient and
// institution see who has moved it and why. Referral, speciality and booking stay.
func TestReassign(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	visit := c.MustBook(harness.Fields{"VisitComment": "После обеда", "IsCito": true})
	c.confirm(visit, 1, "accepted").RequireRefusal(t, "")
	doctor := c.AddResourceLike("Врач Замещающий")
	cell := c.AddSlot(doctor, 900, firstStart.Add(time.Hour), 1)
	c.AdvanceClock(time.Minute)

	toOther := harness.Fields{"SlotId": 900, "Text": "Врач заболел"}
	moved := c.mustReassign(visit, 1, 0, toOther)
	require.Equal(t, c.visit(visit), moved)
	require.Equal(t, int64(2), moved.Version)
	require.Equal(t, doctor, moved.Resource.GUID)
	require.Equal(t, []uuid.UUID{cell}, moved.SlotGuids)
	require.Equal(t, "После обеда", moved.Comment)
	require.True(t, moved.IsCito)
	require.Nil(t, moved.Receipt)
	require.Equal(t, c.client, moved.ClientGUID)
	require.Equal(t, api.Booker{Initiator: "patient", ClientGUID: harness.ClientGuid}, moved.BookedBy)
	require.Equal(t, &api.Move{
		Time: moved.UpdatedAt, Initiator: "institution", Cause: new("doctor_absent"), Reason: new("Врач заболел"),
	}, moved.Move)
	require.Equal(t, moved.Move, c.appointment(c.Person, visit).Move)
	require.Equal(t, moved.Move, c.ListAppointments(c.Person, "")[0].Move)
	require.Equal(t, 1, c.Count(`SELECT count(*) FROM speciality_claim WHERE appointment_guid = $1 AND resource_name = 'Врач Замещающий'`, visit))
	require.Equal(t, "Booked", c.direction())

	c.AdvanceClock(time.Minute)
	before := c.Snapshot()
	for _, version := range []int64{1, 2, 7} {
		again := c.mustReassign(visit, version, 0, toOther, harness.Fields{"Reason": "schedule_changed"})
		require.Equal(t, moved, again)
	}
	require.Equal(t, moved, c.mustReassign(visit, 1, 0, harness.Fields{"SlotId": nil, "SlotGuid": cell}))
	c.reassign(visit, 1, 1).RequireRefusal(t, "appointment_version_mismatch")
	c.reassign(visit, 3, 1).RequireRefusal(t, "appointment_version_mismatch")
	require.Equal(t, before, c.Snapshot())

	require.Equal(t, 200, c.Move(c.Person, visit, harness.Fields{"SlotId": harness.FirstSlotID}).StatusCode)
	byPatient := c.visit(visit)
	require.Equal(t, &api.Move{Time: byPatient.UpdatedAt, Initiator: "patient"}, byPatient.Move)
	require.Equal(t, moved.BookedBy, byPatient.BookedBy)
	require.Nil(t, c.mustReassign(visit, 3, 1).Move.Reason)
	c.RequireInvariants()
}

// Promise: a complex slot stays one, and a visit of the desk keeps who has booked it.
func TestReassignOfADeskVisit(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	booked := c.mustBookFor(c.Person, harness.Fields{"Difficulty": 2})
	moved := c.mustReassign(booked.GUID, 1, 2, harness.Fields{"Reason": "other", "Text": "Ремонт кабинета"})
	require.Equal(t, c.Slots[2:], moved.SlotGuids)
	require.Equal(t, booked.BookedBy, moved.BookedBy)
	require.Equal(t, booked.CreatedAt, moved.CreatedAt)
	c.reassign(booked.GUID, 2, 3).RequireRefusal(t, "complex_slot_failed")
	out, _ := c.bookAnother(c.OutOfSchedule("2019-08-21"))
	guid := c.ListAppointments(out.Person, "")[0].GUID
	require.Equal(t, c.Slots[:1], c.mustReassign(guid, 1, 0).SlotGuids)
	c.RequireInvariants()
}

// Promise: an institution can move a visit after its start, until the day is over in its zone or an
// attendance is set; with DeleteOldTime also later. The rules of cells apply as to patients.
func TestReassignUntilWhen(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	visit := c.MustBook()
	c.AddSlot(c.Doctor, 900, firstStart.AddDate(0, 0, 1), 1)
	c.AddSlot(c.Doctor, 901, firstStart.AddDate(0, 0, 2), 1)
	tomorrow, later := harness.Fields{"SlotId": 900}, harness.Fields{"SlotId": 901}
	c.atVisit(16 * time.Minute)
	c.Move(c.Person, visit, tomorrow).RequireRefusal(t, "appointment_started")
	c.reassign(visit, 1, 1).RequireRefusal(t, "slot_time_passed")
	require.Equal(t, "Booked", c.mustReassign(visit, 1, 0, tomorrow).Status)
	c.atVisit(24*time.Hour + time.Minute)
	c.mustAttend(visit, "arrived")
	c.reassign(visit, 3, 0, later).RequireRefusal(t, "appointment_attended")
	c.mustReassign(visit, 1, 0, tomorrow) // it is there already
	c.mustAttend(visit, "none")
	midnight := firstStart.Truncate(24 * time.Hour).Add(45 * time.Hour) // after that day, in Moscow
	c.AdvanceClock(midnight.Sub(c.Now()) - time.Second)
	require.Equal(t, int64(4), c.visit(visit).Version)
	c.AdvanceClock(time.Second)
	c.reassign(visit, 4, 0, later).RequireRefusal(t, "appointment_started")
	c.SetSetting(c.To, "DeleteOldTime", "true")
	require.Equal(t, int64(5), c.mustReassign(visit, 4, 0, later).Version)
	c.Cancel(c.Person, visit).RequireCancelled(t)
	c.reassign(visit, 6, 0, later).RequireRefusal(t, "appointment_not_active")
	c.RequireInvariants()
}

// Promise: a move to the cell of a missed visit changes nothing and returns the visit, also if its
// referral is free.
func TestReassignOfANoShow(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	c.SetSetting(c.To, "NoShowReturnsReferral", "true")
	visit := c.MustBook()
	c.atVisit(time.Minute)
	missed := c.mustAttend(visit, "no_show")
	require.Equal(t, missed, c.mustReassign(visit, 1, 0))
	c.reassign(visit, 2, 1).RequireRefusal(t, "appointment_attended")
	c.RequireInvariants()
}

// Promise: until the last moment of the day, the visit can be moved.
func TestReassignAtTheEndOfTheDay(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	visit := c.MustBook()
	c.AddSlot(c.Doctor, 900, firstStart.AddDate(0, 0, 1), 1)
	c.AdvanceClock(firstStart.Truncate(24 * time.Hour).Add(21*time.Hour - time.Second).Sub(c.Now()))
	c.mustReassign(visit, 1, 0, harness.Fields{"SlotId": 900})
}

// Promise: both operations reject a token without the scope, foreign institutions, visits of others
// and bad input, and change nothing.
func TestDeskRejections(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	visit := c.MustBook()
	elsewhere := c.AddTargetLpu()
	elsewhere.Person, elsewhere.Direction = c.AddPatient()
	elsewhere.AddMkab(elsewhere.To, uuid.New(), elsewhere.Person)
	foreign := elsewhere.MustBook()
	person, direction := c.AddPatient()
	booking := c.deskBody(person, harness.Fields{"DirectionGuid": direction, "SlotId": harness.FirstSlotID + 1})
	slot := harness.Fields{"Version": 1, "SlotId": harness.FirstSlotID + 1, "Reason": "doctor_absent"}
	before := c.Snapshot()
	for _, o := range []struct {
		method, path, foreign string
		body                  harness.Fields
	}{
		{http.MethodPost, "", "", booking},
		{http.MethodPut, "/" + visit.String() + "/slot", "/" + foreign.String() + "/slot", slot},
	} {
		path := "/clinic/lpus/" + c.To.String() + "/appointments" + o.path
		c.AskAs(c.SystemToken(c.client, []string{"visit:read"}, c.To), o.method, path, o.body).
			RequireRefusal(t, "scope_missing")
		c.AskAs(c.Token(c.Person), o.method, path, o.body).RequireRefusal(t, "token_invalid")
		c.askIn(elsewhere.To, o.method, o.foreign, o.body).RequireRefusal(t, "institution_foreign")
		if o.foreign != "" {
			c.ask(o.method, o.foreign, o.body).RequireRefusal(t, "appointment_absent")
			c.ask(o.method, "/"+uuid.NewString()+"/slot", o.body).RequireRefusal(t, "appointment_absent")
			c.ask(o.method, "/"+uuid.Nil.String()+"/slot", o.body).RequireRefusal(t, "field_invalid")
		}
		with := func(change harness.Fields) harness.Fields {
			body := maps.Clone(o.body)
			maps.Copy(body, change)
			maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
			return body
		}
		changes := []harness.Fields{
			{"Unknown": 1}, {"SlotId": nil}, {"SlotId": 0}, {"SlotId": nil, "SlotGuid": "x"}, {"SlotId": "1"},
		}
		if o.path == "" {
			changes = append(changes, []harness.Fields{
				{"PersonGuid": nil}, {"PersonGuid": uuid.Nil}, {"PersonGuid": "x"}, {"DirectionGuid": uuid.Nil},
				{"LpuFromGuid": nil}, {"LpuToGuid": c.To}, {"Difficulty": 17}, {"OutOfSchedule": true},
			}...)
		} else {
			changes = append(changes, []harness.Fields{
				{"Version": nil}, {"Version": 0}, {"Reason": nil}, {"Reason": "tired"}, {"Reason": "other"},
				{"Reason": "other", "Text": ""}, {"Reason": "other", "Text": " "},
				{"Text": string(bytes.Repeat([]byte("x"), 1001))}, {"Difficulty": 1},
			}...)
		}
		for _, change := range changes {
			c.ask(o.method, o.path, with(change)).RequireRefusal(t, "field_invalid")
		}
	}
	c.bookFor(person, harness.Fields{"DirectionType": "hospital"}).RequireRefusal(t, "direction_type_unsupported")
	require.Equal(t, before, c.Snapshot())
}

// Promise: desk and patients compete for the last place of a cell as patients do. Two desks that
// use one referral at the same time book it once.
func TestDeskBookingRaces(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	persons, directions := c.AddPatients(40)
	cells := c.AddSlots(40)
	wins := map[bool]int{}
	for i := 0; i+1 < len(persons); i += 2 {
		place := func(n int) harness.Fields {
			return harness.Fields{"DirectionGuid": directions[n], "SlotId": nil, "SlotGuid": cells[i]}
		}
		answers := inParallel(
			func() harness.Answer { return c.bookFor(persons[i], place(i)) },
			func() harness.Answer { return c.Book(persons[i+1], c.BookingBody(place(i+1))) },
		)
		lost := []string{"slot_full", "slot_taken"}
		first, second := succeeded(t, answers[0], lost...), succeeded(t, answers[1], lost...)
		require.NotEqual(t, first, second, "exactly one takes the place")
		wins[first]++
		loser := i
		if first {
			loser = i + 1
		}
		desks := inParallel(
			func() harness.Answer {
				return c.bookFor(persons[loser], place(loser), harness.Fields{"SlotGuid": cells[i+1]})
			},
			func() harness.Answer {
				return c.bookFor(persons[loser], place(loser), harness.Fields{"SlotGuid": c.Slots[3]})
			},
			func() harness.Answer {
				return c.Book(persons[loser], c.BookingBody(place(loser), harness.Fields{"SlotGuid": c.Slots[3]}))
			},
		)
		booked := 0
		lost = append(lost, "direction_already_booked", "speciality_already_booked")
		for _, answer := range desks {
			if succeeded(t, answer, lost...) {
				booked++
			}
		}
		require.Equal(t, 1, booked, "the referral is booked once")
		c.Exec(`UPDATE slot SET capacity = capacity + taken WHERE guid = $1`, c.Slots[3])
	}
	t.Log(wins)
	c.RequireInvariants()
}

// Promise: of an institution's move and the patient's move or cancel of one visit at the same time,
// the patient's succeeds, and the institution's if it comes first. Nothing of the loser remains.
func TestReassignRaces(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	c.Exec(`UPDATE slot SET capacity = 50`)
	persons, directions := c.AddPatients(24)
	wins := map[bool]int{}
	for i, person := range persons {
		booked := c.Book(person, c.BookingBody(harness.Fields{"DirectionGuid": directions[i]}))
		visit := harness.AppointmentOf(booked).GUID
		cancels := i%2 == 0
		answers := inParallel(
			func() harness.Answer { return c.reassign(visit, 1, 1) },
			func() harness.Answer {
				if cancels {
					return c.Cancel(person, visit)
				}
				return c.Move(person, visit, harness.Fields{"SlotId": harness.FirstSlotID + 2})
			},
		)
		first := succeeded(t, answers[0], "appointment_version_mismatch", "appointment_not_active")
		require.True(t, succeeded(t, answers[1]), answers[1].Raw)
		wins[first]++
		now := c.visit(visit)
		version := int64(2)
		if first {
			version = 3
		}
		require.Equal(t, version, now.Version)
		if cancels {
			require.Equal(t, "Cancelled", now.Status)
			require.Equal(t, first, now.Move != nil)
		} else {
			require.Equal(t, c.Slots[2:3], now.SlotGuids)
			require.Equal(t, "patient", now.Move.Initiator)
		}
	}
	t.Log(wins)
	c.RequireInvariants()
}

// Promise: two visits that are moved into each other's cells at the same time do not deadlock. With
// a free place in each cell both are moved. If both are full, none is, as no place becomes free.
func TestCrossingReassignments(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	persons, directions := c.AddPatients(2)
	visits := make([]uuid.UUID, 2)
	for i := range persons {
		visits[i] = c.mustBookFor(persons[i], harness.Fields{
			"DirectionGuid": directions[i], "SlotId": harness.FirstSlotID + i,
		}).GUID
	}
	cross := func(round int) []harness.Answer {
		return inParallel(
			func() harness.Answer { return c.reassign(visits[0], c.visit(visits[0]).Version, (round+1)%2) },
			func() harness.Answer { return c.reassign(visits[1], c.visit(visits[1]).Version, round%2) },
		)
	}
	for _, answer := range cross(0) {
		answer.RequireAnyRefusal(t, "slot_full", "slot_taken")
	}
	c.Exec(`UPDATE slot SET capacity = 2`)
	for round := range 16 {
		for _, answer := range cross(round) {
			require.True(t, succeeded(t, answer), answer.Raw)
		}
		require.Equal(t, int64(round+2), c.visit(visits[0]).Version)
	}
	c.RequireInvariants()
}

// Promise: of two institutions' moves that have seen the same version, exactly one moves the visit,
// unless both name the same cell: then both succeed, and the visit is moved once.
func TestReassignmentsOfOneVersion(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	visit := c.MustBook()
	for round := range 12 {
		now := c.visit(visit)
		at := slices.Index(c.Slots, now.SlotGuids[0])
		first, second := (at+1)%4, (at+2)%4
		if round%2 == 1 {
			second = first
		}
		answers := inParallel(
			func() harness.Answer { return c.reassign(visit, now.Version, first) },
			func() harness.Answer { return c.reassign(visit, now.Version, second) },
		)
		moved := 0
		for _, answer := range answers {
			if succeeded(t, answer, "appointment_version_mismatch") {
				moved++
			}
		}
		want := 1
		if first == second {
			want = 2
		}
		require.Equal(t, want, moved)
		require.Equal(t, now.Version+1, c.visit(visit).Version)
	}
	c.RequireInvariants()
}

// Promise: the institution's booking and move write the events of the patient's, and a repetition
// writes none.
func TestEventsOfTheDesk(t *testing.T) {
	t.Parallel()
	c := startBookingDesk(t)
	to, from := c.startFollower(c.To), c.startFollower(c.From)
	visit := c.mustBookFor(c.Person).GUID
	c.mustReassign(visit, 1, 1)
	c.mustReassign(visit, 1, 1)
	c.mustReassign(visit, 2, 2)
	list := to.follow(3)
	require.Len(t, list, 3)
	for i, name := range []string{"appointment.booked", "appointment.moved", "appointment.moved"} {
		require.Equal(t, name, list[i].Type)
		require.Equal(t, visit.String(), list[i].Subject)
		require.EqualValues(t, i+1, *list[i].Data.Version)
	}
	require.Len(t, from.follow(3), 3)
}
