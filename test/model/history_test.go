package model_test

import (
	"cmp"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"talon.example/internal/app"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// errModelChecks is the error of setting the number of scenarios: TALON_MODEL_CHECKS, by default
// 60. -rapid.checks on the command line overrides it.
var errModelChecks = flag.Set("rapid.checks", cmp.Or(os.Getenv("TALON_MODEL_CHECKS"), "60"))

// startModel runs the service with the rows that all worlds share.
func startModel(t *testing.T) *harness.Service {
	t.Helper()
	require.NoError(t, errModelChecks, "TALON_MODEL_CHECKS")
	s := harness.StartEmpty(t, harness.WaitForLocks, func(c *app.Config) {
		c.Timeout, c.DatabaseConns, c.TokenMaxLife = time.Minute, 8, scenarioTime
		c.KeepFreeCellsDays = 0 // the model deletes nothing
	})
	// The time of events is after that of all scenarios, so that none becomes too old to be kept.
	s.Exec(`UPDATE event_recorder SET recorded_at = $1`, harness.Moment.Add(scenarioTime))
	s.Exec(`INSERT INTO busy_type VALUES (1, 'Прием', true), (2, 'Обед', false)`)
	for c := range maxClients {
		s.Exec(`INSERT INTO client_application (guid, name, scopes, every_lpu) VALUES ($1, 'МИС', $2, true)`, sourceOf(c), sourceScopes)
	}
	return s
}

// Promise: the responses to sequential requests are those of the domain's rules in their order, and
// the tables match. A check before each booking without a key predicts the response and changes
// nothing.
func TestModel(t *testing.T) {
	t.Parallel()
	compareWithModel(t, longScenarios)
}

// compareWithModel requires of each scenario, which has one client, that the responses and the
// tables are those of the model.
func compareWithModel(t *testing.T, scenarios *rapid.Generator[*scenario]) {
	t.Helper()
	s := startModel(t)
	s.Check = harness.PlainCheck
	rapid.Check(t, func(rt *rapid.T) {
		st := scenarios.Draw(rt, "scenario")
		events, tables, problems := playScenario(s, st)
		now := st.world.initialState()
		difference := ""
		for _, e := range events {
			rt.Logf("%s: %s → %s", e.label, e.step, e.reply)
			var want string
			want, now = now.apply(e)
			if difference == "" && want != e.reply {
				difference = fmt.Sprintf("the reply to %s is %q, the model expects %q", e.label, e.reply, want)
			}
		}
		if difference == "" {
			difference = diffTables(now.tables(), tables)
		}
		if len(problems) > 0 {
			rt.Log(problems)
			difference = "a response breaks the contract"
		}
		if difference != "" {
			rt.Fatal(difference)
		}
	})
	s.ClockOffset.Store(int64(scenarioTime)) // after all scenarios: all holds have ended
	s.RequireInvariants()
}

// apply executes one step. A request with a key is done once in 24 hours. A rejected request leaves
// no trace.
func (s state) apply(e event) (string, state) {
	if !e.keyed() {
		return s.do(e)
	}
	if before, ok := s.keys[e.keyOf()]; ok && before.isStored(s.now) {
		return before.replay(e.fingerprint()), s
	}
	reply, after := s.do(e)
	if succeeded(reply) {
		after = after.withKey(e.keyOf(), keyRecord{fingerprint: e.fingerprint(), reply: reply, at: s.now})
	}
	return reply, after
}

// keyed reports whether the request has a key that counts. A malformed request, or one of an
// unknown client application, is rejected before its key is read.
func (e *event) keyed() bool {
	r := e.step.request
	return e.step.key != "" && !r.malformed() && r.client != unknown
}

func (e *event) keyOf() keyOf        { return keyOf{e.owner, e.step.key} }
func (e *event) fingerprint() string { return e.step.fingerprint(e.visit) }

// do executes a step without regard to its key.
func (s state) do(e event) (string, state) {
	switch {
	case e.step.resend > 0:
		return "done", s // there is no earlier request with a key
	case e.step.request.client == unknown:
		return "token_invalid", s
	case len(e.step.messages) > 0:
		return s.receiveStep(e.step)
	case e.step.visitRequest.kind != "":
		return s.writeVisit(e.visit, e.step.visitRequest)
	case e.step.cancel > 0:
		return s.cancel(e.visit, e.step)
	case e.step.holdsForMove():
		refusal, r := s.checkHoldForMove(e.visit, e.step)
		if refusal != "" {
			return refusal, s
		}
		return s.writeHoldForMove(e.label, e.visit, r, s.choose(r))
	case e.step.move > 0:
		reply, r, after := s.checkMove(e.visit, e.step)
		if reply != "" {
			return reply, after
		}
		return after.writeMove(e.visit, r, e.step.reassignment, after.choose(r), after.ownHolds(r))
	case e.step.toggle:
		s.onlyOneActive = !s.onlyOneActive
		return "done", s
	case e.step.elapse > 0:
		s.now = s.now.Add(e.step.elapse)
		return "done", s
	case e.step.release > 0:
		return s.releaseFor(e)
	case e.step.hold:
		if refusal := s.checkHold(e.step.request); refusal != "" {
			return refusal, s
		}
		return s.writeHold(e.label, e.step.request, s.choose(e.step.request))
	default:
		return s.book(e.label, e.guid(), e.step.request)
	}
}

// releaseFor ends the hold that a step refers to, for its holder only.
func (s state) releaseFor(e event) (string, state) {
	if e.releasedHold == nil || e.step.stranger {
		return "released", s
	}
	return s.release(e.releasedHold.person, e.releasedHold.place.slot)
}

// diffTables returns the missing and unexpected rows.
func diffTables(want, got []string) string {
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
		lines = append(lines, "a row is duplicated")
	}
	return strings.Join(lines, "\n")
}

