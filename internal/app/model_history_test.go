package app_test

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
)

// How many stories each test plays: a few in make test, and TALON_MODEL_CHECKS where more are wanted. -rapid.checks on the command line wins.
var errModelChecks = flag.Set("rapid.checks", cmp.Or(os.Getenv("TALON_MODEL_CHECKS"), "60"))

// startModel runs the service with what is the same in all worlds.
func startModel(t *testing.T) *service {
	t.Helper()
	require.NoError(t, errModelChecks, "TALON_MODEL_CHECKS")
	s := start(t, func(c *app.Config) { c.Timeout, c.DatabaseConns = time.Minute, 8 })
	s.exec(`INSERT INTO busy_type VALUES (1, 'Прием', true), (2, 'Обед', false)`)
	return s
}

// Promise: whatever a client asks, one request after another, is answered by the domain's rules in their order, and exactly what they say is in the
// tables afterwards. A check before each booking foretells its answer, and leaves nothing.
func TestModel(t *testing.T) {
	t.Parallel()
	s := startModel(t)
	s.check = asItIs
	rapid.Check(t, func(rt *rapid.T) {
		st := longStories.Draw(rt, "story")
		events, tables, problems := s.play(st)
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
	s.requireInvariants()
}

// apply takes one step.
func (s state) apply(e event) (string, state) {
	switch {
	case e.step.cancel > 0:
		return s.cancel(e.visit, e.step)
	case e.step.move > 0:
		reply, r, after := s.checkMove(e.visit, e.step)
		if reply != "" {
			return reply, after
		}
		return after.writeMove(e.visit, r)
	case e.step.toggle:
		s.onlyOneActive = !s.onlyOneActive
		return "done", s
	default:
		return s.book(e.label, e.guid(), e.step.request)
	}
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
			events, tables, problems := s.play(st)
			explained := len(problems) == 0 && linearizable(st, events, tables)
			if explained {
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
	s.requireInvariants()
}

// phase is one of the two moments of a booking or a move, or the one of a cancel. A booking is judged by the rules at a first, in one snapshot of all facts, and writes at a second; what it was
// promised by the first may be gone at the second. So a request that all rules allowed at the first moment may be refused at the second, by what the
// write finds gone first: direction_already_booked, speciality_already_booked, slot_taken, complex_slot_failed; and a card that it made stays.
//
// This is all the freedom there is. In particular slot_taken is answered for a race alone, slot_full for what was full at the first moment; a success
// and every refusal of the rules are as if the request had happened at one moment.
type phase struct {
	request int // its number among the events
	event   event
	writes  bool
	last    []string // the tables, after everything else
}

// ordered is the model's state while an order is searched for.
type ordered struct {
	state   state
	waiting uint64          // the requests between their two moments, a bit each
	refused uint64          // the requests that the rules refused at the first
	asked   map[int]request // what the moves between their two moments amount to
	key     string          // all of it, to compare
}

func (o ordered) keyed() ordered {
	o.key = fmt.Sprint(o.waiting, o.refused, o.asked, o.state.tables())
	return o
}

func linearizable(st *story, events []event, tables []string) bool {
	var (
		operations []porcupine.Operation
		end        int64
	)
	for n, e := range events {
		add := func(writes bool) {
			operations = append(operations, porcupine.Operation{
				ClientId: e.client, Call: e.call.Nanoseconds(), Return: e.end.Nanoseconds(), Output: e.reply,
				Input: phase{request: n, event: e, writes: writes},
			})
		}
		add(false)
		if e.step.cancel == 0 && mayWrite(e.reply) {
			add(true)
		}
		end = max(end, e.end.Nanoseconds())
	}
	operations = append(operations, porcupine.Operation{Call: end + 1, Return: end + 2, Input: phase{last: tables}, Output: ""})
	return porcupine.CheckOperations(porcupine.Model{
		Init: func() any { return ordered{state: st.world.begin(), asked: map[int]request{}}.keyed() },
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

// mayWrite tells whether an answer can come from a request's second moment.
func mayWrite(reply string) bool {
	rule, _, _ := strings.Cut(reply, ":")
	return strings.HasPrefix(reply, "booked ") ||
		slices.Contains([]string{"direction_already_booked", "speciality_already_booked", "slot_taken", "complex_slot_failed", "appointment_cancelled"}, rule)
}

func (o ordered) step(p phase, reply string) (bool, ordered) {
	bit := uint64(1) << p.request
	switch {
	case p.last != nil:
		return slices.Equal(p.last, o.state.tables()), o
	case p.event.step.cancel > 0:
		var says string
		says, o.state = o.state.cancel(p.event.visit, p.event.step)
		return says == reply, o.keyed()
	case p.writes && o.refused&bit != 0:
		return true, o
	case p.writes && o.waiting&bit == 0:
		return false, o // its first moment comes first
	case p.writes:
		var says string
		if p.event.step.move > 0 {
			says, o.state = o.state.writeMove(p.event.visit, o.asked[p.request])
			o.asked = maps.Clone(o.asked)
			delete(o.asked, p.request)
		} else {
			says, o.state = o.state.write(p.event.label, p.event.guid(), p.event.step.request)
		}
		o.waiting &^= bit
		return says == reply, o.keyed()
	}
	var refusal string
	if p.event.step.move > 0 {
		var r request
		if refusal, r, o.state = o.state.checkMove(p.event.visit, p.event.step); refusal == "" {
			o.asked = maps.Clone(o.asked)
			o.asked[p.request] = r
		}
	} else {
		refusal, o.state = o.state.check(p.event.step.request)
	}
	if refusal != "" {
		o.refused |= bit
		return refusal == reply, o.keyed()
	}
	o.waiting |= bit
	return mayWrite(reply), o.keyed()
}
