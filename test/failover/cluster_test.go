//go:build failover

package failover_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/localpg"
)

const (
	recipes    = "../../deploy/failover" // the files that are tested
	logs       = "../../.cache/failover" // of all processes of the last run
	minMemory  = 2 << 30                 // free bytes that the cluster needs
	startTime  = 2 * time.Minute         // for the cluster to be complete, at first and after a blow
	probeTime  = time.Second             // for one question to Patroni
	stopTime   = 10 * time.Second        // for PostgreSQL to stop
	pollTime   = 100 * time.Millisecond
	network    = "127.0.77." // instead of 10.0.0. in the recipes
	haproxyAt  = network + "10:5432"
	patroniAPI = ":8008"
)

// running is the cluster that TestMain stops after a signal.
var running atomic.Pointer[cluster]

// cluster is three nodes, each with etcd, Patroni and PostgreSQL, and HAProxy, all configured by
// the recipes. The processes run under an account that is not root.
type cluster struct {
	t          *testing.T
	dir        string
	credential *syscall.Credential // nil: that of this process
	password   string
	nodes      []*node
	haproxy    *exec.Cmd
	stop       func() // kills all processes and removes the data
}

// node is one node of the cluster. Patroni starts its PostgreSQL.
type node struct {
	name, address, data, config string
	environ                     []string // of Patroni
	etcdEnviron                 []string
	etcd, patroni               *exec.Cmd
}

// startCluster starts a cluster and returns when all its nodes replicate. The test stops it.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	binaries, err := localpg.Find(t.Context())
	require.NoError(t, err)
	c := &cluster{t: t, password: rand.Text()}
	c.credential, err = localpg.ServerCredential()
	require.NoError(t, err)
	for _, address := range []string{haproxyAt, network + "1:5432", network + "2:8008", network + "3:2379"} {
		listener, err := net.Listen("tcp", address)
		require.NoError(t, err, "another run of the test, or another PostgreSQL, uses the address")
		require.NoError(t, listener.Close())
	}
	require.NoError(t, os.RemoveAll(logs))
	require.NoError(t, os.MkdirAll(logs, 0o755))
	c.dir = c.makeDir(memoryDir(), "talon-failover-*")
	c.stop = sync.OnceFunc(c.kill)
	running.Store(c)
	t.Cleanup(c.stop)

	for i := 1; i <= 3; i++ {
		n := c.newNode(i, binaries.Dir)
		c.nodes = append(c.nodes, n)
		c.startEtcd(n)
	}
	for _, n := range c.nodes {
		c.startPatroni(n)
	}
	haproxy := strings.Replace(c.recipe("haproxy.cfg"), "bind 127.0.0.1:5432", "bind "+haproxyAt, 1)
	c.haproxy = c.start("haproxy", syscall.SIGKILL, nil, "haproxy", "-db", "-f", c.writeFile("haproxy.cfg", haproxy))
	c.waitComplete()
	return c
}

// memoryDir returns a directory in memory, or that of temporary files where memory is short. etcd
// gives up its leader if its disk stalls.
func memoryDir() string {
	var stat syscall.Statfs_t
	if syscall.Statfs("/dev/shm", &stat) == nil && stat.Bavail*uint64(stat.Bsize) > minMemory {
		return "/dev/shm"
	}
	return os.TempDir()
}

// makeDir creates a directory of the cluster's account.
func (c *cluster) makeDir(parent, pattern string) string {
	dir, err := os.MkdirTemp(parent, pattern)
	require.NoError(c.t, err)
	require.NoError(c.t, os.Chmod(dir, 0o755))
	c.own(dir)
	return dir
}

// own gives a file to the cluster's account.
func (c *cluster) own(path string) {
	if c.credential != nil {
		require.NoError(c.t, os.Chown(path, int(c.credential.Uid), int(c.credential.Gid)))
	}
}

// writeFile writes a file into the directory of the cluster, and returns its path.
func (c *cluster) writeFile(name, content string) string {
	path := filepath.Join(c.dir, name)
	require.NoError(c.t, os.WriteFile(path, []byte(content), 0o600))
	c.own(path)
	return path
}

// recipe returns a file of deploy/failover for the addresses of the test.
func (c *cluster) recipe(name string) string {
	text, err := os.ReadFile(filepath.Join(recipes, name))
	require.NoError(c.t, err)
	// A connection over loopback comes from 127.0.0.1, whichever address it goes to.
	return strings.NewReplacer("10.0.0.0/24", "127.0.0.0/8", "10.0.0.", network).Replace(string(text))
}

// ofNode returns a recipe that is written for pg1, for another node.
func (c *cluster) ofNode(name string, number int) string {
	lines := strings.Split(c.recipe(name), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "ETCD_INITIAL_CLUSTER=") {
			line = strings.ReplaceAll(line, "pg1", fmt.Sprintf("pg%d", number))
			lines[i] = strings.ReplaceAll(line, network+"1:", fmt.Sprintf("%s%d:", network, number))
		}
	}
	return strings.Join(lines, "\n")
}

