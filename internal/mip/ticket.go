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

// tickets gets the Ticket and keeps it until it expires, or until the index denies it.
type tickets struct {
	config  *clientcredentials.Config
	shown   string // AuthUrl, as the refusal may show it
	client  *http.Client
	breaker *gobreaker.CircuitBreaker[*oauth2.Token]

	turn   chan struct{} // whoever has put something in may touch the ticket: a lock that one can stop waiting for
	ticket *oauth2.Token
}

func newTickets(config RemoteConfig, shown string, client *http.Client, pace pace) *tickets {
	return &tickets{
		config: &clientcredentials.Config{
			ClientID:     config.ClientID,
			ClientSecret: config.ClientSecret,
			TokenURL:     config.AuthURL,
			Scopes:       config.Scopes,
		},
		shown:  shown,
		client: client,
		breaker: gobreaker.NewCircuitBreaker[*oauth2.Token](gobreaker.Settings{
			Timeout:     pace.open,
			ReadyToTrip: tooManyFailures,
			IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) },
		}),
		turn: make(chan struct{}, 1),
	}
}

// get gives a valid ticket other than the one denied, which may be nil. Of many calls that need a new one, the first fetches it for all.
// It refuses with booking.MipAuthURLUnreachable.
func (t *tickets) get(ctx context.Context, denied *oauth2.Token) (*oauth2.Token, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
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
	return booking.Reject(booking.MipAuthURLUnreachable, "AuthUrl", t.shown).Because(fmt.Errorf("get a ticket: %w", cause))
}

// fetch asks the ticket service. The client's secret goes into the header first and, where that fails, into the form, because services differ.
func (t *tickets) fetch(ctx context.Context) (*oauth2.Token, error) {
	ticket, err := t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	var answer *oauth2.RetrieveError
	switch {
	case err == nil:
		return ticket, nil
	case errors.As(err, &answer) && ctx.Err() == nil:
		return nil, fmt.Errorf("status %d", answer.Response.StatusCode) // its text quotes the body
	default:
		return nil, withoutData(ctx, err)
	}
}

// withoutData reduces a failed exchange to what may stand in a log: an error of net/http quotes the URL, with the person's guid in it, and one
// about a malformed answer quotes the answer.
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
	return errors.New("no valid answer")
}
