package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/booking"
)

// Promise: what may pass is tried three times at the most; what will not, and what may have been done, once. The caller gets the last answer, by which
// it can tell what happened.
func TestRetry(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	for name, c := range map[string]struct {
		answers []error
		tries   int
		want    error        // in the chain
		rule    booking.Name // or the rule
	}{
		"at once":                     {[]error{nil}, 1, nil, ""},
		"at the second try":           {[]error{io.EOF, nil}, 2, nil, ""},
		"at the last try":             {[]error{io.EOF, io.ErrUnexpectedEOF, nil}, 3, nil, ""},
		"never":                       {[]error{io.EOF, io.EOF, io.EOF, nil}, 3, io.EOF, booking.DatabaseUnavailable},
		"a refusal":                   {[]error{booking.Reject(booking.SlotTaken), nil}, 1, nil, booking.SlotTaken},
		"a refusal at the second try": {[]error{io.EOF, booking.Reject(booking.SlotTaken), nil}, 2, nil, booking.SlotTaken},
		"a refusal at the last try":   {[]error{io.EOF, io.EOF, booking.Reject(booking.SlotTaken)}, 3, nil, booking.SlotTaken},
		"no row":                      {[]error{pgx.ErrNoRows, nil}, 1, pgx.ErrNoRows, ""},
		"no row at the last try":      {[]error{io.EOF, io.EOF, pgx.ErrNoRows}, 3, pgx.ErrNoRows, ""},
		"a bug":                       {[]error{bug, nil}, 1, bug, ""},
		"overloaded":                  {[]error{context.DeadlineExceeded, nil}, 1, context.DeadlineExceeded, booking.Overloaded},
		"perhaps done":                {[]error{fmt.Errorf("%w: %w", errMaybeDone, io.EOF), nil}, 1, errMaybeDone, booking.DatabaseUnavailable},
	} {
		tries := 0
		result, err := retry(t.Context(), noReset(t), func() (int, error) {
			tries++
			return tries, c.answers[tries-1]
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
		var refusal *booking.Refusal
		require.Equal(t, c.rule != "", errors.As(err, &refusal), name)
		if c.rule != "" {
			require.Equal(t, c.rule, refusal.Rule, name)
		}
	}
}

// noReset holds that new connections would be no better.
func noReset(t *testing.T) func() {
	return func() { t.Error("the pool was reset") }
}

// Promise: nothing is tried again for a client that has gone or whose time is over, and the answer says which.
func TestRetryEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	tries := 0
	ctx, cancel := context.WithCancel(t.Context())
	_, err := retry(ctx, noReset(t), func() (int, error) {
		tries++
		cancel()
		return 0, io.EOF
	})
	require.ErrorIs(t, err, context.Canceled)
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = retry(ctx, noReset(t), func() (int, error) {
		tries++
		<-ctx.Done()
		return 0, io.EOF
	})
	requireRefused(t, err, booking.Overloaded)
	require.Equal(t, 2, tries)
}
