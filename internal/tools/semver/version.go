package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// version is major, minor and patch.
type version [3]int

var versionForm = regexp.MustCompile(`^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`)

func parseVersion(text string) (version, error) {
	parts := versionForm.FindStringSubmatch(text)
	if parts == nil {
		return version{}, fmt.Errorf("%q is no version such as 1.2.3", text)
	}
	var v version
	for i, part := range parts[1:] {
		var err error
		if v[i], err = strconv.Atoi(part); err != nil {
			return version{}, fmt.Errorf("%q is no version: %w", text, err)
		}
	}
	return v, nil
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

func (v version) less(other version) bool { return slices.Compare(v[:], other[:]) < 0 }

// next is the lowest version that may follow with changes of a level.
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

// level is what a change asks of the version.
type level int

// Words alone ask for nothing: they are released with what comes next.
const (
	words level = iota
	minor
	major
)

func (l level) String() string { return [...]string{"words", "minor", "major"}[l] }
