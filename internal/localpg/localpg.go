// Package localpg runs a private PostgreSQL for the sandbox and for tests, on a machine without a
// configured database. The server listens on a Unix socket only, stores its files in one directory,
// and stops when the process that started it ends.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// These timeouts apply in addition to the caller's context.
const (
	initTimeout  = 2 * time.Minute
	startTimeout = 30 * time.Second
	fastTimeout  = 20 * time.Second
	killTimeout  = 10 * time.Second
	pingTimeout  = 5 * time.Second
	pollInterval = 10 * time.Millisecond
)

// superuser is the database role that the service connects with. The machine needs no account of
// this name.
const superuser = "talon"

// maintenance is the database that every new cluster has.
const maintenance = "postgres"

// Options configure a cluster.
type Options struct {
	// Dir is the directory of a permanent cluster. If it is empty, the cluster is temporary: its
	// directory is in memory if that has enough space, and Stop removes it.
	Dir string
	// Durable means that commits survive a power failure. If it is false, as in tests, the cluster
	// is faster, commits survive only a crash of the server, and its time zone is Asia/Kathmandu.
	Durable bool
}

// RunningError is returned if another process runs the cluster in Dir. URL returns the address of
// that cluster, which accepts connections.
type RunningError struct {
	Dir  string
	home home
}

// Error implements error.
func (e *RunningError) Error() string {
	return "another process runs the private PostgreSQL in " + e.Dir
}

// URL returns the URL of a database in the running cluster.
func (e *RunningError) URL(database string) string { return e.home.url(database) }

// Cluster is a private PostgreSQL server. Its methods are safe for concurrent use.
type Cluster struct {
	home      home
	account   account
	binaries  Binaries
	durable   bool
	temporary bool
	server    *process

	mu        sync.Mutex // held by the methods that stop, crash, restart or suspend the server
	ownerLock *os.File   // nil after Stop
	hung      bool
}

// DefaultDir returns the directory of the sandbox's permanent cluster, in the user's cache
// directory. XDG_CACHE_HOME selects another cache directory and thus another cluster. For root the
// default is /var/cache, because the server runs under another account, which cannot enter root's
// home.
func DefaultDir() (string, error) {
	if os.Geteuid() == 0 && os.Getenv("XDG_CACHE_HOME") == "" {
		return "/var/cache/talon/postgres", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a directory for the private PostgreSQL: %w", err)
	}
	return filepath.Join(cache, "talon", "postgres"), nil
}

// Start creates the cluster if it does not exist, starts the server, and returns when it accepts
// connections. The context limits the start only: the server runs until Stop is called or this
// process ends. The error wraps a *RunningError if another process runs the cluster, and
// ErrNotInstalled if the machine has no PostgreSQL.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	installed, err := findAll(ctx)
	if err != nil {
		return nil, err
	}
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	home, err := makeHome(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("create a directory for the private PostgreSQL: %w", err)
	}
	c := &Cluster{home: home, account: account, durable: options.Durable, temporary: options.Dir == ""}
	if c.ownerLock, err = home.lockOwner(ctx); err != nil {
		return nil, err
	}
	if err := c.start(ctx, installed); err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// URL returns the URL of a database of the cluster, over its Unix socket. pgx and psql accept it.
func (c *Cluster) URL(database string) string { return c.home.url(database) }

// Stop ends every session and shuts the server down. If the shutdown takes too long or ctx is done,
// it kills the server. It removes a temporary cluster. Further calls do nothing.
func (c *Cluster) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ownerLock == nil {
		return nil
	}
	if err := c.shutDown(ctx); err != nil {
		return fmt.Errorf("stop the private PostgreSQL in %s: %w", c.home.dir, err)
	}
	if c.temporary {
		if err := c.home.remove(); err != nil {
			return fmt.Errorf("remove the private PostgreSQL: %w", err)
		}
	}
	if err := c.ownerLock.Close(); err != nil {
		return fmt.Errorf("unlock the directory of the private PostgreSQL: %w", err)
	}
	c.ownerLock = nil
	return nil
}

// Crash terminates the server at once, without a checkpoint, and breaks all sessions. Resume
// restarts the server.
func (c *Cluster) Crash(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.server.signalAndWait(ctx, syscall.SIGQUIT, killTimeout) {
		return fmt.Errorf("crash the private PostgreSQL in %s: it still runs", c.home.dir)
	}
	return nil
}

// Resume starts a crashed server and returns when it has recovered and accepts connections.
func (c *Cluster) Resume(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.startServer(ctx); err != nil {
		return fmt.Errorf("restart the private PostgreSQL in %s: %w", c.home.dir, err)
	}
	return nil
}

// Hang suspends all processes of the server, to simulate a disk that does not respond. Connections
// stay open, the kernel accepts new ones, and no request receives a response. Continue resumes the
// server. Hang works on Linux only.
func (c *Cluster) Hang(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hung = true
	// The parent may fork a child during a scan. All processes are suspended when a scan finds all
	// of them, including the parent, already suspended.
	err := poll(ctx, func() (bool, error) {
		return signalServer(c.server.cmd.Process.Pid, syscall.SIGSTOP)
	})
	if err != nil {
		return fmt.Errorf("hang the private PostgreSQL in %s: %w", c.home.dir, errors.Join(err, c.unsuspend()))
	}
	return nil
}

// Continue resumes a server that Hang has suspended.
func (c *Cluster) Continue() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.unsuspend(); err != nil {
		return fmt.Errorf("continue the private PostgreSQL in %s: %w", c.home.dir, err)
	}
	return nil
}

