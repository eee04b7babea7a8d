package booking

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// SlotFinder reads what a search for free cells needs.
type SlotFinder interface {
	// SearchFacts finds the original of the patient's referral that the request names, and the institutions that may serve it, at most so many: the one
	// given, else those of the legal entity that the referral leads to. For each of them it returns, of one snapshot, the facts of a booking without a place;
	// or of the move of a visit, as MoveFacts does. It returns nil where the patient has no such referral.
	SearchFacts(
		ctx context.Context, patient Patient, request Request, lpu *uuid.UUID, most int, visit *BookedVisit, now time.Time,
	) (*Targets, []*Facts, error)
	// ScanSlots reads cells, for each scan in order of their start and guid. The scans are alike: each names a resource, a speciality or neither.
	ScanSlots(ctx context.Context, scans []SlotScan) ([][]FoundSlot, error)
	// ResourcesWithSlots finds for each scan a resource that has cells from its start on: the one that it names, else one in use, of its speciality where it
	// has one. It gives nil where there is none.
	ResourcesWithSlots(ctx context.Context, scans []SlotScan) ([]*Resource, error)
	// NearestSlots reads cells that can be booked, the nearest to a moment within the scan's period first.
	NearestSlots(ctx context.Context, scan SlotScan, wanted time.Time) ([]FoundSlot, error)
}

// Targets are a referral and the institutions that may serve it; the one that it names comes first.
type Targets struct {
	Holder         uuid.UUID
	Type           DirectionType
	SpecialityCode string
	LpuTo          *uuid.UUID
	LegalEntity    *uuid.UUID // of LpuTo
	Lpus           []TargetLpu
}

// TargetLpu is an institution that may serve a referral.
type TargetLpu struct {
	Guid        uuid.UUID
	LegalEntity uuid.UUID
	Name        string
	Zone        *time.Location
}

// SlotScan asks for cells of one institution. The store filters only so that fewer rows are read; the rules judge what it gives.
type SlotScan struct {
	Lpu        uuid.UUID
	Speciality *string
	Resource   *uuid.UUID
	From, To   time.Time  // they begin from the first and before the second
	After      *uuid.UUID // of those that begin with From, only the ones with a greater guid
	Most       int
	Difficulty int
	Person     uuid.UUID // whose holds count for nothing; those of all others, at this moment, take places
	Now        time.Time
	Own        []uuid.UUID // cells where a place of the visit that is to be moved counts as free

	All          bool // also those that cannot be booked, whatever the two below say
	Access       Access
	Restrictions []Restriction
}

// FoundSlot is a cell and, where more than one is wanted, cells of the same resource that follow it, in order of time.
type FoundSlot struct {
	ID       int64
	Resource Resource
	Cells    []Slot
}

// SlotSearch asks for the cells that can be booked with a referral, or that a visit booked with it can be moved to.
type SlotSearch struct {
	Direction   uuid.UUID
	Appointment *uuid.UUID // the visit that is to be moved
	Lpu         *uuid.UUID
	Resource    *uuid.UUID
	From, To    *VisitDate
	Difficulty  int  // 0 where it is not given
	Explain     bool // also the cells that cannot be booked, with the rule that each breaks
	Limit       int
	After       *SlotCursor
}

// SlotCursor is where a page ended.
type SlotCursor struct {
	Began time.Time // when the first page was asked for, which the default period counts from
	Start time.Time
	Lpu   uuid.UUID
	Slot  uuid.UUID
}

// SlotPage is a page of the cells that were found, in order of time.
type SlotPage struct {
	Type          DirectionType
	Holder        uuid.UUID // what to book with as the request's source
	Slots         []OfferedSlot
	Next          *SlotCursor
	NextAvailable *time.Time // where no cell of the page can be booked and no page follows: the first one after the period
	BlockedBy     *Refusal   // why no cell at all can be booked, where that is the same for all
}

// OfferedSlot is a cell that can be booked, or one that cannot.
type OfferedSlot struct {
	ID       int64
	Lpu      *TargetLpu
	Resource *Resource
	Cells    []Slot   // the cells that the visit would take; fewer than wanted where there are no more
	Refusal  *Refusal // what booking would answer; nil where it would succeed
}

// Start is when the visit would begin.
func (o *OfferedSlot) Start() time.Time { return o.Cells[0].Start.In(o.Lpu.Zone) }

// End is when it would end.
func (o *OfferedSlot) End() time.Time { return o.Cells[len(o.Cells)-1].End.In(o.Lpu.Zone) }

