package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"talon.example/internal/auth"
	"talon.example/internal/booking"
	"talon.example/internal/postgres"
)

// The webhooks and the bookings of which they learn.
const (
	webhookClient    = 100 // number of the first client application
	webhooksOfClient = 20
	webhookCount     = 200
	webhookDead      = 20 // of them do not respond
	webhookRate      = 50 // bookings a second
	webhookBookings  = 2_000
	webhookEnd       = 5 * time.Second // after the last booking, for the last events
)

// endpoint is a webhook of the benchmark.
type endpoint struct {
	Lpu uuid.UUID `json:"lpu"`
	URL string    `json:"url"`
}

// webhookRound is one measurement.
type webhookRound struct {
	sample   Sample
	received int  // deliveries to receivers that respond
	delay    Load // from the beginning of a booking until they have it
}

// webhookReport is the result of the webhook benchmark.
type webhookReport struct {
	machine Machine
	alone   Sample // bookings without webhooks
	talon   webhookRound
	river   *webhookRound // nil if it was not measured
}

// runWebhooks measures how long it takes until the receivers of webhooks learn of bookings, some of
// which do not respond. With river it also measures the same with jobs of River, as the program in
// bench/river sends them.
func runWebhooks(ctx context.Context, server *server, river bool, progress io.Writer) (_ *webhookReport, err error) {
	report := &webhookReport{}
	if report.machine, err = describeMachine(ctx, server); err != nil {
		return nil, err
	}
	program, err := build(ctx)
	if err != nil {
		return nil, err
	}
	receiver, err := startReceiver()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, receiver.server.Close()) }()
	s, err := openCopy(ctx, server, program, "talon_bench_webhooks", progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if report.alone, err = s.steady(ctx, webhookRate, webhookBookings, s.take(webhookBookings)); err != nil {
		return nil, err
	}
	endpoints := make([]endpoint, webhookCount)
	for n := range endpoints {
		endpoints[n] = endpoint{guid(kindLpu, int64(n)%s.region.Lpus), receiver.url(n)}
	}
	if river {
		round, err := s.byRiver(ctx, receiver, endpoints, progress)
		if err != nil {
			return nil, err
		}
		report.river = &round
	}
	fmt.Fprintf(progress, "%d webhooks, %d of which do not respond\n", webhookCount, webhookDead)
	if err := s.subscribe(ctx, endpoints); err != nil {
		return nil, err
	}
	report.talon, err = s.webhookRound(ctx, receiver)
	return report, err
}

// webhookRound makes bookings and measures when the receivers learn of them.
func (s *site) webhookRound(ctx context.Context, receiver *receiver) (round webhookRound, err error) {
	receiver.take()
	if round.sample, err = s.steady(ctx, webhookRate, webhookBookings, s.take(webhookBookings)); err != nil {
		return round, err
	}
	time.Sleep(webhookEnd)
	delays := receiver.take()
	round.received = len(delays)
	round.delay.setPercentiles(delays)
	return round, nil
}

// subscribe adds a webhook for each endpoint, with as many client applications as that takes.
func (s *site) subscribe(ctx context.Context, endpoints []endpoint) error {
	scopes := []string{booking.ScopeEventsRead}
	var token string
	for n, e := range endpoints {
		if n%webhooksOfClient == 0 {
			number := webhookClient + int64(n/webhooksOfClient)
			if err := s.addSystemClient(ctx, number, scopes); err != nil {
				return err
			}
			caller := auth.Caller{Client: guid(kindClient, number), Scopes: scopes, EveryLpu: true}
			var err error
			if token, err = s.service.key.Sign(caller, issuer, audience, time.Now(), time.Hour); err != nil {
				return err
			}
			time.Sleep(2 * postgres.ReferenceAge) // until the service knows the client application
		}
		body, err := json.Marshal(map[string]any{
			"Url": e.URL, "LpuGuid": e.Lpu, "Types": []string{"appointment.booked"},
		})
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPut,
			s.service.address+"/webhooks/"+uuid.NewString(), bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("PUT /webhooks: %s", answer)
		}
	}
	return nil
}

