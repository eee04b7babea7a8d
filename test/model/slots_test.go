package model_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/test/harness"
)

// Promise: every cell that the search offers can be booked, and every other cell is rejected by the
// rule that explain names. The same holds for each visit and the cells that it can be moved to. The
// model of the rules decides for all cells, and real bookings, holds and moves for some.
func TestSlotsByModel(t *testing.T) {
	t.Parallel()
	s := startModel(t)
	rapid.Check(t, func(rt *rapid.T) {
		st := longScenarios.Draw(rt, "scenario")
		client := rapid.IntRange(0, len(st.world.clients)-1).Draw(rt, "client")
		difficulty := rapid.SampledFrom([]int{1, 2, 1, 3, 0}).Draw(rt, "difficulty")
		limit := rapid.IntRange(1, 6).Draw(rt, "limit")
		days := rapid.IntRange(1, 3).Draw(rt, "days") // in some zones it is tomorrow
		chosen := rapid.Uint8().Draw(rt, "chosen")

		failures := &scenarioT{TB: t}
		copied := *s
		copied.T = failures
		on := &copied
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			g := insertWorld(on, &st.world)
			now := st.world.initialState()
			for _, e := range playHistory(on, st, g) {
				_, now = now.apply(e)
			}
			search := &searchComparison{
				Service: on, g: g, state: now.withPersonsKnown(), client: client, difficulty: difficulty, limit: limit,
				chosen: int(chosen),
			}
			lastDay := now.now.AddDate(0, 0, days).Format(time.DateOnly)
			for n := range st.world.directions {
				search.compare(n, lastDay)
				search.compareInstitutions(n)
			}
			for _, v := range search.state.visits {
				search.movedVisit = v.label
				search.compare(v.direction, lastDay)
			}
		}()
		<-finished
		if len(failures.problems) > 0 {
			rt.Fatal(strings.Join(failures.problems, "\n"))
		}
	})
}

// withPersonsKnown returns the state in which the master patient index has all data of every
// person, as the search assumes.
func (s state) withPersonsKnown() state {
	known := *s.world
	known.persons = slices.Clone(known.persons)
	for i := range known.persons {
		known.persons[i] = person{known: true, data: true, surname: "?", name: "?", sex: "female", policy: "?"}
	}
	s.world = &known
	return s
}

type searchComparison struct {
	*harness.Service

	g          *guids
	state      state
	client     int
	difficulty int
	limit      int
	chosen     int
	movedVisit string // the label of the visit to move; empty for a new booking
}

// compare compares the searches for a referral with the model, in the whole period and in one that
// ends with a given day.
func (m *searchComparison) compare(n int, lastDay string) {
	d := m.state.directions[n]
	var targets []int
	for l, at := range m.state.lpus {
		if d.to == unknown || at.entity == m.state.lpus[d.to].entity {
			targets = append(targets, l)
		}
	}
	if d.to != unknown {
		m.compareIn(n, targets, "", lastDay)
		return
	}
	for _, l := range targets {
		m.compareIn(n, []int{l}, " lpuGuid="+m.g.of(label("L", l)).String(), lastDay)
	}
}

// compareInstitutions compares the institutions of a referral with the searches in each of them.
func (m *searchComparison) compareInstitutions(n int) {
	m.T.Helper()
	listed := map[uuid.UUID]api.ServingInstitution{}
	for _, item := range m.Institutions(m.g.of(label("D", n)), m.authorization(n), fmt.Sprintf("?limit=%d", m.limit)) {
		listed[item.Lpu.GUID] = item
	}
	d := m.state.directions[n]
	for l, at := range m.state.lpus {
		lpu := m.g.of(label("L", l))
		item, found := listed[lpu]
		if d.to != unknown && at.entity != m.state.lpus[d.to].entity {
			require.False(m.T, found, "%s does not lead to %s", label("D", n), label("L", l))
			continue
		}
		page := m.SearchSlots(m.g.of(label("D", n)), m.authorization(n), "limit=1 lpuGuid="+lpu.String()).Page
		first := page.NextAvailable
		if len(page.Items) > 0 {
			first = &page.Items[0].Start
		}
		require.Equal(m.T, first, item.NextAvailable, "%s in %s", label("D", n), label("L", l))
		if found {
			require.Equal(m.T, m.describeRefusal(page.BlockedBy), m.describeRefusal(item.BlockedBy), "%s in %s",
				label("D", n), label("L", l))
		}
	}
}

