package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// Scenario is a request to the demo data whose response is always the contract's example of that
// name. It is repeatable: bookings and moves have an Idempotency-Key.
type Scenario struct {
	Name      string // of the example; for a refusal the rule
	Operation string // the operationId; empty if the request matches no operation
	Status    int
	Patient   uuid.UUID // whose token the request has; the zero guid if it has none
	Method    string
	Path      string // with the query
	Headers   map[string]string
	Body      string // empty if the request has none
}

// Refusal reports whether the response is a refusal. Then Name is its rule.
func (s *Scenario) Refusal() bool { return s.Status >= http.StatusBadRequest }

// Sign returns a signed token with the content of caller, issued at the given time and valid for
// TokenLife.
type Sign func(caller auth.Caller, issued time.Time) (string, error)

// TokenLife is the lifetime of the demo's tokens.
const TokenLife = 12 * time.Hour

// The numbers of the patients that only the scenarios use; see Patients.
const (
	noPatient               = 0
	refusedPatient          = 18 // whose bookings are refused
	bookingPatient          = 19 // whose bookings succeed
	movingPatient           = 20 // has movedVisit
	holdingPatient          = 29 // holds two cells, and has attendedVisit and reassigned
	unidentifiedPatient     = 35
	throttledPatient        = 36
	patientWithoutReferrals = 37
)

// reassignedTo is the cell of the visit reassigned.
const reassignedTo = 51206

const (
	cancelledVisit = 1  // a cancelled visit
	bookedVisit    = 2  // a visit that is ahead
	fulfilledVisit = 4  // a visit that took place, days ago
	movedVisit     = 5  // the visit that a scenario moves
	attendedVisit  = 6  // a visit whose patient is there already
	reassigned     = 7  // a visit that the institution has moved to reassignedTo
	calledOffVisit = 8  // a visit that the institution has cancelled
	lateDay        = 12 // the day of the cells that the scenarios take
	unknownNumber  = 0  // of an object that does not exist
)

// Scenarios returns a request for every named example of a response. First come the refusals in the
// order of the contract's rules, then the successes. The tokens are issued at now.
func Scenarios(now time.Time, sign Sign) ([]Scenario, error) {
	s := scenarios{now: now, sign: sign}
	s.addRefusals()
	s.addSuccesses()
	return s.list, s.err
}

// scenarios collects the scenarios. err is the first error.
type scenarios struct {
	now  time.Time
	sign Sign
	list []Scenario
	err  error
}

// add adds a scenario with the patient's token, and applies the changes to it.
func (s *scenarios) add(
	name, operation string, status, patient int, method, path, body string, changes ...func(*Scenario),
) {
	scenario := Scenario{
		Name: name, Operation: operation, Status: status,
		Method: method, Path: path, Headers: map[string]string{}, Body: body,
	}
	if body != "" {
		scenario.Headers["Content-Type"] = "application/json"
	}
	if patient != noPatient {
		scenario.Patient = person(patient)
		scenario.Headers["Authorization"] = s.bearer(patient, s.now)
	}
	for _, change := range changes {
		change(&scenario)
	}
	s.list = append(s.list, scenario)
}

// bearer returns the value of the Authorization header for a patient's token issued at the given
// time.
func (s *scenarios) bearer(patient int, issued time.Time) string {
	return s.bearerOf(auth.Caller{Person: person(patient), Client: Client}, issued)
}

// bearerOf returns the value of the Authorization header for a token issued at the given time.
func (s *scenarios) bearerOf(caller auth.Caller, issued time.Time) string {
	token, err := s.sign(caller, issued)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("sign a token: %w", err)
	}
	return "Bearer " + token
}

// refuse adds a request that the rule refuses. The status is that of the rule table.
func (s *scenarios) refuse(
	rule booking.Name, operation string, patient int, method, path, body string, changes ...func(*Scenario),
) {
	s.add(string(rule), operation, server.Reject(rule).Status, patient, method, path, body, changes...)
}

// refuseBooking adds a booking that the rule refuses.
func (s *scenarios) refuseBooking(
	rule booking.Name, patient, referral int, slot int64, changes ...func(*Scenario),
) {
	body := bookingBody(patient, referral, slot, nil)
	s.refuse(rule, "createAppointment", patient, http.MethodPost, "/appointments", body, changes...)
}

// get adds a GET request that succeeds.
func (s *scenarios) get(name, operation string, patient int, path string) {
	s.add(name, operation, http.StatusOK, patient, http.MethodGet, path, "")
}

// header returns a change that sets a header, or removes it if the value is empty.
func header(name, value string) func(*Scenario) {
	return func(s *Scenario) {
		s.Headers[name] = value
		if value == "" {
			delete(s.Headers, name)
		}
	}
}

// body returns a change that replaces the body.
func body(text string) func(*Scenario) {
	return func(s *Scenario) { s.Body = text }
}

