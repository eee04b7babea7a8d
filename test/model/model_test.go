package model_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"talon.example/test/harness"
)

// A model of Talon in plain Go, written from the domain's page (which rule each documented answer belongs to) and knowing nothing of the service: no
// code of ours, no SQL, no clock but its own. The model test plays random histories against both and compares what they answer and leave behind.
//
// Everything has a short label: L0 an institution (ЛПУ), C0 a client application, P0 a person, R0 a resource, S0 a cell, K0 a card (МКАБ), D0 a
// referral (направление), a1 the first step of the first client and the visit it booked. «?» is something that does not exist.

// world is what there is before a history begins.
type world struct {
	onlyOne    string // the region's setting of one active appointment a speciality; empty is not set, which means on
	days       string // the region's setting of how many days ahead may be booked; empty is not set, which means any
	expires    string // the region's setting that a referral expires; empty is not set, which means that it does not
	late       string // the region's setting that also what has begun can be cancelled and moved; empty is not set, which means that it cannot
	lpus       []lpu
	clients    []clientApplication
	persons    []person
	mkabs      []mkab
	taps       []tap
	resources  []resource
	slots      []slot
	directions []direction
	copies     []directionCopy
	claims     []claim
}

type lpu struct {
	entity      int // the legal entity it belongs to
	zone        string
	createsMkab string // the setting that lets booking make a card; empty is not set, which means off
	polyclinic  string // whom the setting «Код поликлиники» names: own, other, nowhere, or empty where it is not set
	days        string // as the region's, which they come before
	expires     string
	late        string
}

type clientApplication struct {
	same, other   int // masks: within an institution, and into another
	outOfSchedule bool
	days          string // before all others
}

// person is what the master patient index knows of somebody.
type person struct {
	known, data                bool
	surname, name, sex, policy string
}

type mkab struct {
	lpu                int
	person             int
	born               string
	disabled, pregnant bool
	closed             bool
}

// tap is a case of treatment.
type tap struct {
	mkab   int
	opened string
	closed bool
}

type resource struct {
	lpu        int
	kind       string
	speciality string
	inactive   bool
}

type slot struct {
	resource    int
	id          int // within the institution
	start       time.Time
	minutes     int
	capacity    int
	access      int
	lunch       bool // not of a reception type
	blocked     bool
	restriction string
}

func (s slot) end() time.Time { return s.start.Add(time.Duration(s.minutes) * time.Minute) }

// direction is an original; the institution of its card holds it.
type direction struct {
	kind       string
	speciality string
	mkab       int
	from       int
	to         int // unknown where it names no target
	dateEnd    string
}

// directionCopy was left in another institution by a booking that was cancelled.
type directionCopy struct {
	direction, lpu, mkab int
}

// claim is the latest consultation of a person in a speciality.
type claim struct {
	person     int
	speciality string
	visit      string
	lpu        int
	resource   string // its name
	start, end time.Time
}

const unknown = -1

func label(kind string, n int) string {
	if n == unknown {
		return kind + "?"
	}
	return fmt.Sprint(kind, n)
}

// request asks for an appointment.
type request struct {
	person, client int
	direction      int
	kind           string
	from, to       int
	place          place
	difficulty     int // 0 is absent; -1 stands for 0
	minutes        int // of a hold; 0 is absent; -1 stands for 0
	comment        string
	cito           bool
	upper          bool // writes guids in upper case
}

// place is where to book: of the four fields one is given, the institution's cell by its id or by its guid, or a resource and a date.
type place struct {
	how      string // id, guid, out (of schedule), nowhere
	id       int    // how = id
	slot     int    // how = guid
	resource int    // how = out
	date     string // how = out
	junk     bool   // also gives what is not to be read
}

// state is what booking changes. A step gives a new state and leaves the old one alone.
type state struct {
	*world

	now           time.Time
	onlyOneActive bool
	visits        []visit
	gone          []visit          // where visits were before they were moved to another institution
	made          []mkab           // cards made on the way
	claimed       map[string]claim // by person and speciality
	holds         []hold
	kept          []keep
	keys          map[keyOf]answered
}

// keyOf is an Idempotency-Key and whose it is: a person's through a client application.
type keyOf struct{ owner, key string }

// answered is a request that came with a key, and its answer.
type answered struct {
	asked string
	reply string
	at    time.Time
	by    int // the request's number, where several come at the same time
	runs  bool
	done  bool // all but its key is settled
}

// stands tells whether the key is still remembered.
func (a answered) stands(now time.Time) bool { return a.at.After(now.Add(-24 * time.Hour)) }

