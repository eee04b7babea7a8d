//go:build chaos

package chaos_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/booking"
	talon "talon.example/sdk/go/v2"
	"talon.example/sdk/go/v2/client"
	"talon.example/test/harness"
)

// subscriber is a system of the target institution with a webhook. Its receiver keeps a copy of the
// visits, and is killed, hangs and fails in turn.
type subscriber struct {
	c       *chaos
	client  uuid.UUID
	webhook uuid.UUID
	addr    string // of the receiver
	stop    chan struct{}
	verify  http.Handler

	mu       sync.Mutex
	mode     receiverMode
	copies   map[uuid.UUID]visitCopy // stored
	ids      map[int64]string        // ids of the events that were received, by sequence
	last     int64                   // the highest sequence
	received int
	late     int // events after a newer one of the same institution
	twice    int
	lost     int // responses
	failed   int
	hung     int
	kills    int
}

// receiverMode is what a receiver does with events.
type receiverMode int

const (
	receives receiverMode = iota
	fails
	hangs
)

// The time for which the receiver works, and for which it does not.
const (
	receiverUp   = 4 * time.Second
	receiverDown = 2 * time.Second
	// webhookTimeout bounds how long the last events may wait for being sent again.
	webhookTimeout = 3 * time.Minute
)

// newSubscriber returns a subscriber whose webhook has been added. The service must be ready.
func newSubscriber(c *chaos) *subscriber {
	s := &subscriber{
		c: c, webhook: uuid.New(), stop: make(chan struct{}),
		copies: map[uuid.UUID]visitCopy{}, ids: map[int64]string{},
	}
	s.client = c.service.AddSystemClient([]string{booking.ScopeEventsRead}, chaosTo)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(c.t, err)
	s.addr = listener.Addr().String()
	require.NoError(c.t, listener.Close())
	put := s.ask(http.MethodPut, "", harness.Fields{"Url": "http://" + s.addr + "/"})
	require.Equal(c.t, http.StatusOK, put.StatusCode, "%s", put.Raw)
	keys := harness.Decode[api.WebhookKeys](c.t, s.ask(http.MethodGet, "/keys", nil))
	s.verify, err = talon.NewWebhookHandler([]string{keys.Items[0].PublicKey}, talon.WebhookOptions{}, s.apply)
	require.NoError(c.t, err)
	return s
}

func (s *subscriber) ask(method, rest string, body any) harness.Answer {
	token := s.c.service.SystemToken(s.client, []string{booking.ScopeEventsRead}, chaosTo)
	return s.c.service.AskAs(token, method, "/webhooks/"+s.webhook.String()+rest, body)
}

// start runs the receiver until stop is closed and it has received all events.
func (s *subscriber) start() *sync.WaitGroup {
	var running sync.WaitGroup
	running.Go(func() {
		server := s.listen()
		defer func() { _ = server.Close() }()
		for turn := 0; s.wait(receiverUp); turn++ {
			switch turn % 3 {
			case 0:
				_ = server.Close() // with the requests that it has not responded to
				s.kills++
				s.wait(receiverDown)
				server = s.listen()
			case 1:
				s.setMode(fails)
				s.wait(receiverDown)
			case 2:
				s.setMode(hangs)
				s.wait(receiverDown)
			}
			s.setMode(receives)
		}
		for began := time.Now(); !s.complete() && time.Since(began) < webhookTimeout; {
			s.c.pause(100 * time.Millisecond)
		}
	})
	return &running
}

// wait waits for a time, and returns false if stop was closed.
func (s *subscriber) wait(d time.Duration) bool {
	select {
	case <-s.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// listen starts the receiver at its address.
func (s *subscriber) listen() *http.Server {
	listener, err := net.Listen("tcp", s.addr)
	require.NoError(s.c.t, err)
	server := &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	return server
}

func (s *subscriber) setMode(mode receiverMode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = mode
}

// serve is the receiver. Now and then it fails at an event, or stores it and its response is lost.
func (s *subscriber) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	mode, chance := s.mode, rand.IntN(200)
	switch {
	case mode == hangs:
		s.hung++
	case mode == fails || chance == 0:
		mode = fails
		s.failed++
	}
	s.mu.Unlock()
	switch mode {
	case hangs:
		_, _ = io.Copy(io.Discard, r.Body) // until then the server does not notice that the client is gone
		<-r.Context().Done()               // when the service or the receiver gives up
		return
	case fails:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case receives:
	}
	response := httptest.NewRecorder()
	s.verify.ServeHTTP(response, r)
	if response.Code != http.StatusNoContent && r.Context().Err() == nil {
		s.c.t.Errorf("the receiver has rejected an event: %d %s", response.Code, response.Body)
	}
	if chance == 1 {
		s.mu.Lock()
		s.lost++
		s.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(response.Code)
}

// apply stores an event that was verified, as one transaction of the receiver would.
func (s *subscriber) apply(_ context.Context, e *client.Event) error {
	sequence, err := strconv.ParseInt(e.Sequence, 10, 64)
	if err != nil {
		return fmt.Errorf("the sequence of an event: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received++
	if id, known := s.ids[sequence]; known {
		s.twice++
		if id != e.ID {
			s.c.t.Errorf("event %d has the id %s, and had %s", sequence, e.ID, id)
		}
		return nil
	}
	s.ids[sequence] = e.ID
	if sequence < s.last {
		s.late++
	}
	s.last = max(s.last, sequence)
	if e.Type == api.EventTypeScheduleChanged {
		return nil
	}
	visit := *e.Data.AppointmentGUID
	if s.copies[visit].version < *e.Data.Version { // order is not promised
		s.copies[visit] = visitCopy{
			*e.Data.Version, e.Type == api.EventTypeAppointmentCancelled, attendanceOf(e.Type),
		}
	}
	return nil
}

// complete reports whether all events of the institution were received.
func (s *subscriber) complete() bool {
	events := s.c.service.Count(`SELECT coalesce(max(sequence), 0) FROM event_sequence WHERE lpu_guid = $1`, chaosTo)
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids) == events
}

// check requires that no event is missing, and compares the copy with the table.
func (s *subscriber) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.c.service.Count(`SELECT max(sequence) FROM event_sequence WHERE lpu_guid = $1`, chaosTo)
	require.EqualValues(s.c.t, events, s.last)
	require.Len(s.c.t, s.ids, events, "no sequence is missing")
	require.Equal(s.c.t, s.c.storedVisits(), s.copies, "the receiver's copy is the table")
	s.c.t.Logf("webhook: %d events in %d deliveries, %d of them repeated, %d late; the receiver was killed %d times, "+
		"hung at %d events, failed at %d and lost %d responses; its copy of %d visits is the table",
		events, s.received, s.twice, s.late, s.kills, s.hung, s.failed, s.lost, len(s.copies))
	require.Positive(s.c.t, s.hung)
	require.Positive(s.c.t, s.failed)
	require.Positive(s.c.t, s.twice)
}
