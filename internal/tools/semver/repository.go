package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The files with a version, relative to the root of the repository.
const (
	contractFile  = "openapi.yaml"
	releasedFile  = "docs/contract/released.yaml"
	changelogFile = "CHANGELOG.md"
)

// packageFiles contain the SDK's version. They are optional.
var packageFiles = []string{"sdk/typescript/package.json", "sdk/typescript/package-lock.json"}

// repository is a git clone.
type repository struct{ dir string }

func (r repository) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

// contract is a contract with its version.
type contract struct {
	text    []byte
	version version
}

// contracts returns the contract of the last release and the current one. If the clone has the
// release's tag, the contract at the tag must equal releasedFile; otherwise contracts prints a note
// to w.
func (r repository) contracts(ctx context.Context, w io.Writer) (released, current contract, err error) {
	if released, err = r.contract(releasedFile); err != nil {
		return released, current, err
	}
	if current, err = r.contract(contractFile); err != nil {
		return released, current, err
	}
	tag := "v" + released.version.String()
	tags, err := r.git(ctx, "tag", "--list", tag)
	if err != nil {
		return released, current, err
	}
	if len(tags) == 0 {
		fmt.Fprintf(w, "This clone has no tag %s: %s is used as the last release.\n", tag, releasedFile)
		return released, current, nil
	}
	tagged, err := r.git(ctx, "show", tag+":"+contractFile)
	if err != nil {
		return released, current, err
	}
	if !bytes.Equal(tagged, released.text) {
		return released, current, fmt.Errorf("%s differs from %s at the tag %s", releasedFile, contractFile, tag)
	}
	return released, current, nil
}

func (r repository) contract(name string) (contract, error) {
	text, err := os.ReadFile(r.path(name))
	if err != nil {
		return contract{}, err
	}
	var document struct {
		Info struct {
			Version string `yaml:"version"`
		} `yaml:"info"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		return contract{}, fmt.Errorf("%s: %w", name, err)
	}
	v, err := parseVersion(document.Info.Version)
	if err != nil {
		return contract{}, fmt.Errorf("%s: info.version: %w", name, err)
	}
	return contract{text: text, version: v}, nil
}

// requireVersion returns an error unless the changelog has a section of the version and the SDK has
// the version.
func (r repository) requireVersion(v version) error {
	changelog, err := os.ReadFile(r.path(changelogFile))
	if err != nil {
		return err
	}
	if !section(v).Match(changelog) {
		return fmt.Errorf("%s has no section ## [%s]", changelogFile, v)
	}
	for _, name := range packageFiles {
		text, err := os.ReadFile(r.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		var manifest struct {
			Version string `json:"version"`
		}
		if err := json.Unmarshal(text, &manifest); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if manifest.Version != v.String() {
			return fmt.Errorf("%s has version %q, but the contract has %s", name, manifest.Version, v)
		}
	}
	return nil
}

// section returns a pattern that matches the heading of a version in the changelog, including the
// day of its release, or Unreleased.
func section(v version) *regexp.Regexp {
	return regexp.MustCompile(
		`(?m)^## \[` + regexp.QuoteMeta(v.String()) + `\] - (Unreleased|[0-9]{4}-[0-9]{2}-[0-9]{2})$`,
	)
}

// release releases the committed contract: it copies the contract to releasedFile, sets the day of
// its section of the changelog, commits both files and tags the commit. It returns an error if the
// work tree has changes, a check fails, or the version is already released.
func release(ctx context.Context, r repository, now time.Time, w io.Writer) error {
	changed, err := r.git(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		return fmt.Errorf("the work tree has uncommitted changes:\n%s", changed)
	}
	if err := checkRepository(ctx, r, w); err != nil {
		return err
	}
	released, current, err := r.contracts(ctx, io.Discard)
	if err != nil {
		return err
	}
	if current.version == released.version {
		return fmt.Errorf("%s is already released: the contract needs a new version", current.version)
	}
	changelog, err := os.ReadFile(r.path(changelogFile))
	if err != nil {
		return err
	}
	heading := "## [" + current.version.String() + "] - " + now.Format(time.DateOnly)
	dated := section(current.version).ReplaceAll(changelog, []byte(heading))
	if err := os.WriteFile(r.path(changelogFile), dated, 0o600); err != nil { //nolint:gosec // the path is constant
		return err
	}
	if err := os.WriteFile(r.path(releasedFile), current.text, 0o600); err != nil {
		return err
	}
	// The tags of a Go module in a subdirectory begin with its path.
	tag, sdkTag := "v"+current.version.String(), "sdk/go/v"+current.version.String()
	for _, step := range [][]string{
		{"commit", "--quiet", "--message", "Release " + current.version.String(), "--", changelogFile, releasedFile},
		{"tag", "--annotate", "--message", "Talon " + current.version.String(), tag},
		{"tag", "--annotate", "--message", "Talon " + current.version.String() + ", the Go SDK", sdkTag},
	} {
		if _, err := r.git(ctx, step...); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "Tagged %s and %s. Publish them: git push --follow-tags\n", tag, sdkTag)
	return nil
}

// git runs a git command in the repository and returns its output.
func (r repository) git(ctx context.Context, args ...string) ([]byte, error) {
	args = append([]string{"-C", r.dir}, args...)
	command := exec.CommandContext(ctx, "git", args...) //nolint:gosec // no argument comes from outside
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[2], err, strings.TrimSpace(stderr.String()))
	}
	return output, nil
}
