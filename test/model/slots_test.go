package model_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/test/harness"
)

// Promise: whatever the world, each cell that is offered would be booked, each that is not would be refused, and explain names the very rule; by the model
// of the rules, which knows nothing of the service, and for some by booking them. The same of each visit that there is and the cells that it can be moved to, for
// some by holding them and moving it.
func TestSlotsByModel(t *testing.T) {
	t.Parallel()
	s := startModel(t)
	rapid.Check(t, func(rt *rapid.T) {
		st := longStories.Draw(rt, "story")
		client := rapid.IntRange(0, len(st.world.clients)-1).Draw(rt, "client")
		difficulty := rapid.SampledFrom([]int{1, 2, 1, 3, 0}).Draw(rt, "difficulty")
		limit := rapid.IntRange(1, 6).Draw(rt, "limit")
		minutes := rapid.IntRange(1, 24*60).Draw(rt, "minutes")
		chosen := rapid.Uint8().Draw(rt, "chosen")

		failures := &storyT{TB: t}
		copied := *s
		copied.T = failures
		on := &copied
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			g := furnish(on, &st.world)
			now := st.world.begin()
			for _, e := range playHistory(on, st, g) {
				_, now = now.apply(e)
			}
			search := &modelSearch{Service: on, g: g, state: now.withPersonsKnown(), client: client, difficulty: difficulty, limit: limit, chosen: int(chosen)}
			end := now.now.Add(time.Duration(minutes) * time.Minute)
			for n := range st.world.directions {
				search.judge(n, end)
			}
			for _, v := range search.state.visits {
				search.moved = v.label
				search.judge(v.direction, end)
			}
		}()
		<-finished
		if len(failures.problems) > 0 {
			rt.Fatal(strings.Join(failures.problems, "\n"))
		}
	})
}

// withPersonsKnown is the state where the master patient index knows all of everybody, as a list takes for granted.
func (s state) withPersonsKnown() state {
	known := *s.world
	known.persons = slices.Clone(known.persons)
	for i := range known.persons {
		known.persons[i] = person{known: true, data: true, surname: "?", name: "?", sex: "female", policy: "?"}
	}
	s.world = &known
	return s
}

type modelSearch struct {
	*harness.Service

	g          *guids
	state      state
	client     int
	difficulty int
	limit      int
	chosen     int
	moved      string // the visit that is to be moved; empty where a new one is to be booked
}

// judge compares the lists of a referral with the model: in the whole period, and in one that ends at a moment.
func (m *modelSearch) judge(n int, end time.Time) {
	d := m.state.directions[n]
	var targets []int
	for l, at := range m.state.lpus {
		if d.to == unknown || at.entity == m.state.lpus[d.to].entity {
			targets = append(targets, l)
		}
	}
	if d.to != unknown {
		m.judgeIn(n, targets, "", end)
		return
	}
	for _, l := range targets {
		m.judgeIn(n, []int{l}, " lpuGuid="+m.g.of(label("L", l)).String(), end)
	}
}

