package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// Promise: a held cell is full for everybody else, in a check, a search, a booking, a move and a
// hold. It is free for its holder, whose booking uses up the hold.
func TestHold(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	second := *sc
	second.Person, second.Direction = sc.AddPatient()
	guid := second.MustBook(harness.Fields{"SlotId": harness.FirstSlotID + 3})

	a := sc.Hold(sc.Person, sc.Slots[0], sc.HoldBody())
	require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
	require.JSONEq(t, `{
		"slotGuid": "`+sc.Slots[0].String()+`",
		"lpuToGuid": "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9",
		"directionGuid": "e714e964-d8a0-4776-b163-c708371c39a5",
		"start": "2019-08-21T08:45:00+03:00",
		"end": "2019-08-21T09:00:00+03:00",
		"slotGuids": ["`+sc.Slots[0].String()+`"],
		"heldUntil": "2019-08-20T17:57:14+03:00"
	}`, a.Raw)
	sc.RequireInvariants()

	third := *sc
	third.Person, third.Direction = sc.AddPatient()
	third.Check = harness.PlainCheck
	refused := third.TryBook()
	refused.RequireRefusal(t, "slot_full")
	require.Len(t, *refused.Refusal.Details.Slots, 2, "the cells that are neither held nor booked")
	third.TryBook(harness.Fields{
		"SlotId": harness.FirstSlotID + 1, "Difficulty": 3,
	}).RequireRefusal(t, "complex_slot_failed")
	third.Hold(third.Person, sc.Slots[0], third.HoldBody()).RequireRefusal(t, "slot_full")
	sc.Move(second.Person, guid, harness.Fields{"SlotId": harness.FirstSlotID}).RequireRefusal(t, "slot_full")
	require.Equal(t, []int{harness.FirstSlotID + 1, harness.FirstSlotID + 2}, third.Search(third.Person, "").IDs(t))
	require.Equal(t, []int{harness.FirstSlotID + 1}, third.Search(third.Person, "difficulty=2").IDs(t))
	require.Equal(t, "14527455 Booked slot_full", third.Search(third.Person, "explain=true").Summaries(t)[0])
	require.Zero(t, third.Search(third.Person, "explain=true").Page.Items[0].Left)

	sc.Check = harness.PlainCheck
	require.Equal(t, []int{harness.FirstSlotID, harness.FirstSlotID + 1, harness.FirstSlotID + 2},
		sc.Search(sc.Person, "").IDs(t))
	require.EqualValues(t, 1, sc.Search(sc.Person, "").Page.Items[0].Left)
	require.Equal(t, 200, sc.TryBook().StatusCode)
	require.Zero(t, sc.Count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(*) FROM slot WHERE holds IS NOT NULL)`), "the booking used up the hold")
	sc.RequireInvariants()
}

// Promise: a repeated hold returns the existing hold unchanged, whatever the new request says.
// Nothing changes.
func TestHoldIsIdempotent(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE slot SET capacity = 3`)
	first := sc.MustHold(0)
	before := sc.Snapshot()
	sc.AdvanceClock(time.Minute)
	require.Equal(t, first, sc.MustHold(0))
	require.Equal(t, first, sc.MustHold(0, harness.Fields{"Minutes": 15, "Difficulty": 2}))
	require.Equal(t, before, sc.Snapshot())
	sc.Exec(`UPDATE slot SET capacity = 1`)
	require.Equal(t, first, sc.MustHold(0))
	require.Equal(t, before["hold"], sc.Snapshot()["hold"])
}

