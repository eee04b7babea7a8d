package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise: the service's binary contains no sandbox, no demo data, no private PostgreSQL and no
// portal.
func TestServiceContainsTheServiceAlone(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	packages := strings.Fields(string(output))
	require.Contains(t, packages, "talon.example/internal/app")
	for _, unwanted := range []string{
		"talon.example/internal/sandbox", "talon.example/gen/sandboxapi", "talon.example/portal",
		"talon.example/internal/localpg", "talon.example/internal/testdb",
	} {
		require.False(t, slices.ContainsFunc(packages, func(name string) bool {
			return name == unwanted || strings.HasPrefix(name, unwanted+"/")
		}), unwanted)
	}
}

// Promise: the service needs no file of the machine: the binary contains time zones, and the
// certificates of authorities for a machine that has none.
func TestServiceNeedsNoFiles(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	packages := strings.Fields(string(output))
	require.Contains(t, packages, "time/tzdata")
	require.Contains(t, packages, "golang.org/x/crypto/x509roots/fallback")
}
