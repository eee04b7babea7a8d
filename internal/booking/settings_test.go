package booking

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Promise: a setting that is not set has its default. Each setting that is set has its value in its
// own field. Unknown settings are ignored.
func TestNewSettings(t *testing.T) {
	t.Parallel()
	none, err := NewSettings(nil)
	require.NoError(t, err)
	require.Equal(t, Settings{OneActivePerSpeciality: true, OnBooked: "keep"}, none)

	all, err := NewSettings(map[string]string{
		"OneActiveAppointmentPerSpeciality": "false", "2dr_RecordWithoutMkab": "true", "PolyclinicCode": "true",
		"DeleteOldTime": "true", "scheduleDays": "0",
		"DirectionExpires": "true", "OnBooked": "refuse", "ScheduleFreshHours": "720", "Unknown": "true",
	})
	require.NoError(t, err)
	require.Equal(t, Settings{
		CreatesMkab: true, PolyclinicCode: "true", AfterStart: true, ScheduleDays: new(0), DirectionExpires: true,
		OnBooked: "refuse", ScheduleFreshHours: 720,
	}, all)

	_, err = NewSettings(map[string]string{"scheduleDays": "many"})
	require.ErrorContains(t, err, "scheduleDays")
	_, err = NewSettings(map[string]string{"ScheduleFreshHours": ""})
	require.ErrorContains(t, err, "ScheduleFreshHours")
}

// Promise: each setting has a description for operators. Each rule is switched by at most one
// setting, in one direction.
func TestSettingTable(t *testing.T) {
	t.Parallel()
	owners := []SettingOwner{OwnerRegion, OwnerLpu, OwnerClient}
	switched := map[Name]bool{}
	for _, setting := range SettingTable {
		require.NotEmpty(t, setting.Meaning, setting.Code)
		require.NotEmpty(t, setting.Owners, setting.Code)
		require.Subset(t, owners, setting.Owners, setting.Code)
		for _, rule := range slices.Concat(setting.On, setting.Off) {
			require.NotNil(t, rulesByName[rule], rule)
			require.False(t, switched[rule], rule)
			switched[rule] = true
		}
	}
	none, err := NewSettings(nil)
	require.NoError(t, err)
	var disabled []Name
	for _, rule := range Rules {
		if !none.enables(rule.Name) {
			disabled = append(disabled, rule.Name)
		}
	}
	byDefault := []Name{DirectionExpired, ScheduleStale, SlotBeyondHorizon}
	require.Equal(t, slices.Concat(byDefault, namesOf(mipRules)), disabled)
}

