package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// version is a semantic version: major, minor and patch.
type version [3]int

var versionPattern = regexp.MustCompile(`^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`)

func parseVersion(text string) (version, error) {
	parts := versionPattern.FindStringSubmatch(text)
	if parts == nil {
		return version{}, fmt.Errorf("%q is not a version such as 1.2.3", text)
	}
	var v version
	for i, part := range parts[1:] {
		var err error
		if v[i], err = strconv.Atoi(part); err != nil {
			return version{}, fmt.Errorf("%q is not a version: %w", text, err)
		}
	}
	return v, nil
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

func (v version) less(other version) bool { return slices.Compare(v[:], other[:]) < 0 }

// next returns the lowest version that may follow v after changes of the level.
func (v version) next(l level) version {
	switch l {
	case major:
		return version{v[0] + 1, 0, 0}
	case minor:
		return version{v[0], v[1] + 1, 0}
	default:
		return v
	}
}

// level is the part of the version that a change must increase.
type level int

// An editorial change needs no new version. It is published with the next release.
const (
	editorial level = iota
	minor
	major
)

func (l level) String() string { return [...]string{"editorial", "minor", "major"}[l] }
