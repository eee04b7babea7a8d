// Package distribution declares how the tables of Talon are spread over the nodes of a distributed
// PostgreSQL (Citus), and checks that a database is ready for it.
package distribution

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
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
	Shards   int       // of each group; 0: as the declared groups have, or DefaultShards
	DryRun   bool      // print the statements, for psql, instead of executing them
	Progress io.Writer // one line for each table
}

// ErrNotReady is returned for a database that cannot be distributed. The error lists what is wrong.
var ErrNotReady = errors.New("the database cannot be distributed yet")

// lockTimeout is how long a statement waits for a lock. Services are stopped, so that a longer wait
// is that of a forgotten transaction.
const lockTimeout = "3s"

// boundLocks sets it for a session.
const boundLocks = "SET lock_timeout TO '" + lockTimeout + "'"

// sessionSettings let Citus declare tables that refer to each other, and tables that have rows.
// Without the first, it takes those that refer to a reference table into its metadata as local
// ones, which cannot be distributed any more.
var sessionSettings = []string{
	"SET citus.enable_local_reference_table_foreign_keys TO off",
	"SET citus.multi_shard_modify_mode TO 'sequential'",
	boundLocks,
}

// Distribute declares the tables that are not declared yet, in order, and truncates the rows that
// this leaves on the coordinator. It may be repeated, also after it was interrupted. It changes
// nothing if the database is not ready: the error wraps ErrNotReady.
func Distribute(ctx context.Context, conn *pgx.Conn, options Options) error {
	if !options.DryRun {
		unlock, err := lock(ctx, conn)
		if err != nil {
			return err
		}
		defer unlock()
	}
	declared, err := ready(ctx, conn)
	if err != nil {
		return err
	}
	if options.Shards, err = declared.shards(options.Shards); err != nil {
		return err
	}
	sizes, err := readSizes(ctx, conn)
	if err != nil {
		return err
	}
	functions, err := missingFunctions(ctx, conn)
	if err != nil {
		return err
	}
	tables, missing := Tables(), declared.missing()
	options.notef("%d of %d tables are declared, each group has %d shards",
		len(tables)-len(missing), len(tables), options.Shards)
	for _, setting := range sessionSettings {
		if err := options.execute(ctx, conn, setting, ""); err != nil {
			return err
		}
	}
	for _, function := range functions {
		statement := fmt.Sprintf("SELECT create_distributed_function('%s')", function)
		if err := options.execute(ctx, conn, statement, "the function "+function); err != nil {
			return err
		}
	}
	for i, table := range tables {
		if !slices.Contains(missing, table.Name) {
			continue
		}
		what := fmt.Sprintf("%s (%d of %d), %s", table.Name, i+1, len(tables), sizes[table.Name].text)
		if err := options.execute(ctx, conn, table.declaration(tables, options.Shards), what); err != nil {
			return err
		}
	}
	return truncateLocalRows(ctx, conn, options)
}

// distributing is the key of the advisory lock of a distribution.
const distributing = 7_417_150

// lock takes the lock of a distribution, and returns the function that releases it.
func lock(ctx context.Context, conn *pgx.Conn) (func(), error) {
	var locked bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", distributing).Scan(&locked); err != nil {
		return nil, fmt.Errorf("lock the distribution: %w", err)
	}
	if !locked {
		var holder int
		const query = `
			SELECT coalesce(min(l.pid), 0) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objid = $1::bigint::oid`
		if err := conn.QueryRow(ctx, query, distributing).Scan(&holder); err != nil {
			return nil, fmt.Errorf("look for the holder of the lock: %w", err)
		}
		return nil, fmt.Errorf("%w:\n- another talon distribute is running in the process %d of the database. "+
			"One that was killed goes on there until the table is copied", ErrNotReady, holder)
	}
	return func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", distributing)
	}, nil
}

// truncateLocalRows truncates what the declarations have copied to the nodes and left on the
// coordinator. Citus truncates with each table those that refer to it, also only their local rows.
func truncateLocalRows(ctx context.Context, conn *pgx.Conn, options Options) error {
	sizes, err := readSizes(ctx, conn)
	if err != nil {
		return err
	}
	for _, table := range slices.Backward(Tables()) { // those that refer to others first
		if !sizes[table.Name].local {
			continue
		}
		statement := fmt.Sprintf("SELECT truncate_local_data_after_distributing_table('%s')", table.Name)
		what := fmt.Sprintf("local rows of %s, %s", table.Name, sizes[table.Name].text)
		if err := options.execute(ctx, conn, statement, what); err != nil {
			return err
		}
	}
	return nil
}

// size is what a table takes of the coordinator's disk, without its shards.
type size struct {
	text  string
	local bool // whether these are rows that are on the nodes when the table is declared
}

