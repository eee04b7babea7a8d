// Command bench measures the cost of a booking. It creates the data of a region and compares the
// service with the database alone.
//
//	go run ./bench data    -scale 1
//	go run ./bench run     -scale 0.01,0.1,1 -rounds 5
//	go run ./bench run     -scale 0.1 -base HEAD~3
//	go run ./bench profile -scale 0.01
//	go run ./bench import  -cells 1000000 -rounds 3
//	go run ./bench events  -rounds 9
//	go run ./bench audit   -rounds 9
//	go run ./bench crowd   -rounds 5
//	go run ./bench feed    -readers 1000
//	go run ./bench webhooks -river
//	go run ./bench years
//	go run ./bench spread  -rounds 4    (DATABASE_URL: a coordinator of Citus)
//	go run ./bench scale                (needs no database)
//	go run ./bench standby -rounds 3
//
// docs/benchmarks.md explains the figures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// command runs the subcommand args[0] with the flags that follow it.
func command(ctx context.Context, args []string) (err error) {
	if len(args) == 0 {
		return errors.New("usage: bench data|run|profile|import|events|audit|crowd|feed|webhooks|years|standby|" +
			"spread|scale [flags]")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	scale := flags.String("scale", "1", "sizes of the data, separated by commas; 1 is a region of 10 million cells")
	rounds := flags.Int("rounds", 5, "number of times that each measurement is made")
	requests := flags.Int64("requests", 8_000, "requests per measurement")
	rush := flags.Int64("rush", rushReferrals, "requests of the rush on one resource; 0 skips it")
	cells := flags.Int64("cells", 1_000_000, "cells of an imported file; 10 million are a region")
	readers := flags.Int("readers", 1000, "readers of the feed that wait")
	river := flags.Bool("river", false, "also let River send the events to the webhooks")
	base := flags.String("base", "", "commit to compare with in the same run; empty: none")
	results := flags.String("results", "bench/results", "directory of the results")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	scales, err := parseScales(*scale)
	if err != nil {
		return err
	}
	if *rounds < 1 || *requests < 1_000 || *rush > rushReferrals {
		return fmt.Errorf("need at least 1 round and 1000 requests, and at most %d requests of the rush", rushReferrals)
	}

	if *cells < importDays*importDayCells || *cells > maxImportCells {
		return fmt.Errorf("-cells: must be from %d to %d", importDays*importDayCells, maxImportCells)
	}

	if args[0] == "scale" {
		return runScale(os.Stderr).markdown(os.Stdout)
	}
	if args[0] == "standby" { // it has servers of its own
		return printReport(runStandby(ctx, *rounds, os.Stderr))
	}
	server, err := startServer(ctx, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	switch args[0] {
	case "data":
		for _, scale := range scales {
			if _, err := ensureData(ctx, server, scale, os.Stderr); err != nil {
				return err
			}
		}
		return nil
	case "run":
		report, err := run(ctx, server, plan{scales, *rounds, *requests, *rush, *base}, os.Stderr)
		if err != nil {
			return err
		}
		return errors.Join(report.markdown(os.Stdout), report.save(*results))
	case "import":
		report, err := runImports(ctx, server, importPlan{*cells, *rounds}, os.Stderr)
		if err != nil {
			return err
		}
		return errors.Join(report.markdown(os.Stdout), report.save(*results))
	case "events", "audit":
		return printReport(runPart(ctx, server, parts[args[0]], *rounds, os.Stderr))
	case "crowd":
		return printReport(runCrowd(ctx, server, *rounds, os.Stderr))
	case "feed":
		return printReport(runFeed(ctx, server, *readers, os.Stderr))
	case "webhooks":
		return printReport(runWebhooks(ctx, server, *river, os.Stderr))
	case "spread":
		return printReport(runSpread(ctx, server, *rounds, os.Stderr))
	case "years":
		return printReport(runYears(ctx, server, os.Stderr))
	case "profile":
		region, err := ensureData(ctx, server, scales[0], os.Stderr)
		if err != nil {
			return err
		}
		s, err := openSite(ctx, server, "", region)
		if err != nil {
			return err
		}
		return errors.Join(profile(ctx, s, *requests, *results, os.Stdout), s.close(ctx))
	default:
		return fmt.Errorf("unknown command %q", args[0])
	}
}

// printReport writes a report to the standard output, unless it failed.
func printReport(report interface{ markdown(w io.Writer) error }, err error) error {
	if err != nil {
		return err
	}
	return report.markdown(os.Stdout)
}

func parseScales(list string) ([]float64, error) {
	var scales []float64
	for text := range strings.SplitSeq(list, ",") {
		scale, err := strconv.ParseFloat(text, 64)
		if err != nil || scale <= 0 || scale > 10 {
			return nil, fmt.Errorf("-scale: %q is not a number between 0 and 10", text)
		}
		scales = append(scales, scale)
	}
	return scales, nil
}
