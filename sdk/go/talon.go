// Package talon is the Go client of Talon, which books a medical appointment by electronic referral.
//
// [New] makes the generated [client.ClientWithResponses], with all operations of the contract, and adds what a generator cannot give:
//
//   - Every answer that is not 2xx is an error, a [*Refusal], with the rule that answers, the way out and the id to report.
//   - The token comes from [Options.Token], which is asked once more where a token has expired.
//   - Booking, moving and cancelling have an Idempotency-Key, the same for each try: what happened once happens once.
//   - What failed is tried again where that can help and does no harm, for as long as the service asks to wait, and within bounds.
//
// [Answer] takes the document out of an answer:
//
//	booked, err := talon.Answer(api.CreateAppointmentWithResponse(ctx, nil, request))
package talon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"talon.example/sdk/go/client"
)

// Options say how to ask. The zero value asks without a token, three times at the most, within half a minute.
type Options struct {
	// Token gives the token of the patient whom the request is for. It is asked before each request, and once more where the service answers
	// token_expired; it may keep a token meanwhile. It is not asked where a request comes with an Authorization of its own, as getCodToken does.
	Token func(ctx context.Context) (string, error)
	// HTTP sends each try. Without it tries have their own time-out, of 15 seconds: longer than the service takes by default before it gives up itself.
	HTTP client.HttpRequestDoer
	// Tries bounds how often one request is sent; 3 where it is zero, and 1 tries nothing again.
	Tries int
	// Within bounds the time that all tries, and the waits between, take together; 30 seconds where it is zero. The context may end them sooner.
	Within time.Duration
}

const (
	defaultTries  = 3
	defaultWithin = 30 * time.Second
	tryTimeout    = 15 * time.Second
)

// New makes a client of the service at an address, such as https://talon.example. One client serves any number of goroutines.
func New(server string, options Options) (*client.ClientWithResponses, error) {
	s := &sender{http: options.HTTP, token: options.Token, tries: options.Tries, within: options.Within, wait: wait}
	if s.http == nil {
		s.http = &http.Client{Timeout: tryTimeout}
	}
	if s.tries == 0 {
		s.tries = defaultTries
	}
	if s.within == 0 {
		s.within = defaultWithin
	}
	return client.NewClientWithResponses(server, client.WithHTTPClient(s))
}

// ErrNotModified says that the service answered 304: what the client has, by its If-None-Match, is as it was.
var ErrNotModified = errors.New("talon: not modified")

// Answer takes the document out of an answer to any operation. Wrap it around the call.
func Answer[T any](response Response[T], err error) (*T, error) {
	switch {
	case err != nil:
		return nil, err
	case response.GetJSON200() != nil:
		return response.GetJSON200(), nil
	case response.StatusCode() == http.StatusNotModified:
		return nil, ErrNotModified
	default:
		return nil, fmt.Errorf("talon: %d without the contract's document", response.StatusCode())
	}
}

// Response is the generated response of an operation that answers a T.
type Response[T any] interface {
	GetJSON200() *T
	StatusCode() int
}

// Replayed tells that the service had done this before, for a request with the same Idempotency-Key, and has only repeated its answer. So it is where
// the first answer was lost on the way and the client has tried again by itself.
func Replayed(response *http.Response) bool {
	return response.Header.Get("Idempotency-Replayed") == "true"
}
