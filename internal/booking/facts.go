package booking

import (
	"time"

	"github.com/google/uuid"
)

// Facts are all that the rules need to know, read at one moment. What does not exist is nil or empty; a rule says so first.
type Facts struct {
	Now       time.Time
	Patient   Patient
	Request   Request
	Direction *IssuedDirection
	Target    *Lpu
	Slots     []Slot // the chosen cell, then those that follow it without a gap, Request.Difficulty in all or fewer
	Resource  *Resource
	Mkab      *Mkab      // the patient's card in the target institution, an open one first
	TapOpened *time.Time // the day the patient's newest open case of treatment (ТАП) was opened, in the source or the target institution
	Active    []ActiveAppointment
	Person    *Person // from the master patient index; asked for only where a card must be made

	// Where a visit is moved, the visit. What it holds is taken out of the other facts, as if it were cancelled.
	Moved *BookedVisit
	Held  *HeldDirection // and its answer where it is, if the request's target is that institution
}

// Direction is a referral (направление). The tags are those of stored responses, which outlive a release.
type Direction struct {
	Guid            uuid.UUID     `json:"guid"`
	Type            DirectionType `json:"type"`
	Number          string        `json:"number"`
	AccessionNumber string        `json:"accession_number"`
	Date            time.Time     `json:"date"`     // a day
	DateEnd         time.Time     `json:"date_end"` // a day
	CreatedAt       time.Time     `json:"created_at"`
	Sender          *uuid.UUID    `json:"sender_guid"` // the doctor who referred
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

// IssuedDirection is a referral as its source institution holds it, with the patient it was written for.
type IssuedDirection struct {
	Direction

	Appointment *ExistingAppointment // the active one

	Person    uuid.UUID // the patient
	BirthDate time.Time // a day
	Disabled  bool
	Pregnant  bool

	HolderZone *time.Location // of the institution that holds it (the request's source), which its days are of

	// The legal entities (юр. лица) of that institution, and of the referral's own source and target.
	HolderLegalEntity uuid.UUID
	FromLegalEntity   uuid.UUID
	ToLegalEntity     *uuid.UUID
}

// Lpu is the target institution (ЛПУ), with the settings in force there and what the client application may do.
type Lpu struct {
	Settings

	LegalEntity         uuid.UUID
	Zone                *time.Location
	PolyclinicCodeIsOwn bool // the setting «Код поликлиники» names this very institution
	Rights              Rights
}

// Rights are what a client application may do by referral. The masks are Access bits.
type Rights struct {
	SameLpu       Access // VisitDirection: source and target are one institution
	OtherLpu      Access // VisitDirectionOtherLpu
	OutOfSchedule bool
}

// Access is a set of bits; a cell can be taken where its own (FlagAccess) and the client's share one.
type Access int32

// The documented bits.
const (
	AccessRegistry       Access = 1
	AccessDoctor         Access = 2
	AccessInternet       Access = 4
	AccessDoctorOtherLpu Access = 8
	AccessInfomat        Access = 16
	AccessCallCenter     Access = 64
)

// Slot is a cell of a resource's schedule (ячейка расписания).
type Slot struct {
	Guid        uuid.UUID
	Start, End  time.Time
	Capacity    int32
	Taken       int32       // by visits, and by holds of others than this patient
	Holds       []uuid.UUID // this patient's own
	Access      Access
	Reception   bool // its busy type (тип занятости) takes visits
	Blocked     bool
	Restriction Restriction
}

// Restriction is whom a cell is kept for.
type Restriction string

// The restrictions that the rules know.
const (
	Unrestricted        Restriction = "none"
	AdultsOnly          Restriction = "adults"
	ChildrenOnly        Restriction = "children"
	InfantsOnly         Restriction = "infants"
	DisabledOnly        Restriction = "disabled"
	PregnantOnly        Restriction = "pregnant"
	HealthyChildrenOnly Restriction = "healthy_children"
)

// Restrictions are all of them.
var Restrictions = []Restriction{Unrestricted, AdultsOnly, ChildrenOnly, InfantsOnly, DisabledOnly, PregnantOnly, HealthyChildrenOnly}

// Resource is a doctor, a cabinet or a piece of equipment (ресурс, DocPrvd).
type Resource struct {
	Guid           uuid.UUID
	Kind           ResourceKind
	Name           string
	SpecialityCode string
	Active         bool
}

// ResourceKind tells doctors, cabinets and equipment apart.
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

// ExistingAppointment is a visit that the patient has. Its times are in its institution's zone. Of one booked by the release
// before this, only the guid is known.
type ExistingAppointment struct {
	Guid       uuid.UUID
	Lpu        uuid.UUID
	Start, End time.Time
}

// details are nil where there is nothing to tell.
func (a *ExistingAppointment) details() *Details {
	if a.Lpu == uuid.Nil {
		return nil
	}
	return &Details{Appointment: a}
}

// ActiveAppointment is a consultation that the patient has in some institution and that has not ended.
type ActiveAppointment struct {
	ExistingAppointment

	SpecialityCode string
	ResourceName   string
}

// Person is what the master patient index (МИП) knows of a person. Texts may be empty.
type Person struct {
	Guid         uuid.UUID
	Surname      string
	Name         string
	Patronymic   string
	BirthDate    time.Time // a day
	Sex          Sex
	Snils        string
	PolicySeries string
	PolicyNumber string
}

// Sex of a person; the zero value stands for one not given.
type Sex string

// The sexes that a card may carry.
const (
	Male   Sex = "male"
	Female Sex = "female"
)

// access is the client's mask for this request. It needs aTarget.
func (f *Facts) access() Access {
	if f.Request.LpuFrom == f.Request.LpuTo {
		return f.Target.Rights.SameLpu
	}
	return f.Target.Rights.OtherLpu
}

// visit gives the start and end of the visit in the target's zone: of the chosen cell and the last one taken, or of the date asked for.
// It needs aTarget and aPlace.
func (f *Facts) visit() (start, end time.Time) {
	if out := f.Request.Place.OutOfSchedule; out != nil {
		return out.Date.In(f.Target.Zone)
	}
	return f.Slots[0].Start.In(f.Target.Zone), f.Slots[len(f.Slots)-1].End.In(f.Target.Zone)
}

// age is the patient's on the day of the visit, in whole years. It needs what visit does, and aDirection.
func (f *Facts) age() int {
	start, _ := f.visit()
	years := start.Year() - f.Direction.BirthDate.Year()
	if start.Month() < f.Direction.BirthDate.Month() ||
		start.Month() == f.Direction.BirthDate.Month() && start.Day() < f.Direction.BirthDate.Day() {
		years--
	}
	return years
}

// expired tells whether the referral's last day is over where it is held.
func (d *IssuedDirection) expired(now time.Time) bool {
	return dayOf(now, d.HolderZone).After(d.DateEnd)
}

// dayOf is a moment's day in a zone.
func dayOf(moment time.Time, zone *time.Location) time.Time {
	y, m, d := moment.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// horizon is the moment from which on no visit may begin, the end of the last day that may be booked in the target's zone; nil where there is none.
func (l *Lpu) horizon(now time.Time) *time.Time {
	if l.ScheduleDays == nil {
		return nil
	}
	return new(StartOfDay(dayOf(now, l.Zone).AddDate(0, 0, *l.ScheduleDays+1), l.Zone))
}

// adultAge is the age from which the age restrictions count a patient as an adult.
const adultAge = 18

// activeInSpeciality is the patient's active consultation in the referral's speciality, or nil.
func (f *Facts) activeInSpeciality() *ActiveAppointment {
	for i := range f.Active {
		if f.Active[i].SpecialityCode == f.Direction.SpecialityCode {
			return &f.Active[i]
		}
	}
	return nil
}

// Adjacent picks the cells of a complex slot (сложная ячейка) from cells of one resource in order of time: the first, and those that follow it without
// a gap, difficulty in all where there are as many. Of cells that begin at the same time one with a place left is preferred.
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

// complexSlotIsFree tells whether the visit's cells are as many as asked for, and each after the first may be taken by this patient through this client.
func (f *Facts) complexSlotIsFree() bool {
	if len(f.Slots) < f.Request.Difficulty {
		return false
	}
	for i := 1; i < len(f.Slots); i++ {
		next, target := *f, *f.Target
		target.ScheduleDays = nil // when the visit may begin is a question of its first cell
		next.Slots, next.Target = f.Slots[i:i+1], &target
		if firstRefusal(slotRules, &next) != nil || firstRefusal(restrictionRules, &next) != nil {
			return false
		}
	}
	return true
}
