package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/app"
	"talon.example/internal/localpg"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// startPair starts a primary and its standby. The role reader may only read.
func startPair(t *testing.T) (primary, standby *localpg.Cluster) {
	t.Helper()
	primary = testdb.Cluster(t)
	standby = testdb.Standby(t, primary)
	execOn(t, primary, `CREATE ROLE reader LOGIN`)
	execOn(t, primary, `ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader`)
	return primary, standby
}

// reader returns the address of a server for the role reader.
func reader(t *testing.T, c *localpg.Cluster) string {
	t.Helper()
	address, err := url.Parse(c.URL("postgres"))
	require.NoError(t, err)
	address.User = url.User("reader")
	return address.String()
}

// readingFrom lets lists be read from a server, and opens the admin port.
func readingFrom(t *testing.T, c *localpg.Cluster) func(*app.Config) {
	t.Helper()
	return func(config *app.Config) {
		withAdmin(config)
		config.ReadURL = app.Secret(reader(t, c))
	}
}

// execOn runs a statement on a server as its superuser.
func execOn(t *testing.T, c *localpg.Cluster, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.URL("postgres"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err, sql)
}

// reads returns how many lists a service has read from the standby, or for a reason from the
// primary.
func reads(t *testing.T, s *harness.Service, reason string) float64 {
	t.Helper()
	target := "primary"
	if reason == "" {
		target = "standby"
	}
	return scrape(t, s)[fmt.Sprintf(`talon_list_reads_total{reason="%s",target="%s"}`, reason, target)]
}

// requireStandby waits until lists are read from the standby. Each list must succeed.
func requireStandby(t *testing.T, sc *harness.Scene) {
	t.Helper()
	before := reads(t, sc.Service, "")
	require.Eventually(t, func() bool {
		sc.ListAppointments(sc.Person, "")
		return reads(t, sc.Service, "") > before
	}, 20*time.Second, 20*time.Millisecond)
}

// requirePrimary requires that lists after a booking have it, and waits until one is read from the
// primary for a reason. None may be read from the standby.
func requirePrimary(t *testing.T, sc *harness.Scene, reason string) {
	t.Helper()
	before, beforeStandby := reads(t, sc.Service, reason), reads(t, sc.Service, "")
	scene := sc.AnotherScene()
	visit := scene.MustBook()
	require.Eventually(t, func() bool {
		require.True(t, hasVisit(scene.ListAppointments(scene.Person, ""), visit))
		return reads(t, sc.Service, reason) > before
	}, 20*time.Second, 20*time.Millisecond)
	require.InDelta(t, beforeStandby, reads(t, sc.Service, ""), 0)
}

// on returns the scene as another service sees it.
func on(s *harness.Service, sc *harness.Scene) *harness.Scene {
	other := *sc
	other.Service = s
	return &other
}

func hasVisit(list []api.PatientAppointment, visit uuid.UUID) bool {
	return slices.ContainsFunc(list, func(a api.PatientAppointment) bool { return a.GUID == visit })
}