// newNode writes the configuration of a node. Its PostgreSQL has the given programs.
func (c *cluster) newNode(number int, binaries string) *node {
	n := &node{name: fmt.Sprintf("pg%d", number), address: fmt.Sprintf("%s%d", network, number)}
	dir := filepath.Join(c.dir, n.name)
	require.NoError(c.t, os.Mkdir(dir, 0o700))
	c.own(dir)
	n.data = filepath.Join(dir, "data")
	environ := c.ofNode("patroni.env", number)
	for old, value := range map[string]string{
		"/var/lib/postgresql/15/talon": n.data, "/usr/lib/postgresql/15/bin": binaries,
		"/var/lib/postgresql/talon.pgpass": filepath.Join(dir, "pgpass"), "CHANGE-ME": c.password,
	} {
		require.Contains(c.t, environ, old)
		environ = strings.ReplaceAll(environ, old, value)
	}
	n.environ = variables(environ)
	n.etcdEnviron = variables(strings.Replace(c.ofNode("etcd.env", number),
		"/var/lib/etcd/talon", filepath.Join(dir, "etcd"), 1))
	config := c.recipe("patroni.yml")
	for old, value := range map[string]string{
		"/var/run/postgresql": dir,           // the nodes share a machine
		"mode: required":      `mode: "off"`, // which the watchdog would reset
	} {
		require.Contains(c.t, config, old)
		config = strings.Replace(config, old, value, 1)
	}
	n.config = c.writeFile(n.name+".yml", config)
	return n
}

// variables returns the variables of a file for the environment.
func variables(text string) []string {
	lines := strings.Split(text, "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" || strings.HasPrefix(line, "#") })
}

// start starts a program of the cluster. The kernel sends it the signal when this process ends. Its
// output is appended to a file in logs.
func (c *cluster) start(
	name string, orphaned syscall.Signal, environ []string, program string, args ...string,
) *exec.Cmd {
	c.t.Helper()
	cmd := c.command(environ, program, args...)
	log, err := os.OpenFile(filepath.Join(logs, name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	require.NoError(c.t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Pdeathsig = orphaned
	require.NoError(c.t, cmd.Start())
	return cmd
}

// command returns the command of a program under the cluster's account. It is not reached by the
// terminal's Ctrl-C.
func (c *cluster) command(environ []string, program string, args ...string) *exec.Cmd {
	path, err := exec.LookPath(program)
	if err != nil {
		path = "/usr/sbin/" + program // not on the PATH of most accounts
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = c.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "HOME=" + c.dir}, environ...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.credential}
	return cmd
}

// startEtcd starts etcd on a node.
func (c *cluster) startEtcd(n *node) {
	c.t.Helper()
	n.etcd = c.start("etcd-"+n.name, syscall.SIGKILL, n.etcdEnviron, "etcd")
}

// startPatroni starts Patroni on a node, which starts PostgreSQL.
func (c *cluster) startPatroni(n *node) {
	c.t.Helper()
	n.patroni = c.start("patroni-"+n.name, syscall.SIGTERM, n.environ, "patroni", n.config)
}

// ask sends a question to the Patroni of a node, and returns its status.
func (n *node) ask(path string, into any) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.address+patroniAPI+path, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if into != nil {
		err = json.NewDecoder(response.Body).Decode(into)
	}
	return response.StatusCode, err
}

// primary returns the node that Patroni calls the primary, other than the given one; nil if there
// is none.
func (c *cluster) primary(except *node) *node {
	for _, n := range c.nodes {
		if n == except {
			continue
		}
		if status, err := n.ask("/primary", nil); err == nil && status == http.StatusOK {
			return n
		}
	}
	return nil
}

// standby returns the node that is the synchronous standby.
func (c *cluster) standby() *node {
	for _, n := range c.nodes {
		if status, err := n.ask("/sync", nil); err == nil && status == http.StatusOK {
			return n
		}
	}
	require.FailNow(c.t, "the cluster has no synchronous standby")
	return nil
}

// waitComplete waits until both standbys receive the log of the primary, one of them synchronously.
func (c *cluster) waitComplete() {
	c.t.Helper()
	var view struct {
		Replication []struct {
			State     string `json:"state"`
			SyncState string `json:"sync_state"`
		} `json:"replication"`
	}
	for began := time.Now(); time.Since(began) < startTime; time.Sleep(pollTime) {
		primary := c.primary(nil)
		if primary == nil {
			continue
		}
		view.Replication = nil
		if _, err := primary.ask("/patroni", &view); err != nil {
			continue
		}
		streaming, synchronous := 0, 0
		for _, standby := range view.Replication {
			if standby.State == "streaming" {
				streaming++
				if standby.SyncState == "sync" {
					synchronous++
				}
			}
		}
		if streaming == len(c.nodes)-1 && synchronous == 1 {
			return
		}
	}
	require.FailNow(c.t, "the cluster is not complete", "%+v; the logs are in %s", view.Replication, logs)
}

// waitPrimary waits until a node other than the given one is the primary, and returns it.
func (c *cluster) waitPrimary(except *node) *node {
	c.t.Helper()
	for began := time.Now(); time.Since(began) < startTime; time.Sleep(pollTime) {
		if n := c.primary(except); n != nil {
			return n
		}
	}
	require.FailNow(c.t, "no primary", "the logs are in %s", logs)
	return nil
}

// switchover makes the synchronous standby the primary.
func (c *cluster) switchover(from, to *node) {
	c.t.Helper()
	output, err := c.command(from.environ, "patronictl", "-c", from.config, "switchover", "talon",
		"--leader", from.name, "--candidate", to.name, "--force").CombinedOutput()
	require.NoError(c.t, err, "%s", output)
}

// url returns the address of a database by the addresses of all nodes. A frozen node that comes
// first in it costs connect_timeout at each connection.
func (c *cluster) url(user, database string) string {
	var hosts []string
	for _, n := range c.nodes {
		hosts = append(hosts, n.address+":5432")
	}
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable&target_session_attrs=read-write&connect_timeout=1",
		user, c.password, strings.Join(hosts, ","), database)
}

