//go:build distributed && chaos

package distributed_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
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
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/auth"
	"talon.example/internal/distribution"
	"talon.example/internal/testdb"
	"talon.example/migrations"
	"talon.example/test/harness"
)

// The parameters of the test. Everything is bounded.
const (
	chaosDatabase    = "talon_chaos"
	chaosPatients    = 2_000
	chaosLpus        = 8                      // each is a source and a target
	chaosShards      = 8                      // of a group of tables
	chaosInstances   = 2                      // of the service
	chaosConnections = 8                      // of each instance for requests
	chaosEvery       = 400 * time.Millisecond // a patient begins
	chaosAttempt     = 20 * time.Second       // a client waits for a response
	chaosDeadline    = 15 * time.Second       // of a response, with five seconds for a busy machine
	chaosClient      = 4 * time.Minute        // a client repeats one request
	chaosCalm        = 6 * time.Second        // load before and after a blow
	chaosStart       = 3 * time.Minute        // a node that was killed reads its log
	chaosRecovery    = time.Minute            // prepared transactions are ended
	chaosHalf        = 500 * time.Millisecond // the coordinator commits its own half
	chaosPoll        = 50 * time.Millisecond
)

// Promises 1 to 6, 8, 11, 22 and 23 on a distributed PostgreSQL whose nodes are killed under load,
// and whose shards move to another node: every booking, move and cancel that got a 200 response is
// found once in its last confirmed state, nothing is half done, and no transaction stays prepared.
// A request is repeated with its key through two instances. Meanwhile every response is a 503 or a
// success.
func TestChaos(t *testing.T) {
	c := newChaos(t)
	load := c.startLoad()
	for _, b := range []*blow{
		{name: "no blow", down: 2 * time.Second},
		{name: "worker 1", nodes: []int{1}, down: 8 * time.Second},
		{name: "worker 2", nodes: []int{2}, down: 8 * time.Second},
		{name: "worker 1, at once back", nodes: []int{1}},
		{name: "worker 2, at once back", nodes: []int{2}},
		{name: "coordinator", nodes: []int{0}, down: 5 * time.Second},
		{name: "coordinator, at once back", nodes: []int{0}},
		{name: "coordinator and worker 1", nodes: []int{0, 1}, down: 3 * time.Second},
		{name: "both workers", nodes: []int{1, 2}, down: 3 * time.Second},
		{name: "all", nodes: []int{0, 1, 2}},
	} {
		c.strike(b)
	}
	c.emptyWorker(1, 2)
	close(c.stop)
	load.Wait()
	c.report()
	c.check()
}

// chaos is two instances of the service as processes, on a distributed database of their own.
type chaos struct {
	t         *testing.T
	nodes     []*node // the coordinator first
	service   *harness.Service
	instances []*instance
	placed    map[uuid.UUID]int // institutions and persons: the node
	stop      chan struct{}
	blows     []*blow

	mu       sync.Mutex
	requests []sent
	patients []*patient

	bookings, found, moves, cancels, held, released, replayed, refused, unknown atomic.Int64
}

// instance is a running Talon.
type instance struct {
	url     string
	process *exec.Cmd
	logs    *harness.Logs
}

// sent is a request with its repetitions, until the last response.
type sent struct {
	began, ended time.Time
	nodes        [3]int // of the source, the target and the person
	later        int    // responses that asked for a repetition
	rules        []string
}

// touches reports whether the request needs one of the nodes.
func (s sent) touches(nodes []int) bool {
	return slices.ContainsFunc(nodes, func(n int) bool { return n == 0 || slices.Contains(s.nodes[:], n) })
}

// blow kills nodes and starts them again.
type blow struct {
	name  string
	nodes []int
	down  time.Duration // between the kill and the start

	struck, settled time.Time     // settled: every node is back and no transaction of before is prepared
	started         time.Duration // from the start until the nodes accept connections
	left            int           // prepared transactions of before that the nodes had then
	ended           time.Duration // until they were ended
}

// patient is the work of one patient's client.
type patient struct {
	number          int
	token           string
	source, target  uuid.UUID
	person          uuid.UUID
	held            int // the cell, 0: none
	visit           visit
	booked, unknown bool // unknown: the last request has no final response
}

// visit is what the client was told, or what is stored.
type visit struct {
	guid      uuid.UUID
	cell      uuid.UUID
	cancelled bool
}

func chaosLpu(n int) uuid.UUID { return harness.CrowdGuid(9, n) }

