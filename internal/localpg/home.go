package localpg

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The file name of PostgreSQL's socket contains the port. A socket's path must fit the kernel's
// sockaddr_un: 107 bytes on Linux, 103 on macOS.
const (
	socketPort = "5432"
	socketName = ".s.PGSQL." + socketPort
	socketMax  = 103
)

// temporaryPrefix is the prefix of the directory names of temporary clusters.
const temporaryPrefix = "talon-postgres-"

// abandonedAfter is the age at which an unlocked temporary directory counts as abandoned by a dead
// process. A younger one may have been created by a process that has not locked it yet.
const abandonedAfter = time.Minute

// errLocked is returned if another process holds the lock.
var errLocked = errors.New("locked by another process")

// home is the directory with all files of a cluster. It has two lock files. The kernel releases a
// lock when its holders end, so the package need not trust a process id in a file.
//   - The process of Talon that runs the cluster holds the owner's lock.
//   - Every process of PostgreSQL inherits the server's lock. The lock is held while any of them
//     runs.
type home struct {
	dir, data, socket, log, ownerLock, serverLock string
}

// layout returns the paths of the home at dir. The path of the socket depends only on dir, so that
// another process can find it. If the path would be too long, or would contain a comma
// (PostgreSQL's list separator), layout returns a short path in /tmp instead.
func layout(dir string) home {
	socket := filepath.Join(dir, "socket")
	if len(filepath.Join(socket, socketName)) > socketMax || strings.Contains(socket, ",") {
		name := sha256.Sum256([]byte(dir))
		socket = fmt.Sprintf("/tmp/talon-socket-%x", name[:8])
	}
	return home{
		dir:        dir,
		data:       filepath.Join(dir, "data"),
		socket:     socket,
		log:        filepath.Join(dir, "postgres.log"),
		ownerLock:  filepath.Join(dir, "owner.lock"),
		serverLock: filepath.Join(dir, "server.lock"),
	}
}

// makeHome creates the home at dir, or a temporary one if dir is empty. Other accounts can enter
// the home, because the server's account must be able to. The data and the socket are in private
// directories below it. makeHome also removes abandoned temporary homes.
func makeHome(dir string) (home, error) {
	var err error
	if dir == "" {
		root := cmp.Or(memoryDir(), os.TempDir())
		removeAbandoned(root)
		if dir, err = os.MkdirTemp(root, temporaryPrefix); err == nil {
			err = os.Chmod(dir, 0o755)
		}
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return home{}, err
	}
	// Two names of the same directory must result in the same socket.
	if dir, err = filepath.Abs(dir); err != nil {
		return home{}, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return home{}, err
	}
	return layout(dir), nil
}

// lockOwner takes the owner's lock of the home for this process. The error wraps a *RunningError if
// another process owns the home and its server accepts connections.
func (h home) lockOwner(ctx context.Context) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	lock, err := waitLock(ctx, h.ownerLock, func() error {
		if ping(ctx, h.url(maintenance)) == nil {
			return &RunningError{Dir: h.dir, home: h}
		}
		return nil // the owner is still starting the server, or has just stopped it
	})
	if err != nil {
		return nil, fmt.Errorf("lock the directory %s: %w", h.dir, err)
	}
	return lock, nil
}

// lockServer takes the server's lock. It stops a server whose owner has ended, waits until no
// server runs in the home, and removes the lock files of a killed server. If another process had
// the process id in these files, PostgreSQL would take it for a running server.
func (h home) lockServer(ctx context.Context) (*os.File, error) {
	pidFile := filepath.Join(h.data, "postmaster.pid")
	socket := filepath.Join(h.socket, socketName)
	lock, err := waitLock(ctx, h.serverLock, func() error {
		stopOrphan(ctx, pidFile, socket)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for an earlier server to stop: %w", err)
	}
	for _, stale := range []string{pidFile, socket, socket + ".lock"} {
		if err := os.Remove(stale); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, lock.Close())
		}
	}
	return lock, nil
}

// stopOrphan signals a server without an owner to stop. On Linux the kernel has already done so
// (see dieWithParent). The process id in pidFile is valid while the socket accepts connections.
func stopOrphan(ctx context.Context, pidFile, socket string) {
	dialer := net.Dialer{Timeout: pingTimeout}
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	text, _ := os.ReadFile(pidFile)
	line, _, _ := strings.Cut(string(text), "\n")
	if pid, err := strconv.Atoi(line); err == nil && pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGINT)
	}
}

// selectBinaries returns the first of the installed servers for a new cluster, and the server of
// the cluster's major version for an existing cluster. It returns an error if that version is not
// installed.
func (h home) selectBinaries(installed []Binaries) (Binaries, error) {
	text, err := os.ReadFile(filepath.Join(h.data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return installed[0], nil
	}
	if err != nil {
		return Binaries{}, fmt.Errorf("read the version of the data directory: %w", err)
	}
	version := strings.TrimSpace(string(text))
	for _, b := range installed {
		if strconv.Itoa(b.Major) == version {
			return b, nil
		}
	}
	return Binaries{}, fmt.Errorf("the data in %s belong to PostgreSQL %s, but PostgreSQL %d is installed: "+
		"install %s, or remove %s to create a new cluster", h.dir, version, installed[0].Major, version, h.dir)
}

// url returns the URL of a database. It sets every parameter that PG* variables of the environment
// could otherwise change.
func (h home) url(database string) string {
	address := url.URL{
		Scheme:   "postgres",
		User:     url.User(superuser),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {h.socket}, "port": {socketPort}, "sslmode": {"disable"}}.Encode(),
	}
	return address.String()
}

// remove deletes the cluster and its data.
func (h home) remove() error {
	return errors.Join(os.RemoveAll(h.dir), os.RemoveAll(h.socket))
}

// removeAbandoned deletes the temporary homes in root of processes that ended without a call of
// Stop, for example after a panic in a test. It ignores errors, because the next call tries again.
func removeAbandoned(root string) {
	dirs, _ := filepath.Glob(filepath.Join(root, temporaryPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || owner(info) != os.Geteuid() || time.Since(info.ModTime()) < abandonedAfter {
			continue
		}
		h := layout(dir)
		if ownerLock, err := tryLock(h.ownerLock); err == nil {
			if serverLock, err := tryLock(h.serverLock); err == nil {
				_ = h.remove()
				_ = serverLock.Close()
			}
			_ = ownerLock.Close()
		}
	}
}

// owner returns the user id of a file's owner, or -1 if it is unknown.
func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// tryLock takes a lock, or returns errLocked. The lock is held until the file and every copy that a
// child process inherited are closed.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errLocked
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// waitLock waits for a lock and takes it. While another process holds the lock, it calls onLocked
// every pollInterval and returns the error of onLocked, if any. It returns an error that wraps
// errLocked if ctx is done first.
func waitLock(ctx context.Context, path string, onLocked func() error) (*os.File, error) {
	var lock *os.File
	err := poll(ctx, func() (done bool, err error) {
		lock, err = tryLock(path)
		if errors.Is(err, errLocked) {
			return false, onLocked()
		}
		return true, err
	})
	if err != nil && errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%s: %w: %w", path, errLocked, err)
	}
	return lock, err
}
