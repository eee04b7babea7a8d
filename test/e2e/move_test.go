package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/test/harness"
)

// Promise: a moved visit keeps its guid, its creation time and every field that the request omits.
// What it occupied is free again.
func TestMove(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	first := sc.TryBook(harness.Fields{"VisitComment": "к врачу", "IsCito": true})
	require.Equal(t, 200, first.StatusCode, "%s", first.Raw)
	guid := harness.AppointmentOf(first).GUID
	sc.Exec(`UPDATE appointment SET created_at = $1, updated_at = $1`, harness.Moment.Add(-time.Hour))

	a := sc.Move(sc.Person, guid, harness.Fields{"SlotGuid": sc.Slots[2]})
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	want := *first.Result.ConsultDirection
	want.Appointment.Start = want.Appointment.Start.Add(30 * time.Minute)
	want.Appointment.End = want.Appointment.End.Add(30 * time.Minute)
	want.Appointment.CreateTime = want.Appointment.CreateTime.Add(-time.Hour)
	got := *a.Result.ConsultDirection
	for _, at := range []*time.Time{&want.Appointment.Start, &want.Appointment.End, &want.Appointment.CreateTime} {
		*at = at.UTC()
	}
	for _, at := range []*time.Time{&got.Appointment.Start, &got.Appointment.End, &got.Appointment.CreateTime} {
		*at = at.UTC()
	}
	require.Equal(t, want.Appointment, got.Appointment)
	require.Equal(t, want.ID, got.ID)
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE guid = $1 AND comment = 'к врачу' AND is_cito AND updated_at = $2 AND cancelled_at IS NULL`, guid, harness.Moment))
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment`))
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE slot_guids = ARRAY[$1::uuid]`, sc.Slots[2]))
	require.Equal(t, 4, sc.CountTaken())
	sc.RequireInvariants()

	// It moves onto some of its own cells, then to another institution and back.
	require.Equal(t, 200, sc.Move(sc.Person, guid, harness.Fields{
		"SlotId": harness.FirstSlotID + 1, "Difficulty": 2, "VisitComment": "", "IsCito": false,
	}).StatusCode)
	require.Equal(t, 200, sc.Move(sc.Person, guid, harness.Fields{"SlotId": harness.FirstSlotID + 2}).StatusCode,
		"as many cells as before, one of them its own")
	require.Equal(t, 2, sc.Count(`SELECT sum(taken) FROM slot`))
	sc.RequireInvariants()
	other := sc.AddTargetLpu()
	sc.Exec(`UPDATE direction SET lpu_to_guid = NULL WHERE lpu_guid = $1`, sc.From)
	a = sc.Move(sc.Person, guid, harness.Fields{"LpuToGuid": other.To, "SlotId": harness.FirstSlotID, "Difficulty": 1})
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.Equal(t, other.To, a.Result.ConsultDirection.LpuToGUID)
	require.Equal(t, other.MkabTo, a.Result.ConsultDirection.MkabGUID)
	require.Equal(t, guid, harness.AppointmentOf(a).GUID)
	require.Contains(t, a.Raw, "2019-08-21T12:00:00+05:00")
	require.Equal(t, 4, sc.CountTaken())
	sc.RequireInvariants()
	require.Equal(t, 200, sc.Move(sc.Person, guid, harness.Fields{
		"LpuToGuid": sc.To, "SlotId": harness.FirstSlotID,
	}).StatusCode)
	sc.RequireInvariants()
	sc.Cancel(sc.Person, guid).RequireCancelled(t)
	require.Zero(t, sc.CountTaken())
}

// Promise: a move to the visit's own cells changes nothing, whatever their state. So a client that
// lost the response can repeat a move.
func TestMoveToSameCells(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	first := sc.TryBook(harness.Fields{"Difficulty": 2})
	sc.Exec(`UPDATE slot SET blocked = true`)
	sc.Exec(`UPDATE direction SET cancelled_at = $1`, harness.Moment)
	before := sc.Snapshot()
	for _, body := range []harness.Fields{
		{"SlotId": harness.FirstSlotID},
		{"SlotGuid": sc.Slots[0], "Difficulty": 2, "VisitComment": "", "IsCito": nil, "LpuToGuid": sc.To},
	} {
		a := sc.Move(sc.Person, harness.AppointmentOf(first).GUID, body)
		require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
		require.JSONEq(t, first.Raw, a.Raw)
	}
	require.Equal(t, before, sc.Snapshot())
	sc.Move(sc.Person, harness.AppointmentOf(first).GUID, harness.Fields{
		"SlotId": harness.FirstSlotID, "VisitComment": "другой",
	}).RequireRefusal(t, "direction_not_found")
	sc.Move(sc.Person, harness.AppointmentOf(first).GUID, harness.Fields{
		"SlotId": harness.FirstSlotID, "Difficulty": 1,
	}).RequireRefusal(t, "direction_not_found")
	require.Equal(t, before, sc.Snapshot())
}

// Promise: a move is rejected by the rules of a booking, evaluated as if the visit did not exist.
// The visit then stays unchanged.
func TestMoveIsRefused(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	guid := sc.MustBook()
	person, direction := sc.AddPatient()
	require.Equal(t, 200, sc.Book(person, sc.BookingBody(harness.Fields{
		"DirectionGuid": direction, "SlotId": harness.FirstSlotID + 2,
	})).StatusCode)
	third := harness.Fields{"SlotId": harness.FirstSlotID + 2}
	last := harness.Fields{"SlotId": harness.FirstSlotID + 3}
	for _, c := range []struct {
		name, do, undo string
		body           harness.Fields
		rule           string
	}{
		{"full", ``, ``, third, "slot_full"},
		{
			"second cell is full", ``, ``, harness.Fields{"SlotId": harness.FirstSlotID + 1, "Difficulty": 2},
			"complex_slot_failed",
		},
		{"no such cell", ``, ``, harness.Fields{"SlotId": 1}, "slot_not_found"},
		{
			"another legal entity", ``, ``, harness.Fields{"SlotId": harness.FirstSlotID, "LpuToGuid": uuid.New()},
			"direction_lpu_mismatch",
		},
		{
			"cell of another institution", ``, ``, harness.Fields{"SlotId": harness.FirstSlotID, "LpuToGuid": sc.From},
			"slot_not_found",
		},
		{"referral withdrawn", `UPDATE direction SET cancelled_at = now()`, `UPDATE direction SET cancelled_at = NULL`, last, "direction_not_found"},
		{"start has passed", `UPDATE slot SET start_at = '2019-08-20' WHERE id % 10 = 8`, `UPDATE slot SET start_at = (end_at AT TIME ZONE 'UTC' - interval '15 minutes') AT TIME ZONE 'UTC'`, last, "slot_time_passed"},
		{"blocked", `UPDATE slot SET blocked = true`, `UPDATE slot SET blocked = false`, last, "slot_unavailable"},
		{"no access right", `UPDATE client_application SET visit_direction_other_lpu = 128`, `UPDATE client_application SET visit_direction_other_lpu = 95`, last, "slot_access_denied"},
		{"for children", `UPDATE slot SET restriction = 'children'`, `UPDATE slot SET restriction = 'none'`, last, "slot_children_only"},
		{"another speciality", `UPDATE resource SET speciality_code = '7'`, `UPDATE resource SET speciality_code = '92'`, last, "speciality_mismatch"},
		{"card closed", `UPDATE mkab SET closed_at = now()`, `UPDATE mkab SET closed_at = NULL`, last, "mkab_closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc.Exec(c.do)
			before := sc.Snapshot()
			sc.Move(sc.Person, guid, c.body).RequireRefusal(t, c.rule)
			require.Equal(t, before, sc.Snapshot())
			sc.Exec(c.undo)
		})
	}
	before := sc.Snapshot()
	sc.Move(uuid.New(), guid, last).RequireRefusal(t, "appointment_absent")
	sc.Move(sc.Person, uuid.New(), last).RequireRefusal(t, "appointment_absent")
	sc.Move(person, guid, last).RequireRefusal(t, "appointment_absent")
	require.Equal(t, before, sc.Snapshot())
	sc.Exec(`UPDATE appointment SET start_at = $2 WHERE guid = $1`, guid, harness.Moment.Add(-time.Second))
	sc.Move(sc.Person, guid, last).RequireRefusal(t, "appointment_started")
	sc.Exec(`INSERT INTO setting VALUES ($1, 'DeleteOldTime', 'true')`, sc.To)
	require.Equal(t, 200, sc.Move(sc.Person, guid, last).StatusCode)
	sc.Cancel(sc.Person, guid).RequireCancelled(t)
	before = sc.Snapshot()
	sc.Move(sc.Person, guid, harness.Fields{"SlotId": harness.FirstSlotID}).RequireRefusal(t, "appointment_cancelled")
	require.Equal(t, before, sc.Snapshot())
	sc.RequireNoSecretsInLog()
}

// Promise: a visit's own claim on the speciality does not block its move. The claim of another
// consultation does, if the setting is on. After a move the claim belongs to the consultation that
// ends last.
func TestMoveAndTheSpeciality(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`INSERT INTO setting VALUES ($1, 'OneActiveAppointmentPerSpeciality', 'false')`, uuid.Nil)
	another := uuid.New()
	sc.AddDirection(another, "Consult")
	second := sc.MustBook(harness.Fields{"DirectionGuid": another, "SlotId": harness.FirstSlotID + 1})
	third := sc.MustBook(harness.Fields{"SlotId": harness.FirstSlotID + 2})
	holder := func() (guid uuid.UUID) {
		require.NoError(t, sc.DB.QueryRow(t.Context(), `SELECT appointment_guid FROM speciality_claim`).Scan(&guid))
		return guid
	}
	require.Equal(t, third, holder())
	require.Equal(t, 200, sc.Move(sc.Person, third, harness.Fields{"SlotId": harness.FirstSlotID}).StatusCode)
	require.Equal(t, second, holder())
	sc.RequireInvariants()
	require.Equal(t, 200, sc.Move(sc.Person, third, harness.Fields{"SlotId": harness.FirstSlotID + 3}).StatusCode)
	require.Equal(t, third, holder())
	sc.RequireInvariants()
	sc.Exec(`UPDATE setting SET value = 'true'`)
	for _, guid := range []uuid.UUID{second, third} {
		sc.Move(sc.Person, guid, harness.Fields{
			"SlotId": harness.FirstSlotID + 2,
		}).RequireRefusal(t, "speciality_already_booked")
	}
	sc.Cancel(sc.Person, second).RequireCancelled(t)
	require.Equal(t, 200, sc.Move(sc.Person, third, harness.Fields{"SlotId": harness.FirstSlotID + 1}).StatusCode)
	sc.RequireInvariants()
}

// Promise: a move creates a missing card where a booking would. Visits out of schedule and
// examinations can be moved into a cell.
func TestMoveOfOtherKinds(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE direction SET lpu_to_guid = NULL, type = 'Laboratory'`)
	a := sc.TryBook(sc.OutOfSchedule("2019-08-20"), harness.Fields{"DirectionType": "laboratory"})
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	guid := harness.AppointmentOf(a).GUID
	require.Equal(t, 200, sc.Move(sc.Person, guid, harness.Fields{"SlotId": harness.FirstSlotID}).StatusCode)
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE NOT out_of_schedule AND guid = $1`, guid))
	other := sc.AddTargetLpu()
	sc.Exec(`DELETE FROM mkab WHERE lpu_guid = $1`, other.To)
	target := harness.Fields{"LpuToGuid": other.To, "SlotId": harness.FirstSlotID}
	sc.Move(sc.Person, guid, target).RequireRefusal(t, "mkab_absent")
	sc.Exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true'), ($1, 'PolyclinicCode', $1::uuid::text)`, other.To)
	require.Equal(t, 200, sc.Move(sc.Person, guid, target).StatusCode)
	sc.RequireInvariants()
}

