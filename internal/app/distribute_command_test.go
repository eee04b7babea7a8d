package app

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
)

// Promise: the check of a database that is not distributed says so, and fails.
func TestDistributeCheckFails(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder
	environ := []string{"DATABASE_URL=" + testdb.New(t)}
	require.Equal(t, 1, Program.Run(t.Context(), []string{"distribute", "--check"}, environ, &stdout, &stderr))
	require.Equal(t, "- the database is not distributed: it has no extension citus\n", stdout.String())
	require.Equal(t, "talon distribute: the database cannot serve yet\n", stderr.String())
}
