package model_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"talon.example/test/harness"
)

// story is a world and what happens in it: the steps of each client, one after another; the clients at the same time.
type story struct {
	world   world
	history [][]step
}

// step is a request, a cancel, a move, a hold and the end of one, or what happens next to Talon: the region's setting is switched, time passes.
type step struct {
	request  request
	hold     bool // holds the cell of the request instead of booking it; with move for the move of that visit
	release  int  // 1 gives back the cell held last, 2 the one before it, …
	pass     time.Duration
	cancel   int  // 1 cancels the visit booked last, 2 the one before it, …
	move     int  // moves one, likewise, to what the request says
	keep     bool // the move leaves the institution, the comment and the urgency as they are
	stranger bool // it is somebody else who wants it cancelled, moved or given back
	why      int  // ReasonCode; 0 stands for no body
	toggle   bool
	key      string // Idempotency-Key; empty is none
	again    int    // 1 sends the last request that had a key again, 2 the one before it, …
}

// reason is the body of a cancel, nil where there is none. Only the words of the code 6 are kept.
func (s step) reason() any {
	if s.why == 0 {
		return nil
	}
	return harness.Fields{"ReasonCode": s.why, "Reason": reasonWords}
}

// books tells whether the step is a booking.
func (s step) books() bool {
	return s.cancel == 0 && s.move == 0 && !s.toggle && !s.hold && s.release == 0 && s.pass == 0 && s.again == 0
}

// holdsForMove tells whether the step holds the cell that a visit is to be moved to.
func (s step) holdsForMove() bool { return s.hold && s.move > 0 }

// asks is what a key stands for: the operation, the visit that it is about, and the fields of the request. A guid that is only read sometimes is a text there.
func (s step) asks(visit string) string {
	r := s.request
	r.person, r.client, r.upper = 0, 0, r.upper && (r.place.how == "guid" || r.place.how == "out")
	r.place.junk = r.place.junk && r.place.how != "guid"
	switch {
	case s.cancel > 0:
		return fmt.Sprint("cancel ", visit, " for ", s.why)
	case s.move > 0 && s.keep:
		return fmt.Sprint("move ", visit, r.place, r.difficulty, r.upper)
	case s.move > 0:
		return fmt.Sprint("move ", visit, r.place, r.difficulty, r.upper, r.to, r.comment, r.cito)
	default:
		return fmt.Sprint("book ", r)
	}
}

const reasonWords = "пациент уезжает"

func stepLabel(client, n int) string { return fmt.Sprintf("%c%d", 'a'+client, n+1) }

// teller draws stories. What is drawn is usually what lets a booking succeed, and shrinks to it.
type teller struct {
	*rapid.T

	calm int      // the higher, the more usual
	keys []string // which requests may come with
	w    *world
}

// pick draws the usual value, or now and then an odd one. Rapid favours both ends of a list, which is why the usual value has both.
func pick[T any](t teller, usual int, ordinary T, odd ...T) T {
	values := slices.Repeat([]T{ordinary}, usual*t.calm*len(odd))
	return any1(t, append(append(values, odd...), ordinary)...)
}

func any1[T any](t teller, values ...T) T { return rapid.SampledFrom(values).Draw(t.T, "") }

// of is the teller of a part of the story.
func (t teller) of(rt *rapid.T) teller {
	t.T = rt
	return t
}

func (t teller) upTo(lowest, highest int) int {
	return rapid.IntRange(lowest, highest).Draw(t.T, "")
}

// longStories are of one client in a world where anything may be odd.
var longStories = rapid.Custom(func(rt *rapid.T) *story {
	st := &story{}
	t := teller{rt, 1, []string{"", "k", "l", "m", "k"}, &st.world}
	t.drawWorld(3, 4, 6)
	few := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) []step {
		t := t.of(rt)
		return t.perhapsTwice(t.drawStep())
	}), 1, 8)
	steps := slices.Concat(slices.Concat(rapid.SliceOfN(few, 1, 8).Draw(rt, "")...)...)
	if any1(t, false, true) { // so much later that a key is just forgotten, or just not, and most visits have begun
		steps = append(steps, step{pass: any1(t, 24*time.Hour, 24*time.Hour-time.Second)}, step{again: any1(t, 1, 2)},
			t.drawStepOf(any1(t, "cancel", "move")), t.drawStepOf(any1(t, "", "cancel", "move")), step{again: 1})
	}
	st.history = [][]step{steps}
	return st
})

