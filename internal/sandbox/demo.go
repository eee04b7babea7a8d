package sandbox

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/wire"
)

// demoFiles are messages to the registry, in the form of POST /registry/imports. Objects of the
// source's examples have the source's guids. Every other guid has the form
// de300000-KIND-4000-8000-NUMBER, where KIND is, with the content of NUMBER in brackets:
//
//	0001 legal entity            0006 card (institution's code, person)   000b hold (its cell)
//	0002 institution (its code)  0007 referral (person, number)           000c request
//	0003 client application      0008 case of treatment (person)          000d absence
//	0004 resource                0009 cell (its id)                       000f import
//	0005 person                  000a appointment
//
// The id of a cell has the form RDDCC: cell CC (from 01) of day DD (00 is the day of loading) of
// resource R.
//
//go:embed demo/*.ndjson
var demoFiles embed.FS

// demoDay is the day of loading in the files: their dates are relative to it.
var demoDay = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// regionMessages returns the messages of the region with all dates relative to now: institutions
// and their schedules, patients, referrals.
func regionMessages(now time.Time) ([]byte, error) {
	var all bytes.Buffer
	institutions, err := messages("institutions", now)
	if err != nil {
		return nil, err
	}
	all.Write(institutions)
	if err := writeSchedules(&all, now); err != nil {
		return nil, err
	}
	for _, name := range []string{"patients", "referrals"} {
		lines, err := messages(name, now)
		if err != nil {
			return nil, err
		}
		all.Write(lines)
	}
	return all.Bytes(), nil
}

// lastMessages returns the messages that follow the visits: they withdraw the cells of two visits,
// which are then in the work list, and give the rights of booking.
func lastMessages(now time.Time) ([]byte, error) {
	var all bytes.Buffer
	for _, withdrawn := range []struct{ resource, day, cell int }{{2, 9, 13}, {1, 12, 3}} {
		s := &demoSchedules[withdrawn.resource-1]
		rest := slices.Delete(s.cells(now, withdrawn.day), withdrawn.cell-1, withdrawn.cell)
		if err := s.write(&all, now, 2, withdrawn.day, 1, rest); err != nil {
			return nil, err
		}
	}
	rights, err := messages("rights", now)
	if err != nil {
		return nil, err
	}
	all.Write(rights)
	return all.Bytes(), nil
}

// messages returns the messages of a file with all dates relative to now.
func messages(file string, now time.Time) ([]byte, error) {
	content, err := demoFiles.ReadFile("demo/" + file + ".ndjson")
	if err != nil {
		return nil, fmt.Errorf("read the demo data: %w", err)
	}
	var lines []byte
	for line := range bytes.Lines(content) {
		lines = append(lines, relativeTo(now, line)...)
	}
	return lines, nil
}

var (
	dates   = regexp.MustCompile(`"\d{4}-\d{2}-\d{2}`)
	offsets = regexp.MustCompile(`T\d{2}:\d{2}:\d{2}([+-]\d{2}:\d{2})"`)
)

// relativeTo moves all dates of a line by the days from demoDay until today, which is the day in
// the zone of the line's times, or else of Moscow.
func relativeTo(now time.Time, line []byte) []byte {
	local := now.In(moscowTime)
	if offset := offsets.FindSubmatch(line); offset != nil {
		if zone, err := time.Parse("-07:00", string(offset[1])); err == nil {
			local = now.In(zone.Location())
		}
	}
	today := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
	days := int(today.Sub(demoDay) / (24 * time.Hour))
	return dates.ReplaceAllFunc(line, func(quoted []byte) []byte {
		date, err := time.Parse(`"`+time.DateOnly, string(quoted))
		if err != nil {
			return quoted
		}
		return date.AddDate(0, 0, days).AppendFormat(nil, `"`+time.DateOnly)
	})
}

// The schedules: 16 cells of 15 minutes a day, for 14 days including weekends, so that the day of
// example 1 is always a working day.
const (
	demoDays   = 14
	demoCells  = 16
	cellLength = 15 * time.Minute
)

var (
	moscowTime        = time.FixedZone("", 3*60*60)
	yekaterinburgTime = time.FixedZone("", 5*60*60)
)

// demoSchedule is the schedule of a resource.
type demoSchedule struct {
	resource    int // number in its guid, and in the ids of its cells
	lpu         uuid.UUID
	zone        *time.Location
	opens       int // hour
	capacity    int32
	restriction api.ScheduleCellRequestRestriction
}

var demoSchedules = func() []demoSchedule {
	var (
		a, b = exampleSource, exampleTarget
		v, g = documentedInstitutions[2], documentedInstitutions[3]
		d, e = numbered("0002", 1005), numbered("0002", 1006)
	)
	return []demoSchedule{
		{1, b, moscowTime, 8, 1, ""}, // example 1
		{2, b, moscowTime, 8, 1, ""}, // a cell for every rule, see specialCells
		{3, b, moscowTime, 14, 1, ""},
		{4, b, moscowTime, 14, 3, ""},
		{5, b, moscowTime, 8, 1, ""},
		{6, b, moscowTime, 8, 1, ""},
		{7, a, moscowTime, 8, 1, ""},
		{8, a, moscowTime, 14, 1, ""},
		{9, g, yekaterinburgTime, 8, 1, ""}, // example 2
		{10, g, yekaterinburgTime, 8, 1, ""},
		{11, g, yekaterinburgTime, 14, 1, ""},
		{12, d, moscowTime, 8, 1, ""},
		{13, e, moscowTime, 8, 1, api.ScheduleCellRequestRestrictionChildren},
		{14, e, moscowTime, 14, 3, api.ScheduleCellRequestRestrictionHealthyChildren},
		{15, v, yekaterinburgTime, 14, 1, ""},
		{16, b, moscowTime, 8, 1, ""}, // stale
	}
}()

