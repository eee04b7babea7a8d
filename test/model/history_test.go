package model_test

import (
	"cmp"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"talon.example/internal/app"
	"talon.example/test/harness"
)

// How many stories each test plays: a few in make test, and TALON_MODEL_CHECKS where more are wanted. -rapid.checks on the command line wins.
var errModelChecks = flag.Set("rapid.checks", cmp.Or(os.Getenv("TALON_MODEL_CHECKS"), "60"))

// startModel runs the service with what is the same in all worlds.
func startModel(t *testing.T) *harness.Service {
	t.Helper()
	require.NoError(t, errModelChecks, "TALON_MODEL_CHECKS")
	s := harness.Start(t, func(c *app.Config) { c.Timeout, c.DatabaseConns = time.Minute, 8 })
	s.Exec(`INSERT INTO busy_type VALUES (1, 'Прием', true), (2, 'Обед', false)`)
	return s
}

// Promise: whatever a client asks, one request after another, is answered by the domain's rules in their order, and exactly what they say is in the
// tables afterwards. A check before each booking without a key foretells its answer, and leaves nothing.
func TestModel(t *testing.T) {
	t.Parallel()
	s := startModel(t)
	s.Check = harness.PlainCheck
	rapid.Check(t, func(rt *rapid.T) {
		st := longStories.Draw(rt, "story")
		events, tables, problems := play(s, st)
		now := st.world.begin()
		differs := ""
		for _, e := range events {
			rt.Logf("%s: %s → %s", e.label, e.step, e.reply)
			var says string
			says, now = now.apply(e)
			if differs == "" && says != e.reply {
				differs = fmt.Sprintf("%s is answered %q, the model says %q", e.label, e.reply, says)
			}
		}
		if differs == "" {
			differs = difference(now.tables(), tables)
		}
		if len(problems) > 0 {
			rt.Log(problems)
			differs = "an answer is wrong in itself"
		}
		if differs != "" {
			rt.Fatal(differs)
		}
	})
	s.AdvanceClock(48 * time.Hour) // each story has had its own time; now all holds have ended
	s.RequireInvariants()
}

// apply takes one step. A request with a key is done once in 24 hours; what was refused is as if it had never been asked.
func (s state) apply(e event) (string, state) {
	if !e.keyed() {
		return s.do(e)
	}
	if before, ok := s.keys[e.keyOf()]; ok && before.stands(s.now) {
		return before.repeated(e.asks()), s
	}
	reply, after := s.do(e)
	if succeeded(reply) {
		after = after.under(e.keyOf(), answered{asked: e.asks(), reply: reply, at: s.now})
	}
	return reply, after
}

// keyed tells whether the key of a request counts: what is malformed is refused before.
func (e *event) keyed() bool { return e.step.key != "" && !e.step.request.malformed() }

func (e *event) keyOf() keyOf { return keyOf{e.owner, e.step.key} }
func (e *event) asks() string { return e.step.asks(e.visit) }

// do takes a step, whatever its key.
func (s state) do(e event) (string, state) {
	switch {
	case e.step.again > 0:
		return "done", s // there is nothing to ask again
	case e.step.cancel > 0:
		return s.cancel(e.visit, e.step)
	case e.step.holdsForMove():
		refusal, r := s.checkHoldForMove(e.visit, e.step)
		if refusal != "" {
			return refusal, s
		}
		return s.writeHoldForMove(e.label, e.visit, r)
	case e.step.move > 0:
		reply, r, after := s.checkMove(e.visit, e.step)
		if reply != "" {
			return reply, after
		}
		return after.writeMove(e.visit, r, after.own(r))
	case e.step.toggle:
		s.onlyOneActive = !s.onlyOneActive
		return "done", s
	case e.step.pass > 0:
		s.now = s.now.Add(e.step.pass)
		return "done", s
	case e.step.release > 0:
		return s.released(e)
	case e.step.hold:
		if refusal := s.checkHold(e.step.request); refusal != "" {
			return refusal, s
		}
		return s.writeHold(e.label, e.step.request)
	default:
		return s.book(e.label, e.guid(), e.step.request)
	}
}

// released gives back what a step wants, for its person alone.
func (s state) released(e event) (string, state) {
	if e.held == nil || e.step.stranger {
		return "released", s
	}
	return s.release(e.held.person, e.held.place.slot)
}

