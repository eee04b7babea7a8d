package e2e_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/internal/testdb"
	"talon.example/migrations"
	"talon.example/test/harness"
)

// slow is the longest time that a response «at once» may take on a busy machine.
const slow = time.Second

// timed sends a request and returns the response and how long it took.
func timed(send func() harness.Answer) (harness.Answer, time.Duration) {
	began := time.Now()
	answer := send()
	return answer, time.Since(began)
}

// blockBookings sends bookings that wait for their cells until unlock is called, or until they are
// rejected.
func blockBookings(t *testing.T, sc *harness.Scene) (unlock func(), _ *sync.WaitGroup) {
	t.Helper()
	bookings := sc.ContenderBookings(nil)
	unlock = sc.LockCells()
	group := new(sync.WaitGroup)
	for _, book := range bookings {
		group.Go(func() { book().RequireRefusal(t, "overloaded") })
	}
	return unlock, group
}

// Promise: bookings that wait for locks do not starve lists and searches: these have connections of
// their own. A booking waits for a lock for at most a second.
func TestLocksDoNotStarveReads(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	testdb.SetOnWorkers(t, sc.DB, "lock_timeout", "1s") // as a deployment must
	unlock, group := blockBookings(t, sc)
	for range 3 {
		sc.WaitForBlocked()
		list, took := timed(func() harness.Answer { return sc.Get(sc.Person, "/appointments") })
		require.Equal(t, http.StatusOK, list.StatusCode, list.Raw)
		require.Less(t, took, slow)
		search, took := timed(func() harness.Answer { return sc.Search(sc.Person, "lpuGuid="+sc.To.String()).Answer })
		require.Equal(t, http.StatusOK, search.StatusCode, search.Raw)
		require.Less(t, took, slow)
	}
	group.Wait()
	require.Contains(t, sc.Logs.String(), "55P03", "the wait ends with lock_timeout")
	unlock()
	require.Equal(t, http.StatusOK, sc.TryBook().StatusCode)
	sc.RequireInvariants()
}

// Promise: a migration that waits behind a long report does not block the bookings behind it: it
// gives way within the time that a booking waits for a lock.
func TestBookingBehindAMigrationBehindAReport(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	sc.TryBook()                                                       // the statements are prepared
	sc.Exec(`DELETE FROM talon_schema_version WHERE version_id >= 40`) // which adds columns to the visits
	report := sc.Begin()
	_, err := report.Exec(t.Context(), `SELECT count(*) FROM appointment`)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	migrated := make(chan error, 1)
	go func() { migrated <- migrations.Up(ctx, string(sc.Config.DatabaseURL)) }()
	for range 2 {
		sc.WaitForBlocked()
		other := sc.AnotherScene()
		booked := other.TryBook()
		require.Equal(t, http.StatusOK, booked.StatusCode, booked.Raw)
		require.Eventually(t, func() bool { // until the migration has given way
			return sc.Count(`SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'appointment'::regclass`) == 0
		}, 20*time.Second, 5*time.Millisecond)
	}
	stop()
	require.Error(t, <-migrated)
}

// Promise: the recorder of events gives way as well: it does not wait behind a long lock, where its
// own locks would block the readers of the feed. It goes on by itself.
func TestRecorderGivesWay(t *testing.T) {
	t.Parallel()
	sc := harness.Start(t).Scene()
	tx := sc.Begin()
	_, err := tx.Exec(t.Context(), `LOCK TABLE event_recorder`)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, sc.TryBook().StatusCode)
	require.Eventually(t, func() bool {
		return strings.Contains(sc.Logs.String(), "record events") && strings.Contains(sc.Logs.String(), "55P03")
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Eventually(t, func() bool { return sc.Count(`SELECT count(*) FROM event`) > 0 },
		20*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(sc.Logs.String(), "events are recorded again") },
		20*time.Second, 10*time.Millisecond)
	require.Equal(t, 1, strings.Count(sc.Logs.String(), "record events"), "one line for many tries")
}

