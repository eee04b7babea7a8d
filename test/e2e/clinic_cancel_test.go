package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/test/harness"
)

func (c *desk) cancelVisit(guid uuid.UUID, initiator, reason string, text ...string) harness.Answer {
	c.T.Helper()
	body := harness.Fields{"Initiator": initiator, "Reason": reason}
	if len(text) > 0 {
		body["Text"] = text[0]
	}
	return c.ask(http.MethodPut, "/"+guid.String()+"/cancellation", body)
}

// mustCancelVisit requires that the institution's cancel succeeds.
func (c *desk) mustCancelVisit(guid uuid.UUID, initiator, reason string, text ...string) api.Visit {
	c.T.Helper()
	visit := harness.Decode[api.Visit](c.T, c.cancelVisit(guid, initiator, reason, text...))
	require.Equal(c.T, "Cancelled", visit.Status)
	return visit
}

// Promise: an institution cancels a visit, and all that it held is free: the patient can book the
// same cell by the same referral. Who cancelled it, why and by which application is stored. The
// patient sees who wanted it and why, but not the application.
func TestInstitutionCancels(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	visit := c.MustBook()
	c.AdvanceClock(time.Minute)
	cancelled := c.mustCancelVisit(visit, "institution", "doctor_absent", "Врач заболел")
	require.Equal(t, int64(2), cancelled.Version)
	require.True(t, cancelled.UpdatedAt.Equal(c.Now().Truncate(time.Second)))
	require.Equal(t, &api.VisitCancellation{
		Time: cancelled.UpdatedAt, Reason: new("Врач заболел"), Initiator: new("institution"),
		Cause: new("doctor_absent"), ClientGUID: &c.client,
	}, cancelled.Cancellation)
	require.Equal(t, cancelled, c.visit(visit))
	answer := c.Get(c.Person, "/appointments/"+visit.String())
	seen := harness.Decode[api.PatientAppointment](t, answer)
	require.Equal(t, &api.Cancellation{
		Time: seen.Cancellation.Time, Reason: new("Врач заболел"), Initiator: new("institution"),
		Cause: new("doctor_absent"),
	}, seen.Cancellation)
	require.NotContains(t, answer.Raw, c.client.String())
	listed := harness.Decode[api.AppointmentPage](t, c.Get(c.Person, "/appointments"))
	require.Equal(t, seen.Cancellation, listed.Items[0].Cancellation)
	require.Equal(t, "NotBooked", c.direction())
	require.Zero(t, c.Count(`SELECT count(*) FROM speciality_claim`))
	require.Zero(t, c.Count(`SELECT sum(taken) FROM slot`))
	c.RequireInvariants()

	c.AdvanceClock(time.Minute)
	require.Equal(t, cancelled, c.mustCancelVisit(visit, "institution", "doctor_absent", "Врач заболел"), "repeated")
	colleague := &desk{&registrar{c.Scene, c.AddSystemClient([]string{"visit:read", "visit:write"}, c.To), ""}}
	require.Equal(t, cancelled, colleague.mustCancelVisit(visit, "institution", "doctor_absent", "Врач заболел"),
		"repeated by another application")
	for _, content := range [][]string{
		{"patient", "patient_request", "Врач заболел"},
		{"institution", "schedule_changed", "Врач заболел"},
		{"institution", "doctor_absent", "Врач занят"},
		{"institution", "doctor_absent"},
	} {
		c.cancelVisit(visit, content[0], content[1], content[2:]...).RequireRefusal(t, "appointment_not_active")
	}
	c.Cancel(c.Person, visit).RequireCancelled(t) // as any repeated cancel of a patient
	require.Equal(t, cancelled, c.visit(visit))

	again := c.MustBook()
	require.NotEqual(t, visit, again)
	require.Equal(t, cancelled, c.mustCancelVisit(visit, "institution", "doctor_absent", "Врач заболел"),
		"repeated after the next booking")
	require.Equal(t, "Booked", c.visit(again).Status)
	c.RequireInvariants()
}

