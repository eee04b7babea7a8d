package app

import (
	"context"
	"errors"
	"time"
)

// sweepEvery is the interval of sweeps of expired idempotency keys, failed identifications and used
// assertions. sweepTimeout limits one sweep.
const (
	sweepEvery   = time.Minute
	sweepTimeout = 30 * time.Second
)

// sweep deletes expired rows now and then every sweepEvery, in the background, until stop is
// called. Every instance sweeps; concurrent sweeps are safe. A failed sweep is logged and repeated
// at the next interval.
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
	err := errors.Join(a.booking.SweepKeys(limited), a.booking.SweepFailures(limited),
		a.booking.SweepAssertions(limited))
	if err != nil && ctx.Err() == nil {
		a.log.Warn("sweep", "error", err)
	}
}
