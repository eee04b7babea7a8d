package booking

import (
	"archive/zip"
	"go/build"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Promise: the two direction types are accepted in the documented spellings only.
func TestParseDirectionType(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]DirectionType{
		"Consult": Consult, "consult": Consult, "Laboratory": Laboratory, "laboratory": Laboratory,
	} {
		require.Equal(t, want, ParseDirectionType(text), "%q", text)
	}
	// The fifth starts with a Cyrillic С.
	for _, text := range []string{"", "CONSULT", "Consult ", "lab", "Сonsult", "hospital"} {
		require.Empty(t, ParseDirectionType(text), "%q", text)
	}
}

// Promise: a date is read in the institution's zone. A moment keeps its instant, a local time its
// clock reading, and a bare date is the whole day, also when the clocks change.
func TestVisitDates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, zone, start, end string }{
		{"2014-10-25", "Europe/Moscow", "2014-10-25T00:00:00+04:00", "2014-10-26T00:00:00+04:00"},
		// Moscow changed from UTC+4 to UTC+3 in that night: the day had 25 hours.
		{"2014-10-26", "Europe/Moscow", "2014-10-26T00:00:00+04:00", "2014-10-27T00:00:00+03:00"},
		{"2014-10-26T00:59:59", "Europe/Moscow", "2014-10-26T00:59:59+04:00", ""},
		{"2014-10-26T02:00:00", "Europe/Moscow", "2014-10-26T02:00:00+03:00", ""},
		{"2014-10-25T21:30:00Z", "Europe/Moscow", "2014-10-26T01:30:00+04:00", ""},
		{"2014-10-25T22:30:00Z", "Europe/Moscow", "2014-10-26T01:30:00+03:00", ""},
		// Berlin and, until 2011, Kaliningrad have summer time, with days of 23 and of 25 hours.
		{"2014-03-30", "Europe/Berlin", "2014-03-30T00:00:00+01:00", "2014-03-31T00:00:00+02:00"},
		{"2014-10-26", "Europe/Berlin", "2014-10-26T00:00:00+02:00", "2014-10-27T00:00:00+01:00"},
		{"2010-03-28", "Europe/Kaliningrad", "2010-03-28T00:00:00+02:00", "2010-03-29T00:00:00+03:00"},
		{"2010-10-31T12:00:00", "Europe/Kaliningrad", "2010-10-31T12:00:00+02:00", ""},
		{"2010-10-30T12:00:00", "Europe/Kaliningrad", "2010-10-30T12:00:00+03:00", ""},
		{"2014-12-31", "Asia/Kamchatka", "2014-12-31T00:00:00+12:00", "2015-01-01T00:00:00+12:00"},
		{"2012-02-29", "Asia/Kolkata", "2012-02-29T00:00:00+05:30", "2012-03-01T00:00:00+05:30"},
		{"2014-08-21T10:30", "Europe/Moscow", "2014-08-21T10:30:00+04:00", ""},
		{"2014-08-21T10:30:15", "Europe/Moscow", "2014-08-21T10:30:15+04:00", ""},
		{"2014-08-21T10:30+03:00", "Europe/Moscow", "2014-08-21T11:30:00+04:00", ""},
		{"2014-08-21T10:30Z", "Europe/Moscow", "2014-08-21T14:30:00+04:00", ""},
		{"2014-08-21T23:30:15-05:00", "Europe/Moscow", "2014-08-22T08:30:15+04:00", ""},
	} {
		date, refusal := ParseVisitDate(c.text, day("2014-09-01"))
		require.Nil(t, refusal, c.text)
		start, end := date.In(zone(c.zone))
		if c.end == "" {
			c.end = c.start
		}
		require.Equal(t, c.start, start.Format(time.RFC3339), "%s in %s", c.text, c.zone)
		require.Equal(t, c.end, end.Format(time.RFC3339), "%s in %s", c.text, c.zone)
	}
}

