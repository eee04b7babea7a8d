package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Report is the result of a run.
type Report struct {
	Machine  Machine `json:"machine"`
	Rounds   int     `json:"rounds"`
	Requests int64   `json:"requests"` // per measurement
	Sizes    []*Size `json:"sizes"`
}

// Size is the result for one size of the data.
type Size struct {
	Scale          float64             `json:"scale"`
	Cells          int64               `json:"cells"`
	Persons        int64               `json:"persons"`
	Referrals      int64               `json:"referrals"`
	ColdStart      float64             `json:"cold_start_ms"`
	Allocations    float64             `json:"allocations_per_booking"`
	AllocatedBytes float64             `json:"allocated_bytes_per_booking"`
	WholeScans     []string            `json:"whole_scans"` // «query: table» for each full scan of a growing table
	Samples        map[string][]Sample `json:"samples"`
	Medians        map[string]Sample   `json:"medians"`
	Comparison     *Comparison         `json:"comparison,omitempty"` // with an earlier commit
	Ratio16        float64             `json:"ratio_16"`             // (b)/(a), median of the ratios within each round
	Ratio64        float64             `json:"ratio_64"`
	ToMinimal      float64             `json:"booking_16_to_minimal"` // (b) at 16 connections / minimal booking
	LimitToMinimal float64             `json:"limit_to_minimal"`      // (a) / minimal booking
	RefusalRatio   float64             `json:"refusal_ratio"`         // (d)/(b) at 16 connections
	FullRatio      float64             `json:"full_ratio"`            // the same for full cells
	AgainstFirst   float64             `json:"against_first"`         // (b) at 16 connections / that of the first size
}

func newSize(region Region) *Size {
	return &Size{
		Scale: region.Scale, Cells: region.Cells(), Persons: region.Persons, Referrals: region.Referrals,
		Samples: map[string][]Sample{}, Medians: map[string]Sample{},
	}
}

func (size *Size) add(name string, sample Sample) {
	size.Samples[name] = append(size.Samples[name], sample)
}

// highestRate returns the higher of the median booking rates at 16 and 64 connections, per second.
func (size *Size) highestRate() float64 {
	return max(medianOf(size.Samples[Booking16], rateOf), medianOf(size.Samples[Booking64], rateOf))
}

func rateOf(s Sample) float64 { return s.Rate }

func medianOf(samples []Sample, figure func(Sample) float64) float64 {
	var figures []float64
	for _, sample := range samples {
		figures = append(figures, figure(sample))
	}
	return median(figures)
}

// ratio returns the median, over the rounds, of the ratio of two measurements' rates in the same
// round.
func (size *Size) ratio(of, to string) float64 { return size.ratioOf(rateOf, of, to) }

// ratioOf is ratio for another figure than the rate.
func (size *Size) ratioOf(figure func(Sample) float64, of, to string) float64 {
	var ratios []float64
	for i, sample := range size.Samples[of] {
		if divisor := figure(size.Samples[to][i]); divisor != 0 { // JSON has no infinity
			ratios = append(ratios, figure(sample)/divisor)
		}
	}
	return median(ratios)
}

// summarize computes the medians and ratios of all sizes.
func (r *Report) summarize() {
	for _, size := range r.Sizes {
		for name, samples := range size.Samples {
			of := func(figure func(Sample) float64) float64 { return medianOf(samples, figure) }
			size.Medians[name] = Sample{
				Load: Load{
					Requests: samples[0].Requests,
					Outcomes: samples[len(samples)-1].Outcomes,
					Rate:     of(rateOf),
					P50:      of(func(s Sample) float64 { return s.P50 }),
					P99:      of(func(s Sample) float64 { return s.P99 }),
					Steps:    medianSteps(samples),
				},
				ServiceCPU:  of(func(s Sample) float64 { return s.ServiceCPU }),
				PostgresCPU: of(func(s Sample) float64 { return s.PostgresCPU }),
				ClientCPU:   of(func(s Sample) float64 { return s.ClientCPU }),
				WAL:         of(func(s Sample) float64 { return s.WAL }),
				PeakMiB:     of(func(s Sample) float64 { return s.PeakMiB }),
			}
		}
		size.Ratio16, size.Ratio64 = size.ratio(Booking16, Limit), size.ratio(Booking64, Limit)
		size.ToMinimal, size.LimitToMinimal = size.ratio(Booking16, Minimal), size.ratio(Limit, Minimal)
		size.RefusalRatio, size.FullRatio = size.ratio(Refusals, Booking16), size.ratio(Full, Booking16)
		size.compare()
		var against []float64
		for i, sample := range size.Samples[Booking16] {
			against = append(against, sample.Rate/r.Sizes[0].Samples[Booking16][i].Rate)
		}
		size.AgainstFirst = median(against)
	}
}

