package app_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// set gives a setting to the region (the zero guid), an institution or a client application.
func (s *service) set(owner uuid.UUID, code, value string) {
	s.t.Helper()
	s.exec(`INSERT INTO setting (owner_guid, code, value, of_client) SELECT $1, $2, $3, EXISTS (SELECT FROM client_application WHERE guid = $1)
		ON CONFLICT (owner_guid, code) DO UPDATE SET value = excluded.value`, owner, code, value)
}

// unset takes a setting from whoever has it.
func (s *service) unset(code string) {
	s.t.Helper()
	s.exec(`DELETE FROM setting WHERE code = $1`, code)
}

// Promise: the database takes the settings of the table, from the owners that the table names and with values that mean something, and no others.
func TestSettingsAreTheTables(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	owners := map[booking.SettingOwner]struct {
		guid     uuid.UUID
		ofClient bool
	}{booking.OwnerRegion: {uuid.Nil, false}, booking.OwnerLpu: {sc.to, false}, booking.OwnerClient: {clientGuid, true}}
	values := map[string][]string{
		"true, false": {"true", "false"},
		"0 to 999":    {"0", "7", "14", "999"},
		"text":        {"", "1002", "что угодно"},
	}
	refused := map[string][]string{
		"true, false": {"", "TRUE", "1", "yes", " true"},
		"0 to 999":    {"", "-1", "1000", "014", "1.5", "14 ", "много", "٣"},
	}
	try := func(owner uuid.UUID, ofClient bool, code, value string) string {
		t.Helper()
		_, err := sc.db.Exec(t.Context(), `INSERT INTO setting (owner_guid, code, value, of_client) VALUES ($1, $2, $3, $4)`, owner, code, value, ofClient)
		sc.exec(`DELETE FROM setting`)
		if err == nil {
			return ""
		}
		var answer *pgconn.PgError
		require.ErrorAs(t, err, &answer)
		return answer.ConstraintName
	}
	var codes []string
	for _, setting := range booking.SettingTable {
		codes = append(codes, setting.Code)
		for kind, owner := range owners {
			constraint := "setting_owner"
			if slices.Contains(setting.Owners, kind) {
				constraint = ""
			}
			for _, value := range values[setting.Values()] {
				require.Equal(t, constraint, try(owner.guid, owner.ofClient, setting.Code, value), "%s of %s: %q", setting.Code, kind, value)
			}
			for _, value := range refused[setting.Values()] {
				require.Contains(t, []string{"setting_value", constraint}, try(owner.guid, owner.ofClient, setting.Code, value), "%s of %s: %q", setting.Code, kind, value)
			}
		}
		value := values[setting.Values()][0]
		require.NotEmpty(t, try(uuid.New(), false, setting.Code, value), "of nobody")
		require.NotEmpty(t, try(uuid.New(), true, setting.Code, value), "of nobody")
		require.NotEmpty(t, try(uuid.Nil, true, setting.Code, value), "of nobody")
		require.NotEmpty(t, try(clientGuid, false, setting.Code, value), "a client application is no institution")
		require.NotEmpty(t, try(sc.to, true, setting.Code, value), "and an institution is no client application")
		require.Equal(t, "setting_value", try(sc.to, false, setting.Code+"s", value), "misspelt")
	}
	for _, constraint := range []string{"setting_value", "setting_owner"} {
		var definition string
		require.NoError(t, sc.db.QueryRow(t.Context(), `SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1`, constraint).Scan(&definition))
		var known []string
		for _, match := range regexp.MustCompile(`WHEN '(\w+)'`).FindAllStringSubmatch(definition, -1) {
			known = append(known, match[1])
		}
		require.ElementsMatch(t, codes, known, constraint)
	}
}

// Promise: how far ahead may be booked is what the client application's setting says, else the institution's, else the region's; for a cell and out of
// schedule, for a booking, a move and a check.
func TestScheduleDays(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	person, direction := sc.patient()
	body := func(days int, changes ...fields) fields {
		return sc.request(append([]fields{{"DirectionGuid": direction, "SlotId": 100 + days}}, changes...)...)
	}
	for days := range 6 {
		sc.addSlot(sc.doctor, 100+days, time.Date(2019, 8, 20+days, 23, 45, 0, 0, moment.Location()), 99)
	}
	last := func() int { // how many days ahead can be booked
		t.Helper()
		for days := range 6 {
			at := time.Date(2019, 8, 20+days, 0, 0, 0, 0, moment.Location()).Format(time.DateOnly)
			inCell, outside := body(days), body(days, sc.outOfSchedule(at))
			requireAgreement(t, sc.send("/appointments/check", inCell, "Bearer "+sc.token(person)), sc.book(person, inCell))
			a := sc.book(person, inCell)
			out := sc.book(person, outside)
			if a.error.Rule == "slot_beyond_horizon" {
				out.requireRefusal(t, "slot_beyond_horizon")
				return days - 1
			}
			a.requireRefusal(t, "direction_already_booked")
			sc.exec(`UPDATE direction SET appointment_guid = NULL`)
			sc.exec(`UPDATE appointment SET cancelled_at = $1`, moment)
			sc.exec(`DELETE FROM speciality_claim`)
		}
		return 5
	}
	require.Equal(t, 5, last(), "none is set")
	sc.set(sc.from, "scheduleDays", "0")
	require.Equal(t, 5, last(), "that is another institution")
	for _, c := range []struct {
		owner uuid.UUID
		value string
		last  int
	}{{uuid.Nil, "1", 1}, {sc.to, "3", 3}, {uuid.Nil, "4", 3}, {clientGuid, "2", 2}, {sc.to, "0", 2}, {clientGuid, "4", 4}, {clientGuid, "0", 0}} {
		sc.set(c.owner, "scheduleDays", c.value)
		require.Equal(t, c.last, last(), "%+v", c)
	}

	booked := appointmentOf(sc.book(person, body(0))).GUID
	refused := sc.move(person, booked, fields{"SlotId": 101})
	refused.requireRefusal(t, "slot_beyond_horizon")
	require.Equal(t, "Запись на выбранный день еще не открыта. Записаться можно не более чем на 0 дн. вперед: по 20.08.2019 включительно.", refused.error.Message)
	sc.set(clientGuid, "scheduleDays", "1")
	require.Equal(t, 200, sc.move(person, booked, fields{"SlotId": 101}).StatusCode)
}

