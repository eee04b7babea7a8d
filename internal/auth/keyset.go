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
	minSecretBytes = 32          // RFC 7518, 3.2: an HS256 secret is at least as long as the hash
	checkEvery     = time.Minute // between two reads of the files, and of the JWKS URL if it is due
	refreshGap     = time.Minute // between two refreshes that tokens with unknown keys cause
)

// Sources are the places that keys are read from. At least one is required; the keys of all of them
// are used together.
type Sources struct {
	JWKSURL     string        // https, or http on a loopback host; may be unreachable at the start
	JWKSFile    string        // path; reloaded when the file changes
	PEMFile     string        // path of public keys or certificates; reloaded when the file changes
	HS256Secret []byte        // at least 32 bytes; without it HS256 tokens are rejected
	Signing     []*SigningKey // tokens are verified with their public keys; duplicates are ignored
}

// KeySet holds the keys that tokens are verified with, and refreshes them in the background. It
// reads the JWKS URL every hour, or every minute after a failure, and files every minute. After a
// token with an unknown key it reads all sources, at most once a minute. If reading a source fails,
// it logs the error and keeps the source's old keys. A KeySet is safe for concurrent use.
type KeySet struct {
	log          *slog.Logger
	now          func() time.Time
	acceptsHS256 bool
	static       []key // of the sources that never change

	sources []*source            // used by LoadKeys, and then only by the goroutine of run
	ring    atomic.Pointer[ring] // the current keys; replaced when the keys of a source change

	mu          sync.Mutex
	requestedAt time.Time          // of the last refresh that a token caused
	refreshed   chan struct{}      // closed when that refresh is done
	requests    chan chan struct{} // refreshes that run has not started yet

	stop    context.CancelFunc
	stopped chan struct{} // closed when run has returned
}

// LoadKeys reads all sources and starts to refresh them in the background, until ctx is cancelled
// or Close is called. It returns an error that lists every misconfigured source and every unusable
// file. A JWKS URL that cannot be read is only logged. Until it can be read, a token whose key no
// other source holds fails with ErrKeysUnavailable.
func LoadKeys(ctx context.Context, src Sources, log *slog.Logger) (*KeySet, error) {
	// The ticker need not be stopped: it is garbage-collected after run has returned.
	return loadKeys(ctx, src, log, time.Now, time.NewTicker(checkEvery).C)
}

// loadKeys is LoadKeys with a given clock. At each tick the key set reads the sources that are due.
func loadKeys(
	ctx context.Context, src Sources, log *slog.Logger, now func() time.Time, ticks <-chan time.Time,
) (*KeySet, error) {
	k := &KeySet{
		log:      log,
		now:      now,
		requests: make(chan chan struct{}, 1),
		stopped:  make(chan struct{}),
	}
	if err := errors.Join(k.configure(src), k.loadAll(ctx)); err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	k.buildRing()
	ctx, k.stop = context.WithCancel(ctx)
	go k.run(ctx, ticks)
	return k, nil
}

// KeyUse is how often a key has verified a signature. A key that was read again, because its source
// has changed, begins anew.
type KeyUse struct {
	ID         string // kid; empty if the source has no key ids
	Signatures uint64
}

// Uses returns how often each of the current keys has verified a signature.
func (k *KeySet) Uses() []KeyUse {
	var uses []KeyUse
	for _, key := range k.ring.Load().keys {
		uses = append(uses, KeyUse{key.id, key.verified.Load()})
	}
	return uses
}

// ReadAt returns when each source that can change was last read successfully, by its name. The time
// is zero if it never was.
func (k *KeySet) ReadAt() map[string]time.Time {
	read := map[string]time.Time{}
	for _, s := range k.sources {
		if at := s.readAt.Load(); at != nil {
			read[s.name] = *at
		} else {
			read[s.name] = time.Time{}
		}
	}
	return read
}

// Close stops the background refresh, interrupts a read in progress, and waits until both have
// ended. The keys stay usable. Further calls do nothing.
func (k *KeySet) Close() {
	k.stop()
	<-k.stopped
}

