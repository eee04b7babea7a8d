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

// A model of Talon in plain Go. It is written from the domain's page, which states the rule of each
// documented response. It shares no code with the service, uses no SQL and has a clock of its own.
// The model tests run random histories against both and compare the responses and tables.
//
// Everything has a short label: L0 is an institution (ЛПУ), C0 a client application, P0 a person,
// R0 a resource, S0 a cell, K0 a card (МКАБ), D0 a referral (направление). a1 is the first step of
// the first client and the visit that it booked. «?» stands for something that does not exist.

// world is the data before a history starts.
type world struct {
	// The region's settings. Empty is not set.
	oneActive         string // one active appointment a speciality; by default on
	days              string // the booking horizon in days; by default none
	expires           string // referrals expire; by default off
	changesAfterStart string // started visits can be cancelled and moved; by default off
	freshHours        string // how old a schedule may be; by default and if 0 no limit
	noShowReturns     string // a no-show frees its referral; by default off

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
	messages   []message // that institutions' systems may send
}

type lpu struct {
	entity      int // the legal entity
	zone        string
	createsMkab string // the setting that a booking may create a card; empty is not set, which means off
	polyclinic  string // the institution of the setting «Код поликлиники»: own, other, nowhere, or empty where not set

	// These override the region's settings.
	days              string
	expires           string
	changesAfterStart string
	freshHours        string
	noShowReturns     string
}

type clientApplication struct {
	same, other   int // access masks: within an institution, and into another
	outOfSchedule bool
	days          string // overrides the other horizons
}

// person is the data of a person in the master patient index.
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

// tap is a case of treatment of a card.
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
	confirmed  *time.Duration // when its source confirmed its schedule, before the history; nil: it has no source
}

type slot struct {
	resource    int
	id          int // unique within the institution
	start       time.Time
	minutes     int
	capacity    int
	access      int
	lunch       bool // its busy type is not a reception type
	blocked     bool
	restriction string
	gone        bool // it is not in the schedule, but a message can bring it in
	withdrawn   bool // closed, because a message has withdrawn it and visits or holds keep it
	absent      bool // closed by an absence
}

// closed reports whether the cell takes no bookings.
func (s slot) closed() bool { return s.blocked || s.withdrawn || s.absent }

func (s slot) end() time.Time { return s.start.Add(time.Duration(s.minutes) * time.Minute) }

// direction is an original referral. The institution of its card holds it.
type direction struct {
	kind       string
	speciality string
	mkab       int
	from       int
	to         int // unknown if it names no target
	dateEnd    string
}

// directionCopy is a copy that a cancelled booking left in another institution.
type directionCopy struct {
	direction, lpu, mkab int
}

// claim is the claim of a person on a speciality. It belongs to the consultation that ends last.
type claim struct {
	person     int
	speciality string
	visit      string
	lpu        int
	resource   string // the name
	start, end time.Time
}

const unknown = -1

func label(kind string, n int) string {
	if n == unknown {
		return kind + "?"
	}
	return fmt.Sprint(kind, n)
}

// request is a booking, a move or a hold.
type request struct {
	person, client int
	direction      int
	kind           string
	from, to       int
	place          place
	difficulty     int // 0 omits the field; -1 sends 0
	minutes        int // of a hold; 0 omits the field; -1 sends 0
	comment        string
	cito           bool
	upper          bool // sends guids in upper case
	desk           bool // the target institution sends it; not of a hold
}

// place is where to book. kind says which of the other fields applies: a cell's id, its guid, or a
// resource and a date.
type place struct {
	kind         string // id, guid, out (of schedule), nowhere
	id           int    // kind = id
	slot         int    // kind = guid
	resource     int    // kind = out
	date         string // kind = out
	unreadFields bool   // also sends fields that are not read
}

// state is what requests change. A method that changes it returns a new state and leaves the old
// one unchanged. A message of the registry changes the cells of the world.
type state struct {
	*world

	now           time.Time
	onlyOneActive bool
	visits        []visit
	movedAway     []visit          // visits as they were before a move to another institution
	createdMkabs  []mkab           // cards that bookings created
	activeClaims  map[string]claim // the key is person and speciality
	holds         []hold
	slotHolds     []slotHold
	keys          map[keyOf]keyRecord
	windows       []window  // the schedule messages that were applied
	absences      []absence // also those that were lifted
}

// keyOf is an Idempotency-Key and its owner: a person and a client application.
type keyOf struct{ owner, key string }

// keyRecord is a request with a key, and its response.
type keyRecord struct {
	fingerprint string
	reply       string
	at          time.Time
	request     int // the number of the request, if several are concurrent
	running     bool
	done        bool // only the key of the request is still unsettled
}

