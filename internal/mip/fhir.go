package mip

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/booking"
)

// uriSystem is FHIR's identifier system whose values are URIs.
const uriSystem = "urn:ietf:rfc:3986"

// identifierValue writes a guid as a value of the identifier system.
func identifierValue(system string, guid uuid.UUID) string {
	if system == uriSystem {
		return guid.URN()
	}
	return guid.String()
}

// What we read of FHIR R4's resources.
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

// Errors of encoding/json may quote what they read; these do not.
var (
	errNoBundle      = errors.New("the index's answer is not a FHIR bundle of search results")
	errNoPatient     = errors.New("a patient in the index's answer is not as FHIR has it")
	errOtherPatients = errors.New("the index answered with patients who do not carry the identifier")
)

// read turns the index's answer into the person. It refuses with booking.MipPersonNotFound and booking.MipPersonDataMissing.
func (r *Remote) read(status int, body []byte, guid uuid.UUID) (*booking.Person, error) {
	switch {
	case status == http.StatusOK:
		return r.pick(body, guid)
	case status == http.StatusNotFound && saysNotFound(body):
		return nil, booking.Reject(booking.MipPersonNotFound)
	default:
		return nil, unexpected(status)
	}
}

// saysNotFound tells a server that knows no such patient from a URL that leads nowhere.
func saysNotFound(body []byte) bool {
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

// pick finds the person among the search results: the active patient who carries the very identifier. Several are fine as long as they say
// the same; else nobody can tell whose data are right, and they count as missing.
func (r *Remote) pick(body []byte, guid uuid.UUID) (*booking.Person, error) {
	patients, err := patientsIn(body)
	if err != nil {
		return nil, err
	}
	if len(patients) == 0 {
		return nil, booking.Reject(booking.MipPersonNotFound)
	}
	// A server may ignore a search parameter that it does not know, and answer with anybody.
	patients = slices.DeleteFunc(patients, func(p patient) bool { return !p.carries(r.config.IdentifierSystem, guid) })
	if len(patients) == 0 {
		return nil, errOtherPatients
	}
	// An inactive record is one that was merged into another or made by mistake.
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
			return nil, dataMissing("several patients carry the identifier, and differ")
		}
	}
	return person, nil
}

func dataMissing(why string) error {
	return booking.Reject(booking.MipPersonDataMissing).Because(errors.New(why))
}

// patientsIn reads the patients of a bundle of search results, which may hold other resources, such as a warning.
func patientsIn(body []byte) ([]patient, error) {
	var found bundle
	if json.Unmarshal(body, &found) != nil || found.ResourceType != "Bundle" || found.Type != "searchset" {
		return nil, errNoBundle
	}
	var patients []patient
	for _, entry := range found.Entry {
		var kind struct {
			ResourceType string `json:"resourceType"`
		}
		if json.Unmarshal(entry.Resource, &kind) != nil {
			return nil, errNoBundle
		}
		if kind.ResourceType != "Patient" {
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

// carries tells whether the patient has the guid for an identifier, in whatever way it is written.
func (p *patient) carries(system string, guid uuid.UUID) bool {
	return slices.ContainsFunc(p.Identifier, func(id identifier) bool {
		value, err := uuid.Parse(id.Value)
		return err == nil && value == guid && id.System == system
	})
}

// person takes over what the patient says. All of it may be empty but the date of birth.
func (r *Remote) person(p *patient, guid uuid.UUID) (*booking.Person, error) {
	birthDate, err := time.Parse(time.DateOnly, p.BirthDate)
	if err != nil {
		return nil, dataMissing("no full date of birth")
	}
	person := &booking.Person{Guid: guid, BirthDate: birthDate, Snils: p.current(r.config.SnilsSystem)}
	person.Surname, person.Name, person.Patronymic = p.names()
	person.PolicySeries, person.PolicyNumber = policy(p.current(r.config.PolicySystem))
	switch p.Gender {
	case "male":
		person.Sex = booking.Male
	case "female":
		person.Sex = booking.Female
	}
	return person, nil
}

// names gives the official name, else the usual one, else one that does not say what it is for; never a former name or a nickname. The first given
// name is the name (имя), the others are the patronymic (отчество).
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

// current gives the patient's first identifier of the system that is not a former one, or nothing.
func (p *patient) current(system string) string {
	for _, id := range p.Identifier {
		if id.System == system && id.Use != "old" {
			return strings.TrimSpace(id.Value)
		}
	}
	return ""
}

// policy splits an insurance policy's identifier. A uniform policy is its number alone; older ones are written series:number.
func policy(value string) (series, number string) {
	if series, number, ok := strings.Cut(value, ":"); ok {
		return strings.TrimSpace(series), strings.TrimSpace(number)
	}
	return "", value
}
