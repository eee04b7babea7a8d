package booking

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise: a request whose referral or visit others change again and again is rejected with
// overloaded after five tries. Any other result ends the tries.
func TestRepeatIfChanged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		results []error // of one try after another; the last one of all others
		tries   int
		rule    Name
	}{
		"success":                    {[]error{nil}, 1, ""},
		"changed once":               {[]error{fmt.Errorf("write: %w", ErrDirectionChanged), nil}, 2, ""},
		"changed, and then rejected": {[]error{ErrVisitChanged, Reject(SlotFull)}, 2, SlotFull},
		"changed again and again":    {[]error{ErrVisitChanged, ErrDirectionChanged}, 5, Overloaded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := 0
			_, err := repeatIfChanged(func() (int, error) {
				tries++
				return tries, c.results[min(tries, len(c.results))-1]
			})
			require.Equal(t, c.tries, tries)
			if c.rule == "" {
				require.NoError(t, err)
				return
			}
			var refusal *Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, c.rule, refusal.Rule)
			require.NotErrorIs(t, err, ErrDirectionChanged, "a caller would try again")
		})
	}
}
