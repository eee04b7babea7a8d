package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// The bookings that show what events cost.
const (
	eventBookings    = 4_000
	eventConnections = 16
	eventBound       = 0.92 // of the rate without events
)

// eventFile has the functions that queue the events of a transaction.
const eventFile = "internal/postgres/event.go"

var eventFunctions = regexp.MustCompile(`(?m)^func \(t \*tx\) tell.*\{$`)

// eventReport is the result of the events benchmark.
type eventReport struct {
	machine       Machine
	without, with []Sample // with the same index: of the same round
}

// runEvents measures what the events of a booking cost, with the service and with a build of it
// that tells nothing. Both use one database, in turns. A measurement ends when all its events are
// in the feed.
func runEvents(ctx context.Context, server *server, rounds int, progress io.Writer) (_ *eventReport, err error) {
	report := &eventReport{}
	if report.machine, err = describeMachine(ctx, server); err != nil {
		return nil, err
	}
	program, err := build(ctx)
	if err != nil {
		return nil, err
	}
	silent, err := buildSilent(ctx)
	if err != nil {
		return nil, err
	}
	s, err := openCopy(ctx, server, "", "talon_bench_events", progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	for round := range rounds {
		for turn := range 2 {
			told := turn != round%2
			used, samples := silent, &report.without
			if told {
				used, samples = program, &report.with
			}
			sample, err := s.eventRound(ctx, used)
			if err != nil {
				return nil, err
			}
			*samples = append(*samples, sample)
			fmt.Fprintf(progress, "round %d of %d, events %-5t: %.0f bookings a second\n",
				round+1, rounds, told, sample.Rate)
		}
	}
	return report, nil
}

// eventRound measures bookings by a program, until their events are in the feed.
func (s *site) eventRound(ctx context.Context, program string) (_ Sample, err error) {
	if s.service, err = startService(ctx, program, s.url); err != nil {
		return Sample{}, err
	}
	defer func() {
		err = errors.Join(err, s.service.stop())
		s.service = nil
	}()
	send := func(ctx context.Context, requests [][]byte) (Load, error) {
		load, err := runWrk(ctx, s.service.address, eventConnections, requests)
		return load, errors.Join(err, s.waitRecorded(ctx))
	}
	return s.book(ctx, eventBookings, s.take(eventBookings), send)
}

// waitRecorded waits until no event waits for its place in the feed.
func (s *site) waitRecorded(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		var waiting bool
		if err := s.conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM event_outbox)").Scan(&waiting); err != nil {
			return fmt.Errorf("wait for the events: %w", err)
		}
		if !waiting {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// buildSilent builds the service as build does, but without events of changes, and returns the path
// of the program.
func buildSilent(ctx context.Context) (program string, err error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(eventFile)
	if err != nil {
		return "", err
	}
	if !eventFunctions.Match(source) {
		return "", fmt.Errorf("%s has no function that queues events", eventFile)
	}
	silent := eventFunctions.ReplaceAll(source, []byte("$0\n\tif true {\n\t\treturn\n\t}"))
	replaced, err := filepath.Abs(eventFile)
	if err != nil {
		return "", err
	}
	silentFile := filepath.Join(dir, "silent_event.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{replaced: silentFile}})
	if err != nil {
		return "", err
	}
	overlayFile := filepath.Join(dir, "silent.json")
	program = filepath.Join(dir, "talon-silent")
	if err := errors.Join(
		os.WriteFile(silentFile, silent, 0o600), //nolint:gosec // in the cache directory
		os.WriteFile(overlayFile, overlay, 0o600),
	); err != nil {
		return "", err
	}
	_, err = runCommand(ctx, ".", "go", "build", "-overlay", overlayFile, "-o", program, "talon.example/cmd/talon")
	return program, err
}

// markdown writes the report.
func (r *eventReport) markdown(w io.Writer) error {
	var text strings.Builder
	r.machine.markdown(&text)
	fmt.Fprintf(&text, "%d rounds of %d bookings each, %d connections; medians. "+
		"The client, the service and the database run on this machine.\n\n",
		len(r.with), eventBookings, eventConnections)
	text.WriteString("| | without events | with events | ratio | of the rounds |\n|---|--:|--:|--:|---|\n")
	for _, f := range []struct {
		name string
		of   func(Sample) float64
	}{
		{"bookings a second", func(s Sample) float64 { return s.Rate }},
		{"PostgreSQL's processor time a booking, µs", func(s Sample) float64 { return s.PostgresCPU }},
		{"the service's processor time a booking, µs", func(s Sample) float64 { return s.ServiceCPU }},
		{"the processor time of both, µs", func(s Sample) float64 { return s.PostgresCPU + s.ServiceCPU }},
		{"WAL a booking, bytes", func(s Sample) float64 { return s.WAL }},
		{"p99 of a booking, ms", func(s Sample) float64 { return s.P99 }},
	} {
		var without, with, ratios []float64
		var each []string
		for i := range r.with {
			without, with = append(without, f.of(r.without[i])), append(with, f.of(r.with[i]))
			ratios = append(ratios, with[i]/without[i])
			each = append(each, fmt.Sprintf("%.2f", ratios[i]))
		}
		fmt.Fprintf(&text, "| %s | %.0f | %.0f | %.2f | %s |\n",
			f.name, median(without), median(with), median(ratios), strings.Join(each, ", "))
	}
	fmt.Fprintf(&text, "\nThe rate with events must be at least %.2f of that without.\n", eventBound)
	_, err := io.WriteString(w, text.String())
	return err
}
