package generated_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/internal/sandbox"
	"talon.example/test/harness"
)

// How many requests the generator sends at least: some thousands in make test, and TALON_GENERATED_REQUESTS where more are wanted. TALON_GENERATED_SEED plays the
// round again that a failure has named.
const generatedRequests = "3000"

// A round begins with fresh demo data. In turns, its requests keep the contract, and each breaks it in one way, which must change nothing.
const (
	requestsPerRound = 3000
	requestsPerTurn  = 125
)

// generator sends requests that it makes from the contract alone to a service with the demo data: an operation or a field that comes into the contract is asked
// for without a change here.
type generator struct {
	*harness.Service
	values

	operations       []*operation
	persons, clients []uuid.UUID
	seeds            []*lead           // what the demo data say
	leads            []*lead           // and what the answers said, the newest last
	cursors          map[string]string // by whom each was answered
	done             []*draft          // what did something, the newest last
	tokens           map[string]string
	http             *http.Client

	seed   uint64
	sent   int
	last   *draft
	tally  map[*operation]*tally
	broken map[string]int // how often what of which operation was broken in this round
}

// tally counts the requests for an operation.
type tally struct {
	good, done, broken int
	answers            map[string]int // to the good ones, by status and rule
}

// Promise: whatever the request, in the contract or not, there is no failure; each answer is one that the contract declares for its operation, and each refusal
// has the one shape and a rule that is among the operation's examples. What keeps the contract is not refused for its form, and what breaks it is, without a
// trace. The log tells nothing of a patient.
func TestGeneratedRequests(t *testing.T) {
	t.Parallel()
	total, err := strconv.Atoi(cmp.Or(os.Getenv("TALON_GENERATED_REQUESTS"), generatedRequests))
	require.NoError(t, err, "TALON_GENERATED_REQUESTS")
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("TALON_GENERATED_SEED"), strconv.FormatUint(uint64(rand.Uint32()), 10)), 10, 64)
	require.NoError(t, err, "TALON_GENERATED_SEED")
	g := &generator{
		Service:    harness.Start(t, harness.WithAuthService, func(c *app.Config) { c.Timeout = time.Minute }),
		operations: operations(t),
		tokens:     map[string]string{},
		http:       &http.Client{Transport: &http.Transport{}, CheckRedirect: harness.HTTPClient.CheckRedirect},
		tally:      map[*operation]*tally{},
	}
	t.Cleanup(g.http.CloseIdleConnections)
	t.Cleanup(g.tell)
	for _, o := range g.operations {
		g.tally[o] = &tally{answers: map[string]int{}}
	}
	for ; g.sent < total || g.sent < 2*total && len(g.undone()) > 0; seed++ {
		g.round(seed, g.sent+min(total, requestsPerRound))
	}
	require.Empty(t, g.undone(), "never answered 2xx")
}

// undone are the operations that nothing has been got from yet.
func (g *generator) undone() (names []string) {
	for _, o := range g.operations {
		if g.tally[o].done == 0 && !switchedOff(o) {
			names = append(names, o.OperationID)
		}
	}
	return names
}

// switchedOff tells whether an operation is not there in the service of this test: it is no sandbox.
func switchedOff(o *operation) bool { return strings.HasPrefix(o.path, "/sandbox/") }

// tell shows what was sent and, where it has failed, the request that did.
func (g *generator) tell() {
	var table strings.Builder
	reached := map[string]bool{}
	for _, o := range g.operations {
		of := g.tally[o]
		fmt.Fprintf(&table, "%-21s %5d good, %5d of them done, %5d broken:", o.OperationID, of.good, of.done, of.broken)
		for _, said := range sortedKeys(of.answers) {
			fmt.Fprintf(&table, " %d×%s", of.answers[said], said)
			reached[said] = true
		}
		table.WriteByte('\n')
	}
	g.T.Logf("%d requests; what keeps the contract reached %d answers:\n%s", g.sent, len(reached), table.String())
	if g.T.Failed() && g.last != nil {
		broken := "nothing"
		if g.last.flaw != nil {
			broken = g.last.flaw.what + " (" + g.last.flaw.how + ")"
		}
		g.T.Logf("TALON_GENERATED_SEED=%d plays the round again; the last request broke %s:\n%s", g.seed, broken, g.last.curl())
	}
}

