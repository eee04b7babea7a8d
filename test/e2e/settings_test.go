package e2e_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/test/harness"
)

// Promise: the database accepts exactly the settings of the setting table, with its owners and its
// values.
func TestSettingConstraints(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	owners := map[booking.SettingOwner]struct {
		guid     uuid.UUID
		ofClient bool
	}{
		booking.OwnerRegion: {uuid.Nil, false},
		booking.OwnerLpu:    {sc.To, false},
		booking.OwnerClient: {harness.ClientGuid, true},
	}
	values := map[string][]string{
		"true, false":  {"true", "false"},
		"0 to 999":     {"0", "7", "14", "999"},
		"0 to 9999":    {"0", "9", "10", "999", "9999"},
		"0 to 720":     {"0", "9", "10", "99", "100", "699", "700", "719", "720"},
		"refuse, keep": {"refuse", "keep"},
		"text":         {"", "1002", "что угодно"},
	}
	refused := map[string][]string{
		"true, false":  {"", "TRUE", "1", "yes", " true"},
		"0 to 999":     {"", "-1", "1000", "014", "1.5", "14 ", "много", "٣"},
		"0 to 9999":    {"", "-1", "10000", "014", "1.5", "24 ", "٣"},
		"0 to 720":     {"", "-1", "721", "1000", "800", "014", "1.5", "24 ", "٣"},
		"refuse, keep": {"", "displace", "Keep", "keep "},
	}
	try := func(owner uuid.UUID, ofClient bool, code, value string) string {
		t.Helper()
		_, err := sc.DB.Exec(t.Context(), `INSERT INTO setting (owner_guid, code, value, of_client) VALUES ($1, $2, $3, $4)`, owner, code, value, ofClient)
		sc.Exec(`DELETE FROM setting`)
		if err == nil {
			return ""
		}
		// Where another node has the row, only the message has the name, with the number of a
		// shard.
		violated := regexp.MustCompile(`constraint "(setting_[a-z]+)`).FindStringSubmatch(err.Error())
		require.NotNil(t, violated, err)
		return violated[1]
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
				require.Equal(t, constraint, try(owner.guid, owner.ofClient, setting.Code, value), "%s of %s: %q",
					setting.Code, kind, value)
			}
			for _, value := range refused[setting.Values()] {
				require.Contains(t, []string{"setting_value", constraint},
					try(owner.guid, owner.ofClient, setting.Code, value), "%s of %s: %q", setting.Code, kind, value)
			}
		}
		value := values[setting.Values()][0]
		require.NotEmpty(t, try(uuid.New(), false, setting.Code, value), "of an unknown owner")
		require.NotEmpty(t, try(uuid.New(), true, setting.Code, value), "of an unknown owner")
		require.NotEmpty(t, try(uuid.Nil, true, setting.Code, value), "of an unknown owner")
		require.NotEmpty(t, try(harness.ClientGuid, false, setting.Code, value),
			"a client application is not an institution")
		require.NotEmpty(t, try(sc.To, true, setting.Code, value), "an institution is not a client application")
		require.Equal(t, "setting_value", try(sc.To, false, setting.Code+"s", value), "misspelt")
	}
	for _, constraint := range []string{"setting_value", "setting_owner"} {
		var definition string
		require.NoError(t, sc.DB.QueryRow(t.Context(), `SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1`, constraint).Scan(&definition))
		var known []string
		for _, match := range regexp.MustCompile(`WHEN '(\w+)'`).FindAllStringSubmatch(definition, -1) {
			known = append(known, match[1])
		}
		require.ElementsMatch(t, codes, known, constraint)
	}
}