// isStored reports whether the key is stored at a time. A key is stored for 24 hours.
func (a keyRecord) isStored(now time.Time) bool { return a.at.After(now.Add(-24 * time.Hour)) }

// withKey returns a state that stores a key.
func (s state) withKey(of keyOf, a keyRecord) state {
	s.keys = maps.Clone(s.keys)
	s.keys[of] = a
	return s
}

// replay returns the response to another request with the key.
func (a keyRecord) replay(asked string) string {
	if a.fingerprint != asked {
		return "idempotency_key_reused"
	}
	return replayPrefix + a.reply
}

// replayPrefix marks the response to a repeated request.
const replayPrefix = "again: "

// succeeded reports whether a reply is a success. The responses of other requests are not stored.
func succeeded(reply string) bool {
	return strings.HasPrefix(reply, "booked ") || strings.HasPrefix(reply, deskPrefix) || reply == "cancelled"
}

// hold reserves cells for a person until a moment. A person has two places for holds. A hold that
// has ended stays in its place until another hold replaces it.
type hold struct {
	cells

	label     string
	person    int
	place     int
	direction int
	lpu       int
	until     time.Time
}

// cells are the cells of a booking, as they were when the rules were evaluated. Out of schedule
// there are none.
type cells struct {
	slots      []int
	resource   int
	start, end time.Time
}

// slotHold is a hold as stored with its cell. One that has ended stays until the cell is taken or
// held again.
type slotHold struct {
	hold   string
	slot   int
	person int
	until  time.Time
}

type visit struct {
	cells

	label       string
	request     request
	direction   int
	mkab        string
	created     time.Time
	updated     time.Time // of the last booking, move, cancel or change of the attendance
	version     int       // 1 when it was booked, 1 more with each of these
	cancelled   bool
	cancelledBy cancellation
	guid        string   // assigned by the service; it orders visits that end at the same time
	receipt     *receipt // nil if there is none
	attendance  attendance
	bookedBy    booker
	moved       *lastMove // nil if it was never moved
}

func (w *world) initialState() state {
	s := state{
		world: w, now: harness.Moment, onlyOneActive: w.oneActive != "false", activeClaims: map[string]claim{},
		keys: map[keyOf]keyRecord{},
	}
	for _, c := range w.claims {
		s.activeClaims[label("P", c.person)+c.speciality] = c
	}
	return s
}

// book returns the reply to a booking without concurrent requests.
func (s state) book(step, guid string, r request) (string, state) {
	refusal, checked := s.check(r)
	if refusal != "" {
		return refusal, checked
	}
	return checked.write(step, guid, r, s.choose(r), s.ownHolds(r))
}

// choose returns the cells of a request that the rules allow.
func (s *state) choose(r request) cells {
	first, resource := s.find(r)
	if first == unknown {
		start, end := readDate(r.place.date, s.zone(r.to))
		return cells{nil, resource, start, end}
	}
	chosen := s.adjacent(first, r)
	return cells{chosen, resource, s.slots[first].start, s.slots[chosen[len(chosen)-1]].end()}
}

// ownHolds returns the labels of the person's current holds of the request's cells.
func (s *state) ownHolds(r request) (labels []string) {
	first, _ := s.find(r)
	if first == unknown {
		return nil
	}
	cells := s.adjacent(first, r)
	for _, k := range s.slotHolds {
		if k.person == r.person && k.until.After(s.now) && slices.Contains(cells, k.slot) {
			labels = append(labels, k.hold)
		}
	}
	return labels
}

// removeHolds removes holds, as far as they exist.
func (s state) removeHolds(labels ...string) state {
	s.holds = slices.DeleteFunc(slices.Clone(s.holds), func(h hold) bool { return slices.Contains(labels, h.label) })
	s.slotHolds = slices.DeleteFunc(slices.Clone(s.slotHolds), func(k slotHold) bool {
		return slices.Contains(labels, k.hold)
	})
	return s
}

// withoutEndedHolds removes holds that have ended from cells.
func (s state) withoutEndedHolds(cells []int) state {
	s.slotHolds = slices.DeleteFunc(slices.Clone(s.slotHolds), func(k slotHold) bool {
		return !k.until.After(s.now) && slices.Contains(cells, k.slot)
	})
	return s
}

// checkHold checks a hold by the rules of a booking. It assumes that a missing card can be created,
// and that the master patient index knows all data.
func (s state) checkHold(r request) string {
	if r.minutes < 0 || r.minutes > 15 {
		return "field_invalid"
	}
	refusal, _ := s.withPersonsKnown().check(r)
	return refusal
}

