package e2e_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"talon.example/internal/app"
	"talon.example/internal/testdb"
	"talon.example/migrations"
	"talon.example/test/harness"
)

// Promise: a stop is graceful: readiness fails, the running request completes, then the service
// ends.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t, func(c *app.Config) { c.ShutdownDelay = time.Second }).Scene()
	unlock := sc.LockCells()
	answers := make(chan harness.Answer, 1)
	go func() { answers <- sc.TryBook() }()
	sc.WaitForBlocked()
	stopped := make(chan struct{})
	go func() {
		sc.Stop()
		close(stopped)
	}()

	require.Eventually(t, func() bool {
		a := sc.Do(sc.NewRequest(http.MethodGet, "/health/ready", nil))
		return a.StatusCode == http.StatusServiceUnavailable && a.Refusal.Rule == "not_ready"
	}, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, 200, sc.Do(sc.NewRequest(http.MethodGet, "/health/live", nil)).StatusCode)
	unlock()
	require.Equal(t, 200, (<-answers).StatusCode)
	<-stopped
	sc.RequireInvariants()
}

// Promise: on a read-only database the instance is alive but not ready.
func TestReadOnlyDatabaseIsNotReady(t *testing.T) {
	t.Parallel()
	s := harness.Start(t) // its first readiness check opens the connection that has the changed default
	s.Exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	s.Do(s.NewRequest(http.MethodGet, "/health/ready", nil)).RequireRefusal(t, "not_ready")
	require.Equal(t, 200, s.Do(s.NewRequest(http.MethodGet, "/health/live", nil)).StatusCode)
}

// Promise: ten instances can start concurrently on an empty database. One migrates, and all start.
func TestInstancesStartAtOnce(t *testing.T) {
	t.Parallel()
	database := testdb.Fresh(t)
	var group errgroup.Group
	for range 10 {
		group.Go(func() error {
			config, err := app.ReadConfig(minimalSettings(map[string]string{
				"DATABASE_URL": database, "TALON_DATABASE_MAX_CONNS": "2",
			}))
			if err != nil {
				return err
			}
			instance, err := app.New(context.WithoutCancel(t.Context()), config, slog.New(slog.DiscardHandler),
				time.Now, app.Wrappers{})
			if err != nil {
				return err
			}
			instance.Close()
			return nil
		})
	}
	require.NoError(t, group.Wait())
	current, err := migrations.Current(t.Context(), database)
	require.NoError(t, err)
	latest, err := migrations.Latest()
	require.NoError(t, err)
	require.Equal(t, latest, current)
}

// Promise: without migration at the start the service rejects an older schema, and so do the
// commands. With and without it, the service logs a warning for a newer one, so that instances can
// be replaced one by one.
func TestSchemaVersions(t *testing.T) {
	t.Parallel()
	empty := testdb.Fresh(t)
	requireCommandsRefused(t, empty, "run talon migrate")
	config, err := app.ReadConfig(minimalSettings(map[string]string{"DATABASE_URL": empty, "TALON_MIGRATE": "false"}))
	require.NoError(t, err)
	_, err = app.New(t.Context(), config, slog.New(slog.DiscardHandler), time.Now, app.Wrappers{})
	require.ErrorContains(t, err, "talon migrate")

	s := harness.Start(t)
	s.Exec(`INSERT INTO talon_schema_version (version_id, is_applied) VALUES (99999, true)`)
	for _, migrate := range []bool{false, true} {
		newer := harness.StartOn(t, string(s.Config.DatabaseURL), func(c *app.Config) { c.MigrateAtStart = migrate })
		require.Contains(t, newer.Logs.String(), "newer than this build")
		require.Equal(t, http.StatusOK, ready(newer))
	}
}

// Promise: talon migrate of a build that is older than the schema, and allowed, says so.
func TestMigrateWithAnOlderBuild(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.Exec(`INSERT INTO talon_schema_version (version_id, is_applied) VALUES (99999, true)`)
	code, stdout, stderr := run(t, []string{"DATABASE_URL=" + string(s.Config.DatabaseURL)}, "migrate")
	require.Zero(t, code, stderr)
	require.Regexp(t, `schema version 99999\nthis build knows version \d+ and may run beside it; nothing was`, stdout)
}

// requireCommandsRefused requires that every command that uses a database refuses the one at an
// address.
func requireCommandsRefused(t *testing.T, database, problem string) {
	t.Helper()
	guid := uuid.NewString()
	for _, args := range [][]string{
		{"client", "list"}, {"client", "create", "--name", "x"}, {"client", "rotate", "--client", guid},
		{"client", "disable", "--client", guid}, {"client", "enable", "--client", guid},
		{"busy-type", "list"}, {"busy-type", "put", "--code", "77", "--name", "x"},
		{"import", "absent.ndjson"}, {"import", "--resume", guid},
		{"distribute"}, {"distribute", "--check"}, {"distribute", "--dry-run"},
	} {
		code, stdout, stderr := run(t, []string{"DATABASE_URL=" + database}, args...)
		require.Equal(t, 1, code, "%v: %s", args, stderr)
		require.Contains(t, stderr, problem, "%v", args)
		require.Empty(t, stdout, "%v", args)
	}
}

// Promise: no command writes to a worker of a distributed database: neither a schema, which would
// be in the way of the coordinator's, nor events, whose numbers would not be in order.
func TestCommandsRefuseAWorker(t *testing.T) {
	t.Parallel()
	s := harness.StartOn(t, testdb.Cluster(t).URL("postgres"))
	s.Exec(`CREATE FUNCTION citus_version() RETURNS text LANGUAGE sql AS $$ SELECT 'a stub' $$`)
	s.Exec(`CREATE TABLE pg_dist_local_group (groupid integer)`)
	s.Exec(`INSERT INTO pg_dist_local_group VALUES (1)`)
	database := string(s.Config.DatabaseURL)
	requireCommandsRefused(t, database, "DATABASE_URL leads to a worker")
	code, stdout, stderr := run(t, []string{"DATABASE_URL=" + database}, "migrate")
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "DATABASE_URL leads to a worker")
}

// Promise: a build that is older than the schema allows does not start, whether or not it may
// migrate, and one that runs is not ready any more. Its commands refuse the database.
func TestBuildIsTooOld(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	require.Equal(t, http.StatusOK, ready(s))
	s.Exec(`CREATE OR REPLACE FUNCTION oldest_build() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 99999::bigint'`)
	s.Exec(`INSERT INTO talon_schema_version (version_id, is_applied) VALUES (99999, true)`)
	for _, migrate := range []string{"true", "false"} {
		config, err := app.ReadConfig(minimalSettings(map[string]string{
			"DATABASE_URL": string(s.Config.DatabaseURL), "TALON_MIGRATE": migrate,
		}))
		require.NoError(t, err)
		_, err = app.New(t.Context(), config, slog.New(slog.DiscardHandler), time.Now, app.Wrappers{})
		require.ErrorIs(t, err, migrations.ErrBuildTooOld)
		require.ErrorContains(t, err, "must know version 99999")
	}
	const tooOld = "this build is too old for the database"
	requireCommandsRefused(t, string(s.Config.DatabaseURL), tooOld)
	code, _, stderr := run(t, []string{"DATABASE_URL=" + string(s.Config.DatabaseURL)}, "migrate")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, tooOld)
	require.Eventually(t, func() bool { return ready(s) == http.StatusServiceUnavailable },
		10*time.Second, 5*time.Millisecond)
}
