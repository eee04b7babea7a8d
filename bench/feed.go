package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/postgres"
)

// The readers of the feed and the bookings that they learn of.
const (
	feedClient   = 3   // number of the client application that reads the feed
	feedRate     = 100 // bookings a second
	feedBookings = 2_000
	feedEnd      = 5 * time.Second // after the last booking, for the last events
)

// feedReport is the result of the feed benchmark.
type feedReport struct {
	machine Machine
	readers int
	events  int    // that the readers have got
	delay   Load   // from the beginning of a booking until a reader has its event
	alone   Sample // bookings without readers
	beside  Sample // and with them
}

// runFeed measures how long it takes until waiting readers learn of bookings. Each reader follows
// one institution, so that several follow the same one. Bookings come at a steady rate.
func runFeed(ctx context.Context, server *server, readers int, progress io.Writer) (_ *feedReport, err error) {
	report := &feedReport{readers: readers}
	if report.machine, err = describeMachine(ctx, server); err != nil {
		return nil, err
	}
	program, err := build(ctx)
	if err != nil {
		return nil, err
	}
	s, err := openCopy(ctx, server, program, "talon_bench_feed", progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	scopes := []string{booking.ScopeEventsRead}
	if err := s.addSystemClient(ctx, feedClient, scopes); err != nil {
		return nil, err
	}
	if report.alone, err = s.steady(ctx, feedRate, feedBookings, s.take(feedBookings)); err != nil {
		return nil, err
	}
	time.Sleep(2 * postgres.ReferenceAge) // until the service knows the client application

	reading, stop := context.WithCancel(ctx)
	defer stop()
	var (
		mu     sync.Mutex
		delays []time.Duration
		ready  sync.WaitGroup
	)
	group, reading := errgroup.WithContext(reading)
	for n := range readers {
		caller := auth.Caller{Client: guid(kindClient, feedClient), Scopes: scopes}
		caller.Lpus = append(caller.Lpus, guid(kindLpu, int64(n)%s.region.Lpus))
		token, err := s.service.key.Sign(caller, issuer, audience, time.Now(), time.Hour)
		if err != nil {
			return nil, err
		}
		r := &feedReader{address: s.service.address, token: token}
		ready.Add(1)
		group.Go(func() error {
			return r.follow(reading, ready.Done, func(delay time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				delays = append(delays, delay)
			})
		})
	}
	ready.Wait()
	fmt.Fprintf(progress, "%d readers wait\n", readers)
	if report.beside, err = s.steady(ctx, feedRate, feedBookings, s.take(feedBookings)); err != nil {
		return nil, err
	}
	time.Sleep(feedEnd)
	stop()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return nil, err
	}
	report.events = len(delays)
	report.delay.setPercentiles(delays)
	return report, nil
}

// feedReader follows the bookings of an institution over a connection of its own.
type feedReader struct {
	address, token string
	http           http.Client
}

// follow calls ready when it knows the end of the feed, and told with the delay of each event.
func (r *feedReader) follow(ctx context.Context, ready func(), told func(time.Duration)) error {
	r.http.Transport = new(http.Transport)
	page, err := r.read(ctx, url.Values{"after": {"latest"}})
	ready()
	for err == nil {
		page, err = r.read(ctx, url.Values{
			"after": {page.Next}, "wait": {"20"}, "type": {"appointment.booked"}, "limit": {"1000"},
		})
		for _, e := range page.Items {
			told(time.Since(e.Time))
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// feedPage is the part of a response that a reader needs.
type feedPage struct {
	Next  string `json:"next"`
	Items []struct {
		Time time.Time `json:"time"`
	} `json:"items"`
}

func (r *feedReader) read(ctx context.Context, query url.Values) (page feedPage, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.address+"/events?"+query.Encode(), nil)
	if err != nil {
		return page, err
	}
	request.Header.Set("Authorization", "Bearer "+r.token)
	response, err := r.http.Do(request)
	if err != nil {
		return page, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return page, err
	}
	if response.StatusCode != http.StatusOK {
		return page, fmt.Errorf("GET /events: %s", body)
	}
	return page, json.Unmarshal(body, &page)
}

// markdown writes the report.
func (r *feedReport) markdown(w io.Writer) error {
	_, err := fmt.Fprintf(w, `%d readers, %d bookings at %d a second, %d events read; %s, %d cores

| | without readers | with readers |
|---|--:|--:|
| p50 of a booking, ms | %.1f | %.1f |
| p99 of a booking, ms | %.1f | %.1f |

Delay of an event, from the beginning of the booking until a reader has it: p50 %.0f ms, p99 %.0f ms.
`,
		r.readers, feedBookings, feedRate, r.events, r.machine.Processor, r.machine.Cores,
		r.alone.P50, r.beside.P50, r.alone.P99, r.beside.P99, r.delay.P50, r.delay.P99)
	return err
}
