package booking

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Compared is a value that a rule compared, for the audit: an id, a code, a number or a time. It is
// nothing personal: no name, no date of birth, no diagnosis.
type Compared struct {
	Name  string `json:"name"` // object and field, such as slot.taken
	Value string `json:"value"`
}

// comparedVisit is the name of the visit that prevents a booking. It may be in any institution.
const comparedVisit = "appointment"

// comparedPerson is the name of the patient of a referral, who may be another one than that of the
// request.
const comparedPerson = "direction.personGuid"

// Elsewhere reports whether the value is about another patient, or about a visit that may be in
// another institution than the request.
func (c Compared) Elsewhere() bool {
	return c.Name == comparedPerson || strings.HasPrefix(c.Name, comparedVisit+".")
}

// explain sets what the rule of a refusal compared, and whose request it was. It returns the
// refusal.
func (f *Facts) explain(refusal *Refusal) *Refusal {
	refusal.Person = f.Patient.Person
	needs := rulesByName[refusal.Rule].needs
	if needs&factWrite != 0 { // the database decided about what the facts had shown
		needs |= factDirection | factTarget | factSlot | factResource
	}
	list := comparison{zone: time.UTC}
	if f.Target != nil {
		list.zone = f.Target.Zone
	}
	list.moment("now", f.Now)
	known := f.known()
	for _, part := range []struct {
		facts factSet
		add   func(*comparison)
	}{
		{factDirection | factOwnDirection, f.compareDirection},
		{factTarget, f.compareTarget},
		{factSlot | factPlace, f.comparePlace},
		{factResource, f.compareResource},
		{factMkab | factTarget, f.compareMkab},
	} {
		if needs&known&part.facts != 0 {
			part.add(&list)
		}
	}
	switch refusal.Rule {
	case DirectionAlreadyBooked:
		list.visit(comparedVisit, f.Direction.Appointment)
	case SpecialityAlreadyBooked:
		if active := f.activeInSpeciality(); active != nil {
			list.visit(comparedVisit, &active.ExistingAppointment)
		}
	default: // other rules compare no visit
	}
	refusal.Compared = list.values
	return refusal
}

func (f *Facts) compareDirection(c *comparison) {
	d := f.Direction
	c.guid(comparedPerson, d.Person)
	if d.Person != f.Patient.Person {
		return // the rule compares nothing else of another patient's referral
	}
	c.text("direction.specialityCode", d.SpecialityCode)
	c.text("direction.dateEnd", d.DateEnd.Format(time.DateOnly))
	c.guid("direction.holderLegalEntityGuid", d.HolderLegalEntity)
	c.guid("direction.fromLegalEntityGuid", d.FromLegalEntity)
	if d.ToLegalEntity != nil {
		c.guid("direction.toLegalEntityGuid", *d.ToLegalEntity)
	}
}

func (f *Facts) compareTarget(c *comparison) {
	t := f.Target
	c.guid("target.legalEntityGuid", t.LegalEntity)
	c.number("client.access", int(f.access()))
	c.flag("client.outOfSchedule", t.Rights.OutOfSchedule)
	c.flag("setting.DirectionExpires", t.DirectionExpires)
	c.flag("setting.OneActiveAppointmentPerSpeciality", t.OneActivePerSpeciality)
	c.flag("setting.2dr_RecordWithoutMkab", t.CreatesMkab)
	c.flag("setting.PolyclinicCode.isOwn", t.PolyclinicCodeIsOwn)
	c.number("setting.ScheduleFreshHours", t.ScheduleFreshHours)
	if t.ScheduleDays != nil {
		c.number("setting.scheduleDays", *t.ScheduleDays)
	}
}

func (f *Facts) comparePlace(c *comparison) {
	c.number("request.difficulty", f.Request.Difficulty)
	if out := f.Request.Place.OutOfSchedule; out != nil {
		if f.Target != nil {
			start, _ := f.visit()
			c.moment("visit.start", start)
		}
		return
	}
	for i := range f.Slots {
		s := &f.Slots[i]
		c.guid("slot.guid", s.Guid)
		c.moment("slot.start", s.Start)
		c.moment("slot.end", s.End)
		c.number("slot.capacity", int(s.Capacity))
		c.number("slot.taken", int(s.Taken))
		c.number("slot.access", int(s.Access))
		c.flag("slot.reception", s.Reception)
		c.flag("slot.blocked", s.Blocked)
		c.text("slot.restriction", string(s.Restriction))
	}
}

func (f *Facts) compareResource(c *comparison) {
	r := f.Resource
	c.guid("resource.guid", r.Guid)
	c.text("resource.kind", string(r.Kind))
	c.text("resource.specialityCode", r.SpecialityCode)
	c.flag("resource.active", r.Active)
	c.flag("resource.stale", r.Stale)
}

func (f *Facts) compareMkab(c *comparison) {
	if f.Mkab != nil {
		c.guid("mkab.guid", f.Mkab.Guid)
		c.flag("mkab.closed", f.Mkab.Closed)
	}
}

// comparison collects values. Its moments are written in the zone of the target institution.
type comparison struct {
	values []Compared
	zone   *time.Location
}

func (c *comparison) text(name, value string) { c.values = append(c.values, Compared{name, value}) }

func (c *comparison) guid(name string, value uuid.UUID) { c.text(name, value.String()) }

func (c *comparison) number(name string, value int) { c.text(name, strconv.Itoa(value)) }

func (c *comparison) flag(name string, value bool) { c.text(name, strconv.FormatBool(value)) }

func (c *comparison) moment(name string, value time.Time) {
	c.text(name, value.In(c.zone).Format(time.RFC3339))
}

// visit adds a visit, of which the previous release stored only the guid.
func (c *comparison) visit(name string, visit *ExistingAppointment) {
	c.guid(name+".guid", visit.Guid)
	if visit.Lpu != uuid.Nil {
		c.guid(name+".lpuGuid", visit.Lpu)
		c.moment(name+".start", visit.Start)
	}
}
