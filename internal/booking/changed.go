package booking

import (
	"errors"
	"fmt"
)

var (
	// ErrDirectionChanged is returned by BookStore.Create and MoveStore.Move if the institution has
	// changed the referral since the rules were checked.
	ErrDirectionChanged = errors.New("the referral was changed meanwhile")
	// ErrVisitChanged means that another request has changed or cancelled the visit since the rules
	// were checked, so that they must be checked again.
	ErrVisitChanged = errors.New("the visit was changed meanwhile")
)

// changeTries is how often a request is tried if others change its referral or visit meanwhile.
const changeTries = 5

// repeatIfChanged calls try, which checks all rules, again while it returns ErrDirectionChanged or
// ErrVisitChanged, at most changeTries times. Then it rejects with Overloaded.
func repeatIfChanged[T any](try func() (T, error)) (result T, err error) {
	for range changeTries {
		result, err = try()
		if !errors.Is(err, ErrDirectionChanged) && !errors.Is(err, ErrVisitChanged) {
			return result, err
		}
	}
	return result, Reject(Overloaded).Because(fmt.Errorf("tried %d times: %s", changeTries, err.Error()))
}