func (s *scenarios) addRefusals() {
	free := slotOf(2, 8, 15)
	withField := func(name string, value any) func(*Scenario) {
		return body(bookingBody(refusedPatient, 1, free, map[string]any{name: value}))
	}
	s.refuseBooking(server.TokenMissing, refusedPatient, 1, free, header("Authorization", ""))
	s.refuseBooking(server.TokenInvalid, refusedPatient, 1, free, header("Authorization", "Bearer not-a-token"))
	expired := s.bearer(refusedPatient, s.now.Add(-TokenLife-time.Hour))
	s.refuseBooking(server.TokenExpired, refusedPatient, 1, free, header("Authorization", expired))
	s.refuseBooking(server.TokenSignatureInvalid, refusedPatient, 1, free, func(forged *Scenario) {
		signed := forged.Headers["Authorization"]
		signature := signed[strings.LastIndexByte(signed, '.')+1:]
		forged.Headers["Authorization"] = strings.TrimSuffix(signed, signature) + strings.Repeat("A", len(signature))
	})

	lpuPath := func(lpu uuid.UUID) string { return "/registry/lpus/" + lpu.String() }
	s.refuse(server.ScopeMissing, "getLpu", noPatient, http.MethodGet, lpuPath(exampleTarget), "",
		s.bySystem(booking.ScopeVisitRead))
	s.refuse(server.InstitutionForeign, "getLpu", noPatient, http.MethodGet, lpuPath(exampleSource), "",
		s.bySystem(booking.ScopeScheduleWrite))

	s.refuseBooking(server.BodyTooLarge, refusedPatient, 1, free,
		withField("VisitComment", strings.Repeat("x", 64<<10)))
	s.refuseBooking(server.MediaTypeUnsupported, refusedPatient, 1, free, header("Content-Type", "text/plain"))
	s.refuseBooking(server.BodyMalformed, refusedPatient, 1, free, body(`{"SlotId": 20815, "SlotId": 20816}`))
	s.refuseBooking(booking.FieldInvalid, refusedPatient, 1, free, withField("Difficulty", 0))

	s.refuseBooking(booking.DirectionTypeUnsupported, refusedPatient, 1, free, withField("DirectionType", "hospital"))
	s.refuseBooking(booking.DirectionNotFound, refusedPatient, 99, free)
	s.refuseBooking(booking.DirectionNotPatients, refusedPatient, 1, free,
		body(bookingBody(bookingPatient, 2, free, nil)))
	s.refuseBooking(booking.DirectionLpuMismatch, 1, 6, free)
	s.refuseBooking(booking.DirectionAlreadyBooked, 2, 1, free)
	s.refuseBooking(booking.DirectionExpired, 1, 8, slotOf(3, 8, 1))

	s.refuseBooking(booking.SlotNotFound, refusedPatient, 1, slotOf(2, 8, 99))
	s.refuseBooking(booking.SlotResourceNotFound, refusedPatient, 1, slotOf(6, 8, 1))
	s.refuseBooking(booking.ScheduleStale, refusedPatient, 1, slotOf(16, 8, 1))
	s.refuseBooking(booking.SlotNotForReception, refusedPatient, 1, slotOf(2, 8, 9))
	s.refuseBooking(booking.SlotUnavailable, refusedPatient, 1, slotOf(2, 8, 7))
	s.refuseBooking(booking.SlotTimePassed, refusedPatient, 1, slotOf(2, 0, 0))
	s.refuseBooking(booking.SlotBeyondHorizon, 1, 4, slotOf(8, 30, 1))
	s.refuseBooking(booking.SlotAccessDenied, refusedPatient, 1, slotOf(2, 8, 11))
	s.refuseBooking(booking.SlotFull, refusedPatient, 1, slotOf(2, 9, 14))
	s.refuseBooking(booking.ResourceKindMismatch, refusedPatient, 1, slotOf(5, 8, 1))
	s.refuseBooking(booking.SpecialityMismatch, refusedPatient, 1, slotOf(3, 8, 1))
	s.refuseBooking(booking.SlotAdultsOnly, 8, 1, slotOf(2, 8, 1))
	s.refuseBooking(booking.SlotChildrenOnly, refusedPatient, 1, slotOf(2, 8, 2))
	s.refuseBooking(booking.SlotInfantsOnly, refusedPatient, 1, slotOf(2, 8, 3))
	s.refuseBooking(booking.SlotDisabledOnly, refusedPatient, 1, slotOf(2, 8, 4))
	s.refuseBooking(booking.SlotPregnantOnly, refusedPatient, 1, slotOf(2, 8, 5))
	s.refuseBooking(booking.SlotHealthyChildrenOnly, 6, 1, slotOf(2, 8, 6))
	s.refuseBooking(booking.SpecialityAlreadyBooked, 2, 4, free)

	s.refuseBooking(booking.MkabClosed, 9, 1, free)
	s.refuseBooking(booking.MkabAbsent, 10, 4, free)
	for _, refusal := range []struct {
		rule    booking.Name
		patient int
	}{
		{booking.MipAuthURLEmpty, 21},
		{booking.MipAuthURLUnreachable, 22},
		{booking.MipPersonNotFound, 16},
		{booking.MipPersonDataMissing, 15},
		{booking.MkabPolicyNumberEmpty, 11},
		{booking.MkabSexEmpty, 12},
		{booking.MkabSurnameEmpty, 13},
		{booking.MkabNameEmpty, 14},
	} {
		s.refuseBooking(refusal.rule, refusal.patient, 1, slotOf(10, lateDay, 1))
	}
	s.refuseBooking(booking.MkabLpuNotFound, 10, 5, slotOf(12, lateDay, 1))
	s.refuseBooking(booking.MkabPolicyLinkFailed, 24, 1, slotOf(10, lateDay, 1))

	s.refuseBooking(booking.SlotTaken, 25, 1, slotOf(1, lateDay, 5))
	adjacent := bookingBody(refusedPatient, 1, slotOf(2, 8, 16), map[string]any{"Difficulty": 2})
	s.refuseBooking(booking.ComplexSlotFailed, refusedPatient, 1, slotOf(2, 8, 16), body(adjacent))
	s.refuseBooking(booking.AppointmentNotCreated, 26, 1, slotOf(1, lateDay, 5))
	s.refuseBooking(booking.AppointmentNotFound, 27, 1, slotOf(1, lateDay, 5))
	s.refuseBooking(booking.AppointmentNotLinked, 28, 1, slotOf(1, lateDay, 5))

	s.refuseBooking(booking.IdempotencyKeyReused, refusedPatient, 1, free, header("Idempotency-Key", "demo-reused"))
	s.refuseBooking(booking.IdempotencyKeyInUse, refusedPatient, 1, free, header("Idempotency-Key", keyInUse))

	unknownReferral, unknownLpu := numbered("0007", unknownNumber).String(), numbered("0002", unknownNumber).String()
	s.refuse(booking.DirectionAbsent, "getDirection", refusedPatient,
		http.MethodGet, "/directions/"+unknownReferral, "")
	s.refuse(booking.LpuAbsent, "listRules", refusedPatient, http.MethodGet, "/rules?lpuGuid="+unknownLpu, "")
	s.refuse(booking.AppointmentAbsent, "getAppointment", refusedPatient, http.MethodGet, visitPath(unknownNumber), "")
	s.refuse(booking.AppointmentStarted, "cancelAppointment", 1, http.MethodDelete, visitPath(4), "")
	s.refuse(booking.AppointmentCancelled, "moveAppointment", 1, http.MethodPost, visitPath(1)+"/move",
		moveBody(slotOf(1, lateDay, 5)))
	s.refuse(booking.AppointmentAttended, "cancelAppointment", holdingPatient, http.MethodDelete,
		visitPath(attendedVisit), "")
	s.refuse(booking.TooManyHolds, "holdSlot", holdingPatient, http.MethodPost, holdPath(slotOf(3, lateDay, 3)),
		bookingBody(holdingPatient, 2, 0, nil))
	s.addRegistryRefusals()
	s.addPatientObjectRefusals()
	s.addVisitRefusals()
	s.requestToken(string(booking.ClientUnauthenticated), http.StatusForbidden, refusedPatient, "another secret")
	s.requestSystemToken(string(booking.GrantTypeUnsupported), http.StatusBadRequest, "grant_type=password")
	s.requestSystemToken(string(booking.ScopeInvalid), http.StatusBadRequest,
		"grant_type=client_credentials&scope=admin")
	s.requestToken(string(booking.PatientNotIdentified), http.StatusForbidden, unidentifiedPatient, ClientSecret)
	s.requestToken(string(booking.TooManyAttempts), http.StatusTooManyRequests, throttledPatient, ClientSecret)

	s.refuse(server.RouteNotFound, "", noPatient, http.MethodGet, "/appointment", "")
	s.refuse(server.MethodNotAllowed, "", noPatient, http.MethodPut, "/appointments", "")
	s.refuse(booking.TooManyRequests, "listDirections", 38, http.MethodGet, "/directions", "")
	s.refuse(server.InternalError, "listDirections", 30, http.MethodGet, "/directions", "")
	s.refuse(booking.DatabaseUnavailable, "listDirections", 31, http.MethodGet, "/directions", "")
	s.refuseBooking(booking.MipUnavailable, 23, 1, slotOf(10, lateDay, 1))
	s.refuse(server.KeysUnavailable, "listDirections", 32, http.MethodGet, "/directions", "")
	s.refuse(booking.Overloaded, "listDirections", 33, http.MethodGet, "/directions", "")
	s.refuse(server.NotReady, "getReadiness", 34, http.MethodGet, "/health/ready", "")
}