func (m *modelSearch) judgeIn(n int, targets []int, where string, end time.Time) {
	m.T.Helper()
	d := m.state.directions[n]
	wanted := map[string]string{} // the answer that booking each cell would get, by the model
	first := time.Time{}
	for c, cell := range m.state.slots {
		at := m.state.resources[cell.resource]
		if !slices.Contains(targets, at.lpu) {
			continue
		}
		says := m.says(n, c)
		if m.stands(n, c) {
			continue
		}
		if d.kind == "Consult" && at.speciality != d.speciality {
			require.NotEmpty(m.T, says, "%s is not looked at", label("S", c))
			continue
		}
		wanted[label("S", c)] = says
		if says == "" && !cell.start.Before(end) && (first.IsZero() || cell.start.Before(first)) {
			first = cell.start
		}
	}
	common := fmt.Sprintf("limit=%d%s ", m.limit, where)
	if m.difficulty != 0 {
		common += fmt.Sprintf("difficulty=%d ", m.difficulty)
	}
	if m.moved != "" {
		common += "appointmentGuid=" + m.g.of(m.moved).String() + " "
	}
	blocked := m.blockedBy(n, targets, unknown)
	explained, last := m.list(n, common+"explain=true dateFrom=2019-08-19 dateTo=2019-09-01")
	require.Equal(m.T, blocked, m.toldRefusal(last.BlockedBy), "%s %s", label("D", n), common)
	got := map[string]string{}
	for _, item := range explained {
		says := ""
		if item.Rule != nil {
			says = m.toldRefusal(&api.SlotRefusal{Rule: *item.Rule, Message: *item.Message})
		}
		require.Equal(m.T, says == "", item.Status == api.SlotStatusAvailable)
		got[m.g.label[item.GUID]] = says
	}
	require.Equal(m.T, wanted, got, "%s %s", label("D", n), common)

	free := func(until time.Time) (cells []string) {
		for cell, says := range wanted {
			var c int
			_, err := fmt.Sscanf(cell, "S%d", &c)
			require.NoError(m.T, err)
			if says == "" && m.state.slots[c].start.Before(until) {
				cells = append(cells, cell)
			}
		}
		slices.Sort(cells)
		return cells
	}
	for query, until := range map[string]time.Time{"": m.state.now.AddDate(0, 0, 14), "dateTo=" + end.Format(time.RFC3339): end} {
		offered, last := m.list(n, common+query)
		var cells []string
		for _, item := range offered {
			require.Equal(m.T, api.SlotStatusAvailable, item.Status)
			cells = append(cells, m.g.label[item.GUID])
		}
		slices.Sort(cells)
		require.Equal(m.T, free(until), cells, "%s %s%s", label("D", n), common, query)
		require.Equal(m.T, blocked, m.toldRefusal(last.BlockedBy), "%s %s%s", label("D", n), common, query)
		require.True(m.T, blocked == "" || len(cells) == 0 && last.NextAvailable == nil)
		if query != "" {
			require.Equal(m.T, len(cells) == 0 && !first.IsZero(), last.NextAvailable != nil)
			if last.NextAvailable != nil {
				require.True(m.T, first.Equal(*last.NextAvailable), "%s, not %s", first, last.NextAvailable)
			}
		}
	}

	// One resource alone.
	at := m.chosen % len(m.state.resources)
	_, alone := m.list(n, common+"resourceGuid="+m.g.of(label("R", at)).String())
	require.Equal(m.T, m.blockedBy(n, targets, at), m.toldRefusal(alone.BlockedBy), "%s %s %s", label("D", n), common, label("R", at))

	// One of them is booked in earnest, or held and moved to.
	if n == m.chosen%len(m.state.directions) && len(explained) > 0 && !m.asksMip(n, targets) {
		item := explained[m.chosen%len(explained)]
		var c int
		_, err := fmt.Sscanf(m.g.label[item.GUID], "S%d", &c)
		require.NoError(m.T, err)
		m.take(n, c, &item)
	}
}

