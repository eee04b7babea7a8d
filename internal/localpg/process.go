package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// account is the user account that the server runs under. It is the account of this process, except
// for root, because PostgreSQL does not run as root.
type account struct {
	uid, gid   int
	credential *syscall.Credential // nil for the account of this process
}

// serverAccount returns the account for the server: the account of this process, or for root the
// account postgres or nobody.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		candidate, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(candidate.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(candidate.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return account{int(uid), int(gid), &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and the machine has no account postgres or nobody")
}

// privateDir creates a directory that belongs to the account and that only the account can enter.
// It accepts an existing directory of this kind. It returns an error if path is anything else:
// another user may have created it, because the path can be predictable and in a shared directory.
func (a account) privateDir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	ours := owner(info) == a.uid || owner(info) == os.Geteuid()
	if !info.IsDir() || !ours || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not a private directory of this user", path)
	}
	return os.Lchown(path, a.uid, a.gid)
}

// process is a child process.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has exited
	err    error         // the result of Wait; set before exited is closed
}

// start starts a program under the account. The output of the program replaces the content of the
// log file. The child inherits the file inherit as descriptor 3, unless inherit is nil.
func (a account) start(logPath string, inherit *os.File, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	cmd := exec.Command(program, args...)
	cmd.Dir = "/" // the account may not be able to enter the current directory
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = log, log
	if inherit != nil {
		cmd.ExtraFiles = []*os.File{inherit}
	}
	// A child in a separate process group does not receive the terminal's Ctrl-C. Stop shuts it
	// down.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential, Setpgid: true}
	dieWithParent(cmd.SysProcAttr)

	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux sends Pdeathsig when the thread that started the child ends. Waiting on that thread
		// keeps it alive as long as the child runs.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run runs a program under the account and waits until it exits. It kills the program if ctx is
// done.
func (a account) run(ctx context.Context, logPath, program string, args ...string) error {
	p, err := a.start(logPath, nil, program, args...)
	if err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill() // fails only if the process has just exited
		<-p.exited
		return fmt.Errorf("%s: %w", program, ctx.Err())
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w\n%s", program, p.err, tail(logPath))
	}
	return nil
}

// signalAndWait sends a signal to the process and reports whether it exits within the timeout and
// before ctx is done.
func (p *process) signalAndWait(ctx context.Context, signal syscall.Signal, timeout time.Duration) bool {
	_ = p.cmd.Process.Signal(signal) // fails only if the process has exited already
	return p.exitsWithin(ctx, timeout)
}

// exitsWithin waits for the process and reports whether it exits within the timeout and before ctx
// is done.
func (p *process) exitsWithin(ctx context.Context, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-p.exited:
		return true
	case <-ctx.Done():
		return false
	}
}

// environment returns the environment of this process without the PG* variables, which would
// override settings of PostgreSQL.
func environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "PG") })
	return append(env, "LC_ALL=C")
}

// ServerCredential returns the credential that a process of PostgreSQL must be started with. It is
// nil unless this process runs as root. It returns an error if there is no other account.
func ServerCredential() (*syscall.Credential, error) {
	account, err := serverAccount()
	return account.credential, err
}
