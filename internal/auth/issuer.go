package auth

import (
	"time"

	"github.com/google/uuid"
)

// The bounds of a token's life.
const (
	MinLife = time.Minute
	MaxLife = 24 * time.Hour
)

// Issuer issues COD tokens, as a Verifier with the same issuer, audience and key takes them.
type Issuer struct {
	key              *SigningKey
	issuer, audience string
	life             time.Duration
	now              func() time.Time
}

// NewIssuer signs with the key. life is how long a token is valid, from MinLife to MaxLife.
func NewIssuer(key *SigningKey, issuer, audience string, life time.Duration, now func() time.Time) *Issuer {
	return &Issuer{key, issuer, audience, life, now}
}

// Issue signs a token of a person for a client application. Whether that person is who asks, the caller knows.
func (i *Issuer) Issue(person, client uuid.UUID) (signed string, said Caller, err error) {
	now := i.now()
	said = Caller{Person: person, Client: client, ExpiresAt: now.Add(i.life).Truncate(time.Second).UTC()}
	signed, err = i.key.Sign(said, i.issuer, i.audience, now, i.life)
	return signed, said, err
}
