// Command semver checks the version of the contract, info.version of openapi.yaml, against the
// changes since the last release. A change that breaks clients needs a new major version, and an
// addition needs a new minor version. The command also checks that the changelog and the SDK have
// the same version.
//
//	semver           check the version, and fail if it is too low
//	semver release   check, store the contract as the released one, date its section of the
//	                 changelog, commit both and tag the commit
//
// The command is a separate module, so that oasdiff's dependencies do not affect the service and
// the generators.
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
		err = checkRepository(context.Background(), root, os.Stdout)
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

// checkRepository prints the changes since the last release. It returns an error if the version is
// too low for them, or if the changelog, the SDK or the tag does not match the version.
func checkRepository(ctx context.Context, r repository, w io.Writer) error {
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
	if err := checkVersion(released.version, current.version, changes); err != nil {
		return err
	}
	fmt.Fprintf(w, "Version %s is high enough after %s: %s.\n", current.version, released.version, summary(changes))
	return r.requireVersion(current.version)
}
