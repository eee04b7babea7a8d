package httpapi

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/gen/api"
	"talon.example/internal/audit"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
	"talon.example/internal/httpapi/wire"
)

// auditCursor is the encoded form of a place in the audit.
type auditCursor struct {
	At   int64     `json:"at"` // microseconds since 1970
	Guid uuid.UUID `json:"guid"`
}

// ListAudit returns records of the audit, the newest first.
func (h *handlers) ListAudit(
	ctx context.Context, request api.ListAuditRequestObject,
) (api.ListAuditResponseObject, error) {
	page, next, err := h.auditPage(ctx, request.Params)
	if err != nil {
		return nil, err
	}
	body := api.AuditPage{Items: make([]api.AuditRecord, len(page.Records)), Next: next}
	for i := range page.Records {
		body.Items[i] = auditRecord(&page.Records[i], server.Caller(ctx).EveryLpu)
	}
	return api.ListAudit200JSONResponse(body), nil
}

// auditPage reads a page of the records that the caller may read, and the cursor of the next one.
func (h *handlers) auditPage(ctx context.Context, params api.ListAuditParams) (audit.Page, *string, error) {
	filter, err := auditFilter(params)
	if err != nil {
		return audit.Page{}, nil, err
	}
	after, err := auditPlace(params.Cursor)
	if err != nil {
		return audit.Page{}, nil, err
	}
	if caller := server.Caller(ctx); !caller.EveryLpu {
		if filter.Client != uuid.Nil && filter.Client != caller.Client {
			return audit.Page{}, nil, nil // it reads its own records only
		}
		filter.Client = caller.Client
	}
	page, err := h.audit.Read(ctx, filter, after, int(orDefault(params.Limit, defaultLimit)))
	if err != nil || page.Next == nil {
		return page, nil, err
	}
	next, err := encodeCursor(auditCursor{page.Next.At.UnixMicro(), page.Next.Guid})
	return page, &next, err
}

// auditFilter returns the filter of the parameters.
func auditFilter(params api.ListAuditParams) (audit.Filter, error) {
	refusal := rejectZero(
		guidField{"personGuid", orDefault(params.PersonGUID, notZero)},
		guidField{"clientGuid", orDefault(params.ClientGUID, notZero)},
		guidField{"requestId", orDefault(params.RequestID, notZero)},
	)
	if refusal != nil {
		return audit.Filter{}, refusal
	}
	for _, bound := range []struct {
		field  string
		moment *time.Time
	}{{"from", params.From}, {"to", params.To}} {
		if bound.moment == nil {
			continue
		}
		if refusal := booking.CheckYear(bound.field, *bound.moment); refusal != nil {
			return audit.Filter{}, refusal
		}
	}
	filter := audit.Filter{
		Person: orDefault(params.PersonGUID, uuid.Nil), Client: orDefault(params.ClientGUID, uuid.Nil),
		Request: orDefault(params.RequestID, uuid.Nil),
		From:    orDefault(params.From, time.Time{}), To: orDefault(params.To, time.Time{}),
	}
	if params.To != nil && !filter.To.After(filter.From) {
		return audit.Filter{}, booking.InvalidField("to", booking.ProblemEmptyPeriod)
	}
	return filter, nil
}

// auditPlace returns the place of a cursor, or nil without one.
func auditPlace(text *string) (*audit.Place, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // from the newest record on
	}
	cursor, err := decodeCursor[auditCursor](*text)
	if err == nil && (cursor.At < 0 || cursor.At > latestPlace) {
		err = errNotEncoded
	}
	if err != nil {
		return nil, invalidCursor(err)
	}
	return &audit.Place{At: time.UnixMicro(cursor.At), Guid: cursor.Guid}, nil
}

func auditRecord(r *audit.Record, everyLpu bool) api.AuditRecord {
	record := api.AuditRecord{
		GUID: r.Guid, At: r.At.UTC(), RequestID: r.Request, ClientGUID: r.Client, ActingUser: wire.NilIfZero(r.User),
		Operation: r.Operation, PersonGUID: wire.NilIfZero(r.Person), Status: int32(r.Status),
		Objects: make([]api.AuditObject, len(r.Objects)),
	}
	for i, object := range r.Objects {
		record.Objects[i] = api.AuditObject{Kind: object.Kind, ID: object.ID}
	}
	if r.Rule == "" {
		return record
	}
	explanation := api.AuditExplanation{Rule: string(r.Rule), Compared: []api.AuditValue{}}
	if i := slices.IndexFunc(server.Catalogue, func(rule booking.Rule) bool { return rule.Name == r.Rule }); i >= 0 {
		rule := &server.Catalogue[i]
		explanation.Title, explanation.Message, explanation.Mender = rule.Title, rule.Message, string(rule.Mender)
	}
	for _, value := range r.Compared {
		if everyLpu || !value.Elsewhere() {
			explanation.Compared = append(explanation.Compared, api.AuditValue{Name: value.Name, Value: value.Value})
		}
	}
	record.Explanation = &explanation
	return record
}

