package e2e_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

// Promise: a visit can be moved to every listed cell. Its own places count as free, and its current
// cell is not listed.
func TestSlotsForMove(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	guid := sc.MustBook()
	require.Equal(t, "direction_already_booked", sc.Search(sc.Person, "").RequireBlocked(t), "for a new booking")
	require.Equal(t, []int{harness.FirstSlotID + 1, harness.FirstSlotID + 2, harness.FirstSlotID + 3},
		sc.SearchForMove(guid, "").IDs(t))
	require.Equal(t, []string{"14527456 Available", "14527457 Available", "14527458 Available"},
		sc.SearchForMove(guid, "explain=true").Summaries(t))

	// Hold a listed cell, then move into it.
	item := sc.SearchForMove(guid, "limit=1").Page.Items[0]
	held := harness.Decode[api.Hold](t, sc.Hold(sc.Person, item.GUID, sc.HoldBody(harness.Fields{
		"AppointmentGuid": guid, "LpuToGuid": item.Lpu.GUID,
	})))
	require.Equal(t, item.GUID, held.SlotGUID)
	require.Equal(t, item.End, held.End)
	require.Equal(t, harness.FirstSlotID+1, sc.SearchForMove(guid, "").IDs(t)[0],
		"the patient's own hold does not hide the cell")
	sc.RequireInvariants()
	require.Equal(t, 200, sc.Move(sc.Person, guid, harness.Fields{
		"SlotId": item.ID, "LpuToGuid": item.Lpu.GUID,
	}).StatusCode)
	require.Zero(t, sc.Count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(holds) FROM slot)`), "the move used up the hold")
	sc.RequireInvariants()
	require.Equal(t, []int{harness.FirstSlotID, harness.FirstSlotID + 2, harness.FirstSlotID + 3},
		sc.SearchForMove(guid, "").IDs(t))

	// With one other cell the response is the contract's example.
	sc.Move(sc.Person, guid, harness.Fields{"SlotId": harness.FirstSlotID})
	sc.Exec(`DELETE FROM slot WHERE id > $1`, harness.FirstSlotID+1)
	var want api.SlotPage
	encoded, err := json.Marshal(
		harness.ContractDoc().Paths.Value("/directions/{directionGuid}/slots").Get.Responses.Value("200").Value.
			Content.Get("application/json").Examples["slots_to_move_to"].Value.Value)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(encoded, &want))
	want.Items[0].GUID = sc.Slots[1]
	encoded, err = json.Marshal(want)
	require.NoError(t, err)
	require.JSONEq(t, string(encoded), sc.SearchForMove(guid, "").Raw)

	// The other cell is full, or begins after the period.
	sc.Exec(`UPDATE slot SET taken = 1 WHERE id = $1`, harness.FirstSlotID+1)
	a := sc.SearchForMove(guid, "explain=true")
	require.Equal(t, []string{"14527456 Booked slot_full"}, a.Summaries(t))
	require.Nil(t, a.Page.BlockedBy)
	require.Nil(t, a.Page.NextAvailable)
	sc.Move(sc.Person, guid, harness.Fields{"SlotId": harness.FirstSlotID + 1}).RequireRefusal(t, "slot_full")
	require.Nil(t, sc.SearchForMove(guid, "dateTo=2019-08-20").Page.NextAvailable,
		"the visit's own cell is not the next available one")
	sc.Exec(`UPDATE slot SET taken = 0 WHERE id = $1`, harness.FirstSlotID+1)
	require.Equal(t, "2019-08-21T09:00:00+03:00",
		sc.SearchForMove(guid, "dateTo=2019-08-20").Page.NextAvailable.Format(time.RFC3339))
	sc.RequireNoSecretsInLog()
}

// Promise: the search lists starts for as many cells as the visit has, its own included. They are
// held for the move of this visit only, and the move uses up the hold.
func TestSlotsForMoveOfSeveralCells(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	guid := sc.MustBook(harness.Fields{"Difficulty": 2})
	require.Equal(t, []int{harness.FirstSlotID + 1, harness.FirstSlotID + 2}, sc.SearchForMove(guid, "").IDs(t))
	require.Equal(t, []int{
		harness.FirstSlotID, harness.FirstSlotID + 1, harness.FirstSlotID + 2, harness.FirstSlotID + 3,
	}, sc.SearchForMove(guid, "difficulty=1").IDs(t), "with fewer cells, the visit can also keep its start")
	require.Equal(t, []int{harness.FirstSlotID, harness.FirstSlotID + 1}, sc.SearchForMove(guid, "difficulty=3").IDs(t))
	require.Equal(t, []string{
		"14527456 Available", "14527457 Available", "14527458 Unavailable complex_slot_failed",
	}, sc.SearchForMove(guid, "explain=true").Summaries(t))
	require.EqualValues(t, 1, sc.SearchForMove(guid, "").Page.Items[0].Left)

	stranger, direction := sc.AddPatient()
	other := *sc
	other.Person, other.Direction, other.Check = stranger, direction, harness.PlainCheck
	require.Equal(t, []int{harness.FirstSlotID + 2, harness.FirstSlotID + 3}, other.Search(stranger, "").IDs(t))
	held := harness.Decode[api.Hold](t, sc.Hold(sc.Person, sc.Slots[1], sc.HoldBody(harness.Fields{
		"AppointmentGuid": guid,
	})))
	require.Equal(t, sc.Slots[1:3], held.SlotGuids)
	require.Equal(t, held, harness.Decode[api.Hold](t,
		sc.Hold(sc.Person, sc.Slots[1], sc.HoldBody(harness.Fields{"AppointmentGuid": guid}))), "a repeated hold")
	sc.RequireInvariants()
	require.Equal(t, []int{harness.FirstSlotID + 3}, other.Search(stranger, "").IDs(t))
	other.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + 2}).RequireRefusal(t, "slot_full")
	other.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + 1}).RequireRefusal(t, "slot_full")
	require.Equal(t, 200, sc.Move(sc.Person, guid, harness.Fields{"SlotGuid": sc.Slots[1]}).StatusCode)
	require.Zero(t, sc.Count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(holds) FROM slot)`))
	sc.RequireInvariants()
	require.Equal(t, []int{harness.FirstSlotID, harness.FirstSlotID + 3}, other.Search(stranger, "").IDs(t))

	// A hold that includes the visit's own cell remains when the visit is cancelled.
	sc.Hold(sc.Person, sc.Slots[0], sc.HoldBody(harness.Fields{"AppointmentGuid": guid}))
	require.Equal(t, sc.Slots[:2],
		harness.Decode[api.Hold](t, sc.Hold(sc.Person, sc.Slots[0], sc.HoldBody(harness.Fields{
			"AppointmentGuid": guid,
		}))).SlotGuids)
	sc.Cancel(sc.Person, guid).RequireCancelled(t)
	sc.RequireInvariants()
	other.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + 1}).RequireRefusal(t, "slot_full")
	require.Equal(t, 200, sc.TryBook(harness.Fields{"Difficulty": 2}).StatusCode)
	sc.RequireInvariants()

	// A place of another visit does not count as free.
	third := sc.AnotherScene()
	visit := third.MustBook(harness.Fields{"Difficulty": 2})
	third.Exec(`UPDATE slot SET taken = 1 WHERE guid = $1`, third.Slots[2])
	require.Empty(t, third.SearchForMove(visit, "").IDs(t))
	third.Hold(third.Person, third.Slots[1], third.HoldBody(harness.Fields{
		"AppointmentGuid": visit,
	})).RequireRefusal(t, "complex_slot_failed")
}

