package model_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/test/harness"
)

// This file is the part of the model that concerns the registry: the messages of institutions'
// systems, what they change, and how they are sent. It is written from the contract. A message is a
// window of a schedule, a change of one cell, an absence, or the end of one. A0 is an absence.

// message is a message of an institution's system.
type message struct {
	kind     string // window, cell, absence, lift
	lpu      int
	resource int // not of kind cell
	version  int // of kinds window and cell
	refuse   bool
	from, to time.Time // of kinds window and absence

	offers []offer // of kind window

	slot     int    // of kind cell
	capacity int    // of kind cell; 0 omits the field
	blocked  string // of kind cell: true, false; empty omits the field

	absence int // of kinds absence and lift
	reason  string
}

// offer is a cell of a window. Its other properties are those of the world's cell.
type offer struct {
	slot     int
	start    time.Time
	minutes  int
	capacity int
	blocked  bool
}

func (o offer) end() time.Time { return o.start.Add(time.Duration(o.minutes) * time.Minute) }

// window is a schedule message that was applied.
type window struct {
	resource, version int
	from, to          time.Time
	content           string // what it states
	settled           bool   // the schedule is exactly as it states
}

func (w window) covers(moment time.Time) bool { return !moment.Before(w.from) && moment.Before(w.to) }

// absence is a period without visits.
type absence struct {
	lpu, number, resource int
	from, to              time.Time
	reason                string
	lifted                bool
}

// effect is the result of a message.
type effect struct {
	rule                                             string // that rejects it, or empty
	added, changed, withdrawn, unchanged, superseded int
	conflicts                                        []string
}

// reply returns the result of a request.
func (e effect) reply(kind string) string {
	text := e.rule
	switch {
	case e.rule != "":
	case kind == "absence" || kind == "lift":
		text = fmt.Sprintf("%d cells changed", e.changed)
	default:
		text = fmt.Sprintf("cells: %d added, %d changed, %d withdrawn, %d unchanged, %d superseded",
			e.added, e.changed, e.withdrawn, e.unchanged, e.superseded)
	}
	return strings.Join(append([]string{text}, e.conflicts...), "; ")
}

// rejected returns the effect of a message that a rule rejects.
func rejected(rule string) effect { return effect{rule: rule} }

// Promise: the responses to messages of institutions' systems, between requests of patients, are
// those of the contract, and the schedules match: which cells exist, why they are closed, which
// message decides. Messages arrive in any order, repeatedly, as requests and as lines of files.
func TestModelOfRegistry(t *testing.T) {
	t.Parallel()
	compareWithModel(t, registryScenarios(1, 1, 6))
}

// Promise: the same holds for concurrent messages and requests of patients, in some order of them.
func TestModelOfRegistryInParallel(t *testing.T) {
	t.Parallel()
	requireLinearizable(t, registryScenarios(2, maxClients, 4))
}

// registryScenarios have a number of clients, which mostly send messages about the cells that they
// book.
func registryScenarios(fewest, most, slots int) *rapid.Generator[*scenario] {
	return rapid.Custom(func(rt *rapid.T) *scenario {
		st := &scenario{}
		t := generator{T: rt, usualWeight: 8, concurrent: most > 1, keys: []string{""}, w: &st.world}
		t.drawWorld(1, 2, slots)
		st.world.oneActive, st.world.claims = "false", nil // so that a patient can have several visits
		for range 6 {
			t.drawDirection()
			st.world.messages = append(st.world.messages, t.drawMessage())
		}
		some := rapid.Custom(func(rt *rapid.T) step {
			return t.with(rt).drawStepOf(oneOf(t.with(rt), "message", "", "message", "cancel", "", "message", "hold",
				"",
				"move", "message"))
		})
		for range t.intBetween(fewest, most) {
			var steps []step
			for _, group := range rapid.SliceOfN(rapid.SliceOfN(some, 1, 6), 3/fewest, 9/(2*fewest-1)).Draw(rt, "") {
				steps = append(steps, group...)
			}
			st.history = append(st.history, steps)
		}
		return st
	})
}

// receiveStep returns the reply to the messages of a step.
func (s state) receiveStep(st step) (string, state) {
	if !st.file {
		e, after := s.receive(st.messages[0])
		return e.reply(st.messages[0].kind), after
	}
	effects, after := s.receiveFile(st.messages)
	return describeFile(effects), after
}