// Promise: the responses to concurrent requests, and the tables, are those of some sequential order
// of the requests. Each request takes effect between its call and its response: Talon is
// linearizable against the model. phase describes the one exception.
func TestModelInParallel(t *testing.T) {
	t.Parallel()
	requireLinearizable(t, contendedScenarios)
}

// requireLinearizable requires of each scenario that the model explains the responses and the
// tables by an order of the requests.
func requireLinearizable(t *testing.T, scenarios *rapid.Generator[*scenario]) {
	t.Helper()
	s := startModel(t)
	attempts := 1
	rapid.Check(t, func(rt *rapid.T) {
		st := scenarios.Draw(rt, "scenario")
		for range attempts {
			events, tables, problems := playScenario(s, st)
			if len(problems) == 0 && explained(st, events, tables) {
				continue
			}
			lines := []string{"a history:"}
			for _, e := range events {
				lines = append(lines, fmt.Sprintf("%v–%v %s: %s → %s", e.call, e.end, e.label, e.step, e.reply))
			}
			lines = append(append(lines, "tables:"), tables...)
			lines = append(append(lines, "problems:"), problems...)
			history := strings.Join(lines, "\n")
			if attempts == 1 { // rapid forgets it if the race does not recur
				t.Log(st, history)
			}
			attempts = 10 // rapid now shrinks the scenario, and a race may need several attempts to recur
			rt.Log(history)
			rt.Fatal("no order of the requests explains the replies and the tables")
		}
	})
	s.ClockOffset.Store(int64(scenarioTime)) // after all scenarios: all holds have ended
	s.RequireInvariants()
}

// explained reports whether the model explains a history. On a distributed database it need explain
// no refusals: facts of several nodes are not one snapshot, so a request may be rejected because of
// one half of another one.
func explained(st *scenario, events []event, tables []string) bool {
	if linearizable(st, events, tables) {
		return true
	}
	refused := func(e event) bool {
		return e.answer.Response != nil && e.answer.StatusCode >= http.StatusBadRequest
	}
	return testdb.Distributed() && linearizable(st, slices.DeleteFunc(slices.Clone(events), refused), tables)
}

// phase is a moment at which a request takes effect. A booking, a move or a hold has two: it
// evaluates the rules in one snapshot of all facts, and then writes. Between the two, another
// request may take what the rules allowed. The write then rejects the request by what it finds
// taken first: direction_already_booked, speciality_already_booked, slot_taken, complex_slot_failed
// or too_many_holds. A card that the request created stays. A hold of the patient's own that was
// made after the rules were evaluated blocks the write like any other hold. The move of an
// institution that changes nothing reads the visit after the rules.
//
// If time passes in the scenario, the request reads the clock in a phase before these, and uses
// that time in all of them.
//
// A request with a key has a phase before these and one after them. In the first it takes the key,
// or ends with a reply that the key causes. In the last it frees the key of a rejected request. A
// change and its response under the key are written at one moment. Only the response of a request
// that changes nothing is stored in the last phase.
//
// There is no other freedom. In particular slot_taken is the reply to a lost race, and slot_full
// the reply for a cell that was full when the rules were evaluated. A success and every refusal by
// the rules take effect at one moment.
type phase struct {
	request int // index of the event
	event   event
	kind    phaseKind
	tables  []string // of the final phase: the tables after all requests
}

type phaseKind int

