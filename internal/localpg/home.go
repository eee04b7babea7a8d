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

// The name of PostgreSQL's socket in its folder carries the port, and a socket's path must fit the kernel's
// sockaddr_un: 107 bytes on Linux, 103 on macOS.
const (
	socketPort = "5432"
	socketName = ".s.PGSQL." + socketPort
	socketMax  = 103
)

// temporaryPrefix begins the names of the folders of temporary clusters.
const temporaryPrefix = "talon-postgres-"

// abandonedAfter is the age from which a temporary folder that nobody holds is a dead process's. A younger one may
// belong to somebody who has just made it and does not hold it yet.
const abandonedAfter = time.Minute

// errLocked says that somebody holds a lock.
var errLocked = errors.New("locked by another process")

// home is the one folder where everything about a cluster lies. It has two locks, and the kernel frees either when the
// holders die, so no process number written in a file is ever trusted:
//   - the owner's: a living process of ours runs this cluster;
//   - the server's, inherited by every process of PostgreSQL: one of them lives.
type home struct {
	dir, data, socket, log, ownerLock, serverLock string
}

// layout names the parts of a folder. The socket's place depends on nothing but the folder's, so that a second
// process finds it; a path that is too long, or has a comma (which would part a list), is replaced by a short one.
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

// makeHome makes the folder, or a temporary one. Others may enter it, the server's account among them; what they must
// not see lies in private folders inside.
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
	// One folder reached by two names must have one socket.
	if dir, err = filepath.Abs(dir); err != nil {
		return home{}, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return home{}, err
	}
	return layout(dir), nil
}

// own makes this process the owner of the folder, or returns a *RunningError once the owner's server answers.
func (h home) own(ctx context.Context) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	lock, err := waitLock(ctx, h.ownerLock, func() error {
		if ping(ctx, h.url(maintenance)) == nil {
			return &RunningError{Dir: h.dir, home: h}
		}
		return nil // the owner is still starting it, or has only just stopped it
	})
	if err != nil {
		return nil, fmt.Errorf("take the folder %s: %w", h.dir, err)
	}
	return lock, nil
}

// reclaim waits until no server lives in the folder, asking one that outlived its owner to stop, and removes the lock
// files that a killed server leaves. PostgreSQL would believe them as soon as another process has got the same number.
func (h home) reclaim(ctx context.Context) (*os.File, error) {
	pidFile := filepath.Join(h.data, "postmaster.pid")
	socket := filepath.Join(h.socket, socketName)
	lock, err := waitLock(ctx, h.serverLock, func() error {
		interrupt(ctx, pidFile, socket)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for an earlier server to end: %w", err)
	}
	for _, stale := range []string{pidFile, socket, socket + ".lock"} {
		if err := os.Remove(stale); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, lock.Close())
		}
	}
	return lock, nil
}

// interrupt asks a server that nobody owns any more to stop. The kernel has told Linux's already; others need to be
// told. The number in the file is the server's own for as long as somebody listens on the socket.
func interrupt(ctx context.Context, pidFile, socket string) {
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

// choose takes the newest programs for a new cluster, and those of its own version for one that is there.
func (h home) choose(installed []Binaries) (Binaries, error) {
	text, err := os.ReadFile(filepath.Join(h.data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return installed[0], nil
	}
	if err != nil {
		return Binaries{}, fmt.Errorf("read the version of the data folder: %w", err)
	}
	version := strings.TrimSpace(string(text))
	for _, b := range installed {
		if strconv.Itoa(b.Major) == version {
			return b, nil
		}
	}
	return Binaries{}, fmt.Errorf("the data in %s is PostgreSQL %s's, and only %d is installed: install %s, or remove %s to start afresh",
		h.dir, version, installed[0].Major, version, h.dir)
}

// url is the address of a database. It names all that the PG* variables of the environment could change.
func (h home) url(database string) string {
	address := url.URL{
		Scheme:   "postgres",
		User:     url.User(superuser),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {h.socket}, "port": {socketPort}, "sslmode": {"disable"}}.Encode(),
	}
	return address.String()
}

// remove deletes the cluster for good.
func (h home) remove() error {
	return errors.Join(os.RemoveAll(h.dir), os.RemoveAll(h.socket))
}

// removeAbandoned deletes the temporary folders of processes that died without a Stop: after a panic in a test, say.
// What goes wrong here is nobody's business but the next one's who tries.
func removeAbandoned(root string) {
	dirs, _ := filepath.Glob(filepath.Join(root, temporaryPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || owner(info) != os.Geteuid() || time.Since(info.ModTime()) < abandonedAfter {
			continue
		}
		h := layout(dir)
		if owned, err := tryLock(h.ownerLock); err == nil {
			if free, err := tryLock(h.serverLock); err == nil {
				_ = h.remove()
				_ = free.Close()
			}
			_ = owned.Close()
		}
	}
}

// owner is the account that a file belongs to; -1 if that cannot be told.
func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// tryLock takes a lock that lasts until the file, and every copy that a child inherited, is closed.
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

// waitLock takes a lock; each time that somebody else has it, it asks held whether to wait on.
func waitLock(ctx context.Context, path string, held func() error) (*os.File, error) {
	var lock *os.File
	err := poll(ctx, func() (done bool, err error) {
		lock, err = tryLock(path)
		if errors.Is(err, errLocked) {
			return false, held()
		}
		return true, err
	})
	if err != nil && errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%s: %w: %w", path, errLocked, err)
	}
	return lock, err
}
