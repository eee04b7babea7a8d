package e2e_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/booking"
	"talon.example/internal/postgres"
	"talon.example/internal/webhook"
	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
	"talon.example/test/harness"
)

// subscriber is an institution's system with a webhook and its receiver.
type subscriber struct {
	*registrar

	client uuid.UUID
	guid   uuid.UUID
	url    string // of the receiver

	mu       sync.Mutex
	keys     []string
	received []string // types of the events that were verified
	ids      []string
	behave   http.Handler // responds instead of the receiver; nil: it receives
	requests int
}

var eventScopes = []string{booking.ScopeEventsRead}

// startSubscriber returns a system of the institution that visits are for, with a webhook that has
// just been created. changes are made to its request.
func startSubscriber(t *testing.T, changes ...harness.Fields) *subscriber {
	t.Helper()
	r := startRegistrar(t)
	s := &subscriber{registrar: r, guid: uuid.New(), client: r.AddSystemClient(eventScopes, r.To)}
	receiver := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(receiver.Close)
	s.url = receiver.URL
	s.mustPut(changes...)
	s.readKeys()
	return s
}

// serve is the receiver, which verifies deliveries with the Go SDK.
func (s *subscriber) serve(w http.ResponseWriter, request *http.Request) {
	s.mu.Lock()
	behave, keys := s.behave, slices.Clone(s.keys)
	s.requests++
	s.mu.Unlock()
	if behave != nil {
		behave.ServeHTTP(w, request)
		return
	}
	receive := func(_ context.Context, e *client.Event) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.received, s.ids = append(s.received, e.Type), append(s.ids, e.ID)
		return nil
	}
	handler, err := talon.NewWebhookHandler(keys, talon.WebhookOptions{}, receive)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	handler.ServeHTTP(w, request)
}

// respond lets the receiver respond with a status. Status 0 lets it receive again.
func (s *subscriber) respond(status int) {
	s.behaveAs(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }), status != 0)
}

func (s *subscriber) behaveAs(behaviour http.Handler, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behave = nil
	if on {
		s.behave = behaviour
	}
}

// systemToken returns a token that is valid now, because tests move the clock.
func (s *subscriber) systemToken() string {
	s.T.Helper()
	return s.SystemToken(s.client, eventScopes, s.To)
}

func (s *subscriber) path(rest string) string { return "/webhooks/" + s.guid.String() + rest }

func (s *subscriber) ask(method, rest string, body any) harness.Answer {
	s.T.Helper()
	return s.AskAs(s.systemToken(), method, s.path(rest), body)
}

func (s *subscriber) put(changes ...harness.Fields) harness.Answer {
	s.T.Helper()
	fields := harness.Fields{"Url": s.url}
	for _, change := range changes {
		maps.Copy(fields, change)
	}
	return s.ask(http.MethodPut, "", fields)
}

func (s *subscriber) mustPut(changes ...harness.Fields) api.Webhook {
	s.T.Helper()
	return harness.Decode[api.Webhook](s.T, s.put(changes...))
}

func (s *subscriber) get() api.Webhook {
	s.T.Helper()
	return harness.Decode[api.Webhook](s.T, s.ask(http.MethodGet, "", nil))
}

// readKeys lets the receiver verify with the secrets that the service returns.
func (s *subscriber) readKeys() api.WebhookKeys {
	s.T.Helper()
	keys := harness.Decode[api.WebhookKeys](s.T, s.ask(http.MethodGet, "/keys", nil))
	s.useKeys(keys.Items[0].Secret)
	return keys
}

func (s *subscriber) useKeys(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

// waitFor waits until the receiver has received events of these types, in any order.
func (s *subscriber) waitFor(types ...string) {
	s.T.Helper()
	slices.Sort(types)
	require.Eventually(s.T, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Equal(types, slices.Sorted(slices.Values(s.received)))
	}, 20*time.Second, 5*time.Millisecond, "%v %v, not %v", &s.received, &s.ids, types)
}

// waitUntil waits until the webhook is as ready says.
func (s *subscriber) waitUntil(ready func(*api.Webhook) bool) (found api.Webhook) {
	s.T.Helper()
	require.Eventually(s.T, func() bool {
		found = s.get()
		return ready(&found)
	}, 30*time.Second, 10*time.Millisecond, "%+v", &found)
	return found
}

func (s *subscriber) mustCancel(visit uuid.UUID) {
	s.T.Helper()
	require.Equal(s.T, http.StatusOK, s.Cancel(s.Person, visit).StatusCode)
}

func (s *subscriber) deliveries(query string) api.DeliveryPage {
	s.T.Helper()
	return harness.Decode[api.DeliveryPage](s.T, s.ask(http.MethodGet, "/deliveries"+query, nil))
}

