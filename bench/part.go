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

// The bookings that show what a part of the service costs.
const (
	partBookings    = 4_000
	partConnections = 16
)

// part is a part of the service that every booking pays for.
type part struct {
	name      string
	file      string         // of the source
	functions *regexp.Regexp // first lines of its functions that a build without the part leaves at once
	pending   string         // query whether work of the part is left after the bookings; empty: there is none
	bound     string         // on the figures of the report
}

// parts are the parts that can be measured, by their subcommands: the functions that queue the
// events of a transaction, until all its events are in the feed, and the step of the chain that
// records requests.
var parts = map[string]part{
	"events": {
		name: "events", file: "internal/postgres/event.go",
		functions: regexp.MustCompile(`(?m)^func \(t \*tx\) tell.*\{$`),
		pending:   "SELECT EXISTS (SELECT 1 FROM event_outbox)",
		bound:     "The rate with events must be at least 0.92 of that without.",
	},
	"audit": {
		name: "audit", file: "internal/httpapi/server/audit.go",
		functions: regexp.MustCompile(`(?m)^func \(s \*Server\) audit\(.*\{$`),
		bound:     "The processor time of both with the audit must be at most 1.05 of that without.",
	},
}

// partReport is the result of the benchmark of a part.
type partReport struct {
	part

	machine       Machine
	without, with []Sample // with the same index: of the same round
}

// runPart measures what a part costs a booking, with the service and with a build of it without the
// part. Both use one database, in turns.
func runPart(
	ctx context.Context, server *server, p part, rounds int, progress io.Writer,
) (_ *partReport, err error) {
	report := &partReport{part: p}
	if report.machine, err = describeMachine(ctx, server); err != nil {
		return nil, err
	}
	program, err := build(ctx)
	if err != nil {
		return nil, err
	}
	silent, err := p.buildWithout(ctx)
	if err != nil {
		return nil, err
	}
	s, err := openCopy(ctx, server, "", "talon_bench_"+p.name, progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	for round := range rounds {
		for turn := range 2 {
			with := turn != round%2
			used, samples := silent, &report.without
			if with {
				used, samples = program, &report.with
			}
			sample, err := s.partRound(ctx, used, p.pending)
			if err != nil {
				return nil, err
			}
			*samples = append(*samples, sample)
			fmt.Fprintf(progress, "round %d of %d, %s %-5t: %.0f bookings a second\n",
				round+1, rounds, p.name, with, sample.Rate)
		}
	}
	return report, nil
}

// partRound measures bookings by a program, until pending is false.
func (s *site) partRound(ctx context.Context, program, pending string) (_ Sample, err error) {
	if s.service, err = startService(ctx, program, s.url); err != nil {
		return Sample{}, err
	}
	defer func() {
		err = errors.Join(err, s.service.stop())
		s.service = nil
	}()
	send := func(ctx context.Context, requests [][]byte) (Load, error) {
		load, err := runWrk(ctx, s.service.address, partConnections, requests)
		if pending != "" {
			err = errors.Join(err, s.waitDone(ctx, pending))
		}
		return load, err
	}
	return s.book(ctx, partBookings, s.take(partBookings), send)
}

// waitDone waits until a query returns false.
func (s *site) waitDone(ctx context.Context, pending string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		var waiting bool
		if err := s.conn.QueryRow(ctx, pending).Scan(&waiting); err != nil {
			return fmt.Errorf("wait for what bookings have left: %w", err)
		}
		if !waiting {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// buildWithout builds the service as build does, but without the part, and returns the path of the
// program.
func (p part) buildWithout(ctx context.Context) (program string, err error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(p.file)
	if err != nil {
		return "", err
	}
	if !p.functions.Match(source) {
		return "", fmt.Errorf("%s has no function of the %s", p.file, p.name)
	}
	without := p.functions.ReplaceAll(source, []byte("$0\n\tif true {\n\t\treturn\n\t}"))
	replaced, err := filepath.Abs(p.file)
	if err != nil {
		return "", err
	}
	program = filepath.Join(dir, "talon-without-"+p.name)
	sourceFile, overlayFile := program+".go", program+".json"
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{replaced: sourceFile}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(
		os.WriteFile(sourceFile, without, 0o600), //nolint:gosec // in the cache directory
		os.WriteFile(overlayFile, overlay, 0o600),
	); err != nil {
		return "", err
	}
	_, err = runCommand(ctx, ".", "go", "build", "-overlay", overlayFile, "-o", program, "talon.example/cmd/talon")
	return program, err
}

// markdown writes the report.
func (r *partReport) markdown(w io.Writer) error {
	var text strings.Builder
	r.machine.markdown(&text)
	fmt.Fprintf(&text, "%d rounds of %d bookings each, %d connections; medians. "+
		"The client, the service and the database run on this machine.\n\n",
		len(r.with), partBookings, partConnections)
	fmt.Fprintf(&text, "| | without %[1]s | with %[1]s | ratio | of the rounds |\n|---|--:|--:|--:|---|\n", r.name)
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
		for i := range r.with {
			without, with = append(without, f.of(r.without[i])), append(with, f.of(r.with[i]))
			ratios = append(ratios, with[i]/without[i])
		}
		fmt.Fprintf(&text, "| %s | %.0f | %.0f | %.2f | %s |\n",
			f.name, median(without), median(with), median(ratios), join(ratios))
	}
	fmt.Fprintf(&text, "\n%s\n", r.bound)
	_, err := io.WriteString(w, text.String())
	return err
}
