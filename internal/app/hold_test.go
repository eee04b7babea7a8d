package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
)

// hold asks with the token of a person for a cell to be held; a body that is a string is sent as it is.
func (s *service) hold(person, slot uuid.UUID, body any) answer {
	s.t.Helper()
	return s.send("/slots/"+slot.String()+"/hold", body, "Bearer "+s.token(person))
}

// release gives a cell back with the token of a person.
func (s *service) release(person, lpu, slot uuid.UUID) answer {
	s.t.Helper()
	request := s.request(http.MethodDelete, "/slots/"+slot.String()+"/hold?lpuGuid="+lpu.String(), nil)
	request.Header.Set("Authorization", "Bearer "+s.token(person))
	return s.do(request)
}

// holding is the body of a hold that the scene allows, with the changes given.
func (sc *scene) holding(changes ...fields) fields {
	return sc.request(append([]fields{{"SlotId": nil}}, changes...)...)
}

// holds holds one of the scene's cells for its patient.
func (sc *scene) holds(n int, changes ...fields) api.Hold {
	sc.t.Helper()
	return as[api.Hold](sc.t, sc.hold(sc.person, sc.slots[n], sc.holding(changes...)))
}

// requireReleased requires the answer to what was given back.
func (a answer) requireReleased(t testing.TB) {
	t.Helper()
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.JSONEq(t, `{"code": 200, "message": "Удержание ячейки снято", "message_code": "2000"}`, a.raw)
}

