package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/booking"
)

// maxBroughtIn bounds the objects, and the cells, that a check remembers.
const maxBroughtIn = 1_000_000

// importCheck is what the lines of a check would have brought in. Each line is rolled back, so that
// the next ones do not find it in the database. It is safe for concurrent use.
type importCheck struct {
	mu             sync.Mutex
	objects, cells map[uuid.UUID]struct{}
}

func newImportCheck() *importCheck {
	return &importCheck{objects: map[uuid.UUID]struct{}{}, cells: map[uuid.UUID]struct{}{}}
}

// judge changes the result of a line that was rejected only because it needs what lines before it
// bring in, and remembers what a good line brings in.
func (c *importCheck) judge(l *line) {
	if l.status >= http.StatusBadRequest && c.needsEarlier(l) {
		l.status, l.body = http.StatusOK, []byte(`{"changed":true}`)
	}
	if l.status < http.StatusBadRequest {
		c.remember(l)
	}
}

// needsEarlier reports whether a line was rejected only because it needs what lines before it bring
// in.
func (c *importCheck) needsEarlier(l *line) bool {
	missing := l.missing()
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(missing) > 0 && !slices.ContainsFunc(missing, func(text string) bool {
		guid, err := uuid.Parse(text)
		_, object := c.objects[guid]
		_, cell := c.cells[guid]
		return err != nil || !object && !cell
	})
}

// remember adds what a line brings in.
func (c *importCheck) remember(l *line) {
	var body struct {
		AbsenceGuid uuid.UUID
		Cells       []struct{ Guid uuid.UUID }
	}
	last := l.path[strings.LastIndexByte(l.path, '/')+1:]
	guid, err := uuid.Parse(last)
	switch operation := l.Method + " " + last; {
	case err == nil && l.Method == http.MethodPut:
	case operation == "PUT schedule", operation == "POST absences":
		_ = json.Unmarshal(l.Body, &body) // it was valid
		guid = body.AbsenceGuid
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if guid != uuid.Nil && len(c.objects) < maxBroughtIn {
		c.objects[guid] = struct{}{}
	}
	for _, cell := range body.Cells {
		if len(c.cells) < maxBroughtIn {
			c.cells[cell.Guid] = struct{}{}
		}
	}
}

// collections are the parts of a path before the guid of an object, by the rule that rejects a
// request because there is no such object.
var collections = map[booking.Name]string{
	booking.LpuAbsent: "lpus", booking.ResourceAbsent: "resources", booking.SlotAbsent: "slots",
	booking.AbsenceAbsent: "absences",
}

// unknownObjects are the problems of fields that name an object that does not exist.
var unknownObjects = []string{
	booking.ProblemEntityUnknown.Code, booking.ProblemCardUnknown.Code, booking.ProblemLpuUnknown.Code,
}

// missing returns the guids of the objects for whose absence alone a line was rejected.
func (l *line) missing() []string {
	var response api.Error
	if err := json.Unmarshal(l.body, &response); err != nil {
		return nil
	}
	if collection, ok := collections[booking.Name(response.Rule)]; ok {
		segments := strings.Split(l.path, "/")
		at := slices.Index(segments, collection)
		return segments[at+1 : min(at+2, len(segments))]
	}
	if response.Details == nil || response.Details.Fields == nil {
		return nil
	}
	var body map[string]any
	_ = json.Unmarshal(l.Body, &body) // it was valid
	var guids []string
	for _, field := range *response.Details.Fields {
		guid, _ := body[field.Name].(string)
		if !slices.Contains(unknownObjects, field.Problem) {
			return nil
		}
		guids = append(guids, guid)
	}
	return guids
}
