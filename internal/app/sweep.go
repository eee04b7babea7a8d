package app

import (
	"context"
	"time"
)

// sweepEvery is the interval of sweeps of expired idempotency keys, failed identifications, used
// assertions, imports, attempts to send events and months of the audit. sweepTimeout limits one
// sweep.
const (
	sweepEvery   = time.Minute
	sweepTimeout = 30 * time.Second
)

// background runs do until stop is called, which waits for its end.
func (a *App) background(ctx context.Context, do func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// sweep deletes expired rows now and then every sweepEvery, until ctx is done. Every instance
// sweeps; concurrent sweeps are safe. A failed sweep is logged and repeated at the next interval.
func (a *App) sweep(ctx context.Context) { every(ctx, sweepEvery, a.sweepOnce) }

// sweepPast deletes the past now and then every sweepEvery, until ctx is done.
func (a *App) sweepPast(ctx context.Context) {
	every(ctx, sweepEvery, func(ctx context.Context) {
		deleted, err := a.retention.Sweep(ctx)
		a.metrics.Swept("past", err)
		if err != nil {
			a.log.Warn("sweep the past", "error", err)
		}
		if deleted > 0 {
			a.log.Info("swept the past", "rows", deleted)
		}
	})
}

// every calls do now and then at an interval, until ctx is done.
func every(ctx context.Context, interval time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (a *App) sweepOnce(ctx context.Context) {
	for _, sweep := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"idempotency_keys", a.booking.SweepKeys}, {"failed_identifications", a.booking.SweepFailures},
		{"assertions", a.booking.SweepAssertions}, {"imports", a.imports.Sweep}, {"webhook_attempts", a.webhooks.Sweep},
		{"audit", a.audit.Sweep},
	} {
		limited, cancel := context.WithTimeout(ctx, sweepTimeout)
		err := sweep.run(limited)
		cancel()
		a.metrics.Swept(sweep.name, err)
		if err != nil && ctx.Err() == nil {
			a.log.Warn("sweep", "of", sweep.name, "error", err)
		}
	}
}
