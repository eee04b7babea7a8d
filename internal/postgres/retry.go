package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"talon.example/internal/booking"
)

// How often what failed for a passing reason is tried, and how long it waits in between. Together they stay far below a request's deadline: a database
// that is away for longer is told to the client, who can wait better than we.
const (
	tries      = 3
	firstPause = 20 * time.Millisecond
	longPause  = 200 * time.Millisecond
)

// retry repeats what the database could not do just now: a deadlock, a serialization failure, a connection lost, a failover, a migration. do must not have
// changed anything when it answers such an error; one that may have is wrapped in errMaybeDone and not repeated. Where only a new connection can help it
// resets the pool first, as the idle ones that the next try might get are no better.
func retry[T any](ctx context.Context, reset func(), do func() (T, error)) (T, error) {
	result, err := do()
	if err == nil { // nearly always, and without the cost of what follows
		return result, nil
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = firstPause, longPause
	again := false
	result, err = backoff.Retry(ctx, func() (T, error) {
		if again {
			result, err = do()
		}
		again = true
		if outlived(err) {
			reset()
		}
		err = refused(err)
		var refusal *booking.Refusal
		passing := errors.As(err, &refusal) && refusal.Rule == booking.DatabaseUnavailable && !errors.Is(err, errMaybeDone)
		if err != nil && !passing {
			err = backoff.Permanent(err)
		}
		return result, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(tries))
	return result, refused(err) // the deadline may have passed during a pause
}

// errMaybeDone marks a commit whose answer was lost: it may have been done, so that to repeat it could book twice where the first one is cancelled
// meanwhile, and would be refused as booked already where it is not.
var errMaybeDone = errors.New("the answer to the commit was lost")
