package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
	"talon.example/internal/postgres"
	"talon.example/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

var (
	moscow        = zone("Europe/Moscow")
	yekaterinburg = zone("Asia/Yekaterinburg")
	noon          = time.Date(2026, 3, 10, 12, 0, 0, 0, moscow)
)

func zone(name string) *time.Location {
	location, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return location
}

func TestLoad(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	first := dump(t, pool)

	require.ErrorIs(t, Load(t.Context(), address(pool), noon.AddDate(0, 1, 0)), ErrLoaded)
	require.Equal(t, first, dump(t, pool))

	var temporary int
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM pg_class WHERE relpersistence = 't') +
			(SELECT count(*) FROM pg_proc WHERE proname LIKE 'demo%')`).Scan(&temporary))
	require.Zero(t, temporary, "temporary objects are dropped")
	testdb.RequireIndexed(t, pool)
}

func TestOneOfManyConcurrentLoadsSucceeds(t *testing.T) {
	t.Parallel()
	pool := open(t)
	results := make(chan error)
	const loads = 4
	for range loads {
		go func() { results <- Load(t.Context(), address(pool), noon) }()
	}
	var succeeded int
	for range loads {
		if err := <-results; err == nil {
			succeeded++
		} else {
			require.ErrorIs(t, err, ErrLoaded)
		}
	}
	require.Equal(t, 1, succeeded)
}

func TestReset(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Reset(t.Context(), address(pool), noon), "an empty database can be reset")
	first := dump(t, pool)

	book(t, pool, noon, Patient, FirstExample)
	book(t, pool, noon, Patient, secondExample("2026-03-10"))
	require.NotEqual(t, first, dump(t, pool))

	require.NoError(t, Reset(t.Context(), address(pool), noon))
	require.Equal(t, first, dump(t, pool))
}

// Promise: a load that did not end is repeated, and nobody can book before a load has ended.
func TestLoadThatDidNotEnd(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	complete := dump(t, pool)
	_, err := pool.Exec(t.Context(), `UPDATE client_application SET visit_direction = 0, visit_direction_other_lpu = 0`)
	require.NoError(t, err, "the rights are loaded last")
	require.NotEmpty(t, refusingRule(t, pool, noon, Patient, Client, FirstExample))
	state, err := Ensure(t.Context(), address(pool), noon)
	require.NoError(t, err)
	require.Equal(t, State{Renewed, true}, state)
	require.Equal(t, complete, dump(t, pool))
}

// Promise: a reset clears every table but those of the machinery, and the audit, whose records
// cannot be deleted.
func TestResetClearsEveryTable(t *testing.T) {
	t.Parallel()
	pool := open(t)
	rows, err := pool.Query(t.Context(), `
		SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'talon_schema_version' AND tablename <> 'webhook_deliverer' AND tablename !~ '^(event_([0-9]+|recorder)|audit_record.*)$'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, table := range tables {
		require.Contains(t, clearSQL, "DELETE FROM "+table+";")
	}
}

func TestForeignDataAreRejected(t *testing.T) {
	t.Parallel()
	foreign := uuid.New()
	for name, insert := range map[string]string{
		"an institution": `WITH entity AS (INSERT INTO legal_entity VALUES ($1, 'Юридическое лицо'))
			INSERT INTO lpu VALUES ($1, $1, 'чужая', 'Учреждение', 'Europe/Moscow')`,
		"a legal entity":       "INSERT INTO legal_entity VALUES ($1, 'Юридическое лицо')",
		"a client application": "INSERT INTO client_application VALUES ($1, 'Приложение')",
		"a person":             "INSERT INTO mip_person VALUES ($1)",
	} {
		for _, loaded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, demo data %t", name, loaded), func(t *testing.T) {
				t.Parallel()
				pool := open(t)
				if loaded {
					require.NoError(t, Load(t.Context(), address(pool), noon))
				}
				_, err := pool.Exec(t.Context(), insert, foreign)
				require.NoError(t, err)
				before := dump(t, pool)

				late := noon.AddDate(0, 1, 0)
				require.ErrorIs(t, Load(t.Context(), address(pool), late), ErrForeign)
				require.ErrorIs(t, Reset(t.Context(), address(pool), late), ErrForeign)
				_, err = Ensure(t.Context(), address(pool), late)
				require.ErrorIs(t, err, ErrForeign)
				require.ErrorContains(t, err, foreign.String())
				if loaded {
					_, err = Ensure(t.Context(), address(pool), noon)
					require.NoError(t, err, "Ensure has nothing to write")
				}
				require.Equal(t, before, dump(t, pool))
			})
		}
	}
}