// Promise: a visit may start until the end of the last day of the horizon, by the calendar of its
// institution, also when the clocks change.
func TestHorizon(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone, now string
		days      int
		last      string // the last moment that may be booked
	}{
		{"Europe/Moscow", "2019-08-20T17:52:14+03:00", 0, "2019-08-20T23:59:59+03:00"},
		{"Europe/Moscow", "2019-08-20T00:00:00+03:00", 1, "2019-08-21T23:59:59+03:00"},
		{"Europe/Moscow", "2019-08-20T23:59:59+03:00", 1, "2019-08-21T23:59:59+03:00"},
		{"Europe/Moscow", "2019-08-20T17:52:14+03:00", 14, "2019-09-03T23:59:59+03:00"},
		{"Asia/Kamchatka", "2019-08-20T17:52:14+03:00", 0, "2019-08-21T23:59:59+12:00"}, // it is tomorrow there
		{"Europe/Berlin", "2019-10-26T23:30:00+02:00", 1, "2019-10-27T23:59:59+01:00"},  // a day of 25 hours
		{"Europe/Berlin", "2019-03-30T23:30:00+01:00", 1, "2019-03-31T23:59:59+02:00"},  // a day of 23 hours
		// The next day starts at 01:00.
		{"America/Sao_Paulo", "2017-10-13T12:00:00-03:00", 1, "2017-10-14T23:59:59-03:00"},
		{"Europe/Moscow", "2020-02-20T12:00:00+03:00", 999, "2022-11-15T23:59:59+03:00"},
	} {
		last, err := time.Parse(time.RFC3339, c.last)
		require.NoError(t, err)
		now, err := time.Parse(time.RFC3339, c.now)
		require.NoError(t, err)
		for _, base := range []func() *Facts{allowedFacts, allowedFactsOutOfSchedule} {
			facts := base()
			facts.Now, facts.Request.Difficulty = now, 1
			facts.Target.Zone, facts.Target.ScheduleDays = zone(c.zone), &c.days
			rule := rulesByName[SlotBeyondHorizon]
			at := func(start time.Time) *Refusal {
				if out := facts.Request.Place.OutOfSchedule; out != nil {
					out.Date = VisitDate{reading: start}
				} else {
					facts.Slots = []Slot{{Start: start.UTC(), End: start.Add(time.Hour).UTC()}}
				}
				return rule.apply(facts, facts.known())
			}
			require.Nil(t, at(last), "%+v", c)
			require.Nil(t, at(now), "%+v", c)
			require.NotNil(t, at(last.Add(time.Second)), "%+v", c)
			facts.Target.ScheduleDays = nil
			require.Nil(t, at(last.AddDate(5, 0, 0)), "no horizon is set")
		}
	}
	facts := allowedFacts()
	facts.Target.ScheduleDays = new(0)
	refusal := Check(facts)
	require.Equal(t, SlotBeyondHorizon, refusal.Rule)
	require.Equal(t, "Запись на выбранный день еще не открыта. Записаться можно не более чем на 0 дн. вперед: по 20.08.2019 включительно.", refusal.Message)
}

// Promise: a visit on a bare day is within the horizon as a whole or not at all.
func TestHorizonOfADay(t *testing.T) {
	t.Parallel()
	facts := allowedFactsOutOfSchedule()
	for date, rejected := range map[string]bool{"2019-08-20": false, "2019-08-21": false, "2019-08-22": true} {
		facts.Target.ScheduleDays = new(1)
		facts.Request.Place.OutOfSchedule.Date = VisitDate{day(date), formDay}
		require.Equal(t, rejected, Check(facts) != nil, date)
	}
}

// Promise: a complex slot that starts within the horizon may end beyond it.
func TestHorizonWithinAComplexSlot(t *testing.T) {
	t.Parallel()
	facts := allowedFacts()
	facts.Target.ScheduleDays, facts.Request.Difficulty = new(1), 2
	facts.Slots = facts.Slots[:2]
	midnight := time.Date(2019, 8, 22, 0, 0, 0, 0, moscow)
	facts.Slots[0].Start, facts.Slots[0].End = midnight.Add(-time.Minute), midnight
	facts.Slots[1].Start, facts.Slots[1].End = midnight, midnight.Add(time.Minute)
	require.Nil(t, Check(facts))
	facts.Slots[0].Start, facts.Slots[0].End = midnight, midnight.Add(time.Minute)
	requireRefusal(t, facts, SlotBeyondHorizon)
}

// Promise: a referral has expired when its last day is over in the zone of its holder. It is
// rejected only if the setting is on.
func TestExpiry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone, dateEnd string
		expired       bool
	}{
		{"Europe/Moscow", "2019-08-19", true},
		{"Europe/Moscow", "2019-08-20", false},
		{"Asia/Kamchatka", "2019-08-20", true}, // it is tomorrow there
		{"Asia/Kamchatka", "2019-08-21", false},
		{"Pacific/Honolulu", "2019-08-19", true},
	} {
		facts := allowedFacts()
		facts.Direction.HolderZone, facts.Direction.DateEnd = zone(c.zone), day(c.dateEnd)
		require.Nil(t, Check(facts), "%+v", c)
		facts.Target.DirectionExpires = true
		if !c.expired {
			require.Nil(t, Check(facts), "%+v", c)
			continue
		}
		requireRefusal(t, facts, DirectionExpired, "%+v", c)
		require.Equal(t, "Срок действия направления истек: оно действовало по "+day(c.dateEnd).Format("02.01.2006")+" включительно.", Check(facts).Message)
	}
}