// checkHoldForMove checks a hold for the move of a visit by the rules of the move. It also returns
// the booking that the move amounts to.
func (s state) checkHoldForMove(booked string, st step) (refusal string, r request) {
	if st.request.malformed() || st.request.minutes < 0 || st.request.minutes > 15 {
		return "field_invalid", r
	}
	at, refusal, r := s.resolveMove(booked, st)
	if refusal == "" {
		refusal, _ = s.withPersonsKnown().without(at).check(r)
	}
	return refusal, r
}

// writeHoldForMove holds cells for the move of a visit. The visit's own places count as free.
func (s state) writeHoldForMove(step, booked string, r request, chosen cells) (string, state) {
	at := slices.IndexFunc(s.visits, func(v visit) bool { return v.label == booked })
	if s.visits[at].cancelled {
		return "appointment_cancelled", s
	}
	if s.visits[at].attendance.value != "" {
		return "appointment_attended", s
	}
	reply, held := s.without(at).writeHold(step, r, chosen)
	held.visits, held.activeClaims = s.visits, s.activeClaims
	return reply, held
}

// writeHold holds the cells, all or none. It describes the new hold, or the existing one.
func (s state) writeHold(step string, r request, chosen cells) (string, state) {
	for _, h := range s.holdsOf(r.person) {
		if h.slots[0] == chosen.slots[0] {
			return s.describeHold(h), s
		}
	}
	if refusal := s.lostRule(chosen); refusal != "" {
		return refusal, s
	}
	minutes := r.minutes
	if minutes == 0 {
		minutes = 5
	}
	h := hold{chosen, step, r.person, 0, r.direction, r.to, s.now.Add(time.Duration(minutes) * time.Minute)}
	for _, place := range []int{2, 1} {
		if !slices.ContainsFunc(s.holdsOf(r.person), func(o hold) bool { return o.place == place }) {
			h.place = place
		}
	}
	if h.place == 0 {
		reply := "too_many_holds"
		for _, other := range s.holdsOf(r.person) {
			reply += "; " + s.describeHold(other)
		}
		return reply, s
	}
	s = s.withoutEndedHolds(chosen.slots)
	s.holds = slices.DeleteFunc(slices.Clone(s.holds), func(o hold) bool {
		return o.person == r.person && o.place == h.place
	})
	s.holds = append(s.holds, h)
	for _, n := range chosen.slots {
		s.slotHolds = append(s.slotHolds, slotHold{step, n, r.person, h.until})
	}
	return s.describeHold(h), s
}

// release ends the person's hold whose first cell is given.
func (s state) release(person, slot int) (string, state) {
	for _, h := range s.holdsOf(person) {
		if h.slots[0] == slot {
			return "released", s.withoutEndedHolds(h.slots).removeHolds(h.label)
		}
	}
	return "released", s
}

// holdsOf returns the person's current holds, sorted by tnext end.
func (s *state) holdsOf(person int) []hold {
	holds := slices.DeleteFunc(slices.Clone(s.holds), func(h hold) bool {
		return h.person != person || !h.until.After(s.now)
	})
	slices.SortFunc(holds, func(a, b hold) int { return cmp.Or(a.until.Compare(b.until), a.place-b.place) })
	return holds
}

// describeHold describes a hold as the reply does.
func (s *state) describeHold(h hold) string {
	var cells []string
	for _, n := range h.slots {
		cells = append(cells, label("S", n))
	}
	zone := s.zone(h.lpu)
	return fmt.Sprintf("held %s in %s for %s, %s to %s, until %s",
		strings.Join(cells, " "), label("L", h.lpu), label("D", h.direction),
		h.start.In(zone).Format(time.RFC3339), h.end.In(zone).Format(time.RFC3339),
		h.until.In(zone).Format(time.RFC3339))
}