// Promise: a webhook gets the events of its institution after its creation, and only those. Each is
// signed with the secret and with the public key, has the id of the feed, and is in the log, whose
// cursors are of no other webhook's log.
func TestWebhook(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	feed := s.startFollower(s.To)
	visit := s.MustBook()
	s.waitFor("appointment.booked")
	s.useKeys(s.readKeys().Items[0].PublicKey)
	s.mustCancel(visit)
	s.waitFor("appointment.booked", "appointment.cancelled")

	list := feed.follow(2)
	require.Equal(t, []string{list[0].ID, list[1].ID}, s.ids)
	s.waitUntil(func(*api.Webhook) bool { return len(s.deliveries("").Items) == 2 })
	for i, delivery := range s.deliveries("").Items {
		require.Equal(t, api.Delivery{
			EventID: list[1-i].ID, Type: list[1-i].Type, Attempt: 1, At: delivery.At, Outcome: "delivered",
			HTTPStatus: new(int32(204)), Milliseconds: delivery.Milliseconds,
		}, delivery)
	}
	first := s.deliveries("?limit=1")
	require.Len(t, first.Items, 1)
	require.Equal(t, list[0].ID, s.deliveries("?limit=1&cursor=" + *first.Next).Items[0].EventID)

	other := "/webhooks/" + uuid.NewString()
	put := s.AskAs(s.systemToken(), http.MethodPut, other, harness.Fields{"Url": s.url, "Enabled": false})
	require.Equal(t, http.StatusOK, put.StatusCode)
	foreign := s.GetAs(s.systemToken(), other+"/deliveries?cursor="+*first.Next)
	foreign.RequireRefusal(t, "field_invalid")
	require.Equal(t, "cursor", (*foreign.Refusal.Details.Fields)[0].Problem)
	require.Empty(t, s.deliveries("?failed=true").Items)
}

// Promise: a webhook has each of its types once, in their order, and the same types again change
// nothing.
func TestWebhookTypesAreUnique(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	types := []string{"schedule.changed", "appointment.booked"}
	once := s.mustPut(harness.Fields{"Types": types})
	require.Equal(t, types, once.Types)
	s.AdvanceClock(time.Minute)
	require.Equal(t, once, s.mustPut(harness.Fields{"Types": append(types, types...)}))
}

// Promise: types and institution select the events, and a paused webhook gets none until it is
// enabled, and then those that it has missed.
func TestWebhookSelectsAndPauses(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t, harness.Fields{"Types": []string{"appointment.cancelled"}})
	s.mustCancel(s.MustBook())
	s.waitFor("appointment.cancelled")
	paused := s.mustPut(harness.Fields{"Enabled": false, "LpuGuid": s.To})
	require.Equal(t, "paused", paused.Status)
	s.mustCancel(s.MustBook())
	enabled := s.mustPut(harness.Fields{"LpuGuid": s.To, "Types": []string{"appointment.booked"}})
	require.Equal(t, "active", enabled.Status)
	s.waitFor("appointment.cancelled", "appointment.booked")
}

// Promise: while a key is replaced the old and the new one verify; later only the new one.
func TestWebhookKeysRotate(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	before := s.readKeys().Items[0]
	keys := harness.Decode[api.WebhookKeys](t, s.ask(http.MethodPost, "/keys", nil)).Items
	require.Len(t, keys, 2)
	require.Equal(t, before.Secret, keys[1].Secret)
	require.Equal(t, s.Now().Add(24*time.Hour).Unix(), keys[1].ExpiresAt.Unix())
	require.NotEqual(t, before.Secret, keys[0].Secret)

	s.useKeys(before.PublicKey) // the receiver does not know the new key yet
	visit := s.MustBook()
	s.waitFor("appointment.booked")
	s.useKeys(keys[0].Secret)
	s.mustCancel(visit)
	s.waitFor("appointment.booked", "appointment.cancelled")

	s.AdvanceClock(25 * time.Hour)
	require.Len(t, s.readKeys().Items, 1)
	s.useKeys(before.Secret)
	s.AddSlots(1)
	s.MustBook(harness.Fields{"SlotId": 1})
	s.waitUntil(func(w *api.Webhook) bool { return w.Failures == 1 })
	require.Equal(t, "rejected", s.deliveries("?failed=true").Items[0].Outcome)
}

