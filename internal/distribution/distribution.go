// Package distribution declares how the tables of Talon are spread over the nodes of a distributed
// PostgreSQL (Citus), and checks that a database is ready for it.
package distribution

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"talon.example/migrations"
)

// The kinds of tables that are not distributed by a column.
const (
	reference = "reference" // a copy on every node
	central   = "central"   // on the coordinator alone
)

// MaxShards bounds the number of shards of a group. More than some hundred cost every node memory
// and connections, and no region has so many nodes.
const MaxShards = 512

// DefaultShards is the number of shards of a group. Each can be moved to a node of its own, so that
// it is the largest number of nodes.
const DefaultShards = 32

//go:embed tables.txt
var tablesText string

// Table is a table and how it is spread.
type Table struct {
	Name  string
	how   string // the column that it is distributed by, reference or central
	group string // of the tables whose rows are together; empty unless it is distributed
}

// Tables returns all tables in the order in which they are declared.
func Tables() []Table {
	var tables []Table
	for line := range strings.Lines(tablesText) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 0 {
			table := Table{Name: fields[0], how: fields[1]}
			if len(fields) > 2 {
				table.group = fields[2]
			}
			tables = append(tables, table)
		}
	}
	return tables
}

// Options change what Distribute does.
type Options struct {
	Shards   int       // of each group
	DryRun   bool      // print the statements instead of executing them
	Progress io.Writer // one line for each table
}

// ErrNotReady is returned for a database that cannot be distributed. The error lists what is wrong.
var ErrNotReady = errors.New("the database cannot be distributed yet")

// settings let Citus declare tables that refer to each other, and tables that have rows. Without
// the first, it takes those that refer to a reference table into its metadata as local ones, which
// cannot be distributed any more.
const settings = `
	SET citus.enable_local_reference_table_foreign_keys TO off;
	SET citus.multi_shard_modify_mode TO 'sequential'`

// Distribute declares the tables that are not declared yet, in order. It may be repeated, also after
// it was interrupted. It changes nothing if the database is not ready: the error wraps ErrNotReady.
func Distribute(ctx context.Context, conn *pgx.Conn, options Options) error {
	if err := ready(ctx, conn); err != nil {
		return err
	}
	declared, err := readDeclared(ctx, conn)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, settings); err != nil {
		return fmt.Errorf("set how tables are declared: %w", err)
	}
	tables := Tables()
	for i, table := range tables {
		progress := fmt.Sprintf("%d of %d: %s", i+1, len(tables), table.Name)
		if declared[table.Name].kind != "" {
			fmt.Fprintf(options.Progress, "%s is declared\n", progress)
			continue
		}
		statement := table.declaration(tables, options.Shards)
		if options.DryRun {
			fmt.Fprintln(options.Progress, statement+";")
			continue
		}
		fmt.Fprintf(options.Progress, "%s\n", progress)
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("declare the table %s: %w", table.Name, err)
		}
	}
	return nil
}

// declaration returns the statement that declares the table. The first table of a group says how
// many shards the group has, and the others follow it.
func (t Table) declaration(all []Table, shards int) string {
	switch t.how {
	case reference:
		return fmt.Sprintf("SELECT create_reference_table('%s')", t.Name)
	case central:
		return fmt.Sprintf("SELECT citus_add_local_table_to_metadata('%s')", t.Name)
	}
	first := all[slices.IndexFunc(all, func(other Table) bool { return other.group == t.group })]
	if first.Name == t.Name {
		return fmt.Sprintf("SELECT create_distributed_table('%s', '%s', colocate_with => 'none', shard_count => %d)",
			t.Name, t.how, shards)
	}
	return fmt.Sprintf("SELECT create_distributed_table('%s', '%s', colocate_with => '%s')", t.Name, t.how, first.Name)
}

// declaration is how a table is declared in the database.
type declaration struct {
	kind      string // a column, reference or central; empty if the table is not declared
	colocated int    // the same for tables whose rows are together
}

// readDeclared returns the declarations of the tables of this schema, by name.
func readDeclared(ctx context.Context, conn *pgx.Conn) (map[string]declaration, error) {
	const query = `
		SELECT c.relname, p.colocationid, CASE
			WHEN p.partmethod = 'h' THEN column_to_column_name(p.logicalrelid, p.partkey)
			WHEN p.repmodel = 't' THEN 'reference' ELSE 'central' END
		FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid
		WHERE c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition`
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read the declared tables: %w", err)
	}
	declared := map[string]declaration{}
	var name string
	var d declaration
	_, err = pgx.ForEachRow(rows, []any{&name, &d.colocated, &d.kind}, func() error {
		declared[name] = d
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the declared tables: %w", err)
	}
	return declared, nil
}

// ready returns an error that wraps ErrNotReady and lists everything that prevents the declarations.
func ready(ctx context.Context, conn *pgx.Conn) error {
	distributed, err := IsDistributed(ctx, conn)
	if err != nil {
		return err
	}
	if !distributed {
		return fmt.Errorf("%w:\n- the extension citus is missing: install Citus 12.1 on every node, set "+
			"shared_preload_libraries, and run CREATE EXTENSION citus in the database on every node", ErrNotReady)
	}
	problems, err := schemaProblems(ctx, conn)
	if err != nil {
		return err
	}
	for _, read := range []func(context.Context, *pgx.Conn) ([]string, error){nodeProblems, tableProblems, serviceProblems} {
		more, err := read(ctx, conn)
		if err != nil {
			return err
		}
		problems = append(problems, more...)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w:\n- %s", ErrNotReady, strings.Join(problems, "\n- "))
	}
	return nil
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
	if current != latest {
		return []string{fmt.Sprintf("the schema has version %d, and this build declares version %d: run talon migrate",
			current, latest)}, nil
	}
	return nil, nil
}