// round sends the requests of a seed to fresh demo data, until so many have been sent.
func (g *generator) round(seed uint64, until int) {
	g.seed, g.broken = seed, map[string]int{}
	g.values = values{rand.New(rand.NewPCG(seed, 0)), g.Now}
	g.ClockOffset.Store(0)
	require.NoError(g.T, sandbox.Reset(g.T.Context(), g.DB, harness.Moment))
	g.findLeads()
	g.askAround()
	for g.sent < until {
		for range requestsPerTurn {
			g.AdvanceClock(time.Duration(g.IntN(20)) * time.Second)
			if len(g.done) > 0 && g.chance(0.05) {
				g.send(g.done[g.IntN(len(g.done))])
				continue
			}
			d := g.draftOfAny()
			g.dress(d)
			g.send(d)
		}
		g.Exec(`DELETE FROM failed_identification`) // which the service sweeps, now and then
		before := g.Snapshot()
		var flaws []string
		for range requestsPerTurn {
			d := g.draftOfAny()
			g.spoil(d)
			g.send(d)
			flaws = append(flaws, d.curl())
		}
		if after := g.Snapshot(); !maps.Equal(before, after) {
			maps.DeleteFunc(after, func(table, rows string) bool { return before[table] == rows })
			require.Fail(g.T, "one of the requests that break the contract has changed something", "%s\n%s", sortedKeys(after), strings.Join(flaws, "\n"))
		}
	}
	g.RequireInvariants()
	g.requireDiscreetLog()
}

// findLeads begins with what the demo data say of the patients: each way in which the authorisation service can be shown them.
func (g *generator) findLeads() {
	g.persons, g.clients, g.seeds, g.done, g.cursors = nil, nil, nil, nil, map[string]string{}
	for _, patient := range sandbox.Patients[:17] { // the others are those of the sandbox's scenarios
		g.persons = append(g.persons, patient.Guid)
	}
	rows, err := g.DB.Query(g.T.Context(), `SELECT guid FROM client_application ORDER BY guid`)
	require.NoError(g.T, err)
	for rows.Next() {
		var client uuid.UUID
		require.NoError(g.T, rows.Scan(&client))
		g.clients = append(g.clients, client)
	}
	require.NoError(g.T, rows.Err())
	rows, err = g.DB.Query(g.T.Context(), `SELECT person_guid, m.guid::text, m.snils, surname, name, patronymic, birth_date::text, p.number
		FROM mkab m JOIN mkab_policy p ON p.lpu_guid = m.lpu_guid AND p.mkab_guid = m.guid
		WHERE person_guid = ANY($1) ORDER BY m.lpu_guid, m.guid`, g.persons)
	require.NoError(g.T, err)
	for rows.Next() {
		var person uuid.UUID
		var card, snils, surname, name, patronymic, born, policy string
		require.NoError(g.T, rows.Scan(&person, &card, &snils, &surname, &name, &patronymic, &born, &policy))
		names := map[string]any{"epgu": true, "snils": snils, "f": surname, "n": name}
		if patronymic != "" {
			names["p"] = patronymic
		}
		for _, known := range []map[string]any{{}, {"personguid": person.String()}, {"mkab": card}, {"npol": policy, "birthday": born}, names} {
			client := sandbox.Client
			if g.chance(0.3) {
				client = g.clients[g.IntN(len(g.clients))]
			}
			g.seeds = append(g.seeds, (&lead{person: person, client: client, said: known}).read(g.operations))
		}
	}
	require.NoError(g.T, rows.Err())
	require.NotEmpty(g.T, g.seeds)
	g.leads = slices.Clone(g.seeds)
}

// askAround asks all that can be read for each patient, and no more than needs to be asked: the lists, and then what they tell of.
func (g *generator) askAround() {
	for _, person := range g.persons {
		asker := &lead{person: person, client: sandbox.Client}
		for _, lists := range []bool{true, false} {
			for _, o := range g.operations {
				if o.method == http.MethodGet && o.security != "" && asker.serves(o) == lists {
					mine := func(l *lead) bool { return l.person == person && l.serves(o) }
					if from := g.bestLead(1, mine, asker, func(*lead) int { return 0 }); from.serves(o) {
						g.send(g.draft(o, *from, func(string) bool { return false }))
					}
				}
			}
		}
	}
}