// Promise: the events of a receiver that fails, hangs or is gone wait, and come when it is back,
// each at least once. What it failed at is in the log.
func TestWebhookReceiverComesBack(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	s.respond(http.StatusInternalServerError)
	var want []string
	for i := range 4 {
		s.mustCancel(s.MustBook(harness.Fields{"SlotGuid": s.Slots[i]}))
		want = append(want, "appointment.booked", "appointment.cancelled")
	}
	broken := s.waitUntil(func(w *api.Webhook) bool { return w.Failures >= 5 && w.NextAttemptAt != nil })
	require.Equal(t, "active", broken.Status)
	require.NotNil(t, broken.FailingSince)
	require.Positive(t, broken.Waiting)
	failed := s.deliveries("?failed=true&limit=100").Items
	require.NotEmpty(t, failed)
	require.Equal(t, api.Delivery{
		EventID: failed[0].EventID, Type: failed[0].Type, Attempt: 1, At: failed[0].At, Outcome: "rejected",
		HTTPStatus: new(int32(500)), Milliseconds: failed[0].Milliseconds,
	}, failed[0])

	s.respond(0)
	s.AdvanceClock(time.Minute)
	s.waitFor(want...)
	back := s.waitUntil(func(w *api.Webhook) bool { return w.Waiting == 0 && w.Failures == 0 })
	require.Nil(t, back.FailingSince)
	require.Nil(t, back.NextAttemptAt)
}

// Promise: one event that always fails keeps no other from being sent.
func TestWebhookEventThatFails(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	s.behaveAs(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		receive := func(_ context.Context, e *client.Event) error {
			if e.Type == "appointment.booked" {
				return errors.New("not this one")
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.received = append(s.received, e.Type)
			return nil
		}
		handler, _ := talon.NewWebhookHandler(s.keys, talon.WebhookOptions{}, receive)
		handler.ServeHTTP(w, request)
	}), true)
	for range 3 {
		s.mustCancel(s.MustBook())
	}
	s.waitFor("appointment.cancelled", "appointment.cancelled", "appointment.cancelled")
	require.Equal(t, int32(3), s.waitUntil(func(w *api.Webhook) bool { return w.Waiting == 3 }).Waiting)
	s.respond(0)
	s.AdvanceClock(time.Minute)
	s.waitUntil(func(w *api.Webhook) bool { return w.Waiting == 0 })
}

// Promise: a receiver that responds with 410 gets nothing any more, until the webhook is enabled
// again. Then it gets what it has missed.
func TestWebhookGone(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	s.respond(http.StatusGone)
	visit := s.MustBook()
	s.waitUntil(func(w *api.Webhook) bool { return w.Status == "gone" })
	s.mustCancel(visit)
	s.respond(0)
	enabled := s.mustPut()
	require.Equal(t, "active", enabled.Status)
	require.Zero(t, enabled.Failures)
	s.waitFor("appointment.booked", "appointment.cancelled")
	require.Equal(t, enabled.UpdatedAt, s.mustPut().UpdatedAt, "the same webhook changes nothing")
}

// Promise: a webhook of which nothing succeeds for three days is failed, and nothing is sent to it.
func TestWebhookFails(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	s.respond(http.StatusBadGateway)
	for i := range 3 {
		s.mustCancel(s.MustBook(harness.Fields{"SlotGuid": s.Slots[i]}))
	}
	s.waitUntil(func(w *api.Webhook) bool { return w.Failures == 5 && w.NextAttemptAt != nil })
	s.AdvanceClock(73 * time.Hour)
	s.waitUntil(func(w *api.Webhook) bool { return w.Status == "failed" })
	s.respond(0)
	s.mustPut()
	s.waitFor("appointment.booked", "appointment.booked", "appointment.booked",
		"appointment.cancelled", "appointment.cancelled", "appointment.cancelled")
}

// Promise: events of the log, and all since a time, are sent again on request.
func TestRedelivery(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	s.mustCancel(s.MustBook())
	s.waitFor("appointment.booked", "appointment.cancelled")
	s.waitUntil(func(*api.Webhook) bool { return len(s.deliveries("").Items) == 2 })

	again := s.ask(http.MethodPost, "/redelivery", harness.Fields{"EventIds": []string{s.ids[1]}})
	require.Equal(t, http.StatusOK, again.StatusCode)
	s.waitFor("appointment.booked", "appointment.cancelled", "appointment.cancelled")
	again = s.ask(http.MethodPost, "/redelivery", harness.Fields{"Since": s.Now().Add(-time.Hour)})
	require.Equal(t, http.StatusOK, again.StatusCode)
	s.waitFor("appointment.booked", "appointment.booked", "appointment.cancelled", "appointment.cancelled",
		"appointment.cancelled")

	for field, body := range map[string]harness.Fields{
		"EventIds.1": {"EventIds": []string{s.ids[0], "999999"}},
		"EventIds":   {},
		"Since":      {"EventIds": []string{s.ids[0]}, "Since": s.Now()},
	} {
		refused := s.ask(http.MethodPost, "/redelivery", body)
		refused.RequireRefusal(t, "field_invalid")
		require.Contains(t, refused.Refusal.Message, "Поле "+field+":")
	}
	for _, since := range []time.Time{s.Now().Add(time.Minute), s.Now().Add(-31 * 24 * time.Hour)} {
		refused := s.ask(http.MethodPost, "/redelivery", harness.Fields{"Since": since})
		refused.RequireRefusal(t, "field_invalid")
	}
}