// Promise: a hold ends at its time, to the microsecond. Then everybody can take the cell, its
// former holder included, and the person can hold another cell.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	first, second := sc.MustHold(0, harness.Fields{"Minutes": 1}), sc.MustHold(1, harness.Fields{"Minutes": 15})
	require.Equal(t, time.Minute, first.HeldUntil.Sub(harness.Moment))
	require.Equal(t, 15*time.Minute, second.HeldUntil.Sub(harness.Moment))
	other, direction := sc.AddPatient()
	sc.AdvanceClock(time.Minute - time.Microsecond)
	sc.Hold(sc.Person, sc.Slots[2], sc.HoldBody()).RequireRefusal(t, "too_many_holds")
	sc.Book(other, sc.BookingBody(harness.Fields{"DirectionGuid": direction})).RequireRefusal(t, "slot_full")
	sc.AdvanceClock(time.Microsecond)
	sc.RequireInvariants()
	require.Equal(t, []int{harness.FirstSlotID, harness.FirstSlotID + 2, harness.FirstSlotID + 3},
		sc.SearchSlots(direction, "Bearer "+sc.Token(other), "").IDs(t))
	again := sc.MustHold(0)
	require.Equal(t, 6*time.Minute, again.HeldUntil.Sub(harness.Moment))
	require.Equal(t, 2, sc.Count(`SELECT count(*) FROM hold`), "the row of the ended hold is reused")
	require.Equal(t, 1, sc.Count(`SELECT cardinality(holds) FROM slot WHERE guid = $1`, sc.Slots[0]), "the ended hold is removed from the cell")
	sc.AdvanceClock(15 * time.Minute)
	require.Equal(t, 200, sc.Book(other, sc.BookingBody(harness.Fields{"DirectionGuid": direction})).StatusCode)
	require.Zero(t, sc.Count(`SELECT count(holds) FROM slot WHERE guid = $1`, sc.Slots[0]))
	require.Equal(t, 200, sc.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + 1}).StatusCode,
		"an ended hold does not block a booking")
	sc.RequireInvariants()
}

// Promise: a patient holds at most two cells over all institutions. The refusal lists them, and
// releasing one allows another hold.
func TestTooManyHolds(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE direction SET lpu_to_guid = NULL`)
	elsewhere := sc.AddTargetLpu()
	second, first := sc.MustHold(0, harness.Fields{"Minutes": 10}), elsewhere.MustHold(0)
	stranger, _ := sc.AddPatient()
	before := sc.Snapshot()
	for _, place := range []*harness.Scene{sc, elsewhere} {
		a := place.Hold(sc.Person, place.Slots[1], place.HoldBody())
		require.Equal(t, 409, a.StatusCode, "%s", a.Raw)
		require.Equal(t, "300", a.Header.Get("Retry-After"))
		require.Equal(t, []api.Hold{first, second}, *a.Refusal.Details.Holds)
	}
	require.Equal(t, before, sc.Snapshot())

	sc.Release(stranger, sc.To, sc.Slots[0]).RequireReleased(t)
	sc.Release(sc.Person, elsewhere.To, sc.Slots[0]).RequireReleased(t)
	sc.Release(sc.Person, sc.To, sc.Slots[1]).RequireReleased(t)
	require.Equal(t, before, sc.Snapshot(), "none of these releases matches a hold")
	for range 2 {
		sc.Release(sc.Person, sc.To, sc.Slots[0]).RequireReleased(t)
		require.Equal(t, 1, sc.Count(`SELECT count(*) FROM hold`))
		require.Equal(t, 1, sc.Count(`SELECT count(holds) FROM slot`))
	}
	sc.MustHold(1)
	sc.RequireInvariants()
	sc.RequireNoSecretsInLog()
}

// Promise: bookings and holds of a cell together are at most its capacity.
func TestHoldsAndCapacity(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE slot SET capacity = 3`)
	sc.MustHold(0)
	for n := range 3 {
		require.EqualValues(t, 3-n, sc.Search(sc.Person, "").Page.Items[0].Left)
		person, direction := sc.AddPatient()
		a := sc.Book(person, sc.BookingBody(harness.Fields{"DirectionGuid": direction}))
		if n == 2 {
			a.RequireRefusal(t, "slot_full")
			continue
		}
		require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
		require.EqualValues(t, 3-n, sc.Search(sc.Person, "").Page.Items[0].Left+1)
	}
	sc.RequireInvariants()
	require.Equal(t, 200, sc.TryBook().StatusCode)
	sc.RequireInvariants()

	// A capacity below the number of holds ends none of them. The number of free places is never
	// negative.
	other := sc.AnotherScene()
	other.Exec(`UPDATE slot SET capacity = 3 WHERE lpu_guid = $1`, other.To)
	for range 2 {
		person, direction := other.AddPatient()
		held := other.Hold(person, other.Slots[0], other.HoldBody(harness.Fields{"DirectionGuid": direction}))
		require.Equal(t, 200, held.StatusCode, "%s", held.Raw)
	}
	other.Exec(`UPDATE slot SET capacity = 1 WHERE lpu_guid = $1`, other.To)
	require.Zero(t, other.Search(other.Person, "explain=true").Page.Items[0].Left)
	other.TryBook().RequireRefusal(t, "slot_full")
}

