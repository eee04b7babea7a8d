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
	"regexp"
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

// generatedRequests is the default number of requests. TALON_GENERATED_REQUESTS overrides it.
// TALON_GENERATED_SEED repeats the round of a failure.
const generatedRequests = "4500"

// A round starts with new demo data. It alternates between turns of requests that keep the contract
// and turns of requests with one flaw each, which must change nothing.
const (
	requestsPerRound = 3000
	requestsPerTurn  = 125
)

// generator sends requests to a service with the demo data. It generates them from the contract
// alone, so that new operations and fields need no change here.
type generator struct {
	*harness.Service
	values

	operations       []*operation
	persons, clients []uuid.UUID
	demoFacts        []*facts          // from the demo data
	facts            []*facts          // from the demo data and responses, the newest last
	cursors          map[string]string // the list that returned each cursor
	succeeded        []*draft          // requests that changed something, the newest last
	tokens           map[string]string
	http             *http.Client

	seed   uint64
	sent   int
	last   *draft
	tally  map[*operation]*tally
	broken map[string]int // the number of each flaw of each operation in this round
}

// tally counts the requests of an operation.
type tally struct {
	valid, done, flawed int
	responses           map[string]int // of the valid ones, by status and rule
}

// Promise: no generated request, valid or not, causes an internal error. Each response is declared
// for its operation, and each refusal has the documented shape and a rule among the operation's
// examples. A valid request is not rejected for its form. A request with a flaw is rejected and
// changes nothing. The log contains no personal data.
func TestGeneratedRequests(t *testing.T) {
	t.Parallel()
	total, err := strconv.Atoi(cmp.Or(os.Getenv("TALON_GENERATED_REQUESTS"), generatedRequests))
	require.NoError(t, err, "TALON_GENERATED_REQUESTS")
	seed, err := strconv.ParseUint(
		cmp.Or(os.Getenv("TALON_GENERATED_SEED"), strconv.FormatUint(uint64(rand.Uint32()), 10)), 10, 64)
	require.NoError(t, err, "TALON_GENERATED_SEED")
	g := &generator{
		Service:    harness.StartEmpty(t, harness.WithAuthService, func(c *app.Config) { c.Timeout = time.Minute }),
		operations: operations(t),
		tokens:     map[string]string{},
		http:       &http.Client{Transport: &http.Transport{}, CheckRedirect: harness.HTTPClient.CheckRedirect},
		tally:      map[*operation]*tally{},
	}
	t.Cleanup(g.http.CloseIdleConnections)
	t.Cleanup(g.logSummary)
	for _, o := range g.operations {
		g.tally[o] = &tally{responses: map[string]int{}}
	}
	// A random schedule or merge of cards is rarely a valid one.
	for ; g.sent < total || g.sent < 5*total && len(g.neverSucceeded()) > 0; seed++ {
		g.round(seed, g.sent+min(total, requestsPerRound))
	}
	require.Empty(t, g.neverSucceeded(), "operations without a 2xx response")
}

// neverSucceeded returns the operations without a successful request so far.
func (g *generator) neverSucceeded() (names []string) {
	for _, o := range g.operations {
		if g.tally[o].done == 0 && !notServed(o) {
			names = append(names, o.OperationID)
		}
	}
	return names
}

// notServed reports whether the service of this test lacks an operation, because it has no sandbox.
func notServed(o *operation) bool { return strings.HasPrefix(o.path, "/sandbox/") }

// logSummary logs the counts and, after a failure, the last request.
func (g *generator) logSummary() {
	var table strings.Builder
	reached := map[string]bool{}
	for _, o := range g.operations {
		of := g.tally[o]
		fmt.Fprintf(&table, "%-21s %5d valid, %5d successful, %5d with a flaw:",
			o.OperationID, of.valid, of.done, of.flawed)
		for _, response := range sortedKeys(of.responses) {
			fmt.Fprintf(&table, " %d×%s", of.responses[response], response)
			reached[response] = true
		}
		table.WriteByte('\n')
	}
	g.T.Logf("%d requests; the valid ones got %d different responses:\n%s", g.sent, len(reached), table.String())
	if g.T.Failed() && g.last != nil {
		flaw := "none"
		if g.last.flaw != nil {
			flaw = g.last.flaw.what + " (" + g.last.flaw.how + ")"
		}
		g.T.Logf("TALON_GENERATED_SEED=%d repeats the round; the flaw of the last request is %s:\n%s",
			g.seed, flaw, g.last.curl())
	}
}