// under gives a state where a key has been answered.
func (s state) under(of keyOf, a answered) state {
	s.keys = maps.Clone(s.keys)
	s.keys[of] = a
	return s
}

// repeated is the answer to a request whose key another has, or the same before.
func (a answered) repeated(asked string) string {
	if a.asked != asked {
		return "idempotency_key_reused"
	}
	return again + a.reply
}

// again stands before the answer to a request that was answered before.
const again = "again: "

// succeeded tells a success; a refusal is not kept.
func succeeded(reply string) bool { return strings.HasPrefix(reply, "booked ") || reply == "cancelled" }

// hold keeps the cells of a visit for a person until a moment, when it ends by itself. A person has two places for holds; one that has ended lies in its place
// until another comes.
type hold struct {
	label     string
	person    int
	place     int
	direction int
	lpu       int
	slots     []int
	until     time.Time
}

// keep is a hold as its cell has it; what has ended lies there until the cell is taken or held.
type keep struct {
	hold   string
	slot   int
	person int
	until  time.Time
}

type visit struct {
	label      string
	request    request
	direction  int
	resource   int
	mkab       string
	start, end time.Time
	slots      []int
	created    time.Time
	cancelled  bool
	guid       string // as the service gave it; of visits that end together it makes one the last
	why        int    // ReasonCode
}

func (w *world) begin() state {
	s := state{world: w, now: harness.Moment, onlyOneActive: w.onlyOne != "false", claimed: map[string]claim{}, keys: map[keyOf]answered{}}
	for _, c := range w.claims {
		s.claimed[label("P", c.person)+c.speciality] = c
	}
	return s
}

// book answers a request, nobody else being about.
func (s state) book(step, guid string, r request) (string, state) {
	refusal, checked := s.check(r)
	if refusal != "" {
		return refusal, checked
	}
	return checked.write(step, guid, r, s.own(r))
}

// own are a person's holds of the cells that a request is for.
func (s *state) own(r request) (labels []string) {
	first, _ := s.find(r)
	if first == unknown {
		return nil
	}
	cells := s.adjacent(first, r)
	for _, k := range s.kept {
		if k.person == r.person && k.until.After(s.now) && slices.Contains(cells, k.slot) {
			labels = append(labels, k.hold)
		}
	}
	return labels
}

// giveBack takes holds away, those that are still there.
func (s state) giveBack(labels ...string) state {
	s.holds = slices.DeleteFunc(slices.Clone(s.holds), func(h hold) bool { return slices.Contains(labels, h.label) })
	s.kept = slices.DeleteFunc(slices.Clone(s.kept), func(k keep) bool { return slices.Contains(labels, k.hold) })
	return s
}

// tidied is the state without what has ended in cells.
func (s state) tidied(cells []int) state {
	s.kept = slices.DeleteFunc(slices.Clone(s.kept), func(k keep) bool { return !k.until.After(s.now) && slices.Contains(cells, k.slot) })
	return s
}

// checkHold judges a hold by the rules of a booking. A card that can be made is taken for made, and the master patient index for all-knowing.
func (s state) checkHold(r request) string {
	if r.minutes < 0 || r.minutes > 15 {
		return "field_invalid"
	}
	refusal, _ := s.withPersonsKnown().check(r)
	return refusal
}

// checkHoldForMove judges a hold of what a visit is to be moved to, by the rules of the move. It gives the booking that the move amounts to, too.
func (s state) checkHoldForMove(booked string, st step) (refusal string, r request) {
	if st.request.malformed() || st.request.minutes < 0 || st.request.minutes > 15 {
		return "field_invalid", r
	}
	at, refusal, r := s.moveOf(booked, st)
	if refusal == "" {
		refusal, _ = s.withPersonsKnown().without(at).check(r)
	}
	return refusal, r
}

// writeHoldForMove holds what a visit is to be moved to. Its own places do not stand in the way.
func (s state) writeHoldForMove(step, booked string, r request) (string, state) {
	at := slices.IndexFunc(s.visits, func(v visit) bool { return v.label == booked })
	if s.visits[at].cancelled {
		return "appointment_cancelled", s
	}
	reply, held := s.without(at).writeHold(step, r)
	held.visits, held.claimed = s.visits, s.claimed
	return reply, held
}

