package postgres

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// readFacts returns the facts of a booking.
func (w *world) readFacts(request booking.Request) *booking.Facts {
	w.t.Helper()
	store := w.store()
	facts, err := store.Facts(w.t.Context(), w.patient, request, moment)
	require.NoError(w.t, err)
	requireConnectionsReleased(w.t, store)
	return facts
}

// Promise: the facts equal the columns of the tables.
func TestFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sender, appointment := uuid.New(), uuid.New()
	w.exec(`UPDATE direction SET doc_prvd_sender_guid = $1, appointment_guid = $2, appointment_lpu_guid = $3, appointment_start_at = $4, appointment_end_at = $5`,
		sender, appointment, w.to, moment, moment.Add(time.Hour))
	zone, err := time.LoadLocation("Asia/Vladivostok")
	require.NoError(t, err)
	w.exec(`UPDATE mkab SET birth_date = '2001-08-22', disabled = true WHERE lpu_guid = $1`, w.from)
	// The referral belongs to the other card.
	w.exec(`UPDATE mkab SET birth_date = '1999-01-01', pregnant = true WHERE lpu_guid = $1`, w.to)
	w.exec(`UPDATE slot SET capacity = 5, taken = 2, blocked = true, restriction = 'infants', busy_type = 2, flag_access = 65 WHERE id = $1`, firstSlot)
	var entity uuid.UUID
	require.NoError(t, w.db.QueryRow(t.Context(), `SELECT guid FROM legal_entity`).Scan(&entity))
	facts := w.readFacts(w.request(1))
	require.Equal(t, "Europe/Moscow", facts.Direction.HolderZone.String())
	// A date is returned as midnight in UTC.
	require.Equal(t, &booking.IssuedDirection{
		Direction: booking.Direction{
			Guid: w.direction, Type: booking.Consult, Number: "N-1", AccessionNumber: "A-1",
			Date: time.Date(2019, 8, 13, 0, 0, 0, 0, time.UTC), DateEnd: time.Date(2019, 9, 12, 0, 0, 0, 0, time.UTC),
			CreatedAt: moment.In(facts.Direction.CreatedAt.Location()),
			Sender:    &sender, Reason: "причина", Comment: "комментарий", Urgent: true, Flags: 5, SpecialityCode: "92",
			SpecialityName: "Терапия",
			MkbCode:        "A01.1", MkbName: "Тиф", LpuFrom: w.from, LpuTo: &w.to,
		},
		Appointment: &booking.ExistingAppointment{
			Guid: appointment, Lpu: w.to, Start: moment.In(zone), End: moment.Add(time.Hour).In(zone),
		},
		Mkab: w.mkabFrom, Person: w.patient.Person, BirthDate: time.Date(2001, 8, 22, 0, 0, 0, 0, time.UTC),
		Disabled: true, Pregnant: false,
		HolderZone: facts.Direction.HolderZone, HolderLegalEntity: entity, FromLegalEntity: entity,
		ToLegalEntity: &entity,
	}, facts.Direction)
	require.Equal(t, &booking.Resource{
		Guid: w.doctor, Kind: booking.Doctor, Name: "Врач", SpecialityCode: "92", Active: true,
	}, facts.Resource)
	require.Len(t, facts.Slots, 1)
	require.True(t, facts.Slots[0].Start.Equal(w.firstStart))
	require.True(t, facts.Slots[0].End.Equal(w.firstStart.Add(15*time.Minute)))
	facts.Slots[0].Start, facts.Slots[0].End = time.Time{}, time.Time{}
	require.Equal(t, booking.Slot{
		Guid: w.slots[0], Capacity: 5, Taken: 2, Access: 65, Reception: false, Blocked: true,
		Restriction: booking.InfantsOnly,
	}, facts.Slots[0])
	require.Equal(t, &booking.Mkab{Guid: w.mkabTo}, facts.Mkab)
	require.Equal(t, "Asia/Vladivostok", facts.Target.Zone.String())
	facts.Target.Zone = nil
	require.Equal(t, &booking.Lpu{
		LegalEntity: entity, PolyclinicCodeIsOwn: false,
		Settings: booking.Settings{OneActivePerSpeciality: true, OnBooked: "keep"},
		Rights:   booking.Rights{SameLpu: 4, OtherLpu: 8, OutOfSchedule: true},
	}, facts.Target)
	require.Nil(t, facts.TapOpened)
	require.Empty(t, facts.Active)
	require.Equal(t, moment, facts.Now)
}

