package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// move asks with the token of a person for an appointment to be moved; a body that is a string is sent as it is.
func (s *service) move(person, appointment uuid.UUID, body any) answer {
	s.t.Helper()
	return s.moveAs("Bearer "+s.token(person), appointment, body)
}

func (s *service) moveAs(authorization string, appointment uuid.UUID, body any) answer {
	s.t.Helper()
	return s.send("/appointments/"+appointment.String()+"/move", body, authorization)
}

// elsewhere is a third institution of the scene's legal entity, with a doctor, four cells of the same ids, and a card of the patient.
func (sc *scene) elsewhere() *scene {
	sc.t.Helper()
	other := *sc
	other.to, other.doctor, other.mkabTo, other.slots = uuid.New(), uuid.New(), uuid.New(), nil
	sc.exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, $1::uuid::text, name, 'Asia/Yekaterinburg' FROM lpu WHERE guid = $2`, other.to, sc.to)
	sc.exec(`INSERT INTO resource SELECT $1, $2, kind, name, speciality_code FROM resource WHERE lpu_guid = $3`, other.to, other.doctor, sc.to)
	other.addMkab(other.to, other.mkabTo, sc.person)
	for i := range 4 {
		other.slots = append(other.slots, other.addSlot(other.doctor, firstSlotID+i, time.Date(2019, 8, 21, 10, 15*i, 0, 0, moment.Location()), 1))
	}
	return &other
}

// Promise: a visit that is moved keeps its guid, the time of its booking and what was not given; what it had is free again.
func TestMove(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	first := sc.attempt(fields{"VisitComment": "к врачу", "IsCito": true})
	require.Equal(t, 200, first.StatusCode, "%s", first.raw)
	guid := appointmentOf(first).GUID
	sc.exec(`UPDATE appointment SET created_at = $1, updated_at = $1`, moment.Add(-time.Hour))

	a := sc.move(sc.person, guid, fields{"SlotGuid": sc.slots[2]})
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	want := *first.body.ConsultDirection
	want.Appointment.Start, want.Appointment.End = want.Appointment.Start.Add(30*time.Minute), want.Appointment.End.Add(30*time.Minute)
	want.Appointment.CreateTime = want.Appointment.CreateTime.Add(-time.Hour)
	got := *a.body.ConsultDirection
	for _, at := range []*time.Time{&want.Appointment.Start, &want.Appointment.End, &want.Appointment.CreateTime} {
		*at = at.UTC()
	}
	for _, at := range []*time.Time{&got.Appointment.Start, &got.Appointment.End, &got.Appointment.CreateTime} {
		*at = at.UTC()
	}
	require.Equal(t, want.Appointment, got.Appointment)
	require.Equal(t, want.ID, got.ID)
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment WHERE guid = $1 AND comment = 'к врачу' AND is_cito AND updated_at = $2 AND cancelled_at IS NULL`, guid, moment))
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment`))
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment WHERE slot_guids = ARRAY[$1::uuid]`, sc.slots[2]))
	require.Equal(t, 4, sc.held())
	sc.requireInvariants()

	// Onto cells that it has itself, then to another institution and back.
	require.Equal(t, 200, sc.move(sc.person, guid, fields{"SlotId": firstSlotID + 1, "Difficulty": 2, "VisitComment": "", "IsCito": false}).StatusCode)
	require.Equal(t, 200, sc.move(sc.person, guid, fields{"SlotId": firstSlotID + 2}).StatusCode, "as many cells as it has, one of them its own")
	require.Equal(t, 2, sc.count(`SELECT sum(taken) FROM slot`))
	sc.requireInvariants()
	other := sc.elsewhere()
	sc.exec(`UPDATE direction SET lpu_to_guid = NULL WHERE lpu_guid = $1`, sc.from)
	a = sc.move(sc.person, guid, fields{"LpuToGuid": other.to, "SlotId": firstSlotID, "Difficulty": 1})
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.Equal(t, other.to, a.body.ConsultDirection.LpuToGUID)
	require.Equal(t, other.mkabTo, a.body.ConsultDirection.MkabGUID)
	require.Equal(t, guid, appointmentOf(a).GUID)
	require.Contains(t, a.raw, "2019-08-21T12:00:00+05:00")
	require.Equal(t, 4, sc.held())
	sc.requireInvariants()
	require.Equal(t, 200, sc.move(sc.person, guid, fields{"LpuToGuid": sc.to, "SlotId": firstSlotID}).StatusCode)
	sc.requireInvariants()
	sc.cancel(sc.person, guid).requireCancelled(t)
	require.Zero(t, sc.held())
}

