//go:build distributed

package distributed_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"talon.example/internal/app"
	"talon.example/internal/booking"
	"talon.example/internal/postgres"
	"talon.example/internal/testdb"
	"talon.example/test/harness"
)

// touched are the shards of one execution of a statement.
type touched struct {
	statement string // its name
	shards    []int
}

// recorder records which shards the statements of a pool touch, from the notices in which the
// coordinator tells what it sends. It is safe for concurrent use.
type recorder struct {
	mu       sync.Mutex
	notices  map[*pgconn.PgConn][]int // since the last statement of the connection
	executed []touched
	commands int // to the workers
}

var (
	shardName     = regexp.MustCompile(`\b[a-z]\w*?_(\d{6,})\b`)
	statementName = regexp.MustCompile(`^-- name: (\w+)`)
)

// notice is the handler of the notices of a connection.
func (r *recorder) notice(conn *pgconn.PgConn, notice *pgconn.Notice) {
	command, issued := strings.CutPrefix(notice.Message, "issuing ")
	if !issued {
		if command, issued = strings.CutPrefix(notice.Message, "executing the command locally: "); !issued {
			return
		}
	}
	// What a statement sends to all shards is sent once for each.
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.HasPrefix(notice.Message, "issuing ") {
		r.commands++
	}
	for _, name := range shardName.FindAllStringSubmatch(command, -1) {
		if shard, err := strconv.Atoi(name[1]); err == nil {
			r.notices[conn] = append(r.notices[conn], shard)
		}
	}
}

// end takes the notices since the last statement as those of this one.
func (r *recorder) end(conn *pgx.Conn, sql string) {
	name := statementName.FindStringSubmatch(sql)
	r.mu.Lock()
	defer r.mu.Unlock()
	shards := r.notices[conn.PgConn()]
	delete(r.notices, conn.PgConn())
	if name != nil {
		r.executed = append(r.executed, touched{name[1], shards})
	}
}

// take returns what was executed since the last call, and the number of commands to the workers.
func (r *recorder) take() (executed []touched, commands int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	executed, commands = r.executed, r.commands
	r.executed, r.commands = nil, 0
	return executed, commands
}

type sqlKey struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, sqlKey{}, data.SQL)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (r *recorder) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryEndData) {
	sql, _ := ctx.Value(sqlKey{}).(string)
	r.end(conn, sql)
}

// TraceBatchStart implements pgx.BatchTracer.
func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (r *recorder) TraceBatchQuery(_ context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	r.end(conn, data.SQL)
}

