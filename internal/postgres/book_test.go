package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/testdb"
)

// Promise: the copy of a referral equals the original, apart from the card of the target
// institution. The returned referral is the stored copy, in the zone of the target institution.
func TestCreateCopiesTheReferral(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sender := uuid.New()
	w.exec(`UPDATE direction SET doc_prvd_sender_guid = $1`, sender)
	a := w.appointment(2)
	held, err := w.store().Create(t.Context(), a)
	require.NoError(t, err)
	w.requireTrueCopy()
	require.Equal(t, 1, w.count(`SELECT count(*) FROM direction WHERE lpu_guid = $1 AND copied_from_lpu_guid = $2 AND mkab_guid = $3 AND id = $4`,
		w.to, w.from, w.mkabTo, held.ID))

	zone, err := time.LoadLocation("Asia/Vladivostok")
	require.NoError(t, err)
	require.Equal(t, &booking.HeldDirection{
		ID: held.ID, Mkab: w.mkabTo, LpuTo: w.to,
		Direction: booking.Direction{
			Guid: w.direction, Type: booking.Consult, Number: "N-1", AccessionNumber: "A-1",
			Date: time.Date(2019, 8, 13, 0, 0, 0, 0, zone), DateEnd: time.Date(2019, 9, 12, 0, 0, 0, 0, zone),
			CreatedAt: moment.In(zone),
			Sender:    &sender, Reason: "причина", Comment: "комментарий", Urgent: true, Flags: 5, SpecialityCode: "92",
			SpecialityName: "Терапия",
			MkbCode:        "A01.1", MkbName: "Тиф", LpuFrom: w.from, LpuTo: &w.to,
		},
		Appointment: booking.Appointment{
			Guid: a.Guid, Start: w.firstStart.In(zone), End: w.firstStart.Add(30 * time.Minute).In(zone),
			CreatedAt: moment.In(zone),
		},
	}, held)
}

// Promise: the dates of a referral are returned as that day's first moment, also where the clocks
// skip midnight.
func TestDaysOfTheReferral(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`UPDATE lpu SET time_zone = 'America/Sao_Paulo' WHERE guid = $1`, w.to)
	w.exec(`UPDATE direction SET date = '2018-11-04', date_end = '2018-12-04'`)
	held, err := w.store().Create(t.Context(), w.appointment(1))
	require.NoError(t, err)
	require.Equal(t, "2018-11-04T01:00:00-02:00", held.Direction.Date.Format(time.RFC3339))
	require.Equal(t, "2018-12-04T00:00:00-02:00", held.Direction.DateEnd.Format(time.RFC3339))
}

// cancelAll cancels every visit.
func (w *world) cancelAll() {
	w.t.Helper()
	w.exec(`UPDATE appointment SET cancelled_at = $1`, moment)
	w.exec(`UPDATE direction SET appointment_guid = NULL`)
	w.exec(`DELETE FROM speciality_claim`)
	w.exec(`UPDATE slot SET taken = 0`)
}