// take books a cell that is listed, or holds it for the visit that is to be moved and moves it there.
func (m *modelSearch) take(n, c int, item *api.Slot) {
	m.T.Helper()
	r := m.request(n, c)
	requireAs := func(a harness.Answer) {
		m.T.Helper()
		require.Equal(m.T, item.Status == api.SlotStatusAvailable, a.StatusCode == 200, "%s", a.Raw)
		if item.Rule != nil {
			a.RequireRefusal(m.T, string(*item.Rule))
			require.Equal(m.T, *item.Message, a.Refusal.Message)
		}
	}
	if m.moved == "" {
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
	body["AppointmentGuid"] = m.g.of(m.moved)
	held := m.Send(r.holdPath(m.g), body, m.authorization(n))
	if refusal, asked := m.state.checkHoldForMove(m.moved, st); refusal != "" {
		requireAs(held)
	} else {
		var says string
		says, m.state = m.state.writeHoldForMove("held", m.moved, asked)
		if held.StatusCode == 200 {
			require.Equal(m.T, says, toldHold(m.g, harness.Decode[api.Hold](m.T, held)))
		} else {
			held.RequireRefusal(m.T, strings.Split(says, ";")[0])
		}
	}
	requireAs(m.MoveAs(m.authorization(n), m.g.of(m.moved), st.moveBody(m.g)))
	if item.Rule != nil {
		return
	}
	says, asked, _ := m.state.checkMove(m.moved, st)
	require.Empty(m.T, says)
	says, m.state = m.state.writeMove(m.moved, asked, m.state.own(asked))
	require.Contains(m.T, says, "booked ")
	standing := m.Count(`SELECT count(*) FROM hold WHERE person_guid = $1 AND until > $2`, m.g.of(label("P", r.person)), m.Now())
	require.Len(m.T, m.state.holdsOf(r.person), standing, "what was held for it is used up")
}

// says is the answer of the model to the booking of a cell, or the move to it; empty where it succeeds.
func (m *modelSearch) says(n, cell int) string {
	if m.moved == "" {
		says, _ := m.state.check(m.request(n, cell))
		return says
	}
	says, _, _ := m.state.checkMove(m.moved, step{move: 1, request: m.request(n, cell)})
	return says
}

// stands tells whether the visit that is to be moved stands where it would be moved to: then nothing would change.
func (m *modelSearch) stands(n, cell int) bool {
	at := slices.IndexFunc(m.state.visits, func(v visit) bool { return v.label == m.moved })
	if at == unknown || m.state.visits[at].cancelled {
		return false
	}
	r := m.request(n, cell)
	if r.difficulty == 0 {
		r.difficulty = max(len(m.state.visits[at].slots), 1)
	}
	return m.state.staysPut(m.state.visits[at], r)
}

// blockedBy is the answer of the model to a cell that has nothing against it, in each of the institutions that have a cell to come for the referral, or of
// one resource; where none has, in all of them. None where one of them would take it.
func (m *modelSearch) blockedBy(n int, targets []int, alone int) string {
	d := m.state.directions[n]
	slices.SortFunc(targets, func(a, b int) int {
		if a == d.to || b == d.to {
			return map[bool]int{true: -1, false: 1}[a == d.to]
		}
		return strings.Compare(m.g.of(label("L", a)).String(), m.g.of(label("L", b)).String())
	})
	var voters, all []string
	for _, l := range targets {
		fits := resource{lpu: l, kind: "doctor", speciality: d.speciality}
		has := false
		for _, cell := range m.state.slots {
			at := m.state.resources[cell.resource]
			if at.lpu != l || cell.start.Before(m.state.now) {
				continue
			}
			switch {
			case cell.resource == alone:
				fits, has = at, true
			case alone == unknown && !at.inactive && (d.kind != "Consult" || at.kind != "equipment" && at.speciality == d.speciality):
				has = true
			}
		}
		says := m.ideal(n, fits)
		all = append(all, says)
		if has {
			voters = append(voters, says)
		}
	}
	if len(voters) == 0 {
		voters = all
	}
	if slices.Contains(voters, "") {
		return ""
	}
	return voters[0]
}

// ideal is the answer to a cell that has nothing against it.
func (m *modelSearch) ideal(n int, at resource) string {
	with := *m.state.world
	with.resources = append(slices.Clone(with.resources), at)
	with.slots = append(slices.Clone(with.slots), slot{resource: len(with.resources) - 1, start: m.state.now, capacity: 1, access: math.MaxInt32, restriction: "none"})
	ideal := modelSearch{state: m.state, client: m.client, difficulty: 1, moved: m.moved}
	ideal.state.world = &with
	return ideal.says(n, len(with.slots)-1)
}

// toldRefusal is what stands in the way, in the model's words.
func (m *modelSearch) toldRefusal(refusal *api.SlotRefusal) string {
	switch {
	case refusal == nil:
		return ""
	case slices.Contains(toldInFull, string(refusal.Rule)):
		return string(refusal.Rule) + ": " + m.g.tell(refusal.Message)
	default:
		return string(refusal.Rule)
	}
}

// asksMip tells whether booking would make a card somewhere.
func (m *modelSearch) asksMip(n int, targets []int) bool {
	return slices.ContainsFunc(targets, func(l int) bool {
		open, closed := m.state.cardsOf(m.state.mkabs[m.state.directions[n].mkab].person, l)
		return open == "" && !closed
	})
}

func (m *modelSearch) request(n, cell int) request {
	d := m.state.directions[n]
	card := m.state.mkabs[d.mkab]
	r := request{
		person: card.person, client: m.client, direction: n, kind: d.kind, from: card.lpu, to: m.state.resources[m.state.slots[cell].resource].lpu,
		place: place{how: "guid", slot: cell}, difficulty: m.difficulty,
	}
	if at := slices.IndexFunc(m.state.visits, func(v visit) bool { return v.label == m.moved }); at != unknown {
		r.comment, r.cito = m.state.visits[at].request.comment, m.state.visits[at].request.cito
	}
	return r
}

func (m *modelSearch) authorization(n int) string {
	m.T.Helper()
	person := m.state.mkabs[m.state.directions[n].mkab].person
	token, err := m.Key.Sign(auth.Token{Person: m.g.of(label("P", person)), Client: m.g.of(label("C", m.client))}, "issuer", "talon", harness.Moment, 48*time.Hour)
	require.NoError(m.T, err)
	return "Bearer " + token
}

// list gives the items of all pages, and the last page.
func (m *modelSearch) list(n int, query string) ([]api.Slot, api.SlotPage) {
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
