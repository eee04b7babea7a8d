//go:build !linux

package localpg

import "syscall"

// dieWithParent does nothing where the kernel offers nothing: the next start in the same folder stops the orphan.
func dieWithParent(*syscall.SysProcAttr) {}

// memoryDir is none: the system's temporary folder will do.
func memoryDir() string { return "" }