func (s *scenarios) addSuccesses() {
	const ok = http.StatusOK
	directionsOf := func(patient, referral int) string {
		return "/directions/" + referralOf(patient, referral).String()
	}
	s.get("directions", "listDirections", 2, "/directions")
	s.get("no_directions", "listDirections", patientWithoutReferrals, "/directions")
	s.get("not_booked", "getDirection", refusedPatient, directionsOf(refusedPatient, 3))
	s.get("not_booked", "getDirectionByNumber", refusedPatient,
		"/directions/by-number/"+referralNumber(refusedPatient, 3))
	s.get("institutions", "listDirectionInstitutions", refusedPatient, directionsOf(refusedPatient, 1)+"/institutions")
	s.get("no_institutions", "listDirectionInstitutions", 10, directionsOf(10, 6)+"/institutions")
	s.get("free_slots", "listDirectionSlots", refusedPatient, directionsOf(refusedPatient, 2)+"/slots?limit=3")
	s.get("explained_slots", "listDirectionSlots", refusedPatient,
		directionsOf(refusedPatient, 1)+"/slots?explain=true&limit=16&resourceGuid="+numbered("0004", 2).String())
	s.get("slots_to_move_to", "listDirectionSlots", movingPatient,
		directionsOf(movingPatient, 1)+"/slots?limit=3&appointmentGuid="+numbered("000a", movedVisit).String())
	s.get("blocked_slots", "listDirectionSlots", 2, directionsOf(2, 1)+"/slots")
	s.get("appointments", "listAppointments", 2, "/appointments")
	s.get("no_appointments", "listAppointments", refusedPatient, "/appointments")
	s.get("booked", "getAppointment", 2, visitPath(2))
	s.get("rules", "listRules", refusedPatient, "/rules?lpuGuid="+exampleTarget.String())

	check := func(name string, referral int, slot int64) {
		s.add(name, "checkAppointment", ok, refusedPatient, http.MethodPost, "/appointments/check",
			bookingBody(refusedPatient, referral, slot, nil))
	}
	check("check_allowed", 2, slotOf(3, lateDay, 5))
	check("check_refused", 1, slotOf(2, 9, 14))

	withKey := func(key string) func(*Scenario) { return header("Idempotency-Key", "demo-"+key) }
	s.add("consult", "createAppointment", ok, bookingPatient, http.MethodPost, "/appointments",
		bookingBody(bookingPatient, 1, slotOf(1, lateDay, 1), nil), withKey("consult"))
	s.add("laboratory", "createAppointment", ok, bookingPatient, http.MethodPost, "/appointments",
		bookingBody(bookingPatient, 3, slotOf(5, lateDay, 1), nil), withKey("laboratory"))
	s.add("moved", "moveAppointment", ok, movingPatient, http.MethodPost, visitPath(movedVisit)+"/move",
		moveBody(slotOf(1, lateDay, 4)), withKey("moved"))
	s.add("cancelled", "cancelAppointment", ok, 1, http.MethodDelete, visitPath(1), "")
	s.add("held", "holdSlot", ok, movingPatient, http.MethodPost, holdPath(slotOf(3, lateDay, 4)),
		bookingBody(movingPatient, 2, 0, nil))
	s.add("released", "releaseSlot", ok, bookingPatient, http.MethodDelete,
		holdPath(slotOf(3, lateDay, 4))+"?lpuGuid="+exampleTarget.String(), "")
	s.requestToken("token", ok, refusedPatient, ClientSecret)
	s.requestSystemToken("system_token", ok, "grant_type=client_credentials&scope=schedule%3Awrite")
	s.get("keys", "getKeys", noPatient, "/.well-known/jwks.json")
	s.add("lpu", "getLpu", ok, noPatient, http.MethodGet, "/registry/lpus/"+exampleTarget.String(), "",
		s.bySystem(booking.ScopeScheduleWrite))
	s.addRegistrySuccesses()
	s.addPatientObjects()
	s.addVisits()
	s.addWebhooks()
	s.get("scenarios", "listScenarios", noPatient, "/sandbox/scenarios")
	s.get("live", "getLiveness", noPatient, "/health/live")
	s.get("ready", "getReadiness", noPatient, "/health/ready")
}

