package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// installTimeout is long enough for a slow mirror.
const installTimeout = 10 * time.Minute

// aptInstall installs the distribution's server. Debian creates a cluster during the installation
// and starts it at boot; a temporary drop-in prevents that. The update of the package lists is
// needed because container images have no lists. Its failure is ignored, because a broken list of
// another repository does not matter.
const aptInstall = `
set -eu
export DEBIAN_FRONTEND=noninteractive
dropin=/etc/postgresql-common/createcluster.d/talon.conf
trap 'rm -f "$dropin"' EXIT
mkdir -p "${dropin%/*}"
echo 'create_main_cluster = false' >"$dropin"
apt-get update || echo 'the package lists are not up to date' >&2
apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends postgresql
`

// FindOrInstall returns the programs of a PostgreSQL server. If the machine has none, it installs
// the distribution's package with apt-get, as root or with a sudo that needs no password, and
// writes the progress to w. The error wraps ErrNotInstalled if the package cannot be installed.
func FindOrInstall(ctx context.Context, w io.Writer) (Binaries, error) {
	binaries, err := Find(ctx)
	if !errors.Is(err, ErrNotInstalled) {
		return binaries, err
	}
	shell, ok := privilegedShell(ctx)
	if !ok {
		return Binaries{}, err
	}
	if _, err := fmt.Fprintln(w, "PostgreSQL is not installed: installing the distribution's package"); err != nil {
		return Binaries{}, fmt.Errorf("report the installation: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:], "-c", aptInstall)...)
	cmd.Stdout, cmd.Stderr = w, w
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killTimeout
	if installErr := cmd.Run(); installErr != nil {
		return Binaries{}, fmt.Errorf("%w (apt-get failed: %w)", err, installErr)
	}
	return Find(ctx)
}

// privilegedShell returns the command of a shell that may install packages with apt-get. It returns
// false if the machine has no apt-get or this process cannot become root.
func privilegedShell(ctx context.Context) ([]string, bool) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, false
	}
	if os.Geteuid() == 0 {
		return []string{"sh"}, true
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := exec.CommandContext(ctx, "sudo", "-n", "true").Run(); err != nil {
		return nil, false
	}
	return []string{"sudo", "-n", "sh"}, true
}
