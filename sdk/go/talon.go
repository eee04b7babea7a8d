// Package talon is the Go client of Talon, a service that books medical appointments by electronic
// referral.
//
// [New] returns the generated [client.ClientWithResponses] with all operations of the contract, and
// adds:
//
//   - Errors: a response other than 2xx is an error, a [*Refusal], with the rule, what the patient
//     can do next, and the request id.
//   - Tokens: the client calls [Options.Token] before each request, and once more if the token has
//     expired.
//   - Idempotency: requests to book, move and cancel have an Idempotency-Key, the same for all
//     tries, so that the service processes the request once.
//   - Retries: the client retries requests that are safe to repeat and may succeed. It waits for at
//     least the time that the service specifies, and limits the number of tries and their total
//     time.
//
// [Answer] returns the document of a response:
//
//	booked, err := talon.Answer(api.CreateAppointmentWithResponse(ctx, nil, request))
package talon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"talon.example/sdk/go/v2/client"
)

// Options configure a client. With the zero value, requests have no token, at most 3 tries, and 30
// seconds for all tries.
type Options struct {
	// Token returns the token of the request's patient, or a system token ([ClientCredentials]).
	// The client calls it before each request, and once more if the service rejects the token with
	// token_expired. Token may cache the token. The client does not call it if the request has its
	// own Authorization header, as for getCodToken. Token must be safe for concurrent use if the
	// client is used concurrently.
	Token func(ctx context.Context) (string, error)
	// HTTP sends each try. If it is nil, a client with a timeout of 15 seconds is used. This is
	// longer than the service's own default timeout. [Import] explains the timeout of uploads.
	HTTP client.HttpRequestDoer
	// Tries is the maximum number of times that a request is sent. Zero means 3; 1 disables
	// retries.
	Tries int
	// Within is the maximum time of all tries and the pauses between them, except for an upload.
	// Zero means 30 seconds. The request's context may end it sooner.
	Within time.Duration
}

const (
	defaultTries  = 3
	defaultWithin = 30 * time.Second
	tryTimeout    = 15 * time.Second
)

// New returns a client of the service at a base URL, such as https://talon.example. It does not
// connect. The client is safe for concurrent use.
func New(server string, options Options) (*client.ClientWithResponses, error) {
	s := &sender{http: options.HTTP, token: options.Token, tries: options.Tries, within: options.Within, wait: wait}
	if s.http == nil {
		s.http = &http.Client{Timeout: tryTimeout}
	}
	s.upload = s.http
	if limited, ok := s.http.(*http.Client); ok {
		unlimited := *limited
		unlimited.Timeout = 0
		s.upload, s.pause = &unlimited, limited.Timeout
	}
	if s.tries == 0 {
		s.tries = defaultTries
	}
	if s.within == 0 {
		s.within = defaultWithin
	}
	return client.NewClientWithResponses(server, client.WithHTTPClient(s))
}

// ErrNotModified is returned for a 304 response: the document that the client has, identified by
// If-None-Match, is current.
var ErrNotModified = errors.New("talon: not modified")

// Answer returns the document of a response to any operation. Its parameters are the results of the
// operation's method. It returns err if that is not nil, ErrNotModified for a 304 response, and
// another error if the response has no document.
func Answer[T any](response Response[T], err error) (*T, error) {
	switch {
	case err != nil:
		return nil, err
	case response.GetJSON200() != nil:
		return response.GetJSON200(), nil
	case response.StatusCode() == http.StatusNotModified:
		return nil, ErrNotModified
	default:
		return nil, fmt.Errorf("talon: status %d without a document of the contract", response.StatusCode())
	}
}

// Response is the generated response of an operation whose document is a T.
type Response[T any] interface {
	GetJSON200() *T
	StatusCode() int
}

// Replayed reports whether the service repeated the response to an earlier request with the same
// Idempotency-Key. This is the case if the first response was lost and the client has retried.
func Replayed(response *http.Response) bool {
	return response.Header.Get("Idempotency-Replayed") == "true"
}