// Promise: what cannot be booked yet is not offered: by the search, as the next cell that is free, or instead of one that is full. It is explained.
func TestScheduleDaysOfASearch(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	for days := range 5 {
		sc.addSlot(sc.doctor, 100+days, time.Date(2019, 8, 22+days, 0, 0, 0, 0, moment.Location()), 1)
	}
	tomorrow := []int{firstSlotID, firstSlotID + 1, firstSlotID + 2, firstSlotID + 3}
	for days, more := range map[int][]int{0: {}, 1: tomorrow, 2: append(tomorrow, 100), 4: append(tomorrow, 100, 101, 102), 30: append(tomorrow, 100, 101, 102, 103, 104)} {
		sc.set(clientGuid, "scheduleDays", fmt.Sprint(days))
		require.Equal(t, more, sc.search(sc.person, "").ids(t), days)
	}
	sc.set(clientGuid, "scheduleDays", "2")
	require.Equal(t, []string{"100 Available", "101 Unavailable slot_beyond_horizon"}, sc.search(sc.person, "explain=true dateFrom=2019-08-22 dateTo=2019-08-23").told(t))

	require.Equal(t, "2019-08-21T08:45:00+03:00", sc.search(sc.person, "dateTo=2019-08-20").page.NextAvailable.Format(time.RFC3339))
	sc.exec(`UPDATE slot SET taken = capacity WHERE id >= $1`, firstSlotID)
	require.Equal(t, "2019-08-22T00:00:00+03:00", sc.search(sc.person, "dateTo=2019-08-21").page.NextAvailable.Format(time.RFC3339))
	refused := sc.attempt()
	refused.requireRefusal(t, "slot_full")
	require.Len(t, *refused.error.Details.Slots, 1)
	sc.set(clientGuid, "scheduleDays", "1")
	later := sc.search(sc.person, "dateTo=2019-08-21").page
	require.Nil(t, later.NextAvailable)
	require.Nil(t, later.BlockedBy, "another day it can be booked")
	refused = sc.attempt()
	refused.requireRefusal(t, "slot_full")
	require.Nil(t, refused.error.Details)
}

// Promise: where the setting is on, nothing is booked by a referral that the list shows as expired, from the same moment on; and its visits stay.
func TestDirectionExpires(t *testing.T) {
	t.Parallel()
	sc := start(t).scene()
	direction := "/directions/" + sc.direction.String()
	status := func() string { return string(as[api.PatientDirection](t, sc.get(sc.person, direction)).Status) }
	sc.exec(`UPDATE lpu SET time_zone = 'Asia/Kamchatka' WHERE guid = $1`, sc.from) // where it is the 21st already
	for dateEnd, want := range map[string]string{"2019-08-20": "Expired", "2019-08-21": "NotBooked"} {
		sc.exec(`UPDATE direction SET date_end = $1::text::date`, dateEnd)
		require.Equal(t, want, status())
		for _, c := range []struct {
			owner uuid.UUID
			value string
			on    bool
		}{{sc.from, "true", false}, {uuid.Nil, "true", true}, {sc.to, "false", false}, {uuid.Nil, "false", false}, {sc.to, "true", true}} {
			sc.set(c.owner, "DirectionExpires", c.value)
			checked, booked := sc.send("/appointments/check", sc.request(), "Bearer "+sc.token(sc.person)), sc.attempt()
			requireAgreement(t, checked, booked)
			blocked := sc.search(sc.person, "").page.BlockedBy
			if c.on && want == "Expired" {
				booked.requireRefusal(t, "direction_expired")
				require.EqualValues(t, "direction_expired", blocked.Rule)
				continue
			}
			require.EqualValues(t, "direction_already_booked", blocked.Rule)
			sc.cancel(sc.person, appointmentOf(booked).GUID).requireCancelled(t)
		}
		sc.unset("DirectionExpires")
	}

	// It expires after it was booked.
	booked := appointmentOf(sc.attempt()).GUID
	sc.set(uuid.Nil, "DirectionExpires", "true")
	sc.exec(`UPDATE direction SET date_end = '2019-08-20'`)
	require.Equal(t, "Booked", status())
	sc.attempt(fields{"SlotId": firstSlotID + 1}).requireRefusal(t, "direction_already_booked")
	sc.move(sc.person, booked, fields{"SlotId": firstSlotID + 1}).requireRefusal(t, "direction_expired")
	require.Equal(t, 200, sc.move(sc.person, booked, fields{"SlotId": firstSlotID}).StatusCode, "where it is, it may stay")
	sc.cancel(sc.person, booked).requireCancelled(t)
	sc.attempt().requireRefusal(t, "direction_expired")
}