// Promise: what was brought into the demo through the registry stays until a reset deletes it.
func TestResetDeletesWhatTheRegistryBroughtIn(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	before := dump(t, pool)
	_, err := pool.Exec(t.Context(), `WITH entity AS (INSERT INTO legal_entity VALUES ($1, 'Юридическое лицо'))
		INSERT INTO source_object VALUES ($1, 'legal_entity', $1, 1, sha256(''), false)`, uuid.New())
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, created_at)
		VALUES ($1, gen_random_uuid(), gen_random_uuid(), 'Новая', 'Пациентка', '1990-01-01', 'female', $2)`, exampleTarget, noon)
	require.NoError(t, err)
	brought := dump(t, pool)
	state, err := Ensure(t.Context(), address(pool), noon)
	require.NoError(t, err)
	require.Equal(t, Kept, state.Action)
	require.Equal(t, brought, dump(t, pool))
	require.NoError(t, Reset(t.Context(), address(pool), noon))
	require.Equal(t, before, dump(t, pool))
}

func TestEnsure(t *testing.T) {
	t.Parallel()
	pool := open(t)
	ensure := func(now time.Time) State {
		t.Helper()
		state, err := Ensure(t.Context(), address(pool), now)
		require.NoError(t, err)
		return state
	}
	visit := time.Date(2026, 3, 17, 8, 45, 0, 0, moscow)

	require.Equal(t, State{Loaded, true}, ensure(noon))
	first := dump(t, pool)
	require.Equal(t, State{Kept, true}, ensure(noon))
	require.Equal(t, State{Kept, true}, ensure(visit))
	require.Equal(t, first, dump(t, pool))

	book(t, pool, noon, Patient, FirstExample)
	booked := dump(t, pool)
	require.Equal(t, State{Kept, false}, ensure(noon))
	require.Equal(t, booked, dump(t, pool))

	removed := person(patientWithoutReferrals)
	_, err := pool.Exec(t.Context(), `
		DELETE FROM mkab_policy WHERE mkab_guid IN (SELECT guid FROM mkab WHERE person_guid = $1)`, removed)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `DELETE FROM mkab WHERE person_guid = $1`, removed)
	require.NoError(t, err)
	require.Equal(t, State{Renewed, true}, ensure(noon), "an earlier version had fewer patients")
	require.Equal(t, first, dump(t, pool))

	book(t, pool, noon, Patient, FirstExample)
	require.Equal(t, State{Renewed, true}, ensure(visit.Add(time.Microsecond)))
	require.NotEqual(t, booked, dump(t, pool))
	book(t, pool, visit, Patient, FirstExample)
}

func TestFirstExampleIsNotFreeAfterAnotherBooking(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]struct {
		patient uuid.UUID
		body    string
	}{
		"its speciality":  {Patient, inCell(1, 1, 20815)},
		"its cell":        {person(3), inCell(3, 1, FirstExampleSlotID)},
		"its second cell": {person(3), inCell(3, 1, 10705)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := open(t)
			require.NoError(t, Load(t.Context(), address(pool), noon))
			book(t, pool, noon, other.patient, other.body)
			state, err := Ensure(t.Context(), address(pool), noon)
			require.NoError(t, err)
			require.Equal(t, State{Kept, false}, state)
			require.NotEmpty(t, refusingRule(t, pool, noon, Patient, Client, FirstExample))
		})
	}
}

func TestFirstExampleIsNotFreeIfAnotherPatientHoldsItsCell(t *testing.T) {
	t.Parallel()
	for patient, free := range map[int]bool{1: true, 3: false} {
		pool := open(t)
		require.NoError(t, Load(t.Context(), address(pool), noon))
		require.NoError(t, hold(t.Context(), pool, noon, patient, FirstExampleSlotID))
		state, err := Ensure(t.Context(), address(pool), noon)
		require.NoError(t, err)
		require.Equal(t, State{Kept, free}, state)
		require.Equal(t, free, refusingRule(t, pool, noon, Patient, Client, FirstExample) == "")
	}
}

// hold holds a cell for a minute, by the patient's first referral.
func hold(ctx context.Context, pool *pgxpool.Pool, now time.Time, patient int, cell int64) error {
	request := booking.HoldRequest{Length: time.Minute, Request: booking.Request{
		Direction: numbered("0007", patient*100000000+1),
		Type:      booking.Consult,
		LpuFrom:   exampleSource,
		LpuTo:     exampleTarget,
		Place:     booking.Place{SlotGuid: numbered("0009", int(cell))},
	}}
	_, err := newService(pool, now).Hold(ctx, booking.Patient{Person: person(patient), Client: Client}, request)
	return err
}

func TestEnsureReturnsWithinItsContext(t *testing.T) {
	t.Parallel()
	pool := open(t)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context()))) }()
	_, err = tx.Exec(t.Context(), "LOCK TABLE lpu")
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = Ensure(ctx, address(pool), noon)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// Promise: the demo data are consistent and bookable whenever they are loaded, also at the times at
// which date calculations often fail.
func TestLoadedAtAnyTime(t *testing.T) {
	t.Parallel()
	for name, now := range map[string]time.Time{
		"at noon":                                    noon,
		"in the last minute of Moscow's day":         time.Date(2026, 5, 20, 23, 59, 0, 0, moscow),
		"in the last second of Moscow's day":         time.Date(2026, 5, 20, 23, 59, 59, 999_999_999, moscow),
		"at Moscow's midnight":                       time.Date(2026, 5, 21, 0, 0, 0, 0, moscow),
		"in the last second of Yekaterinburg's day":  time.Date(2026, 5, 20, 23, 59, 59, 999_999_999, yekaterinburg),
		"at Yekaterinburg's midnight":                time.Date(2026, 5, 21, 0, 0, 0, 0, yekaterinburg),
		"between the two midnights":                  time.Date(2026, 5, 21, 1, 0, 0, 0, yekaterinburg),
		"at 23:59 of UTC's day":                      time.Date(2026, 5, 20, 23, 59, 0, 0, time.UTC),
		"on the last evening of the year":            time.Date(2026, 12, 31, 23, 30, 0, 0, moscow),
		"with the first example in the next year":    time.Date(2026, 12, 25, 9, 0, 0, 0, moscow),
		"on a leap day":                              time.Date(2028, 2, 29, 12, 0, 0, 0, moscow),
		"with the first example on a leap day":       time.Date(2028, 2, 22, 12, 0, 0, 0, moscow),
		"half a year after a leap day":               time.Date(2028, 8, 29, 12, 0, 0, 0, moscow),
		"at the end of a month with birthdays in 30": time.Date(2027, 8, 31, 12, 0, 0, 0, moscow),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := open(t)
			require.NoError(t, Load(t.Context(), address(pool), now))
			requireInvariants(t, pool, now)
			requireFortnight(t, pool, now)
			requireFirstExample(t, pool, now)
			requireSecondExample(t, pool, now)
			requireTries(t, pool, now)
			requireInvariants(t, pool, now)
		})
	}
}

func TestPatientsCanBeTriedUntilTheDataAreOutdated(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	last := time.Date(2026, 3, 17, 8, 45, 0, 0, moscow)
	requireFirstExample(t, pool, noon)
	requireTries(t, pool, last)
	requireInvariants(t, pool, last)
}

func requireFirstExample(t *testing.T, pool *pgxpool.Pool, now time.Time) {
	t.Helper()
	held := book(t, pool, now, Patient, FirstExample)
	y, m, d := now.In(moscow).Date()
	day := func(days, hour, minute int) string {
		return time.Date(y, m, d+days, hour, minute, 0, 0, moscow).Format(time.RFC3339)
	}
	require.Equal(t, FirstExampleDirectionID, held.ID)
	require.Equal(t, exampleDirection, held.Direction.Guid)
	require.Equal(t, "47010157096", held.Direction.Number)
	require.Equal(t, "183209fc-1277-4896-aa7f-72dfcd8f03b1", held.Mkab.String())
	require.Equal(t, exampleSource, held.Direction.LpuFrom)
	require.Equal(t, exampleTarget, held.LpuTo)
	require.Nil(t, held.Direction.Sender)
	require.Equal(t, []string{"", "92", "", "A01.1", "A"}, []string{
		held.Direction.Reason, held.Direction.SpecialityCode, held.Direction.SpecialityName,
		held.Direction.MkbCode, held.Direction.MkbName,
	})
	require.Equal(t, day(-1, 0, 0), held.Direction.Date.Format(time.RFC3339))
	require.Equal(t, day(7, 8, 45), held.Appointment.Start.Format(time.RFC3339))
	require.Equal(t, day(7, 9, 15), held.Appointment.End.Format(time.RFC3339))
	require.True(t, strings.HasSuffix(held.Appointment.Start.Format(time.RFC3339), "T08:45:00+03:00"))

	require.Equal(t, booking.DirectionAlreadyBooked, refusingRule(t, pool, now, Patient, Client, FirstExample))
}

func requireSecondExample(t *testing.T, pool *pgxpool.Pool, now time.Time) {
	t.Helper()
	require.Equal(t, booking.SlotTimePassed, refusingRule(t, pool, now, Patient, Client, SecondExample))
	today := now.In(yekaterinburg).Format(time.DateOnly)
	held := book(t, pool, now, Patient, secondExample(today))
	require.Greater(t, held.ID, FirstExampleDirectionID)
	require.Equal(t, today+"T00:00:00+05:00", held.Appointment.Start.Format(time.RFC3339))
}

// attempt is a booking of a cell by a referral. rule is the rule that refuses it, or empty if it
// succeeds.
type attempt struct {
	referral int
	slot     int64
	rule     booking.Name
}

// tries are the attempts of each patient that Patients documents, and some of the comments of
// after.sql. They run after both examples.
var tries = map[int][]attempt{
	1: {
		{1, 20815, booking.SpecialityAlreadyBooked},
		{2, 20815, booking.SpecialityMismatch},
		{1, 50801, booking.ResourceKindMismatch},
		{4, 83001, booking.SlotBeyondHorizon},
		{8, 30801, booking.DirectionExpired},
		{4, 80801, ""},
		{5, 110801, ""},
		{6, 20815, booking.DirectionLpuMismatch},
		{3, 50801, ""},
	},
	2: {{1, 20815, booking.DirectionAlreadyBooked}, {4, 20815, booking.SpecialityAlreadyBooked}},
	3: {
		{1, 20000, booking.SlotTimePassed},
		{1, 20802, booking.SlotChildrenOnly},
		{1, 20803, booking.SlotInfantsOnly},
		{1, 20805, booking.SlotPregnantOnly},
		{1, 20806, booking.SlotChildrenOnly},
		{1, 20807, booking.SlotUnavailable},
		{1, 20808, booking.SlotUnavailable},
		{1, 20809, booking.SlotNotForReception},
		{1, 20811, booking.SlotAccessDenied},
		{1, 20914, booking.SlotFull},
		{1, 20899, booking.SlotNotFound},
		{1, 60801, booking.SlotResourceNotFound},
		{1, 20804, ""},
	},
	4: {{1, 20804, booking.SlotDisabledOnly}, {1, 20805, ""}},
	5: {{1, 20801, booking.SlotAdultsOnly}, {1, 20806, ""}, {4, 130801, ""}},
	6: {{1, 20806, booking.SlotHealthyChildrenOnly}, {4, 140801, booking.SlotHealthyChildrenOnly}, {1, 20802, ""}},
	7: {{4, 140801, ""}, {1, 20803, ""}},
	8: {{1, 20801, booking.SlotAdultsOnly}, {1, 20803, booking.SlotInfantsOnly}, {4, 130802, ""}},
	9: {{1, 20815, booking.MkabClosed}},
	10: {
		{4, 20815, booking.MkabAbsent},
		{5, 120801, booking.MkabLpuNotFound},
		{1, 100802, ""},
		{2, 110802, ""},
	},
	11: {{1, 100801, booking.MkabPolicyNumberEmpty}},
	12: {{1, 100801, booking.MkabSexEmpty}},
	13: {{1, 100801, booking.MkabSurnameEmpty}},
	14: {{1, 100801, booking.MkabNameEmpty}},
	15: {{1, 100801, booking.MipPersonDataMissing}},
	16: {{1, 100801, booking.MipPersonNotFound}},
}

// inCell returns the body of a request to book a cell by a numbered referral of the patient.
func inCell(patient, referral int, slot int64) string {
	return bookingBody(patient, referral, slot, nil)
}

// requireTries runs all tries. The refused ones run first, because the others take cells.
func requireTries(t *testing.T, pool *pgxpool.Pool, now time.Time) {
	t.Helper()
	for _, books := range []bool{false, true} {
		for patient, attempts := range tries {
			for _, a := range attempts {
				if books != (a.rule == "") {
					continue
				}
				got := refusingRule(t, pool, now, person(patient), Client, inCell(patient, a.referral, a.slot))
				require.Equal(t, a.rule, got, "patient %d, referral %d, cell %d", patient, a.referral, a.slot)
			}
		}
	}
}

func TestClientsBookTheCellsOfTheirRights(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	// The patient's card is closed: a client with the right gets that refusal, which is checked
	// after the rights.
	const denied, permitted = booking.SlotAccessDenied, booking.MkabClosed
	for _, c := range []struct {
		name                                 string
		number                               int
		registry, doctor, web, outOfSchedule booking.Name // the expected rules
	}{
		{"portal", 1, denied, denied, permitted, denied},
		{"call centre", 2, denied, denied, denied, denied},
		{"kiosk", 3, denied, denied, denied, denied},
		{"МИС", 4, permitted, permitted, denied, permitted},
		{"one registry", 5, permitted, denied, permitted, permitted},
	} {
		outOfSchedule := fmt.Sprintf(`{"DirectionGuid": %q, "DirectionType": "Consult",
			"LpuFromGuid": %q, "LpuToGuid": %q, "DocPrvdGuid": %q, "Date": "2026-03-11", "OutOfSchedule": true}`,
			numbered("0007", 9_0000_0001), exampleSource, exampleTarget, numbered("0004", 1))
		for body, want := range map[string]booking.Name{
			inCell(9, 1, 20810): c.registry,
			inCell(9, 1, 20811): c.doctor,
			inCell(9, 1, 20812): c.web,
			outOfSchedule:       c.outOfSchedule,
		} {
			rule := refusingRule(t, pool, noon, person(9), numbered("0003", c.number), body)
			require.Equal(t, want, rule, "%s: %s", c.name, body)
		}
	}
}

// Promise: the call centre can book at most a fortnight ahead; other clients have no such limit in
// Б.
func TestHorizonOfTheCallCentre(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	callCentre := numbered("0003", 2)
	require.Equal(t, booking.SlotBeyondHorizon, refusingRule(t, pool, noon, person(3), callCentre, inCell(3, 1, 23001)))
	require.Empty(t, refusingRule(t, pool, noon, person(3), Client, inCell(3, 1, 23001)))
}

// requireInvariants checks the invariants of the domain. Each query returns the rows that violate
// one.
func requireInvariants(t *testing.T, pool *pgxpool.Pool, now time.Time) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	testdb.CopyTables(t, tx, "slot", "appointment", "speciality_claim", "resource", "direction", "mkab", "mkab_policy")
	for invariant, query := range map[string]string{
		"a cell's counter is the number of its active appointments": `
			SELECT s.id::text
			FROM slot s
			LEFT JOIN appointment a ON a.lpu_guid = s.lpu_guid AND s.guid = ANY(a.slot_guids) AND a.cancelled_at IS NULL
			GROUP BY s.lpu_guid, s.guid, s.id, s.taken
			HAVING s.taken <> count(a.guid)`,
		"an active appointment begins and ends with its cells": `
			SELECT a.guid::text
			FROM appointment a
			LEFT JOIN slot s ON s.lpu_guid = a.lpu_guid AND s.guid = ANY(a.slot_guids) AND s.resource_guid = a.resource_guid
			WHERE a.cancelled_at IS NULL AND NOT a.out_of_schedule
			GROUP BY a.lpu_guid, a.guid, a.start_at, a.end_at
			HAVING (min(s.start_at), max(s.end_at)) IS DISTINCT FROM (a.start_at, a.end_at)`,
		"a claim belongs to an active consultation": `
			SELECT c.appointment_guid::text
			FROM speciality_claim c
			LEFT JOIN appointment a ON a.lpu_guid = c.lpu_guid AND a.guid = c.appointment_guid AND a.cancelled_at IS NULL
			LEFT JOIN resource r ON r.lpu_guid = a.lpu_guid AND r.guid = a.resource_guid
			WHERE (c.person_guid, c.speciality_code, c.resource_name, c.start_at, c.end_at)
				IS DISTINCT FROM (a.person_guid, r.speciality_code, r.name, a.start_at, a.end_at)`,
		"an active consultation has its claim": `
			SELECT a.guid::text
			FROM appointment a
			JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid AND d.type = 'Consult'
			WHERE a.cancelled_at IS NULL AND NOT EXISTS (SELECT FROM speciality_claim c WHERE c.appointment_guid = a.guid)`,
		"a referral and its copies refer to the same active appointment, which refers to them": `
			SELECT d.guid::text
			FROM direction d
			LEFT JOIN appointment a ON a.guid = d.appointment_guid AND a.cancelled_at IS NULL AND a.direction_guid = d.guid
			LEFT JOIN direction original ON original.lpu_guid = d.copied_from_lpu_guid AND original.guid = d.guid
			WHERE (d.appointment_guid IS NOT NULL AND a.guid IS NULL)
				OR (d.copied_from_lpu_guid IS NOT NULL AND original.appointment_guid IS DISTINCT FROM d.appointment_guid)`,
		"the referral of an active appointment refers to it": `
			SELECT a.guid::text
			FROM appointment a
			WHERE a.cancelled_at IS NULL
				AND NOT EXISTS (
					SELECT FROM direction d
					WHERE d.lpu_guid = a.direction_lpu_guid AND d.guid = a.direction_guid AND d.appointment_guid = a.guid
				)`,
		"a copy has the data of its original": `
			SELECT c.guid::text
			FROM direction c
			JOIN direction o ON o.lpu_guid = c.copied_from_lpu_guid AND o.guid = c.guid
			WHERE to_jsonb(c) - '{lpu_guid,id,copied_from_lpu_guid,mkab_guid,lpu_to_guid}'::text[]
				<> to_jsonb(o) - '{lpu_guid,id,copied_from_lpu_guid,mkab_guid,lpu_to_guid}'::text[]`,
		"a card belongs to a person of the demo": `
			SELECT guid::text FROM mkab WHERE person_guid::text NOT LIKE 'de300000-0005-4000-8000-0000000000__'`,
		"a person has the same data in every card": `
			SELECT person_guid::text FROM mkab GROUP BY person_guid
			HAVING count(DISTINCT (surname, name, patronymic, birth_date, sex, snils)) > 1`,
		"a card has its policy": `
			SELECT m.guid::text
			FROM mkab m
			WHERE NOT EXISTS (SELECT FROM mkab_policy p WHERE p.lpu_guid = m.lpu_guid AND p.mkab_guid = m.guid)`,
		"the card of an appointment is the person's": `
			SELECT a.guid::text
			FROM appointment a
			JOIN mkab m ON m.lpu_guid = a.lpu_guid AND m.guid = a.mkab_guid
			WHERE m.person_guid <> a.person_guid`,
		"cells of a resource do not overlap": `
			SELECT s.id::text
			FROM slot s
			JOIN slot o ON o.lpu_guid = s.lpu_guid AND o.resource_guid = s.resource_guid AND o.guid <> s.guid
				AND o.start_at < s.end_at AND o.end_at > s.start_at`,
		"a cell's guid contains its id": `
			SELECT id::text FROM slot WHERE guid::text <> 'de300000-0009-4000-8000-' || lpad(id::text, 12, '0')`,
		"events are in order and not in the future": `
			SELECT a.guid::text
			FROM appointment a
			JOIN direction d ON d.lpu_guid = a.lpu_guid AND d.guid = a.direction_guid
			JOIN mkab m ON m.lpu_guid = a.lpu_guid AND m.guid = a.mkab_guid
			WHERE a.created_at > a.end_at OR a.cancelled_at < a.created_at
				OR a.created_at < d.created_at OR a.created_at < m.created_at
				OR greatest(a.created_at, a.cancelled_at, d.created_at, m.created_at, m.closed_at) > @now`,
	} {
		rows, err := tx.Query(t.Context(), query, pgx.NamedArgs{"now": now})
		require.NoError(t, err, invariant)
		violations, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err, invariant)
		require.Empty(t, violations, invariant)
	}
}

// requireFortnight checks the times of all cells in the zones of their institutions.
func requireFortnight(t *testing.T, pool *pgxpool.Pool, now time.Time) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT s.id, s.start_at, s.end_at, l.time_zone
		FROM slot s
		JOIN lpu l ON l.guid = s.lpu_guid`)
	require.NoError(t, err)
	var (
		id         int64
		start, end time.Time
		zoneName   string
		count      int
	)
	zones := map[string]*time.Location{"Europe/Moscow": moscow, "Asia/Yekaterinburg": yekaterinburg}
	_, err = pgx.ForEachRow(rows, []any{&id, &start, &end, &zoneName}, func() error {
		count++
		y, m, d := now.In(zones[zoneName]).Date()
		day := (id / 100) % 100
		switch id {
		case FirstExampleSlotID:
			day = 7
		case 20000:
			day = -1
		}
		local := start.In(zones[zoneName])
		today := time.Date(y, m, d+int(day), 0, 0, 0, 0, zones[zoneName])
		opens := today.Add(8 * time.Hour)
		closes := today.Add(18 * time.Hour)
		if day > 13 && day != 30 || local.Before(opens) || end.After(closes) || end.Sub(start) != 15*time.Minute {
			return fmt.Errorf("cell %d is at %s", id, local)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 16*14*16+3, count)
}

func TestPatients(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	seen := map[uuid.UUID]bool{}
	for _, patient := range Patients {
		require.False(t, seen[patient.Guid], patient.Name)
		seen[patient.Guid] = true
		require.NotEmpty(t, patient.Name)
		require.NotEmpty(t, patient.Try)
		var unbooked int
		require.NoError(t, pool.QueryRow(t.Context(), `
			SELECT count(*)
			FROM direction d
			JOIN mkab m ON m.lpu_guid = d.lpu_guid AND m.guid = d.mkab_guid
			WHERE m.person_guid = $1 AND d.copied_from_lpu_guid IS NULL AND d.appointment_guid IS NULL`,
			patient.Guid).Scan(&unbooked))
		if patient.Guid == person(patientWithoutReferrals) {
			require.Zero(t, unbooked)
			continue
		}
		require.GreaterOrEqual(t, unbooked, 2, patient.Name)
	}
}

// open returns a pool for a new database, and closes it when the test ends.
func open(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testdb.New(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// address returns the URL of the database of a pool.
func address(pool *pgxpool.Pool) string { return pool.Config().ConnString() }

// newService returns the service with the real rules and the real store, at a fixed time.
func newService(pool *pgxpool.Pool, now time.Time) *booking.Service {
	return booking.NewService(postgres.NewStore(pool, 0).Ports(), func() time.Time { return now })
}

// book makes a booking that must succeed.
func book(t *testing.T, pool *pgxpool.Pool, now time.Time, patient uuid.UUID, body string) *booking.HeldDirection {
	t.Helper()
	held, err := tryBook(t.Context(), pool, now, patient, Client, body)
	require.NoError(t, err)
	return held
}

// refusingRule makes a booking and returns the rule that refuses it, or an empty name if it
// succeeds.
func refusingRule(
	t *testing.T, pool *pgxpool.Pool, now time.Time, patient, client uuid.UUID, body string,
) booking.Name {
	t.Helper()
	_, err := tryBook(t.Context(), pool, now, patient, client, body)
	if err == nil {
		return ""
	}
	var refusal *booking.Refusal
	require.ErrorAs(t, err, &refusal)
	return refusal.Rule
}

// tryBook makes the booking of a JSON body.
func tryBook(
	ctx context.Context, pool *pgxpool.Pool, now time.Time, patient, client uuid.UUID, body string,
) (*booking.HeldDirection, error) {
	var fields struct {
		DirectionGuid uuid.UUID `json:"DirectionGuid"`
		DirectionType string    `json:"DirectionType"`
		LpuFromGuid   uuid.UUID `json:"LpuFromGuid"`
		LpuToGuid     uuid.UUID `json:"LpuToGuid"`
		SlotID        int64     `json:"SlotId"`
		Difficulty    int       `json:"Difficulty"`
		IsCito        bool      `json:"IsCito"`
		OutOfSchedule bool      `json:"OutOfSchedule"`
		DocPrvdGuid   uuid.UUID `json:"DocPrvdGuid"`
		Date          string    `json:"Date"`
	}
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		return nil, err
	}
	request := booking.Request{
		Direction:  fields.DirectionGuid,
		Type:       booking.ParseDirectionType(fields.DirectionType),
		LpuFrom:    fields.LpuFromGuid,
		LpuTo:      fields.LpuToGuid,
		Place:      booking.Place{SlotID: fields.SlotID},
		Difficulty: max(fields.Difficulty, 1),
		IsCito:     fields.IsCito,
	}
	if fields.OutOfSchedule {
		date, refusal := booking.ParseVisitDate(fields.Date, now)
		if refusal != nil {
			return nil, refusal
		}
		request.Place = booking.Place{OutOfSchedule: &booking.OutOfSchedule{Resource: fields.DocPrvdGuid, Date: date}}
	}
	held, _, err := newService(pool, now).Book(ctx, booking.Patient{Person: patient, Client: client}, request, nil)
	return held, err
}

// secondExample returns the source's second example with another date.
func secondExample(date string) string {
	return strings.Replace(SecondExample, "2023-10-21", date, 1)
}

// dump returns the rows of every table but those of events as text, for comparison.
func dump(t *testing.T, pool *pgxpool.Pool) map[string]string {
	t.Helper()
	rows, err := pool.Query(t.Context(), "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'event%'")
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	all := map[string]string{}
	for _, table := range tables {
		var text string
		query := "SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM " +
			pgx.Identifier{table}.Sanitize() + " t"
		require.NoError(t, pool.QueryRow(t.Context(), query).Scan(&text))
		all[table] = text
	}
	return all
}

// Promise: the version of a visit counts its booking and what has changed it.
func TestVersionsOfVisits(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	rows, err := pool.Query(t.Context(), `SELECT guid FROM appointment
		WHERE (version > 1) <> (cancelled_at IS NOT NULL OR moved_at IS NOT NULL OR attendance_at IS NOT NULL)`)
	require.NoError(t, err)
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(t, err)
	require.Empty(t, wrong)
}

// Promise: after the first example is booked, its patient has a referral in every status.
func TestDirectionsInEveryStatus(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	book(t, pool, noon, Patient, FirstExample)
	service := newService(pool, noon)
	for status, wants := range map[booking.DirectionStatus][]uuid.UUID{
		booking.DirectionStatusBooked:    {exampleDirection},
		booking.DirectionStatusCompleted: {numbered("0007", 100_000_007)},
		booking.DirectionStatusExpired:   {numbered("0007", 100_000_008)},
		booking.DirectionStatusCancelled: {numbered("0007", 100_000_009)},
	} {
		filter := booking.DirectionFilter{Statuses: []booking.DirectionStatus{status}}
		patient := booking.Patient{Person: Patient, Client: Client}
		directions, _, err := service.Directions(t.Context(), patient, filter, booking.Page{Limit: 100})
		require.NoError(t, err)
		var guids []uuid.UUID
		for _, direction := range directions {
			guids = append(guids, direction.Guid)
		}
		require.Equal(t, wants, guids, status)
	}
}

// Promise: the searches of the README's tour find free cells, and the cell of the first example is
// among them.
func TestFreeCells(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	service := newService(pool, noon)
	page, err := service.Slots(t.Context(), booking.Patient{Person: Patient, Client: Client}, booking.SlotSearch{
		Direction: exampleDirection, Difficulty: 2, Limit: 1000,
	})
	require.NoError(t, err)
	var offered []int64
	for _, slot := range page.Slots {
		offered = append(offered, slot.ID)
	}
	require.Contains(t, offered, FirstExampleSlotID)
	for _, referral := range []int64{100000001, 100000002} {
		page, err := service.Slots(t.Context(), booking.Patient{Person: Patient, Client: Client}, booking.SlotSearch{
			Direction: numbered("0007", int(referral)), Difficulty: 1, Limit: 3,
		})
		require.NoError(t, err)
		require.Len(t, page.Slots, 3)
	}
}

// Promise: a search that no cell can satisfy returns the rule that blocks the patient: a closed
// card, or an expired referral.
func TestNoFreeCells(t *testing.T) {
	t.Parallel()
	pool := open(t)
	require.NoError(t, Load(t.Context(), address(pool), noon))
	service := newService(pool, noon)
	for referral, c := range map[int]struct {
		person uuid.UUID
		rule   booking.Name
	}{900_000_002: {person(9), booking.MkabClosed}, 100_000_008: {Patient, booking.DirectionExpired}} {
		page, err := service.Slots(t.Context(), booking.Patient{Person: c.person, Client: Client}, booking.SlotSearch{
			Direction: numbered("0007", referral), Difficulty: 1, Limit: 3,
		})
		require.NoError(t, err)
		require.Empty(t, page.Slots)
		require.NotNil(t, page.BlockedBy, referral)
		require.Equal(t, c.rule, page.BlockedBy.Rule)
	}
}
