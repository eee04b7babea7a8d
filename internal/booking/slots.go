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
	// SearchFacts returns the original of the patient's referral and the wanted institutions. For
	// each institution it returns the facts of a booking without a place, or of a move of visit as
	// MoveFacts does, all in one snapshot. It returns nil if the patient has no such referral.
	SearchFacts(
		ctx context.Context, patient Patient, request Request, wanted TargetFilter, visit *BookedVisit, now time.Time,
	) (*Targets, []*Facts, error)
	// ScanSlots returns the cells of each scan, ordered by start and guid. All scans have the same
	// kind of filter: a resource, a speciality or neither.
	ScanSlots(ctx context.Context, scans []SlotScan) ([][]FoundSlot, error)
	// ResourcesWithSlots returns for each scan a resource that has cells from the start of the scan
	// on: the resource of the scan, else an active one of its speciality if it has one. A stale one
	// is returned only if there is no other. The element is nil if there is none.
	ResourcesWithSlots(ctx context.Context, scans []SlotScan) ([]*Resource, error)
	// NearestSlots returns bookable cells of the scan's period, those nearest to wanted first.
	NearestSlots(ctx context.Context, scan SlotScan, wanted time.Time) ([]FoundSlot, error)
}

// TargetFilter selects institutions that may serve a referral. Without Lpu and Page they are those
// of the legal entity of the referral's target, with the target first.
type TargetFilter struct {
	Lpu   *uuid.UUID // only this institution, also if the referral names none
	Page  bool       // order by guid; if the referral names no institution, all of the region
	After uuid.UUID  // with Page: only institutions with a greater guid
	Most  int        // the maximum number of institutions
}

// Targets are a referral and the institutions that may serve it.
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
	LpuPlace

	LegalEntity uuid.UUID
}

// SlotScan selects cells of one institution. The store filters only to read fewer rows; the rules
// decide about each cell.
type SlotScan struct {
	Lpu        uuid.UUID
	Speciality *string
	Resource   *uuid.UUID
	From, To   time.Time  // start of the cells: From inclusive, To exclusive
	After      *uuid.UUID // of cells that start at From, only those with a greater guid
	Most       int
	Difficulty int
	Person     uuid.UUID // holds of this person are ignored; other holds active at Now take places
	Now        time.Time
	Own        []uuid.UUID // cells of the moved visit; its places count as free
	FreshSince *time.Time  // see Lpu.FreshSince

	All          bool // include cells that cannot be booked; ignores the two filters below
	Access       Access
	Restrictions []Restriction
}

// FoundSlot is a cell and, for a difficulty above 1, cells of the same resource that follow it, in
// order of time.
type FoundSlot struct {
	ID       int64
	Resource Resource
	Cells    []Slot
}

// SlotSearch selects cells that can be booked with a referral, or that a visit booked with it can
// be moved to.
type SlotSearch struct {
	Direction   uuid.UUID
	Appointment *uuid.UUID // the visit to move; nil for a booking
	Lpu         *uuid.UUID
	Resource    *uuid.UUID
	From, To    *time.Time // days, both inclusive; nil for the default
	Difficulty  int        // 0 if not given
	Explain     bool       // include cells that cannot be booked, with the rule that rejects each
	Limit       int
	After       *SlotCursor
}

// SlotCursor is the position after which the next page begins.
type SlotCursor struct {
	Began time.Time // time of the first page; the default period starts here
	Start time.Time
	Lpu   uuid.UUID
	Slot  uuid.UUID
}

// SlotPage is a page of cells in order of time.
type SlotPage struct {
	Type   DirectionType
	Holder uuid.UUID // LpuFrom of a booking
	Slots  []OfferedSlot
	Next   *SlotCursor
	// NextAvailable is the start of the first bookable cell after the period. It is set only if no
	// cell of the page can be booked and no page follows.
	NextAvailable *time.Time
	// BlockedBy is the refusal that applies to every cell, or nil.
	BlockedBy *Refusal
}

// OfferedSlot is a cell with the result of booking it.
type OfferedSlot struct {
	ID       int64
	Lpu      *TargetLpu
	Resource *Resource
	Cells    []Slot   // cells that the visit would take; fewer than requested if there are no more
	Refusal  *Refusal // refusal of a booking; nil if it would succeed
}

// Start returns when the visit would begin, in the institution's zone.
func (o *OfferedSlot) Start() time.Time { return o.Cells[0].Start.In(o.Lpu.Zone) }