// Promise: several cells are held all or none. A booking or a move into any of them uses up the
// whole hold, and no other hold.
func TestHoldOfSeveralCells(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	examination := uuid.New()
	sc.AddDirection(examination, "Laboratory")
	other, direction := sc.AddPatient()
	held := sc.MustHold(1, harness.Fields{"Difficulty": 2})
	require.Equal(t, sc.Slots[1:3], held.SlotGuids)
	require.Equal(t, "2019-08-21T09:30:00+03:00", held.End.Format(time.RFC3339))
	before := sc.Snapshot()
	sc.Hold(other, sc.Slots[0], sc.HoldBody(harness.Fields{
		"DirectionGuid": direction, "Difficulty": 2,
	})).RequireRefusal(t, "complex_slot_failed")
	sc.Hold(sc.Person, sc.Slots[2], sc.HoldBody()).RequireRefusal(t, "slot_taken")
	sc.Hold(sc.Person, sc.Slots[0], sc.HoldBody(harness.Fields{
		"Difficulty": 3,
	})).RequireRefusal(t, "complex_slot_failed")
	require.Equal(t, before, sc.Snapshot())

	untouched := sc.MustHold(0)
	guid := sc.MustBook(harness.Fields{"SlotId": harness.FirstSlotID + 2, "Difficulty": 2})
	sc.RequireInvariants()
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM hold WHERE slot_guids[1] = $1`, untouched.SlotGUID))
	require.Equal(t, 1, sc.Count(`SELECT count(holds) FROM slot`))

	sc.MustHold(1, harness.Fields{"DirectionGuid": examination, "DirectionType": "laboratory"})
	bothHolds := harness.Fields{"SlotId": harness.FirstSlotID, "Difficulty": 3} // and one cell of the visit's own
	require.Equal(t, 200, sc.Move(sc.Person, guid, bothHolds).StatusCode)
	require.Zero(t, sc.Count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(holds) FROM slot)`))
	sc.RequireInvariants()
	sc.MustHold(3, harness.Fields{"DirectionGuid": examination, "DirectionType": "laboratory"})
	require.Equal(t, 200, sc.Move(sc.Person, guid, bothHolds).StatusCode, "a move to its own cells")
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM hold`), "a move to its own cells uses up no hold")
	sc.RequireInvariants()
}

// Promise: only the holder can move a visit into a held cell, also from another institution.
func TestMoveIntoAHold(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.Exec(`UPDATE direction SET lpu_to_guid = NULL`)
	elsewhere := sc.AddTargetLpu()
	examination := uuid.New()
	sc.AddDirection(examination, "Laboratory")
	guid := sc.MustBook()
	elsewhere.MustHold(0, harness.Fields{"DirectionGuid": examination, "DirectionType": "laboratory", "Difficulty": 2})
	moved := sc.Move(sc.Person, guid, harness.Fields{"LpuToGuid": elsewhere.To, "SlotId": harness.FirstSlotID + 1})
	require.Equal(t, 200, moved.StatusCode, "%s", moved.Raw)
	require.Zero(t, sc.Count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(holds) FROM slot)`))
	sc.RequireInvariants()
}

