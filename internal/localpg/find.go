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

// oldest is the first version of PostgreSQL that the service works with.
const oldest = 14

// askTimeout bounds the call of a program that answers at once.
const askTimeout = 10 * time.Second

// ErrNotInstalled says that the machine has no PostgreSQL server that would do, and what to do about it.
var ErrNotInstalled = errors.New("PostgreSQL 14 or newer is not installed: install it " +
	"(Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql@17), " +
	"or put the folder of its programs on PATH")

// Binaries is a folder with the programs of a PostgreSQL server.
type Binaries struct {
	Dir   string
	Major int
}

// program is the path of one of them.
func (b Binaries) program(name string) string { return filepath.Join(b.Dir, name) }

// Find finds the programs of a PostgreSQL server on this machine, or returns ErrNotInstalled.
func Find(ctx context.Context) (Binaries, error) {
	installed, err := findAll(ctx)
	if err != nil {
		return Binaries{}, err
	}
	return installed[0], nil
}

// findAll finds what Find would, and every other version after it.
func findAll(ctx context.Context) ([]Binaries, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var preferred []string // what the user has put first
	if program, err := exec.LookPath("postgres"); err == nil {
		if program, err = filepath.EvalSymlinks(program); err == nil {
			preferred = append(preferred, filepath.Dir(program))
		}
	}
	if dir, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		preferred = append(preferred, strings.TrimSpace(string(dir)))
	}
	var others []string // where packages put it
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/usr/local/pgsql/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		dirs, _ := filepath.Glob(pattern) // it fails on a malformed pattern only
		others = append(others, dirs...)
	}
	return pick(ctx, preferred, others)
}

// pick takes the folders that will do: the preferred ones in their order, then the others, the newest first.
func pick(ctx context.Context, preferred, others []string) ([]Binaries, error) {
	good := examine(ctx, others)
	slices.SortStableFunc(good, func(a, b Binaries) int { return b.Major - a.Major })
	good = append(examine(ctx, preferred), good...)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look for PostgreSQL: %w", err)
	}
	if len(good) == 0 {
		return nil, ErrNotInstalled
	}
	return good, nil
}

// printedVersion finds the major version in what `postgres --version` prints; distributions add to the line.
var printedVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// examine keeps the folders that hold a server of a version that will do.
func examine(ctx context.Context, dirs []string) []Binaries {
	var good []Binaries
	for _, dir := range dirs {
		candidate := Binaries{Dir: dir}
		if _, err := exec.LookPath(candidate.program("initdb")); err != nil {
			continue
		}
		printed, err := exec.CommandContext(ctx, candidate.program("postgres"), "--version").Output()
		if err != nil {
			continue
		}
		if match := printedVersion.FindSubmatch(printed); match != nil {
			candidate.Major, _ = strconv.Atoi(string(match[1]))
		}
		if candidate.Major >= oldest {
			good = append(good, candidate)
		}
	}
	return good
}
