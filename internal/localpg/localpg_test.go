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

// patience bounds what a test waits for.
const patience = time.Minute

// helperDir, when set, turns the test binary into a process that runs a cluster in that folder until its input ends.
const helperDir = "TALON_LOCALPG_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir, ok := os.LookupEnv(helperDir); ok {
		if err := help(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func help(dir string) error {
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

func TestDataOutlivesARestart(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	for _, durable := range []bool{true, false} {
		c := start(t, Options{Dir: dir, Durable: durable})
		query(t, c.URL(maintenance), "CREATE TABLE IF NOT EXISTS visits AS SELECT 42 AS n")
		require.NoError(t, c.Stop(t.Context()))
		require.Error(t, ping(t.Context(), c.URL(maintenance)))
		require.NoError(t, c.Stop(t.Context()), "to stop twice does no harm")
	}
	c := start(t, Options{Dir: dir})
	require.Equal(t, "42", query(t, c.URL(maintenance), "SELECT n::text FROM visits"))
}

func TestTemporaryClusterIsFastAndLeavesNothing(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	url := c.URL(maintenance)
	for setting, want := range map[string]string{
		"fsync": "off", "TimeZone": "Asia/Kathmandu", "server_encoding": "UTF8", "lc_collate": "C", "listen_addresses": "",
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

func TestAHurriedStopIsAStop(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, c.Stop(cancelled))
	require.NoDirExists(t, c.home.dir)
}

func TestACancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(cancelled, Options{Dir: dir})
	require.ErrorIs(t, err, context.Canceled)
	start(t, Options{Dir: dir})
}

func TestSecondProcessLearnsTheURL(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	startHelper(t, dir)
	_, err := Start(t.Context(), Options{Dir: dir})
	var running *RunningError
	require.ErrorAs(t, err, &running)
	require.Contains(t, err.Error(), dir)
	require.Equal(t, "1", query(t, running.URL(maintenance), "SELECT '1'"))
}

func TestOfManyWhoStartAtOnceOneOwns(t *testing.T) {
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

func TestKilledServerStartsAgain(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	c := start(t, Options{Dir: dir})
	query(t, c.URL(maintenance), "CREATE TABLE visits AS SELECT 42 AS n")
	require.NoError(t, c.server.cmd.Process.Kill())
	require.True(t, c.server.endsWithin(t.Context(), patience))
	require.FileExists(t, filepath.Join(c.home.data, "postmaster.pid"))
	require.NoError(t, c.Stop(t.Context()))

	again := start(t, Options{Dir: dir})
	require.Equal(t, "42", query(t, again.URL(maintenance), "SELECT n::text FROM visits"))
}

func TestNumberOfAnotherProcessInAStaleFileIsNotBelieved(t *testing.T) {
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

	// PostgreSQL looks whether such a process lives, of its own account, and takes it for a server.
	stranger, err := c.account.start(filepath.Join(tempDir(t), "log"), nil, "/bin/sleep", "600")
	require.NoError(t, err)
	defer func() {
		require.NoError(t, stranger.cmd.Process.Kill())
		require.True(t, stranger.endsWithin(t.Context(), patience))
	}()
	for path, text := range map[string][]byte{pidFile: pidText, socketLock: socketText} {
		_, rest, _ := strings.Cut(string(text), "\n")
		text := strconv.Itoa(stranger.cmd.Process.Pid) + "\n" + rest
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chown(path, c.account.uid, c.account.gid))
	}
	start(t, Options{Dir: dir})
	require.False(t, stranger.endsWithin(t.Context(), 0), "and it is left alone")
}

func TestServerDiesWithItsOwner(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	helper, url := startHelper(t, dir)
	query(t, url, "CREATE TABLE visits AS SELECT 42 AS n")
	require.NoError(t, helper.Process.Kill())

	// The lock is free when the last of the server's processes is gone.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lock, err := waitLock(ctx, layout(dir).serverLock, func() error { return nil })
	require.NoError(t, err)
	require.NoError(t, lock.Close())
	require.Error(t, ping(t.Context(), url))
}

func TestOwnerThatWasKilledIsSucceededAtOnce(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	helper, url := startHelper(t, dir)
	query(t, url, "CREATE TABLE visits AS SELECT 42 AS n")
	require.NoError(t, helper.Process.Kill())
	_ = helper.Wait() // it was killed

	c := start(t, Options{Dir: dir}) // no RunningError, though the orphan may still answer
	require.Equal(t, "42", query(t, c.URL(maintenance), "SELECT n::text FROM visits"))
}

func TestServerThatOutlivedItsOwnerIsStopped(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	orphan := start(t, Options{Dir: dir})
	require.NoError(t, orphan.owned.Close()) // as if the owner had died where the kernel does not tell its children
	orphan.owned = nil
	start(t, Options{Dir: dir})
	require.True(t, orphan.server.endsWithin(t.Context(), patience))
}

func TestFolderWhosePathIsNoGoodForASocket(t *testing.T) {
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

func TestFolderReachedBySymlinkIsTheSame(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	start(t, Options{Dir: dir})
	link := filepath.Join(tempDir(t), "link")
	require.NoError(t, os.Symlink(dir, link))
	_, err := Start(t.Context(), Options{Dir: link})
	var running *RunningError
	require.ErrorAs(t, err, &running)
}

func TestFolderOfSomebodyElseIsRefused(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "socket"), 0o700))
	require.NoError(t, os.Chmod(filepath.Join(dir, "socket"), 0o777))
	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "not a folder that only we can enter")
}