// Promise: the booking horizon is the client application's setting, else the institution's, else
// the region's. It applies to cells and visits out of schedule, in a booking, a move and a check.
func TestScheduleDays(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	person, direction := sc.AddPatient()
	body := func(days int, changes ...harness.Fields) harness.Fields {
		cell := harness.Fields{"DirectionGuid": direction, "SlotId": 100 + days}
		return sc.BookingBody(append([]harness.Fields{cell}, changes...)...)
	}
	for days := range 6 {
		sc.AddSlot(sc.Doctor, 100+days, time.Date(2019, 8, 20+days, 23, 45, 0, 0, harness.Moment.Location()), 99)
	}
	horizon := func() int { // returns how many days ahead can be booked
		t.Helper()
		for days := range 6 {
			at := time.Date(2019, 8, 20+days, 0, 0, 0, 0, harness.Moment.Location()).Format(time.DateOnly)
			inCell, outside := body(days), body(days, sc.OutOfSchedule(at))
			harness.RequireCheckMatches(t, sc.CheckBooking(person, inCell), sc.Book(person, inCell))
			a := sc.Book(person, inCell)
			out := sc.Book(person, outside)
			if a.Refusal.Rule == "slot_beyond_horizon" {
				out.RequireRefusal(t, "slot_beyond_horizon")
				return days - 1
			}
			a.RequireRefusal(t, "direction_already_booked")
			sc.Exec(`UPDATE direction SET appointment_guid = NULL`)
			sc.Exec(`UPDATE appointment SET cancelled_at = $1`, harness.Moment)
			sc.Exec(`DELETE FROM speciality_claim`)
		}
		return 5
	}
	require.Equal(t, 5, horizon(), "no setting")
	sc.SetSetting(sc.From, "scheduleDays", "0")
	require.Equal(t, 5, horizon(), "the setting of another institution")
	for _, c := range []struct {
		owner uuid.UUID
		value string
		days  int
	}{
		{uuid.Nil, "1", 1}, {sc.To, "3", 3}, {uuid.Nil, "4", 3}, {harness.ClientGuid, "2", 2}, {sc.To, "0", 2},
		{harness.ClientGuid, "4", 4}, {harness.ClientGuid, "0", 0},
	} {
		sc.SetSetting(c.owner, "scheduleDays", c.value)
		require.Equal(t, c.days, horizon(), "%+v", c)
	}

	booked := harness.AppointmentOf(sc.Book(person, body(0))).GUID
	refused := sc.Move(person, booked, harness.Fields{"SlotId": 101})
	refused.RequireRefusal(t, "slot_beyond_horizon")
	require.Equal(t, "Запись на выбранный день еще не открыта. Записаться можно не более чем на 0 дн. вперед: по 20.08.2019 включительно.", refused.Refusal.Message)
	sc.SetSetting(harness.ClientGuid, "scheduleDays", "1")
	require.Equal(t, 200, sc.Move(person, booked, harness.Fields{"SlotId": 101}).StatusCode)
}