// newChaos creates the distributed database and starts the service.
func newChaos(t *testing.T) *chaos {
	address := os.Getenv(testdb.CitusVariable)
	if address == "" {
		t.Fatalf("%s is not set: it is the URL of a database on the coordinator of a distributed PostgreSQL (Citus) "+
			"with at least two workers, whose nodes are processes of this machine that the test kills and starts again",
			testdb.CitusVariable)
	}
	c := &chaos{t: t, nodes: findNodes(t, address), stop: make(chan struct{}), placed: map[uuid.UUID]int{}}
	t.Cleanup(c.leaveRunning)
	c.createDatabase()
	t.Cleanup(c.dropDatabase)
	database := c.nodes[0].url(chaosDatabase)
	config, err := pgxpool.ParseConfig(database)
	require.NoError(t, err)
	config.MaxConns = 1 // whose temporary tables check reads
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	dir := t.TempDir()
	key, err := auth.EnsureSigningKey(filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	c.service = &harness.Service{T: t, DB: pool, Key: key, Logs: new(harness.Logs), ClockOffset: new(atomic.Int64)}
	c.addPatients()
	c.distribute()

	program := harness.BuildTalon(t)
	for range chaosInstances {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addr := listener.Addr().String()
		require.NoError(t, listener.Close())
		i := &instance{url: "http://" + addr, logs: new(harness.Logs), process: exec.Command(program, "serve")}
		i.process.Env = []string{
			"DATABASE_URL=" + database, "TALON_ADDR=" + addr, "TALON_TOKEN_ISSUER=issuer", "TALON_TOKEN_AUDIENCE=talon",
			"TALON_AUTH_KEY_FILE=" + filepath.Join(dir, "key.pem"), "TALON_CLIENT_RATE=0",
			"TALON_DATABASE_MAX_CONNS=" + strconv.Itoa(chaosConnections), "TALON_SHUTDOWN_DELAY=0s",
		}
		i.process.Stderr = i.logs
		i.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		require.NoError(t, i.process.Start())
		t.Cleanup(func() { _ = i.process.Process.Kill(); _ = i.process.Wait() })
		c.instances = append(c.instances, i)
		c.waitReady(i)
	}
	return c
}

// node is a PostgreSQL of the distributed database.
type node struct {
	t        *testing.T
	name     string
	group    int
	address  url.URL // of the database that TALON_CITUS_URL names
	data     string  // its directory
	postgres string  // the program
	options  string  // of its command line
	log      string  // the file of its output
	owner    *syscall.Credential
	pid      int // of the postmaster, 0: killed
}

// findNodes returns the nodes, the coordinator first.
func findNodes(t *testing.T, address string) []*node {
	base, err := url.Parse(address)
	require.NoError(t, err, "%s is not a URL", testdb.CitusVariable)
	query := base.Query()
	query.Set("plan_cache_mode", "auto") // as talon distribute requires
	base.RawQuery = query.Encode()
	conn, err := pgx.Connect(t.Context(), base.String())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	rows, err := conn.Query(t.Context(),
		`SELECT nodename, nodeport, groupid FROM pg_dist_node WHERE noderole = 'primary' ORDER BY groupid`)
	require.NoError(t, err)
	var nodes []*node
	var host string
	var port, group int
	_, err = pgx.ForEachRow(rows, []any{&host, &port, &group}, func() error {
		n := &node{t: t, group: group, address: *base, name: "the coordinator"}
		if group != 0 {
			n.name = fmt.Sprintf("worker %d", len(nodes))
		}
		n.address.Host = net.JoinHostPort(host, strconv.Itoa(port))
		nodes = append(nodes, n)
		return nil
	})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(nodes), 3, "the coordinator and two workers are needed")
	require.Zero(t, nodes[0].group, "the workers do not know the coordinator")
	for _, n := range nodes {
		n.find()
	}
	return nodes
}

// maintenance returns the database that TALON_CITUS_URL names.
func (n *node) maintenance() string { return strings.TrimPrefix(n.address.Path, "/") }

func (n *node) url(database string) string {
	address := n.address
	address.Path = "/" + database
	return address.String()
}

func (n *node) connect(database string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.t.Context()), chaosAttempt)
	defer cancel()
	return pgx.Connect(ctx, n.url(database))
}

// execute executes statements one by one.
func (n *node) execute(database string, statements ...string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.t.Context()), chaosStart)
	defer cancel()
	conn, err := n.connect(database)
	require.NoError(n.t, err, n.name)
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		_, err := conn.Exec(ctx, sql)
		require.NoError(n.t, err, "%s: %s", n.name, sql)
	}
}

// find learns from a running node how to start it again.
func (n *node) find() {
	conn, err := n.connect(n.maintenance())
	require.NoError(n.t, err, n.name)
	defer func() { _ = conn.Close(context.WithoutCancel(n.t.Context())) }()
	var backend int
	require.NoError(n.t, conn.QueryRow(n.t.Context(),
		`SELECT pg_backend_pid(), current_setting('data_directory')`).Scan(&backend, &n.data))
	n.pid, _ = strconv.Atoi(status(backend, "PPid"))
	if status(backend, "Name") != "postgres" || status(n.pid, "Name") != "postgres" {
		n.t.Fatalf("%s at %s is no process of this machine", n.name, n.address.Host)
	}
	n.postgres, err = os.Readlink(proc(n.pid, "exe"))
	require.NoError(n.t, err, "the program of %s: the test must run as root or as the owner of the nodes", n.name)
	line, err := os.ReadFile(proc(n.pid, "cmdline"))
	require.NoError(n.t, err)
	arguments := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")[1:]
	if at := slices.Index(arguments, "-D"); at >= 0 && at+1 < len(arguments) {
		arguments = slices.Delete(arguments, at, at+2)
	}
	for _, argument := range arguments {
		n.options += " '" + strings.ReplaceAll(argument, "'", `'\''`) + "'"
	}
	if n.log, err = os.Readlink(proc(n.pid, "fd/1")); err != nil || !strings.HasPrefix(n.log, "/") {
		n.log = os.DevNull
	}
	info, err := os.Stat(n.data)
	require.NoError(n.t, err)
	owner, ok := info.Sys().(*syscall.Stat_t)
	require.True(n.t, ok)
	if int(owner.Uid) != os.Getuid() {
		n.owner = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
	}
}