// Promise: a copy of an earlier booking is reused with its id. It is updated from the original, and
// has the card that is open now.
func TestCreateReusesTheCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.store().Create(t.Context(), w.appointment(1))
	require.NoError(t, err)
	w.cancelAll()
	w.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, moment, w.to)
	mkab := uuid.New()
	w.addMkab(w.to, mkab, w.patient.Person)
	w.exec(`UPDATE direction SET number = 'N-2', accession_number = 'A-2', date = '2019-08-14', date_end = '2019-09-13', created_at = $1, doc_prvd_sender_guid = $2,
		reason = 'другая', comment = 'другой', urgent = false, flags = 6, speciality_name = 'Т', mkb_code = 'B01', mkb_name = 'Другой' WHERE lpu_guid = $3`,
		moment.Add(time.Hour), uuid.New(), w.from)
	second, err := w.store().Create(t.Context(), w.appointment(1))
	require.NoError(t, err)
	require.Equal(t, first.ID, second.ID)
	require.Equal(t, mkab, second.Mkab)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM direction WHERE lpu_guid = $1 AND mkab_guid = $2`, w.to, mkab))
	require.Equal(t, "N-2", second.Direction.Number)
	require.NotEqual(t, first.Appointment.Guid, second.Appointment.Guid)
	require.Equal(t, 2, w.count(`SELECT count(*) FROM direction WHERE appointment_guid = $1`, second.Appointment.Guid), "the original and its copy")
	w.requireTrueCopy()
}

// requireTrueCopy requires that the original and its copy are equal, in present and future columns.
func (w *world) requireTrueCopy() {
	w.t.Helper()
	require.Equal(w.t, 2, w.count(`SELECT count(*) FROM direction`))
	require.Equal(w.t, 1, w.count(`SELECT count(DISTINCT to_jsonb(d) - ARRAY['lpu_guid', 'id', 'copied_from_lpu_guid', 'mkab_guid']) FROM direction d`))
}

// referWithin replaces the referral by one of the target institution.
func (w *world) referWithin() {
	w.t.Helper()
	w.exec(`DELETE FROM direction`)
	w.from = w.to
	w.addDirection(w.direction, w.mkabTo)
}

// Promise: within one institution only the appointment of the referral changes. The returned
// referral has the card and the institution of the visit.
func TestCreateWithinOneInstitution(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	source := w.from
	w.referWithin()
	w.exec(`UPDATE direction SET lpu_from_guid = $1, lpu_to_guid = $1`, source)
	w.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, moment, w.to)
	mkab := uuid.New()
	w.addMkab(w.to, mkab, w.patient.Person)
	w.exec(`UPDATE client_application SET visit_direction = 8`)
	const all = `SELECT (to_jsonb(d) - ARRAY['appointment_guid', 'appointment_lpu_guid', 'appointment_start_at', 'appointment_end_at'])::text FROM direction d`
	var before, after string
	require.NoError(t, w.db.QueryRow(t.Context(), all).Scan(&before))
	a := w.appointment(1)
	held, err := w.store().Create(t.Context(), a)
	require.NoError(t, err)
	require.NoError(t, w.db.QueryRow(t.Context(), all).Scan(&after))
	require.Equal(t, before, after)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM direction WHERE appointment_guid = $1`, a.Guid))
	require.Equal(t, mkab, held.Mkab)
	require.Equal(t, w.to, held.LpuTo)
}

// Promise: a booking overwrites neither an own referral of the target institution with the same
// guid nor a copy from another institution.
func TestCreateLeavesAnotherReferralAlone(t *testing.T) {
	t.Parallel()
	for name, copiedFrom := range map[string]string{"an original": `NULL::uuid`, "a copy of another": `@to`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.appointment(1)
			w.exec(`INSERT INTO direction (lpu_guid, guid, copied_from_lpu_guid, type, number, date, date_end, created_at, mkab_guid, lpu_from_guid)
				SELECT @to, guid, `+copiedFrom+`, type, 'чужое', date, date_end, created_at, $1, @to FROM direction`, w.mkabTo)
			before := w.countWritten()
			store := w.store()
			requireRefusal(t, create(t, store, a), booking.AppointmentNotCreated)
			requireConnectionsReleased(t, store)
			require.Equal(t, before, w.countWritten())
			require.Equal(t, 1, w.count(`SELECT count(*) FROM direction WHERE number = 'чужое'`))
		})
	}
}