// farDay is the day for which the scenarios of the registry bring in cells and an absence. The demo
// data have a message of decidedVersion for the month after it. All are so far ahead that no search
// finds them, and fixed, so that a repetition is the same message.
var farDay = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

const decidedVersion = 5

// addRegistryRefusals adds the refusals of messages of an institution's system.
func (s *scenarios) addRegistryRefusals() {
	bySystem := s.bySystem(booking.ScopeScheduleWrite)
	schedule := func(rule booking.Name, resource int, from time.Time, days int, message scheduleMessage) {
		path := schedulePath(resource, from, days)
		s.refuse(rule, "putSchedule", noPatient, http.MethodPut, path, message.json(), bySystem)
	}
	decided := farDay.AddDate(0, 1, 10)
	overlapping, stolen := newCell(2), newCell(1)
	overlapping.Start, stolen.Guid = newCell(1).Start, numbered("0009", int(FirstExampleSlotID))
	schedule(booking.ResourceAbsent, unknownNumber, farDay, 1, scheduleMessage{Version: 1})
	s.refuse(booking.SlotAbsent, "patchSlot", noPatient, http.MethodPatch,
		registryPath+"/slots/"+numbered("0009", unknownNumber).String(), `{"Version": 1}`, bySystem)
	s.refuse(booking.AbsenceAbsent, "liftAbsence", noPatient, http.MethodDelete,
		resourcePath(3)+"/absences/"+numbered("000d", unknownNumber).String(), "", bySystem)
	byRegion := s.byRegion(booking.ScopeAdmin)
	s.refuse(booking.ObjectAbsent, "getLegalEntity", noPatient, http.MethodGet, legalEntityPath(unknownNumber), "",
		byRegion)
	inUse := legalEntityPath(1) + "?version=2"
	s.refuse(booking.ObjectInUse, "deleteLegalEntity", noPatient, http.MethodDelete, inUse, "", byRegion)
	s.refuse(booking.ImportAbsent, "getImport", noPatient, http.MethodGet, importPath(unknownNumber), "", bySystem)
	s.refuse(booking.EventsExpired, "listEvents", noPatient, http.MethodGet,
		"/events?after="+base64.RawURLEncoding.EncodeToString([]byte(`{"at":0,"n":9007199254740991}`)), "",
		s.byRegion(booking.ScopeEventsRead))
	s.refuse(booking.TooManyImports, "createImport", noPatient, http.MethodPost, "/registry/imports", importLine(),
		ndjson, s.byClient(importingClient, booking.ScopeScheduleWrite))
	s.refuse(booking.WebhookAbsent, "getWebhook", noPatient, http.MethodGet, webhookPath(unknownNumber), "",
		s.bySystem(booking.ScopeEventsRead))
	s.refuse(booking.TooManyWebhooks, "putWebhook", noPatient, http.MethodPut, webhookPath(unknownNumber),
		webhookBody, s.byClient(importingClient, booking.ScopeEventsRead))
	schedule(booking.VersionStale, 3, decided, 1, scheduleMessage{Version: decidedVersion - 1})
	schedule(booking.VersionConflict, 3, decided, 1, scheduleMessage{Version: decidedVersion})
	cells := func(cells ...scheduleCell) scheduleMessage { return scheduleMessage{Version: 1, Cells: cells} }
	schedule(booking.CellOverlap, 3, farDay, 1, cells(newCell(1), overlapping))
	schedule(booking.CellForeign, 3, farDay, 1, cells(stolen))
	schedule(booking.CellBooked, 2, s.now, 14, scheduleMessage{Version: 3, OnBooked: "refuse"})
}

