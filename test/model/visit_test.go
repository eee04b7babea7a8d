package model_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/test/harness"
)

// This file is the part of the model that concerns what institutions do with their visits: requests
// of their systems, what they change, and how institutions and patients see visits. It is written
// from the contract. To add a request: its kind and fields in visitRequest, its path and body in
// request, its effect in writeVisit.

// visitRequest is a request of an institution's system about a visit.
type visitRequest struct {
	kind   string // receipt, attendance, cancellation; empty if the step is another one
	visit  int    // n is the n-th last visit
	lpu    int    // drawn: the distance from the institution of the visit; sent: the institution
	system int    // sent: the client whose system it is

	version int    // of kind receipt; drawn: the distance from the version of the visit
	status  string // of kind receipt
	reason  string // of kinds receipt and cancellation: a text
	number  string // of kind receipt

	attendance string // of kind attendance

	initiator, cause string // of kind cancellation
}

// cancellation is who has cancelled a visit, and why.
type cancellation struct {
	code                           int    // 0 if there is none
	text, initiator, cause, client string // empty if there is none
}

// booker is who has booked a visit.
type booker struct{ initiator, client string }

// lastMove is the last move of a visit.
type lastMove struct {
	at                     time.Time
	initiator, cause, text string // cause and text are empty if there is none
}

// receipt says whether a visit is in the books of its institution.
type receipt struct {
	version                int
	status, reason, number string
	at                     time.Time
}

// attendance is what became of a visit.
type attendance struct {
	value    string // arrived, fulfilled, no_show; empty is none
	at       time.Time
	since    time.Time // when it was first set, since it was last none
	returned bool      // of a no-show: its referral is free
}

// Promise: the responses to requests of institutions' systems about visits, between requests of
// patients, are those of the contract, and the tables and the lists of institutions and patients
// match, weeks after the visits too.
func TestModelOfVisits(t *testing.T) {
	t.Parallel()
	compareWithModel(t, visitScenarios)
}

// Promise: the same holds for concurrent requests of institutions' systems and patients about
// visits that have begun, in some order of them.
func TestModelOfVisitsInParallel(t *testing.T) {
	t.Parallel()
	requireLinearizable(t, concurrentVisitScenarios)
}

// visitScenarios have one client, which books visits that soon begin. The last requests are at the
// ends of the times for an attendance.
var visitScenarios = rapid.Custom(func(rt *rapid.T) *scenario {
	st := &scenario{}
	t := generator{T: rt, usualWeight: 8, keys: []string{""}, w: &st.world, soon: true}
	t.drawVisitWorld(4)
	some := rapid.Custom(func(rt *rapid.T) []step {
		t := t.with(rt)
		kind := oneOf(t, "", "attendance", "missed", "receipt", "desk", "elapse", "attendance", "cancel",
			"cancellation", "missed", "hold", "desk move", "double", "attendance", "missed", "move", "desk move",
			"desk")
		switch kind {
		case "missed":
			return t.drawMissed()
		case "double":
			return t.drawDoubleBooking()
		default:
			return []step{t.drawStepOf(kind)}
		}
	})
	steps := []step{t.drawStepOf(oneOf(t, "", "desk")), t.drawStepOf(oneOf(t, "desk", ""))}
	for _, group := range rapid.SliceOfN(rapid.SliceOfN(some, 1, 5), 2, 5).Draw(rt, "") {
		steps = append(steps, slices.Concat(group...)...)
	}
	var elapsed time.Duration
	for _, st := range steps {
		elapsed += st.elapse
	}
	midnight := t.untilMidnight(elapsed)
	steps = append(steps, t.drawStepOf("desk"), t.drawStepOf("desk move"), step{elapse: midnight},
		t.drawStepOf("desk move"), t.drawStepOf("desk move"), t.drawStepOf("desk"))
	elapsed += midnight
	day := oneOf(t, 24*time.Hour, 24*time.Hour+time.Second)
	steps = append(steps, t.drawStepOf("attendance"), t.drawStepOf("attendance"), step{elapse: day},
		t.drawStepOf("attendance"), t.drawStepOf("attendance"), t.drawStepOf("receipt"), t.drawStepOf(""))
	end := oneOf(t, st.world.slots...).end().Add(attendanceLimit + oneOf(t, 0, time.Second))
	steps = append(steps, step{elapse: end.Sub(harness.Moment) - elapsed - day},
		t.drawStepOf("attendance"), t.drawStepOf("attendance"), t.drawStepOf("cancellation"),
		t.drawStepOf("attendance"), t.drawStepOf("cancellation"), t.drawStepOf("cancel"))
	st.history = [][]step{steps}
	return st
})