// receiveFile applies the lines of a file. Windows that are applied already have no effect,
// wherever they are in the file. The others are applied in order. Those of consecutive lines of one
// kind that are rejected are then tried again.
func (s state) receiveFile(messages []message) ([]effect, state) {
	effects := make([]effect, len(messages))
	applied := make([]bool, len(messages))
	for i, m := range messages {
		later := slices.ContainsFunc(messages[i+1:], func(other message) bool {
			return other.kind == "window" && m.kind == "window" && other.lpu == m.lpu && other.resource == m.resource &&
				other.from.Equal(m.from)
		})
		if applied[i] = !later && s.isApplied(m); applied[i] {
			effects[i] = effect{unchanged: len(m.offers)}
			s = s.confirmAgain(m.resource)
		}
	}
	for first := 0; first < len(messages); {
		last := first + 1
		for last < len(messages) && messages[last].kind == messages[first].kind {
			last++
		}
		for range 2 {
			for i := first; i < last; i++ {
				if !applied[i] {
					effects[i], s = s.receive(messages[i])
					applied[i] = effects[i].rule == ""
				}
			}
		}
		first = last
	}
	return effects, s
}

// isApplied reports whether a window decides its whole period, and the schedule is as it states.
func (s *state) isApplied(m message) bool {
	if m.kind != "window" {
		return false
	}
	_, content := s.offered(m)
	return !slices.ContainsFunc(s.moments(m), func(moment time.Time) bool {
		w := s.decider(m.resource, moment)
		return w == nil || w.version != m.version || w.content != content || !w.settled
	})
}

// describeFile describes the results of the lines of a file.
func describeFile(effects []effect) string {
	var sum effect
	changed, failed, conflicts := 0, 0, 0
	var errors []string
	for i, e := range effects {
		if e.rule != "" {
			failed++
			errors = append(errors, fmt.Sprintf("line %d %s", i+1, e.reply("")))
			continue
		}
		if e.added+e.changed+e.withdrawn > 0 {
			changed++
		}
		sum.added += e.added
		sum.changed += e.changed
		sum.withdrawn += e.withdrawn
		sum.unchanged += e.unchanged
		sum.superseded += e.superseded
		conflicts += len(e.conflicts)
	}
	text := fmt.Sprintf("lines: %d changed, %d failed; %s, %d conflicts", changed, failed, sum.reply(""), conflicts)
	return strings.Join(append([]string{text}, errors...), "; ")
}

// receive applies one message.
func (s state) receive(m message) (effect, state) {
	switch {
	case m.kind == "cell" && (s.slots[m.slot].gone || s.resources[s.slots[m.slot].resource].lpu != m.lpu):
		return rejected("slot_absent"), s
	case m.kind == "cell":
		return s.receiveWindow(s.windowOf(m))
	case m.kind == "lift":
		return s.lift(m)
	case m.kind == "window" && m.overlap():
		return rejected("cell_overlap"), s
	case m.resource == unknown || s.resources[m.resource].lpu != m.lpu:
		return rejected("resource_absent"), s
	case m.kind == "absence":
		return s.receiveAbsence(m)
	default:
		return s.receiveWindow(m)
	}
}

// overlap reports whether two cells of a window overlap.
func (m message) overlap() bool {
	for i, a := range m.offers {
		for _, b := range m.offers[:i] {
			if a.start.Before(b.end()) && b.start.Before(a.end()) {
				return true
			}
		}
	}
	return false
}

// windowOf returns the window that a change of one cell amounts to. It covers only the start of the
// cell.
func (s *state) windowOf(m message) message {
	c := s.slots[m.slot]
	o := offer{m.slot, c.start, c.minutes, cmp.Or(m.capacity, c.capacity), c.blocked}
	if m.blocked != "" {
		o.blocked = m.blocked == "true"
	}
	return message{
		kind: "window", lpu: m.lpu, resource: c.resource, version: m.version, refuse: m.refuse, from: c.start,
		to: c.start.Add(time.Microsecond), offers: []offer{o},
	}
}

// offered returns the cells of a window by their number, and the content of the window.
func (s *state) offered(m message) (bySlot map[int]offer, content string) {
	bySlot = map[int]offer{}
	lines := []string{m.from.UTC().String(), m.to.UTC().String()}
	for _, o := range m.offers {
		bySlot[o.slot] = o
		lines = append(lines, fmt.Sprint(o.slot, o.start.UTC(), o.minutes, o.capacity, o.blocked))
	}
	slices.Sort(lines)
	return bySlot, strings.Join(lines, "; ")
}

