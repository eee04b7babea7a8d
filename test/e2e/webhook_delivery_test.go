package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/events"
	"talon.example/test/harness"
)

// another starts another instance on the same database, with the same clock.
func (s *subscriber) another() *harness.Service {
	s.T.Helper()
	other := harness.StartOn(s.T, string(s.Config.DatabaseURL))
	other.AdvanceClock(s.Now().Sub(harness.Moment))
	return other
}

// unique returns the ids that were received, in order, each once.
func (s *subscriber) unique() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(s.ids)))
}

// Promise 27: an event is delivered although the instance that has to do it is stopped before.
// Another one goes on at once.
func TestWebhookOutlivesTheService(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	other := s.another()
	began := time.Now()
	tx := other.Begin()
	_, err := tx.Exec(t.Context(), `SELECT FROM event_recorder FOR UPDATE`) // so that nothing is sent
	require.NoError(t, err)
	s.mustCancel(s.MustBook())
	s.Stop()
	require.Empty(t, s.unique())
	require.NoError(t, tx.Rollback(t.Context()))
	s.waitFor("appointment.booked", "appointment.cancelled")
	require.Less(t, time.Since(began), 9*time.Second, "before the time of the one that was stopped is over")
}

// Promise 27: if an instance is killed after an event was sent, but before the result is stored,
// another one sends the event again, with the same id. No event is missing.
func TestWebhookOutlivesAKill(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	s.toPresent()
	process := s.startDeliverer()
	tx := s.Begin()
	_, err := tx.Exec(t.Context(), `LOCK TABLE webhook_attempt IN EXCLUSIVE MODE`) // so that no result is stored
	require.NoError(t, err)
	visit := s.MustBook()
	s.waitFor("appointment.booked")
	require.NoError(t, process.Process.Kill())
	require.Error(t, process.Wait())
	require.NoError(t, tx.Rollback(t.Context()))
	s.mustCancel(visit)

	s.Exec(`DROP TRIGGER skip ON webhook_deliverer`)
	s.Exec(`UPDATE webhook_deliverer SET until = '1970-01-01Z'`) // instead of waiting for it
	s.waitFor("appointment.booked", "appointment.booked", "appointment.cancelled")
	require.Equal(t, s.ids[0], s.ids[1])
	require.Len(t, s.unique(), 2)
}

// toPresent moves the clock and the scene's data to the last days, because a process has the clock
// of the machine.
func (s *subscriber) toPresent() {
	s.T.Helper()
	days := int(time.Since(harness.Moment) / (24 * time.Hour))
	s.Exec(`UPDATE slot SET `+harness.Shift("start_at", "make_interval(days => $1)")+`, `+harness.Shift("end_at", "make_interval(days => $1)"), days)
	s.Exec(`UPDATE direction SET date = date + $1::integer, date_end = date_end + $1::integer`, days)
	s.Exec(`SELECT event_partitions($1, 30)`, s.Now().AddDate(0, 0, days)) // which LOCK TABLE of any table delays on Citus
	s.AdvanceClock(time.Duration(days) * 24 * time.Hour)                   // at last, so that no cell is swept as past
}

// startDeliverer starts an instance as a process that becomes the deliverer instead of the one of
// the test, as long as the trigger exists.
func (s *subscriber) startDeliverer() *exec.Cmd {
	t := s.T.(*testing.T)
	t.Helper()
	instance := func() (current string) {
		require.NoError(t, s.DB.QueryRow(t.Context(), `SELECT coalesce(instance::text, '') FROM webhook_deliverer`).Scan(&current))
		return current
	}
	require.Eventually(t, func() bool { return instance() != "" }, 20*time.Second, 5*time.Millisecond)
	own := instance()
	s.Exec(`CREATE SEQUENCE skipped`)
	s.Exec(`CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''skipped''); RETURN NULL; END'`)
	s.Exec(`CREATE TRIGGER skip BEFORE UPDATE ON webhook_deliverer FOR EACH ROW
		WHEN (NEW.instance = '` + own + `' AND NEW.until > OLD.until) EXECUTE FUNCTION skip()`)
	require.Eventually(t, func() bool { return s.Count(`SELECT is_called::integer FROM skipped`) == 1 }, 20*time.Second,
		5*time.Millisecond, "it learns that it is not the deliverer any more")
	s.Exec(`UPDATE webhook_deliverer SET until = '1970-01-01Z'`)
	process := newProcess(t, "talon", toEnviron(minimalSettings(map[string]string{
		"DATABASE_URL": string(s.Config.DatabaseURL), "TALON_ADDR": "127.0.0.1:0",
		"TALON_WEBHOOK_ADDRESSES": "loopback", "TALON_DATABASE_MAX_CONNS": "2",
	})), "serve")
	require.NoError(t, process.Start())
	require.Eventually(t, func() bool { return instance() != own }, 20*time.Second, 5*time.Millisecond)
	return process
}