// Promise: a cancel by the patient stores the patient as initiator, and the application. An
// institution cannot cancel it again. A cancel for a patient who asked the desk has a cause.
func TestInitiatorOfACancel(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	visit := c.MustBook()
	c.Cancel(c.Person, visit, harness.Fields{"ReasonCode": 6, "Reason": "Уезжаю"}).RequireCancelled(t)
	stored := c.visit(visit).Cancellation
	require.Equal(t, &api.VisitCancellation{
		Time: stored.Time, ReasonCode: new(int32(6)), Reason: new("Уезжаю"), Initiator: new("patient"),
		ClientGUID: new(harness.ClientGuid),
	}, stored)
	require.Equal(t, new("patient"), c.appointment(c.Person, visit).Cancellation.Initiator)
	require.Nil(t, c.appointment(c.Person, visit).Cancellation.Cause)
	c.cancelVisit(visit, "patient", "patient_request", "Уезжаю").RequireRefusal(t, "appointment_not_active")

	asked := c.MustBook()
	require.Nil(t, c.mustCancelVisit(asked, "patient", "patient_request").Cancellation.Reason)
	require.Equal(t, new("patient"), c.appointment(c.Person, asked).Cancellation.Initiator)
	require.Equal(t, new("patient_request"), c.appointment(c.Person, asked).Cancellation.Cause)

	// As the release before cancels.
	old := c.MustBook()
	c.Cancel(c.Person, old).RequireCancelled(t)
	c.Exec(`UPDATE appointment SET cancel_initiator = NULL, cancel_client_guid = NULL WHERE guid = $1`, old)
	require.Nil(t, c.appointment(c.Person, old).Cancellation.Initiator)
	require.Equal(t, &api.VisitCancellation{Time: c.visit(old).Cancellation.Time}, c.visit(old).Cancellation)
	c.cancelVisit(old, "patient", "patient_request").RequireRefusal(t, "appointment_not_active")
	c.RequireInvariants()
}

// Promise: an institution can cancel after the start, until 30 days after the end, and not while an
// attendance is set. A repetition succeeds at any time.
func TestInstitutionCancelsAfterTheStart(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	visit := c.MustBook()
	c.atVisit(time.Minute)
	c.Cancel(c.Person, visit).RequireRefusal(t, "appointment_started")
	for _, attendance := range []string{"arrived", "fulfilled", "no_show"} {
		c.mustAttend(visit, attendance)
		c.cancelVisit(visit, "institution", "doctor_absent").RequireRefusal(t, "appointment_attended")
		c.mustAttend(visit, "none")
	}
	end := c.visit(visit).End
	c.AdvanceClock(end.AddDate(0, 0, 30).Add(time.Second).Sub(c.Now()))
	c.cancelVisit(visit, "institution", "doctor_absent").RequireRefusal(t, "attendance_final")
	require.Equal(t, "Completed", c.visit(visit).Status)
	c.AdvanceClock(-time.Second)
	cancelled := c.mustCancelVisit(visit, "institution", "doctor_absent")
	c.AdvanceClock(time.Hour)
	require.Equal(t, cancelled, c.mustCancelVisit(visit, "institution", "doctor_absent"))
	c.attend(visit, "arrived").RequireRefusal(t, "appointment_not_active")
	require.Zero(t, c.Count(`SELECT sum(taken) FROM slot`))
	c.RequireInvariants()
}

// Promise: a cancel by the institution writes the events of a cancel, and a repetition none.
func TestEventsOfAnInstitutionsCancel(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	to, from := c.startFollower(c.To), c.startFollower(c.From)
	visit := c.MustBook()
	c.mustCancelVisit(visit, "institution", "schedule_changed")
	c.mustCancelVisit(visit, "institution", "schedule_changed")
	c.MustBook()
	list := to.follow(3)
	require.Equal(t, []string{"appointment.booked", "appointment.cancelled", "appointment.booked"}, typesOf(list))
	require.EqualValues(t, 2, *list[1].Data.Version)
	require.Equal(t, visit.String(), list[1].Subject)
	require.Equal(t, []string{"referral.booked", "referral.released", "referral.booked"}, typesOf(from.follow(3)))
	c.RequireInvariants()
}