// Promise: nobody sees or changes another client application's webhook, and nobody gets events of
// an institution that is not his.
func TestWebhooksArePrivate(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	other := s.SystemToken(s.AddSystemClient(eventScopes, s.To), eventScopes, s.To)
	for _, try := range []struct {
		method, rest string
		body         any
	}{
		{http.MethodGet, "", nil},
		{http.MethodPut, "", harness.Fields{"Url": s.url}},
		{http.MethodGet, "/keys", nil},
		{http.MethodPost, "/keys", nil},
		{http.MethodGet, "/deliveries", nil},
		{http.MethodPost, "/redelivery", harness.Fields{"Since": s.Now()}},
	} {
		s.AskAs(other, try.method, s.path(try.rest), try.body).RequireRefusal(t, "webhook_absent")
	}
	require.Equal(t, http.StatusOK, s.AskAs(other, http.MethodDelete, s.path(""), nil).StatusCode)
	require.Empty(t, harness.Decode[api.WebhookList](t, s.GetAs(other, "/webhooks")).Items)
	require.Len(t, harness.Decode[api.WebhookList](t, s.GetAs(s.systemToken(), "/webhooks")).Items, 1)
	s.put(harness.Fields{"LpuGuid": s.From}).RequireRefusal(t, "institution_foreign")
	region := s.SystemToken(s.AddSystemClient(eventScopes), eventScopes)
	s.AskAs(region, http.MethodPut, "/webhooks/"+uuid.NewString(),
		harness.Fields{"Url": s.url, "LpuGuid": uuid.New()}).RequireRefusal(t, "lpu_absent")
	s.AskAs(s.registrar.token, http.MethodGet, s.path(""), nil).RequireRefusal(t, "scope_missing")

	// A client application that loses its scope gets nothing.
	s.Exec(`UPDATE client_application SET scopes = '{schedule:write}' WHERE guid = $1`, s.client)
	time.Sleep(2 * postgres.ReferenceAge) //nolint:forbidigo // the age of the reference data
	visit := s.MustBook()
	s.Exec(`UPDATE client_application SET scopes = '{events:read}' WHERE guid = $1`, s.client)
	s.waitFor("appointment.booked")
	s.mustCancel(visit)
	s.waitFor("appointment.booked", "appointment.cancelled")
	require.Equal(t, http.StatusOK, s.ask(http.MethodDelete, "", nil).StatusCode)
	s.ask(http.MethodGet, "", nil).RequireRefusal(t, "webhook_absent")
}

// Promise: by default nothing is sent to an address that is not public, whatever
// its name, and such an address is rejected at once where it is written as a number.
func TestWebhookAddresses(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, func(c *app.Config) { c.WebhookAddresses = webhook.Public }).Scene()
	token := sc.SystemToken(sc.AddSystemClient(eventScopes, sc.To), eventScopes, sc.To)
	put := func(url string) harness.Answer {
		return sc.AskAs(token, http.MethodPut, "/webhooks/"+uuid.NewString(), harness.Fields{"Url": url})
	}
	for _, url := range []string{
		"http://clinic.example/", "https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1:8443/",
		"https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/", "https://[fd00::1]/",
		"https://user@clinic.example/",
		"https://clinic.example/#part", "ftp://clinic.example/", "clinic.example", "https://",
		"https://clinic.example:0/",
		"https://clinic.example:99999/", "https://100.64.0.1/", "https://0.0.0.0/",
	} {
		refused := put(url)
		refused.RequireRefusal(t, "field_invalid")
		require.True(t, strings.HasPrefix(refused.Refusal.Message, "Поле Url:"), "%s: %s", url, refused.Refusal.Message)
	}
	guid := uuid.New()
	local := harness.Fields{"Url": "https://localhost:1/"}
	require.Equal(t, http.StatusOK, sc.AskAs(token, http.MethodPut, "/webhooks/"+guid.String(), local).StatusCode)
	sc.MustBook()
	require.Eventually(t, func() bool {
		page := harness.Decode[api.DeliveryPage](t, sc.GetAs(token, "/webhooks/"+guid.String()+"/deliveries"))
		return len(page.Items) > 0 && page.Items[0].Outcome == "forbidden"
	}, 20*time.Second, 10*time.Millisecond)
}
