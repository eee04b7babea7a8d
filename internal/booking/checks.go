package booking

import "strconv"

// check is how the facts decide a rule. A rule without a check is decided by the part that finds out: the use case, the master patient
// index, the database.
type check struct {
	needs    need
	rejects  func(*Facts) bool
	values   func(*Facts) []string // pairs of a placeholder of the message and its text
	remedies func(*Facts) *Details
}

// need is a set of facts without which a check cannot be made: the rule then does not apply, or one before it has rejected their absence.
type need int

const (
	aType need = 1 << iota // of referral, which is supported
	aDirection
	anOwnDirection // of the patient; nothing is told of another's
	aTarget
	aSlot
	aVisitOutOfSchedule
	aPlace // a cell or a visit out of schedule
	aResource
	aPerson // for whom a card is to be made
	aMkab
	aWrite // no fact: the write decides
)

// checks are the rules that the facts decide, without those about one cell. The numbers are those of the order of checks in openapi.yaml.
// The source of the documented rules is the vendor's table «Возможные ошибки» of this method.
var checks = map[Name]check{
	// The form of the request, as far as only the zone of the target institution tells it.

	FieldInvalid: {
		// Here, what only the target's zone can tell.
		needs:   aTarget | aVisitOutOfSchedule,
		rejects: func(f *Facts) bool { return f.Request.Place.OutOfSchedule.Date.tooFar(f.Target.Zone, f.Now) },
		values:  func(*Facts) []string { return []string{"Field", "Date", "Problem", ProblemTooFarAhead} },
	},

	// 2. The referral.

	DirectionTypeUnsupported: {
		rejects: func(f *Facts) bool { return f.Request.Type == "" },
	},
	DirectionNotFound: {
		needs:   aType,
		rejects: func(f *Facts) bool { return f.Direction == nil },
	},
	DirectionNotPatients: {
		needs:   aDirection,
		rejects: func(f *Facts) bool { return f.Direction.Person != f.Patient.Person },
		values:  func(f *Facts) []string { return []string{"DirectionGuid", f.Request.Direction.String()} },
	},
	DirectionLpuMismatch: {
		needs: anOwnDirection,
		rejects: func(f *Facts) bool {
			if f.Direction.HolderLegalEntity != f.Direction.FromLegalEntity {
				return true
			}
			return f.Direction.ToLegalEntity != nil && (f.Target == nil || f.Target.LegalEntity != *f.Direction.ToLegalEntity)
		},
	},
	DirectionAlreadyBooked: {
		needs:    anOwnDirection,
		rejects:  func(f *Facts) bool { return f.Direction.Appointment != nil },
		remedies: func(f *Facts) *Details { return f.Direction.Appointment.details() },
	},
	DirectionExpired: {
		// Ours, where the setting is on. After the one before, as the statuses of a referral are: what is booked has not expired.
		needs:   anOwnDirection | aTarget,
		rejects: func(f *Facts) bool { return f.Target.DirectionExpires && f.Direction.expired(f.Now) },
		values:  func(f *Facts) []string { return []string{"dateEnd", f.Direction.DateEnd.Format("02.01.2006")} },
	},

	// 4. The referral against the resource. The institutions match an examination by medical service.

	ResourceKindMismatch: {
		needs:   aType | aResource,
		rejects: func(f *Facts) bool { return f.Request.Type == Consult && f.Resource.Kind == Equipment },
	},
	SpecialityMismatch: {
		needs: anOwnDirection | aResource,
		rejects: func(f *Facts) bool {
			return f.Request.Type == Consult && f.Direction.SpecialityCode != f.Resource.SpecialityCode
		},
	},

	// 6. One active appointment a speciality: consultations, over all institutions of the region.

	SpecialityAlreadyBooked: {
		needs: anOwnDirection | aTarget,
		rejects: func(f *Facts) bool {
			return f.Request.Type == Consult && f.Target.OneActivePerSpeciality && f.activeInSpeciality() != nil
		},
		values:   func(f *Facts) []string { return f.activeInSpeciality().values() },
		remedies: func(f *Facts) *Details { return f.activeInSpeciality().details() },
	},

	// 7. The medical card in the target institution.

	MkabClosed: {
		needs:   aTarget,
		rejects: func(f *Facts) bool { return f.Mkab != nil && f.Mkab.Closed },
	},
	MkabAbsent: {
		needs:   aTarget,
		rejects: func(f *Facts) bool { return f.Mkab == nil && !f.Target.CreatesMkab },
	},

	// 7, continued: making the card. The master patient index decides the first four, the database the last.

	MipAuthURLEmpty:       {needs: aPerson},
	MipAuthURLUnreachable: {needs: aPerson},
	MipPersonNotFound:     {needs: aPerson},
	MipPersonDataMissing:  {needs: aPerson},
	MkabPolicyNumberEmpty: {
		needs:   aPerson,
		rejects: func(f *Facts) bool { return f.Person.PolicyNumber == "" },
	},
	MkabSexEmpty: {
		needs:   aPerson,
		rejects: func(f *Facts) bool { return f.Person.Sex == "" },
	},
	MkabSurnameEmpty: {
		needs:   aPerson,
		rejects: func(f *Facts) bool { return f.Person.Surname == "" },
	},
	MkabNameEmpty: {
		needs:   aPerson,
		rejects: func(f *Facts) bool { return f.Person.Name == "" },
	},
	MkabLpuNotFound: {
		needs:   aPerson | aTarget,
		rejects: func(f *Facts) bool { return !f.Target.PolyclinicCodeIsOwn },
	},
	MkabPolicyLinkFailed: {needs: aWrite},

	// 8. Taking the cell: the database decides. Once there is a card, the facts tell a complex slot that cannot be had.

	SlotTaken: {needs: aWrite},
	ComplexSlotFailed: {
		needs:   anOwnDirection | aTarget | aSlot | aMkab,
		rejects: func(f *Facts) bool { return f.Request.Difficulty > 1 && !f.complexSlotIsFree() },
	},
	AppointmentNotCreated: {needs: aWrite},
	AppointmentNotFound:   {needs: aWrite},
	AppointmentNotLinked:  {needs: aWrite},
}

