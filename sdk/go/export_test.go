package talon

import (
	"context"
	"time"

	"talon.example/sdk/go/client"
)

// OnWait has a client that New made call this instead of waiting between tries.
func OnWait(api *client.ClientWithResponses, wait func(context.Context, time.Duration) error) {
	api.ClientInterface.(*client.Client).Client.(*sender).wait = wait
}

// Keyed is tested by itself.
var Keyed = keyed

// Wait is how a client waits.
var Wait = wait