// Promise: while the database does not respond, requests are rejected at once instead of queueing
// for connections until their deadline. The service comes back by itself.
func TestDatabaseIsAway(t *testing.T) {
	t.Parallel()
	cluster := testdb.Cluster(t)
	sc := harness.StartOn(t, cluster.URL("postgres"), func(c *app.Config) { c.Timeout = 5 * time.Second }).Scene()
	require.Equal(t, http.StatusOK, sc.TryBook().StatusCode)
	list := func() harness.Answer { return sc.Get(sc.Person, "/appointments") }
	require.NoError(t, cluster.Hang(t.Context()))
	t.Cleanup(func() { _ = cluster.Continue() })
	require.Eventually(t, func() bool { return list().Refusal.Rule == "database_unavailable" },
		20*time.Second, 5*time.Millisecond)

	const requests = 400
	var group sync.WaitGroup
	late := make(chan time.Duration, requests)
	ticker := time.NewTicker(5 * time.Millisecond) // 200 a second
	defer ticker.Stop()
	for range requests {
		<-ticker.C
		group.Go(func() {
			answer, took := timed(list)
			if answer.StatusCode != http.StatusServiceUnavailable || took > slow {
				late <- took
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, len(late), 3, "only one request at a time tries the database")
	require.NoError(t, cluster.Continue())
	require.Eventually(t, func() bool { return list().StatusCode == http.StatusOK },
		10*time.Second, 50*time.Millisecond)
}

// Promise: a response at the deadline comes at the deadline, although the key of the request cannot
// be released. The key is free two seconds later.
func TestResponseAtTheDeadline(t *testing.T) {
	t.Parallel()
	const deadline = 2 * time.Second
	cluster := testdb.Cluster(t)
	sc := harness.StartOn(t, cluster.URL("postgres"), func(c *app.Config) { c.Timeout = deadline }).Scene()
	unlock := sc.LockCells()
	done := make(chan time.Duration, 1)
	go func() {
		answer, took := timed(func() harness.Answer { return sc.BookWithKey("k", sc.Person, harness.ClientGuid) })
		answer.RequireRefusal(t, "overloaded")
		done <- took
	}()
	sc.WaitForBlocked()
	require.NoError(t, cluster.Hang(t.Context()))
	took := <-done
	require.NoError(t, cluster.Continue())
	require.InDelta(t, deadline.Seconds(), took.Seconds(), 0.7)
	unlock()
	sc.AdvanceClock(deadline + 2*time.Second)
	require.Eventually(t, func() bool {
		return sc.BookWithKey("k", sc.Person, harness.ClientGuid).StatusCode == http.StatusOK
	}, 10*time.Second, 50*time.Millisecond)
	sc.RequireInvariants()
}

// ready returns the status of the readiness check.
func ready(s *harness.Service) int {
	return s.Do(s.NewRequest(http.MethodGet, "/health/ready", nil)).StatusCode
}

// Promise: the instance is not ready while commits hang because there is no synchronous standby,
// and is ready again when they are safe. It stays alive. Reads are answered, except for those of
// patients' data: their records in the audit would not be safe either.
//
// The metrics show it, also to a monitoring whose load balancer does not ask any more.
func TestCommitsThatHangAreNotReady(t *testing.T) {
	t.Parallel()
	cluster := testdb.Cluster(t)
	sc := harness.StartOn(t, cluster.URL("postgres"), withAdmin).Scene()
	shown := func(want float64) func() bool {
		return func() bool {
			values := scrape(t, sc.Service)
			return values["talon_ready"] == want && values["talon_database_ready"] == want
		}
	}
	require.True(t, shown(1)())
	require.Equal(t, http.StatusOK, ready(sc.Service))
	setStandby(sc, "nobody")
	require.Eventually(t, shown(0), 10*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return ready(sc.Service) == http.StatusServiceUnavailable },
		10*time.Second, 5*time.Millisecond)
	require.Equal(t, 200, sc.Do(sc.NewRequest(http.MethodGet, "/health/live", nil)).StatusCode)
	require.Equal(t, http.StatusOK, sc.Get(sc.Person, "/rules").StatusCode)
	sc.Get(sc.Person, "/appointments").RequireRefusal(t, "database_unavailable")
	setStandby(sc, "")
	require.Eventually(t, func() bool { return ready(sc.Service) == http.StatusOK }, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, http.StatusOK, sc.Get(sc.Person, "/appointments").StatusCode)
}

// Promise: the log line of an instance that is not ready names the database that is away, and not
// the audit, which cannot be written then: the operator must find the right alert.
func TestDatabaseIsNamedBeforeTheAudit(t *testing.T) {
	t.Parallel()
	cluster := testdb.Cluster(t)
	sc := harness.StartOn(t, cluster.URL("postgres")).Scene()
	require.NoError(t, cluster.Crash(t.Context()))
	require.Eventually(t, func() bool {
		sc.Get(sc.Person, "/appointments").RequireRefusal(t, "database_unavailable")
		return strings.Contains(sc.Logs.String(), "audit records cannot be written now")
	}, 10*time.Second, 5*time.Millisecond)
	require.Equal(t, http.StatusServiceUnavailable, ready(sc.Service))
	sc.Stop()
	require.Regexp(t, `"route":"/health/ready".*"cause":"query the database: database_unavailable: [^\\]+"`,
		sc.Logs.String())
}

// Promise: the instance is not ready while the database cannot write another page of a table, as
// with a full disk. A tablespace that is gone replaces the disk.
func TestFullDiskIsNotReady(t *testing.T) {
	t.Parallel()
	cluster := testdb.Cluster(t)
	s := harness.StartOn(t, cluster.URL("postgres"))
	require.Equal(t, http.StatusOK, ready(s))
	var place string
	require.NoError(t, s.DB.QueryRow(t.Context(), `SELECT current_setting('data_directory') || '/gone'`).Scan(&place))
	s.Exec(`COPY (SELECT WHERE false) TO PROGRAM 'mkdir ` + place + `'`) // as the account of the server
	s.Exec(`CREATE TABLESPACE gone LOCATION '` + place + `'`)
	s.Exec(`COPY (SELECT WHERE false) TO PROGRAM 'rm -r ` + place + `'`)
	s.Exec(`ALTER SYSTEM SET temp_tablespaces = 'gone'`)
	s.Exec(`SELECT pg_reload_conf()`)
	s.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'talon'`)
	require.Eventually(t, func() bool {
		return ready(s) == http.StatusServiceUnavailable && strings.Contains(s.Logs.String(), "try a write")
	}, 10*time.Second, 5*time.Millisecond)
	s.Exec(`ALTER SYSTEM RESET temp_tablespaces`)
	s.Exec(`SELECT pg_reload_conf()`)
	require.Eventually(t, func() bool { return ready(s) == http.StatusOK }, 10*time.Second, 5*time.Millisecond)
}

// Promise: a booking whose commit waits for the standby is shown to nobody before it is safe. The
// patient's other requests are rejected meanwhile. When the standby is back, the visit
// is there, once, and the repetition with the key gets the first response.
func TestBookingIsNotShownBeforeItIsSafe(t *testing.T) {
	t.Parallel()
	cluster := testdb.Cluster(t)
	sc := harness.StartOn(t, cluster.URL("postgres")+"&lock_timeout=3s", func(c *app.Config) {
		c.Timeout = 5 * time.Second
	}).Scene()
	unlock := sc.LockCells()
	first := make(chan harness.Answer, 1)
	go func() { first <- sc.BookWithKey("k", sc.Person, harness.ClientGuid) }()
	sc.WaitForBlocked() // its key is taken; the next commit is that of the booking
	setStandby(sc, "nobody")
	unlock()
	(<-first).RequireRefusal(t, "overloaded")

	for range 3 {
		require.Zero(t, sc.Count(`SELECT count(*) FROM appointment`))
		// The record of the audit would have to wait for the standby, too.
		sc.Get(sc.Person, "/directions").RequireRefusal(t, "database_unavailable")
		sc.TryBook().RequireRefusal(t, "database_unavailable")
		sc.BookWithKey("k", sc.Person, harness.ClientGuid).RequireRefusal(t, "database_unavailable")
	}
	setStandby(sc, "")
	var again harness.Answer
	require.Eventually(t, func() bool {
		again = sc.BookWithKey("k", sc.Person, harness.ClientGuid)
		return again.StatusCode == http.StatusOK
	}, 20*time.Second, 50*time.Millisecond)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.Equal(t, 1, sc.Count(`SELECT count(*) FROM appointment`))
	sc.TryBook().RequireRefusal(t, "direction_already_booked")
	sc.RequireInvariants()
}

// setStandby makes commits wait for a synchronous standby that does not exist, or for none, and
// returns when they do.
func setStandby(sc *harness.Scene, name string) {
	sc.Exec(`ALTER SYSTEM SET synchronous_standby_names = '` + name + `'`)
	sc.Exec(`SELECT pg_reload_conf()`)
	if name == "" {
		return
	}
	require.Eventually(sc.T, func() bool { return commitHangs(sc) }, 20*time.Second, time.Millisecond)
}

// commitHangs reports whether a commit waits for a synchronous standby: it does not before the
// server has read its new configuration.
func commitHangs(sc *harness.Scene) bool {
	ctx, cancel := context.WithTimeout(sc.T.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := sc.DB.Exec(ctx, `SELECT pg_logical_emit_message(true, 'test', '')`)
	return err != nil
}