// Promise: a cell that is held is full for everybody else, in the check, the search, a booking, a move and a hold, and free for its holder, whose booking uses
// the hold up.
func TestHold(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	other, direction := sc.patient()
	theirs := *sc
	theirs.person, theirs.direction = other, direction
	guid := theirs.booked(fields{"SlotId": firstSlotID + 3})

	a := sc.hold(sc.person, sc.slots[0], sc.holding())
	require.Equal(t, 200, a.StatusCode, "%s", a.raw)
	require.JSONEq(t, `{
		"slotGuid": "`+sc.slots[0].String()+`",
		"lpuToGuid": "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9",
		"directionGuid": "e714e964-d8a0-4776-b163-c708371c39a5",
		"start": "2019-08-21T08:45:00+03:00",
		"end": "2019-08-21T09:00:00+03:00",
		"slotGuids": ["`+sc.slots[0].String()+`"],
		"heldUntil": "2019-08-20T17:57:14+03:00"
	}`, a.raw)
	sc.requireInvariants()

	third, referral := sc.patient()
	strangers := *sc
	strangers.person, strangers.direction = third, referral
	strangers.check = asItIs
	refused := strangers.attempt()
	refused.requireRefusal(t, "slot_full")
	require.Len(t, *refused.error.Details.Slots, 2, "those that are neither held nor booked")
	strangers.attempt(fields{"SlotId": firstSlotID + 1, "Difficulty": 3}).requireRefusal(t, "complex_slot_failed")
	strangers.hold(third, sc.slots[0], strangers.holding()).requireRefusal(t, "slot_full")
	sc.move(other, guid, fields{"SlotId": firstSlotID}).requireRefusal(t, "slot_full")
	require.Equal(t, []int{firstSlotID + 1, firstSlotID + 2}, strangers.search(third, "").ids(t))
	require.Equal(t, []int{firstSlotID + 1}, strangers.search(third, "difficulty=2").ids(t))
	require.Equal(t, "14527455 Booked slot_full", strangers.search(third, "explain=true").told(t)[0])
	require.Zero(t, strangers.search(third, "explain=true").page.Items[0].Left)

	sc.check = asItIs
	require.Equal(t, []int{firstSlotID, firstSlotID + 1, firstSlotID + 2}, sc.search(sc.person, "").ids(t))
	require.EqualValues(t, 1, sc.search(sc.person, "").page.Items[0].Left)
	require.Equal(t, 200, sc.attempt().StatusCode)
	require.Zero(t, sc.count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(*) FROM slot WHERE holds IS NOT NULL)`), "it is used up")
	sc.requireInvariants()
}

// Promise: a hold that stands is answered again as it is, whatever is asked of it, and nothing changes.
func TestHoldAgain(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`UPDATE slot SET capacity = 3`)
	first := sc.holds(0)
	before := sc.snapshot()
	sc.pass(time.Minute)
	require.Equal(t, first, sc.holds(0))
	require.Equal(t, first, sc.holds(0, fields{"Minutes": 15, "Difficulty": 2}))
	require.Equal(t, before, sc.snapshot())
	sc.exec(`UPDATE slot SET capacity = 1`)
	require.Equal(t, first, sc.holds(0))
	require.Equal(t, before["hold"], sc.snapshot()["hold"])
}

// Promise: a hold ends by itself, to the second: then the cell is free for all, its former holder among them, and the place for another hold.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	first, second := sc.holds(0, fields{"Minutes": 1}), sc.holds(1, fields{"Minutes": 15})
	require.Equal(t, time.Minute, first.HeldUntil.Sub(moment))
	require.Equal(t, 15*time.Minute, second.HeldUntil.Sub(moment))
	other, direction := sc.patient()
	sc.pass(time.Minute - time.Microsecond)
	sc.hold(sc.person, sc.slots[2], sc.holding()).requireRefusal(t, "too_many_holds")
	sc.book(other, sc.request(fields{"DirectionGuid": direction})).requireRefusal(t, "slot_full")
	sc.pass(time.Microsecond)
	sc.requireInvariants()
	require.Equal(t, []int{firstSlotID, firstSlotID + 2, firstSlotID + 3}, sc.slotsOf(direction, "Bearer "+sc.token(other), "").ids(t))
	again := sc.holds(0)
	require.Equal(t, 6*time.Minute, again.HeldUntil.Sub(moment))
	require.Equal(t, 2, sc.count(`SELECT count(*) FROM hold`), "the place is used again")
	require.Equal(t, 1, sc.count(`SELECT cardinality(holds) FROM slot WHERE guid = $1`, sc.slots[0]), "what had ended is gone")
	sc.pass(15 * time.Minute)
	require.Equal(t, 200, sc.book(other, sc.request(fields{"DirectionGuid": direction})).StatusCode)
	require.Zero(t, sc.count(`SELECT count(holds) FROM slot WHERE guid = $1`, sc.slots[0]))
	require.Equal(t, 200, sc.attempt(fields{"SlotId": firstSlotID + 1}).StatusCode, "a hold that has ended stands in nobody's way")
	sc.requireInvariants()
}

// Promise: a patient holds two cells at the most, over all institutions, and is shown which; one that is given back makes room.
func TestTooManyHolds(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`UPDATE direction SET lpu_to_guid = NULL`)
	there := sc.elsewhere()
	second, first := sc.holds(0, fields{"Minutes": 10}), there.holds(0)
	stranger, _ := sc.patient()
	before := sc.snapshot()
	for _, place := range []*scene{sc, there} {
		a := place.hold(sc.person, place.slots[1], place.holding())
		require.Equal(t, 409, a.StatusCode, "%s", a.raw)
		require.Equal(t, "300", a.Header.Get("Retry-After"))
		require.Equal(t, []api.Hold{first, second}, *a.error.Details.Holds)
	}
	require.Equal(t, before, sc.snapshot())

	sc.release(stranger, sc.to, sc.slots[0]).requireReleased(t)
	sc.release(sc.person, there.to, sc.slots[0]).requireReleased(t)
	sc.release(sc.person, sc.to, sc.slots[1]).requireReleased(t)
	require.Equal(t, before, sc.snapshot(), "none of these is a hold of theirs")
	for range 2 {
		sc.release(sc.person, sc.to, sc.slots[0]).requireReleased(t)
		require.Equal(t, 1, sc.count(`SELECT count(*) FROM hold`))
		require.Equal(t, 1, sc.count(`SELECT count(holds) FROM slot`))
	}
	sc.holds(1)
	sc.requireInvariants()
	sc.requireDiscreetLog()
}

// Promise: bookings and holds together never are more than a cell has places.
func TestHoldsOfManyPlaces(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`UPDATE slot SET capacity = 3`)
	sc.holds(0)
	for n := range 3 {
		require.EqualValues(t, 3-n, sc.search(sc.person, "").page.Items[0].Left)
		person, direction := sc.patient()
		a := sc.book(person, sc.request(fields{"DirectionGuid": direction}))
		if n == 2 {
			a.requireRefusal(t, "slot_full")
			continue
		}
		require.Equal(t, 200, a.StatusCode, "%s", a.raw)
		require.EqualValues(t, 3-n, sc.search(sc.person, "").page.Items[0].Left+1)
	}
	sc.requireInvariants()
	require.Equal(t, 200, sc.attempt().StatusCode)
	sc.requireInvariants()

	// An institution that takes places away takes none of those that are held; nobody is offered less than nothing.
	other := sc.another()
	other.exec(`UPDATE slot SET capacity = 3 WHERE lpu_guid = $1`, other.to)
	for range 2 {
		person, direction := other.patient()
		require.Equal(t, 200, other.hold(person, other.slots[0], other.holding(fields{"DirectionGuid": direction})).StatusCode)
	}
	other.exec(`UPDATE slot SET capacity = 1 WHERE lpu_guid = $1`, other.to)
	require.Zero(t, other.search(other.person, "explain=true").page.Items[0].Left)
	other.attempt().requireRefusal(t, "slot_full")
}

// Promise: of several cells all are held or none; a booking or a move into any of them uses up the whole hold, and no other.
func TestHoldOfSeveralCells(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	examination := uuid.New()
	sc.addDirection(examination, "Laboratory")
	other, direction := sc.patient()
	held := sc.holds(1, fields{"Difficulty": 2})
	require.Equal(t, sc.slots[1:3], held.SlotGuids)
	require.Equal(t, "2019-08-21T09:30:00+03:00", held.End.Format(time.RFC3339))
	before := sc.snapshot()
	sc.hold(other, sc.slots[0], sc.holding(fields{"DirectionGuid": direction, "Difficulty": 2})).requireRefusal(t, "complex_slot_failed")
	sc.hold(sc.person, sc.slots[2], sc.holding()).requireRefusal(t, "slot_taken")
	sc.hold(sc.person, sc.slots[0], sc.holding(fields{"Difficulty": 3})).requireRefusal(t, "complex_slot_failed")
	require.Equal(t, before, sc.snapshot())

	untouched := sc.holds(0)
	guid := sc.booked(fields{"SlotId": firstSlotID + 2, "Difficulty": 2})
	sc.requireInvariants()
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM hold WHERE slot_guids[1] = $1`, untouched.SlotGUID))
	require.Equal(t, 1, sc.count(`SELECT count(holds) FROM slot`))

	sc.holds(1, fields{"DirectionGuid": examination, "DirectionType": "laboratory"})
	require.Equal(t, 200, sc.move(sc.person, guid, fields{"SlotId": firstSlotID, "Difficulty": 3}).StatusCode, "over both holds and a cell of its own")
	require.Zero(t, sc.count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(holds) FROM slot)`))
	sc.requireInvariants()
	sc.holds(3, fields{"DirectionGuid": examination, "DirectionType": "laboratory"})
	require.Equal(t, 200, sc.move(sc.person, guid, fields{"SlotId": firstSlotID, "Difficulty": 3}).StatusCode, "where it is")
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM hold`), "which uses nothing up")
	sc.requireInvariants()
}

