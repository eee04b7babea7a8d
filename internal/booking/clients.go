package booking

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The scopes of client applications that act for themselves.
const (
	ScopeScheduleWrite = "schedule:write"
	ScopeReferralWrite = "referral:write"
	ScopePatientWrite  = "patient:write"
	ScopeVisitRead     = "visit:read"
	ScopeVisitWrite    = "visit:write"
	ScopeEventsRead    = "events:read"
	ScopeAuditRead     = "audit:read"
	ScopeAdmin         = "admin"
)

// Scopes are all scopes.
var Scopes = []string{
	ScopeScheduleWrite, ScopeReferralWrite, ScopePatientWrite, ScopeVisitRead, ScopeVisitWrite, ScopeEventsRead,
	ScopeAuditRead, ScopeAdmin,
}

// MaxClientLpus is the largest number of institutions of one client application.
const MaxClientLpus = 100

// SystemRights are the rights of a client application that acts for itself. The zero value allows
// nothing.
type SystemRights struct {
	Scopes   []string
	Lpus     []uuid.UUID // the institutions (ЛПУ) that Scopes apply to
	EveryLpu bool        // Scopes apply to all institutions; Lpus is empty
}

// Within returns the rights that both r and other allow.
func (r SystemRights) Within(other SystemRights) SystemRights {
	common := SystemRights{EveryLpu: r.EveryLpu && other.EveryLpu}
	for _, scope := range r.Scopes {
		if slices.Contains(other.Scopes, scope) {
			common.Scopes = append(common.Scopes, scope)
		}
	}
	switch {
	case r.EveryLpu:
		common.Lpus = other.Lpus
	case other.EveryLpu:
		common.Lpus = r.Lpus
	default:
		for _, lpu := range r.Lpus {
			if slices.Contains(other.Lpus, lpu) {
				common.Lpus = append(common.Lpus, lpu)
			}
		}
	}
	return common
}

// AssertionGrace is how long the use of an assertion is stored after the assertion has expired, for
// instances whose clocks are slow.
const AssertionGrace = 5 * time.Minute

// Client is a client application (клиентское приложение).
type Client struct {
	Guid   uuid.UUID
	Name   string
	Active bool
	Rights Rights       // when it acts for a patient
	System SystemRights // when it acts for itself

	HasSecret, HasKeys bool
	PreviousUntil      time.Time // end of the previous secret; the zero time if there is none
}

// Credentials are the credentials of an active client application, and its rights.
type Credentials struct {
	Secret        [sha256.Size]byte // SHA-256; zeros if it has none
	Previous      [sha256.Size]byte // SHA-256 of the secret before the last rotation; zeros if there is none
	PreviousUntil time.Time
	Keys          []byte // JWK set; nil if it has none
	System        SystemRights
}

// ClientStore stores client applications and their credentials.
type ClientStore interface {
	// SystemRights returns the rights of a client application, or nil if it does not exist or is
	// not active.
	SystemRights(ctx context.Context, client uuid.UUID) (*SystemRights, error)
	// Credentials returns the credentials of a client application. They are empty if it is not
	// active or does not exist.
	Credentials(ctx context.Context, client uuid.UUID) (Credentials, error)
	// AddClient adds a client application with the SHA-256 of its secret, or with a JWK set. The
	// other one is nil.
	AddClient(ctx context.Context, client Client, secret, keys []byte) error
	// RotateSecret replaces the secret. The old one is accepted until previousUntil. It returns
	// ErrNoClient if the client application does not exist.
	RotateSecret(ctx context.Context, client uuid.UUID, hash [sha256.Size]byte, previousUntil time.Time) error
	// SetActive enables or disables a client application. It returns ErrNoClient if the client
	// application does not exist.
	SetActive(ctx context.Context, client uuid.UUID, active bool) error
	// Clients returns all client applications, ordered by name.
	Clients(ctx context.Context) ([]Client, error)
	// UseAssertion stores that a client application has used the assertion with the id until it
	// expires. It returns false if the application has used it before.
	UseAssertion(ctx context.Context, client uuid.UUID, id [sha256.Size]byte, until time.Time) (first bool, err error)
	// SweepAssertions deletes at most most assertions that expired AssertionGrace before now, and
	// returns their number.
	SweepAssertions(ctx context.Context, now time.Time, most int) (int, error)
}

// ErrNoClient is returned for a client application that does not exist.
var ErrNoClient = errors.New("there is no such client application")

// SystemRights returns the rights that a client application has for itself, or nil if it does not
// exist or is not active. A change takes effect within a second.
func (s *Service) SystemRights(ctx context.Context, client uuid.UUID) (*SystemRights, error) {
	rights, err := s.ports.Clients.SystemRights(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("look up the client application: %w", err)
	}
	return rights, nil
}

