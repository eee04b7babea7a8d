package model_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// This file is the service's side of the model test. It inserts a world into the tables, sends a
// history over HTTP and describes responses and tables in the model's words.

// guids maps the labels of one world to guids and back. Guids are random, so that the worlds in one
// database are separate.
type guids struct {
	guid  map[string]uuid.UUID
	label map[uuid.UUID]string
}

func (g *guids) of(label string) uuid.UUID {
	guid, ok := g.guid[label]
	if !ok {
		guid = uuid.New()
		g.name(guid, label)
	}
	return guid
}

func (g *guids) name(guid uuid.UUID, label string) { g.guid[label], g.label[guid] = guid, label }

var guidPattern = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// withLabels replaces the guids of a text by their labels.
func (g *guids) withLabels(text string) string {
	return guidPattern.ReplaceAllStringFunc(text, func(guid string) string {
		if label, ok := g.label[uuid.MustParse(guid)]; ok {
			return label
		}
		return "an unknown guid"
	})
}

// insertWorld inserts a world into the tables in one round trip.
func insertWorld(s *harness.Service, w *world) *guids {
	s.T.Helper()
	s.ClockOffset.Store(0)
	g := &guids{map[string]uuid.UUID{}, map[uuid.UUID]string{}}
	var batch pgx.Batch
	insert := func(table string, rows []harness.Fields) {
		if len(rows) == 0 {
			return
		}
		encoded, err := json.Marshal(rows)
		require.NoError(s.T, err)
		columns := strings.Join(slices.Sorted(maps.Keys(rows[0])), ", ")
		batch.Queue(fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM jsonb_populate_recordset(NULL::%s, $1)`, table, columns, columns, table), encoded)
	}
	batch.Queue(`DELETE FROM setting WHERE owner_guid = $1`, uuid.Nil)
	settings := []harness.Fields{}
	set := func(owner uuid.UUID, code, value string) {
		if value != "" {
			settings = append(settings, harness.Fields{
				"owner_guid": owner, "code": code, "value": value,
				"of_client": strings.HasPrefix(g.label[owner], "C"),
			})
		}
	}
	set(uuid.Nil, "OneActiveAppointmentPerSpeciality", w.oneActive)
	set(uuid.Nil, "scheduleDays", w.days)
	set(uuid.Nil, "DirectionExpires", w.expires)
	set(uuid.Nil, "DeleteOldTime", w.changesAfterStart)
	set(uuid.Nil, "ScheduleFreshHours", w.freshHours)
	set(uuid.Nil, "NoShowReturnsReferral", w.noShowReturns)

	entities := map[int]bool{}
	for _, l := range w.lpus {
		entities[l.entity] = true
	}
	insert("legal_entity", rowsOf(slices.Sorted(maps.Keys(entities)), func(_, entity int) harness.Fields {
		return harness.Fields{"guid": g.of(label("E", entity)), "name": "Юридическое лицо"}
	}))
	insert("lpu", rowsOf(w.lpus, func(n int, l lpu) harness.Fields {
		guid := g.of(label("L", n))
		set(guid, "2dr_RecordWithoutMkab", l.createsMkab)
		other := g.of(label("L", (n+1)%len(w.lpus)))
		set(guid, "PolyclinicCode", map[string]string{
			"own": guid.String(), "other": other.String(), "nowhere": "?",
		}[l.polyclinic])
		set(guid, "scheduleDays", l.days)
		set(guid, "DirectionExpires", l.expires)
		set(guid, "DeleteOldTime", l.changesAfterStart)
		set(guid, "ScheduleFreshHours", l.freshHours)
		set(guid, "NoShowReturnsReferral", l.noShowReturns)
		return harness.Fields{
			"guid": guid, "legal_entity_guid": g.of(label("E", l.entity)), "code": guid, "name": "ЛПУ",
			"time_zone": l.zone,
		}
	}))
	insert("client_application", rowsOf(w.clients, func(n int, c clientApplication) harness.Fields {
		set(g.of(label("C", n)), "scheduleDays", c.days)
		return harness.Fields{
			"guid": g.of(label("C", n)), "name": "", "scopes": []string{"visit:write"}, "every_lpu": true,
			"visit_direction": c.same, "visit_direction_other_lpu": c.other,
			"out_of_schedule": c.outOfSchedule,
		}
	}))
	insert("setting", settings)
	var known, data []harness.Fields
	for n, p := range w.persons {
		guid := g.of(label("P", n))
		if p.known {
			known = append(known, harness.Fields{"guid": guid})
		}
		if p.known && p.data {
			data = append(data, harness.Fields{
				"person_guid": guid, "surname": p.surname, "name": p.name, "patronymic": "",
				"birth_date": mipBirthDate, "sex": textOrNull(p.sex),
				"snils": "", "policy_series": "", "policy_number": p.policy,
			})
		}
	}
	insert("mip_person", known)
	insert("mip_person_data", data)
	insert("mkab", rowsOf(w.mkabs, func(n int, k mkab) harness.Fields {
		var closed any
		if k.closed {
			closed = harness.Moment
		}
		return harness.Fields{
			"lpu_guid": g.of(label("L", k.lpu)), "guid": g.of(label("K", n)),
			"person_guid": g.of(label("P", k.person)), "surname": "Пациент", "name": "",
			"patronymic": "", "birth_date": k.born, "sex": "male", "snils": "", "disabled": k.disabled,
			"pregnant": k.pregnant, "created_at": harness.Moment, "closed_at": closed,
		}
	}))
	var personLpus []harness.Fields
	for n, k := range w.mkabs {
		if slices.IndexFunc(w.mkabs, func(other mkab) bool {
			return other.lpu == k.lpu && other.person == k.person
		}) == n {
			personLpus = append(personLpus, harness.Fields{
				"person_guid": g.of(label("P", k.person)), "lpu_guid": g.of(label("L", k.lpu)),
			})
		}
	}
	insert("person_lpu", personLpus)
	insert("tap", rowsOf(w.taps, func(n int, t tap) harness.Fields {
		var closed any
		if t.closed {
			closed = "2019-08-19"
		}
		return harness.Fields{
			"lpu_guid": g.of(label("L", w.mkabs[t.mkab].lpu)), "guid": g.of(label("T", n)),
			"mkab_guid": g.of(label("K", t.mkab)),
			"opened_on": t.opened, "closed_on": closed,
		}
	}))
	insert("resource", rowsOf(w.resources, func(n int, r resource) harness.Fields {
		return harness.Fields{
			"lpu_guid": g.of(label("L", r.lpu)), "guid": g.of(label("R", n)), "kind": r.kind, "name": resourceName(n),
			"speciality_code": r.speciality,
			"active":          !r.inactive,
		}
	}))
	var sources []harness.Fields
	for n, r := range w.resources {
		if r.confirmed != nil {
			sources = append(sources, harness.Fields{
				"lpu_guid": g.of(label("L", r.lpu)), "resource_guid": g.of(label("R", n)), "version": 1,
				"confirmed_at": harness.Moment.Add(-*r.confirmed),
			})
		}
	}
	insert("schedule_source", sources)
	var slots []harness.Fields
	for n, c := range w.slots {
		if c.gone {
			continue
		}
		slots = append(slots, harness.Fields{
			"lpu_guid": g.of(label("L", w.resources[c.resource].lpu)), "guid": g.of(label("S", n)), "id": c.id,
			"resource_guid": g.of(label("R", c.resource)),
			"start_at":      c.start, "end_at": c.end(), "capacity": c.capacity, "taken": 0, "flag_access": c.access,
			"busy_type": c.busyType(), "blocked": c.blocked, "closed_by": 0, "restriction": c.restriction,
		})
	}
	insert("slot", slots)
	directionRow := func(id, n, lpu, mkab int, from any) harness.Fields {
		d := w.directions[n]
		return harness.Fields{
			"lpu_guid": g.of(label("L", lpu)), "guid": g.of(label("D", n)), "id": id, "copied_from_lpu_guid": from,
			"type": d.kind, "number": directionNumber(n),
			"accession_number": "A-1", "date": "2019-08-13", "date_end": d.dateEnd, "created_at": harness.Moment,
			"doc_prvd_sender_guid": g.of("sender"), "mkab_guid": g.of(label("K", mkab)),
			"reason": "причина", "comment": "натощак", "urgent": true, "flags": 5,
			"speciality_code": d.speciality, "speciality_name": "Терапия", "mkb_code": "A01.1", "mkb_name": "A",
			"lpu_from_guid": g.of(label("L", d.from)), "lpu_to_guid": guidOrNull(g, "L", d.to),
			"appointment_guid": nil,
		}
	}
	directions := rowsOf(w.directions, func(n int, d direction) harness.Fields {
		return directionRow(originalID(n), n, w.mkabs[d.mkab].lpu, d.mkab, nil)
	})
	for i, c := range w.copies {
		copied := directionRow(copyID(i), c.direction, c.lpu, c.mkab,
			g.of(label("L", w.mkabs[w.directions[c.direction].mkab].lpu)))
		copied["lpu_to_guid"] = g.of(label("L", c.lpu))
		directions = append(directions, copied)
	}
	insert("direction", directions)
	insert("speciality_claim", rowsOf(w.claims, func(_ int, c claim) harness.Fields {
		return harness.Fields{
			"person_guid": g.of(label("P", c.person)), "speciality_code": c.speciality,
			"appointment_guid": g.of(c.visit), "lpu_guid": g.of(label("L", c.lpu)),
			"resource_name": c.resource, "start_at": c.start, "end_at": c.end,
		}
	}))
	require.NoError(s.T, s.DB.SendBatch(s.T.Context(), &batch).Close())
	return g
}

func rowsOf[T any](things []T, row func(n int, thing T) harness.Fields) []harness.Fields {
	rows := make([]harness.Fields, len(things))
	for n, thing := range things {
		rows[n] = row(n, thing)
	}
	return rows
}

func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func guidOrNull(g *guids, kind string, n int) any {
	if n == unknown {
		return nil
	}
	return g.of(label(kind, n))
}

// readTables returns the rows of a world and its history, a line for each, in the model's words.
func readTables(s *harness.Service, w *world, g *guids) []string {
	s.T.Helper()
	var lpus, persons []uuid.UUID
	for n := range w.lpus {
		lpus = append(lpus, g.of(label("L", n)))
	}
	for n := range w.persons {
		persons = append(persons, g.of(label("P", n)))
	}
	// The service assigns the guids of the cards that it creates. They are known by person and
	// institution.
	rows, err := s.DB.Query(s.T.Context(), `SELECT guid, person_guid, lpu_guid FROM mkab WHERE lpu_guid = ANY($1)`, lpus)
	require.NoError(s.T, err)
	var card, owner, at uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&card, &owner, &at}, func() error {
		if g.label[card] == "" {
			g.name(card, fmt.Sprintf("K(%s,%s)", g.label[owner], g.label[at]))
		}
		return nil
	})
	require.NoError(s.T, err)

	tx, err := s.DB.Begin(s.T.Context())
	require.NoError(s.T, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(s.T.Context())) }()
	testdb.CopyTables(s.T, tx, "slot", "hold", "idempotency_key", "appointment", "direction", "speciality_claim",
		"mkab", "mkab_policy")
	rows, err = tx.Query(s.T.Context(), `
		SELECT format('cell %s is held by %s until %s', s.guid, h.person_guid, to_char(h.until AT TIME ZONE 'UTC', $3))
		FROM slot s, unnest(s.holds) h WHERE lpu_guid = ANY($1) AND h.until > $5
		UNION ALL
		SELECT format('%s holds %s in %s for %s, %s to %s, until %s', person_guid, array_to_string(slot_guids, ' '), lpu_guid, direction_guid,
			to_char(start_at AT TIME ZONE 'UTC', $3), to_char(end_at AT TIME ZONE 'UTC', $3),
			to_char(until AT TIME ZONE 'UTC', $3))
		FROM hold WHERE person_guid = ANY($2) AND until > $5
		UNION ALL
		SELECT format('%s through %s %s under %s', person_guid, client_guid, CASE WHEN answer IS NULL THEN 'has a running request' ELSE 'has a stored response' END, key)
		FROM idempotency_key WHERE person_guid = ANY($2) AND taken_at > $5::timestamptz - interval '24 hours'
		UNION ALL
		SELECT format('visit %s is in cell %s', guid, slot_guid) FROM appointment, unnest(slot_guids) slot_guid WHERE lpu_guid = ANY($1)
		UNION ALL
		SELECT format('visit %s: %s of %s to %s in %s, card %s, by %s, %s to %s, out of schedule %s, cito %s, «%s»%s%s', guid, direction_guid, person_guid,
			resource_guid, lpu_guid, mkab_guid, client_guid,
			to_char(start_at AT TIME ZONE 'UTC', $3), to_char(end_at AT TIME ZONE 'UTC', $3),
			out_of_schedule::text, is_cito::text, comment, 
			CASE WHEN cancelled_at IS NOT NULL THEN ', cancelled' || coalesce(' for ' || cancel_reason_code, '') || coalesce(' «' || cancel_reason || '»', '') END,
			', attended since ' || to_char(attendance_since AT TIME ZONE 'UTC', $3))
		FROM appointment WHERE lpu_guid = ANY($1)
		UNION ALL
		SELECT format('%s in %s: id %s, card %s, visit %s%s%s', d.guid, d.lpu_guid, CASE WHEN d.id < 1000000000 THEN d.id::text ELSE 'new' END, d.mkab_guid,
			coalesce(d.appointment_guid::text, 'none'), CASE WHEN d.completed_by_guid = d.appointment_guid THEN ', completed by ' || d.completed_by_guid END,
			', a copy from ' || d.copied_from_lpu_guid || (
				SELECT CASE WHEN to_jsonb(o) - $4::text[] = to_jsonb(d) - $4::text[] THEN ', equal to the original' END
				FROM direction o WHERE o.lpu_guid = d.copied_from_lpu_guid AND o.guid = d.guid))
		FROM direction d WHERE lpu_guid = ANY($1)
		UNION ALL
		SELECT format('claim of %s on %s: %s at %s in %s, %s to %s', person_guid, speciality_code, appointment_guid, resource_name, lpu_guid,
			to_char(start_at AT TIME ZONE 'UTC', $3), to_char(end_at AT TIME ZONE 'UTC', $3))
		FROM speciality_claim WHERE person_guid = ANY($2)
		UNION ALL
		SELECT format('card %s of %s in %s: closed %s, born %s, policies [%s]', guid, person_guid, lpu_guid, (closed_at IS NOT NULL)::text, birth_date,
			(SELECT string_agg(number, ' ') FROM mkab_policy p WHERE p.lpu_guid = k.lpu_guid AND p.mkab_guid = k.guid))
		FROM mkab k WHERE lpu_guid = ANY($1)`,
		lpus, persons, `YYYY-MM-DD"T"HH24:MI:SS"Z"`,
		[]string{"lpu_guid", "id", "copied_from_lpu_guid", "mkab_guid", "lpu_to_guid", "appointment_guid",
			"appointment_lpu_guid", "appointment_start_at", "appointment_end_at", "completed_by_guid"}, s.Now())
	require.NoError(s.T, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(s.T, err)
	for i := range lines {
		lines[i] = g.withLabels(lines[i])
	}
	lines = append(lines, readRegistry(s, lpus, g)...)
	lines = append(lines, readVisitLists(s, w, g)...)
	slices.Sort(lines)
	return lines
}

// event is a step that was executed.
type event struct {
	client        int
	label         string
	step          step                  // if it resends a request, the step of that request
	visit         string                // of a request about a visit: the label of its booking, empty if there is none
	releasedHold  *request              // of a release: the request of the hold, nil if there is none
	owner         string                // the owner of the request's key
	authorization string                // of a file: the header of its sender
	send          func() harness.Answer // executes the step
	call, end     time.Duration         // since the history began
	answer        harness.Answer        // the response to a request
	appointment   uuid.UUID             // of a successful booking
	reply         string                // the response in the model's words
}

// replayed reports whether the response is that of an earlier request with the same key.
func (e *event) replayed() bool {
	return e.answer.Response != nil && e.answer.Header.Get("Idempotency-Replayed") == "true"
}

// booked reports whether the event is a successful booking.
func (e *event) booked() bool {
	return e.step.books() && e.answer.StatusCode == http.StatusOK && !e.replayed()
}

// guid returns the guid of the booked visit, or an empty string.
func (e *event) guid() string {
	if !e.booked() {
		return ""
	}
	return e.appointment.String()
}

// scenarioT collects the failures of a scenario. A failure of the test itself would end the test
// before rapid can shrink the scenario.
type scenarioT struct {
	testing.TB

	mu       sync.Mutex
	problems []string
}

func (t *scenarioT) Errorf(format string, values ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.problems = append(t.problems, fmt.Sprintf(format, values...))
}

func (t *scenarioT) FailNow() { runtime.Goexit() }

// playScenario runs the history of a scenario, its clients concurrently. It returns the events in
// the order of their responses, and the tables at the end. problems are responses that are wrong by
// themselves, such as one that breaks the contract.
func playScenario(s *harness.Service, st *scenario) (events []event, tables, problems []string) {
	s.T.Helper()
	failures := &scenarioT{TB: s.T}
	copied := *s
	copied.T = failures
	on := &copied
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		g := insertWorld(on, &st.world)
		events = playHistory(on, st, g)
		tables = readTables(on, &st.world, g)
		describeReplies(on, g, events)
	}()
	<-finished
	return events, tables, failures.problems
}

func playHistory(s *harness.Service, st *scenario, g *guids) []event {
	var (
		mu    sync.Mutex
		p     = newPlayer(s, st, g)
		group sync.WaitGroup
		gate  = make(chan struct{})
		began time.Time // set before the gate opens
	)
	play := func(client int, label string, step step) {
		e := event{client: client, label: label, step: step}
		mu.Lock()
		p.prepare(&e)
		mu.Unlock()
		e.call = time.Since(began)
		e.answer = e.send()
		e.end = time.Since(began)
		mu.Lock()
		p.finish(e)
		mu.Unlock()
	}
	for c, steps := range st.history {
		group.Go(func() {
			<-gate
			for i, step := range steps {
				play(c, st.label(c, i), step)
			}
		})
	}
	began = time.Now()
	for i, step := range st.before {
		play(0, stepLabel(0, i), step)
	}
	close(gate)
	group.Wait()
	return p.events
}

// player executes the steps of a history. A step may refer to earlier events.
type player struct {
	*harness.Service

	g      *guids
	tokens map[[2]int]string // the key is person and client application
	events []event           // in the order of their responses
	booked []event
	held   []event
	keyed  []event // in the order of their calls

	world   world
	sources []string       // the Authorization headers of the institutions' systems, by client
	desks   map[int]string // the same of the desks, by client application
	known   map[string]knownVisit
}

// newPlayer returns a player. It signs the tokens in advance, so that only requests run
// concurrently.
func newPlayer(s *harness.Service, st *scenario, g *guids) *player {
	s.T.Helper()
	p := &player{
		Service: s, g: g, tokens: map[[2]int]string{}, desks: map[int]string{}, world: st.world,
		known: map[string]knownVisit{},
	}
	for n := range st.world.persons {
		for c := unknown; c < len(st.world.clients); c++ {
			p.tokens[[2]int{n, c}] = p.sign(g.of(label("P", n)), c)
		}
	}
	for c := unknown; c < len(st.world.clients); c++ {
		p.desks[c] = p.signSystem(g.of(label("C", c)))
	}
	for c := range st.history {
		p.sources = append(p.sources, p.signSystem(sourceOf(c)))
		g.name(sourceOf(c), systemLabel(c))
	}
	return p
}

// sign returns a token that is valid for the time of any scenario.
func (p *player) sign(person uuid.UUID, client int) string {
	p.T.Helper()
	token, err := p.Key.Sign(auth.Caller{Person: person, Client: p.g.of(label("C", client))}, "issuer", "talon",
		harness.Moment, scenarioTime)
	require.NoError(p.T, err)
	return "Bearer " + token
}

// prepare resolves what a step refers to, and sets the function that executes it.
func (p *player) prepare(e *event) {
	p.T.Helper()
	step := e.step
	switch {
	case step.resend > 0:
		e.send = func() harness.Answer { return harness.Answer{} }
		if step.resend <= len(p.keyed) {
			of := p.keyed[len(p.keyed)-step.resend]
			e.step, e.visit, e.owner, e.send = of.step, of.visit, of.owner, of.send
		}
	case step.visitRequest.kind != "":
		e.send = p.visitSender(e)
	case len(step.messages) > 0:
		e.authorization = p.sources[e.client]
		e.send = p.messageSender(step, e.authorization)
	case step.elapse > 0:
		e.send = func() harness.Answer { p.AdvanceClock(step.elapse); return harness.Answer{} }
	case step.toggle:
		e.send = func() harness.Answer {
			p.Exec(`INSERT INTO setting VALUES ($1, 'OneActiveAppointmentPerSpeciality', 'false')
				ON CONFLICT (owner_guid, code) DO UPDATE SET value = (setting.value <> 'true')::text`, uuid.Nil)
			return harness.Answer{}
		}
	case step.release > 0:
		path, authorization := "/slots/"+uuid.NewString()+"/hold?lpuGuid="+uuid.NewString(), p.sign(uuid.New(), 0)
		if step.release <= len(p.held) {
			e.releasedHold = &p.held[len(p.held)-step.release].step.request
			path = e.releasedHold.holdPath(p.g) + "?lpuGuid=" + p.g.of(label("L", e.releasedHold.to)).String()
			if !step.stranger {
				authorization = p.tokens[[2]int{e.releasedHold.person, 0}]
			}
		}
		e.send = p.sender(http.MethodDelete, path, authorization, "", nil)
	case step.holdsForMove():
		visit, authorization := uuid.New(), p.sign(uuid.New(), step.request.client)
		r := &e.step.request
		if step.move <= len(p.booked) {
			of := p.booked[len(p.booked)-step.move]
			e.visit, visit = of.label, of.appointment
			booked := of.step.request
			r.person, r.direction, r.kind, r.from = booked.person, booked.direction, booked.kind, booked.from
			if !step.stranger {
				authorization = p.tokens[[2]int{r.person, r.client}]
			}
		}
		body := r.holdBody(p.g)
		body["AppointmentGuid"] = visit
		e.send = p.sender(http.MethodPost, r.holdPath(p.g), authorization, "", body)
	case step.move > 0 && step.request.desk:
		e.send = p.deskMoveSender(e)
	case step.cancel > 0 || step.move > 0:
		visit, authorization := uuid.New(), ""
		e.owner = "another person in " + e.label
		if n := step.cancel + step.move; n <= len(p.booked) {
			of := p.booked[len(p.booked)-n]
			e.visit, visit = of.label, of.appointment
			if !step.stranger {
				e.setOwner(of.step.request.person)
				authorization = p.tokens[[2]int{of.step.request.person, step.request.client}]
			}
		}
		if authorization == "" {
			authorization = p.sign(uuid.New(), step.request.client)
		}
		path := "/appointments/" + visit.String()
		if step.cancel > 0 {
			e.send = p.sender(http.MethodDelete, path, authorization, step.key, step.cancelBody())
		} else {
			e.send = p.sender(http.MethodPost, path+"/move", authorization, step.key, step.moveBody(p.g))
		}
	default:
		r := step.request
		e.setOwner(r.person)
		authorization := p.tokens[[2]int{r.person, r.client}]
		switch {
		case step.hold:
			e.send = p.sender(http.MethodPost, r.holdPath(p.g), authorization, "", r.holdBody(p.g))
		case r.desk:
			path, body := r.deskRequest(p.g)
			e.send = p.sender(http.MethodPost, path, p.desks[r.client], step.key, body)
		case step.key != "":
			e.send = p.sender(http.MethodPost, "/appointments", authorization, step.key, r.body(p.g))
		default:
			body, err := json.Marshal(r.body(p.g))
			require.NoError(p.T, err)
			e.send = func() harness.Answer { return p.Post(string(body), authorization) }
		}
	}
	if e.step.key != "" {
		p.keyed = append(p.keyed, *e)
	}
}

// setOwner sets the owner of the event's key.
func (e *event) setOwner(person int) {
	e.owner = label("P", person) + " through " + label("C", e.step.request.client)
}

// sender returns a function that sends one request each time it is called.
func (p *player) sender(method, path, authorization, key string, body any) func() harness.Answer {
	p.T.Helper()
	var text []byte
	if body != nil {
		var err error
		text, err = json.Marshal(body)
		require.NoError(p.T, err)
	}
	return func() harness.Answer {
		request := p.NewRequest(method, path, bytes.NewReader(text))
		request.Header.Set("Authorization", authorization)
		if body != nil {
			request.Header.Set("Content-Type", "application/json")
		}
		if key != "" {
			request.Header.Set("Idempotency-Key", key)
		}
		return p.Do(request)
	}
}

// finish records an event for later steps.
func (p *player) finish(e event) {
	if e.booked() {
		if e.step.request.desk {
			e.appointment = harness.Decode[api.Visit](p.T, e.answer).GUID
		} else {
			e.appointment = harness.AppointmentOf(e.answer).GUID
		}
		p.g.name(e.appointment, e.label)
		p.booked = append(p.booked, e)
	}
	if e.step.hold && e.answer.StatusCode == http.StatusOK {
		p.held = append(p.held, e)
	}
	p.learn(&e)
	p.events = append(p.events, e)
}

// body returns the body of a booking.
func (r request) body(g *guids) harness.Fields {
	written := func(kind string, n int) string {
		guid := g.of(label(kind, n)).String()
		if r.upper {
			return strings.ToUpper(guid)
		}
		return guid
	}
	body := harness.Fields{
		"DirectionGuid": written("D", r.direction), "DirectionType": r.kind, "LpuFromGuid": written("L", r.from),
		"LpuToGuid": written("L", r.to),
		"IsCito":    r.cito, "VisitComment": r.comment,
	}
	if r.difficulty != 0 {
		body["Difficulty"] = max(r.difficulty, 0)
	}
	switch r.place.kind {
	case "id":
		body["SlotId"] = r.place.id
		if r.place.unreadFields {
			body["SlotGuid"] = "c2ab84d4-bfal-4965-a4a9-48c8306a0a84"
			body["DocPrvdGuid"], body["Date"], body["OutOfSchedule"] = "?", "?", false
		}
	case "guid":
		body["SlotGuid"] = written("S", r.place.slot)
	case "out":
		body["OutOfSchedule"], body["DocPrvdGuid"], body["Date"] = true, written("R", r.place.resource), r.place.date
		if r.place.unreadFields {
			body["SlotId"], body["SlotGuid"] = 1, "?"
		}
	}
	return body
}

// holdPath returns the path of a hold.
func (r request) holdPath(g *guids) string {
	guid := g.of(label("S", r.place.slot)).String()
	if r.upper {
		guid = strings.ToUpper(guid)
	}
	return "/slots/" + guid + "/hold"
}

// holdBody returns the body of a hold.
func (r request) holdBody(g *guids) harness.Fields {
	all := r.body(g)
	body := harness.Fields{}
	for _, key := range []string{"DirectionGuid", "DirectionType", "LpuFromGuid", "LpuToGuid", "Difficulty"} {
		if value, ok := all[key]; ok {
			body[key] = value
		}
	}
	if r.minutes != 0 {
		body["Minutes"] = max(r.minutes, 0)
	}
	return body
}

// moveBody returns the body of a move.
func (s step) moveBody(g *guids) harness.Fields {
	all := s.request.body(g)
	body := harness.Fields{}
	for _, key := range []string{"SlotId", "SlotGuid", "Difficulty"} {
		if value, ok := all[key]; ok {
			body[key] = value
		}
	}
	if !s.keepFields {
		body["LpuToGuid"], body["IsCito"], body["VisitComment"] = all["LpuToGuid"], all["IsCito"], all["VisitComment"]
	}
	return body
}

// describeReplies sets the replies of the events in the model's words: a success in full, a refusal
// by its rule, with the message if the model predicts it.
func describeReplies(s *harness.Service, g *guids, events []event) {
	s.T.Helper()
	for i := range events {
		e := &events[i]
		switch {
		case e.step.toggle || e.step.elapse > 0 || e.step.resend > 0:
			e.reply = "done"
		case len(e.step.messages) > 0:
			e.reply = describeMessageReply(s, g, e)
		case e.step.release > 0 && e.answer.StatusCode == 200:
			require.JSONEq(s.T, `{"code": 200, "message": "Удержание ячейки снято", "message_code": "2000"}`, e.answer.Raw)
			e.reply = "released"
		case e.step.hold && e.answer.StatusCode == 200:
			e.reply = describeHoldResponse(g, harness.Decode[api.Hold](s.T, e.answer))
		case e.step.cancel > 0 && e.answer.StatusCode == 200:
			require.JSONEq(s.T, `{"code": 200, "message": "Запись на прием отменена", "message_code": "2000"}`, e.answer.Raw)
			e.reply = "cancelled"
		case e.step.visitRequest.kind != "" && e.answer.StatusCode == 200:
			e.reply = describeVisitResponse(g, new(harness.Decode[api.Visit](s.T, e.answer)))
		case e.step.request.desk && e.answer.StatusCode == 200:
			e.reply = deskPrefix + describeVisitResponse(g, new(harness.Decode[api.Visit](s.T, e.answer)))
		case e.answer.StatusCode == 200:
			e.reply = describeBookingResponse(s, g, e)
		default:
			e.reply = e.answer.Refusal.Rule
			requireWithheld(s, g, e)
			if slices.Contains(rulesWithMessage, e.reply) {
				e.reply += ": " + g.withLabels(e.answer.Refusal.Message)
			}
			if e.reply == "too_many_holds" {
				for _, hold := range *e.answer.Refusal.Details.Holds {
					e.reply += "; " + describeHoldResponse(g, hold)
				}
			}
		}
		if e.replayed() {
			e.reply = replayPrefix + e.reply
			require.True(s.T, slices.ContainsFunc(events, func(first event) bool {
				return !first.replayed() && first.owner == e.owner && first.step.key == e.step.key &&
					first.answer.Raw == e.answer.Raw
			}), "the replay equals an earlier response")
		}
	}
}

// requireWithheld requires that a refusal of a request of an institution does not name a visit to
// another institution.
func requireWithheld(s *harness.Service, g *guids, e *event) {
	s.T.Helper()
	details := e.answer.Refusal.Details
	var lpu int
	switch st := e.step; {
	case st.visitRequest.kind != "":
		lpu = st.visitRequest.lpu
	case st.request.desk && st.move > 0:
		lpu = st.reassignment.lpu
	case st.request.desk:
		lpu = st.request.to
	default:
		return
	}
	if details == nil || details.Appointment == nil {
		return
	}
	require.Equal(s.T, label("L", lpu), g.withLabels(details.Appointment.LpuGUID.String()), "%s",
		e.answer.Raw)
}

// describeBookingResponse describes a successful booking or move. It requires that the id is that
// of the referral in the target institution.
func describeBookingResponse(s *harness.Service, g *guids, e *event) string {
	s.T.Helper()
	a := harness.AppointmentOf(e.answer)
	var (
		id, number           string
		guid, from, to, card uuid.UUID
	)
	if d := e.answer.Result.ConsultDirection; d != nil {
		id, number, guid, from, to, card = d.ID, d.Number, d.GUID, d.LpuFromGUID, d.LpuToGUID, d.MkabGUID
	} else {
		d := e.answer.Result.LaboratoryDirection
		id, number, guid, from, to, card = d.ID, d.Number, d.GUID, d.LpuFromGUID, d.LpuToGUID, d.MkabGUID
	}
	require.Equal(s.T, 1, s.Count(`SELECT count(*) FROM direction WHERE lpu_guid = $1 AND guid = $2 AND id::text = $3`,
		to, guid, id), "the id is that of the referral in the target institution")
	return g.withLabels(fmt.Sprintf("booked %s as %s, %s %s from %s to %s, card %s, %s to %s, created %s",
		e.answer.Result.Type, a.GUID, guid, number, from, to, card,
		a.Start.Format(time.RFC3339), a.End.Format(time.RFC3339), a.CreateTime.Format(time.RFC3339)))
}

// describeHoldResponse describes a hold.
func describeHoldResponse(g *guids, h api.Hold) string {
	cells := []string{}
	for _, guid := range h.SlotGuids {
		cells = append(cells, guid.String())
	}
	return g.withLabels(fmt.Sprintf("held %s in %s for %s, %s to %s, until %s",
		strings.Join(cells, " "), h.LpuToGUID, h.DirectionGUID,
		h.Start.Format(time.RFC3339), h.End.Format(time.RFC3339), h.HeldUntil.Format(time.RFC3339)))
}