// round sends the requests of a seed to new demo data until the given total has been sent.
func (g *generator) round(seed uint64, until int) {
	g.seed, g.broken = seed, map[string]int{}
	g.values = values{rand.New(rand.NewPCG(seed, 0)), g.Now}
	g.ClockOffset.Store(0)
	require.NoError(g.T, sandbox.Reset(g.T.Context(), g.DB.Config().ConnString(), harness.Moment))
	g.loadDemoFacts()
	g.readEverything()
	g.sendRare()
	for g.sent < until {
		for range requestsPerTurn {
			g.AdvanceClock(time.Duration(g.IntN(20)) * time.Second)
			if len(g.succeeded) > 0 && g.chance(0.05) {
				g.send(g.succeeded[g.IntN(len(g.succeeded))])
				continue
			}
			d := g.anyDraft()
			g.varyEncoding(d)
			g.send(d)
		}
		g.Exec(`DELETE FROM failed_identification`) // the service may delete these rows itself
		before := g.Snapshot()
		var flaws []string
		for range requestsPerTurn {
			d := g.anyDraft()
			g.addFlaw(d)
			g.send(d)
			flaws = append(flaws, d.curl())
		}
		if after := g.Snapshot(); !maps.Equal(before, after) {
			maps.DeleteFunc(after, func(table, rows string) bool { return before[table] == rows })
			require.Fail(g.T, "a request with a flaw changed data", "%s\n%s", sortedKeys(after),
				strings.Join(flaws, "\n"))
		}
	}
	g.RequireInvariants()
	g.requireNoSecretsInLog()
}

// systemToken is the security scheme of client applications that act for themselves.
const systemToken = "systemToken"

// Objects of the demo data: a visit of the second patient and a free cell for it, a visit whose
// patient is there, a visit that the institution has moved and its cell, a person with a referral
// and a free cell for it, a webhook and an import of the region's system, and a client application
// through which no patient books.
const (
	demoBooked      = "de300000-000a-4000-8000-000000000002"
	freeCell        = "10810"
	demoAttended    = "de300000-000a-4000-8000-000000000006"
	demoReassigned  = "de300000-000a-4000-8000-000000000007"
	reassignedTo    = "51206"
	demoPerson      = "de300000-0005-4000-8000-000000000020"
	demoReferral    = "de300000-0007-4000-8000-002000000002"
	anotherFreeCell = "30810"
	demoLpu         = "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9"
	demoSource      = "e66e8056-f0bd-4ec3-85f7-28ff5b22db4f"
	demoWebhook     = "de300000-0010-4000-8000-000000000002"
	demoImport      = "de300000-000f-4000-8000-000000000003"
	demoClient      = "de300000-0003-4000-8000-000000000013"
)

