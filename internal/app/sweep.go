package app

import (
	"context"
	"errors"
	"time"
)

// How often what has outlived its use is swept, idempotency keys and failures to identify a patient, and how long a sweep may take.
const (
	sweepEvery   = time.Minute
	sweepTimeout = 30 * time.Second
)

// sweep sweeps at once and then every so often, beside the requests, until the function that it returns is called. Every instance does; two at once
// do no harm. A sweep that fails is logged, and the next one tries again.
func (a *App) sweep(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(sweepEvery)
		defer ticker.Stop()
		for {
			a.sweepOnce(ctx)
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (a *App) sweepOnce(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if err := errors.Join(a.booking.SweepKeys(limited), a.booking.SweepFailures(limited)); err != nil && ctx.Err() == nil {
		a.log.Warn("sweep", "error", err)
	}
}