// Promise: cells beyond the horizon are not offered: not by the search, not as the next available
// cell and not as the nearest to a full one. explain lists them with their rule.
func TestScheduleDaysOfASearch(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	for days := range 5 {
		sc.AddSlot(sc.Doctor, 100+days, time.Date(2019, 8, 22+days, 0, 0, 0, 0, harness.Moment.Location()), 1)
	}
	tomorrow := []int{harness.FirstSlotID, harness.FirstSlotID + 1, harness.FirstSlotID + 2, harness.FirstSlotID + 3}
	for days, more := range map[int][]int{
		0:  {},
		1:  tomorrow,
		2:  append(tomorrow, 100),
		4:  append(tomorrow, 100, 101, 102),
		30: append(tomorrow, 100, 101, 102, 103, 104),
	} {
		sc.SetSetting(harness.ClientGuid, "scheduleDays", fmt.Sprint(days))
		require.Equal(t, more, sc.Search(sc.Person, "").IDs(t), days)
	}
	sc.SetSetting(harness.ClientGuid, "scheduleDays", "2")
	require.Equal(t, []string{"100 Available", "101 Unavailable slot_beyond_horizon"},
		sc.Search(sc.Person, "explain=true dateFrom=2019-08-22 dateTo=2019-08-23").Summaries(t))

	require.Equal(t, "2019-08-21T08:45:00+03:00",
		sc.Search(sc.Person, "dateTo=2019-08-20").Page.NextAvailable.Format(time.RFC3339))
	sc.Exec(`UPDATE slot SET taken = capacity WHERE id >= $1`, harness.FirstSlotID)
	require.Equal(t, "2019-08-22T00:00:00+03:00",
		sc.Search(sc.Person, "dateTo=2019-08-21").Page.NextAvailable.Format(time.RFC3339))
	refused := sc.TryBook()
	refused.RequireRefusal(t, "slot_full")
	require.Len(t, *refused.Refusal.Details.Slots, 1)
	sc.SetSetting(harness.ClientGuid, "scheduleDays", "1")
	later := sc.Search(sc.Person, "dateTo=2019-08-21").Page
	require.Nil(t, later.NextAvailable)
	require.Nil(t, later.BlockedBy, "it can be booked on another day")
	refused = sc.TryBook()
	refused.RequireRefusal(t, "slot_full")
	require.Nil(t, refused.Refusal.Details)
}

// Promise: where the setting is on, an expired referral cannot be booked, from the same moment on
// as the list shows it as expired. Its visits remain.
func TestDirectionExpires(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	direction := "/directions/" + sc.Direction.String()
	status := func() string {
		return harness.Decode[api.PatientDirection](t, sc.Get(sc.Person, direction)).Status
	}
	sc.Exec(`UPDATE lpu SET time_zone = 'Asia/Kamchatka' WHERE guid = $1`, sc.From) // it is the 21st there
	for dateEnd, want := range map[string]string{"2019-08-20": "Expired", "2019-08-21": "NotBooked"} {
		sc.Exec(`UPDATE direction SET date_end = $1::text::date`, dateEnd)
		require.Equal(t, want, status())
		for _, c := range []struct {
			owner uuid.UUID
			value string
			on    bool
		}{
			{sc.From, "true", false}, {uuid.Nil, "true", true}, {sc.To, "false", false}, {uuid.Nil, "false", false},
			{sc.To, "true", true},
		} {
			sc.SetSetting(c.owner, "DirectionExpires", c.value)
			checked := sc.CheckBooking(sc.Person, sc.BookingBody())
			booked := sc.TryBook()
			harness.RequireCheckMatches(t, checked, booked)
			blocked := sc.Search(sc.Person, "").Page.BlockedBy
			if c.on && want == "Expired" {
				booked.RequireRefusal(t, "direction_expired")
				require.Equal(t, "direction_expired", blocked.Rule)
				continue
			}
			require.Equal(t, "direction_already_booked", blocked.Rule)
			sc.Cancel(sc.Person, harness.AppointmentOf(booked).GUID).RequireCancelled(t)
		}
		sc.DeleteSetting("DirectionExpires")
	}

	// The referral expires after it was booked.
	booked := harness.AppointmentOf(sc.TryBook()).GUID
	sc.SetSetting(uuid.Nil, "DirectionExpires", "true")
	sc.Exec(`UPDATE direction SET date_end = '2019-08-20'`)
	require.Equal(t, "Booked", status())
	sc.TryBook(harness.Fields{"SlotId": harness.FirstSlotID + 1}).RequireRefusal(t, "direction_already_booked")
	sc.Move(sc.Person, booked, harness.Fields{"SlotId": harness.FirstSlotID + 1}).RequireRefusal(t, "direction_expired")
	require.Equal(t, 200, sc.Move(sc.Person, booked, harness.Fields{
		"SlotId": harness.FirstSlotID,
	}).StatusCode, "a move to its own cell succeeds")
	sc.Cancel(sc.Person, booked).RequireCancelled(t)
	sc.TryBook().RequireRefusal(t, "direction_expired")
}
