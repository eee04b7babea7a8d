package booking

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// FactReader reads what decides a request.
type FactReader interface {
	// Facts reads all facts that the rules need, in one round trip.
	Facts(ctx context.Context, patient Patient, request Request, now time.Time) (*Facts, error)
	// MoveFacts reads the same as Facts, in one snapshot with the visit to move. The facts exclude
	// the visit's own claims.
	MoveFacts(ctx context.Context, patient Patient, request Request, visit *BookedVisit, now time.Time) (*Facts, error)
	// Visit returns a person's appointment in any institution, or nil if the person has no such
	// appointment.
	Visit(ctx context.Context, person, appointment uuid.UUID) (*BookedVisit, error)
	// VisitPerson returns the person of a visit of an institution. It returns a *Refusal if the
	// institution has no such visit.
	VisitPerson(ctx context.Context, lpu, appointment uuid.UUID) (uuid.UUID, error)
}

// Facts are all facts that the rules need, read in one snapshot. A fact that does not exist is nil
// or empty.
type Facts struct {
	Now       time.Time
	Patient   Patient
	Request   Request
	Direction *IssuedDirection
	Target    *Lpu
	Slots     []Slot // the chosen cell and those that follow without a gap, at most Request.Difficulty
	Resource  *Resource
	Mkab      *Mkab // the patient's card in the target institution, preferably an open one
	// TapOpened is the day on which the patient's newest open case of treatment (ТАП) was opened,
	// in the source or the target institution.
	TapOpened *time.Time
	Active    []ActiveAppointment
	Person    *Person // from the master patient index; loaded only if a card must be created

	// Moved is the visit that a move changes, or nil. The other facts exclude it, as if it were
	// cancelled.
	Moved *BookedVisit
	// Held is the current response for Moved, if the visit is in the target institution of the
	// request.
	Held *HeldDirection
}

// Direction is a referral (направление). The JSON tags are those of stored responses, which later
// releases must read.
type Direction struct {
	Guid            uuid.UUID     `json:"guid"`
	Type            DirectionType `json:"type"`
	Number          string        `json:"number"`
	AccessionNumber string        `json:"accession_number"`
	Date            time.Time     `json:"date"`     // a date
	DateEnd         time.Time     `json:"date_end"` // a date
	CreatedAt       time.Time     `json:"created_at"`
	Sender          *uuid.UUID    `json:"sender_guid"` // the referring doctor
	Reason          string        `json:"reason"`
	Comment         string        `json:"comment"`
	Urgent          bool          `json:"urgent"`
	Flags           int32         `json:"flags"`
	SpecialityCode  string        `json:"speciality_code"`
	SpecialityName  string        `json:"speciality_name"`
	MkbCode         string        `json:"mkb_code"`
	MkbName         string        `json:"mkb_name"`
	LpuFrom         uuid.UUID     `json:"lpu_from_guid"`
	LpuTo           *uuid.UUID    `json:"lpu_to_guid"`
}

// Equal reports whether two referrals are the same in all fields.
func (d *Direction) Equal(other *Direction) bool {
	if !d.Date.Equal(other.Date) || !d.DateEnd.Equal(other.DateEnd) || !d.CreatedAt.Equal(other.CreatedAt) ||
		!sameGuid(d.Sender, other.Sender) || !sameGuid(d.LpuTo, other.LpuTo) {
		return false
	}
	same := *d
	same.Date, same.DateEnd, same.CreatedAt = other.Date, other.DateEnd, other.CreatedAt
	same.Sender, same.LpuTo = other.Sender, other.LpuTo
	return same == *other
}

// sameGuid reports whether two guids are the same, or both nil.
func sameGuid(a, b *uuid.UUID) bool { return a == b || a != nil && b != nil && *a == *b }

// IssuedDirection is a referral as its source institution holds it, with the patient it was issued
// for.
type IssuedDirection struct {
	Direction

	Appointment *ExistingAppointment // the active one

	Mkab      uuid.UUID // the patient's card in the institution that holds the referral
	Person    uuid.UUID // the patient
	BirthDate time.Time // a date
	Disabled  bool
	Pregnant  bool

	HolderZone *time.Location // zone of the institution that holds the referral; its dates are in this zone

	// The legal entities (юр. лица) of the holder and of the referral's source and target.
	HolderLegalEntity uuid.UUID
	FromLegalEntity   uuid.UUID
	ToLegalEntity     *uuid.UUID
}

