// Package mip looks up persons in the region's master patient index (МИП), a remote FHIR server. No
// error contains data of a patient.
package mip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/oauth2"

	"talon.example/internal/booking"
)

var _ booking.MasterIndex = (*Remote)(nil)

// The default identifier systems of a Remote.
const (
	// DefaultIdentifierSystem is the system of the person's guid: the one that FHIR defines for
	// guids without a registered naming system. Its values are URIs, so the guid is written
	// urn:uuid:…. In every other system the guid is written bare, in lower case.
	DefaultIdentifierSystem = uriSystem
	// DefaultSnilsSystem is the system of the insurance number (СНИЛС) in Russian FHIR interfaces.
	DefaultSnilsSystem = "urn:oid:1.2.643.2.69.1.1.1.6.223"
	// DefaultPolicySystem is the system of the uniform insurance policy (полис ОМС единого образца)
	// in Russian FHIR interfaces. Such a policy has a number and no series.
	DefaultPolicySystem = "urn:oid:1.2.643.2.69.1.1.1.6.228"
)

const (
	maxTries  = 3        // requests to the index for one person
	maxHeader = 64 << 10 // bytes
	maxBody   = 1 << 20  // bytes
	maxIdle   = 16       // idle connections per host
	tripAfter = 5        // consecutive failures that open a breaker

	idleTimeout = time.Minute
)

// Purposes of requests, and names of circuit breakers.
const (
	PurposeTicket = "ticket"
	PurposeSearch = "search"
)

// timing is the timing of retries and circuit breakers. Tests use shorter intervals.
type timing struct {
	retryPause  time.Duration // mean pause before the second try; it doubles before the third
	breakerOpen time.Duration // how long a breaker stays open before it lets one call through
}

// RemoteConfig is the configuration of a Remote.
type RemoteConfig struct {
	URL string // base URL of the FHIR R4 server, http or https

	// Identifier systems; an empty one means its default.
	IdentifierSystem string // of the person's guid
	SnilsSystem      string
	PolicySystem     string

	AuthURL      string // token endpoint, http or https; if empty, every call returns booking.MipAuthURLEmpty
	ClientID     string
	ClientSecret string
	Scopes       []string // optional

	Timeout time.Duration // of one call, including its ticket, tries and pauses; positive

	Now func() time.Time // the current time, which no birth date is after

	// Observe wraps the transport of all requests; nil: nothing does. Its function returns what a
	// request is for: PurposeTicket or PurposeSearch.
	Observe func(next http.RoundTripper, purpose func(*http.Request) string) http.RoundTripper
}

// Remote is a master patient index on a FHIR R4 server. It searches by identifier as IHE PDQm
// defines it (ITI-78), with an OAuth2 client-credentials token, the Ticket. It is safe for
// concurrent use.
type Remote struct {
	config  RemoteConfig
	timing  timing
	search  *url.URL // without a query
	client  *http.Client
	idle    func() // closes idle connections
	tickets *tickets
	breaker *gobreaker.CircuitBreaker[*booking.Person]
}

// NewRemote returns a client of the index. It does not connect. The error describes an invalid
// configuration without its values, which may be secret.
func NewRemote(config RemoteConfig) (*Remote, error) {
	return newRemote(config, timing{retryPause: 100 * time.Millisecond, breakerOpen: 10 * time.Second})
}

func newRemote(config RemoteConfig, timing timing) (*Remote, error) {
	base, err := httpURL(config.URL)
	if err != nil {
		return nil, fmt.Errorf("the index's URL: %w", err)
	}
	auth := &url.URL{}
	if config.AuthURL != "" {
		if auth, err = httpURL(config.AuthURL); err != nil {
			return nil, fmt.Errorf("AuthUrl: %w", err)
		}
	}
	if config.Timeout <= 0 {
		return nil, errors.New("the index's timeout is not positive")
	}
	config.IdentifierSystem = cmp.Or(config.IdentifierSystem, DefaultIdentifierSystem)
	config.SnilsSystem = cmp.Or(config.SnilsSystem, DefaultSnilsSystem)
	config.PolicySystem = cmp.Or(config.PolicySystem, DefaultPolicySystem)

	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		// A dial may outlive the call that started it, so it needs its own timeout.
		DialContext:            (&net.Dialer{Timeout: config.Timeout}).DialContext,
		TLSHandshakeTimeout:    config.Timeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
	}
	client := &http.Client{
		Transport: transport,
		// A redirect could send the ticket, the secret or a person's guid to another host. It is
		// treated as an unexpected status.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if config.Observe != nil {
		client.Transport = config.Observe(transport, purpose)
	}
	return &Remote{
		idle:    transport.CloseIdleConnections,
		config:  config,
		timing:  timing,
		search:  base.JoinPath("Patient"),
		client:  client,
		tickets: newTickets(config, auth.Redacted(), client, timing),
		breaker: gobreaker.NewCircuitBreaker[*booking.Person](gobreaker.Settings{
			Timeout:     timing.breakerOpen,
			ReadyToTrip: tooManyFailures,
			// The index works if it knows no such person, or a person without data.
			IsSuccessful: func(err error) bool {
				return err == nil || isRefusal(err, booking.MipPersonNotFound) ||
					isRefusal(err, booking.MipPersonDataMissing)
			},
			// These errors do not mean that the index has failed.
			IsExcluded: func(err error) bool {
				return errors.Is(err, context.Canceled) || isRefusal(err, booking.MipAuthURLUnreachable)
			},
		}),
	}, nil
}

