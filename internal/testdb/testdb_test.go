package testdb

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/internal/localpg"
	"talon.example/migrations"
)

// testTimeout limits every wait of a test.
const testTimeout = time.Minute

// role is the environment variable that selects the action of TestRole in a child process.
const role = "TALON_TESTDB_ROLE"

func TestMain(m *testing.M) { Main(m) }

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	const tests = 20
	names := make(chan string, tests)
	t.Run("at once", func(t *testing.T) {
		for range tests {
			t.Run("one", func(t *testing.T) {
				t.Parallel()
				address := New(t)
				conn := connect(t, address)
				latest, err := migrations.Latest()
				require.NoError(t, err)
				current, err := migrations.Current(t.Context(), address)
				require.NoError(t, err)
				require.Equal(t, latest, current)

				name := value[string](t, conn, "SELECT current_database()")
				_, err = conn.Exec(t.Context(), "CREATE TABLE mine AS SELECT 1") // fails if two tests share a database
				require.NoError(t, err)
				names <- name
			})
		}
	})
	close(names)
	base := connect(t, shared.base.String())
	seen := map[string]bool{}
	for name := range names {
		seen[name] = true
		count := value[int](t, base, "SELECT count(*) FROM pg_database WHERE datname = $1", name)
		require.Zero(t, count, "the database is dropped")
	}
	require.Len(t, seen, tests)
}

func TestFreshDatabaseIsEmpty(t *testing.T) {
	t.Parallel()
	conn := connect(t, Fresh(t))
	require.Zero(t, value[int](t, conn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
	require.NoError(t, migrations.Up(t.Context(), conn.Config().ConnString()))
}

func TestDatabaseWithAConnectionIsDropped(t *testing.T) {
	var left *pgx.Conn
	t.Run("leaves a connection", func(t *testing.T) {
		var err error
		left, err = pgx.Connect(t.Context(), New(t))
		require.NoError(t, err)
	})
	require.Error(t, left.Ping(t.Context()))
	_ = left.Close(t.Context()) // the server has closed it
}

func TestClusterIsTheTestsOwn(t *testing.T) {
	var address string
	t.Run("stops it", func(t *testing.T) {
		c := Cluster(t)
		address = c.URL("postgres")
		connect(t, address)
		require.NoError(t, c.Stop(t.Context()))
	})
	_, err := pgx.Connect(t.Context(), address)
	require.Error(t, err)
	connect(t, New(t)) // the shared server still runs
}

func TestProcessesThatShareAServerCreateOneTemplate(t *testing.T) {
	t.Parallel()
	address := Cluster(t).URL("postgres")
	base := connect(t, address)
	template, err := templateName()
	require.NoError(t, err)
	now := time.Now()
	yesterday := now.UTC().AddDate(0, 0, -1).Format(dayLayout)
	for _, name := range []string{
		testPrefix + "20200101_1_aa", testPrefix + yesterday + "_1_aa", "other_database", template + "_new",
	} {
		_, err := base.Exec(t.Context(), "CREATE DATABASE "+name)
		require.NoError(t, err)
	}

	const processes = 5
	errs := make([]error, processes)
	servers := make([]*server, processes)
	var all sync.WaitGroup
	for i := range processes {
		servers[i] = &server{address: address, now: func() time.Time { return now }} // fixed, in case the day changes
		servers[i].open()
		t.Cleanup(func() { _ = servers[i].close(context.WithoutCancel(t.Context())) })
		all.Go(func() { errs[i] = servers[i].ensurePrepared() })
	}
	all.Wait()
	for i := range processes {
		require.NoError(t, errs[i])
		connect(t, servers[i].newDatabase(t, template))
	}
	left := value[[]string](t, base, `SELECT array_agg(datname::text ORDER BY datname) FROM pg_database
		WHERE NOT datistemplate AND NOT starts_with(datname, $1)`, testPrefix+now.UTC().Format(dayLayout))
	require.Equal(t, []string{"other_database", "postgres", testPrefix + yesterday + "_1_aa", template}, left)
	require.False(t, value[bool](t, base, "SELECT datallowconn FROM pg_database WHERE datname = $1", template))
}

func TestURLKeepsTheParametersOfTheConfiguredServer(t *testing.T) {
	t.Parallel()
	base, err := url.Parse("postgresql://me:secret@db.example:6432/first?sslmode=require")
	require.NoError(t, err)
	s := server{base: base}
	require.Equal(t, "postgresql://me:secret@db.example:6432/second?sslmode=require", s.url("second"))
}

func TestMainOfOtherPackages(t *testing.T) {
	t.Parallel()
	for name, process := range map[string]struct {
		role, address string
		exit          int
		output        string
	}{
		"needs no database":  {role: "nothing", exit: 0, output: "PASS"},
		"leaves a goroutine": {role: "leak", exit: 1, output: "left goroutines"},
		"does not call Main": {role: "withoutMain", exit: 1, output: "does not call testdb.Main"},
		"configured server is unreachable": {
			role: "new", address: "postgres://localhost:1/none", exit: 1, output: "connect to the test server",
		},
		"configured server is not a URL": {
			role: "new", address: "host=localhost password=secret", exit: 1,
			output: URLVariable + " is not a postgres:// URL",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := roleCommand(t, process.role, URLVariable+"="+process.address)
			output, _ := cmd.CombinedOutput() // the exit code is checked below
			require.Equal(t, process.exit, cmd.ProcessState.ExitCode(), string(output))
			require.Contains(t, string(output), process.output)
			require.NotContains(t, string(output), "secret")
		})
	}
}

func TestInterruptStopsThePrivateServer(t *testing.T) {
	t.Parallel()
	cmd := roleCommand(t, "wait", URLVariable+"=")
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	address, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	parsed, err := url.Parse(strings.TrimSpace(address))
	require.NoError(t, err)
	socket := parsed.Query().Get("host")
	require.DirExists(t, socket)

	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait() // the exit code is checked below
	require.Equal(t, 130, cmd.ProcessState.ExitCode())
	require.NoDirExists(t, socket)
}

// TestRole is the program of the child processes that roleCommand starts. In other processes it
// does nothing.
func TestRole(t *testing.T) {
	switch os.Getenv(role) {
	case "new":
		New(t)
	case "leak":
		go func() { select {} }()
	case "withoutMain":
		shared = &server{}
		New(t)
	case "wait":
		fmt.Println(New(t))
		select {}
	}
}

// roleCommand returns a command that runs TestRole of this test binary with the role and the
// additional environment variables, in the form NAME=value.
func roleCommand(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestRole$")
	cmd.Env = append(os.Environ(), append(env, role+"="+name)...)
	return cmd
}

// connect opens a connection and closes it when the test ends.
func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) }) // the test may have stopped the server
	return conn
}

// value runs a query that must return one value, and returns the value.
func value[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&v))
	return v
}

// BenchmarkNew measures cloning and dropping a database.
func BenchmarkNew(b *testing.B) {
	shared.require(b)
	for b.Loop() {
		ctx := b.Context()
		name, err := shared.create(ctx, shared.template)
		require.NoError(b, err)
		require.NoError(b, shared.drop(ctx, name))
	}
}

// BenchmarkCluster measures starting and stopping a cluster.
func BenchmarkCluster(b *testing.B) {
	for b.Loop() {
		c, err := localpg.Start(b.Context(), localpg.Options{})
		require.NoError(b, err)
		require.NoError(b, c.Stop(b.Context()))
	}
}
