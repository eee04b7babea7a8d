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

	"talon.example/sdk/go/v2/client"
)

// sender sends requests of the generated client. It adds tokens and idempotency keys, retries, and
// returns responses other than 2xx as errors. It is safe for concurrent use.
type sender struct {
	http   client.HttpRequestDoer
	token  func(context.Context) (string, error)
	tries  int
	within time.Duration
	wait   func(context.Context, time.Duration) error
}

const idempotencyKey = "Idempotency-Key"

// Do sends a request and retries it. It returns a response with the status 2xx or 304, whose body
// is in memory, or an error. The error is a *Refusal if the service has returned another status. If
// the wait for a retry is cancelled, the error wraps the cause of the cancellation and the last
// failure.
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
	needsToken := s.token != nil && request.Header.Get("Authorization") == ""
	var token string
	if needsToken {
		var err error
		if token, err = s.authorize(ctx, request); err != nil {
			return nil, err
		}
	}
	for try := 1; ; try++ {
		response, err := s.try(request)
		if needsToken && isTokenExpired(err) {
			if token, err = s.authorize(context.WithValue(ctx, expiredToken{}, token), request); err != nil {
				return nil, err
			}
			response, err = s.try(request)
		}
		if err == nil || try >= s.tries || !shouldRetry(request, err) {
			return response, err
		}
		pause := pause(try, err)
		if end, _ := ctx.Deadline(); time.Until(end) < pause {
			return nil, err
		}
		if waitErr := s.wait(ctx, pause); waitErr != nil {
			return nil, fmt.Errorf("talon: %w, while waiting to retry after: %w", waitErr, err)
		}
	}
}

// keepBody reads the request's body into memory, so that each try can send it. The contract limits
// the size of bodies.
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

// authorize sets the request's Authorization header to a token of s.token, and returns the token.
func (s *sender) authorize(ctx context.Context, request *http.Request) (string, error) {
	token, err := s.token(ctx)
	if err != nil {
		return "", fmt.Errorf("talon: get a token: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	return token, nil
}

func isTokenExpired(err error) bool {
	refusal, refused := errors.AsType[*Refusal](err)
	return refused && refusal.Rule == client.RuleTokenExpired
}

// noResponseError means that no response of the service was received. It is unknown whether the
// service has processed the request.
type noResponseError struct{ cause error }

func (e *noResponseError) Error() string { return "talon: no response: " + e.cause.Error() }
func (e *noResponseError) Unwrap() error { return e.cause }

// try sends the request once. It returns a response with the status 2xx or 304, a *Refusal, a
// *noResponseError, or another error for the response of an intermediary.
func (s *sender) try(request *http.Request) (*http.Response, error) {
	try := request.Clone(request.Context())
	if request.GetBody != nil {
		try.Body, _ = request.GetBody() // reads from memory and never fails
	}
	response, err := s.http.Do(try)
	if err != nil {
		if outer, wrapped := errors.AsType[*url.Error](err); wrapped {
			err = outer.Err // without the URL, which may identify a patient
		}
		return nil, &noResponseError{err}
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, &noResponseError{err}
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if response.StatusCode < http.StatusMultipleChoices || response.StatusCode == http.StatusNotModified {
		return response, nil
	}
	if refusal, ok := readRefusal(response, body); ok {
		return nil, refusal
	}
	err = fmt.Errorf("%s from an intermediary", response.Status)
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nil, &noResponseError{err}
	default:
		return nil, fmt.Errorf("talon: %w", err)
	}
}

// shouldRetry reports whether to send the request again: after a refusal for which a retry may soon
// succeed, and after a missing response if the request is idempotent.
func shouldRetry(request *http.Request, err error) bool {
	if request.Context().Err() != nil {
		return false
	}
	if refusal, refused := errors.AsType[*Refusal](err); refused {
		return refusal.retryableSoon()
	}
	_, noResponse := errors.AsType[*noResponseError](err)
	idempotent := request.Method == http.MethodGet || request.Method == http.MethodDelete ||
		request.Header.Get(idempotencyKey) != ""
	return noResponse && idempotent
}

// The upper limits of the first pause between tries and of all pauses.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 8 * time.Second
)

// pause returns the time to wait after a failed try: RetryAfter of the refusal plus a random time.
// The upper limit of the random time doubles with each try, so that many clients do not retry at
// the same time.
func pause(try int, err error) time.Duration {
	longest := min(firstPause<<min(try-1, 10), longestPause)
	pause := rand.N(longest) //nolint:gosec // need not be unpredictable
	if refusal, refused := errors.AsType[*Refusal](err); refused {
		pause += refusal.RetryAfter
	}
	return pause
}

// wait waits for the pause, or returns the cause if ctx is done first.
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
