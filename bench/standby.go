package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"talon.example/internal/localpg"
)

// The reads that show what standbys gain. Two instances serve them at the same time.
const (
	readInstances   = 2
	readRequests    = 2_000 // of each instance in a measurement
	readConnections = 8     // of each instance
	mostStandbys    = 2
)

// readKinds are the requests that are measured.
var readKinds = []struct {
	name  string
	write func(*caller, Booking) ([]byte, error)
}{
	{"referrals", (*caller).list},
	{"free cells", (*caller).search},
}

// readSample is the result of a measurement: processor time is in µs for each request.
type readSample struct {
	rate, p50, p99             float64
	primary, standbys, service float64
	fromStandby                float64 // the part of the reads
}

// standbyReport is the result of the benchmark. Samples with the same index are of the same round.
type standbyReport struct {
	machine Machine
	rounds  int
	samples map[string][mostStandbys + 1][]readSample // by the kind of the requests, and the number of standbys
}

// standbySite is a site whose server has standbys.
type standbySite struct {
	*site

	program  string
	standbys []*localpg.Cluster
	clusters []process // of the standbys
}

// runStandby measures reads of two instances, without a standby, with one, and with one for each
// instance. All servers and instances run on this machine.
func runStandby(ctx context.Context, rounds int, progress io.Writer) (_ *standbyReport, err error) {
	report := &standbyReport{rounds: rounds, samples: map[string][mostStandbys + 1][]readSample{}}
	s, stop, err := openStandbys(ctx, progress)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return nil, err
	}
	if report.machine, err = describeMachine(ctx, s.server); err != nil {
		return nil, err
	}
	for round := range rounds {
		for turn := range mostStandbys + 1 {
			standbys := (turn + round) % (mostStandbys + 1)
			found, err := s.measureReads(ctx, standbys)
			if err != nil {
				return nil, err
			}
			for kind, sample := range found {
				samples := report.samples[kind]
				samples[standbys] = append(samples[standbys], sample)
				report.samples[kind] = samples
				fmt.Fprintf(progress,
					"round %d of %d, %d standbys, %s: %.0f a second, primary %.0f µs, %.2f from standbys\n",
					round+1, rounds, standbys, kind, sample.rate, sample.primary, sample.fromStandby)
			}
		}
	}
	return report, nil
}

// openStandbys starts a primary with the data of a small region, and its standbys. The caller must
// call stop, also after an error.
func openStandbys(ctx context.Context, progress io.Writer) (_ *standbySite, stop func() error, err error) {
	var stops []func() error
	stop = func() (err error) {
		for i := range stops {
			err = errors.Join(err, stops[len(stops)-1-i]())
		}
		return err
	}
	keep := func(c *localpg.Cluster) {
		stops = append(stops, func() error { return c.Stop(context.WithoutCancel(ctx)) })
	}
	primary, err := localpg.Start(ctx, localpg.Options{Durable: true})
	if err != nil {
		return nil, stop, fmt.Errorf("start the primary: %w", err)
	}
	keep(primary)
	if _, err := configure(ctx, primary.URL(maintenance)); err != nil { // the first standby restarts it
		return nil, stop, fmt.Errorf("configure the primary: %w", err)
	}
	server := &server{url: primary.URL, own: true}
	region, err := ensureData(ctx, server, copyScale, progress)
	if err != nil {
		return nil, stop, err
	}
	s := &standbySite{}
	for range mostStandbys {
		standby, err := primary.Standby(ctx)
		if err != nil {
			return nil, stop, fmt.Errorf("start a standby: %w", err)
		}
		keep(standby)
		s.standbys = append(s.standbys, standby)
	}
	if s.program, err = build(ctx); err != nil {
		return nil, stop, err
	}
	if s.site, err = openSite(ctx, server, "", region); err != nil {
		return nil, stop, err
	}
	stops = append(stops, func() error { return s.close(context.WithoutCancel(ctx)) })
	for _, standby := range s.standbys {
		conn, err := pgx.Connect(ctx, standby.URL(maintenance))
		if err != nil {
			return nil, stop, fmt.Errorf("open a standby: %w", err)
		}
		s.clusters = append(s.clusters, clusterProcess(ctx, conn))
		if err := conn.Close(ctx); err != nil {
			return nil, stop, err
		}
	}
	return s, stop, nil
}