// Promise: a visit may be moved into a cell that is held, from another institution too, by the holder alone.
func TestMoveIntoAHold(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	sc.exec(`UPDATE direction SET lpu_to_guid = NULL`)
	there := sc.elsewhere()
	examination := uuid.New()
	sc.addDirection(examination, "Laboratory")
	guid := sc.booked()
	there.holds(0, fields{"DirectionGuid": examination, "DirectionType": "laboratory", "Difficulty": 2})
	require.Equal(t, 200, sc.move(sc.person, guid, fields{"LpuToGuid": there.to, "SlotId": firstSlotID + 1}).StatusCode)
	require.Zero(t, sc.count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(holds) FROM slot)`))
	sc.requireInvariants()
}

// Promise: what a booking would be refused for, a hold is: by the same rule, and nothing changes. The master patient index is not asked.
func TestHoldIsRefused(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	stranger, theirs := sc.patient()
	for _, c := range []struct {
		name, do, undo string
		body           fields
		rule           string
	}{
		{"another's referral", ``, ``, fields{"DirectionGuid": theirs}, "direction_not_patients"},
		{"no such referral", ``, ``, fields{"DirectionGuid": uuid.New()}, "direction_not_found"},
		{"another type", ``, ``, fields{"DirectionType": "hospital"}, "direction_type_unsupported"},
		{"another legal entity", ``, ``, fields{"LpuToGuid": uuid.New()}, "direction_lpu_mismatch"},
		{"no such institution", `UPDATE direction SET lpu_to_guid = NULL`, ``, fields{"LpuToGuid": uuid.New()}, "slot_not_found"},
		{"no cell there", ``, ``, fields{"LpuToGuid": sc.from}, "slot_not_found"},
		{"no neighbour", ``, ``, fields{"Difficulty": 5}, "complex_slot_failed"},
		{"inactive", `UPDATE resource SET active = false`, `UPDATE resource SET active = true`, nil, "slot_resource_not_found"},
		{"lunch", `UPDATE slot SET busy_type = 2`, `UPDATE slot SET busy_type = 1`, nil, "slot_not_for_reception"},
		{"blocked", `UPDATE slot SET blocked = true`, `UPDATE slot SET blocked = false`, nil, "slot_unavailable"},
		{"passed", `UPDATE slot SET start_at = '2019-08-20'`, `UPDATE slot SET start_at = end_at - interval '15 minutes'`, nil, "slot_time_passed"},
		{"no right", `UPDATE client_application SET visit_direction_other_lpu = 128`, `UPDATE client_application SET visit_direction_other_lpu = 95`, nil, "slot_access_denied"},
		{"full", `UPDATE slot SET taken = 1`, `UPDATE slot SET taken = 0`, nil, "slot_full"},
		{"another speciality", `UPDATE resource SET speciality_code = '7'`, `UPDATE resource SET speciality_code = '92'`, nil, "speciality_mismatch"},
		{"for children", `UPDATE slot SET restriction = 'children'`, `UPDATE slot SET restriction = 'none'`, nil, "slot_children_only"},
		{"card closed", `UPDATE mkab SET closed_at = now()`, `UPDATE mkab SET closed_at = NULL`, nil, "mkab_closed"},
		{"no card", `UPDATE mkab SET person_guid = gen_random_uuid() WHERE lpu_guid = '` + sc.to.String() + `'`, ``, nil, "mkab_absent"},
		{
			"no card can be made", `INSERT INTO setting VALUES ('` + sc.to.String() + `', '2dr_RecordWithoutMkab', 'true')`,
			`INSERT INTO setting VALUES ('` + sc.to.String() + `', 'PolyclinicCode', '2')`, nil, "mkab_lpu_not_found",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc.run(c.do)
			before := sc.snapshot()
			sc.hold(sc.person, sc.slots[0], sc.holding(c.body)).requireRefusal(t, c.rule)
			require.Equal(t, before, sc.snapshot())
			sc.run(c.undo)
		})
	}
	sc.exec(`DELETE FROM mip_person_data`)
	sc.holds(0)
	require.Zero(t, sc.count(`SELECT count(*) FROM mkab WHERE lpu_guid = $1 AND person_guid = $2`, sc.to, sc.person), "no card is made")
	sc.book(sc.person, sc.request()).requireRefusal(t, "mip_person_data_missing")
	require.Equal(t, 1, sc.count(`SELECT count(*) FROM hold`), "a booking that is refused uses nothing up")
	sc.hold(stranger, sc.slots[1], sc.holding()).requireRefusal(t, "direction_not_patients")
	sc.requireInvariants()
	sc.requireDiscreetLog()
}

// Promise: of the hold's guards each is asked again when the cell is written.
func TestHoldLosesARace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sql, rule string }{
		"taken":              {`UPDATE slot SET taken = capacity`, "slot_taken"},
		"its neighbour":      {`UPDATE slot SET taken = capacity WHERE id = 14527456`, "complex_slot_failed"},
		"blocked":            {`UPDATE slot SET blocked = true`, "slot_taken"},
		"closed":             {`UPDATE slot SET flag_access = 32`, "slot_taken"},
		"at another time":    {`UPDATE slot SET start_at = start_at + interval '1 hour', end_at = end_at + interval '1 hour'`, "slot_taken"},
		"for others":         {`UPDATE slot SET restriction = 'children'`, "slot_taken"},
		"not for visits":     {`UPDATE slot SET busy_type = 2`, "slot_taken"},
		"held by another":    {`UPDATE slot SET holds = ARRAY[ROW(gen_random_uuid(), gen_random_uuid(), '2019-08-21')::slot_hold]`, "slot_taken"},
		"a hold has expired": {`UPDATE slot SET holds = ARRAY[ROW(gen_random_uuid(), gen_random_uuid(), '2019-08-20')::slot_hold]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := start(t).scene()
			tx, err := sc.db.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(t.Context()) }()
			_, err = tx.Exec(t.Context(), c.sql)
			require.NoError(t, err)
			answers := make(chan answer, 1)
			go func() { answers <- sc.hold(sc.person, sc.slots[0], sc.holding(fields{"Difficulty": 2})) }()
			sc.waitForBlocked(tx)
			require.NoError(t, tx.Commit(t.Context()))
			a := <-answers
			if c.rule == "" {
				require.Equal(t, 200, a.StatusCode, "%s", a.raw)
				return
			}
			a.requireRefusal(t, c.rule)
			require.Zero(t, sc.count(`SELECT count(*) FROM hold`))
		})
	}
}

