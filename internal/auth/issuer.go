package auth

import (
	"time"

	"github.com/google/uuid"
)

// MinLife and MaxLife are the bounds of the lifetime of issued tokens.
const (
	MinLife = time.Minute
	MaxLife = 24 * time.Hour
)

// Issuer issues COD tokens that a Verifier with the same issuer, audience and key accepts. It is
// safe for concurrent use.
type Issuer struct {
	key              *SigningKey
	issuer, audience string
	life             time.Duration
	now              func() time.Time
}

// NewIssuer returns an issuer that signs with key. life is the lifetime of a token, from MinLife to
// MaxLife; the caller checks these bounds. now returns the current time.
func NewIssuer(key *SigningKey, issuer, audience string, life time.Duration, now func() time.Time) *Issuer {
	return &Issuer{key, issuer, audience, life, now}
}

// Issue returns a signed token of the person for the client application, and the token's content.
// Both parameters are guids. The caller must have identified the person. Issue returns an error
// only if signing fails.
func (i *Issuer) Issue(person, client uuid.UUID) (signed string, token Caller, err error) {
	now := i.now()
	token = Caller{Person: person, Client: client, ExpiresAt: now.Add(i.life).Truncate(time.Second).UTC()}
	signed, err = i.key.Sign(token, i.issuer, i.audience, now, i.life)
	return signed, token, err
}