// Promise: absent facts are nil. No row of another institution, person or type replaces them.
func TestAbsentFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	request := w.request(1)
	request.Type = booking.Laboratory
	require.Nil(t, w.readFacts(request).Direction, "another type")
	request.Type = ""
	require.Nil(t, w.readFacts(request).Direction, "no type")
	request = w.request(1)
	request.LpuFrom = w.to
	require.Nil(t, w.readFacts(request).Direction, "another institution")
	w.exec(`INSERT INTO direction (lpu_guid, guid, copied_from_lpu_guid, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
		SELECT $1, guid, lpu_guid, type, number, date, date_end, created_at, $2, lpu_from_guid FROM direction`, w.to, w.mkabTo)
	require.Nil(t, w.readFacts(request).Direction, "a copy")
	request = w.request(1)
	request.LpuTo = w.from
	facts := w.readFacts(request)
	require.Empty(t, facts.Slots, "another institution")
	require.Nil(t, facts.Resource)
	require.Equal(t, &booking.Mkab{Guid: w.mkabFrom}, facts.Mkab)
	request.LpuTo = uuid.New()
	facts = w.readFacts(request)
	require.Nil(t, facts.Target)
	require.Nil(t, facts.Mkab)

	date, refusal := booking.ParseVisitDate("2019-08-21", moment)
	require.Nil(t, refusal)
	request = w.request(1)
	request.Place = booking.Place{OutOfSchedule: &booking.OutOfSchedule{Resource: w.doctor, Date: date}}
	facts = w.readFacts(request)
	require.Equal(t, &booking.Resource{
		Guid: w.doctor, Kind: booking.Doctor, Name: "Врач", SpecialityCode: "92", Active: true,
	}, facts.Resource)
	require.Empty(t, facts.Slots)
	w.exec(`UPDATE resource SET active = false, kind = 'room'`)
	require.Equal(t, &booking.Resource{Guid: w.doctor, Kind: booking.Room, Name: "Врач", SpecialityCode: "92"},
		w.readFacts(request).Resource)
	request.LpuTo = w.from
	require.Nil(t, w.readFacts(request).Resource, "another institution")

	w.exec(`DELETE FROM client_application`)
	require.Equal(t, booking.Rights{}, w.readFacts(w.request(1)).Target.Rights)
	w.patient.Person = uuid.New()
	require.Nil(t, w.readFacts(w.request(1)).Mkab, "another person")
}

// Promise: a cell is found by its id, or by its guid if no id is given. The cells that follow it
// are of its resource and adjacent, as many as requested, also among overlapping cells. Cells with
// a free place are preferred.
func TestFactsOfComplexSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	another := uuid.New()
	w.exec(`INSERT INTO resource VALUES ($1, $2, 'room', 'Кабинет', '92')`, w.to, another)
	w.addSlot(another, 201, w.firstStart.Add(45*time.Minute))
	w.addSlot(w.doctor, 202, w.firstStart.Add(-15*time.Minute))
	for i := range 3 {
		w.addSlot(w.doctor, 300+i, w.firstStart) // starts with the chosen cell
		w.addSlot(w.doctor, 310+i, w.firstStart.Add(5*time.Minute))
		full := w.addSlot(w.doctor, 320+i, w.firstStart.Add(30*time.Minute))
		w.exec(`UPDATE slot SET taken = capacity WHERE guid = $1`, full)
	}
	w.addSlot(w.doctor, 400, w.firstStart.Add(5*time.Hour))
	for difficulty, want := range map[int][]uuid.UUID{1: w.slots[:1], 2: w.slots[:2], 3: w.slots, 16: w.slots} {
		byID := w.request(difficulty)
		byGuid := w.request(difficulty)
		byGuid.Place = booking.Place{SlotGuid: w.slots[0]}
		both := w.request(difficulty)
		both.Place.SlotGuid = w.slots[2] // not read
		for _, request := range []booking.Request{byID, byGuid, both} {
			var got []uuid.UUID
			for _, slot := range w.readFacts(request).Slots {
				got = append(got, slot.Guid)
			}
			require.Equal(t, want, got, "%d cells", difficulty)
		}
	}
}

