package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	minSecretBytes = 32          // RFC 7518, 3.2: a secret for HS256 has at least the size of its hash
	checkEvery     = time.Minute // files always, the JWKS URL where it is due
	refreshGap     = time.Minute // between two readings that tokens have asked for
)

// Sources say where keys come from; at least one, and they add up.
type Sources struct {
	JWKSURL     string        // https, or http on a loopback host; may be unreachable for now
	JWKSFile    string        // path; read again when it changes
	PEMFile     string        // path of public keys or certificates; read again when it changes
	HS256Secret []byte        // 32 bytes or more; without it no HS256 token is accepted
	Signing     []*SigningKey // their public halves verify; the same key may be there twice
}

// KeySet is the keys that tokens are verified with, kept current: the JWKS URL is read again every hour (every minute after
// a failure), files every minute, and all of them when a token names an unknown key, for that at most once a minute. A
// reading that fails is logged and leaves the old keys. It is safe for concurrent use.
type KeySet struct {
	log    *slog.Logger
	now    func() time.Time
	secret bool  // HS256 is accepted
	fixed  []key // of the sources that never change

	sources []*source            // touched by LoadKeys and then only by keep
	ring    atomic.Pointer[ring] // the keys now; replaced when a source gives other ones

	mu      sync.Mutex
	askedAt time.Time
	answer  chan struct{} // closed when the reading that was asked for at askedAt is done
	asked   chan chan struct{}

	stop    context.CancelFunc
	stopped chan struct{} // closed when keep has ended
}

// LoadKeys reads all sources and keeps them current until ctx ends or Close is called. It fails, with all that is wrong with
// them, where a source is misconfigured or a file cannot be used. A JWKS URL that cannot be reached is only logged: until it
// can, tokens with keys unknown to the other sources get ErrKeysUnavailable.
func LoadKeys(ctx context.Context, src Sources, log *slog.Logger) (*KeySet, error) {
	// The ticker need not be stopped: it is collected together with keep.
	return loadKeys(ctx, src, log, time.Now, time.NewTicker(checkEvery).C)
}

