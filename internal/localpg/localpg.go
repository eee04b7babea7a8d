// Package localpg runs a private PostgreSQL where none is given: for a first look at the service on a bare machine,
// and for tests. It listens on a Unix socket only, keeps everything in one folder, and does not outlive its owner.
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

// No wait is longer than these, whatever the caller's context allows.
const (
	initTimeout  = 2 * time.Minute
	startTimeout = 30 * time.Second
	fastTimeout  = 20 * time.Second
	killTimeout  = 10 * time.Second
	pingTimeout  = 5 * time.Second
	pollInterval = 10 * time.Millisecond
)

// superuser is the database role that the service connects as. It is not the name of an account of the machine.
const superuser = "talon"

// maintenance is the database that every new cluster has.
const maintenance = "postgres"

// Options say where a cluster lives and how careful it is.
type Options struct {
	// Dir keeps the cluster from one run to the next. Empty means a temporary folder, which Stop removes; it lies in
	// memory where there is room.
	Dir string
	// Durable keeps what was committed, come what may. Without it the cluster is fast, commits outlive a killed server
	// but not a power cut, and its clock shows an odd time zone: what tests want.
	Durable bool
}

// RunningError says that another living process runs the cluster in this folder. The cluster answers: use its URL.
type RunningError struct {
	Dir  string
	home home
}

// Error implements error.
func (e *RunningError) Error() string {
	return "another process runs the private PostgreSQL in " + e.Dir
}

// URL is the address of a database in the cluster that runs.
func (e *RunningError) URL(database string) string { return e.home.url(database) }

// Cluster is a PostgreSQL server of our own.
type Cluster struct {
	home      home
	account   account
	binaries  Binaries
	durable   bool
	temporary bool
	server    *process

	stopping sync.Mutex
	owned    *os.File // nil once stopped
	hung     bool
}

// DefaultDir is where a cluster that should last lives: in the user's cache, which XDG_CACHE_HOME may place, so that
// there can be several. Root's own cache will not do: the unprivileged account that the server runs under cannot enter
// root's home.
func DefaultDir() (string, error) {
	if os.Geteuid() == 0 && os.Getenv("XDG_CACHE_HOME") == "" {
		return "/var/cache/talon/postgres", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for the private PostgreSQL: %w", err)
	}
	return filepath.Join(cache, "talon", "postgres"), nil
}

// Start makes the cluster where there is none yet, starts it and returns when it answers. The context bounds the
// start only; the cluster runs until Stop, or until this process dies. A *RunningError means that it already runs.
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
		return nil, fmt.Errorf("make a folder for the private PostgreSQL: %w", err)
	}
	c := &Cluster{home: home, account: account, durable: options.Durable, temporary: options.Dir == ""}
	if c.owned, err = home.own(ctx); err != nil {
		return nil, err
	}
	if err := c.start(ctx, installed); err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// URL is the address of a database of the cluster, over its Unix socket: for pgx and for psql alike.
func (c *Cluster) URL(database string) string { return c.home.url(database) }

// Stop ends every session and stops the server in order; when that takes too long, or the context ends, at once.
// A temporary cluster is removed. To stop twice does no harm.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stopping.Lock()
	defer c.stopping.Unlock()
	if c.owned == nil {
		return nil
	}
	if err := c.halt(ctx); err != nil {
		return fmt.Errorf("stop the private PostgreSQL in %s: %w", c.home.dir, err)
	}
	if c.temporary {
		if err := c.home.remove(); err != nil {
			return fmt.Errorf("remove the private PostgreSQL: %w", err)
		}
	}
	if err := c.owned.Close(); err != nil {
		return fmt.Errorf("give up the folder of the private PostgreSQL: %w", err)
	}
	c.owned = nil
	return nil
}

// Crash ends the server as its sudden death would: sessions are cut and nothing is written down. Resume starts it again.
func (c *Cluster) Crash(ctx context.Context) error {
	c.stopping.Lock()
	defer c.stopping.Unlock()
	if !c.server.end(ctx, syscall.SIGQUIT, killTimeout) {
		return fmt.Errorf("crash the private PostgreSQL in %s: it goes on", c.home.dir)
	}
	return nil
}

// Resume starts a server that has crashed; it recovers and answers when Resume returns.
func (c *Cluster) Resume(ctx context.Context) error {
	c.stopping.Lock()
	defer c.stopping.Unlock()
	if err := c.launch(ctx); err != nil {
		return fmt.Errorf("start the private PostgreSQL in %s again: %w", c.home.dir, err)
	}
	return nil
}

// Hang stops all processes of the server where they stand, as a disk that does not answer would: connections stay open, new ones are taken, and
// nobody says a word. Continue ends it. It needs Linux.
func (c *Cluster) Hang(ctx context.Context) error {
	c.stopping.Lock()
	defer c.stopping.Unlock()
	c.hung = true
	// The parent may be about to have another child: it is over when the parent, too, has been seen to stand.
	err := poll(ctx, func() (bool, error) {
		return signalFamily(c.server.cmd.Process.Pid, syscall.SIGSTOP)
	})
	if err != nil {
		return fmt.Errorf("hang the private PostgreSQL in %s: %w", c.home.dir, errors.Join(err, c.wake()))
	}
	return nil
}