// writeHold holds the cells, all or none, and tells what is held: now, or already.
func (s state) writeHold(step string, r request) (string, state) {
	first, _ := s.find(r)
	cells := s.adjacent(first, r)
	for _, h := range s.holdsOf(r.person) {
		if h.slots[0] == first {
			return s.held(h), s
		}
	}
	for i, n := range cells {
		if refusal := s.lost(i, n); refusal != "" {
			return refusal, s
		}
	}
	minutes := r.minutes
	if minutes == 0 {
		minutes = 5
	}
	h := hold{step, r.person, 0, r.direction, r.to, cells, s.now.Add(time.Duration(minutes) * time.Minute)}
	for _, place := range []int{2, 1} {
		if !slices.ContainsFunc(s.holdsOf(r.person), func(o hold) bool { return o.place == place }) {
			h.place = place
		}
	}
	if h.place == 0 {
		told := "too_many_holds"
		for _, other := range s.holdsOf(r.person) {
			told += "; " + s.held(other)
		}
		return told, s
	}
	s = s.tidied(cells)
	s.holds = slices.DeleteFunc(slices.Clone(s.holds), func(o hold) bool { return o.person == r.person && o.place == h.place })
	s.holds = append(s.holds, h)
	for _, n := range cells {
		s.kept = append(s.kept, keep{step, n, r.person, h.until})
	}
	return s.held(h), s
}

// release ends the hold of a person that begins with a cell.
func (s state) release(person, slot int) (string, state) {
	for _, h := range s.holdsOf(person) {
		if h.slots[0] == slot {
			return "released", s.tidied(h.slots).giveBack(h.label)
		}
	}
	return "released", s
}

// holdsOf are a person's holds that stand, the first to end first.
func (s *state) holdsOf(person int) []hold {
	holds := slices.DeleteFunc(slices.Clone(s.holds), func(h hold) bool { return h.person != person || !h.until.After(s.now) })
	slices.SortFunc(holds, func(a, b hold) int { return cmp.Or(a.until.Compare(b.until), a.place-b.place) })
	return holds
}

// held tells a hold.
func (s *state) held(h hold) string {
	var cells []string
	for _, n := range h.slots {
		cells = append(cells, label("S", n))
	}
	zone := s.zone(h.lpu)
	start, end := s.slots[h.slots[0]].start, s.slots[h.slots[len(h.slots)-1]].end()
	return fmt.Sprintf("held %s in %s for %s, %s to %s, until %s", strings.Join(cells, " "), label("L", h.lpu), label("D", h.direction),
		start.In(zone).Format(time.RFC3339), end.In(zone).Format(time.RFC3339), h.until.In(zone).Format(time.RFC3339))
}

