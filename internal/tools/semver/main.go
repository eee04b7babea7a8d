// Command semver holds the version of the contract, info.version of openapi.yaml, to what has changed since the last release: a change that breaks clients
// needs a new major version, an addition a new minor one. It also holds the changelog and the SDK to the version.
//
//	semver           judge, and fail where the version does not say enough
//	semver release   judge, keep the contract as the released one, date its section of the changelog, commit both and tag the commit
//
// It has a module of its own, so that oasdiff's requirements stay out of the service's and of the generators'.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	root := repository{dir: "../../.."}
	var err error
	switch {
	case len(os.Args) == 1:
		err = judgeRepository(context.Background(), root, os.Stdout)
	case len(os.Args) == 2 && os.Args[1] == "release":
		err = release(context.Background(), root, time.Now(), os.Stdout)
	default:
		err = errors.New("usage: semver [release]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "semver:", err)
		os.Exit(1)
	}
}

// judgeRepository prints what has changed since the last release, and fails where anything disagrees.
func judgeRepository(ctx context.Context, r repository, w io.Writer) error {
	released, current, err := r.contracts(ctx, w)
	if err != nil {
		return err
	}
	changes, err := compare(released.text, current.text)
	if err != nil {
		return err
	}
	for _, change := range changes {
		fmt.Fprintln(w, change)
	}
	if err := judge(released.version, current.version, changes); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s may follow %s: %s.\n", current.version, released.version, summary(changes))
	return r.requireVersion(current.version)
}