// byRiver is webhookRound with the program in bench/river instead of the service's own deliverer.
func (s *site) byRiver(
	ctx context.Context, receiver *receiver, endpoints []endpoint, progress io.Writer,
) (_ webhookRound, err error) {
	dir, err := cacheDir()
	if err != nil {
		return webhookRound{}, err
	}
	program := filepath.Join(dir, "river")
	if _, err := runCommand(ctx, "bench/river", "go", "build", "-o", program, "."); err != nil {
		return webhookRound{}, err
	}
	list, err := json.Marshal(endpoints)
	if err != nil {
		return webhookRound{}, err
	}
	fmt.Fprintln(progress, "River sends to the same receivers")
	running, stop := context.WithCancel(ctx)
	command := exec.CommandContext(running, program) //nolint:gosec // built here
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Env = append(os.Environ(), "DATABASE_URL="+s.url)
	command.Stdin, command.Stderr = bytes.NewReader(list), progress
	ready, err := command.StdoutPipe()
	if err != nil {
		stop()
		return webhookRound{}, err
	}
	if err := command.Start(); err != nil {
		stop()
		return webhookRound{}, err
	}
	defer func() {
		stop()
		_ = command.Wait() // it was interrupted
	}()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		return webhookRound{}, fmt.Errorf("start River: %w", err)
	}
	return s.webhookRound(ctx, receiver)
}

// receiver receives the events of all webhooks.
type receiver struct {
	server *http.Server
	base   string

	mu     sync.Mutex
	delays []time.Duration
}

func startReceiver() (*receiver, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{base: "http://" + listener.Addr().String()}
	r.server = &http.Server{Handler: http.HandlerFunc(r.receive), ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(listener) }() // Close ends it
	return r, nil
}

// url returns the address of a webhook. Every tenth does not respond.
func (r *receiver) url(n int) string {
	if n%(webhookCount/webhookDead) == 0 {
		return fmt.Sprintf("%s/dead/%d", r.base, n)
	}
	return fmt.Sprintf("%s/%d", r.base, n)
}

func (r *receiver) receive(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if strings.HasPrefix(request.URL.Path, "/dead/") {
		<-request.Context().Done()
		return
	}
	var event struct {
		Time time.Time `json:"time"`
	}
	if err = errors.Join(err, json.Unmarshal(body, &event)); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.delays = append(r.delays, time.Since(event.Time))
	r.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// take returns the delays of the events since the last call.
func (r *receiver) take() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.delays
	r.delays = nil
	return taken
}

// markdown writes the report.
func (r *webhookReport) markdown(w io.Writer) error {
	_, err := fmt.Fprintf(w, `%d webhooks, %d of which do not respond; %d bookings at %d a second; %s, %d cores

| | deliveries | p50, ms | p99, ms | PostgreSQL per booking, µs | WAL per booking, bytes | p99 of a booking, ms |
|---|--:|--:|--:|--:|--:|--:|
| no webhooks | | | | %.0f | %.0f | %.1f |
`, webhookCount, webhookDead, webhookBookings, webhookRate, r.machine.Processor, r.machine.Cores,
		r.alone.PostgresCPU, r.alone.WAL, r.alone.P99)
	line := func(name string, round *webhookRound) {
		_, lineErr := fmt.Fprintf(w, "| %s | %d | %.0f | %.0f | %.0f | %.0f | %.1f |\n", name, round.received,
			round.delay.P50, round.delay.P99, round.sample.PostgresCPU, round.sample.WAL, round.sample.P99)
		err = errors.Join(err, lineErr)
	}
	line("Talon", &r.talon)
	if r.river != nil {
		line("River", r.river)
	}
	return err
}