// medianSteps returns the median latencies of the steps of a day.
func medianSteps(samples []Sample) map[string]Latency {
	steps := map[string]Latency{}
	for name, last := range samples[len(samples)-1].Steps {
		last.P50 = medianOf(samples, func(s Sample) float64 { return s.Steps[name].P50 })
		last.P99 = medianOf(samples, func(s Sample) float64 { return s.Steps[name].P99 })
		steps[name] = last
	}
	return steps
}

// labels are the descriptions of the measurements in the report.
var labels = map[string]string{
	Minimal:       "minimal booking, pgbench, 16 connections",
	Limit:         "(a) pgbench, 8 connections",
	BaseLimit:     "base: (a) pgbench, 8 connections",
	BaseBooking16: "base: (b) service, 16 connections",
	BaseSearch:    "base: (e) free cells, 16",
	Booking16:     "(b) service, 16 connections",
	Booking64:     "(b) service, 64 connections",
	Mixed:         "(c) every fifth refused, 16",
	Refusals:      "(d) all refused, 16",
	Full:          "(d) all for full cells, 16",
	Search:        "(e) free cells, 16",
	Search1:       "(e) free cells, 1",
	AllSearch:     "(e) laboratory referral: all resources, 16",
	NoneFree:      "(e) fully booked speciality, 16",
	Day:           "(f) a day of patients",
	HalfLimit:     "(a) at half the rate of (b)",
	HalfRate:      "(b) at half the rate",
	Minute:        "one resource, within a minute",
	Rush:          "one resource, 1000 connections",
}

// targets returns the targets of a size.
func (size *Size) targets() []target {
	booking, half, most := size.Medians[Booking16], size.Medians[HalfRate], size.Medians[Booking64]
	latency := halfRateRatio*size.Medians[HalfLimit].P99 + halfRateExtra
	targets := []target{
		atLeast("booking 16 / minimal (goal 0.25)", size.ToMinimal, 0.18, "%.3f"),
		atLeast("ratio (b)/(a), 16 connections", size.Ratio16, 0.60, "%.2f"),
		atMost("p99 of (b) at half of the highest rate, ms (1.3 × that of (a), and 5)", half.P99, latency, "%.1f"),
		atMost("p99 of a search for free cells at 1 connection, ms", size.Medians[Search1].P99, 6, "%.1f"),
		atMost("service CPU per booking / PostgreSQL CPU per booking", booking.ServiceCPU/booking.PostgresCPU, 1,
			"%.2f"),
		atMost("allocations per booking", size.Allocations, 600, "%.0f"),
		atMost("WAL per booking at 16 connections, bytes", booking.WAL, 5<<10, "%.0f"),
		atMost("service's peak memory at 64 connections, MiB", most.PeakMiB, 100, "%.0f"),
		atLeast("rate of refusals / rate of bookings", size.RefusalRatio, 2, "%.2f"),
		atLeast("rate of refusals with the nearest free cells / rate of bookings", size.FullRatio, 2, "%.2f"),
		atMost("start until ready, ms", size.ColdStart, 1000, "%.0f"),
		atMost("queries with a full scan of a growing table", float64(len(size.WholeScans)), 0, "%.0f"),
		atLeast("rate of bookings / rate at the run's first size", size.AgainstFirst, 0.90, "%.2f"),
	}
	if c := size.Comparison; c != nil {
		targets = append(targets,
			atLeast("rate of (a) / rate of the base", c.Limit, 1.6, "%.2f"),
			atLeast("rate of searches / rate of the base", c.Search, 1.3, "%.2f"),
			atMost("PostgreSQL CPU per booking / that of the base", c.PostgresCPU, 0.60, "%.2f"),
			atMost("service CPU per booking / that of the base", c.ServiceCPU, 0.75, "%.2f"),
		)
	}
	return targets
}

// The bound of the p99 of bookings at half of the highest rate is halfRateRatio times pgbench's p99
// at the same rate in the same round, plus halfRateExtra milliseconds. A fixed bound would measure
// the machine, because shared disks stall.
const (
	halfRateRatio = 1.3
	halfRateExtra = 5
)