// addRegistrySuccesses adds messages of an institution's system that are applied.
func (s *scenarios) addRegistrySuccesses() {
	add := func(name, operation, method, path, body string) {
		s.add(name, operation, http.StatusOK, noPatient, method, path, body, s.bySystem(booking.ScopeScheduleWrite))
	}
	message := scheduleMessage{Version: 1, Cells: []scheduleCell{newCell(1)}}
	add("schedule_written", "putSchedule", http.MethodPut, schedulePath(4, farDay, 1), message.json())
	add("schedule", "getSchedule", http.MethodGet, schedulePath(2, s.now, 14), "")
	add("sources", "listSources", http.MethodGet, registryPath+"/sources", "")
	add("work", "listWork", http.MethodGet, registryPath+"/work-list", "")
	add("slot_changed", "patchSlot", http.MethodPatch,
		registryPath+"/slots/"+numbered("0009", int(slotOf(4, 13, 16))).String(), `{"Version": 2, "Blocked": true}`)
	add("absence_added", "addAbsence", http.MethodPost, resourcePath(3)+"/absences", fmt.Sprintf(
		`{"AbsenceGuid": %q, "From": "2100-01-01T00:00:00Z", "To": "2100-01-02T00:00:00Z", "Reason": "Больничный"}`,
		numbered("000d", 2)))
	s.addObjectSuccesses()
	s.add("import_accepted", "createImport", http.StatusAccepted, noPatient, http.MethodPost,
		"/registry/imports?dryRun=true", importLine(), ndjson, s.bySystem(booking.ScopeScheduleWrite))
	add("import_completed", "getImport", http.MethodGet, importPath(1), "")
	add("import_errors", "listImportErrors", http.MethodGet, importPath(1)+"/errors", "")
	add("import_cancelled", "cancelImport", http.MethodDelete, importPath(2), "")
	s.add("events", "listEvents", http.StatusOK, noPatient, http.MethodGet, "/events?limit=10", "",
		s.byRegion(booking.ScopeEventsRead))
	s.add("audit", "listAudit", http.StatusOK, noPatient, http.MethodGet, "/audit?limit=1", "",
		s.byRegion(booking.ScopeAuditRead))
	s.add("bundle", "exportAudit", http.StatusOK, noPatient, http.MethodGet, "/audit/fhir?limit=1", "",
		s.byRegion(booking.ScopeAuditRead))
	add("absences", "listAbsences", http.MethodGet, resourcePath(3)+"/absences?"+period(farDay, 1), "")
	add("absence_lifted", "liftAbsence", http.MethodDelete,
		resourcePath(3)+"/absences/"+numbered("000d", 1).String(), "")
}

// addObjectSuccesses adds writes of objects. They write objects that nothing else uses, or values
// that are in force already.
func (s *scenarios) addObjectSuccesses() {
	add := func(name, operation, method, path, body string) {
		s.add(name, operation, http.StatusOK, noPatient, method, path, body, s.byRegion(booking.ScopeAdmin))
	}
	const written, deleted = 90, 91 // numbers of objects
	lpu := func(number int) string { return "/registry/lpus/" + numbered("0002", number).String() }
	client := func(number int) string { return "/registry/clients/" + numbered("0003", number).String() }
	oneSetting := func(code, value string) string {
		return fmt.Sprintf(`{"Version": 2, "Settings": [{"Code": %q, "Value": %q}]}`, code, value)
	}
	add("legal_entity_written", "putLegalEntity", http.MethodPut, legalEntityPath(written),
		`{"Version": 1, "Name": "ГБУЗ «Городская поликлиника»"}`)
	add("legal_entity", "getLegalEntity", http.MethodGet, legalEntityPath(1), "")
	add("legal_entity_deleted", "deleteLegalEntity", http.MethodDelete, legalEntityPath(deleted)+"?version=1", "")
	add("lpu_written", "putLpu", http.MethodPut, lpu(written), fmt.Sprintf(
		`{"Version": 1, "LegalEntityGuid": %q, "Code": "1090", "Name": "Новая поликлиника", "TimeZone": "Europe/Moscow"}`,
		numbered("0001", 1)))
	add("lpu_deleted", "deleteLpu", http.MethodDelete, lpu(deleted)+"?version=1", "")
	add("resource_written", "putResource", http.MethodPut, resourcePath(written),
		`{"Version": 1, "Kind": "doctor", "Name": "Врач Терапевт Новый", "SpecialityCode": "92", "Active": false}`)
	add("resource", "getResource", http.MethodGet, resourcePath(1), "")
	add("resource_deleted", "deleteResource", http.MethodDelete, resourcePath(deleted)+"?version=1", "")
	add("resources", "listResources", http.MethodGet, registryPath+"/resources", "")
	add("client_rights_written", "putClientRights", http.MethodPut, client(13)+"/rights",
		`{"Version": 1, "VisitDirection": 0, "VisitDirectionOtherLpu": 0, "OutOfSchedule": false}`)
	add("client_rights", "getClientRights", http.MethodGet, client(4)+"/rights", "")
	add("region_settings_written", "putRegionSettings", http.MethodPut, "/registry/settings",
		oneSetting("OneActiveAppointmentPerSpeciality", "true"))
	add("region_settings", "getRegionSettings", http.MethodGet, "/registry/settings", "")
	add("lpu_settings_written", "putLpuSettings", http.MethodPut, registryPath+"/settings",
		`{"Version": 2, "Settings": [`+
			`{"Code": "DirectionExpires", "Value": "true"}, {"Code": "ScheduleFreshHours", "Value": "720"}]}`)
	add("lpu_settings", "getLpuSettings", http.MethodGet, registryPath+"/settings", "")
	add("client_settings_written", "putClientSettings", http.MethodPut, client(2)+"/settings",
		oneSetting("scheduleDays", "14"))
	add("client_settings", "getClientSettings", http.MethodGet, client(2)+"/settings", "")
}