// cellChecks are the rules about one cell. Every cell of a complex slot has to pass them.
var cellChecks = map[Name]check{
	// 3. The cell and its resource. A visit out of schedule has no cell, and the rules about it do not apply.

	SlotNotFound: {
		rejects: func(f *Facts) bool { return f.Request.Place.OutOfSchedule == nil && len(f.Slots) == 0 },
	},
	SlotResourceNotFound: {
		needs:   aPlace,
		rejects: func(f *Facts) bool { return f.Resource == nil || !f.Resource.Active },
	},
	SlotNotForReception: {
		needs:   aSlot,
		rejects: func(f *Facts) bool { return !f.Slots[0].Reception },
	},
	SlotUnavailable: {
		needs:   aSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Blocked || f.Slots[0].Access == 0 },
	},
	SlotTimePassed: {
		needs: aTarget | aPlace,
		rejects: func(f *Facts) bool {
			if out := f.Request.Place.OutOfSchedule; out != nil {
				return out.Date.passed(f.Target.Zone, f.Now)
			}
			return f.Slots[0].Start.Before(f.Now)
		},
	},
	SlotBeyondHorizon: {
		// Ours, where the setting is there.
		needs: aTarget | aPlace,
		rejects: func(f *Facts) bool {
			horizon := f.Target.horizon(f.Now)
			start, _ := f.visit()
			return horizon != nil && !start.Before(*horizon)
		},
		values: func(f *Facts) []string {
			days := *f.Target.ScheduleDays
			return []string{"scheduleDays", strconv.Itoa(days), "lastDay", dayOf(f.Now, f.Target.Zone).AddDate(0, 0, days).Format("02.01.2006")}
		},
	},
	SlotAccessDenied: {
		needs: aTarget | aPlace,
		rejects: func(f *Facts) bool {
			if f.Request.Place.OutOfSchedule != nil {
				return !f.Target.Rights.OutOfSchedule
			}
			return f.Slots[0].Access&f.access() == 0
		},
	},
	SlotFull: {
		needs:   aSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Taken >= f.Slots[0].Capacity },
	},

	// 5. The patient against the cell's restriction.

	SlotAdultsOnly: {
		needs:   anOwnDirection | aTarget | aSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Restriction == AdultsOnly && f.age() < adultAge },
	},
	SlotChildrenOnly: {
		// The source lists this answer twice: for cells of children, and of healthy children.
		needs: anOwnDirection | aTarget | aSlot,
		rejects: func(f *Facts) bool {
			restriction := f.Slots[0].Restriction
			return (restriction == ChildrenOnly || restriction == HealthyChildrenOnly) && f.age() >= adultAge
		},
	},
	SlotInfantsOnly: {
		needs:   anOwnDirection | aTarget | aSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Restriction == InfantsOnly && f.age() >= 1 },
	},
	SlotDisabledOnly: {
		needs:   anOwnDirection | aSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Restriction == DisabledOnly && !f.Direction.Disabled },
	},
	SlotPregnantOnly: {
		needs:   anOwnDirection | aSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Restriction == PregnantOnly && !f.Direction.Pregnant },
	},
	SlotHealthyChildrenOnly: {
		needs:   aSlot,
		rejects: func(f *Facts) bool { return f.Slots[0].Restriction == HealthyChildrenOnly && f.TapOpened != nil },
		values:  func(f *Facts) []string { return []string{"tapDate", f.TapOpened.Format("02.01.2006")} },
	},
}

func (a *ActiveAppointment) values() []string {
	return []string{
		"actualAppointment.ResourceName", a.ResourceName,
		`actualAppointment.Start.ToString("dd.MM.yyyy HH:mm")`, a.Start.Format("02.01.2006 15:04"),
	}
}

// RejectSpeciality returns the refusal of a consultation that lost the race for its speciality to the active appointment.
func RejectSpeciality(active ActiveAppointment) *Refusal {
	refusal := Reject(SpecialityAlreadyBooked, active.values()...)
	refusal.Details = active.details()
	return refusal
}