// day returns the day of a cell in the zone of its institution.
func (m *searchComparison) day(c int) string {
	cell := m.state.slots[c]
	return cell.start.In(m.state.zone(m.state.resources[cell.resource].lpu)).Format(time.DateOnly)
}

func (m *searchComparison) compareIn(n int, targets []int, where string, lastDay string) {
	m.T.Helper()
	d := m.state.directions[n]
	expected := map[string]string{} // the model's rule against each cell
	first := time.Time{}
	for c, cell := range m.state.slots {
		at := m.state.resources[cell.resource]
		if cell.gone || !slices.Contains(targets, at.lpu) {
			continue
		}
		rule := m.expectedRule(n, c)
		if m.isCurrentPlace(n, c) {
			continue
		}
		if d.kind == "Consult" && at.speciality != d.speciality {
			require.NotEmpty(m.T, rule, "%s must not be searched", label("S", c))
			continue
		}
		expected[label("S", c)] = rule
		if rule == "" && m.day(c) > lastDay && (first.IsZero() || cell.start.Before(first)) {
			first = cell.start
		}
	}
	common := fmt.Sprintf("limit=%d%s ", m.limit, where)
	if m.difficulty != 0 {
		common += fmt.Sprintf("difficulty=%d ", m.difficulty)
	}
	if m.movedVisit != "" {
		common += "appointmentGuid=" + m.g.of(m.movedVisit).String() + " "
	}
	blocked := m.blockedBy(n, targets, unknown)
	explained, last := m.list(n, common+"explain=true dateFrom=2019-08-19 dateTo=2019-09-01")
	require.Equal(m.T, blocked, m.describeRefusal(last.BlockedBy), "%s %s", label("D", n), common)
	got := map[string]string{}
	for _, item := range explained {
		rule := ""
		if item.Rule != nil {
			rule = m.describeRefusal(&api.SlotRefusal{Rule: *item.Rule, Message: *item.Message})
		}
		require.Equal(m.T, rule == "", item.Status == api.SlotStatusAvailable)
		got[m.g.label[item.GUID]] = rule
	}
	require.Equal(m.T, expected, got, "%s %s", label("D", n), common)

	free := func(until string) (cells []string) {
		for cell, rule := range expected {
			var c int
			_, err := fmt.Sscanf(cell, "S%d", &c)
			require.NoError(m.T, err)
			if rule == "" && m.day(c) <= until {
				cells = append(cells, cell)
			}
		}
		slices.Sort(cells)
		return cells
	}
	for query, until := range map[string]string{"": "9999-12-31", "dateTo=" + lastDay: lastDay} {
		offered, last := m.list(n, common+query)
		var cells []string
		for _, item := range offered {
			require.Equal(m.T, api.SlotStatusAvailable, item.Status)
			cells = append(cells, m.g.label[item.GUID])
		}
		slices.Sort(cells)
		require.Equal(m.T, free(until), cells, "%s %s%s", label("D", n), common, query)
		require.Equal(m.T, blocked, m.describeRefusal(last.BlockedBy), "%s %s%s", label("D", n), common, query)
		require.True(m.T, blocked == "" || len(cells) == 0 && last.NextAvailable == nil)
		if query != "" {
			require.Equal(m.T, len(cells) == 0 && !first.IsZero(), last.NextAvailable != nil)
			if last.NextAvailable != nil {
				require.True(m.T, first.Equal(*last.NextAvailable), "%s, not %s", first, last.NextAvailable)
			}
		}
	}

	// Search one resource only.
	at := m.chosen % len(m.state.resources)
	_, alone := m.list(n, common+"resourceGuid="+m.g.of(label("R", at)).String())
	require.Equal(m.T, m.blockedBy(n, targets, at), m.describeRefusal(alone.BlockedBy), "%s %s %s", label("D", n),
		common, label("R", at))

	// Book one listed cell, or hold it and move the visit there.
	if n == m.chosen%len(m.state.directions) && len(explained) > 0 && !m.needsMip(n, targets) {
		item := explained[m.chosen%len(explained)]
		var c int
		_, err := fmt.Sscanf(m.g.label[item.GUID], "S%d", &c)
		require.NoError(m.T, err)
		m.bookOrMove(n, c, &item)
	}
}