// Promise: a hold is rejected by the same rules as a booking, and nothing changes. A hold does not
// query the master patient index.
func TestHoldRejections(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	stranger, theirs := sc.AddPatient()
	for _, c := range []struct {
		name, do, undo string
		body           harness.Fields
		rule           string
	}{
		{"another's referral", ``, ``, harness.Fields{"DirectionGuid": theirs}, "direction_not_patients"},
		{"no such referral", ``, ``, harness.Fields{"DirectionGuid": uuid.New()}, "direction_not_found"},
		{"another type", ``, ``, harness.Fields{"DirectionType": "hospital"}, "direction_type_unsupported"},
		{"another legal entity", ``, ``, harness.Fields{"LpuToGuid": uuid.New()}, "direction_lpu_mismatch"},
		{"no such institution", `UPDATE direction SET lpu_to_guid = NULL`, ``, harness.Fields{"LpuToGuid": uuid.New()}, "slot_not_found"},
		{"cell of another institution", ``, ``, harness.Fields{"LpuToGuid": sc.From}, "slot_not_found"},
		{"no adjacent cell", ``, ``, harness.Fields{"Difficulty": 5}, "complex_slot_failed"},
		{"inactive resource", `UPDATE resource SET active = false`, `UPDATE resource SET active = true`, nil, "slot_resource_not_found"},
		{
			"not a reception cell", `UPDATE slot SET busy_type = 2`, `UPDATE slot SET busy_type = 1`, nil,
			"slot_not_for_reception",
		},
		{"blocked", `UPDATE slot SET blocked = true`, `UPDATE slot SET blocked = false`, nil, "slot_unavailable"},
		{"start has passed", `UPDATE slot SET start_at = '2019-08-20'`, `UPDATE slot SET start_at = (end_at AT TIME ZONE 'UTC' - interval '15 minutes') AT TIME ZONE 'UTC'`, nil, "slot_time_passed"},
		{"no access right", `UPDATE client_application SET visit_direction_other_lpu = 128`, `UPDATE client_application SET visit_direction_other_lpu = 95`, nil, "slot_access_denied"},
		{"full", `UPDATE slot SET taken = 1`, `UPDATE slot SET taken = 0`, nil, "slot_full"},
		{"another speciality", `UPDATE resource SET speciality_code = '7'`, `UPDATE resource SET speciality_code = '92'`, nil, "speciality_mismatch"},
		{"for children", `UPDATE slot SET restriction = 'children'`, `UPDATE slot SET restriction = 'none'`, nil, "slot_children_only"},
		{"card closed", `UPDATE mkab SET closed_at = now()`, `UPDATE mkab SET closed_at = NULL`, nil, "mkab_closed"},
		{"no card", `UPDATE mkab SET person_guid = guid WHERE lpu_guid = '` + sc.To.String() + `'`, ``, nil, "mkab_absent"},
		{
			"no card can be created", `INSERT INTO setting VALUES ('` + sc.To.String() + `', '2dr_RecordWithoutMkab', 'true')`,
			`INSERT INTO setting VALUES ('` + sc.To.String() + `', 'PolyclinicCode', '2')`, nil, "mkab_lpu_not_found",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc.Exec(c.do)
			before := sc.Snapshot()
			sc.Hold(sc.Person, sc.Slots[0], sc.HoldBody(c.body)).RequireRefusal(t, c.rule)
			require.Equal(t, before, sc.Snapshot())
			sc.Exec(c.undo)
		})
	}
	sc.Exec(`DELETE FROM mip_person_data`)
	sc.MustHold(0)
	require.Zero(t, sc.Count(`SELECT count(*) FROM mkab WHERE lpu_guid = $1 AND person_guid = $2`, sc.To, sc.Person), "a hold creates no card")
	sc.Book(sc.Person, sc.BookingBody()).RequireRefusal(t, "mip_person_data_missing")
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM hold`), "a rejected booking uses up no hold")
	sc.Hold(stranger, sc.Slots[1], sc.HoldBody()).RequireRefusal(t, "direction_not_patients")
	sc.RequireInvariants()
	sc.RequireNoSecretsInLog()
}

// Promise: a hold repeats each of its checks when it writes the cell.
func TestHoldLosesARace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sql, rule string }{
		"taken":                    {`UPDATE slot SET taken = capacity`, "slot_taken"},
		"second cell taken":        {`UPDATE slot SET taken = capacity WHERE id = 14527456`, "complex_slot_failed"},
		"blocked":                  {`UPDATE slot SET blocked = true`, "slot_taken"},
		"closed to the client":     {`UPDATE slot SET flag_access = 32`, "slot_taken"},
		"moved in time":            {`UPDATE slot SET ` + harness.Shift("start_at", "interval '1 hour'") + `, ` + harness.Shift("end_at", "interval '1 hour'"), "slot_taken"},
		"restricted to others":     {`UPDATE slot SET restriction = 'children'`, "slot_taken"},
		"not a reception cell":     {`UPDATE slot SET busy_type = 2`, "slot_taken"},
		"held by another person":   {`UPDATE slot SET holds = ARRAY[ROW(guid, guid, '2019-08-21')::slot_hold]`, "slot_taken"},
		"another's hold has ended": {`UPDATE slot SET holds = ARRAY[ROW(guid, guid, '2019-08-20')::slot_hold]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := harness.Start(t).Scene()
			tx := sc.Begin()
			_, err := tx.Exec(t.Context(), c.sql)
			require.NoError(t, err)
			answers := make(chan harness.Answer, 1)
			go func() { answers <- sc.Hold(sc.Person, sc.Slots[0], sc.HoldBody(harness.Fields{"Difficulty": 2})) }()
			sc.WaitForBlocked()
			require.NoError(t, tx.Commit(t.Context()))
			a := <-answers
			if c.rule == "" {
				require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
				return
			}
			a.RequireRefusal(t, c.rule)
			require.Zero(t, sc.Count(`SELECT count(*) FROM hold`))
		})
	}
}

