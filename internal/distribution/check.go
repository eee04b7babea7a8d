package distribution

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"talon.example/migrations"
)

// ready returns the declarations so far, or an error that wraps ErrNotReady and lists everything
// that prevents the others.
func ready(ctx context.Context, conn *pgx.Conn) (declarations, error) {
	distributed, err := IsDistributed(ctx, conn)
	if err != nil {
		return nil, err
	}
	if !distributed {
		return nil, fmt.Errorf("%w:\n- the extension citus is missing: install Citus 12.1 on every node, set "+
			"shared_preload_libraries, and run CREATE EXTENSION citus in the database on every node", ErrNotReady)
	}
	state, err := inspect(ctx, conn)
	if err != nil {
		return nil, err
	}
	problems := state.problems
	if len(state.declared.missing()) > 0 {
		services, err := serviceProblems(ctx, conn)
		if err != nil {
			return nil, err
		}
		problems = append(problems, services...)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("%w:\n- %s", ErrNotReady, strings.Join(problems, "\n- "))
	}
	return state.declared, nil
}

// state is that of a distributed database.
type state struct {
	declared declarations
	nodes    []nodeResult
	problems []string // which prevent declarations, and endanger the service
}

func inspect(ctx context.Context, conn *pgx.Conn) (*state, error) {
	var s state
	if _, err := conn.Exec(ctx, boundLocks); err != nil {
		return nil, fmt.Errorf("bound the waits for locks: %w", err)
	}
	var err error
	if s.declared, err = readDeclared(ctx, conn); err != nil {
		return nil, err
	}
	s.problems = s.declared.problems()
	for _, read := range []func(context.Context, *pgx.Conn) ([]string, error){schemaProblems, nodeProblems} {
		more, err := read(ctx, conn)
		if err != nil {
			return nil, err
		}
		s.problems = append(s.problems, more...)
	}
	if s.nodes, err = askNodes(ctx, conn); err != nil {
		return nil, err
	}
	for _, node := range s.nodes {
		if node.failure != "" {
			s.problems = append(s.problems, node.name+" does not answer: "+node.failure)
		}
	}
	return &s, nil
}

// IsDistributed reports whether the database has the extension of Citus.
func IsDistributed(ctx context.Context, db migrations.Database) (bool, error) {
	var installed bool
	const query = `SELECT to_regproc('citus_version') IS NOT NULL`
	if err := db.QueryRow(ctx, query).Scan(&installed); err != nil {
		return false, fmt.Errorf("look for the extension citus: %w", err)
	}
	return installed, nil
}

// NodesAway returns how many nodes of a distributed database do not respond.
func NodesAway(ctx context.Context, db migrations.Database) (int, error) {
	var away int
	const query = `SELECT count(*) FROM run_command_on_workers('SELECT 1') WHERE NOT success`
	if err := db.QueryRow(ctx, query).Scan(&away); err != nil {
		return 0, fmt.Errorf("ask the nodes: %w", err)
	}
	return away, nil
}

// onWorker is a condition on the node that executes the statement.
const onWorker = `coalesce((SELECT groupid <> 0 FROM pg_dist_local_group), false)`

// leadsToWorker is the problem of a connection to a worker. Each node has a range of its own of the
// numbers of events, so that those that were written there would not be in order.
const leadsToWorker = "DATABASE_URL leads to a worker: give the address of the coordinator, which declares " +
	"tables and numbers the events"

// generic is the plan_cache_mode that Citus cannot work with. With the others it plans the same.
const generic = "force_generic_plan"

// cannotPlan is the problem of such a connection.
const cannotPlan = "plan_cache_mode is " + generic + ", and Citus cannot plan a statement without its parameters: " +
	"append plan_cache_mode=auto to DATABASE_URL (behind a pooler that ignores it, set it for the role)"

// CheckCoordinator reports whether the database is distributed. It returns an error if the
// connection leads to a worker.
func CheckCoordinator(ctx context.Context, db migrations.Database) (distributed bool, err error) {
	if distributed, err = IsDistributed(ctx, db); err != nil || !distributed {
		return false, err
	}
	var worker bool
	if err := db.QueryRow(ctx, "SELECT "+onWorker).Scan(&worker); err != nil {
		return false, fmt.Errorf("read which node this is: %w", err)
	}
	if worker {
		return false, errors.New(leadsToWorker)
	}
	return true, nil
}

