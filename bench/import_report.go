package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// importFigure is a row of the report.
type importFigure struct {
	name   string
	format string
	target string
	bound  float64 // of the target: at least, or at most if it is negative; 0 without a target
	of     func(importRound) float64
}

// importFigures are the rows of the report.
var importFigures = []importFigure{
	{
		"new cells a second", "%.0f", "≥ 25,000, goal 50,000", 25_000,
		func(r importRound) float64 { return r.New },
	},
	{
		"unchanged cells a second", "%.0f", "≥ 100,000, goal 200,000", 100_000,
		func(r importRound) float64 { return r.Unchanged },
	},
	{
		"`COPY` into a table with the same indexes, cells a second", "%.0f", "", 0,
		func(r importRound) float64 { return r.Copy },
	},
	{
		"new cells / `COPY`", "%.2f", "", 0,
		func(r importRound) float64 { return r.New / r.Copy },
	},
	{
		"processor time of `talon import` for a new cell, µs", "%.1f", "", 0,
		func(r importRound) float64 { return r.NewCPU },
	},
	{
		"processor time of PostgreSQL for a new cell, µs", "%.1f", "", 0,
		func(r importRound) float64 { return r.NewPostgres },
	},
	{
		"peak memory of `talon import`, MiB", "%.0f", "≤ 150", -150,
		func(r importRound) float64 { return r.PeakMiB },
	},
	{
		"`PUT` of a new day of 32 cells, p50, ms", "%.1f", "", 0,
		func(r importRound) float64 { return r.WindowP50 },
	},
	{
		"the same, p99, ms", "%.1f", "≤ 20", -20,
		func(r importRound) float64 { return r.WindowP99 },
	},
	{
		"bookings a second, 16 connections", "%.0f", "", 0,
		func(r importRound) float64 { return r.pairs(func(p importPair) float64 { return p.Alone.Rate }) },
	},
	{
		"the same next to an import", "%.0f", "", 0,
		func(r importRound) float64 { return r.pairs(func(p importPair) float64 { return p.Beside.Rate }) },
	},
	{
		"their ratio", "%.2f", "≥ 0.80", 0.80,
		func(r importRound) float64 { return r.pairs(importPair.ratio) },
	},
	{
		"p99 of a booking, ms", "%.1f", "", 0,
		func(r importRound) float64 { return r.pairs(func(p importPair) float64 { return p.Alone.P99 }) },
	},
	{
		"the same next to an import", "%.1f", "", 0,
		func(r importRound) float64 { return r.pairs(func(p importPair) float64 { return p.Beside.P99 }) },
	},
	{
		"new cells a second next to the bookings", "%.0f", "", 0,
		func(r importRound) float64 { return r.pairs(func(p importPair) float64 { return p.New }) },
	},
	{
		"peak memory of the service that imports, MiB", "%.0f", "≤ 150", -150,
		func(r importRound) float64 { return r.pairs(func(p importPair) float64 { return p.Beside.PeakMiB }) },
	},
}

// markdown writes the report as a table: the median of the rounds, and each round.
func (r *importReport) markdown(w io.Writer) error {
	var text strings.Builder
	r.Machine.markdown(&text)
	fmt.Fprintf(&text,
		"%d rounds, files of %d cells. The client, the service and the database run on this machine.\n\n",
		len(r.Rounds), r.Cells)
	text.WriteString("| | median | rounds | target | |\n|---|--:|---|---|---|\n")
	for _, f := range importFigures {
		var figures []float64
		var each []string
		for _, round := range r.Rounds {
			figures = append(figures, f.of(round))
			each = append(each, fmt.Sprintf(f.format, f.of(round)))
		}
		middle := median(figures)
		mark := ""
		switch {
		case f.bound == 0:
		case math.Copysign(middle, f.bound) >= f.bound:
			mark = "met"
		default:
			mark = "**missed**"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", f.name, fmt.Sprintf(f.format, middle),
			strings.Join(each, ", "), f.target, mark)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// save writes import.json and import.md to the directory.
func (r *importReport) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // world-readable on purpose
		return err
	}
	document, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	var table strings.Builder
	if err := r.markdown(&table); err != nil {
		return err
	}
	write := func(name string, content []byte) error {
		return os.WriteFile(filepath.Join(dir, name), content, 0o644) //nolint:gosec // world-readable on purpose
	}
	return errors.Join(write("import.json", append(document, '\n')), write("import.md", []byte(table.String())))
}