// Promise: the cells are returned in order of time, in whatever order they are stored and with any
// plan.
func TestFactsOfUnorderedCells(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 20 {
		w.addSlot(w.doctor, 400+i, w.firstStart.Add(time.Duration(5+i)*time.Hour))
	}
	for _, id := range []int{103, 102, 101} { // moves the rows to the end of the table, the chosen cell last
		w.exec(`UPDATE slot SET taken = taken, busy_type = CASE id WHEN 101 THEN 2 ELSE 1 END WHERE id = $1`, id)
	}
	store := w.store(runtimeParam("enable_indexscan", "off"), runtimeParam("enable_bitmapscan", "off"),
		runtimeParam("enable_hashjoin", "off"),
		runtimeParam("enable_nestloop", "off"))
	facts, err := store.Facts(t.Context(), w.patient, w.request(2), moment)
	require.NoError(t, err)
	require.Len(t, facts.Slots, 2)
	require.Equal(t, w.slots[0], facts.Slots[0].Guid)
	require.Equal(t, w.slots[1], facts.Slots[1].Guid)
	require.False(t, facts.Slots[0].Reception)
}

// Promise: the facts are one snapshot: a booking that commits while they are read is seen
// completely or not at all.
func TestFactsAreOneSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store(func(config *pgxpool.Config) { config.MaxConns = 1 })
	// Prepares the statements, which also takes locks.
	_, err := store.Facts(t.Context(), w.patient, w.request(1), moment)
	require.NoError(t, err)
	var facts *booking.Facts
	// The referral is read before the claims of the speciality, which are locked.
	err = w.whileBlocked(func() error {
		var err error
		facts, err = store.Facts(t.Context(), w.patient, w.request(1), moment)
		return err
	}, `LOCK TABLE speciality_claim`, func(tx pgx.Tx, _ int) {
		_, err := tx.Exec(t.Context(), `UPDATE direction SET appointment_guid = guid`)
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), `INSERT INTO speciality_claim SELECT person_guid, '92', gen_random_uuid(), lpu_guid, 'Врач', $1, $1 FROM mkab LIMIT 1`,
			moment.Add(time.Hour))
		require.NoError(t, err)
		require.NoError(t, tx.Commit(t.Context()))
	})
	require.NoError(t, err)
	require.Nil(t, facts.Direction.Appointment)
	require.Empty(t, facts.Active)
}

