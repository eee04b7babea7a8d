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

// ClientActive reports whether a client application exists and is active. A change takes effect within a second.
func (s *Service) ClientActive(ctx context.Context, client uuid.UUID) (bool, error) {
	active, err := s.store.ClientActive(ctx, client)
	if err != nil {
		return false, fmt.Errorf("look up the client application: %w", err)
	}
	return active, nil
}

// Identities are what client applications and patients are known by to the authorisation service.
type Identities interface {
	// ClientActive reports whether a client application exists and is active.
	ClientActive(ctx context.Context, client uuid.UUID) (bool, error)
	// ClientSecret gives the SHA-256 of a client application's secret, zeros where it has none or does not exist.
	ClientSecret(ctx context.Context, client uuid.UUID) ([sha256.Size]byte, error)
	// SetClientSecret replaces it. It answers ErrNoClient where there is no such client application.
	SetClientSecret(ctx context.Context, client uuid.UUID, hash [sha256.Size]byte) error
	// Identify finds the one person who has an open card that bears all that was shown. Else it refuses with PatientNotIdentified and counts a failure, both
	// of the client application and of the patient; above ClientLimit or PatientLimit it refuses with TooManyAttempts, whatever was shown, and counts
	// nothing. Those who ask at the same moment are counted one after the other.
	Identify(ctx context.Context, client uuid.UUID, shown Evidence, now time.Time) (person uuid.UUID, err error)
	// SweepFailures forgets failures to identify a patient that no limit counts any more, at most so many, and tells how many it forgot.
	SweepFailures(ctx context.Context, now time.Time, most int) (int, error)
}

// Limit is how many failures are answered within a time, which begins with the first.
type Limit struct {
	Failures int
	Within   time.Duration
}

// What stops guessing: at many patients by one client application, and at one patient by all of them.
var (
	ClientLimit  = Limit{100, time.Minute}
	PatientLimit = Limit{5, 15 * time.Minute}
)

// Evidence is what a client application shows of a patient: exactly one of these.
type Evidence struct {
	Policy *Policy
	Person uuid.UUID // in the master patient index
	Mkab   uuid.UUID // the guid of a card
	Snils  *Snils
}

// Policy is an insurance policy (полис), and when the insured was born.
type Policy struct {
	Series, Number string // the series is empty for policies of the uniform kind
	BirthDate      time.Time
}

// Snils is an insurance number (СНИЛС) and whose it is.
type Snils struct {
	Digits string
	Names  Names
}

// Names are a person's. The patronymic is empty where there is none.
type Names struct{ Surname, Name, Patronymic string }

// Same tells whether both are written the same, but for the case, spaces around and between words, and ё, which many write as е.
func (n Names) Same(other Names) bool { return n.plain() == other.plain() }

func (n Names) plain() Names {
	plain := func(name string) string {
		return strings.ReplaceAll(strings.ToLower(strings.Join(strings.Fields(name), " ")), "ё", "е")
	}
	return Names{plain(n.Surname), plain(n.Name), plain(n.Patronymic)}
}

// Subject names whom the evidence is about, for counting failures: what of it is not there to be guessed. It is a hash so that what people type by mistake is
// not stored.
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

// ErrNoClient says that there is no such client application.
var ErrNoClient = errors.New("there is no such client application")

// AuthenticateClient refuses with ClientUnauthenticated unless the secret is the client application's. It takes as long for one that does not exist.
func (s *Service) AuthenticateClient(ctx context.Context, client uuid.UUID, secret string) error {
	known, err := s.store.ClientSecret(ctx, client)
	if err != nil {
		return fmt.Errorf("read the client application's secret: %w", err)
	}
	shown := sha256.Sum256([]byte(secret)) // never all zeros, which stand for no secret
	if subtle.ConstantTimeCompare(known[:], shown[:]) != 1 {
		return Reject(ClientUnauthenticated)
	}
	return nil
}

// RenewClientSecret gives a client application a new secret; the old one ends. Only its hash is kept, so that it cannot be shown again. It answers ErrNoClient
// where there is no such client application.
func (s *Service) RenewClientSecret(ctx context.Context, client uuid.UUID) (secret string, err error) {
	secret = rand.Text()
	if err := s.store.SetClientSecret(ctx, client, sha256.Sum256([]byte(secret))); err != nil {
		return "", fmt.Errorf("keep the client application's secret: %w", err)
	}
	return secret, nil
}

// Identify finds the person whom the client application shows, to be given a token. It refuses with PatientNotIdentified, without a word on what was
// wrong, and with TooManyAttempts.
func (s *Service) Identify(ctx context.Context, client uuid.UUID, shown Evidence) (person uuid.UUID, err error) {
	person, err = s.store.Identify(ctx, client, shown, s.now())
	if err != nil {
		return uuid.Nil, fmt.Errorf("identify the patient: %w", err)
	}
	return person, nil
}

// SweepFailures forgets the failures to identify a patient that count no more.
func (s *Service) SweepFailures(ctx context.Context) error {
	for range sweepSteps {
		swept, err := s.store.SweepFailures(ctx, s.now(), sweepStep)
		if err != nil {
			return fmt.Errorf("sweep the failures to identify a patient: %w", err)
		}
		if swept < sweepStep {
			return nil
		}
	}
	return nil
}
