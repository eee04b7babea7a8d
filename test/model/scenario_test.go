package model_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"talon.example/test/harness"
)

// scenario is a world and a history: the sequential steps of each client. The clients run
// concurrently.
type scenario struct {
	world   world
	before  []step // of the first client, before the others begin
	history [][]step
}

// step is a request, a change of the region's setting, or the passing of time.
type step struct {
	request    request
	hold       bool          // holds the cell instead of booking it; with move, for the move of that visit
	release    int           // n releases the cell of the n-th last hold
	elapse     time.Duration // time passes
	cancel     int           // n cancels the n-th last visit
	move       int           // n moves the n-th last visit to the place of the request
	keepFields bool          // the move omits the institution, the comment and the urgency
	stranger   bool          // another person cancels, moves or releases
	reasonCode int           // of a cancel; 0 sends no body
	toggle     bool          // toggles the setting of one active appointment a speciality
	key        string        // Idempotency-Key; empty is none
	resend     int           // n resends the n-th last request with a key
	messages   []message     // of an institution's system: one request, or the lines of a file
	file       bool          // sends them as a file

	visitRequest visitRequest // of an institution's system
	reassignment reassignment // of a move by an institution
}

// cancelBody returns the body of a cancel, or nil if there is none. The service stores the text for
// code 6 only.
func (s step) cancelBody() any {
	if s.reasonCode == 0 {
		return nil
	}
	return harness.Fields{"ReasonCode": s.reasonCode, "Reason": reasonText}
}

// books reports whether the step is a booking.
func (s step) books() bool {
	return s.cancel == 0 && s.move == 0 && !s.toggle && !s.hold && s.release == 0 && s.elapse == 0 && s.resend == 0 &&
		len(s.messages) == 0 && s.visitRequest.kind == ""
}

// holdsForMove reports whether the step is a hold for the move of a visit.
func (s step) holdsForMove() bool { return s.hold && s.move > 0 }

// fingerprint returns what a key stands for: the operation, its visit and the fields of the
// request. Guids that the service may not read are compared as text.
func (s step) fingerprint(visit string) string {
	r := s.request
	r.person, r.client, r.upper = 0, 0, r.upper && (r.place.kind == "guid" || r.place.kind == "out")
	r.place.unreadFields = r.place.unreadFields && r.place.kind != "guid"
	switch {
	case r.desk:
		return fmt.Sprint("book at the desk ", r)
	case s.cancel > 0:
		return fmt.Sprint("cancel ", visit, " for ", s.reasonCode)
	case s.move > 0 && s.keepFields:
		return fmt.Sprint("move ", visit, r.place, r.difficulty, r.upper)
	case s.move > 0:
		return fmt.Sprint("move ", visit, r.place, r.difficulty, r.upper, r.to, r.comment, r.cito)
	default:
		return fmt.Sprint("book ", r)
	}
}

const reasonText = "пациент уезжает"

func stepLabel(client, n int) string { return fmt.Sprintf("%c%d", 'a'+client, n+1) }

// label returns the label of a step of the history.
func (st *scenario) label(client, n int) string {
	if client == 0 {
		n += len(st.before)
	}
	return stepLabel(client, n)
}

// generator draws scenarios. It usually draws values that let a booking succeed, and shrinks to
// these.
type generator struct {
	*rapid.T

	usualWeight int      // the higher, the fewer odd values
	concurrent  bool     // the scenario has several clients
	keys        []string // the keys of requests
	w           *world
	soon        bool // most cells begin within minutes
}

// usually draws the ordinary value, or sometimes an odd one. rapid favours both ends of a list, so
// the ordinary value is at both.
func usually[T any](t generator, usual int, ordinary T, odd ...T) T {
	values := slices.Repeat([]T{ordinary}, usual*t.usualWeight*len(odd))
	return oneOf(t, append(append(values, odd...), ordinary)...)
}

func oneOf[T any](t generator, values ...T) T { return rapid.SampledFrom(values).Draw(t.T, "") }

// with returns the generator of a part of the scenario.
func (t generator) with(rt *rapid.T) generator {
	t.T = rt
	return t
}

func (t generator) intBetween(lowest, highest int) int {
	return rapid.IntRange(lowest, highest).Draw(t.T, "")
}