// concurrentVisitScenarios have several clients. One of them books visits and lets some begin
// before the others send requests.
var concurrentVisitScenarios = rapid.Custom(func(rt *rapid.T) *scenario {
	st := &scenario{}
	t := generator{T: rt, usualWeight: 12, concurrent: true, keys: []string{""}, w: &st.world, soon: true}
	t.drawVisitWorld(3)
	for range t.intBetween(2, 5) {
		st.before = append(st.before, t.drawStepOf(oneOf(t, "", "desk")))
	}
	st.before = append(st.before, t.drawMissed()...)
	kinds := []string{"attendance", "desk", "cancel", "attendance", "receipt", "move", "cancellation", "desk move",
		"attendance", "", "hold", "desk move"}
	if oneOf(t, false, true) {
		kinds = []string{"desk move", "move", "attendance", "desk move", "cancellation", "cancel", "desk move"}
	}
	some := rapid.Custom(func(rt *rapid.T) step { return t.with(rt).drawStepOf(oneOf(t.with(rt), kinds...)) })
	st.history = rapid.SliceOfN(rapid.SliceOfN(some, 1, 4), 2, maxClients).Draw(rt, "")
	return st
})

// drawVisitWorld draws a world in which most visits can be attended, with few referrals.
func (t generator) drawVisitWorld(slots int) {
	t.drawWorld(2, 2, slots)
	w := t.w
	w.changesAfterStart = oneOf(t, "true", "", "true")
	w.noShowReturns = usually(t, 1, "true", "", "false")
	w.directions, w.copies, w.claims = nil, nil, nil
	for n, r := range w.resources { // visits can be moved after the day of most cells
		t.drawSlot(n, time.Date(2019, 8, 22, 8, 45, 0, 0, harness.MustZone(w.lpus[r.lpu].zone)), 10)
	}
	for range t.intBetween(2, 4) {
		t.drawDirection()
	}
}

// drawMissed draws a missed visit, after which the patient books again, and which then turns out
// not to be missed.
func (t generator) drawMissed() []step {
	missed := step{visitRequest: visitRequest{kind: "attendance", visit: 1, attendance: "no_show"}}
	undone := t.drawVisitRequest("attendance")
	undone.visitRequest.visit = oneOf(t, 2, 1)
	return []step{
		{elapse: oneOf(t, 5*time.Minute, time.Minute, 15*time.Minute)}, missed, t.drawStepOf(oneOf(t, "", "desk")),
		undone,
	}
}

const (
	correctionTime  = 24 * time.Hour
	attendanceLimit = 30 * 24 * time.Hour
	scenarioTime    = 45 * 24 * time.Hour // the longest time that passes in a scenario, and more
)

func (t generator) drawVisitRequest(kind string) step {
	r := visitRequest{kind: kind, visit: oneOf(t, 1, 2, 3, 1), lpu: usually(t, 1, 0, 1)}
	switch kind {
	case "receipt":
		r.status = oneOf(t, "accepted", "rejected", "accepted")
		r.version = usually(t, 1, 0, -1, 1)
		r.number = oneOf(t, "", "А-104", "")
		refused := usually(t, 1, r.status, "accepted", "rejected") == "rejected"
		r.reason = textIf(refused, "нет такого врача")
	case "cancellation":
		r.initiator = oneOf(t, "institution", "patient", "institution")
		r.cause = oneOf(t, "doctor_absent", "other", "doctor_absent")
		r.reason = oneOf(t, "", "Врач заболел", usually(t, 1, "", " "))
	case "attendance":
		r.attendance = oneOf(t, "no_show", "arrived", "fulfilled", "none", "no_show")
	}
	return step{visitRequest: r}
}

