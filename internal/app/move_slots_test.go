package app_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
)

// movable asks where a visit of the scene's patient can be moved to.
func (sc *scene) movable(appointment uuid.UUID, query string) slotAnswer {
	sc.t.Helper()
	return sc.search(sc.person, "appointmentGuid="+appointment.String()+" "+query)
}

// blocked is the rule that refuses every cell alike.
func (a slotAnswer) blocked(t testing.TB) string {
	t.Helper()
	require.Empty(t, a.ids(t))
	require.NotNil(t, a.page.BlockedBy, "%s", a.raw)
	return string(a.page.BlockedBy.Rule)
}

// Promise: a visit can be moved from the list alone: what it has itself does not stand in its way, and where it stands is not offered.
func TestWhereToMove(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	guid := sc.booked()
	require.Equal(t, "direction_already_booked", sc.search(sc.person, "").blocked(t), "what is told of a new booking")
	require.Equal(t, []int{firstSlotID + 1, firstSlotID + 2, firstSlotID + 3}, sc.movable(guid, "").ids(t))
	require.Equal(t, []string{"14527456 Available", "14527457 Available", "14527458 Available"}, sc.movable(guid, "explain=true").told(t))

	// The whole way.
	item := sc.movable(guid, "limit=1").page.Items[0]
	held := as[api.Hold](t, sc.hold(sc.person, item.GUID, sc.holding(fields{"AppointmentGuid": guid, "LpuToGuid": item.Lpu.GUID})))
	require.Equal(t, item.GUID, held.SlotGUID)
	require.Equal(t, item.End, held.End)
	require.Equal(t, firstSlotID+1, sc.movable(guid, "").ids(t)[0], "a hold of one's own is in nobody's way")
	sc.requireInvariants()
	require.Equal(t, 200, sc.move(sc.person, guid, fields{"SlotId": item.ID, "LpuToGuid": item.Lpu.GUID}).StatusCode)
	require.Zero(t, sc.count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(holds) FROM slot)`), "it is used up")
	sc.requireInvariants()
	require.Equal(t, []int{firstSlotID, firstSlotID + 2, firstSlotID + 3}, sc.movable(guid, "").ids(t))

	// What the contract shows: the only other cell.
	sc.move(sc.person, guid, fields{"SlotId": firstSlotID})
	sc.exec(`DELETE FROM slot WHERE id > $1`, firstSlotID+1)
	var want api.SlotPage
	encoded, err := json.Marshal(contractDoc().Paths.Value("/directions/{directionGuid}/slots").Get.Responses.Value("200").Value.
		Content.Get("application/json").Examples["slots_to_move_to"].Value.Value)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(encoded, &want))
	want.Items[0].GUID = sc.slots[1]
	encoded, err = json.Marshal(want)
	require.NoError(t, err)
	require.JSONEq(t, string(encoded), sc.movable(guid, "").raw)

	// Taken by others, and after the period.
	sc.exec(`UPDATE slot SET taken = 1 WHERE id = $1`, firstSlotID+1)
	a := sc.movable(guid, "explain=true")
	require.Equal(t, []string{"14527456 Booked slot_full"}, a.told(t))
	require.Nil(t, a.page.BlockedBy)
	require.Nil(t, a.page.NextAvailable)
	sc.move(sc.person, guid, fields{"SlotId": firstSlotID + 1}).requireRefusal(t, "slot_full")
	require.Nil(t, sc.movable(guid, "dateTo=2019-08-20T20:00").page.NextAvailable, "where it stands is no time to move to")
	sc.exec(`UPDATE slot SET taken = 0 WHERE id = $1`, firstSlotID+1)
	require.Equal(t, "2019-08-21T09:00:00+03:00", sc.movable(guid, "dateTo=2019-08-20T20:00").page.NextAvailable.Format(time.RFC3339))
	sc.requireDiscreetLog()
}

// Promise: as many cells as the visit has are looked for, its own among them; they are held for its move and nobody else's, and used up by it.
func TestWhereToMoveSeveralCells(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	guid := sc.booked(fields{"Difficulty": 2})
	require.Equal(t, []int{firstSlotID + 1, firstSlotID + 2}, sc.movable(guid, "").ids(t))
	require.Equal(t, []int{firstSlotID, firstSlotID + 1, firstSlotID + 2, firstSlotID + 3}, sc.movable(guid, "difficulty=1").ids(t), "shorter, also where it begins")
	require.Equal(t, []int{firstSlotID, firstSlotID + 1}, sc.movable(guid, "difficulty=3").ids(t))
	require.Equal(t, []string{"14527456 Available", "14527457 Available", "14527458 Unavailable complex_slot_failed"}, sc.movable(guid, "explain=true").told(t))
	require.EqualValues(t, 1, sc.movable(guid, "").page.Items[0].Left)

	stranger, direction := sc.patient()
	theirs := *sc
	theirs.person, theirs.direction, theirs.check = stranger, direction, asItIs
	require.Equal(t, []int{firstSlotID + 2, firstSlotID + 3}, theirs.search(stranger, "").ids(t))
	held := as[api.Hold](t, sc.hold(sc.person, sc.slots[1], sc.holding(fields{"AppointmentGuid": guid})))
	require.Equal(t, sc.slots[1:3], held.SlotGuids)
	require.Equal(t, held, as[api.Hold](t, sc.hold(sc.person, sc.slots[1], sc.holding(fields{"AppointmentGuid": guid}))), "again")
	sc.requireInvariants()
	require.Equal(t, []int{firstSlotID + 3}, theirs.search(stranger, "").ids(t))
	theirs.attempt(fields{"SlotId": firstSlotID + 2}).requireRefusal(t, "slot_full")
	theirs.attempt(fields{"SlotId": firstSlotID + 1}).requireRefusal(t, "slot_full")
	require.Equal(t, 200, sc.move(sc.person, guid, fields{"SlotGuid": sc.slots[1]}).StatusCode)
	require.Zero(t, sc.count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(holds) FROM slot)`))
	sc.requireInvariants()
	require.Equal(t, []int{firstSlotID, firstSlotID + 3}, theirs.search(stranger, "").ids(t))

	// What was held over its own cell stays held when the visit leaves it otherwise.
	sc.hold(sc.person, sc.slots[0], sc.holding(fields{"AppointmentGuid": guid}))
	require.Equal(t, sc.slots[:2], as[api.Hold](t, sc.hold(sc.person, sc.slots[0], sc.holding(fields{"AppointmentGuid": guid}))).SlotGuids)
	sc.cancel(sc.person, guid).requireCancelled(t)
	sc.requireInvariants()
	theirs.attempt(fields{"SlotId": firstSlotID + 1}).requireRefusal(t, "slot_full")
	require.Equal(t, 200, sc.attempt(fields{"Difficulty": 2}).StatusCode)
	sc.requireInvariants()

	// A place of somebody else's is none of its own.
	other := sc.another()
	visit := other.booked(fields{"Difficulty": 2})
	other.exec(`UPDATE slot SET taken = 1 WHERE guid = $1`, other.slots[2])
	require.Empty(t, other.movable(visit, "").ids(t))
	other.hold(other.person, other.slots[1], other.holding(fields{"AppointmentGuid": visit})).requireRefusal(t, "complex_slot_failed")
}