// longScenarios have one client, in a world where anything may be odd.
var longScenarios = rapid.Custom(func(rt *rapid.T) *scenario {
	st := &scenario{}
	t := generator{T: rt, usualWeight: 1, keys: []string{"", "k", "l", "m", "k"}, w: &st.world}
	t.drawWorld(3, 4, 6)
	few := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) []step {
		t := t.with(rt)
		return t.maybeRepeat(t.drawStep())
	}), 1, 8)
	steps := slices.Concat(slices.Concat(rapid.SliceOfN(few, 1, 8).Draw(rt, "")...)...)
	if oneOf(t, false, true) { // later: keys have just expired or not, and most visits have started
		steps = append(steps,
			step{elapse: oneOf(t, 24*time.Hour, 24*time.Hour-time.Second)},
			step{resend: oneOf(t, 1, 2)},
			t.drawStepOf(oneOf(t, "cancel", "move")),
			t.drawStepOf(oneOf(t, "", "cancel", "move")),
			step{resend: 1})
	}
	st.history = [][]step{steps}
	return st
})

// contendedScenarios have several clients that compete for few cells. Either time passes, or
// requests have keys, because a request with a key reads the clock twice.
var contendedScenarios = rapid.Custom(func(rt *rapid.T) *scenario {
	st := &scenario{}
	t := generator{T: rt, usualWeight: 8, concurrent: true, keys: []string{""}, w: &st.world}
	t.drawWorld(2, 2, 2)
	kinds := []string{"", "hold", "message", "desk", "cancel", "move", "release", "hold", "elapse", "desk move",
		"message", ""}
	if oneOf(t, false, true) {
		t.keys = []string{"k", "", "l", "k"}
		kinds = []string{"", "resend", "cancel", "desk", "move", "resend", "hold", "release", "desk move", "message",
			"resend", ""}
	}
	some := rapid.Custom(func(rt *rapid.T) []step {
		t := t.with(rt)
		return t.maybeRepeat(t.drawStepOf(oneOf(t, kinds...)))
	})
	for _, steps := range rapid.SliceOfN(rapid.SliceOfN(some, 1, 6), 2, maxClients).Draw(rt, "") {
		st.history = append(st.history, slices.Concat(steps...))
	}
	st.removeClockSteps()
	return st
})

// maxClients is the number of clients that send requests concurrently.
const maxClients = 5

func (t generator) drawWorld(lpus, resources, slots int) {
	w := t.w
	w.oneActive = usually(t, 2, "", "true", "false")
	w.days = usually(t, 4, "", "0", "1", "60")
	w.expires = usually(t, 1, "", "true", "false")
	w.changesAfterStart = usually(t, 1, "", "true", "false")
	w.freshHours = usually(t, 2, "", "0", "2")
	w.noShowReturns = usually(t, 1, "", "true", "false")
	for range t.intBetween(1, lpus) {
		w.lpus = append(w.lpus, lpu{
			entity:            usually(t, 3, 0, 1),
			zone:              oneOf(t, "Europe/Moscow", "Asia/Kamchatka", "Europe/Berlin", "Europe/Kaliningrad"),
			createsMkab:       usually(t, 2, "true", "", "false"),
			polyclinic:        usually(t, 5, "own", "other", "nowhere", ""),
			days:              usually(t, 3, "", "0", "1", "60"),
			expires:           usually(t, 2, "", "true", "false"),
			changesAfterStart: usually(t, 2, "", "true", "false"),
			freshHours:        usually(t, 2, "", "2", "24", "0"),
			noShowReturns:     usually(t, 2, "", "true", "false"),
		})
	}
	for range t.intBetween(1, 2) {
		w.clients = append(w.clients, clientApplication{
			same: usually(t, 5, 95, 4, 0), other: usually(t, 5, 95, 64, 0),
			outOfSchedule: usually(t, 2, true, false), days: usually(t, 3, "", "0", "1", "60"),
		})
	}
	for range oneOf(t, 1, 2, 3, 3) {
		w.persons = append(w.persons, t.drawPerson())
	}
	t.drawMkabs()
	for n := range t.intBetween(len(w.lpus), resources) {
		at := resource{
			lpu:        n % len(w.lpus),
			kind:       oneOf(t, "doctor", "doctor", "room", usually(t, 1, "doctor", "equipment")),
			speciality: usually(t, 8, "92", "7"), inactive: usually(t, 12, false, true),
		}
		if usually(t, 2, false, true) {
			at.confirmed = new(usually(t, 1, time.Hour, 2*time.Hour, 2*time.Hour+time.Microsecond, 30*time.Hour))
		}
		w.resources = append(w.resources, at)
		t.drawSlots(n, slots)
	}
	for range oneOf(t, 1, 4, 8, 10, 6, 8, 12) {
		t.drawDirection()
	}
	for range t.intBetween(2, 6) {
		w.messages = append(w.messages, t.drawMessage())
	}
	for n := range w.persons {
		if usually(t, 5, false, true) {
			end := harness.Moment.Add(oneOf(t, time.Hour, time.Second, 0, -time.Second))
			w.claims = append(w.claims, claim{
				n, "92", "an old visit", t.intBetween(0, len(w.lpus)-1), "Иванова {tapDate}", end.Add(-time.Hour),
				end,
			})
		}
	}
}