func proc(pid int, file string) string { return filepath.Join("/proc", strconv.Itoa(pid), file) }

// status returns a field of a process, or an empty string if there is no such process.
func status(pid int, field string) string {
	text, _ := os.ReadFile(proc(pid, "status"))
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && name == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kill kills all processes of the node.
func (n *node) kill() {
	processes := []int{n.pid}
	_ = syscall.Kill(n.pid, syscall.SIGSTOP) // so that it starts no more processes
	entries, err := os.ReadDir("/proc")
	require.NoError(n.t, err)
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && status(pid, "PPid") == strconv.Itoa(n.pid) {
			processes = append(processes, pid)
		}
	}
	signal(processes, syscall.SIGKILL)
	n.pid = 0
	require.Eventually(n.t, func() bool {
		// Until its parent has waited for it, the next postmaster takes it for a running one.
		return !slices.ContainsFunc(processes, func(pid int) bool { return status(pid, "State") != "" })
	}, chaosAttempt, time.Millisecond, "%s does not die", n.name)
}

// start starts the node again, and waits until it accepts connections.
func (n *node) start() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.t.Context()), chaosStart)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(filepath.Dir(n.postgres), "pg_ctl"), "start", "-D", n.data,
		"-l", n.log, "-o", n.options, "-s", "-w", "-t", strconv.Itoa(int(chaosStart.Seconds())))
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Credential: n.owner}
	if err := command.Run(); err != nil {
		return fmt.Errorf("start %s again: %w; its log is %s", n.name, err, n.log)
	}
	text, err := os.ReadFile(filepath.Join(n.data, "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	n.pid, err = strconv.Atoi(first)
	return err
}

// prepared returns how many transactions were prepared before a moment and have not ended.
func (n *node) prepared(before time.Time) (count int) {
	conn, err := n.connect(chaosDatabase)
	require.NoError(n.t, err, n.name)
	defer func() { _ = conn.Close(context.WithoutCancel(n.t.Context())) }()
	require.NoError(n.t, conn.QueryRow(n.t.Context(),
		`SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database() AND prepared < $1`,
		before).Scan(&count))
	return count
}

// leaveRunning starts the nodes that a failed test has left killed.
func (c *chaos) leaveRunning() {
	for _, n := range c.nodes {
		if n.pid == 0 {
			if err := n.start(); err != nil {
				c.t.Error(err)
			}
		}
	}
}

// createDatabase creates the database on all nodes.
func (c *chaos) createDatabase() {
	c.dropDatabase()
	var add []string
	for _, n := range c.nodes {
		n.execute(n.maintenance(), `CREATE DATABASE `+chaosDatabase)
		n.execute(chaosDatabase, `CREATE EXTENSION citus`)
		function := "citus_add_node"
		if n.group == 0 {
			function = "citus_set_coordinator_host"
		}
		add = append(add, fmt.Sprintf(`SELECT %s('%s', %s)`, function, n.address.Hostname(), n.address.Port()))
	}
	c.nodes[0].execute(chaosDatabase, add...)
	require.NoError(c.t, migrations.Up(c.t.Context(), c.nodes[0].url(chaosDatabase)))
}

// dropDatabase drops the database on all nodes, also that of a run that was killed, which may have
// left prepared transactions. Citus has a process in the database that connects again and again.
func (c *chaos) dropDatabase() {
	var existing []*node
	for _, n := range c.nodes {
		conn, err := n.connect(n.maintenance())
		require.NoError(c.t, err)
		ctx := context.WithoutCancel(c.t.Context())
		tag, err := conn.Exec(ctx, `SELECT FROM pg_database WHERE datname = $1`, chaosDatabase)
		require.NoError(c.t, err)
		require.NoError(c.t, conn.Close(ctx))
		if tag.RowsAffected() > 0 {
			existing = append(existing, n)
		}
	}
	for _, n := range existing {
		n.endPrepared()
		n.execute(n.maintenance(), `ALTER DATABASE `+chaosDatabase+` ALLOW_CONNECTIONS false`)
	}
	for _, n := range existing {
		n.execute(n.maintenance(), `DROP DATABASE `+chaosDatabase+` WITH (FORCE)`)
	}
}

// endPrepared rolls back what is prepared in the database.
func (n *node) endPrepared() {
	conn, err := n.connect(chaosDatabase)
	if err != nil {
		return // it does not allow connections any more
	}
	ctx := context.WithoutCancel(n.t.Context())
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE database = current_database()`)
	require.NoError(n.t, err)
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(n.t, err)
	for _, sql := range statements {
		_, _ = conn.Exec(ctx, sql) // or it has just been ended
	}
}

// addPatients inserts patients with a referral and two cells each. Sources and targets vary.
func (c *chaos) addPatients() {
	c.service.AdvanceClock(time.Since(harness.Moment)) // the processes use the real clock
	const guid = `('c4a05000-%s-4000-8000-' || lpad((%s)::text, 12, '0'))::uuid`
	lpu := func(n string) string { return fmt.Sprintf(guid, "0009", n) }
	numbered := func(kind, n string) string { return fmt.Sprintf(guid, kind, n) }
	source, target := lpu(`i % 8`), lpu(`i / 8 % 8`)
	patients := fmt.Sprintf(`generate_series(0, %d) i`, chaosPatients-1)
	for _, sql := range []string{
		`INSERT INTO legal_entity VALUES ('c4a05000-0000-4000-8000-000000000001', 'Юридическое лицо')`,
		`INSERT INTO lpu SELECT ` + lpu("i") + `, 'c4a05000-0000-4000-8000-000000000001', i::text, 'Больница ' || i, 'Europe/Moscow'
			FROM generate_series(0, 7) i`,
		`INSERT INTO client_application VALUES ('` + harness.ClientGuid.String() + `', 'Тест', 95, 95, true)`,
		`INSERT INTO busy_type VALUES (1, 'Прием', true)`,
		`INSERT INTO resource SELECT ` + lpu("i") + `, ` + lpu("i") + `, 'doctor', 'Врач', '92' FROM generate_series(0, 7) i`,
		`INSERT INTO mkab (lpu_guid, guid, person_guid, surname, name, birth_date, sex, created_at)
			SELECT DISTINCT lpu, ` + numbered("0001", "i") + `, ` + numbered("0001", "i") + `, 'П', 'П', date '1980-01-01', 'male'::sex, now()
			FROM ` + patients + `, unnest(ARRAY[` + source + `, ` + target + `]) lpu`,
		`INSERT INTO direction (lpu_guid, guid, type, number, date, date_end, created_at, mkab_guid, speciality_code, lpu_from_guid, lpu_to_guid)
			SELECT ` + source + `, ` + numbered("0002", "i") + `, 'Consult', i::text, now(), now() + interval '30 days', now(),
			` + numbered("0001", "i") + `, '92', ` + source + `, ` + target + ` FROM ` + patients,
		`INSERT INTO slot (lpu_guid, guid, id, resource_guid, start_at, end_at, flag_access, busy_type)
			SELECT ` + target + `, ` + numbered("0003", "n") + `, n, ` + target + `, at, at + interval '1 minute', 127, 1
			FROM ` + patients + `, unnest(ARRAY[i + 1, i + 1 + ` + strconv.Itoa(chaosPatients) + `]) n,
			LATERAL (SELECT date_trunc('hour', now()) + interval '1 day' + n * interval '1 minute' AS at) s`,
		testdb.IndexRows,
		`ANALYZE`,
	} {
		c.service.Exec(sql)
	}
}

// distribute declares the tables, and learns where institutions and persons are.
func (c *chaos) distribute() {
	conn, err := c.nodes[0].connect(chaosDatabase)
	require.NoError(c.t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(c.t.Context())) }()
	testdb.SetOnWorkers(c.t, conn, "lock_timeout", "1s") // as a deployment must
	require.NoError(c.t, distribution.Distribute(c.t.Context(), conn,
		distribution.Options{Shards: chaosShards, Progress: io.Discard}))
	problems, err := distribution.Check(c.t.Context(), conn)
	require.NoError(c.t, err)
	require.Empty(c.t, problems)
	for table, column := range map[string]string{"resource": "lpu_guid", "person_lpu": "person_guid"} {
		rows, err := conn.Query(c.t.Context(), fmt.Sprintf(`
			SELECT g.%[2]s, p.groupid FROM (SELECT DISTINCT %[2]s FROM %[1]s) g
			JOIN pg_dist_placement p ON p.shardid = get_shard_id_for_distribution_column('%[1]s', g.%[2]s)`, table, column))
		require.NoError(c.t, err)
		var guid uuid.UUID
		var group int
		_, err = pgx.ForEachRow(rows, []any{&guid, &group}, func() error {
			c.placed[guid] = slices.IndexFunc(c.nodes, func(n *node) bool { return n.group == group })
			return nil
		})
		require.NoError(c.t, err)
	}
	require.Len(c.t, c.placed, chaosLpus+chaosPatients)
	pairs := map[[2]int]int{}
	for p := range chaosPatients {
		pairs[[2]int{c.placed[chaosLpu(p%chaosLpus)], c.placed[chaosLpu(p/chaosLpus%chaosLpus)]}]++
	}
	require.Len(c.t, pairs, 4, "the institutions are on two workers, and each pair of nodes has referrals: %v", pairs)
}

// waitReady waits until the instance is ready by itself.
func (c *chaos) waitReady(i *instance) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		response, err := harness.HTTPClient.Get(i.url + "/health/ready")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, chaosRecovery, chaosPoll, "the service is not ready:\n%s", i.logs)
}

// strike kills the nodes of the blow between the two halves of a commit, and starts them again.
func (c *chaos) strike(b *blow) {
	c.blows = append(c.blows, b)
	time.Sleep(chaosCalm + rand.N(time.Second))
	var suspended []int
	if len(b.nodes) > 0 {
		suspended = c.suspendCommit(c.nodes[max(1, slices.Max(b.nodes))])
		time.Sleep(chaosHalf)
	}
	b.struck = time.Now()
	var killed, started sync.WaitGroup
	for _, n := range b.nodes {
		killed.Go(c.nodes[n].kill)
	}
	killed.Wait()
	signal(suspended, syscall.SIGCONT) // those of a worker that lives
	time.Sleep(b.down)
	begin := time.Now()
	errs := make([]error, len(b.nodes))
	for i, n := range b.nodes {
		started.Go(func() { errs[i] = c.nodes[n].start() })
	}
	started.Wait()
	for _, err := range errs {
		require.NoError(c.t, err)
	}
	b.started = time.Since(begin)
	back := time.Now()
	b.left = c.prepared(back)
	require.Eventually(c.t, func() bool { return c.prepared(back) == 0 }, chaosRecovery, chaosPoll,
		"transactions stay prepared after %s", b.name)
	b.settled = time.Now()
	b.ended = b.settled.Sub(back)
	for _, i := range c.instances {
		c.waitReady(i)
	}
	c.t.Logf("%s: down %s, started in %s, %d prepared transactions ended after %s", b.name, b.down,
		b.started.Round(time.Millisecond), b.left, b.ended.Round(time.Millisecond))
}

// emptyWorker moves all shards of a worker to another one, each with those of the other tables that
// are distributed alike, as the rebalancer does.
func (c *chaos) emptyWorker(from, to int) {
	b := &blow{name: fmt.Sprintf("shards of worker %d move", from)}
	c.blows = append(c.blows, b)
	time.Sleep(chaosCalm)
	conn, err := c.nodes[0].connect(chaosDatabase)
	require.NoError(c.t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(c.t.Context())) }()
	var mode string
	require.NoError(c.t, conn.QueryRow(c.t.Context(), `SELECT CASE current_setting('wal_level')
		WHEN 'logical' THEN 'force_logical' ELSE 'block_writes' END`).Scan(&mode))
	moved := 0
	for b.struck = time.Now(); ; moved++ {
		var shard int64
		err := conn.QueryRow(c.t.Context(), `
			SELECT shardid FROM pg_dist_placement JOIN pg_dist_shard USING (shardid) JOIN pg_dist_partition USING (logicalrelid)
			WHERE groupid = $1 AND partmethod = 'h' LIMIT 1`, c.nodes[from].group).Scan(&shard)
		if errors.Is(err, pgx.ErrNoRows) {
			break
		}
		require.NoError(c.t, err)
		source, target := c.nodes[from].address, c.nodes[to].address
		_, err = conn.Exec(c.t.Context(), fmt.Sprintf(`SELECT citus_move_shard_placement(%d, '%s', %s, '%s', %s, '%s')`,
			shard, source.Hostname(), source.Port(), target.Hostname(), target.Port(), mode))
		require.NoError(c.t, err)
	}
	b.settled = time.Now()
	b.down = b.settled.Sub(b.struck)
	require.Positive(c.t, moved)
	c.t.Logf("%s: %d moves (%s) in %s", b.name, moved, mode, b.down.Round(time.Millisecond))
	time.Sleep(chaosCalm)
}

// suspendCommit suspends the sessions of a worker at a moment at which a transaction is prepared
// there, so that the blow falls between the two halves of its commit. It returns the processes, or
// none if no such moment comes.
func (c *chaos) suspendCommit(n *node) (suspended []int) {
	ctx, cancel := context.WithTimeout(c.t.Context(), chaosCalm)
	defer cancel()
	conn, err := n.connect(chaosDatabase)
	require.NoError(c.t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for ctx.Err() == nil {
		rows, err := conn.Query(ctx, `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
			AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND EXISTS (SELECT FROM pg_prepared_xacts)`)
		if err != nil {
			break
		}
		sessions, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil || len(sessions) == 0 {
			continue
		}
		signal(sessions, syscall.SIGSTOP)
		var stays bool
		err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_prepared_xacts)`).Scan(&stays)
		if err != nil || stays {
			return sessions // an error: one of them has a lock that the question needs
		}
		signal(sessions, syscall.SIGCONT)
	}
	return nil
}

