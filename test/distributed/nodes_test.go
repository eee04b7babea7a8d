//go:build distributed

package distributed_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"talon.example/gen/api"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// network is a port that leads to a node of the database until it is cut. It is safe for concurrent
// use.
type network struct {
	t      *testing.T
	target string
	port   int

	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	conns    []net.Conn
}

// newNetwork returns a port that leads to a node of this machine.
func newNetwork(t *testing.T, host string, port int) *network {
	t.Helper()
	n := &network{t: t, target: net.JoinHostPort(host, strconv.Itoa(port))}
	n.restore()
	t.Cleanup(n.cut)
	return n
}

// restore accepts connections, at the same port as before.
func (n *network) restore() {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)))
	require.NoError(n.t, err)
	n.mu.Lock()
	n.listener, n.port = listener, listener.Addr().(*net.TCPAddr).Port
	n.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // it was cut
			}
			go n.forward(conn)
		}
	}()
}

// forward copies what the two ends of a connection send until one of them closes it.
func (n *network) forward(conn net.Conn) {
	node, err := net.Dial("tcp", n.target)
	if err != nil {
		_ = conn.Close()
		return
	}
	n.mu.Lock()
	if n.conns = append(n.conns, conn, node); n.listener == nil {
		_, _ = conn.Close(), node.Close()
	}
	n.mu.Unlock()
	var both sync.WaitGroup
	for _, ends := range [][2]net.Conn{{conn, node}, {node, conn}} {
		both.Go(func() {
			_, _ = io.Copy(ends[0], ends[1])
			_, _ = ends[0].Close(), ends[1].Close()
		})
	}
	both.Wait()
}

// cut closes all connections and refuses new ones.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listener == nil {
		return
	}
	_ = n.listener.Close()
	n.listener = nil
	for _, conn := range n.conns {
		_ = conn.Close()
	}
	n.conns = nil
}

// Promise: while a node is away, the institutions and patients of the others are served, those of
// the node get database_unavailable, and the instance stays ready and says that it is degraded. When
// the node is back, all are served, without a restart.
func TestOneNodeAway(t *testing.T) {
	t.Parallel()
	database := testdb.New(t)
	conn := connect(t, database)
	var id, port int
	var host string
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT nodeid, nodename, nodeport FROM pg_dist_node
		WHERE shouldhaveshards AND isactive ORDER BY groupid DESC LIMIT 1`).Scan(&id, &host, &port))
	network := newNetwork(t, host, port)
	_, err := conn.Exec(t.Context(), `SELECT citus_update_node($1, '127.0.0.1', $2)`, id, network.port)
	require.NoError(t, err)

	s := harness.StartOn(t, database)
	s.Scene() // the client application and the kinds of cells
	at := func(away bool) func(table string) uuid.UUID {
		return func(table string) uuid.UUID {
			return guidAt(func(guid uuid.UUID) bool {
				_, port := placeOf(t, conn, table, guid)
				return (port == network.port) == away
			})
		}
	}
	here, away := at(false), at(true)
	served := s.SceneOf(here("mip_person"), here("slot"), here("slot"))
	others := map[string]*harness.Scene{
		"the patient is on the node": s.SceneOf(away("mip_person"), here("slot"), here("slot")),
		"the source is on the node":  s.SceneOf(here("mip_person"), away("slot"), here("slot")),
		"the target is on the node":  s.SceneOf(here("mip_person"), here("slot"), away("slot")),
	}
	health := func() string {
		answer := s.Do(s.NewRequest(http.MethodGet, "/health/ready", nil))
		require.Equal(t, http.StatusOK, answer.StatusCode)
		return harness.Decode[api.Health](t, answer).Status
	}
	require.Equal(t, api.HealthStatusOk, health())

	network.cut()
	require.Eventually(t, func() bool { return health() == api.HealthStatusDegraded }, 20*time.Second, 50*time.Millisecond)
	require.Equal(t, http.StatusOK, s.CheckBooking(served.Person, served.BookingBody()).StatusCode)
	require.Len(t, served.Search(served.Person, "").Page.Items, 4)
	visit := served.MustBook()
	require.Len(t, s.ListAppointments(served.Person, ""), 1)
	require.Len(t, s.ListDirections(served.Person, ""), 1)
	served.Cancel(served.Person, visit).RequireCancelled(t)
	for name, sc := range others {
		t.Log(name)
		s.CheckBooking(sc.Person, sc.BookingBody()).RequireRefusal(t, "database_unavailable")
		sc.TryBook().RequireRefusal(t, "database_unavailable")
		s.Get(sc.Person, "/appointments").RequireRefusal(t, "database_unavailable")
	}

	network.restore()
	require.Eventually(t, func() bool { return health() == api.HealthStatusOk }, 20*time.Second, 50*time.Millisecond)
	for name, sc := range others {
		t.Log(name)
		sc.MustBook()
	}
	require.NotContains(t, s.Logs.String(), "internal_error")
}