// Promise: what breaks the contract is refused by its name, and nothing changes.
func TestBadHolds(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	before := sc.snapshot()
	const notAGuid = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	const zero = "00000000-0000-0000-0000-000000000000"
	for name, bad := range map[string]struct {
		body    any
		message string
	}{
		"no body":               {"", "Тело запроса должно быть корректным объектом JSON: тело запроса пустое"},
		"an array":              {"[]", "Тело запроса должно быть корректным объектом JSON: ожидается объект"},
		"a key twice":           {`{"Minutes":1,"Minutes":2}`, "Тело запроса должно быть корректным объектом JSON: ключ Minutes указан дважды"},
		"nothing":               {"{}", "Поле DirectionGuid: обязательное поле не указано"},
		"another field":         {sc.holding(fields{"SlotId": 1}), "Поле SlotId: неизвестное поле"},
		"DirectionGuid no guid": {sc.holding(fields{"DirectionGuid": "x"}), "Поле DirectionGuid: " + notAGuid},
		"DirectionGuid zero":    {sc.holding(fields{"DirectionGuid": zero}), "Поле DirectionGuid: нулевой guid недопустим"},
		"DirectionType missing": {sc.holding(fields{"DirectionType": nil}), "Поле DirectionType: обязательное поле не указано"},
		"DirectionType number":  {sc.holding(fields{"DirectionType": 1}), "Поле DirectionType: ожидается строка"},
		"LpuFromGuid zero":      {sc.holding(fields{"LpuFromGuid": zero}), "Поле LpuFromGuid: нулевой guid недопустим"},
		"LpuToGuid missing":     {sc.holding(fields{"LpuToGuid": nil}), "Поле LpuToGuid: обязательное поле не указано"},
		"LpuToGuid zero":        {sc.holding(fields{"LpuToGuid": zero}), "Поле LpuToGuid: нулевой guid недопустим"},
		"AppointmentGuid zero":  {sc.holding(fields{"AppointmentGuid": zero}), "Поле AppointmentGuid: нулевой guid недопустим"},
		"AppointmentGuid empty": {sc.holding(fields{"AppointmentGuid": ""}), "Поле AppointmentGuid: " + notAGuid},
		"AppointmentGuid no":    {sc.holding(fields{"AppointmentGuid": 1}), "Поле AppointmentGuid: " + notAGuid},
		"Difficulty 0":          {sc.holding(fields{"Difficulty": 0}), "Поле Difficulty: значение должно быть не меньше 1"},
		"Difficulty 17":         {sc.holding(fields{"Difficulty": 17}), "Поле Difficulty: значение должно быть не больше 16"},
		"Minutes 0":             {sc.holding(fields{"Minutes": 0}), "Поле Minutes: значение должно быть не меньше 1"},
		"Minutes 16":            {sc.holding(fields{"Minutes": 16}), "Поле Minutes: значение должно быть не больше 15"},
		"Minutes a fraction":    {sc.holding(fields{"Minutes": 1.5}), "Поле Minutes: ожидается целое число"},
		"Minutes a string":      {sc.holding(fields{"Minutes": "5"}), "Поле Minutes: ожидается целое число"},
		"Minutes too many":      {sc.holding(fields{"Minutes": int64(1) << 40}), "Поле Minutes: ожидается целое число от 1 до 15"},
	} {
		t.Run(name, func(t *testing.T) {
			a := sc.hold(sc.person, sc.slots[0], bad.body)
			require.Equal(t, 400, a.StatusCode, "%s", a.raw)
			require.Equal(t, bad.message, a.error.Message)
		})
	}
	a := sc.send("/slots/x/hold", sc.holding(), "Bearer "+sc.token(sc.person))
	require.Equal(t, "Поле slotGuid: "+notAGuid, a.error.Message, a.raw)
	a = sc.hold(sc.person, uuid.Nil, sc.holding())
	require.Equal(t, "Поле slotGuid: нулевой guid недопустим", a.error.Message, a.raw)
	sc.send("/slots/"+sc.slots[0].String()+"/hold", sc.holding()).requireRefusal(t, "token_missing")
	sc.hold(sc.person, uuid.New(), sc.holding()).requireRefusal(t, "slot_not_found")

	to := sc.to.String()
	for target, message := range map[string]string{
		"/slots/x/hold?lpuGuid=" + to:                             "Поле slotGuid: " + notAGuid,
		"/slots/" + zero + "/hold?lpuGuid=" + to:                  "Поле slotGuid: нулевой guid недопустим",
		"/slots/" + to + "/hold":                                  "Поле lpuGuid: значение не указано",
		"/slots/" + to + "/hold?lpuguid=" + to:                    "Поле lpuGuid: значение не указано",
		"/slots/" + to + "/hold?lpuGuid=":                         "Поле lpuGuid: значение не указано",
		"/slots/" + to + "/hold?lpuGuid=x":                        "Поле lpuGuid: " + notAGuid,
		"/slots/" + to + "/hold?lpuGuid=" + zero:                  "Поле lpuGuid: нулевой guid недопустим",
		"/slots/" + to + "/hold?lpuGuid=" + to + "&lpuGuid=" + to: "Поле lpuGuid: значение указано больше одного раза",
		"/slots/" + to + "/hold?lpuGuid=%00":                      "Поле lpuGuid: недопустимые символы",
	} {
		request := sc.service.request(http.MethodDelete, target, nil)
		sc.do(request).requireRefusal(t, "token_missing")
		request = sc.service.request(http.MethodDelete, target, nil)
		request.Header.Set("Authorization", "Bearer "+sc.token(sc.person))
		a := sc.do(request)
		a.requireRefusal(t, "field_invalid")
		require.Equal(t, message, a.error.Message, target)
	}
	require.Equal(t, before, sc.snapshot())

	// What is at a bound is accepted, and guids in capitals are.
	require.Equal(t, 15*time.Minute, sc.holds(0, fields{"Minutes": 15, "Difficulty": 1, "DirectionGuid": strings.ToUpper(sc.direction.String())}).HeldUntil.Sub(moment))
	sc.release(sc.person, sc.to, sc.slots[0]).requireReleased(t)
	require.Equal(t, 5*time.Minute, sc.holds(0, fields{"Minutes": nil, "Difficulty": nil}).HeldUntil.Sub(moment))
	sc.requireDiscreetLog()
}

