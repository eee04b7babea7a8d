//go:build !linux

package localpg

import (
	"errors"
	"syscall"
)

// dieWithParent does nothing where the kernel offers nothing: the next start in the same folder stops the orphan.
func dieWithParent(*syscall.SysProcAttr) {}

// memoryDir is none: the system's temporary folder will do.
func memoryDir() string { return "" }

// signalFamily is wanted by tests of failures alone, which run on Linux.
func signalFamily(int, syscall.Signal) (bool, error) { return false, errors.ErrUnsupported }