func atLeast(name string, figure, bound float64, format string) target {
	return target{name, figure, fmt.Sprintf("≥ "+format, bound), figure >= bound, format}
}

func atMost(name string, figure, bound float64, format string) target {
	return target{name, figure, fmt.Sprintf("≤ "+format, bound), figure <= bound, format}
}

type target struct {
	name   string
	figure float64
	bound  string
	met    bool
	format string
}

// markdown writes the title of a report and the machine.
func (m *Machine) markdown(w io.Writer) {
	fmt.Fprintf(w, "# Bench: %s\n\n", m.Started.Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(w,
		"%s, %d cores, %d MiB, Linux %s, PostgreSQL %s (%s, %d MiB in huge pages), %s, commit %s. "+
			"Load average before: %s.\n",
		m.Processor, m.Cores, m.MemoryMiB, m.Kernel, m.PostgreSQL, m.Settings, m.HugePages, m.Go, m.Commit,
		m.LoadBefore)
}

// markdown writes the report as tables.
func (r *Report) markdown(w io.Writer) error {
	var text strings.Builder
	r.Machine.markdown(&text)
	fmt.Fprintf(&text,
		"Medians of %d rounds, %d requests per measurement. "+
			"The client, the service and the database run on this machine.\n",
		r.Rounds, r.Requests)
	for _, size := range r.Sizes {
		fmt.Fprintf(&text, "\n## Scale %g: %d cells, %d persons, %d referrals\n\n", size.Scale, size.Cells,
			size.Persons, size.Referrals)
		text.WriteString("| measurement | requests/s | p50 ms | p99 ms | service CPU µs | PostgreSQL CPU µs | " +
			"client CPU µs | WAL bytes | service peak MiB | outcomes |\n")
		text.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
		for _, name := range measurements {
			s, ok := size.Medians[name]
			if !ok {
				continue
			}
			p50, p99 := fmt.Sprintf("%.1f", s.P50), fmt.Sprintf("%.1f", s.P99)
			service, peak := fmt.Sprintf("%.0f", s.ServiceCPU), fmt.Sprintf("%.0f", s.PeakMiB)
			if name == Minimal {
				p50, p99 = "", "" // pgbench writes no log
			}
			if name == Minimal || name == Limit || name == BaseLimit || name == HalfLimit {
				service, peak = "", "" // the service is idle
			}
			fmt.Fprintf(&text, "| %s | %.0f | %s | %s | %s | %.0f | %.0f | %.0f | %s | %s |\n",
				labels[name], s.Rate, p50, p99, service, s.PostgresCPU, s.ClientCPU, s.WAL, peak, outcomes(s.Outcomes))
		}
		size.Comparison.markdown(size, &text)
		if steps := size.Medians[Day].Steps; len(steps) > 0 {
			text.WriteString("\n| a day | requests | p50 ms | p99 ms |\n|---|--:|--:|--:|\n")
			for _, name := range daySteps {
				fmt.Fprintf(&text, "| %s | %d | %.1f | %.1f |\n", name, steps[name].Requests, steps[name].P50,
					steps[name].P99)
			}
		}
		fmt.Fprintf(&text, "\nAllocations per booking: %.0f, %.1f KiB. "+
			"WAL per booking at 16 connections: %.0f bytes (minimal: %.0f). "+
			"Ratio (b)/(a) at 64 connections: %.2f. Ratio (a)/minimal: %.3f.\n\n",
			size.Allocations, size.AllocatedBytes/1024, size.Medians[Booking16].WAL, size.Medians[Minimal].WAL,
			size.Ratio64, size.LimitToMinimal)
		text.WriteString("| target | measured | bound | |\n|---|--:|--:|---|\n")
		for _, t := range size.targets() {
			mark := "met"
			if !t.met {
				mark = "**missed**"
			}
			fmt.Fprintf(&text, "| %s | "+t.format+" | %s | %s |\n", t.name, t.figure, t.bound, mark)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func outcomes(counts map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s: %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}

// save writes latest.json, latest.md and latest.svg to the directory.
func (r *Report) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // world-readable on purpose
		return err
	}
	document, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	var tables strings.Builder
	if err := r.markdown(&tables); err != nil {
		return err
	}
	write := func(name string, content []byte) error {
		return os.WriteFile(filepath.Join(dir, name), content, 0o644) //nolint:gosec // world-readable on purpose
	}
	return errors.Join(
		write("latest.json", append(document, '\n')),
		write("latest.md", []byte(tables.String())),
		write("latest.svg", []byte(chart(r))),
	)
}