// bookOrMove books a listed cell, or holds it for the visit and moves the visit there.
func (m *searchComparison) bookOrMove(n, c int, item *api.Slot) {
	m.T.Helper()
	r := m.request(n, c)
	requireAs := func(a harness.Answer) {
		m.T.Helper()
		require.Equal(m.T, item.Status == api.SlotStatusAvailable, a.StatusCode == 200, "%s", a.Raw)
		if item.Rule != nil {
			a.RequireRefusal(m.T, *item.Rule)
			require.Equal(m.T, *item.Message, a.Refusal.Message)
		}
	}
	if m.movedVisit == "" {
		a := m.Post(r.body(m.g), m.authorization(n))
		requireAs(a)
		if item.Rule == nil {
			guid := harness.AppointmentOf(a).GUID
			m.g.name(guid, "booked")
			_, m.state = m.state.book("booked", guid.String(), r)
		}
		return
	}
	st := step{move: 1, request: r}
	body := r.holdBody(m.g)
	body["AppointmentGuid"] = m.g.of(m.movedVisit)
	held := m.Send(r.holdPath(m.g), body, m.authorization(n))
	if refusal, request := m.state.checkHoldForMove(m.movedVisit, st); refusal != "" {
		requireAs(held)
	} else {
		var reply string
		reply, m.state = m.state.writeHoldForMove("held", m.movedVisit, request, m.state.choose(request))
		if held.StatusCode == 200 {
			require.Equal(m.T, reply, describeHoldResponse(m.g, harness.Decode[api.Hold](m.T, held)))
		} else {
			held.RequireRefusal(m.T, strings.Split(reply, ";")[0])
		}
	}
	requireAs(m.MoveAs(m.authorization(n), m.g.of(m.movedVisit), st.moveBody(m.g)))
	if item.Rule != nil {
		return
	}
	reply, request, _ := m.state.checkMove(m.movedVisit, st)
	require.Empty(m.T, reply)
	reply, m.state = m.state.writeMove(m.movedVisit, request, reassignment{}, m.state.choose(request),
		m.state.ownHolds(request))
	require.Contains(m.T, reply, "booked ")
	current := m.Count(`SELECT count(*) FROM hold WHERE person_guid = $1 AND until > $2`, m.g.of(label("P", r.person)), m.Now())
	require.Len(m.T, m.state.holdsOf(r.person), current, "the move used up the hold")
}

// expectedRule returns the model's rule against a booking of a cell, or a move to it. It is empty
// if the request succeeds.
func (m *searchComparison) expectedRule(n, cell int) string {
	if m.movedVisit == "" {
		rule, _ := m.state.check(m.request(n, cell))
		return rule
	}
	rule, _, _ := m.state.checkMove(m.movedVisit, step{move: 1, request: m.request(n, cell)})
	return rule
}

// isCurrentPlace reports whether a move to a cell would leave the visit where it is.
func (m *searchComparison) isCurrentPlace(n, cell int) bool {
	at := slices.IndexFunc(m.state.visits, func(v visit) bool { return v.label == m.movedVisit })
	if at == unknown || m.state.visits[at].cancelled {
		return false
	}
	r := m.request(n, cell)
	if r.difficulty == 0 {
		r.difficulty = max(len(m.state.visits[at].slots), 1)
	}
	return m.state.isSamePlace(m.state.visits[at], r)
}