// CheckService returns an error if the database is distributed, and the connections of a service
// lead to a worker or force generic plans, or if talon distribute is running: that one takes its
// lock before it looks for sessions of services, and these have one when they look for the lock.
// standby reports whether the service reads lists from a standby, which Citus cannot.
func CheckService(ctx context.Context, db migrations.Database, standby bool) error {
	distributed, err := CheckCoordinator(ctx, db)
	if err != nil || !distributed {
		return err
	}
	var planning string
	var free bool
	const query = `SELECT current_setting('plan_cache_mode'), pg_try_advisory_xact_lock_shared($1)`
	if err := db.QueryRow(ctx, query, distributing).Scan(&planning, &free); err != nil {
		return fmt.Errorf("read how statements are planned: %w", err)
	}
	if standby {
		return errors.New("the database is distributed, and its lists are never read from a standby: " +
			"leave TALON_READ_DATABASE_URL empty")
	}
	if !free {
		return errors.New("talon distribute is running: start the service when it has ended")
	}
	if planning == generic {
		return errors.New(cannotPlan)
	}
	return nil
}

// schemaProblems requires the newest schema.
func schemaProblems(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	latest, err := migrations.Latest()
	if err != nil {
		return nil, err
	}
	current, err := migrations.CurrentOf(ctx, conn)
	if err != nil {
		return nil, err
	}
	versions := fmt.Sprintf("the schema has version %d, and this build declares version %d: ", current, latest)
	switch {
	case current > latest:
		return []string{versions + "take the newer build"}, nil
	case current < latest:
		return []string{versions + "run talon migrate"}, nil
	}
	return nil, nil
}

// nodeProblems requires the coordinator, and at least one worker.
func nodeProblems(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	const query = `
		SELECT
			` + onWorker + `,
			EXISTS (SELECT FROM pg_dist_node WHERE groupid = 0),
			(SELECT count(*) FROM pg_dist_node WHERE isactive AND shouldhaveshards AND noderole = 'primary'),
			coalesce(pg_is_in_recovery(), false)`
	var worker, coordinatorKnown, standby bool
	var workers int
	if err := conn.QueryRow(ctx, query).Scan(&worker, &coordinatorKnown, &workers, &standby); err != nil {
		return nil, fmt.Errorf("read the nodes: %w", err)
	}
	var problems []string
	if worker {
		problems = append(problems, leadsToWorker)
	}
	if standby {
		problems = append(problems, "DATABASE_URL leads to a standby")
	}
	if !coordinatorKnown {
		problems = append(problems, "the workers do not know the coordinator: run on it "+
			"SELECT citus_set_coordinator_host('HOST', PORT)")
	}
	if workers == 0 {
		problems = append(problems, "there is no worker: run SELECT citus_add_node('HOST', PORT) for each")
	}
	return problems, nil
}

// serviceProblems requires that no service uses the database while tables are declared: each
// declaration locks a table until its rows are on the nodes.
func serviceProblems(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	var sessions int
	var hosts string
	const query = `
		SELECT count(*), coalesce(string_agg(DISTINCT coalesce(host(client_addr), 'this machine'), ', '), '')
		FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'talon'`
	if err := conn.QueryRow(ctx, query).Scan(&sessions, &hosts); err != nil {
		return nil, fmt.Errorf("count the sessions of services: %w", err)
	}
	if sessions > 0 {
		return []string{fmt.Sprintf("services have %d connections, from %s: stop them first", sessions, hosts)}, nil
	}
	return nil, nil
}

// Check returns what is wrong with a distributed database, or with the way in which the service
// would use it, in plain words: tables that are not declared, and settings. The connection has the
// settings of the service's.
func Check(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	distributed, err := IsDistributed(ctx, conn)
	if err != nil {
		return nil, err
	}
	if !distributed {
		return []string{"the database is not distributed: it has no extension citus"}, nil
	}
	state, err := inspect(ctx, conn)
	if err != nil {
		return nil, err
	}
	declared, problems := state.declared, state.problems
	functions, err := missingFunctions(ctx, conn)
	if err != nil {
		return nil, err
	}
	if missing := append(declared.missing(), functions...); len(missing) > 0 {
		problems = append(problems, "not declared: "+strings.Join(missing, ", ")+": run talon distribute")
	}
	sizes, err := readSizes(ctx, conn)
	if err != nil {
		return nil, err
	}
	var local []string
	for _, table := range Tables() {
		if declared[table.Name].kind != "" && sizes[table.Name].local {
			local = append(local, table.Name)
		}
	}
	if len(local) > 0 {
		problems = append(problems, "the coordinator still has the rows that are on the nodes: "+
			strings.Join(local, ", ")+": run talon distribute")
	}
	var planning, commit string
	const query = `SELECT current_setting('plan_cache_mode'), current_setting('synchronous_commit')`
	if err := conn.QueryRow(ctx, query).Scan(&planning, &commit); err != nil {
		return nil, fmt.Errorf("read how statements are planned and transactions committed: %w", err)
	}
	if planning == generic {
		problems = append(problems, cannotPlan)
	}
	return append(problems, settingProblems(state.nodes, commit)...), nil
}