// contendedStories are of several clients who want the same few things. Either time passes, or requests come with keys: a key looks at the clock, too, by itself.
var contendedStories = rapid.Custom(func(rt *rapid.T) *story {
	st := &story{}
	t := teller{rt, 8, []string{""}, &st.world}
	t.drawWorld(2, 2, 2)
	kinds := []string{"", "hold", "", "cancel", "move", "release", "hold", "pass", ""}
	if any1(t, false, true) {
		t.keys = []string{"k", "", "l", "k"}
		kinds = []string{"", "again", "cancel", "", "move", "again", "hold", "release", "again", ""}
	}
	some := rapid.Custom(func(rt *rapid.T) []step {
		t := t.of(rt)
		return t.perhapsTwice(t.drawStepOf(any1(t, kinds...)))
	})
	for _, steps := range rapid.SliceOfN(rapid.SliceOfN(some, 1, 6), 2, 5).Draw(rt, "") {
		st.history = append(st.history, slices.Concat(steps...))
	}
	st.standStill()
	return st
})

func (t teller) drawWorld(lpus, resources, slots int) {
	w := t.w
	w.onlyOne = pick(t, 2, "", "true", "false")
	w.days, w.expires, w.late = pick(t, 4, "", "0", "1", "60"), pick(t, 1, "", "true", "false"), pick(t, 1, "", "true", "false")
	for range t.upTo(1, lpus) {
		w.lpus = append(w.lpus, lpu{
			entity:      pick(t, 3, 0, 1),
			zone:        any1(t, "Europe/Moscow", "Asia/Kamchatka", "Europe/Berlin", "Europe/Kaliningrad"),
			createsMkab: pick(t, 2, "true", "", "false"),
			polyclinic:  pick(t, 5, "own", "other", "nowhere", ""),
			days:        pick(t, 3, "", "0", "1", "60"),
			expires:     pick(t, 2, "", "true", "false"),
			late:        pick(t, 2, "", "true", "false"),
		})
	}
	for range t.upTo(1, 2) {
		w.clients = append(w.clients, clientApplication{same: pick(t, 5, 95, 4, 0), other: pick(t, 5, 95, 64, 0), outOfSchedule: pick(t, 2, true, false), days: pick(t, 3, "", "0", "1", "60")})
	}
	for range any1(t, 1, 2, 3, 3) {
		w.persons = append(w.persons, t.drawPerson())
	}
	t.drawMkabs()
	for n := range t.upTo(len(w.lpus), resources) {
		at := resource{
			lpu:  n % len(w.lpus),
			kind: any1(t, "doctor", "doctor", "room", pick(t, 1, "doctor", "equipment")), speciality: pick(t, 8, "92", "7"), inactive: pick(t, 12, false, true),
		}
		w.resources = append(w.resources, at)
		t.drawSlots(n, slots)
	}
	for range any1(t, 1, 4, 8, 10, 6, 8, 12) {
		t.drawDirection()
	}
	for n := range w.persons {
		if pick(t, 5, false, true) {
			end := harness.Moment.Add(any1(t, time.Hour, time.Second, 0, -time.Second))
			w.claims = append(w.claims, claim{n, "92", "an old visit", t.upTo(0, len(w.lpus)-1), "Иванова {tapDate}", end.Add(-time.Hour), end})
		}
	}
}

func (t teller) drawPerson() person {
	return person{
		known: pick(t, 6, true, false), data: pick(t, 6, true, false),
		surname: pick(t, 8, "Пациент", ""), name: pick(t, 8, "Первый", ""), sex: pick(t, 8, "female", ""), policy: pick(t, 8, "1234567890123456", ""),
	}
}