// End returns when the visit would end, in the institution's zone.
func (o *OfferedSlot) End() time.Time { return o.Cells[len(o.Cells)-1].End.In(o.Lpu.Zone) }

// Capacity returns how many visits the cell can take.
func (o *OfferedSlot) Capacity() int32 { return o.Cells[0].Capacity }

// Left returns the number of free places: that of the fullest of the cells.
func (o *OfferedSlot) Left() int32 {
	left := int32(math.MaxInt32)
	for _, cell := range o.Cells {
		left = min(left, cell.Capacity-cell.Taken)
	}
	return max(left, 0) // holds may exceed a reduced capacity
}

// Limits of a search.
const (
	mostTargets       = 50
	searchDays        = 14
	nextAvailableDays = 90
	leastScanned      = 32 // cells per batch
	mostScanned       = 1000
)

// longestPeriod includes the hour that a change of the clocks adds.
const longestPeriod = searchDays*24*time.Hour + time.Hour

// Slots returns the cells that the patient can now book with a referral through this client, or
// move a visit to. Each returned cell has passed the rules of the booking or the move. Slots does
// not query the master patient index, and assumes that a missing card can be created.
func (s *Service) Slots(ctx context.Context, patient Patient, search SlotSearch) (*SlotPage, error) {
	return repeatIfChanged(func() (*SlotPage, error) { return s.slots(ctx, patient, search) })
}

func (s *Service) slots(ctx context.Context, patient Patient, search SlotSearch) (*SlotPage, error) {
	now := s.now()
	if search.From != nil && search.From.After(now.Add(VisitDateHorizon+farthestFromUTC)) {
		return nil, InvalidField("dateFrom", ProblemTooFarAhead)
	}
	visit, err := s.findVisit(ctx, patient, search.Appointment)
	if err != nil {
		return nil, err
	}
	request := Request{Direction: search.Direction, Difficulty: visit.cells(search.Difficulty)}
	wanted := TargetFilter{Lpu: search.Lpu, Most: mostTargets + 1}
	targets, facts, err := s.ports.Slots.SearchFacts(ctx, patient, request, wanted, visit, now)
	if err != nil {
		return nil, fmt.Errorf("find the referral: %w", err)
	}
	if refusal := search.rejectTargets(targets); refusal != nil {
		return nil, refusal
	}
	if search.Appointment != nil {
		if err := facts[0].checkMoved(search.Difficulty); err != nil {
			return nil, err
		}
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
		period.blocked = period.facts.refusalForAll(period.facts.fittingResource())
		periods[i] = period
	}
	if !possible { // a day may be over in one zone but not in another
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
		lastCell := last.Cells[0]
		page.Next = &SlotCursor{Began: cursor.Began, Start: lastCell.Start, Lpu: last.Lpu.Guid, Slot: lastCell.Guid}
	}
	page.Slots = found
	if slices.ContainsFunc(found, func(o OfferedSlot) bool { return o.Refusal == nil }) {
		return page, nil
	}

	if page.Next == nil {
		for i := range open {
			open[i].from, open[i].to = open[i].to, open[i].to.AddDate(0, 0, nextAvailableDays)
		}
		page.NextAvailable, err = s.nextAvailable(ctx, search, targets, open)
		if err != nil || page.NextAvailable != nil {
			return page, err
		}
	}
	// Without a requested resource and stale ones, blockedBy can find no more than the period's own
	// refusal.
	canBeStale := func(p slotPeriod) bool { return p.facts.Target.FreshSince(now) != nil }
	if search.Resource == nil && len(open) == len(periods) && !slices.ContainsFunc(periods, canBeStale) {
		return page, nil
	}
	page.BlockedBy, err = s.blockedBy(ctx, search, targets, periods)
	if err != nil {
		return nil, err
	}
	return page, nil
}

// blockedBy returns the refusal that applies to every cell from now on, or nil. Institutions
// without cells for the referral count only if no institution has any.
func (s *Service) blockedBy(
	ctx context.Context, search SlotSearch, targets *Targets, periods []slotPeriod,
) (*Refusal, error) {
	resources, err := s.resourcesWithSlots(ctx, targets, periods, search.Resource)
	if err != nil {
		return nil, err
	}
	var refusals, ofAll []*Refusal
	for i, period := range periods {
		ofAll = append(ofAll, period.blocked)
		if resources[i] != nil {
			refusals = append(refusals, period.facts.refusalForAll(resources[i]))
		}
	}
	if len(refusals) == 0 {
		refusals = ofAll
	}
	if slices.Contains(refusals, nil) {
		return nil, nil //nolint:nilnil // an institution has no such refusal
	}
	return refusals[0], nil
}

