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
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"talon.example/sdk/go/v2/client"
)

// sender sends requests of the generated client. It adds tokens and idempotency keys, retries, and
// returns responses other than 2xx as errors. It is safe for concurrent use.
type sender struct {
	http   client.HttpRequestDoer
	upload client.HttpRequestDoer // sends bodies that are streams
	pause  time.Duration          // the longest time in which the service takes nothing of a stream; 0 for any
	token  func(context.Context) (string, error)
	tries  int
	within time.Duration
	wait   func(context.Context, time.Duration) error
}

const idempotencyKey = "Idempotency-Key"

// Do sends a request and retries it. It returns a response with the status 2xx or 304, whose body
// is in memory, or an error. The error is a *Refusal if the service has returned another status. If
// the wait for a retry is cancelled, the error wraps the cause of the cancellation and the last
// failure. A body that is a stream is sent once.
func (s *sender) Do(request *http.Request) (*http.Response, error) {
	if streamed.MatchString(request.Method + " " + request.URL.Path) {
		return s.stream(request)
	}
	ctx, cancel := context.WithTimeout(request.Context(), s.within)
	defer cancel()
	request = request.Clone(ctx)
	if err := keepBody(request); err != nil {
		return nil, err
	}
	if keyed.MatchString(request.Method+" "+request.URL.Path) && request.Header.Get(idempotencyKey) == "" {
		request.Header.Set(idempotencyKey, uuid.NewString())
	}
	return s.send(request, s.http, s.tries)
}

// send sends a request with a token, at most the given number of times. It sends the request once
// more if the token has expired.
func (s *sender) send(request *http.Request, doer client.HttpRequestDoer, tries int) (*http.Response, error) {
	ctx := request.Context()
	needsToken := s.token != nil && request.Header.Get("Authorization") == ""
	var token string
	if needsToken {
		var err error
		if token, err = s.authorize(ctx, request); err != nil {
			return nil, err
		}
	}
	for number := 1; ; number++ {
		response, err := try(doer, request)
		if needsToken && isTokenExpired(err) && canRepeat(request) {
			if token, err = s.authorize(context.WithValue(ctx, expiredToken{}, token), request); err != nil {
				return nil, err
			}
			response, err = try(doer, request)
		}
		if err == nil || number >= tries || !shouldRetry(request, err) {
			return response, err
		}
		pause := pause(number, err)
		if end, _ := ctx.Deadline(); time.Until(end) < pause {
			return nil, err
		}
		if waitErr := s.wait(ctx, pause); waitErr != nil {
			return nil, fmt.Errorf("talon: %w, while waiting to retry after: %w", waitErr, err)
		}
	}
}

// stream sends a request whose body is a stream, without keeping it in memory. It asks the service
// to refuse the request before it takes the body: then the request can be sent again with another
// token.
func (s *sender) stream(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	defer cancel(nil)
	body := &streamBody{pause: s.pause}
	if s.pause > 0 {
		body.limit = time.AfterFunc(s.pause, func() { cancel(errStalled) })
		defer body.limit.Stop()
	}
	if request.Body != nil {
		body.source = request.Body
		defer request.Body.Close()
	}
	request = request.Clone(ctx)
	request.Body, request.GetBody = body, nil
	request.Header.Set("Expect", "100-continue")
	return s.send(request, s.upload, 1)
}

var errStalled = errors.New("talon: the service took no data in time")

// streamBody is the body of a request that is read at most once. Its limit runs while the service
// takes nothing, but not while the source is read. To close it has no effect, because a try that
// has read nothing closes it, too.
type streamBody struct {
	source io.Reader
	limit  *time.Timer
	pause  time.Duration
	read   atomic.Bool
}

func (b *streamBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	if b.limit != nil {
		b.limit.Stop()
		defer b.limit.Reset(b.pause)
	}
	return b.source.Read(p)
}

func (*streamBody) Close() error { return nil }

// canRepeat reports whether the request can be sent again: its body is in memory, or nothing of the
// stream was read.
func canRepeat(request *http.Request) bool {
	body, isStream := request.Body.(*streamBody)
	return !isStream || !body.read.Load()
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
func try(doer client.HttpRequestDoer, request *http.Request) (*http.Response, error) {
	try := request.Clone(request.Context())
	if request.GetBody != nil {
		try.Body, _ = request.GetBody() // reads from memory and never fails
	}
	response, err := doer.Do(try)
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