// drawMkabs gives each person cards in the institutions; the first has one where there is an institution at all.
func (t teller) drawMkabs() {
	for p := range t.w.persons {
		for l := range t.w.lpus {
			cards := any1(t, []bool{false}, []bool{}, []bool{false}, []bool{}, pick(t, 1, []bool{false}, []bool{true}, []bool{true, false}, []bool{false, true}))
			if p == 0 && l == 0 && len(cards) == 0 {
				cards = []bool{false}
			}
			for _, closed := range cards {
				t.w.mkabs = append(t.w.mkabs, mkab{
					lpu: l, person: p, closed: closed,
					born:     any1(t, "1980-02-29", "2010-01-01", "2001-08-21", "2018-08-21", "2001-08-22", "2018-08-22", "2001-08-20", "2018-08-20", "2010-01-01"),
					disabled: pick(t, 2, false, true), pregnant: pick(t, 2, false, true),
				})
				for range pick(t, 1, 0, 1, 2) {
					t.w.taps = append(t.w.taps, tap{len(t.w.mkabs) - 1, any1(t, "2019-08-03", "2019-08-13", "2018-12-31"), pick(t, 2, false, true)})
				}
			}
		}
	}
}

// drawSlots gives a resource a schedule: on the next morning, over the moment, or over midnight.
func (t teller) drawSlots(at, most int) {
	zone := harness.MustZone(t.w.lpus[t.w.resources[at].lpu].zone)
	start := pick(t, 1, time.Date(2019, 8, 21, 8, 45, 0, 0, zone), time.Date(2019, 8, 21, 23, 40, 0, 0, zone), harness.Moment.Add(-20*time.Minute),
		harness.Moment.Add(-15*time.Minute-time.Second))
	for range t.upTo(1, most) {
		start = start.Add(pick(t, 5, 0, 5*time.Minute))
		minutes := any1(t, 10, 15, 5)
		t.drawSlot(at, start, minutes)
		if minutes > 5 && pick(t, 8, false, true) {
			t.drawSlot(at, start.Add(5*time.Minute), 5) // within the other
		}
		start = start.Add(time.Duration(minutes) * time.Minute)
	}
}

func (t teller) drawSlot(at int, start time.Time, minutes int) {
	w := t.w
	id := 1
	for _, other := range w.slots {
		if w.resources[other.resource].lpu == w.resources[at].lpu {
			id++
		}
	}
	w.slots = append(w.slots, slot{
		resource: at, id: id, start: start, minutes: minutes, capacity: any1(t, 1, 1, 2, pick(t, 1, 1, 3, 0)),
		access: pick(t, 8, 127, 4, 64, 0), lunch: pick(t, 12, false, true), blocked: pick(t, 12, false, true),
		restriction: pick(t, 1, "none", "healthy_children", "healthy_children", "adults", "children", "infants", "disabled", "pregnant"),
	})
}

func (t teller) drawDirection() {
	w := t.w
	card := t.upTo(0, len(w.mkabs)-1)
	holder := w.mkabs[card].lpu
	w.directions = append(w.directions, direction{
		kind: pick(t, 2, "Consult", "Laboratory"), speciality: pick(t, 8, "92", "7"), mkab: card,
		from:    pick(t, 6, holder, t.upTo(0, len(w.lpus)-1)),
		to:      pick(t, 1, t.upTo(0, len(w.lpus)-1), unknown),
		dateEnd: pick(t, 2, "2019-09-12", "2019-08-19", "2019-08-20", "2019-08-21"),
	})
	left := slices.IndexFunc(w.mkabs, func(k mkab) bool { return k.person == w.mkabs[card].person && k.lpu != holder })
	if left != unknown && pick(t, 3, false, true) {
		w.copies = append(w.copies, directionCopy{len(w.directions) - 1, w.mkabs[left].lpu, left})
	}
}

func (t teller) drawStep() step {
	return t.drawStepOf(pick(t, 1, "request", "cancel", "again", "hold", "toggle", "move", "hold", "release", "again", "pass", "hold"))
}

// perhapsTwice has a request with a key sent again at once, as a client does that has lost the answer; or the same of another visit, which is another request.
func (t teller) perhapsTwice(st step) []step {
	if st.key == "" || any1(t, false, true) {
		return []step{st}
	}
	other := st
	switch {
	case st.cancel > 0 && any1(t, false, true):
		other.cancel++
	case st.move > 0 && any1(t, false, true):
		other.move++
	default:
		other = step{again: 1}
	}
	return []step{st, other}
}