// check goes through the rules in their order. It gives the first refusal, or none. The state differs where a card was made: it stays, also where the
// booking after it fails.
func (s state) check(r request) (refusal string, after state) {
	// The request's form.
	if r.malformed() {
		return "field_invalid", s
	}

	// 2. The direction: unsupported type; not found in the source LPU, of that type.
	kind := map[string]string{"Consult": "Consult", "consult": "Consult", "Laboratory": "Laboratory", "laboratory": "Laboratory"}[r.kind]
	if kind == "" {
		return "direction_type_unsupported", s
	}
	if r.direction == unknown {
		return "direction_not_found", s
	}
	d := s.directions[r.direction]
	holder := s.mkabs[d.mkab].lpu
	if r.from != holder || d.kind != kind {
		return "direction_not_found", s
	}
	// Not the patient's.
	patient := s.mkabs[d.mkab]
	if patient.person != r.person {
		return "direction_not_patients: Направление " + label("D", r.direction) + " не принадлежит пациенту", s
	}
	// The request's source against the direction's source; the request's target against the direction's target, where it names one.
	if s.lpus[r.from].entity != s.lpus[d.from].entity {
		return "direction_lpu_mismatch", s
	}
	if d.to != unknown && (r.to == unknown || s.lpus[r.to].entity != s.lpus[d.to].entity) {
		return "direction_lpu_mismatch", s
	}
	if s.activeVisit(r.direction) != nil {
		return "direction_already_booked", s
	}
	// Ours: its last day is over where it is held, and the target's setting, or else the region's, says that this matters.
	today := s.now.In(s.zone(holder)).Format(time.DateOnly)
	if r.to != unknown && cmp.Or(s.lpus[r.to].expires, s.expires) == "true" && d.dateEnd < today {
		return "direction_expired: Срок действия направления истек: оно действовало по " + parse(time.DateOnly, d.dateEnd, time.UTC).Format("02.01.2006") + " включительно.", s
	}

	// 3. The slot and its resource.
	first, at := s.find(r)
	if r.place.how != "out" && first == unknown {
		return "slot_not_found", s
	}
	if at == unknown || s.resources[at].inactive {
		return "slot_resource_not_found", s
	}
	with := s.resources[at]
	zone := s.zone(r.to)
	var start time.Time
	if r.place.how == "out" {
		start, _ = readDate(r.place.date, zone)
		if s.hasPassed(r.place.date, zone) {
			return "slot_time_passed", s
		}
		if refusal := s.beyondHorizon(r, start); refusal != "" {
			return refusal, s
		}
		if r.client == unknown || !s.clients[r.client].outOfSchedule {
			return "slot_access_denied", s
		}
	} else {
		cell := s.slots[first]
		start = cell.start.In(zone)
		switch {
		case cell.lunch:
			return "slot_not_for_reception", s
		case cell.blocked || cell.access == 0:
			return "slot_unavailable", s
		case cell.start.Before(s.now):
			return "slot_time_passed", s
		case s.beyondHorizon(r, start) != "":
			return s.beyondHorizon(r, start), s
		case cell.access&s.mask(r) == 0:
			return "slot_access_denied", s
		case s.full(first, r.person):
			return "slot_full", s
		}
	}

	// 4. Direction against resource.
	if kind == "Consult" && with.kind == "equipment" {
		return "resource_kind_mismatch", s
	}
	if kind == "Consult" && with.speciality != d.speciality {
		return "speciality_mismatch", s
	}

	// 5. The patient against the cell's restriction.
	if r.place.how != "out" {
		if refusal := s.restricted(r, patient, s.slots[first].restriction, start); refusal != "" {
			return refusal, s
		}
	}

	// 6. One active appointment a speciality; consultations, over all LPUs.
	if kind == "Consult" && s.onlyOneActive {
		if active := s.activeClaim(r); active != nil {
			return s.alreadyBooked(active), s
		}
	}

	// 7. The medical card in the target LPU.
	if open, closed := s.cardsOf(r.person, r.to); open == "" {
		who, target := s.persons[r.person], s.lpus[r.to]
		switch {
		case closed:
			return "mkab_closed", s
		case target.createsMkab != "true":
			return "mkab_absent", s
		case !who.known:
			return "mip_person_not_found", s
		case !who.data:
			return "mip_person_data_missing", s
		case who.policy == "":
			return "mkab_policy_number_empty", s
		case who.sex == "":
			return "mkab_sex_empty", s
		case who.surname == "":
			return "mkab_surname_empty", s
		case who.name == "":
			return "mkab_name_empty", s
		case target.polyclinic != "own":
			return "mkab_lpu_not_found", s
		}
		s.made = append(slices.Clone(s.made), mkab{lpu: r.to, person: r.person})
	}

	// 8. The adjacent cells for Difficulty > 1: each must be one that this patient could take through this client.
	if r.place.how != "out" {
		cells := s.adjacent(first, r)
		if len(cells) < r.wanted() {
			return "complex_slot_failed", s
		}
		for _, n := range cells[1:] {
			cell := s.slots[n]
			if cell.lunch || cell.blocked || cell.access&s.mask(r) == 0 || s.full(n, r.person) ||
				s.restricted(r, patient, cell.restriction, cell.start.In(zone)) != "" {
				return "complex_slot_failed", s
			}
		}
	}
	return "", s
}

// malformed tells what nobody needs to look anything up for.
func (r request) malformed() bool {
	return r.place.how == "nowhere" || r.difficulty < 0 || r.difficulty > 16 || r.place.how == "out" && slices.Contains(badDates, r.place.date)
}

// write takes the direction, the speciality and the cells, all or none, in this order, and gives back the holds that the check knew. It refuses what somebody else
// has taken since; right after the check it refuses nothing.
func (s state) write(step, guid string, r request, known []string) (string, state) {
	d := s.directions[r.direction]
	if s.activeVisit(r.direction) != nil {
		return "direction_already_booked", s
	}
	if active := s.activeClaim(r); d.kind == "Consult" && s.onlyOneActive && active != nil {
		return s.alreadyBooked(active), s
	}
	before := s
	v := visit{label: step, guid: guid, request: r, direction: r.direction, created: s.now}
	v.mkab, _ = s.cardsOf(r.person, r.to)
	first, at := s.find(r)
	v.resource = at
	if r.place.how == "out" {
		v.start, v.end = readDate(r.place.date, s.zone(r.to))
	} else {
		v.slots = s.adjacent(first, r)
		s = s.giveBack(known...)
		for i, n := range v.slots {
			if refusal := s.lost(i, n); refusal != "" {
				return refusal, before
			}
		}
		s = s.tidied(v.slots)
		v.start, v.end = s.slots[first].start, s.slots[v.slots[len(v.slots)-1]].end()
	}
	s.visits = append(slices.Clone(s.visits), v)
	if d.kind == "Consult" {
		s = s.claim(s.claimOf(v))
	}
	return s.booked(v), s
}