func signal(processes []int, signal syscall.Signal) {
	for _, pid := range processes {
		_ = syscall.Kill(pid, signal)
	}
}

func (c *chaos) prepared(before time.Time) (count int) {
	for _, n := range c.nodes {
		count += n.prepared(before)
	}
	return count
}

// startLoad lets patients begin at regular times, whether or not the earlier ones are served.
func (c *chaos) startLoad() *sync.WaitGroup {
	var clients sync.WaitGroup
	clients.Go(func() {
		ticker := time.NewTicker(chaosEvery)
		defer ticker.Stop()
		for n := range chaosPatients {
			select {
			case <-c.stop:
				return
			case <-ticker.C:
				clients.Go(func() { c.runPatient(n) })
			}
		}
		c.t.Error("the patients are used up")
	})
	return &clients
}

// runPatient runs one patient's client. Some hold the cell before, and give it back or keep it.
// Some try a cell that another patient takes at the same time. Some move or cancel the visit. Those
// that have a key for each request repeat one that was done.
func (c *chaos) runPatient(n int) {
	p := &patient{
		number: n, person: harness.CrowdGuid(harness.CrowdPerson, n),
		source: chaosLpu(n % chaosLpus), target: chaosLpu(n / chaosLpus % chaosLpus),
	}
	var err error
	p.token, err = c.service.Key.Sign(auth.Caller{Person: p.person, Client: harness.ClientGuid}, "issuer", "talon",
		time.Now(), time.Hour)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.mu.Lock()
	c.patients = append(c.patients, p)
	c.mu.Unlock()
	referral := harness.Fields{
		"DirectionGuid": harness.CrowdGuid(harness.CrowdDirection, n), "DirectionType": "consult",
		"LpuFromGuid": p.source, "LpuToGuid": p.target,
	}
	cell := n + 1
	if n%4 == 0 && !c.hold(p, referral, cell) {
		return
	}
	if n%8 == 1 { // the cell of the patient before, who holds it or has just begun
		c.book(p, referral, cell-1, true)
	}
	if !p.booked && !p.unknown {
		c.book(p, referral, cell, n%8 == 0)
	}
	if !p.booked || p.visit.guid == uuid.Nil {
		return
	}
	if n%3 == 0 {
		c.move(p, cell+chaosPatients)
	}
	if n%6 < 2 && !p.unknown {
		c.cancel(p)
	}
}