// check evaluates the rules in tnext order and returns the first that rejects the request. The
// returned state contains the card that the check created. The card stays even if the booking then
// fails.
func (s state) check(r request) (refusal string, after state) {
	// 1. The token: its client application exists.
	if r.client == unknown {
		return "token_invalid", s
	}

	// The form of the request.
	if r.malformed() {
		return "field_invalid", s
	}

	// 2. The direction: unsupported type; not found in the source LPU, of that type.
	kind := map[string]string{
		"Consult": "Consult", "consult": "Consult", "Laboratory": "Laboratory", "laboratory": "Laboratory",
	}[r.kind]
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
	// It is not the patient's.
	patient := s.mkabs[d.mkab]
	if patient.person != r.person {
		return "direction_not_patients: Направление " + label("D", r.direction) + " не принадлежит пациенту", s
	}
	// The request's source is compared with the direction's source, and the request's target with
	// the direction's target if there is one.
	if s.lpus[r.from].entity != s.lpus[d.from].entity {
		return "direction_lpu_mismatch", s
	}
	if d.to != unknown && (r.to == unknown || s.lpus[r.to].entity != s.lpus[d.to].entity) {
		return "direction_lpu_mismatch", s
	}
	if s.activeVisit(r.direction) != nil {
		return "direction_already_booked", s
	}
	// A rule of Talon's own: the last day is over where the referral is held, and the setting of
	// the target or of the region is on.
	today := s.now.In(s.zone(holder)).Format(time.DateOnly)
	if r.to != unknown && cmp.Or(s.lpus[r.to].expires, s.expires) == "true" && d.dateEnd < today {
		return "direction_expired: Срок действия направления истек: оно действовало по " + parse(time.DateOnly, d.dateEnd, time.UTC).Format("02.01.2006") + " включительно.", s
	}

	// 3. The slot and its resource.
	first, at := s.find(r)
	if r.place.kind != "out" && first == unknown {
		return "slot_not_found", s
	}
	if at == unknown || s.resources[at].inactive {
		return "slot_resource_not_found", s
	}
	with := s.resources[at]
	zone := s.zone(r.to)
	var start time.Time
	if r.place.kind == "out" {
		start, _ = readDate(r.place.date, zone)
		if s.hasPassed(r.place.date, zone) {
			return "slot_time_passed", s
		}
		if refusal := s.beyondHorizon(r, start); refusal != "" {
			return refusal, s
		}
		if !s.clients[r.client].outOfSchedule {
			return "slot_access_denied", s
		}
	} else {
		cell := s.slots[first]
		start = cell.start.In(zone)
		switch {
		case s.isStale(with):
			return "schedule_stale", s
		case cell.lunch:
			return "slot_not_for_reception", s
		case cell.closed() || cell.access == 0:
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
	if r.place.kind != "out" {
		if refusal := s.restricted(r, patient, s.slots[first].restriction, start); refusal != "" {
			return refusal, s
		}
	}

	// 6. One active appointment a speciality; consultations, over all LPUs.
	if kind == "Consult" && s.onlyOneActive {
		if active := s.activeClaim(r); active != nil {
			return s.alreadyBookedFor(r, active), s
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
		s.createdMkabs = append(slices.Clone(s.createdMkabs), mkab{lpu: r.to, person: r.person})
	}

	// 8. The adjacent cells for Difficulty > 1: the patient must be able to take each through this
	// client.
	if r.place.kind != "out" {
		cells := s.adjacent(first, r)
		if len(cells) < r.cellCount() {
			return "complex_slot_failed", s
		}
		for _, n := range cells[1:] {
			cell := s.slots[n]
			if cell.lunch || cell.closed() || cell.access&s.mask(r) == 0 || s.full(n, r.person) ||
				s.restricted(r, patient, cell.restriction, cell.start.In(zone)) != "" {
				return "complex_slot_failed", s
			}
		}
	}
	return "", s
}

// malformed reports whether the form of the request is wrong, which needs no data.
func (r request) malformed() bool {
	return r.place.kind == "nowhere" || r.difficulty < 0 || r.difficulty > 16 || r.place.kind == "out" &&
		slices.Contains(badDates, r.place.date)
}

// write takes the direction, the speciality and the chosen cells in this order, all or none. It
// ends the holds that the check found. It rejects what another request has taken, and cells that a
// message has changed, since the check. Directly after the check it rejects nothing.
func (s state) write(step, guid string, r request, chosen cells, known []string) (string, state) {
	d := s.directions[r.direction]
	if s.activeVisit(r.direction) != nil {
		return "direction_already_booked", s
	}
	if active := s.activeClaim(r); d.kind == "Consult" && s.onlyOneActive && active != nil {
		return s.alreadyBookedFor(r, active), s
	}
	before := s
	v := visit{
		label: step, guid: guid, request: r, direction: r.direction, cells: chosen, created: s.now, updated: s.now,
		version: 1, bookedBy: booker{r.initiator(), label("C", r.client)},
	}
	v.mkab, _ = s.cardsOf(r.person, r.to)
	if r.place.kind != "out" {
		s = s.removeHolds(known...)
		if refusal := s.lostRule(chosen); refusal != "" {
			return refusal, before
		}
		s = s.withoutEndedHolds(v.slots)
	}
	s.visits = append(slices.Clone(s.visits), v)
	if d.kind == "Consult" {
		s = s.withClaim(s.claimOf(v))
	}
	return s.describeWritten(v), s
}

// initiator returns who sends the request.
func (r request) initiator() string {
	if r.desk {
		return "institution"
	}
	return "patient"
}

// describeWritten describes a visit to who has booked or moved it.
func (s *state) describeWritten(v visit) string {
	if v.request.desk {
		return deskPrefix + s.describeVisit(v)
	}
	return s.describeBooking(v)
}

// lostRule returns the rule that rejects the chosen cells if one has no free place, is closed, or
// no longer is within the time of the visit, or if they do not fill that time. Holds of every
// person count.
func (s *state) lostRule(chosen cells) string {
	first, last := chosen.end, chosen.start
	for i, n := range chosen.slots {
		cell := s.slots[n]
		lost := cell.gone || cell.closed() || cell.resource != chosen.resource || s.full(n, unknown) ||
			cell.start.Before(chosen.start) || cell.end().After(chosen.end)
		switch {
		case lost && i == 0:
			return "slot_taken"
		case lost:
			return "complex_slot_failed"
		}
		if cell.start.Before(first) {
			first = cell.start
		}
		if cell.end().After(last) {
			last = cell.end()
		}
	}
	if !first.Equal(chosen.start) || !last.Equal(chosen.end) {
		return "slot_taken"
	}
	return ""
}

// withClaim records the claim of a consultation. Of several active ones, the claim belongs to the
// one that ends last.
func (s state) withClaim(c claim) state {
	key := label("P", c.person) + c.speciality
	if old, ok := s.activeClaims[key]; ok && old.end.After(s.now) && !old.end.Before(c.end) {
		return s
	}
	s.activeClaims = maps.Clone(s.activeClaims)
	s.activeClaims[key] = c
	return s
}

// claimOf returns the claim of a consultation.
func (s *state) claimOf(v visit) claim {
	return claim{
		v.request.person, s.directions[v.direction].speciality, v.label, v.request.to, resourceName(v.resource),
		v.start, v.end,
	}
}

// cancel cancels the visit of a booking, for its patient only. A repeated cancel changes nothing.
// The claim passes to the patient's active consultation of the speciality that ends last. There can
// be others while the setting is off, or if it was.
func (s state) cancel(booked string, st step) (string, state) {
	at := slices.IndexFunc(s.visits, func(v visit) bool { return v.label == booked })
	if at == unknown || st.stranger {
		return "appointment_absent", s
	}
	if s.visits[at].cancelled {
		return "cancelled", s
	}
	if s.cannotBeChanged(s.visits[at]) {
		return "appointment_started", s
	}
	if s.visits[at].attendance.value != "" {
		return "appointment_attended", s
	}
	return "cancelled", s.writeCancel(at, cancellation{
		code: st.reasonCode, text: textIf(st.reasonCode == 6, reasonText), initiator: "patient",
		client: label("C", st.request.client),
	})
}

// writeCancel cancels an active visit.
func (s state) writeCancel(at int, by cancellation) state {
	s.visits = slices.Clone(s.visits)
	v := &s.visits[at]
	v.cancelled, v.cancelledBy, v.updated = true, by, s.now
	v.version++
	return s.passClaimOn(v.label)
}

// cannotBeChanged reports whether a visit has started and no setting of its institution or of the
// region allows changes after the start.
func (s *state) cannotBeChanged(v visit) bool { return s.hasStarted(v) && !s.changesLate(v) }

// changesLate reports whether started visits of the institution can be changed.
func (s *state) changesLate(v visit) bool {
	return cmp.Or(s.lpus[v.request.to].changesAfterStart, s.changesAfterStart) == "true"
}

// hasStarted reports whether a visit has started. A visit on a bare day starts when the day is
// over.
func (s *state) hasStarted(v visit) bool {
	if v.request.place.kind == "out" && v.end.After(v.start) {
		return !v.end.After(s.now)
	}
	return v.start.Before(s.now)
}

// passClaimOn removes the claim of a visit and passes it to the next consultation.
func (s state) passClaimOn(booked string) state {
	s.activeClaims = maps.Clone(s.activeClaims)
	for key, c := range s.activeClaims {
		if c.visit != booked {
			continue
		}
		delete(s.activeClaims, key)
		var next *visit
		for i, v := range s.visits {
			d := s.directions[v.direction]
			if !v.holdsSpeciality() || !v.end.After(s.now) || d.kind != "Consult" || v.request.person != c.person ||
				d.speciality != c.speciality {
				continue
			}
			if next == nil || v.end.After(next.end) || v.end.Equal(next.end) && v.guid < next.guid {
				next = &s.visits[i]
			}
		}
		if next != nil {
			s.activeClaims[key] = s.claimOf(*next)
		}
	}
	return s
}

// without returns the state as if a visit had never existed.
func (s state) without(at int) state {
	booked := s.visits[at].label
	s.visits = slices.Delete(slices.Clone(s.visits), at, at+1)
	return s.passClaimOn(booked)
}

// checkMove checks a move: a booking of the same referral as if the visit did not exist. It returns
// a reply if that is final, and otherwise the booking.
func (s state) checkMove(booked string, st step) (reply string, r request, after state) {
	if st.request.malformed() || st.request.desk && st.reassignment.malformed() {
		return "field_invalid", r, s
	}
	at, reply, r := s.resolveMove(booked, st)
	if reply != "" {
		return reply, r, s
	}
	if v := s.visits[at]; r.comment == v.request.comment && r.cito == v.request.cito && s.isSamePlace(v, r) {
		v.request.desk = r.desk
		return s.describeWritten(v), r, s
	}
	if r.desk {
		if reply = s.rejectReassignment(s.visits[at], st.reassignment); reply != "" {
			return reply, r, s
		}
	}
	reply, checked := s.without(at).check(r)
	s.createdMkabs = checked.createdMkabs
	return reply, r, s
}

// resolveMove finds the visit to move. It returns the booking that the move amounts to, or the rule
// that rejects every move of the visit.
func (s *state) resolveMove(booked string, st step) (at int, refusal string, r request) {
	if st.request.desk {
		at, refusal = s.resolveReassignment(booked, st.reassignment)
	} else {
		at, refusal = s.resolveOwnMove(booked, st.stranger)
	}
	if refusal != "" {
		return at, refusal, r
	}
	v := s.visits[at]
	r = st.request
	d := s.directions[v.direction]
	r.person, r.direction, r.kind, r.from = v.request.person, v.direction, d.kind, s.mkabs[d.mkab].lpu
	if st.keepFields {
		r.to, r.comment, r.cito = v.request.to, v.request.comment, v.request.cito
	}
	if r.difficulty == 0 {
		r.difficulty = max(len(v.slots), 1)
	}
	return at, "", r
}

// resolveOwnMove finds the visit to move for its patient, or returns the rule that rejects every
// move of the visit.
func (s *state) resolveOwnMove(booked string, stranger bool) (at int, refusal string) {
	at = slices.IndexFunc(s.visits, func(v visit) bool { return v.label == booked })
	switch {
	case at == unknown || stranger:
		return at, "appointment_absent"
	case s.visits[at].cancelled:
		return at, "appointment_cancelled"
	case s.cannotBeChanged(s.visits[at]):
		return at, "appointment_started"
	case s.visits[at].attendance.value != "":
		return at, "appointment_attended"
	default:
		return at, ""
	}
}

// isSamePlace reports whether a request is for exactly the cells of a visit.
func (s *state) isSamePlace(v visit, r request) bool {
	first, _ := s.find(r)
	if first == unknown || r.to != v.request.to {
		return false
	}
	cells := s.adjacent(first, r)
	return len(cells) == r.difficulty && slices.Equal(cells, v.slots)
}

// writeMove moves a visit. A rejected move leaves the visit unchanged. For an institution the visit
// must be as it was when the rules were evaluated; otherwise they are evaluated again.
func (s state) writeMove(
	booked string, r request, by reassignment, chosen cells, known []string,
) (string, state) {
	at := slices.IndexFunc(s.visits, func(v visit) bool { return v.label == booked })
	was := s.visits[at]
	if was.cancelled {
		return "appointment_cancelled", s
	}
	if r.desk && was.version != by.version {
		return "not yet", s
	}
	if was.attendance.value != "" {
		return "appointment_attended", s
	}
	reply, written := s.without(at).write(booked, was.guid, r, chosen, known)
	if !succeeded(reply) {
		return reply, s
	}
	moved := &written.visits[len(written.visits)-1]
	moved.created, moved.version, moved.bookedBy = was.created, was.version+1, was.bookedBy
	moved.moved = &lastMove{at: s.now, initiator: r.initiator(), cause: by.cause, text: by.text}
	reply = written.describeWritten(*moved)
	if was.request.to != r.to {
		written.movedAway = append(slices.Clone(written.movedAway), was)
	}
	return reply, written
}

// find returns the cell and the resource of a request. Each is unknown if the target institution
// has no such one.
func (s *state) find(r request) (cell, at int) {
	switch r.place.kind {
	case "id":
		cell = slices.IndexFunc(s.slots, func(c slot) bool {
			return c.id == r.place.id && !c.gone && s.resources[c.resource].lpu == r.to
		})
	case "guid":
		cell = r.place.slot
	default:
		if r.place.resource != unknown && s.resources[r.place.resource].lpu == r.to {
			return unknown, r.place.resource
		}
		return unknown, unknown
	}
	if cell == unknown || s.slots[cell].gone || s.resources[s.slots[cell].resource].lpu != r.to {
		return unknown, unknown
	}
	return cell, s.slots[cell].resource
}

// adjacent returns the first cell and the cells of its resource that follow it without a gap: as
// many as requested or fewer.
func (s *state) adjacent(first int, r request) []int {
	cells := []int{first}
	for len(cells) < r.cellCount() {
		last := s.slots[cells[len(cells)-1]]
		next := slices.IndexFunc(s.slots, func(c slot) bool {
			return c.resource == last.resource && !c.gone && c.start.Equal(last.end())
		})
		if next == unknown {
			break
		}
		cells = append(cells, next)
	}
	return cells
}

func (r request) cellCount() int { return max(r.difficulty, 1) }

// full reports whether the active visits of a cell, and its holds by others than a person, reach
// its capacity.
func (s *state) full(cell, person int) bool {
	taken := 0
	for _, k := range s.slotHolds {
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

// mask returns the client's access mask, which depends on whether source and target institution are
// the same.
func (s *state) mask(r request) int {
	if r.from == r.to {
		return s.clients[r.client].same
	}
	return s.clients[r.client].other
}

// restricted returns the rule by which the cell's restriction rejects a patient, or none.
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
		// An open case in the source or in the target counts. The message contains the newest.
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

// isStale reports whether nobody has confirmed the schedule for longer than the setting of the
// institution allows, which overrides the region's.
func (s *state) isStale(at resource) bool {
	hours := cmp.Or(s.lpus[at.lpu].freshHours, s.freshHours, "0")
	if hours == "0" || at.confirmed == nil {
		return false
	}
	limit, err := strconv.Atoi(hours)
	if err != nil {
		panic(err)
	}
	return s.now.Sub(harness.Moment.Add(-*at.confirmed)) > time.Duration(limit)*time.Hour
}

// beyondHorizon rejects a visit that starts later than the horizon. The client's setting overrides
// the target's, which overrides the region's.
func (s *state) beyondHorizon(r request, start time.Time) string {
	days := cmp.Or(s.clients[r.client].days, s.lpus[r.to].days, s.days)
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

// rulesWithMessage are the rules whose messages the model predicts.
var rulesWithMessage = []string{
	"direction_not_patients", "direction_expired", "slot_beyond_horizon", "slot_healthy_children_only",
	"speciality_already_booked",
}

// activeClaim returns the person's active claim on the direction's speciality, or nil.
func (s *state) activeClaim(r request) *claim {
	c, ok := s.activeClaims[label("P", r.person)+s.directions[r.direction].speciality]
	if !ok || !c.end.After(s.now) {
		return nil
	}
	return &c
}

func (s *state) alreadyBooked(c *claim) string {
	return alreadyBookedOn(c.resource, c.start.In(s.zone(c.lpu)).Format("02.01.2006 15:04"))
}

func alreadyBookedOn(resource, start string) string {
	return fmt.Sprintf("speciality_already_booked: Вы уже записаны %s на %s. Запрещено иметь более одной активной записи на прием на одну специальность.",
		resource, start)
}

// activeVisit returns the active visit of a direction, or nil.
func (s *state) activeVisit(direction int) *visit {
	for i := range s.visits {
		if s.visits[i].direction == direction && s.visits[i].holdsReferral() {
			return &s.visits[i]
		}
	}
	return nil
}

// cardsOf returns a person's open card in an institution, and reports whether there is a closed
// one. An open card counts even if there is a closed one.
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
	for _, card := range s.createdMkabs {
		if card.person == person && card.lpu == lpu {
			open = createdMkabLabel(card)
		}
	}
	return open, closed
}

func createdMkabLabel(card mkab) string {
	return fmt.Sprintf("K(%s,%s)", label("P", card.person), label("L", card.lpu))
}

func (s *state) zone(lpu int) *time.Location { return harness.MustZone(s.lpus[lpu].zone) }

// badDates are no valid dates, or more than 366 days ahead.
var badDates = []string{"завтра", "2019-02-30", "2020-09-23", "2021-01-01T10:00:00+03:00"}

// readDate parses the date of a visit out of schedule. A bare date is that day, and a local time is
// in the institution's zone.
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

// hasPassed reports whether a date has passed. A bare date of today has not.
func (s *state) hasPassed(text string, zone *time.Location) bool {
	if len(text) == len(time.DateOnly) {
		return text < s.now.In(zone).Format(time.DateOnly)
	}
	start, _ := readDate(text, zone)
	return start.Before(s.now)
}

// describeBooking describes a success: the direction as held in the target institution, with its
// appointment.
func (s *state) describeBooking(v visit) string {
	d := s.directions[v.direction]
	zone := s.zone(v.request.to)
	return fmt.Sprintf("booked %s as %s, %s %s from %s to %s, card %s, %s to %s, created %s",
		d.kind, v.label, label("D", v.direction), directionNumber(v.direction),
		label("L", d.from), label("L", v.request.to), v.mkab, v.start.In(zone).Format(time.RFC3339),
		v.end.In(zone).Format(time.RFC3339),
		v.created.In(zone).Format(time.RFC3339))
}

func directionNumber(n int) string { return fmt.Sprint("4701-", n) }
func resourceName(n int) string    { return fmt.Sprint("Ресурс ", n) }

// tables returns the rows that the database must have, a line for each.
func (s *state) tables() []string {
	var lines []string
	add := func(format string, values ...any) { lines = append(lines, fmt.Sprintf(format, values...)) }
	lines = append(lines, s.registryTables()...)
	lines = append(lines, s.visitLists()...)
	for _, k := range s.slotHolds {
		if k.until.After(s.now) {
			add("cell %s is held by %s until %s", label("S", k.slot), label("P", k.person), utc(k.until))
		}
	}
	for _, h := range s.holds {
		if h.until.After(s.now) {
			var cells []string
			for _, n := range h.slots {
				cells = append(cells, label("S", n))
			}
			add("%s holds %s in %s for %s, %s to %s, until %s",
				label("P", h.person), strings.Join(cells, " "), label("L", h.lpu), label("D", h.direction),
				utc(h.start), utc(h.end), utc(h.until))
		}
	}
	for of, a := range s.keys {
		if a.isStored(s.now) {
			add("%s has a stored response under %s", of.owner, of.key)
		}
	}
	for _, v := range s.visits {
		for _, n := range v.slots {
			add("visit %s is in cell %s", v.label, label("S", n))
		}
		cancelled := textIf(v.cancelled, ", cancelled") +
			textIf(v.cancelledBy.code != 0, fmt.Sprint(" for ", v.cancelledBy.code)) +
			textIf(v.cancelledBy.text != "", " «"+v.cancelledBy.text+"»")
		attended := textIf(v.attendance.value != "", ", attended since "+utc(v.attendance.since))
		add("visit %s: %s of %s to %s in %s, card %s, by %s, %s to %s, out of schedule %t, cito %t, «%s»%s%s",
			v.label, label("D", v.direction), label("P", v.request.person),
			label("R", v.resource), label("L", v.request.to), v.mkab,
			label("C", v.request.client),
			utc(v.start), utc(v.end), v.request.place.kind == "out", v.request.cito, v.request.comment, cancelled,
			attended)
	}
	for n, d := range s.directions {
		active, completed := "none", ""
		with := s.activeVisit(n)
		if with != nil {
			active = with.label
			completed = textIf(with.attendance.value == "fulfilled", ", completed by "+active)
		}
		holder := s.mkabs[d.mkab].lpu
		add("%s in %s: id %d, card %s, visit %s%s", label("D", n), label("L", holder), originalID(n),
			label("K", d.mkab), active, completed)
		for l := range s.lpus {
			card, id := s.leftCopy(n, l)
			visit := "none"
			if with != nil && with.request.to == l {
				visit = active + completed
			}
			for _, v := range s.movedAway {
				if v.direction == n && v.request.to == l && l != holder {
					card = v.mkab
				}
			}
			for _, v := range s.visits {
				if v.direction == n && v.request.to == l && l != holder {
					card = v.mkab
				}
			}
			if card != "" {
				add("%s in %s: id %s, card %s, visit %s, a copy from %s, equal to the original",
					label("D", n), label("L", l), id, card, visit, label("L", holder))
			}
		}
	}
	for _, c := range s.activeClaims {
		add("claim of %s on %s: %s at %s in %s, %s to %s",
			label("P", c.person), c.speciality, c.visit, c.resource, label("L", c.lpu), utc(c.start), utc(c.end))
	}
	for n, card := range s.mkabs {
		add("card %s of %s in %s: closed %t, born %s, policies []",
			label("K", n), label("P", card.person), label("L", card.lpu), card.closed, card.born)
	}
	for _, card := range s.createdMkabs {
		add("card %s of %s in %s: closed false, born %s, policies [%s]",
			createdMkabLabel(card), label("P", card.person), label("L", card.lpu), mipBirthDate,
			s.persons[card.person].policy)
	}
	slices.Sort(lines)
	return lines
}

// leftCopy returns the card and the id of a copy that was left in an institution.
func (w *world) leftCopy(direction, lpu int) (card, id string) {
	for i, c := range w.copies {
		if c.direction == direction && c.lpu == lpu {
			return label("K", c.mkab), fmt.Sprint(copyID(i))
		}
	}
	return "", "new"
}

// originalID and copyID return ids that are lower than those the service assigns.
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