// lost is the refusal where a cell, after others or the first, has no place left. Whosever a hold is, it has one.
func (s *state) lost(i, cell int) string {
	switch {
	case !s.full(cell, unknown):
		return ""
	case i == 0:
		return "slot_taken"
	default:
		return "complex_slot_failed"
	}
}

// claim records a consultation: where the setting is off and there are several, the one that ends last.
func (s state) claim(c claim) state {
	key := label("P", c.person) + c.speciality
	if old, ok := s.claimed[key]; ok && old.end.After(s.now) && !old.end.Before(c.end) {
		return s
	}
	s.claimed = maps.Clone(s.claimed)
	s.claimed[key] = c
	return s
}

// claimOf is what a consultation claims.
func (s *state) claimOf(v visit) claim {
	return claim{v.request.person, s.directions[v.direction].speciality, v.label, v.request.to, resourceName(v.resource), v.start, v.end}
}

// cancel cancels the visit of a booking, for its patient alone. Again it changes nothing. The claim of a consultation goes to the one that then ends last of
// those that the patient has in the speciality and that have not ended: there are others where the setting is off, or was.
func (s state) cancel(booked string, st step) (string, state) {
	at := slices.IndexFunc(s.visits, func(v visit) bool { return v.label == booked })
	if at == unknown || st.stranger {
		return "appointment_absent", s
	}
	if s.visits[at].cancelled {
		return "cancelled", s
	}
	if s.tooLate(s.visits[at]) {
		return "appointment_started", s
	}
	s.visits = slices.Clone(s.visits)
	s.visits[at].cancelled, s.visits[at].why = true, st.why
	return "cancelled", s.handOn(booked)
}

// tooLate tells whether a visit has begun, where the setting of its institution, or else the region's, does not say that this is no matter.
func (s *state) tooLate(v visit) bool {
	return s.begun(v) && cmp.Or(s.lpus[v.request.to].late, s.late) != "true"
}

// begun tells whether a visit has begun: on a day without a time when the day is over.
func (s *state) begun(v visit) bool {
	if v.request.place.how == "out" && v.end.After(v.start) {
		return !v.end.After(s.now)
	}
	return v.start.Before(s.now)
}

// handOn gives the claim of a consultation that is no longer there to the next.
func (s state) handOn(booked string) state {
	s.claimed = maps.Clone(s.claimed)
	for key, c := range s.claimed {
		if c.visit != booked {
			continue
		}
		delete(s.claimed, key)
		var heir *visit
		for i, v := range s.visits {
			d := s.directions[v.direction]
			if v.cancelled || !v.end.After(s.now) || d.kind != "Consult" || v.request.person != c.person || d.speciality != c.speciality {
				continue
			}
			if heir == nil || v.end.After(heir.end) || v.end.Equal(heir.end) && v.guid < heir.guid {
				heir = &s.visits[i]
			}
		}
		if heir != nil {
			s.claimed[key] = s.claimOf(*heir)
		}
	}
	return s
}

// without is the state as if a visit had never been.
func (s state) without(at int) state {
	booked := s.visits[at].label
	s.visits = slices.Delete(slices.Clone(s.visits), at, at+1)
	return s.handOn(booked)
}

// checkMove judges a move: a booking of the same referral, as if the visit were not. It gives the answer where that is final, or else the booking.
func (s state) checkMove(booked string, st step) (reply string, r request, after state) {
	if st.request.malformed() {
		return "field_invalid", r, s
	}
	at, reply, r := s.moveOf(booked, st)
	if reply != "" {
		return reply, r, s
	}
	if v := s.visits[at]; r.comment == v.request.comment && r.cito == v.request.cito && s.staysPut(v, r) {
		return s.booked(v), r, s
	}
	reply, checked := s.without(at).check(r)
	s.made = checked.made
	return reply, r, s
}

// moveOf finds the visit that is to be moved, and gives the booking that its move amounts to, or why it cannot be moved anywhere.
func (s *state) moveOf(booked string, st step) (at int, refusal string, r request) {
	at = slices.IndexFunc(s.visits, func(v visit) bool { return v.label == booked })
	if at == unknown || st.stranger {
		return at, "appointment_absent", r
	}
	v := s.visits[at]
	if v.cancelled {
		return at, "appointment_cancelled", r
	}
	if s.tooLate(v) {
		return at, "appointment_started", r
	}
	r = st.request
	d := s.directions[v.direction]
	r.person, r.direction, r.kind, r.from = v.request.person, v.direction, d.kind, s.mkabs[d.mkab].lpu
	if st.keep {
		r.to, r.comment, r.cito = v.request.to, v.request.comment, v.request.cito
	}
	if r.difficulty == 0 {
		r.difficulty = max(len(v.slots), 1)
	}
	return at, "", r
}

