//go:build drills

package drills_test

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/internal/testdb"
	"talon.example/migrations"
)

// longestWait is how long a statement may wait for a migration.
const longestWait = time.Second

// Promise: the release before and this one run side by side on one database, before, during and
// after the migrations, while bookings run: every booking is confirmed and stored, and no statement
// waits longer than a second. Afterwards the release before starts again. It is that before the
// newest migration, or each of the commits in TALON_DRILL_BASES.
func TestUpgradeUnderLoad(t *testing.T) {
	requireHistory(t)
	newer := build(t, "../..")
	for base := range strings.FieldsSeq(cmp.Or(os.Getenv("TALON_DRILL_BASES"), beforeNewestMigration(t))) {
		t.Run(base, func(t *testing.T) { upgrade(t, base, newer) })
	}
}

// requireHistory fails the test in a clone that does not have all commits.
func requireHistory(t *testing.T) {
	t.Helper()
	require.Equal(t, "false", git(t, "rev-parse", "--is-shallow-repository"),
		"the drill builds an earlier commit, which a shallow clone does not have: run git fetch --unshallow")
}

// git returns the output of a git command in this repository, trimmed.
func git(t *testing.T, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, output)
	return strings.TrimSpace(string(output))
}

// beforeNewestMigration returns the commit before the one that brought the newest migration, or the
// last commit if it is not committed yet.
func beforeNewestMigration(t *testing.T) string {
	t.Helper()
	files, err := fs.Glob(migrations.FS, "*.sql")
	require.NoError(t, err)
	newest := "../../migrations/" + files[len(files)-1]
	if added := git(t, "log", "--format=%H", "--diff-filter=A", "-1", "--", newest); added != "" {
		return git(t, "rev-parse", "--short", added+"^")
	}
	return git(t, "rev-parse", "--short", "HEAD")
}

// buildCommit compiles the command of a commit.
func buildCommit(t *testing.T, commit string) string {
	t.Helper()
	folder := t.TempDir()
	archive := filepath.Join(folder, "sources.tar")
	root := git(t, "rev-parse", "--show-toplevel")
	git(t, "-C", root, "archive", "--format=tar", "--output="+archive, commit)
	run(t, "tar", "--extract", "--file", archive, "--directory", folder)
	return build(t, folder)
}

func upgrade(t *testing.T, base, newer string) {
	const (
		patients = 20_000
		clients  = 6
		pause    = 60 * time.Millisecond // of each client
		period   = 3 * time.Second       // of load before and after the migrations
	)
	older := buildCommit(t, base)
	cluster := testdb.Cluster(t)
	database := cluster.URL("postgres")
	migrate := exec.CommandContext(t.Context(), older, "migrate")
	migrate.Env = []string{"DATABASE_URL=" + database}
	output, err := migrate.CombinedOutput()
	require.NoError(t, err, "%s", output)
	before, err := migrations.Current(t.Context(), database)
	require.NoError(t, err)
	r := newRegion(t, database, patients)
	waits := r.watch()

	first := r.startReady(older, database, "TALON_MIGRATE=false")
	var all []map[int]uuid.UUID
	longest := time.Duration(0)
	phase := func(from int, instances []*instance, during func()) int {
		stop := make(chan struct{})
		booked, running := load(from, clients, pause, stop, instances...)
		during()
		close(stop)
		running.Wait()
		require.Empty(t, booked.wrong)
		require.NotEmpty(t, booked.visits)
		all, longest = append(all, booked.visits), max(longest, booked.longest)
		return len(booked.visits)
	}
	var second *instance
	began := time.Now()
	var migrated time.Duration
	counts := []int{
		phase(1, []*instance{first}, func() {
			time.Sleep(period)
			began = time.Now()
			second = r.startReady(newer, database) // migrates
			migrated = time.Since(began)
		}),
		phase(patients/2, []*instance{first, second}, func() { time.Sleep(period) }),
	}
	require.True(t, first.ready(), "the release before is ready beside this one: %s", first.logs)
	first.stop()
	counts = append(counts, phase(patients*3/4, []*instance{second}, func() { time.Sleep(period) }))
	second.stop()
	waits.end()
	back := r.startReady(older, database) // as after an upgrade that is undone
	back.stop()

	r.requireStored(all...)
	after, err := migrations.Current(t.Context(), database)
	require.NoError(t, err)
	for _, i := range []*instance{first, second, back} {
		require.NotContains(t, i.logs.String(), `"level":"ERROR"`)
	}
	require.Less(t, waits.lock, longestWait, "a statement of the service has waited for a lock")
	require.Less(t, waits.probe, longestWait, "a transaction beside the migration has waited")
	t.Logf("%s (schema %d) beside this build (schema %d): the new one was ready, with its migrations, in %s; "+
		"%d, %d and %d bookings before and during the migrations, side by side, and after; 0 not confirmed, 0 lost; "+
		"the longest booking took %s, the longest wait for a lock %s, the longest of %d probes of all tables %s",
		base, before, after, migrated.Round(time.Millisecond), counts[0], counts[1], counts[2],
		longest.Round(time.Millisecond), waits.lock.Round(time.Millisecond), waits.probes,
		waits.probe.Round(time.Millisecond))
}

// waits are the longest waits in the database until end is called.
type waits struct {
	lock   time.Duration // of a statement of a service
	probe  time.Duration // of a transaction that needs to write to every table
	probes int
	end    func()
}

// watch measures waits until end is called. It looks for statements that wait, and sends
// transactions of its own.
func (r *region) watch() *waits {
	w := &waits{}
	stop := make(chan struct{})
	var running sync.WaitGroup
	every := func(do func()) {
		running.Go(func() {
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-stop:
					return
				case <-ticker.C:
					do()
				}
			}
		})
	}
	ctx := context.WithoutCancel(r.T.Context())
	every(func() {
		var seconds float64
		err := r.DB.QueryRow(ctx, `SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)
			FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE NOT l.granted AND a.application_name = 'talon'`).Scan(&seconds)
		if err != nil {
			r.T.Errorf("look for waits: %v", err)
		}
		w.lock = max(w.lock, time.Duration(seconds*float64(time.Second)))
	})
	var tables string
	require.NoError(r.T, r.DB.QueryRow(ctx, `SELECT string_agg(oid::regclass::text, ', ' ORDER BY relname) FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relispartition AND relname <> 'talon_schema_version'`).Scan(&tables))
	every(func() {
		began := time.Now()
		if _, err := r.DB.Exec(ctx, `BEGIN; LOCK TABLE `+tables+` IN ROW EXCLUSIVE MODE; ROLLBACK`); err != nil {
			r.T.Errorf("probe: %v", err)
		}
		w.probe = max(w.probe, time.Since(began))
		w.probes++
	})
	w.end = sync.OnceFunc(func() {
		close(stop)
		running.Wait()
	})
	r.T.Cleanup(w.end)
	return w
}
