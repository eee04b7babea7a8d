package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A run can be compared with an earlier commit, the base. Its service and its benchmark are built
// in a temporary worktree, with worker.go added to the benchmark. That benchmark runs as a process
// of its own, the worker, and makes the measurements of the base on commands of this process.

//go:embed worker.go
var workerSource []byte

// The names of the measurements of the base in the report. Each is the base's version of the
// measurement without the prefix.
const (
	basePrefix    = "base "
	BaseLimit     = basePrefix + Limit
	BaseBooking16 = basePrefix + Booking16
	BaseSearch    = basePrefix + Search
)

// base holds the programs of an earlier commit.
type base struct {
	commit string // abbreviated
	dir    string // the directory of the programs
}

// buildBase builds the service and the benchmark of a commit in a temporary directory. The caller
// must call remove.
func buildBase(ctx context.Context, commit string) (_ *base, err error) {
	name, err := runCommand(ctx, ".", "git", "rev-parse", "--short", "--verify", "--end-of-options", commit+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("find the commit to compare with: %w", err)
	}
	b := &base{commit: strings.TrimSpace(name)}
	if b.dir, err = os.MkdirTemp("", "talon-bench-base-"); err != nil {
		return nil, err
	}
	tree := filepath.Join(b.dir, "tree")
	defer func() {
		// The worktree is removed after success and after failure.
		if _, statErr := os.Stat(tree); statErr == nil {
			_, removeErr := runCommand(context.WithoutCancel(ctx), ".", "git", "worktree", "remove", "--force", tree)
			err = errors.Join(err, removeErr)
		}
		if err != nil {
			err = errors.Join(err, b.remove())
		}
	}()
	if _, err := runCommand(ctx, ".", "git", "worktree", "add", "--detach", tree, b.commit); err != nil {
		return nil, fmt.Errorf("check out the commit to compare with: %w", err)
	}
	if err := os.WriteFile(filepath.Join(tree, "bench", "worker.go"), workerSource, 0o600); err != nil {
		return nil, fmt.Errorf("add the worker to the benchmark of %s: %w", b.commit, err)
	}
	if _, err := runCommand(ctx, tree, "go", "build", "-o", b.program(), "./cmd/talon"); err != nil {
		return nil, fmt.Errorf("build the service of %s: %w", b.commit, err)
	}
	if _, err := runCommand(ctx, tree, "go", "build", "-tags", "comparison", "-o", b.worker(), "./bench"); err != nil {
		return nil, fmt.Errorf("build the benchmark of %s: %w", b.commit, err)
	}
	return b, nil
}

func (b *base) program() string { return filepath.Join(b.dir, "talon") }
func (b *base) worker() string  { return filepath.Join(b.dir, "bench") }
func (b *base) remove() error   { return os.RemoveAll(b.dir) }

// runCommand runs a command in a directory and returns its standard output. The error contains its
// standard error.
func runCommand(ctx context.Context, dir string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...) //nolint:gosec // git and go with constant arguments
	command.Dir = dir
	var messages bytes.Buffer
	command.Stderr = &messages
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, args[0], err, messages.Bytes())
	}
	return string(output), nil
}

// baseSite is a worker of the base: its benchmark and service, with the region of a scale in a
// database of its own.
type baseSite struct {
	command  *exec.Cmd
	commands io.WriteCloser // the standard input of the worker
	samples  *json.Decoder  // its standard output
}

