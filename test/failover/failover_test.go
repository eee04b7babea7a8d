//go:build failover

// Package failover_test runs the service on a cluster of PostgreSQL that loses its primary.
package failover_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/auth"
	"talon.example/test/harness"
)

const (
	maxUnavailable = 25 * time.Second
	frozenFor      = 40 * time.Second
	calm           = 8 * time.Second  // load before a blow, and after the recovery
	bothGone       = 12 * time.Second // how long neither the primary nor its standby is there
)

// drill is the cluster, the two instances of the service on it, and the table of what they lost.
type drill struct {
	*cluster

	service   *harness.Service // for its database, by the addresses of all nodes
	instances []*instance
	table     strings.Builder
	rows      *tabwriter.Writer
}

// Promises 1 to 6 and 8 over a failover: every booking that got a 200 response is on the primary
// after the kill, switchover or freeze of a node, and no booking was done twice. The service books
// again by itself within 25 seconds, by the addresses of all nodes and through HAProxy.
func TestFailover(t *testing.T) {
	d := newDrill(t)
	for _, i := range d.instances {
		i.startLoad()
	}
	d.blow("kill -9 PostgreSQL of the primary", maxUnavailable, d.killPostgres)
	d.blow("kill -9 PostgreSQL and Patroni", maxUnavailable, d.killNode)
	d.blow("switchover", maxUnavailable, d.switchOver)
	d.blow("freeze the primary and its Patroni", maxUnavailable, d.freezePrimary)
	d.blow("freeze the synchronous standby", maxUnavailable, d.freezeStandby)
	d.blow("kill -9 etcd beside the primary", maxUnavailable, d.killEtcd)
	// No other node has the last bookings, so that none may take over before the standby is back.
	d.blow("freeze the standby, kill -9 the primary", maxUnavailable+bothGone, d.killBoth)
	for _, i := range d.instances {
		close(i.stop)
	}
	for _, i := range d.instances {
		i.clients.Wait()
	}
	confirmed := d.check()
	require.Equal(t, confirmed, d.service.Count(`SELECT count(*) FROM appointment`), "visits that no client knows of")
	require.NoError(t, d.rows.Flush())
	fmt.Fprintf(os.Stdout, "\n%s\nconfirmed %d = found %d, lost 0, booked twice 0\n\n", &d.table, confirmed, confirmed)
}