// Promise: of two cancels with another content exactly one is stored. A cancel by the institution
// and one by the patient, a move, an attendance or a receipt at the same time leave the visit as
// after one order of both. Nothing deadlocks, and the tables satisfy the invariants.
func TestInstitutionsCancelRaces(t *testing.T) {
	t.Parallel()
	c := startDesk(t)
	persons, directions := c.AddPatients(30)
	cells := c.AddSlots(len(persons))
	c.Exec(`UPDATE slot SET capacity = 50 WHERE guid = $1`, c.Slots[3])
	visits := make([]uuid.UUID, len(persons))
	for i, person := range persons {
		booked := c.Book(person, c.BookingBody(harness.Fields{
			"DirectionGuid": directions[i], "SlotId": nil, "SlotGuid": cells[i],
		}))
		require.Equal(t, 200, booked.StatusCode, "%s", booked.Raw)
		visits[i] = harness.AppointmentOf(booked).GUID
	}
	c.startAt(c.Now().Add(time.Minute))
	wins := map[string]int{}
	for i, person := range persons {
		visit := visits[i]
		institution := func() harness.Answer { return c.cancelVisit(visit, "institution", "doctor_absent") }
		won := func() bool {
			stored := c.visit(visit).Cancellation
			return stored != nil && *stored.Initiator == "institution" && *stored.Cause == "doctor_absent"
		}
		switch i % 5 {
		case 0:
			answers := inParallel(institution, func() harness.Answer { return c.Cancel(person, visit) })
			require.True(t, succeeded(t, answers[1]))
			ours := succeeded(t, answers[0], "appointment_not_active")
			require.Equal(t, ours, won())
			require.Equal(t, int64(2), c.visit(visit).Version)
			wins["patient's cancel"] += toInt(!ours)
		case 1:
			answers := inParallel(institution, func() harness.Answer {
				return c.Move(person, visit, harness.Fields{"SlotId": harness.FirstSlotID + 3})
			})
			require.True(t, succeeded(t, answers[0]))
			moved := succeeded(t, answers[1], "appointment_cancelled")
			require.True(t, won())
			require.Equal(t, int64(2+toInt(moved)), c.visit(visit).Version)
			wins["move"] += toInt(moved)
		case 2:
			answers := inParallel(institution, func() harness.Answer { return c.attend(visit, "arrived") })
			ours := succeeded(t, answers[0], "appointment_attended")
			require.NotEqual(t, ours, succeeded(t, answers[1], "appointment_not_active"), "exactly one succeeds")
			require.Equal(t, ours, won())
			wins["attendance"] += toInt(!ours)
		case 3:
			answers := inParallel(institution, func() harness.Answer { return c.confirm(visit, 1, "accepted") })
			require.True(t, succeeded(t, answers[0]))
			received := succeeded(t, answers[1], "appointment_not_active")
			require.True(t, won())
			require.Equal(t, received, c.visit(visit).Receipt != nil)
			wins["receipt"] += toInt(received)
		case 4:
			answers := inParallel(
				institution,
				func() harness.Answer { return c.cancelVisit(visit, "institution", "doctor_absent") },
				func() harness.Answer { return c.cancelVisit(visit, "institution", "schedule_changed") },
			)
			first := succeeded(t, answers[0], "appointment_not_active")
			require.Equal(t, first, succeeded(t, answers[1], "appointment_not_active"), "the same content")
			require.NotEqual(t, first, succeeded(t, answers[2], "appointment_not_active"))
			require.Equal(t, int64(2), c.visit(visit).Version)
			wins["another content"] += toInt(!first)
		}
	}
	t.Log(wins)
	c.RequireInvariants()
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