func legalEntityPath(number int) string {
	return "/registry/legal-entities/" + numbered("0001", number).String()
}

// ndjson is a change that sends the body as a file.
func ndjson(s *Scenario) { s.Headers["Content-Type"] = "application/x-ndjson" }

// importLine returns a file with one message.
func importLine() string {
	return fmt.Sprintf(`{"Method":"PUT","Path":%q,"Body":{"Version":1,"Cells":[]}}`+"\n", schedulePath(4, farDay, 1))
}

func importPath(number int) string { return "/registry/imports/" + numbered("000f", number).String() }

// Objects of patients that only the scenarios of the registry use.
const (
	duplicateCard = 900             // of the same person as mergedCard, closed
	mergedCard    = 100_200_000_034 // the card that it is merged into
	writtenObject = 901             // that the scenarios bring in
	deletedObject = 902             // that the scenarios delete, unknown before
)

// addPatientObjectRefusals adds the refusals of writes of patients' objects.
func (s *scenarios) addPatientObjectRefusals() {
	byRegion := s.byRegion(booking.ScopePatientWrite)
	s.refuse(booking.ObjectAbsent, "getCard", noPatient, http.MethodGet, cardPath(unknownNumber), "", byRegion)
	booked := "/registry/lpus/" + exampleSource.String() + "/referrals/" + referralOf(2, 1).String()
	s.refuse(booking.ObjectBooked, "withdrawReferral", noPatient, http.MethodDelete,
		booked+"?version=2&onBooked=refuse", "", s.byRegion(booking.ScopeReferralWrite))
	s.refuse(booking.MkabOpen, "putCard", noPatient, http.MethodPut, cardPath(deletedObject),
		cardBody(mergedPerson), byRegion)
	s.refuse(booking.GuidForeign, "withdrawReferral", noPatient, http.MethodDelete,
		registryPath+"/referrals/"+referralOf(2, 1).String()+"?version=2", "", s.byRegion(booking.ScopeReferralWrite))
}

// addPatientObjects adds writes of patients' objects that are applied, and their reads.
func (s *scenarios) addPatientObjects() {
	add := func(name, operation, method, path, body string) {
		scope := booking.ScopePatientWrite
		if strings.Contains(path, "/referrals/") {
			scope = booking.ScopeReferralWrite
		}
		s.add(name, operation, http.StatusOK, noPatient, method, path, body, s.byRegion(scope))
	}
	objectPath := func(noun, kind string, number int) string {
		return registryPath + "/" + noun + "/" + numbered(kind, number).String()
	}
	personPath := func(number int) string { return "/registry/persons/" + person(number).String() }
	card := numbered("0006", mergedCard)
	add("card_written", "putCard", http.MethodPut, cardPath(writtenObject), cardBody(writtenObject))
	add("registered_card", "getCard", http.MethodGet, cardPath(mergedCard), "")
	add("card_merged", "mergeCard", http.MethodPost, cardPath(duplicateCard)+"/merge",
		fmt.Sprintf(`{"Version": 2, "IntoCardGuid": %q}`, card))
	add("case_written", "putCase", http.MethodPut, objectPath("cases", "0008", writtenObject), fmt.Sprintf(
		`{"Version": 1, "CardGuid": %q, "OpenedOn": "2019-08-13", "ClosedOn": "2019-08-20"}`, card))
	add("registered_case", "getCase", http.MethodGet,
		"/registry/lpus/"+exampleSource.String()+"/cases/"+numbered("0008", 6).String(), "")
	add("case_deleted", "deleteCase", http.MethodDelete, objectPath("cases", "0008", deletedObject)+"?version=1", "")
	add("referral_written", "putReferral", http.MethodPut, objectPath("referrals", "0007", writtenObject), fmt.Sprintf(
		`{"Version": 1, "CardGuid": %q, "Type": "Consult", "Number": "47010157096", "Date": "2019-08-13", `+
			`"DateEnd": "2019-09-12", "DateCreate": "2019-08-13T09:00:00+03:00", "SpecialityCode": "92"}`, card))
	add("registered_referral", "getReferral", http.MethodGet,
		"/registry/lpus/"+exampleSource.String()+"/referrals/"+referralOf(refusedPatient, 3).String(), "")
	add("referral_withdrawn", "withdrawReferral", http.MethodDelete,
		objectPath("referrals", "0007", deletedObject)+"?version=1", "")
	add("person_written", "putPerson", http.MethodPut, personPath(writtenObject),
		`{"Version": 1, "Surname": "Иванова", "Name": "Анна", "BirthDate": "1985-04-12", "Sex": "female"}`)
	add("registered_person", "getPerson", http.MethodGet, personPath(1), "")
	add("person_deleted", "deletePerson", http.MethodDelete, personPath(deletedObject)+"?version=1", "")
}

// clinicPath returns the path of a visit for the system of its institution.
func clinicPath(visit int) string {
	return "/clinic/lpus/" + exampleTarget.String() + "/appointments/" + numbered("000a", visit).String()
}

