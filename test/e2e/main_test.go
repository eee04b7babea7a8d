package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/internal/testdb"
)

// asTalon is a variable of the environment with which the program of the tests is talon.
const asTalon = "TALON_TEST_AS_TALON"

func TestMain(m *testing.M) {
	if os.Getenv(asTalon) != "" {
		app.Program.Main()
	}
	testdb.Main(m)
}

// talonProcess returns talon as a process of its own, which has not started. It is killed after a
// minute.
func talonProcess(t *testing.T, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	process := exec.CommandContext(ctx, self, args...)
	process.Env = append(environ, asTalon+"=1")
	return process
}