// Promise: a list and a search contain everything that anyone was told before they were requested,
// also by another instance, also for an institution, although they are read from a standby that is
// always late. The role that reads may only read.
func TestListsFromAStandby(t *testing.T) {
	t.Parallel()
	primary, standby := startPair(t)
	execOn(t, standby, `ALTER SYSTEM SET recovery_min_apply_delay = '15ms'`)
	execOn(t, standby, `SELECT pg_reload_conf()`)
	first := harness.StartOn(t, primary.URL("postgres"), readingFrom(t, standby)).Scene()
	second := harness.StartOn(t, primary.URL("postgres"), readingFrom(t, standby))
	clinic := first.AddSystemClient([]string{"visit:read"})
	requireStandby(t, first)

	var group sync.WaitGroup
	for range 4 {
		patient := first.AnotherScene()
		token := second.SystemToken(clinic, []string{"visit:read"})
		group.Go(func() {
			elsewhere := on(second, patient)
			for range 4 {
				search := elsewhere.Search(patient.Person, "lpuGuid="+patient.To.String())
				require.Len(t, search.Page.Items, 4)
				visit := patient.MustBook()
				require.True(t, hasVisit(elsewhere.ListAppointments(patient.Person, ""), visit))
				ofClinic := second.GetAs(token, "/clinic/lpus/"+patient.To.String()+"/appointments")
				require.Contains(t, ofClinic.Raw, visit.String())
				referral := elsewhere.ListDirections(patient.Person, "")[0]
				require.Equal(t, visit, referral.Appointment.GUID)
				cancelled := elsewhere.Cancel(patient.Person, visit)
				require.Equal(t, http.StatusOK, cancelled.StatusCode, cancelled.Raw)
				require.Empty(t, patient.ListAppointments(patient.Person, "status=Booked"))
			}
		})
	}
	group.Wait()
	for _, s := range []*harness.Service{first.Service, second} {
		require.Positive(t, reads(t, s, ""), "lists are read from the standby")
		require.NotContains(t, s.Logs.String(), "42501", "the role reader lacks a right")
	}
	first.RequireInvariants()
}

// Promise: while the standby lags, lists are read from the primary, almost all of them at once,
// with one line in the log. Then the standby serves them again.
func TestStandbyLags(t *testing.T) {
	t.Parallel()
	primary, standby := startPair(t)
	sc := harness.StartOn(t, primary.URL("postgres"), readingFrom(t, standby)).Scene()
	requireStandby(t, sc)
	execOn(t, standby, `SELECT pg_wal_replay_pause()`)
	requirePrimary(t, sc, "lag")
	for range 50 {
		sc.ListAppointments(sc.Person, "")
	}
	require.Equal(t, http.StatusOK, ready(sc.Service))
	require.Equal(t, 1, strings.Count(sc.Logs.String(), "lists are read from the primary"))
	execOn(t, standby, `SELECT pg_wal_replay_resume()`)
	requireStandby(t, sc)
	require.Contains(t, sc.Logs.String(), "lists are read from the standby again")
}

// Promise: no list fails because the standby is away or hangs, and the instance starts and is ready
// without it. Lists are read from it again when it is back.
func TestStandbyIsAway(t *testing.T) {
	t.Parallel()
	primary, standby := startPair(t)
	require.NoError(t, standby.Crash(t.Context()))
	sc := harness.StartOn(t, primary.URL("postgres"), readingFrom(t, standby)).Scene()
	require.Equal(t, http.StatusOK, ready(sc.Service))
	requirePrimary(t, sc, "away")
	require.NoError(t, standby.Resume(t.Context()))
	requireStandby(t, sc)

	require.NoError(t, standby.Hang(t.Context()))
	t.Cleanup(func() { _ = standby.Continue() })
	for range 20 {
		_, took := timed(func() harness.Answer { return sc.Get(sc.Person, "/appointments") })
		require.Less(t, took, slow)
	}
	requirePrimary(t, sc, "away")
	require.Equal(t, http.StatusOK, ready(sc.Service))
	require.NoError(t, standby.Continue())
	requireStandby(t, sc)

	require.NoError(t, standby.Crash(t.Context()))
	requirePrimary(t, sc, "away")
}

// Promise: nothing is read from a server with another history than the primary: a standby that was
// promoted, the primary before a failover, however far it is ahead, and what still follows it. A
// standby that follows the new primary serves lists again, and so does the primary itself.
func TestStandbyOfAnotherTimeline(t *testing.T) {
	t.Parallel()
	primary, promoted := startPair(t)
	behind := testdb.Standby(t, primary)
	database := primary.URL("postgres")
	sc := harness.StartOn(t, database, readingFrom(t, promoted)).Scene()
	requireStandby(t, sc)
	itself := on(harness.StartOn(t, database, readingFrom(t, primary)), sc)
	requireStandby(t, itself)

	execOn(t, promoted, `SELECT pg_promote()`)
	requirePrimary(t, sc, "timeline")

	// The other one is the primary now, for two new instances. The old one and its standby are
	// ahead of it.
	execOn(t, primary, `CREATE TABLE ahead AS SELECT repeat('x', 100) FROM generate_series(1, 100000)`)
	for _, old := range []*localpg.Cluster{primary, behind} {
		fresh := on(harness.StartOn(t, promoted.URL("postgres"), readingFrom(t, old)), sc)
		requirePrimary(t, fresh, "timeline")
	}
}