func (t teller) drawStepOf(kind string) step {
	switch kind {
	case "move":
		return t.drawMove()
	case "cancel":
		return t.drawCancel()
	case "toggle":
		return step{toggle: true}
	case "again":
		return step{again: any1(t, 1, 2, 3, 1)}
	case "hold":
		return t.drawHold()
	case "release":
		return step{release: t.upTo(1, 3), stranger: pick(t, 4, false, true)}
	case "pass":
		return step{pass: any1(t, time.Minute, 5*time.Minute, time.Second, 15*time.Minute, 59*time.Second)}
	default:
		return step{request: t.drawRequest(), key: any1(t, t.keys...)}
	}
}

// drawHold holds a cell that the request is near, by its guid.
func (t teller) drawHold() step {
	st := step{hold: true, request: t.drawRequest()}
	r := &st.request
	if r.place.how != "guid" {
		w := t.w
		r.place = place{how: "guid", slot: t.near(len(w.slots), r.to, func(n int) int { return w.resources[w.slots[n].resource].lpu })}
	}
	r.minutes = any1(t, 0, 1, 5, pick(t, 4, 1, 15, 16, -1))
	if any1(t, false, true) {
		st.move, st.stranger = t.upTo(1, 3), pick(t, 8, false, true)
	}
	return st
}

// standStill takes out of the clients' history that time passes where a cell would begin meanwhile: whether a visit has begun is asked once, so that then a cancel
// and a move are no longer at one moment.
func (st *story) standStill() {
	var passed time.Duration
	for _, steps := range st.history {
		for _, s := range steps {
			passed += s.pass
		}
	}
	if !slices.ContainsFunc(st.world.slots, func(c slot) bool {
		return !c.start.Before(harness.Moment) && c.start.Before(harness.Moment.Add(passed))
	}) {
		return
	}
	for _, steps := range st.history {
		for i := range steps {
			if steps[i].pass > 0 {
				steps[i] = step{release: 1}
			}
		}
	}
}

func (t teller) drawCancel() step {
	st := step{cancel: t.upTo(1, 3), stranger: pick(t, 4, false, true), why: any1(t, 0, 1, 6), key: any1(t, t.keys...)}
	st.request.client = t.upTo(0, len(t.w.clients)-1)
	return st
}

func (t teller) drawMove() step {
	st := step{move: t.upTo(1, 3), stranger: pick(t, 8, false, true), keep: any1(t, false, true), request: t.drawRequest(), key: any1(t, t.keys...)}
	if st.request.place.how == "out" {
		st.request.place = place{how: "id", id: t.upTo(1, 3)}
	}
	return st
}

// drawRequest asks for what a referral is about, unless it is odd.
func (t teller) drawRequest() request {
	w := t.w
	n := t.upTo(0, len(w.directions)-1)
	d := w.directions[n]
	holder := w.mkabs[d.mkab].lpu
	to := d.to
	if to == unknown || pick(t, 4, false, true) {
		to = t.upTo(0, len(w.lpus)-1)
	}
	kinds := map[string]string{"Consult": "consult", "Laboratory": "laboratory"}
	r := request{
		person:     pick(t, 12, w.mkabs[d.mkab].person, t.upTo(0, len(w.persons)-1)),
		client:     pick(t, 12, t.upTo(0, len(w.clients)-1), unknown),
		direction:  pick(t, 20, n, unknown),
		kind:       pick(t, 12, kinds[d.kind], d.kind, "Consult", "laboratory", "hospital", "CONSULT", ""),
		from:       pick(t, 12, holder, t.upTo(0, len(w.lpus)-1), unknown),
		to:         pick(t, 20, to, unknown),
		difficulty: any1(t, 0, 1, 2, pick(t, 1, 1, 3, 4)),
		comment:    any1(t, "", "к врачу"),
		cito:       any1(t, false, true),
		upper:      pick(t, 4, false, true),
	}
	if pick(t, 40, false, true) {
		r.difficulty = -1
	}
	r.place = t.drawPlace(r.to)
	return r
}