// hold holds the cell, and reports whether the patient goes on to book.
func (c *chaos) hold(p *patient, referral harness.Fields, cell int) bool {
	body := maps.Clone(referral)
	body["Minutes"] = 15
	path := "/slots/" + harness.CrowdGuid(harness.CrowdSlot, cell).String() + "/hold"
	r := &request{patient: p, method: http.MethodPost, path: path, body: body, contended: p.number%8 == 0}
	if _, done := c.request(r); !done {
		return !p.unknown
	}
	c.held.Add(1)
	p.held = cell
	switch p.number % 16 {
	case 4:
		return false // keeps it
	case 8:
		path += "?lpuGuid=" + p.target.String()
		if _, done := c.request(&request{patient: p, method: http.MethodDelete, path: path}); done {
			c.released.Add(1)
			p.held = 0
		}
	}
	return true
}

// book books the cell. A contended one may be another patient's.
func (c *chaos) book(p *patient, referral harness.Fields, cell int, contended bool) {
	body := maps.Clone(referral)
	body["SlotId"] = cell
	r := &request{patient: p, method: http.MethodPost, path: "/appointments", body: body, contended: contended}
	if p.number%5 > 0 || contended {
		r.key = uuid.NewString()
	}
	a, done := c.request(r)
	if !done {
		return
	}
	p.booked, p.held = true, 0
	p.visit.cell = harness.CrowdGuid(harness.CrowdSlot, cell)
	if a.StatusCode != http.StatusOK {
		c.found.Add(1) // the client only learned that the referral is booked
		return
	}
	c.bookings.Add(1)
	p.visit.guid = harness.AppointmentOf(a).GUID
	c.repeat(r, a)
}