// staysPut tells whether a request is for the very cells that a visit has.
func (s *state) staysPut(v visit, r request) bool {
	first, _ := s.find(r)
	if first == unknown || r.to != v.request.to {
		return false
	}
	cells := s.adjacent(first, r)
	return len(cells) == r.difficulty && slices.Equal(cells, v.slots)
}

// writeMove moves a visit as a booking is written; what is refused leaves it where it is.
func (s state) writeMove(booked string, r request, known []string) (string, state) {
	at := slices.IndexFunc(s.visits, func(v visit) bool { return v.label == booked })
	was := s.visits[at]
	if was.cancelled {
		return "appointment_cancelled", s
	}
	reply, written := s.without(at).write(booked, was.guid, r, known)
	if !strings.HasPrefix(reply, "booked ") {
		return reply, s
	}
	moved := &written.visits[len(written.visits)-1]
	moved.created = was.created
	reply = written.booked(*moved)
	if was.request.to != r.to {
		written.gone = append(slices.Clone(written.gone), was)
	}
	return reply, written
}

// find gives the cell, and the resource it or the request names; each is unknown where the target LPU has none such.
func (s *state) find(r request) (cell, at int) {
	switch r.place.how {
	case "id":
		cell = slices.IndexFunc(s.slots, func(c slot) bool { return c.id == r.place.id && s.resources[c.resource].lpu == r.to })
	case "guid":
		cell = r.place.slot
	default:
		if r.place.resource != unknown && s.resources[r.place.resource].lpu == r.to {
			return unknown, r.place.resource
		}
		return unknown, unknown
	}
	if cell == unknown || s.resources[s.slots[cell].resource].lpu != r.to {
		return unknown, unknown
	}
	return cell, s.slots[cell].resource
}

// adjacent gives the chosen cell and those of its resource that follow it without a gap, as many as wanted or as there are.
func (s *state) adjacent(first int, r request) []int {
	cells := []int{first}
	for len(cells) < r.wanted() {
		last := s.slots[cells[len(cells)-1]]
		next := slices.IndexFunc(s.slots, func(c slot) bool { return c.resource == last.resource && c.start.Equal(last.end()) })
		if next == unknown {
			break
		}
		cells = append(cells, next)
	}
	return cells
}

func (r request) wanted() int { return max(r.difficulty, 1) }

// full tells whether a cell has as many active visits, and places held by others than a person, as its capacity.
func (s *state) full(cell, person int) bool {
	taken := 0
	for _, k := range s.kept {
		if k.slot == cell && k.person != person && k.until.After(s.now) {
			taken++
		}
	}
	for _, v := range s.visits {
		if !v.cancelled && slices.Contains(v.slots, cell) {
			taken++
		}
	}
	return taken >= s.slots[cell].capacity
}

// mask is what the client may take: which counts depends on whether the source and the target LPU are the same.
func (s *state) mask(r request) int {
	switch {
	case r.client == unknown:
		return 0
	case r.from == r.to:
		return s.clients[r.client].same
	default:
		return s.clients[r.client].other
	}
}

// restricted tells why a patient may not take a cell that is kept for others.
func (s *state) restricted(r request, patient mkab, restriction string, visit time.Time) string {
	born := parse(time.DateOnly, patient.born, visit.Location())
	age := visit.Year() - born.Year()
	if visit.Before(time.Date(visit.Year(), born.Month(), born.Day(), 0, 0, 0, 0, visit.Location())) {
		age--
	}
	switch restriction {
	case "adults":
		if age < 18 {
			return "slot_adults_only"
		}
	case "children":
		if age >= 18 {
			return "slot_children_only"
		}
	case "infants":
		if age >= 1 {
			return "slot_infants_only"
		}
	case "disabled":
		if !patient.disabled {
			return "slot_disabled_only"
		}
	case "pregnant":
		if !patient.pregnant {
			return "slot_pregnant_only"
		}
	case "healthy_children":
		if age >= 18 {
			return "slot_children_only"
		}
		// An open case counts in the source and in the target; the newest is told.
		newest := ""
		for _, t := range s.taps {
			card := s.mkabs[t.mkab]
			if !t.closed && card.person == r.person && (card.lpu == r.from || card.lpu == r.to) {
				newest = max(newest, t.opened)
			}
		}
		if newest != "" {
			return "slot_healthy_children_only: Это время доступно для записи на прием только здоровых детей. " +
				"У выбранного пациента имеется открытый случай лечения. Открыт " + parse(time.DateOnly, newest, time.UTC).Format("02.01.2006")
		}
	}
	return ""
}