// open starts a worker for the scale, and waits until its data are loaded and its service is warmed
// up.
func (b *base) open(ctx context.Context, server *server, scale float64, progress io.Writer) (_ *baseSite, err error) {
	owner := "shared"
	if server.own {
		owner = "own"
	}
	s := &baseSite{command: exec.Command(b.worker(), //nolint:gosec,noctx // built above; close ends it
		"worker", b.commit, b.program(), strconv.FormatFloat(scale, 'f', -1, 64), owner)}
	s.command.Env = append(os.Environ(), "DATABASE_URL="+server.url(maintenance))
	s.command.Stderr = progress
	if s.commands, err = s.command.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.samples = json.NewDecoder(output)
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("start the benchmark of %s: %w", b.commit, err)
	}
	if err := s.samples.Decode(&struct{}{}); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for the benchmark of %s: %w", b.commit, err), s.close())
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// measure makes the worker run a measurement of n requests. name is limit, booking or search.
func (s *baseSite) measure(name string, n int64) (Sample, error) {
	if _, err := fmt.Fprintln(s.commands, name, n); err != nil {
		return Sample{}, fmt.Errorf("send a command to the worker of the base: %w", err)
	}
	var result struct{ Sample Sample }
	if err := s.samples.Decode(&result); err != nil { //nolint:musttag // the worker uses the same names
		return Sample{}, fmt.Errorf("read a sample of the base: %w", err)
	}
	return result.Sample, nil
}

// close stops the worker, which stops its service.
func (s *baseSite) close() error {
	err := s.commands.Close()
	kill := time.AfterFunc(readyTimeout, func() { _ = s.command.Process.Kill() })
	defer kill.Stop()
	if waitErr := s.command.Wait(); waitErr != nil {
		err = errors.Join(err, fmt.Errorf("the benchmark of the base ended: %w", waitErr))
	}
	return err
}

// Comparison compares this commit with the base. Each figure is the median, over the rounds, of the
// ratio of this commit to the base in the same round.
type Comparison struct {
	Base        string  `json:"base"`
	Limit       float64 `json:"limit"` // of the rates, as the next two
	Booking16   float64 `json:"booking_16"`
	Search      float64 `json:"search"`
	ServiceCPU  float64 `json:"booking_16_service_cpu"` // per booking at 16 connections
	PostgresCPU float64 `json:"booking_16_postgres_cpu"`
	WAL         float64 `json:"booking_16_wal"`
}

// compare computes the comparison if the size was measured with a base.
func (size *Size) compare() {
	c := size.Comparison
	if c == nil {
		return
	}
	c.Limit = size.ratio(Limit, BaseLimit)
	c.Booking16 = size.ratio(Booking16, BaseBooking16)
	c.Search = size.ratio(Search, BaseSearch)
	c.ServiceCPU = size.ratioOf(func(s Sample) float64 { return s.ServiceCPU }, Booking16, BaseBooking16)
	c.PostgresCPU = size.ratioOf(func(s Sample) float64 { return s.PostgresCPU }, Booking16, BaseBooking16)
	c.WAL = size.ratioOf(func(s Sample) float64 { return s.WAL }, Booking16, BaseBooking16)
}

// markdown writes the comparison as a table, or nothing if there is none.
func (c *Comparison) markdown(size *Size, w io.Writer) {
	if c == nil {
		return
	}
	fmt.Fprintf(w, "\n| against %s | base | this commit | ratio new/old |\n|---|--:|--:|--:|\n", c.Base)
	booking, baseBooking := size.Medians[Booking16], size.Medians[BaseBooking16]
	for _, row := range []struct {
		name             string
		base, new, ratio float64
	}{
		{"(a) pgbench, bookings/s", size.Medians[BaseLimit].Rate, size.Medians[Limit].Rate, c.Limit},
		{"(b) service, bookings/s at 16 connections", baseBooking.Rate, booking.Rate, c.Booking16},
		{"(e) searches/s at 16 connections", size.Medians[BaseSearch].Rate, size.Medians[Search].Rate, c.Search},
		{"(b) service CPU per booking, µs", baseBooking.ServiceCPU, booking.ServiceCPU, c.ServiceCPU},
		{"(b) PostgreSQL CPU per booking, µs", baseBooking.PostgresCPU, booking.PostgresCPU, c.PostgresCPU},
		{"(b) WAL per booking, bytes", baseBooking.WAL, booking.WAL, c.WAL},
	} {
		fmt.Fprintf(w, "| %s | %.0f | %.0f | %.2f |\n", row.name, row.base, row.new, row.ratio)
	}
}
