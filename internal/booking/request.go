package booking

import (
	"sort"
	"time"

	"github.com/google/uuid"
)

// Patient is the person for whom a client application acts: that of the COD token, or for an
// institution the one that it names.
type Patient struct {
	Person uuid.UUID // guid in the master patient index (МИП)
	Client uuid.UUID // the client application that the token was issued to
	Desk   uuid.UUID // the institution that acts for the person; the zero guid if the person acts
}

// DirectionType is the type of a referral (Тип направления). The zero value means an unsupported
// type.
type DirectionType string

// The supported types.
const (
	Consult    DirectionType = "Consult"    // консультация
	Laboratory DirectionType = "Laboratory" // исследование
)

// ParseDirectionType returns the type that a client sent, or the zero value for an unsupported one,
// which a rule rejects.
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

// Request is a request for an appointment by referral.
type Request struct {
	Direction  uuid.UUID
	Type       DirectionType
	LpuFrom    uuid.UUID
	LpuTo      uuid.UUID
	Place      Place
	Difficulty int // number of adjacent cells, 1 to 16; 1 out of schedule
	Comment    string
	IsCito     bool
}

// Place is the cell, or the resource and date, to book. Exactly one field is set.
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

// VisitDate is the requested date of a visit out of schedule: a moment, a local time or a day.
type VisitDate struct {
	// reading is the moment, or for a local time and a day the clock reading in the target
	// institution, stored as UTC until the zone is known.
	reading time.Time
	form    visitDateForm
}

type visitDateForm int

const (
	formMoment visitDateForm = iota
	formLocalTime
	formDay
)

// VisitDateHorizon is how far ahead a visit out of schedule may begin. It rejects typing errors
// such as the year 9999.
const VisitDateHorizon = 366 * 24 * time.Hour

var visitDateLayouts = []struct {
	layout string
	form   visitDateForm
}{
	{time.RFC3339, formMoment},
	{"2006-01-02T15:04Z07:00", formMoment},
	{"2006-01-02T15:04:05", formLocalTime},
	{"2006-01-02T15:04", formLocalTime},
	{time.DateOnly, formDay},
}

// ParseVisitDate parses a date-time with an offset, a local date-time, or a date. It rejects any
// other text, a day that does not exist, and a date that is further ahead of now than
// VisitDateHorizon in every zone. A rule checks the horizon in the institution's zone.
func ParseVisitDate(text string, now time.Time) (VisitDate, *Refusal) {
	const field = "Date"
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

// In returns the visit's start and end in the institution's zone. A day ends when the next day
// starts. A visit at a given time has no known length, so that end equals start. Of a local time
// that the clocks repeat, start is the earlier moment.
func (d VisitDate) In(zone *time.Location) (start, end time.Time) {
	switch d.form {
	case formDay:
		return StartOfDay(d.reading, zone), StartOfDay(d.reading.AddDate(0, 0, 1), zone)
	case formLocalTime:
		start, _ = momentOf(d.reading, zone)
		return start, start
	default:
		start = d.reading.In(zone)
		return start, start
	}
}

// passed reports whether the visit would begin before now. A day has passed when it is over.
func (d VisitDate) passed(zone *time.Location, now time.Time) bool {
	start, end := d.In(zone)
	if d.form == formDay {
		return !end.After(now)
	}
	return start.Before(now)
}

// problem returns why no visit can begin at the date in the institution's zone: the clocks skip the
// local time, or it is later than VisitDateHorizon after now. It returns nil if a visit can.
func (d VisitDate) problem(zone *time.Location, now time.Time) *Problem {
	if d.form == formLocalTime {
		if _, exists := momentOf(d.reading, zone); !exists {
			return &ProblemSkippedTime
		}
	}
	if start, _ := d.In(zone); start.After(now.Add(VisitDateHorizon)) {
		return &ProblemTooFarAhead
	}
	return nil
}

// momentOf returns the earliest moment at which the clocks of the zone show the reading. exists is
// false if they skip the reading; the moment is then after the gap.
func momentOf(reading time.Time, zone *time.Location) (moment time.Time, exists bool) {
	_, before := reading.Add(-farthestFromUTC).In(zone).Zone()
	_, after := reading.Add(farthestFromUTC).In(zone).Zone()
	for _, offset := range []int{before, after} {
		moment = reading.Add(-time.Duration(offset) * time.Second).In(zone)
		if _, actual := moment.Zone(); actual == offset {
			return moment, true
		}
	}
	return reading.Add(-time.Duration(before) * time.Second).In(zone), false
}

// farthestFromUTC is more than the offset of any zone.
const farthestFromUTC = 16 * time.Hour

// StartOfDay returns the first moment of a day in a zone. That is midnight, unless the clocks skip
// midnight or show it twice. For such days, time.Date may return a moment of the day before, or the
// second midnight.
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
