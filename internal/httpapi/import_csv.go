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

	"github.com/getkin/kin-openapi/openapi3"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/registry"
)

// csvOperations are the operations that the rows of a CSV file stand for, by what a row is.
var csvOperations = map[api.CreateImportParamsOf]string{
	api.CreateImportParamsOfCells:         "putSchedule",
	api.CreateImportParamsOfLegalEntities: "putLegalEntity",
	api.CreateImportParamsOfInstitutions:  "putLpu",
	api.CreateImportParamsOfResources:     "putResource",
	api.CreateImportParamsOfPersons:       "putPerson",
	api.CreateImportParamsOfCards:         "putCard",
	api.CreateImportParamsOfCases:         "putCase",
	api.CreateImportParamsOfReferrals:     "putReferral",
}

// CSVObjects returns what a row of a CSV file can be.
func CSVObjects() []string {
	var objects []string
	for of := range csvOperations {
		objects = append(objects, string(of))
	}
	slices.Sort(objects)
	return objects
}

// Columns of a CSV file that are not fields of a body.
const (
	versionColumn = "Version"
	startColumn   = "Start"
	guidColumn    = "Guid"
)

// csvSource returns the messages of a CSV file. A row becomes a message, or, of cells, the
// consecutive rows of one resource and one day do.
type csvSource struct {
	limited *recordLimit
	records *csv.Reader
	columns []string
	cells   bool
	path    string           // with the columns of the guids in braces
	body    *openapi3.Schema // of a row
	version int64            // of rows without one
	next    *csvRow          // read, and not part of a message yet
}

// csvRow is a row.
type csvRow struct {
	line    int64
	path    string
	version any // as text if it is no number
	// day is the midnight before the start of a cell, in its offset; the zero time if the start is
	// no moment. The validation of the message then finds it.
	day    time.Time
	values map[string]string // of the other columns, without empty ones
}

// NewCSV returns the messages of a CSV file. of says what a row is; version is that of rows without
// one. It rejects with registry.BadLine if the file has no readable header.
func NewCSV(file io.Reader, of api.CreateImportParamsOf, version int64) (registry.MessageSource, error) {
	path, operation, err := server.Operation(csvOperations[of])
	if err != nil {
		return nil, err
	}
	for _, parameter := range operation.Parameters {
		name := parameter.Value.Name
		path = strings.ReplaceAll(path, "{"+name+"}", "{"+strings.ToUpper(name[:1])+name[1:]+"}")
	}
	body := operation.RequestBody.Value.Content.Get("application/json").Schema.Value
	cells := of == api.CreateImportParamsOfCells
	if cells {
		body = body.Properties["Cells"].Value.Items.Value
	}
	limited := &recordLimit{file: bufio.NewReader(file), left: registry.MaxMessage}
	s := &csvSource{
		limited: limited, records: csv.NewReader(limited), cells: cells, path: path, body: body, version: version,
	}
	s.records.Comma = limited.separator()
	s.records.FieldsPerRecord = -1 // the validation of the message names missing fields
	if s.columns, err = s.read(); errors.Is(err, io.EOF) {
		return nil, registry.BadLine(1, booking.ProblemNoLines)
	} else if err != nil {
		return nil, err
	}
	return s, nil
}

// Next implements registry.MessageSource.
func (s *csvSource) Next() (registry.Message, error) {
	first, err := s.take()
	if err != nil {
		return registry.Message{}, err
	}
	if s.cells {
		return s.nextDay(first)
	}
	body := s.fields(first)
	body[versionColumn] = first.version
	return encodeMessage(first.line, first.path, body)
}

// nextDay returns the message of first and of the next rows of the same resource and day.
func (s *csvSource) nextDay(first *csvRow) (registry.Message, error) {
	cells := []map[string]any{}
	for row := first; ; {
		if row.values[guidColumn] != "" || row.day.IsZero() {
			cells = append(cells, s.fields(row))
		}
		next, err := s.peek()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return registry.Message{}, err
		}
		if next.path != first.path || next.version != first.version || next.day.IsZero() || !next.day.Equal(first.day) {
			break
		}
		if row, err = s.take(); err != nil {
			return registry.Message{}, err
		}
	}
	from := first.day
	if from.IsZero() {
		from = time.Unix(0, 0).UTC()
	}
	period := url.Values{"from": {from.Format(time.RFC3339)}, "to": {from.AddDate(0, 0, 1).Format(time.RFC3339)}}
	body := map[string]any{versionColumn: first.version, "Cells": cells}
	return encodeMessage(first.line, first.path+"?"+period.Encode(), body)
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
	line, _ := s.records.FieldPos(0)
	row := &csvRow{line: int64(line), version: s.version, values: make(map[string]string, len(record))}
	for i, value := range record {
		column := fmt.Sprintf("Column%d", i+1) // unknown, which the validation of the message finds
		if i < len(s.columns) {
			column = s.columns[i]
		}
		if value != "" {
			row.values[column] = value
		}
	}
	segments := strings.Split(s.path, "/")
	for i, segment := range segments {
		if column, isColumn := strings.CutPrefix(segment, "{"); isColumn {
			column = strings.TrimSuffix(column, "}")
			segments[i] = url.PathEscape(row.values[column])
			delete(row.values, column)
		}
	}
	row.path = strings.Join(segments, "/")
	if text, given := row.values[versionColumn]; given {
		row.version = typed(openapi3.NewInt64Schema(), text)
		delete(row.values, versionColumn)
	}
	if start, err := time.Parse(time.RFC3339, row.values[startColumn]); err == nil {
		year, month, day := start.Date()
		row.day = time.Date(year, month, day, 0, 0, 0, 0, start.Location())
	}
	s.next = row
	return row, nil
}

// fields returns the body of a row.
func (s *csvSource) fields(row *csvRow) map[string]any {
	fields := map[string]any{}
	for _, column := range slices.Sorted(maps.Keys(row.values)) { // elements of lists in their order
		setField(fields, s.body, strings.Split(column, "."), row.values[column])
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

// setField sets a field of a body. A path with three parts is a field of an element of a list,
// whose index is the second. A field that does not exist is set as it is named, which the
// validation of the message finds.
func setField(object map[string]any, schema *openapi3.Schema, path []string, value string) {
	field := schema.Properties[path[0]]
	switch {
	case len(path) == 1 && field != nil:
		object[path[0]] = typed(field.Value, value)
	case len(path) == 3 && field != nil && field.Value.Items != nil:
		list, _ := object[path[0]].([]any)
		index, err := strconv.Atoi(path[1])
		if err == nil && index == len(list) {
			list = append(list, map[string]any{})
			object[path[0]] = list
		}
		if err == nil && 0 <= index && index < len(list) {
			element, _ := list[index].(map[string]any)
			setField(element, field.Value.Items.Value, path[2:], value)
			return
		}
		fallthrough
	default:
		object[strings.Join(path, ".")] = value
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
