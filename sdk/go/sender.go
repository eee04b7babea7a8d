package talon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"talon.example/sdk/go/client"
)

// sender sends a request of the generated client, as often as that helps, and turns what is not 2xx into errors.
type sender struct {
	http   client.HttpRequestDoer
	token  func(context.Context) (string, error)
	tries  int
	within time.Duration
	wait   func(context.Context, time.Duration) error
}

const idempotencyKey = "Idempotency-Key"

// Do answers with a response that is 2xx or 304 and has been read to the end, or else with an error, a *Refusal wherever the service has answered.
func (s *sender) Do(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(request.Context(), s.within)
	defer cancel()
	request = request.Clone(ctx)
	if err := keepBody(request); err != nil {
		return nil, err
	}
	if keyed.MatchString(request.Method+" "+request.URL.Path) && request.Header.Get(idempotencyKey) == "" {
		request.Header.Set(idempotencyKey, uuid.NewString())
	}
	ours := s.token != nil && request.Header.Get("Authorization") == ""
	if ours {
		if err := s.authorize(request); err != nil {
			return nil, err
		}
	}
	for try := 1; ; try++ {
		response, err := s.try(request)
		if ours && expired(err) {
			if err := s.authorize(request); err != nil {
				return nil, err
			}
			response, err = s.try(request)
		}
		if err == nil || try >= s.tries || !helps(request, err) {
			return response, err
		}
		pause := pause(try, err)
		if end, _ := ctx.Deadline(); time.Until(end) < pause {
			return nil, err
		}
		if waitErr := s.wait(ctx, pause); waitErr != nil {
			return nil, fmt.Errorf("talon: %w, while waiting after: %w", waitErr, err)
		}
	}
}

// keepBody lets each try read the request's body from its beginning. Bodies are small by the contract.
func keepBody(request *http.Request) error {
	if request.Body == nil || request.GetBody != nil {
		return nil
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return fmt.Errorf("talon: read the request's body: %w", err)
	}
	request.ContentLength = int64(len(body))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return nil
}

func (s *sender) authorize(request *http.Request) error {
	token, err := s.token(request.Context())
	if err != nil {
		return fmt.Errorf("talon: get a token: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	return nil
}

func expired(err error) bool {
	refusal, refused := errors.AsType[*Refusal](err)
	return refused && refusal.Rule == client.RuleTokenExpired
}

// unansweredError says that the service's own answer has not come: whether the request was carried out is not known.
type unansweredError struct{ cause error }

func (e *unansweredError) Error() string { return "talon: no answer: " + e.cause.Error() }
func (e *unansweredError) Unwrap() error { return e.cause }

// try sends the request once.
func (s *sender) try(request *http.Request) (*http.Response, error) {
	try := request.Clone(request.Context())
	if request.GetBody != nil {
		try.Body, _ = request.GetBody() // it reads from memory
	}
	response, err := s.http.Do(try)
	if err != nil {
		if outer, wrapped := errors.AsType[*url.Error](err); wrapped {
			err = outer.Err // the address may tell of a patient, which no error does
		}
		return nil, &unansweredError{err}
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, &unansweredError{err}
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if response.StatusCode < http.StatusMultipleChoices || response.StatusCode == http.StatusNotModified {
		return response, nil
	}
	if refusal, is := readRefusal(response, body); is {
		return nil, refusal
	}
	err = fmt.Errorf("%s from something in between", response.Status)
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nil, &unansweredError{err}
	default:
		return nil, fmt.Errorf("talon: %w", err)
	}
}

// helps tells whether to try again: where the contract says that it helps; and where no answer has come, if being asked twice does no harm.
func helps(request *http.Request, err error) bool {
	if request.Context().Err() != nil {
		return false
	}
	if refusal, refused := errors.AsType[*Refusal](err); refused {
		return refusal.soon()
	}
	_, unanswered := errors.AsType[*unansweredError](err)
	harmless := request.Method == http.MethodGet || request.Method == http.MethodDelete || request.Header.Get(idempotencyKey) != ""
	return unanswered && harmless
}

// The first pause between tries, at its longest, and the longest of all.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 8 * time.Second
)

// pause is how long to wait after a failed try: what the service asks for, and an ever longer random time on top, lest many clients come back at once.
func pause(try int, err error) time.Duration {
	longest := min(firstPause<<min(try-1, 10), longestPause)
	pause := rand.N(longest) //nolint:gosec // nobody gains by guessing it
	if refusal, refused := errors.AsType[*Refusal](err); refused {
		pause += refusal.RetryAfter
	}
	return pause
}

func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