// Capacity is how many visits the cell can take.
func (o *OfferedSlot) Capacity() int32 { return o.Cells[0].Capacity }

// Left is how many more visits of this kind have a place: as many as in the fullest of the cells.
func (o *OfferedSlot) Left() int32 {
	left := int32(math.MaxInt32)
	for _, cell := range o.Cells {
		left = min(left, cell.Capacity-cell.Taken)
	}
	return max(left, 0) // places that are held may be more than an institution has left
}

// The bounds of a search.
const (
	mostTargets       = 50
	searchDays        = 14
	nextAvailableDays = 90
	leastScanned      = 32 // cells at a time
	mostScanned       = 1000
)

// longestPeriod leaves room for the hour that a change of the clocks adds.
const longestPeriod = searchDays*24*time.Hour + time.Hour

// Slots finds the cells that the patient can book with a referral of theirs through this client now, or move a visit to. What is offered has passed the rules
// that booking, or the move, goes by; the master patient index is not asked, so that a card that booking would make counts as made.
func (s *Service) Slots(ctx context.Context, patient Patient, search SlotSearch) (*SlotPage, error) {
	now := s.now()
	visit, err := s.findVisit(ctx, patient, search.Appointment)
	if err != nil {
		return nil, err
	}
	request := Request{Direction: search.Direction, Difficulty: visit.cells(search.Difficulty)}
	targets, facts, err := s.store.SearchFacts(ctx, patient, request, search.Lpu, mostTargets+1, visit, now)
	if err != nil {
		return nil, fmt.Errorf("find the referral: %w", err)
	}
	if refusal := search.refuseTargets(targets); refusal != nil {
		return nil, refusal
	}
	if search.Appointment != nil && !visit.isOf(search.Direction, targets.Holder) {
		return nil, Reject(AppointmentAbsent)
	}

	cursor := search.After
	if cursor == nil {
		cursor = &SlotCursor{Began: now}
	}
	page := &SlotPage{Type: targets.Type, Holder: targets.Holder}
	periods := make([]slotPeriod, len(targets.Lpus))
	possible := false
	for i, lpu := range targets.Lpus {
		period := slotPeriod{lpu: lpu, facts: facts[i]}
		period.from, period.to = search.period(lpu.Zone, cursor.Began)
		if period.to.Sub(period.from) > longestPeriod {
			return nil, InvalidField("dateTo", ProblemPeriod(searchDays))
		}
		possible = possible || period.from.Before(period.to)
		period.facts.assumeMkab()
		period.blocked = period.facts.refusesAll(period.facts.fittingResource())
		periods[i] = period
	}
	if !possible { // a day may be over in one zone and not in another
		return nil, InvalidField("dateTo", ProblemEmptyPeriod)
	}
	open := slices.DeleteFunc(slices.Clone(periods), func(p slotPeriod) bool { return p.blocked != nil })

	scanned := open
	if search.Explain {
		scanned = periods
	}
	found, err := s.findSlots(ctx, slotScanner{search, targets, scanned, search.After, search.Explain}, search.Limit+1)
	if err != nil {
		return nil, err
	}
	if len(found) > search.Limit {
		found = found[:search.Limit]
		last := found[len(found)-1]
		page.Next = &SlotCursor{Began: cursor.Began, Start: last.Cells[0].Start, Lpu: last.Lpu.Guid, Slot: last.Cells[0].Guid}
	}
	page.Slots = found
	if slices.ContainsFunc(found, func(o OfferedSlot) bool { return o.Refusal == nil }) {
		return page, nil
	}

	if page.Next == nil {
		for i := range open {
			open[i].from, open[i].to = open[i].to, open[i].to.AddDate(0, 0, nextAvailableDays)
		}
		later, err := s.findSlots(ctx, slotScanner{search, targets, open, nil, false}, 1)
		if err != nil {
			return nil, err
		}
		if len(later) > 0 {
			start := later[0].Start()
			page.NextAvailable = &start
			return page, nil
		}
	}
	// A resource that is found without being named refuses nothing that a fitting one does not.
	if search.Resource == nil && len(open) == len(periods) {
		return page, nil
	}
	page.BlockedBy, err = s.blockedBy(ctx, search, targets, periods)
	if err != nil {
		return nil, err
	}
	return page, nil
}

