package localpg

import (
	"os"
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
