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

// roomInMemory is what a temporary cluster may come to need; a container's default is far less.
const roomInMemory = 2 << 30

// dieWithParent has the kernel tell a child to stop, in PostgreSQL's terms in order, when its parent is killed.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// memoryDir is a folder that lies in memory, if there is one with room and nobody has asked for another. A database is
// some hundreds of small files: on a disk, to make and drop one for every test is mostly the file system's work.
func memoryDir() string {
	const dir = "/dev/shm"
	var stat unix.Statfs_t
	if os.Getenv("TMPDIR") != "" || unix.Statfs(dir, &stat) != nil || unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		return ""
	}
	if stat.Bavail*uint64(stat.Bsize) < roomInMemory {
		return ""
	}
	return dir
}

// signalFamily sends a process and its children a signal, and tells whether all stood still before. PostgreSQL's processes each lead a group of their
// own, so that no group has them all; the kernel's own list of children is not in every kernel.
func signalFamily(parent int, signal syscall.Signal) (stood bool, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return false, err
	}
	stood = true
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …; the name may hold anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if ppid, _ := strconv.Atoi(string(fields[1])); pid != parent && ppid != parent {
			continue
		}
		if state := fields[0][0]; state != 'T' && state != 'Z' {
			stood = false
		}
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return false, err
		}
	}
	return stood, nil
}