// writeVisit returns the reply to a request of an institution's system.
func (s state) writeVisit(booked string, r visitRequest) (string, state) {
	if r.malformed() {
		return "field_invalid", s
	}
	at := slices.IndexFunc(s.visits, func(v visit) bool { return v.label == booked && v.request.to == r.lpu })
	if at == unknown {
		return "appointment_absent", s
	}
	s.visits = slices.Clone(s.visits)
	var refusal string
	switch r.kind {
	case "receipt":
		refusal = s.writeReceipt(&s.visits[at], r)
	case "attendance":
		refusal, s = s.attend(at, r.attendance)
	case "cancellation":
		refusal, s = s.cancelForInstitution(at, cancellation{
			text: r.reason, initiator: r.initiator, cause: r.cause, client: systemLabel(r.system),
		})
	}
	if refusal != "" {
		return refusal, s
	}
	return s.describeVisit(s.visits[at]), s
}

// malformed reports whether the form of the request is wrong, which needs no data.
func (r visitRequest) malformed() bool {
	switch r.kind {
	case "receipt":
		return r.version < 1 || (r.status == "rejected") != (r.reason != "")
	case "cancellation":
		return r.cause == "doctor_absent" && r.initiator == "patient" ||
			r.cause == "other" && strings.TrimSpace(r.reason) == ""
	default:
		return false
	}
}

// cancelForInstitution cancels a visit, or returns the rule that rejects it. The stored
// cancellation is accepted again, also if another system has sent it.
func (s state) cancelForInstitution(at int, wanted cancellation) (refusal string, after state) {
	v := s.visits[at]
	again := wanted
	again.client = v.cancelledBy.client
	switch {
	case v.cancelled && v.cancelledBy == again:
		return "", s
	case v.cancelled:
		return "appointment_not_active", s
	case v.attendance.value != "":
		return "appointment_attended", s
	case s.now.Sub(v.end) > attendanceLimit:
		return "attendance_final", s
	}
	return "", s.writeCancel(at, wanted)
}

// systemLabel is the label of an institution's system, which has one client.
func systemLabel(client int) string { return label("M", client) }

// writeReceipt stores the receipt of a visit, or returns the rule that rejects it. The stored
// receipt is accepted again.
func (s *state) writeReceipt(v *visit, r visitRequest) (refusal string) {
	wanted := receipt{r.version, r.status, r.reason, r.number, s.now}
	if stored := v.receipt; stored != nil {
		again := wanted
		again.at = stored.at
		if again == *stored {
			return ""
		}
	}
	switch {
	case v.cancelled:
		return "appointment_not_active"
	case v.version != r.version:
		return "appointment_version_mismatch"
	}
	v.receipt = &wanted
	return ""
}

// attend sets the attendance of a visit, or returns the rule that rejects it. The same attendance
// changes nothing.
func (s state) attend(at int, wanted string) (refusal string, after state) {
	v := s.visits[at]
	if v.cancelled {
		return "appointment_not_active", s
	}
	was := cmp.Or(v.attendance.value, "none")
	if was == wanted {
		return "", s
	}
	zone := s.zone(v.request.to)
	today := s.now.In(zone).Format(time.DateOnly)
	if today < v.start.In(zone).Format(time.DateOnly) || wanted == "no_show" && !s.hasStarted(v) {
		return "attendance_early", s
	}
	corrects := was != "none" && (was != "arrived" || wanted != "fulfilled")
	if corrects && s.now.Sub(v.attendance.since) > correctionTime || s.now.Sub(v.end) > attendanceLimit {
		return "attendance_final", s
	}
	if was == "no_show" {
		if refusal, s = s.reclaim(v); refusal != "" {
			return refusal, s
		}
	}
	changed := attendance{value: wanted, at: s.now, since: v.attendance.since}
	switch {
	case wanted == "none":
		changed = attendance{}
	case was == "none":
		changed.since = s.now
	}
	changed.returned = wanted == "no_show" && cmp.Or(s.lpus[v.request.to].noShowReturns, s.noShowReturns) == "true"
	v.attendance, v.updated = changed, s.now
	v.version++
	s.visits[at] = v
	if wanted == "no_show" {
		s = s.passClaimOn(v.label)
	}
	return "", s
}