func (c *chaos) move(p *patient, cell int) {
	r := &request{
		patient: p, method: http.MethodPost, path: "/appointments/" + p.visit.guid.String() + "/move",
		body: harness.Fields{"SlotId": cell}, key: uuid.NewString(),
	}
	if a, done := c.request(r); done {
		c.moves.Add(1)
		p.visit.cell = harness.CrowdGuid(harness.CrowdSlot, cell)
		c.repeat(r, a)
	}
}

func (c *chaos) cancel(p *patient) {
	r := &request{
		patient: p, method: http.MethodDelete, path: "/appointments/" + p.visit.guid.String(),
		body: harness.Fields{"ReasonCode": 1}, key: uuid.NewString(),
	}
	if a, done := c.request(r); done {
		c.cancels.Add(1)
		p.visit.cancelled = true
		c.repeat(r, a)
	}
}

// repeat repeats some of the requests that were done, which get the same response.
func (c *chaos) repeat(r *request, first harness.Answer) {
	if r.key == "" || r.patient.number%7 > 0 {
		return
	}
	again, done := c.request(r)
	if done && again.Raw != first.Raw {
		c.t.Errorf("%s got the response %s, and then %s", r, first.Raw, again.Raw)
	}
	c.replayed.Add(1)
}

// request is repeated unchanged until its response is final.
type request struct {
	patient      *patient
	method, path string
	body         harness.Fields
	key          string // Idempotency-Key; empty is none
	contended    bool   // another patient may have the cell
	maybeDone    bool   // an earlier attempt may have been done
}

