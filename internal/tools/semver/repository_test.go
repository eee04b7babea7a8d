package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	first = `openapi: 3.0.3
info: {title: T, version: 1.0.0}
paths:
  /a:
    get:
      operationId: getA
      responses:
        "200": {description: A}
`
	second = first + `  /b:
    get:
      operationId: getB
      responses:
        "200": {description: B}
`
	changelog = `# Changelog

## [1.1.0] - Unreleased

- B.

## [1.0.0] - 2026-01-01

- A.
`
)

// clone creates a repository whose contract has an operation added since its release.
func clone(t *testing.T) repository {
	t.Helper()
	r := repository{dir: t.TempDir()}
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"config", "user.name", "Test"},
		{"config", "user.email", "test@talon.example"},
	} {
		r.mustGit(t, args...)
	}
	r.write(t, contractFile, second)
	r.setVersion(t, "1.1.0")
	r.write(t, releasedFile, first)
	r.write(t, changelogFile, changelog)
	return r
}

func (r repository) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(r.path(name)), 0o755))
	require.NoError(t, os.WriteFile(r.path(name), []byte(text), 0o644))
}

func (r repository) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(r.path(name))
	require.NoError(t, err)
	return string(text)
}

// setVersion sets the version of the contract.
func (r repository) setVersion(t *testing.T, v string) {
	t.Helper()
	r.write(t, contractFile, strings.Replace(second, "version: 1.0.0", "version: "+v, 1))
}

func (r repository) mustGit(t *testing.T, args ...string) string {
	t.Helper()
	output, err := r.git(t.Context(), args...)
	require.NoError(t, err)
	return string(output)
}

func (r repository) commit(t *testing.T) {
	t.Helper()
	r.mustGit(t, "add", "--all")
	r.mustGit(t, "commit", "--quiet", "--message", "Work")
}

// Promise: the check fails unless the version, the changelog, the SDK and the tag match. The error
// contains the mismatch.
func TestRepository(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*testing.T, repository)
		fails  string // the expected error; empty if the check passes
		tagged bool   // the clone has the tag of the release
	}{
		"all match": {change: func(*testing.T, repository) {}},
		"the version is too low": {
			change: func(t *testing.T, r repository) { r.setVersion(t, "1.0.1") },
			fails:  "(0 major, 1 minor) need at least 1.1.0",
		},
		"the version is malformed": {
			change: func(t *testing.T, r repository) { r.setVersion(t, "next") },
			fails:  `openapi.yaml: info.version: "next" is not a version`,
		},
		"the changelog has no section": {change: func(t *testing.T, r repository) {
			r.write(t, changelogFile, strings.Replace(changelog, "[1.1.0]", "[Unreleased]", 1))
		}, fails: "CHANGELOG.md has no section ## [1.1.0]"},
		"the SDK matches": {change: func(t *testing.T, r repository) {
			r.write(t, packageFiles[0], `{"version": "1.1.0"}`)
		}},
		"the SDK differs": {change: func(t *testing.T, r repository) {
			r.write(t, packageFiles[0], `{"version": "1.0.0"}`)
		}, fails: `package.json has version "1.0.0", but the contract has 1.1.0`},
		"the SDK's lock differs": {change: func(t *testing.T, r repository) {
			r.write(t, packageFiles[1], `{"version": "1.0.0"}`)
		}, fails: `package-lock.json has version "1.0.0", but the contract has 1.1.0`},
		"the released contract is missing": {change: func(t *testing.T, r repository) {
			require.NoError(t, os.Remove(r.path(releasedFile)))
		}, fails: releasedFile},
		"the tag matches": {change: func(t *testing.T, r repository) {
			r.write(t, contractFile, first)
			r.commit(t)
			r.mustGit(t, "tag", "v1.0.0")
			r.setVersion(t, "1.1.0")
		}, tagged: true},
		"the tag differs": {change: func(t *testing.T, r repository) {
			r.write(t, contractFile, second)
			r.commit(t)
			r.mustGit(t, "tag", "v1.0.0")
			r.setVersion(t, "1.1.0")
		}, fails: "docs/contract/released.yaml differs from openapi.yaml at the tag v1.0.0", tagged: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := clone(t)
			test.change(t, r)
			var output bytes.Buffer
			err := checkRepository(t.Context(), r, &output)
			if test.fails != "" {
				require.ErrorContains(t, err, test.fails)
				return
			}
			require.NoError(t, err)
			require.Contains(t, output.String(), "minor: endpoint added [endpoint-added] at GET /b\n"+
				"Version 1.1.0 is high enough after 1.0.0: 0 major, 1 minor.\n")
			require.Equal(t, !test.tagged, strings.Contains(output.String(), "This clone has no tag v1.0.0"))
		})
	}
}

// Promise: a release stores the contract, dates its section of the changelog, and tags a commit
// with both files. A contract that fails a check is not released.
func TestRelease(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)
	r := clone(t)
	var output bytes.Buffer
	require.ErrorContains(t, release(t.Context(), r, day, &output), "uncommitted changes")

	r.setVersion(t, "1.0.1")
	r.commit(t)
	require.ErrorIs(t, release(t.Context(), r, day, &output), errVersion)
	require.Empty(t, r.mustGit(t, "tag")+r.mustGit(t, "status", "--porcelain"))

	r.setVersion(t, "1.1.0")
	r.commit(t)
	require.NoError(t, release(t.Context(), r, day, &output))
	require.Equal(t, "sdk/go/v1.1.0\nv1.1.0\n", r.mustGit(t, "tag", "--points-at", "HEAD"))
	require.Empty(t, r.mustGit(t, "status", "--porcelain"))
	require.Equal(t, r.read(t, contractFile), r.read(t, releasedFile))
	require.Contains(t, r.read(t, changelogFile), "## [1.1.0] - 2026-02-03\n")

	output.Reset()
	require.NoError(t, checkRepository(t.Context(), r, &output))
	require.Equal(t, "Version 1.1.0 is high enough after 1.1.0: no changes, or only editorial ones.\n", output.String())
	require.ErrorContains(t, release(t.Context(), r, day, &output), "1.1.0 is already released")
}
