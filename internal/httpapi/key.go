package httpapi

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"talon.example/internal/booking"
)

// idempotencyKey is the key of a request that may be repeated. Two requests are the same where the same operation is asked with the same fields, in
// whatever order and layout: the contract knows every field of a body, so that what was read is all there is.
func idempotencyKey(text, operation string, body any) (booking.Key, error) {
	canonical, err := json.Marshal([]any{operation, body})
	if err != nil {
		return booking.Key{}, fmt.Errorf("write what the idempotency key stands for: %w", err)
	}
	return booking.Key{Text: text, Request: sha256.Sum256(canonical)}, nil
}