func (r *request) String() string {
	return fmt.Sprintf("patient %d: %s %s with the key %q", r.patient.number, r.method, r.path, r.key)
}

// request repeats a request until its response is final, each time through any instance, and
// reports whether it was done.
func (c *chaos) request(r *request) (a harness.Answer, done bool) {
	p := r.patient
	record := sent{began: time.Now(), nodes: [3]int{c.placed[p.source], c.placed[p.target], c.placed[p.person]}}
	defer func() {
		record.ended = time.Now()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests = append(c.requests, record)
	}()
	for time.Since(record.began) < chaosClient {
		i := c.instances[rand.IntN(len(c.instances))]
		began := time.Now()
		var err error
		a, err = c.send(i, r)
		if took := time.Since(began); took > chaosDeadline {
			c.t.Errorf("%s waited %s: %s %v", r, took, a.Raw, err)
		}
		rule := a.Refusal.Rule
		switch {
		case err != nil:
			c.t.Errorf("%s has no response: %v", r, err)
			r.maybeDone, rule = true, "no response"
		case a.StatusCode == http.StatusOK:
			return a, true
		case a.StatusCode == http.StatusServiceUnavailable &&
			(rule == api.RuleDatabaseUnavailable || rule == api.RuleOverloaded):
			r.maybeDone = true
		case rule == api.RuleIdempotencyKeyInUse && r.maybeDone:
		case rule == api.RuleTooManyRequests && !strings.HasSuffix(r.path, "/hold"): // all have one client application
		case rule == api.RuleDirectionAlreadyBooked && r.key == "" && r.maybeDone:
			return a, true
		case (rule == api.RuleSlotFull || rule == api.RuleSlotTaken) && r.key == "" && r.maybeDone && !r.contended:
			// Nobody else wants the cell: the half of the booking that is visible has it. The other
			// half has its referral.
		case (rule == api.RuleSlotFull || rule == api.RuleSlotTaken) && r.contended,
			rule == api.RuleTooManyRequests && strings.HasSuffix(r.path, "/hold"): // a doctor's holds are limited
			c.refused.Add(1)
			return a, false
		default:
			took := time.Since(record.began).Round(time.Millisecond)
			c.t.Errorf("%s, %s after it began: unexpected response %s\n%s", r, took, a.Raw,
				i.logged(a.Header.Get("X-Request-ID")))
			r.maybeDone = true // and the client goes on: what is found at the end matters
		}
		record.later++
		record.rules = append(record.rules, rule)
		time.Sleep(500*time.Millisecond + rand.N(time.Second))
	}
	c.unknown.Add(1)
	p.unknown = true
	c.t.Errorf("%s has no final response after %s", r, chaosClient)
	return a, false
}

// logged returns the lines of the log about a request.
func (i *instance) logged(id string) string {
	var lines []string
	for line := range strings.Lines(i.logs.String()) {
		if strings.Contains(line, id) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// send sends the request once and validates the response against the contract.
func (c *chaos) send(i *instance, r *request) (a harness.Answer, err error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), chaosAttempt)
	defer cancel()
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return a, err
		}
		body = strings.NewReader(string(text))
	}
	httpRequest, err := http.NewRequestWithContext(ctx, r.method, i.url+r.path, body)
	if err != nil {
		return a, err
	}
	if body != nil {
		httpRequest.Header.Set("Content-Type", "application/json")
	}
	httpRequest.Header.Set("Authorization", "Bearer "+r.patient.token)
	if r.key != "" {
		httpRequest.Header.Set("Idempotency-Key", r.key)
	}
	if a.Response, err = harness.HTTPClient.Do(httpRequest); err != nil {
		return a, err
	}
	defer a.Body.Close()
	raw, err := io.ReadAll(a.Body)
	if err != nil {
		return a, err
	}
	a.Raw = string(raw)
	harness.ValidateResponse(c.t, httpRequest, a.Response, raw)
	switch {
	case a.StatusCode != http.StatusOK:
		err = json.Unmarshal(raw, &a.Refusal)
	case r.method == http.MethodPost && !strings.HasSuffix(r.path, "/hold"):
		err = json.Unmarshal(raw, &a.Result)
	}
	return a, err
}