// newDrill starts a cluster, with two instances of the service.
func newDrill(t *testing.T) *drill {
	t.Helper()
	dir := t.TempDir()
	program := harness.BuildTalon(t)
	key, err := auth.EnsureSigningKey(filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	d := &drill{cluster: startCluster(t)}
	d.rows = tabwriter.NewWriter(&d.table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(d.rows, "blow\taddress\tprimary after\tunavailable\tlongest without 200\tlast not 200\t"+
		"confirmed\tfound\tlost\tnot 200")

	d.createDatabase()
	pool, err := pgxpool.New(t.Context(), d.url("talon", "talon"))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	d.service = &harness.Service{T: t, DB: pool, Key: key, Logs: new(harness.Logs), ClockOffset: new(atomic.Int64)}
	d.service.AdvanceClock(time.Since(harness.Moment)) // the processes use the real clock
	throughHAProxy := fmt.Sprintf("postgres://talon:%s@%s/talon?sslmode=disable&connect_timeout=2",
		d.password, haproxyAt)
	for n, by := range []struct{ address, url string }{
		{"multi-host", d.url("talon", "talon")}, {"HAProxy", throughHAProxy},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addr := listener.Addr().String()
		require.NoError(t, listener.Close())
		service := *d.service
		service.URL = "http://" + addr
		i := &instance{Service: &service, t: t, address: by.address, first: n, stop: make(chan struct{})}
		i.process = exec.Command(program, "serve")
		i.process.Env = []string{
			"DATABASE_URL=" + by.url, "TALON_ADDR=" + addr, "TALON_TOKEN_ISSUER=issuer", "TALON_TOKEN_AUDIENCE=talon",
			"TALON_AUTH_KEY_FILE=" + filepath.Join(dir, "key.pem"), "TALON_CLIENT_RATE=0",
		}
		log, err := os.Create(filepath.Join(logs, "talon-"+by.address+".log"))
		require.NoError(t, err)
		i.process.Stderr = log
		i.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		require.NoError(t, i.process.Start())
		require.NoError(t, log.Close())
		t.Cleanup(func() { _ = i.process.Process.Kill(); _ = i.process.Wait() })
		i.waitReady()
		d.instances = append(d.instances, i)
	}
	d.service.AddCrowd(patients)
	return d
}

// createDatabase creates the database and its owner, who is no superuser.
func (d *drill) createDatabase() {
	conn, err := pgx.Connect(d.t.Context(), d.url("postgres", "postgres"))
	require.NoError(d.t, err)
	defer func() { require.NoError(d.t, conn.Close(d.t.Context())) }()
	_, err = conn.Exec(d.t.Context(), `CREATE ROLE talon LOGIN PASSWORD '`+d.password+`'`)
	require.NoError(d.t, err)
	_, err = conn.Exec(d.t.Context(), `CREATE DATABASE talon OWNER talon`)
	require.NoError(d.t, err)
}

// waitReady waits until the instance is ready by itself.
func (i *instance) waitReady() {
	i.t.Helper()
	require.Eventually(i.t, func() bool { return i.readiness() == http.StatusOK }, startTime, pollTime,
		"the service by %s is not ready; its log is in %s", i.address, logs)
}

// readiness returns the status of the check, or 0 if the instance does not listen yet.
func (i *instance) readiness() int {
	response, err := harness.HTTPClient.Do(i.NewRequest(http.MethodGet, "/health/ready", nil))
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// blow strikes the complete cluster under load, and appends what the clients saw to the table.
// strike returns the time until another node was the primary, or 0 if it is the same. The service
// must book again within limit.
func (d *drill) blow(name string, limit time.Duration, strike func() (primary time.Duration)) {
	d.t.Helper()
	d.waitComplete()
	time.Sleep(calm)
	struck := time.Now()
	primary := strike()
	d.waitComplete()
	complete := time.Now()
	for _, i := range d.instances {
		i.waitReady()
		require.Eventually(d.t, func() bool { return i.servedSince(complete) }, startTime, pollTime,
			"%s: no booking by %s", name, i.address)
	}
	time.Sleep(calm)
	for _, i := range d.instances {
		confirmed, found := d.found(i)
		o := i.outageSince(struck)
		row := fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%v", name, i.address, seconds(primary),
			seconds(o.unavailable), seconds(o.gap), seconds(o.last), confirmed, found, confirmed-found, o.rules)
		fmt.Fprintln(d.rows, row)
		d.t.Log(strings.ReplaceAll(row, "\t", " | "))
		if confirmed != found {
			d.t.Errorf("%s, by %s: %d confirmed bookings are lost", name, i.address, confirmed-found)
		}
		if o.unavailable > limit {
			d.t.Errorf("%s, by %s: unavailable for %s", name, i.address, o.unavailable)
		}
		if i.slowest > responseTime {
			d.t.Errorf("%s, by %s: a response took %s", name, i.address, i.slowest)
		}
	}
	d.check()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// found returns how many appointments were confirmed by the instance, and how many of them are on
// the primary.
func (d *drill) found(i *instance) (confirmed, found int) {
	guids := i.guids()
	return len(guids), d.service.Count(`SELECT count(*) FROM appointment WHERE guid = ANY($1)`, guids)
}

// check requires that the tables are whole, and that each appointment was confirmed once. It
// returns the number of confirmed appointments.
func (d *drill) check() int {
	d.t.Helper()
	d.service.AdvanceClock(time.Since(d.service.Now()))
	d.service.RequireInvariants()
	d.service.RequireNothingHalfDone()
	known := map[uuid.UUID]bool{}
	total := 0
	for _, i := range d.instances {
		for _, guid := range i.guids() {
			known[guid] = true
			total++
		}
	}
	require.Len(d.t, known, total, "two patients have the same appointment")
	return total
}

// killPostgres kills the PostgreSQL of the primary. Its Patroni lives.
func (d *drill) killPostgres() time.Duration {
	struck, old := time.Now(), d.waitPrimary(nil)
	old.killPostgres()
	d.waitPrimary(old)
	return time.Since(struck)
}

// killNode kills the PostgreSQL and the Patroni of the primary, and starts Patroni again when
// another node has taken over.
func (d *drill) killNode() time.Duration {
	struck, old := time.Now(), d.waitPrimary(nil)
	old.killAll()
	d.waitPrimary(old)
	took := time.Since(struck)
	time.Sleep(calm)
	d.startPatroni(old)
	return took
}

// switchOver makes the synchronous standby the primary.
func (d *drill) switchOver() time.Duration {
	struck, old := time.Now(), d.waitPrimary(nil)
	d.switchover(old, d.standby())
	d.waitPrimary(old)
	return time.Since(struck)
}

// freezePrimary suspends the primary and its Patroni, until another node has long taken over.
func (d *drill) freezePrimary() time.Duration {
	struck, old := time.Now(), d.waitPrimary(nil)
	old.freeze()
	defer old.thaw()
	d.waitPrimary(old)
	took := time.Since(struck)
	time.Sleep(max(frozenFor-took, calm))
	return took
}

// freezeStandby suspends the synchronous standby and its Patroni. Readiness notices that commits
// hang.
func (d *drill) freezeStandby() time.Duration {
	struck, standby := time.Now(), d.standby()
	standby.freeze()
	defer standby.thaw()
	for _, i := range d.instances {
		require.Eventually(d.t, func() bool { return i.readiness() == http.StatusServiceUnavailable },
			frozenFor, pollTime, "the service by %s stays ready", i.address)
	}
	time.Sleep(frozenFor - time.Since(struck))
	return 0
}

// killEtcd kills the member of etcd beside the primary, and starts it again. The other two are a
// majority.
func (d *drill) killEtcd() time.Duration {
	n := d.waitPrimary(nil)
	n.killEtcd()
	time.Sleep(frozenFor / 2)
	d.startEtcd(n)
	return 0
}

// killBoth kills the primary while its synchronous standby is frozen.
func (d *drill) killBoth() time.Duration {
	struck, old, standby := time.Now(), d.waitPrimary(nil), d.standby()
	standby.freeze()
	time.Sleep(2 * time.Second) // bookings wait for the standby
	old.killAll()
	time.Sleep(bothGone - time.Since(struck))
	standby.thaw()
	if taken := d.waitPrimary(old); taken != standby {
		d.t.Errorf("%s took over without the last bookings", taken.name)
	}
	took := time.Since(struck)
	time.Sleep(calm)
	d.startPatroni(old)
	return took
}
