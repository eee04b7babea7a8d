//go:build !linux

package localpg

import (
	"errors"
	"syscall"
)

// dieWithParent does nothing, because the kernel offers no such signal. The next start in the same
// directory stops an orphaned server.
func dieWithParent(*syscall.SysProcAttr) {}

// memoryDir returns an empty string: there is no directory in memory.
func memoryDir() string { return "" }

// signalServer is not supported. Only tests of failures need it, and these run on Linux.
func signalServer(int, syscall.Signal) (bool, error) { return false, errors.ErrUnsupported }
