package mip

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// uriSystem is FHIR's identifier system whose values are URIs.
const uriSystem = "urn:ietf:rfc:3986"

// identifierValue returns the guid as a value of the identifier system: a URN in uriSystem, else
// the bare guid in lower case.
func identifierValue(system string, guid uuid.UUID) string {
	if system == uriSystem {
		return guid.URN()
	}
	return guid.String()
}

// The parts of FHIR R4 resources that Talon reads.
type (
	bundle struct {
		ResourceType string `json:"resourceType"`
		Type         string `json:"type"`
		Entry        []struct {
			Resource json.RawMessage `json:"resource"`
		} `json:"entry"`
	}
	operationOutcome struct {
		ResourceType string `json:"resourceType"`
		Issue        []struct {
			Code string `json:"code"`
		} `json:"issue"`
	}
	patient struct {
		Identifier []identifier `json:"identifier"`
		Active     *bool        `json:"active"`
		Name       []humanName  `json:"name"`
		Gender     string       `json:"gender"`
		BirthDate  string       `json:"birthDate"`
	}
	identifier struct {
		Use    string `json:"use"`
		System string `json:"system"`
		Value  string `json:"value"`
	}
	humanName struct {
		Use    string   `json:"use"`
		Family string   `json:"family"`
		Given  []string `json:"given"`
	}
)

// Errors of encoding/json may quote the response; these do not.
var (
	errNoBundle      = errors.New("the response is not a FHIR bundle of search results")
	errNoPatient     = errors.New("the response contains a malformed FHIR patient")
	errOtherPatients = errors.New("the response contains only patients without the identifier")
)

// parseResponse returns the person from the index's response. It returns the refusals
// booking.MipPersonNotFound and booking.MipPersonDataMissing, and a plain error for any other
// response.
func (r *Remote) parseResponse(status int, body []byte, guid uuid.UUID) (*booking.Person, error) {
	switch {
	case status == http.StatusOK:
		return r.selectPerson(body, guid)
	case status == http.StatusNotFound && isNotFoundOutcome(body):
		return nil, booking.Reject(booking.MipPersonNotFound)
	default:
		return nil, unexpectedStatus(status)
	}
}

// isNotFoundOutcome reports whether the body is a FHIR outcome that the patient was not found. Any
// other 404 means a wrong URL.
func isNotFoundOutcome(body []byte) bool {
	var outcome operationOutcome
	if json.Unmarshal(body, &outcome) != nil || outcome.ResourceType != "OperationOutcome" {
		return false
	}
	for _, issue := range outcome.Issue {
		if issue.Code == "not-found" {
			return true
		}
	}
	return false
}

// selectPerson returns the person from a bundle of search results: the active patient with the
// identifier. If several patients have it and their data differ, the data count as missing.
func (r *Remote) selectPerson(body []byte, guid uuid.UUID) (*booking.Person, error) {
	patients, err := parsePatients(body)
	if err != nil {
		return nil, err
	}
	if len(patients) == 0 {
		return nil, booking.Reject(booking.MipPersonNotFound)
	}
	// A server that does not know the search parameter may ignore it and return any patients.
	patients = slices.DeleteFunc(patients, func(p patient) bool {
		return !p.hasIdentifier(r.config.IdentifierSystem, guid)
	})
	if len(patients) == 0 {
		return nil, errOtherPatients
	}
	// A record is inactive if it was merged into another one or created by mistake.
	patients = slices.DeleteFunc(patients, func(p patient) bool { return p.Active != nil && !*p.Active })
	if len(patients) == 0 {
		return nil, dataMissing("the patient is inactive")
	}
	person, err := r.person(&patients[0], guid)
	if err != nil {
		return nil, err
	}
	for _, p := range patients[1:] {
		other, err := r.person(&p, guid)
		if err != nil {
			return nil, err
		}
		if *other != *person {
			return nil, dataMissing("several patients have the identifier, and their data differ")
		}
	}
	return person, nil
}

func dataMissing(cause string) error {
	return booking.Reject(booking.MipPersonDataMissing).Because(errors.New(cause))
}