func (t generator) drawPerson() person {
	return person{
		known: usually(t, 6, true, false), data: usually(t, 6, true, false),
		surname: usually(t, 8, "Пациент", ""), name: usually(t, 8, "Первый", ""), sex: usually(t, 8, "female", ""),
		policy: usually(t, 8, "1234567890123456", ""),
	}
}

// drawMkabs draws the cards of each person. The first person always has one in the first
// institution.
func (t generator) drawMkabs() {
	for p := range t.w.persons {
		for l := range t.w.lpus {
			cards := oneOf(t, []bool{false}, []bool{}, []bool{false}, []bool{},
				usually(t, 1, []bool{false}, []bool{true}, []bool{true, false}, []bool{false, true}))
			if p == 0 && l == 0 && len(cards) == 0 {
				cards = []bool{false}
			}
			for _, closed := range cards {
				t.w.mkabs = append(t.w.mkabs, mkab{
					lpu: l, person: p, closed: closed,
					born: oneOf(t, "1980-02-29", "2010-01-01", "2001-08-21", "2018-08-21", "2001-08-22", "2018-08-22",
						"2001-08-20", "2018-08-20", "2010-01-01"),
					disabled: usually(t, 2, false, true), pregnant: usually(t, 2, false, true),
				})
				for range usually(t, 1, 0, 1, 2) {
					t.w.taps = append(t.w.taps, tap{
						len(t.w.mkabs) - 1, oneOf(t, "2019-08-03", "2019-08-13", "2018-12-31"),
						usually(t, 2, false, true),
					})
				}
			}
		}
	}
}

// drawSlots draws the schedule of a resource: on the next morning, around the current time, or
// around midnight.
func (t generator) drawSlots(at, most int) {
	zone := harness.MustZone(t.w.lpus[t.w.resources[at].lpu].zone)
	start := usually(t, 1, time.Date(2019, 8, 21, 8, 45, 0, 0, zone), time.Date(2019, 8, 21, 23, 40, 0, 0, zone),
		harness.Moment.Add(-20*time.Minute),
		harness.Moment.Add(-15*time.Minute-time.Second))
	if t.soon {
		start = oneOf(t, harness.Moment, start, harness.Moment.Add(5*time.Minute), harness.Moment)
	}
	for range t.intBetween(1, most) {
		start = start.Add(usually(t, 5, 0, 5*time.Minute))
		minutes := oneOf(t, 10, 15, 5)
		t.drawSlot(at, start, minutes)
		if minutes > 5 && usually(t, 8, false, true) {
			t.drawSlot(at, start.Add(5*time.Minute), 5) // overlaps the other cell
		}
		start = start.Add(time.Duration(minutes) * time.Minute)
	}
}

func (t generator) drawSlot(at int, start time.Time, minutes int) {
	w := t.w
	id := 1
	for _, other := range w.slots {
		if w.resources[other.resource].lpu == w.resources[at].lpu {
			id++
		}
	}
	w.slots = append(w.slots, slot{
		resource: at, id: id, start: start, minutes: minutes, capacity: oneOf(t, 1, 1, 2, usually(t, 1, 1, 3, 0)),
		access: usually(t, 8, 127, 4, 64, 0), lunch: usually(t, 12, false, true), blocked: usually(t, 12, false, true),
		gone: usually(t, 6, false, true),
		restriction: usually(t, 1, "none", "healthy_children", "healthy_children", "adults", "children", "infants",
			"disabled", "pregnant"),
	})
}