// readSizes returns the sizes of the tables, by name.
func readSizes(ctx context.Context, conn *pgx.Conn) (map[string]size, error) {
	const query = `
		SELECT relname, pg_size_pretty(pg_table_size(oid)), pg_relation_size(oid) > 0
		FROM pg_class WHERE relnamespace = current_schema()::regnamespace`
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of tables: %w", err)
	}
	filled := map[string]size{}
	var name string
	var s size
	if _, err = pgx.ForEachRow(rows, []any{&name, &s.text, &s.local}, func() error {
		filled[name] = s
		return nil
	}); err != nil {
		return nil, explain(ctx, conn, "read the sizes of tables", err)
	}
	sizes := map[string]size{}
	for _, table := range Tables() {
		s := filled[table.Name]
		s.local = s.local && table.how != central
		sizes[table.Name] = s
	}
	return sizes, nil
}

// notef prints a line about the whole.
func (o Options) notef(format string, values ...any) {
	if o.DryRun {
		format = "-- " + format
	}
	fmt.Fprintf(o.Progress, format+"\n", values...)
}

// execute executes a statement, and prints what it does and the time it took. In a dry run it
// prints the statement.
func (o Options) execute(ctx context.Context, conn *pgx.Conn, statement, what string) error {
	if o.DryRun {
		fmt.Fprintln(o.Progress, statement+";")
		return nil
	}
	begin := time.Now()
	if what != "" {
		fmt.Fprint(o.Progress, what)
	}
	_, err := conn.Exec(ctx, statement)
	if what != "" {
		fmt.Fprintf(o.Progress, ": %.1f s\n", time.Since(begin).Seconds())
	}
	if err != nil {
		return explain(ctx, conn, cmp.Or(what, statement), err)
	}
	return nil
}

// explain returns the error of what was tried. If it waited for a lock, the error names the
// sessions that have locks.
func explain(ctx context.Context, conn *pgx.Conn, what string, err error) error {
	if isState(err, "55P03") {
		return fmt.Errorf("%s: waited %s for a lock of %s: end that session, and repeat the command",
			what, lockTimeout, holders(ctx, conn))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// holders returns the other sessions that have locks of tables.
func holders(ctx context.Context, conn *pgx.Conn) string {
	const query = `
		SELECT coalesce(string_agg(DISTINCT format('the process %s (%s, %s)', a.pid, a.application_name, a.state), ' or '),
			'a session on another node (citus_lock_waits)')
		FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
		WHERE l.granted AND a.datname = current_database() AND l.pid <> pg_backend_pid()
			AND c.relnamespace = current_schema()::regnamespace`
	var sessions string
	if err := conn.QueryRow(ctx, query).Scan(&sessions); err != nil {
		return "another session"
	}
	return sessions
}

// missingFunctions returns the functions that are not on every node, although statements call them
// there: the immutable ones. The others run on the coordinator. Functions that were created after
// the extension are on every node.
func missingFunctions(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	const query = `
		SELECT p.oid::regprocedure::text
		FROM pg_proc p
		WHERE p.pronamespace = current_schema()::regnamespace AND p.prokind = 'f' AND p.provolatile = 'i'
			AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
			AND NOT EXISTS (SELECT FROM pg_dist_object o WHERE o.classid = 'pg_proc'::regclass AND o.objid = p.oid)
		ORDER BY 1`
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read the functions: %w", err)
	}
	functions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the functions: %w", err)
	}
	return functions, nil
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
	shards    int
}

// declarations are those of the tables of this schema, by name.
type declarations map[string]declaration

func readDeclared(ctx context.Context, conn *pgx.Conn) (declarations, error) {
	const query = `
		SELECT c.relname, p.colocationid, CASE
			WHEN p.partmethod = 'h' THEN column_to_column_name(p.logicalrelid, p.partkey)
			WHEN p.repmodel = 't' THEN 'reference' ELSE 'central' END, coalesce(g.shardcount, 0)
		FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid LEFT JOIN pg_dist_colocation g USING (colocationid)
		WHERE c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition`
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read the declared tables: %w", err)
	}
	declared := declarations{}
	var name string
	var d declaration
	_, err = pgx.ForEachRow(rows, []any{&name, &d.colocated, &d.kind, &d.shards}, func() error {
		declared[name] = d
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the declared tables: %w", err)
	}
	return declared, nil
}

// missing returns the tables that are not declared.
func (d declarations) missing() []string {
	var missing []string
	for _, table := range Tables() {
		if d[table.Name].kind == "" {
			missing = append(missing, table.Name)
		}
	}
	return missing
}

// shards returns the number of shards of the groups that are not declared: that of the first
// declared one, or else the given one, or DefaultShards. A given one must be that of all declared
// groups.
func (d declarations) shards(given int) (int, error) {
	found := given
	for _, table := range slices.Backward(Tables()) {
		is := d[table.Name]
		if table.group == "" || is.kind == "" {
			continue
		}
		if given != 0 && given != is.shards {
			return 0, fmt.Errorf("%w:\n- the table %s has %d shards, not %d: run talon distribute without --shards",
				ErrNotReady, table.Name, is.shards, given)
		}
		found = is.shards
	}
	return cmp.Or(found, DefaultShards), nil
}

// problems requires that declared tables are declared as in this build.
func (d declarations) problems() []string {
	var problems []string
	groups := map[string]int{}
	for _, table := range Tables() {
		is := d[table.Name]
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
	return problems
}
