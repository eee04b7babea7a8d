package booking

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Promise: for every text of a date the parser returns a refusal that names the field, or a visit
// within the horizon. The visit never ends before it starts, in any zone.
func FuzzParseVisitDate(f *testing.F) {
	for _, seed := range []string{
		"2023-10-21", "2023-10-21T09:30", "2023-10-21T09:30:00", "2023-10-21T09:30:00+03:00", "2023-10-21T09:30Z",
		"2020-02-31", "9999-12-31",
		"0000-01-01", "2023-10-21T24:00:00", "2023-10-21T09:30:00.123456789-23:59", "завтра", "",
	} {
		f.Add(seed)
	}
	now := time.Date(2023, 10, 20, 12, 0, 0, 0, time.UTC)
	zones := make([]*time.Location, 0, 4)
	for _, name := range []string{"Europe/Kaliningrad", "Asia/Kamchatka", "Pacific/Apia", "UTC"} {
		zone, err := time.LoadLocation(name)
		require.NoError(f, err)
		zones = append(zones, zone)
	}
	f.Fuzz(func(t *testing.T, text string) {
		date, refusal := ParseVisitDate(text, now)
		if refusal != nil {
			require.Equal(t, FieldInvalid, refusal.Rule)
			require.Contains(t, refusal.Message, "Date")
			return
		}
		for _, zone := range zones {
			start, end := date.In(zone)
			require.False(t, end.Before(start))
			// Equal readings of a clock in two zones are up to a day apart.
			require.False(t, start.After(now.Add(VisitDateHorizon+26*time.Hour)))
			require.Less(t, end.Year(), 2100)
			if date.passed(zone, now) {
				require.True(t, start.Before(now))
			}
		}
	})
}