// Promise: the stored appointment has the person, the client, the referral, the place, the times
// and the cells of the booking.
func TestCreateWritesTheAppointment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.appointment(2)
	require.NoError(t, create(t, w.store(), a))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM appointment WHERE lpu_guid = $1 AND guid = $2 AND direction_guid = $3 AND direction_lpu_guid = $4
		AND mkab_guid = $5 AND person_guid = $6 AND resource_guid = $7 AND client_guid = $8 AND start_at = $9 AND end_at = $10 AND NOT out_of_schedule
		AND is_cito AND comment = 'к врачу' AND created_at = $11 AND cancelled_at IS NULL`,
		w.to, a.Guid, w.direction, w.from, w.mkabTo, w.patient.Person, w.doctor, w.patient.Client,
		a.Start, a.End, moment))
	rows, err := w.db.Query(t.Context(), `SELECT s.guid FROM appointment a JOIN slot s ON s.lpu_guid = a.lpu_guid AND s.guid = ANY(a.slot_guids) AND s.taken = 1
		WHERE a.guid = $1`, a.Guid)
	require.NoError(t, err)
	taken, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(t, err)
	require.Equal(t, sortedGuids(w.slots[:2]), sortedGuids(taken))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM speciality_claim WHERE person_guid = $1 AND speciality_code = '92' AND appointment_guid = $2
		AND lpu_guid = $3 AND resource_name = 'Врач' AND start_at = $4 AND end_at = $5`, w.patient.Person, a.Guid, w.to, a.Start, a.End))
	require.Equal(t, 2, w.count(`SELECT sum(taken) FROM slot`))
}

// Promise: the write repeats every check. What has changed since is rejected by the rule that it
// breaks, and nothing of the booking is left.
func TestCreateGuardsTheFacts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change string
		rule   booking.Name
	}{
		"taken":                            {`UPDATE slot SET taken = capacity WHERE id = 101`, booking.SlotTaken},
		"taken, the second":                {`UPDATE slot SET taken = capacity WHERE id = 102`, booking.ComplexSlotFailed},
		"blocked":                          {`UPDATE slot SET blocked = true WHERE id = 101`, booking.SlotTaken},
		"blocked, the second":              {`UPDATE slot SET blocked = true WHERE id = 102`, booking.ComplexSlotFailed},
		"closed to the client":             {`UPDATE slot SET flag_access = 4 + 64 WHERE id = 101`, booking.SlotTaken},
		"closed to the client, the second": {`UPDATE slot SET flag_access = 4 + 64 WHERE id = 102`, booking.ComplexSlotFailed},
		"restricted":                       {`UPDATE slot SET restriction = 'pregnant' WHERE id = 101`, booking.SlotTaken},
		"restricted, the second":           {`UPDATE slot SET restriction = 'pregnant' WHERE id = 102`, booking.ComplexSlotFailed},
		"no reception":                     {`UPDATE slot SET busy_type = 2 WHERE id = 101`, booking.SlotTaken},
		"no reception, the second":         {`UPDATE slot SET busy_type = 2 WHERE id = 102`, booking.ComplexSlotFailed},
		"busy type changed":                {`UPDATE busy_type SET reception = false`, booking.SlotTaken},
		"another resource":                 {`UPDATE slot SET resource_guid = (SELECT guid FROM resource WHERE lpu_guid = @to AND kind = 'room') WHERE lpu_guid = @to AND id = 101`, booking.SlotTaken},
		"another resource, the second":     {`UPDATE slot SET resource_guid = (SELECT guid FROM resource WHERE lpu_guid = @to AND kind = 'room') WHERE lpu_guid = @to AND id = 102`, booking.ComplexSlotFailed},
		"moved in time":                    {`UPDATE slot SET start_at = '2019-08-21 05:44Z' WHERE id = 101`, booking.SlotTaken},
		"moved in time, the second":        {`UPDATE slot SET start_at = '2019-08-21 05:00Z' WHERE id = 102`, booking.ComplexSlotFailed},
		"starts later":                     {`UPDATE slot SET start_at = '2019-08-21 05:46Z' WHERE id = 101`, booking.SlotTaken},
		"ends later":                       {`UPDATE slot SET end_at = '2019-08-21 06:16Z' WHERE id = 102`, booking.ComplexSlotFailed},
		"ends earlier":                     {`UPDATE slot SET end_at = '2019-08-21 06:14Z' WHERE id = 102`, booking.SlotTaken},
		"has started":                      {`UPDATE slot SET start_at = '2019-08-20 14:52:13.999999Z' WHERE id = 101`, booking.SlotTaken},
		"deleted":                          {`DELETE FROM slot WHERE id = 101`, booking.SlotTaken},
		"deleted, the second":              {`DELETE FROM slot WHERE id = 102`, booking.ComplexSlotFailed},
		"all blocked":                      {`UPDATE slot SET blocked = true`, booking.SlotTaken},
		"the resource is inactive":         {`UPDATE resource SET active = false WHERE kind = 'doctor'`, booking.SlotResourceNotFound},
		"the card is closed":               {`UPDATE mkab SET closed_at = now() WHERE lpu_guid = @to`, booking.MkabClosed},
		"one place is free":                {`UPDATE slot SET capacity = 3, taken = 2`, ""},
		"one access bit remains":           {`UPDATE slot SET flag_access = 8`, ""},
		"the resource has another name":    {`UPDATE resource SET name = 'Другой'`, ""},
		"another card is closed":           {`UPDATE mkab SET closed_at = now() WHERE lpu_guid <> @to`, ""},
		"another cell is blocked":          {`UPDATE slot SET blocked = true WHERE id = 103`, ""},
		"another resource is inactive":     {`UPDATE resource SET active = false WHERE kind = 'room'`, ""},
		"the same restriction of all":      {`UPDATE slot SET restriction = 'none'`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(`INSERT INTO resource VALUES ($1, $2, 'room', 'Кабинет', '92')`, w.to, uuid.New())
			a := w.appointment(2)
			w.exec(c.change)
			before := w.countWritten()
			store := w.store()
			err := create(t, store, a)
			if c.rule == "" {
				require.NoError(t, err)
				return
			}
			requireRefusal(t, err, c.rule)
			requireConnectionsReleased(t, store)
			require.Equal(t, before, w.countWritten())
		})
	}
}

