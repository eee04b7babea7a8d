package booking

import "errors"

var (
	// ErrDirectionChanged is returned by BookStore.Create and MoveStore.Move if the institution has
	// changed the referral since the rules were checked.
	ErrDirectionChanged = errors.New("the referral was changed meanwhile")
	// ErrVisitChanged is returned by MoveStore.Move and HoldStore.Hold if another request has
	// changed the visit since the rules were checked, so that the request now means other cells.
	ErrVisitChanged = errors.New("the visit was changed meanwhile")
)

// changeTries is how often a request is tried if others change its referral or visit meanwhile.
const changeTries = 5

// repeatIfChanged calls try, which checks all rules, until it does not return ErrDirectionChanged
// or ErrVisitChanged. After changeTries calls it rejects with Overloaded.
func repeatIfChanged[T any](try func() (T, error)) (result T, err error) {
	for range changeTries {
		result, err = try()
		if !errors.Is(err, ErrDirectionChanged) && !errors.Is(err, ErrVisitChanged) {
			return result, err
		}
	}
	return result, Reject(Overloaded).Because(err)
}
