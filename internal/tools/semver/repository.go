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

// The files that have a version, from the root of the repository.
const (
	contractFile  = "openapi.yaml"
	releasedFile  = "docs/contract/released.yaml"
	changelogFile = "CHANGELOG.md"
)

// packageFiles bear the SDK's version, where it is there.
var packageFiles = []string{"sdk/typescript/package.json", "sdk/typescript/package-lock.json"}

// repository is a clone.
type repository struct{ dir string }

func (r repository) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

// contract is a contract with its version.
type contract struct {
	text    []byte
	version version
}

// contracts gives the contract as it was released last and as it is. Where the release is tagged in this clone, which may lack tags, the two must be the same.
func (r repository) contracts(ctx context.Context, w io.Writer) (released, current contract, err error) {
	if released, err = r.contract(releasedFile); err != nil {
		return released, current, err
	}
	if current, err = r.contract(contractFile); err != nil {
		return released, current, err
	}
	tag := "v" + released.version.String()
	found, err := r.git(ctx, "tag", "--list", tag)
	if err != nil {
		return released, current, err
	}
	if len(found) == 0 {
		fmt.Fprintf(w, "This clone has no tag %s: %s goes for the last release.\n", tag, releasedFile)
		return released, current, nil
	}
	tagged, err := r.git(ctx, "show", tag+":"+contractFile)
	if err != nil {
		return released, current, err
	}
	if !bytes.Equal(tagged, released.text) {
		return released, current, fmt.Errorf("%s is not %s as it is tagged %s", releasedFile, contractFile, tag)
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

// requireVersion holds the changelog and the SDK to the contract's version.
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
		var described struct {
			Version string `json:"version"`
		}
		if err := json.Unmarshal(text, &described); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if described.Version != v.String() {
			return fmt.Errorf("%s says version %q, and the contract is %s", name, described.Version, v)
		}
	}
	return nil
}

// section finds the heading of a version in the changelog, with what follows it: the day of its release, or Unreleased.
func section(v version) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^## \[` + regexp.QuoteMeta(v.String()) + `\] - (Unreleased|[0-9]{4}-[0-9]{2}-[0-9]{2})$`)
}

// release makes a release of what is committed: the contract becomes the released one, its section of the changelog has its day, and the commit of both is tagged.
func release(ctx context.Context, r repository, now time.Time, w io.Writer) error {
	changed, err := r.git(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		return fmt.Errorf("commit first:\n%s", changed)
	}
	if err := judgeRepository(ctx, r, w); err != nil {
		return err
	}
	released, current, err := r.contracts(ctx, io.Discard)
	if err != nil {
		return err
	}
	if current.version == released.version {
		return fmt.Errorf("%s is released already: the contract needs a new version", current.version)
	}
	changelog, err := os.ReadFile(r.path(changelogFile))
	if err != nil {
		return err
	}
	dated := section(current.version).ReplaceAll(changelog, []byte("## ["+current.version.String()+"] - "+now.Format(time.DateOnly)))
	if err := os.WriteFile(r.path(changelogFile), dated, 0o600); err != nil { //nolint:gosec // the place is ours
		return err
	}
	if err := os.WriteFile(r.path(releasedFile), current.text, 0o600); err != nil {
		return err
	}
	tag, sdkTag := "v"+current.version.String(), "sdk/go/v"+current.version.String() // a Go module in a folder has tags of its own
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

func (r repository) git(ctx context.Context, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "git", append([]string{"-C", r.dir}, args...)...) //nolint:gosec // the arguments are ours
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return output, nil
}