func (t teller) drawPlace(lpu int) place {
	w := t.w
	p := place{how: any1(t, "id", "guid", "out", "id", "guid", pick(t, 3, "id", "nowhere")), junk: any1(t, false, true)}
	switch p.how {
	case "id":
		ids := 0
		for _, c := range w.slots {
			if w.resources[c.resource].lpu == lpu {
				ids++
			}
		}
		p.id = t.upTo(1, max(ids, 1)) + pick(t, 12, 0, 1)
	case "guid":
		p.slot = pick(t, 12, t.near(len(w.slots), lpu, func(n int) int { return w.resources[w.slots[n].resource].lpu }), t.upTo(0, len(w.slots)-1), unknown)
	case "out":
		p.resource = pick(t, 12, t.near(len(w.resources), lpu, func(n int) int { return w.resources[n].lpu }), t.upTo(0, len(w.resources)-1), unknown)
		p.date = any1(t, "2019-08-21", "2019-08-20", "2019-10-27", "2019-08-19", "2020-08-19", "2019-08-21T10:30:00", "2019-08-21T10:30:00+03:00",
			"2019-08-20T17:52:14+03:00", "2019-08-20T14:52:13Z", "2019-08-20T17:52:14", "2019-08-20T17:52:13", "2019-08-20T23:52:14", pick(t, 3, "2019-08-21", badDates...))
	}
	return p
}

// near draws one of n things, of the institution if it has one.
func (t teller) near(n, lpu int, of func(n int) int) int {
	var there []int
	for i := range n {
		if of(i) == lpu {
			there = append(there, i)
		}
	}
	if len(there) == 0 {
		return unknown
	}
	return any1(t, there...)
}

// GoString is how rapid shows a story that fails.
func (st *story) GoString() string { return st.String() }