// Promise: the cells of a complex slot may have different restrictions if the patient meets each.
func TestCreateOfRestrictedCells(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`UPDATE mkab SET disabled = true`)
	w.exec(`UPDATE slot SET restriction = (ARRAY['none', 'adults', 'disabled']::slot_restriction[])[id - 100]`)
	require.NoError(t, create(t, w.store(), w.appointment(3)))
}

// Promise: the write checks every cell of a complex slot, also the ones in the middle.
func TestCreateGuardsTheMiddle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.appointment(3)
	w.exec(`UPDATE slot SET blocked = true WHERE id = 102`)
	requireRefusal(t, create(t, w.store(), a), booking.ComplexSlotFailed)
	require.Zero(t, w.countWritten())
}

// Promise: the write waits for a concurrent change, and rejects it like an earlier one.
func TestCreateWaitsForChanges(t *testing.T) {
	t.Parallel()
	for change, rule := range map[string]booking.Name{
		`UPDATE direction SET appointment_guid = guid`:    booking.DirectionAlreadyBooked,
		`UPDATE slot SET taken = capacity WHERE id = 101`: booking.SlotTaken,
		`UPDATE slot SET blocked = true WHERE id = 102`:   booking.ComplexSlotFailed,
		`UPDATE resource SET active = false`:              booking.SlotResourceNotFound,
		`UPDATE mkab SET closed_at = now()`:               booking.MkabClosed,
	} {
		t.Run(change, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, store := w.appointment(2), w.store()
			err := w.whileBlocked(func() error { return create(t, store, a) }, change, func(tx pgx.Tx, _ int) {
				require.NoError(t, tx.Commit(t.Context()))
			})
			requireRefusal(t, err, rule)
			requireConnectionsReleased(t, store)
			require.Zero(t, w.count(`SELECT count(*) FROM appointment`))
		})
	}
}

// Promise: a cell can be booked until the moment at which it starts.
func TestCreateAtTheLastMoment(t *testing.T) {
	t.Parallel()
	for start, rule := range map[time.Time]booking.Name{moment: "", moment.Add(-time.Microsecond): booking.SlotTaken} {
		w := newWorld(t)
		a := w.appointment(2)
		w.exec(`UPDATE slot SET start_at = $1 WHERE id = 101`, start)
		a.Start = start
		err := create(t, w.store(), a)
		if rule == "" {
			require.NoError(t, err)
		} else {
			requireRefusal(t, err, rule)
		}
	}
}

