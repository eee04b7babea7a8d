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

// account is the one of the machine that the server runs under: our own, unless we are root, whom PostgreSQL refuses.
type account struct {
	uid, gid   int
	credential *syscall.Credential
}

// serverAccount finds an account for the server.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return account{int(uid), int(gid), &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is no account postgres or nobody to run it under")
}

// privateDir makes a folder that nobody but the account can enter, or makes sure that one which is there is such a
// folder: its name may be foreseeable, in a place where others can write.
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
		return fmt.Errorf("%s is not a folder that only we can enter", path)
	}
	return os.Lchown(path, a.uid, a.gid)
}

// process is a child that runs.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	err    error         // how it ended; to be read after exited
}

// start starts a program under the account, with its output in the log file and, as descriptor 3, a file to inherit.
func (a account) start(logPath string, inherit *os.File, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	cmd := exec.Command(program, args...)
	cmd.Dir = "/" // ours may be one that the account cannot enter
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = log, log
	if inherit != nil {
		cmd.ExtraFiles = []*os.File{inherit}
	}
	// A group of its own keeps the terminal's Ctrl-C from it: we stop it, in order, when we have no more use for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential, Setpgid: true}
	dieWithParent(cmd.SysProcAttr)

	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux takes the death of the thread that started a child for the death of the parent. So the thread is
		// kept, by waiting on it, for as long as the child lives.
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

// run runs a program to its end.
func (a account) run(ctx context.Context, logPath, program string, args ...string) error {
	p, err := a.start(logPath, nil, program, args...)
	if err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill() // it fails only where the process has just ended
		<-p.exited
		return fmt.Errorf("%s: %w", program, ctx.Err())
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w\n%s", program, p.err, tail(logPath))
	}
	return nil
}

// end sends the process a signal and waits for its end.
func (p *process) end(ctx context.Context, signal syscall.Signal, patience time.Duration) bool {
	_ = p.cmd.Process.Signal(signal) // it fails only where the process has ended already
	return p.endsWithin(ctx, patience)
}

// endsWithin waits for the process to end.
func (p *process) endsWithin(ctx context.Context, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-p.exited:
		return true
	case <-ctx.Done():
		return false
	}
}

// environment is ours without what would steer PostgreSQL past our settings.
func environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "PG") })
	return append(env, "LC_ALL=C")
}
