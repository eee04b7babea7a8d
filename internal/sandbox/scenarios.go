package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
	"talon.example/internal/httpapi/server"
)

// Scenario is a request to the demo data, and what it is always answered: as the contract's example of that name shows. It is repeatable: what books or moves
// has an Idempotency-Key.
type Scenario struct {
	Name      string // of the example; of a refusal its rule
	Operation string // the operationId of what is asked; empty where there is no such operation
	Status    int
	Patient   uuid.UUID // who asks; the zero guid where nobody does
	Method    string
	Path      string // with its query
	Headers   map[string]string
	Body      string // to the letter; empty where there is none
}

// Refusal tells whether the answer is one, by the rule that the scenario is named after.
func (s *Scenario) Refusal() bool { return s.Status >= http.StatusBadRequest }

// Sign signs a token for a person as of a moment. It is valid for TokenLife.
type Sign func(person uuid.UUID, issued time.Time) (string, error)

// TokenLife is how long the demo's tokens are valid.
const TokenLife = 12 * time.Hour

// The patients that the scenarios have for themselves; Patients says what each is good for.
const (
	refused       = 18 // to whom cells are refused
	booked        = 19 // who books
	moved         = 20 // who has visit 5, to move
	holding       = 29 // who holds two cells
	unidentified  = 35
	overguessed   = 36
	unreferred    = 37
	nobody        = 0
	movedVisit    = 5
	lateDay       = 12 // whose cells the scenarios take
	unknownNumber = 0
)

// Scenarios are the requests for every named example of an answer, in the order of the contract's rules and then of its operations: what is refused first. now is
// the moment that tokens are signed at.
func Scenarios(now time.Time, sign Sign) ([]Scenario, error) {
	made := scenarios{now: now, sign: sign}
	made.refusals()
	made.successes()
	return made.list, made.err
}

// scenarios gathers the list; the first error ends it.
type scenarios struct {
	now  time.Time
	sign Sign
	list []Scenario
	err  error
}

// add adds a scenario with the patient's token, and what is to be changed of it.
func (s *scenarios) add(name, operation string, status, patient int, method, path, body string, changes ...func(*Scenario)) {
	scenario := Scenario{Name: name, Operation: operation, Status: status, Method: method, Path: path, Headers: map[string]string{}, Body: body}
	if body != "" {
		scenario.Headers["Content-Type"] = "application/json"
	}
	if patient != nobody {
		scenario.Patient = person(patient)
		scenario.Headers["Authorization"] = s.bearer(patient, s.now)
	}
	for _, change := range changes {
		change(&scenario)
	}
	s.list = append(s.list, scenario)
}

// bearer is what a patient's token that was signed at a moment is sent as.
func (s *scenarios) bearer(patient int, issued time.Time) string {
	token, err := s.sign(person(patient), issued)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("sign a token: %w", err)
	}
	return "Bearer " + token
}

// refuse adds the scenario of a rule, whose answer the table has.
func (s *scenarios) refuse(rule booking.Name, operation string, patient int, method, path, body string, changes ...func(*Scenario)) {
	s.add(string(rule), operation, server.Reject(rule).Status, patient, method, path, body, changes...)
}

// book adds a booking that a rule refuses.
func (s *scenarios) book(rule booking.Name, patient, referral int, slot int64, changes ...func(*Scenario)) {
	s.refuse(rule, "createAppointment", patient, http.MethodPost, "/appointments", InCell(patient, referral, slot, nil), changes...)
}

// look adds a question that is answered.
func (s *scenarios) look(name, operation string, patient int, path string) {
	s.add(name, operation, http.StatusOK, patient, http.MethodGet, path, "")
}

// header sets a header; an empty value takes it away.
func header(name, value string) func(*Scenario) {
	return func(s *Scenario) {
		s.Headers[name] = value
		if value == "" {
			delete(s.Headers, name)
		}
	}
}

// body replaces the body.
func body(text string) func(*Scenario) {
	return func(s *Scenario) { s.Body = text }
}