// Lpu is the target institution (ЛПУ) with its settings and the rights of the client application.
type Lpu struct {
	Settings

	LegalEntity         uuid.UUID
	Zone                *time.Location
	PolyclinicCodeIsOwn bool // the setting «Код поликлиники» names this institution
	Rights              Rights
}

// Rights are what a client application may book by referral. The masks are Access bits.
type Rights struct {
	SameLpu       Access // VisitDirection: source and target are one institution
	OtherLpu      Access // VisitDirectionOtherLpu
	OutOfSchedule bool
}

// Access is a set of bits. A client may take a cell if its mask and the cell's mask (FlagAccess)
// share a bit.
type Access int32

// The documented bits.
const (
	AccessRegistry       Access = 1
	AccessDoctor         Access = 2
	AccessInternet       Access = 4
	AccessDoctorOtherLpu Access = 8
	AccessInfomat        Access = 16
	AccessCallCenter     Access = 64

	AccessAll = AccessRegistry | AccessDoctor | AccessInternet | AccessDoctorOtherLpu | AccessInfomat | AccessCallCenter
)

// Slot is a cell of a resource's schedule (ячейка расписания).
type Slot struct {
	Guid        uuid.UUID
	Start, End  time.Time
	Capacity    int32
	Taken       int32       // places taken by visits and by holds of other patients
	Holds       []uuid.UUID // holds of this patient
	Access      Access
	Reception   bool // its busy type (тип занятости) takes visits
	Blocked     bool
	Restriction Restriction
}

// Restriction limits a cell to a group of patients.
type Restriction string

// The supported restrictions.
const (
	Unrestricted        Restriction = "none"
	AdultsOnly          Restriction = "adults"
	ChildrenOnly        Restriction = "children"
	InfantsOnly         Restriction = "infants"
	DisabledOnly        Restriction = "disabled"
	PregnantOnly        Restriction = "pregnant"
	HealthyChildrenOnly Restriction = "healthy_children"
)

// Restrictions lists all restrictions.
var Restrictions = []Restriction{
	Unrestricted, AdultsOnly, ChildrenOnly, InfantsOnly, DisabledOnly, PregnantOnly, HealthyChildrenOnly,
}

// Resource is a doctor, a cabinet or a piece of equipment (ресурс, DocPrvd).
type Resource struct {
	Guid           uuid.UUID
	Kind           ResourceKind
	Name           string
	Room           string // empty if unknown, and in Facts
	SpecialityCode string
	Active         bool
	Stale          bool // nobody has confirmed its schedule since Lpu.FreshSince
}

// ResourceKind distinguishes doctors, cabinets and equipment.
type ResourceKind string

// The kinds of resource.
const (
	Doctor    ResourceKind = "doctor"
	Room      ResourceKind = "room"
	Equipment ResourceKind = "equipment"
)

// Mkab is a patient's medical card in one institution (МКАБ).
type Mkab struct {
	Guid   uuid.UUID
	Closed bool
}

// ExistingAppointment is a visit of the patient. Its times are in the zone of its institution. For
// a visit booked by the previous release, only Guid is set.
type ExistingAppointment struct {
	Guid       uuid.UUID
	Lpu        uuid.UUID
	Start, End time.Time
}

// remedies returns the appointment as a remedy, or nil if only its guid is known.
func (a *ExistingAppointment) remedies() *Remedies {
	if a.Lpu == uuid.Nil {
		return nil
	}
	return &Remedies{Appointment: a}
}

// ActiveAppointment is a consultation of the patient, in any institution, that has not ended.
type ActiveAppointment struct {
	ExistingAppointment

	SpecialityCode string
	ResourceName   string
}

// Person is a person as stored in the master patient index (МИП). Texts may be empty.
type Person struct {
	Guid         uuid.UUID
	Surname      string
	Name         string
	Patronymic   string
	BirthDate    time.Time // a date
	Sex          Sex
	Snils        string
	PolicySeries string
	PolicyNumber string
}

// Sex is the sex of a person. The zero value means not given.
type Sex string

// The sexes of a card.
const (
	Male   Sex = "male"
	Female Sex = "female"
)

// access returns the client's mask for this request. It needs factTarget.
func (f *Facts) access() Access {
	if f.Request.LpuFrom == f.Request.LpuTo {
		return f.Target.Rights.SameLpu
	}
	return f.Target.Rights.OtherLpu
}