const (
	readClock phaseKind = iota
	takeKey
	checkRules
	writeRows
	settleKey
)

// searchState is the model's state during the search for an order.
type searchState struct {
	state       state
	checked     uint64                 // a bit for each request between its two phases
	rejected    uint64                 // a bit for each request that the rules rejected
	pending     map[int]pendingRequest // by request
	timePasses  bool
	fingerprint string // of all other fields
}

// pendingRequest is a request between its phases.
type pendingRequest struct {
	now      time.Time
	request  request  // the booking that it amounts to
	chosen   cells    // the cells that it found
	ownHolds []string // the patient's own holds of its cells

	unchanged bool // an institution moves a visit to the cells that it has
}

func (o searchState) withFingerprint() searchState {
	o.fingerprint = fmt.Sprint(o.checked, o.rejected, o.pending, o.state.now, o.state.holds, o.state.slotHolds,
		o.state.keys, o.state.windows, o.state.absences, o.state.tables())
	return o
}

func (o searchState) withPending(request int, a pendingRequest) searchState {
	o.pending = maps.Clone(o.pending)
	o.pending[request] = a
	return o
}

func (o searchState) withoutPending(request int) searchState {
	o.pending = maps.Clone(o.pending)
	delete(o.pending, request)
	return o
}

func linearizable(st *scenario, events []event, tables []string) bool {
	var (
		operations []porcupine.Operation
		end        int64
	)
	clocked := slices.ContainsFunc(slices.Concat(st.history...), func(s step) bool { return s.elapse > 0 })
	for n, e := range events {
		add := func(kind phaseKind) {
			operations = append(operations, porcupine.Operation{
				ClientId: e.client, Call: e.call.Nanoseconds(), Return: e.end.Nanoseconds(), Output: e.reply,
				Input: phase{request: n, event: e, kind: kind},
			})
		}
		if clocked && e.step.elapse == 0 {
			add(readClock)
		}
		if e.keyed() {
			add(takeKey)
			if isKeyReply(e.reply) {
				continue
			}
		}
		add(checkRules)
		if (e.step.books() || e.step.move > 0 || e.step.hold) && mayComeFromWrite(e.reply) {
			add(writeRows)
		}
		if e.keyed() {
			add(settleKey)
		}
		end = max(end, e.end.Nanoseconds())
	}
	operations = append(operations, porcupine.Operation{
		Call: end + 1, Return: end + 2, Input: phase{tables: tables}, Output: "",
	})
	return porcupine.CheckOperations(porcupine.Model{
		Init: func() any {
			return searchState{
				state: st.world.initialState(), pending: map[int]pendingRequest{}, timePasses: clocked,
			}.withFingerprint()
		},
		Step: func(o, in, out any) (bool, any) { return o.(searchState).step(in.(phase), out.(string)) },
		Equal: func(a, b any) bool {
			return a.(searchState).fingerprint == b.(searchState).fingerprint
		},
		Hash: func(o any) uint64 {
			h := fnv.New64a()
			h.Write([]byte(o.(searchState).fingerprint))
			return h.Sum64()
		},
	}, operations)
}

// isKeyReply reports whether a reply comes from the key: the request was not done.
func isKeyReply(reply string) bool {
	return strings.HasPrefix(reply, replayPrefix) || reply == "idempotency_key_reused" ||
		reply == "idempotency_key_in_use"
}

// mayComeFromWrite reports whether a reply can come from a request's second phase.
func mayComeFromWrite(reply string) bool {
	rule, _, _ := strings.Cut(reply, ":")
	return strings.HasPrefix(reply, "booked ") || strings.HasPrefix(reply, deskPrefix) ||
		strings.HasPrefix(reply, "held ") || strings.HasPrefix(reply, "too_many_holds") ||
		slices.Contains([]string{
			"direction_already_booked", "speciality_already_booked", "slot_taken", "complex_slot_failed",
			"appointment_cancelled", "appointment_attended", "appointment_absent",
		}, rule)
}

