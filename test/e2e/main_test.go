package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/internal/sandbox"
	"talon.example/internal/testdb"
)

// testProgram is the variable of the environment with which the program of the tests is another.
const testProgram = "TALON_TEST_PROGRAM"

func TestMain(m *testing.M) {
	switch os.Getenv(testProgram) {
	case "talon":
		app.Program.Main()
	case "talon-sandbox":
		sandbox.Program.Main()
	}
	testdb.Main(m)
}

// newProcess returns talon or talon-sandbox as a process of its own, which has not started. It is
// killed after a minute.
func newProcess(t *testing.T, program string, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	process := exec.CommandContext(ctx, self, args...)
	process.Env = append(slices.Clone(environ), testProgram+"="+program)
	return process
}
