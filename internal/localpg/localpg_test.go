package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// testTimeout limits every wait of a test.
const testTimeout = time.Minute

// helperDir is the name of an environment variable. If it is set, the test binary runs as a helper
// process: it runs a cluster in the directory in the variable until its standard input is closed.
const helperDir = "TALON_LOCALPG_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir, ok := os.LookupEnv(helperDir); ok {
		if err := runHelper(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func runHelper(dir string) error {
	c, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		return err
	}
	fmt.Println(c.URL(maintenance))
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return c.Stop(context.Background())
}

func TestDataSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	for _, durable := range []bool{true, false} {
		c := start(t, Options{Dir: dir, Durable: durable})
		query(t, c.URL(maintenance), "CREATE TABLE IF NOT EXISTS visits AS SELECT 42 AS n")
		require.NoError(t, c.Stop(t.Context()))
		require.Error(t, ping(t.Context(), c.URL(maintenance)))
		require.NoError(t, c.Stop(t.Context()), "a second Stop does nothing")
	}
	c := start(t, Options{Dir: dir})
	require.Equal(t, "42", query(t, c.URL(maintenance), "SELECT n::text FROM visits"))
}

func TestTemporaryClusterIsFastAndLeavesNothing(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	url := c.URL(maintenance)
	for setting, want := range map[string]string{
		"fsync": "off", "TimeZone": "Asia/Kathmandu", "server_encoding": "UTF8", "lc_collate": "C",
		"listen_addresses": "",
	} {
		require.Equal(t, want, query(t, url, "SELECT current_setting('"+setting+"')"), setting)
	}
	group, err := syscall.Getpgid(c.server.cmd.Process.Pid)
	require.NoError(t, err)
	require.NotEqual(t, syscall.Getpgrp(), group, "the terminal's Ctrl-C must not reach the server")
	socket, err := os.Stat(c.home.socket)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), socket.Mode().Perm())

	require.NoError(t, c.Stop(t.Context()))
	require.NoDirExists(t, c.home.dir)
}

func TestDurableClusterKeepsTheDefaults(t *testing.T) {
	t.Parallel()
	c := start(t, Options{Dir: tempDir(t), Durable: true})
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		require.Equal(t, "on", query(t, c.URL(maintenance), "SHOW "+setting))
	}
	require.Equal(t, "200", query(t, c.URL(maintenance), "SHOW max_connections"))
}

func TestStopWithACancelledContextStops(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, c.Stop(cancelled))
	require.NoDirExists(t, c.home.dir)
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(cancelled, Options{Dir: dir})
	require.ErrorIs(t, err, context.Canceled)
	start(t, Options{Dir: dir})
}

func TestSecondProcessGetsTheURL(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	startHelper(t, dir)
	_, err := Start(t.Context(), Options{Dir: dir})
	var running *RunningError
	require.ErrorAs(t, err, &running)
	require.Contains(t, err.Error(), dir)
	require.Equal(t, "1", query(t, running.URL(maintenance), "SELECT '1'"))
}

func TestOneOfManyConcurrentStartsOwnsTheCluster(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	const starters = 5
	clusters := make([]*Cluster, starters)
	errs := make([]error, starters)
	var all sync.WaitGroup
	for i := range starters {
		all.Go(func() { clusters[i], errs[i] = Start(t.Context(), Options{Dir: dir}) })
	}
	all.Wait()
	owners := 0
	for i, err := range errs {
		if err == nil {
			owners++
			require.NoError(t, clusters[i].Stop(t.Context()))
			continue
		}
		var running *RunningError
		require.ErrorAs(t, err, &running)
	}
	require.Equal(t, 1, owners)
}

func TestKilledServerRestarts(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	c := start(t, Options{Dir: dir})
	query(t, c.URL(maintenance), "CREATE TABLE visits AS SELECT 42 AS n")
	require.NoError(t, c.server.cmd.Process.Kill())
	require.True(t, c.server.exitsWithin(t.Context(), testTimeout))
	require.FileExists(t, filepath.Join(c.home.data, "postmaster.pid"))
	require.NoError(t, c.Stop(t.Context()))

	again := start(t, Options{Dir: dir})
	require.Equal(t, "42", query(t, again.URL(maintenance), "SELECT n::text FROM visits"))
}

func TestStaleFileWithTheProcessIDOfAnotherProcessIsIgnored(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	c := start(t, Options{Dir: dir})
	pidFile := filepath.Join(c.home.data, "postmaster.pid")
	socketLock := filepath.Join(c.home.socket, socketName+".lock")
	pidText, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	socketText, err := os.ReadFile(socketLock)
	require.NoError(t, err)
	require.NoError(t, c.Stop(t.Context()))

	// PostgreSQL treats any running process of its own account with that process id as a server.
	stranger, err := c.account.start(filepath.Join(tempDir(t), "log"), nil, "/bin/sleep", "600")
	require.NoError(t, err)
	defer func() {
		require.NoError(t, stranger.cmd.Process.Kill())
		require.True(t, stranger.exitsWithin(t.Context(), testTimeout))
	}()
	for path, text := range map[string][]byte{pidFile: pidText, socketLock: socketText} {
		_, rest, _ := strings.Cut(string(text), "\n")
		text := strconv.Itoa(stranger.cmd.Process.Pid) + "\n" + rest
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chown(path, c.account.uid, c.account.gid))
	}
	start(t, Options{Dir: dir})
	require.False(t, stranger.exitsWithin(t.Context(), 0), "the other process has not been stopped")
}

