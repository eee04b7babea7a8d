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

// sessionSettings let Citus declare tables that refer to each other, and tables that have rows. Without
// the first, it takes those that refer to a reference table into its metadata as local ones, which
// cannot be distributed any more.
const sessionSettings = `
	SET citus.enable_local_reference_table_foreign_keys TO off;
	SET citus.multi_shard_modify_mode TO 'sequential'`

// Distribute declares the tables that are not declared yet, in order, and truncates the rows that
// this leaves on the coordinator. It may be repeated, also after it was interrupted. It changes nothing if the database is not ready: the error wraps
// ErrNotReady.
func Distribute(ctx context.Context, conn *pgx.Conn, options Options) error {
	declared, err := ready(ctx, conn)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, sessionSettings); err != nil {
		return fmt.Errorf("set how tables are declared: %w", err)
	}
	functions, err := missingFunctions(ctx, conn)
	if err != nil {
		return err
	}
	for _, function := range functions {
		statement := fmt.Sprintf("SELECT create_distributed_function('%s')", function)
		if err := execute(ctx, conn, statement, "the function "+function, options); err != nil {
			return err
		}
	}
	tables := Tables()
	for i, table := range tables {
		progress := fmt.Sprintf("%s (%d of %d)", table.Name, i+1, len(tables))
		if declared[table.Name].kind != "" {
			fmt.Fprintf(options.Progress, "%s is declared\n", progress)
			continue
		}
		if err := execute(ctx, conn, table.declaration(tables, options.Shards), progress, options); err != nil {
			return err
		}
	}
	return truncateLocalRows(ctx, conn, options)
}

// truncateLocalRows truncates what the declarations have copied to the nodes and left on the
// coordinator. Citus truncates with each table those that refer to it, also only their local rows.
func truncateLocalRows(ctx context.Context, conn *pgx.Conn, options Options) error {
	tables, err := withLocalRows(ctx, conn)
	if err != nil {
		return err
	}
	for _, table := range slices.Backward(tables) { // those that refer to others first
		statement := fmt.Sprintf("SELECT truncate_local_data_after_distributing_table('%s')", table)
		if err := execute(ctx, conn, statement, "local rows of "+table, options); err != nil {
			return err
		}
	}
	return nil
}

// withLocalRows returns the reference tables and those of groups that have rows in the database
// itself, in the order of their declaration. When they are declared, their rows are on the nodes.
func withLocalRows(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	var names []string
	for _, table := range Tables() {
		if table.how != central {
			names = append(names, table.Name)
		}
	}
	const query = `
		SELECT c.relname FROM unnest($1::text[]) WITH ORDINALITY t (name, position) JOIN pg_class c ON c.relname = t.name
		WHERE c.relnamespace = current_schema()::regnamespace AND pg_relation_size(c.oid) > 0
		ORDER BY t.position`
	rows, err := conn.Query(ctx, query, names)
	if err != nil {
		return nil, fmt.Errorf("look for local rows: %w", err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for local rows: %w", err)
	}
	return tables, nil
}

// execute declares something, or prints the statement in a dry run.
func execute(ctx context.Context, conn *pgx.Conn, statement, what string, options Options) error {
	if options.DryRun {
		fmt.Fprintln(options.Progress, statement+";")
		return nil
	}
	fmt.Fprintln(options.Progress, what)
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
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
}

// declarations are those of the tables of this schema, by name.
type declarations map[string]declaration

func readDeclared(ctx context.Context, conn *pgx.Conn) (declarations, error) {
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
	declared := declarations{}
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