// Promise: the cells of every institution that may serve the referral are listed and held, the visit's own places counting only where it is.
func TestWhereToMoveElsewhere(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	there := sc.elsewhere()
	guid := sc.booked()
	sc.exec(`UPDATE slot SET taken = 1, guid = $3 WHERE lpu_guid = $1 AND id = $2`, there.to, firstSlotID, sc.slots[0]) // another's cell, though its guid is that of the visit's
	require.Equal(t, []int{firstSlotID + 1, firstSlotID + 2, firstSlotID + 3, firstSlotID + 1, firstSlotID + 2, firstSlotID + 3}, sc.movable(guid, "").ids(t))
	require.Equal(t, []int{firstSlotID + 1, firstSlotID + 2}, sc.movable(guid, "difficulty=2 lpuGuid="+there.to.String()).ids(t))
	a := sc.movable(guid, "limit=1 lpuGuid="+there.to.String())
	require.Equal(t, sc.movable(guid, "").page.Items[3], a.page.Items[0])
	require.Equal(t, []int{firstSlotID + 2}, sc.movable(guid, "limit=1 lpuGuid="+there.to.String()+" cursor="+*a.page.Next).ids(t))
	sc.exec(`UPDATE slot SET taken = 0, blocked = true WHERE lpu_guid = $1 AND id = $2`, there.to, firstSlotID)
	there.hold(sc.person, there.slots[1], there.holding(fields{"AppointmentGuid": guid}))
	require.Equal(t, 200, sc.move(sc.person, guid, fields{"LpuToGuid": there.to, "SlotId": firstSlotID + 1}).StatusCode)
	require.Zero(t, sc.count(`SELECT count(*) FROM hold`))
	require.Equal(t, []int{firstSlotID, firstSlotID + 1, firstSlotID + 2, firstSlotID + 3, firstSlotID + 2, firstSlotID + 3}, sc.movable(guid, "").ids(t))
	sc.requireInvariants()

	// A visit out of schedule has no cells; an examination goes by all resources.
	examination := uuid.New()
	sc.addDirection(examination, "Laboratory")
	outside := sc.booked(fields{"DirectionGuid": examination, "DirectionType": "laboratory"}, sc.outOfSchedule("2019-08-20"))
	found := sc.slotsOf(examination, "Bearer "+sc.token(sc.person), "appointmentGuid="+outside.String()+" lpuGuid="+sc.to.String())
	require.Equal(t, []int{firstSlotID, firstSlotID + 1, firstSlotID + 2, firstSlotID + 3}, found.ids(t))
}