// draftOfAny makes a request for any operation, of a lead of any patient, and often of another that tells the rest: whoever has an appointment and sees a free
// cell moves the one to the other.
func (g *generator) draftOfAny() *draft {
	o := g.anyOperation()
	best := g.seeds[g.IntN(len(g.seeds))]
	for _, i := range g.Perm(len(g.persons)) {
		mine := func(l *lead) bool { return l.person == g.persons[i] && l.serves(o) }
		if best = g.bestLead(4, mine, best, func(l *lead) int { return l.worth[o] }); mine(best) {
			break
		}
	}
	from := best
	if g.chance(0.8) {
		anybodys := g.chance(0.2)
		from = best.on(g.bestLead(12, func(l *lead) bool { return anybodys || l.person == best.person }, best, func(l *lead) (n int) {
			for name := range o.weights {
				_, told := best.told[name]
				if _, tells := l.told[name]; tells && !told {
					n++
				}
			}
			return n
		}), o)
	}
	d := g.draft(o, *from, g.optional(from))
	d.origin = best
	return d
}

// optional chooses how much is asked for that need not be.
func (g *generator) optional(from *lead) func(name string) bool {
	told := func(name string) bool { _, told := from.recall(name); return told }
	switch g.IntN(10) {
	case 0:
		return func(string) bool { return false }
	case 1, 2, 3, 4:
		return told
	case 5, 6, 7:
		return func(name string) bool { return told(name) && g.chance(0.7) }
	case 8:
		return func(string) bool { return g.chance(0.2) }
	default:
		return func(string) bool { return true }
	}
}

// anyOperation is one that asks for much more often than one that does not.
func (g *generator) anyOperation() *operation {
	for {
		if o := g.operations[g.IntN(len(g.operations))]; g.IntN(10) <= 1+len(o.weights) {
			return o
		}
	}
}

// bestLead is the best among a few that will do, or the one given. Among all, the first would be the best for ever.
func (g *generator) bestLead(few int, willDo func(*lead) bool, otherwise *lead, worth func(*lead) int) *lead {
	best, most, seen := otherwise, -1, 0
	for _, i := range g.Perm(len(g.leads)) {
		if l := g.leads[i]; willDo(l) {
			if n := worth(l); n > most {
				best, most = l, n
			}
			if seen++; seen == few {
				break
			}
		}
	}
	return best
}