// loadDemoFacts reads the demo data of the patients: everything that identifies a patient to the
// authorisation service.
func (g *generator) loadDemoFacts() {
	g.persons, g.clients, g.demoFacts, g.succeeded, g.cursors = nil, nil, nil, nil, map[string]string{}
	for _, patient := range sandbox.Patients[:17] { // the others belong to the scenarios of the sandbox
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
	rows, err = g.DB.Query(g.T.Context(), `SELECT person_guid, m.lpu_guid::text, m.guid::text, m.snils, surname, name, patronymic, birth_date::text, p.number
		FROM mkab m JOIN mkab_policy p ON p.lpu_guid = m.lpu_guid AND p.mkab_guid = m.guid
		WHERE person_guid = ANY($1) ORDER BY m.lpu_guid, m.guid`, g.persons)
	require.NoError(g.T, err)
	for rows.Next() {
		var person uuid.UUID
		var lpu, card, snils, surname, name, patronymic, born, policy string
		require.NoError(g.T, rows.Scan(&person, &lpu, &card, &snils, &surname, &name, &patronymic, &born, &policy))
		names := map[string]any{"epgu": true, "snils": snils, "f": surname, "n": name}
		if patronymic != "" {
			names["p"] = patronymic
		}
		for _, known := range []map[string]any{
			{}, {"importguid": demoImport, "clientguid": demoClient}, {"personguid": person.String()}, {"mkab": card}, {"npol": policy, "birthday": born}, names,
			{"lpuguid": lpu, "cardguid": card, "personguid": person.String()},
		} {
			client := sandbox.Client
			if g.chance(0.3) {
				client = g.clients[g.IntN(len(g.clients))]
			}
			g.demoFacts = append(g.demoFacts, (&facts{
				person: person, client: client, values: known,
			}).match(g.operations))
		}
	}
	require.NoError(g.T, rows.Err())
	require.NotEmpty(g.T, g.demoFacts)
	var lpu, duplicate, card, resource string
	require.NoError(g.T, g.DB.QueryRow(g.T.Context(), `SELECT closed.lpu_guid::text, closed.guid::text, open.guid::text
		FROM mkab closed JOIN mkab open ON open.lpu_guid = closed.lpu_guid AND open.person_guid = closed.person_guid
		WHERE closed.closed_at IS NOT NULL AND open.closed_at IS NULL`).Scan(&lpu, &duplicate, &card))
	require.NoError(g.T, g.DB.QueryRow(g.T.Context(),
		`SELECT guid::text FROM resource WHERE lpu_guid = $1 ORDER BY guid LIMIT 1`, lpu).Scan(&resource))
	week := map[string]any{
		"lpuguid": lpu, "resourceguid": resource, "from": g.Now().Format(time.RFC3339),
		"to": g.Now().AddDate(0, 0, 7).Format(time.RFC3339),
	}
	for _, person := range g.persons { // the caller acts for itself, for any person
		g.demoFacts = append(g.demoFacts, (&facts{person: person, client: sandbox.Client, values: map[string]any{
			"lpuguid": lpu, "cardguid": duplicate, "intocardguid": card, "version": json.Number("1000"),
		}}).match(g.operations), (&facts{person: person, client: sandbox.Client, values: week}).match(g.operations))
	}
	g.facts = slices.Clone(g.demoFacts)
}

// readEverything sends the read operations for each patient, without optional values: first the
// lists, then the single reads.
func (g *generator) readEverything() {
	for _, person := range g.persons {
		caller := &facts{person: person, client: sandbox.Client}
		for _, lists := range []bool{true, false} {
			for _, o := range g.operations {
				if o.method == http.MethodGet && o.security != "" && caller.suffices(o) == lists {
					usable := func(f *facts) bool { return f.person == person && f.suffices(o) }
					if from := g.bestFacts(1, usable, caller, func(*facts) int { return 0 }); from.suffices(o) {
						g.send(g.draft(o, *from, func(string) bool { return false }))
					}
				}
			}
		}
	}
}

// sendRare sends the requests that random values rarely make valid: they need a visit of the
// patient and a free cell, a visit whose patient is there, or an address and an event of a webhook.
// The region's system, which sends those of institutions, may take the cells of registries.
func (g *generator) sendRare() {
	g.Exec(`UPDATE client_application SET visit_direction_other_lpu = 11 WHERE guid = $1`, sandbox.RegionClient)
	for operation, values := range map[string]map[string]any{
		"moveAppointment": {"appointmentguid": demoBooked, "slotid": json.Number(freeCell)},
		"putAttendance":   {"lpuguid": demoLpu, "appointmentguid": demoAttended, "attendance": "arrived"},
		"putWebhook":      {"webhookguid": demoWebhook, "url": "https://clinic.example/talon"},
		"redeliver":       {"webhookguid": demoWebhook, "eventids": "1566291600087416"},
		"putVisitSlot": {
			"lpuguid": demoLpu, "appointmentguid": demoReassigned, "slotid": json.Number(reassignedTo),
			"version": json.Number("1"),
		},
		"bookVisit": {
			"lpuguid": demoLpu, "personguid": demoPerson, "directionguid": demoReferral,
			"directiontype": "consult", "lpufromguid": demoSource, "slotid": json.Number(anotherFreeCell),
		},
	} {
		for _, o := range g.operations {
			if o.OperationID == operation {
				known := (&facts{person: g.persons[1], client: sandbox.Client, values: values}).match(g.operations)
				isKnown := func(name string) bool { _, ok := known.lookup(name); return ok }
				g.send(g.draft(o, *known, isKnown))
			}
		}
	}
}

// anyDraft returns a request for a random operation and patient. It often combines the facts of two
// places, such as an appointment and a free cell to move it to.
func (g *generator) anyDraft() *draft {
	o := g.anyOperation()
	best := g.demoFacts[g.IntN(len(g.demoFacts))]
	for _, i := range g.Perm(len(g.persons)) {
		usable := func(f *facts) bool { return f.person == g.persons[i] && f.suffices(o) && f.mayServe(o) }
		if best = g.bestFacts(4, usable, best, func(f *facts) int { return f.relevance[o] }); usable(best) {
			break
		}
	}
	from := best
	if g.chance(0.8) {
		anyPerson := g.chance(0.2)
		filter := func(f *facts) bool { return (anyPerson || f.person == best.person) && f.mayServe(o) }
		newValues := func(f *facts) (n int) {
			for name := range o.weights {
				_, known := best.matched[name]
				if _, added := f.matched[name]; added && !known {
					n++
				}
			}
			return n
		}
		from = best.combine(g.bestFacts(12, filter, best, newValues), o)
	}
	d := g.draft(o, *from, g.chooseOptional(from))
	d.origin = best
	return d
}

// chooseOptional chooses which optional values a request has.
func (g *generator) chooseOptional(from *facts) func(name string) bool {
	isKnown := func(name string) bool { _, known := from.lookup(name); return known }
	switch g.IntN(10) {
	case 0:
		return func(string) bool { return false }
	case 1, 2, 3, 4:
		return isKnown
	case 5, 6, 7:
		return func(name string) bool { return isKnown(name) && g.chance(0.7) }
	case 8:
		return func(string) bool { return g.chance(0.2) }
	default:
		return func(string) bool { return true }
	}
}

// anyOperation returns a random operation. Operations with many parameters are more frequent.
func (g *generator) anyOperation() *operation {
	for {
		if o := g.operations[g.IntN(len(g.operations))]; g.IntN(10) <= 1+len(o.weights) {
			return o
		}
	}
}

// bestFacts returns the most relevant of a few random facts that pass the filter, or the fallback.
// Compared with all facts, the first would always win.
func (g *generator) bestFacts(few int, filter func(*facts) bool, fallback *facts, relevance func(*facts) int) *facts {
	best, most, seen := fallback, -1, 0
	for _, i := range g.Perm(len(g.facts)) {
		if f := g.facts[i]; filter(f) {
			if n := relevance(f); n > most {
				best, most = f, n
			}
			if seen++; seen == few {
				break
			}
		}
	}
	return best
}

// send sends a request, checks its response and extracts facts from it.
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
	if request.Method == http.MethodHead { // the response has no body
		wanted := http.StatusMethodNotAllowed
		if notServed(d.operation) {
			wanted = http.StatusNotFound
		}
		require.Equal(g.T, wanted, response.StatusCode)
		of.flawed++
		return
	}
	harness.ValidateResponse(g.T, request, response, text)
	if response.StatusCode == http.StatusNotModified { // the library does not validate it
		for name, header := range d.Responses.Status(response.StatusCode).Value.Headers {
			require.True(g.T, conforms(header.Value.Schema.Value, response.Header.Get(name)), "%s: %q", name,
				response.Header.Get(name))
		}
	}
	var body map[string]any
	if len(text) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		require.NoError(g.T, decoder.Decode(&body))
	}
	if content := declaredBody(d, response); content != nil {
		require.Empty(g.T, mismatch(content.Schema, body), "%s", text)
	}
	rule, _ := body["rule"].(string)
	message, _ := body["message"].(string)
	g.checkResponse(d, response, rule, message)
	if d.flaw != nil {
		of.flawed++
		return
	}
	of.valid++
	of.responses[strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", rule))]++
	if response.StatusCode < 300 {
		of.done++
	}
	g.learn(d, response, body)
	if i := slices.Index(g.facts, d.origin); i >= len(g.demoFacts) && response.StatusCode >= 400 && g.chance(0.5) {
		g.facts = slices.Delete(g.facts, i, i+1) // these facts lead to no success
	}
}