func TestDataOfAVersionThatIsNotInstalled(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600))
	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "install 9, or remove "+dir)

	home := layout(dir)
	chosen, err := home.choose([]Binaries{{Dir: "new", Major: 17}, {Dir: "old", Major: 9}})
	require.NoError(t, err)
	require.Equal(t, "old", chosen.Dir, "the version that made the data goes before the newest")
}

func TestFailedStartShowsTheLogAndLetsGo(t *testing.T) {
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
	require.Less(t, time.Since(began), startTimeout, "it does not wait for a server that has ended")

	require.NoError(t, os.WriteFile(config, good, 0o600))
	start(t, Options{Dir: dir})
}

func TestHalfMadeClusterIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	half := filepath.Join(dir, "data.new")
	require.NoError(t, os.Mkdir(half, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600))
	start(t, Options{Dir: dir})
}

func TestOrdinaryUserRunsOne(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("every test here runs as one")
	}
	nobody := account{65534, 65534, &syscall.Credential{Uid: 65534, Gid: 65534}}
	dir := tempDir(t)
	require.NoError(t, os.Chown(dir, nobody.uid, nobody.gid))
	// The test binary lies where others cannot go, and a program in memory may be forbidden to run. It is not this
	// process that writes the copy: a child forked meanwhile would hold it open for writing, and it could not be run.
	self, err := os.Executable()
	require.NoError(t, err)
	program := filepath.Join(tempDirIn(t, os.TempDir()), "helper")
	require.NoError(t, exec.CommandContext(t.Context(), "cp", self, program).Run())
	helper := helperCommand(t, program, dir)
	helper.SysProcAttr = &syscall.SysProcAttr{Credential: nobody.credential}
	url := begin(t, helper)
	require.Equal(t, superuser, query(t, url, "SELECT current_user"))
	info, err := os.Stat(filepath.Join(dir, "data"))
	require.NoError(t, err)
	require.Equal(t, nobody.uid, owner(info))
}

func TestAbandonedTemporaryFoldersAreRemoved(t *testing.T) {
	temp := tempDir(t)
	t.Setenv("TMPDIR", temp)
	made := map[string]string{}
	for _, name := range []string{"dead", "owned", "served", "young", "strange"} {
		made[name] = filepath.Join(temp, temporaryPrefix+name)
		require.NoError(t, os.Mkdir(made[name], 0o755))
	}
	for _, path := range []string{layout(made["owned"]).ownerLock, layout(made["served"]).serverLock} {
		lock, err := tryLock(path)
		require.NoError(t, err)
		defer func() { require.NoError(t, lock.Close()) }()
	}
	long := time.Now().Add(-2 * abandonedAfter)
	for _, name := range []string{"dead", "owned", "served", "strange"} {
		require.NoError(t, os.Chtimes(made[name], long, long))
	}
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(made["strange"], 65534, 65534))
	}
	_, err := makeHome("")
	require.NoError(t, err)
	require.NoDirExists(t, made["dead"])
	for _, name := range []string{"owned", "served", "young"} {
		require.DirExists(t, made[name])
	}
	if os.Geteuid() == 0 {
		require.DirExists(t, made["strange"], "it is not ours")
	}
}

// start starts a cluster that the test stops at its end.
func start(t *testing.T, options Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.WithoutCancel(t.Context()))) })
	return c
}

// query runs a statement and returns its one text, if it has any.
func query(t *testing.T, url, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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

// tempDir is a folder in memory, where it can be.
func tempDir(t *testing.T) string {
	t.Helper()
	return tempDirIn(t, memoryDir())
}

// tempDirIn is a folder that the server's account can enter, which t.TempDir's is not when we are root.
func tempDirIn(t *testing.T, root string) string {
	t.Helper()
	dir, err := os.MkdirTemp(root, "localpg-test-")
	require.NoError(t, err)
	t.Cleanup(func() {
		// A server whose owner was killed writes there until it has stopped.
		require.Eventually(t, func() bool { return os.RemoveAll(dir) == nil }, 30*time.Second, 10*time.Millisecond, "%s stays", dir)
	})
	require.NoError(t, os.Chmod(dir, 0o755))
	dir, err = filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	return dir
}

// startHelper runs a cluster in a process of its own.
func startHelper(t *testing.T, dir string) (helper *exec.Cmd, url string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	helper = helperCommand(t, self, dir)
	return helper, begin(t, helper)
}

// helperCommand is this test binary, told to run a cluster.
func helperCommand(t *testing.T, program, dir string) *exec.Cmd {
	t.Helper()
	helper := exec.CommandContext(t.Context(), program)
	helper.Dir = "/"
	helper.Env = append(os.Environ(), helperDir+"="+dir)
	return helper
}

// begin starts a helper, reads the URL that it prints when its cluster runs, and ends it with the test.
func begin(t *testing.T, helper *exec.Cmd) string {
	t.Helper()
	input, err := helper.StdinPipe()
	require.NoError(t, err)
	output, err := helper.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, helper.Start())
	t.Cleanup(func() {
		_ = input.Close()
		_ = helper.Wait() // the test may have killed it, or waited already
	})
	url, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	url = strings.TrimSpace(url)
	require.True(t, strings.HasPrefix(url, "postgres://"), url)
	return url
}

// Promise: whoever places the cache has a cluster of their own, root too.
func TestDefaultDir(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/somewhere/else")
	dir, err := DefaultDir()
	require.NoError(t, err)
	require.Equal(t, "/somewhere/else/talon/postgres", dir)
}
