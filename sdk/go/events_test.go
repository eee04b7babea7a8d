package talon_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
)

// Promise: the feed is followed from a place on, waits for events, and goes on from its next place.
// A cancelled context ends the loop.
func TestFollowEvents(t *testing.T) {
	api := newSystem(server, talon.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var latest *client.EventPage
	for page, err := range talon.FollowEvents(ctx, api, &client.ListEventsParams{After: new("latest")}) {
		require.NoError(t, err)
		latest = page
		break
	}
	changed := []client.ListEventsParamsType{client.ListEventsParamsTypeScheduleChanged}
	var found []client.Event
	for page, err := range talon.FollowEvents(ctx, api, &client.ListEventsParams{After: &latest.Next, Type: &changed}) {
		require.NoError(t, err)
		for _, event := range page.Items {
			if *event.Data.ResourceGUID == room {
				found = append(found, event)
			}
		}
		if len(found) == 2 {
			break
		}
		day := newDay(300+len(found), room)
		require.Equal(t, http.MethodPut, day.Method)
		_, err := talon.Import(ctx, api, oneMessage(day), talon.ImportOptions{})
		require.NoError(t, err)
	}
	require.Len(t, found, 2)

	cancelled, stop := context.WithCancel(ctx)
	stop()
	for page, err := range talon.FollowEvents(cancelled, api, &client.ListEventsParams{After: &latest.Next}) {
		require.Nil(t, page)
		require.ErrorIs(t, err, context.Canceled)
	}
}

// oneMessage returns an import of one message.
func oneMessage(m talon.Message) func(func(talon.Message, error) bool) {
	return func(yield func(talon.Message, error) bool) { yield(m, nil) }
}
