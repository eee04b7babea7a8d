package talon

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"talon.example/sdk/go/v2/client"
)

// Refusal is a response of the service other than 2xx, with the reason and what the patient can do
// next. The service has not executed the request. Find a Refusal with [errors.AsType] or
// [errors.As], and branch on its Rule. A newer service may return rules that this client does not
// know, so have a default branch that shows the Message.
type Refusal struct {
	Status      int                 // HTTP status
	Rule        client.Rule         // the rule that was violated
	Message     string              // for the patient, in Russian
	MessageCode string              // the documented code (Код сообщения)
	Type        string              // the documented type (Тип ошибки)
	Details     client.ErrorDetails // what the patient can do next, if the service knows
	RequestID   uuid.UUID           // to quote in a problem report
	RetryAfter  time.Duration       // the shortest wait before a retry; zero if the service specifies none
}

// Error returns the rule, the status and the request id. It contains no data of the patient, so it
// may be logged.
func (r *Refusal) Error() string {
	return fmt.Sprintf("talon: refused by %s (%d, request %s)", r.Rule, r.Status, r.RequestID)
}

// Retryable reports whether the same request may succeed later even if nobody changes anything,
// according to the catalogue of the contract. For some rules, such as slot_beyond_horizon, this
// takes days. The client itself retries only if the service has failed or has returned a
// RetryAfter.
func (r *Refusal) Retryable() bool { return slices.Contains(retryable, r.Rule) }

// retryableSoon reports whether a retry within seconds may succeed.
func (r *Refusal) retryableSoon() bool {
	return r.Retryable() && (r.RetryAfter > 0 || r.Status >= http.StatusInternalServerError)
}

// readRefusal reads a response other than 2xx. It returns false if the body contains no rule,
// because then the response is not from the service but from an intermediary, such as a gateway.
func readRefusal(response *http.Response, body []byte) (*Refusal, bool) {
	var e client.Error
	err := json.Unmarshal(body, &e)
	refusal := &Refusal{
		Status:      response.StatusCode,
		Rule:        e.Rule,
		Message:     e.Message,
		MessageCode: e.MessageCode,
		Type:        e.Type,
		RequestID:   e.RequestID,
	}
	if e.Details != nil {
		refusal.Details = *e.Details
	}
	if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 31); err == nil {
		refusal.RetryAfter = time.Duration(seconds) * time.Second
	}
	return refusal, err == nil && refusal.Rule != ""
}