func (t generator) drawDirection() {
	w := t.w
	card := t.intBetween(0, len(w.mkabs)-1)
	holder := w.mkabs[card].lpu
	w.directions = append(w.directions, direction{
		kind: usually(t, 2, "Consult", "Laboratory"), speciality: usually(t, 8, "92", "7"), mkab: card,
		from:    usually(t, 6, holder, t.intBetween(0, len(w.lpus)-1)),
		to:      usually(t, 1, t.intBetween(0, len(w.lpus)-1), unknown),
		dateEnd: usually(t, 2, "2019-09-12", "2019-08-19", "2019-08-20", "2019-08-21"),
	})
	left := slices.IndexFunc(w.mkabs, func(k mkab) bool { return k.person == w.mkabs[card].person && k.lpu != holder })
	if left != unknown && usually(t, 3, false, true) {
		w.copies = append(w.copies, directionCopy{len(w.directions) - 1, w.mkabs[left].lpu, left})
	}
}

func (t generator) drawStep() step {
	return t.drawStepOf(usually(t, 1,
		"request", "cancel", "resend", "hold", "toggle", "message", "move", "hold", "message", "release", "resend",
		"desk", "desk move", "message",
		"elapse", "attendance", "message", "receipt", "cancellation", "hold"))
}

// maybeRepeat repeats a request with a key, as a client does that lost the response. It may also
// send the key with another visit, which is another request.
func (t generator) maybeRepeat(st step) []step {
	if st.key == "" || oneOf(t, false, true) {
		return []step{st}
	}
	other := st
	switch {
	case st.cancel > 0 && oneOf(t, false, true):
		other.cancel++
	case st.move > 0 && oneOf(t, false, true):
		other.move++
	case st.books() && oneOf(t, false, false, true):
		other.request.desk = !st.request.desk
	default:
		other = step{resend: 1}
	}
	return []step{st, other}
}

func (t generator) drawStepOf(kind string) step {
	switch kind {
	case "move":
		return t.drawMove()
	case "desk":
		return t.drawDeskBooking()
	case "desk move":
		return t.drawDeskMove()
	case "cancel":
		return t.drawCancel()
	case "toggle":
		return step{toggle: true}
	case "resend":
		return step{resend: oneOf(t, 1, 2, 3, 1)}
	case "hold":
		return t.drawHold()
	case "release":
		return step{release: t.intBetween(1, 3), stranger: usually(t, 4, false, true)}
	case "message":
		return t.drawMessages()
	case "receipt", "attendance", "cancellation":
		return t.drawVisitRequest(kind)
	case "elapse":
		return step{elapse: oneOf(t, time.Minute, 5*time.Minute, time.Second, 15*time.Minute, 59*time.Second)}
	default:
		return step{request: t.drawRequest(), key: oneOf(t, t.keys...)}
	}
}

// drawHold draws a hold of a cell by its guid.
func (t generator) drawHold() step {
	st := step{hold: true, request: t.drawRequest()}
	r := &st.request
	if r.place.kind != "guid" {
		w := t.w
		r.place = place{kind: "guid", slot: t.pickOf(len(w.slots), r.to, func(n int) int {
			return w.resources[w.slots[n].resource].lpu
		})}
	}
	r.minutes = oneOf(t, 0, 1, 5, usually(t, 4, 1, 15, 16, -1))
	if oneOf(t, false, true) {
		st.move, st.stranger = t.intBetween(1, 3), usually(t, 8, false, true)
	}
	return st
}

// removeClockSteps removes the passing of time if a cell would start during the history. The
// service reads the clock once to decide whether a visit has started, so that a cancel or a move
// would not take effect at one moment.
func (st *scenario) removeClockSteps() {
	var passed time.Duration
	for _, steps := range st.history {
		for _, s := range steps {
			passed += s.elapse
		}
	}
	if !slices.ContainsFunc(st.world.slots, func(c slot) bool {
		return !c.start.Add(otherTime).Before(harness.Moment) && c.start.Before(harness.Moment.Add(passed))
	}) {
		return
	}
	for _, steps := range st.history {
		for i := range steps {
			if steps[i].elapse > 0 {
				steps[i] = step{release: 1}
			}
		}
	}
}