// Promise: a move that breaks the contract is rejected with a message that names the field. Nothing
// changes.
func TestBadMoves(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	guid := sc.MustBook()
	before := sc.Snapshot()
	const notAGuid = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	for body, message := range map[string]string{
		``:                                "Тело запроса должно быть корректным объектом JSON: тело запроса пустое",
		`[]`:                              "Тело запроса должно быть корректным объектом JSON: ожидается объект",
		`{}`:                              "Поле SlotId: обязательно указание одного из идентификаторов ячейки расписания: SlotId или SlotGuid",
		`{"SlotId":1,"SlotId":2}`:         "Тело запроса должно быть корректным объектом JSON: ключ SlotId указан дважды",
		`{"SlotId":1,"DirectionGuid":""}`: "Поле DirectionGuid: неизвестное поле",
		`{"SlotId":0}`:                    "Поле SlotId: значение должно быть не меньше 1",
		`{"SlotId":"1"}`:                  "Поле SlotId: ожидается целое число",
		`{"SlotGuid":"x"}`:                "Поле SlotGuid: " + notAGuid,
		`{"SlotGuid":"00000000-0000-0000-0000-000000000000"}`:             "Поле SlotGuid: нулевой guid недопустим",
		`{"SlotId":1,"LpuToGuid":"x"}`:                                    "Поле LpuToGuid: " + notAGuid,
		`{"SlotId":1,"LpuToGuid":"00000000-0000-0000-0000-000000000000"}`: "Поле LpuToGuid: нулевой guid недопустим",
		`{"SlotId":1,"Difficulty":0}`:                                     "Поле Difficulty: значение должно быть не меньше 1",
		`{"SlotId":1,"Difficulty":17}`:                                    "Поле Difficulty: значение должно быть не больше 16",
		`{"SlotId":1,"IsCito":1}`:                                         "Поле IsCito: ожидается true или false",
		`{"SlotId":1,"VisitComment":"` + strings.Repeat("ж", 1001) + `"}`: "Поле VisitComment: длина должна быть не больше 1000 символов",
		`{"SlotId":1,"VisitComment":"\u0000"}`:                            "Поле VisitComment: недопустимые символы",
	} {
		a := sc.Move(sc.Person, guid, body)
		require.Equal(t, 400, a.StatusCode, "%s", a.Raw)
		require.Equal(t, message, a.Refusal.Message, body)
	}
	sc.MoveAs("Bearer x", guid, harness.Fields{"SlotId": 1}).RequireRefusal(t, "token_invalid")
	request := sc.NewRequest(http.MethodPost, "/appointments/x/move", strings.NewReader(`{"SlotId":1}`))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
	a := sc.Do(request)
	a.RequireRefusal(t, "field_invalid")
	require.Equal(t, "Поле appointmentGuid: "+notAGuid, a.Refusal.Message)
	require.Equal(t, before, sc.Snapshot())
	sc.RequireNoSecretsInLog()
}

