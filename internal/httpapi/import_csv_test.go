package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/registry"
)

const (
	csvLpu      = "7a000000-0002-4000-8000-000000000001"
	csvResource = "7a000000-0004-4000-8000-000000000001"
	csvCell     = "7a000000-0009-4000-8000-000000000001"
)

// readCSV returns the messages of a file as texts: "line problem", or "line path body".
func readCSV(of api.CreateImportParamsOf, file string) (messages []string, _ error) {
	source, err := NewCSV(strings.NewReader(file), of, 7)
	for err == nil {
		var next registry.Message
		next, err = source.Next()
		switch {
		case errors.Is(err, io.EOF):
			return messages, nil
		case err == nil && next.Problem != nil:
			messages = append(messages, fmt.Sprint(next.Line, " ", next.Problem.Name, " ", next.Problem.Code))
		case err == nil:
			var content struct {
				Path string          `json:"Path"`
				Body json.RawMessage `json:"Body"`
			}
			if err = json.Unmarshal(next.Content, &content); err == nil {
				messages = append(messages, fmt.Sprint(next.Line, " ", content.Path, " ", string(content.Body)))
			}
		}
	}
	return messages, err
}

// csvProblems returns the fields of a refusal, each as "name problem".
func csvProblems(t *testing.T, err error) []string {
	t.Helper()
	var refusal *booking.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, booking.FieldInvalid, refusal.Rule)
	var problems []string
	for _, field := range refusal.Remedies.Fields {
		problems = append(problems, field.Name+" "+field.Code)
	}
	return problems
}

// Promise: a file whose columns are not those of its objects is rejected by its header, which names
// the columns.
func TestCSVHeader(t *testing.T) {
	t.Parallel()
	for header, want := range map[string][]string{
		"LpuGuid,ResourceGuid,guid,Start":       {"Guid required", "guid unknown"},
		"LpuGuid,resource,Guid,Start":           {"ResourceGuid required", "resource unknown"},
		"LpuGuid,ResourceGuid,Guid":             {"Start required"},
		"LpuGuid,ResourceGuid,Guid,Start,Guid,": {"Guid repeated", "Column6 unknown"},
		strings.Repeat("я", 60):                 {"LpuGuid required", "ResourceGuid required", "Guid required", "Start required", strings.Repeat("я", 50) + "… unknown"},
	} {
		_, err := readCSV(api.CreateImportParamsOfCells, header+"\n")
		require.Equal(t, want, csvProblems(t, err), header)
	}
	const card = "LpuGuid,CardGuid,PersonGuid,Surname,Name,BirthDate,Sex,"
	for _, column := range []string{
		"Policies", "Policies.0", "Policies.x.Number", "Policies.20.Number", "Policies.-1.Number", "Policies.00.Number",
		"Policies.0.number", "Policies.0.Number.1", "Surname.0.Number",
	} {
		_, err := readCSV(api.CreateImportParamsOfCards, card+column+"\n")
		require.Equal(t, []string{column + " unknown"}, csvProblems(t, err))
	}
	_, err := readCSV(api.CreateImportParamsOfCards, strings.Repeat("x;", 100)+"\n")
	require.Len(t, csvProblems(t, err), maxBadColumns)
}

// Promise: elements of lists are in the order of their numbers, and those without values are left
// out.
func TestCSVLists(t *testing.T) {
	t.Parallel()
	const card = csvLpu + "," + csvResource + ",p,s,n,b,male"
	header, row, want := "LpuGuid,CardGuid,PersonGuid,Surname,Name,BirthDate,Sex", card, []string(nil)
	for i := range 12 {
		header += fmt.Sprintf(",Policies.%d.Number", i)
		if i == 0 {
			row += ","
			continue
		}
		row += fmt.Sprintf(",%d", i)
		want = append(want, fmt.Sprintf(`{"Number":"%d"}`, i))
	}
	messages, err := readCSV(api.CreateImportParamsOfCards, header+"\n"+row+"\n")
	require.NoError(t, err)
	require.Len(t, messages, 1)
	require.Contains(t, messages[0], `"Policies":[`+strings.Join(want, ",")+`],`)
}

