//go:build chaos

package chaos_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/test/harness"
)

// reader is a system of the target institution that follows the feed of events. Now and then it is
// killed: it loses what it has not stored, and begins at the place that it has stored.
type reader struct {
	c      *chaos
	client uuid.UUID
	stop   chan struct{}

	next      string // stored
	copies    map[uuid.UUID]visitCopy
	sequence  int64 // of the last event
	events    int
	kills     int
	failures  int
	schedules int
}

// visitCopy is what a system of the institution knows of a visit from its events.
type visitCopy struct {
	version    int64
	cancelled  bool
	attendance string
}

// attendanceOf returns the attendance after an event of a visit.
func attendanceOf(event string) string {
	switch _, change, _ := strings.Cut(event, "."); change {
	case "arrived", "fulfilled", "no_show":
		return change
	default:
		return "none"
	}
}

func newReader(c *chaos) *reader {
	r := &reader{c: c, stop: make(chan struct{}), copies: map[uuid.UUID]visitCopy{}}
	r.client = c.service.AddSystemClient([]string{booking.ScopeEventsRead}, chaosTo)
	return r
}

// start follows the feed until stop is closed and the feed has ended.
func (r *reader) start() *sync.WaitGroup {
	var running sync.WaitGroup
	running.Go(func() {
		for {
			ending := false
			select {
			case <-r.stop:
				ending = true
			default:
			}
			page, ok := r.read()
			if !ok {
				r.failures++
				r.c.pause(50 * time.Millisecond)
				continue
			}
			if rand.IntN(20) == 0 {
				r.kills++
				continue // before it has stored what it has read
			}
			r.apply(page)
			if ending && len(page.Items) == 0 && !page.More && r.c.service.Count(`SELECT count(*) FROM event_outbox`) == 0 {
				return
			}
		}
	})
	return &running
}

// read requests the next events. ok is false if the service did not respond, or could not.
func (r *reader) read() (page api.EventPage, ok bool) {
	query := url.Values{"wait": {"1"}, "limit": {"500"}}
	if r.next != "" {
		query.Set("after", r.next)
	}
	scopes := []string{booking.ScopeEventsRead}
	token, err := r.c.service.Key.Sign(auth.Caller{Client: r.client, Scopes: scopes, Lpus: []uuid.UUID{chaosTo}},
		"issuer", "talon", time.Now(), time.Hour)
	require.NoError(r.c.t, err)
	request := r.c.service.NewRequest(http.MethodGet, "/events?"+query.Encode(), nil)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := harness.HTTPClient.Do(request)
	if err != nil {
		return page, false
	}
	defer response.Body.Close()
	return readPage(r.c, request, response)
}

// apply stores events and the place after them, as one transaction of the reader would.
func (r *reader) apply(page api.EventPage) {
	for _, e := range page.Items {
		sequence, err := strconv.ParseInt(e.Sequence, 10, 64)
		require.NoError(r.c.t, err)
		require.Equal(r.c.t, r.sequence+1, sequence, "the feed has a gap before %s", e.ID)
		r.sequence = sequence
		r.events++
		if e.Type == api.EventTypeScheduleChanged {
			r.schedules++
			continue
		}
		visit := *e.Data.AppointmentGUID
		require.Equal(r.c.t, r.copies[visit].version+1, *e.Data.Version, "an event of a visit is missing or twice")
		r.copies[visit] = visitCopy{
			*e.Data.Version, e.Type == api.EventTypeAppointmentCancelled, attendanceOf(e.Type),
		}
	}
	r.next = page.Next
}

// check compares the reader's copy with the table.
func (r *reader) check() {
	require.Equal(r.c.t, r.c.storedVisits(), r.copies, "the reader's copy is the table")
	r.c.t.Logf("feed: %d events, of them %d of schedules; the reader was killed %d times and got no page %d times; "+
		"its copy of %d visits is the table",
		r.events, r.schedules, r.kills, r.failures, len(r.copies))
}

// storedVisits returns the visits of the target institution as its systems know them.
func (c *chaos) storedVisits() map[uuid.UUID]visitCopy {
	rows, err := c.service.DB.Query(c.t.Context(), `SELECT guid, version, cancelled_at IS NOT NULL, attendance FROM appointment WHERE lpu_guid = $1`, chaosTo)
	require.NoError(c.t, err)
	defer rows.Close()
	stored := map[uuid.UUID]visitCopy{}
	for rows.Next() {
		var visit uuid.UUID
		var state visitCopy
		require.NoError(c.t, rows.Scan(&visit, &state.version, &state.cancelled, &state.attendance))
		stored[visit] = state
	}
	require.NoError(c.t, rows.Err())
	return stored
}

// readPage reads the response to a request for events. ok is false if there is none that could be
// read, or the service could not respond in time.
func readPage(c *chaos, request *http.Request, response *http.Response) (page api.EventPage, ok bool) {
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return page, false
	}
	harness.ValidateResponse(c.t, request, response, raw)
	if response.StatusCode == http.StatusServiceUnavailable {
		return page, false
	}
	require.Equal(c.t, http.StatusOK, response.StatusCode, "%s", raw)
	require.NoError(c.t, json.Unmarshal(raw, &page))
	return page, true
}
