package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"

	"talon.example/internal/app"
)

// withInProcessService runs the service in this process, warms it up, and calls measure with a
// function that makes n bookings. In this process allocations can be counted and profiles taken
// without a debug port. The client runs as another process.
func withInProcessService(
	ctx context.Context, s *site, n int64, measure func(load func() error) error,
) (err error) {
	environment, key, err := settings(s.url)
	if err != nil {
		return err
	}
	config, err := app.ReadConfig(environment)
	if err != nil {
		return err
	}
	log, err := os.CreateTemp("", "talon-bench-log-")
	if err != nil {
		return err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	talon, err := app.New(ctx, config, slog.New(slog.NewJSONHandler(log, nil)), time.Now, app.Wrappers{})
	if err != nil {
		return err
	}
	defer talon.Close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- talon.Serve(serving, listener) }()
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()

	caller := caller{key: key, host: listener.Addr().String(), now: time.Now()}
	load := func(n int64) error {
		requests, err := caller.requests(n, s.take(n))
		if err != nil {
			return err
		}
		got, err := runWrk(ctx, "http://"+caller.host, 16, requests)
		if err == nil && got.Outcomes[outcomeOK] != n {
			err = fmt.Errorf("not all of %d bookings succeeded: %v", n, got.Outcomes)
		}
		return err
	}
	if err := s.reset(ctx); err != nil {
		return err
	}
	if err := load(min(n, warmUpRequests)); err != nil { // opens the connections and prepares their statements
		return err
	}
	if err := s.reset(ctx); err != nil {
		return err
	}
	requests, err := caller.requests(n, s.take(n))
	if err != nil {
		return err
	}
	return measure(func() error {
		got, err := runWrk(ctx, "http://"+caller.host, 16, requests)
		if err == nil && got.Outcomes[outcomeOK] != n {
			err = fmt.Errorf("not all of %d bookings succeeded: %v", n, got.Outcomes)
		}
		return err
	})
}

// allocations returns the number of heap objects and bytes that the service allocates per booking.
func allocations(ctx context.Context, s *site, n int64) (objects, bytes float64, err error) {
	err = withInProcessService(ctx, s, n, func(load func() error) error {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := load(); err != nil {
			return err
		}
		runtime.ReadMemStats(&after)
		objects = float64(after.Mallocs-before.Mallocs) / float64(n)
		bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("count allocations: %w", err)
	}
	return objects, bytes, nil
}

// profile writes a CPU profile and an allocation profile of n bookings to the directory, and prints
// their largest entries to w.
func profile(ctx context.Context, s *site, n int64, dir string, w io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // world-readable on purpose
		return err
	}
	cpu, heap := filepath.Join(dir, "cpu.pprof"), filepath.Join(dir, "allocs.pprof")
	err := withInProcessService(ctx, s, n, func(load func() error) error {
		return writeProfile(cpu, func(file *os.File) error {
			if err := pprof.StartCPUProfile(file); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
			return load()
		})
	})
	if err != nil {
		return fmt.Errorf("profile the CPU: %w", err)
	}
	// One sample per 4 KiB instead of per 512 KiB. This slows the service, so the CPU profile is
	// taken before.
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 4 << 10
	err = withInProcessService(ctx, s, n, func(load func() error) error {
		if err := load(); err != nil {
			return err
		}
		runtime.GC() // the profile contains the allocations up to the last collection
		return writeProfile(heap, func(file *os.File) error { return pprof.Lookup("allocs").WriteTo(file, 0) })
	})
	runtime.MemProfileRate = rate
	if err != nil {
		return fmt.Errorf("profile the allocations: %w", err)
	}
	objects, bytes, err := allocations(ctx, s, n)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "allocations per booking: %.0f objects, %.0f bytes\n\n", objects, bytes)
	for _, args := range [][]string{
		{"-top", "-nodecount=30", cpu},
		{"-top", "-cum", "-nodecount=60", cpu},
		// Only allocations of the HTTP server.
		{"-top", "-sample_index=alloc_space", "-focus=http.*conn.*serve", "-nodecount=30", heap},
	} {
		args = append([]string{"tool", "pprof"}, args...)
		command := exec.CommandContext(ctx, "go", args...) //nolint:gosec // arguments of this program
		command.Stdout, command.Stderr = w, w
		if err := command.Run(); err != nil {
			return fmt.Errorf("show the profile: %w", err)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "profiles: %s, %s (go tool pprof -http=: FILE)\n", cpu, heap)
	return nil
}

func writeProfile(path string, write func(*os.File) error) error {
	file, err := os.Create(path) //nolint:gosec // the user's choice
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
