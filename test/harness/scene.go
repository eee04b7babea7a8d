package harness

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
)

// ClientGuid is the client application of all scenes. It may take every cell and book out of
// schedule.
var ClientGuid = uuid.MustParse("a11ce000-0000-4000-8000-000000000001")

// Scene is data for which all rules allow a booking: a patient with a referral, and a doctor with
// free cells on the morning of 21.08.2019.
type Scene struct {
	*Service

	Person    uuid.UUID
	Direction uuid.UUID
	From, To  uuid.UUID
	Doctor    uuid.UUID
	Slots     []uuid.UUID // four of 15 minutes from 08:45, ids from FirstSlotID
	MkabFrom  uuid.UUID
	MkabTo    uuid.UUID
}

// FirstSlotID is the id of the scene's first cell. The ids of the others follow it.
const FirstSlotID = 14527455

// sceneTemplate has the rows of the scene that Scene returns.
var sceneTemplate = testdb.NewTemplate(func(t testing.TB, url string) {
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	defer pool.Close()
	s := &Service{T: t, DB: pool}
	newScene(s).insert()
	if testdb.Distributed() { // where the first request would take a second or more to create them
		s.Exec(`SELECT audit_partitions($1), event_partitions($1, 30)`, Moment.UTC())
	}
})

// newScene returns the scene with the guids of the source's example.
func newScene(s *Service) *Scene {
	sc := &Scene{
		Service:   s,
		Person:    uuid.MustParse("5e550000-0000-4000-8000-000000000001"),
		Direction: uuid.MustParse("e714e964-d8a0-4776-b163-c708371c39a5"),
		From:      uuid.MustParse("e66e8056-f0bd-4ec3-85f7-28ff5b22db4f"),
		To:        uuid.MustParse("4cb4f1c8-386d-410d-ac5d-fa232bd2afb9"),
		Doctor:    uuid.MustParse("d0c70000-0000-4000-8000-000000000001"),
		MkabFrom:  uuid.MustParse("ca4d0000-0000-4000-8000-000000000001"),
		MkabTo:    uuid.MustParse("183209fc-1277-4896-aa7f-72dfcd8f03b1"),
	}
	for i := range 4 {
		sc.Slots = append(sc.Slots, uuid.MustParse(fmt.Sprintf("ce110000-0000-4000-8000-%012d", i)))
	}
	return sc
}

// Scene returns a scene with the guids of the source's example, so that messages are those of the
// contract. In a database without it, Scene inserts it, and may be called once.
func (s *Service) Scene() *Scene {
	s.T.Helper()
	sc := newScene(s)
	if !s.hasScene {
		sc.insert()
	}
	return sc
}

// insert inserts the scene into an empty database.
func (sc *Scene) insert() {
	sc.T.Helper()
	sc.Exec(`INSERT INTO client_application VALUES ($1, 'Тест', 95, 95, true)`, ClientGuid)
	sc.Exec(`INSERT INTO busy_type VALUES (1, 'Прием', true), (2, 'Обед', false)`)
	sc.insertRows("1", "2")
}

// AnotherScene inserts a further scene with random guids.
func (s *Service) AnotherScene() *Scene {
	s.T.Helper()
	return s.SceneOf(uuid.New(), uuid.New(), uuid.New())
}

// SceneOf inserts a further scene of a patient and two institutions, which are new. All other guids
// are random.
func (s *Service) SceneOf(person, from, to uuid.UUID) *Scene {
	s.T.Helper()
	sc := &Scene{
		Service: s, Person: person, Direction: uuid.New(), From: from, To: to, Doctor: uuid.New(),
		MkabFrom: uuid.New(), MkabTo: uuid.New(),
		Slots: []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New()},
	}
	sc.insertRows(sc.From.String(), sc.To.String())
	return sc
}

