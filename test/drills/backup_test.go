//go:build drills

package drills_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/localpg"
	"talon.example/internal/testdb"
	"talon.example/migrations"
	"talon.example/test/harness"
)

// The patients of the drill: those that book before the base backup, between it and the moment of
// the recovery, and after that moment.
const (
	beforeBackup = 20
	beforeMoment = 40
	afterMoment  = 60
	afterRestore = 80
)

// Promise: a base backup and the archived log restore the database of any moment: exactly the
// visits that were confirmed by then. The service starts, and books. A client that holds a later
// confirmation is told by a documented response that its visit is gone, its Idempotency-Key books
// anew, and a reader of events that are lost gets events_expired.
func TestRestoreOfABackup(t *testing.T) {
	cluster := testdb.Cluster(t)
	database := cluster.URL("postgres")
	require.NoError(t, migrations.Up(t.Context(), database))
	r := newRegion(t, database, 100)
	s := newServer(r, cluster)
	s.archive()
	binary := build(t, "../..")

	talon := r.startReady(binary, database)
	feed := talon.follower()
	kept, lost := map[int]uuid.UUID{}, map[int]uuid.UUID{}
	bookAll := func(into map[int]uuid.UUID, from, to int) {
		for patient := from + 1; patient <= to; patient++ {
			into[patient] = talon.book(patient)
		}
	}
	bookAll(kept, 0, beforeBackup)
	began := time.Now()
	s.backUp()
	backup := time.Since(began)
	bookAll(kept, beforeBackup, beforeMoment)
	feed.followTo(2 * beforeMoment)
	keptPlace := feed.next
	var moment time.Time
	require.NoError(t, r.DB.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&moment))
	bookAll(lost, beforeMoment, afterMoment)
	feed.followTo(2 * afterMoment)
	lostPlace := feed.next
	r.Exec(`SELECT pg_switch_wal()`)
	require.Eventually(t, func() bool {
		return r.Count(`SELECT count(*) FROM pg_stat_archiver WHERE last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1)`) == 1
	}, 30*time.Second, 20*time.Millisecond, "the log is not archived")
	talon.kill()

	began = time.Now()
	s.restore(moment)
	restore := time.Since(began)
	r.requireStored(kept)
	began = time.Now()
	talon = r.startReady(binary, database)
	start := time.Since(began)

	// What clients with later confirmations see.
	first, second := beforeMoment+1, beforeMoment+2
	token := r.Token(person(first))
	path := "/appointments/" + lost[first].String()
	a := talon.must(http.MethodDelete, path, token, "", harness.Fields{"ReasonCode": 1})
	a.RequireRefusal(t, "appointment_absent")
	a = talon.must(http.MethodPost, path+"/move", token, "", harness.Fields{"SlotId": afterRestore})
	a.RequireRefusal(t, "appointment_absent")
	require.NotContains(t, talon.must(http.MethodGet, "/appointments", token, "", nil).Raw, lost[first].String())
	a = talon.must(http.MethodPost, "/appointments", token, keyOf(first), body(first, first))
	require.Equal(t, http.StatusOK, a.StatusCode, a.Raw)
	require.Empty(t, a.Header.Get("Idempotency-Replayed"), "the key was lost with its visit")
	kept[first] = harness.AppointmentOf(a).GUID
	require.NotEqual(t, lost[first], kept[first])
	// Somebody else has taken the cell of the second one meanwhile.
	a = talon.must(http.MethodPost, "/appointments", r.Token(person(afterRestore)), "", body(afterRestore, second))
	require.Equal(t, http.StatusOK, a.StatusCode, a.Raw)
	kept[afterRestore] = harness.AppointmentOf(a).GUID
	talon.must(http.MethodPost, "/appointments", r.Token(person(second)), keyOf(second), body(second, second)).
		RequireRefusal(t, "slot_full")
	// A confirmation from before the moment is repeated.
	a = talon.must(http.MethodPost, "/appointments", r.Token(person(1)), keyOf(1), body(1, 1))
	require.Equal(t, "true", a.Header.Get("Idempotency-Replayed"))
	require.Equal(t, kept[1], harness.AppointmentOf(a).GUID)

	bookAll(kept, afterMoment, afterRestore-1)
	r.requireStored(kept)
	feed.instance = talon
	feed.next = lostPlace
	refused, _ := feed.read()
	refused.RequireRefusal(t, "events_expired")
	feed.next = keptPlace
	feed.followTo(2*afterMoment + 2*(afterRestore-afterMoment+1))
	refused = talon.must(http.MethodGet, "/events?after="+url.QueryEscape(lostPlace), feed.token, "", nil)
	refused.RequireRefusal(t, "events_expired")
	t.Logf("backup in %s; %d visits confirmed by the moment of the recovery, %d later; restored in %s, "+
		"exactly the %d were there; the service was ready after %s, and %d more were booked",
		backup.Round(time.Millisecond), beforeMoment, len(lost), restore.Round(time.Millisecond), beforeMoment,
		start.Round(time.Millisecond), len(kept)-beforeMoment)
	t.Logf("lost visits: cancel and move got appointment_absent, a repeated key booked anew or got slot_full; "+
		"the reader of lost events got events_expired, and none of the %d ids of events was given twice", len(feed.ids))
}