// TraceBatchEnd implements pgx.BatchTracer.
func (r *recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// store returns a store whose statements are recorded, with the reference data of another.
func (r *recorder) store(t *testing.T, database string, other *postgres.Store) *postgres.Store {
	t.Helper()
	plain, err := postgres.Open(t.Context(), postgres.Options{
		URL: database, MaxConns: 4, StatementTimeout: time.Minute, Tracer: r,
	})
	require.NoError(t, err)
	config := plain.Config()
	plain.Close()
	config.ConnConfig.OnNotice = r.notice
	maps.Copy(config.ConnConfig.RuntimeParams, map[string]string{
		"citus.log_remote_commands": "on", "citus.log_local_commands": "on", "client_min_messages": "notice",
	})
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return other.Over(pool)
}

// shards tells where shards are.
type shards struct {
	places map[int]place  // of distributed tables
	tables map[int]string // of the others: reference or central
	counts map[int]int    // of places, by group
}

func readShards(t *testing.T, conn *pgx.Conn) *shards {
	t.Helper()
	all := &shards{map[int]place{}, map[int]string{}, map[int]int{}}
	rows, err := conn.Query(t.Context(), `
		SELECT s.shardid, t.colocationid, coalesce(s.shardminvalue, ''), t.repmodel = 't'
		FROM pg_dist_shard s JOIN pg_dist_partition t ON t.logicalrelid = s.logicalrelid`)
	require.NoError(t, err)
	var id int
	var p place
	var reference bool
	known := map[place]bool{}
	_, err = pgx.ForEachRow(rows, []any{&id, &p.group, &p.first, &reference}, func() error {
		switch {
		case reference:
			all.tables[id] = "reference"
		case p.first == "":
			all.tables[id] = "central"
		default:
			if all.places[id] = p; !known[p] {
				known[p] = true
				all.counts[p.group]++
			}
		}
		return nil
	})
	require.NoError(t, err)
	return all
}

// of returns the places that an execution touched, and the kinds of other tables.
func (s *shards) of(executed touched) (places map[place]bool, others map[string]bool) {
	places, others = map[place]bool{}, map[string]bool{}
	for _, id := range executed.shards {
		if p, ok := s.places[id]; ok {
			places[p] = true
		} else if kind, ok := s.tables[id]; ok {
			others[kind] = true
		}
	}
	return places, others
}

// Promise: booking, search, check, hold, cancel and move touch only the shards of the source, the
// target and the patient; the lists those of the institutions where the patient has cards, and the
// patient's. No statement of a request touches all shards. The test prints what each touches.
func TestShardsOfStatements(t *testing.T) {
	t.Parallel()
	database := testdb.New(t)
	conn := connect(t, database)
	record := &recorder{notices: map[*pgconn.PgConn][]int{}}
	var recorded *postgres.Store
	s := harness.StartWrapped(t, database, func(*harness.Service) app.Wrappers {
		return app.Wrappers{Ports: func(ports booking.Ports) booking.Ports {
			recorded = record.store(t, database, ports.Reader.(*postgres.Store))
			return recorded.Ports()
		}}
	})
	s.Scene()
	for range 3 {
		s.AnotherScene()
	}
	person := uuid.New()
	at := func(table string, guid uuid.UUID) place {
		p, _ := placeOf(t, conn, table, guid)
		return p
	}
	from := uuid.New()
	to := guidAt(func(guid uuid.UUID) bool { return at("slot", guid) != at("slot", from) })
	sc := s.SceneOf(person, from, to)
	all := readShards(t, conn)
	own := map[place]string{at("slot", from): "source", at("slot", to): "target", at("mip_person", person): "patient"}

	type line struct{ operation, statement, touches string }
	var table []line
	var commands []string
	operation := func(name string, do func()) {
		record.take()
		do()
		executed, sent := record.take()
		require.NotEmpty(t, executed, name)
		commands = append(commands, fmt.Sprintf("%s %d", name, sent))
		for _, one := range executed {
			places, others := all.of(one)
			var names []string
			for p := range places {
				require.Contains(t, own, p, "%s of %s touches another shard", one.statement, name)
				require.LessOrEqual(t, len(places), all.counts[p.group], name)
				names = append(names, own[p])
			}
			names = append(names, slices.Collect(maps.Keys(others))...)
			slices.Sort(names)
			added := line{name, one.statement, fmt.Sprintf("%d\t%s", len(places), strings.Join(names, ", "))}
			if !slices.Contains(table, added) {
				table = append(table, added)
			}
		}
	}
	ok := func(answer harness.Answer) {
		t.Helper()
		require.Equal(t, http.StatusOK, answer.StatusCode, answer.Raw)
	}
	var visit uuid.UUID
	operation("check", func() { ok(s.CheckBooking(person, sc.BookingBody())) })
	operation("search", func() { ok(sc.Search(person, "").Answer) })
	operation("hold", func() { sc.MustHold(0) })
	operation("release", func() { s.Release(person, to, sc.Slots[0]).RequireReleased(t) })
	operation("book", func() {
		answer := sc.BookWithKey("key", person, harness.ClientGuid)
		ok(answer)
		visit = harness.AppointmentOf(answer).GUID
	})
	operation("search for a move", func() { ok(sc.SearchForMove(visit, "").Answer) })
	operation("move", func() {
		ok(s.Move(person, visit, harness.Fields{"LpuToGuid": to, "SlotId": harness.FirstSlotID + 2}))
	})
	operation("visits", func() { require.Len(t, s.ListAppointments(person, ""), 1) })
	operation("referrals", func() { require.Len(t, s.ListDirections(person, ""), 1) })
	operation("cancel", func() { s.Cancel(person, visit).RequireCancelled(t) })

	// The events that wait are on the coordinator. A sweep reads all nodes: it shows that the test
	// sees more shards than one.
	record.take()
	_, err := recorded.Record(t.Context(), s.Now(), 100)
	require.NoError(t, err)
	executed, _ := record.take()
	for _, one := range executed {
		places, _ := all.of(one)
		require.Empty(t, places, "the recorder, %s", one.statement)
	}
	_, err = recorded.SweepKeys(t.Context(), s.Now(), 100)
	require.NoError(t, err)
	seen := map[place]bool{}
	executed, _ = record.take()
	for _, one := range executed {
		places, _ := all.of(one)
		maps.Copy(seen, places)
	}
	require.Greater(t, len(seen), 2)

	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "operation\tstatement\tshards\tof")
	for _, l := range table {
		fmt.Fprintf(out, "%s\t%s\t%s\n", l.operation, l.statement, l.touches)
	}
	require.NoError(t, out.Flush())
	fmt.Println("commands to the workers, with BEGIN, PREPARE and COMMIT:", strings.Join(commands, ", "))
}