// Promise: the cells of every institution that may serve the referral are listed and can be held.
// The visit's own places count as free only in its own institution.
func TestSlotsForMoveToOtherLpu(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	elsewhere := sc.AddTargetLpu()
	guid := sc.MustBook()
	// Another cell with the guid of the visit's cell.
	sc.Exec(`UPDATE slot SET taken = 1, guid = $3 WHERE lpu_guid = $1 AND id = $2`, elsewhere.To, harness.FirstSlotID, sc.Slots[0])
	require.Equal(t, []int{
		harness.FirstSlotID + 1, harness.FirstSlotID + 2, harness.FirstSlotID + 3, harness.FirstSlotID + 1,
		harness.FirstSlotID + 2, harness.FirstSlotID + 3,
	}, sc.SearchForMove(guid, "").IDs(t))
	require.Equal(t, []int{harness.FirstSlotID + 1, harness.FirstSlotID + 2},
		sc.SearchForMove(guid, "difficulty=2 lpuGuid="+elsewhere.To.String()).IDs(t))
	a := sc.SearchForMove(guid, "limit=1 lpuGuid="+elsewhere.To.String())
	require.Equal(t, sc.SearchForMove(guid, "").Page.Items[3], a.Page.Items[0])
	require.Equal(t, []int{harness.FirstSlotID + 2},
		sc.SearchForMove(guid, "limit=1 lpuGuid="+elsewhere.To.String()+" cursor="+*a.Page.Next).IDs(t))
	sc.Exec(`UPDATE slot SET taken = 0, blocked = true WHERE lpu_guid = $1 AND id = $2`, elsewhere.To, harness.FirstSlotID)
	elsewhere.Hold(sc.Person, elsewhere.Slots[1], elsewhere.HoldBody(harness.Fields{"AppointmentGuid": guid}))
	require.Equal(t, 200, sc.Move(sc.Person, guid, harness.Fields{
		"LpuToGuid": elsewhere.To, "SlotId": harness.FirstSlotID + 1,
	}).StatusCode)
	require.Zero(t, sc.Count(`SELECT count(*) FROM hold`))
	require.Equal(t, []int{
		harness.FirstSlotID, harness.FirstSlotID + 1, harness.FirstSlotID + 2, harness.FirstSlotID + 3,
		harness.FirstSlotID + 2, harness.FirstSlotID + 3,
	}, sc.SearchForMove(guid, "").IDs(t))
	sc.RequireInvariants()

	// A visit out of schedule has no cells. An examination can use every resource.
	examination := uuid.New()
	sc.AddDirection(examination, "Laboratory")
	outside := sc.MustBook(harness.Fields{"DirectionGuid": examination, "DirectionType": "laboratory"},
		sc.OutOfSchedule("2019-08-20"))
	found := sc.SearchSlots(examination, "Bearer "+sc.Token(sc.Person),
		"appointmentGuid="+outside.String()+" lpuGuid="+sc.To.String())
	require.Equal(t, []int{
		harness.FirstSlotID, harness.FirstSlotID + 1, harness.FirstSlotID + 2, harness.FirstSlotID + 3,
	}, found.IDs(t))
}