// httpURL parses an http or https URL. Its error does not quote the URL, which may contain a
// password.
func httpURL(text string) (*url.URL, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, errors.New("neither http nor https with a host")
	}
	return parsed, nil
}

func tooManyFailures(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= tripAfter }

func isRefusal(err error, name booking.Name) bool {
	var refusal *booking.Refusal
	return errors.As(err, &refusal) && refusal.Rule == name
}

// Close closes idle connections.
func (r *Remote) Close() { r.idle() }

// purpose returns what a request is for. Only the search is a GET.
func purpose(request *http.Request) string {
	if request.Method == http.MethodGet {
		return PurposeSearch
	}
	return PurposeTicket
}

// Breakers returns the states of the circuit breakers by the purpose of their requests: 0 closed, 1
// half open, 2 open.
func (r *Remote) Breakers() map[string]int {
	return map[string]int{PurposeSearch: int(r.breaker.State()), PurposeTicket: int(r.tickets.breaker.State())}
}

// Person implements booking.MasterIndex. It returns the refusals booking.MipAuthURLEmpty,
// MipAuthURLUnreachable, MipPersonNotFound and MipPersonDataMissing, and MipUnavailable for every
// other failure. If ctx is cancelled, it returns context.Canceled, wrapped. It returns within the
// configured timeout, and at once while a breaker is open, which it is after tripAfter consecutive
// failures.
func (r *Remote) Person(ctx context.Context, guid uuid.UUID) (*booking.Person, error) {
	if r.config.AuthURL == "" {
		return nil, booking.Reject(booking.MipAuthURLEmpty)
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	person, err := r.breaker.Execute(func() (*booking.Person, error) {
		person, err := r.try(ctx, guid)
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			err = ctx.Err() // the cancellation caused the failure
		}
		return person, err
	})
	var refusal *booking.Refusal
	switch {
	case err == nil:
		return person, nil
	case errors.As(err, &refusal):
		return nil, refusal
	case errors.Is(err, context.Canceled):
		return nil, fmt.Errorf("search the remote index: %w", err)
	default:
		return nil, booking.Reject(booking.MipUnavailable).Because(err)
	}
}

// try searches for the person, at most maxTries times. It retries broken connections and statuses
// that mean overload. A denied ticket is replaced once.
func (r *Remote) try(ctx context.Context, guid uuid.UUID) (*booking.Person, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.Multiplier = r.timing.retryPause, 2
	deadline, _ := ctx.Deadline()

	var denied *oauth2.Token
	return backoff.Retry(ctx, func() (*booking.Person, error) {
		ticket, err := r.tickets.get(ctx, denied)
		if err != nil {
			return nil, backoff.Permanent(err)
		}
		status, body, err := r.searchPerson(ctx, guid, ticket)
		if err != nil {
			return nil, err
		}
		switch status {
		case http.StatusTooManyRequests, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return nil, unexpectedStatus(status)
		case http.StatusUnauthorized, http.StatusForbidden:
			if denied == nil {
				denied = ticket
				return nil, unexpectedStatus(status)
			}
		}
		person, err := r.parseResponse(status, body, guid)
		return person, backoff.Permanent(err)
	},
		backoff.WithMaxTries(maxTries),
		backoff.WithBackOff(pauses),
		// Fails at once instead of starting a pause that would exceed the deadline.
		backoff.WithMaxElapsedTime(time.Until(deadline)),
	)
}

// searchPerson sends one search for the person's guid and returns the response.
func (r *Remote) searchPerson(
	ctx context.Context, guid uuid.UUID, ticket *oauth2.Token,
) (status int, body []byte, err error) {
	system := r.config.IdentifierSystem
	target := *r.search
	target.RawQuery = url.Values{"identifier": {system + "|" + identifierValue(system, guid)}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return 0, nil, backoff.Permanent(withoutData(ctx, err))
	}
	request.Header.Set("Accept", "application/fhir+json")
	request.Header.Set("Authorization", "Bearer "+ticket.AccessToken)
	response, err := r.client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("send the search: %w", withoutData(ctx, err))
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return 0, nil, fmt.Errorf("read the response: %w", withoutData(ctx, err))
	}
	if len(body) > maxBody {
		return 0, nil, backoff.Permanent(fmt.Errorf("the response is longer than %d bytes", maxBody))
	}
	return response.StatusCode, body, nil
}

func unexpectedStatus(status int) error { return fmt.Errorf("the index returned status %d", status) }