// Promise: a bad value names its column.
func TestCSVRow(t *testing.T) {
	t.Parallel()
	messages, err := readCSV(api.CreateImportParamsOfResources, "LpuGuid,ResourceGuid,Kind,Name,SpecialityCode\n"+
		","+csvResource+",doctor,a,1\n"+
		csvLpu+",x,doctor,a,1\n"+
		csvLpu+",{"+csvResource+"},doctor,a,1\n"+
		csvLpu+","+csvResource+",doctor,\xcf\xe5\xf2\xf0\xee\xe2,1\n"+
		csvLpu+","+csvResource+",doctor,a,1,2\n"+
		csvLpu+","+strings.ToUpper(csvResource)+",doctor,a,1\n")
	require.NoError(t, err)
	require.Equal(t, []string{
		"2 LpuGuid required", "3 ResourceGuid format", "4 ResourceGuid format", "5 Name characters",
		"6 Column6 unknown",
		"7 /registry/lpus/" + csvLpu + "/resources/" + csvResource +
			` {"Kind":"doctor","Name":"a","SpecialityCode":"1","Version":7}`,
	}, messages)
}

// Promise: a day with a bad row, or with a row between its rows that may be one of it, is a bad
// line as a whole. So no cell is withdrawn because its row is bad. Other days do not suffer.
func TestCSVDays(t *testing.T) {
	t.Parallel()
	const header = "LpuGuid,ResourceGuid,Version,Guid,Start,End\n"
	row := func(values string) string { return csvLpu + "," + csvResource + "," + values + "\n" }
	cell := row("," + csvCell + ",2019-08-21T09:00:00+03:00,x")
	const one = `{"End":"x","Guid":"` + csvCell + `","Start":"2019-08-21T09:00:00+03:00"}`
	other := row(",,2019-08-22T00:00:00+03:00,")
	stray := csvLpu + ",x,," + csvCell + ",2019-08-21T09:00:00+03:00,x\n"
	message := func(line, day int, cells string) string {
		return fmt.Sprintf("%d /registry/lpus/%s/resources/%s/schedule?from=2019-08-%dT00%%3A00%%3A00%%2B03%%3A00"+
			"&to=2019-08-%dT00%%3A00%%3A00%%2B03%%3A00 {\"Cells\":[%s],\"Version\":7}",
			line, csvLpu, csvResource, day, day+1, cells)
	}
	for name, test := range map[string]struct {
		rows string
		want []string
	}{
		"good days": {cell + cell + other, []string{message(2, 21, one+","+one), message(4, 22, "")}},
		"another version": {
			cell + row("8,"+csvCell+",2019-08-21T10:00:00+03:00,x") + other,
			[]string{"3 Version conflict", message(4, 22, "")},
		},
		"no guid": {
			cell + row(",,2019-08-21T10:00:00+03:00,x") + other, []string{"3 Guid required", message(4, 22, "")},
		},
		"a start between": {cell + row(","+csvCell+",today,x") + cell, []string{"3 Start format"}},
		"a resource between": {
			cell + stray + stray + cell + other, []string{"3 ResourceGuid format", message(6, 22, "")},
		},
		"a resource after": {cell + stray + stray + other, []string{
			message(2, 21, one), "3 ResourceGuid format", "4 ResourceGuid format", message(5, 22, ""),
		}},
		"a resource first": {
			stray + other + stray, []string{"2 ResourceGuid format", message(3, 22, ""), "4 ResourceGuid format"},
		},
		"too many cells": {
			strings.Repeat(cell, 2002) + other, []string{"2002 Cells too_many", message(2004, 22, "")},
		},
		"too long": {
			strings.Repeat(row(","+csvCell+",2019-08-21T09:00:00+03:00,"+strings.Repeat("x", 600_000)), 3) + other,
			[]string{"3 Cells too_long", message(5, 22, "")},
		},
	} {
		messages, err := readCSV(api.CreateImportParamsOfCells, header+test.rows)
		require.NoError(t, err, name)
		require.Equal(t, test.want, messages, name)
	}
	_, err := readCSV(api.CreateImportParamsOfCells, header+cell+other+strings.ToUpper(cell))
	require.Equal(t, []string{"line 4 unsorted"}, csvProblems(t, err))
}

