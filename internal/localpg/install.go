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

// installTimeout leaves time for a slow mirror.
const installTimeout = 10 * time.Minute

// aptInstall installs the distribution's server. Debian would make a cluster of its own at once and start it with the
// machine; a drop-in, there for the time of the installation only, says not to. The package lists may be missing (in a
// container's image) or broken in a part that has nothing to do with us, so their update may fail.
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

// FindOrInstall finds the programs of a PostgreSQL server, and where there are none installs the distribution's
// package, if it may: with apt-get, as root or through a sudo that asks no password. The progress goes to w.
func FindOrInstall(ctx context.Context, w io.Writer) (Binaries, error) {
	found, err := Find(ctx)
	if !errors.Is(err, ErrNotInstalled) {
		return found, err
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
		return Binaries{}, fmt.Errorf("%w (tried to, with apt-get: %w)", err, installErr)
	}
	return Find(ctx)
}

// privilegedShell is the command of a shell that may install packages, if there is one.
func privilegedShell(ctx context.Context) ([]string, bool) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, false
	}
	if os.Geteuid() == 0 {
		return []string{"sh"}, true
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := exec.CommandContext(ctx, "sudo", "-n", "true").Run(); err != nil {
		return nil, false
	}
	return []string{"sudo", "-n", "sh"}, true
}