func (o searchState) step(p phase, reply string) (bool, searchState) {
	bit := uint64(1) << p.request
	step := p.event.step
	switch {
	case p.tables != nil:
		return slices.Equal(p.tables, o.state.tables()), o
	case step.elapse > 0:
		_, o.state = o.state.apply(p.event)
		return true, o.withFingerprint()
	case p.kind == readClock:
		return true, o.withPending(p.request, pendingRequest{now: o.state.now}).withFingerprint()
	case p.kind == takeKey:
		return o.takeKey(p, reply)
	case p.kind == settleKey:
		return o.settleKey(p, reply)
	case p.event.keyed() && !o.holdsKey(p):
		return false, o
	case p.kind == writeRows && o.rejected&bit != 0:
		return true, o
	}
	pending, found := o.pending[p.request]
	if o.timePasses && !found || p.kind == writeRows && o.checked&bit == 0 {
		return false, o // the phases are in order
	}
	// The phase uses the time that the request has read.
	clock := o.state.now
	now := o.state
	if found {
		now.now = pending.now
	}
	var want string
	switch {
	case p.kind == writeRows && step.holdsForMove():
		want, now = now.writeHoldForMove(p.event.label, p.event.visit, pending.request, pending.chosen)
	case p.kind == writeRows && pending.unchanged:
		if want = now.readForDesk(p.event.visit, step.reassignment.lpu); want != reply {
			now.now = clock // the read may have read the clock again
			want = now.readForDesk(p.event.visit, step.reassignment.lpu)
		}
	case p.kind == writeRows && step.move > 0:
		want, now = now.writeMove(p.event.visit, pending.request, step.reassignment, pending.chosen, pending.ownHolds)
	case p.kind == writeRows && step.hold:
		want, now = now.writeHold(p.event.label, step.request, pending.chosen)
	case p.kind == writeRows:
		want, now = now.write(p.event.label, p.event.guid(), step.request, pending.chosen, pending.ownHolds)
	case step.request.client == unknown:
		want = "token_invalid"
	case step.holdsForMove():
		want, pending.request = now.checkHoldForMove(p.event.visit, step)
		if want == "" {
			pending.chosen = now.choose(pending.request)
		}
	case step.move > 0:
		want, pending.request, now = now.checkMove(p.event.visit, step)
		if pending.unchanged = strings.HasPrefix(want, deskPrefix); pending.unchanged {
			want = ""
		} else if want == "" {
			pending.chosen, pending.ownHolds = now.choose(pending.request), now.ownHolds(pending.request)
		}
	case step.hold:
		if want = now.checkHold(step.request); want == "" {
			pending.chosen = now.choose(step.request)
		}
	case step.books():
		if want, now = now.check(step.request); want == "" {
			pending.chosen, pending.ownHolds = now.choose(step.request), now.ownHolds(step.request)
		}
	default:
		want, now = now.do(p.event) // it has one phase
	}
	if p.event.keyed() && want != "" {
		record := now.keys[p.event.keyOf()]
		record.done = true
		if p.kind == writeRows && succeeded(want) || step.cancel > 0 && !slices.Equal(now.tables(), o.state.tables()) {
			record.running, record.reply = false, want
		}
		now = now.withKey(p.event.keyOf(), record)
	}
	pending.now = now.now
	now.now = clock
	o.state = now
	switch {
	case p.kind == checkRules && want == "":
		o.checked |= bit
		return mayComeFromWrite(reply), o.withPending(p.request, pending).withFingerprint()
	case p.kind == checkRules && (step.books() || step.move > 0 || step.hold):
		o.rejected |= bit
	}
	o.checked &^= bit
	return want == reply, o.withoutPending(p.request).withFingerprint()
}

// takeKey takes the key of a request, or requires the reply that the key causes. A running key may
// also cause idempotency_key_in_use for another request: between the failed attempt to take the key
// and the read of its row, the other request may end.
func (o searchState) takeKey(p phase, reply string) (bool, searchState) {
	key, fingerprint := p.event.keyOf(), p.event.fingerprint()
	before, found := o.state.keys[key]
	switch {
	case !found:
		o.state = o.state.withKey(key, keyRecord{
			fingerprint: fingerprint, at: o.state.now, request: p.request, running: true,
		})
		return !isKeyReply(reply), o.withFingerprint()
	case before.running && reply == "idempotency_key_in_use":
		return true, o
	case before.running && before.fingerprint == fingerprint:
		return false, o
	default:
		return reply == before.replay(fingerprint), o
	}
}

// holdsKey reports whether the request is running under its key.
func (o searchState) holdsKey(p phase) bool {
	record := o.state.keys[p.event.keyOf()]
	return record.running && record.request == p.request && !record.done || o.rejected&(1<<p.request) != 0
}

// settleKey stores the response of a request that changed nothing, and frees the key of a rejected
// request.
func (o searchState) settleKey(p phase, reply string) (bool, searchState) {
	key := p.event.keyOf()
	record, found := o.state.keys[key]
	switch {
	case !found || record.request != p.request || !record.done:
		return false, o
	case succeeded(reply):
		record.running, record.reply = false, reply
		o.state = o.state.withKey(key, record)
	default:
		o.state.keys = maps.Clone(o.state.keys)
		delete(o.state.keys, key)
	}
	return true, o.withFingerprint()
}
