//go:build !linux

package localpg

import (
	"errors"
	"syscall"
)

// dieWithParent does nothing, because the kernel has no such signal. The next start in the same
// directory stops an orphaned server.
func dieWithParent(*syscall.SysProcAttr) {}

// memoryDir returns an empty string, because the platform has no directory in memory.
func memoryDir() string { return "" }

// signalServer returns errors.ErrUnsupported. Only tests of failures need it, and they run on
// Linux.
func signalServer(int, syscall.Signal) (bool, error) { return false, errors.ErrUnsupported }