func (s *scenarios) refusals() {
	s.book(server.TokenMissing, refused, 1, slotOf(2, 8, 15), header("Authorization", ""))
	s.book(server.TokenInvalid, refused, 1, slotOf(2, 8, 15), header("Authorization", "Bearer not-a-token"))
	expired := s.bearer(refused, s.now.Add(-TokenLife-time.Hour))
	s.book(server.TokenExpired, refused, 1, slotOf(2, 8, 15), header("Authorization", expired))
	s.book(server.TokenSignatureInvalid, refused, 1, slotOf(2, 8, 15), func(forged *Scenario) {
		signed := forged.Headers["Authorization"]
		signature := signed[strings.LastIndexByte(signed, '.')+1:]
		forged.Headers["Authorization"] = strings.TrimSuffix(signed, signature) + strings.Repeat("A", len(signature))
	})

	s.book(server.BodyTooLarge, refused, 1, slotOf(2, 8, 15), body(InCell(refused, 1, slotOf(2, 8, 15), map[string]any{"VisitComment": strings.Repeat("x", 64<<10)})))
	s.book(server.MediaTypeUnsupported, refused, 1, slotOf(2, 8, 15), header("Content-Type", "text/plain"))
	s.book(server.BodyMalformed, refused, 1, slotOf(2, 8, 15), body(`{"SlotId": 20815, "SlotId": 20816}`))
	s.book(booking.FieldInvalid, refused, 1, slotOf(2, 8, 15), body(InCell(refused, 1, slotOf(2, 8, 15), map[string]any{"Difficulty": 0})))

	s.book(booking.DirectionTypeUnsupported, refused, 1, slotOf(2, 8, 15), body(InCell(refused, 1, slotOf(2, 8, 15), map[string]any{"DirectionType": "hospital"})))
	s.book(booking.DirectionNotFound, refused, 99, slotOf(2, 8, 15))
	s.book(booking.DirectionNotPatients, refused, 1, slotOf(2, 8, 15), body(InCell(booked, 2, slotOf(2, 8, 15), nil)))
	s.book(booking.DirectionLpuMismatch, 1, 6, slotOf(2, 8, 15))
	s.book(booking.DirectionAlreadyBooked, 2, 1, slotOf(2, 8, 15))
	s.book(booking.DirectionExpired, 1, 8, slotOf(3, 8, 1))

	s.book(booking.SlotNotFound, refused, 1, slotOf(2, 8, 99))
	s.book(booking.SlotResourceNotFound, refused, 1, slotOf(6, 8, 1))
	s.book(booking.SlotNotForReception, refused, 1, slotOf(2, 8, 9))
	s.book(booking.SlotUnavailable, refused, 1, slotOf(2, 8, 7))
	s.book(booking.SlotTimePassed, refused, 1, slotOf(2, 0, 0))
	s.book(booking.SlotBeyondHorizon, 1, 4, slotOf(8, 30, 1))
	s.book(booking.SlotAccessDenied, refused, 1, slotOf(2, 8, 11))
	s.book(booking.SlotFull, refused, 1, slotOf(2, 9, 14))
	s.book(booking.ResourceKindMismatch, refused, 1, slotOf(5, 8, 1))
	s.book(booking.SpecialityMismatch, refused, 1, slotOf(3, 8, 1))
	s.book(booking.SlotAdultsOnly, 8, 1, slotOf(2, 8, 1))
	s.book(booking.SlotChildrenOnly, refused, 1, slotOf(2, 8, 2))
	s.book(booking.SlotInfantsOnly, refused, 1, slotOf(2, 8, 3))
	s.book(booking.SlotDisabledOnly, refused, 1, slotOf(2, 8, 4))
	s.book(booking.SlotPregnantOnly, refused, 1, slotOf(2, 8, 5))
	s.book(booking.SlotHealthyChildrenOnly, 6, 1, slotOf(2, 8, 6))
	s.book(booking.SpecialityAlreadyBooked, 2, 4, slotOf(2, 8, 15))

	s.book(booking.MkabClosed, 9, 1, slotOf(2, 8, 15))
	s.book(booking.MkabAbsent, 10, 4, slotOf(2, 8, 15))
	for _, made := range []struct {
		rule    booking.Name
		patient int
	}{
		{booking.MipAuthURLEmpty, 21}, {booking.MipAuthURLUnreachable, 22}, {booking.MipPersonNotFound, 16}, {booking.MipPersonDataMissing, 15},
		{booking.MkabPolicyNumberEmpty, 11}, {booking.MkabSexEmpty, 12}, {booking.MkabSurnameEmpty, 13}, {booking.MkabNameEmpty, 14},
	} {
		s.book(made.rule, made.patient, 1, slotOf(10, lateDay, 1))
	}
	s.book(booking.MkabLpuNotFound, 10, 5, slotOf(12, lateDay, 1))
	s.book(booking.MkabPolicyLinkFailed, 24, 1, slotOf(10, lateDay, 1))

	s.book(booking.SlotTaken, 25, 1, slotOf(1, lateDay, 5))
	s.book(booking.ComplexSlotFailed, refused, 1, slotOf(2, 8, 16), body(InCell(refused, 1, slotOf(2, 8, 16), map[string]any{"Difficulty": 2})))
	s.book(booking.AppointmentNotCreated, 26, 1, slotOf(1, lateDay, 5))
	s.book(booking.AppointmentNotFound, 27, 1, slotOf(1, lateDay, 5))
	s.book(booking.AppointmentNotLinked, 28, 1, slotOf(1, lateDay, 5))

	s.book(booking.IdempotencyKeyReused, refused, 1, slotOf(2, 8, 15), header("Idempotency-Key", "demo-reused"))
	s.book(booking.IdempotencyKeyInUse, refused, 1, slotOf(2, 8, 15), header("Idempotency-Key", keyInUse))

	s.refuse(booking.DirectionAbsent, "getDirection", refused, http.MethodGet, "/directions/"+numbered("0007", unknownNumber).String(), "")
	s.refuse(booking.LpuAbsent, "listRules", refused, http.MethodGet, "/rules?lpuGuid="+numbered("0002", unknownNumber).String(), "")
	s.refuse(booking.AppointmentAbsent, "getAppointment", refused, http.MethodGet, visitPath(unknownNumber), "")
	s.refuse(booking.AppointmentStarted, "cancelAppointment", 1, http.MethodDelete, visitPath(4), "")
	s.refuse(booking.AppointmentCancelled, "moveAppointment", 1, http.MethodPost, visitPath(1)+"/move", fmt.Sprintf(`{"SlotId": %d}`, slotOf(1, lateDay, 5)))
	s.refuse(booking.TooManyHolds, "holdSlot", holding, http.MethodPost, holdPath(slotOf(3, lateDay, 3)), InCell(holding, 2, 0, nil))
	s.identify(string(booking.ClientUnauthenticated), http.StatusForbidden, refused, "another secret")
	s.identify(string(booking.PatientNotIdentified), http.StatusForbidden, unidentified, ClientSecret)
	s.identify(string(booking.TooManyAttempts), http.StatusTooManyRequests, overguessed, ClientSecret)

	s.refuse(server.RouteNotFound, "", nobody, http.MethodGet, "/appointment", "")
	s.refuse(server.MethodNotAllowed, "", nobody, http.MethodPut, "/appointments", "")
	s.refuse(server.InternalError, "listDirections", 30, http.MethodGet, "/directions", "")
	s.refuse(booking.DatabaseUnavailable, "listDirections", 31, http.MethodGet, "/directions", "")
	s.book(booking.MipUnavailable, 23, 1, slotOf(10, lateDay, 1))
	s.refuse(server.KeysUnavailable, "listDirections", 32, http.MethodGet, "/directions", "")
	s.refuse(booking.Overloaded, "listDirections", 33, http.MethodGet, "/directions", "")
	s.refuse(server.NotReady, "getReadiness", 34, http.MethodGet, "/health/ready", "")
}