// nextAvailable returns the start of the first bookable cell in the periods, or nil.
func (s *Service) nextAvailable(
	ctx context.Context, search SlotSearch, targets *Targets, periods []slotPeriod,
) (*time.Time, error) {
	found, err := s.findSlots(ctx, slotScanner{search, targets, periods, nil, false}, 1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return new(found[0].Start()), nil
}

// resourcesWithSlots returns for each institution a resource that has future cells for the
// referral: the given one, or any if that is nil. The element is nil if there is none.
func (s *Service) resourcesWithSlots(
	ctx context.Context, targets *Targets, periods []slotPeriod, resource *uuid.UUID,
) ([]*Resource, error) {
	scans := make([]SlotScan, len(periods))
	for i, period := range periods {
		scans[i] = SlotScan{
			Lpu: period.lpu.Guid, Resource: resource, From: period.facts.Now,
			FreshSince: period.facts.Target.FreshSince(period.facts.Now),
		}
		if targets.Type == Consult {
			scans[i].Speciality = &targets.SpecialityCode
		}
	}
	resources, err := s.ports.Slots.ResourcesWithSlots(ctx, scans)
	if err != nil {
		return nil, fmt.Errorf("find resources with cells: %w", err)
	}
	return resources, nil
}

// rejectTargets rejects a referral that does not exist, and an institution that may not serve it or
// is missing although it is required.
func (q *SlotSearch) rejectTargets(targets *Targets) *Refusal {
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

// period returns the search period in an institution's zone.
func (q *SlotSearch) period(zone *time.Location, began time.Time) (from, to time.Time) {
	from = began.In(zone)
	if q.From != nil {
		from = StartOfDay(*q.From, zone)
	}
	to = from.AddDate(0, 0, searchDays)
	if q.To != nil {
		to = StartOfDay(q.To.AddDate(0, 0, 1), zone)
	}
	return from, to
}

// slotPeriod is the part of a search in one institution.
type slotPeriod struct {
	lpu      TargetLpu
	facts    *Facts
	from, to time.Time
	blocked  *Refusal // refusal of every cell of a fitting resource; nil if there is none
}

// cells returns found cells of the period.
func (p *slotPeriod) cells(found []FoundSlot) []slotInPeriod {
	cells := make([]slotInPeriod, len(found))
	for i := range found {
		cells[i] = slotInPeriod{p, &found[i]}
	}
	return cells
}

// slotScanner iterates over cells of institutions, ordered by start, institution and guid.
type slotScanner struct {
	search  SlotSearch
	targets *Targets
	periods []slotPeriod
	after   *SlotCursor
	all     bool // include cells that cannot be booked
}

// findSlots returns the first most cells of the scanner.
func (s *Service) findSlots(ctx context.Context, scanner slotScanner, most int) ([]OfferedSlot, error) {
	var offered []OfferedSlot
	for batch := max(most, leastScanned); ; batch = min(2*batch, mostScanned) {
		scans, periods := scanner.scans(batch)
		if len(scans) == 0 {
			return offered, nil
		}
		found, err := s.ports.Slots.ScanSlots(ctx, scans)
		if err != nil {
			return nil, fmt.Errorf("search the cells: %w", err)
		}
		var cells []slotInPeriod
		more := false
		for i := range found {
			more = more || len(found[i]) == batch
			cells = append(cells, periods[i].cells(found[i])...)
		}
		if len(found) > 1 {
			slices.SortFunc(cells, slotInPeriod.compare)
		}
		if len(cells) > batch { // later cells may have unread cells between them
			cells, more = cells[:batch], true
		}
		for _, cell := range cells {
			if offer := cell.offer(); offer != nil && (offer.Refusal == nil || scanner.all) {
				offered = append(offered, *offer)
			}
			if len(offered) == most {
				return offered, nil
			}
		}
		if !more {
			return offered, nil
		}
		scanner.after = cells[len(cells)-1].cursor()
	}
}

// slotInPeriod is a found cell with its period.
type slotInPeriod struct {
	period *slotPeriod
	found  *FoundSlot
}

func (s slotInPeriod) compare(other slotInPeriod) int {
	a, b := &s.found.Cells[0], &other.found.Cells[0]
	return cmp.Or(
		a.Start.Compare(b.Start),
		bytes.Compare(s.period.lpu.Guid[:], other.period.lpu.Guid[:]),
		bytes.Compare(a.Guid[:], b.Guid[:]),
	)
}

// cursor returns the position of the cell, after which the next batch begins.
func (s slotInPeriod) cursor() *SlotCursor {
	cell := &s.found.Cells[0]
	return &SlotCursor{Start: cell.Start, Lpu: s.period.lpu.Guid, Slot: cell.Guid}
}

// offer checks the cell against the rules of a booking. It returns nil for the present place of a
// visit to move.
func (s slotInPeriod) offer() *OfferedSlot {
	facts := s.period.facts // only the place differs between cells
	facts.Slots, facts.Resource = Adjacent(s.found.Cells, facts.Request.Difficulty), &s.found.Resource
	if facts.keepsCells() {
		return nil
	}
	return &OfferedSlot{
		ID: s.found.ID, Lpu: &s.period.lpu, Resource: &s.found.Resource, Cells: facts.Slots, Refusal: Check(facts),
	}
}

// scans returns the scans of the next cells with their periods. Institutions whose period is over
// have none.
func (s *slotScanner) scans(most int) (scans []SlotScan, periods []slotPeriod) {
	for _, period := range s.periods {
		from, to := period.from, period.to
		if !s.all {
			from, to = period.facts.bookable(from, to)
		}
		var after *uuid.UUID
		if s.after != nil && !s.after.Start.Before(from) {
			from = s.after.Start
			switch bytes.Compare(period.lpu.Guid[:], s.after.Lpu[:]) {
			case 0:
				after = &s.after.Slot
			case -1:
				from = from.Add(time.Microsecond) // the precision of the database
			}
		}
		if !from.Before(to) {
			continue
		}
		scan := SlotScan{
			Lpu: period.lpu.Guid, Resource: s.search.Resource, From: from, To: to, After: after, Most: most,
			Difficulty: period.facts.Request.Difficulty,
			Person:     period.facts.Patient.Person, Now: period.facts.Now,
			Own:        period.facts.Moved.OwnCells(period.lpu.Guid),
			FreshSince: period.facts.Target.FreshSince(period.facts.Now),
			All:        s.all, Access: period.facts.access(), Restrictions: period.facts.restrictions(from, to),
		}
		// With Explain and a resource, cells of another speciality are returned with that refusal.
		if s.targets.Type == Consult && (s.search.Resource == nil || !s.all) {
			scan.Speciality = &s.targets.SpecialityCode
		}
		scans, periods = append(scans, scan), append(periods, period)
	}
	return scans, periods
}

// bookable returns the bookable part of a period: from now to the horizon.
func (f *Facts) bookable(from, to time.Time) (time.Time, time.Time) {
	if from.Before(f.Now) {
		from = f.Now
	}
	if horizon := f.Target.horizon(f.Now); horizon != nil && horizon.Before(to) {
		to = *horizon
	}
	return from, to
}

// assumeMkab assumes that a missing card can be created and that the person's data is complete.
// Only the master patient index could decide that.
func (f *Facts) assumeMkab() {
	switch {
	case f.Mkab != nil || !f.Target.CreatesMkab:
	case f.Target.PolyclinicCodeIsOwn:
		f.Mkab = &Mkab{}
	default:
		f.Person = &Person{Surname: "?", Name: "?", Sex: Female, PolicyNumber: "?"}
	}
}

// fittingResource returns a resource that can serve the referral.
func (f *Facts) fittingResource() *Resource {
	fitting := &Resource{Kind: Doctor, Active: true}
	if f.Direction != nil {
		fitting.SpecialityCode = f.Direction.SpecialityCode
	}
	return fitting
}

// refusalForAll returns the refusal of an ideal cell of the resource. It applies to every other
// cell, too.
func (f *Facts) refusalForAll(resource *Resource) *Refusal {
	facts := *f
	facts.Request.Difficulty = 1
	facts.Slots = []Slot{{
		Start: f.Now, End: f.Now, Capacity: 1, Access: math.MaxInt32, Reception: true, Restriction: Unrestricted,
	}}
	facts.Resource = resource
	return Check(&facts)
}

// restrictions returns the restrictions of cells that the patient could take at some moment of a
// period. Only the age changes within it, at most once per restriction.
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
