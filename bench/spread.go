package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"talon.example/internal/distribution"
)

// The bookings that show what a distributed database costs. The service starts anew for each
// measurement, so that some bookings warm its connections up.
const (
	spreadBookings    = 1_000
	spreadWarmUp      = 200
	spreadConnections = 16
)

// The databases that are compared.
const (
	plainDatabase  = "talon_bench_plain"
	spreadDatabase = "talon_bench_spread"
)

// spreadNode is a node of the distributed database, and its server on this machine.
type spreadNode struct {
	distribution.Node

	postmaster process
}

// spreadVariant is a way to run the service, and its measurements.
type spreadVariant struct {
	name    string
	address string // of the database
	samples []spreadSample
}

// spreadSample is a measurement. The times are microseconds of a processor for a booking.
type spreadSample struct {
	rate, p50, service, coordinator, workers float64
}

func (s spreadSample) total() float64    { return s.service + s.coordinator + s.workers }
func (s spreadSample) database() float64 { return s.coordinator + s.workers }

// spreadReport is the result of the benchmark.
type spreadReport struct {
	machine  Machine
	nodes    int
	variants []*spreadVariant
}

// runSpread measures bookings on a distributed database, and on a plain one of the same
// coordinator, in turns. The server is a coordinator, and all nodes are on this machine. Services
// that were connected to the workers were measured, too (docs/scale.md); they do not start any
// more.
func runSpread(ctx context.Context, server *server, rounds int, progress io.Writer) (*spreadReport, error) {
	machine, err := describeMachine(ctx, server)
	if err != nil {
		return nil, err
	}
	program, err := build(ctx)
	if err != nil {
		return nil, err
	}
	region, err := ensureData(ctx, server, copyScale, progress)
	if err != nil {
		return nil, err
	}
	if needed := int64(rounds) * (spreadBookings + spreadWarmUp); needed > region.Referrals {
		return nil, fmt.Errorf("-rounds: %d need %d referrals, and there are %d", rounds, needed, region.Referrals)
	}
	for _, database := range []string{plainDatabase, spreadDatabase} {
		if err := server.copyDatabase(ctx, databaseName(copyScale), database); err != nil {
			return nil, err
		}
	}
	nodes, err := spread(ctx, server, progress)
	if err != nil {
		return nil, err
	}
	variants, err := spreadVariants(server, nodes)
	if err != nil {
		return nil, err
	}
	for round := range rounds {
		for turn := range variants {
			v := variants[(round+turn)%len(variants)]
			sample, err := v.measure(ctx, program, nodes, int64(round), region)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
			v.samples = append(v.samples, sample)
			fmt.Fprintf(progress, "round %d of %d, %s: %.0f bookings a second, %.1f ms of processor time each\n",
				round+1, rounds, v.name, sample.rate, sample.total()/1000)
		}
	}
	return &spreadReport{machine, len(nodes), variants}, nil
}

