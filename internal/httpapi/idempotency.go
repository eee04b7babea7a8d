package httpapi

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"talon.example/internal/booking"
)

// idempotencyKey is the key of a request that may be repeated, if it has one. Two requests are the same where the same operation is asked of the same
// thing with the same fields, in whatever order and layout: the contract knows every field of a body, so that what was read is all there is.
func idempotencyKey(text *string, operation string, asked ...any) (*booking.Key, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // most requests have none
	}
	canonical, err := json.Marshal(append([]any{operation}, asked...))
	if err != nil {
		return nil, fmt.Errorf("write what the idempotency key stands for: %w", err)
	}
	return &booking.Key{Text: *text, Request: sha256.Sum256(canonical)}, nil
}

// idempotencyReplayed is the header of that name: true, or not there.
func idempotencyReplayed(replayed bool) *bool {
	if !replayed {
		return nil
	}
	return &replayed
}