// Promise: of what cannot be moved the list, the hold and the move tell the same: whose is nobody's is absent, what is cancelled or begun is moved nowhere.
func TestWhereToMoveIsRefused(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	guid := sc.booked()
	stranger, theirs := sc.patient()
	examination := uuid.New()
	sc.addDirection(examination, "Laboratory")
	third := fields{"SlotId": firstSlotID + 2}
	holdFor := func(appointment any, changes ...fields) answer {
		t.Helper()
		return sc.hold(sc.person, sc.slots[2], sc.holding(append(changes, fields{"AppointmentGuid": appointment})...))
	}
	before := sc.snapshot()
	for _, absent := range []uuid.UUID{uuid.New(), sc.direction} {
		sc.movable(absent, "").requireRefusal(t, "appointment_absent")
		holdFor(absent).requireRefusal(t, "appointment_absent")
		sc.move(sc.person, absent, third).requireRefusal(t, "appointment_absent")
	}
	sc.movable(uuid.Nil, "").requireRefusal(t, "appointment_absent")
	sc.slotsOf(theirs, "Bearer "+sc.token(stranger), "appointmentGuid="+guid.String()).requireRefusal(t, "appointment_absent")
	sc.hold(stranger, sc.slots[2], sc.holding(fields{"DirectionGuid": theirs, "AppointmentGuid": guid})).requireRefusal(t, "appointment_absent")
	sc.slotsOf(examination, "Bearer "+sc.token(sc.person), "appointmentGuid="+guid.String()).requireRefusal(t, "appointment_absent")
	holdFor(guid, fields{"DirectionGuid": examination, "DirectionType": "laboratory"}).requireRefusal(t, "appointment_absent")
	holdFor(guid, fields{"LpuFromGuid": sc.to}).requireRefusal(t, "appointment_absent")
	sc.search(stranger, "appointmentGuid="+guid.String()).requireRefusal(t, "direction_absent")
	holdFor(guid, fields{"DirectionType": "laboratory"}).requireRefusal(t, "direction_not_found")
	holdFor(guid, fields{"DirectionType": "hospital"}).requireRefusal(t, "direction_type_unsupported")
	holdFor(nil).requireRefusal(t, "direction_already_booked")
	require.Equal(t, before, sc.snapshot())

	requireAlike := func(rule string) {
		t.Helper()
		require.Equal(t, rule, sc.movable(guid, "").blocked(t))
		for _, item := range sc.movable(guid, "explain=true").page.Items {
			require.EqualValues(t, rule, *item.Rule)
		}
		before := sc.snapshot()
		holdFor(guid).requireRefusal(t, rule)
		sc.move(sc.person, guid, third).requireRefusal(t, rule)
		require.Equal(t, before, sc.snapshot())
	}
	// A rule of booking that refuses every cell.
	sc.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, moment, sc.to)
	requireAlike("mkab_closed")
	sc.exec(`UPDATE mkab SET closed_at = NULL`)
	sc.exec(`UPDATE direction SET cancelled_at = $1`, moment)
	requireAlike("direction_not_found")
	sc.exec(`UPDATE direction SET cancelled_at = NULL`)
	// Another consultation of the speciality, where there may be one alone.
	sc.exec(`UPDATE speciality_claim SET appointment_guid = gen_random_uuid()`)
	requireAlike("speciality_already_booked")
	sc.exec(`UPDATE speciality_claim SET appointment_guid = $1`, guid)

	sc.exec(`UPDATE appointment SET start_at = $1`, moment.Add(-time.Second))
	requireAlike("appointment_started")
	sc.exec(`INSERT INTO setting VALUES ($1, 'DeleteOldTime', 'true')`, sc.to)
	require.Len(t, sc.movable(guid, "").ids(t), 3)
	sc.exec(`DELETE FROM setting`)
	sc.exec(`UPDATE appointment SET start_at = $1`, moment.Add(time.Hour))
	sc.cancel(sc.person, guid).requireCancelled(t)
	requireAlike("appointment_cancelled")
	require.Len(t, sc.movable(guid, "explain=true").ids(t), 4, "it stands nowhere")
	require.Len(t, sc.search(sc.person, "").ids(t), 4)
	sc.requireDiscreetLog()
}

