package main

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Promise: the worker can be built into this commit's benchmark, so that later commits can be compared with it.
func TestWorkerBuilds(t *testing.T) {
	t.Parallel()
	output, err := exec.Command("go", "vet", "-tags", "comparison", ".").CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// Promise: ratios are taken within each round, and the base comes first in every other round.
func TestComparison(t *testing.T) {
	t.Parallel()
	names := func(first bool) []string {
		var names []string
		for _, m := range withBase([]measurement{{name: Minimal}, {name: Limit}, {name: Full}, {name: Search}}, new(baseSite), first, 1) {
			names = append(names, m.name)
		}
		return names
	}
	require.Equal(t, []string{Minimal, Limit, BaseLimit, Full, Search, BaseSearch}, names(false))
	require.Equal(t, []string{Minimal, BaseLimit, Limit, Full, BaseSearch, Search}, names(true))

	size := newSize(NewRegion(0.01, time.Now()))
	size.Comparison = &Comparison{Base: "abc"}
	for round := range 3 {
		speed := float64(round + 1) // of the machine
		for name, rate := range map[string]float64{Limit: 300, BaseLimit: 200, Booking16: 100, BaseBooking16: 50, Search: 30, BaseSearch: 30} {
			size.add(name, Sample{Load: Load{Rate: rate * speed}, ServiceCPU: rate, PostgresCPU: rate, WAL: rate})
		}
	}
	size.compare()
	require.Equal(t, Comparison{Base: "abc", Limit: 1.5, Booking16: 2, Search: 1, ServiceCPU: 2, PostgresCPU: 2, WAL: 2}, *size.Comparison)
}
