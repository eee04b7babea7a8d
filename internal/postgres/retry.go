package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"talon.example/internal/booking"
)

// Transient failures are retried this often, after pauses of this length. The total stays far below
// a request's deadline. A longer outage is reported to the client, which can wait longer than the
// service.
const (
	tries        = 3
	initialPause = 20 * time.Millisecond
	maxPause     = 200 * time.Millisecond
)

// retry calls do again after a transient failure: a deadlock, a serialization failure, a lost
// connection, a failover, a migration. An error that do returns must mean that nothing was changed,
// unless it wraps errCommitUnknown. Such an error is not retried, nor is errAway. If only a new
// connection can help, retry first calls reset, because idle connections of the pool are as stale.
// It returns errors as interpretError does.
func retry[T any](ctx context.Context, reset func(), do func() (T, error)) (T, error) {
	result, err := do()
	if err == nil { // the common case, without the cost of a backoff
		return result, nil
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = initialPause, maxPause
	tried := false
	result, err = backoff.Retry(ctx, func() (T, error) {
		if tried {
			retries.Add(1)
			result, err = do()
		}
		tried = true
		if needsNewConnection(err) {
			reset()
		}
		err = interpretError(err)
		var refusal *booking.Refusal
		transient := errors.As(err, &refusal) && refusal.Rule == booking.DatabaseUnavailable &&
			!errors.Is(err, errCommitUnknown) && !errors.Is(err, errAway)
		if err != nil && !transient {
			err = backoff.Permanent(err)
		}
		return result, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(tries))
	// The library leaves its mark on the error of the last try.
	if permanent, marked := errors.AsType[*backoff.PermanentError](err); marked {
		err = permanent.Unwrap()
	}
	return result, interpretError(err) // the deadline may have passed during a pause
}

var retries atomic.Uint64

// Retries returns how many times the process has repeated a read or a transaction after a transient
// failure.
func Retries() uint64 { return retries.Load() }

// errCommitUnknown marks a commit whose outcome is unknown. It is not retried: if the first commit
// succeeded, a retry would be rejected as already booked, or would book again after a cancel.
var errCommitUnknown = errors.New("the outcome of the commit is unknown")