func TestServerDiesWithItsOwner(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	helper, url := startHelper(t, dir)
	query(t, url, "CREATE TABLE visits AS SELECT 42 AS n")
	require.NoError(t, helper.Process.Kill())

	// The kernel releases the lock when the last process of the server has ended.
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	lock, err := waitLock(ctx, layout(dir).serverLock, func() error { return nil })
	require.NoError(t, err)
	require.NoError(t, lock.Close())
	require.Error(t, ping(t.Context(), url))
}

func TestClusterOfAKilledOwnerStartsAtOnce(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	helper, url := startHelper(t, dir)
	query(t, url, "CREATE TABLE visits AS SELECT 42 AS n")
	require.NoError(t, helper.Process.Kill())
	_ = helper.Wait() // fails, because the helper was killed

	c := start(t, Options{Dir: dir}) // no RunningError, although the orphan may still accept connections
	require.Equal(t, "42", query(t, c.URL(maintenance), "SELECT n::text FROM visits"))
}

func TestOrphanedServerIsStopped(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	orphan := start(t, Options{Dir: dir})
	require.NoError(t, orphan.ownerLock.Close()) // simulates an owner that ends on a kernel without Pdeathsig
	orphan.ownerLock = nil
	start(t, Options{Dir: dir})
	require.True(t, orphan.server.exitsWithin(t.Context(), testTimeout))
}

func TestDirectoryWhosePathIsUnusableForASocket(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]string{"long": strings.Repeat("long", 30), "comma": "a,b"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(tempDir(t), part, "c")
			c := start(t, Options{Dir: dir})
			t.Cleanup(func() { require.NoError(t, os.RemoveAll(c.home.socket)) })
			require.LessOrEqual(t, len(filepath.Join(c.home.socket, socketName)), socketMax)
			require.Equal(t, "1", query(t, c.URL(maintenance), "SELECT '1'"))

			_, err := Start(t.Context(), Options{Dir: dir})
			var running *RunningError
			require.ErrorAs(t, err, &running)
		})
	}
}

func TestDirectoryReachedBySymlinkIsTheSame(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	start(t, Options{Dir: dir})
	link := filepath.Join(tempDir(t), "link")
	require.NoError(t, os.Symlink(dir, link))
	_, err := Start(t.Context(), Options{Dir: link})
	var running *RunningError
	require.ErrorAs(t, err, &running)
}

func TestDirectoryThatIsNotPrivateIsRejected(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "socket"), 0o700))
	require.NoError(t, os.Chmod(filepath.Join(dir, "socket"), 0o777))
	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "not a private directory of this user")
}

func TestDataOfAVersionThatIsNotInstalled(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600))
	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "install 9, or remove "+dir)

	home := layout(dir)
	selected, err := home.selectBinaries([]Binaries{{Dir: "new", Major: 17}, {Dir: "old", Major: 9}})
	require.NoError(t, err)
	require.Equal(t, "old", selected.Dir, "the server of the data's version is preferred to the newest server")
}

func TestFailedStartShowsTheLogAndUnlocksTheDirectory(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	c := start(t, Options{Dir: dir})
	require.NoError(t, c.Stop(t.Context()))
	config := filepath.Join(dir, "data", "postgresql.conf")
	good, err := os.ReadFile(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, []byte("nonsense = 1\n"), 0o600))

	began := time.Now()
	_, err = Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, `unrecognized configuration parameter "nonsense"`)
	require.Less(t, time.Since(began), startTimeout, "Start does not wait for a server that has exited")

	require.NoError(t, os.WriteFile(config, good, 0o600))
	start(t, Options{Dir: dir})
}

func TestUnfinishedClusterIsCreatedAnew(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	unfinished := filepath.Join(dir, "data.new")
	require.NoError(t, os.Mkdir(unfinished, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(unfinished, "PG_VERSION"), []byte("15\n"), 0o600))
	start(t, Options{Dir: dir})
}