// parsePatients returns the patients of a bundle of search results. It skips other resources, such
// as warnings.
func parsePatients(body []byte) ([]patient, error) {
	var results bundle
	if json.Unmarshal(body, &results) != nil || results.ResourceType != "Bundle" || results.Type != "searchset" {
		return nil, errNoBundle
	}
	var patients []patient
	for _, entry := range results.Entry {
		var resource struct {
			ResourceType string `json:"resourceType"`
		}
		if json.Unmarshal(entry.Resource, &resource) != nil {
			return nil, errNoBundle
		}
		if resource.ResourceType != "Patient" {
			continue
		}
		var p patient
		if json.Unmarshal(entry.Resource, &p) != nil {
			return nil, errNoPatient
		}
		patients = append(patients, p)
	}
	return patients, nil
}

// hasIdentifier reports whether the patient has the guid as an identifier of the system, in any
// form that uuid.Parse accepts.
func (p *patient) hasIdentifier(system string, guid uuid.UUID) bool {
	return slices.ContainsFunc(p.Identifier, func(id identifier) bool {
		value, err := uuid.Parse(id.Value)
		return err == nil && value == guid && id.System == system
	})
}

// person converts a patient. Every field except the date of birth may be empty. Data that the
// contract would not accept from a region's system count as missing.
func (r *Remote) person(p *patient, guid uuid.UUID) (*booking.Person, error) {
	birthDate, err := time.Parse(time.DateOnly, p.BirthDate)
	if err != nil {
		return nil, dataMissing("no full date of birth")
	}
	if birthDate.Year() < firstYear || birthDate.After(r.config.Now().Add(earliestZone)) {
		return nil, dataMissing("an impossible date of birth")
	}
	person := &booking.Person{Guid: guid, BirthDate: birthDate, Snils: p.currentIdentifier(r.config.SnilsSystem)}
	person.Surname, person.Name, person.Patronymic = p.names()
	person.PolicySeries, person.PolicyNumber = splitPolicy(p.currentIdentifier(r.config.PolicySystem))
	switch p.Gender {
	case "male":
		person.Sex = booking.Male
	case "female":
		person.Sex = booking.Female
	}
	for _, name := range []string{person.Surname, person.Name, person.Patronymic} {
		if !isText(name, maxName) {
			return nil, dataMissing("a name that is too long, or has a NUL")
		}
	}
	if !isText(person.PolicySeries, maxPolicy) || !isText(person.PolicyNumber, maxPolicy) {
		return nil, dataMissing("a policy that is too long, or has a NUL")
	}
	if !snilsFormat.MatchString(person.Snils) {
		return nil, dataMissing("a malformed insurance number")
	}
	return person, nil
}

// What the contract accepts in PersonRequest.
const (
	firstYear = 1900
	maxName   = 200 // characters
	maxPolicy = 100
)

var snilsFormat = regexp.MustCompile(`^([0-9]{3}-?[0-9]{3}-?[0-9]{3}[- ]?[0-9]{2})?$`)

// earliestZone is how far the earliest zone is ahead of UTC: there a child may be born tomorrow.
const earliestZone = 14 * time.Hour

// isText reports whether a text has at most most characters and no NUL, which PostgreSQL rejects.
func isText(text string, most int) bool {
	return utf8.RuneCountInString(text) <= most && !strings.ContainsRune(text, 0)
}

// names returns the official name, else the usual one, else one without a use. It never returns a
// former name or a nickname. The first given name is the name (имя), the others are the patronymic
// (отчество).
func (p *patient) names() (surname, name, patronymic string) {
	for _, use := range []string{"official", "usual", ""} {
		for _, n := range p.Name {
			if n.Use != use {
				continue
			}
			if len(n.Given) > 0 {
				name, patronymic = n.Given[0], strings.Join(n.Given[1:], " ")
			}
			return strings.TrimSpace(n.Family), strings.TrimSpace(name), strings.TrimSpace(patronymic)
		}
	}
	return "", "", ""
}

// currentIdentifier returns the patient's first identifier of the system that is not a former one,
// or an empty string.
func (p *patient) currentIdentifier(system string) string {
	for _, id := range p.Identifier {
		if id.System == system && id.Use != "old" {
			return strings.TrimSpace(id.Value)
		}
	}
	return ""
}

// splitPolicy splits the identifier of an insurance policy. A uniform policy has a number only;
// older policies are written series:number.
func splitPolicy(value string) (series, number string) {
	if series, number, ok := strings.Cut(value, ":"); ok {
		return strings.TrimSpace(series), strings.TrimSpace(number)
	}
	return "", value
}
