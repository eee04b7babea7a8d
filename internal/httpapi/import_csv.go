package httpapi

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/registry"
)

// csvSource returns the messages of a CSV file. A row becomes a message, or, of cells, the
// consecutive rows of one resource and one day do.
type csvSource struct {
	csvFormat

	limited *recordLimit
	records *csv.Reader
	names   []string    // the header
	columns []csvColumn // of those, the fields of a body
	version int64       // of rows without one
	next    *csvRow     // read, and not part of a message yet
	days    seenDays
	// stray are rows after the current day whose resource or day is not known. Its next row may
	// follow them.
	stray []registry.Message
}

// maxStray bounds the rows without a resource or a day between rows of a day.
const maxStray = 100

// csvRow is a row.
type csvRow struct {
	line    int64
	path    string // empty if a guid in it is missing or malformed
	version any    // as text if it is no number
	// day is the midnight before the start of a cell, in its offset; the zero time if the start is
	// no moment.
	day     time.Time
	values  map[string]string // by column, without empty ones
	problem *booking.FieldProblem
}

// reject sets the problem of a row that has none.
func (r *csvRow) reject(column string, problem booking.Problem) {
	if r.problem == nil {
		r.problem = &booking.FieldProblem{Problem: problem, Name: server.Shorten(column)}
	}
}

// bad returns the message of a row with a problem.
func (r *csvRow) bad() registry.Message { return registry.Message{Line: r.line, Problem: r.problem} }

// NewCSV returns the messages of a CSV file. of says what a row is; version is that of rows without
// one. It rejects with registry.BadLine if the file has no readable header, and with FieldInvalid
// if columns are missing, unknown or repeated.
func NewCSV(file io.Reader, of api.CreateImportParamsOf, version int64) (registry.MessageSource, error) {
	format, err := newCSVFormat(of)
	if err != nil {
		return nil, err
	}
	limited := &recordLimit{file: bufio.NewReader(file), left: registry.MaxMessage}
	s := &csvSource{
		csvFormat: format, limited: limited, records: csv.NewReader(limited), version: version,
		days: newSeenDays(rememberedDays),
	}
	s.records.Comma = limited.separator()
	s.records.FieldsPerRecord = -1 // the validation of the message names missing fields
	if s.names, err = s.read(); errors.Is(err, io.EOF) {
		return nil, registry.BadLine(1, booking.ProblemNoLines)
	} else if err != nil {
		return nil, err
	}
	if s.columns, err = s.header(s.names); err != nil {
		return nil, err
	}
	return s, nil
}

// Next implements registry.MessageSource. It rejects with registry.BadLine if the rows of a
// resource and a day do not follow each other.
func (s *csvSource) Next() (registry.Message, error) {
	if len(s.stray) > 0 {
		first := s.stray[0]
		s.stray = s.stray[1:]
		return first, nil
	}
	first, err := s.take()
	switch {
	case err != nil:
		return registry.Message{}, err
	case s.cells && first.placed():
		return s.nextDay(first)
	case first.problem != nil:
		return first.bad(), nil
	}
	body := s.fields(first)
	body[versionColumn] = first.version
	return encodeMessage(first.line, first.path, body)
}

// placed reports whether the resource and the day of a cell are known.
func (r *csvRow) placed() bool { return r.path != "" && !r.day.IsZero() }

// nextDay returns the message of first and of the next rows of the same resource and day.
func (s *csvSource) nextDay(first *csvRow) (registry.Message, error) {
	if s.days.add(first.path, first.day) {
		return registry.Message{}, registry.BadLine(first.line, booking.ProblemUnsorted)
	}
	day := csvDay{csvSource: s, first: first, cells: []map[string]any{}}
	day.add(first)
	for {
		next, err := s.peek()
		switch {
		case errors.Is(err, io.EOF):
			return day.message()
		case err != nil:
			return registry.Message{}, err
		case next.path == first.path && next.day.Equal(first.day):
			if len(s.stray) > 0 && day.bad == nil {
				day.bad = &s.stray[0] // it may be a row of the day
			}
			s.stray = nil
			day.add(next)
		case !next.placed() && len(s.stray) < maxStray:
			s.stray = append(s.stray, next.bad())
		default:
			return day.message()
		}
		s.next = nil
	}
}