// postmaster returns the process id of the node's PostgreSQL, or 0 if it does not run.
func (n *node) postmaster() int {
	text, _ := os.ReadFile(filepath.Join(n.data, "postmaster.pid"))
	line, _, _ := strings.Cut(string(text), "\n")
	pid, _ := strconv.Atoi(line)
	// The file outlives a killed server. The command line of another process differs, and that of
	// one that has ended is empty.
	if command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); !bytes.Contains(command, []byte(n.data)) {
		return 0
	}
	return pid
}

// signalTree sends a signal to processes and all their descendants, until a scan finds no new one.
func signalTree(signal syscall.Signal, roots ...int) {
	sent := map[int]bool{}
	for range 10 { // a process may fork during a scan
		found := false
		for _, pid := range tree(roots) {
			if !sent[pid] {
				found, sent[pid] = true, true
				_ = syscall.Kill(pid, signal) // fails only if it has ended
			}
		}
		if !found {
			return
		}
	}
}

// tree returns processes and all their descendants.
func tree(roots []int) []int {
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the only error is a malformed pattern
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The format is: pid (name) state parent …; the name may contain any characters.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, _ := strconv.Atoi(string(fields[1]))
		children[parent] = append(children[parent], pid)
	}
	var found []int
	for pids := slices.Clone(roots); len(pids) > 0; pids = pids[1:] {
		if pids[0] > 1 {
			found = append(found, pids[0])
			pids = append(pids, children[pids[0]]...)
		}
	}
	return found
}

// killPostgres kills all processes of the node's PostgreSQL.
func (n *node) killPostgres() { signalTree(syscall.SIGKILL, n.postmaster()) }

// killAll kills Patroni and PostgreSQL. startPatroni starts them again.
func (n *node) killAll() {
	signalTree(syscall.SIGKILL, n.patroni.Process.Pid, n.postmaster())
	_ = n.patroni.Wait()
}

// killEtcd kills the member of etcd. startEtcd starts it again.
func (n *node) killEtcd() {
	_ = n.etcd.Process.Kill() // fails only if it has ended
	_ = n.etcd.Wait()
}

// freeze suspends Patroni and PostgreSQL. The kernel still accepts connections.
func (n *node) freeze() { signalTree(syscall.SIGSTOP, n.patroni.Process.Pid, n.postmaster()) }

// thaw resumes what freeze has suspended.
func (n *node) thaw() { signalTree(syscall.SIGCONT, n.patroni.Process.Pid, n.postmaster()) }

// kill kills all processes and removes the data. PostgreSQL stops by itself, to give back its
// shared memory.
func (c *cluster) kill() {
	for _, n := range c.nodes {
		if n.patroni != nil {
			_ = n.patroni.Process.Kill() // fails only if it has ended
			_ = n.patroni.Wait()
		}
		if pid := n.postmaster(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGQUIT)
			signalTree(syscall.SIGCONT, pid)
		}
	}
	if c.haproxy != nil {
		_ = c.haproxy.Process.Kill()
		_ = c.haproxy.Wait()
	}
	for _, n := range c.nodes {
		if n.etcd != nil {
			n.killEtcd()
		}
		for began := time.Now(); n.postmaster() != 0 && time.Since(began) < stopTime; time.Sleep(pollTime) {
		}
		n.killPostgres()
	}
	_ = os.RemoveAll(c.dir)
}