// configure checks the configured sources and adds them to the key set. It does not read them. It
// returns an error that lists every misconfigured source.
func (k *KeySet) configure(src Sources) error {
	var errs []error
	if len(src.HS256Secret) > 0 {
		if n := len(src.HS256Secret); n < minSecretBytes {
			errs = append(errs, fmt.Errorf("HS256 secret of %d bytes is shorter than %d", n, minSecretBytes))
		}
		k.acceptsHS256 = true
		k.static = append(k.static, key{
			algs: []string{algHS256}, material: append([]byte(nil), src.HS256Secret...), verified: new(atomic.Uint64),
		})
	}
	for i, own := range src.Signing {
		id := own.public.ID
		if !slices.ContainsFunc(src.Signing[:i], func(other *SigningKey) bool { return other.public.ID == id }) {
			k.static = append(k.static, key{
				id: id, algs: []string{algES256}, material: &own.private.PublicKey, verified: new(atomic.Uint64),
			})
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
	if len(errs) == 0 && len(k.static) == 0 && len(k.sources) == 0 {
		errs = append(errs, errors.New("no key source is configured"))
	}
	return errors.Join(errs...)
}

// loadAll reads every source for the first time. It returns the errors of local sources, and logs
// the error of the JWKS URL.
func (k *KeySet) loadAll(ctx context.Context) error {
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

// run reloads sources at each tick and at each requested refresh, until ctx is cancelled.
func (k *KeySet) run(ctx context.Context, ticks <-chan time.Time) {
	defer close(k.stopped)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			k.reload(ctx, false)
		case done := <-k.requests:
			k.reload(ctx, true)
			close(done)
		}
	}
}

// reload reads the sources that are due, or all of them, and replaces the ring if any keys changed.
func (k *KeySet) reload(ctx context.Context, all bool) {
	anyChanged := false
	for _, s := range k.sources {
		if !all && k.now().Before(s.due) {
			continue
		}
		changed, err := s.load(ctx, k.now())
		if err != nil && ctx.Err() == nil {
			k.log.Warn("keys not read, keeping the old ones", "error", err)
		}
		anyChanged = anyChanged || changed
	}
	if anyChanged {
		k.buildRing()
	}
}

// buildRing creates a ring from the latest keys of all sources and publishes it.
func (k *KeySet) buildRing() {
	next := &ring{keys: append([]key(nil), k.static...)}
	for _, s := range k.sources {
		next.keys = append(next.keys, s.keys...)
		if s.loadErr != nil {
			next.loadErr = s.loadErr
		}
	}
	k.ring.Store(next)
	k.log.Info("keys loaded", "count", len(next.keys))
}

// accepts reports whether tokens may use the algorithm. All asymmetric algorithms of methods are
// accepted, and HS256 if a secret is configured.
func (k *KeySet) accepts(alg string) bool {
	_, known := methods[alg]
	return known && (alg != algHS256 || k.acceptsHS256)
}

// verify verifies a signature and returns the ring that verified it. alg must be accepted; kid may
// be empty. If no key has the kid, verify requests a refresh, waits for it and tries again. It
// returns ErrSignature, or ErrKeysUnavailable if the key may be in a source that could not be read.
func (k *KeySet) verify(ctx context.Context, signed string, signature []byte, alg, kid string) (*ring, error) {
	current := k.ring.Load()
	verified, kidKnown := current.verify(signed, signature, alg, kid)
	// A refresh cannot find another HS256 secret: it is part of the configuration.
	if verified || kidKnown || alg == algHS256 {
		return current, signatureError(verified, alg, kid)
	}
	if err := k.refresh(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	if fresh := k.ring.Load(); fresh != current {
		current = fresh
		verified, kidKnown = current.verify(signed, signature, alg, kid)
	}
	if !verified && !kidKnown && current.loadErr != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, current.loadErr)
	}
	return current, signatureError(verified, alg, kid)
}

// signatureError returns nil if the signature was verified, else ErrSignature with details for the
// log.
func signatureError(verified bool, alg, kid string) error {
	if verified {
		return nil
	}
	return fmt.Errorf("%w: no %s key with kid %.64q verifies it", ErrSignature, alg, kid)
}

// refresh requests a read of all sources and waits until it has finished. If the last request is
// younger than refreshGap, refresh waits for that one instead, and returns at once if it has
// finished. It also returns when the key set is closed. It returns an error only if ctx is done
// first.
func (k *KeySet) refresh(ctx context.Context) error {
	k.mu.Lock()
	if now := k.now(); k.refreshed == nil || now.Sub(k.requestedAt) >= refreshGap {
		done := make(chan struct{})
		select {
		case k.requests <- done:
			k.refreshed, k.requestedAt = done, now
		default: // run has not started the previous request yet: wait for that one
		}
	}
	refreshed := k.refreshed
	k.mu.Unlock()

	select {
	case <-refreshed:
		return nil
	case <-k.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for keys: %w", ctx.Err())
	}
}
