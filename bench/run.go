package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// The measurements, by the names that the report uses.
const (
	Minimal   = "minimal"    // the fixed yardstick: pgbench with minimal.sql
	Limit     = "limit"      // (a) pgbench
	Booking16 = "booking 16" // (b) the service over 16 connections
	Booking64 = "booking 64" // (b) over 64
	Mixed     = "mixed"      // (c) a fifth refused
	Refusals  = "refusals"   // (d) of a rule that the facts decide
	Full      = "full"       // (d) of a full cell, which tells the nearest free ones
	Search    = "search"     // (e) free cells
	Search1   = "search 1"   // (e) over one connection, which waits for nobody
	AllSearch = "all search" // (e) with a laboratory referral: in all resources of an institution
	NoneFree  = "none free"  // (e) in a speciality that is fully booked
	Day       = "day"        // (f) of patients
	HalfLimit = "half limit" // (a) at the rate of HalfRate
	HalfRate  = "half rate"  // bookings at half of the highest rate
	Rush      = "rush"       // all for one resource, as fast as a thousand connections can
	Minute    = "minute"     // the same requests, spread over a minute
)

// The order of the measurements in the report; all but Minute and Rush make a round; those of the base only where there is one.
var measurements = []string{Minimal, Limit, Booking16, Booking64, Mixed, Refusals, Full, Search, Search1, AllSearch, NoneFree, Day, HalfLimit, HalfRate, Minute, Rush, BaseLimit, BaseBooking16, BaseSearch}

// plan is what a run does.
type plan struct {
	scales   []float64
	rounds   int
	requests int64 // of a measurement
	rush     int64
	base     string // the commit to compare with; empty: none
}

const (
	warmUpRequests  = 2_000
	minimalTimes    = 4  // a minimal booking takes a fraction of a booking's time, and pgbench's start would weigh too much
	searchPart      = 4  // a search takes a few times longer than a booking
	worstPart       = 8  // and its worst cases longer still
	dayPart         = 10 // a patient makes six or seven requests
	coldStarts      = 5
	rushConnections = 1_000
)

// run measures. Sizes and measurements alternate within each round: what else the machine does meets all of them.
func run(ctx context.Context, server *server, plan plan, progress io.Writer) (_ *Report, err error) {
	if n := int64(len(plan.scales)*plan.rounds) * minimalTimes * plan.requests; n > minimalRows {
		return nil, fmt.Errorf("%d minimal bookings, of at most %d: make fewer rounds or requests", n, minimalRows)
	}
	machine, err := describeMachine(ctx, server)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(progress, "building the service")
	program, err := build(ctx)
	if err != nil {
		return nil, err
	}
	var old *base
	if plan.base != "" {
		fmt.Fprintln(progress, "building the commit to compare with")
		if old, err = buildBase(ctx, plan.base); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, old.remove()) }()
	}
	report := &Report{Machine: machine, Rounds: plan.rounds, Requests: plan.requests}
	var sites []*site
	var baseSites []*baseSite // one for each of sites, or none
	defer func() {
		for _, s := range sites {
			err = errors.Join(err, s.close(ctx))
		}
		for _, s := range baseSites {
			err = errors.Join(err, s.close())
		}
	}()
	for _, scale := range plan.scales {
		s, err := openScale(ctx, server, program, scale, plan, progress)
		if err != nil {
			return nil, err
		}
		sites = append(sites, s)
		size := newSize(s.region)
		report.Sizes = append(report.Sizes, size)
		if old != nil {
			s, err := old.open(ctx, server, scale, progress)
			if err != nil {
				return nil, err
			}
			baseSites = append(baseSites, s)
			size.Comparison = &Comparison{Base: old.commit}
		}
	}

	yardstick, err := openMinimal(ctx, server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, yardstick.close(ctx)) }()

	for i, s := range sites {
		if err := report.Sizes[i].warmUp(ctx, program, s, progress); err != nil {
			return nil, err
		}
	}
	if err := report.rounds(ctx, plan, sites, baseSites, yardstick, progress); err != nil {
		return nil, err
	}
	for i, s := range sites {
		extra := plan
		if i < len(sites)-1 {
			extra.rush = 0 // once, on the last size
		}
		if err := report.Sizes[i].afterwards(ctx, s, extra, progress); err != nil {
			return nil, err
		}
	}
	report.summarize()
	return report, nil
}

// warmUp measures how the service starts, and has it make its connections and plans.
func (size *Size) warmUp(ctx context.Context, program string, s *site, progress io.Writer) (err error) {
	if size.ColdStart, err = coldStart(ctx, program, s); err != nil {
		return err
	}
	fmt.Fprintf(progress, "scale %g: ready after %.0f ms; warming up\n", size.Scale, size.ColdStart)
	for _, connections := range []int{16, 64} {
		if _, err := s.closed(ctx, connections, warmUpRequests, s.take(warmUpRequests)); err != nil {
			return err
		}
	}
	return nil
}

// rounds makes the rounds of a plan. There is a base's site for each of the sites, or none.
func (r *Report) rounds(ctx context.Context, plan plan, sites []*site, baseSites []*baseSite, yardstick *minimal, progress io.Writer) error {
	for round := range plan.rounds {
		for i, s := range sites {
			var baseSite *baseSite
			if len(baseSites) > 0 {
				baseSite = baseSites[i]
			}
			title := fmt.Sprintf("round %d of %d", round+1, plan.rounds)
			if err := r.Sizes[i].round(ctx, s, baseSite, yardstick, plan.requests, title, progress); err != nil {
				return err
			}
		}
	}
	return nil
}