// blockedBy is what refuses every cell alike, from now on, if anything does. Institutions that have no cell for the referral have a say only where none has one.
func (s *Service) blockedBy(ctx context.Context, search SlotSearch, targets *Targets, periods []slotPeriod) (*Refusal, error) {
	scans := make([]SlotScan, len(periods))
	for i, period := range periods {
		scans[i] = SlotScan{Lpu: period.lpu.Guid, Resource: search.Resource, From: period.facts.Now}
		if targets.Type == Consult {
			scans[i].Speciality = &targets.SpecialityCode
		}
	}
	resources, err := s.store.ResourcesWithSlots(ctx, scans)
	if err != nil {
		return nil, fmt.Errorf("look for cells: %w", err)
	}
	var refusals, ofAll []*Refusal
	for i, period := range periods {
		ofAll = append(ofAll, period.blocked)
		if resources[i] != nil {
			refusals = append(refusals, period.facts.refusesAll(resources[i]))
		}
	}
	if len(refusals) == 0 {
		refusals = ofAll
	}
	if slices.Contains(refusals, nil) {
		return nil, nil //nolint:nilnil // somewhere nothing is in the way
	}
	return refusals[0], nil
}

// refuseTargets refuses a referral that is not there, and an institution that may not serve it or is not named where it must be.
func (q *SlotSearch) refuseTargets(targets *Targets) *Refusal {
	const field = "lpuGuid"
	switch {
	case targets == nil:
		return Reject(DirectionAbsent)
	case q.Lpu == nil && targets.LpuTo == nil:
		return InvalidField(field, ProblemLpuMissing)
	case len(targets.Lpus) > mostTargets:
		return InvalidField(field, ProblemLpuChoice(mostTargets))
	case len(targets.Lpus) == 0:
		return InvalidField(field, ProblemLpuUnknown)
	case targets.LegalEntity != nil && targets.Lpus[0].LegalEntity != *targets.LegalEntity:
		return InvalidField(field, ProblemLpuOther)
	default:
		return nil
	}
}

// period gives the search's bounds in an institution's zone.
func (q *SlotSearch) period(zone *time.Location, began time.Time) (from, to time.Time) {
	from = began.In(zone)
	if q.From != nil {
		from, _ = q.From.In(zone)
	}
	to = from.AddDate(0, 0, searchDays)
	if q.To != nil {
		_, to = q.To.In(zone)
	}
	return from, to
}

// slotPeriod is what is searched of one institution.
type slotPeriod struct {
	lpu      TargetLpu
	facts    *Facts
	from, to time.Time
	blocked  *Refusal // what booking answers for every cell of a fitting resource there
}

// slotScanner goes through cells of institutions in order of their start, institution and guid.
type slotScanner struct {
	search  SlotSearch
	targets *Targets
	periods []slotPeriod
	after   *SlotCursor
	hidden  bool // gives also what cannot be booked
}

// findSlots gives the first so many cells that the scanner comes across.
func (s *Service) findSlots(ctx context.Context, scanner slotScanner, most int) ([]OfferedSlot, error) {
	var offered []OfferedSlot
	for batch := max(most, leastScanned); ; batch = min(2*batch, mostScanned) {
		scans, periods := scanner.scans(batch)
		if len(scans) == 0 {
			return offered, nil
		}
		found, err := s.store.ScanSlots(ctx, scans)
		if err != nil {
			return nil, fmt.Errorf("search the cells: %w", err)
		}
		var cells []slotInPeriod
		more := false
		for i := range found {
			more = more || len(found[i]) == batch
			for n := range found[i] {
				cells = append(cells, slotInPeriod{&periods[i], &found[i][n]})
			}
		}
		if len(found) > 1 {
			slices.SortFunc(cells, slotInPeriod.compare)
		}
		if len(cells) > batch { // what follows may lie between cells that were not read
			cells, more = cells[:batch], true
		}
		for _, cell := range cells {
			if offer := cell.offer(); offer != nil && (offer.Refusal == nil || scanner.hidden) {
				offered = append(offered, *offer)
			}
			if len(offered) == most {
				return offered, nil
			}
		}
		if !more {
			return offered, nil
		}
		last := cells[len(cells)-1]
		scanner.after = &SlotCursor{Start: last.found.Cells[0].Start, Lpu: last.period.lpu.Guid, Slot: last.found.Cells[0].Guid}
	}
}

// slotInPeriod is a cell that was found, and where.
type slotInPeriod struct {
	period *slotPeriod
	found  *FoundSlot
}