// Promise: a visit out of schedule requires no cell, but an active resource and an open card.
func TestCreateOutOfSchedule(t *testing.T) {
	t.Parallel()
	for change, rule := range map[string]booking.Name{
		``: "", `UPDATE slot SET taken = capacity`: "", `UPDATE resource SET active = false`: booking.SlotResourceNotFound,
		`UPDATE mkab SET closed_at = now()`: booking.MkabClosed,
	} {
		w := newWorld(t)
		a := w.appointment(1)
		a.Slots, a.End = nil, a.Start
		w.exec(change)
		before := w.countWritten()
		store := w.store()
		err := create(t, store, a)
		requireConnectionsReleased(t, store)
		if rule != "" {
			requireRefusal(t, err, rule)
			require.Equal(t, before, w.countWritten())
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 1, w.count(`SELECT count(*) FROM appointment WHERE out_of_schedule AND guid = $1 AND start_at = $2 AND end_at = $2`, a.Guid, a.Start))
		require.Zero(t, w.count(`SELECT cardinality(slot_guids) FROM appointment`))
	}
}

// Promise: the write compares all access bits, also the highest.
func TestCreateComparesAccessBits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.appointment(1)
	w.exec(`UPDATE slot SET flag_access = 64`)
	a.Access = 127
	require.NoError(t, create(t, w.store(), a))
}

// Promise: the write rejects a referral that was booked since, whatever else is free. Of several
// changes the first rule in the order rejects.
func TestCreateGuardsTheReferral(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.appointment(1)
	w.exec(`UPDATE direction SET appointment_guid = guid`)
	w.exec(`INSERT INTO speciality_claim VALUES ($1, '92', gen_random_uuid(), $2, 'Врач', $3, $4)`, w.patient.Person, w.to, a.Start, a.End)
	w.exec(`UPDATE slot SET blocked = true`)
	store := w.store()
	requireRefusal(t, create(t, store, a), booking.DirectionAlreadyBooked)
	w.exec(`UPDATE direction SET appointment_guid = NULL`)
	refusal := requireRefusal(t, create(t, store, a), booking.SpecialityAlreadyBooked)
	require.Equal(t, "Вы уже записаны Врач на 21.08.2019 15:45. Запрещено иметь более одной активной записи на прием на одну специальность.",
		refusal.Message, "in the zone of the institution that holds the visit")
	w.exec(`DELETE FROM speciality_claim`)
	requireRefusal(t, create(t, store, a), booking.SlotTaken)
	requireConnectionsReleased(t, store)
	require.Zero(t, w.countWritten())
}