// Promises: of any number of requests at once exactly as many cells are held or booked as there is room for, and a person holds two at the most; every other
// request gets its documented refusal, also while a hold ends or is given back. The tables then satisfy the invariants, and nobody has deadlocked.
func TestHoldRaces(t *testing.T) {
	t.Parallel()
	lost := []string{"slot_full", "slot_taken", "complex_slot_failed"}
	holdsOf := func(sc *scene) int {
		return sc.count(`SELECT count(*) FROM hold WHERE lpu_guid = $1 AND until > $2`, sc.to, sc.now())
	}
	visitsOf := func(sc *scene) int {
		return sc.count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1 AND cancelled_at IS NULL`, sc.to)
	}
	// strangers are other patients, each with a referral to the scene's doctor.
	strangers := func(sc *scene) []*scene {
		others := make([]*scene, contenders)
		for i := range others {
			other := *sc
			other.person, other.direction = sc.patient()
			others[i] = &other
		}
		return others
	}
	holdOf := func(sc *scene, n int, changes ...fields) answer {
		return sc.hold(sc.person, sc.slots[n], sc.holding(changes...))
	}
	runContests(t, map[string]contest{
		"many persons, one cell": {
			func(_ *testing.T, sc *scene) []func() answer {
				others := strangers(sc)
				return repeat(func(i int) answer { return holdOf(others[i], 0) })
			},
			lost,
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, 1, succeeded)
				require.Equal(t, 1, holdsOf(sc))
			},
		},
		"many persons, three places": {
			func(_ *testing.T, sc *scene) []func() answer {
				sc.exec(`UPDATE slot SET capacity = 3 WHERE lpu_guid = $1`, sc.to)
				others := strangers(sc)
				return repeat(func(i int) answer { return holdOf(others[i], 0) })
			},
			lost,
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, 3, succeeded)
				require.Equal(t, 3, holdsOf(sc))
			},
		},
		"holds against bookings, three places": {
			func(_ *testing.T, sc *scene) []func() answer {
				sc.exec(`UPDATE slot SET capacity = 3 WHERE lpu_guid = $1`, sc.to)
				others := strangers(sc)
				return repeat(func(i int) answer {
					if i%2 == 0 {
						return others[i].attempt(fields{"Difficulty": 1 + i/2%2})
					}
					return holdOf(others[i], 0, fields{"Difficulty": 1 + i/2%2})
				})
			},
			lost,
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, 3, succeeded)
				require.Equal(t, 3, holdsOf(sc)+visitsOf(sc))
			},
		},
		"one person, many cells": {
			func(_ *testing.T, sc *scene) []func() answer {
				cells := sc.addSlots(contenders)
				return repeat(func(i int) answer { return sc.hold(sc.person, cells[i], sc.holding()) })
			},
			[]string{"too_many_holds"},
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, 2, succeeded)
				require.Equal(t, 2, holdsOf(sc))
			},
		},
		"one person, one cell": {
			func(_ *testing.T, sc *scene) []func() answer {
				sc.exec(`UPDATE slot SET capacity = 3 WHERE lpu_guid = $1`, sc.to)
				return repeat(func(i int) answer { return holdOf(sc, 0, fields{"Minutes": 1 + i%15}) })
			},
			nil,
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, contenders, succeeded)
				require.Equal(t, 1, holdsOf(sc))
			},
		},
		"one person holds, gives back, books and moves": {
			func(_ *testing.T, sc *scene) []func() answer {
				sc.exec(`UPDATE slot SET capacity = 2 WHERE lpu_guid = $1`, sc.to)
				examination := uuid.New()
				sc.addDirection(examination, "Laboratory")
				guid := sc.booked(fields{"DirectionGuid": examination, "DirectionType": "laboratory", "SlotId": firstSlotID + 3})
				return repeat(func(i int) answer {
					n := i / 5 % 3
					switch i % 5 {
					case 0:
						return sc.release(sc.person, sc.to, sc.slots[n])
					case 1:
						return sc.attempt(fields{"SlotId": firstSlotID + n, "Difficulty": 2})
					case 2:
						return sc.move(sc.person, guid, fields{"SlotId": firstSlotID + n, "Difficulty": 2})
					default:
						return holdOf(sc, n, fields{"Difficulty": 2})
					}
				})
			},
			append([]string{"too_many_holds", "direction_already_booked", "speciality_already_booked", "overloaded"}, lost...),
			func(t *testing.T, sc *scene, succeeded int) {
				require.Positive(t, succeeded)
				require.LessOrEqual(t, holdsOf(sc), 2)
			},
		},
		"many persons hold cells that overlap, give them back and book": {
			func(_ *testing.T, sc *scene) []func() answer {
				others := strangers(sc)[:8]
				return repeat(func(i int) answer {
					other, n := others[i%8], i/8%3
					switch i / 24 {
					case 1:
						return other.release(other.person, other.to, other.slots[(n+1)%3])
					case 2:
						return other.attempt(fields{"SlotId": firstSlotID + n, "Difficulty": 2})
					default:
						return holdOf(other, n, fields{"Difficulty": 2})
					}
				})
			},
			append([]string{"too_many_holds", "direction_already_booked", "speciality_already_booked"}, lost...),
			func(t *testing.T, sc *scene, succeeded int) {
				require.Positive(t, succeeded)
				require.LessOrEqual(t, 2*holdsOf(sc)+2*visitsOf(sc), 4)
			},
		},
		"holds for moves over the visit's own cells, moves, cancels and bookings of others": {
			func(_ *testing.T, sc *scene) []func() answer {
				others := strangers(sc)
				guid := sc.booked(fields{"Difficulty": 2})
				return repeat(func(i int) answer {
					n := i / 6 % 3
					switch i % 6 {
					case 0:
						return others[i].attempt(fields{"SlotId": firstSlotID + n})
					case 1:
						return sc.move(sc.person, guid, fields{"SlotId": firstSlotID + n})
					case 2:
						return sc.release(sc.person, sc.to, sc.slots[n])
					case 3:
						if i > contenders/2 {
							return sc.cancel(sc.person, guid)
						}
						return holdOf(others[i], n)
					default:
						return holdOf(sc, n, fields{"AppointmentGuid": guid})
					}
				})
			},
			append([]string{"too_many_holds", "appointment_cancelled", "overloaded"}, lost...),
			func(t *testing.T, _ *scene, succeeded int) { require.Positive(t, succeeded) },
		},
		"a hold that ends while it is used": {
			func(_ *testing.T, sc *scene) []func() answer {
				others := strangers(sc)
				ends := sc.holds(0, fields{"Minutes": 1, "Difficulty": 2}).HeldUntil
				sc.pass(ends.Sub(sc.now()) - 2*time.Microsecond)
				return repeat(func(i int) answer {
					switch {
					case i == contenders/4 || i == contenders/2:
						sc.pass(time.Microsecond) // at the second it is over
						return sc.release(sc.person, sc.to, sc.slots[3])
					case i%8 == 0:
						return sc.attempt()
					case i%2 == 0:
						return holdOf(others[i], 0)
					default:
						return others[i].attempt()
					}
				})
			},
			append([]string{"direction_already_booked"}, lost...),
			func(t *testing.T, sc *scene, succeeded int) {
				require.Equal(t, 2+1, succeeded, "the two that gave back nothing, and one of the others")
				require.Equal(t, 1, sc.count(`SELECT taken + coalesce(cardinality(slot_holds(holds, $1)), 0) FROM slot WHERE guid = $2`, sc.now(), sc.slots[0]))
			},
		},
	})
}