func (s slotInPeriod) compare(other slotInPeriod) int {
	a, b := &s.found.Cells[0], &other.found.Cells[0]
	return cmp.Or(a.Start.Compare(b.Start), bytes.Compare(s.period.lpu.Guid[:], other.period.lpu.Guid[:]), bytes.Compare(a.Guid[:], b.Guid[:]))
}

// offer judges the cell by the rules that booking goes by. It is nil where a visit that is to be moved stands.
func (s slotInPeriod) offer() *OfferedSlot {
	facts := s.period.facts // the place is all that differs from cell to cell
	facts.Slots, facts.Resource = Adjacent(s.found.Cells, facts.Request.Difficulty), &s.found.Resource
	if facts.staysPut() {
		return nil
	}
	return &OfferedSlot{ID: s.found.ID, Lpu: &s.period.lpu, Resource: &s.found.Resource, Cells: facts.Slots, Refusal: Check(facts)}
}

// scans are for the next cells; of institutions where the period is over there is none.
func (s *slotScanner) scans(most int) (scans []SlotScan, periods []slotPeriod) {
	for _, period := range s.periods {
		from, to := period.from, period.to
		if !s.hidden {
			from, to = period.facts.bookable(from, to)
		}
		var after *uuid.UUID
		if s.after != nil && !s.after.Start.Before(from) {
			from = s.after.Start
			switch bytes.Compare(period.lpu.Guid[:], s.after.Lpu[:]) {
			case 0:
				after = &s.after.Slot
			case -1:
				from = from.Add(time.Microsecond) // the database's smallest step
			}
		}
		if !from.Before(to) {
			continue
		}
		scan := SlotScan{
			Lpu: period.lpu.Guid, Resource: s.search.Resource, From: from, To: to, After: after, Most: most, Difficulty: period.facts.Request.Difficulty,
			Person: period.facts.Patient.Person, Now: period.facts.Now, Own: period.facts.Moved.OwnCells(period.lpu.Guid),
			All: s.hidden, Access: period.facts.access(), Restrictions: period.facts.restrictions(from, to),
		}
		// Who asks why a certain resource is not offered is told that its speciality is another one.
		if s.targets.Type == Consult && (s.search.Resource == nil || !s.hidden) {
			scan.Speciality = &s.targets.SpecialityCode
		}
		scans, periods = append(scans, scan), append(periods, period)
	}
	return scans, periods
}

// bookable is what of a period can be booked at all: from now to the horizon.
func (f *Facts) bookable(from, to time.Time) (time.Time, time.Time) {
	if from.Before(f.Now) {
		from = f.Now
	}
	if horizon := f.Target.horizon(f.Now); horizon != nil && horizon.Before(to) {
		to = *horizon
	}
	return from, to
}

// assumeMkab takes the card that booking would make for made, and the person for one whose card can be: that is for the master patient index to say.
func (f *Facts) assumeMkab() {
	switch {
	case f.Mkab != nil || !f.Target.CreatesMkab:
	case f.Target.PolyclinicCodeIsOwn:
		f.Mkab = &Mkab{}
	default:
		f.Person = &Person{Surname: "?", Name: "?", Sex: Female, PolicyNumber: "?"}
	}
}

// fittingResource is one that can serve the referral.
func (f *Facts) fittingResource() *Resource {
	fitting := &Resource{Kind: Doctor, Active: true}
	if f.Direction != nil {
		fitting.SpecialityCode = f.Direction.SpecialityCode
	}
	return fitting
}

// refusesAll is the refusal of a resource's cell that has nothing against it: what stands in the way of every other one, too.
func (f *Facts) refusesAll(resource *Resource) *Refusal {
	facts := *f
	facts.Request.Difficulty = 1
	facts.Slots = []Slot{{Start: f.Now, End: f.Now, Capacity: 1, Access: math.MaxInt32, Reception: true, Restriction: Unrestricted}}
	facts.Resource = resource
	return Check(&facts)
}

// restrictions are those of cells that the patient could take at some moment of a period. Only age changes within it, and only once for each restriction.
func (f *Facts) restrictions(from, to time.Time) []Restriction {
	facts := *f
	facts.Slots = make([]Slot, 1)
	known := facts.known()
	forbids := func(rule Rule) bool { return rule.forbids(&facts, known) }
	var possible []Restriction
	for _, restriction := range Restrictions {
		for _, start := range []time.Time{from, to} {
			facts.Slots[0] = Slot{Start: start, End: start, Restriction: restriction}
			if !slices.ContainsFunc(restrictionRules, forbids) {
				possible = append(possible, restriction)
				break
			}
		}
	}
	return possible
}