// moments returns a moment of each part of a window that one message decides.
func (s *state) moments(m message) []time.Time {
	moments := []time.Time{m.from}
	for _, w := range s.windows {
		for _, moment := range []time.Time{w.from, w.to} {
			if w.resource == m.resource && moment.After(m.from) && moment.Before(m.to) {
				moments = append(moments, moment)
			}
		}
	}
	return moments
}

// decider returns the window that decides a moment of a resource: the newest that covers it, or
// nil.
func (s *state) decider(resource int, moment time.Time) (newest *window) {
	for i, w := range s.windows {
		if w.resource == resource && w.covers(moment) && (newest == nil || w.version > newest.version) {
			newest = &s.windows[i]
		}
	}
	return newest
}

// receiveWindow applies a window where no newer one decides.
func (s state) receiveWindow(m message) (effect, state) {
	offers, content := s.offered(m)
	isOpen := func(moment time.Time) bool {
		w := s.decider(m.resource, moment)
		return w == nil || w.version < m.version || w.version == m.version && !w.settled
	}
	anyOpen, anyNewer := false, false
	for _, moment := range s.moments(m) {
		w := s.decider(m.resource, moment)
		if w != nil && w.version == m.version && w.content != content {
			return rejected("version_conflict"), s
		}
		anyOpen = anyOpen || isOpen(moment)
		anyNewer = anyNewer || w != nil && w.version > m.version
	}
	switch {
	case !anyOpen && anyNewer:
		return rejected("version_stale"), s
	case !anyOpen:
		return effect{unchanged: len(offers)}, s.confirm(m.resource)
	}

	c := comparison{state: s, resource: m.resource, slots: slices.Clone(s.slots), settled: true}
	foreign := false
	for n, cell := range s.slots {
		o, isOffered := offers[n]
		here := !cell.gone && cell.resource == m.resource && !cell.start.Before(m.from) && cell.start.Before(m.to)
		open := here && isOpen(cell.start)
		switch {
		case isOffered && (!isOpen(o.start) || here && !open):
			c.effect.superseded++
			if open { // in this part, the window does not state it
				c.withdraw(n, "withdrawn")
			}
		case isOffered && here:
			c.change(n, o)
		case isOffered:
			foreign = foreign || !cell.gone
			c.add(n, o)
		case open:
			c.withdraw(n, "withdrawn")
		}
	}
	if len(c.effect.conflicts) > 0 && m.refuse {
		return effect{rule: "cell_booked", conflicts: c.effect.conflicts}, s
	}
	if foreign {
		return rejected("cell_foreign"), s
	}
	after := s.withSlots(c.slots)
	after.windows = slices.DeleteFunc(slices.Clone(s.windows), func(w window) bool {
		return w.resource == m.resource && w.version == m.version && w.content == content
	})
	after.windows = append(after.windows, window{m.resource, m.version, m.from, m.to, content, c.settled})
	return c.effect, after.confirm(m.resource)
}

// confirm returns a state in which a message has just confirmed the schedule of a resource.
func (s state) confirm(resource int) state {
	changed := *s.world
	changed.resources = slices.Clone(s.resources)
	changed.resources[resource].confirmed = new(harness.Moment.Sub(s.now))
	s.world = &changed
	return s
}

// confirmAgain is confirm for a line of a file that changes nothing: it counts a minute after the
// last confirmation.
func (s state) confirmAgain(resource int) state {
	confirmed := s.resources[resource].confirmed
	if confirmed != nil && s.now.Sub(harness.Moment.Add(-*confirmed)) <= time.Minute {
		return s
	}
	return s.confirm(resource)
}

// withSlots returns a state with other cells.
func (s state) withSlots(slots []slot) state {
	changed := *s.world
	changed.slots = slots
	s.world = &changed
	return s
}

// comparison compares the cells of a resource with a window.
type comparison struct {
	state    state // before it
	resource int
	slots    []slot // after it
	effect   effect
	settled  bool
}

// add brings in a cell.
func (c *comparison) add(n int, o offer) {
	c.effect.added++
	c.slots[n].gone, c.slots[n].resource = false, c.resource
	c.state.describe(&c.slots[n], o)
}

