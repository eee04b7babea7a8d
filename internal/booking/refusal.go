package booking

import (
	"strings"
	"time"
)

// Type is the documented type of an error (Тип ошибки). It is independent of the HTTP status.
type Type string

// The two documented types.
const (
	TypeValidation Type = "Validation"
	TypeError      Type = "Error"
)

// Refusal is an answer other than success: one row of the rule table with its placeholders filled.
// It is an error, so that it travels through the same returns as a failure and is told apart with errors.As.
type Refusal struct {
	Rule    Name   // the stable name
	Status  int    // HTTP status (Code)
	Code    string // message_code (Код сообщения)
	Type    Type
	Message string // for the patient, in Russian
	Details *Details

	RetryAfter time.Duration // when a later try may help, where that is known

	cause error
}

// Details show the way out of a refusal. They are of the token's patient alone.
type Details struct {
	Appointment *ExistingAppointment // the visit that stands in the way
	Slots       []OfferedSlot        // free cells near the one that was wanted, without the institution's name
	Holds       []Hold               // the patient's holds that stand
}

// Reject returns the refusal of a rule. values are pairs of a placeholder's name and its text, as for {DirectionGuid}:
// Reject(DirectionNotPatients, "DirectionGuid", guid). It panics on a name that is not among Rules, which no input can cause.
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
	// All at once: a value that looks like a placeholder is not filled in its turn.
	message := strings.NewReplacer(replacements...).Replace(r.Message)
	return &Refusal{Rule: r.Name, Status: r.Status, Code: r.Code, Type: r.Type, Message: message}
}

// Because attaches what went wrong inside: for the log, never for the client.
func (r *Refusal) Because(cause error) *Refusal {
	r.cause = cause
	return r
}

// Error names the rule and the cause. The message is left out: it may hold a patient's data, and errors end in logs.
func (r *Refusal) Error() string {
	if r.cause == nil {
		return string(r.Rule)
	}
	return string(r.Rule) + ": " + r.cause.Error()
}

// Unwrap gives the cause, if any.
func (r *Refusal) Unwrap() error { return r.cause }

// InvalidField rejects a field of the request; problem continues «Поле SlotGuid: …», in Russian.
func InvalidField(field, problem string) *Refusal {
	return Reject(FieldInvalid, "Field", field, "Problem", problem)
}
