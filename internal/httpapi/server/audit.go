package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"talon.example/internal/audit"
	"talon.example/internal/booking"
)

// Auditor writes the records of the audit.
type Auditor interface {
	// Available returns nil, or a *booking.Refusal while records cannot be written.
	Available() error
	// Write returns nil after the records are committed, or else a *booking.Refusal.
	Write(ctx context.Context, records []audit.Record) error
}

// audited is the x-audit of an operation.
type audited struct {
	// Action is that of AuditEvent in FHIR: create, read, update, delete, execute; or none for an
	// operation that touches no patient's data.
	Action string `json:"action"`
	// Guid is the kind of object that `guid` of the response names. If it is empty, the response
	// names nothing that the request does not.
	Guid string `json:"guid"`
}

// actions are the actions of audited operations.
var actions = []string{"create", "read", "update", "delete", "execute"}

const notAudited = "none"

func readAudit(r *route) (a audited, err error) {
	raw, err := json.Marshal(r.Operation.Extensions["x-audit"])
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return a, err
	}
	if a.Action != notAudited && !slices.Contains(actions, a.Action) {
		return a, fmt.Errorf("action must be one of %s, or %s", strings.Join(actions, ", "), notAudited)
	}
	if len(security(r)) == 0 && a.Action != notAudited {
		return a, errors.New("an operation without security has no patient")
	}
	return a, nil
}

// AuditAction returns the action of an operation of the contract, or an empty text for one that a
// later version has renamed.
func (s *Server) AuditAction(operation string) string { return s.contract.actions[operation] }

// audit holds the response back until the record of the request is committed. It runs after limit,
// so that requests that wait for the commit count as requests in flight.
func (s *Server) audit(c *gin.Context) {
	if s.contract.route(c).audit.Action == notAudited {
		return
	}
	s.audited(c, func() {
		if err := checkActingUser(c); err != nil {
			s.RenderError(c, err)
			return
		}
		c.Next()
	})
}

// audited runs a part of the chain, and holds its response back until the record of the request is
// committed. If that fails, the response is an error, although the request may have changed
// something: as after any commit whose outcome is unknown, the client repeats it. While records
// cannot be written, it rejects the request.
func (s *Server) audited(c *gin.Context, run func()) {
	if err := s.auditor.Available(); err != nil {
		s.RenderError(c, err)
		return
	}
	writer := c.Writer
	held := &heldResponse{ResponseWriter: writer, status: http.StatusOK}
	c.Writer = held
	defer func() { c.Writer = writer }() // also for a panic, which recover turns into a response
	run()
	c.Writer = writer
	if Caller(c.Request.Context()).Client == uuid.Nil { // it has not authenticated
		held.release()
		return
	}

	ctx, cancel := auditContext(c.Request.Context(), held.status)
	defer cancel()
	err := s.auditor.Write(ctx, s.auditRecords(c, held))
	if err != nil && held.status != http.StatusServiceUnavailable {
		held.discard()
		s.RenderError(c, err)
		return
	}
	held.release()
}

const (
	// A record has as much time as its request has left, within these bounds: the request may have
	// used up its own, and that of a stream is an hour.
	minAuditTime = time.Second
	maxAuditTime = 10 * time.Second
	// auditPatience is how long the error of a request waits for its record that has found
	// something unavailable: probably the database, which the record needs, too.
	auditPatience = 100 * time.Millisecond
)

// auditContext returns a context for the write of the record of a request whose response has the
// given status. It does not end when the client disconnects: what the request did must be recorded.
func auditContext(request context.Context, status int) (context.Context, context.CancelFunc) {
	detached := context.WithoutCancel(request)
	if status == http.StatusServiceUnavailable {
		return context.WithTimeout(detached, auditPatience)
	}
	var left time.Duration
	if deadline, ok := request.Deadline(); ok {
		left = time.Until(deadline)
	}
	return context.WithTimeout(detached, min(max(left, minAuditTime), maxAuditTime))
}

// successHeaders are the headers of successes that an error must not have.
var successHeaders = []string{"ETag", "Location", "Idempotency-Replayed", "Content-Length"}