// visit returns the start and end of the visit in the target's zone: the start of the first cell
// and the end of the last one, or those of the date out of schedule. It needs factTarget and
// factPlace.
func (f *Facts) visit() (start, end time.Time) {
	if out := f.Request.Place.OutOfSchedule; out != nil {
		return out.Date.In(f.Target.Zone)
	}
	return f.Slots[0].Start.In(f.Target.Zone), f.Slots[len(f.Slots)-1].End.In(f.Target.Zone)
}

// dateProblem returns why no visit can begin at the date out of schedule, or nil if it can. It
// needs factTarget and factOutOfSchedule.
func (f *Facts) dateProblem() *FieldProblem {
	problem := f.Request.Place.OutOfSchedule.Date.problem(f.Target.Zone, f.Now)
	if problem == nil {
		return nil
	}
	return &FieldProblem{*problem, "Date"}
}

// age returns the patient's age on the day of the visit, in whole years. It needs factTarget,
// factPlace and factDirection.
func (f *Facts) age() int {
	start, _ := f.visit()
	years := start.Year() - f.Direction.BirthDate.Year()
	if start.Month() < f.Direction.BirthDate.Month() ||
		start.Month() == f.Direction.BirthDate.Month() && start.Day() < f.Direction.BirthDate.Day() {
		years--
	}
	return years
}

// expired reports whether the referral's last day is over in the zone of its holder.
func (d *IssuedDirection) expired(now time.Time) bool {
	return dayOf(now, d.HolderZone).After(d.DateEnd)
}

// dayOf returns the date of a moment in a zone, as midnight UTC.
func dayOf(moment time.Time, zone *time.Location) time.Time {
	y, m, d := moment.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// horizon returns the moment from which on no visit may begin: the end of the last bookable day in
// the target's zone. It returns nil if there is no limit.
func (l *Lpu) horizon(now time.Time) *time.Time {
	if l.ScheduleDays == nil {
		return nil
	}
	return new(StartOfDay(dayOf(now, l.Zone).AddDate(0, 0, *l.ScheduleDays+1), l.Zone))
}

// FreshSince returns the moment since which a schedule must have been confirmed to be bookable, or
// nil if that does not matter. It applies only to schedules that the registry has brought in.
func (l *Lpu) FreshSince(now time.Time) *time.Time {
	if l == nil || l.ScheduleFreshHours == 0 {
		return nil
	}
	return new(now.Add(-time.Duration(l.ScheduleFreshHours) * time.Hour))
}

// adultAge is the age from which a patient is an adult for the age restrictions, in years.
const adultAge = 18

// activeInSpeciality returns the patient's active consultation in the referral's speciality, or
// nil.
func (f *Facts) activeInSpeciality() *ActiveAppointment {
	for i := range f.Active {
		if f.Active[i].SpecialityCode == f.Direction.SpecialityCode {
			return &f.Active[i]
		}
	}
	return nil
}

// Adjacent selects the cells of a complex slot (сложная ячейка): the first of cells and those that
// follow it without a gap, at most difficulty in all. cells must be of one resource, not empty, and
// in order of time. Of cells that begin at the same time, Adjacent prefers one with a free place.
func Adjacent(cells []Slot, difficulty int) []Slot {
	adjacent := cells[:1:1]
	for len(adjacent) < difficulty {
		var next *Slot
		for i := range cells[1:] {
			cell := &cells[1+i]
			if cell.Start.Equal(adjacent[len(adjacent)-1].End) && (next == nil || next.Taken >= next.Capacity) {
				next = cell
			}
		}
		if next == nil {
			break
		}
		adjacent = append(adjacent, *next)
	}
	return adjacent
}

// complexSlotIsFree reports whether there are as many cells as requested, and the patient and the
// client may take each cell after the first.
func (f *Facts) complexSlotIsFree() bool {
	if len(f.Slots) < f.Request.Difficulty {
		return false
	}
	for i := 1; i < len(f.Slots); i++ {
		next, target := *f, *f.Target
		target.ScheduleDays = nil // the horizon limits only the start of the visit
		next.Slots, next.Target = f.Slots[i:i+1], &target
		if firstRefusal(slotRules, &next) != nil || firstRefusal(restrictionRules, &next) != nil {
			return false
		}
	}
	return true
}