// Promise: a hold for a move counts the visit's own places as free only while the visit has them.
func TestHoldForAMoveLosesARace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql, rule string
	}{
		"cancelled": {`UPDATE appointment SET cancelled_at = '2019-08-20'; UPDATE slot SET taken = 0; UPDATE direction SET appointment_guid = NULL,
			appointment_lpu_guid = NULL, appointment_start_at = NULL, appointment_end_at = NULL; DELETE FROM speciality_claim`, "appointment_cancelled"},
		"its place is another's": {`UPDATE appointment SET slot_guids = ARRAY[gen_random_uuid()]; UPDATE direction SET comment = 'moved on'`, "slot_taken"},
		"nothing but the lock":   {`UPDATE direction SET comment = ''`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := start(t).scene()
			guid := sc.booked(fields{"Difficulty": 2})
			tx, err := sc.db.Begin(t.Context())
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(t.Context()) }()
			_, err = tx.Exec(t.Context(), c.sql)
			require.NoError(t, err)
			answers := make(chan answer, 1)
			go func() { answers <- sc.hold(sc.person, sc.slots[1], sc.holding(fields{"AppointmentGuid": guid})) }()
			sc.waitForBlocked(tx)
			require.NoError(t, tx.Commit(t.Context()))
			a := <-answers
			if c.rule == "" {
				require.Equal(t, 200, a.StatusCode, "%s", a.raw)
				return
			}
			a.requireRefusal(t, c.rule)
			require.Zero(t, sc.count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(holds) FROM slot)`))
		})
	}
}

// Promise: the nearest cells to one that a visit cannot be moved to are those that it can be moved to.
func TestNearestToMoveTo(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	guid := sc.booked(fields{"Difficulty": 2})
	sc.exec(`UPDATE slot SET taken = 1 WHERE guid = $1`, sc.slots[3])
	a := sc.move(sc.person, guid, fields{"SlotId": firstSlotID + 3})
	a.requireRefusal(t, "slot_full")
	require.Len(t, *a.error.Details.Slots, 1)
	require.Equal(t, sc.slots[1], (*a.error.Details.Slots)[0].GUID, "the next has no second cell, and the first is where it stands")
}
