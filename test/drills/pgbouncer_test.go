//go:build drills

package drills_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
	"talon.example/migrations"
)

// ignored is ignore_startup_parameters of docs/operate.md.
const ignored = "application_name,idle_in_transaction_session_timeout,lock_timeout,plan_cache_mode," +
	"random_page_cost,statement_timeout,synchronous_commit"

// Promise: through PgBouncer in transaction mode the service does not start with settings that do
// not work, and names the one to change. With the documented settings it books.
func TestPgBouncer(t *testing.T) {
	const bookings = 240
	cluster := testdb.Cluster(t)
	database := cluster.URL("postgres")
	require.NoError(t, migrations.Up(t.Context(), database))
	r := newRegion(t, database, 10*bookings)
	binary := build(t, "../..")
	bouncer := newBouncer(t, database)
	const describe = "&default_query_exec_mode=cache_describe"

	bouncer.start("")
	r.start(binary, bouncer.url, "TALON_MIGRATE=false").refuses("set ignore_startup_parameters = " + ignored)
	bouncer.start(ignored)
	r.start(binary, bouncer.url, "TALON_MIGRATE=false").
		refuses("add default_query_exec_mode=cache_describe to DATABASE_URL")
	for _, mode := range []string{"exec", "simple_protocol"} {
		r.start(binary, bouncer.url+"&default_query_exec_mode="+mode, "TALON_MIGRATE=false").
			refuses("default_query_exec_mode=exec and simple_protocol cannot send lists of guids")
	}
	unset := r.start(binary, bouncer.url+describe, "TALON_MIGRATE=false")
	unset.refuses("ALTER ROLE talon SET statement_timeout = '10000';")
	for _, sql := range regexp.MustCompile(`ALTER ROLE talon SET \w+ = '[^']*';`).FindAllString(unset.logs.String(), -1) {
		r.Exec(sql)
	}
	bouncer.start(ignored) // it reconnects
	r.start(binary, bouncer.url+describe).refuses("set TALON_MIGRATE=false")
	require.ErrorIs(t, migrations.Up(t.Context(), bouncer.url), migrations.ErrPooler)

	direct := r.startReady(binary, database)
	behind := r.startReady(binary, bouncer.url+describe, "TALON_MIGRATE=false")
	feed := behind.follower()
	stop := make(chan struct{})
	booked, running := load(1, 8, 20*time.Millisecond, stop, behind)
	require.Eventually(t, func() bool { return booked.count() >= bookings }, time.Minute, 10*time.Millisecond)
	close(stop)
	running.Wait()
	require.Empty(t, booked.wrong)
	r.requireStored(booked.visits)
	feed.followTo(2 * booked.count())
	require.NotContains(t, behind.logs.String(), `"level":"ERROR"`)
	behind.stop()
	direct.stop()
	t.Logf("PgBouncer refused with the setting to change: 6 of 6 times; with the documented settings %d of %d booked, "+
		"the longest in %s; their %d events followed", booked.count(), booked.count()+len(booked.wrong),
		booked.longest.Round(time.Millisecond), len(feed.ids))
}

// bouncer is a PgBouncer in transaction mode.
type bouncer struct {
	t       *testing.T
	folder  string
	host    string // of the database
	url     string
	process *exec.Cmd
	ended   chan struct{}
}

func newBouncer(t *testing.T, database string) *bouncer {
	t.Helper()
	_, err := exec.LookPath("pgbouncer")
	require.NoError(t, err, "make drills installs it (Debian: apt-get install pgbouncer)")
	folder, err := os.MkdirTemp("", "talon-bouncer-") // short enough for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	parsed, err := url.Parse(database)
	require.NoError(t, err)
	query := url.Values{"host": {folder}, "port": {"6432"}, "sslmode": {"disable"}}
	return &bouncer{
		t: t, folder: folder, host: parsed.Query().Get("host"), url: "postgres://talon@/postgres?" + query.Encode(),
	}
}

// start starts PgBouncer with ignore_startup_parameters, after it has stopped the one before.
func (b *bouncer) start(ignore string) {
	b.t.Helper()
	if b.process != nil {
		b.kill()
	}
	ini := filepath.Join(b.folder, "pgbouncer.ini")
	users := filepath.Join(b.folder, "users.txt")
	require.NoError(b.t, os.WriteFile(users, []byte("\"talon\" \"\"\n"), 0o644))
	text := fmt.Sprintf(`[databases]
postgres = host=%s port=5432 user=talon
[pgbouncer]
listen_addr =
unix_socket_dir = %s
listen_port = 6432
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 8
max_client_conn = 200
ignore_startup_parameters = %s
`, b.host, b.folder, users, ignore)
	require.NoError(b.t, os.WriteFile(ini, []byte(text), 0o644))
	b.process = exec.Command("pgbouncer", "--quiet", ini)
	b.process.Stderr = b.t.Output()
	if os.Geteuid() == 0 { // it does not run as root
		account, err := user.Lookup("postgres")
		require.NoError(b.t, err)
		uid, err := strconv.Atoi(account.Uid)
		require.NoError(b.t, err)
		gid, err := strconv.Atoi(account.Gid)
		require.NoError(b.t, err)
		require.NoError(b.t, os.Chown(b.folder, uid, gid))
		credential := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		b.process.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	}
	require.NoError(b.t, b.process.Start())
	process, ended := b.process, make(chan struct{})
	b.ended = ended
	go func() { defer close(ended); _ = process.Wait() }()
	b.t.Cleanup(b.kill)
	require.Eventually(b.t, func() bool {
		conn, err := pgx.Connect(b.t.Context(), b.url)
		if err != nil {
			return false
		}
		return conn.Close(context.WithoutCancel(b.t.Context())) == nil
	}, 10*time.Second, 20*time.Millisecond, "PgBouncer does not start")
}

func (b *bouncer) kill() {
	_ = b.process.Process.Kill()
	<-b.ended
}
