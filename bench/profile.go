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

// inside runs the service within this process, so that its allocations can be counted and its profile taken without a port for it. The client
// stays a process of its own.
func inside(ctx context.Context, s *site, n int64, around func(load func() error) error) (err error) {
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
		if err == nil && got.Outcomes[booked] != n {
			err = fmt.Errorf("of %d bookings not all succeeded: %v", n, got.Outcomes)
		}
		return err
	}
	if err := s.reset(ctx); err != nil {
		return err
	}
	if err := load(min(n, warmUpRequests)); err != nil { // fills the pool and its prepared statements
		return err
	}
	if err := s.reset(ctx); err != nil {
		return err
	}
	requests, err := caller.requests(n, s.take(n))
	if err != nil {
		return err
	}
	return around(func() error {
		got, err := runWrk(ctx, "http://"+caller.host, 16, requests)
		if err == nil && got.Outcomes[booked] != n {
			err = fmt.Errorf("of %d bookings not all succeeded: %v", n, got.Outcomes)
		}
		return err
	})
}

// allocations counts the heap objects and bytes that the service allocates a booking.
func allocations(ctx context.Context, s *site, n int64) (objects, bytes float64, err error) {
	err = inside(ctx, s, n, func(load func() error) error {
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

// profile leaves a profile of the processor and one of allocations of the booking path in the folder, and shows what stands out.
func profile(ctx context.Context, s *site, n int64, dir string, w io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // to be read by all
		return err
	}
	processor, heap := filepath.Join(dir, "cpu.pprof"), filepath.Join(dir, "allocs.pprof")
	err := inside(ctx, s, n, func(load func() error) error {
		return writeProfile(processor, func(file *os.File) error {
			if err := pprof.StartCPUProfile(file); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
			return load()
		})
	})
	if err != nil {
		return fmt.Errorf("profile the processor: %w", err)
	}
	// One sample in 4 KiB instead of 512; it slows the service, which is why the processor's profile comes first.
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 4 << 10
	err = inside(ctx, s, n, func(load func() error) error {
		if err := load(); err != nil {
			return err
		}
		runtime.GC() // the profile is of the last cycle
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
	fmt.Fprintf(w, "a booking allocates %.0f objects, %.0f bytes\n\n", objects, bytes)
	for _, args := range [][]string{
		{"-top", "-nodecount=30", processor},
		{"-top", "-cum", "-nodecount=60", processor},
		// What serves requests, without what makes them.
		{"-top", "-sample_index=alloc_space", "-focus=http.*conn.*serve", "-nodecount=30", heap},
	} {
		command := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof"}, args...)...) //nolint:gosec // our own arguments
		command.Stdout, command.Stderr = w, w
		if err := command.Run(); err != nil {
			return fmt.Errorf("show the profile: %w", err)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "profiles: %s, %s (go tool pprof -http=: FILE)\n", processor, heap)
	return nil
}

func writeProfile(path string, write func(*os.File) error) error {
	file, err := os.Create(path) //nolint:gosec // where the user says
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