// beyondHorizon tells that a visit would begin on a day further ahead than the client's setting, the target's or the region's says.
func (s *state) beyondHorizon(r request, start time.Time) string {
	days := cmp.Or(s.lpus[r.to].days, s.days)
	if r.client != unknown {
		days = cmp.Or(s.clients[r.client].days, days)
	}
	if days == "" {
		return ""
	}
	ahead, err := strconv.Atoi(days)
	if err != nil {
		panic(err)
	}
	zone := s.zone(r.to)
	last := s.now.In(zone).AddDate(0, 0, ahead)
	if start.In(zone).Format(time.DateOnly) <= last.Format(time.DateOnly) {
		return ""
	}
	return fmt.Sprintf("slot_beyond_horizon: Запись на выбранный день еще не открыта. Записаться можно не более чем на %s дн. вперед: по %s включительно.",
		days, last.Format("02.01.2006"))
}

// toldInFull are the rules whose messages the model knows.
var toldInFull = []string{"direction_not_patients", "direction_expired", "slot_beyond_horizon", "slot_healthy_children_only", "speciality_already_booked"}

// activeClaim is the consultation in the direction's speciality that has neither ended nor been cancelled.
func (s *state) activeClaim(r request) *claim {
	c, ok := s.claimed[label("P", r.person)+s.directions[r.direction].speciality]
	if !ok || !c.end.After(s.now) {
		return nil
	}
	return &c
}

func (s *state) alreadyBooked(c *claim) string {
	return fmt.Sprintf("speciality_already_booked: Вы уже записаны %s на %s. Запрещено иметь более одной активной записи на прием на одну специальность.",
		c.resource, c.start.In(s.zone(c.lpu)).Format("02.01.2006 15:04"))
}

// activeVisit is the one active appointment of a direction.
func (s *state) activeVisit(direction int) *visit {
	for i := range s.visits {
		if s.visits[i].direction == direction && !s.visits[i].cancelled {
			return &s.visits[i]
		}
	}
	return nil
}

// cardsOf finds somebody's open card in an institution, and tells whether there is a closed one. An open card counts, even next to a closed one.
func (s *state) cardsOf(person, lpu int) (open string, closed bool) {
	for i, card := range s.mkabs {
		if card.person == person && card.lpu == lpu {
			if card.closed {
				closed = true
			} else {
				open = label("K", i)
			}
		}
	}
	for _, card := range s.made {
		if card.person == person && card.lpu == lpu {
			open = madeMkab(card)
		}
	}
	return open, closed
}

func madeMkab(card mkab) string {
	return fmt.Sprintf("K(%s,%s)", label("P", card.person), label("L", card.lpu))
}

func (s *state) zone(lpu int) *time.Location { return harness.MustZone(s.lpus[lpu].zone) }

// badDates cannot be read as a day or a time, or lie more than 366 days ahead.
var badDates = []string{"завтра", "2019-02-30", "2020-09-23", "2021-01-01T10:00:00+03:00"}

// readDate reads a date out of schedule: a bare date is that day, a local time is of the institution's zone.
func readDate(text string, zone *time.Location) (start, end time.Time) {
	switch {
	case len(text) == len(time.DateOnly):
		day := parse(time.DateOnly, text, zone)
		return day, day.AddDate(0, 0, 1)
	case strings.HasSuffix(text, "Z") || strings.Contains(text, "+"):
		start = parse(time.RFC3339, text, zone)
	default:
		start = parse("2006-01-02T15:04:05", text, zone)
	}
	return start, start
}

// hasPassed: a bare date of today is fine, a moment that has passed is not.
func (s *state) hasPassed(text string, zone *time.Location) bool {
	if len(text) == len(time.DateOnly) {
		return text < s.now.In(zone).Format(time.DateOnly)
	}
	start, _ := readDate(text, zone)
	return start.Before(s.now)
}

// booked is the answer to a success: the direction as held in the target LPU, with its appointment.
func (s *state) booked(v visit) string {
	d := s.directions[v.direction]
	zone := s.zone(v.request.to)
	return fmt.Sprintf("booked %s as %s, %s %s from %s to %s, card %s, %s to %s, created %s", d.kind, v.label, label("D", v.direction), directionNumber(v.direction),
		label("L", d.from), label("L", v.request.to), v.mkab, v.start.In(zone).Format(time.RFC3339), v.end.In(zone).Format(time.RFC3339),
		v.created.In(zone).Format(time.RFC3339))
}