// Promise: the newest open case of treatment in the source and target institution counts. Closed
// cases, and those of other persons and institutions, do not.
func TestFactsOfTaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	otherLpu, stranger := uuid.New(), uuid.New()
	w.exec(`INSERT INTO lpu SELECT $1, legal_entity_guid, '3', 'Третья', time_zone FROM lpu WHERE code = '2'`, otherLpu)
	w.addMkab(otherLpu, w.mkabTo, w.patient.Person)
	w.addMkab(w.to, stranger, stranger)
	tap := func(lpu, mkab uuid.UUID, opened string, closed any) {
		w.exec(`INSERT INTO tap VALUES ($1, gen_random_uuid(), $2, $3::text::date, $4::text::date)`, lpu, mkab, opened, closed)
	}
	tap(otherLpu, w.mkabTo, "2019-08-19", nil)
	tap(w.to, stranger, "2019-08-19", nil)
	tap(w.to, w.mkabTo, "2019-08-19", "2019-08-19")
	require.Nil(t, w.readFacts(w.request(1)).TapOpened)
	for _, more := range []struct {
		lpu, mkab uuid.UUID
		opened    string
		newest    string
	}{
		{w.to, w.mkabTo, "2019-08-03", "2019-08-03"},
		{w.from, w.mkabFrom, "2019-08-02", "2019-08-03"},
		{w.from, w.mkabFrom, "2019-08-05", "2019-08-05"},
		{w.to, w.mkabTo, "2019-08-01", "2019-08-05"},
		{w.to, w.mkabTo, "2019-08-07", "2019-08-07"},
	} {
		tap(more.lpu, more.mkab, more.opened, nil)
		require.Equal(t, more.newest, w.readFacts(w.request(1)).TapOpened.Format(time.DateOnly))
	}
}

// Promise: an appointment is active until it ends, in any institution, and is returned in that
// institution's zone. Appointments of other persons are not read.
func TestFactsOfActiveAppointments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claim := func(person uuid.UUID, speciality string, lpu uuid.UUID, end time.Time) {
		w.exec(`INSERT INTO speciality_claim VALUES ($1, $2, gen_random_uuid(), $3, $6, $4, $5)`, person, speciality, lpu, end.Add(-time.Hour), end, "Врач "+speciality)
	}
	claim(w.patient.Person, "1", w.to, moment)
	claim(w.patient.Person, "2", w.to, moment.Add(time.Microsecond))
	claim(w.patient.Person, "3", w.from, moment.AddDate(0, 1, 0))
	claim(uuid.New(), "4", w.to, moment.AddDate(0, 1, 0))
	active := w.readFacts(w.request(1)).Active
	require.Len(t, active, 2)
	require.Equal(t, "2", active[0].SpecialityCode)
	require.Equal(t, "Врач 2", active[0].ResourceName)
	require.Equal(t, "20.08.2019 23:52", active[0].Start.Format("02.01.2006 15:04"))
	require.Equal(t, "3", active[1].SpecialityCode)
	require.Equal(t, "20.09.2019 16:52", active[1].Start.Format("02.01.2006 15:04"))
}

// Promise: of several cards the open one counts, otherwise the one that was closed last.
func TestFactsOfMkab(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, older := uuid.New(), uuid.New()
	w.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, moment, w.to)
	for guid, closed := range map[uuid.UUID]time.Time{old: moment.Add(time.Hour), older: moment.Add(-time.Hour)} {
		w.exec(`INSERT INTO mkab SELECT lpu_guid, $1, person_guid, surname, name, patronymic, birth_date, sex, snils, disabled, pregnant, created_at, $2
			FROM mkab WHERE guid = $3`, guid, closed, w.mkabTo)
	}
	require.Equal(t, &booking.Mkab{Guid: old, Closed: true}, w.readFacts(w.request(1)).Mkab)
	w.exec(`UPDATE mkab SET closed_at = NULL WHERE guid = $1`, older)
	require.Equal(t, &booking.Mkab{Guid: older}, w.readFacts(w.request(1)).Mkab)
}