// Promise: an active claim on the speciality rejects the booking, and an ended one is replaced.
// Where the setting is off no claim rejects, and the claim belongs to the visit that ends last. An
// examination neither requires nor writes a claim.
func TestCreateClaimsTheSpeciality(t *testing.T) {
	t.Parallel()
	visitEnd := time.Date(2019, 8, 21, 6, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		end      time.Time
		onlyOne  bool
		kind     booking.DirectionType
		rejected bool
		kept     bool
	}{
		"active":         {moment.Add(time.Microsecond), true, booking.Consult, true, true},
		"ended just now": {moment, true, booking.Consult, false, false},
		"the setting is off, the visit ends later": {
			visitEnd.Add(-time.Microsecond), false, booking.Consult, false, false,
		},
		"the setting is off, both end at the same time": {visitEnd, false, booking.Consult, false, true},
		"the setting is off, the visit ends earlier": {
			visitEnd.AddDate(0, 1, 0), false, booking.Consult, false, true,
		},
		"the setting is off, ended": {moment, false, booking.Consult, false, false},
		"an examination":            {visitEnd.AddDate(0, 1, 0), true, booking.Laboratory, false, true},
		"an examination, ended":     {moment, true, booking.Laboratory, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.appointment(1)
			a.OneActivePerSpeciality = c.onlyOne
			a.Request.Type, a.Direction.Type = c.kind, c.kind
			w.exec(`UPDATE direction SET type = $1::text::direction_type`, c.kind)
			other := uuid.New()
			w.exec(`INSERT INTO speciality_claim VALUES ($1, '92', $2, $3, 'Другой', $4, $5)`, w.patient.Person, other, w.from, moment.AddDate(0, -1, 0), c.end)
			err := create(t, w.store(), a)
			if c.rejected {
				requireRefusal(t, err, booking.SpecialityAlreadyBooked)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, 1, w.count(`SELECT count(*) FROM speciality_claim`))
			if c.kept {
				require.Equal(t, 1, w.count(`SELECT count(*) FROM speciality_claim WHERE appointment_guid = $1 AND lpu_guid = $2 AND resource_name = 'Другой'
					AND start_at = $3 AND end_at = $4`, other, w.from, moment.AddDate(0, -1, 0), c.end))
			} else {
				require.Equal(t, 1, w.count(`SELECT count(*) FROM speciality_claim WHERE appointment_guid = $1 AND lpu_guid = $2 AND resource_name = 'Врач'
					AND start_at = $3 AND end_at = $4`, a.Guid, w.to, a.Start, a.End))
			}
		})
	}
}

// Promise: a booking locks the referral, then the speciality, then the cells by their guid, in
// whatever order these are stored or requested. So bookings that overlap wait for each other and do
// not deadlock.
func TestCreateLocksInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reverseSlots()
	w.exec(`INSERT INTO speciality_claim VALUES ($1, '92', gen_random_uuid(), $2, 'Врач', $3, $3)`, w.patient.Person, w.from, moment)
	a := w.appointment(3)
	a.Slots[0], a.Slots[1] = a.Slots[1], a.Slots[0]
	for _, wait := range []struct {
		lock string
		free []string
	}{
		{`SELECT FROM direction WHERE lpu_guid = @from FOR UPDATE`, []string{"speciality", "cell 101", "cell 102", "cell 103"}},
		{`SELECT FROM speciality_claim WHERE person_guid = @person FOR UPDATE`, []string{"cell 101", "cell 102", "cell 103"}},
		{`SELECT FROM slot WHERE lpu_guid = @to AND id = 103 FOR UPDATE`, []string{"cell 101", "cell 102"}},
		{`SELECT FROM slot WHERE lpu_guid = @to AND id = 102 FOR UPDATE`, []string{"cell 101"}},
		{`SELECT FROM slot WHERE lpu_guid = @to AND id = 101 FOR UPDATE`, nil},
	} {
		for _, plan := range []string{"enable_nestloop", "enable_hashjoin"} { // with two plans
			ctx, cancel := context.WithCancel(t.Context())
			store := w.store(runtimeParam(plan, "off"))
			err := w.whileBlocked(func() error {
				_, err := store.Create(ctx, a)
				return err
			}, wait.lock, func(pgx.Tx, int) {
				require.Equal(t, wait.free, w.unlocked(), wait.lock)
				cancel()
			})
			w.requireAbandoned(store, err)
		}
	}
}

func person(guid uuid.UUID) *booking.Person {
	return &booking.Person{
		Guid: guid, Surname: "Иванова", Name: "Анна", Patronymic: "Петровна",
		BirthDate: time.Date(2010, 2, 28, 0, 0, 0, 0, time.UTC),
		Sex:       booking.Female, Snils: "123-456-789 00", PolicySeries: "AB", PolicyNumber: "1234567890123456",
	}
}