// describe gives a cell the properties of an offer.
func (s *state) describe(cell *slot, o offer) {
	if !cell.start.Equal(o.start) {
		cell.start = o.start
	}
	cell.minutes, cell.capacity, cell.blocked, cell.withdrawn = o.minutes, o.capacity, o.blocked, false
	cell.absent = s.isAbsent(*cell)
}

// change gives a cell the properties of an offer. A cell with visits or holds keeps its time and
// the places that are taken or held.
func (c *comparison) change(n int, o offer) {
	cell := c.state.slots[n]
	taken, held := len(c.state.visitsIn(n)), c.state.heldPlaces(n)
	if (!cell.start.Equal(o.start) || cell.minutes != o.minutes) && taken+held > 0 {
		c.withdraw(n, "moved")
		return
	}
	if used := min(taken+held, cell.capacity); o.capacity < used {
		switch {
		case o.capacity >= taken:
			c.settled = false
		case !cell.start.Before(c.state.now):
			c.conflict(n, "capacity")
		}
		o.capacity = used
	}
	c.state.describe(&c.slots[n], o)
	if c.slots[n] == cell {
		c.effect.unchanged++
	} else {
		c.effect.changed++
	}
}

// withdraw removes a cell. It closes one with visits or holds instead. Visits that have begun keep
// their cell as it is.
func (c *comparison) withdraw(n int, kind string) {
	cell := &c.slots[n]
	taken, held := len(c.state.visitsIn(n)), c.state.heldPlaces(n)
	switch {
	case taken+held == 0:
		cell.gone, cell.withdrawn, cell.absent = true, false, false
		c.effect.withdrawn++
		return
	case taken > 0 && cell.start.Before(c.state.now):
		c.effect.unchanged++
		return
	case taken > 0:
		c.conflict(n, kind)
	}
	c.settled = false
	if !cell.withdrawn {
		cell.withdrawn = true
		c.effect.withdrawn++
	}
}

func (c *comparison) conflict(n int, kind string) {
	c.effect.conflicts = append(c.effect.conflicts, describeConflict(label("S", n), kind, c.state.visitsIn(n)))
	slices.Sort(c.effect.conflicts)
	c.settled = false
}

func describeConflict(cell, kind string, visits []string) string {
	slices.Sort(visits)
	return fmt.Sprintf("%s %s with %s", cell, kind, strings.Join(visits, " "))
}

// visitsIn returns the active visits in a cell.
func (s *state) visitsIn(n int) (visits []string) {
	for _, v := range s.visits {
		if !v.cancelled && slices.Contains(v.slots, n) {
			visits = append(visits, v.label)
		}
	}
	return visits
}

// heldPlaces returns the number of places of a cell that are held.
func (s *state) heldPlaces(n int) (places int) {
	for _, k := range s.slotHolds {
		if k.slot == n && k.until.After(s.now) {
			places++
		}
	}
	return places
}

// isAbsent reports whether the resource of a cell is absent during a part of it.
func (s *state) isAbsent(c slot) bool {
	return slices.ContainsFunc(s.absences, func(a absence) bool { return !a.lifted && a.overlaps(c) })
}

func (a absence) overlaps(c slot) bool {
	return !c.gone && a.resource == c.resource && a.from.Before(c.end()) && a.to.After(c.start)
}

// receiveAbsence closes the cells of an absence. A repetition changes nothing.
func (s state) receiveAbsence(m message) (effect, state) {
	added := absence{m.lpu, m.absence, m.resource, m.from, m.to, m.reason, false}
	if at := s.findAbsence(m); at != unknown {
		known := s.absences[at]
		if known.resource != m.resource || !known.from.Equal(m.from) || !known.to.Equal(m.to) ||
			known.reason != m.reason {
			return rejected("version_conflict"), s
		}
		return effect{}, s
	}
	var conflicts []string
	for n, c := range s.slots {
		if visits := s.visitsIn(n); len(visits) > 0 && added.overlaps(c) && !c.start.Before(s.now) {
			conflicts = append(conflicts, describeConflict(label("S", n), "absence", visits))
		}
	}
	slices.Sort(conflicts)
	if len(conflicts) > 0 && m.refuse {
		return effect{rule: "cell_booked", conflicts: conflicts}, s
	}
	s.absences = append(slices.Clone(s.absences), added)
	changed, s := s.reclose(added)
	return effect{changed: changed, conflicts: conflicts}, s
}

