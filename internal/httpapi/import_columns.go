package httpapi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
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

const (
	versionColumn  = "Version"
	onBookedColumn = "OnBooked" // of cells: a field of the message that the rows of a day become
	startColumn    = "Start"
	guidColumn     = "Guid"
	cellsField     = "Cells" // of that message
)

// csvFormat is the columns of a CSV file, by what a row is.
type csvFormat struct {
	cells     bool
	mostCells int      // of a day
	path      string   // of the operation, with the columns of the guids in braces
	inPath    []string // these columns
	required  []string
	others    []string         // that are neither in the path nor fields of the body
	body      *openapi3.Schema // the other columns are its fields
}

func newCSVFormat(of api.CreateImportParamsOf) (csvFormat, error) {
	path, operation, err := server.Operation(csvOperations[of])
	if err != nil {
		return csvFormat{}, err
	}
	f := csvFormat{cells: of == api.CreateImportParamsOfCells, path: path, others: []string{versionColumn}}
	for _, parameter := range operation.Parameters {
		if name := parameter.Value.Name; parameter.Value.In == openapi3.ParameterInPath {
			column := strings.ToUpper(name[:1]) + name[1:]
			f.path = strings.ReplaceAll(f.path, "{"+name+"}", "{"+column+"}")
			f.inPath = append(f.inPath, column)
		}
	}
	f.body = operation.RequestBody.Value.Content.Get("application/json").Schema.Value
	if f.cells {
		cells := f.body.Properties[cellsField].Value
		f.body, f.mostCells = cells.Items.Value, int(*cells.MaxItems)
		f.others = append(f.others, onBookedColumn)
		f.required = append(slices.Clone(f.inPath), guidColumn, startColumn) // a file may have only empty days
		return f, nil
	}
	f.required = slices.Concat(f.inPath, f.body.Required)
	f.required = slices.DeleteFunc(f.required, func(column string) bool { return column == versionColumn })
	return f, nil
}

// csvColumn is a column that is a field of a body, or of an element of a list in it.
type csvColumn struct {
	name   string
	list   string // empty, or the field of the list
	index  int    // of the element
	field  string
	schema *openapi3.Schema // of the field
}

// maxBadColumns bounds the columns that an error names.
const maxBadColumns = 20

// header returns the columns of a header that are fields of a body. It rejects with FieldInvalid if
// columns are missing, unknown or repeated.
func (f *csvFormat) header(names []string) ([]csvColumn, error) {
	var (
		columns []csvColumn
		invalid []booking.FieldProblem
	)
	reject := func(column string, problem booking.Problem) {
		if len(invalid) < maxBadColumns {
			invalid = append(invalid, booking.FieldProblem{Name: server.Shorten(column), Problem: problem})
		}
	}
	for _, column := range f.required {
		if !slices.Contains(names, column) {
			reject(column, booking.ProblemNoColumn)
		}
	}
	seen := map[string]bool{}
	for i, name := range names {
		column, isField := f.column(name)
		switch {
		case name == "":
			reject(unnamedColumn(i), booking.ProblemUnknown)
		case seen[name]:
			reject(name, booking.ProblemRepeated)
		case isField:
			columns = append(columns, column)
		case !slices.Contains(f.others, name) && !slices.Contains(f.inPath, name):
			reject(name, booking.ProblemUnknown)
		}
		seen[name] = true
	}
	if len(invalid) > 0 {
		return nil, booking.InvalidFields(invalid)
	}
	return columns, nil
}

// column returns the column of a name. ok is false if it is no field of a body. A name with three
// parts is a field of an element of a list, whose index is the second.
func (f *csvFormat) column(name string) (_ csvColumn, ok bool) {
	list, rest, inList := strings.Cut(name, ".")
	field := f.body.Properties[list]
	if field == nil || slices.Contains(f.others, name) || inList != field.Value.Type.Is("array") {
		return csvColumn{}, false
	}
	if !inList {
		return csvColumn{name: name, field: name, schema: field.Value}, true
	}
	number, inner, _ := strings.Cut(rest, ".")
	index, err := strconv.Atoi(number)
	element := field.Value.Items.Value.Properties[inner]
	if err != nil || strconv.Itoa(index) != number || element == nil ||
		index < 0 || uint64(index) >= *field.Value.MaxItems {
		return csvColumn{}, false
	}
	return csvColumn{name, list, index, inner, element.Value}, true
}

// unnamedColumn names a column, counted from 0, that the header does not name.
func unnamedColumn(i int) string { return fmt.Sprintf("Column%d", i+1) }