// Promises: of concurrent moves into one cell one succeeds. Concurrent moves of one visit all
// succeed. With concurrent cancels and bookings a referral has at most one visit. Nothing
// deadlocks, also when visits exchange cells within and between institutions. The tables satisfy
// the invariants.
func TestMoveRaces(t *testing.T) {
	t.Parallel()
	lost := []string{"slot_full", "slot_taken", "complex_slot_failed"}
	runRaces(t, map[string]race{
		"many visits into one cell": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				sc.AddSlots(harness.Contenders)
				var attempts []func() harness.Answer
				persons, directions := sc.AddPatients(harness.Contenders)
				for i, person := range persons {
					direction := directions[i]
					a := sc.Book(person, sc.BookingBody(harness.Fields{"DirectionGuid": direction, "SlotId": i + 1}))
					attempts = append(attempts, func() harness.Answer {
						return sc.Move(person, harness.AppointmentOf(a).GUID, harness.Fields{
							"SlotId": harness.FirstSlotID,
						})
					})
				}
				return attempts
			},
			lost,
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, 1, succeeded)
				require.Equal(t, harness.Contenders, sc.Count(`SELECT sum(taken) FROM slot WHERE lpu_guid = $1`, sc.To))
			},
		},
		"one visit to many places, within and between institutions": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				sc.Exec(`UPDATE direction SET lpu_to_guid = NULL WHERE lpu_guid = $1`, sc.From)
				places := []*harness.Scene{sc, sc.AddTargetLpu()}
				guid := sc.MustBook()
				return repeated(func(i int) harness.Answer {
					return sc.Move(sc.Person, guid, harness.Fields{
						"LpuToGuid": places[i%2].To, "SlotId": harness.FirstSlotID + i%3, "Difficulty": 1 + i/2%2,
					})
				})
			},
			[]string{"overloaded"},
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, harness.Contenders, succeeded)
				require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment WHERE person_guid = $1`, sc.Person))
			},
		},
		"moves, cancels and bookings of one referral": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				sc.AddSlots(harness.Contenders)
				guid := sc.MustBook()
				return repeated(func(i int) harness.Answer {
					switch {
					case i%8 == 0:
						return sc.Cancel(sc.Person, guid)
					case i%2 == 0:
						return sc.Move(sc.Person, guid, harness.Fields{"SlotId": i + 1})
					default:
						return sc.TryBook(harness.Fields{"SlotId": i + 1})
					}
				})
			},
			[]string{"direction_already_booked", "appointment_cancelled"},
			func(t *testing.T, sc *harness.Scene, _ int) {
				require.LessOrEqual(t, sc.Count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1 AND cancelled_at IS NULL`, sc.To), 1)
			},
		},
		"visits that exchange cells": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				sc.Exec(`UPDATE slot SET capacity = 2 WHERE lpu_guid = $1`, sc.To)
				var attempts []func() harness.Answer
				for i := range 4 {
					person, direction := sc.AddPatient()
					a := sc.Book(person, sc.BookingBody(harness.Fields{
						"DirectionGuid": direction, "SlotId": harness.FirstSlotID + i,
					}))
					for n := range harness.Contenders / 4 {
						attempts = append(attempts, func() harness.Answer {
							return sc.Move(person, harness.AppointmentOf(a).GUID, harness.Fields{
								"SlotId": harness.FirstSlotID + (i+n)%3, "Difficulty": 2,
							})
						})
					}
				}
				return attempts
			},
			append([]string{"overloaded"}, lost...),
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Positive(t, succeeded)
				require.Equal(t, 4, sc.Count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1`, sc.To))
			},
		},
	})
}
