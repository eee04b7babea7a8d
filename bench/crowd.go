package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// The crowd: patients who list their referrals, each connection without a pause. The service has
// its default limits of a patient, and each request is of the next of many patients.
const (
	crowdPatients = 4_000
	crowdTime     = 10 * time.Second
)

// crowds are the numbers of connections. The last is compared with the best.
var crowds = []int{64, 240, 2_000}

// The other patients: they list their referrals, alone and while one patient searches without a
// pause over many connections.
const (
	attackConnections = 400
	otherRate         = 20 // lists a second
	otherLists        = 300
	attackBegins      = time.Second // before the other patients
)

// patientLimits are the default limits of a patient.
var patientLimits = []string{"TALON_PERSON_RATE=10", "TALON_PERSON_MAX_IN_FLIGHT=4"}

// crowdReport is the result of the benchmark. Loads with the same index are of the same round.
type crowdReport struct {
	machine  Machine
	loads    map[int][]Load // by connections
	alone    []Load
	attacked []Load
	peakMiB  float64
}

// runCrowd measures the rate of good responses to a growing crowd, and what one patient with many
// connections costs others.
func runCrowd(ctx context.Context, server *server, rounds int, progress io.Writer) (_ *crowdReport, err error) {
	report := &crowdReport{loads: map[int][]Load{}}
	if report.machine, err = describeMachine(ctx, server); err != nil {
		return nil, err
	}
	program, err := build(ctx)
	if err != nil {
		return nil, err
	}
	s, err := openCopy(ctx, server, "", "talon_bench_crowd", progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if s.service, err = startService(ctx, program, s.url, patientLimits...); err != nil {
		return nil, err
	}
	caller := s.service.caller()
	lists, err := writeAll(crowdPatients, s.take(crowdPatients), caller.list)
	if err != nil {
		return nil, err
	}
	others, err := writeAll(otherLists, s.take(otherLists), caller.list)
	if err != nil {
		return nil, err
	}
	attack, err := caller.searches(1, s.take(1))
	if err != nil {
		return nil, err
	}
	for round := range rounds {
		for i := range crowds {
			connections := crowds[(i+round)%len(crowds)]
			load, err := runWrkFor(ctx, s.service.address, connections, lists, crowdTime)
			if err != nil {
				return nil, err
			}
			report.loads[connections] = append(report.loads[connections], load)
			fmt.Fprintf(progress, "round %d of %d, %4d connections: %.0f good responses a second, %v\n",
				round+1, rounds, connections, load.good(), load.Outcomes)
		}
		alone, err := runSteady(ctx, caller.host, otherRate, others)
		if err != nil {
			return nil, err
		}
		attacked, err := s.attacked(ctx, attack, others)
		if err != nil {
			return nil, err
		}
		report.alone, report.attacked = append(report.alone, alone), append(report.attacked, attacked)
		fmt.Fprintf(progress, "round %d of %d, p99 of others: alone %.1f ms, attacked %.1f ms, %v\n",
			round+1, rounds, alone.P99, attacked.P99, attacked.Outcomes)
	}
	report.peakMiB = float64(s.service.process().peakMemory()) / (1 << 20)
	return report, nil
}

// attacked measures the lists of other patients while one patient searches.
func (s *site) attacked(ctx context.Context, search, lists [][]byte) (others Load, err error) {
	group, ctx := errgroup.WithContext(ctx)
	duration := attackBegins + time.Duration(len(lists)/otherRate)*time.Second
	group.Go(func() error {
		_, err := runWrkFor(ctx, s.service.address, attackConnections, search, duration)
		return err
	})
	group.Go(func() (err error) {
		time.Sleep(attackBegins)
		others, err = runSteady(ctx, s.service.caller().host, otherRate, lists)
		return err
	})
	return others, group.Wait()
}

// good returns the successful responses per second.
func (l *Load) good() float64 {
	return l.Rate * float64(l.Outcomes[outcomeOK]) / float64(l.Requests)
}

// rejected returns the responses with a status per second.
func (l *Load) rejected(status string) (rate float64) {
	for outcome, count := range l.Outcomes {
		if strings.HasPrefix(outcome, status) {
			rate += l.Rate * float64(count) / float64(l.Requests)
		}
	}
	return rate
}

// markdown writes the report.
func (r *crowdReport) markdown(w io.Writer) error {
	var text strings.Builder
	r.machine.markdown(&text)
	fmt.Fprintf(&text, "%d rounds; medians. The client, the service and the database run on this machine.\n\n"+
		"| connections | good responses a second | × 429 | × 503 | of the best | of the rounds |\n"+
		"|--:|--:|--:|--:|--:|---|\n",
		len(r.alone))
	for _, connections := range crowds {
		var good, limited, shed, ratios []float64
		for round, load := range r.loads[connections] {
			good, limited = append(good, load.good()), append(limited, load.rejected("429"))
			shed = append(shed, load.rejected("503"))
			ratios = append(ratios, load.good()/r.best(round))
		}
		fmt.Fprintf(&text, "| %d | %.0f | %.0f | %.0f | %.2f | %s |\n",
			connections, median(good), median(limited), median(shed), median(ratios), join(ratios))
	}
	var alone, attacked, ratios []float64
	failures := int64(0)
	for round := range r.alone {
		alone, attacked = append(alone, r.alone[round].P99), append(attacked, r.attacked[round].P99)
		ratios = append(ratios, attacked[round]/alone[round])
		failures += r.attacked[round].Requests - r.attacked[round].Outcomes[outcomeOK]
	}
	fmt.Fprintf(&text, "\np99 of other patients' lists: alone %.1f ms, "+
		"beside one patient with %d connections %.1f ms, ratio %.2f (%s), %d failures. "+
		"The service's memory was at most %.0f MiB.\n\n"+
		"At %d connections the rate must be at least 0.8 of the best, the ratio of the p99 at most 4, "+
		"without failures.\n",
		median(alone), attackConnections, median(attacked), median(ratios), join(ratios), failures, r.peakMiB,
		crowds[len(crowds)-1])
	_, err := io.WriteString(w, text.String())
	return err
}

// best returns the highest rate of good responses of a round.
func (r *crowdReport) best(round int) float64 {
	var best []float64
	for _, loads := range r.loads {
		best = append(best, loads[round].good())
	}
	return slices.Max(best)
}

// join writes ratios one after another.
func join(ratios []float64) string {
	each := make([]string, len(ratios))
	for i, ratio := range ratios {
		each[i] = fmt.Sprintf("%.2f", ratio)
	}
	return strings.Join(each, ", ")
}