func (t generator) drawCancel() step {
	st := step{
		cancel: t.intBetween(1, 3), stranger: usually(t, 4, false, true), reasonCode: oneOf(t, 0, 1, 6),
		key: oneOf(t, t.keys...),
	}
	st.request.client = t.intBetween(0, len(t.w.clients)-1)
	return st
}

func (t generator) drawMove() step {
	st := step{
		move: t.intBetween(1, 3), stranger: usually(t, 8, false, true), keepFields: oneOf(t, false, true),
		request: t.drawRequest(), key: oneOf(t, t.keys...),
	}
	if st.request.place.kind == "out" {
		st.request.place = place{kind: "id", id: t.intBetween(1, 3)}
	}
	return st
}

// drawRequest draws a booking for a referral.
func (t generator) drawRequest() request {
	w := t.w
	n := t.intBetween(0, len(w.directions)-1)
	d := w.directions[n]
	holder := w.mkabs[d.mkab].lpu
	to := d.to
	if to == unknown || usually(t, 4, false, true) {
		to = t.intBetween(0, len(w.lpus)-1)
	}
	kinds := map[string]string{"Consult": "consult", "Laboratory": "laboratory"}
	r := request{
		person:     usually(t, 12, w.mkabs[d.mkab].person, t.intBetween(0, len(w.persons)-1)),
		client:     usually(t, 12, t.intBetween(0, len(w.clients)-1), unknown),
		direction:  usually(t, 20, n, unknown),
		kind:       usually(t, 12, kinds[d.kind], d.kind, "Consult", "laboratory", "hospital", "CONSULT", ""),
		from:       usually(t, 12, holder, t.intBetween(0, len(w.lpus)-1), unknown),
		to:         usually(t, 20, to, unknown),
		difficulty: oneOf(t, 0, 1, 2, usually(t, 1, 1, 3, 4)),
		comment:    oneOf(t, "", "к врачу"),
		cito:       oneOf(t, false, true),
		upper:      usually(t, 4, false, true),
	}
	if usually(t, 40, false, true) {
		r.difficulty = -1
	}
	r.place = t.drawPlace(r.to)
	return r
}

func (t generator) drawPlace(lpu int) place {
	w := t.w
	p := place{
		kind:         oneOf(t, "id", "guid", "out", "id", "guid", usually(t, 3, "id", "nowhere")),
		unreadFields: oneOf(t, false, true),
	}
	switch p.kind {
	case "id":
		ids := 0
		for _, c := range w.slots {
			if w.resources[c.resource].lpu == lpu {
				ids++
			}
		}
		p.id = t.intBetween(1, max(ids, 1)) + usually(t, 12, 0, 1)
	case "guid":
		p.slot = usually(t, 12, t.pickOf(len(w.slots), lpu, func(n int) int {
			return w.resources[w.slots[n].resource].lpu
		}), t.intBetween(0, len(w.slots)-1), unknown)
	case "out":
		p.resource = usually(t, 12, t.pickOf(len(w.resources), lpu, func(n int) int {
			return w.resources[n].lpu
		}), t.intBetween(0, len(w.resources)-1), unknown)
		p.date = oneOf(t, "2019-08-21", "2019-08-20", "2019-10-27", "2019-08-19", "2020-08-19", "2019-08-21T10:30:00",
			"2019-08-21T10:30:00+03:00", "2019-08-20T17:52:14+03:00", "2019-08-20T14:52:13Z", "2019-08-20T17:52:14",
			"2019-08-20T17:52:13", "2019-08-20T23:52:14", usually(t, 3, "2019-08-21", badDates...))
	}
	return p
}

// pickOf draws one of n things of an institution, or unknown if it has none.
func (t generator) pickOf(n, lpu int, of func(n int) int) int {
	var there []int
	for i := range n {
		if of(i) == lpu {
			there = append(there, i)
		}
	}
	if len(there) == 0 {
		return unknown
	}
	return oneOf(t, there...)
}

// GoString is how rapid prints a failing scenario.
func (st *scenario) GoString() string { return st.String() }