// reclaim claims the referral and the speciality of a no-show again. A visit that has ended needs
// no speciality.
func (s state) reclaim(v visit) (refusal string, after state) {
	if active := s.activeVisit(v.direction); active != nil && active.label != v.label {
		return "direction_already_booked", s
	}
	if s.directions[v.direction].kind != "Consult" || !v.end.After(s.now) {
		return "", s
	}
	if active := s.activeClaim(v.request); active != nil && s.onlyOneActive {
		return s.alreadyBookedAt(v.request.to, active), s
	}
	return "", s.withClaim(s.claimOf(v))
}

// alreadyBookedFor returns the refusal of a request by a claim.
func (s *state) alreadyBookedFor(r request, c *claim) string {
	if r.desk {
		return s.alreadyBookedAt(r.to, c)
	}
	return s.alreadyBooked(c)
}

// alreadyBookedAt returns the refusal of a request of an institution by a claim. It does not tell
// when and where a visit to another institution is.
func (s *state) alreadyBookedAt(lpu int, c *claim) string {
	if c.lpu == lpu {
		return s.alreadyBooked(c)
	}
	return alreadyBookedOn("в другую медицинскую организацию", "другое время")
}

// holdsSpeciality reports whether a visit can have the claim on its speciality.
func (v visit) holdsSpeciality() bool { return !v.cancelled && v.attendance.value != "no_show" }

// holdsReferral reports whether a visit is the appointment of its referral.
func (v visit) holdsReferral() bool { return !v.cancelled && !v.attendance.returned }

// status returns the status of a visit, as institutions and patients see it.
func (s *state) status(v visit) string {
	switch {
	case v.cancelled:
		return "Cancelled"
	case !v.end.After(s.now), v.attendance.value == "fulfilled", v.attendance.value == "no_show":
		return "Completed"
	default:
		return "Booked"
	}
}

// directionStatus returns the status of a referral, as its patient sees it.
func (s *state) directionStatus(n int) string {
	d := s.directions[n]
	switch v := s.activeVisit(n); {
	case v != nil && (!v.end.After(s.now) || v.attendance.value == "fulfilled"):
		return "Completed"
	case v != nil:
		return "Booked"
	case d.dateEnd < s.now.In(s.zone(s.mkabs[d.mkab].lpu)).Format(time.DateOnly):
		return "Expired"
	default:
		return "NotBooked"
	}
}

const visitFormat = "%s lists visit %s: version %d, %s, %s to %s, card %s of %s, %s %s %s held by %s, %s %s, " +
	"cells %v, out of schedule %t, cito %t, «%s», by %s, created %s, updated %s, booked by %s through %s"

const moveFormat = ", moved %s by %s, cause «%s», «%s»"

const cancellationFormat = ", cancelled %s for %d «%s» by %s, cause «%s», through %s"

// describeVisit describes a visit as its institution sees it.
func (s *state) describeVisit(v visit) string {
	d := s.directions[v.direction]
	local := func(moment time.Time) string { return moment.In(s.zone(v.request.to)).Format(time.RFC3339) }
	cells := make([]string, len(v.slots))
	for i, n := range v.slots {
		cells[i] = label("S", n)
	}
	text := fmt.Sprintf(visitFormat, label("L", v.request.to), v.label, v.version, s.status(v), local(v.start),
		local(v.end), v.mkab, label("P", v.request.person), d.kind, directionNumber(v.direction),
		label("D", v.direction), label("L", s.mkabs[d.mkab].lpu), label("R", v.resource), resourceName(v.resource),
		cells, v.request.place.kind == "out", v.request.cito, v.request.comment, label("C", v.request.client),
		local(v.created), local(v.updated), v.bookedBy.initiator, v.bookedBy.client)
	text += s.describeMove(v)
	if v.cancelled {
		by := v.cancelledBy
		text += fmt.Sprintf(cancellationFormat, local(v.updated), by.code, by.text, by.initiator, by.cause, by.client)
	}
	if r := v.receipt; r != nil {
		text += fmt.Sprintf(", receipt of version %d %s «%s» «%s» at %s", r.version, r.status, r.reason, r.number,
			local(r.at))
	}
	if a := v.attendance; a.value != "" {
		text += fmt.Sprintf(", %s at %s", a.value, local(a.at))
	}
	return text
}

