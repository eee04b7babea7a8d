package app

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise: the log does not show the largest integer as a memory limit where there is none.
func TestNoMemoryLimit(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off")
	var lines strings.Builder
	limitMemory(slog.New(slog.NewTextHandler(&lines, nil)))
	require.Contains(t, lines.String(), "no memory limit is set")
	require.NotContains(t, lines.String(), "bytes=")
}