// Promise: a move into the very cells that the visit has changes nothing, whatever has become of them; so one without an answer can be repeated.
func TestMoveToWhereItIs(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	first := sc.attempt(fields{"Difficulty": 2})
	sc.exec(`UPDATE slot SET blocked = true`)
	sc.exec(`UPDATE direction SET cancelled_at = $1`, moment)
	before := sc.snapshot()
	for _, body := range []fields{{"SlotId": firstSlotID}, {"SlotGuid": sc.slots[0], "Difficulty": 2, "VisitComment": "", "IsCito": nil, "LpuToGuid": sc.to}} {
		a := sc.move(sc.person, appointmentOf(first).GUID, body)
		require.Equal(t, 200, a.StatusCode, "%s", a.raw)
		require.JSONEq(t, first.raw, a.raw)
	}
	require.Equal(t, before, sc.snapshot())
	sc.move(sc.person, appointmentOf(first).GUID, fields{"SlotId": firstSlotID, "VisitComment": "другой"}).requireRefusal(t, "direction_not_found")
	sc.move(sc.person, appointmentOf(first).GUID, fields{"SlotId": firstSlotID, "Difficulty": 1}).requireRefusal(t, "direction_not_found")
	require.Equal(t, before, sc.snapshot())
}

// Promise: a move is refused by the rules of a booking, with what the visit has taken out; the old visit then stands untouched.
func TestMoveIsRefused(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	guid := sc.booked()
	person, direction := sc.patient()
	require.Equal(t, 200, sc.book(person, sc.request(fields{"DirectionGuid": direction, "SlotId": firstSlotID + 2})).StatusCode)
	third := fields{"SlotId": firstSlotID + 2}
	last := fields{"SlotId": firstSlotID + 3}
	for _, c := range []struct {
		name, do, undo string
		body           fields
		rule           string
	}{
		{"full", ``, ``, third, "slot_full"},
		{"its neighbour is full", ``, ``, fields{"SlotId": firstSlotID + 1, "Difficulty": 2}, "complex_slot_failed"},
		{"no such cell", ``, ``, fields{"SlotId": 1}, "slot_not_found"},
		{"another legal entity", ``, ``, fields{"SlotId": firstSlotID, "LpuToGuid": uuid.New()}, "direction_lpu_mismatch"},
		{"no cell there", ``, ``, fields{"SlotId": firstSlotID, "LpuToGuid": sc.from}, "slot_not_found"},
		{"withdrawn", `UPDATE direction SET cancelled_at = now()`, `UPDATE direction SET cancelled_at = NULL`, last, "direction_not_found"},
		{"passed", `UPDATE slot SET start_at = '2019-08-20' WHERE id % 10 = 8`, `UPDATE slot SET start_at = end_at - interval '15 minutes'`, last, "slot_time_passed"},
		{"blocked", `UPDATE slot SET blocked = true`, `UPDATE slot SET blocked = false`, last, "slot_unavailable"},
		{"no right", `UPDATE client_application SET visit_direction_other_lpu = 128`, `UPDATE client_application SET visit_direction_other_lpu = 95`, last, "slot_access_denied"},
		{"for children", `UPDATE slot SET restriction = 'children'`, `UPDATE slot SET restriction = 'none'`, last, "slot_children_only"},
		{"another speciality", `UPDATE resource SET speciality_code = '7'`, `UPDATE resource SET speciality_code = '92'`, last, "speciality_mismatch"},
		{"card closed", `UPDATE mkab SET closed_at = now()`, `UPDATE mkab SET closed_at = NULL`, last, "mkab_closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc.run(c.do)
			before := sc.snapshot()
			sc.move(sc.person, guid, c.body).requireRefusal(t, c.rule)
			require.Equal(t, before, sc.snapshot())
			sc.run(c.undo)
		})
	}
	before := sc.snapshot()
	sc.move(uuid.New(), guid, last).requireRefusal(t, "appointment_absent")
	sc.move(sc.person, uuid.New(), last).requireRefusal(t, "appointment_absent")
	sc.move(person, guid, last).requireRefusal(t, "appointment_absent")
	require.Equal(t, before, sc.snapshot())
	sc.exec(`UPDATE appointment SET start_at = $2 WHERE guid = $1`, guid, moment.Add(-time.Second))
	sc.move(sc.person, guid, last).requireRefusal(t, "appointment_started")
	sc.exec(`INSERT INTO setting VALUES ($1, 'DeleteOldTime', 'true')`, sc.to)
	require.Equal(t, 200, sc.move(sc.person, guid, last).StatusCode)
	sc.cancel(sc.person, guid).requireCancelled(t)
	before = sc.snapshot()
	sc.move(sc.person, guid, fields{"SlotId": firstSlotID}).requireRefusal(t, "appointment_cancelled")
	require.Equal(t, before, sc.snapshot())
	sc.requireDiscreetLog()
}