func (s *scenarios) successes() {
	const ok = http.StatusOK
	directionsOf := func(patient, referral int) string { return "/directions/" + referralOf(patient, referral).String() }
	s.look("directions", "listDirections", 2, "/directions")
	s.look("no_directions", "listDirections", unreferred, "/directions")
	s.look("not_booked", "getDirection", refused, directionsOf(refused, 3))
	s.look("not_booked", "getDirectionByNumber", refused, "/directions/by-number/"+referralNumber(refused, 3))
	s.look("free_slots", "listDirectionSlots", refused, directionsOf(refused, 2)+"/slots?limit=3")
	s.look("explained_slots", "listDirectionSlots", refused,
		directionsOf(refused, 1)+"/slots?explain=true&limit=16&resourceGuid="+numbered("0004", 2).String())
	s.look("slots_to_move_to", "listDirectionSlots", moved, directionsOf(moved, 1)+"/slots?limit=3&appointmentGuid="+numbered("000a", movedVisit).String())
	s.look("blocked_slots", "listDirectionSlots", 2, directionsOf(2, 1)+"/slots")
	s.look("appointments", "listAppointments", 2, "/appointments")
	s.look("no_appointments", "listAppointments", refused, "/appointments")
	s.look("booked", "getAppointment", 2, visitPath(2))
	s.look("rules", "listRules", refused, "/rules?lpuGuid="+exampleTarget.String())

	check := func(name string, referral int, slot int64) {
		s.add(name, "checkAppointment", ok, refused, http.MethodPost, "/appointments/check", InCell(refused, referral, slot, nil))
	}
	check("check_allowed", 2, slotOf(3, lateDay, 5))
	check("check_refused", 1, slotOf(2, 9, 14))

	once := func(key string) func(*Scenario) { return header("Idempotency-Key", "demo-"+key) }
	s.add("consult", "createAppointment", ok, booked, http.MethodPost, "/appointments", InCell(booked, 1, slotOf(1, lateDay, 1), nil), once("consult"))
	s.add("laboratory", "createAppointment", ok, booked, http.MethodPost, "/appointments", InCell(booked, 3, slotOf(5, lateDay, 1), nil), once("laboratory"))
	s.add("moved", "moveAppointment", ok, moved, http.MethodPost, visitPath(movedVisit)+"/move", fmt.Sprintf(`{"SlotId": %d}`, slotOf(1, lateDay, 4)), once("moved"))
	s.add("cancelled", "cancelAppointment", ok, 1, http.MethodDelete, visitPath(1), "")
	s.add("held", "holdSlot", ok, moved, http.MethodPost, holdPath(slotOf(3, lateDay, 4)), InCell(moved, 2, 0, nil))
	s.add("released", "releaseSlot", ok, booked, http.MethodDelete, holdPath(slotOf(3, lateDay, 4))+"?lpuGuid="+exampleTarget.String(), "")
	s.identify("token", ok, refused, ClientSecret)
	s.look("scenarios", "listScenarios", nobody, "/sandbox/scenarios")
	s.look("live", "getLiveness", nobody, "/health/live")
	s.look("ready", "getReadiness", nobody, "/health/ready")
}