// Promise: the search, the hold and the move reject by the same rule. An appointment that is not
// the patient's counts as absent. A cancelled or started visit cannot be moved.
func TestSlotsForMoveRejections(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	guid := sc.MustBook()
	stranger, theirs := sc.AddPatient()
	examination := uuid.New()
	sc.AddDirection(examination, "Laboratory")
	third := harness.Fields{"SlotId": harness.FirstSlotID + 2}
	holdFor := func(appointment any, changes ...harness.Fields) harness.Answer {
		t.Helper()
		return sc.Hold(sc.Person, sc.Slots[2], sc.HoldBody(append(changes, harness.Fields{
			"AppointmentGuid": appointment,
		})...))
	}
	before := sc.Snapshot()
	for _, absent := range []uuid.UUID{uuid.New(), sc.Direction} {
		sc.SearchForMove(absent, "").RequireRefusal(t, "appointment_absent")
		holdFor(absent).RequireRefusal(t, "appointment_absent")
		sc.Move(sc.Person, absent, third).RequireRefusal(t, "appointment_absent")
	}
	sc.SearchForMove(uuid.Nil, "").RequireRefusal(t, "appointment_absent")
	sc.SearchSlots(theirs, "Bearer "+sc.Token(stranger),
		"appointmentGuid="+guid.String()).RequireRefusal(t, "appointment_absent")
	sc.Hold(stranger, sc.Slots[2], sc.HoldBody(harness.Fields{
		"DirectionGuid": theirs, "AppointmentGuid": guid,
	})).RequireRefusal(t, "appointment_absent")
	sc.SearchSlots(examination, "Bearer "+sc.Token(sc.Person),
		"appointmentGuid="+guid.String()).RequireRefusal(t, "appointment_absent")
	holdFor(guid, harness.Fields{
		"DirectionGuid": examination, "DirectionType": "laboratory",
	}).RequireRefusal(t, "appointment_absent")
	holdFor(guid, harness.Fields{"LpuFromGuid": sc.To}).RequireRefusal(t, "appointment_absent")
	sc.Search(stranger, "appointmentGuid="+guid.String()).RequireRefusal(t, "direction_absent")
	holdFor(guid, harness.Fields{"DirectionType": "laboratory"}).RequireRefusal(t, "direction_not_found")
	holdFor(guid, harness.Fields{"DirectionType": "hospital"}).RequireRefusal(t, "direction_type_unsupported")
	holdFor(nil).RequireRefusal(t, "direction_already_booked")
	require.Equal(t, before, sc.Snapshot())

	requireRejectedBy := func(rule string) {
		t.Helper()
		require.Equal(t, rule, sc.SearchForMove(guid, "").RequireBlocked(t))
		for _, item := range sc.SearchForMove(guid, "explain=true").Page.Items {
			require.Equal(t, rule, *item.Rule)
		}
		before := sc.Snapshot()
		holdFor(guid).RequireRefusal(t, rule)
		sc.Move(sc.Person, guid, third).RequireRefusal(t, rule)
		require.Equal(t, before, sc.Snapshot())
	}
	// A rule of booking rejects every cell.
	sc.Exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, harness.Moment, sc.To)
	requireRejectedBy("mkab_closed")
	sc.Exec(`UPDATE mkab SET closed_at = NULL`)
	sc.Exec(`UPDATE direction SET cancelled_at = $1`, harness.Moment)
	requireRejectedBy("direction_not_found")
	sc.Exec(`UPDATE direction SET cancelled_at = NULL`)
	// There is another consultation of the speciality, and the setting allows one.
	sc.Exec(`UPDATE speciality_claim SET appointment_guid = person_guid`)
	requireRejectedBy("speciality_already_booked")
	sc.Exec(`UPDATE speciality_claim SET appointment_guid = $1`, guid)

	sc.Exec(`UPDATE appointment SET start_at = $1`, harness.Moment.Add(-time.Second))
	requireRejectedBy("appointment_started")
	sc.Exec(`INSERT INTO setting VALUES ($1, 'DeleteOldTime', 'true')`, sc.To)
	require.Len(t, sc.SearchForMove(guid, "").IDs(t), 3)
	sc.Exec(`DELETE FROM setting`)
	sc.Exec(`UPDATE appointment SET start_at = $1`, harness.Moment.Add(time.Hour))
	sc.Cancel(sc.Person, guid).RequireCancelled(t)
	requireRejectedBy("appointment_cancelled")
	require.Len(t, sc.SearchForMove(guid, "explain=true").IDs(t), 4, "a cancelled visit occupies no cell")
	require.Len(t, sc.Search(sc.Person, "").IDs(t), 4)
	sc.RequireNoSecretsInLog()
}