// Promise: a hold or a release that breaks the contract is rejected with a message that names the
// field. Nothing changes.
func TestBadHolds(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	before := sc.Snapshot()
	const notAGuid = "ожидается guid вида 01234567-89ab-cdef-0123-456789abcdef"
	const zero = "00000000-0000-0000-0000-000000000000"
	for name, bad := range map[string]struct {
		body    any
		message string
	}{
		"no body":               {"", "Тело запроса должно быть корректным объектом JSON: тело запроса пустое"},
		"an array":              {"[]", "Тело запроса должно быть корректным объектом JSON: ожидается объект"},
		"a key twice":           {`{"Minutes":1,"Minutes":2}`, "Тело запроса должно быть корректным объектом JSON: ключ Minutes указан дважды"},
		"an empty object":       {"{}", "Поле DirectionGuid: обязательное поле не указано"},
		"an unknown field":      {sc.HoldBody(harness.Fields{"SlotId": 1}), "Поле SlotId: неизвестное поле"},
		"DirectionGuid no guid": {sc.HoldBody(harness.Fields{"DirectionGuid": "x"}), "Поле DirectionGuid: " + notAGuid},
		"DirectionGuid zero":    {sc.HoldBody(harness.Fields{"DirectionGuid": zero}), "Поле DirectionGuid: нулевой guid недопустим"},
		"DirectionType missing": {sc.HoldBody(harness.Fields{"DirectionType": nil}), "Поле DirectionType: обязательное поле не указано"},
		"DirectionType number":  {sc.HoldBody(harness.Fields{"DirectionType": 1}), "Поле DirectionType: ожидается строка"},
		"LpuFromGuid zero":      {sc.HoldBody(harness.Fields{"LpuFromGuid": zero}), "Поле LpuFromGuid: нулевой guid недопустим"},
		"LpuToGuid missing":     {sc.HoldBody(harness.Fields{"LpuToGuid": nil}), "Поле LpuToGuid: обязательное поле не указано"},
		"LpuToGuid zero":        {sc.HoldBody(harness.Fields{"LpuToGuid": zero}), "Поле LpuToGuid: нулевой guid недопустим"},
		"AppointmentGuid zero":  {sc.HoldBody(harness.Fields{"AppointmentGuid": zero}), "Поле AppointmentGuid: нулевой guid недопустим"},
		"AppointmentGuid empty": {
			sc.HoldBody(harness.Fields{"AppointmentGuid": ""}), "Поле AppointmentGuid: " + notAGuid,
		},
		"AppointmentGuid number": {
			sc.HoldBody(harness.Fields{"AppointmentGuid": 1}), "Поле AppointmentGuid: " + notAGuid,
		},
		"Difficulty 0":       {sc.HoldBody(harness.Fields{"Difficulty": 0}), "Поле Difficulty: значение должно быть не меньше 1"},
		"Difficulty 17":      {sc.HoldBody(harness.Fields{"Difficulty": 17}), "Поле Difficulty: значение должно быть не больше 16"},
		"Minutes 0":          {sc.HoldBody(harness.Fields{"Minutes": 0}), "Поле Minutes: значение должно быть не меньше 1"},
		"Minutes 16":         {sc.HoldBody(harness.Fields{"Minutes": 16}), "Поле Minutes: значение должно быть не больше 15"},
		"Minutes a fraction": {sc.HoldBody(harness.Fields{"Minutes": 1.5}), "Поле Minutes: ожидается целое число"},
		"Minutes a string":   {sc.HoldBody(harness.Fields{"Minutes": "5"}), "Поле Minutes: ожидается целое число"},
		"Minutes too many":   {sc.HoldBody(harness.Fields{"Minutes": int64(1) << 40}), "Поле Minutes: ожидается целое число от 1 до 15"},
	} {
		t.Run(name, func(t *testing.T) {
			a := sc.Hold(sc.Person, sc.Slots[0], bad.body)
			require.Equal(t, 400, a.StatusCode, "%s", a.Raw)
			require.Equal(t, bad.message, a.Refusal.Message)
		})
	}
	a := sc.Send("/slots/x/hold", sc.HoldBody(), "Bearer "+sc.Token(sc.Person))
	require.Equal(t, "Поле slotGuid: "+notAGuid, a.Refusal.Message, a.Raw)
	a = sc.Hold(sc.Person, uuid.Nil, sc.HoldBody())
	require.Equal(t, "Поле slotGuid: нулевой guid недопустим", a.Refusal.Message, a.Raw)
	sc.Send("/slots/"+sc.Slots[0].String()+"/hold", sc.HoldBody()).RequireRefusal(t, "token_missing")
	sc.Hold(sc.Person, uuid.New(), sc.HoldBody()).RequireRefusal(t, "slot_not_found")

	to := sc.To.String()
	for target, message := range map[string]string{
		"/slots/x/hold?lpuGuid=" + to:                             "Поле slotGuid: " + notAGuid,
		"/slots/" + zero + "/hold?lpuGuid=" + to:                  "Поле slotGuid: нулевой guid недопустим",
		"/slots/" + to + "/hold":                                  "Поле lpuGuid: обязательное поле не указано",
		"/slots/" + to + "/hold?lpuguid=" + to:                    "Поле lpuGuid: обязательное поле не указано",
		"/slots/" + to + "/hold?lpuGuid=":                         "Поле lpuGuid: значение не указано",
		"/slots/" + to + "/hold?lpuGuid=x":                        "Поле lpuGuid: " + notAGuid,
		"/slots/" + to + "/hold?lpuGuid=" + zero:                  "Поле lpuGuid: нулевой guid недопустим",
		"/slots/" + to + "/hold?lpuGuid=" + to + "&lpuGuid=" + to: "Поле lpuGuid: значение указано больше одного раза",
		"/slots/" + to + "/hold?lpuGuid=%00":                      "Поле lpuGuid: недопустимые символы",
	} {
		request := sc.NewRequest(http.MethodDelete, target, nil)
		sc.Do(request).RequireRefusal(t, "token_missing")
		request = sc.NewRequest(http.MethodDelete, target, nil)
		request.Header.Set("Authorization", "Bearer "+sc.Token(sc.Person))
		a := sc.Do(request)
		a.RequireRefusal(t, "field_invalid")
		require.Equal(t, message, a.Refusal.Message, target)
	}
	require.Equal(t, before, sc.Snapshot())

	// Values at the bounds are accepted, and so are guids in upper case.
	longest := sc.MustHold(0, harness.Fields{
		"Minutes": 15, "Difficulty": 1, "DirectionGuid": strings.ToUpper(sc.Direction.String()),
	})
	require.Equal(t, 15*time.Minute, longest.HeldUntil.Sub(harness.Moment))
	sc.Release(sc.Person, sc.To, sc.Slots[0]).RequireReleased(t)
	standard := sc.MustHold(0, harness.Fields{"Minutes": nil, "Difficulty": nil})
	require.Equal(t, 5*time.Minute, standard.HeldUntil.Sub(harness.Moment))
	sc.RequireNoSecretsInLog()
}

