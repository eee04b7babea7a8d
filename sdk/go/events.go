package talon

import (
	"context"
	"iter"

	"talon.example/sdk/go/v2/client"
)

// eventWait is how many seconds a request of [FollowEvents] waits for the next event.
const eventWait int32 = 10

// FollowEvents follows the feed of events from params.After on, which is nil for the first event
// that is kept: process the events of a page, then store its Next, and begin there after a restart.
// The iterator returns each page, also one without events, and requests the next one when the loop
// wants it. params may be nil. An error, such as a [*Refusal] by the rule events_expired or the
// cancellation of ctx, comes with a nil page and ends the loop; nothing else does.
func FollowEvents(
	ctx context.Context, api *client.ClientWithResponses, params *client.ListEventsParams,
) iter.Seq2[*client.EventPage, error] {
	return func(yield func(*client.EventPage, error) bool) {
		var request client.ListEventsParams
		if params != nil {
			request = *params
		}
		if request.Wait == nil {
			request.Wait = new(eventWait)
		}
		for {
			page, err := Answer(api.ListEventsWithResponse(ctx, &request))
			if !yield(page, err) || err != nil {
				return
			}
			request.After = &page.Next
		}
	}
}