// lift ends an absence.
func (s state) lift(m message) (effect, state) {
	at := s.findAbsence(m)
	switch {
	case at == unknown || s.absences[at].resource != m.resource:
		return rejected("absence_absent"), s
	case s.absences[at].lifted:
		return effect{}, s
	}
	s.absences = slices.Clone(s.absences)
	s.absences[at].lifted = true
	changed, s := s.reclose(s.absences[at])
	return effect{changed: changed}, s
}

func (s *state) findAbsence(m message) int {
	return slices.IndexFunc(s.absences, func(a absence) bool { return a.lpu == m.lpu && a.number == m.absence })
}

// reclose closes or opens the cells of an absence that have not begun. It returns how many change.
func (s state) reclose(a absence) (changed int, after state) {
	cells := slices.Clone(s.slots)
	for n, c := range s.slots {
		if absent := s.isAbsent(c); a.overlaps(c) && !c.start.Before(s.now) && c.absent != absent {
			cells[n].absent = absent
			changed++
		}
	}
	return changed, s.withSlots(cells)
}

// registryTables returns the rows of the registry that the database must have, a line for each.
func (s *state) registryTables() (lines []string) {
	for n, c := range s.slots {
		if !c.gone {
			lines = append(lines, describeCell(label("S", n), label("R", c.resource), c.start, c.end(), c.capacity,
				len(s.visitsIn(n)), c.blocked, c.withdrawn, c.absent))
		}
	}
	for _, a := range s.absences {
		lines = append(lines, describeAbsence(absenceLabel(a.lpu, a.number), label("R", a.resource), a.from, a.to,
			a.lifted))
	}
	var decided []decision
	for n := range s.resources {
		moments := []time.Time{}
		for _, w := range s.windows {
			if w.resource == n {
				moments = append(moments, w.from, w.to)
			}
		}
		slices.SortFunc(moments, time.Time.Compare)
		for i, moment := range moments {
			if w := s.decider(n, moment); w != nil && moments[i+1].After(moment) {
				decided = append(decided, decision{label("R", n), moment, moments[i+1], w.version, w.settled})
			}
		}
	}
	return append(lines, describeDecisions(decided)...)
}

// decision is a period of a schedule that one window decides.
type decision struct {
	resource string
	from, to time.Time
	version  int
	settled  bool
}

// describeDecisions describes the periods of the schedules, in order of time. It joins adjacent
// ones of one version.
func describeDecisions(decided []decision) (lines []string) {
	slices.SortFunc(decided, func(a, b decision) int {
		return cmp.Or(strings.Compare(a.resource, b.resource), a.from.Compare(b.from))
	})
	var joined []decision
	for _, d := range decided {
		if last := len(joined) - 1; last >= 0 && joined[last].resource == d.resource && joined[last].to.Equal(d.from) &&
			joined[last].version == d.version && joined[last].settled == d.settled {
			joined[last].to = d.to
			continue
		}
		joined = append(joined, d)
	}
	for _, d := range joined {
		lines = append(lines, fmt.Sprintf("schedule of %s from %s to %s: version %d%s", d.resource, precise(d.from),
			precise(d.to), d.version, textIf(!d.settled, ", not settled")))
	}
	return lines
}

func describeCell(
	cell, resource string, start, end time.Time, capacity, taken int, blocked, withdrawn, absent bool,
) string {
	return fmt.Sprintf("cell %s of %s, %s to %s: %d of %d taken%s%s%s", cell, resource, utc(start), utc(end), taken,
		capacity, textIf(blocked, ", blocked"), textIf(withdrawn, ", withdrawn"), textIf(absent, ", absent"))
}

func describeAbsence(absence, resource string, from, to time.Time, lifted bool) string {
	return fmt.Sprintf("absence %s of %s, %s to %s%s", absence, resource, utc(from), utc(to), textIf(lifted,
		", lifted"))
}

func absenceLabel(lpu, number int) string { return label("A", number) + "(" + label("L", lpu) + ")" }