// blockedBy returns the model's rule against a cell without obstacles, in each institution that has
// a future cell for the referral or of the resource. The cell is in a stale schedule if all such
// cells of the institution are. If none has such a cell, all institutions count. It is empty if one
// institution would accept the booking.
func (m *searchComparison) blockedBy(n int, targets []int, alone int) string {
	d := m.state.directions[n]
	slices.SortFunc(targets, func(a, b int) int {
		if a == d.to || b == d.to {
			return map[bool]int{true: -1, false: 1}[a == d.to]
		}
		return strings.Compare(m.g.of(label("L", a)).String(), m.g.of(label("L", b)).String())
	})
	var withCells, all []string
	for _, l := range targets {
		fits := resource{lpu: l, kind: "doctor", speciality: d.speciality}
		has := false
		for _, cell := range m.state.slots {
			at := m.state.resources[cell.resource]
			if at.lpu != l || cell.gone || cell.start.Before(m.state.now) {
				continue
			}
			switch {
			case cell.resource == alone:
				fits, has = at, true
			case alone == unknown && !at.inactive &&
				(d.kind != "Consult" || at.kind != "equipment" && at.speciality == d.speciality):
				if !has || !m.state.isStale(at) {
					fits.confirmed = at.confirmed
				}
				has = true
			}
		}
		rule := m.expectedRuleOfIdealCell(n, fits)
		all = append(all, rule)
		if has {
			withCells = append(withCells, rule)
		}
	}
	if len(withCells) == 0 {
		withCells = all
	}
	if slices.Contains(withCells, "") {
		return ""
	}
	return withCells[0]
}

// expectedRuleOfIdealCell returns the rule against a cell without obstacles.
func (m *searchComparison) expectedRuleOfIdealCell(n int, at resource) string {
	with := *m.state.world
	with.resources = append(slices.Clone(with.resources), at)
	with.slots = append(slices.Clone(with.slots), slot{
		resource: len(with.resources) - 1, start: m.state.now, capacity: 1, access: math.MaxInt32,
		restriction: "none",
	})
	ideal := searchComparison{state: m.state, client: m.client, difficulty: 1, movedVisit: m.movedVisit}
	ideal.state.world = &with
	return ideal.expectedRule(n, len(with.slots)-1)
}

// describeRefusal describes a refusal in the model's words.
func (m *searchComparison) describeRefusal(refusal *api.SlotRefusal) string {
	switch {
	case refusal == nil:
		return ""
	case slices.Contains(rulesWithMessage, refusal.Rule):
		return refusal.Rule + ": " + m.g.withLabels(refusal.Message)
	default:
		return refusal.Rule
	}
}

// needsMip reports whether a booking would create a card in one of the institutions.
func (m *searchComparison) needsMip(n int, targets []int) bool {
	return slices.ContainsFunc(targets, func(l int) bool {
		open, closed := m.state.cardsOf(m.state.mkabs[m.state.directions[n].mkab].person, l)
		return open == "" && !closed
	})
}

func (m *searchComparison) request(n, cell int) request {
	d := m.state.directions[n]
	card := m.state.mkabs[d.mkab]
	r := request{
		person: card.person, client: m.client, direction: n, kind: d.kind, from: card.lpu,
		to:    m.state.resources[m.state.slots[cell].resource].lpu,
		place: place{kind: "guid", slot: cell}, difficulty: m.difficulty,
	}
	if at := slices.IndexFunc(m.state.visits, func(v visit) bool { return v.label == m.movedVisit }); at != unknown {
		r.comment, r.cito = m.state.visits[at].request.comment, m.state.visits[at].request.cito
	}
	return r
}

func (m *searchComparison) authorization(n int) string {
	m.T.Helper()
	person := m.state.mkabs[m.state.directions[n].mkab].person
	token, err := m.Key.Sign(auth.Caller{Person: m.g.of(label("P", person)), Client: m.g.of(label("C", m.client))},
		"issuer", "talon", harness.Moment, 48*time.Hour)
	require.NoError(m.T, err)
	return "Bearer " + token
}

// list returns the items of all pages, and the last page.
func (m *searchComparison) list(n int, query string) ([]api.Slot, api.SlotPage) {
	m.T.Helper()
	var items []api.Slot
	for cursor := ""; ; {
		a := m.SearchSlots(m.g.of(label("D", n)), m.authorization(n), query+cursor)
		require.Equal(m.T, 200, a.StatusCode, "%s", a.Raw)
		items = append(items, a.Page.Items...)
		if a.Page.Next == nil {
			require.True(m.T, slices.IsSortedFunc(items, func(a, b api.Slot) int { return a.Start.Compare(b.Start) }))
			return items, a.Page
		}
		require.Nil(m.T, a.Page.NextAvailable)
		cursor = " cursor=" + *a.Page.Next
	}
}
