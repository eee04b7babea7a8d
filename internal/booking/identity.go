package booking

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ClientActive reports whether a client application exists and is active. A change takes effect
// within a second.
func (s *Service) ClientActive(ctx context.Context, client uuid.UUID) (bool, error) {
	active, err := s.ports.Clients.ClientActive(ctx, client)
	if err != nil {
		return false, fmt.Errorf("look up the client application: %w", err)
	}
	return active, nil
}

// ClientStore stores client applications and their credentials.
type ClientStore interface {
	// ClientActive reports whether a client application exists and is active.
	ClientActive(ctx context.Context, client uuid.UUID) (bool, error)
	// ClientSecret returns the SHA-256 of a client application's secret. It returns zeros if the
	// application has no secret, is not active or does not exist.
	ClientSecret(ctx context.Context, client uuid.UUID) ([sha256.Size]byte, error)
	// SetClientSecret replaces the secret. It returns ErrNoClient if the client application does
	// not exist.
	SetClientSecret(ctx context.Context, client uuid.UUID, hash [sha256.Size]byte) error
}

// Identities identifies patients for the authorisation service.
type Identities interface {
	// Identify returns the only person who has an open card that matches the evidence. Otherwise it
	// rejects with PatientNotIdentified and counts a failure of the client application and of the
	// patient. Above ClientLimit or PatientLimit it rejects any evidence with TooManyAttempts and
	// counts nothing. Concurrent attempts are counted one after the other.
	Identify(ctx context.Context, client uuid.UUID, shown Evidence, now time.Time) (person uuid.UUID, err error)
	// SweepFailures deletes at most most failures that no limit counts at now, and returns their
	// number.
	SweepFailures(ctx context.Context, now time.Time, most int) (int, error)
}

// Limit is the number of failures allowed within a period. The period begins with the first
// failure.
type Limit struct {
	Failures int
	Within   time.Duration
}

// ClientLimit and PatientLimit prevent guessing: of many patients by one client application, and of
// one patient by all of them.
var (
	ClientLimit  = Limit{100, time.Minute}
	PatientLimit = Limit{5, 15 * time.Minute}
)

// Evidence identifies a patient. Exactly one field is set.
type Evidence struct {
	Policy *Policy
	Person uuid.UUID // guid in the master patient index (МИП)
	Mkab   uuid.UUID // guid of a card
	Snils  *Snils
}

// Policy is an insurance policy (полис) with the birth date of the insured.
type Policy struct {
	Series, Number string // the series of a uniform policy is empty
	BirthDate      time.Time
}

// Snils is an insurance number (СНИЛС) with the names of its owner.
type Snils struct {
	Digits string
	Names  Names
}

// Names are the names of a person. The patronymic is empty if there is none.
type Names struct{ Surname, Name, Patronymic string }

// Same reports whether both names are equal. It ignores case, spaces around words and repeated
// spaces, and treats ё as е.
func (n Names) Same(other Names) bool { return n.normalized() == other.normalized() }

func (n Names) normalized() Names {
	normalize := func(name string) string {
		return strings.ReplaceAll(strings.ToLower(strings.Join(strings.Fields(name), " ")), "ё", "е")
	}
	return Names{normalize(n.Surname), normalize(n.Name), normalize(n.Patronymic)}
}

// Subject returns the key under which failures are counted: a hash of the identifying part of the
// evidence, without the part that could be guessed. It is a hash because users may type other
// personal data by mistake.
func (e Evidence) Subject() [sha256.Size]byte {
	var about string
	switch {
	case e.Policy != nil:
		about = "policy " + e.Policy.Number
	case e.Snils != nil:
		about = "snils " + e.Snils.Digits
	case e.Mkab != uuid.Nil:
		about = "mkab " + e.Mkab.String()
	default:
		about = "person " + e.Person.String()
	}
	return sha256.Sum256([]byte(about))
}

// ErrNoClient is returned for a client application that does not exist.
var ErrNoClient = errors.New("there is no such client application")

// AuthenticateClient rejects with ClientUnauthenticated unless secret is the client application's
// secret. It takes equally long for an application that does not exist.
func (s *Service) AuthenticateClient(ctx context.Context, client uuid.UUID, secret string) error {
	known, err := s.ports.Clients.ClientSecret(ctx, client)
	if err != nil {
		return fmt.Errorf("read the client application's secret: %w", err)
	}
	shown := sha256.Sum256([]byte(secret)) // never all zeros, which mean no secret
	if subtle.ConstantTimeCompare(known[:], shown[:]) != 1 {
		return Reject(ClientUnauthenticated)
	}
	return nil
}

// RenewClientSecret replaces the secret of a client application and returns the new one. The old
// one stops working. Only the hash is stored, so that the secret cannot be read again.
// RenewClientSecret returns ErrNoClient if the client application does not exist.
func (s *Service) RenewClientSecret(ctx context.Context, client uuid.UUID) (secret string, err error) {
	secret = rand.Text()
	if err := s.ports.Clients.SetClientSecret(ctx, client, sha256.Sum256([]byte(secret))); err != nil {
		return "", fmt.Errorf("store the client application's secret: %w", err)
	}
	return secret, nil
}

// Identify returns the person that the evidence of a client application identifies. It rejects with
// PatientNotIdentified, which does not name the wrong part, and with TooManyAttempts.
func (s *Service) Identify(ctx context.Context, client uuid.UUID, shown Evidence) (person uuid.UUID, err error) {
	person, err = s.ports.Identities.Identify(ctx, client, shown, s.now())
	if err != nil {
		return uuid.Nil, fmt.Errorf("identify the patient: %w", err)
	}
	return person, nil
}

// SweepFailures deletes the failed identifications that no limit counts any more.
func (s *Service) SweepFailures(ctx context.Context) error {
	if err := s.sweep(ctx, s.ports.Identities.SweepFailures); err != nil {
		return fmt.Errorf("sweep the failures to identify a patient: %w", err)
	}
	return nil
}
