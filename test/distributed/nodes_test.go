//go:build distributed

package distributed_test

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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
	loses    bool // the answer to the next commit of a visit
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
	var lost atomic.Bool
	var both sync.WaitGroup
	both.Go(func() { n.send(node, conn, &lost) })
	both.Go(func() { receive(conn, node, &lost) })
	both.Wait()
}

// loseCommit makes the network lose the answer to the second half of the next commit of a visit.
func (n *network) loseCommit() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loses = true
}

// send copies what the coordinator sends to the node. It sets lost before it sends a commit whose
// answer is to be lost.
func (n *network) send(node, conn net.Conn, lost *atomic.Bool) {
	defer func() { _, _ = conn.Close(), node.Close() }()
	visit := false
	part := make([]byte, 64<<10)
	for {
		count, err := conn.Read(part)
		visit = visit || bytes.Contains(part[:count], []byte("INSERT INTO public.appointment_"))
		if visit && bytes.Contains(part[:count], []byte("COMMIT PREPARED ")) {
			n.mu.Lock()
			lost.Store(n.loses)
			n.loses, visit = false, false
			n.mu.Unlock()
		}
		if _, sendErr := node.Write(part[:count]); err != nil || sendErr != nil {
			return
		}
	}
}

// receive copies what the node sends until the connection ends or lost is set.
func receive(conn, node net.Conn, lost *atomic.Bool) {
	defer func() { _, _ = conn.Close(), node.Close() }()
	part := make([]byte, 64<<10)
	for {
		count, err := node.Read(part)
		if err != nil || lost.Load() {
			return
		}
		if _, err := conn.Write(part[:count]); err != nil {
			return
		}
	}
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

// cluster is a distributed database of which one node is reached by a network.
type cluster struct {
	t       *testing.T
	url     string
	conn    *pgx.Conn
	network *network
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	database := testdb.New(t)
	conn := connect(t, database)
	var id, port int
	var host string
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT nodeid, nodename, nodeport FROM pg_dist_node
		WHERE shouldhaveshards AND isactive ORDER BY groupid DESC LIMIT 1`).Scan(&id, &host, &port))
	network := newNetwork(t, host, port)
	// citus_update_node would wake the daemon of the database, which may not have started yet, and
	// crash the coordinator.
	_, err := conn.Exec(t.Context(), `UPDATE pg_dist_node SET nodename = '127.0.0.1', nodeport = $2 WHERE nodeid = $1`,
		id, network.port)
	require.NoError(t, err)
	return &cluster{t, database, conn, network}
}

// at returns a new guid whose rows of a table are on the node of the network.
func (c *cluster) at(table string) uuid.UUID { return c.guid(table, true) }

// elsewhere returns a new guid whose rows of a table are on another node.
func (c *cluster) elsewhere(table string) uuid.UUID { return c.guid(table, false) }

func (c *cluster) guid(table string, at bool) uuid.UUID {
	c.t.Helper()
	return guidAt(func(guid uuid.UUID) bool {
		_, port := placeOf(c.t, c.conn, table, guid)
		return (port == c.network.port) == at
	})
}

// Promise: while a node is away, the institutions and patients of the others are served, those of
// the node get database_unavailable, and the instance stays ready and says that it is degraded.
// When the node is back, all are served, without a restart.
func TestOneNodeAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	here, away, network := c.elsewhere, c.at, c.network
	s := harness.StartOn(t, c.url, harness.WithAuthService)
	s.Scene() // the client application and the kinds of cells
	s.SetClientSecret()
	served := s.SceneOf(here("mip_person"), here("slot"), here("slot"))
	others := map[string]*harness.Scene{
		"the patient is on the node": s.SceneOf(away("mip_person"), here("slot"), here("slot")),
		"the source is on the node":  s.SceneOf(here("mip_person"), away("slot"), here("slot")),
		"the target is on the node":  s.SceneOf(here("mip_person"), here("slot"), away("slot")),
	}
	identified := []*harness.Scene{served}
	for range 4 {
		identified = append(identified, s.SceneOf(here("mip_person"), here("slot"), here("slot")))
	}
	health := func() string {
		answer := s.Do(s.NewRequest(http.MethodGet, "/health/ready", nil))
		require.Equal(t, http.StatusOK, answer.StatusCode)
		return harness.Decode[api.Health](t, answer).Status
	}
	require.Equal(t, api.HealthStatusOk, health())

	network.cut()
	require.Eventually(t, func() bool { return health() == api.HealthStatusDegraded },
		20*time.Second, 50*time.Millisecond)
	require.Equal(t, http.StatusOK, s.CheckBooking(served.Person, served.BookingBody()).StatusCode)
	require.Len(t, served.Search(served.Person, "").Page.Items, 4)
	visit := served.MustBook()
	require.Len(t, s.ListAppointments(served.Person, ""), 1)
	require.Len(t, s.ListDirections(served.Person, ""), 1)
	served.Cancel(served.Person, visit).RequireCancelled(t)
	for _, sc := range identified {
		require.Equal(t, http.StatusOK, s.Identify(sc.PersonQuery()).StatusCode)
	}
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

// Promise: a booking whose commit reached the node, but whose answer was lost, is not tried again,
// which would reject the patient because of the patient's own visit. The client gets
// database_unavailable, and a repetition with its key gets the visit. The nodes have to talk
// without TLS.
func TestCommitOnLostNode(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := harness.StartOn(t, c.url)
	s.Scene()
	sc := s.SceneOf(c.at("mip_person"), c.at("slot"), c.at("slot"))
	c.network.loseCommit()
	sc.BookWithKey("key", sc.Person, harness.ClientGuid).RequireRefusal(t, "database_unavailable")
	require.Equal(t, 1, s.Count(`SELECT count(*) FROM appointment`), "the visit was committed")
	repeated := sc.BookWithKey("key", sc.Person, harness.ClientGuid)
	require.Equal(t, http.StatusOK, repeated.StatusCode, repeated.Raw)
	require.Len(t, s.ListAppointments(sc.Person, ""), 1)
}