// addVisitRefusals adds the refusals of receipts and attendances.
func (s *scenarios) addVisitRefusals() {
	attend := func(rule booking.Name, visit int, attendance string) {
		s.refuse(rule, "putAttendance", noPatient, http.MethodPut, clinicPath(visit)+"/attendance",
			attendanceBody(attendance), s.bySystem(booking.ScopeVisitWrite))
	}
	attend(booking.AppointmentNotActive, cancelledVisit, "arrived")
	s.refuse(booking.AppointmentVersionMismatch, "putReceipt", noPatient, http.MethodPut,
		clinicPath(bookedVisit)+"/receipt", `{"Version": 99, "Status": "accepted"}`,
		s.bySystem(booking.ScopeVisitWrite))
	attend(booking.AttendanceEarly, bookedVisit, "arrived")
	attend(booking.AttendanceFinal, fulfilledVisit, "none")
}

// addVisits adds the reads of visits, a receipt, an attendance, a booking, a move and a
// cancellation. Those that write are repeatable.
func (s *scenarios) addVisits() {
	add := func(name, operation, method, path, body, scope string) {
		s.add(name, operation, http.StatusOK, noPatient, method, path, body, s.bySystem(scope))
	}
	list := "/clinic/lpus/" + exampleTarget.String() + "/appointments?status=Booked&limit=2"
	add("visits", "listVisits", http.MethodGet, list, "", booking.ScopeVisitRead)
	add("visit", "getVisit", http.MethodGet, clinicPath(bookedVisit), "", booking.ScopeVisitRead)
	add("receipt_written", "putReceipt", http.MethodPut, clinicPath(bookedVisit)+"/receipt",
		`{"Version": 1, "Status": "accepted", "Number": "А-104"}`, booking.ScopeVisitWrite)
	add("attendance_written", "putAttendance", http.MethodPut, clinicPath(fulfilledVisit)+"/attendance",
		attendanceBody("fulfilled"), booking.ScopeVisitWrite)
	s.add("visit_booked", "bookVisit", http.StatusOK, noPatient, http.MethodPost,
		"/clinic/lpus/"+exampleTarget.String()+"/appointments", marshal(map[string]any{
			"PersonGuid": person(bookingPatient), "DirectionGuid": referralOf(bookingPatient, 2),
			"DirectionType": "consult", "LpuFromGuid": exampleSource, "SlotId": slotOf(3, lateDay, 7),
		}), s.bySystem(booking.ScopeVisitWrite), header("Idempotency-Key", "demo-visit-booked"))
	add("visit_moved", "putVisitSlot", http.MethodPut, clinicPath(reassigned)+"/slot", fmt.Sprintf(
		`{"Version": 1, "SlotId": %d, "Reason": "equipment_failed", "Text": "Аппарат не работает"}`, reassignedTo),
		booking.ScopeVisitWrite)
	add("cancellation_written", "putCancellation", http.MethodPut, clinicPath(calledOffVisit)+"/cancellation",
		`{"Initiator": "institution", "Reason": "equipment_failed", "Text": "Аппарат на ремонте до конца недели"}`,
		booking.ScopeVisitWrite)
}

// webhookBody is a webhook to which nothing is sent.
const webhookBody = `{"Url": "https://clinic.example/talon", "Enabled": false}`

// addWebhooks adds the operations of webhooks. Those that write are repeatable.
func (s *scenarios) addWebhooks() {
	add := func(name, operation, method, path, body string) {
		s.add(name, operation, http.StatusOK, noPatient, method, path, body, s.bySystem(booking.ScopeEventsRead))
	}
	demo := webhookPath(1)
	add("webhooks", "listWebhooks", http.MethodGet, "/webhooks", "")
	add("webhook_written", "putWebhook", http.MethodPut, demo, webhookBody)
	add("webhook", "getWebhook", http.MethodGet, demo, "")
	add("webhook_keys", "listWebhookKeys", http.MethodGet, demo+"/keys", "")
	add("webhook_keys_replaced", "addWebhookKey", http.MethodPost, demo+"/keys", "")
	add("deliveries", "listDeliveries", http.MethodGet, demo+"/deliveries", "")
	add("redelivery", "redeliver", http.MethodPost, demo+"/redelivery", `{"EventIds": ["1566291600087416"]}`)
	add("webhook_deleted", "deleteWebhook", http.MethodDelete, webhookPath(unknownNumber), "")
}

func webhookPath(number int) string { return "/webhooks/" + numbered("0010", number).String() }

func attendanceBody(attendance string) string { return fmt.Sprintf(`{"Attendance": %q}`, attendance) }

// mergedPerson is the patient of mergedCard.
const mergedPerson = 34

// cardPath returns the path of a card.
func cardPath(number int) string { return registryPath + "/cards/" + numbered("0006", number).String() }

// cardBody returns the body of a request that writes an open card of a person.
func cardBody(number int) string {
	return fmt.Sprintf(`{"Version": 1, "PersonGuid": %q, "Surname": "Иванова", "Name": "Анна", `+
		`"BirthDate": "1985-04-12", "Sex": "female", "Policies": [{"Number": "1234567890123456"}]}`, person(number))
}

// registryPath is the path of the institution that the scenarios of the registry write to.
var registryPath = "/registry/lpus/" + exampleTarget.String()

func resourcePath(resource int) string {
	return registryPath + "/resources/" + numbered("0004", resource).String()
}

// schedulePath returns the path of the schedule of a resource for some days.
func schedulePath(resource int, from time.Time, days int) string {
	return resourcePath(resource) + "/schedule?" + period(from, days)
}