// insertRows inserts the rows of the scene. The codes are those of the two institutions.
func (sc *Scene) insertRows(fromCode, toCode string) {
	sc.T.Helper()
	entity := uuid.New()
	sc.Exec(`INSERT INTO legal_entity VALUES ($1, 'Юридическое лицо')`, entity)
	sc.Exec(`INSERT INTO lpu VALUES ($1, $3, $4, 'Источник', 'Europe/Moscow', '', ''),
		($2, $3, $5, 'Цель', 'Europe/Moscow', 'г. Талонск, ул. Садовая, д. 7', '+7 000 555-01-02')`,
		sc.From, sc.To, entity, fromCode, toCode)
	sc.AddPerson(sc.Person, "1980-02-29")
	sc.AddMkab(sc.From, sc.MkabFrom, sc.Person)
	sc.AddMkab(sc.To, sc.MkabTo, sc.Person)
	sc.AddDirection(sc.Direction, "Consult")
	sc.Exec(`INSERT INTO resource VALUES ($1, $2, 'doctor', 'Врач Терапевт', '92', true, '214')`, sc.To, sc.Doctor)
	sc.insertSlots(sc.Doctor, FirstSlotID, time.Date(2019, 8, 21, 8, 45, 0, 0, Moment.Location()), 1, sc.Slots)
}

// AddPatient inserts a person with cards in both institutions and a referral for a consultation.
func (sc *Scene) AddPatient() (person, direction uuid.UUID) {
	sc.T.Helper()
	persons, directions := sc.AddPatients(1)
	return persons[0], directions[0]
}

// AddPatients inserts n patients as AddPatient does.
func (sc *Scene) AddPatients(n int) (persons, directions []uuid.UUID) {
	sc.T.Helper()
	cards := make([]uuid.UUID, n)
	for i := range n {
		persons, directions = append(persons, uuid.New()), append(directions, uuid.New())
		cards[i] = uuid.New()
	}
	sc.insertPersons("1980-01-01", persons)
	sc.insertMkabs(sc.From, cards, persons)
	sc.insertMkabs(sc.To, cards, persons)
	sc.insertDirections("Consult", directions, cards)
	return persons, directions
}

// AddPerson inserts a person into the local master patient index.
func (sc *Scene) AddPerson(guid uuid.UUID, birthDate string) {
	sc.T.Helper()
	sc.insertPersons(birthDate, []uuid.UUID{guid})
}

func (sc *Scene) insertPersons(birthDate string, guids []uuid.UUID) {
	sc.T.Helper()
	sc.Exec(`INSERT INTO mip_person SELECT unnest($1::uuid[])`, guids)
	sc.Exec(`INSERT INTO mip_person_data
		SELECT guid, 'Пациент', 'Первый', '', $2::text::date, 'male', '', '', '1234567890123456'
		FROM unnest($1::uuid[]) guid`, guids, birthDate)
}

// AddMkab inserts an open card.
func (sc *Scene) AddMkab(lpu, guid, person uuid.UUID) {
	sc.T.Helper()
	sc.insertMkabs(lpu, []uuid.UUID{guid}, []uuid.UUID{person})
}

// insertMkabs inserts an open card for each of the persons in an institution.
func (sc *Scene) insertMkabs(lpu uuid.UUID, guids, persons []uuid.UUID) {
	sc.T.Helper()
	sc.Exec(`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, created_at)
		SELECT $1, new.guid, new.person, surname, name, birth_date, sex, $4
		FROM unnest($2::uuid[], $3::uuid[]) new (guid, person)
		JOIN mip_person_data d ON d.person_guid = new.person`, lpu, guids, persons, Moment)
	sc.Exec(testdb.IndexRows)
}

// AddDirection inserts a referral of the scene's patient from the source to the target institution.
func (sc *Scene) AddDirection(guid uuid.UUID, kind string) {
	sc.T.Helper()
	sc.insertDirections(kind, []uuid.UUID{guid}, []uuid.UUID{sc.MkabFrom})
}

// insertDirections inserts a referral for each of the cards in the source institution.
func (sc *Scene) insertDirections(kind string, guids, mkabs []uuid.UUID) {
	sc.T.Helper()
	sc.Exec(`INSERT INTO direction (lpu_guid, guid, type, number, date, date_end, created_at, mkab_guid,
			speciality_code, mkb_code, mkb_name, lpu_from_guid, lpu_to_guid)
		SELECT $1, new.guid, $2::text::direction_type, '47010157096', '2019-08-13', '2019-09-12', $6, new.mkab,
			'92', 'A01.1', 'A', $1, $3
		FROM unnest($4::uuid[], $5::uuid[]) new (guid, mkab)`, sc.From, kind, sc.To, guids, mkabs, Moment)
}

