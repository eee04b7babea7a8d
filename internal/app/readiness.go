package app

import (
	"context"
	"sync"
	"time"
)

// How often the database is asked whether it can serve, and how long that may take. Anybody may ask the service.
const (
	probeEvery   = time.Second
	probeTimeout = 2 * time.Second
)

// readiness remembers for a moment whether the database can serve.
type readiness struct {
	check func(context.Context) error

	mu    sync.Mutex
	asked time.Time
	err   error
}

// ask answers nil while the database can serve.
func (r *readiness) ask(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.asked) < probeEvery {
		return r.err
	}
	// The answer is everybody's: that whoever asked has gone must not spoil it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	r.err = r.check(ctx)
	r.asked = time.Now()
	return r.err
}
