package booking

import "strconv"

// check decides a rule from the facts. A rule without a check is decided elsewhere: by the use
// case, the master patient index or the database.
type check struct {
	needs    factSet
	rejects  func(*Facts) bool
	values   func(*Facts) []string // pairs of a placeholder and its text
	remedies func(*Facts) *Remedies
}

// factSet is a set of facts. A check runs only if all facts that it needs are loaded. Otherwise its
// rule does not apply, or an earlier rule has rejected their absence.
type factSet int

const (
	factType factSet = 1 << iota // a supported type of referral
	factDirection
	factOwnDirection // a referral of the patient; another patient's is never disclosed
	factTarget
	factSlot
	factOutOfSchedule
	factPlace // a cell or a visit out of schedule
	factResource
	factPerson // the person whose card is created
	factMkab
	factWrite // never loaded: the write decides
)

// checks are the checks of all rules except those about one cell. The numbers are those of the
// order of checks in openapi.yaml. The documented rules come from the vendor's table «Возможные
// ошибки» of this method.
var checks = map[Name]check{
	// The form of the request, as far as it depends on the zone of the target institution.

	FieldInvalid: {
		needs:    factTarget | factOutOfSchedule,
		rejects:  func(f *Facts) bool { return f.dateProblem() != nil },
		values:   func(f *Facts) []string { return f.dateProblem().values() },
		remedies: func(f *Facts) *Remedies { return &Remedies{Fields: []FieldProblem{*f.dateProblem()}} },
	},

	// 2. The referral.

	DirectionTypeUnsupported: {
		rejects: func(f *Facts) bool { return f.Request.Type == "" },
	},
	DirectionNotFound: {
		needs:   factType,
		rejects: func(f *Facts) bool { return f.Direction == nil },
	},
	DirectionNotPatients: {
		needs:   factDirection,
		rejects: func(f *Facts) bool { return f.Direction.Person != f.Patient.Person },
		values:  func(f *Facts) []string { return []string{"DirectionGuid", f.Request.Direction.String()} },
	},
	DirectionLpuMismatch: {
		needs: factOwnDirection,
		rejects: func(f *Facts) bool {
			if f.Direction.HolderLegalEntity != f.Direction.FromLegalEntity {
				return true
			}
			return f.Direction.ToLegalEntity != nil &&
				(f.Target == nil || f.Target.LegalEntity != *f.Direction.ToLegalEntity)
		},
	},
	DirectionAlreadyBooked: {
		needs:    factOwnDirection,
		rejects:  func(f *Facts) bool { return f.Direction.Appointment != nil },
		remedies: func(f *Facts) *Remedies { return f.Direction.Appointment.remedies() },
	},
	DirectionExpired: {
		// Not documented by the vendor. It follows DirectionAlreadyBooked because a booked referral
		// does not expire.
		needs:   factOwnDirection | factTarget,
		rejects: func(f *Facts) bool { return f.Target.DirectionExpires && f.Direction.expired(f.Now) },
		values:  func(f *Facts) []string { return []string{"dateEnd", f.Direction.DateEnd.Format("02.01.2006")} },
	},

	// 4. The referral against the resource. Examinations are matched by the institutions.

	ResourceKindMismatch: {
		needs:   factType | factResource,
		rejects: func(f *Facts) bool { return f.Request.Type == Consult && f.Resource.Kind == Equipment },
	},
	SpecialityMismatch: {
		needs: factOwnDirection | factResource,
		rejects: func(f *Facts) bool {
			return f.Request.Type == Consult && f.Direction.SpecialityCode != f.Resource.SpecialityCode
		},
	},

	// 6. One active consultation per speciality, over all institutions of the region.

	SpecialityAlreadyBooked: {
		needs: factOwnDirection | factTarget,
		rejects: func(f *Facts) bool {
			return f.Request.Type == Consult && f.Target.OneActivePerSpeciality && f.activeInSpeciality() != nil
		},
		values:   func(f *Facts) []string { return f.activeInSpeciality().values() },
		remedies: func(f *Facts) *Remedies { return f.activeInSpeciality().remedies() },
	},

	// 7. The medical card in the target institution.

	MkabClosed: {
		needs:   factTarget,
		rejects: func(f *Facts) bool { return f.Mkab != nil && f.Mkab.Closed },
	},
	MkabAbsent: {
		needs:   factTarget,
		rejects: func(f *Facts) bool { return f.Mkab == nil && !f.Target.CreatesMkab },
	},

	// 7, continued: creating the card. The master patient index decides the first four, the
	// database the last.

	MipAuthURLEmpty:       {needs: factPerson},
	MipAuthURLUnreachable: {needs: factPerson},
	MipPersonNotFound:     {needs: factPerson},
	MipPersonDataMissing:  {needs: factPerson},
	MkabPolicyNumberEmpty: {
		needs:   factPerson,
		rejects: func(f *Facts) bool { return f.Person.PolicyNumber == "" },
	},
	MkabSexEmpty: {
		needs:   factPerson,
		rejects: func(f *Facts) bool { return f.Person.Sex == "" },
	},
	MkabSurnameEmpty: {
		needs:   factPerson,
		rejects: func(f *Facts) bool { return f.Person.Surname == "" },
	},
	MkabNameEmpty: {
		needs:   factPerson,
		rejects: func(f *Facts) bool { return f.Person.Name == "" },
	},
	MkabLpuNotFound: {
		needs:   factPerson | factTarget,
		rejects: func(f *Facts) bool { return !f.Target.PolyclinicCodeIsOwn },
	},
	MkabPolicyLinkFailed: {needs: factWrite},

	// 8. Taking the cell. The database decides, except that the facts show a complex slot that is
	// not free.

	SlotTaken: {needs: factWrite},
	ComplexSlotFailed: {
		needs:   factOwnDirection | factTarget | factSlot | factMkab,
		rejects: func(f *Facts) bool { return f.Request.Difficulty > 1 && !f.complexSlotIsFree() },
	},
	AppointmentNotCreated: {needs: factWrite},
	AppointmentNotFound:   {needs: factWrite},
	AppointmentNotLinked:  {needs: factWrite},
}

