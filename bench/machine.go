package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Machine describes the machine of a run.
type Machine struct {
	Processor  string    `json:"processor"`
	Cores      int       `json:"cores"`
	MemoryMiB  int64     `json:"memory_mib"`
	Kernel     string    `json:"kernel"`
	PostgreSQL string    `json:"postgresql"`
	Settings   string    `json:"settings"`       // of PostgreSQL, those relevant to the results
	HugePages  int64     `json:"huge_pages_mib"` // in use; PostgreSQL uses huge pages if they are reserved
	Go         string    `json:"go"`
	Commit     string    `json:"commit"`
	Started    time.Time `json:"started"`
	LoadBefore string    `json:"load_before"` // load average at the start, which shows the load of other processes
}

func describeMachine(ctx context.Context, server *server) (Machine, error) {
	conn, err := pgx.Connect(ctx, server.url(maintenance))
	if err != nil {
		return Machine{}, fmt.Errorf("open the server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	hugePages := func(field string) int64 {
		n, _ := strconv.ParseInt(fieldOf("/proc/meminfo", field), 10, 64)
		return n
	}
	usedHugePages := hugePages("HugePages_Total") - hugePages("HugePages_Free")
	m := Machine{
		Processor:  fieldOf("/proc/cpuinfo", "model name"),
		Cores:      runtime.NumCPU(),
		MemoryMiB:  totalMemory() >> 20,
		HugePages:  usedHugePages * kibibytes("/proc/meminfo", "Hugepagesize") >> 20,
		Kernel:     firstLine("/proc/sys/kernel/osrelease"),
		Go:         runtime.Version(),
		Commit:     commit(ctx),
		Started:    time.Now().Truncate(time.Second),
		LoadBefore: firstLine("/proc/loadavg"),
	}
	err = conn.QueryRow(ctx, `
		SELECT current_setting('server_version'), string_agg(name || '=' || current_setting(name), ' ' ORDER BY name)
		FROM pg_settings
		WHERE name IN ('synchronous_commit', 'fsync', 'full_page_writes', 'wal_compression', 'shared_buffers',
			'max_wal_size', 'min_wal_size', 'checkpoint_timeout')`,
	).Scan(&m.PostgreSQL, &m.Settings)
	if err != nil {
		return Machine{}, fmt.Errorf("read the server's settings: %w", err)
	}
	return m, nil
}

// commit returns the name of the commit that is checked out, with the suffix -dirty if files differ
// from it.
func commit(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// firstLine returns the first line of a file, or an empty string if the file cannot be read.
func firstLine(path string) string {
	text, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// fieldOf returns the first value of a field in a file with lines «name: value», or an empty
// string.
func fieldOf(path, name string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kibibytes returns a field such as «VmHWM:  1234 kB» in bytes.
func kibibytes(path, name string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(fieldOf(path, name), " kB"), 10, 64)
	return n << 10
}

func totalMemory() int64 { return kibibytes("/proc/meminfo", "MemTotal") }

// process is a process id on this machine.
type process int

func (p process) path(file string) string { return filepath.Join("/proc", strconv.Itoa(int(p)), file) }

// peakMemory returns the peak resident memory of the process since resetPeak, in bytes.
func (p process) peakMemory() int64 { return kibibytes(p.path("status"), "VmHWM") }

func (p process) resetPeak() error { return os.WriteFile(p.path("clear_refs"), []byte("5"), 0o200) }

// usage is the data of /proc/…/stat about a process.
type usage struct {
	parent        process
	own, children time.Duration // CPU time of the process, and of its children that have ended
}

// tick is the unit of CPU time in /proc. It is 1/100 of a second on every Linux that Go supports.
const tick = 10 * time.Millisecond

func (p process) usage() (usage, error) {
	text, err := os.ReadFile(p.path("stat"))
	if err != nil {
		return usage{}, err
	}
	// The name, in brackets, may contain any characters, so the fields are counted from its end.
	_, rest, _ := bytes.Cut(text[bytes.LastIndexByte(text, ')'):], []byte(" "))
	fields := strings.Fields(string(rest))
	const parent, utime, stime, cutime, cstime = 1, 11, 12, 13, 14
	if len(fields) <= cstime {
		return usage{}, errors.New("/proc/…/stat is too short")
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		return n
	}
	return usage{
		parent:   process(number(parent)),
		own:      time.Duration(number(utime)+number(stime)) * tick,
		children: time.Duration(number(cutime)+number(cstime)) * tick,
	}, nil
}

// clusterProcess returns PostgreSQL's postmaster process, or 0 if it runs on another machine.
func clusterProcess(ctx context.Context, conn *pgx.Conn) process {
	var backend process
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return 0
	}
	if !strings.Contains(firstLine(backend.path("comm")), "postgres") {
		return 0
	}
	used, err := backend.usage()
	if err != nil {
		return 0
	}
	return used.parent
}

// clusterTime returns the CPU time of all processes of the cluster so far, including those that
// have ended.
func clusterTime(postmaster process) time.Duration {
	used, err := postmaster.usage()
	if postmaster == 0 || err != nil {
		return 0
	}
	sum := used.own + used.children
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		n, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if used, err := process(n).usage(); err == nil && used.parent == postmaster {
			sum += used.own
		}
	}
	return sum
}
