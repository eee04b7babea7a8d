package app

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ready returns an error unless the instance can serve requests, and whether it cannot serve all of
// them. A database that is away is named before the audit, which then fails, too.
func (a *App) ready(ctx context.Context) (degraded bool, err error) {
	if a.stopping.Load() {
		return false, errors.New("the instance is stopping")
	}
	away, err := a.database.cached(ctx)
	if err != nil {
		return false, err
	}
	return away > 0, a.auditor.Available()
}

// probeEvery is how long a result of the readiness check is reused, because health checks are not
// authenticated. probeTimeout limits one check, and nodesTimeout the question for the nodes.
const (
	probeEvery   = time.Second
	probeTimeout = 2 * time.Second
	nodesTimeout = time.Second
)

// readiness caches whether the database can serve requests.
type readiness struct {
	check func(context.Context) error
	nodes func(context.Context) (away int, err error) // of a distributed database; nil for another

	mu        sync.Mutex
	checkedAt time.Time
	away      int
	err       error
}

// cached returns an error unless the database can serve requests, and how many of its nodes are
// away. It runs the check at most once per probeEvery.
func (r *readiness) cached(ctx context.Context) (away int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checkedAt) < probeEvery {
		return r.away, r.err
	}
	// The result is shared, so that a disconnected client must not cancel the check.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	if r.err = r.check(ctx); r.err == nil && r.nodes != nil {
		r.away = r.countAway(ctx)
	}
	r.checkedAt = time.Now()
	return r.away, r.err
}

// countAway returns how many nodes of the database are away, which is 1 if they are too slow to
// tell. The requests of the other nodes are served, so that it is no error.
func (r *readiness) countAway(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, nodesTimeout)
	defer cancel()
	away, err := r.nodes(ctx)
	if err != nil {
		return 1
	}
	return away
}
