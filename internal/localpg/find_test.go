package localpg

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	t.Parallel()
	binaries, err := Find(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, binaries.Major, minMajor)
	require.FileExists(t, binaries.program("initdb"))
}

func TestNoSupportedServer(t *testing.T) {
	clientOnly := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(clientOnly, "psql"), nil, 0o755))
	tooOld := fakeServer(t, "postgres (PostgreSQL) 13.22")
	odd := fakeServer(t, "something else")

	_, err := sortBinaries(t.Context(), []string{clientOnly, "/does/not/exist"}, []string{tooOld, odd})
	require.ErrorIs(t, err, ErrNotInstalled)
	require.Contains(t, err.Error(), "apt-get install postgresql")
	require.NotContains(t, err.Error(), "\n", "the error is one line")
}

func TestPreferredServersComeFirstThenTheNewest(t *testing.T) {
	v14 := fakeServer(t, "postgres (PostgreSQL) 14.1")
	v15 := fakeServer(t, "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)")
	v19 := fakeServer(t, "postgres (PostgreSQL) 19beta1")
	sorted, err := sortBinaries(t.Context(), []string{v15}, []string{v14, v19})
	require.NoError(t, err)
	require.Equal(t, []Binaries{{v15, 15}, {v19, 19}, {v14, 14}}, sorted)
}

// fakeServer creates a directory with programs that print the version, and returns its path. Tests
// that use it must not run in parallel: a child process forked while a program is written keeps the
// file open for writing, and then the program cannot be executed.
func fakeServer(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"initdb", "postgres"} {
		script := fmt.Sprintf("#!/bin/sh\necho '%s'\n", strings.TrimSpace(version))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	return dir
}