// heldResponse keeps a response in memory until it is released.
type heldResponse struct {
	gin.ResponseWriter

	status  int
	body    bytes.Buffer
	written bool
}

// WriteHeader implements http.ResponseWriter.
func (h *heldResponse) WriteHeader(status int) { h.status = status }

// WriteHeaderNow implements gin.ResponseWriter.
func (h *heldResponse) WriteHeaderNow() { h.written = true }

// Write implements http.ResponseWriter.
func (h *heldResponse) Write(p []byte) (int, error) {
	h.written = true
	return h.body.Write(p)
}

// WriteString implements gin.ResponseWriter.
func (h *heldResponse) WriteString(text string) (int, error) {
	h.written = true
	return h.body.WriteString(text)
}

// Status implements gin.ResponseWriter.
func (h *heldResponse) Status() int { return h.status }

// Size implements gin.ResponseWriter.
func (h *heldResponse) Size() int { return h.body.Len() }

// Written implements gin.ResponseWriter.
func (h *heldResponse) Written() bool { return h.written }

// Flush implements gin.ResponseWriter. Nothing leaves before the release.
func (h *heldResponse) Flush() {}

// discard drops what has been written of a response, so that an error can be written instead.
func (h *heldResponse) discard() {
	for _, name := range successHeaders {
		h.Header().Del(name)
	}
	h.status, h.written = http.StatusOK, false
	h.body.Reset()
}

func (h *heldResponse) release() {
	h.ResponseWriter.WriteHeader(h.status)
	if h.body.Len() == 0 {
		h.ResponseWriter.WriteHeaderNow()
		return
	}
	_, _ = h.ResponseWriter.Write(h.body.Bytes()) // its error is that of the client's connection
}

// actingUser is the header that names the user of the client application.
const actingUser = "X-Acting-User"

// actingUserPattern allows identifiers, and neither names nor addresses.
var actingUserPattern = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// checkActingUser rejects a malformed or repeated X-Acting-User.
func checkActingUser(c *gin.Context) error {
	switch given := c.Request.Header.Values(actingUser); {
	case len(given) > 1:
		return booking.InvalidField(actingUser, booking.ProblemRepeated)
	case len(given) == 1 && given[0] == "":
		return booking.InvalidField(actingUser, booking.ProblemEmpty)
	case len(given) == 1 && !actingUserPattern.MatchString(given[0]):
		return booking.InvalidField(actingUser, booking.ProblemCharacters)
	default:
		return nil
	}
}

// auditRecords returns the records of a request: one for each patient that it reached, or one
// without a patient.
func (s *Server) auditRecords(c *gin.Context, held *heldResponse) []audit.Record {
	route, caller := s.contract.route(c), Caller(c.Request.Context())
	record := audit.Record{
		At: s.now(), Request: RequestID(c), Client: caller.Client, Operation: route.Operation.OperationID,
		Status: held.status,
	}
	if checkActingUser(c) == nil {
		record.User = c.GetHeader(actingUser)
	}
	found := touched{most: 1} // a request is about one patient: its caller if that is a patient
	found.addPerson(caller.Person)
	if outcome, _ := c.Get(outcomeKey); outcome != nil {
		refusal := outcome.(*booking.Refusal) //nolint:forcetypeassert // nothing else is stored there
		record.Rule, record.Compared = refusal.Rule, refusal.Compared
		found.addPerson(refusal.Person)
	}
	found.addRequest(c, route)
	if route.audit.Guid != "" && held.status < http.StatusBadRequest {
		found.most = maxPersons
		found.addBody(held.body.Bytes(), route.audit.Guid)
	}
	record.Objects = found.objects
	return recordsOf(record, found.persons)
}

// recordsOf returns a copy of a record for each person, or one without a person if there is none.
func recordsOf(record audit.Record, persons []uuid.UUID) []audit.Record {
	if len(persons) == 0 {
		persons = []uuid.UUID{uuid.Nil}
	}
	records := make([]audit.Record, len(persons))
	for i, person := range persons {
		records[i] = record
		records[i].Guid, records[i].Person = audit.NewGuid(), person
	}
	return records
}