// report prints how long requests waited that were under way during each blow: those that need a
// node that was killed, and the others.
func (c *chaos) report() {
	var table strings.Builder
	rows := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "blow\tlasted\tstarted in\tprepared, ended after\taffected\tasked to repeat\tp50\tlongest\t"+
		"others\tasked to repeat\tp50\tlongest\tresponses")
	for _, b := range c.blows {
		var waits [2][]time.Duration
		var later [2]int
		rules := map[string]int{}
		for _, s := range c.requests {
			if s.ended.Before(b.struck) || s.began.After(b.settled) {
				continue
			}
			kind := 1
			if s.touches(b.nodes) {
				kind = 0
			}
			waits[kind] = append(waits[kind], s.ended.Sub(s.began))
			if s.later > 0 {
				later[kind]++
			}
			for _, rule := range s.rules {
				rules[rule]++
			}
		}
		fmt.Fprintf(rows, "%s\t%s\t%s\t%d, %s", b.name, seconds(b.down), seconds(b.started), b.left, seconds(b.ended))
		for kind := range waits {
			slices.Sort(waits[kind])
			fmt.Fprintf(rows, "\t%d\t%d\t%s\t%s", len(waits[kind]), later[kind], seconds(quantile(waits[kind], 0.5)),
				seconds(quantile(waits[kind], 1)))
		}
		fmt.Fprintf(rows, "\t%v\n", rules)
	}
	require.NoError(c.t, rows.Flush())
	all, half := map[string]int{}, 0
	for _, s := range c.requests {
		for _, rule := range s.rules {
			all[rule]++
		}
	}
	for _, i := range c.instances {
		half += strings.Count(i.logs.String(), "a node was lost that had prepared it")
	}
	fmt.Fprintf(os.Stdout, "\n%s\nresponses that asked for a repetition: %v; of these, commits that a node had "+
		"only prepared: %d\n", &table, all, half)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// quantile returns a quantile of sorted durations, or 0 if there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// check requires that every visit is stored once, as last confirmed, and that the tables agree.
func (c *chaos) check() {
	for _, i := range c.instances {
		require.NoError(c.t, i.process.Process.Signal(syscall.SIGTERM))
		require.NoError(c.t, i.process.Wait(), "%s", i.logs)
	}
	require.Eventually(c.t, func() bool { return c.prepared(time.Now()) == 0 }, chaosRecovery, chaosPoll,
		"transactions stay prepared")
	// Citus refuses joins of tables that are distributed by different columns. The copies are on
	// one connection, and have the same names.
	for _, table := range distribution.Tables() {
		c.service.Exec(`CREATE TEMP TABLE ` + table.Name + ` (LIKE public.` + table.Name + ` INCLUDING INDEXES)`)
		c.service.Exec(`INSERT INTO pg_temp.` + table.Name + ` TABLE public.` + table.Name)
	}
	c.service.AdvanceClock(time.Since(c.service.Now()))
	c.service.RequireInvariants()
	c.service.RequireNothingHalfDone()
	testdb.RequireIndexed(c.t, c.service.DB)
	stored := c.stored()
	found := 0
	confirmed := 0
	for _, p := range c.patients {
		is, exists := stored[harness.CrowdGuid(harness.CrowdDirection, p.number)]
		delete(stored, harness.CrowdGuid(harness.CrowdDirection, p.number))
		if p.unknown {
			continue
		}
		if p.booked {
			confirmed++
			p.visit.guid = cmp.Or(p.visit.guid, is.guid) // where the client only learned that there is one
		}
		switch {
		case exists != p.booked || is != p.visit:
			c.t.Errorf("patient %d: confirmed %+v, stored %+v", p.number, p.visit, is)
		case exists:
			found++
		}
		holds := c.service.Count(`SELECT count(*) FROM hold WHERE person_guid = $1 AND until > $2`, p.person, time.Now())
		if p.held > 0 != (holds == 1) {
			c.t.Errorf("patient %d: holds the cell %d, stored %d holds", p.number, p.held, holds)
		}
	}
	require.Empty(c.t, stored, "visits that no client knows of")
	fmt.Fprintf(os.Stdout, "requests %d; holds: %d confirmed, %d given back; "+
		"confirmed: %d bookings (%d more by a refusal), %d moves, %d cancels; "+
		"%d repetitions got the same response; %d refused; %d unknown; "+
		"visits: confirmed %d, found %d, lost %d; prepared transactions left: 0\n\n",
		len(c.requests), c.held.Load(), c.released.Load(), c.bookings.Load(), c.found.Load(), c.moves.Load(),
		c.cancels.Load(), c.replayed.Load(), c.refused.Load(), c.unknown.Load(), confirmed, found, confirmed-found)
	for name, n := range map[string]*atomic.Int64{
		"bookings": &c.bookings, "moves": &c.moves, "cancels": &c.cancels, "holds": &c.held,
		"holds given back": &c.released, "repetitions": &c.replayed,
	} {
		require.Positive(c.t, n.Load(), name)
	}
}

// stored returns the stored visits by their referral.
func (c *chaos) stored() map[uuid.UUID]visit {
	rows, err := c.service.DB.Query(c.t.Context(),
		`SELECT direction_guid, guid, slot_guids[1], cancelled_at IS NOT NULL FROM appointment`)
	require.NoError(c.t, err)
	visits := map[uuid.UUID]visit{}
	var referral uuid.UUID
	var v visit
	_, err = pgx.ForEachRow(rows, []any{&referral, &v.guid, &v.cell, &v.cancelled}, func() error {
		require.NotContains(c.t, visits, referral, "a referral was booked twice")
		visits[referral] = v
		return nil
	})
	require.NoError(c.t, err)
	return visits
}