func precise(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// The service's side: how the messages are drawn, sent and read back.

// otherTime is by how much a message moves cells.
const otherTime = time.Minute

// drawMessage draws a message. There are few versions and absences, so that messages repeat and
// contradict each other.
func (t generator) drawMessage() message {
	w := t.w
	n := t.intBetween(0, len(w.resources)-1)
	m := message{
		kind: oneOf(t, "window", "cell", "absence", "window", "lift", "window"), resource: usually(t, 12, n, unknown),
		lpu: w.resources[n].lpu, version: t.intBetween(1, 4), refuse: oneOf(t, false, true),
		absence: n + usually(t, 4, 0, 1), reason: usually(t, 4, "", "болезнь"),
	}
	if usually(t, 12, false, true) {
		m.lpu = t.intBetween(0, len(w.lpus)-1)
	}
	var own []int
	for i, c := range w.slots {
		if c.resource == n {
			own = append(own, i)
		}
	}
	first, last := w.slots[own[0]].start, w.slots[own[len(own)-1]].start
	m.from = oneOf(t, first.Add(-time.Hour), w.slots[oneOf(t, own...)].start)
	m.to = oneOf(t, last.Add(time.Hour), w.slots[oneOf(t, own...)].start)
	if !m.to.After(m.from) {
		m.to = last.Add(time.Hour)
	}
	if m.kind == "cell" {
		m.slot = oneOf(t, own...)
		m.capacity = oneOf(t, 0, 1, 2)
		m.blocked = oneOf(t, "", "true", "false")
		if m.capacity == 0 && m.blocked == "" {
			m.capacity = 1
		}
	}
	if m.kind != "window" {
		return m
	}
	moved := usually(t, 2, 0, otherTime)
	if usually(t, 8, false, true) {
		own = append(own, t.intBetween(0, len(w.slots)-1)) // perhaps of another resource
	}
	for i, slot := range own {
		c := w.slots[slot]
		o := offer{
			slot: slot, start: c.start.Add(moved), minutes: c.minutes - usually(t, 8, 0, 1),
			capacity: oneOf(t, max(c.capacity, 1), 1, 2), blocked: usually(t, 8, false, true),
		}
		if usually(t, 8, false, true) {
			moved = otherTime - moved
		}
		known := slices.Contains(own[:i], slot) || w.resources[c.resource].lpu != w.resources[n].lpu
		if usually(t, 1, true, false) && !known && !o.start.Before(m.from) && o.start.Before(m.to) {
			m.offers = append(m.offers, o)
		}
	}
	return m
}

// drawMessages draws a step that sends one of the world's messages, or some as a file. The lines of
// a file that run concurrently do not depend on each other. A file that is applied while others
// change the schedules has one line, because its lines do not take effect at one moment.
func (t generator) drawMessages() step {
	st := step{messages: []message{oneOf(t, t.w.messages...)}, file: oneOf(t, false, true, false)}
	for st.file && !t.concurrent && oneOf(t, false, true) {
		m := oneOf(t, t.w.messages...)
		for _, before := range st.messages {
			if m.kind == "lift" || before.kind == "lift" ||
				m.kind == "cell" && before.kind == "cell" && m.slot != before.slot ||
				m.resource != before.resource && (m.absence == before.absence || m.brings(before)) {
				return st
			}
		}
		st.messages = append(st.messages, m)
	}
	return st
}

// brings reports whether two windows offer a cell in common.
func (m message) brings(other message) bool {
	return slices.ContainsFunc(m.offers, func(a offer) bool {
		return slices.ContainsFunc(other.offers, func(b offer) bool { return a.slot == b.slot })
	})
}

// sourceScopes are those of the institutions' systems.
var sourceScopes = []string{"schedule:write", "visit:read", "visit:write"}

// sourceOf returns the client application of an institution's system that sends the messages of a
// client. Each has one of its own, because there is a limit on the imports of one.
func sourceOf(client int) uuid.UUID {
	return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "source ", client))
}

// signSystem returns a token of a client application for itself that is valid for the time of any
// scenario.
func (p *player) signSystem(client uuid.UUID) string {
	p.T.Helper()
	caller := auth.Caller{Client: client, Scopes: sourceScopes, EveryLpu: true}
	token, err := p.Key.Sign(caller, "issuer", "talon", harness.Moment, scenarioTime)
	require.NoError(p.T, err)
	return "Bearer " + token
}