// openScale makes the data of a scale, where they are not there yet, and starts the service on them.
func openScale(ctx context.Context, server *server, program string, scale float64, plan plan, progress io.Writer) (*site, error) {
	if most := NewRegion(scale, time.Now()).Referrals - settleRequests; plan.requests > most {
		return nil, fmt.Errorf("at most %d requests at scale %g: each is of a referral of its own", most, scale)
	}
	region, err := ensureData(ctx, server, scale, progress)
	if err != nil {
		return nil, err
	}
	s, err := openSite(ctx, server, program, region)
	if err != nil {
		return nil, err
	}
	if err := s.ensureWorstCases(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// coldStart is how long the service takes from its start until it is ready, in milliseconds: the median of some starts.
func coldStart(ctx context.Context, program string, s *site) (float64, error) {
	var times []float64
	for range coldStarts {
		other, err := startService(ctx, program, s.url)
		if err != nil {
			return 0, err
		}
		times = append(times, float64(other.started.Microseconds())/1000)
		if err := other.stop(); err != nil {
			return 0, err
		}
	}
	return median(times), nil
}

// measurement is one of a round.
type measurement struct {
	name string
	do   func() (Sample, error)
}

// withBase returns the measurements with each that the base makes too next to its counterpart. The base comes first in every other round, so that
// neither always follows the other.
func withBase(measurements []measurement, base *baseSite, first bool, n int64) []measurement {
	if base == nil {
		return measurements
	}
	counterparts := map[string]measurement{
		Limit:     {BaseLimit, func() (Sample, error) { return base.measure("limit", n) }},
		Booking16: {BaseBooking16, func() (Sample, error) { return base.measure("booking", n) }},
		Search:    {BaseSearch, func() (Sample, error) { return base.measure("search", n/searchPart) }},
	}
	var all []measurement
	for _, m := range measurements {
		counterpart, ok := counterparts[m.name]
		switch {
		case !ok:
			all = append(all, m)
		case first:
			all = append(all, counterpart, m)
		default:
			all = append(all, m, counterpart)
		}
	}
	return all
}

// round makes each measurement once; base is nil where there is nothing to compare with.
func (size *Size) round(ctx context.Context, s *site, base *baseSite, yardstick *minimal, n int64, title string, progress io.Writer) error {
	measurements := []measurement{
		{Minimal, func() (Sample, error) { return yardstick.measure(ctx, minimalTimes*n) }},
		{Limit, func() (Sample, error) { return s.limit(ctx, 0, n) }},
		{Booking16, func() (Sample, error) { return s.closed(ctx, 16, n, s.take(n)) }},
		{Booking64, func() (Sample, error) { return s.closed(ctx, 64, n, s.take(n)) }},
		{Mixed, func() (Sample, error) { return s.closed(ctx, 16, n, mixed(s.take(n))) }},
		{Refusals, func() (Sample, error) { return s.closed(ctx, 16, n, s.region.mismatched(s.take(n))) }},
		{Full, func() (Sample, error) { return s.closed(ctx, 16, n, full(s.take(n))) }},
		{Search, func() (Sample, error) { return s.search(ctx, 16, n/searchPart) }},
		{Search1, func() (Sample, error) { return s.search(ctx, 1, n/searchPart) }},
		{AllSearch, func() (Sample, error) { return s.worstSearch(ctx, 16, n/worstPart, s.region.laboratory) }},
		{NoneFree, func() (Sample, error) { return s.worstSearch(ctx, 16, n/worstPart, s.region.fullyBooked) }},
		{Day, func() (Sample, error) { return s.day(ctx, size.highestRate()/dayPart, n/dayPart) }},
		{HalfLimit, func() (Sample, error) { return s.limit(ctx, size.highestRate()/2, n) }},
		{HalfRate, func() (Sample, error) { return s.steady(ctx, size.highestRate()/2, n, s.take(n)) }},
	}
	baseFirst := len(size.Samples[Minimal])%2 == 1
	for _, m := range withBase(measurements, base, baseFirst, n) {
		sample, err := m.do()
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		size.add(m.name, sample)
		fmt.Fprintf(progress, "scale %g, %s: %-15s %6.0f a second, p50 %.1f ms, p99 %.1f ms\n", size.Scale, title, m.name, sample.Rate, sample.P50, sample.P99)
	}
	return nil
}

// afterwards makes the measurements that are too large for a round.
func (size *Size) afterwards(ctx context.Context, s *site, plan plan, progress io.Writer) error {
	// While the last bookings are there: of an empty table any plan is good.
	if _, err := s.conn.Exec(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("count the bookings for the planner: %w", err)
	}
	var err error
	if size.WholeScans, err = wholeScans(ctx, s.conn); err != nil {
		return err
	}
	if plan.rush > 0 {
		for _, m := range []struct {
			name string
			do   func() (Sample, error)
		}{
			{Minute, func() (Sample, error) { return s.steady(ctx, float64(plan.rush)/60, plan.rush, s.region.Rush) }},
			{Rush, func() (Sample, error) { return s.closed(ctx, rushConnections, plan.rush, s.region.Rush) }},
		} {
			sample, err := m.do()
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			size.add(m.name, sample)
			fmt.Fprintf(progress, "scale %g: %-10s %6.0f a second, p50 %.1f ms, p99 %.1f ms, %v\n", size.Scale, m.name, sample.Rate, sample.P50, sample.P99, sample.Outcomes)
		}
	}
	size.Allocations, size.AllocatedBytes, err = allocations(ctx, s, plan.requests)
	return err
}

// median is the middle one; of an even number, the upper of the two.
func median[T cmp.Ordered](values []T) T {
	if len(values) == 0 {
		var none T
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
