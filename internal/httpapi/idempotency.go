package httpapi

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"talon.example/internal/booking"
)

// idempotencyKey returns the idempotency key of a request, or nil if it has none. Two requests are
// equal if the operation, its target and all fields are equal. The order and layout of the body do
// not matter, because the hash covers the decoded values.
func idempotencyKey(text *string, operation string, parameters ...any) (*booking.Key, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // most requests have none
	}
	canonical, err := json.Marshal(append([]any{operation}, parameters...))
	if err != nil {
		return nil, fmt.Errorf("encode the request of the idempotency key: %w", err)
	}
	return &booking.Key{Text: *text, Request: sha256.Sum256(canonical)}, nil
}

// idempotencyReplayed returns the header Idempotency-Replayed: true or absent.
func idempotencyReplayed(replayed bool) *bool {
	if !replayed {
		return nil
	}
	return &replayed
}