// loadKeys is LoadKeys with a clock: each tick makes the key set look which of its sources are due.
func loadKeys(
	ctx context.Context, src Sources, log *slog.Logger, now func() time.Time, ticks <-chan time.Time,
) (*KeySet, error) {
	k := &KeySet{
		log:     log,
		now:     now,
		asked:   make(chan chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	if err := errors.Join(k.configure(src), k.loadFirst(ctx)); err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	k.install()
	ctx, k.stop = context.WithCancel(ctx)
	go k.keep(ctx, ticks)
	return k, nil
}

// Close stops the refreshing and waits for it to end, no longer than for a reading that is interrupted. The keys stay usable.
func (k *KeySet) Close() {
	k.stop()
	<-k.stopped
}

// configure takes over the sources without reading any.
func (k *KeySet) configure(src Sources) error {
	var errs []error
	if len(src.HS256Secret) > 0 {
		if len(src.HS256Secret) < minSecretBytes {
			errs = append(errs, fmt.Errorf("HS256 secret of %d bytes, where %d are the least", len(src.HS256Secret), minSecretBytes))
		}
		k.secret = true
		k.fixed = append(k.fixed, key{algs: []string{algHS256}, material: append([]byte(nil), src.HS256Secret...)})
	}
	for i, own := range src.Signing {
		if !slices.ContainsFunc(src.Signing[:i], func(other *SigningKey) bool { return other.id == own.id }) {
			k.fixed = append(k.fixed, key{id: own.id, algs: []string{algES256}, material: &own.private.PublicKey})
		}
	}
	if src.JWKSFile != "" {
		k.sources = append(k.sources, jwksFile(src.JWKSFile))
	}
	if src.PEMFile != "" {
		k.sources = append(k.sources, pemFile(src.PEMFile))
	}
	if src.JWKSURL != "" {
		remote, err := jwksURL(src.JWKSURL, k.log)
		if err != nil {
			errs = append(errs, err)
		} else {
			k.sources = append(k.sources, remote)
		}
	}
	if len(errs) == 0 && len(k.fixed) == 0 && len(k.sources) == 0 {
		errs = append(errs, errors.New("no source of keys is configured"))
	}
	return errors.Join(errs...)
}

// loadFirst reads every source for the first time. Only a remote one may fail.
func (k *KeySet) loadFirst(ctx context.Context) error {
	var errs []error
	for _, s := range k.sources {
		_, err := s.load(ctx, k.now())
		switch {
		case err == nil:
		case s.remote:
			k.log.Warn("keys not available yet", "error", err)
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// keep reads sources again as time passes or tokens ask for it.
func (k *KeySet) keep(ctx context.Context, ticks <-chan time.Time) {
	defer close(k.stopped)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			k.reload(ctx, false)
		case answer := <-k.asked:
			k.reload(ctx, true)
			close(answer)
		}
	}
}

// reload reads the sources that are due, or all of them.
func (k *KeySet) reload(ctx context.Context, all bool) {
	anyChanged := false
	for _, s := range k.sources {
		if !all && k.now().Before(s.due) {
			continue
		}
		changed, err := s.load(ctx, k.now())
		if err != nil && ctx.Err() == nil {
			k.log.Warn("keys not read, the old ones stay", "error", err)
		}
		anyChanged = anyChanged || changed
	}
	if anyChanged {
		k.install()
	}
}

// install makes a ring of the keys that the sources gave last.
func (k *KeySet) install() {
	next := &ring{keys: append([]key(nil), k.fixed...)}
	for _, s := range k.sources {
		next.keys = append(next.keys, s.keys...)
		if s.absent != nil {
			next.absent = s.absent
		}
	}
	k.ring.Store(next)
	k.log.Info("keys loaded", "count", len(next.keys))
}

// accepts tells whether a token may have been made with this algorithm: an asymmetric one, or HS256 with a secret of ours.
func (k *KeySet) accepts(alg string) bool {
	_, known := methods[alg]
	return known && (alg != algHS256 || k.secret)
}

// verify checks a signature, and returns the ring that has verified it. alg must be accepted; kid may be empty. Where no key
// bears the kid, the sources may have a new one, so they are read once more. The error is ErrSignature, or
// ErrKeysUnavailable where nobody can tell.
func (k *KeySet) verify(ctx context.Context, signed string, signature []byte, alg, kid string) (*ring, error) {
	current := k.ring.Load()
	verified, named := current.verify(signed, signature, alg, kid)
	// The secret is configured, so no other one will turn up.
	if verified || named || alg == algHS256 {
		return current, signatureError(verified, alg, kid)
	}
	if err := k.refresh(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	if fresh := k.ring.Load(); fresh != current {
		current = fresh
		verified, named = current.verify(signed, signature, alg, kid)
	}
	if !verified && !named && current.absent != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, current.absent)
	}
	return current, signatureError(verified, alg, kid)
}

// signatureError is nil for a verified signature, else ErrSignature.
func signatureError(verified bool, alg, kid string) error {
	if verified {
		return nil
	}
	return fmt.Errorf("%w: of no key for %s with the id %.64q", ErrSignature, alg, kid)
}

// refresh has all sources read again, unless that was asked for less than refreshGap ago, and waits for it to be done. Those
// who ask in between wait for the same reading, or, when it is over, not at all. The error says that ctx ended first.
func (k *KeySet) refresh(ctx context.Context) error {
	k.mu.Lock()
	if now := k.now(); k.answer == nil || now.Sub(k.askedAt) >= refreshGap {
		answer := make(chan struct{})
		select {
		case k.asked <- answer:
			k.answer, k.askedAt = answer, now
		default: // the one before has not begun yet, and will do
		}
	}
	answer := k.answer
	k.mu.Unlock()

	select {
	case <-answer:
		return nil
	case <-k.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for keys: %w", ctx.Err())
	}
}