// describeMove describes the last move of a visit. It is empty if there is none.
func (s *state) describeMove(v visit) string {
	m := v.moved
	if m == nil {
		return ""
	}
	return fmt.Sprintf(moveFormat, m.at.In(s.zone(v.request.to)).Format(time.RFC3339), m.initiator, m.cause, m.text)
}

// describeMoveResponse describes the last move in a response. m may be nil.
func describeMoveResponse(m *api.Move) string {
	if m == nil {
		return ""
	}
	return fmt.Sprintf(moveFormat, m.Time.Format(time.RFC3339), m.Initiator, zeroIfNil(m.Cause), zeroIfNil(m.Reason))
}

// visitLists returns the visits and referrals as institutions and patients list them, a line for
// each.
func (s *state) visitLists() (lines []string) {
	for _, v := range s.visits {
		own := describeOwnVisit(label("P", v.request.person), v.label, s.status(v)+s.describeMove(v))
		lines = append(lines, s.describeVisit(v), own)
	}
	for n, d := range s.directions {
		person := label("P", s.mkabs[d.mkab].person)
		lines = append(lines, describeOwnReferral(person, label("D", n), s.directionStatus(n)))
	}
	return lines
}

func describeOwnVisit(person, visit, status string) string {
	return fmt.Sprintf("%s lists visit %s: %s", person, visit, status)
}

func describeOwnReferral(person, referral, status string) string {
	return fmt.Sprintf("%s lists referral %s: %s", person, referral, status)
}

// describeVisitResponse describes a visit in a response to an institution's system.
func describeVisitResponse(g *guids, v *api.Visit) string {
	local := func(moment time.Time) string { return moment.Format(time.RFC3339) }
	cells := make([]string, len(v.SlotGuids))
	for i, guid := range v.SlotGuids {
		cells[i] = guid.String()
	}
	d := v.Direction
	text := fmt.Sprintf(visitFormat, v.LpuGUID, v.GUID, v.Version, v.Status, local(v.Start), local(v.End), v.MkabGUID,
		v.PersonGUID, d.Type, d.Number, d.GUID, d.HolderLpuGUID, v.Resource.GUID, v.Resource.Name, cells,
		v.OutOfSchedule, v.IsCito, v.Comment, v.ClientGUID, local(v.CreatedAt), local(v.UpdatedAt),
		v.BookedBy.Initiator, v.BookedBy.ClientGUID)
	text += describeMoveResponse(v.Move)
	if c := v.Cancellation; c != nil {
		text += fmt.Sprintf(cancellationFormat, local(c.Time), zeroIfNil(c.ReasonCode), zeroIfNil(c.Reason),
			zeroIfNil(c.Initiator), zeroIfNil(c.Cause), zeroIfNil(c.ClientGUID))
	}
	if r := v.Receipt; r != nil {
		text += fmt.Sprintf(", receipt of version %d %s «%s» «%s» at %s", r.Version, r.Status, r.Reason, r.Number,
			local(r.At))
	}
	if a := v.Attendance; a.At != nil {
		text += fmt.Sprintf(", %s at %s", a.Value, local(*a.At))
	}
	return g.withLabels(text)
}

func zeroIfNil[T any](value *T) (zero T) {
	if value == nil {
		return zero
	}
	return *value
}

