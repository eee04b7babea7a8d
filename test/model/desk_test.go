package model_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/test/harness"
)

// This file is the part of the model that concerns the desk (регистратура): institutions that book
// for patients and move visits, through the client applications of the world. The rules are those
// of patients' requests with request.desk, so that the two mix and may share keys.

// reassignment is what an institution's move has in addition to its request. An institution moves a
// visit within the institution, and changes nothing else of it.
type reassignment struct {
	lpu         int // drawn: the distance from the institution of the visit; sent: the institution
	version     int // drawn: the distance from the version of the visit; sent: the version
	cause, text string
}

// deskPrefix marks a visit in the reply to an institution that has booked or moved it.
const deskPrefix = "at the desk: "

func (t generator) drawDeskBooking() step {
	st := step{request: t.drawRequest(), key: oneOf(t, t.keys...)}
	st.request.desk = true
	return st
}

func (t generator) drawDeskMove() step {
	st := t.drawMove()
	st.request.desk, st.keepFields, st.stranger, st.key = true, true, false, ""
	st.move, st.request.difficulty = oneOf(t, 1, 2, 3, 1), 0
	if st.request.place.kind == "nowhere" {
		st.request.place = place{kind: "id", id: t.intBetween(1, 3)}
	}
	a := reassignment{lpu: usually(t, 2, 0, 1), version: usually(t, 2, 0, -1, 1)}
	a.cause = oneOf(t, "doctor_absent", "other", "doctor_absent")
	a.text = oneOf(t, "", "Врач заболел")
	if a.cause == "other" {
		a.text = usually(t, 1, "Врач заболел", "", " ")
	}
	st.reassignment = a
	return st
}

// drawDoubleBooking draws two visits, of which one may be in the way of moving the other as soon as
// the setting is on again.
func (t generator) drawDoubleBooking() []step {
	return []step{
		{toggle: true}, t.drawStepOf("desk"), t.drawStepOf(""), {toggle: true}, t.drawStepOf("desk move"),
		t.drawStepOf("desk move"),
	}
}

// untilMidnight returns the time that passes until the end of the day of a cell where it is, or
// until a moment before. It is 0 if that has passed already.
func (t generator) untilMidnight(elapsed time.Duration) time.Duration {
	at := oneOf(t, t.w.slots...)
	start := at.start.In(harness.MustZone(t.w.lpus[t.w.resources[at.resource].lpu].zone))
	midnight := time.Date(start.Year(), start.Month(), start.Day()+1, 0, 0, 0, 0, start.Location())
	return max(midnight.Sub(harness.Moment)-elapsed-oneOf(t, time.Microsecond, 0), 0)
}

// malformed reports whether the form of an institution's move is wrong.
func (a reassignment) malformed() bool {
	return a.version < 1 || a.cause == "other" && strings.TrimSpace(a.text) == ""
}

// rejectReassignment returns the rule that rejects every move of a visit by an institution, apart
// from the repetition of a move.
func (s *state) rejectReassignment(v visit, wanted reassignment) string {
	zone := s.zone(v.request.to)
	dayOver := s.now.In(zone).Format(time.DateOnly) > v.start.In(zone).Format(time.DateOnly)
	switch {
	case v.version != wanted.version:
		return "appointment_version_mismatch"
	case dayOver && !s.changesLate(v):
		return "appointment_started"
	case v.attendance.value != "":
		return "appointment_attended"
	default:
		return ""
	}
}

// resolveReassignment finds the visit to move for an institution, or returns the rule that rejects
// also a repetition of the move.
func (s *state) resolveReassignment(booked string, wanted reassignment) (at int, refusal string) {
	for at, v := range s.visits {
		switch {
		case v.label != booked || v.request.to != wanted.lpu:
		case v.cancelled:
			return at, "appointment_not_active"
		default:
			return at, ""
		}
	}
	return unknown, "appointment_absent"
}

// readForDesk returns the reply to a move that has changed nothing.
func (s *state) readForDesk(booked string, lpu int) string {
	for _, v := range s.visits {
		if v.label == booked && v.request.to == lpu {
			return deskPrefix + s.describeVisit(v)
		}
	}
	return "appointment_absent"
}

// deskRequest returns the path and the body of a booking at the desk.
func (r request) deskRequest(g *guids) (path string, body harness.Fields) {
	body = r.body(g)
	delete(body, "LpuToGuid")
	body["PersonGuid"] = g.of(label("P", r.person))
	return "/clinic/lpus/" + g.of(label("L", r.to)).String() + "/appointments", body
}

// deskMoveSender returns a function that sends the move of a visit by an institution. It sets the
// institution and the version in the event.
func (p *player) deskMoveSender(e *event) func() harness.Answer {
	p.T.Helper()
	a := &e.step.reassignment
	guid, known := uuid.New(), knownVisit{version: 1}
	if e.step.move <= len(p.booked) {
		of := p.booked[len(p.booked)-e.step.move]
		e.visit, guid = of.label, of.appointment
		known = p.known[e.visit]
	}
	a.lpu = (known.lpu + a.lpu) % len(p.world.lpus)
	a.version += known.version
	body := e.step.moveBody(p.g)
	body["Version"], body["Reason"] = a.version, a.cause
	if a.text != "" {
		body["Text"] = a.text
	}
	path := "/clinic/lpus/" + p.g.of(label("L", a.lpu)).String() + "/appointments/" + guid.String() + "/slot"
	return p.sender(http.MethodPut, path, p.desks[e.step.request.client], "", body)
}

func (a reassignment) String() string {
	return fmt.Sprintf("in institution %d with version %d, %s «%s»", a.lpu, a.version, a.cause, a.text)
}
