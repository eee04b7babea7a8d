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

// The tables that stay small, which it is right to read whole. Any other grows with the region, also one that nobody has thought of here.
var reference = []string{"busy_type", "client_application", "legal_entity", "lpu", "setting", "talon_schema_version"}

// query is one of the service's, by its name in queries/.
type query struct{ name, sql string }

var queryName = regexp.MustCompile(`^-- name: (\w+) :`)

// serviceQueries reads what sqlc has generated, from the sources: the package keeps its SQL to itself.
func serviceQueries() ([]query, error) {
	pkg, err := gobuild.Import("talon.example/gen/db", ".", 0)
	if err != nil {
		return nil, fmt.Errorf("find the generated queries: %w", err)
	}
	var queries []query
	for _, name := range pkg.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkg.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read the generated queries: %w", err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				sql, _ := strconv.Unquote(literal.Value) // it has been parsed
				if match := queryName.FindStringSubmatch(sql); match != nil {
					queries = append(queries, query{match[1], sql})
				}
			}
			return true
		})
	}
	if len(queries) == 0 {
		return nil, errors.New("there are no generated queries in " + pkg.Dir)
	}
	return queries, nil
}

// wholeScans gives the queries of the service that read a growing table as a whole, by the statistics of this data, each with the table.
func wholeScans(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	queries, err := serviceQueries()
	if err != nil {
		return nil, err
	}
	return wholeScansOf(ctx, conn, queries)
}

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

// scannedTables gives the growing tables that the statement reads as a whole. A few pages are read faster than an index: a table known to be small
// counts only where there is no index to turn to once it has grown.
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
	rows, _ := tx.Query(ctx, "SELECT relname FROM pg_class WHERE relname = ANY($1) AND reltuples BETWEEN 0 AND 1000", scanned)
	small, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return slices.DeleteFunc(scanned, func(table string) bool { return slices.Contains(small, table) && !slices.Contains(unavoidable, table) }), err
}

// explain gives the growing tables that the statement's plan reads as a whole.
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

// leadingColumns gives each index's first column, as EXPLAIN writes it.
func leadingColumns(ctx context.Context, tx pgx.Tx) (map[string]string, error) {
	rows, _ := tx.Query(ctx, "SELECT relname, pg_get_indexdef(oid, 1, true) FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace")
	columns := map[string]string{}
	var index, column string
	_, err := pgx.ForEachRow(rows, []any{&index, &column}, func() error {
		columns[index] = column
		return nil
	})
	return columns, err
}

// planNode is a node of a plan. Sub-plans, init plans and common table expressions are children like any other.
type planNode struct {
	Type     string     `json:"Node Type"`
	Table    string     `json:"Relation Name"`
	Index    string     `json:"Index Name"`
	Cond     string     `json:"Index Cond"`
	Children []planNode `json:"Plans"`
}

// walk visits the node and all below it. The scan of an index for a bitmap does not name its table; the node above does.
func (n planNode) walk(table string, visit func(table string, node planNode)) {
	if n.Table != "" {
		table = n.Table
	}
	visit(table, n)
	for _, child := range n.Children {
		child.walk(table, visit)
	}
}

// readsAll tells whether the node reads a table or an index from one end to the other. An index does not lead anywhere without a condition on its
// first column: one on the second alone is tried on every entry.
func (n planNode) readsAll(leading map[string]string) bool {
	switch n.Type {
	case "Seq Scan", "Sample Scan":
		return true
	case "Index Scan", "Index Only Scan", "Bitmap Index Scan":
		// The index's own columns are written bare, those of other tables after a point.
		own := regexp.MustCompile(`(^|[^.\w])` + regexp.QuoteMeta(leading[n.Index]) + `($|\W)`)
		return n.Cond == "" || !own.MatchString(n.Cond)
	default:
		return false
	}
}
