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

	"golang.org/x/sync/semaphore"
)

const (
	minSecretBytes = 32          // RFC 7518, 3.2: an HS256 secret is at least as long as the hash
	checkEvery     = time.Minute // between two reads of the files, and of the JWKS URL if it is due

	// refreshGap is the pause between two refreshes that tokens with unknown keys cause, however
	// many such tokens there are. A new key is accepted after it at the latest.
	refreshGap = 5 * time.Second
	// maxWaiting is how many tokens with unknown keys may wait for a refresh, so that those of
	// strangers do not take the places of other requests while the JWKS URL is slow.
	maxWaiting = 32
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
// token with an unknown key it reads all sources, with a pause of at least refreshGap. If reading a
// source fails, it logs the error and keeps the source's old keys. A KeySet is safe for concurrent
// use.
type KeySet struct {
	log          *slog.Logger
	now          func() time.Time
	acceptsHS256 bool
	static       []key // of the sources that never change

	sources []*source             // used by LoadKeys, and then only by the goroutine of run
	ring    atomic.Pointer[ring]  // the current keys; replaced when the keys of a source change
	unread  atomic.Pointer[error] // why the last read of a source failed; nil if all were read

	mu        sync.Mutex
	running   chan struct{}       // closed at the end of the refresh that a token has caused; nil: none
	endedAt   time.Time           // of the last such refresh
	refreshes chan struct{}       // starts it
	waiting   *semaphore.Weighted // places of the tokens that wait for it

	stop    context.CancelFunc
	stopped chan struct{} // closed when run has returned
}

// LoadKeys reads all sources and starts to refresh them in the background, until ctx is cancelled
// or Close is called. It returns an error that lists every misconfigured source and every unusable
// file. A JWKS URL that cannot be read is only logged. Whenever a source cannot be read, a token
// whose key no source has fails with ErrKeysUnavailable.
func LoadKeys(ctx context.Context, src Sources, log *slog.Logger) (*KeySet, error) {
	// The ticker need not be stopped: it is garbage-collected after run has returned.
	return loadKeys(ctx, src, log, time.Now, time.NewTicker(checkEvery).C)
}

// loadKeys is LoadKeys with a given clock. At each tick the key set reads the sources that are due.
func loadKeys(
	ctx context.Context, src Sources, log *slog.Logger, now func() time.Time, ticks <-chan time.Time,
) (*KeySet, error) {
	k := &KeySet{
		log:       log,
		now:       now,
		refreshes: make(chan struct{}, 1),
		waiting:   semaphore.NewWeighted(maxWaiting),
		stopped:   make(chan struct{}),
	}
	if err := errors.Join(k.configure(src), k.loadAll(ctx)); err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	k.buildRing()
	k.noteUnread()
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
		case <-k.refreshes:
			k.reload(ctx, true)
			k.endRefresh()
		}
	}
}

// endRefresh ends the refresh that a token has caused.
func (k *KeySet) endRefresh() {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.running)
	k.running, k.endedAt = nil, k.now()
}

// reload reads the sources that are due, or all of them, and replaces the ring if any keys changed.
func (k *KeySet) reload(ctx context.Context, all bool) {
	anyChanged := false
	for _, s := range k.sources {
		if !all && k.now().Before(s.due) {
			continue
		}
		changed, err := s.load(ctx, k.now())
		switch {
		case err == nil, ctx.Err() != nil:
		case s.document == nil:
			k.log.Warn("keys not available yet", "error", err)
		default:
			k.log.Warn("keys not read, keeping the old ones", "error", err)
		}
		anyChanged = anyChanged || changed
	}
	if anyChanged {
		k.buildRing()
	}
	if ctx.Err() == nil {
		k.noteUnread()
	}
}

// noteUnread stores whether the last read of a source has failed.
func (k *KeySet) noteUnread() {
	var errs []error
	for _, s := range k.sources {
		errs = append(errs, s.loadErr)
	}
	if err := errors.Join(errs...); err != nil {
		k.unread.Store(&err)
		return
	}
	k.unread.Store(nil)
}

// buildRing creates a ring from the latest keys of all sources and publishes it.
func (k *KeySet) buildRing() {
	next := &ring{keys: append([]key(nil), k.static...)}
	for _, s := range k.sources {
		next.keys = append(next.keys, s.keys...)
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
	if unread := k.unread.Load(); !verified && !kidKnown && unread != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, *unread)
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

// refresh reads all sources, or waits for the refresh that is running. It returns nil at once if
// the last one ended less than refreshGap ago, and an error if too many tokens wait already.
func (k *KeySet) refresh(ctx context.Context) error {
	k.mu.Lock()
	if k.running == nil {
		if k.now().Sub(k.endedAt) < refreshGap {
			k.mu.Unlock()
			return nil
		}
		k.running = make(chan struct{})
		k.refreshes <- struct{}{} // has room, because no other refresh is running
	}
	running := k.running
	k.mu.Unlock()

	if !k.waiting.TryAcquire(1) {
		return errors.New("too many tokens wait for keys")
	}
	defer k.waiting.Release(1)
	select {
	case <-running:
		return nil
	case <-k.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for keys: %w", ctx.Err())
	}
}
