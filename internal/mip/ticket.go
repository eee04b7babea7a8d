package mip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"talon.example/internal/booking"
)

// tickets fetches the Ticket and caches it until it expires or the index denies it. It is safe for
// concurrent use.
type tickets struct {
	config  *clientcredentials.Config
	authURL string // for refusals, with any password redacted
	client  *http.Client
	breaker *gobreaker.CircuitBreaker[*oauth2.Token]

	lock   chan struct{} // of capacity 1, guards ticket; unlike a mutex, waiting for it can be cancelled
	ticket *oauth2.Token
}

func newTickets(config RemoteConfig, authURL string, client *http.Client, timing timing) *tickets {
	return &tickets{
		config: &clientcredentials.Config{
			ClientID:     config.ClientID,
			ClientSecret: config.ClientSecret,
			TokenURL:     config.AuthURL,
			Scopes:       config.Scopes,
		},
		authURL: authURL,
		client:  client,
		breaker: gobreaker.NewCircuitBreaker[*oauth2.Token](gobreaker.Settings{
			Timeout:     timing.breakerOpen,
			ReadyToTrip: tooManyFailures,
			IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) },
		}),
		lock: make(chan struct{}, 1),
	}
}

// get returns a valid ticket other than denied, which may be nil. Concurrent calls share one new
// ticket. It returns the refusal booking.MipAuthURLUnreachable if it gets no ticket or ctx is done
// first.
func (t *tickets) get(ctx context.Context, denied *oauth2.Token) (*oauth2.Token, error) {
	select {
	case t.lock <- struct{}{}:
		defer func() { <-t.lock }()
	case <-ctx.Done():
		return nil, t.unreachable(ctx.Err())
	}
	if t.ticket.Valid() && t.ticket != denied {
		return t.ticket, nil
	}
	ticket, err := t.breaker.Execute(func() (*oauth2.Token, error) { return t.fetch(ctx) })
	if err != nil {
		return nil, t.unreachable(err)
	}
	t.ticket = ticket
	return ticket, nil
}

func (t *tickets) unreachable(cause error) error {
	return booking.Reject(booking.MipAuthURLUnreachable, "AuthUrl", t.authURL).
		Because(fmt.Errorf("get a ticket: %w", cause))
}

// fetch requests a ticket. The OAuth2 library sends the client's secret in the header first and, if
// that fails, in the form, because services differ.
func (t *tickets) fetch(ctx context.Context) (*oauth2.Token, error) {
	ticket, err := t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	var response *oauth2.RetrieveError
	switch {
	case err == nil:
		return ticket, nil
	case errors.As(err, &response) && ctx.Err() == nil:
		return nil, fmt.Errorf("status %d", response.Response.StatusCode) // response.Error would quote the body
	default:
		return nil, withoutData(ctx, err)
	}
}

// withoutData returns the part of an HTTP client's error that may be logged. An error of net/http
// quotes the URL, which contains the person's guid, and one about a malformed response quotes the
// response.
func withoutData(ctx context.Context, err error) error {
	var (
		network     *net.OpError
		certificate *tls.CertificateVerificationError
	)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &network):
		return network
	case errors.As(err, &certificate):
		return certificate
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	}
	return errors.New("no valid response")
}