// messageSender returns a function that sends the messages of a step. Its response to a file is the
// state of the import at its end.
func (p *player) messageSender(st step, authorization string) func() harness.Answer {
	p.T.Helper()
	if !st.file {
		method, path, body := st.messages[0].request(p.g, &p.world)
		return p.sender(method, path, authorization, "", body)
	}
	var file bytes.Buffer
	for _, m := range st.messages {
		method, path, body := m.request(p.g, &p.world)
		line := harness.Fields{"Method": method, "Path": path}
		if body != nil {
			line["Body"] = body
		}
		require.NoError(p.T, json.NewEncoder(&file).Encode(line))
	}
	return func() harness.Answer {
		request := p.NewRequest(http.MethodPost, "/registry/imports", bytes.NewReader(file.Bytes()))
		request.Header.Set("Authorization", authorization)
		request.Header.Set("Content-Type", "application/x-ndjson")
		accepted := p.Do(request)
		require.Equal(p.T, http.StatusAccepted, accepted.StatusCode, "%s", accepted.Raw)
		for {
			a := p.GetAs(strings.TrimPrefix(authorization, "Bearer "), accepted.Header.Get("Location"))
			if harness.Decode[api.Import](p.T, a).FinishedAt != nil {
				return a
			}
		}
	}
}

// request returns the request of a message.
func (m message) request(g *guids, w *world) (method, path string, body any) {
	lpu := "/registry/lpus/" + g.of(label("L", m.lpu)).String()
	resource := lpu + "/resources/" + g.of(label("R", m.resource)).String()
	onBooked := "keep"
	if m.refuse {
		onBooked = "refuse"
	}
	absence := g.of(absenceLabel(m.lpu, m.absence))
	switch m.kind {
	case "cell":
		fields := harness.Fields{"Version": m.version, "OnBooked": onBooked}
		if m.capacity != 0 {
			fields["Capacity"] = m.capacity
		}
		if m.blocked != "" {
			fields["Blocked"] = m.blocked == "true"
		}
		return http.MethodPatch, lpu + "/slots/" + g.of(label("S", m.slot)).String(), fields
	case "absence":
		return http.MethodPost, resource + "/absences", harness.Fields{
			"AbsenceGuid": absence, "From": m.from, "To": m.to, "Reason": m.reason, "OnBooked": onBooked,
		}
	case "lift":
		return http.MethodDelete, resource + "/absences/" + absence.String(), nil
	default:
		offers := []harness.Fields{}
		for _, o := range m.offers {
			c := w.slots[o.slot]
			offers = append(offers, harness.Fields{
				"Guid": g.of(label("S", o.slot)), "Id": c.id, "Start": o.start, "End": o.end(), "Capacity": o.capacity,
				"FlagAccess": c.access, "BusyType": c.busyType(), "Blocked": o.blocked, "Restriction": c.restriction,
			})
		}
		period := url.Values{"from": {utc(m.from)}, "to": {utc(m.to)}}
		return http.MethodPut, resource + "/schedule?" + period.Encode(), harness.Fields{
			"Version": m.version, "OnBooked": onBooked, "Cells": offers,
		}
	}
}

func (s slot) busyType() int {
	if s.lunch {
		return 2
	}
	return 1
}

// describeMessageReply describes the response to a message or a file in the model's words.
func describeMessageReply(s *harness.Service, g *guids, e *event) string {
	s.T.Helper()
	a := e.answer
	switch kind := e.step.messages[0].kind; {
	case e.step.file:
		i := harness.Decode[api.Import](s.T, a)
		require.Equal(s.T, "completed", i.State)
		require.EqualValues(s.T, len(e.step.messages), i.Lines.Done)
		sum := effect{
			"", int(i.Cells.Added), int(i.Cells.Changed), int(i.Cells.Withdrawn), int(i.Cells.Unchanged),
			int(i.Cells.Superseded), nil,
		}
		lines := []string{fmt.Sprintf("lines: %d changed, %d failed; %s, %d conflicts", i.Lines.Changed, i.Lines.Failed,
			sum.reply(""), i.Cells.Conflicts)}
		token := strings.TrimPrefix(e.authorization, "Bearer ")
		path := "/registry/imports/" + i.GUID.String() + "/errors"
		for _, one := range harness.Decode[api.ImportErrorPage](s.T, s.GetAs(token, path)).Items {
			lines = append(lines, fmt.Sprintf("line %d %s", one.Line, describeRejection(g, one.Error)))
		}
		return strings.Join(lines, "; ")
	case a.StatusCode != http.StatusOK:
		return describeRejection(g, a.Refusal)
	case kind == "absence" || kind == "lift":
		result := harness.Decode[api.AbsenceResult](s.T, a)
		return effect{changed: int(result.Changed), conflicts: describeConflicts(g, result.Conflicts)}.reply(kind)
	default:
		result := harness.Decode[api.ScheduleResult](s.T, a)
		return effect{
			"", int(result.Added), int(result.Changed), int(result.Withdrawn), int(result.Unchanged),
			int(result.Superseded), describeConflicts(g, result.Conflicts),
		}.reply(kind)
	}
}