// Promise: of several instances one sends, so that each event comes once.
func TestInstancesDeliverOnce(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	s.another()
	s.another()
	var want []string
	for range 5 {
		s.mustCancel(s.MustBook())
		want = append(want, "appointment.booked", "appointment.cancelled")
	}
	s.waitFor(want...)
	s.waitUntil(func(*api.Webhook) bool { return len(s.deliveries("").Items) == len(want) })
	require.Len(t, s.unique(), len(want))
}

// Promise: a receiver that accepts events and does not respond delays no other one.
func TestWebhookReceiverHangs(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	release := make(chan struct{})
	var once sync.Once
	hangs := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { close(hangs) })
		<-release
	}))
	t.Cleanup(receiver.Close)
	t.Cleanup(func() { close(release) })
	hanging := harness.Fields{"Url": receiver.URL}
	for range 3 {
		put := s.AskAs(s.systemToken(), http.MethodPut, "/webhooks/"+uuid.NewString(), hanging)
		require.Equal(t, http.StatusOK, put.StatusCode)
	}
	began := time.Now()
	visit := s.MustBook()
	<-hangs
	s.waitFor("appointment.booked")
	s.mustCancel(visit)
	s.waitFor("appointment.booked", "appointment.cancelled")
	require.Less(t, time.Since(began), events.AttemptTimeout)
}

// Promise: a redirect is a failure, and nothing is sent to where it leads.
func TestWebhookRedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		s := startSubscriber(t)
		s.behaveAs(http.RedirectHandler("/elsewhere", status), true)
		s.MustBook()
		s.waitUntil(func(w *api.Webhook) bool { return w.Failures == 1 })
		require.Equal(t, int32(status), *s.deliveries("").Items[0].HTTPStatus)
		require.Equal(t, "rejected", s.deliveries("").Items[0].Outcome)
		s.mu.Lock()
		require.Equal(t, 1, s.requests)
		s.mu.Unlock()
	}
}

// Promise: requests that write one webhook at the same time add it once, and those that add several
// do not exceed the limit.
func TestParallelPutsOfWebhooks(t *testing.T) {
	t.Parallel()
	s := startSubscriber(t)
	puts := func(guid func(int) uuid.UUID) (ok int) {
		var all []func() harness.Answer
		for n := range events.MaxWebhooks + 5 {
			path, token := "/webhooks/"+guid(n).String(), s.systemToken()
			all = append(all, func() harness.Answer {
				return s.AskAs(token, http.MethodPut, path, harness.Fields{"Url": s.url + "/" + strconv.Itoa(n)})
			})
		}
		for _, a := range sendAll(all) {
			if a.StatusCode == http.StatusOK {
				ok++
			} else {
				a.RequireRefusal(t, "too_many_webhooks")
			}
		}
		return ok
	}
	one := uuid.New()
	require.Equal(t, events.MaxWebhooks+5, puts(func(int) uuid.UUID { return one }))
	require.Equal(t, 2, s.Count(`SELECT count(*) FROM webhook`))
	require.Equal(t, 2, s.Count(`SELECT count(*) FROM webhook_key`))
	require.Equal(t, events.MaxWebhooks-2, puts(func(int) uuid.UUID { return uuid.New() }))
	require.Equal(t, events.MaxWebhooks, s.Count(`SELECT count(*) FROM webhook`))
}
