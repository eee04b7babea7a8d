package model_test

import (
	"bytes"
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
	"talon.example/test/harness"
)

// The service's side of the model test: a world in the tables, a history over HTTP, and what both leave, told in the model's words.

// guids are what stands for the labels of one world. They are fresh, so that worlds do not meet in the database they share.
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

// tell puts labels where a text has guids.
func (g *guids) tell(text string) string {
	return guidPattern.ReplaceAllStringFunc(text, func(guid string) string {
		if label, ok := g.label[uuid.MustParse(guid)]; ok {
			return label
		}
		return "an unknown guid"
	})
}

// furnish puts a world into the tables, in one round trip.
func furnish(s *harness.Service, w *world) *guids {
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
			settings = append(settings, harness.Fields{"owner_guid": owner, "code": code, "value": value, "of_client": strings.HasPrefix(g.label[owner], "C")})
		}
	}
	set(uuid.Nil, "OneActiveAppointmentPerSpeciality", w.onlyOne)
	set(uuid.Nil, "scheduleDays", w.days)
	set(uuid.Nil, "DirectionExpires", w.expires)
	set(uuid.Nil, "DeleteOldTime", w.late)

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
		set(guid, "PolyclinicCode", map[string]string{"own": guid.String(), "other": g.of(label("L", (n+1)%len(w.lpus))).String(), "nowhere": "?"}[l.polyclinic])
		set(guid, "scheduleDays", l.days)
		set(guid, "DirectionExpires", l.expires)
		set(guid, "DeleteOldTime", l.late)
		return harness.Fields{"guid": guid, "legal_entity_guid": g.of(label("E", l.entity)), "code": guid, "name": "ЛПУ", "time_zone": l.zone}
	}))
	insert("client_application", rowsOf(w.clients, func(n int, c clientApplication) harness.Fields {
		set(g.of(label("C", n)), "scheduleDays", c.days)
		return harness.Fields{"guid": g.of(label("C", n)), "name": "", "visit_direction": c.same, "visit_direction_other_lpu": c.other, "out_of_schedule": c.outOfSchedule}
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
				"person_guid": guid, "surname": p.surname, "name": p.name, "patronymic": "", "birth_date": mipBirthDate, "sex": orNull(p.sex),
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
			"lpu_guid": g.of(label("L", k.lpu)), "guid": g.of(label("K", n)), "person_guid": g.of(label("P", k.person)), "surname": "Пациент", "name": "",
			"patronymic": "", "birth_date": k.born, "sex": "male", "snils": "", "disabled": k.disabled, "pregnant": k.pregnant, "created_at": harness.Moment, "closed_at": closed,
		}
	}))
	var cards []harness.Fields
	for n, k := range w.mkabs {
		if slices.IndexFunc(w.mkabs, func(other mkab) bool { return other.lpu == k.lpu && other.person == k.person }) == n {
			cards = append(cards, harness.Fields{"person_guid": g.of(label("P", k.person)), "lpu_guid": g.of(label("L", k.lpu))})
		}
	}
	insert("person_lpu", cards)
	insert("tap", rowsOf(w.taps, func(n int, t tap) harness.Fields {
		var closed any
		if t.closed {
			closed = "2019-08-19"
		}
		return harness.Fields{
			"lpu_guid": g.of(label("L", w.mkabs[t.mkab].lpu)), "guid": g.of(label("T", n)), "mkab_guid": g.of(label("K", t.mkab)),
			"opened_on": t.opened, "closed_on": closed,
		}
	}))
	insert("resource", rowsOf(w.resources, func(n int, r resource) harness.Fields {
		return harness.Fields{
			"lpu_guid": g.of(label("L", r.lpu)), "guid": g.of(label("R", n)), "kind": r.kind, "name": resourceName(n), "speciality_code": r.speciality,
			"active": !r.inactive,
		}
	}))
	insert("slot", rowsOf(w.slots, func(n int, c slot) harness.Fields {
		return harness.Fields{
			"lpu_guid": g.of(label("L", w.resources[c.resource].lpu)), "guid": g.of(label("S", n)), "id": c.id, "resource_guid": g.of(label("R", c.resource)),
			"start_at": c.start, "end_at": c.end(), "capacity": c.capacity, "taken": 0, "flag_access": c.access,
			"busy_type": map[bool]int{false: 1, true: 2}[c.lunch], "blocked": c.blocked, "restriction": c.restriction,
		}
	}))
	held := func(id, n, lpu, mkab int, from any) harness.Fields {
		d := w.directions[n]
		return harness.Fields{
			"lpu_guid": g.of(label("L", lpu)), "guid": g.of(label("D", n)), "id": id, "copied_from_lpu_guid": from, "type": d.kind, "number": directionNumber(n),
			"accession_number": "A-1", "date": "2019-08-13", "date_end": d.dateEnd, "created_at": harness.Moment, "doc_prvd_sender_guid": g.of("sender"),
			"mkab_guid": g.of(label("K", mkab)), "reason": "причина", "comment": "натощак", "urgent": true, "flags": 5, "speciality_code": d.speciality,
			"speciality_name": "Терапия", "mkb_code": "A01.1", "mkb_name": "A", "lpu_from_guid": g.of(label("L", d.from)), "lpu_to_guid": orUnknown(g, "L", d.to),
			"appointment_guid": nil,
		}
	}
	directions := rowsOf(w.directions, func(n int, d direction) harness.Fields {
		return held(originalID(n), n, w.mkabs[d.mkab].lpu, d.mkab, nil)
	})
	for i, c := range w.copies {
		left := held(copyID(i), c.direction, c.lpu, c.mkab, g.of(label("L", w.mkabs[w.directions[c.direction].mkab].lpu)))
		left["lpu_to_guid"] = g.of(label("L", c.lpu))
		directions = append(directions, left)
	}
	insert("direction", directions)
	insert("speciality_claim", rowsOf(w.claims, func(_ int, c claim) harness.Fields {
		return harness.Fields{
			"person_guid": g.of(label("P", c.person)), "speciality_code": c.speciality, "appointment_guid": g.of(c.visit), "lpu_guid": g.of(label("L", c.lpu)),
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

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func orUnknown(g *guids, kind string, n int) any {
	if n == unknown {
		return nil
	}
	return g.of(label(kind, n))
}

// tablesOf reads what a world and its history have left in the tables, a line for each row, as the model tells it.
func tablesOf(s *harness.Service, w *world, g *guids) []string {
	s.T.Helper()
	var lpus, persons []uuid.UUID
	for n := range w.lpus {
		lpus = append(lpus, g.of(label("L", n)))
	}
	for n := range w.persons {
		persons = append(persons, g.of(label("P", n)))
	}
	// Cards that the service made have guids of its own; the one open card of a person in an institution is what it must be.
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

	rows, err = s.DB.Query(s.T.Context(), `
		SELECT format('cell %s: %s taken', guid, taken) FROM slot WHERE lpu_guid = ANY($1)
		UNION ALL
		SELECT format('cell %s is kept for %s until %s', s.guid, h.person_guid, to_char(h.until AT TIME ZONE 'UTC', $3))
		FROM slot s, unnest(s.holds) h WHERE lpu_guid = ANY($1) AND h.until > $5
		UNION ALL
		SELECT format('%s has held %s in %s for %s, %s to %s, until %s', person_guid, array_to_string(slot_guids, ' '), lpu_guid, direction_guid,
			to_char(start_at AT TIME ZONE 'UTC', $3), to_char(end_at AT TIME ZONE 'UTC', $3), to_char(until AT TIME ZONE 'UTC', $3))
		FROM hold WHERE person_guid = ANY($2) AND until > $5
		UNION ALL
		SELECT format('%s through %s %s under %s', person_guid, client_guid, CASE WHEN answer IS NULL THEN 'waits' ELSE 'keeps an answer' END, key)
		FROM idempotency_key WHERE person_guid = ANY($2) AND taken_at > $5::timestamptz - interval '24 hours'
		UNION ALL
		SELECT format('visit %s is in cell %s', guid, slot_guid) FROM appointment, unnest(slot_guids) slot_guid WHERE lpu_guid = ANY($1)
		UNION ALL
		SELECT format('visit %s: %s of %s to %s in %s, card %s, by %s, %s to %s, out of schedule %s, cito %s, «%s»%s', guid, direction_guid, person_guid,
			resource_guid, lpu_guid, mkab_guid, client_guid, to_char(start_at AT TIME ZONE 'UTC', $3), to_char(end_at AT TIME ZONE 'UTC', $3),
			out_of_schedule::text, is_cito::text, comment, 
			CASE WHEN cancelled_at IS NOT NULL THEN ', cancelled' || coalesce(' for ' || cancel_reason_code, '') || coalesce(' «' || cancel_reason || '»', '') END)
		FROM appointment WHERE lpu_guid = ANY($1)
		UNION ALL
		SELECT format('%s in %s: id %s, card %s, visit %s%s', d.guid, d.lpu_guid, CASE WHEN d.id < 1000000000 THEN d.id::text ELSE 'new' END, d.mkab_guid,
			coalesce(d.appointment_guid::text, 'none'), ', a copy from ' || d.copied_from_lpu_guid || (
				SELECT CASE WHEN to_jsonb(o) - $4::text[] = to_jsonb(d) - $4::text[] THEN ', faithful' END
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
		lpus, persons, `YYYY-MM-DD"T"HH24:MI:SS"Z"`, []string{"lpu_guid", "id", "copied_from_lpu_guid", "mkab_guid", "lpu_to_guid", "appointment_guid",
			"appointment_lpu_guid", "appointment_start_at", "appointment_end_at"}, s.Now())
	require.NoError(s.T, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(s.T, err)
	for i := range lines {
		lines[i] = g.tell(lines[i])
	}
	slices.Sort(lines)
	return lines
}

// event is a step as it happened.
type event struct {
	client    int
	label     string
	step      step                  // of a request that is sent again, what it was
	visit     string                // to cancel or to move: the label of its booking, empty where there is none
	held      *request              // to give back: what the cell was held for, nil where there is none
	owner     string                // whose key it would be
	send      func() harness.Answer // does it
	call, end time.Duration         // since the history began
	answer    harness.Answer        // to a request
	reply     string                // the answer in the model's words
}

// replayed tells whether the answer is that of an earlier request.
func (e *event) replayed() bool {
	return e.answer.Response != nil && e.answer.Header.Get("Idempotency-Replayed") == "true"
}

// booked tells whether this is a booking that succeeded.
func (e *event) booked() bool {
	return e.step.books() && e.answer.StatusCode == http.StatusOK && !e.replayed()
}

// guid is the one that the service gave to the visit that was booked.
func (e *event) guid() string {
	if !e.booked() {
		return ""
	}
	return harness.AppointmentOf(e.answer).GUID.String()
}

// storyT fails a story, where failing the test would end it before the story could be made smaller.
type storyT struct {
	testing.TB

	mu       sync.Mutex
	problems []string
}

func (t *storyT) Errorf(format string, values ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.problems = append(t.problems, fmt.Sprintf(format, values...))
}

func (t *storyT) FailNow() { runtime.Goexit() }

// play plays a story's history, its clients at the same time, and gives the events in the order of the answers, and the tables at the end. What is
// wrong with an answer by itself, such as that it breaks the contract, is a problem.
func play(s *harness.Service, st *story) (events []event, tables, problems []string) {
	s.T.Helper()
	failures := &storyT{TB: s.T}
	copied := *s
	copied.T = failures
	on := &copied
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		g := furnish(on, &st.world)
		events = playHistory(on, st, g)
		tables = tablesOf(on, &st.world, g)
		putIntoWords(on, g, events)
	}()
	<-finished
	return events, tables, failures.problems
}

func playHistory(s *harness.Service, st *story, g *guids) []event {
	var (
		mu    sync.Mutex
		p     = newPlayer(s, st, g)
		group sync.WaitGroup
		gate  = make(chan struct{})
		began time.Time
	)
	for c, steps := range st.history {
		group.Go(func() {
			<-gate
			for i, step := range steps {
				e := event{client: c, label: stepLabel(c, i), step: step}
				mu.Lock()
				p.begin(&e)
				mu.Unlock()
				e.call = time.Since(began)
				e.answer = e.send()
				e.end = time.Since(began)
				mu.Lock()
				p.finish(e)
				mu.Unlock()
			}
		})
	}
	began = time.Now()
	close(gate)
	group.Wait()
	return p.events
}

// player plays the steps of a history, each to what happened before it.
type player struct {
	*harness.Service

	g      *guids
	tokens map[[2]int]string // of a person through a client application
	events []event           // in the order of their answers
	booked []event
	held   []event
	keyed  []event // in the order of their calls
}

// newPlayer signs the tokens before the first request, so that clients race with requests alone.
func newPlayer(s *harness.Service, st *story, g *guids) *player {
	s.T.Helper()
	p := &player{Service: s, g: g, tokens: map[[2]int]string{}}
	for n := range st.world.persons {
		for c := unknown; c < len(st.world.clients); c++ {
			p.tokens[[2]int{n, c}] = p.sign(g.of(label("P", n)), c)
		}
	}
	return p
}

// sign gives a token that lasts as long as any story.
func (p *player) sign(person uuid.UUID, client int) string {
	p.T.Helper()
	token, err := p.Key.Sign(auth.Token{Person: person, Client: p.g.of(label("C", client))}, "issuer", "talon", harness.Moment, 7*24*time.Hour)
	require.NoError(p.T, err)
	return "Bearer " + token
}

// begin finds out what a step is about, and how to do it.
func (p *player) begin(e *event) {
	p.T.Helper()
	step := e.step
	switch {
	case step.again > 0:
		e.send = func() harness.Answer { return harness.Answer{} }
		if step.again <= len(p.keyed) {
			of := p.keyed[len(p.keyed)-step.again]
			e.step, e.visit, e.owner, e.send = of.step, of.visit, of.owner, of.send
		}
	case step.pass > 0:
		e.send = func() harness.Answer { p.AdvanceClock(step.pass); return harness.Answer{} }
	case step.toggle:
		e.send = func() harness.Answer {
			p.Exec(`INSERT INTO setting VALUES ($1, 'OneActiveAppointmentPerSpeciality', 'false')
				ON CONFLICT (owner_guid, code) DO UPDATE SET value = (setting.value <> 'true')::text`, uuid.Nil)
			return harness.Answer{}
		}
	case step.release > 0:
		path, authorization := "/slots/"+uuid.NewString()+"/hold?lpuGuid="+uuid.NewString(), p.sign(uuid.New(), 0)
		if step.release <= len(p.held) {
			e.held = &p.held[len(p.held)-step.release].step.request
			path = e.held.holdPath(p.g) + "?lpuGuid=" + p.g.of(label("L", e.held.to)).String()
			if !step.stranger {
				authorization = p.tokens[[2]int{e.held.person, 0}]
			}
		}
		e.send = p.sending(http.MethodDelete, path, authorization, "", nil)
	case step.holdsForMove():
		visit, authorization := uuid.New(), p.sign(uuid.New(), step.request.client)
		r := &e.step.request
		if step.move <= len(p.booked) {
			of := p.booked[len(p.booked)-step.move]
			e.visit, visit = of.label, harness.AppointmentOf(of.answer).GUID
			r.person, r.direction, r.kind, r.from = of.step.request.person, of.step.request.direction, of.step.request.kind, of.step.request.from
			if !step.stranger {
				authorization = p.tokens[[2]int{r.person, r.client}]
			}
		}
		body := r.holdBody(p.g)
		body["AppointmentGuid"] = visit
		e.send = p.sending(http.MethodPost, r.holdPath(p.g), authorization, "", body)
	case step.cancel > 0 || step.move > 0:
		visit, authorization := uuid.New(), ""
		e.owner = "a stranger of " + e.label
		if n := step.cancel + step.move; n <= len(p.booked) {
			of := p.booked[len(p.booked)-n]
			e.visit, visit = of.label, harness.AppointmentOf(of.answer).GUID
			if !step.stranger {
				e.own(of.step.request.person)
				authorization = p.tokens[[2]int{of.step.request.person, step.request.client}]
			}
		}
		if authorization == "" {
			authorization = p.sign(uuid.New(), step.request.client)
		}
		path := "/appointments/" + visit.String()
		if step.cancel > 0 {
			e.send = p.sending(http.MethodDelete, path, authorization, step.key, step.reason())
		} else {
			e.send = p.sending(http.MethodPost, path+"/move", authorization, step.key, step.moveBody(p.g))
		}
	default:
		r := step.request
		e.own(r.person)
		authorization := p.tokens[[2]int{r.person, r.client}]
		switch {
		case step.hold:
			e.send = p.sending(http.MethodPost, r.holdPath(p.g), authorization, "", r.holdBody(p.g))
		case step.key != "":
			e.send = p.sending(http.MethodPost, "/appointments", authorization, step.key, r.body(p.g))
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

// own makes the event one of a person.
func (e *event) own(person int) {
	e.owner = label("P", person) + " through " + label("C", e.step.request.client)
}

// sending sends a request, the same each time; with a key and a body where they are given.
func (p *player) sending(method, path, authorization, key string, body any) func() harness.Answer {
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

// finish keeps what later steps are about.
func (p *player) finish(e event) {
	if e.booked() {
		p.g.name(harness.AppointmentOf(e.answer).GUID, e.label)
		p.booked = append(p.booked, e)
	}
	if e.step.hold && e.answer.StatusCode == http.StatusOK {
		p.held = append(p.held, e)
	}
	p.events = append(p.events, e)
}

// body is the request as it is sent.
func (r request) body(g *guids) harness.Fields {
	written := func(kind string, n int) string {
		guid := g.of(label(kind, n)).String()
		if r.upper {
			return strings.ToUpper(guid)
		}
		return guid
	}
	body := harness.Fields{
		"DirectionGuid": written("D", r.direction), "DirectionType": r.kind, "LpuFromGuid": written("L", r.from), "LpuToGuid": written("L", r.to),
		"IsCito": r.cito, "VisitComment": r.comment,
	}
	if r.difficulty != 0 {
		body["Difficulty"] = max(r.difficulty, 0)
	}
	switch r.place.how {
	case "id":
		body["SlotId"] = r.place.id
		if r.place.junk {
			body["SlotGuid"], body["DocPrvdGuid"], body["Date"], body["OutOfSchedule"] = "c2ab84d4-bfal-4965-a4a9-48c8306a0a84", "?", "?", false
		}
	case "guid":
		body["SlotGuid"] = written("S", r.place.slot)
	case "out":
		body["OutOfSchedule"], body["DocPrvdGuid"], body["Date"] = true, written("R", r.place.resource), r.place.date
		if r.place.junk {
			body["SlotId"], body["SlotGuid"] = 1, "?"
		}
	}
	return body
}

// holdPath is where a hold is sent to.
func (r request) holdPath(g *guids) string {
	guid := g.of(label("S", r.place.slot)).String()
	if r.upper {
		guid = strings.ToUpper(guid)
	}
	return "/slots/" + guid + "/hold"
}

// holdBody is a hold as it is sent.
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

// moveBody is a move as it is sent.
func (s step) moveBody(g *guids) harness.Fields {
	all := s.request.body(g)
	body := harness.Fields{}
	for _, key := range []string{"SlotId", "SlotGuid", "Difficulty"} {
		if value, ok := all[key]; ok {
			body[key] = value
		}
	}
	if !s.keep {
		body["LpuToGuid"], body["IsCito"], body["VisitComment"] = all["LpuToGuid"], all["IsCito"], all["VisitComment"]
	}
	return body
}

// putIntoWords tells the answers in the model's words: a success in full, a refusal by its rule, with the message where the model knows it.
func putIntoWords(s *harness.Service, g *guids, events []event) {
	s.T.Helper()
	for i := range events {
		e := &events[i]
		switch {
		case e.step.toggle || e.step.pass > 0 || e.step.again > 0:
			e.reply = "done"
		case e.step.release > 0 && e.answer.StatusCode == 200:
			require.JSONEq(s.T, `{"code": 200, "message": "Удержание ячейки снято", "message_code": "2000"}`, e.answer.Raw)
			e.reply = "released"
		case e.step.hold && e.answer.StatusCode == 200:
			e.reply = toldHold(g, harness.Decode[api.Hold](s.T, e.answer))
		case e.step.cancel > 0 && e.answer.StatusCode == 200:
			require.JSONEq(s.T, `{"code": 200, "message": "Запись на прием отменена", "message_code": "2000"}`, e.answer.Raw)
			e.reply = "cancelled"
		case e.answer.StatusCode == 200:
			e.reply = told(s, g, e)
		default:
			e.reply = string(e.answer.Refusal.Rule)
			if slices.Contains(toldInFull, e.reply) {
				e.reply += ": " + g.tell(e.answer.Refusal.Message)
			}
			if e.reply == "too_many_holds" {
				for _, hold := range *e.answer.Refusal.Details.Holds {
					e.reply += "; " + toldHold(g, hold)
				}
			}
		}
		if e.replayed() {
			e.reply = again + e.reply
			require.True(s.T, slices.ContainsFunc(events, func(first event) bool {
				return !first.replayed() && first.owner == e.owner && first.step.key == e.step.key && first.answer.Raw == e.answer.Raw
			}), "it is an earlier answer to the letter")
		}
	}
}

// told is a success in the model's words. That its id is the one of the row in the target institution is looked up.
func told(s *harness.Service, g *guids, e *event) string {
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
		to, guid, id), "the id is the referral's where the visit is")
	return g.tell(fmt.Sprintf("booked %s as %s, %s %s from %s to %s, card %s, %s to %s, created %s", e.answer.Result.Type, a.GUID, guid, number, from, to, card,
		a.Start.Format(time.RFC3339), a.End.Format(time.RFC3339), a.CreateTime.Format(time.RFC3339)))
}

// toldHold is a hold in the model's words.
func toldHold(g *guids, h api.Hold) string {
	cells := []string{}
	for _, guid := range h.SlotGuids {
		cells = append(cells, guid.String())
	}
	return g.tell(fmt.Sprintf("held %s in %s for %s, %s to %s, until %s", strings.Join(cells, " "), h.LpuToGUID, h.DirectionGUID,
		h.Start.Format(time.RFC3339), h.End.Format(time.RFC3339), h.HeldUntil.Format(time.RFC3339)))
}
