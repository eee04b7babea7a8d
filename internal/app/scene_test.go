package app_test

import (
	"maps"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/testdb"
)

// clientGuid is the client application of the scenes; it may take every cell, and book out of schedule.
var clientGuid = uuid.MustParse("a11ce000-0000-4000-8000-000000000001")

// scene is a patient with a referral, and a doctor with free cells on the morning of 21.08.2019, where all rules allow a booking. Its guids are
// those of the source's example, so that messages come out as the contract has them.
type scene struct {
	*service

	person    uuid.UUID
	direction uuid.UUID
	from, to  uuid.UUID
	doctor    uuid.UUID
	slots     []uuid.UUID // four of 15 minutes from 08:45, ids from 14527455
	mkabFrom  uuid.UUID
	mkabTo    uuid.UUID
}

const firstSlotID = 14527455

func (s *service) scene() *scene {
	s.t.Helper()
	s.exec(`INSERT INTO client_application VALUES ($1, 'Тест', 95, 95, true)`, clientGuid)
	s.exec(`INSERT INTO busy_type VALUES (1, 'Прием', true), (2, 'Обед', false)`)
	sc := &scene{
		service:   s,
		person:    uuid.MustParse("5e550000-0000-4000-8000-000000000001"),
		direction: uuid.MustParse("e714e964-d8a0-4776-b163-c708371c39a5"),
		from:      uuid.MustParse("e66e8056-f0bd-4ec3-85f7-28ff5b22db4f"),
		to:        uuid.MustParse("4cb4f1c8-386d-410d-ac5d-fa232bd2afb9"),
		doctor:    uuid.MustParse("d0c70000-0000-4000-8000-000000000001"),
		mkabFrom:  uuid.New(),
		mkabTo:    uuid.MustParse("183209fc-1277-4896-aa7f-72dfcd8f03b1"),
	}
	sc.furnish("1", "2")
	return sc
}

// another is a scene next to the others, with guids of its own.
func (s *service) another() *scene {
	s.t.Helper()
	sc := &scene{
		service: s, person: uuid.New(), direction: uuid.New(), from: uuid.New(), to: uuid.New(), doctor: uuid.New(), mkabFrom: uuid.New(), mkabTo: uuid.New(),
	}
	sc.furnish(sc.from.String(), sc.to.String())
	return sc
}

// furnish makes what the scene is about; the institutions get the codes given.
func (sc *scene) furnish(fromCode, toCode string) {
	sc.t.Helper()
	entity := uuid.New()
	sc.exec(`INSERT INTO legal_entity VALUES ($1, 'Юридическое лицо')`, entity)
	sc.exec(`INSERT INTO lpu VALUES ($1, $3, $4, 'Источник', 'Europe/Moscow'), ($2, $3, $5, 'Цель', 'Europe/Moscow')`, sc.from, sc.to, entity, fromCode, toCode)
	sc.addPerson(sc.person, "1980-02-29")
	sc.addMkab(sc.from, sc.mkabFrom, sc.person)
	sc.addMkab(sc.to, sc.mkabTo, sc.person)
	sc.addDirection(sc.direction, "Consult")
	sc.exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач Терапевт', '92')`, sc.to, sc.doctor)
	for i := range 4 {
		start := time.Date(2019, 8, 21, 8, 45+15*i, 0, 0, moment.Location())
		sc.slots = append(sc.slots, sc.addSlot(sc.doctor, firstSlotID+i, start, 1))
	}
}

// patient adds a person with cards in both institutions and a referral for a consultation.
func (sc *scene) patient() (person, direction uuid.UUID) {
	sc.t.Helper()
	person, direction = uuid.New(), uuid.New()
	card := uuid.New()
	sc.addPerson(person, "1980-01-01")
	sc.addMkab(sc.from, card, person)
	sc.addMkab(sc.to, card, person)
	sc.addDirection(direction, "Consult")
	sc.exec(`UPDATE direction SET mkab_guid = $1 WHERE lpu_guid = $2 AND guid = $3`, card, sc.from, direction)
	return person, direction
}

// addPerson adds a person to the local master patient index.
func (sc *scene) addPerson(guid uuid.UUID, birthDate string) {
	sc.t.Helper()
	sc.exec(`INSERT INTO mip_person VALUES ($1)`, guid)
	sc.exec(`INSERT INTO mip_person_data VALUES ($1, 'Пациент', 'Первый', '', $2::text::date, 'male', '', '', '1234567890123456')`, guid, birthDate)
}

// addMkab adds an open card.
func (sc *scene) addMkab(lpu, guid, person uuid.UUID) {
	sc.t.Helper()
	sc.exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, created_at)
		SELECT $1, $2, $3, surname, name, birth_date, sex, $4 FROM mip_person_data WHERE person_guid = $3`, lpu, guid, person, moment)
	sc.exec(testdb.IndexRows)
}

// addDirection adds a referral of the scene's patient, from the source to the target institution.
func (sc *scene) addDirection(guid uuid.UUID, kind string) {
	sc.t.Helper()
	sc.exec(`INSERT INTO direction (lpu_guid, guid, type, number, date, date_end, created_at, mkab_guid, speciality_code, mkb_code, mkb_name, lpu_from_guid, lpu_to_guid)
		VALUES ($1, $2, $3, '47010157096', '2019-08-13', '2019-09-12', $4, $5, '92', 'A01.1', 'A', $1, $6)`, sc.from, guid, kind, moment, sc.mkabFrom, sc.to)
}

// addSlot adds a cell of 15 minutes that everybody may take.
func (sc *scene) addSlot(resource uuid.UUID, id int, start time.Time, capacity int) uuid.UUID {
	sc.t.Helper()
	guid := uuid.New()
	sc.exec(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, capacity, flag_access, busy_type)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 127, 1)`, sc.to, guid, id, resource, start, start.Add(15*time.Minute), capacity)
	return guid
}

// fields are the JSON keys of a request.
type fields map[string]any

// request is the booking that the scene allows, with the changes given; nil takes a key out.
func (sc *scene) request(changes ...fields) fields {
	body := fields{
		"DirectionGuid": sc.direction,
		"DirectionType": "consult",
		"LpuFromGuid":   sc.from,
		"LpuToGuid":     sc.to,
		"SlotId":        firstSlotID,
	}
	for _, change := range changes {
		maps.Copy(body, change)
	}
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	return body
}

// outOfSchedule changes a request into one without a cell.
func (sc *scene) outOfSchedule(date string) fields {
	return fields{"SlotId": nil, "OutOfSchedule": true, "DocPrvdGuid": sc.doctor, "Date": date}
}

// attempt books what the scene allows, with changes.
func (sc *scene) attempt(changes ...fields) answer {
	sc.t.Helper()
	return sc.book(sc.person, sc.request(changes...))
}