// Promises: of concurrent requests exactly as many cells are held or booked as there are places,
// and a person holds at most two. Every other request is rejected as documented, also while a hold
// ends or is released. The tables satisfy the invariants, and nothing deadlocks.
func TestHoldRaces(t *testing.T) {
	t.Parallel()
	lost := []string{"slot_full", "slot_taken", "complex_slot_failed"}
	holdsOf := func(sc *harness.Scene) int {
		return sc.Count(`SELECT count(*) FROM hold WHERE lpu_guid = $1 AND until > $2`, sc.To, sc.Now())
	}
	visitsOf := func(sc *harness.Scene) int {
		return sc.Count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1 AND cancelled_at IS NULL`, sc.To)
	}
	// strangers returns other patients, each with a referral to the scene's doctor.
	strangers := func(sc *harness.Scene) []*harness.Scene {
		persons, directions := sc.AddPatients(harness.Contenders)
		others := make([]*harness.Scene, harness.Contenders)
		for i := range others {
			other := *sc
			other.Person, other.Direction = persons[i], directions[i]
			others[i] = &other
		}
		return others
	}
	holdOf := func(sc *harness.Scene, n int, changes ...harness.Fields) harness.Answer {
		return sc.Hold(sc.Person, sc.Slots[n], sc.HoldBody(changes...))
	}
	runRaces(t, map[string]race{
		"many persons, one cell": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				others := strangers(sc)
				return repeated(func(i int) harness.Answer { return holdOf(others[i], 0) })
			},
			lost,
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, 1, succeeded)
				require.Equal(t, 1, holdsOf(sc))
			},
		},
		"many persons, three places": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				sc.Exec(`UPDATE slot SET capacity = 3 WHERE lpu_guid = $1`, sc.To)
				others := strangers(sc)
				return repeated(func(i int) harness.Answer { return holdOf(others[i], 0) })
			},
			lost,
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, 3, succeeded)
				require.Equal(t, 3, holdsOf(sc))
			},
		},
		"holds against bookings, three places": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				sc.Exec(`UPDATE slot SET capacity = 3 WHERE lpu_guid = $1`, sc.To)
				others := strangers(sc)
				return repeated(func(i int) harness.Answer {
					if i%2 == 0 {
						return others[i].TryBook(harness.Fields{"Difficulty": 1 + i/2%2})
					}
					return holdOf(others[i], 0, harness.Fields{"Difficulty": 1 + i/2%2})
				})
			},
			lost,
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, 3, succeeded)
				require.Equal(t, 3, holdsOf(sc)+visitsOf(sc))
			},
		},
		"one person, many cells": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				cells := sc.AddSlots(harness.Contenders)
				return repeated(func(i int) harness.Answer { return sc.Hold(sc.Person, cells[i], sc.HoldBody()) })
			},
			[]string{"too_many_holds"},
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, 2, succeeded)
				require.Equal(t, 2, holdsOf(sc))
			},
		},
		"one person, one cell": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				sc.Exec(`UPDATE slot SET capacity = 3 WHERE lpu_guid = $1`, sc.To)
				return repeated(func(i int) harness.Answer {
					return holdOf(sc, 0, harness.Fields{"Minutes": 1 + i%15})
				})
			},
			nil,
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, harness.Contenders, succeeded)
				require.Equal(t, 1, holdsOf(sc))
			},
		},
		"one person holds, releases, books and moves": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				sc.Exec(`UPDATE slot SET capacity = 2 WHERE lpu_guid = $1`, sc.To)
				examination := uuid.New()
				sc.AddDirection(examination, "Laboratory")
				guid := sc.MustBook(harness.Fields{
					"DirectionGuid": examination, "DirectionType": "laboratory", "SlotId": harness.FirstSlotID + 3,
				})
				return repeated(func(i int) harness.Answer {
					n := i / 5 % 3
					switch i % 5 {
					case 0:
						return sc.Release(sc.Person, sc.To, sc.Slots[n])
					case 1:
						return sc.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + n, "Difficulty": 2})
					case 2:
						return sc.Move(sc.Person, guid,
							harness.Fields{"SlotId": harness.FirstSlotID + n, "Difficulty": 2})
					default:
						return holdOf(sc, n, harness.Fields{"Difficulty": 2})
					}
				})
			},
			append([]string{"too_many_holds", "direction_already_booked", "speciality_already_booked", "overloaded"},
				lost...),
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Positive(t, succeeded)
				require.LessOrEqual(t, holdsOf(sc), 2)
			},
		},
		"many persons hold, release and book overlapping cells": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				others := strangers(sc)[:8]
				return repeated(func(i int) harness.Answer {
					other, n := others[i%8], i/8%3
					switch i / 24 {
					case 1:
						return other.Release(other.Person, other.To, other.Slots[(n+1)%3])
					case 2:
						return other.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + n, "Difficulty": 2})
					default:
						return holdOf(other, n, harness.Fields{"Difficulty": 2})
					}
				})
			},
			append([]string{"too_many_holds", "direction_already_booked", "speciality_already_booked"}, lost...),
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Positive(t, succeeded)
				require.LessOrEqual(t, 2*holdsOf(sc)+2*visitsOf(sc), 4)
			},
		},
		"holds for moves, moves, cancels and bookings of one visit's cells": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				others := strangers(sc)
				guid := sc.MustBook(harness.Fields{"Difficulty": 2})
				return repeated(func(i int) harness.Answer {
					n := i / 6 % 3
					switch i % 6 {
					case 0:
						return others[i].TryBook(harness.Fields{"SlotId": harness.FirstSlotID + n})
					case 1:
						return sc.Move(sc.Person, guid, harness.Fields{"SlotId": harness.FirstSlotID + n})
					case 2:
						return sc.Release(sc.Person, sc.To, sc.Slots[n])
					case 3:
						if i > harness.Contenders/2 {
							return sc.Cancel(sc.Person, guid)
						}
						return holdOf(others[i], n)
					default:
						return holdOf(sc, n, harness.Fields{"AppointmentGuid": guid})
					}
				})
			},
			append([]string{"too_many_holds", "appointment_cancelled", "overloaded"}, lost...),
			func(t *testing.T, _ *harness.Scene, succeeded int) { require.Positive(t, succeeded) },
		},
		"a hold that ends while it is used": {
			func(_ *testing.T, sc *harness.Scene) []func() harness.Answer {
				others := strangers(sc)
				ends := sc.MustHold(0, harness.Fields{"Minutes": 1, "Difficulty": 2}).HeldUntil
				sc.AdvanceClock(ends.Sub(sc.Now()) - 2*time.Microsecond)
				return repeated(func(i int) harness.Answer {
					switch {
					case i == harness.Contenders/4 || i == harness.Contenders/2:
						sc.AdvanceClock(time.Microsecond) // the second one ends the hold
						return sc.Release(sc.Person, sc.To, sc.Slots[3])
					case i%8 == 0:
						return sc.TryBook()
					case i%2 == 0:
						return holdOf(others[i], 0)
					default:
						return others[i].TryBook()
					}
				})
			},
			append([]string{"direction_already_booked"}, lost...),
			func(t *testing.T, sc *harness.Scene, succeeded int) {
				require.Equal(t, 2+1, succeeded, "the two releases and one of the others succeed")
				require.Equal(t, 1, sc.Count(`SELECT taken + coalesce(cardinality(slot_holds(holds, $1)), 0) FROM slot WHERE guid = $2`, sc.Now(), sc.Slots[0]))
			},
		},
	})
}
