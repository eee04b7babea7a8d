package booking

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

// Type is the documented type of an error (Тип ошибки). It is independent of the HTTP status.
type Type string

// The two documented types.
const (
	TypeValidation Type = "Validation"
	TypeError      Type = "Error"
)

// Refusal is a non-2xx response: one row of the rule table with its placeholders filled. It
// implements error; callers find it with errors.As.
type Refusal struct {
	Rule     Name   // the stable name
	Status   int    // HTTP status (Code)
	Code     string // message_code (Код сообщения)
	Type     Type
	Message  string // for the patient, in Russian
	Title    string // in English
	Remedies *Remedies

	RetryAfter time.Duration // when a retry may succeed; 0 if unknown

	// For the audit, and never sent to the client: whose request it was, if the rules of a booking
	// were checked, and what the rule compared.
	Person   uuid.UUID
	Compared []Compared

	cause error
}

// Remedies are what the patient can do next after a refusal. They contain only data of the token's
// patient and free cells.
type Remedies struct {
	Appointment *ExistingAppointment // the visit that prevents the booking
	Slots       []OfferedSlot        // free cells near the requested one, without the institution's name
	Holds       []Hold               // the patient's active holds
	Fields      []FieldProblem       // what the client must correct in the request
	Conflicts   []CellConflict       // cells with visits that a message would change
}

// FieldProblem is what is wrong with one field or parameter of the request.
type FieldProblem struct {
	Problem

	Name string // of a parameter, or the path of a field in the body, with a dot before each inner name
}

// Reject returns the refusal of a rule. values are pairs of a placeholder's name and its text, as
// for {DirectionGuid}: Reject(DirectionNotPatients, "DirectionGuid", guid). It panics on a name
// that is not among Rules, which no input can cause.
func Reject(name Name, values ...string) *Refusal {
	rule, ok := rulesByName[name]
	if !ok {
		panic("booking: no rule is named " + name)
	}
	return rule.Reject(values...)
}

// Reject returns the refusal of the rule, with the placeholders of its message filled.
func (r *Rule) Reject(values ...string) *Refusal {
	replacements := make([]string, 0, len(values))
	for i, value := range values {
		if i%2 == 0 {
			value = "{" + value + "}"
		}
		replacements = append(replacements, value)
	}
	// One pass, so that a value that looks like a placeholder is not replaced.
	message := strings.NewReplacer(replacements...).Replace(r.Message)
	return &Refusal{Rule: r.Name, Status: r.Status, Code: r.Code, Type: r.Type, Message: message, Title: r.Title}
}

// Because attaches the internal cause and returns r. The cause is logged and never sent to the
// client.
func (r *Refusal) Because(cause error) *Refusal {
	r.cause = cause
	return r
}

// Error returns the rule and the cause. It omits the message, which may contain a patient's data,
// because errors are logged.
func (r *Refusal) Error() string {
	if r.cause == nil {
		return string(r.Rule)
	}
	return string(r.Rule) + ": " + r.cause.Error()
}

// Unwrap returns the cause, or nil.
func (r *Refusal) Unwrap() error { return r.cause }

// InvalidField rejects a field of the request.
func InvalidField(field string, problem Problem) *Refusal {
	return InvalidFields([]FieldProblem{{problem, field}})
}

// InvalidFields rejects the fields of the request, of which there must be at least one. The message
// names the first.
func InvalidFields(fields []FieldProblem) *Refusal {
	refusal := Reject(FieldInvalid, fields[0].values()...)
	refusal.Remedies = &Remedies{Fields: fields}
	return refusal
}

// The years in which a moment can be. Others are mistakes, and may exceed what a client can read.
const (
	firstYear = 1900
	lastYear  = 2199
)

// CheckYear rejects a moment or a day outside the years 1900 to 2199 (UTC). field is its name.
func CheckYear(field string, moment time.Time) *Refusal {
	if year := moment.UTC().Year(); year < firstYear || year > lastYear {
		return InvalidField(field, ProblemYear)
	}
	return nil
}

// values returns the placeholders of field_invalid.
func (f FieldProblem) values() []string { return []string{"Field", f.Name, "Problem", f.Text} }