// readVisitLists returns the visits and referrals of a world as its institutions and persons list
// them, a line for each.
func readVisitLists(s *harness.Service, w *world, g *guids) (lines []string) {
	s.T.Helper()
	system := s.SystemToken(sourceOf(0), sourceScopes)
	for n := range w.lpus {
		for cursor := ""; ; {
			path := "/clinic/lpus/" + g.of(label("L", n)).String() + "/appointments?limit=100" + cursor
			page := harness.Decode[api.VisitPage](s.T, s.GetAs(system, path))
			for i := range page.Items {
				lines = append(lines, describeVisitResponse(g, &page.Items[i]))
			}
			if page.Next == nil {
				break
			}
			cursor = "&cursor=" + *page.Next
		}
	}
	for n := range w.persons {
		person := g.of(label("P", n))
		caller := auth.Caller{Person: person, Client: g.of("C0")}
		token, err := s.Key.Sign(caller, "issuer", "talon", s.Now(), time.Hour)
		require.NoError(s.T, err)
		visits := harness.Decode[api.AppointmentPage](s.T, s.GetAs(token, "/appointments?limit=100"))
		require.Nil(s.T, visits.Next)
		for i := range visits.Items {
			v := &visits.Items[i]
			lines = append(lines, describeOwnVisit(label("P", n), g.withLabels(v.GUID.String()),
				v.Status+describeMoveResponse(v.Move)))
		}
		referrals := harness.Decode[api.DirectionPage](s.T, s.GetAs(token, "/directions?limit=100"))
		require.Nil(s.T, referrals.Next)
		for i := range referrals.Items {
			d := &referrals.Items[i]
			lines = append(lines, describeOwnReferral(label("P", n), g.withLabels(d.GUID.String()), d.Status))
		}
	}
	return lines
}

// knownVisit is what an institution's system knows of a visit by the responses so far. Concurrent
// requests may have changed the visit since.
type knownVisit struct {
	lpu     int
	version int
}

// visitSender returns a function that sends the request of an institution's system. It sets the
// institution and the version in the event.
func (p *player) visitSender(e *event) func() harness.Answer {
	p.T.Helper()
	r := &e.step.visitRequest
	guid, known := uuid.New(), knownVisit{version: 1}
	if r.visit <= len(p.booked) {
		of := p.booked[len(p.booked)-r.visit]
		e.visit, guid = of.label, of.appointment
		known = p.known[e.visit]
	}
	r.lpu = (known.lpu + r.lpu) % len(p.world.lpus)
	r.version += known.version
	r.system = e.client
	path, body := r.request(p.g, guid)
	return p.sender(http.MethodPut, path, p.sources[e.client], "", body)
}

// request returns the path and the body of a PUT request about a visit.
func (r visitRequest) request(g *guids, visit uuid.UUID) (path string, body any) {
	path = "/clinic/lpus/" + g.of(label("L", r.lpu)).String() + "/appointments/" + visit.String()
	switch r.kind {
	case "attendance":
		return path + "/attendance", harness.Fields{"Attendance": r.attendance}
	case "cancellation":
		body := harness.Fields{"Initiator": r.initiator, "Reason": r.cause}
		if r.reason != "" {
			body["Text"] = r.reason
		}
		return path + "/cancellation", body
	}
	receipt := harness.Fields{"Version": r.version, "Status": r.status}
	if r.reason != "" {
		receipt["Reason"] = r.reason
	}
	if r.number != "" {
		receipt["Number"] = r.number
	}
	return path + "/receipt", receipt
}

// learn updates what institutions' systems know of a visit.
func (p *player) learn(e *event) {
	p.T.Helper()
	if e.answer.Response == nil || e.answer.StatusCode != http.StatusOK || e.replayed() {
		return
	}
	known := p.known[e.visit]
	switch st := e.step; {
	case e.booked():
		p.known[e.label] = knownVisit{st.request.to, 1}
		return
	case st.visitRequest.kind != "", st.request.desk:
		known.version = int(harness.Decode[api.Visit](p.T, e.answer).Version)
	case st.cancel > 0:
		known.version++
	case st.move > 0 && !st.hold:
		known.version++ // too high if the visit was there already
		if !st.keepFields {
			known.lpu = st.request.to
		}
	default:
		return
	}
	p.known[e.visit] = known
}

func (r visitRequest) String() string {
	what := "sets the attendance " + r.attendance
	switch r.kind {
	case "cancellation":
		what = fmt.Sprintf("cancels for the %s, %s «%s»,", r.initiator, r.cause, r.reason)
	case "receipt":
		what = fmt.Sprintf("confirms version %d as %s «%s» «%s»", r.version, r.status, r.reason, r.number)
	}
	return fmt.Sprintf("institution %d %s of the last visit but %d", r.lpu, what, r.visit-1)
}
