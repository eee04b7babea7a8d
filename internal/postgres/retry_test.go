package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// Promise: a transient failure is tried at most three times. Other failures, and changes that may
// have been done, are tried once. The caller receives the last error.
func TestRetry(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	for name, c := range map[string]struct {
		results []error
		tries   int
		want    error        // is in the chain
		rule    booking.Name // of the refusal
	}{
		"first try":  {[]error{nil}, 1, nil, ""},
		"second try": {[]error{io.EOF, nil}, 2, nil, ""},
		"last try":   {[]error{io.EOF, io.ErrUnexpectedEOF, nil}, 3, nil, ""},
		"no success": {[]error{io.EOF, io.EOF, io.EOF, nil}, 3, io.EOF, booking.DatabaseUnavailable},
		"a refusal":  {[]error{booking.Reject(booking.SlotTaken), nil}, 1, nil, booking.SlotTaken},
		"a refusal on the second try": {
			[]error{io.EOF, booking.Reject(booking.SlotTaken), nil}, 2, nil, booking.SlotTaken,
		},
		"a refusal on the last try": {
			[]error{io.EOF, io.EOF, booking.Reject(booking.SlotTaken)}, 3, nil, booking.SlotTaken,
		},
		"no row":                 {[]error{pgx.ErrNoRows, nil}, 1, pgx.ErrNoRows, ""},
		"no row on the last try": {[]error{io.EOF, io.EOF, pgx.ErrNoRows}, 3, pgx.ErrNoRows, ""},
		"a bug":                  {[]error{bug, nil}, 1, bug, ""},
		"overloaded": {
			[]error{context.DeadlineExceeded, nil}, 1, context.DeadlineExceeded, booking.Overloaded,
		},
		"maybe done": {
			[]error{fmt.Errorf("%w: %w", errCommitUnknown, io.EOF), nil}, 1,
			errCommitUnknown, booking.DatabaseUnavailable,
		},
	} {
		tries := 0
		result, err := retry(t.Context(), failOnReset(t), func() (int, error) {
			tries++
			return tries, c.results[tries-1]
		})
		require.Equal(t, c.tries, tries, name)
		if c.want == nil && c.rule == "" {
			require.NoError(t, err, name)
			require.Equal(t, tries, result, name)
			continue
		}
		if c.want != nil {
			require.ErrorIs(t, err, c.want, name)
		}
		var mark *backoff.PermanentError
		require.NotErrorAs(t, err, &mark, "%s: a caller that is more patient would give up", name)
		var refusal *booking.Refusal
		require.Equal(t, c.rule != "", errors.As(err, &refusal), name)
		if c.rule != "" {
			require.Equal(t, c.rule, refusal.Rule, name)
		}
	}
}

// failOnReset fails the test if the pool is reset.
func failOnReset(t *testing.T) func() {
	return func() { t.Error("the pool was reset") }
}

// Promise: nothing is retried after the request was cancelled or its deadline has passed. The error
// says which.
func TestRetryEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	tries := 0
	ctx, cancel := context.WithCancel(t.Context())
	_, err := retry(ctx, failOnReset(t), func() (int, error) {
		tries++
		cancel()
		return 0, io.EOF
	})
	require.ErrorIs(t, err, context.Canceled)
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = retry(ctx, failOnReset(t), func() (int, error) {
		tries++
		<-ctx.Done()
		return 0, io.EOF
	})
	requireRefusal(t, err, booking.Overloaded)
	require.Equal(t, 2, tries)
}
