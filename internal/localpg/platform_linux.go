package localpg

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// minMemoryBytes is the free space that a temporary cluster needs. The default size of /dev/shm in
// a container is much smaller.
const minMemoryBytes = 2 << 30

// dieWithParent sets the attribute for which the kernel sends SIGINT to a child when its parent
// ends. PostgreSQL then performs a fast shutdown.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// memoryDir returns a writable directory in memory, or an empty string if the directory has too
// little space or TMPDIR is set. A database has hundreds of small files, and creating one for each
// test is slow on a disk.
func memoryDir() string {
	const dir = "/dev/shm"
	var stat unix.Statfs_t
	if os.Getenv("TMPDIR") != "" || unix.Statfs(dir, &stat) != nil || unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		return ""
	}
	if stat.Bavail*uint64(stat.Bsize) < minMemoryBytes {
		return ""
	}
	return dir
}

// signalServer sends a signal to a process and its children, and reports whether all of them were
// suspended before. It scans /proc, because each process of PostgreSQL is the leader of a separate
// process group, and not every kernel has a list of children.
func signalServer(parent int, signal syscall.Signal) (suspended bool, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return false, err
	}
	suspended = true
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		// The format is: pid (name) state parent …; the name may contain any characters.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if ppid, _ := strconv.Atoi(string(fields[1])); pid != parent && ppid != parent {
			continue
		}
		if state := fields[0][0]; state != 'T' && state != 'Z' {
			suspended = false
		}
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return false, err
		}
	}
	return suspended, nil
}