// difference tells which rows are too many or missing.
func difference(want, got []string) string {
	var lines []string
	for _, line := range got {
		if !slices.Contains(want, line) {
			lines = append(lines, "the tables have: "+line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			lines = append(lines, "the model has:   "+line)
		}
	}
	if len(lines) == 0 && len(want) != len(got) {
		lines = append(lines, "rows stand twice")
	}
	return strings.Join(lines, "\n")
}

// Promise: whatever clients ask at the same time, the answers and the tables are those of some order of the requests, each at a moment between its call
// and its answer: Talon is linearizable against the model. phase says which one freedom it has.
func TestModelInParallel(t *testing.T) {
	t.Parallel()
	s := startModel(t)
	tries := 1
	rapid.Check(t, func(rt *rapid.T) {
		st := contendedStories.Draw(rt, "story")
		for range tries {
			events, tables, problems := play(s, st)
			if len(problems) == 0 && linearizable(st, events, tables) {
				continue
			}
			tries = 10 // from now on a smaller story is looked for, and a race may need some tries to be lost again
			for _, e := range events {
				rt.Logf("%v–%v %s: %s → %s", e.call, e.end, e.label, e.step, e.reply)
			}
			rt.Logf("tables:\n%s", strings.Join(tables, "\n"))
			rt.Log(problems)
			rt.Fatal("no order of the requests explains the answers and the tables")
		}
	})
	s.AdvanceClock(48 * time.Hour) // each story has had its own time; now all holds have ended
	s.RequireInvariants()
}

// phase is a moment of a request. A booking, a move or a hold has two: it is judged by the rules at a first, in one snapshot of all facts, and writes at a second;
// what it was promised by the first may be gone at the second. So a request that all rules allowed at the first moment may be refused at the second, by what the
// write finds gone first: direction_already_booked, speciality_already_booked, slot_taken, complex_slot_failed, too_many_holds; and a card that it made stays. A hold
// of the patient's own that the first did not know is in the way at the second like anybody else's.
//
// Where time passes, there is one before these: when the request looks at the clock, and goes by that.
//
// A request with a key has one before, when it takes the key or is told what has become of it, and one after, when it gives back the key of a refusal. What it does
// it does with its answer under the key, at one moment; only where there is nothing to do the answer is kept at the last.
//
// This is all the freedom there is. In particular slot_taken is answered for a race, slot_full for what was full at the first moment; a success
// and every refusal of the rules are as if the request had happened at one moment.
type phase struct {
	request int // its number among the events
	event   event
	kind    phaseKind
	last    []string // the tables, after everything else
}

type phaseKind int

const (
	looks phaseKind = iota // at the clock
	takes                  // its key
	asks
	writes
	settles // its key
)

// ordered is the model's state while an order is searched for.
type ordered struct {
	state   state
	waiting uint64         // the requests between their two moments, a bit each
	refused uint64         // the requests that the rules refused at the first
	asked   map[int]asking // what is known of the requests that are under way
	clocked bool           // time passes
	key     string         // all of it, to compare
}

// asking is a request under way.
type asking struct {
	now   time.Time
	r     request  // what it amounts to
	known []string // the patient's own holds that are in its way
}

func (o ordered) keyed() ordered {
	o.key = fmt.Sprint(o.waiting, o.refused, o.asked, o.state.now, o.state.holds, o.state.kept, o.state.keys, o.state.tables())
	return o
}

func (o ordered) with(request int, a asking) ordered {
	o.asked = maps.Clone(o.asked)
	o.asked[request] = a
	return o
}

func (o ordered) without(request int) ordered {
	o.asked = maps.Clone(o.asked)
	delete(o.asked, request)
	return o
}

func linearizable(st *story, events []event, tables []string) bool {
	var (
		operations []porcupine.Operation
		end        int64
	)
	clocked := slices.ContainsFunc(events, func(e event) bool { return e.step.pass > 0 })
	for n, e := range events {
		add := func(kind phaseKind) {
			operations = append(operations, porcupine.Operation{
				ClientId: e.client, Call: e.call.Nanoseconds(), Return: e.end.Nanoseconds(), Output: e.reply,
				Input: phase{request: n, event: e, kind: kind},
			})
		}
		if clocked && e.step.pass == 0 {
			add(looks)
		}
		if e.keyed() {
			add(takes)
			if ofTheKey(e.reply) {
				continue
			}
		}
		add(asks)
		if (e.step.books() || e.step.move > 0 || e.step.hold) && mayWrite(e.reply) {
			add(writes)
		}
		if e.keyed() {
			add(settles)
		}
		end = max(end, e.end.Nanoseconds())
	}
	operations = append(operations, porcupine.Operation{Call: end + 1, Return: end + 2, Input: phase{last: tables}, Output: ""})
	return porcupine.CheckOperations(porcupine.Model{
		Init: func() any { return ordered{state: st.world.begin(), asked: map[int]asking{}, clocked: clocked}.keyed() },
		Step: func(o, in, out any) (bool, any) { return o.(ordered).step(in.(phase), out.(string)) },
		Equal: func(a, b any) bool {
			return a.(ordered).key == b.(ordered).key
		},
		Hash: func(o any) uint64 {
			h := fnv.New64a()
			h.Write([]byte(o.(ordered).key))
			return h.Sum64()
		},
	}, operations)
}

// ofTheKey tells whether an answer is that of a request that its key has kept from being done.
func ofTheKey(reply string) bool {
	return strings.HasPrefix(reply, again) || reply == "idempotency_key_reused" || reply == "idempotency_key_in_use"
}

// mayWrite tells whether an answer can come from a request's second moment.
func mayWrite(reply string) bool {
	rule, _, _ := strings.Cut(reply, ":")
	return strings.HasPrefix(reply, "booked ") || strings.HasPrefix(reply, "held ") || strings.HasPrefix(reply, "too_many_holds") ||
		slices.Contains([]string{"direction_already_booked", "speciality_already_booked", "slot_taken", "complex_slot_failed", "appointment_cancelled"}, rule)
}

func (o ordered) step(p phase, reply string) (bool, ordered) {
	bit := uint64(1) << p.request
	step := p.event.step
	switch {
	case p.last != nil:
		return slices.Equal(p.last, o.state.tables()), o
	case step.pass > 0:
		_, o.state = o.state.apply(p.event)
		return true, o.keyed()
	case p.kind == looks:
		return true, o.with(p.request, asking{now: o.state.now}).keyed()
	case p.kind == takes:
		return o.take(p, reply)
	case p.kind == settles:
		return o.settle(p, reply)
	case p.event.keyed() && !o.has(p):
		return false, o
	case p.kind == writes && o.refused&bit != 0:
		return true, o
	}
	asked, looked := o.asked[p.request]
	if o.clocked && !looked || p.kind == writes && o.waiting&bit == 0 {
		return false, o // one moment comes after the other
	}
	// What follows goes by the request's own time.
	is := o.state.now
	now := o.state
	if looked {
		now.now = asked.now
	}
	var says string
	switch {
	case p.kind == writes && step.holdsForMove():
		says, now = now.writeHoldForMove(p.event.label, p.event.visit, asked.r)
	case p.kind == writes && step.move > 0:
		says, now = now.writeMove(p.event.visit, asked.r, asked.known)
	case p.kind == writes && step.hold:
		says, now = now.writeHold(p.event.label, step.request)
	case p.kind == writes:
		says, now = now.write(p.event.label, p.event.guid(), step.request, asked.known)
	case step.holdsForMove():
		says, asked.r = now.checkHoldForMove(p.event.visit, step)
	case step.move > 0:
		says, asked.r, now = now.checkMove(p.event.visit, step)
		asked.known = now.own(asked.r)
	case step.hold:
		says = now.checkHold(step.request)
	case step.books():
		says, now = now.check(step.request)
		asked.known = now.own(step.request)
	default:
		says, now = now.do(p.event) // it is done at one moment
	}
	if p.event.keyed() && says != "" {
		mine := now.keys[p.event.keyOf()]
		mine.done = true
		if p.kind == writes && succeeded(says) || step.cancel > 0 && !slices.Equal(now.tables(), o.state.tables()) {
			mine.runs, mine.reply = false, says
		}
		now = now.under(p.event.keyOf(), mine)
	}
	asked.now = now.now
	now.now = is
	o.state = now
	switch {
	case p.kind == asks && says == "":
		o.waiting |= bit
		return mayWrite(reply), o.with(p.request, asked).keyed()
	case p.kind == asks && (step.books() || step.move > 0 || step.hold):
		o.refused |= bit
	}
	o.waiting &^= bit
	return says == reply, o.without(p.request).keyed()
}

// take takes the key of a request, or tells what is answered instead. A request that runs is told so also where the key is another's: between the moment when it
// is in the way and the moment when it is looked at, the other may be gone.
func (o ordered) take(p phase, reply string) (bool, ordered) {
	of, asked := p.event.keyOf(), p.event.asks()
	before, there := o.state.keys[of]
	switch {
	case !there:
		o.state = o.state.under(of, answered{asked: asked, at: o.state.now, by: p.request, runs: true})
		return !ofTheKey(reply), o.keyed()
	case before.runs && reply == "idempotency_key_in_use":
		return true, o
	case before.runs && before.asked == asked:
		return false, o
	default:
		return reply == before.repeated(asked), o
	}
}

// has tells whether a request runs under its key.
func (o ordered) has(p phase) bool {
	mine := o.state.keys[p.event.keyOf()]
	return mine.runs && mine.by == p.request && !mine.done || o.refused&(1<<p.request) != 0
}

// settle keeps the answer of a request that had nothing to do, and gives back the key of one that was refused.
func (o ordered) settle(p phase, reply string) (bool, ordered) {
	of := p.event.keyOf()
	mine, there := o.state.keys[of]
	switch {
	case !there || mine.by != p.request || !mine.done:
		return false, o
	case succeeded(reply):
		mine.runs, mine.reply = false, reply
		o.state = o.state.under(of, mine)
	default:
		o.state.keys = maps.Clone(o.state.keys)
		delete(o.state.keys, of)
	}
	return true, o.keyed()
}