// The most objects of a record, and the most persons of a response: the patients of a page.
const (
	maxObjects = 40
	maxPersons = 200
)

// touched collects the persons and the objects that a request and its response name. Only guids,
// and the numbers of cells, are collected.
type touched struct {
	persons []uuid.UUID
	most    int // persons
	objects []audit.Object
}

func (t *touched) addPerson(person uuid.UUID) {
	if person != uuid.Nil && len(t.persons) < t.most && !slices.Contains(t.persons, person) {
		t.persons = append(t.persons, person)
	}
}

// addRequest adds what the path, the query and the body of a request name. Unknown parameters are
// ignored.
func (t *touched) addRequest(c *gin.Context, route *route) {
	for _, parameter := range c.Params {
		t.add(parameter.Key, parameter.Value)
	}
	query := c.Request.URL.Query()
	for _, parameter := range route.Operation.Parameters {
		if parameter.Value.In == openapi3.ParameterInQuery {
			t.add(parameter.Value.Name, query.Get(parameter.Value.Name))
		}
	}
	if body, ok := c.Get(bodyKey); ok {
		t.addBody(body.([]byte), "") //nolint:forcetypeassert // nothing else is stored there
	}
}

// add adds the value of a parameter or field if it is a guid or the number of a cell.
func (t *touched) add(name, value string) {
	if name == "SlotId" {
		if _, err := strconv.ParseInt(value, 10, 64); err == nil {
			t.addObject(audit.SlotID, value)
		}
		return
	}
	if len(value) != len(uuid.Nil.String()) {
		return
	}
	guid, err := uuid.Parse(value)
	if err != nil || guid == uuid.Nil {
		return
	}
	switch kind := kindOf(name); kind {
	case "person":
		t.addPerson(guid)
	default:
		t.addObject(kind, guid.String())
	}
}

func (t *touched) addObject(kind, id string) {
	object := audit.Object{Kind: kind, ID: id}
	if len(t.objects) < maxObjects && !slices.Contains(t.objects, object) {
		t.objects = append(t.objects, object)
	}
}

// kindOf returns the kind of object that a parameter or field names: its name without Guid.
func kindOf(name string) string {
	for _, suffix := range []string{"Guids", "Guid", "guid"} {
		name = strings.TrimSuffix(name, suffix)
	}
	if name == "" {
		return "object"
	}
	kind := strings.ToLower(name[:1]) + name[1:]
	switch kind {
	case "docPrvd":
		return "resource"
	case "consultDirection", "laboratoryDirection":
		return "direction"
	default:
		return kind
	}
}

// addBody adds the guids of a JSON object, under keys that end with Guid or Guids, or are guid:
// those name the object around them, or at the top the kind top. Of the items of a list only the
// persons are added. Bodies are valid JSON: what cannot be read is skipped.
func (t *touched) addBody(body []byte, top string) {
	decoder := jsontext.NewDecoder(bytes.NewReader(body))
	var names []string // of the open objects and arrays
	name := ""
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return
		}
		switch token.Kind() {
		case '{', '[':
			names = append(names, name)
		case '}', ']':
			name, names = names[len(names)-1], names[:len(names)-1] // the next item of a list has it, too
		case '"', '0':
			if kind, length := decoder.StackIndex(decoder.StackDepth()); kind == '{' && length%2 == 1 {
				name = token.String()
				continue
			}
			if kind := kindOfField(names, name, top); kind != "" {
				t.add(kind, token.String())
			}
		default: // true, false and null are no guids
		}
	}
}

// kindOfField returns the name or kind under which the value of a field inside the named objects
// and arrays, the outermost first, is added, or an empty text if it is not.
func kindOfField(names []string, name, top string) string {
	switch {
	case name == "personGuid", name == "PersonGuid":
		return name
	case slices.Contains(names, "items"):
		return ""
	case name == "guid" && len(names) == 1:
		return cmp.Or(top, "object")
	case name == "guid":
		return names[len(names)-1]
	case strings.HasSuffix(name, "Guid"), strings.HasSuffix(name, "Guids"), name == "SlotId":
		return name
	default:
		return ""
	}
}
