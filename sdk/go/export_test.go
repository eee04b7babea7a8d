package talon

import (
	"context"
	"time"

	"talon.example/sdk/go/client"
)

// OnWait makes a client of New call wait instead of waiting between tries.
func OnWait(api *client.ClientWithResponses, wait func(context.Context, time.Duration) error) {
	api.ClientInterface.(*client.Client).Client.(*sender).wait = wait
}

// Keyed is tested by itself.
var Keyed = keyed

// Wait waits between tries.
var Wait = wait