// measureReads measures all kinds of reads with a number of standbys.
func (s *standbySite) measureReads(ctx context.Context, standbys int) (_ map[string]readSample, err error) {
	var services []*service
	var admins []string
	defer func() {
		for _, service := range services {
			err = errors.Join(err, service.stop())
		}
	}()
	for i := range readInstances {
		admin, err := freeAddress(ctx)
		if err != nil {
			return nil, err
		}
		settings := []string{"TALON_ADMIN_ADDR=" + admin}
		if standbys > 0 {
			url := s.standbys[i%standbys].URL(databaseName(s.region.Scale))
			settings = append(settings, "TALON_READ_DATABASE_URL="+url)
		}
		service, err := startService(ctx, s.program, s.url, settings...)
		if err != nil {
			return nil, err
		}
		services, admins = append(services, service), append(admins, "http://"+admin+"/metrics")
	}
	samples := map[string]readSample{}
	for _, kind := range readKinds {
		if _, err := s.read(ctx, services, admins, kind.write, settleRequests); err != nil {
			return nil, err
		}
		if samples[kind.name], err = s.read(ctx, services, admins, kind.write, readRequests); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// read sends n requests to each of the services at the same time.
func (s *standbySite) read(
	ctx context.Context, services []*service, admins []string, write func(*caller, Booking) ([]byte, error), n int64,
) (sample readSample, err error) {
	requests := make([][][]byte, len(services))
	for i, service := range services {
		caller := service.caller()
		if requests[i], err = writeAll(n, s.region.Booking, func(b Booking) ([]byte, error) {
			return write(caller, b)
		}); err != nil {
			return sample, err
		}
	}
	before, err := s.readMeter(ctx, services, admins)
	if err != nil {
		return sample, err
	}
	loads := make([]Load, len(services))
	var group errgroup.Group
	began := time.Now()
	for i, service := range services {
		group.Go(func() (err error) {
			loads[i], err = runWrk(ctx, service.address, readConnections, requests[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return sample, err
	}
	took := time.Since(began)
	after, err := s.readMeter(ctx, services, admins)
	if err != nil {
		return sample, err
	}
	all := float64(n) * float64(len(services))
	for _, load := range loads {
		if load.Outcomes[outcomeOK] != n {
			return sample, fmt.Errorf("not all of %d reads succeeded: %v", n, load.Outcomes)
		}
		sample.p50, sample.p99 = max(sample.p50, load.P50), max(sample.p99, load.P99)
	}
	each := func(of func(readMeter) time.Duration) float64 {
		return float64((of(after) - of(before)).Microseconds()) / all
	}
	sample.rate = all / took.Seconds()
	sample.primary = each(func(m readMeter) time.Duration { return m.primary })
	sample.standbys = each(func(m readMeter) time.Duration { return m.standbys })
	sample.service = each(func(m readMeter) time.Duration { return m.services })
	if lists := after.fromAny - before.fromAny; lists > 0 {
		sample.fromStandby = (after.fromStandby - before.fromStandby) / lists
	}
	return sample, nil
}

// readMeter is a reading of the counters of the processes.
type readMeter struct {
	primary, standbys, services time.Duration
	fromStandby, fromAny        float64 // reads of statements; one request may have several
}

func (s *standbySite) readMeter(ctx context.Context, services []*service, admins []string) (m readMeter, err error) {
	m.primary = clusterTime(s.postmaster)
	for _, cluster := range s.clusters {
		m.standbys += clusterTime(cluster)
	}
	for _, service := range services {
		used, err := service.process().usage()
		if err != nil {
			return m, fmt.Errorf("read the CPU time of a service: %w", err)
		}
		m.services += used.own
	}
	for _, admin := range admins {
		if err := m.addReads(ctx, admin); err != nil {
			return m, fmt.Errorf("read the metrics of a service: %w", err)
		}
	}
	return m, nil
}

// addReads adds the lists that a service has read, by its metrics.
func (m *readMeter) addReads(ctx context.Context, metrics string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, metrics, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if !strings.HasPrefix(name, "talon_list_reads_total{") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return err
		}
		m.fromAny += n
		if strings.Contains(name, `target="standby"`) {
			m.fromStandby += n
		}
	}
	return lines.Err()
}

// markdown writes the report.
func (r *standbyReport) markdown(w io.Writer) error {
	var text strings.Builder
	r.machine.markdown(&text)
	fmt.Fprintf(&text, "%d rounds, %d instances with %d requests over %d connections each; medians. "+
		"The client, the instances and all servers run on this machine.\n",
		r.rounds, readInstances, readRequests, readConnections)
	for _, kind := range readKinds {
		fmt.Fprintf(&text, "\n| %s | no standby | one | two | one / none | two / none | of the rounds (one) |\n"+
			"|---|--:|--:|--:|--:|--:|---|\n", kind.name)
		for _, f := range []struct {
			name string
			of   func(readSample) float64
		}{
			{"requests a second", func(s readSample) float64 { return s.rate }},
			{"p50, ms", func(s readSample) float64 { return s.p50 }},
			{"p99, ms", func(s readSample) float64 { return s.p99 }},
			{"the primary's processor time a request, µs", func(s readSample) float64 { return s.primary }},
			{"requests a second of a core of the primary", func(s readSample) float64 { return 1e6 / s.primary }},
			{"the standbys' processor time, µs", func(s readSample) float64 { return s.standbys }},
			{"the instances' processor time, µs", func(s readSample) float64 { return s.service }},
			{"processor time of all, µs", func(s readSample) float64 { return s.primary + s.standbys + s.service }},
		} {
			r.row(&text, kind.name, f.name, f.of)
		}
		part := func(standbys int) float64 {
			var parts []float64
			for _, sample := range r.samples[kind.name][standbys] {
				parts = append(parts, 100*sample.fromStandby)
			}
			return median(parts)
		}
		fmt.Fprintf(&text, "| from standbys, %% | | %.0f | %.0f | | | |\n", part(1), part(2))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// row writes the medians of a figure, and of its ratios to the same round without a standby.
func (r *standbyReport) row(w io.Writer, kind, name string, of func(readSample) float64) {
	var figures, ratios [mostStandbys + 1][]float64
	for standbys, samples := range r.samples[kind] {
		for round, sample := range samples {
			figures[standbys] = append(figures[standbys], of(sample))
			ratios[standbys] = append(ratios[standbys], of(sample)/of(r.samples[kind][0][round]))
		}
	}
	fmt.Fprintf(w, "| %s | %.1f | %.1f | %.1f | %.2f | %.2f | %s |\n", name, median(figures[0]), median(figures[1]),
		median(figures[2]), median(ratios[1]), median(ratios[2]), join(ratios[1]))
}
