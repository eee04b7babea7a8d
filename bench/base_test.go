package main

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Promise: the worker compiles with the benchmark of this commit, so later commits can be compared
// with this one.
func TestWorkerBuilds(t *testing.T) {
	t.Parallel()
	output, err := exec.Command("go", "vet", "-tags", "comparison", ".").CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// Promise: ratios are computed within each round, and the base is measured first in every other
// round.
func TestComparison(t *testing.T) {
	t.Parallel()
	names := func(first bool) []string {
		var names []string
		measurements := []measurement{{name: Minimal}, {name: Limit}, {name: Full}, {name: Search}}
		for _, m := range withBase(measurements, new(baseSite), first, 1) {
			names = append(names, m.name)
		}
		return names
	}
	require.Equal(t, []string{Minimal, Limit, BaseLimit, Full, Search, BaseSearch}, names(false))
	require.Equal(t, []string{Minimal, BaseLimit, Limit, Full, BaseSearch, Search}, names(true))

	size := newSize(NewRegion(0.01, time.Now()))
	size.Comparison = &Comparison{Base: "abc"}
	for round := range 3 {
		speed := float64(round + 1) // of the machine in this round
		for name, rate := range map[string]float64{
			Limit: 300, BaseLimit: 200, Booking16: 100, BaseBooking16: 50, Search: 30, BaseSearch: 30,
		} {
			size.add(name, Sample{Load: Load{Rate: rate * speed}, ServiceCPU: rate, PostgresCPU: rate, WAL: rate})
		}
	}
	size.compare()
	want := Comparison{Base: "abc", Limit: 1.5, Booking16: 2, Search: 1, ServiceCPU: 2, PostgresCPU: 2, WAL: 2}
	require.Equal(t, want, *size.Comparison)
}