// specialCells change the cells CC of resource 2 on every day: one for every rule. Cell 14 is taken
// on day 9; 15 and 16 are like those of other resources.
var specialCells = map[int]func(*api.ScheduleCellRequest){
	1:  restrict(api.ScheduleCellRequestRestrictionAdults),
	2:  restrict(api.ScheduleCellRequestRestrictionChildren),
	3:  restrict(api.ScheduleCellRequestRestrictionInfants),
	4:  restrict(api.ScheduleCellRequestRestrictionDisabled),
	5:  restrict(api.ScheduleCellRequestRestrictionPregnant),
	6:  restrict(api.ScheduleCellRequestRestrictionHealthyChildren),
	7:  func(c *api.ScheduleCellRequest) { c.Blocked = new(true) },
	8:  func(c *api.ScheduleCellRequest) { c.FlagAccess = 0 },
	9:  func(c *api.ScheduleCellRequest) { c.BusyType = 2 },   // a break, no reception
	10: func(c *api.ScheduleCellRequest) { c.FlagAccess = 1 }, // for the registry
	11: func(c *api.ScheduleCellRequest) { c.FlagAccess = 2 }, // for the institution's own doctors
	12: func(c *api.ScheduleCellRequest) { c.FlagAccess = 4 }, // for the internet
	13: func(c *api.ScheduleCellRequest) { c.Capacity = 3 },   // for three patients at once
}

func restrict(to api.ScheduleCellRequestRestriction) func(*api.ScheduleCellRequest) {
	return func(c *api.ScheduleCellRequest) { c.Restriction = &to }
}

// writeSchedules writes the schedules relative to now: a message of a fortnight for each resource,
// and those of the cells 20000, which was yesterday, and 23001 and 83001, 30 days ahead.
func writeSchedules(lines *bytes.Buffer, now time.Time) error {
	for i := range demoSchedules {
		s := &demoSchedules[i]
		var cells []api.ScheduleCellRequest
		for day := range demoDays {
			cells = append(cells, s.cells(now, day)...)
		}
		if err := s.write(lines, now, 1, 0, demoDays, cells); err != nil {
			return err
		}
	}
	for _, single := range []struct {
		resource, day int
		id            int64
	}{{2, -1, 20000}, {2, 30, 23001}, {8, 30, 83001}} {
		s := &demoSchedules[single.resource-1]
		cell := s.cell(now, single.day, 1)
		cell.ID, cell.GUID, cell.Restriction = &single.id, numbered("0009", int(single.id)), nil
		if err := s.write(lines, now, 1, single.day, 1, []api.ScheduleCellRequest{cell}); err != nil {
			return err
		}
	}
	return nil
}

// resourceGuid returns the guid of a resource. That of example 2 has the source's.
func resourceGuid(number int) uuid.UUID {
	if number == 9 {
		return uuid.MustParse("b0666870-c5b7-4e38-a959-0f17bc50a3cf")
	}
	return numbered("0004", number)
}

// day returns the beginning of a day of the demo in the zone of the institution.
func (s *demoSchedule) day(now time.Time, day int) time.Time {
	y, m, d := now.In(s.zone).Date()
	return time.Date(y, m, d+day, 0, 0, 0, 0, s.zone)
}

// cells returns the cells of a day.
func (s *demoSchedule) cells(now time.Time, day int) []api.ScheduleCellRequest {
	cells := make([]api.ScheduleCellRequest, demoCells)
	for i := range cells {
		cells[i] = s.cell(now, day, i+1)
	}
	return cells
}

// cell returns a cell of a day. The cell of example 1 has the source's id.
func (s *demoSchedule) cell(now time.Time, day, number int) api.ScheduleCellRequest {
	id := int64(s.resource*10000 + day*100 + number)
	if s.resource == 1 && day == 7 && number == 4 {
		id = FirstExampleSlotID
	}
	start := s.day(now, day).Add(time.Duration(s.opens)*time.Hour + time.Duration(number-1)*cellLength)
	cell := api.ScheduleCellRequest{
		GUID: numbered("0009", int(id)), ID: &id, Start: start, End: start.Add(cellLength),
		Capacity: s.capacity, FlagAccess: int32(booking.AccessAll), BusyType: 1,
		Restriction: wire.NilIfZero(s.restriction),
	}
	if change := specialCells[number]; s.resource == 2 && change != nil {
		change(&cell)
	}
	return cell
}

// write writes a message with the cells of days, of which first is the first.
func (s *demoSchedule) write(
	lines *bytes.Buffer, now time.Time, version int64, first, days int, cells []api.ScheduleCellRequest,
) error {
	period := url.Values{
		"from": {s.day(now, first).Format(time.RFC3339)}, "to": {s.day(now, first+days).Format(time.RFC3339)},
	}
	message := struct {
		Method string              `json:"Method"`
		Path   string              `json:"Path"`
		Body   api.ScheduleRequest `json:"Body"`
	}{
		http.MethodPut,
		fmt.Sprintf("/registry/lpus/%s/resources/%s/schedule?%s", s.lpu, resourceGuid(s.resource), period.Encode()),
		api.ScheduleRequest{Version: version, Cells: cells},
	}
	if err := json.NewEncoder(lines).Encode(message); err != nil {
		return fmt.Errorf("write a schedule of the demo: %w", err)
	}
	return nil
}