// Promise: settings of the region and of the target institution apply, and those of other owners do
// not. A setting that is not set has its default.
func TestFactsOfSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	region := uuid.Nil
	set := func(owner uuid.UUID, code, value string) {
		clients := w.count(`SELECT count(*) FROM client_application WHERE guid = $1`, owner)
		w.exec(`INSERT INTO setting VALUES ($1, $2, $3, $4) ON CONFLICT (owner_guid, code) DO UPDATE SET value = excluded.value`,
			owner, code, value, clients > 0)
	}
	for _, s := range []struct {
		owner                                 uuid.UUID
		code, value                           string
		oneActive, createsMkab, polyclinicOwn bool
	}{
		{w.from, "2dr_RecordWithoutMkab", "true", true, false, false},
		{w.to, "2dr_RecordWithoutMkab", "false", true, false, false},
		{w.to, "2dr_RecordWithoutMkab", "true", true, true, false},
		{w.from, "PolyclinicCode", "2", true, true, false},
		{w.to, "PolyclinicCode", "1", true, true, false},
		{w.to, "PolyclinicCode", "none", true, true, false},
		{w.to, "PolyclinicCode", "2", true, true, true},
		{region, "OneActiveAppointmentPerSpeciality", "true", true, true, true},
		{region, "OneActiveAppointmentPerSpeciality", "false", false, true, true},
	} {
		set(s.owner, s.code, s.value)
		target := w.readFacts(w.request(1)).Target
		require.Equal(t, []bool{s.oneActive, s.createsMkab, s.polyclinicOwn},
			[]bool{target.OneActivePerSpeciality, target.CreatesMkab, target.PolyclinicCodeIsOwn}, "%+v", s)
	}

	another := uuid.New()
	w.exec(`INSERT INTO client_application VALUES ($1, 'Другое')`, another)
	require.Nil(t, w.readFacts(w.request(1)).Target.ScheduleDays)
	for _, s := range []struct {
		owner       uuid.UUID
		value, want string
	}{
		{w.from, "1", ""}, {another, "2", ""}, {region, "3", "3"}, {w.to, "4", "4"}, {region, "5", "4"},
		{w.patient.Client, "6", "6"}, {w.to, "7", "6"}, {another, "8", "6"},
	} {
		set(s.owner, "scheduleDays", s.value)
		got := ""
		if days := w.readFacts(w.request(1)).Target.ScheduleDays; days != nil {
			got = strconv.Itoa(*days)
		}
		require.Equal(t, s.want, got, "%+v", s)
	}
	require.False(t, w.readFacts(w.request(1)).Target.DirectionExpires)
	for _, s := range []struct {
		owner uuid.UUID
		value string
		want  bool
	}{
		{w.from, "true", false}, {region, "true", true}, {w.to, "false", false}, {region, "false", false},
		{w.to, "true", true},
	} {
		set(s.owner, "DirectionExpires", s.value)
		require.Equal(t, s.want, w.readFacts(w.request(1)).Target.DirectionExpires, "%+v", s)
	}
}

// Promise: each legal entity is that of its institution: the holder of the referral, its source and
// its target.
func TestFactsOfLegalEntities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	entities := map[string]uuid.UUID{}
	for _, code := range []string{"1", "2", "3"} {
		entities[code] = uuid.New()
		w.exec(`INSERT INTO legal_entity VALUES ($1, $2)`, entities[code], code)
	}
	third := uuid.New()
	w.exec(`INSERT INTO lpu VALUES ($1, $2, '3', 'Третья', 'Europe/Moscow')`, third, entities["3"])
	w.exec(`UPDATE lpu SET legal_entity_guid = CASE code WHEN '1' THEN $1::uuid WHEN '2' THEN $2::uuid ELSE legal_entity_guid END`, entities["1"], entities["2"])
	w.exec(`UPDATE direction SET lpu_from_guid = $1`, third)
	facts := w.readFacts(w.request(1))
	require.Equal(t, entities["1"], facts.Direction.HolderLegalEntity)
	require.Equal(t, entities["3"], facts.Direction.FromLegalEntity)
	require.Equal(t, entities["2"], *facts.Direction.ToLegalEntity)
	require.Equal(t, entities["2"], facts.Target.LegalEntity)
	require.Equal(t, third, facts.Direction.LpuFrom)
	w.exec(`UPDATE direction SET lpu_to_guid = NULL`)
	facts = w.readFacts(w.request(1))
	require.Nil(t, facts.Direction.LpuTo)
	require.Nil(t, facts.Direction.ToLegalEntity)
}