// period returns the query of some days.
func period(from time.Time, days int) string {
	return url.Values{
		"from": {from.Format(time.RFC3339)}, "to": {from.AddDate(0, 0, days).Format(time.RFC3339)},
	}.Encode()
}

// newCell returns a cell of farDay that only the scenarios of the registry bring in.
func newCell(number int) scheduleCell {
	start := farDay.Add(time.Duration(number) * 15 * time.Minute)
	return scheduleCell{
		Guid: numbered("000e", number), Start: start, End: start.Add(15 * time.Minute), Capacity: 1,
		FlagAccess: int32(booking.AccessInternet), BusyType: 1,
	}
}

// scheduleMessage and scheduleCell are the body of a schedule message.
type (
	scheduleMessage struct {
		Version  int            `json:"Version"`
		OnBooked string         `json:"OnBooked,omitempty"`
		Cells    []scheduleCell `json:"Cells"`
	}
	scheduleCell struct {
		Guid       uuid.UUID `json:"Guid"`
		Start      time.Time `json:"Start"`
		End        time.Time `json:"End"`
		Capacity   int32     `json:"Capacity"`
		FlagAccess int32     `json:"FlagAccess"`
		BusyType   int32     `json:"BusyType"`
	}
)

func (m scheduleMessage) json() string {
	if m.Cells == nil {
		m.Cells = []scheduleCell{}
	}
	return marshal(m)
}

// requestToken adds a request for a patient's token, with the secret of Client.
func (s *scenarios) requestToken(name string, status, patient int, secret string) {
	path := "/auth/cod/token?personguid=" + person(patient).String()
	s.add(name, "getCodToken", status, noPatient, http.MethodGet, path, "", basicAuth(Client, secret))
}

// requestSystemToken adds a request for a token of SystemClient itself, with its secret.
func (s *scenarios) requestSystemToken(name string, status int, form string) {
	s.add(name, "getSystemToken", status, noPatient, http.MethodPost, "/auth/token", form,
		header("Content-Type", "application/x-www-form-urlencoded"), basicAuth(SystemClient, ClientSecret))
}

// bySystem returns a change that sends a token of SystemClient itself with the scope.
func (s *scenarios) bySystem(scope string) func(*Scenario) { return s.byClient(SystemClient, scope) }

// byClient is bySystem for another client application.
func (s *scenarios) byClient(client uuid.UUID, scope string) func(*Scenario) {
	caller := auth.Caller{Client: client, Scopes: []string{scope}, Lpus: []uuid.UUID{exampleTarget}}
	return header("Authorization", s.bearerOf(caller, s.now))
}

// byRegion returns a change that sends a token of RegionClient itself with the scope.
func (s *scenarios) byRegion(scope string) func(*Scenario) {
	caller := auth.Caller{Client: RegionClient, Scopes: []string{scope}, EveryLpu: true}
	return header("Authorization", s.bearerOf(caller, s.now))
}

// basicAuth returns a change that sends the credentials of a client application.
func basicAuth(client uuid.UUID, secret string) func(*Scenario) {
	request := http.Request{Header: http.Header{}}
	request.SetBasicAuth(client.String(), secret)
	return header("Authorization", request.Header.Get("Authorization"))
}

// bookingBody returns the body of a request to book a cell by a numbered referral of the patient.
// With slot 0 it is the body of a request to hold the cell in the path. changes replace fields.
func bookingBody(patient, referral int, slot int64, changes map[string]any) string {
	fields := map[string]any{
		"DirectionGuid": referralOf(patient, referral),
		"DirectionType": "consult",
		"LpuFromGuid":   exampleSource,
		"LpuToGuid":     lpuOf(slot),
	}
	if slot != 0 {
		fields["SlotId"] = slot
	}
	if referral == 3 {
		fields["DirectionType"] = "laboratory"
	}
	if cardless(patient) && referral <= 3 {
		fields["LpuFromGuid"] = documentedInstitutions[2]
	}
	maps.Copy(fields, changes)
	return marshal(fields)
}

// marshal returns the JSON of a body. It panics on a value that JSON does not have, which no body
// contains.
func marshal(body any) string {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("sandbox: marshal a request: %v", err))
	}
	return string(text)
}

// moveBody returns the body of a request to move a visit to a cell.
func moveBody(slot int64) string { return fmt.Sprintf(`{"SlotId": %d}`, slot) }

// cardless reports whether the patient's referrals 1 to 3 are from В to Г, where the patient has no
// card.
func cardless(patient int) bool {
	return patient >= 10 && patient <= 16 || patient >= 21 && patient <= 24
}

// slotOf returns the id of a cell, in the form that demoFiles describes.
func slotOf(resource, day, cell int) int64 {
	return int64(resource*10_000 + day*100 + cell)
}

// lpuOf returns the institution of a cell.
func lpuOf(slot int64) uuid.UUID {
	switch slot / 10_000 {
	case 7, 8:
		return exampleSource
	case 9, 10, 11:
		return documentedInstitutions[3]
	case 12:
		return numbered("0002", 1005)
	case 13, 14:
		return numbered("0002", 1006)
	case 15:
		return documentedInstitutions[2]
	default:
		return exampleTarget
	}
}

func referralOf(patient, number int) uuid.UUID { return numbered("0007", patient*100_000_000+number) }

// referralNumber returns the printed number of a referral.
func referralNumber(patient, number int) string { return fmt.Sprintf("%011d", patient*1000+number) }

func visitPath(number int) string { return "/appointments/" + numbered("000a", number).String() }

func holdPath(slot int64) string { return "/slots/" + numbered("0009", int(slot)).String() + "/hold" }
