package app

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ready returns nil if the instance can serve requests.
func (a *App) ready(ctx context.Context) error {
	if a.stopping.Load() {
		return errors.New("the instance is stopping")
	}
	return errors.Join(a.auditor.Available(), a.database.cached(ctx))
}

// probeEvery is how long a result of the readiness check is reused, because health checks are not
// authenticated. probeTimeout limits one check.
const (
	probeEvery   = time.Second
	probeTimeout = 2 * time.Second
)

// readiness caches whether the database can serve requests.
type readiness struct {
	check func(context.Context) error

	mu        sync.Mutex
	checkedAt time.Time
	err       error
}

// cached returns nil if the database can serve requests. It runs the check at most once per
// probeEvery.
func (r *readiness) cached(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checkedAt) < probeEvery {
		return r.err
	}
	// The result is shared, so that a disconnected client must not cancel the check.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	r.err = r.check(ctx)
	r.checkedAt = time.Now()
	return r.err
}