// declaredBody returns the contract's declaration of a response's body, or nil.
func declaredBody(d *draft, response *http.Response) *openapi3.MediaType {
	declared := d.Responses.Status(response.StatusCode)
	if declared == nil || d.isMisrouted() {
		return nil
	}
	return declared.Value.Content["application/json"]
}

// checkResponse checks a response against the prose of the contract.
func (g *generator) checkResponse(d *draft, response *http.Response, rule, message string) {
	status := response.StatusCode
	if status >= 500 {
		expected := expectedFailures[rule]
		require.True(g.T, expected != nil && expected(d), "internal error: %d %s: %s", status, rule, message)
	}
	declared := d.Responses.Status(status)
	require.True(g.T, declared != nil || d.isMisrouted(), "%d is not declared: %s", status, message)
	if status >= 400 && !d.isMisrouted() {
		require.Contains(g.T, sortedKeys(declared.Value.Content["application/json"].Examples), rule,
			"the rule is not among the examples of %d", status)
	}
	switch {
	case notServed(d.operation):
		require.Equal(g.T, "route_not_found", rule, message)
	case d.flaw == nil:
		require.NotContains(g.T, syntaxRules, rule, "a valid request is rejected: %s", message)
		field, _, _ := strings.Cut(strings.TrimPrefix(message, "Поле "), ":")
		field, _, _ = strings.Cut(field, ".")
		field, _, _ = strings.Cut(field, "[") // of the whole list
		require.True(g.T, rule != "field_invalid" || g.rejectedByProse(d, field), "a valid request is rejected: %s",
			message)
	default:
		require.Contains(g.T, d.flaw.rules, rule, "a request with a flaw gets %d: %s", status, message)
		if d.flaw.field != "" && rule == "field_invalid" {
			require.Regexp(g.T, "^Поле "+fieldPattern(d.flaw.field)+`[:.]`, message) // the field, or a part of it
		}
		if rule == "method_not_allowed" {
			require.ElementsMatch(g.T, d.others, strings.Split(response.Header.Get("Allow"), ", "))
		}
	}
}