// IssueInTarget replaces the scene's referral with one that the target institution has issued.
func (sc *Scene) IssueInTarget() {
	sc.T.Helper()
	sc.Exec(`DELETE FROM direction WHERE lpu_guid = $1 AND guid = $2`, sc.From, sc.Direction)
	within := *sc
	within.From, within.MkabFrom = sc.To, sc.MkabTo
	within.AddDirection(sc.Direction, "Consult")
}

// AddResourceLike adds a resource like the scene's doctor, with another name.
func (sc *Scene) AddResourceLike(name string) uuid.UUID {
	sc.T.Helper()
	guid := uuid.New()
	sc.Exec(`INSERT INTO resource (lpu_guid, guid, kind, name, speciality_code)
		SELECT lpu_guid, $1, kind, $2, speciality_code FROM resource WHERE lpu_guid = $3 AND guid = $4`, guid, name, sc.To, sc.Doctor)
	return guid
}

// AddSlot inserts a cell of 15 minutes in the target institution. Every client may take it.
func (sc *Scene) AddSlot(resource uuid.UUID, id int, start time.Time, capacity int) uuid.UUID {
	sc.T.Helper()
	guid := uuid.New()
	sc.insertSlots(resource, id, start, capacity, []uuid.UUID{guid})
	return guid
}

// AddSlots inserts n cells on 22.08.2019, each adjacent to the one before. Their ids start at 1.
func (sc *Scene) AddSlots(n int) (guids []uuid.UUID) {
	sc.T.Helper()
	for range n {
		guids = append(guids, uuid.New())
	}
	sc.insertSlots(sc.Doctor, 1, time.Date(2019, 8, 22, 8, 0, 0, 0, Moment.Location()), 1, guids)
	return guids
}

// insertSlots inserts adjacent cells of 15 minutes, with ids from firstID.
func (sc *Scene) insertSlots(resource uuid.UUID, firstID int, start time.Time, capacity int, guids []uuid.UUID) {
	sc.T.Helper()
	sc.Exec(`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, capacity, flag_access, busy_type)
		SELECT $1, guid, $2::bigint + n - 1, $3, $4::timestamptz + (n - 1) * interval '15 minutes',
			$4::timestamptz + n * interval '15 minutes', $5, 127, 1
		FROM unnest($6::uuid[]) WITH ORDINALITY new (guid, n)`, sc.To, firstID, resource, start, capacity, guids)
}

// Fields is the JSON object of a request.
type Fields map[string]any

// BookingBody returns the body of the scene's booking with the given changes. A nil value removes
// its key.
func (sc *Scene) BookingBody(changes ...Fields) Fields {
	body := Fields{
		"DirectionGuid": sc.Direction,
		"DirectionType": "consult",
		"LpuFromGuid":   sc.From,
		"LpuToGuid":     sc.To,
		"SlotId":        FirstSlotID,
	}
	for _, change := range changes {
		maps.Copy(body, change)
	}
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	return body
}

// OutOfSchedule returns the changes that make a booking one without a cell.
func (sc *Scene) OutOfSchedule(date string) Fields {
	return Fields{"SlotId": nil, "OutOfSchedule": true, "DocPrvdGuid": sc.Doctor, "Date": date}
}

// TryBook books with the given changes and returns the response, whatever its status.
func (sc *Scene) TryBook(changes ...Fields) Answer {
	sc.T.Helper()
	return sc.Book(sc.Person, sc.BookingBody(changes...))
}

// Contenders is the number of concurrent requests in a race.
const Contenders = 64

// ContenderBookings returns a booking for each of as many new patients as there are contenders.
func (sc *Scene) ContenderBookings(changes Fields) []func() Answer {
	sc.T.Helper()
	var attempts []func() Answer
	persons, directions := sc.AddPatients(Contenders)
	for i, person := range persons {
		attempts = append(attempts, func() Answer {
			return sc.Book(person, sc.BookingBody(changes, Fields{"DirectionGuid": directions[i]}))
		})
	}
	return attempts
}

// Shift returns the assignment of an UPDATE that moves a column with a time by an interval. The sum
// is immutable in UTC, which a distributed database requires.
func Shift(column, interval string) string {
	return fmt.Sprintf("%s = (%[1]s AT TIME ZONE 'UTC' + %s) AT TIME ZONE 'UTC'", column, interval)
}
