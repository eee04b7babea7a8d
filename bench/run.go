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

// The names of the measurements in the report.
const (
	Minimal   = "minimal"    // the fixed reference: pgbench with minimal.sql
	Limit     = "limit"      // (a) the booking's statements with pgbench
	Booking16 = "booking 16" // (b) the service over 16 connections
	Booking64 = "booking 64" // (b) the service over 64 connections
	Mixed     = "mixed"      // (c) every fifth booking is refused
	Refusals  = "refusals"   // (d) refusals by a rule that needs only the loaded facts
	Full      = "full"       // (d) refusals of a full cell, which contain the nearest free cells
	Search    = "search"     // (e) searches for free cells
	Search1   = "search 1"   // (e) over one connection, without waiting for other requests
	AllSearch = "all search" // (e) with a laboratory referral, in all resources of an institution
	NoneFree  = "none free"  // (e) in a fully booked speciality
	Day       = "day"        // (f) a day of patients
	HalfLimit = "half limit" // (a) at the rate of HalfRate
	HalfRate  = "half rate"  // (b) at half of the highest rate
	Rush      = "rush"       // bookings of one resource, as fast as 1000 connections allow
	Minute    = "minute"     // the same requests as Rush, spread over a minute
)

// measurements is the order of the measurements in the report. A round consists of all except
// Minute, Rush and, without a base, those of the base.
var measurements = []string{
	Minimal, Limit, Booking16, Booking64, Mixed, Refusals, Full, Search, Search1, AllSearch, NoneFree, Day,
	HalfLimit, HalfRate, Minute, Rush, BaseLimit, BaseBooking16, BaseSearch,
}

// plan contains the parameters of a run.
type plan struct {
	scales   []float64
	rounds   int
	requests int64 // per measurement
	rush     int64
	base     string // the commit to compare with; empty: none
}

const (
	warmUpRequests  = 2_000
	minimalTimes    = 4  // minimal bookings per request: they are faster, and pgbench's start would count too much
	searchPart      = 4  // requests per search, because a search takes longer than a booking
	worstPart       = 8  // requests per search of a worst case
	dayPart         = 10 // requests per patient, who makes six or seven
	coldStarts      = 5
	rushConnections = 1_000
)

// run makes all measurements of the plan and returns the report. Each round contains all sizes and
// measurements, so that a temporary load of the machine affects all of them.
func run(ctx context.Context, server *server, plan plan, progress io.Writer) (_ *Report, err error) {
	if n := int64(len(plan.scales)*plan.rounds) * minimalTimes * plan.requests; n > minimalRows {
		return nil, fmt.Errorf("%d minimal bookings exceed %d: use fewer rounds or requests", n, minimalRows)
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
	var base *base
	if plan.base != "" {
		fmt.Fprintln(progress, "building the commit to compare with")
		if base, err = buildBase(ctx, plan.base); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, base.remove()) }()
	}
	report := &Report{Machine: machine, Rounds: plan.rounds, Requests: plan.requests}
	var sites []*site
	var baseSites []*baseSite // one for each site; empty without a base
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
		if base != nil {
			s, err := base.open(ctx, server, scale, progress)
			if err != nil {
				return nil, err
			}
			baseSites = append(baseSites, s)
			size.Comparison = &Comparison{Base: base.commit}
		}
	}

	minimal, err := openMinimal(ctx, server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, minimal.close(ctx)) }()

	for i, s := range sites {
		if err := report.Sizes[i].warmUp(ctx, program, s, progress); err != nil {
			return nil, err
		}
	}
	if err := report.rounds(ctx, plan, sites, baseSites, minimal, progress); err != nil {
		return nil, err
	}
	for i, s := range sites {
		sizePlan := plan
		if i < len(sites)-1 {
			sizePlan.rush = 0 // the rush is measured on the last size only
		}
		if err := report.Sizes[i].measureOnce(ctx, s, sizePlan, progress); err != nil {
			return nil, err
		}
	}
	report.summarize()
	return report, nil
}

// warmUp measures the start of the service, and then sends requests so that the service opens its
// connections and plans its statements.
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

// rounds makes the rounds of a plan. baseSites has one element for each site, or is empty.
func (r *Report) rounds(
	ctx context.Context, plan plan, sites []*site, baseSites []*baseSite, minimal *minimal, progress io.Writer,
) error {
	for round := range plan.rounds {
		for i, s := range sites {
			var baseSite *baseSite
			if len(baseSites) > 0 {
				baseSite = baseSites[i]
			}
			title := fmt.Sprintf("round %d of %d", round+1, plan.rounds)
			if err := r.Sizes[i].round(ctx, s, baseSite, minimal, plan.requests, title, progress); err != nil {
				return err
			}
		}
	}
	return nil
}

// openScale ensures the data of a scale and starts the service on them.
func openScale(
	ctx context.Context, server *server, program string, scale float64, plan plan, progress io.Writer,
) (*site, error) {
	if most := NewRegion(scale, time.Now()).Referrals - settleRequests; plan.requests > most {
		return nil, fmt.Errorf("at most %d requests at scale %g: each needs another referral", most, scale)
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

// coldStart returns the time from the start of the service until it is ready, in milliseconds: the
// median of several starts.
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

// measurement is a measurement of a round.
type measurement struct {
	name string
	do   func() (Sample, error)
}

// withBase inserts the base's measurements next to their counterparts: before them if first is set,
// else after them. run alternates the order, so that neither always follows the other.
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

// round makes each measurement once. base is nil without a commit to compare with.
func (size *Size) round(
	ctx context.Context, s *site, base *baseSite, minimal *minimal, n int64, title string, progress io.Writer,
) error {
	measurements := []measurement{
		{Minimal, func() (Sample, error) { return minimal.measure(ctx, minimalTimes*n) }},
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
		fmt.Fprintf(progress, "scale %g, %s: %-15s %6.0f/s, p50 %.1f ms, p99 %.1f ms\n",
			size.Scale, title, m.name, sample.Rate, sample.P50, sample.P99)
	}
	return nil
}

// measureOnce makes the measurements that are made once, after the rounds: the plans of the
// queries, the rush and the allocations.
func (size *Size) measureOnce(ctx context.Context, s *site, plan plan, progress io.Writer) error {
	// The plans are checked while the last bookings exist, because the plan for an empty table
	// proves nothing.
	if _, err := s.conn.Exec(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("update the statistics: %w", err)
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
			{Minute, func() (Sample, error) {
				return s.steady(ctx, float64(plan.rush)/60, plan.rush, s.region.Rush)
			}},
			{Rush, func() (Sample, error) { return s.closed(ctx, rushConnections, plan.rush, s.region.Rush) }},
		} {
			sample, err := m.do()
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			size.add(m.name, sample)
			fmt.Fprintf(progress, "scale %g: %-10s %6.0f/s, p50 %.1f ms, p99 %.1f ms, %v\n",
				size.Scale, m.name, sample.Rate, sample.P50, sample.P99, sample.Outcomes)
		}
	}
	size.Allocations, size.AllocatedBytes, err = allocations(ctx, s, plan.requests)
	return err
}

// median returns the median, or the upper of the two middle values. It returns the zero value for
// no values.
func median[T cmp.Ordered](values []T) T {
	if len(values) == 0 {
		var none T
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
