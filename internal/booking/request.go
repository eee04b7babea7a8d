package booking

import (
	"sort"
	"time"

	"github.com/google/uuid"
)

// Patient is who asks: the person that the COD token names, through the client application that it was given to.
type Patient struct {
	Person uuid.UUID // in the master patient index (МИП)
	Client uuid.UUID
}

// DirectionType is the type of a referral (Тип направления). The zero value stands for one that is not supported.
type DirectionType string

// The supported types.
const (
	Consult    DirectionType = "Consult"    // консультация
	Laboratory DirectionType = "Laboratory" // исследование
)

// ParseDirectionType reads the type as clients write it; anything else is not supported, which a rule refuses.
func ParseDirectionType(text string) DirectionType {
	switch text {
	case "Consult", "consult":
		return Consult
	case "Laboratory", "laboratory":
		return Laboratory
	default:
		return ""
	}
}

// Request asks for an appointment by referral.
type Request struct {
	Direction  uuid.UUID
	Type       DirectionType
	LpuFrom    uuid.UUID
	LpuTo      uuid.UUID
	Place      Place
	Difficulty int // how many adjacent cells, 1 to 16; 1 out of schedule
	Comment    string
	IsCito     bool
}

// Place is where and when to book. Exactly one of the three is given.
type Place struct {
	SlotID        int64
	SlotGuid      uuid.UUID
	OutOfSchedule *OutOfSchedule
}

// OutOfSchedule is a visit without a cell (вне расписания).
type OutOfSchedule struct {
	Resource uuid.UUID
	Date     VisitDate
}

// VisitDate is when a visit out of schedule is wanted, as the client wrote it: a moment, a local time, or a day.
type VisitDate struct {
	// For a moment, the moment; else the clock's reading in the target institution, kept in UTC until its zone is known.
	reading time.Time
	form    visitDateForm
}

type visitDateForm int

const (
	aMoment visitDateForm = iota
	aLocalTime
	aDay
)

// VisitDateHorizon is how far ahead a visit out of schedule may lie. It keeps typing errors such as the year 9999 out of the schedule.
const VisitDateHorizon = 366 * 24 * time.Hour

var visitDateLayouts = []struct {
	layout string
	form   visitDateForm
}{
	{time.RFC3339, aMoment},
	{"2006-01-02T15:04Z07:00", aMoment},
	{"2006-01-02T15:04:05", aLocalTime},
	{"2006-01-02T15:04", aLocalTime},
	{time.DateOnly, aDay},
}

// ParseVisitDate reads a date-time with an offset, a local date-time, or a date. It refuses what is none of these, a day that does not
// exist, and what lies further ahead of now than VisitDateHorizon in every zone; whether it does in the institution's, a rule tells.
func ParseVisitDate(text string, now time.Time) (VisitDate, *Refusal) {
	return ParseDate("Date", text, now)
}

// ParseDate does the same for a field of another name.
func ParseDate(field, text string, now time.Time) (VisitDate, *Refusal) {
	for _, known := range visitDateLayouts {
		reading, err := time.Parse(known.layout, text)
		if err != nil {
			continue
		}
		if reading.After(now.Add(VisitDateHorizon + farthestFromUTC)) {
			return VisitDate{}, InvalidField(field, ProblemTooFarAhead)
		}
		return VisitDate{reading, known.form}, nil
	}
	return VisitDate{}, InvalidField(field, ProblemNotVisitDate)
}

// In gives the visit's start and end in the institution's zone. A day lasts until the next one starts; the length of a visit at a
// given time is not known, so that it ends as it starts.
func (d VisitDate) In(zone *time.Location) (start, end time.Time) {
	switch d.form {
	case aDay:
		return StartOfDay(d.reading, zone), StartOfDay(d.reading.AddDate(0, 0, 1), zone)
	case aLocalTime:
		y, m, day := d.reading.Date()
		hour, minute, second := d.reading.Clock()
		start = time.Date(y, m, day, hour, minute, second, 0, zone)
		return start, start
	default:
		start = d.reading.In(zone)
		return start, start
	}
}

// passed tells whether the visit would have begun before now: a day has not until it is over.
func (d VisitDate) passed(zone *time.Location, now time.Time) bool {
	start, end := d.In(zone)
	if d.form == aDay {
		return !end.After(now)
	}
	return start.Before(now)
}

// tooFar tells whether the visit would begin further ahead of now than it may.
func (d VisitDate) tooFar(zone *time.Location, now time.Time) bool {
	start, _ := d.In(zone)
	return start.After(now.Add(VisitDateHorizon))
}

// farthestFromUTC is more than any clock ever was.
const farthestFromUTC = 16 * time.Hour

// StartOfDay gives the first moment of a day in a zone. That is its midnight, but where the clocks skip midnight, or show it twice, time.Date may answer
// a moment of the day before, or the second of the two.
func StartOfDay(day time.Time, zone *time.Location) time.Time {
	y, m, d := day.Date()
	midnight := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	earliest := midnight.Add(-farthestFromUTC).In(zone)
	seconds := sort.Search(int(2*farthestFromUTC/time.Second), func(n int) bool {
		y, m, d := earliest.Add(time.Duration(n) * time.Second).Date()
		return !time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Before(midnight)
	})
	return earliest.Add(time.Duration(seconds) * time.Second)
}