// String prints what the steps refer to, a line for each. Usual values are omitted.
func (st *scenario) String() string {
	var b strings.Builder
	w, used := &st.world, st.usedLabels()
	line := func(format string, values ...any) {
		b.WriteString("\n    " + collapseSpaces(fmt.Sprintf(format, values...)))
	}
	if w.oneActive != "" {
		line("one active appointment a speciality: %s", w.oneActive)
	}
	if w.days+w.expires+w.changesAfterStart+w.freshHours+w.noShowReturns != "" {
		line("in the region%s", settingsText(w.days, w.expires, w.changesAfterStart, w.freshHours, w.noShowReturns))
	}
	for n, l := range w.lpus {
		if used[label("L", n)] {
			line("%s of E%d in %s, creates cards: %q, polyclinic: %q%s",
				label("L", n), l.entity, l.zone, l.createsMkab, l.polyclinic,
				settingsText(l.days, l.expires, l.changesAfterStart, l.freshHours, l.noShowReturns))
		}
	}
	for n, c := range w.clients {
		if used[label("C", n)] {
			line("%s mask %d within, %d to others, out of schedule %t%s",
				label("C", n), c.same, c.other, c.outOfSchedule, settingsText(c.days, "", "", "", ""))
		}
	}
	for n, p := range w.persons {
		if !used[label("P", n)] {
			continue
		}
		switch {
		case !p.known:
			line("%s is not in MIP", label("P", n))
		case !p.data:
			line("%s has no data in MIP", label("P", n))
		default:
			line("%s in MIP: %q %q %q, policy %q", label("P", n), p.surname, p.name, p.sex, p.policy)
		}
	}
	for n, k := range w.mkabs {
		if used[label("P", k.person)] && used[label("L", k.lpu)] {
			line("%s of %s in %s, born %s %s %s %s", label("K", n), label("P", k.person), label("L", k.lpu), k.born,
				textIf(k.disabled, "disabled"), textIf(k.pregnant, "pregnant"), textIf(k.closed, "closed"))
		}
	}
	for _, t := range w.taps {
		if k := w.mkabs[t.mkab]; used[label("P", k.person)] && used[label("L", k.lpu)] {
			line("a case of %s, opened %s %s", label("K", t.mkab), t.opened, textIf(t.closed, "closed"))
		}
	}
	for n, r := range w.resources {
		if !used[label("R", n)] {
			continue
		}
		line("%s in %s: %s, speciality %s %s %s", label("R", n), label("L", r.lpu), r.kind, r.speciality,
			textIf(r.inactive, "inactive"), confirmedText(r))
		for i, c := range w.slots {
			if c.resource == n {
				line("%s of %s: id %d, %s, %d min, capacity %d %s %s %s %s %s", label("S", i), label("R", n), c.id,
					c.start.In(harness.MustZone(w.lpus[r.lpu].zone)).Format(time.RFC3339), c.minutes, c.capacity,
					textIf(c.access != 127, fmt.Sprint("access ", c.access)),
					textIf(c.gone, "not in the schedule"), textIf(c.lunch, "lunch"), textIf(c.blocked, "blocked"),
					textIf(c.restriction != "none", c.restriction))
			}
		}
	}
	for n, d := range w.directions {
		if used[label("D", n)] {
			line("%s: %s %s for %s in %s, from %s to %s until %s",
				label("D", n), d.kind, d.speciality, label("K", d.mkab), label("L", w.mkabs[d.mkab].lpu),
				label("L", d.from), label("L", d.to), d.dateEnd)
		}
	}
	for _, c := range w.copies {
		if used[label("D", c.direction)] {
			line("a copy of %s in %s, for %s", label("D", c.direction), label("L", c.lpu), label("K", c.mkab))
		}
	}
	for _, c := range w.claims {
		if used[label("P", c.person)] {
			line("%s has a visit on %s in %s until %s",
				label("P", c.person), c.speciality, label("L", c.lpu), c.end.Format(time.RFC3339))
		}
	}
	for n, s := range st.before {
		line("%s: %s", stepLabel(0, n), s)
	}
	for c, steps := range st.history {
		for n, s := range steps {
			line("%s: %s", st.label(c, n), s)
		}
	}
	return b.String()
}