// csvDay is the rows of a resource and a day. If one of them is bad, all are: the others alone
// would withdraw its cell.
type csvDay struct {
	*csvSource

	first *csvRow
	cells []map[string]any
	size  int
	bad   *registry.Message // the first bad row
}

func (d *csvDay) add(row *csvRow) {
	if d.bad != nil {
		return
	}
	for _, value := range row.values {
		d.size += len(value)
	}
	switch {
	case row.version != d.first.version:
		row.reject(versionColumn, booking.ProblemDayDiffers)
	case row.values[onBookedColumn] != d.first.values[onBookedColumn]:
		row.reject(onBookedColumn, booking.ProblemDayDiffers)
	case len(d.cells) == d.mostCells:
		row.reject(cellsField, booking.ProblemTooMany(uint64(d.mostCells)))
	case d.size > registry.MaxMessage:
		row.reject(cellsField, booking.ProblemTooLong(registry.MaxMessage))
	}
	switch {
	case row.problem != nil:
		d.bad = new(row.bad())
	case row.values[guidColumn] != "":
		d.cells = append(d.cells, d.fields(row))
	}
}

// message returns the message of the day.
func (d *csvDay) message() (registry.Message, error) {
	if d.bad != nil {
		return *d.bad, nil
	}
	from := d.first.day
	period := url.Values{"from": {from.Format(time.RFC3339)}, "to": {from.AddDate(0, 0, 1).Format(time.RFC3339)}}
	body := map[string]any{versionColumn: d.first.version, cellsField: d.cells}
	if onBooked, given := d.first.values[onBookedColumn]; given {
		body[onBookedColumn] = onBooked
	}
	return encodeMessage(d.first.line, d.first.path+"?"+period.Encode(), body)
}

// take returns the next row, or io.EOF.
func (s *csvSource) take() (*csvRow, error) {
	row, err := s.peek()
	s.next = nil
	return row, err
}

// peek returns the next row, which stays the next, or io.EOF.
func (s *csvSource) peek() (*csvRow, error) {
	if s.next != nil {
		return s.next, nil
	}
	record, err := s.read()
	if err != nil {
		return nil, err
	}
	s.next = s.row(record)
	return s.next, nil
}

// row returns the row of a record.
func (s *csvSource) row(record []string) *csvRow {
	line, _ := s.records.FieldPos(0)
	row := &csvRow{line: int64(line), path: s.path, version: s.version, values: make(map[string]string, len(record))}
	for i, value := range record {
		switch {
		case value == "":
		case i >= len(s.names):
			row.reject(unnamedColumn(i), booking.ProblemUnknown)
		case !utf8.ValidString(value):
			row.reject(s.names[i], booking.ProblemCharacters)
		default:
			row.values[s.names[i]] = value
		}
	}
	for _, column := range s.inPath {
		text, given := row.values[column]
		guid, err := uuid.Parse(text)
		switch {
		case !given:
			row.reject(column, booking.ProblemMissing)
			row.path = ""
		case err != nil || len(text) != len(guid.String()): // it also parses other forms
			row.reject(column, booking.ProblemNotGuid)
			row.path = ""
		default:
			row.path = strings.Replace(row.path, "{"+column+"}", guid.String(), 1)
		}
	}
	if text, given := row.values[versionColumn]; given {
		row.version = typed(openapi3.NewInt64Schema(), text)
	}
	if s.cells {
		s.placeCell(row)
	}
	return row
}

// placeCell sets the day of a row, and rejects one that is neither a cell nor an empty day.
func (s *csvSource) placeCell(row *csvRow) {
	text, given := row.values[startColumn]
	start, err := time.Parse(time.RFC3339, text)
	switch {
	case !given:
		row.reject(startColumn, booking.ProblemMissing)
	case err != nil || start.Year() <= 1: // the zero time is no day
		row.reject(startColumn, booking.ProblemNotMoment)
	default:
		year, month, day := start.Date()
		row.day = time.Date(year, month, day, 0, 0, 0, 0, start.Location())
	}
	isCell := slices.ContainsFunc(s.columns, func(column csvColumn) bool {
		return column.name != startColumn && row.values[column.name] != ""
	})
	if isCell && row.values[guidColumn] == "" {
		row.reject(guidColumn, booking.ProblemMissing)
	}
}