// send sends a request, judges its answer, and takes leads from it.
func (g *generator) send(d *draft) {
	g.last = d
	request := d.request(g.Service)
	response, err := g.http.Do(request)
	require.NoError(g.T, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(g.T, err)
	g.sent++

	of := g.tally[d.operation]
	if request.Method == http.MethodHead { // which has no body
		wanted := http.StatusMethodNotAllowed
		if switchedOff(d.operation) {
			wanted = http.StatusNotFound
		}
		require.Equal(g.T, wanted, response.StatusCode)
		of.broken++
		return
	}
	harness.ValidateResponse(g.T, request, response, text)
	if response.StatusCode == http.StatusNotModified { // which the library lets pass
		for name, header := range d.Responses.Status(response.StatusCode).Value.Headers {
			require.True(g.T, fits(header.Value.Schema.Value, response.Header.Get(name)), "%s: %q", name, response.Header.Get(name))
		}
	}
	var said map[string]any
	if len(text) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		require.NoError(g.T, decoder.Decode(&said))
	}
	if content := answerOf(d, response); content != nil {
		require.Empty(g.T, departure(content.Schema, said), "%s", text)
	}
	rule, _ := said["rule"].(string)
	message, _ := said["message"].(string)
	g.judge(d, response, rule, message)
	if d.flaw != nil {
		of.broken++
		return
	}
	of.good++
	of.answers[strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", rule))]++
	if response.StatusCode < 300 {
		of.done++
	}
	g.learn(d, response, said)
	if i := slices.Index(g.leads, d.origin); i >= len(g.seeds) && response.StatusCode >= 400 && g.chance(0.5) {
		g.leads = slices.Delete(g.leads, i, i+1) // it leads no further
	}
}

// answerOf is what the contract says of an answer's body, or nothing where there is none or no such operation.
func answerOf(d *draft, response *http.Response) *openapi3.MediaType {
	declared := d.Responses.Status(response.StatusCode)
	if declared == nil || d.elsewhere() {
		return nil
	}
	return declared.Value.Content["application/json"]
}

// judge holds an answer against what the contract says in words.
func (g *generator) judge(d *draft, response *http.Response, rule, message string) {
	status := response.StatusCode
	if status >= 500 {
		provoked := provoked[rule]
		require.True(g.T, provoked != nil && provoked(d), "a failure: %d %s: %s", status, rule, message)
	}
	declared := d.Responses.Status(status)
	require.True(g.T, declared != nil || d.elsewhere(), "%d is not declared: %s", status, message)
	if status >= 400 && !d.elsewhere() {
		require.Contains(g.T, sortedKeys(declared.Value.Content["application/json"].Examples), rule, "the rule is not among the examples of %d", status)
	}
	switch {
	case switchedOff(d.operation):
		require.Equal(g.T, "route_not_found", rule, message)
	case d.flaw == nil:
		require.NotContains(g.T, formRules, rule, "the request keeps the contract, and is answered: %s", message)
		field, _, _ := strings.Cut(strings.TrimPrefix(message, "Поле "), ":")
		require.True(g.T, rule != "field_invalid" || g.excused(d, field), "the request keeps the contract, and is answered: %s", message)
	default:
		require.Contains(g.T, d.flaw.rules, rule, "the request breaks the contract, and is answered %d: %s", status, message)
		if d.flaw.field != "" && rule == "field_invalid" {
			require.True(g.T, strings.HasPrefix(message, "Поле "+d.flaw.field+":"), message)
		}
		if rule == "method_not_allowed" {
			require.ElementsMatch(g.T, d.others, strings.Split(response.Header.Get("Allow"), ", "))
		}
	}
}

// learn takes leads from an answer: from one that tells of something, and from a refusal that shows the way out. What did something is remembered, so that it
// may be asked again.
func (g *generator) learn(d *draft, response *http.Response, said map[string]any) {
	known := map[string]any{}
	if d.method != http.MethodGet && response.StatusCode == http.StatusOK {
		for _, a := range d.arguments {
			if a.Required {
				known[plain(a.Name)] = d.given(a.Name)
			}
		}
		g.done = append(g.done[max(0, len(g.done)-20):], d)
	}
	if tag := response.Header.Get("ETag"); tag != "" {
		known["etag"] = tag
	}
	if next, ok := said["next"].(string); ok {
		g.cursors[next] = d.OperationID
	}
	content := answerOf(d, response)
	if content == nil || response.StatusCode != http.StatusOK && said["details"] == nil {
		return
	}
	from := &lead{person: d.lead.person, client: d.lead.client, said: known}
	const most = 6 // of a list, so that long ones do not drown the others
	found := from.follow(content.Schema, said, func(list []any) []any {
		g.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return list[:min(most, len(list))]
	})
	for _, l := range found {
		if l.read(g.operations); slices.ContainsFunc(g.operations, func(o *operation) bool { return l.worth[o] >= required }) {
			g.leads = append(g.leads, l)
		}
	}
	const kept = 400
	if old := len(g.leads) - kept; old > len(g.seeds) {
		g.leads = slices.Delete(g.leads, len(g.seeds), old)
	}
}

// requireDiscreetLog looks for what must never be in the log, and empties it.
func (g *generator) requireDiscreetLog() {
	g.Logs.Mu.Lock()
	defer g.Logs.Mu.Unlock()
	for line := range bytes.Lines(g.Logs.Text.Bytes()) {
		for _, secret := range []string{
			mark, "eyJ", "e714e964", "18c29a77", "-0005-4000-8000-", "-0006-4000-8000-", "-0007-4000-8000-", "Пациент", "000-000-000", "00000000000000",
		} {
			require.NotContains(g.T, string(line), secret)
		}
	}
	g.Logs.Text.Reset()
}