// Promise: a visit's own claim on the speciality does not block its move; another consultation's does, where the setting is on again. The claim is the last
// consultation's after a move, too.
func TestMoveAndTheSpeciality(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`INSERT INTO setting VALUES ($1, 'OneActiveAppointmentPerSpeciality', 'false')`, uuid.Nil)
	another := uuid.New()
	sc.addDirection(another, "Consult")
	second := sc.booked(fields{"DirectionGuid": another, "SlotId": firstSlotID + 1})
	third := sc.booked(fields{"SlotId": firstSlotID + 2})
	holder := func() (guid uuid.UUID) {
		require.NoError(t, sc.db.QueryRow(t.Context(), `SELECT appointment_guid FROM speciality_claim`).Scan(&guid))
		return guid
	}
	require.Equal(t, third, holder())
	require.Equal(t, 200, sc.move(sc.person, third, fields{"SlotId": firstSlotID}).StatusCode)
	require.Equal(t, second, holder())
	sc.requireInvariants()
	require.Equal(t, 200, sc.move(sc.person, third, fields{"SlotId": firstSlotID + 3}).StatusCode)
	require.Equal(t, third, holder())
	sc.requireInvariants()
	sc.exec(`UPDATE setting SET value = 'true'`)
	for _, guid := range []uuid.UUID{second, third} {
		sc.move(sc.person, guid, fields{"SlotId": firstSlotID + 2}).requireRefusal(t, "speciality_already_booked")
	}
	sc.cancel(sc.person, second).requireCancelled(t)
	require.Equal(t, 200, sc.move(sc.person, third, fields{"SlotId": firstSlotID + 1}).StatusCode)
	sc.requireInvariants()
}