func TestUnprivilegedUserRunsACluster(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("all tests run as an unprivileged user")
	}
	nobody := account{65534, 65534, &syscall.Credential{Uid: 65534, Gid: 65534}}
	dir := tempDir(t)
	require.NoError(t, os.Chown(dir, nobody.uid, nobody.gid))
	// The helper is a copy of the test binary, because other users cannot enter the directory of
	// the test binary. It is not in the memory directory, which may be mounted noexec. The program
	// cp writes the copy: if this process wrote it, a concurrently forked child could keep the file
	// open for writing, and then the copy could not be executed.
	self, err := os.Executable()
	require.NoError(t, err)
	program := filepath.Join(tempDirIn(t, os.TempDir()), "helper")
	require.NoError(t, exec.CommandContext(t.Context(), "cp", self, program).Run())
	helper := helperCommand(t, program, dir)
	helper.SysProcAttr = &syscall.SysProcAttr{Credential: nobody.credential}
	url := startAndReadURL(t, helper)
	require.Equal(t, superuser, query(t, url, "SELECT current_user"))
	info, err := os.Stat(filepath.Join(dir, "data"))
	require.NoError(t, err)
	require.Equal(t, nobody.uid, owner(info))
}

func TestAbandonedTemporaryDirectoriesAreRemoved(t *testing.T) {
	temp := tempDir(t)
	t.Setenv("TMPDIR", temp)
	dirs := map[string]string{}
	for _, name := range []string{"dead", "owned", "served", "young", "foreign"} {
		dirs[name] = filepath.Join(temp, temporaryPrefix+name)
		require.NoError(t, os.Mkdir(dirs[name], 0o755))
	}
	for _, path := range []string{layout(dirs["owned"]).ownerLock, layout(dirs["served"]).serverLock} {
		lock, err := tryLock(path)
		require.NoError(t, err)
		defer func() { require.NoError(t, lock.Close()) }()
	}
	old := time.Now().Add(-2 * abandonedAfter)
	for _, name := range []string{"dead", "owned", "served", "foreign"} {
		require.NoError(t, os.Chtimes(dirs[name], old, old))
	}
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(dirs["foreign"], 65534, 65534))
	}
	_, err := makeHome("")
	require.NoError(t, err)
	require.NoDirExists(t, dirs["dead"])
	for _, name := range []string{"owned", "served", "young"} {
		require.DirExists(t, dirs[name])
	}
	if os.Geteuid() == 0 {
		require.DirExists(t, dirs["foreign"], "a directory of another user is not removed")
	}
}

// start starts a cluster and stops it when the test ends.
func start(t *testing.T, options Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.WithoutCancel(t.Context()))) })
	return c
}

// query runs a statement and returns the text of its first row, or an empty string.
func query(t *testing.T, url, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	var text string
	if err := conn.QueryRow(ctx, sql).Scan(&text); !errors.Is(err, pgx.ErrNoRows) {
		require.NoError(t, err)
	}
	return text
}

// tempDir returns a new temporary directory, in memory if possible.
func tempDir(t *testing.T) string {
	t.Helper()
	return tempDirIn(t, memoryDir())
}

// tempDirIn returns a new temporary directory in root that the server's account can enter. The
// account cannot enter the directories that t.TempDir creates for the user root.
func tempDirIn(t *testing.T, root string) string {
	t.Helper()
	dir, err := os.MkdirTemp(root, "localpg-test-")
	require.NoError(t, err)
	t.Cleanup(func() {
		// A server whose owner was killed writes to the directory until it has stopped.
		removed := func() bool { return os.RemoveAll(dir) == nil }
		require.Eventually(t, removed, 30*time.Second, 10*time.Millisecond, "%s is not removed", dir)
	})
	require.NoError(t, os.Chmod(dir, 0o755))
	dir, err = filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	return dir
}

// startHelper runs a cluster in a helper process.
func startHelper(t *testing.T, dir string) (helper *exec.Cmd, url string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	helper = helperCommand(t, self, dir)
	return helper, startAndReadURL(t, helper)
}

// helperCommand returns a command that runs a copy of the test binary as a helper for dir.
func helperCommand(t *testing.T, program, dir string) *exec.Cmd {
	t.Helper()
	helper := exec.CommandContext(t.Context(), program)
	helper.Dir = "/"
	helper.Env = append(os.Environ(), helperDir+"="+dir)
	return helper
}

// startAndReadURL starts a helper and returns the URL of its cluster. It stops the helper when the
// test ends.
func startAndReadURL(t *testing.T, helper *exec.Cmd) string {
	t.Helper()
	input, err := helper.StdinPipe()
	require.NoError(t, err)
	output, err := helper.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, helper.Start())
	t.Cleanup(func() {
		_ = input.Close()
		_ = helper.Wait() // the test may have killed the helper or called Wait already
	})
	url, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	url = strings.TrimSpace(url)
	require.True(t, strings.HasPrefix(url, "postgres://"), url)
	return url
}

// Promise: DefaultDir is in XDG_CACHE_HOME if that variable is set, also for root.
func TestDefaultDir(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/somewhere/else")
	dir, err := DefaultDir()
	require.NoError(t, err)
	require.Equal(t, "/somewhere/else/talon/postgres", dir)
}