// Promise: a file of cells can say what happens to cells with visits, for each day.
func TestCSVOnBooked(t *testing.T) {
	t.Parallel()
	row := func(guid, day, onBooked string) string {
		return strings.Join([]string{csvLpu, csvResource, guid, day + "T00:00:00Z", onBooked}, ",") + "\n"
	}
	messages, err := readCSV(api.CreateImportParamsOfCells, "LpuGuid,ResourceGuid,Guid,Start,OnBooked\n"+
		row("", "2019-08-21", "refuse")+row("", "2019-08-22", "")+
		row("", "2019-08-23", "keep")+row("", "2019-08-23", ""))
	require.NoError(t, err)
	require.Len(t, messages, 3)
	require.Contains(t, messages[0], `{"Cells":[],"OnBooked":"refuse","Version":7}`)
	require.Contains(t, messages[1], `{"Cells":[],"Version":7}`)
	require.Equal(t, "5 OnBooked conflict", messages[2])
}

// documentedColumns returns the table of columns in the description of createImport: by what a row
// is, the required columns and the others.
func documentedColumns(t *testing.T) map[string][2][]string {
	t.Helper()
	_, operation, err := server.Operation("createImport")
	require.NoError(t, err)
	columns := map[string][2][]string{}
	for line := range strings.Lines(operation.Description) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		of := strings.Trim(cells[1], " `")
		if slices.Contains(CSVObjects(), of) {
			columns[of] = [2][]string{columnNames.FindAllString(cells[2], -1), columnNames.FindAllString(cells[3], -1)}
		}
	}
	return columns
}

var columnNames = regexp.MustCompile(`[A-Za-z0-9.]+`)

// Promise: the contract lists the columns of each kind of object: all of them, and which are
// required.
func TestCSVColumnsAreDocumented(t *testing.T) {
	t.Parallel()
	want := map[string][2][]string{}
	for _, of := range CSVObjects() {
		format, err := newCSVFormat(api.CreateImportParamsOf(of))
		require.NoError(t, err)
		others := format.others
		for name, field := range format.body.Properties {
			switch {
			case slices.Contains(format.required, name) || name == versionColumn:
			case field.Value.Type.Is("array"):
				for inner := range field.Value.Items.Value.Properties {
					others = append(others, name+".0."+inner)
				}
			default:
				others = append(others, name)
			}
		}
		want[of] = [2][]string{format.required, others}
		for i, list := range documentedColumns(t)[of] {
			require.ElementsMatch(t, want[of][i], list, "%s: %q", of, want[of][i])
		}
		_, err = format.header(slices.Concat(format.required, others))
		require.NoError(t, err)
	}
}

// Promise: a day is known while fewer others than are remembered follow it, and the memory is
// bounded.
func TestSeenDays(t *testing.T) {
	t.Parallel()
	const limit = 10
	days := newSeenDays(limit)
	at := func(i int) time.Time { return time.Unix(int64(i)*86400, 0) }
	for i := range 10 * limit {
		require.False(t, days.add("a", at(i)))
		require.True(t, days.add("a", at(max(0, i-limit+1))))
		require.LessOrEqual(t, len(days.recent)+len(days.older), 2*limit)
	}
	require.False(t, days.add("b", at(10*limit-1)))
	require.False(t, days.add("a", at(0)), "forgotten")
}