// Promise: a hold for a move counts the visit's own places as free only while the visit occupies
// them.
func TestHoldForAMoveLosesARace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql, rule string
	}{
		"cancelled": {`UPDATE appointment SET cancelled_at = '2019-08-20'; UPDATE slot SET taken = 0; UPDATE direction SET appointment_guid = NULL,
			appointment_lpu_guid = NULL, appointment_start_at = NULL, appointment_end_at = NULL; DELETE FROM speciality_claim`, "appointment_cancelled"},
		"its place is taken":      {`UPDATE appointment SET slot_guids = ARRAY[guid, person_guid]; UPDATE direction SET comment = 'moved on'`, "slot_taken"},
		"locked without a change": {`UPDATE direction SET comment = ''`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := harness.Start(t).Scene()
			guid := sc.MustBook(harness.Fields{"Difficulty": 2})
			tx := sc.Begin()
			_, err := tx.Exec(t.Context(), c.sql)
			require.NoError(t, err)
			answers := make(chan harness.Answer, 1)
			go func() {
				answers <- sc.Hold(sc.Person, sc.Slots[1], sc.HoldBody(harness.Fields{"AppointmentGuid": guid}))
			}()
			sc.WaitForBlocked()
			require.NoError(t, tx.Commit(t.Context()))
			a := <-answers
			if c.rule == "" {
				require.Equal(t, 200, a.StatusCode, "%s", a.Raw)
				return
			}
			a.RequireRefusal(t, c.rule)
			require.Zero(t, sc.Count(`SELECT (SELECT count(*) FROM hold) + (SELECT count(holds) FROM slot)`))
		})
	}
}

// Promise: the refusal of a move suggests cells that the visit can be moved to.
func TestNearestSlotsForMove(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	guid := sc.MustBook(harness.Fields{"Difficulty": 2})
	sc.Exec(`UPDATE slot SET taken = 1 WHERE guid = $1`, sc.Slots[3])
	a := sc.Move(sc.Person, guid, harness.Fields{"SlotId": harness.FirstSlotID + 3})
	a.RequireRefusal(t, "slot_full")
	require.Len(t, *a.Refusal.Details.Slots, 1)
	require.Equal(t, sc.Slots[1], (*a.Refusal.Details.Slots)[0].GUID,
		"the other starts are the visit's own or have no second cell")
}