// AuthenticateClient rejects with ClientUnauthenticated unless secret is the client application's
// secret, or the one before during the overlap of a rotation. It takes equally long for an
// application that does not exist.
func (s *Service) AuthenticateClient(ctx context.Context, client uuid.UUID, secret string) error {
	known, err := s.credentials(ctx, client)
	if err != nil {
		return err
	}
	shown := sha256.Sum256([]byte(secret)) // never all zeros, which mean no secret
	isCurrent := subtle.ConstantTimeCompare(known.Secret[:], shown[:]) == 1
	isPrevious := subtle.ConstantTimeCompare(known.Previous[:], shown[:]) == 1
	if !isCurrent && (!isPrevious || !s.now().Before(known.PreviousUntil)) {
		return Reject(ClientUnauthenticated)
	}
	return nil
}

// ClientKeys returns the JWK set that verifies a client application's assertions, or nil if the
// application has none, is not active or does not exist.
func (s *Service) ClientKeys(ctx context.Context, client uuid.UUID) ([]byte, error) {
	known, err := s.credentials(ctx, client)
	return known.Keys, err
}

// UseAssertion rejects with ClientUnauthenticated if the client application has used an assertion
// with the id before. The caller has verified the assertion, which expires at until.
func (s *Service) UseAssertion(ctx context.Context, client uuid.UUID, id string, until time.Time) error {
	first, err := s.ports.Clients.UseAssertion(ctx, client, sha256.Sum256([]byte(id)), until)
	if err != nil {
		return fmt.Errorf("store the use of an assertion: %w", err)
	}
	if !first {
		return Reject(ClientUnauthenticated).Because(errors.New("the assertion was used before"))
	}
	return nil
}

// GrantScopes returns the rights for a system token of an authenticated client application: those
// of the requested scopes, or all of the application's if none is requested. It rejects with
// ScopeInvalid if the application does not have a requested scope, or has no scope at all.
func (s *Service) GrantScopes(ctx context.Context, client uuid.UUID, requested []string) (SystemRights, error) {
	known, err := s.credentials(ctx, client)
	if err != nil {
		return SystemRights{}, err
	}
	granted := known.System
	if len(requested) > 0 {
		granted.Scopes = slices.Compact(slices.Sorted(slices.Values(requested)))
	}
	if len(known.System.Scopes) == 0 {
		return SystemRights{}, Reject(ScopeInvalid).Because(errors.New("the client application has no scopes"))
	}
	if len(granted.Within(known.System).Scopes) < len(granted.Scopes) {
		return SystemRights{}, Reject(ScopeInvalid)
	}
	return granted, nil
}

func (s *Service) credentials(ctx context.Context, client uuid.UUID) (Credentials, error) {
	known, err := s.ports.Clients.Credentials(ctx, client)
	if err != nil {
		return Credentials{}, fmt.Errorf("read the client application's credentials: %w", err)
	}
	return known, nil
}

// AddClient adds an active client application, and returns its new secret. With a JWK set, which
// the caller has checked, it has the keys instead of a secret.
func (s *Service) AddClient(ctx context.Context, client Client, keys []byte) (secret string, err error) {
	var hash []byte
	if keys == nil {
		secret = rand.Text()
		sum := sha256.Sum256([]byte(secret))
		hash = sum[:]
	}
	if err := s.ports.Clients.AddClient(ctx, client, hash, keys); err != nil {
		return "", fmt.Errorf("store the client application: %w", err)
	}
	return secret, nil
}

// RotateSecret replaces the secret of a client application and returns the new one. The old one is
// accepted for overlap. Only hashes are stored, so that a secret cannot be read again. RotateSecret
// returns ErrNoClient if the client application does not exist.
func (s *Service) RotateSecret(ctx context.Context, client uuid.UUID, overlap time.Duration) (string, error) {
	secret := rand.Text()
	err := s.ports.Clients.RotateSecret(ctx, client, sha256.Sum256([]byte(secret)), s.now().Add(overlap))
	if err != nil {
		return "", fmt.Errorf("store the client application's secret: %w", err)
	}
	return secret, nil
}

// SetClientActive enables or disables a client application. It returns ErrNoClient if the client
// application does not exist.
func (s *Service) SetClientActive(ctx context.Context, client uuid.UUID, active bool) error {
	if err := s.ports.Clients.SetActive(ctx, client, active); err != nil {
		return fmt.Errorf("change the client application: %w", err)
	}
	return nil
}

// Clients returns all client applications, ordered by name.
func (s *Service) Clients(ctx context.Context) ([]Client, error) {
	clients, err := s.ports.Clients.Clients(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the client applications: %w", err)
	}
	return clients, nil
}

// SweepAssertions deletes the used assertions that have expired.
func (s *Service) SweepAssertions(ctx context.Context) error {
	if err := s.sweep(ctx, s.ports.Clients.SweepAssertions); err != nil {
		return fmt.Errorf("sweep the used assertions: %w", err)
	}
	return nil
}