// Promise: a card is made on the way where the institution lets it, as for a booking; a visit out of schedule can be moved into a cell; an examination, too.
func TestMoveOfOtherKinds(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`UPDATE direction SET lpu_to_guid = NULL, type = 'Laboratory'`)
	a := sc.attempt(sc.outOfSchedule("2019-08-20"), fields{"DirectionType": "laboratory"})
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	guid := appointmentOf(a).GUID
	require.Equal(t, 200, sc.move(sc.person, guid, fields{"SlotId": firstSlotID}).StatusCode)
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment WHERE NOT out_of_schedule AND guid = $1`, guid))
	other := sc.elsewhere()
	sc.exec(`DELETE FROM mkab WHERE lpu_guid = $1`, other.to)
	there := fields{"LpuToGuid": other.to, "SlotId": firstSlotID}
	sc.move(sc.person, guid, there).requireRefusal(t, "mkab_absent")
	sc.exec(`INSERT INTO setting VALUES ($1, '2dr_RecordWithoutMkab', 'true'), ($1, 'PolyclinicCode', $1::uuid::text)`, other.to)
	require.Equal(t, 200, sc.move(sc.person, guid, there).StatusCode)
	sc.requireInvariants()
}

// Promise: what breaks the contract is refused by its name, and nothing changes.
func TestBadMoves(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	guid := sc.booked()
	before := sc.snapshot()
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
		a := sc.move(sc.person, guid, body)
		require.Equal(t, 400, a.StatusCode, "%s", a.raw)
		require.Equal(t, message, a.error.Message, body)
	}
	sc.moveAs("Bearer x", guid, fields{"SlotId": 1}).requireRefusal(t, "token_invalid")
	request := sc.service.request(http.MethodPost, "/appointments/x/move", strings.NewReader(`{"SlotId":1}`))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
	a := sc.do(request)
	a.requireRefusal(t, "field_invalid")
	require.Equal(t, "Поле appointmentGuid: "+notAGuid, a.error.Message)
	require.Equal(t, before, sc.snapshot())
	sc.requireDiscreetLog()
}

// Promises: of moves into one cell one succeeds, of moves of one visit each finds a whole one; with cancels and bookings of the same referral at once there is
// one visit at the most; nobody deadlocks, also where cells are exchanged within and between institutions. The tables then satisfy the invariants.
func TestMoveRaces(t *testing.T) {
	t.Parallel()
	lost := []string{"slot_full", "slot_taken", "complex_slot_failed"}
	runContests(t, map[string]contest{
		"many visits into one cell": {
			func(_ *testing.T, sc *scene) []func() answer {
				sc.addSlots(contenders)
				var attempts []func() answer
				for i := range contenders {
					person, direction := sc.patient()
					a := sc.book(person, sc.request(fields{"DirectionGuid": direction, "SlotId": i + 1}))
					attempts = append(attempts, func() answer { return sc.move(person, appointmentOf(a).GUID, fields{"SlotId": firstSlotID}) })
				}
				return attempts
			},
			lost,
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, 1, succeeded)
				require.Equal(t, contenders, sc.count(`SELECT sum(taken) FROM slot WHERE lpu_guid = $1`, sc.to))
			},
		},
		"one visit to many places, within and between institutions": {
			func(_ *testing.T, sc *scene) []func() answer {
				sc.exec(`UPDATE direction SET lpu_to_guid = NULL WHERE lpu_guid = $1`, sc.from)
				places := []*scene{sc, sc.elsewhere()}
				guid := sc.booked()
				return repeat(func(i int) answer {
					return sc.move(sc.person, guid, fields{"LpuToGuid": places[i%2].to, "SlotId": firstSlotID + i%3, "Difficulty": 1 + i/2%2})
				})
			},
			[]string{"overloaded"},
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, contenders, succeeded)
				require.Equal(t, 1, sc.count(`SELECT count(*) FROM appointment WHERE person_guid = $1`, sc.person))
			},
		},
		"moves, cancels and bookings of one referral": {
			func(_ *testing.T, sc *scene) []func() answer {
				sc.addSlots(contenders)
				guid := sc.booked()
				return repeat(func(i int) answer {
					switch {
					case i%8 == 0:
						return sc.cancel(sc.person, guid)
					case i%2 == 0:
						return sc.move(sc.person, guid, fields{"SlotId": i + 1})
					default:
						return sc.attempt(fields{"SlotId": i + 1})
					}
				})
			},
			[]string{"direction_already_booked", "appointment_cancelled"},
			func(t *testing.T, sc *scene, _ int) {
				require.LessOrEqual(t, sc.count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1 AND cancelled_at IS NULL`, sc.to), 1)
			},
		},
		"visits that change places": {
			func(_ *testing.T, sc *scene) []func() answer {
				sc.exec(`UPDATE slot SET capacity = 2 WHERE lpu_guid = $1`, sc.to)
				var attempts []func() answer
				for i := range 4 {
					person, direction := sc.patient()
					a := sc.book(person, sc.request(fields{"DirectionGuid": direction, "SlotId": firstSlotID + i}))
					for n := range contenders / 4 {
						attempts = append(attempts, func() answer {
							return sc.move(person, appointmentOf(a).GUID, fields{"SlotId": firstSlotID + (i+n)%3, "Difficulty": 2})
						})
					}
				}
				return attempts
			},
			append([]string{"overloaded"}, lost...),
			func(t *testing.T, sc *scene, succeeded int) {
				require.Positive(t, succeeded)
				require.Equal(t, 4, sc.count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1`, sc.to))
			},
		},
	})
}