// nodeProblems requires the coordinator, and at least one worker.
func nodeProblems(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	const query = `
		SELECT
			coalesce((SELECT groupid <> 0 FROM pg_dist_local_group), false),
			EXISTS (SELECT FROM pg_dist_node WHERE groupid = 0),
			(SELECT count(*) FROM pg_dist_node WHERE isactive AND shouldhaveshards AND noderole = 'primary'),
			coalesce(pg_is_in_recovery(), false)`
	var onWorker, coordinatorKnown, standby bool
	var workers int
	if err := conn.QueryRow(ctx, query).Scan(&onWorker, &coordinatorKnown, &workers, &standby); err != nil {
		return nil, fmt.Errorf("read the nodes: %w", err)
	}
	var problems []string
	if onWorker {
		problems = append(problems, "DATABASE_URL leads to a worker: tables are declared on the coordinator")
	}
	if standby {
		problems = append(problems, "DATABASE_URL leads to a standby")
	}
	if !coordinatorKnown {
		problems = append(problems, "the workers do not know the coordinator: run "+
			"SELECT citus_set_coordinator_host('HOST', PORT) there")
	}
	if workers == 0 {
		problems = append(problems, "there is no worker: run SELECT citus_add_node('HOST', PORT) for each")
	}
	return problems, nil
}

// tableProblems requires that declared tables are declared as in this build.
func tableProblems(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	declared, err := readDeclared(ctx, conn)
	if err != nil {
		return nil, err
	}
	var problems []string
	groups := map[string]int{}
	for _, table := range Tables() {
		is := declared[table.Name]
		if is.kind == "" {
			continue
		}
		if is.kind != table.how {
			problems = append(problems, fmt.Sprintf("the table %s is declared as %s, not as %s: undistribute it first",
				table.Name, is.kind, table.how))
			continue
		}
		if table.group == "" {
			continue
		}
		if first, known := groups[table.group]; known && first != is.colocated {
			problems = append(problems, fmt.Sprintf("the table %s is not together with the others of its group %s: "+
				"undistribute it first", table.Name, table.group))
		}
		groups[table.group] = is.colocated
	}
	return problems, nil
}

// serviceProblems requires that no service uses the database while tables are declared: each
// declaration locks a table until its rows are on the nodes.
func serviceProblems(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	missing, err := missingTables(ctx, conn)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	var sessions int
	const query = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'talon'`
	if err := conn.QueryRow(ctx, query).Scan(&sessions); err != nil {
		return nil, fmt.Errorf("count the sessions of services: %w", err)
	}
	if sessions > 0 {
		return []string{fmt.Sprintf("services have %d connections: stop them first", sessions)}, nil
	}
	return nil, nil
}

func missingTables(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	declared, err := readDeclared(ctx, conn)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, table := range Tables() {
		if declared[table.Name].kind == "" {
			missing = append(missing, table.Name)
		}
	}
	return missing, nil
}

// maxRecovery is the longest citus.recover_2pc_interval. What a node that has crashed between the
// two halves of a commit leaves stays locked and invisible so long.
const maxRecovery = "10s"

// Check returns what is wrong with a distributed database, or with the way in which the service
// would use it, in plain words: tables that are not declared, and settings. planning is the
// service's plan_cache_mode.
func Check(ctx context.Context, conn *pgx.Conn, planning string) ([]string, error) {
	distributed, err := IsDistributed(ctx, conn)
	if err != nil {
		return nil, err
	}
	if !distributed {
		return []string{"the database is not distributed: it has no extension citus"}, nil
	}
	problems, err := tableProblems(ctx, conn)
	if err != nil {
		return nil, err
	}
	missing, err := missingTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		problems = append(problems, "not declared: "+strings.Join(missing, ", ")+": run talon distribute")
	}
	if planning != "auto" {
		problems = append(problems, "plan_cache_mode is "+planning+": Citus cannot plan a statement without its "+
			"parameters. Append plan_cache_mode=auto to DATABASE_URL")
	}
	settings, err := settingProblems(ctx, conn)
	return append(problems, settings...), err
}

// settingProblems reads the settings of every node.
func settingProblems(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	// The function sends the text to every node; it has no parameters.
	const query = `
		SELECT n.nodename || ':' || n.nodeport, coalesce(r.success, false), coalesce(r.result, '')
		FROM run_command_on_all_nodes($cmd$
			SELECT concat_ws(' ', (current_setting('citus.recover_2pc_interval')::interval > '` + maxRecovery + `'),
				current_setting('max_prepared_transactions'), current_setting('max_connections'))
		$cmd$, give_warning_for_connection_errors => true) r
		JOIN pg_dist_node n ON n.nodeid = r.nodeid`
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the nodes: %w", err)
	}
	var problems []string
	var node, result string
	var success bool
	_, err = pgx.ForEachRow(rows, []any{&node, &success, &result}, func() error {
		if !success {
			problems = append(problems, node+" does not answer: "+result)
			return nil
		}
		var slow string
		var prepared, connections int
		if _, err := fmt.Sscan(result, &slow, &prepared, &connections); err != nil {
			return fmt.Errorf("read the settings of %s: %w", node, err)
		}
		if slow == "t" {
			problems = append(problems, node+": citus.recover_2pc_interval is longer than "+maxRecovery+
				": after a crash, what it leaves half committed stays locked so long. Set it to 5s")
		}
		if prepared < connections {
			problems = append(problems, fmt.Sprintf("%s: max_prepared_transactions is %d, less than max_connections, %d: "+
				"each connection may prepare a transaction to commit it on several nodes", node, prepared, connections))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the settings of the nodes: %w", err)
	}
	return problems, nil
}