// fields returns the body of a row. Elements of lists without a value are left out.
func (s *csvSource) fields(row *csvRow) map[string]any {
	fields := map[string]any{}
	lists := map[string]map[int]map[string]any{}
	for _, column := range s.columns {
		text, given := row.values[column.name]
		switch {
		case !given:
			continue
		case column.list == "":
			fields[column.field] = typed(column.schema, text)
			continue
		case lists[column.list] == nil:
			lists[column.list] = map[int]map[string]any{}
		}
		elements := lists[column.list]
		if elements[column.index] == nil {
			elements[column.index] = map[string]any{}
		}
		elements[column.index][column.field] = typed(column.schema, text)
	}
	for list, elements := range lists {
		ordered := make([]map[string]any, 0, len(elements))
		for _, index := range slices.Sorted(maps.Keys(elements)) {
			ordered = append(ordered, elements[index])
		}
		fields[list] = ordered
	}
	return fields
}

// read returns the next record, or io.EOF. It rejects a record that is no CSV or too long with
// registry.BadLine, which names the line on which the record begins.
func (s *csvSource) read() ([]string, error) {
	s.limited.left = registry.MaxMessage
	record, err := s.records.Read()
	syntax := new(csv.ParseError)
	switch {
	case s.limited.exceeded:
		line := 1
		if errors.As(err, &syntax) {
			line = syntax.StartLine
		} else if len(record) > 0 {
			line, _ = s.records.FieldPos(0)
		}
		return nil, registry.BadLine(int64(line), booking.ProblemOpenQuote)
	case errors.As(err, &syntax):
		return nil, registry.BadLine(int64(syntax.StartLine), booking.ProblemNotCSV)
	default:
		return record, err //nolint:wrapcheck // the reader's error, or io.EOF
	}
}

// typed returns a value as the type of its schema, or unchanged if it is of another one.
func typed(schema *openapi3.Schema, value string) any {
	switch {
	case schema.Type.Is("integer"):
		if number, err := strconv.ParseInt(value, 10, 64); err == nil {
			return number
		}
	case schema.Type.Is("boolean"):
		if truth, err := strconv.ParseBool(value); err == nil {
			return truth
		}
	}
	return value
}

func encodeMessage(line int64, path string, body map[string]any) (registry.Message, error) {
	encoded, err := json.Marshal(map[string]any{"Method": "PUT", "Path": path, "Body": body})
	if err != nil {
		return registry.Message{}, fmt.Errorf("encode a row as a message: %w", err)
	}
	return registry.Message{Line: line, Content: encoded}, nil
}

// recordLimit bounds the bytes that are read for one record, because an open quote would read the
// whole file. A record that exceeds it ends the file, so that the CSV reader names its line.
type recordLimit struct {
	file     *bufio.Reader
	left     int
	exceeded bool
}

// separator skips a byte order mark, and returns the separator of the columns in the header.
func (l *recordLimit) separator() rune {
	const byteOrderMark = "\xef\xbb\xbf"
	header, _ := l.file.Peek(headerBytes) // the first read finds an error
	if bytes.HasPrefix(header, []byte(byteOrderMark)) {
		_, _ = l.file.Discard(len(byteOrderMark)) // it is buffered
	}
	header, _, _ = bytes.Cut(header, []byte{'\n'})
	if bytes.ContainsRune(header, ';') && !bytes.ContainsRune(header, ',') {
		return ';'
	}
	return ','
}

// headerBytes is how much of the header is looked at for its separator.
const headerBytes = 1024

func (l *recordLimit) Read(p []byte) (int, error) {
	if l.left <= 0 {
		l.exceeded = true
		return 0, io.EOF
	}
	n, err := l.file.Read(p)
	l.left -= n
	return n, err //nolint:wrapcheck // a reader passes errors on
}