// identify adds a question for a token.
func (s *scenarios) identify(name string, status, patient int, secret string) {
	s.add(name, "getCodToken", status, nobody, http.MethodGet, "/auth/cod/token?personguid="+person(patient).String(), "", func(asked *Scenario) {
		request := http.Request{Header: http.Header{}}
		request.SetBasicAuth(Client.String(), secret)
		asked.Headers["Authorization"] = request.Header.Get("Authorization")
	})
}

// InCell asks to book a cell by one of a patient's numbered referrals, or for 0 to hold the one that the path names; changes replace fields.
func InCell(patient, referral int, slot int64, changes map[string]any) string {
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
	text, err := json.Marshal(fields)
	if err != nil {
		panic(fmt.Sprintf("demo: a request that cannot be written: %v", err)) // of texts and numbers alone
	}
	return string(text)
}

// cardless tells whether a patient is referred from В to Г and has no card there.
func cardless(patient int) bool {
	return patient >= 10 && patient <= 16 || patient >= 21 && patient <= 24
}

// slotOf gives the id of a cell, as demo.sql makes it.
func slotOf(resource, day, cell int) int64 {
	return int64(resource*10_000 + day*100 + cell)
}

// lpuOf gives the institution of a cell.
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

// referralNumber gives a referral's number on paper.
func referralNumber(patient, number int) string { return fmt.Sprintf("%011d", patient*1000+number) }

func visitPath(number int) string { return "/appointments/" + numbered("000a", number).String() }

func holdPath(slot int64) string { return "/slots/" + numbered("0009", int(slot)).String() + "/hold" }
