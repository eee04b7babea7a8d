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

// The identifier systems that Remote goes by where its configuration names no others.
const (
	// DefaultIdentifierSystem is that of the person's guid: FHIR's own way to write a guid that no naming system is registered for. Its
	// values are URIs, so that the guid is written urn:uuid:…; with every other system it is written bare, in lower case.
	DefaultIdentifierSystem = uriSystem
	// DefaultSnilsSystem is that of the insurance number (СНИЛС) in Russian FHIR interfaces.
	DefaultSnilsSystem = "urn:oid:1.2.643.2.69.1.1.1.6.223"
	// DefaultPolicySystem is that of the uniform insurance policy (полис ОМС единого образца) there. Such a policy has a number and no series.
	DefaultPolicySystem = "urn:oid:1.2.643.2.69.1.1.1.6.228"
)

const (
	maxTries  = 3        // requests to the index for one person
	maxHeader = 64 << 10 // bytes
	maxBody   = 1 << 20  // bytes
	maxIdle   = 16       // connections kept open to a host
	tripAfter = 5        // failures in a row that open a breaker

	idleTimeout = time.Minute
)

// pace is how patient Remote is with a service that fails. Tests are less so.
type pace struct {
	pause time.Duration // before the second try, about; it doubles before the third
	open  time.Duration // how long a breaker stays open before one call may try again
}

// RemoteConfig says where the remote index is and how to get its ticket.
type RemoteConfig struct {
	URL string // base of the FHIR R4 server, http or https

	// Identifier systems; empty ones take their defaults.
	IdentifierSystem string // of the person's guid
	SnilsSystem      string
	PolicySystem     string

	AuthURL      string // token endpoint, http or https; empty: every call is refused with booking.MipAuthURLEmpty
	ClientID     string
	ClientSecret string
	Scopes       []string // optional

	Timeout time.Duration // of one call, with its ticket, tries and pauses; positive
}

// Remote is an index that is a FHIR R4 server, read as IHE PDQm has it (a search by identifier, ITI-78) with an OAuth2 client-credentials token, the
// Ticket. It is safe for concurrent use.
type Remote struct {
	config  RemoteConfig
	pace    pace
	search  *url.URL // without its query
	client  *http.Client
	tickets *tickets
	breaker *gobreaker.CircuitBreaker[*booking.Person]
}

// NewRemote makes a client of the index; it does not connect yet. The error says what is wrong with the configuration, without its values.
func NewRemote(config RemoteConfig) (*Remote, error) {
	return newRemote(config, pace{pause: 100 * time.Millisecond, open: 10 * time.Second})
}

func newRemote(config RemoteConfig, pace pace) (*Remote, error) {
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
		return nil, errors.New("the index's time-out is not positive")
	}
	config.IdentifierSystem = cmp.Or(config.IdentifierSystem, DefaultIdentifierSystem)
	config.SnilsSystem = cmp.Or(config.SnilsSystem, DefaultSnilsSystem)
	config.PolicySystem = cmp.Or(config.PolicySystem, DefaultPolicySystem)

	client := &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: config.Timeout}).DialContext, // a dial may outlive the call that began it
			TLSHandshakeTimeout:    config.Timeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeader,
		},
		// A redirect could carry the ticket, the secret or a person's guid anywhere. It is answered as an unexpected status.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Remote{
		config:  config,
		pace:    pace,
		search:  base.JoinPath("Patient"),
		client:  client,
		tickets: newTickets(config, auth.Redacted(), client, pace),
		breaker: gobreaker.NewCircuitBreaker[*booking.Person](gobreaker.Settings{
			Timeout:     pace.open,
			ReadyToTrip: tooManyFailures,
			// That a person is unknown, or known without data, is a good answer.
			IsSuccessful: func(err error) bool {
				return err == nil || isRefusal(err, booking.MipPersonNotFound) || isRefusal(err, booking.MipPersonDataMissing)
			},
			// Neither of these says anything about the index.
			IsExcluded: func(err error) bool {
				return errors.Is(err, context.Canceled) || isRefusal(err, booking.MipAuthURLUnreachable)
			},
		}),
	}, nil
}

// httpURL reads a URL. The errors of url.Parse quote it, and it may hold a password.
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

// Close closes the idle connections.
func (r *Remote) Close() { r.client.CloseIdleConnections() }

// Person implements booking.MasterIndex. It refuses with booking.MipAuthURLEmpty, MipAuthURLUnreachable, MipPersonNotFound, MipPersonDataMissing, and
// MipUnavailable for whatever else goes wrong; only where ctx is cancelled it returns that. It answers within the configured time-out, at once after
// several failures in a row.
func (r *Remote) Person(ctx context.Context, guid uuid.UUID) (*booking.Person, error) {
	if r.config.AuthURL == "" {
		return nil, booking.Reject(booking.MipAuthURLEmpty)
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	person, err := r.breaker.Execute(func() (*booking.Person, error) {
		person, err := r.try(ctx, guid)
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			err = ctx.Err() // the caller went away: no matter what that broke
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
		return nil, fmt.Errorf("ask the remote index: %w", err)
	default:
		return nil, booking.Reject(booking.MipUnavailable).Because(err)
	}
}

// try asks for the person until there is an answer, no more than maxTries times.
func (r *Remote) try(ctx context.Context, guid uuid.UUID) (*booking.Person, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.Multiplier = r.pace.pause, 2
	deadline, _ := ctx.Deadline()

	var denied *oauth2.Token
	return backoff.Retry(ctx, func() (*booking.Person, error) {
		ticket, err := r.tickets.get(ctx, denied)
		if err != nil {
			return nil, backoff.Permanent(err)
		}
		status, body, err := r.ask(ctx, guid, ticket)
		if err != nil {
			return nil, err
		}
		switch status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return nil, unexpected(status)
		case http.StatusUnauthorized, http.StatusForbidden:
			if denied == nil {
				denied = ticket
				return nil, unexpected(status)
			}
		}
		person, err := r.read(status, body, guid)
		return person, backoff.Permanent(err)
	},
		backoff.WithMaxTries(maxTries),
		backoff.WithBackOff(pauses),
		// A pause that would outlast the deadline is not begun: the failure is told at once.
		backoff.WithMaxElapsedTime(time.Until(deadline)),
	)
}

// ask sends one search for the person's guid.
func (r *Remote) ask(ctx context.Context, guid uuid.UUID, ticket *oauth2.Token) (status int, body []byte, err error) {
	target := *r.search
	target.RawQuery = url.Values{"identifier": {r.config.IdentifierSystem + "|" + identifierValue(r.config.IdentifierSystem, guid)}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return 0, nil, backoff.Permanent(withoutData(ctx, err))
	}
	request.Header.Set("Accept", "application/fhir+json")
	request.Header.Set("Authorization", "Bearer "+ticket.AccessToken)
	response, err := r.client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("reach the index: %w", withoutData(ctx, err))
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return 0, nil, fmt.Errorf("read the index's answer: %w", withoutData(ctx, err))
	}
	if len(body) > maxBody {
		return 0, nil, backoff.Permanent(fmt.Errorf("the index's answer is longer than %d bytes", maxBody))
	}
	return response.StatusCode, body, nil
}

func unexpected(status int) error { return fmt.Errorf("the index answered with status %d", status) }