// Promise: after a failover lists are read from a standby that follows the new primary, as soon as
// it shows that: at once to a role that may see what it receives, to others in its control file.
func TestStandbyFollowsTheNewPrimary(t *testing.T) {
	t.Parallel()
	primary, promoted := startPair(t)
	standby := testdb.Standby(t, primary)
	old := harness.StartOn(t, primary.URL("postgres")).Scene()
	old.Stop()
	require.Eventually(t, func() bool {
		return count(t, promoted, `SELECT count(*) FROM mkab`) > 0 &&
			count(t, standby, `SELECT count(*) FROM mkab`) > 0
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, primary.Crash(t.Context()))
	execOn(t, promoted, `SELECT pg_promote()`)
	sc := on(harness.StartOn(t, promoted.URL("postgres"), readingFrom(t, standby)), old)
	requirePrimary(t, sc, "timeline")
	require.NoError(t, standby.Follow(t.Context(), promoted))
	execOn(t, promoted, `GRANT pg_read_all_stats TO reader`)
	requireStandby(t, sc)
	execOn(t, promoted, `REVOKE pg_read_all_stats FROM reader`)
	execOn(t, promoted, `CHECKPOINT`)
	require.Eventually(t, func() bool {
		execOn(t, standby, `CHECKPOINT`) // of the recovery; otherwise every checkpoint_timeout
		return count(t, standby, `SELECT timeline_id FROM pg_control_checkpoint()`) == 2
	}, 20*time.Second, 20*time.Millisecond)
	requireStandby(t, sc)
}

// count returns the integer that a query on a server selects.
func count(t *testing.T, c *localpg.Cluster, sql string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.URL("postgres"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		return 0 // the table is not there yet
	}
	return n
}

// Promise: a booking whose commit waits for the synchronous standby is shown to nobody, although
// the standby of the lists has it and shows it.
func TestStandbyShowsNothingUnsafe(t *testing.T) {
	t.Parallel()
	primary, standby := startPair(t)
	sc := harness.StartOn(t, primary.URL("postgres")+"&lock_timeout=5s", readingFrom(t, standby), func(c *app.Config) {
		c.Timeout = 5 * time.Second
	}).Scene()
	requireStandby(t, sc)
	tx := sc.Begin()
	_, err := tx.Exec(t.Context(), `SELECT FROM slot FOR UPDATE`)
	require.NoError(t, err)
	booked := make(chan harness.Answer, 1)
	go func() { booked <- sc.BookWithKey("k", sc.Person, harness.ClientGuid) }()
	sc.WaitForBlocked() // its key is taken; the next commit is that of the booking
	setStandby(sc, "nobody")
	require.NoError(t, tx.Rollback(t.Context()))
	require.Eventually(t, func() bool { return count(t, standby, `SELECT count(*) FROM appointment`) == 1 },
		20*time.Second, 10*time.Millisecond)
	require.Zero(t, sc.Count(`SELECT count(*) FROM appointment`))
	for _, path := range []string{"/appointments", "/directions", "/directions/" + sc.Direction.String() + "/slots"} {
		sc.Get(sc.Person, path).RequireRefusal(t, "database_unavailable")
	}
	(<-booked).RequireRefusal(t, "overloaded")
	setStandby(sc, "")
	require.Eventually(t, func() bool {
		answer := sc.Get(sc.Person, "/appointments")
		return answer.StatusCode == http.StatusOK && strings.Contains(answer.Raw, `"status":"Booked"`)
	}, 20*time.Second, 50*time.Millisecond)
	sc.RequireInvariants()
}