// Continue lets a server that hangs go on from where it stands.
func (c *Cluster) Continue() error {
	c.stopping.Lock()
	defer c.stopping.Unlock()
	if err := c.wake(); err != nil {
		return fmt.Errorf("let the private PostgreSQL in %s go on: %w", c.home.dir, err)
	}
	return nil
}

// wake ends what Hang began.
func (c *Cluster) wake() error {
	_, err := signalFamily(c.server.cmd.Process.Pid, syscall.SIGCONT)
	c.hung = err != nil
	return err
}

// start brings the cluster of an owned folder up.
func (c *Cluster) start(ctx context.Context, installed []Binaries) (err error) {
	if c.binaries, err = c.home.choose(installed); err != nil {
		return err
	}
	if err := c.account.privateDir(c.home.socket); err != nil {
		return fmt.Errorf("make a folder for the socket: %w", err)
	}
	if err := c.initialise(ctx); err != nil {
		return fmt.Errorf("make a PostgreSQL cluster in %s: %w", c.home.dir, err)
	}
	if err := c.launch(ctx); err != nil {
		return fmt.Errorf("start the private PostgreSQL in %s: %w", c.home.dir, err)
	}
	return nil
}

// initialise makes the data folder under another name first, so that one left half done is never mistaken for a cluster.
func (c *Cluster) initialise(ctx context.Context) error {
	if _, err := os.Stat(c.home.data); err == nil {
		return nil
	}
	fresh := c.home.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := c.account.privateDir(fresh); err != nil {
		return err
	}
	// Trust, because the socket lies in a folder that only its owner (and root) can enter: who gets that far could
	// read the data files as well. Peer would need a map from the accounts of this very machine to our one role.
	// The C locale is the one that every machine has, and it sorts the same everywhere.
	args := []string{
		"--pgdata=" + fresh, "--username=" + superuser, "--auth-local=trust", "--auth-host=reject",
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
	return os.Rename(fresh, c.home.data)
}

// launch starts the server in a data folder that is there, and waits until it answers.
func (c *Cluster) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	lock, err := c.home.reclaim(ctx)
	if err != nil {
		return err
	}
	// The server and all its children inherit the lock: it is free when the last of them is gone.
	c.server, err = c.account.start(c.home.log, lock, c.binaries.program("postgres"), c.settings()...)
	if closeErr := lock.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	var refusal error
	err = poll(ctx, func() (bool, error) {
		select {
		case <-c.server.exited:
			return false, fmt.Errorf("it ended: %s\n%s", c.server.cmd.ProcessState, tail(c.home.log))
		default:
		}
		refusal = ping(ctx, c.home.url(maintenance))
		return refusal == nil, nil
	})
	if err != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("it does not answer: %w (%w)\n%s", err, refusal, tail(c.home.log))
	}
	return err
}

// settings are given at every start, not written down once: a newer build's settings hold for an older folder.
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
		// Without fsync a synchronous commit costs nothing, and tests may kill the server and look what it kept.
		"--fsync=off", "--full_page_writes=off", "--jit=off",
		"--max_wal_size=256MB",      // the log, too, may lie in memory
		"--timezone=Asia/Kathmandu", // +05:45: whoever takes local time for UTC, or a zone for whole hours, finds out
	})
}

// halt stops the server, first politely, and returns when none of its processes is left.
func (c *Cluster) halt(ctx context.Context) error {
	if c.server == nil {
		return nil
	}
	if c.hung {
		_ = c.wake() // else none of its processes would hear that it is to stop
	}
	// Fast: sessions end, and a last checkpoint is written. A caller in a hurry skips the wait for it, not the next.
	if !c.server.end(ctx, syscall.SIGINT, fastTimeout) {
		// Immediate: the next start recovers from the log.
		hard := context.WithoutCancel(ctx)
		_ = c.server.end(hard, syscall.SIGQUIT, killTimeout) || c.server.end(hard, syscall.SIGKILL, killTimeout)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	lock, err := waitLock(ctx, c.home.serverLock, func() error { return nil })
	if err != nil {
		return fmt.Errorf("processes of the server are left: %w", err)
	}
	return lock.Close()
}

// ping connects as the service would.
func ping(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// poll asks until the answer is yes or an error, or the context ends.
func poll(ctx context.Context, ask func() (done bool, err error)) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if done, err := ask(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// tail is the end of a log, for an error message.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "its log cannot be read: " + err.Error()
	}
	lines := slices.Collect(strings.Lines(string(text)))
	lines = lines[max(0, len(lines)-20):]
	return strconv.Itoa(len(lines)) + " last lines of " + path + ":\n" + strings.Join(lines, "")
}