// fieldPattern matches a field. Go's decoder omits the indexes of lists.
func fieldPattern(field string) string {
	return indexes.ReplaceAllString(regexp.QuoteMeta(field), `($0)?`)
}

var indexes = regexp.MustCompile(`\\.\d+`)

// learn extracts facts from a success or from a refusal with details. Requests that changed
// something are remembered, so that they can be repeated.
func (g *generator) learn(d *draft, response *http.Response, body map[string]any) {
	known := map[string]any{}
	if d.method != http.MethodGet && response.StatusCode == http.StatusOK {
		for _, a := range d.arguments {
			if a.Required {
				known[normalize(a.Name)] = d.value(a.Name)
			}
		}
		g.succeeded = append(g.succeeded[max(0, len(g.succeeded)-20):], d)
	}
	if tag := response.Header.Get("ETag"); tag != "" {
		known["etag"] = tag
	}
	if next, ok := body["next"].(string); ok {
		g.cursors[next] = d.list()
	}
	content := declaredBody(d, response)
	if content == nil || response.StatusCode != http.StatusOK && body["details"] == nil {
		return
	}
	from := &facts{
		person: d.facts.person, client: d.facts.client, ofSystem: d.security == systemToken, values: known,
	}
	const most = 6 // items of a list
	found := from.extract(content.Schema, body, func(list []any) []any {
		g.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return list[:min(most, len(list))]
	})
	for _, l := range found {
		if l.match(g.operations); slices.ContainsFunc(g.operations, func(o *operation) bool {
			return l.relevance[o] >= required
		}) {
			g.facts = append(g.facts, l)
		}
	}
	const maxFacts = 400
	if old := len(g.facts) - maxFacts; old > len(g.demoFacts) {
		g.facts = slices.Delete(g.facts, len(g.demoFacts), old)
	}
}

// requireNoSecretsInLog requires that the log contains no secrets, and clears it.
func (g *generator) requireNoSecretsInLog() {
	g.Logs.Mu.Lock()
	defer g.Logs.Mu.Unlock()
	for line := range bytes.Lines(g.Logs.Text.Bytes()) {
		for _, secret := range []string{
			marker, "eyJ", "e714e964", "18c29a77", "-0005-4000-8000-", "-0006-4000-8000-", "-0007-4000-8000-",
			"Пациент", "000-000-000", "00000000000000",
		} {
			require.NotContains(g.T, string(line), secret)
		}
	}
	g.Logs.Text.Reset()
}