// String is the story to read: a line for each thing that its steps are about, what is as usual left out.
func (st *story) String() string {
	var b strings.Builder
	w, about := &st.world, st.about()
	line := func(format string, values ...any) { b.WriteString("\n    " + squeeze(fmt.Sprintf(format, values...))) }
	if w.onlyOne != "" {
		line("one active appointment a speciality: %s", w.onlyOne)
	}
	if w.days+w.expires+w.late != "" {
		line("in the region%s", inForce(w.days, w.expires, w.late))
	}
	for n, l := range w.lpus {
		if about[label("L", n)] {
			line("%s of E%d in %s, cards made: %q, polyclinic: %q%s", label("L", n), l.entity, l.zone, l.createsMkab, l.polyclinic, inForce(l.days, l.expires, l.late))
		}
	}
	for n, c := range w.clients {
		if about[label("C", n)] {
			line("%s may %d within, %d into another, out of schedule %t%s", label("C", n), c.same, c.other, c.outOfSchedule, inForce(c.days, "", ""))
		}
	}
	for n, p := range w.persons {
		if !about[label("P", n)] {
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
		if about[label("P", k.person)] && about[label("L", k.lpu)] {
			line("%s of %s in %s, born %s %s %s %s", label("K", n), label("P", k.person), label("L", k.lpu), k.born,
				only(k.disabled, "disabled"), only(k.pregnant, "pregnant"), only(k.closed, "closed"))
		}
	}
	for _, t := range w.taps {
		if k := w.mkabs[t.mkab]; about[label("P", k.person)] && about[label("L", k.lpu)] {
			line("a case of %s, opened %s %s", label("K", t.mkab), t.opened, only(t.closed, "closed"))
		}
	}
	for n, r := range w.resources {
		if !about[label("R", n)] {
			continue
		}
		line("%s in %s: %s, speciality %s %s", label("R", n), label("L", r.lpu), r.kind, r.speciality, only(r.inactive, "inactive"))
		for i, c := range w.slots {
			if c.resource == n {
				line("%s of %s: id %d, %s, %d min, capacity %d %s %s %s %s", label("S", i), label("R", n), c.id,
					c.start.In(harness.MustZone(w.lpus[r.lpu].zone)).Format(time.RFC3339), c.minutes, c.capacity, only(c.access != 127, fmt.Sprint("access ", c.access)),
					only(c.lunch, "lunch"), only(c.blocked, "blocked"), only(c.restriction != "none", c.restriction))
			}
		}
	}
	for n, d := range w.directions {
		if about[label("D", n)] {
			line("%s: %s %s for %s in %s, from %s to %s until %s", label("D", n), d.kind, d.speciality, label("K", d.mkab), label("L", w.mkabs[d.mkab].lpu),
				label("L", d.from), label("L", d.to), d.dateEnd)
		}
	}
	for _, c := range w.copies {
		if about[label("D", c.direction)] {
			line("a copy of %s in %s, for %s", label("D", c.direction), label("L", c.lpu), label("K", c.mkab))
		}
	}
	for _, c := range w.claims {
		if about[label("P", c.person)] {
			line("%s has a visit on %s in %s until %s", label("P", c.person), c.speciality, label("L", c.lpu), c.end.Format(time.RFC3339))
		}
	}
	for c, steps := range st.history {
		for n, s := range steps {
			line("%s: %s", stepLabel(c, n), s)
		}
	}
	return b.String()
}

// about gives the labels of what the steps speak of.
func (st *story) about() map[string]bool {
	about := map[string]bool{}
	w := st.world.begin()
	for _, s := range slices.Concat(st.history...) {
		r := s.request
		if !s.books() && !s.hold {
			continue
		}
		_, at := w.find(r)
		for _, one := range []string{
			label("L", r.from), label("L", r.to), label("P", r.person), label("C", r.client), label("D", r.direction), label("R", at),
		} {
			about[one] = true
		}
		if r.direction != unknown {
			d := w.directions[r.direction]
			about[label("L", d.from)], about[label("L", d.to)] = true, true
			about[label("P", w.mkabs[d.mkab].person)], about[label("L", w.mkabs[d.mkab].lpu)] = true, true
		}
	}
	return about
}

func (s step) String() string {
	r := s.request
	switch {
	case s.cancel > 0:
		return squeeze(fmt.Sprintf("%s by %s cancel the visit booked last but %d %s %s", only(s.stranger, "as a stranger"), label("C", r.client), s.cancel-1,
			only(s.why != 0, fmt.Sprint("for ", s.why)), only(s.key != "", "with the key "+s.key)))
	case s.again > 0:
		return fmt.Sprintf("send the request with a key sent last but %d again", s.again-1)
	case s.toggle:
		return "switch the setting of one active appointment a speciality"
	case s.release > 0:
		return squeeze(fmt.Sprintf("%s give back the cell held last but %d", only(s.stranger, "as a stranger"), s.release-1))
	case s.pass > 0:
		return s.pass.String() + " pass"
	}
	where := map[string]string{
		"id": fmt.Sprint("SlotId ", r.place.id), "guid": "SlotGuid " + label("S", r.place.slot), "out": "out of schedule " + label("R", r.place.resource) + " on " + r.place.date,
		"nowhere": "nowhere",
	}[r.place.how]
	if s.holdsForMove() {
		return squeeze(fmt.Sprintf("%s by %s hold for %d min for the move of the visit booked last but %d %s in %s %s", only(s.stranger, "as a stranger"), label("C", r.client),
			r.minutes, s.move-1, where, label("L", r.to), only(r.difficulty != 0, fmt.Sprint("×", r.difficulty))))
	}
	if s.move > 0 {
		return squeeze(fmt.Sprintf("%s by %s move the visit booked last but %d to %s, %s %s %s %s", only(s.stranger, "as a stranger"), label("C", r.client), s.move-1,
			label("L", r.to), where, only(r.difficulty != 0, fmt.Sprint("×", r.difficulty)), only(s.keep, "else as it is"), only(s.key != "", "with the key "+s.key)))
	}
	verb := "books"
	if s.hold {
		verb = fmt.Sprintf("holds for %d min", r.minutes)
	}
	return squeeze(fmt.Sprintf("%s by %s %s %s %q from %s to %s, %s %s %s %s %s", label("P", r.person), label("C", r.client), verb, label("D", r.direction),
		r.kind, label("L", r.from), label("L", r.to), where, only(r.difficulty != 0, fmt.Sprint("×", r.difficulty)), only(r.place.junk, "with junk"),
		only(r.upper, "in upper case"), only(s.key != "", "with the key "+s.key)))
}

func inForce(days, expires, late string) string {
	return only(days != "", ", days ahead: "+days) + only(expires != "", ", referrals expire: "+expires) +
		only(late != "", ", to be cancelled and moved also when it has begun: "+late)
}

func only(so bool, text string) string {
	if so {
		return text
	}
	return ""
}

// squeeze takes out the spaces around what was left out.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }
