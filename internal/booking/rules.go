package booking

import (
	"slices"
	"strconv"
)

// Name is the stable name of a rule, as clients see it in an error's `rule`.
type Name string

// The rules, in the order they are checked.
const (
	TokenMissing          Name = "token_missing"
	TokenInvalid          Name = "token_invalid"
	TokenExpired          Name = "token_expired"
	TokenSignatureInvalid Name = "token_signature_invalid"

	BodyTooLarge         Name = "body_too_large"
	MediaTypeUnsupported Name = "media_type_unsupported"
	BodyMalformed        Name = "body_malformed"
	FieldInvalid         Name = "field_invalid"

	DirectionTypeUnsupported Name = "direction_type_unsupported"
	DirectionNotFound        Name = "direction_not_found"
	DirectionNotPatients     Name = "direction_not_patients"
	DirectionLpuMismatch     Name = "direction_lpu_mismatch"
	DirectionAlreadyBooked   Name = "direction_already_booked"
	DirectionHasExpired      Name = "direction_expired"

	SlotNotFound         Name = "slot_not_found"
	SlotResourceNotFound Name = "slot_resource_not_found"
	SlotNotForReception  Name = "slot_not_for_reception"
	SlotUnavailable      Name = "slot_unavailable"
	SlotTimePassed       Name = "slot_time_passed"
	SlotBeyondHorizon    Name = "slot_beyond_horizon"
	SlotAccessDenied     Name = "slot_access_denied"
	SlotFull             Name = "slot_full"

	ResourceKindMismatch Name = "resource_kind_mismatch"
	SpecialityMismatch   Name = "speciality_mismatch"

	SlotAdultsOnly          Name = "slot_adults_only"
	SlotChildrenOnly        Name = "slot_children_only"
	SlotInfantsOnly         Name = "slot_infants_only"
	SlotDisabledOnly        Name = "slot_disabled_only"
	SlotPregnantOnly        Name = "slot_pregnant_only"
	SlotHealthyChildrenOnly Name = "slot_healthy_children_only"

	SpecialityAlreadyBooked Name = "speciality_already_booked"

	MkabClosed            Name = "mkab_closed"
	MkabAbsent            Name = "mkab_absent"
	MipAuthURLEmpty       Name = "mip_auth_url_empty"
	MipAuthURLUnreachable Name = "mip_auth_url_unreachable"
	MipPersonNotFound     Name = "mip_person_not_found"
	MipPersonDataMissing  Name = "mip_person_data_missing"
	MkabPolicyNumberEmpty Name = "mkab_policy_number_empty"
	MkabSexEmpty          Name = "mkab_sex_empty"
	MkabSurnameEmpty      Name = "mkab_surname_empty"
	MkabNameEmpty         Name = "mkab_name_empty"
	MkabLpuNotFound       Name = "mkab_lpu_not_found"
	MkabPolicyLinkFailed  Name = "mkab_policy_link_failed"

	SlotTaken             Name = "slot_taken"
	ComplexSlotFailed     Name = "complex_slot_failed"
	AppointmentNotCreated Name = "appointment_not_created"
	AppointmentNotFound   Name = "appointment_not_found"
	AppointmentNotLinked  Name = "appointment_not_linked"

	KeyReused Name = "idempotency_key_reused"
	KeyInUse  Name = "idempotency_key_in_use"

	DirectionAbsent   Name = "direction_absent"
	LpuAbsent         Name = "lpu_absent"
	AppointmentAbsent Name = "appointment_absent"

	AppointmentStarted     Name = "appointment_started"
	AppointmentIsCancelled Name = "appointment_cancelled"

	TooManyHolds Name = "too_many_holds"

	ClientUnauthenticated Name = "client_unauthenticated"
	PatientNotIdentified  Name = "patient_not_identified"
	TooManyAttempts       Name = "too_many_attempts"

	RouteNotFound       Name = "route_not_found"
	MethodNotAllowed    Name = "method_not_allowed"
	InternalError       Name = "internal_error"
	DatabaseUnavailable Name = "database_unavailable"
	MipUnavailable      Name = "mip_unavailable"
	KeysUnavailable     Name = "keys_unavailable"
	Overloaded          Name = "overloaded"
	NotReady            Name = "not_ready"
)

// Group is the stable name of the part of the table that a rule stands in.
type Group string

// The groups, in the order of the table.
const (
	GroupToken       Group = "token"
	GroupRequest     Group = "request"
	GroupDirection   Group = "direction"
	GroupSlot        Group = "slot"
	GroupResource    Group = "resource"
	GroupRestriction Group = "restriction"
	GroupSpeciality  Group = "speciality"
	GroupMkab        Group = "mkab"
	GroupMip         Group = "mip"
	GroupWrite       Group = "write"
	GroupKey         Group = "key"
	GroupAbsent      Group = "absent"
	GroupAppointment Group = "appointment"
	GroupHold        Group = "hold"
	GroupIdentity    Group = "identity"
	GroupService     Group = "service"
)

// Mender is who can mend what a rule refuses.
type Mender string

// Who can mend: the patient by another choice, the registry by the patient's data, the doctor by another referral, the client application by another
// request, whoever runs the service.
const (
	MenderPatient         Mender = "patient"
	MenderRegistry        Mender = "registry"
	MenderReferringDoctor Mender = "referring_doctor"
	MenderClient          Mender = "client"
	MenderService         Mender = "service"
)

// Rule is one row of the table: a rule and the answer of whoever breaks it. Where the facts decide it, the row holds the check; the other rows are
// answered by the part that finds out: the token's verification, the contract's validation, the master patient index, the database.
type Rule struct {
	Name      Name
	Group     Group
	Status    int
	Code      string
	Type      Type
	Message   string // with {placeholders}, as the source writes them
	Field     string // of the booking's body, which the rule is about; empty where it is about none, or any. SlotId stands for SlotGuid, too
	Mender    Mender
	Retryable bool // the same request may succeed later though nobody changes anything

	fieldOutOfSchedule string // instead of Field, where a visit is out of schedule

	needs   need
	refuses func(*Facts) bool
	values  func(*Facts) []string // fills the placeholders
	details func(*Facts) *Details // the way out
}

// need names facts without which a check says nothing: its row then does not apply, or a row before it has refused their absence.
type need int

const (
	aType need = 1 << iota // of referral, which is supported
	aDirection
	anOwnDirection // of the patient; of another's nothing is told
	aTarget
	aSlot
	aVisitOutOfSchedule
	aPlace // one of the two
	aResource
	aPerson // whom a card is to be made for
	aMkab
	aWrite // which is no fact: it decides by itself
)

// Rules is the whole table, in order; the first row that refuses answers. The order and the answers stand in openapi.yaml, too, and a test
// compares the two. The source of the documented rows is the vendor's table «Возможные ошибки» of this method.
var Rules = slices.Concat(bookingRules, in(GroupKey, keyRules), in(GroupAbsent, absentRules), in(GroupAppointment, appointmentRules),
	in(GroupHold, holdRules), in(GroupIdentity, identityRules), in(GroupService, serviceRules))

// bookingRules are those that a booking goes through.
var bookingRules = slices.Concat(
	in(GroupToken, tokenRules), in(GroupRequest, requestRules), in(GroupDirection, directionRules), in(GroupSlot, slotRules),
	in(GroupResource, resourceRules), in(GroupRestriction, restrictionRules), in(GroupSpeciality, specialityRules), in(GroupMkab, mkabRules),
	in(GroupMip, mipRules), in(GroupWrite, writeRules),
)

// in gives the rows with their group.
func in(group Group, rules []Rule) []Rule {
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].Group = group
	}
	return rules
}

var rulesByName = func() map[Name]*Rule {
	byName := make(map[Name]*Rule, len(Rules))
	for i := range Rules {
		byName[Rules[i].Name] = &Rules[i]
	}
	return byName
}()

// Check answers the first refusal of the rules that the facts decide, or nil; of a move, first why its visit cannot be moved anywhere.
func Check(f *Facts) *Refusal {
	if f.Moved != nil {
		if refusal := f.Moved.refuseMove(f.Now); refusal != nil {
			return refusal
		}
	}
	return firstRefusal(bookingRules, f)
}

func firstRefusal(rules []Rule, f *Facts) *Refusal {
	has := f.has()
	for i := range rules {
		if refusal := rules[i].check(f, has); refusal != nil {
			return refusal
		}
	}
	return nil
}

// forbids tells whether the row applies to the facts and refuses them.
func (r *Rule) forbids(f *Facts, has need) bool {
	return r.refuses != nil && r.needs&^has == 0 && r.refuses(f)
}

// check answers the row's own refusal, whatever the other rows say, or nil where it allows the facts or does not apply to them.
func (r *Rule) check(f *Facts, has need) *Refusal {
	if !r.forbids(f, has) {
		return nil
	}
	var values []string
	if r.values != nil {
		values = r.values(f)
	}
	refusal := r.refuse(values...)
	if r.details != nil {
		refusal.Details = r.details(f)
	}
	return refusal
}

func (f *Facts) has() need {
	var has need
	for _, fact := range []struct {
		known bool
		needs need
	}{
		{f.Request.Type != "", aType},
		{f.Direction != nil, aDirection},
		{f.Direction != nil && f.Direction.Person == f.Patient.Person, anOwnDirection},
		{f.Target != nil, aTarget},
		{len(f.Slots) > 0, aSlot | aPlace},
		{f.Request.Place.OutOfSchedule != nil, aVisitOutOfSchedule | aPlace},
		{f.Resource != nil, aResource},
		{f.Person != nil, aPerson},
		{f.Mkab != nil, aMkab},
	} {
		if fact.known {
			has |= fact.needs
		}
	}
	return has
}

// spares are the facts that this booking goes without, whatever else is known: what is said of them does not concern it.
func (f *Facts) spares() need {
	spares := aVisitOutOfSchedule
	if f.Request.Place.OutOfSchedule != nil {
		spares = aSlot
	}
	if f.Mkab != nil && !f.Mkab.Closed {
		spares |= aPerson
	}
	return spares
}

// Result is how a rule stands towards a booking.
type Result string

// The results. A rule that does not concern the booking has passed; one that nothing is known for, or that only the write decides, is not evaluated.
const (
	Passed       Result = "passed"
	Failed       Result = "failed"
	NotEvaluated Result = "not_evaluated"
)

// Verdict is what a rule says of a booking.
type Verdict struct {
	Rule    Name
	Result  Result
	Message string   // with its placeholders filled; empty unless it failed
	Details *Details // the way out, where it failed and there is one
	Field   string   // of this request, which the rule is about; or empty
	Mender  Mender
}

// verdicts gives what each rule of a booking says, in their order, whatever the others say. unknown is why the master patient index gave no person, or nil.
func verdicts(f *Facts, unknown *Refusal) []Verdict {
	has, spares := f.has()|aMkab, f.spares() // as if the card that can be made had been
	said := make([]Verdict, 0, len(bookingRules))
	for i := range bookingRules {
		rule := &bookingRules[i]
		verdict := Verdict{Rule: rule.Name, Result: Passed, Field: rule.fieldOf(f.Request.Place), Mender: rule.Mender}
		missing := rule.needs &^ has
		refusal := rule.check(f, has)
		if unknown != nil && rule.needs == aPerson && rule.refuses == nil {
			// The index found this rule to hold, and so all those before it that it decides; then no person is missed.
			refusal, missing = nil, 0
			if rule.Name == unknown.Rule {
				refusal, unknown = unknown, nil
			}
		}
		switch {
		case refusal != nil:
			verdict.Result, verdict.Message, verdict.Details = Failed, refusal.Message, refusal.Details
		case missing != 0 && missing&spares == 0:
			verdict.Result = NotEvaluated
		}
		said = append(said, verdict)
	}
	return said
}

// fieldOf is the field of a request that the rule is about, as the request gives the place.
func (r *Rule) fieldOf(place Place) string {
	switch {
	case place.OutOfSchedule != nil && r.fieldOutOfSchedule != "":
		return r.fieldOutOfSchedule
	case place.OutOfSchedule != nil && r.Field == slotID:
		return "" // there is no cell
	case place.OutOfSchedule == nil && place.SlotID == 0 && r.Field == slotID:
		return "SlotGuid"
	default:
		return r.Field
	}
}

const slotID = "SlotId"

// 1. The token: decided by its verification.
var tokenRules = []Rule{
	{
		Name: TokenMissing, Status: 403, Code: "5010", Type: TypeError, Mender: MenderClient,
		Message: "Запрос должен содержать 'Authorization: Bearer ...'",
	},
	{
		Name: TokenInvalid, Status: 403, Code: "5008", Type: TypeError, Mender: MenderClient,
		Message: "Токен некорректен",
	},
	{
		Name: TokenExpired, Status: 403, Code: "5007", Type: TypeError, Mender: MenderClient,
		Message: "Время действия токена истекло",
	},
	{
		Name: TokenSignatureInvalid, Status: 403, Code: "5009", Type: TypeError, Mender: MenderClient,
		Message: "Подпись запроса некорректна",
	},
}

// The request's form: decided by its validation against the contract, and while it is read. These answers are ours.
var requestRules = []Rule{
	{
		Name: BodyTooLarge, Status: 413, Code: "4130", Type: TypeValidation, Mender: MenderClient,
		Message: "Тело запроса больше {Limit} байт",
	},
	{
		Name: MediaTypeUnsupported, Status: 415, Code: "4150", Type: TypeValidation, Mender: MenderClient,
		Message: "Тело запроса должно быть в формате application/json без сжатия",
	},
	{
		Name: BodyMalformed, Status: 400, Code: "4000", Type: TypeValidation, Mender: MenderClient,
		Message: "Тело запроса должно быть корректным объектом JSON: {Problem}",
	},
	{
		// Here, what only the target's zone can tell.
		Name: FieldInvalid, Status: 400, Code: "4000", Type: TypeValidation, Mender: MenderClient,
		Message:            "Поле {Field}: {Problem}",
		fieldOutOfSchedule: "Date",
		needs:              aTarget | aVisitOutOfSchedule,
		refuses:            func(f *Facts) bool { return f.Request.Place.OutOfSchedule.Date.tooFar(f.Target.Zone, f.Now) },
		values:             func(*Facts) []string { return []string{"Field", "Date", "Problem", ProblemTooFarAhead} },
	},
}

// 2. The referral.
var directionRules = []Rule{
	{
		Name: DirectionTypeUnsupported, Status: 400, Code: "4000", Type: TypeValidation, Field: "DirectionType", Mender: MenderClient,
		Message: "Неподдерживаемый тип направления",
		refuses: func(f *Facts) bool { return f.Request.Type == "" },
	},
	{
		Name: DirectionNotFound, Status: 400, Code: "4000", Type: TypeValidation, Field: "DirectionGuid", Mender: MenderReferringDoctor,
		Message: "Направление не найдено",
		needs:   aType,
		refuses: func(f *Facts) bool { return f.Direction == nil },
	},
	{
		Name: DirectionNotPatients, Status: 400, Code: "4000", Type: TypeValidation, Field: "DirectionGuid", Mender: MenderClient,
		Message: "Направление {DirectionGuid} не принадлежит пациенту",
		needs:   aDirection,
		refuses: func(f *Facts) bool { return f.Direction.Person != f.Patient.Person },
		values:  func(f *Facts) []string { return []string{"DirectionGuid", f.Request.Direction.String()} },
	},
	{
		Name: DirectionLpuMismatch, Status: 400, Code: "4000", Type: TypeValidation, Field: "LpuToGuid", Mender: MenderPatient,
		Message: "ЛПУ в направлении и запросе не принадлежат одному юр лицу",
		needs:   anOwnDirection,
		refuses: func(f *Facts) bool {
			if f.Direction.HolderLegalEntity != f.Direction.FromLegalEntity {
				return true
			}
			return f.Direction.ToLegalEntity != nil && (f.Target == nil || f.Target.LegalEntity != *f.Direction.ToLegalEntity)
		},
	},
	{
		Name: DirectionAlreadyBooked, Status: 400, Code: "4000", Type: TypeValidation, Field: "DirectionGuid", Mender: MenderPatient,
		Message: "У выбранного направления уже есть запись на прием",
		needs:   anOwnDirection,
		refuses: func(f *Facts) bool { return f.Direction.Appointment != nil },
		details: func(f *Facts) *Details { return f.Direction.Appointment.details() },
	},
	{
		// Ours, where the setting is on. After the one before, as the statuses of a referral are: what is booked has not expired.
		Name: DirectionHasExpired, Status: 400, Code: "4003", Type: TypeValidation, Field: "DirectionGuid", Mender: MenderReferringDoctor,
		Message: "Срок действия направления истек: оно действовало по {dateEnd} включительно.",
		needs:   anOwnDirection | aTarget,
		refuses: func(f *Facts) bool { return f.Target.DirectionExpires && f.Direction.expired(f.Now) },
		values:  func(f *Facts) []string { return []string{"dateEnd", f.Direction.DateEnd.Format("02.01.2006")} },
	},
}

// 3. The cell and its resource. Out of schedule there is no cell, and the rows about it do not apply.
var slotRules = []Rule{
	{
		Name: SlotNotFound, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderClient,
		Message: "По указанному идентификатору не найдено ячейки расписания",
		refuses: func(f *Facts) bool { return f.Request.Place.OutOfSchedule == nil && len(f.Slots) == 0 },
	},
	{
		Name: SlotResourceNotFound, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message:            "По указанному идентификатору ячейки расписания не найдено ресурса для записи",
		fieldOutOfSchedule: "DocPrvdGuid",
		needs:              aPlace,
		refuses:            func(f *Facts) bool { return f.Resource == nil || !f.Resource.Active },
	},
	{
		Name: SlotNotForReception, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message: "Невозможно записаться в заданную ячейку расписания",
		needs:   aSlot,
		refuses: func(f *Facts) bool { return !f.Slots[0].Reception },
	},
	{
		Name: SlotUnavailable, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message: "Выбранная ячейка расписания недоступна.",
		needs:   aSlot,
		refuses: func(f *Facts) bool { return f.Slots[0].Blocked || f.Slots[0].Access == 0 },
	},
	{
		Name: SlotTimePassed, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message:            "У выбранной ячейки расписания прошло время начала приема.",
		fieldOutOfSchedule: "Date",
		needs:              aTarget | aPlace,
		refuses: func(f *Facts) bool {
			if out := f.Request.Place.OutOfSchedule; out != nil {
				return out.Date.passed(f.Target.Zone, f.Now)
			}
			return f.Slots[0].Start.Before(f.Now)
		},
	},
	{
		// Ours, where the setting is there.
		Name: SlotBeyondHorizon, Status: 400, Code: "4002", Type: TypeValidation, Field: slotID, Mender: MenderPatient, Retryable: true,
		Message:            "Запись на выбранный день еще не открыта. Записаться можно не более чем на {scheduleDays} дн. вперед: по {lastDay} включительно.",
		fieldOutOfSchedule: "Date",
		needs:              aTarget | aPlace,
		refuses: func(f *Facts) bool {
			horizon := f.Target.horizon(f.Now)
			start, _ := f.visit()
			return horizon != nil && !start.Before(*horizon)
		},
		values: func(f *Facts) []string {
			days := *f.Target.ScheduleDays
			return []string{"scheduleDays", strconv.Itoa(days), "lastDay", dayOf(f.Now, f.Target.Zone).AddDate(0, 0, days).Format("02.01.2006")}
		},
	},
	{
		Name: SlotAccessDenied, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderRegistry,
		Message:            "У вас не хватает прав для записи в выбранную ячейку расписания.",
		fieldOutOfSchedule: "OutOfSchedule",
		needs:              aTarget | aPlace,
		refuses: func(f *Facts) bool {
			if f.Request.Place.OutOfSchedule != nil {
				return !f.Target.Rights.OutOfSchedule
			}
			return f.Slots[0].Access&f.access() == 0
		},
	},
	{
		Name: SlotFull, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message: "Выбранная ячейка расписания уже занята.",
		needs:   aSlot,
		refuses: func(f *Facts) bool { return f.Slots[0].Taken >= f.Slots[0].Capacity },
	},
}

// 4. The referral against the resource. An examination is matched by medical service, which the source leaves to the institutions.
var resourceRules = []Rule{
	{
		Name: ResourceKindMismatch, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message:            "Запись на консультацию возможно только к врачу или в кабинет",
		fieldOutOfSchedule: "DocPrvdGuid",
		needs:              aType | aResource,
		refuses:            func(f *Facts) bool { return f.Request.Type == Consult && f.Resource.Kind == Equipment },
	},
	{
		Name: SpecialityMismatch, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message:            "Специальность, указанная в направлении не совпадает со специальностью ресурса",
		fieldOutOfSchedule: "DocPrvdGuid",
		needs:              anOwnDirection | aResource,
		refuses: func(f *Facts) bool {
			return f.Request.Type == Consult && f.Direction.SpecialityCode != f.Resource.SpecialityCode
		},
	},
}

const byAge = "Сотрудниками учреждения было установлено ограничение по возрасту при записи на прием на выбранное время."

// 5. The patient against the cell's restriction.
var restrictionRules = []Rule{
	{
		Name: SlotAdultsOnly, Status: 400, Code: "4029", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message: "Запись недоступна для лиц младше 18 лет. " + byAge,
		needs:   anOwnDirection | aTarget | aSlot,
		refuses: func(f *Facts) bool { return f.Slots[0].Restriction == AdultsOnly && f.age() < adultAge },
	},
	{
		// The source lists this answer twice: for cells of children, and of healthy children.
		Name: SlotChildrenOnly, Status: 400, Code: "4029", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message: "Запись недоступна для взрослых. " + byAge,
		needs:   anOwnDirection | aTarget | aSlot,
		refuses: func(f *Facts) bool {
			restriction := f.Slots[0].Restriction
			return (restriction == ChildrenOnly || restriction == HealthyChildrenOnly) && f.age() >= adultAge
		},
	},
	{
		Name: SlotInfantsOnly, Status: 400, Code: "4029", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message: "Запись доступна только для детей до 1 года. " + byAge,
		needs:   anOwnDirection | aTarget | aSlot,
		refuses: func(f *Facts) bool { return f.Slots[0].Restriction == InfantsOnly && f.age() >= 1 },
	},
	{
		Name: SlotDisabledOnly, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message: "Это время доступно для записи на прием только для пациентов с ограниченными возможностями.",
		needs:   anOwnDirection | aSlot,
		refuses: func(f *Facts) bool { return f.Slots[0].Restriction == DisabledOnly && !f.Direction.Disabled },
	},
	{
		Name: SlotPregnantOnly, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message: "Это время доступно для записи на прием только для беременных.",
		needs:   anOwnDirection | aSlot,
		refuses: func(f *Facts) bool { return f.Slots[0].Restriction == PregnantOnly && !f.Direction.Pregnant },
	},
	{
		Name: SlotHealthyChildrenOnly, Status: 400, Code: "4000", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message: "Это время доступно для записи на прием только здоровых детей. У выбранного пациента имеется открытый случай лечения. Открыт {tapDate}",
		needs:   aSlot,
		refuses: func(f *Facts) bool { return f.Slots[0].Restriction == HealthyChildrenOnly && f.TapOpened != nil },
		values:  func(f *Facts) []string { return []string{"tapDate", f.TapOpened.Format("02.01.2006")} },
	},
}

// 6. One active appointment a speciality: consultations, over all institutions of the region.
var specialityRules = []Rule{
	{
		Name: SpecialityAlreadyBooked, Status: 400, Code: "4008", Type: TypeValidation, Field: "DirectionGuid", Mender: MenderPatient, Retryable: true,
		Message: `Вы уже записаны {actualAppointment.ResourceName} на {actualAppointment.Start.ToString("dd.MM.yyyy HH:mm")}. ` +
			"Запрещено иметь более одной активной записи на прием на одну специальность.",
		needs: anOwnDirection | aTarget,
		refuses: func(f *Facts) bool {
			return f.Request.Type == Consult && f.Target.OneActivePerSpeciality && f.activeInSpeciality() != nil
		},
		values:  func(f *Facts) []string { return f.activeInSpeciality().values() },
		details: func(f *Facts) *Details { return f.activeInSpeciality().details() },
	},
}

func (a *ActiveAppointment) values() []string {
	return []string{
		"actualAppointment.ResourceName", a.ResourceName,
		`actualAppointment.Start.ToString("dd.MM.yyyy HH:mm")`, a.Start.Format("02.01.2006 15:04"),
	}
}

// RefuseSpeciality is the refusal of whoever lost the race for a speciality to the appointment given.
func RefuseSpeciality(active ActiveAppointment) *Refusal {
	refusal := Refuse(SpecialityAlreadyBooked, active.values()...)
	refusal.Details = active.details()
	return refusal
}

// 7. The medical card in the target institution.
var mkabRules = []Rule{
	{
		Name: MkabClosed, Status: 403, Code: "5096", Type: TypeError, Field: "LpuToGuid", Mender: MenderRegistry,
		Message: "Ваша электронная медицинская карта закрыта. Обратитесь в регистратуру медицинского учреждения.",
		needs:   aTarget,
		refuses: func(f *Facts) bool { return f.Mkab != nil && f.Mkab.Closed },
	},
	{
		Name: MkabAbsent, Status: 404, Code: "4001", Type: TypeError, Field: "LpuToGuid", Mender: MenderRegistry,
		Message: "Ваша электронная медицинская карта отсутствует. Обратитесь в регистратуру медицинского учреждения.",
		needs:   aTarget,
		refuses: func(f *Facts) bool { return f.Mkab == nil && !f.Target.CreatesMkab },
	},
}

const noMkab = "Произошла ошибка при попытке создания МКАБ"

// 7, continued: making the card. The index answers the first four itself; the database, the last.
var mipRules = []Rule{
	{
		Name: MipAuthURLEmpty, Status: 500, Code: "5000", Type: TypeError, Mender: MenderService,
		Message: "Не удалось получить Ticket. Значение сервиса авторизации AuthUrl - пустое.",
		needs:   aPerson,
	},
	{
		Name: MipAuthURLUnreachable, Status: 500, Code: "5000", Type: TypeError, Mender: MenderService, Retryable: true,
		Message: `Не удалось получить Ticket. Адрес сервиса авторизации недоступен "{AuthUrl}" - значение настройки "AuthUrl"`,
		needs:   aPerson,
	},
	{
		Name: MipPersonNotFound, Status: 500, Code: "5000", Type: TypeError, Mender: MenderRegistry,
		Message: "Пациент не найден в МИПе",
		needs:   aPerson,
	},
	{
		Name: MipPersonDataMissing, Status: 500, Code: "5000", Type: TypeError, Mender: MenderRegistry,
		Message: "Данные персоны не найдены",
		needs:   aPerson,
	},
	{
		Name: MkabPolicyNumberEmpty, Status: 500, Code: "5000", Type: TypeError, Mender: MenderRegistry,
		Message: noMkab + ": Номер полиса не может быть пуст.",
		needs:   aPerson,
		refuses: func(f *Facts) bool { return f.Person.PolicyNumber == "" },
	},
	{
		Name: MkabSexEmpty, Status: 500, Code: "5000", Type: TypeError, Mender: MenderRegistry,
		Message: noMkab + ": Пол не указан.",
		needs:   aPerson,
		refuses: func(f *Facts) bool { return f.Person.Sex == "" },
	},
	{
		Name: MkabSurnameEmpty, Status: 500, Code: "5000", Type: TypeError, Mender: MenderRegistry,
		Message: noMkab + ": Фамилия не должна быть пуста",
		needs:   aPerson,
		refuses: func(f *Facts) bool { return f.Person.Surname == "" },
	},
	{
		Name: MkabNameEmpty, Status: 500, Code: "5000", Type: TypeError, Mender: MenderRegistry,
		Message: noMkab + ": Имя не должно быть пусто",
		needs:   aPerson,
		refuses: func(f *Facts) bool { return f.Person.Name == "" },
	},
	{
		Name: MkabLpuNotFound, Status: 500, Code: "5000", Type: TypeError, Field: "LpuToGuid", Mender: MenderService,
		Message: noMkab + ". ЛПУ из настройки 'Код поликлиники' не найдено.",
		needs:   aPerson | aTarget,
		refuses: func(f *Facts) bool { return !f.Target.PolyclinicCodeIsOwn },
	},
	{
		Name: MkabPolicyLinkFailed, Status: 500, Code: "5000", Type: TypeError, Mender: MenderService,
		Message: "Произошла ошибка при попытке создания связи полиса с МКАБ: Ссылка на МКАБ не должна быть пусто",
		needs:   aWrite,
	},
}

const noAppointment = "Произошла ошибка при попытке создания записи на прием по направлению: "

// 8. Taking the cell: decided by the database. As soon as there is a card, the facts can tell a complex slot that cannot be had.
var writeRules = []Rule{
	{
		Name: SlotTaken, Status: 400, Code: "4009", Type: TypeValidation, Field: slotID, Mender: MenderPatient,
		Message: "Это время уже занято. Выберите другое свободное время приема.",
		needs:   aWrite,
	},
	{
		Name: ComplexSlotFailed, Status: 500, Code: "5000", Type: TypeError, Field: "Difficulty", Mender: MenderPatient,
		Message: noAppointment + "не удалось сделать сложную ячейку",
		needs:   anOwnDirection | aTarget | aSlot | aMkab,
		refuses: func(f *Facts) bool { return f.Request.Difficulty > 1 && !f.complexSlotIsFree() },
	},
	{
		Name: AppointmentNotCreated, Status: 500, Code: "5000", Type: TypeError, Mender: MenderService,
		Message: noAppointment + "операция создания не вернула идентификатор",
		needs:   aWrite,
	},
	{
		Name: AppointmentNotFound, Status: 500, Code: "5000", Type: TypeError, Mender: MenderService,
		Message: noAppointment + "конечная запись не найдена",
		needs:   aWrite,
	},
	{
		Name: AppointmentNotLinked, Status: 500, Code: "5000", Type: TypeError, Mender: MenderService,
		Message: noAppointment + "конечная запись не прикреплена к направлению",
		needs:   aWrite,
	},
}

// The key of a request that may be repeated. These answers are ours.
var keyRules = []Rule{
	{
		Name: KeyReused, Status: 422, Code: "4220", Type: TypeValidation, Mender: MenderClient,
		Message: "Ключ Idempotency-Key уже использован для другого запроса",
	},
	{
		Name: KeyInUse, Status: 409, Code: "4090", Type: TypeError, Mender: MenderClient, Retryable: true,
		Message: "Запрос с этим ключом Idempotency-Key еще выполняется." + tryLater,
	},
}

// What a path or a parameter names and nobody has, or somebody else. These answers are ours.
var absentRules = []Rule{
	{
		Name: DirectionAbsent, Status: 404, Code: "4041", Type: TypeError, Mender: MenderClient,
		Message: "Направление не найдено",
	},
	{
		Name: LpuAbsent, Status: 404, Code: "4043", Type: TypeError, Mender: MenderClient,
		Message: "Медицинская организация не найдена",
	},
	{
		Name: AppointmentAbsent, Status: 404, Code: "4042", Type: TypeError, Mender: MenderClient,
		Message: "Запись на прием не найдена",
	},
}

// An appointment that there is already: decided by the operations on it.
var appointmentRules = []Rule{
	{
		Name: AppointmentStarted, Status: 400, Code: "4000", Type: TypeValidation, Mender: MenderRegistry,
		Message: "Отменить или перенести запись можно только до начала приема.",
	},
	{
		Name: AppointmentIsCancelled, Status: 400, Code: "4000", Type: TypeValidation, Mender: MenderPatient,
		Message: "Запись на прием отменена, перенести ее нельзя.",
	},
}

// Holding a cell: decided by the write.
var holdRules = []Rule{
	{
		Name: TooManyHolds, Status: 409, Code: "4091", Type: TypeValidation, Mender: MenderPatient, Retryable: true,
		Message: "Одновременно можно удерживать не более двух ячеек расписания. Запишитесь в одну из них или снимите удержание.",
	},
}

// Who asks the authorisation service for a token, and for whom. The last two are ours.
var identityRules = []Rule{
	{
		Name: ClientUnauthenticated, Status: 403, Code: "5403", Type: TypeError, Mender: MenderClient,
		Message: "Код авторизации не верен",
	},
	{
		// One answer, whatever is wrong: it must not help to guess.
		Name: PatientNotIdentified, Status: 403, Code: "4030", Type: TypeError, Mender: MenderPatient,
		Message: "Пациент с такими данными и открытой медицинской картой не найден. Проверьте данные или обратитесь в регистратуру медицинского учреждения.",
	},
	{
		Name: TooManyAttempts, Status: 429, Code: "4290", Type: TypeError, Mender: MenderPatient, Retryable: true,
		Message: "Слишком много неудачных попыток." + tryLater,
	},
}

const tryLater = " Повторите попытку позже."

// What is not about this booking. These answers are ours.
var serviceRules = []Rule{
	{
		Name: RouteNotFound, Status: 404, Code: "4040", Type: TypeError, Mender: MenderClient,
		Message: "Ресурс не найден",
	},
	{
		Name: MethodNotAllowed, Status: 405, Code: "4050", Type: TypeError, Mender: MenderClient,
		Message: "Метод не поддерживается",
	},
	{
		Name: InternalError, Status: 500, Code: "5000", Type: TypeError, Mender: MenderService,
		Message: "Внутренняя ошибка сервера",
	},
	{
		Name: DatabaseUnavailable, Status: 503, Code: "5030", Type: TypeError, Mender: MenderService, Retryable: true,
		Message: "Сервис временно недоступен." + tryLater,
	},
	{
		Name: MipUnavailable, Status: 503, Code: "5030", Type: TypeError, Mender: MenderService, Retryable: true,
		Message: "Сервис МИП временно недоступен." + tryLater,
	},
	{
		Name: KeysUnavailable, Status: 503, Code: "5030", Type: TypeError, Mender: MenderService, Retryable: true,
		Message: "Проверка токенов временно недоступна." + tryLater,
	},
	{
		Name: Overloaded, Status: 503, Code: "5030", Type: TypeError, Mender: MenderService, Retryable: true,
		Message: "Сервис перегружен." + tryLater,
	},
	{
		Name: NotReady, Status: 503, Code: "5030", Type: TypeError, Mender: MenderService, Retryable: true,
		Message: "Сервис не готов принимать запросы",
	},
}
