package sandbox

import (
	"fmt"

	"github.com/google/uuid"

	"talon.example/gen/api"
)

// The patient and the client application of the demo token, and the client applications of system
// tokens.
var (
	// Patient is the patient of both examples, by the guid in the master patient index.
	Patient = person(1)
	// Client is the application «Единая регистратура», which may book almost all cells.
	Client = numbered("0003", 5)
	// SystemClient is the clinic's system «МИС поликлиники Б», which acts for itself.
	SystemClient = numbered("0003", 12)
	// importingClient is a clinic's system that has as many unfinished imports as possible.
	importingClient = numbered("0003", 13)
	// RegionClient is the region's system, which has all scopes in all institutions.
	RegionClient = numbered("0003", 20)
)

// ClientSecret is the secret of every client application of the demo. It is public.
const ClientSecret = "demo-secret"

// Ids in the request and the response of the first example.
const (
	FirstExampleSlotID      int64 = 14527455 // 08:45, seven days ahead
	FirstExampleDirectionID int64 = 58384    // the referral's id in the target institution
)

var (
	exampleDirection = uuid.MustParse("e714e964-d8a0-4776-b163-c708371c39a5")
	exampleSource    = uuid.MustParse("e66e8056-f0bd-4ec3-85f7-28ff5b22db4f")
	exampleTarget    = uuid.MustParse("4cb4f1c8-386d-410d-ac5d-fa232bd2afb9")

	// documentedInstitutions are the institutions of the source's examples. All other guids of the
	// demo begin with de300000.
	documentedInstitutions = []uuid.UUID{
		exampleSource,
		exampleTarget,
		uuid.MustParse("1dadf64c-f34a-4023-98a6-3e7b7be4f243"),
		uuid.MustParse("12ab9992-9875-4fb6-a9c0-8504170c1429"),
	}
)

// The two example requests of the source, byte for byte. The first succeeds once. The second has a
// date in the past; it succeeds with today's date.
const (
	FirstExample = `{
  "DirectionGuid": "e714e964-d8a0-4776-b163-c708371c39a5",
  "DirectionType": "consult",
  "LpuFromGuid": "e66e8056-f0bd-4ec3-85f7-28ff5b22db4f",
  "LpuToGuid": "4cb4f1c8-386d-410d-ac5d-fa232bd2afb9",
  "SlotGuid": "c2ab84d4-bfal-4965-a4a9-48c8306a0a84",
  "SlotId": 14527455,
  "Difficulty" : 2,
  "VisitComment": "",
  "IsCito":true
}`
	SecondExample = `{
  "DirectionGuid": "18c29a77-35cf-4532-b70a-d493eae6dbc7",
  "DirectionType": "laboratory",
  "LpuFromGuid": "1dadf64c-f34a-4023-98a6-3e7b7be4f243",
  "LpuToGuid": "12ab9992-9875-4fb6-a9c0-8504170c1429",
  "DocPrvdGuid": "b0666870-c5b7-4e38-a959-0f17bc50a3cf",
  "Date" : "2023-10-21",
  "OutOfSchedule": true
}`
)

// The groups of patients. GET /sandbox/scenarios describes them.
const (
	bookable = api.SandboxPatientGroupBookable
	refused  = api.SandboxPatientGroupRefused
	race     = api.SandboxPatientGroupRace
	failure  = api.SandboxPatientGroupFailure
)

// Person is a patient of the demo.
type Person struct {
	Name  string // in the medical cards
	Guid  uuid.UUID
	Group string // what the patient demonstrates
	Try   string // what can be tried with this patient
}