func directionNumber(n int) string { return fmt.Sprint("4701-", n) }
func resourceName(n int) string    { return fmt.Sprint("Ресурс ", n) }

// tables is the state as the database has to show it, a line for each row.
func (s *state) tables() []string {
	var lines []string
	add := func(format string, values ...any) { lines = append(lines, fmt.Sprintf(format, values...)) }
	for n := range s.slots {
		taken := 0
		for _, v := range s.visits {
			if slices.Contains(v.slots, n) && !v.cancelled {
				taken++
			}
		}
		add("cell %s: %d taken", label("S", n), taken)
	}
	for _, k := range s.kept {
		if k.until.After(s.now) {
			add("cell %s is kept for %s until %s", label("S", k.slot), label("P", k.person), utc(k.until))
		}
	}
	for _, h := range s.holds {
		if h.until.After(s.now) {
			var cells []string
			for _, n := range h.slots {
				cells = append(cells, label("S", n))
			}
			add("%s has held %s in %s for %s, %s to %s, until %s", label("P", h.person), strings.Join(cells, " "), label("L", h.lpu), label("D", h.direction),
				utc(s.slots[h.slots[0]].start), utc(s.slots[h.slots[len(h.slots)-1]].end()), utc(h.until))
		}
	}
	for of, a := range s.keys {
		if a.stands(s.now) {
			add("%s keeps an answer under %s", of.owner, of.key)
		}
	}
	for _, v := range s.visits {
		for _, n := range v.slots {
			add("visit %s is in cell %s", v.label, label("S", n))
		}
		cancelled := only(v.cancelled, ", cancelled") + only(v.why != 0, fmt.Sprint(" for ", v.why)) + only(v.why == 6, " «"+reasonWords+"»")
		add("visit %s: %s of %s to %s in %s, card %s, by %s, %s to %s, out of schedule %t, cito %t, «%s»%s", v.label, label("D", v.direction),
			label("P", v.request.person), label("R", v.resource), label("L", v.request.to), v.mkab, label("C", v.request.client),
			utc(v.start), utc(v.end), v.request.place.how == "out", v.request.cito, v.request.comment, cancelled)
	}
	for n, d := range s.directions {
		active := "none"
		if v := s.activeVisit(n); v != nil {
			active = v.label
		}
		holder := s.mkabs[d.mkab].lpu
		add("%s in %s: id %d, card %s, visit %s", label("D", n), label("L", holder), originalID(n), label("K", d.mkab), active)
		for l := range s.lpus {
			card, id := s.leftCopy(n, l)
			visit := "none"
			for _, v := range s.gone {
				if v.direction == n && v.request.to == l && l != holder {
					card = v.mkab
				}
			}
			for _, v := range s.visits {
				if v.direction == n && v.request.to == l && l != holder {
					card, visit = v.mkab, "none"
					if !v.cancelled {
						visit = v.label
					}
				}
			}
			if card != "" {
				add("%s in %s: id %s, card %s, visit %s, a copy from %s, faithful", label("D", n), label("L", l), id, card, visit, label("L", holder))
			}
		}
	}
	for _, c := range s.claimed {
		add("claim of %s on %s: %s at %s in %s, %s to %s", label("P", c.person), c.speciality, c.visit, c.resource, label("L", c.lpu), utc(c.start), utc(c.end))
	}
	for n, card := range s.mkabs {
		add("card %s of %s in %s: closed %t, born %s, policies []", label("K", n), label("P", card.person), label("L", card.lpu), card.closed, card.born)
	}
	for _, card := range s.made {
		add("card %s of %s in %s: closed false, born %s, policies [%s]", madeMkab(card), label("P", card.person), label("L", card.lpu), mipBirthDate,
			s.persons[card.person].policy)
	}
	slices.Sort(lines)
	return lines
}

// leftCopy gives the card and the id of a copy that was left in an institution.
func (w *world) leftCopy(direction, lpu int) (card, id string) {
	for i, c := range w.copies {
		if c.direction == direction && c.lpu == lpu {
			return label("K", c.mkab), fmt.Sprint(copyID(i))
		}
	}
	return "", "new"
}

// The ids of directions that were there before, below those that Talon gives.
func originalID(n int) int { return 1 + n }
func copyID(n int) int     { return 101 + n }

const mipBirthDate = "1980-02-29"

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func parse(layout, text string, zone *time.Location) time.Time {
	t, err := time.ParseInLocation(layout, text, zone)
	if err != nil {
		panic(err)
	}
	return t
}
