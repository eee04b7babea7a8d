package talon

import (
	"context"
	"time"

	"talon.example/sdk/go/v2/client"
)

// OnWait sets the function that a client of New calls to wait between tries.
func OnWait(api *client.ClientWithResponses, wait func(context.Context, time.Duration) error) {
	api.ClientInterface.(*client.Client).Client.(*sender).wait = wait
}

// Keyed is the pattern of the operations that take an Idempotency-Key.
var Keyed = keyed

// Wait is the function that a client of New waits with by default.
var Wait = wait