// spread makes the copy of the region a distributed database, and returns its nodes.
func spread(ctx context.Context, server *server, progress io.Writer) ([]spreadNode, error) {
	conn, err := pgx.Connect(ctx, server.url(maintenance))
	if err != nil {
		return nil, fmt.Errorf("open the server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	members, err := distribution.Nodes(ctx, conn)
	if err != nil {
		return nil, err
	}
	nodes := make([]spreadNode, len(members))
	for i, n := range members {
		if nodes[i], err = prepareNode(ctx, server, n); err != nil {
			return nil, err
		}
	}
	if err := distribution.Join(ctx, members, server.url(spreadDatabase)); err != nil {
		return nil, err
	}
	begin := time.Now()
	spread, err := pgx.Connect(ctx, server.url(spreadDatabase))
	if err != nil {
		return nil, fmt.Errorf("open the distributed database: %w", err)
	}
	defer spread.Close(context.WithoutCancel(ctx))
	options := distribution.Options{Shards: distribution.DefaultShards, Progress: io.Discard}
	if err := distribution.Distribute(ctx, spread, options); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "distributed over %d nodes in %s\n", len(nodes), time.Since(begin).Round(time.Second))
	_, err = spread.Exec(ctx, "ANALYZE")
	return nodes, err
}

// prepareNode creates an empty database on a worker, and finds the node's process.
func prepareNode(ctx context.Context, server *server, n distribution.Node) (spreadNode, error) {
	address, err := n.URL(server.url(maintenance))
	if err != nil {
		return spreadNode{}, err
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return spreadNode{}, fmt.Errorf("open %s:%d: %w", n.Host, n.Port, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	node := spreadNode{n, clusterProcess(ctx, conn)}
	if n.Coordinator { // it has the region's copy
		return node, nil
	}
	for _, sql := range []string{
		"DROP DATABASE IF EXISTS " + spreadDatabase + " WITH (FORCE)", "CREATE DATABASE " + spreadDatabase,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return spreadNode{}, fmt.Errorf("%s: %w", sql, err)
		}
	}
	return node, nil
}

func spreadVariants(server *server, nodes []spreadNode) ([]*spreadVariant, error) {
	address, err := nodes[0].URL(server.url(spreadDatabase))
	if err != nil {
		return nil, err
	}
	return []*spreadVariant{
		{name: "one PostgreSQL", address: server.url(plainDatabase)}, {name: "Citus", address: address},
	}, nil
}

// measure starts the service of a variant, and measures its bookings.
func (v *spreadVariant) measure(
	ctx context.Context, program string, nodes []spreadNode, round int64, region Region,
) (_ spreadSample, err error) {
	service, err := startService(ctx, program, v.address)
	if err != nil {
		return spreadSample{}, err
	}
	defer func() { err = errors.Join(err, service.stop()) }()
	first := round * (spreadBookings + spreadWarmUp)
	booking := func(n int64) Booking { return region.Booking(first + n) }
	if _, err := bookAll(ctx, service, spreadWarmUp, booking); err != nil {
		return spreadSample{}, err
	}
	before, err := spreadTimes(service, nodes)
	if err != nil {
		return spreadSample{}, err
	}
	load, err := bookAll(ctx, service, spreadBookings, func(n int64) Booking { return booking(spreadWarmUp + n) })
	if err != nil {
		return spreadSample{}, err
	}
	after, err := spreadTimes(service, nodes)
	return spreadSample{
		rate: load.Rate, p50: load.P50,
		service:     (after.service - before.service) / spreadBookings,
		coordinator: (after.coordinator - before.coordinator) / spreadBookings,
		workers:     (after.workers - before.workers) / spreadBookings,
	}, err
}

// bookAll makes a number of bookings, all of which must succeed.
func bookAll(ctx context.Context, s *service, count int64, booking func(int64) Booking) (Load, error) {
	requests, err := s.caller().requests(count, booking)
	if err != nil {
		return Load{}, err
	}
	load, err := runWrk(ctx, s.address, spreadConnections, requests)
	if err == nil && load.Outcomes[outcomeOK] != count {
		err = fmt.Errorf("not all of %d bookings succeeded: %v", count, load.Outcomes)
	}
	return load, err
}

// spreadTimes returns the processor times so far.
func spreadTimes(s *service, nodes []spreadNode) (sample spreadSample, err error) {
	for _, n := range nodes {
		if used := float64(clusterTime(n.postmaster).Microseconds()); n.Coordinator {
			sample.coordinator += used
		} else {
			sample.workers += used
		}
	}
	used, err := s.process().usage()
	sample.service = float64(used.own.Microseconds())
	return sample, err
}

// markdown writes the report.
func (r *spreadReport) markdown(w io.Writer) error {
	var text strings.Builder
	r.machine.markdown(&text)
	fmt.Fprintf(&text, "%d rounds of %d bookings each, %d connections, %d nodes and the service on this machine; "+
		"medians of processor time a booking, ms.\n\n",
		len(r.variants[0].samples), spreadBookings, spreadConnections, r.nodes)
	text.WriteString("| | bookings a second | p50, ms | coordinator | workers | service | " +
		"database, of one PostgreSQL | all, of one PostgreSQL | of the rounds |\n" +
		"|---|--:|--:|--:|--:|--:|--:|--:|---|\n")
	of := func(v *spreadVariant, figure func(spreadSample) float64) (all []float64) {
		for _, s := range v.samples {
			all = append(all, figure(s))
		}
		return all
	}
	ratios := func(v *spreadVariant, figure func(spreadSample) float64) []float64 {
		all, plain := of(v, figure), of(r.variants[0], figure)
		for i := range all {
			all[i] /= plain[i]
		}
		return all
	}
	for _, v := range r.variants {
		fmt.Fprintf(&text, "| %s | %.0f | %.1f | %.2f | %.2f | %.2f | %.2f | %.2f | %s |\n", v.name,
			median(of(v, func(s spreadSample) float64 { return s.rate })),
			median(of(v, func(s spreadSample) float64 { return s.p50 })),
			median(of(v, func(s spreadSample) float64 { return s.coordinator / 1000 })),
			median(of(v, func(s spreadSample) float64 { return s.workers / 1000 })),
			median(of(v, func(s spreadSample) float64 { return s.service / 1000 })),
			median(ratios(v, spreadSample.database)), median(ratios(v, spreadSample.total)),
			join(ratios(v, spreadSample.database)))
	}
	text.WriteString("\nThe database's processor time must be at most 4 times that of one PostgreSQL.\n")
	_, err := io.WriteString(w, text.String())
	return err
}
