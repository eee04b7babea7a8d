package booking

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

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