// ExportAudit returns records of the audit as a Bundle of FHIR, the newest first.
func (h *handlers) ExportAudit(
	ctx context.Context, request api.ExportAuditRequestObject,
) (api.ExportAuditResponseObject, error) {
	page, next, err := h.auditPage(ctx, api.ListAuditParams(request.Params))
	if err != nil {
		return nil, err
	}
	bundle := api.AuditBundle{
		ResourceType: "Bundle", Type: "searchset", Link: []api.AuditLink{},
		Entry: make([]api.AuditEntry, len(page.Records)),
	}
	for i := range page.Records {
		record := &page.Records[i]
		bundle.Entry[i] = api.AuditEntry{FullURL: urn(record.Guid), Resource: h.auditEvent(record)}
	}
	if next != nil {
		bundle.Link = append(bundle.Link, api.AuditLink{Relation: "next", URL: nextAudit(request.Params, *next)})
	}
	return api.ExportAudit200ApplicationFhirPlusJSONResponse(bundle), nil
}

// nextAudit returns the address of the next page, with the same filters.
func nextAudit(params api.ExportAuditParams, cursor string) string {
	query := url.Values{"cursor": {cursor}}
	for name, guid := range map[string]*uuid.UUID{
		"personGuid": params.PersonGUID, "clientGuid": params.ClientGUID, "requestId": params.RequestID,
	} {
		if guid != nil {
			query.Set(name, guid.String())
		}
	}
	for name, moment := range map[string]*time.Time{"from": params.From, "to": params.To} {
		if moment != nil {
			query.Set(name, moment.UTC().Format(time.RFC3339Nano))
		}
	}
	if params.Limit != nil {
		query.Set("limit", strconv.Itoa(int(*params.Limit)))
	}
	return "/audit/fhir?" + query.Encode()
}

// Code systems of FHIR R4, and ours.
const (
	eventTypeSystem = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	entityTypes     = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	entityRoles     = "http://terminology.hl7.org/CodeSystem/object-role"
	uriSystem       = "urn:ietf:rfc:3986"
	operationSystem = "urn:talon:operation"
	slotIDSystem    = "urn:talon:slot-id"
)

func urn(guid uuid.UUID) string { return "urn:uuid:" + guid.String() }

func reference(guid uuid.UUID) api.AuditReference {
	return api.AuditReference{Identifier: api.AuditIdentifier{System: uriSystem, Value: urn(guid)}}
}

// auditEvent returns a record as an AuditEvent of FHIR R4.
func (h *handlers) auditEvent(r *audit.Record) api.AuditEvent {
	event := api.AuditEvent{
		ResourceType: "AuditEvent", ID: r.Guid.String(), Type: api.AuditCoding{System: eventTypeSystem, Code: "rest"},
		Subtype:  []api.AuditCoding{{System: operationSystem, Code: r.Operation}},
		Recorded: r.At.UTC(), Outcome: outcome(r.Status), OutcomeDesc: wire.NilIfZero(string(r.Rule)),
		Agent:  []api.AuditAgent{{Who: new(reference(r.Client)), Requestor: r.User == ""}},
		Source: api.AuditSource{Observer: api.AuditObserver{Display: "Talon"}},
	}
	if action := h.auditAction(r.Operation); action != "" {
		event.Action = new(strings.ToUpper(action[:1]))
	}
	if r.User != "" {
		event.Agent = append(event.Agent, api.AuditAgent{AltID: &r.User, Requestor: true})
	}
	if r.Person != uuid.Nil {
		event.Entity = append(event.Entity, api.AuditEntity{
			What: reference(r.Person), Name: "person", Type: api.AuditCoding{System: entityTypes, Code: "1"},
			Role: &api.AuditCoding{System: entityRoles, Code: "1"},
		})
	}
	object := api.AuditCoding{System: entityTypes, Code: "2"}
	for _, o := range r.Objects {
		what := api.AuditReference{Identifier: api.AuditIdentifier{System: uriSystem, Value: "urn:uuid:" + o.ID}}
		if o.Kind == audit.SlotID {
			what.Identifier = api.AuditIdentifier{System: slotIDSystem, Value: o.ID}
		}
		event.Entity = append(event.Entity, api.AuditEntity{What: what, Type: object, Name: o.Kind})
	}
	event.Entity = append(event.Entity, api.AuditEntity{What: reference(r.Request), Type: object, Name: "requestId"})
	return event
}

// outcome returns the outcome of FHIR for a status.
func outcome(status int) string {
	switch {
	case status < 400:
		return "0" // success
	case status < 500:
		return "4" // minor failure
	default:
		return "8" // serious failure
	}
}