// unsuspend resumes all processes of the server. The caller must hold mu.
func (c *Cluster) unsuspend() error {
	_, err := signalServer(c.server.cmd.Process.Pid, syscall.SIGCONT)
	c.hung = err != nil
	return err
}

// start creates the cluster if necessary and starts its server. This process must own the home.
func (c *Cluster) start(ctx context.Context, installed []Binaries) (err error) {
	if c.binaries, err = c.home.selectBinaries(installed); err != nil {
		return err
	}
	if err := c.account.privateDir(c.home.socket); err != nil {
		return fmt.Errorf("create a directory for the socket: %w", err)
	}
	if err := c.initialise(ctx); err != nil {
		return fmt.Errorf("create a PostgreSQL cluster in %s: %w", c.home.dir, err)
	}
	if err := c.startServer(ctx); err != nil {
		return fmt.Errorf("start the private PostgreSQL in %s: %w", c.home.dir, err)
	}
	return nil
}

// initialise runs initdb unless the data directory exists. It creates the directory under another
// name and renames it at the end, so that an unfinished directory is never used as a cluster.
func (c *Cluster) initialise(ctx context.Context) error {
	if _, err := os.Stat(c.home.data); err == nil {
		return nil
	}
	unfinished := c.home.data + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := c.account.privateDir(unfinished); err != nil {
		return err
	}
	// Trust is safe: only its owner and root can enter the directory of the socket, and both can
	// read the data files anyway. Peer authentication would need a map from the machine's accounts
	// to the only role. The C locale exists on every machine and has the same order everywhere.
	args := []string{
		"--pgdata=" + unfinished, "--username=" + superuser, "--auth-local=trust", "--auth-host=reject",
		"--encoding=UTF8", "--locale=C",
	}
	if !c.durable {
		args = append(args, "--no-sync")
	}
	ctx, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	if err := c.account.run(ctx, c.home.log, c.binaries.program("initdb"), args...); err != nil {
		return err
	}
	return os.Rename(unfinished, c.home.data)
}

// startServer starts the server in an existing data directory and waits until it accepts
// connections.
func (c *Cluster) startServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	lock, err := c.home.lockServer(ctx)
	if err != nil {
		return err
	}
	// The server and all its children inherit the lock. The kernel releases it when the last of
	// them has ended.
	c.server, err = c.account.start(c.home.log, lock, c.binaries.program("postgres"), c.settings()...)
	if closeErr := lock.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	var pingErr error
	err = poll(ctx, func() (bool, error) {
		select {
		case <-c.server.exited:
			return false, fmt.Errorf("the server exited: %s\n%s", c.server.cmd.ProcessState, tail(c.home.log))
		default:
		}
		pingErr = ping(ctx, c.home.url(maintenance))
		return pingErr == nil, nil
	})
	if err != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("the server accepts no connections: %w (%w)\n%s", err, pingErr, tail(c.home.log))
	}
	return err
}

// settings returns the server's command-line arguments. They are passed at every start and not
// stored in the data directory, so that an older cluster runs with the settings of a newer build.
func (c *Cluster) settings() []string {
	settings := []string{
		"-D", c.home.data,
		"--listen_addresses=",
		"--unix_socket_directories=" + c.home.socket,
		"--unix_socket_permissions=0700",
		"--port=" + socketPort,
		"--max_connections=200",
		"--logging_collector=off",
	}
	if c.durable {
		return settings
	}
	return slices.Concat(settings, []string{
		// synchronous_commit stays on: without fsync it costs nothing, and tests may kill the
		// server and check that the commits have survived.
		"--fsync=off", "--full_page_writes=off", "--jit=off",
		"--max_wal_size=256MB",      // the WAL may be in memory
		"--timezone=Asia/Kathmandu", // +05:45: code that assumes UTC or whole hours fails
	})
}

// shutDown stops the server, gracefully if possible, and returns when all its processes have ended.
func (c *Cluster) shutDown(ctx context.Context) error {
	if c.server == nil {
		return nil
	}
	if c.hung {
		_ = c.unsuspend() // a suspended process does not handle signals
	}
	// SIGINT is a fast shutdown: it ends the sessions and writes a checkpoint. If ctx is done, this
	// wait is skipped.
	if !c.server.signalAndWait(ctx, syscall.SIGINT, fastTimeout) {
		// SIGQUIT is an immediate shutdown: the next start recovers from the WAL.
		uncancelled := context.WithoutCancel(ctx)
		_ = c.server.signalAndWait(uncancelled, syscall.SIGQUIT, killTimeout) ||
			c.server.signalAndWait(uncancelled, syscall.SIGKILL, killTimeout)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	lock, err := waitLock(ctx, c.home.serverLock, func() error { return nil })
	if err != nil {
		return fmt.Errorf("processes of the server still run: %w", err)
	}
	return lock.Close()
}

// ping opens and closes a connection. It returns an error if the server does not accept one within
// pingTimeout.
func ping(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// poll calls condition every pollInterval until it reports done or returns an error, or ctx is
// done.
func poll(ctx context.Context, condition func() (done bool, err error)) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if done, err := condition(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// tail returns the last lines of a log, for an error message.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "the log cannot be read: " + err.Error()
	}
	lines := slices.Collect(strings.Lines(string(text)))
	lines = lines[max(0, len(lines)-20):]
	return "last " + strconv.Itoa(len(lines)) + " lines of " + path + ":\n" + strings.Join(lines, "")
}