// Promise: a card is created from the data of the master patient index, with its policy. It
// identifies the patient from then on.
func TestCreateMkab(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, guid := w.store(), uuid.New()
	mkab, err := store.CreateMkab(t.Context(), w.to, person(guid), moment)
	require.NoError(t, err)
	require.False(t, mkab.Closed)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM mkab JOIN mkab_policy p ON p.lpu_guid = mkab.lpu_guid AND p.mkab_guid = mkab.guid
		WHERE mkab.lpu_guid = $1 AND mkab.guid = $2 AND person_guid = $3 AND surname = 'Иванова' AND name = 'Анна' AND patronymic = 'Петровна'
		AND birth_date = '2010-02-28' AND sex = 'female' AND snils = '123-456-789 00' AND NOT disabled AND NOT pregnant AND created_at = $4
		AND closed_at IS NULL AND series = 'AB' AND number = '1234567890123456'`, w.to, mkab.Guid, guid, moment))
	again, err := store.CreateMkab(t.Context(), w.to, person(guid), moment)
	require.NoError(t, err)
	require.Equal(t, mkab, again, "the existing card")
	require.Equal(t, 1, w.count(`SELECT count(*) FROM mkab_policy`))
	requireConnectionsReleased(t, store)

	testdb.RequireIndexed(t, w.db)
	for _, evidence := range []booking.Evidence{
		{Person: guid}, {Mkab: mkab.Guid},
		{Policy: &booking.Policy{Series: "AB", Number: "1234567890123456", BirthDate: person(guid).BirthDate}},
		{Snils: &booking.Snils{
			Digits: "12345678900", Names: booking.Names{Surname: "Иванова", Name: "Анна", Patronymic: "Петровна"},
		}},
	} {
		identified, err := store.Identify(t.Context(), w.patient.Client, evidence, moment)
		require.NoError(t, err)
		require.Equal(t, guid, identified)
	}
}

// Promise: concurrent bookings that create a person's card all get the same card.
func TestConcurrentCreateMkab(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const bookings = 8
	store, guid := w.store(), uuid.New()
	cards := make([]*booking.Mkab, bookings)
	errs := make([]error, bookings)
	var group sync.WaitGroup
	for i := range bookings {
		group.Go(func() { cards[i], errs[i] = store.CreateMkab(t.Context(), w.to, person(guid), moment) })
	}
	group.Wait()
	for i := range bookings {
		require.NoError(t, errs[i])
		require.Equal(t, cards[0], cards[i])
	}
	require.Equal(t, 1, w.count(`SELECT count(*) FROM mkab WHERE person_guid = $1`, guid))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM mkab_policy`))
	requireConnectionsReleased(t, store)
}

// Promise: a closed card does not prevent a new one. A card without a policy is not created.
func TestCreateMkabAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := w.store()
	w.exec(`UPDATE mkab SET closed_at = $1 WHERE lpu_guid = $2`, moment, w.to)
	who := person(w.patient.Person)
	who.PolicyNumber = ""
	_, err := store.CreateMkab(t.Context(), w.to, who, moment)
	requireSQLState(t, err, "23514")
	require.Zero(t, w.count(`SELECT count(*) FROM mkab WHERE lpu_guid = $1 AND closed_at IS NULL`, w.to))
	requireConnectionsReleased(t, store)
	who.PolicyNumber = "1"
	mkab, err := store.CreateMkab(t.Context(), w.to, who, moment)
	require.NoError(t, err)
	require.NotEqual(t, w.mkabTo, mkab.Guid)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM mkab WHERE lpu_guid = $1 AND closed_at IS NULL`, w.to))
	again, err := store.CreateMkab(t.Context(), w.to, who, moment)
	require.NoError(t, err)
	require.Equal(t, mkab, again, "the open card, not the closed one")
}

// Promise: a panic during a booking leaves nothing of it, and releases the connection.
func TestCreatePanics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, store := w.appointment(1), w.store()
	zone := a.Zone
	a.Zone = nil // a conversion to a nil zone panics
	require.Panics(t, func() { _, _ = store.Create(t.Context(), a) })
	requireConnectionsReleased(t, store)
	require.Zero(t, w.countWritten())
	a.Zone = zone
	require.NoError(t, create(t, store, a))
}