// Promise: where the data of before still exist, a restore loses no confirmed visit, also if the
// segments of the log with the last ones are not in the archive yet.
func TestRestoreWithTheLastSegments(t *testing.T) {
	cluster := testdb.Cluster(t)
	database := cluster.URL("postgres")
	require.NoError(t, migrations.Up(t.Context(), database))
	r := newRegion(t, database, 100)
	s := newServer(r, cluster)
	s.archive()
	binary := build(t, "../..")
	talon := r.startReady(binary, database)
	confirmed := map[int]uuid.UUID{}
	for patient := 1; patient <= beforeMoment; patient++ {
		if patient == beforeBackup {
			s.backUp()
		}
		confirmed[patient] = talon.book(patient)
	}
	talon.kill()
	s.restore(time.Time{})
	r.requireStored(confirmed)
}

// read requests the next events.
func (f *follower) read() (harness.Answer, api.EventPage) {
	f.T.Helper()
	path := "/events?limit=1000"
	if f.next != "" {
		path += "&after=" + url.QueryEscape(f.next)
	}
	a := f.must(http.MethodGet, path, f.token, "", nil)
	if a.StatusCode != http.StatusOK {
		return a, api.EventPage{}
	}
	return a, harness.Decode[api.EventPage](f.T, a)
}

// followTo reads the feed until it has read a number of events in all, each of another id.
func (f *follower) followTo(events int) {
	f.T.Helper()
	require.Eventually(f.T, func() bool {
		_, page := f.read()
		for _, e := range page.Items {
			require.False(f.T, f.ids[e.ID], "the id %s is given twice", e.ID)
			f.ids[e.ID] = true
		}
		f.next = page.Next
		return len(f.ids) == events
	}, 20*time.Second, 50*time.Millisecond, "%d of %d events", len(f.ids), events)
}

// server is the PostgreSQL server of a drill, with its files.
type server struct {
	region  *region
	cluster *localpg.Cluster
	data    string
	bin     string
	folder  string // the archive, and the base backup
}

func newServer(r *region, cluster *localpg.Cluster) *server {
	r.T.Helper()
	s := &server{region: r, cluster: cluster}
	require.NoError(r.T, r.DB.QueryRow(r.T.Context(), `SHOW data_directory`).Scan(&s.data))
	binaries, err := localpg.Find(r.T.Context())
	require.NoError(r.T, err)
	s.bin = binaries.Dir
	s.folder = filepath.Join(filepath.Dir(s.data), "backup")
	require.NoError(r.T, os.MkdirAll(filepath.Join(s.folder, "wal"), 0o700))
	s.own()
	return s
}

// own gives the folder and the data to the account of the server.
func (s *server) own() {
	if os.Geteuid() != 0 {
		return
	}
	account, err := user.Lookup("postgres")
	require.NoError(s.region.T, err)
	run(s.region.T, "chown", "-R", account.Uid+":"+account.Gid, s.folder, s.data)
}

// run runs a program of the machine.
func run(t testing.TB, name string, args ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, output)
}

// archive switches the archive of the log on, as docs/operate.md says.
func (s *server) archive() {
	t := s.region.T
	wal := filepath.Join(s.folder, "wal")
	s.region.Exec(`ALTER SYSTEM SET archive_mode = on`)
	s.region.Exec(fmt.Sprintf(`ALTER SYSTEM SET archive_command = 'test ! -f %[1]s/%%f && cp %%p %[1]s/%%f.part && mv %[1]s/%%f.part %[1]s/%%f'`, wal))
	require.NoError(t, s.cluster.Crash(t.Context()))
	require.NoError(t, s.cluster.Resume(t.Context()))
	s.region.DB.Reset()
}

// backUp makes a base backup while the service runs, and verifies it.
func (s *server) backUp() {
	t := s.region.T
	base := filepath.Join(s.folder, "base")
	run(t, filepath.Join(s.bin, "pg_basebackup"), "--dbname="+s.region.address, "--pgdata="+base,
		"--checkpoint=fast", "--wal-method=none", "--no-sync")
	run(t, filepath.Join(s.bin, "pg_verifybackup"), "--no-parse-wal", base)
}

// restore destroys the server, and recovers its data as of a moment, or all of them for the zero
// time, as docs/operate.md says.
func (s *server) restore(moment time.Time) {
	t := s.region.T
	ctx := context.WithoutCancel(t.Context())
	require.NoError(t, s.cluster.Crash(ctx))
	archive, old := filepath.Join(s.folder, "wal"), filepath.Join(s.folder, "old")
	require.NoError(t, os.Rename(s.data, old))
	require.NoError(t, os.Rename(filepath.Join(s.folder, "base"), s.data))
	require.NoError(t, os.Chmod(s.data, 0o700))
	run(t, "sh", "-c", fmt.Sprintf(`for segment in %s/pg_wal/0*; do
		test -f "%s/${segment##*/}" || cp -p "$segment" %s/pg_wal/
	done`, old, archive, s.data))
	settings := fmt.Sprintf("restore_command = 'cp %s/%%f %%p'\nrecovery_target_action = promote\n", archive)
	if !moment.IsZero() {
		settings += fmt.Sprintf("recovery_target_time = '%s'\n", moment.UTC().Format("2006-01-02 15:04:05.999999-07"))
	}
	file, err := os.OpenFile(filepath.Join(s.data, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(settings)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.NoError(t, os.WriteFile(filepath.Join(s.data, "recovery.signal"), nil, 0o600))
	s.own()
	require.NoError(t, s.cluster.Resume(ctx))
	s.region.DB.Reset()
	require.Eventually(t, func() bool {
		var recovering bool
		err := s.region.DB.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&recovering)
		return err == nil && !recovering
	}, time.Minute, 20*time.Millisecond, "the recovery has not ended")
}