// Promise: a day starts at its first moment and ends when the next day starts, also where the
// clocks skip midnight, repeat it or skip the day.
func TestDaysWithoutMidnight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, zone, start, end string }{
		{"2018-11-03", "America/Sao_Paulo", "2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00"},
		{"2018-11-04", "America/Sao_Paulo", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		{"2023-04-27", "Africa/Cairo", "2023-04-27T00:00:00+02:00", "2023-04-28T01:00:00+03:00"},
		{"2023-04-28", "Africa/Cairo", "2023-04-28T01:00:00+03:00", "2023-04-29T00:00:00+03:00"},
		{"2022-03-27", "Asia/Beirut", "2022-03-27T01:00:00+03:00", "2022-03-28T00:00:00+03:00"},
		{"2021-10-29", "Asia/Amman", "2021-10-29T00:00:00+03:00", "2021-10-30T00:00:00+02:00"}, // midnight is repeated
		{"2022-11-06", "America/Havana", "2022-11-06T00:00:00-04:00", "2022-11-07T00:00:00-05:00"},
		// The clocks skip the hour from 23:30.
		{"1919-03-31", "America/Toronto", "1919-03-31T00:30:00-04:00", "1919-04-01T00:00:00-04:00"},
		// This day was skipped.
		{"2011-12-30", "Pacific/Apia", "2011-12-31T00:00:00+14:00", "2011-12-31T00:00:00+14:00"},
		{"2011-12-31", "Pacific/Apia", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"},
	} {
		date, refusal := ParseVisitDate(c.text, day(c.text))
		require.Nil(t, refusal, c.text)
		start, end := date.In(zone(c.zone))
		require.Equal(t, c.start, start.Format(time.RFC3339), "%s in %s", c.text, c.zone)
		require.Equal(t, c.end, end.Format(time.RFC3339), "%s in %s", c.text, c.zone)
	}
	for _, name := range []string{
		"America/Asuncion", "America/Sao_Paulo", "Asia/Amman", "Asia/Beirut", "Asia/Tehran", "Europe/Moscow",
		"Pacific/Auckland",
	} {
		zone := zone(name)
		for d := day("1995-01-01"); d.Year() < 2030; d = d.AddDate(0, 0, 1) {
			start := StartOfDay(d, zone)
			require.Equal(t, d.Format(time.DateOnly), start.Format(time.DateOnly), name)
			require.Equal(t, d.AddDate(0, 0, -1).Format(time.DateOnly), start.Add(-1).Format(time.DateOnly), name)
		}
	}
}

// Promise: a local time that the clocks skip is rejected. Of one that they repeat, the earlier
// moment counts. A day starts at its first moment. In every zone, at every change of its clocks.
func TestVisitDatesWhileClocksChange(t *testing.T) {
	t.Parallel()
	const format = "2006-01-02T15:04:05"
	changes := 0
	for _, zone := range allZones(t) {
		first := time.Date(2020, 1, 1, 0, 0, 0, 0, zone)
		for _, change := first.ZoneBounds(); !change.IsZero() && change.Year() < 2036; _, change = change.ZoneBounds() {
			changes++
			now := change.Add(-24 * time.Hour)
			read := func(reading time.Time) (start time.Time, problem *Problem) {
				date, refusal := ParseVisitDate(reading.Format(format), now)
				require.Nil(t, refusal, "%s in %s", reading, zone)
				start, _ = date.In(zone)
				return start, date.problem(zone, now)
			}
			lastBefore := change.Add(-time.Second)
			for _, shown := range []time.Time{lastBefore, change} {
				start, problem := read(shown)
				require.Nil(t, problem, "%s in %s", shown, zone)
				require.Equal(t, shown.Format(format), start.Format(format), zone)
				require.False(t, start.After(shown), "%s is earlier than %s in %s", shown, start, zone)
			}
			_, before := lastBefore.Zone()
			_, after := change.Zone()
			switch gap := time.Duration(after-before) * time.Second; {
			case gap > 0:
				for _, skipped := range []time.Time{asUTC(change).Add(-time.Second), asUTC(change).Add(-gap)} {
					_, problem := read(skipped)
					require.Equal(t, &ProblemSkippedTime, problem, "%s in %s", skipped, zone)
				}
			case gap < 0:
				repeated, problem := read(asUTC(change))
				require.Nil(t, problem, "%s in %s", change, zone)
				require.Equal(t, gap, repeated.Sub(change), "the earlier of two moments, at %s in %s", change, zone)
			}
			day := asUTC(change).Truncate(24 * time.Hour)
			start := StartOfDay(day, zone)
			require.Equal(t, day.Format(time.DateOnly), start.Format(time.DateOnly), zone)
			require.Less(t, start.Add(-1).Format(time.DateOnly), day.Format(time.DateOnly), zone)
		}
	}
	require.Greater(t, changes, 1000)
}

// asUTC returns the clock reading of a moment in its zone, as UTC.
func asUTC(moment time.Time) time.Time {
	_, offset := moment.Zone()
	return moment.Add(time.Duration(offset) * time.Second).UTC()
}

// allZones returns all time zones of Go's own database.
func allZones(t *testing.T) []*time.Location {
	t.Helper()
	archive, err := zip.OpenReader(filepath.Join(build.Default.GOROOT, "lib", "time", "zoneinfo.zip"))
	require.NoError(t, err)
	defer archive.Close()
	var zones []*time.Location
	for _, file := range archive.File {
		if !strings.HasSuffix(file.Name, "/") {
			zones = append(zones, zone(file.Name))
		}
	}
	return zones
}

// Promise: a visit may start at most 366 days ahead, by its institution's clock. A text of no known
// form is rejected.
func TestVisitDateBounds(t *testing.T) {
	t.Parallel()
	now := time.Date(2019, 8, 20, 17, 52, 14, 0, moscow)
	for _, c := range []struct {
		text, zone string
		accepted   bool
	}{
		{"2020-08-20", "Europe/Moscow", true},
		{"2020-08-21", "Europe/Moscow", false},
		{"2020-08-21", "Asia/Kamchatka", true}, // it is the 21st there
		{"2020-08-20", "Pacific/Pago_Pago", true},
		{"2020-08-21", "Pacific/Pago_Pago", false},
		{"2020-08-20T17:52:14+03:00", "Asia/Kamchatka", true},
		{"2020-08-20T17:52:15+03:00", "Asia/Kamchatka", false},
		{"2020-08-20T17:52:14.000000001+03:00", "Asia/Kamchatka", false},
		{"2020-08-20T14:52:14Z", "Asia/Kamchatka", true},
		{"2020-08-20T14:52:15Z", "Asia/Kamchatka", false},
		{"2020-08-20T17:52:14", "Europe/Moscow", true},
		{"2020-08-20T17:52:15", "Europe/Moscow", false},
		{"2020-08-21T02:52:14", "Asia/Kamchatka", true},
		{"2020-08-21T02:52:15", "Asia/Kamchatka", false},
		{"2020-08-20T03:52:14", "Pacific/Pago_Pago", true},
		{"2020-08-20T03:52:15", "Pacific/Pago_Pago", false},
		{"2020-08-22", "", false}, // too far in every zone
		{"9999-12-31", "", false},
		{"9999-12-31T23:59:59-23:59", "", false},
		{"1900-01-01", "Europe/Moscow", true}, // another rule rejects it
	} {
		date, refusal := ParseVisitDate(c.text, now)
		require.Equal(t, c.zone == "", refusal != nil, c.text)
		if c.zone != "" {
			facts := allowedFactsOutOfSchedule()
			facts.Now, facts.Target.Zone, facts.Request.Place.OutOfSchedule.Date = now, zone(c.zone), date
			refusal = rulesByName[FieldInvalid].apply(facts, facts.known())
		}
		require.Equal(t, c.accepted, refusal == nil, "%+v", c)
		if refusal != nil {
			require.Equal(t, "Поле Date: дата должна быть не позже чем через 366 дней", refusal.Message, c.text)
		}
	}
	for _, text := range []string{
		"", " ", "2019", "2019-8-21", "21.08.2019", "2019-08-21 10:30", "2019-08-21T", "2019-08-21T10", "2019-02-29",
		"2019-08-21T24:00:00",
		"2019-08-21T10:30:00+25:00", "2019-08-21T10:30:00+03", "2019-08-21T10:30:00+03:00 ", " 2019-08-21",
		"2019-08-21T10:60", "10000-01-01", "-001-01-01",
	} {
		_, refusal := ParseVisitDate(text, now)
		require.NotNil(t, refusal, text)
		require.Equal(t, "Поле Date: ожидается дата (2006-01-02) или дата и время (2006-01-02T15:04:05+03:00)", refusal.Message, text)
	}
}

// Promise: a moment has passed when it is before the current time. A day has passed when its last
// moment has. Both are in the institution's zone.
func TestVisitDatePassed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, zone, now string
		passed          bool
	}{
		{"2019-08-20", "Europe/Moscow", "2019-08-20T00:00:00+03:00", false},
		{"2019-08-20", "Europe/Moscow", "2019-08-20T23:59:59+03:00", false},
		{"2019-08-20", "Europe/Moscow", "2019-08-21T00:00:00+03:00", true},
		{"2019-08-20", "Asia/Vladivostok", "2019-08-20T13:59:59Z", false},
		{"2019-08-20", "Asia/Vladivostok", "2019-08-20T14:00:00Z", true},
		{"2014-10-26", "Europe/Moscow", "2014-10-26T20:59:59Z", false}, // the 25th hour
		{"2014-10-26", "Europe/Moscow", "2014-10-26T21:00:00Z", true},
		{"2019-08-20T10:30:00", "Europe/Moscow", "2019-08-20T10:30:00+03:00", false},
		{"2019-08-20T10:30:00", "Europe/Moscow", "2019-08-20T10:30:01+03:00", true},
		{"2019-08-20T10:30:00", "Asia/Vladivostok", "2019-08-20T00:30:01Z", true},
		{"2019-08-20T10:30:00Z", "Asia/Vladivostok", "2019-08-20T10:30:00Z", false},
		{"2019-08-20T10:30:00Z", "Asia/Vladivostok", "2019-08-20T10:30:01Z", true},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		require.NoError(t, err)
		date, refusal := ParseVisitDate(c.text, now)
		require.Nil(t, refusal)
		require.Equal(t, c.passed, date.passed(zone(c.zone), now), "%+v", c)
	}
}
