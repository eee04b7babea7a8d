package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	gobuild "go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"talon.example/internal/postgres"
)

// reference are the tables that stay small, so that a full scan is acceptable. Every other table
// grows with the region. event_outbox is emptied ten times a second, and event_sequence and
// retention have a row for each institution.
var reference = []string{
	"busy_type", "client_application", "legal_entity", "lpu", "setting", "talon_schema_version",
	"event_outbox", "event_recorder", "event_sequence", "retention", "webhook", "webhook_deliverer",
}

// small are the partial indexes that stay small in a growing table, so that reading one from end to
// end is acceptable: a client application has few unfinished imports.
var small = []string{"import_unfinished"}

// query is a query of the service, with its name in queries/.
type query struct{ name, sql string }

var queryName = regexp.MustCompile(`^-- name: (\w+) :`)

// serviceQueries returns the queries that sqlc has generated. It parses the source of the package
// gen/db, which does not export its SQL.
func serviceQueries() ([]query, error) {
	pkg, err := gobuild.Import("talon.example/gen/db", ".", 0)
	if err != nil {
		return nil, fmt.Errorf("find the generated queries: %w", err)
	}
	var queries []query
	for _, name := range pkg.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkg.Dir, name), nil,
			parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read the generated queries: %w", err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				sql, _ := strconv.Unquote(literal.Value) // a parsed literal is always valid
				if match := queryName.FindStringSubmatch(sql); match != nil {
					queries = append(queries, query{match[1], sql})
				}
			}
			return true
		})
	}
	if len(queries) == 0 {
		return nil, errors.New("no generated queries in " + pkg.Dir)
	}
	return queries, nil
}

// wholeScans returns the queries of the service whose plans read a growing table as a whole, each
// as «query: table». The plans depend on the statistics of the database.
func wholeScans(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	queries, err := serviceQueries()
	if err != nil {
		return nil, err
	}
	return wholeScansOf(ctx, conn, queries)
}

// wholeScansOf is wholeScans for the given queries.
func wholeScansOf(ctx context.Context, conn *pgx.Conn, queries []query) ([]string, error) {
	scans := []string{}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for name, value := range postgres.Planning {
			if _, err := tx.Exec(ctx, "SELECT set_config($1, $2, true)", name, value); err != nil {
				return err
			}
		}
		for _, q := range queries {
			tables, err := scannedTables(ctx, tx, q.sql)
			if err != nil {
				return fmt.Errorf("explain %s: %w", q.name, err)
			}
			for _, table := range tables {
				scans = append(scans, q.name+": "+table)
			}
		}
		return nil
	})
	return scans, err
}

// scannedTables returns the growing tables that the statement reads as a whole. A table with at
// most 1000 rows counts only if no index could be used, because the planner prefers to scan a small
// table even if an index exists.
func scannedTables(ctx context.Context, tx pgx.Tx, sql string) ([]string, error) {
	scanned, err := explain(ctx, tx, sql)
	if err != nil || len(scanned) == 0 {
		return nil, err
	}
	if _, err := tx.Exec(ctx, "SET LOCAL enable_seqscan = off"); err != nil {
		return nil, err
	}
	unavoidable, err := explain(ctx, tx, sql)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, "SET LOCAL enable_seqscan = on"); err != nil {
		return nil, err
	}
	rows, _ := tx.Query(ctx, "SELECT relname FROM pg_class WHERE relname = ANY($1) AND reltuples BETWEEN 0 AND 1000",
		scanned)
	short, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return slices.DeleteFunc(scanned, func(table string) bool {
		return slices.Contains(short, table) && !slices.Contains(unavoidable, table)
	}), err
}

// explain returns the growing tables that the statement's generic plan reads as a whole.
func explain(ctx context.Context, tx pgx.Tx, sql string) (scanned []string, err error) {
	const name = "explained"
	prepared, err := tx.Prepare(ctx, name, sql)
	if err != nil {
		return nil, err
	}
	execute := "EXPLAIN (FORMAT JSON) EXECUTE " + name
	if n := len(prepared.ParamOIDs); n > 0 {
		execute += "(" + strings.Repeat("NULL, ", n-1) + "NULL)"
	}
	var plans []struct{ Plan planNode }
	if err := tx.QueryRow(ctx, execute, pgx.QueryExecModeSimpleProtocol).Scan(&plans); err != nil {
		return nil, err
	}
	if err := tx.Conn().Deallocate(ctx, name); err != nil {
		return nil, err
	}
	leading, err := leadingColumns(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, plan := range plans {
		plan.Plan.walk("", func(table string, node planNode) {
			if node.readsAll(leading) && !slices.Contains(reference, table) && !slices.Contains(scanned, table) {
				scanned = append(scanned, table)
			}
		})
	}
	return scanned, nil
}

// leadingColumns returns the first column of each index, in the form that EXPLAIN uses.
func leadingColumns(ctx context.Context, tx pgx.Tx) (map[string]string, error) {
	rows, _ := tx.Query(ctx, `
		SELECT relname, pg_get_indexdef(oid, 1, true)
		FROM pg_class
		WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace`)
	columns := map[string]string{}
	var index, column string
	_, err := pgx.ForEachRow(rows, []any{&index, &column}, func() error {
		columns[index] = column
		return nil
	})
	return columns, err
}

// planNode is a node of a plan. Its children include sub-plans, init plans and common table
// expressions.
type planNode struct {
	Type     string     `json:"Node Type"`
	Table    string     `json:"Relation Name"`
	Index    string     `json:"Index Name"`
	Cond     string     `json:"Index Cond"`
	Children []planNode `json:"Plans"`
}

// walk calls visit for the node and all nodes below it. A bitmap index scan does not contain the
// name of its table, so walk passes the name of the node above.
func (n planNode) walk(table string, visit func(table string, node planNode)) {
	if n.Table != "" {
		table = n.Table
	}
	visit(table, n)
	for _, child := range n.Children {
		child.walk(table, visit)
	}
}

// readsAll reports whether the node reads a whole table or a whole index. An index scan reads the
// whole index if it has no condition on the index's first column, because other conditions are
// tested on every entry.
func (n planNode) readsAll(leading map[string]string) bool {
	switch n.Type {
	case "Seq Scan", "Sample Scan":
		return true
	case "Index Scan", "Index Only Scan", "Bitmap Index Scan":
		// Columns of the index are written without a table, columns of other tables after a dot.
		own := regexp.MustCompile(`(^|[^.\w])` + regexp.QuoteMeta(leading[n.Index]) + `($|\W)`)
		return !slices.Contains(small, n.Index) && (n.Cond == "" || !own.MatchString(n.Cond))
	default:
		return false
	}
}
