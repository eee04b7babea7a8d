package talon

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"talon.example/sdk/go/client"
)

// Refusal is an answer that is not 2xx: why nothing was done, and what to do about it. Find it with [errors.AsType] or [errors.As], and branch on its
// Rule. A service that is newer than this client may answer rules that it does not know: have a default, which shows the Message.
type Refusal struct {
	Status      int                 // of HTTP
	Rule        client.Rule         // the rule that answers
	Message     string              // what to tell the patient, in Russian
	MessageCode string              // the documented code (Код сообщения)
	Type        client.ErrorType    // the documented type (Тип ошибки)
	Details     client.ErrorDetails // the way out, where the service knows one
	RequestID   uuid.UUID           // quote it when you report a problem
	RetryAfter  time.Duration       // when a later try may help; zero where the service does not say
}

// Error names the rule and the request, and tells nothing of the patient: it may be logged.
func (r *Refusal) Error() string {
	return fmt.Sprintf("talon: refused by %s (%d, request %s)", r.Rule, r.Status, r.RequestID)
}

// Retryable tells whether the very same request may succeed later though nobody changes anything, by the catalogue of the contract. Some rules want days
// for that, such as slot_beyond_horizon: the client itself tries again only where the service has failed or says when.
func (r *Refusal) Retryable() bool { return slices.Contains(retryable, r.Rule) }

// soon tells whether to try again within seconds.
func (r *Refusal) soon() bool {
	return r.Retryable() && (r.RetryAfter > 0 || r.Status >= http.StatusInternalServerError)
}

// readRefusal reads an answer that is not 2xx. It is none of the service's own where it names no rule: a gateway answers so.
func readRefusal(response *http.Response, body []byte) (*Refusal, bool) {
	var e client.Error
	err := json.Unmarshal(body, &e)
	refusal := &Refusal{
		Status: response.StatusCode, Rule: e.Rule, Message: e.Message, MessageCode: e.MessageCode, Type: e.Type, RequestID: e.RequestID,
	}
	if e.Details != nil {
		refusal.Details = *e.Details
	}
	if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 31); err == nil {
		refusal.RetryAfter = time.Duration(seconds) * time.Second
	}
	return refusal, err == nil && refusal.Rule != ""
}
