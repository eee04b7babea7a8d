package auth

import (
	"time"
)

// MinLife and MaxLife are the bounds of the lifetime of issued tokens.
const (
	MinLife = time.Minute
	MaxLife = 24 * time.Hour
)

// Issuer issues tokens that a Verifier with the same issuer, audience and key accepts. It is
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

// Issue returns a signed token with the content of caller, and the time of its expiry in UTC. The
// caller of Issue must have identified the person, or authenticated the client application. Issue
// ignores caller.ExpiresAt. It returns an error only if signing fails.
func (i *Issuer) Issue(caller Caller) (signed string, expiresAt time.Time, err error) {
	now := i.now()
	signed, err = i.key.Sign(caller, i.issuer, i.audience, now, i.life)
	return signed, now.Add(i.life).Truncate(time.Second).UTC(), err
}

// Life returns the lifetime of a token.
func (i *Issuer) Life() time.Duration { return i.life }

// Key returns the public key that verifies the tokens.
func (i *Issuer) Key() PublicKey { return i.key.Public() }