// Patients are the patients of the demo, in the order of their numbers. Each has three unbooked
// referrals de300000-0007-4000-8000-PPPPNNNNNNNN, where P is the patient and N the number: 1 is for
// a consultation in speciality 92, 2 for one in speciality 27, 3 for an examination. They are from
// e66e8056-… to 4cb4f1c8-…, unless Try states otherwise. The cells in Try are those of the eighth
// day, which do not begin before the data are outdated. The patients from the eighteenth on are
// those of Scenarios. Those who can book have ordinary names. The others are named after what
// hinders them.
var Patients = []Person{
	{
		"Орлов Алексей Петрович", Patient, bookable,
		"Both examples. Referral 4 is within e66e8056-…, where cell 83001 is refused by slot_beyond_horizon; " +
			"5 is to any institution, 6 from another legal entity than where it is held; 7 is completed, " +
			"8 expired: in cell 30801 it is refused by direction_expired; 9 is withdrawn.",
	},
	{
		"Пациент Уже записан", person(2), refused,
		"Referral 1 is booked: direction_already_booked. " +
			"Referral 4, of the same speciality, in cell 20815: speciality_already_booked.",
	},
	{
		"Соколов Виктор Андреевич", person(3), bookable,
		"Disabled. Referral 1 in cell 20804, for patients with disabilities.",
	},
	{"Белова Анна Сергеевна", person(4), bookable, "Pregnant. Referral 1 in cell 20805, for pregnant women."},
	{
		"Морозова Софья Дмитриевна", person(5), bookable,
		"Ten years old. Referral 1 in the cells 20802, for children, and 20806, for healthy children. " +
			"In cell 20801: slot_adults_only.",
	},
	{
		"Егоров Тимофей Кириллович", person(6), bookable,
		"Eight years old, with an open case of treatment. " +
			"Referral 1 in cell 20806: slot_healthy_children_only, with the opening day of the case.",
	},
	{
		"Лебедева Мария Ивановна", person(7), bookable,
		"Half a year old. Referral 1 in cell 20803, for children under one.",
	},
	{
		"Фёдоров Илья Максимович", person(8), bookable,
		"Seventeen years old. Referral 1 in cell 20801: slot_adults_only.",
	},
	{"Пациент С закрытой картой", person(9), refused, "Referral 1 in cell 20815: mkab_closed."},
	{
		"Пациент Без карты", person(10), refused,
		"Referrals 1 to 3 are from 1dadf64c-… to 12ab9992-…, which creates a card: 1 in cell 100801. " +
			"Referral 4, from e66e8056-… to 4cb4f1c8-…, in cell 20815: mkab_absent. " +
			"Referral 5, to de300000-0002-4000-8000-000000001005, in cell 120801: mkab_lpu_not_found. " +
			"Referral 6 is for a speciality without doctors.",
	},
	{"Пациент Без полиса в МИП", person(11), refused, noCard + "mkab_policy_number_empty."},
	{"Пациент Без пола в МИП", person(12), refused, noCard + "mkab_sex_empty."},
	{"Пациент Без фамилии в МИП", person(13), refused, noCard + "mkab_surname_empty."},
	{"Пациент Без имени в МИП", person(14), refused, noCard + "mkab_name_empty."},
	{"Пациент Без данных в МИП", person(15), refused, noCard + "mip_person_data_missing."},
	{"Пациент Не из МИП", person(16), refused, noCard + "mip_person_not_found."},
	{
		"Кузнецова Ольга Николаевна", person(17), bookable,
		"Referral 1 is booked, in a cell of three places. The institution has cancelled the visit of referral 3.",
	},
	{
		"Волков Павел Игоревич", person(refusedPatient), bookable,
		"Unbooked. For the scenarios in which a cell is refused.",
	},
	{
		"Зайцева Елена Викторовна", person(bookingPatient), bookable,
		"The scenarios book for this patient by the referrals 1 and 3.",
	},
	{
		"Новиков Дмитрий Олегович", person(movingPatient), bookable,
		"Referral 1 is booked. The scenarios move this visit.",
	},
	{"Пациент Без билета", person(21), failure, alwaysCard + "mip_auth_url_empty."},
	{"Пациент Без связи с выдачей билетов", person(22), failure, alwaysCard + "mip_auth_url_unreachable."},
	{"Пациент Без связи с МИП", person(23), failure, alwaysCard + "mip_unavailable."},
	{"Пациент Без связи полиса с картой", person(24), failure, alwaysCard + "mkab_policy_link_failed."},
	{"Пациент Не успел", person(25), race, alwaysWrite + "slot_taken, with the nearest free cells."},
	{"Пациент Не записан", person(26), failure, alwaysWrite + "appointment_not_created."},
	{"Пациент Не найден", person(27), failure, alwaysWrite + "appointment_not_found."},
	{"Пациент Не прикреплён", person(28), failure, alwaysWrite + "appointment_not_linked."},
	{
		"Пациент Удерживает две ячейки", person(holdingPatient), refused,
		"Holds two cells. Holding another one: too_many_holds. Referral 1 is booked, and the institution says " +
			"that the patient is there: cancelling it is refused by appointment_attended.",
	},
	{"Пациент Внутренняя ошибка", person(30), failure, always + "internal_error."},
	{"Пациент База недоступна", person(31), failure, always + "database_unavailable."},
	{"Пациент Ключи недоступны", person(32), failure, always + "keys_unavailable."},
	{"Пациент Перегрузка", person(33), failure, always + "overloaded."},
	{"Пациент Сервис не готов", person(34), failure, always + "not_ready, also by /health/ready."},
	{
		"Пациент Не узнан", person(unidentifiedPatient), refused,
		"GET /auth/cod/token with this personguid: patient_not_identified.",
	},
	{
		"Пациент Узнан слишком часто", person(throttledPatient), refused,
		"GET /auth/cod/token with this personguid: too_many_attempts.",
	},
	{"Пациент Без направлений", person(patientWithoutReferrals), refused, "Has no referrals."},
	{"Пациент Нетерпеливый", person(38), failure, always + "too_many_requests."},
}

const (
	noCard      = "Referrals from 1dadf64c-… to 12ab9992-…, which cannot create a card: 1 in cell 100801 is refused by "
	alwaysCard  = "Referrals from 1dadf64c-… to 12ab9992-…, where creating a card always fails with "
	alwaysWrite = "Every booking or move of this patient fails at the write with "
	always      = "Every request of this patient is refused by "
)

func person(number int) uuid.UUID { return numbered("0005", number) }

// numbered returns a guid of the demo data, in the form that demoFiles describes.
func numbered(kind string, number int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("de300000-%s-4000-8000-%012d", kind, number))
}