// cellChecks are the checks of the rules about one cell. Every cell of a complex slot must pass
// them.
var cellChecks = map[Name]check{
	// 3. The cell and its resource. Rules about the cell do not apply to a visit out of schedule.

	SlotNotFound: {
		rejects: func(f *Facts) bool { return f.Request.Place.OutOfSchedule == nil && len(f.Slots) == 0 },
	},
	SlotResourceNotFound: {
		needs:   factPlace,
		rejects: func(f *Facts) bool { return f.Resource == nil || !f.Resource.Active },
	},
	ScheduleStale: {
		// Not documented by the vendor. It applies if the setting ScheduleFreshHours is set.
		needs:   factSlot | factResource,
		rejects: func(f *Facts) bool { return f.Resource.Stale },
	},
	SlotNotForReception: {
		needs:   factSlot,
		rejects: func(f *Facts) bool { return !f.Slots[0].Reception },
	},
	SlotUnavailable: {
		needs:   factSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Blocked || f.Slots[0].Access == 0 },
	},
	SlotTimePassed: {
		needs: factTarget | factPlace,
		rejects: func(f *Facts) bool {
			if out := f.Request.Place.OutOfSchedule; out != nil {
				return out.Date.passed(f.Target.Zone, f.Now)
			}
			return f.Slots[0].Start.Before(f.Now)
		},
	},
	SlotBeyondHorizon: {
		// Not documented by the vendor. It applies if the setting scheduleDays is set.
		needs: factTarget | factPlace,
		rejects: func(f *Facts) bool {
			horizon := f.Target.horizon(f.Now)
			start, _ := f.visit()
			return horizon != nil && !start.Before(*horizon)
		},
		values: func(f *Facts) []string {
			days := *f.Target.ScheduleDays
			lastDay := dayOf(f.Now, f.Target.Zone).AddDate(0, 0, days)
			return []string{"scheduleDays", strconv.Itoa(days), "lastDay", lastDay.Format("02.01.2006")}
		},
	},
	SlotAccessDenied: {
		needs: factTarget | factPlace,
		rejects: func(f *Facts) bool {
			if f.Request.Place.OutOfSchedule != nil {
				return !f.Target.Rights.OutOfSchedule
			}
			return f.Slots[0].Access&f.access() == 0
		},
	},
	SlotFull: {
		needs:   factSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Taken >= f.Slots[0].Capacity },
	},

	// 5. The patient against the cell's restriction.

	SlotAdultsOnly: {
		needs:   factOwnDirection | factTarget | factSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Restriction == AdultsOnly && f.age() < adultAge },
	},
	SlotChildrenOnly: {
		// The source lists this response twice: for cells of children and of healthy children.
		needs: factOwnDirection | factTarget | factSlot,
		rejects: func(f *Facts) bool {
			restriction := f.Slots[0].Restriction
			return (restriction == ChildrenOnly || restriction == HealthyChildrenOnly) && f.age() >= adultAge
		},
	},
	SlotInfantsOnly: {
		needs:   factOwnDirection | factTarget | factSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Restriction == InfantsOnly && f.age() >= 1 },
	},
	SlotDisabledOnly: {
		needs:   factOwnDirection | factSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Restriction == DisabledOnly && !f.Direction.Disabled },
	},
	SlotPregnantOnly: {
		needs:   factOwnDirection | factSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Restriction == PregnantOnly && !f.Direction.Pregnant },
	},
	SlotHealthyChildrenOnly: {
		needs:   factSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Restriction == HealthyChildrenOnly && f.TapOpened != nil },
		values:  func(f *Facts) []string { return []string{"tapDate", f.TapOpened.Format("02.01.2006")} },
	},
}

func (a *ActiveAppointment) values() []string {
	return []string{
		placeholderResource, a.ResourceName, placeholderStart, a.Start.Format("02.01.2006 15:04"),
	}
}

// The placeholders of SpecialityAlreadyBooked.
const (
	placeholderResource = "actualAppointment.ResourceName"
	placeholderStart    = `actualAppointment.Start.ToString("dd.MM.yyyy HH:mm")`
)

// RejectSpeciality returns the refusal of a consultation that lost the race for its speciality to
// the active appointment.
func RejectSpeciality(active ActiveAppointment) *Refusal {
	refusal := Reject(SpecialityAlreadyBooked, active.values()...)
	refusal.Remedies = active.remedies()
	return refusal
}