func describeRejection(g *guids, refusal api.Error) string {
	e := rejected(refusal.Rule)
	if refusal.Details != nil && refusal.Details.Conflicts != nil {
		e.conflicts = describeConflicts(g, *refusal.Details.Conflicts)
	}
	return e.reply("")
}

func describeConflicts(g *guids, conflicts []api.CellConflict) (lines []string) {
	for _, c := range conflicts {
		var visits []string
		for _, v := range c.Appointments {
			visits = append(visits, g.withLabels(v.GUID.String()))
		}
		lines = append(lines, describeConflict(g.withLabels(c.SlotGUID.String()), c.Kind, visits))
	}
	slices.Sort(lines)
	return lines
}

// readRegistry returns the rows of the registry in some institutions, a line for each, in the
// model's words.
func readRegistry(s *harness.Service, lpus []uuid.UUID, g *guids) (lines []string) {
	s.T.Helper()
	var (
		guid, resource    uuid.UUID
		from, to          time.Time
		capacity, taken   int
		closedBy, version int
		blocked, lifted   bool
		settled           bool
		decided           []decision
	)
	query := func(sql string, columns []any, read func()) {
		rows, err := s.DB.Query(s.T.Context(), sql, lpus)
		require.NoError(s.T, err)
		_, err = pgx.ForEachRow(rows, columns, func() error {
			read()
			return nil
		})
		require.NoError(s.T, err)
	}
	query(`SELECT guid, resource_guid, start_at, end_at, capacity, taken, closed_by, blocked FROM slot WHERE lpu_guid = ANY($1)`,
		[]any{&guid, &resource, &from, &to, &capacity, &taken, &closedBy, &blocked}, func() {
			source := closedBy&1 != 0 || blocked && closedBy == 0 // not brought in by the registry
			require.Equal(s.T, blocked, source || closedBy != 0)
			lines = append(lines, describeCell(g.label[guid], g.label[resource], from, to, capacity, taken, source,
				closedBy&2 != 0, closedBy&4 != 0))
		})
	query(`SELECT guid, resource_guid, from_at, to_at, lifted_at IS NOT NULL FROM absence WHERE lpu_guid = ANY($1)`,
		[]any{&guid, &resource, &from, &to, &lifted}, func() {
			lines = append(lines, describeAbsence(g.label[guid], g.label[resource], from, to, lifted))
		})
	query(`SELECT resource_guid, from_at, to_at, version, settled FROM schedule_window WHERE lpu_guid = ANY($1)`,
		[]any{&resource, &from, &to, &version, &settled}, func() {
			decided = append(decided, decision{g.label[resource], from, to, version, settled})
		})
	return append(lines, describeDecisions(decided)...)
}

// describeMessages is the form in which a failing scenario prints the messages of a step.
func (s step) describeMessages() string {
	var texts []string
	for _, m := range s.messages {
		texts = append(texts, m.String())
	}
	return textIf(s.file, "a file: ") + strings.Join(texts, "; then ")
}

func (m message) String() string {
	of := label("R", m.resource) + " in " + label("L", m.lpu)
	period := fmt.Sprintf("from %s to %s", utc(m.from), utc(m.to))
	policy := textIf(m.refuse, "unless booked")
	switch m.kind {
	case "cell":
		return collapseSpaces(fmt.Sprintf("version %d of %s in %s: %s %s %s", m.version,
			label("S", m.slot), label("L", m.lpu),
			textIf(m.capacity != 0, fmt.Sprint("capacity ", m.capacity)), textIf(m.blocked != "", "blocked "+m.blocked),
			policy))
	case "absence":
		return collapseSpaces(fmt.Sprintf("%s of %s %s %s %s", label("A", m.absence), of, period, m.reason, policy))
	case "lift":
		return fmt.Sprintf("%s of %s ends", label("A", m.absence), of)
	}
	offers := []string{}
	for _, o := range m.offers {
		offers = append(offers, collapseSpaces(fmt.Sprintf("%s at %s for %d min, capacity %d %s", label("S", o.slot),
			utc(o.start),
			o.minutes, o.capacity, textIf(o.blocked, "blocked"))))
	}
	return collapseSpaces(fmt.Sprintf("version %d of %s %s %s: [%s]", m.version, of, period, policy,
		strings.Join(offers, ", ")))
}