// usedLabels returns the labels that the steps refer to.
func (st *scenario) usedLabels() map[string]bool {
	used := map[string]bool{}
	w := st.world.initialState()
	for _, s := range slices.Concat(append(st.history, st.before)...) {
		r := s.request
		for _, m := range s.messages {
			used[label("R", m.resource)] = true
		}
		if !s.books() && !s.hold {
			continue
		}
		_, at := w.find(r)
		for _, one := range []string{
			label("L", r.from), label("L", r.to), label("P", r.person), label("C", r.client), label("D", r.direction),
			label("R", at),
		} {
			used[one] = true
		}
		if r.direction != unknown {
			d := w.directions[r.direction]
			used[label("L", d.from)], used[label("L", d.to)] = true, true
			used[label("P", w.mkabs[d.mkab].person)], used[label("L", w.mkabs[d.mkab].lpu)] = true, true
		}
	}
	return used
}

func (s step) String() string {
	r := s.request
	switch {
	case len(s.messages) > 0:
		return s.describeMessages()
	case s.visitRequest.kind != "":
		return s.visitRequest.String()
	case s.cancel > 0:
		return collapseSpaces(fmt.Sprintf("%s by %s cancel the last visit but %d %s %s",
			textIf(s.stranger, "as another person"), label("C", r.client), s.cancel-1,
			textIf(s.reasonCode != 0, fmt.Sprint("for ", s.reasonCode)), textIf(s.key != "", "with the key "+s.key)))
	case s.resend > 0:
		return fmt.Sprintf("resend the last request with a key but %d", s.resend-1)
	case s.toggle:
		return "toggle the setting of one active appointment a speciality"
	case s.release > 0:
		return collapseSpaces(fmt.Sprintf("%s release the cell of the last hold but %d",
			textIf(s.stranger, "as another person"), s.release-1))
	case s.elapse > 0:
		return s.elapse.String() + " passes"
	}
	where := map[string]string{
		"id": fmt.Sprint("SlotId ", r.place.id), "guid": "SlotGuid " + label("S", r.place.slot),
		"out":     "out of schedule " + label("R", r.place.resource) + " on " + r.place.date,
		"nowhere": "nowhere",
	}[r.place.kind]
	if s.holdsForMove() {
		return collapseSpaces(fmt.Sprintf("%s by %s hold for %d min for the move of the last visit but %d %s in %s %s",
			textIf(s.stranger, "as another person"), label("C", r.client), r.minutes, s.move-1,
			where, label("L", r.to), textIf(r.difficulty != 0, fmt.Sprint("×", r.difficulty))))
	}
	if s.move > 0 && r.desk {
		return collapseSpaces(fmt.Sprintf("by %s at the desk move the last visit but %d to %s %s",
			label("C", r.client), s.move-1, where, s.reassignment))
	}
	if s.move > 0 {
		return collapseSpaces(fmt.Sprintf("%s by %s move the last visit but %d to %s, %s %s %s %s",
			textIf(s.stranger, "as another person"), label("C", r.client), s.move-1, label("L", r.to), where,
			textIf(r.difficulty != 0, fmt.Sprint("×", r.difficulty)),
			textIf(s.keepFields, "with all other fields unchanged"), textIf(s.key != "", "with the key "+s.key)))
	}
	verb := textIf(r.desk, "at the desk ") + "books"
	if s.hold {
		verb = fmt.Sprintf("holds for %d min", r.minutes)
	}
	return collapseSpaces(fmt.Sprintf("%s by %s %s %s %q from %s to %s, %s %s %s %s %s",
		label("P", r.person), label("C", r.client), verb, label("D", r.direction), r.kind,
		label("L", r.from), label("L", r.to), where, textIf(r.difficulty != 0, fmt.Sprint("×", r.difficulty)),
		textIf(r.place.unreadFields, "with fields that are not read"),
		textIf(r.upper, "in upper case"), textIf(s.key != "", "with the key "+s.key)))
}

func settingsText(days, expires, late, fresh, returned string) string {
	return textIf(days != "", ", days ahead: "+days) + textIf(expires != "", ", referrals expire: "+expires) +
		textIf(late != "", ", changes after the start: "+late) + textIf(fresh != "", ", fresh for hours: "+fresh) +
		textIf(returned != "", ", no-shows return referrals: "+returned)
}

func confirmedText(r resource) string {
	if r.confirmed == nil {
		return ""
	}
	return "confirmed " + r.confirmed.String() + " before"
}

func textIf(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

// collapseSpaces removes the spaces around omitted values.
func collapseSpaces(text string) string { return strings.Join(strings.Fields(text), " ") }
